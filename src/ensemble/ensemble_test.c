/* What holds for every ensemble: the same bits for any number of threads, out of a package, and
 * after an interruption; no allocation in a warm prediction; no leak and no crash when memory runs
 * out. */
#include "ensemble/fixture.h"

#include "base/io.h"
#include "base/thread.h"
#include "tests/failing_allocator.h"

FIXTURE_REGISTRY(&ensemble_stack, &ensemble_average, &ensemble_bagging, &ensemble_adaboost,
                 &ensemble_boosting);

#define MLP "mlp:hidden=8,seq=2,epochs=3,batch=32,learning-rate=5e-3"

typedef struct kind {
  const learner_ops *ops;
  const char *settings[8];
} kind;

static const kind kinds[] = {
    {&ensemble_stack, {"members=linear," MLP, "folds=3"}},
    {&ensemble_stack,
     {"members=linear,mlp:hidden=8,seq=1,epochs=3,batch=32", "folds=3", "layers=2", "refit=folds",
      "pass-through=true"}},
    {&ensemble_stack,
     {"members=linear," MLP ",linear:window=4", "folds=3", "meta=greedy", "greedy-bags=5",
      "meta-features=probabilities", "layers=2", "out-of-fold=walk-forward"}},
    {&ensemble_stack, {"members=stack:members=(linear,linear:l2=1),folds=2," MLP, "folds=2"}},
    {&ensemble_average, {"members=linear," MLP, "weighting=convex"}},
    {&ensemble_average, {"members=linear," MLP ",linear:window=3", "weighting=greedy"}},
    {&ensemble_bagging, {"member=" MLP, "bags=3"}},
    {&ensemble_bagging,
     {"member=linear:window=2", "bags=5", "bootstrap=sequential", "sample-share=0.5",
      "feature-share=0.5", "uniqueness=true"}},
    {&ensemble_adaboost, {"member=" MLP, "rounds=4", "resample=true"}},
    {&ensemble_adaboost, {"member=linear:window=3", "rounds=5", "algorithm=samme-r"}},
    {&ensemble_boosting, {"member=" MLP, "rounds=3", "sample-share=0.7"}},
    {&ensemble_boosting, {"member=linear", "rounds=5", "early-stopping=2"}},
};

static float *trained(const kind *e, dataset *d, const fit_context *fit) {
  learner *l = fixture_learner(e->ops, e->settings, d);
  fixture_fit(l, d, fixture_set(0, 300), fixture_set(301, 350), fit, NULL);
  float *out = fixture_scores(l, d, fixture_set(350, 400));
  l->ops->destroy(l);
  return out;
}

static void threads_change_nothing(void **state) {
  (void)state;
  dataset *d = fixture_market(400, 3, 0.5, 3, 7);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    float *first = NULL;
    for (int threads = 1; threads <= 4; threads *= 2) {
      thread_set_count(threads);
      float *out = trained(&kinds[i], d, NULL);
      if (first) assert_memory_equal(out, first, 50 * 3 * sizeof *out);
      else first = out;
      if (out != first) mem_free(out);
    }
    thread_set_count(0);
    mem_free(first);
  }
  dataset_free(d);
}

static void saved_predicts_the_same(void **state) {
  (void)state;
  for (int classes = 0; classes <= 3; classes += classes ? 1 : 2) {
    dataset *d = fixture_market(400, classes, 0.5, 3, 7);
    size_t k = classes ? (size_t)classes : 1;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
      learner *l = fixture_learner(kinds[i].ops, kinds[i].settings, d);
      fixture_fit(l, d, fixture_set(0, 300), fixture_set(301, 350), NULL, NULL);
      learner *back = fixture_saved(l, kinds[i].settings, d);
      assert_int_equal(back->ops->context(back), l->ops->context(l));
      assert_int_equal(back->ops->parameters(back), l->ops->parameters(l));
      float *a = fixture_scores(l, d, fixture_set(0, 400));
      float *b = fixture_scores(back, d, fixture_set(0, 400));
      assert_memory_equal(a, b, 400 * k * sizeof *a);
      for (size_t j = 0; j < 400 * k; j++) assert_true(isfinite(a[j]));
      mem_free(a);
      mem_free(b);
      back->ops->destroy(back);
      l->ops->destroy(l);
    }
    dataset_free(d);
  }
}

static int calls_left;

static bool stop_after(void *context) {
  (void)context;
  return calls_left-- <= 0;
}

