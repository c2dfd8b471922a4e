/* Inside the book_replay environment: its config, its model and what a world is. */
#ifndef ENV_BOOK_REPLAY_H
#define ENV_BOOK_REPLAY_H

#include "env/book.h"
#include "env/book_action.h"
#include "env/book_tape.h"

enum {
  BOOK_REPLAY_MAX_LATENCY = 64, /* rows */
  BOOK_REPLAY_MAX_LEVELS = BARS_MAX_LEVELS,
  BOOK_REPLAY_PATH = 128,  /* steps that a picture shows */
  BOOK_REPLAY_MARKS = 128, /* fills that it shows */
};

typedef struct book_replay_config {
  char data[1024];
  book_tape_config tape;
  double from, to; /* share of the rows, in time */
  int actions, steps, rows, latency;
  int lots, inventory, offset;
  double maker_fee, taker_fee, inventory_penalty, inventory_gain;
  bool close_out;
} book_replay_config;

/* Rows [begin, end) of one session from which an episode may start. */
typedef struct book_replay_span {
  size_t begin, n_starts;
} book_replay_span;

typedef struct book_replay_model {
  book_replay_config config;
  book_tape *tape;
  book_replay_span *spans;
  size_t n_spans, n_starts;
  double scale; /* of lots, in observations */
  int64_t maker_fee, taker_fee;
  book_action_space actions;
  env_agent agent;
} book_replay_model;

typedef struct book_replay_message {
  size_t row; /* at which it arrives */
  int32_t price[2], lots[2], take, padding;
} book_replay_message;

/* An order at rest. `ahead`: lots that are filled before it; what is not seen is INT32_MAX. */
typedef struct book_replay_quote {
  int32_t price, lots; /* lots 0: none */
  int32_t ahead, padding;
} book_replay_quote;

typedef struct book_replay_mark {
  int32_t step, lots; /* > 0: bought */
  double price;
} book_replay_mark;

typedef struct book_replay_world {
  size_t start, row; /* of the tape */
  int32_t step, n_messages, first, n_marks;
  book_replay_quote quote[2];       /* [0] ask, [1] bid */
  int32_t eaten_price[2], eaten[2]; /* lots that we took at the best [0] ask, [1] bid */
  book_account account;
  int64_t penalty, withheld, told;
  double mid_slow, hit_slow;
  book_replay_message messages[BOOK_REPLAY_MAX_LATENCY + 2];
  book_replay_mark marks[BOOK_REPLAY_MARKS];
} book_replay_world;

static inline int32_t book_replay_price(const book_replay_model *m, size_t row, int side,
                                        int level) {
  return m->tape->price[side][row * (size_t)m->tape->n_levels + (size_t)level];
}
static inline int32_t book_replay_lots(const book_replay_model *m, size_t row, int side,
                                       int level) {
  return m->tape->lots[side][row * (size_t)m->tape->n_levels + (size_t)level];
}
/* Twice the mid, ticks. */
static inline int32_t book_replay_mid(const book_replay_model *m, size_t row) {
  return book_replay_price(m, row, 0, 0) + book_replay_price(m, row, 1, 0);
}
int64_t book_replay_wealth(const book_replay_model *m, const book_replay_world *w);

#define BOOK_REPLAY_OBSERVATION(levels) (4 * (levels) + 17)

void book_replay_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                      void *context);

#endif
