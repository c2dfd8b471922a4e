/* Models and policies in fewer bytes: they are judged, played, served and exported as they were,
 * and nearly as good; and what is refused leaves nothing behind. */
#include "tests/journeys/journey.h"

#include <math.h>

static int setup(void **state) {
  journey_setup(state);
  journey *j = *state;
  journey_ok(j, "simulate --rows 3000 --seed 7 --out market.csv --quiet");
  journey_ok(j, "train market.csv --model transformer --preset tiny --epochs 2 --quiet "
                "--out model.safetensors");
  journey_ok(j, "train market.csv --model gbdt --rounds 5 --quiet --out trees.safetensors");
  journey_ok(j, "rl train --env CartPole-v1 --agent ppo --steps 12000 --hidden 64,64 --epochs 4 "
                "--eval-episodes 5 --episodes 10 --quiet --out policy.safetensors");
  journey_write(j, "broken.safetensors", "nonsense", 8);
  return 0;
}

static double number_at(const json_t *o, const char *key) {
  const json_t *value = json_object_get(o, key);
  if (!json_is_number(value)) fail_msg("no number \"%s\"", key);
  return json_number_value(value);
}

static double number_of(journey *j, const char *args, const char *key) {
  journey_ok(j, args);
  json_t *o = journey_json(j);
  const double v = number_at(o, key);
  json_decref(o);
  return v;
}

/* Where the result is worse, half of that is too much and twice that is not; where it is better,
 * any limit holds. */
static void check_limit(journey *j, const char *command, double change) {
  char line[512], *files = journey_files(j);
  snprintf(line, sizeof line, "%s --out limited --max-loss %.15f%%", command,
           change > 0 ? 50 * change : 0.0);
  journey_run(j, line);
  char *after = journey_files(j);
  if (change > 0) {
    assert_int_equal(j->code, 1);
    assert_non_null(strstr(j->err, "nothing was written"));
    assert_string_equal(files, after);
  } else {
    assert_int_equal(j->code, 0);
  }
  snprintf(line, sizeof line, "%s --out limited --max-loss %.15f%%", command,
           change > 0 ? 200 * change : 0.0);
  journey_ok(j, line);
  free(files);
  free(after);
}

static const struct {
  const char *to;
  double bytes; /* of a model, as a share: its biases, norms and header stay */
  double loss, error;
} rows[] = {
    {"bf16", 0.65, 0.002, 0.004},
    {"int8", 0.50, 0.01, 0.01},
    {"int4", 0.40, 0.05, 0.10},
};

static void test_model(void **state) {
  journey *j = *state;
  char line[512];
  const double before = number_of(j, "evaluate model.safetensors market.csv --json", "log_loss");
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    snprintf(line, sizeof line,
             "compress model.safetensors --to %s --out small.safetensors --data market.csv --json",
             rows[i].to);
    journey_ok(j, line);
    json_t *o = journey_json(j), *loss = json_object_get(o, "loss");
    assert_true(number_at(o, "bytes_after") < rows[i].bytes * number_at(o, "bytes_before"));
    assert_true(number_at(o, "worst_relative_error") < rows[i].error);
    assert_true(json_array_size(json_object_get(o, "tensors")) >= 12);
    const double after = number_of(j, "evaluate small.safetensors market.csv --json", "log_loss");
    assert_true(after != before); /* or nothing was coded */
    if (!(fabs(after / before - 1) < rows[i].loss))
      fail_msg("%s: log loss %g, was %g", rows[i].to, after, before);
    assert_string_equal(json_string_value(json_object_get(loss, "name")), "log_loss");
    assert_true(fabs(number_at(loss, "before") - before) < 1e-12);
    assert_true(fabs(number_at(loss, "after") - after) < 1e-12);
    snprintf(line, sizeof line, "compress model.safetensors --to %s --data market.csv", rows[i].to);
    check_limit(j, line, number_at(loss, "change"));
    json_decref(o);
    journey_ok(j, "predict small.safetensors market.csv --last 3");
  }
  /* The same bytes again, and for any number of threads. */
  journey_ok(j, "compress model.safetensors --to int4 --out one.safetensors --threads 1 --quiet");
  journey_ok(j, "compress model.safetensors --to int4 --out four.safetensors --threads 4 --quiet");
  assert_true(journey_same_files(j, "one.safetensors", "four.safetensors"));
  assert_true(journey_same_files(j, "one.safetensors", "small.safetensors"));
  journey_ok(j, "compress model.safetensors --to int8 --out one.safetensors");
  assert_non_null(strstr(j->out, "learner.embed.weight"));
}

