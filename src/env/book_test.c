/* The matching engine beside a book that is too simple to be wrong, over random orders; and each
 * of its rules by itself. */
#include "env/book.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static book *new_book(int32_t ticks, int32_t orders, int32_t owners) {
  const book_config c = {
      .n_ticks = ticks, .n_orders = orders, .n_owners = owners, .maker_fee = -3, .taker_fee = 7};
  book *b = mem_alloc_aligned(book_bytes(&c), 64);
  assert_non_null(b);
  book_init(b, &c);
  return b;
}

/* ---- the simple book: a list in order of arrival, searched from end to end ------------------ */

enum { TICKS = 48, ORDERS = 12, OWNERS = 5 };

typedef struct simple_order {
  int owner, side, price, lots;
  book_ref ref; /* what the engine calls it */
} simple_order;

typedef struct simple_book {
  simple_order orders[ORDERS + 1];
  int n;
  book_account accounts[OWNERS];
  int64_t n_refused;
} simple_book;

static void simple_remove(simple_book *s, int i) {
  memmove(s->orders + i, s->orders + i + 1, (size_t)(s->n - i - 1) * sizeof *s->orders);
  s->n--;
}

/* The order of the other side with the best price, of those the one that came first; -1: none. */
static int simple_best(const simple_book *s, int side) {
  int best = -1;
  for (int i = 0; i < s->n; i++)
    if (s->orders[i].side == side &&
        (best < 0 || (s->orders[i].price - s->orders[best].price) * side > 0))
      best = i;
  return best;
}

static int simple_match(simple_book *s, int owner, int side, int limit, int lots) {
  while (lots > 0) {
    const int at = simple_best(s, -side);
    if (at < 0 || (s->orders[at].price - limit) * side > 0) break;
    simple_order *o = s->orders + at;
    if (o->owner == owner && owner != BOOK_CROWD) {
      simple_remove(s, at);
      continue;
    }
    const int traded = o->lots < lots ? o->lots : lots;
    book_account *taker = s->accounts + owner, *maker = s->accounts + o->owner;
    const int64_t money = (int64_t)traded * o->price * BOOK_TICK;
    if (side > 0) {
      taker->bought += traded, maker->sold += traded;
      taker->paid += money, maker->received += money;
    } else {
      taker->sold += traded, maker->bought += traded;
      taker->received += money, maker->paid += money;
    }
    taker->fees += 7 * traded, maker->fees -= 3 * traded;
    maker->made += traded;
    lots -= traded;
    o->lots -= traded;
    if (o->lots == 0) simple_remove(s, at);
  }
  return lots;
}

/* True: it rests, as the last of the list. */
static bool simple_submit(simple_book *s, int owner, int side, book_kind kind, int price,
                          int lots) {
  const int best = simple_best(s, -side);
  if (kind == BOOK_POST) {
    if (best >= 0 && (s->orders[best].price - price) * side <= 0)
      price = s->orders[best].price - side;
    if (price < 0 || price >= TICKS) return false;
  } else {
    lots = simple_match(s, owner, side, price, lots);
    if (lots == 0 || kind == BOOK_TAKE) return false;
  }
  if (s->n == ORDERS) {
    s->n_refused++;
    return false;
  }
  s->orders[s->n++] = (simple_order){.owner = owner, .side = side, .price = price, .lots = lots};
  return true;
}

/* Same orders in the same queues, same accounts. */
static void compare(const book *b, const simple_book *s) {
  assert_null(book_fault(b));
  assert_int_equal(b->n_live, s->n);
  assert_int_equal(b->n_refused, s->n_refused);
  for (int i = 0; i < s->n; i++) {
    const simple_order *x = s->orders + i;
    const book_order *o = book_find(b, x->ref);
    assert_non_null(o);
    assert_int_equal(o->owner, x->owner);
    assert_int_equal(o->side, x->side);
    assert_int_equal(o->price, x->price);
    assert_int_equal(o->lots, x->lots);
    int64_t ahead = 0;
    for (int k = 0; k < i; k++)
      if (s->orders[k].price == x->price) ahead += s->orders[k].lots;
    assert_int_equal(book_ahead(b, x->ref), ahead);
  }
  assert_memory_equal(book_accounts(b), s->accounts, sizeof s->accounts);
}

