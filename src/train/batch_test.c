/* Windows, orders, rows that can be learned from. */
#include "train/batch.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Two series, rows 0-4 and 5-9; feature 0 is the row's number, feature 1 ten times it. */
static float x[20];
static uint32_t series_begin[10] = {0, 0, 0, 0, 0, 5, 5, 5, 5, 5};

static dataset two_series(void) {
  for (int i = 0; i < 10; i++) {
    x[2 * i] = (float)i + 1;
    x[2 * i + 1] = 10 * ((float)i + 1);
  }
  return (dataset){.n_rows = 10, .n_features = 2, .x = x, .series_begin = series_begin};
}

static void windows_never_cross_a_series(void **state) {
  (void)state;
  static const struct {
    uint32_t row;
    int32_t begin;
    float first[3]; /* feature 0 of each step */
  } rows[] = {
      {0, 2, {0, 0, 1}}, {1, 1, {0, 1, 2}}, {2, 0, {1, 2, 3}},  {4, 0, {3, 4, 5}},
      {5, 2, {0, 0, 6}}, {6, 1, {0, 6, 7}}, {9, 0, {8, 9, 10}},
  };
  enum { N = COUNT_OF(rows), T = 3 };
  dataset d = two_series();
  uint32_t wanted[N];
  int32_t begin[N];
  float out[N * T * 2];
  for (size_t i = 0; i < N; i++) wanted[i] = rows[i].row;
  memset(out, 0xff, sizeof out);
  batch_windows(out, begin, &d, T, wanted, N);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(begin[i], rows[i].begin);
    for (size_t t = 0; t < T; t++) {
      assert_true(out[(i * T + t) * 2] == rows[i].first[t]);
      assert_true(out[(i * T + t) * 2 + 1] == 10 * rows[i].first[t]);
    }
  }
  d.series_begin = NULL; /* one series */
  batch_windows(out, begin, &d, T, (uint32_t[]){5}, 1);
  assert_int_equal(begin[0], 0);
  assert_true(out[0] == 4);
}

static void a_pass_holds_every_row_once(void **state) {
  (void)state;
  enum { N = 103, BATCH = 10 };
  uint32_t rows[N];
  for (uint32_t i = 0; i < N; i++) rows[i] = 3 * i;
  batch_order o;
  assert_int_equal(batch_order_init(&o, (row_set){rows, N}, BATCH, 7, NULL), GARAM_OK);
  assert_int_equal(o.pass_steps, 11);
  uint32_t passes[2][N];
  for (uint64_t pass = 0; pass < 2; pass++) {
    size_t n = 0;
    int seen[N] = {0};
    for (uint64_t s = 0; s < o.pass_steps; s++) {
      row_set r = batch_order_at(&o, pass * o.pass_steps + s);
      assert_int_equal(r.n, s + 1 < o.pass_steps ? BATCH : 3);
      for (size_t i = 0; i < r.n; i++) {
        passes[pass][n++] = r.rows[i];
        seen[r.rows[i] / 3]++;
      }
    }
    assert_int_equal(n, N);
    for (size_t i = 0; i < N; i++) assert_int_equal(seen[i], 1);
  }
  assert_memory_not_equal(passes[0], passes[1], sizeof passes[0]);
  /* Any step can be asked for at any time, and another seed has another order. */
  row_set again = batch_order_at(&o, 4);
  assert_memory_equal(again.rows, passes[0] + 40, sizeof *rows * BATCH);
  batch_order other;
  assert_int_equal(batch_order_init(&other, (row_set){rows, N}, BATCH, 8, NULL), GARAM_OK);
  assert_memory_not_equal(batch_order_at(&other, 4).rows, passes[0] + 40, sizeof *rows * BATCH);
  batch_order_deinit(&o);
  batch_order_deinit(&other);
}

static void rows_without_target_or_weight_are_left_out(void **state) {
  (void)state;
  int32_t y[5] = {0, -1, 1, 1, 0};
  float weight[5] = {1, 1, 0, 2, NAN}, value[5] = {1, NAN, 2, 3, INFINITY};
  const uint32_t all[5] = {0, 1, 2, 3, 4};
  dataset d = {.task = TASK_CLASSIFICATION, .n_rows = 5, .n_classes = 2, .y = y, .weight = weight};
  uint32_t *rows;
  size_t n;
  assert_int_equal(batch_learnable(&rows, &n, &d, (row_set){all, 5}, NULL), GARAM_OK);
  assert_int_equal(n, 2);
  assert_int_equal(rows[0], 0);
  assert_int_equal(rows[1], 3);
  mem_free(rows);
  d = (dataset){.task = TASK_REGRESSION, .n_rows = 5, .value = value};
  assert_int_equal(batch_learnable(&rows, &n, &d, (row_set){all, 5}, NULL), GARAM_OK);
  assert_int_equal(n, 3);
  assert_int_equal(rows[2], 3);
  mem_free(rows);
}

static void balanced_weights(void **state) {
  (void)state;
  int32_t y[8] = {0, 0, 0, 0, 0, 1, 1, 0};
  const uint32_t all[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  dataset d = {.task = TASK_CLASSIFICATION, .n_rows = 8, .n_classes = 3, .y = y};
  float w[3];
  batch_class_weights(w, &d, (row_set){all, 8}, CLASS_WEIGHTS_BALANCED);
  assert_true(fabsf(w[0] - 8.0f / 18) < 1e-6f);
  assert_true(fabsf(w[1] - 8.0f / 6) < 1e-6f);
  assert_true(w[2] == 0);
  batch_class_weights(w, &d, (row_set){all, 8}, CLASS_WEIGHTS_NONE);
  for (int k = 0; k < 3; k++) assert_true(w[k] == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(windows_never_cross_a_series),
      cmocka_unit_test(a_pass_holds_every_row_once),
      cmocka_unit_test(rows_without_target_or_weight_are_left_out),
      cmocka_unit_test(balanced_weights),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
