/* Intervals of any learner: they hold 95 % of what comes, narrow where it is calm where they can
 * be, and under drift where they follow it; no model judges a row that it could remember; the same
 * bits for any number of threads, after an interruption and out of a package. */
#include "ensemble/intervals.h"

#include "ensemble/fixture.h"
#include "base/io.h"
#include "base/thread.h"
#include "learn/conformal.h"
#include "learn/stream.h"
#include "tests/failing_allocator.h"

FIXTURE_REGISTRY(&ensemble_intervals);

#define QUICK "gbdt:rounds=60,leaves=8,learning-rate=0.3,early-stopping=0"
#define LINEAR "linear:max-iterations=20"

static const char *const kinds[][8] = {
    {"method=cross", "member=" LINEAR, "folds=4"},
    {"method=cross", "member=linear:window=3", "folds=3", "adapt=aci", "window=50"},
    {"method=quantile", "member=linear:window=2", "ends=" QUICK},
    {"method=quantile", "member=" QUICK, "ends=" QUICK, "adapt=sliding"},
    {"method=ensemble", "member=" LINEAR, "bags=4"},
    {"method=ensemble", "member=" QUICK, "bags=3", "adapt=aci", "window=60"},
};

/* value = 2 x1 + noise, which is six times as wide where x2 > 0, and `drift` times from row `from`
 * on. */
static dataset *noisy(size_t n, double drift, size_t from, uint64_t seed) {
  dataset *d = fixture_market(n, 0, 0, 1, seed);
  rng r;
  rng_init(&r, seed, RNG_TEST, 1);
  for (size_t i = 0; i < n; i++) {
    float *x = d->x + i * FIXTURE_FEATURES;
    for (int j = 1; j < FIXTURE_FEATURES; j++) x[j] = (float)rng_normal(&r);
    x[0] = 0;
    double scale = (x[2] > 0 ? 0.6 : 0.1) * (i >= from ? drift : 1);
    d->value[i] = (float)(2 * (double)x[1] + scale * rng_normal(&r));
  }
  return d;
}

static learner *fitted(const char *const *settings, const dataset *d, size_t train, size_t valid) {
  learner *l = fixture_learner(&ensemble_intervals, settings, d);
  fixture_fit(l, d, fixture_set(0, train), fixture_set(train + 1, valid), NULL, NULL);
  return l;
}

/* Answers and ends (rows.n, 2) of a walk in which each outcome counts once it is known. */
static void walk(learner *l, const dataset *d, row_set rows, float *out, float *ends) {
  const learner_stream *s = l->ops->stream;
  size_t context = l->ops->context(l), width = s->width(l);
  float *x = mem_array(rows.n * context * d->n_features, sizeof *x);
  float *views = mem_array(rows.n * width, sizeof *views);
  int32_t *begin = mem_array(rows.n, sizeof *begin);
  uint32_t *at = mem_array(d->n_rows, sizeof *at);
  garam_error err;
  for (size_t i = 0; i < rows.n; i++) at[rows.rows[i]] = (uint32_t)i;
  dataset_gather(x, begin, d, rows.rows, rows.n, context);
  assert_int_equal(s->view(l, x, begin, rows.n, views, &err), GARAM_OK);
  assert_int_equal(stream_walk(l, d, rows, rows, views, at, 1, false, out, ends, &err), GARAM_OK);
  s->rewind(l);
  mem_free(x);
  mem_free(views);
  mem_free(begin);
  mem_free(at);
}

typedef struct account {
  double held, calm, rough; /* share held; mean width where the noise is small, and large */
} account;

static account judge(learner *l, const dataset *d, size_t from, size_t to) {
  row_set rows = fixture_set(from, to);
  account a = {0};
  double n[2] = {0};
  float *out = mem_array(rows.n, sizeof *out), *ends = mem_array(2 * rows.n, sizeof *ends);
  walk(l, d, rows, out, ends);
  for (size_t i = 0; i < rows.n; i++) {
    size_t row = rows.rows[i];
    bool rough = d->x[row * FIXTURE_FEATURES + 2] > 0;
    assert_true(ends[2 * i] <= ends[2 * i + 1]);
    a.held += d->value[row] >= ends[2 * i] && d->value[row] <= ends[2 * i + 1];
    *(rough ? &a.rough : &a.calm) += (double)ends[2 * i + 1] - (double)ends[2 * i];
    n[rough]++;
  }
  mem_free(out);
  mem_free(ends);
  return (account){a.held / (double)rows.n, a.calm / n[0], a.rough / n[1]};
}

