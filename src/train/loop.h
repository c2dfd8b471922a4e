/* The training loop: steps, epochs, validation, checkpoints, early stopping. */
#ifndef TRAIN_LOOP_H
#define TRAIN_LOOP_H

#include "train/net_learner.h"

/* Fits l to the training rows and leaves it with the parameters of the epoch that was best on
 * the validation rows (of the last one when there are none).
 *
 * What step s does is a function of (seed, s) and the parameters: the rows it reads, the dropout
 * masks, the learning rate. So a run that was stopped after any step and resumed from its
 * checkpoint has, byte for byte, the parameters of one that was not; and the number of threads
 * changes nothing.
 *
 * fit->on_step is told steps of the whole run, from 1; epochs count from 1.
 * GARAM_INTERRUPTED: fit->interrupted said so; the checkpoint is written, at this very step.
 * GARAM_NUMERIC: loss or gradients left the finite numbers; the message says what may help. */
garam_status loop_fit(net_learner *l, const dataset *d, row_set train, row_set valid,
                      const fit_context *fit, fit_summary *summary, garam_error *err);

#endif
