/* SHAP values against their definition: every coalition of few features, by brute force. */
#include "tree/shap.h"

#include "base/mem.h"
#include "base/thread.h"
#include "tests/failing_allocator.h"
#include "tree/importance.h"
#include "tree/trees_fake.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_FEATURES = 6, ROWS = 12, BACKGROUND = 5 };

static const trees_fake kinds[] = {
    {.n_features = 4, .n_outputs = 1, .width = 1, .n_trees = 3, .n_leaves = 12, .seed = 1},
    {.n_features = 5,
     .n_outputs = 2,
     .width = 1,
     .n_trees = 5,
     .n_leaves = 9,
     .seed = 2,
     .missing = true,
     .categories = true},
    {.n_features = 3,
     .n_outputs = 3,
     .width = 3,
     .n_trees = 2,
     .n_leaves = 16,
     .seed = 3,
     .missing = true}, /* features come back on a path */
    {.n_features = 2, .n_outputs = 1, .width = 1, .n_trees = 2, .n_leaves = 1, .seed = 4},
};

/* The expected value of one tree's output when only the features in `known` are: where another one
 * splits, both ways by their covers. */
static double conditional(const trees *t, size_t tree, int32_t child, const float *x,
                          unsigned known, size_t column) {
  if (child < 0) return t->value[(t->leaf_begin[tree] + (size_t)~child) * t->width + column];
  size_t begin = t->split_begin[tree], s = begin + (size_t)child;
  int32_t sides[2] = {t->left[s], t->right[s]};
  if (known >> t->feature[s] & 1u)
    return conditional(t, tree, sides[!trees_goes_left(t, s, x)], x, known, column);
  double sum = 0;
  for (int i = 0; i < 2; i++) {
    double cover = sides[i] >= 0 ? t->cover[begin + (size_t)sides[i]]
                                 : t->leaf_cover[t->leaf_begin[tree] + (size_t)~sides[i]];
    sum += cover / t->cover[s] * conditional(t, tree, sides[i], x, known, column);
  }
  return sum;
}

static double game_path(const trees *t, const float *x, unsigned known, size_t k) {
  double sum = t->base[k];
  for (size_t i = 0; i < t->n_trees; i++) {
    if (t->output[i] >= 0 && (size_t)t->output[i] != k) continue;
    int32_t root = t->split_begin[i + 1] > t->split_begin[i] ? 0 : ~0;
    sum += conditional(t, i, root, x, known, t->output[i] < 0 ? k : 0);
  }
  return sum / t->divisor;
}

static const float *background_rows;

static double game_background(const trees *t, const float *x, unsigned known, size_t k) {
  double sum = 0, out[8];
  for (size_t b = 0; b < BACKGROUND; b++) {
    float mixed[MOST_FEATURES];
    for (size_t j = 0; j < t->n_features; j++)
      mixed[j] = known >> j & 1u ? x[j] : background_rows[b * t->n_features + j];
    trees_predict_row(t, mixed, out);
    sum += out[k];
  }
  return sum / BACKGROUND;
}

typedef double (*game_fn)(const trees *t, const float *x, unsigned known, size_t k);

static double factorial(int n) {
  return tgamma(n + 1.0);
}

/* Shapley 1953. */
static double shapley(game_fn game, const trees *t, const float *x, size_t feature, size_t k) {
  int n = (int)t->n_features;
  double sum = 0;
  for (unsigned s = 0; s < 1u << n; s++) {
    if (s >> feature & 1u) continue;
    int size = __builtin_popcount(s);
    sum += factorial(size) * factorial(n - size - 1) / factorial(n) *
           (game(t, x, s | 1u << feature, k) - game(t, x, s, k));
  }
  return sum;
}

static void assert_shapley(const trees *t, const float *x, const double *phi, game_fn game,
                           size_t kind) {
  size_t stride = t->n_features + 1;
  for (size_t i = 0; i < ROWS; i++) {
    double out[8];
    const float *row = x + i * t->n_features;
    trees_predict_row(t, row, out);
    for (size_t k = 0; k < t->n_outputs; k++) {
      const double *p = phi + (i * t->n_outputs + k) * stride;
      double sum = p[t->n_features];
      for (size_t j = 0; j < t->n_features; j++) {
        double truth = shapley(game, t, row, j, k);
        if (!(fabs(p[j] - truth) < 1e-9))
          fail_msg("kind %zu, row %zu, feature %zu: %.12g, not %.12g", kind, i, j, p[j], truth);
        sum += p[j];
      }
      assert_true(fabs(sum - out[k]) < 1e-9);
    }
  }
}

