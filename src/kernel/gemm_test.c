/* Products against sums in double; the same bits from any number of threads, planned or running;
 * no allocation of ours while running. */
#include "kernel/gemm.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static rng draw;

/* ---- every allocation of this process is counted, oneDNN's too (not under a sanitizer, which
 * has malloc for itself) ---- */
#if defined(__SANITIZE_ADDRESS__) || defined(__clang__) /* clang's OpenMP allocates for itself */
#define COUNTS_MALLOC 0
#else
#define COUNTS_MALLOC 1
#endif

static size_t n_allocations;

#if COUNTS_MALLOC
void *__libc_malloc(size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *malloc(size_t size) {
  __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
  return __libc_malloc(size);
}
int posix_memalign(void **out, size_t alignment, size_t size) {
  __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : 12;
}
void *aligned_alloc(size_t alignment, size_t size) {
  __atomic_fetch_add(&n_allocations, 1, __ATOMIC_RELAXED);
  return __libc_memalign(alignment, size);
}
#endif

static void *numbers(size_t n, size_t real_size) {
  void *a = mem_alloc_aligned((n + 16) * real_size, 64);
  assert_non_null(a);
  for (size_t i = 0; i < n; i++) {
    float x = rng_unit_f32(rng_u32(&draw)) - 0.5f;
    if (real_size == sizeof(float)) ((float *)a)[i] = x;
    else ((double *)a)[i] = (double)x;
  }
  return a;
}

static double get(const void *a, int64_t i, size_t real_size) {
  return real_size == sizeof(float) ? (double)((const float *)a)[i] : ((const double *)a)[i];
}

static double activated(kernel_unary_op op, double x) {
  switch (op) {
  case KERNEL_RELU: return x > 0 ? x : 0;
  case KERNEL_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
  case KERNEL_SILU: return x / (1 + exp(-x));
  case KERNEL_TANH: return tanh(x);
  case KERNEL_SIGMOID: return 1 / (1 + exp(-x));
  default: return x;
  }
}

static void check(gemm_shape s, const char *what) {
  gemm_plan *p;
  garam_error err;
  assert_int_equal(gemm_plan_new(&p, &s, &err), GARAM_OK);
  int64_t batch = s.batch ? s.batch : 1;
  int64_t lda = s.lda           ? s.lda
                : s.transpose_a ? s.m
                                : s.k,
          ldb = s.ldb           ? s.ldb
                : s.transpose_b ? s.k
                                : s.n;
  int64_t ldc = s.ldc ? s.ldc : s.n;
  double alpha = s.alpha != 0 ? s.alpha : 1;
  size_t na = (size_t)((batch - 1) * s.stride_a + lda * (s.transpose_a ? s.k : s.m));
  size_t nb = (size_t)((batch - 1) * s.stride_b + ldb * (s.transpose_b ? s.n : s.k));
  size_t nc = (size_t)((batch - 1) * s.stride_c + ldc * s.m);
  void *a = numbers(na, s.real_size), *b = numbers(nb, s.real_size), *c = numbers(nc, s.real_size),
       *old = numbers(nc, s.real_size), *bias = numbers((size_t)s.n, s.real_size);
  void *scratch = mem_alloc_aligned(gemm_scratch(p) + 64, 64);
  assert_non_null(scratch);
  memcpy(old, c, nc * s.real_size);
  if (s.beta == 0) /* what is there must not be read */
    for (int64_t g = 0; g < batch; g++)
      for (int64_t i = 0; i < s.m; i++)
        memset((char *)c + (g * s.stride_c + i * ldc) * (int64_t)s.real_size, 0xff,
               (size_t)s.n * s.real_size);
  gemm_run(p, c, a, b, s.bias ? bias : NULL, scratch);
  double tolerance = s.real_size == 4 ? 4e-7 * sqrt((double)s.k) + 2e-6 : 1e-12;
  for (int64_t g = 0; g < batch; g++)
    for (int64_t i = 0; i < s.m; i++)
      for (int64_t j = 0; j < ldc; j++) {
        int64_t at = g * s.stride_c + i * ldc + j;
        if (j >= s.n) { /* between the rows */
          if (i < s.m - 1) assert_true(get(c, at, s.real_size) == get(old, at, s.real_size));
          continue;
        }
        double sum = 0;
        for (int64_t l = 0; l < s.k; l++)
          sum += get(a, g * s.stride_a + (s.transpose_a ? l * lda + i : i * lda + l), s.real_size) *
                 get(b, g * s.stride_b + (s.transpose_b ? j * ldb + l : l * ldb + j), s.real_size);
        double want = alpha * sum + s.beta * get(old, at, s.real_size);
        if (s.bias) want += get(bias, j, s.real_size);
        want = activated(s.activation, want);
        double got = get(c, at, s.real_size);
        if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
          fail_msg("%s f%zu %lldx%lldx%lld: C(%lld,%lld,%lld) is %.9g, expected %.9g", what,
                   s.real_size * 8, (long long)s.m, (long long)s.n, (long long)s.k, (long long)g,
                   (long long)i, (long long)j, got, want);
      }
  mem_free_aligned(a);
  mem_free_aligned(b);
  mem_free_aligned(c);
  mem_free_aligned(old);
  mem_free_aligned(bias);
  mem_free_aligned(scratch);
  gemm_plan_free(p);
}

static void products_are_right(void **state) {
  (void)state;
  static const int64_t sizes[][3] = {{1, 1, 1},   {3, 7, 17},  {17, 33, 65},   {65, 3, 7},
                                     {33, 65, 1}, {1, 64, 33}, {130, 50, 300}, {5, 3, 2048}};
  static const kernel_unary_op ops[] = {KERNEL_IDENTITY, KERNEL_RELU, KERNEL_GELU,
                                        KERNEL_SILU,     KERNEL_TANH, KERNEL_SIGMOID};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t real_size = 4; real_size <= 8; real_size += 4)
      for (int t = 0; t < 4; t++) {
        int64_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
        gemm_shape s = {.real_size = real_size,
                        .m = m,
                        .n = n,
                        .k = k,
                        .transpose_a = t & 1,
                        .transpose_b = t & 2};
        check(s, "plain");
        gemm_shape strided = s;
        strided.lda = (t & 1 ? m : k) + 3;
        strided.ldb = (t & 2 ? k : n) + 2;
        strided.ldc = n + 5;
        check(strided, "strided");
        strided.beta = 1;
        strided.bias = true;
        strided.activation = ops[i % COUNT_OF(ops)];
        check(strided, "beta, bias and activation");
        s.alpha = -0.5;
        check(s, "alpha");
        s.beta = 0.25;
        s.bias = true;
        s.activation = ops[(i + 1) % COUNT_OF(ops)];
        check(s, "alpha, beta, bias and activation");
      }
}

