/* The learner `gbdt`: it learns what can be learned, gives the same bytes for any number of
 * threads, keeps its constraints, and lives in packages. */
#include "tree/gbdt.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { F = 6 };

/* A step, a slope, a category and noise; feature 4 is often missing where the target is high. */
static double truth(const float *x) {
  double z = x[0] > 0.3f ? 1 : -1;
  z += 0.8 * (double)x[1];
  z += (int)x[3] % 3 == 0 ? 1.5 : -0.5;
  return z;
}

static dataset *make(size_t n, task kind, int classes, uint64_t seed) {
  dataset *d;
  garam_error err;
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  if (dataset_new(&d, kind, n, F, classes, &err) != GARAM_OK) fail_msg("%s", err.message);
  for (size_t i = 0; i < n; i++) {
    float *x = d->x + i * F;
    for (int j = 0; j < F; j++) x[j] = (float)rng_normal(&r);
    x[3] = (float)rng_below(&r, 12);
    double z = truth(x) + 0.3 * rng_normal(&r);
    if (rng_uniform(&r) < (z > 0.5 ? 0.8 : 0.1)) x[4] = NAN;
    d->value[i] = (float)z;
    if (classes == 2) d->y[i] = z > 0;
    if (classes == 3) d->y[i] = z < -0.7 ? 0 : z > 0.7 ? 2 : 1;
  }
  return d;
}

static row_set range(uint32_t from, uint32_t to) {
  uint32_t *rows = malloc((to - from + 1) * sizeof *rows);
  for (uint32_t i = from; i < to; i++) rows[i - from] = i;
  return (row_set){rows, to - from};
}
static void drop(row_set s) {
  free((void *)(uintptr_t)s.rows);
}

