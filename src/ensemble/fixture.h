/* What the tests of this room share: data with known answers and labels that overlap, and a learner
 * that remembers the rows it was shown and tells when it is asked about one of them. A test file
 * includes it once; it brings its own registry, in place of src/api's. */
#ifndef ENSEMBLE_FIXTURE_H
#define ENSEMBLE_FIXTURE_H

#include "ensemble/ensemble.h"

#include "base/mem.h"
#include "base/rng.h"
#include "learn/linear.h"
#include "train/net_learner.h"
#include "tree/gbdt.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- data -------------------------------------------------------------------------------------
 */

enum { FIXTURE_ROWS = 1500, FIXTURE_FEATURES = 4, FIXTURE_HORIZON = 7 };
static uint32_t fixture_rows[FIXTURE_ROWS];

/* Rows an hour apart whose label spans the next `horizon` hours. Feature 0 is the row's number; the
 * others carry `signal` times what is to come. The target is a sum of `horizon` steps of noise, so
 * the labels of neighbours share what they are made of. n_classes 0: regression. */
static inline dataset *fixture_market(size_t n, int n_classes, double signal, size_t horizon,
                                      uint64_t seed) {
  task kind = n_classes == 0 ? TASK_REGRESSION : n_classes == 2 ? TASK_BINARY : TASK_CLASSIFICATION;
  dataset *d;
  garam_error err;
  if (dataset_new(&d, kind, n, FIXTURE_FEATURES, n_classes, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  d->known_at = mem_array(n, sizeof *d->known_at);
  d->label_end = mem_array(n, sizeof *d->label_end);
  double *step = mem_array(n + horizon, sizeof *step);
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  for (size_t i = 0; i < n + horizon; i++) step[i] = rng_normal(&r);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t j = 0; j < horizon; j++) sum += step[i + j];
    sum /= sqrt((double)horizon);
    fixture_rows[i] = (uint32_t)i;
    d->known_at[i] = (int64_t)i * 3600;
    d->label_end[i] = (int64_t)(i + horizon) * 3600;
    d->value[i] = (float)sum;
    if (n_classes == 2) d->y[i] = sum > 0;
    if (n_classes == 3) d->y[i] = sum < -0.43 ? 0 : sum > 0.43 ? 2 : 1;
    float *x = d->x + i * FIXTURE_FEATURES;
    x[0] = (float)i;
    for (int j = 1; j < FIXTURE_FEATURES; j++)
      x[j] = (float)(signal * sum * (j == 3 ? sum : 1) + 0.7 * rng_normal(&r));
  }
  mem_free(step);
  return d;
}

static inline row_set fixture_set(size_t begin, size_t end) {
  return (row_set){fixture_rows + begin, end - begin};
}

static inline learner_shape fixture_shape(const dataset *d) {
  return (learner_shape){d->task, d->n_features, d->n_classes};
}

/* ---- the learner that remembers -----------------------------------------------------------------
 */

/* What the memories have to say: rows asked about, and of these those whose label overlaps one that
 * the asked memory was shown (in training or to stop by). Times are the fixture's. */
static struct {
  size_t asked, overlapping, fits, most_shown;
  int64_t label; /* seconds that a label spans */
} fixture_watch;

typedef struct memory {
  learner base;
  learner_shape shape;
  uint8_t *shown; /* (FIXTURE_ROWS) 1 trained on, 2 stopped by */
  float *answer;  /* (FIXTURE_ROWS, outputs) */
  size_t k;
} memory;

typedef struct memory_config {
  int patience;
} memory_config;

static const opt_row memory_options[] = {
    {"patience", OPT_INT, OPT_AT(memory_config, patience), .def = 1, .min = 0, .max = 9,
     .help = "asks for rows to stop by"},
};

static const learner_ops fixture_memory;

static inline void memory_destroy(learner *l) {
  memory *m = (memory *)l;
  if (!m) return;
  mem_free(m->shown);
  mem_free(m->answer);
  mem_free(m);
}

static inline garam_status memory_create(learner **out, const void *config,
                                         const learner_shape *shape, garam_error *err) {
  memory *m = mem_zalloc(sizeof *m);
  (void)config;
  *out = NULL;
  if (!m) return fail_memory(err, sizeof *m);
  m->base.ops = &fixture_memory;
  m->shape = *shape;
  m->k = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  m->shown = mem_array(FIXTURE_ROWS, 1);
  m->answer = mem_array(FIXTURE_ROWS * m->k, sizeof *m->answer);
  if (!m->shown || !m->answer) {
    memory_destroy(&m->base);
    return fail_memory(err, FIXTURE_ROWS);
  }
  *out = &m->base;
  return GARAM_OK;
}

