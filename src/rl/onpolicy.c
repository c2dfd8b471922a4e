/* Acting and storing: see onpolicy.h. */
#include "rl/onpolicy.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- making -------------------------------------------------------------------------------- */

static garam_status built(graph **out, void (*build)(graph *, const onpolicy_nets *, int64_t),
                          const onpolicy_nets *nets, size_t batch, garam_error *err) {
  TRY(graph_new(out, &(graph_config){.real = DTYPE_F32}, err));
  build(*out, nets, (int64_t)batch);
  return graph_check(*out, err);
}

static void build_loss(graph *g, const onpolicy_nets *nets, int64_t batch) {
  graph_grad(g, onpolicy_build_loss(g, nets, batch));
}

static void build_actor(graph *g, const onpolicy_nets *nets, int64_t batch) {
  const env_shape *s = nets->spec.shape;
  tensor *heads[ENV_MAX_AGENTS];
  tensor *x = graph_input(g, "observation", DTYPE_REAL, 3,
                          (const int64_t[]){batch, s->n_agents, s->observation_width});
  const net_scope scope = {
      .name = "", .orthogonal = nets->spec.orthogonal, .out_scale = nets->spec.out_scale};
  actor_build(heads, &nets->spec, x, &scope);
  graph_output(g, "head", heads[0]);
}

static garam_status block_new(float **out, size_t n, garam_error *err) {
  *out = mem_alloc_aligned(n * sizeof **out, 64);
  if (!*out) return fail_memory(err, n * sizeof **out);
  memset(*out, 0, n * sizeof **out);
  return GARAM_OK;
}

static bool same_space(const env_space *x, const env_space *y) {
  return x->kind == y->kind && x->n == y->n;
}

/* Whose doing each slot of each view reads. */
static garam_status views_init(onpolicy *o, garam_error *err) {
  const env_shape *s = o->shape;
  o->views = 1;
  for (int a = 0; a < s->n_agents; a++) {
    int members[ENV_MAX_AGENTS], k = 0, own = 0;
    for (int b = 0; b < s->n_agents; b++)
      if (o->nets.team[b] == o->nets.team[a]) {
        if (b == a) own = k;
        members[k++] = b;
      }
    if (o->config.seac > 0 && (size_t)k > o->views) o->views = (size_t)k;
    for (int v = 0; v < ENV_MAX_AGENTS; v++) o->source[v][a] = v < k ? members[(own + v) % k] : -1;
    const env_agent *x = &s->agents[a], *y = &s->agents[members[0]];
    if (o->config.seac > 0 &&
        (!same_space(&x->observation, &y->observation) || !same_space(&x->action, &y->action)))
      return fail(err, GARAM_MISMATCH, "--seac: %s and %s differ in what they observe or do",
                  x->name, y->name);
  }
  if (o->config.seac > 0 &&
      (o->config.actor.shared || o->config.actor.communication != ACTOR_COMMUNICATION_NONE))
    return fail(err, GARAM_INVALID,
                "--seac is for agents that share no net and do not talk: they share experience");
  return GARAM_OK;
}

/* Where the last layer of each critic lies, and the first deviation of boxes. */
static void params_init(onpolicy *o, const graph *g) {
  graph_param_init(g, o->params, o->seed);
  for (size_t i = 0; i < graph_param_count(g); i++) {
    const param_info *p = graph_param_info(g, i);
    const char *leaf = strrchr(p->name, '.');
    if (leaf && strcmp(leaf, ".log_deviation") == 0)
      for (size_t k = 0; k < p->count; k++)
        o->params[p->offset + k] = (float)log(o->config.deviation);
    for (int a = 0; a < o->shape->n_agents; a++) {
      char name[NN_NAME_MAX];
      const int n = snprintf(name, sizeof name, "critic.%s.out.", onpolicy_critic_of(&o->nets, a));
      if (strncmp(p->name, name, (size_t)n) != 0) continue;
      if (strcmp(p->name + n, "bias") == 0) o->critic_bias[a] = p->offset;
      else {
        o->critic_weight[a] = p->offset;
        o->critic_width[a] = p->count;
      }
    }
  }
  for (int a = 0; a < o->shape->n_agents; a++) {
    o->scale[a] = (onpolicy_scale){.deviation = 1};
    o->critic_first[a] = a;
    for (int b = 0; b < a && o->critic_first[a] == a; b++)
      if (o->critic_bias[b] == o->critic_bias[a]) o->critic_first[a] = b;
  }
}

