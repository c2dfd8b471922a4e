/* Messages of an exchange into rows: numbering, snapshots, tickers, trades, the clock; what is
 * refused; and that a row knows nothing of what came after it. */
#include "market/fixture.h"

#include "base/io.h"
#include "base/mem.h"
#include "market/depth.h"
#include "market/messages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static garam_error err;
static char path[64];

enum { DAY = 1700000000 };
static const messages_config small = {.levels = 1, .every = 1, .warm_up = 3, .silence = 100};

/* Line k arrives `apart` nanoseconds after line k - 1. */
static table *read_apart(const char *const *messages, size_t n, int64_t apart,
                         messages_report *report, const messages_config *config) {
  char *text = mem_zalloc(n * 1024 + 1);
  size_t at = 0;
  for (size_t i = 0; i < n; i++)
    at += (size_t)snprintf(text + at, 1024, "%lld %s\n", DAY * 1000000000LL + (long long)i * apart,
                           messages[i]);
  assert_int_equal(io_write_file(path, text, at, &err), GARAM_OK);
  mem_free(text);
  table *t = NULL;
  messages_read(&t, report, path, config, &err);
  return t;
}

static table *read_seconds(const char *const *messages, size_t n, messages_report *report,
                           const messages_config *config) {
  return read_apart(messages, n, 1000000000, report, config);
}

static double cell(const table *t, const char *name, size_t row) {
  int at = table_find(t, name);
  assert_true(at >= 0);
  assert_true(row < t->n_rows);
  return column_f64(&t->columns[at], row);
}

#define CHANGE(U, u, b, a)                                                                         \
  "{\"stream\":\"x@depth\",\"data\":{\"e\":\"depthUpdate\",\"s\":\"X\",\"U\":" #U ",\"u\":" #u     \
  ",\"b\":[" b "],\"a\":[" a "]}}"
#define FUTURE(U, u, pu, b, a)                                                                     \
  "{\"e\":\"depthUpdate\",\"s\":\"X\",\"U\":" #U ",\"u\":" #u ",\"pu\":" #pu ",\"b\":[" b          \
  "],\"a\":[" a "]}"
#define SNAPSHOT(id, b, a) "{\"lastUpdateId\":" #id ",\"bids\":[" b "],\"asks\":[" a "]}"
#define TICKER(u, b, B, a, A)                                                                      \
  "{\"data\":{\"u\":" #u ",\"s\":\"X\",\"b\":\"" b "\",\"B\":\"" B "\",\"a\":\"" a "\",\"A\":\"" A \
  "\"}}"
#define TRADE(p, q, m) "{\"e\":\"trade\",\"s\":\"X\",\"p\":\"" p "\",\"q\":\"" q "\",\"m\":" m "}"
#define L(p, q) "[\"" p "\",\"" q "\"]"

static void a_snapshot_meets_what_waited(void **state) {
  (void)state;
  const char *const messages[] = {
      CHANGE(5, 8, L("10.0", "1"), ""),              /* covered */
      CHANGE(9, 11, L("10.1", "2"), L("10.4", "7")), /* covers the snapshot's number */
      SNAPSHOT(10, L("10.0", "5") "," L("9.9", "4"), L("10.3", "3")),
      CHANGE(12, 12, L("10.1", "0"), ""),
      CHANGE(13, 14, "", L("10.3", "0")),
      "{\"id\":1,\"result\":null}",
  };
  messages_report report;
  table *t = read_seconds(messages, COUNT_OF(messages), &report, &small);
  assert_non_null(t);
  assert_string_equal(report.symbol, "X");
  assert_int_equal(report.changes, 4);
  assert_int_equal(report.old, 1);
  assert_int_equal(report.gaps, 0);
  assert_int_equal(report.snapshots, 1);
  assert_int_equal(report.others, 1);
  /* rows at the times of the snapshot and of what followed, each known when the next line came */
  static const double bid[] = {10.1, 10.0, 10.0}, ask[] = {10.3, 10.3, 10.4}, size[] = {2, 5, 5};
  assert_int_equal(t->n_rows, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_true(cell(t, "bid1", i) == bid[i]);
    assert_true(cell(t, "ask1", i) == ask[i]);
    assert_true(cell(t, "bidSize1", i) == size[i]);
    assert_true(t->columns[0].i64[i] == (DAY + 2 + (int64_t)i) * 1000000000LL);
  }
  table_free(t);
}

