/* The dynamic ensemble: see dynamic.h. */
#include "ensemble/dynamic.h"

#include "base/mem.h"
#include "ensemble/des.h"
#include "ensemble/drift.h"
#include "ensemble/hmm.h"
#include "ensemble/member.h"
#include "ensemble/online.h"
#include "ensemble/part.h"
#include "ensemble/run.h"
#include "learn/calibrate.h"
#include "learn/stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_MAX = 96, MOST_SELECTION_ROWS = 4096, REGIME_ITERATIONS = 100, REGIME_DIMS = 2 };
enum { LOSS_AUTO = 0 }; /* then online_loss + 1 */

static const char *const loss_names[] = {"auto", "squared", "log", "absolute", "pinball", NULL};
static const char *const selection_names[] = {"none", "knora-e", "knora-u", "meta-des",
                                              "rrc",  "local",   NULL};

typedef struct config {
  char members[SPEC_TEXT_MAX], regime_features[256];
  double early_share, hold_share, clip;
  int hold_embargo, scaling, loss, selection, regimes, regime_window;
  online_config online;
  drift_config drift;
  des_config des;
} config;

static const opt_row options[] = {
    {"members", OPT_STRING, OPT_AT(config, members), .def_text = "linear,mlp:small",
     .help = "learners, with their settings: linear,mlp:small,hidden=32"},
    {"early-share", OPT_F64, OPT_AT(config, early_share), .def = 0.6, .min = 0.05, .max = 0.95,
     .help = "of the training rows, the first ones, that members are trained on"},
    {"hold-share", OPT_F64, OPT_AT(config, hold_share), .def = 0.2, .min = 0.01, .max = 0.9,
     .help = "after them: stops members early, calibrates them, is what selection looks at; the "
             "rest runs through the aggregation"},
    {"hold-embargo", OPT_INT, OPT_AT(config, hold_embargo), .def = -1, .min = -1, .max = 1000000,
     .unit = "rows", .help = "left out after a cut; -1: as many as the longest label spans"},
    {"scaling", OPT_ENUM, OPT_AT(config, scaling), .choices = scaler_names,
     .help = "of inputs, for members that want them scaled, by their own training rows"},
    {"clip", OPT_F64, OPT_AT(config, clip), .def = 10, .min = 0, .max = 1e6,
     .help = "scaled inputs are cut at this many deviations; 0: not"},
    {"rule", OPT_ENUM, OPT_AT(config, online.rule), .def = 4, .choices = online_rule_names,
     .help = "how weights follow losses"},
    {"loss", OPT_ENUM, OPT_AT(config, loss), .def = LOSS_AUTO, .choices = loss_names,
     .help = "that members are weighed by; auto: log for classes, squared for values"},
    {"rate", OPT_F64, OPT_AT(config, online.rate), .def = 0, .min = 0, .max = 1e6,
     .help = "learning rate of hedge and fixed-share; 0: chosen as ticks pass"},
    {"share", OPT_F64, OPT_AT(config, online.share), .def = 0.01, .min = 0, .max = 1,
     .scale = OPT_LOG, .search = {1e-4, 0.2},
     .help = "fixed-share: of the weight that is dealt out to everyone at each outcome"},
    {"quantile", OPT_F64, OPT_AT(config, online.quantile), .def = 0.5, .min = 1e-6, .max = 1 - 1e-6,
     .help = "of the pinball loss"},
    {"gradient", OPT_BOOL, OPT_AT(config, online.gradient), .def = 1,
     .help = "losses linearised at the mixture: as good as the best combination, not only the "
             "best member"},
    {"range", OPT_F64, OPT_AT(config, online.range), .def = 0, .min = 0, .max = 1e12,
     .help = "most that two losses can differ by; 0: learned as outcomes pass"},
    {"drift", OPT_ENUM, OPT_AT(config, drift.kind), .choices = drift_kind_names,
     .help = "what watches the ensemble's loss; an alarm begins its weights anew"},
    {"drift-confidence", OPT_F64, OPT_AT(config, drift.confidence), .def = 0.002, .min = 1e-12,
     .max = 0.5, .scale = OPT_LOG, .help = "adwin: chance of a false alarm"},
    {"drift-slack", OPT_F64, OPT_AT(config, drift.slack), .def = 0.1, .min = 0, .max = 100,
     .unit = "deviations", .help = "page-hinkley: rise over the mean that is no drift"},
    {"drift-threshold", OPT_F64, OPT_AT(config, drift.threshold), .def = 50, .min = 0.1, .max = 1e9,
     .unit = "deviations", .help = "page-hinkley: sum of rises that is a drift"},
    {"drift-least", OPT_INT, OPT_AT(config, drift.least), .def = 30, .min = 2, .max = 1000000,
     .unit = "outcomes", .help = "outcomes before the first alarm"},
    {"selection", OPT_ENUM, OPT_AT(config, selection), .choices = selection_names,
     .help = "dynamic selection by local competence: its answer is one more expert"},
    {"neighbours", OPT_INT, OPT_AT(config, des.neighbours), .def = 15, .min = 1,
     .max = DES_MOST_NEIGHBOURS, .search = {5, 60}, .scale = OPT_LOG, .unit = "rows",
     .help = "rows in the region of competence"},
    {"profiles", OPT_INT, OPT_AT(config, des.profiles), .def = 5, .min = 1,
     .max = DES_MOST_NEIGHBOURS, .unit = "rows",
     .help = "meta-des: rows to which the members answer most alike"},
    {"vote", OPT_BOOL, OPT_AT(config, des.vote),
     .help = "selected members vote for their likeliest class; else their odds are averaged"},
    {"regimes", OPT_INT, OPT_AT(config, regimes), .def = 0, .min = 0, .max = HMM_MOST_STATES,
     .help = "hidden Markov regimes, each with specialists of its own; 0: none"},
    {"regime-window", OPT_INT, OPT_AT(config, regime_window), .def = 64, .min = 1, .max = 4096,
     .unit = "rows", .help = "that the regime's odds are filtered from"},
    {"regime-features", OPT_STRING, OPT_AT(config, regime_features), .def_text = "auto",
     .help = "features that tell regimes apart, by name, parted by commas; auto: a return and a "
             "volatility"},
};

