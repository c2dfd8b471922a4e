/* One experiment: see rl_run.h. */
#include "api/rl_run.h"

#include "api/rl_exact.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const opt_row rl_request_options[] = {
    {"env", OPT_STRING, OPT_AT(rl_request, env), .help = "the environment; garam rl list has them"},
    {"agent", OPT_STRING, OPT_AT(rl_request, agent), .help = "what learns; garam rl list has them"},
    {"preset", OPT_STRING, OPT_AT(rl_request, preset),
     .help = "the agent's settings by name; the environment's own where there are some; what else "
             "is given wins"},
    {"out", OPT_STRING, OPT_AT(rl_request, out), .def_text = "policy.safetensors",
     .help = "the package of the best seed's policy"},
    {"checkpoint", OPT_STRING, OPT_AT(rl_request, checkpoint),
     .help = "folder of the checkpoints, removed when training is complete; OUT.checkpoint if "
             "empty"},
    {"resume", OPT_BOOL, OPT_AT(rl_request, resume),
     .help = "go on from the checkpoints of an interrupted run, bit for bit"},
    {"curve", OPT_STRING, OPT_AT(rl_request, curve),
     .help = "file for the learning curves, one JSON object an evaluation of a seed"},
};
const size_t rl_request_n_options = COUNT_OF(rl_request_options);

/* ---- rows ----------------------------------------------------------------------------------- */

void rl_rows_deinit(rl_rows *r) {
  for (size_t i = 0; i < r->n; i++) mem_free((char *)(uintptr_t)r->rows[i].name);
  mem_free(r->rows);
  *r = (rl_rows){0};
}

garam_status rl_rows_init(rl_rows *out, const char *owner, const opt_row *rows, size_t n,
                          const opt_set *before, size_t n_before, garam_error *err) {
  static const char *const commons[] = {"seed",     "threads", "config", "json",   "quiet",
                                        "progress", "report",  "play",   "frames", "help"};
  *out = (rl_rows){.rows = mem_array(n + 1, sizeof *rows)};
  if (!out->rows) return fail_memory(err, (n + 1) * sizeof *rows);
  for (size_t i = 0; i < n; i++) {
    bool taken = false;
    for (size_t s = 0; s < n_before; s++)
      taken |= opt_find(before[s].rows, before[s].n_rows, rows[i].name) != NULL;
    for (size_t k = 0; k < COUNT_OF(commons); k++) taken |= strcmp(commons[k], rows[i].name) == 0;
    out->rows[i] = rows[i];
    out->rows[i].name = taken ? mem_format("%s-%s", owner, rows[i].name) : mem_strdup(rows[i].name);
    if (!out->rows[i].name) {
      rl_rows_deinit(out);
      return fail_memory(err, 64);
    }
    out->n = i + 1;
  }
  return GARAM_OK;
}

static garam_status defaults_of(void **config, size_t size, const opt_row *rows, size_t n,
                                garam_error *err) {
  *config = mem_zalloc(size ? size : 1);
  if (!*config) return fail_memory(err, size);
  opt_defaults(rows, n, *config);
  return GARAM_OK;
}

static garam_status apply_presets(rl_request *r, const char *preset, garam_error *err) {
  const opt_set set = {
      .rows = r->agent_ops->options, .n_rows = r->agent_ops->n_options, .config = r->agent_config};
  if (!preset || !*preset) {
    preset = NULL;
    for (const learner_preset *p = r->agent_ops->presets; p && p->name; p++)
      if (strcmp(p->name, r->env_ops->name) == 0) preset = p->name;
    if (!preset) return GARAM_OK;
  }
  snprintf(r->preset, sizeof r->preset, "%s", preset);
  return preset_apply(r->agent_ops->name, r->agent_ops->presets, &set, preset, err);
}