static void numbers_follow_one_another(void **state) {
  (void)state;
  static const struct {
    const char *second;
    int gaps, old;
  } cases[] = {
      {CHANGE(3, 4, "", ""), 0, 0},     {CHANGE(4, 4, "", ""), 1, 0},
      {CHANGE(1, 2, "", ""), 0, 1},     {FUTURE(9, 12, 2, "", ""), 0, 0},
      {FUTURE(3, 12, 1, "", ""), 1, 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *const messages[] = {CHANGE(1, 2, L("10", "1"), L("11", "1")), cases[i].second,
                                    CHANGE(90, 90, "", ""), "{}"};
    messages_report report;
    table *t = read_seconds(messages, COUNT_OF(messages), &report,
                            &(messages_config){.levels = 1, .every = 1, .silence = 9});
    assert_int_equal(report.gaps, cases[i].gaps + 1);
    assert_int_equal(report.old, cases[i].old);
    table_free(t);
  }
}

static void changes_alone_need_time(void **state) {
  (void)state;
  const char *const messages[] = {CHANGE(1, 1, L("10", "1"), L("11", "1")), "{}", "{}", "{}", "{}",
                                  CHANGE(7, 7, L("10", "2"), L("11", "2")), "{}", "{}", "{}", "{}"};
  messages_report report;
  table *t = read_seconds(messages, COUNT_OF(messages), &report, &small);
  assert_non_null(t);
  assert_int_equal(report.gaps, 1);
  assert_int_equal(t->n_rows, 3); /* seconds 3 and 4, and 8 of the book that began at 5 */
  assert_true(cell(t, "bidSize1", 1) == 1);
  assert_true(cell(t, "bidSize1", 2) == 2);
  table_free(t);
}

static void tickers_correct_the_best(void **state) {
  (void)state;
  const char *const messages[] = {
      SNAPSHOT(10, L("10.0", "5") "," L("9.9", "4"), L("10.2", "3") "," L("10.3", "1")),
      TICKER(9, "10.1", "1", "10.2", "1"), /* older than the book */
      TICKER(12, "9.9", "8", "10.3", "2"), /* newer: better prices are gone */
      CHANGE(11, 11, L("10.0", "6"), ""),  /* older than the ticker, and does not undo it */
      CHANGE(12, 14, L("10.1", "6"), ""),  /* newer */
      "{}"};
  static const double bid[] = {10.0, 10.0, 9.9, 9.9, 10.1}, size[] = {5, 5, 8, 8, 6},
                      ask[] = {10.2, 10.2, 10.3, 10.3, 10.3};
  messages_report report;
  table *t = read_seconds(messages, COUNT_OF(messages), &report, &small);
  assert_non_null(t);
  assert_int_equal(t->n_rows, 5);
  for (size_t i = 0; i < 5; i++) {
    assert_true(cell(t, "bid1", i) == bid[i]);
    assert_true(cell(t, "bidSize1", i) == size[i]);
    assert_true(cell(t, "ask1", i) == ask[i]);
  }
  table_free(t);
}

static void trades_are_of_their_row(void **state) {
  (void)state;
  const char *const messages[] = {SNAPSHOT(10, L("10.0", "5"), L("10.2", "3")),
                                  TRADE("10.2", "0.5", "false"), TRADE("10.0", "1.5", "true"), "{}",
                                  "{}"};
  messages_report report;
  table *t = read_seconds(messages, COUNT_OF(messages), &report,
                          &(messages_config){.levels = 1, .every = 2, .silence = 9});
  assert_non_null(t);
  assert_int_equal(t->n_rows, 2);
  assert_true(isnan(cell(t, "last", 0)) && isnan(cell(t, "avgprice", 0)));
  assert_true(cell(t, "volume_chg", 0) == 0);
  assert_true(cell(t, "last", 1) == 10.0);
  assert_true(cell(t, "volume_chg", 1) == 2);
  assert_true(cell(t, "buy_volume", 1) == 0.5);
  assert_true(fabs(cell(t, "avgprice", 1) - (0.5 * 10.2 + 1.5 * 10.0) / 2) < 1e-12);
  table_free(t);
}

static void silence_has_no_rows(void **state) {
  (void)state;
  const char *const messages[] = {SNAPSHOT(10, L("10.0", "5"), L("10.2", "3")), "{}"};
  messages_report report;
  messages_config c = {.levels = 1, .every = 0.1, .silence = 0.25};
  table *t = read_apart(messages, 2, 500000000, &report, &c);
  assert_non_null(t);
  assert_int_equal(t->n_rows, 3); /* 0, .1 and .2 */
  table_free(t);
}

static void bad_messages_are_named(void **state) {
  (void)state;
  static const struct {
    const char *line, *says;
  } cases[] = {
      {"{}", "expected a time in nanoseconds"},
      {"1700000001 {}", "expected a time in nanoseconds"},
      {"9999999999999999999 {}", "expected a time in nanoseconds"},
      {"1699999999000000000 {}", "before the line above"},
      {"1700000001000000000 {\"e\":", "column"},
      {"1700000001000000000 []", "not an object"},
      {"1700000001000000000 " CHANGE(-1, 2, "", ""), "\"U\""},
      {"1700000001000000000 {\"e\":\"depthUpdate\",\"U\":1,\"u\":1,\"b\":3,\"a\":[]}",
       "not a list"},
      {"1700000001000000000 " CHANGE(1, 2, "[\"1\"]", ""), "a price and a size"},
      {"1700000001000000000 " CHANGE(1, 2, L("1e5", "1"), ""), "\"b\" is not a decimal"},
      {"1700000001000000000 " CHANGE(1, 2, L("0.123456789", "1"), ""), "\"b\" is not a decimal"},
      {"1700000001000000000 " CHANGE(1, 2, L("0", "1"), ""), "a price of zero"},
      {"1700000001000000000 " TRADE("1", "-2", "true"), "\"q\" is not a decimal"},
      {"1700000001000000000 " TRADE("1", "2", "1"), "\"m\" of a trade"},
      {"1700000001000000000 {\"e\":\"trade\",\"s\":\"Y\",\"p\":\"1\",\"q\":\"1\",\"m\":true}",
       "a message of \"Y\" among those of \"X\""},
      {"1700000001000000000 {}", "no row"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[1024];
    int n = snprintf(text, sizeof text, "1700000000000000000 %s\n%s\n", TRADE("1", "1", "true"),
                     cases[i].line);
    assert_int_equal(io_write_file(path, text, (size_t)n, &err), GARAM_OK);
    table *t;
    messages_report report;
    assert_int_equal(messages_read(&t, &report, path, &small, &err), GARAM_INVALID);
    assert_null(t);
    if (!strstr(err.message, cases[i].says) || !strstr(err.message, path))
      fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].says);
    if (i + 1 < COUNT_OF(cases) && !strstr(err.message, ":2: "))
      fail_msg("\"%s\" does not name line 2", err.message);
  }
}

