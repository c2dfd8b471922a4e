/* Storage of a table while it is read. */
#include "table/rows.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/number_text.h"
#include "table/cell_text.h"
#include "table/time_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

garam_status rows_init(row_reader *r, const char *source, const char *line_word, size_t n,
                       const table_read_config *config, garam_error *err) {
  *r = (row_reader){.config = config, .line_word = line_word, .decimal = '.'};
  TRY(table_new(&r->t, source, 0, err));
  r->columns = mem_array(n, sizeof *r->columns);
  if (!r->columns) return fail_memory(err, n * sizeof *r->columns);
  r->n_columns = n;
  for (size_t i = 0; i < n; i++) {
    char name[32];
    column *c;
    snprintf(name, sizeof name, "%zu", i);
    TRY(table_add_column(&c, r->t, name, COLUMN_F64, err));
    r->columns[i].clock_from = -1;
  }
  return GARAM_OK;
}

void rows_deinit(row_reader *r) {
  for (size_t i = 0; i < r->n_columns; i++) mem_free(r->columns[i].slots);
  mem_free(r->columns);
  table_free(r->t);
  *r = (row_reader){0};
}

static garam_status fail_at(const row_reader *r, uint64_t line, size_t i, garam_error *err,
                            const char *what) {
  return fail(err, GARAM_PARSE, "%s%s%llu: column \"%s\": %s", r->t->source, r->line_word,
              (unsigned long long)line, r->t->columns[i].name, what);
}

static garam_status fail_cell(const row_reader *r, uint64_t line, size_t i, const char *expected,
                              const cell *c, garam_error *err) {
  char text[CELL_TEXT_MAX], what[CELL_TEXT_MAX + 64];
  size_t n = cell_print(text, c);
  bool cut = c->kind == CELL_TEXT && n < c->size;
  snprintf(what, sizeof what, "expected %s, found \"%s%s\"", expected, text, cut ? "..." : "");
  return fail_at(r, line, i, err, what);
}

garam_status rows_name(row_reader *r, size_t i, const char *text, size_t n, uint64_t line,
                       garam_error *err) {
  if (n == 0) return GARAM_OK; /* keeps its number */
  if (!text_is_utf8(text, n))
    return fail(err, GARAM_PARSE, "%s%s%llu: the name of column %zu is not UTF-8 text",
                r->t->source, r->line_word, (unsigned long long)line, i + 1);
  char *name = mem_format("%.*s", (int)n, text);
  if (!name) return fail_memory(err, n + 1);
  mem_free(r->t->columns[i].name);
  r->t->columns[i].name = name;
  return GARAM_OK;
}

static size_t width_of(const column *c) {
  return c->type == COLUMN_CATEGORY ? sizeof(int32_t) : sizeof(int64_t);
}

static garam_status resize_columns(row_reader *r, size_t n, garam_error *err) {
  for (size_t i = 0; i < r->t->n_columns; i++) {
    column *c = &r->t->columns[i];
    size_t bytes;
    if (r->columns[i].is_dropped) continue;
    if (!size_mul(&bytes, n ? n : 1, width_of(c))) return fail_memory(err, SIZE_MAX);
    void *grown = mem_resize(c->f64, bytes);
    if (!grown) return fail_memory(err, bytes);
    c->f64 = grown;
  }
  r->capacity = n;
  return GARAM_OK;
}

garam_status rows_reserve(row_reader *r, size_t n, garam_error *err) {
  return n <= r->capacity ? GARAM_OK : resize_columns(r, n, err);
}

/* ---- categories -------------------------------------------------------------------------- */

static uint64_t hash_text(const char *text, size_t n) { /* FNV-1a */
  uint64_t hash = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < n; i++) hash = (hash ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
  return hash ^ hash >> 32;
}

static int32_t *find_slot(const row_column *rc, const column *c, const char *text, size_t n) {
  size_t mask = rc->n_slots - 1;
  for (size_t at = hash_text(text, n) & mask;; at = (at + 1) & mask) {
    int32_t code = rc->slots[at];
    if (code == 0) return &rc->slots[at];
    const char *name = c->names[code - 1];
    if (strncmp(name, text, n) == 0 && name[n] == 0) return &rc->slots[at];
  }
}

static garam_status grow_slots(row_column *rc, const column *c, garam_error *err) {
  size_t n = rc->n_slots ? rc->n_slots * 2 : 32;
  int32_t *slots = mem_array(n, sizeof *slots);
  if (!slots) return fail_memory(err, n * sizeof *slots);
  mem_free(rc->slots);
  rc->slots = slots;
  rc->n_slots = n;
  for (size_t i = 0; i < c->n_names; i++)
    *find_slot(rc, c, c->names[i], strlen(c->names[i])) = (int32_t)i + 1;
  return GARAM_OK;
}

