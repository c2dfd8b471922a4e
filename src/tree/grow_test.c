/* What a tree grows from, against plain reckoning: edges and codes, packed sums, partitions, the
 * best split by trying every one, rounding without bias, the float functions. */
#include "tree/grow.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "tree/fast_math.h"
#include "tree/partition.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 3000, F = 21 };

static uint32_t all_rows[N];

static dataset *make(uint64_t seed) {
  dataset *d;
  rng r;
  assert_int_equal(dataset_new(&d, TASK_REGRESSION, N, F, 0, NULL), GARAM_OK);
  rng_init(&r, seed, RNG_TEST, 0);
  for (size_t i = 0; i < N; i++) {
    all_rows[i] = (uint32_t)i;
    for (size_t j = 0; j < F; j++) {
      double z = rng_normal(&r);
      d->x[i * F + j] = j % 3 == 0 ? (float)z : j % 3 == 1 ? (float)floor(2 * z) : (float)exp(z);
      if (j % 5 == 4 && rng_uniform(&r) < 0.2) d->x[i * F + j] = NAN;
    }
  }
  return d;
}

static bins *cut(const dataset *d, int max_bins) {
  bins *b;
  bins_config c = bins_config_default();
  c.max_bins = max_bins;
  assert_int_equal(bins_new(&b, d, (row_set){all_rows, N}, &c, NULL), GARAM_OK);
  return b;
}

/* A code goes left exactly where the number is at most the threshold: bins and trees agree. */
static void test_codes(void **state) {
  (void)state;
  dataset *d = make(1);
  for (int most = 2; most <= 255; most = most * 3 + 1 > 255 && most < 255 ? 255 : most * 3 + 1) {
    bins *b = cut(d, most);
    for (size_t j = 0; j < F; j++) {
      const bin_feature *f = &b->features[j];
      assert_true(f->n_bins >= 1 && f->n_bins <= most);
      for (int k = 1; k + 1 < f->n_bins; k++) assert_true(f->edge[k - 1] < f->edge[k]);
      for (size_t i = 0; i < N; i++) {
        float x = d->x[i * F + j];
        uint8_t code = b->columns[j * b->stride + i];
        size_t block = j / BINS_BLOCK, width = bins_block_width(b, block);
        assert_int_equal(code, bins_block(b, block)[i * width + j % BINS_BLOCK]);
        assert_int_equal(code, bins_code(f, x));
        if (isnan(x)) assert_int_equal(code, BINS_MISSING);
        for (int k = 0; !isnan(x) && k < f->n_bins; k += 1 + most / 16)
          assert_true((code <= k) == (x <= bins_threshold(f, k)));
      }
    }
    bins_free(b);
  }
  dataset_free(d);
}

static void test_edges(void **state) {
  (void)state;
  float edge[BINS_CODES];
  const float few[] = {1, 2, 3, 4};
  const uint32_t counts[] = {5, 1, 1, 5};
  assert_int_equal(bins_edges(edge, few, counts, 4, 255, 3), 2); /* 1 | 2 3 4: too few are joined */
  assert_true(edge[0] == 1.5f && isinf(edge[1]));
  /* A bin ends with a value that half of the rows have, and holds few others. */
  float many[1000];
  uint32_t one[1000];
  for (int i = 0; i < 1000; i++) many[i] = (float)i, one[i] = i == 500 ? 1000 : 1;
  int n = bins_edges(edge, many, one, 1000, 16, 3);
  bool alone = false;
  for (int k = 1; k < n; k++) alone |= edge[k - 1] > 460 && edge[k] == 500.5f;
  assert_true(alone && n <= 16 && n > 8);
  /* Neighbours in float32: the edge is the lower one. */
  const float close[] = {1, nextafterf(1, 2)};
  const uint32_t enough[] = {9, 9};
  assert_int_equal(bins_edges(edge, close, enough, 2, 255, 3), 2);
  assert_true(edge[0] == 1);
}

static void test_histograms(void **state) {
  (void)state;
  dataset *d = make(2);
  bins *b = cut(d, 255);
  float *gh = calloc(2 * N, sizeof *gh);
  int32_t *q = calloc(N, sizeof *q);
  uint16_t *dither = calloc(N, sizeof *dither);
  size_t words = histogram_words(b);
  packed *h = calloc(words, sizeof *h), *scratch = calloc(8 * words, sizeof *scratch);
  rng r;
  rng_init(&r, 3, RNG_TEST, 0);
  double exact = 0, kept = 0;
  for (size_t i = 0; i < N; i++) {
    gh[2 * i] = (float)(rng_normal(&r) * 1e-3);
    gh[2 * i + 1] = (float)rng_uniform(&r);
    dither[i] = (uint16_t)rng_u32(&r);
  }
  quantum u = histogram_quantise(q, gh, dither, 5, (row_set){all_rows, N});
  for (size_t i = 0; i < N; i++) {
    packed p = packed_of_row(q[i]);
    assert_true(fabs(packed_gradient(p) * u.gradient - (double)gh[2 * i]) <= u.gradient);
    assert_true(fabs(packed_hessian(p) * u.hessian - (double)gh[2 * i + 1]) <= u.hessian);
    exact += (double)gh[2 * i];
    kept += packed_gradient(p) * u.gradient;
  }
  assert_true(fabs(exact - kept) < 4 * u.gradient * sqrt((double)N)); /* no bias */
  for (int threads = 1; threads <= 3; threads += 2) {
    thread_set_count(threads);
    memset(h, 0x55, words * sizeof *h);
    row_set half = {all_rows, N / 2 + 7};
    histogram_build(h, b, half, q, scratch, NULL);
    for (size_t j = 0; j < F; j++) {
      packed plain[BINS_CODES] = {0};
      for (size_t i = 0; i < half.n; i++)
        plain[b->columns[j * b->stride + i]] += packed_of_row(q[i]);
      assert_memory_equal(plain, h + j * BINS_CODES, sizeof plain);
    }
  }
  thread_set_count(1);
  free(gh);
  free(q);
  free(dither);
  free(h);
  free(scratch);
  bins_free(b);
  dataset_free(d);
}

