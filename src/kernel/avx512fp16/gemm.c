/* Products in half precision for AVX512-FP16, whose multiply-adds are twice as many as those of
 * floats.
 *
 * An item is divided by a power of two, one for each row of A (column of B) and block of k, such
 * that the greatest is between 16 and 32, and rounded to fp16. So it keeps 11 bits, three more than
 * bf16, down to 2^-18 of the greatest of its row, and bf16's 8 bits down to 2^-21 of it; what is
 * smaller than that counts for nothing beside the greatest. CHAIN products are summed in fp16,
 * where they reach 2^15 at most (fp16 ends at 2^16), then added to a float. An fp16 sum of
 * 32 is off by about 2^-10.8 of its size, bf16's rounding of operands by 2^-8.5: the format's own
 * bounds hold, and the test measures it. Infinities and NaN stay what they are. */
#include "kernel/gemm_tiled.h"

#if defined(__x86_64__)
#include "kernel/avx512/lanes.h"
#include "kernel/ref/shard.h"
#include "kernel/simd/functions.inc"
#include "kernel/simd/activate.inc"

#include <string.h>

enum {
  ROWS = 14,
  VECTORS = 2,
  HALVES = 32, /* fp16 in a register */
  COLS = VECTORS * HALVES,
  BLOCK = 128,
  CHAIN = 32,
  DEPTH = 512,
  TOP = 4, /* the exponent of the greatest of a row */
};

/* ---- packing ---- */

static inline __m512 load_items(const void *x, int64_t i, gemm_format format, __mmask16 kept) {
  if (format == GEMM_REAL) return _mm512_maskz_loadu_ps(kept, (const float *)x + i);
  __m256i upper = _mm256_maskz_loadu_epi16(kept, (const uint16_t *)x + i);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16));
}

static inline __mmask16 first_lanes(int64_t n) {
  return n >= LANES ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}

/* The greatest magnitude, by its bits: also of infinities and NaN. */
static inline __m512i greater_bits(__m512i most, __m512 x) {
  return _mm512_max_epi32(most,
                          _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff)));
}

/* 2^(exponent - TOP), and what items are multiplied by. What leaves the exponents of
 * which both powers are floats counts as the last of them. */
static inline __m512 scale_of(__m512i bits, __m512 *factor) {
  __m512i e = _mm512_sub_epi32(_mm512_srli_epi32(bits, 23), _mm512_set1_epi32(127 + TOP));
  e = _mm512_max_epi32(_mm512_min_epi32(e, _mm512_set1_epi32(123)), _mm512_set1_epi32(-122));
  __m512i bias = _mm512_set1_epi32(127);
  *factor = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_sub_epi32(bias, e), 23));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(bias, e), 23));
}

static inline __m256i to_half(__m512 x) {
  return _mm256_castph_si256(_mm512_cvtxps_ph(x));
}

/* Where lines of k lie beside each other (across is 1): up to 16 columns from x on; the items go to
 * out[l * width], `width` apart. */
static inline void pack_columns(uint16_t *out, int64_t width, float *scale, const void *x,
                                int64_t along, gemm_format format, int64_t n, int64_t stored,
                                int64_t depth) {
  __mmask16 kept = first_lanes(n), written = first_lanes(stored);
  __m512i most = _mm512_setzero_si512();
  for (int64_t l = 0; l < depth; l++)
    most = greater_bits(most, load_items(x, l * along, format, kept));
  __m512 factor, power = scale_of(most, &factor);
  _mm512_mask_storeu_ps(scale, written, power);
  for (int64_t l = 0; l < depth; l++) {
    __m512 items = _mm512_mul_ps(load_items(x, l * along, format, kept), factor);
    _mm256_mask_storeu_epi16(out + l * width, written, to_half(items));
  }
}

static __m512i row_greatest(const void *x, gemm_format format, int64_t depth) {
  __m512i most = _mm512_setzero_si512();
  for (int64_t l = 0; l < depth; l += LANES)
    most = greater_bits(most, load_items(x, l, format, first_lanes(depth - l)));
  return _mm512_set1_epi32(_mm512_reduce_max_epi32(most));
}

