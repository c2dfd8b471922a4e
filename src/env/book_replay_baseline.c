/* Scripted policies of book_replay. All but the oracle use rows up to the world's own. */
#include "env/baseline.h"
#include "env/book_replay.h"

#include <math.h>

enum { PAST = 1200 }; /* rows that a variance is taken from */

static void write_action(const env *e, const book_replay_model *m, size_t i, const book_action *x) {
  book_action_write(e->batch.action + i * (size_t)e->shape.action_width, &m->actions, x);
}

static void touch_act(const env *e, size_t begin, size_t end) {
  const book_replay_model *m = e->model;
  for (size_t i = begin; i < end; i++)
    write_action(e, m, i, &(book_action){.lots = {m->config.lots, m->config.lots}});
}

/* Away from the side that adds to the position: a tick for a fifth of the bound, and no quote
 * there beyond half of it. */
static void skewed_act(const env *e, size_t begin, size_t end) {
  const book_replay_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const book_replay_world *w = env_world(e, i);
    const double held = (double)book_position(&w->account) / m->config.inventory;
    book_action x = {.lots = {m->config.lots, m->config.lots}};
    const int side = held > 0;
    x.offset[side] = (int)nearbyint(5 * fabs(held));
    if (fabs(held) > 0.5) x.lots[side] = 0;
    write_action(e, m, i, &x);
  }
}

/* Variance of the mid a row, ticks squared, over 20-row changes of the session's last rows. */
static double past_variance(const book_replay_model *m, const book_replay_world *w) {
  enum { LAG = 20 };
  size_t s = 0;
  while (m->tape->sessions[s].end <= w->row) s++;
  size_t first = m->tape->sessions[s].begin;
  if (w->row - first > PAST) first = w->row - PAST;
  double squares = 0;
  int n = 0;
  for (size_t r = w->row; r >= first + LAG; r -= LAG, n++) {
    const double d = 0.5 * (book_replay_mid(m, r) - book_replay_mid(m, r - LAG));
    squares += d * d;
  }
  return n >= 5 ? squares / (n * LAG) : 0.005; /* too early to know: a tick in 200 rows */
}

/* Avellaneda & Stoikov (2008), as in order_book; gamma from the penalty, the variance from the
 * past, and a decay of fills of 1.5 a tick. */
static void avellaneda_stoikov_act(const env *e, size_t begin, size_t end) {
  static const double decay = 1.5;
  const book_replay_model *m = e->model;
  const book_replay_config *c = &m->config;
  for (size_t i = begin; i < end; i++) {
    const book_replay_world *w = env_world(e, i);
    const double variance = past_variance(m, w) * c->rows; /* a step */
    const double gamma =
        variance > 0 ? fmin(fmax(2 * c->inventory_penalty / variance, 0.01), 10) : 0.01;
    const double held = (double)book_position(&w->account);
    const double risk = gamma * variance * (c->steps - w->step);
    const double middle = 0.5 * book_replay_mid(m, w->row) - held * risk;
    const double half = 0.5 * risk + log1p(gamma / decay) / gamma;
    book_action x = {
        .lots = {held <= -c->inventory ? 0 : c->lots, held >= c->inventory ? 0 : c->lots}};
    for (int side = 0; side < 2; side++) {
      const int sign = side ? 1 : -1;
      const double behind = sign * (book_replay_price(m, w->row, side, 0) - (middle - sign * half));
      x.offset[side] = (int)fmin(fmax(nearbyint(behind), -1), c->offset);
    }
    write_action(e, m, i, &x);
  }
}

/* Takes towards a position of `lots`: all orders one way. */
static void hold_lots(const env *e, const book_replay_model *m, size_t i, double lots) {
  const book_replay_world *w = env_world(e, i);
  double take = lots - (double)book_position(&w->account);
  for (int k = 0; k < w->n_messages; k++) /* what is on its way counts */
    take -= w->messages[(w->first + k) % (int)COUNT_OF(w->messages)].take;
  const int most = m->config.lots;
  write_action(e, m, i, &(book_action){.take = (int)fmin(fmax(take, -most), most)});
}

/* With the book: long when more is bid than asked at the best. Honest, and a taker. */
static void imbalance_act(const env *e, size_t begin, size_t end) {
  const book_replay_model *m = e->model;
  for (size_t i = begin; i < end; i++) {
    const book_replay_world *w = env_world(e, i);
    const double bids = book_replay_lots(m, w->row, 1, 0), asks = book_replay_lots(m, w->row, 0, 0);
    const double x = bids + asks > 0 ? (bids - asks) / (bids + asks) : 0;
    const double held = (double)book_position(&w->account);
    hold_lots(e, m, i, x > 0.7 ? m->config.inventory : x < -0.7 ? -m->config.inventory : held);
  }
}

/* Peeks: goes with the mid of 60 steps on (or of the episode's end) when that pays the way there.
 */
static void oracle_act(const env *e, size_t begin, size_t end) {
  enum { AHEAD = 60 };
  const book_replay_model *m = e->model;
  const book_replay_config *c = &m->config;
  for (size_t i = begin; i < end; i++) {
    const book_replay_world *w = env_world(e, i);
    const int left = c->steps - w->step, ahead = left < AHEAD ? left : AHEAD;
    const size_t row = w->row + (size_t)ahead * (size_t)c->rows;
    const double move = 0.5 * (book_replay_mid(m, row) - book_replay_mid(m, w->row));
    const double spread = book_replay_price(m, w->row, 0, 0) - book_replay_price(m, w->row, 1, 0);
    const double cost = spread + 2 * c->taker_fee; /* in and out */
    const double held = (double)book_position(&w->account);
    /* Once in, only the way to the other side costs. */
    const double bound = held * move > 0 ? 0 : cost;
    hold_lots(e, m, i,
              move > bound      ? c->inventory
              : -move > bound   ? -c->inventory
              : held * move < 0 ? 0
                                : held);
  }
}

static garam_status needs_orders(const env *e, garam_error *err) {
  const book_replay_model *m = e->model;
  if (m->config.actions == BOOK_ACTION_QUOTES)
    return fail(err, GARAM_MISMATCH, "this baseline takes: it needs --actions orders or choices");
  return GARAM_OK;
}

const baseline baselines_book_replay[] = {
    {"book_replay", "touch", "both quotes at the best prices", touch_act, NULL},
    {"book_replay", "skewed", "the same, away from the side that adds to the position", skewed_act,
     NULL},
    {"book_replay", "avellaneda_stoikov", "Avellaneda and Stoikov (2008), variance of the past",
     avellaneda_stoikov_act, NULL},
    {"book_replay", "imbalance", "takes with the side on which more rests", imbalance_act,
     needs_orders},
    {"book_replay", "oracle", "peeks: takes ahead of moves to come", oracle_act, needs_orders},
    {.name = NULL},
};
