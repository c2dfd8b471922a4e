/* Worlds of a host: see own_env.h. */
#include "api/own_env.h"

#include "base/mem.h"

#include <string.h>

struct garam_random {
  rng r;
};

double garam_random_uniform(garam_random *random) {
  return rng_uniform(&random->r);
}

double garam_random_normal(garam_random *random) {
  return rng_normal(&random->r);
}

typedef struct own {
  garam_env host;
  env_agent agents[];
} own;

static garam_status own_open(env *e, const void *config, garam_error *err) {
  const garam_env *host = config;
  if (!host->name || !host->agents || !host->reset || !host->step || host->world_bytes == 0)
    return fail(err, GARAM_INVALID,
                "environment %s: name, agents, world_bytes, reset and step are required",
                host->name ? host->name : "without a name");
  if (host->n_agents < 1 || host->n_agents > ENV_MAX_AGENTS)
    return fail(err, GARAM_INVALID, "environment %s: %d agents, expected 1 to %d", host->name,
                host->n_agents, ENV_MAX_AGENTS);
  own *o = mem_zalloc(sizeof *o + (size_t)host->n_agents * sizeof *o->agents);
  if (!o) return fail_memory(err, sizeof *o);
  e->model = o;
  o->host = *host;
  env_shape s = {.n_agents = host->n_agents,
                 .agents = o->agents,
                 .action_width = 1,
                 .max_steps = host->max_steps,
                 .world_bytes = (host->world_bytes + 15) / 16 * 16, /* aligned for any type */
                 .reward_low = host->reward_low,
                 .reward_high = host->reward_high};
  for (int a = 0; a < host->n_agents; a++) {
    const garam_env_agent *x = &host->agents[a];
    const bool box = x->choices == 0;
    if (!x->name)
      return fail(err, GARAM_INVALID, "environment %s: agent %d has no name", host->name, a);
    o->agents[a] = (env_agent){.name = x->name,
                               .team = x->team ? x->team : x->name,
                               .observation = {.kind = ENV_BOX, .n = x->observation},
                               .action = {.kind = box ? ENV_BOX : ENV_DISCRETE,
                                          .n = box ? x->action : x->choices,
                                          .low = box && x->high ? x->low : NULL,
                                          .high = box && x->low ? x->high : NULL}};
    if (x->observation > s.observation_width) s.observation_width = x->observation;
    if (box && x->action > s.action_width) s.action_width = x->action;
  }
  e->shape = s;
  return GARAM_OK;
}

static void own_close(env *e) {
  mem_free(e->model);
  e->model = NULL;
}

static void own_reset(env *e, size_t i, rng *r) {
  const own *o = e->model;
  const size_t width = (size_t)e->shape.n_agents * (size_t)e->shape.observation_width;
  garam_random random = {*r};
  memset(env_world(e, i), 0, e->shape.world_bytes);
  o->host.reset(o->host.context, env_world(e, i), &random, e->batch.observation + i * width);
}

static void own_step(env *e, size_t begin, size_t end) {
  const own *o = e->model;
  const env_shape *s = &e->shape;
  const size_t agents = (size_t)s->n_agents, seen = agents * (size_t)s->observation_width,
               done = agents * (size_t)s->action_width;
  env_batch *b = &e->batch;
  for (size_t i = begin; i < end; i++) {
    garam_random random; /* apart from what resets draw */
    rng_init(&random.r, e->seed + (uint64_t)(i + 1) * UINT64_C(0x9E3779B97F4A7C15), RNG_SIMULATE,
             b->episode[i] << 32 | (uint32_t)b->steps[i]);
    memset(b->observation + i * seen, 0, seen * sizeof *b->observation);
    o->host.step(o->host.context, env_world(e, i), &random, b->action + i * done,
                 b->observation + i * seen, b->reward + i * agents, b->terminated + i * agents);
  }
}

env_ops own_env_ops(const garam_env *host) {
  return (env_ops){.name = host->name ? host->name : "own",
                   .summary = "the host's own",
                   .config_size = sizeof(garam_env),
                   .open = own_open,
                   .close = own_close,
                   .reset = own_reset,
                   .step = own_step};
}
