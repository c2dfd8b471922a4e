/* Exact values: the published figures, and the same from playing the true process. */
#include "base/mem.h"
#include "env/env_list.h"
#include "env/exact.h"
#include "env/execution.h"
#include "env/market_making.h"
#include "env/portfolio.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static garam_error err;

static exact_report value_of(const env_ops *ops, const void *config, const char *name) {
  exact_report r;
  const baseline *b = baseline_find(ops->name, name, &err);
  assert_non_null(b);
  const player who = player_baseline(b);
  if (exact_value(&r, ops, config, &who, &err) != GARAM_OK) fail_msg("%s", err.message);
  return r;
}

static void published_figures(void **state) {
  (void)state;
  static const struct {
    const env_ops *ops;
    const char *name;
    double share, within; /* of the optimum */
    double depth;         /* --max-depth of the market maker; 0: the default */
  } rows[] = {
      {&env_execution, "optimal", 1, 1e-5, 0},
      {&env_execution, "twap", 1.369, 5e-4, 0},
      /* 0.2 % above h(0,0): time is discrete */
      {&env_market_making, "optimal", 1.00176, 1e-4, 0},
      /* the figure is that of quotes where the formula puts them; here none crosses the mid */
      {&env_market_making, "avellaneda_stoikov", .960, 2e-3, 10},
      {&env_market_making, "avellaneda_stoikov", .9625, 1e-4, 0},
      {&env_market_making, "fixed_spread", .892, 5e-4, 0},
      {&env_portfolio, "merton", 1, 5e-3, 0},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    market_making_config deep;
    opt_defaults(env_market_making.options, env_market_making.n_options, &deep);
    deep.depth = rows[i].depth;
    const exact_report r = value_of(rows[i].ops, rows[i].depth > 0 ? &deep : NULL, rows[i].name);
    if (!(fabs(r.value / r.optimum - rows[i].share) <= rows[i].within))
      fail_msg("%s %s: %.7g of %.7g is %.6f, expected %g within %g", rows[i].ops->name,
               rows[i].name, r.value, r.optimum, r.value / r.optimum, rows[i].share,
               rows[i].within);
    assert_true(fabs(r.gap - (r.optimum - r.value) / fabs(r.optimum)) < 1e-12);
  }
}

/* Returns played on the true process have the exact value as their mean, with either reward; and
 * the expected reward is the less noisy. */
static void playing_agrees(void **state) {
  (void)state;
  static const struct {
    const env_ops *ops;
    const char *name;
    size_t reward_at; /* offset of the option */
    double unit;      /* of the exact value in a return of 1 */
    size_t n;
  } rows[] = {
      {&env_execution, "twap", offsetof(execution_config, reward), 1e6, 10000},
      {&env_market_making, "avellaneda_stoikov", offsetof(market_making_config, reward), 1, 600},
      {&env_portfolio, "equal_weight", offsetof(portfolio_config, reward), .01, 10000},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    const env_ops *ops = rows[k].ops;
    void *config = mem_zalloc(ops->config_size);
    opt_defaults(ops->options, ops->n_options, config);
    const exact_report exact = value_of(ops, config, rows[k].name);
    const baseline *b = baseline_find(ops->name, rows[k].name, &err);
    double deviation[2];
    for (int reward = 0; reward < 2; reward++) {
      *(int *)((char *)config + rows[k].reward_at) = reward;
      env *e;
      assert_int_equal(env_new(&e, ops, config, &(env_setup){.n = rows[k].n, .seed = 11}, &err),
                       GARAM_OK);
      while (!e->batch.ended[0]) {
        b->act(e, 0, e->batch.n);
        assert_int_equal(env_step(e, &err), GARAM_OK);
      }
      double sum = 0, squares = 0;
      for (size_t i = 0; i < rows[k].n; i++) {
        const double r = e->batch.last_return[i] * rows[k].unit;
        sum += r;
        squares += r * r;
      }
      const double n = (double)rows[k].n, mean = sum / n;
      deviation[reward] = sqrt(fmax(0, squares / n - mean * mean));
      const double error = deviation[reward] / sqrt(n) + 2e-6 * fabs(exact.value);
      if (!(fabs(mean - exact.value) < 4 * error))
        fail_msg("%s, reward %d: %.7g +- %.2g played, %.7g exactly", ops->name, reward, mean, error,
                 exact.value);
      env_free(e);
    }
    assert_true(deviation[1] < .6 * deviation[0]);
    mem_free(config);
  }
}

static void says_what_it_cannot(void **state) {
  (void)state;
  exact_report r;
  const baseline *b = baseline_find("CartPole-v1", "zero", &err);
  assert_false(exact_knows(&env_cartpole));
  assert_true(exact_knows(&env_portfolio));
  player who = player_baseline(b);
  assert_int_equal(exact_value(&r, &env_cartpole, NULL, &who, &err), GARAM_UNSUPPORTED);
  portfolio_config p;
  opt_defaults(env_portfolio.options, env_portfolio.n_options, &p);
  p.fee = .001;
  assert_int_equal(exact_value(&r, &env_portfolio, &p, &who, &err), GARAM_UNSUPPORTED);
  execution_config x;
  opt_defaults(env_execution.options, env_execution.n_options, &x);
  x.observe_price = true;
  assert_int_equal(exact_value(&r, &env_execution, &x, &who, &err), GARAM_UNSUPPORTED);
  /* a baseline of another environment */
  b = baseline_find("portfolio", "merton", &err);
  who = player_baseline(b);
  assert_int_equal(exact_value(&r, &env_execution, NULL, &who, &err), GARAM_MISMATCH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(published_figures),
      cmocka_unit_test(playing_agrees),
      cmocka_unit_test(says_what_it_cannot),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
