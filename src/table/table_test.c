/* Tables in memory: built, looked up, cut, repaired, described, written and read again. */
#include "table/table.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND CLOCK_NS_PER_SECOND
#define MISSING COLUMN_I64_MISSING

/* A table of times in seconds and of a number that is the row. */
static table *times_table(const int64_t *seconds, size_t n) {
  table *t;
  column *c;
  garam_error err;
  assert_int_equal(table_new(&t, "test", n, &err), GARAM_OK);
  assert_int_equal(table_add_column(&c, t, "time", COLUMN_TIME, &err), GARAM_OK);
  for (size_t i = 0; i < n; i++) {
    c->i64[i] = seconds[i] == MISSING ? MISSING : seconds[i] * SECOND;
    c->n_missing += seconds[i] == MISSING;
  }
  assert_int_equal(table_add_column(&c, t, "row", COLUMN_F64, &err), GARAM_OK);
  for (size_t i = 0; i < n; i++) c->f64[i] = (double)i;
  t->time_column = 0;
  t->first_line = 2;
  return t;
}

/* One of every type, with missing values, and names that need quotes. */
static table *mixed_table(size_t n) {
  static const char *const names[] = {"plain",      "with, comma", "NA",    "two\nlines",
                                      "\"quoted\"", " blanks ",    "한국어"};
  table *t;
  column *c;
  garam_error err;
  rng r;
  rng_init(&r, 7, RNG_TEST, 0);
  assert_int_equal(table_new(&t, "mixed", n, &err), GARAM_OK);
  assert_int_equal(table_add_column(&c, t, "time", COLUMN_TIME, &err), GARAM_OK);
  for (size_t i = 0; i < n; i++) c->i64[i] = (int64_t)(1700000000 + i * 60) * SECOND + (int64_t)i;
  c->is_utc = true;
  assert_int_equal(table_add_column(&c, t, "a \"real\"", COLUMN_F64, &err), GARAM_OK);
  for (size_t i = 0; i < n; i++)
    c->f64[i] = i % 5 == 3 ? NAN : rng_normal(&r) * (i % 7 ? 1 : 1e300);
  assert_int_equal(table_add_column(&c, t, "whole", COLUMN_I64, &err), GARAM_OK);
  for (size_t i = 0; i < n; i++) c->i64[i] = i % 6 == 4 ? MISSING : (int64_t)(rng_u64(&r) >> 1);
  assert_int_equal(table_add_column(&c, t, "name", COLUMN_CATEGORY, &err), GARAM_OK);
  c->names = mem_array(COUNT_OF(names), sizeof *c->names);
  for (; c->n_names < COUNT_OF(names); c->n_names++)
    c->names[c->n_names] = mem_strdup(names[c->n_names]);
  for (size_t i = 0; i < n; i++) c->code[i] = i % 4 == 2 ? -1 : (int32_t)(i % COUNT_OF(names));
  /* Codes in order of first appearance, as they come from a file. */
  if (n > 2) {
    int32_t next = 0;
    for (size_t i = 0; i < n; i++)
      if (c->code[i] >= 0) c->code[i] = next < (int32_t)COUNT_OF(names) ? next++ : c->code[i];
  }
  for (size_t i = 0; i < t->n_columns; i++)
    for (size_t row = 0; row < n; row++)
      t->columns[i].n_missing += column_is_missing(&t->columns[i], row);
  t->time_column = 0;
  strcpy(t->zone, "UTC");
  return t;
}

static void same_tables(const table *a, const table *b) {
  assert_int_equal(a->n_rows, b->n_rows);
  assert_int_equal(a->n_columns, b->n_columns);
  assert_int_equal(a->time_column, b->time_column);
  assert_string_equal(a->zone, b->zone);
  for (size_t i = 0; i < a->n_columns; i++) {
    const column *x = &a->columns[i], *y = &b->columns[i];
    assert_string_equal(x->name, y->name);
    assert_int_equal(x->type, y->type);
    assert_int_equal(x->n_missing, y->n_missing);
    for (size_t row = 0; row < a->n_rows; row++) {
      assert_int_equal(column_is_missing(x, row), column_is_missing(y, row));
      if (column_is_missing(x, row)) continue;
      switch (x->type) {
      case COLUMN_F64: assert_memory_equal(&x->f64[row], &y->f64[row], 8); break;
      case COLUMN_I64:
      case COLUMN_TIME: assert_true(x->i64[row] == y->i64[row]); break;
      case COLUMN_CATEGORY:
        assert_string_equal(x->names[x->code[row]], y->names[y->code[row]]);
        break;
      }
    }
  }
}

