/* Workers handed out in order of asking, and runs cut into chunks that were seen at warm-up. */
#include "infer/session.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <time.h>

const opt_row session_options[] = {
    {"workers", OPT_INT, OPT_AT(session_config, workers), .def = 0, .min = 0, .max = 256,
     .help = "predictions at the same time, each with a model of its own; 0: one a processor"},
    {"threads-per-request", OPT_INT, OPT_AT(session_config, threads_per_request), .def = 1,
     .min = 1, .max = 256, .help = "threads that one prediction may use"},
    {"max-queue", OPT_INT, OPT_AT(session_config, max_queue), .def = 256, .min = 0, .max = 1 << 20,
     .unit = "requests", .help = "requests that may wait for a worker before others are refused"},
};
const size_t session_n_options = COUNT_OF(session_options);

/* One who waits; on its own stack, in order of asking. */
typedef struct waiter {
  struct waiter *next;
  pthread_cond_t wake;
  void *worker; /* set by the one who hands over */
} waiter;

struct session {
  const session_ops *ops;
  session_info info;
  session_config config;
  void *shared;
  void **workers;
  size_t n_workers;

  pthread_mutex_t lock;
  void **free_workers; /* a stack: the last used one is the warmest */
  size_t n_free;
  waiter *first, *last;
  size_t n_waiting;
};

const session_info *session_get_info(const session *s) {
  return &s->info;
}

size_t session_n_workers(const session *s) {
  return s->n_workers;
}

size_t session_n_waiting(session *s) {
  pthread_mutex_lock(&s->lock);
  size_t n = s->n_waiting;
  pthread_mutex_unlock(&s->lock);
  return n;
}

static void unlink_waiter(session *s, waiter *gone) {
  waiter **at = &s->first, *before = NULL;
  while (*at && *at != gone) {
    before = *at;
    at = &(*at)->next;
  }
  REQUIRE(*at, "a waiter that is not in its session's queue");
  *at = gone->next;
  if (s->last == gone) s->last = before;
  s->n_waiting--;
}

static garam_status acquire(void **worker, session *s, int64_t timeout_ns, garam_error *err) {
  pthread_mutex_lock(&s->lock);
  if (s->n_free > 0) {
    *worker = s->free_workers[--s->n_free];
    pthread_mutex_unlock(&s->lock);
    return GARAM_OK;
  }
  if (s->n_waiting >= (size_t)s->config.max_queue) {
    size_t n = s->n_waiting;
    pthread_mutex_unlock(&s->lock);
    return fail(err, GARAM_BUSY, "all %zu workers are busy and %zu requests are waiting",
                s->n_workers, n);
  }

  waiter me = {0};
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&me.wake, &attr);
  pthread_condattr_destroy(&attr);
  if (s->last) s->last->next = &me;
  else s->first = &me;
  s->last = &me;
  s->n_waiting++;

  int rc = 0;
  int64_t until = clock_monotonic_ns() + timeout_ns;
  struct timespec deadline = {until / CLOCK_NS_PER_SECOND, until % CLOCK_NS_PER_SECOND};
  while (!me.worker && rc != ETIMEDOUT) {
    if (timeout_ns > 0) rc = pthread_cond_timedwait(&me.wake, &s->lock, &deadline);
    else pthread_cond_wait(&me.wake, &s->lock);
  }
  if (!me.worker) unlink_waiter(s, &me);
  pthread_mutex_unlock(&s->lock);
  pthread_cond_destroy(&me.wake);
  if (!me.worker)
    return fail(err, GARAM_BUSY, "no worker became free within %.3g s", (double)timeout_ns * 1e-9);
  *worker = me.worker;
  return GARAM_OK;
}

static void release(session *s, void *worker) {
  pthread_mutex_lock(&s->lock);
  waiter *next = s->first;
  if (next) { /* handed over, so that nobody who comes now is before one who waited */
    unlink_waiter(s, next);
    next->worker = worker;
    pthread_cond_signal(&next->wake);
  } else {
    s->free_workers[s->n_free++] = worker;
  }
  pthread_mutex_unlock(&s->lock);
}

/* The thread's count of helpers is a setting of the thread: what it was comes back. */
static int threads_enter(const session *s) {
  int before = thread_count();
  if (before != s->config.threads_per_request) thread_set_count(s->config.threads_per_request);
  return before;
}

static void threads_leave(const session *s, int before) {
  if (before != s->config.threads_per_request) thread_set_count(before);
}

/* Every chunk size once, so that plans and scratch are there before the first request. */
static garam_status warm(session *s, garam_error *err) {
  size_t width = s->info.context * s->info.n_features, k = (size_t)s->info.n_outputs, size;
  if (!size_mul(&size, width + k, SESSION_CHUNK))
    return fail(err, GARAM_LIMIT, "a window of %zu numbers is too large", width);
  float *x = mem_array(size, sizeof *x);
  if (!x) return fail_memory(err, size * sizeof *x);
  garam_status status = GARAM_OK;
  for (size_t w = 0; w < s->n_workers && status == GARAM_OK; w++)
    for (size_t n = 1; n <= SESSION_CHUNK && status == GARAM_OK; n *= 2)
      status = s->ops->run(s->workers[w], x, n, x + width * SESSION_CHUNK, err);
  mem_free(x);
  return status;
}

