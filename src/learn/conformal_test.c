/* Conformal intervals hold what they promise: 95 +- 1 % of exchangeable rows, and under drift where
 * they adapt; the novelty gate lets in what is like the training rows. */
#include "learn/conformal.h"

#include "base/mem.h"
#include "base/rng.h"
#include "learn/novelty.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void covers(const char *name, double share) {
  if (!(fabs(share - 0.95) < 0.01)) fail_msg("%s: %.4f covered", name, share);
}

/* Quantiles that are too narrow where the noise is wide: conformalised, they hold 95 %, and stay
 * narrower where the noise is. */
static void test_quantile(void **state) {
  (void)state;
  enum { N = 1000, M = 20 };
  static float low[N], high[N], y[N];
  double held = 0, total = 0;
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (int round = 0; round < 40; round++) {
    for (int i = 0; i < N; i++) {
      float s = 0.2f + (float)rng_uniform(&r);
      low[i] = -1.2f * s, high[i] = 1.2f * s, y[i] = s * (float)rng_normal(&r);
    }
    double out = conformal_quantile_regression(low, high, y, N, 0.05);
    for (int i = 0; i < 40 * M; i++, total++) {
      double s = 0.2 + rng_uniform(&r);
      held += fabs(s * rng_normal(&r)) <= 1.2 * s + out;
    }
  }
  covers("quantile", held / total);
  assert_true(isinf(conformal_quantile_regression(low, high, y, 10, 0.05)));
}

/* Models are means of the rows outside a fold: intervals for a new row by CV+ and jackknife+. */
static void test_cross(void **state) {
  (void)state;
  enum { N = 100 };
  double held[2] = {0}, total = 0, scratch[2 * N];
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  for (int round = 0; round < 4000; round++, total++) {
    double x[N], sum = 0, low, high, fresh = rng_normal(&r);
    for (int i = 0; i < N; i++) sum += x[i] = rng_normal(&r);
    for (int jackknife = 0; jackknife < 2; jackknife++) {
      uint32_t of[N], folds = jackknife ? N : 5;
      float said[N], residual[N];
      double of_fold[N] = {0}, n_fold[N] = {0};
      for (uint32_t i = 0; i < N; i++) of[i] = i % folds, of_fold[of[i]] += x[i], n_fold[of[i]]++;
      for (uint32_t f = 0; f < folds; f++) said[f] = (float)((sum - of_fold[f]) / (N - n_fold[f]));
      for (int i = 0; i < N; i++) residual[i] = (float)fabs(x[i] - (double)said[of[i]]);
      conformal_cross(&low, &high, residual, of, N, said, 0.05, scratch);
      held[jackknife] += fresh >= low && fresh <= high;
    }
  }
  covers("CV+", held[0] / total);
  covers("jackknife+", held[1] / total);
}

/* Without a sort the same ends, for folds of any size, equal residuals, and none. */
static void test_cross_sorted(void **state) {
  (void)state;
  enum { N = 60, FOLDS = 4 };
  double scratch[2 * N], low, high, other_low, other_high;
  rng r;
  rng_init(&r, 6, RNG_TEST, 0);
  for (int round = 0; round < 2000; round++) {
    uint32_t begin[FOLDS + 1] = {0}, of[N];
    float residual[N], said[FOLDS];
    uint32_t n = 1 + (uint32_t)rng_below(&r, N);
    for (int f = 1; f < FOLDS; f++) begin[f] = (uint32_t)rng_below(&r, n + 1);
    begin[FOLDS] = n;
    for (int f = 1; f <= FOLDS; f++) begin[f] = begin[f] < begin[f - 1] ? begin[f - 1] : begin[f];
    for (uint32_t f = 0; f < FOLDS; f++) {
      said[f] = (float)(3 * rng_normal(&r));
      for (uint32_t i = begin[f]; i < begin[f + 1]; i++) {
        float step = round % 2 ? (float)rng_uniform(&r) : (float)rng_below(&r, 2);
        residual[i] = (i > begin[f] ? residual[i - 1] : 0) + step;
        of[i] = f;
      }
    }
    double alpha = 0.02 + 0.5 * rng_uniform(&r);
    conformal_cross(&low, &high, residual, of, n, said, alpha, scratch);
    conformal_cross_sorted(&other_low, &other_high, residual, begin, said, FOLDS, alpha);
    if (!(low <= other_low && low >= other_low && high <= other_high && high >= other_high))
      fail_msg("round %d: %.17g %.17g, not %.17g %.17g", round, other_low, other_high, low, high);
  }
}

/* A copy goes on as its source does, wherever the source's ring had begun. */
static void test_copy(void **state) {
  (void)state;
  conformal_window a, b;
  rng r;
  rng_init(&r, 7, RNG_TEST, 0);
  assert_int_equal(conformal_window_init(&a, 30, 0.1, 0.01, NULL), GARAM_OK);
  assert_int_equal(conformal_window_init(&b, 30, 0.1, 0.01, NULL), GARAM_OK);
  for (int t = 0; t < 200; t++) {
    if (t % 17 == 0) conformal_window_copy(&b, &a);
    double v = rng_normal(&r), x = conformal_window_limit(&a), y = conformal_window_limit(&b);
    assert_memory_equal(&x, &y, sizeof x);
    conformal_window_learn(&a, v, v > x);
    conformal_window_learn(&b, v, v > y);
  }
  conformal_window_clear(&a);
  assert_true(isinf(conformal_window_limit(&a)) && a.level >= 0.1 && a.level <= 0.1);
  conformal_window_deinit(&a);
  conformal_window_deinit(&b);
}

