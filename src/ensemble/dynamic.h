/* The learner "dynamic": members of any kind, trained on the early part of the rows, weighed online
 * by their losses on what follows, each as soon as its outcome is known, and on and on when it
 * serves or is evaluated (learn/learner.h: learner_stream).
 *
 * The training rows are cut in time, purged: members are fitted on the first part; the second stops
 * them early, calibrates each by its temperature, is the validation set of the dynamic selection
 * and the end of what the regimes are fitted on; the third runs through the aggregation. What is
 * aggregated are the members and, where asked for, the answer of the dynamic selection; with
 * regimes each of them once more for every regime, awake only while that regime is the likeliest
 * (specialists), so that the weights may differ by regime and need not. */
#ifndef ENSEMBLE_DYNAMIC_H
#define ENSEMBLE_DYNAMIC_H

#include "learn/learner.h"

extern const learner_ops learner_dynamic;

/* One outcome, for a host that keeps the members' predictions of a row from when it was answered:
 * `view` as learner_dynamic.stream->view gave it. No allocation; a microsecond or two. */
void dynamic_update(learner *l, const float *view, int32_t y, float value);

#endif
