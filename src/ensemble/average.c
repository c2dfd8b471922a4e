/* Members side by side, all fitted to the same rows: a mean of their probabilities or values, with
 * weights from the validation rows, or a count of their votes. Without validation rows the last
 * share of the training rows, purged, is cut off to weigh by: no member has seen it. */
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

enum { PREFIX_MAX = 96 };
enum { VOTING_SOFT, VOTING_HARD };
static const char *const voting_names[] = {"soft", "hard", NULL};

typedef struct config {
  char members[SPEC_TEXT_MAX];
  int weighting, voting, greedy_rounds, greedy_bags, fold_embargo, scaling;
  double stop_share, clip;
} config;

static const opt_row options[] = {
    {"members", OPT_STRING, OPT_AT(config, members), .def_text = "linear,mlp:small",
     .help = "learners, with their settings: linear,mlp:small,hidden=32"},
    {"weighting", OPT_ENUM, OPT_AT(config, weighting), .choices = weigh_names,
     .help = "all the same, or from the validation rows: one over the loss, greedy, or of least "
             "loss"},
    {"voting", OPT_ENUM, OPT_AT(config, voting), .choices = voting_names,
     .help = "classes: a mean of probabilities, or of votes for the likeliest class"},
    {"greedy-rounds", OPT_INT, OPT_AT(config, greedy_rounds), .def = 100, .min = 1, .max = 10000,
     .help = "members that --weighting greedy takes at most, with replacement"},
    {"greedy-bags", OPT_INT, OPT_AT(config, greedy_bags), .def = 1, .min = 1, .max = 1000,
     .help = "random halves of the members that it chooses from; 1: all of them"},
    {"stop-share", OPT_F64, OPT_AT(config, stop_share), .def = 0.15, .min = 0, .max = 0.9,
     .help = "of the training rows, the last ones, that stop members early and weigh them where "
             "there are no validation rows"},
    {"fold-embargo", OPT_INT, OPT_AT(config, fold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after that cut; -1: as many as the longest label spans"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for members that want them scaled"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
};

typedef struct average {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t n_outputs, context, made;
  member_specs specs;
  member *members; /* (specs.n) */
  double *weights; /* (specs.n) */
  float *scores;   /* scratch of predict */
  size_t capacity;
} average;

static void average_destroy(learner *l) {
  average *a = (average *)l;
  if (!a) return;
  for (size_t i = 0; i < a->made; i++) member_deinit(&a->members[i]);
  member_specs_deinit(&a->specs);
  mem_free(a->members);
  mem_free(a->weights);
  mem_free(a->scores);
  mem_free(a);
}

static void prefix_of(char out[PREFIX_MAX], const char *prefix, size_t i) {
  snprintf(out, PREFIX_MAX, "%sm%zu.", prefix, i);
}

static garam_status make(learner **out, const void *c, const learner_shape *shape,
                         package_reader *r, const char *prefix, garam_error *err) {
  garam_status status;
  *out = NULL;
  average *a = mem_zalloc(sizeof *a);
  if (!a) return fail_memory(err, sizeof *a);
  a->base.ops = &ensemble_average;
  a->config = *(const config *)c;
  a->scaling = (member_scaling){a->config.scaling, a->config.clip};
  a->shape = *shape;
  a->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  TRY_GOTO(done, member_specs_parse(&a->specs, a->config.members, shape->task, "--members", err));
  if (shape->task == TASK_REGRESSION && a->config.voting == VOTING_HARD)
    TRY_GOTO(done, fail(err, GARAM_INVALID, "--voting hard: values have no votes"));
  a->members = mem_array(a->specs.n, sizeof *a->members);
  a->weights = mem_array(a->specs.n, sizeof *a->weights);
  if (!a->members || !a->weights) TRY_GOTO(done, fail_memory(err, a->specs.n * sizeof(member)));
  for (size_t i = 0; i < a->specs.n; i++, a->made++) {
    char full[PREFIX_MAX];
    member *m = &a->members[i];
    prefix_of(full, prefix, i);
    status = r ? member_load(m, &a->specs.items[i], shape, 0, &a->scaling, r, full, err)
               : member_init(m, &a->specs.items[i], shape, NULL, 0, err);
    if (status != GARAM_OK) {
      fail_within(err, status, "average: %s", a->specs.items[i].text);
      goto done;
    }
    if (m->context > a->context) a->context = m->context;
  }
  *out = &a->base;
  return GARAM_OK;
done:
  average_destroy(&a->base);
  return status;
}

static garam_status average_create(learner **out, const void *c, const learner_shape *shape,
                                   garam_error *err) {
  return make(out, c, shape, NULL, "", err);
}

static size_t average_context(const learner *l) {
  return ((const average *)l)->context;
}

static size_t average_parameters(const learner *l) {
  const average *a = (const average *)l;
  size_t n = a->specs.n;
  for (size_t i = 0; i < a->made; i++) n += a->members[i].ops->parameters(a->members[i].learner);
  return n;
}

/* Class scores of n rows become what the mean is taken of: log-probabilities, or the log of a vote.
 */
static void opinion(const average *a, float *scores, size_t n) {
  size_t k = a->n_outputs;
  if (k < 2) return;
  if (a->config.voting == VOTING_SOFT) {
    score_log_softmax(scores, n, k);
    return;
  }
  for (size_t i = 0; i < n; i++, scores += k) {
    size_t top = 0;
    for (size_t c = 1; c < k; c++)
      if (scores[c] > scores[top]) top = c;
    for (size_t c = 0; c < k; c++) scores[c] = c == top ? 0 : (float)log(SCORE_LEAST);
  }
}

/* ---- fit --------------------------------------------------------------------------------- */

static garam_status weigh_members(average *a, const dataset *d, row_set rows, uint64_t seed,
                                  float *said, double *loss, double *accuracy, garam_error *err) {
  size_t n = a->specs.n, k = a->n_outputs, size = rows.n * k;
  const float **each = mem_array(n, sizeof *each);
  float *pooled = mem_array(size + 1, sizeof *pooled);
  garam_status status = GARAM_OK;
  if (!each || !pooled) TRY_GOTO(done, fail_memory(err, size * sizeof *pooled));
  for (size_t i = 0; i < n; i++) each[i] = said + i * size;
  const weigh_config c = {
      .rounds = a->config.greedy_rounds, .bags = a->config.greedy_bags, .seed = seed};
  TRY_GOTO(done, weigh(a->weights, (weigh_kind)a->config.weighting, &c, each, n, d, rows, k, err));
  for (size_t i = 0; i < n; i++) {
    if (a->config.weighting != WEIGH_UNIFORM)
      log_info("average: weight of %s: %.4f", a->specs.items[i].text, a->weights[i]);
    score_pool_add(pooled, each[i], size, a->weights[i], k > 1);
  }
  score_pool_end(pooled, size, k > 1);
  *loss = score_loss(d, rows, pooled, k);
  *accuracy = score_accuracy(d, rows, pooled, k);
done:
  mem_free(each);
  mem_free(pooled);
  return status;
}

static garam_status average_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                const fit_context *fit, fit_summary *summary, garam_error *err) {
  average *a = (average *)l;
  size_t n = a->specs.n, k = a->n_outputs;
  run r;
  fold cut = {0};
  float *said = NULL;
  double loss = NAN, accuracy = NAN;
  garam_status status;
  if (summary) *summary = (fit_summary){0};
  TRY(run_begin(&r, &ensemble_average, &a->config, d, train, valid, fit, n + 1, err));
  size_t embargo =
      a->config.fold_embargo >= 0 ? (size_t)a->config.fold_embargo : part_label_rows(d, train);
  bool cuts = valid.n == 0 && a->config.stop_share > 0 && a->config.weighting != WEIGH_UNIFORM;
  if (cuts) {
    TRY_GOTO(done,
             part_stopping(&cut, d, train, a->config.stop_share, embargo, run_seed(&r, -1), err));
    train = cut.train;
    valid = cut.valid;
  }
  said = mem_array(n * valid.n * k + 1, sizeof *said);
  if (!said) TRY_GOTO(done, fail_memory(err, n * valid.n * k * sizeof *said));
  for (size_t i = 0; i < n; i++) {
    float *own = said + i * valid.n * k;
    TRY_GOTO(done, run_member_cut(&r, &a->members[i], &a->specs.items[i], d, train, valid,
                                  &a->scaling, a->config.stop_share, embargo, err));
    TRY_GOTO(done, member_predict_rows(&a->members[i], d, valid, own, err));
    opinion(a, own, valid.n);
    run_unit_done(&r, NAN, score_loss(d, valid, own, k), score_accuracy(d, valid, own, k), false);
  }
  TRY_GOTO(done, weigh_members(a, d, valid, r.fit->seed, said, &loss, &accuracy, err));
  run_unit_done(&r, NAN, loss, accuracy, true);
  run_end(&r, summary, r.n_done, loss, average_parameters(l));
done:
  mem_free(said);
  fold_deinit(&cut);
  run_deinit(&r);
  return status;
}

/* ---- predict, save, load ----------------------------------------------------------------- */

static garam_status average_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                    float *out, garam_error *err) {
  average *a = (average *)l;
  size_t size;
  if (!size_mul(&size, n, a->n_outputs)) return fail_memory(err, SIZE_MAX);
  TRY(mem_grow(&a->scores, &a->capacity, size, sizeof *a->scores, err));
  memset(out, 0, size * sizeof *out);
  for (size_t i = 0; i < a->specs.n; i++) {
    if (!(a->weights[i] > 0)) continue;
    TRY(member_predict(&a->members[i], x, begin, n, a->context, a->scores, err));
    opinion(a, a->scores, n);
    score_pool_add(out, a->scores, size, a->weights[i], a->n_outputs > 1);
  }
  score_pool_end(out, size, a->n_outputs > 1);
  return GARAM_OK;
}