static inline size_t memory_context(const learner *l) {
  (void)l;
  return 1;
}

static inline garam_status memory_fit(learner *l, const dataset *d, row_set train, row_set valid,
                                      const fit_context *fit, fit_summary *summary,
                                      garam_error *err) {
  memory *m = (memory *)l;
  (void)fit;
  (void)err;
  memset(m->shown, 0, FIXTURE_ROWS);
  for (size_t i = 0; i < train.n; i++) {
    uint32_t row = train.rows[i];
    m->shown[row] = 1;
    for (size_t c = 0; c < m->k; c++)
      m->answer[row * m->k + c] = m->k == 1 ? d->value[row] : d->y[row] == (int32_t)c ? 3.0F : 0.0F;
  }
  for (size_t i = 0; i < valid.n; i++) {
    uint32_t row = valid.rows[i];
    /* What stops a fit early must not overlap what it is trained on either. */
    for (size_t j = 0; j < train.n; j++)
      fixture_watch.overlapping +=
          llabs((int64_t)row - (int64_t)train.rows[j]) * 3600 <= fixture_watch.label;
    m->shown[row] = 2;
  }
  fixture_watch.fits++;
  if (train.n > fixture_watch.most_shown) fixture_watch.most_shown = train.n;
  *summary = (fit_summary){.epochs = 1, .best_epoch = 1, .best_valid_loss = NAN};
  return GARAM_OK;
}

/* The answer of the nearest row that it was trained on: right where labels overlap. */
static inline garam_status memory_predict(learner *l, const float *x, const int32_t *begin,
                                          size_t n, float *out, garam_error *err) {
  memory *m = (memory *)l;
  (void)begin;
  (void)err;
  for (size_t i = 0; i < n; i++) {
    int64_t row = (int64_t)x[i * m->shape.n_features];
    int64_t nearest = -1;
    bool overlaps = false;
    for (int64_t j = 0; j < FIXTURE_ROWS; j++) {
      if (!m->shown[j]) continue;
      overlaps |= llabs(row - j) * 3600 <= fixture_watch.label;
      if (m->shown[j] == 1 && (nearest < 0 || llabs(row - j) < llabs(row - nearest))) nearest = j;
    }
    fixture_watch.asked++;
    fixture_watch.overlapping += overlaps;
    for (size_t c = 0; c < m->k; c++)
      out[i * m->k + c] = nearest < 0 ? 0 : m->answer[(size_t)nearest * m->k + c];
  }
  return GARAM_OK;
}

static inline garam_status memory_save(const learner *l, package_writer *w, const char *prefix,
                                       garam_error *err) {
  const memory *m = (const memory *)l;
  char name[128];
  int64_t n = FIXTURE_ROWS, dims[2] = {FIXTURE_ROWS, (int64_t)m->k};
  snprintf(name, sizeof name, "%sshown", prefix);
  TRY(package_add(w, name, PACKAGE_U8, 1, &n, m->shown, err));
  snprintf(name, sizeof name, "%sanswer", prefix);
  return package_add(w, name, PACKAGE_F32, 2, dims, m->answer, err);
}

static inline garam_status memory_load(learner **out, const void *config,
                                       const learner_shape *shape, package_reader *r,
                                       const char *prefix, garam_error *err) {
  const package_tensor *shown, *answer;
  char name[128];
  int64_t n = FIXTURE_ROWS, dims[2] = {FIXTURE_ROWS, -1};
  *out = NULL;
  snprintf(name, sizeof name, "%sshown", prefix);
  TRY(package_get(&shown, r, name, PACKAGE_U8, 1, &n, err));
  snprintf(name, sizeof name, "%sanswer", prefix);
  TRY(package_get(&answer, r, name, PACKAGE_F32, 2, dims, err));
  TRY(memory_create(out, config, shape, err));
  memory *m = (memory *)*out;
  memcpy(m->shown, shown->data, shown->bytes);
  memcpy(m->answer, answer->data, answer->bytes);
  return GARAM_OK;
}

static inline size_t memory_parameters(const learner *l) {
  (void)l;
  return FIXTURE_ROWS;
}

