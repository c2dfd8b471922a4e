/* Multinomial logistic regression (loss: mean negative log-likelihood) and ridge regression (half
 * the mean squared error), both by L-BFGS to a small gradient. Rows are cut into shards whose
 * number depends on the rows alone; shards are added in order: the same weights for any number
 * of threads. */
#include "learn/linear.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/wide.h"
#include "learn/lbfgs.h"

#include <math.h>
#include <string.h>

enum { SHARD_ROWS = 1024, MAX_SHARDS = 16 };

typedef struct linear {
  learner base;
  linear_config config;
  learner_shape shape;
  size_t inputs, outputs; /* window x features; classes or 1 */
  float *weight;          /* (outputs, inputs) */
  float *bias;            /* (outputs) */
} linear;

static const char *const class_weight_names[] = {"none", "balanced", NULL};

static const opt_row options[] = {
    {"l2", OPT_F64, OPT_AT(linear_config, l2), .def = 1e-3, .min = 0, .max = 1e6, .scale = OPT_LOG,
     .search = {1e-6, 10}, .help = "weight of the squared weights in the loss"},
    {"window", OPT_INT, OPT_AT(linear_config, window), .def = 1, .min = 1, .max = 4096,
     .scale = OPT_LOG, .search = {1, 64}, .unit = "rows",
     .help = "past rows put side by side, ending at the one predicted from"},
    {"class-weights", OPT_ENUM, OPT_AT(linear_config, class_weights), .choices = class_weight_names,
     .help = "balanced weighs every class the same"},
    {"max-iterations", OPT_INT, OPT_AT(linear_config, max_iterations), .def = 500, .min = 1,
     .max = 100000, .help = "of L-BFGS"},
    {"tolerance", OPT_F64, OPT_AT(linear_config, tolerance), .def = 1e-5, .min = 1e-12, .max = 1,
     .scale = OPT_LOG, .help = "largest part of the gradient at the end"},
};

/* ---- storage ----------------------------------------------------------------------------- */

static void linear_destroy(learner *l) {
  linear *m = (linear *)l;
  if (!m) return;
  mem_free(m->weight);
  mem_free(m->bias);
  mem_free(m);
}

static garam_status linear_create(learner **out, const void *config, const learner_shape *shape,
                                  garam_error *err) {
  *out = NULL;
  linear *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->base.ops = &linear_ops;
  m->config = *(const linear_config *)config;
  m->shape = *shape;
  m->outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  size_t n = 0;
  if (size_mul(&m->inputs, shape->n_features, (size_t)m->config.window) &&
      size_mul(&n, m->inputs, m->outputs))
    m->weight = mem_array(n, sizeof *m->weight);
  m->bias = mem_array(m->outputs, sizeof *m->bias);
  if (!m->weight || !m->bias) {
    linear_destroy(&m->base);
    return fail_memory(err, n * sizeof *m->weight);
  }
  *out = &m->base;
  return GARAM_OK;
}

static size_t linear_context(const learner *l) {
  return (size_t)((const linear *)l)->config.window;
}

static size_t linear_parameters(const learner *l) {
  const linear *m = (const linear *)l;
  return m->outputs * (m->inputs + 1);
}

/* ---- fit --------------------------------------------------------------------------------- */

/* The part of row `row`'s window that exists: it is contiguous in d->x. Returns its first number,
 * and the input that it belongs to. */
static const float *window_of(const linear *m, const dataset *d, uint32_t row, size_t *first) {
  size_t begin = d->series_begin ? d->series_begin[row] : 0;
  size_t there = (size_t)row + 1 - begin, window = (size_t)m->config.window;
  if (there > window) there = window;
  *first = (window - there) * d->n_features;
  return d->x + ((size_t)row + 1 - there) * d->n_features;
}

typedef float lanes_f32 __attribute__((vector_size(32)));
typedef double lanes_f64 __attribute__((vector_size(64)));

WIDE static double dot_mixed(const double *w, const float *x, size_t n) {
  lanes_f64 sum = {0}, w8;
  lanes_f32 x8;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&w8, w + i, sizeof w8);
    memcpy(&x8, x + i, sizeof x8);
    sum += w8 * __builtin_convertvector(x8, lanes_f64);
  }
  for (; i < n; i++) sum[0] += w[i] * (double)x[i];
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

WIDE static void add_scaled(double *g, const float *x, double scale, size_t n) {
  for (size_t j = 0; j < n; j++) g[j] += scale * (double)x[j];
}

typedef struct shard_sums {
  double loss, hits;
} shard_sums;

