/* Online aggregation: regret within the published bounds on every stream, the rules against plain
 * arithmetic, sleepers, a package that gives the same bits back and one that lies. */
#include "ensemble/online_bound.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void near(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance)) fail_msg("%.15g, expected %.15g", a, b);
}

static void test_bounds(void **state) {
  (void)state;
  online_result r[ONLINE_STUDY_MOST];
  size_t n;
  garam_error err = {0};
  static const int experts[] = {2, 10, 40};
  for (size_t e = 0; e < COUNT_OF(experts); e++)
    for (uint64_t seed = 1; seed < 4; seed++) {
      online_study_config c = {.experts = experts[e], .ticks = 3000, .switches = 5};
      assert_int_equal(online_study(r, &n, &c, seed, &err), GARAM_OK);
      assert_int_equal(n, 4 * 5);
      for (size_t i = 0; i < n; i++) {
        if (!(r[i].regret <= r[i].bound))
          fail_msg("%s on %s: regret %g, bound %g", r[i].rule, r[i].stream, r[i].regret,
                   r[i].bound);
        if (!isnan(r[i].combination_bound) && !(r[i].combination_regret <= r[i].combination_bound))
          fail_msg("%s on %s: regret of combinations %g, bound %g", r[i].rule, r[i].stream,
                   r[i].combination_regret, r[i].combination_bound);
        assert_true(r[i].best_combination <= r[i].best_expert + 1e-9);
        assert_true(r[i].best_sequence <= r[i].best_expert + 1e-9);
        assert_true(r[i].bound < 3000); /* says something */
      }
    }
}

/* What each rule is for, seen: the bound could hold for a rule that does nothing of use. */
static void test_what_for(void **state) {
  (void)state;
  online_result r[ONLINE_STUDY_MOST];
  size_t n;
  garam_error err = {0};
  online_study_config c = {.experts = 10, .ticks = 8000, .switches = 7};
  assert_int_equal(online_study(r, &n, &c, 1, &err), GARAM_OK);
  for (size_t i = 0; i < n; i++) {
    bool share = strcmp(r[i].rule, "fixed-share") == 0;
    bool convex = strcmp(r[i].rule, "mlpol") == 0 || strcmp(r[i].rule, "boa") == 0;
    if (strcmp(r[i].stream, "switching") == 0 && share)
      assert_true(r[i].loss < 0.8 * r[i].best_expert); /* follows the best one of each time */
    if (strcmp(r[i].stream, "combination") == 0 && convex)
      assert_true(r[i].loss < 0.2 * r[i].best_expert && r[i].loss < 0.5 * r[i].uniform);
    if (strcmp(r[i].stream, "stationary") == 0) assert_true(r[i].loss < r[i].best_expert * 1.12);
  }
}

/* The formulas of opera, in the plainest arithmetic there is. */
static void test_against_plain(void **state) {
  (void)state;
  enum { N = 4, T = 300 };
  static const int rules[] = {3, 4, 2};
  for (size_t which = 0; which < COUNT_OF(rules); which++)
    for (int gradient = 0; gradient < 2; gradient++) {
      online o;
      online_config c = {.rule = rules[which], .gradient = gradient, .rate = 0.7, .share = 0.05};
      rng r;
      double R[N] = {0}, Q[N] = {0}, S[N] = {0}, w[N], B = 0, scratch[2 * N];
      rng_init(&r, 7, RNG_TEST, which);
      assert_int_equal(online_new(&o, N, &c, NULL), GARAM_OK);
      for (int i = 0; i < N; i++) w[i] = 0.25;
      for (int t = 0; t < T; t++) {
        float x[N];
        double y = rng_normal(&r), m = 0, total = 0, instant[N];
        for (int i = 0; i < N; i++) {
          x[i] = (float)(y * 0.3 * i + rng_normal(&r));
          m += w[i] * (double)x[i];
          near(o.weight[i], w[i], 1e-6);
        }
        m = (double)(float)m;
        online_update(&o, x, 1, 0, y, NULL, scratch);
        for (int i = 0; i < N; i++) {
          double xi = (double)x[i];
          instant[i] = gradient ? 2 * (m - y) * (m - xi) : (m - y) * (m - y) - (xi - y) * (xi - y);
          R[i] += instant[i];
          Q[i] += instant[i] * instant[i];
          B = fmax(B, instant[i] * instant[i]);
          near(o.regret[i], R[i], 1e-5 * (1 + fabs(R[i])));
        }
        for (int i = 0; i < N; i++) {
          double eta = 1 / sqrt(2.2 * Q[i]);
          if (c.rule == 3) w[i] = fmax(R[i], 0) / (B + Q[i]);
          if (c.rule == 4) S[i] += instant[i] - eta * instant[i] * instant[i];
          if (c.rule == 4) w[i] = eta * exp(eta * S[i]);
          if (c.rule == 2) w[i] *= exp(0.7 * instant[i]);
          total += w[i];
        }
        for (int i = 0; i < N; i++) {
          w[i] = total > 0 ? w[i] / total : 0.25;
          if (c.rule == 2) w[i] = 0.95 * w[i] + 0.05 / N;
        }
      }
      online_deinit(&o);
    }
}