static const learner_ops fixture_memory = {
    .name = "memory",
    .summary = "remembers the rows that it was shown",
    .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION,
    .options = memory_options,
    .n_options = COUNT_OF(memory_options),
    .config_size = sizeof(memory_config),
    .create = memory_create,
    .destroy = memory_destroy,
    .context = memory_context,
    .fit = memory_fit,
    .predict = memory_predict,
    .save = memory_save,
    .load = memory_load,
    .parameters = memory_parameters,
};

/* ---- a learner by settings
 * ---------------------------------------------------------------------- */

#define FIXTURE_REGISTRY(...)                                                                      \
  const learner_ops *const learner_registry[] = {                                                  \
      &fixture_memory, &linear_ops, &learner_mlp, &learner_lstm, &gbdt_ops, __VA_ARGS__, NULL}

static inline void *fixture_config(const learner_ops *ops, const char *const *settings) {
  void *config = mem_zalloc(ops->config_size);
  opt_defaults(ops->options, ops->n_options, config);
  for (; settings && *settings; settings++) {
    char name[64];
    const char *equals = strchr(*settings, '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals - *settings), *settings);
    const opt_row *row = opt_find(ops->options, ops->n_options, name);
    if (!row) fail_msg("%s has no option %s", ops->name, name);
    garam_error err;
    if (opt_set_text(row, config, equals + 1, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  return config;
}

static inline learner *fixture_learner(const learner_ops *ops, const char *const *settings,
                                       const dataset *d) {
  learner_shape shape = fixture_shape(d);
  learner *l;
  garam_error err;
  void *config = fixture_config(ops, settings);
  if (ops->create(&l, config, &shape, &err) != GARAM_OK) fail_msg("%s", err.message);
  mem_free(config);
  return l;
}

static inline void fixture_fit(learner *l, const dataset *d, row_set train, row_set valid,
                               const fit_context *fit, fit_summary *summary) {
  garam_error err;
  fit_summary own = {0};
  if (l->ops->fit(l, d, train, valid, fit, summary ? summary : &own, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  fit_summary_deinit(&own);
}

/* Class scores, or values, of rows; mem_free. */
static inline float *fixture_scores(learner *l, const dataset *d, row_set rows) {
  size_t context = l->ops->context(l), k = d->n_classes > 0 ? (size_t)d->n_classes : 1;
  float *x = mem_array(rows.n * context * d->n_features, sizeof *x);
  float *out = mem_array(rows.n * k, sizeof *out);
  int32_t *begin = mem_array(rows.n, sizeof *begin);
  garam_error err;
  dataset_gather(x, begin, d, rows.rows, rows.n, context);
  if (l->ops->predict(l, x, begin, rows.n, out, &err) != GARAM_OK) fail_msg("%s", err.message);
  mem_free(x);
  mem_free(begin);
  return out;
}

static inline double fixture_accuracy(learner *l, const dataset *d, row_set rows) {
  float *scores = fixture_scores(l, d, rows);
  size_t k = (size_t)d->n_classes, hits = 0;
  for (size_t i = 0; i < rows.n; i++) {
    size_t top = 0;
    for (size_t c = 1; c < k; c++)
      if (scores[i * k + c] > scores[i * k + top]) top = c;
    hits += (int32_t)top == d->y[rows.rows[i]];
  }
  mem_free(scores);
  return (double)hits / (double)rows.n;
}

/* Saves under "learner.", loads it back into another. */
static inline learner *fixture_saved(const learner *l, const char *const *settings,
                                     const dataset *d) {
  static const char path[] = "/tmp/garam-ensemble-fixture.safetensors";
  char own[96];
  snprintf(own, sizeof own, "%s.%d", path, (int)getpid());
  garam_error err;
  package_writer *w;
  package_reader *r;
  learner *back;
  learner_shape shape = fixture_shape(d);
  void *config = fixture_config(l->ops, settings);
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  if (l->ops->save(l, w, "learner.", &err) != GARAM_OK) fail_msg("%s", err.message);
  if (package_write(w, own, &err) != GARAM_OK) fail_msg("%s", err.message);
  package_writer_free(w);
  if (package_open(&r, own, &err) != GARAM_OK) fail_msg("%s", err.message);
  if (l->ops->load(&back, config, &shape, r, "learner.", &err) != GARAM_OK)
    fail_msg("%s", err.message);
  package_close(r);
  unlink(own);
  mem_free(config);
  return back;
}

#endif
