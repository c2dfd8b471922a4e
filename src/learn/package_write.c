/* The writer of packages: https://github.com/huggingface/safetensors#format. */
#include "learn/package.h"

#include "base/io.h"
#include "base/mem.h"

#include <string.h>

enum { HEADER_LIMIT = 100000000 };

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {
    [PACKAGE_F64] = {"F64", 8},   [PACKAGE_F32] = {"F32", 4}, [PACKAGE_BF16] = {"BF16", 2},
    [PACKAGE_F16] = {"F16", 2},   [PACKAGE_I64] = {"I64", 8}, [PACKAGE_I32] = {"I32", 4},
    [PACKAGE_I16] = {"I16", 2},   [PACKAGE_I8] = {"I8", 1},   [PACKAGE_U64] = {"U64", 8},
    [PACKAGE_U32] = {"U32", 4},   [PACKAGE_U16] = {"U16", 2}, [PACKAGE_U8] = {"U8", 1},
    [PACKAGE_BOOL] = {"BOOL", 1},
};

size_t package_dtype_size(package_dtype type) {
  return dtypes[type].size;
}

const char *package_dtype_name(package_dtype type) {
  return dtypes[type].name;
}

typedef struct entry {
  char *name;
  package_dtype type;
  int rank;
  int64_t dims[PACKAGE_MAX_RANK];
  const void *data;
  size_t bytes;
} entry;

struct package_writer {
  entry *entries;
  size_t n_entries, capacity;
  json_t *meta;  /* key: string */
  json_t *names; /* what is taken */
};

garam_status package_writer_new(package_writer **out, garam_error *err) {
  package_writer *w = mem_zalloc(sizeof *w);
  *out = NULL;
  if (!w) return fail_memory(err, sizeof *w);
  w->meta = json_object();
  w->names = json_object();
  if (!w->meta || !w->names) {
    package_writer_free(w);
    return fail_memory(err, 64);
  }
  *out = w;
  return GARAM_OK;
}

void package_writer_free(package_writer *w) {
  if (!w) return;
  for (size_t i = 0; i < w->n_entries; i++) mem_free(w->entries[i].name);
  mem_free(w->entries);
  json_decref(w->meta);
  json_decref(w->names);
  mem_free(w);
}

garam_status package_add(package_writer *w, const char *name, package_dtype type, int rank,
                         const int64_t *dims, const void *data, garam_error *err) {
  REQUIRE((size_t)type < COUNT_OF(dtypes), "package_add: type %d", (int)type);
  REQUIRE(rank >= 0 && rank <= PACKAGE_MAX_RANK, "package_add: rank %d", rank);
  if (strcmp(name, "__metadata__") == 0 || json_object_get(w->names, name))
    return fail(err, GARAM_INVALID, "package: the name \"%s\" is taken", name);
  entry e = {.type = type, .rank = rank, .data = data, .bytes = dtypes[type].size};
  for (int i = 0; i < rank; i++) {
    REQUIRE(dims[i] >= 0, "package_add: %s: dimension %d is negative", name, i);
    e.dims[i] = dims[i];
    if (!size_mul(&e.bytes, e.bytes, (size_t)dims[i])) return fail_memory(err, SIZE_MAX);
  }
  TRY(mem_grow(&w->entries, &w->capacity, w->n_entries + 1, sizeof *w->entries, err));
  e.name = mem_strdup(name);
  if (!e.name) return fail_memory(err, strlen(name) + 1);
  if (json_object_set_new(w->names, name, json_true()) != 0) {
    mem_free(e.name); /* names are written by us, in ASCII: nothing else can be wrong */
    return fail_memory(err, 64);
  }
  w->entries[w->n_entries++] = e;
  return GARAM_OK;
}

garam_status package_set_meta(package_writer *w, const char *key, const json_t *value,
                              garam_error *err) {
  char *text = json_text(value);
  if (!text) return fail_memory(err, 64);
  garam_status status = package_set_meta_text(w, key, text, err);
  mem_free(text);
  return status;
}

garam_status package_set_meta_text(package_writer *w, const char *key, const char *text,
                                   garam_error *err) {
  json_t *string = json_string(text);
  if (!string || json_object_set_new(w->meta, key, string) != 0) return fail_memory(err, 64);
  return GARAM_OK;
}

static json_t *entry_to_json(const entry *e, size_t begin) {
  json_t *shape = json_array();
  for (int i = 0; shape && i < e->rank; i++)
    if (json_array_append_new(shape, json_integer(e->dims[i])) != 0) {
      json_decref(shape);
      return NULL;
    }
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[e->type].name, "shape", shape,
                   "data_offsets", (json_int_t)begin, (json_int_t)(begin + e->bytes));
}

/* order: the entries by element size, largest first, stable. */
static garam_status write_header(json_t **out, const package_writer *w, size_t *order,
                                 garam_error *err) {
  size_t n = 0, offset = 0;
  json_t *header = json_object();
  *out = NULL;
  if (!header) return fail_memory(err, 64);
  if (json_object_size(w->meta) > 0 && json_object_set(header, "__metadata__", w->meta) != 0)
    goto memory;
  for (size_t size = 8; size >= 1; size /= 2)
    for (size_t i = 0; i < w->n_entries; i++)
      if (dtypes[w->entries[i].type].size == size) order[n++] = i;
  for (size_t i = 0; i < n; i++) {
    const entry *e = &w->entries[order[i]];
    if (json_object_set_new(header, e->name, entry_to_json(e, offset)) != 0) goto memory;
    if (!size_add(&offset, offset, e->bytes)) goto memory;
  }
  *out = header;
  return GARAM_OK;
memory:
  json_decref(header);
  return fail_memory(err, offset);
}

garam_status package_write(package_writer *w, const char *path, garam_error *err) {
  json_t *header = NULL;
  char *text = NULL;
  io_writer *file = NULL;
  garam_status status = GARAM_OK;
  size_t *order = mem_array(w->n_entries + 1, sizeof *order);
  if (!order) return fail_memory(err, w->n_entries * sizeof *order);
  TRY_GOTO(done, write_header(&header, w, order, err));
  text = json_text(header);
  if (!text) {
    status = fail_memory(err, 64);
    goto done;
  }
  size_t length = strlen(text), padded = (length + 7) & ~(size_t)7;
  if (padded > HEADER_LIMIT) {
    status = fail(err, GARAM_LIMIT, "%s: a header of %zu bytes; at most %d are allowed", path,
                  padded, HEADER_LIMIT);
    goto done;
  }
  TRY_GOTO(done, io_writer_open(&file, path, err));
  uint8_t size[8];
  for (int i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)padded >> (8 * i));
  TRY_GOTO(done, io_write(file, size, sizeof size, err));
  TRY_GOTO(done, io_write(file, text, length, err));
  TRY_GOTO(done, io_write(file, "       ", padded - length, err));
  for (size_t i = 0; i < w->n_entries; i++) {
    const entry *e = &w->entries[order[i]];
    if (e->bytes > 0) TRY_GOTO(done, io_write(file, e->data, e->bytes, err));
  }
  status = io_writer_commit(file, err);
  file = NULL;
done:
  io_writer_abort(file);
  json_decref(header);
  mem_free(text);
  mem_free(order);
  return status;
}
