/* From numbers to the codes of their bins, for all rows of a dataset. */
#include "base/mem.h"
#include "base/thread.h"
#include "tree/bins_inner.h"

#include <math.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

void *bins_large(size_t bytes) {
  const size_t page = (size_t)2 << 20;
  if (bytes < page) return mem_alloc_aligned((bytes + 64) / 64 * 64, 64);
  bytes = (bytes + page - 1) / page * page;
  void *p = mem_alloc_aligned(bytes, page);
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (p) madvise(p, bytes, MADV_HUGEPAGE); /* only a wish */
#endif
  return p;
}

static uint8_t category_code(const bin_feature *f, float x) {
  if (!(x > -1 && x < 0x1p31f)) return BINS_MISSING;
  for (int k = 0; k < f->n_bins; k++)
    if (f->category[k] == (int32_t)x) return (uint8_t)k;
  return BINS_MISSING;
}

uint8_t bins_code(const bin_feature *f, float x) {
  if (f->categorical) return category_code(f, x);
  if (isnan(x)) return BINS_MISSING;
  int code = 0;
  while (code + 1 < f->n_bins && f->edge[code] < x) code++;
  return (uint8_t)code;
}

float bins_threshold(const bin_feature *f, int code) {
  return code + 1 < f->n_bins ? f->edge[code] : INFINITY;
}

enum { TILE = 64 };

/* How many of the 255 edges (the last ones infinite) are below x: eight halvings without a branch,
 * several rows on their way at once. */
static void search_tile(uint8_t *restrict code, const float *restrict x,
                        const float *restrict edge) {
  for (int i = 0; i < TILE; i++) {
    const float v = x[i];
    uint32_t at = (uint32_t)(edge[127] < v) << 7;
    at += (uint32_t)(edge[at + 63] < v) << 6;
    at += (uint32_t)(edge[at + 31] < v) << 5;
    at += (uint32_t)(edge[at + 15] < v) << 4;
    at += (uint32_t)(edge[at + 7] < v) << 3;
    at += (uint32_t)(edge[at + 3] < v) << 2;
    at += (uint32_t)(edge[at + 1] < v) << 1;
    at += (uint32_t)(edge[at] < v);
    code[i] = v == v ? (uint8_t)at : BINS_MISSING;
  }
}

typedef struct encoding {
  bins *b;
  const dataset *d;
} encoding;

static void encode_rows(void *context, size_t begin, size_t end) {
  const encoding *e = context;
  bins *b = e->b;
  size_t width = b->n_features;
  float x[TILE];
  uint8_t code[TILE];
  for (size_t row = begin; row < end; row += TILE) {
    size_t n = end - row < TILE ? end - row : TILE;
    const float *from = e->d->x + row * width;
    for (size_t j = 0; j < width; j++) {
      const bin_feature *f = &b->features[j];
      for (size_t i = 0; i < n; i++) x[i] = from[i * width + j];
      for (size_t i = n; i < TILE; i++) x[i] = 0;
      if (f->categorical)
        for (size_t i = 0; i < n; i++) code[i] = category_code(f, x[i]);
      else search_tile(code, x, f->edge);
      memcpy(b->columns + j * b->stride + row, code, n);
    }
    for (size_t block = 0; block < bins_blocks(b); block++) {
      size_t wide = bins_block_width(b, block), first = block * BINS_BLOCK;
      uint8_t *to = b->rows + first * b->n_rows + row * wide;
      for (size_t k = 0; k < wide; k++) {
        const uint8_t *column =
            first + k < width ? b->columns + (first + k) * b->stride + row : NULL;
        for (size_t i = 0; i < n; i++) to[i * wide + k] = column ? column[i] : 0;
      }
    }
  }
}

void bins_encode(bins *b, const dataset *d) {
  encoding e = {b, d};
  for (size_t j = 0; j < b->n_features; j++)
    memset(b->columns + j * b->stride + b->n_rows, 0, b->stride - b->n_rows);
  thread_for(b->n_rows, TILE * 64, encode_rows, &e);
}

void bins_find_missing(bins *b, row_set rows) {
  for (size_t j = 0; j < b->n_features; j++) {
    const uint8_t *column = b->columns + j * b->stride;
    uint8_t found = 0;
    for (size_t i = 0; i < rows.n; i++) found |= column[rows.rows[i]] == BINS_MISSING;
    b->features[j].has_missing = found;
  }
}
