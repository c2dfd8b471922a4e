/* Products in half precision for AVX512-BF16, for processors where vdpbf16ps does more
 * multiply-adds than floats do (AMD from Zen 4 on, by the published rates).
 *
 * Operands are rounded to bf16, to nearest even, and the products summed in float: an element of C
 * is what operands stored as bf16 would give. Two neighbours along k are one item of 32 bits, which
 * travels in the place of a float, so the tile is that of floats with half as many lines: 14 rows
 * of two registers. An item of A is spread once for both of them: where this is fast, a cycle has
 * no more loads than multiply-adds.
 *
 * The instructions take no notice of the rounding mode and know no denormals: operands and sums
 * below 2^-126 count as zero. A float above bf16's greatest (3.39e38) becomes infinite. */
#include "kernel/gemm_tiled.h"

#if defined(__x86_64__)
#include "kernel/avx512bf16/pairs.h"
#include "kernel/ref/shard.h"
#include "kernel/simd/functions.inc"
#include "kernel/simd/activate.inc"

#define GEMM_ROWS 14
#define GEMM_VECTORS 2
#define GEMM_BLOCK 256 /* pairs */
#define GEMM_EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define GEMM_FMA_ITEM(x, b, c) pairs_fma(vf_all(*(x)), b, c)

#include "kernel/simd/gemm_tile.inc"

/* A pair is only loaded and spread as a float, never reckoned with: its bits arrive as they are. */
static void tile(float *t, const void *a, bool a_lies, const void *b, int64_t b_rows, int64_t depth,
                 int rows, int width, bool first) {
  gemm_tile(t, a, a_lies, b, b_rows, depth / 2, rows, width, first);
}

/* ---- packing ---- */

enum { BLOCK = 2 * GEMM_BLOCK, DEPTH = BLOCK, SIDE_BY_SIDE = 4 };

static inline __mmask16 first_lanes(int64_t n) {
  return n >= LANES ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}

static const void *items_at(const void *x, int64_t i, gemm_format format) {
  return (const char *)x + i * (format == GEMM_BF16 ? 2 : 4);
}

