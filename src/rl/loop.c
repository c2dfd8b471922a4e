/* One seed, from the first step to the last evaluation: see loop.h. */
#include "rl/loop.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rl/stats.h"

enum { VERSION = 1, MOST_WORLDS = 64, TELL_EVERY = 256, ROW_COLUMNS = sizeof(loop_row) / 8 };
_Static_assert(sizeof(loop_row) % sizeof(double) == 0, "a row is doubles alone");

enum { SUM_RETURN, SUM_EPISODES, SUM_TRAIN_SECONDS, SUM_EVALUATE_SECONDS, SUM_BEST_LOW, N_SUMS };

typedef struct loop {
  const loop_setup *setup;
  loop_result *out;
  env *env, *judge;
  agent *agent;
  policy *policy;    /* the agent's */
  evaluation judged; /* on the way */
  float *observation, *next_observation, *state, *next_state;
  uint8_t *alive;
  const char *team;
  uint64_t done, total, next_eval; /* world steps */
  double sums[N_SUMS];
  bool has_best;
  size_t best_row;
  char *path, *policy_path;
  int64_t began; /* clock at the last change of what is timed */
} loop;

char *loop_checkpoint_path(const char *folder, const char *name) {
  return mem_format("%s/%s.safetensors", folder, name);
}

char *loop_policy_path(const char *folder, const char *name) {
  return mem_format("%s/%s.policy.safetensors", folder, name);
}

void loop_result_deinit(loop_result *r) {
  mem_free(r->curve.rows);
  evaluation_deinit(&r->judged);
  evaluation_deinit(&r->last);
  *r = (loop_result){0};
}

static void lap(loop *x, int sum) {
  const int64_t now = clock_monotonic_ns();
  x->sums[sum] += (double)(now - x->began) * 1e-9;
  x->began = now;
}

/* ---- one step ------------------------------------------------------------------------------- */

static void count_episodes(loop *x) {
  const env_batch *b = &x->env->batch;
  const size_t agents = (size_t)x->env->shape.n_agents;
  for (size_t i = 0; i < b->n; i++) {
    if (!b->ended[i]) continue;
    x->sums[SUM_RETURN] += evaluation_score(&x->env->shape, b->last_return + i * agents, x->team);
    x->sums[SUM_EPISODES]++;
  }
}

/* What was seen last where an episode ended; else what is seen now. */
static void fill_next(float *next, const float *now, const float *final, const uint8_t *ended,
                      size_t n, size_t width) {
  memcpy(next, now, n * width * sizeof *next);
  for (size_t i = 0; i < n; i++)
    if (ended[i]) memcpy(next + i * width, final + i * width, width * sizeof *next);
}

static garam_status one_step(loop *x, garam_error *err) {
  env *e = x->env;
  env_batch *b = &e->batch;
  const size_t n = b->n, agents = n * (size_t)e->shape.n_agents;
  const size_t width = (size_t)e->shape.n_agents * (size_t)e->shape.observation_width;
  const size_t state = (size_t)e->shape.state_width;
  TRY(x->agent->ops->act(x->agent, b->observation, b->state, b->alive, x->done, b->action, err));
  memcpy(x->observation, b->observation, n * width * sizeof *x->observation);
  memcpy(x->alive, b->alive, agents);
  if (b->state) memcpy(x->state, b->state, n * state * sizeof *x->state);
  TRY(env_step(e, err));
  fill_next(x->next_observation, b->observation, b->final_observation, b->ended, n, width);
  if (b->state) fill_next(x->next_state, b->state, b->final_state, b->ended, n, state);
  x->done += n;
  const agent_step step = {.n = n,
                           .observation = x->observation,
                           .next_observation = x->next_observation,
                           .state = b->state ? x->state : NULL,
                           .next_state = b->state ? x->next_state : NULL,
                           .action = b->action,
                           .reward = b->reward,
                           .terminated = b->terminated,
                           .truncated = b->truncated,
                           .alive = x->alive,
                           .ended = b->ended};
  count_episodes(x);
  return x->agent->ops->learn(x->agent, &step, x->done, err);
}

/* ---- the curve ------------------------------------------------------------------------------ */

