/* Aggregates against scipy's and numpy's answers for the definitions of rliable, and intervals
 * against those of 200,000 draws of numpy's generator. tests/peers/rl_statistics_test.py
 * goes the whole way through the command. */
#include "rl/stats.h"

#include "base/mem.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const double x[] = {0.12, 0.91, 0.55, 1.20, 0.33, 0.47, 0.98, 0.66, 0.71, 0.05},
                    y[] = {0.10, 0.95, 0.55, 0.80, 0.29, 0.40};
static const stats_scores sx = {x, 5, 2}, sy = {y, 3, 2};

static void near(double have, double want, double within, const char *what) {
  if (!(fabs(have - want) <= within)) fail_msg("%s: %.17g, expected %.17g", what, have, want);
}

static void test_aggregates(void **state) {
  (void)state;
  static const struct {
    stats_kind kind;
    double value;
  } known[] = {{STATS_IQM, 0.605},
               {STATS_MEAN, 0.598},
               {STATS_MEDIAN, 0.598},
               {STATS_OPTIMALITY_GAP, 0.422}};
  double scratch[10];
  for (size_t i = 0; i < COUNT_OF(known); i++)
    near(stats_aggregate(known[i].kind, sx, scratch), known[i].value, 1e-12,
         stats_kind_names[known[i].kind]);
  const double column[] = {0.12, 0.55, 0.33, 0.98, 0.71}; /* five: one is cut from each end */
  near(stats_aggregate(STATS_IQM, (stats_scores){column, 5, 1}, scratch), 0.53, 1e-12, "of five");
  assert_true(isnan(stats_aggregate(STATS_IQM, (stats_scores){column, 0, 1}, scratch)));
}

static void test_quantile(void **state) {
  (void)state;
  const double sorted[] = {1, 2, 4, 8};
  near(stats_quantile(sorted, 4, 0.025), 1.075, 1e-12, "0.025");
  near(stats_quantile(sorted, 4, 0.5), 3, 1e-12, "0.5");
  near(stats_quantile(sorted, 4, 0.9), 6.8, 1e-12, "0.9");
  near(stats_quantile(sorted, 4, 1), 8, 1e-12, "1");
}

static void test_intervals(void **state) {
  (void)state;
  garam_error err = {0};
  stats_interval i, again;
  assert_int_equal(stats_bootstrap(&i, STATS_IQM, sx, 1, &err), GARAM_OK);
  near(i.value, 0.605, 1e-12, "iqm");
  near(i.low, 0.33, 0.012, "iqm, low");
  near(i.high, 0.85, 0.012, "iqm, high");
  assert_int_equal(stats_bootstrap(&again, STATS_IQM, sx, 1, &err), GARAM_OK);
  assert_memory_equal(&i, &again, sizeof i); /* a function of the seed */
  assert_int_equal(stats_bootstrap(&i, STATS_MEAN, sx, 2, &err), GARAM_OK);
  near(i.low, 0.381, 0.01, "mean, low");
  near(i.high, 0.809, 0.01, "mean, high");
  assert_int_equal(stats_bootstrap(&i, STATS_IQM, (stats_scores){x, 1, 1}, 1, &err), GARAM_OK);
  assert_true(i.low <= i.value && i.value <= i.low && i.high <= i.value);
}

static void test_improvement(void **state) {
  (void)state;
  garam_error err = {0};
  near(stats_improvement(sx, sy), 0.6166666666666667, 1e-12, "x over y"); /* one tie among them */
  near(stats_improvement(sx, sy) + stats_improvement(sy, sx), 1, 1e-12, "both ways");
  near(stats_improvement(sx, sx), 0.5, 1e-12, "itself");
  stats_interval i;
  assert_int_equal(stats_improvement_bootstrap(&i, sx, sy, 1, &err), GARAM_OK);
  near(i.low, 0.3333, 0.02, "low");
  near(i.high, 0.8667, 0.02, "high");
}

static void test_profile(void **state) {
  (void)state;
  static const double tau[] = {0, 0.33, 0.5, 1, 2}, share[] = {1, 0.7, 0.6, 0.1, 0};
  stats_interval out[COUNT_OF(tau)];
  garam_error err = {0};
  assert_int_equal(stats_profile(out, sx, tau, COUNT_OF(tau), 1, &err), GARAM_OK);
  for (size_t i = 0; i < COUNT_OF(tau); i++) {
    near(out[i].value, share[i], 1e-12, "share");
    assert_true(out[i].low <= out[i].value && out[i].value <= out[i].high);
  }
  assert_true(out[2].high - out[2].low > 0.2); /* ten scores say little */
}

static void test_memory(void **state) {
  (void)state;
  stats_interval out[2];
  for (size_t n = 0; n < 4; n++) {
    failing_allocator memory = {.fail_after = n};
    garam_error err = {0};
    failing_allocator_use(&memory);
    garam_status a = stats_bootstrap(out, STATS_IQM, sx, 1, &err);
    garam_status b = stats_improvement_bootstrap(out, sx, sy, 1, &err);
    garam_status c = stats_profile(out, sx, (double[]){0, 1}, 2, 1, &err);
    garam_set_allocator(NULL);
    assert_int_equal(a, n < 1 ? GARAM_NO_MEMORY : GARAM_OK);
    assert_int_equal(b, n < 2 ? GARAM_NO_MEMORY : GARAM_OK);
    assert_int_equal(c, n < 3 ? GARAM_NO_MEMORY : GARAM_OK);
    assert_int_equal(memory.n_blocks, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_aggregates), cmocka_unit_test(test_quantile),
      cmocka_unit_test(test_intervals),  cmocka_unit_test(test_improvement),
      cmocka_unit_test(test_profile),    cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests_name("rl.stats", tests, NULL, NULL);
}