/* Sixteen items at x and sixteen at y, in the lower and the upper half. */
static inline __m512i load_both(const void *x, __mmask16 x_kept, const void *y, __mmask16 y_kept,
                                gemm_format format) {
  if (format == GEMM_REAL)
    return pairs_round(_mm512_maskz_loadu_ps(x_kept, x), _mm512_maskz_loadu_ps(y_kept, y));
  __m256i low = _mm256_maskz_loadu_epi16(x_kept, x), high = _mm256_maskz_loadu_epi16(y_kept, y);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

/* The next 32 of a row of which `left` remain, zeros behind. */
static inline __m512i load_row(const void *x, gemm_format format, int64_t left) {
  __mmask16 low = first_lanes(left), high = first_lanes(left - LANES);
  return load_both(x, low, items_at(x, high ? LANES : 0, format), high, format);
}

/* Pairs of the lines x and x + along, zeros in place of the second where it is not there. */
static inline __m512i load_pairs(const void *x, int64_t along, gemm_format format, int64_t n,
                                 bool both) {
  __mmask16 kept = first_lanes(n);
  __m512i lines =
      load_both(x, kept, items_at(x, both ? along : 0, format), both ? kept : 0, format);
  return pairs_of_halves(lines);
}

/* Lines of k that lie apart are asked for some lines before they are read: the processor does not
 * foresee them. What lies beyond the operand is not read. */
enum { ASK_LINES = 24 };
static inline void ask_lines(const void *x, int64_t along, gemm_format format) {
  _mm_prefetch(x, _MM_HINT_T0);
  _mm_prefetch(items_at(x, along, format), _MM_HINT_T0);
}

/* A panel whose rows lie as lines of k: pairs are neighbours already. Most are floats, and whole.
 */
static void pack_lying(uint16_t *to, const void *x, int64_t across, gemm_format format, int64_t n,
                       int64_t depth) {
  for (int64_t r = 0; r < n; r++, to += BLOCK) {
    const void *row = items_at(x, r * across, format);
    int64_t l = 0;
    for (; format == GEMM_REAL && l + 2 * LANES <= depth; l += 2 * LANES) {
      const float *from = (const float *)row + l;
      _mm512_storeu_si512(to + l, pairs_round(vf_load(from), vf_load(from + LANES)));
    }
    for (; l < depth; l += 2 * LANES)
      _mm512_storeu_si512(to + l, load_row(items_at(row, l, format), format, depth - l));
  }
}

/* Some panels side by side, so that what is read of a line of k is no shred. */
static void pack_beside(uint16_t *to, size_t panel, const void *x, int64_t along,
                        gemm_format format, int64_t n, int64_t depth) {
  for (int64_t l = 0; l < depth; l += 2)
    for (int64_t i = 0; i < n; i += GEMM_ROWS) {
      int64_t rows = n - i < GEMM_ROWS ? n - i : GEMM_ROWS;
      const void *from = items_at(x, l * along + i, format);
      _mm512_mask_storeu_epi32(to + (size_t)(i / GEMM_ROWS) * panel + l * rows, first_lanes(rows),
                               load_pairs(from, along, format, rows, l + 1 < depth));
    }
}

static void pack_a(void *out, size_t panel_bytes, float *scale, const void *x, int64_t across,
                   int64_t along, gemm_format format, int64_t n, int64_t depth) {
  (void)scale;
  int64_t group = along == 1 ? GEMM_ROWS : SIDE_BY_SIDE * GEMM_ROWS;
  for (int64_t i = 0; i < n; i += group) {
    int64_t some = n - i < group ? n - i : group;
    uint16_t *to = (uint16_t *)(void *)((char *)out + (size_t)(i / GEMM_ROWS) * panel_bytes);
    const void *from = items_at(x, i * across, format);
    if (along == 1) pack_lying(to, from, across, format, some, depth);
    else pack_beside(to, panel_bytes / sizeof *to, from, along, format, some, depth);
  }
}

/* Sixteen columns of a B that lies across: a square of pairs is turned over. */
static void pack_turned(uint16_t *out, int64_t width, const void *x, int64_t across,
                        gemm_format format, int64_t n, int64_t depth) {
  for (int64_t l = 0; l < depth; l += 2 * LANES) {
    vf pairs[LANES];
    for (int64_t i = 0; i < LANES; i++) {
      pairs[i] = vf_all(0.0f);
      if (i < n) {
        const void *from = items_at(x, i * across + l, format);
        pairs[i] = _mm512_castsi512_ps(load_row(from, format, depth - l));
      }
    }
    vf_transpose(pairs);
    for (int64_t i = 0; i < LANES && l + 2 * i < depth; i++)
      _mm512_storeu_si512(out + (l + 2 * i) * width, _mm512_castps_si512(pairs[i]));
  }
}

static void pack_b(void *out, float *scale, const void *x, int64_t across, int64_t along,
                   gemm_format format, int64_t n, int64_t depth, int64_t width) {
  (void)scale;
  uint16_t *to = out;
  if (across != 1) {
    for (int64_t j = 0; j < width; j += LANES)
      pack_turned(to + 2 * j, width, items_at(x, j * across, format), across, format, n - j, depth);
    return;
  }
  for (int64_t l = 0; l < depth; l += 2)
    for (int64_t j = 0; j < width; j += LANES) {
      __m512i pairs = _mm512_setzero_si512();
      ask_lines(items_at(x, (l + ASK_LINES) * along + j, format), along, format);
      if (j < n)
        pairs = load_pairs(items_at(x, l * along + j, format), along, format, n - j, l + 1 < depth);
      _mm512_storeu_si512(to + l * width + 2 * j, pairs);
    }
}

#include "kernel/simd/gemm_put.inc"
#include "kernel/simd/gemm_straight.inc"

const gemm_kernels *gemm_kernels_avx512bf16(void) {
  static const gemm_kernels record = {.name = "avx512-bf16",
                                      .rows = GEMM_ROWS,
                                      .cols = GEMM_COLS,
                                      .lanes = LANES,
                                      .step = 2,
                                      .block = BLOCK,
                                      .depth = DEPTH,
                                      .panels = 40,
                                      .a_size = sizeof(uint16_t),
                                      .b_size = sizeof(uint16_t),
                                      .pack_a = pack_a,
                                      .pack_b = pack_b,
                                      .tile = tile,
                                      .put = gemm_tile_put,
                                      .straight = gemm_straight};
  return &record;
}
#endif
