/* Optimisers: loops over the flat blocks of parameters, gradients and moments. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H

#include "graph/graph.h"
#include "train/train.h"

/* ---- optim_adamw.c ------------------------------------------------------------------------ */

/* AdamW (Loshchilov & Hutter 2019, algorithm 2, with the decay scaled by the learning rate as in
 * PyTorch): decay applies to parameters flagged PARAM_DECAY. The same bits for any number of
 * threads. The padding between parameters has zero gradients, and stays as it is. */
typedef struct optim_adamw optim_adamw;

/* Blocks are laid out like the graph's parameters; moments start at zero. */
garam_status optim_adamw_new(optim_adamw **out, const graph *g, const train_config *config,
                             garam_error *err);
void optim_adamw_free(optim_adamw *o);
size_t optim_adamw_bytes(size_t block, const train_config *config); /* of its moments */
float *optim_adamw_m(optim_adamw *o); /* first moments, graph_param_block(g) items */
float *optim_adamw_v(optim_adamw *o);

/* One update; `step` counts from 0 and sets the bias corrections. Returns the global norm of the
 * gradients before clipping; when it is not finite nothing is changed. No allocation. */
double optim_adamw_step(optim_adamw *o, float *params, const float *grads, double learning_rate,
                        uint64_t step);

#endif
