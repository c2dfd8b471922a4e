/* Replay of real bars. An agent sees features known at the end of a row and what it holds, and
 * says which share of its wealth it wants in each asset; the wish is filled in the next row, at its
 * open (a lone close: that close), half a spread, fee and slippage off, and wealth is marked at
 * that row's close. The reward is what the log of net wealth changed by, in percent; what is held
 * at the end of an episode is sold, at cost.
 *
 * The training part begins each episode at a random row; the test part is walked from its first row
 * to its last. Nothing of the test part is used in training, and nothing after a row at any row:
 * the tests change the future and compare bits. */
#include "env/bar_replay.h"

#include "base/mem.h"
#include "env/baseline.h"
#include "env/chart.h"
#include "env/env_list.h"

#include <math.h>
#include <string.h>

static const char *const part_names[] = {"train", "test", NULL};

#define AT(field) OPT_AT(bar_config, field)
static const opt_row options[] = {
    {"data", OPT_STRING, AT(data), .def_text = "",
     .help = "file of bars, quotes or closes; empty: a simulated market with regimes"},
    {"assets", OPT_STRING, AT(assets), .def_text = "",
     .help = "columns that are closes of assets, as AAPL,AMD, or all; empty: one market's bars"},
    {"features", OPT_STRING, AT(features), .def_text = "returns,volatility",
     .help = "families observed of each asset (garam options features), or none"},
    {"window", OPT_INT, AT(window), .def = 20, .min = 1, .max = 10000, .unit = "rows",
     .help = "longest look back of a feature"},
    {"train-range", OPT_STRING, AT(train_range), .def_text = "0:0.6",
     .help = "BEGIN:END of training, shares of the rows or dates"},
    {"test-range", OPT_STRING, AT(test_range), .def_text = "0.6:1",
     .help = "BEGIN:END of the test"},
    {"part", OPT_ENUM, AT(part), .choices = part_names, .help = "which of the two is played"},
    {"length", OPT_INT, AT(length), .def = 250, .min = 1, .max = 10000000, .unit = "rows",
     .help = "an episode of training"},
    {"low", OPT_F64, AT(low), .def = 0, .min = -10, .max = 10,
     .help = "least share of wealth in an asset; below 0 it is sold short"},
    {"high", OPT_F64, AT(high), .def = 1, .min = -10, .max = 10,
     .help = "largest share of wealth in an asset; together they are cut to the same"},
    {"band", OPT_F64, AT(band), .def = .01, .min = 0, .max = 1,
     .help = "a change of an asset's share below this is not traded"},
    {"spread", OPT_F64, AT(costs.spread), .def = .0002, .min = 0, .max = .5,
     .help = "whole spread as a share of the price, where the data has no bid and ask"},
    {"fee", OPT_F64, AT(costs.fee), .def = .00005, .min = 0, .max = .1,
     .help = "as a share of traded value, each side"},
    {"slippage", OPT_F64, AT(costs.slippage), .def = .00005, .min = 0, .max = .1,
     .help = "as a share of traded value, each side"},
    {"unit", OPT_F64, AT(unit), .def = .01, .min = 1e-6, .max = 1e3,
     .help = "log wealth in a reward of 1"},
};
static const char *const info_names[] = {"wealth", "costs", "traded", "held", "row"};

/* ---- open and close ---------------------------------------------------------------------------
 */

