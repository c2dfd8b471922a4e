/* Intervals around what any learner says (learn/conformal.h has the arithmetic and the papers):
 *
 *   cross      CV+: a model a fold, and the residuals of the rows that it did not see
 *   quantile   CQR: two models of the ends, moved out by what the validation rows ask for
 *   ensemble   EnbPI: models of block draws, and the residuals out of bag
 *
 * and, on top of each, ends that follow outcomes as they become known: `sliding` is EnbPI's window
 * of the last scores, `aci` moves the level too. A score is by how much an outcome lay outside of
 * the fitted ends (negative: inside). Folds and draws are purged as everywhere in this room. */
#include "ensemble/intervals.h"

#include "base/mem.h"
#include "ensemble/part.h"
#include "ensemble/run.h"
#include "learn/bootstrap.h"
#include "learn/conformal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MODELS = 1000, PREFIX_MAX = 96, LEAST_SCORES = 100, VIEW = 3, VIEW_ROWS = 64 };
enum { METHOD_CROSS, METHOD_QUANTILE, METHOD_ENSEMBLE };
enum { ADAPT_NONE, ADAPT_SLIDING, ADAPT_ACI };
static const char *const method_names[] = {"cross", "quantile", "ensemble", NULL};
static const char *const adapt_names[] = {"none", "sliding", "aci", NULL};
#define ALPHA (1 - CONFORMAL_TARGET)

typedef struct config {
  char member[SPEC_TEXT_MAX], ends[SPEC_TEXT_MAX];
  int method, folds, bags, bootstrap, block, fold_embargo, scaling, adapt, window;
  double gamma, stop_share, clip;
} config;

