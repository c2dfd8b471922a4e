/* Stacking (Wolpert 1992; Breiman 1996): what the members say of rows that they have not seen is
 * what a second learner learns from. The folds are purged and embargoed, so that no member predicts
 * a row whose label overlaps one it was trained on; what stops a member early is cut off inside its
 * own training part, purged as well. With --out-of-fold holdout it is blending; with --meta greedy,
 * ensemble selection (Caruana et al. 2004).
 *
 * Layers above the first read the row's features beside what the layer below says of it. */
#include "ensemble/ensemble.h"

#include "base/log.h"
#include "base/mem.h"
#include "ensemble/part.h"
#include "ensemble/run.h"
#include "ensemble/score.h"
#include "ensemble/weigh.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LAYERS = 4, MOST_FOLDS = 100, PREFIX_MAX = 96 };

typedef struct config {
  char members[SPEC_TEXT_MAX], meta[SPEC_TEXT_MAX];
  int out_of_fold, folds, fold_embargo, layers, meta_features, refit;
  int greedy_rounds, greedy_bags, scaling;
  double holdout_share, stop_share, clip;
  bool pass_through;
} config;

enum { FEATURES_LOGITS, FEATURES_PROBABILITIES };
enum { REFIT_ALL, REFIT_FOLDS };
static const char *const meta_feature_names[] = {"logits", "probabilities", NULL};
static const char *const refit_names[] = {"all", "folds", NULL};

