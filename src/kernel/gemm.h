/* Matrix products: C = activation(alpha op(A) op(B) + beta C + bias), row-major, batched, f32 and
 * f64. A plan is prepared once for a shape and then runs without allocating. f32 goes to oneDNN
 * (C API 2.x or 3.x) where garam is built with it; everything else to our blocked loops.
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
} gemm_shape;

typedef struct gemm_plan gemm_plan;

garam_status gemm_plan_new(gemm_plan **out, const gemm_shape *shape, garam_error *err);
void gemm_plan_free(gemm_plan *p);
size_t gemm_scratch(const gemm_plan *p);
double gemm_flops(const gemm_plan *p); /* of one run: 2 m n k batch */

/* bias NULL unless the shape has one. A plan runs in one thread at a time (it spreads the work
 * itself); for two at once make two plans. */
void gemm_run(gemm_plan *p, void *c, const void *a, const void *b, const void *bias, void *scratch);

/* "onednn 2.6.3" or "ref". */
const char *gemm_backend(void);

#endif
