/* Rows by leaf: each leaf's rows stand together, in the order they came in. A split moves the rows
 * of one leaf, those to the left first, and keeps their order: what is summed over a leaf is
 * summed in the same order however many threads there are. */
#ifndef TREE_PARTITION_H
#define TREE_PARTITION_H

#include "tree/bins.h"

/* Stable, in place: rows whose code of the feature has its bit in left_codes (BINS_CODES bits)
 * first. Returns how many. other is scratch of
 * n + PARTITION_SPARE. */
enum { PARTITION_MORE = 16, PARTITION_SPARE = 64 * PARTITION_MORE };
size_t partition_rows(uint32_t *rows, size_t n, const bins *b, size_t feature,
                      const uint32_t *left_codes, uint32_t *other);

#endif
