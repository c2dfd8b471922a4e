/* Scores of a package on data: see evaluate_run.h. */
#include "api/evaluate_run.h"

garam_status evaluate_run(json_t **result, pipeline *p, const char *model_path, const char *data,
                          const table_read_config *read, const evaluate_config *config,
                          table_progress_fn progress, void *context, garam_error *err) {
  table *t = NULL;
  *result = NULL;
  garam_status status;
  TRY_GOTO(done, table_open(&t, data, read, progress, context, err));
  TRY_GOTO(done, pipeline_evaluate(result, p, t, config, err));
  json_object_set_new(*result, "package", json_string(model_path));
  json_object_set_new(*result, "sha256", json_string(pipeline_sha256(p)));
  json_object_set_new(*result, "data", json_string(data));
done:
  table_free(t);
  return status;
}