static garam_status programs_init(onpolicy *o, garam_error *err) {
  graph *act = NULL, *value = NULL, *loss = NULL, *actor = NULL, *alone = NULL;
  garam_status status = GARAM_OK;
  TRY_GOTO(done, built(&act, onpolicy_build_act, &o->nets, o->worlds, err));
  TRY_GOTO(done, built(&value, onpolicy_build_value, &o->nets, o->worlds, err));
  TRY_GOTO(done, built(&loss, build_loss, &o->nets, o->rows, err));
  TRY_GOTO(done, built(&actor, build_actor, &o->nets, 1, err));
  o->block = graph_param_block(loss);
  o->actor_block = graph_param_block(actor);
  REQUIRE(graph_param_block(act) == o->block &&
              graph_param_block(value) + o->actor_block == o->block,
          "on-policy nets do not lie where they are looked for");
  TRY_GOTO(done, block_new(&o->params, o->block, err));
  TRY_GOTO(done, block_new(&o->grads, o->block, err));
  params_init(o, loss);
  TRY_GOTO(done,
           graph_compile(&o->act, act,
                         &(plan_config){.params = o->params, .params_version = &o->version}, err));
  TRY_GOTO(done, graph_compile(&o->value, value,
                               &(plan_config){.params = o->params + o->actor_block,
                                              .params_version = &o->version},
                               err));
  TRY_GOTO(done,
           graph_compile(&o->loss, loss,
                         &(plan_config){
                             .params = o->params, .grads = o->grads, .params_version = &o->version},
                         err));
  train_config train;
  opt_defaults(train_options, train_n_options, &train);
  train.weight_decay = 0;
  train.epsilon = 1e-5;
  train.clip = o->config.gradient_clip;
  TRY_GOTO(done, optim_adamw_new(&o->optim, loss, &train, err));
  TRY_GOTO(done,
           opponent_pool_init(&o->opponents, o->config.opponents, o->block, o->n, o->seed, err));
  if (o->config.opponents) {
    TRY_GOTO(done, built(&alone, onpolicy_build_act, &o->nets, o->n, err));
    TRY_GOTO(done, opponent_pool_compile(&o->opponents, alone, err));
  }
  TRY_GOTO(done, policy_new(&o->policy, &o->nets.spec, o->params, &o->version,
                            o->config.normalize_observation ? &o->observed : NULL, err));
done:
  graph_free(act);
  graph_free(value);
  graph_free(loss);
  graph_free(actor);
  graph_free(alone);
  return status;
}

static garam_status storage_init(onpolicy *o, garam_error *err) {
  const env_shape *s = o->shape;
  const size_t agents = (size_t)s->n_agents, lanes = o->worlds * agents;
  const size_t state = onpolicy_reads_state(o) ? (size_t)s->state_width : 0;
  const rollout_shape shape = {.steps = (size_t)o->config.rollout,
                               .worlds = o->worlds,
                               .agents = agents,
                               .observation = (size_t)s->observation_width,
                               .action = (size_t)s->action_width,
                               .state = state};
  TRY(rollout_init(&o->rollout, &shape, err));
  o->order = mem_array(shape.steps * o->worlds, sizeof *o->order);
  o->uniform = mem_array(o->n * agents, sizeof *o->uniform);
  o->normal = mem_array(o->n * agents * shape.action, sizeof *o->normal);
  o->last = mem_array(lanes, sizeof *o->last);
  o->discounted = mem_array(o->n * agents, sizeof *o->discounted);
  if (!o->order || !o->uniform || !o->normal || !o->last || !o->discounted)
    return fail_memory(err, lanes * 8);
  const double clip = 10;
  TRY(normalizer_init(&o->observed, agents * shape.observation, clip, err));
  TRY(normalizer_init(&o->observed_state, state, clip, err));
  return normalizer_init(&o->rewarded, agents, clip, err);
}

