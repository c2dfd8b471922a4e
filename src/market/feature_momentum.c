/* Momentum: the way made beside the usual, how straight it was, and its change. */
#include "market/feature.h"

#include <math.h>

/* Return over the window in units of what independent moves of this size would make. */
static double momentum(const bars *b, size_t t, const feature *f) {
  double squares = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    double move = feature_move(b, i);
    squares += move * move;
  }
  if (squares == 0) return 0;
  return log(b->close[t] / b->close[t - (size_t)f->lag]) / sqrt(squares);
}

/* Rate of change of the last half less that of the half before. */
static double acceleration(const bars *b, size_t t, const feature *f) {
  size_t half = (size_t)f->lag / 2;
  return log(b->close[t] / b->close[t - half]) - log(b->close[t - half] / b->close[t - 2 * half]);
}

/* Share of rising rows less that of falling ones. */
static double up_share(const bars *b, size_t t, const feature *f) {
  int sum = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++)
    sum += (b->close[i] > b->close[i - 1]) - (b->close[i] < b->close[i - 1]);
  return (double)sum / f->lag;
}

/* Correlation of neighbouring moves: above 0 where moves go on, below where they turn. */
static double persistence(const bars *b, size_t t, const feature *f) {
  double product = 0, squares = 0, last = feature_move(b, t - (size_t)f->lag);
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    double move = feature_move(b, i);
    product += move * last;
    squares += 0.5 * (move * move + last * last);
    last = move;
  }
  return squares == 0 ? 0 : product / squares;
}

static const feature list[] = {
    {"momentum_5", 0, 0, 6, momentum, 5, 0},
    {"momentum_10", 0, 0, 11, momentum, 10, 0},
    {"momentum_20", 0, 0, 21, momentum, 20, 0},
    {"momentum_60", 0, 0, 61, momentum, 60, 0},
    {"acceleration_20", 0, 0, 21, acceleration, 20, 0},
    {"up_share_10", 0, 0, 11, up_share, 10, 0},
    {"persistence_20", 0, 0, 22, persistence, 20, 0},
};
const feature_family feature_momentum = {
    "momentum", "way made beside the usual, acceleration, persistence of moves", list,
    COUNT_OF(list)};
