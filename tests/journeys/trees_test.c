/* Journeys of trees: a ranking from its queries to NDCG; scores to start from and weights from
 * files; out to LightGBM's text and back; what explains a model. */
#include "tests/journeys/journey.h"

#include <math.h>

enum { QUERIES = 80, LONGEST = 12, FEATURES = 3 };

/* Grades by x0 - x1, queries of 6 to 12 rows, in a column and as sizes; no luck in it. */
static int setup(void **state) {
  journey_setup(state);
  journey *j = *state;
  char *data = calloc(1, 1 << 17), *at = data, sizes[QUERIES * 4] = "", numbers[16000] = "";
  uint32_t seed = 12345;
  at += sprintf(at, "grade,query,x0,x1,x2\n");
  for (int q = 0; q < QUERIES; q++) {
    int n = 6 + q * 7 % 7;
    sprintf(sizes + strlen(sizes), "%d\n", n);
    for (int i = 0; i < n; i++) {
      double x[FEATURES];
      for (int k = 0; k < FEATURES; k++)
        x[k] = (double)((seed = seed * 1664525 + 1013904223) >> 16) / 65536;
      double z = x[0] - x[1];
      at += sprintf(at, "%d,q%d,%.4f,%.4f,%.4f\n",
                    z > 0.4    ? 3
                    : z > 0.1  ? 2
                    : z > -0.3 ? 1
                               : 0,
                    q, x[0], x[1], x[2]);
      sprintf(numbers + strlen(numbers), "%d\n", 1 + i % 3);
    }
  }
  journey_write(j, "rank.csv", data, (size_t)(at - data));
  journey_write(j, "rank.query", sizes, strlen(sizes));
  journey_write(j, "rank.numbers", numbers, strlen(numbers));
  char *plain = calloc(1, 1 << 17), *to = plain; /* without the query */
  for (const char *from = data; *from;) {
    const char *comma = strchr(from, ','), *second = strchr(comma + 1, ','),
               *end = strchr(from, '\n');
    to += sprintf(to, "%.*s%.*s", (int)(comma - from), from, (int)(end + 1 - second), second);
    from = end + 1;
  }
  journey_write(j, "plain.csv", plain, (size_t)(to - plain));
  free(plain);
  free(data);
  return 0;
}

static double number_of(journey *j, const char *args, const char *key) {
  journey_ok(j, args);
  json_t *o = journey_json(j);
  const json_t *value = json_object_get(o, key);
  if (!json_is_number(value)) fail_msg("garam %s: no number \"%s\"", args, key);
  double v = json_number_value(value);
  json_decref(o);
  return v;
}

static void test_ranking(void **state) {
  journey *j = *state;
  journey_ok(j,
             "train rank.csv --model gbdt --task ranking --target grade --group query --min-rows 5 "
             "--rounds 60 --out a.safetensors --quiet");
  double ndcg = number_of(j, "evaluate a.safetensors rank.csv --json", "ndcg");
  assert_true(ndcg > 0.95 && ndcg <= 1);
  json_t *o = journey_json(j), *random = json_object_get(json_object_get(o, "baselines"), "random");
  assert_true(json_number_value(json_object_get(random, "ndcg")) < 0.9);
  assert_true(json_number_value(json_object_get(o, "ndcg_at_1")) > 0.9);
  assert_true(json_integer_value(json_object_get(o, "queries")) < QUERIES / 3);
  json_decref(o);
  journey_ok(j, "evaluate a.safetensors rank.csv --report r.html");
  assert_non_null(strstr(j->out, "ndcg"));
  journey_ok(j, "predict a.safetensors rank.csv --out p.csv --quiet");
  /* Sizes in a file: the column is a feature then, unless it is left out of the file. */
  journey_ok(
      j,
      "train rank.csv --model gbdt --task ranking --target grade --group rank.query --min-rows 5 "
      "--rounds 60 --out b.safetensors --quiet");
  assert_true(number_of(j, "evaluate b.safetensors rank.csv --json", "ndcg") > 0.95);
  assert_true(number_of(j, "evaluate b.safetensors rank.csv --group rank.query --all-rows --json",
                        "queries") == QUERIES);
  static const char *const wrong[][2] = {
      {"train rank.csv --model gbdt --task ranking --target grade", "--group"},
      {"train rank.csv --model linear --task ranking --target grade --group query", "linear"},
      {"train rank.csv --model gbdt --task ranking --target x0 --group query", "grades"},
      {"train rank.csv --model gbdt --task ranking --target grade --group rank.numbers", "rows"},
      {"train rank.csv --model gbdt --task regression --target grade --group query",
       "--task ranking"},
  };
  for (size_t i = 0; i < COUNT_OF(wrong); i++) {
    journey_run(j, wrong[i][0]);
    assert_int_not_equal(j->code, 0);
    if (!strstr(j->err, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], j->err);
  }
}

