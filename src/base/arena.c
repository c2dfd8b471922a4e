/* Chunks in a list; the newest serves. */
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

typedef struct arena_chunk {
  struct arena_chunk *next;
  size_t size, used;
  _Alignas(16) char data[];
} arena_chunk;

void arena_init(arena *a, size_t chunk_size) {
  a->chunk = NULL;
  a->chunk_size = chunk_size ? chunk_size : 64 * 1024;
}

static void chunks_free(arena_chunk *c) {
  while (c) {
    arena_chunk *next = c->next;
    mem_free(c);
    c = next;
  }
}

void arena_deinit(arena *a) {
  chunks_free(a->chunk);
  a->chunk = NULL;
}

void arena_reset(arena *a) {
  if (!a->chunk) return;
  chunks_free(a->chunk->next);
  a->chunk->next = NULL;
  a->chunk->used = 0;
}

void *arena_alloc(arena *a, size_t size) {
  size_t rounded;
  if (!size_add(&rounded, size, 15)) return NULL;
  rounded &= ~(size_t)15;
  arena_chunk *c = a->chunk;
  if (!c || c->size - c->used < rounded) {
    size_t wanted = a->chunk_size ? a->chunk_size : 64 * 1024;
    if (wanted < rounded) wanted = rounded;
    size_t bytes;
    if (!size_add(&bytes, wanted, sizeof *c)) return NULL;
    c = mem_alloc(bytes);
    if (!c) return NULL;
    *c = (arena_chunk){.next = a->chunk, .size = wanted};
    a->chunk = c;
  }
  void *at = c->data + c->used;
  c->used += rounded;
  memset(at, 0, rounded);
  return at;
}

void *arena_array(arena *a, size_t count, size_t size) {
  size_t bytes;
  return size_mul(&bytes, count, size) ? arena_alloc(a, bytes) : NULL;
}

char *arena_strdup(arena *a, const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = arena_alloc(a, n);
  if (copy) memcpy(copy, text, n);
  return copy;
}

char *arena_format(arena *a, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  char *text = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
  if (text) vsnprintf(text, (size_t)n + 1, format, again);
  va_end(args);
  va_end(again);
  return text;
}
