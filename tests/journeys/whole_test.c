/* Whole journeys of the command: from a simulated market to predictions and a report, twice with
 * the same bytes, interrupted and resumed, with every way of giving options. */
#include "tests/journeys/journey.h"

#include <math.h>

static int setup(void **state) {
  journey_setup(state);
  journey *j = *state;
  journey_ok(j, "simulate --rows 3000 --seed 7 --posterior --out market.csv --quiet");
  journey_ok(j, "train market.csv --model linear --seed 1 --out linear.safetensors --quiet");
  return 0;
}

static void assert_has(const json_t *o, const char *const *keys, const char *what) {
  for (; *keys; keys++)
    if (!json_object_get(o, *keys)) fail_msg("%s: no \"%s\"", what, *keys);
}

static void test_every_command_has_help(void **state) {
  static const char *const names[] = {"describe", "simulate", "train",  "evaluate", "predict",
                                      "serve",    "options",  "models", "bench",    "version"};
  journey *j = *state;
  journey_ok(j, "--help");
  char *overview = strdup(j->out);
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    char args[128];
    assert_non_null(strstr(overview, names[i]));
    snprintf(args, sizeof args, "%s --help", names[i]);
    journey_ok(j, args);
    assert_non_null(strstr(j->out, "Usage: garam"));
    assert_non_null(strstr(j->out, "--threads"));
    snprintf(args, sizeof args, "help %s", names[i]);
    char *first = strdup(j->out);
    journey_ok(j, args);
    assert_string_equal(first, j->out);
    free(first);
  }
  free(overview);
  journey_ok(j, "train x.csv --model transformer --help");
  assert_non_null(strstr(j->out, "--d-model"));
  journey_ok(j, "train x.csv --model linear --help");
  assert_null(strstr(j->out, "--d-model"));
}

static void test_options_are_described(void **state) {
  static const char *const transformer[] = {"name", "options", "presets", "tasks", NULL};
  journey *j = *state;
  journey_ok(j, "options transformer --json");
  json_t *o = journey_json(j);
  assert_has(o, transformer, "options transformer");
  size_t i;
  json_t *row;
  bool found = false;
  json_array_foreach(json_object_get(o, "options"), i, row) {
    static const char *const keys[] = {"name", "key", "type", "default", "help", NULL};
    assert_has(row, keys, "a row");
    if (strcmp(json_string_value(json_object_get(row, "name")), "d-model") == 0) {
      found = true;
      assert_string_equal(json_string_value(json_object_get(row, "default")), "512");
      assert_string_equal(json_string_value(json_object_get(row, "key")), "d_model");
    }
  }
  assert_true(found);
  json_decref(o);
  journey_ok(j, "models --json");
  o = journey_json(j);
  assert_true(json_array_size(json_object_get(o, "models")) >= 2);
  json_decref(o);
  journey_ok(j, "version --json");
  static const char *const version[] = {"version", "compiler", "isa", "threads", NULL};
  o = journey_json(j);
  assert_has(o, version, "version");
  json_decref(o);
}

static void test_describe(void **state) {
  static const char *const keys[] = {"rows",     "columns", "time",    "gaps",  "duplicates",
                                     "unsorted", "jumps",   "missing", "leaks", NULL};
  journey *j = *state;
  journey_ok(j, "describe market.csv --json");
  json_t *o = journey_json(j);
  assert_has(o, keys, "describe");
  assert_int_equal(json_integer_value(json_object_get(o, "rows")), 3000);
  json_decref(o);
  journey_ok(j, "describe market.csv");
  assert_non_null(strstr(j->out, "3,000 rows"));
}

