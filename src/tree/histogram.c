/* Packed sums by bin. See histogram.h. */
#include "tree/histogram.h"

#include "base/thread.h"
#include "base/wide.h"

#include <math.h>
#include <string.h>

/* ---- whole numbers ------------------------------------------------------------------------- */

enum { SHARD = 16384, MOST_SHARDS = 64, MOST_ROW = 32767 };

typedef struct range {
  double gradient, gradients, hessian, hessians; /* largest, and sums, of magnitudes */
  bool constant;
} range;

typedef struct ranging {
  const float *gh;
  row_set rows;
  size_t shard;
  range *out;
} ranging;

static void range_shards(void *context, size_t begin, size_t end) {
  ranging *x = context;
  for (size_t s = begin; s < end; s++) {
    size_t from = s * x->shard, to = from + x->shard < x->rows.n ? from + x->shard : x->rows.n;
    range r = {.constant = true};
    float gradient = 0, hessian = 0;
    for (size_t i = from; i < to; i++) {
      const float *at = x->gh + 2 * (size_t)x->rows.rows[i];
      float g = fabsf(at[0]);
      gradient = g > gradient ? g : gradient;
      hessian = at[1] > hessian ? at[1] : hessian;
      r.gradients += (double)g;
      r.hessians += (double)at[1];
      r.constant &= at[1] == 1.0f;
    }
    r.gradient = (double)gradient;
    r.hessian = (double)hessian;
    x->out[s] = r;
  }
}

/* Largest power of two s with s x largest <= MOST_ROW and s x sum + n <= 2^31 - 1: each row may be
 * rounded up. A power of two changes no bit of what it multiplies. */
static double scale_for(double largest, double sum, size_t n) {
  if (!(largest > 0)) return 1;
  double room = 2147483647.0 - (double)n;
  double s = MOST_ROW / largest;
  if (room < sum * s) s = room / sum;
  int exponent;
  frexp(s, &exponent);
  return ldexp(1, exponent - 1);
}

typedef struct quantising {
  int32_t *q;
  const float *gh;
  const uint16_t *dither;
  row_set rows;
  float gradient, hessian;
  uint16_t moved;
  bool constant;
} quantising;

static void quantise_rows(void *context, size_t begin, size_t end) {
  const quantising *x = context;
  const float sg = x->gradient, sh = x->hessian;
  const uint32_t *rows = x->rows.rows;
  for (size_t i = begin; i < end; i++) {
    uint32_t row = rows[i];
    uint16_t d = (uint16_t)(x->dither[row] + x->moved);
    float u = (float)d * 0x1p-16f, v = (float)(uint16_t)~d * 0x1p-16f;
    float exact = x->gh[2 * (size_t)row] * sg + u;
    int32_t g = (int32_t)exact;
    g -= (float)g > exact; /* down, not towards zero */
    int32_t h = x->constant ? 1 : (int32_t)(x->gh[2 * (size_t)row + 1] * sh + v);
    x->q[row] = (int32_t)((uint32_t)g << 16 | (uint32_t)h);
  }
}

quantum histogram_quantise(int32_t *q, const float *gh, const uint16_t *dither, uint32_t round,
                           row_set rows) {
  range ranges[MOST_SHARDS], all = {.constant = true};
  ranging x = {.gh = gh, .rows = rows, .out = ranges};
  x.shard = rows.n / MOST_SHARDS + 1;
  if (x.shard < SHARD) x.shard = SHARD;
  size_t n_shards = (rows.n + x.shard - 1) / x.shard;
  thread_for(n_shards, 1, range_shards, &x);
  for (size_t s = 0; s < n_shards; s++) {
    all.gradient = fmax(all.gradient, ranges[s].gradient);
    all.hessian = fmax(all.hessian, ranges[s].hessian);
    all.gradients += ranges[s].gradients;
    all.hessians += ranges[s].hessians;
    all.constant &= ranges[s].constant;
  }
  double sg = scale_for(all.gradient, all.gradients, rows.n);
  double sh = all.constant ? 1 : scale_for(all.hessian, all.hessians, rows.n);
  quantising y = {.q = q,
                  .gh = gh,
                  .dither = dither,
                  .rows = rows,
                  .gradient = (float)sg,
                  .hessian = (float)sh,
                  .constant = all.constant,
                  .moved = (uint16_t)(round * 40503u)}; /* 2^16 / golden ratio */
  thread_for(rows.n, SHARD, quantise_rows, &y);
  return (quantum){1 / sg, 1 / sh, all.constant};
}

/* ---- sums ---------------------------------------------------------------------------------- */

enum { CHUNK = 1024, AHEAD = 24 };

#define ADD(k) h[(k)*BINS_CODES + (w >> (8 * ((k)&7)) & 255)] += g
#define ADD4(k) ADD(k), ADD((k) + 1), ADD((k) + 2), ADD((k) + 3)
#define LOAD8(o) memcpy(&w, x + (o), 8)
#define LOAD4(o) memcpy(&half, x + (o), 4), w = half

