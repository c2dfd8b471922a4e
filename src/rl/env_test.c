/* The batch of worlds: episodes end and begin in the same step, per agent; what is wrong is
 * refused with where it was; memory, threads and allocations. A made-up world counts its steps, so
 * that every number is known; what must hold of all is seen on every environment there is. */
#include "base/mem.h"
#include "base/thread.h"
#include "env/baseline.h"
#include "rl/env.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static garam_error err;

/* ---- a world that counts -------------------------------------------------------------------- */

enum { AGENTS = 3, OBSERVES = 2, ACTS = 2 };
enum { WRONG_NOTHING, WRONG_OBSERVATION, WRONG_REWARD, WRONG_STATE, WRONG_SHAPE, WRONG_BOUNDS };

typedef struct count_config {
  int limit;        /* max_steps */
  int stop[AGENTS]; /* agent a is terminated in this step; 0: never */
  int cut;          /* agent 0 is truncated by the world in this step; 0: never */
  int wrong, wrong_step;
  size_t wrong_world;
} count_config;

typedef struct count_world {
  int64_t count;
  double first, sum; /* drawn at reset; of what agent 0 did */
  rng r;
} count_world;

static const float low[ACTS] = {-1, -2}, high[ACTS] = {1, 2};
static const env_agent agents[AGENTS] = {
    {"walker_0", "walker", {ENV_BOX, OBSERVES, NULL, NULL}, {ENV_BOX, ACTS, low, high}},
    {"chooser_0", "chooser", {ENV_BOX, OBSERVES, NULL, NULL}, {ENV_DISCRETE, 3, NULL, NULL}},
    {"walker_1", "walker", {ENV_BOX, 1, NULL, NULL}, {ENV_BOX, 1, NULL, NULL}},
};
static const env_agent unbounded[1] = {
    {"walker_0", "walker", {ENV_BOX, OBSERVES, NULL, NULL}, {ENV_BOX, 1, high, low}}};
static const char *const info_names[] = {"count"};

static garam_status count_open(env *e, const void *config, garam_error *e2) {
  const count_config *c = config;
  e->model = mem_alloc(16); /* so that close has something to do */
  if (!e->model) return fail_memory(e2, 16);
  e->shape = (env_shape){.n_agents = AGENTS,
                         .agents = agents,
                         .observation_width = OBSERVES,
                         .action_width = ACTS,
                         .state_width = 1,
                         .max_steps = c->limit,
                         .world_bytes = sizeof(count_world),
                         .n_info = 1,
                         .info_names = info_names};
  if (c->wrong == WRONG_SHAPE) e->shape.n_agents = ENV_MAX_AGENTS + 1;
  if (c->wrong == WRONG_BOUNDS) {
    e->shape.n_agents = 1;
    e->shape.agents = unbounded;
  }
  return GARAM_OK;
}

static void count_close(env *e) {
  mem_free(e->model);
}

static void show(env *e, size_t i) {
  const count_world *w = env_world(e, i);
  for (size_t a = 0; a < AGENTS; a++) {
    float *out = e->batch.observation + (i * AGENTS + a) * OBSERVES;
    out[0] = (float)w->count + 100 * (float)a;
    if (a < 2) out[1] = (float)w->first;
  }
  e->batch.state[i] = (float)w->count;
}

static void count_reset(env *e, size_t i, rng *r) {
  count_world *w = env_world(e, i);
  *w = (count_world){.first = rng_uniform(r), .r = *r};
  show(e, i);
}

static void count_step(env *e, size_t begin, size_t end) {
  const count_config *c = e->config;
  for (size_t i = begin; i < end; i++) {
    count_world *w = env_world(e, i);
    const float *action = e->batch.action + i * AGENTS * ACTS;
    w->count++;
    if (e->batch.alive[i * AGENTS]) w->sum += (double)action[0];
    w->sum += rng_uniform(&w->r);
    for (size_t a = 0; a < AGENTS; a++) {
      const size_t at = i * AGENTS + a;
      assert_int_equal(e->batch.terminated[at] | e->batch.truncated[at], 0); /* cleared */
      e->batch.reward[at] = e->batch.alive[at] ? (float)w->count + (float)a : 0;
      e->batch.terminated[at] = w->count == c->stop[a];
    }
    e->batch.truncated[i * AGENTS] |= w->count == c->cut;
    e->batch.info[i] = (float)w->count;
    show(e, i);
    if (w->count != c->wrong_step || i != c->wrong_world) continue;
    if (c->wrong == WRONG_OBSERVATION) e->batch.observation[(i * AGENTS + 1) * OBSERVES] = NAN;
    if (c->wrong == WRONG_REWARD) e->batch.reward[i * AGENTS + 2] = INFINITY;
    if (c->wrong == WRONG_STATE) e->batch.state[i] = NAN;
  }
}