static garam_status bar_open(env *e, const void *config, garam_error *err) {
  const bar_config *c = config;
  if (!(c->low < c->high) || !(c->high > 0))
    return fail(err, GARAM_INVALID, "--low %g and --high %g: expected low below high, high above 0",
                c->low, c->high);
  bar_model *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->c = *c;
  m->bits = ledger_bits(16 / c->unit);
  bar_data *d = &m->data;
  TRY(bar_data_open(d, c, err));
  const size_t width = d->n_features + d->n_assets;
  m->observation_low = mem_array(width, sizeof *m->observation_low);
  m->observation_high = mem_array(width, sizeof *m->observation_high);
  if (!m->observation_low || !m->observation_high) return fail_memory(err, width * 8);
  for (size_t k = 0; k < width; k++) {
    m->observation_low[k] = k < d->n_features ? -5 : -INFINITY;
    m->observation_high[k] = k < d->n_features ? 5 : INFINITY;
  }
  for (size_t k = 0; k < d->n_assets; k++) {
    m->low[k] = (float)c->low;
    m->high[k] = (float)c->high;
  }
  /* the last decision is made on the last row but one */
  const size_t all = d->end[c->part] - d->begin[c->part] - 1;
  m->steps = (int)(c->part == BAR_TRAIN && all > (size_t)c->length ? (size_t)c->length : all);
  m->agent = (env_agent){
      .name = "trader",
      .team = "trader",
      .observation = {.kind = ENV_BOX,
                      .n = (int)width,
                      .low = m->observation_low,
                      .high = m->observation_high},
      .action = {.kind = ENV_BOX, .n = (int)d->n_assets, .low = m->low, .high = m->high}};
  e->shape = (env_shape){.n_agents = 1,
                         .agents = &m->agent,
                         .observation_width = (int)width,
                         .action_width = (int)d->n_assets,
                         .world_bytes = sizeof(bar_world),
                         .n_info = COUNT_OF(info_names),
                         .info_names = info_names};
  return GARAM_OK;
}

static void bar_close(env *e) {
  bar_model *m = e->model;
  if (!m) return;
  bar_data_close(&m->data);
  mem_free(m->observation_low);
  mem_free(m->observation_high);
  mem_free(m);
}

/* ---- walking -----------------------------------------------------------------------------------
 */

static const double *row_of(const double *x, const bar_data *d, size_t row) {
  return x + row * d->n_assets;
}

static size_t row_now(const bar_world *w) {
  return (size_t)w->start + (size_t)w->step;
}

static double marked(const bar_data *d, const bar_world *w, const double *price) {
  double sum = w->cash;
  for (size_t k = 0; k < d->n_assets; k++) sum += w->units[k] * price[k];
  return sum;
}

void bar_weights(double *out, const bar_model *m, const bar_world *w) {
  const double *price = row_of(m->data.close, &m->data, row_now(w));
  const double wealth = marked(&m->data, w, price);
  for (size_t k = 0; k < m->data.n_assets; k++)
    out[k] = wealth > 0 ? w->units[k] * price[k] / wealth : 0;
}

static double show(const env *e, size_t i, const bar_world *w) {
  const bar_model *m = e->model;
  const bar_data *d = &m->data;
  float *observation = e->batch.observation + i * (size_t)e->shape.observation_width;
  double weights[BAR_MAX_ASSETS], held = 0;
  memcpy(observation, d->x + row_now(w) * d->n_features, d->n_features * sizeof *observation);
  bar_weights(weights, m, w);
  for (size_t k = 0; k < d->n_assets; k++) {
    observation[d->n_features + k] = (float)weights[k];
    held += weights[k];
  }
  return held;
}

static void note_path(const bar_model *m, bar_world *w, double held) {
  const int every = (m->steps + BAR_PATH - 1) / BAR_PATH;
  if (w->step % every != 0) return;
  const bar_data *d = &m->data;
  const double *price = row_of(d->close, d, row_now(w));
  const double *first = row_of(d->close, d, (size_t)w->start);
  double mean = 0;
  for (size_t k = 0; k < d->n_assets; k++) mean += price[k] / first[k] / (double)d->n_assets;
  w->path_wealth[w->step / every] = (float)w->wealth;
  w->path_held[w->step / every] = (float)held;
  w->path_price[w->step / every] = (float)mean;
}

static void bar_reset(env *e, size_t i, rng *r) {
  const bar_model *m = e->model;
  const bar_data *d = &m->data;
  bar_world *w = env_world(e, i);
  const size_t begin = d->begin[m->c.part];
  const size_t spare = d->end[m->c.part] - begin - 1 - (size_t)m->steps;
  w->start = begin + (m->c.part == BAR_TRAIN ? (size_t)rng_below(r, spare + 1) : 0);
  w->cash = w->wealth = 1;
  w->costs = w->traded = 0;
  w->step = 0;
  memset(w->units, 0, sizeof w->units);
  ledger_open(&w->ledger, 0, m->bits);
  note_path(m, w, show(e, i, w));
}

