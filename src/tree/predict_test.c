/* Every fast walk against the plain one, to the bit. */
#include "tree/predict_inner.h"

#include "base/mem.h"
#include "base/thread.h"
#include "tests/failing_allocator.h"
#include "tree/trees_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const trees_fake kinds[] = {
    {.n_features = 5, .n_outputs = 1, .width = 1, .n_trees = 37, .n_leaves = 20, .seed = 1},
    {.n_features = 28, .n_outputs = 1, .width = 1, .n_trees = 300, .n_leaves = 63, .seed = 2},
    {.n_features = 40,
     .n_outputs = 3,
     .width = 1,
     .n_trees = 66,
     .n_leaves = 31,
     .seed = 3,
     .missing = true},
    {.n_features = 300,
     .n_outputs = 1,
     .width = 1,
     .n_trees = 20,
     .n_leaves = 31,
     .seed = 4,
     .missing = true}, /* too many slots */
    {.n_features = 7, .n_outputs = 5, .width = 5, .n_trees = 20, .n_leaves = 31, .seed = 5},
    {.n_features = 7,
     .n_outputs = 1,
     .width = 1,
     .n_trees = 20,
     .n_leaves = 31,
     .seed = 6,
     .missing = true,
     .linear = true},
    {.n_features = 9,
     .n_outputs = 2,
     .width = 1,
     .n_trees = 20,
     .n_leaves = 31,
     .seed = 7,
     .missing = true,
     .categories = true},
    {.n_features = 3, .n_outputs = 2, .width = 1, .n_trees = 3, .n_leaves = 1, .seed = 8},
    {.n_features = 3, .n_outputs = 2, .width = 1, .n_trees = 0, .n_leaves = 1, .seed = 9},
};
static const size_t sizes[] = {1, 2, 3, 4, 5, 8, 15, 16, 17, 63, 64, 65, 130};

static void test_equal(void **state) {
  (void)state;
  static const char *const levels[] = {"best", "scalar", "avx2", "avx512"};
  enum { MOST = 130 };
  size_t n_walked = 0;
  for (size_t i = 0; i < 2 * COUNT_OF(kinds); i++) {
    const trees_fake *spec = &kinds[i / 2];
    trees *t;
    trees_predictor *p;
    garam_error err;
    assert_int_equal(trees_fake_new(&t, spec, &err), GARAM_OK);
    t->sum_f32 = i % 2;
    t->divisor = i % 2 ? 7 : 1;
    for (size_t k = 0; k < t->n_outputs; k++) t->base[k] = 0.1 + (double)k;
    assert_int_equal(trees_predictor_new(&p, t, &err), GARAM_OK);
    float *x = mem_array(MOST * spec->n_features, sizeof *x);
    double *plain = mem_array(MOST * spec->n_outputs, sizeof *plain);
    double *fast = mem_array(MOST * spec->n_outputs, sizeof *fast);
    float *narrow = mem_array(MOST * spec->n_outputs, sizeof *narrow);
    trees_fake_rows(x, MOST, spec, 3);
    for (size_t r = 0; r < MOST; r++)
      trees_predict_row(t, x + r * spec->n_features, plain + r * spec->n_outputs);
    for (size_t l = 0; l < COUNT_OF(levels); l++) {
      if (l > 0 && !trees_predictor_use(p, levels[l])) continue;
      n_walked++;
      for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        size_t values = sizes[s] * spec->n_outputs;
        trees_predict(p, x, sizes[s], fast);
        if (memcmp(fast, plain, values * sizeof *fast) != 0)
          fail_msg("kind %zu, %s, %zu rows", i, levels[l], sizes[s]);
        trees_predict_f32(p, x, sizes[s], narrow);
        for (size_t v = 0; v < values; v++) assert_true(narrow[v] == (float)plain[v]);
      }
    }
    mem_free(x);
    mem_free(plain);
    mem_free(fast);
    mem_free(narrow);
    trees_predictor_free(p);
    trees_free(t);
  }
  assert_true(n_walked > 2 * COUNT_OF(kinds));
}

/* Many rows on 1, 2 and 4 threads: the same bits, and nothing is allocated. */
static void test_threads(void **state) {
  (void)state;
  enum { ROWS = 20000 };
  const trees_fake *spec = &kinds[2];
  trees *t;
  trees_predictor *p;
  garam_error err;
  assert_int_equal(trees_fake_new(&t, spec, &err), GARAM_OK);
  assert_int_equal(trees_predictor_new(&p, t, &err), GARAM_OK);
  float *x = mem_array(ROWS * spec->n_features, sizeof *x);
  float *first = mem_array(ROWS * spec->n_outputs, sizeof *first);
  float *out = mem_array(ROWS * spec->n_outputs, sizeof *out);
  trees_fake_rows(x, ROWS, spec, 4);
  for (int threads = 1; threads <= 4; threads *= 2) {
    thread_set_count(threads);
    uint64_t before = mem_count();
    trees_predict_f32(p, x, ROWS, threads == 1 ? first : out);
    assert_int_equal(mem_count(), before);
    if (threads > 1) assert_memory_equal(first, out, ROWS * spec->n_outputs * sizeof *out);
  }
  thread_set_count(0);
  mem_free(x);
  mem_free(first);
  mem_free(out);
  trees_predictor_free(p);
  trees_free(t);
}

static void test_no_memory(void **state) {
  (void)state;
  failing_allocator memory = {.fail_after = SIZE_MAX};
  trees *t;
  trees_predictor *p;
  garam_error err;
  assert_int_equal(trees_fake_new(&t, &kinds[0], &err), GARAM_OK);
  size_t n = 0;
  failing_allocator_use(&memory);
  for (bool done = false; !done && n < 100; n++) {
    failing_allocator_restart(&memory, n);
    garam_status status = trees_predictor_new(&p, t, &err);
    done = status == GARAM_OK;
    assert_true(done || status == GARAM_NO_MEMORY);
    trees_predictor_free(p);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
  assert_true(n > 4 && n < 100);
  trees_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_equal),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
