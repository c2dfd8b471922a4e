/* Learning from a rollout: several passes over it in minibatches, in an order that hangs on (seed,
 * update, pass). */
#include "rl/onpolicy.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the scale of values ------------------------------------------------------------------- */

/* Moves one critic's scale towards the targets, and its last layer so that no value changes (van
 * Hasselt, Guez, Hessel, Mnih & Silver 2016, "Pop-Art", eq. 3 and 4). */
static void scale_update(onpolicy *o, int critic) {
  const double rate = 0.1;
  const rollout *r = &o->rollout;
  const size_t agents = r->shape.agents, n = r->t * r->shape.worlds * agents;
  onpolicy_scale *z = &o->scale[critic];
  double weight = 0, sum = 0, squares = 0;
  for (size_t i = 0; i < n; i++) {
    if (o->critic_first[i % agents] != critic) continue;
    const double w = (double)r->weight[i], x = (double)r->target[i];
    weight += w;
    sum += w * x;
    squares += w * x * x;
  }
  if (!(weight > 0)) return;
  z->mean += rate * (sum / weight - z->mean);
  z->square += rate * (squares / weight - z->square);
  z->share += rate * (1 - z->share);
  const double mean = z->mean / z->share, square = z->square / z->share;
  const double deviation = sqrt(fmax(square - mean * mean, 1e-12));
  const double ratio = z->deviation / deviation;
  float *weights = o->params + o->critic_weight[critic], *bias = o->params + o->critic_bias[critic];
  for (size_t i = 0; i < o->critic_width[critic]; i++)
    weights[i] = (float)((double)weights[i] * ratio);
  *bias = (float)(((double)*bias * z->deviation + z->offset - mean) / deviation);
  z->offset = mean;
  z->deviation = deviation;
}

/* ---- minibatches --------------------------------------------------------------------------- */

typedef struct minibatch { /* the loss program's inputs */
  float *observation, *state, *action[ENV_MAX_AGENTS];
  float *log_prob, *advantage, *target, *value_before, *weight, *clip;
} minibatch;

static void minibatch_of(minibatch *m, const onpolicy *o) {
  *m = (minibatch){.observation = plan_input(o->loss, "observation", NULL),
                   .log_prob = plan_input(o->loss, "log_prob", NULL),
                   .advantage = plan_input(o->loss, "advantage", NULL),
                   .target = plan_input(o->loss, "target", NULL),
                   .weight = plan_input(o->loss, "weight", NULL),
                   .clip = plan_input(o->loss, "clip", NULL)};
  if (onpolicy_reads_state(o)) m->state = plan_input(o->loss, "state", NULL);
  if (o->config.value_clip > 0) m->value_before = plan_input(o->loss, "value_before", NULL);
  for (int r = 0; r < o->nets.n_runs; r++) {
    char name[32];
    snprintf(name, sizeof name, "action.%d", r);
    m->action[r] = plan_input(o->loss, name, NULL);
  }
}

static void put_actions(const minibatch *m, const onpolicy *o, size_t k, size_t row) {
  const rollout_shape *s = &o->rollout.shape;
  for (int r = 0; r < o->nets.n_runs; r++) {
    const onpolicy_run *run = &o->nets.runs[r];
    const size_t width = (size_t)run->n_actions, n = (size_t)run->n;
    const float *from = o->rollout.action + (row * s->agents + (size_t)run->first) * s->action;
    float *to = m->action[r] + k * n * width;
    if (run->kind == ENV_DISCRETE) memset(to, 0, n * width * sizeof *to);
    for (size_t i = 0; i < n; i++)
      if (run->kind == ENV_DISCRETE) to[i * width + (size_t)from[i * s->action]] = 1;
      else memcpy(to + i * width, from + i * s->action, width * sizeof *to);
  }
}

