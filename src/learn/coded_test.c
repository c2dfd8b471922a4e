/* Coded weights: they decode by hand-made numbers, and a record that lies about them is an error
 * that names the file and the tensor. */
#include "learn/coded.h"

#include "base/mem.h"
#include "tests/failing_allocator.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[256];

static int setup(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/garam-coded-test-%ld.safetensors", (long)getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

typedef struct part {
  const char *name;
  package_dtype type;
  int rank;
  int64_t dims[4];
  const void *data;
} part;

static void write_parts(const part *parts, size_t n, const char *record) {
  package_writer *w;
  garam_error err = {0};
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  for (size_t i = 0; i < n && parts[i].name; i++)
    assert_int_equal(package_add(w, parts[i].name, parts[i].type, parts[i].rank, parts[i].dims,
                                 parts[i].data, &err),
                     GARAM_OK);
  if (record) assert_int_equal(package_set_meta_text(w, CODED_META, record, &err), GARAM_OK);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
}

/* ---- what they say --------------------------------------------------------------------------- */

static const uint16_t halves[6] = {0x3f80, 0xc000, 0, 0x8000, 0x3fc0, 0x4049};
static const int8_t bytes[6] = {1, -2, 127, 0, -128, 3};
static const float column_scale[2] = {0.5f, 2};
/* Three inputs: the high half of the second row is nobody's, whatever it says. */
static const uint8_t nibbles[4] = {0xf0, 0x98, 0xf9, 0x07};
static const float group_scale[4] = {1, -2, 0.5f, 4};

#define BF16_ROW "\"bf\": {\"to\": \"bf16\", \"shape\": [3, 1, 2]}"
#define INT8_ROW "\"weight\": {\"to\": \"int8\", \"shape\": [3, 2]}"
#define INT4_ROW "\"four\": {\"to\": \"int4\", \"group\": 2, \"shape\": [3, 2]}"
#define RECORD(rows) "{\"version\": 1, \"tensors\": {" rows "}}"

static const part fine[] = {
    {"bf", PACKAGE_BF16, 3, {3, 1, 2}, halves},          {"weight", PACKAGE_I8, 2, {3, 2}, bytes},
    {"weight_scale", PACKAGE_F32, 1, {2}, column_scale}, {"four", PACKAGE_U8, 2, {2, 2}, nibbles},
    {"four_scale", PACKAGE_F32, 2, {2, 2}, group_scale},
};
static const char fine_record[] = RECORD(BF16_ROW ", " INT8_ROW ", " INT4_ROW);

static void test_decode(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int rank;
    int64_t dims[3];
    float values[6];
  } rows[] = {
      {"bf", 3, {3, 1, 2}, {1, -2, 0, 0, 1.5f, 3.140625f}},
      {"weight", 2, {3, 2}, {0.5f, -4, 63.5f, 0, -64, 6}},
      {"four", 2, {3, 2}, {-8, 0, 7, -2, 0.5f, -4}},
  };
  garam_error err = {0};
  package_reader *r;
  write_parts(fine, COUNT_OF(fine), fine_record);
  if (package_open(&r, path, &err) != GARAM_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    const package_tensor *t, *again;
    if (package_get_finite(&t, r, rows[i].name, PACKAGE_F32, rows[i].rank, rows[i].dims, &err) !=
        GARAM_OK)
      fail_msg("%s", err.message);
    assert_string_equal(t->name, rows[i].name);
    assert_int_equal(t->bytes, sizeof rows[i].values);
    for (size_t j = 0; j < 6; j++)
      if (((const float *)t->data)[j] != rows[i].values[j])
        fail_msg("%s[%zu] is %g, not %g", rows[i].name, j, (double)((const float *)t->data)[j],
                 (double)rows[i].values[j]);
    assert_int_equal(
        package_get(&again, r, rows[i].name, PACKAGE_F32, rows[i].rank, rows[i].dims, &err), 0);
    assert_ptr_equal(again->data, t->data); /* decoded once */
  }
  /* As they are stored, for who asks for that; another shape or type is not there. */
  const package_tensor *t;
  assert_int_equal(package_get(&t, r, "weight", PACKAGE_I8, 2, (int64_t[]){3, 2}, &err), GARAM_OK);
  assert_memory_equal(t->data, bytes, sizeof bytes);
  assert_int_equal(package_get(&t, r, "four", PACKAGE_F32, 2, (int64_t[]){2, 2}, &err),
                   GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "F32 (3, 2); expected F32 (2, 2)"));
  assert_int_equal(package_get(&t, r, "weight", PACKAGE_F64, 2, (int64_t[]){3, 2}, &err),
                   GARAM_MISMATCH);
  for (size_t i = 0; i < package_count(r); i++) assert_true(package_at(r, i)->bytes <= 16);
  package_close(r);
  /* Without the record, nothing is guessed from a dtype. */
  write_parts(fine, COUNT_OF(fine), NULL);
  assert_int_equal(package_open(&r, path, &err), GARAM_OK);
  assert_int_equal(package_get(&t, r, "weight", PACKAGE_F32, 2, (int64_t[]){3, 2}, &err),
                   GARAM_MISMATCH);
  package_close(r);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static const float nan_scale[2] = {NAN, 1}, infinite_scale[2] = {1, -INFINITY},
                   huge_scale[2] = {FLT_MAX / 64, 1};

