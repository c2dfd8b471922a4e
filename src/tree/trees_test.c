/* Sets of trees: building, the rules of a split, packages and damaged ones. */
#include "tree/trees_fake.h"

#include "base/io.h"
#include "base/mem.h"
#include "tests/failing_allocator.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static int setup(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/garam_trees_test.%d.safetensors", (int)getpid());
  return 0;
}

static int teardown(void **state) {
  (void)state;
  unlink(path);
  return 0;
}

static trees *stump(const trees_split *split) {
  trees_builder *b;
  trees *t;
  garam_error err;
  trees_split s = *split;
  s.left = ~0;
  s.right = ~1;
  assert_int_equal(trees_builder_new(&b, 2, 1, 1, &err), GARAM_OK);
  assert_int_equal(trees_begin(b, 0, 1, &err), GARAM_OK);
  assert_int_equal(trees_set_split(b, 0, &s, &err), GARAM_OK);
  for (size_t i = 0; i < 2; i++)
    assert_int_equal(trees_set_leaf(b, i, (double[]){i ? 2 : 1}, 1, &err), GARAM_OK);
  assert_int_equal(trees_end(b, &err), GARAM_OK);
  assert_int_equal(trees_finish(&t, b, NULL, 1, false, &err), GARAM_OK);
  return t;
}

/* Which way x goes, for every kind of split: 1 left, 2 right. */
static void test_split_rules(void **state) {
  (void)state;
  static const uint32_t set[] = {0x5, 0x80000000u}; /* 0, 2, 63 */
  const struct {
    trees_split split;
    float x;
    int side;
  } cases[] = {
      {{.threshold = 0.5f}, 0.5f, 1},
      {{.threshold = 0.5f}, nextafterf(0.5f, 1), 2},
      {{.threshold = 0.5f}, NAN, 1}, /* as zero */
      {{.threshold = -0.5f}, NAN, 2},
      {{.threshold = -0.5f, .default_left = true}, NAN, 2},
      {{.threshold = -0.5f, .missing = TREES_MISSING_NAN, .default_left = true}, NAN, 1},
      {{.threshold = 0.5f, .missing = TREES_MISSING_NAN}, NAN, 2},
      {{.threshold = 0.5f, .missing = TREES_MISSING_NAN}, 0, 1},
      {{.threshold = 0.5f, .missing = TREES_MISSING_ZERO}, 0, 2},
      {{.threshold = 0.5f, .missing = TREES_MISSING_ZERO}, -1e-35f, 2},
      {{.threshold = 0.5f, .missing = TREES_MISSING_ZERO}, 2e-35f, 1},
      {{.threshold = -0.5f, .missing = TREES_MISSING_ZERO, .default_left = true}, NAN, 1},
      {{.threshold = INFINITY}, INFINITY, 1},
      {{.threshold = FLT_MAX}, INFINITY, 2},
      {{.threshold = -INFINITY}, -FLT_MAX, 2},
      {{.categories = set, .n_words = 2}, 0, 1},
      {{.categories = set, .n_words = 2}, 1, 2},
      {{.categories = set, .n_words = 2}, 2.9f, 1},
      {{.categories = set, .n_words = 2}, 63, 1},
      {{.categories = set, .n_words = 2}, 64, 2},
      {{.categories = set, .n_words = 2}, 1e30f, 2},
      {{.categories = set, .n_words = 2}, -1, 2},
      {{.categories = set, .n_words = 2}, -1e30f, 2},
      {{.categories = set, .n_words = 2}, NAN, 2},
      {{.categories = set, .n_words = 2, .default_left = true}, NAN, 1},
      {{.categories = set, .n_words = 0}, 0, 2},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    trees *t = stump(&cases[i].split);
    double out;
    trees_predict_row(t, (float[]){cases[i].x, NAN}, &out);
    if (out != cases[i].side) fail_msg("case %zu: %g, not %d", i, out, cases[i].side);
    trees_free(t);
  }
}

static void test_thresholds(void **state) {
  (void)state;
  static const double values[] = {0,     0.1,   -0.1,   1,        -1,        0.30000001192092896,
                                  1e30,  1e300, -1e300, INFINITY, -INFINITY, 1e-46,
                                  -1e-46};
  for (size_t i = 0; i < COUNT_OF(values); i++) {
    double t = values[i];
    float le = trees_threshold_le(t), lt = trees_threshold_lt(t);
    float near = (float)t;
    float xs[] = {near,    nextafterf(near, INFINITY), nextafterf(near, -INFINITY), 0, FLT_MAX,
                  -FLT_MAX};
    for (size_t j = 0; j < COUNT_OF(xs); j++) {
      assert_int_equal((double)xs[j] <= t, xs[j] <= le);
      if (t != -INFINITY) assert_int_equal((double)xs[j] < t, xs[j] <= lt);
    }
  }
}

