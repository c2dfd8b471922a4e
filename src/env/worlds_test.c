/* Classic control and particle worlds: what the comparison with gymnasium and mpe2 (tests/peers)
 * needs Python for is held here by numbers from there and by the physics; and what it cannot see:
 * scripts that earn what is published, frames, sines, a grid's rules. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "env/particle.h"
#include "env/trig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static garam_error err;

static env *make(const char *name, const char *options, size_t n, uint64_t seed) {
  const env_ops *ops = env_find(name, &err);
  assert_non_null(ops);
  void *config = mem_zalloc(ops->config_size + 1);
  if (ops->config_size) opt_defaults(ops->options, ops->n_options, config);
  char copy[256], *save = NULL;
  snprintf(copy, sizeof copy, "%s", options);
  for (char *one = strtok_r(copy, " ", &save); one; one = strtok_r(NULL, " ", &save)) {
    char *value = strchr(one, '=');
    *value++ = 0;
    const opt_row *row = opt_find(ops->options, ops->n_options, one);
    assert_non_null(row);
    if (opt_set_text(row, config, value, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  env *e;
  if (env_new(&e, ops, config, &(env_setup){.n = n, .seed = seed}, &err) != GARAM_OK)
    fail_msg("%s: %s", name, err.message);
  mem_free(config);
  return e;
}

static void step(env *e) {
  if (env_step(e, &err) != GARAM_OK) fail_msg("%s", err.message);
}

/* ---- sines ------------------------------------------------------------------------------------
 */

static void sines_are_right(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  double worst = 0;
  for (int i = 0; i < 400000; i++) {
    const double size = pow(10, rng_uniform(&r) * 9 - 3);
    const double x = (2 * rng_uniform(&r) - 1) * (i % 2 ? size : 4);
    const trig t = trig_of(x);
    worst = fmax(worst, fmax(fabs(t.sine - sin(x)), fabs(t.cosine - cos(x))));
    assert_true(trig_floor(x) == floor(x));
  }
  assert_true(worst < 2.3e-16); /* one unit in the last place below 1, and a half */
  static const double exact[] = {0, 1e-300, -1e-300, 1e-9};
  for (size_t i = 0; i < COUNT_OF(exact); i++) {
    assert_true(trig_of(exact[i]).sine == exact[i]);
    assert_true(trig_of(exact[i]).cosine == 1);
  }
}

/* ---- numbers from gymnasium --------------------------------------------------------------------
 */

/* One step of gymnasium 1.4.0 with NumPy 2.4: state, action -> observation, reward, terminated. */
static const struct {
  const char *env;
  double state[4];
  int width;
  float action;
  float observation[6], reward;
  int terminated;
} known[] = {
    {"CartPole-v1",
     {0.1, -0.2, 0.05, 0.3},
     4,
     1.0f,
     {0.096f, -0.005625066f, 0.056f, 0.023495851f},
     1.0f,
     0},
    {"CartPole-v1",
     {2.39, 1.0, -0.1, -0.4},
     4,
     0.0f,
     {2.41f, 0.80642825f, -0.108f, -0.14044395f},
     1.0f,
     1},
    {"CartPole-v1", {0.0, 0.0, 0.2, 1.5}, 4, 1.0f, {0.0f, 0.19221054f, 0.23f, 1.27584f}, 1.0f, 1},
    {"Pendulum-v1", {3.0, -1.0}, 2, 1.5f, {-0.9847177f, 0.17415802f, -0.66916f}, -9.10225f, 0},
    {"Pendulum-v1", {-20.5, 7.9}, 2, -3.0f, {0.2599507f, -0.9656219f, 6.852378f}, -8.968966f, 0},
    {"Pendulum-v1", {0.3, 7.99}, 2, 0.25f, {0.7648422f, 0.64421767f, 8.0f}, -6.4740725f, 0},
    {"MountainCarContinuous-v0",
     {-0.5, 0.009999999776482582},
     2,
     0.75f,
     {-0.48905185f, 0.010948157f},
     -0.05625f,
     0},
    {"MountainCarContinuous-v0",
     {-1.190000057220459, -0.05999999865889549},
     2,
     -1.2f,
     {-1.2f, 0.0f},
     -0.14400001f,
     0},
    {"MountainCarContinuous-v0",
     {0.4300000071525574, 0.029999999329447746},
     2,
     1.0f,
     {0.4608072f, 0.030807197f},
     99.9f,
     1},
    {"MountainCarContinuous-v0",
     {-0.30000001192092896, 0.06989999860525131},
     2,
     0.9f,
     {-0.23030403f, 0.06969597f},
     -0.08099999f,
     0},
    {"Acrobot-v1",
     {0.1, -0.05, 0.2, -0.3},
     4,
     2.0f,
     {0.9937702f, 0.11144884f, 0.99831474f, -0.05803195f, -0.08540039f, 0.22178662f},
     -1.0f,
     0},
    {"Acrobot-v1",
     {2.8, 0.9, 3.0, -8.0},
     4,
     0.0f,
     {-0.95787144f, -0.2871973f, 0.7208946f, -0.6930447f, 3.1634963f, -8.389799f},
     0.0f,
     1},
    {"Acrobot-v1",
     {-3.0, -1.0, -12.0, 25.0},
     4,
     1.0f,
     {0.48282954f, 0.87571436f, -0.94305676f, -0.3326319f, -8.184617f, 14.440186f},
     -1.0f,
     0},
};

