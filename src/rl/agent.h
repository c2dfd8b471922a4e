/* An agent: whatever learns to act in an env. One header for off-policy and on-policy learners, for
 * one agent or many: single-agent is A = 1. (An "agent" of an env is a body; the learner here moves
 * all bodies of a world, or those of its side when it plays against others.)
 *
 * The loop that drives it (rl/loop.h) is the same for all:
 *   act(observation) -> step the env -> learn(what happened); the agent stores, and updates when
 * due. save and load hold everything: parameters, targets, moments, replay, noise, normalisers,
 * counters; a resumed run is bit-identical. */
#ifndef RL_AGENT_H
#define RL_AGENT_H

#include "learn/learner.h"
#include "rl/policy.h"

typedef struct agent agent;

/* What happened in one step of n worlds. Borrowed for the call. */
typedef struct agent_step {
  size_t n;
  const float *observation,
      *next_observation;                 /* (n, A, O); next: the last one where the episode ended */
  const float *state, *next_state;       /* (n, S), or NULL */
  const float *action, *reward;          /* (n, A, U), (n, A) */
  const uint8_t *terminated, *truncated; /* (n, A) */
  const uint8_t *alive;                  /* (n, A): who acted in this step */
  const uint8_t *ended;                  /* (n): another episode has begun */
} agent_step;

typedef struct agent_setup {
  const env_shape *shape; /* outlives the agent */
  size_t n;               /* worlds that it acts in while it trains */
  uint64_t n_steps;       /* of one world's clock times n: what schedules run over */
  uint64_t seed;
} agent_setup;

typedef struct agent_ops {
  const char *name, *summary;
  const opt_row *options;
  size_t n_options, config_size;
  /* "sketch" is the first sketch's form. One that is named like an environment is what is taken
   * there unless another is asked for. May be NULL. */
  const learner_preset *presets;
  unsigned spaces; /* bit 1 << ENV_BOX, 1 << ENV_DISCRETE: action spaces it can do */
  /* Worlds that it likes to train in at a time, where nobody says how many; NULL: 1. */
  size_t (*worlds)(const void *config);
  garam_status (*create)(agent **out, const void *config, const agent_setup *setup,
                         garam_error *err);
  void (*destroy)(agent *a);
  /* Exploring: n = setup.n worlds. `steps`: world steps taken so far by all of them. */
  garam_status (*act)(agent *a, const float *observation, const float *state, const uint8_t *alive,
                      uint64_t steps, float *action, garam_error *err);
  garam_status (*learn)(agent *a, const agent_step *s, uint64_t steps, garam_error *err);
  policy *(*policy)(agent *a); /* as learnt so far; the agent's */
  garam_status (*save)(const agent *a, package_writer *w, garam_error *err);
  garam_status (*load)(agent *a, package_reader *r,
                       garam_error *err); /* of the same config and shape */
  /* What to look at: losses, entropies, updates done; since the last call. May be NULL. */
  void (*metrics)(agent *a, void (*row)(void *context, const char *name, double value),
                  void *context);
} agent_ops;

struct agent {
  const agent_ops *ops; /* first member of every agent's own struct */
};

/* Every kind there is (rl/agent.c): ddpg td3 sac dqn ppo maddpg matd3 mappo ... */
extern const agent_ops *const agent_registry[];                  /* NULL at the end */
const agent_ops *agent_find(const char *name, garam_error *err); /* nearest name on failure */
/* Can it act in such a world? The message names the agent, the environment's space and who can. */
garam_status agent_fits(const agent_ops *ops, const env_shape *shape, garam_error *err);

#endif
