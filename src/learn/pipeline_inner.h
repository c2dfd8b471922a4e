/* The inside of a pipeline, for the files pipeline_*.c and evaluate*.c only. */
#ifndef LEARN_PIPELINE_INNER_H
#define LEARN_PIPELINE_INNER_H

#include "learn/pipeline.h"
#include "learn/calibrator.h"
#include "learn/conformal.h"
#include "learn/novelty.h"
#include "learn/scaler.h"
#include "learn/stream.h"

enum { PIPELINE_FORMAT = 1, PIPELINE_TARGET_PERCENT = 95 };
#define PIPELINE_TARGET CONFORMAL_TARGET /* accuracy that thresholds and sets are chosen for */

/* How a column of a plain table becomes features. */
typedef enum input_kind { INPUT_NUMBER, INPUT_CODE, INPUT_ONE_HOT } input_kind;
extern const char *const input_kind_names[];
typedef struct input {
  char *column;
  input_kind kind;
  char **names; /* categories, sorted: a one-hot feature each, or the codes 0, 1, ... */
  size_t n_names;
} input;

/* A part of the split, as recorded. Times are 0 when the rows have none. */
typedef struct part {
  size_t rows;
  int64_t begin, end, label_end; /* known_at of the first and last row; the last label's end */
} part;

struct pipeline {
  pipeline_config config;
  bool market;
  const learner_ops *ops;
  void *learner_config;
  learner *learner;
  learner_shape shape;
  size_t context;

  input *inputs; /* plain tables, before constant features are dropped */
  size_t n_inputs;
  char **feature_names; /* (shape.n_features): those in use */
  char **class_names;   /* (n_classes) */
  char roles[512];      /* market: which column is what */
  double dead_band;     /* market: as used */

  bool scaled;
  scaler scaler;
  double value_center, value_scale; /* regression: value = center + scale x prediction */

  calibrator calibrator; /* classes */
  novelty novelty;       /* n 0: no gate */
  bool gated;            /* by the manifest */
  size_t calibration_rows;
  double threshold, directional_threshold; /* 2: none */
  double conformal; /* classes: the score's quantile; regression: half width, INFINITY: none */

  bool timed;
  part train, valid, test;
  size_t purged;
  size_t *class_counts; /* (n_classes) of training rows */
  double train_mean;    /* regression: mean of the training values */
  char *source;
  size_t data_rows, repaired_rows;
  char digest[65], valid_digest[65]; /* of the tables; "" no valid table */
  fit_summary fit;
  json_t *dropped, *warnings; /* arrays of strings */

  json_t *manifest;
  char sha256[65];

  float *scaled_x; /* scratch of predict_windows, grown to the largest call */
  size_t scaled_capacity;
  float *batch_x; /* scratch of predict */
  int32_t *batch_begin;
  size_t batch_capacity, begin_capacity;
  float *view; /* scratch of observe */
  size_t view_capacity;
};

garam_status pipeline_warn(pipeline *p, garam_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
garam_status names_copy(char ***out, char *const *names, size_t n, garam_error *err);
void names_free(char **names, size_t n);

/* ---- pipeline_stream.c: learners that go on learning -------------------------------------------
 */

/* What rows say, worked out once for a walk through them. */
typedef struct stream_views {
  row_set rows; /* owned */
  uint32_t *at; /* (n_rows) place of a row in views */
  float *views; /* (rows.n, width) */
} stream_views;
bool pipeline_streams(const pipeline *p);
/* Views of the rows of both sets. */
garam_status stream_views_init(stream_views *out, pipeline *p, const dataset *d, row_set a,
                               row_set b, garam_error *err);
void stream_views_deinit(stream_views *v);
/* Is a raw row outside the domain that was trained on? Never without the gate. What it is answered
 * with then: the training rows' odds, or their mean. */
bool pipeline_is_new(const pipeline *p, const float *row);
void pipeline_prior(const pipeline *p, float *out);
/* Scores (n, K) as a learner gives them become odds, or values in the data's unit. */
garam_status pipeline_finish(const pipeline *p, float *out, size_t n, garam_error *err);

/* ---- from a table to a dataset: pipeline_market.c, pipeline_table.c -------------------------- */

/* Fitting: the dataset of t with every feature there is, its split, and in p the features,
 * classes and whatever else a later table needs to be treated the same. `all_train`: no row is
 * kept for valid or test. */
garam_status market_prepare(dataset **out, fold *split, pipeline *p, const table *t, bool all_train,
                            garam_error *err);
garam_status table_prepare(dataset **out, fold *split, pipeline *p, const table *t, bool all_train,
                           garam_error *err);
/* As p says. Market: bars and labels come out as well where they are asked for (not NULL). */
garam_status market_dataset(dataset **out, bars **bars_out, labels **labels_out, const pipeline *p,
                            const table *t, bool labelled, garam_error *err);
garam_status table_dataset(dataset **out, const pipeline *p, const table *t, bool labelled,
                           garam_error *err);
/* Are the features in use a subset, in order, of what the inputs give? */
garam_status table_check_features(const pipeline *p, const char *where, garam_error *err);
size_t pipeline_embargo(const pipeline *p);

/* ---- pipeline_rows.c: what stands beside the rows ----------------------------------------------
 */

/* Weights, queries and scores to start from, where p's options name a column of t, or, when it is
 * the table that is fitted on, a file. */
garam_status pipeline_rows(dataset *d, const pipeline *p, const table *t, bool fit,
                           garam_error *err);
bool pipeline_stands_beside(const pipeline *p, const table *t, int column); /* not a feature */
/* The scores that n rows start from, onto those of a learner, out (n, k): the last of each. */
void pipeline_add_init(const dataset *d, const uint32_t *rows, size_t n, float *out, size_t k);
/* As pipeline_predict_windows. d and rows: the scores that the windows' rows start from; NULL: 0.
 */
garam_status pipeline_predict_from(pipeline *p, const float *x, const int32_t *begin, size_t n,
                                   const dataset *d, const uint32_t *rows, float *out,
                                   garam_error *err);
garam_status rows_read_weights(dataset *d, const char *path, garam_error *err);
garam_status rows_read_groups(dataset *d, const char *path, garam_error *err);
garam_status rows_read_init(dataset *d, const char *path, garam_error *err);

/* ---- pipeline_manifest.c --------------------------------------------------------------------- */

garam_status manifest_build(pipeline *p, garam_error *err);
json_t *manifest_options(const pipeline_config *c); /* of every set of rows, by name */
/* Fills p (ops, config, shape, names, calibration, record) from a file's manifest; everything in
 * it is checked. */
garam_status manifest_parse(pipeline *p, json_t *manifest, const char *where, garam_error *err);

#endif
