/* The allocator hook and the few helpers that stand on it. */
#include "base/mem.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void *libc_resize(void *context, void *ptr, size_t size) {
  (void)context;
  if (size == 0) {
    free(ptr);
    return NULL;
  }
  return realloc(ptr, size);
}

static garam_allocator allocator = {libc_resize, NULL};
static atomic_uint_fast64_t n_allocations;

static void *json_malloc(size_t size) {
  return mem_alloc(size ? size : 1);
}

void garam_set_allocator(const garam_allocator *a) {
  allocator = a ? *a : (garam_allocator){libc_resize, NULL};
  json_set_alloc_funcs(a ? json_malloc : malloc, a ? mem_free : free);
}

uint64_t mem_count(void) {
  return atomic_load(&n_allocations);
}

void *mem_resize(void *ptr, size_t size) {
  if (size == 0) size = 1;
  atomic_fetch_add_explicit(&n_allocations, 1, memory_order_relaxed);
  return allocator.resize(allocator.context, ptr, size);
}

void *mem_alloc(size_t size) {
  return mem_resize(NULL, size);
}

void *mem_zalloc(size_t size) {
  void *ptr = mem_alloc(size);
  if (ptr) memset(ptr, 0, size ? size : 1);
  return ptr;
}

void *mem_array(size_t count, size_t size) {
  size_t bytes;
  if (!size_mul(&bytes, count, size)) return NULL;
  return mem_zalloc(bytes);
}

void mem_free(void *ptr) {
  if (ptr) allocator.resize(allocator.context, ptr, 0);
}

/* The hook knows no alignment, so the block's start is kept just below the aligned address. */
void *mem_alloc_aligned(size_t size, size_t alignment) {
  REQUIRE(alignment >= sizeof(void *) && (alignment & (alignment - 1)) == 0,
          "alignment %zu is not a power of two", alignment);
  size_t bytes;
  if (!size_add(&bytes, size, alignment + sizeof(void *))) return NULL;
  char *block = mem_alloc(bytes);
  if (!block) return NULL;
  uintptr_t at = ((uintptr_t)block + sizeof(void *) + alignment - 1) & ~(uintptr_t)(alignment - 1);
  memcpy((char *)at - sizeof(void *), &block, sizeof block);
  return (void *)at;
}

void mem_free_aligned(void *ptr) {
  if (!ptr) return;
  void *block;
  memcpy(&block, (char *)ptr - sizeof(void *), sizeof block);
  mem_free(block);
}

char *mem_strdup(const char *text) {
  size_t n = strlen(text) + 1;
  char *copy = mem_alloc(n);
  if (copy) memcpy(copy, text, n);
  return copy;
}

char *mem_format(const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  char *text = n < 0 ? NULL : mem_alloc((size_t)n + 1);
  if (text) vsnprintf(text, (size_t)n + 1, format, again);
  va_end(args);
  va_end(again);
  return text;
}

garam_status mem_grow(void *ptr, size_t *capacity, size_t needed, size_t size, garam_error *err) {
  if (needed <= *capacity) return GARAM_OK;
  size_t wanted = *capacity ? *capacity : 16;
  while (wanted < needed)
    if (!size_mul(&wanted, wanted, 2)) return fail_memory(err, SIZE_MAX);
  size_t bytes;
  if (!size_mul(&bytes, wanted, size)) return fail_memory(err, SIZE_MAX);
  void *old, *grown;
  memcpy(&old, ptr, sizeof old);
  grown = mem_resize(old, bytes);
  if (!grown) return fail_memory(err, bytes);
  memcpy(ptr, &grown, sizeof grown);
  *capacity = wanted;
  return GARAM_OK;
}

bool size_mul(size_t *out, size_t a, size_t b) {
  return !__builtin_mul_overflow(a, b, out);
}

bool size_add(size_t *out, size_t a, size_t b) {
  return !__builtin_add_overflow(a, b, out);
}

size_t mem_resident(void) {
  FILE *f = fopen("/proc/self/statm", "re");
  unsigned long total, pages = 0;
  if (!f) return 0;
  if (fscanf(f, "%lu %lu", &total, &pages) != 2) pages = 0;
  fclose(f);
  return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t mem_peak_resident(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return (size_t)usage.ru_maxrss * 1024;
}
