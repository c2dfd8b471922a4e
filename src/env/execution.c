/* Order execution (Almgren & Chriss 2000): X shares are to be sold in N periods. A quick seller
 * moves the price against himself, a slow one carries its risk. The reward is what wealth (cash and
 * shares at the mid) changed by, less risk_aversion sigma^2 tau x_k^2 for the x_k shares kept
 * through period k. The price is a martingale but for the seller's own impact, so the return's
 * expectation is -(E + lambda V) of the paper, for schedules and for policies that react; its best
 * is almgren_chriss_trajectory. What is left in the last period is sold in it. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/chart.h"
#include "env/env_list.h"
#include "env/execution.h"

#include <math.h>

const char *const market_reward_names[] = {"wealth", "expected", NULL};

#define AT(field) OPT_AT(execution_config, field)
static const opt_row options[] = {
    {"shares", OPT_F64, AT(market.shares), .def = 1e6, .min = 1, .max = 1e8,
     .help = "shares to sell"},
    {"horizon", OPT_F64, AT(market.horizon), .def = 5, .min = 1e-3, .max = 1e3, .unit = "days",
     .help = "time to sell them in"},
    {"periods", OPT_INT, AT(market.periods), .def = 5, .min = 1, .max = EXECUTION_MAX_PERIODS,
     .help = "sales in that time"},
    {"volatility", OPT_F64, AT(market.volatility), .def = .95, .min = 0, .max = 100,
     .help = "of the price, in money a root of a day"},
    {"temporary-impact", OPT_F64, AT(market.temporary), .def = 2.5e-6, .min = 1e-12, .max = 1,
     .scale = OPT_LOG, .help = "price given up for each share a day sold (eta)"},
    {"permanent-impact", OPT_F64, AT(market.permanent), .def = 2.5e-7, .min = 0, .max = 1,
     .help = "price lost for good for each share sold (gamma)"},
    {"half-spread", OPT_F64, AT(market.half_spread), .def = .0625, .min = 0, .max = 100,
     .help = "price given up for any share sold (epsilon)"},
    {"risk-aversion", OPT_F64, AT(market.risk_aversion), .def = 1e-6, .min = 0, .max = 1,
     .help = "weight of the variance of cost (lambda)"},
    {"price", OPT_F64, AT(price), .def = 50, .min = .01, .max = 1e4, .help = "price at the start"},
    {"unit", OPT_F64, AT(unit), .def = 1e6, .min = 1e-3, .max = 1e12, .scale = OPT_LOG,
     .help = "money in a reward of 1"},
    {"reward", OPT_ENUM, AT(reward), .choices = market_reward_names,
     .help = "change of wealth, or that less the luck of the price: same mean, no noise"},
    {"observe-price", OPT_BOOL, AT(observe_price),
     .help = "the price's move since the start is observed too"},
};

static const float observation_low[3] = {-1, 0, -INFINITY}, observation_high[3] = {1, 1, INFINITY},
                   action_low[1] = {0}, action_high[1] = {1};
#define SELLER(width)                                                                              \
  {                                                                                                \
    .name = "seller", .team = "seller",                                                            \
    .observation = {.kind = ENV_BOX,                                                               \
                    .n = width,                                                                    \
                    .low = observation_low,                                                        \
                    .high = observation_high},                                                     \
    .action = {                                                                                    \
      .kind = ENV_BOX,                                                                             \
      .n = 1,                                                                                      \
      .low = action_low,                                                                           \
      .high = action_high                                                                          \
    }                                                                                              \
  }
static const env_agent agents_blind[] = {SELLER(2)}, agents_seeing[] = {SELLER(3)};
static const char *const info_names[] = {"wealth_change", "penalty", "held", "price", "sold"};

/* E + lambda V of a seller who sells a uniform share of what is left: moments of x_k are known. */
static double random_utility(const almgren_chriss *p) {
  const double tau = p->horizon / p->periods;
  double square = p->shares * p->shares, sum = p->half_spread * p->shares;
  for (int k = 1; k <= p->periods; k++) {
    const bool last = k == p->periods;
    sum += (last ? 1 : 1.0 / 3) * p->temporary / tau * square +
           (last ? 0 : 1.0 / 6) * p->permanent * square;
    square *= last ? 0 : 1.0 / 3;
    sum += p->risk_aversion * p->volatility * p->volatility * tau * square;
  }
  return sum;
}

