/* Learners that improve a policy by what it has just done: proximal policy optimisation (Schulman,
 * Wolski, Dhariwal, Radford & Klimov 2017) for one agent or many. PPO and MAPPO (Yu et al. 2022)
 * are one learner with other defaults: what the value sees, and who shares a net.
 *
 * The map, for those who work here:
 *   ppo.c               options, presets and the records of ppo and mappo
 *   onpolicy_net.c      the graphs: heads and values, the loss
 *   onpolicy_sample.c   draws and their log-probabilities
 *   onpolicy.c          create, act, learn
 *   onpolicy_update.c   epochs of minibatches over a rollout
 *   onpolicy_io.c       what a checkpoint holds
 *   rollout.h, gae.h, opponent.h
 *
 * Views. Where agents share experience without sharing nets (SEAC: Christianos, Schaefer & Albrecht
 * 2020), each world is looked at R times: in view s, the net of a team's agent i reads what agent
 * i + s saw, did and got. View 0 is what happened. The other views are rows like any other, weighed
 * by the ratio of the two policies; so nothing else needs to know of them. */
#ifndef RL_ONPOLICY_H
#define RL_ONPOLICY_H

#include "rl/agent.h"
#include "rl/opponent.h"
#include "rl/rollout.h"
#include "train/optim.h"

/* ---- options ---- */

typedef enum onpolicy_critic {
  ONPOLICY_CRITIC_OWN,     /* what the agent observes */
  ONPOLICY_CRITIC_CENTRAL, /* the state and what the agent observes; without a state all that is
                              observed, the agent's own first */
} onpolicy_critic;

typedef struct onpolicy_config {
  actor_config actor;
  char critic_hidden[64]; /* "": as the actor's */
  int critic;             /* onpolicy_critic */
  int rollout, worlds, epochs, minibatches;
  double learning_rate, gamma, lambda, clip, value_clip, entropy, value_weight, gradient_clip;
  double target_kl; /* 0: never stops early */
  double deviation; /* of a box's first draws, as a share of half its width */
  bool anneal, anneal_clip, normalize_observation, normalize_reward, normalize_value,
      normalize_advantage;
  double seac; /* weight of what the others of a team lived through; 0: off */
  int opponents;
  double opponent_share; /* of episodes in which one team is a past one of itself */
  int opponent_every;    /* updates from one past policy to the next */
} onpolicy_config;

/* ---- onpolicy_net.c ---- */

/* Agents side by side that act alike: their heads are one tensor. */
typedef struct onpolicy_run {
  int first, n;
  env_space_kind kind;
  int n_actions; /* choices, or numbers of a box */
  int width;     /* of the head */
} onpolicy_run;

typedef struct onpolicy_nets {
  actor_spec spec;
  const onpolicy_config *config;
  int n_runs;
  onpolicy_run runs[ENV_MAX_AGENTS];
  int n_teams;
  int team[ENV_MAX_AGENTS]; /* number of each agent's team, in order of appearance */
} onpolicy_nets;

void onpolicy_nets_init(onpolicy_nets *out, const env_shape *shape, const onpolicy_config *config);
/* The critic that judges agent a: "critic.TEAM" when its team shares nets, else "critic.AGENT". */
const char *onpolicy_critic_of(const onpolicy_nets *nets, int a);

/* Inputs: "observation" (B, A, O) and, where there is one, "state" (B, S).
 *   act     outputs "head.0" ... (B, n of the run, width) and "value" (B, A)
 *   value   output "value"
 *   loss    further inputs "log_prob", "advantage", "target", "value_before", "weight" (B, A), and
 *           "action.0" ... (B, n, n_actions): ones and zeros for choices; "clip", one number.
 *           Weights add up to 1 over a minibatch. Outputs "loss", "loss.policy", "loss.value",
 *           "entropy", "kl". */
void onpolicy_build_act(graph *g, const onpolicy_nets *nets, int64_t batch);
void onpolicy_build_value(graph *g, const onpolicy_nets *nets, int64_t batch);
tensor *onpolicy_build_loss(graph *g, const onpolicy_nets *nets, int64_t batch);
/* The loss alone, over heads[r] (B, n, width) and value (B, A): for its tests. */
tensor *onpolicy_loss(graph *g, const onpolicy_nets *nets, tensor *const *heads, tensor *value);

