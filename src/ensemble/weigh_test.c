/* Weights against answers in closed form and against a search over all of them; members as text. */
#include "ensemble/fixture.h"

#include "ensemble/spec.h"
#include "ensemble/weigh.h"

FIXTURE_REGISTRY(&ensemble_stack);

enum { N = 400, MEMBERS = 3 };

static float said[MEMBERS][N * 3];
static const float *const each[MEMBERS] = {said[0], said[1], said[2]};

/* Values with errors of deviation 1, 2 and 4 that have nothing to do with each other, but for a
 * part that all share. */
static dataset *values(void) {
  dataset *d = fixture_market(N, 0, 0, 1, 3);
  rng r;
  rng_init(&r, 5, RNG_TEST, 1);
  for (size_t i = 0; i < N; i++) {
    double shared = 0.3 * rng_normal(&r);
    for (int m = 0; m < MEMBERS; m++)
      said[m][i] = (float)((double)d->value[i] + shared + (1 << m) * rng_normal(&r));
  }
  return d;
}

/* Members that are right with odds of their own, sure of themselves in their own way. */
static dataset *classes(void) {
  dataset *d = fixture_market(N, 3, 0, 1, 3);
  rng r;
  rng_init(&r, 6, RNG_TEST, 1);
  for (size_t i = 0; i < N; i++)
    for (int m = 0; m < MEMBERS; m++) {
      static const double skill[MEMBERS] = {0.7, 0.55, 0.34};
      int32_t says = rng_uniform(&r) < skill[m] ? d->y[i] : (int32_t)rng_below(&r, 3);
      for (int c = 0; c < 3; c++) said[m][i * 3 + (size_t)c] = (float)log(c == says ? 0.7 : 0.15);
    }
  return d;
}

static double pool_loss(const dataset *d, const double *w) {
  double cost = 0;
  for (size_t i = 0; i < N; i++) {
    double p = 0;
    for (int m = 0; m < MEMBERS; m++)
      p += w[m] * (d->n_classes ? exp((double)said[m][i * 3 + (size_t)d->y[i]])
                                : (double)said[m][i] - (double)d->value[i]);
    cost += (d->n_classes ? -log(p) : p * p) / N;
  }
  return cost;
}

static void weigh_well(double *w, weigh_kind kind, const weigh_config *c, const dataset *d) {
  garam_error err;
  static const weigh_config plain = {.rounds = 200, .bags = 1};
  fixture_set(0, N);
  if (weigh(w, kind, c ? c : &plain, each, MEMBERS, d, fixture_set(0, N), d->n_classes ? 3 : 1,
            &err) != GARAM_OK)
    fail_msg("%s", err.message);
  double sum = 0;
  for (int m = 0; m < MEMBERS; m++) {
    assert_true(w[m] >= 0);
    sum += w[m];
  }
  assert_true(fabs(sum - 1) < 1e-9);
}

/* No weights on a fine grid have a smaller loss; greedy selection comes near. */
static void convex_is_the_best_there_is(void **state) {
  (void)state;
  for (int regression = 0; regression < 2; regression++) {
    dataset *d = regression ? values() : classes();
    double w[MEMBERS], greedy[MEMBERS], uniform[MEMBERS], best = INFINITY;
    weigh_well(w, WEIGH_CONVEX, NULL, d);
    weigh_well(greedy, WEIGH_GREEDY, NULL, d);
    weigh_well(uniform, WEIGH_UNIFORM, NULL, d);
    double cost = pool_loss(d, w);
    for (int a = 0; a <= 200; a++)
      for (int b = 0; a + b <= 200; b++) {
        double at = pool_loss(d, (double[]){a / 200.0, b / 200.0, (200 - a - b) / 200.0});
        best = at < best ? at : best;
      }
    assert_true(cost <= best + 1e-9);
    assert_true(pool_loss(d, greedy) <= best * 1.002);
    assert_true(pool_loss(d, uniform) > best * 1.02);
    assert_true(w[0] > w[1] && w[1] > w[2]);
    dataset_free(d);
  }
}

/* Without the shared part the best weights of values are as one over the variances: 16 : 4 : 1. */
static void variances_decide(void **state) {
  (void)state;
  dataset *d = fixture_market(N, 0, 0, 1, 3);
  for (size_t i = 0; i < N; i++)
    for (size_t m = 0; m < MEMBERS; m++) {
      /* Square waves of three periods: their products sum to zero. */
      float wave = i >> (m + 1) & 1 ? 1 : -1;
      said[m][i] = d->value[i] + wave * (float)(1 << m);
    }
  double w[MEMBERS];
  weigh_well(w, WEIGH_CONVEX, NULL, d);
  assert_true(fabs(w[0] - 16.0 / 21) < 1e-6);
  assert_true(fabs(w[1] - 4.0 / 21) < 1e-6);
  weigh_well(w, WEIGH_LOSS, NULL, d);
  assert_true(fabs(w[0] - 16.0 / 21) < 1e-6);
  dataset_free(d);
}

