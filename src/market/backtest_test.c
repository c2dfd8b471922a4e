#include "market/fixture.h"

static garam_error err;
static const cost_config no_costs = {0};

static uint32_t *all_rows(size_t n) {
  uint32_t *rows = mem_array(n, sizeof *rows);
  for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)i;
  return rows;
}

static backtest_report run(const bars *b, const uint32_t *rows, const double *position, size_t n,
                           const cost_config *costs) {
  backtest_report r;
  expect_ok(backtest_run(&r, b, rows, position, n, costs, 1, &err), &err);
  return r;
}

static void by_hand(void **state) {
  (void)state;
  const char *names[] = {"time", "open", "high", "low", "close"};
  double values[] = {0,    10, 10, 10, 10, 3600,  20, 30, 20, 30,
                     7200, 30, 40, 30, 40, 10800, 50, 50, 45, 45};
  table *t = fixture_table(names, 5, 4, values);
  bars *b = fixture_bars(t);
  uint32_t *rows = all_rows(4);
  double position[] = {1, 1, 0, 0}; /* long at the open of row 1 (20), out at that of row 3 (50) */
  backtest_report r = run(b, rows, position, 4, &no_costs);
  double expected[] = {1, 1.5, 2, 2.5};
  for (int i = 0; i < 4; i++) assert_true(fabs(r.equity[i] - expected[i]) < 1e-12);
  assert_int_equal(r.n_trades, 2);
  assert_true(fabs(r.net_return - 1.5) < 1e-12 && r.costs == 0 && r.max_drawdown == 0);
  assert_true(fabs(r.buy_and_hold_return - (45.0 / 20 - 1)) < 1e-12);
  backtest_deinit(&r);
  /* half of a spread of 2 %, and 1 % and 0.5 %: 2.5 % of what is traded */
  cost_config costs = {.spread = 0.02, .fee = 0.01, .slippage = 0.005};
  r = run(b, rows, position, 4, &costs);
  assert_true(fabs(r.equity[3] - (2.5 - 0.025 - 0.025 * 2.5)) < 1e-12);
  assert_true(fabs(r.costs - 0.025 * 3.5) < 1e-12);
  backtest_deinit(&r);
  double short_position[] = {-1, -1, -1, -1}; /* 20 to 45: lost 125 %: out at the first chance */
  r = run(b, rows, short_position, 4, &no_costs);
  assert_true(r.equity[1] == 0.5 && r.equity[2] == 0 && fabs(r.equity[3] + 0.25) < 1e-12);
  backtest_deinit(&r);
  mem_free(rows);
  bars_free(b);
  table_free(t);
}

/* Quotes are paid where there are some: those of the next snapshot. */
static void quotes_of_the_next_row_are_paid(void **state) {
  (void)state;
  const char *names[] = {"time", "bid", "ask"};
  double values[] = {0, 99, 101, 1, 98, 102, 2, 109, 111};
  table *t = fixture_table(names, 3, 3, values);
  bars *b = fixture_bars(t);
  uint32_t *rows = all_rows(3);
  double position[] = {1, 1, 1};
  backtest_report r = run(b, rows, position, 3, &no_costs);
  /* a hundredth of a unit bought at 102, sold at 109 */
  assert_true(fabs(r.equity[1] - 0.98) < 1e-12);
  assert_true(fabs(r.net_return - 0.07) < 1e-12);
  backtest_deinit(&r);
  mem_free(rows);
  bars_free(b);
  table_free(t);
}

/* What was earned by what was held, less costs, is the change of equity, for any policy. Worked
 * out here from positions and prices alone. */
