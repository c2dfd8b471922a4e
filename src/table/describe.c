/* A table in figures, as JSON. */
#include "table/table.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

enum { NAMES_SHOWN = 20 };

static json_t *time_json(int64_t ns, bool is_utc) {
  char text[CLOCK_TEXT_MAX];
  clock_format(text, ns);
  if (!is_utc) text[strlen(text) - 1] = 0; /* no Z: nobody said which zone */
  return json_string(text);
}

/* Mean and deviation (of the sample) in one pass (B. P. Welford, Technometrics 1962). */
static void describe_numbers(json_t *o, const column *c, size_t n_rows) {
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
  json_object_set_new(o, "min", json_number_or_null(min));
  json_object_set_new(o, "max", json_number_or_null(max));
  json_object_set_new(o, "mean", json_number_or_null(n ? mean : NAN));
  json_object_set_new(o, "deviation",
                      json_number_or_null(n > 1 ? sqrt(squares / (double)(n - 1)) : NAN));
  if (n_infinite) json_object_set_new(o, "infinite", json_integer((json_int_t)n_infinite));
}

static void describe_times(json_t *o, const column *c, size_t n_rows, bool is_utc) {
  int64_t min = INT64_MAX, max = COLUMN_I64_MISSING;
  for (size_t i = 0; i < n_rows; i++) {
    if (c->i64[i] == COLUMN_I64_MISSING) continue;
    if (c->i64[i] < min) min = c->i64[i];
    if (c->i64[i] > max) max = c->i64[i];
  }
  bool any = max != COLUMN_I64_MISSING;
  json_object_set_new(o, "min", any ? time_json(min, is_utc) : json_null());
  json_object_set_new(o, "max", any ? time_json(max, is_utc) : json_null());
}

static void describe_names(json_t *o, const column *c) {
  json_t *names = json_array();
  for (size_t i = 0; i < c->n_names && i < NAMES_SHOWN; i++)
    json_array_append_new(names, json_string(c->names[i]));
  json_object_set_new(o, "distinct", json_integer((json_int_t)c->n_names));
  json_object_set_new(o, "names", names);
}

static json_t *describe_column(const table *t, size_t i) {
  static const char *const types[] = {"number", "integer", "time", "category"};
  const column *c = &t->columns[i];
  json_t *o = json_object();
  json_object_set_new(o, "name", json_string(c->name));
  json_object_set_new(o, "type", json_string(types[c->type]));
  json_object_set_new(o, "missing", json_integer((json_int_t)c->n_missing));
  switch (c->type) {
  case COLUMN_F64:
  case COLUMN_I64: describe_numbers(o, c, t->n_rows); break;
  case COLUMN_TIME:
    describe_times(o, c, t->n_rows,
                   (int)i == t->time_column ? strcmp(t->zone, "UTC") == 0 : c->is_utc);
    break;
  case COLUMN_CATEGORY: describe_names(o, c); break;
  }
  return o;
}

static double seconds(int64_t ns) {
  return (double)ns / (double)CLOCK_NS_PER_SECOND;
}

static garam_status describe_index(json_t *o, const table *t, garam_error *err) {
  table_time_report r = {0};
  json_t *time = NULL;
  if (t->time_column >= 0) {
    bool is_utc = strcmp(t->zone, "UTC") == 0;
    TRY(table_time_check(&r, t, err));
    time = json_object();
    json_object_set_new(time, "column", json_string(t->columns[t->time_column].name));
    json_object_set_new(time, "start", time_json(r.start, is_utc));
    json_object_set_new(time, "end", time_json(r.end, is_utc));
    json_object_set_new(time, "step", r.step ? json_real(seconds(r.step)) : json_null());
    json_object_set_new(time, "zone", json_string(t->zone));
    if (r.n_gaps) {
      json_object_set_new(time, "largest_gap", json_real(seconds(r.largest_gap)));
      json_object_set_new(time, "largest_gap_line",
                          json_integer((json_int_t)table_line(t, r.largest_gap_row)));
    }
    if (r.n_duplicates)
      json_object_set_new(time, "first_duplicate_line",
                          json_integer((json_int_t)table_line(t, r.first_duplicate)));
    if (r.n_unsorted)
      json_object_set_new(time, "first_unsorted_line",
                          json_integer((json_int_t)table_line(t, r.first_unsorted)));
  }
  json_object_set_new(o, "time", time ? time : json_null());
  json_object_set_new(o, "gaps", json_integer((json_int_t)r.n_gaps));
  json_object_set_new(o, "duplicates", json_integer((json_int_t)r.n_duplicates));
  json_object_set_new(o, "unsorted", json_integer((json_int_t)r.n_unsorted));
  return GARAM_OK;
}

garam_status table_describe(json_t **out, const table *t, garam_error *err) {
  *out = NULL;
  json_t *o = json_object(), *columns = json_array(), *missing = json_object();
  json_object_set_new(o, "source", json_string(t->source));
  json_object_set_new(o, "rows", json_integer((json_int_t)t->n_rows));
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    json_array_append_new(columns, describe_column(t, i));
    if (c->n_missing)
      json_object_set_new(missing, c->name, json_integer((json_int_t)c->n_missing));
  }
  json_object_set_new(o, "columns", columns);
  garam_status status = describe_index(o, t, err);
  json_object_set_new(o, "missing", missing);
  if (status == GARAM_OK) *out = o;
  else json_decref(o);
  return status;
}
