/* The faults of the first sketch: each is shown in the sketch's form (an option, off by default)
 * and its absence in ours. */
#include "rl/off_policy_fixture.h"

#include <unistd.h>

#define SMALL "hidden=32 critic-hidden=32 start-steps=200 actor-rate=3e-3 critic-rate=3e-3 "

/* Averaged actions: agents that should do opposite things end up doing the same, whatever they
 * learn. Messages before the head leave each its own action. */
static void averaged_actions_cannot_differ(void **state) {
  (void)state;
  course sketch, ours;
  course_open(&sketch, &toy_opposite, "maddpg",
              SMALL "communication=matrix mix-weights=share critics=independent", 1, 1500);
  course_open(&ours, &toy_opposite, "maddpg", SMALL "communication=mean", 1, 1500);
  course_run(&sketch, 1500);
  course_run(&ours, 1500);
  const double averaged = course_judge(&sketch, &toy_opposite),
               spoken = course_judge(&ours, &toy_opposite);
  assert_true(averaged < 0.6);
  assert_true(spoken > 0.9);
  course_close(&sketch);
  course_close(&ours);
}

/* Shares R / sum R: of returns below 0 the worst agent is heard most; of mixed signs weights are
 * negative or over 1. Ours are odds, and a better agent is never heard less. */
static void shares_flip_signs(void **state) {
  (void)state;
  static const double returns[][3] = {
      {-10, -1, -2}, {5, -4, -0.5}, {1, 2, 3}, {0, 0, 0}, {-1e6, 1e-3, 1e6}};
  const mix_config share = {MIX_SHARE, 1};
  double row[3];
  mix_row(row, &share, returns[0], 3, 2);
  assert_true(row[0] > row[1]); /* -10 is heard more than -1 */
  mix_row(row, &share, returns[1], 3, 2);
  assert_true(row[0] > 1 && row[1] < 0);
  for (int weights = MIX_RANK; weights <= MIX_SCORE; weights++)
    for (size_t c = 0; c < COUNT_OF(returns); c++)
      for (double temperature = 0.1; temperature < 10; temperature *= 3) {
        const mix_config ours = {weights, temperature};
        double sum = 0;
        mix_row(row, &ours, returns[c], 3, 0);
        for (int i = 0; i < 3; i++) {
          sum += row[i];
          assert_true(row[i] > 0 && row[i] <= 1);
          for (int k = 0; k < 3; k++)
            if (returns[c][i] > returns[c][k]) assert_true(row[i] >= row[k]);
        }
        assert_true(fabs(sum - 1) < 1e-12);
      }
}

/* What the actor does where it learns, and where it acts, at the same observations. */
static double difference_of_modes(const char *settings) {
  enum { B = 16 };
  course c;
  float *params;
  float in[B * 3];
  const float *out[2];
  graph *g[2];
  plan *p[2];
  double most = 0;
  course_open(&c, env_find("Pendulum-v1", NULL), "ddpg", settings, 1, 1000);
  course_run(&c, 300);
  params = c.learner->params;
  rng r;
  rng_init(&r, 3, RNG_TEST, 0);
  for (int i = 0; i < B * 3; i++) in[i] = (float)rng_normal(&r);
  for (int training = 0; training < 2; training++) {
    tensor *head;
    assert_int_equal(graph_new(&g[training], &(graph_config){DTYPE_F32, training, 1}, NULL),
                     GARAM_OK);
    actor_build(&head, &c.learner->actor,
                graph_input(g[training], "x", DTYPE_REAL, 3, (const int64_t[]){B, 1, 3}),
                &(net_scope){.name = ""});
    graph_output(g[training], "y", op_tanh(head));
    assert_int_equal(
        graph_compile(&p[training], g[training], &(plan_config){.params = params}, NULL), GARAM_OK);
    memcpy(plan_input(p[training], "x", NULL), in, sizeof in);
    assert_int_equal(plan_run(p[training], 0, NULL), GARAM_OK);
    out[training] = plan_output(p[training], "y", NULL);
  }
  for (int i = 0; i < B; i++) most = fmax(most, fabs((double)(out[0][i] - out[1][i])));
  for (int k = 0; k < 2; k++) {
    plan_free(p[k]);
    graph_free(g[k]);
  }
  course_close(&c);
  return most;
}

