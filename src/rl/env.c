/* A batch of worlds: its memory, its clock, autoreset, and what is refused. */
#include "rl/env.h"

#include "base/mem.h"
#include "base/thread.h"
#include "base/wide.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

enum { ALIGNMENT = 64, GRAIN = 256 };

/* ---- memory -------------------------------------------------------------------------------- */

typedef struct cut {
  char *memory; /* NULL: only counts */
  size_t at;
} cut;

static void *take(cut *c, size_t count, size_t size) {
  void *here = c->memory ? c->memory + c->at : NULL;
  c->at += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  return count ? here : NULL;
}

static void lay_out(env_batch *b, cut *c, const env_shape *s, size_t n) {
  const size_t agents = n * (size_t)s->n_agents;
  const size_t observed = agents * (size_t)s->observation_width, state = n * (size_t)s->state_width;
  *b = (env_batch){.n = n};
  take(c, n, s->world_bytes);
  b->observation = take(c, observed, sizeof(float));
  b->action = take(c, agents * (size_t)s->action_width, sizeof(float));
  b->reward = take(c, agents, sizeof(float));
  b->terminated = take(c, agents, 1);
  b->truncated = take(c, agents, 1);
  b->alive = take(c, agents, 1);
  b->ended = take(c, n, 1);
  b->final_observation = take(c, observed, sizeof(float));
  b->state = take(c, state, sizeof(float));
  b->final_state = take(c, state, sizeof(float));
  b->info = take(c, n * (size_t)s->n_info, sizeof(float));
  b->episode = take(c, n, sizeof(uint64_t));
  b->steps = take(c, n, sizeof(int32_t));
  b->episode_return = take(c, agents, sizeof(double));
  b->last_return = take(c, agents, sizeof(double));
  b->last_steps = take(c, n, sizeof(int32_t));
}

size_t env_memory_bytes(const env_shape *shape, size_t n) {
  env_batch b;
  cut c = {0};
  lay_out(&b, &c, shape, n);
  return c.at;
}

/* What an open may have got wrong: a host's own, so it is said and not aborted. */
static garam_status check_shape(const env_ops *ops, const env_shape *s, garam_error *err) {
  if (s->n_agents < 1 || s->n_agents > ENV_MAX_AGENTS || !s->agents)
    return fail(err, GARAM_INVALID, "environment %s: %d agents, expected 1 to %d", ops->name,
                s->n_agents, ENV_MAX_AGENTS);
  if (s->observation_width < 1 || s->action_width < 1 || s->state_width < 0 || s->max_steps < 0 ||
      s->n_info < 0 || s->world_bytes == 0)
    return fail(err, GARAM_INVALID, "environment %s: a width, limit or size is missing or negative",
                ops->name);
  for (int a = 0; a < s->n_agents; a++) {
    const env_agent *agent = &s->agents[a];
    const int width = agent->action.kind == ENV_BOX ? agent->action.n : 1;
    if (agent->observation.kind != ENV_BOX || agent->observation.n < 1 ||
        agent->observation.n > s->observation_width)
      return fail(err, GARAM_INVALID,
                  "environment %s: agent %s observes %d numbers, expected 1 to %d", ops->name,
                  agent->name, agent->observation.n, s->observation_width);
    if (agent->action.n < 1 || width > s->action_width)
      return fail(err, GARAM_INVALID, "environment %s: agent %s has an action space of %d",
                  ops->name, agent->name, agent->action.n);
    for (int i = 0; agent->action.kind == ENV_BOX && agent->action.low && i < agent->action.n; i++)
      if (!agent->action.high || !(agent->action.low[i] < agent->action.high[i]))
        return fail(err, GARAM_INVALID, "environment %s: agent %s: bounds of action %d are empty",
                    ops->name, agent->name, i);
  }
  return GARAM_OK;
}

