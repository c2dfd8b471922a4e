/* The books of every market with closed form: rewards add up to what wealth changed by less
 * penalties, to the last digit; only who is given the future gets rich; nothing is allocated in a
 * step. */
#include "base/mem.h"
#include "base/thread.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "env/execution.h"
#include "env/market_making.h"
#include "env/portfolio.h"
#include "tests/failing_allocator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static garam_error err;

static env *make(const env_ops *ops, const void *config, size_t n, uint64_t seed) {
  env *e;
  if (env_new(&e, ops, config, &(env_setup){.n = n, .seed = seed}, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  return e;
}

/* A config with some options set by text, as the command does: "fee=0.001 assets=3". */
static void *configure(const env_ops *ops, const char *text) {
  void *config = mem_zalloc(ops->config_size);
  opt_defaults(ops->options, ops->n_options, config);
  char copy[256], *save = NULL;
  strncpy(copy, text, sizeof copy - 1);
  copy[sizeof copy - 1] = 0;
  for (char *one = strtok_r(copy, " ", &save); one; one = strtok_r(NULL, " ", &save)) {
    char *value = strchr(one, '=');
    *value++ = 0;
    const opt_row *row = opt_find(ops->options, ops->n_options, one);
    assert_non_null(row);
    if (opt_set_text(row, config, value, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  return config;
}

static void act(const env *e, const char *name) {
  const baseline *b = baseline_find(e->ops->name, name, &err);
  assert_non_null(b);
  b->act(e, 0, e->batch.n);
}

static const struct {
  const env_ops *ops;
  const char *options;
} variants[] = {
    {&env_execution, ""},
    {&env_execution, "periods=20 observe-price=true unit=12345.6 shares=777777"},
    {&env_execution, "reward=expected risk-aversion=3e-6"},
    {&env_market_making, ""},
    {&env_market_making, "reward=expected steps=300 volatility=5"},
    {&env_portfolio, ""},
    {&env_portfolio, "fee=0.002 assets=5 correlation=0.3 periods=252 unit=0.037"},
    {&env_portfolio, "volatility=1.5 periods=4 high=10 low=-10"}, /* ruins */
    {&env_portfolio, "reward=expected fee=0.001"},
};

/* ---- to the last digit ------------------------------------------------------------------------
 */

static void rewards_are_the_change_of_net_wealth(void **state) {
  (void)state;
  for (size_t v = 0; v < COUNT_OF(variants); v++) {
    void *config = configure(variants[v].ops, variants[v].options);
    env *e = make(variants[v].ops, config, 7, v);
    double sum[7] = {0};
    size_t episodes = 0;
    for (size_t t = 0; t < 2500; t++) {
      act(e, "random");
      assert_int_equal(env_step(e, &err), GARAM_OK);
      for (size_t i = 0; i < 7; i++) {
        const ledger *l = env_world(e, i);
        sum[i] += (double)e->batch.reward[i];
        const bool over = e->batch.ended[i];
        const double start = over ? l->closed_start : l->start, net = over ? l->closed_net : l->net;
        const int64_t change = ledger_posting(l, net) - ledger_posting(l, start);
        /* bit for bit: no tolerance anywhere */
        if (sum[i] != ldexp((double)change, -l->bits))
          fail_msg("%s %s: rewards add up to %.17g, net wealth rose by %.17g",
                   variants[v].ops->name, variants[v].options, sum[i],
                   ldexp((double)change, -l->bits));
        if (!over) continue;
        assert_true(sum[i] == e->batch.last_return[i]);
        sum[i] = 0;
        episodes++;
      }
    }
    assert_true(episodes > 7);
    env_free(e);
    mem_free(config);
  }
}

/* A second set of books, kept from actions and draws alone: the ledger's net value is theirs. */
static void execution_books(env *e, size_t episodes) {
  const execution_model *m = e->model;
  const almgren_chriss *p = &m->c.market;
  const bool expected = m->c.reward == MARKET_REWARD_EXPECTED;
  for (size_t k = 0; k < episodes; k++) {
    const execution_world *w = env_world(e, 0);
    rng r = w->r;
    int64_t held = (int64_t)p->shares, cash = 0, price = ticks_of(m->c.price), luck = 0, fear = 0;
    const int64_t before = held * price;
    bool over = false;
    while (!over) {
      act(e, "random");
      int64_t n = llround((double)e->batch.action[0] * (double)held);
      if (w->sold + 1 == p->periods) n = held;
      assert_int_equal(env_step(e, &err), GARAM_OK);
      over = e->batch.ended[0];
      const double rate = (double)n / m->tau;
      if (n) cash += n * price - n * ticks_of(p->half_spread + p->temporary * rate);
      held -= n;
      const int64_t move = ticks_of(p->volatility * sqrt(m->tau) * rng_normal(&r));
      price += move - ticks_of(p->permanent * m->tau * rate);
      luck += held * move;
      fear += ticks_of(p->risk_aversion * p->volatility * p->volatility * m->tau * (double)held *
                       (double)held);
    }
    assert_int_equal(held, 0);
    const int64_t net = cash - before - fear - (expected ? luck : 0);
    assert_true(w->ledger.closed_net == ticks_money(net) / m->c.unit);
  }
}

static void market_making_books(env *e, size_t episodes) {
  const market_making_model *m = e->model;
  const cartea_jaimungal *p = &m->c.market;
  for (size_t k = 0; k < episodes; k++) {
    const market_making_world *w = env_world(e, 0);
    rng r = w->r;
    int64_t cash = 0, mid = ticks_of(m->c.price), q = 0, squares = 0;
    bool over = false;
    while (!over) {
      act(e, "random");
      const int64_t ask = ticks_of((double)e->batch.action[0]);
      const int64_t bid = ticks_of((double)e->batch.action[1]);
      assert_int_equal(env_step(e, &err), GARAM_OK);
      over = e->batch.ended[0];
      squares += q * q;
      const double u = rng_uniform(&r), v = rng_uniform(&r);
      const bool sold = q > -p->inventory && u < market_making_fill(m, ticks_money(ask));
      const bool bought = q < p->inventory && v < market_making_fill(m, ticks_money(bid));
      if (sold) cash += mid + ask, q--;
      if (bought) cash -= mid - bid, q++;
      mid += ticks_of(p->volatility * sqrt(m->dt) * rng_normal(&r));
      assert_true(llabs(q) <= p->inventory);
      assert_true(over || q == w->inventory);
    }
    cash += q * mid - ticks_of(p->terminal * (double)(q * q));
    const double net = ticks_money(cash) - p->running * m->dt * (double)squares;
    assert_true(w->ledger.closed_net == net);
  }
}

/* Log wealth is no integer: within rounding of a double. */
static void portfolio_books(env *e, size_t episodes) {
  const portfolio_model *m = e->model;
  const merton *p = &m->c.market;
  const int n = p->assets;
  for (size_t k = 0; k < episodes; k++) {
    const portfolio_world *w = env_world(e, 0);
    rng r = w->r;
    double bank = 1, in[PORTFOLIO_MAX_ASSETS] = {0}, costs = 0; /* money in each */
    bool over = false;
    while (!over) {
      act(e, "random");
      double wealth = bank, traded = 0;
      for (int j = 0; j < n; j++) wealth += in[j];
      for (int j = 0; j < n; j++) traded += fabs((double)e->batch.action[j] * wealth - in[j]);
      const double cost = m->c.fee * traded;
      costs += cost;
      wealth -= cost;
      bank = wealth;
      for (int j = 0; j < n; j++) bank -= in[j] = (double)e->batch.action[j] * wealth;
      assert_int_equal(env_step(e, &err), GARAM_OK);
      over = e->batch.ended[0];
      const double common = rng_normal(&r);
      for (int j = 0; j < n; j++) {
        const double z = sqrt(p->correlation) * common + sqrt(1 - p->correlation) * rng_normal(&r);
        in[j] *= exp((p->drift - p->volatility * p->volatility / 2) * m->dt +
                     p->volatility * sqrt(m->dt) * z);
      }
      bank *= exp(p->rate * m->dt);
    }
    double wealth = bank;
    for (int j = 0; j < n; j++) wealth += in[j];
    assert_true(fabs(log(wealth) / m->c.unit - w->ledger.closed_net) < 1e-9);
    assert_true((m->c.fee > 0) == (costs > 0));
  }
}

static void second_books_agree(void **state) {
  (void)state;
  static const struct {
    const env_ops *ops;
    const char *options;
    void (*check)(env *e, size_t episodes);
  } rows[] = {
      {&env_execution, "", execution_books},
      {&env_execution, "reward=expected periods=13 shares=54321", execution_books},
      {&env_market_making, "", market_making_books},
      {&env_market_making, "max-inventory=2 terminal-penalty=0.1", market_making_books},
      {&env_portfolio, "", portfolio_books},
      {&env_portfolio, "fee=0.003 assets=4 correlation=0.5 low=-0.2 high=0.4", portfolio_books},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    void *config = configure(rows[i].ops, rows[i].options);
    env *e = make(rows[i].ops, config, 1, 5);
    rows[i].check(e, 20);
    env_free(e);
    mem_free(config);
  }
}

/* ---- who gets rich ----------------------------------------------------------------------------
 */

typedef struct outcome {
  double mean, error;
} outcome;

/* Mean return of n worlds' first episode. `shift` worlds away is whose future the policy is given:
 * 0 its own. */
static outcome play(const env_ops *ops, const void *config, const char *name, size_t n,
                    size_t shift) {
  env *e = make(ops, config, n, 21);
  const size_t width = (size_t)e->shape.action_width;
  float *kept = mem_array(n * width, sizeof *kept);
  double sum = 0, squares = 0;
  while (!e->batch.ended[0]) {
    act(e, name);
    memcpy(kept, e->batch.action, n * width * sizeof *kept);
    for (size_t i = 0; i < n; i++)
      memcpy(e->batch.action + i * width, kept + (i + shift) % n * width, width * sizeof *kept);
    assert_int_equal(env_step(e, &err), GARAM_OK);
  }
  for (size_t i = 0; i < n; i++) {
    sum += e->batch.last_return[i];
    squares += e->batch.last_return[i] * e->batch.last_return[i];
  }
  mem_free(kept);
  env_free(e);
  const double mean = sum / (double)n;
  return (outcome){mean, sqrt((squares / (double)n - mean * mean) / (double)n)};
}

static void only_the_future_makes_rich(void **state) {
  (void)state;
  static const struct {
    const env_ops *ops;
    const char *options;
    size_t n;
    double rich; /* what nobody gets without knowing: between the optimum and the oracle's */
  } rows[] = {
      /* without fear the optimum is TWAP's -.66; the oracle sells for more than the first price */
      {&env_execution, "risk-aversion=0 periods=20 temporary-impact=5e-7", 2000, 0},
      {&env_market_making, "steps=200 arrivals=100 running-penalty=0.01 volatility=6", 100, 80},
      {&env_portfolio, "periods=52 years=2 high=1 low=0", 800, 60},
      {&env_portfolio, "periods=52 years=2 high=1 low=0 fee=0.001", 800, 50},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    void *config = configure(rows[k].ops, rows[k].options);
    const baseline *b;
    for (size_t i = 0; (b = baseline_at(rows[k].ops->name, i)); i++) {
      const bool knows = strcmp(b->name, "oracle") == 0;
      const outcome own = play(rows[k].ops, config, b->name, rows[k].n, 0);
      if (knows != (own.mean - 4 * own.error > rows[k].rich) ||
          (!knows && own.mean + 4 * own.error > rows[k].rich))
        fail_msg("%s %s: %s has %.4g +- %.2g", rows[k].ops->name, rows[k].options, b->name,
                 own.mean, own.error);
      if (!knows) continue;
      /* another world's future is worth nothing */
      const outcome other = play(rows[k].ops, config, b->name, rows[k].n, 1);
      if (!(other.mean + 4 * other.error < rows[k].rich))
        fail_msg("%s: the future of another world is worth %.4g", rows[k].ops->name, other.mean);
    }
    mem_free(config);
  }
}

/* ---- the machine ------------------------------------------------------------------------------
 */

static void threads_change_nothing(void **state) {
  (void)state;
  for (size_t v = 0; v < COUNT_OF(variants); v++) {
    void *config = configure(variants[v].ops, variants[v].options);
    void *states[2];
    size_t bytes = 0;
    for (int k = 0; k < 2; k++) {
      thread_set_count(k ? 3 : 1);
      env *e = make(variants[v].ops, config, 700, 2);
      for (size_t t = 0; t < 12; t++) {
        act(e, "random");
        assert_int_equal(env_step(e, &err), GARAM_OK);
      }
      bytes = env_state_bytes(e);
      states[k] = mem_alloc(bytes);
      env_state_get(e, states[k]);
      env_free(e);
    }
    thread_set_count(0);
    assert_memory_equal(states[0], states[1], bytes);
    mem_free(states[0]);
    mem_free(states[1]);
    mem_free(config);
  }
}

static void a_step_allocates_nothing(void **state) {
  (void)state;
  for (size_t v = 0; v < COUNT_OF(variants); v++) {
    void *config = configure(variants[v].ops, variants[v].options);
    env *e = make(variants[v].ops, config, 3, 2);
    uint64_t before = 0;
    for (size_t t = 0; t < 1200; t++) {
      if (t == 3) before = mem_count();
      act(e, "random");
      assert_int_equal(env_step(e, &err), GARAM_OK);
    }
    assert_int_equal(mem_count(), before);
    env_free(e);
    mem_free(config);
  }
}

static void gather(void *context, const char *svg) {
  char *all = context;
  assert_true(strlen(all) + strlen(svg) < 200000);
  strcat(all, svg);
}

static void they_draw(void **state) {
  (void)state;
  char *all = mem_zalloc(200000);
  for (size_t v = 0; v < COUNT_OF(variants); v++) {
    void *config = configure(variants[v].ops, variants[v].options);
    env *e = make(variants[v].ops, config, 2, 2);
    for (size_t t = 0; t < 4; t++) {
      all[0] = 0;
      e->ops->draw(e, 1, gather, all);
      assert_non_null(strstr(all, "<polyline"));
      assert_null(strstr(all, "nan"));
      assert_null(strstr(all, "inf"));
      act(e, "random");
      assert_int_equal(env_step(e, &err), GARAM_OK);
    }
    env_free(e);
    mem_free(config);
  }
  mem_free(all);
}

static void refuses_what_cannot_be(void **state) {
  (void)state;
  static const struct {
    const env_ops *ops;
    const char *options, *message;
  } rows[] = {
      {&env_execution, "permanent-impact=1", "--temporary-impact"},
      {&env_market_making, "steps=100", "--arrivals"},
      {&env_portfolio, "low=2 high=1", "--low 2 is not below --high 1"},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    void *config = configure(rows[i].ops, rows[i].options);
    env *e;
    assert_int_equal(env_new(&e, rows[i].ops, config, &(env_setup){.n = 1}, &err), GARAM_INVALID);
    assert_null(e);
    if (!strstr(err.message, rows[i].message)) fail_msg("%s", err.message);
    mem_free(config);
  }
}

static void survives_want_of_memory(void **state) {
  (void)state;
  for (size_t v = 0; v < COUNT_OF(variants); v++) {
    void *config = configure(variants[v].ops, variants[v].options);
    bool done = false;
    for (size_t n = 0; !done; n++) {
      failing_allocator memory = {.fail_after = n};
      failing_allocator_use(&memory);
      env *e;
      const garam_status status = env_new(&e, variants[v].ops, config, &(env_setup){.n = 2}, &err);
      assert_true((status == GARAM_OK) == !memory.failed);
      env_free(e);
      garam_set_allocator(NULL);
      assert_int_equal(memory.n_blocks, 0);
      done = !memory.failed;
    }
    mem_free(config);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rewards_are_the_change_of_net_wealth),
      cmocka_unit_test(second_books_agree),
      cmocka_unit_test(only_the_future_makes_rich),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(a_step_allocates_nothing),
      cmocka_unit_test(they_draw),
      cmocka_unit_test(refuses_what_cannot_be),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
