/* Depth of a book beyond the best: how much stands on each side, and how far. */
#include "market/feature.h"

#include <math.h>

static double depth(const double *const *size, size_t t, int n_levels) {
  double sum = 0;
  for (int k = 0; k < n_levels; k++) sum += size[k][t];
  return sum;
}

static double depth_imbalance(const bars *b, size_t t, const feature *f) {
  double bid = depth(b->level_bid_size, t, f->n_levels);
  double ask = depth(b->level_ask_size, t, f->n_levels);
  return bid + ask == 0 ? 0 : (bid - ask) / (bid + ask);
}

static double depth_change(const bars *b, size_t t, const feature *f) {
  return depth_imbalance(b, t, f) - depth_imbalance(b, t - (size_t)f->lag, f);
}

/* Distance of the last level from the mid beside that of the first, both sides: how steep. */
static double slope_difference(const bars *b, size_t t, const feature *f) {
  int last = f->n_levels - 1;
  double bid = b->level_bid[0][t] - b->level_bid[last][t];
  double ask = b->level_ask[last][t] - b->level_ask[0][t];
  return bid + ask == 0 ? 0 : (bid - ask) / (bid + ask);
}

/* Log of depth at one level, bid over ask; one lot added to both, for empty levels. */
static double level_ratio(const bars *b, size_t t, const feature *f) {
  int k = f->n_levels - 1;
  return log((b->level_bid_size[k][t] + 1) / (b->level_ask_size[k][t] + 1));
}

static const feature list[] = {
    {"depth_imbalance_3", NEEDS_SIZES, 3, 1, depth_imbalance, 0, 0},
    {"depth_imbalance_5", NEEDS_SIZES, 5, 1, depth_imbalance, 0, 0},
    {"depth_imbalance_10", NEEDS_SIZES, 10, 1, depth_imbalance, 0, 0},
    {"depth_change_5_10", NEEDS_SIZES, 5, 11, depth_change, 10, 0},
    {"slope_difference_5", NEEDS_SIZES, 5, 1, slope_difference, 0, 0},
    {"level_ratio_1", NEEDS_SIZES, 1, 1, level_ratio, 0, 0},
    {"level_ratio_2", NEEDS_SIZES, 2, 1, level_ratio, 0, 0},
    {"level_ratio_3", NEEDS_SIZES, 3, 1, level_ratio, 0, 0},
    {"level_ratio_4", NEEDS_SIZES, 4, 1, level_ratio, 0, 0},
    {"level_ratio_5", NEEDS_SIZES, 5, 1, level_ratio, 0, 0},
};
const feature_family feature_book = {"book", "depth imbalance and slope over several levels", list,
                                     COUNT_OF(list)};
