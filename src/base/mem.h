/* The one allocator hook. Everything garam allocates goes through these, so that a host can
 * bring its own memory and a test can fail every allocation in turn. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/status.h"

void *mem_alloc(size_t size);                           /* uninitialised; NULL when there is none */
void *mem_zalloc(size_t size);                          /* zeroed */
void *mem_array(size_t count, size_t size);             /* zeroed; NULL on overflow too */
void *mem_resize(void *ptr, size_t size);               /* realloc; on NULL the old block is kept */
void mem_free(void *ptr);                               /* NULL is fine */
void *mem_alloc_aligned(size_t size, size_t alignment); /* free with mem_free_aligned */
void mem_free_aligned(void *ptr);
char *mem_strdup(const char *text);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Allocations since the process started: a test reads it before and after a warm step. */
uint64_t mem_count(void);

/* Grows *ptr (capacity *capacity items of `size` bytes) to hold at least `needed` items. */
garam_status mem_grow(void *ptr, size_t *capacity, size_t needed, size_t size, garam_error *err);

/* Checked size arithmetic: false on overflow. */
bool size_mul(size_t *out, size_t a, size_t b);
bool size_add(size_t *out, size_t a, size_t b);

/* Peak resident memory of the process in bytes (getrusage). */
size_t mem_peak_resident(void);
/* Resident memory now (Linux; 0 where it is not known). */
size_t mem_resident(void);

#endif
