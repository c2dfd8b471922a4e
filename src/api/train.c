/* include/garam/train.h, thin over the runs. */
#include "garam/train.h"

#include "api/evaluate_run.h"
#include "api/settings.h"
#include "api/train_run.h"
#include "base/mem.h"
#include "base/thread.h"

#include <math.h>
#include <string.h>

void garam_free(void *ptr) {
  mem_free(ptr);
}

void garam_set_threads(int n) {
  thread_set_count(n);
}

static garam_status result_text(char **out, const json_t *result, garam_error *err) {
  if (!out) return GARAM_OK;
  *out = json_text_indented(result);
  return *out ? GARAM_OK : fail_memory(err, 0);
}

/* ---- garam_train ----------------------------------------------------------------------- */

typedef struct host {
  garam_progress_fn progress;
  void *context;
  int n_epochs;
  bool stop;
} host;

static void on_step(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss) {
  host *h = context;
  if (!h->progress) return;
  const garam_progress p = {epoch, h->n_epochs, step, n_steps, loss, (double)NAN, (double)NAN};
  if (h->progress(h->context, &p) != 0) h->stop = true;
}

static void on_epoch(void *context, const fit_epoch *e) {
  host *h = context;
  h->n_epochs = e->n_epochs;
  if (!h->progress) return;
  const garam_progress p = {e->epoch, e->n_epochs, 0, 0, (double)NAN, e->train_loss, e->valid_loss};
  if (h->progress(h->context, &p) != 0) h->stop = true;
}

static bool interrupted(void *context) {
  return ((host *)context)->stop;
}

static garam_status train_with(json_t **result, json_t *config, train_request *r, host *h,
                               garam_error *err) {
  TRY(train_request_init(r, settings_peek(config, "model"), settings_peek(config, "preset"), err));
  opt_row own[] = {
      {"data", OPT_STRING, OPT_AT(train_request, data), .help = "what to train on"},
      {"seed", OPT_I64, OPT_AT(train_request, seed), .def = 1, .max = 9007199254740992.0,
       .help = "of everything random"},
  };
  opt_defaults(own, COUNT_OF(own), r);
  opt_set sets[TRAIN_MAX_SETS + 1];
  size_t n = train_request_sets(sets, r);
  sets[n++] = (opt_set){"Request", own, COUNT_OF(own), r};
  TRY(settings_from_json(sets, n, config, "config", err));
  if (!r->data[0]) return fail(err, GARAM_INVALID, "config: \"data\" is required");
  const train_hooks hooks = {
      .on_epoch = on_epoch, .on_step = on_step, .interrupted = interrupted, .context = h};
  return train_run(result, r, &hooks, err);
}

garam_status garam_train(const char *config, garam_progress_fn progress, void *context,
                         char **result_json, garam_error *err) {
  REQUIRE(config, "garam_train: config is required");
  if (result_json) *result_json = NULL;
  json_t *object, *result = NULL;
  TRY(json_parse(&object, config, strlen(config), "config", err));
  train_request request = {0};
  host h = {.progress = progress, .context = context};
  garam_status status = train_with(&result, object, &request, &h, err);
  if (status == GARAM_OK) status = result_text(result_json, result, err);
  json_decref(result);
  json_decref(object);
  train_request_deinit(&request);
  return status;
}

/* ---- garam_evaluate -------------------------------------------------------------------- */

garam_status garam_evaluate(const char *model_path, const char *data, const char *config,
                            char **result_json, garam_error *err) {
  REQUIRE(model_path && data, "garam_evaluate: model_path and data are required");
  if (result_json) *result_json = NULL;
  garam_status status;
  json_t *object = NULL, *result = NULL;
  pipeline *p = NULL;
  evaluate_config settings = {.seed = 1};
  opt_defaults(evaluate_options, evaluate_n_options, &settings);
  if (config) {
    TRY_GOTO(done, json_parse(&object, config, strlen(config), "config", err));
    const opt_set set = {"Scores", evaluate_options, evaluate_n_options, &settings};
    TRY_GOTO(done, settings_from_json(&set, 1, object, "config", err));
  }
  TRY_GOTO(done, pipeline_load(&p, model_path, err));
  TRY_GOTO(done, evaluate_run(&result, p, model_path, data, pipeline_read_config(p), &settings,
                              NULL, NULL, err));
  TRY_GOTO(done, result_text(result_json, result, err));
done:
  json_decref(result);
  json_decref(object);
  pipeline_free(p);
  return status;
}