/* The same bars, one of them with a column that knows the next close: only that one is caught. */
static void test_audit(void **state) {
  journey *j = *state;
  char path[256], line[512];
  journey_ok(j, "simulate --rows 2500 --seed 21 --out honest.csv --quiet");
  journey_ok(j, "describe honest.csv --audit --json");
  json_t *o = journey_json(j);
  assert_int_equal(json_array_size(json_object_get(o, "leaks")), 0);
  assert_true(json_is_true(json_object_get(o, "recompute")));
  json_decref(o);

  static char rows[2501][256];
  int n = 0;
  journey_path(path, j, "honest.csv");
  FILE *f = fopen(path, "r");
  while (n < 2501 && fgets(rows[n], sizeof *rows, f)) rows[n][strcspn(rows[n], "\n")] = 0, n++;
  fclose(f);
  assert_int_equal(n, 2501);
  journey_path(path, j, "leaky.csv");
  f = fopen(path, "w");
  fprintf(f, "%s,signal\n", rows[0]);
  for (int i = 1; i < n; i++) { /* close is the fifth field */
    double close[2] = {0, 0};
    for (int k = 0; k < 2; k++) {
      snprintf(line, sizeof line, "%s", rows[i + k < n ? i + k : i]);
      char *at = line;
      for (int field = 0; field < 4; field++) at = strchr(at, ',') + 1;
      close[k] = strtod(at, NULL);
    }
    fprintf(f, "%s,%.8f\n", rows[i], log(close[1] / close[0]));
  }
  fclose(f);
  journey_ok(j, "describe leaky.csv --audit --json");
  o = journey_json(j);
  json_t *leaks = json_object_get(o, "leaks");
  assert_true(json_array_size(leaks) >= 1);
  assert_string_equal(json_string_value(json_object_get(json_array_get(leaks, 0), "column")),
                      "signal");
  json_decref(o);
  journey_ok(j, "describe leaky.csv --audit");
  assert_non_null(strstr(j->out, "signal"));
  assert_non_null(strstr(j->out, "before you train"));
}

/* What has no price is described all the same; with a target its columns are screened. Names with
 * commas stay one cell in what predict writes. */
static void test_plain_audit(void **state) {
  journey *j = *state;
  char path[256];
  journey_path(path, j, "plain.csv");
  FILE *f = fopen(path, "w");
  fputs("a,\"odd, name\",again,answer\n", f);
  uint32_t noise = 7;
  for (int i = 0; i < 3000; i++) {
    noise = noise * 1664525u + 1013904223u;
    double a = (double)(noise >> 16) / 65536, b = (double)(noise >> 8 & 255) / 256;
    bool yes = a + 0.5 * b > 0.7;
    fprintf(f, "%.4f,%.4f,%d,%s\n", a, b, yes, yes ? "\"yes, sir\"" : "\"say \"\"no\"\"\"");
  }
  fclose(f);
  journey_ok(j, "describe plain.csv --audit --json");
  json_t *o = journey_json(j);
  assert_true(json_is_null(json_object_get(o, "leaks"))); /* not looked for is not none */
  json_decref(o);
  journey_ok(j, "describe plain.csv --audit");
  assert_non_null(strstr(j->out, "--target COLUMN"));
  assert_non_null(strstr(j->out, "odd, name"));
  journey_ok(j, "describe plain.csv --audit --target answer --json");
  o = journey_json(j);
  json_t *leaks = json_object_get(o, "leaks");
  assert_int_equal(json_array_size(leaks), 1);
  assert_string_equal(json_string_value(json_object_get(json_array_get(leaks, 0), "column")),
                      "again");
  json_decref(o);
  journey_run(j, "describe plain.csv --target anwser");
  assert_int_equal(j->code, 1);
  assert_non_null(strstr(j->err, "did you mean \"answer\""));

  journey_ok(j, "train plain.csv --model linear --target answer --out plain.safetensors --quiet");
  journey_ok(j, "predict plain.safetensors plain.csv --out plain-p.csv");
  journey_ok(j, "describe plain-p.csv --json");
  o = journey_json(j);
  json_t *columns = json_object_get(o, "columns");
  static const char *const names[] = {"row", "p_say \"no\"", "p_yes, sir", "label", "abstain"};
  assert_int_equal(json_array_size(columns), COUNT_OF(names));
  for (size_t i = 0; i < COUNT_OF(names); i++)
    assert_string_equal(json_string_value(json_object_get(json_array_get(columns, i), "name")),
                        names[i]);
  json_decref(o);
}

/* A reader that has seen enough (head) is no error worth a line; a full disk is. */
static void test_reader_that_leaves(void **state) {
  static const char *const ways[] = {"simulate --rows 5000", /* each more than a pipe holds */
                                     "predict plain.safetensors plain.csv",
                                     "predict plain.safetensors plain.csv --json"};
  journey *j = *state;
  for (size_t i = 0; i < COUNT_OF(ways); i++) {
    char line[1024], path[256];
    snprintf(line, sizeof line,
             "cd %s && { '%s' %s 2>pipe-said; echo $? >pipe-code; } | head -c 1 >/dev/null",
             j->folder, getenv("GARAM_COMMAND"), ways[i]);
    assert_int_equal(system(line), 0);
    journey_path(path, j, "pipe-said");
    char *said = journey_slurp(path);
    journey_path(path, j, "pipe-code");
    char *code = journey_slurp(path);
    if (strcmp(code, "1\n") != 0 || said[0]) fail_msg("%s: exit %s: %s", ways[i], code, said);
    free(said);
    free(code);
  }
  j->to = "/dev/full";
  journey_run(j, "describe market.csv");
  assert_int_equal(j->code, 1);
  assert_non_null(strstr(j->err, "standard output: cannot write"));
}