static void test_definition(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    trees *t;
    garam_error err;
    float x[ROWS * MOST_FEATURES], background[BACKGROUND * MOST_FEATURES];
    double phi[ROWS * 3 * (MOST_FEATURES + 1)];
    assert_int_equal(trees_fake_new(&t, &kinds[i], &err), GARAM_OK);
    for (size_t k = 0; k < t->n_outputs; k++) t->base[k] = 0.5 * (double)k;
    t->divisor = 2;
    trees_fake_rows(x, ROWS, &kinds[i], 5);
    trees_fake_rows(background, BACKGROUND, &kinds[i], 6);
    background_rows = background;
    assert_int_equal(trees_shap(t, x, ROWS, phi, &err), GARAM_OK);
    assert_shapley(t, x, phi, game_path, i);
    assert_int_equal(trees_shap_interventional(t, x, ROWS, background, BACKGROUND, phi, &err),
                     GARAM_OK);
    assert_shapley(t, x, phi, game_background, i);
    trees_free(t);
  }
}

/* Sums to the prediction in sets of the usual size too, and the same bits on any threads. */
static void test_large(void **state) {
  (void)state;
  enum { MANY = 40 };
  const trees_fake spec = {.n_features = 28,
                           .n_outputs = 1,
                           .width = 1,
                           .n_trees = 20,
                           .n_leaves = 63,
                           .seed = 9,
                           .missing = true};
  trees *t;
  garam_error err;
  static float x[MANY * 28];
  static double phi[2][MANY * 29];
  assert_int_equal(trees_fake_new(&t, &spec, &err), GARAM_OK);
  trees_fake_rows(x, MANY, &spec, 1);
  for (int i = 0; i < 2; i++) {
    thread_set_count(i + 1);
    assert_int_equal(trees_shap(t, x, MANY, phi[i], &err), GARAM_OK);
  }
  thread_set_count(0);
  assert_memory_equal(phi[0], phi[1], sizeof phi[0]);
  for (size_t i = 0; i < MANY; i++) {
    double sum = 0, out;
    for (size_t j = 0; j < 29; j++) sum += phi[0][i * 29 + j];
    trees_predict_row(t, x + i * 28, &out);
    assert_true(fabs(sum - out) < 1e-8);
  }
  trees_free(t);
}

static void test_refused(void **state) {
  (void)state;
  const trees_fake linear = {.n_features = 4,
                             .n_outputs = 1,
                             .width = 1,
                             .n_trees = 3,
                             .n_leaves = 9,
                             .seed = 4,
                             .linear = true};
  trees *t;
  garam_error err;
  float x[4] = {0};
  double phi[5];
  assert_int_equal(trees_fake_new(&t, &linear, &err), GARAM_OK);
  assert_int_equal(trees_shap(t, x, 1, phi, &err), GARAM_UNSUPPORTED);
  assert_int_equal(trees_shap_interventional(t, x, 1, x, 1, phi, &err), GARAM_UNSUPPORTED);
  trees_free(t);
  assert_int_equal(trees_fake_new(&t, &kinds[0], &err), GARAM_OK);
  t->cover[t->split_begin[1]] = 0;
  assert_int_equal(trees_shap(t, x, 1, phi, &err), GARAM_INVALID);
  trees_free(t);
  failing_allocator memory = {.fail_after = 0};
  assert_int_equal(trees_fake_new(&t, &kinds[0], &err), GARAM_OK);
  failing_allocator_use(&memory);
  for (size_t n = 0; n < 3; n++) {
    failing_allocator_restart(&memory, n);
    if (n < 2) assert_int_equal(trees_shap(t, x, 1, phi, &err), GARAM_NO_MEMORY);
    failing_allocator_restart(&memory, n);
    assert_int_equal(trees_shap_interventional(t, x, 1, x, 1, phi, &err), GARAM_NO_MEMORY);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
  trees_free(t);
}

static void test_importance(void **state) {
  (void)state;
  trees *t;
  garam_error err;
  double splits[5], gain[5], cover[5], n = 0, gains = 0;
  assert_int_equal(trees_fake_new(&t, &kinds[1], &err), GARAM_OK);
  trees_importance(t, splits, gain, cover);
  for (size_t j = 0; j < 5; j++) {
    n += splits[j];
    gains += gain[j];
    assert_true((splits[j] > 0) == (cover[j] > 0));
  }
  for (size_t s = 0; s < t->n_splits; s++) gains -= (double)t->gain[s];
  assert_true(n == (double)t->n_splits && fabs(gains) < 1e-9);
  trees_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_definition),
      cmocka_unit_test(test_large),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_importance),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
