/* What on-policy learners keep: T steps of N worlds with A agents each, in the order in which they
 * happened, as the nets saw them. One block of memory; nothing is allocated while it fills. */
#ifndef RL_ROLLOUT_H
#define RL_ROLLOUT_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct rollout_shape {
  size_t steps, worlds, agents;      /* T, N, A */
  size_t observation, action, state; /* O, U, S (0: no state) */
} rollout_shape;

typedef struct rollout {
  rollout_shape shape;
  size_t t;           /* steps that are there */
  float *observation; /* (T, N, A, O) */
  float *state;       /* (T, N, S); NULL when S is 0 */
  float *action;      /* (T, N, A, U) as drawn, before a box's bounds cut it */
  /* (T, N, A) each: */
  float *log_prob, *value; /* when it acted */
  float *next_value;       /* of what followed the step */
  float *reward;
  float *weight; /* how much the agent learns from the step; 0: it did not act by its own policy */
  float *advantage, *target;   /* by rollout_finish */
  uint8_t *terminated, *ended; /* see gae.h */
  char *memory;
  size_t bytes;
} rollout;

garam_status rollout_init(rollout *r, const rollout_shape *shape, garam_error *err);
void rollout_deinit(rollout *r);

/* Fills next_value where nothing else was said: each step's is the next step's value, the last
 * step's is `last` (N, A). Where an episode was cut the caller has written it already. Then
 * advantages and targets. */
void rollout_finish(rollout *r, const float *last, double gamma, double lambda);

/* Mean 0 and deviation 1 of the advantages that weigh something, over all agents for which
 * group[a] is `which`. */
void rollout_normalize(rollout *r, const int *group, int which);

#endif
