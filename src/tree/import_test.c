/* Model files of others: what they predict, and what damaged ones come to. tests/peers compares
 * with the systems themselves. */
#include "tree/import.h"

#include "base/mem.h"
#include "tests/failing_allocator.h"
#include "tree/import_examples.h"
#include "tree/trees_learner.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static garam_status read_text(trees_import *m, const char *text, garam_error *err) {
  return trees_import_memory(m, text, strlen(text), "m", err);
}

static double sum_at(const trees *t, float price, float volume) {
  double out;
  trees_predict_row(t, (float[]){price, volume}, &out);
  return out;
}

static void test_lightgbm(void **state) {
  (void)state;
  trees_import m;
  garam_error err;
  assert_int_equal(read_text(&m, example_lightgbm, &err), GARAM_OK);
  assert_string_equal(m.format, "lightgbm");
  assert_string_equal(m.feature_names[1], "volume");
  assert_int_equal(m.link, LINK_LOGISTIC);
  assert_true(m.link_scale == 2 && m.n_classes == 2);
  /* tree 0: price 0.5 goes left, volume -1.25 left; tree 1: 0, 2, 32 are in the set; tree 2: linear
   * on the left, where price <= 0 */
  assert_true(sum_at(m.trees, 0.5f, -1.25f) == 0.5 + 4 + 8);
  assert_true(sum_at(m.trees, 0.5f, 32) == 1 + 2 + 8);
  assert_true(sum_at(m.trees, 0.75f, 2) == -0.25 + 2 + 8);
  assert_true(sum_at(m.trees, -1, 1) == 1 + 4 + (0.125 - 1 + 0.5));
  assert_true(sum_at(m.trees, NAN, 1) == 1 + 4 + 8); /* none: as zero; linear: the plain value */
  assert_true(sum_at(m.trees, 0, NAN) == 1 + 4 + 8); /* default right; no category */
  assert_true(m.trees->cover[0] == 60 && m.trees->leaf_cover[1] == 20);
  trees_import_deinit(&m);
}

static void assert_xgboost(const trees_import *m) {
  assert_string_equal(m->feature_names[0], "price");
  assert_int_equal(m->link, LINK_LOGISTIC);
  assert_true(m->trees->sum_f32 && m->trees->base[0] == 0);
  assert_true(sum_at(m->trees, 0.25f, -2) == 0.5 + 4);
  assert_true(sum_at(m->trees, 0.5f, 1) == -0.25 + 4); /* < 0.5 does not hold */
  assert_true(sum_at(m->trees, 0.25f, -1.25f) == 1 + 4);
  assert_true(sum_at(m->trees, 0.25f, 2) == 1 + 2); /* in the set: right */
  assert_true(sum_at(m->trees, NAN, 32) == 1 + 2);
  assert_true(sum_at(m->trees, NAN, NAN) == 1 + 4); /* default left */
}

/* jansson's value as UBJSON; typed arrays where all elements are integers. */
static size_t to_ubjson(char *out, const json_t *v);

static size_t put_count(char *out, size_t n) {
  out[0] = 'L';
  for (int i = 0; i < 8; i++) out[1 + i] = (char)((uint64_t)n >> (56 - 8 * i));
  return 9;
}

static size_t put_real(char *out, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  out[0] = 'D';
  for (int i = 0; i < 8; i++) out[1 + i] = (char)(bits >> (56 - 8 * i));
  return 9;
}

static size_t to_ubjson(char *out, const json_t *v) {
  size_t n = 0, i;
  const char *key;
  json_t *item;
  if (json_is_object(v)) {
    out[n++] = '{';
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
      n += put_count(out + n, strlen(key));
      memcpy(out + n, key, strlen(key));
      n += strlen(key);
      n += to_ubjson(out + n, item);
    }
    out[n++] = '}';
  } else if (json_is_array(v)) {
    bool whole = json_array_size(v) > 0;
    json_array_foreach(v, i, item) whole = whole && json_is_integer(item);
    out[n++] = '[';
    if (whole) memcpy(out + n, "$l", 2), n += 2;
    out[n++] = '#';
    n += put_count(out + n, json_array_size(v));
    json_array_foreach(v, i, item) {
      if (whole)
        for (int b = 0; b < 4; b++)
          out[n++] = (char)((uint32_t)json_integer_value(item) >> (24 - 8 * b));
      else n += to_ubjson(out + n, item);
    }
  } else if (json_is_string(v)) {
    out[n++] = 'S';
    n += put_count(out + n, json_string_length(v));
    memcpy(out + n, json_string_value(v), json_string_length(v));
    n += json_string_length(v);
  } else if (json_is_integer(v)) {
    n = put_count(out, (size_t)json_integer_value(v));
  } else {
    n = put_real(out, json_real_value(v));
  }
  return n;
}

