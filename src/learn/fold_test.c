/* Folds: no label of a training row is open while a row is tested, on random overlapping labels. */
#include "learn/dataset.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 600 };

/* Labels of random length, some times equal, some rows unusable or without a label. */
static dataset *random_dataset(uint64_t seed, bool timed, int n_classes) {
  dataset *d;
  garam_error err;
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  assert_int_equal(
      dataset_new(&d, n_classes ? TASK_CLASSIFICATION : TASK_REGRESSION, ROWS, 1, n_classes, &err),
      GARAM_OK);
  if (timed) {
    d->known_at = mem_array(ROWS, sizeof *d->known_at);
    d->label_end = mem_array(ROWS, sizeof *d->label_end);
  }
  int64_t now = 1000;
  for (size_t i = 0; i < ROWS; i++) {
    d->usable[i] = rng_below(&r, 20) != 0;
    if (n_classes && rng_below(&r, 30) != 0)
      d->y[i] = (int32_t)(rng_uniform(&r) * rng_uniform(&r) * n_classes);
    d->value[i] = (float)rng_normal(&r);
    if (!timed) continue;
    now += (int64_t)rng_below(&r, 4) * 10;
    d->known_at[i] = now;
    d->label_end[i] = now + (int64_t)rng_below(&r, 300);
  }
  return d;
}

static bool eligible(const dataset *d, size_t i) {
  return d->usable[i] && dataset_labelled(d, i);
}

static void check_set(const dataset *d, row_set s) {
  for (size_t i = 0; i < s.n; i++) {
    assert_true(eligible(d, s.rows[i]));
    if (i > 0) assert_true(s.rows[i] > s.rows[i - 1]);
  }
}

/* No row in two parts. */
static void check_apart(const fold *f) {
  uint8_t seen[ROWS] = {0};
  const row_set sets[] = {f->train, f->valid, f->test};
  for (size_t k = 0; k < 3; k++)
    for (size_t i = 0; i < sets[k].n; i++) assert_int_equal(seen[sets[k].rows[i]]++, 0);
}

/* Intervals [known_at, label_end] of the two do not meet. */
static void check_disjoint(const dataset *d, row_set a, row_set b) {
  for (size_t i = 0; i < a.n; i++)
    for (size_t j = 0; j < b.n; j++) {
      uint32_t p = a.rows[i], q = b.rows[j];
      if (d->known_at[p] <= d->label_end[q] && d->known_at[q] <= d->label_end[p])
        fail_msg("the label of row %u meets that of row %u", p, q);
    }
}

static void check_earlier(const dataset *d, row_set a, row_set b) {
  for (size_t i = 0; b.n && i < a.n; i++)
    assert_true(d->label_end[a.rows[i]] < d->known_at[b.rows[0]]);
}

static void test_holdout_time(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 10; seed++) {
    dataset *d = random_dataset(seed, true, 3);
    garam_error err;
    fold plain, with;
    assert_int_equal(fold_holdout(&plain, d, 0.6, 0.2, 0, 1, &err), GARAM_OK);
    check_set(d, plain.train), check_set(d, plain.valid), check_set(d, plain.test);
    check_apart(&plain);
    check_earlier(d, plain.train, plain.valid);
    check_earlier(d, plain.train, plain.test);
    check_earlier(d, plain.valid, plain.test);
    assert_true(plain.train.n > ROWS / 3 && plain.test.n > ROWS / 8);
    /* The embargo takes the first rows of valid and test. */
    assert_int_equal(fold_holdout(&with, d, 0.6, 0.2, 7, 1, &err), GARAM_OK);
    assert_int_equal(with.test.n + 7, plain.test.n);
    assert_int_equal(with.test.rows[0], plain.test.rows[7]);
    check_earlier(d, with.train, with.valid);
    fold_deinit(&plain), fold_deinit(&with);
    /* No valid, no test: nothing to purge for. */
    assert_int_equal(fold_holdout(&plain, d, 1, 0, 5, 1, &err), GARAM_OK);
    size_t all = 0;
    for (size_t i = 0; i < ROWS; i++) all += eligible(d, i);
    assert_int_equal(plain.train.n, all);
    assert_int_equal(plain.valid.n + plain.test.n, 0);
    fold_deinit(&plain);
    d->known_at[100] = d->known_at[99] - 1;
    assert_int_equal(fold_holdout(&plain, d, 0.6, 0.2, 0, 1, &err), GARAM_INVALID);
    assert_non_null(strstr(err.message, "row 100"));
    dataset_free(d);
  }
}

