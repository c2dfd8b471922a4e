/* A book as an exchange tells it: every price of both sides and what rests there, kept up to date
 * by absolute sizes. Prices and sizes are whole numbers of 10^-8, so that text goes in and out
 * without rounding. */
#ifndef MARKET_DEPTH_H
#define MARKET_DEPTH_H

#include "base/status.h"

#define DEPTH_UNIT 100000000 /* of one */
enum { DEPTH_MOST = 1 << 20 /* prices of a side */ };

typedef struct depth_side {
  int64_t sign; /* of prices in `key`: 1 for asks, -1 for bids, so that the best comes first */
  size_t n, key_capacity, size_capacity;
  int64_t *key, *size; /* ascending keys; sizes above 0 */
} depth_side;

typedef struct depth {
  depth_side asks, bids;
} depth;

#define DEPTH_EMPTY                                                                                \
  {                                                                                                \
    .asks = {.sign = 1}, .bids = {.sign = -1 }                                                     \
  }
void depth_deinit(depth *d);
void depth_clear(depth *d);

/* What rests at a price from now on; 0: nothing. */
garam_status depth_set(depth_side *s, int64_t price, int64_t size, garam_error *err);
/* Nothing rests at prices better than this one. */
void depth_trim(depth_side *s, int64_t price);
static inline int64_t depth_price(const depth_side *s, size_t level) {
  return s->sign * s->key[level];
}

/* "61800.20" into units: digits, perhaps a point and up to eight more (zeros may follow); not below
 * zero, not above 9e10. False: it is not that. */
bool depth_parse(int64_t *out, const char *text);

#endif
