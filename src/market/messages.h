/* What an exchange sent, message by message, into snapshots of its book at a steady pace.
 *
 * A file has a line a message, as recorders write them: the time at which it arrived here, in
 * nanoseconds since 1970, a space, and the message as JSON, with or without {"stream", "data"}
 * around it. Understood are those of Binance (spot and futures): depthUpdate, bookTicker, trade,
 * aggTrade, and the answer of the depth request (lastUpdateId, bids, asks); others are counted.
 *
 * The book is kept as the exchange's documentation asks: changes wait for a snapshot, the first one
 * applied covers the snapshot's number, and from then on their numbers follow one another (spot: U,
 * futures: pu). Where one is missing the book begins anew. Without a snapshot a book is made of
 * changes alone, and counts as complete after `warm_up`. A ticker that is newer than the last
 * change corrects the best prices.
 *
 * A row at time t is made of what had arrived by t, and of nothing else: rows stand at whole
 * multiples of `every`. None is written while the book is not complete, has a crossing, fewer
 * levels than asked for, or when nothing at all came for `silence`. */
#ifndef MARKET_MESSAGES_H
#define MARKET_MESSAGES_H

#include "table/table.h"

typedef struct messages_config {
  int levels;
  double every;   /* seconds from a row to the next */
  double warm_up; /* seconds of changes after which a book without a snapshot is complete */
  double silence; /* seconds */
} messages_config;
extern const opt_row messages_options[];
extern const size_t messages_n_options;

typedef struct messages_report {
  char symbol[32];
  int64_t lines, changes, tickers, trades, snapshots, others;
  int64_t old;     /* changes that a snapshot had covered */
  int64_t gaps;    /* changes missing before one: the book began anew */
  int64_t crossed; /* rows left out: best bid at or above best ask */
  int64_t shallow; /* rows left out: fewer levels */
} messages_report;

/* Columns: time (arrival), last, bid1..N, bidSize1..N, ask1..N, askSize1..N, volume_chg (since the
 * row before, or the beginning), avgprice (of it; missing where nothing traded), buy_volume (taken
 * by buyers), all sizes in units of the base. `path`: a file (plain, gzip, zstd) or "-". Errors
 * name file and line; no row at all is an error too. */
garam_status messages_read(table **out, messages_report *report, const char *path,
                           const messages_config *config, garam_error *err);

#endif
