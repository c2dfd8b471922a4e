/* The walk over tiles: which part of C a task computes, where its packed pieces lie, and how many
 * threads are worth waking. */
#include "kernel/gemm_tiled.h"

#include "kernel/ref/shard.h"

#include <string.h>

enum {
  WORTH_A_THREAD = 1 << 21,   /* operations that a thread must find to be woken */
  TASKS_PER_THREAD = 4,       /* of large products: threads are not equally fast */
  A_BYTES = 320 << 10,        /* of A as it lies that a task may go over once for each strip of B */
  B_BYTES = 64 << 10,         /* of a block of B as it lies */
  A_BYTES_ACROSS = 128 << 10, /* the same where it lies across */
};

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

static const char *item(const void *base, int64_t items, gemm_format format) {
  return (const char *)base + items * (format == GEMM_BF16 ? 2 : 4);
}

static double operations(const gemm_shape *s) {
  return 2.0 * (double)s->m * (double)s->n * (double)s->k;
}

/* Where what tiles read of A lies within a part of the second cache anyway, a copy in another order
 * gains nothing. Rows far apart would fall on few sets of it. */
static bool a_fits(const tiled_product *p) {
  const gemm_shape *s = &p->shape;
  const gemm_kernels *g = p->kernels;
  int64_t lines = s->transpose_a ? least(s->k, g->depth) : least(s->m, p->panels * g->rows);
  return lines * s->lda * (int64_t)sizeof(float) <= (s->transpose_a ? A_BYTES_ACROSS : A_BYTES);
}

/* The same of B. */
static bool b_fits(const tiled_product *p) {
  const gemm_shape *s = &p->shape;
  return least(s->k, p->kernels->depth) * s->ldb * (int64_t)sizeof(float) <= B_BYTES;
}

void tiled_prepare(tiled_product *p, const gemm_shape *s, const gemm_kernels *g) {
  *p = (tiled_product){.shape = *s, .kernels = g};
  p->padded = (int64_t)round_up((size_t)s->n, (size_t)g->lanes);
  p->n_blocks = divide_up(s->k, g->depth);
  int64_t down = divide_up(s->m, g->rows), over = divide_up(s->n, g->cols);
  /* A small C and a long sum: threads find work only along k. */
  p->apart = s->batch == 1 && p->n_blocks > 1 && down * over <= 64 && down * over < p->n_blocks * 8;
  p->panels = least(down, g->panels);
  p->in_place = g->b_size == sizeof(float) && s->format_b == GEMM_REAL && !s->transpose_b &&
                (s->m <= g->rows || (g->straight && b_fits(p)));
  p->a_in_place = g->straight && g->a_size == sizeof(float) && s->format_a == GEMM_REAL &&
                  !p->apart && a_fits(p);
  /* Where several tasks would pack the same strips of B, they are packed once, before all of
   * them; the tasks then take rows, and pack those of A, transposed ones too, once. */
  p->ahead = s->batch == 1 && s->format_b != GEMM_PACKED && !p->in_place && !p->apart && down > 8 &&
             operations(s) > 32.0 * WORTH_A_THREAD;
  if (p->ahead) p->ahead_bytes = round_up(tiled_pack_bytes(p), 64);
  size_t depth = round_up((size_t)least(s->k, g->depth), (size_t)g->block);
  p->a_bytes =
      round_up((size_t)p->panels * (size_t)g->rows * (depth * g->a_size + sizeof(float)), 64);
  p->tile_bytes = round_up((size_t)p->panels * (size_t)(g->rows * g->cols) * sizeof(float), 64);
  p->b_bytes = s->format_b == GEMM_PACKED || p->ahead
                   ? 0
                   : round_up((size_t)g->cols * (depth * g->b_size + sizeof(float)), 64);
  p->lane_bytes = p->a_bytes + p->tile_bytes + p->b_bytes;
  p->lanes = shard_lanes(operations(s) * (double)s->batch < 2.0 * WORTH_A_THREAD ? 1 : SIZE_MAX);
  if (p->apart) {
    size_t floats = (size_t)(round_up((size_t)s->m, (size_t)g->rows) * (size_t)p->padded);
    size_t scales = g->scaled ? round_up((size_t)s->m, (size_t)g->rows) + (size_t)p->padded : 0;
    p->sums_bytes = round_up((floats + scales) * sizeof(float), 64);
  }
}

size_t tiled_scratch(const tiled_product *p) {
  return p->ahead_bytes + p->lanes * p->lane_bytes +
         (size_t)(p->apart ? p->n_blocks : 0) * p->sums_bytes;
}

