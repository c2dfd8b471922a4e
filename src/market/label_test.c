#include "market/fixture.h"

static garam_error err;

static labels *label(const bars *b, label_spec spec, size_t train_rows) {
  labels *l;
  expect_ok(labels_compute(&l, b, &spec, train_rows, &err), &err);
  return l;
}

/* Closes whose logs are these, times 0.01. */
static table *path(const double *logs, size_t n) {
  const char *names[] = {"time", "close"};
  double values[200];
  for (size_t i = 0; i < n; i++) {
    values[2 * i] = 60 * (double)i;
    values[2 * i + 1] = exp(0.01 * logs[i]);
  }
  return fixture_table(names, 2, n, values);
}

static void horizon_by_hand(void **state) {
  (void)state;
  double logs[] = {0, 1, 3, 3, 0, 0.5};
  table *t = path(logs, 6);
  bars *b = fixture_bars(t);
  labels *l = label(b, (label_spec){.horizon = 2, .dead_band = 0.015}, 0);
  int expected[] = {LABEL_UP, LABEL_UP, LABEL_DOWN, LABEL_DOWN, -1, -1};
  assert_int_equal(l->n_classes, 3);
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(l->y[i], expected[i]);
    if (i >= 4) {
      assert_true(isnan(l->value[i]) && l->end_row[i] == UINT32_MAX && l->end[i] == INT64_MAX);
      continue;
    }
    assert_true(fabs(l->value[i] - 0.01 * (logs[i + 2] - logs[i])) < 1e-12);
    assert_int_equal(l->end_row[i], i + 2);
    assert_true(l->end[i] == b->known_at[i + 2]);
  }
  labels_free(l);
  l = label(b, (label_spec){.horizon = 1, .dead_band = 0}, 0); /* two classes: no move is down */
  int two[] = {1, 1, 0, 0, 1, -1};
  assert_int_equal(l->n_classes, 2);
  for (size_t i = 0; i < 6; i++) assert_int_equal(l->y[i], two[i]);
  labels_free(l);
  l = label(b, (label_spec){.horizon = 1, .dead_band = -1, .regression = true}, 0);
  assert_int_equal(l->n_classes, 0);
  assert_true(fabs(l->value[1] - 0.02) < 1e-12 && l->y[1] == 0 && l->y[5] == -1);
  labels_free(l);
  bars_free(b);
  table_free(t);
}

static void smooth_by_hand(void **state) {
  (void)state;
  const char *names[] = {"mid"};
  double values[] = {10, 11, 12, 14, 16, 10};
  table *t = fixture_table(names, 1, 6, values);
  bars *b = fixture_bars(t);
  labels *l = label(b, (label_spec){.kind = LABEL_SMOOTH, .horizon = 2, .dead_band = 0.01}, 0);
  assert_true(fabs(l->value[1] - log(13.0 / 11)) < 1e-12);
  assert_int_equal(l->y[3], LABEL_DOWN);
  assert_int_equal(l->end_row[1], 3);
  assert_int_equal(l->y[4], -1);
  assert_true(l->warning[0] == 0);
  labels_free(l);
  l = label(
      b, (label_spec){.kind = LABEL_SMOOTH, .horizon = 2, .dead_band = 0.01, .smooth_past = true},
      0);
  assert_true(fabs(l->value[1] - log(13.0 / 10.5)) < 1e-12);
  assert_int_equal(l->y[0], -1);
  assert_non_null(strstr(l->warning, "leak"));
  labels_free(l);
  bars_free(b);
  table_free(t);
}

static void barriers_by_hand(void **state) {
  (void)state;
  /* moves of +-1: realised volatility 0.01; over 4 rows 0.02; barrier 1.25 wide: 0.025 */
  double logs[] = {0, 1, 0, 1, 4, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0};
  table *t = path(logs, 15);
  bars *b = fixture_bars(t);
  label_spec spec = {.kind = LABEL_BARRIER, .horizon = 4, .barrier = 1.25, .volatility_window = 2};
  labels *l = label(b, spec, 0);
  assert_int_equal(l->y[1], -1); /* no volatility yet */
  assert_int_equal(l->y[2], LABEL_UP);
  assert_int_equal(l->end_row[2], 4); /* touched on row 4, before the horizon */
  assert_true(l->end[2] == b->known_at[4]);
  assert_int_equal(l->y[7], LABEL_FLAT);
  assert_int_equal(l->end_row[7], 11);
  assert_int_equal(l->y[11], -1); /* horizon not over */
  assert_int_equal(l->y[10], LABEL_FLAT);
  labels_free(l);
  bars_free(b);
  table_free(t);
}

