/* The crowd of an order book: limit orders, market orders and cancellations that arrive at random
 * (Cont, Stoikov & Talreja, "A stochastic model for order book dynamics", Operations Research 58,
 * 2010). Limit orders arrive i ticks from the other side's best at rate lambda(i), market orders at
 * rate mu, and each order at rest i ticks from the other side's best is cancelled at rate theta(i).
 * The default rates are the paper's, table 3: Sky Perfect Communications, Tokyo; lambda
 * 1.85, 1.51, 1.09, .88, .77 a minute and from there on by their power law 1.92 i^-.52, mu .94,
 * theta .71, .81, .68, .56, .47 and from there on the last. Sizes are theirs when a crowd's order
 * is one lot; otherwise geometric.
 *
 * The crowd knows nothing. Two options make some of it know something:
 * - trend: market orders buy with probability (1 + trend s) / 2, and s, 1 or -1, changes its sign
 *   at rate 1 / trend_life. What was taken tells of it.
 * - informed: this share of the market orders is sent by people who know a value that jumps at
 *   random. They buy below it, sell above it, and else stay away: whoever quotes is picked off. */
#ifndef ENV_BOOK_FLOW_H
#define ENV_BOOK_FLOW_H

#include "base/rng.h"
#include "env/book.h"

enum { FLOW_DEPTH = 32, FLOW_SIZES = 256 };

typedef struct flow_config {
  double limit_rate, market_rate, cancel_rate; /* of the paper's rates; 1 is as there */
  int depth;                /* ticks from the other side's best that orders come to */
  double lots;              /* mean size of an order */
  double trend, trend_life; /* strength in [0, 1], minutes */
  double informed, value_rate, value_jump; /* share, jumps a minute, ticks */
} flow_config;

/* Rates as tables; made once. */
typedef struct flow_model {
  flow_config config;
  double lambda[FLOW_DEPTH + 1], theta[FLOW_DEPTH + 1]; /* [1 .. depth] */
  double lambda_sum[FLOW_DEPTH + 1];                    /* running */
  double mu, theta_max, switch_rate, jump_rate;
  int32_t size[FLOW_SIZES]; /* quantiles of an order's lots */
  int32_t max_live;         /* with that many orders in the book the crowd sends no more */
} flow_model;
void flow_init(flow_model *m, const flow_config *c);
/* Orders of the crowd that rest in the long run, if none traded: more than there will be. */
double flow_expected_orders(const flow_model *m);

/* What changes with time, of one book: plain data. */
typedef struct flow_state {
  rng draws;
  double value;  /* ticks */
  int32_t trend; /* 1 or -1 */
  int32_t padding;
} flow_state;

/* An empty book becomes one in which orders stand about as they do in the long run, around
 * `middle`. */
void flow_begin(flow_state *s, const flow_model *m, book *b, const rng *r, int32_t middle);
/* Minutes to the next event, if nothing else happens. */
double flow_wait(flow_state *s, const flow_model *m, const book *b);
/* That event. */
void flow_event(flow_state *s, const flow_model *m, book *b);

/* What a quoter would estimate from watching: the variance of the mid (ticks squared a minute, over
 * 5 minutes), and A exp(-k d), the market orders a minute of one side that reach d ticks from the
 * mid (Avellaneda & Stoikov 2008). From a run of its own without agents: the same numbers for the
 * same rates. */
typedef struct flow_facts {
  double variance, intensity, decay;
} flow_facts;
garam_status flow_measure(flow_facts *out, const flow_model *m, int32_t n_ticks, garam_error *err);

#endif
