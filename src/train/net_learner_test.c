/* The neural learner from outside: it learns what can be learned and nothing else, resumes bit
 * for bit, does not depend on threads, and lives in packages. */
#include "train/net_learner.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const learner_ops *const all[] = {&learner_transformer, &learner_mlp, &learner_lstm,
                                         &learner_gru};

/* ---- data: what a window of three rows shows decides the class ------------------------------ */

enum { F = 3, MAX_ROWS = 1200 };
static float x[MAX_ROWS * F], value[MAX_ROWS];
static int32_t y[MAX_ROWS];
static uint32_t rows[MAX_ROWS];

/* The class: the sign (or the third) of a sum over the last three rows, seen through noise. */
static dataset signal(size_t n, int n_classes, double noise, uint64_t seed) {
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  for (size_t i = 0; i < n * F; i++) x[i] = (float)rng_normal(&r);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t t = 0; t < 3 && t <= i; t++) sum += (double)x[(i - t) * F];
    sum += noise * rng_normal(&r);
    value[i] = (float)sum;
    y[i] = n_classes == 2 ? sum > 0 : sum < -0.75 ? 0 : sum > 0.75 ? 2 : 1;
    rows[i] = (uint32_t)i;
  }
  return (dataset){.task = n_classes == 2 ? TASK_BINARY : TASK_CLASSIFICATION,
                   .n_rows = n,
                   .n_features = F,
                   .n_classes = n_classes,
                   .x = x,
                   .y = y,
                   .value = value};
}

static learner_shape shape_of(const dataset *d) {
  return (learner_shape){d->task, d->n_features, d->task == TASK_REGRESSION ? 0 : d->n_classes};
}

/* ---- a learner by settings ------------------------------------------------------------------- */

