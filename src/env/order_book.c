/* order_book: agents that quote, and take, in one limit order book with a crowd (book_flow.h).
 *
 * A step is a span of time. What an agent says at its beginning is a message that arrives after
 * the latency; messages of one agent arrive in order, ties between agents are broken by lot. A
 * message first takes, then cancels the quotes that change, then places the new ones, which never
 * take (BOOK_POST). A quote that is to stand where it stands keeps its place in the queue; one that
 * was filled in part is not filled up. Sizes are cut so that the position stays within the bound
 * even if all that rests is filled.
 *
 * Reward: the change of wealth (cash and position at the mid, net of fees) less the penalty on the
 * position, in ticks on one lot; exact, so that their sum is the wealth at the end less penalties
 * to the last digit. When agents cooperate each is told the sum over all. After the last step all
 * quotes are cancelled and, by default, positions are closed at market: that is the end of the
 * world (terminated). A price at the edge of the grid cuts it (truncated).
 *
 * Observation, of L = levels: lots at the best bid and the L - 1 ticks behind it, the same of the
 * asks, each x / (x + c); spread / 4; imbalance at the best; mid against that of the last step and
 * a slow mean, ticks / 4; what takers bought less sold in the step and its slow mean; own bid: how
 * far behind the best, ticks / 4, lots / bound, lots ahead x / (x + c), is there one; own ask: the
 * same; position / bound; wealth in ticks on the largest quote / 64; time left; messages on their
 * way / most that may be. */
#include "env/order_book.h"

#include "base/mem.h"
#include "env/env_list.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const mode_names[] = {"competitive", "cooperative", NULL};

#define AT(field) OPT_AT(order_book_config, field)
static const opt_row order_book_options[] = {
    {"agents", OPT_INT, AT(agents), .def = 1, .min = 1, .max = ORDER_BOOK_MAX_AGENTS,
     .help = "learners in one book"},
    {"mode", OPT_ENUM, AT(mode), .choices = mode_names,
     .help = "each for itself, or all for the sum"},
    {"actions", OPT_ENUM, AT(actions), .choices = book_action_names,
     .help = "two quotes; two quotes and a market order; or one of fifteen choices"},
    {"episode-steps", OPT_INT, AT(steps), .def = 400, .min = 1, .max = 1e7, .unit = "steps",
     .help = "length of an episode"},
    {"step-seconds", OPT_F64, AT(step), .def = 15, .min = 1e-3, .max = 86400, .unit = "seconds",
     .help = "time from one decision to the next; about 9 events of the crowd in 15"},
    {"levels", OPT_INT, AT(levels), .def = 5, .min = 1, .max = ORDER_BOOK_MAX_LEVELS,
     .unit = "ticks", .help = "depth that agents see, each side"},
    {"grid", OPT_INT, AT(grid), .def = 512, .min = 64, .max = BOOK_MAX_TICKS, .unit = "ticks",
     .help = "prices there are; the episode is cut where they end"},
    {"latency", OPT_F64, AT(latency), .def = 0.5, .min = 0, .max = 3600, .unit = "seconds",
     .help = "until a message arrives"},
    {"latency-jitter", OPT_F64, AT(jitter), .def = 0, .min = 0, .max = 3600, .unit = "seconds",
     .help = "at most so much more, evenly"},
    {"maker-fee", OPT_F64, AT(maker_fee), .def = 0, .min = -100, .max = 100, .unit = "ticks",
     .help = "a lot, of whose order rested; negative: paid to them"},
    {"taker-fee", OPT_F64, AT(taker_fee), .def = 0.1, .min = -100, .max = 100, .unit = "ticks",
     .help = "a lot, of who took"},
    {"lots", OPT_INT, AT(lots), .def = 2, .min = 1, .max = 1000, .unit = "lots",
     .help = "largest quote and market order"},
    {"inventory", OPT_INT, AT(inventory), .def = 10, .min = 1, .max = 100000, .unit = "lots",
     .help = "bound of the position, either way"},
    {"offset", OPT_INT, AT(offset), .def = 4, .min = 1, .max = 100, .unit = "ticks",
     .help = "farthest quote behind the best"},
    {"inventory-penalty", OPT_F64, AT(inventory_penalty), .def = 0.005, .min = 0, .max = 1000,
     .unit = "ticks", .help = "a step, for each lot held, squared"},
    {"inventory-gain", OPT_F64, AT(inventory_gain), .def = 1, .min = 0, .max = 1,
     .help =
         "share of the gains and losses on what was held that rewards tell; less is less noise"},
    {"close-out", OPT_BOOL, AT(close_out), .def = 1,
     .help = "positions are closed at market after the last step"},
    {"limit-rate", OPT_F64, AT(flow.limit_rate), .def = 1, .min = 0.01, .max = 100,
     .help = "limit orders, of the rates of Cont, Stoikov and Talreja"},
    {"market-rate", OPT_F64, AT(flow.market_rate), .def = 1, .min = 0, .max = 100,
     .help = "market orders, of theirs"},
    {"cancel-rate", OPT_F64, AT(flow.cancel_rate), .def = 1, .min = 0.01, .max = 100,
     .help = "cancellations, of theirs"},
    {"flow-depth", OPT_INT, AT(flow.depth), .def = 10, .min = 1, .max = FLOW_DEPTH, .unit = "ticks",
     .help = "how far from the other side's best the crowd quotes"},
    {"flow-lots", OPT_F64, AT(flow.lots), .def = 2, .min = 1, .max = 64, .unit = "lots",
     .help = "mean size of the crowd's orders"},
    {"trend", OPT_F64, AT(flow.trend), .def = 0, .min = 0, .max = 1,
     .help = "how much market orders lean to one side for a while"},
    {"trend-minutes", OPT_F64, AT(flow.trend_life), .def = 10, .min = 0.01, .max = 1e6,
     .unit = "minutes", .help = "mean time until they lean to the other"},
    {"informed", OPT_F64, AT(flow.informed), .def = 0, .min = 0, .max = 1,
     .help = "share of market orders whose senders know the value"},
    {"value-rate", OPT_F64, AT(flow.value_rate), .def = 0.2, .min = 0, .max = 100,
     .help = "jumps of the value a minute"},
    {"value-jump", OPT_F64, AT(flow.value_jump), .def = 3, .min = 0, .max = 100, .unit = "ticks",
     .help = "standard deviation of a jump"},
};

