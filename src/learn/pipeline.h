/* The pipeline: everything between a table and a probability. How the table is read, roles,
 * features, label, scaler, learner, calibration, abstention threshold: fitted together, saved
 * together, so that serving computes what training did. */
#ifndef LEARN_PIPELINE_H
#define LEARN_PIPELINE_H

#include "learn/learner.h"
#include "learn/metric.h"
#include "market/market.h"

typedef struct pipeline_config {
  table_read_config read;
  bars_config bars;
  feature_spec features;
  label_spec label;
  cost_config costs;
  int task;          /* classification, regression, binary, ranking: index of task_names */
  char target[64];   /* "": market labels; else a column (name, or number when no header) */
  char weights[512]; /* column, or a file with one number a row; "" none */
  char group[512];   /* ranking: column of the row's query, or a file with the rows of each query */
  char init_score[512];            /* file with the score that each row starts from; "" 0 */
  char repair[64];                 /* "sort,deduplicate,drop-missing" */
  double train_share, valid_share; /* the rest is the test part */
  int embargo;                     /* rows; -1: the label's horizon */
  int scaling;                     /* standard, robust: for learners that want scaled inputs */
  double clip;                     /* scaled inputs are cut at +-clip; 0: not */
  int calibration;                 /* calibration_kind: of classes, fitted on the validation part */
  int novelty;         /* none, gate: rows unlike those trained on get the prior's odds */
  bool shuffle_target; /* a leak test: targets permuted by the seed; must give chance */
  int64_t seed;
} pipeline_config;
extern const opt_row pipeline_options[]; /* of the fields from task down; seed has its own flag */
extern const size_t pipeline_n_options;
pipeline_config pipeline_config_default(void); /* of all sets of rows; seed 0 */

typedef struct pipeline pipeline;

/* Fits on `t` (train part), early-stops and calibrates on the valid part, keeps the test part for
 * evaluation. With a `valid_table` all of t is trained on and all of valid_table validates: the
 * test part is then another file. Rows of all three parts are recorded by time, so that evaluate
 * on the same file scores only the test part. */
garam_status pipeline_fit(pipeline **out, const table *t, const table *valid_table,
                          const pipeline_config *config, const learner_ops *ops,
                          const void *learner_config, const fit_context *fit, fit_summary *summary,
                          garam_error *err);
void pipeline_free(pipeline *p);

/* A pipeline around a learner that was fitted elsewhere: a plain table with a number in each of
 * `columns` (n_features of shape, which are its features as well) gives l its rows. class_names
 * (n_classes) is NULL for values. `target` is the column that evaluate compares with. Takes l,
 * whatever comes back. */
garam_status pipeline_adopt(pipeline **out, learner *l, const void *learner_config,
                            const learner_shape *shape, char *const *columns,
                            char *const *class_names, const char *target, const char *source,
                            garam_error *err);

garam_status pipeline_save(const pipeline *p, const char *path, garam_error *err);
garam_status pipeline_load(pipeline **out, const char *path, garam_error *err);

const json_t *pipeline_manifest(const pipeline *p);
const learner_ops *pipeline_learner(const pipeline *p);
const learner *pipeline_fitted(const pipeline *p); /* NULL before the fit */
task pipeline_task(const pipeline *p);
size_t pipeline_context(const pipeline *p); /* window length T */
size_t pipeline_n_features(const pipeline *p);
int pipeline_n_outputs(const pipeline *p); /* classes, or 1 */
const char *pipeline_feature_name(const pipeline *p, size_t i);
const char *pipeline_output_name(const pipeline *p, int i); /* class names, or "value" */
const char *pipeline_sha256(const pipeline *p); /* of the file it came from or went to */
const table_read_config *pipeline_read_config(const pipeline *p); /* of the training table */
/* Confidence (largest probability) from which a prediction stands, chosen on the valid part so
 * that *target (0.95) of those are right; 2 when none is. Regression: *target is 0. */
double pipeline_threshold(const pipeline *p, double *target);

/* SHA-256 of a table's columns: their names, types and values. What tells evaluate that a table is
 * the one trained on, wherever it was read from. */
void pipeline_digest(char out[65], const table *t);

/* By which scores of classes are divided to give the odds; NaN when more than that is done. */
double pipeline_temperature(const pipeline *p);

/* The repair that the training table was given (--repair), for a table that is to be treated the
 * same. *out is NULL when none was asked for. Without `labelled`, rows are not dropped for a
 * missing target. */
garam_status pipeline_repair(table **out, const pipeline *p, const table *t, bool labelled,
                             garam_error *err);

