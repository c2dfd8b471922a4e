/* Checkpoints: everything that a training run needs to go on as if it had never stopped, in one
 * safetensors file. */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "train/curve.h"
#include "train/optim.h"

enum { CHECKPOINT_SUMS = 6 };

typedef struct checkpoint {
  uint64_t step;                   /* updates done; with the seed it says which rows come next */
  int best_epoch;                  /* from 1; 0: none yet */
  double best_value;               /* validation loss, or accuracy, of the best epoch */
  double seconds;                  /* trained so far */
  double sums[CHECKPOINT_SUMS];    /* of the epoch under way; the loop's own */
  curve curve;                     /* finished epochs */
  size_t block;                    /* items of each of these */
  float *params, *best;            /* best: parameters of the best epoch */
  optim_array optim[OPTIM_ARRAYS]; /* what the optimiser keeps */
  size_t n_optim;
  json_t *identity; /* what data, options and seed it belongs to */
} checkpoint;

/* FOLDER/which.safetensors, for "last" and "best". mem_free; NULL when memory is out. */
char *checkpoint_path(const char *folder, const char *which);

garam_status checkpoint_write(const checkpoint *c, const char *path, garam_error *err);
/* Rows of a micro-batch of the run that the checkpoint belongs to: chosen once, for its bits. */
garam_status checkpoint_micro_batch(int *out, const char *path, garam_error *err);
/* Fills c, whose blocks and identity are there: refuses with GARAM_MISMATCH a file of other data
 * or options, naming the first that differs, and leaves c as it was on any error. */
garam_status checkpoint_read(checkpoint *c, const char *path, garam_error *err);
/* GARAM_MISMATCH, naming the first key that differs, unless both objects hold the same. */
garam_status checkpoint_same_identity(const char *path, json_t *there, json_t *here,
                                      garam_error *err);

#endif
