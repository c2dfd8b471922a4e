/* Products in float for AVX-512: a tile is 14 rows of two registers, 28 sums, and two registers for
 * B; A comes spread from memory. */
#include "kernel/gemm_tiled.h"

#if defined(__x86_64__)
#include "kernel/avx512/lanes.h"
#include "kernel/avx512/turn.h"
#include "kernel/ref/shard.h"
#include "kernel/simd/functions.inc"
#include "kernel/simd/activate.inc"

#include <string.h>

#define GEMM_ROWS 14
#define GEMM_VECTORS 2
#define GEMM_BLOCK 512
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)

static inline __attribute__((always_inline)) vf fma_item(const float *x, vf b, vf c) {
  __asm__("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(c) : "m"(*x), "v"(b));
  return c;
}
#define GEMM_FMA_ITEM(x, b, c) fma_item(x, b, c)

/* A square of 16 by 16 floats, turned over: n rows of x become the first n lanes of 16 lines, of
 * which `width` lanes are stored, zeros behind n. */
static inline void gemm_turn(float *out, int64_t out_rows, const float *x, int64_t x_rows, int n,
                             int width) {
  __mmask16 kept = (__mmask16)((1u << n) - 1), stored = (__mmask16)((1u << width) - 1);
  const float *row[16];
  for (int i = 0; i < 16; i++) row[i] = x + (i < n ? i : 0) * x_rows;
  for (int q = 0; q < 16; q += 4) {
    __m512 line[4];
    turn_four(line, row, q);
    UNROLL for (int i = 0; i < 4; i++) {
      _mm512_mask_storeu_ps(out + (q + i) * out_rows, stored, _mm512_maskz_mov_ps(kept, line[i]));
    }
  }
}
#define GEMM_TURN 1

#include "kernel/simd/gemm.inc"

const gemm_kernels *gemm_kernels_avx512(void) {
  static const gemm_kernels record = {.name = "avx512",
                                      .rows = GEMM_ROWS,
                                      .cols = GEMM_COLS,
                                      .lanes = LANES,
                                      .step = 1,
                                      .block = GEMM_BLOCK,
                                      .depth = 512,
                                      .panels = 40,
                                      .a_size = sizeof(float),
                                      .b_size = sizeof(float),
                                      .pack_a = pack_a,
                                      .pack_b = pack_b,
                                      .tile = gemm_tile,
                                      .put = gemm_tile_put};
  return &record;
}
#endif
