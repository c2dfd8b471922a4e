/* What the simplest rules would have scored on the same rows, from what was known at each.
 *   majority     the most common class of the training rows (its log loss: their shares as odds)
 *   persistence  the outcome that was known last: of the row whose label ended last, at or before
 *                this row's time
 *   momentum     the move over the last `horizon` rows goes on, by the same dead band
 *   mean         values: the mean of the training rows
 *   no_change    values of a market: a return of zero, the last price stays */
#include "learn/evaluate_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ending {
  int64_t end;
  uint32_t row;
} ending;

static int compare_endings(const void *a, const void *b) {
  const ending *x = a, *y = b;
  if (x->end != y->end) return x->end < y->end ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

/* last[i]: the row whose outcome was known last at the time of rows[i], or -1. A row's own
 * outcome is never among them, nor that of a later row. */
static garam_status last_known(int64_t *last, const evaluation *e, garam_error *err) {
  const dataset *d = e->d;
  ending *endings = mem_array(d->n_rows + 1, sizeof *endings);
  if (!endings) return fail_memory(err, d->n_rows * sizeof *endings);
  size_t n = 0, at = 0;
  for (size_t i = 0; i < d->n_rows; i++)
    if (dataset_labelled(d, i))
      endings[n++] = (ending){d->label_end ? d->label_end[i] : d->known_at[i], (uint32_t)i};
  qsort(endings, n, sizeof *endings, compare_endings);
  int64_t known = -1;
  for (size_t i = 0; i < e->n; i++) {
    for (; at < n && endings[at].end <= d->known_at[e->rows[i]] && endings[at].row < e->rows[i];
         at++)
      known = endings[at].row;
    last[i] = known;
  }
  mem_free(endings);
  return GARAM_OK;
}

/* The log return over the last `horizon` rows; NaN where there are not so many. */
static double past_move(const evaluation *e, uint32_t row) {
  size_t h = (size_t)e->p->config.label.horizon;
  return row < h ? NAN : log(e->b->close[row] / e->b->close[row - h]);
}

static int class_of_move(const evaluation *e, double move, int otherwise) {
  if (isnan(move)) return otherwise;
  if (e->k == 2) return move > 0;
  return move > e->l->dead_band ? LABEL_UP : move < -e->l->dead_band ? LABEL_DOWN : LABEL_FLAT;
}

/* ---- classes -------------------------------------------------------------------------------- */

typedef struct best {
  const char *name;
  double accuracy;
  int32_t *called;
} best;

static garam_status put_called(evaluation *e, json_t *baselines, const char *name,
                               const int32_t *called, double log_loss, best *b, garam_error *err) {
  size_t *counts = mem_array((size_t)e->k * (size_t)e->k, sizeof *counts), hits = 0;
  if (!counts) return fail_memory(err, (size_t)e->k * (size_t)e->k * sizeof *counts);
  for (size_t i = 0; i < e->n; i++) {
    counts[e->y[i] * e->k + called[i]]++;
    hits += e->y[i] == called[i];
  }
  double accuracy = (double)hits / (double)e->n;
  json_t *one = json_pack("{s:f, s:o}", "accuracy", accuracy, "macro_f1",
                          json_number_or_null(metric_macro_f1_of(counts, e->k)));
  if (one && isfinite(log_loss)) evaluation_put(e, one, "log_loss", json_real(log_loss));
  evaluation_put(e, baselines, name, one);
  mem_free(counts);
  if (!b->name || accuracy > b->accuracy) {
    b->name = name;
    b->accuracy = accuracy;
    memcpy(b->called, called, e->n * sizeof *called);
  }
  return GARAM_OK;
}

/* Log loss of always giving the shares of the training rows as odds. */
static double prior_log_loss(const evaluation *e) {
  double sum = 0, total = 0, rows = 0;
  for (int c = 0; c < e->k; c++) rows += (double)e->p->class_counts[c];
  if (rows == 0) return NAN; /* fitted elsewhere: the shares are not known */
  for (size_t i = 0; i < e->n; i++) {
    double w = e->weight ? (double)e->weight[i] : 1;
    double q = (double)e->p->class_counts[e->y[i]] / rows;
    sum -= w * log(q > 1e-15 ? q : 1e-15);
    total += w;
  }
  return sum / total;
}

static garam_status put_over_best(evaluation *e, const best *b, garam_error *err) {
  double low, high, sum = 0, *more = mem_array(e->n, sizeof *more);
  if (!more) return fail_memory(err, e->n * sizeof *more);
  for (size_t i = 0; i < e->n; i++)
    sum += more[i] = (e->top[i] == e->y[i]) - (e->y[i] == b->called[i]);
  metric_block_bootstrap(&low, &high, more, e->n, e->block, e->config->bootstrap,
                         (uint64_t)e->config->seed);
  evaluation_put(e, e->result, "over_best_baseline",
                 json_pack("{s:s, s:f, s:o}", "baseline", b->name, "accuracy", sum / (double)e->n,
                           "interval", evaluation_pair(low, high)));
  mem_free(more);
  return GARAM_OK;
}

static garam_status class_baselines(evaluation *e, json_t *baselines, const int64_t *last,
                                    garam_error *err) {
  int32_t majority = 0;
  best b = {0};
  garam_status status;
  int32_t *called = mem_array(e->n, sizeof *called);
  b.called = mem_array(e->n, sizeof *b.called);
  if (!called || !b.called) {
    status = fail_memory(err, e->n * sizeof *called);
    goto done;
  }
  for (int32_t c = 1; c < e->k; c++)
    if (e->p->class_counts[c] > e->p->class_counts[majority]) majority = c;
  for (size_t i = 0; i < e->n; i++) called[i] = majority;
  TRY_GOTO(done, put_called(e, baselines, "majority", called, prior_log_loss(e), &b, err));
  if (last) {
    for (size_t i = 0; i < e->n; i++) called[i] = last[i] < 0 ? majority : e->d->y[last[i]];
    TRY_GOTO(done, put_called(e, baselines, "persistence", called, NAN, &b, err));
  } else {
    evaluation_put(e, baselines, "persistence", json_null());
  }
  if (e->b) {
    for (size_t i = 0; i < e->n; i++)
      called[i] = class_of_move(e, past_move(e, e->rows[i]), majority);
    TRY_GOTO(done, put_called(e, baselines, "momentum", called, NAN, &b, err));
  } else {
    evaluation_put(e, baselines, "momentum", json_null());
  }
  status = put_over_best(e, &b, err);
done:
  mem_free(called);
  mem_free(b.called);
  return status;
}

/* ---- values --------------------------------------------------------------------------------- */

static void put_values(evaluation *e, json_t *baselines, const char *name, const float *said) {
  evaluation_put(e, baselines, name,
                 json_pack("{s:o, s:o, s:o}", "mse",
                           json_number_or_null(metric_mse(said, e->value, e->weight, e->n)), "mae",
                           json_number_or_null(metric_mae(said, e->value, e->weight, e->n)), "r2",
                           json_number_or_null(metric_r2(said, e->value, e->weight, e->n))));
}

static garam_status value_baselines(evaluation *e, json_t *baselines, const int64_t *last,
                                    garam_error *err) {
  float mean = (float)e->p->train_mean, *said = mem_array(e->n, sizeof *said);
  if (!said) return fail_memory(err, e->n * sizeof *said);
  for (size_t i = 0; i < e->n; i++) said[i] = mean;
  put_values(e, baselines, "mean", said);
  if (last) {
    for (size_t i = 0; i < e->n; i++) said[i] = last[i] < 0 ? mean : e->d->value[last[i]];
    put_values(e, baselines, "persistence", said);
  }
  if (e->b) {
    for (size_t i = 0; i < e->n; i++) {
      double move = past_move(e, e->rows[i]);
      said[i] = isnan(move) ? 0 : (float)move;
    }
    put_values(e, baselines, "momentum", said);
    for (size_t i = 0; i < e->n; i++) said[i] = 0;
    put_values(e, baselines, "no_change", said);
  }
  mem_free(said);
  return GARAM_OK;
}

garam_status evaluate_baselines(evaluation *e, garam_error *err) {
  if (e->p->shape.task == TASK_RANKING) return GARAM_OK; /* evaluate_ranking has put its own */
  json_t *baselines = json_object();
  int64_t *last = e->d->known_at ? mem_array(e->n, sizeof *last) : NULL;
  garam_status status;
  if (!baselines || (e->d->known_at && !last)) {
    status = fail_memory(err, e->n * sizeof *last);
    goto done;
  }
  if (last) TRY_GOTO(done, last_known(last, e, err));
  if (e->k > 0) TRY_GOTO(done, class_baselines(e, baselines, last, err));
  else TRY_GOTO(done, value_baselines(e, baselines, last, err));
  evaluation_put(e, e->result, "baselines", json_incref(baselines));
done:
  json_decref(baselines);
  mem_free(last);
  return status;
}
