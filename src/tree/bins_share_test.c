/* Shared bins: found again for the same numbers and rows, and for nothing else; free when the last
 * holder is gone. */
#include "tree/bins.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/failing_allocator.h"
#include "tree/gbdt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 500, F = 3 };
static uint32_t numbers[N];

static dataset *make(uint64_t seed) {
  dataset *d;
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  assert_int_equal(dataset_new(&d, TASK_REGRESSION, N, F, 0, NULL), GARAM_OK);
  for (uint32_t i = 0; i < N; i++) {
    numbers[i] = i;
    for (int j = 0; j < F; j++) d->x[i * F + (uint32_t)j] = (float)rng_normal(&r);
    d->value[i] = d->x[i * F];
  }
  return d;
}

static void test_found(void **state) {
  (void)state;
  dataset *d = make(1), *same = make(1);
  bins_config c = bins_config_default();
  bins *first, *b;
  const row_set rows = {numbers, 400};
  assert_int_equal(bins_take(&first, d, rows, &c, NULL), GARAM_OK);
  assert_int_equal(bins_take(&b, same, rows, &c, NULL), GARAM_OK); /* the same numbers elsewhere */
  assert_ptr_equal(b, first);
  bins_release(b);
  c.seed = 9; /* nothing is sampled */
  assert_int_equal(bins_take(&b, d, rows, &c, NULL), GARAM_OK);
  assert_ptr_equal(b, first);
  bins_release(b);
  static const uint8_t categorical[F] = {0, 0, 1};
  for (int other = 0; other < 7; other++) {
    bins_config o = bins_config_default();
    row_set r = rows;
    if (other == 0) r.n = 399;
    if (other == 1) r.rows = numbers + 1;
    if (other == 2) o.max_bins = 254;
    if (other == 3) o.min_rows = 4;
    if (other == 4) o.categorical = categorical;
    if (other == 5) same->x[N * F - 1] += 1; /* a row that is not among them is coded too */
    if (other == 6) o.sample = 300;
    assert_int_equal(bins_take(&b, other == 5 ? same : d, r, &o, NULL), GARAM_OK);
    if (b == first) fail_msg("case %d is taken for the same", other);
    bins_release(b);
  }
  bins_release(first);
  dataset_free(d);
  dataset_free(same);
}

/* Learners hold what they were fitted with: the second of a kind cuts nothing, and predicts as if
 * it had; when both are gone nothing is left. */
static void test_held(void **state) {
  (void)state;
  static failing_allocator memory = {.fail_after = SIZE_MAX};
  failing_allocator_use(&memory);
  size_t calls[3];
  dataset *d = make(2);
  learner *l[3];
  float out[3];
  gbdt_config c;
  opt_defaults(gbdt_options, GBDT_N_OPTIONS, &c);
  c.rounds = 5;
  for (int i = 0; i < 3; i++) {
    fit_summary s;
    const learner_shape shape = {TASK_REGRESSION, F, 0};
    if (i == 2) gbdt_ops.destroy(l[0]), gbdt_ops.destroy(l[1]);
    assert_int_equal(gbdt_ops.create(&l[i], &c, &shape, NULL), GARAM_OK);
    failing_allocator_restart(&memory, SIZE_MAX);
    assert_int_equal(gbdt_ops.fit(l[i], d, (row_set){numbers, 400}, (row_set){0}, NULL, &s, NULL),
                     GARAM_OK);
    calls[i] = memory.n_calls;
    assert_int_equal(gbdt_ops.predict(l[i], d->x, NULL, 1, &out[i], NULL), GARAM_OK);
    fit_summary_deinit(&s);
  }
  assert_true(calls[1] < calls[0] && calls[2] == calls[0]);
  assert_memory_equal(&out[0], &out[1], sizeof *out);
  assert_memory_equal(&out[0], &out[2], sizeof *out);
  gbdt_ops.destroy(l[2]);
  dataset_free(d);
  garam_set_allocator(NULL);
  assert_int_equal(memory.n_blocks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_found), cmocka_unit_test(test_held)};
  return cmocka_run_group_tests_name("shared bins", tests, NULL, NULL);
}
