/* An allocator for tests that runs out of memory when told to: after `fail_after` allocations,
 * once or for good. It counts what was asked for and what is not yet freed, so that a test can
 * fail every allocation in turn and see that nothing leaks. One thread allocates at a time.
 *
 *   for (size_t n = 0; !done; n++) {
 *     failing_allocator memory = {.fail_after = n};
 *     failing_allocator_use(&memory);
 *     ... what is tested ...
 *     garam_set_allocator(NULL);
 *     assert_int_equal(memory.n_blocks, 0);
 *     done = !memory.failed;
 *   } */
#ifndef TESTS_FAILING_ALLOCATOR_H
#define TESTS_FAILING_ALLOCATOR_H

#include "garam/garam.h"

#include <stdbool.h>
#include <stdlib.h>

typedef struct failing_allocator {
  size_t fail_after; /* allocations that succeed; SIZE_MAX: all of them */
  bool once;         /* only the next one fails, not every one from then on */
  size_t n_calls;    /* allocations asked for, those that failed too; a resize is one */
  long n_blocks;     /* not yet freed */
  bool failed;       /* one has failed */
} failing_allocator;

static inline void *failing_allocator_resize(void *context, void *ptr, size_t size) {
  failing_allocator *f = context;
  if (size == 0) {
    f->n_blocks -= ptr != NULL;
    free(ptr);
    return NULL;
  }
  size_t before = f->n_calls++;
  if (f->once ? before == f->fail_after : before >= f->fail_after) {
    f->failed = true;
    return NULL;
  }
  void *grown = realloc(ptr, size);
  f->n_blocks += !ptr && grown;
  return grown;
}

/* Everything garam allocates goes through f, which must live until the next
 * garam_set_allocator(). */
static inline void failing_allocator_use(failing_allocator *f) {
  garam_set_allocator(&(garam_allocator){failing_allocator_resize, f});
}

/* Counts anew, in the middle of its use: n more allocations succeed. Blocks stay counted. */
static inline void failing_allocator_restart(failing_allocator *f, size_t n) {
  f->fail_after = n;
  f->n_calls = 0;
  f->failed = false;
}

#endif
