/* What drives agents, with an agent of a few lines: held-out evaluation, what is kept, runs cut
 * off anywhere that go on to the bit, any number of threads, and what is refused. */
#include "rl/experiment.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rl/agent_fake.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int setup_folder(void **state) {
  (void)state;
  strcpy(folder, "/tmp/garam-experiment-XXXXXX");
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

static const env_ops *cartpole(void) {
  garam_error err = {0};
  const env_ops *ops = env_find("CartPole-v1", &err);
  assert_non_null(ops);
  return ops;
}

typedef struct watch {
  int rows;
  uint64_t steps, stop_at; /* stop_at 0: never */
} watch;

static void on_row(void *context, int seed, const loop_curve *curve) {
  watch *w = context;
  assert_true(seed >= 0 && curve->n > 0);
  w->rows++;
}

static void on_steps(void *context, uint64_t steps) {
  ((watch *)context)->steps = steps;
}

static bool interrupted(void *context) {
  const watch *w = context;
  return w->stop_at > 0 && w->steps >= w->stop_at;
}

static fake_config fake;
static experiment_config config;

static experiment_setup setup_of(watch *w, const char *where, bool resume) {
  opt_defaults(fake_options, COUNT_OF(fake_options), &fake);
  opt_defaults(experiment_options, experiment_n_options, &config);
  config.steps = 6000;
  config.seeds = 3;
  config.eval_every = 1000;
  config.eval_episodes = 5;
  config.episodes = 10;
  return (experiment_setup){.env = cartpole(),
                            .agent = &agent_fake,
                            .agent_config = &fake,
                            .config = &config,
                            .seed = 7,
                            .folder = where,
                            .resume = resume,
                            .on_row = on_row,
                            .on_steps = on_steps,
                            .interrupted = interrupted,
                            .context = w};
}

static void run(experiment_result *out, const experiment_setup *s) {
  garam_error err = {0};
  if (experiment_run(out, s, &err) != GARAM_OK) fail_msg("%s", err.message);
}

static bool same_but_time(const loop_curve *a, const loop_curve *b) {
  if (a->n != b->n || a->n_metrics != b->n_metrics) return false;
  for (size_t i = 0; i < a->n; i++) {
    loop_row x = a->rows[i], y = b->rows[i];
    x.train_seconds = x.evaluate_seconds = y.train_seconds = y.evaluate_seconds = 0;
    if (memcmp(&x, &y, sizeof x) != 0) return false;
  }
  return true;
}

static void assert_same(const experiment_result *a, const experiment_result *b) {
  assert_memory_equal(a->returns, b->returns, (size_t)a->n_seeds * sizeof *a->returns);
  assert_memory_equal(a->last_returns, b->last_returns,
                      (size_t)a->n_seeds * sizeof *a->last_returns);
  assert_int_equal(a->best, b->best);
  for (int k = 0; k < a->n_seeds; k++)
    assert_true(same_but_time(&a->seeds[k].curve, &b->seeds[k].curve));
}

static char *policy_digest(int seed) {
  static char digest[3][IO_SHA256_TEXT];
  char *path = experiment_policy_path(folder, seed);
  garam_error err = {0};
  if (io_sha256_file(digest[seed], path, &err) != GARAM_OK) fail_msg("%s", err.message);
  mem_free(path);
  return digest[seed];
}

