/* Temperature, conformal sets and the scaler against what is known of them. */
#include "learn/calibrate.h"
#include "learn/metric.h"
#include "learn/scaler.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 20000, K = 3 };
static float logits[N * K], p[N * K];
static int32_t y[N];

/* Labels drawn from softmax(z); what the model says is z times `heat`. */
static void draw(double heat) {
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (size_t i = 0; i < N; i++) {
    double z[K], sum = 0, u = rng_uniform(&r);
    for (int k = 0; k < K; k++) {
      z[k] = 1.5 * rng_normal(&r);
      sum += exp(z[k]);
      logits[i * K + (size_t)k] = (float)(heat * z[k]);
    }
    y[i] = 0;
    for (double low = exp(z[0]) / sum; y[i] < K - 1 && u > low; low += exp(z[y[i]]) / sum) y[i]++;
  }
}

static void test_temperature(void **state) {
  (void)state;
  static const double heats[] = {0.3, 1, 4};
  for (size_t h = 0; h < COUNT_OF(heats); h++) {
    draw(heats[h]);
    double t = calibrate_temperature(logits, y, NULL, N, K);
    if (fabs(t / heats[h] - 1) > 0.04) fail_msg("temperature %g for %g", t, heats[h]);
    /* No temperature beside it is better. */
    double loss[3];
    for (int i = 0; i < 3; i++) {
      memcpy(p, logits, sizeof p);
      assert_true(calibrate_softmax(p, N, K, t * (0.98 + 0.02 * i)));
      loss[i] = metric_log_loss(p, y, NULL, N, K);
    }
    assert_true(loss[1] < loss[0] && loss[1] < loss[2]);
    memcpy(p, logits, sizeof p);
    calibrate_softmax(p, N, K, t);
    assert_true(metric_calibration_error(p, y, N, K, 15) < 0.02);
  }
  /* The hot end: scores without sense. The cold end: perfect ones. Both stay inside the range. */
  for (size_t i = 0; i < N; i++) y[i] = (int32_t)(i % K);
  assert_true(calibrate_temperature(logits, y, NULL, N, K) > 10);
  for (size_t i = 0; i < N; i++)
    for (size_t k = 0; k < K; k++) logits[i * K + k] = (int32_t)k == y[i] ? 0.1f : 0;
  double t = calibrate_temperature(logits, y, NULL, N, K);
  assert_true(fabs(t - 0.05) < 1e-9);
  assert_true(calibrate_temperature(logits, y, NULL, 0, K) == 1);
  /* Rows without weight do not count. */
  draw(4);
  static float weight[N];
  for (size_t i = 0; i < N; i++) weight[i] = i < N / 2;
  double half = calibrate_temperature(logits, y, NULL, N / 2, K);
  assert_true(fabs(calibrate_temperature(logits, y, weight, N, K) - half) < 1e-9);
  float bad[K] = {0, NAN, 1}, worse[K] = {INFINITY, 0, 0};
  assert_false(calibrate_softmax(bad, 1, K, 1));
  assert_false(calibrate_softmax(worse, 1, K, 1));
}

static void test_conformal(void **state) {
  (void)state;
  draw(1);
  memcpy(p, logits, sizeof p);
  calibrate_softmax(p, N, K, 1);
  double coverage, size, half = N / 2;
  double q = calibrate_conformal(p, y, N / 2, K, 0.05);
  calibrate_conformal_score(&coverage, &size, q, p + N / 2 * K, y + N / 2, N / 2, K);
  assert_true(fabs(coverage - 0.95) < 4 * sqrt(0.05 * 0.95 / half) * sqrt(2));
  assert_true(size > 1 && size < K);
  /* By hand: scores .1 .2 .3 .4; 1 - alpha of .5 wants the third, ceil(5 * .5). */
  static const float four[8] = {.9f, .1f, .8f, .2f, .3f, .7f, .4f, .6f};
  static const int32_t truth[4] = {0, 0, 1, 1};
  q = calibrate_conformal(four, truth, 4, 2, 0.5);
  assert_true(fabs(q - 0.3) < 1e-6);
  calibrate_conformal_score(&coverage, &size, q, four, truth, 4, 2);
  assert_true(coverage == 0.75 && size == 0.75);
  /* Four rows can't promise 95 %: every class then. */
  assert_true(calibrate_conformal(four, truth, 4, 2, 0.05) == 1);
  static const float said[4] = {1, 2, 3, 4}, were[4] = {1, 4, 3.5f, 1};
  assert_true(calibrate_conformal_width(said, were, 4, 0.5) == 2);
  assert_true(isinf(calibrate_conformal_width(said, were, 4, 0.05)));
}

static void test_scaler(void **state) {
  (void)state;
  dataset *d;
  scaler s;
  garam_error err;
  enum { ROWS = 1001 };
  assert_int_equal(dataset_new(&d, TASK_BINARY, ROWS + 1, 3, 2, &err), GARAM_OK);
  static uint32_t rows[ROWS];
  for (uint32_t i = 0; i < ROWS; i++) {
    rows[i] = i;
    d->x[3 * i] = (float)i;                         /* median 500, quartiles 250 and 750 */
    d->x[3 * i + 1] = i % 2 ? NAN : i % 4 ? -1 : 3; /* mean about 1, deviation 2 */
    d->x[3 * i + 2] = 5;                            /* constant */
  }
  d->x[3 * ROWS] = 1e9f; /* not a training row */
  assert_int_equal(scaler_fit(&s, SCALER_STANDARD, 10, d, (row_set){rows, ROWS}, &err), 0);
  assert_true(fabs((double)s.center[0] - 500) < 1e-3);
  assert_true(fabs(1 / (double)s.inverse[0] - sqrt((ROWS * (double)ROWS - 1) / 12)) < 1e-2);
  assert_true(fabs((double)s.center[1] - 1) < 0.01 && fabs((double)s.inverse[1] - 0.5) < 0.01);
  float in[6] = {NAN, 3, 7, 1e9f, -INFINITY, 5}, out[6];
  scaler_apply(&s, out, in, 2);
  assert_true(out[0] == 0 && fabs((double)out[1] - 1) < 0.01 && out[2] == 0);
  assert_true(out[3] == 10 && out[4] == -10 && out[5] == 0);
  scaler_deinit(&s);
  /* One wild training row moves mean and deviation, not median and quartiles. */
  d->x[0] = 1e9f;
  assert_int_equal(scaler_fit(&s, SCALER_ROBUST, 0, d, (row_set){rows, ROWS}, &err), 0);
  assert_true(fabs((double)s.center[0] - 500) < 2);
  assert_true(fabs(1 / (double)s.inverse[0] - 500 / 1.349) < 2);
  scaler_apply(&s, out, in, 2);
  assert_true(out[3] > 1e6f); /* no clipping */
  scaler_deinit(&s);
  assert_int_equal(scaler_fit(&s, SCALER_STANDARD, 0, d, (row_set){rows, ROWS}, &err), 0);
  assert_true((double)s.center[0] > 9e5);
  scaler_deinit(&s);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_temperature),
      cmocka_unit_test(test_conformal),
      cmocka_unit_test(test_scaler),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