/* Stopped in the middle of one fit after another, and gone on with: the bytes of one run. */
static void resumed_is_uninterrupted(void **state) {
  (void)state;
  dataset *d = fixture_market(400, 3, 0.5, 3, 7);
  char folder[64], command[96];
  snprintf(folder, sizeof folder, "/tmp/garam-ensemble-%d", (int)getpid());
  snprintf(command, sizeof command, "rm -rf %s", folder);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    const kind *e = &kinds[i];
    float *whole = trained(e, d, &(fit_context){.seed = 5});
    fit_context fit = {.seed = 5, .checkpoint = folder, .interrupted = stop_after};
    float *out = NULL;
    int stops = 0, budget = 30;
    garam_error err;
    for (; !out; stops++) {
      learner *l = fixture_learner(e->ops, e->settings, d);
      fit_summary s;
      calls_left = budget += 5; /* enough for the longest unit, in the end */
      garam_status status =
          l->ops->fit(l, d, fixture_set(0, 300), fixture_set(301, 350), &fit, &s, &err);
      if (status == GARAM_OK) {
        out = fixture_scores(l, d, fixture_set(350, 400));
        fit_summary_deinit(&s);
      } else if (status != GARAM_INTERRUPTED) {
        fail_msg("%s", err.message);
      }
      fit.resume = true;
      l->ops->destroy(l);
      assert_true(stops < 200);
    }
    if (stops < 2) fail_msg("%s: it was never stopped", e->settings[0]);
    assert_memory_equal(out, whole, 50 * 3 * sizeof *out);
    mem_free(out);
    mem_free(whole);
    /* Another seed's checkpoint is refused, by name. */
    learner *l = fixture_learner(e->ops, e->settings, d);
    fit_summary s;
    fit.seed = 6;
    assert_int_equal(l->ops->fit(l, d, fixture_set(0, 300), fixture_set(301, 350), &fit, &s, &err),
                     GARAM_MISMATCH);
    assert_non_null(strstr(err.message, "seed"));
    l->ops->destroy(l);
    assert_int_equal(system(command), 0);
  }
  dataset_free(d);
}

