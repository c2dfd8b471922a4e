/* Rows of an SQLite database, opened read-only: sqlite:FILE?table=NAME or ?query=SELECT ...,
 * with %XX for bytes. The statement runs twice, first for a sample and then for all rows. */
#include "table/rows.h"

#include "base/io.h"
#include "base/mem.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

typedef struct source {
  char *file, *table, *query; /* one of table and query */
  sqlite3 *db;
  sqlite3_stmt *statement;
  cell *cells;
} source;

/* ---- the address ------------------------------------------------------------------------- */

static int hex_value(char c) {
  static const char digits[] = "0123456789abcdef";
  const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c) : NULL;
  return at ? (int)(at - digits) : -1;
}

/* text[0..n) with %XX decoded; a stray % or %00 is an error. */
static garam_status decode(char **out, const char *text, size_t n, garam_error *err) {
  char *copy = mem_alloc(n + 1);
  if (!copy) return fail_memory(err, n + 1);
  size_t used = 0;
  for (size_t i = 0; i < n; i++) {
    if (text[i] != '%') {
      copy[used++] = text[i];
      continue;
    }
    int high = n - i > 2 ? hex_value(text[i + 1]) : -1;
    int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low < 0 || (high == 0 && low == 0)) {
      mem_free(copy);
      return fail(err, GARAM_INVALID,
                  "sqlite:%.*s: expected two hexadecimal digits (not 00) after %%; "
                  "%% itself is %%25",
                  (int)n, text);
    }
    copy[used++] = (char)(high * 16 + low);
    i += 2;
  }
  copy[used] = 0;
  *out = copy;
  return GARAM_OK;
}

static garam_status parse_address(source *s, const char *data, garam_error *err) {
  const char *file = data + strlen("sqlite:"), *mark = strchr(file, '?');
  TRY(decode(&s->file, file, mark ? (size_t)(mark - file) : strlen(file), err));
  if (!*s->file) return fail(err, GARAM_INVALID, "%s: expected sqlite:FILE?table=NAME", data);
  if (!mark) return GARAM_OK;
  static const char *const keys[] = {"table", "query"};
  const char *key = mark + 1, *equals = strchr(key, '=');
  size_t n = equals ? (size_t)(equals - key) : strlen(key);
  for (size_t i = 0; i < COUNT_OF(keys); i++)
    if (equals && strlen(keys[i]) == n && memcmp(keys[i], key, n) == 0)
      return decode(i == 0 ? &s->table : &s->query, equals + 1, strlen(equals + 1), err);
  return fail(err, GARAM_INVALID, "%s: expected ?table=NAME or ?query=SELECT ..., found \"?%.*s\"",
              data, (int)n, key);
}

/* ---- the database ------------------------------------------------------------------------ */

