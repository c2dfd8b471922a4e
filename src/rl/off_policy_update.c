/* One update of an off-policy learner. */
#include "rl/off_policy.h"

#include "base/thread.h"
#include "kernel/kernel.h"

#include <math.h>
#include <string.h>

/* Streams of an update's own draws, beside its indices: step is 4 * update + which. */
enum { DRAW_TARGET = 1, DRAW_OWN = 2 };

static void put(plan *p, const char *name, const float *from) {
  size_t bytes;
  void *to = plan_input(p, name, &bytes);
  memcpy(to, from, bytes);
}

/* Normal for boxes (cut, where targets are smoothed), Gumbel for choices. */
static void draw(const off_policy *l, float *out, uint64_t which) {
  const off_policy_config *c = &l->config;
  const bool smooth = which == DRAW_TARGET && !l->kind->entropy;
  rng r;
  rng_init(&r, l->seed, RNG_REPLAY, (1 + which) << 60 | l->counts[COUNT_UPDATES]);
  for (int i = 0; i < c->batch; i++)
    for (size_t a = 0; a < l->agents; a++) {
      const env_space *space = &l->shape->agents[a].action;
      for (int k = 0; k < (int)l->v; k++, out++) {
        double value = 0;
        if (k < space->n && space->kind == ENV_DISCRETE)
          value = -log(-log(rng_uniform(&r) + 1e-300) + 1e-300);
        else if (k < space->n) value = rng_normal(&r);
        if (smooth && space->kind == ENV_BOX)
          value = fmin(fmax(c->target_noise * value, -c->target_noise_clip), c->target_noise_clip);
        *out = (float)value;
      }
    }
}

static bool has_input(const off_policy *l, bool own) {
  bool choices = false;
  for (size_t a = 0; a < l->agents; a++) choices |= l->shape->agents[a].action.kind == ENV_DISCRETE;
  if (own) return l->kind->entropy || choices;
  return l->kind->entropy || l->config.target_noise > 0 ||
         (choices && l->config.targets && l->config.relaxation == RELAX_SOFT);
}

static bool sees_state(const off_policy *l) {
  return l->s > 0 && l->config.critics == CRITIC_CENTRALISED && !l->kind->values;
}

static garam_status stepped(double norm, const char *what, const off_policy *l, garam_error *err) {
  if (isfinite(norm)) return GARAM_OK;
  return fail(err, GARAM_NUMERIC, "%s: the gradient of its %s is not finite in update %llu",
              l->base.ops->name, what, (unsigned long long)l->counts[COUNT_UPDATES]);
}

static garam_status learn_values(off_policy *l, garam_error *err) {
  const off_policy_batch *b = &l->batch;
  const uint64_t step = l->counts[COUNT_UPDATES];
  plan *q = l->critic_plan, *targets = l->config.targets ? l->slow_plan : q;
  if (l->choose_plan) {
    put(l->choose_plan, "next", b->next);
    TRY(plan_run(l->choose_plan, step, err));
    put(targets, "choice", plan_output(l->choose_plan, "choice", NULL));
  }
  put(targets, "next", b->next);
  put(targets, "reward", b->reward);
  put(targets, "discount", b->discount);
  if (sees_state(l)) put(targets, "next_state", b->next_state);
  if (!l->kind->values && has_input(l, false))
    draw(l, plan_input(targets, "noise", NULL), DRAW_TARGET);
  if (l->config.targets) {
    TRY(plan_run(targets, step, err));
    put(q, "y", plan_output(targets, "y", NULL));
  }
  put(q, "observation", b->observation);
  put(q, "action", b->action);
  put(q, "weight", b->weight);
  if (sees_state(l)) put(q, "state", b->state);
  TRY(plan_run(q, step, err));
  const size_t at = l->critic_at;
  TRY(stepped(
      optim_adamw_step(l->critic_optim, l->params + at, l->grads + at, l->config.critic_rate, step),
      "critic", l, err));
  net_statistics_update(&l->critic_statistics, l->params, l->config.norm_rate);
  l->version++;
  l->metrics[METRIC_CRITIC_LOSS] += (double)*(const float *)plan_output(q, "loss", NULL);
  l->metrics[METRIC_CRITIC_UPDATES]++;
  return GARAM_OK;
}

