/* Reinforcement learning as users do it: learn, judge, look, compare; cut off by Ctrl-C and by
 * kill -9, and gone on from; and what they get wrong. */
#include "tests/journeys/journey.h"

/* Small nets and few passes, since sanitizers make a step of learning fifty times as long. */
#define LIGHT "--hidden 16,16 --epochs 4 --quiet "
#define SMALL "--env CartPole-v1 --agent ppo --steps 8000 --episodes 10 --eval-episodes 5 " LIGHT
#define LONG                                                                                       \
  "rl train --env CartPole-v1 --agent ppo --steps 24000 --seeds 3 --eval-every 2000 "              \
  "--eval-episodes 5 --episodes 10 " LIGHT "--out "

static int setup(void **state) {
  journey_setup(state);
  journey *j = *state;
  journey_ok(j, "rl train " SMALL "--out policy.safetensors");
  journey_write(j, "text.json", "{\"env\": 3}", 10);
  journey_write(j, "broken.safetensors", "nonsense", 8);
  journey_ok(j, "simulate --rows 1500 --seed 2 --out market.csv --quiet");
  journey_ok(j, "train market.csv --model linear --out linear.safetensors --quiet");
  return 0;
}

static double number(const json_t *o, const char *key) {
  json_t *value = json_object_get(o, key);
  if (!json_is_number(value)) fail_msg("no number \"%s\"", key);
  return json_number_value(value);
}

