/* See compress_run.h. Models are scored as `garam evaluate` does it, on rows that the original was
 * not trained on; policies as `garam rl evaluate` does it, on the same held-out episodes. */
#include "api/compress_run.h"

#include "api/evaluate_run.h"
#include "api/rl_evaluate.h"
#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <unistd.h>

/* How good a package is, by the number that it is judged by. */
typedef struct worth {
  const char *name;
  double value;
  bool rewarding; /* more is better */
} worth;

static garam_status worth_of_scores(worth *out, const json_t *scores, const char *data,
                                    garam_error *err) {
  static const worth rows[] = {{.name = "log_loss"}, {.name = "mse"}, {"ndcg", 0, true}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const json_t *value = json_object_get(scores, rows[i].name);
    if (!json_is_number(value)) continue;
    *out = rows[i];
    out->value = json_number_value(value);
    return GARAM_OK;
  }
  return fail(err, GARAM_UNSUPPORTED, "%s: the model has no loss on it to compare by", data);
}

static garam_status score_model(worth *out, const char *path, const compress_run *run,
                                garam_error *err) {
  pipeline *p;
  json_t *scores = NULL;
  evaluate_config config;
  garam_status status;
  opt_defaults(evaluate_options, evaluate_n_options, &config);
  config.seed = 0;
  config.bootstrap = 0;
  TRY(pipeline_load(&p, path, err));
  TRY_GOTO(done, evaluate_run(&scores, p, path, run->data, pipeline_read_config(p), &config,
                              run->progress, run->context, err));
  status = worth_of_scores(out, scores, run->data, err);
done:
  json_decref(scores);
  pipeline_free(p);
  return status;
}

static garam_status score_policy(worth *out, const char *path, const compress_run *run,
                                 garam_error *err) {
  const rl_world_spec spec = {.policy = path};
  const rl_evaluate_config config = {.episodes = run->episodes, .seeds = 1};
  json_t *result;
  TRY(rl_evaluate(&result, &spec, &config, run->seed, err));
  const json_t *mean = json_array_get(json_object_get(result, "returns"), 0);
  *out = (worth){"return", json_number_value(mean), true};
  json_decref(result);
  return GARAM_OK;
}

static garam_status score(worth *out, const char *path, const compress_run *run, garam_error *err) {
  TRY(run->data ? score_model(out, path, run, err) : score_policy(out, path, run, err));
  return run->interrupted && run->interrupted(NULL)
             ? fail(err, GARAM_INTERRUPTED, "interrupted; nothing was written")
             : GARAM_OK;
}

/* The trial stands beside what will be written, and only until it has been scored. */
static garam_status score_trial(worth *out, const compressed *c, const compress_run *run,
                                garam_error *err) {
  json_t *report;
  char *trial = mem_format("%s.trial", run->out);
  if (!trial) return fail_memory(err, 64);
  garam_status status = compressed_write(&report, c, trial, err);
  json_decref(report);
  if (status == GARAM_OK) {
    status = score(out, trial, run, err);
    unlink(trial);
  }
  mem_free(trial);
  return status;
}

/* A model is scored on data, a policy in its world. */
static garam_status check_kind(const char *path, const compress_run *run, garam_error *err) {
  package_reader *r;
  TRY(package_open(&r, path, err));
  const bool acts = policy_is(r);
  package_close(r);
  if (acts && run->data)
    return fail(err, GARAM_UNSUPPORTED, "%s: a policy has no loss on data; --episodes compares",
                path);
  if (!acts && !run->data)
    return fail(err, GARAM_UNSUPPORTED, "%s: a model plays no episodes; --data compares", path);
  return GARAM_OK;
}

static garam_status compare(json_t **out, const char *path, const compressed *c,
                            const compress_run *run, garam_error *err) {
  worth before, after;
  TRY(io_check_writable(run->out, err));
  TRY(score(&before, path, run, err));
  TRY(score_trial(&after, c, run, err));
  const double worse = after.rewarding ? before.value - after.value : after.value - before.value;
  const double change = worse == 0 ? 0 : worse / fabs(before.value);
  if (!(change <= run->max_loss))
    return fail(
        err, GARAM_LIMIT,
        "%s: in %s the %s would be %.6g where it is %.6g, worse by %.3g %%; at most %.3g %% "
        "is allowed, so nothing was written",
        path, coding_names[run->how.to], after.name, after.value, before.value, 100 * change,
        100 * run->max_loss);
  *out = json_pack("{s:s, s:o, s:o, s:o}", "name", after.name, "before",
                   json_number_or_null(before.value), "after", json_number_or_null(after.value),
                   "change", json_number_or_null(change));
  return *out ? GARAM_OK : fail_memory(err, 64);
}

garam_status compress_run_file(json_t **result, const char *path, const compress_run *run,
                               garam_error *err) {
  const bool compares = run->data || run->episodes > 0;
  compressed *c = NULL;
  json_t *loss = NULL;
  garam_status status;
  *result = NULL;
  if (compares) TRY(check_kind(path, run, err));
  TRY_GOTO(done, compress_package(&c, path, &run->how, err));
  if (compares) TRY_GOTO(done, compare(&loss, path, c, run, err));
  TRY_GOTO(done, compressed_write(result, c, run->out, err));
  if (loss && json_object_set(*result, "loss", loss) != 0) status = fail_memory(err, 64);
done:
  if (status != GARAM_OK) {
    json_decref(*result);
    *result = NULL;
  }
  json_decref(loss);
  compressed_free(c);
  return status;
}
