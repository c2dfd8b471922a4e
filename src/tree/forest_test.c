/* Forests: what they learn, that threads do not matter, that a package brings them back. */
#include "tree/forest.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROWS = 400, WIDTH = 5, TRAIN = 300 };

/* Two features matter, by their product and by what is missing; the rest is noise. */
static dataset *make(task kind, int n_classes) {
  dataset *d;
  garam_error err;
  rng r;
  rng_init(&r, 7, RNG_TEST, 0);
  assert_int_equal(dataset_new(&d, kind, ROWS, WIDTH, n_classes, &err), GARAM_OK);
  for (size_t i = 0; i < ROWS; i++) {
    float *x = d->x + i * WIDTH;
    for (size_t j = 0; j < WIDTH; j++) x[j] = (float)rng_normal(&r);
    double z = (double)x[0] * (double)x[1];
    if (rng_below(&r, 6) == 0) x[2] = NAN, z = 2;
    if (n_classes > 0) d->y[i] = n_classes == 2 ? z > 0 : z > 0.5 ? 2 : z > -0.2;
    d->value[i] = (float)z;
  }
  return d;
}

static void rows_of(uint32_t *rows) {
  for (uint32_t i = 0; i < ROWS; i++) rows[i] = i;
}

static learner *fit(const learner_ops *ops, const dataset *d, int n_trees, fit_summary *summary) {
  static uint32_t rows[ROWS];
  forest_config config;
  learner *l;
  garam_error err;
  learner_shape shape = {d->task, WIDTH, d->n_classes};
  opt_defaults(ops->options, ops->n_options, &config);
  config.trees = n_trees;
  rows_of(rows);
  assert_int_equal(ops->create(&l, &config, &shape, &err), GARAM_OK);
  assert_int_equal(ops->fit(l, d, (row_set){rows, TRAIN}, (row_set){rows + TRAIN, ROWS - TRAIN},
                            &(fit_context){.seed = 3}, summary, &err),
                   GARAM_OK);
  return l;
}

/* Share of hits, or of the variance explained, on the rows that were not trained on. */
static double score(learner *l, const dataset *d, const float *out) {
  double hits = 0, squares = 0, around = 0;
  for (size_t i = TRAIN; i < ROWS; i++) {
    if (d->n_classes == 0) {
      squares += pow((double)(out[i] - d->value[i]), 2);
      around += pow((double)d->value[i] - 0.3, 2);
      continue;
    }
    const float *s = out + i * (size_t)d->n_classes;
    int top = 0;
    for (int c = 1; c < d->n_classes; c++)
      if (s[c] > s[top]) top = c;
    hits += top == d->y[i];
  }
  (void)l;
  return d->n_classes ? hits / (ROWS - TRAIN) : 1 - squares / around;
}

