/* A learner inside another: see member.h. */
#include "ensemble/member.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { PREDICT_ROWS = 256, NAME_MAX_BYTES = 160 };

/* ---- life -------------------------------------------------------------------------------- */

static garam_status take_features(member *m, const uint32_t *features, size_t n_features,
                                  garam_error *err) {
  if (!features) return GARAM_OK;
  m->features = mem_array(n_features, sizeof *m->features);
  if (!m->features) return fail_memory(err, n_features * sizeof *m->features);
  memcpy(m->features, features, n_features * sizeof *features);
  m->shape.n_features = n_features;
  return GARAM_OK;
}

static garam_status begin(member *m, const member_spec *spec, const learner_shape *outer,
                          const uint32_t *features, size_t n_features, garam_error *err) {
  *m = (member){.ops = spec->ops,
                .outer = *outer,
                .shape = *outer,
                .n_outputs = outer->task == TASK_REGRESSION ? 1 : (size_t)outer->n_classes,
                .value = {0, 1}};
  return take_features(m, features, n_features, err);
}

garam_status member_init(member *m, const member_spec *spec, const learner_shape *outer,
                         const uint32_t *features, size_t n_features, garam_error *err) {
  garam_status status = begin(m, spec, outer, features, n_features, err);
  if (status == GARAM_OK) status = m->ops->create(&m->learner, spec->config, &m->shape, err);
  if (status == GARAM_OK) m->context = m->ops->context(m->learner);
  else member_deinit(m);
  return status;
}

void member_deinit(member *m) {
  if (m->learner) m->ops->destroy(m->learner);
  scaler_deinit(&m->scaler);
  mem_free(m->features);
  mem_free(m->x);
  mem_free(m->begin);
  *m = (member){0};
}

/* ---- fit --------------------------------------------------------------------------------- */

/* Rows x (n, outer) as the member sees them, into out (n, own). */
static void view_rows(const member *m, float *out, const float *x, size_t n) {
  size_t outer = m->outer.n_features, own = m->shape.n_features;
  if (!m->features) {
    if (m->scaler.n) scaler_apply(&m->scaler, out, x, n);
    else memcpy(out, x, n * own * sizeof *out);
    return;
  }
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < own; j++) out[i * own + j] = x[i * outer + m->features[j]];
  if (m->scaler.n) scaler_apply(&m->scaler, out, out, n);
}

/* What the view's own arrays are. */
typedef struct view {
  dataset d; /* shares all else with the raw one */
  float *x, *value;
  char **names;
} view;

static void view_deinit(view *v) {
  mem_free(v->x);
  mem_free(v->value);
  mem_free(v->names);
}

static garam_status scale_values(member *m, view *v, const dataset *d, row_set train,
                                 garam_error *err) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < train.n; i++) sum += (double)d->value[train.rows[i]];
  double mean = train.n ? sum / (double)train.n : 0;
  for (size_t i = 0; i < train.n; i++) {
    double off = (double)d->value[train.rows[i]] - mean;
    squares += off * off;
  }
  double spread = train.n ? sqrt(squares / (double)train.n) : 0;
  m->value[0] = mean;
  m->value[1] = spread > 0 && isfinite(spread) ? spread : 1;
  v->value = mem_array(d->n_rows + 1, sizeof *v->value);
  if (!v->value) return fail_memory(err, d->n_rows * sizeof *v->value);
  for (size_t i = 0; i < d->n_rows; i++)
    v->value[i] = (float)(((double)d->value[i] - m->value[0]) / m->value[1]);
  v->d.value = v->value;
  return GARAM_OK;
}