typedef struct dynamic {
  learner base;
  config config;
  member_scaling scaling;
  learner_shape shape;
  size_t n_outputs, n_voices, n_experts, context; /* voices: members, then the selection */
  member_specs specs;
  member *members; /* (specs.n) */
  size_t made;
  double *temperature;             /* (specs.n); values: 1 */
  scaler scaler;                   /* for the selection and the regimes; n 0: neither */
  uint32_t regime_of[REGIME_DIMS]; /* features that regimes see */
  uint32_t n_regime_features;
  des des;
  hmm hmm;
  online now, kept;
  drift watch, watch_kept;

  double *scratch;   /* (2 experts + members) */
  uint8_t *awake;    /* (experts) */
  float *said, *row; /* (experts, outputs) of one row; (context, features) scaled */
  float *views;      /* of a batch, in predict */
  size_t views_capacity;
  float *batch; /* one member's answers for a batch */
  size_t batch_capacity;
} dynamic;

static bool has_selection(const dynamic *s) {
  return s->config.selection > 0;
}

static size_t n_regimes(const dynamic *s) {
  return s->config.regimes > 1 ? (size_t)s->config.regimes : 0;
}

/* ---- life -------------------------------------------------------------------------------- */

static void dynamic_destroy(learner *l) {
  dynamic *s = (dynamic *)l;
  if (!s) return;
  for (size_t i = 0; i < s->made; i++) member_deinit(&s->members[i]);
  mem_free(s->members);
  member_specs_deinit(&s->specs);
  mem_free(s->temperature);
  scaler_deinit(&s->scaler);
  des_deinit(&s->des);
  online_deinit(&s->now);
  online_deinit(&s->kept);
  mem_free(s->scratch);
  mem_free(s->awake);
  mem_free(s->said);
  mem_free(s->row);
  mem_free(s->batch);
  mem_free(s->views);
  mem_free(s);
}

static garam_status check(dynamic *s, garam_error *err) {
  config *c = &s->config;
  bool classes = s->n_outputs > 1;
  if (c->early_share + c->hold_share > 0.99)
    return fail(err, GARAM_INVALID,
                "--early-share %g and --hold-share %g leave nothing to "
                "aggregate over",
                c->early_share, c->hold_share);
  c->online.loss = c->loss != LOSS_AUTO ? c->loss - 1 : classes ? ONLINE_LOG : ONLINE_SQUARED;
  if (!classes && c->online.loss == ONLINE_LOG)
    return fail(err, GARAM_INVALID, "--loss log: for classes, not for values");
  if (classes && c->online.loss == ONLINE_PINBALL)
    return fail(err, GARAM_INVALID, "--loss pinball: for values, not for classes");
  if (!has_selection(s)) return GARAM_OK;
  c->des.method = c->selection - 1;
  return GARAM_OK;
}

