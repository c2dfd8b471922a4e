/* What a training run is made of, so that a checkpoint is only resumed by the run it belongs to. */
#ifndef TRAIN_IDENTITY_H
#define TRAIN_IDENTITY_H

#include "train/net_learner.h"
#include "train/update.h"

/* Model, options, what auto came to, seed, a hash of the rows and targets, and the caller's own
 * fingerprint. */
garam_status identity_of(json_t **out, const net_learner *l, const update *u, const dataset *d,
                         row_set train, row_set valid, const fit_context *fit, garam_error *err);

#endif
