/* Packages: what is written comes back; what is not a package is an error, never a crash. */
#include "learn/package.h"

#include "base/io.h"
#include "base/mem.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[256];

static int setup(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/garam-package-test-%ld.safetensors", (long)getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

static void write_golden(void) {
  package_writer *w;
  garam_error err;
  static const float f[6] = {1, -2.5f, 3, 4, 5e-30f, 6};
  static const int8_t b[3] = {-1, 0, 1};
  static const double d[1] = {3.25};
  static const int64_t l[2] = {INT64_MIN, INT64_MAX};
  static const uint16_t h[5] = {0, 1, 2, 3, 65535};
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  assert_int_equal(package_add(w, "b", PACKAGE_I8, 1, (int64_t[]){3}, b, &err), GARAM_OK);
  assert_int_equal(package_add(w, "layer.0/w", PACKAGE_F32, 2, (int64_t[]){2, 3}, f, &err), 0);
  assert_int_equal(package_add(w, "one", PACKAGE_F64, 0, NULL, d, &err), GARAM_OK);
  assert_int_equal(package_add(w, "none", PACKAGE_F32, 2, (int64_t[]){0, 4}, NULL, &err), 0);
  assert_int_equal(package_add(w, "h", PACKAGE_BF16, 1, (int64_t[]){5}, h, &err), GARAM_OK);
  assert_int_equal(package_add(w, "가람", PACKAGE_I64, 1, (int64_t[]){2}, l, &err), GARAM_OK);
  assert_int_equal(package_add(w, "b", PACKAGE_I8, 1, (int64_t[]){3}, b, &err), GARAM_INVALID);
  json_t *meta =
      json_pack("{s:s, s:[i,i], s:f}", "name", "a \"quoted\" one", "list", 1, 2, "x", 0.1);
  assert_int_equal(package_set_meta(w, "garam", meta, &err), GARAM_OK);
  json_decref(meta);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
}

static void test_round_trip(void **state) {
  (void)state;
  garam_error err;
  package_reader *r;
  const package_tensor *t;
  write_golden();
  assert_int_equal(package_open(&r, path, &err), GARAM_OK);
  assert_int_equal(package_count(r), 6);
  assert_int_equal(package_get(&t, r, "layer.0/w", PACKAGE_F32, 2, (int64_t[]){2, -1}, &err), 0);
  assert_int_equal(t->dims[1], 3);
  assert_true(((const float *)t->data)[1] == -2.5f);
  assert_int_equal(package_get(&t, r, "가람", PACKAGE_I64, 1, (int64_t[]){2}, &err), GARAM_OK);
  assert_true(((const int64_t *)t->data)[0] == INT64_MIN);
  assert_int_equal(package_get(&t, r, "one", PACKAGE_F64, 0, NULL, &err), GARAM_OK);
  assert_true(((const double *)t->data)[0] == 3.25);
  assert_int_equal(package_get(&t, r, "none", PACKAGE_F32, 2, (int64_t[]){0, 4}, &err), 0);
  assert_int_equal(t->bytes, 0);
  for (size_t i = 0; i < package_count(r); i++) {
    t = package_at(r, i);
    assert_int_equal((uintptr_t)t->data % package_dtype_size(t->type), 0);
  }
  assert_int_equal(package_get(&t, r, "two", PACKAGE_F64, 0, NULL, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "\"two\""));
  assert_int_equal(package_get(&t, r, "b", PACKAGE_I8, 1, (int64_t[]){4}, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "I8 (3); expected I8 (4)"));
  assert_int_equal(package_get(&t, r, "b", PACKAGE_U8, 1, (int64_t[]){3}, &err), GARAM_MISMATCH);
  json_t *meta;
  assert_int_equal(package_get_meta(&meta, r, "garam", &err), GARAM_OK);
  assert_string_equal(json_string_value(json_object_get(meta, "name")), "a \"quoted\" one");
  assert_true(json_real_value(json_object_get(meta, "x")) == 0.1);
  json_decref(meta);
  assert_int_equal(package_get_meta(&meta, r, "other", &err), GARAM_MISMATCH);
  package_close(r);
}

static garam_status open_bytes(const void *bytes, size_t size, garam_error *err) {
  /* A block of its own size, so that a sanitizer sees a read past it. */
  char *copy = malloc(size ? size : 1);
  package_reader *r;
  memcpy(copy, bytes, size);
  garam_status status = package_open_memory(&r, copy, size, "memory", err);
  if (status == GARAM_OK) {
    uint64_t sum = 0;
    for (size_t i = 0; i < package_count(r); i++) {
      const package_tensor *t = package_at(r, i);
      for (size_t j = 0; j < t->bytes; j++) sum += ((const uint8_t *)t->data)[j];
    }
    assert_true(sum < UINT64_MAX);
    json_t *meta;
    if (package_get_meta(&meta, r, "garam", err) == GARAM_OK) json_decref(meta);
  }
  package_close(r);
  free(copy);
  return status;
}

/* A file of this header and `n` bytes of data. */
static garam_status open_header(const char *header, size_t n, garam_error *err) {
  char bytes[2048] = {0};
  size_t length = strlen(header);
  assert_true(8 + length + n <= sizeof bytes);
  bytes[0] = (char)(length & 255);
  bytes[1] = (char)(length >> 8);
  memcpy(bytes + 8, header, length);
  return open_bytes(bytes, 8 + length + n, err);
}

static void test_headers(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data;
    garam_status status;
  } cases[] = {
      {"{}", 0, GARAM_OK},
      {"{}      ", 0, GARAM_OK},
      {"{}", 1, GARAM_CORRUPT}, /* bytes that belong to nobody */
      {" {}", 0, GARAM_CORRUPT},
      {"[]", 0, GARAM_CORRUPT},
      {"{", 0, GARAM_CORRUPT},
      {"{}x", 0, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, GARAM_OK},
      /* The same key twice: readers that keep the first and readers that keep the last would
       * see different weights. */
      {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]},"
       "\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}",
       2, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"I8\",\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2,
       GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2],\"more\":1}}", 2,
       GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 7, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, GARAM_UNSUPPORTED},
      {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[1,9]}}", 9, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,9]}}", 8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],"
       "\"data_offsets\":[0,8]}}",
       8, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0,
       GARAM_CORRUPT}, /* 2^61 x 8 is 0 when it wraps */
      {"{\"a\":{\"dtype\":\"I8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", 1,
       GARAM_CORRUPT},
      /* a hole, an overlap, and a fine pair in the other order */
      {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]},"
       "\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[3,5]}}",
       5, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]},"
       "\"b\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[1,3]}}",
       3, GARAM_CORRUPT},
      {"{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[4,5]},"
       "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
       5, GARAM_OK},
      {"{\"__metadata__\":{\"a\":\"b\"}}", 0, GARAM_OK},
      {"{\"__metadata__\":{\"a\":1}}", 0, GARAM_CORRUPT},
      {"{\"__metadata__\":[]}", 0, GARAM_CORRUPT},
      {"{\"a\":1}", 0, GARAM_CORRUPT},
      {"{\"a\\u0000b\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, GARAM_CORRUPT},
      {"{\"a\xff\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, GARAM_CORRUPT},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    garam_error err = {0};
    garam_status status = open_header(cases[i].header, cases[i].data, &err);
    if (status != cases[i].status)
      fail_msg("header %zu: %s (%s): %s", i, cases[i].header, garam_status_name(status),
               err.message);
  }
  garam_error err;
  uint8_t huge[16] = {0x01, 0xe1, 0xf5, 0x05}; /* 100,000,001 */
  assert_int_equal(open_bytes(huge, sizeof huge, &err), GARAM_CORRUPT);
  assert_non_null(strstr(err.message, "at most 100000000"));
  memset(huge, 255, 8);
  assert_int_equal(open_bytes(huge, sizeof huge, &err), GARAM_CORRUPT);
}

