/* A pool of past selves: see opponent.h. */
#include "rl/opponent.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

garam_status opponent_pool_init(opponent_pool *p, int capacity, size_t block, size_t worlds,
                                uint64_t seed, garam_error *err) {
  *p = (opponent_pool){.capacity = capacity, .block = block, .worlds = worlds, .seed = seed};
  if (capacity == 0) return GARAM_OK;
  const size_t n = (size_t)capacity, bytes = n * block * sizeof *p->params;
  p->params = mem_alloc_aligned(bytes, 64);
  p->version = mem_array(n, sizeof *p->version);
  p->act = mem_array(n, sizeof *p->act);
  p->who = mem_array(worlds, sizeof *p->who);
  p->team = mem_array(worlds, sizeof *p->team);
  p->episode = mem_array(worlds, sizeof *p->episode);
  if (!p->params || !p->version || !p->act || !p->who || !p->team || !p->episode) {
    opponent_pool_deinit(p);
    return fail_memory(err, bytes);
  }
  memset(p->params, 0, bytes);
  for (size_t w = 0; w < worlds; w++) p->who[w] = -1;
  return GARAM_OK;
}

void opponent_pool_deinit(opponent_pool *p) {
  for (int i = 0; p->act && i < p->capacity; i++) plan_free(p->act[i]);
  mem_free_aligned(p->params);
  mem_free(p->version);
  mem_free(p->act);
  mem_free(p->who);
  mem_free(p->team);
  mem_free(p->episode);
  *p = (opponent_pool){0};
}

garam_status opponent_pool_compile(opponent_pool *p, graph *g, garam_error *err) {
  for (int i = 0; i < p->capacity; i++)
    TRY(graph_compile(&p->act[i], g,
                      &(plan_config){.params = p->params + (size_t)i * p->block,
                                     .params_version = &p->version[i]},
                      err));
  return GARAM_OK;
}

void opponent_pool_offer(opponent_pool *p, const float *params) {
  if (p->capacity == 0) return;
  uint64_t place = p->offered;
  if (p->n == p->capacity) {
    rng r;
    rng_init(&r, p->seed, RNG_OPPONENT, UINT64_C(1) << 63 | p->offered);
    place = rng_below(&r, p->offered + 1);
  } else p->n++;
  p->offered++;
  if (place >= (uint64_t)p->capacity) return;
  memcpy(p->params + place * p->block, params, p->block * sizeof *params);
  p->version[place]++;
}

void opponent_pool_draw(opponent_pool *p, size_t w, int n_teams, double share) {
  rng r;
  rng_init(&r, p->seed, RNG_OPPONENT, (uint64_t)w << 32 | (p->episode[w]++ & UINT32_MAX));
  p->who[w] = -1;
  if (p->n == 0 || rng_uniform(&r) >= share) return;
  p->who[w] = (int32_t)rng_below(&r, (uint64_t)p->n);
  p->team[w] = (int32_t)rng_below(&r, (uint64_t)n_teams);
}