static void *config_of(const learner_ops *ops, const char *const *settings) {
  void *config = mem_zalloc(ops->config_size);
  opt_defaults(ops->options, ops->n_options, config);
  for (; *settings; settings++) {
    char name[64];
    const char *equals = strchr(*settings, '=');
    snprintf(name, sizeof name, "%.*s", (int)(equals - *settings), *settings);
    const opt_row *row = opt_find(ops->options, ops->n_options, name);
    if (!row) fail_msg("%s has no option %s", ops->name, name);
    garam_error err;
    if (opt_set_text(row, config, equals + 1, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  return config;
}

static learner *make(const learner_ops *ops, const char *const *settings,
                     const learner_shape *shape) {
  learner *l;
  garam_error err;
  void *config = config_of(ops, settings);
  if (ops->create(&l, config, shape, &err) != GARAM_OK) fail_msg("%s", err.message);
  mem_free(config);
  return l;
}

static void fit_well(learner *l, const dataset *d, size_t n_train, const fit_context *fit,
                     fit_summary *summary) {
  garam_error err;
  row_set train = {rows, n_train}, valid = {rows + n_train, d->n_rows - n_train};
  if (l->ops->fit(l, d, train, valid, fit, summary, &err) != GARAM_OK) fail_msg("%s", err.message);
}

/* Scores of rows [from, to), in calls of `batch` windows. */
static float *scores_of(learner *l, const dataset *d, size_t from, size_t to, size_t batch,
                        size_t k) {
  size_t context = l->ops->context(l), n = to - from;
  float *windows = mem_array(n * context * F, sizeof *windows);
  float *out = mem_array(n * k, sizeof *out);
  int32_t *begin = mem_array(n, sizeof *begin);
  for (size_t i = 0; i < n; i++) {
    size_t row = from + i, there = row + 1 < context ? row + 1 : context;
    begin[i] = (int32_t)(context - there);
    memcpy(windows + (i * context + context - there) * F, d->x + (row + 1 - there) * F,
           there * F * sizeof *windows);
  }
  for (size_t at = 0; at < n; at += batch) {
    size_t some = n - at < batch ? n - at : batch;
    assert_int_equal(
        l->ops->predict(l, windows + at * context * F, begin + at, some, out + at * k, NULL),
        GARAM_OK);
  }
  mem_free(windows);
  mem_free(begin);
  return out;
}

static double accuracy_of(learner *l, const dataset *d, size_t from, size_t to) {
  size_t k = (size_t)d->n_classes, hits = 0;
  float *scores = scores_of(l, d, from, to, 50, k);
  for (size_t i = 0; i < to - from; i++) {
    size_t best = 0;
    for (size_t c = 1; c < k; c++)
      if (scores[i * k + c] > scores[i * k + best]) best = c;
    hits += best == (size_t)d->y[from + i];
  }
  mem_free(scores);
  return (double)hits / (double)(to - from);
}

/* Small nets of every kind, with a window of four rows. */
static const char *const quick[][14] = {
    {"d-model=16", "heads=2", "layers=1", "d-ff=32", "seq=4", "dropout=0", "learning-rate=5e-3",
     "schedule=cosine", "epochs=12", "patience=0", "batch=16", NULL},
    {"hidden=32", "layers=1", "seq=4", "dropout=0", "learning-rate=5e-3", "schedule=cosine",
     "epochs=12", "patience=0", "batch=16", NULL},
    {"hidden=16", "seq=4", "dropout=0", "learning-rate=1e-2", "schedule=cosine", "epochs=12",
     "patience=0", "batch=16", NULL},
    {"hidden=16", "seq=4", "dropout=0", "learning-rate=1e-2", "schedule=cosine", "epochs=12",
     "patience=0", "batch=16", NULL},
};

/* The transformer with everything on: dropout, smoothing, balance, a cap on the epoch. */
static const char *const full[] = {"d-model=16",
                                   "heads=2",
                                   "layers=2",
                                   "d-ff=24",
                                   "seq=5",
                                   "dropout=0.2",
                                   "label-smoothing=0.1",
                                   "class-weights=balanced",
                                   "epochs=4",
                                   "steps-per-epoch=7",
                                   "batch=13",
                                   "learning-rate=3e-3",
                                   "restart-epochs=1",
                                   NULL};

/* ---- learning ----------------------------------------------------------------------------------
 */

static void overfits_a_tiny_set(void **state) {
  (void)state;
  dataset d = signal(48, 3, 3.0, 1); /* mostly noise: only memory gets it right */
  learner_shape shape = shape_of(&d);
  static const char *const settings[] = {"d-model=32",      "heads=2",        "layers=2",
                                         "d-ff=64",         "seq=4",          "dropout=0",
                                         "batch=16",        "epochs=80",      "learning-rate=3e-3",
                                         "schedule=cosine", "weight-decay=0", NULL};
  learner *l = make(&learner_transformer, settings, &shape);
  fit_summary s;
  fit_well(l, &d, d.n_rows, NULL, &s);
  assert_int_equal(s.epochs, 80);
  assert_true(s.train_loss[79] < 0.05);
  assert_true(accuracy_of(l, &d, 0, d.n_rows) == 1.0);
  fit_summary_deinit(&s);
  l->ops->destroy(l);
}

static void learns_a_signal(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    dataset d = signal(900, i % 2 ? 2 : 3, 0.2, 2);
    learner_shape shape = shape_of(&d);
    learner *l = make(all[i], quick[i], &shape);
    fit_summary s;
    fit_well(l, &d, 600, NULL, &s);
    double accuracy = accuracy_of(l, &d, 600, 900);
    if (accuracy < 0.82) fail_msg("%s: accuracy %.3f", all[i]->name, accuracy);
    assert_true(s.best_valid_loss < 0.6);
    assert_int_equal(s.parameters, l->ops->parameters(l));
    fit_summary_deinit(&s);
    l->ops->destroy(l);
  }
}

/* Nets wide enough for half precision, from the same seed: the curves stay together. */
static void precisions_learn_alike(void **state) {
  (void)state;
  dataset d = signal(900, 3, 0.5, 2);
  learner_shape shape = shape_of(&d);
  static const char *const settings[2][14] = {
      {"d-model=128", "heads=4", "layers=1", "d-ff=256", "seq=4", "dropout=0.1", "batch=32",
       "learning-rate=1e-3", "schedule=cosine", "epochs=8", "patience=0", "precision=fp32", NULL},
      {"d-model=128", "heads=4", "layers=1", "d-ff=256", "seq=4", "dropout=0.1", "batch=32",
       "learning-rate=1e-3", "schedule=cosine", "epochs=8", "patience=0", "precision=bf16", NULL}};
  fit_summary s[2];
  for (int i = 0; i < 2; i++) {
    learner *l = make(&learner_transformer, settings[i], &shape);
    fit_well(l, &d, 600, NULL, &s[i]);
    l->ops->destroy(l);
  }
  double train = 0, valid = 0;
  for (int e = 0; e < 8; e++) {
    train = fmax(train, fabs(s[0].train_loss[e] - s[1].train_loss[e]));
    valid = fmax(valid, fabs(s[0].valid_loss[e] - s[1].valid_loss[e]));
  }
  print_message("train loss %.4f to %.4f; bf16 off by at most %.4f, validation by %.4f\n",
                s[0].train_loss[0], s[0].train_loss[7], train, valid);
  assert_true(s[1].train_loss[7] < 0.7 * s[1].train_loss[0]);
  assert_true(train < 0.02 && valid < 0.03);
  fit_summary_deinit(&s[0]);
  fit_summary_deinit(&s[1]);
}

static void shuffled_targets_give_chance(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    dataset d = signal(1200, 2, 0.2, 3);
    rng r;
    rng_init(&r, 5, RNG_TEST, 0);
    for (size_t k = d.n_rows; k > 1; k--) {
      size_t j = (size_t)rng_below(&r, k);
      int32_t t = y[k - 1];
      y[k - 1] = y[j];
      y[j] = t;
    }
    learner_shape shape = shape_of(&d);
    learner *l = make(all[i], quick[i], &shape);
    fit_well(l, &d, 600, NULL, NULL);
    double accuracy = accuracy_of(l, &d, 600, 1200); /* deviation of chance: 0.02 */
    if (fabs(accuracy - 0.5) > 0.08) fail_msg("%s: accuracy %.3f", all[i]->name, accuracy);
    l->ops->destroy(l);
  }
}

static void regression_learns_values(void **state) {
  (void)state;
  for (int huber = 0; huber < 2; huber++) {
    dataset d = signal(900, 3, 0.1, 4);
    d.task = TASK_REGRESSION;
    d.y = NULL;
    learner_shape shape = shape_of(&d);
    static const char *const settings[2][12] = {
        {"d-model=16", "heads=2", "layers=1", "d-ff=32", "seq=4", "dropout=0", "learning-rate=5e-3",
         "schedule=cosine", "epochs=12", "batch=16", NULL},
        {"d-model=16", "heads=2", "layers=1", "d-ff=32", "seq=4", "dropout=0", "learning-rate=5e-3",
         "schedule=cosine", "epochs=12", "batch=16", "huber=1", NULL}};
    learner *l = make(&learner_transformer, settings[huber], &shape);
    fit_well(l, &d, 600, NULL, NULL);
    float *out = scores_of(l, &d, 600, 900, 300, 1);
    double mse = 0;
    for (size_t i = 0; i < 300; i++)
      mse += (double)((out[i] - value[600 + i]) * (out[i] - value[600 + i])) / 300;
    if (!(mse < 0.35)) fail_msg("mean squared error %.3f of variance 3", mse);
    mem_free(out);
    l->ops->destroy(l);
  }
}

static void weights_of_rows_count(void **state) {
  (void)state;
  /* Half of the rows have their classes swapped, with a weight near nothing. */
  dataset d = signal(800, 2, 0.1, 6);
  static float weight[MAX_ROWS];
  for (size_t i = 0; i < d.n_rows; i++) {
    bool wrong = i < 500 && i % 2;
    weight[i] = wrong ? 1e-3f : 1;
    if (wrong) y[i] = 1 - y[i];
  }
  d.weight = weight;
  learner_shape shape = shape_of(&d);
  learner *l = make(&learner_transformer, quick[0], &shape);
  fit_well(l, &d, 500, NULL, NULL);
  assert_true(accuracy_of(l, &d, 500, 800) > 0.8);
  l->ops->destroy(l);
}

/* ---- the same bits
 * -------------------------------------------------------------------------------- */

static char folder[64];

static int folder_make(void **state) {
  (void)state;
  thread_set_count(1); /* nets of this size gain nothing from more */
  snprintf(folder, sizeof folder, "/tmp/garam_net_XXXXXX");
  return mkdtemp(folder) ? 0 : 1;
}

static int folder_remove(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static size_t block_bytes(const learner *l) {
  return ((const net_learner *)l)->block * sizeof(float);
}

static float *params_of(const learner *l) {
  float *copy = mem_alloc(block_bytes(l));
  memcpy(copy, ((const net_learner *)l)->params, block_bytes(l));
  return copy;
}

/* Every way of training that must give the same bits for any number of threads, and resumed. */
static const char *const forms[][4] = {
    {NULL},
    {"micro-batch=4", "precision=fp32", NULL},
    {"micro-batch=5", "precision=bf16", NULL},
    {"optimizer-state=8bit", "precision=bf16", "memory=1G", NULL},
};

static learner *make_full(size_t form, const learner_shape *shape) {
  const char *settings[COUNT_OF(full) + 4];
  size_t n = COUNT_OF(full) - 1;
  memcpy(settings, full, sizeof full);
  for (const char *const *more = forms[form]; *more; more++) settings[n++] = *more;
  settings[n] = NULL;
  return make(&learner_transformer, settings, shape);
}

static float *fit_full(size_t form, const dataset *d, int threads, size_t *bytes) {
  learner_shape shape = shape_of(d);
  learner *l = make_full(form, &shape);
  thread_set_count(threads);
  fit_well(l, d, 200, &(fit_context){.seed = 9}, NULL);
  thread_set_count(1);
  float *params = params_of(l);
  *bytes = block_bytes(l);
  l->ops->destroy(l);
  return params;
}

static void threads_change_nothing(void **state) {
  (void)state;
  dataset d = signal(300, 3, 0.5, 7);
  size_t bytes;
  for (size_t form = 0; form < COUNT_OF(forms); form++) {
    float *one = fit_full(form, &d, 1, &bytes);
    for (int threads = 2; threads <= 4; threads += 2) {
      float *more = fit_full(form, &d, threads, &bytes);
      assert_memory_equal(one, more, bytes);
      mem_free(more);
    }
    mem_free(one);
  }
}

typedef struct stopper {
  uint64_t step, stop;
  double loss[64]; /* by step, from 1 */
  int n_epochs;
  fit_epoch epochs[8];
} stopper;

static void stopper_step(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss) {
  stopper *s = context;
  assert_int_equal(n_steps, 28);
  assert_int_equal(epoch, (step - 1) / 7 + 1);
  s->step = step;
  s->loss[step] = loss;
}

static void stopper_epoch(void *context, const fit_epoch *e) {
  stopper *s = context;
  s->epochs[s->n_epochs++] = *e;
}

static bool stopper_interrupted(void *context) {
  const stopper *s = context;
  return s->step == s->stop;
}

static void resume_form(size_t form) {
  dataset d = signal(300, 3, 0.5, 7);
  learner_shape shape = shape_of(&d);
  size_t bytes;
  float *expected = fit_full(form, &d, 2, &bytes);
  stopper whole = {0};
  fit_context plain = {
      .seed = 9, .on_step = stopper_step, .on_epoch = stopper_epoch, .context = &whole};
  learner *l = make_full(form, &shape);
  fit_summary straight;
  fit_well(l, &d, 200, &plain, &straight);
  assert_memory_equal(expected, ((const net_learner *)l)->params, bytes);
  l->ops->destroy(l);

  row_set train = {rows, 200}, valid = {rows + 200, 100};
  for (uint64_t stop = 1; stop <= 28; stop += stop == 1 ? 5 : stop == 6 ? 1 : 7) {
    if (form > 0 && stop % 6 != 0 && stop != 14) continue;
    char prefix[96];
    snprintf(prefix, sizeof prefix, "%s/form%zu_%d", folder, form, (int)stop);
    stopper s = {.stop = stop};
    fit_context fit = {.seed = 9,
                       .on_step = stopper_step,
                       .on_epoch = stopper_epoch,
                       .interrupted = stopper_interrupted,
                       .context = &s,
                       .checkpoint = prefix,
                       .fingerprint = "a"};
    garam_error err;
    l = make_full(form, &shape);
    assert_int_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_INTERRUPTED);
    assert_non_null(strstr(err.message, "--resume"));
    l->ops->destroy(l);

    fit.resume = true;
    s.stop = 0;
    l = make_full(form, &shape);
    fit_summary resumed;
    fit_well(l, &d, 200, &fit, &resumed);
    assert_memory_equal(expected, ((const net_learner *)l)->params, bytes);
    for (int i = 1; i <= 28; i++) assert_true(s.loss[i] == whole.loss[i]);
    assert_int_equal(s.n_epochs, 4);
    assert_int_equal(resumed.epochs, straight.epochs);
    assert_int_equal(resumed.best_epoch, straight.best_epoch);
    for (int e = 0; e < 4; e++) {
      assert_true(resumed.train_loss[e] == straight.train_loss[e]);
      assert_true(resumed.valid_loss[e] == straight.valid_loss[e]);
      assert_true(s.epochs[e].train_accuracy == whole.epochs[e].train_accuracy);
      assert_true(s.epochs[e].learning_rate == whole.epochs[e].learning_rate);
    }
    fit_summary_deinit(&resumed);

    /* A finished run resumes to its end at once, with the same parameters. */
    s.n_epochs = 0;
    fit_well(l, &d, 200, &fit, NULL);
    assert_int_equal(s.n_epochs, 0);
    assert_memory_equal(expected, ((const net_learner *)l)->params, bytes);
    l->ops->destroy(l);
  }
  fit_summary_deinit(&straight);
  mem_free(expected);
}

static void resumed_is_uninterrupted(void **state) {
  (void)state;
  for (size_t form = 0; form < COUNT_OF(forms); form++) resume_form(form);
}

static void checkpoints_of_others_are_refused(void **state) {
  (void)state;
  dataset d = signal(300, 3, 0.5, 7);
  learner_shape shape = shape_of(&d);
  char prefix[96], path[128];
  snprintf(prefix, sizeof prefix, "%s/a/b/other", folder);
  snprintf(path, sizeof path, "%s/a/b/other/last.safetensors", folder);
  row_set train = {rows, 200}, valid = {rows + 200, 100};
  garam_error err;
  fit_context fit = {.seed = 9, .checkpoint = prefix, .fingerprint = "a", .resume = true};
  learner *l = make(&learner_transformer, full, &shape);
  assert_int_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_NOT_FOUND);
  fit.resume = false;
  assert_int_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_OK);
  fit.resume = true;
  assert_int_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_OK);

  fit_context other = fit;
  other.seed = 10;
  assert_int_equal(l->ops->fit(l, &d, train, valid, &other, NULL, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "seed"));
  other = fit;
  other.fingerprint = "b";
  assert_int_equal(l->ops->fit(l, &d, train, valid, &other, NULL, &err), GARAM_MISMATCH);
  row_set fewer = {rows, 199};
  assert_int_equal(l->ops->fit(l, &d, fewer, valid, &fit, NULL, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "training rows"));
  x[5] += 1;
  assert_int_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "data"));
  x[5] -= 1;
  l->ops->destroy(l);
  const char *settings[COUNT_OF(full)];
  memcpy(settings, full, sizeof full);
  settings[3] = "d-ff=25";
  l = make(&learner_transformer, settings, &shape);
  assert_int_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "d_ff"));
  l->ops->destroy(l);

  /* Cut short or with a byte changed in its header: an error, never a crash. */
  char *data;
  size_t size;
  l = make(&learner_transformer, full, &shape);
  assert_int_equal(io_read_file(&data, &size, path, 1 << 24, &err), GARAM_OK);
  assert_int_equal(io_write_file(path, data, size - 1, &err), GARAM_OK);
  assert_int_not_equal(l->ops->fit(l, &d, train, valid, &fit, NULL, &err), GARAM_OK);
  for (size_t at = 0; at < 400; at += 3) {
    data[at] ^= 1;
    assert_int_equal(io_write_file(path, data, size, &err), GARAM_OK);
    (void)l->ops->fit(l, &d, train, valid, &fit, NULL, &err);
    data[at] ^= 1;
  }
  mem_free(data);
  l->ops->destroy(l);
}