/* ---- packed weights: blocks of k, in each strips; behind all of them the scales ---- */

static int64_t padded_k(const tiled_product *p) {
  return (int64_t)round_up((size_t)p->shape.k, (size_t)p->kernels->step);
}

static size_t packed_items_bytes(const tiled_product *p) {
  return round_up((size_t)(padded_k(p) * p->padded) * p->kernels->b_size, 64);
}

size_t tiled_pack_bytes(const tiled_product *p) {
  size_t scales = p->kernels->scaled ? (size_t)(p->n_blocks * p->padded) * sizeof(float) : 0;
  return round_up(packed_items_bytes(p) + scales, 64);
}

typedef struct strip {
  const void *items;
  const float *scale;
  int64_t rows;  /* items from one to the next */
  int64_t width; /* as packed */
} strip;

static int64_t block_depth(const tiled_product *p, int64_t block) {
  return least(p->shape.k - block * p->kernels->depth, p->kernels->depth);
}

/* of block `block` of k, columns from j */
static strip packed_strip(const tiled_product *p, const void *packed, int64_t block, int64_t j) {
  const gemm_kernels *g = p->kernels;
  int64_t depth = (int64_t)round_up((size_t)block_depth(p, block), (size_t)g->step);
  const char *items = packed, *scales = items + packed_items_bytes(p);
  strip b = {.items = items + (size_t)(block * g->depth * p->padded + j * depth) * g->b_size,
             .width = least(g->cols, p->padded - j)};
  b.rows = b.width;
  if (g->scaled) b.scale = (const float *)(const void *)scales + block * p->padded + j;
  return b;
}

static void pack_strip(const tiled_product *p, void *out, float *scale, const void *b,
                       gemm_format format, int64_t block, int64_t j, int64_t width) {
  const gemm_shape *s = &p->shape;
  int64_t across = s->transpose_b ? s->ldb : 1, along = s->transpose_b ? 1 : s->ldb;
  p->kernels->pack_b(out, scale, item(b, block * p->kernels->depth * along + j * across, format),
                     across, along, format, least(width, s->n - j), block_depth(p, block), width);
}

void tiled_pack(const tiled_product *p, void *packed, const void *b, gemm_format format) {
  int64_t over = divide_up(p->shape.n, p->kernels->cols);
  THREADS(p->shape.n * p->shape.k, for (int64_t t = 0; t < over * p->n_blocks; t++), {
    int64_t block = t / over, j = t % over * p->kernels->cols;
    strip to = packed_strip(p, packed, block, j);
    char *items = (char *)packed + ((const char *)to.items - (const char *)packed);
    float *scale = NULL;
    if (to.scale)
      scale = (float *)(void *)((char *)packed + ((const char *)to.scale - (const char *)packed));
    pack_strip(p, items, scale, b, format, block, j, to.width);
  });
}

/* ---- one task ---- */

typedef struct operands {
  float *c;
  const void *a, *b;
  const float *bias;
} operands;

static int64_t a_across(const gemm_shape *s) {
  return s->transpose_a ? 1 : s->lda;
}

static int64_t a_along(const gemm_shape *s) {
  return s->transpose_a ? s->lda : 1;
}

/* rows [i, i + rows) of block `block` of k, in panels */
static void pack_rows(const tiled_product *p, char *out, float *scale, const void *a, int64_t i,
                      int64_t rows, int64_t block) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  int64_t depth = block_depth(p, block);
  size_t panel_bytes = (size_t)g->rows * round_up((size_t)depth, (size_t)g->block) * g->a_size;
  g->pack_a(out, panel_bytes, scale,
            item(a, i * a_across(s) + block * g->depth * a_along(s), s->format_a), a_across(s),
            a_along(s), s->format_a, rows, depth);
}

/* A strip of a B that is not packed: into `items` and `scale`. With few rows, packing would take
 * longer than reading it once as it lies. */
static strip plain_strip(const tiled_product *p, const void *b, int64_t block, int64_t j,
                         char *items, float *scale) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  int64_t width = least(g->cols, p->padded - j);
  if (p->in_place && s->n - j >= width)
    return (strip){item(b, block * g->depth * s->ldb + j, GEMM_REAL), NULL, s->ldb, width};
  pack_strip(p, items, scale, b, s->format_b, block, j, width);
  return (strip){items, scale, width, width};
}