garam_status rl_request_init_ops(rl_request *r, const env_ops *world, const agent_ops *learns,
                                 const char *preset, garam_error *err) {
  memset(r, 0, sizeof *r);
  opt_defaults(rl_request_options, rl_request_n_options, r);
  opt_defaults(experiment_options, experiment_n_options, &r->experiment);
  r->seed = 1;
  r->env_ops = world;
  r->agent_ops = learns;
  snprintf(r->env, sizeof r->env, "%s", world->name);
  snprintf(r->agent, sizeof r->agent, "%s", learns->name);
  TRY(defaults_of(&r->env_config, world->config_size, world->options, world->n_options, err));
  TRY(defaults_of(&r->agent_config, learns->config_size, learns->options, learns->n_options, err));
  const opt_set sets[] = {
      {.rows = rl_request_options, .n_rows = rl_request_n_options},
      {.rows = experiment_options, .n_rows = experiment_n_options},
      {.rows = learns->options, .n_rows = learns->n_options},
  };
  TRY(rl_rows_init(&r->agent_rows, "agent", learns->options, learns->n_options, sets, 2, err));
  TRY(rl_rows_init(&r->env_rows, "env", world->options, world->n_options, sets, 3, err));
  return apply_presets(r, preset, err);
}

garam_status rl_request_init(rl_request *r, const char *env_name, const char *agent_name,
                             const char *preset, garam_error *err) {
  memset(r, 0, sizeof *r);
  if (!env_name || !*env_name)
    return fail(err, GARAM_INVALID, "--env says in which environment; garam rl list has them");
  if (!agent_name || !*agent_name)
    return fail(err, GARAM_INVALID, "--agent says what learns; garam rl list has them");
  const env_ops *world = env_find(env_name, err);
  if (!world) return err ? err->status : GARAM_NOT_FOUND;
  const agent_ops *learns = agent_find(agent_name, err);
  if (!learns) return err ? err->status : GARAM_NOT_FOUND;
  return rl_request_init_ops(r, world, learns, preset, err);
}

void rl_request_deinit(rl_request *r) {
  rl_rows_deinit(&r->env_rows);
  rl_rows_deinit(&r->agent_rows);
  mem_free(r->env_config);
  mem_free(r->agent_config);
  memset(r, 0, sizeof *r);
}

size_t rl_request_sets(opt_set sets[RL_MAX_SETS], rl_request *r) {
  const opt_set all[] = {
      {"Training", rl_request_options, rl_request_n_options, r},
      {"Experiment", experiment_options, experiment_n_options, &r->experiment},
      {"Agent", r->agent_rows.rows, r->agent_rows.n, r->agent_config},
      {"Environment", r->env_rows.rows, r->env_rows.n, r->env_config},
  };
  _Static_assert(COUNT_OF(all) <= RL_MAX_SETS, "RL_MAX_SETS is too small");
  memcpy(sets, all, sizeof all);
  return COUNT_OF(all);
}

/* ---- files ---------------------------------------------------------------------------------- */

static garam_status put_row(io_writer *w, int seed, const loop_curve *c, const loop_row *row,
                            garam_error *err) {
  json_t *o =
      json_pack("{s:i, s:I, s:o, s:o, s:o, s:o, s:b}", "seed", seed, "steps",
                (json_int_t)row->steps, "train_return", json_number_or_null(row->train_return),
                "mean", json_number_or_null(row->mean), "low", json_number_or_null(row->low),
                "high", json_number_or_null(row->high), "best", row->best > 0);
  for (size_t i = 0; o && i < c->n_metrics; i++)
    json_object_set_new(o, c->metric_names[i], json_number_or_null(row->metric[i]));
  char *text = o ? json_text(o) : NULL;
  json_decref(o);
  if (!text) return fail_memory(err, 512);
  garam_status status = io_printf(w, err, "%s\n", text);
  mem_free(text);
  return status;
}

static garam_status write_curves(const rl_request *r, const experiment_result *x,
                                 garam_error *err) {
  if (!r->curve[0]) return GARAM_OK;
  io_writer *w;
  TRY(io_writer_open(&w, r->curve, err));
  for (int k = 0; k < x->n_seeds; k++)
    for (size_t i = 0; i < x->seeds[k].curve.n; i++) {
      garam_status status = put_row(w, k, &x->seeds[k].curve, &x->seeds[k].curve.rows[i], err);
      if (status == GARAM_OK) continue;
      io_writer_abort(w);
      return status;
    }
  return io_writer_commit(w, err);
}

