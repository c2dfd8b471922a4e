/* One call a row, each timed, over rows that differ; then passes over a batch. */
#include "tree/bench_trees.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tree/predict.h"
#include "tree/trees_fake.h"

#include <math.h>
#include <stdlib.h>

enum { POOL_ROWS = 4096, WARM_CALLS = 20000, MOST_CALLS = 4000000 };

const opt_row bench_trees_options[] = {
    {"trees", OPT_INT, OPT_AT(bench_trees_config, trees), .def = 100, .min = 1, .max = 100000,
     .help = "trees of the made-up model"},
    {"leaves", OPT_INT, OPT_AT(bench_trees_config, leaves), .def = 63, .min = 1, .max = 131072,
     .help = "leaves of each tree"},
    {"features", OPT_INT, OPT_AT(bench_trees_config, features), .def = 28, .min = 1, .max = 100000,
     .help = "numbers in a row"},
    {"outputs", OPT_INT, OPT_AT(bench_trees_config, outputs), .def = 1, .min = 1, .max = 4096,
     .help = "classes; trees take turns"},
    {"rows", OPT_INT, OPT_AT(bench_trees_config, rows), .def = 1000000, .min = 1, .max = 100000000,
     .unit = "rows", .help = "rows of the batch"},
    {"seconds", OPT_F64, OPT_AT(bench_trees_config, seconds), .def = 3, .min = 0.01, .max = 86400,
     .unit = "seconds", .help = "to measure one row at a time for"},
};
const size_t bench_trees_n_options = COUNT_OF(bench_trees_options);

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void time_one_row(bench_trees_result *out, const trees_predictor *p, const float *x,
                         size_t width, double *sums, uint32_t *took, double seconds) {
  size_t n = 0, row = 0;
  for (size_t i = 0; i < WARM_CALLS; i++) trees_predict(p, x + i % POOL_ROWS * width, 1, sums);
  int64_t begun = clock_monotonic_ns(), now = begun, limit = (int64_t)(seconds * 1e9);
  while (n < MOST_CALLS && now - begun < limit) {
    int64_t then = clock_monotonic_ns();
    trees_predict(p, x + row * width, 1, sums);
    now = clock_monotonic_ns();
    took[n++] = now - then < UINT32_MAX ? (uint32_t)(now - then) : UINT32_MAX;
    if (++row == POOL_ROWS) row = 0;
  }
  out->one_row_per_second = (double)n / ((double)(now - begun) / 1e9);
  qsort(took, n, sizeof *took, compare_u32);
  out->calls = n;
  out->p50_ns = took[n / 2];
  out->p99_ns = took[(size_t)((double)n * 0.99)];
  out->p999_ns = took[(size_t)((double)n * 0.999)];
  out->max_ns = took[n - 1];
}

garam_status bench_trees(bench_trees_result *out, const bench_trees_config *config,
                         garam_error *err) {
  const trees_fake spec = {.n_features = (size_t)config->features,
                           .n_outputs = (size_t)config->outputs,
                           .width = 1,
                           .n_trees = (size_t)config->trees,
                           .n_leaves = (size_t)config->leaves,
                           .seed = (uint64_t)config->seed};
  size_t rows = (size_t)config->rows, pool = rows > POOL_ROWS ? rows : POOL_ROWS;
  trees *t = NULL;
  trees_predictor *p = NULL;
  *out = (bench_trees_result){0};
  float *x = mem_array(pool * spec.n_features, sizeof *x);
  float *sums = mem_array(pool * spec.n_outputs, sizeof *sums);
  double *one = mem_array(spec.n_outputs, sizeof *one);
  uint32_t *took = mem_array(MOST_CALLS, sizeof *took);
  garam_status status;
  if (!x || !sums || !one || !took) {
    status = fail_memory(err, pool * spec.n_features * sizeof *x);
    goto done;
  }
  TRY_GOTO(done, trees_fake_new(&t, &spec, err));
  TRY_GOTO(done, trees_predictor_new(&p, t, err));
  trees_fake_rows(x, pool, &spec, spec.seed + 1);
  uint64_t allocations = mem_count();
  time_one_row(out, p, x, spec.n_features, one, took, config->seconds);
  for (int pass = 0; pass < 3; pass++) {
    int64_t then = clock_monotonic_ns();
    trees_predict_f32(p, x, rows, sums);
    double seconds = (double)(clock_monotonic_ns() - then) / 1e9;
    if (pass == 0 || seconds < out->batch_seconds) out->batch_seconds = seconds;
  }
  out->allocations = mem_count() - allocations;
  out->bytes = trees_bytes(t);
  out->isa = trees_predictor_isa(p);
done:
  trees_predictor_free(p);
  trees_free(t);
  mem_free(x);
  mem_free(sums);
  mem_free(one);
  mem_free(took);
  return status;
}
