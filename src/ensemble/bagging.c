/* Bagging (Breiman 1996) and pasting of any learner: each member learns from its own draw of the
 * rows, and of the features (Ho 1998), and the mean of them predicts. Where labels overlap the draw
 * is one of blocks, or sequential (learn/bootstrap.h), and a row is judged out of bag only by
 * members that saw no label that meets its own: with draws of single rows there would be hardly
 * one.
 *
 * The curve is over members: its training loss is the loss out of bag. */
#include "ensemble/ensemble.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ensemble/part.h"
#include "ensemble/run.h"
#include "ensemble/score.h"
#include "ensemble/series.h"
#include "learn/bootstrap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BAGS = 10000, OOB_LOSS = 0, OOB_ACCURACY, OOB_SHARE, N_OOB };

typedef struct config {
  char member[SPEC_TEXT_MAX];
  int bags, bootstrap, block, fold_embargo, scaling;
  double sample_share, feature_share, stop_share, clip;
  bool replacement, uniqueness;
} config;

static const opt_row options[] = {
    {"member", OPT_STRING, OPT_AT(config, member), .def_text = "linear",
     .help = "a learner, with its settings: mlp:small,hidden=32"},
    {"bags", OPT_INT, OPT_AT(config, bags), .def = 10, .min = 1, .max = MOST_BAGS, .scale = OPT_LOG,
     .search = {5, 100}, .help = "members, each with a draw of its own"},
    {"bootstrap", OPT_ENUM, OPT_AT(config, bootstrap), .choices = bootstrap_names,
     .help = "how rows are drawn; auto: blocks where labels overlap, else single rows"},
    {"block", OPT_INT, OPT_AT(config, block), .def = 0, .min = 0, .max = 100000000, .unit = "rows",
     .help = "of one block; 0: four times the longest label, at least the cube root of the rows"},
    {"sample-share", OPT_F64, OPT_AT(config, sample_share), .def = 1, .min = 0.001, .max = 10,
     .search = {0.3, 1}, .help = "of the number of rows, in one draw"},
    {"replacement", OPT_BOOL, OPT_AT(config, replacement), .def = 1,
     .help = "a row may be drawn more than once; without it is pasting"},
    {"feature-share", OPT_F64, OPT_AT(config, feature_share), .def = 1, .min = 0.001, .max = 1,
     .search = {0.3, 1}, .help = "of the features, that a member sees"},
    {"uniqueness", OPT_BOOL, OPT_AT(config, uniqueness),
     .help = "weighs rows by how unique their labels are in time"},
    {"stop-share", OPT_F64, OPT_AT(config, stop_share), .def = 0.15, .min = 0, .max = 0.9,
     .help = "of a draw, the last rows, that stop a member early where there are no validation "
             "rows"},
    {"fold-embargo", OPT_INT, OPT_AT(config, fold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after that cut; -1: as many as the longest label spans"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for a member that wants them scaled"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
};

typedef struct bagging {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t n_outputs, context, n_features; /* n_features: of one member; 0: all */
  member_specs spec;                     /* one */
  series bags;
  double oob[N_OOB];
  float *scores; /* scratch of predict */
  size_t capacity;
} bagging;

/* ---- life -------------------------------------------------------------------------------- */

static void bagging_destroy(learner *l) {
  bagging *b = (bagging *)l;
  if (!b) return;
  series_deinit(&b->bags);
  member_specs_deinit(&b->spec);
  mem_free(b->scores);
  mem_free(b);
}

static garam_status bagging_create(learner **out, const void *c, const learner_shape *shape,
                                   garam_error *err) {
  garam_status status;
  *out = NULL;
  bagging *b = mem_zalloc(sizeof *b);
  if (!b) return fail_memory(err, sizeof *b);
  b->base.ops = &ensemble_bagging;
  b->config = *(const config *)c;
  b->scaling = (member_scaling){b->config.scaling, b->config.clip};
  b->shape = *shape;
  b->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  for (int i = 0; i < N_OOB; i++) b->oob[i] = NAN;
  TRY_GOTO(done, member_specs_parse(&b->spec, b->config.member, shape->task, "--member", err));
  if (b->spec.n != 1)
    TRY_GOTO(done, fail(err, GARAM_INVALID, "--member: \"%s\" is %zu learners; bagging takes one",
                        b->config.member, b->spec.n));
  if (b->config.feature_share < 1) {
    double n = floor(b->config.feature_share * (double)shape->n_features + 0.5);
    b->n_features = n < 1 ? 1 : (size_t)n;
  }
  TRY_GOTO(done, series_probe(&b->context, &b->spec.items[0], shape, err));
  series_init(&b->bags, &b->spec.items[0], shape, b->n_features);
  *out = &b->base;
  return GARAM_OK;
done:
  bagging_destroy(&b->base);
  return status;
}

static size_t bagging_context(const learner *l) {
  return ((const bagging *)l)->context;
}

static size_t bagging_parameters(const learner *l) {
  return series_parameters(&((const bagging *)l)->bags);
}

/* ---- fit --------------------------------------------------------------------------------- */

typedef struct fitting {
  bagging *b;
  const dataset *d;
  row_set train, valid;
  size_t embargo;
  run run;
  bootstrap *draws;
  double *unique;              /* (train.n) or NULL */
  float *weight;               /* (n_rows) of the draw under way */
  uint32_t *counts, *rows;     /* (train.n) */
  uint8_t *unseen;             /* (train.n) */
  uint32_t *judges, *features; /* (train.n) bags that a row was out of; (n_features) */
  float *oob, *pooled, *said;  /* sums: (train.n, k), (valid.n, k); scratch (rows, k) */
} fitting;

static void fitting_deinit(fitting *f) {
  run_deinit(&f->run);
  bootstrap_free(f->draws);
  mem_free(f->unique);
  mem_free(f->weight);
  mem_free(f->counts);
  mem_free(f->rows);
  mem_free(f->unseen);
  mem_free(f->judges);
  mem_free(f->features);
  mem_free(f->oob);
  mem_free(f->pooled);
  mem_free(f->said);
}

static garam_status fitting_init(fitting *f, garam_error *err) {
  const config *c = &f->b->config;
  size_t n = f->train.n, k = f->b->n_outputs, most = n > f->valid.n ? n : f->valid.n;
  const bootstrap_config draws = {.kind = c->bootstrap,
                                  .share = c->sample_share,
                                  .replacement = c->replacement,
                                  .block = (size_t)c->block};
  if (n == 0) return fail(err, GARAM_INVALID, "bagging: no rows to train on");
  TRY(bootstrap_new(&f->draws, &draws, f->d, f->train, err));
  f->embargo = c->fold_embargo >= 0 ? (size_t)c->fold_embargo : part_label_rows(f->d, f->train);
  f->weight = mem_array(f->d->n_rows, sizeof *f->weight);
  f->counts = mem_array(n, sizeof *f->counts);
  f->rows = mem_array(n, sizeof *f->rows);
  f->unseen = mem_array(n, 1);
  f->judges = mem_array(n, sizeof *f->judges);
  f->features = mem_array(f->d->n_features, sizeof *f->features);
  f->oob = mem_array(n * k, sizeof *f->oob);
  f->pooled = mem_array(f->valid.n * k + 1, sizeof *f->pooled);
  f->said = mem_array(most * k, sizeof *f->said);
  if (!f->weight || !f->counts || !f->rows || !f->unseen || !f->judges || !f->features || !f->oob ||
      !f->pooled || !f->said)
    return fail_memory(err, most * k * sizeof *f->said);
  if (!c->uniqueness) return GARAM_OK;
  f->unique = mem_array(n, sizeof *f->unique);
  if (!f->unique) return fail_memory(err, n * sizeof *f->unique);
  return bootstrap_uniqueness(f->unique, f->d, f->train, err);
}

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void draw_features(fitting *f, uint64_t seed) {
  rng r;
  rng_init(&r, seed, RNG_ENSEMBLE, 0);
  for (size_t j = 0; j < f->d->n_features; j++) f->features[j] = (uint32_t)j;
  rng_shuffle(&r, f->features, f->d->n_features);
  qsort(f->features, f->b->n_features, sizeof *f->features, compare_u32);
}

/* Rows of the draw, with their weights; other rows keep theirs. */
static size_t take_draw(fitting *f) {
  size_t n = 0;
  for (size_t i = 0; i < f->d->n_rows; i++) f->weight[i] = f->d->weight ? f->d->weight[i] : 1;
  for (size_t i = 0; i < f->train.n; i++) {
    uint32_t row = f->train.rows[i];
    if (f->counts[i] == 0) continue;
    f->weight[row] *= (float)f->counts[i] * (f->unique ? (float)f->unique[i] : 1);
    f->rows[n++] = row;
  }
  return n;
}

/* Loss of the mean out of bag, over rows that some member is a judge of. */
static void judge(fitting *f) {
  size_t k = f->b->n_outputs, n = 0, hits = 0;
  double sum = 0, weights = 0;
  for (size_t i = 0; i < f->train.n; i++) {
    uint32_t row = f->train.rows[i];
    float *p = f->said + n * k;
    if (f->judges[i] == 0) continue;
    for (size_t c = 0; c < k; c++) p[c] = f->oob[i * k + c] / (float)f->judges[i];
    score_pool_end(p, k, k > 1);
    double w = f->d->weight ? (double)f->d->weight[row] : 1;
    size_t top = 0;
    for (size_t c = 1; c < k; c++)
      if (p[c] > p[top]) top = c;
    hits += k > 1 && (int32_t)top == f->d->y[row];
    sum += w * score_row_loss(f->d, row, p, k);
    weights += w;
    n++;
  }
  double *oob = f->b->oob;
  oob[OOB_LOSS] = weights > 0 ? sum / weights : NAN;
  oob[OOB_ACCURACY] = k > 1 && n > 0 ? (double)hits / (double)n : NAN;
  oob[OOB_SHARE] = (double)n / (double)f->train.n;
}

static garam_status predict_unseen(fitting *f, member *m, garam_error *err) {
  size_t k = f->b->n_outputs, n = 0;
  bootstrap_unseen(f->unseen, f->draws, f->counts);
  for (size_t i = 0; i < f->train.n; i++)
    if (f->unseen[i]) f->rows[n++] = f->train.rows[i];
  TRY(member_predict_rows(m, f->d, (row_set){f->rows, n}, f->said, err));
  if (k > 1) score_log_softmax(f->said, n, k);
  n = 0;
  for (size_t i = 0; i < f->train.n; i++) {
    if (!f->unseen[i]) continue;
    score_pool_add(f->oob + i * k, f->said + k * n++, k, 1, k > 1);
    f->judges[i]++;
  }
  return GARAM_OK;
}

static garam_status fit_bag(fitting *f, int bag, garam_error *err) {
  bagging *b = f->b;
  size_t k = b->n_outputs, size = f->valid.n * k;
  double valid_loss = NAN, valid_accuracy = NAN;
  member *m;
  TRY(bootstrap_draw(f->counts, f->draws, f->run.fit->seed, (uint64_t)bag, err));
  if (b->n_features) draw_features(f, run_seed(&f->run, bag));
  TRY(series_add(&m, &b->bags, f->features, err));
  dataset view = *f->d;
  row_set drawn = {f->rows, take_draw(f)};
  view.weight = f->weight;
  TRY(run_member_cut(&f->run, m, &b->spec.items[0], &view, drawn, f->valid, &b->scaling,
                     b->config.stop_share, f->embargo, err));
  TRY(predict_unseen(f, m, err));
  judge(f);
  if (f->valid.n > 0) {
    TRY(member_predict_rows(m, f->d, f->valid, f->said, err));
    if (k > 1) score_log_softmax(f->said, f->valid.n, k);
    score_pool_add(f->pooled, f->said, size, 1, k > 1);
    for (size_t i = 0; i < size; i++) f->said[i] = f->pooled[i] / (float)(bag + 1);
    score_pool_end(f->said, size, k > 1);
    valid_loss = score_loss(f->d, f->valid, f->said, k);
    valid_accuracy = score_accuracy(f->d, f->valid, f->said, k);
  }
  run_unit_done(&f->run, b->oob[OOB_LOSS], valid_loss, valid_accuracy, bag + 1 == b->config.bags);
  return GARAM_OK;
}

static garam_status bagging_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                const fit_context *fit, fit_summary *summary, garam_error *err) {
  bagging *b = (bagging *)l;
  fitting f = {.b = b, .d = d, .train = train, .valid = valid};
  garam_status status;
  if (summary) *summary = (fit_summary){0};
  series_cut(&b->bags, 0);
  TRY(run_begin(&f.run, &ensemble_bagging, &b->config, d, train, valid, fit, (size_t)b->config.bags,
                err));
  TRY_GOTO(done, fitting_init(&f, err));
  for (int bag = 0; bag < b->config.bags; bag++) TRY_GOTO(done, fit_bag(&f, bag, err));
  for (size_t i = 0; i < b->bags.n; i++) b->bags.weights[i] = 1 / (double)b->bags.n;
  log_info("bagging: draws of %s; out of bag, for %.1f %% of the rows: loss %.6f, accuracy %.4f",
           bootstrap_names[bootstrap_resolved(f.draws)], 100 * b->oob[OOB_SHARE], b->oob[OOB_LOSS],
           b->oob[OOB_ACCURACY]);
  run_end(&f.run, summary, b->config.bags, f.run.valid_loss[b->config.bags - 1],
          series_parameters(&b->bags));
done:
  fitting_deinit(&f);
  return status;
}

/* ---- predict, save, load ----------------------------------------------------------------- */

static garam_status bagging_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                    float *out, garam_error *err) {
  bagging *b = (bagging *)l;
  size_t k = b->n_outputs, size;
  if (!size_mul(&size, n, k)) return fail_memory(err, SIZE_MAX);
  TRY(mem_grow(&b->scores, &b->capacity, size, sizeof *b->scores, err));
  memset(out, 0, size * sizeof *out);
  for (size_t i = 0; i < b->bags.n; i++) {
    TRY(member_predict(&b->bags.items[i], x, begin, n, b->context, b->scores, err));
    if (k > 1) score_log_softmax(b->scores, n, k);
    score_pool_add(out, b->scores, size, b->bags.weights[i], k > 1);
  }
  score_pool_end(out, size, k > 1);
  return GARAM_OK;
}

