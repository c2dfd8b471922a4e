/* The inside of bins, for the files bins*.c only. */
#ifndef TREE_BINS_INNER_H
#define TREE_BINS_INNER_H

#include "tree/bins.h"

/* Memory that is read in no order: on large pages where the system has them. Not zeroed; free
 * with mem_free_aligned. */
void *bins_large(size_t bytes);
void bins_encode(bins *b, const dataset *d);   /* columns and rows */
void bins_find_missing(bins *b, row_set rows); /* has_missing */

#endif