static garam_status fits(const onpolicy *o, garam_error *err) {
  const onpolicy_config *c = &o->config;
  if (c->actor.communication == ACTOR_COMMUNICATION_MATRIX)
    return fail(err, GARAM_INVALID,
                "--communication matrix averages actions, which have no probability then; "
                "expected none, mean, gated or attention");
  if (c->actor.net.norm == NET_NORM_BATCH || c->actor.net.dropout > 0)
    return fail(err, GARAM_INVALID,
                "--norm batch and --dropout make what is learnt from another policy than the one "
                "that acted; expected none or layer, and no dropout");
  if (c->opponents && o->nets.n_teams < 2)
    return fail(err, GARAM_INVALID, "--opponents needs two teams, this world has one");
  return GARAM_OK;
}

garam_status onpolicy_create(agent **out, const agent_ops *ops, const void *config,
                             const agent_setup *setup, garam_error *err) {
  *out = NULL;
  garam_status status = GARAM_OK;
  onpolicy *o = mem_zalloc(sizeof *o);
  if (!o) return fail_memory(err, sizeof *o);
  o->agent.ops = ops;
  o->self = o;
  o->config = *(const onpolicy_config *)config;
  o->shape = setup->shape;
  o->n = setup->n;
  o->n_steps = setup->n_steps;
  o->seed = setup->seed;
  onpolicy_nets_init(&o->nets, setup->shape, &o->config);
  TRY_GOTO(done, actor_check(&o->nets.spec, err));
  TRY_GOTO(done, fits(o, err));
  TRY_GOTO(done, views_init(o, err));
  o->worlds = o->n * o->views;
  const size_t rows = o->worlds * (size_t)o->config.rollout, parts = (size_t)o->config.minibatches;
  o->rows = (rows + parts - 1) / parts;
  TRY_GOTO(done, storage_init(o, err));
  TRY_GOTO(done, programs_init(o, err));
  *out = &o->agent;
  return GARAM_OK;
done:
  onpolicy_destroy(&o->agent);
  return status;
}

void onpolicy_destroy(agent *a) {
  onpolicy *o = (onpolicy *)a;
  if (!o) return;
  policy_free(o->policy);
  plan_free(o->act);
  plan_free(o->value);
  plan_free(o->loss);
  optim_adamw_free(o->optim);
  opponent_pool_deinit(&o->opponents);
  rollout_deinit(&o->rollout);
  normalizer_deinit(&o->observed);
  normalizer_deinit(&o->observed_state);
  normalizer_deinit(&o->rewarded);
  mem_free_aligned(o->params);
  mem_free_aligned(o->grads);
  mem_free(o->order);
  mem_free(o->uniform);
  mem_free(o->normal);
  mem_free(o->last);
  mem_free(o->discounted);
  mem_free(o);
}

policy *onpolicy_policy(agent *a) {
  return ((onpolicy *)a)->policy;
}

bool onpolicy_reads_state(const onpolicy *o) {
  return o->shape->state_width > 0 && o->config.critic == ONPOLICY_CRITIC_CENTRAL;
}

/* ---- seeing -------------------------------------------------------------------------------- */

void onpolicy_see(const onpolicy *o, float *out, float *state_out, const float *x,
                  const float *state) {
  const size_t agents = (size_t)o->shape->n_agents, width = (size_t)o->shape->observation_width;
  const size_t row = agents * width, state_width = o->rollout.shape.state;
  for (size_t v = 0; v < o->views; v++) {
    float *to = out + v * o->n * row;
    if (v == 0) memcpy(to, x, o->n * row * sizeof *to);
    for (size_t i = 0; v > 0 && i < o->n * agents; i++) {
      const int from = o->source[v][i % agents];
      if (from < 0) memset(to + i * width, 0, width * sizeof *to);
      else memcpy(to + i * width, x + (i - i % agents + (size_t)from) * width, width * sizeof *to);
    }
    if (state_width)
      memcpy(state_out + v * o->n * state_width, state, o->n * state_width * sizeof *state);
  }
  if (!o->config.normalize_observation) return;
  normalizer_apply(&o->observed, out, out, o->worlds);
  if (state_width) normalizer_apply(&o->observed_state, state_out, state_out, o->worlds);
}

/* (N, A), in place: from the critics' units to those of rewards. */
static void unscale(const onpolicy *o, float *value) {
  const size_t agents = (size_t)o->shape->n_agents;
  if (!o->config.normalize_value) return;
  for (size_t i = 0; i < o->worlds * agents; i++) {
    const onpolicy_scale *z = &o->scale[o->critic_first[i % agents]];
    value[i] = (float)((double)value[i] * z->deviation + z->offset);
  }
}

