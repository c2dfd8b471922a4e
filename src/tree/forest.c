/* The learners forest and extra-trees: fitting in batches of trees, scores out of the bag. */
#include "tree/forest_inner.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "learn/calibrate.h"
#include "tree/predict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 16 }; /* trees that are grown at once */
enum { LEAST_CALIBRATION_ROWS = 50 };
#define LOWEST 1e-3 /* temperature */
#define HIGHEST 1e3

typedef struct forest {
  learner base;
  forest_config config;
  learner_shape shape;
  trees *trees;
  trees_predictor *predictor;
  double temperature; /* by which log probabilities are divided */
  bins *held;         /* those it was fitted with, for the next to find; or NULL */
  double *sums;       /* scratch of predict */
  size_t capacity;
} forest;

static const char *const criteria[] = {"gini", "entropy", NULL};
static const char *const class_weight_names[] = {"none", "balanced", NULL};

#define ROWS(bootstrapped)                                                                         \
  {"trees",                                                                                        \
   OPT_INT,                                                                                        \
   OPT_AT(forest_config, trees),                                                                   \
   .def = 300,                                                                                     \
   .min = 1,                                                                                       \
   .max = 100000,                                                                                  \
   .scale = OPT_LOG,                                                                               \
   .search = {50, 1000},                                                                           \
   .help = "trees of the forest"},                                                                 \
      {"criterion", OPT_ENUM, OPT_AT(forest_config, criterion), .choices = criteria,               \
       .help = "what splits make small, of classes; of values: the variance"},                     \
      {"max-features",                                                                             \
       OPT_F64,                                                                                    \
       OPT_AT(forest_config, max_features),                                                        \
       .max = 1,                                                                                   \
       .search = {0.05, 1},                                                                        \
       .help = "share of features a split looks at; 0: square root (classes), a third (values)"},  \
      {"max-depth", OPT_INT, OPT_AT(forest_config, max_depth), .max = TREES_MAX_DEPTH,             \
       .help = "of a tree; 0: any"},                                                               \
      {"min-split",                                                                                \
       OPT_INT,                                                                                    \
       OPT_AT(forest_config, min_split),                                                           \
       .def = 2,                                                                                   \
       .min = 2,                                                                                   \
       .max = 1e9,                                                                                 \
       .unit = "rows",                                                                             \
       .help = "rows that a node needs to be split"},                                              \
      {"min-leaf",                                                                                 \
       OPT_INT,                                                                                    \
       OPT_AT(forest_config, min_leaf),                                                            \
       .def = 1,                                                                                   \
       .min = 1,                                                                                   \
       .max = 1e9,                                                                                 \
       .scale = OPT_LOG,                                                                           \
       .search = {1, 64},                                                                          \
       .unit = "rows",                                                                             \
       .help = "rows of a leaf"},                                                                  \
      {"min-gain", OPT_F64, OPT_AT(forest_config, min_gain), .max = 1,                             \
       .help = "share of the root's impurity that a split of classes takes away, at least"},       \
      {"bootstrap", OPT_BOOL, OPT_AT(forest_config, bootstrap), .def = bootstrapped,               \
       .help = "each tree sees rows drawn with replacement"},                                      \
      {"bag",                                                                                      \
       OPT_F64,                                                                                    \
       OPT_AT(forest_config, bag),                                                                 \
       .def = 1,                                                                                   \
       .min = 0.01,                                                                                \
       .max = 1,                                                                                   \
       .search = {0.3, 1},                                                                         \
       .help = "rows drawn, as a share of the rows there are"},                                    \
      {"bins",   OPT_INT,    OPT_AT(forest_config, bins), .def = 255,                              \
       .min = 2, .max = 255, .help = "bins of a feature"},                                         \
      {"calibrate", OPT_BOOL, OPT_AT(forest_config, calibrate), .def = 1,                          \
       .help = "sharpen the odds by what trees say of rows they have not seen"},                   \
      {"class-weights", OPT_ENUM, OPT_AT(forest_config, class_weights),                            \
       .choices = class_weight_names, .help = "balanced weighs every class the same"},

static const opt_row forest_options[] = {ROWS(1)};
static const opt_row extra_options[] = {ROWS(0)};

static void destroy(learner *l) {
  forest *m = (forest *)l;
  if (!m) return;
  trees_predictor_free(m->predictor);
  trees_free(m->trees);
  bins_drop(m->held);
  mem_free(m->sums);
  mem_free(m);
}