/* What a builder refuses: each case spoils one thing of a tree of three leaves. */
static void test_refused(void **state) {
  (void)state;
  static const struct {
    trees_split split[2];
    double value;
  } cases[] = {
      {{{.left = 1, .right = ~0}, {.left = ~1, .right = ~2}}, 0}, /* the one that is fine */
      {{{.left = 1, .right = ~0}, {.left = ~1, .right = ~1}}, 0}, /* a leaf twice */
      {{{.left = 1, .right = ~0}, {.left = 0, .right = ~2}}, 0},  /* a cycle */
      {{{.left = 1, .right = ~0}, {.left = 1, .right = ~2}}, 0},
      {{{.left = 1, .right = 1}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = ~0, .right = ~1}, {.left = ~1, .right = ~2}}, 0}, /* not reached */
      {{{.left = 2, .right = ~0}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~3}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = INT32_MIN, .right = ~0}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = INT32_MAX, .right = ~0}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~0, .feature = 2}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~0, .threshold = NAN}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~0, .missing = (trees_missing)3}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~0, .gain = NAN}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~0, .cover = -1}, {.left = ~1, .right = ~2}}, 0},
      {{{.left = 1, .right = ~0}, {.left = ~1, .right = ~2}}, NAN},
      {{{.left = 1, .right = ~0}, {.left = ~1, .right = ~2}}, INFINITY},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    trees_builder *b;
    garam_error err = {0};
    assert_int_equal(trees_builder_new(&b, 2, 1, 1, &err), GARAM_OK);
    assert_int_equal(trees_begin(b, 0, 2, &err), GARAM_OK);
    for (size_t s = 0; s < 2; s++)
      assert_int_equal(trees_set_split(b, s, &cases[i].split[s], &err), GARAM_OK);
    for (size_t leaf = 0; leaf < 3; leaf++)
      assert_int_equal(trees_set_leaf(b, leaf, &cases[i].value, 0, &err), GARAM_OK);
    garam_status status = trees_end(b, &err);
    if (status != (i == 0 ? GARAM_OK : GARAM_CORRUPT))
      fail_msg("case %zu: %s: %s", i, garam_status_name(status), err.message);
    trees_builder_free(b);
  }
  trees_builder *b;
  garam_error err;
  assert_int_equal(trees_builder_new(&b, 2, 1, 1, &err), GARAM_OK);
  assert_int_equal(trees_begin(b, 0, 0, &err), GARAM_OK);
  assert_int_equal(trees_set_leaf(b, 0, (double[]){1}, 0, &err), GARAM_OK);
  assert_int_equal(trees_set_leaf(b, 0, (double[]){1}, 0, &err), GARAM_CORRUPT);
  trees_builder_free(b);
  assert_int_equal(trees_builder_new(&b, 2, 1, 1, &err), GARAM_OK);
  assert_int_equal(trees_begin(b, 0, 0, &err), GARAM_OK);
  assert_int_equal(trees_end(b, &err), GARAM_CORRUPT);
  trees_builder_free(b);
}

static const trees_fake kinds[] = {
    {.n_features = 5, .n_outputs = 1, .width = 1, .n_trees = 4, .n_leaves = 9, .seed = 1},
    {.n_features = 6,
     .n_outputs = 3,
     .width = 1,
     .n_trees = 6,
     .n_leaves = 12,
     .seed = 2,
     .missing = true,
     .categories = true},
    {.n_features = 3,
     .n_outputs = 4,
     .width = 4,
     .n_trees = 3,
     .n_leaves = 7,
     .seed = 3,
     .missing = true},
    {.n_features = 4,
     .n_outputs = 1,
     .width = 1,
     .n_trees = 3,
     .n_leaves = 6,
     .seed = 4,
     .missing = true,
     .categories = true,
     .linear = true},
    {.n_features = 2, .n_outputs = 2, .width = 1, .n_trees = 2, .n_leaves = 1, .seed = 5},
    {.n_features = 2, .n_outputs = 2, .width = 1, .n_trees = 0, .n_leaves = 1, .seed = 5},
};

static void save(const trees *t) {
  package_writer *w;
  garam_error err;
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  assert_int_equal(trees_save(t, w, "m.", &err), GARAM_OK);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
}

static void assert_same(const trees *a, const trees *b, const trees_fake *spec) {
  enum { ROWS = 50 };
  float x[ROWS * 8];
  double p[8], q[8];
  trees_fake_rows(x, ROWS, spec, 9);
  for (size_t i = 0; i < ROWS; i++) {
    trees_predict_row(a, x + i * spec->n_features, p);
    trees_predict_row(b, x + i * spec->n_features, q);
    assert_memory_equal(p, q, spec->n_outputs * sizeof *p);
  }
}