static void test_learns(void **state) {
  (void)state;
  static const struct {
    const learner_ops *ops;
    task kind;
    int n_classes;
    double least;
  } cases[] = {
      {&forest_ops, TASK_BINARY, 2, 0.85},         {&extra_trees_ops, TASK_BINARY, 2, 0.85},
      {&forest_ops, TASK_CLASSIFICATION, 3, 0.75}, {&extra_trees_ops, TASK_CLASSIFICATION, 3, 0.7},
      {&forest_ops, TASK_REGRESSION, 0, 0.5},      {&extra_trees_ops, TASK_REGRESSION, 0, 0.5},
  };
  static float first[ROWS * 3], out[ROWS * 3];
  char path[64];
  snprintf(path, sizeof path, "/tmp/garam_forest_test.%d.safetensors", (int)getpid());
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    dataset *d = make(cases[i].kind, cases[i].n_classes);
    size_t k = d->n_classes ? (size_t)d->n_classes : 1;
    garam_error err;
    for (int threads = 1; threads <= 4; threads *= 2) {
      fit_summary summary;
      thread_set_count(threads);
      learner *l = fit(cases[i].ops, d, 40, &summary);
      assert_int_equal(l->ops->predict(l, d->x, NULL, ROWS, out, &err), GARAM_OK);
      if (threads == 1) memcpy(first, out, sizeof first);
      assert_memory_equal(first, out, ROWS * k * sizeof *out);
      assert_int_equal(summary.epochs, 3); /* batches of 16 trees */
      bool bagged = cases[i].ops == &forest_ops;
      assert_int_equal(isfinite(summary.train_loss[2]) != 0, bagged);
      assert_true(summary.valid_loss[2] < summary.valid_loss[0] * 1.5);
      fit_summary_deinit(&summary);
      if (threads == 4) { /* there and back */
        package_writer *w;
        package_reader *r;
        learner *loaded;
        forest_config config;
        learner_shape shape = {d->task, WIDTH, d->n_classes};
        opt_defaults(l->ops->options, l->ops->n_options, &config);
        assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
        assert_int_equal(l->ops->save(l, w, "m.", &err), GARAM_OK);
        assert_int_equal(package_write(w, path, &err), GARAM_OK);
        package_writer_free(w);
        assert_int_equal(package_open(&r, path, &err), GARAM_OK);
        assert_int_equal(l->ops->load(&loaded, &config, &shape, r, "m.", &err), GARAM_OK);
        package_close(r);
        assert_int_equal(l->ops->predict(loaded, d->x, NULL, ROWS, out, &err), GARAM_OK);
        assert_memory_equal(first, out, ROWS * k * sizeof *out);
        l->ops->destroy(loaded);
        unlink(path);
      }
      l->ops->destroy(l);
    }
    double got = score(NULL, d, first);
    if (!(got > cases[i].least)) fail_msg("case %zu: %g, expected %g", i, got, cases[i].least);
    dataset_free(d);
  }
  thread_set_count(0);
}

/* A row of weight 0 is as if it were not there. */
static void test_weights(void **state) {
  (void)state;
  dataset *d = make(TASK_BINARY, 2);
  garam_error err;
  float out[2 * ROWS];
  d->weight = mem_array(ROWS, sizeof *d->weight);
  for (size_t i = 0; i < ROWS; i++) { /* the wrong half weighs nothing */
    d->weight[i] = i % 2 ? 1 : 0;
    if (i % 2 == 0 && i < TRAIN) d->y[i] = !d->y[i];
  }
  for (int which = 0; which < 2; which++) {
    fit_summary summary;
    learner *l = fit(which ? &extra_trees_ops : &forest_ops, d, 30, &summary);
    fit_summary_deinit(&summary);
    assert_int_equal(l->ops->predict(l, d->x, NULL, ROWS, out, &err), GARAM_OK);
    assert_true(score(l, d, out) > 0.75);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

static void test_no_memory(void **state) {
  (void)state;
  failing_allocator memory = {.fail_after = SIZE_MAX};
  dataset *d = make(TASK_CLASSIFICATION, 3);
  static uint32_t rows[ROWS];
  forest_config config;
  learner_shape shape = {d->task, WIDTH, d->n_classes};
  size_t n = 0;
  rows_of(rows);
  opt_defaults(forest_ops.options, forest_ops.n_options, &config);
  config.trees = 2;
  thread_set_count(1);
  failing_allocator_use(&memory);
  for (bool done = false; !done && n < 3000; n++) {
    learner *l = NULL;
    fit_summary summary = {0};
    garam_error err = {0};
    failing_allocator_restart(&memory, n);
    garam_status status = forest_ops.create(&l, &config, &shape, &err);
    if (status == GARAM_OK)
      status =
          forest_ops.fit(l, d, (row_set){rows, 60}, (row_set){rows + 60, 20}, NULL, &summary, &err);
    done = status == GARAM_OK;
    if (!done && status != GARAM_NO_MEMORY) fail_msg("allocation %zu: %s", n, err.message);
    fit_summary_deinit(&summary);
    forest_ops.destroy(l);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
  thread_set_count(0);
  assert_true(n > 40 && n < 3000);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_learns),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
