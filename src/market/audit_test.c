#include "market/fixture.h"

static garam_error err;

enum { MAX_LEAKS = 64 };
static leak leaks[MAX_LEAKS];

static size_t audit(const table *t) {
  bars *b = fixture_bars(t);
  feature_spec spec = {.families = "all", .max_lag = 120};
  feature_matrix *m;
  size_t n;
  expect_ok(features_compute(&m, b, &spec, &err), &err);
  expect_ok(audit_leaks(leaks, MAX_LEAKS, &n, b, m, 1, &err), &err);
  assert_true(n <= MAX_LEAKS);
  feature_matrix_free(m);
  bars_free(b);
  return n;
}

static const leak *leak_of(size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(leaks[i].column, name) == 0) return &leaks[i];
  return NULL;
}

/* Ways to peek, from closes c and a source of noise. Rows at the ends, where a row ahead is not
 * there, stay 0. */
static double peek(const char *how, const double *c, const double *high, size_t i, rng *r) {
  double next = log(c[i + 1] / c[i]), deviation = 0.001;
  if (strcmp(how, "next_close") == 0) return c[i + 1];
  if (strcmp(how, "next_close_scaled") == 0) return (c[i + 1] - 80) / 11;
  if (strcmp(how, "next_high") == 0) return high[i + 1];
  if (strcmp(how, "next_return") == 0) return next;
  if (strcmp(how, "next_return_noise_1") == 0) return next + deviation * rng_normal(r);
  if (strcmp(how, "next_return_noise_2") == 0) return next + 2 * deviation * rng_normal(r);
  if (strcmp(how, "next_sign") == 0) return next > 0 ? 1 : -1;
  if (strcmp(how, "next_class") == 0) return next > 0.0004 ? 2 : next < -0.0004 ? 0 : 1;
  if (strcmp(how, "next_size") == 0) return fabs(next);
  if (strcmp(how, "return_in_two") == 0) return log(c[i + 2] / c[i + 1]);
  if (strcmp(how, "centred_3") == 0) return (c[i - 1] + c[i] + c[i + 1]) / 3;
  if (strcmp(how, "centred_5_gap") == 0)
    return c[i] / ((c[i - 2] + c[i - 1] + c[i] + c[i + 1] + c[i + 2]) / 5);
  if (strcmp(how, "centred_21") == 0) {
    double sum = 0;
    for (size_t k = i - 10; k <= i + 10; k++) sum += c[k];
    return sum / 21;
  }
  if (strcmp(how, "mean_of_next_5") == 0)
    return log((c[i + 1] + c[i + 2] + c[i + 3] + c[i + 4] + c[i + 5]) / 5 / c[i]);
  if (strcmp(how, "stochastic_shifted") == 0) {
    double top = 0, bottom = 1e300;
    for (size_t k = i - 12; k <= i + 1; k++) top = fmax(top, c[k]), bottom = fmin(bottom, c[k]);
    return (c[i + 1] - bottom) / (top - bottom);
  }
  if (strcmp(how, "momentum_shifted") == 0) return log(c[i + 1] / c[i - 4]);
  return NAN;
}

static const struct {
  const char *how;
  int shift; /* 0: not checked */
} peeks[] = {
    {"next_close", 1},       {"next_close_scaled", 1},   {"next_high", 1},
    {"next_return", 1},      {"next_return_noise_1", 1}, {"next_return_noise_2", 1},
    {"next_sign", 1},        {"next_class", 1},          {"next_size", 1},
    {"return_in_two", 2},    {"centred_3", 1},           {"centred_5_gap", 2},
    {"centred_21", 0},       {"mean_of_next_5", 0},      {"stochastic_shifted", 1},
    {"momentum_shifted", 1},
};

static void add_peeks(table *t) {
  rng r;
  rng_init(&r, 77, RNG_TEST, 0);
  for (size_t p = 0; p < COUNT_OF(peeks); p++) {
    double *x = fixture_column(t, peeks[p].how);
    const double *c = fixture_column(t, "close"), *high = fixture_column(t, "high");
    for (size_t i = 20; i + 20 < t->n_rows; i++) x[i] = peek(peeks[p].how, c, high, i, &r);
  }
}

