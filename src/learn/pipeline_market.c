/* Bars to datasets: features known at their time, labels with the time they are known. */
#include "learn/pipeline_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const three_classes[] = {"down", "flat", "up"};
static const char *const two_classes[] = {"down", "up"};

/* The matrix itself goes over into the dataset, made without features: it is the largest thing
 * there is. A row before the look back is over can't be predicted from, and no window reaches
 * into it. */
static garam_status take_features(dataset *d, const bars *b, feature_matrix *m, garam_error *err) {
  size_t n = d->n_rows, warmup = m->warmup < n ? m->warmup : n;
  TRY(names_copy(&d->feature_names, m->names, m->n_features, err));
  mem_free(d->x);
  d->x = m->x;
  d->n_features = m->n_features;
  m->x = NULL;
  d->series_begin = mem_array(n, sizeof *d->series_begin);
  if (!d->series_begin) return fail_memory(err, n * sizeof *d->series_begin);
  for (size_t i = 0; i < n; i++) {
    d->series_begin[i] = (uint32_t)(i < warmup ? i : warmup);
    bool any = false;
    for (size_t j = 0; j < m->n_features && !any; j++) any = !isnan(d->x[i * m->n_features + j]);
    d->usable[i] = i >= warmup && any;
  }
  if (!b->time) return GARAM_OK;
  d->known_at = mem_array(n, sizeof *d->known_at);
  if (!d->known_at) return fail_memory(err, n * sizeof *d->known_at);
  memcpy(d->known_at, b->known_at, n * sizeof *d->known_at);
  return GARAM_OK;
}

/* Bars without a time are still in order: the row number is the time (b->known_at). */
static garam_status take_labels(dataset *d, const bars *b, const labels *l, garam_error *err) {
  size_t n = d->n_rows;
  if (!d->known_at) {
    d->known_at = mem_array(n, sizeof *d->known_at);
    if (!d->known_at) return fail_memory(err, n * sizeof *d->known_at);
    memcpy(d->known_at, b->known_at, n * sizeof *d->known_at);
  }
  if (!d->label_end) d->label_end = mem_array(n, sizeof *d->label_end);
  if (!d->label_end) return fail_memory(err, n * sizeof *d->label_end);
  memcpy(d->label_end, l->end, n * sizeof *d->label_end);
  for (size_t i = 0; i < n; i++) {
    d->value[i] = (float)l->value[i];
    if (d->y) d->y[i] = l->y[i];
  }
  return GARAM_OK;
}

static garam_status class_names_copy(char ***out, int n_classes, garam_error *err) {
  *out = mem_array((size_t)n_classes, sizeof **out);
  if (!*out) return fail_memory(err, 64);
  for (int i = 0; i < n_classes; i++) {
    (*out)[i] = mem_strdup(n_classes == 3 ? three_classes[i] : two_classes[i]);
    if (!(*out)[i]) return fail_memory(err, 8);
  }
  return GARAM_OK;
}

static garam_status check_features(const pipeline *p, const table *t, garam_error *err) {
  size_t look_back;
  TRY(features_look_back(&look_back, p->feature_names, p->shape.n_features, err));
  if (t->n_rows < look_back)
    return fail(err, GARAM_INVALID, "%s: %zu rows, but the model's features look back over %zu",
                t->source, t->n_rows, look_back);
  return GARAM_OK;
}

garam_status market_dataset(dataset **out, bars **bars_out, labels **labels_out, const pipeline *p,
                            const table *t, bool labelled, garam_error *err) {
  bars *b = NULL;
  feature_matrix *m = NULL;
  labels *l = NULL;
  dataset *d = NULL;
  garam_status status;
  *out = NULL;
  TRY_GOTO(done, bars_open(&b, t, &p->config.bars, err));
  TRY_GOTO(done, check_features(p, t, err));
  TRY_GOTO(done, features_compute_named(&m, b, p->feature_names, p->shape.n_features, err));
  TRY_GOTO(done, dataset_new(&d, p->shape.task, b->n_rows, 0, p->shape.n_classes, err));
  TRY_GOTO(done, take_features(d, b, m, err));
  if (d->n_classes > 0) TRY_GOTO(done, class_names_copy(&d->class_names, d->n_classes, err));
  if (labelled) {
    label_spec spec = p->config.label;
    spec.dead_band = p->dead_band;
    TRY_GOTO(done, labels_compute(&l, b, &spec, 0, err));
    TRY_GOTO(done, take_labels(d, b, l, err));
    TRY_GOTO(done, pipeline_rows(d, p, t, false, err));
  }
  *out = d;
  d = NULL;
  if (bars_out) *bars_out = b, b = NULL;
  if (labels_out) *labels_out = l, l = NULL;
done:
  dataset_free(d);
  labels_free(l);
  feature_matrix_free(m);
  bars_free(b);
  return status;
}