static void steps_are_gymnasiums(void **state) {
  (void)state;
  for (size_t k = 0; k < COUNT_OF(known); k++) {
    env *e = make(known[k].env, "", 33, 1);
    for (size_t i = 0; i < 33; i++) { /* more than a lot: all places of it, and the rest */
      memcpy(env_world(e, i), known[k].state, (size_t)known[k].width * sizeof(double));
      e->batch.steps[i] = 1;
      e->batch.action[i] = known[k].action;
    }
    step(e);
    const size_t width = (size_t)e->shape.observation_width;
    for (size_t i = 0; i < 33; i++) {
      const float *seen = (e->batch.ended[i] ? e->batch.final_observation : e->batch.observation);
      for (size_t j = 0; j < width; j++)
        assert_true(fabsf(seen[i * width + j] - known[k].observation[j]) <=
                    2e-7f * fmaxf(1, fabsf(known[k].observation[j])));
      assert_true(fabsf(e->batch.reward[i] - known[k].reward) <=
                  2e-7f * fmaxf(1, fabsf(known[k].reward)));
      assert_int_equal(e->batch.terminated[i], known[k].terminated);
      assert_int_equal(e->batch.ended[i], known[k].terminated);
    }
    env_free(e);
  }
}

/* ---- particles ---------------------------------------------------------------------------------
 */

/* A push to the right of force 5 for 0.1 s gives 0.5; mpe2 moves by the speed before it, the first
 * code by the one after. */
static void versions_differ_in_their_order(void **state) {
  (void)state;
  static const struct {
    const char *version;
    double x;
  } rows[] = {{"version=mpe2", 0.1 * 0.4}, {"version=openai", 0.1 * (0.75 * 0.4 + 0.5)}};
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    env *e = make("simple_spread", rows[k].version, 1, 1);
    double *w = env_world(e, 0);
    static const double places[12] = {0, 0, 1, 1, -1, -1, 0, 0.9, 0.9, 0, -0.9, 0};
    memcpy(w, places, sizeof places);
    double *v = w + 12;
    for (int j = 0; j < 6; j++) v[j] = 0;
    v[0] = 0.4;
    e->batch.action[0] = 2;
    e->batch.action[1] = e->batch.action[2] = 0;
    step(e);
    assert_true(fabs(w[0] - rows[k].x) < 1e-15);
    assert_true(fabs(v[0] - 0.8) < 1e-15 && v[1] == 0);
    env_free(e);
  }
}

/* Two that touch push each other by equal forces; in mpe2 each loses half a point by local_ratio
 * 0.5, in the first code everyone is paid the sum, and collides with itself. */
static void touching_costs(void **state) {
  (void)state;
  static const double places[12] = {0, 0, 0.2, 0, -1, -1, 0, 0, 0.2, 0, -1, -1};
  for (int old = 0; old < 2; old++) {
    env *e = make("simple_spread", old ? "version=openai" : "", 1, 1);
    double *w = env_world(e, 0), *v = w + 12;
    memcpy(w, places, sizeof places);
    for (int j = 0; j < 6; j++) v[j] = 0;
    for (int a = 0; a < 3; a++) e->batch.action[a] = 0;
    step(e);
    assert_true(v[0] < 0 && v[2] > 0 && fabs(v[0] + v[2]) < 1e-15 && v[4] == 0);
    assert_true(fabs(v[2] - 0.1 * 100 * 0.1) < 1e-6); /* 0.3 - 0.2 deep */
    if (!old) {
      assert_true(e->batch.reward[0] == -0.5f && e->batch.reward[1] == -0.5f);
      assert_true(e->batch.reward[2] == 0);
    } else { /* it moved before it was paid */
      const double apart = 2 * fabs(w[0]);
      const bool touch = w[2] - w[0] < 0.3;
      for (int a = 0; a < 3; a++)
        assert_true(fabs((double)e->batch.reward[a] - (-3 * apart - 3 - (touch ? 2 : 0))) < 1e-6);
    }
    env_free(e);
  }
}