static void batches_are_right(void **state) {
  (void)state;
  for (size_t real_size = 4; real_size <= 8; real_size += 4)
    for (int t = 0; t < 4; t++) {
      gemm_shape s = {.real_size = real_size,
                      .m = 5,
                      .n = 7,
                      .k = 9,
                      .batch = 3,
                      .transpose_a = t & 1,
                      .transpose_b = t & 2,
                      .stride_a = 45,
                      .stride_b = 63,
                      .stride_c = 35};
      check(s, "batch");
      gemm_shape shared = s;
      shared.stride_b = 0; /* one B for all: rows of one product unless A is transposed */
      check(shared, "batch with one B");
      shared = s;
      shared.stride_a = 0;
      shared.bias = true;
      check(shared, "batch with one A");
      s.stride_a = 50;
      s.stride_c = 41;
      s.activation = KERNEL_RELU;
      check(s, "batch with gaps");
    }
}

static void misfits_are_refused(void **state) {
  (void)state;
  static const gemm_shape wrong[] = {
      {.real_size = 2, .m = 1, .n = 1, .k = 1},
      {.real_size = 4, .m = 0, .n = 1, .k = 1},
      {.real_size = 4, .m = 2, .n = 4, .k = 2, .ldc = 3},
      {.real_size = 4, .m = 2, .n = 4, .k = 5, .lda = 4},
      {.real_size = 4, .m = 2, .n = 4, .k = 5, .batch = 2},
  };
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    gemm_plan *p;
    garam_error err = {.message = ""};
    assert_int_equal(gemm_plan_new(&p, &wrong[i], &err), GARAM_INVALID);
    assert_null(p);
    assert_true(err.message[0] != 0);
  }
}

/* Shapes that a transformer, its head and its gradients ask for, and those where oneDNN by itself
 * would answer differently for another number of threads. */
