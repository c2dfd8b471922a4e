/* Sets of option rows from JSON: see settings.h. */
#include "api/settings.h"

enum { MAX_NAMES = 1024 };

static garam_status fail_unknown(const opt_set *sets, size_t n_sets, const char *key,
                                 const char *where, garam_error *err) {
  const char *names[MAX_NAMES];
  size_t n = 0;
  for (size_t s = 0; s < n_sets; s++)
    for (size_t i = 0; i < sets[s].n_rows && n < MAX_NAMES; i++) names[n++] = sets[s].rows[i].name;
  const char *near = name_nearest(key, names, n);
  return fail(err, GARAM_NOT_FOUND, "%s: unknown option \"%s\"%s%s%s", where, key,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

garam_status settings_from_json(const opt_set *sets, size_t n_sets, json_t *object,
                                const char *where, garam_error *err) {
  if (!json_is_object(object)) return fail(err, GARAM_PARSE, "%s: expected a JSON object", where);
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) {
    const opt_row *row = NULL;
    size_t s = 0;
    for (; s < n_sets && !row; s++) row = opt_find(sets[s].rows, sets[s].n_rows, key);
    if (!row) return fail_unknown(sets, n_sets, key, where, err);
    TRY(opt_set_json(row, sets[s - 1].config, value, where, err));
  }
  return GARAM_OK;
}

const char *settings_peek(json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

bool settings_has(json_t *object, const opt_row *row) {
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) if (opt_find(row, 1, key)) return true;
  return false;
}