static void test_holdout_shuffled(void **state) {
  (void)state;
  dataset *d = random_dataset(3, false, 3);
  garam_error err;
  fold a, b, other;
  assert_int_equal(fold_holdout(&a, d, 0.7, 0.15, 0, 1, &err), GARAM_OK);
  assert_int_equal(fold_holdout(&b, d, 0.7, 0.15, 0, 1, &err), GARAM_OK);
  assert_int_equal(fold_holdout(&other, d, 0.7, 0.15, 0, 2, &err), GARAM_OK);
  check_apart(&a);
  check_set(d, a.train), check_set(d, a.valid), check_set(d, a.test);
  assert_int_equal(a.train.n, b.train.n);
  assert_memory_equal(a.train.rows, b.train.rows, a.train.n * sizeof(uint32_t));
  assert_memory_not_equal(a.train.rows, other.train.rows, a.train.n * sizeof(uint32_t));
  size_t all = 0, of_class[3] = {0}, in_train[3] = {0};
  for (size_t i = 0; i < ROWS; i++)
    if (eligible(d, i)) all++, of_class[d->y[i]]++;
  for (size_t i = 0; i < a.train.n; i++) in_train[d->y[a.train.rows[i]]]++;
  assert_int_equal(a.train.n + a.valid.n + a.test.n, all);
  for (int c = 0; c < 3; c++)
    assert_true(fabs((double)in_train[c] - 0.7 * (double)of_class[c]) <= 0.51);
  fold_deinit(&a), fold_deinit(&b), fold_deinit(&other);
  dataset_free(d);
}

static void test_walk_forward(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 5; seed++) {
    dataset *d = random_dataset(seed, true, 0);
    garam_error err;
    fold f[5];
    size_t trained = 0, tested_to = 0;
    assert_int_equal(fold_walk_forward(f, 5, d, 0.2, 3, &err), GARAM_OK);
    for (int k = 0; k < 5; k++) {
      check_apart(&f[k]);
      check_earlier(d, f[k].train, f[k].valid);
      check_earlier(d, f[k].valid, f[k].test);
      check_earlier(d, f[k].train, f[k].test);
      assert_true(f[k].train.n > trained && f[k].test.n > 0);
      assert_true(f[k].test.rows[0] > tested_to);
      trained = f[k].train.n;
      tested_to = f[k].test.rows[f[k].test.n - 1];
      fold_deinit(&f[k]);
    }
    dataset_free(d);
  }
  dataset *d = random_dataset(0, false, 3);
  garam_error err;
  fold f[2];
  assert_int_equal(fold_walk_forward(f, 2, d, 0, 0, &err), GARAM_INVALID);
  dataset_free(d);
}

static void test_purged_kfold(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 10; seed++) {
    dataset *d = random_dataset(seed, true, 3);
    garam_error err;
    fold f[6], with[6];
    uint8_t tested[ROWS] = {0};
    assert_int_equal(fold_purged_kfold(f, 6, d, 0, 1, &err), GARAM_OK);
    assert_int_equal(fold_purged_kfold(with, 6, d, 9, 1, &err), GARAM_OK);
    for (int k = 0; k < 6; k++) {
      check_set(d, f[k].train), check_set(d, f[k].test);
      check_apart(&f[k]);
      check_disjoint(d, f[k].train, f[k].test);
      assert_true(f[k].train.n > ROWS / 2);
      for (size_t i = 0; i < f[k].test.n; i++) tested[f[k].test.rows[i]]++;
      /* The embargo removes exactly the 9 training rows that follow the block. */
      uint32_t last = f[k].test.rows[f[k].test.n - 1];
      size_t after = 0, before = 0, after_with = 0;
      uint32_t first_with = UINT32_MAX, tenth = UINT32_MAX;
      for (size_t i = 0; i < f[k].train.n; i++) {
        if (f[k].train.rows[i] < last) before++;
        else if (after++ == 9) tenth = f[k].train.rows[i];
      }
      for (size_t i = 0; i < with[k].train.n; i++)
        if (with[k].train.rows[i] > last && after_with++ == 0) first_with = with[k].train.rows[i];
      assert_int_equal(after_with, after > 9 ? after - 9 : 0);
      assert_int_equal(first_with, tenth);
      assert_int_equal(with[k].train.n, before + after_with);
      fold_deinit(&f[k]), fold_deinit(&with[k]);
    }
    for (size_t i = 0; i < ROWS; i++) assert_int_equal(tested[i], eligible(d, i));
    dataset_free(d);
  }
}