/* Batch norm and dropout in actors: the policy that learns is not the one that acts. Layer norm
 * has no such modes. */
static void actors_have_two_modes(void **state) {
  (void)state;
  const char *const small = "hidden=32 critic-hidden=32 start-steps=0 update-when=step ";
  char batch[256], dropout[256], layer[256];
  snprintf(batch, sizeof batch, "sketch %s dropout=0", small);
  snprintf(dropout, sizeof dropout, "sketch %s norm=none", small);
  snprintf(layer, sizeof layer, "%s norm=layer", small);
  assert_true(difference_of_modes(batch) > 1e-3);
  assert_true(difference_of_modes(dropout) > 1e-3);
  assert_true(difference_of_modes(layer) < 1e-6);
}

/* The shared buffer: half of all updates are of critics alone, which then value what no actor is
 * taught. Ours: one set of transitions, both losses. */
static void shared_buffer_teaches_critics_only(void **state) {
  (void)state;
  course sketch, ours;
  course_open(&sketch, &toy_other, "ddpg", SMALL "sharing=critics", 1, 500);
  course_open(&ours, &toy_other, "ddpg", SMALL, 1, 500);
  course_run(&sketch, 500);
  course_run(&ours, 500);
  assert_int_equal(sketch.learner->counts[COUNT_UPDATES],
                   2 * sketch.learner->counts[COUNT_ACTOR_UPDATES]);
  assert_int_equal(ours.learner->counts[COUNT_UPDATES], ours.learner->counts[COUNT_ACTOR_UPDATES]);
  /* An update from others' experience moves critics, and no actor. */
  const size_t at = sketch.learner->critic_at, rest = sketch.learner->block - at;
  float *before = mem_array(sketch.learner->block, sizeof *before);
  memcpy(before, sketch.learner->params, sketch.learner->block * sizeof *before);
  sketch.learner->config.policy_delay = 1 << 30; /* the update's own part of actors left out */
  assert_int_equal(off_policy_update(sketch.learner, NULL), GARAM_OK);
  assert_memory_equal(before, sketch.learner->params, at * sizeof *before);
  assert_true(memcmp(before + at, sketch.learner->params + at, rest * sizeof *before) != 0);
  mem_free(before);
  course_close(&sketch);
  course_close(&ours);
}

static double value_of(const env_ops *world, const char *settings, uint64_t steps) {
  course c;
  course_open(&c, world, "ddpg", settings, 1, steps);
  course_run(&c, steps - 200);
  course_metric(&c, "value");
  course_run(&c, 200);
  const double value = course_metric(&c, "value");
  course_close(&c);
  return value;
}

/* done = any(dones): a cut is taken for an end, so a world that goes on for ever is worth what is
 * left of five steps (3.2 on average); and one agent's leaving ends the other's returns. Ours
 * bootstraps through the cut, to 1 / (1 - 0.9), agent by agent. */
static void any_end_ends_everyone(void **state) {
  (void)state;
  const char *const ours = SMALL "gamma=0.9 tau=0.05", *const sketch =
                                                           SMALL "gamma=0.9 tau=0.05 done=any";
  const double cut = value_of(&toy_forever, sketch, 2500), on = value_of(&toy_forever, ours, 2500);
  assert_true(cut < 4.2);
  assert_true(fabs(on - 10) < 1);
  /* The leaver is worth 1, who stays 10: their mean, each weighed alike. Joined: 1 and less. */
  const double joined = value_of(&toy_leaver, sketch, 2500),
               apart = value_of(&toy_leaver, ours, 2500);
  assert_true(joined < 4);
  assert_true(apart > 4.5);
}

/* One update an episode: Pendulum's 1,000 steps teach five times. Ours: by a ratio. */
static void one_update_an_episode(void **state) {
  (void)state;
  course sketch, ours, half;
  const env_ops *pendulum = env_find("Pendulum-v1", NULL);
  course_open(&sketch, pendulum, "ddpg", "sketch hidden=16 critic-hidden=16", 1, 1000);
  course_open(&ours, pendulum, "ddpg", "hidden=16 critic-hidden=16 start-steps=100", 1, 1000);
  course_open(&half, pendulum, "ddpg", "hidden=16 critic-hidden=16 start-steps=100 updates=0.5", 4,
              1000);
  course_run(&sketch, 1000);
  course_run(&ours, 1000);
  course_run(&half, 1000);
  assert_int_equal(sketch.learner->counts[COUNT_UPDATES], 5);
  assert_int_equal(ours.learner->counts[COUNT_UPDATES], 901);
  assert_int_equal(half.learner->counts[COUNT_UPDATES], 452);
  course_close(&sketch);
  course_close(&ours);
  course_close(&half);
}

