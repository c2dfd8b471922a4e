/* Products in float without any instruction set in particular: four floats at a time, which
 * compilers put into whatever vectors the processor has. */
#include "kernel/gemm_tiled.h"

#include "kernel/ref/shard.h"

#include <math.h>
#include <string.h>

enum { LANES = 4 };
typedef float vf __attribute__((vector_size(4 * LANES)));

static inline vf vf_all(float x) {
  return (vf){x, x, x, x};
}
static inline vf vf_load(const float *p) {
  vf x;
  memcpy(&x, p, sizeof x);
  return x;
}
static inline void vf_store(float *p, vf x) {
  memcpy(p, &x, sizeof x);
}
static inline vf vf_load_part(const float *p, size_t n) {
  vf x = {0};
  for (size_t i = 0; i < LANES; i++)
    if (i < n) x[i] = p[i];
  return x;
}
static inline vf take(const float *p, size_t left) {
  return left >= LANES ? vf_load(p) : vf_load_part(p, left);
}
static inline void put(float *p, vf x, size_t left) {
  if (left >= LANES) vf_store(p, x);
  else memcpy(p, &x, left * sizeof *p);
}
static inline vf vf_fma(vf a, vf b, vf c) { /* fused only where the compiler is allowed to */
  return a * b + c;
}

static float activate_item(kernel_unary_op op, float x) {
  switch (op) {
  case KERNEL_RELU: return x > 0 || isnan(x) ? x : 0;
  case KERNEL_GELU: return 0.5f * x * erfcf(-x * 0.70710678f);
  case KERNEL_SILU: return x / (1 + expf(-x));
  case KERNEL_TANH: return tanhf(x);
  case KERNEL_SIGMOID: return 1 / (1 + expf(-x));
  default: return x;
  }
}
static inline vf gemm_activate(kernel_unary_op op, vf x) {
  if (op != KERNEL_IDENTITY)
    for (int i = 0; i < LANES; i++) x[i] = activate_item(op, x[i]);
  return x;
}

#define GEMM_ROWS 6
#define GEMM_VECTORS 2
#define GEMM_BLOCK 256
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)

#include "kernel/simd/gemm.inc"
#include "kernel/simd/gemm_straight.inc"

const gemm_kernels *gemm_kernels_ref(void) {
  static const gemm_kernels record = {.name = "ref",
                                      .rows = GEMM_ROWS,
                                      .cols = GEMM_COLS,
                                      .lanes = LANES,
                                      .step = 1,
                                      .block = GEMM_BLOCK,
                                      .depth = 256,
                                      .panels = 24,
                                      .a_size = sizeof(float),
                                      .b_size = sizeof(float),
                                      .pack_a = pack_a,
                                      .pack_b = pack_b,
                                      .tile = gemm_tile,
                                      .put = gemm_tile_put,
                                      .straight = gemm_straight};
  return &record;
}
