/* Tables in memory: columns, lookups, copies. */
#include "table/table.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>
#include <strings.h>

static size_t width_of(column_type type) {
  return type == COLUMN_CATEGORY ? sizeof(int32_t) : sizeof(int64_t);
}

garam_status table_new(table **out, const char *source, size_t n_rows, garam_error *err) {
  *out = NULL;
  table *t = mem_zalloc(sizeof *t);
  if (!t) return fail_memory(err, sizeof *t);
  t->source = mem_strdup(source);
  if (!t->source) {
    mem_free(t);
    return fail_memory(err, strlen(source) + 1);
  }
  t->n_rows = n_rows;
  t->time_column = -1;
  t->first_line = 1;
  strcpy(t->zone, "none");
  *out = t;
  return GARAM_OK;
}

static void column_deinit(column *c) {
  for (size_t i = 0; i < c->n_names; i++) mem_free(c->names[i]);
  mem_free(c->names);
  mem_free(c->f64);
  mem_free(c->name);
}

void table_free(table *t) {
  if (!t) return;
  for (size_t i = 0; i < t->n_columns; i++) column_deinit(&t->columns[i]);
  mem_free(t->columns);
  mem_free(t->line_of_row);
  mem_free(t->source);
  mem_free(t);
}

garam_status table_add_column(column **out, table *t, const char *name, column_type type,
                              garam_error *err) {
  *out = NULL;
  column *columns = mem_resize(t->columns, (t->n_columns + 1) * sizeof *columns);
  if (!columns) return fail_memory(err, (t->n_columns + 1) * sizeof *columns);
  t->columns = columns;
  column *c = &columns[t->n_columns];
  *c = (column){.type = type, .name = mem_strdup(name)};
  c->f64 = mem_array(t->n_rows, width_of(type));
  if (!c->name || !c->f64) {
    column_deinit(c);
    return fail_memory(err, t->n_rows * width_of(type));
  }
  t->n_columns++;
  *out = c;
  return GARAM_OK;
}

int table_find(const table *t, const char *name) {
  for (size_t i = 0; i < t->n_columns; i++)
    if (strcmp(t->columns[i].name, name) == 0) return (int)i;
  for (size_t i = 0; i < t->n_columns; i++)
    if (strcasecmp(t->columns[i].name, name) == 0) return (int)i;
  return -1;
}

uint64_t table_line(const table *t, size_t row) {
  return t->line_of_row ? t->line_of_row[row] : t->first_line + row;
}

double column_f64(const column *c, size_t row) {
  switch (c->type) {
  case COLUMN_F64: return c->f64[row];
  case COLUMN_I64:
  case COLUMN_TIME: return c->i64[row] == COLUMN_I64_MISSING ? NAN : (double)c->i64[row];
  case COLUMN_CATEGORY: return c->code[row] < 0 ? NAN : c->code[row];
  }
  return NAN;
}

bool column_is_missing(const column *c, size_t row) {
  switch (c->type) {
  case COLUMN_F64: return isnan(c->f64[row]);
  case COLUMN_I64:
  case COLUMN_TIME: return c->i64[row] == COLUMN_I64_MISSING;
  case COLUMN_CATEGORY: return c->code[row] < 0;
  }
  return false;
}

/* Rows `rows` of `from`, or the first n_rows when rows is NULL, into the zeroed column `to`. */
static void copy_rows(column *to, const column *from, const size_t *rows, size_t n_rows) {
  size_t width = width_of(from->type);
  for (size_t i = 0; i < n_rows; i++) {
    size_t row = rows ? rows[i] : i;
    memcpy((char *)to->f64 + i * width, (const char *)from->f64 + row * width, width);
    to->n_missing += column_is_missing(from, row);
  }
}

static garam_status copy_names(column *to, const column *from, size_t n, garam_error *err) {
  if (n == 0) return GARAM_OK;
  to->names = mem_array(n, sizeof *to->names);
  if (!to->names) return fail_memory(err, n * sizeof *to->names);
  for (; to->n_names < n; to->n_names++) {
    const char *name = from->names[to->n_names];
    to->names[to->n_names] = mem_strdup(name);
    if (!to->names[to->n_names]) return fail_memory(err, strlen(name) + 1);
  }
  return GARAM_OK;
}

static garam_status copy_table(table **out, const table *t, const size_t *rows, size_t n_rows,
                               garam_error *err) {
  table *copy;
  *out = NULL;
  TRY(table_new(&copy, t->source, n_rows, err));
  garam_status status = GARAM_OK;
  copy->time_column = t->time_column;
  copy->first_line = t->first_line;
  memcpy(copy->zone, t->zone, sizeof copy->zone);
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *from = &t->columns[i];
    column *to;
    TRY_GOTO(done, table_add_column(&to, copy, from->name, from->type, err));
    to->is_utc = from->is_utc;
    copy_rows(to, from, rows, n_rows);
    size_t n_names = from->n_names;
    if (!rows) { /* codes are in order of first appearance, so later names are of later rows */
      n_names = 0;
      for (size_t row = 0; from->type == COLUMN_CATEGORY && row < n_rows; row++)
        if (from->code[row] >= 0 && (size_t)from->code[row] >= n_names)
          n_names = (size_t)from->code[row] + 1;
    }
    TRY_GOTO(done, copy_names(to, from, n_names, err));
  }
  if (rows || t->line_of_row) {
    copy->line_of_row = mem_array(n_rows, sizeof *copy->line_of_row);
    if (!copy->line_of_row) {
      status = fail_memory(err, n_rows * sizeof *copy->line_of_row);
      goto done;
    }
    for (size_t i = 0; i < n_rows; i++) copy->line_of_row[i] = table_line(t, rows ? rows[i] : i);
  }
  *out = copy;
  copy = NULL;
done:
  table_free(copy);
  return status;
}

garam_status table_head(table **out, const table *t, size_t n_rows, garam_error *err) {
  return copy_table(out, t, NULL, n_rows < t->n_rows ? n_rows : t->n_rows, err);
}

garam_status table_take(table **out, const table *t, const size_t *rows, size_t n_rows,
                        garam_error *err) {
  for (size_t i = 0; i < n_rows; i++)
    REQUIRE(rows[i] < t->n_rows, "row %zu of a table of %zu", rows[i], t->n_rows);
  static const size_t none;
  return copy_table(out, t, rows ? rows : &none, n_rows, err);
}
