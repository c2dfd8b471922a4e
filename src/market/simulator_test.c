#include "market/fixture.h"

static garam_error err;

enum { OPEN = 1, HIGH, LOW, CLOSE, VOLUME, P_DOWN, P_FLAT, P_UP };

static int class_of(const table *t, size_t row, double band) {
  const double *close = t->columns[CLOSE].f64;
  double move = log(close[row + 1] / close[row]);
  return move > band ? LABEL_UP : move < -band ? LABEL_DOWN : LABEL_FLAT;
}

static double odds(const table *t, size_t row, int class) {
  return t->columns[P_DOWN + class].f64[row];
}

static void bars_are_possible(void **state) {
  (void)state;
  table *t = fixture_market(5000, 1, 3, 1, NULL, NULL);
  const double *o = t->columns[OPEN].f64, *h = t->columns[HIGH].f64, *l = t->columns[LOW].f64,
               *c = t->columns[CLOSE].f64, *v = t->columns[VOLUME].f64;
  double squares = 0;
  for (size_t i = 0; i < t->n_rows; i++) {
    assert_true(h[i] >= fmax(o[i], c[i]) && l[i] <= fmin(o[i], c[i]) && l[i] > 0 && v[i] > 0);
    assert_true(i == 0 || o[i] == c[i - 1]);
    double sum = odds(t, i, 0) + odds(t, i, 1) + odds(t, i, 2);
    assert_true(fabs(sum - 1) < 1e-12);
    squares += pow(log(c[i] / o[i]), 2);
  }
  /* the volatility asked for */
  assert_true(fabs(sqrt(squares / (double)t->n_rows) / 0.001 - 1) < 0.1);
  table_free(t);
}

/* Pearson's statistic of outcomes against the stated odds, over rows that `keep` keeps, in bins
 * of the odds: if the posteriors are exact, each term is a standard normal squared. */
static void check_calibration(const table *t, double band, const double *order, double from,
                              const char *what) {
  enum { BINS = 20 };
  double seen[3][BINS] = {{0}}, expected[3][BINS] = {{0}}, variance[3][BINS] = {{0}};
  for (size_t i = 100; i + 1 < t->n_rows; i++) {
    if (order && !(order[i] > from)) continue;
    int y = class_of(t, i, band);
    for (int k = 0; k < 3; k++) {
      double p = odds(t, i, k);
      int bin = (int)(p * BINS * 0.999999);
      seen[k][bin] += y == k;
      expected[k][bin] += p;
      variance[k][bin] += p * (1 - p);
    }
  }
  double statistic = 0;
  int terms = 0;
  for (int k = 0; k < 3; k++)
    for (int bin = 0; bin < BINS; bin++) {
      if (variance[k][bin] < 20) continue;
      double off = seen[k][bin] - expected[k][bin];
      statistic += off * off / variance[k][bin];
      terms++;
    }
  /* Terms are dependent across classes: allow a wide tail of the chi-square. */
  if (terms < 20 || statistic > terms + 5 * sqrt(2.0 * terms))
    fail_msg("%s: chi-square %.1f over %d terms", what, statistic, terms);
}

static void odds_are_calibrated(void **state) {
  (void)state;
  static const struct {
    int regimes;
    double momentum;
  } cases[] = {{3, 1}, {2, 0.7}, {6, 1.5}, {1, 1}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    double bayes, band;
    table *t =
        fixture_market(60000, 10 + (int64_t)i, cases[i].regimes, cases[i].momentum, &bayes, &band);
    char what[64];
    snprintf(what, sizeof what, "regimes %d", cases[i].regimes);
    check_calibration(t, band, NULL, 0, what);
    size_t right = 0;
    for (size_t r = 0; r + 1 < t->n_rows; r++) {
      int best = 0;
      for (int k = 1; k < 3; k++)
        if (odds(t, r, k) > odds(t, r, best)) best = k;
      right += class_of(t, r, band) == best;
    }
    double n = (double)(t->n_rows - 1), share = (double)right / n;
    assert_true(fabs(share - bayes) < 4 * sqrt(bayes * (1 - bayes) / n));
    table_free(t);
  }
}

/* Were there more to learn from shadows or volume than the odds know, then the odds would be
 * off on the rows where these are large. */
static void high_low_and_volume_add_nothing(void **state) {
  (void)state;
  double band;
  table *t = fixture_market(60000, 21, 3, 1, NULL, &band);
  double *upper = fixture_column(t, "upper"), *lower = fixture_column(t, "lower");
  for (size_t i = 0; i < t->n_rows; i++) {
    double o = t->columns[OPEN].f64[i], c = t->columns[CLOSE].f64[i];
    upper[i] = log(t->columns[HIGH].f64[i] / fmax(o, c));
    lower[i] = log(fmin(o, c) / t->columns[LOW].f64[i]);
  }
  check_calibration(t, band, upper, 0.0004, "long upper shadows");
  check_calibration(t, band, lower, 0.0004, "long lower shadows");
  check_calibration(t, band, t->columns[VOLUME].f64, 1500, "high volume");
  table_free(t);
}

