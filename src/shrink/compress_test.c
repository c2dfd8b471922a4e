/* Which tensors of a package become codes, that all others stay bit by bit, and what is refused. */
#include "shrink/compress.h"

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

enum { MOST = 1 << 14 };

static char path[256], out[256];
static double block[MOST]; /* what every tensor is filled from */

static int setup(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/garam-compress-test-%ld.safetensors", (long)getpid());
  snprintf(out, sizeof out, "/tmp/garam-compress-test-%ld-out.safetensors", (long)getpid());
  float *w = (float *)block;
  for (size_t i = 0; i < 2 * MOST; i++) w[i] = (float)sin(1.7 * (double)i) * 0.1f;
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  unlink(out);
  return 0;
}

static const struct {
  const char *name;
  package_dtype type;
  int rank;
  int64_t dims[3];
  bool coded;
} tensors[] = {
    {"learner.embed.weight", PACKAGE_F32, 2, {40, 65}, true},
    {"learner.embed.bias", PACKAGE_F32, 1, {65}, false},
    {"weight", PACKAGE_F32, 2, {33, 37}, true},
    {"actor.cart.1.weight", PACKAGE_F32, 2, {64, 64}, true},
    {"learner.layers.0.weight_hidden", PACKAGE_F32, 2, {16, 64}, true},
    {"conv.weight", PACKAGE_F32, 3, {3, 16, 32}, true},
    {"learner.l0.m2.norm.weight", PACKAGE_F32, 1, {4096}, false},
    {"position.weight", PACKAGE_F32, 2, {64, 32}, false},
    {"learner.position.weight", PACKAGE_F32, 2, {64, 32}, false},
    {"decomposition.weight", PACKAGE_F32, 2, {64, 32}, true},
    {"learner.weight", PACKAGE_F32, 2, {3, 2000}, false}, /* a linear learner's */
    {"actor.out.weight", PACKAGE_F32, 2, {64, 2}, false}, /* small */
    {"learner.weights", PACKAGE_F32, 2, {64, 64}, false}, /* of members */
    {"novelty.rows", PACKAGE_F32, 2, {500, 20}, false},
    {"learner.des.x", PACKAGE_F32, 2, {500, 20}, false},
    {"mix.mix", PACKAGE_F32, 2, {64, 64}, false},
    {"trees.value", PACKAGE_F64, 1, {4096}, false},
    {"big.weight", PACKAGE_F64, 2, {64, 64}, false},
    {"count.weight", PACKAGE_I32, 2, {64, 64}, false},
    {"bytes.weight", PACKAGE_I8, 2, {64, 64}, false},
};

static void write_source(const char *manifest) {
  package_writer *w;
  garam_error err = {0};
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  for (size_t i = 0; i < COUNT_OF(tensors); i++)
    assert_int_equal(package_add(w, tensors[i].name, tensors[i].type, tensors[i].rank,
                                 tensors[i].dims, block, &err),
                     GARAM_OK);
  if (manifest) assert_int_equal(package_set_meta_text(w, "garam", manifest, &err), GARAM_OK);
  assert_int_equal(package_set_meta_text(w, "else", "not JSON", &err), GARAM_OK);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
}

static garam_status compress(json_t **report, const char *from, coding to, int group,
                             garam_error *err) {
  compressed *c;
  *report = NULL;
  garam_status status =
      compress_package(&c, from, &(compress_config){.to = (int)to, .group = group}, err);
  if (status == GARAM_OK) status = compressed_write(report, c, out, err);
  compressed_free(c);
  return status;
}

static void check_tensor(const package_reader *a, const package_reader *b, size_t i, coding to) {
  static const double most[] = {[CODING_BF16] = 0.003, [CODING_INT8] = 0.01, [CODING_INT4] = 0.1};
  const package_tensor *x, *y, *stored = NULL;
  garam_error err = {0};
  for (size_t k = 0; k < package_count(b); k++)
    if (strcmp(package_at(b, k)->name, tensors[i].name) == 0) stored = package_at(b, k);
  assert_non_null(stored);
  if ((stored->type != tensors[i].type) != tensors[i].coded)
    fail_msg("%s is %s", stored->name, package_dtype_name(stored->type));
  assert_int_equal(
      package_get(&x, a, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].dims, &err),
      GARAM_OK);
  assert_int_equal(
      package_get(&y, b, tensors[i].name, tensors[i].type, tensors[i].rank, tensors[i].dims, &err),
      GARAM_OK);
  if (!tensors[i].coded) {
    assert_memory_equal(x->data, y->data, x->bytes);
    return;
  }
  double lost = 0, all = 0;
  for (size_t k = 0; k < x->count; k++) {
    lost += pow((double)((const float *)x->data)[k] - (double)((const float *)y->data)[k], 2);
    all += pow((double)((const float *)x->data)[k], 2);
  }
  if (!(lost > 0) || !(sqrt(lost / all) < most[to]))
    fail_msg("%s in %s: off by %g", stored->name, coding_names[to], sqrt(lost / all));
}