static void test_partitions(void **state) {
  (void)state;
  dataset *d = make(3);
  bins *b = cut(d, 200);
  static uint32_t rows[N], other[N + PARTITION_SPARE], expected[N];
  rng r;
  rng_init(&r, 9, RNG_TEST, 0);
  for (size_t n = 0; n <= N; n += n < 40 ? 1 : 987) {
    uint32_t codes[BINS_CODES / 32];
    for (int k = 0; k < BINS_CODES / 32; k++) codes[k] = rng_u32(&r);
    size_t left = 0, at = 0;
    for (int way = 1; way >= 0; way--)
      for (size_t i = 0; i < n; i++) {
        uint8_t c = b->columns[4 * b->stride + i];
        if ((int)(codes[c >> 5] >> (c & 31) & 1) == way) expected[at++] = (uint32_t)i, left += way;
      }
    memcpy(rows, all_rows, n * sizeof *rows);
    assert_int_equal(partition_rows(rows, n, b, 4, codes, other), left);
    assert_memory_equal(rows, expected, n * sizeof *rows);
  }
  bins_free(b);
  dataset_free(d);
}

/* Every cut by number tried in float64, with missing values on either side. */
static void test_splits(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 21, RNG_TEST, 0);
  split_rules rules = grow_config_default().rules;
  rules.min_rows = 5;
  for (int round = 0; round < 300; round++) {
    packed h[BINS_CODES] = {0};
    float edge[BINS_CODES];
    bin_feature f = {.n_bins = 2 + (int)rng_below(&r, 254), .edge = edge};
    size_t n_rows = 0;
    packed total = 0;
    for (int k = 0; k < BINS_CODES; k++) {
      if (k >= f.n_bins && k != BINS_MISSING) continue;
      if (k == BINS_MISSING && round % 2) continue;
      size_t n = rng_below(&r, 5);
      for (size_t i = 0; i < n; i++)
        h[k] +=
            (packed)(int32_t)(300 * rng_normal(&r) + (k < 60 ? 100 : 0)) * (INT64_C(1) << 32) + 1;
      n_rows += n;
      total += h[k];
    }
    rules.l2 = round % 3;
    rules.l1 = round % 5 == 0 ? 0.3 : 0;
    split_leaf leaf = {.total = total,
                       .n_rows = n_rows,
                       .unit = {1e-3, 1, true},
                       .lower = -INFINITY,
                       .upper = INFINITY};
    double best = 0;
    for (int way = 0; way < 2; way++)
      for (int k = 0; k < f.n_bins; k++) {
        double g[2] = {0}, c[2] = {0}, worth = 0;
        for (int i = 0; i < BINS_CODES; i++) {
          int side = i == BINS_MISSING ? way : i > k;
          g[side] += 1e-3 * packed_gradient(h[i]);
          c[side] += packed_hessian(h[i]);
        }
        if (c[0] < 5 || c[1] < 5) continue;
        for (int side = 0; side < 2; side++) {
          double a = fmax(fabs(g[side]) - rules.l1, 0);
          worth += a * a / (c[side] + rules.l2);
        }
        double a = fmax(fabs(g[0] + g[1]) - rules.l1, 0);
        best = fmax(best, worth - a * a / (c[0] + c[1] + rules.l2));
      }
    split s = {0};
    split_search(&s, h, &f, 0, &leaf, &rules, -1);
    if (fabs(s.gain - best) > 1e-9 * (1 + best))
      fail_msg("round %d: gain %.12g, by trying all %.12g", round, s.gain, best);
    packed left = 0;
    for (int k = 0; k < BINS_CODES; k++)
      if (split_goes_left(&s, (uint8_t)k)) left += h[k];
    if (s.gain > 0) assert_true(left == s.left);
  }
}

static void test_functions(void **state) {
  (void)state;
  for (double x = -87; x < 88; x += 0.0137)
    assert_true(fabs((double)fast_exp((float)x) / exp((double)(float)x) - 1) < 4e-7);
  for (double t = 0; t <= 1; t += 0.0007)
    assert_true(fabs((double)fast_log1p((float)t) - log1p((double)(float)t)) < 2e-7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_codes),      cmocka_unit_test(test_edges),
      cmocka_unit_test(test_histograms), cmocka_unit_test(test_partitions),
      cmocka_unit_test(test_splits),     cmocka_unit_test(test_functions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