static garam_status fail_sqlite(const source *s, int code, garam_error *err) {
  garam_status status = GARAM_IO;
  switch (code & 0xff) {
  case SQLITE_NOMEM: return fail_memory(err, 0);
  case SQLITE_BUSY:
  case SQLITE_LOCKED: status = GARAM_BUSY; break;
  case SQLITE_NOTADB: status = GARAM_PARSE; break;
  case SQLITE_CORRUPT: status = GARAM_CORRUPT; break;
  case SQLITE_ERROR:
  case SQLITE_AUTH:
  case SQLITE_READONLY: status = GARAM_INVALID; break;
  default: break;
  }
  return fail(err, status, "%s: %s", s->file, s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
}

/* The names of tables and views, in one string "a, b, c", and the one nearest to `wanted`. */
static garam_status list_tables(const source *s, char *list, size_t size, char *nearest,
                                size_t nearest_size, const char *wanted, garam_error *err) {
  sqlite3_stmt *names;
  list[0] = nearest[0] = 0;
  int code = sqlite3_prepare_v2(
      s->db, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name", -1,
      &names, NULL);
  if (code != SQLITE_OK) return fail_sqlite(s, code, err);
  size_t used = 0;
  while ((code = sqlite3_step(names)) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(names, 0);
    if (!name) continue;
    if (used < size)
      used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
    const char *pair[2] = {nearest[0] ? nearest : name, name};
    const char *near = wanted ? name_nearest(wanted, pair, 2) : NULL;
    if (near && near != nearest) snprintf(nearest, nearest_size, "%s", near);
  }
  sqlite3_finalize(names);
  return code == SQLITE_DONE ? GARAM_OK : fail_sqlite(s, code, err);
}

static garam_status prepare(source *s, garam_error *err) {
  char list[512], near[128];
  TRY(list_tables(s, list, sizeof list, near, sizeof near, s->table, err));
  if (!s->table && !s->query)
    return fail(err, GARAM_INVALID, "%s: which table? Add ?table=NAME; there %s%s", s->file,
                list[0] ? "are: " : "is none", list);
  sqlite3_stmt *found = NULL;
  if (s->table) {
    int code = sqlite3_prepare_v2(
        s->db,
        "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1 "
        "COLLATE NOCASE",
        -1, &found, NULL);
    if (code == SQLITE_OK) code = sqlite3_bind_text(found, 1, s->table, -1, SQLITE_STATIC);
    if (code == SQLITE_OK) code = sqlite3_step(found);
    sqlite3_finalize(found);
    if (code == SQLITE_DONE)
      return fail(err, GARAM_NOT_FOUND, "%s: no table \"%s\"%s%s%s", s->file, s->table,
                  near[0] ? "; did you mean \"" : "", near, near[0] ? "\"?" : "");
    if (code != SQLITE_ROW) return fail_sqlite(s, code, err);
  }
  char *text = s->query ? sqlite3_mprintf("%s", s->query)
                        : sqlite3_mprintf("SELECT * FROM \"%w\"", s->table);
  if (!text) return fail_memory(err, 0);
  const char *rest = "";
  int code = sqlite3_prepare_v2(s->db, text, -1, &s->statement, &rest);
  bool more = code == SQLITE_OK && rest[strspn(rest, " \t\r\n;")] != 0;
  sqlite3_free(text);
  if (code != SQLITE_OK) return fail_sqlite(s, code, err);
  if (more) return fail(err, GARAM_INVALID, "%s: the query is more than one statement", s->file);
  if (!s->statement || sqlite3_column_count(s->statement) == 0 ||
      !sqlite3_stmt_readonly(s->statement))
    return fail(err, GARAM_INVALID, "%s: expected a query that returns rows and writes nothing",
                s->file);
  return GARAM_OK;
}

static garam_status open_database(source *s, garam_error *err) {
  if (!io_exists(s->file))
    return fail(err, GARAM_NOT_FOUND, "%s: cannot open: no such file", s->file);
  int code = sqlite3_open_v2(s->file, &s->db, SQLITE_OPEN_READONLY, NULL);
  if (code != SQLITE_OK) return fail_sqlite(s, code, err);
  sqlite3_extended_result_codes(s->db, 1);
  sqlite3_busy_timeout(s->db, 5000);
  return GARAM_OK;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* The next row into s->cells; *got is false after the last. Text counts as quoted: what is
 * missing in a database is NULL. */
static garam_status next_row(source *s, const row_reader *r, uint64_t number, bool *got,
                             garam_error *err) {
  int code = sqlite3_step(s->statement);
  *got = code == SQLITE_ROW;
  if (code == SQLITE_DONE) return GARAM_OK;
  if (code != SQLITE_ROW) return fail_sqlite(s, code, err);
  for (size_t i = 0; i < r->n_columns; i++) {
    cell *c = &s->cells[i];
    int at = (int)i;
    switch (sqlite3_column_type(s->statement, at)) {
    case SQLITE_INTEGER:
      *c = (cell){.kind = CELL_I64, .i64 = sqlite3_column_int64(s->statement, at)};
      break;
    case SQLITE_FLOAT:
      *c = (cell){.kind = CELL_F64, .f64 = sqlite3_column_double(s->statement, at)};
      break;
    case SQLITE_TEXT: {
      const char *text = (const char *)sqlite3_column_text(s->statement, at);
      if (!text) return fail_memory(err, 0);
      *c = (cell){.kind = CELL_TEXT,
                  .quoted = true,
                  .text = text,
                  .size = (uint32_t)sqlite3_column_bytes(s->statement, at)};
      break;
    }
    case SQLITE_NULL: *c = (cell){.kind = CELL_NULL}; break;
    default:
      return fail(err, GARAM_PARSE,
                  "%s: row %llu: column \"%s\": a blob, expected a number or text", s->file,
                  (unsigned long long)number, r->t->columns[i].name);
    }
  }
  return GARAM_OK;
}

static garam_status read_all(table **out, source *s, row_reader *r, const table_read_config *config,
                             table_progress_fn progress, void *context, garam_error *err) {
  size_t n = (size_t)sqlite3_column_count(s->statement);
  bool got = true;
  TRY(rows_init(r, s->file, ": row ", n, config, err));
  s->cells = mem_array(n, sizeof *s->cells);
  if (!s->cells) return fail_memory(err, n * sizeof *s->cells);
  for (size_t i = 0; i < n; i++) {
    const char *name = sqlite3_column_name(s->statement, (int)i);
    if (!name) return fail_memory(err, 0);
    TRY(rows_name(r, i, name, strlen(name), 0, err));
  }
  for (uint64_t row = 1; row <= ROWS_SAMPLE; row++) {
    TRY(next_row(s, r, row, &got, err));
    if (!got) break;
    rows_sample(r, s->cells);
  }
  sqlite3_reset(s->statement);
  TRY(rows_decide(r, 1, err));
  for (uint64_t row = 1;; row++) {
    TRY(next_row(s, r, row, &got, err));
    if (!got) break;
    TRY(rows_add(r, s->cells, row, err));
    if (progress && row % 65536 == 0) progress(context, row, 0);
  }
  if (r->t->n_rows == 0)
    return fail(err, GARAM_PARSE, "%s: the %s gives no rows", s->file,
                s->table ? "table" : "query");
  return rows_finish(out, r, err);
}

garam_status table_read_sqlite(table **out, const char *data, const table_read_config *config,
                               table_progress_fn progress, void *context, garam_error *err) {
  source s = {0};
  row_reader r = {0};
  garam_status status;
  *out = NULL;
  TRY_GOTO(done, parse_address(&s, data, err));
  TRY_GOTO(done, open_database(&s, err));
  TRY_GOTO(done, prepare(&s, err));
  TRY_GOTO(done, read_all(out, &s, &r, config, progress, context, err));
done:
  rows_deinit(&r);
  sqlite3_finalize(s.statement);
  sqlite3_close(s.db);
  mem_free(s.cells);
  mem_free(s.query);
  mem_free(s.table);
  mem_free(s.file);
  return status;
}