typedef struct problem {
  const linear *m;
  const dataset *d;
  row_set rows;
  const double *row_weight; /* (n), sums to 1; NULL: all 1 / n */
  size_t shard_rows, n_shards;
  const double *w;   /* (outputs, inputs + 1): bias last */
  double *gradients; /* (n_shards, outputs, inputs + 1); NULL: none are wanted */
  double *scores;    /* (n_shards, outputs) */
  shard_sums *sums;  /* (n_shards) */
} problem;

static void problem_deinit(problem *p) {
  mem_free(p->gradients);
  mem_free(p->scores);
  mem_free(p->sums);
  p->gradients = p->scores = NULL;
  p->sums = NULL;
}

static garam_status problem_init(problem *p, const linear *m, const dataset *d, row_set rows,
                                 bool with_gradient, garam_error *err) {
  *p = (problem){.m = m, .d = d, .rows = rows};
  p->shard_rows = rows.n / MAX_SHARDS + 1;
  if (p->shard_rows < SHARD_ROWS) p->shard_rows = SHARD_ROWS;
  p->n_shards = (rows.n + p->shard_rows - 1) / p->shard_rows;
  size_t size = p->n_shards * m->outputs * (m->inputs + 1);
  if (with_gradient) p->gradients = mem_array(size, sizeof *p->gradients);
  p->scores = mem_array(p->n_shards * m->outputs, sizeof *p->scores);
  p->sums = mem_array(p->n_shards, sizeof *p->sums);
  if ((with_gradient && !p->gradients) || !p->scores || !p->sums) {
    problem_deinit(p);
    return fail_memory(err, size * sizeof *p->gradients);
  }
  return GARAM_OK;
}

/* Scores become the gradient of the loss by the scores; returns the loss. */
static double loss_classes(double *z, size_t k, int32_t y, bool *hit) {
  double most = z[0], sum = 0;
  size_t top = 0;
  for (size_t c = 1; c < k; c++)
    if (z[c] > most) most = z[c], top = c;
  double at_y = z[y] - most;
  for (size_t c = 0; c < k; c++) sum += z[c] = exp(z[c] - most);
  for (size_t c = 0; c < k; c++) z[c] /= sum;
  z[y] -= 1;
  *hit = (int32_t)top == y;
  return log(sum) - at_y;
}

static void run_shard(problem *p, size_t shard, size_t begin, size_t end) {
  const linear *m = p->m;
  size_t stride = m->inputs + 1, k = m->outputs;
  double *gradient = p->gradients ? p->gradients + shard * k * stride : NULL;
  double *z = p->scores + shard * k;
  if (gradient) memset(gradient, 0, k * stride * sizeof *gradient);
  shard_sums sums = {0};
  for (size_t i = begin; i < end; i++) {
    uint32_t row = p->rows.rows[i];
    size_t first;
    const float *x = window_of(m, p->d, row, &first);
    size_t n = m->inputs - first;
    double share = p->row_weight ? p->row_weight[i] : 1 / (double)p->rows.n;
    for (size_t c = 0; c < k; c++)
      z[c] = dot_mixed(p->w + c * stride + first, x, n) + p->w[c * stride + m->inputs];
    if (m->shape.task == TASK_REGRESSION) {
      double residual = z[0] - (double)p->d->value[row];
      sums.loss += share * 0.5 * residual * residual;
      z[0] = residual;
    } else {
      bool hit;
      sums.loss += share * loss_classes(z, k, p->d->y[row], &hit);
      sums.hits += hit;
    }
    for (size_t c = 0; gradient && c < k; c++) {
      double r = share * z[c];
      add_scaled(gradient + c * stride + first, x, r, n);
      gradient[c * stride + m->inputs] += r;
    }
  }
  p->sums[shard] = sums;
}

static void run_shards(void *context, size_t begin, size_t end) {
  problem *p = context;
  for (size_t s = begin; s < end; s++) {
    size_t from = s * p->shard_rows, to = from + p->shard_rows;
    run_shard(p, s, from, to < p->rows.n ? to : p->rows.n);
  }
}

/* Loss over the rows, and the gradient when it is wanted (added up in order of shards). */
static double problem_run(problem *p, const double *w, double *gradient, double *accuracy) {
  size_t size = p->m->outputs * (p->m->inputs + 1);
  p->w = w;
  thread_for(p->n_shards, 1, run_shards, p);
  double loss = 0, hits = 0;
  if (gradient) memset(gradient, 0, size * sizeof *gradient);
  for (size_t s = 0; s < p->n_shards; s++) {
    loss += p->sums[s].loss;
    hits += p->sums[s].hits;
    const double *from = gradient ? p->gradients + s * size : NULL;
    for (size_t j = 0; gradient && j < size; j++) gradient[j] += from[j];
  }
  if (accuracy) *accuracy = p->m->shape.task == TASK_REGRESSION ? NAN : hits / (double)p->rows.n;
  return loss;
}