/* Odds: the Bayesian mixture is never more than ln n behind, and a class that one expert rules out
 * breaks nothing. */
static void test_log_loss(void **state) {
  (void)state;
  enum { N = 5, T = 2000, K = 3 };
  online o;
  rng r;
  online_config c = {.rule = 0, .loss = ONLINE_LOG};
  double mine = 0, of[N] = {0}, scratch[2 * N];
  rng_init(&r, 3, RNG_TEST, 0);
  assert_int_equal(online_new(&o, N, &c, NULL), GARAM_OK);
  for (int t = 0; t < T; t++) {
    float x[N * K];
    int32_t y = (int32_t)rng_below(&r, 10) < 6 ? 0 : (int32_t)rng_below(&r, K);
    for (int i = 0; i < N; i++) {
      float p = 0.2f + 0.15f * (float)i;
      x[i * K] = p, x[i * K + 1] = (1 - p) / 2, x[i * K + 2] = 1 - p - (1 - p) / 2;
      of[i] -= log((double)x[i * K + y]);
    }
    mine += online_update(&o, x, K, y, 0, NULL, scratch);
  }
  double best = INFINITY;
  for (int i = 0; i < N; i++) best = fmin(best, of[i]);
  assert_true(mine - best <= online_bound(&o, 0) + 1e-3);
  float x[N * K] = {0};
  for (int i = 0; i < N; i++) x[i * K + 1] = 1;
  assert_true(isfinite(online_update(&o, x, K, 2, 0, NULL, scratch)));
  for (int i = 0; i < N; i++) assert_true(isfinite(o.weight[i]));
  online_deinit(&o);
}

/* Asleep: no regret, no say. An expert that is right when awake and asleep otherwise is found. */
static void test_sleepers(void **state) {
  (void)state;
  enum { N = 3, T = 600 };
  for (int rule = 0; online_rule_names[rule]; rule++) {
    online o;
    online_config c = {.rule = rule, .gradient = rule > 2, .range = 4, .rate = rule == 2 ? 1 : 0};
    double scratch[2 * N], p[N], late = 0;
    rng r;
    rng_init(&r, 5, RNG_TEST, 1);
    assert_int_equal(online_new(&o, N, &c, NULL), GARAM_OK);
    for (int t = 0; t < T; t++) {
      bool sleeps = rng_below(&r, 2);
      double y = rng_uniform(&r);
      float x[N] = {(float)y, 0.2f, sleeps ? NAN : (float)(1 - y)};
      uint8_t awake[N] = {!sleeps, 1, !sleeps};
      online_weights(p, &o, awake);
      assert_true(!sleeps || (p[0] == 0 && p[2] == 0 && p[1] == 1));
      if (!sleeps && t > T / 2) late += p[0];
      double before = o.regret[0];
      online_update(&o, x, 1, 0, y, awake, scratch);
      if (sleeps) assert_true(o.regret[0] == before && o.regret[2] <= T);
    }
    if (o.rule != &online_uniform) assert_true(late > 0.6 * T / 4);
    uint8_t none[N] = {0};
    float x[N] = {0};
    uint64_t ticks = o.ticks;
    assert_true(isnan(online_update(&o, x, 1, 0, 1, none, scratch)));
    assert_int_equal(o.ticks, ticks);
    online_weights(p, &o, none);
    near(p[0] + p[1] + p[2], 1, 1e-12);
    online_deinit(&o);
  }
}