static size_t ubjson_example(char *out) {
  json_t *root;
  assert_int_equal(json_parse(&root, example_xgboost, sizeof example_xgboost - 1, "m", NULL), 0);
  size_t n = to_ubjson(out, root);
  json_decref(root);
  return n;
}

static void test_xgboost(void **state) {
  (void)state;
  trees_import m;
  garam_error err;
  char binary[8192];
  assert_int_equal(read_text(&m, example_xgboost, &err), GARAM_OK);
  assert_string_equal(m.format, "xgboost-json");
  assert_xgboost(&m);
  trees_import_deinit(&m);
  size_t n = ubjson_example(binary);
  assert_int_equal(trees_import_memory(&m, binary, n, "m", &err), GARAM_OK);
  assert_string_equal(m.format, "xgboost-ubjson");
  assert_xgboost(&m);
  trees_import_deinit(&m);
}

/* One place of a file changed: refused, with a message that names the field. */
static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *file, *from, *to, *says;
  } cases[] = {
      {example_lightgbm, "version=v4", "version=v9", "version"},
      {example_lightgbm, "max_feature_idx=1\n", "", "max_feature_idx"},
      {example_lightgbm, "max_feature_idx=1", "max_feature_idx=0", "split_feature"},
      {example_lightgbm, "max_feature_idx=1", "max_feature_idx=99999999999999", "max_feature_idx"},
      {example_lightgbm, "num_tree_per_iteration=1", "num_tree_per_iteration=3", "objective"},
      {example_lightgbm, "num_leaves=3", "num_leaves=4", "leaf_value"},
      {example_lightgbm, "num_leaves=3", "num_leaves=2000000000", "leaf_value"},
      {example_lightgbm, "num_leaves=3", "num_leaves=-3", "num_leaves"},
      {example_lightgbm, "split_feature=0 1", "split_feature=0 2", "split_feature"},
      {example_lightgbm, "split_feature=0 1", "split_feature=0 0.5", "split_feature"},
      {example_lightgbm, "split_feature=0 1", "split_feature=0 -1", "split_feature"},
      {example_lightgbm, "threshold=0.5 -1.25", "threshold=0.5 nan", "threshold"},
      {example_lightgbm, "threshold=0.5 -1.25", "threshold=0.5", "threshold"},
      {example_lightgbm, "decision_type=2 8", "decision_type=2 14", "decision_type"},
      {example_lightgbm, "left_child=1 -1", "left_child=0 -1", "twice"},
      {example_lightgbm, "left_child=1 -1", "left_child=1 1", "twice"},
      {example_lightgbm, "left_child=1 -1", "left_child=-1 -1", "reached"},
      {example_lightgbm, "left_child=1 -1", "left_child=1 -4", "left_child"},
      {example_lightgbm, "left_child=1 -1", "left_child=1 99", "left_child"},
      {example_lightgbm, "leaf_value=0.5 -0.25 1", "leaf_value=0.5 inf 1", "leaf_value"},
      {example_lightgbm, "leaf_count=10 20 30", "leaf_count=10 -20 30", "leaf_count"},
      {example_lightgbm, "internal_count=60 40", "leaf_count=60 40", "twice"},
      {example_lightgbm, "cat_boundaries=0 2", "cat_boundaries=0 3", "cat_boundaries"},
      {example_lightgbm, "cat_boundaries=0 2", "cat_boundaries=2 0", "cat_boundaries"},
      {example_lightgbm, "cat_threshold=5 1", "cat_threshold=5 4294967296", "cat_threshold"},
      {example_lightgbm, "threshold=0\ndecision_type=1", "threshold=1\ndecision_type=1",
       "category"},
      {example_lightgbm, "num_cat=1", "num_cat=0", "category"},
      {example_lightgbm, "num_features=2 0", "num_features=1 0", "leaf_features"},
      {example_lightgbm, "leaf_features=0 1", "leaf_features=0 7", "leaf_features"},
      {example_lightgbm, "Tree=1", "Tree=2", "Tree=1"},
      {example_lightgbm, "end of trees", "end of tree", "end of trees"},
      {example_lightgbm, "feature_names=price volume", "feature_names=price", "feature_names"},
      {example_xgboost, "\"num_feature\":\"2\"", "\"num_feature\":\"1\"", "split_indices"},
      {example_xgboost, "\"num_feature\":\"2\"", "\"num_feature\":\"-2\"", "num_feature"},
      {example_xgboost, "\"num_class\":\"0\"", "\"num_class\":\"3\"", "outputs"},
      {example_xgboost, "\"tree_info\":[0,0]", "\"tree_info\":[0,1]", "tree_info"},
      {example_xgboost, "\"tree_info\":[0,0]", "\"tree_info\":[0]", "tree_info"},
      {example_xgboost, "[1,3,-1,-1,-1]", "[1,0,-1,-1,-1]", "twice"},
      {example_xgboost, "[1,3,-1,-1,-1]", "[1,1,-1,-1,-1]", "twice"},
      {example_xgboost, "[1,3,-1,-1,-1]", "[1,5,-1,-1,-1]", "left_children"},
      {example_xgboost, "[1,3,-1,-1,-1]", "[1,3,-1,-1]", "left_children"},
      {example_xgboost, "[1,3,-1,-1,-1]", "[1,3.0,-1,-1,-1]", "left_children"},
      {example_xgboost, "[2,4,-1,-1,-1]", "[2,-1,-1,-1,-1]", "right_children"},
      {example_xgboost, "[0,1,0,0,0]", "[0,2,0,0,0]", "split_indices"},
      {example_xgboost, "[0.5,-1.25,-0.25,0.5,1.0]", "[0.5,-1.25,1e39,0.5,1.0]",
       "split_conditions"},
      {example_xgboost, "[0.5,-1.25,-0.25,0.5,1.0]", "[0.5,NaN,-0.25,0.5,1.0]", ""},
      {example_xgboost, "\"default_left\":[1,0,0,0,0]", "\"default_left\":[2,0,0,0,0]",
       "default_left"},
      {example_xgboost, "\"num_nodes\":\"5\"", "\"num_nodes\":\"4\"", "left_children"},
      {example_xgboost, "\"num_nodes\":\"5\"", "\"num_nodes\":\"2000000000\"", "left_children"},
      {example_xgboost, "\"num_nodes\":\"5\"", "\"num_nodes\":\"x\"", "num_nodes"},
      {example_xgboost, "\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"2\"", "leaves of"},
      {example_xgboost, "[0,2,32]", "[0,2,16777216]", "categories"},
      {example_xgboost, "[0,2,32]", "[0,2,-1]", "categories"},
      {example_xgboost, "\"categories_sizes\":[3]", "\"categories_sizes\":[4]", "categories_sizes"},
      {example_xgboost, "\"categories_segments\":[0]", "\"categories_segments\":[9]",
       "categories_segments"},
      {example_xgboost, "\"categories_nodes\":[0]", "\"categories_nodes\":[3]", "categories_nodes"},
      {example_xgboost, "\"categories_nodes\":[0]", "\"categories_nodes\":[1]", "category"},
      {example_xgboost, "\"base_score\":\"5E-1\"", "\"base_score\":\"2\"", "base_score"},
      {example_xgboost, "\"base_score\":\"5E-1\"", "\"base_score\":\"[0.5,0.5]\"", "base_score"},
      {example_xgboost, "\"base_score\":\"5E-1\"", "\"base_score\":\"x\"", "base_score"},
      {example_xgboost, "binary:logistic", "binary:other", "objective"},
      {example_xgboost, "\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "booster"},
      {example_xgboost, "\"feature_names\":[\"price\",\"volume\"]", "\"feature_names\":[\"price\"]",
       "feature_names"},
      {example_xgboost, "\"num_class\":\"0\"", "\"num_feature\":\"2\"", ""}, /* duplicate key */
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    trees_import m;
    garam_error err = {0};
    const char *at = strstr(cases[i].file, cases[i].from);
    assert_non_null(at);
    char *text = mem_format("%.*s%s%s", (int)(at - cases[i].file), cases[i].file, cases[i].to,
                            at + strlen(cases[i].from));
    garam_status status = read_text(&m, text, &err);
    if (status == GARAM_OK || !strstr(err.message, cases[i].says))
      fail_msg("case %zu: %s -> %s: %s: %s", i, cases[i].from, cases[i].to,
               garam_status_name(status), err.message);
    mem_free(text);
    trees_import_deinit(&m);
  }
}

