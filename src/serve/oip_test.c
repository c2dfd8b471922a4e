/* Requests of the Open Inference Protocol: what is read, what is refused and in which words; the
 * JSON reader underneath, beside jansson; answers that parse. */
#include "serve/oip.h"

#include "base/json.h"
#include "base/rng.h"
#include "infer/session_fake.h"

#include <setjmp.h>
#include <cmocka.h> /* last: its fail() is a macro */

static fake_model windows, flat; /* (n,2,3) and (n,4) */

static int setup(void **state) {
  (void)state;
  fake_init(&windows, 2, 3, false);
  fake_init(&flat, 1, 4, false);
  return 0;
}

#define INPUT(type, shape, data)                                                                   \
  "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"" type "\",\"shape\":" shape                 \
  ",\"data\":" data "}]}"

static void test_accepted(void **state) {
  static const struct {
    const char *body;
    size_t n;
    float first, last;
  } table[] = {
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5,6]"), 1, 1, 6},
      {INPUT("FP32", "[1,2,3]", "[[[1,2,3],[4,5,6]]]"), 1, 1, 6},
      {INPUT("FP32", "[2,2,3]", "[[[1,2,3],[4,5,6]],[[7,8,9],[10,11,-12.5e0]]]"), 2, 1, -12.5f},
      {INPUT("FP64", "[1,2,3]", "[0.1,2,3,4,5,1e-40]"), 1, 0.1f, 1e-40f},
      {INPUT("INT64", "[1,2,3]", "[16777216,0,0,0,0,-9007199254740992]"), 1, 16777216.f,
       -9007199254740992.f},
      {INPUT("INT32", "[1,2,3]", "[-0,0,0,0,0,7]"), 1, 0, 7},
      {" { \"parameters\" : {\"x\":[{}],\"y\":null} , \"inputs\" : [ { \"data\" : [ 1 , 2,3,4,5,6 "
       "] ,"
       " \"shape\":[1,2,3], \"datatype\":\"FP32\",\"name\":\"\\u0066eatures\"} ] } ",
       1, 1, 6},
  };
  (void)state;
  oip_request r = {0};
  garam_error err = {0};
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    if (oip_parse(&r, &windows.info, table[i].body, strlen(table[i].body), -1, 100, &err))
      fail_msg("%zu: %s", i, err.message);
    assert_int_equal(r.n, table[i].n);
    assert_true(r.x[0] == table[i].first);
    assert_true(r.x[r.n * 6 - 1] == table[i].last);
    assert_int_equal(r.n_outputs, 2);
    assert_false(r.any_binary);
  }
  static const char *const tabular[] = {
      INPUT("FP32", "[2,4]", "[1,2,3,4,5,6,7,8]"),
      INPUT("FP32", "[2,4]", "[[1,2,3,4],[5,6,7,8]]"),
      INPUT("FP32", "[2,1,4]", "[[[1,2,3,4]],[[5,6,7,8]]]"),
  };
  for (size_t i = 0; i < COUNT_OF(tabular); i++) {
    assert_int_equal(oip_parse(&r, &flat.info, tabular[i], strlen(tabular[i]), -1, 100, &err),
                     GARAM_OK);
    for (int j = 0; j < 8; j++) assert_true(r.x[j] == (float)(j + 1));
  }
  oip_request_deinit(&r);
}