/* ---- packages
 * ---------------------------------------------------------------------------------------- */

static void saved_predicts_the_same(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(all); i++)
    for (int regression = 0; regression < 2; regression++) {
      dataset d = signal(120, 3, 0.5, 8);
      if (regression) d.task = TASK_REGRESSION;
      size_t k = regression ? 1 : 3;
      learner_shape shape = shape_of(&d);
      learner *l = make(all[i], quick[i], &shape), *back;
      char path[128];
      snprintf(path, sizeof path, "%s/package.safetensors", folder);
      garam_error err;
      fit_well(l, &d, 90, NULL, NULL);
      package_writer *w;
      package_reader *r;
      assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
      assert_int_equal(l->ops->save(l, w, "learner.", &err), GARAM_OK);
      assert_int_equal(package_write(w, path, &err), GARAM_OK);
      package_writer_free(w);
      assert_int_equal(package_open(&r, path, &err), GARAM_OK);
      void *config = config_of(all[i], quick[i]);
      if (all[i]->load(&back, config, &shape, r, "learner.", &err) != GARAM_OK)
        fail_msg("%s", err.message);
      float *a = scores_of(l, &d, 0, 120, 120, k), *b = scores_of(back, &d, 0, 120, 120, k);
      assert_memory_equal(a, b, 120 * k * sizeof *a);
      back->ops->destroy(back);
      /* Another shape, another prefix: refused. */
      learner_shape wide = shape;
      wide.n_features++;
      assert_int_not_equal(all[i]->load(&back, config, &wide, r, "learner.", &err), GARAM_OK);
      assert_null(back);
      assert_int_not_equal(all[i]->load(&back, config, &shape, r, "", &err), GARAM_OK);
      mem_free(a);
      mem_free(b);
      mem_free(config);
      package_close(r);
      l->ops->destroy(l);
    }
}