static garam_status execution_open(env *e, const void *config, garam_error *err) {
  const execution_config *c = config;
  const double tau = c->market.horizon / c->market.periods;
  if (!(c->market.temporary > 0.5 * c->market.permanent * tau))
    return fail(err, GARAM_INVALID,
                "--temporary-impact %g is not above half of --permanent-impact over a period, %g",
                c->market.temporary, 0.5 * c->market.permanent * tau);
  execution_model *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->c = *c;
  m->c.market.shares = floor(c->market.shares);
  m->tau = tau;
  almgren_chriss_trajectory(m->held, &m->c.market);
  const almgren_chriss *p = &m->c.market;
  const double x = p->shares, noise = 9 * p->volatility * sqrt(tau) * x;
  const double dump = p->half_spread * x + (p->temporary / tau + p->permanent) * x * x;
  const double fear = p->risk_aversion * p->volatility * p->volatility * tau * x * x;
  m->bits = ledger_bits((noise + dump + fear) / c->unit);
  e->shape = (env_shape){.n_agents = 1,
                         .agents = c->observe_price ? agents_seeing : agents_blind,
                         .observation_width = c->observe_price ? 3 : 2,
                         .action_width = 1,
                         .world_bytes = sizeof(execution_world),
                         .n_info = COUNT_OF(info_names),
                         .info_names = info_names,
                         .reward_low = -random_utility(&m->c.market) / c->unit,
                         .reward_high = -almgren_chriss_utility(&m->c.market, m->held) / c->unit};
  return GARAM_OK;
}

static void execution_close(env *e) {
  mem_free(e->model);
}

static void show(const env *e, size_t i, const execution_world *w) {
  const execution_model *m = e->model;
  float *observation = e->batch.observation + i * (size_t)e->shape.observation_width;
  observation[0] = 1 - 2 * (float)w->sold / (float)m->c.market.periods;
  observation[1] = (float)((double)w->held / m->c.market.shares);
  if (m->c.observe_price) {
    const double usual = m->c.market.volatility * sqrt(m->c.market.horizon);
    observation[2] = (float)((ticks_money(w->price) - m->c.price) / (usual > 0 ? usual : 1));
  }
}

static int64_t wealth(const execution_world *w) {
  return w->cash + w->held * w->price;
}

static void execution_reset(env *e, size_t i, rng *r) {
  const execution_model *m = e->model;
  execution_world *w = env_world(e, i);
  w->r = *r;
  w->held = (int64_t)m->c.market.shares;
  w->price = ticks_of(m->c.price);
  w->cash = -w->held * w->price; /* wealth is counted from where it starts */
  w->penalty = w->luck = 0;
  w->sold = 0;
  w->path_held[0] = 1;
  w->path_price[0] = (float)m->c.price;
  ledger_open(&w->ledger, 0, m->bits);
  show(e, i, w);
}

static void step_world(env *e, size_t i) {
  const execution_model *m = e->model;
  const almgren_chriss *p = &m->c.market;
  execution_world *w = env_world(e, i);
  const double share = fmin(fmax((double)e->batch.action[i], 0), 1);
  const bool last = w->sold + 1 == p->periods;
  const int64_t n = last ? w->held : llround(share * (double)w->held);
  const double rate = (double)n / m->tau;
  w->cash += n * (w->price - (n ? ticks_of(p->half_spread + p->temporary * rate) : 0));
  w->held -= n;
  const int64_t move = ticks_of(p->volatility * sqrt(m->tau) * rng_normal(&w->r));
  w->price += move - ticks_of(m->tau * p->permanent * rate);
  w->luck += w->held * move;
  const double kept = (double)w->held;
  w->penalty += ticks_of(p->risk_aversion * p->volatility * p->volatility * m->tau * kept * kept);
  w->sold++;
  w->path_held[w->sold] = (float)(kept / p->shares);
  w->path_price[w->sold] = (float)ticks_money(w->price);
  const int64_t net =
      wealth(w) - w->penalty - (m->c.reward == MARKET_REWARD_EXPECTED ? w->luck : 0);
  e->batch.reward[i] = ledger_pay(&w->ledger, ticks_money(net) / m->c.unit);
  e->batch.terminated[i] = last;
  float *info = e->batch.info + i * COUNT_OF(info_names);
  info[0] = (float)ticks_money(wealth(w));
  info[1] = (float)ticks_money(w->penalty);
  info[2] = (float)kept;
  info[3] = (float)ticks_money(w->price);
  info[4] = (float)n;
  show(e, i, w);
}

