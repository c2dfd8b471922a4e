/* Acting in order to find out: noise around what is known, choices by their odds, or anything. */
#include "rl/off_policy.h"

#include <math.h>
#include <string.h>

/* Draws of noise_draw have even counters of RNG_EXPLORE, all others odd ones. */
static rng other_draws(const off_policy *l) {
  rng r;
  rng_init(&r, l->seed, RNG_EXPLORE, 2 * l->counts[COUNT_ACTS] + 1);
  return r;
}

/* Uniformly; where noise is correlated in time, as far as it goes: what has to be pushed for long
 * is not found by white noise. */
static void act_anyhow(const off_policy *l, float *action, const env_space *space, size_t a,
                       const float *drawn, rng *r) {
  const double unit = noise_deviation(&l->noise);
  const bool correlated = l->noise.kind == NOISE_ORNSTEIN_UHLENBECK && unit > 0;
  if (space->kind == ENV_DISCRETE) {
    *action = (float)rng_below(r, (uint64_t)space->n);
    return;
  }
  for (int i = 0; i < space->n; i++) {
    double middle, half;
    actor_box_range(&middle, &half, &l->actor, (int)a, i);
    const double u =
        correlated ? fmin(fmax((double)drawn[i] / unit, -1), 1) : 2 * rng_uniform(r) - 1;
    action[i] = (float)(middle + half * u);
  }
}

static float within(const env_space *space, int i, double value) {
  if (space->low && value < (double)space->low[i]) return space->low[i];
  if (space->high && value > (double)space->high[i]) return space->high[i];
  return (float)value;
}

static void add_noise(const off_policy *l, float *action, const env_space *space, size_t a,
                      const float *drawn, double share) {
  for (int i = 0; i < space->n; i++) {
    double middle, half;
    actor_box_range(&middle, &half, &l->actor, (int)a, i);
    action[i] = within(space, i, (double)action[i] + half * share * (double)drawn[i]);
  }
}

/* tanh(mean + deviation z), z of deviation 1 however it is correlated in time. */
static void sample_squashed(const off_policy *l, float *action, const env_space *space, size_t a,
                            const float *head, const float *drawn, double unit) {
  for (int i = 0; i < space->n; i++) {
    double middle, half;
    const double deviation = exp(actor_log_deviation_of((double)head[space->n + i]));
    actor_box_range(&middle, &half, &l->actor, (int)a, i);
    action[i] = within(space, i,
                       middle + half * tanh((double)head[i] + deviation * (double)drawn[i] / unit));
  }
}

/* By the odds of the logits: the largest of logits with Gumbel's noise. */
static float sample_choice(const float *logits, int n, rng *r) {
  double most = -INFINITY;
  int best = 0;
  for (int i = 0; i < n; i++) {
    const double value = (double)logits[i] - log(-log(rng_uniform(r) + 1e-300) + 1e-300);
    if (value > most) {
      most = value;
      best = i;
    }
  }
  return (float)best;
}

/* From start to end over a share of the run. */
static double scheduled(const off_policy *l, double start, double end, double share,
                        uint64_t steps) {
  const double over = share * (double)l->n_steps;
  const double part = over > 0 ? (double)steps / over : 1;
  return part >= 1 ? end : start + part * (end - start);
}

garam_status off_policy_act(agent *self, const float *observation, const float *state,
                            const uint8_t *alive, uint64_t steps, float *action, garam_error *err) {
  (void)state;
  off_policy *l = (off_policy *)self;
  const off_policy_config *c = &l->config;
  rng r = other_draws(l);
  const bool anyhow = steps < (uint64_t)c->start_steps;
  const double epsilon = scheduled(l, c->epsilon_start, c->epsilon_end, c->epsilon_share, steps);
  const double share = scheduled(l, 1, c->noise_final, 1, steps);
  if (anyhow) memset(action, 0, l->n * l->agents * l->u * sizeof *action);
  else TRY(policy_act(l->policy, observation, alive, l->n, action, err));
  noise_draw(&l->noise, l->drawn, l->seed, 2 * l->counts[COUNT_ACTS]);
  l->counts[COUNT_ACTS]++;
  for (size_t w = 0; w < l->n; w++)
    for (size_t a = 0; a < l->agents; a++) {
      const size_t at = w * l->agents + a;
      const env_space *space = &l->shape->agents[a].action;
      const float *drawn = l->drawn + at * l->u;
      float *to = action + at * l->u;
      if (alive && !alive[at]) continue;
      if (anyhow) {
        act_anyhow(l, to, space, a, drawn, &r);
        continue;
      }
      const float *head =
          policy_heads(l->policy, (int)a) + w * (size_t)actor_head_width(&l->actor, (int)a);
      if (space->kind == ENV_DISCRETE) {
        if (rng_uniform(&r) < epsilon) act_anyhow(l, to, space, a, drawn, &r);
        else if (!l->kind->values) *to = sample_choice(head, space->n, &r);
      } else if (l->kind->entropy) {
        sample_squashed(l, to, space, a, head, drawn, noise_deviation(&l->noise));
      } else {
        add_noise(l, to, space, a, drawn, share);
      }
    }
  return GARAM_OK;
}