/* What is done with block `block`'s sums: the first one meets the old C, the last one the bias. */
static gemm_put put_of(const tiled_product *p, int64_t block) {
  const gemm_shape *s = &p->shape;
  bool last = block == p->n_blocks - 1;
  return (gemm_put){.alpha = (float)s->alpha,
                    .beta = block == 0 ? (float)s->beta : 1,
                    .activation = last ? s->activation : KERNEL_IDENTITY};
}

static void tile_put(const tiled_product *p, const operands *o, const float *tile, int64_t i,
                     int64_t rows, int64_t j, const strip *b, const float *row_scale,
                     int64_t block) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  gemm_put how = put_of(p, block);
  if (o->bias && block == p->n_blocks - 1) how.bias = o->bias + j;
  if (g->scaled) {
    how.row_scale = row_scale;
    how.col_scale = b->scale;
  }
  g->put(o->c + i * s->ldc + j, s->ldc, tile, b->width, (int)rows, (int)least(b->width, s->n - j),
         &how);
}

/* Sums of packed rows [i, i + rows) with the strip at column j, into tiles one behind another; each
 * goes to C, if there is one, as soon as it is complete and while it is in the first cache. */
static void strip_run(const tiled_product *p, const operands *o, float *tiles, const char *a,
                      int64_t i, int64_t rows, int64_t j, const strip *b, const float *row_scale,
                      int64_t block) {
  const gemm_kernels *g = p->kernels;
  int64_t depth = block_depth(p, block);
  int64_t packed_depth = (int64_t)round_up((size_t)depth, (size_t)g->step);
  size_t row_bytes = round_up((size_t)depth, (size_t)g->block) * g->a_size;
  const char *items = b->items;
  for (int64_t l = 0; l < packed_depth; l += g->block) {
    int64_t d = least(g->block, packed_depth - l);
    for (int64_t r = 0; r < rows; r += g->rows) {
      int64_t n = least(g->rows, rows - r);
      float *tile = tiles + r * b->width;
      g->tile(tile, a + (size_t)r * row_bytes + (size_t)(l * n) * g->a_size, !p->shape.transpose_a,
              items + (size_t)(l * b->rows) * g->b_size, b->rows, d, (int)n, (int)b->width, l == 0);
      if (o && l + d == packed_depth)
        tile_put(p, o, tile, i + r, n, j, b, g->scaled ? row_scale + r : NULL, block);
    }
  }
}

/* Rows of A from row i, block `block` of k, where they lie or as packed; in units of a float. */
static gemm_lines lines_of(const tiled_product *p, const void *a, int64_t i, int64_t block,
                           const void *packed) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  int64_t depth = block_depth(p, block), unit = g->step;
  if (p->a_in_place) {
    int64_t across = a_across(s), along = a_along(s);
    return (gemm_lines){.a = (const float *)a + i * across + block * g->depth * along,
                        .a_across = across,
                        .a_along = along,
                        .a_tile = g->rows * across,
                        .depth = depth};
  }
  return (gemm_lines){.a = packed,
                      .a_across = s->transpose_a ? 1 : g->block / unit,
                      .a_along = s->transpose_a ? g->rows : 1,
                      .a_tile = g->rows * (int64_t)round_up((size_t)depth, (size_t)g->block) / unit,
                      .depth = divide_up(depth, unit)};
}

/* A's rows [i, i + rows) of block `block` as they lie, for a walk in the order of memory. */
static gemm_ahead ahead_of(const tiled_product *p, const void *a, int64_t i, int64_t rows,
                           int64_t block) {
  const gemm_shape *s = &p->shape;
  int64_t depth = block_depth(p, block);
  const char *at = item(a, i * a_across(s) + block * p->kernels->depth * a_along(s), s->format_a);
  int64_t size = s->format_a == GEMM_BF16 ? 2 : 4;
  return (gemm_ahead){.at = at,
                      .lines = s->transpose_a ? depth : rows,
                      .apart = s->lda * size,
                      .bytes = (s->transpose_a ? rows : depth) * size};
}

/* What strip_run does where tiles go to C in one go. */
static void strip_straight(const tiled_product *p, const operands *o, const gemm_lines *a,
                           int64_t i, int64_t rows, int64_t j, const strip *b, int64_t block) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  gemm_lines lines = *a;
  gemm_put how = put_of(p, block);
  if (o->bias && block == p->n_blocks - 1) how.bias = o->bias + j;
  lines.b = b->items;
  lines.b_rows = b->rows;
  int cols = (int)least(b->width, s->n - j), width = (int)b->width;
  float *c = o->c + i * s->ldc + j;
  int64_t rest = p->a_in_place || !s->transpose_a ? 0 : rows % g->rows, full = rows - rest;
  g->straight(c, s->ldc, &lines, full, cols, width, &how);
  if (rest == 0) return;
  lines.a += full / g->rows * lines.a_tile; /* a panel of fewer rows: its lines are shorter */
  lines.a_along = rest;
  g->straight(c + full * s->ldc, s->ldc, &lines, rest, cols, width, &how);
}