garam_status env_new(env **out, const env_ops *ops, const void *config, const env_setup *setup,
                     garam_error *err) {
  *out = NULL;
  if (setup->n < 1) return fail(err, GARAM_INVALID, "environment %s: 0 worlds", ops->name);
  garam_status status = GARAM_OK;
  env *e = mem_zalloc(sizeof *e);
  if (!e) return fail_memory(err, sizeof *e);
  e->ops = ops;
  e->seed = setup->seed;
  if (ops->config_size) {
    e->config = mem_zalloc(ops->config_size);
    if (!e->config) {
      status = fail_memory(err, ops->config_size);
      goto done;
    }
    if (config) memcpy(e->config, config, ops->config_size);
    else opt_defaults(ops->options, ops->n_options, e->config);
  }
  TRY_GOTO(done, ops->open(e, e->config, err));
  TRY_GOTO(done, check_shape(ops, &e->shape, err));
  e->memory_bytes = env_memory_bytes(&e->shape, setup->n);
  if (setup->memory) {
    REQUIRE(setup->memory_bytes >= e->memory_bytes && (uintptr_t)setup->memory % ALIGNMENT == 0,
            "env_new: %zu bytes of memory, %zu aligned to 64 are needed", setup->memory_bytes,
            e->memory_bytes);
    e->memory = setup->memory;
  } else {
    e->memory = mem_alloc_aligned(e->memory_bytes, ALIGNMENT);
    e->owns_memory = true;
    if (!e->memory) {
      status = fail_memory(err, e->memory_bytes);
      goto done;
    }
  }
  cut c = {.memory = e->memory};
  memset(e->memory, 0, e->memory_bytes);
  lay_out(&e->batch, &c, &e->shape, setup->n);
  env_reset(e);
  *out = e;
  return GARAM_OK;
done:
  env_free(e);
  return status;
}

void env_free(env *e) {
  if (!e) return;
  e->ops->close(e);
  if (e->owns_memory) mem_free_aligned(e->memory);
  mem_free(e->config);
  mem_free(e);
}

size_t env_state_bytes(const env *e) {
  return e->memory_bytes;
}

void env_state_get(const env *e, void *out) {
  memcpy(out, e->memory, e->memory_bytes);
}

void env_state_set(env *e, const void *state) {
  memcpy(e->memory, state, e->memory_bytes);
}

/* ---- episodes ------------------------------------------------------------------------------ */

void env_reset_world(env *e, size_t i, uint64_t episode) {
  const env_shape *s = &e->shape;
  env_batch *b = &e->batch;
  const size_t agents = (size_t)s->n_agents, width = (size_t)s->observation_width;
  rng r;
  rng_init(&r, e->seed, RNG_ENV, (uint64_t)i << 32 | (episode & UINT32_MAX));
  b->episode[i] = episode;
  b->steps[i] = 0;
  memset(b->episode_return + i * agents, 0, agents * sizeof *b->episode_return);
  memset(b->observation + i * agents * width, 0, agents * width * sizeof *b->observation);
  memset(b->alive + i * agents, 1, agents);
  e->ops->reset(e, i, &r);
}

void env_reset(env *e) {
  for (size_t i = 0; i < e->batch.n; i++) {
    env_reset_world(e, i, 0);
    e->batch.ended[i] = 0;
  }
}

static void end_episode(env *e, size_t i) {
  const env_shape *s = &e->shape;
  env_batch *b = &e->batch;
  const size_t agents = (size_t)s->n_agents, width = agents * (size_t)s->observation_width;
  memcpy(b->final_observation + i * width, b->observation + i * width,
         width * sizeof *b->observation);
  if (b->state)
    memcpy(b->final_state + i * (size_t)s->state_width, b->state + i * (size_t)s->state_width,
           (size_t)s->state_width * sizeof *b->state);
  memcpy(b->last_return + i * agents, b->episode_return + i * agents,
         agents * sizeof *b->last_return);
  b->last_steps[i] = b->steps[i];
  b->ended[i] = 1;
  env_reset_world(e, i, b->episode[i] + 1);
}

/* ---- a step -------------------------------------------------------------------------------- */

/* No branch a number, so that it is a few instructions a register. */
WIDE static uint32_t count_bad(const float *x, size_t n) {
  uint32_t bad = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bad |= (bits & 0x7f800000u) == 0x7f800000u;
  }
  return bad;
}

static bool finite_all(const float *x, size_t n) {
  return !count_bad(x, n);
}

/* Whole numbers from 0 to below n, at most 2^22: above 2^23 a float has no fraction, so adding that
 * rounds. */
WIDE static uint32_t count_misfits(const float *x, size_t n_numbers, float n) {
  uint32_t bad = 0;
  for (size_t i = 0; i < n_numbers; i++) {
    const float rounded = (x[i] + 0x1p23f) - 0x1p23f;
    bad |= (uint32_t)(!(x[i] >= 0) | !(x[i] < n) | (rounded != x[i]));
  }
  return bad;
}

