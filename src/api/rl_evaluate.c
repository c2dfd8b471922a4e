/* Scores on held-out seeds: see rl_evaluate.h. */
#include "api/rl_evaluate.h"

#include "api/rl_exact.h"

#include "base/mem.h"
#include "rl/experiment.h"

#include <math.h>
#include <string.h>

enum { MOST_WORLDS = 64 };

const opt_row rl_evaluate_options[] = {
    {"episodes", OPT_INT, OPT_AT(rl_evaluate_config, episodes), .def = 100, .min = 1,
     .max = 1000000, .help = "of each seed"},
    {"seeds", OPT_INT, OPT_AT(rl_evaluate_config, seeds), .def = 10, .min = 1,
     .max = EXPERIMENT_MAX_SEEDS, .help = "sets of episodes; the interval is over them"},
};
const size_t rl_evaluate_n_options = COUNT_OF(rl_evaluate_options);

/* Means over episodes of each team, in the order of first appearance. */
static void add_teams(json_t *teams, const env_shape *s, const evaluation *v) {
  for (int a = 0; a < s->n_agents; a++) {
    const char *team = s->agents[a].team ? s->agents[a].team : s->agents[a].name;
    double sum = 0;
    bool first = true;
    for (int b = 0; b < a; b++)
      first &= strcmp(s->agents[b].team ? s->agents[b].team : s->agents[b].name, team) != 0;
    if (!first) continue;
    for (size_t i = 0; i < v->n_episodes; i++)
      sum += evaluation_score(s, v->returns + i * (size_t)s->n_agents, team);
    json_t *list = json_object_get(teams, team);
    if (!list) {
      list = json_array();
      json_object_set_new(teams, team, list);
    }
    json_array_append_new(list, json_number_or_null(sum / (double)v->n_episodes));
  }
}

static double mean_of(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum / (double)n;
}

static void add_interval(json_t *o, const stats_interval *iqm, const stats_interval *mean) {
  json_object_set_new(o, "iqm", json_number_or_null(iqm->value));
  json_object_set_new(o, "ci_low", json_number_or_null(iqm->low));
  json_object_set_new(o, "ci_high", json_number_or_null(iqm->high));
  json_object_set_new(o, "mean", json_number_or_null(mean->value));
  json_object_set_new(
      o, "mean_interval",
      json_pack("[o, o]", json_number_or_null(mean->low), json_number_or_null(mean->high)));
}

garam_status rl_evaluate(json_t **result, const rl_world_spec *spec,
                         const rl_evaluate_config *config, uint64_t seed, garam_error *err) {
  const size_t n = (size_t)config->seeds, episodes = (size_t)config->episodes;
  const size_t worlds = episodes < MOST_WORLDS ? episodes : MOST_WORLDS;
  rl_world w = {0};
  evaluation v = {0};
  garam_status status;
  uint64_t steps = 0;
  double seconds = 0, length = 0;
  stats_interval iqm, mean;
  json_t *teams = json_object();
  double *returns = mem_array(n, sizeof *returns);
  *result = NULL;
  if (!teams || !returns) TRY_GOTO(done, fail_memory(err, n * sizeof *returns));
  TRY_GOTO(done, rl_world_open(&w, spec, worlds, seed, err));
  TRY_GOTO(done, evaluation_init(&v, w.env, episodes, err));
  for (size_t k = 0; k < n; k++) {
    w.env->seed = experiment_seed(seed, k, EXPERIMENT_JUDGE);
    TRY_GOTO(done, evaluation_run(&v, w.env, &w.player, err));
    returns[k] = mean_of(v.score, episodes);
    add_teams(teams, &w.env->shape, &v);
    steps += v.world_steps;
    seconds += v.seconds;
    for (size_t i = 0; i < episodes; i++) length += (double)v.steps[i] / (double)(n * episodes);
  }
  TRY_GOTO(done, stats_bootstrap(&iqm, STATS_IQM, (stats_scores){returns, n, 1}, seed, err));
  TRY_GOTO(done, stats_bootstrap(&mean, STATS_MEAN, (stats_scores){returns, n, 1}, seed, err));
  json_t *o = json_pack("{s:s, s:s, s:s?, s:I, s:i, s:i, s:s, s:o}", "env", w.env->ops->name,
                        "agent", w.agent, "policy", spec->policy, "steps", (json_int_t)steps,
                        "seeds", config->seeds, "episodes", config->episodes, "team",
                        evaluation_team(&w.env->shape), "returns", json_array_f64(returns, n));
  if (!o) TRY_GOTO(done, fail_memory(err, 1024));
  add_interval(o, &iqm, &mean);
  json_object_set(o, "teams", teams);
  json_object_set_new(o, "episode_steps", json_number_or_null(length));
  if (w.env->shape.reward_high > w.env->shape.reward_low)
    json_object_set_new(o, "normalized",
                        json_number_or_null((iqm.value - w.env->shape.reward_low) /
                                            (w.env->shape.reward_high - w.env->shape.reward_low)));
  json_object_set_new(o, "seconds", json_number_or_null(seconds));
  json_object_set_new(o, "steps_per_second", json_number_or_null((double)steps / seconds));
  if (!w.script || baseline_is_policy(w.script))
    status = rl_exact_add(o, w.env->ops, w.env->config, &w.player, err);
  if (status == GARAM_OK) *result = o;
  else json_decref(o);
done:
  json_decref(teams);
  mem_free(returns);
  evaluation_deinit(&v);
  rl_world_close(&w);
  return status;
}