garam_status onpolicy_values(onpolicy *o, float *out, garam_error *err) {
  size_t bytes;
  TRY(plan_run(o->value, 0, err));
  const float *value = plan_output(o->value, "value", &bytes);
  memcpy(out, value, bytes);
  unscale(o, out);
  return GARAM_OK;
}

/* ---- acting -------------------------------------------------------------------------------- */

/* Row w of run r's heads: that of its agent i. */
static const float *head_at(const float *const *heads, const onpolicy_nets *nets, int r, size_t w,
                            int i) {
  const onpolicy_run *run = &nets->runs[r];
  return heads[r] + (w * (size_t)run->n + (size_t)i) * (size_t)run->width;
}

static void heads_of(const float **heads, const onpolicy_nets *nets, const plan *p) {
  for (int r = 0; r < nets->n_runs; r++) {
    char name[32];
    snprintf(name, sizeof name, "head.%d", r);
    heads[r] = plan_output(p, name, NULL);
  }
}

/* Draws for agent a = first + i of world w, into its row of view 0. */
static void draw(const onpolicy *o, const float *const *heads, int r, size_t w, int i,
                 float *action) {
  const onpolicy_run *run = &o->nets.runs[r];
  const size_t agents = (size_t)o->shape->n_agents, u = (size_t)o->shape->action_width;
  const size_t lane = w * agents + (size_t)(run->first + i);
  const float *head = head_at(heads, &o->nets, r, w, i);
  float log_prob;
  if (run->kind == ENV_DISCRETE)
    action[lane * u] = (float)onpolicy_choose(&log_prob, head, run->n_actions, o->uniform[lane]);
  for (int k = 0; run->kind == ENV_BOX && k < run->n_actions; k++)
    action[lane * u + (size_t)k] =
        head[k] + expf(head[run->n_actions + k]) * o->normal[lane * u + (size_t)k];
}

/* Teams that are a past one of themselves in some worlds: once a place of the pool that is met. */
static garam_status act_opponents(onpolicy *o, const float *seen, const float *state, float *action,
                                  garam_error *err) {
  opponent_pool *pool = &o->opponents;
  for (int32_t k = 0; k < pool->n; k++) {
    bool met = false;
    for (size_t w = 0; w < o->n && !met; w++) met = pool->who[w] == k;
    if (!met) continue;
    size_t bytes;
    float *input = plan_input(pool->act[k], "observation", &bytes);
    memcpy(input, seen, bytes);
    if (state) {
      input = plan_input(pool->act[k], "state", &bytes);
      memcpy(input, state, bytes);
    }
    TRY(plan_run(pool->act[k], 0, err));
    const float *heads[ENV_MAX_AGENTS];
    heads_of(heads, &o->nets, pool->act[k]);
    for (int r = 0; r < o->nets.n_runs; r++)
      for (int i = 0; i < o->nets.runs[r].n; i++)
        for (size_t w = 0; w < o->n; w++)
          if (pool->who[w] == k && pool->team[w] == o->nets.team[o->nets.runs[r].first + i])
            draw(o, heads, r, w, i, action);
  }
  return GARAM_OK;
}

/* What was drawn -> what is done: boxes are cut at their bounds and scaled to them. */
static void send(const onpolicy *o, float *out, const float *drawn) {
  const size_t u = (size_t)o->shape->action_width;
  memcpy(out, drawn, o->n * (size_t)o->shape->n_agents * u * sizeof *out);
  for (int a = 0; a < o->shape->n_agents; a++) {
    const env_space *space = &o->shape->agents[a].action;
    for (int k = 0; space->kind == ENV_BOX && k < space->n; k++) {
      double middle, half;
      actor_box_range(&middle, &half, &o->nets.spec, a, k);
      const bool bounded =
          middle != 0 || half != 1 ||
          (space->low && space->high && space->low[k] == -1 && space->high[k] == 1);
      if (!bounded) continue;
      for (size_t w = 0; w < o->n; w++) {
        float *x = out + (w * (size_t)o->shape->n_agents + (size_t)a) * u + k;
        *x = (float)(fmin(fmax((double)*x, -1), 1) * half + middle);
        *x = fminf(fmaxf(*x, space->low[k]), space->high[k]); /* whatever the rounding */
      }
    }
  }
}

