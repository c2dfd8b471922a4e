/* The peak, always. */
#include "train/schedule.h"

static double value(const schedule_span *s) {
  (void)s;
  return 1;
}

const schedule_ops schedule_constant = {"constant", value};
