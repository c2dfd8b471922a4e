/* An evaluation: which rows may be scored, their predictions, then scores, baselines, backtest. */
#include "learn/evaluate_inner.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const position_names[] = {"call", "sign", "proportional", NULL};

const opt_row evaluate_options[] = {
    {"bootstrap", OPT_INT, OPT_AT(evaluate_config, bootstrap), .def = 1000, .min = 0, .max = 100000,
     .help = "resamples behind the intervals; 0: none"},
    {"n-trials", OPT_INT, OPT_AT(evaluate_config, n_trials), .def = 1, .min = 1, .max = 1000000,
     .help = "models tried before this one: deflates the Sharpe ratio"},
    {"all-rows", OPT_BOOL, OPT_AT(evaluate_config, all_rows),
     .help = "score the rows of training and validation as well"},
    {"importance", OPT_INT, OPT_AT(evaluate_config, importance), .def = -1, .min = -1, .max = 1000,
     .help = "permutations of each feature, for its worth and partial dependence; -1: 3 for a "
             "report of a model without windows, else none"},
    {"weights", OPT_STRING, OPT_AT(evaluate_config, weights), .def_text = "",
     .help = "file with the weight of each row of DATA"},
    {"group", OPT_STRING, OPT_AT(evaluate_config, group), .def_text = "",
     .help = "task ranking: file with the number of rows of each query of DATA in turn"},
    {"init-score", OPT_STRING, OPT_AT(evaluate_config, init_score), .def_text = "",
     .help = "file with the score that each row of DATA starts from"},
    {"position", OPT_ENUM, OPT_AT(evaluate_config, position), .choices = position_names,
     .help = "held in the backtest: the likeliest class's direction, the sign of p_up - p_down, or "
             "that difference itself"},
    {"edge", OPT_F64, OPT_AT(evaluate_config, edge), .def = 0, .min = 0, .max = 1,
     .help = "hold nothing while |p_up - p_down| is below this"},
};
const size_t evaluate_n_options = COUNT_OF(evaluate_options);

void evaluation_put(evaluation *e, json_t *object, const char *key, json_t *value) {
  if (json_object_set_new(object, key, value) != 0) e->no_memory = true;
}

json_t *evaluation_pair(double low, double high) {
  return json_pack("[o, o]", json_number_or_null(low), json_number_or_null(high));
}

static void evaluation_deinit(evaluation *e) {
  dataset_free(e->d);
  labels_free(e->l);
  bars_free(e->b);
  mem_free(e->rows);
  mem_free(e->fresh);
  mem_free(e->out);
  mem_free(e->y);
  mem_free(e->top);
  mem_free(e->value);
  mem_free(e->bounds);
  mem_free(e->weight);
  json_decref(e->detail);
  json_decref(e->result);
}

/* ---- which rows ----------------------------------------------------------------------------- */

typedef enum seen { SEEN_NO, SEEN_TRAINED_TABLE, SEEN_VALID_TABLE } seen;

static int64_t label_end_of(const dataset *d, size_t row) {
  return d->label_end ? d->label_end[row] : d->known_at[row];
}

/* Was this row, or a time that its label reaches into, part of fitting? */
static bool row_was_fitted(const evaluation *e, seen table_is, size_t row) {
  const pipeline *p = e->p;
  const dataset *d = e->d;
  if (table_is == SEEN_VALID_TABLE) return true;
  if (table_is == SEEN_TRAINED_TABLE) return p->test.rows == 0 || d->known_at[row] < p->test.begin;
  int64_t begin = p->train.begin, end = p->train.label_end;
  if (p->valid.rows > 0) {
    if (p->valid.begin < begin) begin = p->valid.begin;
    if (p->valid.label_end > end) end = p->valid.label_end;
  }
  return d->known_at[row] <= end && label_end_of(d, row) >= begin;
}

/* A table without time is split as it was for fitting: the same seed gives the same parts. */
static garam_status mark_untimed_test(uint8_t *fresh, const evaluation *e, garam_error *err) {
  const pipeline_config *c = &e->p->config;
  fold f;
  if (e->p->test.rows == 0) return GARAM_OK;
  TRY(fold_holdout(&f, e->d, c->train_share, c->valid_share, pipeline_embargo(e->p),
                   (uint64_t)c->seed, err));
  for (size_t i = 0; i < f.test.n; i++) fresh[f.test.rows[i]] = 1;
  fold_deinit(&f);
  return GARAM_OK;
}

/* fresh (n_rows): 1 where fitting has not seen the row. */
static garam_status mark_fresh(uint8_t *fresh, const evaluation *e, seen table_is,
                               garam_error *err) {
  const dataset *d = e->d;
  bool times = d->known_at && (table_is != SEEN_NO || e->p->timed);
  if (table_is == SEEN_TRAINED_TABLE && !d->known_at) return mark_untimed_test(fresh, e, err);
  for (size_t i = 0; i < d->n_rows; i++)
    fresh[i] = table_is == SEEN_VALID_TABLE ? 0 : !times || !row_was_fitted(e, table_is, i);
  return GARAM_OK;
}

