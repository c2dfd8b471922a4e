/* The public headers of reinforcement learning, as a host uses them: a world of one's own, learnt
 * in, judged and acted in; stopped and gone on from; and what a host gets wrong. */
#include "garam/rl.h"

#include "base/json.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], package[128];

static int setup(void **state) {
  (void)state;
  strcpy(folder, "/tmp/garam-rl-api-XXXXXX");
  if (!mkdtemp(folder)) return -1;
  snprintf(package, sizeof package, "%s/p.safetensors", folder);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

static void check(garam_status status, const garam_error *err) {
  if (status != GARAM_OK) fail_msg("%s", err->message);
}

/* Two bodies: one says by a choice on which side the other's number is to be. */
typedef struct pair {
  double wanted;
  int n;
} pair;

static int spoil_at;

static void pair_reset(void *context, void *world, garam_random *random, float *observation) {
  pair *p = world;
  assert_true(context == &spoil_at);
  assert_int_equal(p->n, 0);
  p->wanted = garam_random_uniform(random) < 0.5 ? -1 : 1;
  observation[0] = observation[3] = (float)p->wanted;
}

static void pair_step(void *context, void *world, garam_random *random, const float *action,
                      float *observation, float *reward, uint8_t *terminated) {
  pair *p = world;
  (void)context;
  const double told = action[0] > 0 ? 1 : -1, done = (double)action[2];
  reward[0] = told * p->wanted > 0 ? 1 : 0;
  reward[1] = (float)(1 - fabs(done - p->wanted));
  if (spoil_at > 0 && p->n == spoil_at) reward[1] = (float)NAN;
  p->n++;
  p->wanted = garam_random_uniform(random) < 0.5 ? -1 : 1;
  observation[0] = observation[3] = (float)p->wanted;
  observation[4] = (float)told;
  terminated[0] = terminated[1] = p->n == 20;
}

static const float low[2] = {-2, -2}, high[2] = {2, 2};
static const garam_env_agent bodies[] = {
    {.name = "teller", .team = "team", .observation = 1, .choices = 2},
    {.name = "doer", .team = "team", .observation = 3, .action = 2, .low = low, .high = high}};

static garam_env pairs(void) {
  return (garam_env){.name = "pairs",
                     .n_agents = 2,
                     .agents = bodies,
                     .world_bytes = sizeof(pair),
                     .context = &spoil_at,
                     .reset = pair_reset,
                     .step = pair_step};
}

static int count(void *context, const garam_rl_progress *p) {
  int *calls = context;
  calls[p->seed < 0 ? 0 : 1]++;
  assert_true(p->steps <= p->of);
  assert_true((p->seed < 0) == (isnan(p->held_out) != 0));
  return 0;
}

static void test_own_world(void **state) {
  (void)state;
  garam_error err = {0};
  garam_env host = pairs();
  char config[256], *result;
  int calls[2] = {0, 0};
  snprintf(
      config, sizeof config,
      "{\"agent\": \"ppo\", \"steps\": 20000, \"seeds\": 2, \"episodes\": 20, \"out\": \"%s\"}",
      package);
  check(garam_rl_train(config, &host, count, calls, &result, &err), &err);
  assert_true(calls[0] > 0);
  assert_int_equal(calls[1], 20); /* ten evaluations of two seeds */
  json_t *o = json_loads(result, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(o, "env")), "pairs");
  assert_true(json_number_value(json_object_get(o, "iqm")) > 10); /* chance: 5 or less; best 20 */
  json_decref(o);
  garam_free(result);

  check(garam_rl_evaluate(package, &host, "{\"seeds\": 2, \"episodes\": 10}", &result, &err), &err);
  o = json_loads(result, 0, NULL);
  assert_int_equal(json_array_size(json_object_get(o, "returns")), 2);
  json_decref(o);
  garam_free(result);

  garam_policy *p;
  check(garam_policy_open(&p, package, &err), &err);
  assert_int_equal(garam_policy_n_agents(p), 2);
  assert_int_equal(garam_policy_observation_width(p), 3);
  assert_int_equal(garam_policy_action_width(p), 2);
  const float seen[12] = {1, 0, 0, 1, 0, 0, -1, 0, 0, -1, 0, 0};
  float done[8];
  check(garam_policy_act(p, seen, 2, done, &err), &err);
  for (int i = 0; i < 8; i++) assert_true(done[i] >= -2 && done[i] <= 2);
  assert_true(done[0] == 1 && done[4] == 0);
  garam_policy_close(p);

  /* Elsewhere it is refused: another world's shape, or one that nobody knows. */
  assert_int_equal(garam_rl_evaluate(package, NULL, NULL, NULL, &err), GARAM_NOT_FOUND);
  assert_non_null(strstr(err.message, "pairs"));
  host.n_agents = 1;
  assert_int_equal(garam_rl_evaluate(package, &host, NULL, NULL, &err), GARAM_MISMATCH);
}

