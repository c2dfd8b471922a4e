#include "base/opt.h"

#include "base/mem.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct sample_config {
  bool resume, shuffle;
  int epochs;
  int64_t rows;
  double learning_rate, any;
  int64_t memory;
  int task;
  char out[8];
} sample_config;

static const char *const tasks[] = {"classification", "regression", "binary", NULL};

static const opt_row rows[] = {
    {"resume", OPT_BOOL, OPT_AT(sample_config, resume), .help = "go on"},
    {"shuffle", OPT_BOOL, OPT_AT(sample_config, shuffle), .def = 1, .help = "mix rows"},
    {"epochs", OPT_INT, OPT_AT(sample_config, epochs), .def = 10, .min = 1, .max = 1000,
     .unit = "passes", .help = "how long"},
    {"max-rows", OPT_I64, OPT_AT(sample_config, rows), .def = -1, .help = "rows at most"},
    {"learning-rate", OPT_F64, OPT_AT(sample_config, learning_rate), .def = 1e-4, .min = 1e-8,
     .max = 1, .scale = OPT_LOG, .search = {1e-5, 1e-2}, .help = "step size"},
    {"any", OPT_F64, OPT_AT(sample_config, any), .help = "any number"},
    {"memory", OPT_BYTES, OPT_AT(sample_config, memory), .def = 1 << 20, .min = 1024, .max = 1e15,
     .unit = "bytes", .help = "limit"},
    {"task", OPT_ENUM, OPT_AT(sample_config, task), .def = 1, .choices = tasks, .help = "what"},
    {"out", OPT_STRING, OPT_AT(sample_config, out), .def_text = "a.st", .help = "file"},
};
enum { N = COUNT_OF(rows) };

static void defaults(void **state) {
  (void)state;
  sample_config c;
  memset(&c, 0x55, sizeof c);
  opt_defaults(rows, N, &c);
  assert_false(c.resume);
  assert_true(c.shuffle);
  assert_int_equal(c.epochs, 10);
  assert_int_equal(c.rows, -1);
  assert_true(c.learning_rate == 1e-4 && c.any == 0);
  assert_int_equal(c.memory, 1 << 20);
  assert_int_equal(c.task, 1);
  assert_string_equal(c.out, "a.st");
  assert_ptr_equal(opt_find(rows, N, "learning_rate"), opt_find(rows, N, "learning-rate"));
  assert_null(opt_find(rows, N, "learning"));
  assert_null(opt_find(rows, N, "learning-rates"));
}