static double loss_of(const char *name, const char *settings) {
  course c;
  course_open(&c, &toy_other, name, settings, 1, 2000);
  course_run(&c, 1800);
  course_metric(&c, "critic_loss");
  course_run(&c, 200);
  const double loss = course_metric(&c, "critic_loss");
  course_close(&c);
  return loss;
}

/* Independent critics: what others do is noise to them; uniform actions leave a third of variance
 * for each of two agents. Centralised ones see it. */
static void independent_critics_are_blind(void **state) {
  (void)state;
  const char *const random = SMALL "start-steps=100 noise-scale=3";
  assert_true(loss_of("ddpg", random) > 0.3);
  assert_true(loss_of("maddpg", random) < 0.02);
}

/* Checkpoints of networks and targets alone: what goes on from one is another run. Each part that
 * the sketch left out is lost in turn. off_policy_test.c shows that ours goes on to the bit. */
static void checkpoints_left_out_what_matters(void **state) {
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "/tmp/sketch_test.%d", (int)getpid());
  enum { NONE, MOMENTS, NOISE, REPLAY, GENERATOR, N_LOSSES };
  const env_ops *pendulum = env_find("Pendulum-v1", NULL);
  const char *const settings = "hidden=16 critic-hidden=16 start-steps=50 noise=ornstein-uhlenbeck";
  course a;
  package_writer *w;
  course_open(&a, pendulum, "ddpg", settings, 1, 600);
  course_run(&a, 240);
  assert_int_equal(package_writer_new(&w, NULL), GARAM_OK);
  assert_int_equal(a.agent->ops->save(a.agent, w, NULL), GARAM_OK);
  assert_int_equal(package_write(w, path, NULL), GARAM_OK);
  package_writer_free(w);
  char *world = mem_alloc(env_state_bytes(a.env));
  env_state_get(a.env, world);
  course_run(&a, 60);
  for (int lost = NONE; lost < N_LOSSES; lost++) {
    course b;
    package_reader *r;
    course_open(&b, pendulum, "ddpg", settings, 1, 600);
    assert_int_equal(package_open(&r, path, NULL), GARAM_OK);
    assert_int_equal(b.agent->ops->load(b.agent, r, NULL), GARAM_OK);
    package_close(r);
    env_state_set(b.env, world);
    b.steps = 240;
    optim_array moments[OPTIM_ARRAYS];
    off_policy *l = b.learner;
    if (lost == MOMENTS) {
      const size_t n = optim_adamw_state(moments, l->critic_optim);
      for (size_t i = 0; i < n; i++) memset(moments[i].data, 0, moments[i].bytes);
    }
    if (lost == NOISE) noise_reset(&l->noise, 0);
    if (lost == GENERATOR) memset(l->counts, 0, sizeof l->counts);
    if (lost == REPLAY) {
      const replay_config kept = {
          .capacity = 100000, .n = 1, .agents = 1, .observation = 3, .action = 1};
      replay_free(l->replay);
      assert_int_equal(replay_new(&l->replay, &kept, NULL), GARAM_OK);
    }
    course_run(&b, 60);
    const bool same = memcmp(a.learner->params, l->params, l->block * sizeof(float)) == 0;
    assert_int_equal(same, lost == NONE);
    course_close(&b);
  }
  mem_free(world);
  course_close(&a);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(averaged_actions_cannot_differ),
      cmocka_unit_test(shares_flip_signs),
      cmocka_unit_test(actors_have_two_modes),
      cmocka_unit_test(shared_buffer_teaches_critics_only),
      cmocka_unit_test(any_end_ends_everyone),
      cmocka_unit_test(one_update_an_episode),
      cmocka_unit_test(independent_critics_are_blind),
      cmocka_unit_test(checkpoints_left_out_what_matters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
