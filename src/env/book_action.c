/* Actions of an order book, read and written. */
#include "env/book_action.h"

#include <math.h>
#include <stdlib.h>

const char *const book_action_names[] = {"quotes", "orders", "choices", NULL};

#define NONE BOOK_NO_QUOTE
const book_choice book_choices[BOOK_N_CHOICES] = {
    {"keep", 1, NONE, NONE, 0},  {"withdraw", 0, NONE, NONE, 0}, {"bid 0 ask 0", 0, 0, 0, 0},
    {"bid 0 ask 1", 0, 0, 1, 0}, {"bid 0 ask 2", 0, 0, 2, 0},    {"bid 1 ask 0", 0, 1, 0, 0},
    {"bid 1 ask 1", 0, 1, 1, 0}, {"bid 1 ask 2", 0, 1, 2, 0},    {"bid 2 ask 0", 0, 2, 0, 0},
    {"bid 2 ask 1", 0, 2, 1, 0}, {"bid 2 ask 2", 0, 2, 2, 0},    {"bid 0", 0, 0, NONE, 0},
    {"ask 0", 0, NONE, 0, 0},    {"buy", 0, NONE, NONE, 1},      {"sell", 0, NONE, NONE, -1},
};

env_space book_action_space_of(book_action_space *s) {
  s->low[0] = s->low[1] = -1;
  s->low[2] = s->low[3] = 0;
  s->low[4] = (float)-s->lots;
  s->high[0] = s->high[1] = (float)s->offset;
  s->high[2] = s->high[3] = s->high[4] = (float)s->lots;
  if (s->kind == BOOK_ACTION_CHOICES) return (env_space){.kind = ENV_DISCRETE, .n = BOOK_N_CHOICES};
  return (env_space){
      .kind = ENV_BOX, .n = s->kind == BOOK_ACTION_ORDERS ? 5 : 4, .low = s->low, .high = s->high};
}

static int rounded(float x, int low, int high) {
  return x <= (float)low ? low : x >= (float)high ? high : (int)lrintf(x);
}

book_action book_action_read(const book_action_space *s, const float *action) {
  book_action x = {.offset = {NONE, NONE}};
  if (s->kind == BOOK_ACTION_CHOICES) {
    const book_choice *c = book_choices + (int)action[0];
    x.keep = c->keep;
    x.offset[0] = c->ask;
    x.offset[1] = c->bid;
    for (int side = 0; side < 2; side++) x.lots[side] = x.offset[side] == NONE ? 0 : s->lots;
    x.take = c->take * s->lots;
    return x;
  }
  for (int side = 0; side < 2; side++) {
    x.offset[side] = rounded(action[!side], -1, s->offset);
    x.lots[side] = rounded(action[2 + !side], 0, s->lots);
  }
  if (s->kind == BOOK_ACTION_ORDERS) x.take = rounded(truncf(action[4]), -s->lots, s->lots);
  return x;
}

void book_action_write(float *action, const book_action_space *s, const book_action *x) {
  if (s->kind != BOOK_ACTION_CHOICES) {
    for (int side = 0; side < 2; side++) {
      action[!side] = (float)rounded((float)x->offset[side], -1, s->offset);
      action[2 + !side] = (float)rounded((float)x->lots[side], 0, s->lots);
    }
    if (s->kind == BOOK_ACTION_ORDERS)
      action[4] = (float)rounded((float)x->take, -s->lots, s->lots);
    return;
  }
  int offset[2];
  for (int side = 0; side < 2; side++) {
    const int most = x->lots[!side] > 0 ? 2 : 0; /* alone only at the best */
    offset[side] = x->take || x->lots[side] <= 0 ? NONE : rounded((float)x->offset[side], 0, most);
  }
  for (int k = 0; k < BOOK_N_CHOICES; k++) {
    const book_choice *c = book_choices + k;
    if (c->keep == x->keep && (c->keep || (c->bid == offset[1] && c->ask == offset[0] &&
                                           c->take == (x->take > 0) - (x->take < 0))))
      action[0] = (float)k;
  }
}