#define W                                                                                          \
  { "weight", PACKAGE_I8, 2, {3, 2}, bytes }
#define S                                                                                          \
  { "weight_scale", PACKAGE_F32, 1, {2}, column_scale }
#define FOUR                                                                                       \
  { "four", PACKAGE_U8, 2, {2, 2}, nibbles }
#define FOUR_S                                                                                     \
  { "four_scale", PACKAGE_F32, 2, {2, 2}, group_scale }

static const struct {
  part parts[4];
  const char *record, *message;
} hostile[] = {
    {{W, S}, "nonsense", CODED_META},
    {{W, S}, "{}", "\"version\" and \"tensors\""},
    {{W, S}, "{\"version\": 1}", "\"version\" and \"tensors\""},
    {{W, S}, "{\"version\": \"1\", \"tensors\": {}}", "\"version\" and \"tensors\""},
    {{W, S}, "{\"version\": 0, \"tensors\": {}}", "\"version\" and \"tensors\""},
    {{W, S}, "{\"version\": 1, \"tensors\": [" INT8_ROW, CODED_META},
    {{W, S}, "{\"version\": 1, \"tensors\": {}, \"more\": 1}", "\"version\" and \"tensors\""},
    {{W, S}, "{\"version\": 2, \"tensors\": {}}", "version 2; this is 1"},
    {{W, S}, RECORD(INT8_ROW ", " INT8_ROW), CODED_META}, /* twice */
    {{W, S}, RECORD("\"weight\": 3"), "\"weight\""},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\"}"), "\"weight\""},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int7\", \"shape\": [3, 2]}"), "\"int7\""},
    {{W, S}, RECORD("\"weight\": {\"to\": 8, \"shape\": [3, 2]}"), "\"weight\""},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [3, 2], \"x\": 1}"), "\"weight\""},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [3, 2], \"group\": 2}"), "group"},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [6]}"), "not that of a matrix"},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [3, -2]}"), "not that of a matrix"},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [0, 2]}"), "not that of a matrix"},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [3.0, 2]}"), "not that of a matrix"},
    {{W, S},
     RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [1,1,1,1,1,1,1,3,2]}"),
     "not that of a matrix"},
    {{W, S},
     RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [4611686018427387904, 4]}"),
     "not that of a matrix"},
    {{W, S},
     RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [4294967296, 4294967296, 2]}"),
     "not that of a matrix"},
    {{W, S}, RECORD("\"weight\": {\"to\": \"int8\", \"shape\": [2, 3]}"), "expected I8 (2, 3)"},
    {{W, S}, RECORD("\"weight\": {\"to\": \"bf16\", \"shape\": [3, 2]}"), "expected BF16 (3, 2)"},
    {{W, S},
     RECORD(INT8_ROW ", \"other\": {\"to\": \"int8\", \"shape\": [3, 2]}"),
     "\"other\" is missing"},
    {{W}, RECORD(INT8_ROW), "\"weight_scale\" is missing"},
    {{W, S}, RECORD(""), "\"weight_scale\" is the scale of no coded weights"},
    {{S}, RECORD(""), "\"weight_scale\" is the scale of no coded weights"},
    {{S}, RECORD(INT8_ROW), "\"weight\" is missing"},
    {{W, {"weight_scale", PACKAGE_F32, 1, {3}, group_scale}},
     RECORD(INT8_ROW),
     "\"weight_scale\" is F32 (3); expected F32 (2)"},
    {{W, {"weight_scale", PACKAGE_F32, 2, {1, 2}, column_scale}},
     RECORD(INT8_ROW),
     "\"weight_scale\" is F32 (1, 2)"},
    {{W, {"weight_scale", PACKAGE_I8, 1, {2}, bytes}}, RECORD(INT8_ROW), "scales are F32"},
    /* a scale that claims to be coded itself */
    {{W,
      {"weight_scale", PACKAGE_I8, 2, {3, 2}, bytes},
      {"weight_scale_scale", PACKAGE_F32, 1, {2}, column_scale}},
     RECORD("\"weight_scale\": {\"to\": \"int8\", \"shape\": [3, 2]}, " INT8_ROW),
     "scales are F32"},
    {{W, {"weight_scale", PACKAGE_F32, 1, {2}, nan_scale}},
     RECORD(INT8_ROW),
     "\"weight_scale\": scale 0"},
    {{W, {"weight_scale", PACKAGE_F32, 1, {2}, infinite_scale}},
     RECORD(INT8_ROW),
     "\"weight_scale\": scale 1"},
    {{W, {"weight_scale", PACKAGE_F32, 1, {2}, huge_scale}},
     RECORD(INT8_ROW),
     "\"weight_scale\": scale 0"},
    {{FOUR, FOUR_S}, RECORD("\"four\": {\"to\": \"int4\", \"shape\": [3, 2]}"), "group"},
    {{FOUR, FOUR_S},
     RECORD("\"four\": {\"to\": \"int4\", \"group\": 0, \"shape\": [3, 2]}"),
     "group"},
    {{FOUR, FOUR_S},
     RECORD("\"four\": {\"to\": \"int4\", \"group\": 65537, \"shape\": [3, 2]}"),
     "group"},
    {{FOUR, FOUR_S},
     RECORD("\"four\": {\"to\": \"int4\", \"group\": \"2\", \"shape\": [3, 2]}"),
     "group"},
    {{FOUR, FOUR_S},
     RECORD("\"four\": {\"to\": \"int4\", \"group\": 3, \"shape\": [3, 2]}"),
     "expected F32 (1, 2)"},
    {{FOUR, FOUR_S},
     RECORD("\"four\": {\"to\": \"int4\", \"group\": 2, \"shape\": [5, 2]}"),
     "expected U8 (3, 2)"},
};