/* ---- onpolicy_sample.c ---- */

/* Uniform numbers [0, 1) and normal ones of step `step`, n of each that is not NULL. */
void onpolicy_noise(float *uniform, float *normal, size_t n, uint64_t seed, uint64_t step);
/* A choice by logits (k) and a uniform number; its log-probability into *log_prob. */
int onpolicy_choose(float *log_prob, const float *logits, int k, float uniform);
float onpolicy_choice_log_prob(const float *logits, int k, int choice);
/* head: n means, n log deviations; x (n) is what was drawn, in units of half the box. */
float onpolicy_box_log_prob(const float *head, const float *x, int n);

/* ---- the learner ---- */

/* Running mean and mean square of value targets, of each critic (MAPPO's value normalisation). */
typedef struct onpolicy_scale {
  double mean, square, share; /* share: of what was seen, so that the first counts whole */
  double offset, deviation;   /* in force */
} onpolicy_scale;

typedef struct onpolicy_sums {
  double policy, value, entropy, kl, n;
} onpolicy_sums;

typedef struct onpolicy {
  agent agent;
  onpolicy_config config;
  const env_shape *shape;
  onpolicy_nets nets;
  size_t n, views, worlds; /* worlds: n times views */
  size_t rows;             /* of a minibatch */
  uint64_t n_steps, seed;

  size_t block, actor_block; /* actors come first in a block */
  float *params, *grads;
  uint64_t version;
  optim_adamw *optim;
  plan *act, *value, *loss;
  policy *policy;

  rollout rollout;
  int source[ENV_MAX_AGENTS][ENV_MAX_AGENTS]; /* view s, slot a: whose doing it reads; -1: none */
  uint32_t *order;                            /* rows of an epoch */
  float *uniform, *normal;                    /* noise of a step */
  float *last;                                /* (N, A) values of what followed */
  normalizer observed, observed_state, rewarded;
  double *discounted; /* (n, A) returns so far, for the scale of rewards */
  onpolicy_scale scale[ENV_MAX_AGENTS];
  size_t critic_weight[ENV_MAX_AGENTS], critic_width[ENV_MAX_AGENTS],
      critic_bias[ENV_MAX_AGENTS];  /* last layer of each agent's critic, in a block */
  int critic_first[ENV_MAX_AGENTS]; /* the first agent that has the same critic */
  opponent_pool opponents;

  uint64_t acts, updates, minibatches; /* minibatches: steps of the optimiser */
  bool acted;                          /* between act and learn */
  struct onpolicy *self;    /* onpolicy_save is handed a const learner, and lends counters */
  uint64_t saved_counts[8]; /* what onpolicy_save lends to the writer */
  onpolicy_sums sums;
  double rate; /* learning rate of the last update */
} onpolicy;

garam_status onpolicy_create(agent **out, const agent_ops *ops, const void *config,
                             const agent_setup *setup, garam_error *err);
void onpolicy_destroy(agent *a);
garam_status onpolicy_act(agent *a, const float *observation, const float *state,
                          const uint8_t *alive, uint64_t steps, float *action, garam_error *err);
garam_status onpolicy_learn(agent *a, const agent_step *s, uint64_t steps, garam_error *err);
policy *onpolicy_policy(agent *a);
void onpolicy_metrics(agent *a, void (*row)(void *context, const char *name, double value),
                      void *context);

/* Views of what n worlds observe, normalised: x (n, A, O) -> out (N, A, O); s (n, S) -> (N, S). */
void onpolicy_see(const onpolicy *o, float *out, float *state_out, const float *x, const float *s);
/* The values of N worlds, in units of rewards, from what the value program was given. */
garam_status onpolicy_values(onpolicy *o, float *out, garam_error *err);
bool onpolicy_reads_state(const onpolicy *o);

/* onpolicy_update.c: a rollout that is full. `steps`: of all worlds so far. */
garam_status onpolicy_update(onpolicy *o, uint64_t steps, garam_error *err);

/* onpolicy_io.c */
garam_status onpolicy_save(const agent *a, package_writer *w, garam_error *err);
garam_status onpolicy_load(agent *a, package_reader *r, garam_error *err);

#endif