static garam_status copy_policy(const rl_request *r, int best, garam_error *err) {
  char *path = experiment_policy_path(r->checkpoint, best), *data = NULL;
  size_t size;
  garam_status status;
  if (!path) return fail_memory(err, strlen(r->checkpoint) + 64);
  TRY_GOTO(done, io_read_file(&data, &size, path, (size_t)1 << 34, err));
  TRY_GOTO(done, io_write_file(r->out, data, size, err));
done:
  mem_free(path);
  mem_free(data);
  return status;
}

/* ---- the run -------------------------------------------------------------------------------- */

typedef struct run {
  const rl_hooks *hooks;
  uint64_t of;
} run;

static void on_steps(void *context, uint64_t steps) {
  const run *x = context;
  if (x->hooks->on_steps) x->hooks->on_steps(x->hooks->context, steps, x->of);
}

static void on_row(void *context, int seed, const loop_curve *curve) {
  const run *x = context;
  if (x->hooks->on_row) x->hooks->on_row(x->hooks->context, seed, curve);
}

static bool interrupted(void *context) {
  const run *x = context;
  return x->hooks->interrupted && x->hooks->interrupted(x->hooks->context);
}

static garam_status prepare_folder(rl_request *r, bool *there, garam_error *err) {
  if (!r->checkpoint[0] && snprintf(r->checkpoint, sizeof r->checkpoint, "%s.checkpoint", r->out) >=
                               (int)sizeof r->checkpoint)
    return fail(err, GARAM_INVALID, "--out: the path is too long");
  TRY(io_check_writable(r->out, err));
  *there = experiment_exists(r->checkpoint);
  if (r->resume && !*there)
    log_info("%s holds no checkpoint yet: training starts from the beginning", r->checkpoint);
  if (*there && !r->resume)
    log_warning("%s holds checkpoints of a run that was not finished; it starts anew now "
                "(--resume would go on from them)",
                r->checkpoint);
  if (*there && !r->resume) experiment_clear(r->checkpoint, EXPERIMENT_MAX_SEEDS);
  return GARAM_OK;
}

garam_status rl_run(json_t **result, rl_request *r, const rl_hooks *hooks, garam_error *err) {
  static const rl_hooks none;
  run x = {.hooks = hooks ? hooks : &none};
  experiment_result out = {0};
  char digest[IO_SHA256_TEXT];
  bool there = false;
  garam_status status;
  *result = NULL;
  TRY(prepare_folder(r, &there, err));
  x.of = (uint64_t)r->experiment.steps * (uint64_t)r->experiment.seeds;
  const experiment_setup setup = {.env = r->env_ops,
                                  .env_config = r->env_config,
                                  .agent = r->agent_ops,
                                  .agent_config = r->agent_config,
                                  .config = &r->experiment,
                                  .seed = (uint64_t)r->seed,
                                  .folder = r->checkpoint,
                                  .resume = r->resume && there,
                                  .on_row = on_row,
                                  .on_steps = on_steps,
                                  .interrupted = interrupted,
                                  .context = &x};
  TRY_GOTO(done, experiment_run(&out, &setup, err));
  TRY_GOTO(done, write_curves(r, &out, err));
  TRY_GOTO(done, copy_policy(r, out.best, err));
  TRY_GOTO(done, io_sha256_file(digest, r->out, err));
  *result = experiment_json(&out, &setup);
  if (!*result) TRY_GOTO(done, fail_memory(err, 4096));
  json_object_set_new(*result, "preset", r->preset[0] ? json_string(r->preset) : json_null());
  json_object_set_new(*result, "out", json_string(r->out));
  json_object_set_new(*result, "sha256", json_string(digest));
  TRY_GOTO(done, rl_exact_add_seeds(*result, &setup, r->experiment.seeds, err));
  experiment_clear(r->checkpoint, r->experiment.seeds);
done:
  rmdir(r->checkpoint); /* only if it is empty */
  experiment_result_deinit(&out);
  return status;
}