static void test_hostile(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(hostile); i++) {
    garam_error err = {0};
    package_reader *r;
    write_parts(hostile[i].parts, COUNT_OF(hostile[i].parts), hostile[i].record);
    const garam_status status = package_open(&r, path, &err);
    if (status != GARAM_CORRUPT && status != GARAM_UNSUPPORTED)
      fail_msg("row %zu: %s: %s", i, garam_status_name(status), err.message);
    assert_int_equal(err.status, status);
    assert_null(r);
    if (!strstr(err.message, path) || !strstr(err.message, hostile[i].message))
      fail_msg("row %zu: no \"%s\" in: %s", i, hostile[i].message, err.message);
  }
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory;
  bool done = false;
  write_parts(fine, COUNT_OF(fine), fine_record);
  failing_allocator_use(&memory);
  for (size_t n = 0; !done && n < 10000; n++) {
    garam_error err = {0};
    package_reader *r;
    const package_tensor *t;
    failing_allocator_restart(&memory, n);
    garam_status status = package_open(&r, path, &err);
    if (status == GARAM_OK)
      status = package_get(&t, r, "four", PACKAGE_F32, 2, (int64_t[]){3, 2}, &err);
    package_close(r);
    /* jansson tells of lack of memory in the middle of a token as of a bad token. */
    if (status != GARAM_OK && status != GARAM_NO_MEMORY && status != GARAM_CORRUPT)
      fail_msg("allocation %zu: %s", n, err.message);
    assert_int_equal(memory.n_blocks, 0);
    done = status == GARAM_OK;
  }
  garam_set_allocator(NULL);
  assert_true(done);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_decode),
      cmocka_unit_test(test_hostile),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("coded", tests, setup, teardown);
}