static void put_scored(evaluation *e, const char *which, size_t left_out, bool trained,
                       const char *warning) {
  evaluation_put(e, e->result, "trained_rows_included", json_boolean(trained));
  evaluation_put(e, e->result, "scored",
                 json_pack("{s:s, s:I}", "which", which, "left_out", (json_int_t)left_out));
  if (warning[0]) evaluation_put(e, e->result, "warning", json_string(warning));
}

static garam_status choose_rows(evaluation *e, seen table_is, garam_error *err) {
  const dataset *d = e->d;
  uint8_t *fresh = mem_array(d->n_rows + 1, 1);
  e->rows = mem_array(d->n_rows + 1, sizeof *e->rows);
  garam_status status = GARAM_OK;
  size_t labelled = 0, n_fresh = 0;
  e->fresh = mem_array(d->n_rows + 1, sizeof *e->fresh);
  if (!fresh || !e->rows || !e->fresh) {
    status = fail_memory(err, d->n_rows * sizeof *e->rows);
    goto done;
  }
  TRY_GOTO(done, mark_fresh(fresh, e, table_is, err));
  for (size_t i = 0; i < d->n_rows; i++) {
    if (!d->usable[i] || !dataset_labelled(d, i)) continue;
    labelled++;
    n_fresh += fresh[i];
    if (fresh[i]) e->fresh[e->n_fresh++] = (uint32_t)i;
    if (fresh[i] || e->config->all_rows) e->rows[e->n++] = (uint32_t)i;
  }
  if (labelled == 0) {
    status = fail(err, GARAM_INVALID,
                  "%s: %zu rows, and none whose outcome is known and whose "
                  "features are there",
                  e->t->source, d->n_rows);
    goto done;
  }
  if (e->n == 0) {
    status = fail(err, GARAM_INVALID,
                  "%s: all %zu labelled rows are of the time or the parts that "
                  "the model was trained and validated on; give later data, or --all-rows",
                  e->t->source, labelled);
    goto done;
  }
  char warning[256] = "";
  bool trained = e->config->all_rows && n_fresh < labelled;
  if (trained)
    snprintf(warning, sizeof warning,
             "%zu of the scored rows were trained or validated on: these "
             "scores say nothing about rows to come",
             labelled - n_fresh);
  else if (table_is == SEEN_NO && n_fresh < labelled)
    snprintf(warning, sizeof warning,
             "%zu rows are left out: their time is that of training or "
             "validation",
             labelled - n_fresh);
  else if (e->p->config.shuffle_target)
    snprintf(warning, sizeof warning,
             "the model was trained on shuffled targets: chance is what "
             "must come out");
  put_scored(e,
             trained || e->config->all_rows   ? "all rows"
             : table_is == SEEN_TRAINED_TABLE ? "the test part"
             : n_fresh < labelled             ? "rows outside of the time of training"
                                              : "all rows",
             labelled - e->n, trained, warning);
done:
  mem_free(fresh);
  return status;
}

/* ---- files beside the rows ------------------------------------------------------------------- */

/* Those that the command names; of the table trained on, the queries and scores of then. */
static garam_status read_files(evaluation *e, seen table_is, garam_error *err) {
  const pipeline_config *trained = &e->p->config;
  const evaluate_config *c = e->config;
  bool same = table_is == SEEN_TRAINED_TABLE;
  dataset *d = e->d;
  if (c->weights[0]) TRY(rows_read_weights(d, c->weights, err));
  if (c->group[0] && d->task != TASK_RANKING)
    return fail(err, GARAM_INVALID, "--group: the model ranks nothing");
  if (c->group[0]) TRY(rows_read_groups(d, c->group, err));
  else if (d->task == TASK_RANKING && !d->group && same)
    TRY(rows_read_groups(d, trained->group, err));
  if (d->task == TASK_RANKING && !d->group)
    return fail(err, GARAM_INVALID,
                "%s: no column \"%s\" says which query a row belongs to; give --group FILE",
                e->t->source, trained->group);
  if (c->init_score[0] && !trained->init_score[0])
    return fail(err, GARAM_INVALID, "--init-score: the model was trained without one");
  if (!trained->init_score[0]) return GARAM_OK;
  if (c->init_score[0]) return rows_read_init(d, c->init_score, err);
  if (same) return rows_read_init(d, trained->init_score, err);
  return fail(err, GARAM_INVALID,
              "%s: the model adds to scores that it was given in training; give --init-score FILE",
              e->t->source);
}

/* ---- predictions ----------------------------------------------------------------------------- */

