/* Weights to codes of fewer bits, each scale the one of those tried that leaves the smallest
 * squared error. How codes lie, and how they are read back, is learn/coded.h. */
#ifndef SHRINK_QUANTIZE_H
#define SHRINK_QUANTIZE_H

#include "learn/coded.h"

/* w (inputs, outputs), all finite, to codes (coded_bytes) and scales (coded_n_scales; NULL where
 * there are none). The same bytes for any number of threads. GARAM_NUMERIC: a weight is above
 * CODED_MAX_SCALE, and codes with scales cannot say it. */
garam_status quantize(void *codes, float *scale, const coded_matrix *m, const float *w,
                      garam_error *err);

/* Frobenius norm of decoded - w, by that of w; 0 where both are. */
garam_status quantize_error(double *out, const coded_matrix *m, const void *codes,
                            const float *scale, const float *w, garam_error *err);

#endif
