#include "table/table.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/garam-sqlite-XXXXXX";
static char path[64];

static const char script[] =
    "CREATE TABLE prices (time TEXT, close REAL, volume INTEGER, side TEXT);"
    "INSERT INTO prices VALUES ('2026-01-03 09:30:00', 1.1, 10, 'buy'),"
    "  ('2026-01-03 10:30:00', 0.30000000000000004, NULL, 'NA'),"
    "  ('2026-01-03 11:30:00', 3, 7, NULL);"
    "CREATE TABLE \"odd \"\"name\" (x INTEGER); INSERT INTO \"odd \"\"name\" VALUES (1);"
    "CREATE TABLE epochs (timestamp INTEGER, x); INSERT INTO epochs VALUES (1700000000000, 1);"
    "CREATE TABLE barren (x INTEGER);"
    "CREATE TABLE mixed (x, y); INSERT INTO mixed VALUES (1, 1), (2, 2.5), (3, '4.25'), (4, 'abc');"
    "CREATE TABLE blobs (x); INSERT INTO blobs VALUES (x'00ff');"
    "CREATE VIEW last AS SELECT close FROM prices ORDER BY time DESC LIMIT 1;";

static int set_up(void **state) {
  (void)state;
  sqlite3 *db;
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/a b%%.db", folder);
  if (sqlite3_open(path, &db) != SQLITE_OK) return -1;
  int code = sqlite3_exec(db, script, NULL, NULL, NULL);
  sqlite3_close(db);
  return code == SQLITE_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

static garam_status open_query(table **t, const char *query, garam_error *err) {
  char data[512];
  snprintf(data, sizeof data, "sqlite:%s/a%%20b%%25.db%s", folder, query);
  return table_open(t, data, NULL, NULL, NULL, err);
}

static table *must_open(const char *query) {
  table *t;
  garam_error err;
  if (open_query(&t, query, &err) != GARAM_OK) fail_msg("%s: %s", query, err.message);
  return t;
}

static void types_by_value(void **state) {
  (void)state;
  table *t = must_open("?table=prices");
  assert_int_equal(t->n_rows, 3);
  assert_int_equal(t->n_columns, 4);
  assert_int_equal(t->time_column, 0);
  assert_string_equal(t->zone, "none");
  assert_string_equal(t->columns[3].name, "side");
  static const column_type types[] = {COLUMN_TIME, COLUMN_F64, COLUMN_I64, COLUMN_CATEGORY};
  for (int i = 0; i < 4; i++) assert_int_equal(t->columns[i].type, types[i]);
  assert_true(t->columns[0].i64[1] - t->columns[0].i64[0] == INT64_C(3600000000000));
  assert_true(t->columns[1].f64[1] == 0.30000000000000004); /* not through 15 digits of text */
  assert_true(t->columns[1].f64[2] == 3);
  assert_true(t->columns[2].i64[1] == COLUMN_I64_MISSING);
  assert_int_equal(t->columns[2].n_missing, 1);
  assert_string_equal(t->columns[3].names[t->columns[3].code[1]], "NA"); /* text, not missing */
  assert_int_equal(t->columns[3].code[2], -1);
  table_free(t);

  t = must_open("?table=epochs");
  assert_int_equal(t->columns[0].type, COLUMN_TIME);
  assert_true(t->columns[0].i64[0] == INT64_C(1700000000000000000));
  assert_string_equal(t->zone, "UTC");
  table_free(t);
}

static void addresses(void **state) {
  (void)state;
  static const struct {
    const char *query;
    size_t rows, columns;
  } cases[] = {
      {"?table=PRICES", 3, 4},
      {"?table=odd%20%22name", 1, 1},
      {"?table=last", 1, 1},
      {"?query=SELECT close, volume FROM prices WHERE close > 0.5;", 2, 2},
      {"?query=SELECT%20close%20FROM%20prices%20ORDER%20BY%20close%20DESC", 3, 1},
      {"?query=SELECT '50%25' AS x, 'a?b=c' AS y", 1, 2},
      {"?query=WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
       "SELECT i FROM n",
       5000, 1},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    table *t = must_open(cases[i].query);
    assert_int_equal(t->n_rows, cases[i].rows);
    assert_int_equal(t->n_columns, cases[i].columns);
    table_free(t);
  }
}

static void refuses(void **state) {
  (void)state;
  static const struct {
    const char *query;
    garam_status status;
    const char *message; /* some part of it */
  } cases[] = {
      {"", GARAM_INVALID,
       "which table? Add ?table=NAME; there are: barren, blobs, epochs, last, mixed, "},
      {"?tabel=prices", GARAM_INVALID,
       "expected ?table=NAME or ?query=SELECT ..., found \"?tabel\""},
      {"?table", GARAM_INVALID, "found \"?table\""},
      {"?table=price", GARAM_NOT_FOUND, "no table \"price\"; did you mean \"prices\"?"},
      {"?table=", GARAM_NOT_FOUND, "no table \"\""},
      {"?table=prices%2", GARAM_INVALID, "expected two hexadecimal digits (not 00) after %"},
      {"?table=prices%zz", GARAM_INVALID, "expected two hexadecimal digits"},
      {"?table=prices%00", GARAM_INVALID, "expected two hexadecimal digits"},
      {"?table=barren", GARAM_PARSE, "the table gives no rows"},
      {"?query=SELECT 1 WHERE 0", GARAM_PARSE, "the query gives no rows"},
      {"?table=mixed", GARAM_PARSE, ": row 4: column \"y\": expected a number, found \"abc\""},
      {"?table=blobs", GARAM_PARSE, ": row 1: column \"x\": a blob, expected a number or text"},
      {"?query=SELECT * FORM prices", GARAM_INVALID, "syntax error"},
      {"?query=SELECT * FROM missing", GARAM_INVALID, "no such table: missing"},
      {"?query=SELECT 1; SELECT 2", GARAM_INVALID, "the query is more than one statement"},
      {"?query=DROP TABLE prices", GARAM_INVALID, "expected a query that returns rows"},
      {"?query=INSERT INTO barren VALUES (1) RETURNING x", GARAM_INVALID, "writes nothing"},
      {"?query=", GARAM_INVALID, "expected a query that returns rows"},
      {"?query=SELECT 1 AS a, 2 AS a", GARAM_PARSE, "columns 1 and 2 have the same name, \"a\""},
      {"?query=SELECT abs(-9223372036854775808)", GARAM_INVALID, "integer overflow"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    garam_error err = {0};
    table *t;
    garam_status status = open_query(&t, cases[i].query, &err);
    assert_null(t);
    if (status != cases[i].status || !strstr(err.message, cases[i].message))
      fail_msg("%s: %s: %s", cases[i].query, garam_status_name(status), err.message);
  }
}

static void refuses_files(void **state) {
  (void)state;
  garam_error err;
  table *t;
  assert_int_equal(table_open(&t, "sqlite:/tmp/no/such.db?table=a", NULL, NULL, NULL, &err),
                   GARAM_NOT_FOUND);
  assert_string_equal(err.message, "/tmp/no/such.db: cannot open: no such file");
  assert_int_equal(table_open(&t, "sqlite:?table=a", NULL, NULL, NULL, &err), GARAM_INVALID);
  assert_string_equal(err.message, "sqlite:?table=a: expected sqlite:FILE?table=NAME");
  char data[128], text[80];
  snprintf(text, sizeof text, "%s/t.csv", folder);
  FILE *f = fopen(text, "w");
  assert_non_null(f);
  for (int i = 0; i < 200; i++) fputs("a,b\n1,2\n", f);
  fclose(f);
  snprintf(data, sizeof data, "sqlite:%s?table=a", text);
  assert_int_equal(table_open(&t, data, NULL, NULL, NULL, &err), GARAM_PARSE);
  assert_non_null(strstr(err.message, "file is not a database"));
  unlink(text);
}

static void nothing_is_written(void **state) {
  (void)state;
  /* Opened read-only: a query that would write is refused even by a pragma. */
  garam_error err;
  table *t;
  assert_int_equal(open_query(&t, "?query=PRAGMA user_version = 7", &err), GARAM_INVALID);
  t = must_open("?query=PRAGMA user_version");
  assert_true(column_f64(&t->columns[0], 0) == 0);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_by_value),
      cmocka_unit_test(addresses),
      cmocka_unit_test(refuses),
      cmocka_unit_test(refuses_files),
      cmocka_unit_test(nothing_is_written),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
