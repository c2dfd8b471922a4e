/* The learners of this room. They know their members by learn/learner.h alone.
 *
 *   spec.h      members as text
 *   member.h    a learner inside another: its window, its features, its scale
 *   part.h      splits inside the rows that an ensemble is given
 *   score.h     scores of members as probabilities, and their losses
 *   weigh.h     weights of members
 *   run.h       the run of a fit, member by member: seeds, progress, checkpoints
 *   stack.c     out-of-fold stacking, blending, ensemble selection
 *   average.c   members side by side: weighted means and votes
 *   series.h    members of one kind in a row
 *   bagging.c   bagging and pasting, out-of-bag scores
 *   adaboost.c  SAMME, SAMME.R, R2
 *   boosting.c  gradient boosting over any learner */
#ifndef ENSEMBLE_ENSEMBLE_H
#define ENSEMBLE_ENSEMBLE_H

#include "learn/learner.h"

extern const learner_ops ensemble_stack, ensemble_average, ensemble_bagging, ensemble_adaboost,
    ensemble_boosting;

#endif
