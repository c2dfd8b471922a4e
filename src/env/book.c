/* The matching engine: queues by index, a level a tick, and accounts. */
#include "env/book.h"

#include <string.h>

static size_t rounded(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

size_t book_bytes(const book_config *c) {
  return rounded(sizeof(book)) + rounded((size_t)c->n_ticks * sizeof(book_level)) +
         rounded((size_t)c->n_orders * sizeof(book_order)) +
         rounded((size_t)c->n_orders * sizeof(int32_t)) +
         rounded((size_t)c->n_owners * sizeof(book_account));
}

void book_init(book *b, const book_config *c) {
  REQUIRE(c->n_ticks >= 2 && c->n_ticks <= BOOK_MAX_TICKS && c->n_orders >= 1 &&
              c->n_orders <= BOOK_MAX_ORDERS && c->n_owners >= 1 && c->n_owners <= BOOK_MAX_OWNERS,
          "book_init: %d ticks, %d orders, %d owners", c->n_ticks, c->n_orders, c->n_owners);
  memset(b, 0, book_bytes(c));
  b->config = *c;
  b->bid = b->last_bid = -1;
  b->ask = b->last_ask = c->n_ticks;
  b->next_id = 1;
  b->last_price = -1;
  size_t at = rounded(sizeof(book));
  b->levels_at = (int64_t)at;
  at += rounded((size_t)c->n_ticks * sizeof(book_level));
  b->orders_at = (int64_t)at;
  at += rounded((size_t)c->n_orders * sizeof(book_order));
  b->live_at = (int64_t)at;
  at += rounded((size_t)c->n_orders * sizeof(int32_t));
  b->accounts_at = (int64_t)at;
  book_level *levels = book_levels(b);
  for (int32_t i = 0; i < c->n_ticks; i++) levels[i].head = levels[i].tail = -1;
  int32_t *live = book_live(b);
  for (int32_t i = 0; i < c->n_orders; i++) live[i] = i;
}

/* ---- the queues ---------------------------------------------------------------------------- */

static void note_best(book *b) {
  if (b->bid >= 0) b->last_bid = b->bid;
  if (b->ask < b->config.n_ticks) b->last_ask = b->ask;
}

/* The best price of a side has no order left: the next one that has. */
static void find_best(book *b, book_side side) {
  const book_level *levels = book_levels(b);
  if (side == BOOK_BUY) {
    int32_t p = b->bid;
    while (p >= 0 && levels[p].head < 0) p--;
    b->bid = p;
  } else {
    int32_t p = b->ask;
    while (p < b->config.n_ticks && levels[p].head < 0) p++;
    b->ask = p;
  }
  note_best(b);
}

static void take_out(book *b, int32_t slot) {
  book_order *orders = book_orders(b), *o = orders + slot;
  book_level *level = book_levels(b) + o->price;
  const book_side side = o->side;
  if (o->prev >= 0) orders[o->prev].next = o->next;
  else level->head = o->next;
  if (o->next >= 0) orders[o->next].prev = o->prev;
  else level->tail = o->prev;
  level->lots -= o->lots;
  o->id = 0;
  int32_t *live = book_live(b);
  const int32_t last = live[--b->n_live];
  live[o->at] = last;
  orders[last].at = o->at;
  live[b->n_live] = slot;
  if (level->head < 0 && o->price == (side == BOOK_BUY ? b->bid : b->ask)) find_best(b, side);
}

static book_ref put_in(book *b, int owner, book_side side, int32_t price, int32_t lots) {
  if (b->n_live == b->config.n_orders) {
    b->n_refused++;
    return BOOK_NONE;
  }
  const int32_t at = b->n_live++, slot = book_live(b)[at];
  book_order *orders = book_orders(b);
  book_level *level = book_levels(b) + price;
  orders[slot] = (book_order){.next = -1,
                              .prev = level->tail,
                              .price = price,
                              .lots = lots,
                              .at = at,
                              .id = b->next_id,
                              .owner = (int16_t)owner,
                              .side = (int16_t)side};
  if (++b->next_id == 0) b->next_id = 1;
  if (level->tail >= 0) orders[level->tail].next = slot;
  else level->head = slot;
  level->tail = slot;
  level->lots += lots;
  if (side == BOOK_BUY && price > b->bid) b->bid = price;
  if (side == BOOK_SELL && price < b->ask) b->ask = price;
  note_best(b);
  return (book_ref){.slot = slot, .id = orders[slot].id};
}

/* ---- matching ------------------------------------------------------------------------------ */

static void settle(book *b, int maker, int taker, book_side taken, int32_t price, int32_t lots) {
  book_account *accounts = book_accounts(b);
  book_account *buyer = accounts + (taken == BOOK_BUY ? taker : maker);
  book_account *seller = accounts + (taken == BOOK_BUY ? maker : taker);
  const int64_t money = (int64_t)price * lots * BOOK_TICK;
  buyer->bought += lots;
  buyer->paid += money;
  seller->sold += lots;
  seller->received += money;
  accounts[maker].made += lots;
  accounts[maker].fees += b->config.maker_fee * lots;
  accounts[taker].fees += b->config.taker_fee * lots;
  b->taken[taken == BOOK_BUY] += lots;
  b->last_price = price;
}

/* Trades up to `limit`; returns what is left. */
static int32_t match(book *b, int owner, book_side side, int32_t limit, int32_t lots) {
  book_order *orders = book_orders(b);
  book_level *levels = book_levels(b);
  while (lots > 0) {
    const int32_t price = side == BOOK_BUY ? b->ask : b->bid;
    if (side == BOOK_BUY ? price > limit || price >= b->config.n_ticks : price < limit || price < 0)
      break;
    const int32_t slot = levels[price].head;
    book_order *o = orders + slot;
    if (o->owner == owner && owner != BOOK_CROWD) {
      take_out(b, slot);
      continue;
    }
    const int32_t traded = o->lots < lots ? o->lots : lots;
    settle(b, o->owner, owner, side, price, traded);
    lots -= traded;
    if (traded == o->lots) {
      take_out(b, slot);
    } else {
      o->lots -= traded;
      levels[price].lots -= traded;
    }
  }
  return lots;
}

static void require_order(const book *b, int owner, book_side side, int32_t lots) {
  REQUIRE(owner >= 0 && owner < b->config.n_owners && (side == BOOK_BUY || side == BOOK_SELL) &&
              lots > 0 && lots <= BOOK_MAX_LOTS,
          "book: owner %d, side %d, %d lots", owner, (int)side, lots);
}

book_ref book_submit(book *b, int owner, book_side side, book_kind kind, int32_t price,
                     int32_t lots) {
  require_order(b, owner, side, lots);
  if (price < 0 || price >= b->config.n_ticks) return BOOK_NONE;
  if (kind == BOOK_POST) {
    if (side == BOOK_BUY && price >= b->ask) price = b->ask - 1;
    if (side == BOOK_SELL && price <= b->bid) price = b->bid + 1;
    if (price < 0 || price >= b->config.n_ticks) return BOOK_NONE;
    return put_in(b, owner, side, price, lots);
  }
  lots = match(b, owner, side, price, lots);
  return lots > 0 && kind == BOOK_LIMIT ? put_in(b, owner, side, price, lots) : BOOK_NONE;
}

int32_t book_take(book *b, int owner, book_side side, int32_t lots) {
  require_order(b, owner, side, lots);
  return lots - match(b, owner, side, side == BOOK_BUY ? b->config.n_ticks - 1 : 0, lots);
}

/* ---- orders at rest ------------------------------------------------------------------------ */

static book_order *order_of(const book *b, book_ref ref) {
  if (ref.slot < 0 || ref.slot >= b->config.n_orders || ref.id == 0) return NULL;
  book_order *o = book_orders(b) + ref.slot;
  return o->id == ref.id ? o : NULL;
}

const book_order *book_find(const book *b, book_ref ref) {
  return order_of(b, ref);
}

bool book_cancel(book *b, book_ref ref) {
  if (!order_of(b, ref)) return false;
  take_out(b, ref.slot);
  return true;
}

book_ref book_modify(book *b, book_ref ref, book_kind kind, int32_t price, int32_t lots) {
  book_order *o = order_of(b, ref);
  if (!o) return BOOK_NONE;
  if (lots > 0 && price == o->price && lots <= o->lots) {
    book_levels(b)[price].lots -= o->lots - lots;
    o->lots = lots;
    return ref;
  }
  const int owner = o->owner;
  const book_side side = o->side;
  take_out(b, ref.slot);
  return lots > 0 ? book_submit(b, owner, side, kind, price, lots) : BOOK_NONE;
}

int64_t book_ahead(const book *b, book_ref ref) {
  const book_order *o = order_of(b, ref), *orders = book_orders(b);
  if (!o) return -1;
  int64_t ahead = 0;
  for (int32_t s = o->prev; s >= 0; s = orders[s].prev) ahead += orders[s].lots;
  return ahead;
}

int32_t book_best_of_others(const book *b, book_side side, const book_order *own) {
  int32_t p = side == BOOK_BUY ? b->bid : b->ask;
  if (!own || own->side != side || own->price != p) return p;
  const book_level *levels = book_levels(b);
  if (levels[p].lots > own->lots) return p;
  for (p -= side; p >= 0 && p < b->config.n_ticks; p -= side)
    if (levels[p].head >= 0) break;
  return p;
}

/* ---- for tests ----------------------------------------------------------------------------- */

static const char *account_fault(const book *b) {
  const book_account *a = book_accounts(b);
  int64_t lots = 0, money = 0, volume = 0;
  for (int32_t i = 0; i < b->config.n_owners; i++) {
    lots += a[i].bought - a[i].sold;
    money += a[i].received - a[i].paid;
    volume += a[i].bought;
  }
  if (lots != 0) return "lots were made or lost";
  if (money != 0) return "money was made or lost";
  if (volume != b->taken[0] + b->taken[1]) return "what was taken is not what was bought";
  return NULL;
}

const char *book_fault(const book *b) {
  const book_level *levels = book_levels(b);
  const book_order *orders = book_orders(b);
  const int32_t *live = book_live(b);
  if (b->bid >= b->ask) return "the book is crossed";
  if (b->n_live < 0 || b->n_live > b->config.n_orders) return "more orders than there is room for";
  int32_t n = 0, bid = -1, ask = b->config.n_ticks;
  for (int32_t p = 0; p < b->config.n_ticks; p++) {
    int64_t lots = 0;
    int32_t before = -1;
    for (int32_t s = levels[p].head; s >= 0; before = s, s = orders[s].next) {
      const book_order *o = orders + s;
      if (++n > b->n_live) return "a queue has more orders than there are";
      if (o->prev != before) return "a queue is torn";
      if (o->id == 0 || o->price != p || o->lots <= 0) return "an order is not what its level says";
      if (o->side == BOOK_BUY ? p > b->bid : p < b->ask) return "an order is better than the best";
      if (live[o->at] != s || o->at >= b->n_live) return "a live order is not in the list";
      lots += o->lots;
      if (o->side == BOOK_BUY) bid = p;
      else if (ask == b->config.n_ticks) ask = p;
    }
    if (levels[p].tail != before) return "a queue has another end";
    if (levels[p].lots != lots) return "a level's lots are not its orders'";
  }
  if (n != b->n_live) return "an order is in no queue";
  if (bid != b->bid || ask != b->ask) return "the best price has no order";
  return account_fault(b);
}
