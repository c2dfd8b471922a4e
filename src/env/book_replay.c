/* book_replay: one agent that quotes and takes in the snapshots of a real book (book_tape.h).
 *
 * What is said at a row is done at a later one (--latency, at least the next): a decision never
 * meets the quotes that it saw. The tape does not know of the agent, so fills are what the tape
 * forces, and no more:
 * - A quote queues behind all that is seen at its price when it arrives (behind more than can be
 *   seen where it is deeper than the book that is shown). It never takes: at a price that would, it
 *   moves to the nearest that does not.
 * - From row to row those ahead shrink by what takers sold to (bought from) that price, if it is
 * the best, and to what is seen there now: cancellations are first of those behind.
 * - It is filled by what takers trade at its price beyond those ahead; before the best price, by
 *   all that they trade; and whole when the other side's best reaches its price.
 * - What is taken walks the levels that are seen, and the rest lapses. Lots once taken from the
 * best level are not there again until its price changes. Without volumes on the tape (or
 * --no-trades) only the other side's coming fills.
 *
 * An episode lies within one session: nothing is held over a night or a gap. After its last row
 * what is held is closed at that row's levels (what they do not hold stays marked at the mid).
 * Rewards are those of order_book: the change of wealth at the mid, net of fees, less the penalty,
 * in ticks on a lot, exact.
 *
 * Observation, of L levels: lots of bids, lots of asks, x / (x + c); distance of each bid and ask
 * from the mid, ticks / 8; spread / 4; imbalance at the best; mid against that of the row before
 * the step, and against a slow mean, ticks / 4; what takers bought less sold in the step, and its
 * slow mean; own bid: how far behind the best, ticks / 4, lots / bound, lots ahead x / (x + c); own
 * ask: the same; position / bound; wealth in ticks on the largest quote / 64; time left; messages
 * on their way / most; rows of the session so far, x / (x + 3600). */
#include "env/book_replay.h"

#include "base/mem.h"
#include "env/env_list.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AT(field) OPT_AT(book_replay_config, field)
static const opt_row book_replay_options[] = {
    {"data", OPT_STRING, AT(data), .def_text = "",
     .help = "snapshots: CSV or sqlite: as elsewhere; several with commas, in order of time"},
    {"from", OPT_F64, AT(from), .def = 0, .min = 0, .max = 1,
     .help = "share of the rows before the first that is played"},
    {"to", OPT_F64, AT(to), .def = 1, .min = 0, .max = 1,
     .help = "share of the rows up to the last that is played"},
    {"session-gap", OPT_F64, AT(tape.gap), .def = 10, .min = 1e-3, .max = 1e7, .unit = "seconds",
     .help = "without a row that end a session; nothing is held over it"},
    {"tick", OPT_F64, AT(tape.tick), .def = 0, .min = 0, .max = 1e9,
     .help = "step of prices; 0: found"},
    {"lot", OPT_F64, AT(tape.lot), .def = 0, .min = 0, .max = 1e9,
     .help = "step of sizes; 0: found"},
    {"trades", OPT_BOOL, AT(tape.trades), .def = 1,
     .help = "traded volumes fill quotes, where the files have them"},
    {"actions", OPT_ENUM, AT(actions), .choices = book_action_names,
     .help = "two quotes; two quotes and a market order; or one of fifteen choices"},
    {"episode-steps", OPT_INT, AT(steps), .def = 300, .min = 1, .max = 1e7, .unit = "steps",
     .help = "length of an episode"},
    {"rows-per-step", OPT_INT, AT(rows), .def = 4, .min = 1, .max = 100000, .unit = "rows",
     .help = "from one decision to the next"},
    {"latency", OPT_INT, AT(latency), .def = 1, .min = 1, .max = BOOK_REPLAY_MAX_LATENCY,
     .unit = "rows", .help = "until what is said is done"},
    {"maker-fee", OPT_F64, AT(maker_fee), .def = 0.3, .min = -100, .max = 100, .unit = "ticks",
     .help = "a lot, of a quote that is filled; negative: paid to it"},
    {"taker-fee", OPT_F64, AT(taker_fee), .def = 0.3, .min = -100, .max = 100, .unit = "ticks",
     .help = "a lot taken"},
    {"lots", OPT_INT, AT(lots), .def = 2, .min = 1, .max = 100000, .unit = "lots",
     .help = "largest quote and market order"},
    {"inventory", OPT_INT, AT(inventory), .def = 10, .min = 1, .max = 1000000, .unit = "lots",
     .help = "bound of the position, either way"},
    {"offset", OPT_INT, AT(offset), .def = 4, .min = 1, .max = 100, .unit = "ticks",
     .help = "farthest quote behind the best"},
    {"inventory-penalty", OPT_F64, AT(inventory_penalty), .def = 0.001, .min = 0, .max = 1000,
     .unit = "ticks", .help = "a step, for each lot held, squared"},
    {"inventory-gain", OPT_F64, AT(inventory_gain), .def = 1, .min = 0, .max = 1,
     .help =
         "share of the gains and losses on what was held that rewards tell; less is less noise"},
    {"close-out", OPT_BOOL, AT(close_out), .def = 1,
     .help = "positions are closed at market after the last step"},
};

