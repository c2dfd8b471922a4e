/* How kernels cut their work for threads. A shard's bounds depend on the shape only; the number
 * of threads decides who computes it, never what is computed. */
#ifndef KERNEL_REF_SHARD_H
#define KERNEL_REF_SHARD_H

#include "base/rng.h"
#include "base/thread.h"
#include "kernel/kernel.h"

enum {
  SHARD_ITEMS = 8192, /* of an elementwise walk; a multiple of 64: whole lines, whole blocks of 4 */
  SHARD_COLUMNS = 64, /* of a walk down columns */
  SHARD_SUMS = 64,    /* partial sums of one long sum */
  WORTH_THREADS = 32768, /* items of work below which waking a thread costs more than it gives */
};

/* Before a short loop with a constant count whose arrays are to live in registers. */
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#define UNROLL16 UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL16 _Pragma("GCC unroll 16")
#endif

static inline bool threads_pay(size_t work) {
  return work >= WORTH_THREADS && thread_count() > 1;
}

/* Loop over independent iterations, on threads when `work` items are worth it:
 *
 *   THREADS(n, for (size_t s = 0; s < shards; s++), { ... })
 *
 * The loop stands there twice, since a region of one thread is no plain loop: gcc's library makes a
 * team for it, with memory, a lock and a call of the system, which takes longer than many a kernel
 * of a small net. */
#define PRAGMA_(text) _Pragma(#text)
#define PRAGMA(text) PRAGMA_(text)
#define THREADS(work, loop, ...)                                                                   \
  do {                                                                                             \
    if (threads_pay((size_t)(work))) {                                                             \
      PRAGMA(omp parallel for schedule(static))                                                    \
      loop __VA_ARGS__                                                                             \
    } else {                                                                                       \
      loop __VA_ARGS__                                                                             \
    }                                                                                              \
  } while (0)

static inline size_t shard_count(size_t n, size_t size) {
  return n / size + (n % size != 0);
}

static inline size_t shard_end(size_t begin, size_t size, size_t n) {
  return n - begin < size ? n : begin + size;
}

/* Rows to a shard, so that a shard has about SHARD_ITEMS items. */
static inline size_t shard_rows(size_t cols) {
  size_t rows = cols ? SHARD_ITEMS / cols : SHARD_ITEMS;
  return rows ? rows : 1;
}

/* Lanes: tasks that need scratch of their own run in at most this many at a time. */
static inline size_t shard_lanes(size_t n_tasks) {
  static int available = 0; /* of the process; read once so that sizes asked and used agree */
  int lanes = __atomic_load_n(&available, __ATOMIC_RELAXED);
  if (lanes == 0) {
    int expected = 0;
    lanes = thread_available();
    if (!__atomic_compare_exchange_n(&available, &expected, lanes, false, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
      lanes = expected;
  }
  return n_tasks < (size_t)lanes ? n_tasks : (size_t)lanes;
}

static inline size_t round_up(size_t n, size_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

/* Counters past 2^32 go on at far steps. */
static inline void dropout_block(uint16_t out[KERNEL_MASK_BLOCK], const kernel_dropout *key,
                                 uint64_t block) {
  uint32_t word[4];
  rng_philox(word, key->seed, key->stream, key->step + (block >> 32 << 40), (uint32_t)block);
  for (int i = 0; i < 4; i++) {
    out[2 * i] = (uint16_t)word[i];
    out[2 * i + 1] = (uint16_t)(word[i] >> 16);
  }
}

/* What the eight elements from element 8 block on draw. */
static inline void dropout_draws(uint16_t out[KERNEL_MASK_BLOCK], const kernel_dropout *key,
                                 uint64_t block) {
  uint16_t both[2 * KERNEL_MASK_BLOCK];
  size_t skip = key->first % KERNEL_MASK_BLOCK;
  block += key->first / KERNEL_MASK_BLOCK;
  dropout_block(both, key, block);
  if (skip) dropout_block(both + KERNEL_MASK_BLOCK, key, block + 1);
  for (size_t i = 0; i < KERNEL_MASK_BLOCK; i++) out[i] = both[skip + i];
}

static inline uint16_t dropout_threshold(const kernel_dropout *key) {
  double most = key->rate * 65536.0 + 0.5;
  return (uint16_t)(most < 65535 ? most : 65535);
}

/* What kept values are multiplied by. */
static inline double dropout_scale(const kernel_dropout *key) {
  return 65536.0 / (65536.0 - dropout_threshold(key));
}

/* Keys that query i of batch b reads: [*begin, *end), perhaps empty. */
static inline void attention_span(const kernel_attention *a, int64_t b, int64_t i, int64_t *begin,
                                  int64_t *end) {
  int64_t low = a->key_begin ? a->key_begin[b] : 0, high = a->keys, p = i + a->offset;
  if (low < 0) low = 0;
  if (a->causal && high > p + 1) high = p + 1;
  if (a->window > 0) {
    if (low < p - a->window + 1) low = p - a->window + 1;
    if (!a->causal && high > p + a->window) high = p + a->window;
  }
  *begin = low;
  *end = high > low ? high : low;
}

static inline int64_t or_dense(int64_t stride, int64_t dense) {
  return stride ? stride : dense;
}

#endif