static garam_status predict(evaluation *e, garam_error *err) {
  size_t n = e->n, k = (size_t)pipeline_n_outputs(e->p);
  e->out = mem_array(n * k, sizeof *e->out);
  if (e->k > 0) {
    e->y = mem_array(n, sizeof *e->y);
    e->top = mem_array(n, sizeof *e->top);
  } else {
    e->value = mem_array(n, sizeof *e->value);
  }
  if (e->d->weight) e->weight = mem_array(n, sizeof *e->weight);
  if (!e->out || (e->k > 0 ? !e->y || !e->top : !e->value) || (e->d->weight && !e->weight))
    return fail_memory(err, n * k * sizeof *e->out);
  for (size_t i = 0; i < n; i++) {
    uint32_t row = e->rows[i];
    if (e->k > 0) e->y[i] = e->d->y[row];
    else e->value[i] = e->d->value[row];
    if (e->weight) e->weight[i] = e->d->weight[row];
  }
  if (pipeline_streams(e->p)) TRY(evaluate_stream(e, err));
  else TRY(pipeline_predict(e->p, e->d, (row_set){e->rows, n}, e->out, err));
  for (size_t i = 0; e->k > 0 && i < n; i++) e->top[i] = metric_top(e->out + i * k, e->k);
  return GARAM_OK;
}

/* Neighbours share most of their label's time, and what moves slowly beyond it. */
static size_t bootstrap_block(const evaluation *e) {
  if (!e->d->known_at) return 1;
  size_t block = (size_t)ceil(cbrt((double)e->n));
  size_t horizon = e->p->market ? (size_t)e->p->config.label.horizon : 1;
  return block > horizon ? block : horizon;
}

static void put_head(evaluation *e) {
  json_t *r = e->result;
  evaluation_put(e, r, "model", json_string(e->p->ops->name));
  evaluation_put(e, r, "task", json_string(task_names[e->p->shape.task]));
  evaluation_put(e, r, "rows", json_integer((json_int_t)e->n));
  if (e->d->known_at && e->t->time_column >= 0) {
    char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
    clock_format(from, e->d->known_at[e->rows[0]]);
    clock_format(to, e->d->known_at[e->rows[e->n - 1]]);
    evaluation_put(e, r, "time", json_pack("{s:s, s:s}", "start", from, "end", to));
  }
}

/* The share of scored rows that the gate keeps out. */
static void put_novelty(evaluation *e) {
  size_t n = 0;
  if (e->p->novelty.n == 0) return;
  for (size_t i = 0; i < e->n; i++)
    n += pipeline_is_new(e->p, e->d->x + e->rows[i] * e->d->n_features);
  evaluation_put(
      e, e->result, "novelty",
      json_pack("{s:I, s:f}", "outside", (json_int_t)n, "share", (double)n / (double)e->n));
}

static void put_curve(evaluation *e) {
  const fit_summary *f = &e->p->fit;
  size_t n = (size_t)f->epochs;
  evaluation_put(e, e->detail, "training",
                 json_pack("{s:i, s:o, s:o}", "best_epoch", f->best_epoch, "train_loss",
                           json_array_f64(f->train_loss, f->train_loss ? n : 0), "valid_loss",
                           json_array_f64(f->valid_loss, f->valid_loss ? n : 0)));
}

garam_status pipeline_evaluate(json_t **out, pipeline *p, const table *t,
                               const evaluate_config *config, garam_error *err) {
  evaluation e = {.p = p, .config = config, .t = t, .k = p->shape.n_classes};
  table *repaired = NULL;
  char digest[65];
  garam_status status;
  *out = NULL;
  pipeline_digest(digest, t);
  seen table_is = strcmp(digest, p->digest) == 0         ? SEEN_TRAINED_TABLE
                  : strcmp(digest, p->valid_digest) == 0 ? SEEN_VALID_TABLE
                                                         : SEEN_NO;
  TRY_GOTO(done, pipeline_repair(&repaired, p, t, true, err));
  if (repaired) e.t = repaired;
  e.result = json_object();
  e.detail = json_object();
  if (!e.result || !e.detail) {
    status = fail_memory(err, 64);
    goto done;
  }
  if (p->market) TRY_GOTO(done, market_dataset(&e.d, &e.b, &e.l, p, e.t, true, err));
  else TRY_GOTO(done, table_dataset(&e.d, p, e.t, true, err));
  TRY_GOTO(done, read_files(&e, table_is, err));
  TRY_GOTO(done, choose_rows(&e, table_is, err));
  put_head(&e);
  TRY_GOTO(done, predict(&e, err));
  e.block = bootstrap_block(&e);
  TRY_GOTO(done, evaluate_scores(&e, err));
  TRY_GOTO(done, evaluate_conformal(&e, err));
  TRY_GOTO(done, evaluate_influence(&e, err));
  put_novelty(&e);
  TRY_GOTO(done, evaluate_baselines(&e, err));
  if (p->market) TRY_GOTO(done, evaluate_backtest(&e, err));
  put_curve(&e);
  evaluation_put(&e, e.result, "detail", json_incref(e.detail));
  if (e.no_memory) {
    status = fail_memory(err, 4096);
    goto done;
  }
  *out = json_incref(e.result);
done:
  evaluation_deinit(&e);
  table_free(repaired);
  return status;
}