/* Validation on a file of its own, the curve as JSON lines, events for TensorBoard. */
static void test_train_outputs(void **state) {
  journey *j = *state;
  journey_ok(j, "simulate --rows 1200 --seed 31 --out other.csv --quiet");
  journey_ok(j, "train market.csv --valid other.csv --model mlp --hidden 8 --epochs 2 --out "
                "mlp.safetensors --curve curve.jsonl --events events --json --quiet");
  json_t *o = journey_json(j);
  assert_int_equal(json_integer_value(json_object_get(o, "epochs")), 2);
  assert_int_equal(json_array_size(json_object_get(o, "train_loss")), 2);
  char path[256], line[1024];
  journey_path(path, j, "curve.jsonl");
  FILE *f = fopen(path, "r");
  for (int i = 0; i < 2; i++) {
    json_error_t error;
    assert_non_null(fgets(line, sizeof line, f));
    json_t *epoch = json_loads(line, 0, &error);
    assert_int_equal(json_integer_value(json_object_get(epoch, "epoch")), i + 1);
    double loss = json_number_value(json_object_get(epoch, "valid_loss"));
    double same = json_number_value(json_array_get(json_object_get(o, "valid_loss"), (size_t)i));
    assert_true(loss > 0 && fabs(loss - same) < 1e-12);
    json_decref(epoch);
  }
  assert_null(fgets(line, sizeof line, f));
  fclose(f);
  json_decref(o);
  journey_path(path, j, "events");
  DIR *d = opendir(path);
  assert_non_null(d);
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) n += strstr(e->d_name, "tfevents") != NULL;
  closedir(d);
  assert_int_equal(n, 1);
}

static void test_train_evaluate_predict(void **state) {
  static const char *const train[] = {"model",      "rows",       "epochs",     "seconds",
                                      "train_loss", "valid_loss", "best_epoch", "parameters",
                                      "out",        "sha256",     NULL};
  static const char *const evaluate[] = {
      "rows",   "accuracy", "macro_f1",       "log_loss",
      "brier",  "interval", "coverage_at_95", "directional_coverage_at_95",
      "detail", "backtest", "baselines",      "calibration_error",
      NULL};
  static const char *const baselines[] = {"majority", "persistence", "momentum", NULL};
  static const char *const backtest[] = {
      "sharpe", "deflated_sharpe", "max_drawdown", "turnover", "net_return", "buy_and_hold", NULL};
  journey *j = *state;
  journey_ok(j, "train market.csv --model linear --seed 1 --out again.safetensors --json --quiet "
                "--threads 1");
  json_t *o = journey_json(j);
  assert_has(o, train, "train");
  assert_int_equal(json_integer_value(json_object_get(o, "rows")), 3000);
  json_decref(o);
  assert_true(journey_same_files(j, "linear.safetensors", "again.safetensors"));

  journey_ok(j, "evaluate linear.safetensors market.csv --report report.html --json");
  o = journey_json(j);
  assert_has(o, evaluate, "evaluate");
  assert_has(json_object_get(o, "baselines"), baselines, "baselines");
  assert_has(json_object_get(o, "backtest"), backtest, "backtest");
  double accuracy = json_number_value(json_object_get(o, "accuracy"));
  assert_true(accuracy > 0.2 && accuracy < 0.95);
  json_decref(o);
  char path[256];
  journey_path(path, j, "report.html");
  char *html = journey_slurp(path);
  assert_non_null(strstr(html, "<!doctype html>"));
  assert_non_null(strstr(html, "</html>"));
  static const char *const forbidden[] = {"<script", "http://", "https://", "url(", "@import"};
  for (size_t i = 0; i < COUNT_OF(forbidden); i++) assert_null(strstr(html, forbidden[i]));
  free(html);

  journey_ok(j, "predict market.csv linear.safetensors --help");
  journey_ok(j, "predict --out p.csv linear.safetensors market.csv --quiet");
  journey_path(path, j, "p.csv");
  FILE *f = fopen(path, "r");
  char line[512];
  assert_non_null(fgets(line, sizeof line, f));
  assert_string_equal(line, "time,p_down,p_flat,p_up,label,abstain\n");
  int n = 0;
  while (fgets(line, sizeof line, f)) {
    double down, flat, up;
    char label[16];
    int abstain;
    assert_int_equal(sscanf(strchr(line, ',') + 1, "%lf,%lf,%lf,%15[a-z],%d", &down, &flat, &up,
                            label, &abstain),
                     5);
    assert_true(fabs(down + flat + up - 1) < 1e-5);
    const char *top = down >= flat && down >= up ? "down" : flat >= up ? "flat" : "up";
    assert_string_equal(label, top);
    n++;
  }
  fclose(f);
  assert_true(n > 2500 && n <= 3000);
  journey_ok(j, "predict linear.safetensors market.csv --last 1 --json");
  o = journey_json(j);
  assert_non_null(json_object_get(o, "p_up"));
  json_decref(o);
}

