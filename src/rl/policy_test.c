/* Policies: bounds and choices, packages that come back to the bit, what is refused, and the
 * normaliser that stands before them. */
#include "rl/policy_inner.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the normaliser ---- */

/* Batches of any size come to what all rows together have, far from zero too. */
static void batches_merge(void **state) {
  (void)state;
  enum { N = 1000, W = 3 };
  static float x[N * W], y[N * W];
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (int i = 0; i < N * W; i++) x[i] = (float)(1e4 * (i % W) + rng_normal(&r) * (1 + i % W));
  normalizer z;
  assert_int_equal(normalizer_init(&z, W, 2, NULL), GARAM_OK);
  normalizer_apply(&z, y, x, N); /* nothing is known: a copy */
  assert_memory_equal(x, y, sizeof x);
  for (size_t at = 0, n = 1; at < N; at += n, n = (at * 7 + 3) % 50 + 1)
    normalizer_update(&z, x + at * W, at + n <= N ? n : N - at);
  for (size_t k = 0; k < W; k++) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < N; i++) mean += (double)x[i * W + k] / N;
    for (size_t i = 0; i < N; i++) squares += pow((double)x[i * W + k] - mean, 2) / N;
    assert_true(fabs(z.mean[k] - mean) < 1e-8);
    assert_true(fabs(normalizer_deviation(&z, k) - sqrt(squares)) < 1e-6);
  }
  normalizer_apply(&z, x, x, N);
  float most = 0;
  for (int i = 0; i < N * W; i++) most = fmaxf(most, fabsf(x[i]));
  assert_true(most == 2);
  normalizer_deinit(&z);
}

/* ---- policies ---- */

enum { A = 3, O = 4, U = 2, N = 7 };
static const float low[U] = {-2, 1}, high[U] = {2, (float)INFINITY};
static const env_agent agents[A] = {
    {"a", "red", {ENV_BOX, 4, NULL, NULL}, {ENV_BOX, 2, low, high}},
    {"b", "red", {ENV_BOX, 4, NULL, NULL}, {ENV_BOX, 2, low, high}},
    {"chooser", "green", {ENV_BOX, 3, NULL, NULL}, {ENV_DISCRETE, 5, NULL, NULL}}};
static const env_shape shape = {
    .n_agents = A, .agents = agents, .observation_width = O, .action_width = U, .world_bytes = 1};

static actor_spec spec_of(int communication) {
  actor_spec s = {.shape = &shape, .box_head = ACTOR_SQUASHED, .choice_head = ACTOR_CATEGORICAL};
  opt_defaults(actor_options, actor_n_options, &s.config);
  s.config.communication = communication;
  return s;
}

static policy *fresh(const actor_spec *spec, const normalizer *z) {
  policy *p;
  garam_error err = {0};
  if (policy_new(&p, spec, NULL, NULL, z, &err) != GARAM_OK) fail_msg("%s", err.message);
  graph_param_init(p->graph, p->params, 3);
  p->own_version++;
  return p;
}

static void draw(float *x, size_t n) {
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  for (size_t i = 0; i < n; i++) x[i] = (float)(3 * rng_normal(&r));
}