/* One random order, cancellation or change, to both. */
static void random_act(book *b, simple_book *s, rng *r, int middle) {
  const uint64_t what = rng_below(r, 10);
  const int owner = (int)rng_below(r, OWNERS), lots = 1 + (int)rng_below(r, 9);
  const int side = rng_below(r, 2) ? BOOK_BUY : BOOK_SELL;
  const int price = middle - 12 + (int)rng_below(r, 25);
  if (what < 5) { /* limit, take at a price, post */
    const book_kind kind = what < 3 ? BOOK_LIMIT : what == 3 ? BOOK_TAKE : BOOK_POST;
    const book_ref ref = book_submit(b, owner, side, kind, price, lots);
    const bool on_grid = price >= 0 && price < TICKS;
    const bool rests = on_grid && simple_submit(s, owner, side, kind, price, lots);
    assert_int_equal(rests, ref.slot >= 0);
    if (rests) s->orders[s->n - 1].ref = ref;
  } else if (what == 5) {
    const int left = simple_match(s, owner, side, side > 0 ? TICKS : -1, lots);
    assert_int_equal(book_take(b, owner, side, lots), lots - left);
  } else if (s->n > 0) {
    const int at = (int)rng_below(r, (uint64_t)s->n);
    const simple_order x = s->orders[at];
    if (what < 8) {
      assert_true(book_cancel(b, x.ref));
      simple_remove(s, at);
      assert_false(book_cancel(b, x.ref)); /* it is gone */
    } else {
      const int new_price = what == 8 ? x.price : price, new_lots = (int)rng_below(r, 10);
      const book_kind kind = rng_below(r, 2) ? BOOK_LIMIT : BOOK_POST;
      const book_ref ref = book_modify(b, x.ref, kind, new_price, new_lots);
      if (new_price == x.price && new_lots > 0 && new_lots <= x.lots) {
        assert_memory_equal(&ref, &x.ref, sizeof ref);
        s->orders[at].lots = new_lots;
        return;
      }
      simple_remove(s, at);
      const bool rests = new_lots > 0 && new_price >= 0 && new_price < TICKS &&
                         simple_submit(s, x.owner, x.side, kind, new_price, new_lots);
      assert_int_equal(rests, ref.slot >= 0);
      if (rests) s->orders[s->n - 1].ref = ref;
    }
  }
}

static void matches_the_simple_book(void **state) {
  (void)state;
  enum { BOOKS = 40, ACTS = 50000 }; /* two million */
  for (uint64_t k = 0; k < BOOKS; k++) {
    book *b = new_book(TICKS, ORDERS, OWNERS);
    simple_book s = {0};
    rng r;
    rng_init(&r, 11, RNG_TEST, k);
    for (int i = 0; i < ACTS; i++) {
      /* The crowd's idea of the price wanders over the grid, and off it. */
      random_act(b, &s, &r, 4 + (i / 1000 * 7) % (TICKS - 4));
      if (i < 200 || i % 64 == 0) compare(b, &s);
    }
    compare(b, &s);
    assert_true(s.n_refused > 0); /* or the test sees too little */
    mem_free_aligned(b);
  }
}

static void a_copy_is_the_same_book(void **state) {
  (void)state;
  book *b = new_book(TICKS, ORDERS, OWNERS), *copy = new_book(TICKS, ORDERS, OWNERS);
  simple_book s = {0}, t;
  rng r, q;
  rng_init(&r, 3, RNG_TEST, 0);
  for (int i = 0; i < 5000; i++) random_act(b, &s, &r, 20);
  const size_t bytes = book_bytes(&b->config);
  memcpy(copy, b, bytes);
  t = s, q = r;
  for (int i = 0; i < 5000; i++) random_act(b, &s, &r, 25);
  assert_memory_not_equal(copy, b, bytes);
  for (int i = 0; i < 5000; i++) random_act(copy, &t, &q, 25);
  assert_memory_equal(copy, b, bytes);
  mem_free_aligned(b);
  mem_free_aligned(copy);
}

/* ---- the rules, one by one ------------------------------------------------------------------ */

static void price_goes_before_time(void **state) {
  (void)state;
  book *b = new_book(32, 16, 4);
  const book_ref first = book_submit(b, 1, BOOK_SELL, BOOK_LIMIT, 12, 5);
  const book_ref second = book_submit(b, 2, BOOK_SELL, BOOK_LIMIT, 12, 5);
  const book_ref better = book_submit(b, 3, BOOK_SELL, BOOK_LIMIT, 11, 2);
  assert_int_equal(book_ahead(b, second), 5);
  assert_int_equal(book_take(b, BOOK_CROWD, BOOK_BUY, 4), 4);
  assert_null(book_find(b, better)); /* all of it, at its own price */
  assert_int_equal(book_find(b, first)->lots, 3);
  assert_int_equal(book_find(b, second)->lots, 5);
  assert_int_equal(book_ahead(b, second), 3);
  assert_int_equal(book_accounts(b)[0].paid, (2 * 11 + 2 * 12) * BOOK_TICK);
  assert_int_equal(book_accounts(b)[0].fees, 4 * 7);
  assert_int_equal(book_accounts(b)[3].fees, 2 * -3);
  assert_int_equal(book_accounts(b)[3].made, 2);
  /* A price limit stops it, and what is left of a limit order rests at that price. */
  const book_ref rest = book_submit(b, 3, BOOK_BUY, BOOK_LIMIT, 12, 20);
  assert_int_equal(book_find(b, rest)->lots, 12);
  assert_int_equal(b->bid, 12);
  assert_int_equal(b->ask, 32);
  assert_null(book_fault(b));
  mem_free_aligned(b);
}