/* The rows of one block, `g` of each in order. Features of a row have sums of their own, so that
 * one addition seldom waits for another. */
#define BUILD(width, body)                                                                         \
  static void build_##width(packed *h, const uint8_t *block, const uint32_t *rows,                 \
                            const packed *gradients, size_t n) {                                   \
    for (size_t i = 0; i < n; i++) {                                                               \
      const uint8_t *x = block + (size_t)rows[i] * (width);                                        \
      if (i + AHEAD < n) __builtin_prefetch(block + (size_t)rows[i + AHEAD] * (width));            \
      const packed g = gradients[i];                                                               \
      uint64_t w;                                                                                  \
      uint32_t half;                                                                               \
      (void)half;                                                                                  \
      body;                                                                                        \
    }                                                                                              \
  }
BUILD(4, (LOAD4(0), ADD4(0)))
BUILD(8, (LOAD8(0), ADD4(0), ADD4(4)))
BUILD(12, (LOAD8(0), ADD4(0), ADD4(4), LOAD4(8), ADD4(8)))
BUILD(16, (LOAD8(0), ADD4(0), ADD4(4), LOAD8(8), ADD4(8), ADD4(12)))

static void build_block(packed *h, const bins *b, size_t block, const uint32_t *rows,
                        const packed *gradients, size_t n) {
  const uint8_t *x = bins_block(b, block);
  h += block * BINS_BLOCK * BINS_CODES;
  switch (bins_block_width(b, block)) {
  case 4: build_4(h, x, rows, gradients, n); break;
  case 8: build_8(h, x, rows, gradients, n); break;
  case 12: build_12(h, x, rows, gradients, n); break;
  default: build_16(h, x, rows, gradients, n); break;
  }
}

size_t histogram_words(const bins *b) {
  size_t last = bins_blocks(b) - 1;
  return (last * BINS_BLOCK + bins_block_width(b, last)) * BINS_CODES;
}

static void clear_blocks(packed *h, const bins *b, const uint8_t *use) {
  for (size_t k = 0; k < bins_blocks(b); k++)
    if (!use || use[k])
      memset(h + k * BINS_BLOCK * BINS_CODES, 0, bins_block_width(b, k) * BINS_CODES * sizeof *h);
}

/* Gradients are gathered once for all blocks, a chunk at a time, so that they stay near. */
static void add_rows(packed *h, const bins *b, const uint32_t *rows, size_t n, const int32_t *q,
                     const uint8_t *use) {
  packed gradients[CHUNK];
  for (size_t i = 0; i < n; i += CHUNK) {
    size_t m = n - i < CHUNK ? n - i : CHUNK;
    for (size_t k = 0; k < m; k++) gradients[k] = packed_of_row(q[rows[i + k]]);
    for (size_t k = 0; k < bins_blocks(b); k++)
      if (!use || use[k]) build_block(h, b, k, rows + i, gradients, m);
  }
}

typedef struct building {
  packed *h, *scratch;
  const bins *b;
  row_set rows;
  const int32_t *q;
  const uint8_t *use;
  size_t n_parts, words;
} building;

static void build_parts(void *context, size_t begin, size_t end) {
  const building *x = context;
  for (size_t p = begin; p < end; p++) {
    packed *h = p == 0 ? x->h : x->scratch + (p - 1) * x->words;
    size_t from = x->rows.n * p / x->n_parts, to = x->rows.n * (p + 1) / x->n_parts;
    clear_blocks(h, x->b, x->use);
    add_rows(h, x->b, x->rows.rows + from, to - from, x->q, x->use);
  }
}

static void add_parts(void *context, size_t begin, size_t end) {
  const building *x = context;
  for (size_t p = 1; p < x->n_parts; p++) {
    const packed *from = x->scratch + (p - 1) * x->words;
    for (size_t i = begin; i < end; i++) x->h[i] += from[i];
  }
}

void histogram_build(packed *h, const bins *b, row_set rows, const int32_t *q, packed *scratch,
                     const uint8_t *use) {
  enum { WORTH_A_THREAD = 4096 };
  size_t parts = (size_t)thread_count(), most = rows.n / WORTH_A_THREAD;
  if (parts > most) parts = most;
  building x = {h, scratch, b, rows, q, use, parts > 1 ? parts : 1, histogram_words(b)};
  thread_for(x.n_parts, 1, build_parts, &x);
  if (x.n_parts > 1) thread_for(x.words, BINS_CODES * 4, add_parts, &x);
}

WIDE static void subtract(packed *restrict parent, const packed *restrict child, size_t words) {
  for (size_t i = 0; i < words; i++) parent[i] -= child[i];
}

void histogram_subtract(packed *parent, const packed *child, size_t words) {
  subtract(parent, child, words);
}

packed histogram_row_sum(row_set rows, const int32_t *q) {
  packed sum = 0;
  for (size_t i = 0; i < rows.n; i++) sum += packed_of_row(q[rows.rows[i]]);
  return sum;
}
