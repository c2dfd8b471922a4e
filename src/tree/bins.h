/* Features cut into at most 255 bins each: all that growing a tree needs to know of them. Computed
 * once, then shared by whatever learns from the same rows: trials, members of an ensemble.
 *
 * The edges come from `rows` alone (training rows), the codes are there for every row of the
 * dataset: what validates is coded with the edges of what is trained on. */
#ifndef TREE_BINS_H
#define TREE_BINS_H

#include "learn/dataset.h"

enum {
  BINS_MISSING = 255, /* code of NaN, and of a category that is too rare to have a bin */
  BINS_CODES = 256,
  BINS_BLOCK = 16, /* features that stand side by side in `rows` */
};

typedef struct bins_config {
  int max_bins;               /* 2 to 255, without the one for missing values */
  int min_rows;               /* of the sample, in a bin */
  size_t sample;              /* rows that the edges are taken from */
  uint64_t seed;              /* of the sample */
  const uint8_t *categorical; /* (n_features) 1: numbers of categories; NULL: none are */
} bins_config;
bins_config bins_config_default(void); /* as LightGBM: 255, 3, 200000 */

typedef struct bin_feature {
  int n_bins; /* codes 0 to n_bins - 1; 0 or 1: nothing to split */
  bool categorical;
  bool has_missing;  /* among the rows that the edges come from */
  float *edge;       /* numbers: (n_bins) row x is in the first bin with x <= edge; last is inf */
  int32_t *category; /* categories: (n_bins), the most frequent first */
} bin_feature;

typedef struct bins {
  size_t n_rows, n_features;
  size_t stride; /* bytes of a column, a little more than n_rows */
  bin_feature *features;
  float *edges; /* storage of all of them */
  int32_t *categories;
  uint8_t *columns; /* (n_features, stride): one feature of all rows, for partitions */
  uint8_t *rows;    /* blocks of up to BINS_BLOCK features: (n_rows, width of block), for sums */
  uint64_t key[2];  /* bins_share.c: what they are of, how many hold them */
  size_t users;
  struct bins *next;
} bins;

garam_status bins_new(bins **out, const dataset *d, row_set rows, const bins_config *config,
                      garam_error *err);
void bins_free(bins *b); /* NULL is fine; of bins_new */

/* The same, or those of a fit before, where it was of the same rows, numbers and settings and its
 * bins are still held. Not to be changed. bins_share.c */
garam_status bins_take(bins **out, const dataset *d, row_set rows, const bins_config *config,
                       garam_error *err);
void bins_release(bins *b); /* of bins_take; NULL is fine */
/* For a learner that is fitted: b once more, or NULL where learners hold too much already. */
bins *bins_hold(bins *b);
void bins_drop(bins *b); /* of bins_hold; NULL is fine */

size_t bins_blocks(const bins *b);
size_t bins_block_width(const bins *b,
                        size_t block); /* features rounded up to 4; 16 but the last */
const uint8_t *bins_block(const bins *b, size_t block);

uint8_t bins_code(const bin_feature *f, float x);
/* The largest float that goes to a code <= `code`: x <= it on the left of a split. */
float bins_threshold(const bin_feature *f, int code);

/* Edges between n ascending distinct values with their counts, as LightGBM chooses them: at most
 * max_bins, each with min_rows or more. Returns how many bins; edge[last] is infinite. */
int bins_edges(float *edge, const float *value, const uint32_t *count, size_t n, int max_bins,
               int min_rows);

#endif