/* All but the members, the selection and the regimes. */
static garam_status dynamic_new(dynamic **out, const void *c, const learner_shape *shape,
                                garam_error *err) {
  dynamic *s = mem_zalloc(sizeof *s);
  garam_status status;
  *out = NULL;
  if (!s) return fail_memory(err, sizeof *s);
  s->base.ops = &learner_dynamic;
  s->config = *(const config *)c;
  s->scaling = (member_scaling){s->config.scaling, s->config.clip};
  s->shape = *shape;
  s->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  TRY_GOTO(done, check(s, err));
  TRY_GOTO(done, member_specs_parse(&s->specs, s->config.members, shape->task, "--members", err));
  size_t m = s->specs.n;
  s->n_voices = m + has_selection(s);
  s->n_experts = s->n_voices * (1 + n_regimes(s));
  s->members = mem_array(m, sizeof *s->members);
  s->temperature = mem_array(m, sizeof *s->temperature);
  s->scratch = mem_array(2 * s->n_experts + m, sizeof *s->scratch);
  s->awake = mem_array(s->n_experts, 1);
  s->said = mem_array(s->n_experts * s->n_outputs, sizeof *s->said);
  if (!s->members || !s->temperature || !s->scratch || !s->awake || !s->said) {
    status = fail_memory(err, m * sizeof *s->members);
    goto done;
  }
  for (size_t i = 0; i < m; i++) s->temperature[i] = 1;
  s->context = n_regimes(s) ? (size_t)s->config.regime_window : 1;
  drift_init(&s->watch, &s->config.drift);
  *out = s;
  s = NULL;
done:
  dynamic_destroy(s ? &s->base : NULL);
  return status;
}

/* Scratch whose size the members decide. */
static garam_status settle(dynamic *s, garam_error *err) {
  for (size_t i = 0; i < s->made; i++)
    if (s->members[i].context > s->context) s->context = s->members[i].context;
  if (!has_selection(s) && !n_regimes(s)) return GARAM_OK;
  size_t size = 0;
  if (size_mul(&size, s->context, s->shape.n_features)) s->row = mem_array(size, sizeof *s->row);
  return s->row ? GARAM_OK : fail_memory(err, size * sizeof *s->row);
}

static garam_status dynamic_create(learner **out, const void *c, const learner_shape *shape,
                                   garam_error *err) {
  dynamic *s;
  garam_status status;
  *out = NULL;
  TRY(dynamic_new(&s, c, shape, err));
  for (; s->made < s->specs.n; s->made++) {
    const member_spec *spec = &s->specs.items[s->made];
    status = member_init(&s->members[s->made], spec, shape, NULL, 0, err);
    if (status != GARAM_OK) {
      status = fail_within(err, status, "dynamic: %s", spec->text);
      goto done;
    }
  }
  TRY_GOTO(done, settle(s, err));
  TRY_GOTO(done, online_new(&s->now, s->n_experts, &s->config.online, err));
  TRY_GOTO(done, online_new(&s->kept, s->n_experts, &s->config.online, err));
  *out = &s->base;
  return GARAM_OK;
done:
  dynamic_destroy(&s->base);
  return status;
}

static size_t dynamic_context(const learner *l) {
  return ((const dynamic *)l)->context;
}

static size_t dynamic_parameters(const learner *l) {
  const dynamic *s = (const dynamic *)l;
  size_t n = s->n_experts;
  for (size_t i = 0; i < s->made; i++) n += s->members[i].ops->parameters(s->members[i].learner);
  return n;
}

/* ---- views: what the voices say of a row, and the odds of its regime ------------------------- */

static size_t dynamic_width(const learner *l) {
  const dynamic *s = (const dynamic *)l;
  return s->n_voices * s->n_outputs + n_regimes(s);
}

/* One member's answers as odds, tempered. */
static void temper(const dynamic *s, float *z, size_t m) {
  if (s->n_outputs > 1) calibrate_softmax(z, 1, (int)s->n_outputs, s->temperature[m]);
}

static garam_status view_members(dynamic *s, const float *x, const int32_t *begin, size_t n,
                                 float *views, garam_error *err) {
  size_t k = s->n_outputs, width = dynamic_width(&s->base);
  TRY(mem_grow(&s->batch, &s->batch_capacity, n * k, sizeof *s->batch, err));
  for (size_t m = 0; m < s->specs.n; m++) {
    TRY(member_predict(&s->members[m], x, begin, n, s->context, s->batch, err));
    for (size_t i = 0; i < n; i++) {
      float *to = views + i * width + m * k;
      memcpy(to, s->batch + i * k, k * sizeof *to);
      temper(s, to, m);
    }
  }
  return GARAM_OK;
}

static void view_selection(dynamic *s, float *view, const float *scaled) {
  double *w = s->scratch;
  des_weights(&s->des, w, scaled + (s->context - 1) * s->shape.n_features, view);
  des_answer(&s->des, view + s->specs.n * s->n_outputs, w, view);
}

/* The filter over the rows of the window: a finite look back, so that a server that holds the last
 * rows computes the same odds. */