/* At rest and far apart nothing moves in a step: who stands where is paid what the rules say. */
static void pay_is_what_the_rules_say(void **state) {
  (void)state;
  static const struct {
    const char *env, *options;
    int bodies, agents;
    double at[6][2];
    int goal; /* -1: none; the body, or the number of the landmark after `said` */
    double reward[4];
  } rows[] = {
      {"simple_tag",
       "prey=agent",
       6,
       4,
       {{0.9, 0}, {-0.9, -0.9}, {-0.5, 0.9}, {0.95, 0}, {0, 0.8}, {0, -0.8}},
       -1,
       {10, 10, 10, -10 - 0.5}},
      {"simple_tag",
       "prey=agent",
       6,
       4,
       {{1.2, 0.9}, {1.2, 1.1}, {-0.5, 0.9}, {1.2, 1}, {0, 0.8}, {0, -0.8}},
       -1,
       {20, 20, 20, -20 - 1.4918246976 - 1}},
      {"simple_tag",
       "prey=agent",
       6,
       4,
       {{1.2, 0.5}, {1.2, -0.5}, {-0.5, 0.9}, {9, 1}, {0, 0.8}, {0, -0.8}},
       -1,
       {0, 0, 0, -10 - 1}},
      {"simple_adversary",
       "",
       5,
       3,
       {{0, 0}, {1, 0}, {0, 2}, {3, 4}, {0, 1}},
       3,
       {-5, 5 - 3.60555128, 5 - 3.60555128}},
      {"simple_adversary", "", 5, 3, {{0, 0}, {1, 0}, {0, 2}, {3, 4}, {0, 1}}, 4, {-1, 0, 0}},
      {"simple_speaker_listener",
       "",
       5,
       2,
       {{0, 0}, {0.5, 0.5}, {0.5, 0}, {1, 1}, {-0.5, 0}},
       2,
       {-1.25, -1.25}},
      {"simple_speaker_listener",
       "",
       5,
       2,
       {{0, 0}, {0.5, 0.5}, {0.5, 0}, {1, 1}, {-0.5, 0}},
       0,
       {-0.25, -0.25}},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    env *e = make(rows[k].env, rows[k].options, 1, 1);
    double *w = env_world(e, 0);
    memcpy(w, rows[k].at, (size_t)rows[k].bodies * 2 * sizeof(double));
    w += 2 * (rows[k].bodies + rows[k].agents);
    const int64_t goal = rows[k].goal;
    const bool speaks = strcmp(rows[k].env, "simple_speaker_listener") == 0;
    if (goal >= 0) memcpy(w + (speaks ? 3 : 0), &goal, sizeof goal);
    for (int a = 0; a < rows[k].agents; a++) e->batch.action[a] = speaks && a == 0 ? 2 : 0;
    step(e);
    for (int a = 0; a < rows[k].agents; a++) {
      const double expected = rows[k].reward[a];
      if (fabs((double)e->batch.reward[a] - expected) > 1e-6)
        fail_msg("%s %zu, agent %d: %g, expected %g", rows[k].env, k, a, (double)e->batch.reward[a],
                 expected);
    }
    if (speaks) { /* what was said is heard */
      const float *heard = e->batch.observation + 11 + 8;
      assert_true(heard[0] == 0 && heard[1] == 0 && heard[2] == 1);
    }
    env_free(e);
  }
}

static void coincident_bodies_do_not_break_a_world(void **state) {
  (void)state;
  env *e = make("simple_spread", "", 1, 1);
  double *w = env_world(e, 0);
  for (int j = 0; j < 18; j++) w[j] = 0;
  for (int t = 0; t < 20; t++) step(e); /* mpe2 divides by nothing here */
  env_free(e);
}

/* ---- scripts earn what is published ------------------------------------------------------------
 */

static double mean_return(const char *name, const char *options, const char *script, int episodes) {
  const size_t n = 500;
  env *e = make(name, options, n, 77);
  const baseline *b = baseline_find(name, script, &err);
  assert_non_null(b);
  const size_t agents = (size_t)e->shape.n_agents;
  double sum = 0;
  int left = episodes * (int)n;
  while (left > 0) {
    b->act(e, 0, n);
    step(e);
    for (size_t i = 0; i < n; i++) {
      if (!e->batch.ended[i] || e->batch.episode[i] > (uint64_t)episodes) continue;
      left--;
      for (size_t a = 0; a < agents; a++) sum += e->batch.last_return[i * agents + a];
    }
  }
  env_free(e);
  return sum / (double)(n * (size_t)episodes * agents);
}

