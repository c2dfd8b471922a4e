/* Importance by counting, as XGBoost's weight, total_gain and total_cover, and LightGBM's split
 * and gain. */
#include "tree/importance.h"

#include <string.h>

void trees_importance(const trees *t, double *splits, double *gain, double *cover) {
  size_t bytes = t->n_features * sizeof(double);
  if (splits) memset(splits, 0, bytes);
  if (gain) memset(gain, 0, bytes);
  if (cover) memset(cover, 0, bytes);
  for (size_t s = 0; s < t->n_splits; s++) {
    uint32_t f = t->feature[s];
    if (splits) splits[f] += 1;
    if (gain) gain[f] += (double)t->gain[s];
    if (cover) cover[f] += t->cover[s];
  }
}
