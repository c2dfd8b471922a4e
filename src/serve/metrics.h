/* What is counted while serving, and its Prometheus text (exposition format 0.0.4): histograms in
 * seconds with buckets from 5 us, as Prometheus's rules want. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include "infer/histogram.h"
#include "infer/session.h"
#include "serve/text.h"

#define METRICS_CODE_LIST(X) X(200) X(400) X(404) X(405) X(411) X(413) X(415) X(500) X(503) X(505)
#define METRICS_REASON_LIST(X) X(framing) X(size) X(encoding) X(timeout)

enum metrics_code {
#define X(code) METRICS_##code,
  METRICS_CODE_LIST(X)
#undef X
      METRICS_N_CODES
};
enum metrics_reason {
#define X(reason) METRICS_##reason,
  METRICS_REASON_LIST(X)
#undef X
      METRICS_N_REASONS
};

/* One served model; the one at n_models counts requests that are no model's. */
typedef struct metrics_model {
  const char *name;
  histogram duration[METRICS_N_CODES]; /* ns from the request's head to its answer */
  histogram wait, run;                 /* ns for a worker, and in it */
  histogram rows;                      /* of an inference */
} metrics_model;

typedef struct metrics {
  metrics_model *models; /* (n_models + 1) */
  size_t n_models;
  _Atomic uint64_t rejected[METRICS_N_REASONS];
  _Atomic uint64_t connections_total, received_bytes, sent_bytes;
  _Atomic int64_t connections, in_flight;
  int64_t started_ns; /* wall clock */
} metrics;

garam_status metrics_init(metrics *m, const char *const *names, size_t n_models, garam_error *err);
void metrics_deinit(metrics *m);

void metrics_request(metrics *m, size_t model, int code, int64_t duration_ns);
void metrics_inference(metrics *m, size_t model, size_t rows, const session_timing *timing);
void metrics_reject(metrics *m, const char *reason); /* a name of METRICS_REASON_LIST */

/* sessions (n_models): for the number waiting, and what the models are. */
void metrics_write(text *t, const metrics *m, session *const *sessions);

#endif
