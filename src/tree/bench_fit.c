/* Made-up rows with what real ones have: steps, slopes, products, skewed and useless columns, and
 * a target that no model knows for certain. */
#include "tree/bench_fit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "learn/metric.h"
#include "tree/predict.h"

#include <math.h>
#include <string.h>

const opt_row bench_fit_options[] = {
    {"rows", OPT_INT, OPT_AT(bench_fit_config, rows), .def = 100000, .min = 100, .max = 1e8,
     .unit = "rows", .help = "to train on"},
    {"features", OPT_INT, OPT_AT(bench_fit_config, features), .def = 28, .min = 8, .max = 10000,
     .help = "numbers in a row"},
    {"test-rows", OPT_INT, OPT_AT(bench_fit_config, test_rows), .def = 100000, .min = 100,
     .max = 1e8, .unit = "rows", .help = "to score"},
    {"save-data", OPT_STRING, OPT_AT(bench_fit_config, save_data), .def_text = "",
     .help = "safetensors file for the rows, for another implementation: x, y, test_x, test_y"},
};
const size_t bench_fit_n_options = COUNT_OF(bench_fit_options);

enum { GRAIN = 4096 };

typedef struct making {
  dataset *d;
  uint64_t seed;
} making;

static void make_rows(void *context, size_t begin, size_t end) {
  const making *m = context;
  size_t width = m->d->n_features;
  rng r;
  rng_init(&r, m->seed, RNG_SIMULATE, begin);
  for (size_t i = begin; i < end; i++) {
    float *x = m->d->x + i * width;
    for (size_t j = 0; j < width; j++) {
      double z = rng_normal(&r);
      if (j % 4 == 1) z = exp(0.7 * z);
      if (j % 4 == 2) z = rng_uniform(&r);
      if (j % 7 == 6) z = floor(3 * z);
      x[j] = (float)z;
    }
    double s = (x[0] > 0.4f ? 0.7 : -0.4) + 0.6 * (double)(x[3] * x[4]) + sin(3 * (double)x[7]);
    s += 0.5 * (log((double)x[1]) > (double)x[4] ? 1 : -1) + 1.2 * fabs((double)x[2] - 0.5);
    s += 0.15 * (double)x[6] + (x[5] > 1.2f && x[3] < 0 ? 0.9 : 0);
    for (size_t j = 8; j < width; j += 3) s += 0.08 * (x[j] > 0.5f ? 1 : -1);
    m->d->y[i] = rng_uniform(&r) < 1 / (1 + exp(-1.3 * s));
  }
}

static garam_status make(dataset **out, const bench_fit_config *c, garam_error *err) {
  size_t n = (size_t)c->rows + (size_t)c->test_rows;
  TRY(dataset_new(out, TASK_BINARY, n, (size_t)c->features, 2, err));
  making m = {*out, (uint64_t)c->seed};
  thread_for(n, GRAIN, make_rows, &m);
  return GARAM_OK;
}

static garam_status save_rows(const dataset *d, const bench_fit_config *c, garam_error *err) {
  package_writer *w;
  int64_t dims[2] = {c->rows, c->features}, test[2] = {c->test_rows, c->features};
  size_t first = (size_t)c->rows;
  garam_status status;
  TRY(package_writer_new(&w, err));
  TRY_GOTO(done, package_add(w, "x", PACKAGE_F32, 2, dims, d->x, err));
  TRY_GOTO(done, package_add(w, "y", PACKAGE_I32, 1, dims, d->y, err));
  TRY_GOTO(done, package_add(w, "test_x", PACKAGE_F32, 2, test, d->x + first * d->n_features, err));
  TRY_GOTO(done, package_add(w, "test_y", PACKAGE_I32, 1, test, d->y + first, err));
  status = package_write(w, c->save_data, err);
done:
  package_writer_free(w);
  return status;
}

static garam_status score_rows(bench_fit_result *out, const learner *l, const dataset *d,
                               const bench_fit_config *c, garam_error *err) {
  size_t n = (size_t)c->test_rows, first = (size_t)c->rows;
  trees_predictor *p;
  TRY(trees_predictor_new(&p, gbdt_trees(l), err));
  float *s = mem_array(n, sizeof *s);
  if (!s) {
    trees_predictor_free(p);
    return fail_memory(err, n * sizeof *s);
  }
  trees_predict_f32(p, d->x + first * d->n_features, n, s);
  out->auc = metric_auc(s, d->y + first, NULL, n);
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double z = d->y[first + i] ? (double)s[i] : -(double)s[i];
    sum += z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z;
  }
  out->log_loss = sum / (double)n;
  mem_free(s);
  trees_predictor_free(p);
  return GARAM_OK;
}

garam_status bench_fit(bench_fit_result *out, const bench_fit_config *config,
                       const gbdt_config *model, garam_error *err) {
  dataset *d = NULL;
  learner *l = NULL;
  uint32_t *rows = NULL;
  fit_summary summary = {0};
  garam_status status;
  *out = (bench_fit_result){0};
  TRY_GOTO(done, make(&d, config, err));
  if (config->save_data[0]) TRY_GOTO(done, save_rows(d, config, err));
  size_t n = (size_t)config->rows;
  rows = mem_array(n, sizeof *rows);
  if (!rows) TRY_GOTO(done, fail_memory(err, n * sizeof *rows));
  for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)i;
  out->resident = mem_peak_resident();
  const learner_shape shape = {TASK_BINARY, d->n_features, 2};
  TRY_GOTO(done, gbdt_ops.create(&l, model, &shape, err));
  const fit_context fit = {.seed = (uint64_t)config->seed};
  int64_t cpu = clock_process_ns();
  TRY_GOTO(done, gbdt_ops.fit(l, d, (row_set){rows, n}, (row_set){0}, &fit, &summary, err));
  out->cpu_seconds = (double)(clock_process_ns() - cpu) / 1e9;
  out->peak = mem_peak_resident();
  const trees *t = gbdt_trees(l);
  out->seconds = summary.seconds;
  out->trees = t->n_trees;
  out->leaves = t->n_leaves;
  out->bytes = trees_bytes(t);
  status = score_rows(out, l, d, config, err);
done:
  fit_summary_deinit(&summary);
  if (l) gbdt_ops.destroy(l);
  mem_free(rows);
  dataset_free(d);
  return status;
}