static void actions_fit_their_spaces(void **state) {
  (void)state;
  const actor_spec spec = spec_of(ACTOR_COMMUNICATION_GATED);
  float x[N * A * O], y[N * A * U], one[A * U];
  uint8_t alive[N * A];
  policy *p = fresh(&spec, NULL);
  draw(x, COUNT_OF(x));
  memset(alive, 1, sizeof alive);
  alive[4] = alive[6 + 2] = 0;
  assert_int_equal(policy_act(p, x, alive, N, y, NULL), GARAM_OK);
  for (int i = 0; i < N; i++) {
    for (int a = 0; a < 2; a++) {
      const float *u = y + (i * A + a) * U;
      if (!alive[i * A + a]) assert_true(u[0] == 0 && u[1] == 0);
      else assert_true(u[0] >= -2 && u[0] <= 2 && u[1] >= -1 && u[1] <= 1); /* no upper bound */
    }
    const float *logits = policy_heads(p, 2) + i * 5, *choice = y + (i * A + 2) * U;
    for (int k = 0; k < 5; k++) assert_true(!alive[i * A + 2] || logits[(int)*choice] >= logits[k]);
    assert_true(choice[1] == 0);
  }
  assert_int_equal(policy_act(p, x + 3 * A * O, NULL, 1, one, NULL), GARAM_OK);
  for (int k = 0; k < A * U; k++) assert_true(fabsf(one[k] - y[3 * A * U + k]) < 1e-5f);
  const uint64_t before = mem_count();
  for (size_t n = 1; n <= N; n += N - 1)
    assert_int_equal(policy_act(p, x, NULL, n, y, NULL), GARAM_OK);
  assert_int_equal(mem_count() - before, 0);
  policy_free(p);
}

/* Parameters of the caller's: what it writes is what acts, once it has counted. */
static void borrowed_parameters_are_current(void **state) {
  (void)state;
  const actor_spec spec = spec_of(ACTOR_COMMUNICATION_NONE);
  policy *own = fresh(&spec, NULL), *p;
  const size_t bytes = graph_param_block(own->graph) * sizeof(float);
  float *params = mem_alloc_aligned(bytes, 64), x[A * O], y[A * U], z[A * U];
  uint64_t version = 0;
  memset(params, 0, bytes);
  assert_int_equal(policy_new(&p, &spec, params, &version, NULL, NULL), GARAM_OK);
  draw(x, COUNT_OF(x));
  assert_int_equal(policy_act(p, x, NULL, 1, y, NULL), GARAM_OK);
  assert_true(y[0] == 0);
  memcpy(params, own->params, bytes);
  version++;
  assert_int_equal(policy_act(p, x, NULL, 1, y, NULL), GARAM_OK);
  assert_int_equal(policy_act(own, x, NULL, 1, z, NULL), GARAM_OK);
  assert_memory_equal(y, z, sizeof y);
  policy_free(own);
  policy_free(p);
  mem_free_aligned(params);
}

static char *path_of(char out[64], const char *name) {
  snprintf(out, 64, "/tmp/policy_test.%d.%s", (int)getpid(), name);
  return out;
}

static void packages_come_back(void **state) {
  (void)state;
  for (int c = ACTOR_COMMUNICATION_NONE; c < ACTOR_COMMUNICATION_MATRIX; c++)
    for (size_t normal = 0; normal < 3; normal++) {
      const actor_spec spec = spec_of(c);
      char path[64], again[64];
      float x[N * A * O], y[N * A * U], z[N * A * U];
      normalizer seen;
      garam_error err = {0};
      draw(x, COUNT_OF(x));
      assert_int_equal(normalizer_init(&seen, normal == 1 ? O : O * A, 5, NULL), GARAM_OK);
      normalizer_update(&seen, x, COUNT_OF(x) / seen.width);
      policy *p = fresh(&spec, normal ? &seen : NULL), *q;
      json_t *record = json_pack("{s:{s:s}}", "env", "name", "Pendulum-v1");
      if (policy_save(p, record, path_of(path, "a"), &err) != GARAM_OK) fail_msg("%s", err.message);
      if (policy_load(&q, path, &err) != GARAM_OK) fail_msg("%s", err.message);
      assert_true(json_equal(policy_record(q), record));
      assert_int_equal(policy_parameters(q), policy_parameters(p));
      assert_int_equal(env_shape_match(policy_spec(q)->shape, &shape, NULL), GARAM_OK);
      assert_true(isinf(policy_spec(q)->shape->agents[0].action.high[1]));
      assert_int_equal(policy_act(p, x, NULL, N, y, NULL), GARAM_OK);
      assert_int_equal(policy_act(q, x, NULL, N, z, NULL), GARAM_OK);
      assert_memory_equal(y, z, sizeof y);
      assert_int_equal(policy_save(q, NULL, path_of(again, "b"), NULL), GARAM_OK);
      char one[IO_SHA256_TEXT], two[IO_SHA256_TEXT];
      assert_int_equal(io_sha256_file(one, path, NULL), GARAM_OK);
      assert_int_equal(io_sha256_file(two, again, NULL), GARAM_OK);
      assert_string_equal(one, two);
      policy_free(p);
      policy_free(q);
      normalizer_deinit(&seen);
      json_decref(record);
      unlink(path);
      unlink(again);
    }
}

