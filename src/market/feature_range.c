/* Ranges of bars. Parkinson: "The extreme value method for estimating the variance of the rate
 * of return", Journal of Business 53 (1980). Garman and Klass: "On the estimation of security
 * price volatilities from historical data", Journal of Business 53 (1980). */
#include "market/feature.h"

#include <math.h>

static double range(const bars *b, size_t t, const feature *f) {
  (void)f;
  return log(b->high[t] / b->low[t]);
}

static double parkinson(const bars *b, size_t t, const feature *f) {
  double sum = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    double r = log(b->high[i] / b->low[i]);
    sum += r * r;
  }
  return sqrt(sum / (4 * M_LN2 * f->lag));
}

static double garman_klass(const bars *b, size_t t, const feature *f) {
  double sum = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    double r = log(b->high[i] / b->low[i]), c = log(b->close[i] / b->open[i]);
    sum += 0.5 * r * r - (2 * M_LN2 - 1) * c * c;
  }
  return sqrt(fmax(0, sum / f->lag));
}

/* Where in the bar it closed, -0.5 to 0.5. */
static double close_in_range(const bars *b, size_t t, const feature *f) {
  (void)f;
  double width = b->high[t] - b->low[t];
  return width > 0 ? (b->close[t] - b->low[t]) / width - 0.5 : 0;
}

static const feature list[] = {
    {"range", NEEDS_OHLC, 0, 1, range, 0, 0},
    {"close_in_range", NEEDS_OHLC, 0, 1, close_in_range, 0, 0},
    {"parkinson_20", NEEDS_OHLC, 0, 20, parkinson, 20, 0},
    {"garman_klass_20", NEEDS_OHLC, 0, 20, garman_klass, 20, 0},
};
const feature_family feature_range = {"range", "high-low range, Parkinson, Garman-Klass", list,
                                      COUNT_OF(list)};