static int stop_later(void *context, const garam_rl_progress *p) {
  (void)context;
  return p->steps > 6000;
}

static void test_stop_and_resume(void **state) {
  (void)state;
  garam_error err = {0};
  char config[2][300], *result[2];
  const garam_env host = pairs();
  for (int i = 0; i < 2; i++)
    snprintf(config[i], sizeof config[i],
             "{\"agent\": \"ppo\", \"steps\": 16000, \"episodes\": 5, \"resume\": %s, "
             "\"out\": \"%s/%s\"}",
             i ? "true" : "false", folder, i ? "cut" : "whole");
  check(garam_rl_train(config[0], &host, NULL, NULL, &result[0], &err), &err);
  assert_int_equal(garam_rl_train(config[1], &host, stop_later, NULL, NULL, &err),
                   GARAM_INTERRUPTED);
  check(garam_rl_train(config[1], &host, NULL, NULL, &result[1], &err), &err);
  json_t *a = json_loads(result[0], 0, NULL), *b = json_loads(result[1], 0, NULL);
  static const char *const same[] = {"sha256", "returns", "curve", "last", "best"};
  for (size_t i = 0; i < sizeof same / sizeof *same; i++)
    if (!json_equal(json_object_get(a, same[i]), json_object_get(b, same[i])))
      fail_msg("another \"%s\"", same[i]);
  json_decref(a);
  json_decref(b);
  garam_free(result[0]);
  garam_free(result[1]);
}

static void test_errors(void **state) {
  (void)state;
  static const struct {
    const char *config;
    garam_status status;
    const char *message;
  } bad[] = {
      {"{", GARAM_PARSE, "config:1"},
      {"[]", GARAM_PARSE, "object"},
      {"{}", GARAM_INVALID, "agent"},
      {"{\"agent\": \"poo\"}", GARAM_NOT_FOUND, "ppo"},
      {"{\"agent\": \"ppo\", \"stepz\": 3}", GARAM_NOT_FOUND, "steps"},
      {"{\"agent\": \"ppo\", \"steps\": \"many\"}", GARAM_INVALID, "steps"},
      {"{\"agent\": \"ppo\", \"out\": \"/nowhere/p\"}", GARAM_IO, "/nowhere"},
  };
  garam_env host = pairs();
  garam_error err = {0};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char *result = folder;
    const garam_status status = garam_rl_train(bad[i].config, &host, NULL, NULL, &result, &err);
    if (status != bad[i].status || !strstr(err.message, bad[i].message))
      fail_msg("%s: %d, %s", bad[i].config, status, err.message);
    assert_null(result);
  }
  char config[256];
  snprintf(config, sizeof config, "{\"agent\": \"ppo\", \"steps\": 5000, \"out\": \"%s/bad\"}",
           folder);
  spoil_at = 7;
  assert_int_equal(garam_rl_train(config, &host, NULL, NULL, NULL, &err), GARAM_NUMERIC);
  spoil_at = 0;
  static const char *const parts[] = {"pairs", "doer", "step 8", "a reward is not finite"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (!strstr(err.message, parts[i])) fail_msg("no \"%s\" in %s", parts[i], err.message);
  host.step = NULL;
  assert_int_equal(garam_rl_train(config, &host, NULL, NULL, NULL, &err), GARAM_INVALID);
  host = pairs();
  host.n_agents = 65;
  assert_int_equal(garam_rl_train(config, &host, NULL, NULL, NULL, &err), GARAM_INVALID);
  garam_policy *p;
  assert_int_equal(garam_policy_open(&p, "/nowhere/p", &err), GARAM_NOT_FOUND);
  assert_null(p);
  garam_policy_close(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_own_world),
      cmocka_unit_test(test_stop_and_resume),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests_name("api.rl", tests, setup, teardown);
}
