/* The best cut of a leaf by one feature, from the feature's histogram. */
#ifndef TREE_SPLIT_H
#define TREE_SPLIT_H

#include "tree/histogram.h"

typedef struct split {
  double gain; /* what is gained beyond --min-gain; 0: no split */
  uint32_t feature;
  int code; /* numbers: codes up to it go left */
  bool categorical, missing_left;
  uint32_t left_codes[BINS_CODES / 32]; /* bit by code: goes left; the missing one too */
  packed left;                          /* sums of what goes left */
  double left_value, right_value;       /* as the gain was reckoned with */
} split;

typedef struct split_rules {
  double l1, l2, min_gain, min_hessian;
  double min_rows;        /* in a child; rows are reckoned from hessians, as LightGBM does */
  double max_output;      /* of a leaf; 0: any */
  double path_smooth;     /* rows that pull a leaf to its parent's value; 0: none */
  double category_smooth; /* hessian added to a category's before sorting */
  double category_l2;     /* more l2 where several categories go one way */
  int max_categories;     /* that go left */
  int one_hot_categories; /* up to so many: one against the others */
  const int8_t *monotone; /* (n_features) -1, 0, 1; NULL: none */
} split_rules;

typedef struct split_leaf {
  packed total;
  size_t n_rows;
  quantum unit;
  double lower, upper; /* of its values */
  double value;        /* of the leaf itself, for path smoothing */
} split_leaf;

/* h: the feature's BINS_CODES words. Replaces *best when its gain is larger. `random` is not
 * negative for extremely randomised trees: one cut, chosen by it. */
void split_search(split *best, const packed *h, const bin_feature *f, uint32_t feature,
                  const split_leaf *leaf, const split_rules *rules, int64_t random);

/* Newton's value of a leaf with these sums, within the leaf's bounds. */
double split_value(double gradient, double hessian, double n_rows, double parent, double lower,
                   double upper, const split_rules *rules);

static inline bool split_goes_left(const split *s, uint8_t code) {
  return s->left_codes[code >> 5] >> (code & 31) & 1;
}

#endif
