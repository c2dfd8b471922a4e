/* Members in a row: see series.h. */
#include "ensemble/series.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { PREFIX_MAX = 128 };

void series_init(series *s, const member_spec *spec, const learner_shape *shape,
                 size_t n_features) {
  *s = (series){.spec = spec, .shape = *shape, .n_features = n_features};
}

void series_cut(series *s, size_t n) {
  while (s->n > n) member_deinit(&s->items[--s->n]);
}

void series_deinit(series *s) {
  series_cut(s, 0);
  mem_free(s->items);
  mem_free(s->weights);
  s->items = NULL;
  s->weights = NULL;
  s->capacity = s->weights_capacity = 0;
}

static garam_status reserve(series *s, size_t n, garam_error *err) {
  TRY(mem_grow(&s->items, &s->capacity, n, sizeof *s->items, err));
  return mem_grow(&s->weights, &s->weights_capacity, n, sizeof *s->weights, err);
}

garam_status series_add(member **out, series *s, const uint32_t *features, garam_error *err) {
  TRY(reserve(s, s->n + 1, err));
  TRY(member_init(&s->items[s->n], s->spec, &s->shape, s->n_features ? features : NULL,
                  s->n_features, err));
  s->weights[s->n] = 0;
  *out = &s->items[s->n++];
  return GARAM_OK;
}

size_t series_parameters(const series *s) {
  size_t n = s->n;
  for (size_t i = 0; i < s->n; i++) n += s->items[i].ops->parameters(s->items[i].learner);
  return n;
}

garam_status series_probe(size_t *context, const member_spec *spec, const learner_shape *shape,
                          garam_error *err) {
  member m;
  TRY(member_init(&m, spec, shape, NULL, 0, err));
  *context = m.context;
  member_deinit(&m);
  return GARAM_OK;
}

garam_status series_save(const series *s, package_writer *w, const char *prefix, garam_error *err) {
  char full[PREFIX_MAX];
  int64_t n = (int64_t)s->n;
  REQUIRE(s->n > 0, "series_save: nothing is fitted");
  for (size_t i = 0; i < s->n; i++) {
    snprintf(full, sizeof full, "%sb%zu.", prefix, i);
    TRY(member_save(&s->items[i], w, full, err));
  }
  snprintf(full, sizeof full, "%sweights", prefix);
  return package_add(w, full, PACKAGE_F64, 1, &n, s->weights, err);
}

garam_status series_load(series *s, size_t most, size_t context, const member_scaling *scaling,
                         package_reader *r, const char *prefix, garam_error *err) {
  char full[PREFIX_MAX];
  const package_tensor *weights;
  int64_t any = -1;
  snprintf(full, sizeof full, "%sweights", prefix);
  TRY(package_get_finite(&weights, r, full, PACKAGE_F64, 1, &any, err));
  if (weights->count < 1 || weights->count > most)
    return fail(err, GARAM_CORRUPT, "%s: %s: %zu members; there are 1 to %zu", package_name(r),
                full, weights->count, most);
  TRY(reserve(s, weights->count, err));
  for (size_t i = 0; i < weights->count; i++) {
    snprintf(full, sizeof full, "%sb%zu.", prefix, i);
    TRY(member_load(&s->items[i], s->spec, &s->shape, s->n_features, scaling, r, full, err));
    s->n++;
    if (s->items[i].context != context)
      return fail(err, GARAM_CORRUPT, "%s: %s: a window of %zu rows", package_name(r), full,
                  s->items[i].context);
  }
  memcpy(s->weights, weights->data, weights->bytes);
  return GARAM_OK;
}