static void hold_what_they_promise(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    account mean = {0};
    enum { ROUNDS = 5 };
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
      dataset *d = noisy(1500, 1, 1500, 10 + seed);
      learner *l = fitted(kinds[i], d, 600, 900);
      account a = judge(l, d, 901, 1500);
      mean.held += a.held / ROUNDS, mean.calm += a.calm / ROUNDS, mean.rough += a.rough / ROUNDS;
      l->ops->destroy(l);
      dataset_free(d);
    }
    bool quantile = strcmp(kinds[i][0], "method=quantile") == 0;
    if (!(mean.held > 0.93 && mean.held < 0.98))
      fail_msg("%s, %s: %.4f held", kinds[i][0], kinds[i][1], mean.held);
    /* Models of the ends know where it is rough. */
    if (quantile ? mean.calm > 0.85 * mean.rough : mean.calm < 0.95 * mean.rough)
      fail_msg("%s, %s: widths %.3f and %.3f", kinds[i][0], kinds[i][1], mean.calm, mean.rough);
  }
}

/* The noise trebles where scoring begins: what was fitted fails, what follows does not. */
static void follow_drift(void **state) {
  (void)state;
  static const char *const methods[][2] = {{"method=cross", "member=" LINEAR},
                                           {"method=quantile", "member=" LINEAR},
                                           {"method=ensemble", "member=" LINEAR}};
  static const char *const adapt[] = {"adapt=none", "adapt=sliding", "adapt=aci"};
  dataset *d = noisy(1500, 3, 750, 5);
  for (size_t m = 0; m < COUNT_OF(methods); m++)
    for (size_t a = 0; a < COUNT_OF(adapt); a++) {
      const char *settings[] = {methods[m][0], methods[m][1], "ends=" QUICK, "bags=5",
                                "window=150",  "gamma=0.01",  adapt[a],      NULL};
      learner *l = fitted(settings, d, 500, 749);
      double held = judge(l, d, 750, 1500).held, again = judge(l, d, 750, 1500).held;
      assert_true(held >= again && held <= again); /* the walk was forgotten */
      if (a == 0 ? held > 0.82 : held < 0.91)
        fail_msg("%s %s: %.4f held", methods[m][0], adapt[a], held);
      l->ops->destroy(l);
    }
  dataset_free(d);
}

/* Labels that overlap: nobody is asked about a row whose label meets one that it was shown. */
static void no_model_judges_what_it_saw(void **state) {
  (void)state;
  static const char *const memories[][5] = {
      {"method=cross", "member=memory", "folds=4"},
      {"method=cross", "member=memory:patience=0", "folds=3"},
      {"method=ensemble", "member=memory", "bags=6"},
  };
  dataset *d = fixture_market(700, 0, 0, FIXTURE_HORIZON, 3);
  for (size_t i = 0; i < COUNT_OF(memories); i++) {
    memset(&fixture_watch, 0, sizeof fixture_watch);
    fixture_watch.label = FIXTURE_HORIZON * 3600;
    learner *l = fixture_learner(&ensemble_intervals, memories[i], d);
    fixture_fit(l, d, fixture_set(0, 700), (row_set){0}, NULL, NULL);
    assert_true(fixture_watch.asked > 100 && fixture_watch.fits > 2);
    if (fixture_watch.overlapping)
      fail_msg("%s: %zu of %zu", memories[i][0], fixture_watch.overlapping, fixture_watch.asked);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* Answers and ends of the last hundred rows, as they are before an outcome. */
static float *told(learner *l, const dataset *d) {
  float *out = mem_array(300, sizeof *out);
  dataset still = *d;
  still.label_end = NULL;
  still.known_at = NULL; /* outcomes follow after all answers */
  walk(l, &still, fixture_set(400, 500), out, out + 100);
  return out;
}

static float *trained(const char *const *settings, const dataset *d, const fit_context *fit) {
  learner *l = fixture_learner(&ensemble_intervals, settings, d);
  fixture_fit(l, d, fixture_set(0, 250), fixture_set(251, 350), fit, NULL);
  float *out = told(l, d);
  l->ops->destroy(l);
  return out;
}

static void threads_change_nothing(void **state) {
  (void)state;
  dataset *d = noisy(500, 1, 500, 7);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    float *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
      thread_set_count(threads);
      float *out = trained(kinds[i], d, NULL);
      if (first) assert_memory_equal(out, first, 300 * sizeof *out);
      else first = out;
      if (out != first) mem_free(out);
    }
    thread_set_count(0);
    mem_free(first);
  }
  dataset_free(d);
}

