/* Ratings come back from the results that they would give, and from no others. */
#include "rl/elo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_expected(void **state) {
  (void)state;
  assert_true(fabs(elo_expected(1500, 1500) - 0.5) < 1e-15);
  assert_true(fabs(elo_expected(1900, 1500) - 10.0 / 11) < 1e-15);
  double a = 1500, b = 1500;
  elo_update(&a, &b, 1, 32);
  assert_true(a == 1516 && b == 1484);
  elo_update(&a, &b, elo_expected(a, b), 32);
  assert_true(fabs(a - 1516) < 1e-12 && fabs(b - 1484) < 1e-12);
}

/* Points as the ratings foretell them, with a hint of a prior. */
static void test_fit(void **state) {
  (void)state;
  enum { N = 4 };
  const double truth[N] = {1350, 1450, 1500, 1700};
  double score[N * N] = {0}, games[N * N] = {0}, rating[N];
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) {
      if (i == j) continue;
      games[i * N + j] = 10 * (1 + (i + j) % 3);
      score[i * N + j] = games[i * N + j] * elo_expected(truth[i], truth[j]);
    }
  assert_int_equal(elo_fit(rating, score, games, N, 1500, 1e-6, NULL), GARAM_OK);
  for (int i = 0; i < N; i++) assert_true(fabs(rating[i] - truth[i]) < 0.01);
  score[3] += 5; /* the first did better against the last than it should */
  score[12] -= 5;
  assert_int_equal(elo_fit(rating, score, games, N, 1500, 1e-6, NULL), GARAM_OK);
  assert_true(rating[0] > 1360 && rating[3] < 1690);
}

/* Who won all has a finite rating, and more wins make it higher. */
static void test_all_won(void **state) {
  (void)state;
  double rating[2], before = 0;
  for (double n = 1; n < 1e4; n *= 10) {
    const double score[4] = {0, n, 0, 0}, games[4] = {0, n, n, 0};
    assert_int_equal(elo_fit(rating, score, games, 2, 0, 1, NULL), GARAM_OK);
    assert_true(isfinite(rating[0]) && fabs(rating[0] + rating[1]) < 1e-9);
    assert_true(rating[0] > before);
    before = rating[0];
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_expected),
      cmocka_unit_test(test_fit),
      cmocka_unit_test(test_all_won),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
