/* Draws and uniqueness against answers worked out by hand and against the plain definitions. */
#include "learn/bootstrap.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 2000 };
static uint32_t rows[MOST];
static int64_t known_at[MOST], label_end[MOST];

/* n rows a second apart, each label spanning the next `horizon`. */
static dataset even(size_t n, int64_t horizon) {
  for (size_t i = 0; i < n; i++) {
    rows[i] = (uint32_t)i;
    known_at[i] = (int64_t)i;
    label_end[i] = (int64_t)i + horizon;
  }
  return (dataset){
      .task = TASK_REGRESSION, .n_rows = n, .known_at = known_at, .label_end = label_end};
}

/* ---- uniqueness ------------------------------------------------------------------------------ */

/* Three labels over six steps: the first lives in 0 to 2, the second in 2 and 3, the third in 4 and
 * 5 (Lopez de Prado 2018, section 4.5.3, where they are 5/6, 3/4 and 1). */
static void the_book(void **state) {
  (void)state;
  dataset d = even(7, 0);
  label_end[0] = 3;
  label_end[2] = 4;
  label_end[4] = 6;
  static const uint32_t three[] = {0, 2, 4};
  double u[3];
  assert_int_equal(bootstrap_uniqueness(u, &d, (row_set){three, 3}, NULL), GARAM_OK);
  assert_true(fabs(u[0] - 5.0 / 6) < 1e-12);
  assert_true(fabs(u[1] - 3.0 / 4) < 1e-12);
  assert_true(fabs(u[2] - 1) < 1e-12);
  /* Its second draw: after the second label, the odds are 5/14, 3/14 and 6/14. */
  bootstrap *b;
  const bootstrap_config c = {.kind = BOOTSTRAP_SEQUENTIAL, .share = 2.0 / 3, .replacement = true};
  assert_int_equal(bootstrap_new(&b, &c, &d, (row_set){three, 3}, NULL), GARAM_OK);
  size_t begun[3] = {0}, after[3][3] = {{0}};
  for (uint64_t k = 0; k < 60000; k++) {
    uint32_t counts[3];
    assert_int_equal(bootstrap_draw(counts, b, 3, k, NULL), GARAM_OK);
    assert_int_equal(counts[0] + counts[1] + counts[2], 2);
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++)
        after[i][j] += i == j ? counts[i] == 2 : counts[i] == 1 && counts[j] == 1;
    for (int i = 0; i < 3; i++) begun[i] += counts[i];
  }
  /* The first draw is even. After the first label the odds are 1/2, (1/2 + 1)/2 and 1; after the
   * third 1, 1 and 1/2. */
  assert_true(fabs((double)after[1][1] / 60000 - 3.0 / 14 / 3) < 0.004);
  assert_true(fabs((double)after[0][0] / 60000 - 0.5 / 2.25 / 3) < 0.004);
  assert_true(fabs((double)after[2][2] / 60000 - 0.5 / 2.5 / 3) < 0.004);
  assert_true(begun[2] > begun[0] && begun[0] > begun[1]);
  bootstrap_free(b);
}

static void uniqueness_is_its_definition(void **state) {
  (void)state;
  dataset d = even(60, 0);
  for (size_t i = 0; i < 60; i++) {
    if (i % 3 == 1) known_at[i] = known_at[i - 1]; /* two rows of one time */
    label_end[i] = known_at[i] + (int64_t)(i * 7 % 11);
  }
  double u[60];
  assert_int_equal(bootstrap_uniqueness(u, &d, (row_set){rows, 50}, NULL), GARAM_OK);
  for (size_t i = 0; i < 50; i++) {
    double sum = 0, steps = 0;
    for (int64_t t = known_at[i]; t < 60; t++) {
      size_t next = 0; /* does a step begin at t, and is it within the label? */
      while (next < 60 && known_at[next] <= t) next++;
      bool begins = false;
      for (size_t j = 0; j < 60; j++) begins |= known_at[j] == t;
      bool within = begins && (t == known_at[i] || (next < 60 && known_at[next] <= label_end[i]));
      if (!within) continue;
      double alive = 0;
      for (size_t j = 0; j < 50; j++)
        alive +=
            known_at[j] == t || (known_at[j] < t && next < 60 && known_at[next] <= label_end[j]);
      sum += 1 / alive;
      steps++;
    }
    if (fabs(u[i] - sum / steps) > 1e-12) fail_msg("row %zu: %g, %g", i, u[i], sum / steps);
  }
}

static void without_times_all_are_unique(void **state) {
  (void)state;
  dataset d = even(20, 5);
  d.known_at = d.label_end = NULL;
  double u[20];
  assert_int_equal(bootstrap_uniqueness(u, &d, (row_set){rows, 20}, NULL), GARAM_OK);
  for (int i = 0; i < 20; i++) assert_true(u[i] == 1);
}

/* ---- draws ----------------------------------------------------------------------------------- */

static double mean_uniqueness(const dataset *d, const uint32_t *counts, size_t n) {
  uint32_t drawn[MOST];
  double u[MOST], sum = 0;
  size_t k = 0, total = 0;
  for (size_t i = 0; i < n; i++)
    if (counts[i]) drawn[k++] = (uint32_t)i;
  /* A row drawn c times is c labels: each shares its life with the others. */
  assert_int_equal(bootstrap_uniqueness(u, d, (row_set){drawn, k}, NULL), GARAM_OK);
  for (size_t i = 0; i < k; i++) {
    sum += u[i] / counts[drawn[i]];
    total += 1;
  }
  return sum / (double)total;
}

