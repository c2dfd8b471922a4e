/* How many steps a second an environment makes: through env_step, with its checks and the resets of
 * episodes that end. What decides the actions is not timed. */
#ifndef ENV_BENCH_ENV_H
#define ENV_BENCH_ENV_H

#include "env/baseline.h"

typedef struct bench_env_config {
  char env[64], actions[32]; /* actions: the name of a baseline */
  int n;
  double seconds;
} bench_env_config;

extern const opt_row bench_env_options[];
extern const size_t bench_env_n_options;

typedef struct bench_env_result {
  double steps_per_second;      /* of worlds; the median of slices of at least 5 ms */
  double fastest, slowest;      /* slices */
  double steps_per_core_second; /* of processor time, all threads': what other work on the machine
                                   does not spoil */
  double ns_per_step, seconds;
  uint64_t steps, episodes;
  int agents;
  uint64_t allocations; /* while it was timed */
} bench_env_result;

/* env_config: of ops' rows; NULL: defaults. */
garam_status bench_env(bench_env_result *out, const env_ops *ops, const void *env_config,
                       const bench_env_config *config, uint64_t seed, garam_error *err);

#endif