/* ---- prediction
 * ----------------------------------------------------------------------------------------- */

static void padding_and_batches(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    dataset d = signal(150, 3, 0.5, 8);
    learner_shape shape = shape_of(&d);
    learner *l = make(all[i], quick[i], &shape);
    fit_well(l, &d, 100, NULL, NULL);
    /* What stands in padded rows does not matter. */
    float windows[2][4 * F], out[2][3];
    for (int k = 0; k < 4 * F; k++) {
      windows[0][k] = k < 2 * F ? 0 : (float)k;
      windows[1][k] = k < 2 * F ? 1e9f : (float)k;
    }
    windows[1][0] = NAN;
    const int32_t begin[1] = {2};
    for (int k = 0; k < 2; k++)
      assert_int_equal(l->ops->predict(l, windows[k], begin, 1, out[k], NULL), GARAM_OK);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    /* A row alone and in a batch: the same within rounding. */
    float *one = scores_of(l, &d, 0, 150, 1, 3);
    static const size_t batches[] = {2, 7, 8, 33, 100, 150};
    for (size_t b = 0; b < COUNT_OF(batches); b++) {
      float *many = scores_of(l, &d, 0, 150, batches[b], 3);
      for (size_t k = 0; k < 150 * 3; k++) assert_true(fabsf(one[k] - many[k]) < 1e-5f);
      mem_free(many);
    }
    mem_free(one);
    l->ops->destroy(l);
  }
}