static void defaults_leave_room_to_learn(void **state) {
  (void)state;
  double bayes, band, counts[3] = {0};
  table *t = fixture_market(50000, 5, 3, 1, &bayes, &band);
  for (size_t i = 0; i + 1 < t->n_rows; i++) counts[class_of(t, i, band)]++;
  for (int k = 0; k < 3; k++) {
    double share = counts[k] / (double)(t->n_rows - 1);
    assert_true(share > 0.28 && share < 0.40);
  }
  assert_true(bayes > 0.55 && bayes < 0.68);
  table_free(t);
}

static void without_momentum_it_is_a_random_walk(void **state) {
  (void)state;
  simulate_config c = {0};
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.rows = 40000;
  c.regimes = 1;
  c.momentum = 0;
  c.clustering = 0;
  c.posterior = true;
  double bayes, band;
  table *t;
  expect_ok(simulate(&t, &c, &bayes, &band, &err), &err);
  assert_true(fabs(bayes - 1.0 / 3) < 0.01);
  const double *close = t->columns[CLOSE].f64;
  double product = 0, squares = 0;
  for (size_t i = 1; i + 1 < t->n_rows; i++) {
    double now = log(close[i] / close[i - 1]), next = log(close[i + 1] / close[i]);
    product += now * next;
    squares += now * now;
    assert_true(odds(t, i, LABEL_UP) == odds(t, 0, LABEL_UP));
  }
  assert_true(fabs(product / squares) < 4 / sqrt((double)t->n_rows));
  assert_true(fabs(sqrt(squares / (double)t->n_rows) / c.volatility - 1) < 0.02);
  table_free(t);
}

static void the_future_changes_nothing(void **state) {
  (void)state;
  table *whole = fixture_market(3000, 7, 3, 1, NULL, NULL);
  table *part = fixture_market(1000, 7, 3, 1, NULL, NULL);
  table *other = fixture_market(1000, 8, 3, 1, NULL, NULL);
  for (size_t c = OPEN; c <= P_UP; c++)
    assert_memory_equal(whole->columns[c].f64, part->columns[c].f64, 1000 * sizeof(double));
  assert_memory_not_equal(other->columns[CLOSE].f64, part->columns[CLOSE].f64,
                          1000 * sizeof(double));
  table_free(whole);
  table_free(part);
  table_free(other);
}

/* The label of the returned dead band is the simulator's class, and nothing else. */
static void the_label_is_the_class(void **state) {
  (void)state;
  double band;
  table *t = fixture_market(2000, 3, 3, 1, NULL, &band);
  bars *b = fixture_bars(t);
  label_spec spec = {.horizon = 1, .dead_band = band};
  labels *l;
  expect_ok(labels_compute(&l, b, &spec, 0, &err), &err);
  for (size_t i = 0; i + 1 < t->n_rows; i++) assert_int_equal(l->y[i], class_of(t, i, band));
  labels_free(l);
  bars_free(b);
  table_free(t);
}

static void refuses_what_is_out_of_range(void **state) {
  (void)state;
  simulate_config c = {0};
  double bayes, band;
  table *t;
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.regimes = 7;
  assert_int_equal(simulate(&t, &c, &bayes, &band, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "--regimes"));
  c.regimes = 2;
  c.rows = 1;
  assert_int_equal(simulate(&t, &c, &bayes, &band, &err), GARAM_INVALID);
  c.rows = 20000;
  c.volatility = 0.1;
  c.momentum = 3;
  c.persistence = 0.9999;
  assert_int_equal(simulate(&t, &c, &bayes, &band, &err), GARAM_NUMERIC);
  assert_null(t);
}

static garam_status simulate_small(void *context, garam_error *error) {
  double bayes, band;
  table *t;
  garam_status status = simulate(&t, context, &bayes, &band, error);
  if (status == GARAM_OK) table_free(t);
  return status;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  simulate_config c = {0};
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.rows = 10;
  fixture_fail_each(simulate_small, &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bars_are_possible),
      cmocka_unit_test(odds_are_calibrated),
      cmocka_unit_test(high_low_and_volume_add_nothing),
      cmocka_unit_test(defaults_leave_room_to_learn),
      cmocka_unit_test(without_momentum_it_is_a_random_walk),
      cmocka_unit_test(the_future_changes_nothing),
      cmocka_unit_test(the_label_is_the_class),
      cmocka_unit_test(refuses_what_is_out_of_range),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
