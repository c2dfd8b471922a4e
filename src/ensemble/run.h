/* The run of an ensemble's fit: one unit after the other, each the fit of one member on some rows.
 * It gives every unit its own seed, shows the whole as one progress, and keeps finished units in
 * the checkpoint, so that a resumed run takes up at the unit it was stopped in and ends with the
 * same bytes. */
#ifndef ENSEMBLE_RUN_H
#define ENSEMBLE_RUN_H

#include "ensemble/member.h"

typedef struct run {
  const char *name;       /* of the ensemble, for messages */
  const fit_context *fit; /* the caller's; never NULL */
  fit_context inner;      /* what a member is given */
  int n_units, n_done;    /* units; finished ones */
  int n_kept;             /* that the checkpoint held when the run began */
  int64_t started;
  double *train_loss, *valid_loss; /* (n_units) */
  json_t *identity;
} run;

/* `ops` and `config`: of the ensemble, for the identity of its checkpoint. fit may be NULL. */
garam_status run_begin(run *r, const learner_ops *ops, const void *config, const dataset *d,
                       row_set train, row_set valid, const fit_context *fit, size_t n_units,
                       garam_error *err);
void run_deinit(run *r);

/* A seed for whatever a unit draws: a function of the run's seed and its number. */
uint64_t run_seed(const run *r, int unit);

/* Fits the unit whose turn it is, or takes it from the checkpoint. `m` is initialised by spec.
 * Follow it with run_unit_done. GARAM_INTERRUPTED as a learner has it. */
garam_status run_member(run *r, member *m, const member_spec *spec, const dataset *d, row_set train,
                        row_set valid, const member_scaling *scaling, garam_error *err);
/* The same where `valid` is not empty; else rows that stop it early are cut off train: the last
 * share of it, purged (part.h). A learner without early stopping is spared the cut. */
garam_status run_member_cut(run *r, member *m, const member_spec *spec, const dataset *d,
                            row_set train, row_set valid, const member_scaling *scaling,
                            double share, size_t embargo, garam_error *err);
/* Losses may be NaN. They are the unit's line in the curve. */
void run_unit_done(run *r, double train_loss, double valid_loss, double valid_accuracy, bool best);

/* The curve goes to the summary, if one is wanted. best: the unit that stands, from 1. */
void run_end(run *r, fit_summary *summary, int best, double best_loss, size_t parameters);

#endif