garam_status session_new(session **out, const session_ops *ops, const session_info *info,
                         void **workers, size_t n_workers, void *shared,
                         const session_config *config, garam_error *err) {
  garam_status status = GARAM_OK;
  *out = NULL;
  REQUIRE(n_workers > 0, "a session needs at least one worker");
  session *s = mem_zalloc(sizeof *s);
  void **list = mem_array(n_workers, 2 * sizeof *list);
  if (!s || !list) {
    mem_free(s);
    mem_free(list);
    for (size_t i = 0; i < n_workers; i++) ops->close(workers[i]);
    if (ops->close_shared) ops->close_shared(shared);
    return fail_memory(err, sizeof *s);
  }
  s->ops = ops;
  s->info = *info;
  s->config = *config;
  s->shared = shared;
  s->workers = list;
  s->free_workers = list + n_workers;
  s->n_workers = n_workers;
  for (size_t i = 0; i < n_workers; i++) s->workers[i] = workers[i];
  for (size_t i = n_workers; i-- > 0;) s->free_workers[s->n_free++] = workers[i];
  pthread_mutex_init(&s->lock, NULL);

  int before = threads_enter(s);
  status = warm(s, err);
  threads_leave(s, before);
  if (status != GARAM_OK) {
    session_free(s);
    return status;
  }
  *out = s;
  return GARAM_OK;
}

void session_free(session *s) {
  if (!s) return;
  REQUIRE(s->n_free == s->n_workers, "session_free while a run is under way");
  for (size_t i = 0; i < s->n_workers; i++) s->ops->close(s->workers[i]);
  if (s->ops->close_shared) s->ops->close_shared(s->shared);
  pthread_mutex_destroy(&s->lock);
  mem_free(s->workers);
  mem_free(s);
}

static size_t chunk_of(size_t n) {
  size_t chunk = SESSION_CHUNK;
  while (chunk > n) chunk /= 2;
  return chunk;
}

static garam_status check_finite(const session *s, const float *out, size_t n, size_t first_row,
                                 garam_error *err) {
  size_t k = (size_t)s->info.n_outputs;
  for (size_t i = 0; i < n * k; i++)
    if (!isfinite(out[i]))
      return fail(err, GARAM_NUMERIC, "row %zu: output \"%s\" is not a finite number",
                  first_row + i / k, s->info.output_names[i % k]);
  return GARAM_OK;
}

/* What both kinds of run share: a worker for each chunk, the time taken, outputs that are numbers.
 * One of x and rows is NULL. */
static garam_status run_chunks(session *s, const float *x, const session_rows *rows,
                               const uint32_t *which, size_t n, float *out, int64_t timeout_ns,
                               session_timing *timing, garam_error *err) {
  size_t width = s->info.context * s->info.n_features, k = (size_t)s->info.n_outputs;
  session_timing spent = {0};
  garam_status status = GARAM_OK;
  int before = threads_enter(s);
  for (size_t done = 0; done < n && status == GARAM_OK;) {
    size_t chunk = chunk_of(n - done);
    void *worker = NULL;
    int64_t asked = clock_monotonic_ns();
    status = acquire(&worker, s, timeout_ns, err);
    int64_t began = clock_monotonic_ns();
    spent.wait_ns += began - asked;
    if (status != GARAM_OK) break;
    status = x ? s->ops->run(worker, x + done * width, chunk, out + done * k, err)
               : s->ops->run_rows(worker, rows, which + done, chunk, out + done * k, err);
    release(s, worker);
    spent.run_ns += clock_monotonic_ns() - began;
    if (status == GARAM_OK) status = check_finite(s, out + done * k, chunk, done, err);
    done += chunk;
  }
  threads_leave(s, before);
  if (timing) *timing = spent;
  return status;
}

garam_status session_run(session *s, const float *x, size_t n, float *out, int64_t timeout_ns,
                         session_timing *timing, garam_error *err) {
  REQUIRE(x && out, "session_run without data");
  return run_chunks(s, x, NULL, NULL, n, out, timeout_ns, timing, err);
}

garam_status session_read_rows(session_rows *out, session *s, const char *csv, size_t size,
                               garam_error *err) {
  *out = (session_rows){0};
  if (!s->ops->read_rows)
    return fail(err, GARAM_UNSUPPORTED, "this model takes features, not rows of a table");
  return s->ops->read_rows(out, s->workers[0], csv, size, err);
}

garam_status session_run_rows(session *s, const session_rows *rows, const uint32_t *which, size_t n,
                              float *out, int64_t timeout_ns, session_timing *timing,
                              garam_error *err) {
  for (size_t i = 0; i < n; i++)
    REQUIRE(which[i] < rows->n_rows && rows->usable[which[i]], "row %u cannot be predicted",
            which[i]);
  return run_chunks(s, NULL, rows, which, n, out, timeout_ns, timing, err);
}

void session_free_rows(session *s, session_rows *rows) {
  if (s->ops->free_rows && rows->state) s->ops->free_rows(rows);
  *rows = (session_rows){0};
}
