/* The strict reader of packages. A file is somebody else's bytes: nothing of it is used before
 * all of it has been checked. */
#include "learn/package_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LIMIT = 100000000, N_TENSORS_LIMIT = 1000000 };

#define FAIL(...) fail(err, GARAM_CORRUPT, "%s: not a valid package: " __VA_ARGS__)

static garam_status parse_dtype(package_tensor *t, const char *file, const json_t *value,
                                garam_error *err) {
  const char *text = json_string_value(value);
  if (!text) return FAIL("tensor \"%s\": \"dtype\" is not a string", file, t->name);
  for (int i = 0; i <= PACKAGE_BOOL; i++)
    if (strcmp(text, package_dtype_name((package_dtype)i)) == 0) {
      t->type = (package_dtype)i;
      return GARAM_OK;
    }
  return fail(err, GARAM_UNSUPPORTED, "%s: tensor \"%s\": the dtype \"%.32s\" is not known", file,
              t->name, text);
}

static garam_status parse_tensor(package_tensor *t, size_t begin_end[2], const char *file,
                                 const char *name, const json_t *value, size_t data_size,
                                 garam_error *err) {
  *t = (package_tensor){.name = name};
  const json_t *shape = json_object_get(value, "shape");
  const json_t *offsets = json_object_get(value, "data_offsets");
  if (!json_is_object(value) || json_object_size(value) != 3 || !json_is_array(shape) ||
      !json_is_array(offsets) || json_array_size(offsets) != 2)
    return FAIL("tensor \"%s\": expected dtype, shape and two data_offsets", file, name);
  TRY(parse_dtype(t, file, json_object_get(value, "dtype"), err));
  if (json_array_size(shape) > PACKAGE_MAX_RANK)
    return FAIL("tensor \"%s\": more than %d dimensions", file, name, PACKAGE_MAX_RANK);
  t->rank = (int)json_array_size(shape);
  t->count = 1;
  for (int i = 0; i < t->rank; i++) {
    const json_t *dim = json_array_get(shape, (size_t)i);
    if (!json_is_integer(dim) || json_integer_value(dim) < 0)
      return FAIL("tensor \"%s\": dimension %d is not a whole number", file, name, i);
    t->dims[i] = json_integer_value(dim);
    if (!size_mul(&t->count, t->count, (size_t)t->dims[i]))
      return FAIL("tensor \"%s\": its size overflows", file, name);
  }
  if (!size_mul(&t->bytes, t->count, package_dtype_size(t->type)))
    return FAIL("tensor \"%s\": its size overflows", file, name);
  for (size_t i = 0; i < 2; i++) {
    const json_t *offset = json_array_get(offsets, i);
    if (!json_is_integer(offset) || json_integer_value(offset) < 0 ||
        (uint64_t)json_integer_value(offset) > data_size)
      return FAIL("tensor \"%s\": an offset is outside the file", file, name);
    begin_end[i] = (size_t)json_integer_value(offset);
  }
  if (begin_end[0] > begin_end[1] || begin_end[1] - begin_end[0] != t->bytes)
    return FAIL("tensor \"%s\": %zu bytes by its shape, other by its offsets", file, name,
                t->bytes);
  return GARAM_OK;
}

static int compare_offset(const void *a, const void *b) {
  const package_tensor *x = a, *y = b;
  if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1; /* empty ones first */
  return strcmp(x->name, y->name);
}

static int compare_name(const void *a, const void *b) {
  const package_tensor *const *x = a, *const *y = b;
  return strcmp((*x)->name, (*y)->name);
}

static garam_status check_metadata(const char *file, json_t *meta, garam_error *err) {
  if (!json_is_object(meta)) return FAIL("\"__metadata__\" is not an object", file);
  const char *key;
  json_t *value;
  json_object_foreach(meta, key, value) if (!json_is_string(value)) return FAIL(
      "\"__metadata__\": \"%.64s\" is not a string", file, key);
  return GARAM_OK;
}

/* Tensors end to end from the first byte of the data to the last. */
static garam_status check_contiguous(package_reader *r, const uint8_t *data, size_t data_size,
                                     garam_error *err) {
  size_t at = 0;
  for (size_t i = 0; i < r->n_tensors; i++) {
    const package_tensor *t = &r->tensors[i];
    if ((const uint8_t *)t->data != data + at)
      return FAIL("tensor \"%s\" does not begin where the one before it ends", r->name, t->name);
    at += t->bytes;
  }
  if (at != data_size)
    return FAIL("%zu bytes of data, but the tensors take %zu", r->name, data_size, at);
  return GARAM_OK;
}