static const struct {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
} walked[] = {
    {2048, 512, 30, 0, 0},  {2048, 512, 512, 0, 0}, {512, 2048, 512, 0, 0},  {2048, 512, 512, 0, 1},
    {512, 512, 2048, 1, 0}, {30, 512, 2048, 1, 0},  {512, 2048, 1024, 1, 0}, {32, 256, 512, 0, 0},
    {512, 256, 32, 1, 0},   {32, 3, 256, 0, 0},     {256, 3, 32, 1, 0},      {32, 256, 3, 0, 1},
    {256, 3, 2048, 1, 0},   {64, 64, 8000, 1, 0},   {64, 64, 8000, 0, 0},    {128, 128, 4096, 1, 0},
    {256, 256, 8192, 1, 0}, {384, 384, 4096, 1, 0}, {100, 1000, 1000, 0, 0}, {1, 512, 2048, 0, 0},
    {3, 64, 4096, 1, 0},
};

static void threads_agree(void **state) {
  (void)state;
  static const int counts[] = {1, 2, 4, 8};
  for (size_t i = 0; i < COUNT_OF(walked); i++) {
    gemm_shape s = {.real_size = sizeof(float),
                    .m = walked[i].m,
                    .n = walked[i].n,
                    .k = walked[i].k,
                    .transpose_a = walked[i].transpose_a,
                    .transpose_b = walked[i].transpose_b};
    size_t nc = (size_t)(s.m * s.n);
    float *a = numbers((size_t)(s.m * s.k), 4), *b = numbers((size_t)(s.k * s.n), 4),
          *c = numbers(nc, 4), *want = numbers(nc, 4);
    gemm_plan *plans[COUNT_OF(counts)];
    for (size_t t = 0; t < COUNT_OF(counts); t++) {
      thread_set_count(counts[t]);
      garam_error err;
      assert_int_equal(gemm_plan_new(&plans[t], &s, &err), GARAM_OK);
      void *scratch = mem_alloc_aligned(gemm_scratch(plans[t]) + 64, 64);
      assert_non_null(scratch);
      gemm_run(plans[t], t ? c : want, a, b, NULL, scratch);
      if (t && memcmp(c, want, nc * sizeof *c) != 0)
        fail_msg("%lldx%lldx%lld: %d threads give other bits than one", (long long)s.m,
                 (long long)s.n, (long long)s.k, counts[t]);
      if (counts[t] == 2) { /* planned for two, run on one, and inside a parallel region */
        thread_set_count(1);
        memset(c, 0, nc * sizeof *c);
        gemm_run(plans[t], c, a, b, NULL, scratch);
        assert_memory_equal(c, want, nc * sizeof *c);
        memset(c, 0, nc * sizeof *c);
        gemm_plan *plan = plans[t];
#pragma omp parallel num_threads(2)
        {
#pragma omp single
          gemm_run(plan, c, a, b, NULL, scratch);
        }
        assert_memory_equal(c, want, nc * sizeof *c);
      }
      mem_free_aligned(scratch);
    }
    for (size_t t = 0; t < COUNT_OF(counts); t++) gemm_plan_free(plans[t]);
    mem_free_aligned(a);
    mem_free_aligned(b);
    mem_free_aligned(c);
    mem_free_aligned(want);
  }
  thread_set_count(0);
}

