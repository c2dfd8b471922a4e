/* The life of an off-policy learner: see off_policy.h. */
#include "rl/off_policy.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

static garam_status check(const off_policy *l, garam_error *err) {
  const env_shape *s = l->shape;
  const off_policy_config *c = &l->config;
  int64_t widths[NET_MAX_LAYERS];
  int n;
  TRY(net_widths(widths, &n, &c->critic, err));
  TRY(actor_check(&l->actor, err));
  if (c->sharing == SHARING_CRITICS)
    for (int a = 1; a < s->n_agents; a++)
      if (s->agents[a].action.kind != s->agents[0].action.kind ||
          s->agents[a].action.n != s->agents[0].action.n ||
          s->agents[a].observation.n != s->agents[0].observation.n)
        return fail(err, GARAM_MISMATCH,
                    "--sharing critics: %s and %s differ in what they observe or do",
                    s->agents[0].name, s->agents[a].name);
  if (l->kind->entropy)
    for (int a = 0; a < s->n_agents; a++)
      if (s->agents[a].action.kind != ENV_BOX)
        return fail(err, GARAM_MISMATCH, "agent %s acts by boxes alone, and %s chooses",
                    l->base.ops->name, s->agents[a].name);
  if (!c->targets && l->kind->values)
    return fail(err, GARAM_INVALID, "--no-targets: not of %s", l->base.ops->name);
  if (c->replay < c->batch)
    return fail(err, GARAM_INVALID, "--replay %lld holds less than a batch of %d",
                (long long)c->replay, c->batch);
  return GARAM_OK;
}

static garam_status memory_new(off_policy *l, garam_error *err) {
  const size_t bytes = off_policy_batch_lay_out(l, NULL);
  l->memory = mem_alloc_aligned(bytes, 64);
  if (!l->memory) return fail_memory(err, bytes);
  memset(l->memory, 0, bytes);
  off_policy_batch_lay_out(l, l->memory);
  return GARAM_OK;
}

static garam_status parts_new(off_policy *l, garam_error *err) {
  const off_policy_config *c = &l->config;
  const replay_config kept = {.capacity = (size_t)c->replay,
                              .n = l->n,
                              .agents = l->agents,
                              .observation = l->o,
                              .action = l->u,
                              .state = l->s,
                              .prioritized = c->prioritized,
                              .alpha = c->priority_alpha};
  TRY(memory_new(l, err));
  TRY(replay_new(&l->replay, &kept, err));
  TRY(noise_init(&l->noise, (noise_kind)c->noise, c->noise_scale, c->noise_theta, l->n,
                 l->agents * l->u, err));
  TRY(normalizer_init(&l->observed, l->agents * l->o, 10, err));
  TRY(normalizer_init(&l->returns, l->agents, 0, err));
  normalizer_refresh(&l->returns);
  TRY(mixer_init(&l->mixer, &c->mix, l->agents, err));
  TRY(off_policy_compile(l, err));
  return policy_new(&l->policy, &l->actor, l->params, &l->version,
                    c->normalize_observations ? &l->observed : NULL, err);
}

garam_status off_policy_create(agent **out, const off_policy_kind *kind, const agent_ops *ops,
                               const off_policy_config *config, const agent_setup *setup,
                               garam_error *err) {
  *out = NULL;
  off_policy *l = mem_zalloc(sizeof *l);
  if (!l) return fail_memory(err, sizeof *l);
  const env_shape *s = setup->shape;
  l->base.ops = ops;
  l->kind = kind;
  l->config = *config;
  l->shape = s;
  l->n = setup->n;
  l->n_steps = setup->n_steps;
  l->seed = setup->seed;
  l->agents = (size_t)s->n_agents;
  l->o = (size_t)s->observation_width;
  l->u = (size_t)s->action_width;
  l->v = (size_t)critic_action_width(s);
  l->s = (size_t)s->state_width;
  l->actor = (actor_spec){.shape = s,
                          .config = config->actor,
                          .box_head = kind->box_head,
                          .choice_head = kind->choice_head};
  l->critic = (critic_spec){
      .shape = s, .net = config->critic, .kind = config->critics, .shared = config->actor.shared};
  garam_status status = agent_fits(ops, s, err);
  if (status == GARAM_OK) status = check(l, err);
  if (status == GARAM_OK) status = parts_new(l, err);
  if (status == GARAM_OK) *out = &l->base;
  else off_policy_destroy(&l->base);
  return status;
}

void off_policy_destroy(agent *a) {
  off_policy *l = (off_policy *)a;
  if (!l) return;
  policy_free(l->policy);
  plan_free(l->slow_plan);
  plan_free(l->critic_plan);
  plan_free(l->actor_plan);
  plan_free(l->choose_plan);
  net_statistics_deinit(&l->actor_statistics);
  net_statistics_deinit(&l->critic_statistics);
  optim_adamw_free(l->actor_optim);
  optim_adamw_free(l->critic_optim);
  mem_free_aligned(l->params);
  mem_free_aligned(l->slow);
  mem_free_aligned(l->grads);
  mixer_deinit(&l->mixer);
  normalizer_deinit(&l->observed);
  normalizer_deinit(&l->returns);
  noise_deinit(&l->noise);
  replay_free(l->replay);
  mem_free_aligned(l->memory);
  mem_free(l);
}

