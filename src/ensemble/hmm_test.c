/* Regimes: what made the data is found again, each step of the fit is likelier, the filter does not
 * know what comes, and beats a guess at which regime it is. */
#include "ensemble/hmm.h"

#include "base/rng.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { T = 6000, DIMS = 2 };
static float x[T * DIMS];
static int truth[T];

static void make(uint64_t seed) {
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  int s = 0;
  for (int t = 0; t < T; t++) {
    if (rng_uniform(&r) < (s ? 0.05 : 0.02)) s = !s;
    truth[t] = s;
    x[t * DIMS] = (float)((s ? -0.5 : 0.2) + (s ? 2.0 : 0.7) * rng_normal(&r));
    x[t * DIMS + 1] = (float)((s ? 1.5 : 0) + rng_normal(&r) * (s ? 1 : 0.5));
  }
}

static void test_found_again(void **state) {
  (void)state;
  hmm h;
  garam_error err = {0};
  double trace[60];
  hmm_fit_config c = {.n_states = 2, .max_iterations = 60, .tolerance = 1e-7};
  for (uint64_t seed = 1; seed < 4; seed++) {
    make(seed);
    assert_int_equal(hmm_fit(&h, x, NULL, T, DIMS, &c, trace, &err), GARAM_OK);
    for (int i = 1; i < 60 && !isnan(trace[i]); i++)
      if (!(trace[i] >= trace[i - 1] - 1e-9))
        fail_msg("%d: %g after %g", i, trace[i], trace[i - 1]);
    assert_true(fabs(h.stay[0][1] - 0.02) < 0.01 && fabs(h.stay[1][0] - 0.05) < 0.02);
    assert_true(fabs(h.mean[1][1] - 1.5) < 0.1 && fabs(h.mean[0][0] - 0.2) < 0.1);
    assert_true(fabs(sqrt(h.variance[1][0]) - 2) < 0.15);
    double odds[2], log_p = 0;
    int right = 0;
    hmm_begin(&h, odds);
    for (int t = 0; t < T; t++) {
      log_p += hmm_step(&h, odds, x + t * DIMS, t == 0);
      right += (odds[1] > 0.5) == truth[t];
      assert_true(fabs(odds[0] + odds[1] - 1) < 1e-9);
    }
    assert_true(fabs(log_p - h.log_likelihood) < 1e-3 * T);
    assert_true(right > 0.93 * T);
  }
}

/* The same rows, with another future: the same odds. And two sequences are not one. */
static void test_causal(void **state) {
  (void)state;
  hmm h, cut, two;
  garam_error err = {0};
  hmm_fit_config c = {.n_states = 3, .max_iterations = 30, .tolerance = 1e-6};
  uint8_t begins[T] = {0};
  make(5);
  assert_int_equal(hmm_fit(&h, x, NULL, 3000, DIMS, &c, NULL, &err), GARAM_OK);
  for (int i = 3000 * DIMS; i < T * DIMS; i++) x[i] = 1e6f;
  assert_int_equal(hmm_fit(&cut, x, NULL, 3000, DIMS, &c, NULL, &err), GARAM_OK);
  assert_memory_equal(&h, &cut, sizeof h);
  begins[1500] = 1;
  assert_int_equal(hmm_fit(&two, x, begins, 3000, DIMS, &c, NULL, &err), GARAM_OK);
  assert_true(two.log_likelihood != h.log_likelihood);
  for (int s = 1; s < 3; s++)
    assert_true(h.variance[s][0] + h.variance[s][1] >= h.variance[s - 1][0] + h.variance[s - 1][1]);
  assert_int_equal(hmm_fit(&h, x, NULL, 5, DIMS, &c, NULL, &err), GARAM_INVALID);
}

static void test_package(void **state) {
  (void)state;
  char path[] = "/tmp/hmm_test_XXXXXX";
  close(mkstemp(path));
  hmm h, again;
  garam_error err = {0};
  package_writer *w;
  package_reader *r;
  hmm_fit_config c = {.n_states = 2, .max_iterations = 10, .tolerance = 1e-6};
  make(6);
  assert_int_equal(hmm_fit(&h, x, NULL, 800, DIMS, &c, NULL, &err), GARAM_OK);
  for (int wrong = 0; wrong < 3; wrong++) {
    if (wrong == 1) h.stay[0][0] += 0.5;
    if (wrong == 2) h.stay[0][0] -= 0.5, h.variance[1][0] = 0;
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(hmm_save(&h, w, "r.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    assert_int_equal(hmm_load(&again, 2, DIMS, r, "r.", &err), wrong ? GARAM_CORRUPT : GARAM_OK);
    if (!wrong) assert_memory_equal(&h, &again, offsetof(hmm, log_likelihood));
    package_close(r);
  }
  unlink(path);
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory = {.fail_after = SIZE_MAX};
  failing_allocator_use(&memory);
  hmm h;
  hmm_fit_config c = {.n_states = 2, .max_iterations = 3};
  bool done = false;
  make(7);
  for (size_t n = 0; !done; n++) {
    failing_allocator_restart(&memory, n);
    garam_status status = hmm_fit(&h, x, NULL, 100, DIMS, &c, NULL, NULL);
    done = status == GARAM_OK;
    assert_true(done || status == GARAM_NO_MEMORY);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_found_again),
                                     cmocka_unit_test(test_causal), cmocka_unit_test(test_package),
                                     cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests_name("hmm", tests, NULL, NULL);
}