static void test_refused(void **state) {
  static const struct {
    const char *body;
    garam_status status;
    const char *contains;
  } table[] = {
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5]"), GARAM_PARSE, "5 items at level 1, expected 6"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5,6,7]"), GARAM_PARSE, "more than 6 items"},
      {INPUT("FP32", "[1,2,3]", "[[[1,2,3],[4,5]]]"), GARAM_PARSE,
       "2 items at level 3, expected 3"},
      {INPUT("FP32", "[1,2,3]", "[[[1,2,3],[4,5,6,7]]]"), GARAM_PARSE, "more than 3 items"},
      {INPUT("FP32", "[1,2,3]", "[[1,2,3],[4,5,6]]"), GARAM_PARSE, "must follow the shape"},
      {INPUT("FP32", "[1,2,3]", "[[[[1],2,3],[4,5,6]]]"), GARAM_PARSE, "deeper than the shape"},
      {INPUT("FP32", "[1,2,3]", "[[[1,2,3],4]]"), GARAM_PARSE, "expected a list, found '4'"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5,NaN]"), GARAM_PARSE,
       "input \"features\": element [0,1,2] (feature \"rsi_14\") is NaN, which is no JSON"},
      {INPUT("FP32", "[1,2,3]", "[1,-Infinity,3,4,5,6]"), GARAM_PARSE,
       "element [0,0,1] (feature \"return_5\") is -Infinity"},
      {INPUT("FP32", "[2,2,3]", "[[[1,2,3],[4,5,6]],[[Infinity,2,3],[4,5,6]]]"), GARAM_PARSE,
       "element [1,0,0] (feature \"return_1\") is Infinity"},
      {INPUT("FP32", "[1,2,3]", "[1,2,null,4,5,6]"), GARAM_PARSE,
       "element [0,0,2] (feature "
       "\"rsi_14\") is null"},
      {INPUT("FP32", "[1,2,3]", "[1,2,\"3\",4,5,6]"), GARAM_PARSE, "is no number"},
      {INPUT("FP32", "[1,2,3]", "[1,2,1e39,4,5,6]"), GARAM_INVALID, "beyond the range of FP32"},
      {INPUT("FP64", "[1,2,3]", "[1,2,-1e400,4,5,6]"), GARAM_INVALID, "is infinite"},
      {INPUT("FP32", "[1,2,3]", "[1,2,03,4,5,6]"), GARAM_PARSE, "leading zero"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3.,4,5,6]"), GARAM_PARSE, "nothing after its point"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3e,4,5,6]"), GARAM_PARSE, "empty exponent"},
      {INPUT("FP32", "[1,2,3]", "[1,2,+3,4,5,6]"), GARAM_PARSE, "is no number"},
      {INPUT("FP32", "[1,2,3]", "[1,2,.3,4,5,6]"), GARAM_PARSE, "is no number"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5,6,]"), GARAM_PARSE, "more than 6"},
      {INPUT("INT64", "[1,2,3]", "[1,2,3,4,5,16777217]"), GARAM_INVALID,
       "is 16777217, which FP32 cannot hold exactly"},
      {INPUT("INT64", "[1,2,3]", "[1,2,3,4,5,9223372036854775807]"), GARAM_INVALID,
       "cannot hold exactly"},
      {INPUT("INT64", "[1,2,3]", "[1,2,3,4,5,6.5]"), GARAM_INVALID, "no whole number"},
      {INPUT("BYTES", "[1,2,3]", "[]"), GARAM_PARSE, "datatype \"BYTES\"; expected FP32"},
      {INPUT("FP32", "[1,3,2]", "[1,2,3,4,5,6]"), GARAM_MISMATCH,
       "shape [1,3,2]; expected [n,2,3]"},
      {INPUT("FP32", "[6]", "[1,2,3,4,5,6]"), GARAM_MISMATCH, "shape [6]; expected [n,2,3]"},
      {INPUT("FP32", "[]", "[]"), GARAM_MISMATCH, "shape []"},
      {INPUT("FP32", "[0,2,3]", "[]"), GARAM_INVALID, "a batch of 0"},
      {INPUT("FP32", "[-1,2,3]", "[]"), GARAM_PARSE, "whole numbers"},
      {INPUT("FP32", "[1.5,2,3]", "[]"), GARAM_PARSE, "whole numbers"},
      {INPUT("FP32", "[1,1,1,1]", "[]"), GARAM_PARSE, "more than 3 dimensions"},
      {INPUT("FP32", "[101,2,3]", "[]"), GARAM_LIMIT, "a batch of 101; at most 100"},
      {INPUT("FP32", "[9223372036854775807,2,3]", "[]"), GARAM_LIMIT, "at most 100"},
      {INPUT("FP32", "[100,2,3]", "[]"), GARAM_PARSE, "needs 600 numbers in a body of"},
      {"{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":[1,2,3,4,5,6]"
       "}]}",
       GARAM_PARSE, "input \"x\"; the model's input is \"features\""},
      {"{\"inputs\":[{\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":[1,2,3,4,5,6]}]}",
       GARAM_PARSE, "without \"name\""},
      {"{\"inputs\":[{\"name\":\"features\",\"shape\":[1,2,3],\"data\":[1,2,3,4,5,6]}]}",
       GARAM_PARSE, "no \"datatype\""},
      {"{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"data\":[1,2,3,4,5,6]}]}",
       GARAM_PARSE, "no \"shape\""},
      {"{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3]}]}",
       GARAM_PARSE, "no \"data\""},
      {"{\"inputs\":[{\"data\":[NaN],\"name\":\"features\"}]}", GARAM_PARSE, "NaN is no JSON"},
      {"{\"inputs\":[]}", GARAM_PARSE, "no input"},
      {"{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":"
       "[1,2,3,4,5,6]},{}]}",
       GARAM_PARSE, "more than one input"},
      {"{}", GARAM_PARSE, "no \"inputs\""},
      {"[]", GARAM_PARSE, "expected an object"},
      {"", GARAM_PARSE, "found the end"},
      {"{\"inputs\":1}", GARAM_PARSE, "expected a list"},
      {"{\"id\":5}", GARAM_PARSE, "expected a string"},
      {"{\"id\":\"\xff\"}", GARAM_PARSE, "not UTF-8"},
      {"{\"a\":\"\\x\"}", GARAM_PARSE, "an escape"},
      {"{\"a\":tru}", GARAM_PARSE, "true or false"},
      {"{'a':1}", GARAM_PARSE, "expected a string"},
      {"{\"a\":1,}", GARAM_PARSE, "expected a string"},
      {"{\"a\":1 \"b\":2}", GARAM_PARSE, "',' or '}'"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5,6]") "x", GARAM_PARSE, "expected the end"},
      {"{\"outputs\":[{\"name\":\"logits\"}]}", GARAM_PARSE,
       "output \"logits\"; the model has \"probabilities\" and \"label\""},
      {"{\"outputs\":[{\"name\":\"label\"},{\"name\":\"label\"}]}", GARAM_PARSE, "asked for twice"},
      {"{\"outputs\":[{\"name\":\"label\",\"parameters\":{\"classification\":2}}]}", GARAM_PARSE,
       "classification extension"},
      {"{\"inputs\":[{\"parameters\":{\"shared_memory_region\":\"a\"}}]}", GARAM_PARSE,
       "shared memory"},
      {"{\"inputs\":[{\"parameters\":{\"binary_data_size\":-1}}]}", GARAM_PARSE,
       "binary_data_size"},
      {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", GARAM_PARSE, "expected an object"},
      {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", GARAM_PARSE, "more than 32 levels"},
  };
  (void)state;
  oip_request r = {0};
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    garam_error err = {0};
    garam_status status =
        oip_parse(&r, &windows.info, table[i].body, strlen(table[i].body), -1, 100, &err);
    if (status != table[i].status || !strstr(err.message, table[i].contains))
      fail_msg("%s\n  gave %s: %s\n  expected %s: %s", table[i].body, garam_status_name(status),
               err.message, garam_status_name(table[i].status), table[i].contains);
  }
  oip_request_deinit(&r);
}