static void finds_columns(void **state) {
  (void)state;
  table *t = mixed_table(3);
  assert_int_equal(table_find(t, "whole"), 2);
  assert_int_equal(table_find(t, "WHOLE"), 2);
  assert_int_equal(table_find(t, "nothing"), -1);
  column *c;
  garam_error err;
  assert_int_equal(table_add_column(&c, t, "Whole", COLUMN_F64, &err), GARAM_OK);
  assert_true(c->f64[2] == 0);                 /* zeroed */
  assert_int_equal(table_find(t, "Whole"), 4); /* exact before case */
  assert_true(isnan(column_f64(&t->columns[3], 2)));
  assert_true(column_f64(&t->columns[3], 1) == 1);
  assert_true(column_f64(&t->columns[0], 0) == 1.7e18);
  table_free(t);
  table_free(NULL);
}

static void writes_what_it_reads(void **state) {
  (void)state;
  char path[] = "/tmp/garam-table-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  table *t = mixed_table(3000), *back;
  garam_error err;
  assert_int_equal(table_write_csv(t, path, &err), GARAM_OK);
  if (table_open(&back, path, NULL, NULL, NULL, &err) != GARAM_OK) fail_msg("%s", err.message);
  same_tables(t, back);
  table_free(back);
  assert_int_equal(table_write_csv(t, "/no/such/folder/t.csv", &err), GARAM_NOT_FOUND);
  table_free(t);
  unlink(path);
}

/* The head of a table is the table of the head: categories that come later are not in it. */
static void head_knows_no_future(void **state) {
  (void)state;
  table *t = mixed_table(40), *head;
  garam_error err;
  static const size_t cuts[] = {0, 1, 2, 3, 5, 9, 40, 1000};
  for (size_t i = 0; i < COUNT_OF(cuts); i++) {
    size_t n = cuts[i] < 40 ? cuts[i] : 40;
    assert_int_equal(table_head(&head, t, cuts[i], &err), GARAM_OK);
    assert_int_equal(head->n_rows, n);
    int32_t last = -1;
    for (size_t row = 0; row < n; row++)
      if (t->columns[3].code[row] > last) last = t->columns[3].code[row];
    assert_int_equal(head->columns[3].n_names, last + 1);
    size_t missing = 0;
    for (size_t row = 0; row < n; row++) missing += isnan(t->columns[1].f64[row]);
    assert_int_equal(head->columns[1].n_missing, missing);
    if (n == 40) same_tables(head, t);
    table_free(head);
  }
  table_free(t);
}

static void takes_rows_in_order(void **state) {
  (void)state;
  table *t = mixed_table(10), *taken;
  garam_error err;
  static const size_t rows[] = {9, 0, 0, 4};
  t->first_line = 2;
  assert_int_equal(table_take(&taken, t, rows, 4, &err), GARAM_OK);
  for (size_t i = 0; i < 4; i++) {
    assert_true(taken->columns[0].i64[i] == t->columns[0].i64[rows[i]]);
    assert_int_equal(table_line(taken, i), rows[i] + 2);
  }
  assert_int_equal(taken->columns[2].n_missing, 1);
  table_free(taken);
  assert_int_equal(table_take(&taken, t, NULL, 0, &err), GARAM_OK);
  assert_int_equal(taken->n_rows, 0);
  assert_int_equal(taken->n_columns, 4);
  table_free(taken);
  table_free(t);
}