/* How likely the nets of slot a were to do what its source did, in every view. */
static void log_probs(const onpolicy *o, const float *const *heads, float *log_prob,
                      float *action) {
  const size_t agents = (size_t)o->shape->n_agents, u = (size_t)o->shape->action_width;
  for (int r = 0; r < o->nets.n_runs; r++) {
    const onpolicy_run *run = &o->nets.runs[r];
    for (size_t w = 0; w < o->worlds; w++)
      for (int i = 0; i < run->n; i++) {
        const size_t v = w / o->n, a = (size_t)(run->first + i), lane = w * agents + a;
        float *done = action + lane * u;
        if (v > 0 && o->source[v][a] >= 0)
          memcpy(done, action + (w % o->n * agents + (size_t)o->source[v][a]) * u,
                 u * sizeof *done);
        const float *head = head_at(heads, &o->nets, r, w, i);
        log_prob[lane] = run->kind == ENV_DISCRETE
                             ? onpolicy_choice_log_prob(head, run->n_actions, (int)done[0])
                             : onpolicy_box_log_prob(head, done, run->n_actions);
      }
  }
}

garam_status onpolicy_act(agent *a, const float *observation, const float *state,
                          const uint8_t *alive, uint64_t steps, float *action, garam_error *err) {
  (void)alive;
  (void)steps;
  onpolicy *o = (onpolicy *)a;
  rollout *r = &o->rollout;
  const rollout_shape *s = &r->shape;
  const size_t lanes = s->worlds * s->agents, at = r->t * lanes;
  REQUIRE(!o->acted, "%s: act twice without learn", a->ops->name);
  float *seen = r->observation + at * s->observation, *drawn = r->action + at * s->action;
  float *seen_state = s->state ? r->state + r->t * s->worlds * s->state : NULL;
  if (o->config.normalize_observation) {
    normalizer_update(&o->observed, observation, o->n);
    if (s->state) normalizer_update(&o->observed_state, state, o->n);
  }
  onpolicy_see(o, seen, seen_state, observation, state);
  memcpy(plan_input(o->act, "observation", NULL), seen, lanes * s->observation * sizeof *seen);
  if (s->state)
    memcpy(plan_input(o->act, "state", NULL), seen_state, s->worlds * s->state * sizeof *seen);
  TRY(plan_run(o->act, 0, err));
  const float *heads[ENV_MAX_AGENTS];
  heads_of(heads, &o->nets, o->act);
  memcpy(r->value + at, plan_output(o->act, "value", NULL), lanes * sizeof *r->value);
  unscale(o, r->value + at);

  bool boxes = false, choices = false;
  for (int k = 0; k < o->nets.n_runs; k++) {
    boxes |= o->nets.runs[k].kind == ENV_BOX;
    choices |= o->nets.runs[k].kind == ENV_DISCRETE;
  }
  const size_t n = o->n * s->agents;
  if (choices) onpolicy_noise(o->uniform, NULL, n, o->seed, o->acts);
  if (boxes) onpolicy_noise(NULL, o->normal, n * s->action, o->seed, o->acts);
  for (int k = 0; k < o->nets.n_runs; k++)
    for (int i = 0; i < o->nets.runs[k].n; i++)
      for (size_t w = 0; w < o->n; w++) draw(o, heads, k, w, i, drawn);
  TRY(act_opponents(o, seen, seen_state, drawn, err));
  log_probs(o, heads, r->log_prob + at, drawn);
  send(o, action, drawn);
  o->acts++;
  o->acted = true;
  return GARAM_OK;
}

/* ---- learning ------------------------------------------------------------------------------ */

/* Rewards over the deviation of their discounted sums (Engstrom et al. 2020), in o->last (n, A). */
static void scale_rewards(onpolicy *o, const agent_step *s) {
  const size_t agents = (size_t)o->shape->n_agents;
  for (size_t i = 0; i < o->n * agents; i++) o->last[i] = s->reward[i];
  if (!o->config.normalize_reward) return;
  for (size_t i = 0; i < o->n * agents; i++) {
    o->discounted[i] = o->config.gamma * o->discounted[i] + (double)s->reward[i];
    o->last[i] = (float)o->discounted[i];
    if (s->terminated[i] || s->truncated[i] || s->ended[i / agents]) o->discounted[i] = 0;
  }
  normalizer_update(&o->rewarded, o->last, o->n);
  for (size_t i = 0; i < o->n * agents; i++) {
    const double scaled = (double)s->reward[i] / normalizer_deviation(&o->rewarded, i % agents);
    o->last[i] = (float)fmin(fmax(scaled, -o->rewarded.clip), o->rewarded.clip);
  }
}