typedef struct search {
  problem train, valid;
  const double *w; /* what lbfgs moves */
  const fit_context *fit;
  int max_iterations;
  double train_loss, train_accuracy; /* of the last evaluation */
  double *train_losses, *valid_losses;
  size_t train_capacity, valid_capacity;
  int64_t begun;
  bool out_of_memory;
} search;

static double objective(void *context, const double *w, double *gradient) {
  search *s = context;
  const linear *m = s->train.m;
  s->train_loss = problem_run(&s->train, w, gradient, &s->train_accuracy);
  double penalty = 0;
  for (size_t c = 0; c < m->outputs; c++)
    for (size_t j = 0, at = c * (m->inputs + 1); j < m->inputs; j++, at++) {
      penalty += w[at] * w[at];
      gradient[at] += m->config.l2 * w[at];
    }
  return s->train_loss + 0.5 * m->config.l2 * penalty;
}

static bool after_iteration(void *context, int iteration, double value, double gradient_norm) {
  search *s = context;
  (void)value;
  (void)gradient_norm;
  fit_epoch e = {.epoch = iteration,
                 .n_epochs = s->max_iterations,
                 .train_loss = s->train_loss,
                 .train_accuracy = s->train_accuracy,
                 .valid_loss = NAN,
                 .valid_accuracy = NAN,
                 .learning_rate = NAN,
                 .best = false}; /* the last is kept: the loss is convex */
  if (s->valid.rows.n > 0) e.valid_loss = problem_run(&s->valid, s->w, NULL, &e.valid_accuracy);
  e.seconds = (double)(clock_monotonic_ns() - s->begun) / 1e9;
  size_t n = (size_t)iteration;
  if (mem_grow(&s->train_losses, &s->train_capacity, n, sizeof(double), NULL) != GARAM_OK ||
      mem_grow(&s->valid_losses, &s->valid_capacity, n, sizeof(double), NULL) != GARAM_OK) {
    s->out_of_memory = true;
    return true;
  }
  s->train_losses[n - 1] = e.train_loss;
  s->valid_losses[n - 1] = e.valid_loss;
  if (s->fit && s->fit->on_epoch) s->fit->on_epoch(s->fit->context, &e);
  return s->fit && s->fit->interrupted && s->fit->interrupted(s->fit->context);
}

/* Shares of the rows in the loss: weights of the data, times those of the classes. */
static garam_status weigh_rows(double **out, const linear *m, const dataset *d, row_set rows,
                               garam_error *err) {
  bool balanced = m->shape.task != TASK_REGRESSION && m->config.class_weights == 1;
  *out = NULL;
  if (!balanced && !d->weight) return GARAM_OK;
  double *share = mem_array(rows.n, sizeof *share), total = 0;
  double *of_class = mem_array(m->outputs, sizeof *of_class);
  if (!share || !of_class) {
    mem_free(share);
    mem_free(of_class);
    return fail_memory(err, rows.n * sizeof *share);
  }
  for (size_t i = 0; i < rows.n; i++) {
    share[i] = d->weight ? (double)d->weight[rows.rows[i]] : 1;
    if (balanced) of_class[d->y[rows.rows[i]]] += share[i];
  }
  for (size_t i = 0; i < rows.n; i++) {
    if (balanced && share[i] > 0) share[i] /= of_class[d->y[rows.rows[i]]];
    total += share[i];
  }
  mem_free(of_class);
  if (!(total > 0)) {
    mem_free(share);
    return fail(err, GARAM_INVALID, "the weights of the training rows sum to zero");
  }
  for (size_t i = 0; i < rows.n; i++) share[i] /= total;
  *out = share;
  return GARAM_OK;
}