static void take_metric(void *context, const char *name, double value) {
  loop_curve *c = context;
  size_t i = 0;
  while (i < c->n_metrics && strcmp(c->metric_names[i], name) != 0) i++;
  if (i == LOOP_MAX_METRICS) return;
  if (i == c->n_metrics) {
    if (strlen(name) >= LOOP_NAME_MAX) return;
    strcpy(c->metric_names[c->n_metrics++], name);
  }
  c->rows[c->n].metric[i] = value;
}

static garam_status reserve_row(loop_curve *c, garam_error *err) {
  return mem_grow(&c->rows, &c->capacity, c->n + 1, sizeof *c->rows, err);
}

/* ---- files ---------------------------------------------------------------------------------- */

static garam_status keep_policy(loop *x, garam_error *err) {
  return x->policy_path ? policy_save(x->policy, x->setup->record, x->policy_path, err) : GARAM_OK;
}

static garam_status add_evaluation(package_writer *w, const char *name, const evaluation *v,
                                   garam_error *err) {
  char text[64];
  const int64_t shape[2] = {(int64_t)v->n_episodes, v->n_agents};
  snprintf(text, sizeof text, "loop.%s.returns", name);
  TRY(package_add(w, text, PACKAGE_F64, 2, shape, v->returns, err));
  snprintf(text, sizeof text, "loop.%s.steps", name);
  TRY(package_add(w, text, PACKAGE_I32, 1, shape, v->steps, err));
  snprintf(text, sizeof text, "loop.%s.score", name);
  return package_add(w, text, PACKAGE_F64, 1, shape, v->score, err);
}

static json_t *describe(const loop *x, bool finished) {
  const loop_curve *c = &x->out->curve;
  json_t *names = json_array(), *meta;
  for (size_t i = 0; i < c->n_metrics; i++)
    json_array_append_new(names, json_string(c->metric_names[i]));
  meta = json_pack("{s:i, s:I, s:b, s:b, s:I, s:o, s:O}", "version", VERSION, "steps",
                   (json_int_t)x->done, "finished", finished, "has_best", x->has_best, "best_row",
                   (json_int_t)x->best_row, "metrics", names, "identity", x->setup->identity);
  return meta;
}

static garam_status write_checkpoint(loop *x, bool finished, garam_error *err) {
  if (!x->path) return GARAM_OK;
  const loop_result *r = x->out;
  package_writer *w = NULL;
  json_t *meta = describe(x, finished);
  garam_status status = GARAM_OK;
  if (!meta) TRY_GOTO(done, fail_memory(err, 1024));
  TRY_GOTO(done, package_writer_new(&w, err));
  if (finished) {
    TRY_GOTO(done, add_evaluation(w, "judged", &r->judged, err));
    TRY_GOTO(done, add_evaluation(w, "last", &r->last, err));
  } else {
    TRY_GOTO(done, x->agent->ops->save(x->agent, w, err));
    TRY_GOTO(done,
             package_add(w, "loop.env", PACKAGE_U8, 1,
                         (const int64_t[]){(int64_t)x->env->memory_bytes}, x->env->memory, err));
  }
  const int64_t shape[2] = {(int64_t)r->curve.n, ROW_COLUMNS}, n_sums = N_SUMS;
  TRY_GOTO(done, package_add(w, "loop.curve", PACKAGE_F64, 2, shape, r->curve.rows, err));
  TRY_GOTO(done, package_add(w, "loop.sums", PACKAGE_F64, 1, &n_sums, x->sums, err));
  TRY_GOTO(done, package_set_meta(w, "loop", meta, err));
  status = package_write(w, x->path, err);
done:
  package_writer_free(w);
  json_decref(meta);
  return status;
}

static garam_status get_evaluation(evaluation *out, const package_reader *r, const char *name,
                                   int n_agents, garam_error *err) {
  char text[64];
  const package_tensor *returns, *steps, *score;
  snprintf(text, sizeof text, "loop.%s.returns", name);
  TRY(package_get(&returns, r, text, PACKAGE_F64, 2, (const int64_t[]){-1, n_agents}, err));
  snprintf(text, sizeof text, "loop.%s.steps", name);
  TRY(package_get(&steps, r, text, PACKAGE_I32, 1, returns->dims, err));
  snprintf(text, sizeof text, "loop.%s.score", name);
  TRY(package_get(&score, r, text, PACKAGE_F64, 1, returns->dims, err));
  evaluation v = {.n_episodes = (size_t)returns->dims[0], .n_agents = n_agents};
  v.returns = mem_array(returns->count + 1, sizeof *v.returns);
  v.steps = mem_array(steps->count + 1, sizeof *v.steps);
  v.score = mem_array(score->count + 1, sizeof *v.score);
  if (!v.returns || !v.steps || !v.score) {
    evaluation_deinit(&v);
    return fail_memory(err, returns->bytes);
  }
  if (returns->bytes) memcpy(v.returns, returns->data, returns->bytes);
  if (steps->bytes) memcpy(v.steps, steps->data, steps->bytes);
  if (score->bytes) memcpy(v.score, score->data, score->bytes);
  *out = v;
  return GARAM_OK;
}

