/* Stacking: no member predicts what it could remember, and the whole is as good as it should be.
 * What holds for every ensemble is in ensemble_test.c. */
#include "ensemble/fixture.h"

#include "ensemble/part.h"

FIXTURE_REGISTRY(&ensemble_stack);

static void watch(size_t horizon) {
  memset(&fixture_watch, 0, sizeof fixture_watch);
  fixture_watch.label = (int64_t)horizon * 3600;
}

/* ---- purging ---------------------------------------------------------------------------------
 */

static const char *const memories[][8] = {
    {"members=memory,memory:patience=0", "meta=linear", NULL},
    {"members=memory", "meta=convex", "refit=folds", "folds=3", NULL},
    {"members=memory", "meta=linear", "out-of-fold=walk-forward", NULL},
    {"members=memory", "meta=greedy", "out-of-fold=holdout", "stop-share=0.3", NULL},
    {"members=memory", "meta=memory", "pass-through=true", "layers=2", NULL},
};

static void no_member_predicts_what_it_saw(void **state) {
  (void)state;
  dataset *d = fixture_market(700, 2, 0, FIXTURE_HORIZON, 3);
  for (size_t i = 0; i < COUNT_OF(memories); i++) {
    learner *l = fixture_learner(&ensemble_stack, memories[i], d);
    watch(FIXTURE_HORIZON);
    fixture_fit(l, d, fixture_set(0, 700), (row_set){0}, NULL, NULL);
    assert_true(fixture_watch.asked > 100 && fixture_watch.fits > 1);
    if (fixture_watch.overlapping)
      fail_msg("settings %zu: %zu of %zu predictions are of rows that overlap what was shown", i,
               fixture_watch.overlapping, fixture_watch.asked);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* The same with the ends of labels hidden from the stack: nothing is purged, and the memories tell.
 * And what they say is then better than chance, where there is nothing to know. */
static void without_purging_it_shows(void **state) {
  (void)state;
  for (int purged = 0; purged < 2; purged++) {
    dataset *d = fixture_market(700, 2, 0, FIXTURE_HORIZON, 3);
    if (!purged) {
      mem_free(d->label_end);
      d->label_end = NULL;
    }
    static const char *const settings[] = {"members=memory:patience=0", "folds=100",
                                           "fold-embargo=0", NULL};
    learner *l = fixture_learner(&ensemble_stack, settings, d);
    fit_summary s;
    watch(FIXTURE_HORIZON);
    fixture_fit(l, d, fixture_set(0, 700), (row_set){0}, NULL, &s);
    double cost = 0;
    for (int k = 0; k < 100; k++) cost += s.valid_loss[k] / 100;
    if (purged) assert_true(fixture_watch.overlapping == 0 && cost > 1.2);
    else assert_true(fixture_watch.overlapping > 300 && cost < 1.2);
    fit_summary_deinit(&s);
    l->ops->destroy(l);
    dataset_free(d);
  }
}

static void rows_in_a_label_are_counted(void **state) {
  (void)state;
  dataset *d = fixture_market(100, 2, 0, FIXTURE_HORIZON, 3);
  assert_int_equal(part_label_rows(d, fixture_set(0, 50)), FIXTURE_HORIZON);
  assert_int_equal(part_label_rows(d, fixture_set(98, 100)), 1); /* the data ends before it */
  d->label_end[10] = d->known_at[10];
  assert_int_equal(part_label_rows(d, fixture_set(10, 11)), 0);
  dataset_free(d);
}

/* ---- what it is good for ------------------------------------------------------------------------
 */

static const char *const plain[] = {
    "members=linear,mlp:hidden=16,seq=3,epochs=6,learning-rate=5e-3,batch=32", "folds=3", NULL};

static void learns(void **state) {
  (void)state;
  static const char *const metas[] = {"linear",  "convex",
                                      "greedy",  "loss",
                                      "uniform", "mlp:hidden=8,epochs=5,seq=1,learning-rate=1e-2"};
  for (size_t i = 0; i < COUNT_OF(metas); i++)
    for (int classes = 2; classes <= 3; classes++) {
      char meta[96];
      const char *settings[] = {plain[0], plain[1], meta, NULL};
      snprintf(meta, sizeof meta, "meta=%s", metas[i]);
      dataset *d = fixture_market(900, classes, 1, 1, 5);
      learner *l = fixture_learner(&ensemble_stack, settings, d);
      assert_int_equal(l->ops->context(l), 3);
      fit_summary s;
      fixture_fit(l, d, fixture_set(0, 600), fixture_set(601, 700), NULL, &s);
      assert_int_equal(s.epochs, 2 * 4 + 1);
      double accuracy = fixture_accuracy(l, d, fixture_set(700, 900));
      if (accuracy < (classes == 2 ? 0.8 : 0.6))
        fail_msg("%s, %d classes: accuracy %.3f", meta, classes, accuracy);
      fit_summary_deinit(&s);
      l->ops->destroy(l);
      dataset_free(d);
    }
}

static void regression_learns(void **state) {
  (void)state;
  static const char *const metas[] = {"meta=linear", "meta=convex", "meta=greedy"};
  for (size_t i = 0; i < COUNT_OF(metas); i++) {
    const char *settings[] = {plain[0], plain[1], metas[i], "refit=folds", NULL};
    dataset *d = fixture_market(900, 0, 1, 1, 5);
    for (size_t j = 0; j < d->n_rows; j++) d->value[j] = 1000 + 50 * d->value[j];
    learner *l = fixture_learner(&ensemble_stack, settings, d);
    fixture_fit(l, d, fixture_set(0, 600), fixture_set(601, 700), NULL, NULL);
    float *out = fixture_scores(l, d, fixture_set(700, 900));
    double squares = 0;
    for (size_t j = 0; j < 200; j++)
      squares += pow((double)out[j] - (double)d->value[700 + j], 2) / 200;
    if (sqrt(squares) > 0.5 * 50) fail_msg("%s: off by %.3f", metas[i], sqrt(squares));
    mem_free(out);
    l->ops->destroy(l);
    dataset_free(d);
  }
}

/* ---- what goes wrong ----------------------------------------------------------------------------
 */

static void bad_settings_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *settings[4];
    garam_status status;
    const char *message;
  } bad[] = {
      {{"members=linera"}, GARAM_NOT_FOUND, "\"linear\""},
      {{"members=linear:l3=1"}, GARAM_NOT_FOUND, "\"l2\""},
      {{"members=linear:l2=many"}, GARAM_INVALID, "expected a number"},
      {{"members=mlp:tinny"}, GARAM_NOT_FOUND, "tiny"},
      {{"members="}, GARAM_INVALID, "no member"},
      {{"members=linear,,mlp"}, GARAM_INVALID, "between two commas"},
      {{"members=l2=3,linear"}, GARAM_INVALID, "setting of no member"},
      {{"members=stack:members=(linear"}, GARAM_INVALID, "parenthesis"},
      {{"members=linear", "meta=linear,mlp"}, GARAM_INVALID, "takes one"},
      {{"members=linear", "meta=linear:window=3"}, GARAM_INVALID, "reads 3 rows"},
      {{"members=linear:window=2", "layers=2"}, GARAM_INVALID, "reads one row"},
      {{"members=linear", "meta=greedy", "pass-through=true"}, GARAM_INVALID, "read no features"},
  };
  learner_shape shape = {TASK_CLASSIFICATION, FIXTURE_FEATURES, 3};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    garam_error err = {0};
    learner *l;
    void *config = fixture_config(&ensemble_stack, bad[i].settings);
    assert_int_equal(ensemble_stack.create(&l, config, &shape, &err), bad[i].status);
    assert_null(l);
    if (!strstr(err.message, bad[i].message))
      fail_msg("%s: no \"%s\" in: %s", bad[i].settings[0], bad[i].message, err.message);
    mem_free(config);
  }
  learner_shape ranking = {TASK_RANKING, FIXTURE_FEATURES, 0};
  garam_error err;
  learner *l;
  void *config = fixture_config(&ensemble_stack, plain);
  assert_int_equal(ensemble_stack.create(&l, config, &ranking, &err), GARAM_UNSUPPORTED);
  assert_non_null(strstr(err.message, "ranking"));
  mem_free(config);
}