/* A writer that does not align: the reader's copies are aligned. */
static void test_unaligned(void **state) {
  (void)state;
  static const char header[] = "{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                               "\"b\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[1,9]}}";
  _Alignas(8) char bytes[256] = {0};
  double value = 0.5;
  bytes[0] = (char)(sizeof header - 1);
  memcpy(bytes + 8, header, sizeof header - 1);
  memcpy(bytes + 8 + sizeof header, &value, 8);
  package_reader *r;
  const package_tensor *t;
  garam_error err;
  assert_int_equal(package_open_memory(&r, bytes, 8 + sizeof header + 8, "m", &err), GARAM_OK);
  assert_int_equal(package_get_finite(&t, r, "b", PACKAGE_F64, 1, (int64_t[]){1}, &err), 0);
  assert_int_equal((uintptr_t)t->data % 8, 0);
  assert_true(*(const double *)t->data == 0.5);
  package_close(r);
  value = NAN;
  memcpy(bytes + 8 + sizeof header, &value, 8);
  assert_int_equal(package_open_memory(&r, bytes, 8 + sizeof header + 8, "m", &err), GARAM_OK);
  assert_int_equal(package_get_finite(&t, r, "b", PACKAGE_F64, 1, (int64_t[]){1}, &err),
                   GARAM_CORRUPT);
  package_close(r);
}

