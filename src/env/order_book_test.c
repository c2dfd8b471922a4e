/* The order book world: its accounts, its clock, what agents see, and what never changes a bit. */
#include "env/order_book.h"

#include "base/mem.h"
#include "base/thread.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static garam_error err;

/* The defaults with "name=value ..." on top. */
static order_book_config configured(const char *settings) {
  const env_ops *ops = &env_order_book;
  order_book_config c;
  memset(&c, 0, sizeof c);
  opt_defaults(ops->options, ops->n_options, &c);
  char text[512];
  snprintf(text, sizeof text, "%s", settings);
  for (char *save = NULL, *word = strtok_r(text, " ", &save); word;
       word = strtok_r(NULL, " ", &save)) {
    char *value = strchr(word, '=');
    *value++ = 0;
    const opt_row *row = opt_find(ops->options, ops->n_options, word);
    assert_non_null(row);
    if (opt_set_text(row, &c, value, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  return c;
}

static env *opened(const char *settings, size_t n, uint64_t seed) {
  const order_book_config c = configured(settings);
  env *e;
  if (env_new(&e, &env_order_book, &c, &(env_setup){.n = n, .seed = seed}, &err) != GARAM_OK)
    fail_msg("%s: %s", settings, err.message);
  return e;
}

static void step(env *e) {
  if (env_step(e, &err) != GARAM_OK) fail_msg("%s", err.message);
}

static void play(env *e, const char *name, int steps) {
  const baseline *b = baseline_find("order_book", name, &err);
  assert_non_null(b);
  for (int t = 0; t < steps; t++) {
    b->act(e, 0, e->batch.n);
    step(e);
  }
}

static const char *const worlds[] = {
    "",
    "actions=orders latency=0",
    "actions=choices latency=40 latency-jitter=33 maker-fee=-0.3",
    "agents=3 actions=orders latency=2 latency-jitter=20 taker-fee=0.7 inventory=3",
    "agents=4 mode=cooperative actions=choices inventory-penalty=0.0137",
    "agents=2 inventory-gain=0.37 informed=0.5 trend=0.8 lots=5 flow-lots=6.5 episode-steps=90",
    "grid=64 episode-steps=2000 actions=orders close-out=false",
    "limit-rate=0.05 market-rate=3 actions=orders", /* sides that run empty */
};

/* Sum of rewards, wealth less penalties: the same number, whatever was done. Nothing is made or
 * lost in the book, and positions keep to their bound. */
static void accounts_are_exact(void **state) {
  (void)state;
  for (size_t k = 0; k < COUNT_OF(worlds); k++) {
    enum { N = 3, STEPS = 1200 };
    env *e = opened(worlds[k], N, 5 + k);
    const order_book_model *m = e->model;
    const size_t agents = (size_t)m->config.agents;
    const bool together = m->config.mode == ORDER_BOOK_COOPERATIVE;
    const baseline *b = baseline_find("order_book", "random", &err);
    double sums[N * ORDER_BOOK_MAX_AGENTS] = {0};
    int64_t volume = 0, ended = 0, cut = 0;
    for (int t = 0; t < STEPS; t++) {
      b->act(e, 0, N);
      step(e);
      for (size_t i = 0; i < N; i++) {
        const order_book_world *w = order_book_world_of(e, i);
        const float *info = e->batch.info + i * (size_t)e->shape.n_info;
        double net = 0;
        for (size_t a = 0; a < agents; a++)
          sums[i * agents + a] += (double)e->batch.reward[i * agents + a];
        if (e->batch.ended[i]) { /* info is of the episode that is over */
          for (size_t a = 0; a < agents; a++) {
            net += (double)info[5 * a] - (double)info[5 * a + 3] - (double)info[5 * a + 4];
            if (m->config.close_out && agents == 1 && m->config.flow.limit_rate >= 1 &&
                e->batch.terminated[i * agents])
              assert_true(info[5 * a + 1] == 0);
          }
          ended++;
          cut += e->batch.truncated[i * agents];
        } else {
          assert_null(book_fault(order_book_book(m, w)));
          for (size_t a = 0; a < agents; a++) {
            const order_book_maker *maker = order_book_makers(m, w) + a;
            const book_account *account = book_accounts(order_book_book(m, w)) + 1 + a;
            const int64_t exact =
                order_book_wealth(m, w, (int)a) - maker->penalty - maker->withheld;
            net += (double)exact / BOOK_TICK;
            assert_true((double)info[5 * a] == (double)order_book_wealth(m, w, (int)a) / BOOK_TICK);
            if (!together) assert_true(sums[i * agents + a] * BOOK_TICK == (double)exact);
            assert_true(llabs(book_position(account)) <= m->config.inventory);
            assert_int_equal(account->fees,
                             m->book.maker_fee * account->made +
                                 m->book.taker_fee *
                                     (account->bought + account->sold - account->made));
            volume += account->bought + account->sold;
          }
        }
        double paid = 0;
        for (size_t a = 0; a < (together ? 1 : agents); a++) paid += sums[i * agents + a];
        assert_true(paid == net);
        if (e->batch.ended[i]) memset(sums + i * agents, 0, agents * sizeof *sums);
      }
    }
    assert_true(volume > 0);
    assert_true(ended > 0 || m->config.steps > STEPS);
    if (m->config.grid == 64) assert_true(cut > 0);
    env_free(e);
  }
}

static void threads_and_copies_change_nothing(void **state) {
  (void)state;
  enum { N = 700, STEPS = 20 };
  for (size_t k = 2; k < 5; k++) {
    env *a = opened(worlds[k], N, 1), *b = opened(worlds[k], N, 1);
    const size_t bytes = env_state_bytes(a);
    void *half = mem_alloc(bytes);
    thread_set_count(1);
    play(a, "random", STEPS);
    env_state_get(a, half);
    play(a, "random", STEPS);
    thread_set_count(4);
    play(b, "random", 2 * STEPS);
    assert_memory_equal(a->memory, b->memory, bytes);
    env_state_set(b, half);
    assert_memory_not_equal(a->memory, b->memory, bytes);
    thread_set_count(3);
    play(b, "random", STEPS);
    assert_memory_equal(a->memory, b->memory, bytes);
    thread_set_count(0);
    mem_free(half);
    env_free(a);
    env_free(b);
  }
}

/* World i is the same among many or few, and its episode k comes again. */
static void worlds_do_not_touch(void **state) {
  (void)state;
  env *few = opened("agents=2", 1, 9), *many = opened("agents=2", 5, 9);
  play(few, "random", 500);
  play(many, "random", 500);
  assert_true(few->batch.episode[0] == 1);
  assert_memory_equal(env_world(few, 0), env_world(many, 0), few->shape.world_bytes);
  assert_memory_not_equal(env_world(many, 0), env_world(many, 1), few->shape.world_bytes);
  env_reset_world(few, 0, 1);
  env_reset_world(many, 0, 0);
  env_reset_world(many, 0, 1);
  assert_memory_equal(env_world(few, 0), env_world(many, 0), few->shape.world_bytes);
  env_free(few);
  env_free(many);
}

/* Actions by hand: bid at `bid` behind the best, one lot, no ask. */
static void say(env *e, float bid, float ask, float bid_lots, float ask_lots) {
  const float action[4] = {bid, ask, bid_lots, ask_lots};
  memcpy(e->batch.action, action, sizeof action);
  step(e);
}

static const book_order *quote_of(const env *e, int side) {
  const order_book_world *w = order_book_world_of(e, 0);
  return book_find(order_book_book(e->model, w), order_book_makers(e->model, w)[0].quote[side]);
}

static void messages_take_their_time(void **state) {
  (void)state;
  static const struct {
    const char *settings;
    int steps; /* until the quote stands */
  } cases[] = {{"latency=0", 1}, {"latency=14", 1}, {"latency=15", 2}, {"latency=40", 3}};
  for (size_t k = 0; k < COUNT_OF(cases); k++) {
    /* Four ticks away nothing is filled so soon. */
    env *e = opened(cases[k].settings, 1, 4);
    for (int t = 1; t <= 6; t++) {
      say(e, 4, 4, 1, 0);
      assert_int_equal(quote_of(e, 1) != NULL, t >= cases[k].steps);
      assert_null(quote_of(e, 0));
      const float *seen = e->batch.observation + 2 * 5 + 6;
      assert_true(seen[3] == (float)(t >= cases[k].steps));
    }
    env_free(e);
  }
}

/* Lots ahead never grow while a quote stays where it is, and what is seen is what stands. */
static void a_quote_keeps_its_place(void **state) {
  (void)state;
  env *e = opened("latency=0 flow-lots=3 lots=4 limit-rate=5 inventory=1000", 1, 8);
  const order_book_model *m = e->model;
  int kept = 0, moved_up = 0;
  book_ref last = BOOK_NONE;
  int64_t ahead = -1;
  int32_t price = -1;
  for (int t = 0; t < 399; t++) {
    /* The offset that asks for the same price again. */
    const order_book_world *w = order_book_world_of(e, 0);
    const book *b = order_book_book(m, w);
    const book_order *o = quote_of(e, 1);
    const int32_t best = book_best_of_others(b, BOOK_BUY, o);
    const float offset =
        o && best >= o->price && best - o->price <= 4 ? (float)(best - o->price) : 0;
    say(e, offset, 0, 4, 0);
    const book_ref now = order_book_makers(m, w)[0].quote[1];
    o = quote_of(e, 1);
    if (o && now.id == last.id && now.slot == last.slot) {
      const int64_t lots = book_ahead(b, now);
      assert_int_equal(o->price, price);
      assert_true(lots <= ahead);
      moved_up += lots < ahead;
      kept++;
    }
    const float *seen = e->batch.observation + 2 * m->config.levels + 6;
    if (o) {
      const double x = (double)book_ahead(b, now);
      assert_true(seen[2] == (float)(x / (x + 12)) && seen[1] == (float)o->lots / 4);
      assert_true(seen[0] == (float)(b->bid - o->price) * 0.25f);
      price = o->price;
    }
    last = now;
    ahead = book_ahead(b, now);
    assert_true(e->batch.observation[2 * 5 + 6 + 8] ==
                (float)book_position(book_accounts(b) + 1) / 1000);
  }
  assert_true(kept > 100 && moved_up > 20);
  env_free(e);
}

/* With the same draws and actions, who cooperates is told the sum of what competitors are told. */
static void cooperation_shares_the_reward(void **state) {
  (void)state;
  env *one = opened("agents=3 actions=choices", 2, 6);
  env *all = opened("agents=3 actions=choices mode=cooperative", 2, 6);
  assert_string_equal(all->shape.agents[0].team, all->shape.agents[2].team);
  assert_string_not_equal(one->shape.agents[0].team, one->shape.agents[2].team);
  for (int t = 0; t < 300; t++) {
    play(one, "random", 1);
    play(all, "random", 1);
    for (size_t i = 0; i < 2; i++) {
      const float *x = one->batch.reward + 3 * i, *y = all->batch.reward + 3 * i;
      const double sum = (double)x[0] + (double)x[1] + (double)x[2];
      for (int a = 0; a < 3; a++) assert_true((double)y[a] == sum);
    }
  }
  env_free(one);
  env_free(all);
}

/* The crowd's events come at the paper's rates. */
static void the_crowd_keeps_its_rates(void **state) {
  (void)state;
  flow_config c = {.limit_rate = 1, .market_rate = 1, .cancel_rate = 1, .depth = 5, .lots = 1};
  flow_model m;
  flow_init(&m, &c);
  const book_config size = {.n_ticks = 4096, .n_orders = 4096, .n_owners = 1};
  book *b = mem_alloc_aligned(book_bytes(&size), 64);
  book_init(b, &size);
  rng r;
  flow_state s;
  rng_init(&r, 2, RNG_TEST, 1);
  flow_begin(&s, &m, b, &r, 2048);
  const double minutes = 20000;
  const uint32_t first = b->next_id;
  const int64_t taken = b->taken[0] + b->taken[1];
  double now = 0, orders = 0;
  for (double wait = flow_wait(&s, &m, b); now + wait < minutes; wait = flow_wait(&s, &m, b)) {
    now += wait;
    orders += b->n_live * wait;
    flow_event(&s, &m, b);
  }
  assert_null(book_fault(b));
  const double limits = 2 * (1.85 + 1.51 + 1.09 + 0.88 + 0.77), takes = 2 * 0.94;
  /* Four standard deviations of a Poisson count. */
  assert_true(fabs((b->next_id - first) - limits * minutes) < 4 * sqrt(limits * minutes));
  const double took = (double)(b->taken[0] + b->taken[1] - taken);
  assert_true(fabs(took - takes * minutes) < 4 * sqrt(takes * minutes));
  /* What comes goes: cancellations at rates between .47 and .81 an order. */
  const double cancelled = limits - takes;
  assert_true(orders / minutes > cancelled / 0.81 && orders / minutes < cancelled / 0.47);
  mem_free_aligned(b);
  /* Sizes have the mean that was asked for. */
  c.lots = 3;
  flow_init(&m, &c);
  double mean = 0;
  for (int i = 0; i < FLOW_SIZES; i++) mean += (double)m.size[i] / FLOW_SIZES;
  assert_true(fabs(mean - 3) < 0.1);
}

/* Who knows the value takes from who quotes; a trend that is not seen does too. */
static double mean_return(const char *settings, const char *baseline_name) {
  env *e = opened(settings, 200, 12);
  const baseline *b = baseline_find("order_book", baseline_name, &err);
  double sum = 0;
  for (int t = 0; t < 400; t++) {
    b->act(e, 0, e->batch.n);
    step(e);
  }
  for (size_t i = 0; i < e->batch.n; i++) sum += e->batch.last_return[i];
  env_free(e);
  return sum / 200;
}

static void information_costs_the_quoter(void **state) {
  (void)state;
  const double plain = mean_return("", "skewed");
  const double informed = mean_return("informed=0.6", "skewed");
  const double late = mean_return("latency=60", "skewed");
  assert_true(plain > 10); /* spread earned; a touch that does not mind its position loses it */
  assert_true(plain > mean_return("", "touch") + 20);
  assert_true(informed < plain - 10);
  assert_true(late < plain - 3);
  assert_true(mean_return("", "random") < 0);
}

static void nothing_is_allocated_in_a_step(void **state) {
  (void)state;
  env *e = opened("agents=2 latency=40 episode-steps=50", 4, 1);
  play(e, "random", 60);
  const uint64_t before = mem_count();
  play(e, "random", 120); /* two resets of each */
  assert_int_equal(mem_count(), before);
  env_free(e);
}

static void bad_options_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *settings, *message;
  } cases[] = {
      {"grid=64 flow-depth=32", "--grid of 128 at least, not 64"},
      {"latency=3600 step-seconds=1", "more than 64 steps"},
  };
  for (size_t k = 0; k < COUNT_OF(cases); k++) {
    const order_book_config c = configured(cases[k].settings);
    env *e;
    assert_int_equal(env_new(&e, &env_order_book, &c, &(env_setup){.n = 1}, &err), GARAM_INVALID);
    assert_non_null(strstr(err.message, cases[k].message));
  }
  for (size_t n = 0, done = 0; !done; n++) {
    failing_allocator memory = {.fail_after = n};
    failing_allocator_use(&memory);
    env *e = NULL;
    const garam_status status =
        env_new(&e, &env_order_book, NULL, &(env_setup){.n = 1, .seed = 1}, &err);
    env_free(e);
    garam_set_allocator(NULL);
    assert_int_equal(memory.n_blocks, 0);
    assert_int_equal(status, memory.failed ? GARAM_NO_MEMORY : GARAM_OK);
    done = !memory.failed;
  }
}

static void collect(void *context, const char *svg) {
  char *all = context;
  assert_true(strlen(all) + strlen(svg) < 100000);
  strcat(all, svg);
}

static void the_picture_holds_the_book(void **state) {
  (void)state;
  char *all = malloc(100001);
  for (size_t k = 0; k < COUNT_OF(worlds); k++) {
    env *e = opened(worlds[k], 1, 3);
    for (int t = 0; t < 3; t++) {
      all[0] = 0;
      e->ops->draw(e, 0, collect, all);
      assert_null(strstr(all, "nan"));
      assert_null(strstr(all, "inf"));
      int open = 0;
      for (const char *x = all; *x; x++) open += *x == '<' ? 1 : *x == '>' ? -1 : 0;
      assert_int_equal(open, 0);
      if (t == 2 && k == 0) assert_non_null(strstr(all, "bought"));
      play(e, k == 0 ? "touch" : "random", 85);
    }
    env_free(e);
  }
  free(all);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accounts_are_exact),
      cmocka_unit_test(threads_and_copies_change_nothing),
      cmocka_unit_test(worlds_do_not_touch),
      cmocka_unit_test(messages_take_their_time),
      cmocka_unit_test(a_quote_keeps_its_place),
      cmocka_unit_test(cooperation_shares_the_reward),
      cmocka_unit_test(the_crowd_keeps_its_rates),
      cmocka_unit_test(information_costs_the_quoter),
      cmocka_unit_test(nothing_is_allocated_in_a_step),
      cmocka_unit_test(bad_options_are_refused),
      cmocka_unit_test(the_picture_holds_the_book),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
