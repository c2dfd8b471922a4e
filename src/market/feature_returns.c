/* Log returns over several lags. */
#include "market/feature.h"

#include <math.h>

double feature_move(const bars *b, size_t t) {
  return log(b->close[t] / b->close[t - 1]);
}

static double log_return(const bars *b, size_t t, const feature *f) {
  return log(b->close[t] / b->close[t - (size_t)f->lag]);
}

/* Where the row closed beside where it opened, and the jump from the close before. */
static double body(const bars *b, size_t t, const feature *f) {
  (void)f;
  return log(b->close[t] / b->open[t]);
}

static double opening_gap(const bars *b, size_t t, const feature *f) {
  (void)f;
  return log(b->open[t] / b->close[t - 1]);
}

/* The move in units of the usual one of the rows before it. */
static double standard_return(const bars *b, size_t t, const feature *f) {
  double sum = 0;
  for (size_t i = t - (size_t)f->lag; i < t; i++) {
    double move = feature_move(b, i);
    sum += move * move;
  }
  double usual = sqrt(sum / f->lag), move = feature_move(b, t);
  if (usual == 0) return move == 0 ? 0 : copysign(8, move);
  return fmax(-8, fmin(8, move / usual));
}

static const feature list[] = {
    {"return_1", 0, 0, 2, log_return, 1, 0},
    {"return_2", 0, 0, 3, log_return, 2, 0},
    {"return_3", 0, 0, 4, log_return, 3, 0},
    {"return_5", 0, 0, 6, log_return, 5, 0},
    {"return_10", 0, 0, 11, log_return, 10, 0},
    {"return_20", 0, 0, 21, log_return, 20, 0},
    {"return_60", 0, 0, 61, log_return, 60, 0},
    {"standard_return_20", 0, 0, 22, standard_return, 20, 0},
    {"body", NEEDS_OHLC, 0, 1, body, 0, 0},
    {"opening_gap", NEEDS_OHLC, 0, 2, opening_gap, 0, 0},
};
const feature_family feature_returns = {"returns", "log returns over 1 to 60 rows", list,
                                        COUNT_OF(list)};
