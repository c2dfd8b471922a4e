/* The crowd's events one by one: the time to the next is exponential at the sum of all rates, with
 * every order at rest counted at the largest cancellation rate; one that is drawn at a smaller rate
 * is let go in proportion (thinning: Lewis & Shedler 1979), so an event costs the same whatever
 * rests in the book. */
#include "env/book_flow.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Cont, Stoikov & Talreja (2010), table 3. */
static const double paper_lambda[] = {1.85, 1.51, 1.09, 0.88, 0.77}, paper_k = 1.92,
                    paper_alpha = 0.52, paper_mu = 0.94,
                    paper_theta[] = {0.71, 0.81, 0.68, 0.56, 0.47};
enum { PAPER_DEPTH = COUNT_OF(paper_lambda) };
static const double warm_up = 4; /* minutes: a few lives of an order */

void flow_init(flow_model *m, const flow_config *c) {
  memset(m, 0, sizeof *m);
  m->config = *c;
  m->max_live = INT32_MAX;
  for (int i = 1; i <= c->depth; i++) {
    const bool measured = i <= PAPER_DEPTH;
    m->lambda[i] =
        c->limit_rate * (measured ? paper_lambda[i - 1] : paper_k * pow(i, -paper_alpha));
    m->lambda_sum[i] = m->lambda_sum[i - 1] + m->lambda[i];
    m->theta[i] = c->cancel_rate * paper_theta[measured ? i - 1 : PAPER_DEPTH - 1];
    if (m->theta[i] > m->theta_max) m->theta_max = m->theta[i];
  }
  m->mu = c->market_rate * paper_mu;
  m->switch_rate = c->trend > 0 ? 1 / c->trend_life : 0;
  m->jump_rate = c->informed > 0 ? c->value_rate : 0;
  /* Geometric on 1, 2, ...: P(lots > k) = (1 - 1 / mean)^k, at the middle of each 256th. */
  const double stays = 1 - 1 / c->lots;
  for (int i = 0; i < FLOW_SIZES; i++)
    m->size[i] = stays > 0 ? 1 + (int32_t)(log1p(-(i + 0.5) / FLOW_SIZES) / log(stays)) : 1;
}

double flow_expected_orders(const flow_model *m) {
  double n = 0;
  for (int i = 1; i <= m->config.depth; i++) n += 2 * m->lambda[i] / m->theta[i];
  return n;
}

/* (0, 1) with 32 bits. */
static double unit(rng *r) {
  return ((double)rng_u32(r) + 0.5) * 0x1p-32;
}

static double total_rate(const flow_model *m, const book *b) {
  return 2 * (m->lambda_sum[m->config.depth] + m->mu) + m->switch_rate + m->jump_rate +
         m->theta_max * b->n_live;
}

double flow_wait(flow_state *s, const flow_model *m, const book *b) {
  return -log(unit(&s->draws)) / total_rate(m, b);
}

static int32_t draw_lots(flow_state *s, const flow_model *m) {
  return m->size[rng_u32(&s->draws) % FLOW_SIZES];
}

/* `at` in [0, lambda_sum): which distance. */
static void limit_order(flow_state *s, const flow_model *m, book *b, book_side side, double at) {
  int32_t i = 1;
  while (i < m->config.depth && at >= m->lambda_sum[i]) i++;
  if (b->n_live >= m->max_live) return;
  const int32_t price = side == BOOK_BUY ? b->last_ask - i : b->last_bid + i;
  book_submit(b, BOOK_CROWD, side, BOOK_LIMIT, price, draw_lots(s, m));
}

static void market_order(flow_state *s, const flow_model *m, book *b) {
  const flow_config *c = &m->config;
  const double who = unit(&s->draws), leans = unit(&s->draws);
  book_side side = leans < 0.5 * (1 + c->trend * s->trend) ? BOOK_BUY : BOOK_SELL;
  if (who < c->informed) {
    if (s->value > b->last_ask) side = BOOK_BUY;
    else if (s->value < b->last_bid) side = BOOK_SELL;
    else return;
  }
  book_take(b, BOOK_CROWD, side, draw_lots(s, m));
}

