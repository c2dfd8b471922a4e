/* Products against sums in double; the same bits from any number of threads, planned or running;
 * no allocation of ours while running. */
#include "kernel/gemm.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <float.h>
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

static void check_by(gemm_shape s, const char *backend, const char *what) {
  gemm_plan *p;
  garam_error err;
  assert_int_equal(gemm_plan_new_by(&p, &s, backend, &err), GARAM_OK);
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
  if (s.precision == GEMM_HALF) tolerance = 1e-3 * sqrt((double)s.k) + 1e-3;
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
          fail_msg("%s by %s, %s, f%zu %lldx%lldx%lld: C(%lld,%lld,%lld) is %.9g, expected %.9g",
                   what, backend, s.precision == GEMM_HALF ? "half" : "full", s.real_size * 8,
                   (long long)s.m, (long long)s.n, (long long)s.k, (long long)g, (long long)i,
                   (long long)j, got, want);
      }
  mem_free_aligned(a);
  mem_free_aligned(b);
  mem_free_aligned(c);
  mem_free_aligned(old);
  mem_free_aligned(bias);
  mem_free_aligned(scratch);
  gemm_plan_free(p);
}

/* By every backend that this machine has. */
static void check(gemm_shape s, const char *what) {
  if (s.real_size == sizeof(double)) {
    check_by(s, "double", what);
    return;
  }
  for (int precision = GEMM_FULL; precision <= GEMM_HALF; precision++) {
    s.precision = precision;
    for (int i = 0; gemm_backend_at(i, precision); i++)
      check_by(s, gemm_backend_at(i, precision), what);
  }
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
    {2048, 512, 30, 0, 0},  {1024, 512, 512, 0, 0}, {512, 1024, 512, 0, 0},  {1024, 512, 512, 0, 1},
    {512, 512, 2048, 1, 0}, {30, 512, 2048, 1, 0},  {512, 1024, 1024, 1, 0}, {32, 256, 512, 0, 0},
    {512, 256, 32, 1, 0},   {32, 3, 256, 0, 0},     {256, 3, 32, 1, 0},      {32, 256, 3, 0, 1},
    {256, 3, 2048, 1, 0},   {64, 64, 8000, 1, 0},   {64, 64, 8000, 0, 0},    {128, 128, 4096, 1, 0},
    {256, 256, 8192, 1, 0}, {384, 384, 4096, 1, 0}, {100, 1000, 1000, 0, 0}, {1, 512, 2048, 0, 0},
    {3, 64, 4096, 1, 0},
};

