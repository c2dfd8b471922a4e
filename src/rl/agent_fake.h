/* An agent for tests of what drives agents: a linear policy that keeps a random change when its
 * episodes went better with it. Any space; everything it needs to go on is in its checkpoint. */
#ifndef RL_AGENT_FAKE_H
#define RL_AGENT_FAKE_H

#include "rl/agent.h"

#include "base/mem.h"
#include "rl/evaluate.h"

#include <math.h>
#include <string.h>

typedef struct fake_config {
  double step;
  int episodes; /* that a change is tried for */
  int spoil;    /* steps after which an action is NaN; 0: never */
} fake_config;

static const opt_row fake_options[] = {
    {"step", OPT_F64, OPT_AT(fake_config, step), .def = 0.5, .min = 0, .max = 10, .help = "size"},
    {"episodes", OPT_INT, OPT_AT(fake_config, episodes), .def = 2, .min = 1, .max = 100,
     .help = "of a trial"},
    {"spoil", OPT_INT, OPT_AT(fake_config, spoil), .def = 0, .max = 1e9, .help = "for tests"},
};

enum { FAKE_TRIALS, FAKE_SUM, FAKE_EPISODES, FAKE_BEST, N_FAKE };

typedef struct fake_agent {
  agent base;
  fake_config config;
  agent_setup setup;
  policy *policy;
  float *params, *best;
  size_t count;
  uint64_t version;
  double numbers[N_FAKE], *episode; /* episode (n): return so far */
} fake_agent;

static inline void fake_change(fake_agent *f) {
  rng r;
  rng_init(&r, f->setup.seed, RNG_EXPLORE, (uint64_t)f->numbers[FAKE_TRIALS]);
  for (size_t i = 0; i < f->count; i++)
    f->params[i] = f->best[i] + (float)(f->config.step * rng_normal(&r));
  f->version++;
}

static inline void fake_destroy(agent *a) {
  fake_agent *f = (fake_agent *)a;
  if (!f) return;
  policy_free(f->policy);
  mem_free_aligned(f->params);
  mem_free(f->best);
  mem_free(f->episode);
  mem_free(f);
}

static inline garam_status fake_create(agent **out, const void *config, const agent_setup *setup,
                                       garam_error *err);

static inline garam_status fake_act(agent *a, const float *observation, const float *state,
                                    const uint8_t *alive, uint64_t steps, float *action,
                                    garam_error *err) {
  fake_agent *f = (fake_agent *)a;
  (void)state;
  TRY(policy_act(f->policy, observation, alive, f->setup.n, action, err));
  if (f->config.spoil > 0 && steps >= (uint64_t)f->config.spoil) action[0] = NAN;
  return GARAM_OK;
}

static inline garam_status fake_learn(agent *a, const agent_step *s, uint64_t steps,
                                      garam_error *err) {
  fake_agent *f = (fake_agent *)a;
  const size_t agents = (size_t)f->setup.shape->n_agents;
  (void)steps;
  (void)err;
  for (size_t i = 0; i < s->n; i++) {
    for (size_t k = 0; k < agents; k++) f->episode[i] += (double)s->reward[i * agents + k];
    if (!s->ended[i]) continue;
    f->numbers[FAKE_SUM] += f->episode[i];
    f->numbers[FAKE_EPISODES]++;
    f->episode[i] = 0;
  }
  if (f->numbers[FAKE_EPISODES] < f->config.episodes) return GARAM_OK;
  const double mean = f->numbers[FAKE_SUM] / f->numbers[FAKE_EPISODES];
  if (f->numbers[FAKE_TRIALS] < 1 || mean > f->numbers[FAKE_BEST]) {
    f->numbers[FAKE_BEST] = mean;
    memcpy(f->best, f->params, f->count * sizeof *f->best);
  }
  f->numbers[FAKE_SUM] = f->numbers[FAKE_EPISODES] = 0;
  f->numbers[FAKE_TRIALS]++;
  fake_change(f);
  return GARAM_OK;
}

static inline policy *fake_policy(agent *a) {
  return ((fake_agent *)a)->policy;
}

