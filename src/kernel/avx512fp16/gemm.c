/* Products in half precision for AVX512-FP16, whose multiply-adds are twice as many as those of
 * floats.
 *
 * An item is divided by a power of two, one for each row of A (column of B) and block of k, such
 * that the greatest is between 8 and 16, and rounded to fp16. So it keeps 11 bits, three more than
 * bf16, down to 2^-17 of the greatest of its row, and bf16's 8 bits down to 2^-20 of it; what is
 * smaller than that counts for nothing beside the greatest. CHAIN products are summed in fp16,
 * two such sums are added in fp16, where they reach 2^14 at most (fp16 ends at 2^16), and go to a
 * float. An fp16 sum of 32 is off by about 2^-10.8 of its size, bf16's rounding of operands by
 * 2^-8.5: the format's own bounds hold, and the test measures it. Chains of 48 do not keep them
 * when all operands are about equal and every rounding goes the same way. Infinities and NaN stay
 * what they are. */
#include "kernel/gemm_tiled.h"

#if defined(__x86_64__)
#include "kernel/avx512/lanes.h"
#include "kernel/avx512/turn.h"
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
  TOP = 3, /* the exponent of the greatest of a row */
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

static inline void store_half(uint16_t *out, __m512 x) {
  _mm256_storeu_si256((__m256i_u *)(void *)out, to_half(x));
}

static const void *items_at(const void *x, int64_t i, gemm_format format) {
  return (const char *)x + i * (format == GEMM_BF16 ? 2 : 4);
}

enum { SIDE_BY_SIDE = 4 }; /* vectors of columns that are packed together: no shreds of lines */

/* Lines of k where columns are next to each other: vectors of columns `step` apart from x on, `n`
 * columns in all; vector v goes to out + v * apart, its lines `width` apart. Of a line `width` or
 * 16 items are meant: a store may write more, the next ones put it right, and the last are cut. */
static inline __attribute__((always_inline)) void
pack_columns(uint16_t *out, int64_t apart, int64_t width, float *scale, const void *x,
             int64_t along, gemm_format format, int64_t n, const int64_t step, int64_t depth) {
  __mmask16 kept[SIDE_BY_SIDE];
  __m512i most[SIDE_BY_SIDE];
  __m512 factor[SIDE_BY_SIDE];
  UNROLL for (int v = 0; v < SIDE_BY_SIDE; v++) {
    kept[v] = first_lanes(n - v * step < step ? n - v * step : step);
    most[v] = _mm512_setzero_si512();
  }
  for (int64_t l = 0; l < depth; l++) {
    UNROLL for (int v = 0; v < SIDE_BY_SIDE; v++) {
      most[v] = greater_bits(most[v], load_items(x, l * along + v * step, format, kept[v]));
    }
  }
  UNROLL for (int v = 0; v < SIDE_BY_SIDE; v++) {
    __m512 power = scale_of(most[v], &factor[v]);
    if (step == LANES) {
      if (v * step < n) _mm512_storeu_ps(scale + v * step, power);
    } else {
      _mm512_mask_storeu_ps(scale + v * step, kept[v], power);
    }
  }
  int64_t vectors = (n + step - 1) / step;
  for (int64_t l = 0; l < depth; l++) {
    UNROLL for (int v = 0; v < SIDE_BY_SIDE; v++) {
      if (v >= vectors) break;
      __m512 items = _mm512_mul_ps(load_items(x, l * along + v * step, format, kept[v]), factor[v]);
      int64_t own = step == LANES ? width : n - v * step < step ? n - v * step : step;
      uint16_t *to = out + v * apart + l * own;
      if (step == LANES || (depth - l) * own >= LANES) store_half(to, items);
      else _mm256_mask_storeu_epi16(to, first_lanes(own), to_half(items));
    }
  }
}

static __m512i row_greatest(const void *x, gemm_format format, int64_t depth) {
  __m512i most = _mm512_setzero_si512();
  for (int64_t l = 0; l < depth; l += LANES)
    most = greater_bits(most, load_items(x, l, format, first_lanes(depth - l)));
  return _mm512_set1_epi32(_mm512_reduce_max_epi32(most));
}

static void pack_lying(uint16_t *to, float *scale, const void *x, int64_t across,
                       gemm_format format, int64_t n, int64_t depth) {
  for (int64_t r = 0; r < n; r++) {
    const void *row = items_at(x, r * across, format);
    __m512 factor, power = scale_of(row_greatest(row, format, depth), &factor);
    scale[r] = _mm512_cvtss_f32(power);
    for (int64_t l = 0; l < depth; l += LANES) {
      __m512 items = load_items(row, l, format, first_lanes(depth - l));
      store_half(to + l / BLOCK * n * BLOCK + r * BLOCK + l % BLOCK, _mm512_mul_ps(items, factor));
    }
  }
}

static void pack_a(void *out, size_t panel_bytes, float *scale, const void *x, int64_t across,
                   int64_t along, gemm_format format, int64_t n, int64_t depth) {
  int64_t group = along == 1 ? ROWS : SIDE_BY_SIDE * ROWS;
  for (int64_t i = 0; i < n; i += group) {
    int64_t some = n - i < group ? n - i : group;
    uint16_t *to = (uint16_t *)(void *)((char *)out + (size_t)(i / ROWS) * panel_bytes);
    const void *from = items_at(x, i * across, format);
    if (along == 1) pack_lying(to, scale + i, from, across, format, some, depth);
    else
      pack_columns(to, (int64_t)(panel_bytes / sizeof *to), ROWS, scale + i, from, along, format,
                   some, ROWS, depth);
  }
}

