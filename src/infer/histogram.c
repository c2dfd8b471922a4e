/* Decimal log-linear buckets. With B = 10^digits: u = value - 1 below B has a bucket of its own;
 * above, the decade [B 10^(k-1), B 10^k) has 9 B / 10 buckets of width 10^k. The minus one makes
 * the upper edge inclusive, as Prometheus's `le` is. */
#include "infer/histogram.h"

#include "base/mem.h"

#include <math.h>

static uint64_t power10(int k) {
  static const uint64_t table[] = {
      1,        10,        100,        1000,        10000,        100000,        1000000,
      10000000, 100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000};
  return table[k];
}

static size_t bucket_of(const histogram *h, uint64_t value) {
  uint64_t u = value > 0 ? value - 1 : 0, linear = power10(h->digits);
  if (u < linear) return (size_t)u;
  if (u >= power10(HISTOGRAM_DECADES)) return h->n_buckets - 1;
  int k = 1;
  while (u >= power10(h->digits + k)) k++;
  uint64_t tenth = power10(h->digits - 1);
  return (size_t)(linear + (uint64_t)(k - 1) * 9 * tenth + (u / power10(k) - tenth));
}

static uint64_t upper_edge(const histogram *h, size_t bucket) {
  uint64_t linear = power10(h->digits), tenth = power10(h->digits - 1);
  if (bucket < linear) return bucket + 1;
  uint64_t above = bucket - linear;
  int k = (int)(above / (9 * tenth)) + 1;
  return (above % (9 * tenth) + tenth + 1) * power10(k);
}

garam_status histogram_init(histogram *h, int digits, garam_error *err) {
  REQUIRE(digits >= 1 && digits <= 4, "a histogram has 1 to 4 digits, not %d", digits);
  *h = (histogram){.digits = digits};
  h->n_buckets =
      (size_t)(power10(digits) + (uint64_t)(HISTOGRAM_DECADES - digits) * 9 * power10(digits - 1));
  h->count = mem_array(h->n_buckets, sizeof *h->count);
  if (!h->count) return fail_memory(err, h->n_buckets * sizeof *h->count);
  return GARAM_OK;
}

void histogram_deinit(histogram *h) {
  mem_free(h->count);
  h->count = NULL;
}

void histogram_record(histogram *h, uint64_t value) {
  atomic_fetch_add_explicit(&h->count[bucket_of(h, value)], 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&h->sum, value, memory_order_relaxed);
  uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
  while (value > max && !atomic_compare_exchange_weak_explicit(
                            &h->max, &max, value, memory_order_relaxed, memory_order_relaxed)) {
  }
}

uint64_t histogram_total(const histogram *h) {
  uint64_t total = 0;
  for (size_t i = 0; i < h->n_buckets; i++)
    total += atomic_load_explicit(&h->count[i], memory_order_relaxed);
  return total;
}

uint64_t histogram_quantile(const histogram *h, double q) {
  uint64_t total = histogram_total(h), seen = 0;
  if (total == 0) return 0;
  uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
  double wanted = ceil(q * (double)total);
  uint64_t rank = wanted < 1 ? 1 : wanted > (double)total ? total : (uint64_t)wanted;
  for (size_t i = 0; i + 1 < h->n_buckets; i++) {
    seen += atomic_load_explicit(&h->count[i], memory_order_relaxed);
    if (seen >= rank) return upper_edge(h, i) < max ? upper_edge(h, i) : max;
  }
  return max; /* the last bucket has no upper edge */
}

uint64_t histogram_cumulative(uint64_t *cumulative, const uint64_t *bounds, size_t n,
                              const histogram *h) {
  uint64_t seen = 0;
  size_t next = 0;
  for (size_t i = 0; i < h->n_buckets; i++) {
    uint64_t here = atomic_load_explicit(&h->count[i], memory_order_relaxed);
    if (here == 0) continue;
    uint64_t edge = i + 1 < h->n_buckets ? upper_edge(h, i) : UINT64_MAX;
    while (next < n && bounds[next] < edge) cumulative[next++] = seen;
    seen += here;
  }
  while (next < n) cumulative[next++] = seen;
  return seen;
}
