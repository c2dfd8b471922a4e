/* What would have been earned. A decision at one row is filled in the next: at its open for
 * bars, at its quotes for snapshots. Never in the row that it was made on. */
#include "market/market.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

const opt_row cost_options[] = {
    {"spread", OPT_F64, OPT_AT(cost_config, spread), .def = 0.0002, .min = 0, .max = 0.5,
     .help = "whole spread as a share of the price, where the data has no bid and ask"},
    {"fee", OPT_F64, OPT_AT(cost_config, fee), .def = 0.00005, .min = 0, .max = 0.1,
     .help = "fee as a share of traded value, each side"},
    {"slippage", OPT_F64, OPT_AT(cost_config, slippage), .def = 0.00005, .min = 0, .max = 0.1,
     .help = "slippage as a share of traded value, each side"},
};
const size_t cost_n_options = COUNT_OF(cost_options);

/* An account in units of its first equity. */
typedef struct account {
  double cash, units;
  double costs, traded;
  size_t n_trades;
  bool ruined;
} account;

static double account_equity(const account *a, double price) {
  return a->cash + a->units * price;
}

/* Half the spread at the fill, as a share of the price. Quotes at the row's start where there
 * are some; a bar with only closing quotes has those of the row before. */
double cost_half_spread(const bars *b, size_t row, double price, const cost_config *costs) {
  double bid = NAN, ask = NAN;
  if (b->snapshots || !b->open) {
    if (b->bid && b->ask) bid = b->bid[row], ask = b->ask[row];
  } else if (b->bid_open && b->ask_open) {
    bid = b->bid_open[row], ask = b->ask_open[row];
  } else if (b->bid && b->ask && row > 0) {
    bid = b->bid[row - 1], ask = b->ask[row - 1];
  }
  if (!(ask >= bid) || !(bid > 0)) return 0.5 * costs->spread;
  return 0.5 * (ask - bid) / price;
}

/* Trades to hold `target` of the equity at this price. */
static void account_trade(account *a, double price, double target, double cost_rate) {
  double equity = account_equity(a, price);
  if (equity <= 0) { /* nothing is left to trade with: out, for good */
    a->ruined = true;
    target = 0;
  }
  double units = a->ruined ? 0 : target * equity / price;
  double value = fabs(units - a->units) * price;
  if (value == 0) return;
  double cost = value * cost_rate;
  a->cash -= (units - a->units) * price + cost;
  a->units = units;
  a->costs += cost;
  a->traded += value;
  a->n_trades++;
}

double cost_fill_price(const bars *b, size_t row) {
  return b->open && !b->snapshots ? b->open[row] : b->close[row];
}

/* Walks the decisions; equity[i] is marked at the close of rows[i]. What is held at the end is
 * sold at the last close, at cost. */
static void walk(account *a, double *equity, const bars *b, const uint32_t *rows,
                 const double *position, size_t n, const cost_config *costs) {
  *a = (account){.cash = 1};
  double share = costs->fee + costs->slippage, held = 0;
  for (size_t i = 0; i < n; i++) {
    if (i > 0 && !a->ruined && position[i - 1] != held) {
      size_t row = (size_t)rows[i - 1] + 1;
      double price = cost_fill_price(b, row);
      account_trade(a, price, position[i - 1], share + cost_half_spread(b, row, price, costs));
      held = position[i - 1];
    }
    if (i + 1 == n && a->units != 0) {
      double price = b->close[rows[i]];
      double half = b->bid && b->ask && b->ask[rows[i]] >= b->bid[rows[i]]
                        ? 0.5 * (b->ask[rows[i]] - b->bid[rows[i]]) / price
                        : 0.5 * costs->spread;
      account_trade(a, price, 0, share + half);
    }
    equity[i] = account_equity(a, b->close[rows[i]]);
  }
}

/* Rows a year of the rows' own time. Holes of more than ten days (separate files put together)
 * are taken out: they are no market time. */
static double periods_per_year(const bars *b, const uint32_t *rows, size_t n) {
  if (!b->time || n < 2) return NAN;
  const int64_t hole = 10 * 24 * 3600 * CLOCK_NS_PER_SECOND;
  double span = 0, counted = 0;
  for (size_t i = 1; i < n; i++) {
    int64_t step = b->known_at[rows[i]] - b->known_at[rows[i - 1]];
    if (step > hole) continue;
    span += (double)step;
    counted++;
  }
  const double year = 365.25 * 24 * 3600 * (double)CLOCK_NS_PER_SECOND;
  return span > 0 ? counted * year / span : NAN;
}

typedef struct moments {
  double mean, deviation, skew, kurtosis; /* kurtosis 3 for a normal */
  size_t n;
} moments;

static moments return_moments(const double *equity, size_t n) {
  moments m = {.kurtosis = 3};
  for (size_t i = 1; i < n; i++)
    if (equity[i - 1] > 0) {
      m.mean += equity[i] / equity[i - 1] - 1;
      m.n++;
    }
  if (m.n < 2) return m;
  m.mean /= (double)m.n;
  double s2 = 0, s3 = 0, s4 = 0;
  for (size_t i = 1; i < n; i++)
    if (equity[i - 1] > 0) {
      double off = equity[i] / equity[i - 1] - 1 - m.mean;
      s2 += off * off;
      s3 += off * off * off;
      s4 += off * off * off * off;
    }
  double variance = s2 / (double)m.n;
  m.deviation = sqrt(s2 / (double)(m.n - 1));
  if (variance > 0) {
    m.skew = s3 / (double)m.n / pow(variance, 1.5);
    m.kurtosis = s4 / (double)m.n / (variance * variance);
  }
  return m;
}