/* Every byte changed in several ways, and every length: an error, or trees that predict. */
static void test_damage(void **state) {
  (void)state;
  static char binary[8192];
  const struct {
    const char *data;
    size_t n;
  } files[] = {{example_lightgbm, sizeof example_lightgbm - 1},
               {example_xgboost, sizeof example_xgboost - 1},
               {binary, ubjson_example(binary)}};
  static const uint8_t flips[] = {1, 4, 16, 128};
  static float x[65536];
  for (size_t f = 0; f < COUNT_OF(files); f++) {
    char *copy = mem_alloc(files[f].n);
    size_t refused = 0;
    memcpy(copy, files[f].data, files[f].n);
    for (size_t i = 0; i < files[f].n; i++) {
      for (size_t j = 0; j <= COUNT_OF(flips); j++) {
        trees_import m;
        garam_error err;
        double out[1000];
        bool cut = j == COUNT_OF(flips);
        if (!cut) copy[i] = (char)(files[f].data[i] ^ (char)flips[j]);
        if (trees_import_memory(&m, copy, cut ? i : files[f].n, "m", &err) == GARAM_OK) {
          trees_predict_row(m.trees, x, out);
        } else {
          refused++;
          assert_null(m.trees);
        }
        trees_import_deinit(&m);
        copy[i] = files[f].data[i];
      }
    }
    assert_true(refused > files[f].n);
    mem_free(copy);
  }
}

