/* Policies of one competitive environment against each other: every one plays every side. */
#ifndef API_RL_CROSS_PLAY_H
#define API_RL_CROSS_PLAY_H

#include "api/rl_world.h"

/* *result: players[], score[][] (mean return of the first team when the row plays it and the column
 * the others), won[][] (share of games that the row won against the column: a game is the same
 * beginning from both sides, and the larger sum of returns wins), elo[]; Bradley and Terry's
 * ratings around 1500. *result is NULL where the world has only one team. */
garam_status rl_cross_play(json_t **result, const rl_world_spec *specs, const char *const *names,
                           size_t n, size_t episodes, uint64_t seed, garam_error *err);

#endif
