/* One update of the parameters: a batch in micro-batches whose gradients are added up, clipping,
 * AdamW. What the training loop, the bench and the probe do in each of their steps.
 *
 *   update_plan(&u, &config, err);           how large a micro-batch is, and what it will take
 *   update_prepare(&u, err);
 *   for (part = 0; part < u.n_parts; part++) {
 *     ... windows [part * u.micro, ...) of the batch into u.program ...
 *     update_part(&u, step, part, share, err);
 *   }
 *   update_finish(&u, step, rate);
 *
 * The result is that of the whole batch up to rounding, dropout's masks to the bit (where windows
 * hold a multiple of four items, as they do for every even width; see plan_run_part). */
#ifndef TRAIN_UPDATE_H
#define TRAIN_UPDATE_H

#include "train/optim.h"
#include "train/program.h"

typedef struct update_config {
  program_config program; /* of the whole batch */
  const train_config *train;
  float *params;      /* the caller's flat block; NULL: update_prepare makes one of its own */
  uint64_t *version;  /* counts its changes, for every plan over it; the caller's too, or NULL */
  size_t other_bytes; /* what the caller will hold besides, once it is there */
} update_config;

/* Bytes. `base` is what the process held when it was planned, with the caller's block of
 * parameters; `other` is the caller's. */
typedef struct update_memory {
  size_t base, params, grads, moments, packed, activations, other, total;
} update_memory;

typedef struct update {
  update_config config;
  program program; /* of `micro` windows */
  int64_t batch, micro;
  uint64_t n_parts;
  bool recompute; /* plan_config.recompute: only under --memory */
  int precision;  /* PRECISION_FP32 or PRECISION_BF16: what auto came to */
  update_memory memory;
  float *params, *grads; /* flat */
  size_t block;
  uint64_t *version, own_version; /* of the parameters */
  optim_adamw *optim;
  double loss; /* of the batch so far */
} update;

/* Chooses the micro-batch: config.train's, else as large as --memory lets it be and no more than
 * about four thousand steps, in parts as even as can be. GARAM_LIMIT: not even one window fits;
 * the message says what would. Allocates nothing that stays but the graph. */
garam_status update_plan(update *u, const update_config *config, garam_error *err);
/* Everything that is needed. The update stays where it is from here on. */
garam_status update_prepare(update *u, garam_error *err);
void update_deinit(update *u);

/* Runs one part, whose inputs have been written. `share`: of its weights in those of the batch.
 * Adds its share to u->loss. Parts run in order from 0; the last ones may be left out. */
garam_status update_part(update *u, uint64_t step, uint64_t part, double share, garam_error *err);
/* Clips and updates; returns the norm of the gradient before clipping. When it is not finite
 * nothing is changed. */
double update_finish(update *u, uint64_t step, double learning_rate);

/* "412.0 MiB: parameters 72.1, ..." on one line. Returns out. */
enum { UPDATE_TEXT_MAX = 256 };
char *update_memory_text(char out[UPDATE_TEXT_MAX], const update *u);

#endif
