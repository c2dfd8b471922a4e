/* Option rows: see opt.h. */
#include "base/opt.h"

#include "base/mem.h"
#include "base/number_text.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field(const opt_row *row, void *config) {
  return (char *)config + row->offset;
}

static const void *field_const(const opt_row *row, const void *config) {
  return (const char *)config + row->offset;
}

static void store_number(const opt_row *row, void *config, double number, int64_t integer) {
  switch (row->type) {
  case OPT_BOOL: *(bool *)field(row, config) = integer != 0; break;
  case OPT_INT:
  case OPT_ENUM: *(int *)field(row, config) = (int)integer; break;
  case OPT_I64:
  case OPT_BYTES: *(int64_t *)field(row, config) = integer; break;
  case OPT_F64: *(double *)field(row, config) = number; break;
  case OPT_STRING: break;
  }
}

void opt_defaults(const opt_row *rows, size_t n_rows, void *config) {
  for (size_t i = 0; i < n_rows; i++) {
    const opt_row *row = &rows[i];
    if (row->type == OPT_STRING)
      snprintf(field(row, config), row->size, "%s", row->def_text ? row->def_text : "");
    else store_number(row, config, row->def, (int64_t)row->def);
  }
}

static bool same_name(const char *a, const char *b) {
  for (; *a && *b; a++, b++)
    if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_'))) return false;
  return *a == *b;
}

const opt_row *opt_find(const opt_row *rows, size_t n_rows, const char *name) {
  for (size_t i = 0; i < n_rows; i++)
    if (same_name(rows[i].name, name)) return &rows[i];
  return NULL;
}

static void range_text(char out[128], const opt_row *row) {
  if (row->min == 0 && row->max == 0) snprintf(out, 128, "a number");
  else snprintf(out, 128, "%.17g to %.17g", row->min, row->max);
}

static garam_status check_range(const opt_row *row, double value, const char *where,
                                garam_error *err) {
  bool any = row->min == 0 && row->max == 0;
  if (isnan(value) || (!any && (value < row->min || value > row->max))) {
    char range[128];
    range_text(range, row);
    return fail(err, GARAM_INVALID, "%s: %.17g is outside %s", where, value, range);
  }
  return GARAM_OK;
}

