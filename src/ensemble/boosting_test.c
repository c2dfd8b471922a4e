/* Bagging, AdaBoost, gradient boosting and votes, each on problems whose answer is known. */
#include "ensemble/fixture.h"

FIXTURE_REGISTRY(&ensemble_stack, &ensemble_average, &ensemble_bagging, &ensemble_adaboost,
                 &ensemble_boosting);

static double curve_end(const fit_summary *s, bool train) {
  return (train ? s->train_loss : s->valid_loss)[s->epochs - 1];
}

/* ---- bagging ----------------------------------------------------------------------------------
 */

static void nobody_judges_what_it_saw(void **state) {
  (void)state;
  static const char *const draws[] = {"bootstrap=rows", "bootstrap=block", "bootstrap=sequential",
                                      "bootstrap=auto"};
  dataset *d = fixture_market(700, 2, 0, FIXTURE_HORIZON, 3);
  for (size_t i = 0; i < COUNT_OF(draws); i++) {
    const char *settings[] = {"member=memory", draws[i], "bags=6", "sample-share=0.7", NULL};
    learner *l = fixture_learner(&ensemble_bagging, settings, d);
    memset(&fixture_watch, 0, sizeof fixture_watch);
    fixture_watch.label = FIXTURE_HORIZON * 3600;
    fixture_fit(l, d, fixture_set(0, 700), (row_set){0}, NULL, NULL);
    assert_int_equal(fixture_watch.fits, 6);
    assert_int_equal(fixture_watch.overlapping, 0);
    /* Draws of single rows leave hardly a row to judge; blocks leave many. */
    if (i % 2 == 1) assert_true(fixture_watch.asked > 600);
    else assert_true(fixture_watch.asked < 100);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* The loss out of bag is an honest one: that of rows after, and not that of rows seen. */
static void out_of_bag_is_honest(void **state) {
  (void)state;
  dataset *d = fixture_market(1200, 2, 0.5, 1, 3);
  static const char *const settings[] = {
      "member=gbdt:rounds=20,leaves=31,min-rows=1,early-stopping=0", "bags=40", NULL};
  learner *l = fixture_learner(&ensemble_bagging, settings, d);
  fit_summary s;
  fixture_fit(l, d, fixture_set(0, 800), fixture_set(801, 1200), NULL, &s);
  double oob = curve_end(&s, true), valid = curve_end(&s, false);
  double single = s.valid_loss[0];
  if (!(fabs(oob - valid) < 0.06 && valid < single - 0.05))
    fail_msg("out of bag %.3f, valid %.3f, one member %.3f", oob, valid, single);
  fit_summary_deinit(&s);
  l->ops->destroy(l);
  dataset_free(d);
}

/* Pasting all rows without a draw of features is the member itself. */
static void pasting_all_is_the_member(void **state) {
  (void)state;
  dataset *d = fixture_market(400, 3, 0.5, 1, 3);
  static const char *const settings[] = {"member=linear", "bags=3", "replacement=false",
                                         "bootstrap=rows", NULL};
  learner *l = fixture_learner(&ensemble_bagging, settings, d);
  static const char *const alone[] = {"members=linear", NULL};
  learner *one = fixture_learner(&ensemble_average, alone, d);
  fixture_fit(l, d, fixture_set(0, 300), (row_set){0}, NULL, NULL);
  fixture_fit(one, d, fixture_set(0, 300), (row_set){0}, NULL, NULL);
  float *a = fixture_scores(l, d, fixture_set(300, 400));
  float *b = fixture_scores(one, d, fixture_set(300, 400));
  for (int i = 0; i < 300; i++) assert_true(fabsf(a[i] - b[i]) < 1e-4F);
  mem_free(a);
  mem_free(b);
  l->ops->destroy(l);
  one->ops->destroy(one);
  dataset_free(d);
}

/* ---- AdaBoost ----------------------------------------------------------------------------------
 */

/* A member that can only name the likeliest class. Of two classes it is wrong for a quarter of the
 * rows: its weight is log((1 - 1/4) / (1/4)); after it both classes weigh the same, and nothing is
 * better than chance. Of three, wrong for half of them, log 1 + log 2. */
static void weights_by_hand(void **state) {
  (void)state;
  for (int classes = 2; classes <= 3; classes++) {
    dataset *d = fixture_market(400, classes, 0, 1, 3);
    for (size_t i = 0; i < 400; i++) {
      d->y[i] = classes == 2 ? i % 4 == 0 : i % 4 < 2 ? 0 : (int32_t)(i % 4) - 1;
      for (int j = 0; j < FIXTURE_FEATURES; j++) d->x[i * FIXTURE_FEATURES + (size_t)j] = (float)j;
    }
    static const char *const settings[] = {"member=linear:l2=1000000", "rounds=9", NULL};
    learner *l = fixture_learner(&ensemble_adaboost, settings, d);
    fixture_fit(l, d, fixture_set(0, 400), (row_set){0}, NULL, NULL);
    float *out = fixture_scores(l, d, fixture_set(0, 1));
    double margin = (double)out[0] - (double)out[1], wanted = classes == 2 ? log(3) : log(2);
    if (fabs(margin - wanted) > 1e-3) fail_msg("%d classes: %g, not %g", classes, margin, wanted);
    mem_free(out);
    l->ops->destroy(l);
    dataset_free(d);
  }
}

/* A band in the middle of a line: no one cut gets over two thirds right, several do. */
static dataset *band(size_t n) {
  dataset *d = fixture_market(n, 2, 0, 1, 3);
  for (size_t i = 0; i < n; i++) {
    float at = (float)(i * 37 % 300) / 300;
    d->x[i * FIXTURE_FEATURES] = at;
    d->y[i] = at > 0.33F && at < 0.67F;
    d->value[i] = at * at * 100;
  }
  return d;
}

static void weak_members_become_strong(void **state) {
  (void)state;
  static const struct {
    const learner_ops *ops;
    const char *settings[6];
    double least;
  } all[] = {
      {&ensemble_adaboost,
       {"member=gbdt:rounds=1,leaves=2,learning-rate=1,early-stopping=0,min-rows=1", "rounds=1"},
       0},
      {&ensemble_adaboost,
       {"member=gbdt:rounds=1,leaves=2,learning-rate=1,early-stopping=0,min-rows=1", "rounds=20"},
       0.97},
      {&ensemble_adaboost,
       {"member=gbdt:rounds=1,leaves=2,learning-rate=1,early-stopping=0,min-rows=1", "rounds=60",
        "algorithm=samme-r", "learning-rate=0.5"},
       0.97},
      {&ensemble_boosting,
       {"member=gbdt:rounds=1,leaves=2,learning-rate=1,early-stopping=0,min-rows=1", "rounds=30"},
       0.97},
  };
  dataset *d = band(600);
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    learner *l = fixture_learner(all[i].ops, all[i].settings, d);
    fixture_fit(l, d, fixture_set(0, 300), fixture_set(300, 400), NULL, NULL);
    double accuracy = fixture_accuracy(l, d, fixture_set(400, 600));
    if (all[i].least > 0 ? accuracy < all[i].least : accuracy > 0.7)
      fail_msg("%zu: accuracy %.3f", i, accuracy);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

static void values_are_boosted(void **state) {
  (void)state;
  static const struct {
    const learner_ops *ops;
    const char *settings[6];
  } all[] = {
      {&ensemble_adaboost,
       {"member=gbdt:rounds=1,leaves=4,learning-rate=1,early-stopping=0,min-rows=1", "rounds=30",
        "loss=linear", "resample=true"}},
      {&ensemble_adaboost,
       {"member=gbdt:rounds=1,leaves=4,learning-rate=1,early-stopping=0,min-rows=1", "rounds=30",
        "loss=square", "resample=true"}},
      {&ensemble_adaboost,
       {"member=gbdt:rounds=1,leaves=4,learning-rate=1,early-stopping=0,min-rows=1", "rounds=30",
        "loss=exponential", "resample=true"}},
      {&ensemble_boosting,
       {"member=gbdt:rounds=1,leaves=4,learning-rate=1,early-stopping=0,min-rows=1", "rounds=30"}},
  };
  dataset *d = band(600);
  d->task = TASK_REGRESSION;
  d->n_classes = 0;
  mem_free(d->y);
  d->y = NULL;
  double alone = 0;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    learner *l = fixture_learner(all[i].ops, all[i].settings, d);
    fit_summary s;
    fixture_fit(l, d, fixture_set(0, 300), fixture_set(300, 400), NULL, &s);
    if (i == 0) alone = s.valid_loss[0];
    float *out = fixture_scores(l, d, fixture_set(400, 600));
    double cost = 0;
    for (size_t j = 0; j < 200; j++)
      cost += pow((double)out[j] - (double)d->value[400 + j], 2) / 200;
    if (!(cost < (i < 3 ? 0.6 : 0.05) * alone)) fail_msg("%zu: %g; one alone %g", i, cost, alone);
    mem_free(out);
    fit_summary_deinit(&s);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

/* ---- gradient boosting --------------------------------------------------------------------------
 */

/* On noise the validation rows stop it at once, and the constant answers. */
static void noise_is_left_alone(void **state) {
  (void)state;
  dataset *d = fixture_market(600, 2, 0, 1, 3);
  for (size_t i = 0; i < 600 * FIXTURE_FEATURES; i++)
    if (i % FIXTURE_FEATURES == 0) d->x[i] = 0;
  static const char *const settings[] = {
      "member=gbdt:rounds=1,leaves=63,learning-rate=1,early-stopping=0,min-rows=1", "rounds=40",
      "early-stopping=4", NULL};
  learner *l = fixture_learner(&ensemble_boosting, settings, d);
  fit_summary s;
  fixture_fit(l, d, fixture_set(0, 400), (row_set){0}, NULL, &s);
  assert_true(s.epochs <= 8);
  float *out = fixture_scores(l, d, fixture_set(400, 600));
  for (size_t i = 0; i < 200; i++) assert_true(fabsf(out[2 * i + 1] - out[2 * i]) < 1.5F);
  mem_free(out);
  fit_summary_deinit(&s);
  l->ops->destroy(l);
  dataset_free(d);
}

/* Every round takes the training loss down: that is what the line search is for. */
static void each_round_is_a_step_down(void **state) {
  (void)state;
  for (int classes = 0; classes <= 3; classes += classes ? 1 : 2) {
    dataset *d = fixture_market(500, classes, 0.5, 1, 3);
    static const char *const settings[] = {
        "member=gbdt:rounds=1,leaves=4,learning-rate=0.01,early-stopping=0", "rounds=10",
        "learning-rate=1", "early-stopping=0", NULL};
    learner *l = fixture_learner(&ensemble_boosting, settings, d);
    fit_summary s;
    fixture_fit(l, d, fixture_set(0, 500), (row_set){0}, NULL, &s);
    double before = INFINITY;
    for (int e = 0; e < s.epochs; e++) {
      if (isnan(s.train_loss[e])) continue;
      assert_true(s.train_loss[e] < before);
      before = s.train_loss[e];
    }
    fit_summary_deinit(&s);
    l->ops->destroy(l);
    dataset_free(d);
  }
}

/* ---- votes --------------------------------------------------------------------------------- */

/* Two members that always say "down" outvote one that knows; the mean of odds does not hear them,
 * for they are not sure. */
static void votes_are_counted(void **state) {
  (void)state;
  dataset *d = fixture_market(600, 2, 3, 1, 3);
  for (size_t i = 0; i < 600; i++)
    if (i % 5 == 0) d->y[i] = 0;
  for (int hard = 0; hard < 2; hard++) {
    const char *settings[] = {"members=linear,linear:l2=1000000,linear:l2=900000",
                              hard ? "voting=hard" : "voting=soft", NULL};
    learner *l = fixture_learner(&ensemble_average, settings, d);
    fixture_fit(l, d, fixture_set(0, 400), (row_set){0}, NULL, NULL);
    float *out = fixture_scores(l, d, fixture_set(400, 600));
    size_t ups = 0;
    for (size_t i = 0; i < 200; i++) ups += out[2 * i + 1] > out[2 * i];
    if (hard) assert_int_equal(ups, 0);
    else assert_true(ups > 50);
    if (hard) /* two of three */
      assert_true(fabs(exp((double)out[0]) - 2.0 / 3) < 1e-5 || out[0] > -1e-5F);
    mem_free(out);
    l->ops->destroy(l);
  }
  dataset_free(d);
}

static void bad_settings_are_refused(void **state) {
  (void)state;
  static const struct {
    const learner_ops *ops;
    const char *settings[3];
    task task;
    garam_status status;
    const char *message;
  } bad[] = {
      {&ensemble_bagging, {"member=linear,mlp"}, TASK_BINARY, GARAM_INVALID, "takes one"},
      {&ensemble_adaboost, {"member=lienar"}, TASK_BINARY, GARAM_NOT_FOUND, "\"linear\""},
      {&ensemble_boosting, {"member=linear:l3=1"}, TASK_BINARY, GARAM_NOT_FOUND, "\"l2\""},
      {&ensemble_average, {"voting=hard"}, TASK_REGRESSION, GARAM_INVALID, "no votes"},
  };
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    learner_shape shape = {bad[i].task, FIXTURE_FEATURES, bad[i].task == TASK_REGRESSION ? 0 : 2};
    garam_error err = {0};
    learner *l;
    void *config = fixture_config(bad[i].ops, bad[i].settings);
    assert_int_equal(bad[i].ops->create(&l, config, &shape, &err), bad[i].status);
    assert_null(l);
    if (!strstr(err.message, bad[i].message))
      fail_msg("%s: no \"%s\" in: %s", bad[i].settings[0], bad[i].message, err.message);
    mem_free(config);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nobody_judges_what_it_saw),  cmocka_unit_test(out_of_bag_is_honest),
      cmocka_unit_test(pasting_all_is_the_member),  cmocka_unit_test(weights_by_hand),
      cmocka_unit_test(weak_members_become_strong), cmocka_unit_test(values_are_boosted),
      cmocka_unit_test(noise_is_left_alone),        cmocka_unit_test(each_round_is_a_step_down),
      cmocka_unit_test(votes_are_counted),          cmocka_unit_test(bad_settings_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