static void checks_times(void **state) {
  (void)state;
  static const struct {
    const char *what;
    int64_t seconds[10];
    size_t n;
    table_time_report expected; /* times in seconds */
  } cases[] = {
      {"regular", {0, 60, 120, 180}, 4, {.start = 0, .end = 180, .step = 60}},
      {"one row", {5}, 1, {.start = 5, .end = 5}},
      {"a gap",
       {0, 60, 120, 300, 360},
       5,
       {.end = 360, .step = 60, .n_gaps = 1, .largest_gap = 180, .largest_gap_row = 3}},
      {"half a step more is no gap", {0, 60, 120, 210}, 4, {.end = 210, .step = 60}},
      {"two gaps",
       {0, 10, 20, 120, 130, 330},
       6,
       {.end = 330, .step = 10, .n_gaps = 2, .largest_gap = 200, .largest_gap_row = 5}},
      {"duplicates",
       {0, 60, 60, 60, 120},
       5,
       {.end = 120, .step = 60, .n_duplicates = 2, .first_duplicate = 2}},
      {"unsorted",
       {0, 120, 60, 180, 170},
       5,
       {.end = 180, .step = 60, .n_unsorted = 2, .first_unsorted = 2}},
      {"duplicates far apart",
       {60, 0, 120, 60},
       4,
       {.end = 120,
        .step = 60,
        .n_unsorted = 2,
        .first_unsorted = 1,
        .n_duplicates = 1,
        .first_duplicate = 3}},
      {"missing times are passed over",
       {0, MISSING, 60, 120, MISSING},
       5,
       {.end = 120, .step = 60}},
      {"the shorter of equally frequent steps",
       {0, 10, 20, 50, 80},
       5,
       {.end = 80, .step = 10, .n_gaps = 2, .largest_gap = 30, .largest_gap_row = 3}},
      {"all the same",
       {7, 7, 7},
       3,
       {.start = 7, .end = 7, .n_duplicates = 2, .first_duplicate = 1}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    table *t = times_table(cases[i].seconds, cases[i].n);
    table_time_report found, expected = cases[i].expected;
    garam_error err;
    expected.start *= SECOND;
    expected.end *= SECOND;
    expected.step *= SECOND;
    expected.largest_gap *= SECOND;
    assert_int_equal(table_time_check(&found, t, &err), GARAM_OK);
    if (memcmp(&found, &expected, sizeof found) != 0)
      fail_msg("%s: step %lld, %zu unsorted from %zu, %zu duplicates from %zu, %zu gaps, "
               "%lld at %zu",
               cases[i].what, (long long)(found.step / SECOND), found.n_unsorted,
               found.first_unsorted, found.n_duplicates, found.first_duplicate, found.n_gaps,
               (long long)(found.largest_gap / SECOND), found.largest_gap_row);
    table_free(t);
  }
  garam_error err;
  table_time_report found;
  table *t = times_table((const int64_t[]){MISSING, MISSING}, 2);
  assert_int_equal(table_time_check(&found, t, &err), GARAM_PARSE);
  assert_string_equal(err.message, "test: column \"time\": every time is missing");
  t->time_column = -1;
  assert_int_equal(table_time_check(&found, t, &err), GARAM_INVALID);
  assert_string_equal(err.message, "test: no time column");
  table_free(t);
}

static void repairs_on_request(void **state) {
  (void)state;
  static const struct {
    const char *list;
    int64_t seconds[6];
    size_t n, n_out, n_changed;
    size_t rows[6]; /* what is left, by the rows before */
  } cases[] = {
      {"", {2, 1, 1}, 3, 3, 0, {0, 1, 2}},
      {"sort", {3, 1, 2, 1}, 4, 4, 3, {1, 3, 2, 0}},
      {"sort", {1, 2, 3}, 3, 3, 0, {0, 1, 2}},
      {"sort", {1, 3, 2, 4}, 4, 4, 2, {0, 2, 1, 3}},
      {"deduplicate", {1, 1, 2, 2, 2, 3}, 6, 3, 3, {1, 4, 5}},
      {"deduplicate", {2, 1, 2}, 3, 2, 1, {1, 2}},
      {"sort,deduplicate", {2, 1, 2, 1}, 4, 2, 6, {3, 2}},
      {"drop-missing", {1, MISSING, 2, MISSING}, 4, 2, 2, {0, 2}},
      {"drop-missing,sort", {5, MISSING, 2}, 3, 2, 3, {2, 0}},
      {"deduplicate", {MISSING, MISSING, 2}, 3, 3, 0, {0, 1, 2}},
  };
  garam_error err;
  table *fixed;
  size_t changed;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    table *t = times_table(cases[i].seconds, cases[i].n);
    assert_int_equal(table_repair(&fixed, t, cases[i].list, NULL, 0, &changed, &err), GARAM_OK);
    if (fixed->n_rows != cases[i].n_out || changed != cases[i].n_changed)
      fail_msg("case %zu, %s: %zu rows, %zu changed", i, cases[i].list, fixed->n_rows, changed);
    for (size_t row = 0; row < fixed->n_rows; row++) {
      assert_true(fixed->columns[1].f64[row] == (double)cases[i].rows[row]);
      assert_int_equal(table_line(fixed, row), cases[i].rows[row] + 2);
    }
    table_free(fixed);
    table_free(t);
  }
  table *t = times_table((const int64_t[]){1, MISSING, 3}, 3);
  t->columns[1].f64[0] = NAN;
  static const int only_second[] = {1};
  assert_int_equal(table_repair(&fixed, t, "drop-missing", only_second, 1, &changed, &err),
                   GARAM_OK);
  assert_int_equal(fixed->n_rows, 2);
  table_free(fixed);
  assert_int_equal(table_repair(&fixed, t, "dedup", NULL, 0, &changed, &err), GARAM_INVALID);
  assert_string_equal(err.message,
                      "repair \"dedup\" is not one of sort, deduplicate, drop-missing");
  assert_int_equal(table_repair(&fixed, t, "sorted", NULL, 0, &changed, &err), GARAM_INVALID);
  assert_string_equal(err.message, "repair \"sorted\" is not one of sort, deduplicate, "
                                   "drop-missing; did you mean \"sort\"?");
  t->time_column = -1;
  assert_int_equal(table_repair(&fixed, t, "sort", NULL, 0, &changed, &err), GARAM_INVALID);
  assert_string_equal(err.message, "test: repair sort: no time column");
  assert_null(fixed);
  table_free(t);
}

