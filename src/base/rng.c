/* Philox 4x32-10 and the distributions that stand on it. */
#include "base/rng.h"

#include <math.h>
#include <string.h>

void rng_philox(uint32_t out[4], uint64_t seed, uint32_t stream, uint64_t step, uint32_t index) {
  uint32_t c0 = index, c1 = stream, c2 = (uint32_t)step, c3 = (uint32_t)(step >> 32);
  uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

void rng_init(rng *r, uint64_t seed, uint32_t stream, uint64_t step) {
  memset(r, 0, sizeof *r); /* padding too: states that hold one are compared and stored as bytes */
  r->seed = seed;
  r->stream = stream;
  r->step = step;
  r->used = 4;
}

uint32_t rng_u32(rng *r) {
  if (r->used == 4) {
    rng_philox(r->block, r->seed, r->stream, r->step, r->index++);
    if (r->index == 0) r->step += UINT64_C(1) << 40; /* 2^34 words drawn: leave for far counters */
    r->used = 0;
  }
  return r->block[r->used++];
}

uint64_t rng_u64(rng *r) {
  uint64_t high = rng_u32(r);
  return high << 32 | rng_u32(r);
}

double rng_uniform(rng *r) {
  return (double)(rng_u64(r) >> 11) * 0x1p-53;
}

double rng_normal(rng *r) {
  double u = 1.0 - rng_uniform(r); /* (0, 1] */
  double v = rng_uniform(r);
  return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

uint64_t rng_below(rng *r, uint64_t bound) {
  uint64_t reject = -bound % bound; /* 2^64 mod bound */
  for (;;) {
    uint64_t x = rng_u64(r);
    if (x >= reject) return x % bound;
  }
}

void rng_shuffle(rng *r, uint32_t *items, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t j = (size_t)rng_below(r, i);
    uint32_t t = items[i - 1];
    items[i - 1] = items[j];
    items[j] = t;
  }
}
