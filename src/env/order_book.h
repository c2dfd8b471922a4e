/* Inside the order_book environment: its config, its model and what a world is. For order_book.c,
 * its picture, its scripted policies and its tests. */
#ifndef ENV_ORDER_BOOK_H
#define ENV_ORDER_BOOK_H

#include "env/book_action.h"
#include "env/book_flow.h"

enum {
  ORDER_BOOK_MAX_AGENTS = 32,
  ORDER_BOOK_MAX_LEVELS = 10,
  ORDER_BOOK_PATH = 128,  /* steps that a picture shows */
  ORDER_BOOK_MARKS = 128, /* fills that it shows */
};

typedef enum order_book_mode { ORDER_BOOK_COMPETITIVE, ORDER_BOOK_COOPERATIVE } order_book_mode;
typedef struct order_book_config {
  int agents, mode, actions, steps, levels, grid;
  double step, latency, jitter; /* seconds */
  double maker_fee, taker_fee;  /* ticks a lot */
  int lots, inventory, offset;  /* bounds */
  double inventory_penalty;     /* ticks a step for each lot squared */
  double inventory_gain;        /* share of the gain on what was held that a reward tells */
  bool close_out;
  flow_config flow;
} order_book_config;

/* Made once, read only. */
typedef struct order_book_model {
  order_book_config config;
  book_action_space actions;
  flow_model flow;
  flow_facts facts; /* for scripted quoters */
  book_config book;
  double step, latency, jitter;           /* minutes */
  int in_flight;                          /* messages of one agent that may be on their way */
  size_t makers_at, messages_at, book_at; /* bytes from the head of a world */
  env_agent agents[ORDER_BOOK_MAX_AGENTS];
  char agent_names[ORDER_BOOK_MAX_AGENTS][24];
  char info_names[5 * ORDER_BOOK_MAX_AGENTS + 2][24];
  const char *infos[5 * ORDER_BOOK_MAX_AGENTS + 2];
} order_book_model;

/* What an agent sent, to be done when it arrives. */
typedef struct order_book_message {
  double arrives;   /* minutes */
  int32_t price[2]; /* of the quote to [0] sell, [1] buy */
  int32_t lots[2];  /* 0: none */
  int32_t take;     /* > 0: to buy at market */
  int32_t padding;
} order_book_message;

typedef struct order_book_maker {
  book_ref quote[2]; /* [0] sell, [1] buy */
  double last_arrival;
  int32_t first, n_messages; /* of its ring */
  int64_t penalty;           /* money, so far */
  int64_t withheld;          /* gains that rewards do not tell, so far */
  int64_t told;              /* wealth less penalty and withheld that rewards have told of */
} order_book_maker;

typedef struct order_book_mark {
  int32_t step, agent, lots; /* > 0: bought */
  float price;               /* ticks, mean of the step */
} order_book_mark;

/* The head of a world; makers, messages and the book follow. */
typedef struct order_book_world {
  double now; /* minutes */
  flow_state flow;
  rng draws;        /* of latencies and ties */
  int64_t taken[2]; /* of the book before the step */
  int32_t step, n_marks;
  int32_t mid, mid_before; /* twice the mid, ticks */
  double mid_slow, taken_slow;
  int32_t path[ORDER_BOOK_PATH][2]; /* best bid and ask after each step, a ring */
  order_book_mark marks[ORDER_BOOK_MARKS];
} order_book_world;

static inline order_book_world *order_book_world_of(const env *e, size_t i) {
  return env_world(e, i);
}
static inline order_book_maker *order_book_makers(const order_book_model *m,
                                                  const order_book_world *w) {
  return (order_book_maker *)((uintptr_t)w + m->makers_at);
}
static inline order_book_message *order_book_messages(const order_book_model *m,
                                                      const order_book_world *w, int agent) {
  return (order_book_message *)((uintptr_t)w + m->messages_at) + agent * m->in_flight;
}
static inline book *order_book_book(const order_book_model *m, const order_book_world *w) {
  return (book *)((uintptr_t)w + m->book_at);
}

/* Wealth of an agent in money: cash and position at the mid. */
int64_t order_book_wealth(const order_book_model *m, const order_book_world *w, int agent);

#define ORDER_BOOK_OBSERVATION(levels) (2 * (levels) + 18)

void order_book_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                     void *context);

#endif