/* Against a second writing of the rule, on a market. */
static void barriers_of_a_market(void **state) {
  (void)state;
  table *t = fixture_market(2000, 3, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  label_spec spec = {.kind = LABEL_BARRIER, .horizon = 12, .barrier = 0.7, .volatility_window = 30};
  labels *l = label(b, spec, 0);
  size_t counts[3] = {0};
  for (size_t i = 30; i + 12 < t->n_rows; i++) {
    double sum = 0;
    for (size_t k = 0; k < 30; k++) sum += pow(log(b->close[i - k] / b->close[i - k - 1]), 2);
    double up = b->close[i] * exp(0.7 * sqrt(12 * sum / 30)), down = b->close[i] * b->close[i] / up;
    int y = LABEL_FLAT;
    size_t end = i + 12;
    for (size_t k = 1; k <= 12 && y == LABEL_FLAT; k++) {
      if (b->close[i + k] > up) y = LABEL_UP;
      if (b->close[i + k] < down) y = LABEL_DOWN;
      if (y != LABEL_FLAT) end = i + k;
    }
    assert_int_equal(l->y[i], y);
    assert_int_equal(l->end_row[i], end);
    counts[y]++;
  }
  assert_true(counts[0] > 100 && counts[1] > 100 && counts[2] > 100);
  labels_free(l);
  bars_free(b);
  table_free(t);
}

static void band_is_chosen_on_training_rows_alone(void **state) {
  (void)state;
  table *t = fixture_market(3000, 8, 1, 0, NULL, NULL);
  bars *b = fixture_bars(t);
  label_spec spec = {.horizon = 5, .dead_band = -1};
  labels *l = label(b, spec, 2000);
  size_t counts[3] = {0};
  for (size_t i = 0; i < 1995; i++) counts[l->y[i]]++;
  for (int k = 0; k < 3; k++) assert_true(counts[k] > 570 && counts[k] < 760);
  double band = l->dead_band;
  labels_free(l);
  for (size_t i = 2000; i < 3000; i++) fixture_column(t, "close")[i] *= 1 + 0.5 * (double)(i % 2);
  l = label(b, spec, 2000);
  assert_true(l->dead_band == band);
  labels_free(l);
  /* what was chosen, given, is the same */
  spec.dead_band = band;
  l = label(b, spec, 0);
  assert_true(l->dead_band == band && l->n_classes == 3);
  labels_free(l);
  bars_free(b);
  table_free(t);
}

/* Most moves of a book are none: flat is no move, three classes stay, also when given again. */
static void a_market_that_stands_still(void **state) {
  (void)state;
  table *t = fixture_book(2000, 3);
  bars *b = fixture_bars(t);
  label_spec spec = {.horizon = 1, .dead_band = -1};
  labels *l = label(b, spec, 1000);
  assert_int_equal(l->n_classes, 3);
  assert_true(l->dead_band > 0 && l->dead_band < 1e-6);
  for (size_t i = 0; i + 1 < 2000; i++)
    assert_int_equal(l->y[i], b->close[i + 1] > b->close[i]   ? LABEL_UP
                              : b->close[i + 1] < b->close[i] ? LABEL_DOWN
                                                              : LABEL_FLAT);
  labels_free(l);
  bars_free(b);
  table_free(t);
}

/* The claim of the warning: on a random walk the sign of the last move tells the smoothed label
 * against the past mean, and nothing of the one against the current price. */
static void past_means_leak_on_a_random_walk(void **state) {
  (void)state;
  table *t = fixture_market(30000, 12, 1, 0, NULL, NULL);
  bars *b = fixture_bars(t);
  double share[2];
  for (int past = 0; past < 2; past++) {
    label_spec spec = {
        .kind = LABEL_SMOOTH, .horizon = 5, .dead_band = 0, .smooth_past = past == 1};
    labels *l = label(b, spec, 0);
    size_t right = 0, n = 0;
    for (size_t i = 5; i + 5 < t->n_rows; i++) {
      right += (b->close[i] > b->close[i - 4]) == l->y[i];
      n++;
    }
    share[past] = (double)right / (double)n;
    labels_free(l);
  }
  assert_true(fabs(share[0] - 0.5) < 0.02);
  assert_true(share[1] > 0.6);
  bars_free(b);
  table_free(t);
}

static void refuses_what_cannot_be(void **state) {
  (void)state;
  double logs[20] = {0};
  table *t = path(logs, 20);
  bars *b = fixture_bars(t);
  static const struct {
    label_spec spec;
    size_t train;
    const char *message;
  } cases[] = {
      {{.horizon = 20, .dead_band = -1}, 20, "--horizon 20"},
      {{.horizon = 500, .dead_band = 0.1}, 20, "at least 501"},
      {{.horizon = 0}, 20, "--horizon 0"},
      {{.horizon = 5, .dead_band = -1}, 5, "training rows"},
      {{.kind = LABEL_BARRIER, .horizon = 5, .barrier = 1, .volatility_window = 60},
       20,
       "volatility"},
      {{.kind = LABEL_SMOOTH, .horizon = 11, .smooth_past = true}, 20, "at least 22"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    labels *l;
    assert_int_equal(labels_compute(&l, b, &cases[i].spec, cases[i].train, &err), GARAM_INVALID);
    assert_null(l);
    if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
  }
  bars_free(b);
  table_free(t);
}

static garam_status label_and_free(void *context, garam_error *error) {
  labels *l;
  label_spec spec = {.horizon = 2, .dead_band = -1};
  garam_status status = labels_compute(&l, context, &spec, 50, error);
  if (status == GARAM_OK) labels_free(l);
  return status;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  table *t = fixture_market(60, 2, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  fixture_fail_each(label_and_free, b);
  bars_free(b);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(horizon_by_hand),
      cmocka_unit_test(smooth_by_hand),
      cmocka_unit_test(barriers_by_hand),
      cmocka_unit_test(barriers_of_a_market),
      cmocka_unit_test(band_is_chosen_on_training_rows_alone),
      cmocka_unit_test(a_market_that_stands_still),
      cmocka_unit_test(past_means_leak_on_a_random_walk),
      cmocka_unit_test(refuses_what_cannot_be),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
