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

/* A square of 8 by 8 floats, turned over: n rows of x become the first n lanes of 8 lines, zeros
 * behind n; strips are whole vectors wide. Half of the way is done by loads. */
static inline void gemm_turn(float *out, int64_t out_rows, const float *x, int64_t x_rows, int n,
                             int width) {
  (void)width;
  const float *row[LANES];
  for (int i = 0; i < LANES; i++) row[i] = x + (i < n ? i : 0) * x_rows;
  const vf kept = n < LANES ? vm_first((size_t)n) : vf_all(0.0f);
  for (int q = 0; q < LANES; q += 4) {
    vf v[4];
    UNROLL for (int i = 0; i < 4; i++) {
      v[i] = _mm256_castps128_ps256(_mm_loadu_ps(row[i] + q));
      v[i] = _mm256_insertf128_ps(v[i], _mm_loadu_ps(row[i + 4] + q), 1);
    }
    vf a = _mm256_unpacklo_ps(v[0], v[1]), b = _mm256_unpackhi_ps(v[0], v[1]);
    vf c = _mm256_unpacklo_ps(v[2], v[3]), d = _mm256_unpackhi_ps(v[2], v[3]);
    v[0] = _mm256_shuffle_ps(a, c, 0x44);
    v[1] = _mm256_shuffle_ps(a, c, 0xEE);
    v[2] = _mm256_shuffle_ps(b, d, 0x44);
    v[3] = _mm256_shuffle_ps(b, d, 0xEE);
    UNROLL for (int i = 0; i < 4; i++) {
      if (n < LANES) v[i] = _mm256_and_ps(v[i], kept);
      vf_store(out + (q + i) * out_rows, v[i]);
    }
  }
}
#define GEMM_TURN 1

#include "kernel/simd/gemm.inc"
#include "kernel/simd/gemm_straight.inc"

const gemm_kernels *gemm_kernels_avx2(void) {
  static const gemm_kernels record = {.name = "avx2",
                                      .rows = GEMM_ROWS,
                                      .cols = GEMM_COLS,
                                      .lanes = LANES,
                                      .step = 1,
                                      .block = GEMM_BLOCK,
                                      .depth = 256,
                                      .panels = 36,
                                      .a_size = sizeof(float),
                                      .b_size = sizeof(float),
                                      .pack_a = pack_a,
                                      .pack_b = pack_b,
                                      .tile = gemm_tile,
                                      .put = gemm_tile_put,
                                      .straight = gemm_straight};
  return &record;
}
#endif