static const env_ops counting = {.name = "counting",
                                 .summary = "counts its steps",

                                 .config_size = sizeof(count_config),
                                 .open = count_open,
                                 .close = count_close,
                                 .reset = count_reset,
                                 .step = count_step};

static env *make(const env_ops *ops, const void *config, size_t n, uint64_t seed) {
  env *e;
  if (env_new(&e, ops, config, &(env_setup){.n = n, .seed = seed}, &err) != GARAM_OK)
    fail_msg("%s: %s", ops->name, err.message);
  return e;
}

static void step(env *e) {
  if (env_step(e, &err) != GARAM_OK) fail_msg("%s", err.message);
}

/* ---- episodes ------------------------------------------------------------------------------- */

/* Who ends when, walked: after `at` steps the flags of the agents, whether the world began again,
 * and who acts next. */
static void episodes_end_agent_by_agent(void **state) {
  (void)state;
  static const struct {
    count_config config;
    int at;
    uint8_t terminated[AGENTS], truncated[AGENTS], alive[AGENTS], ended;
  } rows[] = {
      /* nobody stops: the limit cuts all */
      {{.limit = 4}, 3, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 0},
      {{.limit = 4}, 4, {0, 0, 0}, {1, 1, 1}, {1, 1, 1}, 1},
      {{.limit = 4}, 5, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 0},
      /* one stops before: it is dead and not cut again, the others are */
      {{.limit = 4, .stop = {2}}, 2, {1, 0, 0}, {0, 0, 0}, {0, 1, 1}, 0},
      {{.limit = 4, .stop = {2}}, 3, {0, 0, 0}, {0, 0, 0}, {0, 1, 1}, 0},
      {{.limit = 4, .stop = {2}}, 4, {0, 0, 0}, {0, 1, 1}, {1, 1, 1}, 1},
      /* stopped by the world in the very step of the limit: terminated, not truncated */
      {{.limit = 4, .stop = {0, 4}}, 4, {0, 1, 0}, {1, 0, 1}, {1, 1, 1}, 1},
      /* all stop, one after the other: the last one ends the episode */
      {{.limit = 9, .stop = {1, 2, 3}}, 2, {0, 1, 0}, {0, 0, 0}, {0, 0, 1}, 0},
      {{.limit = 9, .stop = {1, 2, 3}}, 3, {0, 0, 1}, {0, 0, 0}, {1, 1, 1}, 1},
      /* no limit at all */
      {{.limit = 0, .stop = {2, 2, 2}}, 2, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 1},
      {{.limit = 0}, 5000, {0, 0, 0}, {0, 0, 0}, {1, 1, 1}, 0},
      /* the world itself cuts one */
      {{.limit = 9, .cut = 2}, 2, {0, 0, 0}, {1, 0, 0}, {0, 1, 1}, 0},
      {{.limit = 9, .cut = 2, .stop = {0, 2, 2}}, 2, {0, 1, 1}, {1, 0, 0}, {1, 1, 1}, 1},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    env *e = make(&counting, &rows[k].config, 300, 1);
    for (int t = 0; t < rows[k].at; t++) step(e);
    for (size_t i = 0; i < 300; i += 299) {
      assert_memory_equal(e->batch.truncated + i * AGENTS, rows[k].truncated, AGENTS);
      assert_memory_equal(e->batch.alive + i * AGENTS, rows[k].alive, AGENTS);
      assert_int_equal(e->batch.ended[i], rows[k].ended);
      for (size_t a = 0; a < AGENTS; a++)
        assert_int_equal(e->batch.terminated[i * AGENTS + a], rows[k].terminated[a]);
    }
    env_free(e);
  }
}

