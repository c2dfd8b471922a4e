/* Episodes on held-out seeds: who acts may be a policy, a script or chance. Every episode has a
 * number, and begins as env_reset_world of (seed, number) says, whatever the others do: two
 * policies that are judged on one seed are judged on the same beginnings. */
#ifndef RL_EVALUATE_H
#define RL_EVALUATE_H

#include "rl/policy.h"

/* Who acts: observations of all worlds of e -> action (n, A, U). */
typedef struct player {
  garam_status (*act)(void *self, env *e, float *action, garam_error *err);
  void *self;
} player;
player player_policy(policy *p);

typedef struct evaluation {
  size_t n_episodes;
  int n_agents;
  double *returns; /* (n_episodes, A) undiscounted */
  int32_t *steps;  /* (n_episodes) */
  double *score;   /* (n_episodes): the mean return of the agents of `team` */
  uint64_t world_steps;
  double seconds;
} evaluation;

/* The team whose mean return is an episode's score: the first agent's. */
const char *evaluation_team(const env_shape *shape);
double evaluation_score(const env_shape *shape, const double *returns, const char *team);

/* `e` is used as it is (its worlds, its seed) and left in some state: its own episodes are lost.
 * Nothing is allocated once `out` has been initialised and the player is warm. */
garam_status evaluation_init(evaluation *out, const env *e, size_t n_episodes, garam_error *err);
void evaluation_deinit(evaluation *v);
garam_status evaluation_run(evaluation *out, env *e, const player *who, garam_error *err);

#endif
