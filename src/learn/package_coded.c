/* Coded weights in a package (coded.h): the record of them is checked against the tensors when the
 * file is opened, so that decoding cannot go wrong but for memory. */
#include "learn/package_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FAIL(...) fail(err, GARAM_CORRUPT, "%s: not a valid package: " __VA_ARGS__)

package_coded *package_coded_of(const package_reader *r, const package_tensor *t) {
  return r->coded ? r->coded[t - r->tensors] : NULL;
}

void package_coded_free(package_reader *r) {
  for (size_t i = 0; r->coded && i < r->n_tensors; i++) {
    if (!r->coded[i]) continue;
    mem_free((void *)(uintptr_t)r->coded[i]->floats.data);
    mem_free(r->coded[i]);
  }
  mem_free(r->coded);
}

garam_status package_coded_decode(package_coded *c, const package_tensor *t, garam_error *err) {
  float *out = mem_alloc(c->floats.bytes);
  if (!out) return fail_memory(err, c->floats.bytes);
  coded_decode(out, &c->matrix, t->data, c->scale);
  c->floats.data = out;
  return GARAM_OK;
}

static garam_status read_matrix(coded_matrix *out, const package_reader *r, const char *name,
                                const json_t *row, garam_error *err) {
  const char *to = json_string_value(json_object_get(row, "to"));
  const json_t *shape = json_object_get(row, "shape"), *group = json_object_get(row, "group");
  int64_t dims[PACKAGE_MAX_RANK];
  int at = 0;
  if (!to || !json_is_array(shape) || json_object_size(row) != (group ? 3 : 2))
    return FAIL("weights \"%.200s\": expected \"to\" and \"shape\"", r->name, name);
  while (coding_names[at] && strcmp(coding_names[at], to) != 0) at++;
  if (!coding_names[at])
    return fail(err, GARAM_UNSUPPORTED,
                "%s: weights \"%.200s\" are in \"%.32s\", which is not known", r->name, name, to);
  if ((at == CODING_INT4) != (group != NULL) ||
      (group && (!json_is_integer(group) || json_integer_value(group) < 1 ||
                 json_integer_value(group) > CODED_MAX_GROUP)))
    return FAIL("weights \"%.200s\": \"group\": expected 1 to %d with int4, none otherwise",
                r->name, name, CODED_MAX_GROUP);
  const size_t rank = json_array_size(shape);
  for (size_t i = 0; i < rank && i < PACKAGE_MAX_RANK; i++) {
    const json_t *dim = json_array_get(shape, i);
    dims[i] = json_is_integer(dim) ? json_integer_value(dim) : 0;
  }
  if (rank > PACKAGE_MAX_RANK ||
      !coded_matrix_init(out, (coding)at, (int)rank, dims, (size_t)json_integer_value(group)))
    return FAIL("weights \"%.200s\": \"shape\" is not that of a matrix", r->name, name);
  return GARAM_OK;
}

/* One scale too large makes a whole column infinite. */
static garam_status check_scales(const package_reader *r, const package_tensor *scale,
                                 garam_error *err) {
  const float *s = scale->data;
  for (size_t i = 0; i < scale->count; i++)
    if (!(fabsf(s[i]) <= CODED_MAX_SCALE))
      return FAIL("tensor \"%.200s\": scale %zu is not a finite number of a weight's size", r->name,
                  scale->name, i);
  return GARAM_OK;
}

static garam_status read_scale(const float **out, const package_reader *r, const char *name,
                               const coded_matrix *m, bool *used, garam_error *err) {
  int rank;
  int64_t dims[2];
  const package_tensor *t;
  *out = NULL;
  coded_scale_dims(&rank, dims, m);
  if (rank == 0) return GARAM_OK;
  char *scale = mem_format("%s" CODED_SCALE, name);
  if (!scale) return fail_memory(err, strlen(name) + 8);
  t = package_find(r, scale); /* as it is stored: scales are never coded themselves */
  garam_status status = t && t->type != PACKAGE_F32
                            ? FAIL("tensor \"%.200s\" is %s; scales are F32", r->name, scale,
                                   package_dtype_name(t->type))
                            : package_get(&t, r, scale, PACKAGE_F32, rank, dims, err);
  mem_free(scale);
  TRY(status);
  TRY(check_scales(r, t, err));
  used[t - r->tensors] = true;
  *out = t->data;
  return GARAM_OK;
}

