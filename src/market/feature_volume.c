/* Volume beside its own past. */
#include "market/feature.h"

#include <math.h>

/* log(v / mean), with a tenth of the mean added to both so that an empty row has a value. */
static double volume_ratio(const bars *b, size_t t, const feature *f) {
  double sum = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) sum += b->volume[i];
  double mean = sum / f->lag;
  if (mean == 0) return 0;
  return log((fmax(0, b->volume[t]) + 0.1 * mean) / (1.1 * mean));
}

static double volume_z(const bars *b, size_t t, const feature *f) {
  double sum = 0, squares = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) sum += b->volume[i];
  double mean = sum / f->lag;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    double off = b->volume[i] - mean;
    squares += off * off;
  }
  if (squares == 0) return 0;
  return (b->volume[t] - mean) / sqrt(squares / f->lag);
}

/* Share of the window's volume traded in rising rows less that in falling ones. */
static double signed_volume(const bars *b, size_t t, const feature *f) {
  double sum = 0, total = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    double step = b->close[i] - b->close[i - 1];
    sum += step > 0 ? b->volume[i] : step < 0 ? -b->volume[i] : 0;
    total += b->volume[i];
  }
  return total == 0 ? 0 : sum / total;
}

static const feature list[] = {
    {"volume_ratio_20", NEEDS_VOLUME, 0, 20, volume_ratio, 20, 0},
    {"volume_z_60", NEEDS_VOLUME, 0, 60, volume_z, 60, 0},
    {"signed_volume_20", NEEDS_VOLUME, 0, 21, signed_volume, 20, 0},
};
const feature_family feature_volume = {"volume", "volume beside its recent mean, and its sign",
                                       list, COUNT_OF(list)};