static void warm_predictions_allocate_nothing(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    learner_shape shape = {TASK_CLASSIFICATION, F, 3};
    learner *l = make(all[i], quick[i], &shape);
    static float windows[77 * 4 * F];
    float out[77 * 3];
    for (int warm = 0; warm < 2; warm++) {
      uint64_t before = mem_count();
      for (size_t n = 1; n <= 77; n += 19)
        assert_int_equal(l->ops->predict(l, windows, NULL, n, out, NULL), GARAM_OK);
      if (warm) assert_int_equal(mem_count(), before);
    }
    l->ops->destroy(l);
  }
}

typedef struct counter {
  uint64_t at, most;
} counter;

static void count_step(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss) {
  counter *c = context;
  (void)epoch;
  (void)n_steps;
  (void)loss;
  uint64_t now = mem_count();
  if (step % 7 != 1 && now - c->at > c->most) c->most = now - c->at; /* not over an epoch's end */
  c->at = now;
}

static void steps_allocate_nothing(void **state) {
  (void)state;
  dataset d = signal(300, 3, 0.5, 7);
  learner_shape shape = shape_of(&d);
  learner *l = make(&learner_transformer, full, &shape);
  counter c = {0};
  fit_well(l, &d, 200, &(fit_context){.on_step = count_step, .context = &c}, NULL);
  assert_int_equal(c.most, 0);
  l->ops->destroy(l);
}

