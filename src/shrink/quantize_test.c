/* What comes back from codes is near what went in, by bounds that follow from the format; zeros,
 * odd sizes, outliers and numbers at the ends of a float's range included. */
#include "shrink/quantize.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct coded_copy {
  coded_matrix m;
  void *codes;
  float *scale, *back;
} coded_copy;

static coded_copy code(coding to, int64_t inputs, int64_t outputs, size_t group, const float *w) {
  coded_copy c = {0};
  garam_error err = {0};
  assert_true(coded_matrix_init(&c.m, to, 2, (int64_t[]){inputs, outputs}, group));
  c.codes = malloc(coded_bytes(&c.m));
  c.scale = malloc(coded_n_scales(&c.m) * sizeof *c.scale + 1);
  c.back = malloc((size_t)(inputs * outputs) * sizeof *c.back);
  assert_int_equal(quantize(c.codes, c.scale, &c.m, w, &err), GARAM_OK);
  coded_decode(c.back, &c.m, c.codes, c.scale);
  return c;
}

static void drop(coded_copy *c) {
  free(c->codes);
  free(c->scale);
  free(c->back);
}

static void fill_normal(float *w, size_t n, uint64_t seed) {
  rng r;
  rng_init(&r, seed, 0, 0);
  for (size_t i = 0; i < n; i++) w[i] = (float)rng_normal(&r);
}

/* Normal weights, so that there are tails. One input alone is a level of its own. */
static void test_bounds(void **state) {
  (void)state;
  static const struct {
    coding to;
    int64_t inputs, outputs;
    size_t group;
    double most; /* relative error */
  } rows[] = {
      {CODING_BF16, 64, 64, 0, 0.0025}, {CODING_BF16, 1, 1, 0, 0.004},
      {CODING_INT8, 64, 64, 0, 0.008},  {CODING_INT8, 512, 33, 0, 0.010},
      {CODING_INT8, 1, 7, 0, 1e-6},     {CODING_INT8, 7, 1, 0, 0.01},
      {CODING_INT4, 64, 64, 32, 0.10},  {CODING_INT4, 512, 33, 32, 0.10},
      {CODING_INT4, 65, 3, 32, 0.11},   {CODING_INT4, 1, 5, 32, 1e-6},
      {CODING_INT4, 31, 2, 8, 0.09},    {CODING_INT4, 33, 9, 11, 0.09},
      {CODING_INT4, 257, 8, 64, 0.11},  {CODING_INT4, 257, 8, 4096, 0.14},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const size_t n = (size_t)(rows[i].inputs * rows[i].outputs);
    float *w = malloc(n * sizeof *w);
    double error;
    garam_error err = {0};
    fill_normal(w, n, 7 + i);
    coded_copy c = code(rows[i].to, rows[i].inputs, rows[i].outputs, rows[i].group, w);
    assert_int_equal(quantize_error(&error, &c.m, c.codes, c.scale, w, &err), GARAM_OK);
    if (!(error <= rows[i].most)) fail_msg("row %zu: %g, at most %g", i, error, rows[i].most);
    const size_t bytes = coded_bytes(&c.m) + 4 * coded_n_scales(&c.m);
    if (rows[i].inputs >= 16) assert_true(bytes * (rows[i].to == CODING_BF16 ? 2 : 3) <= 4 * n);
    drop(&c);
    free(w);
  }
}

/* One outlier in a column costs its own column alone; with groups, its own group alone. */
static void test_outliers(void **state) {
  (void)state;
  enum { IN = 64, OUT = 4 };
  float w[IN * OUT];
  fill_normal(w, IN * OUT, 3);
  w[5 * OUT + 2] = 1000;
  for (int to = CODING_INT8; to <= CODING_INT4; to++) {
    coded_copy c = code((coding)to, IN, OUT, 32, w);
    for (size_t i = 0; i < IN; i++)
      for (size_t j = 0; j < OUT; j++) {
        const bool beside = j == 2 && (to == CODING_INT8 || i < 32);
        const double d = fabs((double)c.back[i * OUT + j] - (double)w[i * OUT + j]);
        if (!beside && d > (to == CODING_INT8 ? 0.02 : 0.5))
          fail_msg("%s: (%zu, %zu): off by %g", coding_names[to], i, j, d);
      }
    drop(&c);
  }
}