static garam_status create(learner **out, const learner_ops *ops, const void *config,
                           const learner_shape *shape, garam_error *err) {
  *out = NULL;
  if (shape->n_classes > 1000)
    return fail(err, GARAM_LIMIT, "%s: %d classes, at most 1000", ops->name, shape->n_classes);
  forest *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->base.ops = ops;
  m->config = *(const forest_config *)config;
  m->shape = *shape;
  m->temperature = 1;
  *out = &m->base;
  return GARAM_OK;
}

static garam_status create_forest(learner **out, const void *config, const learner_shape *shape,
                                  garam_error *err) {
  return create(out, &forest_ops, config, shape, err);
}

static garam_status create_extra(learner **out, const void *config, const learner_shape *shape,
                                 garam_error *err) {
  return create(out, &extra_trees_ops, config, shape, err);
}

static int classes_of(const forest *m) {
  return m->shape.task == TASK_REGRESSION ? 0 : m->shape.n_classes;
}

static size_t outputs_of(const forest *m) {
  return classes_of(m) ? (size_t)classes_of(m) : 1;
}

static size_t context(const learner *l) {
  (void)l;
  return 1;
}

static size_t parameters(const learner *l) {
  const trees *t = ((const forest *)l)->trees;
  return t ? 2 * t->n_splits + t->n_leaves * t->width : 0;
}

const trees *forest_trees(const learner *l) {
  return ((const forest *)l)->trees;
}

/* ---- fit ------------------------------------------------------------------------------------- */

typedef struct fitting {
  forest *m;
  const dataset *d;
  row_set valid;
  forest_task task;
  bins *bins;
  float *weight;
  forest_tree tree[BATCH];
  size_t first, n_batch; /* trees being grown */
  trees_builder *built;
  double *out_of_bag; /* (train, K) sums of the trees that did not see the row */
  uint32_t *n_out;    /* (train) how many those are */
  double *valid_sums; /* (valid, K) */
  double *train_losses, *valid_losses;
} fitting;

static void fitting_deinit(fitting *f) {
  for (size_t i = 0; i < BATCH; i++) forest_tree_deinit(&f->tree[i]);
  bins_release(f->bins);
  mem_free(f->weight);
  trees_builder_free(f->built);
  mem_free(f->out_of_bag);
  mem_free(f->n_out);
  mem_free(f->valid_sums);
  mem_free(f->train_losses);
  mem_free(f->valid_losses);
}

/* Weights of the data, times those of classes. */
static garam_status weigh(fitting *f, garam_error *err) {
  const dataset *d = f->d;
  row_set rows = f->task.rows;
  bool balanced = f->m->config.class_weights == 1 && d->n_classes > 0;
  f->task.weight = d->weight;
  if (!balanced) return GARAM_OK;
  f->weight = mem_array(d->n_rows, sizeof *f->weight);
  double *of_class = mem_array((size_t)d->n_classes, sizeof *of_class), total = 0;
  if (f->weight && of_class) {
    for (size_t i = 0; i < rows.n; i++) {
      float w = d->weight ? d->weight[rows.rows[i]] : 1;
      of_class[d->y[rows.rows[i]]] += (double)w;
      total += (double)w;
    }
    for (size_t i = 0; i < rows.n; i++) {
      uint32_t row = rows.rows[i];
      double w = d->weight ? (double)d->weight[row] : 1, sum = of_class[d->y[row]];
      f->weight[row] = sum > 0 ? (float)(w * total / (d->n_classes * sum)) : 0;
    }
    f->task.weight = f->weight;
  }
  mem_free(of_class);
  return f->task.weight == f->weight && f->weight ? GARAM_OK
                                                  : fail_memory(err, d->n_rows * sizeof(float));
}