/* C's rows [i0,i1) and columns [j0,j1), of all k, or of one block of it into `sums`. */
static void region_run(const tiled_product *p, const operands *o, int64_t i0, int64_t i1,
                       int64_t j0, int64_t j1, char *lane) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  char *a = lane, *strip_items = lane + p->a_bytes + p->tile_bytes;
  float *row_scale = (float *)(void *)(lane + p->a_bytes) - p->panels * g->rows;
  float *tiles = (float *)(void *)(lane + p->a_bytes);
  float *col_scale = (float *)(void *)(strip_items + p->b_bytes) - g->cols;
  int64_t pieces = divide_up(i1 - i0, p->panels * g->rows);
  int64_t height = (int64_t)round_up((size_t)divide_up(i1 - i0, pieces), (size_t)g->rows);
  for (int64_t i = i0; i < i1; i += height) {
    int64_t rows = least(height, i1 - i);
    for (int64_t block = 0; block < p->n_blocks; block++) {
      gemm_lines lines = lines_of(p, o->a, i, block, a);
      gemm_ahead ahead = {0};
      if (!p->a_in_place) {
        pack_rows(p, a, row_scale, o->a, i, rows, block);
        if (block + 1 < p->n_blocks) ahead = ahead_of(p, o->a, i, rows, block + 1);
        else if (i + rows < p->shape.m)
          ahead = ahead_of(p, o->a, i + rows, least(height, p->shape.m - i - rows), 0);
        lines.ahead = &ahead;
      }
      for (int64_t j = j0; j < j1; j += g->cols) {
        strip b;
        if (s->format_b == GEMM_PACKED) b = packed_strip(p, o->b, block, j);
        else b = plain_strip(p, o->b, block, j, strip_items, col_scale);
        if (g->straight) strip_straight(p, o, &lines, i, rows, j, &b, block);
        else strip_run(p, o, tiles, a, i, rows, j, &b, row_scale, block);
      }
    }
  }
}

/* ---- all tasks ---- */

typedef struct grid {
  int64_t down, over;     /* tasks */
  int64_t panels, strips; /* that they share as evenly as can be */
} grid;

/* How C is cut into about n_tasks. Along rows where B is packed already; else so that as little
 * as possible is packed twice. What is computed does not depend on it. */
static grid cut(const tiled_product *p, int64_t n_tasks) {
  const gemm_shape *s = &p->shape;
  const gemm_kernels *g = p->kernels;
  int64_t panels = divide_up(s->m, g->rows), strips = divide_up(s->n, g->cols);
  grid c = {.down = 1, .over = 1, .panels = panels, .strips = strips};
  while (c.down * c.over < n_tasks) {
    int64_t tall = panels / c.down, wide = strips / c.over; /* of a task */
    bool rows =
        s->format_b == GEMM_PACKED ? tall >= 4 || wide < 2 : tall * g->rows >= wide * g->cols;
    if ((rows ? tall : wide) < 2) rows = !rows;
    if ((rows ? tall : wide) < 2) break;
    if (rows) c.down *= 2;
    else c.over *= 2;
  }
  return c;
}

static operands operands_of(const tiled_product *p, const operands *o, int64_t batch) {
  const gemm_shape *s = &p->shape;
  operands one = *o;
  one.c += batch * s->stride_c;
  one.a = item(o->a, batch * s->stride_a, s->format_a);
  if (s->format_b != GEMM_PACKED) one.b = item(o->b, batch * s->stride_b, s->format_b);
  return one;
}

static void task_run(const tiled_product *p, const operands *o, const grid *c, int64_t t,
                     char *lane) {
  const gemm_shape *s = &p->shape;
  operands one = operands_of(p, o, t / (c->down * c->over));
  const gemm_kernels *g = p->kernels;
  int64_t down = t / c->over % c->down, over = t % c->over;
  int64_t i = down * c->panels / c->down * g->rows, j = over * c->strips / c->over * g->cols;
  int64_t i_end = (down + 1) * c->panels / c->down * g->rows;
  int64_t j_end = (over + 1) * c->strips / c->over * g->cols;
  region_run(p, &one, i, least(s->m, i_end), j, least(s->n, j_end), lane);
}

