/* On-policy storage: see rollout.h. */
#include "rl/rollout.h"

#include "base/mem.h"
#include "rl/gae.h"

#include <math.h>
#include <string.h>

enum { ALIGNMENT = 64 };

static size_t take(size_t *at, size_t count, size_t size) {
  const size_t here = *at;
  *at += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return here;
}

garam_status rollout_init(rollout *r, const rollout_shape *s, garam_error *err) {
  *r = (rollout){.shape = *s};
  const size_t rows = s->steps * s->worlds, lanes = rows * s->agents;
  float **const floats[] = {&r->observation, &r->state,  &r->action, &r->log_prob,  &r->value,
                            &r->next_value,  &r->reward, &r->weight, &r->advantage, &r->target};
  size_t counts[COUNT_OF(floats)] = {lanes * s->observation, rows * s->state, lanes * s->action};
  for (size_t i = 3; i < COUNT_OF(floats); i++) counts[i] = lanes;
  size_t at[COUNT_OF(floats)];
  for (size_t i = 0; i < COUNT_OF(floats); i++) at[i] = take(&r->bytes, counts[i], sizeof(float));
  const size_t terminated = take(&r->bytes, lanes, 1), ended = take(&r->bytes, lanes, 1);
  r->memory = mem_alloc_aligned(r->bytes, ALIGNMENT);
  if (!r->memory) return fail_memory(err, r->bytes);
  memset(r->memory, 0, r->bytes);
  for (size_t i = 0; i < COUNT_OF(floats); i++)
    *floats[i] = counts[i] ? (float *)(void *)(r->memory + at[i]) : NULL;
  r->terminated = (uint8_t *)r->memory + terminated;
  r->ended = (uint8_t *)r->memory + ended;
  return GARAM_OK;
}

void rollout_deinit(rollout *r) {
  mem_free_aligned(r->memory);
  *r = (rollout){0};
}

void rollout_finish(rollout *r, const float *last, double gamma, double lambda) {
  const size_t lanes = r->shape.worlds * r->shape.agents;
  for (size_t t = 0; t < r->t; t++) {
    const float *next = t + 1 < r->t ? r->value + (t + 1) * lanes : last;
    for (size_t i = 0; i < lanes; i++)
      if (!r->ended[t * lanes + i]) r->next_value[t * lanes + i] = next[i];
  }
  gae(r->advantage, r->target, r->reward, r->value, r->next_value, r->terminated, r->ended, r->t,
      lanes, gamma, lambda);
}

void rollout_normalize(rollout *r, const int *group, int which) {
  const size_t n = r->t * r->shape.worlds * r->shape.agents, agents = r->shape.agents;
  double weight = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) {
    if (group[i % agents] != which) continue;
    weight += (double)r->weight[i];
    sum += (double)r->weight[i] * (double)r->advantage[i];
  }
  if (!(weight > 0)) return;
  const double mean = sum / weight;
  for (size_t i = 0; i < n; i++) {
    if (group[i % agents] != which) continue;
    const double off = (double)r->advantage[i] - mean;
    squares += (double)r->weight[i] * off * off;
  }
  const double scale = 1 / (sqrt(squares / weight) + 1e-8);
  for (size_t i = 0; i < n; i++)
    if (group[i % agents] == which)
      r->advantage[i] = (float)(((double)r->advantage[i] - mean) * scale);
}
