/* Dropout: the same mask to the bit at every level, from the generator's own words; its rate; its
 * use on the weights of attention. */
#include "kernel/kernel.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 70001 };

static float *ones(size_t n) {
  float *x = mem_alloc_aligned(n * sizeof *x, 64);
  assert_non_null(x);
  for (size_t i = 0; i < n; i++) x[i] = 1 + (float)i * 1e-5f;
  return x;
}

static void masks_are_the_words(void **state) {
  (void)state;
  static const kernel_dropout keys[] = {{0.1, 1, 2, 3, 0},
                                        {0.5, UINT64_MAX, UINT32_MAX, UINT64_MAX, 0},
                                        {0.999, 0, 0, 0, 0},
                                        {0, 5, 6, 7, 0},
                                        {0.5, 5, 6, 7, 1000}};
  static const size_t sizes[] = {1, 3, 4, 5, 63, 64, 65, 127, 1000, N};
  float *x = ones(N), *y = ones(N);
  const kernel_table *k;
  for (int level = 0; (k = kernel_table_level(level, sizeof(float))); level++)
    for (size_t c = 0; c < COUNT_OF(keys); c++)
      for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        const kernel_dropout *key = &keys[c];
        k->dropout(y, x, sizes[s], key);
        double dropped = round(key->rate * 65536);
        float scale = (float)(65536 / (65536 - dropped));
        uint32_t word[4];
        for (size_t i = 0; i < sizes[s]; i++) {
          uint64_t place = key->first + i;
          if (place % 8 == 0 || i == 0) {
            uint64_t at = place / 8;
            rng_philox(word, key->seed, key->stream, key->step + (at >> 32 << 40), (uint32_t)at);
          }
          uint32_t draw = word[place % 8 / 2] >> (place % 2 * 16) & 65535;
          float want = (double)draw < dropped ? 0 : x[i] * scale;
          if (y[i] != want)
            fail_msg("%s, key %zu, %zu items: item %zu is %g, expected %g", k->isa, c, sizes[s], i,
                     (double)y[i], (double)want);
        }
        if (sizes[s] < N) assert_true(y[sizes[s]] == x[sizes[s]]); /* nothing behind is touched */
        memcpy(y, x, N * sizeof *y);
      }
  mem_free_aligned(x);
  mem_free_aligned(y);
}

static void rate_is_kept(void **state) {
  (void)state;
  float *x = ones(N), *y = ones(N);
  const kernel_table *k = kernel_table_f32();
  for (uint64_t step = 0; step < 20; step++) {
    kernel_dropout key = {0.1, 9, RNG_DROPOUT, step, 0};
    k->dropout(y, x, N, &key);
    int dropped = 0;
    for (size_t i = 0; i < N; i++) dropped += y[i] == 0;
    /* five standard deviations of a binomial */
    assert_true(fabs(dropped - 0.1 * N) < 5 * sqrt(N * 0.09));
  }
  mem_free_aligned(x);
  mem_free_aligned(y);
}

/* Attention's weights are masked by the same words, at every level, for steps of any size. */
static void attention_masks_agree(void **state) {
  (void)state;
  enum { T = 3, S = 64, D = 1 };
  float q[T] = {0}, kv[S], out[T], want[T], lse[T];
  for (int i = 0; i < S; i++) kv[i] = (float)i;
  const kernel_table *ref = kernel_table_level(0, sizeof(float)), *k;
  for (int bit = 0; bit < 64; bit += 21) {
    uint64_t step = UINT64_C(1) << bit;
    kernel_attention a = {.batch = 1,
                          .queries = T,
                          .keys = S,
                          .heads = 1,
                          .head = D,
                          .scale = 1,
                          .dropout = {0.5, 4, 5, step, 0}};
    void *scratch = mem_alloc_aligned(1 << 20, 64);
    assert_non_null(scratch);
    ref->attention(want, lse, q, kv, kv, &a, scratch);
    for (int level = 1; (k = kernel_table_level(level, sizeof(float))); level++) {
      assert_true(k->attention_scratch(&a) <= 1 << 20);
      k->attention(out, lse, q, kv, kv, &a, scratch);
      for (int i = 0; i < T; i++) assert_true(fabsf(out[i] - want[i]) < 1e-4f * want[i]);
    }
    mem_free_aligned(scratch);
  }
}

/* An array in two parts, the second one beginning just before the counter's low half turns over
 * too: each draws the words of its place. */
static void parts_draw_their_words(void **state) {
  (void)state;
  static const size_t cuts[] = {8 * 4099, 4 * 4099, 12345, 1};
  static const uint64_t firsts[] = {0, 12345, (uint64_t)UINT32_MAX * 8 - 33000, UINT64_C(5) << 35};
  float *x = ones(N), *y = ones(N), *want = ones(N);
  const kernel_table *k;
  for (int level = 0; (k = kernel_table_level(level, sizeof(float))); level++)
    for (size_t c = 0; c < COUNT_OF(firsts); c++) {
      kernel_dropout key = {0.4, 3, 4, 5, firsts[c]};
      k->dropout(want, x, N, &key);
      for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        key.first = firsts[c];
        k->dropout(y, x, cuts[i], &key);
        key.first += cuts[i];
        k->dropout(y + cuts[i], x + cuts[i], N - cuts[i], &key);
        assert_memory_equal(y, want, N * sizeof *y);
      }
    }
  mem_free_aligned(x);
  mem_free_aligned(y);
  mem_free_aligned(want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(masks_are_the_words),
      cmocka_unit_test(rate_is_kept),
      cmocka_unit_test(parts_draw_their_words),
      cmocka_unit_test(attention_masks_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