/* ---- the model ----------------------------------------------------------------------------- */

static int64_t money(double ticks) {
  return llround(ticks * BOOK_TICK);
}

static size_t aligned(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

static void describe_agents(env *e, order_book_model *m) {
  const order_book_config *c = &m->config;
  const bool together = c->mode == ORDER_BOOK_COOPERATIVE;
  m->actions = (book_action_space){.kind = c->actions, .lots = c->lots, .offset = c->offset};
  const env_space action = book_action_space_of(&m->actions);
  for (int a = 0; a < c->agents; a++) {
    snprintf(m->agent_names[a], sizeof m->agent_names[a], "maker_%d", a);
    m->agents[a] =
        (env_agent){.name = m->agent_names[a],
                    .team = together ? "makers" : m->agent_names[a],
                    .observation = {.kind = ENV_BOX, .n = ORDER_BOOK_OBSERVATION(c->levels)},
                    .action = action};
  }
  static const char *const names[] = {"wealth", "inventory", "fees", "penalty", "withheld"};
  int n_info = 0;
  for (int a = 0; a < c->agents; a++)
    for (size_t k = 0; k < COUNT_OF(names); k++, n_info++)
      if (c->agents == 1) snprintf(m->info_names[n_info], sizeof *m->info_names, "%s", names[k]);
      else snprintf(m->info_names[n_info], sizeof *m->info_names, "%s_%d", names[k], a);
  snprintf(m->info_names[n_info++], sizeof *m->info_names, "spread");
  snprintf(m->info_names[n_info++], sizeof *m->info_names, "mid");
  for (int i = 0; i < n_info; i++) m->infos[i] = m->info_names[i];
  e->shape = (env_shape){.n_agents = c->agents,
                         .agents = m->agents,
                         .observation_width = ORDER_BOOK_OBSERVATION(c->levels),
                         .action_width = action.kind == ENV_BOX ? action.n : 1,
                         .max_steps = c->steps,
                         .n_info = n_info,
                         .info_names = m->infos};
}

static garam_status order_book_open(env *e, const void *config, garam_error *err) {
  const order_book_config *c = config;
  if (c->flow.depth * 4 > c->grid || c->offset * 4 > c->grid)
    return fail(err, GARAM_INVALID,
                "environment order_book: --flow-depth %d and --offset %d need a --grid of %d at "
                "least, not %d",
                c->flow.depth, c->offset,
                4 * (c->flow.depth > c->offset ? c->flow.depth : c->offset), c->grid);
  if ((c->latency + c->jitter) / c->step > 64)
    return fail(err, GARAM_INVALID,
                "environment order_book: --latency %g and --latency-jitter %g are more than 64 "
                "steps of --step-seconds %g",
                c->latency, c->jitter, c->step);
  order_book_model *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  e->model = m;
  m->config = *c;
  m->step = c->step / 60;
  m->latency = c->latency / 60;
  m->jitter = c->jitter / 60;
  m->in_flight = (int)((c->latency + c->jitter) / c->step) + 2;
  flow_init(&m->flow, &c->flow);
  const double orders = 64 + 2 * flow_expected_orders(&m->flow);
  m->flow.max_live = orders < 8192 ? (int32_t)orders : 8192;
  TRY(flow_measure(&m->facts, &m->flow, c->grid, err));
  m->book = (book_config){.n_ticks = c->grid,
                          .n_orders = m->flow.max_live + 2 * c->agents,
                          .n_owners = 1 + c->agents,
                          .maker_fee = money(c->maker_fee),
                          .taker_fee = money(c->taker_fee)};
  describe_agents(e, m);
  size_t at = aligned(sizeof(order_book_world));
  m->makers_at = at;
  at += aligned((size_t)c->agents * sizeof(order_book_maker));
  m->messages_at = at;
  at += aligned((size_t)(c->agents * m->in_flight) * sizeof(order_book_message));
  m->book_at = at;
  e->shape.world_bytes = at + book_bytes(&m->book);
  return GARAM_OK;
}

static void order_book_close(env *e) {
  mem_free(e->model);
}

/* ---- messages ------------------------------------------------------------------------------ */

static const book_side sides[2] = {BOOK_SELL, BOOK_BUY};

static int32_t clamp(int32_t x, int32_t low, int32_t high) {
  return x < low ? low : x > high ? high : x;
}

/* The best price of a side but for one's own order; the last there was where there is none. */
static int32_t reference(const book *b, const order_book_maker *k, int side) {
  const int32_t p = book_best_of_others(b, sides[side], book_find(b, k->quote[side]));
  if (p >= 0 && p < b->config.n_ticks) return p;
  return side ? b->last_bid : b->last_ask;
}

/* What the agent says, in prices as it sees them now. False: nothing. */
static bool read_action(order_book_message *out, const order_book_model *m, const book *b,
                        const order_book_maker *k, const float *action) {
  const book_action x = book_action_read(&m->actions, action);
  *out = (order_book_message){.take = x.take};
  if (x.keep) return false;
  for (int side = 0; side < 2; side++) {
    out->lots[side] = x.lots[side];
    if (x.lots[side]) out->price[side] = reference(b, k, side) - sides[side] * x.offset[side];
  }
  if (out->lots[0] && out->lots[1] && out->price[1] >= out->price[0])
    out->price[0] = out->price[1] + 1;
  return true;
}

static void send(const order_book_model *m, order_book_world *w, int agent, const float *action) {
  order_book_maker *k = order_book_makers(m, w) + agent;
  order_book_message x;
  if (!read_action(&x, m, order_book_book(m, w), k, action)) return;
  double at = w->now + m->latency;
  if (m->jitter > 0) at += m->jitter * rng_uniform(&w->draws);
  x.arrives = k->last_arrival = at > k->last_arrival ? at : k->last_arrival;
  REQUIRE(k->n_messages < m->in_flight, "order_book: %d messages in flight", k->n_messages);
  order_book_messages(m, w, agent)[(k->first + k->n_messages++) % m->in_flight] = x;
}

static void receive(const order_book_model *m, order_book_world *w, int agent) {
  const order_book_config *c = &m->config;
  order_book_maker *k = order_book_makers(m, w) + agent;
  const order_book_message x = order_book_messages(m, w, agent)[k->first];
  k->first = (k->first + 1) % m->in_flight;
  k->n_messages--;
  book *b = order_book_book(m, w);
  const int owner = 1 + agent;
  const book_account *account = book_accounts(b) + owner;
  if (x.take) {
    const book_side side = x.take > 0 ? BOOK_BUY : BOOK_SELL;
    const int64_t room = c->inventory - side * book_position(account);
    const int32_t lots = x.take * side < room ? x.take * side : (int32_t)room;
    if (lots > 0) book_take(b, owner, side, lots);
  }
  /* Where the quotes may stand, whatever moved while the message was on its way. */
  int32_t price[2], lots[2];
  const book_order *own[2] = {book_find(b, k->quote[0]), book_find(b, k->quote[1])};
  for (int side = 0; side < 2; side++) {
    const int64_t room = c->inventory - sides[side] * book_position(account);
    lots[side] = x.lots[side] < room ? x.lots[side] : (int32_t)room;
    const int32_t other = book_best_of_others(b, sides[!side], own[!side]);
    price[side] = side ? (x.price[side] < other ? x.price[side] : other - 1)
                       : (x.price[side] > other ? x.price[side] : other + 1);
    price[side] = clamp(price[side], 0, c->grid - 1);
  }
  for (int side = 0; side < 2; side++)
    if (own[side] && (lots[side] <= 0 || own[side]->price != price[side]))
      book_cancel(b, k->quote[side]);
  for (int side = 0; side < 2; side++) {
    if (lots[side] <= 0) continue;
    const book_order *o = book_find(b, k->quote[side]);
    if (!o) k->quote[side] = book_submit(b, owner, sides[side], BOOK_POST, price[side], lots[side]);
    else if (o->lots > lots[side])
      k->quote[side] = book_modify(b, k->quote[side], BOOK_POST, price[side], lots[side]);
  }
}

/* The agent whose message arrives first; -1: none is on its way. */
static int next_arrival(const order_book_model *m, const order_book_world *w, const int *order) {
  const order_book_maker *k = order_book_makers(m, w);
  int best = -1;
  double at = 0;
  for (int i = 0; i < m->config.agents; i++) {
    const int a = order[i];
    if (k[a].n_messages == 0) continue;
    const double arrives = order_book_messages(m, w, a)[k[a].first].arrives;
    if (best < 0 || arrives < at) {
      best = a;
      at = arrives;
    }
  }
  return best;
}

/* ---- time ---------------------------------------------------------------------------------- */

/* The crowd and the messages until `end`. Waits are memoryless: after a message they are drawn
 * anew. */
static void run_until(const order_book_model *m, order_book_world *w, double end,
                      const int *order) {
  book *b = order_book_book(m, w);
  for (;;) {
    const int agent = next_arrival(m, w, order);
    double stop = end;
    if (agent >= 0) {
      const double at =
          order_book_messages(m, w, agent)[order_book_makers(m, w)[agent].first].arrives;
      if (at < stop) stop = at;
    }
    for (;;) {
      const double next = w->now + flow_wait(&w->flow, &m->flow, b);
      if (next >= stop) break;
      w->now = next;
      flow_event(&w->flow, &m->flow, b);
    }
    w->now = stop;
    if (stop >= end) return;
    receive(m, w, agent);
  }
}

int64_t order_book_wealth(const order_book_model *m, const order_book_world *w, int agent) {
  const book_account *a = book_accounts(order_book_book(m, w)) + 1 + agent;
  return book_cash(a) + book_position(a) * w->mid * (BOOK_TICK / 2);
}

static void close_out(const order_book_model *m, order_book_world *w, const int *order) {
  book *b = order_book_book(m, w);
  order_book_maker *k = order_book_makers(m, w);
  for (int a = 0; a < m->config.agents; a++)
    for (int side = 0; side < 2; side++) book_cancel(b, k[a].quote[side]);
  for (int i = 0; i < m->config.agents && m->config.close_out; i++) {
    const int64_t held = book_position(book_accounts(b) + 1 + order[i]);
    if (held)
      book_take(b, 1 + order[i], held > 0 ? BOOK_SELL : BOOK_BUY,
                (int32_t)(held > 0 ? held : -held));
  }
}

/* ---- what is seen -------------------------------------------------------------------------- */

static float squash(double lots, double scale) {
  return (float)(lots / (lots + scale));
}

static void show_agent(const order_book_model *m, const order_book_world *w, int agent,
                       const float *common, int n_common, float *out) {
  const order_book_config *c = &m->config;
  const book *b = order_book_book(m, w);
  const order_book_maker *k = order_book_makers(m, w) + agent;
  const double scale = 4 * c->flow.lots;
  memcpy(out, common, (size_t)n_common * sizeof *out);
  float *x = out + n_common;
  for (int side = 1; side >= 0; side--, x += 4) {
    const book_order *o = book_find(b, k->quote[side]);
    x[0] = o ? (float)((side ? b->bid - o->price : o->price - b->ask) * 0.25) : 0;
    x[1] = o ? (float)o->lots / (float)c->lots : 0;
    x[2] = o ? squash((double)book_ahead(b, k->quote[side]), scale) : 0;
    x[3] = o != NULL;
  }
  *x++ = (float)book_position(book_accounts(b) + 1 + agent) / (float)c->inventory;
  *x++ = (float)((double)order_book_wealth(m, w, agent) / (64.0 * BOOK_TICK * c->lots));
  *x++ = (float)(c->steps - w->step) / (float)c->steps;
  *x++ = (float)k->n_messages / (float)m->in_flight;
}

static void show(const env *e, const order_book_model *m, const order_book_world *w, size_t i) {
  const int levels = m->config.levels, width = e->shape.observation_width;
  const book *b = order_book_book(m, w);
  const book_level *level = book_levels(b);
  const double scale = 4 * m->config.flow.lots;
  float common[2 * ORDER_BOOK_MAX_LEVELS + 6];
  for (int k = 0; k < levels; k++) {
    const int32_t bid = b->bid - k, ask = b->ask + k;
    common[k] = bid >= 0 ? squash((double)level[bid].lots, scale) : 0;
    common[levels + k] = ask < b->config.n_ticks ? squash((double)level[ask].lots, scale) : 0;
  }
  const double bids = b->bid >= 0 ? (double)level[b->bid].lots : 0;
  const double asks = b->ask < b->config.n_ticks ? (double)level[b->ask].lots : 0;
  float *x = common + 2 * levels;
  x[0] = (float)((b->last_ask - b->last_bid) * 0.25);
  x[1] = bids + asks > 0 ? (float)((bids - asks) / (bids + asks)) : 0;
  x[2] = (float)((w->mid - w->mid_before) * 0.125);
  x[3] = (float)((w->mid - w->mid_slow) * 0.125);
  const double taken = (double)((b->taken[1] - w->taken[1]) - (b->taken[0] - w->taken[0]));
  x[4] = (float)(taken / (fabs(taken) + scale));
  x[5] = (float)(w->taken_slow / (fabs(w->taken_slow) + scale));
  for (int a = 0; a < m->config.agents; a++)
    show_agent(m, w, a, common, 2 * levels + 6,
               e->batch.observation + (i * (size_t)m->config.agents + (size_t)a) * (size_t)width);
}

static void order_book_reset(env *e, size_t i, rng *r) {
  const order_book_model *m = e->model;
  order_book_world *w = order_book_world_of(e, i);
  memset(w, 0, m->book_at);
  book *b = order_book_book(m, w);
  book_init(b, &m->book);
  for (int a = 0; a < m->config.agents; a++) {
    order_book_maker *k = order_book_makers(m, w) + a;
    k->quote[0] = k->quote[1] = BOOK_NONE;
  }
  w->draws = *r;
  w->draws.index = UINT32_C(1) << 31; /* far from those of the crowd, which begin at *r */
  flow_begin(&w->flow, &m->flow, b, r, m->config.grid / 2);
  w->mid = w->mid_before = b->last_bid + b->last_ask;
  w->mid_slow = w->mid;
  w->taken[0] = b->taken[0];
  w->taken[1] = b->taken[1];
  w->path[0][0] = b->last_bid;
  w->path[0][1] = b->last_ask;
  show(e, m, w, i);
}

/* ---- a step -------------------------------------------------------------------------------- */

static void mark_fills(const order_book_model *m, order_book_world *w, const book_account *before) {
  const book_account *now = book_accounts(order_book_book(m, w)) + 1;
  for (int a = 0; a < m->config.agents; a++)
    for (int side = 0; side < 2; side++) {
      const int64_t lots = side ? now[a].bought - before[a].bought : now[a].sold - before[a].sold;
      const int64_t paid =
          side ? now[a].paid - before[a].paid : now[a].received - before[a].received;
      if (lots == 0) continue;
      w->marks[w->n_marks++ % ORDER_BOOK_MARKS] =
          (order_book_mark){.step = w->step,
                            .agent = a,
                            .lots = (int32_t)(side ? lots : -lots),
                            .price = (float)((double)paid / BOOK_TICK / (double)lots)};
    }
}

/* before: the accounts at the step's beginning. */
static void reward(env *e, const order_book_model *m, order_book_world *w, size_t i,
                   const book_account *before) {
  const order_book_config *c = &m->config;
  const size_t agents = (size_t)c->agents;
  const book *b = order_book_book(m, w);
  float *out = e->batch.reward + i * agents, *info = e->batch.info + i * (size_t)e->shape.n_info;
  int64_t sum = 0;
  for (size_t a = 0; a < agents; a++) {
    order_book_maker *k = order_book_makers(m, w) + a;
    const book_account *account = book_accounts(b) + 1 + a;
    const double held = (double)book_position(account);
    k->penalty += money(c->inventory_penalty * held * held);
    const double moved = (double)(book_position(before + a) * (w->mid - w->mid_before));
    k->withheld += money((1 - c->inventory_gain) * moved / 2);
    const int64_t wealth = order_book_wealth(m, w, (int)a);
    const int64_t net = wealth - k->penalty - k->withheld;
    out[a] = (float)((double)(net - k->told) / BOOK_TICK);
    sum += net - k->told;
    k->told = net;
    *info++ = (float)((double)wealth / BOOK_TICK);
    *info++ = (float)held;
    *info++ = (float)((double)account->fees / BOOK_TICK);
    *info++ = (float)((double)k->penalty / BOOK_TICK);
    *info++ = (float)((double)k->withheld / BOOK_TICK);
  }
  *info++ = (float)(b->last_ask - b->last_bid);
  *info = (float)(w->mid * 0.5);
  if (c->mode == ORDER_BOOK_COOPERATIVE)
    for (size_t a = 0; a < agents; a++) out[a] = (float)((double)sum / BOOK_TICK);
}

static void step_world(env *e, const order_book_model *m, order_book_world *w, size_t i) {
  const order_book_config *c = &m->config;
  const size_t agents = (size_t)c->agents;
  book *b = order_book_book(m, w);
  book_account before[ORDER_BOOK_MAX_AGENTS];
  memcpy(before, book_accounts(b) + 1, agents * sizeof *before);
  int order[ORDER_BOOK_MAX_AGENTS];
  for (int a = 0; a < c->agents; a++) { /* by lot: Fisher-Yates, inside out */
    const int at = a == 0 ? 0 : (int)rng_below(&w->draws, (uint64_t)a + 1);
    if (at != a) order[a] = order[at];
    order[at] = a;
  }
  w->taken[0] = b->taken[0];
  w->taken[1] = b->taken[1];
  w->mid_before = w->mid;
  for (size_t a = 0; a < agents; a++)
    send(m, w, (int)a, e->batch.action + (i * agents + a) * (size_t)e->shape.action_width);
  run_until(m, w, (w->step + 1) * m->step, order);
  w->step++;
  const int32_t edge = c->flow.depth > c->offset ? c->flow.depth : c->offset;
  const bool over = w->step >= c->steps;
  const bool cut = !over && (b->last_bid < edge || b->last_ask >= c->grid - edge);
  w->mid = b->last_bid + b->last_ask;
  if (over) close_out(m, w, order);
  w->mid_slow += 0.1 * (w->mid - w->mid_slow);
  w->taken_slow +=
      0.1 * ((double)((b->taken[1] - w->taken[1]) - (b->taken[0] - w->taken[0])) - w->taken_slow);
  w->path[w->step % ORDER_BOOK_PATH][0] = b->last_bid;
  w->path[w->step % ORDER_BOOK_PATH][1] = b->last_ask;
  mark_fills(m, w, before);
  reward(e, m, w, i, before);
  show(e, m, w, i);
  memset(e->batch.terminated + i * agents, over, agents);
  memset(e->batch.truncated + i * agents, cut, agents);
}

static void order_book_step(env *e, size_t begin, size_t end) {
  const order_book_model *m = e->model;
  for (size_t i = begin; i < end; i++) step_world(e, m, order_book_world_of(e, i), i);
}

const env_ops env_order_book = {.name = "order_book",
                                .summary = "quotes in a limit order book, with queues, latency, "
                                           "fees, a crowd and other agents",
                                .options = order_book_options,
                                .n_options = COUNT_OF(order_book_options),
                                .config_size = sizeof(order_book_config),
                                .open = order_book_open,
                                .close = order_book_close,
                                .reset = order_book_reset,
                                .step = order_book_step,
                                .draw = order_book_draw};