static garam_status view_of(view *v, member *m, const dataset *d, row_set train,
                            const member_scaling *scaling, garam_error *err) {
  *v = (view){.d = *d};
  scaler_deinit(&m->scaler);
  m->value[0] = 0;
  m->value[1] = 1;
  if (!m->ops->wants_scaled && !m->features) return GARAM_OK;
  size_t own = m->shape.n_features, size;
  if (!size_mul(&size, d->n_rows, own)) return fail_memory(err, SIZE_MAX);
  v->x = mem_array(size, sizeof *v->x);
  if (!v->x) return fail_memory(err, size * sizeof *v->x);
  view_rows(m, v->x, d->x, d->n_rows);
  v->d.x = v->x;
  v->d.n_features = own;
  if (m->features && d->feature_names) {
    v->names = mem_array(own, sizeof *v->names);
    if (!v->names) return fail_memory(err, own * sizeof *v->names);
    for (size_t j = 0; j < own; j++) v->names[j] = d->feature_names[m->features[j]];
    v->d.feature_names = v->names;
  }
  if (!m->ops->wants_scaled) return GARAM_OK;
  TRY(scaler_fit(&m->scaler, (scaler_kind)scaling->kind, scaling->clip, &v->d, train, err));
  scaler_apply(&m->scaler, v->x, v->x, d->n_rows);
  return m->shape.task == TASK_REGRESSION ? scale_values(m, v, d, train, err) : GARAM_OK;
}

garam_status member_fit(member *m, const dataset *d, row_set train, row_set valid,
                        const member_scaling *scaling, const fit_context *fit, fit_summary *summary,
                        garam_error *err) {
  REQUIRE(d->n_features == m->outer.n_features && d->task == m->outer.task,
          "member_fit: the dataset is not of the shape that \"%s\" was created for", m->ops->name);
  view v;
  fit_summary own = {0};
  garam_status status = view_of(&v, m, d, train, scaling, err);
  if (status == GARAM_OK)
    status = m->ops->fit(m->learner, &v.d, train, valid, fit, summary ? summary : &own, err);
  fit_summary_deinit(&own);
  view_deinit(&v);
  return status;
}

/* ---- predict ----------------------------------------------------------------------------- */

garam_status member_predict(member *m, const float *x, const int32_t *begins, size_t n,
                            size_t context, float *out, garam_error *err) {
  size_t outer = m->outer.n_features, own = m->shape.n_features, window = m->context * own;
  size_t ahead = context - m->context; /* rows of the window that are before the member's */
  REQUIRE(context >= m->context, "member_predict: a window of %zu for \"%s\", which takes %zu",
          context, m->ops->name, m->context);
  if (ahead > 0 || m->scaler.n || m->features) {
    size_t size;
    if (!size_mul(&size, n, window)) return fail_memory(err, SIZE_MAX);
    TRY(mem_grow(&m->x, &m->x_capacity, size, sizeof *m->x, err));
    TRY(mem_grow(&m->begin, &m->begin_capacity, n, sizeof *m->begin, err));
    for (size_t i = 0; i < n; i++) {
      int32_t padding = begins ? begins[i] - (int32_t)ahead : 0;
      m->begin[i] = padding > 0 ? padding : 0;
      view_rows(m, m->x + i * window, x + (i * context + ahead) * outer, m->context);
      memset(m->x + i * window, 0, (size_t)m->begin[i] * own * sizeof *m->x);
    }
    x = m->x;
    begins = m->begin;
  }
  TRY(m->ops->predict(m->learner, x, begins, n, out, err));
  if (m->shape.task != TASK_REGRESSION || !m->scaler.n) return GARAM_OK;
  for (size_t i = 0; i < n; i++) out[i] = (float)(m->value[0] + m->value[1] * (double)out[i]);
  return GARAM_OK;
}

garam_status member_predict_rows(member *m, const dataset *d, row_set rows, float *out,
                                 garam_error *err) {
  size_t window = m->context * d->n_features;
  size_t most = ((size_t)1 << 20) / (window ? window : 1);
  most = most < 1 ? 1 : most > PREDICT_ROWS ? PREDICT_ROWS : most;
  float *x = mem_array(most * window, sizeof *x);
  int32_t *padding = mem_array(most, sizeof *padding);
  garam_status status = x && padding ? GARAM_OK : fail_memory(err, most * window * sizeof *x);
  for (size_t i = 0; i < rows.n && status == GARAM_OK; i += most) {
    size_t n = rows.n - i < most ? rows.n - i : most;
    dataset_gather(x, padding, d, rows.rows + i, n, m->context);
    status = member_predict(m, x, padding, n, m->context, out + i * m->n_outputs, err);
  }
  mem_free(x);
  mem_free(padding);
  return status;
}

/* ---- packages ---------------------------------------------------------------------------- */

