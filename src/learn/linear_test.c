/* The linear learner: it ends where the gradient is zero, agrees with the closed form of ridge,
 * gives the same bits for any number of threads, and comes back from a package unchanged. */
#include "learn/linear.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FEATURES = 5, CLASSES = 3 };

static dataset *make(size_t n, task kind, uint64_t seed, uint32_t *rows) {
  dataset *d;
  garam_error err;
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  assert_int_equal(dataset_new(&d, kind, n, FEATURES, kind == TASK_REGRESSION ? 0 : CLASSES, &err),
                   GARAM_OK);
  for (size_t i = 0; i < n; i++) {
    float *x = d->x + i * FEATURES;
    for (int j = 0; j < FEATURES; j++) x[j] = (float)rng_normal(&r);
    x[4] = 0.9f * x[3] + 0.3f * x[4]; /* correlated */
    rows[i] = (uint32_t)i;
    double z = 0.7 * x[0] - 0.5 * x[1] + (i > 0 ? 0.6 * d->x[(i - 1) * FEATURES] : 0);
    d->value[i] = (float)(2 + z + 0.5 * rng_normal(&r));
    if (d->y) d->y[i] = z + rng_normal(&r) > 0.8 ? 2 : z + rng_normal(&r) > -0.4 ? 1 : 0;
  }
  return d;
}

static linear_config defaults(void) {
  linear_config c;
  opt_defaults(linear_ops.options, linear_ops.n_options, &c);
  return c;
}

static learner *fit(const dataset *d, row_set rows, const linear_config *c, fit_summary *summary) {
  learner *l;
  garam_error err = {0};
  learner_shape shape = {d->task, d->n_features, d->n_classes};
  assert_int_equal(linear_ops.create(&l, c, &shape, &err), GARAM_OK);
  garam_status status = linear_ops.fit(l, d, rows, (row_set){0}, NULL, summary, &err);
  if (status != GARAM_OK) fail_msg("%s", err.message);
  return l;
}

/* The gradient of the objective at the fitted weights, worked out anew from predictions. */
static void test_gradient_is_zero(void **state) {
  (void)state;
  enum { N = 3000, WINDOW = 2 };
  static uint32_t rows[N];
  dataset *d = make(N, TASK_CLASSIFICATION, 1, rows);
  d->weight = mem_array(N, sizeof *d->weight);
  for (int i = 0; i < N; i++) d->weight[i] = (float)(i % 3);
  linear_config c = defaults();
  c.window = WINDOW, c.l2 = 0.01, c.tolerance = 1e-7;
  for (int balanced = 0; balanced < 2; balanced++) {
    fit_summary summary;
    c.class_weights = balanced;
    learner *l = fit(d, (row_set){rows, N}, &c, &summary);
    assert_true(summary.epochs > 3 && summary.epochs < 300);
    assert_int_equal(linear_ops.context(l), WINDOW);
    assert_int_equal(linear_ops.parameters(l), CLASSES * (WINDOW * FEATURES + 1));
    static float x[N * WINDOW * FEATURES], z[N * CLASSES];
    static int32_t begin[N];
    dataset_gather(x, begin, d, rows, N, WINDOW);
    assert_int_equal(begin[0], 1);
    assert_int_equal(linear_ops.predict(l, x, begin, N, z, NULL), GARAM_OK);
    double of_class[CLASSES] = {0}, total = 0;
    for (int i = 0; i < N; i++) of_class[d->y[i]] += d->weight[i], total += d->weight[i];
    double g[CLASSES][WINDOW * FEATURES + 1] = {{0}};
    for (int i = 0; i < N; i++) {
      double p[CLASSES], sum = 0;
      double w = balanced ? d->weight[i] / of_class[d->y[i]] / CLASSES : d->weight[i] / total;
      for (int k = 0; k < CLASSES; k++) sum += p[k] = exp((double)z[i * CLASSES + k]);
      for (int k = 0; k < CLASSES; k++) {
        double e = w * (p[k] / sum - (d->y[i] == k));
        for (int j = 0; j < WINDOW * FEATURES; j++)
          g[k][j] += e * (double)x[i * WINDOW * FEATURES + j];
        g[k][WINDOW * FEATURES] += e;
      }
    }
    /* The weights, by what one unit of each input changes. */
    float unit[WINDOW * FEATURES] = {0}, base[CLASSES], at[CLASSES];
    linear_ops.predict(l, unit, NULL, 1, base, NULL);
    for (int j = 0; j < WINDOW * FEATURES; j++) {
      unit[j] = 1;
      linear_ops.predict(l, unit, NULL, 1, at, NULL);
      unit[j] = 0;
      for (int k = 0; k < CLASSES; k++) g[k][j] += c.l2 * ((double)at[k] - (double)base[k]);
    }
    for (int k = 0; k < CLASSES; k++)
      for (int j = 0; j <= WINDOW * FEATURES; j++)
        if (!(fabs(g[k][j]) < 2e-6)) fail_msg("gradient (%d, %d) is %g", k, j, g[k][j]);
    fit_summary_deinit(&summary);
    linear_ops.destroy(l);
  }
  dataset_free(d);
}

