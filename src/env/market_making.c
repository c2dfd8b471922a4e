/* Market making (Cartea & Jaimungal; Avellaneda & Stoikov): quotes on both sides of a mid that
 * wanders, filled with probability A exp(-kappa depth) dt a step; inventory costs phi q^2 dt, and
 * what is left at the end is sold at alpha q off the mid. The reward is what wealth (cash and
 * inventory at the mid) changed by, less the penalty. As dt falls, the best return's expectation
 * goes to h(0, 0) of cartea_jaimungal_value; both sides are drawn apart from each other, which is
 * why it is a little above it at dt = .001. */
#include "env/market_making.h"

#include "base/mem.h"
#include "env/baseline.h"
#include "env/chart.h"
#include "env/env_list.h"

#include <math.h>

#define AT(field) OPT_AT(market_making_config, field)
static const opt_row options[] = {
    {"arrivals", OPT_F64, AT(market.arrivals), .def = 140, .min = 1e-3, .max = 1e6,
     .help = "orders that reach the mid, a side and unit of time (A)"},
    {"decay", OPT_F64, AT(market.decay), .def = 1.5, .min = 1e-3, .max = 1e4,
     .help = "how fast orders grow rare with depth (kappa)"},
    {"volatility", OPT_F64, AT(market.volatility), .def = 2, .min = 0, .max = 1e3,
     .help = "of the mid, in money a root of a unit of time (sigma)"},
    {"horizon", OPT_F64, AT(market.horizon), .def = 1, .min = 1e-3, .max = 1e3,
     .help = "length of a session (T)"},
    {"running-penalty", OPT_F64, AT(market.running), .def = .2, .min = 0, .max = 1e3,
     .help = "weight of the square of inventory over time (phi)"},
    {"terminal-penalty", OPT_F64, AT(market.terminal), .def = .001, .min = 0, .max = 1e3,
     .help = "price given up for each share left at the end (alpha)"},
    {"max-inventory", OPT_INT, AT(market.inventory), .def = 20, .min = 1, .max = 256,
     .help = "shares, long or short, at which a side is closed (Q)"},
    {"steps", OPT_INT, AT(steps), .def = 1000, .min = 1, .max = 100000,
     .help = "steps in a session; A dt must stay well below 1"},
    {"price", OPT_F64, AT(price), .def = 100, .min = .01, .max = 1e6, .help = "mid at the start"},
    {"max-depth", OPT_F64, AT(depth), .def = 0, .min = 0, .max = 1e3,
     .help = "deepest quote; 0: twice 1 / decay"},
    {"aversion", OPT_F64, AT(aversion), .def = .1, .min = 1e-6, .max = 100,
     .help = "risk aversion of the baseline avellaneda_stoikov"},
    {"reward", OPT_ENUM, AT(reward), .choices = market_reward_names,
     .help = "change of wealth, or that less the luck of mid and fills: same mean, less noise"},
};

static const float observation_low[2] = {-1, -INFINITY}, observation_high[2] = {1, INFINITY};
static const char *const info_names[] = {"wealth_change", "penalty", "inventory",
                                         "mid",           "sold",    "bought"};

static garam_status market_making_open(env *e, const void *config, garam_error *err) {
  const market_making_config *c = config;
  const double dt = c->market.horizon / c->steps;
  if (c->market.arrivals * dt > 1)
    return fail(err, GARAM_INVALID,
                "--arrivals %g over %d --steps is %g orders a step, expected at most 1",
                c->market.arrivals, c->steps, c->market.arrivals * dt);
  market_making_model *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->c = *c;
  m->dt = dt;
  if (m->c.depth == 0) m->c.depth = 2 / c->market.decay;
  const double q = c->market.inventory;
  m->bits = ledger_bits(9 * q * c->market.volatility * sqrt(dt) + 2 * m->c.depth +
                        (c->market.terminal + c->market.running * dt) * q * q);
  m->high[0] = m->high[1] = (float)m->c.depth;
  const size_t width = 2 * (size_t)c->market.inventory + 1, n = ((size_t)c->steps + 1) * width;
  m->h = mem_array(n, sizeof *m->h);
  if (!m->h) return fail_memory(err, n * sizeof *m->h);
  cartea_jaimungal_value(m->h, &c->market, c->steps);
  m->agent = (env_agent){
      .name = "maker",
      .team = "maker",
      .observation = {.kind = ENV_BOX, .n = 2, .low = observation_low, .high = observation_high},
      .action = {.kind = ENV_BOX, .n = 2, .low = m->low, .high = m->high}};
  e->shape = (env_shape){.n_agents = 1,
                         .agents = &m->agent,
                         .observation_width = 2,
                         .action_width = 2,
                         .world_bytes = sizeof(market_making_world),
                         .n_info = COUNT_OF(info_names),
                         .info_names = info_names,
                         .reward_high = m->h[c->market.inventory]};
  return GARAM_OK;
}