static void describes(void **state) {
  (void)state;
  char path[] = "/tmp/garam-table-XXXXXX";
  int fd = mkstemp(path);
  FILE *f = fdopen(fd, "w");
  fputs("time,close,volume,side\n2026-01-03T09:30:00,1,10,buy\n2026-01-03T09:32:00,2.5,20,sell\n"
        "2026-01-03T09:31:00,,30,buy\n2026-01-03T09:32:00,4,40,\n"
        "2026-01-03T09:40:00,inf,50,x\n",
        f);
  fclose(f);
  table *t;
  garam_error err;
  json_t *o;
  assert_int_equal(table_open(&t, path, NULL, NULL, NULL, &err), GARAM_OK);
  assert_int_equal(table_describe(&o, t, &err), GARAM_OK);
  json_object_del(o, "source");
  char *text = json_text(o);
  assert_string_equal(
      text,
      "{\"rows\":5,\"columns\":["
      "{\"name\":\"time\",\"type\":\"time\",\"missing\":0,\"min\":\"2026-01-03T09:30:00\","
      "\"max\":\"2026-01-03T09:40:00\"},"
      "{\"name\":\"close\",\"type\":\"number\",\"missing\":1,\"min\":1.0,\"max\":4.0,\"mean\":2.5,"
      "\"deviation\":1.5,\"infinite\":1},"
      "{\"name\":\"volume\",\"type\":\"integer\",\"missing\":0,\"min\":10.0,\"max\":50.0,"
      "\"mean\":30.0,\"deviation\":15.811388300841896},"
      "{\"name\":\"side\",\"type\":\"category\",\"missing\":1,\"distinct\":3,"
      "\"names\":[\"buy\",\"sell\",\"x\"]}],"
      "\"time\":{\"column\":\"time\",\"start\":\"2026-01-03T09:30:00\","
      "\"end\":\"2026-01-03T09:40:00\",\"step\":60.0,\"zone\":\"none\",\"largest_gap\":480.0,"
      "\"largest_gap_line\":6,\"first_duplicate_line\":5,\"first_unsorted_line\":4},"
      "\"gaps\":1,\"duplicates\":1,\"unsorted\":1,\"missing\":{\"close\":1,\"side\":1}}");
  mem_free(text);
  json_decref(o);
  table_free(t);
  unlink(path);
}

static void options_have_defaults(void **state) {
  (void)state;
  table_read_config config, zero = {0};
  memset(&config, 0xff, sizeof config);
  opt_defaults(table_read_options, table_read_n_options, &config);
  json_t *a = opt_to_json(table_read_options, table_read_n_options, &config);
  json_t *b = opt_to_json(table_read_options, table_read_n_options, &zero);
  assert_true(json_equal(a, b)); /* a zeroed config is the default one */
  json_decref(a);
  json_decref(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_columns),
      cmocka_unit_test(writes_what_it_reads),
      cmocka_unit_test(head_knows_no_future),
      cmocka_unit_test(takes_rows_in_order),
      cmocka_unit_test(checks_times),
      cmocka_unit_test(repairs_on_request),
      cmocka_unit_test(describes),
      cmocka_unit_test(options_have_defaults),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