static void cancellation(flow_state *s, const flow_model *m, book *b, double at) {
  int32_t k = (int32_t)at;
  if (k >= b->n_live) k = b->n_live - 1;
  if (k < 0) return;
  const int32_t slot = book_live(b)[k];
  const book_order *o = book_orders(b) + slot;
  if (o->owner != BOOK_CROWD) return; /* others cancel for themselves */
  int32_t i = o->side == BOOK_BUY ? b->last_ask - o->price : o->price - b->last_bid;
  i = i < 1 ? 1 : i > m->config.depth ? m->config.depth : i;
  if (unit(&s->draws) * m->theta_max < m->theta[i])
    book_cancel(b, (book_ref){.slot = slot, .id = o->id});
}

void flow_event(flow_state *s, const flow_model *m, book *b) {
  const double limits = m->lambda_sum[m->config.depth];
  double u = unit(&s->draws) * total_rate(m, b);
  if (u < limits) {
    limit_order(s, m, b, BOOK_BUY, u);
  } else if ((u -= limits) < limits) {
    limit_order(s, m, b, BOOK_SELL, u);
  } else if ((u -= limits) < 2 * m->mu) {
    market_order(s, m, b);
  } else if ((u -= 2 * m->mu) < m->switch_rate) {
    s->trend = -s->trend;
  } else if ((u -= m->switch_rate) < m->jump_rate) {
    s->value += m->config.value_jump * rng_normal(&s->draws);
  } else {
    cancellation(s, m, b, (u - m->jump_rate) / m->theta_max);
  }
}

/* Without trades an order i away would be one of lambda(i) / theta(i): those first, then the flow
 * for a while. */
void flow_begin(flow_state *s, const flow_model *m, book *b, const rng *r, int32_t middle) {
  memset(s, 0, sizeof *s);
  s->draws = *r;
  s->trend = rng_u32(&s->draws) & 1 ? 1 : -1;
  for (int32_t i = 1; i <= m->config.depth; i++)
    for (int side = BOOK_SELL; side <= BOOK_BUY; side += 2) {
      /* A whole number with that mean, and one at the best price at least. */
      const double mean = m->lambda[i] / m->theta[i];
      int n = (int)(mean + unit(&s->draws));
      if (i == 1 && n == 0) n = 1;
      for (int k = 0; k < n; k++)
        book_submit(b, BOOK_CROWD, side, BOOK_LIMIT, side == BOOK_BUY ? middle - i : middle + i - 1,
                    draw_lots(s, m));
    }
  for (double t = flow_wait(s, m, b); t < warm_up; t += flow_wait(s, m, b)) flow_event(s, m, b);
  s->value = 0.5 * (b->last_bid + b->last_ask);
}

garam_status flow_measure(flow_facts *out, const flow_model *m, int32_t n_ticks, garam_error *err) {
  enum { EVENTS = 50000 };
  static const double lag = 5;
  const book_config c = {.n_ticks = n_ticks, .n_orders = m->max_live + 1, .n_owners = 1};
  book *b = mem_alloc_aligned(book_bytes(&c), 64);
  if (!b) return fail_memory(err, book_bytes(&c));
  book_init(b, &c);
  rng r;
  flow_state s;
  rng_init(&r, 0, RNG_ENV, UINT64_MAX);
  flow_begin(&s, m, b, &r, n_ticks / 2);
  double now = 0, next = lag, before = b->last_bid + b->last_ask, squares = 0, excess = 0;
  int n_lags = 0, n_takes = 0;
  for (int i = 0;
       i < EVENTS && b->last_bid > m->config.depth && b->last_ask < n_ticks - m->config.depth;
       i++) {
    now += flow_wait(&s, m, b);
    const double mid = b->last_bid + b->last_ask; /* twice it */
    for (; next <= now; next += lag, n_lags++) {
      squares += (mid - before) * (mid - before) / 4;
      before = mid;
    }
    const int64_t taken = b->taken[0] + b->taken[1];
    flow_event(&s, m, b);
    if (b->taken[0] + b->taken[1] == taken) continue;
    n_takes++;
    excess += fmax(0, fabs(b->last_price - 0.5 * mid) - 0.5);
  }
  out->variance = n_lags > 0 ? squares / (n_lags * lag) : 0;
  /* Excess over the half tick that every taker goes is geometric. */
  out->decay = log1p(n_takes / fmax(excess, 1));
  out->intensity = n_takes / (2 * fmax(now, lag)) * exp(0.5 * out->decay);
  mem_free_aligned(b);
  return GARAM_OK;
}
