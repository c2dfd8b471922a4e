#include "base/json.h"

#include "base/mem.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *parsed(const char *text) {
  json_t *o;
  garam_error err;
  if (json_parse(&o, text, strlen(text), "t", &err) != GARAM_OK) fail_msg("%s", err.message);
  return o;
}

static void refuses_damage(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"", "t:1:0: not valid JSON: "},
      {"{\"a\": 1, \"a\": 2}", "t:1:12: not valid JSON: duplicate object key"},
      {"{\"a\": }", "t:1:"},
      {"{\"a\": 1", "t:1:"},
      {"[1, 2]]", "t:1:"},
      {"\n\n{a: 1}", "t:3:"},
      {"{\"a\": NaN}", "t:1:"},
      {"\"\xff\"", "t:1:"},
      {"\"\\u0000\"", "t:1:"},
      {"1e999", "t:1:"},
      {"99999999999999999999", "t:1:"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    json_t *o = (json_t *)&o;
    garam_error err;
    assert_int_equal(json_parse(&o, cases[i].text, strlen(cases[i].text), "t", &err), GARAM_PARSE);
    assert_null(o);
    if (strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0)
      fail_msg("%s: %s", cases[i].text, err.message);
  }
  char *deep = malloc(10001);
  memset(deep, '[', 10000);
  json_t *o;
  garam_error err;
  assert_int_equal(json_parse(&o, deep, 10000, "t", &err), GARAM_PARSE);
  free(deep);
}

static void reads_files(void **state) {
  (void)state;
  char path[] = "/tmp/garam-json-XXXXXX";
  int fd = mkstemp(path);
  assert_true(write(fd, "{\"a\":\n oops}", 12) == 12);
  close(fd);
  json_t *o;
  garam_error err;
  assert_int_equal(json_read_file(&o, path, &err), GARAM_PARSE);
  assert_true(strncmp(err.message, path, strlen(path)) == 0);
  assert_true(strncmp(err.message + strlen(path), ":2:", 3) == 0);
  unlink(path);
  assert_int_equal(json_read_file(&o, path, &err), GARAM_NOT_FOUND);
  assert_null(o);
}

static void writes_in_order_and_exactly(void **state) {
  (void)state;
  json_t *o = json_object();
  json_object_set_new(o, "z", json_real(0.1));
  json_object_set_new(o, "a", json_number_or_null(1.0 / 3));
  json_object_set_new(o, "nan", json_number_or_null(NAN));
  json_object_set_new(o, "inf", json_number_or_null(-HUGE_VAL));
  json_object_set_new(o, "list", json_array_f64((const double[]){1, NAN, 2.5}, 3));
  char *text = json_text(o);
  assert_string_equal(text, "{\"z\":0.1,\"a\":0.3333333333333333,\"nan\":null,"
                            "\"inf\":null,\"list\":[1.0,null,2.5]}");
  json_t *back = parsed(text);
  assert_true(json_number_value(json_object_get(back, "a")) == 1.0 / 3);
  json_decref(back);
  mem_free(text);
  text = json_text_indented(o);
  assert_true(strncmp(text, "{\n  \"z\": 0.1", 12) == 0);
  mem_free(text);
  json_decref(o);
  text = json_text(NULL);
  assert_null(text);
  json_t *number = json_f32_or_null(0.693701208f);
  text = json_text(number);
  assert_string_equal(text, "0.693701208");
  assert_true((float)json_number_value(number) == 0.693701208f);
  mem_free(text);
  json_decref(number);
  number = json_f32_or_null(NAN);
  assert_true(json_is_null(number));
  json_decref(number);
  number = json_real(2);
  text = json_text(number);
  assert_string_equal(text, "2.0");
  mem_free(text);
  json_decref(number);
}

