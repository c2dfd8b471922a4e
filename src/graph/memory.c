/* Greedy by size, best fit among the gaps that are free for the whole lifetime (Pisarchyk & Lee
 * 2020, "Efficient memory management for deep neural net inference", algorithm 3). Large
 * blocks are placed first, so that small ones fill what they leave. */
#include "graph/memory.h"

#include <stdlib.h>

static size_t aligned(size_t bytes) {
  return (bytes + MEMORY_ALIGN - 1) & ~(size_t)(MEMORY_ALIGN - 1);
}

static int by_size(const void *left, const void *right) {
  const memory_block *a = *(memory_block *const *)left, *b = *(memory_block *const *)right;
  if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
  if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
  return a < b ? -1 : a > b; /* both point into one array */
}

static bool meet(const memory_block *a, const memory_block *b) {
  return a->begin <= b->end && b->begin <= a->end;
}

/* `placed` is ordered by offset. */
static size_t best_offset(const memory_block *block, memory_block *const *placed, size_t n) {
  size_t top = 0, best = SIZE_MAX, best_gap = SIZE_MAX, bytes = aligned(block->bytes);
  for (size_t i = 0; i < n; i++) {
    const memory_block *other = placed[i];
    if (!meet(block, other)) continue;
    if (other->offset > top && other->offset - top >= bytes && other->offset - top < best_gap) {
      best = top;
      best_gap = other->offset - top;
    }
    size_t end = other->offset + aligned(other->bytes);
    if (end > top) top = end;
  }
  return best != SIZE_MAX ? best : top;
}

garam_status memory_layout(memory_block *blocks, size_t n, bool reuse, size_t *total,
                           garam_error *err) {
  memory_block **order = mem_array(n + 1, sizeof *order), **placed = NULL;
  garam_status status = GARAM_OK;
  *total = 0;
  placed = mem_array(n + 1, sizeof *placed);
  if (!order || !placed) TRY_GOTO(done, fail_memory(err, n * sizeof *order));
  for (size_t i = 0; i < n; i++) order[i] = &blocks[i];
  qsort(order, n, sizeof *order, by_size);
  for (size_t i = 0; i < n; i++) {
    memory_block *block = order[i];
    block->offset = reuse ? best_offset(block, placed, i) : *total;
    size_t end = block->offset + aligned(block->bytes), at = i;
    if (end < block->offset || end > SIZE_MAX / 2)
      TRY_GOTO(done, fail(err, GARAM_LIMIT, "plan: the arena would be larger than memory"));
    for (; at > 0 && placed[at - 1]->offset > block->offset; at--) placed[at] = placed[at - 1];
    placed[at] = block;
    if (end > *total) *total = end;
  }
done:
  mem_free(order);
  mem_free(placed);
  return status;
}