static const opt_row options[] = {
    {"members", OPT_STRING, OPT_AT(config, members), .def_text = "linear,mlp:small",
     .help = "learners, with their settings: linear,mlp:small,hidden=32"},
    {"meta", OPT_STRING, OPT_AT(config, meta), .def_text = "linear",
     .help = "what learns from them: a learner as in --members, or weights that are not negative: "
             "convex, greedy, loss, uniform"},
    {"out-of-fold", OPT_ENUM, OPT_AT(config, out_of_fold), .choices = part_kind_names,
     .help = "which rows members predict unseen: every block, those after the first, or the last"},
    {"folds", OPT_INT, OPT_AT(config, folds), .def = 5, .min = 2, .max = MOST_FOLDS,
     .search = {3, 10}, .help = "blocks in time; shuffled and stratified without times"},
    {"holdout-share", OPT_F64, OPT_AT(config, holdout_share), .def = 0.3, .min = 0.01, .max = 0.9,
     .help = "of the rows, the last ones, that holdout predicts"},
    {"fold-embargo", OPT_INT, OPT_AT(config, fold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after a block; -1: as many as the longest label spans"},
    {"stop-share", OPT_F64, OPT_AT(config, stop_share), .def = 0.15, .min = 0, .max = 0.9,
     .help =
         "of a member's training rows, the last ones, that stop it early; 0: it runs its course"},
    {"layers", OPT_INT, OPT_AT(config, layers), .def = 1, .min = 1, .max = MOST_LAYERS,
     .help = "of members; those above the first take the members that read one row"},
    {"pass-through", OPT_BOOL, OPT_AT(config, pass_through),
     .help = "the meta-learner reads the row's features too"},
    {"meta-features", OPT_ENUM, OPT_AT(config, meta_features), .choices = meta_feature_names,
     .help = "what of a member's odds is read"},
    {"refit", OPT_ENUM, OPT_AT(config, refit), .choices = refit_names,
     .help = "what predicts in the end: members fitted to all rows, or the mean of the folds'"},
    {"greedy-rounds", OPT_INT, OPT_AT(config, greedy_rounds), .def = 100, .min = 1, .max = 10000,
     .help = "members that --meta greedy takes at most, with replacement"},
    {"greedy-bags", OPT_INT, OPT_AT(config, greedy_bags), .def = 1, .min = 1, .max = 1000,
     .help = "random halves of the members that it chooses from; 1: all of them"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for members that want them scaled, by their own training rows"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
};

typedef struct layer {
  const member_spec **specs; /* (n) borrowed */
  member *members;           /* (n, models) */
  size_t n, made;            /* made: members that are there */
  learner_shape shape;       /* that they see */
} layer;

typedef struct stack {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t n_outputs, odds, models, context; /* odds: columns a member gives to the next layer */
  member_specs specs, meta_spec;
  layer layers[MOST_LAYERS];
  size_t n_layers;
  int weighting; /* weigh_kind; -1: the meta-learner */
  member meta;
  bool has_meta;
  double *weights; /* (members of the last layer) */

  float *scores, *pooled, *said, *input; /* scratch of predict, for n rows */
  size_t scores_capacity, pooled_capacity, said_capacity, input_capacity;
} stack;

/* ---- life -------------------------------------------------------------------------------- */

static const layer *last_layer(const stack *s) {
  return &s->layers[s->n_layers - 1];
}

static void stack_destroy(learner *l) {
  stack *s = (stack *)l;
  if (!s) return;
  for (size_t i = 0; i < s->n_layers; i++) {
    for (size_t j = 0; j < s->layers[i].made; j++) member_deinit(&s->layers[i].members[j]);
    mem_free(s->layers[i].members);
    mem_free(s->layers[i].specs);
  }
  if (s->has_meta) member_deinit(&s->meta);
  member_specs_deinit(&s->specs);
  member_specs_deinit(&s->meta_spec);
  mem_free(s->weights);
  mem_free(s->scores);
  mem_free(s->pooled);
  mem_free(s->said);
  mem_free(s->input);
  mem_free(s);
}

static garam_status parse(stack *s, garam_error *err) {
  TRY(member_specs_parse(&s->specs, s->config.members, s->shape.task, "--members", err));
  s->weighting = -1;
  for (int i = 0; weigh_names[i]; i++)
    if (strcmp(s->config.meta, weigh_names[i]) == 0) s->weighting = i;
  if (s->weighting >= 0) {
    if (s->config.pass_through)
      return fail(err, GARAM_INVALID, "--pass-through: the weights of --meta %s read no features",
                  s->config.meta);
    return GARAM_OK;
  }
  TRY(member_specs_parse(&s->meta_spec, s->config.meta, s->shape.task, "--meta", err));
  if (s->meta_spec.n != 1)
    return fail(err, GARAM_INVALID, "--meta: \"%s\" is %zu learners; it takes one", s->config.meta,
                s->meta_spec.n);
  return GARAM_OK;
}

/* Everything but the members themselves. */
static garam_status stack_new(stack **out, const void *c, const learner_shape *shape,
                              garam_error *err) {
  stack *s = mem_zalloc(sizeof *s);
  garam_status status;
  *out = NULL;
  if (!s) return fail_memory(err, sizeof *s);
  s->base.ops = &ensemble_stack;
  s->config = *(const config *)c;
  s->scaling = (member_scaling){s->config.scaling, s->config.clip};
  s->shape = *shape;
  s->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  s->odds = s->n_outputs == 2 ? 1 : s->n_outputs;
  TRY_GOTO(done, parse(s, err));
  s->models = s->config.refit == REFIT_ALL            ? 1
              : s->config.out_of_fold == PART_HOLDOUT ? 1
                                                      : (size_t)s->config.folds;
  s->weights = mem_array(s->specs.n, sizeof *s->weights);
  if (!s->weights) TRY_GOTO(done, fail_memory(err, s->specs.n * sizeof *s->weights));
  *out = s;
  s = NULL;
done:
  stack_destroy(s ? &s->base : NULL);
  return status;
}

static void prefix_of(char out[PREFIX_MAX], const stack *s, const char *prefix, size_t level,
                      size_t i, size_t model) {
  if (s->models == 1) snprintf(out, PREFIX_MAX, "%sl%zu.m%zu.", prefix, level, i);
  else snprintf(out, PREFIX_MAX, "%sl%zu.m%zu.f%zu.", prefix, level, i, model);
}

/* The next layer: of all members, or above the first of those that read one row. From the reader,
 * or new. */
static garam_status add_layer(stack *s, package_reader *r, const char *prefix, garam_error *err) {
  size_t level = s->n_layers;
  layer *v = &s->layers[s->n_layers++];
  char full[PREFIX_MAX];
  v->shape = s->shape;
  if (level > 0) v->shape.n_features += s->layers[level - 1].n * s->odds;
  v->specs = mem_array(s->specs.n, sizeof *v->specs);
  v->members = mem_array(s->specs.n * s->models, sizeof *v->members);
  if (!v->specs || !v->members) return fail_memory(err, s->specs.n * s->models * sizeof(member));
  for (size_t i = 0; i < s->specs.n; i++)
    if (level == 0 || s->layers[0].members[i * s->models].context == 1)
      v->specs[v->n++] = &s->specs.items[i];
  if (v->n == 0)
    return fail(err, GARAM_INVALID,
                "--layers: no member of \"%s\" reads one row, as those above "
                "the first layer do",
                s->config.members);
  for (size_t i = 0; i < v->n; i++)
    for (size_t k = 0; k < s->models; k++, v->made++) {
      member *m = &v->members[v->made];
      prefix_of(full, s, prefix, level, i, k);
      garam_status status = r ? member_load(m, v->specs[i], &v->shape, 0, &s->scaling, r, full, err)
                              : member_init(m, v->specs[i], &v->shape, NULL, 0, err);
      if (status != GARAM_OK) return fail_within(err, status, "stack: %s", v->specs[i]->text);
      if (m->context > s->context) s->context = m->context;
      if (level > 0 && m->context != 1)
        return fail(err, GARAM_INVALID, "stack: %s reads %zu rows above the first layer",
                    v->specs[i]->text, m->context);
    }
  return GARAM_OK;
}

static learner_shape meta_shape(const stack *s) {
  learner_shape shape = s->shape;
  shape.n_features =
      last_layer(s)->n * s->odds + (s->config.pass_through ? s->shape.n_features : 0);
  return shape;
}

static garam_status add_meta(stack *s, package_reader *r, const char *prefix, garam_error *err) {
  char full[PREFIX_MAX];
  if (s->weighting >= 0) return GARAM_OK;
  learner_shape shape = meta_shape(s);
  snprintf(full, sizeof full, "%smeta.", prefix);
  const member_spec *spec = &s->meta_spec.items[0];
  garam_status status = r ? member_load(&s->meta, spec, &shape, 0, &s->scaling, r, full, err)
                          : member_init(&s->meta, spec, &shape, NULL, 0, err);
  if (status != GARAM_OK) return fail_within(err, status, "stack: --meta %s", spec->text);
  s->has_meta = true;
  if (s->meta.context == 1) return GARAM_OK;
  return fail(err, GARAM_INVALID, "--meta: %s reads %zu rows; a meta-learner reads one", spec->text,
              s->meta.context);
}

static garam_status stack_create(learner **out, const void *c, const learner_shape *shape,
                                 garam_error *err) {
  stack *s;
  garam_status status;
  *out = NULL;
  TRY(stack_new(&s, c, shape, err));
  for (int i = 0; i < s->config.layers; i++) TRY_GOTO(done, add_layer(s, NULL, "", err));
  TRY_GOTO(done, add_meta(s, NULL, "", err));
  *out = &s->base;
  return GARAM_OK;
done:
  stack_destroy(&s->base);
  return status;
}

static size_t stack_context(const learner *l) {
  return ((const stack *)l)->context;
}

static size_t stack_parameters(const learner *l) {
  const stack *s = (const stack *)l;
  size_t n = s->has_meta ? s->meta.ops->parameters(s->meta.learner) : last_layer(s)->n;
  for (size_t i = 0; i < s->n_layers; i++)
    for (size_t j = 0; j < s->layers[i].made; j++)
      n += s->layers[i].members[j].ops->parameters(s->layers[i].members[j].learner);
  return n;
}

/* ---- what a member says to the next layer ------------------------------------------------ */

static bool is_classes(const stack *s) {
  return s->n_outputs > 1;
}

/* From log-probabilities (K), or a value: `odds` columns. */
static void odds_of(const stack *s, float *out, const float *said) {
  const float most = 12; /* odds of 160,000 to 1: beyond that it is a member's vanity */
  size_t k = s->n_outputs;
  if (k == 1) {
    out[0] = said[0];
  } else if (s->config.meta_features == FEATURES_PROBABILITIES) {
    for (size_t c = 0; c < s->odds; c++) out[c] = expf(said[k == 2 ? 1 : c]);
  } else if (k == 2) {
    float z = said[1] - said[0];
    out[0] = z > most ? most : z < -most ? -most : z;
  } else {
    float mean = 0;
    for (size_t c = 0; c < k; c++) mean += said[c] / (float)k;
    for (size_t c = 0; c < k; c++) {
      float z = said[c] - mean;
      out[c] = z > most ? most : z < -most ? -most : z;
    }
  }
}

/* The odds of every member, side by side, after `skip` features. */
static void fill_odds(const stack *s, float *out, size_t skip, const float *said, size_t stride,
                      size_t n_members) {
  for (size_t i = 0; i < n_members; i++) odds_of(s, out + skip + i * s->odds, said + i * stride);
}

/* ---- fit --------------------------------------------------------------------------------- */

typedef struct fitting {
  stack *s;
  const dataset *d; /* raw */
  row_set train, valid;
  size_t embargo;
  run run;
  fold *folds; /* (n_folds) of the layer under way */
  size_t n_folds;
  uint32_t *available, *covered; /* rows of train that the layer has inputs for; that it predicted
                                    unseen */
  size_t n_available, n_covered;
  float *said[MOST_LAYERS]; /* (members, n_rows, K) of each layer: unseen, and of valid rows */
  dataset input;            /* of the layer under way: its x is owned above the first */
  float *input_x;
} fitting;

static void folds_deinit(fitting *f) {
  for (size_t k = 0; k < f->n_folds; k++) fold_deinit(&f->folds[k]);
  f->n_folds = 0;
}

static void fitting_deinit(fitting *f) {
  folds_deinit(f);
  run_deinit(&f->run);
  mem_free(f->folds);
  mem_free(f->available);
  mem_free(f->covered);
  for (size_t i = 0; i < MOST_LAYERS; i++) mem_free(f->said[i]);
  mem_free(f->input_x);
}

/* Fits m to train rows of d; what stops it early comes from within them, or from `valid`. */
static garam_status fit_inside(fitting *f, member *m, const member_spec *spec, const dataset *d,
                               row_set train, row_set valid, garam_error *err) {
  return run_member_cut(&f->run, m, spec, d, train, valid, &f->s->scaling, f->s->config.stop_share,
                        f->embargo, err);
}

/* What m says of rows, into the layer's block for member i; its share of a mean over folds. */
static garam_status say(fitting *f, size_t level, size_t i, member *m, row_set rows, double share,
                        float *scratch, garam_error *err) {
  const stack *s = f->s;
  size_t k = s->n_outputs;
  float *block = f->said[level] + i * f->d->n_rows * k;
  TRY(member_predict_rows(m, &f->input, rows, scratch, err));
  if (is_classes(s)) score_log_softmax(scratch, rows.n, k);
  for (size_t j = 0; j < rows.n; j++) {
    float *to = block + rows.rows[j] * k;
    if (share == 1) memcpy(to, scratch + j * k, k * sizeof *to);
    else score_pool_add(to, scratch + j * k, k, share, is_classes(s));
  }
  return GARAM_OK;
}

/* Predictions of rows out of a member's block, side by side. */
static void said_of(const fitting *f, size_t level, size_t i, row_set rows, float *out) {
  size_t k = f->s->n_outputs;
  const float *block = f->said[level] + i * f->d->n_rows * k;
  for (size_t j = 0; j < rows.n; j++)
    memcpy(out + j * k, block + rows.rows[j] * k, k * sizeof *out);
}

static garam_status fit_member(fitting *f, size_t level, size_t i, float *scratch,
                               garam_error *err) {
  stack *s = f->s;
  layer *v = &s->layers[level];
  const row_set none = {0}, covered = {f->covered, f->n_covered};
  bool keep = s->config.refit == REFIT_FOLDS;
  size_t k = s->n_outputs;
  for (size_t j = 0; j < f->n_folds; j++) {
    const fold *one = &f->folds[j];
    member own = {0}, *m = keep ? &v->members[i * s->models + j] : &own;
    if (!keep) TRY(member_init(m, v->specs[i], &v->shape, NULL, 0, err));
    garam_status status = fit_inside(f, m, v->specs[i], &f->input, one->train, none, err);
    if (status == GARAM_OK) status = say(f, level, i, m, one->test, 1, scratch, err);
    if (status == GARAM_OK && keep && f->valid.n > 0)
      status = say(f, level, i, m, f->valid, 1 / (double)f->n_folds, scratch, err);
    if (!keep) member_deinit(&own);
    TRY(status);
    said_of(f, level, i, one->test, scratch);
    run_unit_done(&f->run, NAN, score_loss(f->d, one->test, scratch, k),
                  score_accuracy(f->d, one->test, scratch, k), false);
  }
  said_of(f, level, i, covered, scratch);
  log_info("stack: layer %zu, %s: out-of-fold loss %.6f", level + 1, v->specs[i]->text,
           score_loss(f->d, covered, scratch, k));
  if (keep) {
    for (size_t j = 0; j < f->valid.n && f->n_folds > 1; j++)
      score_pool_end(f->said[level] + (i * f->d->n_rows + f->valid.rows[j]) * k, k, is_classes(s));
    return GARAM_OK;
  }
  member *m = &v->members[i];
  TRY(fit_inside(f, m, v->specs[i], &f->input, (row_set){f->available, f->n_available}, f->valid,
                 err));
  if (f->valid.n > 0) {
    TRY(say(f, level, i, m, f->valid, 1, scratch, err));
    said_of(f, level, i, f->valid, scratch);
  }
  run_unit_done(&f->run, NAN, score_loss(f->d, f->valid, scratch, k),
                score_accuracy(f->d, f->valid, scratch, k), false);
  return GARAM_OK;
}

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* The folds of a layer: of the rows that the layer below said something of. */
static garam_status make_folds(fitting *f, size_t level, garam_error *err) {
  const config *c = &f->s->config;
  row_set rows = level == 0 ? f->train : (row_set){f->covered, f->n_covered};
  memcpy(f->available, rows.rows, rows.n * sizeof *rows.rows);
  f->n_available = rows.n;
  const part_config parts = {.kind = (part_kind)c->out_of_fold,
                             .n_folds = (size_t)c->folds,
                             .share = c->holdout_share,
                             .embargo = f->embargo};
  size_t n = c->out_of_fold == PART_HOLDOUT ? 1 : (size_t)c->folds;
  folds_deinit(f);
  TRY(part_folds(f->folds, &parts, f->d, rows, f->run.fit->seed, "stack", err));
  f->n_folds = n;
  f->n_covered = 0;
  for (size_t k = 0; k < n; k++)
    for (size_t i = 0; i < f->folds[k].test.n; i++)
      f->covered[f->n_covered++] = f->folds[k].test.rows[i];
  qsort(f->covered, f->n_covered, sizeof *f->covered, compare_u32);
  return GARAM_OK;
}

/* A dataset whose rows are `skip` features and what a layer said of them. */
static garam_status next_input(fitting *f, size_t level, bool with_features, garam_error *err) {
  const stack *s = f->s;
  const layer *v = &s->layers[level];
  size_t n = f->d->n_rows, skip = with_features ? f->d->n_features : 0, k = s->n_outputs;
  size_t width = skip + v->n * s->odds, size;
  float *x = size_mul(&size, n, width) ? mem_array(size, sizeof *x) : NULL;
  if (!x) return fail_memory(err, n * width * sizeof *x);
  for (size_t i = 0; i < n; i++) {
    if (skip) memcpy(x + i * width, f->d->x + i * skip, skip * sizeof *x);
    fill_odds(s, x + i * width, skip, f->said[level] + i * k, n * k, v->n);
  }
  mem_free(f->input_x);
  f->input_x = x;
  f->input = *f->d;
  f->input.x = x;
  f->input.n_features = width;
  f->input.feature_names = NULL;
  return GARAM_OK;
}

static garam_status fit_layer(fitting *f, size_t level, garam_error *err) {
  stack *s = f->s;
  size_t n = f->d->n_rows, k = s->n_outputs, size;
  TRY(make_folds(f, level, err));
  if (!size_mul(&size, s->layers[level].n * k, n)) return fail_memory(err, SIZE_MAX);
  f->said[level] = mem_array(size, sizeof(float));
  float *scratch = mem_array(n * k + 1, sizeof *scratch);
  garam_status status = GARAM_OK;
  if (!f->said[level] || !scratch) status = fail_memory(err, size * sizeof *scratch);
  for (size_t i = 0; i < s->layers[level].n && status == GARAM_OK; i++)
    status = fit_member(f, level, i, scratch, err);
  mem_free(scratch);
  return status;
}

static garam_status weigh_members(fitting *f, garam_error *err) {
  stack *s = f->s;
  const layer *v = last_layer(s);
  size_t k = s->n_outputs, level = s->n_layers - 1, size = f->n_covered * k;
  row_set covered = {f->covered, f->n_covered};
  const float **each = mem_array(v->n, sizeof *each);
  float *all = mem_array(v->n * size + 1, sizeof *all);
  garam_status status;
  if (!each || !all) TRY_GOTO(done, fail_memory(err, v->n * size * sizeof *all));
  for (size_t i = 0; i < v->n; i++) {
    said_of(f, level, i, covered, all + i * size);
    each[i] = all + i * size;
  }
  const weigh_config c = {
      .rounds = s->config.greedy_rounds, .bags = s->config.greedy_bags, .seed = f->run.fit->seed};
  TRY_GOTO(done,
           weigh(s->weights, (weigh_kind)s->weighting, &c, each, v->n, f->d, covered, k, err));
  for (size_t i = 0; i < v->n; i++)
    log_info("stack: weight of %s: %.4f", v->specs[i]->text, s->weights[i]);
done:
  mem_free(each);
  mem_free(all);
  return status;
}

/* The last layer's answer from what its members said: (n) rows of `said` blocks `stride` apart. */
static void pool(const stack *s, float *out, const float *said, size_t stride, size_t n) {
  size_t size = n * s->n_outputs;
  memset(out, 0, size * sizeof *out);
  for (size_t i = 0; i < last_layer(s)->n; i++)
    if (s->weights[i] > 0)
      score_pool_add(out, said + i * stride, size, s->weights[i], is_classes(s));
  score_pool_end(out, size, is_classes(s));
}

static garam_status fit_combination(fitting *f, double *loss, garam_error *err) {
  stack *s = f->s;
  size_t k = s->n_outputs, n = f->d->n_rows;
  float *all = mem_array(n * k + 1, sizeof *all);
  garam_status status;
  double accuracy = NAN;
  *loss = NAN;
  if (!all) return fail_memory(err, n * k * sizeof *all);
  if (s->has_meta) {
    TRY_GOTO(done, next_input(f, s->n_layers - 1, s->config.pass_through, err));
    TRY_GOTO(done, fit_inside(f, &s->meta, &s->meta_spec.items[0], &f->input,
                              (row_set){f->covered, f->n_covered}, (row_set){0}, err));
    TRY_GOTO(done, member_predict_rows(&s->meta, &f->input, f->valid, all, err));
    if (is_classes(s)) score_log_softmax(all, f->valid.n, k);
  } else {
    TRY_GOTO(done, weigh_members(f, err));
    pool(s, all, f->said[s->n_layers - 1], n * k, n);
    for (size_t j = 0; j < f->valid.n; j++)
      memmove(all + j * k, all + f->valid.rows[j] * k, k * sizeof *all);
  }
  *loss = score_loss(f->d, f->valid, all, k);
  accuracy = score_accuracy(f->d, f->valid, all, k);
  run_unit_done(&f->run, NAN, *loss, accuracy, true);
done:
  mem_free(all);
  return status;
}

static garam_status stack_fit(learner *l, const dataset *d, row_set train, row_set valid,
                              const fit_context *fit, fit_summary *summary, garam_error *err) {
  stack *s = (stack *)l;
  fitting f = {.s = s, .d = d, .train = train, .valid = valid, .input = *d};
  size_t n_folds = s->config.out_of_fold == PART_HOLDOUT ? 1 : (size_t)s->config.folds;
  size_t units = 1;
  double loss;
  garam_status status;
  if (summary) *summary = (fit_summary){0};
  for (size_t i = 0; i < s->n_layers; i++)
    units += s->layers[i].n * (n_folds + (s->config.refit == REFIT_ALL));
  TRY(run_begin(&f.run, &ensemble_stack, &s->config, d, train, valid, fit, units, err));
  f.embargo =
      s->config.fold_embargo >= 0 ? (size_t)s->config.fold_embargo : part_label_rows(d, train);
  f.folds = mem_array(n_folds, sizeof *f.folds);
  f.covered = mem_array(train.n + 1, sizeof *f.covered);
  f.available = mem_array(train.n + 1, sizeof *f.available);
  if (!f.folds || !f.covered || !f.available)
    TRY_GOTO(done, fail_memory(err, train.n * sizeof *f.covered));
  for (size_t level = 0; level < s->n_layers; level++) {
    TRY_GOTO(done, fit_layer(&f, level, err));
    if (level + 1 < s->n_layers) TRY_GOTO(done, next_input(&f, level, true, err));
  }
  TRY_GOTO(done, fit_combination(&f, &loss, err));
  run_end(&f.run, summary, f.run.n_done, loss, stack_parameters(l));
done:
  fitting_deinit(&f);
  return status;
}

/* ---- predict ----------------------------------------------------------------------------- */

static garam_status reserve(stack *s, size_t n, garam_error *err) {
  size_t k = s->n_outputs, size, most = 0, width = meta_shape(s).n_features;
  for (size_t i = 0; i < s->n_layers; i++) {
    most = s->layers[i].n > most ? s->layers[i].n : most;
    width = s->layers[i].shape.n_features > width ? s->layers[i].shape.n_features : width;
  }
  if (!size_mul(&size, n, most * k) || !size_mul(&size, n, width))
    return fail_memory(err, SIZE_MAX);
  TRY(mem_grow(&s->scores, &s->scores_capacity, n * k, sizeof(float), err));
  TRY(mem_grow(&s->said, &s->said_capacity, n * most * k, sizeof(float), err));
  return mem_grow(&s->input, &s->input_capacity, n * width, sizeof(float), err);
}

/* Rows of the next layer: `skip` features, the window's last row, and what was said. */
static void next_rows(stack *s, const float *x, size_t n, size_t n_members, bool with_features) {
  size_t f = s->shape.n_features, skip = with_features ? f : 0, k = s->n_outputs;
  size_t width = skip + n_members * s->odds;
  for (size_t i = 0; i < n; i++) {
    float *to = s->input + i * width;
    if (skip) memcpy(to, x + ((i + 1) * s->context - 1) * f, f * sizeof *to);
    fill_odds(s, to, skip, s->said + i * k, n * k, n_members);
  }
}

static garam_status predict_layer(stack *s, size_t level, const float *x, const int32_t *begin,
                                  size_t n, garam_error *err) {
  layer *v = &s->layers[level];
  size_t k = s->n_outputs, size = n * k;
  for (size_t i = 0; i < v->n; i++) {
    float *to = s->said + i * size;
    if (s->models > 1) memset(to, 0, size * sizeof *to);
    for (size_t j = 0; j < s->models; j++) {
      float *out = s->models > 1 ? s->scores : to;
      TRY(member_predict(&v->members[i * s->models + j], level ? s->input : x, level ? NULL : begin,
                         n, level ? 1 : s->context, out, err));
      if (is_classes(s)) score_log_softmax(out, n, k);
      if (s->models > 1) score_pool_add(to, out, size, 1 / (double)s->models, is_classes(s));
    }
    if (s->models > 1) score_pool_end(to, size, is_classes(s));
  }
  return GARAM_OK;
}

static garam_status stack_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                  float *out, garam_error *err) {
  stack *s = (stack *)l;
  TRY(reserve(s, n, err));
  for (size_t level = 0; level < s->n_layers; level++) {
    TRY(predict_layer(s, level, x, begin, n, err));
    if (level + 1 < s->n_layers) next_rows(s, x, n, s->layers[level].n, true);
  }
  if (!s->has_meta) {
    pool(s, out, s->said, n * s->n_outputs, n);
    return GARAM_OK;
  }
  next_rows(s, x, n, last_layer(s)->n, s->config.pass_through);
  return member_predict(&s->meta, s->input, NULL, n, 1, out, err);
}

/* ---- packages ---------------------------------------------------------------------------- */

static garam_status stack_save(const learner *l, package_writer *w, const char *prefix,
                               garam_error *err) {
  const stack *s = (const stack *)l;
  char full[PREFIX_MAX];
  for (size_t level = 0; level < s->n_layers; level++)
    for (size_t i = 0; i < s->layers[level].made; i++) {
      prefix_of(full, s, prefix, level, i / s->models, i % s->models);
      TRY(member_save(&s->layers[level].members[i], w, full, err));
    }
  if (s->has_meta) {
    snprintf(full, sizeof full, "%smeta.", prefix);
    return member_save(&s->meta, w, full, err);
  }
  int64_t n = (int64_t)last_layer(s)->n;
  snprintf(full, sizeof full, "%sweights", prefix);
  return package_add(w, full, PACKAGE_F64, 1, &n, s->weights, err);
}

static garam_status stack_load(learner **out, const void *c, const learner_shape *shape,
                               package_reader *r, const char *prefix, garam_error *err) {
  stack *s;
  garam_status status;
  *out = NULL;
  TRY(stack_new(&s, c, shape, err));
  if (strlen(prefix) + 40 > PREFIX_MAX)
    TRY_GOTO(done, fail(err, GARAM_INVALID, "stack: ensembles nested too deep for a package"));
  for (int i = 0; i < s->config.layers; i++) TRY_GOTO(done, add_layer(s, r, prefix, err));
  TRY_GOTO(done, add_meta(s, r, prefix, err));
  if (!s->has_meta) TRY_GOTO(done, weigh_load(s->weights, last_layer(s)->n, r, prefix, err));
  *out = &s->base;
  return GARAM_OK;
done:
  stack_destroy(&s->base);
  return status;
}

const learner_ops ensemble_stack = {
    .name = "stack",
    .summary = "members' out-of-fold predictions, by purged folds, and a learner over them",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = stack_create,
    .destroy = stack_destroy,
    .context = stack_context,
    .fit = stack_fit,
    .predict = stack_predict,
    .save = stack_save,
    .load = stack_load,
    .parameters = stack_parameters,
};
