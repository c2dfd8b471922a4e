/* Sessions: right answers for every batch size, workers never shared, order of asking, limits, no
 * allocation once warm, every allocation failed. And the latency loop over one. */
#include "base/clock.h"
#include "base/thread.h"
#include "infer/latency.h"
#include "infer/session_fake.h"
#include "tests/failing_allocator.h"

#include <pthread.h>

#include <setjmp.h>
#include <cmocka.h> /* last: its fail() is a macro */

enum { T = 2, F = 3, K = 3 };

static session *open_fake(fake_model *m, size_t n_workers, int max_queue) {
  session *s;
  garam_error err = {0};
  fake_init(m, T, F, false);
  if (fake_session(&s, m, n_workers, max_queue, &err) != GARAM_OK) fail_msg("%s", err.message);
  return s;
}

static void test_batches(void **state) {
  enum { MOST = 101 };
  static float x[MOST * T * F], out[MOST * K];
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 1, 0);
  assert_int_equal(m.calls, 6); /* warmed: 1, 2, 4, 8, 16, 32 */
  for (size_t i = 0; i < COUNT_OF(x); i++) x[i] = (float)(i % 17) / 17 - 0.5f;
  uint64_t before = mem_count();
  for (size_t n = 1; n <= MOST; n++) {
    memset(out, 0, sizeof out);
    session_timing timing;
    assert_int_equal(session_run(s, x, n, out, 0, &timing, NULL), GARAM_OK);
    assert_true(timing.run_ns > 0 && timing.wait_ns >= 0);
    for (size_t i = 0; i < n; i++) {
      float expected[K];
      fake_answer(&m.info, x + i * T * F, expected);
      assert_memory_equal(out + i * K, expected, sizeof expected);
    }
    if (n < MOST) assert_true(out[n * K] == 0); /* nothing behind the last row */
  }
  assert_int_equal(mem_count(), before);
  session_free(s);
  assert_int_equal(m.closed, 1);
}

typedef struct asker {
  session *s;
  int runs;
  garam_status worst;
} asker;

static void *ask(void *context) {
  asker *a = context;
  float x[T * F] = {1, 2, 3, -1, -2, -3}, out[K];
  for (int i = 0; i < a->runs; i++) {
    garam_status status = session_run(a->s, x, 1, out, 0, NULL, NULL);
    if (status != GARAM_OK) a->worst = status;
  }
  return NULL;
}

/* fake_run aborts when two threads are in one worker. */
static void test_threads(void **state) {
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 2, 100);
  pthread_t threads[8];
  asker a[8];
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    a[i] = (asker){s, 400, GARAM_OK};
    assert_int_equal(pthread_create(&threads[i], NULL, ask, &a[i]), 0);
  }
  for (size_t i = 0; i < COUNT_OF(threads); i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(a[i].worst, GARAM_OK);
  }
  assert_int_equal(m.calls, 2 * 6 + 8 * 400);
  assert_true(m.most_inside <= 2);
  assert_int_equal(session_n_waiting(s), 0);
  session_free(s);
  assert_int_equal(m.closed, 2);
}

static void wait_for_waiting(session *s, size_t n) {
  for (int i = 0; i < 2000 && session_n_waiting(s) != n; i++)
    nanosleep(&(struct timespec){0, 1000000}, NULL);
  assert_int_equal(session_n_waiting(s), n);
}

static void test_full_and_late(void **state) {
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 1, 1);
  float x[T * F] = {0}, out[K];
  garam_error err;
  m.sleep_ms = 150;
  pthread_t threads[2];
  asker a[2] = {{s, 1, GARAM_OK}, {s, 1, GARAM_OK}};
  assert_int_equal(pthread_create(&threads[0], NULL, ask, &a[0]), 0);
  while (m.inside == 0) nanosleep(&(struct timespec){0, 1000000}, NULL);
  assert_int_equal(session_run(s, x, 1, out, 5000000, NULL, &err), GARAM_BUSY); /* too late */
  assert_non_null(strstr(err.message, "within 0.005 s"));
  assert_int_equal(session_n_waiting(s), 0);
  assert_int_equal(pthread_create(&threads[1], NULL, ask, &a[1]), 0);
  wait_for_waiting(s, 1);
  assert_int_equal(session_run(s, x, 1, out, 0, NULL, &err), GARAM_BUSY); /* no place to wait */
  assert_non_null(strstr(err.message, "1 requests are waiting"));
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  assert_int_equal(a[0].worst, GARAM_OK);
  assert_int_equal(a[1].worst, GARAM_OK);
  session_free(s);
}

typedef struct turn {
  session *s;
  int *order, index;
  atomic_int *next;
} turn;

static void *take_turn(void *context) {
  turn *t = context;
  float x[T * F] = {0}, out[K];
  session_run(t->s, x, 1, out, 0, NULL, NULL);
  t->order[atomic_fetch_add(t->next, 1)] = t->index;
  return NULL;
}

static void test_order_of_asking(void **state) {
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 1, 10);
  int order[5];
  atomic_int next = 0;
  pthread_t threads[5];
  turn turns[5];
  m.sleep_ms = 60; /* nobody is done before the last one asks */
  for (int i = 0; i < 5; i++) {
    turns[i] = (turn){s, order, i, &next};
    assert_int_equal(pthread_create(&threads[i], NULL, take_turn, &turns[i]), 0);
    if (i == 0)
      while (m.inside == 0) nanosleep(&(struct timespec){0, 100000}, NULL);
    else wait_for_waiting(s, (size_t)i);
  }
  for (int i = 0; i < 5; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 5; i++) assert_int_equal(order[i], i);
  session_free(s);
}

