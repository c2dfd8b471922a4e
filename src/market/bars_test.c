#include "market/fixture.h"

#include "base/clock.h"

static garam_error err;

static void opens_every_naming(void **state) {
  (void)state;
  static const struct {
    const char *names[6]; /* besides the time; filled with 10, 11, ... */
    double close;
    bool snapshots, ohlc, quotes, sizes, volume;
  } cases[] = {
      {{"open", "high", "low", "close", "volume"}, 13, false, true, false, false, true},
      {{"Open", "HIGH", "Low", "Close", "Vol"}, 13, false, true, false, false, true},
      {{"o", "h", "l", "c", "v"}, 13, false, true, false, false, true},
      {{"mid"}, 10, true, false, false, false, false},
      {{"last", "volume"}, 10, true, false, false, false, false},
      {{"price", "volume_chg"}, 10, true, false, false, false, true},
      {{"bid", "ask"}, 10.5, true, false, true, false, false},
      {{"bid1", "ask1", "bidSize1", "askSize1"}, 10.5, true, false, true, true, false},
      {{"bid_px_1", "ask_px_1", "bid_sz_1", "ask_sz_1"}, 10.5, true, false, true, true, false},
      {{"bid_px_00", "ask_px_00", "bid_sz_00", "ask_sz_00"}, 10.5, true, false, true, true, false},
      {{"bid_price", "ask_price", "bid_qty", "ask_qty"}, 10.5, true, false, true, true, false},
      {{"best_bid", "best_ask"}, 10.5, true, false, true, false, false},
      {{"bid", "ask", "close"}, 12, false, false, true, false, false},
      {{"close", "bidSize1_diff", "avgprice"}, 10, false, false, false, false, false},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *names[7] = {"time"};
    double values[14];
    size_t n = 1;
    while (n < 7 && cases[i].names[n - 1]) names[n] = cases[i].names[n - 1], n++;
    for (size_t r = 0; r < 2; r++) {
      values[r * n] = (double)r;
      for (size_t k = 1; k < n; k++) values[r * n + k] = 9 + (double)k;
    }
    if (cases[i].ohlc) /* a high that is above the low */
      for (size_t r = 0; r < 2; r++) values[r * n + 2] = 20;
    table *t = fixture_table(names, n, 2, values);
    bars *b = fixture_bars(t);
    assert_true(b->close[1] == cases[i].close);
    assert_int_equal(b->snapshots, cases[i].snapshots);
    assert_int_equal(b->open && b->high && b->low, cases[i].ohlc);
    assert_int_equal(b->bid && b->ask, cases[i].quotes);
    assert_int_equal(b->bid_size && b->ask_size, cases[i].sizes);
    assert_int_equal(b->volume != NULL, cases[i].volume);
    bars_free(b);
    table_free(t);
  }
}

static void quote_bars_are_mids(void **state) {
  (void)state;
  const char *names[] = {"time",     "bid_open", "bid_high", "bid_low",  "bid_close",
                         "ask_open", "ask_high", "ask_low",  "ask_close"};
  double values[] = {0, 10, 14, 8, 12, 11, 15, 9, 14};
  table *t = fixture_table(names, 9, 1, values);
  bars *b = fixture_bars(t);
  assert_true(b->open[0] == 10.5 && b->high[0] == 14.5 && b->low[0] == 8.5 && b->close[0] == 13);
  assert_true(b->bid[0] == 12 && b->ask[0] == 14 && b->bid_open[0] == 10 && b->ask_open[0] == 11);
  assert_false(b->snapshots);
  bars_free(b);
  table_free(t);
}

static void adjusted_close_adjusts_the_bar(void **state) {
  (void)state;
  const char *names[] = {"Open", "High", "Low", "Close", "Adj Close"};
  double values[] = {100, 120, 90, 110, 55};
  table *t = fixture_table(names, 5, 1, values);
  bars *b = fixture_bars(t);
  assert_true(b->close[0] == 55 && b->open[0] == 50 && b->high[0] == 60 && b->low[0] == 45);
  bars_free(b);
  bars_config raw = {.price = "close"};
  expect_ok(bars_open(&b, t, &raw, &err), &err);
  assert_true(b->close[0] == 110 && b->open[0] == 100);
  bars_free(b);
  table_free(t);
}

