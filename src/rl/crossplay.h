/* Everybody against everybody: policies of an environment with two teams, each playing the first
 * team against each playing the others. Who beat whom gives ratings (elo.h). */
#ifndef RL_CROSSPLAY_H
#define RL_CROSSPLAY_H

#include "rl/policy.h"

typedef struct crossplay {
  size_t n_players, n_episodes;
  const char *home_team; /* that of the first agent; of the env */
  double *home, *away;   /* (P, P) mean return of an agent of the home team, played by the row, and
                            of the others, played by the column */
  double *score, *games; /* (P, P) points of row against column, and how many were played for */
  double *rating;        /* (P) Elo's, 1500 in the middle */
  double *returns;       /* (P, P, E, 2) of each episode: home, away */
  double *memory;
} crossplay;

/* A game of i against j is two episodes with the same beginning, each at home once; who has got
 * more in sum has won, equal sums are draws. Beginnings are the same for all pairs: a function of
 * the env's seed and its number of worlds. `e` is used as it is, and its episodes are lost.
 * GARAM_INVALID: one team alone; GARAM_MISMATCH: a policy of another shape. */
garam_status crossplay_run(crossplay *out, env *e, policy *const *players, size_t n_players,
                           size_t n_episodes, garam_error *err);
void crossplay_deinit(crossplay *x);

#endif