static void test_bad_models(void **state) {
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 1, 0);
  float x[5 * T * F] = {0}, out[5 * K];
  garam_error err;
  m.broken = true;
  assert_int_equal(session_run(s, x, 5, out, 0, NULL, &err), GARAM_NUMERIC);
  assert_string_equal(err.message, "the model is broken");
  m.broken = false;
  m.nan = true;
  assert_int_equal(session_run(s, x, 5, out, 0, NULL, &err), GARAM_NUMERIC);
  assert_string_equal(err.message, "row 0: output \"down\" is not a finite number");
  m.nan = false;
  assert_int_equal(session_run(s, x, 5, out, 0, NULL, &err), GARAM_OK); /* the worker came back */
  session_free(s);

  fake_init(&m, T, F, false); /* broken from the beginning: found at warm-up, all closed */
  m.broken = true;
  assert_int_equal(fake_session(&s, &m, 3, 0, &err), GARAM_NUMERIC);
  assert_null(s);
  assert_int_equal(m.closed, 3);
}

/* The thread's own setting is what it was. */
static void test_thread_count_kept(void **state) {
  (void)state;
  fake_model m;
  int before = thread_count();
  thread_set_count(3);
  session *s = open_fake(&m, 1, 0);
  float x[T * F] = {0}, out[K];
  assert_int_equal(session_run(s, x, 1, out, 0, NULL, NULL), GARAM_OK);
  assert_int_equal(thread_count(), 3);
  thread_set_count(before);
  session_free(s);
}

static void test_rows(void **state) {
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 1, 0);
  session_rows rows;
  const char csv[] = "1\nx\n3\n";
  assert_int_equal(session_read_rows(&rows, s, csv, strlen(csv), NULL), GARAM_OK);
  assert_int_equal(rows.n_rows, 3);
  assert_false(rows.usable[1]);
  float out[2 * K], expected[K], x[T * F];
  const uint32_t which[] = {0, 2};
  assert_int_equal(session_run_rows(s, &rows, which, 2, out, 0, NULL, NULL), GARAM_OK);
  for (size_t i = 0; i < 2; i++) {
    for (size_t j = 0; j < T * F; j++) x[j] = i == 0 ? 1 : 3;
    fake_answer(&m.info, x, expected);
    assert_memory_equal(out + i * K, expected, sizeof expected);
  }
  session_free_rows(s, &rows);
  session_free(s);
}

static void test_latency(void **state) {
  (void)state;
  fake_model m;
  session *s = open_fake(&m, 1, 0);
  latency_config config = {.batch = 4, .seconds = 0.05, .seed = 1};
  latency_report r;
  assert_int_equal(latency_measure(&r, s, &config, NULL), GARAM_OK);
  assert_true(r.calls > 10);
  assert_true(r.p50_ns > 0 && r.p50_ns <= r.p99_ns && r.p99_ns <= r.p999_ns &&
              r.p999_ns <= r.max_ns);
  assert_true(r.rows_per_second > 0);
  assert_int_equal(r.bytes, 1234);
  assert_int_equal(r.allocations, 0);
  json_t *json = latency_to_json(&r);
  static const char *const keys[] = {"p50_ns", "p99_ns",          "p999_ns",
                                     "max_ns", "rows_per_second", "bytes"};
  for (size_t i = 0; i < COUNT_OF(keys); i++)
    assert_true(json_number_value(json_object_get(json, keys[i])) > 0);
  json_decref(json);

  /* On a schedule a stall counts for every call that it delayed: 20 ms a call, one due each 5. */
  m.sleep_ms = 20;
  config = (latency_config){.batch = 1, .seconds = 0.1, .rate = 200};
  assert_int_equal(latency_measure(&r, s, &config, NULL), GARAM_OK);
  assert_true(r.max_ns > 100000000); /* closed loop would say about 20 ms */
  m.sleep_ms = 0;
  m.broken = true;
  assert_int_equal(latency_measure(&r, s, &config, NULL), GARAM_NUMERIC);
  session_free(s);
}

/* ---- every allocation fails in turn -------------------------------------------------------- */

static void test_allocations_fail(void **state) {
  (void)state;
  for (int for_good = 0; for_good < 2; for_good++) {
    bool done = false;
    size_t n_failed = 0;
    for (size_t i = 0; !done && i < 200; i++) {
      failing_allocator f = {.fail_after = i, .once = !for_good};
      fake_model m;
      session *s = NULL;
      garam_error err = {0};
      fake_init(&m, T, F, false);
      failing_allocator_use(&f);
      garam_status status = fake_session(&s, &m, 2, 4, &err);
      if (status == GARAM_OK) {
        latency_config config = {.batch = 2, .seconds = 0.001};
        latency_report r;
        status = latency_measure(&r, s, &config, &err);
        session_free(s);
      }
      garam_set_allocator(NULL);
      assert_int_equal(status, f.failed ? GARAM_NO_MEMORY : GARAM_OK);
      done = !f.failed;
      n_failed += f.failed;
    }
    assert_true(done && n_failed > 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_batches),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_full_and_late),
      cmocka_unit_test(test_order_of_asking),
      cmocka_unit_test(test_bad_models),
      cmocka_unit_test(test_thread_count_kept),
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_latency),
      cmocka_unit_test(test_allocations_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
