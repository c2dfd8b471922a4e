/* Numbers in 8 bits, and AdamW with its moments in them: against the map written out plainly, the
 * same bits at every level and for any number of threads, and how a fit goes beside float moments.
 */
#include "kernel/kernel.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 5 * KERNEL_BLOCK8 + 77 };

typedef struct numbers {
  uint8_t codes[N];
  float scales[8];
} numbers;

static kernel_numbers8 view(numbers *x) {
  return (kernel_numbers8){x->codes, x->scales};
}

/* Normal numbers over many decades, with zeros. */
static void drawn(float *x, size_t n, uint64_t step) {
  rng r;
  rng_init(&r, 3, RNG_TEST, step);
  for (size_t i = 0; i < n; i++)
    x[i] = i % 17 == 5 ? 0 : (float)(rng_normal(&r) * pow(10, -10 * rng_uniform(&r)));
}

/* What a number is taken for is no further off than half a step of its decade. */
static void errors_are_half_steps(void **state) {
  (void)state;
  float x[N], y[N], unit = 0;
  const kernel_table *k;
  for (int level = 0; (k = kernel_table_level(level, sizeof(float))); level++)
    for (int map = KERNEL_SIGNED8; map <= KERNEL_UNSIGNED8; map++)
      for (size_t n = 1; n <= N; n += n < 300 ? 29 : 400) {
        numbers at;
        kernel_numbers8 in = view(&at);
        drawn(x, n, n);
        x[0] = map == KERNEL_SIGNED8 ? -3.0f : 3.0f;
        if (map == KERNEL_UNSIGNED8)
          for (size_t i = 0; i < n; i++) x[i] = fabsf(x[i]);
        memset(y, 0x7f, sizeof y);
        memcpy(&unit, y, sizeof unit);
        k->encode8(&in, x, n, (kernel_map8)map);
        k->decode8(y, &in, n, (kernel_map8)map);
        if (n < N) assert_memory_equal(&y[n], &unit, sizeof unit);
        for (size_t i = 0; i < n; i++) {
          double most = 0;
          for (size_t j = i / KERNEL_BLOCK8 * KERNEL_BLOCK8;
               j < n && j / KERNEL_BLOCK8 == i / KERNEL_BLOCK8; j++)
            most = fmax(most, fabs((double)x[j]));
          double top = map == KERNEL_SIGNED8 ? 0.1 * (1 - 0.9 / 128) : 1 - 0.9 / 256;
          double size = fabs((double)x[i]) / most * top, decade = floor(log10(size)) + 8;
          if (decade > 7) decade = 7;
          double half = decade < 0 ? 5.5e-8 : 4.5 * pow(10, decade - 8) / pow(2, decade);
          double error = fabs((double)y[i] - (double)x[i]) / most * top;
          if (!(error <= half * (1 + 1e-4)))
            fail_msg("%s, %zu numbers: number %zu, %g, is taken for %g", k->isa, n, i, (double)x[i],
                     (double)y[i]);
          if (fabs((double)x[i]) == most) assert_true(fabsf(y[i] - x[i]) <= 2e-7f * fabsf(x[i]));
          if (x[i] == 0) assert_true(y[i] == 0);
          if (map == KERNEL_UNSIGNED8 && x[i] > 0) assert_true(y[i] > 0);
        }
      }
}

/* Every code stands for itself. */
static void codes_come_back(void **state) {
  (void)state;
  const kernel_table *k;
  for (int level = 0; (k = kernel_table_level(level, sizeof(float))); level++)
    for (int map = KERNEL_SIGNED8; map <= KERNEL_UNSIGNED8; map++) {
      uint8_t codes[KERNEL_BLOCK8], again[KERNEL_BLOCK8];
      float scale = 0.37f, scale_again, y[KERNEL_BLOCK8];
      for (int c = 0; c < KERNEL_BLOCK8; c++)
        codes[c] = map == KERNEL_SIGNED8 && c == 128 ? 0 : (uint8_t)c; /* there is no -0 */
      k->decode8(y, &(kernel_numbers8){codes, &scale}, KERNEL_BLOCK8, (kernel_map8)map);
      k->encode8(&(kernel_numbers8){again, &scale_again}, y, KERNEL_BLOCK8, (kernel_map8)map);
      assert_memory_equal(codes, again, sizeof codes);
      assert_true(fabsf(scale - scale_again) < 1e-6f);
    }
}

typedef struct run {
  float p[N];
  numbers m, v;
} run;

static void run_steps(run *r, const kernel_table *k, size_t n, uint64_t steps) {
  const kernel_range decayed[] = {{0, n / 3}, {n / 2, n - n / 7}};
  kernel_adamw c = {1e-2, 0.9, 0.999, 1e-8, 0.1, 0.5, 1, decayed, 2};
  float g[N];
  memset(r, 0, sizeof *r);
  drawn(r->p, n, 1000);
  for (; c.t <= steps; c.t++) {
    kernel_numbers8 m = view(&r->m), v = view(&r->v);
    drawn(g, n, c.t);
    k->adamw8(r->p, &m, &v, g, n, &c);
  }
}

