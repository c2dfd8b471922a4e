/* Matrix products: C = activation(alpha op(A) op(B) + beta C + bias), row-major, batched, f32 and
 * f64. A plan is prepared once for a shape and then runs without allocating. Floats go to oneDNN
 * (C API 2.x or 3.x) where garam is built with it and the processor has AVX-512, else to our own
 * tiles;
 * half precision to ours where the processor is faster with it; doubles to the reference.
 *
 *   gemm_plan *p;
 *   TRY(gemm_plan_new(&p, &(gemm_shape){.real_size = 4, .m = M, .n = N, .k = K}, err));
 *   gemm_run(p, c, a, b, NULL, scratch);     scratch: gemm_scratch(p) bytes, 64-byte aligned
 *
 * The bits of C do not depend on the number of threads, not when the plan is made and not when
 * it runs: products with a small output and a long K, which oneDNN would split by the number
 * of threads, are cut here into fixed shards of K that are added in order. */
#ifndef KERNEL_GEMM_H
#define KERNEL_GEMM_H

#include "base/status.h"
#include "kernel/kernel.h"

/* How exact a product of floats is. Half: operands keep at least the 8 bits of bf16 (and its range,
 * by scales), and C is no further from the exact sums than operands rounded to bf16 may put it;
 * computed by whatever is fastest on this processor, in full where nothing is faster than that.
 * What is below the least normal float (2^-126), operands and sums, may count as zero.
 * Double is always full. */
typedef enum gemm_precision { GEMM_FULL, GEMM_HALF } gemm_precision;

/* How an operand lies in memory. */
typedef enum gemm_format {
  GEMM_REAL,   /* float or double, by real_size */
  GEMM_BF16,   /* the upper halves of floats, uint16_t; with real_size 4 */
  GEMM_PACKED, /* B only: what gemm_pack made */
} gemm_format;

typedef struct gemm_shape {
  size_t real_size;                     /* 4: float, 8: double */
  int64_t m, n, k;                      /* op(A) is (m,k), op(B) is (k,n), C is (m,n) */
  bool transpose_a;                     /* A lies in memory as (k,m) */
  bool transpose_b;                     /* B lies in memory as (n,k) */
  int64_t lda, ldb, ldc;                /* items between rows in memory; 0: dense */
  int64_t batch;                        /* 0 or 1: one product */
  int64_t stride_a, stride_b, stride_c; /* between products of the batch; 0: shared (a, b) */
  double alpha;                         /* 0 means 1 */
  double beta;                /* 0 (C need not be initialised) or any factor for the old C */
  bool bias;                  /* a row of n items is added to every row of C */
  kernel_unary_op activation; /* KERNEL_IDENTITY (0), RELU, GELU, SILU, TANH, SIGMOID */
  gemm_precision precision;
  gemm_format format_a, format_b;
} gemm_shape;

typedef struct gemm_plan gemm_plan;

garam_status gemm_plan_new(gemm_plan **out, const gemm_shape *shape, garam_error *err);
void gemm_plan_free(gemm_plan *p);
size_t gemm_scratch(const gemm_plan *p);
double gemm_flops(const gemm_plan *p); /* of one run: 2 m n k batch */

/* bias NULL unless the shape has one. A plan runs in one thread at a time (it spreads the work
 * itself); for two at once make two plans. */
void gemm_run(gemm_plan *p, void *c, const void *a, const void *b, const void *bias, void *scratch);

/* ---- an operand that stays: weights, packed once and then used by many runs ----
 *
 * The plan's shape says format_b = GEMM_PACKED, and gemm_run takes the packed buffer as its b.
 * For y = x W, W (in, out) is packed by a plan without transpose_b; for dx = dy W^T by one with
 * it (n = in, k = out). The bytes depend on n, k, precision and the processor only, so plans that
 * differ in m, epilogue or strides may share one buffer; a batch may not have more than one B.
 * The bits of C are those of a plan that reads b plainly. */

/* Of the buffer, 64-byte aligned; 0 for a plan whose b is not packed. */
size_t gemm_pack_bytes(const gemm_plan *p);

/* Packs b, which lies as the shape says (transpose_b, ldb) in `format`, REAL or BF16. To be done
 * again when b has changed. On threads; allocates nothing. */
void gemm_pack(const gemm_plan *p, void *packed, const void *b, gemm_format format);

/* ---- who computes ----
 *
 * The backends of this machine for floats; NULL past the last. In full precision, weakest first,
 * the level's own ("ref", "avx2", "avx512"), then "onednn"; in half "avx512-bf16" and "avx512-fp16"
 * where the processor has them, perhaps none, and those that it has may be slower than full. Which
 * is used is a matter of the processor's model; GARAM_GEMM in the environment names another, for
 * tests and measurements. */
const char *gemm_backend_at(int index, gemm_precision precision);

/* gemm_plan_new by a backend of that list; GARAM_UNSUPPORTED when it cannot do the shape. */
garam_status gemm_plan_new_by(gemm_plan **out, const gemm_shape *shape, const char *backend,
                              garam_error *err);

/* What a plan runs on: a name of the lists, or "double". */
const char *gemm_plan_backend(const gemm_plan *p);

/* What products of floats are given to: "avx512", "avx512-bf16", "onednn 2.6.3". */
const char *gemm_backend(gemm_precision precision);

#endif