/* Text, the value as text again; or the message. */
static void from_text(void **state) {
  (void)state;
  static const struct {
    const char *name, *text, *value, *message;
  } cases[] = {
      {"resume", "true", "true", NULL},
      {"resume", "1", "true", NULL},
      {"shuffle", "no", "false", NULL},
      {"shuffle", "off", "false", NULL},
      {"resume", "maybe", NULL, "--resume: expected true or false, found \"maybe\""},
      {"epochs", "1000", "1000", NULL},
      {"epochs", "0", NULL, "--epochs: 0 is outside 1 to 1000"},
      {"epochs", "1001", NULL, "--epochs: 1001 is outside 1 to 1000"},
      {"epochs", "ten", NULL, "--epochs: expected an integer, found \"ten\""},
      {"epochs", "10.5", NULL, "--epochs: expected an integer, found \"10.5\""},
      {"epochs", "", NULL, "--epochs: expected an integer, found \"\""},
      {"epochs", "10 ", NULL, "--epochs: expected an integer, found \"10 \""},
      {"max-rows", "-9223372036854775808", "-9223372036854775808", NULL},
      {"max-rows", "9223372036854775808", NULL,
       "--max-rows: expected an integer, found \"9223372036854775808\""},
      {"learning-rate", "3e-4", "0.0003", NULL},
      {"learning-rate", "0.1234567890123456", "0.1234567890123456", NULL},
      {"learning-rate", "2", NULL, "--learning-rate: 2 is outside 1e-08 to 1"},
      {"learning-rate", "nan", NULL, "--learning-rate: expected a number, found \"nan\""},
      {"any", "inf", NULL, "--any: expected a number, found \"inf\""},
      {"any", "1e400", NULL, "--any: expected a number, found \"1e400\""},
      {"any", "-1e300", "-1e+300", NULL},
      {"any", "x", NULL, "--any: expected a number, found \"x\""},
      {"memory", "4096", "4096", NULL},
      {"memory", "64K", "65536", NULL},
      {"memory", "2m", "2097152", NULL},
      {"memory", "3GB", "3221225472", NULL},
      {"memory", "1T", NULL, "--memory: expected a size such as 64M, found \"1T\""},
      {"memory", "9999999999G", NULL,
       "--memory: expected a size such as 64M, found \"9999999999G\""},
      {"memory", "1", NULL, "--memory: 1 is outside 1024 to 1000000000000000"},
      {"task", "binary", "binary", NULL},
      {"task", "regresion", NULL,
       "--task: \"regresion\" is not one of classification, regression, "
       "binary; did you mean \"regression\"?"},
      {"task", "Q", NULL, "--task: \"Q\" is not one of classification, regression, binary"},
      {"out", "1234567", "1234567", NULL},
      {"out", "", "", NULL},
      {"out", "12345678", NULL, "--out: longer than 7 characters"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    sample_config c;
    garam_error err = {0};
    char text[OPT_TEXT_MAX], before[OPT_TEXT_MAX];
    const opt_row *row = opt_find(rows, N, cases[i].name);
    opt_defaults(rows, N, &c);
    opt_value_text(before, row, &c);
    garam_status status = opt_set_text(row, &c, cases[i].text, &err);
    opt_value_text(text, row, &c);
    if (cases[i].message) {
      assert_int_equal(status, GARAM_INVALID);
      assert_string_equal(err.message, cases[i].message);
      assert_string_equal(text, before); /* a refused value changes nothing */
    } else {
      if (status != GARAM_OK) fail_msg("%s", err.message);
      assert_string_equal(text, cases[i].value);
    }
  }
}

static void from_json(void **state) {
  (void)state;
  static const struct {
    const char *json, *name, *value, *message;
    garam_status status;
  } cases[] = {
      {"{\"resume\": true}", "resume", "true", NULL, GARAM_OK},
      {"{\"learning_rate\": 0.5}", "learning-rate", "0.5", NULL, GARAM_OK},
      {"{\"learning-rate\": 1}", "learning-rate", "1", NULL, GARAM_OK},
      {"{\"memory\": \"64K\"}", "memory", "65536", NULL, GARAM_OK},
      {"{\"memory\": 5000}", "memory", "5000", NULL, GARAM_OK},
      {"{\"task\": \"binary\"}", "task", "binary", NULL, GARAM_OK},
      {"{\"resume\": 1}", NULL, NULL, "c.json: \"resume\": expected true or false", GARAM_INVALID},
      {"{\"epochs\": 1.5}", NULL, NULL, "c.json: \"epochs\": expected an integer", GARAM_INVALID},
      {"{\"epochs\": \"5\"}", NULL, NULL, "c.json: \"epochs\": expected an integer", GARAM_INVALID},
      {"{\"epochs\": 5000}", NULL, NULL, "c.json: \"epochs\": 5000 is outside 1 to 1000",
       GARAM_INVALID},
      {"{\"any\": null}", NULL, NULL, "c.json: \"any\": expected a number", GARAM_INVALID},
      {"{\"memory\": []}", NULL, NULL, "c.json: \"memory\": expected a size", GARAM_INVALID},
      {"{\"task\": 1}", NULL, NULL, "c.json: \"task\": expected a name", GARAM_INVALID},
      {"{\"out\": 1}", NULL, NULL, "c.json: \"out\": expected a string", GARAM_INVALID},
      {"{\"out\": \"much too long\"}", NULL, NULL, "c.json: \"out\": longer than 7 characters",
       GARAM_INVALID},
      {"{\"epoch\": 5}", NULL, NULL, "c.json: unknown option \"epoch\"; did you mean \"epochs\"?",
       GARAM_NOT_FOUND},
      {"{\"zzzzzzzz\": 5}", NULL, NULL, "c.json: unknown option \"zzzzzzzz\"", GARAM_NOT_FOUND},
      {"[1]", NULL, NULL, "c.json: expected an object", GARAM_PARSE},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    sample_config c;
    garam_error err = {0};
    json_t *o;
    char text[OPT_TEXT_MAX];
    opt_defaults(rows, N, &c);
    assert_int_equal(json_parse(&o, cases[i].json, strlen(cases[i].json), "test", &err), GARAM_OK);
    garam_status status = opt_from_json(rows, N, &c, o, "c.json", &err);
    json_decref(o);
    if (status != cases[i].status) fail_msg("%s: %s", cases[i].json, err.message);
    if (cases[i].message) assert_string_equal(err.message, cases[i].message);
    else
      assert_string_equal(opt_value_text(text, opt_find(rows, N, cases[i].name), &c),
                          cases[i].value);
  }
}

/* Every row through JSON and through its own text. */
static void round_trip(void **state) {
  (void)state;
  sample_config c = {.resume = true,
                     .epochs = 77,
                     .rows = INT64_C(1) << 60,
                     .any = 1.0 / 3,
                     .learning_rate = 0.012345678901234567,
                     .memory = 123456789,
                     .task = 2,
                     .out = "b c\"d"};
  sample_config by_json, by_text;
  garam_error err;
  json_t *o = opt_to_json(rows, N, &c);
  opt_defaults(rows, N, &by_json);
  opt_defaults(rows, N, &by_text);
  if (opt_from_json(rows, N, &by_json, o, "j", &err) != GARAM_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < N; i++) {
    char text[OPT_TEXT_MAX];
    assert_int_equal(opt_set_text(&rows[i], &by_text, opt_value_text(text, &rows[i], &c), &err),
                     GARAM_OK);
  }
  json_t *p = opt_to_json(rows, N, &by_json), *q = opt_to_json(rows, N, &by_text);
  assert_true(json_equal(o, p) && json_equal(o, q));
  assert_true(by_text.any == c.any && by_text.learning_rate == c.learning_rate);
  assert_int_equal(json_object_size(o), N);
  assert_non_null(json_object_get(o, "learning_rate"));
  json_decref(o);
  json_decref(p);
  json_decref(q);
}

typedef struct other_config {
  int port;
  bool verbose;
} other_config;

static const opt_row other_rows[] = {
    {"port", OPT_INT, OPT_AT(other_config, port), .def = 8080, .min = 0, .max = 65535, .help = "p"},
    {"verbose", OPT_BOOL, OPT_AT(other_config, verbose), .help = "v"},
};

static void flags(void **state) {
  (void)state;
  static const struct {
    const char *args[8];
    int stops_at;
    const char *message, *epochs, *port;
    unsigned given; /* bit by row number over both sets */
  } cases[] = {
      {{"--epochs", "5"}, 2, NULL, "5", "8080", 1 << 2},
      {{"--epochs=5", "--port=1"}, 2, NULL, "5", "1", 1 << 2 | 1 << N},
      {{"--no-shuffle", "--resume"}, 2, NULL, "10", "8080", 3},
      {{"--resume=false", "--verbose"}, 2, NULL, "10", "8080", 1 | 1 << (N + 1)},
      {{"data.csv", "--epochs", "5"}, 0, NULL, "10", "8080", 0},
      {{"--epochs", "5", "data.csv", "--port", "1"}, 2, NULL, "5", "8080", 1 << 2},
      {{"-"}, 0, NULL, "10", "8080", 0},
      {{"--", "--epochs"}, 0, NULL, "10", "8080", 0},
      {{"--learning_rate", "0.5"}, 2, NULL, "10", "8080", 1 << 4},
      {{"--out", "--x"}, 2, NULL, "10", "8080", 1 << 8},
      {{"--epochs"}, -1, "--epochs needs a value", NULL, NULL, 0},
      {{"--epochs="}, -1, "--epochs: expected an integer, found \"\"", NULL, NULL, 0},
      {{"--no-epochs"}, -1, "unknown option --no-epochs; did you mean --epochs?", NULL, NULL, 0},
      {{"--no-resume=true"}, -1, "--no-resume takes no value", NULL, NULL, 0},
      {{"--epoch", "5"}, -1, "unknown option --epoch; did you mean --epochs?", NULL, NULL, 0},
      {{"--pot", "5"}, -1, "unknown option --pot; did you mean --port?", NULL, NULL, 0},
      {{"--qqqqqqqqqqq"}, -1, "unknown option --qqqqqqqqqqq", NULL, NULL, 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    sample_config c;
    other_config other;
    opt_set sets[] = {{"Sample", rows, N, &c}, {"Other", other_rows, 2, &other}};
    bool given[N + 2] = {false};
    char *argv[9] = {NULL}, text[OPT_TEXT_MAX];
    int argc = 0, at = 0;
    garam_error err = {0};
    opt_defaults(rows, N, &c);
    opt_defaults(other_rows, 2, &other);
    for (; cases[i].args[argc]; argc++) argv[argc] = mem_strdup(cases[i].args[argc]);
    garam_status status = opt_parse_flag(sets, 2, argc, argv, &at, given, &err);
    if (cases[i].message) {
      assert_int_not_equal(status, GARAM_OK);
      assert_string_equal(err.message, cases[i].message);
    } else {
      if (status != GARAM_OK) fail_msg("%s", err.message);
      assert_int_equal(at, cases[i].stops_at);
      assert_string_equal(opt_value_text(text, &rows[2], &c), cases[i].epochs);
      assert_string_equal(opt_value_text(text, &other_rows[0], &other), cases[i].port);
      for (unsigned k = 0; k < N + 2; k++) assert_int_equal(given[k], cases[i].given >> k & 1);
    }
    for (int k = 0; k < argc; k++) mem_free(argv[k]);
  }
}

/* A host may speak German: what is typed and printed stays as in C. */
static void numbers_in_any_locale(void **state) {
  (void)state;
  char folder[] = "/tmp/garam-locale-XXXXXX", command[256];
  assert_non_null(mkdtemp(folder));
  snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1",
           folder);
  bool made = system(command) >= 0;
  setenv("LOCPATH", folder, 1);
  made =
      made && setlocale(LC_NUMERIC, "de_DE.UTF-8") && strcmp(localeconv()->decimal_point, ",") == 0;
  sample_config c;
  char text[OPT_TEXT_MAX] = "";
  garam_error err = {0};
  opt_defaults(rows, N, &c);
  const opt_row *rate = opt_find(rows, N, "learning-rate");
  garam_status status = opt_set_text(rate, &c, "0.25", &err);
  garam_status comma = opt_set_text(rate, &c, "0,5", &err);
  if (made) opt_value_text(text, rate, &c);
  json_t *number = json_real(0.95);
  char *json = json_text(number);
  setlocale(LC_NUMERIC, "C");
  unsetenv("LOCPATH");
  snprintf(command, sizeof command, "rm -r %s", folder);
  assert_int_equal(system(command), 0);
  json_decref(number);
  if (made) {
    assert_int_equal(status, GARAM_OK);
    assert_int_equal(comma, GARAM_INVALID);
    assert_string_equal(text, "0.25");
    assert_string_equal(json, "0.95");
  }
  mem_free(json);
  if (made) return;
  print_message("no locale with a decimal comma could be made here\n");
  skip();
}

static void help(void **state) {
  (void)state;
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  opt_print_help(out, &(opt_set){"Sample", rows, N, NULL});
  fclose(out);
  static const char *const lines[] = {
      "Sample:\n",
      "  --resume                         go on\n",
      "  --shuffle                        mix rows [on; --no-shuffle]\n",
      "  --epochs N                       how long, in passes [10] (1 to 1000)\n",
      "  --max-rows N                     rows at most [-1]\n",
      "  --learning-rate X                step size [0.0001] (1e-08 to 1)\n",
      "  --memory SIZE                    limit, in bytes [1048576] (1024 to 1e+15)\n",
      ("  --task classification|regression|binary\n"
       "                                   what [regression]\n"),
      "  --out TEXT                       file [a.st]\n",
  };
  for (size_t i = 0; i < COUNT_OF(lines); i++)
    if (!strstr(text, lines[i])) fail_msg("no line \"%s\" in\n%s", lines[i], text);
  free(text);
}

static void description(void **state) {
  (void)state;
  json_t *all = opt_describe(rows, N);
  assert_int_equal(json_array_size(all), N);
  char *text = json_text(json_array_get(all, 4));
  assert_string_equal(text, "{\"name\":\"learning-rate\",\"key\":\"learning_rate\","
                            "\"type\":\"number\","
                            "\"default\":\"0.0001\",\"help\":\"step size\","
                            "\"range\":[1e-8,1.0],\"search\":{\"low\":1e-5,"
                            "\"high\":0.01,\"scale\":\"log\"}}");
  mem_free(text);
  text = json_text(json_array_get(all, 7));
  assert_non_null(strstr(text, "\"choices\":[\"classification\",\"regression\",\"binary\"]"));
  mem_free(text);
  json_decref(all);
}

/* A list in a config file is what would be typed with commas. */
static void lists_are_joined(void **state) {
  (void)state;
  static const struct {
    const char *json, *text, *message; /* message: it is refused with this */
  } all[] = {
      {"{\"out\": [\"a\", \"b:c=1\"]}", "a,b:c=1", NULL},
      {"{\"out\": []}", "", NULL},
      {"{\"out\": [\"a\", 3]}", NULL, "list of strings"},
      {"{\"epochs\": [\"a\"]}", NULL, "expected an integer"},
  };
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    sample_config c;
    garam_error err = {0};
    json_t *o;
    opt_defaults(rows, N, &c);
    assert_int_equal(json_parse(&o, all[i].json, strlen(all[i].json), "c.json", &err), GARAM_OK);
    garam_status status = opt_from_json(rows, N, &c, o, "c.json", &err);
    json_decref(o);
    if (all[i].text) {
      assert_int_equal(status, GARAM_OK);
      assert_string_equal(c.out, all[i].text);
    } else {
      assert_int_equal(status, GARAM_INVALID);
      if (!strstr(err.message, all[i].message)) fail_msg("%s: %s", all[i].json, err.message);
    }
  }
  sample_config c;
  garam_error err = {0};
  json_t *o = json_object(), *list = json_array();
  for (int i = 0; i < 2000; i++) json_array_append_new(list, json_string("member"));
  json_object_set_new(o, "out", list);
  assert_int_equal(opt_from_json(rows, N, &c, o, "c.json", &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "longer than"));
  json_decref(o);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_are_joined),
      cmocka_unit_test(defaults),
      cmocka_unit_test(from_text),
      cmocka_unit_test(from_json),
      cmocka_unit_test(round_trip),
      cmocka_unit_test(flags),
      cmocka_unit_test(numbers_in_any_locale),
      cmocka_unit_test(help),
      cmocka_unit_test(description),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
