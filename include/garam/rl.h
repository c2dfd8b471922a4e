/* Agents that learn to act, and what they have learnt. Settings are one JSON object with the keys
 * that `garam rl train --config` takes (docs/reinforcement-learning.md; `garam options ppo` lists
 * an agent's).
 *
 *   char *result;
 *   garam_rl_train("{\"env\": \"CartPole-v1\", \"agent\": \"ppo\", \"steps\": 100000, \"seeds\":
 * 10," " \"out\": \"policy.safetensors\"}", NULL, NULL, NULL, &result, &err); garam_free(result);
 *
 *   garam_policy *policy;
 *   garam_policy_open(&policy, "policy.safetensors", &err);
 *   garam_policy_act(policy, observation, 1, action, &err); */
#ifndef GARAM_RL_H
#define GARAM_RL_H

#include "garam/env.h"
#include "garam/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How far an experiment is. After an evaluation on held-out episodes `seed` is its run and the
 * returns are there; between them seed is -1 and they are NaN. */
typedef struct garam_rl_progress {
  uint64_t steps, of; /* world steps of all runs together */
  int seed;
  double exploring;           /* mean return of the episodes that were learnt from */
  double held_out, low, high; /* mean return of held-out episodes, and its 95 % interval */
} garam_rl_progress;

/* Called from one thread at a time. A value other than 0 stops: checkpoints are saved and
 * GARAM_INTERRUPTED comes back; "resume": true goes on from there, bit for bit. */
typedef int (*garam_rl_progress_fn)(void *context, const garam_rl_progress *progress);

/* `config`: "agent" (required), "env" (unless `env` is given, which is then what is played),
 * "steps", "seeds", "seed", "out", "preset", "resume", and every option of agent, environment and
 * experiment. *result_json (may be NULL) has the keys of `garam rl train --json`; garam_free. An
 * unknown key is GARAM_NOT_FOUND, a world that the agent cannot act in GARAM_MISMATCH, one whose
 * numbers are not finite GARAM_NUMERIC. */
GARAM_API garam_status garam_rl_train(const char *config, const garam_env *env,
                                      garam_rl_progress_fn progress, void *context,
                                      char **result_json, garam_error *err);

/* Returns of a policy on held-out episodes: in `env`, or where it was trained. `config` may be
 * NULL, or hold "episodes", "seeds" and "seed". *result_json as `garam rl evaluate --json`. */
GARAM_API garam_status garam_rl_evaluate(const char *policy_path, const garam_env *env,
                                         const char *config, char **result_json, garam_error *err);

/* A policy in use. Not by two threads at a time: open one for each. */
typedef struct garam_policy garam_policy;
GARAM_API garam_status garam_policy_open(garam_policy **out, const char *path, garam_error *err);
GARAM_API void garam_policy_close(garam_policy *policy);                     /* NULL is fine */
GARAM_API size_t garam_policy_n_agents(const garam_policy *policy);          /* A */
GARAM_API size_t garam_policy_observation_width(const garam_policy *policy); /* O */
GARAM_API size_t garam_policy_action_width(const garam_policy *policy);      /* U */
/* observation (n, A, O) -> action (n, A, U): what it does without exploring; a choice is a whole
 * number. Allocates nothing once an n has been seen. */
GARAM_API garam_status garam_policy_act(garam_policy *policy, const float *observation, size_t n,
                                        float *action, garam_error *err);

#ifdef __cplusplus
}
#endif
#endif