static garam_status copy_unaligned(package_reader *r, garam_error *err) {
  for (size_t i = 0; i < r->n_tensors; i++) {
    package_tensor *t = &r->tensors[i];
    if (((uintptr_t)t->data & (package_dtype_size(t->type) - 1)) == 0) continue;
    if (!r->copies) r->copies = mem_array(r->n_tensors, sizeof *r->copies);
    if (!r->copies) return fail_memory(err, r->n_tensors * sizeof *r->copies);
    r->copies[i] = mem_alloc(t->bytes);
    if (!r->copies[i]) return fail_memory(err, t->bytes);
    memcpy(r->copies[i], t->data, t->bytes);
    t->data = r->copies[i];
  }
  return GARAM_OK;
}

static garam_status read_header(package_reader *r, const uint8_t *bytes, size_t size,
                                garam_error *err) {
  uint64_t length = 0;
  if (size < 8) return FAIL("%zu bytes are too few", r->name, size);
  for (int i = 0; i < 8; i++) length |= (uint64_t)bytes[i] << (8 * i);
  if (length > HEADER_LIMIT)
    return FAIL("a header of %llu bytes; at most %d are allowed", r->name,
                (unsigned long long)length, HEADER_LIMIT);
  if (length > size - 8)
    return FAIL("the header needs %llu bytes, %zu are there (is the file cut off?)", r->name,
                (unsigned long long)length, size - 8);
  const uint8_t *data = bytes + 8 + length;
  size_t data_size = size - 8 - (size_t)length;
  if (length < 2 || bytes[8] != '{') return FAIL("the header does not begin with '{'", r->name);
  json_error_t error;
  r->header = json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!r->header && !error.text[0]) return fail_memory(err, (size_t)length); /* jansson's way */
  if (!r->header) return FAIL("header: %s", r->name, error.text);
  size_t n = json_object_size(r->header);
  if (n > N_TENSORS_LIMIT) return FAIL("%zu tensors; at most %d", r->name, n, N_TENSORS_LIMIT);
  r->tensors = mem_array(n + 1, sizeof *r->tensors);
  r->by_name = mem_array(n + 1, sizeof *r->by_name);
  if (!r->tensors || !r->by_name) return fail_memory(err, (n + 1) * sizeof *r->tensors);
  const char *key;
  json_t *value;
  json_object_foreach(r->header, key, value) {
    if (strcmp(key, "__metadata__") == 0) {
      TRY(check_metadata(r->name, value, err));
      continue;
    }
    size_t range[2];
    package_tensor *t = &r->tensors[r->n_tensors++];
    TRY(parse_tensor(t, range, r->name, key, value, data_size, err));
    t->data = data + range[0];
  }
  qsort(r->tensors, r->n_tensors, sizeof *r->tensors, compare_offset);
  TRY(check_contiguous(r, data, data_size, err));
  for (size_t i = 0; i < r->n_tensors; i++) r->by_name[i] = &r->tensors[i];
  qsort(r->by_name, r->n_tensors, sizeof *r->by_name, compare_name);
  TRY(copy_unaligned(r, err));
  return package_coded_read(r, err);
}

static garam_status reader_new(package_reader **out, const char *name, garam_error *err) {
  package_reader *r = mem_zalloc(sizeof *r);
  *out = NULL;
  if (!r) return fail_memory(err, sizeof *r);
  r->name = mem_strdup(name);
  if (!r->name) {
    mem_free(r);
    return fail_memory(err, strlen(name) + 1);
  }
  *out = r;
  return GARAM_OK;
}

garam_status package_open(package_reader **out, const char *path, garam_error *err) {
  package_reader *r;
  *out = NULL;
  TRY(reader_new(&r, path, err));
  garam_status status;
  TRY_GOTO(done, io_map_open(&r->map, path, err));
  TRY_GOTO(done, read_header(r, r->map.data, r->map.size, err));
  *out = r;
  r = NULL;
done:
  package_close(r);
  return status;
}

garam_status package_open_memory(package_reader **out, const void *data, size_t size,
                                 const char *name, garam_error *err) {
  package_reader *r;
  *out = NULL;
  TRY(reader_new(&r, name, err));
  garam_status status = read_header(r, data, size, err);
  if (status == GARAM_OK) *out = r;
  else package_close(r);
  return status;
}