/* The file with one text of its header replaced by another as long. */
static void replaced(const char *to, const char *from, const char *old, const char *new) {
  char *data;
  size_t size;
  assert_int_equal(io_read_file(&data, &size, from, 1 << 24, NULL), GARAM_OK);
  char *at = memmem(data, size, old, strlen(old));
  if (!at) fail_msg("no %s in the header", old);
  assert_int_equal(strlen(old), strlen(new));
  memcpy(at, new, strlen(new));
  assert_int_equal(io_write_file(to, data, size, NULL), GARAM_OK);
  mem_free(data);
}

static void strange_files_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *old, *new;
    garam_status status;
  } cases[] = {
      {"\\\"kind\\\":\\\"policy\\\"", "\\\"kind\\\":\\\"polizy\\\"", GARAM_MISMATCH},
      {"\\\"version\\\":1", "\\\"version\\\":9", GARAM_UNSUPPORTED},
      {"\\\"observation_width\\\":4", "\\\"observation_width\\\":3", GARAM_CORRUPT},
      {"\\\"hidden\\\":\\\"64,64\\\"", "\\\"hidden\\\":\\\"64,65\\\"", GARAM_MISMATCH},
      {"\\\"hidden\\\":\\\"64,64\\\"", "\\\"hidden\\\":\\\"64,6x\\\"", GARAM_CORRUPT},
      {"\\\"hidden\\\"", "\\\"hiddem\\\"", GARAM_CORRUPT},
      {"\\\"squashed\\\"", "\\\"squished\\\"", GARAM_CORRUPT},
      {"\\\"kind\\\":\\\"choices\\\"", "\\\"kind\\\":\\\"choises\\\"", GARAM_CORRUPT},
      {"actor.a.0.weight", "actor.q.0.weight", GARAM_NOT_FOUND},
  };
  const actor_spec spec = spec_of(ACTOR_COMMUNICATION_NONE);
  char path[64], bad[64];
  policy *p = fresh(&spec, NULL), *q;
  assert_int_equal(policy_save(p, NULL, path_of(path, "good"), NULL), GARAM_OK);
  path_of(bad, "bad");
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    garam_error err = {0};
    replaced(bad, path, cases[i].old, cases[i].new);
    const garam_status status = policy_load(&q, bad, &err);
    assert_null(q);
    assert_int_not_equal(status, GARAM_OK);
    if (strstr(err.message, bad) == NULL) fail_msg("%s: %s", cases[i].new, err.message);
    if (status != cases[i].status && cases[i].status != GARAM_NOT_FOUND)
      fail_msg("%s: %d, %s", cases[i].new, (int)status, err.message);
  }
  p->params[0] = NAN;
  assert_int_equal(policy_save(p, NULL, bad, NULL), GARAM_OK);
  assert_int_not_equal(policy_load(&q, bad, NULL), GARAM_OK);
  policy_free(p);
  unlink(path);
  unlink(bad);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(batches_merge),
      cmocka_unit_test(actions_fit_their_spaces),
      cmocka_unit_test(borrowed_parameters_are_current),
      cmocka_unit_test(packages_come_back),
      cmocka_unit_test(strange_files_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