static bool action_fits(const env_space *space, const float *action) {
  if (space->kind == ENV_BOX) return finite_all(action, (size_t)space->n);
  return action[0] >= 0 && action[0] < (float)space->n && action[0] == floorf(action[0]);
}

/* First world of each kind of fault; SIZE_MAX: none. */
typedef struct stepping {
  env *e;
  atomic_size_t bad_action, bad_result;
} stepping;

static void note(atomic_size_t *first, size_t i) {
  size_t seen = atomic_load(first);
  while (i < seen && !atomic_compare_exchange_weak(first, &seen, i)) continue;
}

static bool actions_fit(const env *e, size_t i) {
  const env_shape *s = &e->shape;
  const size_t agents = (size_t)s->n_agents, width = (size_t)s->action_width;
  for (size_t a = 0; a < agents; a++)
    if (e->batch.alive[i * agents + a] &&
        !action_fits(&s->agents[a].action, e->batch.action + (i * agents + a) * width))
      return false;
  return true;
}

/* What must hold of the actions of a chunk for all to fit, whoever is alive: quick to see. Where it
 * does not hold they are looked at one by one. */
static bool surely_fit(const env *e, size_t begin, size_t end) {
  const env_shape *s = &e->shape;
  const size_t each = (size_t)s->n_agents * (size_t)s->action_width;
  const float *action = e->batch.action + begin * each;
  int boxes = 0, fewest = 1 << 22;
  for (int a = 0; a < s->n_agents; a++) {
    if (s->agents[a].action.kind == ENV_BOX) boxes++;
    else if (s->agents[a].action.n < fewest) fewest = s->agents[a].action.n;
  }
  if (boxes == s->n_agents) return finite_all(action, (end - begin) * each);
  if (boxes > 0 || s->action_width > 1) return false;
  return !count_misfits(action, (end - begin) * each, (float)fewest);
}

WIDE static void add_rewards(double *restrict sum, const float *restrict reward, size_t n) {
  for (size_t i = 0; i < n; i++) sum[i] += (double)reward[i];
}

/* Something may end in world i. */
static void settle(env *e, size_t i, bool cut_now) {
  env_batch *b = &e->batch;
  const size_t agents = (size_t)e->shape.n_agents;
  uint8_t *alive = b->alive + i * agents;
  bool any = false;
  for (size_t a = 0; a < agents; a++) {
    const size_t at = i * agents + a;
    if (!alive[a]) continue;
    if (b->terminated[at]) b->truncated[at] = 0;
    else if (cut_now) b->truncated[at] = 1;
    alive[a] = !b->terminated[at] && !b->truncated[at];
    any |= alive[a];
  }
  if (!any) end_episode(e, i);
}

static void step_range(void *context, size_t begin, size_t end) {
  stepping *x = context;
  env *e = x->e;
  const env_shape *s = &e->shape;
  env_batch *b = &e->batch;
  const size_t agents = (size_t)s->n_agents, n = end - begin;
  const size_t observed = agents * (size_t)s->observation_width, state = (size_t)s->state_width;
  const bool fit = surely_fit(e, begin, end);
  for (size_t i = begin; i < end && !fit; i++)
    if (!actions_fit(e, i)) {
      note(&x->bad_action, i);
      return;
    }
  memset(b->reward + begin * agents, 0, n * agents * sizeof *b->reward);
  memset(b->terminated + begin * agents, 0, n * agents);
  memset(b->truncated + begin * agents, 0, n * agents);
  memset(b->ended + begin, 0, n);
  if (b->info)
    memset(b->info + begin * (size_t)s->n_info, 0, n * (size_t)s->n_info * sizeof *b->info);
  e->ops->step(e, begin, end);
  if (!finite_all(b->observation + begin * observed, n * observed) ||
      !finite_all(b->reward + begin * agents, n * agents) ||
      (state && !finite_all(b->state + begin * state, n * state))) {
    note(&x->bad_result, begin);
    return;
  }
  add_rewards(b->episode_return + begin * agents, b->reward + begin * agents, n * agents);
  const int32_t limit = s->max_steps > 0 ? s->max_steps : INT32_MAX;
  for (size_t i = begin; i < end; i++) {
    const bool cut_now = ++b->steps[i] >= limit;
    uint8_t over = cut_now;
    for (size_t a = i * agents; a < (i + 1) * agents; a++)
      over |= b->terminated[a] | b->truncated[a];
    if (over) settle(e, i, cut_now);
  }
}