static void warm_predictions_allocate_nothing(void **state) {
  (void)state;
  dataset *d = fixture_market(400, 3, 0.5, 3, 7);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    learner *l = fixture_learner(kinds[i].ops, kinds[i].settings, d);
    fixture_fit(l, d, fixture_set(0, 300), (row_set){0}, NULL, NULL);
    float x[7 * 4 * FIXTURE_FEATURES] = {0}, out[7 * 3];
    assert_true(l->ops->context(l) <= 4);
    for (int warm = 0; warm < 2; warm++) {
      uint64_t before = mem_count();
      for (size_t n = 1; n <= 7; n += 3)
        assert_int_equal(l->ops->predict(l, x, NULL, n, out, NULL), GARAM_OK);
      if (warm) assert_int_equal(mem_count(), before);
    }
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* A row on its own and among others, with what stands in its padding or without. */
static void padding_does_not_matter(void **state) {
  (void)state;
  dataset *d = fixture_market(400, 3, 0.5, 3, 7);
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    learner *l = fixture_learner(kinds[i].ops, kinds[i].settings, d);
    fixture_fit(l, d, fixture_set(0, 300), (row_set){0}, NULL, NULL);
    size_t context = l->ops->context(l), width = context * FIXTURE_FEATURES;
    float x[2][4 * FIXTURE_FEATURES], out[2][3];
    int32_t begin = (int32_t)context - 1;
    for (size_t j = 0; j < width; j++) {
      bool there = j >= (context - 1) * FIXTURE_FEATURES;
      x[0][j] = there ? (float)j : 0;
      x[1][j] = there ? (float)j : 1e9F;
    }
    for (int j = 0; j < 2; j++)
      assert_int_equal(l->ops->predict(l, x[j], &begin, 1, out[j], NULL), GARAM_OK);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* ---- packages of others ---------------------------------------------------------------------- */

/* Every byte of the head and some of the arrays, changed: an error or a learner, never a crash. */
static void changed_packages_are_refused_or_load(void **state) {
  (void)state;
  dataset *d = fixture_market(400, 3, 0.5, 3, 7);
  learner_shape shape = fixture_shape(d);
  char path[64];
  snprintf(path, sizeof path, "/tmp/garam-ensemble-%d.st", (int)getpid());
  for (size_t i = 0; i < COUNT_OF(kinds); i++) {
    const kind *e = &kinds[i];
    learner *l = fixture_learner(e->ops, e->settings, d), *back;
    package_writer *w;
    package_reader *r;
    garam_error err;
    char *bytes;
    size_t size, refused = 0;
    rng g;
    fixture_fit(l, d, fixture_set(0, 300), (row_set){0}, NULL, NULL);
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(l->ops->save(l, w, "l.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    l->ops->destroy(l);
    assert_int_equal(io_read_file(&bytes, &size, path, 1 << 24, &err), GARAM_OK);
    unlink(path);
    void *config = fixture_config(e->ops, e->settings);
    rng_init(&g, 1, RNG_TEST, i);
    for (int k = 0; k < 600; k++) {
      size_t at = (size_t)rng_below(&g, k % 2 ? size : size < 3000 ? size : 3000);
      char was = bytes[at];
      bytes[at] ^= (char)(1 << rng_below(&g, 8));
      if (package_open_memory(&r, bytes, size, "changed", &err) == GARAM_OK) {
        float x[4 * FIXTURE_FEATURES] = {0}, out[3];
        if (e->ops->load(&back, config, &shape, r, "l.", &err) == GARAM_OK) {
          back->ops->predict(back, x, NULL, 1, out, &err);
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

/* ---- memory runs out at every allocation in turn -------------------------------------------- */

static garam_status journey(const kind *e, const void *config, const dataset *d, garam_error *err) {
  static const fit_context fit = {.seed = 1};
  learner_shape shape = fixture_shape(d);
  learner *l = NULL;
  package_writer *w = NULL;
  fit_summary s = {0};
  float x[4 * FIXTURE_FEATURES] = {0}, out[3];
  garam_status status;
  TRY_GOTO(done, e->ops->create(&l, config, &shape, err));
  TRY_GOTO(done, e->ops->fit(l, d, fixture_set(0, 60), fixture_set(61, 80), &fit, &s, err));
  TRY_GOTO(done, e->ops->predict(l, x, NULL, 1, out, err));
  TRY_GOTO(done, package_writer_new(&w, err));
  status = e->ops->save(l, w, "l.", err);
done:
  fit_summary_deinit(&s);
  package_writer_free(w);
  if (l) e->ops->destroy(l);
  return status;
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  static const kind quick[] = {
      {&ensemble_stack,
       {"members=memory,linear:max-iterations=2", "folds=2", "meta=greedy", "layers=2"}},
      {&ensemble_stack, {"members=memory", "folds=2", "meta=memory"}},
      {&ensemble_average, {"members=memory,linear:max-iterations=2", "weighting=convex"}},
      {&ensemble_bagging,
       {"member=memory", "bags=2", "feature-share=0.5", "bootstrap=sequential", "uniqueness=true"}},
      {&ensemble_adaboost, {"member=linear:max-iterations=2", "rounds=2", "resample=true"}},
      {&ensemble_boosting, {"member=linear:max-iterations=2", "rounds=2"}},
  };
  for (size_t i = 0; i < COUNT_OF(quick); i++) {
    dataset *d = fixture_market(80, 3, 0.5, 3, 7);
    void *config = fixture_config(quick[i].ops, quick[i].settings);
    assert_int_equal(journey(&quick[i], config, d, NULL), GARAM_OK);
    static failing_allocator scarce;
    scarce = (failing_allocator){.once = true};
    failing_allocator_use(&scarce);
    size_t at = 0;
    for (;; at++) {
      failing_allocator_restart(&scarce, at);
      garam_error err = {0};
      garam_status status = journey(&quick[i], config, d, &err);
      if (status == GARAM_OK && !scarce.failed) break;
      if (status != GARAM_OK && !strstr(err.message, "memory")) {
        garam_set_allocator(NULL);
        fail_msg("%s, allocation %zu: %s: %s", quick[i].settings[0], at, garam_status_name(status),
                 err.message);
      }
    }
    garam_set_allocator(NULL);
    assert_int_equal(scarce.n_blocks, 0);
    assert_true(at >= 30);
    mem_free(config);
    dataset_free(d);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(saved_predicts_the_same),
      cmocka_unit_test(resumed_is_uninterrupted),
      cmocka_unit_test(warm_predictions_allocate_nothing),
      cmocka_unit_test(padding_does_not_matter),
      cmocka_unit_test(changed_packages_are_refused_or_load),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
