/* The scores themselves, their intervals, and what the report draws. */
#include "learn/evaluate_inner.h"

#include "base/mem.h"
#include "learn/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 15, CURVE_POINTS = 20 };

static void put_number(evaluation *e, const char *key, double value) {
  evaluation_put(e, e->result, key, json_number_or_null(value));
}

/* ---- classes -------------------------------------------------------------------------------- */

static void put_confusion(evaluation *e, const size_t *counts) {
  json_t *matrix = json_array(), *names = json_array();
  for (int i = 0; i < e->k && matrix && names; i++) {
    json_t *row = json_array();
    for (int j = 0; row && j < e->k; j++)
      if (json_array_append_new(row, json_integer((json_int_t)counts[i * e->k + j])) != 0)
        e->no_memory = true;
    if (json_array_append_new(matrix, row) != 0 ||
        json_array_append_new(names, json_string(e->p->class_names[i])) != 0)
      e->no_memory = true;
  }
  evaluation_put(e, e->detail, "confusion", matrix);
  evaluation_put(e, e->detail, "class_names", names);
}

static void put_reliability(evaluation *e) {
  metric_bin bins[BINS];
  json_t *array = json_array();
  metric_reliability(bins, e->out, e->y, e->n, e->k, BINS);
  for (int b = 0; array && b < BINS; b++)
    if (json_array_append_new(array,
                              json_pack("{s:f, s:f, s:I, s:o, s:o}", "low", (double)b / BINS,
                                        "high", (double)(b + 1) / BINS, "n", (json_int_t)bins[b].n,
                                        "confidence", json_number_or_null(bins[b].confidence),
                                        "accuracy", json_number_or_null(bins[b].accuracy))) != 0)
      e->no_memory = true;
  evaluation_put(e, e->detail, "reliability", array);
}

typedef struct call {
  float confidence;
  uint32_t at;
} call;