static garam_status read_curve(loop *x, const package_reader *r, const json_t *meta,
                               garam_error *err) {
  loop_curve *c = &x->out->curve;
  const package_tensor *rows, *sums;
  json_t *names, *name;
  size_t i;
  TRY(package_get(&rows, r, "loop.curve", PACKAGE_F64, 2, (const int64_t[]){-1, ROW_COLUMNS}, err));
  TRY(package_get(&sums, r, "loop.sums", PACKAGE_F64, 1, (const int64_t[]){N_SUMS}, err));
  TRY(json_get_array(&names, meta, "metrics", package_name(r), err));
  if (json_array_size(names) > LOOP_MAX_METRICS)
    return fail(err, GARAM_CORRUPT, "%s: %zu metrics", package_name(r), json_array_size(names));
  json_array_foreach(names, i, name) {
    const char *text = json_string_value(name);
    if (!text || strlen(text) >= LOOP_NAME_MAX)
      return fail(err, GARAM_CORRUPT, "%s: metric %zu has no name", package_name(r), i);
    strcpy(c->metric_names[i], text);
  }
  c->n_metrics = json_array_size(names);
  TRY(mem_grow(&c->rows, &c->capacity, (size_t)rows->dims[0] + 1, sizeof *c->rows, err));
  if (rows->bytes) memcpy(c->rows, rows->data, rows->bytes);
  c->n = (size_t)rows->dims[0];
  memcpy(x->sums, sums->data, sizeof x->sums);
  return GARAM_OK;
}

/* Everything of a run that goes on; of one that is finished only what came out of it. */
static garam_status read_checkpoint(loop *x, bool *finished, garam_error *err) {
  package_reader *r = NULL;
  json_t *meta = NULL, *identity;
  garam_status status = GARAM_OK;
  int64_t version, steps, best_row;
  const package_tensor *memory;
  TRY_GOTO(done, package_open(&r, x->path, err));
  TRY_GOTO(done, package_get_meta(&meta, r, "loop", err));
  TRY_GOTO(done, json_get_int(&version, meta, "version", 1, INT32_MAX, x->path, err));
  if (version != VERSION)
    TRY_GOTO(done, fail(err, GARAM_UNSUPPORTED, "%s: checkpoint of version %lld; this is %d",
                        x->path, (long long)version, VERSION));
  TRY_GOTO(done, json_get_object(&identity, meta, "identity", x->path, err));
  TRY_GOTO(done, checkpoint_same_identity(x->path, identity, x->setup->identity, err));
  TRY_GOTO(done, json_get_int(&steps, meta, "steps", 0, INT64_MAX, x->path, err));
  TRY_GOTO(done, json_get_bool(finished, meta, "finished", x->path, err));
  TRY_GOTO(done, json_get_bool(&x->has_best, meta, "has_best", x->path, err));
  TRY_GOTO(done, read_curve(x, r, meta, err));
  TRY_GOTO(done, json_get_int(&best_row, meta, "best_row", 0,
                              x->out->curve.n ? (int64_t)x->out->curve.n - 1 : 0, x->path, err));
  x->best_row = (size_t)best_row;
  x->done = (uint64_t)steps;
  if (x->done > x->total || x->done % x->setup->n != 0 || (*finished && x->done != x->total))
    TRY_GOTO(done, fail(err, GARAM_CORRUPT, "%s: step %lld of %llu", x->path, (long long)steps,
                        (unsigned long long)x->total));
  if (*finished) {
    TRY_GOTO(done, get_evaluation(&x->out->judged, r, "judged", x->env->shape.n_agents, err));
    TRY_GOTO(done, get_evaluation(&x->out->last, r, "last", x->env->shape.n_agents, err));
  } else {
    TRY_GOTO(done, package_get(&memory, r, "loop.env", PACKAGE_U8, 1,
                               (const int64_t[]){(int64_t)x->env->memory_bytes}, err));
    TRY_GOTO(done, x->agent->ops->load(x->agent, r, err));
    env_state_set(x->env, memory->data);
  }
  x->out->resumed = true;
  x->out->resumed_steps = x->done;
done:
  json_decref(meta);
  package_close(r);
  return status;
}

