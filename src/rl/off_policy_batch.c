/* From replay to what programs read: normalised observations, encoded actions, rewards in units. */
#include "rl/off_policy.h"

#include <string.h>

enum { ALIGNMENT = 64 };

static void *take(char *memory, size_t *at, size_t bytes) {
  void *here = memory ? memory + *at : NULL;
  *at += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return here;
}

size_t off_policy_batch_lay_out(off_policy *l, char *memory) {
  off_policy_batch *b = &l->batch;
  const size_t rows = (size_t)l->config.batch, agents = l->agents, f = sizeof(float);
  size_t at = 0;
  b->observation = take(memory, &at, rows * agents * l->o * f);
  b->next = take(memory, &at, rows * agents * l->o * f);
  b->state = take(memory, &at, rows * l->s * f);
  b->next_state = take(memory, &at, rows * l->s * f);
  b->action = take(memory, &at, rows * agents * l->v * f);
  b->reward = take(memory, &at, rows * agents * f);
  b->discount = take(memory, &at, rows * agents * f);
  b->weight = take(memory, &at, rows * agents * f);
  b->index = take(memory, &at, rows * sizeof *b->index);
  b->importance = take(memory, &at, rows * f);
  b->error = take(memory, &at, rows * sizeof *b->error);
  b->alive = take(memory, &at, agents);
  l->drawn = take(memory, &at, l->n * agents * l->u * f);
  l->running = take(memory, &at, l->n * agents * sizeof *l->running);
  l->sums = take(memory, &at, l->n * agents * sizeof *l->sums);
  l->flags = take(memory, &at, 2 * l->n * agents);
  return at;
}

/* One agent's action as critics read it. */
static void encode(const off_policy *l, float *out, const float *action, size_t a) {
  const env_space *space = &l->shape->agents[a].action;
  memset(out, 0, l->v * sizeof *out);
  if (space->kind == ENV_DISCRETE) {
    out[(size_t)action[0]] = 1;
    return;
  }
  for (int i = 0; i < space->n; i++) {
    double middle, half;
    actor_box_range(&middle, &half, &l->actor, (int)a, i);
    out[i] = (float)(((double)action[i] - middle) / half);
  }
}

/* Rows of agents, each from the one `turned` places on. */
static void copy_rows(float *out, const float *in, size_t agents, size_t width, size_t turned) {
  if (turned == 0) {
    memcpy(out, in, agents * width * sizeof *out);
    return;
  }
  for (size_t a = 0; a < agents; a++)
    memcpy(out + a * width, in + (a + turned) % agents * width, width * sizeof *out);
}

void off_policy_gather(off_policy *l, size_t turned) {
  off_policy_batch *b = &l->batch;
  const size_t rows = (size_t)l->config.batch, agents = l->agents, o = agents * l->o;
  float reward[ENV_MAX_AGENTS], discount[ENV_MAX_AGENTS];
  for (size_t i = 0; i < rows; i++) {
    replay_row row = {.reward = reward, .discount = discount, .alive = b->alive};
    replay_get(l->replay, &row, b->index[i], (size_t)l->config.n_steps, l->config.gamma);
    copy_rows(b->observation + i * o, row.observation, agents, l->o, turned);
    copy_rows(b->next + i * o, row.next_observation, agents, l->o, turned);
    if (l->s) {
      memcpy(b->state + i * l->s, row.state, l->s * sizeof *b->state);
      memcpy(b->next_state + i * l->s, row.next_state, l->s * sizeof *b->next_state);
    }
    for (size_t a = 0; a < agents; a++) {
      const size_t from = (a + turned) % agents, at = i * agents + a;
      encode(l, b->action + at * l->v, row.action + from * l->u, from);
      b->reward[at] = reward[from];
      if (l->config.normalize_rewards)
        b->reward[at] = (float)((double)reward[from] * l->returns.inverse[from]);
      b->discount[at] = discount[from];
      b->weight[at] = b->alive[from] ? b->importance[i] : 0;
    }
  }
  if (!l->config.normalize_observations) return;
  normalizer_apply(&l->observed, b->observation, b->observation, rows);
  normalizer_apply(&l->observed, b->next, b->next, rows);
}