/* To a share `target` of `wealth` in asset k, at this price. */
static void trade(const bar_model *m, bar_world *w, size_t k, double target, double wealth,
                  double price, double half) {
  const double change = target * wealth - w->units[k] * price;
  const double cost = fabs(change) * (half + m->c.costs.fee + m->c.costs.slippage);
  w->units[k] = target == 0 ? 0 : w->units[k] + change / price;
  w->cash -= change + cost;
  w->costs += cost;
  w->traded += fabs(change);
}

static void fill_wishes(const bar_model *m, bar_world *w, const float *wish, size_t row) {
  const bar_data *d = &m->data;
  const double *price = row_of(d->fill, d, row), *half = row_of(d->half, d, row);
  const double wealth = marked(d, w, price);
  double gross = 0;
  if (!(wealth > 0)) return;
  for (size_t k = 0; k < d->n_assets; k++)
    gross += fabs(fmin(fmax((double)wish[k], m->c.low), m->c.high));
  const double most = fmax(fabs(m->c.low), fabs(m->c.high)), cut = gross > most ? most / gross : 1;
  for (size_t k = 0; k < d->n_assets; k++) {
    const double target = cut * fmin(fmax((double)wish[k], m->c.low), m->c.high);
    const double now = w->units[k] * price[k] / wealth;
    const bool leaves = target == 0 && now != 0;
    if (leaves || fabs(target - now) > m->c.band) trade(m, w, k, target, wealth, price[k], half[k]);
  }
}

static void step_world(env *e, size_t i) {
  const bar_model *m = e->model;
  const bar_data *d = &m->data;
  bar_world *w = env_world(e, i);
  const size_t row = row_now(w) + 1;
  const double *close = row_of(d->close, d, row), before = w->wealth;
  fill_wishes(m, w, e->batch.action + i * d->n_assets, row);
  w->step++;
  const bool over = w->step == m->steps;
  double held = show(e, i, w);
  if (over) /* sold at the last close; what was observed is what was held until then */
    for (size_t k = 0; k < d->n_assets; k++)
      if (w->units[k] != 0) trade(m, w, k, 0, 1, close[k], row_of(d->half_end, d, row)[k]);
  w->wealth = marked(d, w, close);
  const double least = before * exp(-16);
  const bool ruined = !(w->wealth > least);
  if (ruined) {
    memset(w->units, 0, sizeof w->units);
    w->wealth = w->cash = fmax(least, 1e-300);
    held = show(e, i, w);
  }
  note_path(m, w, held);
  e->batch.reward[i] = ledger_pay(&w->ledger, log(w->wealth) / m->c.unit);
  e->batch.terminated[i] = ruined;
  e->batch.truncated[i] = over && !ruined;
  float *info = e->batch.info + i * COUNT_OF(info_names);
  info[0] = (float)w->wealth;
  info[1] = (float)w->costs;
  info[2] = (float)w->traded;
  info[3] = (float)held;
  info[4] = (float)row;
}

static void bar_step(env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) step_world(e, i);
}

static void bar_draw(const env *e, size_t i, void (*text)(void *, const char *), void *context) {
  const bar_model *m = e->model;
  const bar_world *w = env_world(e, i);
  const chart c = {text, context};
  const chart_box above = {30, 24, 350, 130}, below = {30, 190, 350, 90};
  const int every = (m->steps + BAR_PATH - 1) / BAR_PATH;
  const int full = m->steps / every + 1, n = w->step / every + 1;
  double low = 0, high = 1, low_price = 0, high_price = 1;
  chart_range(&low, &high, w->path_wealth, n);
  chart_range(&low_price, &high_price, w->path_price, n);
  low = fmin(low, low_price);
  high = fmax(high, high_price);
  chart_frame(&c, above, "net wealth %.4f (grey: prices), costs %.4f", w->wealth, w->costs);
  chart_line(&c, above, w->path_price, n, full, low, high, "#aaa");
  chart_line(&c, above, w->path_wealth, n, full, low, high, "#06c");
  chart_range(&low, &high, w->path_held, n);
  chart_frame(&c, below, "share of wealth held");
  chart_line(&c, below, w->path_held, n, full, low, high, "#c40");
}

