/* Fitting a pipeline: table to dataset to split to scaler to learner to calibration, each from
 * the part of the data that it may see. */
#include "learn/pipeline_inner.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "learn/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const novelty_names[] = {"none", "gate", NULL};

enum { LEAST_CHOICE_ROWS = 200, NOVELTY_ROWS = 1024 };
enum { LEAST_TRAIN_ROWS = 16, LEAST_CALIBRATION_ROWS = 16, PREDICT_ROWS = 256 };

const opt_row pipeline_options[] = {
    {"task", OPT_ENUM, OPT_AT(pipeline_config, task), .choices = task_names,
     .help = "what is predicted: a class, one of two, a value, or an order"},
    {"target", OPT_STRING, OPT_AT(pipeline_config, target), .def_text = "",
     .help = "column to predict (without a header its number, from 0); empty: market labels"},
    {"weights", OPT_STRING, OPT_AT(pipeline_config, weights), .def_text = "",
     .help = "weights of rows: a column, or a file with one number a row"},
    {"group", OPT_STRING, OPT_AT(pipeline_config, group), .def_text = "",
     .help = "task ranking: which query a row belongs to: a column, or a file with the number of "
             "rows of each query in turn"},
    {"init-score", OPT_STRING, OPT_AT(pipeline_config, init_score), .def_text = "",
     .help = "file with the score that each row starts from, one number a row: what is fitted is "
             "added to it"},
    {"repair", OPT_STRING, OPT_AT(pipeline_config, repair), .def_text = "",
     .help = "repairs of the table, in order: sort,deduplicate,drop-missing"},
    {"train-share", OPT_F64, OPT_AT(pipeline_config, train_share), .def = 0.7, .min = 0.01,
     .max = 1, .help = "share of the labelled rows that is trained on, the first ones"},
    {"valid-share", OPT_F64, OPT_AT(pipeline_config, valid_share), .def = 0.15, .min = 0,
     .max = 0.99, .help = "share after them that stops training and calibrates; the rest is test"},
    {"embargo", OPT_INT, OPT_AT(pipeline_config, embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "rows left out between the parts; -1: the label's horizon"},
    {"scaling", OPT_ENUM, OPT_AT(pipeline_config, scaling), .choices = scaler_names,
     .help = "of inputs: mean and deviation, or median and interquartile range"},
    {"clip", OPT_F64, OPT_AT(pipeline_config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
    {"calibration", OPT_ENUM, OPT_AT(pipeline_config, calibration), .choices = calibration_names,
     .help = "of class odds, on the validation part; auto: the map with the least log loss on the "
             "later rows of it"},
    {"novelty", OPT_ENUM, OPT_AT(pipeline_config, novelty), .choices = novelty_names,
     .help = "gate: rows unlike those trained on are answered with the odds of the training rows"},
    {"shuffle-target", OPT_BOOL, OPT_AT(pipeline_config, shuffle_target),
     .help = "a leak test: train on permuted targets; the test part must come out at chance"},
};
const size_t pipeline_n_options = COUNT_OF(pipeline_options);

pipeline_config pipeline_config_default(void) {
  pipeline_config c = {0};
  opt_defaults(table_read_options, table_read_n_options, &c.read);
  opt_defaults(bars_options, bars_n_options, &c.bars);
  opt_defaults(feature_options, feature_n_options, &c.features);
  opt_defaults(label_options, label_n_options, &c.label);
  opt_defaults(cost_options, cost_n_options, &c.costs);
  opt_defaults(pipeline_options, pipeline_n_options, &c);
  return c;
}

garam_status pipeline_warn(pipeline *p, garam_error *err, const char *format, ...) {
  va_list args;
  char text[512];
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  log_warning("%s", text);
  if (json_array_append_new(p->warnings, json_string(text)) != 0) return fail_memory(err, 512);
  return GARAM_OK;
}

garam_status names_copy(char ***out, char *const *names, size_t n, garam_error *err) {
  char **copy = mem_array(n + 1, sizeof *copy);
  *out = NULL;
  if (!copy) return fail_memory(err, n * sizeof *copy);
  for (size_t i = 0; i < n; i++) {
    copy[i] = mem_strdup(names[i]);
    if (!copy[i]) {
      names_free(copy, n);
      return fail_memory(err, strlen(names[i]) + 1);
    }
  }
  *out = copy;
  return GARAM_OK;
}

void names_free(char **names, size_t n) {
  for (size_t i = 0; names && i < n; i++) mem_free(names[i]);
  mem_free(names);
}

size_t pipeline_embargo(const pipeline *p) {
  if (p->config.embargo >= 0) return (size_t)p->config.embargo;
  return p->market ? (size_t)p->config.label.horizon : 0;
}

void pipeline_free(pipeline *p) {
  if (!p) return;
  if (p->learner) p->ops->destroy(p->learner);
  mem_free(p->learner_config);
  for (size_t i = 0; i < p->n_inputs; i++) {
    mem_free(p->inputs[i].column);
    names_free(p->inputs[i].names, p->inputs[i].n_names);
  }
  mem_free(p->inputs);
  names_free(p->feature_names, p->shape.n_features);
  names_free(p->class_names, p->shape.n_classes > 0 ? (size_t)p->shape.n_classes : 0);
  scaler_deinit(&p->scaler);
  calibrator_deinit(&p->calibrator);
  novelty_deinit(&p->novelty);
  mem_free(p->class_counts);
  mem_free(p->source);
  fit_summary_deinit(&p->fit);
  json_decref(p->dropped);
  json_decref(p->warnings);
  json_decref(p->manifest);
  mem_free(p->scaled_x);
  mem_free(p->batch_x);
  mem_free(p->batch_begin);
  mem_free(p->view);
  mem_free(p);
}

/* ---- the table ------------------------------------------------------------------------------- */

garam_status pipeline_repair(table **out, const pipeline *p, const table *t, bool labelled,
                             garam_error *err) {
  *out = NULL;
  if (!p->config.repair[0]) return GARAM_OK;
  size_t n_changed, n = 0;
  int *columns = mem_array(t->n_columns + 1, sizeof *columns);
  if (!columns) return fail_memory(err, t->n_columns * sizeof *columns);
  int target = p->config.target[0] ? table_find(t, p->config.target) : -1;
  for (size_t i = 0; i < t->n_columns; i++)
    if (labelled || (int)i != target) columns[n++] = (int)i;
  garam_status status = table_repair(out, t, p->config.repair, columns, n, &n_changed, err);
  mem_free(columns);
  return status;
}

/* A chain of SHA-256 over each column's type, values, name, and names of categories. */
void pipeline_digest(char out[65], const table *t) {
  char text[200], chain[IO_SHA256_TEXT] = "";
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    char names[IO_SHA256_TEXT] = "", values[IO_SHA256_TEXT];
    switch (c->type) {
    case COLUMN_F64: io_sha256(values, c->f64, t->n_rows * sizeof *c->f64); break;
    case COLUMN_I64:
    case COLUMN_TIME: io_sha256(values, c->i64, t->n_rows * sizeof *c->i64); break;
    case COLUMN_CATEGORY: io_sha256(values, c->code, t->n_rows * sizeof *c->code); break;
    }
    snprintf(text, sizeof text, "%s%d%s", chain, (int)c->type, values);
    io_sha256(chain, text, strlen(text));
    io_sha256(names, c->name, strlen(c->name));
    snprintf(text, sizeof text, "%s%s", chain, names);
    io_sha256(chain, text, strlen(text));
    for (size_t k = 0; c->type == COLUMN_CATEGORY && k < c->n_names; k++) {
      io_sha256(names, c->names[k], strlen(c->names[k]));
      snprintf(text, sizeof text, "%s%s", chain, names);
      io_sha256(chain, text, strlen(text));
    }
  }
  memcpy(out, chain, sizeof chain);
}

/* ---- the dataset ----------------------------------------------------------------------------- */

static garam_status grow_copy(void *array, size_t have, const void *more, size_t n, size_t size,
                              garam_error *err) {
  void *old, *grown;
  memcpy(&old, array, sizeof old);
  if (!old || !more) return GARAM_OK;
  grown = mem_resize(old, (have + n) * size);
  if (!grown) return fail_memory(err, (have + n) * size);
  memcpy(array, &grown, sizeof grown);
  memcpy((char *)grown + have * size, more, n * size);
  return GARAM_OK;
}

/* The rows of e after those of d, as a series of their own. */
static garam_status append(dataset *d, const dataset *e, garam_error *err) {
  size_t a = d->n_rows, b = e->n_rows, width = d->n_features;
  uint32_t groups = 0;
  if (d->init || (d->group && !e->group))
    return fail(err, GARAM_UNSUPPORTED,
                "the file of %s has a number for each row of the training data, none for those of "
                "--valid%s",
                d->init ? "--init-score" : "--group", d->init ? "" : "; name a column");
  if ((d->known_at != NULL) != (e->known_at != NULL))
    return fail(err, GARAM_MISMATCH,
                "one of the training and validation data has a time, the "
                "other has none");
  if (a + b > UINT32_MAX) return fail(err, GARAM_LIMIT, "more than 2^32 rows");
  if (!d->series_begin) {
    d->series_begin = mem_array(a, sizeof *d->series_begin);
    if (!d->series_begin) return fail_memory(err, a * sizeof *d->series_begin);
  }
  if (d->weight || e->weight) {
    float *weight = mem_array(a + b, sizeof *weight);
    if (!weight) return fail_memory(err, (a + b) * sizeof *weight);
    for (size_t i = 0; i < a; i++) weight[i] = d->weight ? d->weight[i] : 1;
    for (size_t i = 0; i < b; i++) weight[a + i] = e->weight ? e->weight[i] : 1;
    mem_free(d->weight);
    d->weight = weight;
  }
  for (size_t i = 0; i < a && d->group; i++)
    if (d->group[i] >= groups) groups = d->group[i] + 1;
  TRY(grow_copy(&d->group, a, e->group, b, sizeof *d->group, err));
  for (size_t i = a; i < a + b && d->group; i++) d->group[i] += groups;
  TRY(grow_copy(&d->x, a * width, e->x, b * width, sizeof *d->x, err));
  TRY(grow_copy(&d->y, a, e->y, b, sizeof *d->y, err));
  TRY(grow_copy(&d->value, a, e->value, b, sizeof *d->value, err));
  TRY(grow_copy(&d->known_at, a, e->known_at, b, sizeof *d->known_at, err));
  TRY(grow_copy(&d->label_end, a, e->label_end, b, sizeof *d->label_end, err));
  TRY(grow_copy(&d->usable, a, e->usable, b, sizeof *d->usable, err));
  uint32_t *begin = mem_resize(d->series_begin, (a + b) * sizeof *begin);
  if (!begin) return fail_memory(err, (a + b) * sizeof *begin);
  for (size_t i = 0; i < b; i++)
    begin[a + i] = (uint32_t)a + (e->series_begin ? e->series_begin[i] : 0);
  d->series_begin = begin;
  d->n_rows = a + b;
  return GARAM_OK;
}

static garam_status append_valid(dataset *d, fold *split, pipeline *p, const table *valid_table,
                                 garam_error *err) {
  dataset *e;
  size_t a = d->n_rows, n = 0;
  TRY(pipeline_dataset(&e, p, valid_table, true, err));
  garam_status status = append(d, e, err);
  uint32_t *rows = status == GARAM_OK ? mem_array(e->n_rows + 1, sizeof *rows) : NULL;
  if (status == GARAM_OK && !rows) status = fail_memory(err, e->n_rows * sizeof *rows);
  for (size_t i = 0; rows && i < e->n_rows; i++)
    if (e->usable[i] && dataset_labelled(e, i)) rows[n++] = (uint32_t)(a + i);
  dataset_free(e);
  if (status != GARAM_OK) return status;
  mem_free((void *)(uintptr_t)split->valid.rows);
  split->valid = (row_set){rows, n};
  if (n == 0)
    return fail(err, GARAM_INVALID, "%s: no labelled row to validate on", valid_table->source);
  return GARAM_OK;
}

/* Features that do not vary over the training rows say nothing: they are left out, and it is
 * written down. */
static garam_status drop_constant(dataset *d, pipeline *p, row_set train, garam_error *err) {
  size_t width = d->n_features, kept = 0;
  bool *keep = mem_array(width, sizeof *keep);
  if (!keep) return fail_memory(err, width);
  for (size_t j = 0; j < width; j++) {
    float first = NAN;
    for (size_t i = 0; i < train.n && !keep[j]; i++) {
      float v = d->x[train.rows[i] * width + j];
      if (isnan(v)) continue;
      if (isnan(first)) first = v;
      keep[j] = v != first;
    }
    kept += keep[j];
  }
  garam_status status = GARAM_OK;
  char list[256] = "";
  for (size_t j = 0; j < width && status == GARAM_OK; j++) {
    if (keep[j]) continue;
    size_t used = strlen(list);
    snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", p->feature_names[j]);
    if (json_array_append_new(p->dropped, json_string(p->feature_names[j])) != 0)
      status = fail_memory(err, 64);
  }
  if (status == GARAM_OK && kept == 0)
    status = fail(err, GARAM_INVALID, "%s: no feature varies over the training rows (%s)",
                  p->source, list);
  if (status == GARAM_OK && kept < width)
    status = pipeline_warn(p, err,
                           "features that do not vary over the training rows are left "
                           "out: %s",
                           list);
  if (status == GARAM_OK && kept < width) {
    size_t at = 0;
    for (size_t i = 0; i < d->n_rows; i++)
      for (size_t j = 0; j < width; j++)
        if (keep[j]) d->x[at++] = d->x[i * width + j];
    at = 0;
    for (size_t j = 0; j < width; j++) {
      if (keep[j]) {
        if (d->categorical) d->categorical[at] = d->categorical[j];
        d->feature_names[at] = d->feature_names[j];
        p->feature_names[at++] = p->feature_names[j];
      } else {
        mem_free(d->feature_names[j]);
        mem_free(p->feature_names[j]);
      }
    }
    d->n_features = p->shape.n_features = kept;
  }
  mem_free(keep);
  return status;
}

/* ---- the parts ------------------------------------------------------------------------------- */

static part part_of(const dataset *d, row_set s) {
  part out = {.rows = s.n};
  if (s.n == 0 || !d->known_at) return out;
  out.begin = d->known_at[s.rows[0]];
  out.end = d->known_at[s.rows[s.n - 1]];
  for (size_t i = 0; i < s.n; i++) {
    int64_t end = d->label_end ? d->label_end[s.rows[i]] : d->known_at[s.rows[i]];
    if (i == 0 || end > out.label_end) out.label_end = end;
  }
  return out;
}

static garam_status record_parts(pipeline *p, const dataset *d, const fold *f, garam_error *err) {
  p->train = part_of(d, f->train);
  p->valid = part_of(d, f->valid);
  p->test = part_of(d, f->test);
  size_t labelled = 0;
  for (size_t i = 0; i < d->n_rows; i++) labelled += d->usable[i] && dataset_labelled(d, i);
  p->purged = labelled - f->train.n - f->valid.n - f->test.n;
  if (f->train.n < LEAST_TRAIN_ROWS)
    return fail(err, GARAM_INVALID,
                "%s: %zu labelled rows leave %zu to train on; at least %d are "
                "needed",
                p->source, labelled, f->train.n, LEAST_TRAIN_ROWS);
  if (!task_has_classes(p->shape.task)) {
    double sum = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < f->train.n; i++) {
      double v = (double)d->value[f->train.rows[i]];
      sum += v;
      low = v < low ? v : low;
      high = v > high ? v : high;
    }
    p->train_mean = sum / (double)f->train.n;
    if (low == high)
      return fail(err, GARAM_INVALID, "%s: the target is %g in all %zu training rows", p->source,
                  low, f->train.n);
    return GARAM_OK;
  }
  p->class_counts = mem_array((size_t)p->shape.n_classes, sizeof *p->class_counts);
  if (!p->class_counts) return fail_memory(err, (size_t)p->shape.n_classes * sizeof(size_t));
  int seen = 0, last = 0;
  for (size_t i = 0; i < f->train.n; i++)
    if (p->class_counts[d->y[f->train.rows[i]]]++ == 0) seen++, last = d->y[f->train.rows[i]];
  if (seen < 2)
    return fail(err, GARAM_INVALID, "%s: all %zu training rows are of one class, \"%s\"", p->source,
                f->train.n, p->class_names[last]);
  return GARAM_OK;
}

/* The targets of a part, permuted among its rows: nothing is left to learn. */
static garam_status shuffle_part(dataset *d, row_set s, uint64_t seed, uint64_t step,
                                 garam_error *err) {
  uint32_t *order = mem_array(s.n + 1, sizeof *order);
  int32_t *y = mem_array(s.n + 1, sizeof *y);
  float *value = mem_array(s.n + 1, sizeof *value);
  garam_status status = GARAM_OK;
  if (!order || !y || !value) {
    status = fail_memory(err, s.n * sizeof *order);
  } else {
    rng r;
    rng_init(&r, seed, RNG_AUDIT, step);
    for (size_t i = 0; i < s.n; i++) order[i] = s.rows[i];
    rng_shuffle(&r, order, s.n);
    for (size_t i = 0; i < s.n; i++) {
      y[i] = d->y ? d->y[order[i]] : 0;
      value[i] = d->value[order[i]];
    }
    for (size_t i = 0; i < s.n; i++) {
      if (d->y) d->y[s.rows[i]] = y[i];
      d->value[s.rows[i]] = value[i];
    }
  }
  mem_free(order);
  mem_free(y);
  mem_free(value);
  return status;
}

/* Inputs, and values of a regression, as the learner wants them. In place: raw ones are not
 * needed any more. */
static garam_status scale(dataset *d, pipeline *p, row_set train, garam_error *err) {
  p->value_scale = 1;
  p->scaled = p->ops->wants_scaled;
  if (!p->scaled) return GARAM_OK;
  TRY(scaler_fit(&p->scaler, (scaler_kind)p->config.scaling, p->config.clip, d, train, err));
  scaler_apply(&p->scaler, d->x, d->x, d->n_rows);
  if (p->shape.task != TASK_REGRESSION) return GARAM_OK;
  double squares = 0;
  for (size_t i = 0; i < train.n; i++) {
    double v = (double)d->value[train.rows[i]] - p->train_mean;
    squares += v * v;
  }
  p->value_center = p->train_mean;
  p->value_scale = sqrt(squares / (double)train.n);
  if (!(p->value_scale > 0)) p->value_scale = 1;
  for (size_t i = 0; i < d->n_rows; i++)
    d->value[i] = (float)(((double)d->value[i] - p->value_center) / p->value_scale);
  return GARAM_OK;
}

/* ---- calibration ----------------------------------------------------------------------------- */

/* Scores of the learner for rows of the scaled dataset. */
static garam_status score_rows(float *out, pipeline *p, const dataset *d, row_set rows,
                               garam_error *err) {
  size_t width = p->context * d->n_features, k = (size_t)pipeline_n_outputs(p);
  size_t most = ((size_t)1 << 20) / width;
  most = most < 1 ? 1 : most > PREDICT_ROWS ? PREDICT_ROWS : most;
  float *x = mem_array(most * width, sizeof *x);
  int32_t *begin = mem_array(most, sizeof *begin);
  garam_status status = x && begin ? GARAM_OK : fail_memory(err, most * width * sizeof *x);
  for (size_t i = 0; i < rows.n && status == GARAM_OK; i += most) {
    size_t n = rows.n - i < most ? rows.n - i : most;
    dataset_gather(x, begin, d, rows.rows + i, n, p->context);
    status = p->ops->predict(p->learner, x, begin, n, out + i * k, err);
    pipeline_add_init(d, rows.rows + i, n, out + i * k, k);
  }
  mem_free(x);
  mem_free(begin);
  return status;
}

/* A learner that goes on learning walks through the validation rows as it will through later ones,
 * and is kept as it is at their end: their outcomes are known before the test part begins. */
static garam_status walk_rows(float *out, pipeline *p, const dataset *d, row_set rows,
                              garam_error *err) {
  stream_views v;
  TRY(stream_views_init(&v, p, d, rows, (row_set){0}, err));
  garam_status status = stream_walk(p->learner, d, rows, rows, v.views, v.at,
                                    (size_t)pipeline_n_outputs(p), true, out, NULL, err);
  if (status == GARAM_OK) p->ops->stream->keep(p->learner);
  stream_views_deinit(&v);
  return status;
}

/* Which map: fitted on the first six tenths of the validation rows, judged on the rest, purged
 * between. Without times every fifth and second row judge. */
static garam_status choose_calibration(int *kind, const pipeline *p, const dataset *d,
                                       row_set valid, const float *scores, const int32_t *y,
                                       const float *weight, garam_error *err) {
  size_t n = valid.n, cut = n * 6 / 10;
  *kind = p->config.calibration;
  if (*kind != CALIBRATION_AUTO) return GARAM_OK;
  *kind = CALIBRATION_TEMPERATURE;
  if (n < LEAST_CHOICE_ROWS) return GARAM_OK;
  uint8_t *role = mem_array(n, 1);
  if (!role) return fail_memory(err, n);
  for (size_t i = 0; i < n; i++) {
    uint32_t row = valid.rows[i];
    if (!d->known_at) role[i] = i % 5 < 3 ? 1 : 2;
    else if (i >= cut) role[i] = 2;
    else role[i] = (d->label_end ? d->label_end : d->known_at)[row] < d->known_at[valid.rows[cut]];
  }
  garam_status status =
      calibrator_choose(kind, scores, y, weight, role, n, p->shape.n_classes, err);
  mem_free(role);
  return status;
}

static garam_status calibrate_classes(pipeline *p, const dataset *d, row_set valid, float *scores,
                                      const int32_t *y, const float *weight, garam_error *err) {
  int k = p->shape.n_classes, kind;
  size_t n = valid.n;
  if (n >= LEAST_CALIBRATION_ROWS) {
    TRY(choose_calibration(&kind, p, d, valid, scores, y, weight, err));
    calibrator_deinit(&p->calibrator);
    TRY(calibrator_fit(&p->calibrator, kind, scores, y, weight, NULL, n, k, err));
  }
  if (!calibrator_apply(&p->calibrator, scores, n))
    return fail(err, GARAM_NUMERIC, "%s: a score of the validation rows is not a finite number",
                p->ops->name);
  p->threshold = metric_threshold_at(PIPELINE_TARGET, scores, y, n, k, METRIC_ALL_CLASSES);
  unsigned directions = k == 3 ? 1u << LABEL_DOWN | 1u << LABEL_UP : METRIC_ALL_CLASSES;
  p->directional_threshold =
      p->market ? metric_threshold_at(PIPELINE_TARGET, scores, y, n, k, directions) : 2;
  p->conformal = calibrate_conformal(scores, y, n, k, 1 - PIPELINE_TARGET);
  if (isnan(p->threshold) || isnan(p->directional_threshold) || isnan(p->conformal))
    return fail_memory(err, n * sizeof(double));
  return GARAM_OK;
}

static garam_status calibrate(pipeline *p, const dataset *d, row_set valid, garam_error *err) {
  size_t n = valid.n, k = (size_t)pipeline_n_outputs(p);
  bool regression = !task_has_classes(p->shape.task);
  calibrator_init(&p->calibrator, p->shape.n_classes);
  p->threshold = p->directional_threshold = 2;
  p->conformal = regression ? INFINITY : 1;
  p->calibration_rows = n;
  if (n == 0 || p->shape.task == TASK_RANKING) return GARAM_OK;
  float *scores = mem_array(n * k, sizeof *scores);
  float *value = mem_array(n, sizeof *value), *weight = mem_array(n, sizeof *weight);
  int32_t *y = mem_array(n, sizeof *y);
  garam_status status;
  if (!scores || !value || !weight || !y) {
    status = fail_memory(err, n * k * sizeof *scores);
    goto done;
  }
  TRY_GOTO(done,
           (pipeline_streams(p) && d->known_at ? walk_rows : score_rows)(scores, p, d, valid, err));
  for (size_t i = 0; i < n; i++) {
    y[i] = d->y ? d->y[valid.rows[i]] : 0;
    weight[i] = d->weight ? d->weight[valid.rows[i]] : 1;
    value[i] = d->value[valid.rows[i]];
  }
  if (regression) {
    double width = calibrate_conformal_width(scores, value, n, 1 - PIPELINE_TARGET);
    if (isnan(width)) status = fail_memory(err, n * sizeof(float));
    p->conformal = width * p->value_scale;
  } else {
    status = calibrate_classes(p, d, valid, scores, y, weight, err);
  }
done:
  mem_free(scores);
  mem_free(value);
  mem_free(weight);
  mem_free(y);
  return status;
}

/* ---- fit ------------------------------------------------------------------------------------- */

static garam_status pipeline_new(pipeline **out, const pipeline_config *config,
                                 const learner_ops *ops, const void *learner_config,
                                 garam_error *err) {
  pipeline *p = mem_zalloc(sizeof *p);
  *out = NULL;
  if (!p) return fail_memory(err, sizeof *p);
  p->config = *config;
  p->market = !config->target[0];
  p->ops = ops;
  p->shape.task = (task)config->task;
  if (p->market && config->label.regression) p->shape.task = TASK_REGRESSION;
  p->config.task = (int)p->shape.task;
  p->config.label.regression = p->market && p->shape.task == TASK_REGRESSION;
  p->learner_config = mem_alloc(ops->config_size ? ops->config_size : 1);
  p->dropped = json_array();
  p->warnings = json_array();
  if (!p->learner_config || !p->dropped || !p->warnings) {
    pipeline_free(p);
    return fail_memory(err, ops->config_size);
  }
  memcpy(p->learner_config, learner_config, ops->config_size);
  *out = p;
  return GARAM_OK;
}

static garam_status check_config(pipeline *p, garam_error *err) {
  const pipeline_config *c = &p->config;
  task kind = p->shape.task;
  if (!(p->ops->tasks >> kind & 1u)) {
    return fail(err, GARAM_UNSUPPORTED, "--task %s: the model \"%s\" can't do it", task_names[kind],
                p->ops->name);
  }
  if (c->train_share + c->valid_share > 1 + 1e-9)
    return fail(err, GARAM_INVALID, "--train-share %g and --valid-share %g are more than the whole",
                c->train_share, c->valid_share);
  if ((kind == TASK_RANKING) != (c->group[0] != 0))
    return fail(err, GARAM_INVALID,
                kind == TASK_RANKING
                    ? "--task ranking needs the query of each row: --group COLUMN or FILE"
                    : "--group is for --task ranking");
  if (kind == TASK_RANKING && p->market)
    return fail(err, GARAM_INVALID, "--task ranking needs a column of grades: --target");
  if (c->init_score[0] && (!p->ops->takes_init || p->market || kind == TASK_CLASSIFICATION))
    return fail(err, GARAM_UNSUPPORTED, "--init-score: not with %s",
                p->market                     ? "market labels"
                : kind == TASK_CLASSIFICATION ? "--task classification"
                                              : p->ops->name);
  if (p->market && kind == TASK_BINARY) {
    if (c->label.kind == LABEL_BARRIER)
      return fail(err, GARAM_INVALID, "--label barrier has three classes; --task binary has two");
    if (c->label.dead_band > 0)
      return fail(err, GARAM_INVALID, "--dead-band %g makes a third class; --task binary has two",
                  c->label.dead_band);
    p->config.label.dead_band = 0;
  }
  return GARAM_OK;
}

/* What a checkpoint must have been made of to be gone on from. */
static garam_status fingerprint(char out[65], const pipeline *p, garam_error *err) {
  json_t *options = opt_to_json(p->ops->options, p->ops->n_options, p->learner_config);
  json_t *all = json_pack("{s:o, s:o, s:s, s:s, s:s, s:I}", "options", options, "pipeline",
                          manifest_options(&p->config), "learner", p->ops->name, "data", p->digest,
                          "valid", p->valid_digest, "seed", (json_int_t)p->config.seed);
  char *text = all ? json_text(all) : NULL;
  json_decref(all);
  if (!text) return fail_memory(err, 64);
  io_sha256(out, text, strlen(text));
  mem_free(text);
  return GARAM_OK;
}

static garam_status fit_learner(pipeline *p, const dataset *d, const fold *split,
                                const fit_context *fit, garam_error *err) {
  fit_context context = fit ? *fit : (fit_context){.seed = (uint64_t)p->config.seed};
  char print[65];
  if (!context.fingerprint) {
    TRY(fingerprint(print, p, err));
    context.fingerprint = print;
  }
  TRY(p->ops->create(&p->learner, p->learner_config, &p->shape, err));
  p->context = p->ops->context(p->learner);
  return p->ops->fit(p->learner, d, split->train, split->valid, &context, &p->fit, err);
}

static garam_status copy_losses(double **out, const double *from, int n, garam_error *err) {
  *out = NULL;
  if (!from) return GARAM_OK;
  *out = mem_array((size_t)n + 1, sizeof **out);
  if (!*out) return fail_memory(err, (size_t)n * sizeof **out);
  memcpy(*out, from, (size_t)n * sizeof **out);
  return GARAM_OK;
}

static garam_status copy_summary(fit_summary *out, const fit_summary *from, garam_error *err) {
  if (!out) return GARAM_OK;
  *out = *from;
  out->train_loss = out->valid_loss = NULL;
  garam_status status = copy_losses(&out->train_loss, from->train_loss, from->epochs, err);
  if (status == GARAM_OK)
    status = copy_losses(&out->valid_loss, from->valid_loss, from->epochs, err);
  if (status != GARAM_OK) fit_summary_deinit(out);
  return status;
}

garam_status pipeline_fit(pipeline **out, const table *t, const table *valid_table,
                          const pipeline_config *config, const learner_ops *ops,
                          const void *learner_config, const fit_context *fit, fit_summary *summary,
                          garam_error *err) {
  pipeline *p = NULL;
  table *repaired = NULL;
  dataset *d = NULL;
  fold split = {0};
  garam_status status;
  *out = NULL;
  if (summary) *summary = (fit_summary){0};
  TRY(pipeline_new(&p, config, ops, learner_config, err));
  TRY_GOTO(done, check_config(p, err));
  p->source = mem_strdup(t->source ? t->source : "table");
  if (!p->source) {
    status = fail_memory(err, 64);
    goto done;
  }
  pipeline_digest(p->digest, t);
  if (valid_table) pipeline_digest(p->valid_digest, valid_table);
  p->data_rows = t->n_rows;
  if (p->config.repair[0]) {
    TRY_GOTO(done, table_repair(&repaired, t, p->config.repair, NULL, 0, &p->repaired_rows, err));
    t = repaired;
  }
  p->timed = t->time_column >= 0;
  TRY_GOTO(done, (p->market ? market_prepare : table_prepare)(&d, &split, p, t, valid_table != NULL,
                                                              err));
  if (valid_table) TRY_GOTO(done, append_valid(d, &split, p, valid_table, err));
  TRY_GOTO(done, record_parts(p, d, &split, err));
  if (valid_table && p->timed && p->valid.begin <= p->train.label_end &&
      p->train.begin <= p->valid.label_end)
    TRY_GOTO(done, pipeline_warn(p, err, "the validation data overlaps the training data in time"));
  TRY_GOTO(done, drop_constant(d, p, split.train, err));
  if (p->config.shuffle_target) {
    TRY_GOTO(done, shuffle_part(d, split.train, (uint64_t)config->seed, 0, err));
    TRY_GOTO(done, shuffle_part(d, split.valid, (uint64_t)config->seed, 1, err));
    TRY_GOTO(done, pipeline_warn(p, err, "trained on shuffled targets: a leak test, not a model"));
  }
  if (p->config.novelty)
    TRY_GOTO(done, novelty_fit(&p->novelty, d, split.train, NULL, NOVELTY_ROWS, err));
  TRY_GOTO(done, scale(d, p, split.train, err));
  TRY_GOTO(done, fit_learner(p, d, &split, fit, err));
  TRY_GOTO(done, calibrate(p, d, split.valid, err));
  TRY_GOTO(done, manifest_build(p, err));
  TRY_GOTO(done, copy_summary(summary, &p->fit, err));
  *out = p;
  p = NULL;
done:
  fold_deinit(&split);
  dataset_free(d);
  table_free(repaired);
  pipeline_free(p);
  return status;
}