static void a_new_episode_begins_in_the_same_step(void **state) {
  (void)state;
  env *e = make(&counting, &(count_config){.limit = 3, .stop = {2}}, 2, 5);
  const env_batch *b = &e->batch;
  const float first = b->observation[1];
  for (int t = 0; t < 3; t++) step(e);
  for (size_t i = 0; i < 2; i++) {
    const size_t at = i * AGENTS;
    assert_int_equal(b->ended[i], 1);
    /* what follows is the new beginning, what was is in final */
    assert_true(b->observation[at * OBSERVES] == 0 && b->state[i] == 0 && b->steps[i] == 0);
    assert_true(b->final_observation[at * OBSERVES] == 3 && b->final_state[i] == 3);
    assert_true(b->info[i] == 3); /* of the episode that it belonged to */
    assert_int_equal(b->episode[i], 1);
    assert_int_equal(b->last_steps[i], 3);
    /* agent 0 was paid for two steps only; the return begins anew */
    assert_true(b->last_return[at] == 1 + 2);
    assert_true(b->last_return[at + 1] == 2 + 3 + 4);
    assert_true(b->last_return[at + 2] == 3 + 4 + 5);
    assert_true(b->episode_return[at + 1] == 0);
    assert_true(b->reward[at + 1] == 4); /* of the last step */
  }
  assert_true(b->final_observation[1] == first && b->observation[1] != first); /* another draw */
  assert_true(b->observation[1] != b->observation[AGENTS * OBSERVES + 1]);     /* in each world */
  step(e);
  assert_true(b->ended[0] == 0 && b->observation[0] == 1 && b->episode_return[1] == 2);
  env_free(e);
}

