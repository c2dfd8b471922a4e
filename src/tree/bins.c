/* Where the edges of bins are: quantiles of a sample, or categories by frequency. */
#include "tree/bins.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "tree/bins_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bins_config bins_config_default(void) {
  return (bins_config){.max_bins = 255, .min_rows = 3, .sample = 200000};
}

/* ---- edges ------------------------------------------------------------------------------- */

/* A float in [a, b): the middle, rounded down. */
static float between(float a, float b) {
  float middle = (float)(((double)a + (double)b) / 2);
  return middle >= b ? a : middle < a ? a : middle;
}

/* Few values: each its own bin, but for those with too few rows. */
static int edges_of_few(float *edge, const float *value, const uint32_t *count, size_t n,
                        int min_rows) {
  int n_bins = 0;
  uint64_t in_bin = 0;
  for (size_t i = 0; i + 1 < n; i++) {
    in_bin += count[i];
    if (in_bin < (uint64_t)min_rows) continue;
    edge[n_bins++] = between(value[i], value[i + 1]);
    in_bin = 0;
  }
  edge[n_bins++] = INFINITY;
  return n_bins;
}

int bins_edges(float *edge, const float *value, const uint32_t *count, size_t n, int max_bins,
               int min_rows) {
  if (n == 0) return 0;
  if (n <= (size_t)max_bins) return edges_of_few(edge, value, count, n, min_rows);
  uint64_t total = 0;
  for (size_t i = 0; i < n; i++) total += count[i];
  if (min_rows > 0 && total / (uint64_t)min_rows < (uint64_t)max_bins)
    max_bins = (int)(total / (uint64_t)min_rows);
  if (max_bins < 1) max_bins = 1;
  /* A value as frequent as a whole bin has one of its own; the others share what is left. */
  double mean = (double)total / max_bins;
  int rest_bins = max_bins;
  uint64_t rest = total;
  const double big = mean;
  for (size_t i = 0; i < n; i++)
    if ((double)count[i] >= big) rest_bins--, rest -= count[i];
  mean = rest_bins > 0 ? (double)rest / rest_bins : INFINITY;
  int n_bins = 0;
  uint64_t in_bin = 0;
  for (size_t i = 0; i + 1 < n && n_bins < max_bins - 1; i++) {
    bool is_big = (double)count[i] >= big, next_is_big = (double)count[i + 1] >= big;
    if (!is_big) rest -= count[i];
    in_bin += count[i];
    if (!(is_big || (double)in_bin >= mean ||
          (next_is_big && (double)in_bin >= fmax(1, 0.5 * mean))))
      continue;
    edge[n_bins++] = between(value[i], value[i + 1]);
    in_bin = 0;
    if (is_big) continue;
    rest_bins--;
    mean = rest_bins > 0 ? (double)rest / rest_bins : INFINITY;
  }
  edge[n_bins++] = INFINITY;
  return n_bins;
}

