#include "market/feature.h"
#include "market/fixture.h"

#include "base/thread.h"

static garam_error err;

static size_t index_of(const feature_matrix *m, const char *name) {
  for (size_t i = 0; i < m->n_features; i++)
    if (strcmp(m->names[i], name) == 0) return i;
  fail_msg("no feature %s", name);
  return 0;
}

static float value_of(const feature_matrix *m, const char *name, size_t row) {
  return m->x[row * m->n_features + index_of(m, name)];
}

static feature_matrix *all_features(const bars *b) {
  feature_spec spec = {.families = "all", .max_lag = 1000};
  feature_matrix *m;
  expect_ok(features_compute(&m, b, &spec, &err), &err);
  return m;
}

static void near(double found, double expected) {
  if (!(fabs(found - expected) <= 1e-6 * (1 + fabs(expected))))
    fail_msg("%.9g, expected %.9g", found, expected);
}

/* Written out from the definitions, in another shape than the features are. */
static void values_are_those_of_the_definitions(void **state) {
  (void)state;
  table *t = fixture_market(200, 4, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  feature_matrix *m = all_features(b);
  const size_t at = 150;
  const double *c = b->close, *h = b->high, *l = b->low, *o = b->open, *v = b->volume;
  near(value_of(m, "return_1", at), log(c[150]) - log(c[149]));
  near(value_of(m, "return_20", at), log(c[150]) - log(c[130]));
  near(value_of(m, "body", at), log(c[150]) - log(o[150]));
  double squares = 0, mean = 0, park = 0, gk = 0, volume = 0, up = 0;
  for (size_t i = 131; i <= 150; i++) {
    squares += pow(log(c[i]) - log(c[i - 1]), 2) / 20;
    mean += c[i] / 20;
    park += pow(log(h[i]) - log(l[i]), 2) / (4 * log(2)) / 20;
    gk += (0.5 * pow(log(h[i] / l[i]), 2) - (2 * log(2) - 1) * pow(log(c[i] / o[i]), 2)) / 20;
    volume += v[i] / 20;
    up += c[i] > c[i - 1] ? v[i] : -v[i];
  }
  near(value_of(m, "volatility_20", at), sqrt(squares));
  near(value_of(m, "average_distance_20", at), log(c[150] / mean));
  near(value_of(m, "parkinson_20", at), sqrt(park));
  near(value_of(m, "garman_klass_20", at), sqrt(gk));
  near(value_of(m, "volume_ratio_20", at), log((v[150] / volume + 0.1) / 1.1));
  near(value_of(m, "signed_volume_20", at), up / (20 * volume));
  double spread = 0;
  for (size_t i = 131; i <= 150; i++) spread += pow(c[i] - mean, 2) / 20;
  near(value_of(m, "bollinger_b_20", at),
       (c[150] - (mean - 2 * sqrt(spread))) / (4 * sqrt(spread)) - 0.5);
  near(value_of(m, "bollinger_width_20", at), 4 * sqrt(spread) / mean);
  /* exponential means as weights; RSI over all of the past: what is cut is below the tolerance
   * that the files state */
  double fast = 0, slow = 0, gain = 0, loss = 0;
  for (size_t k = 0; k <= 150; k++) {
    fast += 2.0 / 13 * pow(11.0 / 13, (double)k) * c[150 - k];
    slow += 2.0 / 27 * pow(25.0 / 27, (double)k) * c[150 - k];
  }
  slow += pow(25.0 / 27, 151) * c[0];
  fast += pow(11.0 / 13, 151) * c[0];
  assert_true(fabs(value_of(m, "macd_12_26", at) - (fast - slow) / c[150]) < 2e-5);
  for (size_t i = 1; i <= 150; i++) {
    double step = c[i] - c[i - 1];
    gain += (fmax(step, 0) - gain) / 14;
    loss += (fmax(-step, 0) - loss) / 14;
  }
  assert_true(fabs(value_of(m, "rsi_14", at) - (0.5 - loss / (gain + loss))) < 0.02);
  double top = 0, bottom = 1e9;
  for (size_t i = 137; i <= 150; i++) top = fmax(top, h[i]), bottom = fmin(bottom, l[i]);
  near(value_of(m, "stochastic_14", at), (c[150] - bottom) / (top - bottom) - 0.5);
  near(value_of(m, "day_sin", at), sin(2 * M_PI * 150 / 1440));
  near(value_of(m, "pause_20", at), 0);
  feature_matrix_free(m);
  bars_free(b);
  table_free(t);
}

/* Cont, Kukanov and Stoikov's events, one of each kind. */
static void order_flow_by_hand(void **state) {
  (void)state;
  const char *names[] = {"bid", "ask", "bid_size", "ask_size"};
  static const struct {
    double before[4], after[4], flow;
  } cases[] = {
      {{10, 11, 5, 5}, {10, 11, 8, 5}, 3},    /* bids added */
      {{10, 11, 5, 5}, {10, 11, 5, 9}, -4},   /* asks added */
      {{10, 11, 5, 5}, {10.5, 11, 2, 5}, 2},  /* a better bid */
      {{10, 11, 5, 5}, {9, 11, 7, 5}, -5},    /* the bid is gone */
      {{10, 11, 5, 6}, {10, 12, 5, 3}, 6},    /* the ask is gone */
      {{10, 11, 5, 6}, {10, 10.5, 5, 3}, -3}, /* a better ask */
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    double values[8];
    memcpy(values, cases[i].before, sizeof cases[i].before);
    memcpy(values + 4, cases[i].after, sizeof cases[i].after);
    table *t = fixture_table(names, 4, 2, values);
    bars *b = fixture_bars(t);
    static const char *const wanted[] = {"flow_imbalance_1", "imbalance", "micro_price"};
    char *list[3];
    for (int k = 0; k < 3; k++) list[k] = mem_strdup(wanted[k]);
    feature_matrix *m;
    expect_ok(features_compute_named(&m, b, list, 3, &err), &err);
    const double *x = cases[i].after;
    double depth = 0.5 * (x[2] + x[3]), imbalance = (x[2] - x[3]) / (x[2] + x[3]);
    near(m->x[3], cases[i].flow / depth);
    near(m->x[4], imbalance);
    double micro = (x[0] * x[3] + x[1] * x[2]) / (x[2] + x[3]), mid = 0.5 * (x[0] + x[1]);
    near(m->x[5], (micro - mid) / mid);
    assert_true(isnan(m->x[0]));
    feature_matrix_free(m);
    for (int k = 0; k < 3; k++) mem_free(list[k]);
    bars_free(b);
    table_free(t);
  }
}

/* Bits at row t from a table that holds only the rows of its look back (read out of its bounds is
 * what the sanitizer sees), feature by feature, each with its own look back. */
static void the_look_back_is_all_that_is_read(void **state) {
  (void)state;
  for (int kind = 0; kind < 2; kind++) {
    table *t = kind ? fixture_book(300, 9) : fixture_market(300, 9, 3, 1, NULL, NULL);
    bars *b = fixture_bars(t);
    feature_matrix *m = all_features(b);
    for (size_t f = 0; f < m->n_features; f++) {
      size_t look_back, rows[300];
      expect_ok(features_look_back(&look_back, &m->names[f], 1, &err), &err);
      for (size_t row = 298; row > 250; row -= 7) {
        for (size_t i = 0; i < look_back; i++) rows[i] = row + 1 - look_back + i;
        table *part;
        feature_matrix *one;
        expect_ok(table_take(&part, t, rows, look_back, &err), &err);
        bars *pb = fixture_bars(part);
        expect_ok(features_compute_named(&one, pb, &m->names[f], 1, &err), &err);
        if (memcmp(&one->x[look_back - 1], &m->x[row * m->n_features + f], sizeof(float)) != 0)
          fail_msg("%s at row %zu: %.9g from its look back, %.9g from all", m->names[f], row,
                   (double)one->x[look_back - 1], (double)m->x[row * m->n_features + f]);
        assert_false(isnan(one->x[look_back - 1]));
        feature_matrix_free(one);
        bars_free(pb);
        table_free(part);
      }
      /* and it is not longer than needed: the row before is missing, the first is there */
      assert_true(look_back == 1 || isnan(m->x[(look_back - 2) * m->n_features + f]));
      assert_false(isnan(m->x[(look_back - 1) * m->n_features + f]));
    }
    feature_matrix_free(m);
    bars_free(b);
    table_free(t);
  }
}

/* Prices in other units give the same features. */
static void nothing_depends_on_the_unit_of_price(void **state) {
  (void)state;
  for (int kind = 0; kind < 2; kind++) {
    table *t = kind ? fixture_book(300, 5) : fixture_market(300, 5, 3, 1, NULL, NULL);
    bars *b = fixture_bars(t);
    feature_matrix *m = all_features(b);
    bars_free(b);
    for (size_t i = 0; i < t->n_columns; i++)
      if (t->columns[i].type == COLUMN_F64 && !strstr(t->columns[i].name, "ize") &&
          strcmp(t->columns[i].name, "volume") != 0)
        for (size_t r = 0; r < t->n_rows; r++) t->columns[i].f64[r] *= 1024;
    b = fixture_bars(t);
    feature_matrix *scaled = all_features(b);
    for (size_t i = 0; i < m->n_rows * m->n_features; i++)
      if (!(fabsf(m->x[i] - scaled->x[i]) <= 1e-6f * (1e-3f + fabsf(m->x[i]))) &&
          m->x[i] == m->x[i])
        fail_msg("%s: %g, then %g", m->names[i % m->n_features], (double)m->x[i],
                 (double)scaled->x[i]);
    feature_matrix_free(m);
    feature_matrix_free(scaled);
    bars_free(b);
    table_free(t);
  }
}

static void threads_change_nothing(void **state) {
  (void)state;
  table *t = fixture_market(9000, 6, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  thread_set_count(1);
  feature_matrix *one = all_features(b);
  thread_set_count(3);
  feature_matrix *three = all_features(b);
  thread_set_count(0);
  assert_memory_equal(one->x, three->x, one->n_rows * one->n_features * sizeof(float));
  feature_matrix_free(one);
  feature_matrix_free(three);
  bars_free(b);
  table_free(t);
}

/* A price that stands still, and an empty volume, give numbers. */
static void still_markets_have_values(void **state) {
  (void)state;
  const char *names[] = {"time", "open", "high", "low", "close", "volume"};
  double values[6 * 200];
  for (size_t r = 0; r < 200; r++) {
    values[r * 6] = (double)r;
    for (size_t k = 1; k < 5; k++) values[r * 6 + k] = 7;
    values[r * 6 + 5] = 0;
  }
  table *t = fixture_table(names, 6, 200, values);
  bars *b = fixture_bars(t);
  feature_matrix *m = all_features(b);
  for (size_t i = 0; i < m->n_features; i++)
    if (!isfinite(m->x[199 * m->n_features + i])) fail_msg("%s is no number", m->names[i]);
  feature_matrix_free(m);
  bars_free(b);
  table_free(t);
}

static void families_and_columns_as_asked(void **state) {
  (void)state;
  table *t = fixture_market(300, 2, 3, 1, NULL, NULL);
  double *extra = fixture_column(t, "sentiment");
  for (size_t i = 0; i < 300; i++) extra[i] = (double)i;
  extra[7] = NAN;
  bars *b = fixture_bars(t);
  feature_matrix *m;
  feature_spec spec = {.families = "returns, oscillator", .max_lag = 20, .raw_columns = true};
  expect_ok(features_compute(&m, b, &spec, &err), &err);
  index_of(m, "return_10");
  index_of(m, "stochastic_14");
  assert_true(value_of(m, "raw:sentiment", 9) == 9 && isnan(value_of(m, "raw:sentiment", 7)));
  index_of(m, "raw:p_up"); /* the posterior has no role: asked for, it is a column like others */
  for (size_t i = 0; i < m->n_features; i++) {
    assert_true(strcmp(m->names[i], "rsi_14") != 0 && strcmp(m->names[i], "return_60") != 0);
    assert_true(strcmp(m->names[i], "raw:close") != 0 && strcmp(m->names[i], "raw:volume") != 0);
  }
  assert_int_equal(m->warmup, 20);
  assert_memory_equal(m->known_at, b->known_at, 300 * sizeof(int64_t));
  /* the same by names, in another order */
  char *names[] = {m->names[3], m->names[0]};
  feature_matrix *named;
  expect_ok(features_compute_named(&named, b, names, 2, &err), &err);
  assert_true(named->x[100 * 2 + 1] == m->x[100 * m->n_features]);
  assert_true(named->x[100 * 2] == m->x[100 * m->n_features + 3]);
  feature_matrix_free(named);
  feature_matrix_free(m);
  bars_free(b);
  table_free(t);
}

static void refuses_what_cannot_be(void **state) {
  (void)state;
  table *t = fixture_market(50, 2, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  static const struct {
    const char *families, *message;
    int max_lag;
  } cases[] = {
      {"retruns", "did you mean \"returns\"", 10},
      {"quote", "spread", 10},
      {"oscillator", "--max-lag", 0},
      {"none", "no features", 10},
      {"all", "look back over 104", 200},
  };
  feature_matrix *m;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    feature_spec spec = {.max_lag = cases[i].max_lag};
    snprintf(spec.families, sizeof spec.families, "%s", cases[i].families);
    assert_int_not_equal(features_compute(&m, b, &spec, &err), GARAM_OK);
    assert_null(m);
    if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
  }
  static const char *const wrong[] = {"imbalance", "no_such", "raw:absent"};
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    char *name = mem_strdup(wrong[i]);
    assert_int_equal(features_compute_named(&m, b, &name, 1, &err), GARAM_MISMATCH);
    assert_non_null(strstr(err.message, i == 2 ? "absent" : wrong[i]));
    mem_free(name);
  }
  bars_free(b);
  table_free(t);
}

static garam_status compute_and_free(void *context, garam_error *error) {
  feature_spec spec = {.families = "all", .max_lag = 20, .raw_columns = true};
  feature_matrix *m;
  garam_status status = features_compute(&m, context, &spec, error);
  if (status == GARAM_OK) feature_matrix_free(m);
  return status;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  table *t = fixture_market(60, 2, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  fixture_fail_each(compute_and_free, b);
  bars_free(b);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_those_of_the_definitions),
      cmocka_unit_test(order_flow_by_hand),
      cmocka_unit_test(the_look_back_is_all_that_is_read),
      cmocka_unit_test(nothing_depends_on_the_unit_of_price),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(still_markets_have_values),
      cmocka_unit_test(families_and_columns_as_asked),
      cmocka_unit_test(refuses_what_cannot_be),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
