/* Running mean and variance of rows, merged batch by batch in a fixed order (Chan, Golub & LeVeque
 * 1983), in double: for observations, and for the scale of returns. */
#ifndef RL_NORMALIZER_H
#define RL_NORMALIZER_H

#include "base/status.h"

#include <stddef.h>

typedef struct normalizer {
  size_t width;
  double count, clip; /* normalised values are cut at +-clip; 0: not */
  double *mean, *m2;  /* (width): mean, and the sum of squared deviations */
  double *inverse;    /* (width): 1 / deviation, by the last update or refresh */
} normalizer;

garam_status normalizer_init(normalizer *z, size_t width, double clip, garam_error *err);
void normalizer_deinit(normalizer *z);
void normalizer_update(normalizer *z, const float *x, size_t n); /* x (n, width) */
void normalizer_refresh(normalizer *z); /* after mean, m2 and count were written from outside */
/* Of column k; 1 with fewer than two rows seen. */
double normalizer_deviation(const normalizer *z, size_t k);
/* y (n, width) may be x. With fewer than two rows seen it copies. */
void normalizer_apply(const normalizer *z, float *y, const float *x, size_t n);

#endif
