/* Optimisers: loops over the flat blocks of parameters, gradients and moments. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H

#include "graph/graph.h"
#include "learn/package.h"
#include "train/train.h"

/* ---- optim_adamw.c ------------------------------------------------------------------------ */

/* AdamW (Loshchilov & Hutter 2019, algorithm 2, with the decay scaled by the learning rate as in
 * PyTorch): decay applies to parameters flagged PARAM_DECAY. The same bits for any number of
 * threads. The padding between parameters has zero gradients, and stays as it is. Moments are
 * floats, or bytes with a scale for each KERNEL_BLOCK8 of them (Dettmers, Lewis, Shleifer &
 * Zettlemoyer 2022): config.optimizer_state. */
typedef struct optim_adamw optim_adamw;

/* Blocks are laid out like the graph's parameters; moments start at zero. */
garam_status optim_adamw_new(optim_adamw **out, const graph *g, const train_config *config,
                             garam_error *err);
void optim_adamw_free(optim_adamw *o);
size_t optim_adamw_bytes(size_t block, const train_config *config); /* of its moments */

/* What a checkpoint keeps of it: views of its arrays, by name. */
typedef struct optim_array {
  const char *name;
  package_dtype type;
  size_t count, bytes;
  void *data;
} optim_array;
enum { OPTIM_ARRAYS = 4 };
size_t optim_adamw_state(optim_array out[OPTIM_ARRAYS], const optim_adamw *o);

/* One update; `step` counts from 0 and sets the bias corrections. Returns the global norm of the
 * gradients before clipping; when it is not finite nothing is changed. No allocation. */
double optim_adamw_step(optim_adamw *o, float *params, const float *grads, double learning_rate,
                        uint64_t step);

#endif
