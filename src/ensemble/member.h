/* A learner inside another: what every ensemble is made of. The ensemble takes raw features and the
 * longest window of its members; each member gets its own view: its own window, its own features,
 * scaled by what its own training rows say, because a fold's model must not know the spread of the
 * rows it is asked about. */
#ifndef ENSEMBLE_MEMBER_H
#define ENSEMBLE_MEMBER_H

#include "ensemble/spec.h"
#include "learn/scaler.h"

typedef struct member_scaling {
  int kind; /* scaler_kind */
  double clip;
} member_scaling;

typedef struct member {
  const learner_ops *ops;
  learner *learner;
  learner_shape outer, shape; /* of the ensemble; as the member sees it */
  size_t context, n_outputs;
  uint32_t *features; /* (shape.n_features) ascending, of the ensemble's; NULL: all */
  scaler scaler;      /* n 0: raw inputs are taken as they are */
  double value[2];    /* regression: value = [0] + [1] x prediction */
  float *x;           /* scratch of predict: the view of one call */
  int32_t *begin;
  size_t x_capacity, begin_capacity;
} member;

/* Creates the learner, not fitted. `features` (n_features of them, ascending, copied) may be NULL:
 * all. */
garam_status member_init(member *m, const member_spec *spec, const learner_shape *outer,
                         const uint32_t *features, size_t n_features, garam_error *err);
void member_deinit(member *m);

/* Fits on raw rows of d; the scaler sees `train` only. summary may be NULL. */
garam_status member_fit(member *m, const dataset *d, row_set train, row_set valid,
                        const member_scaling *scaling, const fit_context *fit, fit_summary *summary,
                        garam_error *err);

/* x (n, context, outer features), raw, as learner_ops.predict has it, with context at least the
 * member's own. out (n, n_outputs): class scores, or values as they are in the data. No malloc for
 * an n that was seen. */
garam_status member_predict(member *m, const float *x, const int32_t *begin, size_t n,
                            size_t context, float *out, garam_error *err);
/* The same for rows of a raw dataset. */
garam_status member_predict_rows(member *m, const dataset *d, row_set rows, float *out,
                                 garam_error *err);

/* Arrays under PREFIX: the learner's own, and PREFIXin.* for the view. n_features: how many of the
 * outer ones it takes, 0: all. */
garam_status member_save(const member *m, package_writer *w, const char *prefix, garam_error *err);
garam_status member_load(member *m, const member_spec *spec, const learner_shape *outer,
                         size_t n_features, const member_scaling *scaling, package_reader *r,
                         const char *prefix, garam_error *err);

#endif
