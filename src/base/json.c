/* jansson with our errors. */
#include "base/json.h"

#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

garam_status json_parse(json_t **out, const char *text, size_t size, const char *name,
                        garam_error *err) {
  json_error_t error;
  *out = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  if (!*out && !error.text[0]) return fail_memory(err, size); /* jansson says no more */
  if (!*out)
    return fail(err, GARAM_PARSE, "%s:%d:%d: not valid JSON: %s", name, error.line, error.column,
                error.text);
  return GARAM_OK;
}

garam_status json_read_file(json_t **out, const char *path, garam_error *err) {
  char *text;
  size_t size;
  *out = NULL;
  TRY(io_read_file(&text, &size, path, (size_t)64 << 20, err));
  garam_status status = json_parse(out, text, size, path, err);
  mem_free(text);
  return status;
}

static char *dump(const json_t *value, size_t flags) {
  flags |= JSON_ENCODE_ANY | JSON_REAL_PRECISION(17);
  size_t size = json_dumpb(value, NULL, 0, flags);
  if (size == 0) return NULL;
  char *text = mem_alloc(size + 1);
  if (!text) return NULL;
  if (json_dumpb(value, text, size, flags) != size) { /* it allocates too, and may fail now */
    mem_free(text);
    return NULL;
  }
  text[size] = 0;
  return text;
}

char *json_text(const json_t *value) {
  return dump(value, JSON_COMPACT);
}

char *json_text_indented(const json_t *value) {
  return dump(value, JSON_INDENT(2));
}

json_t *json_number_or_null(double value) {
  return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_array_f64(const double *values, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < n; i++)
    if (json_array_append_new(array, json_number_or_null(values[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static garam_status get(json_t **out, const json_t *object, const char *key, const char *expected,
                        bool fits, const char *where, garam_error *err) {
  *out = json_object_get(object, key);
  if (!*out) return fail(err, GARAM_PARSE, "%s: field \"%s\" is missing", where, key);
  if (!fits)
    return fail(err, GARAM_PARSE, "%s: field \"%s\": expected %s", where, key, expected);
  return GARAM_OK;
}

garam_status json_get_string(const char **out, const json_t *object, const char *key,
                             const char *where, garam_error *err) {
  json_t *v;
  TRY(get(&v, object, key, "a string", json_is_string(json_object_get(object, key)), where, err));
  *out = json_string_value(v);
  if (strlen(*out) != json_string_length(v))
    return fail(err, GARAM_PARSE, "%s: field \"%s\" holds a NUL character", where, key);
  return GARAM_OK;
}

garam_status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t min,
                          int64_t max, const char *where, garam_error *err) {
  json_t *v;
  TRY(get(&v, object, key, "an integer", json_is_integer(json_object_get(object, key)), where,
          err));
  *out = json_integer_value(v);
  if (*out < min || *out > max)
    return fail(err, GARAM_PARSE, "%s: field \"%s\" is %lld; expected %lld to %lld", where, key,
                (long long)*out, (long long)min, (long long)max);
  return GARAM_OK;
}

garam_status json_get_f64(double *out, const json_t *object, const char *key, const char *where,
                          garam_error *err) {
  json_t *v;
  TRY(get(&v, object, key, "a number", json_is_number(json_object_get(object, key)), where, err));
  *out = json_number_value(v);
  return GARAM_OK;
}

garam_status json_get_bool(bool *out, const json_t *object, const char *key, const char *where,
                           garam_error *err) {
  json_t *v;
  TRY(get(&v, object, key, "true or false", json_is_boolean(json_object_get(object, key)), where,
          err));
  *out = json_boolean_value(v);
  return GARAM_OK;
}

garam_status json_get_array(json_t **out, const json_t *object, const char *key, const char *where,
                            garam_error *err) {
  return get(out, object, key, "an array", json_is_array(json_object_get(object, key)), where, err);
}

garam_status json_get_object(json_t **out, const json_t *object, const char *key,
                             const char *where, garam_error *err) {
  return get(out, object, key, "an object", json_is_object(json_object_get(object, key)), where,
             err);
}