static bool is_past(const onpolicy *o, size_t w, size_t a) {
  const opponent_pool *pool = &o->opponents;
  return pool->capacity && pool->who[w] >= 0 && pool->team[w] == o->nets.team[a];
}

/* Whether any lane was cut, so that what followed has to be valued. */
static bool store(onpolicy *o, const agent_step *s) {
  rollout *r = &o->rollout;
  const size_t agents = r->shape.agents, lanes = r->shape.worlds * agents, at = r->t * lanes;
  bool cut = false;
  for (size_t i = 0; i < lanes; i++) {
    const size_t world = i / agents, w = world % o->n, v = world / o->n, a = i % agents;
    const int from = o->source[v][a];
    const size_t lane = at + i, source = w * agents + (size_t)(from < 0 ? 0 : from);
    const bool known = from >= 0 && s->alive[source];
    r->reward[lane] = o->last[source];
    r->ended[lane] = s->terminated[source] || s->truncated[source] || s->ended[w];
    r->terminated[lane] = s->terminated[source] || (r->ended[lane] && !s->truncated[source]);
    r->weight[lane] = known && !is_past(o, w, (size_t)(from < 0 ? 0 : from)) ? 1.0f : 0.0f;
    if (v > 0 && r->weight[lane] > 0) {
      /* SEAC, eq. 6, with a ratio that is cut at 1: its mean stays below, its variance too. */
      const float ratio = expf(r->log_prob[lane] - r->log_prob[at + source]);
      r->weight[lane] = (float)o->config.seac * fminf(ratio, 1);
    }
    cut |= r->ended[lane] && !r->terminated[lane];
  }
  return cut;
}

static void begin_episodes(onpolicy *o, const uint8_t *ended) {
  if (!o->opponents.capacity) return;
  for (size_t w = 0; w < o->n; w++)
    if (ended[w]) opponent_pool_draw(&o->opponents, w, o->nets.n_teams, o->config.opponent_share);
}

garam_status onpolicy_learn(agent *a, const agent_step *s, uint64_t steps, garam_error *err) {
  onpolicy *o = (onpolicy *)a;
  rollout *r = &o->rollout;
  const size_t lanes = r->shape.worlds * r->shape.agents, at = r->t * lanes;
  REQUIRE(o->acted && s->n == o->n, "%s: learn without act, or of other worlds", a->ops->name);
  o->acted = false;
  scale_rewards(o, s);
  const bool cut = store(o, s), full = r->t + 1 == r->shape.steps;
  if (cut || full) {
    onpolicy_see(o, plan_input(o->value, "observation", NULL),
                 r->shape.state ? plan_input(o->value, "state", NULL) : NULL, s->next_observation,
                 s->next_state);
    TRY(onpolicy_values(o, o->last, err));
    for (size_t i = 0; i < lanes; i++)
      if (r->ended[at + i]) r->next_value[at + i] = o->last[i];
  }
  begin_episodes(o, s->ended);
  r->t++;
  if (!full) return GARAM_OK;
  rollout_finish(r, o->last, o->config.gamma, o->config.lambda);
  TRY(onpolicy_update(o, steps, err));
  r->t = 0;
  return GARAM_OK;
}

void onpolicy_metrics(agent *a, void (*row)(void *context, const char *name, double value),
                      void *context) {
  onpolicy *o = (onpolicy *)a;
  const onpolicy_sums *s = &o->sums;
  row(context, "updates", (double)o->updates);
  if (s->n > 0) {
    row(context, "policy_loss", s->policy / s->n);
    row(context, "value_loss", s->value / s->n);
    row(context, "entropy", s->entropy / s->n);
    row(context, "kl", s->kl / s->n);
    row(context, "learning_rate", o->rate);
  }
  o->sums = (onpolicy_sums){0};
}
