/* A limit order book with matching by price, then time. Whole numbers throughout: prices are ticks
 * of a grid, sizes are lots, money is counted in units of which BOOK_TICK make one tick on one lot
 * (a power of two, so that a reward in ticks is exact in a float). One block of plain data without
 * pointers: a copy of it is another book in the same state.
 *
 * Who trades is an owner, 0 .. n_owners - 1. Owner 0 is the crowd: many people under one name.
 *
 * The rules:
 * - Price, then time. A trade is at the price of the order that rests.
 * - What is left of an incoming BOOK_LIMIT rests at the end of its level; of BOOK_TAKE it lapses.
 *   A BOOK_POST never trades: at a price that would, it moves to the nearest that does not.
 * - Nobody but the crowd trades with themselves: the resting order is cancelled and the incoming
 *   one goes on.
 * - Less at the same price keeps the place in the queue. More, or another price, is a new order.
 * - The maker (who rests) and the taker pay a fee a lot, or are paid where it is negative. */
#ifndef ENV_BOOK_H
#define ENV_BOOK_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

enum {
  BOOK_TICK = 1024,          /* units of money in one tick on one lot */
  BOOK_MAX_TICKS = 1 << 16,  /* of the grid */
  BOOK_MAX_ORDERS = 1 << 16, /* resting at once */
  BOOK_MAX_OWNERS = 1 << 10,
  BOOK_MAX_LOTS = 1 << 20, /* of one order */
  BOOK_CROWD = 0,
};

typedef enum book_side { BOOK_SELL = -1, BOOK_BUY = 1 } book_side;
typedef enum book_kind { BOOK_LIMIT, BOOK_TAKE, BOOK_POST } book_kind;

typedef struct book_config {
  int32_t n_ticks;  /* prices are 0 .. n_ticks - 1 */
  int32_t n_orders; /* that may rest at once */
  int32_t n_owners;
  int64_t maker_fee, taker_fee; /* money a lot */
} book_config;

/* What an owner has done so far. */
typedef struct book_account {
  int64_t bought, sold;   /* lots */
  int64_t paid, received; /* money for them, without fees */
  int64_t fees;           /* paid to the venue; negative when it pays */
  int64_t made;           /* lots traded as the maker, of bought + sold */
} book_account;

typedef struct book_order {
  int32_t next, prev; /* slots in the queue of its level; -1 at the ends */
  int32_t price, lots;
  int32_t at;  /* place in the list of live orders */
  uint32_t id; /* 0: nothing here */
  int16_t owner, side;
} book_order;

/* A resting order by its slot, good until it is filled, cancelled or replaced. */
typedef struct book_ref {
  int32_t slot; /* -1: none */
  uint32_t id;
} book_ref;

typedef struct book_level {
  int32_t head, tail; /* slots; -1: empty */
  int64_t lots;
} book_level;

/* The head of the block; levels, orders, live slots and accounts follow. */
typedef struct book {
  book_config config;
  int32_t bid, ask;           /* best prices; -1 and n_ticks where a side is empty */
  int32_t last_bid, last_ask; /* the best that there was last */
  int32_t n_live;
  uint32_t next_id;
  int32_t last_price; /* of the last trade; -1: none yet */
  int32_t padding;
  int64_t taken[2];                                   /* lots that takers sold and bought so far */
  int64_t n_refused;                                  /* orders for which there was no room */
  int64_t levels_at, orders_at, live_at, accounts_at; /* bytes from the head */
} book;

size_t book_bytes(const book_config *c);
/* b: book_bytes(c) of memory, 8-byte aligned. Misuse when a size is out of bounds. */
void book_init(book *b, const book_config *c);

static inline book_level *book_levels(const book *b) {
  return (book_level *)((uintptr_t)b + (uintptr_t)b->levels_at);
}
static inline book_order *book_orders(const book *b) {
  return (book_order *)((uintptr_t)b + (uintptr_t)b->orders_at);
}
/* Slots: the first n_live are orders at rest, in no order; the others are free. */
static inline int32_t *book_live(const book *b) {
  return (int32_t *)((uintptr_t)b + (uintptr_t)b->live_at);
}
static inline book_account *book_accounts(const book *b) {
  return (book_account *)((uintptr_t)b + (uintptr_t)b->accounts_at);
}
static inline int64_t book_cash(const book_account *a) {
  return a->received - a->paid - a->fees;
}
static inline int64_t book_position(const book_account *a) {
  return a->bought - a->sold;
}

#define BOOK_NONE ((book_ref){.slot = -1})

/* An order comes in. Returns what rests of it, BOOK_NONE when nothing does (all traded, lapsed,
 * its price off the grid, or no room). BOOK_TAKE at a price goes no further than that. */
book_ref book_submit(book *b, int owner, book_side side, book_kind kind, int32_t price,
                     int32_t lots);
/* At whatever price there is; returns the lots traded. */
int32_t book_take(book *b, int owner, book_side side, int32_t lots);

const book_order *book_find(const book *b, book_ref ref); /* NULL: it rests no more */
bool book_cancel(book *b, book_ref ref);                  /* false: too late */
/* To `lots` at `price` as the rules say; returns what rests. 0 lots cancel. */
book_ref book_modify(book *b, book_ref ref, book_kind kind, int32_t price, int32_t lots);
int64_t book_ahead(const book *b, book_ref ref); /* lots before it in its queue; -1: gone */
/* The best price at which others than `owner`'s orders `own` stand; -1 or n_ticks: none. */
int32_t book_best_of_others(const book *b, book_side side, const book_order *own);

/* What is wrong inside, or NULL: for tests. Walks everything. */
const char *book_fault(const book *b);

#endif