/* A request in the middle of memory that must not be read: exact copies, cut everywhere. */
static void test_truncated(void **state) {
  static const char body[] =
      "{\"id\":\"\\u00e9\",\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,"
      "3],"
      "\"data\":[[[1,2.5e1,3],[4,-5,6]]]}],\"outputs\":[{\"name\":\"label\",\"parameters\":{"
      "\"binary_data\":false}}]}";
  (void)state;
  oip_request r = {0};
  for (size_t n = 0; n <= sizeof body - 1; n++) {
    char *copy = malloc(n ? n : 1); /* ASan sees a read behind its end */
    memcpy(copy, body, n);
    garam_status status = oip_parse(&r, &windows.info, copy, n, -1, 100, NULL);
    assert_int_equal(status, n == sizeof body - 1 ? GARAM_OK : GARAM_PARSE);
    free(copy);
  }
  oip_request_deinit(&r);
}

#define BINARY(type, shape, size)                                                                  \
  "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"" type "\",\"shape\":" shape                 \
  ",\"parameters\":{\"binary_data_size\":" size "}}]}"

static void test_binary(void **state) {
  static const float f32[6] = {1, -2, 3, 4, 5, 0.1f};
  static const float f32_nan[6] = {1, 2, 3, NAN, 5, 6};
  static const double f64[6] = {1, -2, 3, 4, 5, 0.1};
  static const double f64_large[6] = {1, -2, 3, 4, 5, 1e300};
  static const int64_t i64[6] = {1, -2, 3, 4, 5, 6};
  static const int64_t i64_large[6] = {1, -2, 3, 4, INT64_MAX, 6};
  static const int32_t i32[6] = {1, -2, 3, 4, 5, 6};
  static const struct {
    const char *json;
    const void *data;
    size_t size;
    garam_status status;
    const char *contains;
  } table[] = {
      {BINARY("FP32", "[1,2,3]", "24"), f32, 24, GARAM_OK, ""},
      {BINARY("FP64", "[1,2,3]", "48"), f64, 48, GARAM_OK, ""},
      {BINARY("INT64", "[1,2,3]", "48"), i64, 48, GARAM_OK, ""},
      {BINARY("INT32", "[1,2,3]", "24"), i32, 24, GARAM_OK, ""},
      {BINARY("FP32", "[1,2,3]", "24"), f32_nan, 24, GARAM_INVALID,
       "element [0,1,0] (feature \"return_1\") is NaN"},
      {BINARY("FP64", "[1,2,3]", "48"), f64_large, 48, GARAM_INVALID, "beyond the range"},
      {BINARY("INT64", "[1,2,3]", "48"), i64_large, 48, GARAM_INVALID, "cannot hold exactly"},
      {BINARY("FP32", "[1,2,3]", "20"), f32, 20, GARAM_MISMATCH, "need 24"},
      {BINARY("FP32", "[1,2,3]", "24"), f32, 23, GARAM_MISMATCH, "23 bytes of binary data"},
      {BINARY("FP32", "[1,2,3]", "20"), f32, 24, GARAM_MISMATCH, "24 bytes of binary data"},
      {BINARY("FP64", "[1,2,3]", "24"), f32, 24, GARAM_MISMATCH, "need 48"},
      {INPUT("FP32", "[1,2,3]", "[1,2,3,4,5,6]"), f32, 24, GARAM_MISMATCH, "expected 0"},
      {"{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":[1,2,"
       "3,4,5,6"
       "],\"parameters\":{\"binary_data_size\":24}}]}",
       f32, 24, GARAM_PARSE, "both"},
  };
  (void)state;
  oip_request r = {0};
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    size_t n = strlen(table[i].json);
    char body[512];
    memcpy(body, table[i].json, n);
    memcpy(body + n, table[i].data, table[i].size);
    garam_error err = {0};
    garam_status status =
        oip_parse(&r, &windows.info, body, n + table[i].size, (int64_t)n, 9, &err);
    if (status != table[i].status || !strstr(err.message, table[i].contains))
      fail_msg("%zu: %s: %s", i, garam_status_name(status), err.message);
    if (status == GARAM_OK) {
      assert_true(r.x[1] == -2);
      assert_true(r.x[5] == (i < 2 ? 0.1f : 6));
    }
  }
  garam_error err;
  assert_int_equal(oip_parse(&r, &windows.info, (const char *)f32, 24, 0, 9, &err), GARAM_OK);
  assert_memory_equal(r.x, f32, 24);
  assert_true(r.any_binary);
  assert_int_equal(oip_parse(&r, &windows.info, (const char *)f32, 23, 0, 9, &err), GARAM_MISMATCH);
  assert_int_equal(oip_parse(&r, &windows.info, "", 0, 0, 9, &err), GARAM_MISMATCH);
  assert_int_equal(oip_parse(&r, &windows.info, "{}", 2, 3, 9, &err), GARAM_PARSE);
  oip_request_deinit(&r);
}