static void test_kfold_without_time(void **state) {
  (void)state;
  dataset *d = random_dataset(1, false, 3);
  garam_error err;
  fold f[4];
  uint8_t tested[ROWS] = {0};
  assert_int_equal(fold_purged_kfold(f, 4, d, 5, 1, &err), GARAM_OK);
  for (int k = 0; k < 4; k++) {
    check_apart(&f[k]);
    check_set(d, f[k].train), check_set(d, f[k].test);
    for (size_t i = 0; i < f[k].test.n; i++) tested[f[k].test.rows[i]]++;
    fold_deinit(&f[k]);
  }
  for (size_t i = 0; i < ROWS; i++) assert_int_equal(tested[i], eligible(d, i));
  assert_int_equal(fold_purged_kfold(f, 4, d, 0, 1, NULL), GARAM_OK);
  for (int k = 0; k < 4; k++) fold_deinit(&f[k]);
  dataset_free(d);
}

/* No query in two parts, and of those that lie together none is lost. */
static void check_whole(const dataset *d, const fold *f) {
  int part[ROWS] = {0};
  const row_set sets[] = {f->train, f->valid, f->test};
  for (int k = 0; k < 3; k++)
    for (size_t i = 0; i < sets[k].n; i++) {
      int *at = &part[d->group[sets[k].rows[i]]];
      if (*at != 0 && *at != k + 1) fail_msg("query %u is cut", d->group[sets[k].rows[i]]);
      *at = k + 1;
    }
}

static void test_queries_stay_whole(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) { /* with time or without, together or apart */
    bool timed = kind & 1, apart = kind & 2;
    dataset *d = random_dataset((uint64_t)kind, timed, 0);
    d->group = mem_array(ROWS, sizeof *d->group);
    for (size_t i = 0; i < ROWS; i++) {
      d->group[i] = (uint32_t)(apart ? i % 11 * 10 + i / 60 : i / 7);
      if (timed && !apart && i % 7) d->known_at[i] = d->known_at[i - 1];
      if (timed) d->label_end[i] = d->known_at[i];
    }
    fold f[5];
    size_t embargo = timed ? 3 : 0;
    assert_int_equal(fold_holdout(&f[0], d, 0.6, 0.2, embargo, 1, NULL), GARAM_OK);
    check_whole(d, &f[0]);
    assert_true(f[0].train.n > 200 && f[0].valid.n > 50 && f[0].test.n > 50);
    if (timed) assert_true(f[0].train.rows[f[0].train.n - 1] < f[0].test.rows[0]);
    fold_deinit(&f[0]);
    assert_int_equal(fold_purged_kfold(f, 5, d, embargo, 1, NULL), GARAM_OK);
    uint8_t tested[ROWS] = {0};
    for (int k = 0; k < 5; k++) {
      check_whole(d, &f[k]);
      for (size_t i = 0; i < f[k].test.n; i++) tested[f[k].test.rows[i]]++;
      fold_deinit(&f[k]);
    }
    for (size_t i = 0; i < ROWS; i++) assert_int_equal(tested[i], eligible(d, i));
    if (timed) {
      assert_int_equal(fold_walk_forward(f, 4, d, 0.2, embargo, NULL), GARAM_OK);
      for (int k = 0; k < 4; k++) check_whole(d, &f[k]), fold_deinit(&f[k]);
    }
    dataset_free(d);
  }
}

static void test_gather(void **state) {
  (void)state;
  dataset *d;
  garam_error err;
  assert_int_equal(dataset_new(&d, TASK_BINARY, 6, 2, 2, &err), GARAM_OK);
  for (size_t i = 0; i < 12; i++) d->x[i] = (float)i;
  d->series_begin = mem_array(6, sizeof *d->series_begin);
  for (size_t i = 3; i < 6; i++) d->series_begin[i] = 3;
  float x[12];
  int32_t begin[2];
  dataset_gather(x, begin, d, (const uint32_t[]){2, 4}, 2, 3);
  assert_int_equal(begin[0], 0);
  assert_int_equal(begin[1], 1); /* row 2 is another series */
  static const float expected[12] = {0, 1, 2, 3, 4, 5, 0, 0, 6, 7, 8, 9};
  assert_memory_equal(x, expected, sizeof x);
  dataset_gather(x, begin, d, (const uint32_t[]){0}, 1, 3);
  assert_int_equal(begin[0], 2);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_holdout_time),       cmocka_unit_test(test_holdout_shuffled),
      cmocka_unit_test(test_walk_forward),       cmocka_unit_test(test_purged_kfold),
      cmocka_unit_test(test_kfold_without_time), cmocka_unit_test(test_gather),
      cmocka_unit_test(test_queries_stay_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
