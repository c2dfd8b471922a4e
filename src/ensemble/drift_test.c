/* Drift detectors: quiet where nothing changes, quick where something does, and the adaptive window
 * holds the recent mean. */
#include "ensemble/drift.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static drift_config defaults(int kind) {
  drift_config c;
  opt_defaults(drift_options, drift_n_options, &c);
  c.kind = kind;
  return c;
}

static void test_quiet(void **state) {
  (void)state;
  for (int kind = DRIFT_ADWIN; kind <= DRIFT_PAGE_HINKLEY; kind++) {
    double alarms = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
      drift d;
      drift_config c = defaults(kind);
      rng r;
      rng_init(&r, seed, RNG_TEST, 0);
      drift_init(&d, &c);
      uint64_t before = mem_count();
      for (int t = 0; t < 5000; t++) drift_update(&d, 3 + 0.5 * rng_normal(&r));
      assert_int_equal(mem_count(), before);
      alarms += d.alarms;
    }
    if (alarms > 2) fail_msg("%s: %g false alarms in 100,000", drift_kind_names[kind], alarms);
  }
}

static void test_change(void **state) {
  (void)state;
  for (int kind = DRIFT_ADWIN; kind <= DRIFT_PAGE_HINKLEY; kind++)
    for (uint64_t seed = 0; seed < 10; seed++) {
      drift d;
      drift_config c = defaults(kind);
      rng r;
      int found = -1;
      rng_init(&r, seed, RNG_TEST, 1);
      drift_init(&d, &c);
      for (int t = 0; t < 2000; t++) {
        bool alarm = drift_update(&d, (t < 1000 ? 0 : 0.8) + rng_normal(&r));
        assert_false(alarm && t < 1000);
        if (alarm && found < 0) found = t;
      }
      if (found < 0 || found > 1200)
        fail_msg("%s: a change at 1000 found at %d", drift_kind_names[kind], found);
      if (kind == DRIFT_ADWIN) {
        assert_true(drift_length(&d) < 1100 && drift_length(&d) > 700);
        assert_true(fabs(drift_mean(&d) - 0.8) < 0.15);
      }
    }
}

/* The window's count, sum and squares are those of the numbers that are in it. */
static void test_window(void **state) {
  (void)state;
  static double x[4000];
  drift d;
  drift_config c = defaults(DRIFT_ADWIN);
  rng r;
  rng_init(&r, 9, RNG_TEST, 2);
  drift_init(&d, &c);
  for (int t = 0; t < 4000; t++) {
    x[t] = 5 * (t / 1300) + rng_normal(&r);
    drift_update(&d, x[t]);
    drift_update(&d, NAN);
    if (t % 37) continue;
    int n = (int)drift_length(&d);
    double sum = 0, squares = 0;
    for (int i = t + 1 - n; i <= t; i++) sum += x[i];
    for (int i = t + 1 - n; i <= t; i++) squares += (x[i] - sum / n) * (x[i] - sum / n);
    assert_true(fabs(d.sum - sum) < 1e-6);
    assert_true(fabs(d.squares - squares) < 1e-4 * (1 + squares));
  }
  assert_int_equal((int)d.ticks, 4000);
  assert_true(d.alarms >= 3);
}

static void test_package(void **state) {
  (void)state;
  char path[] = "/tmp/drift_test_XXXXXX";
  close(mkstemp(path));
  garam_error err;
  for (int kind = DRIFT_NONE; kind <= DRIFT_PAGE_HINKLEY; kind++) {
    drift d, again;
    drift_config c = defaults(kind);
    package_writer *w;
    package_reader *r;
    rng g;
    rng_init(&g, 1, RNG_TEST, 3);
    drift_init(&d, &c);
    for (int t = 0; t < 500; t++) drift_update(&d, rng_normal(&g));
    for (int wrong = 0; wrong < 2; wrong++) {
      d.n += wrong * 6000;
      assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
      assert_int_equal(drift_save(&d, w, "x.", &err), GARAM_OK);
      assert_int_equal(package_write(w, path, &err), GARAM_OK);
      package_writer_free(w);
      assert_int_equal(package_open(&r, path, &err), GARAM_OK);
      garam_status status = drift_load(&again, &c, r, "x.", &err);
      assert_int_equal(status, wrong ? GARAM_CORRUPT : GARAM_OK);
      package_close(r);
      if (wrong) continue;
      for (int t = 0; t < 500; t++) {
        double v = (t > 200) + rng_normal(&g);
        drift copy = d;
        assert_int_equal(drift_update(&copy, v), drift_update(&again, v));
        drift_update(&d, v);
      }
      assert_true(d.sum == again.sum);
    }
  }
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_quiet), cmocka_unit_test(test_change),
                                     cmocka_unit_test(test_window), cmocka_unit_test(test_package)};
  return cmocka_run_group_tests_name("drift", tests, NULL, NULL);
}
