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
  bins *held;                 /* those it was fitted with, for the next to find; or NULL */
  double *scores;             /* scratch of predict */
  size_t scores_capacity;
};

/* The host's loss, from gbdt_set_loss. */
loss_custom_fn gbdt_custom_loss(void **context);

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

/* Leaves that are linear in the features of their path (Shi, Li & Li 2019). gbdt_linear.c */
typedef struct gbdt_linear gbdt_linear;

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

/* ---- a fit under way --------------------------------------------------------------------------
 */

typedef struct boosting {
  gbdt *m;
  const gbdt_config *config;
  const dataset *d;
  row_set train, valid;
  const fit_context *fit;
  uint64_t seed;
  size_t k; /* outputs */

  gbdt_columns columns;
  bins *bins;
  grower *grower;
  loss loss;
  gbdt_sample sample;
  gbdt_linear *linear; /* NULL: leaves are constants */
  float *weight;       /* (n_rows) or NULL */
  float *score;        /* (k, n_rows) */
  float *gh;           /* (k, 2 n_rows) */
  double *base;        /* (k) */
  trees_builder *built;
  size_t *trees_after; /* (rounds) trees there are after each */
  void *residuals;     /* gbdt_renew.c's scratch, or NULL */
  int *dropped;        /* dart: (rounds) those left out of the scores now */
  int n_dropped;

  int round, best_round; /* rounds done; 1-based best */
  double best_loss;
  double *train_losses, *valid_losses;
  int64_t begun, saved; /* clocks: of the fit, of the last checkpoint */
  double seconds_before;
} boosting;

/* Leaves become a weighted quantile of the residuals of their rows. gbdt_renew.c */
garam_status gbdt_renew_init(boosting *b, garam_error *err);
void gbdt_renew(boosting *b, grown *t, size_t k);

/* gbdt_dart.c: before a round's gradients, and after its trees. */
garam_status gbdt_dart_init(boosting *b, garam_error *err);
void gbdt_dart_drop(boosting *b);
double gbdt_dart_shrinkage(const boosting *b);
void gbdt_dart_restore(boosting *b);

/* gbdt_linear.c: fits the leaves of a tree, adds their values to the scores, and builds it. */
garam_status gbdt_linear_new(gbdt_linear **out, const boosting *b, garam_error *err);
void gbdt_linear_free(gbdt_linear *l); /* NULL is fine */
garam_status gbdt_linear_add(boosting *b, const grown *t, size_t k, double shrinkage,
                             garam_error *err);

/* gbdt_checkpoint.c: FOLDER/last.safetensors. Resuming gives the bits of a run never stopped. */
garam_status gbdt_checkpoint_write(const boosting *b, garam_error *err);
garam_status gbdt_checkpoint_read(boosting *b, garam_error *err);

#endif