/* (X'X/n + l2 I) w = X'(y - mean)/n on centred columns, by Gaussian elimination. */
static void ridge_closed_form(double w[FEATURES + 1], const dataset *d, double l2) {
  size_t n = d->n_rows;
  double mean[FEATURES + 1] = {0}, a[FEATURES][FEATURES + 1] = {{0}};
  for (size_t i = 0; i < n; i++) {
    for (int j = 0; j < FEATURES; j++) mean[j] += (double)d->x[i * FEATURES + (size_t)j];
    mean[FEATURES] += (double)d->value[i];
  }
  for (int j = 0; j <= FEATURES; j++) mean[j] /= (double)n;
  for (size_t i = 0; i < n; i++)
    for (int j = 0; j < FEATURES; j++) {
      double xj = (double)d->x[i * FEATURES + (size_t)j] - mean[j];
      for (int k = 0; k < FEATURES; k++)
        a[j][k] += xj * ((double)d->x[i * FEATURES + (size_t)k] - mean[k]) / (double)n;
      a[j][FEATURES] += xj * ((double)d->value[i] - mean[FEATURES]) / (double)n;
    }
  for (int j = 0; j < FEATURES; j++) a[j][j] += l2;
  for (int p = 0; p < FEATURES; p++)
    for (int j = 0; j < FEATURES; j++) {
      if (j == p) continue;
      double f = a[j][p] / a[p][p];
      for (int k = 0; k <= FEATURES; k++) a[j][k] -= f * a[p][k];
    }
  w[FEATURES] = mean[FEATURES];
  for (int j = 0; j < FEATURES; j++) {
    w[j] = a[j][FEATURES] / a[j][j];
    w[FEATURES] -= w[j] * mean[j];
  }
}

static void test_ridge(void **state) {
  (void)state;
  enum { N = 2500 };
  static uint32_t rows[N];
  dataset *d = make(N, TASK_REGRESSION, 2, rows);
  static const double penalties[] = {0, 0.01, 1, 100};
  for (size_t t = 0; t < COUNT_OF(penalties); t++) {
    linear_config c = defaults();
    c.l2 = penalties[t], c.tolerance = 1e-9;
    fit_summary summary;
    learner *l = fit(d, (row_set){rows, N}, &c, &summary);
    double expected[FEATURES + 1];
    ridge_closed_form(expected, d, c.l2);
    float x[FEATURES] = {0}, bias, at;
    linear_ops.predict(l, x, NULL, 1, &bias, NULL);
    if (fabs((double)bias - expected[FEATURES]) > 1e-5) fail_msg("bias %g", (double)bias);
    for (int j = 0; j < FEATURES; j++) {
      memset(x, 0, sizeof x);
      x[j] = 1;
      linear_ops.predict(l, x, NULL, 1, &at, NULL);
      double found = (double)at - (double)bias;
      if (fabs(found - expected[j]) > 1e-5)
        fail_msg("l2 %g: weight %d is %.9g, closed form %.9g", c.l2, j, found, expected[j]);
    }
    fit_summary_deinit(&summary);
    linear_ops.destroy(l);
  }
  dataset_free(d);
}