static void test_files_beside_the_rows(void **state) {
  journey *j = *state;
  journey_ok(j, "train rank.csv --model gbdt --task regression --target grade --train-share 1 "
                "--valid-share 0 --rounds 20 --min-rows 5 --out plain.safetensors --quiet");
  journey_ok(j, "train rank.csv --model gbdt --task regression --target grade --train-share 1 "
                "--valid-share 0 --rounds 20 --min-rows 5 --init-score rank.numbers --out "
                "init.safetensors --quiet");
  double plain = number_of(j, "evaluate plain.safetensors rank.csv --all-rows --json", "mse");
  double weighed = number_of(
      j, "evaluate plain.safetensors rank.csv --all-rows --weights rank.numbers --json", "mse");
  assert_true(plain != weighed && fabs(plain - weighed) < 0.2);
  double started = number_of(j, "evaluate init.safetensors rank.csv --all-rows --json", "mse");
  double said = number_of(
      j, "evaluate init.safetensors rank.csv --all-rows --init-score rank.numbers --json", "mse");
  assert_true(started == said && started < 2);
  journey_run(j, "evaluate plain.safetensors rank.csv --all-rows --init-score rank.numbers");
  assert_int_not_equal(j->code, 0);
  journey_run(j, "evaluate plain.safetensors rank.csv --all-rows --weights rank.query");
  assert_int_not_equal(j->code, 0);
  assert_non_null(strstr(j->err, "weights for"));
  journey_run(
      j,
      "train rank.csv --model linear --task regression --target grade --init-score rank.numbers");
  assert_int_not_equal(j->code, 0);
}

static void test_out_and_back(void **state) {
  journey *j = *state;
  journey_ok(
      j, "train plain.csv --model gbdt --task regression --target grade --rounds 20 --min-rows 5 "
         "--out m.safetensors --quiet");
  journey_ok(j, "export m.safetensors --format lightgbm --out m.txt --json");
  journey_ok(j, "export m.safetensors --format onnx --out m.onnx --json");
  assert_true(journey_has(j, "m.onnx"));
  journey_ok(j, "import m.txt --target grade --out back.safetensors --quiet");
  double a = number_of(j, "evaluate m.safetensors plain.csv --all-rows --json", "mse");
  double b = number_of(j, "evaluate back.safetensors plain.csv --all-rows --json", "mse");
  assert_true(fabs(a - b) < 1e-9);
  journey_write(j, "bad.txt", "tree\nversion=v4\nnum_class=1\n", 28);
  journey_run(j, "import bad.txt --out bad.safetensors");
  assert_int_not_equal(j->code, 0);
  assert_false(journey_has(j, "bad.safetensors"));
}

static void test_explain(void **state) {
  journey *j = *state;
  journey_ok(
      j, "train rank.csv --model gbdt --task regression --target grade --rounds 20 --min-rows 5 "
         "--out e.safetensors --quiet");
  journey_ok(j, "explain e.safetensors rank.csv --out shap.csv --json");
  json_t *o = journey_json(j), *list = json_object_get(o, "importance");
  assert_true(journey_has(j, "shap.csv"));
  assert_true(json_array_size(list) >= FEATURES);
  const char *first = json_string_value(json_object_get(json_array_get(list, 0), "feature"));
  assert_true(strcmp(first, "x0") == 0 || strcmp(first, "x1") == 0);
  assert_true(json_number_value(json_object_get(json_array_get(list, 0), "gain")) > 0);
  json_decref(o);
  /* What a model is worth on rows it has not seen, whatever it is: x2 says nothing. */
  static const char *const models[] = {"gbdt --rounds 30 --min-rows 5", "linear"};
  char args[256];
  for (size_t m = 0; m < COUNT_OF(models); m++) {
    snprintf(
        args, sizeof args,
        "train plain.csv --task regression --target grade --out m.safetensors --quiet --model %s",
        models[m]);
    journey_ok(j, args);
    double by[3] = {NAN, NAN, NAN};
    char *first_said = NULL;
    for (int threads = 1; threads <= 2; threads++) {
      snprintf(args, sizeof args, "explain m.safetensors plain.csv --json --threads %d", threads);
      journey_ok(j, args);
      if (first_said) assert_string_equal(first_said, j->out);
      else first_said = strdup(j->out);
    }
    free(first_said);
    o = journey_json(j);
    list = json_object_get(o, "importance");
    for (size_t i = 0; i < 3; i++) {
      const json_t *one = json_array_get(list, i);
      const char *name = json_string_value(json_object_get(one, "feature"));
      by[name[1] - '0'] = json_number_value(json_object_get(one, "permutation"));
    }
    if (!(by[0] > 0.1 && by[1] > 0.1 && fabs(by[2]) < 0.05))
      fail_msg("%s: %g %g %g", models[m], by[0], by[1], by[2]);
    const json_t *curve, *curves = json_object_get(json_object_get(o, "influence"), "dependence");
    size_t at;
    json_array_foreach((json_t *)(uintptr_t)curves, at, curve) {
      const char *name = json_string_value(json_object_get(curve, "feature"));
      const json_t *mean = json_object_get(curve, "mean");
      double rise = json_number_value(json_array_get(mean, json_array_size(mean) - 1)) -
                    json_number_value(json_array_get(mean, 0));
      if (name[1] == '0') assert_true(rise > 0.5);
      if (name[1] == '1') assert_true(rise < -0.5);
      if (name[1] == '2') assert_true(fabs(rise) < 0.2);
    }
    json_decref(o);
  }
  journey_run(j, "explain m.safetensors");
  assert_int_not_equal(j->code, 0);
  assert_non_null(strstr(j->err, "no trees"));
  journey_ok(j, "evaluate e.safetensors rank.csv --report r.html --quiet");
  char path[256];
  journey_path(path, j, "r.html");
  char *html = journey_slurp(path);
  assert_non_null(strstr(html, "What the features are worth"));
  assert_non_null(strstr(html, "mean |SHAP|"));
  free(html);
  journey_ok(j, "simulate --rows 1500 --seed 3 --out s.csv --quiet");
  journey_ok(j, "train s.csv --model mlp --epochs 2 --out s.safetensors --quiet");
  journey_ok(j, "explain s.safetensors s.csv --permutations 1 --json");
  assert_non_null(strstr(j->out, "\"loss\": \"log_loss\""));
  journey_ok(j, "explain e.safetensors");
  assert_non_null(strstr(j->out, "x0"));
}