/* Outcomes that were seen, and kept, are in the package; a view and an outcome allocate nothing. */
static void saved_goes_on_the_same(void **state) {
  (void)state;
  dataset *d = noisy(500, 2, 350, 7);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    learner *l = fitted(kinds[i], d, 250, 349);
    size_t context = l->ops->context(l);
    float x[3 * FIXTURE_FEATURES] = {0}, view[3], ends[2];
    uint64_t before = 0;
    for (uint32_t row = 350; row < 400; row++) {
      int32_t begin;
      dataset_gather(x, &begin, d, &row, 1, context);
      assert_int_equal(l->ops->stream->view(l, x, &begin, 1, view, NULL), GARAM_OK);
      l->ops->stream->bounds(l, view, ends);
      l->ops->stream->observe(l, view, 0, d->value[row]);
      l->ops->stream->keep(l);
      if (row == 350) before = mem_count();
    }
    assert_int_equal(mem_count(), before);
    learner *back = fixture_saved(l, kinds[i], d);
    assert_int_equal(back->ops->parameters(back), l->ops->parameters(l));
    float *a = told(l, d), *b = told(back, d);
    assert_memory_equal(a, b, 300 * sizeof *a);
    mem_free(a);
    mem_free(b);
    back->ops->destroy(back);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

static int calls_left;

static bool stop_after(void *context) {
  (void)context;
  return calls_left-- <= 0;
}

static void resumed_is_uninterrupted(void **state) {
  (void)state;
  char folder[64], command[96];
  snprintf(folder, sizeof folder, "/tmp/garam-intervals-%d", (int)getpid());
  snprintf(command, sizeof command, "rm -rf %s", folder);
  dataset *d = noisy(500, 1, 500, 7);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    float *whole = trained(kinds[i], d, &(fit_context){.seed = 5}), *out = NULL;
    fit_context fit = {.seed = 5, .checkpoint = folder, .interrupted = stop_after};
    int stops = 0, budget = 10;
    for (; !out; stops++, fit.resume = true) {
      learner *l = fixture_learner(&ensemble_intervals, kinds[i], d);
      fit_summary s = {0};
      garam_error err;
      calls_left = budget += 5;
      garam_status status =
          l->ops->fit(l, d, fixture_set(0, 250), fixture_set(251, 350), &fit, &s, &err);
      if (status == GARAM_OK) out = told(l, d);
      else if (status != GARAM_INTERRUPTED) fail_msg("%s", err.message);
      fit_summary_deinit(&s);
      l->ops->destroy(l);
      assert_true(stops < 200);
    }
    if (stops < 2) fail_msg("kind %zu: it was never stopped", i);
    assert_memory_equal(out, whole, 300 * sizeof *out);
    mem_free(out);
    mem_free(whole);
    assert_int_equal(system(command), 0);
  }
  dataset_free(d);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

static void bad_settings_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *settings[4];
    garam_status status;
    const char *message;
  } bad[] = {
      {{"member=linear,mlp"}, GARAM_INVALID, "takes one"},
      {{"member=linera"}, GARAM_NOT_FOUND, "\"linear\""},
      {{"method=quantile", "ends=linear"}, GARAM_UNSUPPORTED, "no quantile loss"},
      {{"method=quantile", "ends=gbdt,gbdt"}, GARAM_INVALID, "--ends"},
  };
  learner_shape shape = {TASK_REGRESSION, FIXTURE_FEATURES, 0};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    garam_error err = {0};
    learner *l;
    void *config = fixture_config(&ensemble_intervals, bad[i].settings);
    assert_int_equal(ensemble_intervals.create(&l, config, &shape, &err), bad[i].status);
    assert_null(l);
    if (!strstr(err.message, bad[i].message)) fail_msg("%zu: %s", i, err.message);
    mem_free(config);
  }
  /* Too few rows to promise anything by. */
  static const char *const few[][4] = {
      {"method=quantile", "member=" LINEAR, "ends=" QUICK},
      {"method=ensemble", "member=" LINEAR, "bags=2"},
      {"method=cross", "member=" LINEAR, "folds=2"},
  };
  dataset *d = noisy(60, 1, 60, 7);
  for (size_t i = 0; i < COUNT_OF(few); i++) {
    learner *l = fixture_learner(&ensemble_intervals, few[i], d);
    fit_summary s;
    garam_error err;
    assert_int_equal(l->ops->fit(l, d, fixture_set(0, 17), fixture_set(20, 30), NULL, &s, &err),
                     GARAM_INVALID);
    assert_true(strstr(err.message, "too few") || strstr(err.message, "at least"));
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* Bytes of a package changed: an error or a learner that answers, never a crash. */
static void changed_packages_are_refused_or_load(void **state) {
  (void)state;
  dataset *d = noisy(500, 1, 500, 7);
  learner_shape shape = fixture_shape(d);
  char path[64];
  snprintf(path, sizeof path, "/tmp/garam-intervals-%d.st", (int)getpid());
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    learner *l = fitted(kinds[i], d, 250, 349), *back;
    package_writer *w;
    package_reader *r;
    garam_error err;
    char *bytes;
    size_t size, refused = 0;
    rng g;
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(l->ops->save(l, w, "l.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    l->ops->destroy(l);
    assert_int_equal(io_read_file(&bytes, &size, path, 1 << 24, &err), GARAM_OK);
    unlink(path);
    void *config = fixture_config(&ensemble_intervals, kinds[i]);
    rng_init(&g, 1, RNG_TEST, i);
    for (int k = 0; k < 400; k++) {
      size_t at = (size_t)rng_below(&g, k % 2 ? size : size < 3000 ? size : 3000);
      char was = bytes[at];
      bytes[at] ^= (char)(1 << rng_below(&g, 8));
      if (package_open_memory(&r, bytes, size, "changed", &err) == GARAM_OK) {
        float x[3 * FIXTURE_FEATURES] = {0}, view[3], ends[2];
        if (ensemble_intervals.load(&back, config, &shape, r, "l.", &err) == GARAM_OK) {
          if (back->ops->stream->view(back, x, NULL, 1, view, &err) == GARAM_OK)
            back->ops->stream->bounds(back, view, ends);
          back->ops->stream->observe(back, view, 0, 0.5f);
          back->ops->destroy(back);
        } else {
          assert_null(back);
          refused++;
        }
        package_close(r);
      }
      bytes[at] = was;
    }
    assert_true(refused > 0);
    mem_free(config);
    mem_free(bytes);
  }
  dataset_free(d);
}

static garam_status journey(const void *config, const dataset *d, garam_error *err) {
  learner_shape shape = fixture_shape(d);
  learner *l = NULL;
  package_writer *w = NULL;
  fit_summary s = {0};
  float x[FIXTURE_FEATURES] = {0}, out;
  garam_status status;
  TRY_GOTO(done, ensemble_intervals.create(&l, config, &shape, err));
  TRY_GOTO(done, l->ops->fit(l, d, fixture_set(0, 150), fixture_set(151, 180), NULL, &s, err));
  TRY_GOTO(done, l->ops->predict(l, x, NULL, 1, &out, err));
  TRY_GOTO(done, package_writer_new(&w, err));
  status = l->ops->save(l, w, "l.", err);
done:
  fit_summary_deinit(&s);
  package_writer_free(w);
  if (l) l->ops->destroy(l);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  static const char *const quick[][5] = {
      {"method=cross", "member=memory", "folds=2"},
      {"method=ensemble", "member=memory", "bags=10", "block=10"},
      {"method=quantile", "member=memory", "ends=gbdt:rounds=1,leaves=2,early-stopping=0"},
  };
  dataset *d = fixture_market(180, 0, 0, 1, 7);
  thread_set_count(1); /* the allocator counts for one */
  for (size_t i = 0; i < COUNT_OF(quick); i++) {
    static failing_allocator scarce;
    garam_error first;
    void *config = fixture_config(&ensemble_intervals, quick[i]);
    if (journey(config, d, &first) != GARAM_OK) fail_msg("%s", first.message);
    scarce = (failing_allocator){.once = true};
    failing_allocator_use(&scarce);
    size_t at = 0;
    for (;; at++) {
      failing_allocator_restart(&scarce, at);
      garam_error err = {0};
      garam_status status = journey(config, d, &err);
      if (status == GARAM_OK && !scarce.failed) break;
      if (status != GARAM_OK && !strstr(err.message, "memory")) {
        garam_set_allocator(NULL);
        fail_msg("%s, allocation %zu: %s", quick[i][0], at, err.message);
      }
    }
    garam_set_allocator(NULL);
    if (scarce.n_blocks) fail_msg("%s: %ld blocks left", quick[i][0], scarce.n_blocks);
    assert_true(at >= 30);
    mem_free(config);
  }
  thread_set_count(0);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hold_what_they_promise),
      cmocka_unit_test(follow_drift),
      cmocka_unit_test(no_model_judges_what_it_saw),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(saved_goes_on_the_same),
      cmocka_unit_test(resumed_is_uninterrupted),
      cmocka_unit_test(bad_settings_are_refused),
      cmocka_unit_test(changed_packages_are_refused_or_load),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests_name("intervals", tests, NULL, NULL);
}