static void test_what_is_coded(void **state) {
  (void)state;
  static const char manifest[] = "{\"kind\":\"policy\", \"x\": 0.10}";
  write_source(manifest);
  int64_t last = 0;
  for (int to = CODING_BF16; to <= CODING_INT4; to++) {
    garam_error err = {0};
    package_reader *a, *b;
    json_t *report;
    if (compress(&report, path, (coding)to, 32, &err) != GARAM_OK) fail_msg("%s", err.message);
    assert_int_equal(package_open(&a, path, &err), GARAM_OK);
    if (package_open(&b, out, &err) != GARAM_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < COUNT_OF(tensors); i++) check_tensor(a, b, i, (coding)to);
    assert_string_equal(json_string_value(json_object_get(package_meta(b), "garam")), manifest);
    assert_string_equal(json_string_value(json_object_get(package_meta(b), "else")), "not JSON");
    size_t n_coded = 0;
    for (size_t i = 0; i < COUNT_OF(tensors); i++) n_coded += tensors[i].coded;
    assert_int_equal(json_array_size(json_object_get(report, "tensors")), n_coded);
    assert_int_equal(json_integer_value(json_object_get(report, "kept")),
                     COUNT_OF(tensors) - n_coded);
    const json_int_t before = json_integer_value(json_object_get(report, "bytes_before")),
                     after = json_integer_value(json_object_get(report, "bytes_after"));
    assert_true(after < before && (to == CODING_BF16 || after < last));
    last = after;
    json_decref(report);
    package_close(a);
    package_close(b);
    /* Not twice: the errors would add up, and nobody would see. */
    char *copy;
    size_t size;
    assert_int_equal(io_read_file(&copy, &size, out, 1 << 24, &err), GARAM_OK);
    assert_int_equal(compress(&report, out, CODING_INT8, 32, &err), GARAM_UNSUPPORTED);
    assert_non_null(strstr(err.message, "compressed already"));
    assert_int_equal(size, (size_t)after);
    mem_free(copy);
  }
}

static void test_refused(void **state) {
  (void)state;
  garam_error err = {0};
  json_t *report;
  unlink(out);
  write_source(NULL);
  assert_int_equal(compress(&report, path, CODING_INT8, 32, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "no model or policy"));
  assert_int_equal(compress(&report, "/none/x", CODING_INT8, 32, &err), GARAM_NOT_FOUND);
  ((float *)block)[700] = NAN;
  write_source("{}");
  ((float *)block)[700] = 0.05f;
  assert_int_equal(compress(&report, path, CODING_INT4, 32, &err), GARAM_CORRUPT);
  assert_non_null(strstr(err.message, "value 700"));
  assert_int_equal(io_write_file(path, "garbage", 7, &err), GARAM_OK);
  assert_int_equal(compress(&report, path, CODING_INT8, 32, &err), GARAM_CORRUPT);
  package_writer *w;
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  assert_int_equal(package_add(w, "x", PACKAGE_F32, 1, (int64_t[]){4}, block, &err), GARAM_OK);
  assert_int_equal(package_set_meta_text(w, "garam", "{}", &err), GARAM_OK);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
  assert_int_equal(compress(&report, path, CODING_INT8, 32, &err), GARAM_UNSUPPORTED);
  assert_non_null(strstr(err.message, "nothing to compress"));
  assert_false(io_exists(out));
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory;
  bool done = false;
  write_source("{}");
  for (size_t n = 0; !done && n < 20000; n += 1 + n / 40) {
    garam_error err = {0};
    json_t *report;
    failing_allocator_use(&memory);
    failing_allocator_restart(&memory, n);
    garam_status status = compress(&report, path, CODING_INT4, 32, &err);
    json_decref(report);
    garam_set_allocator(NULL);
    if (status != GARAM_OK && status != GARAM_NO_MEMORY && status != GARAM_CORRUPT)
      fail_msg("allocation %zu: %s", n, err.message);
    assert_int_equal(memory.n_blocks, 0);
    done = status == GARAM_OK && !memory.failed;
  }
  assert_true(done);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_coded),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("compress", tests, setup, teardown);
}
