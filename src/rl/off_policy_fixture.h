/* For tests of off-policy learners: small worlds whose answers are known, and a loop. */
#ifndef RL_OFF_POLICY_FIXTURE_H
#define RL_OFF_POLICY_FIXTURE_H

#include "rl/off_policy.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef enum toy_kind {
  TOY_MATCH,    /* one step; u = x / 2 is best: -(u - x / 2)^2 */
  TOY_CHOOSE,   /* one step; the choice x > 0 gives 1, the other 0 */
  TOY_SUM,      /* one step, two agents, each sees its own x: -(u0 + u1 - x0 - x1)^2 / 4 for both */
  TOY_OPPOSITE, /* one step, two agents that see the same: (u0 - u1) / 2 for both, in [-1, 1] */
  TOY_OTHER,    /* one step, two agents: each gets what the other does */
  TOY_FOREVER,  /* reward 1 a step, cut after five steps; a value of 1 / (1 - gamma) */
  TOY_LEAVER,   /* two agents; the first leaves after its first step, the second is cut after five;
                   1 a step for who is there */
} toy_kind;

typedef struct toy_world {
  float x[2];
} toy_world;

static const float toy_low[1] = {-1}, toy_high[1] = {1};
static const env_agent toy_box[2] = {
    {"a", "team", {ENV_BOX, 1, NULL, NULL}, {ENV_BOX, 1, toy_low, toy_high}},
    {"b", "team", {ENV_BOX, 1, NULL, NULL}, {ENV_BOX, 1, toy_low, toy_high}}};
static const env_agent toy_choice[1] = {
    {"a", "team", {ENV_BOX, 1, NULL, NULL}, {ENV_DISCRETE, 2, NULL, NULL}}};

static void toy_close(env *e) {
  (void)e;
}

static void toy_reset(env *e, size_t i, rng *r) {
  toy_world *w = env_world(e, i);
  for (int a = 0; a < e->shape.n_agents; a++) {
    w->x[a] = (float)(2 * rng_uniform(r) - 1);
    e->batch.observation[i * (size_t)e->shape.n_agents + (size_t)a] = w->x[a];
  }
}

static void toy_step_one(env *e, size_t i, toy_kind kind) {
  const size_t n = (size_t)e->shape.n_agents;
  const toy_world *w = env_world(e, i);
  const float *u = e->batch.action + i * n;
  float *reward = e->batch.reward + i * n;
  uint8_t *over = e->batch.terminated + i * n;
  const float sum = n == 2 ? u[0] + u[1] - w->x[0] - w->x[1] : 0;
  for (size_t a = 0; a < n; a++) {
    switch (kind) {
    case TOY_MATCH: reward[a] = -(u[0] - w->x[0] / 2) * (u[0] - w->x[0] / 2); break;
    case TOY_CHOOSE: reward[a] = (w->x[0] > 0) == (u[0] > 0.5f); break;
    case TOY_SUM: reward[a] = -sum * sum / 4; break;
    case TOY_OPPOSITE: reward[a] = (u[0] - u[1]) / 2; break;
    case TOY_OTHER: reward[a] = u[1 - a]; break;
    case TOY_FOREVER:
    case TOY_LEAVER: reward[a] = e->batch.alive[i * n + a]; break;
    }
    over[a] = kind < TOY_FOREVER || (kind == TOY_LEAVER && a == 0);
  }
}