/* 16 by 16 floats: rows of x, one for each of n columns, become lines of out. */
static inline void pack_square(uint16_t *out, int64_t width, __m512 factor, const float *x,
                               int64_t across, int64_t n) {
  const float *row[LANES];
  __mmask16 kept = first_lanes(n);
  for (int i = 0; i < LANES; i++) row[i] = x + (i < n ? i : 0) * across;
  for (int q = 0; q < LANES; q += 4) {
    __m512 line[4];
    turn_four(line, row, q);
    UNROLL for (int i = 0; i < 4; i++) {
      store_half(out + (q + i) * width, _mm512_maskz_mul_ps(kept, line[i], factor));
    }
  }
}

static void pack_items(uint16_t *out, int64_t width, const float *factors, const void *x,
                       int64_t across, gemm_format format, int64_t n, int64_t depth) {
  for (int64_t i = 0; i < LANES; i++)
    for (int64_t l = 0; l < depth; l += LANES) {
      uint16_t items[LANES];
      __m512 row = _mm512_setzero_ps();
      if (i < n) row = load_items(x, i * across + l, format, first_lanes(depth - l));
      store_half(items, _mm512_mul_ps(row, _mm512_set1_ps(factors[i])));
      for (int64_t k = 0; k < LANES && l + k < depth; k++) out[(l + k) * width + i] = items[k];
    }
}

/* 16 columns of a B that lies across */
static void pack_turned(uint16_t *out, int64_t width, float *scale, const void *x, int64_t across,
                        gemm_format format, int64_t n, int64_t depth) {
  float factors[LANES];
  for (int64_t i = 0; i < LANES; i++) {
    __m512i most = _mm512_setzero_si512();
    if (i < n) most = row_greatest(items_at(x, i * across, format), format, depth);
    __m512 factor, power = scale_of(most, &factor);
    scale[i] = _mm512_cvtss_f32(power);
    factors[i] = _mm512_cvtss_f32(factor);
  }
  int64_t whole = format == GEMM_REAL && n > 0 ? depth - depth % LANES : 0;
  for (int64_t l = 0; l < whole; l += LANES)
    pack_square(out + l * width, width, _mm512_loadu_ps(factors), (const float *)x + l, across, n);
  pack_items(out + whole * width, width, factors, items_at(x, whole, format), across, format, n,
             depth - whole);
}

static void pack_b(void *out, float *scale, const void *x, int64_t across, int64_t along,
                   gemm_format format, int64_t n, int64_t depth, int64_t width) {
  uint16_t *to = out;
  if (across == 1) {
    pack_columns(to, LANES, width, scale, x, along, format, n, LANES, depth);
    for (int64_t j = (n + LANES - 1) / LANES * LANES; j < width; j += LANES) {
      _mm512_storeu_ps(scale + j, _mm512_set1_ps(1));
      for (int64_t l = 0; l < depth; l++) store_half(to + l * width + j, _mm512_setzero_ps());
    }
    return;
  }
  for (int64_t j = 0; j < width; j += LANES)
    pack_turned(to + j, width, scale + j, items_at(x, j * across, format), across, format, n - j,
                depth);
}

/* ---- tiles ---- */

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

/* Chains of fp16 sums for each of 32 columns and `rows` rows; each second one takes the one before
 * it along, and joins the floats of t: pairs keep the error of one chain at half of the cost. It
 * goes there through memory: converting from there takes half of the work. */
static inline __attribute__((always_inline)) void tile_chains(const operands *o, const bool a_lies,
                                                              const int rows, const int vectors) {
  const int64_t a_rows = a_lies ? BLOCK : 1, a_cols = a_lies ? 1 : rows, b_rows = vectors * HALVES;
  const uint16_t *a = o->a, *b = o->b;
  float *t = o->t;
  bool first = o->first, second = false;
  uint16_t halves[ROWS * COLS] __attribute__((aligned(64)));
  for (int64_t left = o->depth; left > 0; left -= CHAIN) {
    __m512h sum[ROWS][VECTORS];
    UNROLL_TILE for (int v = 0; v < vectors; v++) {
      __m512h line = _mm512_loadu_ph(b + v * HALVES);
      UNROLL_TILE for (int r = 0; r < rows; r++) sum[r][v] = mul_item(a + r * a_rows, line);
    }
    a += a_cols;
    b += b_rows;
    UNROLL_DEPTH for (int64_t l = left < CHAIN ? left : CHAIN; l > 1; l--) {
      __m512h line[VECTORS];
      UNROLL_TILE for (int v = 0; v < vectors; v++) line[v] = _mm512_loadu_ph(b + v * HALVES);
      UNROLL_TILE for (int r = 0; r < rows; r++) {
        UNROLL_TILE for (int v = 0; v < vectors; v++) sum[r][v] =
            fma_item(a + r * a_rows, line[v], sum[r][v]);
      }
      a += a_cols;
      b += b_rows;
    }
    if (second) {
      UNROLL_TILE for (int r = 0; r < rows; r++) {
        UNROLL_TILE for (int v = 0; v < vectors; v++) sum[r][v] =
            _mm512_add_ph(sum[r][v], _mm512_load_ph(halves + (r * vectors + v) * HALVES));
      }
    }
    UNROLL_TILE for (int r = 0; r < rows; r++) {
      UNROLL_TILE for (int v = 0; v < vectors; v++)
          _mm512_store_ph(halves + (r * vectors + v) * HALVES, sum[r][v]);
    }
    second = !second && left > CHAIN;
    if (second) continue;
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
