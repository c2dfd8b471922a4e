/* Evaluations: the rows that may be scored, baselines worked out again by hand, chance where there
 * is nothing to learn, and nearly the best possible where the odds are known. */
#include "learn/pipeline.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "learn/linear.h"
#include "learn/pipeline_inner.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state) {
  (void)state;
  thread_set_count(1);
  return 0;
}

static table *market(int64_t rows, int64_t seed, bool walk, bool posterior) {
  simulate_config c;
  table *t;
  garam_error err;
  double bayes, band;
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.rows = rows, c.seed = seed, c.posterior = posterior;
  if (walk) c.regimes = 1, c.momentum = 0;
  if (simulate(&t, &c, &bayes, &band, &err) != GARAM_OK) fail_msg("%s", err.message);
  return t;
}

static pipeline *fit(const table *t, const pipeline_config *config, int window) {
  pipeline *p;
  garam_error err = {0};
  linear_config c;
  opt_defaults(linear_ops.options, linear_ops.n_options, &c);
  c.window = window;
  if (pipeline_fit(&p, t, NULL, config, &linear_ops, &c, NULL, NULL, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  return p;
}

static evaluate_config settings(void) {
  evaluate_config c = {.seed = 1};
  opt_defaults(evaluate_options, evaluate_n_options, &c);
  c.bootstrap = 200;
  return c;
}

static json_t *evaluate(pipeline *p, const table *t, const evaluate_config *c) {
  json_t *result;
  garam_error err = {0};
  if (pipeline_evaluate(&result, p, t, c, &err) != GARAM_OK) fail_msg("%s", err.message);
  return result;
}

/* "a.b.c" of an object; NaN when it is no number. */
static double at(const json_t *object, const char *path) {
  char key[64];
  while (*path) {
    size_t n = strcspn(path, ".");
    snprintf(key, sizeof key, "%.*s", (int)n, path);
    object = json_object_get(object, key);
    path += n + (path[n] == '.');
  }
  return json_is_number(object) ? json_number_value(object) : (double)NAN;
}

static void near(double a, double b, double tolerance) {
  if (!(fabs(a - b) <= tolerance)) fail_msg("%.12g, expected %.12g", a, b);
}

static void test_market(void **state) {
  (void)state;
  table *t = market(6000, 3, false, false);
  pipeline_config config = pipeline_config_default();
  config.label.horizon = 3;
  pipeline *p = fit(t, &config, 1);
  evaluate_config c = settings();
  json_t *r = evaluate(p, t, &c), *again = evaluate(p, t, &c);
  assert_true(json_equal(r, again));
  json_decref(again);
  static const char *const keys[] = {"rows",
                                     "accuracy",
                                     "macro_f1",
                                     "log_loss",
                                     "brier",
                                     "calibration_error",
                                     "coverage_at_95",
                                     "directional_coverage_at_95",
                                     "baselines.majority.accuracy",
                                     "baselines.majority.macro_f1",
                                     "baselines.persistence.accuracy",
                                     "baselines.persistence.macro_f1",
                                     "baselines.momentum.accuracy",
                                     "baselines.momentum.macro_f1",
                                     "backtest.sharpe",
                                     "backtest.deflated_sharpe",
                                     "backtest.max_drawdown",
                                     "backtest.turnover",
                                     "backtest.net_return",
                                     "backtest.buy_and_hold",
                                     "conformal.coverage",
                                     "conformal.mean_size",
                                     "direction.rows",
                                     "direction.accuracy",
                                     "direction.majority"};
  for (size_t i = 0; i < COUNT_OF(keys); i++)
    if (isnan(at(r, keys[i]))) fail_msg("no number \"%s\"", keys[i]);
  assert_false(json_is_true(json_object_get(r, "trained_rows_included")));
  assert_int_equal((int)at(r, "rows"), (int)p->test.rows);
  const json_t *interval = json_object_get(json_object_get(r, "interval"), "accuracy");
  assert_true(json_number_value(json_array_get(interval, 0)) < at(r, "accuracy"));
  assert_true(json_number_value(json_array_get(interval, 1)) > at(r, "accuracy"));

  /* The scored rows, found again, and everything worked out from plain arrays. */
  dataset *d;
  size_t n = 0;
  assert_int_equal(pipeline_dataset(&d, p, t, true, NULL), GARAM_OK);
  uint32_t *rows = calloc(d->n_rows, sizeof *rows);
  for (size_t i = 0; i < d->n_rows; i++)
    if (d->usable[i] && d->y[i] >= 0 && d->known_at[i] >= p->test.begin) rows[n++] = (uint32_t)i;
  assert_int_equal(n, p->test.rows);
  assert_true(p->valid.label_end < d->known_at[rows[0]]);
  float *out = calloc(3 * n, sizeof *out);
  assert_int_equal(pipeline_predict(p, d, (row_set){rows, n}, out, NULL), GARAM_OK);
  const double *close = t->columns[table_find(t, "close")].f64;
  size_t hits = 0, persisted = 0, moved = 0, majority = 0, common = 0;
  size_t directed = 0, rose = 0, foretold = 0;
  for (size_t k = 1; k < 3; k++)
    if (p->class_counts[k] > p->class_counts[common]) common = k;
  for (size_t i = 0; i < n; i++) {
    uint32_t row = rows[i];
    hits += metric_top(out + 3 * i, 3) == d->y[row];
    majority += (int32_t)common == d->y[row];
    if (d->y[row] != LABEL_FLAT) {
      bool up = d->y[row] == LABEL_UP;
      directed++;
      rose += up;
      foretold += (out[3 * i + 2] > out[3 * i]) == up;
    }
    /* Horizon 3: the outcome known at a row is that of the row three before, not a later one. */
    assert_true(d->label_end[row - 3] <= d->known_at[row]);
    assert_true(d->label_end[row - 2] > d->known_at[row]);
    persisted += d->y[row - 3] == d->y[row];
    double move = log(close[row] / close[row - 3]);
    moved += (move > p->dead_band ? 2 : move < -p->dead_band ? 0 : 1) == d->y[row];
  }
  near(at(r, "accuracy"), (double)hits / (double)n, 1e-12);
  near(at(r, "baselines.majority.accuracy"), (double)majority / (double)n, 1e-12);
  near(at(r, "baselines.persistence.accuracy"), (double)persisted / (double)n, 1e-12);
  near(at(r, "baselines.momentum.accuracy"), (double)moved / (double)n, 1e-12);
  near(at(r, "direction.rows"), (double)directed, 0);
  near(at(r, "direction.accuracy"), (double)foretold / (double)directed, 1e-12);
  near(at(r, "direction.majority"),
       fmax((double)rose / (double)directed, 1 - (double)rose / (double)directed), 1e-12);
  const json_t *detail = json_object_get(r, "detail");
  size_t counted = 0;
  for (size_t i = 0; i < 9; i++)
    counted += (size_t)json_integer_value(
        json_array_get(json_array_get(json_object_get(detail, "confusion"), i / 3), i % 3));
  assert_int_equal(counted, n);
  assert_true(json_array_size(json_object_get(detail, "coverage")) == 20);
  near(at(json_array_get(json_object_get(detail, "coverage"), 19), "accuracy"), at(r, "accuracy"),
       1e-12);
  size_t points = json_array_size(json_object_get(json_object_get(detail, "equity"), "strategy"));
  assert_int_equal(points, 400);
  near(json_number_value(json_array_get(
           json_object_get(json_object_get(detail, "equity"), "strategy"), points - 1)),
       1 + at(r, "backtest.net_return"), 1e-9);
  json_decref(r);

  /* All rows: said, and warned of. */
  c.all_rows = true;
  r = evaluate(p, t, &c);
  assert_true(json_is_true(json_object_get(r, "trained_rows_included")));
  assert_non_null(json_string_value(json_object_get(r, "warning")));
  assert_true(at(r, "rows") > 2 * (double)n);
  json_decref(r);
  c.all_rows = false;

  /* The same prices in a longer file are not the same file, but they are the same time. */
  table *longer = market(7000, 3, false, false);
  r = evaluate(p, longer, &c);
  assert_true(at(r, "rows") > (double)n + 900 && at(r, "rows") < (double)n + 1020);
  assert_non_null(strstr(json_string_value(json_object_get(r, "warning")), "left out"));
  json_decref(r);
  table *head;
  garam_error err;
  assert_int_equal(table_head(&head, t, 3000, &err), GARAM_OK);
  assert_int_equal(pipeline_evaluate(&r, p, head, &c, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "--all-rows"));
  table_free(head);
  table_free(longer);
  free(rows);
  free(out);
  dataset_free(d);
  pipeline_free(p);
  table_free(t);
}

/* Nothing to learn: the model does not beat the best constant answer by more than luck. */
static void test_chance(void **state) {
  (void)state;
  evaluate_config c = settings();
  for (int shuffled = 0; shuffled < 2; shuffled++) {
    table *t = market(12000, 8, !shuffled, true);
    pipeline_config config = pipeline_config_default();
    config.shuffle_target = shuffled;
    pipeline *p = fit(t, &config, 1);
    json_t *r = evaluate(p, t, &c);
    double n = at(r, "rows"), over = at(r, "accuracy") - at(r, "baselines.majority.accuracy");
    if (!(fabs(over) < 4 * sqrt(0.5 / n))) fail_msg("%g over the majority on chance", over);
    assert_true(at(r, "log_loss") > at(r, "baselines.majority.log_loss") - 0.01);
    json_decref(r);
    pipeline_free(p);
    table_free(t);
  }
}

/* Something to learn, and its limit known. */
static void test_bayes(void **state) {
  (void)state;
  evaluate_config c = settings();
  table *t = market(20000, 1, false, true);
  pipeline_config config = pipeline_config_default();
  pipeline *p = fit(t, &config, 1);
  json_t *r = evaluate(p, t, &c);
  assert_true(at(r, "accuracy") > at(r, "baselines.majority.accuracy"));
  assert_true(at(r, "share_of_bayes") > 0.9 && at(r, "share_of_bayes") < 1.03);
  assert_true(at(r, "calibration_error") < 0.05);
  assert_true(fabs(at(r, "conformal.coverage") - 0.95) < 0.02);
  json_decref(r);
  pipeline_free(p);
  table_free(t);
}

static void test_market_values(void **state) {
  (void)state;
  table *t = market(5000, 2, false, false);
  pipeline_config config = pipeline_config_default();
  config.task = TASK_REGRESSION;
  pipeline *p = fit(t, &config, 1);
  evaluate_config c = settings();
  json_t *r = evaluate(p, t, &c);
  static const char *const keys[] = {"mse",
                                     "mae",
                                     "r2",
                                     "baselines.mean.mse",
                                     "baselines.no_change.mae",
                                     "baselines.persistence.mse",
                                     "baselines.momentum.r2",
                                     "conformal.coverage",
                                     "backtest.net_return"};
  for (size_t i = 0; i < COUNT_OF(keys); i++)
    if (isnan(at(r, keys[i]))) fail_msg("no number \"%s\"", keys[i]);
  assert_true(at(r, "mse") < at(r, "baselines.persistence.mse"));
  assert_true(fabs(at(r, "conformal.coverage") - 0.95) < 0.06);
  json_decref(r);
  pipeline_free(p);
  table_free(t);
}

/* ---- plain tables -------------------------------------------------------------------------- */

static table *plain(uint64_t seed, bool timed) {
  table *t;
  column *c;
  rng r;
  enum { N = 900 };
  rng_init(&r, seed, RNG_TEST, 0);
  assert_int_equal(table_new(&t, "plain", N, NULL), GARAM_OK);
  t->time_column = -1;
  assert_int_equal(table_add_column(&c, t, "x", COLUMN_F64, NULL), GARAM_OK);
  double *x = c->f64;
  assert_int_equal(table_add_column(&c, t, "y", COLUMN_I64, NULL), GARAM_OK);
  int64_t *y = c->i64;
  for (size_t i = 0; i < N; i++) {
    x[i] = rng_normal(&r);
    y[i] = x[i] + rng_normal(&r) > 0.5;
  }
  if (!timed) return t;
  assert_int_equal(table_add_column(&c, t, "when", COLUMN_TIME, NULL), GARAM_OK);
  for (size_t i = 0; i < N; i++) c->i64[i] = (int64_t)i * 1000000000;
  t->time_column = 2;
  return t;
}

static void test_plain(void **state) {
  (void)state;
  evaluate_config c = settings();
  for (int timed = 0; timed < 2; timed++) {
    table *t = plain(1, timed), *fresh = plain(2, timed);
    pipeline_config config = pipeline_config_default();
    snprintf(config.target, sizeof config.target, "y");
    config.task = TASK_BINARY;
    pipeline *p = fit(t, &config, 1);
    json_t *r = evaluate(p, t, &c);
    assert_int_equal((int)at(r, "rows"), (int)p->test.rows);
    assert_true(at(r, "rows") < 0.2 * 900);
    assert_true(at(r, "auc") > 0.7 && at(r, "auc") < 0.95);
    assert_true(at(r, "accuracy") > at(r, "baselines.majority.accuracy"));
    assert_true(isnan(at(r, "baselines.persistence.accuracy")) == !timed);
    assert_true(json_is_null(json_object_get(json_object_get(r, "baselines"), "momentum")));
    assert_null(json_object_get(r, "backtest"));
    json_decref(r);
    garam_error err;
    if (timed) { /* other numbers of the same time: what is not after it is left out */
      r = evaluate(p, fresh, &c);
      assert_int_equal((int)at(r, "rows"), (int)p->test.rows);
    } else {
      r = evaluate(p, fresh, &c);
      assert_int_equal((int)at(r, "rows"), 900);
    }
    json_decref(r);
    fresh->columns[1].i64[5] = 7;
    assert_int_equal(pipeline_evaluate(&r, p, fresh, &c, &err), GARAM_MISMATCH);
    assert_non_null(strstr(err.message, "\"7\""));
    pipeline_free(p);
    table_free(t);
    table_free(fresh);
  }
}

/* Validation and training from two files: neither is scored unasked. */
static void test_valid_table(void **state) {
  (void)state;
  table *t = plain(1, false), *valid = plain(2, false), *test = plain(3, false);
  pipeline_config config = pipeline_config_default();
  snprintf(config.target, sizeof config.target, "y");
  linear_config lc;
  opt_defaults(linear_ops.options, linear_ops.n_options, &lc);
  pipeline *p;
  garam_error err = {0};
  assert_int_equal(pipeline_fit(&p, t, valid, &config, &linear_ops, &lc, NULL, NULL, &err), 0);
  assert_int_equal(p->train.rows, 900);
  assert_int_equal(p->valid.rows, 900);
  evaluate_config c = settings();
  json_t *r;
  assert_int_equal(pipeline_evaluate(&r, p, t, &c, &err), GARAM_INVALID);
  assert_int_equal(pipeline_evaluate(&r, p, valid, &c, &err), GARAM_INVALID);
  r = evaluate(p, test, &c);
  assert_int_equal((int)at(r, "rows"), 900);
  json_decref(r);
  pipeline_free(p);
  table_free(t);
  table_free(valid);
  table_free(test);
}

/* ---- every allocation fails in turn ---------------------------------------------------------- */

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory = {.fail_after = SIZE_MAX};
  failing_allocator_use(&memory);
  table *t = market(400, 1, false, true);
  pipeline_config config = pipeline_config_default();
  pipeline *p = fit(t, &config, 1);
  evaluate_config c = settings();
  c.bootstrap = 5;
  bool done = false;
  size_t n_failed = 0;
  for (size_t n = 0; !done && n < 100000; n += n < 60 ? 1 : 3) {
    garam_error err = {0};
    json_t *r;
    failing_allocator_restart(&memory, n);
    garam_status status = pipeline_evaluate(&r, p, t, &c, &err);
    failing_allocator_restart(&memory, SIZE_MAX);
    done = status == GARAM_OK;
    n_failed += !done;
    if (!done && (status != GARAM_NO_MEMORY || r))
      fail_msg("allocation %zu: %s: %s", n, garam_status_name(status), err.message);
    if (done && isnan(at(r, "accuracy"))) done = false;
    json_decref(r);
  }
  pipeline_free(p);
  table_free(t);
  garam_set_allocator(NULL);
  assert_true(done && n_failed > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_market),    cmocka_unit_test(test_chance),
      cmocka_unit_test(test_bayes),     cmocka_unit_test(test_market_values),
      cmocka_unit_test(test_plain),     cmocka_unit_test(test_valid_table),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