/* ---- the model ----------------------------------------------------------------------------- */

static const char *const info_names[] = {"wealth",   "inventory", "fees", "penalty",
                                         "withheld", "spread",    "mid"};
enum { N_INFO = COUNT_OF(info_names) };

static garam_status find_spans(book_replay_model *m, garam_error *err) {
  const book_replay_config *c = &m->config;
  const book_tape *t = m->tape;
  const size_t first = (size_t)(c->from * (double)t->n_rows),
               last = (size_t)(c->to * (double)t->n_rows);
  const size_t needs = (size_t)c->steps * (size_t)c->rows + 1;
  size_t longest = 0;
  m->spans = mem_array(t->n_sessions, sizeof *m->spans);
  if (!m->spans) return fail_memory(err, t->n_sessions * sizeof *m->spans);
  for (size_t s = 0; s < t->n_sessions; s++) {
    const size_t begin = t->sessions[s].begin > first ? t->sessions[s].begin : first;
    const size_t end = t->sessions[s].end < last ? t->sessions[s].end : last;
    if (begin >= end) continue;
    if (end - begin > longest) longest = end - begin;
    if (end - begin < needs) continue;
    m->spans[m->n_spans++] =
        (book_replay_span){.begin = begin, .n_starts = end - begin - needs + 1};
    m->n_starts += end - begin - needs + 1;
  }
  if (m->n_starts == 0)
    return fail(err, GARAM_INVALID,
                "environment book_replay: %d steps of %d rows need a session of %zu rows; the "
                "longest one between --from %g and --to %g has %zu",
                c->steps, c->rows, needs, c->from, c->to, longest);
  return GARAM_OK;
}

static garam_status book_replay_open(env *e, const void *config, garam_error *err) {
  const book_replay_config *c = config;
  book_replay_model *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  e->model = m;
  m->config = *c;
  TRY(book_tape_open(&m->tape, c->data, &c->tape, err));
  TRY(find_spans(m, err));
  /* The usual size at the best, from the beginning of the tape: nothing to come is used. */
  const size_t head = m->tape->n_rows < 200 ? m->tape->n_rows : 200;
  for (size_t i = 0; i < head; i++)
    m->scale += 0.5 * (book_replay_lots(m, i, 0, 0) + book_replay_lots(m, i, 1, 0)) / (double)head;
  if (!(m->scale >= 1)) m->scale = 1;
  m->maker_fee = llround(c->maker_fee * BOOK_TICK);
  m->taker_fee = llround(c->taker_fee * BOOK_TICK);
  m->actions = (book_action_space){.kind = c->actions, .lots = c->lots, .offset = c->offset};
  const env_space action = book_action_space_of(&m->actions);
  const int width = BOOK_REPLAY_OBSERVATION(m->tape->n_levels);
  m->agent = (env_agent){.name = "maker",
                         .team = "maker",
                         .observation = {.kind = ENV_BOX, .n = width},
                         .action = action};
  e->shape = (env_shape){.n_agents = 1,
                         .agents = &m->agent,
                         .observation_width = width,
                         .action_width = action.kind == ENV_BOX ? action.n : 1,
                         .max_steps = c->steps,
                         .world_bytes = sizeof(book_replay_world),
                         .n_info = N_INFO,
                         .info_names = info_names};
  return GARAM_OK;
}

