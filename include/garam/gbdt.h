/* garam: a loss of one's own for the model gbdt. */
#ifndef GARAM_GBDT_H
#define GARAM_GBDT_H

#include "garam/garam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gradients and hessians (n), by the score, of rows with these targets and scores; and, where loss
 * is not NULL, the loss of each. Targets of two classes are 0 and 1. Hessians are not negative. It
 * is called from several threads at once, never twice for the same row. */
typedef void (*garam_gbdt_loss)(void *context, const float *target, const float *score, size_t n,
                                float *gradient, float *hessian, float *loss);

/* What `"loss": "custom"` of the model gbdt descends, in this process, from now on; NULL: none, and
 * training with it is GARAM_INVALID. Scores start at 0. Set it before training, not meanwhile. */
GARAM_API void garam_gbdt_set_loss(garam_gbdt_loss fn, void *context);

#ifdef __cplusplus
}
#endif

#endif