static void every_way_to_peek_is_caught(void **state) {
  (void)state;
  static const struct {
    int regimes;
    double momentum;
    int64_t rows;
  } markets[] = {{1, 0, 3000}, {1, 0, 800}, {3, 0.5, 3000}};
  for (size_t k = 0; k < COUNT_OF(markets); k++) {
    table *t =
        fixture_market(markets[k].rows, 4, markets[k].regimes, markets[k].momentum, NULL, NULL);
    add_peeks(t);
    size_t n = audit(t), missing = 0;
    for (size_t p = 0; p < COUNT_OF(peeks); p++) {
      const leak *l = leak_of(n, peeks[p].how);
      /* a market with a memory of its own hides a peek under that much noise */
      if (markets[k].momentum > 0 && strcmp(peeks[p].how, "next_return_noise_2") == 0) {
        missing += !l;
        continue;
      }
      if (!l) fail_msg("%s was not caught, market %zu", peeks[p].how, k);
      if (peeks[p].shift && l->shift != peeks[p].shift && k == 0)
        fail_msg("%s: shift %d", peeks[p].how, l->shift);
      assert_true(l->p <= 1e-3 && l->score > 0.1 && l->kind[0]);
    }
    assert_string_equal(leak_of(n, "next_return")->kind, "copies-target");
    assert_string_equal(leak_of(n, "next_close")->kind, "near-perfect");
    assert_string_equal(leak_of(n, "next_return_noise_1")->kind, "peeks");
    assert_int_equal(n + missing, COUNT_OF(peeks)); /* and nothing else */
    table_free(t);
  }
}

static void honest_columns_are_left_alone(void **state) {
  (void)state;
  for (int64_t seed = 1; seed <= 8; seed++) {
    double momentum = (double)(seed % 4) * 0.5;
    table *t =
        fixture_market(seed % 2 ? 700 : 3000, seed, momentum > 0 ? 3 : 1, momentum, NULL, NULL);
    const double *c = fixture_column(t, "close");
    double *lagged = fixture_column(t, "lagged"), *noise = fixture_column(t, "noise"),
           *walk = fixture_column(t, "walk"), *row = fixture_column(t, "row"),
           *still = fixture_column(t, "still"), *rare = fixture_column(t, "rare");
    rng r;
    rng_init(&r, (uint64_t)seed, RNG_TEST, 1);
    c = fixture_column(t, "close");
    for (size_t i = 1; i < t->n_rows; i++) {
      lagged[i] = c[i - 1];
      noise[i] = rng_normal(&r);
      walk[i] = walk[i - 1] + rng_normal(&r);
      row[i] = (double)i;
      still[i] = 4;
      rare[i] = i % 3 ? NAN : rng_normal(&r);
    }
    size_t n = audit(t);
    for (size_t i = 0; i < n; i++)
      fail_msg("seed %d: false alarm: %s, %s, %.3f, p %g", (int)seed, leaks[i].column,
               leaks[i].kind, leaks[i].score, leaks[i].p);
    table_free(t);
  }
}

