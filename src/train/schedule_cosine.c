/* One cosine from the peak, at the end of warmup, to the floor, at the end of the run. */
#include "train/schedule.h"

#include <math.h>

static double value(const schedule_span *s) {
  double at = s->step < s->total ? (double)s->step / (double)s->total : 1;
  return 0.5 * (1 + cos(3.14159265358979323846 * at));
}

const schedule_ops schedule_cosine = {"cosine", value};
