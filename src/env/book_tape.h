/* Snapshots of a real book as whole ticks and lots, read from tables (CSV and kin, SQLite): levels
 * by the roles of market/bars.c, traded volume and its average price where the file has them. Cut
 * into sessions at gaps: nothing is ever bridged. Read once, then shared and never changed. */
#ifndef ENV_BOOK_TAPE_H
#define ENV_BOOK_TAPE_H

#include "market/market.h"

typedef struct book_tape_config {
  double tick, lot; /* 0: the largest unit of which all prices (sizes) are whole multiples */
  double gap;       /* seconds without a row that end a session */
  bool trades;      /* use traded volume where it is there */
} book_tape_config;

typedef struct book_session {
  size_t begin, end; /* rows */
} book_session;

typedef struct book_tape {
  size_t n_rows;
  int n_levels;
  double tick, lot;
  const int64_t *time;     /* ns */
  const int32_t *price[2]; /* (n_rows, n_levels) ticks; [0] asks, [1] bids, best first; -1: none */
  const int32_t *lots[2];  /* the same */
  /* Lots that takers sold to the best bid ([1]) and bought at the best ask ([0]) of the row before,
   * since then; 0 in the first row of a session. NULL: the files do not say. */
  const int32_t *hit[2];
  size_t n_sessions;
  const book_session *sessions;
  struct arena *memory;
} book_tape;

/* `data`: one source, or several with commas, later ones later in time. Errors name file, line and
 * column. */
garam_status book_tape_open(book_tape **out, const char *data, const book_tape_config *c,
                            garam_error *err);
void book_tape_free(book_tape *t); /* NULL is fine */

#endif