static void market_making_close(env *e) {
  market_making_model *m = e->model;
  if (!m) return;
  mem_free(m->h);
  mem_free(m);
}

double market_making_fill(const market_making_model *m, double depth) {
  return fmin(1, m->c.market.arrivals * exp(-m->c.market.decay * depth) * m->dt);
}

/* Inventory is shown so that what is usual lies within -1 and 1: 5 of 20. */
static void show(const env *e, size_t i, const market_making_world *w) {
  const market_making_model *m = e->model;
  float *observation = e->batch.observation + i * 2;
  observation[0] = 1 - 2 * (float)w->step / (float)m->c.steps;
  observation[1] = 4 * (float)w->inventory / (float)m->c.market.inventory;
}

void market_making_place(env *e, size_t i, int step, int inventory) {
  market_making_world *w = env_world(e, i);
  w->step = step;
  w->inventory = inventory;
  show(e, i, w);
}

static void note_path(const market_making_model *m, market_making_world *w, double ask,
                      double bid) {
  const int every = (m->c.steps + MARKET_MAKING_PATH - 1) / MARKET_MAKING_PATH;
  if (w->step % every != 0) return;
  const int at = w->step / every;
  w->path_mid[at] = (float)ticks_money(w->mid);
  w->path_inventory[at] = (float)w->inventory;
  w->path_ask[at] = (float)(ticks_money(w->mid) + ask);
  w->path_bid[at] = (float)(ticks_money(w->mid) - bid);
}

static void market_making_reset(env *e, size_t i, rng *r) {
  const market_making_model *m = e->model;
  market_making_world *w = env_world(e, i);
  w->r = *r;
  w->cash = w->luck = w->squares = 0;
  w->inventory = w->step = w->sold = w->bought = 0;
  w->mid = ticks_of(m->c.price);
  note_path(m, w, NAN, NAN);
  ledger_open(&w->ledger, 0, m->bits);
  show(e, i, w);
}

static void step_world(env *e, size_t i) {
  const market_making_model *m = e->model;
  const cartea_jaimungal *p = &m->c.market;
  market_making_world *w = env_world(e, i);
  const int64_t ask = ticks_of(fmin(fmax((double)e->batch.action[2 * i], 0), m->c.depth));
  const int64_t bid = ticks_of(fmin(fmax((double)e->batch.action[2 * i + 1], 0), m->c.depth));
  const double sells = w->inventory > -p->inventory ? market_making_fill(m, ticks_money(ask)) : 0;
  const double buys = w->inventory < p->inventory ? market_making_fill(m, ticks_money(bid)) : 0;
  const bool sold = rng_uniform(&w->r) < sells, bought = rng_uniform(&w->r) < buys;
  const int64_t move = ticks_of(p->volatility * sqrt(m->dt) * rng_normal(&w->r));
  note_path(m, w, ticks_money(ask), ticks_money(bid));
  w->squares += (int64_t)w->inventory * w->inventory;
  w->luck -= llround(sells * (double)ask + buys * (double)bid);
  if (sold) {
    w->cash += w->mid + ask;
    w->luck += ask;
    w->inventory--;
    w->sold++;
  }
  if (bought) {
    w->cash -= w->mid - bid;
    w->luck += bid;
    w->inventory++;
    w->bought++;
  }
  w->mid += move;
  w->luck += w->inventory * move;
  w->step++;
  const bool over = w->step == m->c.steps;
  const float left = (float)w->inventory;
  if (over) {
    const double q = w->inventory;
    w->cash += w->inventory * w->mid - ticks_of(p->terminal * q * q);
    w->inventory = 0;
  }
  const int64_t wealth = w->cash + w->inventory * w->mid;
  const double penalty = p->running * m->dt * (double)w->squares;
  const int64_t paid = wealth - (m->c.reward == MARKET_REWARD_EXPECTED ? w->luck : 0);
  e->batch.reward[i] = ledger_pay(&w->ledger, ticks_money(paid) - penalty);
  e->batch.terminated[i] = over;
  float *info = e->batch.info + i * COUNT_OF(info_names);
  info[0] = (float)ticks_money(wealth);
  info[1] = (float)penalty;
  info[2] = left;
  info[3] = (float)ticks_money(w->mid);
  info[4] = (float)w->sold;
  info[5] = (float)w->bought;
  show(e, i, w);
}