/* The dataset that this pipeline makes of a table: same repair, same features, same label; a row
 * for each of the (repaired) table. With `labelled` false no target is needed (prediction on fresh
 * rows). A table that lacks a feature is GARAM_MISMATCH, which names it. */
garam_status pipeline_dataset(dataset **out, const pipeline *p, const table *t, bool labelled,
                              garam_error *err);
/* Calibrated probabilities (n, K), or values (n, 1), for rows of a dataset, in batches. */
garam_status pipeline_predict(pipeline *p, const dataset *d, row_set rows, float *out,
                              garam_error *err);
/* Does a value come with an interval that should hold the outcome in a share of 0.95? */
bool pipeline_has_bounds(const pipeline *p);
/* out (n, 2): the ends of the intervals around value (n), as pipeline_predict gave them for the
 * rows: the learner's own, as it stands now, or those of the validation part's errors. Infinite
 * where the novelty gate abstains. */
garam_status pipeline_bounds(pipeline *p, const dataset *d, row_set rows, const float *value,
                             float *out, garam_error *err);
/* The hot path: raw features x (n, T, F) -> probabilities (n, K). Scales, predicts, calibrates.
 * No malloc once warm. Under --novelty gate a row whose dissimilarity index is over 1 (novelty.h)
 * is answered with the odds, or the mean, of the training rows: as nobody is sure of those, it
 * abstains. */
garam_status pipeline_predict_windows(pipeline *p, const float *x, const int32_t *begin, size_t n,
                                      float *out, garam_error *err);

/* A learner that goes on learning (learner_stream): the outcome of one window x (1, T, F), raw, has
 * become known; a class, or a value in the data's unit. It counts for every answer from now on, and
 * is in what is saved. GARAM_UNSUPPORTED for other learners. No malloc once warm. */
garam_status pipeline_observe(pipeline *p, const float *x, const int32_t *begin, int32_t y,
                              float value, garam_error *err);

/* Everything `garam evaluate --json` prints (cli.md), from a labelled table. When the table is the
 * one trained on (by its digest), only rows of the test part are scored; of another table with
 * times, only rows whose label's interval does not meet that of training and validation. What was
 * scored, and why, stands under "scored"; "warning" says what to be careful of.
 *   rows, model, task, time{start,end}, trained_rows_included, scored{which, left_out}
 *   classes: accuracy, macro_f1, mcc, log_loss, brier, calibration_error, auc (two classes),
 *     coverage_at_95, accuracy_at_95, directional_* (market), conformal{target,coverage,mean_size}
 *   values: mse, mae, r2, conformal{target,coverage,half_width}; own: intervals of the learner
 *   rankings: ndcg (at 10), ndcg_at_1, _3, _5, _10, queries; baselines{random}
 *   interval{score: [low, high]}: 95 %, circular block bootstrap
 *   baselines{majority, persistence, momentum} or {mean, persistence, momentum, no_change}
 *   over_best_baseline{baseline, accuracy, interval}: paired
 *   novelty{outside, share}, where there is a gate
 *   backtest{...} (market), bayes_accuracy and share_of_bayes (simulated with its posterior)
 *   detail: confusion, class_names, reliability, coverage, equity, training curve; with times
 *     conformal{fixed, adaptive, by_regime}: coverage of the sets of the validation part, and of
 *     those that adapt to drift; with importance: influence{loss, base, rows, repeats, block,
 *     features[{feature, permutation, range}], dependence[{feature, output, at, mean}]}; of a
 * learner that goes on learning: stream{outcomes, weights}, parts[{name, scores, backtest}]. Such a
 *     learner walks through the scored rows in time, shown each outcome once it is known. */
typedef enum evaluate_position {
  POSITION_CALL,         /* +-1 where up or down is the likeliest class, else 0 */
  POSITION_SIGN,         /* the sign of p_up - p_down */
  POSITION_PROPORTIONAL, /* p_up - p_down */
} evaluate_position;
typedef struct evaluate_config {
  int64_t seed;
  int bootstrap; /* resamples */
  int n_trials;  /* tried before this one: deflates the Sharpe ratio */
  bool all_rows; /* score training rows as well (said in the output) */
  int position;  /* evaluate_position: from odds to a position in the backtest */
  char weights[512], group[512], init_score[512]; /* files that belong to this table; "" none */
  int importance; /* permutations of each feature: its worth, partial dependence; < 1: none */
  double edge;    /* no position while |p_up - p_down| (a value's: |return|) is below */
} evaluate_config;
extern const opt_row evaluate_options[];
extern const size_t evaluate_n_options;
garam_status pipeline_evaluate(json_t **out, pipeline *p, const table *t,
                               const evaluate_config *config, garam_error *err);

#endif
