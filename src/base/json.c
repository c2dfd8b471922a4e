/* jansson with our errors. */
#include "base/json.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/number_text.h"

#include <math.h>
#include <stdio.h>
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

/* jansson writes 0.95 as 0.94999999999999996. Outside strings a digit or a minus begins a number;
 * the short text is never longer, so the text shrinks in place. Returns its length. */
static size_t shorten_numbers(char *text, size_t size) {
  char *to = text;
  const char *end = text + size;
  bool in_string = false;
  for (const char *at = text; at < end;) {
    if (in_string || (*at != '-' && (*at < '0' || *at > '9'))) {
      if (*at == '"') in_string = !in_string;
      if (*at == '\\') *to++ = *at++; /* what it escapes is no end of the string */
      *to++ = *at++;
      continue;
    }
    size_t n = strspn(at, "+-.0123456789eE");
    char digits[NUMBER_TEXT_MAX];
    int64_t whole;
    double value;
    bool real = number_parse(&whole, &value, at, n, '.') == NUMBER_REAL;
    size_t n_short = real ? number_print(digits, value) : n;
    char *zero = real ? strpbrk(digits, "e") : NULL; /* 1e-05 */
    if (zero && zero[2] == '0')
      memmove(zero + 2, zero + 3, n_short-- - (size_t)(zero + 2 - digits));
    if (real && n_short < n) memcpy(to, digits, n_short);
    else memmove(to, at, n_short = n);
    to += n_short;
    at += n;
  }
  *to = 0;
  return (size_t)(to - text);
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
  shorten_numbers(text, size);
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

json_t *json_f32_or_null(float value) {
  char text[32];
  double real = NAN;
  int64_t whole;
  int n = isfinite(value) ? snprintf(text, sizeof text, "%.9g", (double)value) : 0;
  number_parse(&whole, &real, text, (size_t)n, n > 0 && strchr(text, ',') ? ',' : '.');
  return json_number_or_null(real);
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
  if (!fits) return fail(err, GARAM_PARSE, "%s: field \"%s\": expected %s", where, key, expected);
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

garam_status json_get_object(json_t **out, const json_t *object, const char *key, const char *where,
                             garam_error *err) {
  return get(out, object, key, "an object", json_is_object(json_object_get(object, key)), where,
             err);
}