size_t off_policy_worlds(const void *config) {
  return (size_t)((const off_policy_config *)config)->parallel;
}

policy *off_policy_policy(agent *a) {
  return ((off_policy *)a)->policy;
}

/* ---- learning ----------------------------------------------------------------------------------
 */

/* The first sketch's done = any(dones): one agent's end is taken for everyone's, and a cut for an
 * end, so that nothing is bootstrapped through either. */
static agent_step any_done(off_policy *l, const agent_step *s) {
  agent_step out = *s;
  uint8_t *terminated = l->flags, *truncated = l->flags + l->n * l->agents;
  memset(l->flags, 0, 2 * l->n * l->agents);
  for (size_t w = 0; w < l->n; w++) {
    uint8_t any = 0;
    for (size_t a = 0; a < l->agents; a++)
      any |= s->terminated[w * l->agents + a] | s->truncated[w * l->agents + a];
    memset(terminated + w * l->agents, any, l->agents);
  }
  out.terminated = terminated;
  out.truncated = truncated;
  return out;
}

/* The scale of rewards is the deviation of discounted returns so far (as PPO's authors have it). */
static void watch_rewards(off_policy *l, const agent_step *s) {
  float row[ENV_MAX_AGENTS];
  for (size_t w = 0; w < l->n; w++) {
    for (size_t a = 0; a < l->agents; a++) {
      double *running = l->running + w * l->agents + a;
      *running = l->config.gamma * *running + (double)s->reward[w * l->agents + a];
      row[a] = (float)*running;
      if (s->ended[w]) *running = 0;
    }
    normalizer_update(&l->returns, row, 1);
  }
}

static void watch_performance(off_policy *l, const agent_step *s) {
  double returns[ENV_MAX_AGENTS];
  if (l->config.actor.communication != ACTOR_COMMUNICATION_MATRIX) return;
  for (size_t w = 0; w < l->n; w++) {
    for (size_t a = 0; a < l->agents; a++) {
      double *sum = l->sums + w * l->agents + a;
      *sum += (double)s->reward[w * l->agents + a];
      returns[a] = *sum;
      if (s->ended[w]) *sum = 0;
    }
    if (!s->ended[w]) continue;
    mixer_observe(&l->mixer, returns);
    mixer_matrix(&l->mixer, l->params + policy_place(l->policy, "actor.mix"));
    l->version++;
  }
}

garam_status off_policy_learn(agent *self, const agent_step *s, uint64_t steps, garam_error *err) {
  off_policy *l = (off_policy *)self;
  const off_policy_config *c = &l->config;
  uint64_t due = 0, ends = 0;
  if (c->normalize_observations) normalizer_update(&l->observed, s->observation, l->n);
  if (c->normalize_rewards) watch_rewards(l, s);
  watch_performance(l, s);
  if (c->done == DONE_ANY) {
    const agent_step kept = any_done(l, s);
    TRY(replay_add(l->replay, &kept, err));
  } else {
    TRY(replay_add(l->replay, s, err));
  }
  for (size_t w = 0; w < l->n; w++) {
    if (!s->ended[w]) continue;
    noise_reset(&l->noise, w);
    ends++;
  }
  l->counts[COUNT_STEPS] += l->n;
  (void)steps;
  const uint64_t taken = l->counts[COUNT_STEPS];
  if (replay_count(l->replay) < (size_t)c->batch || taken < (uint64_t)c->start_steps)
    return GARAM_OK;
  if (c->when == UPDATE_EPISODE) due = ends;
  else { /* as many as this step brings it over a whole number */
    const double before = (double)(taken - l->n) * c->updates, after = (double)taken * c->updates;
    due = (uint64_t)floor(after) - (uint64_t)floor(before);
  }
  for (uint64_t i = 0; i < due; i++) TRY(off_policy_update(l, err));
  return GARAM_OK;
}

void off_policy_metrics(agent *a, void (*row)(void *context, const char *name, double value),
                        void *context) {
  off_policy *l = (off_policy *)a;
  double *sums = l->metrics;
  const double n_critic = sums[METRIC_CRITIC_UPDATES], n_actor = sums[METRIC_ACTOR_UPDATES];
  row(context, "updates", (double)l->counts[COUNT_UPDATES]);
  row(context, "replay", (double)replay_count(l->replay));
  if (n_critic > 0) row(context, "critic_loss", sums[METRIC_CRITIC_LOSS] / n_critic);
  if (n_actor > 0) row(context, "actor_loss", sums[METRIC_ACTOR_LOSS] / n_actor);
  if (n_actor > 0) row(context, "value", sums[METRIC_VALUE] / n_actor);
  if (l->temperature_at != SIZE_MAX)
    row(context, "temperature", exp((double)l->params[l->temperature_at]));
  memset(sums, 0, sizeof l->metrics);
}