/* World w's episode k is the same whoever else is in the batch and whenever it is played. */
static void episodes_are_drawn_by_counter(void **state) {
  (void)state;
  env *few = make(&counting, &(count_config){.limit = 3}, 2, 9);
  env *many = make(&counting, &(count_config){.limit = 5}, 40, 9);
  for (int t = 0; t < 4 * 3; t++) step(few);
  for (int t = 0; t < 4 * 5; t++) step(many);
  assert_int_equal(few->batch.episode[1], 4);
  const size_t second = AGENTS * OBSERVES + 1;
  assert_true(few->batch.observation[second] == many->batch.observation[second]);
  env_reset_world(many, 1, 2);
  const float then = many->batch.observation[second];
  assert_true(then != few->batch.observation[second]);
  env_reset_world(few, 1, 2);
  assert_true(then == few->batch.observation[second]);
  env_reset(few);
  assert_true(few->batch.episode[1] == 0 && few->batch.steps[1] == 0);
  env_free(few);
  env_free(many);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void actions_are_looked_at(void **state) {
  (void)state;
  static const struct {
    size_t agent, number;
    float action;
    const char *says; /* NULL: fine */
  } rows[] = {
      {0, 0, 0.5f, NULL},
      {0, 1, 7, NULL}, /* beyond its bounds: the world's to cut */
      {0, 1, NAN, "agent walker_0, step 1: an action is not finite"},
      {0, 0, INFINITY, "agent walker_0, step 1: an action is not finite"},
      {1, 0, 2, NULL},
      {1, 1, NAN, NULL}, /* a choice has one number */
      {1, 0, 3, "agent chooser_0, step 1: action 3, expected 0 to 2"},
      {1, 0, -1, "agent chooser_0, step 1: action -1, expected 0 to 2"},
      {1, 0, 0.5f, "agent chooser_0, step 1: action 0.5, expected 0 to 2"},
      {1, 0, NAN, "agent chooser_0, step 1: action"},
      {2, 0, NAN, "agent walker_1, step 1: an action is not finite"},
      {2, 1, NAN, NULL},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++)
    for (size_t world = 0; world < 700; world += 699) {
      env *e = make(&counting, &(count_config){.limit = 9}, 700, 1);
      step(e);
      e->batch.action[(world * AGENTS + rows[k].agent) * ACTS + rows[k].number] = rows[k].action;
      const garam_status status = env_step(e, &err);
      assert_int_equal(status, rows[k].says ? GARAM_INVALID : GARAM_OK);
      if (rows[k].says) {
        char where[64];
        snprintf(where, sizeof where, "environment counting, world %zu, ", world);
        if (!strstr(err.message, where) || !strstr(err.message, rows[k].says))
          fail_msg("\"%s\" lacks \"%s%s\"", err.message, where, rows[k].says);
      }
      env_free(e);
    }
}

/* What the dead are told to do is not looked at. */
static void the_dead_may_do_anything(void **state) {
  (void)state;
  env *e = make(&counting, &(count_config){.limit = 9, .stop = {1}}, 2, 1);
  step(e);
  e->batch.action[0] = NAN;
  step(e);
  e->batch.action[ACTS] = 17; /* the chooser lives */
  assert_int_equal(env_step(e, &err), GARAM_INVALID);
  env_free(e);
}

/* Every environment refuses in every place what is not its own, however it is looked at. */
static void choices_of_every_environment_are_looked_at(void **state) {
  (void)state;
  static const float bad[] = {-1, 0.5f, NAN, INFINITY, -INFINITY, 1e9f, 4194304.5f};
  for (size_t k = 0; env_registry[k]; k++) {
    env *e;
    if (env_new(&e, env_registry[k], NULL, &(env_setup){.n = 300}, &err) != GARAM_OK) continue;
    const env_shape *s = &e->shape;
    for (size_t j = 0; j < COUNT_OF(bad); j++)
      for (int a = 0; a < s->n_agents; a++) {
        const env_space *space = &s->agents[a].action;
        if (space->kind == ENV_BOX && isfinite(bad[j])) continue;
        const size_t at = (299 * (size_t)s->n_agents + (size_t)a) * (size_t)s->action_width;
        e->batch.action[at] = bad[j];
        assert_int_equal(env_step(e, &err), GARAM_INVALID);
        e->batch.action[at] = 0;
        env_reset(e);
      }
    env_free(e);
  }
}

static void what_a_world_gets_wrong_is_said(void **state) {
  (void)state;
  static const struct {
    int wrong;
    const char *says;
  } rows[] = {
      {WRONG_OBSERVATION, "world 431, agent chooser_0, step 3: an observation is not finite"},
      {WRONG_REWARD, "world 431, agent walker_1, step 3: a reward is not finite"},
      {WRONG_STATE, "world 431, step 3: its state is not finite"},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    env *e = make(
        &counting,
        &(count_config){.limit = 9, .wrong = rows[k].wrong, .wrong_step = 3, .wrong_world = 431},
        600, 1);
    step(e);
    step(e);
    assert_int_equal(env_step(e, &err), GARAM_NUMERIC);
    if (!strstr(err.message, rows[k].says))
      fail_msg("\"%s\" lacks \"%s\"", err.message, rows[k].says);
    env_free(e);
  }
}

static void what_open_gets_wrong_is_said(void **state) {
  (void)state;
  env *e;
  assert_int_equal(
      env_new(&e, &counting, &(count_config){.wrong = WRONG_SHAPE}, &(env_setup){.n = 1}, &err),
      GARAM_INVALID);
  assert_null(e);
  assert_non_null(strstr(err.message, "counting: 65 agents, expected 1 to 64"));
  assert_int_equal(
      env_new(&e, &counting, &(count_config){.wrong = WRONG_BOUNDS}, &(env_setup){.n = 1}, &err),
      GARAM_INVALID);
  assert_non_null(strstr(err.message, "agent walker_0: bounds of action 0 are empty"));
  assert_int_equal(env_new(&e, &counting, &(count_config){0}, &(env_setup){.n = 0}, &err),
                   GARAM_INVALID);
  assert_non_null(strstr(err.message, "0 worlds"));
  assert_null(env_find("CartPole-v2", &err));
  assert_non_null(strstr(err.message, "did you mean \"CartPole-v1\"?"));
}

static void shapes_are_compared(void **state) {
  (void)state;
  env_shape one = {.n_agents = 2, .agents = agents}, two = {.n_agents = 3, .agents = agents};
  assert_int_equal(env_shape_match(&one, &one, &err), GARAM_OK);
  assert_int_equal(env_shape_match(&one, &two, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "2 agents, expected 3"));
  const env_agent swapped[2] = {agents[1], agents[0]};
  two = (env_shape){.n_agents = 2, .agents = swapped};
  assert_int_equal(env_shape_match(&one, &two, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "agent walker_0 acts by a box of 2, expected choices of 3"));
  const env_agent blind[2] = {agents[0], agents[2]};
  const env_agent seeing[2] = {agents[0], agents[0]};
  one.agents = blind;
  two.agents = seeing;
  assert_int_equal(env_shape_match(&one, &two, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "agent walker_1 observes 1 numbers, expected 2"));
}

/* ---- memory, threads, every environment ------------------------------------------------------ */

/* Some steps of a random policy. */
static void play(env *e, int steps) {
  const baseline *b = baseline_find(e->ops->name, "random", &err);
  for (int t = 0; t < steps; t++) {
    b->act(e, 0, e->batch.n);
    step(e);
  }
}

static void for_every_environment(void (*look)(const env_ops *ops)) {
  size_t seen = 0;
  for (size_t k = 0; env_registry[k]; k++) {
    env *e;
    const garam_status status = env_new(&e, env_registry[k], NULL, &(env_setup){.n = 1}, &err);
    env_free(e);
    if (status != GARAM_OK) continue; /* it needs a file, say */
    look(env_registry[k]);
    seen++;
  }
  assert_true(seen >= 9);
  look(&counting);
}

static void look_at_memory(const env_ops *ops) {
  env *own = make(ops, NULL, 5, 3);
  const size_t bytes = env_memory_bytes(&own->shape, 5);
  char *memory = mem_alloc_aligned(bytes + 64, 64);
  memset(memory, 0xA5, bytes + 64);
  env *given;
  const env_setup setup = {.n = 5, .seed = 3, .memory = memory, .memory_bytes = bytes};
  assert_int_equal(env_new(&given, ops, NULL, &setup, &err), GARAM_OK);
  assert_ptr_equal(env_world(given, 0), memory);
  play(own, 60);
  play(given, 60);
  assert_int_equal(env_state_bytes(own), bytes);
  char *state = mem_alloc(bytes);
  env_state_get(own, state);
  assert_memory_equal(state, memory, bytes); /* whatever the memory held before */
  for (size_t i = bytes; i < bytes + 64; i++) assert_int_equal((uint8_t)memory[i], 0xA5);
  /* back to where it was, and on from there with the same bits */
  play(own, 45);
  play(given, 7);
  env_state_set(given, state);
  play(given, 45);
  env_state_get(own, state);
  assert_memory_equal(state, memory, bytes);
  env_free(own);
  env_free(given);
  mem_free_aligned(memory);
  mem_free(state);
}

static void memory_may_be_the_callers_and_is_all_there_is(void **state) {
  (void)state;
  for_every_environment(look_at_memory);
}

static void look_at_threads(const env_ops *ops) {
  char *states[3];
  size_t bytes = 0;
  for (int k = 0; k < 3; k++) {
    thread_set_count(1 << k);
    env *e = make(ops, NULL, 700, 11);
    bytes = env_state_bytes(e);
    play(e, 30);
    states[k] = mem_alloc(bytes);
    env_state_get(e, states[k]);
    env_free(e);
  }
  thread_set_count(0);
  assert_memory_equal(states[0], states[1], bytes);
  assert_memory_equal(states[0], states[2], bytes);
  for (int k = 0; k < 3; k++) mem_free(states[k]);
}

static void threads_agree(void **state) {
  (void)state;
  for_every_environment(look_at_threads);
}

static void look_at_allocations(const env_ops *ops) {
  env *e = make(ops, NULL, 300, 1);
  play(e, 2);
  const uint64_t before = mem_count();
  play(e, 60);
  env_reset(e);
  assert_int_equal(mem_count(), before);
  env_free(e);
}

static void nothing_is_allocated_in_a_step(void **state) {
  (void)state;
  for_every_environment(look_at_allocations);
}

static void look_at_failures(const env_ops *ops) {
  for (int once = 0; once < 2; once++) {
    bool done = false;
    for (size_t n = 0; !done; n++) {
      failing_allocator memory = {.fail_after = n, .once = once};
      failing_allocator_use(&memory);
      env *e;
      const garam_status status = env_new(&e, ops, NULL, &(env_setup){.n = 3}, &err);
      assert_int_equal(status, memory.failed ? GARAM_NO_MEMORY : GARAM_OK);
      if (memory.failed) assert_null(e);
      env_free(e);
      garam_set_allocator(NULL);
      assert_int_equal(memory.n_blocks, 0);
      done = !memory.failed;
      assert_true(n < 200);
    }
  }
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  for_every_environment(look_at_failures);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(episodes_end_agent_by_agent),
      cmocka_unit_test(a_new_episode_begins_in_the_same_step),
      cmocka_unit_test(episodes_are_drawn_by_counter),
      cmocka_unit_test(actions_are_looked_at),
      cmocka_unit_test(the_dead_may_do_anything),
      cmocka_unit_test(choices_of_every_environment_are_looked_at),
      cmocka_unit_test(what_a_world_gets_wrong_is_said),
      cmocka_unit_test(what_open_gets_wrong_is_said),
      cmocka_unit_test(shapes_are_compared),
      cmocka_unit_test(memory_may_be_the_callers_and_is_all_there_is),
      cmocka_unit_test(threads_agree),
      cmocka_unit_test(nothing_is_allocated_in_a_step),
      cmocka_unit_test(every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