static void test_train(void **state) {
  journey *j = *state;
  journey_ok(j, "rl train " SMALL "--seeds 3 --json --out three.safetensors --report r.html "
                "--curve curve.jsonl");
  json_t *o = journey_json(j);
  static const char *const keys[] = {
      "steps", "seeds", "iqm", "ci_low", "ci_high", "steps_per_second", "seconds"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) number(o, keys[i]);
  assert_string_equal(json_string_value(json_object_get(o, "env")), "CartPole-v1");
  assert_string_equal(json_string_value(json_object_get(o, "agent")), "ppo");
  assert_string_equal(json_string_value(json_object_get(o, "preset")), "CartPole-v1");
  assert_int_equal(json_array_size(json_object_get(o, "returns")), 3);
  assert_true(number(o, "ci_low") <= number(o, "iqm") && number(o, "iqm") <= number(o, "ci_high"));
  assert_true(number(o, "iqm") > 30);
  journey_write(j, "three.json", j->out, strlen(j->out));
  json_decref(o);
  assert_false(journey_has(j, "three.safetensors.checkpoint"));

  char path[256];
  journey_path(path, j, "r.html");
  char *html = journey_slurp(path);
  static const char *const parts[] = {"ppo in CartPole-v1", "Learning",          "Every seed",
                                      "class=\"frames\"",   "class=\"band s1\"", "</html>"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (!strstr(html, parts[i])) fail_msg("no %s in the report", parts[i]);
  free(html);
  journey_path(path, j, "curve.jsonl");
  char *curve = journey_slurp(path);
  size_t lines = 0;
  for (const char *at = curve; (at = strchr(at, '\n')); at++) lines++;
  free(curve);
  assert_int_equal(lines, 3 * 10);
}

/* The same bytes for any number of threads; another seed gives others. */
static void test_threads(void **state) {
  journey *j = *state;
  journey_ok(j, "rl train " SMALL "--seeds 3 --threads 1 --out one.safetensors");
  journey_ok(j, "rl train " SMALL "--seeds 3 --threads 4 --out four.safetensors");
  journey_ok(j, "rl train " SMALL "--seeds 3 --seed 2 --out other.safetensors");
  assert_true(journey_same_files(j, "one.safetensors", "four.safetensors"));
  assert_false(journey_same_files(j, "one.safetensors", "other.safetensors"));
}

static void test_use(void **state) {
  journey *j = *state;
  journey_ok(j, "rl evaluate policy.safetensors --seeds 4 --episodes 5 --json");
  json_t *o = journey_json(j);
  assert_int_equal(json_array_size(json_object_get(o, "returns")), 4);
  assert_string_equal(json_string_value(json_object_get(o, "agent")), "ppo");
  json_decref(o);
  journey_ok(j, "rl evaluate --env CartPole-v1 --agent random --seeds 3 --json");
  o = journey_json(j);
  assert_true(number(o, "iqm") > 18 && number(o, "iqm") < 27); /* 22 is chance */
  journey_write(j, "random.json", j->out, strlen(j->out));
  json_decref(o);

  journey_ok(j, "rl play policy.safetensors --json");
  size_t lines = 0;
  for (const char *at = j->out; (at = strchr(at, '\n')); at++) lines++;
  char *last = strrchr(j->out, '{');
  assert_non_null(last);
  json_t *end = json_loads(last, 0, NULL);
  assert_int_equal(lines, (size_t)number(end, "steps") + 1);
  json_decref(end);
  journey_ok(j, "rl play policy.safetensors --out play.html --frames 4 --quiet");
  assert_true(journey_has(j, "play.html"));

  journey_ok(j, "rl compare policy.safetensors random.json --episodes 5 --json --report c.html");
  o = journey_json(j);
  assert_int_equal(json_array_size(json_object_get(o, "players")), 2);
  json_t *better = json_array_get(json_object_get(o, "improvement"), 0);
  assert_true(number(better, "probability") > 0.9);
  assert_int_equal(json_array_size(json_object_get(json_object_get(o, "profiles"), "players")), 2);
  json_decref(o);
  assert_true(journey_has(j, "c.html"));
  /* Where there are two sides, everyone plays everyone. */
  journey_ok(j, "rl train --env simple_adversary --agent ppo --steps 2000 --episodes 2 "
                "--eval-episodes 2 --quiet --out first.safetensors");
  journey_ok(j, "rl train --env simple_adversary --agent ppo --steps 2000 --episodes 2 --seed 2 "
                "--eval-episodes 2 --quiet --out second.safetensors");
  journey_ok(j, "rl compare first.safetensors second.safetensors --episodes 8 --seeds 2 --json");
  o = journey_json(j);
  json_t *cross = json_object_get(o, "cross_play"), *elo = json_object_get(cross, "elo");
  assert_int_equal(json_array_size(json_object_get(cross, "score")), 2);
  assert_int_equal(json_array_size(elo), 2);
  const double sum =
      json_number_value(json_array_get(elo, 0)) + json_number_value(json_array_get(elo, 1));
  assert_true(sum > 2999 && sum < 3001);
  json_decref(o);

  journey_ok(j, "rl list --json");
  o = journey_json(j);
  assert_true(json_array_size(json_object_get(o, "environments")) > 5);
  assert_true(json_array_size(json_object_get(o, "agents")) > 0);
  json_decref(o);
}

/* The example is a host with a world of its own. */
static void test_example(void **state) {
  journey *j = *state;
  char line[512], text[4096];
  snprintf(line, sizeof line, "cd %s && $(dirname $GARAM_COMMAND)/examples/own_environment",
           j->folder);
  FILE *f = popen(line, "r");
  assert_non_null(f);
  text[fread(text, 1, sizeof text - 1, f)] = 0;
  assert_int_equal(pclose(f), 0);
  assert_non_null(strstr(text, "\"env\": \"harbour\""));
  assert_non_null(strstr(text, "at +2 it steers -1, at -2 +1"));
}

static bool has_checkpoint(journey *j, const char *folder) {
  char name[128];
  snprintf(name, sizeof name, "%s/seed-000.safetensors", folder);
  return journey_has(j, name);
}

static void wait_for_checkpoint(journey *j, const char *folder) {
  for (int i = 0; i < 6000 && !has_checkpoint(j, folder); i++) {
    journey_sleep_ms(5);
    if (kill(j->pid, 0) != 0) return;
  }
}

static void test_cut_off(void **state) {
  journey *j = *state;
  journey_ok(j, LONG "whole.safetensors");
  journey_start(j, LONG "cut.safetensors");
  wait_for_checkpoint(j, "cut.safetensors.checkpoint");
  kill(j->pid, SIGINT);
  journey_wait(j);
  if (j->code == 1) {
    assert_non_null(strstr(j->err, "interrupted"));
    assert_non_null(strstr(j->err, "--resume"));
    assert_false(journey_has(j, "cut.safetensors"));
    /* Another agent, world or length is not gone on from. */
    static const char *const others[] = {
        "--env CartPole-v1 --agent mappo --steps 24000",
        "--env Acrobot-v1 --agent ppo --steps 24000", "--env CartPole-v1 --agent ppo --steps 25000",
        "--env CartPole-v1 --agent ppo --steps 24000 --learning-rate 0.1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
      char line[512];
      snprintf(line, sizeof line,
               "rl train %s --seeds 3 --eval-every 2000 --eval-episodes 5 --episodes 10 " LIGHT
               "--out cut.safetensors --resume",
               others[i]);
      journey_run(j, line);
      assert_int_equal(j->code, 1);
      if (!strstr(j->err, "belongs to another run")) fail_msg("%s: %s", others[i], j->err);
    }
  }
  /* Killed again and again, at any moment. */
  for (int i = 0; i < 4 && !journey_has(j, "cut.safetensors"); i++) {
    journey_start(j, LONG "cut.safetensors --resume");
    journey_sleep_ms(50 + 90 * i);
    kill(j->pid, SIGKILL);
    journey_wait(j);
  }
  if (!journey_has(j, "cut.safetensors"))
    journey_ok(j, LONG "cut.safetensors --resume --threads 1");
  assert_true(journey_same_files(j, "whole.safetensors", "cut.safetensors"));
}

static const journey_refusal bad[] = {
    {"rl", 2, "train|list"},
    {"rl tran", 2, "tran|did you mean \"train\""},
    {"rl train --agent ppo", 2, "--env"},
    {"rl train --env CartPole-v1", 2, "--agent"},
    {"rl train --env CartPole --agent ppo", 2, "CartPole|did you mean \"CartPole-v1\""},
    {"rl train --env CartPole-v1 --agent poo", 2, "poo|did you mean"},
    {"rl train --env CartPole-v1 --agent ppo --preset huge", 2, "--preset|CartPole-v1"},
    {"rl train --env CartPole-v1 --agent ppo --stepz 3", 2, "--stepz|did you mean --steps"},
    {"rl train --env CartPole-v1 --agent ppo --steps 0", 2, "--steps|outside"},
    {"rl train --env CartPole-v1 --agent ppo --seeds many", 2, "--seeds|many"},
    {"rl train --env CartPole-v1 --agent ppo --out nowhere/p.safetensors", 1, "nowhere"},
    {"rl train --env CartPole-v1 --agent ppo --out .", 1, "folder"},
    {"rl evaluate", 2, "policy|--env"},
    {"rl evaluate nothing.safetensors", 1, "nothing.safetensors"},
    {"rl evaluate broken.safetensors", 1, "broken.safetensors"},
    {"rl evaluate linear.safetensors", 1, "linear.safetensors"},
    {"rl evaluate policy.safetensors --env Pendulum-v1", 1, "policy.safetensors|Pendulum-v1"},
    {"rl evaluate policy.safetensors --agent random", 2, "one of them"},
    {"rl evaluate --env CartPole-v1 --agent twop", 2, "twop|random"},
    {"rl play policy.safetensors --episode x", 2, "--episode"},
    {"rl play policy.safetensors --out nowhere/p.html", 1, "nowhere"},
    {"rl compare", 2, "operand"},
    {"rl compare text.json", 1, "text.json|env"},
    {"rl compare nothing.json", 1, "nothing.json"},
    {"export policy.safetensors --format lightgbm --out o.txt", 1, "policy.safetensors|onnx"},
    {"evaluate policy.safetensors market.csv", 1, "policy.safetensors|garam rl evaluate"},
    {"options CartPole-v2", 2, "CartPole-v2"},
};

static void test_bad(void **state) {
  journey *j = *state;
  assert_int_equal(journey_refuses(j, bad, sizeof bad / sizeof *bad), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bad), cmocka_unit_test(test_train),   cmocka_unit_test(test_threads),
      cmocka_unit_test(test_use), cmocka_unit_test(test_cut_off), cmocka_unit_test(test_example),
  };
  return cmocka_run_group_tests_name("rl", tests, setup, journey_teardown);
}
