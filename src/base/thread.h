/* Threads: one OpenMP pool, shared with oneDNN. The count is the process's, set once by the
 * caller. Work that adds numbers up is cut into shards whose number never depends on the
 * count, and shards are added in order: the same bits for any number of threads. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <stddef.h>

void thread_set_count(int n); /* 0: as many as the process may run on */
/* At most n in regions that the caller enters from here on; returns the count before, which
 * thread_set_count restores. */
int thread_narrow(int n);
int thread_count(void);     /* that a parallel region entered here would get (1 inside one) */
int thread_index(void);     /* of the caller in its region, from 0 */
int thread_available(void); /* processors that this process may run on */

typedef void (*thread_fn)(void *context, size_t begin, size_t end);

/* Calls fn over [0, n) in chunks of `grain` items, on as many threads as are worth it. Every
 * chunk starts at a multiple of grain, whatever the number of threads. */
void thread_for(size_t n, size_t grain, thread_fn fn, void *context);

/* Calls fn once for each of n items, in any order, each on the next thread that is free: for few
 * and long ones. Whatever they enter inside runs serially, where there is more than one. */
void thread_each(size_t n, void (*fn)(void *context, size_t i), void *context);

#endif
