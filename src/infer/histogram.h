/* A log-linear histogram of whole numbers (nanoseconds, rows) after the idea of HdrHistogram
 * (Gil Tene), whose C library is not in Debian. Buckets are decimal: every decade is cut into
 * equal steps at `digits` significant digits, so a quantile is at most one step above the truth
 * (digits 3: 1 %, digits 2: 10 %), and a bound that has no more digits than that (25 us, 500 us) is
 * the edge of a bucket: the cumulative counts that Prometheus wants are exact, not interpolated.
 * Recording is one relaxed atomic add a field: any number of threads, no lock, no allocation. */
#ifndef INFER_HISTOGRAM_H
#define INFER_HISTOGRAM_H

#include "base/status.h"

#include <stdatomic.h>

typedef struct histogram {
  int digits;
  size_t n_buckets;
  _Atomic uint64_t *count; /* (n_buckets): values in (lower, upper] */
  _Atomic uint64_t sum, max;
} histogram;

enum { HISTOGRAM_DECADES = 12 }; /* values over 10^12 (a thousand seconds) go to the last bucket */

garam_status histogram_init(histogram *h, int digits, garam_error *err); /* digits 1 to 4 */
void histogram_deinit(histogram *h);
void histogram_record(histogram *h, uint64_t value);

uint64_t histogram_total(const histogram *h); /* values recorded */
/* The least upper edge with at least a share q of the values at or below it, never above the
 * largest value recorded; 0 when empty. */
uint64_t histogram_quantile(const histogram *h, double q);
/* cumulative[i]: values <= bounds[i]; bounds ascend. Returns the total of the same pass, so that a
 * scrape during traffic never shows a bucket above the count. */
uint64_t histogram_cumulative(uint64_t *cumulative, const uint64_t *bounds, size_t n,
                              const histogram *h);

#endif