/* The mean over agents of |error| is what a joint transition is drawn by. */
static void set_priorities(off_policy *l) {
  const float *error = plan_output(l->critic_plan, "error", NULL);
  if (!l->config.prioritized) return;
  for (size_t i = 0; i < (size_t)l->config.batch; i++) {
    l->batch.error[i] = 0;
    for (size_t a = 0; a < l->agents; a++)
      if (l->batch.weight[i * l->agents + a] > 0)
        l->batch.error[i] += fabs((double)error[i * l->agents + a]) / (double)l->agents;
  }
  replay_set_errors(l->replay, l->batch.index, l->batch.error, (size_t)l->config.batch);
}

static garam_status learn_actors(off_policy *l, garam_error *err) {
  const off_policy_batch *b = &l->batch;
  const uint64_t step = l->counts[COUNT_ACTOR_UPDATES];
  plan *pi = l->actor_plan;
  put(pi, "observation", b->observation);
  put(pi, "weight", b->weight);
  if (l->config.critics == CRITIC_CENTRALISED) put(pi, "action", b->action);
  if (sees_state(l)) put(pi, "state", b->state);
  if (has_input(l, true)) draw(l, plan_input(pi, "own_noise", NULL), DRAW_OWN);
  TRY(plan_run(pi, step, err));
  TRY(stepped(
      optim_adamw_step(l->actor_optim, l->params, l->grads + l->block, l->config.actor_rate, step),
      "actor", l, err));
  net_statistics_update(&l->actor_statistics, l->params, l->config.norm_rate);
  l->version++;
  l->counts[COUNT_ACTOR_UPDATES]++;
  l->metrics[METRIC_ACTOR_LOSS] += (double)*(const float *)plan_output(pi, "loss", NULL);
  l->metrics[METRIC_VALUE] += (double)*(const float *)plan_output(pi, "value", NULL);
  l->metrics[METRIC_ACTOR_UPDATES]++;
  return GARAM_OK;
}

static void move_slow(off_policy *l) {
  const uint64_t updates = l->counts[COUNT_UPDATES];
  const int64_t every = l->config.target_every;
  if (!l->config.targets || (every > 0 && (updates + 1) % (uint64_t)every != 0)) return;
  const int before = thread_narrow(1);
  kernel_table_f32()->blend(l->slow, l->params, every > 0 ? 1 : l->config.tau, l->block);
  thread_set_count(before);
  /* SAC's next action is of the actor as it is. */
  if (l->kind->entropy) memcpy(l->slow, l->params, l->critic_at * sizeof *l->slow);
  l->slow_version++;
}

garam_status off_policy_update(off_policy *l, garam_error *err) {
  const off_policy_config *c = &l->config;
  const uint64_t update = l->counts[COUNT_UPDATES];
  const double done = l->n_steps > 0 ? (double)l->counts[COUNT_STEPS] / (double)l->n_steps : 1;
  const double beta = c->priority_beta + (1 - c->priority_beta) * fmin(done, 1);
  const bool acts = !l->kind->values && (update + 1) % (uint64_t)c->policy_delay == 0;
  replay_draw(l->replay, l->batch.index, l->batch.importance, (size_t)c->batch, beta, l->seed,
              update);
  off_policy_gather(l, 0);
  TRY(learn_values(l, err));
  set_priorities(l);
  if (acts) TRY(learn_actors(l, err));
  if (acts || l->kind->values || l->kind->entropy) move_slow(l);
  l->counts[COUNT_UPDATES]++;
  if (c->sharing == SHARING_JOINT || l->agents < 2) return GARAM_OK;
  /* The first sketch's: critics alone learn from what happened to others. */
  const size_t turned = 1 + (size_t)(update % (l->agents - 1));
  off_policy_gather(l, turned);
  TRY(learn_values(l, err));
  l->counts[COUNT_UPDATES]++;
  return GARAM_OK;
}