/* Which outputs, in which form. */
static void test_outputs(void **state) {
#define WITH(rest)                                                                                 \
  "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":[1,2,3,4," \
  "5,6]}]" rest "}"
  static const struct {
    const char *body;
    int n, which[2];
    bool binary[2];
  } table[] = {
      {WITH(""), 2, {OIP_PROBABILITIES, OIP_LABEL}, {false, false}},
      {WITH(",\"outputs\":[]"), 2, {OIP_PROBABILITIES, OIP_LABEL}, {false, false}},
      {WITH(",\"parameters\":{\"binary_data_output\":true}"),
       2,
       {OIP_PROBABILITIES, OIP_LABEL},
       {true, true}},
      {WITH(",\"outputs\":[{\"name\":\"label\"}],\"parameters\":{\"binary_data_output\":true}"),
       1,
       {OIP_LABEL},
       {true}},
      {WITH(",\"outputs\":[{\"name\":\"label\",\"parameters\":{\"binary_data\":false}},{\"name\":"
            "\"probabilities\"}],\"parameters\":{\"binary_data_output\":true}"),
       2,
       {OIP_LABEL, OIP_PROBABILITIES},
       {false, true}},
      {WITH(",\"outputs\":[{\"name\":\"probabilities\",\"parameters\":{\"binary_data\":true}}]"),
       1,
       {OIP_PROBABILITIES},
       {true}},
  };
  (void)state;
  oip_request r = {0};
  text t = {0};
  const float p[3] = {0.25f, 0.5f, 0.25f};
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    garam_error err = {0};
    if (oip_parse(&r, &windows.info, table[i].body, strlen(table[i].body), -1, 100, &err))
      fail_msg("%zu: %s", i, err.message);
    assert_int_equal(r.n_outputs, table[i].n);
    bool any = false;
    for (int j = 0; j < r.n_outputs; j++) {
      assert_int_equal(r.outputs[j].which, table[i].which[j]);
      assert_int_equal(r.outputs[j].binary, table[i].binary[j]);
      any |= table[i].binary[j];
    }
    assert_int_equal(r.any_binary, any);
    int64_t header;
    text_clear(&t);
    oip_respond(&t, &header, &r, &windows.info, "a\"b", p);
    assert_int_equal(header >= 0, any);
    json_t *json;
    assert_int_equal(
        json_parse(&json, t.data, header < 0 ? t.size : (size_t)header, "answer", &err), GARAM_OK);
    assert_string_equal(json_string_value(json_object_get(json, "model_name")), "a\"b");
    assert_int_equal(json_array_size(json_object_get(json, "outputs")), table[i].n);
    json_decref(json);
  }
  text_deinit(&t);
  oip_request_deinit(&r);
}