static garam_status prepare(fitting *f, garam_error *err) {
  const forest_config *c = &f->m->config;
  const dataset *d = f->d;
  row_set rows = f->task.rows;
  size_t k = outputs_of(f->m), batches = ((size_t)c->trees + BATCH - 1) / BATCH;
  f->task.config = *c;
  f->task.n_stats = d->n_classes > 0 ? (size_t)d->n_classes : 2;
  TRY(weigh(f, err));
  if (f->m->base.ops == &forest_ops) {
    bins_config bc = bins_config_default();
    bc.max_bins = c->bins;
    bc.min_rows = 1;
    bc.seed = f->task.seed;
    TRY(bins_take(&f->bins, d, rows, &bc, err));
    f->task.bins = f->bins;
  }
  for (size_t i = 0; i < rows.n && d->n_classes == 0; i++)
    f->task.center += (double)d->value[rows.rows[i]] / (double)rows.n;
  size_t at_once = (size_t)c->trees < BATCH ? (size_t)c->trees : BATCH;
  for (size_t i = 0; i < at_once; i++) TRY(forest_tree_init(&f->tree[i], &f->task, err));
  f->out_of_bag = mem_array(rows.n * k, sizeof *f->out_of_bag);
  f->n_out = mem_array(rows.n, sizeof *f->n_out);
  f->valid_sums = mem_array(f->valid.n * k + 1, sizeof *f->valid_sums);
  f->train_losses = mem_array(batches, sizeof *f->train_losses);
  f->valid_losses = mem_array(batches, sizeof *f->valid_losses);
  if (!f->out_of_bag || !f->n_out || !f->valid_sums || !f->train_losses || !f->valid_losses)
    return fail_memory(err, rows.n * k * sizeof *f->out_of_bag);
  return trees_builder_new(&f->built, d->n_features, k, d->n_classes > 0 ? k : 1, err);
}

static void grow_trees(void *context_, size_t begin, size_t end) {
  fitting *f = context_;
  for (size_t i = begin; i < end; i++) forest_tree_grow(&f->tree[i], &f->task, f->first + i);
}

static garam_status build_tree(fitting *f, const forest_tree *t, garam_error *err) {
  size_t width = f->d->n_classes > 0 ? f->task.n_stats : 1;
  TRY(trees_begin(f->built, 0, t->n_splits, err));
  for (size_t i = 0; i < t->n_splits; i++) TRY(trees_set_split(f->built, i, &t->splits[i], err));
  for (size_t i = 0; i < t->n_leaves; i++)
    TRY(trees_set_leaf(f->built, i, t->values + i * width, t->covers[i], err));
  return trees_end(f->built, err);
}

static void add_tree(double *sums, const trees *t, size_t tree, const float *x) {
  size_t leaf = t->leaf_begin[tree] + trees_leaf_of(t, tree, x);
  for (size_t k = 0; k < t->width; k++) sums[k] += t->value[leaf * t->width + k];
}

/* The batch's trees, added to the sums of the rows that they did not see. */
static void add_unseen(void *context_, size_t begin, size_t end) {
  fitting *f = context_;
  const trees *t = trees_builder_view(f->built);
  const dataset *d = f->d;
  for (size_t i = begin; i < end; i++) {
    bool is_train = i < f->task.rows.n;
    size_t at = is_train ? i : i - f->task.rows.n;
    uint32_t row = is_train ? f->task.rows.rows[at] : f->valid.rows[at];
    double *sums = (is_train ? f->out_of_bag : f->valid_sums) + at * t->width;
    for (size_t b = 0; b < f->n_batch; b++) {
      if (is_train && f->tree[b].in_bag[at]) continue;
      add_tree(sums, t, f->first + b, d->x + row * d->n_features);
      if (is_train) f->n_out[at]++;
    }
  }
}

/* Mean log loss or squared error of sums of n_sums[i] (NULL: all) trees; rows without are left out.
 */
static double loss_of(const fitting *f, const double *sums, const uint32_t *n_sums, size_t all,
                      row_set rows, double *accuracy) {
  size_t k = outputs_of(f->m);
  double loss = 0, hits = 0, total = 0;
  for (size_t i = 0; i < rows.n; i++) {
    uint32_t row = rows.rows[i];
    double n = n_sums ? (double)n_sums[i] : (double)all;
    double w = f->d->weight ? (double)f->d->weight[row] : 1;
    const double *s = sums + i * k;
    if (n == 0) continue;
    if (f->d->n_classes == 0) {
      double r = s[0] / n - (double)f->d->value[row];
      loss += w * r * r;
    } else {
      size_t top = 0, y = (size_t)f->d->y[row];
      for (size_t c = 1; c < k; c++)
        if (s[c] > s[top]) top = c;
      double p = s[y] / n;
      loss -= w * log(p > 1e-15 ? p : 1e-15);
      hits += w * (top == y);
    }
    total += w;
  }
  *accuracy = f->d->n_classes > 0 && total > 0 ? hits / total : NAN;
  return total > 0 ? loss / total : NAN;
}

/* Shares of n trees as scores. One more tree that knows nothing is counted in: no class is
 * impossible because a few hundred trees have not seen it. */
static void scores_of(float *out, const double *sums, double n, size_t k) {
  for (size_t c = 0; c < k; c++) out[c] = (float)log((sums[c] + 1 / (double)k) / (n + 1));
}

