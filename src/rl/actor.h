/* Actors: from what all agents observe to what each of them does, as one graph. The same function
 * builds the program that trains, the one that acts while training, and the one that is packaged.
 *
 * Communication happens before the action head: every agent's features are exchanged, mixed and
 * read by the head (CommNet, Sukhbaatar et al. 2016; gated, Singh et al. 2019 "IC3Net"; attention,
 * Das et al. 2019 "TarMAC"). ACTOR_COMMUNICATION_MATRIX is the first sketch's: it averages actions
 * after the head by an (A, A) matrix of performances; kept off, with a test that shows its fault.
 */
#ifndef RL_ACTOR_H
#define RL_ACTOR_H

#include "nn/nn.h"
#include "rl/env.h"

/* ---- net.c: perceptrons ---- */

typedef enum net_norm {
  NET_NORM_NONE,
  NET_NORM_LAYER,
  NET_NORM_BATCH, /* statistics of the batch in training, running ones otherwise: the first
                     sketch's, and CrossQ's (Bhatt et al. 2024) where both halves of a joint batch
                     go through it */
} net_norm;
extern const char *const net_norm_names[];

enum { NET_MAX_LAYERS = 8 };
typedef struct net_config {
  char hidden[64];      /* "256,256": widths of the hidden layers; "" none */
  int activation, norm; /* nn_activation, net_norm */
  double dropout;       /* after each hidden layer; 0 but in the first sketch's form */
} net_config;
/* Widths of `hidden`; GARAM_INVALID names the option. */
garam_status net_widths(int64_t out[NET_MAX_LAYERS], int *n, const net_config *c, garam_error *err);

typedef struct net_scope {
  const char *name; /* NAME.0.weight, NAME.0.bias, NAME.0.norm.*, ..., NAME.out.* */
  bool frozen;      /* gradients pass through, parameters get none */
  double out_scale; /* of the last layer's init; 0: 1 */
  bool orthogonal;  /* inits as PPO's authors have them (INIT_XAVIER stands in where the engine has
                       none) */
} net_scope;
/* x (..., I) -> (..., n_out). */
tensor *net_build(tensor *x, const net_config *c, int64_t n_out, const net_scope *scope);

/* ---- actor.c ---- */

typedef enum actor_head {
  ACTOR_TANH,        /* box: low + (tanh(y) + 1) / 2 (high - low) */
  ACTOR_GAUSSIAN,    /* box: mean, and a log deviation a number that no state changes (PPO) */
  ACTOR_SQUASHED,    /* box: tanh of a normal whose mean and log deviation the state gives (SAC) */
  ACTOR_CATEGORICAL, /* choices: logits */
  ACTOR_VALUES,      /* choices: their values (DQN) */
} actor_head;

typedef enum actor_communication {
  ACTOR_COMMUNICATION_NONE,
  ACTOR_COMMUNICATION_MEAN,
  ACTOR_COMMUNICATION_GATED,
  ACTOR_COMMUNICATION_ATTENTION,
  ACTOR_COMMUNICATION_MATRIX,
} actor_communication;
extern const char *const actor_communication_names[];

typedef struct actor_config {
  net_config net;
  int communication; /* actor_communication */
  int rounds;        /* of exchange */
  int message;       /* width; 0: that of the last hidden layer */
  bool shared;       /* one net for all agents of a team, told which one it is by a one-hot */
} actor_config;

typedef struct actor_spec {
  const env_shape *shape;
  actor_config config;
  actor_head box_head, choice_head; /* by the kind of each agent's action space */
} actor_spec;

/* Numbers that agent a's head gives: U, 2 U (squashed, Gaussian: mean then log deviation) or the
 * choices. */
int actor_head_width(const actor_spec *spec, int a);
/* observation (B, A, O) real -> heads[a] (B, width of a) before squashing and sampling. Parameters
 * are "actor.AGENT...", or "actor.TEAM..." when shared. scope: prefix, "" for none. */
void actor_build(tensor **heads, const actor_spec *spec, tensor *observation, const char *scope,
                 bool frozen);
/* heads -> what is done when nobody explores, (B, A, U), boxes scaled to their bounds; of choices
 * the head's numbers stay outside (argmax is not a tensor op): see policy.h. */
tensor *actor_box_action(const actor_spec *spec, tensor *head, int a);

#endif
