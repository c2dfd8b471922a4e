/* Oscillators: Wilder's RSI and Lane's stochastic. */
#include "market/feature.h"

#include <math.h>

/* Wilder, "New concepts in technical trading systems" (1978): plain means of gains and losses
 * over the first n moves of the look back, then smoothed by 1/n. Here -0.5 to 0.5, 0 in balance.
 * With four n of moves after the start, the start has weight (13/14)^56 < 2 %. */
static double rsi(const bars *b, size_t t, const feature *f) {
  size_t n = (size_t)f->lag, begin = t + 1 - f->look_back;
  double gain = 0, loss = 0;
  for (size_t k = 1; k < f->look_back; k++) {
    double step = b->close[begin + k] - b->close[begin + k - 1];
    double up = step > 0 ? step : 0, down = step < 0 ? -step : 0;
    double weight = k <= n ? 1.0 / (double)k : 1.0 / (double)n;
    gain += weight * (up - gain);
    loss += weight * (down - loss);
  }
  return gain + loss == 0 ? 0 : gain / (gain + loss) - 0.5;
}

/* Where the close stands between the window's lowest low and highest high, -0.5 to 0.5. */
static double place(const bars *b, size_t t, int window) {
  const double *high = b->high ? b->high : b->close, *low = b->low ? b->low : b->close;
  double top = high[t], bottom = low[t];
  for (size_t i = t + 1 - (size_t)window; i < t; i++) {
    if (high[i] > top) top = high[i];
    if (low[i] < bottom) bottom = low[i];
  }
  return top > bottom ? (b->close[t] - bottom) / (top - bottom) - 0.5 : 0;
}

static double stochastic(const bars *b, size_t t, const feature *f) {
  return place(b, t, f->lag);
}

static double stochastic_slow(const bars *b, size_t t, const feature *f) {
  return (place(b, t, f->lag) + place(b, t - 1, f->lag) + place(b, t - 2, f->lag)) / 3;
}

static const feature list[] = {
    {"rsi_14", 0, 0, 71, rsi, 14, 0},
    {"stochastic_14", 0, 0, 14, stochastic, 14, 0},
    {"stochastic_slow_14", 0, 0, 16, stochastic_slow, 14, 0},
    {"stochastic_60", 0, 0, 60, stochastic, 60, 0},
};
const feature_family feature_oscillator = {"oscillator", "RSI (Wilder), stochastic", list,
                                           COUNT_OF(list)};