/* Every byte flipped, in several ways, and every length: an error or a valid file. */
static void test_damage(void **state) {
  (void)state;
  garam_error err;
  char *bytes;
  size_t size;
  write_golden();
  assert_int_equal(io_read_file(&bytes, &size, path, 1 << 20, &err), GARAM_OK);
  for (size_t n = 0; n < size; n++) assert_int_not_equal(open_bytes(bytes, n, &err), GARAM_OK);
  static const uint8_t flips[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
  for (size_t i = 0; i < size; i++)
    for (size_t f = 0; f < sizeof flips; f++) {
      char kept = bytes[i];
      bytes[i] = (char)(kept ^ (char)flips[f]);
      open_bytes(bytes, size, &err);
      bytes[i] = kept;
    }
  assert_int_equal(open_bytes(bytes, size, &err), GARAM_OK);
  mem_free(bytes);
}

static void test_files(void **state) {
  (void)state;
  garam_error err;
  package_reader *r;
  assert_int_equal(package_open(&r, "/nonexistent/x.safetensors", &err), GARAM_NOT_FOUND);
  assert_int_equal(io_write_file(path, "", 0, &err), GARAM_OK);
  assert_int_equal(package_open(&r, path, &err), GARAM_CORRUPT);
  package_writer *w;
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  assert_int_equal(package_write(w, "/nonexistent/x.safetensors", &err), GARAM_NOT_FOUND);
  assert_int_equal(package_write(w, "/dev/full/x", &err), GARAM_IO);
  package_writer_free(w);
}

/* ---- out of memory, at every allocation ------------------------------------------------------ */

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory;
  write_golden();
  failing_allocator_use(&memory);
  bool done = false;
  size_t n_failed = 0;
  for (size_t n = 0; !done && n < 10000; n++) {
    garam_error err = {0};
    package_reader *r;
    failing_allocator_restart(&memory, n);
    garam_status status = package_open(&r, path, &err);
    if (status == GARAM_OK) {
      json_t *meta = NULL;
      failing_allocator_restart(&memory, SIZE_MAX);
      assert_int_equal(package_get_meta(&meta, r, "garam", &err), GARAM_OK);
      json_decref(meta);
      done = true;
    } else {
      assert_null(r);
      n_failed++;
      /* jansson tells of lack of memory in the middle of a token as of a bad token. */
      if (status != GARAM_NO_MEMORY && status != GARAM_CORRUPT)
        fail_msg("allocation %zu: %s", n, err.message);
    }
    package_close(r);
  }
  garam_set_allocator(NULL);
  assert_true(done && n_failed > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_headers),
      cmocka_unit_test(test_unaligned),  cmocka_unit_test(test_damage),
      cmocka_unit_test(test_files),      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
