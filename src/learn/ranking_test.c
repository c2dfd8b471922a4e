/* Rankings: NDCG by hand, ties that say nothing, and queries gathered from rows that lie apart. */
#include "learn/ranking.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void close_to(double a, double b) {
  if (fabs(a - b) > 1e-12) fail_msg("%.15g, not %.15g", a, b);
}

static void test_by_hand(void **state) {
  (void)state;
  static const float grade[] = {0, 2, 1, 3};
  uint32_t order[4];
  double second = 1 / log2(3), third = 0.5, best = 7 + 3 * second + 1 * third;
  close_to(ranking_best_dcg(grade, 4, 10, order), best);
  close_to(ranking_ndcg((const float[]){1, 3, 2, 4}, grade, 4, 10, order), 1);
  close_to(ranking_ndcg((const float[]){4, 3, 2, 1}, grade, 4, 3, order),
           (0 + 3 * second + 1 * third) / best);
  close_to(ranking_ndcg((const float[]){4, 3, 2, 1}, grade, 4, 1, order), 0);
  close_to(ranking_ndcg((const float[]){0, 1, 0, 0}, (const float[]){0, 0, 0, 0}, 4, 3, order), 1);
}

/* Equal scores get the mean over their orders: where the rows stand says nothing. */
static void test_ties(void **state) {
  (void)state;
  static const float sorted[] = {3, 1, 0}, flat[] = {5, 5, 5};
  static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                   {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  uint32_t order[3];
  for (size_t at = 1; at <= 3; at++) {
    double sum = 0;
    for (size_t k = 0; k < 6; k++) {
      float score[3];
      for (int i = 0; i < 3; i++) score[orders[k][i]] = (float)(3 - i);
      sum += ranking_ndcg(score, sorted, 3, at, order) / 6;
    }
    close_to(ranking_ndcg(flat, sorted, 3, at, order), sum);
  }
}

static void test_order(void **state) {
  (void)state;
  enum { N = 257 };
  float score[N];
  uint32_t order[N];
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (size_t n = 0; n <= N; n += 1 + n / 8) {
    for (size_t i = 0; i < n; i++) score[i] = (float)rng_below(&r, 20);
    ranking_order(order, score, n);
    for (size_t i = 1; i < n; i++)
      assert_true(score[order[i - 1]] > score[order[i]] ||
                  (score[order[i - 1]] == score[order[i]] && order[i - 1] < order[i]));
  }
}

static void test_queries(void **state) {
  (void)state;
  uint32_t group[] = {4, 0, 4, 2, 0, 4};
  static const uint32_t rows[] = {0, 2, 3, 4, 5}, expected[] = {4, 3, 0, 2, 5};
  dataset d = {.task = TASK_RANKING, .n_rows = 6, .group = group};
  ranking_queries q;
  assert_int_equal(ranking_queries_init(&q, &d, (row_set){rows, 5}, NULL), GARAM_OK);
  assert_int_equal(q.n, 3);
  assert_int_equal(q.longest, 3);
  assert_memory_equal(q.rows, expected, sizeof expected);
  assert_int_equal(q.begin[1], 1);
  assert_int_equal(q.begin[2], 2);
  assert_int_equal(q.begin[3], 5);
  ranking_queries_deinit(&q);
  assert_int_equal(ranking_queries_init(&q, &d, (row_set){NULL, 0}, NULL), GARAM_OK);
  assert_int_equal(q.n, 0);
  ranking_queries_deinit(&q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_ties),
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_queries),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
