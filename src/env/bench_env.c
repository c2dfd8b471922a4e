/* Steps a second of an environment. */
#include "env/bench_env.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <time.h>

const opt_row bench_env_options[] = {
    {"env", OPT_STRING, OPT_AT(bench_env_config, env), .def_text = "CartPole-v1",
     .help = "environment; garam rl list names them"},
    {"n", OPT_INT, OPT_AT(bench_env_config, n), .def = 1024, .min = 1, .max = 1 << 20,
     .unit = "worlds", .help = "stepped together"},
    {"actions", OPT_STRING, OPT_AT(bench_env_config, actions), .def_text = "random",
     .help = "who acts: random, zero, or a script of the environment"},
    {"seconds", OPT_F64, OPT_AT(bench_env_config, seconds), .def = 2, .min = 0.01, .max = 86400,
     .unit = "seconds", .help = "of stepping to measure"},
};
const size_t bench_env_n_options = COUNT_OF(bench_env_options);

enum { SLICES = 1024 };
static const int64_t shortest = 5000000; /* of a slice, in nanoseconds */

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int64_t processor_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * CLOCK_NS_PER_SECOND + t.tv_nsec;
}

/* One slice: nanoseconds a step. */
static garam_status slice(double *out, env *e, const baseline *b, int64_t length,
                          int64_t *processor, bench_env_result *r, garam_error *err) {
  int64_t spent = 0;
  uint64_t calls = 0;
  while (spent < length) {
    b->act(e, 0, e->batch.n);
    const int64_t used = processor_ns(), then = clock_monotonic_ns();
    TRY(env_step(e, err));
    spent += clock_monotonic_ns() - then;
    *processor += processor_ns() - used;
    calls++;
    for (size_t i = 0; i < e->batch.n; i++) r->episodes += e->batch.ended[i];
  }
  r->steps += calls * e->batch.n;
  r->seconds += (double)spent * 1e-9;
  *out = (double)spent / ((double)calls * (double)e->batch.n);
  return GARAM_OK;
}

garam_status bench_env(bench_env_result *out, const env_ops *ops, const void *env_config,
                       const bench_env_config *config, uint64_t seed, garam_error *err) {
  garam_status status;
  env *e = NULL;
  static const size_t bytes = SLICES * sizeof(double);
  *out = (bench_env_result){0};
  const baseline *b = baseline_find(ops->name, config->actions, err);
  if (!b) return GARAM_NOT_FOUND;
  double *ns = mem_alloc(bytes);
  if (!ns) return fail_memory(err, bytes);
  TRY_GOTO(done,
           env_new(&e, ops, env_config, &(env_setup){.n = (size_t)config->n, .seed = seed}, err));
  TRY_GOTO(done, baseline_check(b, e, err));
  bench_env_result warm = {0};
  int64_t processor = 0;
  TRY_GOTO(done, slice(ns, e, b, shortest, &processor, &warm, err));
  const int64_t total = (int64_t)(config->seconds * (double)CLOCK_NS_PER_SECOND);
  const int64_t length = total / SLICES > shortest ? total / SLICES : shortest;
  const uint64_t before = mem_count();
  size_t n = 0;
  processor = 0;
  while (n < SLICES && out->seconds < config->seconds)
    TRY_GOTO(done, slice(&ns[n++], e, b, length, &processor, out, err));
  out->allocations = mem_count() - before;
  qsort(ns, n, sizeof *ns, by_size);
  out->agents = e->shape.n_agents;
  out->ns_per_step = ns[n / 2];
  out->steps_per_second = 1e9 / ns[n / 2];
  out->steps_per_core_second = (double)out->steps / ((double)processor * 1e-9);
  out->fastest = 1e9 / ns[0];
  out->slowest = 1e9 / ns[n - 1];
done:
  env_free(e);
  mem_free(ns);
  return status;
}