/* Flags in any order and form, a config file that says the same, flags that win over it. */
static void test_ways_to_say_it(void **state) {
  static const char config[] = "{\"model\": \"linear\", \"horizon\": 3, \"seed\": 4, "
                               "\"out\": \"b.safetensors\"}";
  static const char wrong[] = "{\"model\": \"linear\", \"horizon\": 9, \"seed\": 4, "
                              "\"out\": \"c.safetensors\"}";
  journey *j = *state;
  journey_write(j, "config.json", config, strlen(config));
  journey_write(j, "wrong.json", wrong, strlen(wrong));
  journey_ok(j, "train --horizon 3 market.csv --seed=4 --model linear --out=a.safetensors --quiet");
  journey_ok(j, "train market.csv --config config.json --quiet");
  journey_ok(j, "train --config wrong.json --horizon 3 market.csv --quiet");
  assert_true(journey_same_files(j, "a.safetensors", "b.safetensors"));
  assert_true(journey_same_files(j, "a.safetensors", "c.safetensors"));
  journey_ok(j, "train market.csv --config config.json --horizon 2 --out d.safetensors --quiet");
  assert_false(journey_same_files(j, "a.safetensors", "d.safetensors"));
}

static void test_simulate(void **state) {
  journey *j = *state;
  journey_ok(j, "simulate --rows 500 --seed 9 --out a.csv --json");
  json_t *o = journey_json(j);
  double bayes = json_number_value(json_object_get(o, "bayes_accuracy"));
  assert_true(bayes > 1.0 / 3 && bayes < 1);
  json_decref(o);
  journey_ok(j, "simulate --rows 500 --seed 9");
  char path[256];
  journey_path(path, j, "a.csv");
  char *text = journey_slurp(path);
  assert_string_equal(text, j->out);
  free(text);
  assert_non_null(strstr(j->err, "Bayes"));
}

/* Ctrl-C saves; the same command with --resume gives the bytes of a run that was left alone. */
static void test_interrupt_and_resume(void **state) {
  static const char train[] =
      "train market.csv --model transformer --d-model 8 --heads 2 --layers 1 --d-ff 8 --seq 8 "
      "--epochs 3 --seed 5 --out %s%s";
  char args[512];
  journey *j = *state;
  snprintf(args, sizeof args, train, "whole.safetensors", " --quiet");
  journey_ok(j, args);
  assert_false(journey_has(j, "whole.safetensors.checkpoint"));

  bool interrupted = false;
  snprintf(args, sizeof args, train, "cut.safetensors", " --curve cut.jsonl");
  journey_start(j, args);
  for (int i = 0; i < 6000 && !interrupted; i++) { /* until the first epoch is there */
    char path[256];
    struct stat info;
    journey_sleep_ms(20);
    journey_path(path, j, "cut.jsonl");
    interrupted = stat(path, &info) == 0 && info.st_size > 0;
  }
  assert_true(interrupted);
  kill(j->pid, SIGINT);
  journey_wait(j);
  if (j->code == 0) { /* the machine was so fast that it was over */
    assert_true(journey_same_files(j, "whole.safetensors", "cut.safetensors"));
    skip();
  }
  assert_int_equal(j->code, 1);
  assert_non_null(strstr(j->err, "interrupted"));
  assert_non_null(strstr(j->err, "--resume"));
  assert_false(journey_has(j, "cut.safetensors"));
  assert_true(journey_has(j, "cut.safetensors.checkpoint"));

  /* A checkpoint of another run is not gone on from. */
  journey_run(j, "train market.csv --model transformer --d-model 8 --heads 2 --layers 1 --d-ff 8 "
                 "--seq 8 --epochs 3 --seed 6 --out cut.safetensors --resume");
  assert_int_equal(j->code, 1);
  assert_non_null(strstr(j->err, "checkpoint"));

  strcat(args, " --resume --quiet");
  journey_ok(j, args);
  assert_true(journey_same_files(j, "whole.safetensors", "cut.safetensors"));
  assert_false(journey_has(j, "cut.safetensors.checkpoint"));
}