static const opt_row options[] = {
    {"member", OPT_STRING, OPT_AT(config, member), .def_text = "linear",
     .help = "what says the value: a learner, with its settings: mlp:small,hidden=32"},
    {"method", OPT_ENUM, OPT_AT(config, method), .choices = method_names,
     .help = "of the interval: residuals over folds (CV+), models of both ends (CQR), residuals "
             "out of bag (EnbPI)"},
    {"folds", OPT_INT, OPT_AT(config, folds), .def = 5, .min = 2, .max = 100,
     .help = "cross: blocks in time, purged, a model each; the value is their mean"},
    {"ends", OPT_STRING, OPT_AT(config, ends), .def_text = "gbdt",
     .help = "quantile: what says both ends: a learner with a quantile loss"},
    {"bags", OPT_INT, OPT_AT(config, bags), .def = 20, .min = 2, .max = MOST_MODELS,
     .scale = OPT_LOG, .help = "ensemble: models, each on its own draw; the value is their mean"},
    {"bootstrap", OPT_ENUM, OPT_AT(config, bootstrap), .choices = bootstrap_names,
     .help = "ensemble: how rows are drawn; auto: blocks where labels overlap, else single rows"},
    {"block", OPT_INT, OPT_AT(config, block), .def = 0, .min = 0, .max = 100000000, .unit = "rows",
     .help = "of one block; 0: four times the longest label, at least the cube root of the rows"},
    {"adapt", OPT_ENUM, OPT_AT(config, adapt), .choices = adapt_names,
     .help = "to outcomes as they become known: by the last scores, by those and a moving level"},
    {"window", OPT_INT, OPT_AT(config, window), .def = 500, .min = 20, .max = 1000000,
     .unit = "outcomes", .help = "whose scores --adapt looks at"},
    {"gamma", OPT_F64, OPT_AT(config, gamma), .def = 0.005, .min = 0, .max = 1,
     .help = "adapt aci: step of the level at an outcome"},
    {"fold-embargo", OPT_INT, OPT_AT(config, fold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after a cut; -1: as many as the longest label spans"},
    {"stop-share", OPT_F64, OPT_AT(config, stop_share), .def = 0.15, .min = 0, .max = 0.9,
     .help = "of a model's rows, the last ones, that stop it early: validation rows do not, the "
             "interval may learn from them"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for a member that wants them scaled"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
};

typedef struct intervals {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t context, n, made; /* models; those that are there */
  member_specs spec[VIEW]; /* value, low, high; the last two: quantile */
  member *members;         /* (n) */
  double margin;           /* quantile, ensemble: the ends move out by it */
  float *residual;         /* cross: sizes, rising within a fold */
  uint32_t *begin;         /* (n + 1) of each fold's */
  conformal_window now, kept;

  float *said, *one; /* scratch: (VIEW_ROWS, n), (VIEW_ROWS) */
  float *views;      /* (VIEW_ROWS, VIEW) of predict */
} intervals;

/* ---- life -------------------------------------------------------------------------------- */

static void forget(intervals *s) {
  while (s->made > 0) member_deinit(&s->members[--s->made]);
  mem_free(s->residual);
  s->residual = NULL;
}

static void intervals_destroy(learner *l) {
  intervals *s = (intervals *)l;
  if (!s) return;
  forget(s);
  mem_free(s->members);
  for (int i = 0; i < VIEW; i++) member_specs_deinit(&s->spec[i]);
  mem_free(s->begin);
  conformal_window_deinit(&s->now);
  conformal_window_deinit(&s->kept);
  mem_free(s->said);
  mem_free(s->one);
  mem_free(s->views);
  mem_free(s);
}

static garam_status parse_one(member_specs *out, const char *text, const char *where,
                              garam_error *err) {
  TRY(member_specs_parse(out, text, TASK_REGRESSION, where, err));
  if (out->n == 1) return GARAM_OK;
  return fail(err, GARAM_INVALID, "%s: \"%s\" is %zu learners; intervals takes one", where, text,
              out->n);
}

/* The spec of an end: its loss is the pinball loss of that quantile. */
static garam_status parse_end(member_specs *out, const char *text, double quantile,
                              garam_error *err) {
  char number[32];
  TRY(parse_one(out, text, "--ends", err));
  member_spec *m = &out->items[0];
  const opt_row *loss = opt_find(m->ops->options, m->ops->n_options, "loss");
  const opt_row *alpha = opt_find(m->ops->options, m->ops->n_options, "alpha");
  snprintf(number, sizeof number, "%.17g", quantile);
  if (!loss || !alpha || opt_set_text(loss, m->config, "quantile", NULL) != GARAM_OK)
    return fail(err, GARAM_UNSUPPORTED, "--ends: \"%s\" has no quantile loss; gbdt has",
                m->ops->name);
  return opt_set_text(alpha, m->config, number, err);
}

static const member_spec *spec_of(const intervals *s, size_t model) {
  return &s->spec[s->config.method == METHOD_QUANTILE ? model : 0].items[0];
}

/* All but the members. */
static garam_status intervals_new(intervals **out, const void *c, const learner_shape *shape,
                                  garam_error *err) {
  garam_status status;
  *out = NULL;
  intervals *s = mem_zalloc(sizeof *s);
  if (!s) return fail_memory(err, sizeof *s);
  s->base.ops = &ensemble_intervals;
  s->config = *(const config *)c;
  s->scaling = (member_scaling){s->config.scaling, s->config.clip};
  s->shape = *shape;
  TRY_GOTO(done, parse_one(&s->spec[0], s->config.member, "--member", err));
  s->n = s->config.method == METHOD_CROSS      ? (size_t)s->config.folds
         : s->config.method == METHOD_ENSEMBLE ? (size_t)s->config.bags
                                               : VIEW;
  if (s->config.method == METHOD_QUANTILE) {
    TRY_GOTO(done, parse_end(&s->spec[1], s->config.ends, ALPHA / 2, err));
    TRY_GOTO(done, parse_end(&s->spec[2], s->config.ends, 1 - ALPHA / 2, err));
  }
  s->members = mem_array(s->n, sizeof *s->members);
  s->begin = mem_array(s->n + 1, sizeof *s->begin);
  s->said = mem_array(s->n * VIEW_ROWS, sizeof *s->said);
  s->one = mem_array(VIEW_ROWS, sizeof *s->one);
  s->views = mem_array(VIEW_ROWS * VIEW, sizeof *s->views);
  if (!s->members || !s->begin || !s->said || !s->one || !s->views)
    TRY_GOTO(done, fail_memory(err, s->n * sizeof *s->members));
  double gamma = s->config.adapt == ADAPT_ACI ? s->config.gamma : 0;
  size_t window = (size_t)s->config.window;
  TRY_GOTO(done, conformal_window_init(&s->now, window, ALPHA, gamma, err));
  TRY_GOTO(done, conformal_window_init(&s->kept, window, ALPHA, gamma, err));
  *out = s;
  s = NULL;
done:
  intervals_destroy(s ? &s->base : NULL);
  return status;
}

static garam_status make_members(intervals *s, garam_error *err) {
  forget(s);
  for (; s->made < s->n; s->made++) {
    member *m = &s->members[s->made];
    TRY(member_init(m, spec_of(s, s->made), &s->shape, NULL, 0, err));
    if (m->context > s->context) s->context = m->context;
  }
  return GARAM_OK;
}

static garam_status intervals_create(learner **out, const void *c, const learner_shape *shape,
                                     garam_error *err) {
  intervals *s;
  *out = NULL;
  TRY(intervals_new(&s, c, shape, err));
  garam_status status = make_members(s, err);
  if (status == GARAM_OK) *out = &s->base;
  else intervals_destroy(&s->base);
  return status;
}

static size_t intervals_context(const learner *l) {
  return ((const intervals *)l)->context;
}

static size_t intervals_parameters(const learner *l) {
  const intervals *s = (const intervals *)l;
  size_t n = s->config.method == METHOD_CROSS ? s->begin[s->n] : 1;
  for (size_t i = 0; i < s->made; i++) n += s->members[i].ops->parameters(s->members[i].learner);
  return n;
}

/* ---- ticks --------------------------------------------------------------------------------- */

static size_t intervals_width(const learner *l) {
  (void)l;
  return VIEW;
}

/* The value and the fitted ends, of what the models say of one row. */
static void view_row(const intervals *s, const float *said, float *view) {
  double sum = 0, low, high;
  for (size_t i = 0; i < s->n; i++) sum += (double)said[i];
  double value = sum / (double)s->n;
  switch (s->config.method) {
  case METHOD_CROSS:
    conformal_cross_sorted(&low, &high, s->residual, s->begin, said, s->n, ALPHA);
    break;
  case METHOD_QUANTILE: /* ends that cross are the other way round */
    value = (double)said[0];
    low = (double)fminf(said[1], said[2]) - s->margin;
    high = (double)fmaxf(said[1], said[2]) + s->margin;
    break;
  default: low = value - s->margin, high = value + s->margin;
  }
  view[0] = (float)value;
  view[1] = (float)low;
  view[2] = (float)high;
}

static garam_status intervals_view(learner *l, const float *x, const int32_t *begin, size_t n,
                                   float *views, garam_error *err) {
  intervals *s = (intervals *)l;
  size_t window = s->context * s->shape.n_features;
  for (size_t i = 0; i < n; i += VIEW_ROWS) {
    size_t m = n - i < VIEW_ROWS ? n - i : VIEW_ROWS;
    for (size_t k = 0; k < s->n; k++) {
      TRY(member_predict(&s->members[k], x + i * window, begin ? begin + i : NULL, m, s->context,
                         s->one, err));
      for (size_t j = 0; j < m; j++) s->said[j * s->n + k] = s->one[j];
    }
    for (size_t j = 0; j < m; j++) view_row(s, s->said + j * s->n, views + (i + j) * VIEW);
  }
  return GARAM_OK;
}

/* By how much the fitted ends move out, by the outcomes so far. */
static double moved(const intervals *s) {
  size_t least = s->now.capacity < LEAST_SCORES ? s->now.capacity : LEAST_SCORES;
  if (s->config.adapt == ADAPT_NONE || s->now.n < least) return 0;
  return conformal_window_limit(&s->now);
}

static void intervals_answer(learner *l, const float *view, float *out) {
  (void)l;
  out[0] = view[0];
}

static void intervals_bounds(const learner *l, const float *view, float *out) {
  double m = moved((const intervals *)l);
  out[0] = (float)((double)view[1] - m);
  out[1] = (float)((double)view[2] + m);
  if (!(out[0] > out[1])) return;
  out[0] = out[1] = view[1] + (view[2] - view[1]) / 2; /* nothing is left of it */
}

static void intervals_observe(learner *l, const float *view, int32_t y, float value) {
  intervals *s = (intervals *)l;
  (void)y;
  if (s->config.adapt == ADAPT_NONE) return;
  double score = fmax((double)view[1] - (double)value, (double)value - (double)view[2]);
  conformal_window_learn(&s->now, score, score > moved(s));
}

static void intervals_keep(learner *l) {
  intervals *s = (intervals *)l;
  conformal_window_copy(&s->kept, &s->now);
}

static void intervals_rewind(learner *l) {
  intervals *s = (intervals *)l;
  conformal_window_copy(&s->now, &s->kept);
}

static size_t intervals_n_parts(const learner *l) {
  (void)l;
  return 0;
}

static json_t *intervals_describe(const learner *l) {
  const intervals *s = (const intervals *)l;
  return json_pack("{s:s, s:s, s:I, s:f, s:o}", "method", method_names[s->config.method], "adapt",
                   adapt_names[s->config.adapt], "scores", (json_int_t)s->now.n, "level",
                   s->now.level, "moved", json_number_or_null(moved(s)));
}

static const learner_stream stream = {
    .width = intervals_width,
    .view = intervals_view,
    .answer = intervals_answer,
    .bounds = intervals_bounds,
    .observe = intervals_observe,
    .keep = intervals_keep,
    .rewind = intervals_rewind,
    .n_parts = intervals_n_parts,
    .describe = intervals_describe,
};

static garam_status intervals_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                      float *out, garam_error *err) {
  intervals *s = (intervals *)l;
  size_t window = s->context * s->shape.n_features;
  for (size_t i = 0; i < n; i += VIEW_ROWS) {
    size_t m = n - i < VIEW_ROWS ? n - i : VIEW_ROWS;
    TRY(intervals_view(l, x + i * window, begin ? begin + i : NULL, m, s->views, err));
    for (size_t j = 0; j < m; j++) out[i + j] = s->views[j * VIEW];
  }
  return GARAM_OK;
}

/* ---- fit ----------------------------------------------------------------------------------- */

typedef struct fitting {
  intervals *s;
  const dataset *d;
  row_set train, valid;
  size_t embargo;
  run run;
} fitting;

static int compare_f32(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* Model `k` on rows; what stops it early is cut off them. */
static garam_status fit_model(fitting *f, size_t k, const dataset *d, row_set rows,
                              garam_error *err) {
  intervals *s = f->s;
  return run_member_cut(&f->run, &s->members[k], spec_of(s, k), d, rows, (row_set){0}, &s->scaling,
                        s->config.stop_share, f->embargo, err);
}

static garam_status too_few(const fitting *f, const char *which, size_t n, garam_error *err) {
  return fail(err, GARAM_INVALID,
              "intervals: --method %s: %zu %s are too few for an interval that holds %g %%",
              method_names[f->s->config.method], n, which, 100 * CONFORMAL_TARGET);
}

static garam_status fit_cross(fitting *f, garam_error *err) {
  intervals *s = f->s;
  const part_config c = {PART_KFOLD, s->n, 0, f->embargo};
  garam_status status;
  size_t n = 0;
  fold *folds = mem_array(s->n, sizeof *folds);
  s->residual = mem_array(f->train.n, sizeof *s->residual);
  if (!folds || !s->residual) {
    mem_free(folds);
    return fail_memory(err, f->train.n * sizeof *s->residual);
  }
  status = part_folds(folds, &c, f->d, f->train, f->run.fit->seed, "intervals", err);
  if (status != GARAM_OK) {
    mem_free(folds);
    return status;
  }
  for (size_t k = 0; k < s->n; k++) {
    row_set rows = folds[k].test;
    float *r = s->residual + n;
    double squares = 0;
    TRY_GOTO(done, fit_model(f, k, f->d, folds[k].train, err));
    TRY_GOTO(done, member_predict_rows(&s->members[k], f->d, rows, r, err));
    for (size_t i = 0; i < rows.n; i++) {
      r[i] = fabsf(f->d->value[rows.rows[i]] - r[i]);
      squares += (double)r[i] * (double)r[i];
    }
    qsort(r, rows.n, sizeof *r, compare_f32);
    n += rows.n;
    s->begin[k + 1] = (uint32_t)n;
    run_unit_done(&f->run, NAN, squares / (double)rows.n, NAN, k + 1 == s->n);
  }
  if ((double)(n + 1) * ALPHA < 1) status = too_few(f, "rows", n, err);
done:
  for (size_t k = 0; k < s->n; k++) fold_deinit(&folds[k]);
  mem_free(folds);
  return status;
}

static garam_status fit_quantile(fitting *f, garam_error *err) {
  intervals *s = f->s;
  row_set rows = f->valid;
  garam_status status = GARAM_OK;
  float *said[VIEW] = {0}, *y = mem_array(rows.n + 1, sizeof *y);
  for (size_t k = 0; k < VIEW; k++) {
    said[k] = mem_array(rows.n + 1, sizeof **said);
    if (!y || !said[k]) TRY_GOTO(done, fail_memory(err, rows.n * sizeof *y));
    TRY_GOTO(done, fit_model(f, k, f->d, f->train, err));
    TRY_GOTO(done, member_predict_rows(&s->members[k], f->d, rows, said[k], err));
    run_unit_done(&f->run, NAN, NAN, NAN, k + 1 == VIEW);
  }
  for (size_t i = 0; i < rows.n; i++) {
    float low = fminf(said[1][i], said[2][i]);
    said[2][i] = fmaxf(said[1][i], said[2][i]);
    said[1][i] = low;
    y[i] = f->d->value[rows.rows[i]];
  }
  s->margin = conformal_quantile_regression(said[1], said[2], y, rows.n, ALPHA);
  if (isnan(s->margin)) TRY_GOTO(done, fail_memory(err, rows.n * sizeof *y));
  if (isinf(s->margin)) status = too_few(f, "validation rows", rows.n, err);
done:
  for (size_t k = 0; k < VIEW; k++) mem_free(said[k]);
  mem_free(y);
  return status;
}

typedef struct bag {
  bootstrap *draws;
  float *weight, *said;         /* (n_rows) of the draw; (train.n) */
  uint32_t *counts, *rows;      /* (train.n) */
  uint8_t *unseen;              /* (train.n) */
  double *sum, *judges, *score; /* (train.n) */
} bag;

static void bag_deinit(bag *b) {
  bootstrap_free(b->draws);
  mem_free(b->weight);
  mem_free(b->said);
  mem_free(b->counts);
  mem_free(b->rows);
  mem_free(b->unseen);
  mem_free(b->sum);
  mem_free(b->judges);
  mem_free(b->score);
}

static garam_status bag_init(bag *b, const fitting *f, garam_error *err) {
  const config *c = &f->s->config;
  const bootstrap_config draws = {c->bootstrap, 1, true, (size_t)c->block};
  size_t n = f->train.n;
  TRY(bootstrap_new(&b->draws, &draws, f->d, f->train, err));
  b->weight = mem_array(f->d->n_rows, sizeof *b->weight);
  b->said = mem_array(n, sizeof *b->said);
  b->counts = mem_array(n, sizeof *b->counts);
  b->rows = mem_array(n, sizeof *b->rows);
  b->unseen = mem_array(n, 1);
  b->sum = mem_array(n, sizeof *b->sum);
  b->judges = mem_array(n, sizeof *b->judges);
  b->score = mem_array(n, sizeof *b->score);
  if (b->weight && b->said && b->counts && b->rows && b->unseen && b->sum && b->judges && b->score)
    return GARAM_OK;
  return fail_memory(err, n * sizeof *b->sum);
}

static garam_status fit_bag(bag *b, fitting *f, size_t k, garam_error *err) {
  dataset view = *f->d;
  size_t n = 0;
  TRY(bootstrap_draw(b->counts, b->draws, f->run.fit->seed, k, err));
  for (size_t i = 0; i < view.n_rows; i++) b->weight[i] = view.weight ? view.weight[i] : 1;
  for (size_t i = 0; i < f->train.n; i++) {
    if (b->counts[i] == 0) continue;
    b->weight[f->train.rows[i]] *= (float)b->counts[i];
    b->rows[n++] = f->train.rows[i];
  }
  view.weight = b->weight;
  TRY(fit_model(f, k, &view, (row_set){b->rows, n}, err));
  bootstrap_unseen(b->unseen, b->draws, b->counts);
  n = 0;
  for (size_t i = 0; i < f->train.n; i++)
    if (b->unseen[i]) b->rows[n++] = f->train.rows[i];
  TRY(member_predict_rows(&f->s->members[k], f->d, (row_set){b->rows, n}, b->said, err));
  n = 0;
  for (size_t i = 0; i < f->train.n; i++) {
    if (!b->unseen[i]) continue;
    b->sum[i] += (double)b->said[n++];
    b->judges[i]++;
  }
  run_unit_done(&f->run, NAN, NAN, NAN, k + 1 == f->s->n);
  return GARAM_OK;
}

/* The mean of the models that did not see a row stands for the whole there. */
static garam_status fit_ensemble(fitting *f, garam_error *err) {
  intervals *s = f->s;
  bag b = {0};
  garam_status status;
  size_t n = 0;
  TRY_GOTO(done, bag_init(&b, f, err));
  for (size_t k = 0; k < s->n; k++) TRY_GOTO(done, fit_bag(&b, f, k, err));
  for (size_t i = 0; i < f->train.n; i++)
    if (b.judges[i] > 0)
      b.score[n++] = fabs((double)f->d->value[f->train.rows[i]] - b.sum[i] / b.judges[i]);
  s->margin = conformal_limit(b.score, n, ALPHA);
  if (isnan(s->margin)) TRY_GOTO(done, fail_memory(err, n * sizeof *b.score));
  if (isinf(s->margin)) TRY_GOTO(done, too_few(f, "rows out of bag", n, err));
  conformal_window_clear(&s->now);
  for (size_t i = n > s->now.capacity ? n - s->now.capacity : 0; i < n; i++)
    conformal_window_add(&s->now, b.score[i] - s->margin);
done:
  bag_deinit(&b);
  return status;
}

static garam_status intervals_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                  const fit_context *fit, fit_summary *summary, garam_error *err) {
  intervals *s = (intervals *)l;
  fitting f = {.s = s, .d = d, .train = train, .valid = valid};
  garam_status status;
  if (summary) *summary = (fit_summary){0};
  if (train.n == 0) return fail(err, GARAM_INVALID, "intervals: no rows to train on");
  TRY(make_members(s, err));
  f.embargo =
      s->config.fold_embargo >= 0 ? (size_t)s->config.fold_embargo : part_label_rows(d, train);
  TRY(run_begin(&f.run, &ensemble_intervals, &s->config, d, train, valid, fit, s->n, err));
  conformal_window_clear(&s->now);
  status = s->config.method == METHOD_CROSS      ? fit_cross(&f, err)
           : s->config.method == METHOD_QUANTILE ? fit_quantile(&f, err)
                                                 : fit_ensemble(&f, err);
  if (status == GARAM_OK) {
    intervals_keep(l);
    run_end(&f.run, summary, (int)s->n, NAN, intervals_parameters(l));
  }
  run_deinit(&f.run);
  return status;
}

/* ---- save, load ---------------------------------------------------------------------------- */

static garam_status intervals_save(const learner *l, package_writer *w, const char *prefix,
                                   garam_error *err) {
  const intervals *s = (const intervals *)l;
  char name[PREFIX_MAX + 32];
  int64_t one = 1, scores = (int64_t)s->kept.n, folds = (int64_t)s->n + 1;
  if (strlen(prefix) >= PREFIX_MAX) return fail(err, GARAM_LIMIT, "intervals: nested too deep");
  for (size_t k = 0; k < s->n; k++) {
    snprintf(name, sizeof name, "%sm%zu.", prefix, k);
    TRY(member_save(&s->members[k], w, name, err));
  }
  snprintf(name, sizeof name, "%smargin", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 1, &one, &s->margin, err));
  snprintf(name, sizeof name, "%slevel", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 1, &one, &s->kept.level, err));
  snprintf(name, sizeof name, "%sscores", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 1, &scores, s->kept.ring, err));
  if (s->config.method != METHOD_CROSS) return GARAM_OK;
  int64_t n = s->begin[s->n];
  snprintf(name, sizeof name, "%sbegin", prefix);
  TRY(package_add(w, name, PACKAGE_U32, 1, &folds, s->begin, err));
  snprintf(name, sizeof name, "%sresiduals", prefix);
  return package_add(w, name, PACKAGE_F32, 1, &n, s->residual, err);
}