static void levels_give_the_same_bits(void **state) {
  (void)state;
  run want, got;
  const kernel_table *k;
  static const size_t sizes[] = {1, 15, 16, 255, 256, 257, N};
  for (size_t s = 0; s < COUNT_OF(sizes); s++) {
    run_steps(&want, kernel_table_level(0, sizeof(float)), sizes[s], 30);
    for (int level = 1; (k = kernel_table_level(level, sizeof(float))); level++) {
      run_steps(&got, k, sizes[s], 30);
      if (memcmp(&want, &got, sizeof want) != 0)
        fail_msg("%s: %zu items after 30 steps have other bits than the reference's", k->isa,
                 sizes[s]);
    }
  }
}

/* The first step is the one of float moments, to rounding. */
static void first_step_is_exact(void **state) {
  (void)state;
  static run r;
  static float p[N], m[N], v[N], g[N];
  const kernel_table *k = kernel_table_f32();
  const kernel_range decayed[] = {{0, N / 3}, {N / 2, N - N / 7}};
  const kernel_adamw c = {1e-2, 0.9, 0.999, 1e-8, 0.1, 0.5, 1, decayed, 2};
  run_steps(&r, k, N, 1);
  drawn(p, N, 1000);
  drawn(g, N, 1);
  k->adamw(p, m, v, g, N, &c);
  assert_memory_equal(p, r.p, sizeof p);
}

/* Least squares with noisy gradients over inputs of very different sizes. Returns the loss,
 * averaged over the last steps. */
enum { WIDE = 700, STEPS = 800, BATCH = 16 };

static double fit(bool in_8_bits) {
  const kernel_table *k = kernel_table_f32();
  static float w[WIDE], truth[WIDE], size[WIDE], g[WIDE], m[WIDE], v[WIDE], x[BATCH][WIDE];
  static numbers m8, v8;
  kernel_numbers8 m_view = view(&m8), v_view = view(&v8);
  memset(&m8, 0, sizeof m8);
  memset(&v8, 0, sizeof v8);
  memset(m, 0, sizeof m);
  memset(v, 0, sizeof v);
  memset(w, 0, sizeof w);
  rng r;
  rng_init(&r, 5, RNG_TEST, 0);
  for (int i = 0; i < WIDE; i++) {
    truth[i] = (float)rng_normal(&r);
    size[i] = (float)pow(10, -3 * rng_uniform(&r)); /* gradients over three decades, v over six */
  }
  double late = 0;
  for (uint64_t t = 1; t <= STEPS; t++) {
    double loss = 0;
    memset(g, 0, sizeof g);
    for (int b = 0; b < BATCH; b++) {
      double error = 0.1 * rng_normal(&r);
      for (int i = 0; i < WIDE; i++) {
        x[b][i] = size[i] * (float)rng_normal(&r);
        error += (double)x[b][i] * (double)(w[i] - truth[i]);
      }
      loss += error * error / BATCH;
      for (int i = 0; i < WIDE; i++) g[i] += 2.0f / BATCH * (float)error * x[b][i];
    }
    double rate = 0.03 * (1 + cos(3.14159265 * (double)t / STEPS)) / 2;
    const kernel_adamw c = {rate, 0.9, 0.999, 1e-8, 0, 1, t, NULL, 0};
    if (in_8_bits) k->adamw8(w, &m_view, &v_view, g, WIDE, &c);
    else k->adamw(w, m, v, g, WIDE, &c);
    if (t > STEPS - 200) late += loss / 200;
  }
  return late;
}

static void fits_like_floats(void **state) {
  (void)state;
  double floats = fit(false), bytes = fit(true);
  printf("loss with float moments %.5f, with bytes %.5f\n", floats, bytes);
  assert_true(floats < 0.2); /* it learned: it begins above 20, the noise is 0.01 */
  assert_true(bytes < 1.05 * floats);
}

static void threads_give_the_same_bits(void **state) {
  (void)state;
  enum { MANY = 100003 };
  float *x = mem_array(4 * MANY, sizeof *x);
  assert_non_null(x);
  float *p[2] = {x, x + MANY}, *g = x + 2 * MANY, scales[4][MANY / KERNEL_BLOCK8 + 1];
  uint8_t *codes = mem_array(4 * MANY, 1);
  assert_non_null(codes);
  memset(codes, 0, 4 * MANY);
  memset(scales, 0, sizeof scales);
  drawn(g, MANY, 2);
  for (int many = 0; many < 2; many++) {
    kernel_numbers8 m = {codes + (2 * many) * MANY, scales[2 * many]};
    kernel_numbers8 v = {codes + (2 * many + 1) * MANY, scales[2 * many + 1]};
    thread_set_count(many ? 3 : 1);
    drawn(p[many], MANY, 1);
    for (uint64_t t = 1; t <= 3; t++)
      kernel_table_f32()->adamw8(p[many], &m, &v, g, MANY,
                                 &(kernel_adamw){1e-2, 0.9, 0.999, 1e-8, 0, 1, t, NULL, 0});
  }
  thread_set_count(0);
  assert_memory_equal(p[0], p[1], MANY * sizeof *x);
  assert_memory_equal(codes, codes + 2 * MANY, 2 * MANY);
  assert_memory_equal(scales[0], scales[2], 2 * sizeof scales[0]);
  mem_free(x);
  mem_free(codes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_are_half_steps),     cmocka_unit_test(codes_come_back),
      cmocka_unit_test(levels_give_the_same_bits), cmocka_unit_test(first_step_is_exact),
      cmocka_unit_test(fits_like_floats),          cmocka_unit_test(threads_give_the_same_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
