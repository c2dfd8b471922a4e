/* Scores of a package on data: see evaluate_run.h. */
#include "api/evaluate_run.h"

#include "api/splits.h"
#include "base/mem.h"

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

garam_status evaluate_run(json_t **result, pipeline *p, const char *model_path, const char *data,
                          const table_read_config *read, const evaluate_config *config,
                          table_progress_fn progress, void *context, garam_error *err) {
  table *t = NULL, *repaired = NULL;
  *result = NULL;
  garam_status status;
  TRY_GOTO(done, table_open(&t, data, read, progress, context, err));
  TRY_GOTO(done, pipeline_evaluate(result, p, t, config, err));
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
