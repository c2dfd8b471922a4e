/* Portfolio allocation (Merton 1969): wealth between a bank account and n risky assets that follow
 * geometric Brownian motions, rebalanced every period, at a cost if one is asked for. The reward is
 * what the log of net wealth changed by, in percent, so the return is 100 log(W_T / W_0); without
 * costs its best is merton_growth at merton_fraction, as periods grow short.
 *
 * Ruin (a levered position that loses everything) ends the episode with a wealth of e^-16 of the
 * last. */
#include "env/portfolio.h"

#include "base/mem.h"
#include "env/baseline.h"
#include "env/chart.h"
#include "env/env_list.h"

#include <math.h>

#define AT(field) OPT_AT(portfolio_config, field)
static const opt_row options[] = {
    {"assets", OPT_INT, AT(market.assets), .def = 1, .min = 1, .max = PORTFOLIO_MAX_ASSETS,
     .help = "risky assets, alike"},
    {"drift", OPT_F64, AT(market.drift), .def = .08, .min = -1, .max = 1,
     .help = "of their prices a year (mu)"},
    {"rate", OPT_F64, AT(market.rate), .def = .02, .min = -1, .max = 1,
     .help = "of the bank account a year (r)"},
    {"volatility", OPT_F64, AT(market.volatility), .def = .2, .min = 1e-4, .max = 2,
     .help = "of their prices, a root of a year (sigma)"},
    {"correlation", OPT_F64, AT(market.correlation), .def = 0, .min = 0, .max = .99,
     .help = "between any two of them"},
    {"periods", OPT_INT, AT(periods), .def = 12, .min = 1, .max = 100000,
     .help = "rebalancings a year"},
    {"years", OPT_F64, AT(years), .def = 1, .min = 1e-3, .max = 100, .help = "an episode's length"},
    {"low", OPT_F64, AT(low), .def = -1, .min = -10, .max = 10,
     .help = "least share of wealth in an asset"},
    {"high", OPT_F64, AT(high), .def = 3, .min = -10, .max = 10,
     .help = "largest share of wealth in an asset"},
    {"fee", OPT_F64, AT(fee), .def = 0, .min = 0, .max = .1,
     .help = "cost of trading, as a share of what is traded"},
    {"unit", OPT_F64, AT(unit), .def = .01, .min = 1e-6, .max = 1e3,
     .help = "log wealth in a reward of 1"},
    {"reward", OPT_ENUM, AT(reward), .choices = market_reward_names,
     .help = "change of log wealth, or that less the luck of prices: same mean, less noise"},
};
static const char *const info_names[] = {"wealth", "costs", "risky"};

static garam_status portfolio_open(env *e, const void *config, garam_error *err) {
  const portfolio_config *c = config;
  if (!(c->low < c->high))
    return fail(err, GARAM_INVALID, "--low %g is not below --high %g", c->low, c->high);
  portfolio_model *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->c = *c;
  m->dt = 1.0 / c->periods;
  m->bits = ledger_bits(16 / c->unit); /* ruin */
  m->steps = (int)fmax(1, floor(c->years * c->periods + .5));
  const int assets = c->market.assets, width = 1 + (c->fee > 0 ? assets : 0);
  m->observation_low[0] = -1;
  m->observation_high[0] = 1;
  for (int j = 0; j < assets; j++) {
    m->low[j] = (float)c->low;
    m->high[j] = (float)c->high;
    m->observation_low[1 + j] = -INFINITY;
    m->observation_high[1 + j] = INFINITY;
  }
  m->agent = (env_agent){.name = "investor",
                         .team = "investor",
                         .observation = {.kind = ENV_BOX,
                                         .n = width,
                                         .low = m->observation_low,
                                         .high = m->observation_high},
                         .action = {.kind = ENV_BOX, .n = assets, .low = m->low, .high = m->high}};
  e->shape = (env_shape){.n_agents = 1,
                         .agents = &m->agent,
                         .observation_width = width,
                         .action_width = assets,
                         .world_bytes = sizeof(portfolio_world),
                         .n_info = COUNT_OF(info_names),
                         .info_names = info_names};
  if (c->fee == 0) /* with costs the best is not known in closed form */
    e->shape.reward_high =
        merton_growth(&c->market, merton_fraction(&c->market)) * m->steps * m->dt / c->unit;
  return GARAM_OK;
}

static void portfolio_close(env *e) {
  mem_free(e->model);
}

