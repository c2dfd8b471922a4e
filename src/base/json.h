/* JSON through jansson, with errors that name the file and the field. Object keys keep the
 * order in which they were set, so that output is reproducible. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/status.h"

#include <jansson.h>

/* Duplicate keys are refused; depth is limited by jansson (2048). `name` is for messages. */
garam_status json_parse(json_t **out, const char *text, size_t size, const char *name,
                        garam_error *err);
garam_status json_read_file(json_t **out, const char *path, garam_error *err);

/* Compact text; a real is the shortest text that reads back the same; NULL when memory is out. Free
 * with mem_free. */
char *json_text(const json_t *value);
char *json_text_indented(const json_t *value);

/* A finite number, or null: JSON has no NaN. Never returns a value that fails to print. */
json_t *json_number_or_null(double value);
/* The same with the nine digits that tell one float from the next. */
json_t *json_f32_or_null(float value);
json_t *json_array_f64(const double *values, size_t n);

/* Typed fields of an object; `where` is named in the message. Absent fields are an error. */
garam_status json_get_string(const char **out, const json_t *object, const char *key,
                             const char *where, garam_error *err);
garam_status json_get_int(int64_t *out, const json_t *object, const char *key, int64_t min,
                          int64_t max, const char *where, garam_error *err);
garam_status json_get_f64(double *out, const json_t *object, const char *key, const char *where,
                          garam_error *err);
garam_status json_get_bool(bool *out, const json_t *object, const char *key, const char *where,
                           garam_error *err);
/* An array or object field, borrowed. */
garam_status json_get_array(json_t **out, const json_t *object, const char *key, const char *where,
                            garam_error *err);
garam_status json_get_object(json_t **out, const json_t *object, const char *key, const char *where,
                             garam_error *err);

#endif
