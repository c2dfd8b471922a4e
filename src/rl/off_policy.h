/* Learners that learn from what happened long ago: DDPG and what grew out of it. One family: the
 * agents of agent_ddpg.c, agent_sac.c and agent_dqn.c are settings of what is here.
 *
 *   actors  tanh, squashed normal (SAC) or choices (relaxed by Gumbel's trick, as MADDPG's are)
 *   critics independent or centralised, one or two (TD3's minimum), with targets or without
 *           (CrossQ: one pass over now and next)
 *
 * Everything that learns lies in one flat block, actors first, then critics; `slow` is the targets'
 * block of the same layout. Three programs run over them: slow gives what values should be, critic
 * learns that, actor climbs it. A value-based learner (DQN) has no critics: its actors are values.
 */
#ifndef RL_OFF_POLICY_H
#define RL_OFF_POLICY_H

#include "rl/critic.h"
#include "rl/mix.h"
#include "rl/noise.h"
#include "rl/replay.h"
#include "train/optim.h"

typedef enum off_policy_done { DONE_EACH, DONE_ANY } off_policy_done;
typedef enum off_policy_when { UPDATE_STEP, UPDATE_EPISODE } off_policy_when;
typedef enum off_policy_sharing { SHARING_JOINT, SHARING_CRITICS } off_policy_sharing;
typedef enum off_policy_relaxation { RELAX_STRAIGHT, RELAX_SOFT } off_policy_relaxation;

typedef struct off_policy_config {
  actor_config actor;
  net_config critic;
  int critics, n_critics; /* critic_kind; 1 or 2 */
  bool targets;           /* slow copies; false: CrossQ's joint batch */
  double actor_rate, critic_rate, gamma, tau, clip, norm_rate;
  int batch, n_steps, parallel;
  int64_t replay, start_steps;
  bool prioritized;
  double priority_alpha, priority_beta;
  double updates; /* a world step */
  int policy_delay;
  double target_noise, target_noise_clip;
  int noise;
  double noise_scale, noise_theta, noise_final;
  bool normalize_observations, normalize_rewards;
  int relaxation; /* off_policy_relaxation, of choices */
  double relaxation_temperature, head_penalty;
  double entropy_start,
      entropy_target; /* SAC: temperature at first; target a number of an action */
  bool entropy_learnt;
  double epsilon_start, epsilon_end, epsilon_share; /* of choices taken at random */
  bool double_q;
  int64_t target_every; /* updates between copies of all of it; 0: tau moves it in each */
  int done, when, sharing;
  mix_config mix;
} off_policy_config;

/* What distinguishes the kinds. */
typedef struct off_policy_kind {
  actor_head box_head, choice_head;
  bool entropy; /* rewards entropy: SAC */
  bool values;  /* the actor is values of choices: DQN */
} off_policy_kind;

/* One batch as programs read it; B rows. */
typedef struct off_policy_batch {
  float *observation, *next, *state, *next_state; /* (B, A, O), (B, S) */
  float *action;                                  /* (B, A, V) encoded */
  float *reward, *discount, *weight;              /* (B, A); weight 0 for who did not act */
  size_t *index;                                  /* (B) */
  float *importance;                              /* (B) */
  double *error;                                  /* (B) */
  uint8_t *alive;                                 /* (A) of a row */
} off_policy_batch;

enum { COUNT_ACTS, COUNT_STEPS, COUNT_UPDATES, COUNT_ACTOR_UPDATES, N_COUNTS };
enum {
  METRIC_CRITIC_LOSS,
  METRIC_CRITIC_UPDATES,
  METRIC_ACTOR_LOSS,
  METRIC_VALUE,
  METRIC_ACTOR_UPDATES,
  N_METRICS
};

typedef struct off_policy {
  agent base;
  const off_policy_kind *kind;
  off_policy_config config;
  const env_shape *shape;
  size_t n, agents, o, u, v, s; /* worlds, A, O, U, V, S */
  uint64_t n_steps, seed;
  actor_spec actor;
  critic_spec critic;
  replay *replay;
  noise noise;
  float *drawn; /* (n, A, U) of noise */
  normalizer observed, returns;
  double *running, *sums; /* (n, A) of the episodes so far: discounted, for the scale of rewards,
                             and plain, for the mixer */
  mixer mixer;
  uint8_t *flags; /* (2, n, A): terminated and truncated as they are kept */
  off_policy_batch batch;
  char *memory; /* of the batch and the rows above */

  float *params, *slow, *grads;
  size_t block, critic_at; /* items; where critics begin */
  uint64_t version, slow_version;
  plan *slow_plan, *critic_plan, *actor_plan, *choose_plan;
  net_statistics actor_statistics, critic_statistics;
  optim_adamw *actor_optim, *critic_optim;
  policy *policy;
  size_t temperature_at; /* (A) log temperatures; SIZE_MAX: none */

  uint64_t counts[N_COUNTS];
  double metrics[N_METRICS]; /* sums since they were last asked for */
} off_policy;

/* ---- off_policy.c: the life of a learner; what agent_ops call ---- */
garam_status off_policy_create(agent **out, const off_policy_kind *kind, const agent_ops *ops,
                               const off_policy_config *config, const agent_setup *setup,
                               garam_error *err);
void off_policy_destroy(agent *a);
size_t off_policy_worlds(const void *config);
garam_status off_policy_learn(agent *a, const agent_step *s, uint64_t steps, garam_error *err);
policy *off_policy_policy(agent *a);
void off_policy_metrics(agent *a, void (*row)(void *context, const char *name, double value),
                        void *context);

/* ---- off_policy_act.c ---- */
garam_status off_policy_act(agent *a, const float *observation, const float *state,
                            const uint8_t *alive, uint64_t steps, float *action, garam_error *err);

/* ---- off_policy_batch.c: from replay to what programs read ---- */
size_t off_policy_batch_lay_out(off_policy *l, char *memory);
/* Fills l->batch. turned: each agent gets what happened to the one `turned` places on. */
void off_policy_gather(off_policy *l, size_t turned);

/* ---- off_policy_program.c: graphs ---- */
garam_status off_policy_compile(off_policy *l, garam_error *err);

/* ---- off_policy_update.c: one update ---- */
garam_status off_policy_update(off_policy *l, garam_error *err);

/* ---- off_policy_io.c ---- */
garam_status off_policy_save(const agent *a, package_writer *w, garam_error *err);
garam_status off_policy_load(agent *a, package_reader *r, garam_error *err);

#endif
