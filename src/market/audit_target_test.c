#include "market/fixture.h"

static garam_error err;

enum { ROWS = 400, MAX_LEAKS = 16 };
static leak leaks[MAX_LEAKS];

/* Columns beside a target y (numbers, moving on like a series) and a class k of two. */
static double cell(const char *how, const double *y, const double *k, size_t i, rng *r) {
  double noise = rng_normal(r);
  if (strcmp(how, "copy") == 0) return y[i];
  if (strcmp(how, "in_another_unit") == 0) return 32 - 1.8 * y[i];
  if (strcmp(how, "exponential") == 0) return exp(y[i]);
  if (strcmp(how, "next") == 0) return i + 1 < ROWS ? y[i + 1] : NAN;
  if (strcmp(how, "third_next") == 0) return i + 3 < ROWS ? y[i + 3] : NAN;
  if (strcmp(how, "copy_with_holes") == 0) return i % 3 ? NAN : y[i];
  if (strcmp(how, "last") == 0) return i > 0 ? y[i - 1] : NAN; /* honest from here on */
  if (strcmp(how, "noisy") == 0) return y[i] + noise;
  if (strcmp(how, "noise") == 0) return noise;
  if (strcmp(how, "constant") == 0) return 7;
  if (strcmp(how, "class_copy") == 0) return k[i];
  if (strcmp(how, "class_flipped") == 0) return 5 - k[i];
  if (strcmp(how, "class_under_noise") == 0) return k[i] + 0.4 * rng_uniform(r);
  if (strcmp(how, "class_in_six") == 0) return 2 * (double)(i % 3) + k[i]; /* no order, all told */
  if (strcmp(how, "class_nearly") == 0) return rng_uniform(r) < 0.03 ? 1 - k[i] : k[i];
  fail_msg("%s", how);
  return 0;
}

static const struct {
  const char *how, *target, *kind; /* kind NULL: honest */
  int shift;
} cases[] = {
    {"copy", "y", "copies-target", 0},
    {"in_another_unit", "y", "near-perfect", 0},
    {"exponential", "y", "near-perfect", 0},
    {"next", "y", "copies-target", 1},
    {"third_next", "y", "copies-target", 3},
    {"copy_with_holes", "y", "copies-target", 0},
    {"last", "y", NULL, 0},
    {"noisy", "y", NULL, 0},
    {"noise", "y", NULL, 0},
    {"constant", "y", NULL, 0},
    {"class_copy", "k", "copies-target", 0},
    {"class_flipped", "k", "near-perfect", 0},
    {"class_under_noise", "k", "near-perfect", 0},
    {"class_in_six", "k", "near-perfect", 0},
    {"class_nearly", "k", NULL, 0},
    {"noise", "k", NULL, 0},
    {"last", "k", NULL, 0},
};

static table *make(const char *how) {
  static const char *const names[] = {"time", "y", "k"};
  static double values[ROWS * 3];
  rng r;
  rng_init(&r, 5, RNG_SIMULATE, 0);
  double y = 0;
  for (size_t i = 0; i < ROWS; i++) {
    y = 0.8 * y + rng_normal(&r);
    values[i * 3] = (double)i;
    values[i * 3 + 1] = y;
    values[i * 3 + 2] = rng_uniform(&r) < 0.3;
  }
  table *t = fixture_table(names, 3, ROWS, values);
  double *x = fixture_column(t, "x");
  const double *all = fixture_column(t, "y"), *classes = fixture_column(t, "k");
  for (size_t i = 0; i < ROWS; i++) x[i] = cell(how, all, classes, i, &r);
  return t;
}

static void copies_are_caught_and_no_more(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    table *t = make(cases[i].how);
    size_t n;
    expect_ok(audit_target(leaks, MAX_LEAKS, &n, t, table_find(t, cases[i].target), &err), &err);
    const leak *l = NULL;
    for (size_t k = 0; k < n; k++)
      if (strcmp(leaks[k].column, "x") == 0) l = &leaks[k];
    if (!l != !cases[i].kind)
      fail_msg("%s of %s: %s, score %g", cases[i].how, cases[i].target, l ? "caught" : "missed",
               l ? l->score : 0);
    if (l && (strcmp(l->kind, cases[i].kind) != 0 || l->shift != cases[i].shift))
      fail_msg("%s of %s: %s, %d ahead", cases[i].how, cases[i].target, l->kind, l->shift);
    table_free(t);
  }
}

/* Names against names, and names against numbers. */
static void names_are_screened(void **state) {
  (void)state;
  static const char *const words[] = {"no", "yes", "maybe"};
  static const char *const other[] = {"nein", "ja", "vielleicht"};
  table *t;
  column *c;
  expect_ok(table_new(&t, "t.csv", ROWS, &err), &err);
  static const struct {
    const char *name;
    const char *const *names;
  } all[] = {{"answer", words}, {"same", words}, {"antwort", other}, {"coin", words}};
  for (size_t k = 0; k < COUNT_OF(all); k++) {
    expect_ok(table_add_column(&c, t, all[k].name, COLUMN_CATEGORY, &err), &err);
    c->names = mem_array(3, sizeof *c->names);
    c->n_names = 3;
    for (int w = 0; w < 3; w++) {
      c->names[w] = mem_alloc(strlen(all[k].names[w]) + 1);
      strcpy(c->names[w], all[k].names[w]);
    }
    rng r;
    rng_init(&r, k == 3, RNG_SIMULATE, 1);
    for (size_t i = 0; i < ROWS; i++) c->code[i] = (int32_t)rng_below(&r, 3);
  }
  size_t n;
  expect_ok(audit_target(leaks, MAX_LEAKS, &n, t, 0, &err), &err);
  assert_int_equal(n, 2);
  assert_string_equal(leaks[0].column, "same");
  assert_string_equal(leaks[0].kind, "copies-target");
  assert_string_equal(leaks[1].column, "antwort");
  assert_string_equal(leaks[1].kind, "near-perfect");
  expect_ok(audit_target(leaks, 1, &n, t, 0, &err), &err); /* more than there is room for */
  assert_int_equal(n, 2);
  table_free(t);
}

static garam_status once(void *context, garam_error *error) {
  size_t n;
  return audit_target(leaks, MAX_LEAKS, &n, context, 1, error);
}

static void survives_want_of_memory(void **state) {
  (void)state;
  table *t = make("copy");
  fixture_fail_each(once, t);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_are_caught_and_no_more),
      cmocka_unit_test(names_are_screened),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