static void decimals_are_exact(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t units; /* -1: refused */
  } cases[] = {
      {"61800.20", 6180020000000},
      {"0.00000001", 1},
      {"7", 700000000},
      {"1.1000000000", 110000000},
      {"90000000000", 9000000000000000000},
      {"", -1},
      {".5", -1},
      {"5.", -1},
      {"-1", -1},
      {"+1", -1},
      {"1,5", -1},
      {"1e3", -1},
      {" 1", -1},
      {"90000000001", -1},
      {"0.000000001", -1},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    int64_t units = -1;
    bool there = depth_parse(&units, cases[i].text);
    assert_int_equal(there, cases[i].units >= 0);
    if (there) assert_true(units == cases[i].units);
  }
}

/* A book beside one that is a plain list, after thousands of random changes. */
static void levels_stay_sorted(void **state) {
  (void)state;
  enum { PRICES = 60 };
  depth d = DEPTH_EMPTY;
  int64_t plain[2][PRICES] = {{0}};
  uint64_t x = 1;
  for (int step = 0; step < 20000; step++) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    const int side = x >> 60 & 1, price = (int)(x >> 33) % PRICES, size = (int)(x >> 40) % 3;
    depth_side *s = side ? &d.bids : &d.asks;
    if (x >> 45 & 1 || step % 50) {
      assert_int_equal(depth_set(s, price + 1, size, &err), GARAM_OK);
      plain[side][price] = size;
    } else {
      depth_trim(s, price + 1);
      for (int k = 0; k < PRICES; k++)
        if (side ? k > price : k < price) plain[side][k] = 0;
    }
    size_t n = 0;
    for (int k = 0; k < PRICES; k++) {
      const int at = side ? PRICES - 1 - k : k;
      if (plain[side][at] == 0) continue;
      assert_true(n < s->n && depth_price(s, n) == at + 1 && s->size[n] == plain[side][at]);
      n++;
    }
    assert_int_equal(n, s->n);
  }
  depth_deinit(&d);
}