static void packed_is_the_same(void **state) {
  (void)state;
  for (size_t real_size = 4; real_size <= 8; real_size += 4)
    for (size_t i = 0; i < COUNT_OF(walked); i++) {
      gemm_shape s = {.real_size = real_size,
                      .m = walked[i].m < 100 ? walked[i].m : 100,
                      .n = walked[i].n,
                      .k = walked[i].k,
                      .transpose_b = walked[i].transpose_b,
                      .bias = true,
                      .activation = KERNEL_RELU};
      gemm_shape other = s;
      other.format_b = GEMM_PACKED;
      size_t nc = (size_t)(s.m * s.n);
      void *a = numbers((size_t)(s.m * s.k), real_size),
           *b = numbers((size_t)(s.k * s.n), real_size), *bias = numbers((size_t)s.n, real_size),
           *c = numbers(nc, real_size), *want = numbers(nc, real_size);
      gemm_plan *plain, *p;
      garam_error err;
      assert_int_equal(gemm_plan_new(&plain, &s, &err), GARAM_OK);
      assert_int_equal(gemm_plan_new(&p, &other, &err), GARAM_OK);
      assert_int_equal(gemm_pack_bytes(plain), 0);
      void *packed = mem_alloc_aligned(gemm_pack_bytes(p), 64),
           *scratch = mem_alloc_aligned(gemm_scratch(p) + gemm_scratch(plain) + 64, 64);
      assert_true(packed && scratch);
      gemm_run(plain, want, a, b, bias, scratch);
      gemm_pack(p, packed, b, GEMM_REAL);
      gemm_run(p, c, a, packed, bias, scratch);
      double worst = 0;
      for (size_t j = 0; j < nc; j++) {
        double d = fabs(get(c, (int64_t)j, real_size) - get(want, (int64_t)j, real_size));
        if (!(d <= worst)) worst = d;
      }
      assert_true(worst < 1e-3);
      mem_free_aligned(a);
      mem_free_aligned(b);
      mem_free_aligned(bias);
      mem_free_aligned(c);
      mem_free_aligned(want);
      mem_free_aligned(packed);
      mem_free_aligned(scratch);
      gemm_plan_free(plain);
      gemm_plan_free(p);
    }
}

static void running_allocates_nothing(void **state) {
  (void)state;
  if (!COUNTS_MALLOC) skip();
  static const gemm_shape shapes[] = {
      {.real_size = 4, .m = 64, .n = 64, .k = 64, .bias = true, .activation = KERNEL_RELU},
      {.real_size = 4, .m = 256, .n = 128, .k = 512},
      {.real_size = 4, .m = 256, .n = 3, .k = 2048, .transpose_a = true}, /* in up to 16 shards */
      {.real_size = 4, .m = 1, .n = 512, .k = 512, .bias = true},
      {.real_size = 4,
       .m = 8,
       .n = 8,
       .k = 8,
       .batch = 4,
       .stride_a = 64,
       .stride_b = 64,
       .stride_c = 64},
      {.real_size = 8, .m = 65, .n = 33, .k = 17},
  };
  for (size_t i = 0; i < COUNT_OF(shapes); i++) {
    gemm_shape s = shapes[i];
    gemm_plan *p;
    garam_error err;
    assert_int_equal(gemm_plan_new(&p, &s, &err), GARAM_OK);
    size_t items = (size_t)(s.batch ? s.batch : 1);
    void *a = numbers(items * (size_t)(s.m * s.k), s.real_size),
         *b = numbers(items * (size_t)(s.k * s.n), s.real_size),
         *c = numbers(items * (size_t)(s.m * s.n), s.real_size),
         *bias = numbers((size_t)s.n, s.real_size),
         *scratch = mem_alloc_aligned(gemm_scratch(p) + 64, 64);
    gemm_run(p, c, a, b, s.bias ? bias : NULL, scratch); /* warm */
    enum { RUNS = 5, ARGUMENTS = 12 };
    uint64_t ours = mem_count();
    size_t before = __atomic_load_n(&n_allocations, __ATOMIC_RELAXED);
    assert_true(before > 0);
    for (int r = 0; r < RUNS; r++) gemm_run(p, c, a, b, s.bias ? bias : NULL, scratch);
    size_t n = __atomic_load_n(&n_allocations, __ATOMIC_RELAXED) - before;
    /* oneDNN 2.x keeps the arguments of a call in a hash table, a node each: that much is its own
     * and not to be avoided; memory for data is not among it. Ours: none. */
    size_t most = s.real_size == sizeof(float) && strcmp(gemm_backend(), "ref") != 0
                      ? RUNS * ARGUMENTS * (s.n == 3 ? 16 : 1)
                      : 0;
    if (n > most || mem_count() != ours)
      fail_msg("%lldx%lldx%lld allocated %zu times in five runs", (long long)s.m, (long long)s.n,
               (long long)s.k, n);
    mem_free_aligned(a);
    mem_free_aligned(b);
    mem_free_aligned(c);
    mem_free_aligned(bias);
    mem_free_aligned(scratch);
    gemm_plan_free(p);
  }
}

int main(void) {
  rng_init(&draw, 5, RNG_TEST, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_right),        cmocka_unit_test(batches_are_right),
      cmocka_unit_test(misfits_are_refused),       cmocka_unit_test(threads_agree),
      cmocka_unit_test(running_allocates_nothing), cmocka_unit_test(packed_is_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
