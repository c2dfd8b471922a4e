/* UBJSON (https://ubjson.org, draft 12) as a jansson value: what XGBoost writes, big-endian. */
#include "tree/import.h"

#include <math.h>
#include <string.h>

enum { MOST_LEVELS = 64 };

typedef struct reader {
  const uint8_t *data;
  size_t size, at;
  const char *name;
  garam_error *err;
} reader;

static garam_status cut_short(const reader *r) {
  return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: the file ends in the middle of a value",
              r->name, r->at);
}

static garam_status take(uint8_t *out, reader *r) {
  if (r->at >= r->size) return cut_short(r);
  *out = r->data[r->at++];
  return GARAM_OK;
}

/* Bytes of a number of this type; 0: not a number. */
static size_t width_of(uint8_t type) {
  switch (type) {
  case 'i':
  case 'U': return 1;
  case 'I': return 2;
  case 'l':
  case 'd': return 4;
  case 'L':
  case 'D': return 8;
  }
  return 0;
}

static garam_status take_number(json_t **out, reader *r, uint8_t type) {
  size_t n = width_of(type);
  if (r->size - r->at < n) return cut_short(r);
  uint64_t bits = 0;
  for (size_t i = 0; i < n; i++) bits = bits << 8 | r->data[r->at + i];
  r->at += n;
  if (type == 'd' || type == 'D') {
    double value;
    uint32_t word = (uint32_t)bits;
    float narrow;
    memcpy(&narrow, &word, sizeof narrow);
    memcpy(&value, &bits, sizeof value);
    if (type == 'd') value = (double)narrow;
    if (!isfinite(value))
      return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: a number that is not finite", r->name,
                  r->at - n);
    *out = json_real(value);
  } else {
    unsigned shift = 64 - 8 * (unsigned)n;
    *out = json_integer(type == 'U' ? (json_int_t)bits : (json_int_t)(bits << shift) >> shift);
  }
  return *out ? GARAM_OK : fail_memory(r->err, 32);
}

/* A length or count: a type of integer, then the number, at most what is left of the file. */
static garam_status take_count(size_t *out, reader *r) {
  uint8_t type = 0;
  TRY(take(&type, r));
  if (width_of(type) == 0 || type == 'd' || type == 'D')
    return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: a length of type 0x%02x", r->name, r->at - 1,
                type);
  json_t *number;
  TRY(take_number(&number, r, type));
  json_int_t n = json_integer_value(number);
  json_decref(number);
  if (n < 0 || (uint64_t)n > r->size - r->at)
    return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: a length of %lld, %zu bytes are left",
                r->name, r->at, (long long)n, r->size - r->at);
  *out = (size_t)n;
  return GARAM_OK;
}

static garam_status take_value(json_t **out, reader *r, uint8_t type, int level);

static garam_status take_text(json_t **out, reader *r) {
  size_t n;
  TRY(take_count(&n, r));
  *out = json_stringn((const char *)r->data + r->at, n); /* NULL when not UTF-8 */
  if (!*out)
    return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: text that is not UTF-8", r->name, r->at);
  r->at += n;
  return GARAM_OK;
}

static garam_status take_array(json_t *array, reader *r, int level) {
  uint8_t type = 0, next;
  size_t n = SIZE_MAX;
  if (r->at < r->size && r->data[r->at] == '$') {
    r->at++;
    TRY(take(&type, r));
    if (width_of(type) == 0)
      return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: an array of type 0x%02x", r->name,
                  r->at - 1, type);
    if (r->at >= r->size || r->data[r->at] != '#')
      return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: an array with a type and no count", r->name,
                  r->at);
  }
  if (r->at < r->size && r->data[r->at] == '#') {
    r->at++;
    TRY(take_count(&n, r));
  }
  for (size_t i = 0; i < n; i++) {
    json_t *value = NULL;
    next = type;
    if (!type) TRY(take(&next, r));
    if (n == SIZE_MAX && next == ']') return GARAM_OK;
    TRY(type ? take_number(&value, r, type) : take_value(&value, r, next, level + 1));
    if (json_array_append_new(array, value) != 0) return fail_memory(r->err, 64);
  }
  return GARAM_OK;
}

static garam_status take_object(json_t *object, reader *r, int level) {
  for (;;) {
    json_t *key, *value = NULL;
    if (r->at < r->size && r->data[r->at] == '}') {
      r->at++;
      return GARAM_OK;
    }
    TRY(take_text(&key, r));
    const char *name = json_string_value(key);
    uint8_t type = 0;
    garam_status status = GARAM_OK;
    if (strlen(name) != json_string_length(key) || json_object_get(object, name))
      status = fail(r->err, GARAM_CORRUPT, "%s: byte %zu: the key \"%.64s\" stands there twice",
                    r->name, r->at, name);
    if (status == GARAM_OK) status = take(&type, r);
    if (status == GARAM_OK) status = take_value(&value, r, type, level + 1);
    if (status == GARAM_OK && json_object_set_new(object, name, value) != 0)
      status = fail_memory(r->err, 64);
    json_decref(key);
    if (status != GARAM_OK) return status;
  }
}

static garam_status take_value(json_t **out, reader *r, uint8_t type, int level) {
  *out = NULL;
  if (level > MOST_LEVELS)
    return fail(r->err, GARAM_LIMIT, "%s: byte %zu: more than %d levels", r->name, r->at,
                MOST_LEVELS);
  if (width_of(type)) return take_number(out, r, type);
  garam_status status = GARAM_OK;
  switch (type) {
  case 'S': return take_text(out, r);
  case 'T': *out = json_true(); return GARAM_OK;
  case 'F': *out = json_false(); return GARAM_OK;
  case 'Z': *out = json_null(); return GARAM_OK;
  case '[':
    *out = json_array();
    status = *out ? take_array(*out, r, level) : fail_memory(r->err, 64);
    break;
  case '{':
    *out = json_object();
    status = *out ? take_object(*out, r, level) : fail_memory(r->err, 64);
    break;
  default:
    return fail(r->err, GARAM_CORRUPT, "%s: byte %zu: a value of type 0x%02x", r->name, r->at - 1,
                type);
  }
  if (status != GARAM_OK) {
    json_decref(*out);
    *out = NULL;
  }
  return status;
}

garam_status import_ubjson(json_t **out, const char *data, size_t size, const char *name,
                           garam_error *err) {
  reader r = {.data = (const uint8_t *)data, .size = size, .name = name, .err = err};
  uint8_t type = 0;
  *out = NULL;
  TRY(take(&type, &r));
  return take_value(out, &r, type, 0);
}
