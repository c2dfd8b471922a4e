/* Price jumps that look like unadjusted splits. */
#include "market/market.h"

#include "base/clock.h"

#include <math.h>

/* Shares after for one before. 5:4 and 4:3 are left out: a fall of a fifth is as a rule news. */
static const double split_ratios[] = {1.5, 2,  2.5, 3,  4,  5,  6,  7,  8,
                                      10,  15, 20,  25, 30, 40, 50, 100};

enum { JUMP_WINDOW = 40, JUMP_MIN_WINDOW = 5 };

/* From the close before to the open, where the bar stays there: one wrong price at the open is
 * no jump of the series. */
static double log_gap(const bars *b, size_t t) {
  double whole = log(b->close[t] / b->close[t - 1]);
  double gap = b->open ? log(b->open[t] / b->close[t - 1]) : whole;
  return fabs(whole - gap) < 0.5 * fabs(gap) ? gap : 0;
}

/* Root mean square of the moves before t, without t's own. */
static double usual_move(const bars *b, size_t t) {
  size_t begin = t > JUMP_WINDOW ? t - JUMP_WINDOW : 1;
  if (t < begin + JUMP_MIN_WINDOW) return NAN;
  double sum = 0;
  for (size_t i = begin; i < t; i++) {
    double move = log(b->close[i] / b->close[i - 1]);
    sum += move * move;
  }
  return sqrt(sum / (double)(t - begin));
}

/* A crash is traded; a split is not: money traded in the bar beside the mean before it. */
static bool traded_like_news(const bars *b, size_t t) {
  if (!b->volume || !(b->volume[t] > 0)) return false;
  size_t begin = t > JUMP_WINDOW ? t - JUMP_WINDOW : 0, n = 0;
  double sum = 0;
  for (size_t i = begin; i < t; i++)
    if (b->volume[i] > 0) {
      sum += b->volume[i] * b->close[i];
      n++;
    }
  return n > 0 && b->volume[t] * b->close[t] > 8 * sum / (double)n;
}

/* The tolerance grows with the jump: a market that moves 20-fold overnight is a split even when
 * it also fell by a tenth that night; one that halved with 5 % to spare is a crash. */
static double nearest_split(double gap) {
  double best = 0, distance = 0.055 * fabs(gap);
  for (size_t i = 0; i < COUNT_OF(split_ratios); i++) {
    double off = fabs(fabs(gap) - log(split_ratios[i]));
    if (off < distance) {
      distance = off;
      best = gap < 0 ? split_ratios[i] : 1 / split_ratios[i];
    }
  }
  return best;
}

size_t bars_find_jumps(price_jump *out, size_t n, const bars *b) {
  const int64_t hour = 3600 * CLOCK_NS_PER_SECOND, day = 24 * hour;
  size_t found = 0;
  for (size_t t = 1; t < b->n_rows; t++) {
    double gap = log_gap(b, t);
    if (fabs(gap) < 0.35) continue; /* below 3:2 with its tolerance */
    int64_t pause = b->time ? b->time[t] - b->time[t - 1] : day;
    double usual = usual_move(b, t);
    if (isnan(usual) || fabs(gap) < 10 * usual) continue;
    bool overnight = pause >= 4 * hour && pause <= 31 * day;
    double split = overnight ? nearest_split(gap) : 0;
    if (split > 1 && traded_like_news(b, t)) split = 0;
    if (split == 0 && fabs(gap) < 25 * usual) continue;
    if (found < n) out[found] = (price_jump){.row = t, .ratio = exp(gap), .split = split};
    found++;
  }
  return found;
}
