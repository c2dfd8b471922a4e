/* Metrics against values worked out by hand, and properties that must hold. */
#include "learn/metric.h"

#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static void near(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance)) fail_msg("%.12g, expected %.12g", a, b);
}

/* Six rows of three classes. Predicted: 0 1 2 0 1 0; true: 0 1 2 1 1 2. */
static const float p6[18] = {.8f, .1f, .1f, .2f, .6f, .2f, .1f, .2f, .7f,
                             .5f, .3f, .2f, .1f, .9f, 0,   .4f, .3f, .3f};
static const int32_t y6[6] = {0, 1, 2, 1, 1, 2};

static void test_by_hand(void **state) {
  (void)state;
  near(metric_accuracy(p6, y6, 6, 3), 4.0 / 6, 1e-12);
  size_t c[9];
  metric_confusion(c, p6, y6, 6, 3);
  static const size_t expected[9] = {1, 0, 0, 1, 2, 0, 1, 0, 1};
  assert_memory_equal(c, expected, sizeof c);
  /* F1: 2*1/(1+3), 2*2/(3+2), 2*1/(2+1) */
  near(metric_macro_f1(p6, y6, 6, 3), (0.5 + 0.8 + 2.0 / 3) / 3, 1e-12);
  near(metric_log_loss(p6, y6, NULL, 6, 3),
       -(log(.8) + log(.6) + log(.7) + log(.3) + log(.9) + log(.3)) / 6, 1e-6);
  static const float w[6] = {1, 0, 0, 3, 0, 0};
  near(metric_log_loss(p6, y6, w, 6, 3), -(log(.8) + 3 * log(.3)) / 4, 1e-6);
  /* .06 .24 .14 .78 .02 .74 */
  near(metric_brier(p6, y6, 6, 3), (.06 + .24 + .14 + .78 + .02 + .74) / 6, 1e-6);
  /* Bins of .2 that end at .6, .8 and 1, with .5 and .4 in [.4,.6): .6 falls in [.6,.8). */
  metric_bin b[5];
  metric_reliability(b, p6, y6, 6, 3, 5);
  assert_int_equal(b[2].n, 2);
  near(b[2].confidence, .45, 1e-6);
  near(b[2].accuracy, 0, 0);
  near(metric_calibration_error(p6, y6, 6, 3, 1), fabs(3.9 / 6 - 4.0 / 6), 1e-6);
  near(metric_calibration_error(p6, y6, 6, 3, 5), (2 * .45 + 2 * (1 - .65) + 2 * (1 - .85)) / 6,
       1e-6);
  /* A class that is neither true nor predicted does not count. */
  static const float two[8] = {1, 0, 0, 0, 0, 1, 0, 0};
  static const int32_t y2[2] = {0, 1};
  near(metric_macro_f1(two, y2, 2, 4), 1, 1e-12);
  assert_true(isnan(metric_accuracy(NULL, NULL, 0, 3)));
  assert_true(isnan(metric_log_loss(NULL, NULL, NULL, 0, 3)));
}

static void test_auc(void **state) {
  (void)state;
  static const float s[6] = {.1f, .4f, .35f, .8f, .4f, .9f};
  static const int32_t y[6] = {0, 0, 1, 1, 1, 0};
  /* pairs (positive over negative): .35>.1; .8>.1,.4; .4>.1, =.4 half: 4.5 of 9 */
  near(metric_auc(s, y, NULL, 6), 4.5 / 9, 1e-12);
  static const float w[6] = {2, 1, 1, 1, 1, 1};
  near(metric_auc(s, y, w, 6), (2 + 3 + 2.5) / 12, 1e-12);
  static const int32_t one[2] = {1, 1};
  assert_true(isnan(metric_auc(s, one, NULL, 2)));
  /* Against counting every pair; and reversing scores gives 1 - AUC. */
  enum { N = 300 };
  float score[N], minus[N], weight[N];
  int32_t label[N];
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (int i = 0; i < N; i++) {
    label[i] = rng_uniform(&r) < 0.3;
    score[i] = (float)floor(rng_normal(&r) * 4 + label[i] * 3);
    minus[i] = -score[i];
    weight[i] = (float)rng_uniform(&r);
  }
  double won = 0, pairs = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++)
      if (label[i] == 1 && label[j] == 0) {
        double both = (double)weight[i] * weight[j];
        pairs += both;
        won += both * (score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0);
      }
  near(metric_auc(score, label, weight, N), won / pairs, 1e-9);
  near(metric_auc(minus, label, weight, N), 1 - won / pairs, 1e-9);
}

static void test_mcc(void **state) {
  (void)state;
  static const size_t binary[4] = {50, 10, 5, 35};
  near(metric_mcc(binary, 2), (50.0 * 35 - 10 * 5) / sqrt(60.0 * 40 * 55 * 45), 1e-12);
  static const size_t perfect[9] = {3, 0, 0, 0, 4, 0, 0, 0, 5};
  near(metric_mcc(perfect, 3), 1, 1e-12);
  static const size_t constant[4] = {7, 0, 3, 0};
  near(metric_mcc(constant, 2), 0, 0);
}

static void test_regression(void **state) {
  (void)state;
  static const float p[4] = {1, 2, 3, 5}, y[4] = {1, 3, 2, 6}, w[4] = {1, 1, 0, 2};
  near(metric_mse(p, y, NULL, 4), 0.75, 1e-12);
  near(metric_mae(p, y, NULL, 4), 0.75, 1e-12);
  near(metric_r2(p, y, NULL, 4), 1 - 3 / 14.0, 1e-12); /* mean 3: 4 + 0 + 1 + 9 */
  near(metric_mse(p, y, w, 4), 3.0 / 4, 1e-12);
  near(metric_r2(p, y, w, 4), 1 - 3.0 / 18, 1e-12); /* mean 4: 9 + 1 + 2*4 */
}