static void what_keeps_its_place(void **state) {
  (void)state;
  static const struct {
    int price, lots;
    int64_t ahead; /* after the change, of an order between two others of 5 lots */
  } cases[] = {{10, 4, 5}, {10, 1, 5}, {10, 3, 5}, {10, 6, 10}, {9, 4, 0}, {9, 2, 0}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    book *b = new_book(32, 16, 4);
    book_submit(b, 1, BOOK_BUY, BOOK_LIMIT, 10, 5);
    const book_ref own = book_submit(b, 2, BOOK_BUY, BOOK_LIMIT, 10, 4);
    book_submit(b, 3, BOOK_BUY, BOOK_LIMIT, 10, 5);
    const book_ref now = book_modify(b, own, BOOK_LIMIT, cases[i].price, cases[i].lots);
    assert_int_equal(book_ahead(b, now), cases[i].ahead);
    assert_int_equal(book_find(b, now)->lots, cases[i].lots);
    /* Away and back again is the end of the queue. */
    if (cases[i].price == 9) {
      const book_ref back = book_modify(b, now, BOOK_LIMIT, 10, 4);
      assert_int_equal(book_ahead(b, back), 10);
    }
    assert_null(book_fault(b));
    mem_free_aligned(b);
  }
}

static void nobody_trades_with_themselves(void **state) {
  (void)state;
  book *b = new_book(32, 16, 4);
  book_submit(b, 1, BOOK_SELL, BOOK_LIMIT, 12, 5);
  book_submit(b, 2, BOOK_SELL, BOOK_LIMIT, 12, 5);
  assert_int_equal(book_take(b, 1, BOOK_BUY, 3), 3); /* its own five are cancelled */
  assert_int_equal(book_accounts(b)[1].sold, 0);
  assert_int_equal(book_accounts(b)[2].sold, 3);
  assert_int_equal(b->n_live, 1);
  book_submit(b, BOOK_CROWD, BOOK_SELL, BOOK_LIMIT, 11, 1); /* the crowd is many people */
  assert_int_equal(book_take(b, BOOK_CROWD, BOOK_BUY, 1), 1);
  assert_int_equal(book_accounts(b)[0].bought, 1);
  assert_int_equal(book_accounts(b)[0].sold, 1);
  mem_free_aligned(b);
}

static void a_post_never_takes(void **state) {
  (void)state;
  book *b = new_book(32, 3, 4);
  book_submit(b, 1, BOOK_SELL, BOOK_LIMIT, 12, 5);
  const book_ref bid = book_submit(b, 2, BOOK_BUY, BOOK_POST, 20, 5);
  assert_int_equal(book_find(b, bid)->price, 11);
  const book_ref ask = book_submit(b, 3, BOOK_SELL, BOOK_POST, 3, 5);
  assert_int_equal(book_find(b, ask)->price, 12);
  assert_int_equal(b->taken[0] + b->taken[1], 0);
  /* No room, off the grid, and an order that is gone. */
  assert_int_equal(book_submit(b, 2, BOOK_BUY, BOOK_LIMIT, 5, 1).slot, -1);
  assert_int_equal(b->n_refused, 1);
  assert_int_equal(book_submit(b, 2, BOOK_BUY, BOOK_LIMIT, 32, 1).slot, -1);
  assert_int_equal(book_submit(b, 2, BOOK_BUY, BOOK_LIMIT, -1, 1).slot, -1);
  assert_true(book_cancel(b, bid));
  assert_int_equal(book_modify(b, bid, BOOK_LIMIT, 10, 1).slot, -1);
  assert_int_equal(book_ahead(b, bid), -1);
  mem_free_aligned(b);
}

static void the_best_of_others(void **state) {
  (void)state;
  book *b = new_book(32, 16, 4);
  const book_ref own = book_submit(b, 1, BOOK_BUY, BOOK_LIMIT, 10, 5);
  assert_int_equal(book_best_of_others(b, BOOK_BUY, book_find(b, own)), -1);
  book_submit(b, 2, BOOK_BUY, BOOK_LIMIT, 7, 5);
  assert_int_equal(book_best_of_others(b, BOOK_BUY, book_find(b, own)), 7);
  book_submit(b, 2, BOOK_BUY, BOOK_LIMIT, 10, 1);
  assert_int_equal(book_best_of_others(b, BOOK_BUY, book_find(b, own)), 10);
  assert_int_equal(book_best_of_others(b, BOOK_SELL, book_find(b, own)), 32);
  mem_free_aligned(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(price_goes_before_time),
      cmocka_unit_test(what_keeps_its_place),
      cmocka_unit_test(nobody_trades_with_themselves),
      cmocka_unit_test(a_post_never_takes),
      cmocka_unit_test(the_best_of_others),
      cmocka_unit_test(a_copy_is_the_same_book),
      cmocka_unit_test(matches_the_simple_book),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