static inline garam_status fake_save(const agent *a, package_writer *w, garam_error *err) {
  const fake_agent *f = (const fake_agent *)a;
  const int64_t n = (int64_t)f->count, m = N_FAKE, worlds = (int64_t)f->setup.n;
  TRY(package_add(w, "fake.params", PACKAGE_F32, 1, &n, f->params, err));
  TRY(package_add(w, "fake.best", PACKAGE_F32, 1, &n, f->best, err));
  TRY(package_add(w, "fake.episode", PACKAGE_F64, 1, &worlds, f->episode, err));
  return package_add(w, "fake.numbers", PACKAGE_F64, 1, &m, f->numbers, err);
}

static inline garam_status fake_load(agent *a, package_reader *r, garam_error *err) {
  fake_agent *f = (fake_agent *)a;
  const int64_t n = (int64_t)f->count, m = N_FAKE, worlds = (int64_t)f->setup.n;
  const package_tensor *t[4];
  TRY(package_get(&t[0], r, "fake.params", PACKAGE_F32, 1, &n, err));
  TRY(package_get(&t[1], r, "fake.best", PACKAGE_F32, 1, &n, err));
  TRY(package_get(&t[2], r, "fake.episode", PACKAGE_F64, 1, &worlds, err));
  TRY(package_get(&t[3], r, "fake.numbers", PACKAGE_F64, 1, &m, err));
  memcpy(f->params, t[0]->data, t[0]->bytes);
  memcpy(f->best, t[1]->data, t[1]->bytes);
  memcpy(f->episode, t[2]->data, t[2]->bytes);
  memcpy(f->numbers, t[3]->data, t[3]->bytes);
  f->version++;
  return GARAM_OK;
}

static inline void
fake_metrics(agent *a, void (*row)(void *context, const char *name, double value), void *context) {
  row(context, "trials", ((fake_agent *)a)->numbers[FAKE_TRIALS]);
}

static inline size_t fake_worlds(const void *config) {
  (void)config;
  return 4;
}

static const agent_ops agent_fake = {.name = "fake",
                                     .summary = "random search, for tests",
                                     .options = fake_options,
                                     .n_options = COUNT_OF(fake_options),
                                     .config_size = sizeof(fake_config),
                                     .spaces = 1u << ENV_BOX | 1u << ENV_DISCRETE,
                                     .worlds = fake_worlds,
                                     .create = fake_create,
                                     .destroy = fake_destroy,
                                     .act = fake_act,
                                     .learn = fake_learn,
                                     .policy = fake_policy,
                                     .save = fake_save,
                                     .load = fake_load,
                                     .metrics = fake_metrics};

static inline garam_status fake_create(agent **out, const void *config, const agent_setup *setup,
                                       garam_error *err) {
  actor_spec spec = {
      .shape = setup->shape, .box_head = ACTOR_TANH, .choice_head = ACTOR_CATEGORICAL};
  opt_defaults(actor_options, actor_n_options, &spec.config);
  spec.config.net.hidden[0] = 0;
  fake_agent *f = mem_zalloc(sizeof *f);
  graph *g = NULL;
  policy *sized = NULL;
  garam_status status = GARAM_OK;
  *out = NULL;
  if (!f) return fail_memory(err, sizeof *f);
  f->base.ops = &agent_fake;
  f->config = *(const fake_config *)config;
  f->setup = *setup;
  TRY_GOTO(done, policy_new(&sized, &spec, NULL, NULL, NULL, err));
  TRY_GOTO(done, policy_graph(&g, sized, 1, err));
  f->count = graph_param_block(g);
  f->params = mem_alloc_aligned(f->count * sizeof *f->params, 64);
  f->best = mem_array(f->count, sizeof *f->best);
  f->episode = mem_array(setup->n, sizeof *f->episode);
  if (!f->params || !f->best || !f->episode) TRY_GOTO(done, fail_memory(err, f->count));
  fake_change(f);
  TRY_GOTO(done, policy_new(&f->policy, &spec, f->params, &f->version, NULL, err));
  *out = &f->base;
done:
  graph_free(g);
  policy_free(sized);
  if (status != GARAM_OK) fake_destroy(&f->base);
  return status;
}

#endif
