/* Every rule by which text becomes a table, and every message. */
#include "table/table.h"

#include "base/io.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

static char folder[] = "/tmp/garam-csv-XXXXXX";
static char path[64];

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/t.csv", folder);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

static void write_text(const void *text, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(text, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

/* Options as they would be typed: "delimiter=tab header=no". */
static void set_options(table_read_config *config, const char *options) {
  char copy[256];
  garam_error err;
  opt_defaults(table_read_options, table_read_n_options, config);
  snprintf(copy, sizeof copy, "%s", options);
  char *rest = copy;
  for (char *word; (word = strsep(&rest, " ")) != NULL;) {
    if (!*word) continue;
    char *value = strchr(word, '=');
    *value++ = 0;
    const opt_row *row = opt_find(table_read_options, table_read_n_options, word);
    assert_non_null(row);
    assert_int_equal(opt_set_text(row, config, value, &err), GARAM_OK);
  }
}

/* The table as CSV again, and its types in a word: F number, I integer, T time, C category,
 * with * behind the time column. */
static void show(char *out, size_t size, const table *t) {
  garam_error err;
  char copy[80];
  snprintf(copy, sizeof copy, "%s.out", path);
  assert_int_equal(table_write_csv(t, copy, &err), GARAM_OK);
  char *text;
  size_t n;
  assert_int_equal(io_read_file(&text, &n, copy, size, &err), GARAM_OK);
  snprintf(out, size, "%s", text);
  mem_free(text);
  unlink(copy);
}

static void type_word(char *out, const table *t) {
  for (size_t i = 0; i < t->n_columns; i++) {
    *out++ = "FITC"[t->columns[i].type];
    if ((int)i == t->time_column) *out++ = '*';
  }
  *out = 0;
}

typedef struct good_case {
  const char *what, *options, *text, *types, *expected;
} good_case;

static const good_case good_cases[] = {
    {"plain", "", "a,b\n1,2.5\n3,4\n", "IF", "a,b\n1,2.5\n3,4.0\n"},
    {"no newline at the end", "", "a,b\n1,2\n3,4", "II", "a,b\n1,2\n3,4\n"},
    {"CRLF", "", "a,b\r\n1,2\r\n", "II", "a,b\n1,2\n"},
    {"CR alone", "", "a,b\r1,2\r3,4\r", "II", "a,b\n1,2\n3,4\n"},
    {"byte order mark", "",
     "\xef\xbb\xbf"
     "a,b\n1,2\n",
     "II", "a,b\n1,2\n"},
    {"blank lines are no rows", "", "\n\na,b\n\n1,2\n  \n3,4\n\n", "II", "a,b\n1,2\n3,4\n"},
    {"blanks around cells", "", "a , b\n 1 ,\t2\n", "II", "a,b\n1,2\n"},
    {"semicolon", "", "a;b\n1;2.5\n", "IF", "a,b\n1,2.5\n"},
    {"decimal comma", "", "a;b\n1;2,5\n3;4\n", "IF", "a,b\n1,2.5\n3,4.0\n"},
    {"decimal comma in every cell", "", "1,5;2,5\n3,5;4,5\n", "FF", "0,1\n1.5,2.5\n3.5,4.5\n"},
    {"tab", "", "a\tb\n1\t2\n", "II", "a,b\n1,2\n"},
    {"tab, last cell empty", "", "a\tb\n1\t2\n3\t\n", "II", "a,b\n1,2\n3,\n"},
    {"pipe", "", "a|b\n1|2\n", "II", "a,b\n1,2\n"},
    {"space", "", "a b\n1 2\n", "II", "a,b\n1,2\n"},
    {"aligned by spaces", "", "  a   b\n  1   2\n 10  20 \n", "II", "a,b\n1,2\n10,20\n"},
    {"space in a time is no delimiter", "", "t,x\n2026-01-03 09:30,1\n", "T*I",
     "t,x\n2026-01-03T09:30:00,1\n"},
    {"delimiter given", "delimiter=comma", "a;b,c\n1;2,3\n", "CI", "\"a;b\",c\n\"1;2\",3\n"},
    {"one column", "", "1.2\n1.1\n", "F", "0\n1.2\n1.1\n"},
    {"one column with a name", "", "weight\n1\n", "I", "weight\n1\n"},
    {"quotes", "", "a,b\n\"x, y\",1\n\"say \"\"hi\"\"\",2\n", "CI",
     "a,b\n\"x, y\",1\n\"say \"\"hi\"\"\",2\n"},
    {"newline in quotes", "", "a,b\n\"x\ny\",1\nz,2\n", "CI", "a,b\n\"x\ny\",1\nz,2\n"},
    {"numbers in quotes", "", "\"a\",\"b\"\n\"1\",\"2.5\"\n", "IF", "a,b\n1,2.5\n"},
    {"quote within a cell is itself", "", "a,b\n5\" pipe,1\n", "CI", "a,b\n\"5\"\" pipe\",1\n"},
    {"blanks before quotes", "", "a, \"b\"\nx, \"y,z\" \n", "CC", "a,b\nx,\"y,z\"\n"},
    {"missing", "", "a,b,c\n,NA,x\nNaN,null,None\n1,-,n/a\n2.5,3,y\n", "FIC",
     "a,b,c\n,,x\n,,\n1.0,,\n2.5,3,y\n"},
    {"a quoted token is a name", "", "a,b\n\"NA\",1\nx,2\n\"\",3\n", "CI",
     "a,b\n\"NA\",1\nx,2\n,3\n"},
    {"a quoted token in a number column is missing", "", "a,b\n\"NaN\",1\n\"2\",2\n", "II",
     "a,b\n,1\n2,2\n"},
    {"nothing but missing", "", "a,b\n,1\n,2\n", "FI", "a,b\n,1\n,2\n"},
    {"a missing value alone", "", "a\n1\nNA\n2\n", "I", "a\n1\nNA\n2\n"},
    {"widening", "", "a\n1\n2\n9223372036854775807\n2.5\n", "F",
     "a\n1.0\n2.0\n9.223372036854776e+18\n2.5\n"},
    {"infinite", "", "a\n1\n-inf\n", "F", "a\n1.0\n-inf\n"},
    {"text", "", "side,n\nbuy,1\nsell,2\nbuy,3\n", "CI", "side,n\nbuy,1\nsell,2\nbuy,3\n"},
    {"more text than numbers is text", "", "s,n\nA,1\nB,2\n7,3\n", "CI", "s,n\nA,1\nB,2\n7,3\n"},
    {"as many texts as times is text", "", "x,n\n2026-01-03,1\nsoon,2\n", "CI",
     "x,n\n2026-01-03,1\nsoon,2\n"},
    {"text columns by order", "text-columns=code", "code,n\n005930,1\n000660,2\n", "CI",
     "code,n\n005930,1\n000660,2\n"},
    {"UTF-8", "", "이름,값\n삼성,1\n", "CI", "이름,값\n삼성,1\n"},
    /* headers */
    {"no header", "", "1,2\n3,4\n", "II", "0,1\n1,2\n3,4\n"},
    {"no header, text beside numbers", "", "x,2\ny,4\n", "CI", "0,1\nx,2\ny,4\n"},
    {"no header, times", "", "2026-01-03,1.5\n2026-01-04,2.5\n", "T*F",
     "0,1\n2026-01-03T00:00:00,1.5\n2026-01-04T00:00:00,2.5\n"},
    {"header of whole numbers", "", "date,0,1\n2026-01-03,5,6\n", "T*II",
     "date,0,1\n2026-01-03T00:00:00,5,6\n"},
    {"header without the first name", "", ",x\n0,1.5\n1,2.5\n", "IF", "0,x\n0,1.5\n1,2.5\n"},
    {"header by order", "header=yes", "1,2\n3,4\n", "II", "1,2\n3,4\n"},
    {"no header by order", "header=no", "a,b\nc,d\n", "CC", "0,1\na,b\nc,d\n"},
    /* times */
    {"zone", "", "time,x\n2026-01-03T09:30:00+09:00,1\n", "T*I",
     "time,x\n2026-01-03T00:30:00Z,1\n"},
    {"zone offset taken off", "zone-offset=-05:00", "time,x\n2026-01-03 09:30,1\n", "T*I",
     "time,x\n2026-01-03T14:30:00Z,1\n"},
    {"zone offset leaves zones", "zone-offset=-05:00",
     "time,x\n2026-01-03 09:30,1\n2026-01-03 09:30Z,2\n", "T*I",
     "time,x\n2026-01-03T14:30:00Z,1\n2026-01-03T09:30:00Z,2\n"},
    {"fractions", "", "time,x\n2026-01-03T09:30:00.000000001,1\n", "T*I",
     "time,x\n2026-01-03T09:30:00.000000001,1\n"},
    {"epoch seconds", "", "time,x\n1700000000,1\n", "T*I", "time,x\n2023-11-14T22:13:20Z,1\n"},
    {"epoch with fraction", "", "ts,x\n1700000000.25,1\n1700000001,2\n", "T*I",
     "ts,x\n2023-11-14T22:13:20.25Z,1\n2023-11-14T22:13:21Z,2\n"},
    {"epoch milliseconds", "", "open_time,x\n1700000000001,1\n", "T*I",
     "open_time,x\n2023-11-14T22:13:20.001Z,1\n"},
    {"epoch microseconds", "", "epochTime,x\n1749041940518402,1\n", "T*I",
     "epochTime,x\n2025-06-04T12:59:00.518402Z,1\n"},
    {"epoch nanoseconds", "", "timestamp,x\n1700000000000000001,1\n", "T*I",
     "timestamp,x\n2023-11-14T22:13:20.000000001Z,1\n"},
    {"epoch unit by order", "time-column=t time-unit=ms", "t,x\n5,1\n", "T*I",
     "t,x\n1970-01-01T00:00:00.005Z,1\n"},
    {"missing time", "", "time,x\n2026-01-03,1\n,2\n", "T*I",
     "time,x\n2026-01-03T00:00:00,1\n,2\n"},
    {"a count named time", "", "time,x\n0,1\n1,2\n", "II", "time,x\n0,1\n1,2\n"},
    {"a number not named time", "", "id,x\n1700000000,1\n", "II", "id,x\n1700000000,1\n"},
    {"update_count says no date", "", "update_count,x\n1700000000,1\n", "II",
     "update_count,x\n1700000000,1\n"},
    {"YYYYMMDD", "", "date,x\n20260103,1\n", "T*I", "date,x\n2026-01-03T00:00:00,1\n"},
    {"YYYYMMDDHHMMSS", "", "date,x\n20260103093015,1\n", "T*I", "date,x\n2026-01-03T09:30:15,1\n"},
    {"YYYYMMDD not named", "", "n,x\n20260103,1\n", "II", "n,x\n20260103,1\n"},
    {"YYYYMMDD by order", "time-column=n", "n,x\n20260103,1\n", "T*I",
     "n,x\n2026-01-03T00:00:00,1\n"},
    {"YYYYMMDD HHMMSS", "", "t,x\n20260103 093015,1\n", "T*I", "t,x\n2026-01-03T09:30:15,1\n"},
    {"dots, day first", "", "date,x\n03.01.2026,1\n", "T*I", "date,x\n2026-01-03T00:00:00,1\n"},
    {"slashes, a day over 12 below", "", "date,x\n03/01/2026,1\n13/01/2026,2\n", "T*I",
     "date,x\n2026-01-03T00:00:00,1\n2026-01-13T00:00:00,2\n"},
    {"slashes, month first", "", "date,x\n01/03/2026,1\n01/13/2026,2\n", "T*I",
     "date,x\n2026-01-03T00:00:00,1\n2026-01-13T00:00:00,2\n"},
    {"slashes by order", "date-order=mdy", "date,x\n01/03/2026,1\n", "T*I",
     "date,x\n2026-01-03T00:00:00,1\n"},
    {"two columns by name", "", "time,x,date\n09:30,1,2026-01-03\n", "IT*",
     "x,date\n1,2026-01-03T09:30:00\n"},
    {"two columns side by side", "", "2026.01.03,00:05,1.5\n2026.01.03,00:10,2.5\n", "T*F",
     "0,2\n2026-01-03T00:05:00,1.5\n2026-01-03T00:10:00,2.5\n"},
    {"two columns of digits", "", "<DATE>,<TIME>,<OPEN>\n20260103,93000,1.5\n20260103,100000,1.6\n",
     "T*F", "<DATE>,<OPEN>\n2026-01-03T09:30:00,1.5\n2026-01-03T10:00:00,1.6\n"},
    {"two columns by order", "time-column=d,c", "x,c,y,d\n1,10:00:00.5,2,2026-01-03\n", "IIT*",
     "x,y,d\n1,2,2026-01-03T10:00:00.5\n"},
    {"a comma in the name of the time", "time-column=d,c", "x,\"d,c\"\n1,2026-01-03\n", "IT*",
     "x,\"d,c\"\n1,2026-01-03T00:00:00\n"},
    {"best name wins", "", "date,timestamp\n2026-01-03,2026-01-04T00:00Z\n", "TT*",
     "date,timestamp\n2026-01-03T00:00:00,2026-01-04T00:00:00Z\n"},
    {"leftmost of equal names", "", "open_time,close_time\n1700000000,1700000060\n", "T*T",
     "open_time,close_time\n2023-11-14T22:13:20Z,2023-11-14T22:14:20Z\n"},
    {"a time of day alone is text", "", "updateTime,x\n09:30:00,1\n", "CI",
     "updateTime,x\n09:30:00,1\n"},
    {"no time column by order", "time-column=none", "date,x\n2026-01-03,1\n", "TI",
     "date,x\n2026-01-03T00:00:00,1\n"},
    {"time column by order", "time-column=B", "date,b\n2026-01-03,2026-01-04\n", "TT*",
     "date,b\n2026-01-03T00:00:00,2026-01-04T00:00:00\n"},
};

static void reads(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(good_cases); i++) {
    const good_case *c = &good_cases[i];
    table_read_config config;
    garam_error err;
    table *t;
    char types[64], text[4096];
    set_options(&config, c->options);
    write_text(c->text, strlen(c->text));
    if (table_open(&t, path, &config, NULL, NULL, &err) != GARAM_OK)
      fail_msg("%s: %s", c->what, err.message);
    type_word(types, t);
    show(text, sizeof text, t);
    if (strcmp(types, c->types) != 0 || strcmp(text, c->expected) != 0)
      fail_msg("%s: types %s, expected %s; found\n%s", c->what, types, c->types, text);
    table_free(t);
  }
}

typedef struct bad_case {
  const char *what, *options, *text, *message; /* after the path */
  garam_status status;
} bad_case;

static const bad_case bad_cases[] = {
    {"empty", "", "", ": the file is empty", GARAM_PARSE},
    {"blank", "", "\n \n\r\n", ": the file is empty", GARAM_PARSE},
    {"byte order mark alone", "", "\xef\xbb\xbf", ": the file is empty", GARAM_PARSE},
    {"header alone", "", "a,b\n", ": a header and no rows", GARAM_PARSE},
    {"a field too few", "", "a,b,c\n1,2,3\n4,5\n", ":3: 2 fields, expected 3", GARAM_PARSE},
    {"a field too many", "", "a,b\n1,2\n3,4,5\n", ":3: 3 fields, expected 2", GARAM_PARSE},
    {"one field", "", "a,b\n1,2\nx\n", ":3: 1 field, expected 2", GARAM_PARSE},
    {"ragged after a blank line and a newline in quotes", "", "a,b\n\n\"x\ny\",1\nz,2,3\n",
     ":5: 3 fields, expected 2", GARAM_PARSE},
    {"text in a number column", "", "time,close\n2026-01-03,1.5\n2026-01-04,abc\n2026-01-05,2\n",
     ":3: column \"close\": expected a number, found \"abc\"", GARAM_PARSE},
    {"a thousands separator", "", "a;b\n1.5;x\n\"1,000.5\";y\n",
     ":3: column \"a\": expected a number, found \"1,000.5\"", GARAM_PARSE},
    {"a long text is cut", "",
     "a\n1\n2\n"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
     ":4: column \"a\": expected a number, found "
     "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\"",
     GARAM_PARSE},
    {"control characters are not shown", "", "a\n1\n2\n\x1b[31m\n",
     ":4: column \"a\": expected a number, found \"?[31m\"", GARAM_PARSE},
    {"text in a time column", "", "time,x\n2026-01-03,1\n2026-01-04,2\nsoon,3\n",
     ":4: column \"time\": expected a time, found \"soon\"", GARAM_PARSE},
    {"a date that is none", "", "time,x\n2026-02-28,1\n2026-02-27,2\n2026-02-29,3\n",
     ":4: column \"time\": expected a time, found \"2026-02-29\"", GARAM_PARSE},
    {"zone, then none", "", "time,x\n2026-01-03T00:00Z,1\n2026-01-04,2\n",
     ":3: column \"time\": a time without a zone, after times with one", GARAM_PARSE},
    {"no zone, then one", "", "time,x\n2026-01-03,1\n2026-01-04T00:00+01:00,2\n",
     ":3: column \"time\": a time with a zone, after times without one", GARAM_PARSE},
    {"day or month", "", "date,x\n03/01/2026,1\n",
     ":2: column \"date\": day and month cannot be told apart in these dates; give --date-order "
     "dmy or mdy",
     GARAM_PARSE},
    {"times all missing", "time-column=date", "date,x\n,1\nNA,2\n",
     ": column \"date\": every time is missing", GARAM_PARSE},
    {"no such time column", "time-column=tme", "time,x\n2026-01-03,1\n",
     ": --time-column: no column \"tme\"; did you mean \"time\"?", GARAM_NOT_FOUND},
    {"no such clock column", "time-column=date,clock", "date,x\n2026-01-03,1\n",
     ": --time-column: no column \"clock\"", GARAM_NOT_FOUND},
    {"the same column twice", "time-column=date,date", "date,x\n2026-01-03,1\n",
     ": --time-column: \"date\" is named twice", GARAM_INVALID},
    {"no such text column", "text-columns=symbl", "symbol,x\na,1\n",
     ": --text-columns: no column \"symbl\"; did you mean \"symbol\"?", GARAM_NOT_FOUND},
    {"a time column that holds no times", "time-column=x", "date,x\n2026-01-03,abc\n",
     ":2: column \"x\": expected a time, found \"abc\"", GARAM_PARSE},
    {"a clock that is none", "time-column=d,c", "d,c\n2026-01-03,09:30\n2026-01-03,late\n",
     ":3: column \"c\": expected a time of day, found \"late\"", GARAM_PARSE},
    {"names twice", "", "a,b,a\n1,2,3\n", ": columns 1 and 3 have the same name, \"a\"",
     GARAM_PARSE},
    {"a quote not closed", "", "a,b\n1,\"x\n3,4\n",
     ":2: a quote is opened in field 2 and never closed", GARAM_PARSE},
    {"text after a quote", "", "a,b\n1,\"x\"y\n", ":2: field 2 goes on after its closing quote",
     GARAM_PARSE},
    {"a name that is not UTF-8", "", "a\xe9,b\n1,2\n", ":1: the name of column 1 is not UTF-8 text",
     GARAM_PARSE},
    {"text that is not UTF-8", "", "a,b\nx,1\n\xe9t\xe9,2\n",
     ":3: column \"a\": the text is not UTF-8", GARAM_PARSE},
};

static void refuses(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(bad_cases); i++) {
    const bad_case *c = &bad_cases[i];
    table_read_config config;
    garam_error err = {0};
    table *t = (table *)&config;
    char expected[512];
    set_options(&config, c->options);
    write_text(c->text, strlen(c->text));
    snprintf(expected, sizeof expected, "%s%s", path, c->message);
    garam_status status = table_open(&t, path, &config, NULL, NULL, &err);
    assert_null(t);
    if (status != c->status || err.status != status || strcmp(err.message, expected) != 0)
      fail_msg("%s: %s: \"%s\", expected \"%s\"", c->what, garam_status_name(status), err.message,
               expected);
  }
}

