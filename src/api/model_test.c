/* The public headers, as a host uses them: train from a config, open, ask, predict, score. */
#include "garam/model.h"
#include "garam/train.h"

#include "base/json.h"
#include "market/market.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], data[128], package[128];

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/garam-api-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(data, sizeof data, "%s/market.csv", folder);
  snprintf(package, sizeof package, "%s/model.safetensors", folder);
  simulate_config config;
  opt_defaults(simulate_options, simulate_n_options, &config);
  config.rows = 1500;
  config.seed = 11;
  table *t;
  double bayes, dead_band;
  garam_error err;
  if (simulate(&t, &config, &bayes, &dead_band, &err) != GARAM_OK) return -1;
  garam_status status = table_write_csv(t, data, &err);
  table_free(t);
  return status == GARAM_OK ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  unlink(data);
  unlink(package);
  return rmdir(folder);
}

static void check(garam_status status, const garam_error *err) {
  if (status != GARAM_OK) fail_msg("%s", err->message);
}

static int count_calls(void *context, const garam_progress *p) {
  (*(int *)context)++;
  assert_true(p->step <= p->n_steps);
  return 0;
}

static void test_train_and_use(void **state) {
  (void)state;
  garam_error err = {0};
  char config[512], *result = NULL;
  int calls = 0;
  snprintf(config, sizeof config,
           "{\"data\": \"%s\", \"model\": \"linear\", \"out\": \"%s\", \"seed\": 3}", data,
           package);
  check(garam_train(config, count_calls, &calls, &result, &err), &err);
  assert_non_null(strstr(result, "\"sha256\""));
  assert_true(calls > 0);
  garam_free(result);

  garam_model *model;
  check(garam_model_open(&model, package, &err), &err);
  size_t t = garam_model_window(model), f = garam_model_n_features(model),
         k = garam_model_n_outputs(model);
  assert_true(t >= 1 && f >= 1);
  assert_int_equal(k, 3);
  assert_string_equal(garam_model_task(model), "classification");
  assert_string_equal(garam_model_output_name(model, 2), "up");
  assert_true(strlen(garam_model_feature_name(model, f - 1)) > 0);
  assert_int_equal(strlen(garam_model_sha256(model)), 64);
  json_error_t json_error;
  json_t *manifest = json_loads(garam_model_manifest(model), 0, &json_error);
  assert_non_null(manifest);
  json_decref(manifest);

  float *x = calloc(2 * t * f, sizeof *x), out[6];
  check(garam_model_predict(model, x, NULL, 2, out, &err), &err);
  for (size_t i = 0; i < 2; i++)
    assert_true(fabsf(out[3 * i] + out[3 * i + 1] + out[3 * i + 2] - 1) < 1e-5f);
  assert_memory_equal(out, out + 3, 3 * sizeof *out);
  free(x);

  garam_predictions *p;
  check(garam_model_predict_data(&p, model, data, &err), &err);
  assert_true(p->n_rows > 1200 && p->n_rows <= 1500);
  assert_int_equal(p->n_outputs, 3);
  assert_int_equal(p->row[p->n_rows - 1], 1499);
  for (size_t i = 1; i < p->n_rows; i++) assert_true(p->time[i] > p->time[i - 1]);
  for (size_t i = 0; i < p->n_rows; i++) {
    const float *row = p->output + 3 * i;
    for (int c = 0; c < 3; c++) assert_true(row[p->label[i]] >= row[c]);
  }
  garam_predictions_free(p);
  garam_model_close(model);

  check(garam_evaluate(package, data, "{\"bootstrap\": 100}", &result, &err), &err);
  json_t *scores = json_loads(result, 0, &json_error);
  assert_true(json_is_number(json_object_get(scores, "accuracy")));
  assert_true(json_integer_value(json_object_get(scores, "rows")) < 1000); /* the test part only */
  json_decref(scores);
  garam_free(result);
}

static void test_errors(void **state) {
  (void)state;
  static const struct {
    const char *config;
    garam_status status;
    const char *message;
  } bad[] = {
      {"{", GARAM_PARSE, "config:1"},
      {"[]", GARAM_PARSE, "object"},
      {"{\"model\": \"linear\"}", GARAM_INVALID, "data"},
      {"{\"model\": \"linaer\", \"data\": \"x\"}", GARAM_NOT_FOUND, "linear"},
      {"{\"model\": \"linear\", \"data\": \"x\", \"horizn\": 3}", GARAM_NOT_FOUND, "horizon"},
      {"{\"model\": \"linear\", \"data\": \"/nowhere/x\", \"out\": \"/tmp/o\"}", GARAM_NOT_FOUND,
       "/nowhere/x"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    garam_error err = {0};
    char *result = folder;
    assert_int_equal(garam_train(bad[i].config, NULL, NULL, &result, &err), bad[i].status);
    assert_null(result);
    if (!strstr(err.message, bad[i].message))
      fail_msg("%s: no \"%s\" in: %s", bad[i].config, bad[i].message, err.message);
  }
  garam_error err = {0};
  garam_model *model;
  assert_int_equal(garam_model_open(&model, "/nowhere/m", &err), GARAM_NOT_FOUND);
  assert_null(model);
  garam_model_close(NULL);
  garam_predictions_free(NULL);
  garam_free(NULL);
}

/* The host stops the training: nothing is written, and it says so. */
static int stop(void *context, const garam_progress *p) {
  (void)context;
  (void)p;
  return 1;
}

static void test_stop(void **state) {
  (void)state;
  garam_error err = {0};
  char config[512], checkpoint[160];
  snprintf(config, sizeof config,
           "{\"data\": \"%s\", \"model\": \"transformer\", \"preset\": \"tiny\", \"epochs\": 2, "
           "\"out\": \"%s/stopped\"}",
           data, folder);
  assert_int_equal(garam_train(config, stop, NULL, NULL, &err), GARAM_INTERRUPTED);
  char path[160];
  snprintf(path, sizeof path, "%s/stopped", folder);
  assert_int_equal(access(path, F_OK), -1);
  snprintf(checkpoint, sizeof checkpoint, "rm -rf %s/stopped.checkpoint", folder);
  assert_int_equal(system(checkpoint), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_train_and_use),
      cmocka_unit_test(test_errors),
      cmocka_unit_test(test_stop),
  };
  return cmocka_run_group_tests_name("api", tests, setup, teardown);
}
