/* The learner "intervals": a member of any kind for the value, and around it an interval that holds
 * the outcome 95 % of the time: cross (CV+), quantile (CQR) or ensemble (EnbPI) conformal, fixed or
 * following outcomes (a sliding window, ACI). As a stream (learn/learner.h) it goes on learning:
 * its state is in the package. */
#ifndef ENSEMBLE_INTERVALS_H
#define ENSEMBLE_INTERVALS_H

#include "learn/learner.h"

extern const learner_ops ensemble_intervals;

#endif