static void execution_step(env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) step_world(e, i);
}

static void execution_draw(const env *e, size_t i, void (*text)(void *, const char *),
                           void *context) {
  const execution_model *m = e->model;
  const execution_world *w = env_world(e, i);
  const chart c = {text, context};
  const chart_box above = {30, 24, 350, 110}, below = {30, 170, 350, 110};
  const int n = m->c.market.periods + 1;
  float best[EXECUTION_MAX_PERIODS + 1];
  for (int k = 0; k < n; k++) best[k] = (float)(m->held[k] / m->c.market.shares);
  chart_frame(&c, above, "held %lld of %.0f (grey: Almgren-Chriss)", (long long)w->held,
              m->c.market.shares);
  chart_line(&c, above, best, n, n, 0, 1, "#aaa");
  chart_line(&c, above, w->path_held, w->sold + 1, n, 0, 1, "#06c");
  double low = 0, high = 1;
  chart_range(&low, &high, w->path_price, w->sold + 1);
  chart_frame(&c, below, "price %.2f", ticks_money(w->price));
  chart_line(&c, below, w->path_price, w->sold + 1, n, low, high, "#c40");
}

const env_ops env_execution = {
    .name = "execution",
    .summary = "sell a block of shares against one's own impact (Almgren-Chriss)",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(execution_config),
    .open = execution_open,
    .close = execution_close,
    .reset = execution_reset,
    .step = execution_step,
    .draw = execution_draw};

/* ---- baselines ------------------------------------------------------------------------------- */

static void twap_act(const env *e, size_t begin, size_t end) {
  const execution_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const execution_world *w = env_world(e, i);
    e->batch.action[i] = 1 / (float)(m->c.market.periods - w->sold);
  }
}

static void optimal_act(const env *e, size_t begin, size_t end) {
  const execution_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const execution_world *w = env_world(e, i);
    const double *held = m->held + w->sold;
    e->batch.action[i] = held[0] > 0 ? (float)(1 - held[1] / held[0]) : 1;
  }
}

static void at_once_act(const env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) e->batch.action[i] = 1;
}

/* Knows every move to come: sells n_k to maximise sum n_k P_k - eta n_k^2 / tau with sum n_k = x
 * and n_k >= 0, P_k being the price's own path: n_k = max(0, P_k - mu) tau / (2 eta), where mu is
 * found by halving. */
static void oracle_act(const env *e, size_t begin, size_t end) {
  const execution_model *m = e->model;
  const almgren_chriss *p = &m->c.market;
  const double eta = p->temporary - .5 * p->permanent * m->tau;
  for (size_t i = begin; i < end; i++) {
    const execution_world *w = env_world(e, i);
    const int left = p->periods - w->sold;
    const double held = (double)w->held;
    double path[EXECUTION_MAX_PERIODS], top = 0, low = 0;
    rng r = w->r;
    path[0] = 0;
    for (int k = 1; k < left; k++) {
      path[k] = path[k - 1] + p->volatility * sqrt(m->tau) * rng_normal(&r);
      top = fmax(top, path[k]);
      low = fmin(low, path[k]);
    }
    low -= 2 * eta * held / m->tau + 1e-9;
    for (int step = 0; step < 60; step++) {
      const double mu = .5 * (low + top);
      double sum = 0;
      for (int k = 0; k < left; k++) sum += fmax(0, path[k] - mu) * m->tau / (2 * eta);
      if (sum > held) low = mu;
      else top = mu;
    }
    const double n = fmax(0, path[0] - top) * m->tau / (2 * eta);
    e->batch.action[i] = held > 0 ? (float)fmin(1, n / held) : 1;
  }
}

const baseline baselines_execution[] = {
    {.env = "execution",
     .name = "twap",
     .summary = "the same number every period",
     .act = twap_act},
    {.env = "execution",
     .name = "optimal",
     .summary = "the schedule of Almgren and Chriss",
     .act = optimal_act},
    {.env = "execution",
     .name = "at_once",
     .summary = "all in the first period",
     .act = at_once_act},
    {.env = "execution",
     .name = "oracle",
     .summary = "knows the prices to come",
     .act = oracle_act},
    {.name = NULL},
};
