/* Calibration maps: known distortions are undone, isotonic is the least squares that rises, the
 * choice is by later rows, a package gives the same bits, and hostile ones are refused. */
#include "learn/calibrator.h"

#include "base/rng.h"
#include "learn/metric.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 6000, K = 3 };
static float z[N * K], p[N * K];
static int32_t y[N];

static double sigmoid(double v) {
  return 1 / (1 + exp(-v));
}

/* Two classes; true log-odds v; the score that is given is `bend` of it. */
static void make(uint64_t seed, double (*bend)(double)) {
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  for (int i = 0; i < N; i++) {
    double v = 2 * rng_normal(&r);
    y[i] = rng_uniform(&r) < sigmoid(v);
    z[2 * i] = 0;
    z[2 * i + 1] = (float)bend(v);
  }
}

static double as_is(double v) {
  return v;
}
static double steep(double v) {
  return 4 * v;
}
static double shifted(double v) {
  return 2 * v + 1.5;
}
static double stepped(double v) {
  return v < -1 ? -0.1 : v < 1 ? 0.1 * v : 0.1;
}
/* Beta's inverse: p' with a ln p' - b ln(1 - p') + c = v for a = 0.5, b = 2, by bisection. */
static double bent(double v) {
  double low = -30, high = 30;
  for (int i = 0; i < 80; i++) {
    double m = (low + high) / 2, q = sigmoid(m);
    *(0.5 * log(q) - 2 * log1p(-q) + 0.3 > v ? &high : &low) = m;
  }
  return low;
}

static double loss_after(const calibrator *c) {
  memcpy(p, z, sizeof p);
  assert_true(calibrator_apply(c, p, N));
  for (int i = 0; i < N; i++) assert_true(fabsf(p[2 * i] + p[2 * i + 1] - 1) < 1e-5f);
  return metric_log_loss(p, y, NULL, N, 2);
}

static void test_undone(void **state) {
  (void)state;
  static const struct {
    int kind;
    double (*bend)(double);
    double slack;
  } cases[] = {
      {CALIBRATION_NONE, as_is, 1e-9},     {CALIBRATION_TEMPERATURE, steep, 0.002},
      {CALIBRATION_PLATT, shifted, 0.002}, {CALIBRATION_BETA, bent, 0.003},
      {CALIBRATION_BETA, shifted, 0.03},   {CALIBRATION_ISOTONIC, bent, 0.01},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    calibrator c, ideal;
    make(1, as_is);
    calibrator_init(&ideal, 2);
    make(2, as_is);
    double best = loss_after(&ideal);
    make(1, cases[i].bend);
    assert_int_equal(calibrator_fit(&c, cases[i].kind, z, y, NULL, NULL, N, 2, NULL), GARAM_OK);
    make(2, cases[i].bend);
    double loss = loss_after(&c);
    if (!(loss < best + cases[i].slack))
      fail_msg("%s: %g, ideal %g", calibration_names[cases[i].kind], loss, best);
    calibrator_deinit(&c);
  }
}

/* Pool adjacent violators against every function that rises: no local change makes it better. */
static void test_isotonic(void **state) {
  (void)state;
  enum { FEW = 12 };
  float score[2 * FEW] = {0};
  int32_t truth[FEW] = {0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1};
  calibrator c;
  for (int i = 0; i < FEW; i++) score[2 * i + 1] = (float)i * 0.2f - 1;
  assert_int_equal(calibrator_fit(&c, CALIBRATION_ISOTONIC, score, truth, NULL, NULL, FEW, 2, NULL),
                   0);
  float out[2 * FEW];
  memcpy(out, score, sizeof out);
  assert_true(calibrator_apply(&c, out, FEW));
  /* By hand: 0 | 1 0 0 -> 1/3 ... pooled: 0; 1/3 x3; 1 1 0 -> 2/3 x3; 1 1 0 -> 2/3 x3; 1 1. */
  static const float third[FEW] = {0,       1 / 3.f, 1 / 3.f, 1 / 3.f, 2 / 3.f, 2 / 3.f,
                                   2 / 3.f, 2 / 3.f, 2 / 3.f, 2 / 3.f, 1,       1};
  for (int i = 0; i < FEW; i++) {
    float least = 1.0f / (FEW + 2), want = third[i];
    want = want < least ? least : want > 1 - least ? 1 - least : want;
    assert_true(fabsf(out[2 * i + 1] - want) < 1e-6f);
  }
  calibrator_deinit(&c);
}