static void book_replay_close(env *e) {
  book_replay_model *m = e->model;
  if (!m) return;
  book_tape_free(m->tape);
  mem_free(m->spans);
  mem_free(m);
}

/* ---- trading ------------------------------------------------------------------------------- */

static const int sign_of[2] = {-1, 1}; /* [0] ask: sells, [1] bid: buys */

int64_t book_replay_wealth(const book_replay_model *m, const book_replay_world *w) {
  return book_cash(&w->account) +
         book_position(&w->account) * book_replay_mid(m, w->row) * (BOOK_TICK / 2);
}

static void settle(book_replay_world *w, int sign, int32_t price, int32_t lots, int64_t fee) {
  const int64_t money = (int64_t)price * lots * BOOK_TICK;
  if (sign > 0) {
    w->account.bought += lots;
    w->account.paid += money;
  } else {
    w->account.sold += lots;
    w->account.received += money;
  }
  w->account.fees += fee * lots;
}

/* Walks the levels of the other side that are seen at the world's row. */
static void take(const book_replay_model *m, book_replay_world *w, int sign, int32_t lots) {
  const int other = sign > 0 ? 0 : 1;
  for (int k = 0; k < m->tape->n_levels && lots > 0; k++) {
    const int32_t price = book_replay_price(m, w->row, other, k);
    if (price < 0) break;
    int32_t there = book_replay_lots(m, w->row, other, k);
    if (k == 0) {
      if (w->eaten_price[other] != price) w->eaten[other] = 0;
      w->eaten_price[other] = price;
      there = there > w->eaten[other] ? there - w->eaten[other] : 0;
    }
    const int32_t traded = lots < there ? lots : there;
    if (k == 0) w->eaten[other] += traded;
    if (traded > 0) settle(w, sign, price, traded, m->taker_fee);
    lots -= traded;
  }
}

/* Lots seen at a price of a side: 0 before the best or between levels, INT32_MAX where the book is
 * deeper than what is shown. */
static int32_t seen_at(const book_replay_model *m, size_t row, int side, int32_t price) {
  int k = 0;
  for (; k < m->tape->n_levels; k++) {
    const int32_t p = book_replay_price(m, row, side, k);
    if (p < 0) return 0; /* all levels there are */
    if (p == price) return book_replay_lots(m, row, side, k);
    if (side ? p < price : p > price) return 0;
  }
  return INT32_MAX;
}

/* What happened to a quote between the row before and this one. */
static void follow(const book_replay_model *m, book_replay_world *w, int side) {
  book_replay_quote *q = w->quote + side;
  if (q->lots == 0) return;
  const int sign = sign_of[side];
  int32_t filled = 0;
  if ((book_replay_price(m, w->row, !side, 0) - q->price) * sign <= 0) {
    filled = q->lots; /* the other side has come to it */
  } else {
    const bool at_best = (q->price - book_replay_price(m, w->row - 1, side, 0)) * sign >= 0;
    const int32_t hit = m->tape->hit[side] && at_best ? m->tape->hit[side][w->row] : 0;
    filled = hit > q->ahead ? hit - q->ahead : 0;
    if (filled > q->lots) filled = q->lots;
    if (q->ahead != INT32_MAX) q->ahead = q->ahead > hit ? q->ahead - hit : 0;
    const int32_t seen = seen_at(m, w->row, side, q->price);
    if (seen < q->ahead) q->ahead = seen;
  }
  if (filled == 0) return;
  settle(w, sign, q->price, filled, m->maker_fee);
  w->account.made += filled;
  q->lots -= filled;
}

static void receive(const book_replay_model *m, book_replay_world *w,
                    const book_replay_message *x) {
  const int64_t bound = m->config.inventory;
  if (x->take) {
    const int sign = x->take > 0 ? 1 : -1;
    const int64_t room = bound - sign * book_position(&w->account);
    const int32_t lots = x->take * sign < room ? x->take * sign : (int32_t)room;
    if (lots > 0) take(m, w, sign, lots);
  }
  for (int side = 0; side < 2; side++) {
    const int sign = sign_of[side];
    book_replay_quote *q = w->quote + side;
    const int64_t room = bound - sign * book_position(&w->account);
    const int32_t lots = x->lots[side] < room ? x->lots[side] : (int32_t)(room > 0 ? room : 0);
    const int32_t other = book_replay_price(m, w->row, !side, 0);
    const int32_t price = (x->price[side] - other) * sign < 0 ? x->price[side] : other - sign;
    if (lots == 0) {
      q->lots = 0;
    } else if (q->lots > 0 && q->price == price) {
      if (q->lots > lots) q->lots = lots; /* less keeps its place, more is not added */
    } else {
      *q = (book_replay_quote){
          .price = price, .lots = lots, .ahead = seen_at(m, w->row, side, price)};
    }
  }
}