static void scripts_earn_what_is_published(void **state) {
  (void)state;
  static const struct {
    const char *env, *options, *script;
    double low, high; /* of the mean of 2000 episodes */
  } rows[] = {
      {"CartPole-v1", "", "random", 21.5, 23},
      {"Pendulum-v1", "", "random", -1260, -1195},
      {"MountainCarContinuous-v0", "", "random", -34, -32.5},
      {"Acrobot-v1", "", "random", -500, -498},
      {"simple_spread", "", "random", -27, -26}, /* -26.5 */
      {"simple_spread", "", "planner", -8.9, -8.2},
      {"simple_spread", "", "greedy", -17.7, -16.3},
      {"simple_tag", "", "random", 3.5, 5},   /* 4.3 */
      {"simple_tag", "", "greedy", 43, 46.5}, /* 44.9 */
      {"simple_adversary", "", "random", -5.2, -3.6},
      {"simple_speaker_listener", "", "oracle", -9.7, -8.2},
      {"predator_prey", "", "sweep", -0.69, -0.64},
      {"predator_prey", "", "tell", -0.5, -0.44},
      {"predator_prey", "", "oracle", -0.125, -0.108},
      {"predator_prey", "size=10 predators=5 sight=1 max-steps=40", "oracle", -0.35, -0.2},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    const double mean = mean_return(rows[k].env, rows[k].options, rows[k].script, 4);
    if (!(mean > rows[k].low && mean < rows[k].high))
      fail_msg("%s %s: %g, expected %g to %g", rows[k].env, rows[k].script, mean, rows[k].low,
               rows[k].high);
  }
}

static void looking_ahead_beats_the_planner(void **state) {
  (void)state;
  const size_t n = 60;
  env *e = make("simple_spread", "", n, 5);
  const baseline *b = baseline_find("simple_spread", "oracle", &err);
  for (int t = 0; t < 25; t++) {
    b->act(e, 0, n);
    step(e);
  }
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += e->batch.last_return[3 * i] / (double)n;
  assert_true(sum > -7.6);
  env_free(e);
}

/* ---- prey -------------------------------------------------------------------------------------
 */

static void who_moves_the_prey_is_an_option(void **state) {
  (void)state;
  env *e = make("simple_tag", "", 1, 1);
  assert_int_equal(e->shape.n_agents, 3);
  env_free(e);
  e = make("simple_tag", "prey=agent", 1, 1);
  assert_int_equal(e->shape.n_agents, 4);
  assert_string_equal(e->shape.agents[3].name, "agent_0");
  assert_string_equal(e->shape.agents[3].team, "agent");
  assert_int_equal(e->shape.agents[3].observation.n, 14);
  assert_int_equal(e->shape.agents[0].observation.n, 16);
  env_free(e);
  /* one that flees is caught less than one that does not look */
  assert_true(mean_return("simple_tag", "prey=flee", "greedy", 1) <
              0.7 * mean_return("simple_tag", "", "greedy", 1));
}

/* ---- the grid ----------------------------------------------------------------------------------
 */

static void predators_stay_and_pay(void **state) {
  (void)state;
  for (int mode = 0; mode < 4; mode++) {
    static const char *const options[] = {"reward=mixed", "reward=team", "reward=cooperative",
                                          "reward=competitive"};
    env *e = make("predator_prey", options[mode], 40, 3);
    const baseline *tell = baseline_find("predator_prey", "tell", &err);
    const baseline *any = baseline_find("predator_prey", "random", &err);
    const size_t width = (size_t)e->shape.observation_width;
    for (int t = 0; t < 60; t++) {
      float before[40][3];
      for (size_t i = 0; i < 40; i++)
        for (size_t a = 0; a < 3; a++)
          before[i][a] = e->batch.observation[(3 * i + a) * width + 11];
      tell->act(e, 0, 20);
      any->act(e, 20, 40);
      step(e);
      for (size_t i = 0; i < 40; i++) {
        const float *seen =
            (e->batch.ended[i] ? e->batch.final_observation : e->batch.observation) + 3 * i * width;
        float there = 0;
        for (size_t a = 0; a < 3; a++) {
          const float *row = seen + a * width;
          assert_true(row[11] >= before[i][a]); /* who is there stays */
          assert_true(row[11] == row[14]);      /* on the prey is where the prey is seen */
          assert_true(row[12] == 0);            /* nobody stands outside */
          there += row[11];
        }
        assert_true(fabsf(e->batch.info[i] - there / 3) < 1e-6f);
        for (size_t a = 0; a < 3; a++) {
          const double on = (double)seen[a * width + 11];
          const double expected[] = {on > 0 ? 0 : -0.05, -0.05 * (3 - (double)there) / 3,
                                     on > 0 ? 0.05 * (double)there : -0.05,
                                     on > 0 ? 0.05 / (double)there : -0.05};
          assert_true(fabs((double)e->batch.reward[3 * i + a] - expected[mode]) < 1e-7);
        }
        assert_int_equal(e->batch.terminated[3 * i], there == 3 && mode < 2);
      }
    }
    env_free(e);
  }
}

