/* From odds to positions to money: the backtest of the scored rows, at the costs of the package. */
#include "learn/evaluate_inner.h"

#include "base/mem.h"

#include <math.h>

enum { EQUITY_POINTS = 400 };

static double sign(double x) {
  return (x > 0) - (x < 0);
}

/* In [-1, 1]. The last class is up, the first down, whether there is a flat one or not. */
static double position_of(const evaluation *e, const float *out, size_t i) {
  const evaluate_config *c = e->config;
  if (e->k == 0) {
    double value = (double)out[i];
    return fabs(value) < c->edge ? 0 : sign(value);
  }
  const float *p = out + i * (size_t)e->k;
  double edge = (double)p[e->k - 1] - (double)p[0];
  if (fabs(edge) < c->edge) return 0;
  switch ((evaluate_position)c->position) {
  case POSITION_SIGN: return sign(edge);
  case POSITION_PROPORTIONAL: return edge;
  case POSITION_CALL: break;
  }
  int top = metric_top(p, e->k);
  return top == e->k - 1 ? 1 : top == 0 ? -1 : 0;
}

static void put_equity(evaluation *e, const backtest_report *r) {
  size_t points = r->n_rows < EQUITY_POINTS ? r->n_rows : EQUITY_POINTS;
  json_t *time = json_array(), *ours = json_array(), *hold = json_array();
  for (size_t i = 0; i < points && time && ours && hold; i++) {
    size_t at = points > 1 ? i * (r->n_rows - 1) / (points - 1) : 0;
    if ((r->time && json_array_append_new(time, json_integer(r->time[at])) != 0) ||
        json_array_append_new(ours, json_number_or_null(r->equity[at])) != 0 ||
        json_array_append_new(hold, json_number_or_null(r->buy_and_hold[at])) != 0)
      e->no_memory = true;
  }
  evaluation_put(
      e, e->detail, "equity",
      json_pack("{s:o, s:o, s:o}", "time", time, "strategy", ours, "buy_and_hold", hold));
}

garam_status evaluate_money(backtest_report *out, const evaluation *e, const float *predictions,
                            garam_error *err) {
  double *position = mem_array(e->n, sizeof *position);
  if (!position) return fail_memory(err, e->n * sizeof *position);
  for (size_t i = 0; i < e->n; i++) position[i] = position_of(e, predictions, i);
  garam_status status = backtest_run(out, e->b, e->rows, position, e->n, &e->p->config.costs,
                                     e->config->n_trials, err);
  mem_free(position);
  return status;
}

garam_status evaluate_backtest(evaluation *e, garam_error *err) {
  static const char *const rules[] = {"call", "sign", "proportional"};
  backtest_report r = {0};
  const cost_config *costs = &e->p->config.costs;
  TRY(evaluate_money(&r, e, e->out, err));
  json_t *b = json_object();
  if (b) {
    const struct {
      const char *key;
      double value;
    } numbers[] = {
        {"net_return", r.net_return},
        {"gross_return", r.gross_return},
        {"buy_and_hold", r.buy_and_hold_return},
        {"sharpe", r.sharpe},
        {"deflated_sharpe", r.deflated_sharpe},
        {"buy_and_hold_sharpe", r.buy_and_hold_sharpe},
        {"max_drawdown", r.max_drawdown},
        {"turnover", r.turnover},
        {"costs", r.costs},
        {"periods_per_year", r.periods_per_year},
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
      evaluation_put(e, b, numbers[i].key, json_number_or_null(numbers[i].value));
    evaluation_put(e, b, "trades", json_integer((json_int_t)r.n_trades));
    evaluation_put(e, b, "n_trials", json_integer(e->config->n_trials));
    evaluation_put(e, b, "position", json_string(rules[e->config->position]));
    evaluation_put(e, b, "costs_assumed",
                   json_pack("{s:f, s:f, s:f}", "spread", costs->spread, "fee", costs->fee,
                             "slippage", costs->slippage));
  }
  evaluation_put(e, e->result, "backtest", b);
  put_equity(e, &r);
  backtest_deinit(&r);
  return GARAM_OK;
}