static garam_status average_save(const learner *l, package_writer *w, const char *prefix,
                                 garam_error *err) {
  const average *a = (const average *)l;
  char full[PREFIX_MAX];
  int64_t n = (int64_t)a->specs.n;
  for (size_t i = 0; i < a->specs.n; i++) {
    prefix_of(full, prefix, i);
    TRY(member_save(&a->members[i], w, full, err));
  }
  snprintf(full, sizeof full, "%sweights", prefix);
  return package_add(w, full, PACKAGE_F64, 1, &n, a->weights, err);
}

static garam_status average_load(learner **out, const void *c, const learner_shape *shape,
                                 package_reader *r, const char *prefix, garam_error *err) {
  TRY(make(out, c, shape, r, prefix, err));
  average *a = (average *)*out;
  garam_status status = weigh_load(a->weights, a->specs.n, r, prefix, err);
  if (status != GARAM_OK) {
    average_destroy(*out);
    *out = NULL;
  }
  return status;
}

const learner_ops ensemble_average = {
    .name = "average",
    .summary = "members side by side: a weighted mean of them, or a vote",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = average_create,
    .destroy = average_destroy,
    .context = average_context,
    .fit = average_fit,
    .predict = average_predict,
    .save = average_save,
    .load = average_load,
    .parameters = average_parameters,
};
