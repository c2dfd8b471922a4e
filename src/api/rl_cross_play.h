/* Policies of one competitive environment against each other, as JSON. */
#ifndef API_RL_CROSS_PLAY_H
#define API_RL_CROSS_PLAY_H

#include "api/rl_world.h"

/* *result: env, team, episodes, players[], score[][] (mean return of the first team when the row
 * plays it and the column the others), won[][] (share of games that the row won against the column:
 * rl/crossplay.h), elo[]. *result is NULL where the world has only one team. */
garam_status rl_cross_play(json_t **result, const char *const *policies, const char *const *names,
                           size_t n, size_t episodes, uint64_t seed, garam_error *err);

#endif