static void test_plain_table(void **state) {
  journey *j = *state;
  char path[256];
  journey_path(path, j, "plain.csv");
  FILE *f = fopen(path, "w");
  fputs("a,b,kind,y\n", f);
  uint32_t r = 3;
  for (int i = 0; i < 800; i++) {
    r = r * 1664525u + 1013904223u;
    double a = (double)(r >> 16) / 65536 - 0.5;
    r = r * 1664525u + 1013904223u;
    double b = (double)(r >> 16) / 65536 - 0.5;
    fprintf(f, "%.5f,%.5f,%s,%d\n", a, b, i % 3 ? "red" : "blue", a + 0.5 * b > 0);
  }
  fclose(f);
  journey_ok(j, "train plain.csv --target y --task binary --model linear --out plain.safetensors "
                "--quiet");
  journey_ok(j, "evaluate plain.safetensors plain.csv --json");
  json_t *o = journey_json(j);
  assert_true(json_number_value(json_object_get(o, "auc")) > 0.95);
  json_decref(o);
  journey_ok(j, "predict plain.safetensors plain.csv");
  assert_true(strncmp(j->out, "row,", 4) == 0);
}

/* The script for bash knows the commands, the options of the model that is typed, and choices. */
static void test_completion(void **state) {
  static const struct {
    const char *words, *wanted;
  } cases[] = {
      {"garam eval", "evaluate"},
      {"garam train x.csv --hor", "--horizon"},
      {"garam train x.csv --model transf", "transformer"},
      {"garam train x.csv --model transformer --d-mo", "--d-model"},
      {"garam train x.csv --label barr", "barrier"},
      {"garam train x.csv --model transformer --preset sma", "small"},
      {"garam bench ma", "machine"},
  };
  journey *j = *state;
  journey_ok(j, "completion bash");
  journey_write(j, "completion.bash", j->out, strlen(j->out));
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char line[1024], answer[256] = "";
    snprintf(line, sizeof line,
             "PATH=$(dirname $GARAM_COMMAND):$PATH bash -c '. %s/completion.bash; COMP_WORDS=(%s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _garam; echo ${COMPREPLY[@]}'",
             j->folder, cases[i].words);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    if (!fgets(answer, sizeof answer, f)) answer[0] = 0;
    pclose(f);
    answer[strcspn(answer, "\n")] = 0;
    if (strcmp(answer, cases[i].wanted) != 0)
      fail_msg("%s: \"%s\", not \"%s\"", cases[i].words, answer, cases[i].wanted);
  }
}

/* The example is a host: built on the public headers and the shared library. */
static void test_example(void **state) {
  journey *j = *state;
  char line[512], text[2048];
  snprintf(line, sizeof line,
           "cd %s && $(dirname $GARAM_COMMAND)/examples/predict linear.safetensors market.csv",
           j->folder);
  FILE *f = popen(line, "r");
  assert_non_null(f);
  text[fread(text, 1, sizeof text - 1, f)] = 0;
  assert_int_equal(pclose(f), 0);
  assert_non_null(strstr(text, "classification: windows of 1 rows"));
  assert_non_null(strstr(text, "flat"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_command_has_help),
      cmocka_unit_test(test_options_are_described),
      cmocka_unit_test(test_describe),
      cmocka_unit_test(test_simulate),
      cmocka_unit_test(test_audit),
      cmocka_unit_test(test_plain_audit),
      cmocka_unit_test(test_reader_that_leaves),
      cmocka_unit_test(test_train_outputs),
      cmocka_unit_test(test_train_evaluate_predict),
      cmocka_unit_test(test_ways_to_say_it),
      cmocka_unit_test(test_plain_table),
      cmocka_unit_test(test_completion),
      cmocka_unit_test(test_example),
      cmocka_unit_test(test_interrupt_and_resume),
  };
  return cmocka_run_group_tests_name("whole journeys", tests, setup, journey_teardown);
}