static void levels_in_order(void **state) {
  (void)state;
  table *t = fixture_book(3, 1);
  bars *b = fixture_bars(t);
  assert_int_equal(b->n_levels, 5);
  for (int k = 0; k < 5; k++) {
    char name[32];
    snprintf(name, sizeof name, "askSize%d", k + 1);
    assert_ptr_equal(b->level_ask_size[k], t->columns[table_find(t, name)].f64);
    assert_true(b->level_bid[k][2] == b->bid[2] - k);
  }
  bars_free(b);
  table_free(t);
  const char *zero[] = {"bid_px_00", "ask_px_00", "bid_px_01", "ask_px_01"};
  double values[] = {10, 11, 9, 12};
  t = fixture_table(zero, 4, 1, values);
  b = fixture_bars(t);
  assert_int_equal(b->n_levels, 2);
  assert_true(b->level_bid[0][0] == 10 && b->level_bid[1][0] == 9 && b->level_ask[1][0] == 12);
  bars_free(b);
  table_free(t);
}

static void rows_are_known_at_their_end(void **state) {
  (void)state;
  const char *names[] = {"time", "close"}, *marks[] = {"time", "mid"};
  double values[] = {0, 1, 60, 1, 120, 1, 150, 1, 210, 1, 1000, 1};
  table *t = fixture_table(names, 2, 6, values);
  bars *b = fixture_bars(t);
  /* one step after the stamp; sooner where the next bar begins sooner */
  double known[] = {60, 120, 150, 210, 270, 1060};
  assert_true(b->step == 60 * CLOCK_NS_PER_SECOND);
  for (int i = 0; i < 6; i++) assert_true((double)b->known_at[i] == known[i] * 1e9);
  bars_free(b);
  bars_config end = {.stamp = 2};
  expect_ok(bars_open(&b, t, &end, &err), &err);
  for (int i = 0; i < 6; i++) assert_true(b->known_at[i] == b->time[i]);
  bars_free(b);
  table_free(t);
  t = fixture_table(marks, 2, 6, values);
  b = fixture_bars(t);
  for (int i = 0; i < 6; i++) assert_true(b->known_at[i] == b->time[i]);
  bars_free(b);
  table_free(t);
  t = fixture_table(names + 1, 1, 12, values);
  for (int i = 0; i < 12; i++) t->columns[0].f64[i] = 5;
  b = fixture_bars(t);
  for (int i = 0; i < 12; i++) assert_true(b->known_at[i] == i);
  assert_null(b->time);
  bars_free(b);
  table_free(t);
}