void package_close(package_reader *r) {
  if (!r) return;
  package_coded_free(r);
  for (size_t i = 0; r->copies && i < r->n_tensors; i++) mem_free(r->copies[i]);
  mem_free(r->copies);
  json_decref(r->header);
  mem_free(r->tensors);
  mem_free(r->by_name);
  io_map_close(&r->map);
  mem_free(r->name);
  mem_free(r);
}

const char *package_name(const package_reader *r) {
  return r->name;
}

size_t package_count(const package_reader *r) {
  return r->n_tensors;
}

const package_tensor *package_at(const package_reader *r, size_t i) {
  REQUIRE(i < r->n_tensors, "package_at: %zu of %zu", i, r->n_tensors);
  return &r->tensors[i];
}

const package_tensor *package_find(const package_reader *r, const char *name) {
  const package_tensor key = {.name = name}, *at = &key;
  const package_tensor **found =
      bsearch(&at, r->by_name, r->n_tensors, sizeof *r->by_name, compare_name);
  return found ? *found : NULL;
}

bool package_has(const package_reader *r, const char *name) {
  return package_find(r, name) != NULL;
}

static void shape_text(char out[200], int rank, const int64_t *dims) {
  size_t used = (size_t)snprintf(out, 200, "(");
  for (int i = 0; i < rank; i++)
    used += (size_t)snprintf(out + used, 200 - used, dims[i] < 0 ? "%sany" : "%s%lld",
                             i ? ", " : "", (long long)dims[i]);
  snprintf(out + used, 200 - used, ")");
}

garam_status package_get(const package_tensor **out, const package_reader *r, const char *name,
                         package_dtype type, int rank, const int64_t *dims, garam_error *err) {
  const package_tensor *t = package_find(r, name);
  *out = NULL;
  if (!t) return fail(err, GARAM_MISMATCH, "%s: the tensor \"%s\" is missing", r->name, name);
  package_coded *coded = type == PACKAGE_F32 ? package_coded_of(r, t) : NULL;
  const package_tensor *stored = t;
  if (coded) t = &coded->floats;
  bool fits = t->type == type && t->rank == rank;
  for (int i = 0; fits && i < rank; i++) fits = dims[i] < 0 || dims[i] == t->dims[i];
  if (!fits) {
    char wanted[200], found[200];
    shape_text(wanted, rank, dims);
    shape_text(found, t->rank, t->dims);
    return fail(err, GARAM_MISMATCH, "%s: tensor \"%s\" is %s %s; expected %s %s", r->name, name,
                package_dtype_name(t->type), found, package_dtype_name(type), wanted);
  }
  if (coded && !t->data) TRY(package_coded_decode(coded, stored, err));
  *out = t;
  return GARAM_OK;
}

garam_status package_get_finite(const package_tensor **out, const package_reader *r,
                                const char *name, package_dtype type, int rank, const int64_t *dims,
                                garam_error *err) {
  REQUIRE(type == PACKAGE_F32 || type == PACKAGE_F64, "package_get_finite: type %d", (int)type);
  TRY(package_get(out, r, name, type, rank, dims, err));
  const float *f32 = (*out)->data;
  const double *f64 = (*out)->data;
  for (size_t i = 0; i < (*out)->count; i++)
    if (!isfinite(type == PACKAGE_F32 ? (double)f32[i] : f64[i])) {
      *out = NULL;
      return fail(err, GARAM_CORRUPT, "%s: tensor \"%s\": value %zu is not a finite number",
                  r->name, name, i);
    }
  return GARAM_OK;
}

const json_t *package_meta(const package_reader *r) {
  return json_object_get(r->header, "__metadata__");
}

garam_status package_get_meta(json_t **out, const package_reader *r, const char *key,
                              garam_error *err) {
  const json_t *value = json_object_get(package_meta(r), key);
  *out = NULL;
  if (!value) return fail(err, GARAM_MISMATCH, "%s: no entry \"%s\" in its metadata", r->name, key);
  char where[300];
  snprintf(where, sizeof where, "%.200s: metadata \"%.64s\"", r->name, key);
  garam_status status =
      json_parse(out, json_string_value(value), json_string_length(value), where, err);
  return status == GARAM_PARSE ? fail_within(err, GARAM_CORRUPT, "damaged") : status;
}