static void show(const env *e, size_t i, const portfolio_world *w) {
  const portfolio_model *m = e->model;
  float *observation = e->batch.observation + i * (size_t)e->shape.observation_width;
  observation[0] = 1 - 2 * (float)w->step / (float)m->steps;
  for (int j = 1; j < e->shape.observation_width; j++) observation[j] = (float)w->weights[j - 1];
}

static double risky(const portfolio_model *m, const portfolio_world *w) {
  double sum = 0;
  for (int j = 0; j < m->c.market.assets; j++) sum += w->weights[j];
  return sum;
}

static void note_path(const portfolio_model *m, portfolio_world *w) {
  const int every = (m->steps + PORTFOLIO_PATH - 1) / PORTFOLIO_PATH;
  if (w->step % every != 0) return;
  w->path_wealth[w->step / every] = (float)w->wealth;
  w->path_risky[w->step / every] = (float)risky(m, w);
}

static void portfolio_reset(env *e, size_t i, rng *r) {
  const portfolio_model *m = e->model;
  portfolio_world *w = env_world(e, i);
  w->r = *r;
  w->wealth = 1;
  w->luck = w->costs = 0;
  w->step = 0;
  for (int j = 0; j < PORTFOLIO_MAX_ASSETS; j++) w->weights[j] = 0;
  note_path(m, w);
  ledger_open(&w->ledger, 0, m->bits);
  show(e, i, w);
}

/* Standard normals of the assets' next period. */
static void draw_moves(double *z, const merton *p, rng *r) {
  const double common = rng_normal(r);
  for (int j = 0; j < p->assets; j++)
    z[j] = sqrt(p->correlation) * common + sqrt(1 - p->correlation) * rng_normal(r);
}

static double gross_return(const portfolio_model *m, double z) {
  const merton *p = &m->c.market;
  return exp((p->drift - .5 * p->volatility * p->volatility) * m->dt +
             p->volatility * sqrt(m->dt) * z);
}

/* What is luck in the log return of weights w: terms of first and second order in the normals,
 * whose expectation is 0 whatever the weights are. (What is left is of third order.) */
static double luck_of(const portfolio_model *m, const double *w, const double *z) {
  const merton *p = &m->c.market;
  const double step = p->volatility * sqrt(m->dt);
  double sum = 0, squares = 0, own = 0, total = 0;
  for (int j = 0; j < p->assets; j++) {
    sum += w[j] * step * z[j];
    own += w[j] * .5 * step * step * (z[j] * z[j] - 1);
    squares += w[j] * w[j];
    total += w[j];
  }
  const double variance =
      step * step * ((1 - p->correlation) * squares + p->correlation * total * total);
  return sum + own - .5 * (sum * sum - variance);
}

static void step_world(env *e, size_t i) {
  const portfolio_model *m = e->model;
  const portfolio_config *c = &m->c;
  const int assets = c->market.assets;
  portfolio_world *w = env_world(e, i);
  double z[PORTFOLIO_MAX_ASSETS], traded = 0, held = 0;
  for (int j = 0; j < assets; j++) {
    const double target =
        fmin(fmax((double)e->batch.action[i * (size_t)assets + (size_t)j], c->low), c->high);
    traded += fabs(target - w->weights[j]);
    w->weights[j] = target;
    held += target;
  }
  const double cost = w->wealth * fmin(1, c->fee * traded);
  w->costs += cost;
  w->wealth -= cost;
  draw_moves(z, &c->market, &w->r);
  w->luck += luck_of(m, w->weights, z);
  double growth = (1 - held) * exp(c->market.rate * m->dt);
  for (int j = 0; j < assets; j++) {
    w->weights[j] *= gross_return(m, z[j]);
    growth += w->weights[j];
  }
  const bool ruined = !(growth > 0) || !(w->wealth > 0);
  const double least = exp(-16);
  if (ruined) growth = least;
  w->wealth = ruined ? fmax(w->wealth * growth, 1e-300) : w->wealth * growth;
  for (int j = 0; j < assets; j++) w->weights[j] = ruined ? 0 : w->weights[j] / growth;
  w->step++;
  note_path(m, w);
  const double net = log(w->wealth) - (c->reward == MARKET_REWARD_EXPECTED ? w->luck : 0);
  e->batch.reward[i] = ledger_pay(&w->ledger, net / c->unit);
  e->batch.terminated[i] = ruined || w->step == m->steps;
  float *info = e->batch.info + i * COUNT_OF(info_names);
  info[0] = (float)w->wealth;
  info[1] = (float)w->costs;
  info[2] = (float)risky(m, w);
  show(e, i, w);
}