/* Out-of-bag loss, accuracy and share of rows are in the package; NaN where there are none. */
static garam_status bagging_save(const learner *l, package_writer *w, const char *prefix,
                                 garam_error *err) {
  const bagging *b = (const bagging *)l;
  char name[128];
  int64_t n = N_OOB;
  TRY(series_save(&b->bags, w, prefix, err));
  snprintf(name, sizeof name, "%soob", prefix);
  return package_add(w, name, PACKAGE_F64, 1, &n, b->oob, err);
}

static garam_status bagging_load(learner **out, const void *c, const learner_shape *shape,
                                 package_reader *r, const char *prefix, garam_error *err) {
  char name[128];
  const package_tensor *oob;
  int64_t n = N_OOB;
  TRY(bagging_create(out, c, shape, err));
  bagging *b = (bagging *)*out;
  garam_status status =
      series_load(&b->bags, (size_t)b->config.bags, b->context, &b->scaling, r, prefix, err);
  snprintf(name, sizeof name, "%soob", prefix);
  if (status == GARAM_OK) status = package_get(&oob, r, name, PACKAGE_F64, 1, &n, err);
  if (status == GARAM_OK) memcpy(b->oob, oob->data, sizeof b->oob);
  if (status != GARAM_OK) {
    bagging_destroy(*out);
    *out = NULL;
  }
  return status;
}

const learner_ops ensemble_bagging = {
    .name = "bagging",
    .summary = "one learner many times, each on its own draw of rows and features",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = bagging_create,
    .destroy = bagging_destroy,
    .context = bagging_context,
    .fit = bagging_fit,
    .predict = bagging_predict,
    .save = bagging_save,
    .load = bagging_load,
    .parameters = bagging_parameters,
};