static garam_status set_choice(const opt_row *row, void *config, const char *text,
                               const char *where, garam_error *err) {
  size_t n = 0;
  for (; row->choices[n]; n++)
    if (same_name(row->choices[n], text)) {
      store_number(row, config, 0, (int64_t)n);
      return GARAM_OK;
    }
  char all[512] = "";
  for (size_t i = 0; i < n; i++) {
    size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", row->choices[i]);
  }
  const char *near = name_nearest(text, row->choices, n);
  return fail(err, GARAM_INVALID, "%s: \"%s\" is not one of %s%s%s%s", where, text, all,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static garam_status set_string(const opt_row *row, void *config, const char *text,
                               const char *where, garam_error *err) {
  if (strlen(text) >= row->size)
    return fail(err, GARAM_INVALID, "%s: longer than %zu characters", where, row->size - 1);
  memcpy(field(row, config), text, strlen(text) + 1);
  return GARAM_OK;
}

static garam_status set_integer(const opt_row *row, void *config, long long value,
                                const char *where, garam_error *err) {
  TRY(check_range(row, (double)value, where, err));
  if (row->type == OPT_INT && (value < INT_MIN || value > INT_MAX))
    return fail(err, GARAM_INVALID, "%s: %lld does not fit 32 bits", where, value);
  store_number(row, config, 0, value);
  return GARAM_OK;
}

garam_status opt_set_text(const opt_row *row, void *config, const char *text, garam_error *err) {
  char where[128];
  snprintf(where, sizeof where, "--%s", row->name);
  char *end;
  errno = 0;
  switch (row->type) {
  case OPT_STRING: return set_string(row, config, text, where, err);
  case OPT_ENUM: return set_choice(row, config, text, where, err);
  case OPT_BOOL: {
    static const char *const yes[] = {"true", "yes", "on", "1"};
    static const char *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
      if (strcmp(text, yes[i]) == 0) return store_number(row, config, 0, 1), GARAM_OK;
      if (strcmp(text, no[i]) == 0) return store_number(row, config, 0, 0), GARAM_OK;
    }
    return fail(err, GARAM_INVALID, "%s: expected true or false, found \"%s\"", where, text);
  }
  case OPT_F64: {
    int64_t whole;
    double value = NAN;
    if (number_parse(&whole, &value, text, strlen(text), '.') == NUMBER_NONE || !isfinite(value))
      return fail(err, GARAM_INVALID, "%s: expected a number, found \"%s\"", where, text);
    TRY(check_range(row, value, where, err));
    store_number(row, config, value, 0);
    return GARAM_OK;
  }
  case OPT_INT:
  case OPT_I64:
  case OPT_BYTES: {
    long long value = strtoll(text, &end, 10);
    if (row->type == OPT_BYTES && end != text && *end) {
      static const char units[] = "KMG";
      const char *unit = strchr(units, *end & ~0x20);
      if (unit && *unit) {
        for (long i = 0; i <= unit - units; i++)
          if (__builtin_mul_overflow(value, 1024LL, &value)) errno = ERANGE;
        end++;
        if ((*end & ~0x20) == 'B') end++;
      }
    }
    if (end == text || *end || errno == ERANGE)
      return fail(err, GARAM_INVALID, "%s: expected %s, found \"%s\"", where,
                  row->type == OPT_BYTES ? "a size such as 64M" : "an integer", text);
    return set_integer(row, config, value, where, err);
  }
  }
  return fail(err, GARAM_INVALID, "%s: unknown option type", where);
}

/* ["a", "b"] is "a,b": what one would type. */
static garam_status set_list(const opt_row *row, void *config, const json_t *list,
                             const char *where, garam_error *err) {
  size_t used = 0, n = json_array_size(list);
  char *text = mem_zalloc(row->size);
  if (!text) return fail_memory(err, row->size);
  garam_status status = GARAM_OK;
  for (size_t i = 0; i < n && status == GARAM_OK; i++) {
    const char *one = json_string_value(json_array_get(list, i));
    if (!one) {
      status = fail(err, GARAM_INVALID, "%s: expected a string or a list of strings", where);
      break;
    }
    int length = snprintf(text + used, row->size - used, "%s%s", i ? "," : "", one);
    if ((size_t)length >= row->size - used)
      status = fail(err, GARAM_INVALID, "%s: longer than %zu characters", where, row->size - 1);
    used += (size_t)length;
  }
  if (status == GARAM_OK) status = set_string(row, config, text, where, err);
  mem_free(text);
  return status;
}

garam_status opt_set_json(const opt_row *row, void *config, const json_t *value, const char *source,
                          garam_error *err) {
  char where[256];
  snprintf(where, sizeof where, "%s: \"%s\"", source, row->name);
  switch (row->type) {
  case OPT_STRING:
    if (json_is_array(value)) return set_list(row, config, value, where, err);
    if (!json_is_string(value)) break;
    return set_string(row, config, json_string_value(value), where, err);
  case OPT_ENUM:
    if (!json_is_string(value)) break;
    return set_choice(row, config, json_string_value(value), where, err);
  case OPT_BOOL:
    if (!json_is_boolean(value)) break;
    store_number(row, config, 0, json_boolean_value(value));
    return GARAM_OK;
  case OPT_F64:
    if (!json_is_number(value)) break;
    TRY(check_range(row, json_number_value(value), where, err));
    store_number(row, config, json_number_value(value), 0);
    return GARAM_OK;
  case OPT_BYTES:
    if (json_is_string(value)) return opt_set_text(row, config, json_string_value(value), err);
    /* fall through */
  case OPT_INT:
  case OPT_I64:
    if (!json_is_integer(value)) break;
    return set_integer(row, config, json_integer_value(value), where, err);
  }
  static const char *const kinds[] = {"true or false", "an integer", "an integer", "a number",
                                      "a size",        "a name",     "a string"};
  return fail(err, GARAM_INVALID, "%s: expected %s", where, kinds[row->type]);
}

static void json_key(char out[128], const char *name) {
  snprintf(out, 128, "%s", name);
  for (char *c = out; *c; c++)
    if (*c == '-') *c = '_';
}

json_t *opt_to_json(const opt_row *rows, size_t n_rows, const void *config) {
  json_t *object = json_object();
  for (size_t i = 0; object && i < n_rows; i++) {
    const opt_row *row = &rows[i];
    const void *at = field_const(row, config);
    json_t *value = NULL;
    switch (row->type) {
    case OPT_BOOL: value = json_boolean(*(const bool *)at); break;
    case OPT_INT: value = json_integer(*(const int *)at); break;
    case OPT_I64:
    case OPT_BYTES: value = json_integer(*(const int64_t *)at); break;
    case OPT_F64: value = json_number_or_null(*(const double *)at); break;
    case OPT_ENUM: value = json_string(row->choices[*(const int *)at]); break;
    case OPT_STRING: value = json_string(at); break;
    }
    char key[128];
    json_key(key, row->name);
    if (json_object_set_new(object, key, value) != 0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

static const char *nearest_row(const opt_row *rows, size_t n_rows, const char *name) {
  const char *best = NULL;
  for (size_t i = 0; i < n_rows; i++) {
    const char *pair[2] = {best ? best : rows[i].name, rows[i].name};
    const char *near = name_nearest(name, pair, 2);
    if (near) best = near;
  }
  return best;
}

garam_status opt_from_json(const opt_row *rows, size_t n_rows, void *config, json_t *object,
                           const char *where, garam_error *err) {
  if (!json_is_object(object)) return fail(err, GARAM_PARSE, "%s: expected an object", where);
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    const opt_row *row = opt_find(rows, n_rows, key);
    if (!row) {
      const char *near = nearest_row(rows, n_rows, key);
      return fail(err, GARAM_NOT_FOUND, "%s: unknown option \"%s\"%s%s%s", where, key,
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    TRY(opt_set_json(row, config, value, where, err));
  }
  return GARAM_OK;
}

garam_status opt_parse_flag(const opt_set *sets, size_t n_sets, int argc, char **argv, int *at,
                            bool *given, garam_error *err) {
  while (*at < argc) {
    const char *arg = argv[*at];
    if (strncmp(arg, "--", 2) != 0 || !arg[2]) return GARAM_OK;
    char name[128];
    const char *equals = strchr(arg, '=');
    size_t n = equals ? (size_t)(equals - arg - 2) : strlen(arg + 2);
    snprintf(name, sizeof name, "%.*s", (int)(n < 127 ? n : 127), arg + 2);

    const opt_row *row = NULL;
    void *config = NULL;
    size_t number = 0;
    bool negated = false;
    for (int pass = 0; pass < 2 && !row; pass++) {
      if (pass == 1 && strncmp(name, "no-", 3) != 0) break;
      number = 0;
      for (size_t s = 0; s < n_sets && !row; s++) {
        row = opt_find(sets[s].rows, sets[s].n_rows, name + 3 * pass);
        if (row && pass == 1 && row->type != OPT_BOOL) row = NULL;
        config = sets[s].config;
        number += row ? (size_t)(row - sets[s].rows) : sets[s].n_rows;
      }
      negated = pass == 1;
    }
    if (!row) {
      const char *near = NULL;
      for (size_t s = 0; s < n_sets; s++) {
        const char *found = nearest_row(sets[s].rows, sets[s].n_rows, name);
        const char *pair[2] = {near ? near : found, found};
        if (found) near = name_nearest(name, pair, 2);
      }
      return fail(err, GARAM_NOT_FOUND, "unknown option --%s%s%s%s", name,
                  near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
    }
    (*at)++;
    if (row->type == OPT_BOOL && !equals) {
      store_number(row, config, 0, !negated);
    } else if (negated) {
      return fail(err, GARAM_INVALID, "--%s takes no value", name);
    } else {
      const char *text = equals ? equals + 1 : *at < argc ? argv[(*at)++] : NULL;
      if (!text) return fail(err, GARAM_INVALID, "--%s needs a value", name);
      TRY(opt_set_text(row, config, text, err));
    }
    if (given) given[number] = true;
  }
  return GARAM_OK;
}

char *opt_value_text(char out[OPT_TEXT_MAX], const opt_row *row, const void *config) {
  const void *at = field_const(row, config);
  switch (row->type) {
  case OPT_BOOL: snprintf(out, OPT_TEXT_MAX, "%s", *(const bool *)at ? "true" : "false"); break;
  case OPT_INT: snprintf(out, OPT_TEXT_MAX, "%d", *(const int *)at); break;
  case OPT_I64:
  case OPT_BYTES: snprintf(out, OPT_TEXT_MAX, "%lld", (long long)*(const int64_t *)at); break;
  case OPT_F64: number_print_short(out, *(const double *)at); break;
  case OPT_ENUM: snprintf(out, OPT_TEXT_MAX, "%s", row->choices[*(const int *)at]); break;
  case OPT_STRING: snprintf(out, OPT_TEXT_MAX, "%s", (const char *)at); break;
  }
  return out;
}

static void default_text(char out[OPT_TEXT_MAX], const opt_row *row) {
  union {
    bool b;
    int i;
    int64_t l;
    double d;
  } value;
  opt_row at_zero = *row;
  at_zero.offset = 0;
  if (row->type == OPT_STRING) {
    snprintf(out, OPT_TEXT_MAX, "%s", row->def_text ? row->def_text : "");
    return;
  }
  opt_defaults(&at_zero, 1, &value);
  opt_value_text(out, &at_zero, &value);
}

void opt_print_help(FILE *out, const opt_set *set) {
  static const char *const kinds[] = {"", " N", " N", " X", " SIZE", " NAME", " TEXT"};
  fprintf(out, "%s:\n", set->title);
  for (size_t i = 0; i < set->n_rows; i++) {
    const opt_row *row = &set->rows[i];
    char left[256];
    int n = snprintf(left, sizeof left, "  --%s", row->name);
    if (row->type == OPT_ENUM) {
      n += snprintf(left + n, sizeof left - (size_t)n, " ");
      for (size_t c = 0; row->choices[c] && (size_t)n < sizeof left; c++)
        n += snprintf(left + n, sizeof left - (size_t)n, "%s%s", c ? "|" : "", row->choices[c]);
    } else {
      snprintf(left + n, sizeof left - (size_t)n, "%s", kinds[row->type]);
    }
    fprintf(out, strlen(left) < 34 ? "%-34s " : "%s\n%35s", left, "");
    fputs(row->help, out);
    char text[OPT_TEXT_MAX];
    default_text(text, row);
    if (row->unit) fprintf(out, ", in %s", row->unit);
    if (row->type != OPT_BOOL && text[0]) fprintf(out, " [%s]", text);
    if (row->type == OPT_BOOL && row->def != 0) fprintf(out, " [on; --no-%s]", row->name);
    if (row->min != 0 || row->max != 0) fprintf(out, " (%.9g to %.9g)", row->min, row->max);
    fputc('\n', out);
  }
}

static json_t *describe_row(const opt_row *row) {
  static const char *const types[] = {"bool",  "integer", "integer", "number",
                                      "bytes", "enum",    "string"};
  char key[128], text[OPT_TEXT_MAX];
  json_key(key, row->name);
  default_text(text, row);
  json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", row->name, "key", key, "type",
                        types[row->type], "default", text, "help", row->help);
  bool good = o != NULL;
  if (row->min != 0 || row->max != 0)
    good &= json_object_set_new(o, "range", json_pack("[f, f]", row->min, row->max)) == 0;
  if (row->search.low != 0 || row->search.high != 0)
    good &= json_object_set_new(o, "search",
                                json_pack("{s:f, s:f, s:s}", "low", row->search.low, "high",
                                          row->search.high, "scale",
                                          row->scale == OPT_LOG ? "log" : "linear")) == 0;
  if (row->unit) good &= json_object_set_new(o, "unit", json_string(row->unit)) == 0;
  if (row->choices && row->type == OPT_ENUM) {
    json_t *choices = json_array();
    for (size_t c = 0; row->choices[c]; c++)
      good &= json_array_append_new(choices, json_string(row->choices[c])) == 0;
    good &= json_object_set_new(o, "choices", choices) == 0;
  }
  if (good) return o;
  json_decref(o);
  return NULL;
}

json_t *opt_describe(const opt_row *rows, size_t n_rows) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < n_rows; i++)
    if (json_array_append_new(array, describe_row(&rows[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}