static garam_status put_category(row_reader *r, size_t i, const cell *given, uint64_t line,
                                 garam_error *err) {
  row_column *rc = &r->columns[i];
  column *c = &r->t->columns[i];
  size_t row = r->t->n_rows;
  const char *text = given->text;
  size_t n = given->size;
  char printed[CELL_TEXT_MAX];
  if (given->kind == CELL_I64 || given->kind == CELL_F64) {
    n = cell_print(printed, given);
    text = printed;
  }
  if (given->kind == CELL_NULL || n == 0 ||
      (given->kind == CELL_TEXT && !given->quoted && text_is_missing(text, n))) {
    c->code[row] = -1;
    c->n_missing++;
    return GARAM_OK;
  }
  if (c->n_names * 2 >= rc->n_slots) TRY(grow_slots(rc, c, err));
  int32_t *slot = find_slot(rc, c, text, n);
  if (*slot == 0) {
    if (!text_is_utf8(text, n)) return fail_at(r, line, i, err, "the text is not UTF-8");
    if (c->n_names == INT32_MAX - 1) return fail_at(r, line, i, err, "too many different texts");
    TRY(mem_grow(&c->names, &rc->names_capacity, c->n_names + 1, sizeof *c->names, err));
    char *name = mem_alloc(n + 1);
    if (!name) return fail_memory(err, n + 1);
    memcpy(name, text, n);
    name[n] = 0;
    c->names[c->n_names++] = name;
    *slot = (int32_t)c->n_names;
  }
  c->code[row] = *slot - 1;
  return GARAM_OK;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static void widen(column *c, size_t n_rows) {
  for (size_t i = 0; i < n_rows; i++) {
    int64_t value = c->i64[i];
    c->f64[i] = value == COLUMN_I64_MISSING ? NAN : (double)value;
  }
  c->type = COLUMN_F64;
}

static garam_status put_number(row_reader *r, size_t i, const cell *given, uint64_t line,
                               garam_error *err) {
  column *c = &r->t->columns[i];
  size_t row = r->t->n_rows;
  int64_t integer = 0;
  double real = NAN;
  number_kind kind = NUMBER_NONE;
  switch (given->kind) {
  case CELL_TEXT:
    kind = number_parse(&integer, &real, given->text, given->size, r->decimal);
    if (kind == NUMBER_NONE && !text_is_missing(given->text, given->size))
      return fail_cell(r, line, i, "a number", given, err);
    break;
  case CELL_I64:
    kind = given->i64 == COLUMN_I64_MISSING ? NUMBER_REAL : NUMBER_INTEGER;
    integer = given->i64;
    real = (double)integer;
    break;
  case CELL_F64:
    kind = NUMBER_REAL;
    real = given->f64;
    break;
  case CELL_NULL: break;
  }
  c->n_missing += kind == NUMBER_NONE;
  if (c->type == COLUMN_I64) {
    if (kind == NUMBER_REAL) widen(c, row);
    else integer = kind == NUMBER_NONE ? COLUMN_I64_MISSING : integer;
  }
  if (c->type == COLUMN_I64) c->i64[row] = integer;
  else c->f64[row] = real;
  return GARAM_OK;
}

/* ---- times -------------------------------------------------------------------------------- */

static bool epoch_of(int64_t *ns, const cell *given, int64_t unit, char decimal) {
  switch (given->kind) {
  case CELL_TEXT: return time_parse_epoch(ns, given->text, given->size, unit, decimal);
  case CELL_I64: return !__builtin_mul_overflow(given->i64, unit, ns);
  case CELL_F64: {
    double value = nearbyint(given->f64 * (double)unit);
    if (!(fabs(value) < 9.2e18)) return false;
    *ns = (int64_t)value;
    return true;
  }
  case CELL_NULL: break;
  }
  return false;
}

static bool cell_is_missing(const cell *c) {
  return c->kind == CELL_NULL || (c->kind == CELL_TEXT && text_is_missing(c->text, c->size));
}

static garam_status put_time(row_reader *r, size_t i, const cell *cells, uint64_t line,
                             garam_error *err) {
  row_column *rc = &r->columns[i];
  column *c = &r->t->columns[i];
  const cell *given = &cells[i];
  size_t row = r->t->n_rows;
  time_parts parts = {0};
  bool good = false, zoned = rc->form == FORM_EPOCH;
  char printed[CELL_TEXT_MAX];
  const char *text = given->text;
  size_t n = given->size;
  if (rc->form != FORM_EPOCH && given->kind != CELL_TEXT) {
    n = cell_print(printed, given);
    text = printed;
  }
  switch (rc->form) {
  case FORM_CALENDAR: good = time_parse_calendar(&parts, text, n, (time_order)rc->order); break;
  case FORM_COMPACT: good = time_parse_compact(&parts, text, n); break;
  case FORM_EPOCH: good = epoch_of(&parts.ns, given, rc->unit, r->decimal); break;
  }
  zoned |= parts.has_zone;
  if (!good) {
    if (!cell_is_missing(given)) return fail_cell(r, line, i, "a time", given, err);
    c->i64[row] = COLUMN_I64_MISSING;
    c->n_missing++;
    return GARAM_OK;
  }
  if (rc->clock_from >= 0) {
    const cell *clock = &cells[rc->clock_from];
    int64_t of_day;
    size_t size = cell_print(printed, clock);
    if (!time_parse_clock(&of_day, printed, size, true))
      return fail_cell(r, line, (size_t)rc->clock_from, "a time of day", clock, err);
    parts.ns += of_day;
  }
  if (zoned) {
    rc->seen_zone = true;
  } else {
    rc->seen_naive = true;
    parts.ns -= r->offset;
  }
  if (rc->seen_zone && rc->seen_naive && !r->has_offset)
    return fail_at(r, line, i, err,
                   zoned ? "a time with a zone, after times without one"
                         : "a time without a zone, after times with one");
  c->i64[row] = parts.ns;
  return GARAM_OK;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* The first cell of a column of which the sample held only missing ones. */
static garam_status decide_late(row_reader *r, size_t i, const cell *given, uint64_t line,
                                garam_error *err) {
  column *c = &r->t->columns[i];
  cell_look(&r->columns[i].counts, given, r->decimal);
  TRY(column_decide(r, i, line, err));
  for (size_t row = 0; row < r->t->n_rows; row++) {
    if (c->type == COLUMN_CATEGORY) c->code[row] = -1;
    else if (c->type != COLUMN_F64) c->i64[row] = COLUMN_I64_MISSING;
  }
  return GARAM_OK;
}

static garam_status keep_line(row_reader *r, uint64_t line, garam_error *err) {
  table *t = r->t;
  if (t->n_rows == 0) t->first_line = r->next_line = line;
  if (line != r->next_line || t->line_of_row) {
    size_t had = r->lines_capacity;
    TRY(mem_grow(&t->line_of_row, &r->lines_capacity,
                 r->capacity > t->n_rows ? r->capacity : t->n_rows + 1, sizeof *t->line_of_row,
                 err));
    if (had == 0)
      for (size_t row = 0; row < t->n_rows; row++) t->line_of_row[row] = t->first_line + row;
    t->line_of_row[t->n_rows] = line;
  }
  r->next_line = line + 1;
  return GARAM_OK;
}

garam_status rows_add(row_reader *r, const cell *cells, uint64_t line, garam_error *err) {
  table *t = r->t;
  if (t->n_rows == r->capacity) TRY(rows_reserve(r, r->capacity + r->capacity / 4 + 64, err));
  TRY(keep_line(r, line, err));
  for (size_t i = 0; i < t->n_columns; i++) {
    column *c = &t->columns[i];
    if (r->columns[i].is_dropped) continue;
    if (!r->columns[i].decided && !cell_is_missing(&cells[i]))
      TRY(decide_late(r, i, &cells[i], line, err));
    switch (c->type) {
    case COLUMN_F64:
    case COLUMN_I64: TRY(put_number(r, i, &cells[i], line, err)); break;
    case COLUMN_TIME: TRY(put_time(r, i, cells, line, err)); break;
    case COLUMN_CATEGORY: TRY(put_category(r, i, &cells[i], line, err)); break;
    }
  }
  t->n_rows++;
  return GARAM_OK;
}

static void column_drop(row_reader *r, size_t i) {
  table *t = r->t;
  mem_free(r->columns[i].slots);
  mem_free(t->columns[i].name);
  mem_free(t->columns[i].f64);
  size_t after = t->n_columns - i - 1;
  memmove(&t->columns[i], &t->columns[i + 1], after * sizeof t->columns[0]);
  memmove(&r->columns[i], &r->columns[i + 1], after * sizeof r->columns[0]);
  t->n_columns--;
  r->n_columns--;
  if (t->time_column > (int)i) t->time_column--;
}

static garam_status shrink(void *ptr, size_t bytes, garam_error *err) {
  void *old;
  memcpy(&old, ptr, sizeof old);
  void *smaller = mem_resize(old, bytes);
  if (!smaller) return fail_memory(err, bytes);
  memcpy(ptr, &smaller, sizeof smaller);
  return GARAM_OK;
}

garam_status rows_finish(table **out, row_reader *r, garam_error *err) {
  table *t = r->t;
  for (size_t i = t->n_columns; i-- > 0;)
    if (r->columns[i].is_dropped) column_drop(r, i);
  TRY(resize_columns(r, t->n_rows, err));
  if (t->line_of_row) TRY(shrink(&t->line_of_row, t->n_rows * sizeof *t->line_of_row, err));
  for (size_t i = 0; i < t->n_columns; i++) {
    column *c = &t->columns[i];
    if (c->n_names) TRY(shrink(&c->names, c->n_names * sizeof *c->names, err));
    c->is_utc = c->type == COLUMN_TIME && (r->columns[i].seen_zone || r->has_offset);
  }
  if (t->time_column >= 0) {
    const column *c = &t->columns[t->time_column];
    if (c->type != COLUMN_TIME)
      return fail(err, GARAM_PARSE, "%s: column \"%s\": every time is missing", t->source, c->name);
    strcpy(t->zone, c->is_utc ? "UTC" : "none");
  }
  *out = t;
  r->t = NULL;
  return GARAM_OK;
}