static void test_policy(void **state) {
  journey *j = *state;
  char line[512];
  const char evaluate[] = "rl evaluate %s --episodes 10 --seeds 3 --json";
  snprintf(line, sizeof line, evaluate, "policy.safetensors");
  const double before = number_of(j, line, "iqm");
  assert_true(before > 40);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    snprintf(line, sizeof line,
             "compress policy.safetensors --to %s --out p-%s.safetensors --episodes 20 --json",
             rows[i].to, rows[i].to);
    journey_ok(j, line);
    json_t *o = journey_json(j);
    assert_true(number_at(o, "bytes_after") < 0.7 * number_at(o, "bytes_before"));
    const json_t *loss = json_object_get(o, "loss");
    const double was = number_at(loss, "before"), is = number_at(loss, "after");
    assert_string_equal(json_string_value(json_object_get(loss, "name")), "return");
    assert_true(fabs(number_at(loss, "change") - (was - is) / was) < 1e-12);
    snprintf(line, sizeof line, "compress policy.safetensors --to %s --episodes 20", rows[i].to);
    check_limit(j, line, number_at(loss, "change"));
    json_decref(o);
    snprintf(line, sizeof line, "rl evaluate p-%s.safetensors --episodes 20 --seeds 1 --json",
             rows[i].to);
    assert_true(number_of(j, line, "iqm") == is);
    snprintf(line, sizeof line, "p-%s.safetensors", rows[i].to);
    char command[512];
    snprintf(command, sizeof command, evaluate, line);
    const double after = number_of(j, command, "iqm");
    if (!(after > 0.7 * before)) fail_msg("%s: returns %g, was %g", rows[i].to, after, before);
  }
  journey_ok(j, "rl play p-int4.safetensors --json");
  journey_ok(j, "export p-int8.safetensors --format onnx --out small.onnx");
  journey_ok(j, "export policy.safetensors --format onnx --out large.onnx");
  char a[256], b[256];
  struct stat small, large;
  journey_path(a, j, "small.onnx");
  journey_path(b, j, "large.onnx");
  assert_int_equal(stat(a, &small) + stat(b, &large), 0);
  assert_int_equal(small.st_size, large.st_size); /* floats again */
  assert_false(journey_same_files(j, "small.onnx", "large.onnx"));
}

static const journey_refusal bad[] = {
    {"compress", 2, "operand"},
    {"compress model.safetensors", 2, "--out"},
    {"compress model.safetensors --to int5 --out o", 2, "int5|int8"},
    {"compress model.safetensors --to int4 --group 4 --out o", 2, "--group"},
    {"compress model.safetensors --max-loss 1% --out o", 2, "--data"},
    {"compress model.safetensors --data market.csv --max-loss 1 --out o", 2, "0.5%"},
    {"compress model.safetensors --data market.csv --max-loss x% --out o", 2, "x%"},
    {"compress model.safetensors --data market.csv --max-loss -1% --out o", 2, "-1%"},
    {"compress nothing.safetensors --out o", 1, "nothing.safetensors"},
    {"compress broken.safetensors --out o", 1, "broken.safetensors"},
    {"compress market.csv --out o", 1, "market.csv"},
    {"compress trees.safetensors --out o", 1, "trees.safetensors|nothing to compress"},
    {"compress model.safetensors --out nowhere/o", 1, "nowhere"},
    {"compress model.safetensors --data market.csv --out nowhere/o", 1, "nowhere"},
    {"compress model.safetensors --data none.csv --out o", 1, "none.csv"},
    {"compress policy.safetensors --data market.csv --out o", 1, "policy.safetensors|--episodes"},
    {"compress model.safetensors --episodes 5 --out o", 1, "model.safetensors|--data"},
    {"compress model.safetensors --episodes 5 --data market.csv --out o", 2, "one of them"},
    {"compress done.safetensors --out o", 1, "done.safetensors|compressed already"},
};

static void test_bad(void **state) {
  journey *j = *state;
  journey_ok(j, "compress model.safetensors --to bf16 --out done.safetensors --quiet");
  assert_int_equal(journey_refuses(j, bad, COUNT_OF(bad)), 0);
  j->file_size = 4096; /* a disk that is full */
  const journey_refusal full = {"compress model.safetensors --out o", 1, ""};
  assert_int_equal(journey_refuses(j, &full, 1), 0);
}

/* One bit of the codes is another weight, but one bit of the record or of a scale's exponent is an
 * error or a model: never a crash. */
static void test_damaged(void **state) {
  journey *j = *state;
  journey_ok(j, "compress policy.safetensors --to int4 --out d.safetensors --quiet");
  char path[256];
  journey_path(path, j, "d.safetensors");
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  char *bytes = journey_slurp(path);
  const size_t size = (size_t)info.st_size;
  for (size_t at = 9; at < size; at += size / 40) {
    const char kept = bytes[at];
    bytes[at] = (char)(kept ^ 0x40);
    journey_write(j, "d.safetensors", bytes, size);
    bytes[at] = kept;
    journey_run(j, "rl evaluate d.safetensors --episodes 1 --seeds 1 --json");
    if (j->code != 0 && j->code != 1) fail_msg("byte %zu: exit %d", at, j->code);
    if (j->code == 1 && !strstr(j->err, "d.safetensors")) fail_msg("byte %zu: %s", at, j->err);
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_policy),
      cmocka_unit_test(test_bad),
      cmocka_unit_test(test_damaged),
  };
  return cmocka_run_group_tests_name("compress", tests, setup, journey_teardown);
}