static void test_classes(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 4, RNG_TEST, 1);
  for (int i = 0; i < N; i++) {
    float q[K];
    for (int c = 0; c < K; c++) q[c] = (float)rng_normal(&r);
    double u = rng_uniform(&r), sum = 0, total = 0;
    for (int c = 0; c < K; c++) total += exp((double)q[c]);
    y[i] = K - 1;
    for (int c = K - 1; c >= 0; c--)
      if (u < 1 - (sum += exp((double)q[c]) / total) + 1e-12) y[i] = c > 0 ? c - 1 : 0;
    for (int c = 0; c < K; c++) z[i * K + c] = 3 * q[c] + (c == 1);
  }
  memcpy(p, z, sizeof p);
  calibrator none;
  calibrator_init(&none, K);
  assert_true(calibrator_apply(&none, p, N));
  double before = metric_log_loss(p, y, NULL, N, K);
  for (int kind = CALIBRATION_PLATT; kind <= CALIBRATION_ISOTONIC; kind++) {
    calibrator c;
    assert_int_equal(calibrator_fit(&c, kind, z, y, NULL, NULL, N, K, NULL), GARAM_OK);
    memcpy(p, z, sizeof p);
    assert_true(calibrator_apply(&c, p, N));
    double sum = 0, mean[K] = {0}, share[K] = {0};
    for (int i = 0; i < N; i++)
      for (int j = 0; j < K; j++) {
        sum += (double)p[i * K + j];
        mean[j] += (double)p[i * K + j] / N;
        share[j] += (y[i] == j) / (double)N;
      }
    assert_true(fabs(sum - N) < 1e-2);
    for (int j = 0; j < K; j++) assert_true(fabs(mean[j] - share[j]) < 0.02);
    assert_true(metric_log_loss(p, y, NULL, N, K) < before - 0.1);
    calibrator_deinit(&c);
  }
}

static void test_choice(void **state) {
  (void)state;
  static const struct {
    double (*bend)(double);
    int kind;
  } cases[] = {{steep, CALIBRATION_TEMPERATURE},
               {shifted, CALIBRATION_PLATT},
               {bent, CALIBRATION_BETA},
               {stepped, CALIBRATION_ISOTONIC}};
  static uint8_t part[N];
  for (int i = 0; i < N; i++) part[i] = i < 3600 ? 1 : i < 3620 ? 0 : 2;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    int kind;
    make(7, cases[i].bend);
    assert_int_equal(calibrator_choose(&kind, z, y, NULL, part, N, 2, NULL), GARAM_OK);
    if (cases[i].bend != stepped) assert_int_equal(kind, cases[i].kind);
    /* Rows that are in neither part have no say. */
    int again;
    for (int j = 3600; j < 3620; j++) y[j] = 1 - y[j], z[2 * j] = 50;
    assert_int_equal(calibrator_choose(&again, z, y, NULL, part, N, 2, NULL), GARAM_OK);
    assert_int_equal(kind, again);
  }
}

static void test_package(void **state) {
  (void)state;
  char path[] = "/tmp/calibrator_test_XXXXXX";
  close(mkstemp(path));
  garam_error err;
  make(9, bent);
  for (int kind = 0; kind < CALIBRATION_AUTO; kind++) {
    calibrator c, again;
    package_writer *w;
    package_reader *r;
    assert_int_equal(calibrator_fit(&c, kind, z, y, NULL, NULL, 500, 2, &err), GARAM_OK);
    for (int wrong = 0; wrong < 1 + (kind == CALIBRATION_ISOTONIC); wrong++) {
      if (wrong) c.y[2] = 0.999f, c.begin[1]--;
      assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
      assert_int_equal(calibrator_save(&c, w, "c.", &err), GARAM_OK);
      assert_int_equal(package_write(w, path, &err), GARAM_OK);
      package_writer_free(w);
      assert_int_equal(package_open(&r, path, &err), GARAM_OK);
      garam_status status = calibrator_load(&again, kind, c.temperature, 2, r, "c.", &err);
      assert_int_equal(status, wrong ? GARAM_CORRUPT : GARAM_OK);
      if (!wrong) {
        static float a[2 * N], b[2 * N];
        memcpy(a, z, sizeof a);
        memcpy(b, z, sizeof b);
        assert_true(calibrator_apply(&c, a, N) && calibrator_apply(&again, b, N));
        assert_memory_equal(a, b, sizeof a);
        calibrator_deinit(&again);
      }
      package_close(r);
    }
    calibrator_deinit(&c);
  }
  unlink(path);
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory = {.fail_after = SIZE_MAX};
  static uint8_t part[N];
  failing_allocator_use(&memory);
  make(3, shifted);
  for (int i = 0; i < 200; i++) part[i] = i < 100 ? 1 : 2;
  bool done = false;
  for (size_t n = 0; !done; n++) {
    int kind;
    failing_allocator_restart(&memory, n);
    garam_status status = calibrator_choose(&kind, z, y, NULL, part, 200, 2, NULL);
    done = status == GARAM_OK;
    assert_true(done || status == GARAM_NO_MEMORY);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_undone),  cmocka_unit_test(test_isotonic),
      cmocka_unit_test(test_classes), cmocka_unit_test(test_choice),
      cmocka_unit_test(test_package), cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests_name("calibrator", tests, NULL, NULL);
}
