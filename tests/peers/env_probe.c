/* Steps worlds that another program has made up: how environments are compared with gymnasium's and
 * mpe2's (env_test.py). Built with the tests, not installed.
 *
 *   in   one line of JSON: {"env": NAME, "options": {...}, "seed": S, "worlds": n, "steps": T,
 *        "given": true}, then, when given, n worlds as they lie in memory and (n) int32, steps that
 *        they have taken; then T times (n, A, U) floats: actions
 *   out  one line of JSON: the shape; the worlds and (n, A, O) observations before the first step;
 *        then after each step: worlds, observations, last observations where an episode has ended,
 *        rewards (n, A), terminated, truncated (n, A), ended (n) */
#include "base/json.h"
#include "base/mem.h"
#include "rl/env.h"

#include <stdlib.h>
#include <string.h>

static void read_all(void *out, size_t bytes) {
  REQUIRE(fread(out, 1, bytes, stdin) == bytes, "env_probe: input ends early");
}

static void write_all(const void *in, size_t bytes) {
  REQUIRE(fwrite(in, 1, bytes, stdout) == bytes, "env_probe: output is full");
}

static void write_worlds(const env *e) {
  const env_batch *b = &e->batch;
  const size_t agents = b->n * (size_t)e->shape.n_agents;
  write_all(e->memory, b->n * e->shape.world_bytes);
  write_all(b->observation, agents * (size_t)e->shape.observation_width * sizeof(float));
}

static void write_step(const env *e) {
  const env_batch *b = &e->batch;
  const size_t agents = b->n * (size_t)e->shape.n_agents;
  write_worlds(e);
  write_all(b->final_observation, agents * (size_t)e->shape.observation_width * sizeof(float));
  write_all(b->reward, agents * sizeof(float));
  write_all(b->terminated, agents);
  write_all(b->truncated, agents);
  write_all(b->ended, b->n);
}

static int complain(const garam_error *err) {
  fprintf(stderr, "env_probe: %s\n", err->message);
  return 1;
}

int main(void) {
  garam_error err = {0};
  static char line[65536];
  REQUIRE(fgets(line, sizeof line, stdin), "env_probe: no first line");
  json_t *o = json_loads(line, 0, NULL);
  REQUIRE(o, "env_probe: the first line is no JSON");
  const env_ops *ops = env_find(json_string_value(json_object_get(o, "env")), &err);
  if (!ops) return complain(&err);
  void *config = mem_zalloc(ops->config_size + 1);
  REQUIRE(config, "env_probe: out of memory");
  if (ops->config_size) opt_defaults(ops->options, ops->n_options, config);
  json_t *options = json_object_get(o, "options");
  if (options && ops->config_size &&
      opt_from_json(ops->options, ops->n_options, config, options, "options", &err) != GARAM_OK)
    return complain(&err);
  const env_setup setup = {.n = (size_t)json_integer_value(json_object_get(o, "worlds")),
                           .seed = (uint64_t)json_integer_value(json_object_get(o, "seed"))};
  env *e;
  if (env_new(&e, ops, config, &setup, &err) != GARAM_OK) return complain(&err);
  const size_t agents = setup.n * (size_t)e->shape.n_agents;
  if (json_is_true(json_object_get(o, "given"))) {
    read_all(e->memory, setup.n * e->shape.world_bytes);
    read_all(e->batch.steps, setup.n * sizeof *e->batch.steps);
  }
  printf("{\"agents\": %d, \"observation\": %d, \"action\": %d, \"world_bytes\": %zu, "
         "\"max_steps\": %d}\n",
         e->shape.n_agents, e->shape.observation_width, e->shape.action_width, e->shape.world_bytes,
         e->shape.max_steps);
  write_worlds(e);
  const json_int_t steps = json_integer_value(json_object_get(o, "steps"));
  for (json_int_t t = 0; t < steps; t++) {
    read_all(e->batch.action, agents * (size_t)e->shape.action_width * sizeof(float));
    if (env_step(e, &err) != GARAM_OK) return complain(&err);
    write_step(e);
  }
  env_free(e);
  mem_free(config);
  json_decref(o);
  return fflush(stdout) ? 1 : 0;
}