static void market_making_step(env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) step_world(e, i);
}

static void market_making_draw(const env *e, size_t i, void (*text)(void *, const char *),
                               void *context) {
  const market_making_model *m = e->model;
  const market_making_world *w = env_world(e, i);
  const chart c = {text, context};
  const chart_box above = {30, 24, 350, 140}, below = {30, 200, 350, 80};
  const int every = (m->c.steps + MARKET_MAKING_PATH - 1) / MARKET_MAKING_PATH;
  const int full = m->c.steps / every + 1, n = w->step > 0 ? (w->step - 1) / every + 1 : 1;
  double low = 0, high = 1, ignored = 0;
  chart_range(&low, &ignored, w->path_bid, n);
  chart_range(&ignored, &high, w->path_ask, n);
  chart_frame(&c, above, "mid %.2f, quotes above and below", ticks_money(w->mid));
  chart_line(&c, above, w->path_mid, n, full, low, high, "#333");
  chart_line(&c, above, w->path_ask, n, full, low, high, "#c40");
  chart_line(&c, above, w->path_bid, n, full, low, high, "#06c");
  chart_frame(&c, below, "inventory %d, wealth %.2f", w->inventory,
              ticks_money(w->cash + w->inventory * w->mid));
  chart_range(&low, &high, w->path_inventory, n);
  chart_line(&c, below, w->path_inventory, n, full, low, high, "#063");
}

const env_ops env_market_making = {
    .name = "market_making",
    .summary = "quote both sides of a mid, paid for the spread and punished for inventory",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(market_making_config),
    .open = market_making_open,
    .close = market_making_close,
    .reset = market_making_reset,
    .step = market_making_step,
    .draw = market_making_draw};

/* ---- baselines ------------------------------------------------------------------------------- */

static void quote(const env *e, size_t i, double ask, double bid) {
  const market_making_model *m = e->model;
  e->batch.action[2 * i] = (float)fmin(fmax(ask, 0), m->c.depth);
  e->batch.action[2 * i + 1] = (float)fmin(fmax(bid, 0), m->c.depth);
}

static void optimal_act(const env *e, size_t begin, size_t end) {
  const market_making_model *m = e->model;
  const size_t width = 2 * (size_t)m->c.market.inventory + 1;
  for (size_t i = begin; i < end; i++) {
    const market_making_world *w = env_world(e, i);
    double ask, bid;
    cartea_jaimungal_depths(&ask, &bid, &m->c.market, m->h + (size_t)w->step * width, w->inventory);
    quote(e, i, ask, bid);
  }
}

static void avellaneda_stoikov_act(const env *e, size_t begin, size_t end) {
  const market_making_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const market_making_world *w = env_world(e, i);
    double ask, bid;
    avellaneda_stoikov_depths(&ask, &bid, &m->c.market, m->c.aversion,
                              m->c.market.horizon - w->step * m->dt, w->inventory);
    quote(e, i, ask, bid);
  }
}

static void fixed_act(const env *e, size_t begin, size_t end) {
  const market_making_model *m = e->model;
  for (size_t i = begin; i < end; i++) quote(e, i, 1 / m->c.market.decay, 1 / m->c.market.decay);
}

/* Knows whether the mid rises in this step, and quotes on the side that gains. */
static void oracle_act(const env *e, size_t begin, size_t end) {
  const market_making_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const market_making_world *w = env_world(e, i);
    rng r = w->r;
    rng_uniform(&r);
    rng_uniform(&r);
    double ahead = 0;
    for (int k = w->step; k < m->c.steps && k < w->step + 30; k++) {
      ahead += m->c.market.volatility * sqrt(m->dt) * rng_normal(&r);
      rng_uniform(&r);
      rng_uniform(&r);
    }
    quote(e, i, 1 / m->c.market.decay + ahead, 1 / m->c.market.decay - ahead);
  }
}

const baseline baselines_market_making[] = {
    {.env = "market_making",
     .name = "optimal",
     .summary = "the quotes of Cartea and Jaimungal",
     .act = optimal_act},
    {.env = "market_making",
     .name = "avellaneda_stoikov",
     .summary = "quotes around the reservation price",
     .act = avellaneda_stoikov_act},
    {.env = "market_making",
     .name = "fixed_spread",
     .summary = "1 / decay on both sides",
     .act = fixed_act},
    {.env = "market_making",
     .name = "oracle",
     .summary = "knows the mids to come",
     .act = oracle_act},
    {.name = NULL},
};