static void the_books_balance(void **state) {
  (void)state;
  const char *real = "bars/eurusd-1h.csv.gz";
  for (int kind = 0; kind < 3; kind++) {
    table *t = kind == 0   ? fixture_market(3000, 5, 3, 1, NULL, NULL)
               : kind == 1 ? fixture_book(3000, 5)
                           : fixture_real(real);
    if (!t) continue;
    bars *b = fixture_bars(t);
    size_t n = 0;
    uint32_t *rows = mem_array(t->n_rows, sizeof *rows);
    double *position = mem_array(t->n_rows, sizeof *position);
    rng r;
    rng_init(&r, 1, RNG_TEST, (uint64_t)kind);
    for (size_t i = 0; i + 1 < t->n_rows && n < 3000; i++)
      if (rng_uniform(&r) < 0.7) rows[n++] = (uint32_t)i; /* with rows left out */
    for (size_t i = 0; i < n; i++)
      position[i] = rng_uniform(&r) < 0.5 && i ? position[i - 1] : 2 * rng_uniform(&r) - 1;
    cost_config costs = {.spread = 1e-4, .fee = 2e-5, .slippage = 1e-5};
    backtest_report report = run(b, rows, position, n, &costs);
    double cash = 1, units = 0, paid = 0, held = 0, earned = 0, mark = 0;
    for (size_t i = 0; i < n; i++) {
      if (i && position[i - 1] != held) {
        size_t at = rows[i - 1] + 1;
        double price = b->open ? b->open[at] : b->close[at];
        earned += units * (price - mark);
        double half = 0.5 * costs.spread;
        if (b->bid_open) half = 0.5 * (b->ask_open[at] - b->bid_open[at]) / price;
        else if (b->snapshots) half = 0.5 * (b->ask[at] - b->bid[at]) / price;
        held = position[i - 1];
        double target = held * (cash + units * price) / price, trade = target - units;
        double cost = fabs(trade) * price * (half + costs.fee + costs.slippage);
        cash -= trade * price + cost;
        paid += cost;
        units = target;
        mark = price;
      }
      earned += units * (b->close[rows[i]] - mark);
      mark = b->close[rows[i]];
      if (i + 1 < n) assert_true(fabs(report.equity[i] - (1 + earned - paid)) < 1e-9);
    }
    assert_true(fabs(report.net_return - (report.gross_return - report.costs)) < 1e-12);
    assert_true(fabs(report.gross_return - earned) < 1e-9);
    assert_true(report.costs >= paid);
    backtest_deinit(&report);
    mem_free(rows);
    mem_free(position);
    bars_free(b);
    table_free(t);
  }
}

typedef enum policy { SAME_BAR, CLAIRVOYANT, RANDOM } policy;

static double sharpe_of(const bars *b, policy p, const cost_config *costs, double *net,
                        double *turnover) {
  size_t n = b->n_rows;
  uint32_t *rows = all_rows(n);
  double *position = mem_array(n, sizeof *position);
  rng r;
  rng_init(&r, 9, RNG_TEST, 0);
  for (size_t i = 1; i + 2 < n; i++) {
    double move = p == SAME_BAR      ? b->close[i] - b->open[i]
                  : p == CLAIRVOYANT ? b->close[i + 1] - b->open[i + 1]
                                     : rng_uniform(&r) - 0.5;
    position[i] = move > 0 ? 1 : -1;
  }
  backtest_report report = run(b, rows, position, n, costs);
  double per_row = report.sharpe / sqrt(report.periods_per_year);
  if (net) *net = report.net_return;
  if (turnover)
    *turnover = report.turnover * (double)(n - 1) / report.periods_per_year; /* over the run */
  backtest_deinit(&report);
  mem_free(rows);
  mem_free(position);
  return per_row;
}

/* On a random walk: who trades on the bar that has just been, as if filled in it, would be rich;
 * filled on the next he has nothing. Who knows the next bar is rich. Who guesses loses the
 * costs. */
static void nothing_is_filled_in_the_bar_of_its_decision(void **state) {
  (void)state;
  table *t = fixture_market(20000, 3, 1, 0, NULL, NULL);
  bars *b = fixture_bars(t);
  assert_true(fabs(sharpe_of(b, SAME_BAR, &no_costs, NULL, NULL)) < 4 / sqrt(20000));
  assert_true(sharpe_of(b, CLAIRVOYANT, &no_costs, NULL, NULL) > 0.5);
  cost_config costs = {.spread = 1e-4, .fee = 5e-5};
  double free_of_costs, net, turnover;
  sharpe_of(b, RANDOM, &no_costs, &free_of_costs, NULL);
  sharpe_of(b, RANDOM, &costs, &net, &turnover);
  /* half the time nothing changes, else two units are traded, each at 1e-4: e^(-2) is left */
  assert_true(fabs(log(1 + net) - log(1 + free_of_costs) + 2) < 0.1);
  assert_true(turnover > 15000 && turnover < 25000);
  bars_free(b);
  table_free(t);
}

