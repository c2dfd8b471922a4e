/* OpenMP behind four calls. */
#include "base/thread.h"

#include <omp.h>
#include <sched.h>

int thread_available(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  int n = CPU_COUNT(&set);
  return n > 0 ? n : 1;
}

void thread_set_count(int n) {
  omp_set_dynamic(0);
  omp_set_num_threads(n > 0 ? n : thread_available());
}

int thread_narrow(int n) {
  int before = omp_get_max_threads();
  if (before > n) omp_set_num_threads(n);
  return before;
}

int thread_count(void) {
  return omp_in_parallel() ? 1 : omp_get_max_threads();
}

int thread_index(void) {
  return omp_get_thread_num();
}

void thread_for(size_t n, size_t grain, thread_fn fn, void *context) {
  if (grain == 0) grain = 1;
  size_t n_chunks = n / grain + (n % grain != 0);
  if (n_chunks <= 1 || thread_count() == 1) {
    for (size_t begin = 0; begin < n; begin += grain)
      fn(context, begin, n - begin < grain ? n : begin + grain);
    return;
  }
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n_chunks; i++) {
    size_t begin = i * grain;
    fn(context, begin, n - begin < grain ? n : begin + grain);
  }
}

void thread_each(size_t n, void (*fn)(void *context, size_t i), void *context) {
  if (n <= 1 || thread_count() == 1) {
    for (size_t i = 0; i < n; i++) fn(context, i);
    return;
  }
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t i = 0; i < n; i++) fn(context, i);
}
