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

#include "base/opt.h"
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

/* Option rows of a net_config that is `field` of `type`; `prefix` "" or "critic-". */
#define NET_OPTIONS(type, field, prefix, widths)                                                   \
  {prefix "hidden", OPT_STRING, OPT_AT(type, field.hidden), .def_text = widths,                    \
   .help = "widths of the hidden layers"},                                                         \
      {prefix "activation", OPT_ENUM, OPT_AT(type, field.activation),                              \
       .choices = nn_activation_names, .help = "between the layers"},                              \
      {prefix "norm", OPT_ENUM, OPT_AT(type, field.norm), .choices = net_norm_names,               \
       .help = "of each hidden layer, before its activation"},                                     \
  {                                                                                                \
    prefix "dropout", OPT_F64, OPT_AT(type, field.dropout),                                        \
        .max = 0.95, .help = "after each hidden layer; of the first sketch's form"                 \
  }

typedef struct net_scope {
  const char *name; /* NAME.0.weight, NAME.0.bias, NAME.0.norm.*, ..., NAME.out.* */
  bool frozen;      /* gradients pass through, parameters get none */
  bool running;     /* batch norm by its running statistics in a training graph, too */
  double out_scale; /* of the last layer's init; 0: 1 */
  bool orthogonal;  /* inits as PPO's authors have them: gain sqrt 2, out_scale, biases zero. Else
                       PyTorch's: uniform within 1 / sqrt(inputs), biases too */
} net_scope;
/* x (..., I) -> (..., n_out); n_out 0: no last layer, what the last hidden one gives. */
tensor *net_build(tensor *x, const net_config *c, int64_t n_out, const net_scope *scope);
/* One layer of the same kind: NAME.weight, NAME.bias of `scope`, init scaled by `gain`. */
tensor *net_linear(tensor *x, int64_t n_out, const char *name, const net_scope *scope, double gain);

/* Batch norm's running statistics are parameters that no gradient reaches. Where a training graph
 * goes by the statistics of its batch (neither frozen nor running), these are outputs of the graph;
 * after each run of its plan, update moves the running ones towards them. */
typedef struct net_statistics {
  size_t n;
  struct net_statistic {
    const float *now;
    size_t offset, count; /* in the block of the plan's parameters */
  } * rows;
} net_statistics;
garam_status net_statistics_init(net_statistics *s, const graph *g, const plan *p,
                                 garam_error *err);
void net_statistics_deinit(net_statistics *s);
/* running += rate (now - running); the caller counts its version of params up. */
void net_statistics_update(const net_statistics *s, float *params, double rate);

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
  bool dueling;      /* of ACTOR_VALUES: a value and advantages (Wang et al. 2016) */
} actor_config;
#define ACTOR_OPTIONS(type, field, widths)                                                         \
  NET_OPTIONS(type, field.net, "", widths),                                                        \
      {"communication", OPT_ENUM, OPT_AT(type, field.communication),                               \
       .choices = actor_communication_names,                                                       \
       .help = "what agents of a team tell each other before they act"},                           \
      {"rounds", OPT_INT,  OPT_AT(type, field.rounds), .def = 1,                                   \
       .min = 1, .max = 8, .help = "of communication"},                                            \
      {"message",                                                                                  \
       OPT_INT,                                                                                    \
       OPT_AT(type, field.message),                                                                \
       .max = 4096,                                                                                \
       .unit = "numbers",                                                                          \
       .help = "width of a message; 0: as wide as the last hidden layer"},                         \
  {                                                                                                \
    "shared", OPT_BOOL, OPT_AT(type, field.shared), .help = "one net for all agents of a team"     \
  }

extern const opt_row actor_options[]; /* on actor_config alone: what packages record */
extern const size_t actor_n_options;

typedef struct actor_spec {
  const env_shape *shape;
  actor_config config;
  actor_head box_head, choice_head; /* by the kind of each agent's action space */
  bool orthogonal;                  /* net_scope's */
  double out_scale;                 /* of the heads' inits; 0: 1 */
} actor_spec;

/* Does it fit: widths, communication between agents whose shapes differ? */
garam_status actor_check(const actor_spec *spec, garam_error *err);

/* Numbers that agent a's head gives: U, 2 U (squashed, Gaussian: mean then log deviation) or the
 * choices. */
int actor_head_width(const actor_spec *spec, int a);
actor_head actor_head_of(const actor_spec *spec, int a);
/* observation (B, A, O) real -> heads[a] (B, width of a) before squashing and sampling. Parameters
 * are "actor.AGENT...", or "actor.TEAM..." when shared, with scope->name before "actor" ("" for
 * none); scope's other fields go to every net. Messages go through "actor.TEAM.message...". */
void actor_build(tensor **heads, const actor_spec *spec, tensor *observation,
                 const net_scope *scope);
/* head (B, width) -> what is done when nobody explores, (B, n), scaled to the agent's bounds; of
 * boxes only (argmax is no tensor op: see policy.h). Gaussian heads are cut at the bounds. */
tensor *actor_box_action(const actor_spec *spec, tensor *head, int a);
/* y (B, n) in [-1, 1] -> the bounds of a's box, where it has finite ones. */
tensor *actor_box_scale(const actor_spec *spec, tensor *y, int a);
/* The middle of number i of a's box and half its width: 0 and 1 where it is not bounded. */
void actor_box_range(double *middle, double *half, const actor_spec *spec, int a, int i);
/* Of a squashed head: the second half (B, n) -> log deviations within [-5, 2], and the same for one
 * number. */
tensor *actor_log_deviation(tensor *raw);
double actor_log_deviation_of(double raw);
/* action (B, A, U) -> each agent's becomes the mean of all by a row of the parameter "actor.mix"
 * (A, A): the first sketch's communication. Untouched under any other. */
tensor *actor_mix(const actor_spec *spec, tensor *action, const char *scope);

#endif