static void expect_error(const char *data, const table_read_config *config, garam_status status,
                         const char *message) {
  garam_error err = {0};
  table *t;
  assert_int_equal(table_open(&t, data, config, NULL, NULL, &err), status);
  assert_null(t);
  assert_string_equal(err.message, message);
}

static void refuses_what_is_no_text(void **state) {
  (void)state;
  char message[256];
  unlink(path);
  snprintf(message, sizeof message, "%s: cannot open: No such file or directory", path);
  expect_error(path, NULL, GARAM_NOT_FOUND, message);
  snprintf(message, sizeof message, "%s: is a folder", folder);
  expect_error(folder, NULL, GARAM_IO, message);
  write_text("a,b\n1,\0002\n", 9);
  snprintf(message, sizeof message, "%s: binary data (a NUL byte), expected text", path);
  expect_error(path, NULL, GARAM_PARSE, message);
  write_text("SQLite format 3\0....", 20);
  snprintf(message, sizeof message,
           "%s: an SQLite database; name a table of it: sqlite:FILE?table=NAME", path);
  expect_error(path, NULL, GARAM_PARSE, message);
  write_text("a\n1\n", 4);
  table_read_config config = {.zone_offset = "9h"};
  expect_error(path, &config, GARAM_INVALID,
               "--zone-offset: expected an offset such as +09:00, found \"9h\"");
  expect_error("postgresql://host/db?query=SELECT 1", NULL, GARAM_UNSUPPORTED,
               "postgresql://host/db?query=SELECT 1: PostgreSQL is not supported yet");
}