static garam_status load_residuals(intervals *s, const package_reader *r, const char *prefix,
                                   garam_error *err) {
  char name[PREFIX_MAX + 32];
  const package_tensor *begin, *residual;
  int64_t folds = (int64_t)s->n + 1, any = -1;
  snprintf(name, sizeof name, "%sbegin", prefix);
  TRY(package_get(&begin, r, name, PACKAGE_U32, 1, &folds, err));
  snprintf(name, sizeof name, "%sresiduals", prefix);
  TRY(package_get_finite(&residual, r, name, PACKAGE_F32, 1, &any, err));
  memcpy(s->begin, begin->data, begin->bytes);
  s->residual = mem_array(residual->count + 1, sizeof *s->residual);
  if (!s->residual) return fail_memory(err, residual->bytes);
  memcpy(s->residual, residual->data, residual->bytes);
  bool sound = s->begin[0] == 0 && s->begin[s->n] == residual->count;
  for (size_t k = 0; sound && k < s->n; k++)
    sound = s->begin[k] <= s->begin[k + 1] && s->begin[k + 1] <= residual->count;
  for (size_t k = 0; sound && k < s->n; k++)
    for (size_t i = s->begin[k]; sound && i < s->begin[k + 1]; i++)
      sound = s->residual[i] >= (i == s->begin[k] ? 0 : s->residual[i - 1]);
  if (sound) return GARAM_OK;
  return fail(err, GARAM_CORRUPT, "%s: \"%s\": not rising, from 0, within each of %zu folds",
              package_name(r), name, s->n);
}