static void test_package(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    trees *t, *loaded;
    package_reader *r;
    garam_error err;
    assert_int_equal(trees_fake_new(&t, &kinds[i], &err), GARAM_OK);
    for (size_t k = 0; k < t->n_outputs; k++) t->base[k] = 0.25 + (double)k;
    t->divisor = 3;
    t->sum_f32 = i % 2;
    save(t);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    assert_int_equal(trees_load(&loaded, kinds[i].n_features, kinds[i].n_outputs, r, "m.", &err),
                     GARAM_OK);
    package_close(r);
    assert_same(t, loaded, &kinds[i]);
    assert_int_equal(trees_bytes(t), trees_bytes(loaded));
    trees_free(loaded);
    trees_free(t);
  }
}

/* A copy tree by tree into a fresh builder, after others were cut off, is the same. */
static void test_copy_and_truncate(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    trees *t, *copy;
    trees_builder *b;
    garam_error err;
    assert_int_equal(trees_fake_new(&t, &kinds[i], &err), GARAM_OK);
    assert_int_equal(trees_builder_new(&b, t->n_features, t->n_outputs, t->width, &err), GARAM_OK);
    for (size_t j = 0; j < t->n_trees; j++)
      assert_int_equal(trees_builder_copy(b, t, t->n_trees - 1 - j, &err), GARAM_OK);
    trees_builder_truncate(b, 0);
    for (size_t j = 0; j < t->n_trees; j++)
      assert_int_equal(trees_builder_copy(b, t, j, &err), GARAM_OK);
    if (t->n_trees > 1) {
      trees_builder_truncate(b, 1);
      for (size_t j = 1; j < t->n_trees; j++)
        assert_int_equal(trees_builder_copy(b, t, j, &err), GARAM_OK);
    }
    assert_int_equal(trees_finish(&copy, b, NULL, 1, false, &err), GARAM_OK);
    assert_int_equal(trees_bytes(t), trees_bytes(copy));
    assert_same(t, copy, &kinds[i]);
    trees_free(copy);
    trees_free(t);
  }
}

/* Every byte of the arrays changed in several ways: an error, or trees that predict. */
static void test_damage(void **state) {
  (void)state;
  static const uint8_t flips[] = {1, 128};
  size_t refused = 0;
  for (size_t i = 0; i < 4; i++) {
    trees *t, *loaded;
    char *bytes;
    size_t size;
    garam_error err;
    float x[8] = {0};
    double out[8];
    assert_int_equal(trees_fake_new(&t, &kinds[i], &err), GARAM_OK);
    save(t);
    trees_free(t);
    assert_int_equal(io_read_file(&bytes, &size, path, 1 << 20, &err), GARAM_OK);
    for (size_t at = 8; at < size; at++)
      for (size_t f = 0; f < sizeof flips; f++) {
        package_reader *r;
        char kept = bytes[at];
        bytes[at] = (char)(kept ^ (char)flips[f]);
        if (package_open_memory(&r, bytes, size, "m", &err) == GARAM_OK) {
          if (trees_load(&loaded, kinds[i].n_features, kinds[i].n_outputs, r, "m.", &err) ==
              GARAM_OK) {
            trees_predict_row(loaded, x, out);
            trees_free(loaded);
          } else {
            refused++;
          }
          package_close(r);
        }
        bytes[at] = kept;
      }
    mem_free(bytes);
  }
  assert_true(refused > 1000);
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory;
  trees *t;
  bool done = false;
  size_t n_failed = 0;
  failing_allocator_use(&memory);
  for (size_t n = 0; !done && n < 10000; n++) {
    garam_error err;
    failing_allocator_restart(&memory, n);
    garam_status status = trees_fake_new(&t, &kinds[3], &err);
    if (status == GARAM_OK) {
      trees_free(t);
      done = true;
    } else {
      assert_int_equal(status, GARAM_NO_MEMORY);
      n_failed++;
    }
    assert_int_equal(memory.n_blocks, 0);
  }
  failing_allocator_restart(&memory, SIZE_MAX);
  garam_error err;
  assert_int_equal(trees_fake_new(&t, &kinds[3], &err), GARAM_OK);
  save(t);
  trees_free(t);
  package_reader *r;
  assert_int_equal(package_open(&r, path, &err), GARAM_OK);
  done = false;
  for (size_t n = 0; !done && n < 100; n++) {
    failing_allocator_restart(&memory, n);
    done = trees_load(&t, kinds[3].n_features, 1, r, "m.", &err) == GARAM_OK;
    n_failed += !done;
    trees_free(t);
  }
  package_close(r);
  assert_int_equal(memory.n_blocks, 0);
  garam_set_allocator(NULL);
  assert_true(done && n_failed > 30);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_split_rules),       cmocka_unit_test(test_thresholds),
      cmocka_unit_test(test_refused),           cmocka_unit_test(test_package),
      cmocka_unit_test(test_copy_and_truncate), cmocka_unit_test(test_damage),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
