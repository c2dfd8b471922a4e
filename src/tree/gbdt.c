/* The learner `gbdt`: its life, its predictions, its place in a package. Fitting is gbdt_fit.c. */
#include "tree/gbdt_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void destroy(learner *l) {
  gbdt *m = (gbdt *)l;
  if (!m) return;
  trees_predictor_free(m->predictor);
  trees_free(m->model);
  bins_drop(m->held);
  mem_free(m->scores);
  mem_free(m);
}

static garam_status create(learner **out, const void *config, const learner_shape *shape,
                           garam_error *err) {
  *out = NULL;
  gbdt *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->base.ops = &gbdt_ops;
  m->config = *(const gbdt_config *)config;
  m->shape = *shape;
  m->n_outputs = shape->task == TASK_CLASSIFICATION ? (size_t)shape->n_classes : 1;
  const loss_ops *chosen;
  garam_status status = loss_choose(&chosen, loss_names[m->config.loss], shape->task, err);
  if (status != GARAM_OK) {
    destroy(&m->base);
    return status;
  }
  *out = &m->base;
  return GARAM_OK;
}

static size_t context(const learner *l) {
  (void)l;
  return 1;
}

static size_t parameters(const learner *l) {
  const gbdt *m = (const gbdt *)l;
  return m->model ? 2 * m->model->n_splits + m->model->n_leaves : 0;
}

const trees *gbdt_trees(const learner *l) {
  return ((const gbdt *)l)->model;
}

static loss_custom_fn custom_loss;
static void *custom_context;

void gbdt_set_loss(loss_custom_fn fn, void *of) {
  custom_loss = fn;
  custom_context = of;
}

loss_custom_fn gbdt_custom_loss(void **of) {
  *of = custom_context;
  return custom_loss;
}

static garam_status predict(learner *l, const float *x, const int32_t *begin, size_t n, float *out,
                            garam_error *err) {
  gbdt *m = (gbdt *)l;
  size_t k = m->n_outputs;
  (void)begin; /* a window is one row: nothing is padded */
  REQUIRE(m->model, "gbdt: predict before fit");
  TRY(mem_grow(&m->scores, &m->scores_capacity, n * k, sizeof *m->scores, err));
  trees_predict(m->predictor, x, n, m->scores);
  if (m->shape.task == TASK_BINARY) {
    for (size_t i = 0; i < n; i++) {
      out[2 * i] = 0;
      out[2 * i + 1] = (float)m->scores[i];
    }
    return GARAM_OK;
  }
  bool is_log = strcmp(loss_names[m->config.loss], "poisson") == 0;
  for (size_t i = 0; i < n * k; i++) out[i] = (float)(is_log ? exp(m->scores[i]) : m->scores[i]);
  return GARAM_OK;
}

static garam_status save(const learner *l, package_writer *w, const char *prefix,
                         garam_error *err) {
  const gbdt *m = (const gbdt *)l;
  REQUIRE(m->model, "gbdt: save before fit");
  return trees_save(m->model, w, prefix, err);
}

static garam_status load(learner **out, const void *config, const learner_shape *shape,
                         package_reader *r, const char *prefix, garam_error *err) {
  TRY(create(out, config, shape, err));
  gbdt *m = (gbdt *)*out;
  garam_status status = trees_load(&m->model, shape->n_features, m->n_outputs, r, prefix, err);
  if (status == GARAM_OK) status = trees_predictor_new(&m->predictor, m->model, err);
  if (status == GARAM_OK) return status;
  destroy(*out);
  *out = NULL;
  return status;
}

const learner_ops gbdt_ops = {
    .name = "gbdt",
    .summary = "gradient boosting of trees on binned features",
    .tasks =
        1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION | 1u << TASK_RANKING,
    .takes_init = true,
    .options = gbdt_options,
    .n_options = GBDT_N_OPTIONS,
    .config_size = sizeof(gbdt_config),
    .presets = gbdt_presets,
    .create = create,
    .destroy = destroy,
    .context = context,
    .fit = gbdt_fit,
    .predict = predict,
    .save = save,
    .load = load,
    .parameters = parameters,
};