/* Averages of trees are too near the middle: how much is found where no tree has seen the row. */
static garam_status calibrate(fitting *f, garam_error *err) {
  size_t k = outputs_of(f->m), n = 0, rows = f->task.rows.n;
  if (f->d->n_classes == 0 || !f->m->config.calibrate || !f->m->config.bootstrap) return GARAM_OK;
  float *scores = mem_array(rows * k, sizeof *scores), *weight = mem_array(rows, sizeof *weight);
  int32_t *y = mem_array(rows, sizeof *y);
  garam_status status = GARAM_OK;
  if (scores && weight && y) {
    for (size_t i = 0; i < rows; i++) {
      uint32_t row = f->task.rows.rows[i];
      if (f->n_out[i] == 0) continue;
      scores_of(scores + n * k, f->out_of_bag + i * k, (double)f->n_out[i], k);
      weight[n] = f->d->weight ? f->d->weight[row] : 1;
      y[n++] = f->d->y[row];
    }
    if (n >= LEAST_CALIBRATION_ROWS)
      f->m->temperature = calibrate_temperature(scores, y, weight, n, f->d->n_classes);
    if (!(f->m->temperature >= LOWEST && f->m->temperature <= HIGHEST)) f->m->temperature = 1;
  } else {
    status = fail_memory(err, rows * k * sizeof *scores);
  }
  mem_free(scores);
  mem_free(weight);
  mem_free(y);
  return status;
}

static garam_status run(fitting *f, const fit_context *fit, fit_summary *summary,
                        garam_error *err) {
  const forest_config *c = &f->m->config;
  size_t n_trees = (size_t)c->trees;
  int64_t begun = clock_monotonic_ns();
  bool bagged = c->bootstrap;
  for (f->first = 0; f->first < n_trees; f->first += f->n_batch) {
    f->n_batch = n_trees - f->first < BATCH ? n_trees - f->first : BATCH;
    thread_for(f->n_batch, 1, grow_trees, f);
    for (size_t i = 0; i < f->n_batch; i++) TRY(build_tree(f, &f->tree[i], err));
    thread_for(f->task.rows.n + f->valid.n, 256, add_unseen, f);
    int at = summary->epochs++;
    fit_epoch e = {.epoch = summary->epochs,
                   .n_epochs = (int)((n_trees + BATCH - 1) / BATCH),
                   .train_loss = NAN,
                   .train_accuracy = NAN,
                   .valid_loss = NAN,
                   .valid_accuracy = NAN,
                   .learning_rate = NAN,
                   .seconds = (double)(clock_monotonic_ns() - begun) / 1e9};
    size_t grown = f->first + f->n_batch;
    if (bagged)
      e.train_loss = loss_of(f, f->out_of_bag, f->n_out, 0, f->task.rows, &e.train_accuracy);
    if (f->valid.n > 0)
      e.valid_loss = loss_of(f, f->valid_sums, NULL, grown, f->valid, &e.valid_accuracy);
    f->train_losses[at] = e.train_loss;
    f->valid_losses[at] = e.valid_loss;
    summary->best_valid_loss = e.valid_loss;
    if (fit && fit->on_epoch) fit->on_epoch(fit->context, &e);
    if (fit && fit->interrupted && fit->interrupted(fit->context))
      return fail(err, GARAM_INTERRUPTED, "interrupted after %zu trees", grown);
  }
  summary->best_epoch = summary->epochs;
  summary->seconds = (double)(clock_monotonic_ns() - begun) / 1e9;
  return GARAM_OK;
}

static garam_status forest_fit(learner *l, const dataset *d, row_set train, row_set valid,
                               const fit_context *fit, fit_summary *summary, garam_error *err) {
  forest *m = (forest *)l;
  garam_status status;
  *summary = (fit_summary){0};
  if (train.n == 0) return fail(err, GARAM_INVALID, "%s: no rows to train on", l->ops->name);
  fitting *f = mem_zalloc(sizeof *f);
  if (!f) return fail_memory(err, sizeof *f);
  f->m = m;
  f->d = d;
  f->valid = valid;
  f->task = (forest_task){.d = d, .rows = train, .seed = fit ? fit->seed : 0};
  TRY_GOTO(done, prepare(f, err));
  TRY_GOTO(done, run(f, fit, summary, err));
  TRY_GOTO(done, calibrate(f, err));
  trees_predictor_free(m->predictor);
  trees_free(m->trees);
  m->predictor = NULL;
  m->trees = NULL;
  trees_builder *built = f->built;
  f->built = NULL;
  TRY_GOTO(done, trees_finish(&m->trees, built, NULL, (double)m->config.trees, false, err));
  TRY_GOTO(done, trees_predictor_new(&m->predictor, m->trees, err));
  bins_drop(m->held);
  m->held = f->bins ? bins_hold(f->bins) : NULL;
  summary->parameters = parameters(l);
  summary->train_loss = f->train_losses;
  summary->valid_loss = f->valid_losses;
  f->train_losses = f->valid_losses = NULL;
done:
  fitting_deinit(f);
  mem_free(f);
  return status;
}

