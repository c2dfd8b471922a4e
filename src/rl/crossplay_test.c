/* Tournaments: a policy against itself under another name is a draw, and the table is what the
 * episodes were. */
#include "rl/agent_list.h"
#include "rl/crossplay.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static env *world(const char *name, const char *prey, size_t n) {
  const env_ops *ops = env_find(name, NULL);
  void *config = calloc(1, ops->config_size);
  opt_defaults(ops->options, ops->n_options, config);
  if (prey)
    assert_int_equal(
        opt_set_text(opt_find(ops->options, ops->n_options, "prey"), config, prey, NULL), GARAM_OK);
  env *e;
  assert_int_equal(env_new(&e, ops, config, &(env_setup){.n = n, .seed = 5}, NULL), GARAM_OK);
  free(config);
  return e;
}

/* Its parameters are what the seed draws: policies that do different things. */
static agent *untrained(const env *e, uint64_t seed) {
  void *config = calloc(1, agent_mappo.config_size);
  opt_defaults(agent_mappo.options, agent_mappo.n_options, config);
  agent *a;
  assert_int_equal(agent_mappo.create(&a, config, &(agent_setup){&e->shape, 1, 100, seed}, NULL),
                   GARAM_OK);
  free(config);
  return a;
}

static void test_table(void **state) {
  (void)state;
  enum { P = 3, E = 20 };
  env *e = world("simple_tag", "agent", 8);
  agent *a = untrained(e, 1), *b = untrained(e, 2), *again = untrained(e, 1);
  policy *const players[P] = {agent_mappo.policy(a), agent_mappo.policy(b),
                              agent_mappo.policy(again)};
  crossplay x;
  assert_int_equal(crossplay_run(&x, e, players, P, E, NULL), GARAM_OK);
  assert_string_equal(x.home_team, "adversary");
  for (int j = 0; j < P; j++) {
    assert_true(x.home[j] == x.home[2 * P + j] && x.away[j * P] == x.away[j * P + 2]);
    assert_true(x.score[j * P + j] == 0 && x.games[j * P + j] == 0);
  }
  assert_true(x.score[2] == E / 2.0 && x.games[2] == E);
  assert_true(fabs(x.rating[0] - x.rating[2]) < 1e-6);
  assert_true(fabs(x.rating[0] + x.rating[1] + x.rating[2] - 4500) < 1e-6);
  for (int i = 0; i < P; i++)
    for (int j = 0; j < P; j++) {
      double home = 0;
      for (int k = 0; k < E; k++) home += x.returns[((i * P + j) * E + k) * 2] / E;
      assert_true(fabs(home - x.home[i * P + j]) < 1e-12);
      if (i != j) assert_true(fabs(x.score[i * P + j] + x.score[j * P + i] - E) < 1e-12);
    }
  /* The first episode of the first player as hunter against the second as prey, by hand. */
  float action[8 * 4], other[8 * 4];
  for (size_t w = 0; w < 8; w++) env_reset_world(e, w, 0);
  do {
    assert_int_equal(policy_act(players[0], e->batch.observation, NULL, 8, action, NULL), GARAM_OK);
    assert_int_equal(policy_act(players[1], e->batch.observation, NULL, 8, other, NULL), GARAM_OK);
    for (int i = 0; i < 8 * 4; i++) e->batch.action[i] = i % 4 < 3 ? action[i] : other[i];
    assert_int_equal(env_step(e, NULL), GARAM_OK);
  } while (!e->batch.ended[0]);
  assert_true(fabs(e->batch.last_return[3] - x.returns[(1 * E + 0) * 2 + 1]) < 1e-12);
  crossplay_deinit(&x);
  agent_mappo.destroy(a);
  agent_mappo.destroy(b);
  agent_mappo.destroy(again);
  env_free(e);
}

static void test_refusals(void **state) {
  (void)state;
  garam_error err = {0};
  crossplay x;
  env *alone = world("simple_spread", NULL, 2), *tag = world("simple_tag", "agent", 2);
  agent *a = untrained(alone, 1);
  policy *const players[1] = {agent_mappo.policy(a)};
  assert_int_equal(crossplay_run(&x, alone, players, 1, 2, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "two teams"));
  assert_int_equal(crossplay_run(&x, tag, players, 1, 2, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "player 0"));
  agent_mappo.destroy(a);
  env_free(alone);
  env_free(tag);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
