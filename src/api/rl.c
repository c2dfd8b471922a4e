/* include/garam/rl.h, thin over the runs. */
#include "garam/rl.h"

#include "api/own_env.h"
#include "api/rl_evaluate.h"
#include "api/rl_run.h"
#include "api/settings.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

static garam_status result_text(char **out, const json_t *result, garam_error *err) {
  if (!out) return GARAM_OK;
  *out = json_text_indented(result);
  return *out ? GARAM_OK : fail_memory(err, 0);
}

/* ---- training ------------------------------------------------------------------------------- */

typedef struct host {
  garam_rl_progress_fn progress;
  void *context;
  uint64_t steps, of;
  bool stop;
} host;

static void tell(host *h, const garam_rl_progress *p) {
  if (h->progress && h->progress(h->context, p) != 0) __atomic_store_n(&h->stop, true, 0);
}

static void on_steps(void *context, uint64_t steps, uint64_t of) {
  host *h = context;
  h->steps = steps;
  h->of = of;
  const double none = (double)NAN;
  tell(h, &(garam_rl_progress){steps, of, -1, none, none, none, none});
}

static void on_row(void *context, int seed, const loop_curve *c) {
  host *h = context;
  const loop_row *row = &c->rows[c->n - 1];
  tell(h, &(garam_rl_progress){h->steps, h->of, seed, row->train_return, row->mean, row->low,
                               row->high});
}

static bool interrupted(void *context) {
  return __atomic_load_n(&((host *)context)->stop, 0);
}

static garam_status init_request(rl_request *r, json_t *config, const garam_env *own,
                                 const env_ops *own_ops, garam_error *err) {
  const char *agent_name = settings_peek(config, "agent"),
             *preset = settings_peek(config, "preset");
  if (!own) return rl_request_init(r, settings_peek(config, "env"), agent_name, preset, err);
  if (!agent_name) return fail(err, GARAM_INVALID, "config: \"agent\" is required: what learns");
  const agent_ops *learns = agent_find(agent_name, err);
  if (!learns) return err ? err->status : GARAM_NOT_FOUND;
  TRY(rl_request_init_ops(r, own_ops, learns, preset, err));
  memcpy(r->env_config, own, sizeof *own);
  return GARAM_OK;
}

static garam_status train_with(json_t **result, json_t *config, rl_request *r, host *h,
                               garam_error *err) {
  opt_row own[] = {{"seed", OPT_I64, OPT_AT(rl_request, seed), .def = 1, .max = 9007199254740992.0,
                    .help = "of everything random"}};
  opt_set sets[RL_MAX_SETS + 1];
  size_t n = rl_request_sets(sets, r);
  sets[n++] = (opt_set){"Request", own, COUNT_OF(own), r};
  TRY(settings_from_json(sets, n, config, "config", err));
  const rl_hooks hooks = {
      .on_row = on_row, .on_steps = on_steps, .interrupted = interrupted, .context = h};
  return rl_run(result, r, &hooks, err);
}

garam_status garam_rl_train(const char *config, const garam_env *own, garam_rl_progress_fn progress,
                            void *context, char **result_json, garam_error *err) {
  REQUIRE(config, "garam_rl_train: config is required");
  if (result_json) *result_json = NULL;
  json_t *object, *result = NULL;
  TRY(json_parse(&object, config, strlen(config), "config", err));
  const env_ops own_ops = own ? own_env_ops(own) : (env_ops){0};
  rl_request request = {0};
  host h = {.progress = progress, .context = context};
  garam_status status =
      json_is_object(object) ? GARAM_OK : fail(err, GARAM_PARSE, "config: expected an object");
  if (status == GARAM_OK) status = init_request(&request, object, own, &own_ops, err);
  if (status == GARAM_OK) status = train_with(&result, object, &request, &h, err);
  if (status == GARAM_OK) status = result_text(result_json, result, err);
  json_decref(result);
  json_decref(object);
  rl_request_deinit(&request);
  return status;
}

/* ---- evaluation ----------------------------------------------------------------------------- */

typedef struct judge {
  rl_evaluate_config config;
  int64_t seed;
} judge;

garam_status garam_rl_evaluate(const char *policy_path, const garam_env *own, const char *config,
                               char **result_json, garam_error *err) {
  REQUIRE(policy_path, "garam_rl_evaluate: policy_path is required");
  static const opt_row seed_rows[] = {{"seed", OPT_I64, OPT_AT(judge, seed), .def = 1,
                                       .max = 9007199254740992.0, .help = "of the episodes"}};
  if (result_json) *result_json = NULL;
  const env_ops own_ops = own ? own_env_ops(own) : (env_ops){0};
  judge j;
  json_t *object = NULL, *result = NULL;
  garam_status status;
  opt_defaults(rl_evaluate_options, rl_evaluate_n_options, &j.config);
  opt_defaults(seed_rows, COUNT_OF(seed_rows), &j);
  if (config) {
    const opt_set sets[] = {{"Episodes", rl_evaluate_options, rl_evaluate_n_options, &j.config},
                            {"Seed", seed_rows, COUNT_OF(seed_rows), &j}};
    TRY_GOTO(done, json_parse(&object, config, strlen(config), "config", err));
    TRY_GOTO(done, settings_from_json(sets, COUNT_OF(sets), object, "config", err));
  }
  const rl_world_spec spec = {
      .policy = policy_path, .env = own ? &own_ops : NULL, .env_config = own};
  TRY_GOTO(done, rl_evaluate(&result, &spec, &j.config, (uint64_t)j.seed, err));
  TRY_GOTO(done, result_text(result_json, result, err));
done:
  json_decref(result);
  json_decref(object);
  return status;
}

/* ---- a policy in use ------------------------------------------------------------------------ */

struct garam_policy {
  policy *policy;
};

garam_status garam_policy_open(garam_policy **out, const char *path, garam_error *err) {
  REQUIRE(out && path, "garam_policy_open: out and path are required");
  *out = NULL;
  garam_policy *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  garam_status status = policy_load(&p->policy, path, err);
  if (status == GARAM_OK) *out = p;
  else garam_policy_close(p);
  return status;
}

void garam_policy_close(garam_policy *p) {
  if (!p) return;
  policy_free(p->policy);
  mem_free(p);
}

static const env_shape *shape_of(const garam_policy *p) {
  return policy_spec(p->policy)->shape;
}

size_t garam_policy_n_agents(const garam_policy *p) {
  return (size_t)shape_of(p)->n_agents;
}

size_t garam_policy_observation_width(const garam_policy *p) {
  return (size_t)shape_of(p)->observation_width;
}

size_t garam_policy_action_width(const garam_policy *p) {
  return (size_t)shape_of(p)->action_width;
}

garam_status garam_policy_act(garam_policy *p, const float *observation, size_t n, float *action,
                              garam_error *err) {
  REQUIRE(p && (n == 0 || (observation && action)),
          "garam_policy_act: policy, observation and action are required");
  return n == 0 ? GARAM_OK : policy_act(p->policy, observation, NULL, n, action, err);
}