static garam_status read_one(package_reader *r, const char *name, const json_t *row, bool *used,
                             garam_error *err) {
  coded_matrix m;
  int rank;
  int64_t dims[PACKAGE_MAX_RANK];
  const package_tensor *t;
  const float *scale;
  TRY(read_matrix(&m, r, name, row, err));
  coded_dims(&rank, dims, &m);
  TRY(package_get(&t, r, name, coded_type(&m), rank, dims, err));
  TRY(read_scale(&scale, r, name, &m, used, err));
  package_coded *c = mem_zalloc(sizeof *c);
  if (!c) return fail_memory(err, sizeof *c);
  *c = (package_coded){.matrix = m, .scale = scale};
  c->floats = (package_tensor){.name = t->name,
                               .type = PACKAGE_F32,
                               .rank = m.rank,
                               .count = m.inputs * m.outputs,
                               .bytes = m.inputs * m.outputs * sizeof(float)};
  memcpy(c->floats.dims, m.dims, sizeof m.dims);
  r->coded[t - r->tensors] = c;
  return GARAM_OK;
}

/* Scales of weights that are not in the record: either the record or they are another file's. */
static garam_status check_strays(const package_reader *r, const bool *used, garam_error *err) {
  static const char tail[] = "weight" CODED_SCALE;
  for (size_t i = 0; i < r->n_tensors; i++) {
    const char *name = r->tensors[i].name;
    const size_t length = strlen(name), n = sizeof tail - 1;
    if (!used[i] && length >= n && strcmp(name + length - n, tail) == 0)
      return FAIL("tensor \"%.200s\" is the scale of no coded weights", r->name, name);
  }
  return GARAM_OK;
}

static garam_status read_record(package_reader *r, json_t *record, garam_error *err) {
  json_t *tensors = json_object_get(record, "tensors"), *version, *row;
  const char *name;
  version = json_object_get(record, "version");
  if (json_is_integer(version) && json_integer_value(version) > CODED_VERSION)
    return fail(err, GARAM_UNSUPPORTED, "%s: coded weights of version %lld; this is %d", r->name,
                (long long)json_integer_value(version), CODED_VERSION);
  if (!json_is_integer(version) || json_integer_value(version) != CODED_VERSION ||
      !json_is_object(tensors) || json_object_size(record) != 2)
    return FAIL("metadata \"" CODED_META "\": expected \"version\" and \"tensors\"", r->name);
  r->coded = mem_array(r->n_tensors + 1, sizeof *r->coded);
  bool *used = mem_array(r->n_tensors + 1, sizeof *used);
  garam_status status =
      r->coded && used ? GARAM_OK : fail_memory(err, r->n_tensors * sizeof *r->coded);
  json_object_foreach(tensors, name, row) {
    if (status != GARAM_OK) break;
    status = read_one(r, name, row, used, err);
  }
  if (status == GARAM_OK) status = check_strays(r, used, err);
  mem_free(used);
  return status;
}

garam_status package_coded_read(package_reader *r, garam_error *err) {
  json_t *record;
  if (!json_object_get(package_meta(r), CODED_META)) return GARAM_OK;
  TRY(package_get_meta(&record, r, CODED_META, err));
  garam_status status = read_record(r, record, err);
  json_decref(record);
  if (status == GARAM_MISMATCH && err) err->status = GARAM_CORRUPT; /* by its own record */
  return status == GARAM_MISMATCH ? GARAM_CORRUPT : status;
}