/* ---- what goes wrong
 * ---------------------------------------------------------------------------------------- */

static void bad_input_is_refused(void **state) {
  (void)state;
  dataset d = signal(100, 3, 0.5, 7);
  learner_shape shape = shape_of(&d);
  garam_error err;
  row_set train = {rows, 80}, valid = {rows + 80, 20};
  learner *l = make(&learner_transformer, quick[0], &shape);
  x[7] = NAN;
  assert_int_equal(l->ops->fit(l, &d, train, valid, NULL, NULL, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "row 2"));
  x[7] = 0;
  for (size_t i = 0; i < 80; i++) y[i] = -1;
  assert_int_equal(l->ops->fit(l, &d, train, valid, NULL, NULL, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "no training rows"));
  l->ops->destroy(l);

  learner_shape ranking = {TASK_RANKING, F, 0}, single = {TASK_CLASSIFICATION, F, 1};
  void *config = config_of(&learner_transformer, quick[0]);
  assert_int_equal(learner_transformer.create(&l, config, &ranking, &err), GARAM_UNSUPPORTED);
  assert_int_equal(learner_transformer.create(&l, config, &single, &err), GARAM_INVALID);
  mem_free(config);
  config = config_of(&learner_transformer, (const char *const[]){"heads=3", NULL});
  assert_int_equal(learner_transformer.create(&l, config, &shape, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "heads"));
  mem_free(config);
}