static void view_regime(const dynamic *s, float *view, const float *scaled, int32_t padding) {
  double odds[HMM_MOST_STATES];
  float x[REGIME_DIMS];
  size_t first = s->context - (size_t)s->config.regime_window;
  if (padding > 0 && (size_t)padding > first) first = (size_t)padding;
  hmm_begin(&s->hmm, odds);
  for (size_t t = first; t < s->context; t++) {
    for (uint32_t j = 0; j < s->n_regime_features; j++)
      x[j] = scaled[t * s->shape.n_features + s->regime_of[j]];
    hmm_step(&s->hmm, odds, x, t == first);
  }
  for (size_t j = 0; j < n_regimes(s); j++) view[s->n_voices * s->n_outputs + j] = (float)odds[j];
}

static garam_status dynamic_view(learner *l, const float *x, const int32_t *begin, size_t n,
                                 float *views, garam_error *err) {
  dynamic *s = (dynamic *)l;
  size_t window = s->context * s->shape.n_features, width = dynamic_width(l);
  TRY(view_members(s, x, begin, n, views, err));
  if (!s->scaler.n) return GARAM_OK;
  for (size_t i = 0; i < n; i++) {
    scaler_apply(&s->scaler, s->row, x + i * window, s->context);
    if (has_selection(s)) view_selection(s, views + i * width, s->row);
    if (n_regimes(s)) view_regime(s, views + i * width, s->row, begin ? begin[i] : 0);
  }
  return GARAM_OK;
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* Experts are the voices, then the voices of each regime. Who is awake; NULL: all are. */
static const uint8_t *wake(dynamic *s, const float *view) {
  size_t n = n_regimes(s), v = s->n_voices, top = 0;
  if (n == 0) return NULL;
  const float *odds = view + v * s->n_outputs;
  for (size_t j = 1; j < n; j++)
    if (odds[j] > odds[top]) top = j;
  for (size_t i = 0; i < s->n_experts; i++) s->awake[i] = i < v || i / v - 1 == top;
  return s->awake;
}

/* The experts' predictions: those of the voices, over again for each regime. */
static const float *spread(dynamic *s, const float *view) {
  size_t size = s->n_voices * s->n_outputs;
  if (s->n_experts == s->n_voices) return view;
  for (size_t j = 0; j < s->n_experts / s->n_voices; j++)
    memcpy(s->said + j * size, view, size * sizeof *view);
  return s->said;
}

static void to_scores(const dynamic *s, float *out) {
  for (size_t c = 0; s->n_outputs > 1 && c < s->n_outputs; c++)
    out[c] = logf(out[c] > 1e-9f ? out[c] : 1e-9f);
}

static void dynamic_answer(learner *l, const float *view, float *out) {
  dynamic *s = (dynamic *)l;
  online_weights(s->scratch, &s->now, wake(s, view));
  online_mix(out, s->scratch, spread(s, view), s->n_experts, s->n_outputs);
  to_scores(s, out);
}

void dynamic_update(learner *l, const float *view, int32_t y, float value) {
  dynamic *s = (dynamic *)l;
  REQUIRE(l->ops == &learner_dynamic, "dynamic_update: of \"%s\"", l->ops->name);
  double loss = online_update(&s->now, spread(s, view), s->n_outputs, y, (double)value,
                              wake(s, view), s->scratch);
  if (drift_update(&s->watch, loss)) online_reset(&s->now);
}

static void dynamic_keep(learner *l) {
  dynamic *s = (dynamic *)l;
  online_copy(&s->kept, &s->now);
  s->watch_kept = s->watch;
}

static void dynamic_rewind(learner *l) {
  dynamic *s = (dynamic *)l;
  online_copy(&s->now, &s->kept);
  s->watch = s->watch_kept;
}

static size_t dynamic_n_parts(const learner *l) {
  return ((const dynamic *)l)->n_voices + 1;
}

static const char *dynamic_part_name(const learner *l, size_t i) {
  const dynamic *s = (const dynamic *)l;
  if (i < s->specs.n) return s->specs.items[i].text;
  return i < s->n_voices ? selection_names[s->config.selection] : "uniform mean";
}

static void dynamic_part(learner *l, const float *view, size_t i, float *out) {
  const dynamic *s = (const dynamic *)l;
  for (size_t c = 0; c < s->n_outputs; c++) {
    double sum = 0;
    for (size_t m = 0; m < s->specs.n; m++) sum += (double)view[m * s->n_outputs + c];
    out[c] = i < s->n_voices ? view[i * s->n_outputs + c] : (float)(sum / (double)s->specs.n);
  }
  to_scores(s, out);
}

static json_t *dynamic_describe(const learner *l) {
  const dynamic *s = (const dynamic *)l;
  json_t *weights = json_object();
  for (size_t i = 0; weights && i < s->n_experts; i++) {
    char name[SPEC_TEXT_MAX + 32];
    size_t regime = i / s->n_voices;
    snprintf(name, sizeof name, regime ? "%s, regime %zu" : "%s",
             dynamic_part_name(l, i % s->n_voices), regime);
    if (json_object_set_new(weights, name, json_number_or_null(s->now.weight[i])) != 0) {
      json_decref(weights);
      return NULL;
    }
  }
  return json_pack("{s:s, s:I, s:I, s:o}", "rule", online_rule_names[s->config.online.rule],
                   "outcomes", (json_int_t)s->now.ticks, "alarms", (json_int_t)s->watch.alarms,
                   "weights", weights);
}

static const learner_stream stream = {
    .width = dynamic_width,
    .view = dynamic_view,
    .answer = dynamic_answer,
    .observe = dynamic_update,
    .keep = dynamic_keep,
    .rewind = dynamic_rewind,
    .n_parts = dynamic_n_parts,
    .part_name = dynamic_part_name,
    .part = dynamic_part,
    .describe = dynamic_describe,
};

static garam_status dynamic_predict(learner *l, const float *x, const int32_t *begin, size_t n,
                                    float *out, garam_error *err) {
  dynamic *s = (dynamic *)l;
  enum { VIEW_ROWS = 64 };
  size_t window = s->context * s->shape.n_features, width = dynamic_width(l);
  TRY(mem_grow(&s->views, &s->views_capacity, VIEW_ROWS * width, sizeof *s->views, err));
  for (size_t i = 0; i < n; i += VIEW_ROWS) {
    size_t m = n - i < VIEW_ROWS ? n - i : VIEW_ROWS;
    TRY(dynamic_view(l, x + i * window, begin ? begin + i : NULL, m, s->views, err));
    for (size_t j = 0; j < m; j++)
      dynamic_answer(l, s->views + j * width, out + (i + j) * s->n_outputs);
  }
  return GARAM_OK;
}

/* ---- fit ------------------------------------------------------------------------------------- */

/* early, hold and the rest, of the training rows alone. */
static garam_status cut(fold *out, const dynamic *s, const dataset *d, row_set train, uint64_t seed,
                        garam_error *err) {
  dataset view = *d;
  size_t embargo =
      s->config.hold_embargo >= 0 ? (size_t)s->config.hold_embargo : part_label_rows(d, train);
  view.usable = mem_array(d->n_rows + 1, 1);
  if (!view.usable) return fail_memory(err, d->n_rows);
  for (size_t i = 0; i < train.n; i++) view.usable[train.rows[i]] = 1;
  garam_status status =
      fold_holdout(out, &view, s->config.early_share, s->config.hold_share, embargo, seed, err);
  mem_free(view.usable);
  if (status != GARAM_OK) return status;
  if (out->train.n < 16 || out->valid.n < 8 || out->test.n < 1) {
    status = fail(err, GARAM_INVALID,
                  "dynamic: %zu training rows leave %zu for the members, %zu "
                  "to hold out and %zu to aggregate over; at least 16, 8 and 1 are needed",
                  train.n, out->train.n, out->valid.n, out->test.n);
    fold_deinit(out);
  }
  return status;
}

static garam_status fit_members(dynamic *s, const dataset *d, row_set train, row_set valid,
                                const fold *f, const fit_context *fit, fit_summary *summary,
                                garam_error *err) {
  run r;
  garam_status status;
  double best = NAN;
  int which = 1;
  TRY(run_begin(&r, &learner_dynamic, &s->config, d, train, valid, fit, s->specs.n, err));
  for (size_t m = 0; m < s->specs.n; m++) {
    size_t k = s->n_outputs, n = f->valid.n;
    TRY_GOTO(done, run_member(&r, &s->members[m], &s->specs.items[m], d, f->train, f->valid,
                              &s->scaling, err));
    float *z = mem_array(n * k + 1, sizeof *z);
    int32_t *y = mem_array(n + 1, sizeof *y);
    status = z && y ? member_predict_rows(&s->members[m], d, f->valid, z, err)
                    : fail_memory(err, n * k * sizeof *z);
    double loss = 0;
    if (status == GARAM_OK && k > 1) {
      for (size_t i = 0; i < n; i++) y[i] = d->y[f->valid.rows[i]];
      s->temperature[m] = calibrate_temperature(z, y, NULL, n, (int)k);
    }
    for (size_t i = 0; status == GARAM_OK && i < n; i++) {
      temper(s, z + i * k, m);
      loss += online_loss_of(&s->config.online, z + i * k, k, k > 1 ? y[i] : 0,
                             (double)d->value[f->valid.rows[i]]);
    }
    mem_free(z);
    mem_free(y);
    if (status != GARAM_OK) goto done;
    loss /= (double)n;
    if (!(best <= loss)) best = loss, which = (int)m + 1;
    run_unit_done(&r, NAN, loss, NAN, which == (int)m + 1);
  }
  run_end(&r, summary, which, best, dynamic_parameters(&s->base));
  status = GARAM_OK;
done:
  run_deinit(&r);
  return status;
}

static bool find_feature(uint32_t *out, const dataset *d, const char *text, bool whole) {
  for (size_t j = 0; d->feature_names && j < d->n_features; j++)
    if (whole ? strcmp(d->feature_names[j], text) == 0
              : strstr(d->feature_names[j], text) != NULL) {
      *out = (uint32_t)j;
      return true;
    }
  return false;
}

static garam_status choose_regime_features(dynamic *s, const dataset *d, garam_error *err) {
  static const char *const words[REGIME_DIMS][3] = {{"return", "ret", "momentum"},
                                                    {"volatility", "vol", "range"}};
  uint32_t *n = &s->n_regime_features;
  *n = 0;
  if (strcmp(s->config.regime_features, "auto") != 0) {
    char list[256];
    snprintf(list, sizeof list, "%s", s->config.regime_features);
    for (char *rest = list, *name; (name = strsep(&rest, ",")) != NULL;) {
      if (*n == REGIME_DIMS)
        return fail(err, GARAM_INVALID, "--regime-features: more than %d", REGIME_DIMS);
      if (!find_feature(&s->regime_of[*n], d, name, true))
        return fail(err, GARAM_NOT_FOUND, "--regime-features: no feature is named \"%s\"", name);
      (*n)++;
    }
    return GARAM_OK;
  }
  for (size_t i = 0; i < REGIME_DIMS; i++)
    for (size_t w = 0; w < 3; w++)
      if (find_feature(&s->regime_of[*n], d, words[i][w], false)) {
        (*n)++;
        break;
      }
  if (*n == 0) s->regime_of[(*n)++] = 0;
  if (*n == 2 && s->regime_of[0] == s->regime_of[1]) *n = 1;
  return GARAM_OK;
}

/* On rows up to the end of the held ones: nothing of what is aggregated. */
static garam_status fit_regimes(dynamic *s, const dataset *d, const fold *f, garam_error *err) {
  TRY(choose_regime_features(s, d, err));
  size_t first = f->train.rows[0], last = f->valid.rows[f->valid.n - 1], n = 0;
  size_t dims = s->n_regime_features, before = SIZE_MAX;
  float *x = mem_array((last + 1 - first) * dims, sizeof *x);
  uint8_t *begins = mem_array(last + 1 - first, 1);
  garam_status status = x && begins ? GARAM_OK : fail_memory(err, (last + 1 - first) * dims);
  for (size_t i = first; status == GARAM_OK && i <= last; i++) {
    if (!d->usable[i]) continue;
    scaler_apply(&s->scaler, s->row, d->x + i * d->n_features, 1);
    for (size_t j = 0; j < dims; j++) x[n * dims + j] = s->row[s->regime_of[j]];
    size_t series = d->series_begin ? d->series_begin[i] : 0;
    begins[n++] = series != before;
    before = series;
  }
  const hmm_fit_config c = {(int)n_regimes(s), REGIME_ITERATIONS, 1e-6};
  if (status == GARAM_OK) status = hmm_fit(&s->hmm, x, begins, n, (int)dims, &c, NULL, err);
  mem_free(x);
  mem_free(begins);
  return status;
}

/* The held rows, the last ones where there are many, are what competence is judged on. */
static garam_status fit_selection(dynamic *s, const dataset *d, row_set held, garam_error *err) {
  size_t n = held.n < MOST_SELECTION_ROWS ? held.n : MOST_SELECTION_ROWS, k = s->n_outputs;
  size_t width = s->shape.n_features, m = s->specs.n;
  row_set rows = {held.rows + (held.n - n), n};
  float *x = mem_array(n * width, sizeof *x), *score = mem_array(n * m * k, sizeof *score);
  float *one = mem_array(n * k, sizeof *one), *value = mem_array(n, sizeof *value);
  int32_t *y = mem_array(n, sizeof *y);
  garam_status status;
  if (!x || !score || !one || !value || !y) {
    status = fail_memory(err, n * (width + m * k) * sizeof *x);
    goto done;
  }
  for (size_t i = 0; i < n; i++) {
    scaler_apply(&s->scaler, x + i * width, d->x + rows.rows[i] * width, 1);
    y[i] = d->y ? d->y[rows.rows[i]] : 0;
    value[i] = d->value[rows.rows[i]];
  }
  for (size_t j = 0; j < m; j++) {
    TRY_GOTO(done, member_predict_rows(&s->members[j], d, rows, one, err));
    for (size_t i = 0; i < n; i++) {
      float *to = score + (i * m + j) * k;
      memcpy(to, one + i * k, k * sizeof *to);
      temper(s, to, j);
    }
  }
  status = des_fit(&s->des, &s->config.des, x, score, y, value, n, width, m, k, err);
done:
  mem_free(x);
  mem_free(score);
  mem_free(one);
  mem_free(value);
  mem_free(y);
  return status;
}

static garam_status aggregate(dynamic *s, const dataset *d, row_set rows, garam_error *err) {
  enum { BATCH = 256 };
  size_t width = dynamic_width(&s->base), window = s->context * s->shape.n_features;
  size_t most = ((size_t)1 << 20) / window;
  most = most < 1 ? 1 : most > BATCH ? BATCH : most;
  float *views = mem_array(rows.n * width, sizeof *views), *x = mem_array(most * window, sizeof *x);
  int32_t *begin = mem_array(most, sizeof *begin);
  uint32_t *at = mem_array(d->n_rows + 1, sizeof *at);
  garam_status status;
  if (!views || !x || !begin || !at) {
    status = fail_memory(err, rows.n * width * sizeof *views);
    goto done;
  }
  for (size_t i = 0; i < rows.n; i++) at[rows.rows[i]] = (uint32_t)i;
  for (size_t i = 0; i < rows.n; i += most) {
    size_t n = rows.n - i < most ? rows.n - i : most;
    dataset_gather(x, begin, d, rows.rows + i, n, s->context);
    TRY_GOTO(done, dynamic_view(&s->base, x, begin, n, views + i * width, err));
  }
  status =
      stream_walk(&s->base, d, (row_set){0}, rows, views, at, s->n_outputs, true, NULL, NULL, err);
done:
  mem_free(views);
  mem_free(x);
  mem_free(begin);
  mem_free(at);
  return status;
}

static garam_status dynamic_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                const fit_context *fit, fit_summary *summary, garam_error *err) {
  dynamic *s = (dynamic *)l;
  fold f = {0};
  garam_status status;
  *summary = (fit_summary){0};
  TRY(cut(&f, s, d, train, fit ? fit->seed : 0, err));
  TRY_GOTO(done, fit_members(s, d, train, valid, &f, fit, summary, err));
  if (has_selection(s) || n_regimes(s)) {
    scaler_deinit(&s->scaler);
    TRY_GOTO(done, scaler_fit(&s->scaler, (scaler_kind)s->config.scaling, s->config.clip, d,
                              f.train, err));
  }
  des_deinit(&s->des);
  if (has_selection(s)) TRY_GOTO(done, fit_selection(s, d, f.valid, err));
  if (n_regimes(s)) TRY_GOTO(done, fit_regimes(s, d, &f, err));
  online_reset(&s->now);
  drift_init(&s->watch, &s->config.drift);
  TRY_GOTO(done, aggregate(s, d, f.test, err));
  dynamic_keep(l);
done:
  fold_deinit(&f);
  if (status != GARAM_OK) fit_summary_deinit(summary);
  return status;
}

