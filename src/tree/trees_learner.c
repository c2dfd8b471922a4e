/* The learner `trees`, and the list of learners that have trees. */
#include "tree/trees_learner.h"

#include "base/mem.h"
#include "tree/forest.h"
#include "tree/gbdt_inner.h"
#include "tree/predict.h"

#include <string.h>

typedef struct read_trees {
  learner base;
  trees_config config;
  learner_shape shape;
  trees *trees;
  trees_predictor *predictor;
  double *sums; /* scratch of predict */
  size_t capacity;
} read_trees;

static const opt_row options[] = {
    {"link", OPT_ENUM, OPT_AT(trees_config, link), .choices = trees_link_names,
     .help = "from the sum of the trees to the answer"},
    {"link-scale", OPT_F64, OPT_AT(trees_config, link_scale), .def = 1, .min = 1e-6, .max = 1e6,
     .help = "of the sum, before the link"},
};

static int classes_of(const learner_shape *shape) {
  return shape->task == TASK_REGRESSION ? 0 : shape->n_classes;
}

static size_t outputs_of(const trees_config *c, const learner_shape *shape) {
  return classes_of(shape) && c->link != LINK_LOGISTIC ? (size_t)shape->n_classes : 1;
}

static void destroy(learner *l) {
  read_trees *m = (read_trees *)l;
  if (!m) return;
  trees_predictor_free(m->predictor);
  trees_free(m->trees);
  mem_free(m->sums);
  mem_free(m);
}

static garam_status create(learner **out, const void *config, const learner_shape *shape,
                           garam_error *err) {
  *out = NULL;
  read_trees *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->base.ops = &trees_ops;
  m->config = *(const trees_config *)config;
  m->shape = *shape;
  *out = &m->base;
  return GARAM_OK;
}

static size_t context(const learner *l) {
  (void)l;
  return 1;
}

static garam_status fit(learner *l, const dataset *d, row_set train, row_set valid,
                        const fit_context *fit_, fit_summary *summary, garam_error *err) {
  (void)l, (void)d, (void)train, (void)valid, (void)fit_;
  *summary = (fit_summary){0};
  return fail(err, GARAM_UNSUPPORTED,
              "trees: are read from a model file (garam import), not trained; gbdt and forest are");
}

static garam_status predict(learner *l, const float *x, const int32_t *begin, size_t n, float *out,
                            garam_error *err) {
  read_trees *m = (read_trees *)l;
  (void)begin;
  REQUIRE(m->predictor, "trees: predict before load");
  TRY(mem_grow(&m->sums, &m->capacity, n * m->trees->n_outputs, sizeof *m->sums, err));
  trees_predict(m->predictor, x, n, m->sums);
  trees_link_apply((trees_link)m->config.link, m->config.link_scale, classes_of(&m->shape), m->sums,
                   n, out);
  return GARAM_OK;
}

static garam_status save(const learner *l, package_writer *w, const char *prefix,
                         garam_error *err) {
  return trees_save(((const read_trees *)l)->trees, w, prefix, err);
}

static garam_status load(learner **out, const void *config, const learner_shape *shape,
                         package_reader *r, const char *prefix, garam_error *err) {
  const trees_config *c = config;
  size_t outputs = outputs_of(c, shape);
  *out = NULL;
  if (!trees_link_fits((trees_link)c->link, classes_of(shape), outputs))
    return fail(err, GARAM_CORRUPT, "%s: the link %s of %d classes", package_name(r),
                trees_link_names[c->link], classes_of(shape));
  TRY(create(out, config, shape, err));
  read_trees *m = (read_trees *)*out;
  garam_status status = trees_load(&m->trees, shape->n_features, outputs, r, prefix, err);
  if (status == GARAM_OK) status = trees_predictor_new(&m->predictor, m->trees, err);
  if (status == GARAM_OK) return GARAM_OK;
  destroy(*out);
  *out = NULL;
  return status;
}

static size_t parameters(const learner *l) {
  const trees *t = ((const read_trees *)l)->trees;
  return t ? t->n_splits + t->n_leaves * t->width : 0;
}

garam_status trees_learner_new(learner **out, trees_config *config, learner_shape *shape,
                               trees_import *m, garam_error *err) {
  *config = (trees_config){.link = (int)m->link, .link_scale = m->link_scale};
  *shape = (learner_shape){.task = m->n_classes == 0   ? TASK_REGRESSION
                                   : m->n_classes == 2 ? TASK_BINARY
                                                       : TASK_CLASSIFICATION,
                           .n_features = m->trees->n_features,
                           .n_classes = m->n_classes};
  TRY(create(out, config, shape, err));
  read_trees *l = (read_trees *)*out;
  garam_status status = trees_predictor_new(&l->predictor, m->trees, err);
  if (status != GARAM_OK) {
    destroy(*out);
    *out = NULL;
    return status;
  }
  l->trees = m->trees;
  m->trees = NULL;
  return GARAM_OK;
}

static trees_view gbdt_view(const learner *l) {
  const gbdt *m = (const gbdt *)l;
  trees_link link = LINK_IDENTITY;
  if (m->shape.task == TASK_BINARY) link = LINK_LOGISTIC;
  else if (m->shape.task == TASK_CLASSIFICATION) link = LINK_SOFTMAX;
  else if (strcmp(loss_names[m->config.loss], "poisson") == 0) link = LINK_EXP;
  return (trees_view){m->model, link, 1};
}

bool trees_of_learner(trees_view *out, const learner *l) {
  *out = (trees_view){0};
  if (l->ops == &trees_ops) {
    const read_trees *m = (const read_trees *)l;
    *out = (trees_view){m->trees, (trees_link)m->config.link, m->config.link_scale};
  }
  if (l->ops == &gbdt_ops) *out = gbdt_view(l);
  if (l->ops == &forest_ops || l->ops == &extra_trees_ops) {
    const trees *t = forest_trees(l);
    *out = (trees_view){t, t && t->n_outputs > 1 ? LINK_PROBABILITY : LINK_IDENTITY, 1};
  }
  return out->trees != NULL;
}

const learner_ops trees_ops = {
    .name = "trees",
    .summary = "trees read from a model of XGBoost or LightGBM (garam import); not trained",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(trees_config),
    .create = create,
    .destroy = destroy,
    .context = context,
    .fit = fit,
    .predict = predict,
    .save = save,
    .load = load,
    .parameters = parameters,
};