static void numbers_that_leave_are_reported(void **state) {
  (void)state;
  dataset d = signal(100, 3, 0.5, 7);
  learner_shape shape = shape_of(&d);
  garam_error err;
  for (size_t i = 0; i < d.n_rows * F; i++) x[i] *= 1e38f;
  learner *l = make(&learner_mlp, quick[1], &shape);
  assert_int_equal(
      l->ops->fit(l, &d, (row_set){rows, 80}, (row_set){rows + 80, 20}, NULL, NULL, &err),
      GARAM_NUMERIC);
  assert_non_null(strstr(err.message, "--learning-rate"));
  l->ops->destroy(l);
}

static void without_validation_the_last_epoch_counts(void **state) {
  (void)state;
  dataset d = signal(100, 3, 0.5, 7);
  learner_shape shape = shape_of(&d);
  learner *l = make(&learner_mlp, quick[1], &shape);
  fit_summary s;
  fit_well(l, &d, 100, NULL, &s);
  assert_int_equal(s.epochs, 12);
  assert_int_equal(s.best_epoch, 12);
  assert_true(isnan(s.valid_loss[0]));
  fit_summary_deinit(&s);
  l->ops->destroy(l);
}

static void patience_stops(void **state) {
  (void)state;
  dataset d = signal(200, 2, 30, 7); /* noise: validation only gets worse */
  learner_shape shape = shape_of(&d);
  static const char *const settings[] = {"hidden=64",  "seq=4",      "learning-rate=2e-2",
                                         "epochs=500", "patience=3", "schedule=constant",
                                         NULL};
  learner *l = make(&learner_mlp, settings, &shape);
  fit_summary s;
  fit_well(l, &d, 150, NULL, &s);
  assert_true(s.epochs < 100);
  assert_int_equal(s.epochs, s.best_epoch + 3);
  for (int e = 0; e < s.epochs; e++) assert_true(s.valid_loss[e] >= s.valid_loss[s.best_epoch - 1]);
  fit_summary_deinit(&s);
  l->ops->destroy(l);
}

