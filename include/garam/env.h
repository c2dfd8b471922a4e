/* An environment of one's own, for agents to learn in.
 *
 *   static const garam_env_agent walker = {.name = "walker", .observation = 2, .choices = 3};
 *   static const garam_env corridor = {.name = "corridor", .n_agents = 1, .agents = &walker,
 *                                      .max_steps = 50, .world_bytes = sizeof(struct place),
 *                                      .reset = corridor_reset, .step = corridor_step};
 *   garam_rl_train("{\"agent\": \"ppo\", \"steps\": 50000}", &corridor, NULL, NULL, &result, &err);
 *
 * garam plays many worlds of it at a time: it owns their memory, counts their steps, cuts them at
 * max_steps, begins the next episode, and looks that what comes out is finite. examples/
 * own_environment.c is a whole one. */
#ifndef GARAM_ENV_H
#define GARAM_ENV_H

#include "garam/garam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Random numbers that depend on seed, world, episode and step alone. */
typedef struct garam_random garam_random;
GARAM_API double garam_random_uniform(garam_random *random); /* [0, 1) */
GARAM_API double garam_random_normal(garam_random *random);  /* mean 0, deviation 1 */

/* One body. It sees `observation` numbers, and chooses one of `choices`, or, where that is 0, does
 * `action` numbers between low and high. */
typedef struct garam_env_agent {
  const char *name;
  const char *team; /* who is alike, and on one side; NULL: the name */
  int observation, choices, action;
  const float *low, *high; /* (action); NULL: no bounds */
} garam_env_agent;

typedef struct garam_env {
  const char *name;
  int n_agents;                   /* A, at most 64 */
  const garam_env_agent *agents;  /* (A) */
  int max_steps;                  /* then everyone is cut; 0: never */
  size_t world_bytes;             /* of one world: plain data without pointers, zeros at first */
  double reward_low, reward_high; /* returns of chance and of the best known; both 0: not known */
  void *context;                  /* the host's; given to both functions */
  /* The beginning of an episode: the world, and observation (A, O), where O is the widest agent's;
   * it comes in zeros. */
  void (*reset)(void *context, void *world, garam_random *random, float *observation);
  /* One step: action (A, U), where U is the widest box's and a choice is a whole number; fills
   * observation (A, O), reward (A) and terminated (A), which come in zeros. Called from several
   * threads at once, each with another world. */
  void (*step)(void *context, void *world, garam_random *random, const float *action,
               float *observation, float *reward, uint8_t *terminated);
} garam_env;

#ifdef __cplusplus
}
#endif
#endif
