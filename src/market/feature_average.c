/* Moving averages, Bollinger bands and MACD, as shares of the price. */
#include "market/feature.h"

#include <math.h>

static double mean_close(const bars *b, size_t t, int window) {
  double sum = 0;
  for (size_t i = t + 1 - (size_t)window; i <= t; i++) sum += b->close[i];
  return sum / window;
}

static double average_distance(const bars *b, size_t t, const feature *f) {
  return log(b->close[t] / mean_close(b, t, f->lag));
}

static double average_cross(const bars *b, size_t t, const feature *f) {
  return log(mean_close(b, t, f->lag) / mean_close(b, t, f->slow));
}

static double deviation_close(const bars *b, size_t t, int window, double mean) {
  double squares = 0;
  for (size_t i = t + 1 - (size_t)window; i <= t; i++) {
    double off = b->close[i] - mean;
    squares += off * off;
  }
  return sqrt(squares / window);
}

/* Bollinger's %b with bands two deviations wide, less one half: 0 in the middle. */
static double bollinger_b(const bars *b, size_t t, const feature *f) {
  double mean = mean_close(b, t, f->lag), deviation = deviation_close(b, t, f->lag, mean);
  if (deviation < 1e-14 * mean) return 0;
  return (b->close[t] - mean) / (4 * deviation);
}

static double bollinger_width(const bars *b, size_t t, const feature *f) {
  double mean = mean_close(b, t, f->lag);
  return 4 * deviation_close(b, t, f->lag, mean) / mean;
}

/* MACD (Appel) with exponential means 12 and 26 and signal 9. The means start at the first price
 * of the look back, so they forget: after 104 rows the first has weight (25/27)^103 < 0.04 %. */
typedef struct macd_value {
  double line, signal;
} macd_value;

static macd_value macd_run(const bars *b, size_t t, size_t look_back) {
  size_t i = t + 1 - look_back;
  double fast = b->close[i], slow = b->close[i], signal = 0;
  for (i++; i <= t; i++) {
    fast += 2.0 / 13 * (b->close[i] - fast);
    slow += 2.0 / 27 * (b->close[i] - slow);
    signal += 2.0 / 10 * (fast - slow - signal);
  }
  return (macd_value){fast - slow, signal};
}

static double macd(const bars *b, size_t t, const feature *f) {
  return macd_run(b, t, f->look_back).line / b->close[t];
}

static double macd_histogram(const bars *b, size_t t, const feature *f) {
  macd_value v = macd_run(b, t, f->look_back);
  return (v.line - v.signal) / b->close[t];
}

static const feature list[] = {
    {"average_distance_5", 0, 0, 5, average_distance, 5, 0},
    {"average_distance_20", 0, 0, 20, average_distance, 20, 0},
    {"average_distance_60", 0, 0, 60, average_distance, 60, 0},
    {"average_cross_5_20", 0, 0, 20, average_cross, 5, 20},
    {"bollinger_b_20", 0, 0, 20, bollinger_b, 20, 0},
    {"bollinger_width_20", 0, 0, 20, bollinger_width, 20, 0},
    {"macd_12_26", 0, 0, 104, macd, 12, 26},
    {"macd_histogram_12_26_9", 0, 0, 104, macd_histogram, 12, 26},
};
const feature_family feature_average = {
    "average", "moving-average distances, Bollinger bands, MACD", list, COUNT_OF(list)};
