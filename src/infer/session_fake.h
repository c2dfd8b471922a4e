/* A session without a package, for tests: a model whose answer is known. Class c's probability is
 * the share of exp(sum over the window of x * (1 + (f + c) mod 3) / 8); it can be made slow, can
 * fail and can answer NaN. */
#ifndef INFER_SESSION_FAKE_H
#define INFER_SESSION_FAKE_H

#include "base/mem.h"
#include "infer/session.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct fake_model {
  session_info info;
  atomic_int sleep_ms, inside, most_inside, calls, closed;
  atomic_bool broken, nan;
} fake_model;

typedef struct fake_worker {
  fake_model *model;
  atomic_int inside; /* a second one here is an error of the session */
} fake_worker;

static inline void fake_answer(const session_info *info, const float *x, float *out) {
  double sum = 0, p[16];
  for (int c = 0; c < info->n_outputs; c++) {
    double score = 0;
    for (size_t i = 0; i < info->context * info->n_features; i++)
      score += (double)x[i] * (double)(1 + (i % info->n_features + (size_t)c) % 3) / 8;
    p[c] = info->task == TASK_REGRESSION ? score : exp(score);
    sum += p[c];
  }
  for (int c = 0; c < info->n_outputs; c++)
    out[c] = (float)(info->task == TASK_REGRESSION ? p[c] : p[c] / sum);
}

static inline garam_status fake_run(void *worker, const float *x, size_t n, float *out,
                                    garam_error *err) {
  fake_worker *w = worker;
  fake_model *m = w->model;
  size_t width = m->info.context * m->info.n_features, k = (size_t)m->info.n_outputs;
  if (atomic_fetch_add(&w->inside, 1) != 0) abort(); /* two threads in one worker */
  int inside = atomic_fetch_add(&m->inside, 1) + 1, most = atomic_load(&m->most_inside);
  while (inside > most && !atomic_compare_exchange_weak(&m->most_inside, &most, inside)) {
  }
  atomic_fetch_add(&m->calls, 1);
  int ms = atomic_load(&m->sleep_ms);
  if (ms > 0) nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
  for (size_t i = 0; i < n; i++) fake_answer(&m->info, x + i * width, out + i * k);
  if (atomic_load(&m->nan)) out[0] = NAN;
  atomic_fetch_sub(&m->inside, 1);
  atomic_fetch_sub(&w->inside, 1);
  return atomic_load(&m->broken) ? fail(err, GARAM_NUMERIC, "the model is broken") : GARAM_OK;
}

/* Rows: one number a line; a line "x" cannot be predicted from. Every feature is the number. */
typedef struct fake_rows {
  size_t n;
  int64_t time[1000], known_at[1000];
  uint8_t usable[1000];
  float value[1000];
} fake_rows;

static inline garam_status fake_read(session_rows *out, const void *worker, const char *csv,
                                     size_t size, garam_error *err) {
  (void)worker;
  fake_rows *r = mem_zalloc(sizeof *r);
  if (!r) return fail_memory(err, sizeof *r);
  for (size_t at = 0; at < size && r->n < 1000;) {
    size_t end = at;
    while (end < size && csv[end] != '\n') end++;
    r->usable[r->n] = csv[at] != 'x';
    r->value[r->n] = r->usable[r->n] ? (float)(csv[at] - '0') : 0;
    r->time[r->n] = (int64_t)r->n * 3600 * INT64_C(1000000000);
    r->known_at[r->n] = r->time[r->n] + 3600 * INT64_C(1000000000);
    r->n++;
    at = end + 1;
  }
  *out = (session_rows){r->n, r->time, r->known_at, r->usable, r};
  return GARAM_OK;
}

static inline garam_status fake_run_rows(void *worker, const session_rows *rows,
                                         const uint32_t *which, size_t n, float *out,
                                         garam_error *err) {
  const fake_worker *w = worker;
  const session_info *info = &w->model->info;
  const fake_rows *r = rows->state;
  float x[256];
  (void)err;
  for (size_t i = 0; i < n; i++) {
    for (size_t f = 0; f < info->context * info->n_features; f++) x[f] = r->value[which[i]];
    fake_answer(info, x, out + i * (size_t)info->n_outputs);
  }
  return GARAM_OK;
}

static inline void fake_free_rows(session_rows *rows) {
  mem_free(rows->state);
}

static inline void fake_close(void *worker) {
  fake_worker *w = worker;
  atomic_fetch_add(&w->model->closed, 1);
  mem_free(w);
}

static const session_ops fake_ops = {
    .run = fake_run,
    .read_rows = fake_read,
    .run_rows = fake_run_rows,
    .free_rows = fake_free_rows,
    .close = fake_close,
};

static const char *const fake_features[] = {"return_1", "return_5", "rsi_14", "volume_z"};
static const char *const fake_classes[] = {"down", "flat", "up"};
static const char *const fake_value[] = {"value"};

/* Three classes; a regression when `regression`. At most 4 features. */
static inline void fake_init(fake_model *m, size_t context, size_t n_features, bool regression) {
  memset(m, 0, sizeof *m);
  m->info = (session_info){.task = regression ? TASK_REGRESSION : TASK_CLASSIFICATION,
                           .context = context,
                           .n_features = n_features,
                           .n_outputs = regression ? 1 : 3,
                           .feature_names = fake_features,
                           .output_names = regression ? fake_value : fake_classes,
                           .learner = "fake",
                           .sha256 = "0123abcd",
                           .threshold = 0.75,
                           .target = regression ? 0 : 0.95,
                           .bytes = 1234};
}

static inline garam_status fake_session(session **out, fake_model *m, size_t n_workers,
                                        int max_queue, garam_error *err) {
  void *workers[16];
  for (size_t i = 0; i < n_workers; i++) {
    fake_worker *w = mem_zalloc(sizeof *w);
    if (!w) {
      while (i-- > 0) mem_free(workers[i]);
      return fail_memory(err, sizeof *w);
    }
    w->model = m;
    workers[i] = w;
  }
  session_config config = {(int)n_workers, 1, max_queue};
  return session_new(out, &fake_ops, &m->info, workers, n_workers, NULL, &config, err);
}

#endif
