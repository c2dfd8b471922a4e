/* A pipeline around a learner that came from elsewhere: nothing is scaled, nothing calibrated, and
 * which rows it was fitted on is not known. */
#include "learn/pipeline_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static garam_status fill(pipeline *p, char *const *columns, char *const *class_names,
                         const char *target, const char *source, garam_error *err) {
  size_t n = p->shape.n_features, k = (size_t)p->shape.n_classes;
  if (!target[0] || strlen(target) >= sizeof p->config.target)
    return fail(err, GARAM_INVALID, "--target \"%s\": expected a column of 1 to %zu letters",
                target, sizeof p->config.target - 1);
  snprintf(p->config.target, sizeof p->config.target, "%s", target);
  p->inputs = mem_array(n + 1, sizeof *p->inputs);
  if (!p->inputs) return fail_memory(err, n * sizeof *p->inputs);
  for (size_t i = 0; i < n; i++) {
    if (strcmp(columns[i], target) == 0)
      return fail(err, GARAM_INVALID, "--target %s: is a feature of the model", target);
    p->inputs[p->n_inputs++] = (input){.kind = INPUT_NUMBER, .column = mem_strdup(columns[i])};
    if (!p->inputs[i].column) return fail_memory(err, strlen(columns[i]) + 1);
  }
  TRY(names_copy(&p->feature_names, columns, n, err));
  if (k > 0) TRY(names_copy(&p->class_names, class_names, k, err));
  p->class_counts = mem_array(k + 1, sizeof *p->class_counts);
  p->source = mem_strdup(source);
  p->dropped = json_array();
  p->warnings = json_array();
  if (!p->class_counts || !p->source || !p->dropped || !p->warnings) return fail_memory(err, 64);
  p->fit.parameters = p->ops->parameters(p->learner);
  p->fit.best_valid_loss = NAN;
  p->value_scale = 1;
  calibrator_init(&p->calibrator, p->shape.n_classes);
  p->threshold = p->directional_threshold = 2;
  p->conformal = p->shape.task == TASK_REGRESSION ? INFINITY : 1;
  TRY(pipeline_warn(p, err, "fitted elsewhere: which rows it was trained on is not known"));
  return manifest_build(p, err);
}

garam_status pipeline_adopt(pipeline **out, learner *l, const void *learner_config,
                            const learner_shape *shape, char *const *columns,
                            char *const *class_names, const char *target, const char *source,
                            garam_error *err) {
  *out = NULL;
  REQUIRE(!l->ops->wants_scaled, "pipeline_adopt: %s wants scaled inputs", l->ops->name);
  pipeline *p = mem_zalloc(sizeof *p);
  if (!p) {
    l->ops->destroy(l);
    return fail_memory(err, sizeof *p);
  }
  p->config = pipeline_config_default();
  p->ops = l->ops;
  p->learner = l;
  p->shape = *shape;
  p->config.task = (int)shape->task;
  p->context = l->ops->context(l);
  size_t size = l->ops->config_size;
  p->learner_config = mem_alloc(size ? size : 1);
  if (p->learner_config) memcpy(p->learner_config, learner_config, size);
  garam_status status = p->learner_config ? fill(p, columns, class_names, target, source, err)
                                          : fail_memory(err, size);
  if (status != GARAM_OK) {
    pipeline_free(p);
    return status;
  }
  *out = p;
  return GARAM_OK;
}