static void say(const env *e, const book_replay_model *m, book_replay_world *w, size_t i) {
  const book_action x =
      book_action_read(&m->actions, e->batch.action + i * (size_t)e->shape.action_width);
  if (x.keep) return;
  book_replay_message out = {.row = w->row + (size_t)m->config.latency, .take = x.take};
  for (int side = 0; side < 2; side++) {
    out.lots[side] = x.lots[side];
    if (x.lots[side])
      out.price[side] = book_replay_price(m, w->row, side, 0) - sign_of[side] * x.offset[side];
  }
  if (out.lots[0] && out.lots[1] && out.price[1] >= out.price[0]) out.price[0] = out.price[1] + 1;
  w->messages[(w->first + w->n_messages++) % (int)COUNT_OF(w->messages)] = out;
}

static void mark_fills(book_replay_world *w, const book_account *before) {
  const book_account *now = &w->account;
  for (int side = 0; side < 2; side++) {
    const int64_t lots = side ? now->bought - before->bought : now->sold - before->sold;
    const int64_t money = side ? now->paid - before->paid : now->received - before->received;
    if (lots == 0) continue;
    w->marks[w->n_marks++ % BOOK_REPLAY_MARKS] =
        (book_replay_mark){.step = w->step,
                           .lots = (int32_t)(side ? lots : -lots),
                           .price = (double)money / BOOK_TICK / (double)lots};
  }
}

/* ---- what is seen -------------------------------------------------------------------------- */

static float squash(double x, double scale) {
  return (float)(x / (x + scale));
}

static double hits(const book_replay_model *m, size_t row) {
  return m->tape->hit[0] ? m->tape->hit[0][row] - m->tape->hit[1][row] : 0;
}

/* before: the row that the step began at. */
static void show(const env *e, const book_replay_model *m, const book_replay_world *w, size_t i,
                 size_t before) {
  const book_replay_config *c = &m->config;
  const int levels = m->tape->n_levels;
  const int32_t mid = book_replay_mid(m, w->row);
  float *x = e->batch.observation + i * (size_t)e->shape.observation_width;
  for (int side = 1; side >= 0; side--)
    for (int k = 0; k < levels; k++) *x++ = squash(book_replay_lots(m, w->row, side, k), m->scale);
  for (int side = 1; side >= 0; side--)
    for (int k = 0; k < levels; k++) {
      const int32_t price = book_replay_price(m, w->row, side, k);
      *x++ = price < 0 ? 0 : (float)((2 * price - mid) * sign_of[!side] * 0.0625);
    }
  const double bids = book_replay_lots(m, w->row, 1, 0), asks = book_replay_lots(m, w->row, 0, 0);
  double hit = 0;
  for (size_t r = before + 1; r <= w->row; r++) hit += hits(m, r);
  *x++ = (float)((book_replay_price(m, w->row, 0, 0) - book_replay_price(m, w->row, 1, 0)) * 0.25);
  *x++ = bids + asks > 0 ? (float)((bids - asks) / (bids + asks)) : 0;
  *x++ = (float)((mid - book_replay_mid(m, before)) * 0.125);
  *x++ = (float)((mid - w->mid_slow) * 0.125);
  *x++ = (float)(hit / (fabs(hit) + m->scale));
  *x++ = (float)(w->hit_slow / (fabs(w->hit_slow) + m->scale));
  for (int side = 1; side >= 0; side--) {
    const book_replay_quote *q = w->quote + side;
    const bool there = q->lots > 0;
    *x++ = there
               ? (float)((book_replay_price(m, w->row, side, 0) - q->price) * sign_of[side] * 0.25)
               : 0;
    *x++ = (float)q->lots / (float)c->lots;
    *x++ = there ? squash(q->ahead, m->scale) : 0;
  }
  *x++ = (float)book_position(&w->account) / (float)c->inventory;
  *x++ = (float)((double)book_replay_wealth(m, w) / (64.0 * BOOK_TICK * c->lots));
  *x++ = (float)(c->steps - w->step) / (float)c->steps;
  *x++ = (float)w->n_messages / (float)COUNT_OF(w->messages);
  size_t s = 0; /* sessions are few */
  while (m->tape->sessions[s].end <= w->row) s++;
  *x++ = squash((double)(w->row - m->tape->sessions[s].begin), 3600);
}