/* ---- evaluation on the way ---------------------------------------------------------------------
 */

static garam_status judge_now(loop *x, garam_error *err) {
  loop_curve *c = &x->out->curve;
  const player who = player_policy(x->policy);
  stats_interval score;
  lap(x, SUM_TRAIN_SECONDS);
  TRY(reserve_row(c, err));
  loop_row *row = &c->rows[c->n];
  for (size_t i = 0; i < LOOP_MAX_METRICS; i++) row->metric[i] = (double)NAN;
  TRY(evaluation_run(&x->judged, x->judge, &who, err));
  TRY(stats_mean(&score, x->judged.score, x->judged.n_episodes, x->setup->select_seed, err));
  row->steps = (double)x->done;
  row->train_episodes = x->sums[SUM_EPISODES];
  row->train_return =
      x->sums[SUM_EPISODES] > 0 ? x->sums[SUM_RETURN] / x->sums[SUM_EPISODES] : (double)NAN;
  x->sums[SUM_RETURN] = x->sums[SUM_EPISODES] = 0;
  row->mean = score.value;
  row->low = score.low;
  row->high = score.high;
  /* Among equals the one that has learnt longest. */
  row->best = !x->has_best || score.low >= x->sums[SUM_BEST_LOW];
  if (x->agent->ops->metrics) x->agent->ops->metrics(x->agent, take_metric, c);
  if (row->best > 0) {
    x->has_best = true;
    x->best_row = c->n;
    x->sums[SUM_BEST_LOW] = score.low;
    if (x->setup->keep_best) TRY(keep_policy(x, err));
  }
  lap(x, SUM_EVALUATE_SECONDS);
  row->train_seconds = x->sums[SUM_TRAIN_SECONDS];
  row->evaluate_seconds = x->sums[SUM_EVALUATE_SECONDS];
  c->n++;
  return GARAM_OK;
}

/* ---- beginning, middle, end ----------------------------------------------------------------- */

static garam_status prepare(loop *x, garam_error *err) {
  const loop_setup *s = x->setup;
  const size_t select = s->eval_episodes < MOST_WORLDS ? s->eval_episodes : MOST_WORLDS;
  TRY(env_new(&x->env, s->env, s->env_config, &(env_setup){.n = s->n, .seed = s->seed}, err));
  const env_shape *shape = &x->env->shape;
  TRY(agent_fits(s->agent, shape, err));
  TRY(env_new(&x->judge, s->env, s->env_config, &(env_setup){.n = select, .seed = s->select_seed},
              err));
  TRY(evaluation_init(&x->judged, x->judge, s->eval_episodes, err));
  x->team = evaluation_team(shape);
  x->total = (s->steps + s->n - 1) / s->n * s->n;
  const agent_setup a = {.shape = shape, .n = s->n, .n_steps = x->total, .seed = s->seed};
  TRY(s->agent->create(&x->agent, s->agent_config, &a, err));
  x->policy = s->agent->policy(x->agent);
  const size_t agents = s->n * (size_t)shape->n_agents;
  const size_t observed = agents * (size_t)shape->observation_width,
               state = s->n * (size_t)shape->state_width;
  x->observation = mem_array(2 * observed + 2 * state + 1, sizeof *x->observation);
  x->alive = mem_array(agents, 1);
  if (!x->observation || !x->alive) return fail_memory(err, 2 * observed * sizeof(float));
  x->next_observation = x->observation + observed;
  x->state = x->next_observation + observed;
  x->next_state = x->state + state;
  if (!s->folder) return GARAM_OK;
  x->path = loop_checkpoint_path(s->folder, s->name);
  x->policy_path = loop_policy_path(s->folder, s->name);
  if (!x->path || !x->policy_path) return fail_memory(err, strlen(s->folder) + 64);
  return io_make_folder(s->folder, err);
}