static int compare_calls(const void *a, const void *b) {
  const call *x = a, *y = b;
  if (x->confidence != y->confidence) return x->confidence > y->confidence ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Accuracy of the surest share of rows. */
static garam_status put_coverage_curve(evaluation *e, garam_error *err) {
  call *calls = mem_array(e->n, sizeof *calls);
  json_t *array = json_array();
  if (!calls || !array) {
    mem_free(calls);
    json_decref(array);
    return fail_memory(err, e->n * sizeof *calls);
  }
  for (size_t i = 0; i < e->n; i++)
    calls[i] = (call){e->out[i * (size_t)e->k + (size_t)e->top[i]], (uint32_t)i};
  qsort(calls, e->n, sizeof *calls, compare_calls);
  size_t hits = 0, done = 0;
  for (size_t point = 1; point <= CURVE_POINTS; point++) {
    size_t to = e->n * point / CURVE_POINTS;
    if (to == done) continue;
    for (; done < to; done++) hits += e->top[calls[done].at] == e->y[calls[done].at];
    if (json_array_append_new(array,
                              json_pack("{s:f, s:f, s:f}", "coverage", (double)done / (double)e->n,
                                        "accuracy", (double)hits / (double)done, "confidence",
                                        (double)calls[done - 1].confidence)) != 0)
      e->no_memory = true;
  }
  evaluation_put(e, e->detail, "coverage", array);
  mem_free(calls);
  return GARAM_OK;
}

/* The threshold comes from the validation part; here it is only looked at. */
static void put_coverage(evaluation *e) {
  double coverage, accuracy;
  const pipeline *p = e->p;
  metric_coverage(&coverage, &accuracy, p->threshold, e->out, e->y, e->n, e->k, METRIC_ALL_CLASSES);
  put_number(e, "coverage_at_95", coverage);
  put_number(e, "accuracy_at_95", accuracy);
  coverage = accuracy = NAN;
  if (p->market) {
    unsigned directions = e->k == 3 ? 1u << LABEL_DOWN | 1u << LABEL_UP : METRIC_ALL_CLASSES;
    metric_coverage(&coverage, &accuracy, p->directional_threshold, e->out, e->y, e->n, e->k,
                    directions);
  }
  put_number(e, "directional_coverage_at_95", coverage);
  put_number(e, "directional_accuracy_at_95", accuracy);
  evaluation_put(e, e->result, "threshold_at_95",
                 p->threshold > 1 ? json_null() : json_real(p->threshold));
  double size;
  calibrate_conformal_score(&coverage, &size, p->conformal, e->out, e->y, e->n, e->k);
  evaluation_put(e, e->result, "conformal",
                 json_pack("{s:f, s:o, s:o}", "target", PIPELINE_TARGET, "coverage",
                           json_number_or_null(coverage), "mean_size", json_number_or_null(size)));
}

static garam_status put_class_intervals(evaluation *e, garam_error *err) {
  double low, high, *score = mem_array(e->n, sizeof *score);
  json_t *interval = json_object();
  int resamples = e->config->bootstrap;
  uint64_t seed = (uint64_t)e->config->seed;
  if (!score || !interval) {
    mem_free(score);
    json_decref(interval);
    return fail_memory(err, e->n * sizeof *score);
  }
  for (size_t i = 0; i < e->n; i++) score[i] = e->top[i] == e->y[i];
  metric_block_bootstrap(&low, &high, score, e->n, e->block, resamples, seed);
  evaluation_put(e, interval, "accuracy", evaluation_pair(low, high));
  metric_block_bootstrap_f1(&low, &high, e->top, e->y, e->n, e->k, e->block, resamples, seed);
  evaluation_put(e, interval, "macro_f1", evaluation_pair(low, high));
  for (size_t i = 0; i < e->n; i++) {
    double q = (double)e->out[i * (size_t)e->k + (size_t)e->y[i]];
    score[i] = -log(q > 1e-15 ? q : 1e-15);
  }
  if (!e->weight) { /* a mean of rows only then */
    metric_block_bootstrap(&low, &high, score, e->n, e->block, resamples, seed);
    evaluation_put(e, interval, "log_loss", evaluation_pair(low, high));
  }
  evaluation_put(e, interval, "level", json_real(0.95));
  evaluation_put(e, interval, "block", json_integer((json_int_t)e->block));
  evaluation_put(e, interval, "resamples", json_integer(resamples));
  if (resamples > 0) evaluation_put(e, e->result, "interval", interval);
  else json_decref(interval);
  mem_free(score);
  return GARAM_OK;
}

/* Three classes can be told from chance by knowing when a market is quiet. What is left when flat
 * rows are left out: among the rows that moved, the share whose direction had the larger
 * probability, beside the share of the commoner direction. */
static garam_status put_direction(evaluation *e, garam_error *err) {
  if (!e->p->market) return GARAM_OK;
  const size_t k = (size_t)e->k;
  double *right = mem_array(e->n, sizeof *right);
  if (!right) return fail_memory(err, e->n * sizeof *right);
  size_t n = 0, n_up = 0, n_right = 0;
  for (size_t i = 0; i < e->n; i++) {
    const float *p = e->out + i * k;
    bool up = e->y[i] == e->k - 1;
    if (!up && e->y[i] != LABEL_DOWN) continue;
    right[n] = (p[k - 1] > p[0]) == up;
    n_right += right[n++] > 0;
    n_up += up;
  }
  double low = NAN, high = NAN, total = n ? (double)n : NAN;
  if (n > 0 && e->config->bootstrap > 0)
    metric_block_bootstrap(&low, &high, right, n, e->block, e->config->bootstrap,
                           (uint64_t)e->config->seed);
  size_t commoner = n_up > n - n_up ? n_up : n - n_up;
  evaluation_put(e, e->result, "direction",
                 json_pack("{s:I, s:o, s:o, s:o}", "rows", (json_int_t)n, "accuracy",
                           json_number_or_null((double)n_right / total), "majority",
                           json_number_or_null((double)commoner / total), "interval",
                           evaluation_pair(low, high)));
  mem_free(right);
  return GARAM_OK;
}

/* A simulated table may hold the true odds (p_down, p_flat, p_up). Used where they are the odds of
 * this label: their own accuracy must be what they promise. */
static void put_bayes(evaluation *e) {
  static const char *const names[] = {"p_down", "p_flat", "p_up"};
  const column *c[3];
  const label_spec *spec = &e->p->config.label;
  if (!e->p->market || e->k != 3 || spec->kind != LABEL_HORIZON || spec->horizon != 1) return;
  for (int i = 0; i < 3; i++) {
    int at = table_find(e->t, names[i]);
    if (at < 0 || e->t->columns[at].type != COLUMN_F64) return;
    c[i] = &e->t->columns[at];
  }
  double promised = 0, variance = 0, right = 0, model = 0;
  for (size_t i = 0; i < e->n; i++) {
    float p[3];
    for (int j = 0; j < 3; j++) p[j] = (float)c[j]->f64[e->rows[i]];
    int top = metric_top(p, 3);
    double q = (double)p[top];
    if (!(q >= 0.33 && q <= 1.001) || fabs((double)(p[0] + p[1] + p[2]) - 1) > 1e-3) return;
    promised += q;
    variance += q * (1 - q);
    right += top == e->y[i];
    model += e->top[i] == e->y[i];
  }
  if (fabs(right - promised) > 4 * sqrt(variance) + 0.002 * (double)e->n) return;
  put_number(e, "bayes_accuracy", promised / (double)e->n);
  put_number(e, "share_of_bayes", model / promised);
}

static garam_status score_classes(evaluation *e, garam_error *err) {
  size_t n = e->n;
  int k = e->k;
  size_t *counts = mem_array((size_t)k * (size_t)k, sizeof *counts);
  if (!counts) return fail_memory(err, (size_t)k * (size_t)k * sizeof *counts);
  metric_confusion(counts, e->out, e->y, n, k);
  put_number(e, "accuracy", metric_accuracy(e->out, e->y, n, k));
  put_number(e, "macro_f1", metric_macro_f1_of(counts, k));
  put_number(e, "mcc", metric_mcc(counts, k));
  put_number(e, "log_loss", metric_log_loss(e->out, e->y, e->weight, n, k));
  put_number(e, "brier", metric_brier(e->out, e->y, n, k));
  put_number(e, "calibration_error", metric_calibration_error(e->out, e->y, n, k, BINS));
  put_confusion(e, counts);
  mem_free(counts);
  if (k == 2) {
    float *score = mem_array(n, sizeof *score);
    if (!score) return fail_memory(err, n * sizeof *score);
    for (size_t i = 0; i < n; i++) score[i] = e->out[2 * i + 1];
    put_number(e, "auc", metric_auc(score, e->y, e->weight, n));
    mem_free(score);
  }
  put_coverage(e);
  put_bayes(e);
  TRY(put_direction(e, err));
  put_reliability(e);
  TRY(put_coverage_curve(e, err));
  return put_class_intervals(e, err);
}

/* ---- values --------------------------------------------------------------------------------- */

/* Ends of the learner's own, as they stood when each row was answered; else the value plus and
 * minus one width for all. */
static void put_intervals(evaluation *e, const double *error) {
  double held = 0, width = 0, finite = 0;
  for (size_t i = 0; i < e->n; i++) {
    const float *ends = e->bounds ? e->bounds + 2 * i : NULL;
    held += ends ? e->value[i] >= ends[0] && e->value[i] <= ends[1] : error[i] <= e->p->conformal;
    if (!ends || !isfinite(ends[0]) || !isfinite(ends[1])) continue;
    width += ((double)ends[1] - (double)ends[0]) / 2;
    finite++;
  }
  json_t *o =
      json_pack("{s:f, s:f, s:o}", "target", PIPELINE_TARGET, "coverage", held / (double)e->n,
                "half_width", json_number_or_null(e->bounds ? width / finite : e->p->conformal));
  if (o && e->bounds && json_object_set_new(o, "own", json_true()) != 0) e->no_memory = true;
  evaluation_put(e, e->result, "conformal", o);
}

static garam_status score_values(evaluation *e, garam_error *err) {
  size_t n = e->n;
  double low, high, *error = mem_array(n, sizeof *error);
  json_t *interval = json_object();
  if (!error || !interval) {
    mem_free(error);
    json_decref(interval);
    return fail_memory(err, n * sizeof *error);
  }
  put_number(e, "mse", metric_mse(e->out, e->value, e->weight, n));
  put_number(e, "mae", metric_mae(e->out, e->value, e->weight, n));
  put_number(e, "r2", metric_r2(e->out, e->value, e->weight, n));
  for (size_t i = 0; i < n; i++) error[i] = fabs((double)e->out[i] - (double)e->value[i]);
  put_intervals(e, error);
  metric_block_bootstrap(&low, &high, error, n, e->block, e->config->bootstrap,
                         (uint64_t)e->config->seed);
  evaluation_put(e, interval, "mae", evaluation_pair(low, high));
  for (size_t i = 0; i < n; i++) error[i] *= error[i];
  metric_block_bootstrap(&low, &high, error, n, e->block, e->config->bootstrap,
                         (uint64_t)e->config->seed);
  evaluation_put(e, interval, "mse", evaluation_pair(low, high));
  if (e->config->bootstrap > 0 && !e->weight) evaluation_put(e, e->result, "interval", interval);
  else json_decref(interval);
  mem_free(error);
  return GARAM_OK;
}

garam_status evaluate_scores(evaluation *e, garam_error *err) {
  if (e->p->shape.task == TASK_RANKING) return evaluate_ranking(e, err);
  return e->k > 0 ? score_classes(e, err) : score_values(e, err);
}
