/* The loop that `garam bench infer` and `garam bench predict` time. */
#include "infer/latency.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/histogram.h"

#include <time.h>

const opt_row latency_options[] = {
    {"batch", OPT_INT, OPT_AT(latency_config, batch), .def = 1, .min = 1, .max = 65536,
     .unit = "rows", .help = "rows a call"},
    {"seconds", OPT_F64, OPT_AT(latency_config, seconds), .def = 3, .min = 0.001, .max = 3600,
     .unit = "seconds", .help = "how long to measure"},
    {"rate", OPT_F64, OPT_AT(latency_config, rate), .def = 0, .min = 0, .max = 1e7,
     .unit = "calls a second",
     .help = "calls on a schedule, timed from when they were due; 0: one after the other"},
};
const size_t latency_n_options = COUNT_OF(latency_options);

enum { WINDOWS = 64 }; /* inputs taken in turn, so that no cache line is always the same */

/* Sleeps while there is time for it, then spins: a sleep wakes tens of microseconds late. */
static void wait_until(int64_t due) {
  int64_t left = due - clock_monotonic_ns();
  if (left > 200000) {
    struct timespec at = {(due - 100000) / CLOCK_NS_PER_SECOND,
                          (due - 100000) % CLOCK_NS_PER_SECOND};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
  }
  while (clock_monotonic_ns() < due) {
  }
}

garam_status latency_measure(latency_report *out, session *s, const latency_config *config,
                             garam_error *err) {
  const session_info *info = session_get_info(s);
  garam_status status = GARAM_OK;
  histogram h = {0};
  float *x = NULL, *y = NULL;
  size_t batch = (size_t)config->batch, width = info->context * info->n_features * batch, n_x;
  *out = (latency_report){.batch = config->batch, .bytes = info->bytes};

  if (!size_mul(&n_x, width, WINDOWS))
    return fail(err, GARAM_LIMIT, "a batch of %zu windows is too large", batch);
  TRY_GOTO(done, histogram_init(&h, 3, err));
  x = mem_array(n_x, sizeof *x);
  y = mem_array(batch * (size_t)info->n_outputs, sizeof *y);
  if (!x || !y) {
    status = fail_memory(err, n_x * sizeof *x);
    goto done;
  }
  rng draw;
  rng_init(&draw, (uint64_t)config->seed, RNG_SIMULATE, 0);
  for (size_t i = 0; i < n_x; i++) x[i] = (float)rng_normal(&draw);

  for (size_t i = 0; i < 8; i++)
    TRY_GOTO(done, session_run(s, x + (i % WINDOWS) * width, batch, y, 0, NULL, err));

  uint64_t allocations = mem_count();
  int64_t length = (int64_t)(config->seconds * 1e9);
  int64_t began = clock_monotonic_ns(), end = began + length, now = began;
  /* Calls that were due in time are made late rather than left out, up to twice the time. */
  int64_t last = config->rate > 0 ? end + length : end;
  for (uint64_t call = 0; now < last || call == 0; call++) {
    int64_t due = now;
    if (config->rate > 0) {
      due = began + (int64_t)((double)call * 1e9 / config->rate);
      if (due >= end) break;
      wait_until(due);
    }
    TRY_GOTO(done, session_run(s, x + (call % WINDOWS) * width, batch, y, 0, NULL, err));
    now = clock_monotonic_ns();
    histogram_record(&h, (uint64_t)(now - due));
    out->calls++;
  }
  out->allocations = mem_count() - allocations;
  out->p50_ns = histogram_quantile(&h, 0.5);
  out->p99_ns = histogram_quantile(&h, 0.99);
  out->p999_ns = histogram_quantile(&h, 0.999);
  out->max_ns = atomic_load(&h.max);
  out->rows_per_second = (double)(out->calls * batch) * 1e9 / (double)(now - began);

done:
  histogram_deinit(&h);
  mem_free(x);
  mem_free(y);
  return status;
}

json_t *latency_to_json(const latency_report *r) {
  return json_pack("{s:I, s:i, s:I, s:I, s:I, s:I, s:f, s:I, s:I}", "calls", (json_int_t)r->calls,
                   "batch", r->batch, "p50_ns", (json_int_t)r->p50_ns, "p99_ns",
                   (json_int_t)r->p99_ns, "p999_ns", (json_int_t)r->p999_ns, "max_ns",
                   (json_int_t)r->max_ns, "rows_per_second", r->rows_per_second, "bytes",
                   (json_int_t)r->bytes, "allocations", (json_int_t)r->allocations);
}