/* Real messages of spot and futures: no change is missing, hardly a row is crossed, the rows of a
 * file that ends early are the first rows of the whole, and both markets see the same price. */
static void real_messages_make_books(void **state) {
  (void)state;
  const char *folder = getenv("GARAM_DATA");
  static const char *const names[] = {"spot_btcusdt_20240808", "usdm_btcusdt_20240808",
                                      "spot_btcusdt_20240809"};
  const messages_config c = {.levels = 5, .every = 0.1, .warm_up = 10, .silence = 5};
  double mids[COUNT_OF(names)];
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char file[512];
    snprintf(file, sizeof file, "%s/book/%s.jsonl.gz", folder ? folder : "", names[i]);
    if (!folder || !io_exists(file)) {
      print_message("%s is not there: skipped\n", file);
      skip();
    }
    messages_report report, part;
    table *t, *head;
    if (messages_read(&t, &report, file, &c, &err) != GARAM_OK) fail_msg("%s", err.message);
    assert_string_equal(report.symbol, "BTCUSDT");
    assert_int_equal(report.gaps, 0);
    assert_int_equal(report.others, 0);
    assert_true(t->n_rows > 2900);
    print_message("%s: %zu rows, %lld crossed, %lld shallow\n", names[i], t->n_rows,
                  (long long)report.crossed, (long long)report.shallow);
    assert_true(report.crossed * 1000 <= (int64_t)t->n_rows);
    mids[i] = (cell(t, "bid1", 100) + cell(t, "ask1", 100)) / 2;

    io_stream *in;
    char *text = mem_alloc(1 << 22);
    size_t n = 0, got;
    assert_int_equal(io_stream_open(&in, file, &err), GARAM_OK);
    while (n < 1 << 22 && io_stream_read(in, text + n, (1 << 22) - n, &got, &err) == GARAM_OK &&
           got)
      n += got;
    io_stream_close(in);
    while (text[n - 1] != '\n') n--;
    assert_int_equal(io_write_file(path, text, n, &err), GARAM_OK);
    mem_free(text);
    assert_int_equal(messages_read(&head, &part, path, &c, &err), GARAM_OK);
    assert_true(head->n_rows > 50 && head->n_rows < t->n_rows);
    for (size_t k = 0; k < t->n_columns; k++)
      assert_memory_equal(head->columns[k].f64, t->columns[k].f64, head->n_rows * sizeof(double));
    table_free(head);
    table_free(t);
  }
  assert_true(fabs(mids[0] / mids[1] - 1) < 2e-3);
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/garam-messages-%ld", (long)getpid());
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_snapshot_meets_what_waited), cmocka_unit_test(numbers_follow_one_another),
      cmocka_unit_test(changes_alone_need_time),      cmocka_unit_test(tickers_correct_the_best),
      cmocka_unit_test(trades_are_of_their_row),      cmocka_unit_test(silence_has_no_rows),
      cmocka_unit_test(bad_messages_are_named),       cmocka_unit_test(decimals_are_exact),
      cmocka_unit_test(levels_stay_sorted),           cmocka_unit_test(real_messages_make_books),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  unlink(path);
  return failed;
}
