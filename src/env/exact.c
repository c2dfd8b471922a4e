/* Exact values; see exact.h. */
#include "env/exact.h"

#include "base/mem.h"
#include "env/env_list.h"
#include "env/execution.h"
#include "env/market_making.h"
#include "env/portfolio.h"

#include <math.h>
#include <string.h>

typedef struct valuation {
  const env_ops *ops;
  const void *config; /* never NULL */
  const player *who;
} valuation;

static garam_status act_baseline(void *self, env *e, float *action, garam_error *err) {
  const baseline *b;
  memcpy(&b, &self, sizeof b);
  TRY(baseline_check(b, e, err));
  b->act(e, 0, e->batch.n);
  if (action != e->batch.action)
    memcpy(action, e->batch.action,
           e->batch.n * (size_t)e->shape.n_agents * (size_t)e->shape.action_width * sizeof *action);
  return GARAM_OK;
}

player player_baseline(const baseline *b) {
  player who = {.act = act_baseline};
  memcpy(&who.self, &b, sizeof b); /* never written through */
  return who;
}

static garam_status probe_new(env **out, const valuation *x, const void *config, size_t n,
                              garam_error *err) {
  return env_new(out, x->ops, config, &(env_setup){.n = n}, err);
}

/* Without the price's luck a schedule that does not see the price always goes the same way. */
static garam_status execution_value(exact_report *out, const valuation *x, garam_error *err) {
  execution_config c = *(const execution_config *)x->config;
  if (c.observe_price)
    return fail(err, GARAM_UNSUPPORTED,
                "execution: with --observe-price a policy has no schedule, play it instead");
  c.reward = MARKET_REWARD_EXPECTED;
  garam_status status = GARAM_OK;
  env *e;
  TRY(probe_new(&e, x, &c, 1, err));
  do {
    TRY_GOTO(done, x->who->act(x->who->self, e, e->batch.action, err));
    TRY_GOTO(done, env_step(e, err));
  } while (!e->batch.ended[0]);
  out->value = e->batch.last_return[0] * c.unit;
  out->optimum = e->shape.reward_high * c.unit;
  out->unit = "money";
done:
  env_free(e);
  return status;
}

/* V_k(q) = E[cash of the fills - phi q^2 dt + V_k+1(q')]: both sides are filled apart from each
 * other, and the mid's moves have no expectation. One world for each inventory. */
static garam_status market_making_value(exact_report *out, const valuation *x, garam_error *err) {
  env *e;
  garam_status status = GARAM_OK;
  const market_making_config *c = x->config;
  const int most = c->market.inventory, width = 2 * most + 1;
  double *value = mem_array(2 * (size_t)width, sizeof *value);
  if (!value) return fail_memory(err, 2 * (size_t)width * sizeof *value);
  double *now = value, *next = value + width;
  TRY_GOTO(done, probe_new(&e, x, c, (size_t)width, err));
  const market_making_model *m = e->model;
  for (int i = 0; i < width; i++) next[i] = -c->market.terminal * (i - most) * (i - most);
  for (int k = m->c.steps - 1; k >= 0; k--) {
    for (int i = 0; i < width; i++) market_making_place(e, (size_t)i, k, i - most);
    TRY_GOTO(free, x->who->act(x->who->self, e, e->batch.action, err));
    for (int i = 0; i < width; i++) {
      const double q = i - most;
      const double ask = fmin(fmax((double)e->batch.action[2 * i], 0), m->c.depth);
      const double bid = fmin(fmax((double)e->batch.action[2 * i + 1], 0), m->c.depth);
      const double sells = i > 0 ? market_making_fill(m, ask) : 0;
      const double buys = i + 1 < width ? market_making_fill(m, bid) : 0;
      now[i] = sells * ask + buys * bid - c->market.running * q * q * m->dt +
               (sells * buys + (1 - sells) * (1 - buys)) * next[i];
      if (i > 0) now[i] += sells * (1 - buys) * next[i - 1];
      if (i + 1 < width) now[i] += buys * (1 - sells) * next[i + 1];
    }
    double *swap = now;
    now = next;
    next = swap;
  }
  out->value = next[most];
  out->optimum = e->shape.reward_high;
  out->unit = "money";
free:
  env_free(e);
done:
  mem_free(value);
  return status;
}

/* E log of one period's growth, Simpson's rule over +-12 deviations. */
static double log_growth(const portfolio_model *m, double w) {
  enum { N = 4800 };
  const merton *p = &m->c.market;
  const double bank = (1 - w) * exp(p->rate * m->dt), half = 12, step = 2 * half / N;
  const double mean = (p->drift - .5 * p->volatility * p->volatility) * m->dt;
  double sum = 0;
  for (int k = 0; k <= N; k++) {
    const double z = k * step - half;
    const double growth = bank + w * exp(mean + p->volatility * sqrt(m->dt) * z);
    const double weight = (k == 0 || k == N ? 1 : k % 2 ? 4 : 2) * step / 3;
    sum += weight * exp(-.5 * z * z) * (growth > 0 ? fmax(log(growth), -16) : -16);
  }
  return sum / sqrt(2 * M_PI);
}

static garam_status portfolio_value(exact_report *out, const valuation *x, garam_error *err) {
  const portfolio_config *c = x->config;
  if (c->market.assets != 1 || c->fee > 0)
    return fail(err, GARAM_UNSUPPORTED,
                "portfolio: the exact value is known for one asset without costs, play it instead");
  garam_status status = GARAM_OK;
  env *e;
  TRY(probe_new(&e, x, c, 1, err));
  const portfolio_model *m = e->model;
  double sum = 0;
  do { /* a ruined world would begin anew: its clock is what counts */
    TRY_GOTO(done, x->who->act(x->who->self, e, e->batch.action, err));
    sum += log_growth(m, fmin(fmax((double)e->batch.action[0], c->low), c->high));
    e->batch.action[0] = fminf(fmaxf(0, m->low[0]), m->high[0]);
    TRY_GOTO(done, env_step(e, err));
  } while (!e->batch.ended[0]);
  const double years = m->steps * m->dt;
  out->value = sum / years;
  out->optimum = merton_growth(&c->market, merton_fraction(&c->market));
  out->unit = "log wealth a year";
done:
  env_free(e);
  return status;
}

static const struct {
  const env_ops *ops;
  garam_status (*value)(exact_report *out, const valuation *x, garam_error *err);
} rows[] = {
    {&env_execution, execution_value},
    {&env_market_making, market_making_value},
    {&env_portfolio, portfolio_value},
};

bool exact_knows(const env_ops *ops) {
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (rows[i].ops == ops) return true;
  return false;
}

garam_status exact_value(exact_report *out, const env_ops *ops, const void *config,
                         const player *who, garam_error *err) {
  memset(out, 0, sizeof *out);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    if (rows[i].ops != ops) continue;
    void *defaults = mem_zalloc(ops->config_size);
    if (!defaults) return fail_memory(err, ops->config_size);
    opt_defaults(ops->options, ops->n_options, defaults);
    const valuation x = {ops, config ? config : defaults, who};
    const garam_status status = rows[i].value(out, &x, err);
    mem_free(defaults);
    TRY(status);
    out->gap = (out->optimum - out->value) / fabs(out->optimum);
    return GARAM_OK;
  }
  return fail(err, GARAM_UNSUPPORTED, "environment %s has no optimum in closed form", ops->name);
}