/* A value comes with the ends of its interval; those of the learner `intervals` are its own. */
static void test_intervals(void **state) {
  journey *j = *state;
  static const struct {
    const char *model;
    bool own;
  } models[] = {
      {"gbdt --rounds 30 --min-rows 5", false},
      {"intervals --method cross --member gbdt:rounds=30,min-rows=5", true},
      {"intervals --method quantile --member linear --ends gbdt:rounds=60,min-rows=5", true},
      {"intervals --method ensemble --member linear --bags 8 --adapt aci", true},
  };
  char args[256];
  for (size_t m = 0; m < COUNT_OF(models); m++) {
    snprintf(args, sizeof args,
             "train plain.csv --task regression --target grade --out i.safetensors --json --quiet "
             "--model %s",
             models[m].model);
    journey_ok(j, args);
    json_t *o = journey_json(j);
    const json_t *split = json_object_get(o, "split");
    assert_true(json_integer_value(json_object_get(split, "train")) > 100);
    assert_true(json_integer_value(json_object_get(split, "test")) > 20);
    json_decref(o);
    journey_ok(j, "evaluate i.safetensors plain.csv --json");
    o = journey_json(j);
    const json_t *conformal = json_object_get(o, "conformal");
    assert_true(json_is_true(json_object_get(conformal, "own")) == models[m].own);
    assert_true(json_number_value(json_object_get(conformal, "coverage")) > 0.85);
    assert_true(json_number_value(json_object_get(conformal, "half_width")) < 2);
    json_decref(o);
    journey_ok(j, "predict i.safetensors plain.csv");
    assert_true(strncmp(j->out, "row,value,low,high\n", 19) == 0);
    double row, value, low, high;
    for (const char *at = strchr(j->out, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
      assert_int_equal(sscanf(at, "%lf,%lf,%lf,%lf", &row, &value, &low, &high), 4);
      assert_true(low <= high && (models[m].own || (low < value && value < high)));
    }
    journey_ok(j, "predict i.safetensors plain.csv --last 1 --json");
    o = journey_json(j);
    assert_true(json_number_value(json_object_get(o, "low")) >= low - 1e-4);
    assert_true(json_number_value(json_object_get(o, "high")) <= high + 1e-4);
    json_decref(o);
    journey_ok(j, "evaluate i.safetensors plain.csv --report r.html");
    assert_non_null(strstr(j->out, models[m].own ? "half the width" : "plus or minus"));
    char path[256];
    journey_path(path, j, "r.html");
    char *html = journey_slurp(path);
    assert_non_null(strstr(html, models[m].own ? "half their width is" : "plus or minus"));
    free(html);
  }
  /* Without rows to validate there is nothing to promise. */
  journey_ok(j, "train plain.csv --task regression --target grade --model linear --train-share 1 "
                "--valid-share 0 --out n.safetensors --quiet");
  journey_ok(j, "predict n.safetensors plain.csv --last 1");
  assert_true(strncmp(j->out, "row,value\n", 10) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_ranking, setup, journey_teardown),
      cmocka_unit_test_setup_teardown(test_files_beside_the_rows, setup, journey_teardown),
      cmocka_unit_test_setup_teardown(test_out_and_back, setup, journey_teardown),
      cmocka_unit_test_setup_teardown(test_explain, setup, journey_teardown),
      cmocka_unit_test_setup_teardown(test_intervals, setup, journey_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