static void name_of(char out[NAME_MAX_BYTES], const char *prefix, const char *leaf) {
  snprintf(out, NAME_MAX_BYTES, "%s%s", prefix, leaf);
}

garam_status member_save(const member *m, package_writer *w, const char *prefix, garam_error *err) {
  char name[NAME_MAX_BYTES];
  int64_t n = (int64_t)m->shape.n_features, two = 2;
  if (m->features) {
    name_of(name, prefix, "in.features");
    TRY(package_add(w, name, PACKAGE_U32, 1, &n, m->features, err));
  }
  if (m->ops->wants_scaled) {
    REQUIRE(m->scaler.n, "member_save: \"%s\" is not fitted", m->ops->name);
    name_of(name, prefix, "in.center");
    TRY(package_add(w, name, PACKAGE_F32, 1, &n, m->scaler.center, err));
    name_of(name, prefix, "in.inverse");
    TRY(package_add(w, name, PACKAGE_F32, 1, &n, m->scaler.inverse, err));
    if (m->shape.task == TASK_REGRESSION) {
      name_of(name, prefix, "in.value");
      TRY(package_add(w, name, PACKAGE_F64, 1, &two, m->value, err));
    }
  }
  return m->ops->save(m->learner, w, prefix, err);
}

static garam_status load_features(member *m, size_t n_features, package_reader *r,
                                  const char *prefix, garam_error *err) {
  char name[NAME_MAX_BYTES];
  const package_tensor *t;
  int64_t n = (int64_t)n_features;
  name_of(name, prefix, "in.features");
  TRY(package_get(&t, r, name, PACKAGE_U32, 1, &n, err));
  const uint32_t *features = t->data;
  for (size_t i = 0; i < n_features; i++)
    if (features[i] >= m->outer.n_features || (i > 0 && features[i] <= features[i - 1]))
      return fail(err, GARAM_CORRUPT, "%s: %s: feature %zu is %u, of %zu, in rising order",
                  package_name(r), name, i, features[i], m->outer.n_features);
  return take_features(m, features, n_features, err);
}

static garam_status load_scaler(member *m, const member_scaling *scaling, package_reader *r,
                                const char *prefix, garam_error *err) {
  char name[NAME_MAX_BYTES];
  const package_tensor *center, *inverse, *value;
  int64_t n = (int64_t)m->shape.n_features, two = 2;
  name_of(name, prefix, "in.center");
  TRY(package_get_finite(&center, r, name, PACKAGE_F32, 1, &n, err));
  name_of(name, prefix, "in.inverse");
  TRY(package_get_finite(&inverse, r, name, PACKAGE_F32, 1, &n, err));
  m->scaler = (scaler){.n = m->shape.n_features, .clip = (float)scaling->clip};
  m->scaler.center = mem_array(m->scaler.n, sizeof *m->scaler.center);
  m->scaler.inverse = mem_array(m->scaler.n, sizeof *m->scaler.inverse);
  if (!m->scaler.center || !m->scaler.inverse) return fail_memory(err, center->bytes);
  memcpy(m->scaler.center, center->data, center->bytes);
  memcpy(m->scaler.inverse, inverse->data, inverse->bytes);
  if (m->shape.task != TASK_REGRESSION) return GARAM_OK;
  name_of(name, prefix, "in.value");
  TRY(package_get_finite(&value, r, name, PACKAGE_F64, 1, &two, err));
  memcpy(m->value, value->data, sizeof m->value);
  return GARAM_OK;
}

garam_status member_load(member *m, const member_spec *spec, const learner_shape *outer,
                         size_t n_features, const member_scaling *scaling, package_reader *r,
                         const char *prefix, garam_error *err) {
  garam_status status;
  TRY_GOTO(done, begin(m, spec, outer, NULL, 0, err));
  if (n_features > 0) TRY_GOTO(done, load_features(m, n_features, r, prefix, err));
  if (m->ops->wants_scaled) TRY_GOTO(done, load_scaler(m, scaling, r, prefix, err));
  TRY_GOTO(done, m->ops->load(&m->learner, spec->config, &m->shape, r, prefix, err));
  m->context = m->ops->context(m->learner);
done:
  if (status != GARAM_OK) member_deinit(m);
  return status;
}