static void portfolio_step(env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) step_world(e, i);
}

static void portfolio_draw(const env *e, size_t i, void (*text)(void *, const char *),
                           void *context) {
  const portfolio_model *m = e->model;
  const portfolio_world *w = env_world(e, i);
  const chart c = {text, context};
  const chart_box above = {30, 24, 350, 110}, below = {30, 170, 350, 110};
  const int every = (m->steps + PORTFOLIO_PATH - 1) / PORTFOLIO_PATH;
  const int full = m->steps / every + 1, n = w->step / every + 1;
  double low = 0, high = 1;
  chart_range(&low, &high, w->path_wealth, n);
  chart_frame(&c, above, "wealth %.3f, costs %.4f", w->wealth, w->costs);
  chart_line(&c, above, w->path_wealth, n, full, low, high, "#06c");
  chart_range(&low, &high, w->path_risky, n);
  chart_frame(&c, below, "in risky assets %.2f (Merton: %.2f)", risky(m, w),
              m->c.market.assets * merton_fraction(&m->c.market));
  chart_line(&c, below, w->path_risky, n, full, low, high, "#c40");
}

const env_ops env_portfolio = {.name = "portfolio",
                               .summary =
                                   "divide wealth between a bank account and risky assets (Merton)",
                               .options = options,
                               .n_options = COUNT_OF(options),
                               .config_size = sizeof(portfolio_config),
                               .open = portfolio_open,
                               .close = portfolio_close,
                               .reset = portfolio_reset,
                               .step = portfolio_step,
                               .draw = portfolio_draw};

/* ---- baselines ------------------------------------------------------------------------------- */

static void hold(const env *e, size_t begin, size_t end, double weight) {
  const portfolio_model *m = e->model;
  const size_t assets = (size_t)m->c.market.assets;
  for (size_t k = begin * assets; k < end * assets; k++)
    e->batch.action[k] = (float)fmin(fmax(weight, m->c.low), m->c.high);
}

static void merton_act(const env *e, size_t begin, size_t end) {
  const portfolio_model *m = e->model;
  hold(e, begin, end, merton_fraction(&m->c.market));
}

static void equal_weight_act(const env *e, size_t begin, size_t end) {
  const portfolio_model *m = e->model;
  hold(e, begin, end, 1.0 / m->c.market.assets);
}

static void buy_and_hold_act(const env *e, size_t begin, size_t end) {
  const portfolio_model *m = e->model;
  const size_t assets = (size_t)m->c.market.assets;
  for (size_t i = begin; i < end; i++) {
    const portfolio_world *w = env_world(e, i);
    if (w->step == 0) hold(e, i, i + 1, 1.0 / m->c.market.assets);
    else
      for (size_t j = 0; j < assets; j++) e->batch.action[i * assets + j] = (float)w->weights[j];
  }
}

/* Knows the period to come: all of the range up in what beats the bank, all of it down in the
 * rest. */
static void oracle_act(const env *e, size_t begin, size_t end) {
  const portfolio_model *m = e->model;
  const size_t assets = (size_t)m->c.market.assets;
  const double bank = exp(m->c.market.rate * m->dt);
  for (size_t i = begin; i < end; i++) {
    const portfolio_world *w = env_world(e, i);
    double z[PORTFOLIO_MAX_ASSETS];
    rng r = w->r;
    draw_moves(z, &m->c.market, &r);
    for (size_t j = 0; j < assets; j++)
      e->batch.action[i * assets + j] =
          (float)(gross_return(m, z[j]) > bank ? m->c.high : m->c.low);
  }
}

const baseline baselines_portfolio[] = {
    {.env = "portfolio",
     .name = "merton",
     .summary = "the constant fraction that is best",
     .act = merton_act},
    {.env = "portfolio", .name = "optimal", .summary = "merton", .act = merton_act},
    {.env = "portfolio",
     .name = "equal_weight",
     .summary = "1 / n in each, rebalanced",
     .act = equal_weight_act},
    {.env = "portfolio",
     .name = "buy_and_hold",
     .summary = "1 / n in each, then left alone",
     .act = buy_and_hold_act},
    {.env = "portfolio",
     .name = "oracle",
     .summary = "knows the period to come",
     .act = oracle_act},
    {.name = NULL},
};