static void test_whole(void **state) {
  (void)state;
  watch w = {0};
  experiment_setup s = setup_of(&w, folder, false);
  experiment_result r;
  run(&r, &s);
  assert_int_equal(r.worlds, 4); /* as the agent likes */
  assert_int_equal(w.rows, 3 * 6);
  assert_true(r.iqm.low <= r.iqm.value && r.iqm.value <= r.iqm.high);
  assert_true(r.steps_per_second > 0);
  assert_string_equal(r.team, "cart");
  for (int k = 0; k < 3; k++) {
    const loop_result *one = &r.seeds[k];
    assert_int_equal(one->curve.n, 6);
    assert_int_equal(one->judged.n_episodes, 10);
    assert_true(one->curve.rows[0].train_episodes > 0);
    assert_true(one->curve.rows[5].metric[0] > one->curve.rows[0].metric[0]);
    /* What is kept has the highest lower bound; of equals the last. */
    for (size_t i = 0; i < 6; i++)
      assert_true(one->curve.rows[one->kept].low >= one->curve.rows[i].low);
  }
  assert_true(r.returns[r.best] > 40); /* chance is 22 */
  json_t *json = experiment_json(&r, &s);
  static const char *const keys[] = {"env", "agent",  "steps",   "seeds",           "returns",
                                     "iqm", "ci_low", "ci_high", "steps_per_second"};
  for (size_t i = 0; i < COUNT_OF(keys); i++) assert_non_null(json_object_get(json, keys[i]));
  json_decref(json);

  /* The best policy's file plays the episodes that were reported, to the digit. */
  char *path = experiment_policy_path(folder, r.best);
  policy *p;
  garam_error err = {0};
  if (policy_load(&p, path, &err) != GARAM_OK) fail_msg("%s", err.message);
  env *e;
  const env_setup again = {.n = 10, .seed = experiment_seed(7, (uint64_t)r.best, EXPERIMENT_JUDGE)};
  assert_int_equal(env_new(&e, cartpole(), NULL, &again, &err), GARAM_OK);
  evaluation v;
  assert_int_equal(evaluation_init(&v, e, 10, &err), GARAM_OK);
  const player who = player_policy(p);
  const uint64_t warm_up =
      (assert_int_equal(evaluation_run(&v, e, &who, &err), GARAM_OK), mem_count());
  assert_memory_equal(v.score, r.seeds[r.best].judged.score, 10 * sizeof *v.score);
  assert_int_equal(evaluation_run(&v, e, &who, &err), GARAM_OK);
  assert_int_equal(mem_count() - warm_up, 0);
  evaluation_deinit(&v);
  env_free(e);
  policy_free(p);
  mem_free(path);
  experiment_result_deinit(&r);
  experiment_clear(folder, 3);
  assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_threads(void **state) {
  (void)state;
  experiment_result r[3];
  for (int i = 0; i < 3; i++) {
    watch w = {0};
    const experiment_setup s = setup_of(&w, NULL, false);
    thread_set_count(i + 1);
    run(&r[i], &s);
    if (i > 0) assert_same(&r[0], &r[i]);
  }
  thread_set_count(0);
  for (int i = 0; i < 3; i++) experiment_result_deinit(&r[i]);
}

static void test_resume(void **state) {
  (void)state;
  watch w = {0};
  experiment_result whole, resumed;
  experiment_setup s = setup_of(&w, folder, false);
  char digests[3][IO_SHA256_TEXT];
  run(&whole, &s);
  for (int k = 0; k < 3; k++) strcpy(digests[k], policy_digest(k));
  experiment_clear(folder, 3);
  /* Cut off again and again, and each time it goes on. */
  garam_status status = GARAM_INTERRUPTED;
  int times = 0;
  for (uint64_t at = 1500; status == GARAM_INTERRUPTED; at += 3100, times++) {
    garam_error err = {0};
    w = (watch){.stop_at = at};
    s = setup_of(&w, folder, times > 0);
    thread_set_count(times % 2 + 1);
    status = experiment_run(&resumed, &s, &err);
    if (status == GARAM_INTERRUPTED) assert_non_null(strstr(err.message, "stopped after"));
    else if (status != GARAM_OK) fail_msg("%s", err.message);
  }
  thread_set_count(0);
  assert_true(times >= 4);
  assert_same(&whole, &resumed);
  for (int k = 0; k < 3; k++) assert_string_equal(digests[k], policy_digest(k));
  experiment_result_deinit(&resumed);
  /* One that is finished gives its answer again, and more seeds are added to it. */
  w = (watch){0};
  s = setup_of(&w, folder, true);
  config.seeds = 4;
  run(&resumed, &s);
  assert_int_equal(w.rows, 6); /* of the fourth alone */
  assert_memory_equal(whole.returns, resumed.returns, 3 * sizeof *whole.returns);
  experiment_result_deinit(&resumed);
  experiment_result_deinit(&whole);
  experiment_clear(folder, 4);
  assert_int_equal(mkdir(folder, 0700), 0);
}

/* A checkpoint of something else is refused, and what differs is named. */
static void test_other_run(void **state) {
  (void)state;
  watch w = {0};
  experiment_result r;
  experiment_setup s = setup_of(&w, folder, false);
  config.seeds = 1;
  run(&r, &s);
  experiment_result_deinit(&r);
  static const char *const named[] = {"step", "steps", "seed", "eval_every"};
  for (size_t i = 0; i < COUNT_OF(named); i++) {
    garam_error err = {0};
    s = setup_of(&w, folder, true);
    config.seeds = 1;
    if (i == 0) fake.step = 0.25;
    if (i == 1) config.steps = 7000;
    if (i == 2) s.seed = 8;
    if (i == 3) config.eval_every = 2000;
    assert_int_equal(experiment_run(&r, &s, &err), GARAM_MISMATCH);
    if (!strstr(err.message, named[i]) || !strstr(err.message, "belongs to another run"))
      fail_msg("%s: %s", named[i], err.message);
  }
  experiment_clear(folder, 1);
  assert_int_equal(mkdir(folder, 0700), 0);
}

static void test_not_finite(void **state) {
  (void)state;
  watch w = {0};
  experiment_result r;
  garam_error err = {0};
  experiment_setup s = setup_of(&w, NULL, false);
  fake.spoil = 2000;
  assert_int_equal(experiment_run(&r, &s, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "seed "));
  assert_non_null(strstr(err.message, "environment CartPole-v1"));
  assert_null(r.seeds);
}

/* Memory that runs out, once or for good, at places all over a run: a status, and nothing left. */
static void test_memory(void **state) {
  (void)state;
  thread_set_count(1);
  for (int once = 0; once < 2; once++) {
    bool done = false;
    for (size_t n = 0; !done; n += 1 + n / 8) {
      failing_allocator memory = {.fail_after = n, .once = once};
      watch w = {0};
      experiment_result r;
      garam_error err = {0};
      const experiment_setup s = setup_of(&w, folder, false);
      config.seeds = 1;
      config.steps = 400;
      config.eval_every = 200;
      failing_allocator_use(&memory);
      const garam_status status = experiment_run(&r, &s, &err);
      if (status == GARAM_OK) experiment_result_deinit(&r);
      garam_set_allocator(NULL);
      if (memory.n_blocks != 0) fail_msg("allocation %zu: %ld blocks are left", n, memory.n_blocks);
      if (memory.failed && status != GARAM_NO_MEMORY && status != GARAM_OK)
        fail_msg("allocation %zu: %s", n, err.message);
      done = !memory.failed;
      if (done) assert_int_equal(status, GARAM_OK);
    }
  }
  thread_set_count(0);
  experiment_clear(folder, 1);
  assert_int_equal(mkdir(folder, 0700), 0);
}

/* A world that goes wrong, and one that the agent cannot act in. */
static void nan_step(env *e, size_t begin, size_t end) {
  cartpole()->step(e, begin, end);
  if (e->batch.steps[begin] == 5) e->batch.reward[begin] = NAN;
}

static void test_bad_worlds(void **state) {
  (void)state;
  watch w = {0};
  experiment_result r;
  garam_error err = {0};
  experiment_setup s = setup_of(&w, NULL, false);
  env_ops bad = *cartpole();
  bad.name = "spoilt";
  bad.step = nan_step;
  s.env = &bad;
  assert_int_equal(experiment_run(&r, &s, &err), GARAM_NUMERIC);
  static const char *const parts[] = {"seed", "spoilt", "world", "agent cart", "a reward"};
  for (size_t i = 0; i < COUNT_OF(parts); i++)
    if (!strstr(err.message, parts[i])) fail_msg("no \"%s\" in %s", parts[i], err.message);
  agent_ops boxes = agent_fake;
  boxes.spaces = 1u << ENV_BOX;
  s = setup_of(&w, NULL, false);
  s.agent = &boxes;
  assert_int_equal(experiment_run(&r, &s, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "cannot act by choices"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole),      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_resume),     cmocka_unit_test(test_other_run),
      cmocka_unit_test(test_not_finite), cmocka_unit_test(test_bad_worlds),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests_name("rl.experiment", tests, setup_folder, teardown_folder);
}
