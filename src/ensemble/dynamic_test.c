/* The dynamic ensemble: no outcome counts before it is known, members never answer a row that
 * overlaps what they were shown, weights find who is right and follow when that changes, and a
 * package gives the same bits. */
#include "ensemble/dynamic.h"

#include "ensemble/fixture.h"
#include "learn/stream.h"
#include "tests/failing_allocator.h"

FIXTURE_REGISTRY(&learner_dynamic);

static learner *fit(const dataset *d, row_set train, const void *config) {
  learner *l;
  garam_error err = {0};
  fit_summary summary;
  learner_shape shape = fixture_shape(d);
  if (learner_dynamic.create(&l, config, &shape, &err) != GARAM_OK ||
      learner_dynamic.fit(l, d, train, (row_set){0}, NULL, &summary, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  fit_summary_deinit(&summary);
  return l;
}

static size_t outputs_of(const dataset *d) {
  return d->n_classes ? (size_t)d->n_classes : 1;
}

/* Answers of a walk through rows, all of them outcomes too; then back to where it was. */
static void walk(learner *l, const dataset *d, row_set rows, float *out) {
  const learner_stream *s = learner_dynamic.stream;
  size_t context = learner_dynamic.context(l), width = s->width(l);
  float *x = calloc(rows.n * context * d->n_features, sizeof *x);
  float *views = calloc(rows.n * width, sizeof *views);
  int32_t *begin = calloc(rows.n, sizeof *begin);
  uint32_t *at = calloc(d->n_rows, sizeof *at);
  garam_error err;
  for (size_t i = 0; i < rows.n; i++) at[rows.rows[i]] = (uint32_t)i;
  dataset_gather(x, begin, d, rows.rows, rows.n, context);
  assert_int_equal(s->view(l, x, begin, rows.n, views, &err), GARAM_OK);
  assert_int_equal(stream_walk(l, d, rows, rows, views, at, outputs_of(d), false, out, NULL, &err),
                   0);
  s->rewind(l);
  free(x);
  free(views);
  free(begin);
  free(at);
}

static const char *const plain[] = {"members=linear,linear:l2=100,linear:window=3", NULL};
static const char *const full[] = {"members=linear,linear:l2=100",
                                   "selection=knora-u",
                                   "regimes=2",
                                   "drift=adwin",
                                   "rule=boa",
                                   "regime-window=20",
                                   NULL};
static const char *const values[] = {"members=linear,linear:l2=100",
                                     "selection=meta-des",
                                     "regimes=2",
                                     "rule=fixed-share",
                                     "drift=page-hinkley",
                                     NULL};

/* What is after a row's own time, in labels or in rows, changes no answer up to it; what was known
 * before it does. */
static void test_no_future(void **state) {
  (void)state;
  static const char *const *const settings[] = {plain, full, values};
  for (size_t which = 0; which < COUNT_OF(settings); which++) {
    int classes = which == 2 ? 0 : 3;
    dataset *d = fixture_market(FIXTURE_ROWS, classes, 0.3, FIXTURE_HORIZON, 1);
    size_t k = outputs_of(d), from = 1000, cut = 1200;
    void *c = fixture_config(&learner_dynamic, settings[which]);
    learner *l = fit(d, fixture_set(0, 990), c);
    row_set rows = fixture_set(from, FIXTURE_ROWS);
    float *a = calloc(rows.n * k, sizeof *a), *b = calloc(rows.n * k, sizeof *b);
    walk(l, d, rows, a);
    for (size_t i = cut + 1 - FIXTURE_HORIZON; i < FIXTURE_ROWS; i++) { /* known after the cut */
      if (classes) d->y[i] = (d->y[i] + 1) % 3;
      d->value[i] = -3 * d->value[i];
      for (size_t j = 0; i > cut && j < d->n_features; j++) d->x[i * d->n_features + j] += 5;
    }
    walk(l, d, rows, b);
    size_t same = (cut + 1 - from) * k;
    assert_memory_equal(a, b, same * sizeof *a);
    assert_memory_not_equal(a + same, b + same, (rows.n * k - same) * sizeof *a);
    /* The last outcome that is known at the cut: its answer, not those before, depends on it. */
    d->value[cut - FIXTURE_HORIZON] += 40;
    if (classes) d->y[cut - FIXTURE_HORIZON] = (d->y[cut - FIXTURE_HORIZON] + 1) % 3;
    walk(l, d, rows, a);
    assert_memory_equal(a, b, (same - k) * sizeof *a);
    if (memcmp(a + same - k, b + same - k, k * sizeof *a) == 0) fail_msg("setting %zu", which);
    learner_dynamic.destroy(l);
    dataset_free(d);
    free(a);
    free(b);
    mem_free(c);
  }
}

/* The fit's own cuts are purged: a member that remembers is never asked about what it was shown. */
static void test_purged(void **state) {
  (void)state;
  const char *settings[] = {"members=memory,linear", "hold-embargo=-1", NULL};
  dataset *d = fixture_market(FIXTURE_ROWS, 3, 0.3, FIXTURE_HORIZON, 2);
  memset(&fixture_watch, 0, sizeof fixture_watch);
  fixture_watch.label = FIXTURE_HORIZON * 3600 - 1;
  void *c = fixture_config(&learner_dynamic, settings);
  learner *l = fit(d, fixture_set(0, 1000), c);
  assert_true(fixture_watch.asked > 100 && fixture_watch.most_shown > 500);
  /* Held rows stop it early, so it has been shown them; it is asked about those, and those after.
   * Nothing of what was trained on overlaps either. */
  const learner_stream *s = learner_dynamic.stream;
  float *views = calloc(s->width(l) * 200, sizeof *views);
  garam_error err;
  size_t before = fixture_watch.overlapping;
  assert_int_equal(s->view(l, d->x + 1010 * FIXTURE_FEATURES, NULL, 200, views, &err), GARAM_OK);
  assert_int_equal(fixture_watch.overlapping, before);
  free(views);
  learner_dynamic.destroy(l);
  dataset_free(d);
  mem_free(c);
}

static double loss_of(const dataset *d, row_set rows, const float *z, size_t k) {
  double sum = 0;
  for (size_t i = 0; i < rows.n; i++) {
    double total = 0;
    for (size_t c = 0; c < k; c++) total += exp((double)z[i * k + c]);
    sum -= (double)z[i * k + (size_t)d->y[rows.rows[i]]] - log(total);
  }
  return sum / (double)rows.n;
}

/* Which member is any good changes in the middle of the walk: the answers follow, and end up better
 * than the plain mean and than either member over the whole. */
static void test_follows(void **state) {
  (void)state;
  const char *settings[] = {"members=linear:l2=0.001,linear:l2=3",
                            "rule=fixed-share",
                            "rate=0.3",
                            "share=0.01",
                            "gradient=no",
                            NULL};
  dataset *d = fixture_market(FIXTURE_ROWS, 3, 0.9, FIXTURE_HORIZON, 3);
  for (size_t i = 1250; i < FIXTURE_ROWS; i++) /* from here on what was learned is wrong */
    for (size_t j = 1; j < FIXTURE_FEATURES; j++) d->x[i * FIXTURE_FEATURES + j] *= -1;
  void *c = fixture_config(&learner_dynamic, settings);
  learner *l = fit(d, fixture_set(0, 990), c);
  row_set rows = fixture_set(1000, FIXTURE_ROWS);
  const learner_stream *s = learner_dynamic.stream;
  float *out = calloc(rows.n * 3, sizeof *out), *part = calloc(rows.n * 3, sizeof *part);
  float *views = calloc(rows.n * s->width(l), sizeof *views);
  garam_error err;
  walk(l, d, rows, out);
  double whole = loss_of(d, rows, out, 3);
  assert_int_equal(s->view(l, d->x + 1000 * FIXTURE_FEATURES, NULL, rows.n, views, &err), GARAM_OK);
  assert_int_equal(s->n_parts(l), 3);
  assert_string_equal(s->part_name(l, 2), "uniform mean");
  for (size_t p = 0; p < 3; p++) {
    for (size_t i = 0; i < rows.n; i++) s->part(l, views + i * s->width(l), p, part + i * 3);
    double alone = loss_of(d, rows, part, 3);
    if (!(whole < alone)) fail_msg("%g, but %s %g", whole, s->part_name(l, p), alone);
  }
  free(out);
  free(part);
  free(views);
  learner_dynamic.destroy(l);
  dataset_free(d);
  mem_free(c);
}

static void save_to(const learner *l, const char *path) {
  package_writer *w;
  garam_error err;
  assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
  assert_int_equal(learner_dynamic.save(l, w, "learner.", &err), GARAM_OK);
  assert_int_equal(package_write(w, path, &err), GARAM_OK);
  package_writer_free(w);
}

static void test_package(void **state) {
  (void)state;
  static const char *const *const settings[] = {plain, full, values};
  char path[] = "/tmp/dynamic_test_XXXXXX";
  close(mkstemp(path));
  for (size_t which = 0; which < COUNT_OF(settings); which++) {
    dataset *d = fixture_market(FIXTURE_ROWS, which == 2 ? 0 : 3, 0.3, FIXTURE_HORIZON, 4);
    size_t k = outputs_of(d);
    void *c = fixture_config(&learner_dynamic, settings[which]);
    learner *l = fit(d, fixture_set(0, 990), c), *again;
    row_set rows = fixture_set(1000, FIXTURE_ROWS);
    float *a = calloc(rows.n * k, sizeof *a), *b = calloc(rows.n * k, sizeof *b);
    learner_shape shape = fixture_shape(d);
    package_reader *r;
    garam_error err = {0};
    const learner_stream *s = learner_dynamic.stream;
    walk(l, d, rows, a);
    walk(l, d, rows, b); /* rewound */
    assert_memory_equal(a, b, rows.n * k * sizeof *a);
    save_to(l, path);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    if (learner_dynamic.load(&again, c, &shape, r, "learner.", &err)) fail_msg("%s", err.message);
    walk(again, d, rows, b);
    assert_memory_equal(a, b, rows.n * k * sizeof *a);
    assert_int_equal(learner_dynamic.parameters(l), learner_dynamic.parameters(again));

    /* An outcome that is kept is saved: the copy that saw it answers alike, from another file. */
    float *view = calloc(s->width(l), sizeof *view);
    size_t context = learner_dynamic.context(l);
    float *x = calloc(context * FIXTURE_FEATURES, sizeof *x);
    int32_t begin;
    dataset_gather(x, &begin, d, rows.rows + 30, 1, context);
    assert_int_equal(s->view(l, x, &begin, 1, view, &err), GARAM_OK);
    uint64_t before = mem_count();
    for (int i = 0; i < 50; i++) dynamic_update(l, view, 0, 1);
    s->answer(l, view, a);
    assert_int_equal(mem_count(), before);
    s->keep(l);
    learner_dynamic.destroy(again);
    package_close(r);
    save_to(l, path);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    assert_int_equal(learner_dynamic.load(&again, c, &shape, r, "learner.", &err), GARAM_OK);
    assert_int_equal(learner_dynamic.predict(again, x, &begin, 1, b, &err), GARAM_OK);
    assert_memory_equal(a, b, k * sizeof *a);
    json_t *told = s->describe(again);
    assert_true(json_integer_value(json_object_get(told, "outcomes")) >= 50 ||
                json_integer_value(json_object_get(told, "alarms")) > 0);
    json_decref(told);
    learner_dynamic.destroy(again);
    package_close(r);
    learner_dynamic.destroy(l);
    dataset_free(d);
    free(a);
    free(b);
    mem_free(c);
    free(view);
    free(x);
  }
  unlink(path);
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    const char *settings[5];
    task kind;
    garam_status status;
  } cases[] = {
      {{"members=linear", "loss=log", NULL}, TASK_REGRESSION, GARAM_INVALID},
      {{"members=linear", "loss=pinball", NULL}, TASK_CLASSIFICATION, GARAM_INVALID},
      {{"early-share=0.9", "hold-share=0.5", NULL}, TASK_CLASSIFICATION, GARAM_INVALID},
      {{"members=nothing", NULL}, TASK_CLASSIFICATION, GARAM_NOT_FOUND},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    void *c = fixture_config(&learner_dynamic, cases[i].settings);
    learner *l;
    garam_error err;
    learner_shape shape = {cases[i].kind, 4, cases[i].kind == TASK_REGRESSION ? 0 : 3};
    assert_int_equal(learner_dynamic.create(&l, c, &shape, &err), cases[i].status);
    mem_free(c);
  }
  const char *settings[] = {"members=linear", "regimes=2", "regime-features=no such", NULL};
  dataset *d = fixture_market(400, 3, 0.3, 2, 1);
  void *c = fixture_config(&learner_dynamic, settings);
  learner *l;
  garam_error err;
  fit_summary summary;
  learner_shape shape = fixture_shape(d);
  assert_int_equal(learner_dynamic.create(&l, c, &shape, &err), GARAM_OK);
  assert_int_equal(
      learner_dynamic.fit(l, d, fixture_set(0, 300), (row_set){0}, NULL, &summary, &err),
      GARAM_NOT_FOUND);
  assert_int_equal(
      learner_dynamic.fit(l, d, fixture_set(0, 20), (row_set){0}, NULL, &summary, &err),
      GARAM_INVALID);
  learner_dynamic.destroy(l);
  dataset_free(d);
  mem_free(c);
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator scarce = {.fail_after = SIZE_MAX};
  char path[] = "/tmp/dynamic_test_XXXXXX";
  close(mkstemp(path));
  failing_allocator_use(&scarce);
  dataset *d = fixture_market(120, 3, 0.3, 2, 5);
  void *c = fixture_config(&learner_dynamic, full);
  learner_shape shape = fixture_shape(d);
  bool done = false;
  size_t n_failed = 0;
  long before = scarce.n_blocks;
  for (size_t n = 0; !done && n < 5000; n += n < 150 ? 1 : 7) {
    learner *l = NULL, *again = NULL;
    fit_summary summary = {0};
    package_writer *w = NULL;
    package_reader *r = NULL;
    float out[3];
    garam_status status;
    garam_error err = {0};
    failing_allocator_restart(&scarce, n);
    TRY_GOTO(end, learner_dynamic.create(&l, c, &shape, &err));
    TRY_GOTO(end,
             learner_dynamic.fit(l, d, fixture_set(0, 100), (row_set){0}, NULL, &summary, &err));
    TRY_GOTO(end, package_writer_new(&w, &err));
    TRY_GOTO(end, learner_dynamic.save(l, w, "a.", &err));
    TRY_GOTO(end, package_write(w, path, &err));
    TRY_GOTO(end, package_open(&r, path, &err));
    TRY_GOTO(end, learner_dynamic.load(&again, c, &shape, r, "a.", &err));
    float x[64 * FIXTURE_FEATURES] = {0};
    status = learner_dynamic.predict(again, x, NULL, 1, out, &err);
  end:
    failing_allocator_restart(&scarce, SIZE_MAX);
    done = status == GARAM_OK;
    n_failed += !done;
    /* The JSON reader calls a lack of memory a fault of the text. */
    if (!done && status != GARAM_NO_MEMORY && !(status == GARAM_CORRUPT && !r))
      fail_msg("%zu: %s", n, err.message);
    package_writer_free(w);
    package_close(r);
    if (l) learner_dynamic.destroy(l);
    if (again) learner_dynamic.destroy(again);
    fit_summary_deinit(&summary);
    assert_int_equal(scarce.n_blocks, before);
  }
  assert_true(done && n_failed > 100);
  dataset_free(d);
  mem_free(c);
  garam_set_allocator(NULL);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_no_future), cmocka_unit_test(test_purged),
      cmocka_unit_test(test_follows),   cmocka_unit_test(test_package),
      cmocka_unit_test(test_refused),   cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("dynamic", tests, NULL, NULL);
}
