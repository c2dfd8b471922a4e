/* Off-policy learners: every form learns what is known, goes on to the bit from a file, allocates
 * nothing once warm; what does not fit is refused. */
#include "rl/off_policy_fixture.h"

#include <unistd.h>

#define SMALL "hidden=32 critic-hidden=32 start-steps=200 actor-rate=3e-3 critic-rate=3e-3 "

/* Worlds of one step, so that what is learnt is the reward itself. */
static void every_form_learns(void **state) {
  (void)state;
  static const struct {
    const env_ops *world;
    const char *agent, *settings;
    uint64_t steps;
    double least;
  } cases[] = {
      {&toy_match, "ddpg", SMALL, 1500, -0.01},
      {&toy_match, "ddpg", SMALL "norm=layer critic-norm=layer clip=1", 1500, -0.01},
      {&toy_match, "ddpg", SMALL "noise=ornstein-uhlenbeck noise-scale=0.2", 1500, -0.01},
      {&toy_match, "ddpg", SMALL "prioritized=true n-steps=3", 1500, -0.01},
      {&toy_match, "ddpg", SMALL "normalize-observations=true normalize-rewards=true", 1500, -0.01},
      {&toy_match, "td3", SMALL, 2000, -0.01},
      {&toy_match, "td3", SMALL "targets=false critic-norm=batch norm-rate=0.05", 2500, -0.02},
      {&toy_match, "sac", SMALL "batch=64", 2000, -0.02},
      {&toy_match, "sac", SMALL "batch=64 temperature-learnt=false temperature=0.01", 2000, -0.01},
      {&toy_match, "sac", SMALL "batch=64 targets=false critic-norm=batch norm-rate=0.05", 3000,
       -0.03},
      {&toy_choose, "dqn", "hidden=32 start-steps=200 learning-rate=3e-3", 1500, 0.95},
      {&toy_choose, "dqn", "hidden=32 start-steps=200 learning-rate=3e-3 double=false dueling=true",
       1500, 0.95},
      {&toy_choose, "dqn",
       "hidden=32 start-steps=200 learning-rate=3e-3 prioritized=true target-every=50", 1500, 0.95},
      {&toy_choose, "ddpg", SMALL, 1500, 0.95},
      {&toy_choose, "td3", SMALL "relaxation=soft", 1500, 0.95},
      {&toy_sum, "maddpg", SMALL "communication=mean", 4000, -0.03},
      {&toy_sum, "maddpg", SMALL "communication=gated shared=true", 4000, -0.03},
      {&toy_sum, "matd3", SMALL "communication=attention message=8", 4000, -0.03},
      {&toy_sum, "sac", SMALL "batch=64 critics=centralised communication=mean", 4000, -0.05},
      {&toy_opposite, "maddpg", SMALL, 1500, 0.9},
      {&toy_opposite, "maddpg", SMALL "shared=true", 1500, 0.9},
      {&toy_opposite, "matd3", SMALL "critics=independent shared=true", 2000, 0.9},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    course c;
    course_open(&c, cases[i].world, cases[i].agent, cases[i].settings, 1, cases[i].steps);
    course_run(&c, cases[i].steps);
    const double score = course_judge(&c, cases[i].world);
    if (!(score >= cases[i].least))
      fail_msg("%s, %s, %s: %g, expected %g", cases[i].world->name, cases[i].agent,
               cases[i].settings, score, cases[i].least);
    course_close(&c);
  }
}

static char *path_of(char out[64]) {
  snprintf(out, 64, "/tmp/off_policy_test.%d", (int)getpid());
  return out;
}