/* Three peeks are added to each, and they are all that is found. */
static void real_markets_have_no_other_leaks(void **state) {
  (void)state;
  static const char *const files[] = {"bars/eurusd-1h.csv.gz",   "bars/spy-1h.csv.gz",
                                      "bars/btcusd-1m.csv.gz",   "book/shfe-rb2510-20250605.csv.gz",
                                      "daily/stocknet/AAPL.csv", "daily/stocknet/GMRE.csv"};
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    table *t = fixture_real(files[i]);
    if (!t) skip();
    bars *b = fixture_bars(t);
    size_t n_rows = t->n_rows;
    double *close = mem_array(n_rows, sizeof *close);
    memcpy(close, b->close, n_rows * sizeof *close);
    bars_free(b);
    double *next = fixture_column(t, "next"), *sign = fixture_column(t, "sign"),
           *centred = fixture_column(t, "centred");
    for (size_t r = 1; r + 1 < n_rows; r++) {
      next[r] = close[r + 1];
      sign[r] = (close[r + 1] > close[r]) - (close[r + 1] < close[r]);
      centred[r] = (close[r - 1] + close[r] + close[r + 1]) / 3;
    }
    mem_free(close);
    size_t n = audit(t);
    for (size_t k = 0; k < n; k++)
      if (strcmp(leaks[k].column, "next") != 0 && strcmp(leaks[k].column, "sign") != 0 &&
          strcmp(leaks[k].column, "centred") != 0)
        fail_msg("%s: false alarm: %s, %.3f", files[i], leaks[k].column, leaks[k].score);
    if (n != 3) fail_msg("%s: %zu of 3 peeks were caught", files[i], n);
    table_free(t);
  }
}

/* ---- the future cut off -------------------------------------------------------------------- */

static void nothing_changes_without_the_future(void **state) {
  (void)state;
  static const char *const sources[] = {NULL, "book", "bars/btcusd-1m.csv.gz",
                                        "daily/stocknet/AAPL.csv",
                                        "book/shfe-rb2510-20250605.csv.gz"};
  for (size_t i = 0; i < COUNT_OF(sources); i++) {
    table *t = i == 0   ? fixture_market(1500, 3, 3, 1, NULL, NULL)
               : i == 1 ? fixture_book(1500, 3)
                        : fixture_real(sources[i]);
    if (!t) continue;
    bars_config bc = {.stamp = 0};
    feature_spec fs = {.families = "all", .max_lag = 120};
    label_spec ls = {.dead_band = -1, .horizon = 7, .barrier = 1, .volatility_window = 40};
    for (ls.kind = LABEL_HORIZON; ls.kind <= LABEL_SMOOTH; ls.kind++) {
      ls.smooth_past = ls.kind == LABEL_SMOOTH;
      size_t n_cuts = t->n_rows > 5000 ? 1 : 5;
      if (t->n_rows > 5000 && ls.kind != LABEL_BARRIER) continue;
      expect_ok(audit_recompute(t, &bc, &fs, &ls, n_cuts, &err), &err);
    }
    table_free(t);
  }
}

static void too_few_rows_are_refused(void **state) {
  (void)state;
  table *t = fixture_market(150, 3, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  feature_spec spec = {.families = "all", .max_lag = 120};
  feature_matrix *m;
  size_t n;
  expect_ok(features_compute(&m, b, &spec, &err), &err);
  assert_int_equal(audit_leaks(leaks, MAX_LEAKS, &n, b, m, 1, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "at least"));
  expect_ok(audit_leaks(leaks, MAX_LEAKS, &n, b, NULL, 1, &err), &err); /* columns alone */
  feature_matrix_free(m);
  bars_free(b);
  table_free(t);
}

static garam_status audit_once(void *context, garam_error *error) {
  size_t n;
  return audit_leaks(leaks, MAX_LEAKS, &n, context, NULL, 1, error);
}

static garam_status recompute_once(void *context, garam_error *error) {
  bars_config bc = {.stamp = 0};
  feature_spec fs = {.families = "returns", .max_lag = 3};
  label_spec ls = {.dead_band = -1, .horizon = 2};
  return audit_recompute(context, &bc, &fs, &ls, 1, error);
}

static void survives_want_of_memory(void **state) {
  (void)state;
  table *t = fixture_market(140, 3, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  fixture_fail_each(audit_once, b);
  fixture_fail_each(recompute_once, t);
  bars_free(b);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_way_to_peek_is_caught),
      cmocka_unit_test(honest_columns_are_left_alone),
      cmocka_unit_test(real_markets_have_no_other_leaks),
      cmocka_unit_test(nothing_changes_without_the_future),
      cmocka_unit_test(too_few_rows_are_refused),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