/* ---- one episode ---------------------------------------------------------------------------- */

static json_t *floats_json(const float *x, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_f32_or_null(x[i]));
  return list;
}

/* Only an agent's own numbers: rows of the batch are as wide as the widest. */
static json_t *agents_json(const env_shape *s, const float *x, size_t width, bool action) {
  json_t *list = json_array();
  for (int a = 0; a < s->n_agents; a++) {
    const env_space *space = action ? &s->agents[a].action : &s->agents[a].observation;
    json_array_append_new(list, floats_json(x + (size_t)a * width,
                                            space->kind == ENV_BOX ? (size_t)space->n : (size_t)1));
  }
  return list;
}

typedef struct picture {
  char *text;
  size_t used, capacity;
  bool failed;
} picture;

static void put_svg(void *context, const char *svg) {
  picture *p = context;
  const size_t n = strlen(svg);
  if (p->failed || mem_grow(&p->text, &p->capacity, p->used + n + 1, 1, NULL) != GARAM_OK) {
    p->failed = true;
    return;
  }
  memcpy(p->text + p->used, svg, n + 1);
  p->used += n;
}

static void add_frame(json_t *frames, const env *e, int step) {
  picture p = {0};
  e->ops->draw(e, 0, put_svg, &p);
  if (!p.failed && p.text)
    json_array_append_new(frames, json_pack("{s:i, s:s}", "step", step, "svg", p.text));
  mem_free(p.text);
}

static json_t *names_json(const env_shape *s) {
  json_t *names = json_array();
  for (int a = 0; a < s->n_agents; a++)
    json_array_append_new(names, json_string(s->agents[a].name));
  return names;
}

/* Steps of an episode are not known before it is over: it is played once to count them, and again
 * to look at it. The same beginning and the same player: the same episode. */
static garam_status count_steps(int *out, rl_world *w, uint64_t episode, garam_error *err) {
  env_batch *b = &w->env->batch;
  env_reset_world(w->env, 0, episode);
  for (*out = 0; *out == 0;) {
    TRY(w->player.act(w->player.self, w->env, b->action, err));
    TRY(env_step(w->env, err));
    if (b->ended[0]) *out = b->last_steps[0];
  }
  return GARAM_OK;
}

static void add_step(json_t *o, const rl_world *w, int step, const float *observation) {
  const env_shape *s = &w->env->shape;
  const env_batch *b = &w->env->batch;
  const size_t agents = (size_t)s->n_agents;
  json_t *row = json_pack("{s:i, s:o, s:o, s:o}", "step", step, "observation",
                          agents_json(s, observation, (size_t)s->observation_width, false),
                          "action", agents_json(s, b->action, (size_t)s->action_width, true),
                          "reward", floats_json(b->reward, agents));
  json_t *over = json_array(), *cut = json_array();
  for (size_t a = 0; a < agents; a++) {
    json_array_append_new(over, json_boolean(b->terminated[a]));
    json_array_append_new(cut, json_boolean(b->truncated[a]));
  }
  json_object_set_new(row, "terminated", over);
  json_object_set_new(row, "truncated", cut);
  if (s->n_info > 0) {
    json_t *info = json_object();
    for (int i = 0; i < s->n_info; i++)
      json_object_set_new(info, s->info_names[i], json_f32_or_null(b->info[i]));
    json_object_set_new(row, "info", info);
  }
  json_array_append_new(json_object_get(o, "trajectory"), row);
}

garam_status rl_play(json_t **result, const rl_world_spec *spec, uint64_t seed, uint64_t episode,
                     int n_frames, garam_error *err) {
  rl_world w = {0};
  garam_status status;
  int n_steps = 0, drawn = 0;
  float *observation = NULL;
  json_t *o = NULL;
  *result = NULL;
  TRY_GOTO(done, rl_world_open(&w, spec, 1, seed, err));
  const env_shape *s = &w.env->shape;
  env_batch *b = &w.env->batch;
  const size_t width = (size_t)s->n_agents * (size_t)s->observation_width;
  observation = mem_array(width, sizeof *observation);
  if (!observation) TRY_GOTO(done, fail_memory(err, width * sizeof *observation));
  TRY_GOTO(done, count_steps(&n_steps, &w, episode, err));
  o = json_pack("{s:s, s:s, s:s?, s:I, s:I, s:o, s:i, s:[], s:[]}", "env", w.env->ops->name,
                "agent", w.agent, "policy", spec->policy, "seed", (json_int_t)seed, "episode",
                (json_int_t)episode, "agents", names_json(s), "steps", n_steps, "trajectory",
                "frames");
  if (!o) TRY_GOTO(done, fail_memory(err, 1024));
  env_reset_world(w.env, 0, episode);
  if (n_frames > n_steps) n_frames = n_steps;
  for (int step = 0; step < n_steps; step++) {
    if (w.env->ops->draw && drawn < n_frames && step >= drawn * n_steps / n_frames) {
      add_frame(json_object_get(o, "frames"), w.env, step);
      drawn++;
    }
    memcpy(observation, b->observation, width * sizeof *observation);
    TRY_GOTO(done, w.player.act(w.player.self, w.env, b->action, err));
    TRY_GOTO(done, env_step(w.env, err));
    add_step(o, &w, step, observation);
  }
  json_object_set_new(o, "return", json_array_f64(b->last_return, (size_t)s->n_agents));
  *result = o;
  o = NULL;
done:
  json_decref(o);
  mem_free(observation);
  rl_world_close(&w);
  return status;
}