static void draws_are_what_they_say(void **state) {
  (void)state;
  dataset d = even(1000, 10);
  static const struct {
    bootstrap_config c;
    bootstrap_kind kind;
    size_t drawn, block;
  } all[] = {
      {{BOOTSTRAP_ROWS, 1, true, 0}, BOOTSTRAP_ROWS, 1000, 40},
      {{BOOTSTRAP_ROWS, 0.5, false, 0}, BOOTSTRAP_ROWS, 500, 40},
      {{BOOTSTRAP_ROWS, 3, false, 0}, BOOTSTRAP_ROWS, 1000, 40},
      {{BOOTSTRAP_BLOCK, 1, true, 50}, BOOTSTRAP_BLOCK, 1000, 50},
      {{BOOTSTRAP_BLOCK, 0.3, false, 50}, BOOTSTRAP_BLOCK, 300, 50},
      {{BOOTSTRAP_SEQUENTIAL, 0.2, true, 0}, BOOTSTRAP_SEQUENTIAL, 200, 40},
      {{BOOTSTRAP_AUTO, 1, true, 0}, BOOTSTRAP_BLOCK, 1000, 40},
  };
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    bootstrap *b;
    uint32_t counts[1000], again[1000];
    assert_int_equal(bootstrap_new(&b, &all[i].c, &d, (row_set){rows, 1000}, NULL), GARAM_OK);
    assert_int_equal(bootstrap_resolved(b), all[i].kind);
    assert_int_equal(bootstrap_block(b), all[i].block);
    assert_int_equal(bootstrap_draw(counts, b, 9, 4, NULL), GARAM_OK);
    assert_int_equal(bootstrap_draw(again, b, 9, 4, NULL), GARAM_OK);
    assert_memory_equal(counts, again, sizeof counts);
    assert_int_equal(bootstrap_draw(again, b, 9, 5, NULL), GARAM_OK);
    if (all[i].drawn < 1000 || all[i].c.replacement)
      assert_memory_not_equal(counts, again, sizeof counts);
    size_t drawn = 0, edges = 0, most = 0;
    for (size_t j = 0; j < 1000; j++) {
      drawn += counts[j];
      most = counts[j] > most ? counts[j] : most;
      edges += counts[j] != counts[(j + 1) % 1000];
    }
    assert_int_equal(drawn, all[i].drawn);
    if (!all[i].c.replacement) assert_int_equal(most, 1);
    if (all[i].kind == BOOTSTRAP_BLOCK) assert_true(edges <= 2 * (drawn / all[i].block + 1));
    bootstrap_free(b);
  }
}

/* Section 4.6: sequential draws are more unique than draws of rows. */
static void sequential_draws_are_more_unique(void **state) {
  (void)state;
  dataset d = even(300, 8);
  double mean[2] = {0};
  for (int kind = 0; kind < 2; kind++) {
    bootstrap *b;
    const bootstrap_config c = {
        .kind = kind ? BOOTSTRAP_SEQUENTIAL : BOOTSTRAP_ROWS, .share = 0.1, .replacement = true};
    assert_int_equal(bootstrap_new(&b, &c, &d, (row_set){rows, 300}, NULL), GARAM_OK);
    for (uint64_t k = 0; k < 200; k++) {
      uint32_t counts[300];
      assert_int_equal(bootstrap_draw(counts, b, 1, k, NULL), GARAM_OK);
      mean[kind] += mean_uniqueness(&d, counts, 300) / 200;
    }
    bootstrap_free(b);
  }
  if (!(mean[1] > mean[0] + 0.03)) fail_msg("rows %.4f, sequential %.4f", mean[0], mean[1]);
}

static void unseen_rows_overlap_nothing(void **state) {
  (void)state;
  dataset d = even(500, 6);
  for (size_t i = 0; i < 500; i++) label_end[i] = known_at[i] + (int64_t)(i * 5 % 9);
  for (int kind = BOOTSTRAP_ROWS; kind <= BOOTSTRAP_SEQUENTIAL; kind++) {
    bootstrap *b;
    uint32_t counts[500];
    uint8_t unseen[500];
    const bootstrap_config c = {.kind = kind, .share = 0.5, .replacement = true, .block = 40};
    assert_int_equal(bootstrap_new(&b, &c, &d, (row_set){rows, 500}, NULL), GARAM_OK);
    assert_int_equal(bootstrap_draw(counts, b, 2, 0, NULL), GARAM_OK);
    size_t n = bootstrap_unseen(unseen, b, counts), there = 0;
    for (size_t i = 0; i < 500; i++) {
      bool overlaps = false;
      for (size_t j = 0; j < 500; j++)
        overlaps |= counts[j] && known_at[j] <= label_end[i] && known_at[i] <= label_end[j];
      assert_int_equal(unseen[i], !overlaps);
      there += !overlaps;
    }
    assert_int_equal(n, there);
    if (kind == BOOTSTRAP_BLOCK) assert_true(n > 50);
    bootstrap_free(b);
  }
}

static void bad_rows_are_refused(void **state) {
  (void)state;
  dataset d = even(20, 3);
  bootstrap *b;
  garam_error err;
  const bootstrap_config c = {.kind = BOOTSTRAP_ROWS, .share = 1, .replacement = true};
  assert_int_equal(bootstrap_new(&b, &c, &d, (row_set){rows, 0}, &err), GARAM_INVALID);
  known_at[10] = 2;
  assert_int_equal(bootstrap_new(&b, &c, &d, (row_set){rows, 20}, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "row 10"));
  assert_null(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_book),
      cmocka_unit_test(uniqueness_is_its_definition),
      cmocka_unit_test(without_times_all_are_unique),
      cmocka_unit_test(draws_are_what_they_say),
      cmocka_unit_test(sequential_draws_are_more_unique),
      cmocka_unit_test(unseen_rows_overlap_nothing),
      cmocka_unit_test(bad_rows_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
