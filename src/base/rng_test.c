#include "base/rng.h"

#include "base/status.h"

#include <math.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

/* Known answers of Philox 4x32-10 from the kat_vectors of Random123 (Salmon et al., SC 2011).
 * The counter's words are (index, stream, low and high half of step), the key's the halves of
 * the seed. */
static void known_answers(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], expected[4];
  } cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    uint32_t out[4];
    const uint32_t *c = cases[i].counter, *k = cases[i].key;
    rng_philox(out, (uint64_t)k[1] << 32 | k[0], c[1], (uint64_t)c[3] << 32 | c[2], c[0]);
    assert_memory_equal(out, cases[i].expected, sizeof out);
  }
}

/* The cursor hands out the blocks in order, and any word can be had without drawing. */
static void cursor_is_the_counter(void **state) {
  (void)state;
  rng r;
  uint32_t block[4];
  rng_init(&r, 42, RNG_SHUFFLE, 9);
  for (uint32_t i = 0; i < 1000; i++) {
    if (i % 4 == 0) rng_philox(block, 42, RNG_SHUFFLE, 9, i / 4);
    assert_int_equal(rng_u32(&r), block[i % 4]);
  }
  rng a, b;
  rng_init(&a, 42, RNG_SHUFFLE, 9);
  b = a;
  uint32_t high = rng_u32(&a), low = rng_u32(&a);
  assert_true(rng_u64(&b) == ((uint64_t)high << 32 | low));
}

static void streams_differ(void **state) {
  (void)state;
  static const struct {
    uint64_t seed;
    uint32_t stream;
    uint64_t step;
  } places[] = {{1, 1, 0},
                {2, 1, 0},
                {1, 2, 0},
                {1, 1, 1},
                {UINT64_C(1) << 32, 1, 0},
                {1, 1, UINT64_C(1) << 32}};
  for (size_t i = 0; i < COUNT_OF(places); i++)
    for (size_t j = 0; j < i; j++) {
      uint32_t a[4], b[4];
      rng_philox(a, places[i].seed, places[i].stream, places[i].step, 0);
      rng_philox(b, places[j].seed, places[j].stream, places[j].step, 0);
      assert_memory_not_equal(a, b, sizeof a);
    }
}

/* The sequence does not fall back to its beginning when the block index runs over. */
static void index_runs_over(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  uint32_t first = rng_u32(&r);
  rng_init(&r, 1, RNG_TEST, 0);
  r.index = UINT32_MAX;
  for (int i = 0; i < 4; i++) rng_u32(&r);
  assert_int_not_equal(rng_u32(&r), first);
}

enum { DRAWS = 400000 };

/* Moments within five standard errors. */
static void uniform_and_normal(void **state) {
  (void)state;
  rng r;
  double sum[5] = {0}, low = 1, high = 0;
  rng_init(&r, 3, RNG_TEST, 0);
  size_t tenths[10] = {0};
  for (int i = 0; i < DRAWS; i++) {
    double u = rng_uniform(&r);
    if (u < low) low = u;
    if (u > high) high = u;
    sum[0] += u;
    tenths[(int)(u * 10)]++;
  }
  assert_true(low >= 0 && high < 1 && low < 1e-4 && high > 1 - 1e-4);
  assert_true(fabs(sum[0] / DRAWS - .5) < 5 * sqrt(1. / 12 / DRAWS));
  double chi = 0;
  for (int i = 0; i < 10; i++) chi += pow((double)tenths[i] - DRAWS / 10., 2) / (DRAWS / 10.);
  assert_true(chi < 33.7); /* 9 degrees of freedom, p = 1e-4 */
  for (int i = 0; i < DRAWS; i++) {
    double x = rng_normal(&r);
    for (int p = 1; p <= 4; p++) sum[p] += pow(x, p);
    assert_true(isfinite(x));
  }
  static const double moments[] = {0, 0, 1, 0, 3}, variances[] = {0, 1, 2, 15, 96};
  for (int p = 1; p <= 4; p++)
    if (fabs(sum[p] / DRAWS - moments[p]) > 5 * sqrt(variances[p] / DRAWS))
      fail_msg("moment %d: %g", p, sum[p] / DRAWS);
  float top = rng_unit_f32(UINT32_MAX);
  assert_true(top < 1.0f && rng_unit_f32(0) == 0.0f);
}

static void below_has_no_bias(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 5, RNG_TEST, 0);
  size_t counts[7] = {0};
  for (int i = 0; i < 70000; i++) counts[rng_below(&r, 7)]++;
  double chi = 0;
  for (int i = 0; i < 7; i++) chi += pow((double)counts[i] - 10000, 2) / 10000;
  assert_true(chi < 27.9); /* 6 degrees of freedom, p = 1e-4 */
  for (int i = 0; i < 100; i++) assert_int_equal(rng_below(&r, 1), 0);
  /* Three quarters of 2^64: a quarter of all words is rejected. Folded back instead, it would
   * make the lowest third half of all. */
  uint64_t third = UINT64_C(1) << 62;
  size_t lowest = 0;
  for (int i = 0; i < 30000; i++) {
    uint64_t x = rng_below(&r, 3 * third);
    assert_true(x < 3 * third);
    lowest += x < third;
  }
  assert_true(lowest > 9500 && lowest < 10500);
}

static void shuffles_evenly(void **state) {
  (void)state;
  enum { N = 5, ROUNDS = 60000 };
  size_t counts[N][N] = {{0}};
  for (int round = 0; round < ROUNDS; round++) {
    uint32_t items[N], seen = 0;
    rng r;
    rng_init(&r, 11, RNG_SHUFFLE, (uint64_t)round);
    for (uint32_t i = 0; i < N; i++) items[i] = i;
    rng_shuffle(&r, items, N);
    for (uint32_t i = 0; i < N; i++) {
      counts[items[i]][i]++;
      seen |= 1u << items[i];
    }
    assert_int_equal(seen, (1u << N) - 1);
  }
  double expected = (double)ROUNDS / N, chi = 0;
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) chi += pow((double)counts[i][j] - expected, 2) / expected;
  assert_true(chi < 48); /* 16 degrees of freedom, scaled by (N-1)/N; far beyond p = 1e-4 */
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  rng_shuffle(&r, NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_answers),      cmocka_unit_test(cursor_is_the_counter),
      cmocka_unit_test(streams_differ),     cmocka_unit_test(index_runs_over),
      cmocka_unit_test(uniform_and_normal), cmocka_unit_test(below_has_no_bias),
      cmocka_unit_test(shuffles_evenly),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