/* The first row after training in a split of the rows whose outcome is known: an automatic dead
 * band may look at the outcomes before it. */
static size_t training_rows(const fold *f, size_t n_rows) {
  if (f->valid.n > 0) return f->valid.rows[0];
  if (f->test.n > 0) return f->test.rows[0];
  return n_rows;
}

garam_status market_prepare(dataset **out, fold *split, pipeline *p, const table *t, bool all_train,
                            garam_error *err) {
  bars *b = NULL;
  feature_matrix *m = NULL;
  labels *l = NULL;
  dataset *d = NULL;
  fold rough = {0};
  label_spec *spec = &p->config.label;
  double train = all_train ? 1 : p->config.train_share;
  double valid = all_train ? 0 : p->config.valid_share;
  uint64_t seed = (uint64_t)p->config.seed;
  garam_status status;
  *out = NULL;
  TRY_GOTO(done, bars_open(&b, t, &p->config.bars, err));
  snprintf(p->roles, sizeof p->roles, "%s", b->role_names);
  if (b->n_rows <= (size_t)spec->horizon) {
    status = fail(err, GARAM_INVALID,
                  "%s: %zu rows, but --horizon %d needs at least %d: no outcome is known",
                  t->source, b->n_rows, spec->horizon, spec->horizon + 1);
    goto done;
  }
  TRY_GOTO(done, features_compute(&m, b, &p->config.features, err));
  /* The outcome of a row is known or not whatever the dead band is: split by that first, so that
   * the band is chosen on the rows that will be trained on. */
  label_spec any = *spec;
  if (any.dead_band < 0) any.dead_band = 1e-9;
  TRY_GOTO(done, labels_compute(&l, b, &any, 0, err));
  if (l->warning[0]) TRY_GOTO(done, pipeline_warn(p, err, "%s", l->warning));
  int n_classes = spec->regression ? 0 : l->n_classes;
  TRY_GOTO(done, dataset_new(&d, p->shape.task, b->n_rows, 0, n_classes, err));
  TRY_GOTO(done, take_features(d, b, m, err));
  TRY_GOTO(done, take_labels(d, b, l, err));
  TRY_GOTO(done, fold_holdout(&rough, d, train, valid, pipeline_embargo(p), seed, err));
  p->dead_band = spec->regression ? 0 : l->dead_band;
  if (!spec->regression && spec->dead_band < 0) {
    labels_free(l);
    l = NULL;
    TRY_GOTO(done, labels_compute(&l, b, spec, training_rows(&rough, b->n_rows), err));
    TRY_GOTO(done, take_labels(d, b, l, err));
    p->dead_band = l->dead_band;
  }
  TRY_GOTO(done, pipeline_rows(d, p, t, true, err));
  p->shape.n_classes = n_classes;
  p->shape.n_features = m->n_features;
  TRY_GOTO(done, names_copy(&p->feature_names, m->names, m->n_features, err));
  if (n_classes > 0) {
    TRY_GOTO(done, class_names_copy(&p->class_names, n_classes, err));
    TRY_GOTO(done, class_names_copy(&d->class_names, n_classes, err));
  }
  TRY_GOTO(done, fold_holdout(split, d, train, valid, pipeline_embargo(p), seed, err));
  *out = d;
  d = NULL;
done:
  fold_deinit(&rough);
  dataset_free(d);
  labels_free(l);
  feature_matrix_free(m);
  bars_free(b);
  return status;
}
