/* Scores to odds, by one of several maps fitted on validation rows; which one can be chosen by the
 * log loss on later validation rows. Binary problems have one map, of the second class; others one
 * a class, brought to sum 1 (Zadrozny & Elkan, KDD 2002).
 *
 *   temperature  softmax(z / T): calibrate.h
 *   platt        1 / (1 + exp(-(a z + b))), z the log-odds; Platt 1999, targets smoothed as there
 *   isotonic     the rising step function of least squares, by pool adjacent violators, linear in
 *                between; kept off 0 and 1 by what n rows can tell
 *   beta         a ln p - b ln(1 - p) + c, a and b at least 0; Kull, Silva Filho & Flach, AISTATS
 *                2017
 *   none         softmax(z) */
#ifndef LEARN_CALIBRATOR_H
#define LEARN_CALIBRATOR_H

#include "learn/package.h"

typedef enum calibration_kind {
  CALIBRATION_TEMPERATURE,
  CALIBRATION_NONE,
  CALIBRATION_PLATT,
  CALIBRATION_BETA,
  CALIBRATION_ISOTONIC,
  CALIBRATION_AUTO, /* to be chosen: no map */
} calibration_kind;
extern const char *const calibration_names[]; /* with "auto"; NULL at the end */

typedef struct calibrator {
  int kind, k, n_maps;  /* classes; maps: 1 of two classes, else k */
  double temperature;   /* 1 but for that kind */
  double *coefficients; /* (n_maps, 3): a, b, c; platt: a, b */
  size_t n_knots;
  uint32_t *begin; /* (n_maps + 1) of each map's knots */
  float *x, *y;    /* (n_knots) rising in x and in y */
} calibrator;

/* What a pipeline without validation rows has: kind none. */
void calibrator_init(calibrator *c, int k);
void calibrator_deinit(calibrator *c);
/* z (n, k): class scores before softmax. part (n) or NULL: rows with 1 only. weight may be NULL.
 * kind is not auto. */
garam_status calibrator_fit(calibrator *out, int kind, const float *z, const int32_t *y,
                            const float *weight, const uint8_t *part, size_t n, int k,
                            garam_error *err);
/* The kind whose map, fitted on rows of part 1, has the least log loss on rows of part 2; the one
 * with fewer numbers where they are within 0.0005. */
garam_status calibrator_choose(int *kind, const float *z, const int32_t *y, const float *weight,
                               const uint8_t *part, size_t n, int k, garam_error *err);
/* Scores become odds, in place. False when one is not finite. No malloc. */
bool calibrator_apply(const calibrator *c, float *z, size_t n);

/* prefix + "coefficients", "begin", "x", "y", those that the kind has. */
garam_status calibrator_save(const calibrator *c, package_writer *w, const char *prefix,
                             garam_error *err);
garam_status calibrator_load(calibrator *out, int kind, double temperature, int k,
                             const package_reader *r, const char *prefix, garam_error *err);

#endif