static void threads_agree_by(const char *backend, gemm_precision precision) {
  static const int counts[] = {1, 2, 4};
  for (size_t i = 0; i < COUNT_OF(walked); i++) {
    gemm_shape s = {.real_size = sizeof(float),
                    .m = walked[i].m,
                    .n = walked[i].n,
                    .k = walked[i].k,
                    .transpose_a = walked[i].transpose_a,
                    .transpose_b = walked[i].transpose_b,
                    .precision = precision};
    if (!COUNTS_MALLOC && s.m * s.n * s.k > 1 << 25) continue; /* minutes under a sanitizer */
    size_t nc = (size_t)(s.m * s.n);
    float *a = numbers((size_t)(s.m * s.k), 4), *b = numbers((size_t)(s.k * s.n), 4),
          *c = numbers(nc, 4), *want = numbers(nc, 4);
    gemm_plan *plans[COUNT_OF(counts)];
    for (size_t t = 0; t < COUNT_OF(counts); t++) {
      thread_set_count(counts[t]);
      garam_error err;
      assert_int_equal(gemm_plan_new_by(&plans[t], &s, backend, &err), GARAM_OK);
      void *scratch = mem_alloc_aligned(gemm_scratch(plans[t]) + 64, 64);
      assert_non_null(scratch);
      gemm_run(plans[t], t ? c : want, a, b, NULL, scratch);
      if (t && memcmp(c, want, nc * sizeof *c) != 0)
        fail_msg("%lldx%lldx%lld by %s: %d threads give other bits than one", (long long)s.m,
                 (long long)s.n, (long long)s.k, backend, counts[t]);
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

static void threads_agree(void **state) {
  (void)state;
  for (int precision = GEMM_FULL; precision <= GEMM_HALF; precision++)
    for (int i = 0; gemm_backend_at(i, precision); i++) {
      const char *name = gemm_backend_at(i, precision);
      if (strcmp(name, "ref") == 0) continue; /* avx2's walk, slower */
      /* oneDNN where it is not used: it does not hold to this, which is one reason */
      if (strcmp(name, "onednn") == 0 && strncmp(gemm_backend(GEMM_FULL), name, 6) != 0) continue;
      threads_agree_by(name, precision);
    }
  if (!gemm_backend_at(1, GEMM_FULL)) threads_agree_by("ref", GEMM_FULL);
}

/* A packed operand gives the bits of a plain one, and one row those that it has among others;
 * oneDNN chooses its loops by the layout and by m, and agrees within rounding only. */
static void packed_is_the_same_by(const char *backend, size_t real_size, gemm_precision precision) {
  bool ours = real_size == sizeof(double) || strcmp(backend, "onednn") != 0;
  for (size_t i = 0; i < COUNT_OF(walked); i++) {
    gemm_shape s = {.real_size = real_size,
                    .m = walked[i].m < 20 ? walked[i].m : 20,
                    .n = walked[i].n,
                    .k = walked[i].k,
                    .transpose_b = walked[i].transpose_b,
                    .bias = true,
                    .activation = KERNEL_RELU,
                    .precision = precision};
    gemm_shape other = s, single = s;
    other.format_b = single.format_b = GEMM_PACKED;
    single.m = 1;
    size_t nc = (size_t)(s.m * s.n);
    void *a = numbers((size_t)(s.m * s.k), real_size), *b = numbers((size_t)(s.k * s.n), real_size),
         *bias = numbers((size_t)s.n, real_size), *c = numbers(nc, real_size),
         *want = numbers(nc, real_size);
    gemm_plan *plain, *p, *row;
    garam_error err;
    assert_int_equal(gemm_plan_new_by(&plain, &s, backend, &err), GARAM_OK);
    assert_int_equal(gemm_plan_new_by(&p, &other, backend, &err), GARAM_OK);
    assert_int_equal(gemm_plan_new_by(&row, &single, backend, &err), GARAM_OK);
    assert_int_equal(gemm_pack_bytes(plain), 0);
    assert_int_equal(gemm_pack_bytes(p), gemm_pack_bytes(row));
    void *packed = mem_alloc_aligned(gemm_pack_bytes(p), 64);
    void *scratch =
        mem_alloc_aligned(gemm_scratch(p) + gemm_scratch(plain) + gemm_scratch(row) + 64, 64);
    assert_true(packed && scratch);
    gemm_run(plain, want, a, b, bias, scratch);
    gemm_pack(p, packed, b, GEMM_REAL);
    gemm_run(p, c, a, packed, bias, scratch);
    int64_t last = s.m - 1, at = last * s.n;
    gemm_run(row, (char *)c + at * (int64_t)real_size, (char *)a + last * s.k * (int64_t)real_size,
             packed, bias, scratch);
    for (size_t j = 0; j < nc; j++) {
      double x = get(c, (int64_t)j, real_size), y = get(want, (int64_t)j, real_size);
      if (real_size == sizeof(float) && ours ? x != y : !(fabs(x - y) < 1e-3))
        fail_msg("%s %lldx%lldx%lld: packed gives %.9g for %.9g", backend, (long long)s.m,
                 (long long)s.n, (long long)s.k, x, y);
    }
    mem_free_aligned(a);
    mem_free_aligned(b);
    mem_free_aligned(bias);
    mem_free_aligned(c);
    mem_free_aligned(want);
    mem_free_aligned(packed);
    mem_free_aligned(scratch);
    gemm_plan_free(plain);
    gemm_plan_free(p);
    gemm_plan_free(row);
  }
}

static void packed_is_the_same(void **state) {
  (void)state;
  packed_is_the_same_by("double", sizeof(double), GEMM_FULL);
  for (int precision = GEMM_FULL; precision <= GEMM_HALF; precision++)
    for (int i = 0; gemm_backend_at(i, precision); i++)
      packed_is_the_same_by(gemm_backend_at(i, precision), sizeof(float), precision);
}

/* A large product, all of whose B is packed before its tasks start, gives each row the bits that a
 * product of a few rows gives it. */
static void rows_do_not_depend_on_the_others(void **state) {
  (void)state;
  enum { M = 250, N = 270, K = 530, FEW = 7, FROM = 120 };
  for (int precision = GEMM_FULL; precision <= GEMM_HALF; precision++)
    for (int which = 0; gemm_backend_at(which, precision); which++)
      for (int t = 0; t < 4; t++) {
        const char *name = gemm_backend_at(which, precision);
        if (strcmp(name, "onednn") == 0) continue; /* it chooses its loops by m */
        gemm_shape all = {.real_size = sizeof(float),
                          .m = M,
                          .n = N,
                          .k = K,
                          .transpose_a = t & 1,
                          .transpose_b = t & 2,
                          .beta = 1,
                          .precision = precision};
        gemm_shape few = all;
        few.m = FEW;
        few.lda = t & 1 ? M : K;
        float *a = numbers((size_t)M * K, 4), *b = numbers((size_t)K * N, 4),
              *c = numbers((size_t)M * N, 4), *want = numbers((size_t)FEW * N, 4);
        memcpy(want, c + FROM * N, sizeof(float) * FEW * N);
        gemm_plan *p, *part;
        garam_error err;
        assert_int_equal(gemm_plan_new_by(&p, &all, name, &err), GARAM_OK);
        assert_int_equal(gemm_plan_new_by(&part, &few, name, &err), GARAM_OK);
        void *scratch = mem_alloc_aligned(gemm_scratch(p) + gemm_scratch(part) + 64, 64);
        gemm_run(p, c, a, b, NULL, scratch);
        gemm_run(part, want, a + (t & 1 ? FROM : FROM * K), b, NULL, scratch);
        if (memcmp(c + FROM * N, want, sizeof(float) * FEW * N) != 0)
          fail_msg("%s, transposes %d: rows have other bits among many", name, t);
        mem_free_aligned(a);
        mem_free_aligned(b);
        mem_free_aligned(c);
        mem_free_aligned(want);
        mem_free_aligned(scratch);
        gemm_plan_free(p);
        gemm_plan_free(part);
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
    size_t most = s.real_size == sizeof(float) && strncmp(gemm_backend(GEMM_FULL), "onednn", 6) == 0
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

/* ---- half precision ---- */

static float rounded(float x) { /* to bf16, to nearest even */
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
  memcpy(&x, &bits, sizeof x);
  return x;
}

typedef enum operand_kind { BOTH_SIGNS, ONE_SIGN, EQUAL, FAR_ROWS, N_KINDS } operand_kind;

static void operand_fill(float *x, int64_t rows, int64_t cols, operand_kind kind) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      float u = rng_unit_f32(rng_u32(&draw)), *to = x + i * cols + j;
      switch (kind) {
      case ONE_SIGN: *to = 0.5f + u; break;
      case EQUAL: *to = 1.0f / 3; break;
      case FAR_ROWS: *to = ldexpf(u - 0.5f, (int)(i * 37 % 61) - 45); break;
      default: *to = u - 0.5f;
      }
    }
}

/* (1 + 2^-9)^2 - 1 of the terms' sizes, when both operands are rounded to bf16, and the roundings
 * of sums in float. */
#define BF16_BOUND (1.0 / 256 + 1.0 / 65536)

/* Against sums in double: no element is further off than operands rounded to bf16 may be, and as a
 * whole the error is not above theirs. Rows (of A) and columns (of B) lie 2^60 apart in the last
 * kind: each is judged by its own size. */
static void half_is_within_bounds(void **state) {
  (void)state;
  static const int64_t sizes[][3] = {{37, 70, 33}, {30, 64, 512}, {15, 33, 1100}, {64, 3, 2048}};
  for (int which = 0; gemm_backend_at(which, GEMM_HALF); which++)
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
      for (int kind = 0; kind < N_KINDS; kind++)
        for (int t = 0; t < 4; t++) {
          gemm_shape s = {.real_size = sizeof(float),
                          .m = sizes[i][0],
                          .n = sizes[i][1],
                          .k = sizes[i][2],
                          .transpose_a = t & 1,
                          .transpose_b = t & 2,
                          .precision = GEMM_HALF};
          /* rows of A, and columns of B, as they come: laid out below */
          float *rows = numbers((size_t)(s.m * s.k), 4), *cols = numbers((size_t)(s.k * s.n), 4),
                *a = numbers((size_t)(s.m * s.k), 4), *b = numbers((size_t)(s.k * s.n), 4),
                *c = numbers((size_t)(s.m * s.n), 4);
          operand_fill(rows, s.m, s.k, kind);
          operand_fill(cols, s.n, s.k, kind);
          for (int64_t l = 0; l < s.k; l++) {
            for (int64_t r = 0; r < s.m; r++)
              a[s.transpose_a ? l * s.m + r : r * s.k + l] = rows[r * s.k + l];
            for (int64_t j = 0; j < s.n; j++)
              b[s.transpose_b ? j * s.k + l : l * s.n + j] = cols[j * s.k + l];
          }
          gemm_plan *p;
          garam_error err;
          assert_int_equal(gemm_plan_new_by(&p, &s, gemm_backend_at(which, GEMM_HALF), &err),
                           GARAM_OK);
          void *scratch = mem_alloc_aligned(gemm_scratch(p) + 64, 64);
          gemm_run(p, c, a, b, NULL, scratch);
          double ours = 0, theirs = 0;
          for (int64_t r = 0; r < s.m; r++)
            for (int64_t j = 0; j < s.n; j++) {
              double sum = 0, size = 0, bf16 = 0;
              for (int64_t l = 0; l < s.k; l++) {
                float x = rows[r * s.k + l], y = cols[j * s.k + l];
                sum += (double)x * (double)y;
                size += fabs((double)x * (double)y);
                bf16 += (double)rounded(x) * (double)rounded(y);
              }
              double off = fabs((double)c[r * s.n + j] - sum) / size;
              if (!(off <= BF16_BOUND))
                fail_msg("%s kind %d: %g instead of %g, off by %g of its terms",
                         gemm_plan_backend(p), kind, (double)c[r * s.n + j], sum, off);
              ours += off * off;
              theirs += (bf16 - sum) / size * ((bf16 - sum) / size);
            }
          /* equal operands are all rounded alike: nothing averages out, only the bound above */
          if (kind != EQUAL && ours > 1.2 * theirs && kind != ONE_SIGN)
            fail_msg("%s kind %d, k %lld: error %g, bf16's is %g", gemm_plan_backend(p), kind,
                     (long long)s.k, sqrt(ours / (double)(s.m * s.n)),
                     sqrt(theirs / (double)(s.m * s.n)));
          gemm_plan_free(p);
          mem_free_aligned(rows);
          mem_free_aligned(cols);
          mem_free_aligned(a);
          mem_free_aligned(b);
          mem_free_aligned(c);
          mem_free_aligned(scratch);
        }
}

/* Zeros, the least and the greatest floats, infinities and NaN, in row 1 of A or column 1 of B:
 * what they touch is right, zero, infinite or NaN, and the rest is as if they were not there. */
static void half_keeps_the_extremes(void **state) {
  (void)state;
  enum { M = 17, N = 40, K = 70 };
  static const struct {
    float x;
    bool finite;
  } extremes[] = {{0, true},     {1e-42f, true},    {1e-38f, true},     {1e-35f, true},
                  {1e30f, true}, {INFINITY, false}, {-INFINITY, false}, {NAN, false}};
  for (int which = 0; gemm_backend_at(which, GEMM_HALF); which++)
    for (size_t e = 0; e < COUNT_OF(extremes); e++)
      for (int in_b = 0; in_b < 2; in_b++) {
        gemm_shape s = {.real_size = sizeof(float), .m = M, .n = N, .k = K, .precision = GEMM_HALF};
        float *a = numbers((size_t)M * K, 4), *b = numbers((size_t)K * N, 4),
              *c = numbers((size_t)M * N, 4), *before = numbers((size_t)M * N, 4);
        gemm_plan *p;
        garam_error err;
        assert_int_equal(gemm_plan_new_by(&p, &s, gemm_backend_at(which, GEMM_HALF), &err),
                         GARAM_OK);
        void *scratch = mem_alloc_aligned(gemm_scratch(p) + 64, 64);
        gemm_run(p, before, a, b, NULL, scratch);
        for (int l = 0; l < K; l++) {
          float *to = in_b ? b + l * N + 1 : a + K + l;
          *to = extremes[e].x * (extremes[e].finite && l % 2 ? -1 : 1);
        }
        gemm_run(p, c, a, b, NULL, scratch);
        for (int i = 0; i < M; i++)
          for (int j = 0; j < N; j++) {
            float got = c[i * N + j];
            if (in_b ? j != 1 : i != 1) {
              if (got != before[i * N + j]) fail_msg("extreme %zu changes another element", e);
              continue;
            }
            if (!extremes[e].finite) {
              if (isfinite(got)) fail_msg("extreme %zu comes out as %g", e, (double)got);
              continue;
            }
            double sum = 0, size = 0;
            for (int l = 0; l < K; l++) {
              double x = (double)a[i * K + l] * (double)b[l * N + j];
              sum += x;
              size += fabs(x);
            }
            /* below the normal floats little is promised: each term may be lost */
            if (!(fabs((double)got - sum) <= size * BF16_BOUND + (double)K * (double)FLT_MIN))
              fail_msg("extreme %zu by %s: %g instead of %g", e, gemm_plan_backend(p), (double)got,
                       sum);
          }
        gemm_plan_free(p);
        mem_free_aligned(a);
        mem_free_aligned(b);
        mem_free_aligned(c);
        mem_free_aligned(before);
        mem_free_aligned(scratch);
      }
}

/* Operands that lie as bf16 are the floats that they stand for. */
static void stored_bf16_is_read(void **state) {
  (void)state;
  enum { M = 20, N = 45, K = 150 };
  for (int precision = GEMM_FULL; precision <= GEMM_HALF; precision++)
    for (int which = 0; gemm_backend_at(which, precision); which++)
      for (int t = 0; t < 8; t++) {
        gemm_shape s = {.real_size = sizeof(float),
                        .m = M,
                        .n = N,
                        .k = K,
                        .transpose_a = t & 1,
                        .transpose_b = t & 2,
                        .precision = precision};
        gemm_shape stored = s;
        stored.format_a = GEMM_BF16;
        stored.format_b = t & 4 ? GEMM_PACKED : GEMM_BF16;
        gemm_plan *plain, *p;
        garam_error err;
        const char *name = gemm_backend_at(which, precision);
        garam_status status = gemm_plan_new_by(&p, &stored, name, &err);
        if (strcmp(name, "onednn") == 0) {
          assert_int_equal(status, GARAM_UNSUPPORTED);
          continue;
        }
        assert_int_equal(status, GARAM_OK);
        assert_int_equal(gemm_plan_new_by(&plain, &s, name, &err), GARAM_OK);
        float *a = numbers((size_t)M * K, 4), *b = numbers((size_t)K * N, 4),
              *c = numbers((size_t)M * N, 4), *want = numbers((size_t)M * N, 4);
        uint16_t *a16 = (uint16_t *)numbers((size_t)M * K, 4),
                 *b16 = (uint16_t *)numbers((size_t)K * N, 4);
        for (int i = 0; i < M * K; i++) {
          a[i] = rounded(a[i]);
          uint32_t bits;
          memcpy(&bits, &a[i], 4);
          a16[i] = (uint16_t)(bits >> 16);
        }
        for (int i = 0; i < K * N; i++) {
          b[i] = rounded(b[i]);
          uint32_t bits;
          memcpy(&bits, &b[i], 4);
          b16[i] = (uint16_t)(bits >> 16);
        }
        void *scratch = mem_alloc_aligned(gemm_scratch(p) + gemm_scratch(plain) + 64, 64);
        void *packed = mem_alloc_aligned(gemm_pack_bytes(p) + 64, 64);
        if (t & 4) gemm_pack(p, packed, b16, GEMM_BF16);
        gemm_run(plain, want, a, b, NULL, scratch);
        gemm_run(p, c, a16, t & 4 ? packed : b16, NULL, scratch);
        assert_memory_equal(c, want, sizeof(float) * M * N);
        gemm_plan_free(p);
        gemm_plan_free(plain);
        mem_free_aligned(a);
        mem_free_aligned(b);
        mem_free_aligned(c);
        mem_free_aligned(want);
        mem_free_aligned(a16);
        mem_free_aligned(b16);
        mem_free_aligned(scratch);
        mem_free_aligned(packed);
      }
}

/* A word of the first processor's flags, or what is behind the name of another field. */
static bool cpuinfo_has(const char *field, const char *word) {
  char line[8192];
  bool found = false;
  FILE *f = fopen("/proc/cpuinfo", "r");
  while (f && !found && fgets(line, sizeof line, f))
    if (strncmp(line, field, strlen(field)) == 0)
      for (char *w = strtok(line, " \t:\n"); w && !found; w = strtok(NULL, " \t:\n"))
        found = strcmp(w, word) == 0;
  if (f) fclose(f);
  return found;
}

/* The processor's model decides, as the system tells it: AMD's bf16 is fast, Intel's is not. */
static void half_is_chosen_by_model(void **state) {
  (void)state;
  if (strcmp(kernel_isa(), "avx512") != 0 || getenv("GARAM_GEMM")) skip();
  bool bf16 = cpuinfo_has("flags", "avx512_bf16"), fp16 = cpuinfo_has("flags", "avx512_fp16");
  const char *want = gemm_backend(GEMM_FULL);
  if (fp16) want = "avx512-fp16";
  if (bf16 && cpuinfo_has("vendor_id", "AuthenticAMD")) want = "avx512-bf16";
  assert_string_equal(gemm_backend(GEMM_HALF), want);
  bool has_bf16 = false;
  for (int i = 0; gemm_backend_at(i, GEMM_HALF); i++)
    has_bf16 |= strcmp(gemm_backend_at(i, GEMM_HALF), "avx512-bf16") == 0;
  assert_int_equal(has_bf16, bf16);
}

int main(void) {
  rng_init(&draw, 5, RNG_TEST, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(products_are_right),
      cmocka_unit_test(batches_are_right),
      cmocka_unit_test(misfits_are_refused),
      cmocka_unit_test(threads_agree),
      cmocka_unit_test(running_allocates_nothing),
      cmocka_unit_test(packed_is_the_same),
      cmocka_unit_test(half_is_within_bounds),
      cmocka_unit_test(half_keeps_the_extremes),
      cmocka_unit_test(stored_bf16_is_read),
      cmocka_unit_test(rows_do_not_depend_on_the_others),
      cmocka_unit_test(half_is_chosen_by_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
