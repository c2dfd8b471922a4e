/* Opponents: past selves that a learner plays against, so that it does not only learn to beat what
 * it is now (fictitious self-play: Heinrich & Silver 2016; pools: Bansal et al. 2018). Some
 * episodes have one team that is a past one of itself; nothing is learnt from what that team did.
 *
 * Who is in the pool is a uniform sample of all that ever were offered (reservoir: Vitter 1985).
 * Which opponent a world meets is a function of (seed, world, episode). A place that is taken over
 * by another past self changes in the middle of an episode. */
#ifndef RL_OPPONENT_H
#define RL_OPPONENT_H

#include "graph/graph.h"

typedef struct opponent_pool {
  int capacity, n; /* 0: off */
  size_t block, worlds;
  uint64_t seed, offered;
  float *params;     /* (capacity, block) */
  uint64_t *version; /* (capacity) */
  plan **act;        /* (capacity), by opponent_pool_compile */
  int32_t *who;      /* (worlds) the opponent's place; -1: none */
  int32_t *team;     /* (worlds) that it plays */
  uint64_t *episode; /* (worlds) */
} opponent_pool;

garam_status opponent_pool_init(opponent_pool *p, int capacity, size_t block, size_t worlds,
                                uint64_t seed, garam_error *err);
void opponent_pool_deinit(opponent_pool *p);
/* A plan of `g` for each place, whose parameters are the beginning of a block. */
garam_status opponent_pool_compile(opponent_pool *p, graph *g, garam_error *err);

/* Offers a copy of `params` (block). The first ones are all taken. */
void opponent_pool_offer(opponent_pool *p, const float *params);
/* World w begins an episode: with probability `share` one of n_teams is a past one. */
void opponent_pool_draw(opponent_pool *p, size_t w, int n_teams, double share);

#endif