static garam_status fail_action(const env *e, size_t i, garam_error *err) {
  const env_shape *s = &e->shape;
  for (int a = 0; a < s->n_agents; a++) {
    const size_t at = i * (size_t)s->n_agents + (size_t)a;
    const env_space *space = &s->agents[a].action;
    const float *action = e->batch.action + at * (size_t)s->action_width;
    if (!e->batch.alive[at] || action_fits(space, action)) continue;
    if (space->kind == ENV_DISCRETE)
      return fail(err, GARAM_INVALID,
                  "environment %s, world %zu, agent %s, step %d: action %g, expected 0 to %d",
                  e->ops->name, i, s->agents[a].name, e->batch.steps[i], (double)action[0],
                  space->n - 1);
    return fail(err, GARAM_INVALID,
                "environment %s, world %zu, agent %s, step %d: an action is not finite",
                e->ops->name, i, s->agents[a].name, e->batch.steps[i]);
  }
  return GARAM_OK;
}

/* From world `from` on, in its chunk: steps were not counted yet there. */
static garam_status fail_result(const env *e, size_t from, garam_error *err) {
  const env_shape *s = &e->shape;
  const env_batch *b = &e->batch;
  const size_t agents = (size_t)s->n_agents, width = (size_t)s->observation_width;
  for (size_t i = from; i < b->n; i++) {
    for (size_t a = 0; a < agents; a++) {
      const size_t at = i * agents + a;
      const char *what = !finite_all(b->observation + at * width, width) ? "an observation"
                         : !finite_all(b->reward + at, 1)                ? "a reward"
                                                                         : NULL;
      if (what)
        return fail(err, GARAM_NUMERIC,
                    "environment %s, world %zu, agent %s, step %d: %s is not finite", e->ops->name,
                    i, s->agents[a].name, b->steps[i] + 1, what);
    }
    if (b->state && !finite_all(b->state + i * (size_t)s->state_width, (size_t)s->state_width))
      return fail(err, GARAM_NUMERIC, "environment %s, world %zu, step %d: its state is not finite",
                  e->ops->name, i, b->steps[i] + 1);
  }
  return GARAM_OK;
}

garam_status env_step(env *e, garam_error *err) {
  stepping x = {.e = e};
  atomic_init(&x.bad_action, SIZE_MAX);
  atomic_init(&x.bad_result, SIZE_MAX);
  thread_for(e->batch.n, GRAIN, step_range, &x);
  const size_t action = atomic_load(&x.bad_action), result = atomic_load(&x.bad_result);
  if (action != SIZE_MAX) return fail_action(e, action, err);
  if (result != SIZE_MAX) return fail_result(e, result, err);
  return GARAM_OK;
}

/* ---- names and shapes ---------------------------------------------------------------------- */

const env_ops *env_find(const char *name, garam_error *err) {
  const char *names[256];
  size_t n = 0;
  for (; env_registry[n] && n < COUNT_OF(names); n++) {
    if (strcmp(env_registry[n]->name, name) == 0) return env_registry[n];
    names[n] = env_registry[n]->name;
  }
  const char *near = name_nearest(name, names, n);
  fail(err, GARAM_NOT_FOUND, "unknown environment \"%s\"%s%s%s", name,
       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  return NULL;
}

garam_status env_shape_match(const env_shape *have, const env_shape *want, garam_error *err) {
  if (have->n_agents != want->n_agents)
    return fail(err, GARAM_MISMATCH, "%d agents, expected %d", have->n_agents, want->n_agents);
  for (int a = 0; a < have->n_agents; a++) {
    const env_agent *x = &have->agents[a], *y = &want->agents[a];
    if (x->observation.n != y->observation.n)
      return fail(err, GARAM_MISMATCH, "agent %s observes %d numbers, expected %d", x->name,
                  x->observation.n, y->observation.n);
    if (x->action.kind != y->action.kind || x->action.n != y->action.n)
      return fail(err, GARAM_MISMATCH, "agent %s acts by %s of %d, expected %s of %d", x->name,
                  x->action.kind == ENV_BOX ? "a box" : "choices", x->action.n,
                  y->action.kind == ENV_BOX ? "a box" : "choices", y->action.n);
  }
  return GARAM_OK;
}