/* ---- packages -------------------------------------------------------------------------------- */

static garam_status dynamic_save(const learner *l, package_writer *w, const char *prefix,
                                 garam_error *err) {
  const dynamic *s = (const dynamic *)l;
  char name[PREFIX_MAX + 32];
  int64_t n = (int64_t)s->specs.n, features = (int64_t)s->shape.n_features;
  for (size_t m = 0; m < s->specs.n; m++) {
    snprintf(name, sizeof name, "%sm%zu.", prefix, m);
    TRY(member_save(&s->members[m], w, name, err));
  }
  snprintf(name, sizeof name, "%stemperature", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 1, &n, s->temperature, err));
  snprintf(name, sizeof name, "%sonline.", prefix);
  TRY(online_save(&s->kept, w, name, err));
  snprintf(name, sizeof name, "%sonline.", prefix);
  TRY(drift_save(&s->watch_kept, w, name, err));
  if (s->scaler.n) {
    snprintf(name, sizeof name, "%scenter", prefix);
    TRY(package_add(w, name, PACKAGE_F32, 1, &features, s->scaler.center, err));
    snprintf(name, sizeof name, "%sinverse", prefix);
    TRY(package_add(w, name, PACKAGE_F32, 1, &features, s->scaler.inverse, err));
  }
  snprintf(name, sizeof name, "%sselection.", prefix);
  if (has_selection(s)) TRY(des_save(&s->des, w, name, err));
  if (!n_regimes(s)) return GARAM_OK;
  int64_t n_regime = s->n_regime_features;
  snprintf(name, sizeof name, "%sregimes.features", prefix);
  TRY(package_add(w, name, PACKAGE_U32, 1, &n_regime, s->regime_of, err));
  snprintf(name, sizeof name, "%sregimes.", prefix);
  return hmm_save(&s->hmm, w, name, err);
}