/* Clipping pays with four bits: no worse than the widest scale, and better on the whole. */
static void test_scales_are_searched(void **state) {
  (void)state;
  enum { IN = 256, OUT = 16, GROUP = 64 };
  float w[IN * OUT];
  double searched = 0, widest = 0;
  fill_normal(w, IN * OUT, 11);
  coded_copy c = code(CODING_INT4, IN, OUT, GROUP, w);
  for (size_t j = 0; j < OUT; j++)
    for (size_t g = 0; g < IN; g += GROUP) {
      double a = 0, b = 0;
      float largest = 0;
      for (size_t i = g; i < g + GROUP; i++) largest = fmaxf(largest, fabsf(w[i * OUT + j]));
      for (size_t i = g; i < g + GROUP; i++) {
        const float x = w[i * OUT + j], s = largest / 7;
        a += pow((double)(c.back[i * OUT + j] - x), 2);
        b += pow((double)(nearbyintf(x / s) * s - x), 2);
      }
      assert_true(a <= b * (1 + 1e-6));
      searched += a;
      widest += b;
    }
  /* 0.698; 0.747 with no clip but the widest, 1 without the least squares and the longer side. */
  assert_true(searched < 0.72 * widest);
  drop(&c);
}

static void test_edges(void **state) {
  (void)state;
  static const float values[] = {
      0, -0.0f, FLT_MIN, FLT_TRUE_MIN, -FLT_TRUE_MIN, 1e-38f, CODED_MAX_SCALE, -CODED_MAX_SCALE,
      1, -1,    1e30f,   -1e-30f};
  for (int to = CODING_BF16; to <= CODING_INT4; to++)
    for (size_t v = 0; v < COUNT_OF(values); v++) {
      float w[17 * 3];
      for (size_t i = 0; i < COUNT_OF(w); i++) w[i] = values[v];
      coded_copy c = code((coding)to, 17, 3, 8, w);
      for (size_t i = 0; i < COUNT_OF(w); i++) {
        const double d = fabs((double)c.back[i] - (double)values[v]);
        /* One value fills its column: there is a level for it. The smallest of floats may become
         * nothing. */
        if (!isfinite(c.back[i]) || !(d <= fabs((double)values[v]) / 256 + 2e-38))
          fail_msg("%s: %g comes back as %g", coding_names[to], (double)values[v],
                   (double)c.back[i]);
      }
      for (size_t k = 0; k < coded_n_scales(&c.m); k++)
        assert_true(fabsf(c.scale[k]) <= CODED_MAX_SCALE); /* the reader would refuse it */
      drop(&c);
    }
}

static void test_out_of_reach(void **state) {
  (void)state;
  static const float values[] = {FLT_MAX, -1e37f, INFINITY, NAN};
  for (size_t v = 0; v < COUNT_OF(values); v++) {
    coded_matrix m;
    uint8_t codes[4];
    float w[4] = {1, 2, values[v], 3}, scale[4];
    garam_error err = {0};
    assert_true(coded_matrix_init(&m, CODING_INT8, 2, (int64_t[]){2, 2}, 0));
    assert_int_equal(quantize(codes, scale, &m, w, &err), GARAM_NUMERIC);
    assert_non_null(strstr(err.message, "weight 2"));
  }
}

/* bf16 is to the nearest, ties to even. */
static void test_bf16(void **state) {
  (void)state;
  static const struct {
    uint32_t bits;
    uint16_t half;
  } rows[] = {
      {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82},
      {0x3f817fff, 0x3f81}, {0xbf818000, 0xbf82}, {0x7f7fffff, 0x7f7f}, {0xff7fffff, 0xff7f},
      {0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x3fffffff, 0x4000}, {0x00000001, 0x0000},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    float w;
    memcpy(&w, &rows[i].bits, sizeof w);
    coded_copy c = code(CODING_BF16, 1, 1, 0, &w);
    if (*(uint16_t *)c.codes != rows[i].half)
      fail_msg("%08x: %04x, not %04x", rows[i].bits, *(uint16_t *)c.codes, rows[i].half);
    drop(&c);
  }
}

static void test_threads(void **state) {
  (void)state;
  enum { IN = 200, OUT = 100 };
  float *w = malloc(IN * OUT * sizeof *w);
  fill_normal(w, IN * OUT, 5);
  for (int to = CODING_INT8; to <= CODING_INT4; to++) {
    thread_set_count(1);
    coded_copy one = code((coding)to, IN, OUT, 32, w);
    thread_set_count(4);
    coded_copy four = code((coding)to, IN, OUT, 32, w);
    thread_set_count(0);
    assert_memory_equal(one.codes, four.codes, coded_bytes(&one.m));
    assert_memory_equal(one.scale, four.scale, coded_n_scales(&one.m) * sizeof(float));
    drop(&one);
    drop(&four);
  }
  free(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_outliers),
      cmocka_unit_test(test_scales_are_searched),
      cmocka_unit_test(test_edges),
      cmocka_unit_test(test_out_of_reach),
      cmocka_unit_test(test_bf16),
      cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests_name("quantize", tests, NULL, NULL);
}