static void sight_is_limited(void **state) {
  (void)state;
  env *e = make("predator_prey", "sight=1 size=8", 200, 3);
  const size_t width = (size_t)e->shape.observation_width;
  assert_int_equal(width, 16 + 2 + 27);
  int prey = 0, outside = 0;
  for (size_t i = 0; i < 200; i++) {
    const float *s = e->batch.state + i * 12;
    for (size_t a = 0; a < 3; a++) {
      const float *row = e->batch.observation + (3 * i + a) * width;
      const int y = (int)lroundf(s[3 * a] * 7), x = (int)lroundf(s[3 * a + 1] * 7);
      assert_true(row[y] == 1 && row[8 + x] == 1);
      const int py = (int)lroundf(s[9] * 7), px = (int)lroundf(s[10] * 7);
      for (int k = 0; k < 9; k++) {
        const int cy = y + k / 3 - 1, cx = x + k % 3 - 1;
        const float *cell = row + 18 + 3 * k;
        assert_int_equal(cell[0] > 0, cy < 0 || cx < 0 || cy > 7 || cx > 7);
        assert_int_equal(cell[2] > 0, cy == py && cx == px);
        prey += cell[2] > 0;
        outside += cell[0] > 0;
      }
    }
  }
  assert_true(prey > 20 && prey < 120 && outside > 100);
  env_free(e);
  const env_ops *ops = env_find("predator_prey", &err);
  int config[6] = {4, 2, 0, 20, 0, 0}; /* its rows in order */
  assert_int_equal(env_new(&e, ops, config, &(env_setup){.n = 1}, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "4 predators and a prey on 4 cells"));
}

/* ---- frames ------------------------------------------------------------------------------------
 */

typedef struct frame {
  char text[1 << 16];
  size_t n;
} frame;

static void collect(void *context, const char *svg) {
  frame *f = context;
  const size_t length = strlen(svg);
  assert_true(f->n + length < sizeof f->text);
  memcpy(f->text + f->n, svg, length + 1);
  f->n += length;
}

/* Tags closed, quotes paired, no number that is none. */
static void frames_are_drawn(void **state) {
  (void)state;
  frame *f = mem_alloc(sizeof *f);
  size_t drawn = 0;
  for (size_t k = 0; env_registry[k]; k++) {
    env *e;
    if (!env_registry[k]->draw ||
        env_new(&e, env_registry[k], NULL, &(env_setup){.n = 2, .seed = 4}, &err) != GARAM_OK)
      continue;
    const baseline *b = baseline_find(env_registry[k]->name, "random", &err);
    for (int t = 0; t < 12; t++) {
      b->act(e, 0, 2);
      step(e);
      *f = (frame){0};
      env_registry[k]->draw(e, 1, collect, f);
      assert_true(f->n > 0);
      assert_null(strstr(f->text, "nan"));
      assert_null(strstr(f->text, "inf"));
      size_t open = 0, close = 0, quotes = 0;
      for (size_t i = 0; i < f->n; i++) {
        open += f->text[i] == '<';
        close += f->text[i] == '>';
        quotes += f->text[i] == '"';
      }
      assert_int_equal(open, close);
      assert_int_equal(quotes % 2, 0);
    }
    drawn++;
    env_free(e);
  }
  mem_free(f);
  assert_true(drawn >= 9);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sines_are_right),
      cmocka_unit_test(steps_are_gymnasiums),
      cmocka_unit_test(versions_differ_in_their_order),
      cmocka_unit_test(touching_costs),
      cmocka_unit_test(pay_is_what_the_rules_say),
      cmocka_unit_test(coincident_bodies_do_not_break_a_world),
      cmocka_unit_test(scripts_earn_what_is_published),
      cmocka_unit_test(looking_ahead_beats_the_planner),
      cmocka_unit_test(who_moves_the_prey_is_an_option),
      cmocka_unit_test(predators_stay_and_pay),
      cmocka_unit_test(sight_is_limited),
      cmocka_unit_test(frames_are_drawn),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