static void save(const course *c, const char *path) {
  package_writer *w;
  garam_error err = {0};
  assert_int_equal(package_writer_new(&w, NULL), GARAM_OK);
  if (c->agent->ops->save(c->agent, w, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_int_equal(package_write(w, path, NULL), GARAM_OK);
  package_writer_free(w);
}

static garam_status load(course *c, const char *path, garam_error *err) {
  package_reader *r;
  assert_int_equal(package_open(&r, path, NULL), GARAM_OK);
  const garam_status status = c->agent->ops->load(c->agent, r, err);
  package_close(r);
  return status;
}

static const struct {
  const char *world, *agent, *settings;
} forms[] = {
    {"Pendulum-v1", "ddpg", "hidden=16 critic-hidden=16 start-steps=50 noise=ornstein-uhlenbeck"},
    {"Pendulum-v1", "td3",
     "hidden=16 critic-hidden=16 start-steps=50 prioritized=true n-steps=3 replay=150 batch=16 "
     "normalize-observations=true normalize-rewards=true"},
    {"Pendulum-v1", "ddpg", "sketch hidden=16 critic-hidden=16 update-when=step"},
    {"Pendulum-v1", "sac", "hidden=16 critic-hidden=16 start-steps=50 batch=16"},
    {"Pendulum-v1", "sac",
     "hidden=16 critic-hidden=16 start-steps=50 batch=16 targets=false critic-norm=batch"},
    {"CartPole-v1", "dqn", "hidden=16 start-steps=50 target-every=10 prioritized=true"},
    {"simple_spread", "maddpg", "hidden=16 critic-hidden=16 start-steps=50 updates=0.5"},
    {"simple_spread", "matd3",
     "hidden=16 critic-hidden=16 start-steps=50 shared=true communication=attention dropout=0.1"},
    {"simple_tag", "maddpg", "hidden=16 critic-hidden=16 start-steps=50 updates=0.3"},
};

static const env_ops *world_of(const char *name) {
  const env_ops *ops = env_find(name, NULL);
  if (!ops) fail_msg("no environment %s", name);
  return ops;
}

/* What was saved, loaded and went on is what was never stopped: parameters, targets and all that
 * the next file holds. */
static void resumed_is_uninterrupted(void **state) {
  (void)state;
  char path[64];
  path_of(path);
  for (size_t i = 0; i < COUNT_OF(forms); i++)
    for (size_t n = 1; n <= 3; n += 2) {
      course a, b;
      garam_error err = {0};
      course_open(&a, world_of(forms[i].world), forms[i].agent, forms[i].settings, n, 600);
      course_open(&b, world_of(forms[i].world), forms[i].agent, forms[i].settings, n, 600);
      course_run(&a, 240);
      save(&a, path);
      if (load(&b, path, &err) != GARAM_OK) fail_msg("%s", err.message);
      env_state_set(b.env, a.env->memory);
      b.steps = a.steps;
      course_run(&a, 180);
      course_run(&b, 180);
      const size_t bytes = a.learner->block * sizeof(float);
      if (memcmp(a.learner->params, b.learner->params, bytes) != 0)
        fail_msg("%s, %s: other parameters", forms[i].world, forms[i].agent);
      assert_memory_equal(a.learner->slow, b.learner->slow, bytes);
      assert_memory_equal(a.action, b.action, a.learner->agents * a.learner->u * sizeof(float));
      assert_true(a.learner->counts[COUNT_UPDATES] > 10);
      course_close(&a);
      course_close(&b);
    }
  unlink(path);
}

static void other_agents_files_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *agent, *settings;
  } others[] = {
      {"ddpg", "hidden=17 critic-hidden=16"},
      {"ddpg", "hidden=16 critic-hidden=17"},
      {"td3", "hidden=16 critic-hidden=16"},
      {"sac", "hidden=16 critic-hidden=16"},
      {"ddpg", "hidden=16 critic-hidden=16 replay=100"},
      {"ddpg", "hidden=16 critic-hidden=16 prioritized=true"},
  };
  char path[64];
  course a;
  course_open(&a, world_of("Pendulum-v1"), "ddpg", "hidden=16 critic-hidden=16", 1, 600);
  course_run(&a, 240);
  save(&a, path_of(path));
  for (size_t i = 0; i < COUNT_OF(others); i++) {
    course b;
    garam_error err = {0};
    course_open(&b, world_of("Pendulum-v1"), others[i].agent, others[i].settings, 1, 600);
    if (load(&b, path, &err) == GARAM_OK) fail_msg("%s was taken", others[i].settings);
    assert_non_null(strstr(err.message, path));
    course_close(&b);
  }
  course_close(&a);
  unlink(path);
}

static void nothing_is_allocated_once_warm(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(forms); i++) {
    course c;
    course_open(&c, world_of(forms[i].world), forms[i].agent, forms[i].settings, 1, 600);
    course_run(&c, 300);
    const uint64_t before = mem_count();
    course_run(&c, 100);
    /* CartPole's ends are as many as the learner is bad: a slot may be new */
    const uint64_t most = strcmp(forms[i].world, "CartPole-v1") == 0 ? 2 : 0;
    if (mem_count() - before > most)
      fail_msg("%s, %s: %llu allocations", forms[i].world, forms[i].agent,
               (unsigned long long)(mem_count() - before));
    course_close(&c);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *world, *agent, *settings, *says;
  } cases[] = {
      {"Pendulum-v1", "dqn", "", "dqn"},
      {"CartPole-v1", "sac", "", "sac"},
      {"Pendulum-v1", "ddpg", "replay=10 batch=64", "--replay"},
      {"Pendulum-v1", "ddpg", "hidden=64;64", "--hidden"},
      {"simple_adversary", "maddpg", "sharing=critics", "--sharing"},
      {"simple_spread", "maddpg", "communication=matrix", "matrix"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    off_policy_config config = {0};
    garam_error err = {0};
    env *e;
    agent *a;
    const agent_ops *ops = agent_find(cases[i].agent, NULL);
    assert_int_equal(env_new(&e, world_of(cases[i].world), NULL, &(env_setup){.n = 1}, NULL),
                     GARAM_OK);
    course_configure(&config, ops, cases[i].settings);
    const agent_setup setup = {.shape = &e->shape, .n = 1, .n_steps = 10, .seed = 1};
    if (ops->create(&a, &config, &setup, &err) == GARAM_OK)
      fail_msg("%s, %s, %s was taken", cases[i].world, cases[i].agent, cases[i].settings);
    if (!strstr(err.message, cases[i].says)) fail_msg("%s", err.message);
    env_free(e);
  }
}

/* All that the rows say is within their own bounds, and every preset can be applied. */
static void presets_apply(void **state) {
  (void)state;
  static const char *const names[] = {"ddpg", "td3", "sac", "dqn", "maddpg", "matd3"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const agent_ops *ops = agent_find(names[i], NULL);
    assert_non_null(ops);
    for (const learner_preset *p = ops->presets; p && p->name; p++) {
      off_policy_config config = {0};
      course_configure(&config, ops, p->name);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_learns),
      cmocka_unit_test(resumed_is_uninterrupted),
      cmocka_unit_test(other_agents_files_are_refused),
      cmocka_unit_test(nothing_is_allocated_once_warm),
      cmocka_unit_test(what_does_not_fit_is_refused),
      cmocka_unit_test(presets_apply),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