static void test_threshold(void **state) {
  (void)state;
  /* 200 rows: confidence falls; the first 120 are right, then every second one. */
  enum { N = 200 };
  static float p[2 * N];
  static int32_t y[N];
  for (int i = 0; i < N; i++) {
    float top = 0.99f - 0.002f * (float)i;
    int call = i % 2;
    p[2 * i + call] = top;
    p[2 * i + 1 - call] = 1 - top;
    y[i] = i < 120 || i % 2 ? call : 1 - call;
  }
  double threshold = metric_threshold_at(0.95, p, y, N, 2, METRIC_ALL_CLASSES);
  double coverage, accuracy;
  metric_coverage(&coverage, &accuracy, threshold, p, y, N, 2, METRIC_ALL_CLASSES);
  assert_true(threshold < 0.99 - 0.002 * 119 && coverage >= 0.6);
  assert_true(accuracy >= 0.95);
  /* One more row below it would not pass: the Wilson bound there is under the target. */
  double wider, worse;
  metric_coverage(&wider, &worse, threshold - 0.01, p, y, N, 2, METRIC_ALL_CLASSES);
  assert_true(wider > coverage && worse < 0.97);
  /* Calls of class 0 alone are right more seldom. */
  double zero = metric_threshold_at(0.95, p, y, N, 2, 1u << 0);
  assert_true(zero > threshold);
  metric_coverage(&coverage, &accuracy, zero, p, y, N, 2, 1u << 0);
  assert_true(coverage > 0.2 && coverage <= 0.5);
  /* Luck does not pass: ten of ten are too few for 95 %; 31 of 31 are enough. */
  for (int i = 0; i < 31; i++) y[i] = i % 2;
  assert_true(metric_threshold_at(0.95, p, y, 10, 2, METRIC_ALL_CLASSES) == 2);
  assert_true(metric_threshold_at(0.95, p, y, 30, 2, METRIC_ALL_CLASSES) == 2);
  assert_true(metric_threshold_at(0.95, p, y, 32, 2, METRIC_ALL_CLASSES) < 1);
  metric_coverage(&coverage, &accuracy, 2, p, y, 10, 2, METRIC_ALL_CLASSES);
  assert_true(coverage == 0 && isnan(accuracy));
  /* Rows of equal confidence stand or fall together. */
  for (int i = 0; i < N; i++) {
    p[2 * i] = 0.75f, p[2 * i + 1] = 0.25f;
    y[i] = i >= 100; /* the first hundred right */
  }
  assert_true(metric_threshold_at(0.95, p, y, N, 2, METRIC_ALL_CLASSES) == 2);
}

/* Scores with serial correlation: intervals hold the true mean about as often as they say, and an
 * interval that takes the rows as independent does not. */
static void test_bootstrap_coverage(void **state) {
  (void)state;
  enum { N = 1000, TRIALS = 200 };
  static double score[N];
  int held = 0, held_by_one = 0;
  for (int t = 0; t < TRIALS; t++) {
    rng r;
    rng_init(&r, (uint64_t)t, RNG_TEST, 7);
    double at = rng_normal(&r);
    for (int i = 0; i < N; i++) {
      at = 0.8 * at + 0.6 * rng_normal(&r);
      score[i] = 3 + at;
    }
    double low, high;
    metric_block_bootstrap(&low, &high, score, N, 40, 200, 5);
    held += low <= 3 && 3 <= high;
    metric_block_bootstrap(&low, &high, score, N, 1, 200, 5);
    held_by_one += low <= 3 && 3 <= high;
  }
  assert_in_range(held, TRIALS * 86 / 100, TRIALS * 99 / 100);
  assert_in_range(held_by_one, 0, TRIALS * 70 / 100);
}

static void test_bootstrap_f1(void **state) {
  (void)state;
  enum { N = 500 };
  static int32_t predicted[N], y[N];
  static float p[3 * N];
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  for (int i = 0; i < N; i++) {
    y[i] = (int32_t)rng_below(&r, 3);
    predicted[i] = rng_uniform(&r) < 0.6 ? y[i] : (int32_t)rng_below(&r, 3);
    p[3 * i + predicted[i]] = 1;
  }
  double low, high, low_wide, high_wide, point = metric_macro_f1(p, y, N, 3);
  metric_block_bootstrap_f1(&low, &high, predicted, y, N, 3, 5, 500, 1);
  assert_true(low < point && point < high && high - low < 0.12 && high - low > 0.04);
  /* Counting rows (many classes) and running sums (few) agree: the other 17 are never seen. */
  metric_block_bootstrap_f1(&low_wide, &high_wide, predicted, y, N, 20, 5, 500, 1);
  near(low_wide, low, 1e-12);
  near(high_wide, high, 1e-12);
  /* Perfect predictions have no spread. */
  metric_block_bootstrap_f1(&low, &high, y, y, N, 3, 5, 100, 1);
  assert_true(low == 1 && high == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),      cmocka_unit_test(test_auc),
      cmocka_unit_test(test_mcc),          cmocka_unit_test(test_regression),
      cmocka_unit_test(test_threshold),    cmocka_unit_test(test_bootstrap_coverage),
      cmocka_unit_test(test_bootstrap_f1),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
