/* A package in use: open it, ask its shape, predict.
 *
 *   garam_model *model;
 *   garam_error err;
 *   if (garam_model_open(&model, "model.safetensors", &err) != GARAM_OK) ... err.message ...
 *   garam_predictions *p;
 *   garam_model_predict_data(&p, model, "last-bars.csv", &err);
 *
 * A model is not to be used by two threads at a time: open one for each. */
#ifndef GARAM_MODEL_H
#define GARAM_MODEL_H

#include "garam/garam.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct garam_model garam_model;

/* Validates the whole package before anything in it is used. GARAM_NOT_FOUND, GARAM_CORRUPT,
 * GARAM_MISMATCH. */
GARAM_API garam_status garam_model_open(garam_model **out, const char *path, garam_error *err);
GARAM_API void garam_model_close(garam_model *model); /* NULL is fine */

/* Shape. A prediction reads a window of T rows of F features, oldest first, and gives K
 * probabilities, or one value for regression. */
GARAM_API size_t garam_model_window(const garam_model *model);     /* T */
GARAM_API size_t garam_model_n_features(const garam_model *model); /* F */
GARAM_API size_t garam_model_n_outputs(const garam_model *model);  /* K */

/* Names; borrowed from the model. The index is below n_features or n_outputs. */
GARAM_API const char *garam_model_feature_name(const garam_model *model, size_t i);
GARAM_API const char *garam_model_output_name(const garam_model *model, size_t i); /* "up" */
GARAM_API const char *garam_model_task(const garam_model *model);   /* "classification" */
GARAM_API const char *garam_model_sha256(const garam_model *model); /* of the file, hexadecimal */
/* Everything that is known of how the model came to be, as JSON. */
GARAM_API const char *garam_model_manifest(const garam_model *model);

/* x (n, T, F) of raw feature values -> out (n, K). Scaling and calibration are the package's.
 * `padding` (n) says how many rows at the front of each window are not there; NULL: none. NaN is a
 * missing value. Allocates nothing once an n has been seen. */
GARAM_API garam_status garam_model_predict(garam_model *model, const float *x,
                                           const int32_t *padding, size_t n, float *out,
                                           garam_error *err);

/* Predictions for rows of data, oldest first; rows without enough history are left out. */
typedef struct garam_predictions {
  size_t n_rows, n_outputs;
  const uint32_t *row;    /* (n_rows) row in the data as repaired, from 0 */
  const int64_t *time;    /* (n_rows) ns since 1970 as stamped; NULL: the data has no time */
  const float *output;    /* (n_rows, n_outputs) probabilities, or values */
  const int32_t *label;   /* (n_rows) the most probable output; NULL for regression */
  const uint8_t *abstain; /* (n_rows) 1: not sure enough for 95 % accuracy; NULL for regression */
  const float *bounds;    /* (n_rows, 2) ends of an interval that holds the value 95 % of the time,
                             infinite where nothing is promised; NULL: classes, or no validation */
} garam_predictions;

/* `data` is what `garam predict MODEL DATA` takes: a file, "-", or sqlite:... */
GARAM_API garam_status garam_model_predict_data(garam_predictions **out, garam_model *model,
                                                const char *data, garam_error *err);
GARAM_API void garam_predictions_free(garam_predictions *p); /* NULL is fine */

#ifdef __cplusplus
}
#endif
#endif
