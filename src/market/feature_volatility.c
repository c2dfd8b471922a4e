/* Realised volatility: root mean square of log returns, and how short and long ones compare. */
#include "market/feature.h"

#include <math.h>

static double realised(const bars *b, size_t t, int window) {
  double sum = 0;
  for (size_t i = t + 1 - (size_t)window; i <= t; i++) {
    double move = feature_move(b, i);
    sum += move * move;
  }
  return sqrt(sum / window);
}

static double volatility(const bars *b, size_t t, const feature *f) {
  return realised(b, t, f->lag);
}

static double volatility_ratio(const bars *b, size_t t, const feature *f) {
  double slow = realised(b, t, f->slow);
  if (slow == 0) return 0;
  return realised(b, t, f->lag) / slow - 1;
}

static const feature list[] = {
    {"volatility_5", 0, 0, 6, volatility, 5, 0},
    {"volatility_20", 0, 0, 21, volatility, 20, 0},
    {"volatility_60", 0, 0, 61, volatility, 60, 0},
    {"volatility_ratio_5_60", 0, 0, 61, volatility_ratio, 5, 60},
};
const feature_family feature_volatility = {"volatility", "realised volatility over 5 to 60 rows",
                                           list, COUNT_OF(list)};