static void test_ubjson_limits(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t n;
  } cases[] = {
      {"{", 1},
      {"{U\x01", 3},
      {"{U\x01"
       "a[$Z#L\x10\0\0\0\0\0\0\0}",
       16}, /* a count of nothings */
      {"{U\x01"
       "a[$d#L\x10\0\0\0\0\0\0\0}",
       16}, /* more than the file holds */
      {"{U\x01"
       "a[#L\xff\xff\xff\xff\xff\xff\xff\xff}",
       15},
      {"{U\x01"
       "aTU\x01"
       "aT}",
       9}, /* twice */
      {"{U\x01"
       "aD\x7f\xf8\0\0\0\0\0\0}",
       13}, /* NaN */
      {"{U\x01"
       "\xff"
       "T}",
       6},
      {"{U\x01"
       "aN}",
       6},
  };
  garam_error err;
  json_t *value;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    assert_int_not_equal(import_ubjson(&value, cases[i].bytes, cases[i].n, "m", &err), GARAM_OK);
    assert_null(value);
  }
  char deep[400];
  memset(deep, '[', sizeof deep);
  assert_int_equal(import_ubjson(&value, deep, sizeof deep, "m", &err), GARAM_LIMIT);
  assert_int_equal(import_ubjson(&value,
                                 "{U\x01"
                                 "a[T]}",
                                 8, "m", &err),
                   GARAM_OK);
  json_decref(value);
}

static void test_no_memory(void **state) {
  (void)state;
  failing_allocator memory = {.fail_after = SIZE_MAX};
  const char *const files[] = {example_lightgbm, example_xgboost};
  failing_allocator_use(&memory);
  for (size_t f = 0; f < COUNT_OF(files); f++) {
    size_t n = 0;
    for (bool done = false; !done && n < 5000; n++) {
      trees_import m;
      garam_error err;
      failing_allocator_restart(&memory, n);
      done = read_text(&m, files[f], &err) == GARAM_OK;
      trees_import_deinit(&m);
      assert_int_equal(memory.n_blocks, 0);
    }
    assert_true(n > 20 && n < 5000);
  }
  garam_set_allocator(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lightgbm),      cmocka_unit_test(test_xgboost),
      cmocka_unit_test(test_refused),       cmocka_unit_test(test_damage),
      cmocka_unit_test(test_ubjson_limits), cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