static const void *items_at(const void *x, int64_t i, gemm_format format) {
  return (const char *)x + i * (format == GEMM_BF16 ? 2 : 4);
}

static void pack_a(void *out, float *scale, const void *x, int64_t across, int64_t along,
                   gemm_format format, int64_t n, int64_t depth) {
  uint16_t *to = out;
  if (along != 1) {
    pack_columns(to, n, scale, x, along, format, n, n, depth);
    return;
  }
  for (int64_t r = 0; r < n; r++) {
    const void *row = items_at(x, r * across, format);
    __m512 factor, power = scale_of(row_greatest(row, format, depth), &factor);
    scale[r] = _mm512_cvtss_f32(power);
    for (int64_t l = 0; l < depth; l += LANES) {
      __m512 items = load_items(row, l, format, first_lanes(depth - l));
      uint16_t *piece = to + l / BLOCK * n * BLOCK + r * BLOCK + l % BLOCK;
      _mm256_storeu_si256((__m256i *)(void *)piece, to_half(_mm512_mul_ps(items, factor)));
    }
  }
}

/* A square of 16 by 16: rows of x, one for each of n columns, become lines of out. */
static inline void pack_square(uint16_t *out, int64_t width, const float *factors, const void *x,
                               int64_t across, gemm_format format, int64_t n, int64_t depth) {
  uint16_t items[LANES][LANES];
  for (int64_t i = 0; i < LANES; i++) {
    __m256i row = _mm256_setzero_si256();
    if (i < n)
      row = to_half(_mm512_mul_ps(load_items(x, i * across, format, first_lanes(depth)),
                                  _mm512_set1_ps(factors[i])));
    _mm256_storeu_si256((__m256i *)(void *)items[i], row);
  }
  for (int64_t l = 0; l < depth; l++)
    for (int64_t i = 0; i < LANES; i++) out[l * width + i] = items[i][l];
}

static void pack_b(void *out, float *scale, const void *x, int64_t across, int64_t along,
                   gemm_format format, int64_t n, int64_t depth, int64_t width) {
  uint16_t *to = out;
  for (int64_t j = 0; j < width; j += LANES) {
    if (across == 1) {
      pack_columns(to + j, width, scale + j, items_at(x, j, format), along, format, n - j, LANES,
                   depth);
      continue;
    }
    float factors[LANES];
    for (int64_t i = 0; i < LANES; i++) {
      __m512i most = _mm512_setzero_si512();
      if (j + i < n) most = row_greatest(items_at(x, (j + i) * across, format), format, depth);
      __m512 factor, power = scale_of(most, &factor);
      scale[j + i] = _mm512_cvtss_f32(power);
      factors[i] = _mm512_cvtss_f32(factor);
    }
    for (int64_t l = 0; l < depth; l += LANES)
      pack_square(to + l * width + j, width, factors, items_at(x, j * across + l, format), across,
                  format, n - j, depth - l < LANES ? depth - l : LANES);
  }
}

/* ---- tiles ---- */

#if defined(__clang__)
#define UNROLL_TILE _Pragma("unroll")
#else
#define UNROLL_TILE _Pragma("GCC unroll 16")
#endif

static inline __attribute__((always_inline)) __m512h fma_item(const uint16_t *x, __m512h b,
                                                              __m512h c) {
  __asm__("vfmadd231ph %1%{1to32%}, %2, %0" : "+v"(c) : "m"(*x), "v"(b));
  return c;
}
static inline __attribute__((always_inline)) __m512h mul_item(const uint16_t *x, __m512h b) {
  __m512h c;
  __asm__("vmulph %1%{1to32%}, %2, %0" : "=v"(c) : "m"(*x), "v"(b));
  return c;
}
static inline __m512 to_float(const uint16_t *x) {
  __m512 y;
  __asm__("vcvtph2psx %1, %0" : "=v"(y) : "m"(*(const __m256i_u *)(const void *)x));
  return y;
}

typedef struct operands {
  float *t;
  const uint16_t *a, *b;
  int64_t depth;
  bool first;
} operands;

/* One chain of fp16 sums for each of 32 columns and `rows` rows, which then joins the floats of t.
 * It goes there through memory: converting from there takes half of the work. */