/* ---- predict, save, load -----------------------------------------------------------------------
 */

static garam_status predict(learner *l, const float *x, const int32_t *begin, size_t n, float *out,
                            garam_error *err) {
  forest *m = (forest *)l;
  (void)begin;
  REQUIRE(m->predictor, "%s: predict before fit", l->ops->name);
  TRY(mem_grow(&m->sums, &m->capacity, n * outputs_of(m), sizeof *m->sums, err));
  trees_predict(m->predictor, x, n, m->sums);
  size_t k = outputs_of(m);
  double n_trees = (double)m->trees->n_trees;
  if (classes_of(m) == 0) {
    for (size_t i = 0; i < n; i++) out[i] = (float)m->sums[i];
    return GARAM_OK;
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t c = 0; c < k; c++) m->sums[i * k + c] *= n_trees;
    scores_of(out + i * k, m->sums + i * k, n_trees, k);
    for (size_t c = 0; c < k; c++) out[i * k + c] /= (float)m->temperature;
  }
  return GARAM_OK;
}

static garam_status save(const learner *l, package_writer *w, const char *prefix,
                         garam_error *err) {
  const forest *m = (const forest *)l;
  char name[128];
  REQUIRE(m->trees, "%s: save before fit", l->ops->name);
  snprintf(name, sizeof name, "%stemperature", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 1, (int64_t[]){1}, &m->temperature, err));
  return trees_save(m->trees, w, prefix, err);
}

static garam_status load(learner **out, const learner_ops *ops, const void *config,
                         const learner_shape *shape, package_reader *r, const char *prefix,
                         garam_error *err) {
  const package_tensor *temperature;
  char name[128];
  *out = NULL;
  snprintf(name, sizeof name, "%stemperature", prefix);
  TRY(package_get_finite(&temperature, r, name, PACKAGE_F64, 1, (int64_t[]){1}, err));
  TRY(create(out, ops, config, shape, err));
  forest *m = (forest *)*out;
  m->temperature = *(const double *)temperature->data;
  garam_status status = GARAM_OK;
  if (!(m->temperature >= LOWEST && m->temperature <= HIGHEST))
    status = fail(err, GARAM_CORRUPT, "%s: %s is %g", package_name(r), name, m->temperature);
  if (status == GARAM_OK)
    status = trees_load(&m->trees, shape->n_features, outputs_of(m), r, prefix, err);
  if (status == GARAM_OK) status = trees_predictor_new(&m->predictor, m->trees, err);
  if (status == GARAM_OK) return GARAM_OK;
  destroy(*out);
  *out = NULL;
  return status;
}

static garam_status load_forest(learner **out, const void *config, const learner_shape *shape,
                                package_reader *r, const char *prefix, garam_error *err) {
  return load(out, &forest_ops, config, shape, r, prefix, err);
}

static garam_status load_extra(learner **out, const void *config, const learner_shape *shape,
                               package_reader *r, const char *prefix, garam_error *err) {
  return load(out, &extra_trees_ops, config, shape, r, prefix, err);
}

#define FOREST_TASKS (1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION)

const learner_ops forest_ops = {
    .name = "forest",
    .summary = "random forest: deep trees on samples of rows and features, averaged",
    .tasks = FOREST_TASKS,
    .options = forest_options,
    .n_options = COUNT_OF(forest_options),
    .config_size = sizeof(forest_config),
    .create = create_forest,
    .destroy = destroy,
    .context = context,
    .fit = forest_fit,
    .predict = predict,
    .save = save,
    .load = load_forest,
    .parameters = parameters,
};

const learner_ops extra_trees_ops = {
    .name = "extra-trees",
    .summary = "extremely randomised trees: a random cut of each feature looked at, averaged",
    .tasks = FOREST_TASKS,
    .options = extra_options,
    .n_options = COUNT_OF(extra_options),
    .config_size = sizeof(forest_config),
    .create = create_extra,
    .destroy = destroy,
    .context = context,
    .fit = forest_fit,
    .predict = predict,
    .save = save,
    .load = load_extra,
    .parameters = parameters,
};