static void book_replay_reset(env *e, size_t i, rng *r) {
  const book_replay_model *m = e->model;
  book_replay_world *w = env_world(e, i);
  memset(w, 0, sizeof *w);
  size_t at = (size_t)rng_below(r, m->n_starts), s = 0;
  while (at >= m->spans[s].n_starts) at -= m->spans[s++].n_starts;
  w->start = w->row = m->spans[s].begin + at;
  w->eaten_price[0] = w->eaten_price[1] = -1;
  w->mid_slow = book_replay_mid(m, w->row);
  show(e, m, w, i, w->row);
}

/* ---- a step -------------------------------------------------------------------------------- */

static void step_world(env *e, const book_replay_model *m, book_replay_world *w, size_t i) {
  const book_replay_config *c = &m->config;
  const book_account before = w->account;
  const size_t row = w->row;
  say(e, m, w, i);
  for (int k = 0; k < c->rows; k++) {
    w->row++;
    for (int side = 0; side < 2; side++) follow(m, w, side);
    while (w->n_messages > 0 && w->messages[w->first].row <= w->row) {
      receive(m, w, w->messages + w->first);
      w->first = (w->first + 1) % (int)COUNT_OF(w->messages);
      w->n_messages--;
    }
    w->hit_slow += 0.05 * (hits(m, w->row) - w->hit_slow);
  }
  w->step++;
  w->mid_slow += 0.1 * (book_replay_mid(m, w->row) - w->mid_slow);
  const bool over = w->step >= c->steps;
  const int64_t held = book_position(&w->account);
  if (over) {
    w->quote[0].lots = w->quote[1].lots = 0;
    if (c->close_out && held) take(m, w, held > 0 ? -1 : 1, (int32_t)(held > 0 ? held : -held));
  }
  mark_fills(w, &before);
  const double position = (double)book_position(&w->account);
  w->penalty += llround(c->inventory_penalty * position * position * BOOK_TICK);
  const double moved =
      (double)(book_position(&before) * (book_replay_mid(m, w->row) - book_replay_mid(m, row)));
  w->withheld += llround((1 - c->inventory_gain) * moved * (BOOK_TICK / 2));
  const int64_t wealth = book_replay_wealth(m, w), net = wealth - w->penalty - w->withheld;
  e->batch.reward[i] = (float)((double)(net - w->told) / BOOK_TICK);
  w->told = net;
  float *info = e->batch.info + i * N_INFO;
  info[0] = (float)((double)wealth / BOOK_TICK);
  info[1] = (float)position;
  info[2] = (float)((double)w->account.fees / BOOK_TICK);
  info[3] = (float)((double)w->penalty / BOOK_TICK);
  info[4] = (float)((double)w->withheld / BOOK_TICK);
  info[5] = (float)(book_replay_price(m, w->row, 0, 0) - book_replay_price(m, w->row, 1, 0));
  info[6] = (float)(book_replay_mid(m, w->row) * 0.5);
  e->batch.terminated[i] = over;
  show(e, m, w, i, row);
}

static void book_replay_step(env *e, size_t begin, size_t end) {
  for (size_t i = begin; i < end; i++) step_world(e, e->model, env_world(e, i), i);
}

const env_ops env_book_replay = {.name = "book_replay",
                                 .summary = "quotes and orders in the snapshots of a real book",
                                 .options = book_replay_options,
                                 .n_options = COUNT_OF(book_replay_options),
                                 .config_size = sizeof(book_replay_config),
                                 .open = book_replay_open,
                                 .close = book_replay_close,
                                 .reset = book_replay_reset,
                                 .step = book_replay_step,
                                 .draw = book_replay_draw};