static garam_status linear_fit(learner *l, const dataset *d, row_set train, row_set valid,
                               const fit_context *fit, fit_summary *summary, garam_error *err) {
  linear *m = (linear *)l;
  size_t stride = m->inputs + 1, size = m->outputs * stride;
  search s = {
      .fit = fit, .max_iterations = m->config.max_iterations, .begun = clock_monotonic_ns()};
  double *w = NULL, *share = NULL;
  lbfgs_result result;
  garam_status status;
  *summary = (fit_summary){0};
  if (train.n == 0) return fail(err, GARAM_INVALID, "linear: no rows to train on");
  TRY_GOTO(done, weigh_rows(&share, m, d, train, err));
  TRY_GOTO(done, problem_init(&s.train, m, d, train, true, err));
  s.train.row_weight = share;
  if (valid.n > 0) TRY_GOTO(done, problem_init(&s.valid, m, d, valid, false, err));
  w = mem_array(size, sizeof *w);
  if (!w) {
    status = fail_memory(err, size * sizeof *w);
    goto done;
  }
  s.w = w;
  lbfgs_config config = {.max_iterations = m->config.max_iterations,
                         .tolerance = m->config.tolerance};
  status = lbfgs_minimise(&result, w, size, &config, objective, after_iteration, &s, err);
  if (s.out_of_memory) status = fail_memory(err, sizeof(double));
  if (status != GARAM_OK) goto done;
  if (!result.converged)
    log_warning("linear: stopped after %d iterations with a gradient of %.3g, wanted %.3g",
                result.iterations, result.gradient_norm, config.tolerance);
  for (size_t c = 0; c < m->outputs; c++) {
    for (size_t j = 0; j < m->inputs; j++) m->weight[c * m->inputs + j] = (float)w[c * stride + j];
    m->bias[c] = (float)w[c * stride + m->inputs];
  }
  summary->epochs = summary->best_epoch = result.iterations;
  summary->best_valid_loss = result.iterations ? s.valid_losses[result.iterations - 1] : NAN;
  summary->train_loss = s.train_losses;
  summary->valid_loss = s.valid_losses;
  summary->parameters = size;
  summary->seconds = (double)(clock_monotonic_ns() - s.begun) / 1e9;
  s.train_losses = s.valid_losses = NULL;
done:
  mem_free(s.train_losses);
  mem_free(s.valid_losses);
  problem_deinit(&s.train);
  problem_deinit(&s.valid);
  mem_free(share);
  mem_free(w);
  return status;
}

/* ---- predict, save, load -------------------------------------------------------------------- */

static float dot_f32(const float *w, const float *x, size_t n) {
  float lanes[16] = {0};
  size_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (size_t j = 0; j < 16; j++) lanes[j] += w[i + j] * x[i + j];
  for (size_t j = 0; i < n; i++, j++) lanes[j] += w[i] * x[i];
  for (size_t half = 8; half > 0; half /= 2)
    for (size_t j = 0; j < half; j++) lanes[j] += lanes[j + half];
  return lanes[0];
}

static garam_status linear_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                   float *out, garam_error *err) {
  const linear *m = (const linear *)l;
  (void)err;
  for (size_t i = 0; i < n; i++) {
    size_t first = begin ? (size_t)begin[i] * m->shape.n_features : 0;
    const float *row = x + i * m->inputs + first;
    for (size_t c = 0; c < m->outputs; c++)
      out[i * m->outputs + c] =
          dot_f32(m->weight + c * m->inputs + first, row, m->inputs - first) + m->bias[c];
  }
  return GARAM_OK;
}

static garam_status linear_save(const learner *l, package_writer *w, const char *prefix,
                                garam_error *err) {
  const linear *m = (const linear *)l;
  char name[128];
  int64_t dims[2] = {(int64_t)m->outputs, (int64_t)m->inputs};
  snprintf(name, sizeof name, "%sweight", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 2, dims, m->weight, err));
  snprintf(name, sizeof name, "%sbias", prefix);
  return package_add(w, name, PACKAGE_F32, 1, dims, m->bias, err);
}

/* The arrays are looked for before room is made for them: a manifest can't ask for more memory
 * than the file has. */
static garam_status linear_load(learner **out, const void *config, const learner_shape *shape,
                                package_reader *r, const char *prefix, garam_error *err) {
  const linear_config *c = config;
  char name[128];
  const package_tensor *weight, *bias;
  size_t inputs;
  *out = NULL;
  if (!size_mul(&inputs, shape->n_features, (size_t)c->window)) return fail_memory(err, SIZE_MAX);
  int64_t dims[2] = {shape->task == TASK_REGRESSION ? 1 : shape->n_classes, (int64_t)inputs};
  snprintf(name, sizeof name, "%sweight", prefix);
  TRY(package_get_finite(&weight, r, name, PACKAGE_F32, 2, dims, err));
  snprintf(name, sizeof name, "%sbias", prefix);
  TRY(package_get_finite(&bias, r, name, PACKAGE_F32, 1, dims, err));
  TRY(linear_create(out, config, shape, err));
  linear *m = (linear *)*out;
  memcpy(m->weight, weight->data, weight->bytes);
  memcpy(m->bias, bias->data, bias->bytes);
  return GARAM_OK;
}

const learner_ops linear_ops = {
    .name = "linear",
    .summary = "multinomial logistic regression, or ridge regression, with a squared penalty",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(linear_config),
    .wants_scaled = true,
    .create = linear_create,
    .destroy = linear_destroy,
    .context = linear_context,
    .fit = linear_fit,
    .predict = linear_predict,
    .save = linear_save,
    .load = linear_load,
    .parameters = linear_parameters,
};