static void options_and_presets(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    learner_shape shape = {TASK_CLASSIFICATION, F, 3};
    for (const learner_preset *p = all[i]->presets; p->name; p++) {
      if (all[i] == &learner_transformer && strcmp(p->name, "base") == 0) continue; /* large */
      garam_error err;
      void *config = config_of(all[i], (const char *const[]){NULL});
      if (learner_apply_preset(all[i], config, p->name, &err) != GARAM_OK)
        fail_msg("%s", err.message);
      learner *l;
      if (all[i]->create(&l, config, &shape, &err) != GARAM_OK) fail_msg("%s", err.message);
      assert_true(l->ops->context(l) >= 1);
      l->ops->destroy(l);
      mem_free(config);
    }
    /* Names are unique, and every row's default passes its own check. */
    for (size_t k = 0; k < all[i]->n_options; k++) {
      const opt_row *row = &all[i]->options[k];
      assert_ptr_equal(opt_find(all[i]->options, all[i]->n_options, row->name), row);
      char text[OPT_TEXT_MAX];
      void *config = config_of(all[i], (const char *const[]){NULL});
      assert_int_equal(opt_set_text(row, config, opt_value_text(text, row, config), NULL),
                       GARAM_OK);
      mem_free(config);
    }
  }
}

/* ---- memory runs out at every allocation in turn -------------------------------------------- */

static garam_status journey(const dataset *d, const void *config, const char *path,
                            garam_error *err) {
  static const fit_context fit = {.seed = 1};
  learner_shape shape = shape_of(d);
  learner *l = NULL;
  package_writer *w = NULL;
  fit_summary s = {0};
  garam_status status = GARAM_OK;
  TRY_GOTO(done, learner_transformer.create(&l, config, &shape, err));
  TRY_GOTO(done, l->ops->fit(l, d, (row_set){rows, 30}, (row_set){rows + 30, 10}, &fit, &s, err));
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, l->ops->save(l, w, "l.", err));
  status = package_write(w, path, err);
done:
  fit_summary_deinit(&s);
  package_writer_free(w);
  if (l) l->ops->destroy(l);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  dataset d = signal(40, 3, 0.5, 7);
  static const char *const settings[] = {"d-model=4", "heads=2",  "layers=1", "d-ff=4",
                                         "seq=2",     "epochs=1", NULL};
  void *config = config_of(&learner_transformer, settings);
  char path[128];
  snprintf(path, sizeof path, "%s/memory.safetensors", folder);
  assert_int_equal(journey(&d, config, path, NULL), GARAM_OK); /* warm: libraries keep some */
  static failing_allocator memory = {.once = true};
  failing_allocator_use(&memory);
  size_t at = 0;
  for (;; at++) {
    failing_allocator_restart(&memory, at);
    garam_error err = {0};
    garam_status status = journey(&d, config, path, &err);
    if (status == GARAM_OK && !memory.failed) break;
    if (status != GARAM_OK && !strstr(err.message, "memory")) {
      garam_set_allocator(NULL);
      fail_msg("allocation %zu: %s: %s", at, garam_status_name(status), err.message);
    }
  }
  garam_set_allocator(NULL);
  assert_true(at >= 50);
  mem_free(config);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(overfits_a_tiny_set),
      cmocka_unit_test(learns_a_signal),
      cmocka_unit_test(precisions_learn_alike),
      cmocka_unit_test(shuffled_targets_give_chance),
      cmocka_unit_test(regression_learns_values),
      cmocka_unit_test(weights_of_rows_count),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(resumed_is_uninterrupted),
      cmocka_unit_test(checkpoints_of_others_are_refused),
      cmocka_unit_test(saved_predicts_the_same),
      cmocka_unit_test(padding_and_batches),
      cmocka_unit_test(warm_predictions_allocate_nothing),
      cmocka_unit_test(steps_allocate_nothing),
      cmocka_unit_test(bad_input_is_refused),
      cmocka_unit_test(numbers_that_leave_are_reported),
      cmocka_unit_test(without_validation_the_last_epoch_counts),
      cmocka_unit_test(patience_stops),
      cmocka_unit_test(options_and_presets),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
