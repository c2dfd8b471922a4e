/* A bump allocator with one lifetime: model, step, request. Memory is freed all at once.
 * Addresses stay where they are: a full chunk is followed by a new one. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/mem.h"

typedef struct arena {
  struct arena_chunk *chunk; /* newest first */
  size_t chunk_size;         /* of the next chunk; 0 means 64 KiB */
} arena;

void arena_init(arena *a, size_t chunk_size);
void arena_deinit(arena *a);
void arena_reset(arena *a); /* forgets everything, keeps the newest chunk for reuse */

/* Zeroed, aligned to 16 bytes; NULL when memory is out. */
void *arena_alloc(arena *a, size_t size);
void *arena_array(arena *a, size_t count, size_t size);
char *arena_strdup(arena *a, const char *text);
char *arena_format(arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