static gbdt_config config_of(const char *settings) {
  gbdt_config c;
  garam_error err = {0};
  char text[512];
  opt_defaults(gbdt_options, GBDT_N_OPTIONS, &c);
  snprintf(text, sizeof text, "%s", settings);
  for (char *at = strtok(text, " "); at; at = strtok(NULL, " ")) {
    char *equals = strchr(at, '=');
    *equals = 0;
    const opt_row *row = opt_find(gbdt_options, GBDT_N_OPTIONS, at);
    if (!row) fail_msg("no option %s", at);
    if (opt_set_text(row, &c, equals + 1, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  return c;
}

static learner *fit(const dataset *d, row_set train, row_set valid, const char *settings,
                    fit_summary *summary) {
  learner *l;
  garam_error err = {0};
  gbdt_config c = config_of(settings);
  learner_shape shape = {d->task, d->n_features, d->n_classes};
  fit_summary own;
  if (gbdt_ops.create(&l, &c, &shape, &err) != GARAM_OK) fail_msg("%s", err.message);
  if (gbdt_ops.fit(l, d, train, valid, NULL, summary ? summary : &own, &err) != GARAM_OK)
    fail_msg("%s: %s", settings, err.message);
  if (!summary) fit_summary_deinit(&own);
  return l;
}

/* Log loss or squared error of the rows. */
static double score(learner *l, const dataset *d, row_set rows) {
  size_t k = d->task == TASK_REGRESSION ? 1 : (size_t)d->n_classes;
  float *out = malloc(k * sizeof *out);
  double sum = 0;
  for (size_t i = 0; i < rows.n; i++) {
    size_t row = rows.rows[i];
    assert_int_equal(gbdt_ops.predict(l, d->x + row * F, NULL, 1, out, NULL), GARAM_OK);
    if (d->task == TASK_REGRESSION) {
      double e = (double)out[0] - (double)d->value[row];
      sum += e * e;
      continue;
    }
    double all = 0;
    for (size_t c = 0; c < k; c++) all += exp((double)out[c]);
    sum += log(all) - (double)out[d->y[row]];
  }
  free(out);
  return sum / (double)rows.n;
}

static void expect_below(double value, double most, const char *what) {
  if (!(value < most)) fail_msg("%s: %g, expected less than %g", what, value, most);
}

/* ---- it learns --------------------------------------------------------------------------------
 */

static const struct {
  task kind;
  int classes;
  const char *settings;
  double most; /* loss on fresh rows */
} learned[] = {
    {TASK_REGRESSION, 0, "rounds=150", 0.16},
    {TASK_REGRESSION, 0, "rounds=150 categorical=3", 0.15},
    {TASK_REGRESSION, 0, "rounds=150 growth=depth max-depth=5", 0.17},
    {TASK_REGRESSION, 0, "rounds=150 sampling=goss", 0.18},
    {TASK_REGRESSION, 0, "rounds=150 bagging-fraction=0.6 feature-fraction=0.8", 0.18},
    {TASK_REGRESSION, 0, "rounds=150 loss=huber alpha=0.5", 0.18},
    {TASK_REGRESSION, 0, "rounds=300 extra-trees=1", 0.25},
    {TASK_REGRESSION, 0, "rounds=150 node-fraction=0.5 path-smooth=2", 0.20},
    {TASK_REGRESSION, 0, "rounds=150 l1=1 l2=5 max-output=1", 0.17},
    {TASK_REGRESSION, 0, "rounds=150 linear-leaves=1", 0.15},
    {TASK_REGRESSION, 0, "rounds=150 boosting=dart", 0.25},
    {TASK_REGRESSION, 0, "rounds=60 boosting=dart linear-leaves=1 drop-rate=0.3", 0.32},
    {TASK_REGRESSION, 0, "rounds=100 monotone=+1", 0.16},
    {TASK_BINARY, 2, "rounds=100", 0.25},
    {TASK_BINARY, 2, "rounds=100 bins=15", 0.30},
    {TASK_CLASSIFICATION, 3, "rounds=80", 0.45},
};

static void test_learns(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof learned / sizeof learned[0]; i++) {
    dataset *d = make(4000, learned[i].kind, learned[i].classes, 3);
    char **names = calloc(F, sizeof *names);
    d->feature_names = names;
    for (int j = 0; j < F; j++) names[j] = mem_format("%d", j);
    row_set train = range(0, 2000), valid = range(2000, 3000), test = range(3000, 4000);
    fit_summary s;
    learner *l = fit(d, train, valid, learned[i].settings, &s);
    expect_below(score(l, d, test), learned[i].most, learned[i].settings);
    /* What it says of the validation rows is what its trees say: bins and thresholds agree. */
    double said = s.valid_loss[s.best_epoch - 1], is = score(l, d, valid);
    if (!strstr(learned[i].settings, "huber") && fabs(said - is) > 1e-5)
      fail_msg("%s: %.9g is said of the validation rows, %.9g is so", learned[i].settings, said,
               is);
    fit_summary_deinit(&s);
    gbdt_ops.destroy(l);
    for (int j = 0; j < F; j++) mem_free(names[j]);
    free(names);
    d->feature_names = NULL;
    dataset_free(d);
    drop(train);
    drop(valid);
    drop(test);
  }
}

/* Half of what is foretold lies below the median, nine tenths below the ninth decile. */
static void test_quantiles(void **state) {
  (void)state;
  dataset *d = make(6000, TASK_REGRESSION, 0, 5);
  row_set train = range(0, 4000), test = range(4000, 6000);
  static const double alphas[] = {0.1, 0.5, 0.9};
  for (int i = 0; i < 3; i++) {
    char text[80];
    snprintf(text, sizeof text, "rounds=50 leaves=8 min-rows=50 loss=quantile alpha=%g", alphas[i]);
    learner *l = fit(d, train, (row_set){0}, text, NULL);
    size_t below = 0;
    for (size_t j = 0; j < test.n; j++) {
      float out;
      gbdt_ops.predict(l, d->x + test.rows[j] * (size_t)F, NULL, 1, &out, NULL);
      below += d->value[test.rows[j]] <= out;
    }
    double share = (double)below / (double)test.n;
    if (fabs(share - alphas[i]) > 0.05) fail_msg("quantile %g covers %g", alphas[i], share);
    gbdt_ops.destroy(l);
  }
  dataset_free(d);
  drop(train);
  drop(test);
}

/* A loss of the host's: errors above count four times those below (an expectile), by a context. */
static void expectile(void *context, const float *target, const float *score, size_t n,
                      float *gradient, float *hessian, float *out) {
  const float above = *(const float *)context;
  for (size_t i = 0; i < n; i++) {
    float e = score[i] - target[i], w = e < 0 ? above : 1;
    gradient[i] = w * e;
    hessian[i] = w;
    if (out) out[i] = w * e * e / 2;
  }
}

static void test_custom(void **state) {
  (void)state;
  static const char settings[] = "rounds=80 loss=custom min-rows=50 leaves=8";
  dataset *d = make(4000, TASK_REGRESSION, 0, 9);
  row_set train = range(0, 2000), valid = range(2000, 3000), test = range(3000, 4000);
  garam_error err;
  gbdt_config c = config_of(settings);
  learner_shape shape = {TASK_REGRESSION, F, 0};
  fit_summary s;
  learner *l;
  assert_int_equal(gbdt_ops.create(&l, &c, &shape, &err), GARAM_OK);
  assert_int_equal(gbdt_ops.fit(l, d, train, valid, NULL, &s, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "garam/gbdt.h"));
  gbdt_ops.destroy(l);
  double mean_error[2] = {0};
  for (int i = 0; i < 2; i++) {
    float above = i ? 4 : 1;
    gbdt_set_loss(expectile, &above);
    l = fit(d, train, valid, settings, &s);
    if (!i) expect_below(score(l, d, test), 0.2, "custom: the squared error");
    for (size_t j = 0; j < test.n; j++) {
      float out;
      gbdt_ops.predict(l, d->x + test.rows[j] * (size_t)F, NULL, 1, &out, NULL);
      mean_error[i] += (double)(out - d->value[test.rows[j]]) / (double)test.n;
    }
    assert_true(s.valid_loss[s.best_epoch - 1] < s.valid_loss[0]);
    fit_summary_deinit(&s);
    gbdt_ops.destroy(l);
  }
  gbdt_set_loss(NULL, NULL);
  assert_true(fabs(mean_error[0]) < 0.05 && mean_error[1] > mean_error[0] + 0.1);
  dataset_free(d);
  drop(train);
  drop(valid);
  drop(test);
}

/* Counts whose mean is known: what is foretold is that mean, and never negative. */
static void test_poisson(void **state) {
  (void)state;
  dataset *d = make(6000, TASK_REGRESSION, 0, 10);
  rng r;
  rng_init(&r, 10, RNG_TEST, 1);
  double *means = malloc(d->n_rows * sizeof *means);
  for (size_t i = 0; i < d->n_rows; i++) {
    means[i] = exp(0.5 * truth(d->x + i * F));
    double left = exp(-means[i]), u = rng_uniform(&r);
    int count = 0;
    for (double p = left; u > left && count < 100; left += p) p *= means[i] / ++count;
    d->value[i] = (float)count;
  }
  row_set train = range(0, 4000), test = range(4000, 6000);
  learner *l = fit(d, train, (row_set){0}, "rounds=80 loss=poisson leaves=8 min-rows=40", NULL);
  double off = 0, spread = 0, mean = 0;
  for (size_t j = 0; j < test.n; j++) mean += means[test.rows[j]] / (double)test.n;
  for (size_t j = 0; j < test.n; j++) {
    float out;
    gbdt_ops.predict(l, d->x + test.rows[j] * (size_t)F, NULL, 1, &out, NULL);
    assert_true(out > 0);
    off += pow((double)out - means[test.rows[j]], 2);
    spread += pow(mean - means[test.rows[j]], 2);
  }
  expect_below(off / spread, 0.25, "poisson: error of the mean");
  gbdt_ops.destroy(l);
  free(means);
  dataset_free(d);
  drop(train);
  drop(test);
}

/* ---- the same bytes ---------------------------------------------------------------------------
 */

static void expect_same(const trees *a, const trees *b, const char *what) {
  bool same = a->n_trees == b->n_trees && a->n_splits == b->n_splits && a->n_leaves == b->n_leaves;
  same = same && memcmp(a->feature, b->feature, a->n_splits * sizeof *a->feature) == 0;
  same = same && memcmp(a->threshold, b->threshold, a->n_splits * sizeof *a->threshold) == 0;
  same = same && memcmp(a->gain, b->gain, a->n_splits * sizeof *a->gain) == 0;
  same = same && memcmp(a->flags, b->flags, a->n_splits) == 0;
  same = same && memcmp(a->left, b->left, a->n_splits * sizeof *a->left) == 0;
  same = same && memcmp(a->value, b->value, a->n_leaves * sizeof *a->value) == 0;
  if (!same) fail_msg("%s: the trees differ", what);
}

static const char *const alike[] = {"rounds=8",
                                    "rounds=8 leaves=200 min-rows=5",
                                    "rounds=8 bagging-fraction=0.5 feature-fraction=0.6",
                                    "rounds=8 sampling=goss learning-rate=0.9",
                                    "rounds=6 growth=depth node-fraction=0.5",
                                    "rounds=6 extra-trees=1",
                                    "rounds=6 histogram-memory=1M leaves=500 min-rows=2"};

static void test_threads(void **state) {
  (void)state;
  dataset *d = make(60000, TASK_BINARY, 2, 9);
  row_set train = range(0, 50000), valid = range(50000, 60000);
  for (size_t i = 0; i < sizeof alike / sizeof alike[0]; i++) {
    thread_set_count(1);
    learner *one = fit(d, train, valid, alike[i], NULL);
    for (int n = 2; n <= 4; n += 2) {
      thread_set_count(n);
      learner *many = fit(d, train, valid, alike[i], NULL);
      expect_same(gbdt_trees(one), gbdt_trees(many), alike[i]);
      gbdt_ops.destroy(many);
    }
    gbdt_ops.destroy(one);
  }
  thread_set_count(1);
  /* Room for histograms changes what is built again, not what comes out. */
  learner *much = fit(d, train, valid, "rounds=3 leaves=600 min-rows=2", NULL);
  learner *little =
      fit(d, train, valid, "rounds=3 leaves=600 min-rows=2 histogram-memory=1M", NULL);
  expect_same(gbdt_trees(much), gbdt_trees(little), "histogram-memory");
  gbdt_ops.destroy(much);
  gbdt_ops.destroy(little);
  dataset_free(d);
  drop(train);
  drop(valid);
}

/* ---- packages ----------------------------------------------------------------------------------
 */

static void test_package(void **state) {
  (void)state;
  dataset *d = make(1500, TASK_CLASSIFICATION, 3, 4);
  row_set train = range(0, 1500);
  learner *l = fit(d, train, (row_set){0}, "rounds=10", NULL), *back;
  package_writer *w;
  package_reader *r;
  garam_error err = {0};
  char path[64];
  snprintf(path, sizeof path, "/tmp/gbdt_test_%d.safetensors", (int)getpid());
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  assert_int_equal(gbdt_ops.save(l, w, "learner.", &err), GARAM_OK);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
  assert_int_equal(package_open(&r, path, &err), GARAM_OK);
  gbdt_config c = config_of("rounds=10");
  learner_shape shape = {d->task, F, 3};
  if (gbdt_ops.load(&back, &c, &shape, r, "learner.", &err) != GARAM_OK)
    fail_msg("%s", err.message);
  expect_same(gbdt_trees(l), gbdt_trees(back), "package");
  package_close(r);
  unlink(path);
  gbdt_ops.destroy(l);
  gbdt_ops.destroy(back);
  dataset_free(d);
  drop(train);
}

/* ---- constraints --------------------------------------------------------------------------------
 */

static void test_rows_in_leaves(void **state) {
  (void)state;
  dataset *d = make(3000, TASK_BINARY, 2, 6);
  row_set train = range(0, 3000);
  learner *l = fit(d, train, (row_set){0}, "rounds=40 min-rows=37 leaves=64", NULL);
  const trees *t = gbdt_trees(l);
  double least = INFINITY;
  for (size_t i = 0; i < t->n_leaves; i++) least = fmin(least, t->leaf_cover[i]);
  if (least < 37) fail_msg("a leaf has %g rows; --min-rows is 37", least);
  expect_below(least, 60, "the smallest leaf (is the bound in use?)");
  gbdt_ops.destroy(l);
  dataset_free(d);
  drop(train);
}

static void test_no_memory(void **state) {
  (void)state;
  dataset *d = make(300, TASK_BINARY, 2, 2);
  row_set train = range(0, 200), valid = range(200, 300);
  thread_set_count(1);
  bool done = false;
  size_t n_failed = 0;
  for (size_t n = 0; !done && n < 2000; n++) {
    failing_allocator memory = {.fail_after = n};
    failing_allocator_use(&memory);
    gbdt_config c = config_of("rounds=3 leaves=4 categorical=3 monotone=+1 class-weights=balanced");
    learner_shape shape = {d->task, F, 2};
    learner *l = NULL;
    fit_summary s = {0};
    garam_error err = {0};
    garam_status status = gbdt_ops.create(&l, &c, &shape, &err);
    if (status == GARAM_OK) status = gbdt_ops.fit(l, d, train, valid, NULL, &s, &err);
    if (status == GARAM_OK) done = !memory.failed;
    else if (status != GARAM_NO_MEMORY) fail_msg("allocation %zu: %s", n, err.message);
    n_failed += memory.failed;
    fit_summary_deinit(&s);
    if (l) gbdt_ops.destroy(l);
    garam_set_allocator(NULL);
    assert_int_equal(memory.n_blocks, 0);
  }
  assert_true(done && n_failed > 30);
  dataset_free(d);
  drop(train);
  drop(valid);
}

/* ---- stopped and gone on ------------------------------------------------------------------------
 */

static int stop_after;
static bool stop(void *context) {
  (void)context;
  return --stop_after == 0;
}

static const char *const resumed[] = {
    "rounds=20 bagging-fraction=0.7 bagging-freq=4 feature-fraction=0.7",
    "rounds=20 boosting=dart skip-drop=0", "rounds=20 sampling=goss learning-rate=0.3",
    "rounds=20 linear-leaves=1"};

static void test_resume(void **state) {
  (void)state;
  dataset *d = make(1500, TASK_CLASSIFICATION, 3, 4);
  row_set train = range(0, 1000), valid = range(1000, 1500);
  char folder[64], path[96];
  snprintf(folder, sizeof folder, "/tmp/gbdt_test_%d", (int)getpid());
  snprintf(path, sizeof path, "%s/last.safetensors", folder);
  mkdir(folder, 0700);
  for (size_t i = 0; i < sizeof resumed / sizeof resumed[0]; i++) {
    learner *whole = fit(d, train, valid, resumed[i], NULL), *l;
    gbdt_config c = config_of(resumed[i]);
    learner_shape shape = {d->task, F, 3};
    garam_error err = {0};
    fit_summary s;
    fit_context context = {.interrupted = stop, .checkpoint = folder, .fingerprint = "x"};
    assert_int_equal(gbdt_ops.create(&l, &c, &shape, &err), GARAM_OK);
    for (int stops = 0; stops < 3; stops++) {
      stop_after = 5;
      context.resume = stops > 0;
      assert_int_equal(gbdt_ops.fit(l, d, train, valid, &context, &s, &err), GARAM_INTERRUPTED);
    }
    stop_after = 0;
    float kept = d->x[7];
    d->x[7] += 1; /* other data */
    assert_int_equal(gbdt_ops.fit(l, d, train, valid, &context, &s, &err), GARAM_MISMATCH);
    d->x[7] = kept;
    if (gbdt_ops.fit(l, d, train, valid, &context, &s, &err) != GARAM_OK)
      fail_msg("%s", err.message);
    expect_same(gbdt_trees(whole), gbdt_trees(l), resumed[i]);
    assert_int_equal(s.epochs, 20);
    fit_summary_deinit(&s);
    gbdt_ops.destroy(l);
    gbdt_ops.destroy(whole);
  }
  unlink(path);
  rmdir(folder);
  dataset_free(d);
  drop(train);
  drop(valid);
}

/* Raising feature 1 alone never lowers the answer, lowering feature 0 never raises it. */
static void test_monotone(void **state) {
  (void)state;
  static const char *const settings[] = {"rounds=60 monotone=+1,-0",
                                         "rounds=60 monotone=+1,-0 linear-l2=1 path-smooth=1",
                                         "rounds=40 monotone=+1,-0 leaves=4 bagging-fraction=0.5"};
  dataset *d = make(2000, TASK_REGRESSION, 0, 8);
  row_set train = range(0, 1500);
  for (size_t i = 0; i < 3; i++) {
    learner *l = fit(d, train, (row_set){0}, settings[i], NULL);
    for (uint32_t row = 1500; row < 2000; row++) {
      float x[F], last = -INFINITY, out;
      memcpy(x, d->x + row * (size_t)F, sizeof x);
      for (int step = 0; step < 40; step++) {
        x[1] = -3 + 0.15f * (float)step;
        gbdt_ops.predict(l, x, NULL, 1, &out, NULL);
        if (out < last)
          fail_msg("%s: falls from %.9g to %.9g", settings[i], (double)last, (double)out);
        last = out;
      }
      last = INFINITY;
      for (int step = 0; step < 40; step++) {
        x[0] = -3 + 0.15f * (float)step;
        gbdt_ops.predict(l, x, NULL, 1, &out, NULL);
        if (out > last)
          fail_msg("%s: rises from %.9g to %.9g", settings[i], (double)last, (double)out);
        last = out;
      }
    }
    gbdt_ops.destroy(l);
  }
  dataset_free(d);
  drop(train);
}

/* No path of a tree holds features of two groups. */
static void walk(const trees *t, size_t tree, int32_t at, unsigned path) {
  if (at < 0) {
    assert_true((path & ~0x0bu) == 0 || (path & ~0x34u) == 0);
    return;
  }
  size_t i = t->split_begin[tree] + (size_t)at;
  walk(t, tree, t->left[i], path | 1u << t->feature[i]);
  walk(t, tree, t->right[i], path | 1u << t->feature[i]);
}

static void test_interactions(void **state) {
  (void)state;
  dataset *d = make(2000, TASK_REGRESSION, 0, 8);
  row_set train = range(0, 2000);
  learner *l = fit(d, train, (row_set){0}, "rounds=30 interactions=0,1,3;2,4,5", NULL);
  const trees *t = gbdt_trees(l);
  for (size_t i = 0; i < t->n_trees; i++)
    walk(t, i, t->split_begin[i + 1] > t->split_begin[i] ? 0 : -1, 0);
  gbdt_ops.destroy(l);
  dataset_free(d);
  drop(train);
}

/* A row of weight 2 is two rows. */
static void test_weights(void **state) {
  (void)state;
  dataset *d = make(1200, TASK_REGRESSION, 0, 2), *e = make(1200, TASK_REGRESSION, 0, 2);
  row_set once = range(0, 800), twice = range(0, 1200);
  d->weight = mem_alloc(1200 * sizeof *d->weight);
  for (size_t i = 0; i < 1200; i++) d->weight[i] = i < 400 ? 2 : 1;
  memcpy(e->x + 800 * F, e->x, 400 * F * sizeof *e->x); /* rows 800.. are rows 0.. again */
  memcpy(e->value + 800, e->value, 400 * sizeof *e->value);
  /* 15 values a feature, so that both find the same bins. */
  for (size_t i = 0; i < 1200 * F; i++) {
    if (!isnan(d->x[i])) d->x[i] = fminf(fmaxf(rintf(3 * d->x[i]), -7), 7);
    if (!isnan(e->x[i])) e->x[i] = fminf(fmaxf(rintf(3 * e->x[i]), -7), 7);
  }
  static const char settings[] = "rounds=30 leaves=8 min-rows=1 min-hessian=20 bin-rows=1";
  learner *a = fit(d, once, (row_set){0}, settings, NULL);
  learner *b = fit(e, twice, (row_set){0}, settings, NULL);
  double off = 0, all = 0;
  for (size_t i = 0; i < 800; i++) {
    float p, q;
    gbdt_ops.predict(a, d->x + i * F, NULL, 1, &p, NULL);
    gbdt_ops.predict(b, d->x + i * F, NULL, 1, &q, NULL);
    off += (double)(p - q) * (double)(p - q);
    all += (double)(p * p);
  }
  expect_below(off / all, 1e-3, "weights against copies");
  gbdt_ops.destroy(a);
  gbdt_ops.destroy(b);
  dataset_free(d);
  dataset_free(e);
  drop(once);
  drop(twice);
}

/* ---- ranking --------------------------------------------------------------------------------- */

enum { QUERY = 20, QUERIES = 60 };

static dataset *graded(uint64_t seed) {
  dataset *d = make(QUERY * QUERIES, TASK_RANKING, 0, seed);
  d->group = mem_array(d->n_rows, sizeof *d->group);
  for (size_t q = 0; q < QUERIES; q++)
    for (size_t i = 0; i < QUERY; i++) {
      size_t row = q * QUERY + i, above = 0;
      d->group[row] = (uint32_t)q;
      for (size_t j = 0; j < QUERY; j++)
        above += truth(d->x + (q * QUERY + j) * F) > truth(d->x + row * F);
      d->value[row] = above < 2 ? 3 : above < 5 ? 2 : above < 10 ? 1 : 0;
    }
  return d;
}

/* The gradients of a query of three, pair by pair. */
static void test_lambdas(void **state) {
  (void)state;
  dataset *d = make(4, TASK_RANKING, 0, 1);
  d->group = mem_array(4, sizeof *d->group);
  d->group[3] = 1; /* alone: nothing to learn */
  static const float grade[] = {0, 2, 1, 3}, score[] = {0.5f, 0.1f, -0.2f, 1};
  memcpy(d->value, grade, sizeof grade);
  loss l;
  loss_settings settings = {0};
  float gh[8];
  row_set rows = range(0, 4);
  assert_int_equal(loss_init(&l, &loss_lambdarank, &settings, d, NULL, rows, (row_set){0}, NULL),
                   GARAM_OK);
  loss_gradients(&l, gh, score, rows);
  double place[] = {0, 1, 2}, g[3] = {0}, h[3] = {0}, sum = 0, best = 3 + 1 / log2(3);
  for (int a = 0; a < 3; a++)
    for (int b = 0; b < 3; b++) {
      if (grade[a] <= grade[b]) continue;
      double s = (double)score[a] - (double)score[b];
      double change = (exp2((double)grade[a]) - exp2((double)grade[b])) / best *
                      fabs(1 / log2(2 + place[a]) - 1 / log2(2 + place[b])) / (0.01 + fabs(s));
      double p = 1 / (1 + exp(s));
      g[a] -= p * change, g[b] += p * change, sum += 2 * p * change;
      h[a] += p * (1 - p) * change, h[b] += p * (1 - p) * change;
    }
  for (int i = 0; i < 3; i++) {
    assert_true(fabs((double)gh[2 * i] - g[i] * log2(1 + sum) / sum) < 1e-5);
    assert_true(fabs((double)gh[2 * i + 1] - h[i] * log2(1 + sum) / sum) < 1e-5);
  }
  assert_true(gh[6] == 0 && gh[7] == 0);
  loss_deinit(&l);
  drop(rows);
  dataset_free(d);
}

static void test_ranking(void **state) {
  (void)state;
  dataset *d = graded(3);
  row_set train = range(0, 40 * QUERY), valid = range(40 * QUERY, QUERIES * QUERY);
  const char *settings = "rounds=60 leaves=15 learning-rate=0.1 min-rows=10 early-stopping=20";
  fit_summary summary;
  thread_set_count(1);
  learner *a = fit(d, train, valid, settings, &summary);
  expect_below(summary.best_valid_loss, 0.1, "1 - NDCG@10");
  assert_true(summary.valid_loss[0] > summary.best_valid_loss);
  fit_summary_deinit(&summary);
  thread_set_count(3);
  learner *b = fit(d, train, valid, settings, NULL);
  for (size_t i = 0; i < d->n_rows; i++) {
    float x, y;
    assert_int_equal(gbdt_ops.predict(a, d->x + i * F, NULL, 1, &x, NULL), GARAM_OK);
    assert_int_equal(gbdt_ops.predict(b, d->x + i * F, NULL, 1, &y, NULL), GARAM_OK);
    assert_memory_equal(&x, &y, sizeof x);
  }
  gbdt_ops.destroy(a);
  gbdt_ops.destroy(b);
  drop(train), drop(valid);
  dataset_free(d);
}

/* Trees over scores from outside learn what those leave over. */
static void test_init(void **state) {
  (void)state;
  dataset *d = make(2000, TASK_REGRESSION, 0, 5);
  row_set train = range(0, 1500), test = range(1500, 2000);
  d->init = mem_array(d->n_rows, sizeof *d->init);
  for (size_t i = 0; i < d->n_rows; i++) d->init[i] = 100 + 3 * d->x[i * F + 5];
  for (size_t i = 0; i < d->n_rows; i++) d->value[i] += d->init[i];
  learner *l = fit(d, train, (row_set){0}, "rounds=60 leaves=15 min-rows=10", NULL);
  for (size_t i = 0; i < d->n_rows; i++) d->value[i] -= d->init[i];
  expect_below(score(l, d, test), 0.3, "squared error of what is left over");
  gbdt_ops.destroy(l);
  drop(train), drop(test);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lambdas),   cmocka_unit_test(test_ranking),
      cmocka_unit_test(test_init),      cmocka_unit_test(test_learns),
      cmocka_unit_test(test_quantiles), cmocka_unit_test(test_threads),
      cmocka_unit_test(test_package),   cmocka_unit_test(test_rows_in_leaves),
      cmocka_unit_test(test_no_memory), cmocka_unit_test(test_resume),
      cmocka_unit_test(test_monotone),  cmocka_unit_test(test_interactions),
      cmocka_unit_test(test_weights),   cmocka_unit_test(test_custom),
      cmocka_unit_test(test_poisson),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
