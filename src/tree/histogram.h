/* Sums of gradients and hessians by bin, in whole numbers: adding them is associative, so the same
 * sums come out for any order of the rows and any number of threads.
 *
 * A packed sum is one 64-bit word: the gradient's in the high 32 bits, signed, the hessian's in
 * the low 32, never negative. Adding and subtracting words adds and subtracts both parts as long
 * as the hessian's stays in [0, 2^31) and the gradient's within +-2^31: quantise sees to that. */
#ifndef TREE_HISTOGRAM_H
#define TREE_HISTOGRAM_H

#include "tree/bins.h"

typedef int64_t packed;
static inline int32_t packed_gradient(packed p) {
  return (int32_t)(p >> 32);
}
static inline int32_t packed_hessian(packed p) {
  return (int32_t)(uint32_t)p;
}
/* One row's: a 16-bit gradient, signed, over a 16-bit hessian. */
static inline packed packed_of_row(int32_t row) {
  return (packed)((uint64_t)(int64_t)(row >> 16) << 32) + (uint16_t)row;
}

/* What a whole number stands for. */
typedef struct quantum {
  double gradient, hessian;
  bool constant; /* every row's hessian is 1 quantum: sums of hessians count rows */
} quantum;

/* gh (2 n): gradient and hessian of the rows of the set, by dataset row: gh[2 row]. q by dataset
 * row too. The finest quantum with which the sums over all rows of the set fit. A row is rounded
 * up or down by its dither, a number of its own moved on by the golden ratio each round: without
 * bias, and evenly over the rounds. dither (n_rows of the dataset). */
quantum histogram_quantise(int32_t *q, const float *gh, const uint16_t *dither, uint32_t round,
                           row_set rows);

/* A histogram has BINS_CODES words a feature, of all blocks' widths. */
size_t histogram_words(const bins *b);

/* h = the sums over the rows. `scratch` has histogram_words for each further thread. Blocks not in
 * `use` (one flag a block; NULL: all) are left as they are. */
void histogram_build(packed *h, const bins *b, row_set rows, const int32_t *q, packed *scratch,
                     const uint8_t *use);
/* parent -= child */
void histogram_subtract(packed *parent, const packed *child, size_t words);
packed histogram_row_sum(row_set rows, const int32_t *q);

#endif