static void too_few_rows_are_refused(void **state) {
  (void)state;
  dataset *d = fixture_market(100, 2, 0.5, FIXTURE_HORIZON, 7);
  learner *l = fixture_learner(&ensemble_stack, plain, d);
  fit_summary s;
  garam_error err;
  assert_int_equal(l->ops->fit(l, d, fixture_set(0, 30), (row_set){0}, NULL, &s, &err),
                   GARAM_INVALID);
  assert_non_null(strstr(err.message, "fold"));
  assert_int_equal(l->ops->fit(l, d, fixture_set(0, 2), (row_set){0}, NULL, &s, &err),
                   GARAM_INVALID);
  for (size_t i = 0; i < 100; i++) d->y[i] = i >= 70;
  assert_int_equal(l->ops->fit(l, d, fixture_set(0, 100), (row_set){0}, NULL, &s, &err),
                   GARAM_INVALID);
  assert_non_null(strstr(err.message, "one class"));
  l->ops->destroy(l);
  dataset_free(d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_member_predicts_what_it_saw),
      cmocka_unit_test(without_purging_it_shows),
      cmocka_unit_test(rows_in_a_label_are_counted),
      cmocka_unit_test(learns),
      cmocka_unit_test(regression_learns),
      cmocka_unit_test(bad_settings_are_refused),
      cmocka_unit_test(too_few_rows_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