static garam_status load_scaler(dynamic *s, const package_reader *r, const char *prefix,
                                garam_error *err) {
  char name[PREFIX_MAX + 32];
  const package_tensor *center, *inverse;
  size_t n = s->shape.n_features;
  int64_t dims = (int64_t)n;
  snprintf(name, sizeof name, "%scenter", prefix);
  TRY(package_get_finite(&center, r, name, PACKAGE_F32, 1, &dims, err));
  snprintf(name, sizeof name, "%sinverse", prefix);
  TRY(package_get_finite(&inverse, r, name, PACKAGE_F32, 1, &dims, err));
  s->scaler = (scaler){.n = n, .clip = (float)s->config.clip};
  s->scaler.center = mem_array(n, sizeof *s->scaler.center);
  s->scaler.inverse = mem_array(n, sizeof *s->scaler.inverse);
  if (!s->scaler.center || !s->scaler.inverse) return fail_memory(err, n * sizeof(float));
  memcpy(s->scaler.center, center->data, center->bytes);
  memcpy(s->scaler.inverse, inverse->data, inverse->bytes);
  return GARAM_OK;
}

static garam_status load_regimes(dynamic *s, const package_reader *r, const char *prefix,
                                 garam_error *err) {
  char name[PREFIX_MAX + 32];
  const package_tensor *t;
  int64_t any = -1;
  snprintf(name, sizeof name, "%sregimes.features", prefix);
  TRY(package_get(&t, r, name, PACKAGE_U32, 1, &any, err));
  const uint32_t *features = t->data;
  bool sound = t->count >= 1 && t->count <= REGIME_DIMS;
  for (size_t i = 0; sound && i < t->count; i++) {
    sound = features[i] < s->shape.n_features;
    s->regime_of[i] = features[i];
  }
  if (!sound)
    return fail(err, GARAM_CORRUPT, "%s: \"%s\": not 1 to %d features of %zu", package_name(r),
                name, REGIME_DIMS, s->shape.n_features);
  s->n_regime_features = (uint32_t)t->count;
  snprintf(name, sizeof name, "%sregimes.", prefix);
  return hmm_load(&s->hmm, (int)n_regimes(s), (int)t->count, r, name, err);
}