static garam_status load_state(intervals *s, const package_reader *r, const char *prefix,
                               garam_error *err) {
  char name[PREFIX_MAX + 32];
  const package_tensor *t;
  int64_t one = 1, any = -1;
  snprintf(name, sizeof name, "%smargin", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F64, 1, &one, err));
  memcpy(&s->margin, t->data, sizeof s->margin);
  snprintf(name, sizeof name, "%sscores", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F32, 1, &any, err));
  if (t->count > s->kept.capacity)
    return fail(err, GARAM_CORRUPT, "%s: \"%s\": %zu scores; the window holds %zu", package_name(r),
                name, t->count, s->kept.capacity);
  for (size_t i = 0; i < t->count; i++)
    conformal_window_add(&s->kept, (double)((const float *)t->data)[i]);
  snprintf(name, sizeof name, "%slevel", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F64, 1, &one, err));
  memcpy(&s->kept.level, t->data, sizeof s->kept.level);
  return GARAM_OK;
}

static garam_status intervals_load(learner **out, const void *c, const learner_shape *shape,
                                   package_reader *r, const char *prefix, garam_error *err) {
  intervals *s;
  char name[PREFIX_MAX + 32];
  garam_status status;
  *out = NULL;
  TRY(intervals_new(&s, c, shape, err));
  if (strlen(prefix) >= PREFIX_MAX)
    TRY_GOTO(done, fail(err, GARAM_LIMIT, "%s: nested too deep", package_name(r)));
  for (; s->made < s->n; s->made++) {
    member *m = &s->members[s->made];
    snprintf(name, sizeof name, "%sm%zu.", prefix, s->made);
    TRY_GOTO(done, member_load(m, spec_of(s, s->made), shape, 0, &s->scaling, r, name, err));
    if (m->context > s->context) s->context = m->context;
  }
  TRY_GOTO(done, load_state(s, r, prefix, err));
  if (s->config.method == METHOD_CROSS) TRY_GOTO(done, load_residuals(s, r, prefix, err));
  intervals_rewind(&s->base);
  *out = &s->base;
  return GARAM_OK;
done:
  intervals_destroy(&s->base);
  return status;
}

const learner_ops ensemble_intervals = {
    .name = "intervals",
    .summary = "any learner of values, with conformal intervals around them",
    .tasks = 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = intervals_create,
    .destroy = intervals_destroy,
    .context = intervals_context,
    .fit = intervals_fit,
    .predict = intervals_predict,
    .save = intervals_save,
    .load = intervals_load,
    .parameters = intervals_parameters,
    .stream = &stream,
};
