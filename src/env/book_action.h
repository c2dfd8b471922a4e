/* What an agent of an order book says in a step: two quotes, maybe a market order. As a box or as
 * choices; the same in a simulated book and in a replayed one. */
#ifndef ENV_BOOK_ACTION_H
#define ENV_BOOK_ACTION_H

#include "rl/env.h"

typedef enum book_actions {
  BOOK_ACTION_QUOTES,  /* box of 4: offsets of bid and ask in ticks behind the best (-1: before
                          it), lots of bid and ask */
  BOOK_ACTION_ORDERS,  /* box of 5: and lots to take at market, bought (> 0) or sold */
  BOOK_ACTION_CHOICES, /* one of book_choices */
} book_actions;
extern const char *const book_action_names[];

typedef struct book_choice {
  const char *name;
  int8_t keep;     /* no message: what rests goes on resting */
  int8_t bid, ask; /* offsets; BOOK_NO_QUOTE: none */
  int8_t take;     /* sign of a market order */
} book_choice;
enum { BOOK_NO_QUOTE = -2, BOOK_N_CHOICES = 15 };
extern const book_choice book_choices[BOOK_N_CHOICES];

/* The bounds, as an env_space of each kind. */
typedef struct book_action_space {
  int kind;         /* book_actions */
  int lots, offset; /* largest */
  float low[5], high[5];
} book_action_space;
/* s->kind, lots and offset are set: fills the rest. The space's bounds point into s. */
env_space book_action_space_of(book_action_space *s);

/* An action, read: [0] is the ask, [1] the bid. */
typedef struct book_action {
  bool keep;
  int offset[2], lots[2]; /* lots 0: no quote */
  int take;               /* lots; > 0: bought */
} book_action;
book_action book_action_read(const book_action_space *s, const float *action);
/* The other way: the action of these quotes and this market order; of choices the nearest one.
 * With choices a market order withdraws the quotes. */
void book_action_write(float *action, const book_action_space *s, const book_action *x);

#endif
