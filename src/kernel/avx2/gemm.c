/* Products in float for AVX2 and FMA: a tile is 6 rows of two registers. */
#include "kernel/gemm_tiled.h"

#if defined(__x86_64__)
#include "kernel/avx2/lanes.h"
#include "kernel/ref/shard.h"
#include "kernel/simd/functions.inc"
#include "kernel/simd/activate.inc"

#include <string.h>

#define GEMM_ROWS 6
#define GEMM_VECTORS 2
#define GEMM_BLOCK 256
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6)

#include "kernel/simd/gemm.inc"

const gemm_kernels *gemm_kernels_avx2(void) {
  static const gemm_kernels record = {.name = "avx2",
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
                                      .put = gemm_tile_put};
  return &record;
}
#endif
