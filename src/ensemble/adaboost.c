/* AdaBoost over any learner: SAMME and SAMME.R for classes (Zhu, Zou, Rosset & Hastie, Statistics
 * and Its Interface 2009), R2 for values (Drucker, ICML 1997). Each round learns from rows weighed
 * by how wrong the rounds before were about them. The weights are the rows'; a learner that ignores
 * weights takes draws by them in their place (--resample). */
#include "ensemble/ensemble.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ensemble/part.h"
#include "ensemble/run.h"
#include "ensemble/score.h"
#include "ensemble/series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ROUNDS = 10000 };
enum { ALGORITHM_SAMME, ALGORITHM_SAMME_R };
static const char *const algorithm_names[] = {"samme", "samme-r", NULL};
enum { LOSS_LINEAR, LOSS_SQUARE, LOSS_EXPONENTIAL };
static const char *const loss_names[] = {"linear", "square", "exponential", NULL};

typedef struct config {
  char member[SPEC_TEXT_MAX];
  int rounds, algorithm, loss, early_stopping, fold_embargo, scaling;
  double learning_rate, stop_share, clip;
  bool resample;
} config;

static const opt_row options[] = {
    {"member", OPT_STRING, OPT_AT(config, member), .def_text = "linear",
     .help = "a learner, with its settings; a weak one: mlp:hidden=4,epochs=5"},
    {"rounds", OPT_INT, OPT_AT(config, rounds), .def = 50, .min = 1, .max = MOST_ROUNDS,
     .scale = OPT_LOG, .search = {10, 500}, .help = "members at most"},
    {"learning-rate", OPT_F64, OPT_AT(config, learning_rate), .def = 1, .min = 1e-4, .max = 10,
     .scale = OPT_LOG, .search = {0.05, 2}, .help = "shrinks what a round changes"},
    {"algorithm", OPT_ENUM, OPT_AT(config, algorithm), .choices = algorithm_names,
     .help = "classes: rounds give a class, or their odds"},
    {"loss", OPT_ENUM, OPT_AT(config, loss), .choices = loss_names,
     .help = "values: how an error counts against the largest one"},
    {"resample", OPT_BOOL, OPT_AT(config, resample),
     .help = "draw rows by their weights, for a learner that ignores weights"},
    {"early-stopping", OPT_INT, OPT_AT(config, early_stopping), .def = 0, .min = 0,
     .max = MOST_ROUNDS, .unit = "rounds",
     .help = "stop after this many without a better validation; 0: never"},
    {"stop-share", OPT_F64, OPT_AT(config, stop_share), .def = 0.15, .min = 0, .max = 0.9,
     .help = "of the training rows, the last ones, that stop a member early where there are no "
             "validation rows"},
    {"fold-embargo", OPT_INT, OPT_AT(config, fold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after that cut; -1: as many as the longest label spans"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for a member that wants them scaled"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
};

typedef struct adaboost {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t n_outputs, context;
  member_specs spec; /* one */
  series rounds;
  float *scores; /* scratch of predict: (n, k), or (rounds, n) */
  uint32_t *order;
  size_t capacity, order_capacity;
} adaboost;

/* ---- life -------------------------------------------------------------------------------- */

static void adaboost_destroy(learner *l) {
  adaboost *a = (adaboost *)l;
  if (!a) return;
  series_deinit(&a->rounds);
  member_specs_deinit(&a->spec);
  mem_free(a->scores);
  mem_free(a->order);
  mem_free(a);
}

static garam_status adaboost_create(learner **out, const void *c, const learner_shape *shape,
                                    garam_error *err) {
  garam_status status;
  *out = NULL;
  adaboost *a = mem_zalloc(sizeof *a);
  if (!a) return fail_memory(err, sizeof *a);
  a->base.ops = &ensemble_adaboost;
  a->config = *(const config *)c;
  a->scaling = (member_scaling){a->config.scaling, a->config.clip};
  a->shape = *shape;
  a->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  TRY_GOTO(done, member_specs_parse(&a->spec, a->config.member, shape->task, "--member", err));
  if (a->spec.n != 1)
    TRY_GOTO(done, fail(err, GARAM_INVALID, "--member: \"%s\" is %zu learners; adaboost takes one",
                        a->config.member, a->spec.n));
  TRY_GOTO(done, series_probe(&a->context, &a->spec.items[0], shape, err));
  series_init(&a->rounds, &a->spec.items[0], shape, 0);
  *out = &a->base;
  return GARAM_OK;
done:
  adaboost_destroy(&a->base);
  return status;
}

static size_t adaboost_context(const learner *l) {
  return ((const adaboost *)l)->context;
}

static size_t adaboost_parameters(const learner *l) {
  return series_parameters(&((const adaboost *)l)->rounds);
}

/* ---- rounds as one answer ---------------------------------------------------------------- */

static size_t top_of(const float *scores, size_t k) {
  size_t top = 0;
  for (size_t c = 1; c < k; c++)
    if (scores[c] > scores[top]) top = c;
  return top;
}

/* What a round adds to the scores of n rows; `said` (n, k) are its class scores. In the exponential
 * loss of SAMME the odds of the classes are exp(scores). */
static void add_round(const adaboost *a, float *sums, float *said, size_t n, double weight) {
  size_t k = a->n_outputs;
  if (a->config.algorithm == ALGORITHM_SAMME_R) score_log_softmax(said, n, k);
  for (size_t i = 0; i < n; i++, said += k, sums += k) {
    if (a->config.algorithm == ALGORITHM_SAMME) {
      sums[top_of(said, k)] += (float)weight;
      continue;
    }
    double mean = 0;
    for (size_t c = 0; c < k; c++) mean += (double)said[c] / (double)k;
    for (size_t c = 0; c < k; c++) sums[c] += (float)(weight * ((double)said[c] - mean));
  }
}

/* The weighted median of the rounds' values; said[t * stride] of round t. order: scratch (rounds).
 */
static float median_of(const adaboost *a, const float *said, size_t stride, uint32_t *order) {
  size_t n = a->rounds.n;
  double half = 0, sum = 0;
  for (size_t t = 0; t < n; t++) {
    size_t j = t;
    for (; j > 0 && said[order[j - 1] * stride] > said[t * stride]; j--) order[j] = order[j - 1];
    order[j] = (uint32_t)t;
    half += 0.5 * a->rounds.weights[t];
  }
  for (size_t t = 0; t < n; t++) {
    sum += a->rounds.weights[order[t]];
    if (sum >= half) return said[order[t] * stride];
  }
  return said[order[n - 1] * stride];
}

/* ---- fit --------------------------------------------------------------------------------- */

typedef struct fitting {
  adaboost *a;
  const dataset *d;
  row_set train, valid;
  size_t embargo;
  run run;
  double *share;         /* (train.n) of the rows in this round; sums to 1 */
  double *wrong;         /* (train.n) how wrong the round was about a row, 0 to 1 */
  float *weight;         /* (n_rows) */
  float *said, *sums[2]; /* (rows, k); sums over rounds of train and valid rows (classes) */
  float *values[2];      /* values: (rounds, rows) of train and valid rows */
  uint32_t *rows, *order;
  double best_loss;
  size_t best;
} fitting;

static void fitting_deinit(fitting *f) {
  run_deinit(&f->run);
  mem_free(f->share);
  mem_free(f->wrong);
  mem_free(f->weight);
  mem_free(f->said);
  for (int i = 0; i < 2; i++) {
    mem_free(f->sums[i]);
    mem_free(f->values[i]);
  }
  mem_free(f->rows);
  mem_free(f->order);
}

static garam_status fitting_init(fitting *f, garam_error *err) {
  const adaboost *a = f->a;
  size_t n = f->train.n, k = a->n_outputs, most = n > f->valid.n ? n : f->valid.n, size;
  size_t rounds = k == 1 ? (size_t)a->config.rounds : 1;
  if (n == 0) return fail(err, GARAM_INVALID, "adaboost: no rows to train on");
  if (!size_mul(&size, most, rounds * k)) return fail_memory(err, SIZE_MAX);
  f->embargo = a->config.fold_embargo >= 0 ? (size_t)a->config.fold_embargo
                                           : part_label_rows(f->d, f->train);
  f->share = mem_array(n, sizeof *f->share);
  f->wrong = mem_array(n, sizeof *f->wrong);
  f->weight = mem_array(f->d->n_rows, sizeof *f->weight);
  f->said = mem_array(most * k, sizeof *f->said);
  f->rows = mem_array(n, sizeof *f->rows);
  f->order = mem_array((size_t)a->config.rounds, sizeof *f->order);
  for (int i = 0; i < 2; i++) {
    size_t rows = i ? f->valid.n : n;
    f->sums[i] = mem_array(rows * k + 1, sizeof(float));
    f->values[i] = mem_array(k == 1 ? rows * rounds + 1 : 1, sizeof(float));
    if (!f->sums[i] || !f->values[i]) return fail_memory(err, size * sizeof(float));
  }
  if (!f->share || !f->wrong || !f->weight || !f->said || !f->rows || !f->order)
    return fail_memory(err, most * k * sizeof(float));
  double total = 0;
  for (size_t i = 0; i < n; i++)
    total += f->share[i] = f->d->weight ? (double)f->d->weight[f->train.rows[i]] : 1;
  if (!(total > 0))
    return fail(err, GARAM_INVALID, "adaboost: the weights of the training rows sum to zero");
  for (size_t i = 0; i < n; i++) f->share[i] /= total;
  f->best_loss = INFINITY;
  return GARAM_OK;
}

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The rows of a round, with weights that have a mean of 1, as without boosting. */
static garam_status take_rows(fitting *f, int round, size_t *n_taken, garam_error *err) {
  size_t n = f->train.n, taken = 0;
  double *at = NULL;
  for (size_t i = 0; i < f->d->n_rows; i++) f->weight[i] = f->d->weight ? f->d->weight[i] : 1;
  if (f->a->config.resample) { /* n draws, as sorted points on the line of shares */
    rng r;
    rng_init(&r, run_seed(&f->run, round), RNG_BOOTSTRAP, 0);
    at = mem_array(n, sizeof *at);
    if (!at) return fail_memory(err, n * sizeof *at);
    for (size_t i = 0; i < n; i++) at[i] = rng_uniform(&r);
    qsort(at, n, sizeof *at, compare_f64);
  }
  double sum = 0;
  for (size_t i = 0, drawn = 0; i < n; i++) {
    float weight = (float)(f->share[i] * (double)n);
    if (at) {
      size_t before = drawn;
      sum += f->share[i];
      while (drawn < n && (at[drawn] < sum || i + 1 == n)) drawn++;
      weight = (float)(drawn - before);
    }
    if (!(weight > 0)) continue;
    f->weight[f->train.rows[i]] = weight;
    f->rows[taken++] = f->train.rows[i];
  }
  mem_free(at);
  *n_taken = taken;
  return GARAM_OK;
}

/* New shares; false when there is nothing left to boost. *weight is the round's, 0: it is dropped.
 */
static bool boost_classes(fitting *f, double *weight) {
  const config *c = &f->a->config;
  size_t n = f->train.n, k = f->a->n_outputs;
  double error = 0, total = 0, odds = log((double)k - 1);
  *weight = 1;
  if (c->algorithm == ALGORITHM_SAMME_R) score_log_softmax(f->said, n, k);
  for (size_t i = 0; i < n; i++) {
    f->wrong[i] = (int32_t)top_of(f->said + i * k, k) != f->d->y[f->train.rows[i]];
    error += f->share[i] * f->wrong[i];
  }
  if (!(error > 0)) return false; /* all right: its word is enough, as sklearn has it too */
  if (c->algorithm == ALGORITHM_SAMME) {
    *weight = c->learning_rate * (log((1 - error) / error) + odds);
    if (error >= 1 - 1 / (double)k) {
      *weight = 0;
      return false;
    }
  }
  for (size_t i = 0; i < n; i++) {
    double by = *weight * f->wrong[i];
    if (c->algorithm == ALGORITHM_SAMME_R) {
      const float *p = f->said + i * k;
      double mean = 0, own = (double)p[f->d->y[f->train.rows[i]]];
      for (size_t j = 0; j < k; j++) mean += (double)p[j] / (double)k;
      by = -c->learning_rate * (own - mean);
    }
    f->share[i] *= exp(by);
    total += f->share[i];
  }
  for (size_t i = 0; i < n; i++) f->share[i] /= total;
  return isfinite(total) && total > 0;
}

static bool boost_values(fitting *f, double *weight) {
  const config *c = &f->a->config;
  size_t n = f->train.n;
  double most = 0, mean = 0, total = 0;
  *weight = 1;
  for (size_t i = 0; i < n; i++) {
    f->wrong[i] = fabs((double)f->said[i] - (double)f->d->value[f->train.rows[i]]);
    if (f->share[i] > 0 && f->wrong[i] > most) most = f->wrong[i];
  }
  if (!(most > 0)) return false;
  for (size_t i = 0; i < n; i++) {
    double e = f->wrong[i] / most;
    e = c->loss == LOSS_SQUARE ? e * e : c->loss == LOSS_EXPONENTIAL ? 1 - exp(-e) : e;
    f->wrong[i] = e;
    mean += f->share[i] * e;
  }
  if (!(mean > 0)) return false;
  if (mean >= 0.5) {
    *weight = 0;
    return false;
  }
  double beta = mean / (1 - mean);
  *weight = c->learning_rate * log(1 / beta);
  for (size_t i = 0; i < n; i++) {
    f->share[i] *= pow(beta, (1 - f->wrong[i]) * c->learning_rate);
    total += f->share[i];
  }
  for (size_t i = 0; i < n; i++) f->share[i] /= total;
  return isfinite(total) && total > 0;
}

/* What all rounds so far say of train (0) or valid (1) rows, in f->said. */
static garam_status pooled(fitting *f, int part, member *m, double weight, double *loss,
                           double *accuracy, garam_error *err) {
  adaboost *a = f->a;
  row_set rows = part ? f->valid : f->train;
  size_t k = a->n_outputs, n = rows.n;
  *loss = *accuracy = NAN;
  if (n == 0) return GARAM_OK;
  if (k == 1) {
    float *own = f->values[part] + (a->rounds.n - 1) * n;
    TRY(member_predict_rows(m, f->d, rows, own, err));
    for (size_t i = 0; i < n; i++) f->said[i] = median_of(a, f->values[part] + i, n, f->order);
  } else {
    TRY(member_predict_rows(m, f->d, rows, f->said, err));
    add_round(a, f->sums[part], f->said, n, weight);
    memcpy(f->said, f->sums[part], n * k * sizeof *f->said);
    score_log_softmax(f->said, n, k);
  }
  *loss = score_loss(f->d, rows, f->said, k);
  *accuracy = score_accuracy(f->d, rows, f->said, k);
  return GARAM_OK;
}

static garam_status fit_round(fitting *f, int round, bool *more, garam_error *err) {
  adaboost *a = f->a;
  size_t n_taken = 0;
  member *m;
  double weight, train_loss, valid_loss, accuracy, valid_accuracy;
  TRY(take_rows(f, round, &n_taken, err));
  TRY(series_add(&m, &a->rounds, NULL, err));
  dataset view = *f->d;
  view.weight = f->weight;
  TRY(run_member_cut(&f->run, m, &a->spec.items[0], &view, (row_set){f->rows, n_taken}, f->valid,
                     &a->scaling, a->config.stop_share, f->embargo, err));
  TRY(member_predict_rows(m, f->d, f->train, f->said, err));
  *more = a->n_outputs == 1 ? boost_values(f, &weight) : boost_classes(f, &weight);
  if (weight == 0 && round == 0) {
    weight = 1; /* no better than chance: it is all there is */
    log_warning("adaboost: the first round of \"%s\" is no better than chance; it stands alone",
                a->spec.items[0].text);
  }
  if (!(weight > 0)) { /* this round made nothing better: the ones before stand */
    series_cut(&a->rounds, a->rounds.n - 1);
    run_unit_done(&f->run, NAN, NAN, NAN, false);
    return GARAM_OK;
  }
  a->rounds.weights[a->rounds.n - 1] = weight;
  TRY(pooled(f, 0, m, weight, &train_loss, &accuracy, err));
  TRY(pooled(f, 1, m, weight, &valid_loss, &valid_accuracy, err));
  bool stops = a->config.early_stopping > 0 && f->valid.n > 0;
  bool best = !stops || valid_loss < f->best_loss;
  if (best) {
    f->best = a->rounds.n;
    f->best_loss = valid_loss;
  }
  run_unit_done(&f->run, train_loss, valid_loss, valid_accuracy, best);
  *more = *more && !(stops && a->rounds.n - f->best >= (size_t)a->config.early_stopping);
  return GARAM_OK;
}

static garam_status adaboost_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                 const fit_context *fit, fit_summary *summary, garam_error *err) {
  adaboost *a = (adaboost *)l;
  fitting f = {.a = a, .d = d, .train = train, .valid = valid};
  garam_status status;
  bool more = true;
  if (summary) *summary = (fit_summary){0};
  series_cut(&a->rounds, 0);
  TRY(run_begin(&f.run, &ensemble_adaboost, &a->config, d, train, valid, fit,
                (size_t)a->config.rounds, err));
  TRY_GOTO(done, fitting_init(&f, err));
  for (int round = 0; round < a->config.rounds && more; round++)
    TRY_GOTO(done, fit_round(&f, round, &more, err));
  series_cut(&a->rounds, f.best);
  run_end(&f.run, summary, (int)f.best, f.best_loss, series_parameters(&a->rounds));
done:
  fitting_deinit(&f);
  return status;
}

/* ---- predict, save, load ----------------------------------------------------------------- */

static garam_status adaboost_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                     float *out, garam_error *err) {
  adaboost *a = (adaboost *)l;
  size_t k = a->n_outputs, rounds = a->rounds.n, size;
  if (!size_mul(&size, n, k == 1 ? rounds : k)) return fail_memory(err, SIZE_MAX);
  TRY(mem_grow(&a->scores, &a->capacity, size, sizeof *a->scores, err));
  TRY(mem_grow(&a->order, &a->order_capacity, rounds, sizeof *a->order, err));
  memset(out, 0, n * k * sizeof *out);
  for (size_t t = 0; t < rounds; t++) {
    float *said = k == 1 ? a->scores + t * n : a->scores;
    TRY(member_predict(&a->rounds.items[t], x, begin, n, a->context, said, err));
    if (k > 1) add_round(a, out, said, n, a->rounds.weights[t]);
  }
  for (size_t i = 0; k == 1 && i < n; i++) out[i] = median_of(a, a->scores + i, n, a->order);
  return GARAM_OK;
}

static garam_status adaboost_save(const learner *l, package_writer *w, const char *prefix,
                                  garam_error *err) {
  return series_save(&((const adaboost *)l)->rounds, w, prefix, err);
}

static garam_status adaboost_load(learner **out, const void *c, const learner_shape *shape,
                                  package_reader *r, const char *prefix, garam_error *err) {
  TRY(adaboost_create(out, c, shape, err));
  adaboost *a = (adaboost *)*out;
  garam_status status =
      series_load(&a->rounds, (size_t)a->config.rounds, a->context, &a->scaling, r, prefix, err);
  if (status != GARAM_OK) {
    adaboost_destroy(*out);
    *out = NULL;
  }
  return status;
}

const learner_ops ensemble_adaboost = {
    .name = "adaboost",
    .summary = "AdaBoost over any learner: SAMME, SAMME.R, and R2 for values",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = adaboost_create,
    .destroy = adaboost_destroy,
    .context = adaboost_context,
    .fit = adaboost_fit,
    .predict = adaboost_predict,
    .save = adaboost_save,
    .load = adaboost_load,
    .parameters = adaboost_parameters,
};
