/* A session: one loaded model that many threads may ask at once. It holds some workers, each a
 * model of its own (a pipeline is not thread-safe), handed out one at a time in the order of
 * asking, so that no request overtakes another and p99 stays near p50. Everything is loaded and
 * warmed before the first request; from then on a run allocates nothing.
 *
 * What a worker is stands behind session_ops: the pipeline of a package (session_pipeline.c), a
 * policy (session_policy.c), or a test's own. */
#ifndef INFER_SESSION_H
#define INFER_SESSION_H

#include "base/opt.h"
#include "learn/dataset.h"

typedef struct session session;

/* What is known of the model. Strings live as long as the session. */
typedef struct session_info {
  task task;
  size_t context, n_features;       /* T, F of one input window */
  int n_outputs;                    /* classes, or 1 */
  const char *const *feature_names; /* (F) */
  const char *const *output_names;  /* (n_outputs): class names, or "value" */
  const char *learner;              /* "transformer" */
  const char *sha256;               /* of the package; "" when it came from no file */
  double threshold;                 /* confidence from which a prediction stands at the accuracy
                                       target of training; over 1: none is sure enough */
  double target;                    /* that accuracy, 0.95; 0: the model has no threshold */
  size_t bytes;                     /* of the package file */
  bool acts; /* a policy: outputs are what its bodies do; one output, "action" (n, n_outputs) */
} session_info;

/* Rows of a text table read for prediction, and what was predicted for some of them. */
typedef struct session_rows {
  size_t n_rows;
  const int64_t *time;     /* (n_rows) as stamped, ns; NULL without a time column */
  const int64_t *known_at; /* (n_rows) when the row was complete; NULL without time */
  const uint8_t *usable;   /* (n_rows) 1: enough history to predict from */
  void *state;             /* the backend's */
} session_rows;

typedef struct session_ops {
  /* x (n, T, F) raw and finite -> out (n, K). Called by one thread at a time on one worker; no
   * allocation for an n that was seen before. */
  garam_status (*run)(void *worker, const float *x, size_t n, float *out, garam_error *err);
  /* Rows from CSV text; called without a worker of one's own, on a const one. May be NULL. */
  garam_status (*read_rows)(session_rows *out, const void *worker, const char *csv, size_t size,
                            garam_error *err);
  garam_status (*run_rows)(void *worker, const session_rows *rows, const uint32_t *which, size_t n,
                           float *out, garam_error *err);
  void (*free_rows)(session_rows *rows);
  void (*close)(void *worker);
  void (*close_shared)(void *shared); /* after the last worker; may be NULL */
} session_ops;

typedef struct session_config {
  int workers;             /* predictions at the same time; 0: as many as processors */
  int threads_per_request; /* that one prediction may use */
  int max_queue;           /* requests that may wait for a worker; more are GARAM_BUSY */
} session_config;
extern const opt_row session_options[];
extern const size_t session_n_options;

/* A pipeline or a policy, by what the package says it is. Loads the package once a worker (at load,
 * under the thread count of a request) and warms it. */
garam_status session_load(session **out, const char *path, const session_config *config,
                          garam_error *err);

/* The two kinds that it chooses from: session_pipeline.c, session_policy.c. */
garam_status session_load_pipeline(session **out, const char *path, const session_config *config,
                                   garam_error *err);
garam_status session_load_policy(session **out, const char *path, const session_config *config,
                                 garam_error *err);

/* A session over workers of one's own, which it takes (also when it fails); `shared` as well, and
 * info's strings are borrowed. Warms every worker. */
garam_status session_new(session **out, const session_ops *ops, const session_info *info,
                         void **workers, size_t n_workers, void *shared,
                         const session_config *config, garam_error *err);
void session_free(session *s); /* no run may be under way */

const session_info *session_get_info(const session *s);
size_t session_n_workers(const session *s);
size_t session_n_waiting(session *s);

typedef struct session_timing {
  int64_t wait_ns; /* for a worker */
  int64_t run_ns;
} session_timing;

/* x (n, T, F) -> out (n, K), n >= 1. Runs in chunks of powers of two up to SESSION_CHUNK, and lets
 * others in between chunks. GARAM_BUSY when the queue is full or the wait is over timeout_ns
 * (0: none); GARAM_NUMERIC when an output is not finite. `timing` may be NULL. */
enum { SESSION_CHUNK = 32 };
garam_status session_run(session *s, const float *x, size_t n, float *out, int64_t timeout_ns,
                         session_timing *timing, garam_error *err);

/* The same for rows of a CSV text with the columns that the model was trained on. */
garam_status session_read_rows(session_rows *out, session *s, const char *csv, size_t size,
                               garam_error *err);
garam_status session_run_rows(session *s, const session_rows *rows, const uint32_t *which, size_t n,
                              float *out, int64_t timeout_ns, session_timing *timing,
                              garam_error *err);
void session_free_rows(session *s, session_rows *rows);

#endif
