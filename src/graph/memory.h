/* Blocks of memory with lifetimes, laid into one arena. Knows nothing of tensors. */
#ifndef GRAPH_MEMORY_H
#define GRAPH_MEMORY_H

#include "base/mem.h"

#define MEMORY_ALIGN 64

typedef struct memory_block {
  size_t bytes;
  uint32_t begin, end; /* steps at which it holds something, both included */
  size_t offset;       /* result: a multiple of MEMORY_ALIGN */
} memory_block;

/* No two blocks that live at the same step overlap. `reuse` false: no two blocks overlap at all.
 * *total is the arena's size. The same blocks always get the same places. */
garam_status memory_layout(memory_block *blocks, size_t n, bool reuse, size_t *total,
                           garam_error *err);

#endif