static void bags_of_members(void **state) {
  (void)state;
  dataset *d = classes();
  double one[MEMBERS], many[MEMBERS], again[MEMBERS];
  const weigh_config c = {.rounds = 50, .bags = 20, .seed = 3};
  weigh_well(one, WEIGH_GREEDY, NULL, d);
  weigh_well(many, WEIGH_GREEDY, &c, d);
  weigh_well(again, WEIGH_GREEDY, &c, d);
  assert_memory_equal(many, again, sizeof many);
  assert_true(many[2] > one[2]); /* in some bag the worst was all there was */
  assert_true(many[0] > many[2]);
  dataset_free(d);
}

static void rows_weigh(void **state) {
  (void)state;
  dataset *d = values();
  d->weight = mem_array(N, sizeof *d->weight);
  for (size_t i = 0; i < N; i++) {
    d->weight[i] = i < N / 2;
    if (i < N / 2) said[2][i] = d->value[i]; /* the worst is perfect where it counts */
  }
  double w[MEMBERS];
  weigh_well(w, WEIGH_CONVEX, NULL, d);
  assert_true(w[2] > 0.999);
  weigh_well(w, WEIGH_GREEDY, NULL, d);
  assert_true(w[2] > 0.999);
  dataset_free(d);
}

static void no_numbers_no_weights(void **state) {
  (void)state;
  dataset *d = values();
  garam_error err;
  double w[MEMBERS];
  said[1][7] = NAN;
  const weigh_config c = {.rounds = 10, .bags = 1};
  assert_int_equal(weigh(w, WEIGH_LOSS, &c, each, MEMBERS, d, fixture_set(0, N), 1, &err) ==
                           GARAM_OK &&
                       !(w[1] == 0 || isfinite(w[1])),
                   false);
  dataset_free(d);
}

/* ---- members as text ---------------------------------------------------------------------- */

static void specs_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t n;
    const char *parts[3];
  } good[] = {
      {"linear", 1, {"linear"}},
      {" linear , mlp:tiny ", 2, {"linear", "mlp:tiny"}},
      {"linear:l2=0.5,window=3,mlp", 2, {"linear:l2=0.5,window=3", "mlp"}},
      {"mlp:hidden=7,preset=small,linear", 2, {"mlp:hidden=7,preset=small", "linear"}},
      {"stack:members=(linear:l2=1,mlp:tiny,hidden=3),folds=3,linear",
       2,
       {"stack:members=(linear:l2=1,mlp:tiny,hidden=3),folds=3", "linear"}},
  };
  for (size_t i = 0; i < COUNT_OF(good); i++) {
    member_specs s;
    garam_error err;
    if (member_specs_parse(&s, good[i].text, TASK_BINARY, "--members", &err) != GARAM_OK)
      fail_msg("%s", err.message);
    assert_int_equal(s.n, good[i].n);
    for (size_t j = 0; j < s.n; j++) assert_string_equal(s.items[j].text, good[i].parts[j]);
    member_specs_deinit(&s);
  }
  member_specs s;
  char text[OPT_TEXT_MAX];
  assert_int_equal(member_specs_parse(&s, good[3].text, TASK_BINARY, "x", NULL), GARAM_OK);
  const opt_row *hidden = opt_find(learner_mlp.options, learner_mlp.n_options, "hidden");
  const opt_row *epochs = opt_find(learner_mlp.options, learner_mlp.n_options, "epochs");
  assert_string_equal(opt_value_text(text, hidden, s.items[0].config), "7"); /* the preset lost */
  assert_string_equal(opt_value_text(text, epochs, s.items[0].config), "40");
  member_specs_deinit(&s);
  assert_int_equal(member_specs_parse(&s, good[4].text, TASK_BINARY, "x", NULL), GARAM_OK);
  const opt_row *members = opt_find(ensemble_stack.options, ensemble_stack.n_options, "members");
  assert_string_equal(opt_value_text(text, members, s.items[0].config),
                      "linear:l2=1,mlp:tiny,hidden=3");
  member_specs_deinit(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(convex_is_the_best_there_is),
      cmocka_unit_test(variances_decide),
      cmocka_unit_test(bags_of_members),
      cmocka_unit_test(rows_weigh),
      cmocka_unit_test(no_numbers_no_weights),
      cmocka_unit_test(specs_are_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