#define TOY(id, KIND, AGENTS, LIST, LIMIT)                                                         \
  static garam_status id##_open(env *e, const void *config, garam_error *err) {                    \
    (void)config;                                                                                  \
    (void)err;                                                                                     \
    e->shape = (env_shape){.n_agents = AGENTS,                                                     \
                           .agents = LIST,                                                         \
                           .observation_width = 1,                                                 \
                           .action_width = 1,                                                      \
                           .max_steps = LIMIT,                                                     \
                           .world_bytes = sizeof(toy_world)};                                      \
    return GARAM_OK;                                                                               \
  }                                                                                                \
  static void id##_step(env *e, size_t begin, size_t end) {                                        \
    for (size_t i = begin; i < end; i++) toy_step_one(e, i, KIND);                                 \
  }                                                                                                \
  static const env_ops id = {                                                                      \
      .name = #id, .open = id##_open, .close = toy_close, .reset = toy_reset, .step = id##_step}

TOY(toy_match, TOY_MATCH, 1, toy_box, 0);
TOY(toy_choose, TOY_CHOOSE, 1, toy_choice, 0);
TOY(toy_sum, TOY_SUM, 2, toy_box, 0);
TOY(toy_opposite, TOY_OPPOSITE, 2, toy_box, 0);
TOY(toy_other, TOY_OTHER, 2, toy_box, 0);
TOY(toy_forever, TOY_FOREVER, 1, toy_box, 5);
TOY(toy_leaver, TOY_LEAVER, 2, toy_box, 5);

/* ---- an agent in an env ------------------------------------------------------------------------
 */

typedef struct course {
  env *env;
  agent *agent;
  off_policy *learner; /* the same */
  uint64_t steps;
  float *before, *action; /* what agents saw and did */
  uint8_t *alive;
} course;

static inline void course_configure(void *config, const agent_ops *ops, const char *settings) {
  char text[512], *at = text, *one;
  garam_error err = {0};
  opt_defaults(ops->options, ops->n_options, config);
  snprintf(text, sizeof text, "%s", settings);
  while ((one = strsep(&at, " "))) {
    char *value = strchr(one, '=');
    if (!*one) continue;
    if (!value) { /* a preset */
      for (const learner_preset *p = ops->presets; p && p->name; p++)
        for (const char *const *s = p->settings; strcmp(p->name, one) == 0 && *s; s++) {
          char name[64];
          const char *is = strchr(*s, '=');
          snprintf(name, sizeof name, "%.*s", (int)(is - *s), *s);
          const opt_row *row = opt_find(ops->options, ops->n_options, name);
          if (!row || opt_set_text(row, config, is + 1, &err) != GARAM_OK)
            fail_msg("preset %s: %s", one, *s);
        }
      continue;
    }
    *value++ = 0;
    const opt_row *row = opt_find(ops->options, ops->n_options, one);
    if (!row) fail_msg("%s has no option %s", ops->name, one);
    if (opt_set_text(row, config, value, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
}

static inline void course_open(course *c, const env_ops *world, const char *name,
                               const char *settings, size_t n, uint64_t n_steps) {
  off_policy_config config;
  garam_error err = {0};
  *c = (course){0};
  const agent_ops *ops = agent_find(name, &err);
  if (!ops || env_new(&c->env, world, NULL, &(env_setup){.n = n, .seed = 5}, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  memset(&config, 0, sizeof config);
  course_configure(&config, ops, settings);
  const agent_setup setup = {.shape = &c->env->shape, .n = n, .n_steps = n_steps, .seed = 9};
  if (ops->create(&c->agent, &config, &setup, &err) != GARAM_OK)
    fail_msg("%s: %s", name, err.message);
  c->learner = (off_policy *)c->agent;
  const size_t agents = n * (size_t)c->env->shape.n_agents;
  c->before = mem_array(agents * (size_t)c->env->shape.observation_width, sizeof *c->before);
  c->action = mem_array(agents * (size_t)c->env->shape.action_width, sizeof *c->action);
  c->alive = mem_array(agents, 1);
}

static inline void course_close(course *c) {
  c->agent->ops->destroy(c->agent);
  env_free(c->env);
  mem_free(c->before);
  mem_free(c->action);
  mem_free(c->alive);
}

static inline void course_run(course *c, uint64_t steps) {
  env_batch *b = &c->env->batch;
  const env_shape *s = &c->env->shape;
  const size_t agents = b->n * (size_t)s->n_agents;
  const size_t seen = (size_t)s->n_agents * (size_t)s->observation_width;
  garam_error err = {0};
  for (const uint64_t end = c->steps + steps; c->steps < end; c->steps += b->n) {
    memcpy(c->before, b->observation, b->n * seen * sizeof *c->before);
    memcpy(c->alive, b->alive, agents);
    if (c->agent->ops->act(c->agent, b->observation, b->state, b->alive, c->steps, c->action,
                           &err) != GARAM_OK)
      fail_msg("%s", err.message);
    memcpy(b->action, c->action, agents * (size_t)s->action_width * sizeof *c->action);
    if (env_step(c->env, &err) != GARAM_OK) fail_msg("%s", err.message);
    float next[1024];
    assert_true(b->n * seen <= 1024);
    for (size_t w = 0; w < b->n; w++)
      memcpy(next + w * seen, (b->ended[w] ? b->final_observation : b->observation) + w * seen,
             seen * sizeof *next);
    const agent_step step = {.n = b->n,
                             .observation = c->before,
                             .next_observation = next,
                             .action = c->action,
                             .reward = b->reward,
                             .terminated = b->terminated,
                             .truncated = b->truncated,
                             .alive = c->alive,
                             .ended = b->ended};
    if (c->agent->ops->learn(c->agent, &step, c->steps + b->n, &err) != GARAM_OK)
      fail_msg("%s", err.message);
  }
}

/* Mean reward of the policy over 256 new worlds of one step each, of the first agent. */
static inline double course_judge(course *c, const env_ops *world) {
  enum { N = 256 };
  env *e;
  assert_int_equal(env_new(&e, world, NULL, &(env_setup){.n = N, .seed = 77}, NULL), GARAM_OK);
  const size_t agents = (size_t)e->shape.n_agents;
  double sum = 0;
  assert_int_equal(policy_act(c->agent->ops->policy(c->agent), e->batch.observation, e->batch.alive,
                              N, e->batch.action, NULL),
                   GARAM_OK);
  assert_int_equal(env_step(e, NULL), GARAM_OK);
  for (size_t i = 0; i < N; i++) sum += (double)e->batch.reward[i * agents] / N;
  env_free(e);
  return sum;
}

static double course_metric_value;
static inline void course_metric_row(void *wanted, const char *name, double value) {
  if (strcmp(name, *(const char **)wanted) == 0) course_metric_value = value;
}
/* Of the updates since it was last asked for anything. */
static inline double course_metric(course *c, const char *name) {
  course_metric_value = NAN;
  c->agent->ops->metrics(c->agent, course_metric_row, (void *)&name);
  return course_metric_value;
}

#endif
