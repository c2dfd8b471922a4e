/* See compress_run.h. Both models are scored as `garam evaluate` does it, on the same rows: those
 * that the original was not trained on. */
#include "api/compress_run.h"

#include "api/evaluate_run.h"
#include "base/io.h"
#include "base/mem.h"
#include "rl/policy.h"

#include <math.h>
#include <unistd.h>

typedef struct loss {
  const char *name; /* a key of evaluate's */
  double value;
} loss;

/* The loss that the model's task is judged by; less is better. */
static garam_status loss_of(loss *out, const json_t *scores, const char *data, garam_error *err) {
  static const char *const keys[] = {"log_loss", "mse"};
  for (size_t i = 0; i < COUNT_OF(keys); i++) {
    const json_t *value = json_object_get(scores, keys[i]);
    if (!json_is_number(value)) continue;
    *out = (loss){keys[i], json_number_value(value)};
    return GARAM_OK;
  }
  const json_t *ndcg = json_object_get(scores, "ndcg");
  if (!json_is_number(ndcg))
    return fail(err, GARAM_UNSUPPORTED, "%s: the model has no loss on it to compare by", data);
  *out = (loss){"1 - ndcg", 1 - json_number_value(ndcg)};
  return GARAM_OK;
}

static garam_status score(loss *out, const char *model, const compress_run *run, bool drop,
                          garam_error *err) {
  pipeline *p = NULL;
  json_t *scores = NULL;
  evaluate_config config;
  garam_status status = pipeline_load(&p, model, err);
  if (drop) unlink(model);
  if (status != GARAM_OK) return status;
  opt_defaults(evaluate_options, evaluate_n_options, &config);
  config.seed = 0;
  config.bootstrap = 0;
  TRY_GOTO(done, evaluate_run(&scores, p, model, run->data, pipeline_read_config(p), &config,
                              run->progress, run->context, err));
  TRY_GOTO(done, loss_of(out, scores, run->data, err));
done:
  json_decref(scores);
  pipeline_free(p);
  return status;
}

/* The trial stands beside what will be written, and only until it has been read. */
static garam_status score_trial(loss *out, const compressed *c, const compress_run *run,
                                garam_error *err) {
  json_t *report;
  char *trial = mem_format("%s.trial", run->out);
  if (!trial) return fail_memory(err, 64);
  garam_status status = compressed_write(&report, c, trial, err);
  json_decref(report);
  if (status == GARAM_OK) status = score(out, trial, run, true, err);
  mem_free(trial);
  return status;
}

static garam_status refuse_policy(const char *path, garam_error *err) {
  package_reader *r;
  TRY(package_open(&r, path, err));
  const bool acts = policy_is(r);
  package_close(r);
  return acts ? fail(err, GARAM_UNSUPPORTED,
                     "%s: a policy has no loss on data; compress it, and ask garam rl evaluate of "
                     "both",
                     path)
              : GARAM_OK;
}

static garam_status compare(json_t **out, const char *path, const compressed *c,
                            const compress_run *run, garam_error *err) {
  loss before, after;
  TRY(io_check_writable(run->out, err));
  TRY(score(&before, path, run, false, err));
  TRY(score_trial(&after, c, run, err));
  const double more = after.value - before.value;
  const double change = more == 0 ? 0 : more / fabs(before.value);
  if (!(change <= run->max_loss))
    return fail(err, GARAM_LIMIT,
                "%s: in %s the %s on %s would be %.6g, %.3g %% above the original's %.6g; at most "
                "%.3g %% is allowed, so nothing was written",
                path, coding_names[run->how.to], after.name, run->data, after.value, 100 * change,
                before.value, 100 * run->max_loss);
  *out = json_pack("{s:s, s:o, s:o, s:o}", "name", after.name, "before",
                   json_number_or_null(before.value), "after", json_number_or_null(after.value),
                   "change", json_number_or_null(change));
  return *out ? GARAM_OK : fail_memory(err, 64);
}

garam_status compress_run_file(json_t **result, const char *path, const compress_run *run,
                               garam_error *err) {
  compressed *c = NULL;
  json_t *compared = NULL;
  garam_status status;
  *result = NULL;
  if (run->data) TRY(refuse_policy(path, err));
  TRY_GOTO(done, compress_package(&c, path, &run->how, err));
  if (run->data) TRY_GOTO(done, compare(&compared, path, c, run, err));
  TRY_GOTO(done, compressed_write(result, c, run->out, err));
  if (compared && json_object_set(*result, "loss", compared) != 0) status = fail_memory(err, 64);
done:
  if (status != GARAM_OK) {
    json_decref(*result);
    *result = NULL;
  }
  json_decref(compared);
  compressed_free(c);
  return status;
}
