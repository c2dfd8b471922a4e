/* The baselines by name, and those that can play any environment. */
#include "env/baseline.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- for any environment --------------------------------------------------------------------- */

/* Uniform over the box (a bound that is infinite: over one unit beyond the other, or -1 to 1) or
 * the choices. Draws are a function of (seed, world, episode, step, number). */
static void random_act(const env *e, size_t begin, size_t end) {
  const env_shape *s = &e->shape;
  const size_t agents = (size_t)s->n_agents, width = (size_t)s->action_width;
  for (size_t i = begin; i < end; i++) {
    rng r;
    rng_init(&r, e->seed, RNG_EXPLORE, (uint64_t)i << 32 | (e->batch.episode[i] & UINT32_MAX));
    r.index = (uint32_t)((size_t)e->batch.steps[i] * ((agents * width + 1) / 2));
    for (size_t a = 0; a < agents; a++) {
      const env_space *space = &s->agents[a].action;
      float *action = e->batch.action + (i * agents + a) * width;
      if (space->kind == ENV_DISCRETE) {
        const double u = rng_uniform(&r);
        for (size_t k = 1; k < width; k++) rng_uniform(&r);
        action[0] = (float)fmin(floor(u * space->n), space->n - 1);
        continue;
      }
      for (size_t k = 0; k < width; k++) {
        const double u = rng_uniform(&r);
        if (k >= (size_t)space->n) continue;
        double low = space->low ? (double)space->low[k] : -1;
        double high = space->low ? (double)space->high[k] : 1;
        if (!isfinite(low) && !isfinite(high)) low = -1, high = 1;
        else if (!isfinite(low)) low = high - 1;
        else if (!isfinite(high)) high = low + 1;
        action[k] = (float)(low + u * (high - low));
      }
    }
  }
}

/* Nothing: zero where the box has it, else its nearest bound; the first choice. */
static void zero_act(const env *e, size_t begin, size_t end) {
  const env_shape *s = &e->shape;
  const size_t agents = (size_t)s->n_agents, width = (size_t)s->action_width;
  memset(e->batch.action + begin * agents * width, 0,
         (end - begin) * agents * width * sizeof *e->batch.action);
  for (size_t i = begin; i < end; i++)
    for (size_t a = 0; a < agents; a++) {
      const env_space *space = &s->agents[a].action;
      float *action = e->batch.action + (i * agents + a) * width;
      for (int k = 0; space->kind == ENV_BOX && space->low && k < space->n; k++)
        action[k] = fminf(fmaxf(0, space->low[k]), space->high[k]);
    }
}

const baseline baselines_any[] = {
    {.name = "random", .summary = "uniform over the action space", .act = random_act},
    {.name = "zero", .summary = "zeros, or the first choice", .act = zero_act},
    {.name = NULL},
};

/* ---- by name --------------------------------------------------------------------------------- */

static const baseline *const tables[] = {
#define X(name) baselines_##name,
    BASELINE_LIST(X)
#undef X
};

const baseline *baseline_at(const char *world, size_t i) {
  for (size_t t = 0; t < COUNT_OF(tables); t++)
    for (const baseline *b = tables[t]; b->name; b++)
      if ((!b->env || strcmp(b->env, world) == 0) && i-- == 0) return b;
  return NULL;
}

const baseline *baseline_find(const char *world, const char *name, garam_error *err) {
  char all[512] = "";
  const baseline *b;
  for (size_t i = 0; (b = baseline_at(world, i)); i++) {
    if (strcmp(b->name, name) == 0) return b;
    const size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, "%s%s", used ? ", " : "", b->name);
  }
  fail(err, GARAM_NOT_FOUND, "environment %s has no baseline \"%s\"; it has: %s", world, name, all);
  return NULL;
}

bool baseline_is_policy(const baseline *b) {
  return strcmp(b->name, "random") != 0 && !strstr(b->name, "oracle");
}

garam_status baseline_check(const baseline *b, const env *e, garam_error *err) {
  if (b->env && strcmp(b->env, e->ops->name) != 0)
    return fail(err, GARAM_MISMATCH, "baseline %s plays %s, not %s", b->name, b->env, e->ops->name);
  return b->check ? b->check(e, err) : GARAM_OK;
}
