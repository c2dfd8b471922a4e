/* Files as they come from exchanges and archives: types, times, zones. Skips without the data. */
#include "table/table.h"

#include "base/clock.h"
#include "base/io.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char data[4096];

static void find_data(void) {
  const char *given = getenv("GARAM_DATA"), *source = getenv("GARAM_SOURCE");
  if (given) snprintf(data, sizeof data, "%s", given);
  else snprintf(data, sizeof data, "%s/../shared/data", source ? source : ".");
  if (io_exists(data)) return;
  print_message("%s is not there: nothing to read\n", data);
  skip();
}

typedef struct known_file {
  const char *name, *types; /* F number, I integer, T time, C category; * the time column */
  size_t n_rows, n_missing;
  const char *start, *end, *zone;
  double step; /* seconds */
  size_t n_gaps;
} known_file;

static const known_file known[] = {
    {"bars/spy-1h.csv.gz", "T*FFFFI", 40832, 0, "1998-01-02T09:00:00Z", "2021-03-31T15:00:00Z",
     "none", 3600, 5848},
    {"bars/eurusd-1h.csv.gz", "T*FFFFFFFF", 74439, 0, "2007-01-01T21:00:00Z",
     "2018-12-31T21:00:00Z", "UTC", 3600, 641},
    {"bars/btcusd-1m.csv.gz", "T*FFFFF", 12423, 0, "2016-10-07T00:00:00Z", "2018-04-06T23:59:00Z",
     "UTC", 60, 99},
    {"book/shfe-rb2510-20250605.csv.gz", "IT*CCIIIIIIIIIIIIIIIIIIIIIIIFICFIITIIFFFFIIIIFIIII",
     41201, 41201 + 6635, "2025-06-04T20:59:00.518Z", "2025-06-05T15:00:00.022Z", "UTC", 0.5, 199},
    {"daily/sp500-20-stocks-close.csv.gz", "T*FFFFFFFFFFFFFFFFFFFF", 8313, 0,
     "1990-01-02T00:00:00Z", "2022-12-28T00:00:00Z", "none", 86400, 1798},
    {"daily/vix.csv.gz", "T*FFFF", 9235, 0, "1990-01-02T00:00:00Z", "2026-07-23T00:00:00Z", "none",
     86400, 1987},
    {"ltsf/ETTh1.csv.gz", "T*FFFFFFF", 17420, 0, "2016-07-01T00:00:00Z", "2018-06-26T19:00:00Z",
     "none", 3600, 0},
    {"tabular/lightgbm-binary_classification/binary.train.gz", "IFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
     7000, 0, NULL, NULL, "none", 0, 0},
    {"tabular/lightgbm-binary_classification/binary.train.weight.gz", "F", 7000, 0, NULL, NULL,
     "none", 0, 0},
    {"daily/stocknet/PTR.csv", "T*FFFFFI", 1258, 6, "2012-09-04T00:00:00Z", "2017-09-01T00:00:00Z",
     "none", 86400, 273},
};

static void known_files(void **state) {
  (void)state;
  find_data();
  for (size_t i = 0; i < COUNT_OF(known); i++) {
    const known_file *k = &known[i];
    char path[4200], types[128], text[CLOCK_TEXT_MAX], *at = types;
    table *t;
    garam_error err;
    size_t n_missing = 0;
    snprintf(path, sizeof path, "%s/%s", data, k->name);
    if (table_open(&t, path, NULL, NULL, NULL, &err) != GARAM_OK) fail_msg("%s", err.message);
    for (size_t c = 0; c < t->n_columns; c++) {
      *at++ = "FITC"[t->columns[c].type];
      if ((int)c == t->time_column) *at++ = '*';
      n_missing += t->columns[c].n_missing;
    }
    *at = 0;
    if (strcmp(types, k->types) != 0 || t->n_rows != k->n_rows || n_missing != k->n_missing ||
        strcmp(t->zone, k->zone) != 0)
      fail_msg("%s: %s, %zu rows, %zu missing, zone %s", k->name, types, t->n_rows, n_missing,
               t->zone);
    if (k->start) {
      table_time_report r;
      assert_int_equal(table_time_check(&r, t, &err), GARAM_OK);
      assert_string_equal(clock_format(text, r.start), k->start);
      assert_string_equal(clock_format(text, r.end), k->end);
      assert_true(r.step == (int64_t)(k->step * 1e9));
      assert_int_equal(r.n_gaps, k->n_gaps);
      assert_int_equal(r.n_unsorted + r.n_duplicates, 0);
    }
    table_free(t);
  }
}

/* All 88 stocks have the same shape, and 18 values are missing in all. */
static void stocknet(void **state) {
  (void)state;
  find_data();
  char folder[4200];
  snprintf(folder, sizeof folder, "%s/daily/stocknet", data);
  DIR *d = opendir(folder);
  if (!d) skip();
  size_t n_files = 0, n_missing = 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    char path[4600];
    table *t;
    garam_error err;
    if (!strstr(e->d_name, ".csv")) continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (table_open(&t, path, NULL, NULL, NULL, &err) != GARAM_OK) fail_msg("%s", err.message);
    assert_int_equal(t->time_column, 0);
    assert_int_equal(t->n_columns, 7);
    assert_string_equal(t->columns[5].name, "Adj Close");
    for (size_t i = 0; i < t->n_columns; i++) n_missing += t->columns[i].n_missing;
    n_files++;
    table_free(t);
  }
  closedir(d);
  assert_int_equal(n_files, 88);
  assert_int_equal(n_missing, 18);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_files),
      cmocka_unit_test(stocknet),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
