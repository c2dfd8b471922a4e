/* Scores of a package on data: see evaluate_run.h. */
#include "api/evaluate_run.h"

#include "api/splits.h"
#include "base/mem.h"
#include "tree/importance.h"
#include "tree/shap.h"
#include "tree/trees_learner.h"

#include <math.h>
#include <string.h>

enum { SHAP_ROWS = 200 };

/* A split among the scored rows spoils the backtest, and buy-and-hold beside it. */
static garam_status add_splits(json_t *result, const pipeline *p, const table *t,
                               garam_error *err) {
  json_t *options = json_object_get(pipeline_manifest(p), "options"), *splits;
  bars_config config;
  opt_defaults(bars_options, bars_n_options, &config);
  json_t *recorded = json_object_get(options, "bars");
  if (recorded)
    TRY(opt_from_json(bars_options, bars_n_options, &config, recorded, "the package", err));
  const json_t *time = json_object_get(result, "time");
  TRY(splits_find(&splits, t, &config, json_string_value(json_object_get(time, "start")),
                  json_string_value(json_object_get(time, "end")), err));
  char text[SPLITS_TEXT];
  if (splits_text(text, splits)) {
    char *warning = mem_format("%s: scores and the backtest across it are wrong; adjust the prices "
                               "first",
                               text);
    json_object_set_new(result, "split_warning", json_string(warning ? warning : text));
    mem_free(warning);
  }
  json_object_set_new(result, "splits", splits);
  return GARAM_OK;
}

/* mean (n_features) of |SHAP| over the last rows that have features, and over outputs. */
static garam_status mean_shap(double *mean, const trees *t, const pipeline *p, const table *data,
                              garam_error *err) {
  dataset *d;
  size_t width = t->n_features, k = t->n_outputs, n = 0;
  TRY(pipeline_dataset(&d, p, data, false, err));
  float *x = mem_array(SHAP_ROWS * width + 1, sizeof *x);
  double *values = mem_array(SHAP_ROWS * k * (width + 1) + 1, sizeof *values);
  garam_status status =
      x && values ? GARAM_OK : fail_memory(err, SHAP_ROWS * k * width * sizeof *values);
  for (size_t i = d->n_rows; status == GARAM_OK && i-- > 0 && n < SHAP_ROWS;)
    if (d->usable[i]) memcpy(x + n++ * width, d->x + i * width, width * sizeof *x);
  if (status == GARAM_OK) status = trees_shap(t, x, n, values, err);
  for (size_t i = 0; status == GARAM_OK && i < n * k; i++)
    for (size_t j = 0; j < width; j++)
      mean[j] += fabs(values[i * (width + 1) + j]) / (double)(n * k);
  mem_free(x);
  mem_free(values);
  dataset_free(d);
  return status;
}

/* Beside what permutations say: splits, gain, cover and mean |SHAP| of trees. */
static garam_status add_trees(json_t *result, const pipeline *p, const table *t, garam_error *err) {
  json_t *influence = json_object_get(json_object_get(result, "detail"), "influence"), *one;
  json_t *list = json_object_get(influence, "features");
  trees_view view;
  size_t i;
  if (!list || !trees_of_learner(&view, pipeline_fitted(p))) return GARAM_OK;
  size_t width = view.trees->n_features;
  double *of = mem_array(4 * width, sizeof *of);
  if (!of) return fail_memory(err, 4 * width * sizeof *of);
  trees_importance(view.trees, of, of + width, of + 2 * width);
  garam_status status = mean_shap(of + 3 * width, view.trees, p, t, err);
  json_array_foreach(list, i, one) {
    static const char *const keys[] = {"splits", "gain", "cover", "mean_abs_shap"};
    const char *name = json_string_value(json_object_get(one, "feature"));
    for (size_t j = 0; j < width && status == GARAM_OK; j++) {
      if (strcmp(name, pipeline_feature_name(p, j)) != 0) continue;
      for (size_t m = 0; m < COUNT_OF(keys); m++)
        if (json_object_set_new(one, keys[m], json_number_or_null(of[m * width + j])) != 0)
          status = fail_memory(err, 64);
    }
  }
  mem_free(of);
  return status;
}

garam_status evaluate_run(json_t **result, pipeline *p, const char *model_path, const char *data,
                          const table_read_config *read, const evaluate_config *config,
                          table_progress_fn progress, void *context, garam_error *err) {
  table *t = NULL, *repaired = NULL;
  *result = NULL;
  garam_status status;
  TRY_GOTO(done, table_open(&t, data, read, progress, context, err));
  TRY_GOTO(done, pipeline_evaluate(result, p, t, config, err));
  TRY_GOTO(done, add_trees(*result, p, t, err));
  if (json_is_object(json_object_get(*result, "backtest"))) {
    TRY_GOTO(done, pipeline_repair(&repaired, p, t, true, err));
    TRY_GOTO(done, add_splits(*result, p, repaired ? repaired : t, err));
  }
  json_object_set_new(*result, "package", json_string(model_path));
  json_object_set_new(*result, "sha256", json_string(pipeline_sha256(p)));
  json_object_set_new(*result, "data", json_string(data));
done:
  table_free(repaired);
  table_free(t);
  return status;
}
