/* How long boosting takes to fit, and how well it does: on made-up rows of two classes, of which
 * some are kept to score. `garam bench train --model gbdt`. */
#ifndef TREE_BENCH_FIT_H
#define TREE_BENCH_FIT_H

#include "tree/gbdt.h"

typedef struct bench_fit_config {
  int rows, features, test_rows;
  char save_data[4096]; /* safetensors file for the rows: x, y, test_x, test_y; "" none */
  int64_t seed;         /* has its own flag */
} bench_fit_config;
extern const opt_row bench_fit_options[];
extern const size_t bench_fit_n_options;

typedef struct bench_fit_result {
  double seconds;       /* of the fit: bins and trees */
  double cpu_seconds;   /* the same in processor time: on a shared machine the steadier clock */
  double auc, log_loss; /* of the rows kept */
  size_t trees, leaves, bytes;
  size_t resident; /* before the fit */
  size_t peak;     /* of the process */
} bench_fit_result;

garam_status bench_fit(bench_fit_result *out, const bench_fit_config *config,
                       const gbdt_config *model, garam_error *err);

#endif