const env_ops env_bars = {.name = "bars",
                          .summary = "trade real bars from a file, filled in the next row",
                          .options = options,
                          .n_options = COUNT_OF(options),
                          .config_size = sizeof(bar_config),
                          .open = bar_open,
                          .close = bar_close,
                          .reset = bar_reset,
                          .step = bar_step,
                          .draw = bar_draw};

/* ---- baselines ------------------------------------------------------------------------------- */

static void hold(const env *e, size_t i, double weight) {
  const bar_model *m = e->model;
  for (size_t k = 0; k < m->data.n_assets; k++)
    e->batch.action[i * m->data.n_assets + k] = (float)fmin(fmax(weight, m->c.low), m->c.high);
}

static double equal_share(const bar_model *m) {
  return m->c.high / (double)m->data.n_assets;
}

static void equal_weight_act(const env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) hold(e, i, equal_share(e->model));
}

/* Later wishes are what it holds, and the band leaves that alone. */
static void buy_and_hold_act(const env *e, size_t begin, size_t end) {
  const bar_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const bar_world *w = env_world(e, i);
    double weights[BAR_MAX_ASSETS];
    if (w->step == 0) {
      hold(e, i, equal_share(m));
      continue;
    }
    bar_weights(weights, m, w);
    for (size_t k = 0; k < m->data.n_assets; k++)
      e->batch.action[i * m->data.n_assets + k] = (float)weights[k];
  }
}

/* Buys in equal slices over the episode. */
static void twap_act(const env *e, size_t begin, size_t end) {
  const bar_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const bar_world *w = env_world(e, i);
    hold(e, i, equal_share(m) * (w->step + 1) / m->steps);
  }
}

/* Log return of asset k between where decisions of two rows running are filled. */
static double next_return(const bar_data *d, size_t k, size_t from, size_t last) {
  const double *sold = from + 1 > last ? row_of(d->close, d, last) : row_of(d->fill, d, from + 1);
  return log(sold[k] / row_of(d->fill, d, from)[k]);
}

/* Wholly in the asset that gains most from the fill at row + ahead to the fill after it, if that
 * pays for going there and leaving; short where that gains more and is allowed. */
static void pick_winner(const env *e, size_t begin, size_t end, int ahead) {
  const bar_model *m = e->model;
  const bar_data *d = &m->data;
  for (size_t i = begin; i < end; i++) {
    const bar_world *w = env_world(e, i);
    const size_t from = row_now(w) + (size_t)ahead;
    double best = 0, share = 0;
    size_t winner = 0;
    for (size_t k = 0; k < d->n_assets; k++) {
      const double move = next_return(d, k, from, (size_t)w->start + (size_t)m->steps);
      const double toll = m->c.costs.fee + m->c.costs.slippage + row_of(d->half, d, from)[k];
      for (int side = -1; side <= 1; side += 2) {
        const double weight = side < 0 ? fmin(m->c.low, 0) : m->c.high;
        const bool there = w->units[k] * side > 0;
        const double gain = move * weight - (there ? 0 : 2 * toll * fabs(weight));
        if (gain <= best) continue;
        best = gain;
        winner = k;
        share = weight;
      }
    }
    memset(e->batch.action + i * d->n_assets, 0, d->n_assets * sizeof(float));
    e->batch.action[i * d->n_assets + winner] = (float)share;
  }
}

static void oracle_act(const env *e, size_t begin, size_t end) {
  pick_winner(e, begin, end, 1);
}

/* The oracle's clock one row late: it knows how its own row goes from open to close, which is what
 * a replay that fills in the same row would give away. */
static void late_oracle_act(const env *e, size_t begin, size_t end) {
  pick_winner(e, begin, end, 0);
}

const baseline baselines_bars[] = {
    {.env = "bars",
     .name = "buy_and_hold",
     .summary = "equal shares, then left alone",
     .act = buy_and_hold_act},
    {.env = "bars",
     .name = "equal_weight",
     .summary = "equal shares, rebalanced",
     .act = equal_weight_act},
    {.env = "bars",
     .name = "twap",
     .summary = "bought in equal slices over the episode",
     .act = twap_act},
    {.env = "bars", .name = "oracle", .summary = "knows the next row", .act = oracle_act},
    {.env = "bars",
     .name = "late_oracle",
     .summary = "knows the row that is over",
     .act = late_oracle_act},
    {.name = NULL},
};