static void walk(online *o, uint64_t seed, int ticks) {
  double scratch[8];
  rng r;
  rng_init(&r, seed, RNG_TEST, 2);
  for (int t = 0; t < ticks; t++) {
    float x[4];
    double y = rng_normal(&r);
    for (int i = 0; i < 4; i++) x[i] = (float)(y + (i + 1) * rng_normal(&r));
    online_update(o, x, 1, 0, y, NULL, scratch);
  }
}

static void test_package(void **state) {
  (void)state;
  char path[] = "/tmp/online_test_XXXXXX";
  int fd = mkstemp(path);
  close(fd);
  garam_error err = {0};
  for (int rule = 0; online_rule_names[rule]; rule++) {
    online_config c = {.rule = rule, .gradient = true, .share = 0.01};
    online o, again, whole;
    package_writer *w;
    package_reader *r;
    assert_int_equal(online_new(&o, 4, &c, &err), GARAM_OK);
    assert_int_equal(online_new(&whole, 4, &c, &err), GARAM_OK);
    walk(&o, 1, 50);
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(online_save(&o, w, "a.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    assert_int_equal(online_load(&again, 4, &c, r, "a.", &err), GARAM_OK);
    assert_int_equal(again.ticks, o.ticks);
    online_copy(&whole, &o);
    walk(&again, 2, 50);
    walk(&whole, 2, 50);
    assert_memory_equal(again.weight, whole.weight, 4 * sizeof(double));
    online lost;
    assert_int_not_equal(online_load(&lost, 5, &c, r, "a.", &err), GARAM_OK);
    package_close(r);
    o.weight[1] += 0.5; /* a state that no rule leaves */
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(online_save(&o, w, "a.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    assert_int_equal(online_load(&lost, 4, &c, r, "a.", &err), GARAM_CORRUPT);
    package_close(r);
    online_reset(&again);
    near(again.weight[0], 0.25, 0);
    assert_int_equal(again.ticks, 0);
    online_deinit(&o);
    online_deinit(&again);
    online_deinit(&whole);
  }
  unlink(path);
}

static void test_no_malloc(void **state) {
  (void)state;
  for (int rule = 0; online_rule_names[rule]; rule++) {
    online_config c = {.rule = rule, .gradient = true, .share = 0.01};
    online o;
    assert_int_equal(online_new(&o, 4, &c, NULL), GARAM_OK);
    uint64_t before = mem_count();
    walk(&o, 1, 100);
    assert_int_equal(mem_count(), before);
    online_deinit(&o);
  }
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory = {.fail_after = SIZE_MAX};
  failing_allocator_use(&memory);
  online_result r[ONLINE_STUDY_MOST];
  online_study_config c = {.experts = 3, .ticks = 40, .switches = 2};
  size_t n, n_failed = 0;
  bool done = false;
  for (size_t i = 0; !done && i < 100; i++) {
    garam_error err = {0};
    failing_allocator_restart(&memory, i);
    garam_status status = online_study(r, &n, &c, 1, &err);
    failing_allocator_restart(&memory, SIZE_MAX);
    done = status == GARAM_OK;
    n_failed += !done;
    assert_true(done || status == GARAM_NO_MEMORY);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
  assert_true(done && n_failed > 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bounds),        cmocka_unit_test(test_what_for),
      cmocka_unit_test(test_against_plain), cmocka_unit_test(test_log_loss),
      cmocka_unit_test(test_sleepers),      cmocka_unit_test(test_package),
      cmocka_unit_test(test_no_malloc),     cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("online", tests, NULL, NULL);
}
