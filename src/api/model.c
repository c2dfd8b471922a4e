/* include/garam/model.h, thin over the pipeline. */
#include "garam/model.h"

#include "api/predict_run.h"

#include "base/mem.h"

struct garam_model {
  pipeline *pipeline;
  char *manifest;
};

garam_status garam_model_open(garam_model **out, const char *path, garam_error *err) {
  REQUIRE(out && path, "garam_model_open: out and path are required");
  *out = NULL;
  garam_model *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  garam_status status = pipeline_load(&m->pipeline, path, err);
  if (status == GARAM_OK) {
    m->manifest = json_text_indented(pipeline_manifest(m->pipeline));
    if (!m->manifest) status = fail_memory(err, 0);
  }
  if (status == GARAM_OK) *out = m;
  else garam_model_close(m);
  return status;
}

void garam_model_close(garam_model *model) {
  if (!model) return;
  pipeline_free(model->pipeline);
  mem_free(model->manifest);
  mem_free(model);
}

size_t garam_model_window(const garam_model *model) {
  return pipeline_context(model->pipeline);
}

size_t garam_model_n_features(const garam_model *model) {
  return pipeline_n_features(model->pipeline);
}

size_t garam_model_n_outputs(const garam_model *model) {
  return (size_t)pipeline_n_outputs(model->pipeline);
}

const char *garam_model_feature_name(const garam_model *model, size_t i) {
  REQUIRE(i < garam_model_n_features(model), "garam_model_feature_name: no feature %zu", i);
  return pipeline_feature_name(model->pipeline, i);
}

const char *garam_model_output_name(const garam_model *model, size_t i) {
  REQUIRE(i < garam_model_n_outputs(model), "garam_model_output_name: no output %zu", i);
  return pipeline_output_name(model->pipeline, (int)i);
}

const char *garam_model_task(const garam_model *model) {
  return task_names[pipeline_task(model->pipeline)];
}

const char *garam_model_sha256(const garam_model *model) {
  return pipeline_sha256(model->pipeline);
}

const char *garam_model_manifest(const garam_model *model) {
  return model->manifest;
}

garam_status garam_model_predict(garam_model *model, const float *x, const int32_t *padding,
                                 size_t n, float *out, garam_error *err) {
  REQUIRE(model && (n == 0 || (x && out)), "garam_model_predict: model, x and out are required");
  return pipeline_predict_windows(model->pipeline, x, padding, n, out, err);
}

garam_status garam_model_predict_data(garam_predictions **out, garam_model *model, const char *data,
                                      garam_error *err) {
  REQUIRE(out && model && data, "garam_model_predict_data: out, model and data are required");
  return predict_run(out, model->pipeline, data, pipeline_read_config(model->pipeline), NULL, NULL,
                     err);
}