/* Floats as keys in the order of their values (NaN is not among them; -0 is 0). */
static uint32_t key_of(float x) {
  uint32_t bits;
  if (x == 0) x = 0;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float value_of(uint32_t key) {
  uint32_t bits = key & 0x80000000u ? key & 0x7fffffffu : ~key;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Three passes of 11 bits; the result is in `keys`'s partner. */
static uint32_t *sort_keys(uint32_t *keys, uint32_t *other, size_t n) {
  for (int shift = 0; shift < 33; shift += 11) {
    uint32_t at[2048] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) at[keys[i] >> shift & 2047]++;
    for (size_t k = 0; k < 2048; k++) {
      uint32_t c = at[k];
      at[k] = sum;
      sum += c;
    }
    for (size_t i = 0; i < n; i++) other[at[keys[i] >> shift & 2047]++] = keys[i];
    uint32_t *swap = keys;
    keys = other;
    other = swap;
  }
  return keys;
}

typedef struct frequency {
  int32_t category;
  uint32_t count;
} frequency;

static int compare_frequencies(const void *a, const void *b) {
  const frequency *x = a, *y = b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return (x->category > y->category) - (x->category < y->category);
}

/* Categories by frequency, until 99 % of the rows have one; the rest goes with what is missing. */
static void find_categories(bin_feature *f, frequency *seen, size_t n, int max_bins) {
  uint64_t total = 0, covered = 0;
  for (size_t i = 0; i < n; i++) total += seen[i].count;
  qsort(seen, n, sizeof *seen, compare_frequencies);
  f->n_bins = 0;
  for (size_t i = 0; i < n && f->n_bins < max_bins; i++) {
    if (f->n_bins >= 2 && (double)covered >= 0.99 * (double)total && seen[i].count < 3) break;
    f->category[f->n_bins++] = seen[i].category;
    covered += seen[i].count;
  }
}

typedef struct edging {
  bins *b;
  const dataset *d;
  const bins_config *config;
  const uint32_t *rows; /* the sample */
  size_t n;
  bool out_of_memory;
} edging;

static void find_edges(edging *e, size_t feature, uint32_t *keys, uint32_t *other,
                       frequency *seen) {
  bin_feature *f = &e->b->features[feature];
  size_t m = 0, distinct = 0;
  for (size_t i = 0; i < e->n; i++) {
    float x = e->d->x[(size_t)e->rows[i] * e->d->n_features + feature];
    if (f->categorical && !(x > -1 && x < 0x1p31f)) continue;
    if (!isnan(x)) keys[m++] = key_of(f->categorical ? truncf(x) : x);
  }
  uint32_t *sorted = sort_keys(keys, other, m);
  float *values = (float *)(sorted == keys ? other : keys); /* their room is free now */
  for (size_t i = 0; i < m; i++) {
    if (i > 0 && sorted[i] == sorted[i - 1]) {
      seen[distinct - 1].count++;
      continue;
    }
    float x = value_of(sorted[i]);
    seen[distinct++] = (frequency){f->categorical ? (int32_t)x : 0, 1};
    values[distinct - 1] = x;
  }
  if (f->categorical) {
    find_categories(f, seen, distinct, e->config->max_bins);
    return;
  }
  uint32_t *counts = sorted; /* read to the end above */
  for (size_t i = 0; i < distinct; i++) counts[i] = seen[i].count;
  f->n_bins =
      bins_edges(f->edge, values, counts, distinct, e->config->max_bins, e->config->min_rows);
}

static void find_edges_of(void *context, size_t begin, size_t end) {
  edging *e = context;
  uint32_t *keys = mem_alloc((2 * e->n + 1) * sizeof *keys);
  frequency *seen = mem_alloc((e->n + 1) * sizeof *seen);
  if (!keys || !seen) e->out_of_memory = true;
  else
    for (size_t j = begin; j < end; j++) find_edges(e, j, keys, keys + e->n, seen);
  mem_free(keys);
  mem_free(seen);
}

/* `most` of the rows, in order, each set of them as likely as any other (Knuth, algorithm S). */
static garam_status take_sample(uint32_t **out, size_t *n, row_set rows, size_t most, uint64_t seed,
                                garam_error *err) {
  *n = rows.n < most ? rows.n : most;
  *out = mem_alloc((*n + 1) * sizeof **out);
  if (!*out) return fail_memory(err, *n * sizeof **out);
  rng r;
  rng_init(&r, seed, RNG_BOOTSTRAP, UINT64_C(1) << 32);
  size_t taken = 0;
  for (size_t i = 0; i < rows.n && taken < *n; i++)
    if (rows.n <= most || rng_uniform(&r) * (double)(rows.n - i) < (double)(*n - taken))
      (*out)[taken++] = rows.rows[i];
  *n = taken;
  return GARAM_OK;
}

/* ---- life -------------------------------------------------------------------------------- */

size_t bins_blocks(const bins *b) {
  return (b->n_features + BINS_BLOCK - 1) / BINS_BLOCK;
}

size_t bins_block_width(const bins *b, size_t block) {
  size_t left = b->n_features - block * BINS_BLOCK;
  return left >= BINS_BLOCK ? BINS_BLOCK : (left + 3) / 4 * 4;
}

const uint8_t *bins_block(const bins *b, size_t block) {
  return b->rows + block * BINS_BLOCK * b->n_rows;
}

void bins_free(bins *b) {
  if (!b) return;
  mem_free(b->features);
  mem_free(b->edges);
  mem_free(b->categories);
  mem_free_aligned(b->columns);
  mem_free_aligned(b->rows);
  mem_free(b);
}

static garam_status make_room(bins *b, const bins_config *c, garam_error *err) {
  size_t n = b->n_features, cells = 0, bytes = 0;
  b->stride = (b->n_rows + 63) / 64 * 64 + 64; /* whole registers may be read at the end */
  if (!size_mul(&bytes, b->stride, n + BINS_BLOCK)) return fail_memory(err, SIZE_MAX);
  cells = n * BINS_CODES;
  b->features = mem_array(n, sizeof *b->features);
  b->edges = mem_array(cells, sizeof *b->edges);
  b->columns = bins_large(n * b->stride);
  b->rows = bins_large(bins_blocks(b) * BINS_BLOCK * b->n_rows + 64);
  bool some = false;
  for (size_t j = 0; j < n; j++) some |= c->categorical && c->categorical[j];
  if (some) b->categories = mem_array(cells, sizeof *b->categories);
  if (!b->features || !b->edges || !b->columns || !b->rows || (some && !b->categories))
    return fail_memory(err, bytes);
  for (size_t j = 0; j < n; j++) {
    bin_feature *f = &b->features[j];
    f->categorical = c->categorical && c->categorical[j];
    f->edge = b->edges + j * BINS_CODES;
    for (size_t k = 0; k < BINS_CODES; k++) f->edge[k] = INFINITY;
    if (f->categorical) f->category = b->categories + j * BINS_CODES;
  }
  return GARAM_OK;
}

garam_status bins_new(bins **out, const dataset *d, row_set rows, const bins_config *config,
                      garam_error *err) {
  *out = NULL;
  REQUIRE(config->max_bins >= 2 && config->max_bins <= 255, "bins_new: %d bins", config->max_bins);
  bins *b = mem_zalloc(sizeof *b);
  uint32_t *sample = NULL;
  garam_status status;
  if (!b) return fail_memory(err, sizeof *b);
  b->n_rows = d->n_rows;
  b->n_features = d->n_features;
  TRY_GOTO(done, make_room(b, config, err));
  edging e = {.b = b, .d = d, .config = config};
  TRY_GOTO(done, take_sample(&sample, &e.n, rows, config->sample, config->seed, err));
  e.rows = sample;
  thread_for(b->n_features, 1, find_edges_of, &e);
  if (e.out_of_memory) {
    status = fail_memory(err, e.n * sizeof(uint32_t));
    goto done;
  }
  bins_encode(b, d);
  bins_find_missing(b, rows);
  *out = b;
  b = NULL;
done:
  mem_free(sample);
  bins_free(b);
  return status;
}
