/* How long trees take to predict: made-up but realistic trees, one row at a time and in a batch.
 * `garam bench predict --model gbdt`. */
#ifndef TREE_BENCH_TREES_H
#define TREE_BENCH_TREES_H

#include "base/opt.h"

typedef struct bench_trees_config {
  int trees, leaves, features, outputs;
  int rows; /* of the batch */
  double seconds;
  int64_t seed; /* has its own flag */
} bench_trees_config;
extern const opt_row bench_trees_options[];
extern const size_t bench_trees_n_options;

typedef struct bench_trees_result {
  uint64_t p50_ns, p99_ns, p999_ns, max_ns, calls;
  double one_row_per_second; /* rows a second, one at a time */
  double batch_seconds;      /* the fastest of the passes over the batch */
  uint64_t allocations;      /* while measuring; 0 is expected */
  size_t bytes;              /* of the trees */
  const char *isa;
} bench_trees_result;

garam_status bench_trees(bench_trees_result *out, const bench_trees_config *config,
                         garam_error *err);

#endif