/* What was written is read back as it was, and is as short as can be. */
static void numbers_are_short(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } cases[] = {{0.95, "0.95"},
               {-0.1, "-0.1"},
               {1e-5, "1e-5"},
               {0, "0.0"},
               {-0.0, "-0.0"},
               {1e300, "1e+300"},
               {100, "100.0"},
               {5e-324, "4.94065645841247e-324"},
               {0.1 + 0.2, "0.30000000000000004"}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    json_t *o =
        json_pack("{s:[f,i]}", "0.94999999999999996 \\ \" 0.94999999999999996", cases[i].value, -7);
    char *text = json_text(o), expected[256];
    snprintf(expected, sizeof expected,
             "{\"0.94999999999999996 \\\\ \\\" 0.94999999999999996\":[%s,-7]}", cases[i].text);
    assert_string_equal(text, expected);
    json_t *back = parsed(text);
    assert_true(json_equal(back, o));
    json_decref(back);
    json_decref(o);
    mem_free(text);
  }
}

static void fields(void **state) {
  (void)state;
  json_t *o = parsed("{\"s\": \"text\", \"i\": 7, \"f\": 1.5, \"b\": true, \"l\": [1], \"o\": {}, "
                     "\"n\": null}");
  garam_error err;
  const char *s;
  int64_t i;
  double f;
  bool b;
  json_t *l;
  assert_int_equal(json_get_string(&s, o, "s", "m.json", &err), GARAM_OK);
  assert_string_equal(s, "text");
  assert_int_equal(json_get_int(&i, o, "i", 0, 7, "m.json", &err), GARAM_OK);
  assert_int_equal(i, 7);
  assert_int_equal(json_get_f64(&f, o, "i", "m.json", &err), GARAM_OK); /* an integer is a number */
  assert_true(f == 7);
  assert_int_equal(json_get_bool(&b, o, "b", "m.json", &err), GARAM_OK);
  assert_true(b);
  assert_int_equal(json_get_array(&l, o, "l", "m.json", &err), GARAM_OK);
  assert_int_equal(json_get_object(&l, o, "o", "m.json", &err), GARAM_OK);

  assert_int_equal(json_get_string(&s, o, "x", "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"x\" is missing");
  assert_int_equal(json_get_string(&s, o, "i", "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"i\": expected a string");
  assert_int_equal(json_get_int(&i, o, "f", 0, 9, "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"f\": expected an integer");
  assert_int_equal(json_get_int(&i, o, "i", 8, 9, "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"i\" is 7; expected 8 to 9");
  assert_int_equal(json_get_f64(&f, o, "n", "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"n\": expected a number");
  assert_int_equal(json_get_bool(&b, o, "i", "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"i\": expected true or false");
  assert_int_equal(json_get_array(&l, o, "o", "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"o\": expected an array");
  assert_int_equal(json_get_object(&l, o, "l", "m.json", &err), GARAM_PARSE);
  assert_string_equal(err.message, "m.json: field \"l\": expected an object");
  assert_int_equal(json_get_object(&l, NULL, "l", "m.json", &err), GARAM_PARSE);
  json_decref(o);
}

/* Memory may run out anywhere: then there is no text, never half a text. */
static void no_half_texts(void **state) {
  (void)state;
  for (size_t n = 0;; n++) {
    failing_allocator f = {.fail_after = n, .once = true};
    failing_allocator_use(&f);
    json_t *o = json_pack("{s:[i,i,{s:f}],s:{s:s}}", "a", 1, 2, "x", 0.1, "b", "c", "d");
    char *text = o ? json_text(o) : NULL;
    bool right = text && strcmp(text, "{\"a\":[1,2,{\"x\":0.1}],"
                                      "\"b\":{\"c\":\"d\"}}") == 0;
    bool any = text != NULL;
    mem_free(text);
    json_decref(o);
    garam_set_allocator(NULL);
    assert_int_equal(f.n_blocks, 0);
    assert_true(right == any);
    if (!f.failed) {
      assert_true(any && n >= 10);
      break;
    }
    assert_false(any);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_damage),
      cmocka_unit_test(reads_files),
      cmocka_unit_test(writes_in_order_and_exactly),
      cmocka_unit_test(numbers_are_short),
      cmocka_unit_test(fields),
      cmocka_unit_test(no_half_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