/* Any float there is comes back as itself, through our text and through our reader. */
static void test_numbers(void **state) {
  (void)state;
  text t = {0};
  oip_request r = {0};
  rng random;
  rng_init(&random, 3, RNG_TEST, 0);
  for (int round = 0; round < 300; round++) {
    float x[6];
    text_clear(&t);
    text_string(&t, "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],"
                    "\"data\":[");
    for (int i = 0; i < 6; i++) {
      uint32_t bits;
      do {
        bits = rng_u32(&random);
        memcpy(&x[i], &bits, sizeof bits);
      } while (!isfinite(x[i]));
      if (i > 0) text_string(&t, ",");
      text_f32(&t, x[i]);
    }
    text_string(&t, "]}]}");
    garam_error err = {0};
    if (oip_parse(&r, &windows.info, t.data, t.size, -1, 1, &err)) fail_msg("%s", err.message);
    assert_memory_equal(r.x, x, sizeof x);
  }
  text_deinit(&t);
  oip_request_deinit(&r);
}

/* What jansson accepts we accept, and the other way round, on texts with random damage. (jansson
 * has its own limits: \u0000, numbers beyond double and integers beyond int64 are errors there.) */
static void test_beside_jansson(void **state) {
  static const char *const seeds[] = {
      "{\"a\":[1,2.5,-3e2,true,false,null,\"x\\n\\u00e9\xc3\xa9\"],\"b\":{\"c\":{}}}",
      "[0,-0,1E+2,{\"k\":\"\\\\\"}]",
      "\"\\ud83d\\ude00 \xf0\x9f\x98\x80\"",
  };
  static const char noise[] = "{}[],:\"\\u0123eE+-.tfn \xc3\xa9\x01";
  (void)state;
  rng random;
  rng_init(&random, 5, RNG_TEST, 0);
  size_t accepted = 0;
  for (int round = 0; round < 30000; round++) {
    char copy[128];
    const char *seed = seeds[round % 3];
    size_t n = strlen(seed);
    memcpy(copy, seed, n);
    for (uint64_t hits = rng_below(&random, 3); hits > 0; hits--)
      copy[rng_below(&random, n)] = noise[rng_below(&random, sizeof noise - 1)];
    json_reader j;
    json_reader_init(&j, copy, n, NULL);
    bool ours = json_reader_skip(&j) && json_reader_end(&j);
    json_error_t error;
    json_t *json = json_loadb(copy, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (ours != (json != NULL) && !strstr(error.text, "surrogate") &&
        !strstr(error.text, "invalid Unicode '"))
      fail_msg("%.*s: ours %d, jansson %s", (int)n, copy, ours, json ? "fine" : error.text);
    accepted += ours;
    json_decref(json);
  }
  assert_true(accepted > 5000);
}

static void test_metadata_parses(void **state) {
  (void)state;
  text t = {0};
  json_t *json;
  fake_model value;
  fake_init(&value, 1, 4, true);
  windows.info.threshold = 2; /* none is sure enough */
  const session_info *infos[] = {&windows.info, &flat.info, &value.info};
  for (size_t i = 0; i < COUNT_OF(infos); i++) {
    text_clear(&t);
    oip_model_metadata(&t, infos[i], "a");
    assert_int_equal(json_parse(&json, t.data, t.size, "metadata", NULL), GARAM_OK);
    json_t *parameters = json_object_get(json, "parameters");
    assert_int_equal(json_array_size(json_object_get(parameters, "feature_names")),
                     infos[i]->n_features);
    json_t *threshold = json_object_get(parameters, "threshold");
    assert_true(i == 0   ? json_is_null(threshold)
                : i == 1 ? json_real_value(threshold) == 0.75
                         : threshold == NULL);
    json_decref(json);
  }
  windows.info.threshold = 0.75;
  text_clear(&t);
  oip_error(&t, "a \"b\" \\ \n \x7f");
  assert_int_equal(json_parse(&json, t.data, t.size, "error", NULL), GARAM_OK);
  assert_string_equal(json_string_value(json_object_get(json, "error")), "a \"b\" \\ \n \x7f");
  json_decref(json);
  text_deinit(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_accepted),       cmocka_unit_test(test_refused),
      cmocka_unit_test(test_truncated),      cmocka_unit_test(test_binary),
      cmocka_unit_test(test_outputs),        cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_beside_jansson), cmocka_unit_test(test_metadata_parses),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