/* Rows [begin, end) of the order, the rest of the minibatch being copies that weigh nothing. */
static void gather(const minibatch *m, const onpolicy *o, size_t begin, size_t end) {
  const rollout *r = &o->rollout;
  const rollout_shape *s = &r->shape;
  const size_t agents = s->agents, seen = agents * s->observation;
  double sum = 0;
  for (size_t k = 0; k < o->rows; k++) {
    const bool counts = begin + k < end;
    const size_t row = o->order[counts ? begin + k : begin], at = row * agents;
    memcpy(m->observation + k * seen, r->observation + row * seen, seen * sizeof(float));
    if (m->state)
      memcpy(m->state + k * s->state, r->state + row * s->state, s->state * sizeof(float));
    put_actions(m, o, k, row);
    for (size_t a = 0; a < agents; a++) {
      const size_t to = k * agents + a;
      const onpolicy_scale *z = &o->scale[o->critic_first[a]];
      m->log_prob[to] = r->log_prob[at + a];
      m->advantage[to] = r->advantage[at + a];
      m->target[to] = (float)(((double)r->target[at + a] - z->offset) / z->deviation);
      if (m->value_before)
        m->value_before[to] = (float)(((double)r->value[at + a] - z->offset) / z->deviation);
      m->weight[to] = counts ? r->weight[at + a] : 0;
      sum += (double)m->weight[to];
    }
  }
  const float share = sum > 0 ? (float)(1 / sum) : 0;
  for (size_t i = 0; i < o->rows * agents; i++) m->weight[i] *= share;
}

static double output(const onpolicy *o, const char *name) {
  return (double)*(const float *)plan_output(o->loss, name, NULL);
}

static garam_status step(onpolicy *o, double *kl, garam_error *err) {
  TRY(plan_run(o->loss, o->minibatches, err));
  const double loss = output(o, "loss");
  const double norm = isfinite(loss)
                          ? optim_adamw_step(o->optim, o->params, o->grads, o->rate, o->minibatches)
                          : NAN;
  if (!isfinite(norm))
    return fail(err, GARAM_NUMERIC,
                "%s: the loss is %g and its gradient %g in update %llu; a smaller --learning-rate, "
                "or --normalize-reward, may help",
                o->agent.ops->name, loss, norm, (unsigned long long)o->updates);
  o->version++;
  o->minibatches++;
  *kl = output(o, "kl");
  o->sums.policy += output(o, "loss.policy");
  o->sums.value += output(o, "loss.value");
  o->sums.entropy += output(o, "entropy");
  o->sums.kl += *kl;
  o->sums.n++;
  return GARAM_OK;
}

garam_status onpolicy_update(onpolicy *o, uint64_t steps, garam_error *err) {
  const onpolicy_config *c = &o->config;
  rollout *r = &o->rollout;
  const size_t rows = r->t * r->shape.worlds;
  if (c->normalize_value) {
    for (int a = 0; a < o->shape->n_agents; a++)
      if (o->critic_first[a] == a) scale_update(o, a);
    o->version++;
  }
  if (c->normalize_advantage)
    for (int t = 0; t < o->nets.n_teams; t++) rollout_normalize(r, o->nets.team, t);
  const uint64_t lived = r->t * o->n, before = steps > lived ? steps - lived : 0;
  const double done = o->n_steps ? fmin((double)before / (double)o->n_steps, 1) : 0;
  o->rate = c->learning_rate * (c->anneal ? 1 - done : 1);
  minibatch m;
  minibatch_of(&m, o);
  *m.clip = (float)(c->clip * (c->anneal_clip ? 1 - done : 1));
  for (int epoch = 0; epoch < c->epochs; epoch++) {
    rng g;
    rng_init(&g, o->seed, RNG_SHUFFLE, o->updates * (uint64_t)c->epochs + (uint64_t)epoch);
    for (size_t i = 0; i < rows; i++) o->order[i] = (uint32_t)i;
    rng_shuffle(&g, o->order, rows);
    double kl_sum = 0;
    size_t n = 0;
    for (size_t at = 0; at < rows; at += o->rows, n++) {
      double kl = 0;
      gather(&m, o, at, at + o->rows < rows ? at + o->rows : rows);
      TRY(step(o, &kl, err));
      kl_sum += kl;
    }
    if (c->target_kl > 0 && kl_sum / (double)n > 1.5 * c->target_kl) break;
  }
  o->updates++;
  if (c->opponents && o->updates % (uint64_t)c->opponent_every == 0)
    opponent_pool_offer(&o->opponents, o->params);
  return GARAM_OK;
}