static garam_status load_members(dynamic *s, package_reader *r, const char *prefix,
                                 garam_error *err) {
  char name[PREFIX_MAX + 32];
  const package_tensor *t;
  int64_t n = (int64_t)s->specs.n;
  snprintf(name, sizeof name, "%stemperature", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F64, 1, &n, err));
  memcpy(s->temperature, t->data, t->bytes);
  for (size_t m = 0; m < s->specs.n; m++)
    if (!(s->temperature[m] >= 1e-3 && s->temperature[m] <= 1e3))
      return fail(err, GARAM_CORRUPT, "%s: \"%s\": %g is no temperature", package_name(r), name,
                  s->temperature[m]);
  for (; s->made < s->specs.n; s->made++) {
    snprintf(name, sizeof name, "%sm%zu.", prefix, s->made);
    TRY(member_load(&s->members[s->made], &s->specs.items[s->made], &s->shape, 0, &s->scaling, r,
                    name, err));
  }
  return GARAM_OK;
}

static garam_status dynamic_load(learner **out, const void *c, const learner_shape *shape,
                                 package_reader *r, const char *prefix, garam_error *err) {
  dynamic *s;
  char name[PREFIX_MAX + 32];
  garam_status status;
  *out = NULL;
  TRY(dynamic_new(&s, c, shape, err));
  if (strlen(prefix) >= PREFIX_MAX)
    TRY_GOTO(done, fail(err, GARAM_LIMIT, "%s: nested too deep", package_name(r)));
  TRY_GOTO(done, load_members(s, r, prefix, err));
  TRY_GOTO(done, settle(s, err));
  snprintf(name, sizeof name, "%sonline.", prefix);
  TRY_GOTO(done, online_load(&s->kept, s->n_experts, &s->config.online, r, name, err));
  TRY_GOTO(done, drift_load(&s->watch_kept, &s->config.drift, r, name, err));
  TRY_GOTO(done, online_new(&s->now, s->n_experts, &s->config.online, err));
  if (has_selection(s) || n_regimes(s)) TRY_GOTO(done, load_scaler(s, r, prefix, err));
  snprintf(name, sizeof name, "%sselection.", prefix);
  if (has_selection(s))
    TRY_GOTO(done, des_load(&s->des, &s->config.des, shape->n_features, s->specs.n, s->n_outputs, r,
                            name, err));
  if (n_regimes(s)) TRY_GOTO(done, load_regimes(s, r, prefix, err));
  dynamic_rewind(&s->base);
  *out = &s->base;
  return GARAM_OK;
done:
  dynamic_destroy(&s->base);
  return status;
}

const learner_ops learner_dynamic = {
    .name = "dynamic",
    .summary = "members weighed online by their losses, as outcomes become known",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .create = dynamic_create,
    .destroy = dynamic_destroy,
    .context = dynamic_context,
    .fit = dynamic_fit,
    .predict = dynamic_predict,
    .save = dynamic_save,
    .load = dynamic_load,
    .parameters = dynamic_parameters,
    .stream = &stream,
};
