/* Pipelines: fit, save, load and predict agree; nothing of the test part is seen; bad input is a
 * clear error. */
#include "learn/pipeline.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "learn/linear.h"
#include "learn/pipeline_inner.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[128], other_path[128];

static int setup(void **state) {
  (void)state;
  thread_set_count(2);
  snprintf(path, sizeof path, "/tmp/garam-pipeline-test-%ld.safetensors", (long)getpid());
  snprintf(other_path, sizeof other_path, "/tmp/garam-pipeline-test-%ld-b", (long)getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  unlink(other_path);
  return 0;
}

static table *market(int64_t rows, int64_t seed, double momentum) {
  simulate_config c;
  table *t;
  garam_error err;
  double bayes, band;
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.rows = rows, c.seed = seed, c.momentum = momentum;
  if (simulate(&t, &c, &bayes, &band, &err) != GARAM_OK) fail_msg("%s", err.message);
  return t;
}

static linear_config linear_defaults(void) {
  linear_config c;
  opt_defaults(linear_ops.options, linear_ops.n_options, &c);
  return c;
}

static pipeline *fit(const table *t, const pipeline_config *config, int window) {
  pipeline *p;
  garam_error err = {0};
  linear_config c = linear_defaults();
  fit_summary summary;
  c.window = window;
  garam_status status =
      pipeline_fit(&p, t, NULL, config, &linear_ops, &c, NULL, &summary, &err);
  if (status != GARAM_OK) fail_msg("%s", err.message);
  assert_true(summary.epochs > 0 && summary.train_loss);
  fit_summary_deinit(&summary);
  return p;
}

static garam_status try_fit(const table *t, const table *valid, const pipeline_config *config,
                            garam_error *err) {
  pipeline *p;
  linear_config c = linear_defaults();
  garam_status status = pipeline_fit(&p, t, valid, config, &linear_ops, &c, NULL, NULL, err);
  assert_true((status == GARAM_OK) == (p != NULL));
  pipeline_free(p);
  return status;
}

/* All rows of a table that can be predicted. */
static float *predict_all(pipeline *p, const table *t, size_t *n) {
  dataset *d;
  garam_error err = {0};
  if (pipeline_dataset(&d, p, t, false, &err) != GARAM_OK) fail_msg("%s", err.message);
  uint32_t *rows = calloc(d->n_rows, sizeof *rows);
  *n = 0;
  for (size_t i = 0; i < d->n_rows; i++)
    if (d->usable[i]) rows[(*n)++] = (uint32_t)i;
  float *out = calloc(*n * (size_t)pipeline_n_outputs(p), sizeof *out);
  if (pipeline_predict(p, d, (row_set){rows, *n}, out, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  free(rows);
  dataset_free(d);
  return out;
}

static void check_round_trip(pipeline *p, const table *t) {
  garam_error err = {0};
  pipeline *q;
  size_t n, m;
  assert_int_equal(pipeline_save(p, path, &err), GARAM_OK);
  if (pipeline_load(&q, path, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_string_equal(pipeline_sha256(p), pipeline_sha256(q));
  assert_true(json_equal(pipeline_manifest(p), pipeline_manifest(q)));
  float *a = predict_all(p, t, &n), *b = predict_all(q, t, &m);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n * (size_t)pipeline_n_outputs(p) * sizeof *a);
  /* Written again, the loaded one gives the same bytes. */
  assert_int_equal(pipeline_save(q, other_path, &err), GARAM_OK);
  assert_string_equal(pipeline_sha256(p), pipeline_sha256(q));
  double target;
  assert_true(pipeline_threshold(p, &target) == pipeline_threshold(q, &target));
  free(a);
  free(b);
  pipeline_free(q);
}

static void test_market(void **state) {
  (void)state;
  table *t = market(3000, 1, 0.3);
  pipeline_config config = pipeline_config_default();
  pipeline *p = fit(t, &config, 3);
  assert_int_equal(pipeline_task(p), TASK_CLASSIFICATION);
  assert_int_equal(pipeline_context(p), 3);
  assert_int_equal(pipeline_n_outputs(p), 3);
  assert_string_equal(pipeline_output_name(p, 0), "down");
  assert_string_equal(pipeline_output_name(p, 2), "up");
  check_round_trip(p, t);
  size_t n;
  float *a = predict_all(p, t, &n);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (int k = 0; k < 3; k++) {
      assert_true(a[3 * i + (size_t)k] >= 0);
      sum += (double)a[3 * i + (size_t)k];
    }
    assert_true(fabs(sum - 1) < 1e-5);
  }
  free(a);
  /* The record is in order of time, and no label of one part reaches into the next. */
  assert_true(p->train.label_end < p->valid.begin && p->valid.label_end < p->test.begin);
  assert_true(p->train.rows > p->valid.rows && p->test.rows > 100);
  pipeline_free(p);

  config.task = TASK_REGRESSION;
  p = fit(t, &config, 1);
  assert_int_equal(pipeline_n_outputs(p), 1);
  assert_string_equal(pipeline_output_name(p, 0), "value");
  check_round_trip(p, t);
  assert_true(p->conformal > 0 && isfinite(p->conformal));
  pipeline_free(p);

  config.task = TASK_BINARY;
  p = fit(t, &config, 1);
  assert_int_equal(pipeline_n_outputs(p), 2);
  check_round_trip(p, t);
  pipeline_free(p);
  table_free(t);
}

/* What comes after the training part has no say in features, scaler or dead band: with the valid
 * and test rows' prices changed they come out the same, byte for byte. */
static void test_no_look_ahead(void **state) {
  (void)state;
  table *t = market(2000, 4, 0.2);
  pipeline_config config = pipeline_config_default();
  pipeline *p = fit(t, &config, 2);
  size_t cut = 0;
  const column *time = &t->columns[t->time_column];
  while (time->i64[cut] < p->train.label_end) cut++;
  for (size_t c = 0; c < t->n_columns; c++)
    for (size_t i = cut + 1; i < t->n_rows; i++)
      if (t->columns[c].type == COLUMN_F64) t->columns[c].f64[i] *= 1 + 0.3 * sin((double)i);
  pipeline *q = fit(t, &config, 2);
  assert_int_equal(p->train.rows, q->train.rows);
  assert_true(p->dead_band == q->dead_band);
  assert_int_equal(p->shape.n_features, q->shape.n_features);
  for (size_t j = 0; j < p->shape.n_features; j++)
    assert_string_equal(p->feature_names[j], q->feature_names[j]);
  assert_memory_equal(p->scaler.center, q->scaler.center, p->scaler.n * sizeof(float));
  assert_memory_equal(p->scaler.inverse, q->scaler.inverse, p->scaler.n * sizeof(float));
  assert_true(p->temperature != q->temperature); /* from the valid part: the change was seen */
  pipeline_free(p);
  /* And a change inside the training part is seen. */
  for (size_t c = 0; c < t->n_columns; c++)
    if (t->columns[c].type == COLUMN_F64) t->columns[c].f64[cut / 2] *= 1.2;
  p = fit(t, &config, 2);
  assert_memory_not_equal(p->scaler.center, q->scaler.center, p->scaler.n * sizeof(float));
  pipeline_free(p);
  pipeline_free(q);
  table_free(t);
}

/* Same bytes for 1 and 4 threads. */
static void test_threads(void **state) {
  (void)state;
  table *t = market(4000, 5, 0.2);
  pipeline_config config = pipeline_config_default();
  char digests[2][65];
  for (int i = 0; i < 2; i++) {
    thread_set_count(i ? 4 : 1);
    pipeline *p = fit(t, &config, 2);
    assert_int_equal(pipeline_save(p, path, NULL), GARAM_OK);
    snprintf(digests[i], sizeof digests[i], "%s", pipeline_sha256(p));
    pipeline_free(p);
  }
  thread_set_count(2);
  assert_string_equal(digests[0], digests[1]);
  table_free(t);
}

/* ---- plain tables ------------------------------------------------------------------------------ */

static column *add(table *t, const char *name, column_type type) {
  column *c;
  assert_int_equal(table_add_column(&c, t, name, type, NULL), GARAM_OK);
  return c;
}

static void add_names(column *c, const char *const *names, size_t n) {
  c->names = mem_array(n, sizeof *c->names);
  c->n_names = n;
  for (size_t i = 0; i < n; i++) c->names[i] = mem_strdup(names[i]);
}

enum { PLAIN_ROWS = 600 };

/* x decides, colour helps, noise and constant do not. */
static table *plain(uint64_t seed, bool text_target) {
  static const char *const colours[] = {"red", "green", "blue", "only in the last row"};
  static const char *const answers[] = {"yes", "no", "maybe"};
  table *t;
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  assert_int_equal(table_new(&t, "plain.csv", PLAIN_ROWS, NULL), GARAM_OK);
  t->time_column = -1;
  double *x = add(t, "x", COLUMN_F64)->f64, *noise = add(t, "noise", COLUMN_F64)->f64;
  int64_t *constant = add(t, "constant", COLUMN_I64)->i64;
  column *colour = add(t, "colour", COLUMN_CATEGORY);
  add_names(colour, colours, 4);
  int32_t *code = colour->code;
  column *target = add(t, "target", text_target ? COLUMN_CATEGORY : COLUMN_I64);
  if (text_target) add_names(target, answers, 3);
  double *value = add(t, "value", COLUMN_F64)->f64;
  target = &t->columns[table_find(t, "target")];
  for (size_t i = 0; i < PLAIN_ROWS; i++) {
    x[i] = 1000 + rng_normal(&r);
    noise[i] = rng_uniform(&r) < 0.1 ? NAN : rng_normal(&r);
    constant[i] = 7;
    code[i] = (int32_t)rng_below(&r, 3);
    double z = 3 * (x[i] - 1000) + code[i] + rng_normal(&r);
    int k = z > 2 ? 2 : z > 0 ? 1 : 0;
    if (text_target) target->code[i] = k;
    else target->i64[i] = 10 * k;
    value[i] = 5e4 + 100 * z;
  }
  return t;
}

static void drop_column(table *t, const char *name) {
  column *c = &t->columns[table_find(t, name)];
  mem_free(c->name);
  c->name = mem_strdup("x9");
  for (size_t i = 0; c->type == COLUMN_F64 && i < t->n_rows; i++) c->f64[i] = 0;
  for (size_t i = 0; c->type == COLUMN_I64 && i < t->n_rows; i++) c->i64[i] = 0;
}

static double accuracy_on(pipeline *p, const table *t) {
  dataset *d;
  garam_error err = {0};
  if (pipeline_dataset(&d, p, t, true, &err) != GARAM_OK) fail_msg("%s", err.message);
  size_t n;
  float *out = predict_all(p, t, &n);
  double accuracy = metric_accuracy(out, d->y, n, pipeline_n_outputs(p));
  free(out);
  dataset_free(d);
  return accuracy;
}

static void test_plain(void **state) {
  (void)state;
  for (int text = 0; text < 2; text++) {
    table *t = plain(1, text), *fresh = plain(2, text);
    drop_column(t, "value");
    drop_column(fresh, "value");
    pipeline_config config = pipeline_config_default();
    snprintf(config.target, sizeof config.target, "target");
    pipeline *p = fit(t, &config, 1);
    assert_int_equal(pipeline_n_outputs(p), 3);
    assert_string_equal(pipeline_output_name(p, 0), text ? "maybe" : "0");
    assert_string_equal(pipeline_output_name(p, 1), text ? "no" : "10");
    /* x, noise, three colours; not the constants, not the colour of no training row. */
    assert_int_equal(pipeline_n_features(p), 5);
    assert_string_equal(pipeline_feature_name(p, 0), "x");
    assert_string_equal(pipeline_feature_name(p, 2), "colour=blue");
    assert_int_equal(json_array_size(p->dropped), 2);
    check_round_trip(p, t);
    assert_true(accuracy_on(p, fresh) > 0.8);
    /* A table without a feature. */
    mem_free(fresh->columns[0].name);
    fresh->columns[0].name = mem_strdup("other");
    dataset *d;
    garam_error err;
    assert_int_equal(pipeline_dataset(&d, p, fresh, false, &err), GARAM_MISMATCH);
    assert_non_null(strstr(err.message, "the feature \"x\""));
    pipeline_free(p);
    table_free(t);
    table_free(fresh);
  }
}

static void test_plain_regression(void **state) {
  (void)state;
  table *t = plain(3, true);
  t->columns[table_find(t, "target")].type = COLUMN_CATEGORY;
  pipeline_config config = pipeline_config_default();
  snprintf(config.target, sizeof config.target, "value");
  config.task = TASK_REGRESSION;
  pipeline *p = fit(t, &config, 1);
  check_round_trip(p, t);
  dataset *d;
  assert_int_equal(pipeline_dataset(&d, p, t, true, NULL), GARAM_OK);
  size_t n;
  float *out = predict_all(p, t, &n);
  assert_true(metric_r2(out, d->value, NULL, n) > 0.9);
  free(out);
  dataset_free(d);
  pipeline_free(p);
  table_free(t);
}

/* Weights: a column, and a file (the numbers of the column). */
static void test_weights(void **state) {
  (void)state;
  table *t = plain(5, false);
  pipeline_config config = pipeline_config_default();
  snprintf(config.target, sizeof config.target, "target");
  column *w = &t->columns[table_find(t, "value")];
  char text[PLAIN_ROWS * 16] = "";
  for (size_t i = 0; i < PLAIN_ROWS; i++) {
    w->f64[i] = (double)(i % 4);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%zu\n", i % 4);
  }
  snprintf(config.weights, sizeof config.weights, "value");
  pipeline *by_column = fit(t, &config, 1);
  assert_int_equal(pipeline_n_features(by_column), 5);
  drop_column(t, "value"); /* constant now: the same features */
  config.weights[0] = 0;
  pipeline *without = fit(t, &config, 1);
  garam_error err = {0};
  assert_int_equal(io_write_file(other_path, text, strlen(text), &err), GARAM_OK);
  snprintf(config.weights, sizeof config.weights, "%s", other_path);
  pipeline *by_file = fit(t, &config, 1);
  size_t n;
  float *a = predict_all(by_column, t, &n), *b = predict_all(by_file, t, &n);
  float *c = predict_all(without, t, &n);
  assert_memory_equal(a, b, n * 3 * sizeof *a);
  assert_memory_not_equal(a, c, n * 3 * sizeof *a);
  free(a), free(b), free(c);
  pipeline_free(by_column);
  pipeline_free(by_file);
  pipeline_free(without);
  assert_int_equal(io_write_file(other_path, text, strlen(text) - 2, &err), GARAM_OK);
  assert_int_equal(try_fit(t, NULL, &config, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "599 weights for 600 rows"));
  assert_int_equal(io_write_file(other_path, "1\n-2\n", 5, &err), GARAM_OK);
  assert_int_equal(try_fit(t, NULL, &config, &err), GARAM_INVALID);
  assert_int_equal(io_write_file(other_path, "1\nx\n", 4, &err), GARAM_OK);
  assert_int_equal(try_fit(t, NULL, &config, &err), GARAM_PARSE);
  assert_non_null(strstr(err.message, ":2:"));
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_market),
      cmocka_unit_test(test_no_look_ahead),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_plain),
      cmocka_unit_test(test_plain_regression),
      cmocka_unit_test(test_weights),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