/* Block by block of k, each into sums of its own; then all are added in order. */
static void sums_run(const tiled_product *p, const operands *o, int64_t block, char *sums,
                     char *lane) {
  const gemm_kernels *g = p->kernels;
  const gemm_shape *s = &p->shape;
  char *strip_items = lane + p->a_bytes + p->tile_bytes;
  int64_t tall = (int64_t)round_up((size_t)s->m, (size_t)g->rows);
  float *tiles = (float *)(void *)sums, *row_scale = tiles + tall * p->padded,
        *col_scale = row_scale + tall;
  for (int64_t i = 0; i < s->m; i += p->panels * g->rows) {
    int64_t rows = least(p->panels * g->rows, s->m - i);
    pack_rows(p, lane, g->scaled ? row_scale + i : NULL, o->a, i, rows, block);
    for (int64_t j = 0; j < s->n; j += g->cols) {
      strip b;
      if (s->format_b == GEMM_PACKED) {
        b = packed_strip(p, o->b, block, j);
        if (g->scaled) memcpy(col_scale + j, b.scale, (size_t)b.width * sizeof(float));
      } else {
        b = plain_strip(p, o->b, block, j, strip_items, g->scaled ? col_scale + j : NULL);
      }
      strip_run(p, NULL, tiles + tall * j + i * b.width, lane, i, rows, j, &b, NULL, block);
    }
  }
}

static void sums_put(const tiled_product *p, const operands *o, char *sums, int64_t j) {
  const gemm_shape *s = &p->shape;
  int64_t tall = (int64_t)round_up((size_t)s->m, (size_t)p->kernels->rows);
  for (int64_t block = 0; block < p->n_blocks; block++) {
    const float *tiles = (const float *)(const void *)(sums + (size_t)block * p->sums_bytes);
    const float *row_scale = tiles + tall * p->padded;
    strip b = {.scale = row_scale + tall + j, .width = least(p->kernels->cols, p->padded - j)};
    for (int64_t i = 0; i < s->m; i += p->kernels->rows)
      tile_put(p, o, tiles + tall * j + i * b.width, i, least(p->kernels->rows, s->m - i), j, &b,
               row_scale + i, block);
  }
}

static void apart_run(const tiled_product *p, const operands *o, char *scratch, int threads) {
  char *sums = scratch + p->lanes * p->lane_bytes;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    char *lane = scratch + (size_t)thread_index() * p->lane_bytes;
#pragma omp for schedule(dynamic, 1)
    for (int64_t block = 0; block < p->n_blocks; block++)
      sums_run(p, o, block, sums + (size_t)block * p->sums_bytes, lane);
#pragma omp for schedule(static)
    for (int64_t j = 0; j < p->shape.n; j += p->kernels->cols) sums_put(p, o, sums, j);
  }
}

void tiled_run(const tiled_product *p, float *c, const void *a, const void *b, const float *bias,
               void *scratch) {
  const gemm_shape *s = &p->shape;
  if (p->ahead) {
    tiled_product inner = *p;
    inner.shape.format_b = GEMM_PACKED;
    inner.ahead = false;
    tiled_pack(p, scratch, b, s->format_b);
    tiled_run(&inner, c, a, scratch, bias, (char *)scratch + p->ahead_bytes);
    return;
  }
  operands o = {c, a, b, bias};
  double work = operations(s) * (double)s->batch;
  int threads = (int)least(least((int64_t)p->lanes, thread_count()),
                           most(1, (int64_t)(work / WORTH_A_THREAD)));
  if (p->apart) {
    apart_run(p, &o, scratch, threads);
    return;
  }
  if (threads == 1) {
    grid all = {1, 1, divide_up(s->m, p->kernels->rows), divide_up(s->n, p->kernels->cols)};
    for (int64_t t = 0; t < s->batch; t++) task_run(p, &o, &all, t, scratch);
    return;
  }
  int64_t wanted = threads * (work > 32.0 * WORTH_A_THREAD * threads ? TASKS_PER_THREAD : 1);
  grid g = cut(p, divide_up(wanted, s->batch));
  int64_t n_tasks = g.down * g.over * s->batch;
#pragma omp parallel num_threads(threads)
  {
    char *lane = (char *)scratch + (size_t)thread_index() * p->lane_bytes;
#pragma omp for schedule(dynamic, 1)
    for (int64_t t = 0; t < n_tasks; t++) task_run(p, &o, &g, t, lane);
  }
}