static void deflated_sharpe_of_the_paper(void **state) {
  (void)state;
  /* Bailey and Lopez de Prado (2014), their example: a yearly ratio of 2.5 over 1250 days, skew
   * -3, kurtosis 10, 100 trials whose yearly ratios have variance 1/2: 0.9004; 46 trials 0.9505 */
  double ratio = 2.5 / sqrt(250), variance = 0.5 / 250;
  assert_true(fabs(backtest_deflated_sharpe(ratio, 1250, -3, 10, variance, 100) - 0.9004) < 1e-3);
  assert_true(fabs(backtest_deflated_sharpe(ratio, 1250, -3, 10, variance, 46) - 0.9505) < 1e-3);
  assert_true(fabs(backtest_deflated_sharpe(0, 1250, 0, 3, variance, 1) - 0.5) < 1e-12);
}

static void ratios_by_hand(void **state) {
  (void)state;
  const char *names[] = {"time", "close"};
  double values[20], price = 100, top = 0, fall = 0;
  for (size_t i = 0; i < 10; i++) {
    price *= i % 3 ? 1.02 : 0.97;
    values[2 * i] = 86400 * (double)i;
    values[2 * i + 1] = price;
  }
  table *t = fixture_table(names, 2, 10, values);
  bars *b = fixture_bars(t);
  uint32_t *rows = all_rows(10);
  double position[10];
  for (int i = 0; i < 10; i++) position[i] = 1;
  backtest_report r = run(b, rows, position, 10, &no_costs);
  assert_true(fabs(r.periods_per_year - 365.25) < 1e-9);
  double mean = 0, squares = 0;
  for (int i = 1; i < 10; i++) mean += (r.equity[i] / r.equity[i - 1] - 1) / 9;
  for (int i = 1; i < 10; i++) squares += pow(r.equity[i] / r.equity[i - 1] - 1 - mean, 2) / 8;
  assert_true(fabs(r.sharpe - mean / sqrt(squares) * sqrt(365.25)) < 1e-9);
  assert_true(r.sharpe == r.buy_and_hold_sharpe);
  for (int i = 0; i < 10; i++) {
    top = fmax(top, r.equity[i]);
    fall = fmax(fall, 1 - r.equity[i] / top);
    assert_true(r.equity[i] == r.buy_and_hold[i]);
  }
  assert_true(fall > 0 && fabs(r.max_drawdown - fall) < 1e-12);
  backtest_deinit(&r);
  mem_free(rows);
  bars_free(b);
  table_free(t);
}

static void refuses_bad_decisions(void **state) {
  (void)state;
  table *t = fixture_market(50, 3, 1, 0, NULL, NULL);
  bars *b = fixture_bars(t);
  static const struct {
    uint32_t rows[3];
    double position[3];
    size_t n;
    const char *message;
  } cases[] = {
      {{1, 2, 3}, {0, 2, 0}, 3, "position 2"},   {{1, 2, 3}, {0, NAN, 0}, 3, "nan"},
      {{1, 1, 3}, {0, 0, 0}, 3, "ascending"},    {{1, 2, 50}, {0, 0, 0}, 3, "50"},
      {{1, 2, 3}, {0, 0, 0}, 1, "at least two"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    backtest_report r;
    assert_int_equal(
        backtest_run(&r, b, cases[i].rows, cases[i].position, cases[i].n, &no_costs, 1, &err),
        GARAM_INVALID);
    if (!strstr(err.message, cases[i].message)) fail_msg("case %zu: %s", i, err.message);
    assert_null(r.equity);
  }
  bars_free(b);
  table_free(t);
}

static garam_status run_and_free(void *context, garam_error *error) {
  uint32_t rows[] = {1, 2, 3};
  double position[] = {1, -1, 0};
  backtest_report r;
  garam_status status = backtest_run(&r, context, rows, position, 3, &no_costs, 1, error);
  if (status == GARAM_OK) backtest_deinit(&r);
  return status;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  table *t = fixture_market(10, 2, 3, 1, NULL, NULL);
  bars *b = fixture_bars(t);
  fixture_fail_each(run_and_free, b);
  bars_free(b);
  table_free(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(by_hand),
      cmocka_unit_test(quotes_of_the_next_row_are_paid),
      cmocka_unit_test(the_books_balance),
      cmocka_unit_test(nothing_is_filled_in_the_bar_of_its_decision),
      cmocka_unit_test(deflated_sharpe_of_the_paper),
      cmocka_unit_test(ratios_by_hand),
      cmocka_unit_test(refuses_bad_decisions),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
