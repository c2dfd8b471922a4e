/* Standardisation, fitted on training rows only: (x - centre) / spread, cut at +-clip, missing as
 * 0 (the centre). */
#ifndef LEARN_SCALER_H
#define LEARN_SCALER_H

#include "learn/dataset.h"

typedef enum scaler_kind {
  SCALER_STANDARD, /* mean and standard deviation */
  SCALER_ROBUST,   /* median and interquartile range / 1.349 (a normal's standard deviation) */
} scaler_kind;
extern const char *const scaler_names[]; /* NULL at the end */

typedef struct scaler {
  size_t n;
  float clip;              /* 0: not cut */
  float *center, *inverse; /* (n); inverse 0 where nothing varies */
} scaler;

garam_status scaler_fit(scaler *out, scaler_kind kind, double clip, const dataset *d, row_set rows,
                        garam_error *err);
void scaler_deinit(scaler *s);
/* out may be x. (n_rows, n) */
void scaler_apply(const scaler *s, float *out, const float *x, size_t n_rows);

#endif
