/* Gradient boosting over any learner (Friedman, Annals of Statistics 2001): each round a regression
 * member learns the negative gradient of the loss at the rows, and a line search says how far its
 * answer is followed. Two classes take one member a round, more classes one for each. Validation
 * rows say where to stop. Trees have an engine of their own for this: the learner gbdt. */
#include "ensemble/ensemble.h"

#include "base/mem.h"
#include "base/rng.h"
#include "ensemble/part.h"
#include "ensemble/run.h"
#include "ensemble/score.h"
#include "ensemble/series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ROUNDS = 10000, LINE_STEPS = 20 };

typedef struct config {
  char member[SPEC_TEXT_MAX];
  int rounds, early_stopping, fold_embargo, scaling;
  double learning_rate, sample_share, stop_share, clip;
} config;

static const opt_row options[] = {
    {"member", OPT_STRING, OPT_AT(config, member), .def_text = "mlp:hidden=8,epochs=5,patience=0",
     .help = "a learner that does regression, with its settings"},
    {"rounds", OPT_INT, OPT_AT(config, rounds), .def = 50, .min = 1, .max = MOST_ROUNDS,
     .scale = OPT_LOG, .search = {10, 500}, .help = "at most; see --early-stopping"},
    {"learning-rate", OPT_F64, OPT_AT(config, learning_rate), .def = 0.3, .min = 1e-4, .max = 1,
     .scale = OPT_LOG, .search = {0.02, 1}, .help = "of what the line search finds, taken"},
    {"sample-share", OPT_F64, OPT_AT(config, sample_share), .def = 1, .min = 0.01, .max = 1,
     .search = {0.3, 1}, .help = "of the rows, drawn anew for each round (Friedman 2002)"},
    {"early-stopping", OPT_INT, OPT_AT(config, early_stopping), .def = 10, .min = 0,
     .max = MOST_ROUNDS, .unit = "rounds",
     .help = "stop after this many without a better validation; 0: never"},
    {"stop-share", OPT_F64, OPT_AT(config, stop_share), .def = 0.15, .min = 0, .max = 0.9,
     .help =
         "of the training rows, the last ones, that stop it where there are no validation rows"},
    {"fold-embargo", OPT_INT, OPT_AT(config, fold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after that cut; -1: as many as the longest label spans"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for a member that wants them scaled"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
};

typedef struct boosting {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t n_outputs, each, context; /* each: members of a round */
  member_specs spec;               /* one */
  series members;                  /* (rounds, each); a weight is a step */
  double *first;                   /* (each) the answer before the first round */
  float *said;                     /* scratch of predict (n) */
  double *sums;                    /* (n, each) */
  size_t said_capacity, sums_capacity;
} boosting;

/* ---- life -------------------------------------------------------------------------------- */

static void boosting_destroy(learner *l) {
  boosting *b = (boosting *)l;
  if (!b) return;
  series_deinit(&b->members);
  member_specs_deinit(&b->spec);
  mem_free(b->first);
  mem_free(b->said);
  mem_free(b->sums);
  mem_free(b);
}

static garam_status boosting_create(learner **out, const void *c, const learner_shape *shape,
                                    garam_error *err) {
  garam_status status;
  *out = NULL;
  boosting *b = mem_zalloc(sizeof *b);
  if (!b) return fail_memory(err, sizeof *b);
  b->base.ops = &ensemble_boosting;
  b->config = *(const config *)c;
  b->scaling = (member_scaling){b->config.scaling, b->config.clip};
  b->shape = *shape;
  b->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  b->each = b->n_outputs == 2 ? 1 : b->n_outputs;
  const learner_shape inner = {TASK_REGRESSION, shape->n_features, 0};
  TRY_GOTO(done, member_specs_parse(&b->spec, b->config.member, TASK_REGRESSION, "--member", err));
  if (b->spec.n != 1)
    TRY_GOTO(done, fail(err, GARAM_INVALID, "--member: \"%s\" is %zu learners; boosting takes one",
                        b->config.member, b->spec.n));
  b->first = mem_array(b->each, sizeof *b->first);
  if (!b->first) TRY_GOTO(done, fail_memory(err, b->each * sizeof *b->first));
  TRY_GOTO(done, series_probe(&b->context, &b->spec.items[0], &inner, err));
  series_init(&b->members, &b->spec.items[0], &inner, 0);
  *out = &b->base;
  return GARAM_OK;
done:
  boosting_destroy(&b->base);
  return status;
}

static size_t boosting_context(const learner *l) {
  return ((const boosting *)l)->context;
}

static size_t boosting_parameters(const learner *l) {
  const boosting *b = (const boosting *)l;
  return series_parameters(&b->members) + b->each;
}

/* ---- loss -------------------------------------------------------------------------------- */

/* A row's loss at its answer f (each): -log p of its class, or half the squared error; where
 * wanted, its negative gradient (each). */
static double row_loss(const boosting *b, const dataset *d, size_t row, const double *f,
                       double *gradient) {
  if (b->n_outputs == 1) {
    double off = (double)d->value[row] - f[0];
    if (gradient) gradient[0] = off;
    return 0.5 * off * off;
  }
  if (b->each == 1) {
    double y = d->y[row] == 1, z = y > 0 ? f[0] : -f[0];
    if (gradient) gradient[0] = y - 1 / (1 + exp(-f[0]));
    return z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z;
  }
  double most = f[0], sum = 0;
  for (size_t c = 1; c < b->each; c++)
    if (f[c] > most) most = f[c];
  for (size_t c = 0; c < b->each; c++) sum += exp(f[c] - most);
  for (size_t c = 0; gradient && c < b->each; c++)
    gradient[c] = (d->y[row] == (int32_t)c) - exp(f[c] - most) / sum;
  return most + log(sum) - f[d->y[row]];
}

typedef struct part_sums {
  row_set rows;
  double *f;    /* (rows.n, each) answers so far */
  double *step; /* (rows.n, each) what the round says */
} part_sums;

typedef struct fitting {
  boosting *b;
  const dataset *d;
  part_sums train, valid;
  size_t embargo;
  run run;
  float *value;   /* (n_rows) what the member learns */
  float *said;    /* (rows) */
  uint32_t *rows; /* (train.n) of the round */
  double best_loss;
  int best;
} fitting;

static double weight_of(const fitting *f, size_t row) {
  return f->d->weight ? (double)f->d->weight[row] : 1;
}

/* Mean loss at f + rho x step, and its slope by rho. */
static double loss_at(const fitting *f, const part_sums *p, double rho, double *slope) {
  const boosting *b = f->b;
  double sum = 0, weights = 0, turn = 0, at[256], gradient[256];
  for (size_t i = 0; i < p->rows.n; i++) {
    double w = weight_of(f, p->rows.rows[i]);
    for (size_t c = 0; c < b->each; c++)
      at[c] = p->f[i * b->each + c] + rho * p->step[i * b->each + c];
    sum += w * row_loss(b, f->d, p->rows.rows[i], at, slope ? gradient : NULL);
    for (size_t c = 0; slope && c < b->each; c++)
      turn -= w * gradient[c] * p->step[i * b->each + c];
    weights += w;
  }
  if (slope) *slope = turn / weights;
  return weights > 0 ? sum / weights : NAN;
}

/* The loss is convex along the step: its least, by doubling and halving on the slope. */
static double line_search(const fitting *f) {
  double low = 0, high = 1, slope;
  loss_at(f, &f->train, 0, &slope);
  if (!(slope < 0)) return 0;
  for (int i = 0; i < LINE_STEPS; i++) {
    loss_at(f, &f->train, high, &slope);
    if (!(slope < 0)) break;
    low = high;
    high *= 2;
  }
  for (int i = 0; i < LINE_STEPS; i++) {
    double middle = (low + high) / 2;
    loss_at(f, &f->train, middle, &slope);
    if (slope < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/* ---- fit --------------------------------------------------------------------------------- */

static void fitting_deinit(fitting *f) {
  run_deinit(&f->run);
  mem_free(f->train.f);
  mem_free(f->train.step);
  mem_free(f->valid.f);
  mem_free(f->valid.step);
  mem_free(f->value);
  mem_free(f->said);
  mem_free(f->rows);
}

/* The best constant answer. */
static void first_answer(fitting *f) {
  boosting *b = f->b;
  double weights = 0;
  memset(b->first, 0, b->each * sizeof *b->first);
  for (size_t i = 0; i < f->train.rows.n; i++) {
    uint32_t row = f->train.rows.rows[i];
    double w = weight_of(f, row);
    weights += w;
    if (b->n_outputs == 1) b->first[0] += w * (double)f->d->value[row];
    else if (b->each == 1) b->first[0] += w * (f->d->y[row] == 1);
    else b->first[f->d->y[row]] += w;
  }
  for (size_t c = 0; c < b->each; c++) b->first[c] /= weights;
  if (b->n_outputs == 1) return;
  for (size_t c = 0; c < b->each; c++) {
    double p = fmin(fmax(b->first[c], 1e-6), 1 - 1e-6);
    b->first[c] = b->each == 1 ? log(p / (1 - p)) : log(p);
  }
}

static garam_status fitting_init(fitting *f, garam_error *err) {
  boosting *b = f->b;
  size_t n = f->train.rows.n, m = f->valid.rows.n, most = n > m ? n : m, e = b->each;
  if (n == 0) return fail(err, GARAM_INVALID, "boosting: no rows to train on");
  if (e > 256) return fail(err, GARAM_LIMIT, "boosting: %zu classes; at most 256", e);
  f->train.f = mem_array(n * e, sizeof(double));
  f->train.step = mem_array(n * e, sizeof(double));
  f->valid.f = mem_array(m * e + 1, sizeof(double));
  f->valid.step = mem_array(m * e + 1, sizeof(double));
  f->value = mem_array(f->d->n_rows, sizeof *f->value);
  f->said = mem_array(most, sizeof *f->said);
  f->rows = mem_array(n, sizeof *f->rows);
  if (!f->train.f || !f->train.step || !f->valid.f || !f->valid.step || !f->value || !f->said ||
      !f->rows)
    return fail_memory(err, n * e * sizeof(double));
  double weights = 0;
  for (size_t i = 0; i < n; i++) weights += weight_of(f, f->train.rows.rows[i]);
  if (!(weights > 0))
    return fail(err, GARAM_INVALID, "boosting: the weights of the training rows sum to zero");
  first_answer(f);
  for (size_t i = 0; i < n * e; i++) f->train.f[i] = b->first[i % e];
  for (size_t i = 0; i < m * e; i++) f->valid.f[i] = b->first[i % e];
  f->best_loss = m > 0 ? loss_at(f, &f->valid, 0, NULL) : INFINITY;
  return GARAM_OK;
}

/* What member c of the round is to learn, for the rows of a part. */
static void set_targets(fitting *f, const part_sums *p, size_t c) {
  double gradient[256];
  for (size_t i = 0; i < p->rows.n; i++) {
    row_loss(f->b, f->d, p->rows.rows[i], p->f + i * f->b->each, gradient);
    f->value[p->rows.rows[i]] = (float)gradient[c];
  }
}

static garam_status take_step(fitting *f, const part_sums *p, member *m, const dataset *view,
                              size_t c, garam_error *err) {
  TRY(member_predict_rows(m, view, p->rows, f->said, err));
  for (size_t i = 0; i < p->rows.n; i++) p->step[i * f->b->each + c] = (double)f->said[i];
  return GARAM_OK;
}

/* Rows of the round: all, or a draw of them, in their order. */
static row_set draw_rows(fitting *f, int round) {
  row_set all = f->train.rows;
  double share = f->b->config.sample_share;
  size_t left = (size_t)(share * (double)all.n + 0.5), n = 0;
  rng r;
  if (share >= 1) return all;
  rng_init(&r, run_seed(&f->run, round), RNG_BOOTSTRAP, 0);
  for (size_t i = 0; i < all.n && left > n; i++) /* Knuth's selection sampling */
    if (rng_uniform(&r) * (double)(all.n - i) < (double)(left - n)) f->rows[n++] = all.rows[i];
  return (row_set){f->rows, n};
}

static garam_status fit_round(fitting *f, int round, garam_error *err) {
  boosting *b = f->b;
  dataset view = *f->d;
  view.task = TASK_REGRESSION;
  view.n_classes = 0;
  view.y = NULL;
  view.class_names = NULL;
  view.value = f->value;
  row_set rows = draw_rows(f, round);
  for (size_t c = 0; c < b->each; c++) {
    member *m;
    set_targets(f, &f->train, c);
    set_targets(f, &f->valid, c);
    TRY(series_add(&m, &b->members, NULL, err));
    TRY(run_member(&f->run, m, &b->spec.items[0], &view, rows, f->valid.rows, &b->scaling, err));
    TRY(take_step(f, &f->train, m, &view, c, err));
    TRY(take_step(f, &f->valid, m, &view, c, err));
    if (c + 1 < b->each) run_unit_done(&f->run, NAN, NAN, NAN, false);
  }
  double step = b->config.learning_rate * line_search(f);
  double train_loss = loss_at(f, &f->train, step, NULL), valid_loss = NAN;
  if (f->valid.rows.n > 0) valid_loss = loss_at(f, &f->valid, step, NULL);
  if (!isfinite(train_loss))
    return fail(err, GARAM_NUMERIC, "boosting: round %d: the loss is %g", round + 1, train_loss);
  for (size_t c = 0; c < b->each; c++) b->members.weights[b->members.n - 1 - c] = step;
  part_sums *parts[] = {&f->train, &f->valid};
  for (size_t p = 0; p < COUNT_OF(parts); p++)
    for (size_t i = 0; i < parts[p]->rows.n * b->each; i++)
      parts[p]->f[i] += step * parts[p]->step[i];
  bool best = f->valid.rows.n == 0 || valid_loss < f->best_loss;
  if (best) {
    f->best = round + 1;
    f->best_loss = valid_loss;
  }
  double scale = b->n_outputs == 1 ? 2 : 1; /* squared errors are shown whole */
  run_unit_done(&f->run, scale * train_loss, scale * valid_loss, NAN, best);
  return GARAM_OK;
}

static garam_status boosting_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                 const fit_context *fit, fit_summary *summary, garam_error *err) {
  boosting *b = (boosting *)l;
  const config *c = &b->config;
  fitting f = {.b = b, .d = d};
  fold cut = {0};
  garam_status status;
  if (summary) *summary = (fit_summary){0};
  series_cut(&b->members, 0);
  TRY(run_begin(&f.run, &ensemble_boosting, c, d, train, valid, fit, (size_t)c->rounds * b->each,
                err));
  if (valid.n == 0 && c->early_stopping > 0 && c->stop_share > 0) {
    size_t embargo = c->fold_embargo >= 0 ? (size_t)c->fold_embargo : part_label_rows(d, train);
    TRY_GOTO(done,
             part_stopping(&cut, d, train, c->stop_share, embargo, run_seed(&f.run, -1), err));
    train = cut.train;
    valid = cut.valid;
  }
  f.train.rows = train;
  f.valid.rows = valid;
  TRY_GOTO(done, fitting_init(&f, err));
  bool stops = c->early_stopping > 0 && valid.n > 0;
  for (int round = 0; round < c->rounds; round++) {
    TRY_GOTO(done, fit_round(&f, round, err));
    if (stops && round + 1 - f.best >= c->early_stopping) break;
  }
  int kept = stops && f.best > 0 ? f.best : stops ? 1 : (int)(b->members.n / b->each);
  if (stops && f.best == 0) /* nothing beat the constant: it alone answers */
    for (size_t i = 0; i < b->each; i++) b->members.weights[i] = 0;
  series_cut(&b->members, (size_t)kept * b->each);
  run_end(&f.run, summary, kept * (int)b->each, b->n_outputs == 1 ? 2 * f.best_loss : f.best_loss,
          boosting_parameters(l));
done:
  fold_deinit(&cut);
  fitting_deinit(&f);
  return status;
}

/* ---- predict, save, load ----------------------------------------------------------------- */

static garam_status boosting_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                     float *out, garam_error *err) {
  boosting *b = (boosting *)l;
  size_t size, e = b->each;
  if (!size_mul(&size, n, e)) return fail_memory(err, SIZE_MAX);
  TRY(mem_grow(&b->said, &b->said_capacity, n, sizeof *b->said, err));
  TRY(mem_grow(&b->sums, &b->sums_capacity, size, sizeof *b->sums, err));
  for (size_t i = 0; i < size; i++) b->sums[i] = b->first[i % e];
  for (size_t m = 0; m < b->members.n; m++) {
    TRY(member_predict(&b->members.items[m], x, begin, n, b->context, b->said, err));
    for (size_t i = 0; i < n; i++)
      b->sums[i * e + m % e] += b->members.weights[m] * (double)b->said[i];
  }
  for (size_t i = 0; i < n; i++) {
    if (b->n_outputs == 2) {
      out[2 * i] = 0;
      out[2 * i + 1] = (float)b->sums[i];
    } else {
      for (size_t c = 0; c < e; c++) out[i * e + c] = (float)b->sums[i * e + c];
    }
  }
  return GARAM_OK;
}

static garam_status boosting_save(const learner *l, package_writer *w, const char *prefix,
                                  garam_error *err) {
  const boosting *b = (const boosting *)l;
  char name[128];
  int64_t n = (int64_t)b->each;
  TRY(series_save(&b->members, w, prefix, err));
  snprintf(name, sizeof name, "%sfirst", prefix);
  return package_add(w, name, PACKAGE_F64, 1, &n, b->first, err);
}

static garam_status boosting_load(learner **out, const void *c, const learner_shape *shape,
                                  package_reader *r, const char *prefix, garam_error *err) {
  char name[128];
  const package_tensor *first;
  TRY(boosting_create(out, c, shape, err));
  boosting *b = (boosting *)*out;
  int64_t n = (int64_t)b->each;
  garam_status status = series_load(&b->members, (size_t)b->config.rounds * b->each, b->context,
                                    &b->scaling, r, prefix, err);
  snprintf(name, sizeof name, "%sfirst", prefix);
  if (status == GARAM_OK && b->members.n % b->each)
    status = fail(err, GARAM_CORRUPT, "%s: %zu members for %zu classes", package_name(r),
                  b->members.n, b->each);
  if (status == GARAM_OK) status = package_get_finite(&first, r, name, PACKAGE_F64, 1, &n, err);
  if (status == GARAM_OK) memcpy(b->first, first->data, first->bytes);
  if (status != GARAM_OK) {
    boosting_destroy(*out);
    *out = NULL;
  }
  return status;
}

const learner_ops ensemble_boosting = {
    .name = "boosting",
    .summary = "gradient boosting over any learner that does regression",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = boosting_create,
    .destroy = boosting_destroy,
    .context = boosting_context,
    .fit = boosting_fit,
    .predict = boosting_predict,
    .save = boosting_save,
    .load = boosting_load,
    .parameters = boosting_parameters,
};
