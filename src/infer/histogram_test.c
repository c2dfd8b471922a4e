/* The histogram against sorted values, and its edges. */
#include "base/mem.h"
#include "base/rng.h"
#include "infer/histogram.h"

#include <pthread.h>
#include <stdlib.h>

#include <setjmp.h>
#include <cmocka.h> /* last: its fail() is a macro */

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static void test_quantiles(void **state) {
  static uint64_t values[20000];
  static const double shares[] = {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
  (void)state;
  for (int digits = 1; digits <= 4; digits++) {
    histogram h;
    rng r;
    rng_init(&r, 7, RNG_TEST, (uint64_t)digits);
    assert_int_equal(histogram_init(&h, digits, NULL), GARAM_OK);
    uint64_t sum = 0;
    for (size_t i = 0; i < COUNT_OF(values); i++) { /* from 1 to 2^36, evenly in the exponent */
      values[i] = 1 + (rng_u64(&r) >> (28 + rng_below(&r, 36)));
      sum += values[i];
      histogram_record(&h, values[i]);
    }
    qsort(values, COUNT_OF(values), sizeof *values, by_value);
    double step = 1;
    for (int i = 1; i < digits; i++) step /= 10;
    for (size_t q = 0; q < COUNT_OF(shares); q++) {
      size_t rank = (size_t)(shares[q] * (double)COUNT_OF(values) + 0.9999);
      uint64_t truth = values[(rank ? rank : 1) - 1], got = histogram_quantile(&h, shares[q]);
      assert_true(got >= truth);
      assert_true((double)got <= (double)truth * (1 + step) + 1);
    }
    assert_int_equal(histogram_quantile(&h, 1), values[COUNT_OF(values) - 1]);
    assert_int_equal(histogram_total(&h), COUNT_OF(values));
    assert_int_equal(h.sum, sum);
    histogram_deinit(&h);
  }
}

/* Cumulative counts at edges with as many digits as the histogram are exact, both sides. */
static void test_cumulative(void **state) {
  static const uint64_t edges[] = {1, 2, 99, 100, 110, 5000, 25000, 50000, 1000000, 990000000000};
  (void)state;
  for (size_t e = 0; e < COUNT_OF(edges); e++) {
    histogram h;
    uint64_t cumulative[COUNT_OF(edges)];
    assert_int_equal(histogram_init(&h, 2, NULL), GARAM_OK);
    histogram_record(&h, edges[e]);
    histogram_record(&h, edges[e] + 1);
    assert_int_equal(histogram_cumulative(cumulative, edges, COUNT_OF(edges), &h), 2);
    for (size_t i = 0; i < COUNT_OF(edges); i++) {
      uint64_t expected = (uint64_t)(edges[e] <= edges[i]) + (uint64_t)(edges[e] + 1 <= edges[i]);
      assert_int_equal(cumulative[i], expected);
    }
    histogram_deinit(&h);
  }
}

static void test_extremes(void **state) {
  histogram h;
  uint64_t edge = UINT64_MAX, cumulative;
  (void)state;
  assert_int_equal(histogram_init(&h, 2, NULL), GARAM_OK);
  assert_int_equal(histogram_quantile(&h, 0.5), 0);
  histogram_record(&h, 0);
  assert_int_equal(histogram_quantile(&h, 1), 0);
  histogram_record(&h, UINT64_C(1) << 62);
  assert_int_equal(histogram_quantile(&h, 1), UINT64_C(1) << 62);
  edge = 1;
  assert_int_equal(histogram_cumulative(&cumulative, &edge, 1, &h), 2);
  assert_int_equal(cumulative, 1);
  histogram_deinit(&h);
}

static void *record_many(void *context) {
  for (uint64_t i = 0; i < 20000; i++) histogram_record(context, i);
  return NULL;
}

static void test_threads(void **state) {
  histogram h;
  pthread_t threads[4];
  (void)state;
  assert_int_equal(histogram_init(&h, 3, NULL), GARAM_OK);
  for (size_t i = 0; i < COUNT_OF(threads); i++)
    assert_int_equal(pthread_create(&threads[i], NULL, record_many, &h), 0);
  for (size_t i = 0; i < COUNT_OF(threads); i++) pthread_join(threads[i], NULL);
  assert_int_equal(histogram_total(&h), 80000);
  assert_int_equal(h.max, 19999);
  histogram_deinit(&h);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quantiles),
      cmocka_unit_test(test_cumulative),
      cmocka_unit_test(test_extremes),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