static inline __attribute__((always_inline)) void tile_chains(const operands *o, const bool a_lies,
                                                              const int rows, const int vectors) {
  const int64_t a_rows = a_lies ? BLOCK : 1, a_cols = a_lies ? 1 : rows, b_rows = vectors * HALVES;
  const uint16_t *a = o->a, *b = o->b;
  float *t = o->t;
  bool first = o->first;
  for (int64_t left = o->depth; left > 0; left -= CHAIN) {
    uint16_t halves[ROWS * COLS] __attribute__((aligned(64)));
    __m512h sum[ROWS][VECTORS];
    UNROLL_TILE for (int v = 0; v < vectors; v++) {
      __m512h line = _mm512_loadu_ph(b + v * HALVES);
      UNROLL_TILE for (int r = 0; r < rows; r++) sum[r][v] = mul_item(a + r * a_rows, line);
    }
    a += a_cols;
    b += b_rows;
    for (int64_t l = left < CHAIN ? left : CHAIN; l > 1; l--) {
      __m512h line[VECTORS];
      UNROLL_TILE for (int v = 0; v < vectors; v++) line[v] = _mm512_loadu_ph(b + v * HALVES);
      UNROLL_TILE for (int r = 0; r < rows; r++) {
        UNROLL_TILE for (int v = 0; v < vectors; v++) sum[r][v] =
            fma_item(a + r * a_rows, line[v], sum[r][v]);
      }
      a += a_cols;
      b += b_rows;
    }
    UNROLL_TILE for (int r = 0; r < rows; r++) {
      UNROLL_TILE for (int v = 0; v < vectors; v++)
          _mm512_store_ph(halves + (r * vectors + v) * HALVES, sum[r][v]);
    }
    if (first) {
      for (int i = 0; i < rows * vectors * HALVES; i += 2 * LANES) {
        _mm512_storeu_ps(t + i, to_float(halves + i));
        _mm512_storeu_ps(t + i + LANES, to_float(halves + i + LANES));
      }
    } else {
      for (int i = 0; i < rows * vectors * HALVES; i += 2 * LANES) {
        __m512 low = _mm512_add_ps(_mm512_loadu_ps(t + i), to_float(halves + i));
        __m512 high = _mm512_add_ps(_mm512_loadu_ps(t + i + LANES), to_float(halves + i + LANES));
        _mm512_storeu_ps(t + i, low);
        _mm512_storeu_ps(t + i + LANES, high);
      }
    }
    first = false;
  }
}

#define EACH_ROW(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define TILE(rows)                                                                                 \
  static void lies_##rows(const operands *o, bool full) {                                          \
    if (full) tile_chains(o, true, rows, VECTORS);                                                 \
    else tile_chains(o, true, rows, 1);                                                            \
  }                                                                                                \
  static void beside_##rows(const operands *o, bool full) {                                        \
    if (full) tile_chains(o, false, rows, VECTORS);                                                \
    else tile_chains(o, false, rows, 1);                                                           \
  }
EACH_ROW(TILE)

#define TILE_NAMES(rows) {beside_##rows, lies_##rows},
static void (*const tiles[][2])(const operands *o, bool full) = {EACH_ROW(TILE_NAMES)};

static void tile(float *t, const void *a, bool a_lies, const void *b, int64_t b_rows, int64_t depth,
                 int rows, int width, bool first) {
  (void)b_rows; /* always packed */
  operands o = {.t = t, .a = a, .b = b, .depth = depth, .first = first};
  tiles[rows - 1][a_lies](&o, width == COLS);
}

#include "kernel/simd/gemm_put.inc"

const gemm_kernels *gemm_kernels_avx512fp16(void) {
  static const gemm_kernels record = {.name = "avx512-fp16",
                                      .rows = ROWS,
                                      .cols = COLS,
                                      .lanes = HALVES,
                                      .step = 1,
                                      .block = BLOCK,
                                      .depth = DEPTH,
                                      .panels = 40,
                                      .a_size = sizeof(uint16_t),
                                      .b_size = sizeof(uint16_t),
                                      .scaled = true,
                                      .pack_a = pack_a,
                                      .pack_b = pack_b,
                                      .tile = tile,
                                      .put = gemm_tile_put};
  return &record;
}
#endif
