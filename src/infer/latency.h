/* How long a prediction takes, measured honestly: every call is counted in a histogram of 1 %
 * resolution, nothing is averaged away. Closed loop by default; with a rate, calls have a
 * schedule and a call's time starts when it was due, so that a stall counts for every call it
 * delayed (Tene, "How not to measure latency"). */
#ifndef INFER_LATENCY_H
#define INFER_LATENCY_H

#include "infer/session.h"

typedef struct latency_config {
  int batch;      /* rows a call */
  double seconds; /* to measure for */
  double rate;    /* calls a second; 0: one after the other */
  int64_t seed;   /* of the made-up inputs */
} latency_config;
extern const opt_row latency_options[]; /* batch, seconds, rate; seed has its own flag */
extern const size_t latency_n_options;

typedef struct latency_report {
  uint64_t calls;
  int batch;
  uint64_t p50_ns, p99_ns, p999_ns, max_ns;
  double rows_per_second;
  size_t bytes;         /* of the package */
  uint64_t allocations; /* made while measuring; 0 is expected */
} latency_report;

/* Runs the session on inputs drawn from a normal distribution. One thread. */
garam_status latency_measure(latency_report *out, session *s, const latency_config *config,
                             garam_error *err);
json_t *latency_to_json(const latency_report *report); /* NULL when memory is out */

#endif