/* ---- beyond the sample and beyond the buffer ------------------------------------------------ */

static char *repeat(size_t *size, const char *head, const char *row, size_t n, const char *tail) {
  size_t row_size = strlen(row), used = strlen(head);
  char *text = malloc(used + n * row_size + strlen(tail) + 1);
  assert_non_null(text);
  memcpy(text, head, used);
  for (size_t i = 0; i < n; i++, used += row_size) memcpy(text + used, row, row_size);
  strcpy(text + used, tail);
  *size = used + strlen(tail);
  return text;
}

static void types_change_after_the_sample(void **state) {
  (void)state;
  static const struct {
    const char *head, *row, *tail, *types, *message;
  } cases[] = {
      {"a,b\n", "1,2\n", "1.5,\n", "FI", NULL},
      {"a,b\n", "1,\n", "2,x\n", "IC", NULL},
      {"a,b\n", "1,\n", "2,7\n", "II", NULL},
      {"a,b\n", "1,\n", "2,7.5\n", "IF", NULL},
      {"a,b\n", "1,\n", "2,2026-01-03\n", "IT", NULL},
      {"a,time\n", "1,\n", "2,1700000000\n", "IT", NULL},
      {"a,b\n", "1,2\n", "x,3\n", NULL, ":5002: column \"a\": expected a number, found \"x\""},
      {"a,b\n", "1,\n", "2,x\n3,\n4,7\n", "IC", NULL},
      {"a,b\n", "1,\n", "2,7\n3,x\n", NULL, ":5003: column \"b\": expected a number, found \"x\""},
      {"a,b\n", "1,2\n", "3\n", NULL, ":5002: 1 field, expected 2"},
      {"a,b\n", "1,2\n", "3,\"4\n", NULL, ":5002: a quote is opened in field 2 and never closed"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    size_t size;
    char *text = repeat(&size, cases[i].head, cases[i].row, 5000, cases[i].tail), types[16];
    write_text(text, size);
    free(text);
    table *t;
    garam_error err = {0};
    garam_status status = table_open(&t, path, NULL, NULL, NULL, &err);
    if (cases[i].message) {
      char expected[256];
      snprintf(expected, sizeof expected, "%s%s", path, cases[i].message);
      assert_int_equal(status, GARAM_PARSE);
      assert_string_equal(err.message, expected);
      continue;
    }
    if (status != GARAM_OK) fail_msg("case %zu: %s", i, err.message);
    type_word(types, t);
    assert_string_equal(types, cases[i].types);
    assert_int_equal(column_is_missing(&t->columns[1], 0), cases[i].row[2] == '\n');
    assert_int_equal(t->columns[1].n_missing,
                     (cases[i].row[2] == '\n' ? 5000 : 0) + (i == 0 || i == 7));
    table_free(t);
  }
}

/* Records that lie across every edge of the buffer: the same cells whatever their length. */
static void records_across_the_buffer(void **state) {
  (void)state;
  enum { N = 400 };
  size_t size = 0;
  char *text = malloc(4 << 20), *cell_text = malloc(20000);
  size += (size_t)sprintf(text, "n,s\r\n");
  for (int i = 0; i < N; i++) {
    memset(cell_text, 'a' + i % 26, 20000);
    int n = 1 + i * 37 % 9000;
    size += (size_t)sprintf(text + size, "%d,\"%.*s\"\"\r\n%d\"\r\n", i, n, cell_text, i);
  }
  write_text(text, size);
  table *t;
  garam_error err;
  if (table_open(&t, path, NULL, NULL, NULL, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_int_equal(t->n_rows, N);
  for (int i = 0; i < N; i++) {
    char end[16];
    const char *name = t->columns[1].names[t->columns[1].code[i]];
    int n = 1 + i * 37 % 9000;
    snprintf(end, sizeof end, "\"\r\n%d", i);
    assert_true(t->columns[0].i64[i] == i);
    assert_int_equal(strspn(name, (char[]){(char)('a' + i % 26), 0}), n);
    assert_string_equal(name + n, end);
    assert_int_equal(table_line(t, (size_t)i), 2 + 2 * i);
  }
  table_free(t);
  free(cell_text);
  free(text);
}

/* The two bytes of a line's end on both sides of the edge of the buffer are one line's end. */
static void newlines_across_the_buffer(void **state) {
  (void)state;
  for (int shift = 0; shift < 10; shift++) {
    size_t size;
    char head[32];
    snprintf(head, sizeof head, "%.*s\r\n", 1 + shift, "aaaaaaaaaaaa");
    char *text = repeat(&size, head, "12345678\r\n", 60000, "");
    write_text(text, size);
    free(text);
    table *t;
    garam_error err;
    if (table_open(&t, path, NULL, NULL, NULL, &err) != GARAM_OK) fail_msg("%s", err.message);
    assert_int_equal(t->n_rows, 60000);
    assert_int_equal(table_line(t, 59999), 60001);
    assert_null(t->line_of_row);
    table_free(t);
  }
}

static void a_record_without_end(void **state) {
  (void)state;
  size_t size;
  char *text = repeat(&size, "a,b\n1,\"", "xxxxxxxxxxxxxxxx", (17 << 20) / 16, "");
  char message[256];
  write_text(text, size);
  free(text);
  snprintf(message, sizeof message, "%s:2: a record of more than 16 MiB; is a quote not closed?",
           path);
  expect_error(path, NULL, GARAM_LIMIT, message);
}

static void wide_tables(void **state) {
  (void)state;
  enum { COLUMNS = 3000 };
  char *text = malloc(COLUMNS * 3 * 16);
  size_t size = 0;
  for (int row = 0; row < 3; row++)
    for (int i = 0; i < COLUMNS; i++)
      size += (size_t)sprintf(text + size, "%s%d%c", row ? "" : "x", i + row,
                              i + 1 < COLUMNS ? ',' : '\n');
  write_text(text, size);
  free(text);
  table *t;
  garam_error err;
  assert_int_equal(table_open(&t, path, NULL, NULL, NULL, &err), GARAM_OK);
  assert_int_equal(t->n_columns, COLUMNS);
  assert_int_equal(table_find(t, "x2999"), 2999);
  assert_true(t->columns[2999].i64[1] == 3001);
  table_free(t);
}

/* ---- compressed, and streams ---------------------------------------------------------------- */

static void count_calls(void *context, uint64_t done, uint64_t total) {
  uint64_t *seen = context;
  seen[0]++;
  assert_true(done >= seen[1] && done <= total);
  seen[1] = done;
  seen[2] = total;
}

static void compressed_by_content(void **state) {
  (void)state;
  size_t size;
  char *text = repeat(&size, "time,x\n", "2026-01-03T09:30:00Z,1.25\n", 40000, "");
  uLongf bound = compressBound(size) + 64;
  uint8_t *packed = malloc(bound > ZSTD_compressBound(size) ? bound : ZSTD_compressBound(size));
  for (int kind = 0; kind < 3; kind++) {
    size_t n = size;
    if (kind == 0) {
      memcpy(packed, text, size < bound ? size : bound);
      write_text(text, size);
    } else if (kind == 1) {
      z_stream z = {.next_in = (Bytef *)text,
                    .avail_in = (uInt)size,
                    .next_out = packed,
                    .avail_out = (uInt)bound};
      assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
      assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
      n = z.total_out;
      deflateEnd(&z);
      write_text(packed, n);
    } else {
      n = ZSTD_compress(packed, ZSTD_compressBound(size), text, size, 1);
      write_text(packed, n);
    }
    uint64_t seen[3] = {0};
    table *t;
    garam_error err;
    if (table_open(&t, path, NULL, count_calls, seen, &err) != GARAM_OK)
      fail_msg("%s", err.message);
    assert_int_equal(t->n_rows, 40000);
    assert_true(t->columns[1].f64[39999] == 1.25);
    assert_true(seen[0] >= 3 && seen[1] == n && seen[2] == n);
    table_free(t);
    if (kind == 0) continue;
    write_text(packed, n - 5);
    assert_int_equal(table_open(&t, path, NULL, NULL, NULL, &err), GARAM_CORRUPT);
    assert_non_null(strstr(err.message, "ends too early"));
  }
  free(packed);
  free(text);
}

static void lines_are_kept(void **state) {
  (void)state;
  static const char text[] = "a,b\n1,x\n\n2,\"y\nz\"\n3,w\n";
  static const uint64_t lines[] = {2, 4, 6};
  table *t;
  garam_error err;
  write_text(text, strlen(text));
  assert_int_equal(table_open(&t, path, NULL, NULL, NULL, &err), GARAM_OK);
  for (size_t i = 0; i < COUNT_OF(lines); i++) assert_int_equal(table_line(t, i), lines[i]);
  table_free(t);
  write_text("a\n1\n2\n", 6);
  assert_int_equal(table_open(&t, path, NULL, NULL, NULL, &err), GARAM_OK);
  assert_null(t->line_of_row); /* rows are lines: nothing to keep */
  assert_int_equal(table_line(t, 1), 3);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads),
      cmocka_unit_test(refuses),
      cmocka_unit_test(refuses_what_is_no_text),
      cmocka_unit_test(types_change_after_the_sample),
      cmocka_unit_test(records_across_the_buffer),
      cmocka_unit_test(newlines_across_the_buffer),
      cmocka_unit_test(a_record_without_end),
      cmocka_unit_test(wide_tables),
      cmocka_unit_test(compressed_by_content),
      cmocka_unit_test(lines_are_kept),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