static void release(loop *x) {
  if (x->agent) x->agent->ops->destroy(x->agent);
  env_free(x->env);
  env_free(x->judge);
  evaluation_deinit(&x->judged);
  mem_free(x->observation);
  mem_free(x->alive);
  mem_free(x->path);
  mem_free(x->policy_path);
}

static void plan_next_evaluation(loop *x) {
  const uint64_t every = x->setup->eval_every;
  x->next_eval = every ? (x->done / every + 1) * every : x->total;
  if (x->next_eval > x->total) x->next_eval = x->total;
}

static garam_status stop_here(loop *x, garam_error *err) {
  lap(x, SUM_TRAIN_SECONDS);
  TRY(write_checkpoint(x, false, err));
  return fail(err, GARAM_INTERRUPTED, "stopped after %llu of %llu steps",
              (unsigned long long)x->done, (unsigned long long)x->total);
}

static garam_status learn(loop *x, garam_error *err) {
  const loop_setup *s = x->setup;
  const loop_curve *c = &x->out->curve;
  plan_next_evaluation(x);
  x->began = clock_monotonic_ns();
  for (uint64_t i = 0; x->done < x->total; i++) {
    if (s->interrupted && s->interrupted(s->context)) return stop_here(x, err);
    TRY(one_step(x, err));
    if (i % TELL_EVERY == 0 && s->on_steps) s->on_steps(s->context, x->done);
    if (x->done < x->next_eval) continue;
    plan_next_evaluation(x);
    TRY(judge_now(x, err));
    TRY(write_checkpoint(x, false, err));
    if (s->on_row) s->on_row(s->context, c);
  }
  return GARAM_OK;
}

static garam_status judge_policy(evaluation *out, loop *x, policy *p, garam_error *err) {
  const loop_setup *s = x->setup;
  const size_t n = s->episodes < MOST_WORLDS ? s->episodes : MOST_WORLDS;
  const player who = player_policy(p);
  env *e = NULL;
  garam_status status;
  TRY_GOTO(done,
           env_new(&e, s->env, s->env_config, &(env_setup){.n = n, .seed = s->judge_seed}, err));
  TRY_GOTO(done, evaluation_init(out, e, s->episodes, err));
  TRY_GOTO(done, evaluation_run(out, e, &who, err));
done:
  env_free(e);
  return status;
}

static garam_status finish(loop *x, garam_error *err) {
  loop_result *r = x->out;
  const bool best = x->setup->keep_best && x->policy_path && x->best_row + 1 < r->curve.n;
  garam_status status = GARAM_OK;
  policy *kept = NULL;
  if (best) {
    TRY_GOTO(done, policy_load(&kept, x->policy_path, err));
    TRY_GOTO(done, judge_policy(&r->judged, x, kept, err));
    TRY_GOTO(done, judge_policy(&r->last, x, x->policy, err));
  } else {
    TRY_GOTO(done, keep_policy(x, err));
    TRY_GOTO(done, judge_policy(&r->judged, x, x->policy, err));
    r->last.n_agents = r->judged.n_agents;
  }
  if (!best && r->curve.n) x->best_row = r->curve.n - 1;
  status = write_checkpoint(x, true, err);
done:
  policy_free(kept);
  return status;
}

garam_status loop_run(loop_result *out, const loop_setup *setup, garam_error *err) {
  loop x = {.setup = setup, .out = out};
  garam_status status;
  bool finished = false;
  *out = (loop_result){0};
  REQUIRE(setup->n > 0 && setup->steps > 0 && setup->eval_episodes > 0 && setup->episodes > 0,
          "loop_run: no worlds, steps or episodes");
  TRY_GOTO(done, prepare(&x, err));
  if (setup->resume && x.path && io_exists(x.path)) {
    TRY_GOTO(done, read_checkpoint(&x, &finished, err));
    if (x.done > 0 && setup->on_steps) setup->on_steps(setup->context, x.done);
  }
  if (!finished) {
    TRY_GOTO(done, learn(&x, err));
    TRY_GOTO(done, finish(&x, err));
  }
  out->kept = x.best_row;
  out->steps = x.done;
done:
  release(&x);
  if (status != GARAM_OK) loop_result_deinit(out);
  return status;
}
