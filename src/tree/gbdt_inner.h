/* The inside of the learner, for the files gbdt*.c only. */
#ifndef TREE_GBDT_INNER_H
#define TREE_GBDT_INNER_H

#include "tree/gbdt.h"
#include "tree/grow.h"
#include "tree/predict.h"

enum { BOOSTING_PLAIN, BOOSTING_DART };
enum { SAMPLING_BAGGING, SAMPLING_GOSS };

struct gbdt {
  learner base;
  gbdt_config config;
  learner_shape shape;
  size_t n_outputs; /* scores: classes; 1 for two classes and for values */
  trees *model;
  trees_predictor *predictor; /* of the model */
  loss_custom_fn custom;
  void *custom_context;
  double *scores; /* scratch of predict */
  size_t scores_capacity;
};

garam_status gbdt_fit(learner *l, const dataset *d, row_set train, row_set valid,
                      const fit_context *fit, fit_summary *summary, garam_error *err);

/* Features named in options, by name or number. gbdt_columns.c */
typedef struct gbdt_columns {
  uint8_t *categorical; /* (n_features) or NULL */
  int8_t *monotone;     /* (n_features) or NULL */
  uint8_t *allowed;     /* (n_groups, n_features) or NULL */
  size_t n_groups;
} gbdt_columns;
garam_status gbdt_columns_init(gbdt_columns *out, const gbdt_config *c, const dataset *d,
                               garam_error *err);
void gbdt_columns_deinit(gbdt_columns *c);

/* Rows of a round: `in` is fitted, `out` carried along. gbdt_sample.c */
typedef struct gbdt_sample {
  const gbdt_config *config;
  uint64_t seed;
  row_set train, valid;
  uint32_t *in, *out; /* storage (train + valid each) */
  size_t n_in, n_out;
  float *size; /* (train) of gradients, for goss */
} gbdt_sample;
garam_status gbdt_sample_init(gbdt_sample *s, const gbdt_config *c, uint64_t seed, row_set train,
                              row_set valid, garam_error *err);
void gbdt_sample_deinit(gbdt_sample *s);
bool gbdt_sample_all(const gbdt_config *c); /* every row in every round */
/* Draws for a round. goss multiplies the gradients gh (K, 2 n_rows) of the small ones it keeps. */
void gbdt_sample_draw(gbdt_sample *s, uint64_t round, float *gh, size_t n_rows, size_t n_outputs);

#endif