/* The noise triples, then grows slowly: a fixed width fails, the window (EnbPI) follows with a lag,
 * the adaptive level holds 95 % overall and within every part. */
static void test_drift(void **state) {
  (void)state;
  enum { T = 20000, PARTS = 4 };
  conformal_window aci, window;
  rng r;
  double held[3][PARTS] = {{0}};
  rng_init(&r, 3, RNG_TEST, 0);
  assert_int_equal(conformal_window_init(&aci, 500, 0.05, 0.01, NULL), GARAM_OK);
  assert_int_equal(conformal_window_init(&window, 500, 0.05, 0, NULL), GARAM_OK);
  double fixed = 0;
  uint64_t before = mem_count();
  for (int t = 0; t < T; t++) {
    double scale = t < T / 4 ? 1 : t < T / 2 ? 3 : 3 + 6.0 * (t - T / 2) / T;
    double score = fabs(scale * rng_normal(&r));
    double limit = conformal_window_limit(&aci), other = conformal_window_limit(&window);
    if (t == 500) fixed = other;
    bool in[3] = {score <= limit, score <= other, score <= fixed};
    for (int i = 0; i < 3 && t > 500; i++) held[i][t * PARTS / T] += in[i];
    conformal_window_learn(&aci, score, !in[0]);
    conformal_window_learn(&window, score, !in[1]);
  }
  assert_int_equal(mem_count(), before);
  for (int part = 0; part < PARTS; part++) {
    double n = part ? T / PARTS : T / PARTS - 501;
    covers("adaptive", held[0][part] / n);
    if (part) assert_true(held[2][part] / n < 0.6);
    assert_true(held[1][part] / n > 0.92);
  }
  conformal_window_deinit(&aci);
  conformal_window_deinit(&window);
}

/* The window's limit is that of a sort of its last scores. */
static void test_window(void **state) {
  (void)state;
  enum { CAPACITY = 37 };
  conformal_window w;
  float last[CAPACITY];
  rng r;
  rng_init(&r, 4, RNG_TEST, 0);
  assert_int_equal(conformal_window_init(&w, CAPACITY, 0.1, 0, NULL), GARAM_OK);
  assert_true(isinf(conformal_window_limit(&w)));
  for (int t = 0; t < 500; t++) {
    float v = (float)rng_below(&r, 20);
    last[t % CAPACITY] = v;
    conformal_window_learn(&w, (double)v, false);
    if (t < CAPACITY) continue;
    float limit = (float)conformal_window_limit(&w);
    int over = 0, at_least = 0;
    for (int i = 0; i < CAPACITY; i++) over += last[i] > limit, at_least += last[i] >= limit;
    assert_true(over <= 2 && at_least >= 3);
  }
  conformal_window_deinit(&w);
}

static void test_novelty(void **state) {
  (void)state;
  enum { N = 600, F = 4 };
  dataset *d;
  uint32_t rows[N];
  rng r;
  rng_init(&r, 5, RNG_TEST, 0);
  assert_int_equal(dataset_new(&d, TASK_REGRESSION, N, F, 0, NULL), GARAM_OK);
  for (uint32_t i = 0; i < N; i++) {
    rows[i] = i;
    for (int j = 0; j < F; j++)
      d->x[i * F + (uint32_t)j] = (float)(100 * j + (j + 1) * rng_normal(&r));
  }
  d->x[17] = NAN;
  novelty v, again;
  garam_error err;
  static const double importance[F] = {1, 1, 1, 0};
  char path[] = "/tmp/novelty_test_XXXXXX";
  close(mkstemp(path));
  for (int weighed = 0; weighed < 2; weighed++) {
    assert_int_equal(novelty_fit(&v, d, (row_set){rows, N}, weighed ? importance : NULL, 300, &err),
                     0);
    int inside = 0;
    uint64_t before = mem_count();
    for (int i = 0; i < 1000; i++) {
      float x[F];
      for (int j = 0; j < F; j++) x[j] = (float)(100 * j + (j + 1) * rng_normal(&r));
      inside += novelty_index(&v, x) <= 1;
      x[0] += 8;
      assert_true(novelty_index(&v, x) > 1);
      x[0] -= 8, x[3] += 60;
      if (!weighed) assert_true(novelty_index(&v, x) > 1);
    }
    assert_int_equal(mem_count(), before);
    assert_true(inside > 930);
    package_writer *w;
    package_reader *reader;
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(novelty_save(&v, w, "n.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&reader, path, &err), GARAM_OK);
    assert_int_equal(novelty_load(&again, F, reader, "n.", &err), GARAM_OK);
    float x[F] = {2, 105, NAN, 300};
    assert_true(novelty_index(&v, x) == novelty_index(&again, x));
    novelty_deinit(&again);
    assert_int_not_equal(novelty_load(&again, F + 1, reader, "n.", &err), GARAM_OK);
    package_close(reader);
    novelty_deinit(&v);
  }
  unlink(path);
  assert_int_equal(novelty_fit(&v, d, (row_set){rows, 10}, NULL, 300, &err), GARAM_INVALID);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quantile),     cmocka_unit_test(test_cross),
      cmocka_unit_test(test_cross_sorted), cmocka_unit_test(test_copy),
      cmocka_unit_test(test_drift),        cmocka_unit_test(test_window),
      cmocka_unit_test(test_novelty)};
  return cmocka_run_group_tests_name("conformal", tests, NULL, NULL);
}
