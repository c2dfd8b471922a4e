/* A table in figures, as JSON. */
#include "table/table.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

enum { NAMES_SHOWN = 20 };

/* Sets a field; NULL values and failures make *good false and leave nothing behind. */
static void set(bool *good, json_t *o, const char *key, json_t *value) {
  if (json_object_set_new(o, key, value) != 0) *good = false;
}

static void set_count(bool *good, json_t *o, const char *key, uint64_t value) {
  set(good, o, key, json_integer((json_int_t)value));
}

static json_t *time_json(int64_t ns, bool is_utc) {
  char text[CLOCK_TEXT_MAX];
  clock_format(text, ns);
  if (!is_utc) text[strlen(text) - 1] = 0; /* no Z: nobody said which zone */
  return json_string(text);
}

/* Mean and deviation (of the sample) in one pass (B. P. Welford, Technometrics 1962). */
static void describe_numbers(bool *good, json_t *o, const column *c, size_t n_rows) {
  double min = NAN, max = NAN, mean = 0, squares = 0;
  size_t n = 0, n_infinite = 0;
  for (size_t i = 0; i < n_rows; i++) {
    double x = column_f64(c, i);
    if (isnan(x)) continue;
    if (isinf(x)) {
      n_infinite++;
      continue;
    }
    n++;
    if (!(x >= min)) min = x;
    if (!(x <= max)) max = x;
    double from_mean = x - mean;
    mean += from_mean / (double)n;
    squares += from_mean * (x - mean);
  }
  set(good, o, "min", json_number_or_null(min));
  set(good, o, "max", json_number_or_null(max));
  set(good, o, "mean", json_number_or_null(n ? mean : NAN));
  double deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : NAN;
  set(good, o, "deviation", json_number_or_null(deviation));
  if (n_infinite) set_count(good, o, "infinite", n_infinite);
}

static void describe_times(bool *good, json_t *o, const column *c, size_t n_rows, bool is_utc) {
  int64_t min = INT64_MAX, max = COLUMN_I64_MISSING;
  for (size_t i = 0; i < n_rows; i++) {
    if (c->i64[i] == COLUMN_I64_MISSING) continue;
    if (c->i64[i] < min) min = c->i64[i];
    if (c->i64[i] > max) max = c->i64[i];
  }
  bool any = max != COLUMN_I64_MISSING;
  set(good, o, "min", any ? time_json(min, is_utc) : json_null());
  set(good, o, "max", any ? time_json(max, is_utc) : json_null());
}

static void describe_names(bool *good, json_t *o, const column *c) {
  json_t *names = json_array();
  for (size_t i = 0; i < c->n_names && i < NAMES_SHOWN; i++)
    if (json_array_append_new(names, json_string(c->names[i])) != 0) *good = false;
  set_count(good, o, "distinct", c->n_names);
  set(good, o, "names", names);
}

static json_t *describe_column(bool *good, const table *t, size_t i) {
  static const char *const types[] = {"number", "integer", "time", "category"};
  const column *c = &t->columns[i];
  json_t *o = json_object();
  set(good, o, "name", json_string(c->name));
  set(good, o, "type", json_string(types[c->type]));
  set_count(good, o, "missing", c->n_missing);
  switch (c->type) {
  case COLUMN_F64:
  case COLUMN_I64: describe_numbers(good, o, c, t->n_rows); break;
  case COLUMN_TIME:
    describe_times(good, o, c, t->n_rows,
                   (int)i == t->time_column ? strcmp(t->zone, "UTC") == 0 : c->is_utc);
    break;
  case COLUMN_CATEGORY: describe_names(good, o, c); break;
  }
  return o;
}

static double seconds(int64_t ns) {
  return (double)ns / (double)CLOCK_NS_PER_SECOND;
}

static garam_status describe_index(bool *good, json_t *o, const table *t, garam_error *err) {
  table_time_report r = {0};
  json_t *time = NULL;
  if (t->time_column >= 0) {
    bool is_utc = strcmp(t->zone, "UTC") == 0;
    TRY(table_time_check(&r, t, err));
    time = json_object();
    set(good, time, "column", json_string(t->columns[t->time_column].name));
    set(good, time, "start", time_json(r.start, is_utc));
    set(good, time, "end", time_json(r.end, is_utc));
    set(good, time, "step", r.step ? json_real(seconds(r.step)) : json_null());
    set(good, time, "zone", json_string(t->zone));
    if (r.n_gaps) {
      set(good, time, "largest_gap", json_real(seconds(r.largest_gap)));
      set_count(good, time, "largest_gap_line", table_line(t, r.largest_gap_row));
    }
    if (r.n_duplicates)
      set_count(good, time, "first_duplicate_line", table_line(t, r.first_duplicate));
    if (r.n_unsorted) set_count(good, time, "first_unsorted_line", table_line(t, r.first_unsorted));
  }
  set(good, o, "time", time ? time : json_null());
  set_count(good, o, "gaps", r.n_gaps);
  set_count(good, o, "duplicates", r.n_duplicates);
  set_count(good, o, "unsorted", r.n_unsorted);
  return GARAM_OK;
}

garam_status table_describe(json_t **out, const table *t, garam_error *err) {
  bool is_good = true, *good = &is_good;
  *out = NULL;
  json_t *o = json_object(), *columns = json_array(), *missing = json_object();
  set(good, o, "source", json_string(t->source));
  set_count(good, o, "rows", t->n_rows);
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    if (json_array_append_new(columns, describe_column(good, t, i)) != 0) *good = false;
    if (c->n_missing) set_count(good, missing, c->name, c->n_missing);
  }
  set(good, o, "columns", columns);
  garam_status status = describe_index(good, o, t, err);
  set(good, o, "missing", missing);
  if (status == GARAM_OK && !is_good) status = fail_memory(err, 0);
  if (status == GARAM_OK) *out = o;
  else json_decref(o);
  return status;
}
