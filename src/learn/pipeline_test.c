/* Pipelines: fit, save, load and predict agree; nothing of the test part is seen; bad input is a
 * clear error. */
#include "learn/pipeline.h"

#include "base/io.h"
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
  garam_status status = pipeline_fit(&p, t, NULL, config, &linear_ops, &c, NULL, &summary, &err);
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
  assert_true(p->calibrator.temperature !=
              q->calibrator.temperature); /* from the valid part: the change was seen */
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

/* ---- plain tables ---------------------------------------------------------------------------- */

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

/* Every calibration and the gate: through a package and back; and what is far from all training
 * rows is answered with their odds. */
static void test_calibration_and_gate(void **state) {
  (void)state;
  table *t = market(4000, 7, 0.2), *odd = plain(1, false);
  for (int kind = 0; kind <= CALIBRATION_AUTO; kind++) {
    pipeline_config config = pipeline_config_default();
    config.calibration = kind;
    config.novelty = kind % 2;
    pipeline *p = fit(t, &config, 1);
    assert_int_equal(p->novelty.n > 0, kind % 2);
    assert_int_equal(p->calibrator.kind == kind, kind != CALIBRATION_AUTO);
    check_round_trip(p, t);
    pipeline_free(p);
  }
  pipeline_config config = pipeline_config_default();
  snprintf(config.target, sizeof config.target, "target");
  drop_column(odd, "value");
  config.novelty = 1;
  pipeline *p = fit(odd, &config, 1);
  float x[5] = {1000, 0, 0, 0, 1}, out[3], prior[3];
  assert_int_equal(pipeline_n_features(p), 5);
  assert_int_equal(pipeline_predict_windows(p, x, NULL, 1, out, NULL), GARAM_OK);
  pipeline_prior(p, prior);
  assert_memory_not_equal(out, prior, sizeof out);
  x[0] = 1100;
  assert_int_equal(pipeline_predict_windows(p, x, NULL, 1, out, NULL), GARAM_OK);
  assert_memory_equal(out, prior, sizeof out);
  assert_true(fabsf(prior[0] + prior[1] + prior[2] - 1) < 1e-6f);
  pipeline_free(p);
  table_free(t);
  table_free(odd);
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

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void expect(garam_status status, const char *words, const table *t,
                   const pipeline_config *config) {
  garam_error err = {0};
  garam_status got = try_fit(t, NULL, config, &err);
  if (got != status || !strstr(err.message, words))
    fail_msg("%s: %s; expected \"%s\"", garam_status_name(got), err.message, words);
}

static void test_bad_input(void **state) {
  (void)state;
  pipeline_config base = pipeline_config_default(), c = base;
  table *t = market(600, 1, 0.2), *few;
  c.label.horizon = 5000;
  expect(GARAM_INVALID, "--horizon 5000", t, &c);
  c = base;
  c.task = TASK_RANKING;
  expect(GARAM_UNSUPPORTED, "ranking", t, &c);
  c = base;
  c.train_share = 0.9, c.valid_share = 0.2;
  expect(GARAM_INVALID, "more than the whole", t, &c);
  c = base;
  c.task = TASK_BINARY, c.label.dead_band = 0.1;
  expect(GARAM_INVALID, "third class", t, &c);
  c = base;
  c.label.dead_band = 5; /* nothing moves by e^5 */
  expect(GARAM_INVALID, "one class", t, &c);
  snprintf(c.features.families, sizeof c.features.families, "nosuch");
  expect(GARAM_NOT_FOUND, "nosuch", t, &c);
  c = base;
  c.train_share = 0.01;
  expect(GARAM_INVALID, "at least 16", t, &c);
  assert_int_equal(table_head(&few, t, 5, NULL), GARAM_OK);
  expect(GARAM_INVALID, "5 rows", few, &base);
  table_free(few);
  /* Unsorted: the message says what would help, and that helps. */
  column *time = &t->columns[t->time_column];
  int64_t kept = time->i64[300];
  time->i64[300] = time->i64[301], time->i64[301] = kept;
  garam_error err = {0};
  assert_int_not_equal(try_fit(t, NULL, &base, &err), GARAM_OK);
  assert_non_null(strstr(err.message, "--repair"));
  c = base;
  snprintf(c.repair, sizeof c.repair, "sort");
  pipeline *p = fit(t, &c, 1);
  const json_t *data = json_object_get(pipeline_manifest(p), "data");
  assert_true(json_integer_value(json_object_get(data, "repaired_rows")) > 0);
  check_round_trip(p, t); /* the same repair again, for prediction */
  pipeline_free(p);
  table_free(t);

  t = plain(1, false);
  c = base;
  snprintf(c.target, sizeof c.target, "targat");
  expect(GARAM_NOT_FOUND, "did you mean \"target\"?", t, &c);
  snprintf(c.target, sizeof c.target, "colour");
  c.task = TASK_REGRESSION;
  expect(GARAM_INVALID, "is text", t, &c);
  c.task = TASK_BINARY;
  expect(GARAM_INVALID, "two classes", t, &c);
  c.task = TASK_CLASSIFICATION;
  snprintf(c.target, sizeof c.target, "constant");
  expect(GARAM_INVALID, "one class", t, &c);
  snprintf(c.target, sizeof c.target, "target");
  for (size_t i = 0; i < t->n_rows; i++) { /* nothing varies but the target */
    t->columns[0].f64[i] = t->columns[1].f64[i] = t->columns[5].f64[i] = 1;
    t->columns[3].code[i] = 0;
  }
  expect(GARAM_INVALID, "no feature varies", t, &c);
  table_free(t);
}

/* Every byte of the manifest and the arrays changed, and every length: an error or a pipeline
 * that still predicts or says why not; never a crash. */
static void test_damage(void **state) {
  (void)state;
  table *t = plain(1, true);
  pipeline_config config = pipeline_config_default();
  snprintf(config.target, sizeof config.target, "target");
  pipeline *p = fit(t, &config, 1);
  garam_error err;
  char *bytes;
  size_t size;
  assert_int_equal(pipeline_save(p, path, &err), GARAM_OK);
  pipeline_free(p);
  assert_int_equal(io_read_file(&bytes, &size, path, 1 << 20, &err), GARAM_OK);
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  size_t loaded = 0;
  float x[5] = {1000, 0, 1, 0, 0}, out[3];
  for (size_t i = 0; i < size; i++) {
    static const char replacements[] = "0919-e.,:\"{}[]n\\";
    char kept = bytes[i];
    bytes[i] = i % 3 ? replacements[rng_below(&r, sizeof replacements - 1)]
                     : (char)(kept ^ (1 << rng_below(&r, 8)));
    FILE *f = fopen(other_path, "wb");
    fwrite(bytes, 1, size, f);
    fclose(f);
    bytes[i] = kept;
    pipeline *q;
    if (pipeline_load(&q, other_path, &err) != GARAM_OK) {
      assert_null(q);
      assert_true(strlen(err.message) > 10);
      continue;
    }
    loaded++;
    if (pipeline_n_features(q) == 5 && pipeline_context(q) == 1 && pipeline_n_outputs(q) == 3)
      pipeline_predict_windows(q, x, NULL, 1, out, &err);
    pipeline_free(q);
  }
  assert_true(loaded > 10 && loaded < size);
  for (size_t n = 0; n < size; n += 37) {
    FILE *f = fopen(other_path, "wb");
    fwrite(bytes, 1, n, f);
    fclose(f);
    pipeline *q;
    assert_int_not_equal(pipeline_load(&q, other_path, &err), GARAM_OK);
  }
  mem_free(bytes);
  table_free(t);
}

/* What a hand may change in a manifest. */
static void test_manifest(void **state) {
  (void)state;
  static const struct {
    const char *object, *key, *value; /* value: JSON, NULL removes */
  } cases[] = {
      {NULL, "format", "2"},
      {NULL, "task", "\"binary\""},
      {NULL, "kind", "\"table\""},
      {NULL, "features", "[]"},
      {NULL, "features", "[\"no such feature\"]"},
      {NULL, "features", "\"return_1\""},
      {NULL, "classes", "[\"a\"]"},
      {NULL, "classes", NULL},
      {NULL, "dead_band", "-1"},
      {NULL, "dead_band", "null"},
      {"learner", "name", "\"liner\""},
      {"learner", "context", "7"},
      {"learner", "options", "{\"l2\": -1}"},
      {"learner", "options", "{\"nosuch\": 1}"},
      {"learner", "options", "{\"window\": 4096}"},
      {"calibration", "temperature", "0"},
      {"calibration", "temperature", "1e300"},
      {"calibration", "threshold", "-0.5"},
      {"scaler", "used", "false"},
      {"scaler", "clip", "-1"},
      {"split", "train", "{}"},
      {"data", "class_counts", "[1, 2]"},
      {"data", "class_counts", "[1, 2, -3]"},
      {"data", "sha256",
       "\"00000000000000000000000000000000000000000000000000000000000000000000000000000000\""},
      {"fit", "epochs", "-1"},
      {"fit", "train_loss", "[\"x\"]"},
      {"options", "label", "{\"horizon\": 0}"},
      {"options", "label", "[]"},
      {"options", "pipeline", "{\"target\": \"y\"}"},
  };
  table *t = market(800, 1, 0.2);
  pipeline_config config = pipeline_config_default();
  pipeline *p = fit(t, &config, 1);
  json_t *whole = p->manifest;
  garam_error err = {0};
  pipeline *q;
  assert_int_equal(pipeline_save(p, path, &err), GARAM_OK);
  assert_int_equal(pipeline_load(&q, path, &err), GARAM_OK);
  pipeline_free(q);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    p->manifest = json_deep_copy(whole);
    json_t *object = cases[i].object ? json_object_get(p->manifest, cases[i].object) : p->manifest;
    assert_non_null(json_object_get(object, cases[i].key));
    if (cases[i].value)
      json_object_set_new(object, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
    else json_object_del(object, cases[i].key);
    assert_int_equal(pipeline_save(p, path, &err), GARAM_OK);
    if (pipeline_load(&q, path, &err) == GARAM_OK) fail_msg("case %zu was read", i);
    assert_null(q);
    if (!strstr(err.message, path)) fail_msg("case %zu: %s", i, err.message);
    json_decref(p->manifest);
  }
  p->manifest = whole;
  pipeline_free(p);
  table_free(t);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Once warm, a request allocates nothing; and n windows at once are n windows one by one. */
static void test_warm(void **state) {
  (void)state;
  table *t = market(1500, 1, 0.2);
  pipeline_config config = pipeline_config_default();
  enum { WINDOW = 5, BATCH = 32 };
  pipeline *p = fit(t, &config, WINDOW);
  dataset *d;
  assert_int_equal(pipeline_dataset(&d, p, t, false, NULL), GARAM_OK);
  size_t width = WINDOW * d->n_features;
  float *x = calloc(BATCH * width, sizeof *x), out[3 * BATCH], one[3];
  int32_t begin[BATCH];
  uint32_t rows[BATCH], first = d->series_begin[d->n_rows - 1];
  for (uint32_t i = 0; i < BATCH; i++) rows[i] = first + i; /* the first few are padded */
  dataset_gather(x, begin, d, rows, BATCH, WINDOW);
  assert_int_equal(begin[0], WINDOW - 1);
  assert_int_equal(pipeline_predict_windows(p, x, begin, BATCH, out, NULL), GARAM_OK);
  uint64_t before = mem_count();
  for (int i = 0; i < BATCH; i++) {
    assert_int_equal(pipeline_predict_windows(p, x + (size_t)i * width, begin + i, 1, one, NULL),
                     GARAM_OK);
    assert_memory_equal(one, out + 3 * i, sizeof one);
  }
  assert_int_equal(pipeline_predict_windows(p, x, begin, BATCH, out, NULL), GARAM_OK);
  assert_true(mem_count() == before);
  /* What stands in the padding does not matter; a missing value does not spoil the answer. */
  for (size_t j = 0; j < (WINDOW - 1) * d->n_features; j++) x[j] = 1e6f;
  x[width - 1] = NAN;
  assert_int_equal(pipeline_predict_windows(p, x, begin, 1, one, NULL), GARAM_OK);
  assert_true(isfinite(one[0]));
  free(x);
  dataset_free(d);
  pipeline_free(p);
  table_free(t);
}

/* Every allocation of load, dataset and predict fails in turn, and all after it. */
static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory;
  table *t = market(400, 1, 0.2);
  pipeline_config config = pipeline_config_default();
  pipeline *p = fit(t, &config, 2);
  assert_int_equal(pipeline_save(p, path, NULL), GARAM_OK);
  pipeline_free(p);
  failing_allocator_restart(&memory, SIZE_MAX);
  failing_allocator_use(&memory);
  bool done = false;
  size_t n = 0;
  for (; !done && n < 100000; n++) {
    garam_error err = {0};
    dataset *d = NULL;
    uint32_t row = 300;
    float out[3];
    failing_allocator_restart(&memory, n);
    garam_status status = pipeline_load(&p, path, &err);
    if (status == GARAM_OK) status = pipeline_dataset(&d, p, t, true, &err);
    if (status == GARAM_OK) status = pipeline_predict(p, d, (row_set){&row, 1}, out, &err);
    done = status == GARAM_OK;
    /* jansson tells of lack of memory in the middle of a token as of a bad token. */
    if (!done && status != GARAM_NO_MEMORY && status != GARAM_CORRUPT)
      fail_msg("allocation %zu: %s: %s", n, garam_status_name(status), err.message);
    dataset_free(d);
    pipeline_free(p);
  }
  failing_allocator_restart(&memory, SIZE_MAX);
  garam_set_allocator(NULL);
  assert_true(done && n > 100);
  table_free(t);
}

/* The same for fitting and saving. */
static void test_no_memory_fit(void **state) {
  (void)state;
  static failing_allocator memory;
  linear_config c = linear_defaults();
  c.max_iterations = 3;
  pipeline_config config = pipeline_config_default();
  for (int kind = 0; kind < 2; kind++) {
    table *t = kind ? plain(1, true) : market(300, 1, 0.2);
    if (kind) snprintf(config.target, sizeof config.target, "target");
    thread_set_count(1);
    failing_allocator_restart(&memory, SIZE_MAX);
    failing_allocator_use(&memory);
    bool done = false;
    for (size_t n = 0; !done && n < 100000; n += n < 100 ? 1 : 7) {
      garam_error err = {0};
      pipeline *p;
      fit_summary summary;
      failing_allocator_restart(&memory, n);
      garam_status status =
          pipeline_fit(&p, t, NULL, &config, &linear_ops, &c, NULL, &summary, &err);
      if (status == GARAM_OK) status = pipeline_save(p, path, &err);
      done = status == GARAM_OK;
      if (!done && status != GARAM_NO_MEMORY)
        fail_msg("allocation %zu: %s: %s", n, garam_status_name(status), err.message);
      fit_summary_deinit(&summary);
      pipeline_free(p);
    }
    failing_allocator_restart(&memory, SIZE_MAX);
    table_free(t);
    garam_set_allocator(NULL);
    assert_true(done);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_market),
      cmocka_unit_test(test_no_look_ahead),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_plain),
      cmocka_unit_test(test_plain_regression),
      cmocka_unit_test(test_calibration_and_gate),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_bad_input),
      cmocka_unit_test(test_damage),
      cmocka_unit_test(test_manifest),
      cmocka_unit_test(test_warm),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_no_memory_fit),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
