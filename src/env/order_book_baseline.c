/* Scripted quoters of order_book. They see what an agent sees; the last two also know the crowd's
 * variance and intensity, as whoever estimated them would (flow_measure). */
#include "env/baseline.h"
#include "env/order_book.h"

#include <math.h>

/* Prices (ticks, fractions allowed; infinite: no quote) as the action that says them. */
static void quote(const env *e, const order_book_model *m, const order_book_world *w, size_t i,
                  int agent, double bid, double ask) {
  const book *b = order_book_book(m, w);
  const order_book_maker *k = order_book_makers(m, w) + agent;
  const double price[2] = {ask, bid};
  book_action x = {0};
  for (int side = 0; side < 2; side++) {
    const int sign = side ? 1 : -1;
    int32_t best = book_best_of_others(b, sign, book_find(b, k->quote[side]));
    if (best < 0 || best >= b->config.n_ticks) best = side ? b->last_bid : b->last_ask;
    if (!isfinite(price[side])) continue;
    x.lots[side] = m->config.lots;
    x.offset[side] = (int)fmin(fmax(nearbyint(sign * (best - price[side])), -1), m->config.offset);
  }
  book_action_write(e->batch.action + (i * (size_t)m->config.agents + (size_t)agent) *
                                          (size_t)e->shape.action_width,
                    &m->actions, &x);
}

typedef void (*quoter)(double *bid, double *ask, const order_book_model *m,
                       const order_book_world *w, int agent);

static void for_all(const env *e, size_t begin, size_t end, quoter f) {
  const order_book_model *m = e->model;
  for (size_t i = begin; i < end; i++)
    for (int a = 0; a < m->config.agents; a++) {
      const order_book_world *w = order_book_world_of(e, i);
      double bid, ask;
      f(&bid, &ask, m, w, a);
      quote(e, m, w, i, a, bid, ask);
    }
}

static double position(const order_book_model *m, const order_book_world *w, int agent) {
  return (double)book_position(book_accounts(order_book_book(m, w)) + 1 + agent);
}

static void touch(double *bid, double *ask, const order_book_model *m, const order_book_world *w,
                  int agent) {
  const book *b = order_book_book(m, w);
  const order_book_maker *k = order_book_makers(m, w) + agent;
  *bid = book_best_of_others(b, BOOK_BUY, book_find(b, k->quote[1]));
  *ask = book_best_of_others(b, BOOK_SELL, book_find(b, k->quote[0]));
  if (*bid < 0) *bid = b->last_bid;
  if (*ask >= b->config.n_ticks) *ask = b->last_ask;
}

/* At the touch on the side that brings the position back, farther away on the other: a tick for a
 * fifth of the bound; beyond half of it no quote there. */
static void skewed(double *bid, double *ask, const order_book_model *m, const order_book_world *w,
                   int agent) {
  const double held = position(m, w, agent) / m->config.inventory;
  touch(bid, ask, m, w, agent);
  if (held > 0) *bid = held > 0.5 ? -INFINITY : *bid - nearbyint(5 * held);
  if (held < 0) *ask = held < -0.5 ? INFINITY : *ask - nearbyint(5 * held);
}

/* gamma such that gamma sigma^2 / 2 q^2 a minute is the penalty on the position. */
static double aversion(const order_book_model *m) {
  const double a = 2 * m->config.inventory_penalty / (m->facts.variance * m->step);
  return a > 0.01 && isfinite(a) ? a : 0.01;
}

static void within_bounds(double *bid, double *ask, const order_book_model *m, double held) {
  if (held >= m->config.inventory) *bid = -INFINITY;
  if (held <= -m->config.inventory) *ask = INFINITY;
}

/* Avellaneda & Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8
 * (2008), equations 29 and 30: reservation price s - q gamma sigma^2 (T - t), spread
 * gamma sigma^2 (T - t) + 2 / gamma ln(1 + gamma / k). Their T is the end of the episode. Positions
 * are counted in quotes of one lot. */
static void avellaneda_stoikov(double *bid, double *ask, const order_book_model *m,
                               const order_book_world *w, int agent) {
  const double held = position(m, w, agent), gamma = aversion(m);
  const double risk = gamma * m->facts.variance * (m->config.steps - w->step) * m->step;
  const double middle = 0.5 * w->mid - held * risk;
  const double half = 0.5 * risk + log1p(gamma / m->facts.decay) / gamma;
  *bid = middle - half;
  *ask = middle + half;
  within_bounds(bid, ask, m, held);
}

/* The same market far from its end: Gueant, Lehalle & Fernandez-Tapia, "Dealing with the inventory
 * risk", Mathematics and Financial Economics 7 (2013), section 4: distances
 * 1 / gamma ln(1 + gamma / k) + (1 / 2 +- q) sqrt(sigma^2 gamma / (2 k A) (1 + gamma / k)^(1 + k /
 * gamma)). */
static void gueant(double *bid, double *ask, const order_book_model *m, const order_book_world *w,
                   int agent) {
  const double held = position(m, w, agent), gamma = aversion(m), k = m->facts.decay;
  const double slope = sqrt(m->facts.variance * gamma / (2 * k * m->facts.intensity) *
                            pow(1 + gamma / k, 1 + k / gamma));
  const double near = log1p(gamma / k) / gamma;
  *bid = 0.5 * w->mid - near - (0.5 + held) * slope;
  *ask = 0.5 * w->mid + near + (0.5 - held) * slope;
  within_bounds(bid, ask, m, held);
}

#define ACT(name)                                                                                  \
  static void name##_act(const env *e, size_t begin, size_t end) {                                 \
    for_all(e, begin, end, name);                                                                  \
  }
ACT(touch)
ACT(skewed)
ACT(avellaneda_stoikov)
ACT(gueant)

const baseline baselines_order_book[] = {
    {"order_book", "touch", "both quotes at the best prices", touch_act, NULL},
    {"order_book", "skewed", "the same, away from the side that adds to the position", skewed_act,
     NULL},
    {"order_book", "avellaneda_stoikov", "Avellaneda and Stoikov (2008), parameters measured",
     avellaneda_stoikov_act, NULL},
    {"order_book", "gueant",
     "the same far from the end: Gueant, Lehalle and Fernandez-Tapia (2013)", gueant_act, NULL},
    {.name = NULL},
};