static void refuses_with_line_and_reason(void **state) {
  (void)state;
  static const struct {
    const char *names[3];
    double values[9];
    const char *price, *message[3];
  } cases[] = {
      {{"time", "close", "x"},
       {0, 1, 1, 1, NAN, 1, 2, 1, 1},
       "",
       {"t.csv:3", "missing", "--repair"}},
      {{"time", "close", "x"},
       {0, 1, 1, 1, 0, 1, 2, 1, 1},
       "",
       {"t.csv:3", "\"close\"", "above zero"}},
      {{"time", "close", "x"}, {0, 1, 1, 1, -3, 1, 2, -1, 1}, "", {"t.csv:3", "-3", "2 of 3"}},
      {{"time", "close", "x"},
       {0, 1, 1, 2, 1, 1, 1, 1, 1},
       "",
       {"t.csv:4", "before", "--repair sort"}},
      {{"time", "close", "x"},
       {0, 1, 1, 1, 1, 1, 1, 1, 1},
       "",
       {"t.csv:4", "same time", "--repair deduplicate"}},
      {{"time", "x", "y"}, {0, 1, 1, 1, 1, 1, 2, 1, 1}, "", {"no price column", "x, y", "--price"}},
      {{"time", "close", "x"},
       {0, 1, 1, 1, 1, 1, 2, 1, 1},
       "clsoe",
       {"clsoe", "did you mean", "close"}},
      {{"time", "bid", "ask"},
       {0, 1, 2, 1, 0, 2, 2, 1, 2},
       "",
       {"t.csv:3", "only asks", "--one-sided"}},
      {{"time", "bid", "ask"},
       {0, 1, 2, 1, 1, NAN, 2, 1, 0},
       "",
       {"t.csv:3", "only bids", "2 of 3"}},
      {{"time", "bid", "ask"}, {0, 1, 2, 1, 0, NAN, 2, 1, 2}, "", {"t.csv:3", "neither", "row 2"}},
      {{"high", "low", "close"}, {2, 1, 1, 1, 2, 1, 2, 1, 1}, "", {"t.csv:3", "high 1", "low 2"}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    table *t = fixture_table(cases[i].names, 3, 3, cases[i].values);
    bars_config config = {.stamp = 0};
    snprintf(config.price, sizeof config.price, "%s", cases[i].price);
    bars *b;
    assert_int_not_equal(bars_open(&b, t, &config, &err), GARAM_OK);
    assert_null(b);
    for (int k = 0; k < 3; k++)
      if (!strstr(err.message, cases[i].message[k]))
        fail_msg("case %zu: no \"%s\" in: %s", i, cases[i].message[k], err.message);
    table_free(t);
  }
}

static void text_in_a_price_is_named(void **state) {
  (void)state;
  table *t;
  column *c;
  expect_ok(table_new(&t, "t.csv", 2, &err), &err);
  t->first_line = 2;
  expect_ok(table_add_column(&c, t, "close", COLUMN_CATEGORY, &err), &err);
  c->names = mem_array(1, sizeof *c->names);
  c->names[0] = mem_strdup("n/a!");
  c->n_names = 1;
  c->code[0] = -1;
  bars *b;
  assert_int_equal(bars_open(&b, t, NULL, &err), GARAM_PARSE);
  assert_non_null(strstr(err.message, "t.csv:3"));
  assert_non_null(strstr(err.message, "n/a!"));
  table_free(t);
}

static void one_sided_rows_on_request(void **state) {
  (void)state;
  const char *names[] = {"bid", "ask"};
  double values[] = {10, 12, 10, 0, NAN, 12};
  table *t = fixture_table(names, 2, 3, values);
  bars_config use = {.one_sided = 1};
  bars *b;
  expect_ok(bars_open(&b, t, &use, &err), &err);
  assert_int_equal(b->n_one_sided, 2);
  assert_true(b->close[0] == 11 && b->close[1] == 10 && b->close[2] == 12);
  assert_true(isnan(b->ask[1]) && isnan(b->bid[2]) && b->bid[1] == 10);
  bars_free(b);
  table_free(t);
}

/* ---- jumps ------------------------------------------------------------------------------- */

/* A quiet daily series with one overnight ratio at row 50. */
static size_t jump_of(price_jump *jump, double ratio, double volume, double pause_days) {
  const char *names[] = {"time", "open", "high", "low", "close", "volume"};
  double values[600], price = 100, time = 0;
  rng r;
  rng_init(&r, 3, RNG_TEST, 0);
  for (size_t i = 0; i < 100; i++) {
    double *v = &values[i * 6], open = i == 50 ? price * ratio : price;
    price = open * exp(0.01 * rng_normal(&r));
    time += (i == 50 ? pause_days : 1) * 86400;
    v[0] = time;
    v[1] = open;
    v[2] = fmax(open, price) * 1.001;
    v[3] = fmin(open, price) * 0.999;
    v[4] = price;
    v[5] = (i == 50 ? volume : 1e6) / open;
  }
  table *t = fixture_table(names, 6, 100, values);
  bars *b = fixture_bars(t);
  size_t n = bars_find_jumps(jump, 1, b);
  bars_free(b);
  table_free(t);
  return n;
}

static void finds_splits(void **state) {
  (void)state;
  static const struct {
    double ratio, volume, pause;
    size_t n;
    double split;
  } cases[] = {
      {0.5, 1e6, 1, 1, 2},       {0.51, 1e6, 3, 1, 2},    {1.0 / 7, 1e6, 1, 1, 7},
      {2.0 / 3, 1e6, 1, 1, 1.5}, {18.4, 1e6, 1, 1, 0.05}, {3.02, 1e6, 1, 1, 1 / 3.0},
      {0.5257, 1e6, 1, 1, 0}, /* near, but off by 5 %: a crash */
      {0.5, 2e7, 1, 1, 0},    /* traded like a crash */
      {0.5, 1e6, 60, 1, 0},   /* a hole in the data */
      {0.97, 1e6, 1, 0, 0},      {1, 1e6, 1, 0, 0},       {0.8, 1e6, 1, 0, 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    price_jump jump = {0};
    size_t n = jump_of(&jump, cases[i].ratio, cases[i].volume, cases[i].pause);
    if (n != cases[i].n || (n && (fabs(jump.split - cases[i].split) > 1e-9 || jump.row != 50)))
      fail_msg("case %zu: %zu jumps, split %g", i, n, jump.split);
  }
}

static void finds_the_splits_of_real_shares(void **state) {
  (void)state;
  static const struct {
    const char *file;
    struct {
      const char *day;
      double split;
    } splits[6];
  } cases[] = {
      {"bars/aapl-1h.csv.gz",
       {{"2000-06-21", 2}, {"2005-02-28", 2}, {"2014-06-09", 7}, {"2020-08-31", 4}}},
      {"bars/bac-1h.csv.gz", {{"2004-08-30", 2}}},
      {"bars/ibm-1h.csv.gz", {{"1999-05-27", 2}}},
      {"bars/aig-1h.csv.gz", {{"1998-08-03", 1.5}, {"2000-07-31", 1.5}, {"2009-07-01", 0.05}}},
      {"bars/spy-1h.csv.gz", {{NULL, 0}}},
      {"bars/eurusd-1h.csv.gz", {{NULL, 0}}},
      {"bars/btcusd-1m.csv.gz", {{NULL, 0}}},
      {"daily/vix.csv.gz", {{NULL, 0}}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    table *t = fixture_real(cases[i].file);
    if (!t) skip();
    bars *b = fixture_bars(t);
    price_jump jumps[16];
    size_t n = bars_find_jumps(jumps, 16, b), at = 0;
    assert_true(n <= 16);
    for (size_t k = 0; k < n; k++) {
      if (jumps[k].split == 0) continue;
      char text[CLOCK_TEXT_MAX];
      clock_format(text, b->time[jumps[k].row]);
      if (at >= 6 || !cases[i].splits[at].day || strncmp(text, cases[i].splits[at].day, 10) != 0 ||
          fabs(jumps[k].split - cases[i].splits[at].split) > 1e-9)
        fail_msg("%s: unexpected split %g at %s", cases[i].file, jumps[k].split, text);
      at++;
    }
    assert_true(at == 6 || !cases[i].splits[at].day);
    bars_free(b);
    table_free(t);
  }
}

/* ---- real files --------------------------------------------------------------------------- */

static void opens_the_real_files(void **state) {
  (void)state;
  static const char *const files[] = {"bars/spy-1m.csv.gz",
                                      "bars/nzdusd-1h.csv.gz",
                                      "book/shfe-rb2510-20250605.csv.gz",
                                      "book/shfe-rb2510-20250606.csv.gz",
                                      "daily/stocknet/AAPL.csv",
                                      "daily/stocknet/BRK-A.csv"};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    table *t = fixture_real(files[i]);
    if (!t) skip();
    bars *b = fixture_bars(t);
    assert_true(b->n_rows > 1000 && b->time && b->known_at);
    if (strncmp(files[i], "book", 4) == 0) {
      assert_int_equal(b->n_levels, 5);
      assert_true(b->snapshots && b->bid_size && b->volume);
    } else {
      assert_true(b->open && b->high && b->low && !b->snapshots);
    }
    bars_free(b);
    table_free(t);
  }
}

static void a_missing_row_asks_for_the_repair(void **state) {
  (void)state;
  table *t = fixture_real("daily/stocknet/PTR.csv"), *repaired;
  if (!t) skip();
  bars *b;
  assert_int_equal(bars_open(&b, t, NULL, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "PTR.csv:962"));
  size_t n_changed;
  expect_ok(table_repair(&repaired, t, "drop-missing", NULL, 0, &n_changed, &err), &err);
  b = fixture_bars(repaired);
  assert_int_equal(b->n_rows + 1, t->n_rows);
  bars_free(b);
  table_free(repaired);
  table_free(t);
}

static garam_status open_and_close(void *context, garam_error *error) {
  bars *b;
  garam_status status = bars_open(&b, context, NULL, error);
  if (status == GARAM_OK) bars_free(b);
  return status;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  table *t = fixture_book(50, 2);
  fixture_fail_each(open_and_close, t);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(opens_every_naming),
      cmocka_unit_test(quote_bars_are_mids),
      cmocka_unit_test(adjusted_close_adjusts_the_bar),
      cmocka_unit_test(levels_in_order),
      cmocka_unit_test(rows_are_known_at_their_end),
      cmocka_unit_test(refuses_with_line_and_reason),
      cmocka_unit_test(text_in_a_price_is_named),
      cmocka_unit_test(one_sided_rows_on_request),
      cmocka_unit_test(finds_splits),
      cmocka_unit_test(finds_the_splits_of_real_shares),
      cmocka_unit_test(opens_the_real_files),
      cmocka_unit_test(a_missing_row_asks_for_the_repair),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