static double sharpe(const moments *m, double periods) {
  return m->deviation > 0 ? m->mean / m->deviation * sqrt(periods) : 0;
}

static double normal_below(double x) {
  return 0.5 * erfc(-x * M_SQRT1_2);
}

/* Inverse of the normal distribution by bisection: called a few times a report. */
static double normal_quantile(double p) {
  double low = -40, high = 40;
  for (int i = 0; i < 200 && high - low > 1e-13; i++) {
    double middle = 0.5 * (low + high);
    if (normal_below(middle) < p) low = middle;
    else high = middle;
  }
  return 0.5 * (low + high);
}

double backtest_deflated_sharpe(double ratio, size_t n, double skew, double kurtosis,
                                double trial_variance, int n_trials) {
  if (n < 2) return NAN;
  const double euler = 0.57721566490153286;
  double luck = 0;
  if (n_trials > 1) {
    double trials = n_trials;
    luck = sqrt(trial_variance) * ((1 - euler) * normal_quantile(1 - 1 / trials) +
                                   euler * normal_quantile(1 - 1 / (trials * M_E)));
  }
  double spread = 1 - skew * ratio + (kurtosis - 1) / 4 * ratio * ratio;
  if (!(spread > 0)) return NAN;
  return normal_below((ratio - luck) * sqrt((double)(n - 1)) / sqrt(spread));
}

static double max_drawdown(const double *equity, size_t n) {
  double top = 1, worst = 0;
  for (size_t i = 0; i < n; i++) {
    if (equity[i] > top) top = equity[i];
    double fall = 1 - equity[i] / top;
    if (fall > worst) worst = fall;
  }
  return worst;
}

static garam_status check_decisions(const bars *b, const uint32_t *rows, const double *position,
                                    size_t n, garam_error *err) {
  if (n < 2)
    return fail(err, GARAM_INVALID, "a backtest needs at least two rows, %zu are given", n);
  for (size_t i = 0; i < n; i++) {
    if (rows[i] >= b->n_rows || (i > 0 && rows[i] <= rows[i - 1]))
      return fail(err, GARAM_INVALID, "backtest: row %u at place %zu is not in ascending order",
                  rows[i], i);
    if (!(fabs(position[i]) <= 1))
      return fail(err, GARAM_INVALID, "backtest: position %g at row %u is outside -1 to 1",
                  position[i], rows[i]);
  }
  return GARAM_OK;
}

garam_status backtest_run(backtest_report *out, const bars *b, const uint32_t *rows,
                          const double *position, size_t n, const cost_config *costs, int n_trials,
                          garam_error *err) {
  memset(out, 0, sizeof *out);
  TRY(check_decisions(b, rows, position, n, err));
  garam_status status = GARAM_OK;
  backtest_report r = {.n_rows = n};
  double *always = mem_array(n, sizeof *always);
  r.equity = mem_array(n, sizeof *r.equity);
  r.buy_and_hold = mem_array(n, sizeof *r.buy_and_hold);
  r.time = mem_array(n, sizeof *r.time);
  if (!always || !r.equity || !r.buy_and_hold || !r.time) {
    status = fail_memory(err, n * sizeof *r.equity);
    goto done;
  }
  for (size_t i = 0; i < n; i++) {
    always[i] = 1;
    r.time[i] = b->known_at[rows[i]];
  }
  account a, hold;
  walk(&hold, r.buy_and_hold, b, rows, always, n, costs);
  walk(&a, r.equity, b, rows, position, n, costs);
  r.periods_per_year = periods_per_year(b, rows, n);
  r.net_return = r.equity[n - 1] - 1;
  r.costs = a.costs;
  r.gross_return = r.net_return + a.costs;
  r.buy_and_hold_return = r.buy_and_hold[n - 1] - 1;
  r.n_trades = a.n_trades;
  r.max_drawdown = max_drawdown(r.equity, n);
  moments m = return_moments(r.equity, n), held = return_moments(r.buy_and_hold, n);
  r.sharpe = sharpe(&m, r.periods_per_year);
  r.buy_and_hold_sharpe = sharpe(&held, r.periods_per_year);
  /* The trials' own Sharpe ratios are not known here: their variance is taken as that of the
   * estimate when the true one is 0. */
  double per_row = m.deviation > 0 ? m.mean / m.deviation : 0;
  r.deflated_sharpe = backtest_deflated_sharpe(per_row, m.n, m.skew, m.kurtosis,
                                               m.n > 1 ? 1.0 / (double)(m.n - 1) : 0, n_trials);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += r.equity[i];
  double mean = sum / (double)n, years = (double)(n - 1) / r.periods_per_year;
  r.turnover = mean > 0 ? a.traded / mean / years : NAN;
done:
  mem_free(always);
  if (status != GARAM_OK) {
    backtest_deinit(&r);
    return status;
  }
  *out = r;
  return GARAM_OK;
}

void backtest_deinit(backtest_report *r) {
  mem_free(r->equity);
  mem_free(r->buy_and_hold);
  mem_free(r->time);
  memset(r, 0, sizeof *r);
}