static int n_epochs_seen;
static void see_epoch(void *context, const fit_epoch *e) {
  (void)context;
  assert_int_equal(e->epoch, ++n_epochs_seen);
  assert_true(isfinite(e->train_loss) && isfinite(e->valid_loss) && isfinite(e->valid_accuracy));
}
static bool stop_at_three(void *context) {
  (void)context;
  return n_epochs_seen >= 3;
}

static void test_threads_and_package(void **state) {
  (void)state;
  enum { N = 20000 };
  static uint32_t rows[N];
  dataset *d = make(N, TASK_CLASSIFICATION, 3, rows);
  linear_config c = defaults();
  garam_error err;
  char path[2][128];
  for (int t = 0; t < 2; t++) {
    thread_set_count(t ? 4 : 1);
    fit_summary summary;
    learner *l;
    learner_shape shape = {d->task, d->n_features, d->n_classes};
    fit_context context = {.on_epoch = see_epoch};
    n_epochs_seen = 0;
    assert_int_equal(linear_ops.create(&l, &c, &shape, &err), GARAM_OK);
    assert_int_equal(linear_ops.fit(l, d, (row_set){rows, N - 1000},
                                    (row_set){rows + N - 1000, 1000}, &context, &summary, &err),
                     GARAM_OK);
    assert_int_equal(summary.epochs, n_epochs_seen);
    assert_true(summary.train_loss[summary.epochs - 1] < summary.train_loss[0]);
    assert_true(summary.train_loss[summary.epochs - 1] < log(3));
    fit_summary_deinit(&summary);
    package_writer *w;
    snprintf(path[t], sizeof path[t], "/tmp/garam-linear-test-%ld-%d", (long)getpid(), t);
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(linear_ops.save(l, w, "learner.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path[t], &err), GARAM_OK);
    package_writer_free(w);
    package_reader *r;
    learner *back;
    static float a[N * CLASSES], b[N * CLASSES];
    assert_int_equal(package_open(&r, path[t], &err), GARAM_OK);
    assert_int_equal(linear_ops.load(&back, &c, &shape, r, "learner.", &err), GARAM_OK);
    linear_ops.predict(l, d->x, NULL, N, a, &err);
    linear_ops.predict(back, d->x, NULL, N, b, &err);
    assert_memory_equal(a, b, sizeof a);
    linear_ops.destroy(back);
    shape.n_features++;
    assert_int_equal(linear_ops.load(&back, &c, &shape, r, "learner.", &err), GARAM_MISMATCH);
    package_close(r);
    linear_ops.destroy(l);
  }
  package_reader *r[2];
  for (int t = 0; t < 2; t++) assert_int_equal(package_open(&r[t], path[t], &err), GARAM_OK);
  for (size_t i = 0; i < package_count(r[0]); i++)
    assert_memory_equal(package_at(r[0], i)->data, package_at(r[1], i)->data,
                        package_at(r[0], i)->bytes);
  for (int t = 0; t < 2; t++) package_close(r[t]), unlink(path[t]);
  thread_set_count(0);

  n_epochs_seen = 0;
  learner *l;
  learner_shape shape = {d->task, d->n_features, d->n_classes};
  fit_context context = {.on_epoch = see_epoch, .interrupted = stop_at_three};
  fit_summary summary;
  assert_int_equal(linear_ops.create(&l, &c, &shape, &err), GARAM_OK);
  assert_int_equal(linear_ops.fit(l, d, (row_set){rows, 500}, (row_set){rows + 500, 100}, &context,
                                  &summary, &err),
                   GARAM_INTERRUPTED);
  assert_int_equal(n_epochs_seen, 3);
  linear_ops.destroy(l);
  dataset_free(d);
}

static void test_find(void **state) {
  (void)state;
  garam_error err;
  assert_ptr_equal(learner_find("linear", &err), &linear_ops);
  assert_null(learner_find("liner", &err));
  assert_int_equal(err.status, GARAM_NOT_FOUND);
  assert_non_null(strstr(err.message, "did you mean \"linear\"?"));
  linear_config c = defaults();
  assert_int_equal(learner_apply_preset(&linear_ops, &c, "small", &err), GARAM_NOT_FOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradient_is_zero),
      cmocka_unit_test(test_ridge),
      cmocka_unit_test(test_threads_and_package),
      cmocka_unit_test(test_find),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
