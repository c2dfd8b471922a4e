/* Bid and ask: the spread, and at the best sizes the imbalance, the micro-price and the order
 * flow imbalance of Cont, Kukanov and Stoikov, "The price impact of order book events", Journal
 * of Financial Econometrics 12 (2014). */
#include "market/feature.h"

#include <math.h>

static double mid(const bars *b, size_t t) {
  return 0.5 * (b->bid[t] + b->ask[t]);
}

static double spread(const bars *b, size_t t, const feature *f) {
  (void)f;
  return (b->ask[t] - b->bid[t]) / mid(b, t);
}

static double spread_ratio(const bars *b, size_t t, const feature *f) {
  double sum = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) sum += b->ask[i] - b->bid[i];
  double mean = sum / f->lag;
  return mean == 0 ? 0 : (b->ask[t] - b->bid[t]) / mean - 1;
}

static double imbalance(const bars *b, size_t t, const feature *f) {
  (void)f;
  double sum = b->bid_size[t] + b->ask_size[t];
  return sum == 0 ? 0 : (b->bid_size[t] - b->ask_size[t]) / sum;
}

static double imbalance_change(const bars *b, size_t t, const feature *f) {
  return imbalance(b, t, f) - imbalance(b, t - (size_t)f->lag, f);
}

/* Micro-price less mid, in spreads, is half the imbalance: as a share of the price it also says
 * how wide the spread is. */
static double micro_price(const bars *b, size_t t, const feature *f) {
  return 0.5 * imbalance(b, t, f) * (b->ask[t] - b->bid[t]) / mid(b, t);
}

/* e = q_b(t) [p_b(t) >= p_b(t-1)] - q_b(t-1) [p_b(t) <= p_b(t-1)]
 *   - q_a(t) [p_a(t) <= p_a(t-1)] + q_a(t-1) [p_a(t) >= p_a(t-1)]   (their equation 3). */
static double flow_event(const bars *b, size_t t) {
  double e = 0;
  if (b->bid[t] >= b->bid[t - 1]) e += b->bid_size[t];
  if (b->bid[t] <= b->bid[t - 1]) e -= b->bid_size[t - 1];
  if (b->ask[t] <= b->ask[t - 1]) e -= b->ask_size[t];
  if (b->ask[t] >= b->ask[t - 1]) e += b->ask_size[t - 1];
  return e;
}

/* Sum of the events over the window, in units of the mean size at the best. */
static double flow_imbalance(const bars *b, size_t t, const feature *f) {
  double sum = 0, depth = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    sum += flow_event(b, i);
    depth += 0.5 * (b->bid_size[i] + b->ask_size[i]);
  }
  return depth == 0 ? 0 : sum / depth;
}

/* Direction of the best quotes over the window: ticks of bid and ask, up less down. */
static double quote_turns(const bars *b, size_t t, const feature *f) {
  int sum = 0;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    sum += (b->bid[i] > b->bid[i - 1]) - (b->bid[i] < b->bid[i - 1]);
    sum += (b->ask[i] > b->ask[i - 1]) - (b->ask[i] < b->ask[i - 1]);
  }
  return 0.5 * sum / f->lag;
}

static const feature list[] = {
    {"spread", NEEDS_QUOTES, 0, 1, spread, 0, 0},
    {"spread_ratio_20", NEEDS_QUOTES, 0, 20, spread_ratio, 20, 0},
    {"quote_turns_10", NEEDS_QUOTES, 0, 11, quote_turns, 10, 0},
    {"imbalance", NEEDS_SIZES, 0, 1, imbalance, 0, 0},
    {"imbalance_change_1", NEEDS_SIZES, 0, 2, imbalance_change, 1, 0},
    {"imbalance_change_5", NEEDS_SIZES, 0, 6, imbalance_change, 5, 0},
    {"micro_price", NEEDS_SIZES, 0, 1, micro_price, 0, 0},
    {"flow_imbalance_1", NEEDS_SIZES, 0, 2, flow_imbalance, 1, 0},
    {"flow_imbalance_5", NEEDS_SIZES, 0, 6, flow_imbalance, 5, 0},
    {"flow_imbalance_20", NEEDS_SIZES, 0, 21, flow_imbalance, 20, 0},
};
const feature_family feature_quote = {
    "quote", "spread, imbalance, micro-price and order flow at the best", list, COUNT_OF(list)};
