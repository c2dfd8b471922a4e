/* The books of a market world, so that rewards add up to the last digit.
 *
 * A reward is what the world's net value rose by, and nothing else. The net value (wealth less
 * penalties, in units of reward) is posted on a grid of 2^-bits; a reward is the difference of two
 * postings: a whole number of ticks that a float holds exactly, and so is any sum of them in
 * double. So
 *
 *   sum of rewards == posting(net at the end) - posting(net at the start)
 *
 * bit for bit, whatever was done. Each market chooses the finest grid on which its largest step is
 * below 2^24 ticks, what a float holds (ledger_bits). If a step is larger all the same, what a
 * float cannot carry is owed and paid with the next reward.
 *
 * Every market's world begins with its ledger: tests walk them all. */
#ifndef ENV_LEDGER_H
#define ENV_LEDGER_H

#include <math.h>
#include <stdint.h>

/* Money in whole ticks of 2^-20, where the books themselves are integers. */
static inline int64_t ticks_of(double money) {
  return llround(ldexp(money, 20));
}

static inline double ticks_money(int64_t ticks) {
  return ldexp((double)ticks, -20);
}

typedef enum market_reward {
  MARKET_REWARD_WEALTH,   /* what happened */
  MARKET_REWARD_EXPECTED, /* less its martingale part: the same in expectation, without the noise */
} market_reward;
extern const char *const market_reward_names[];

typedef struct ledger {
  double start, net;   /* in units of reward */
  int64_t posted;      /* ticks paid so far, beyond the posting of start */
  double closed_start, /* those of the episode before: what a test reads after autoreset */
      closed_net;
  int32_t bits;
} ledger;

/* The grid for steps of up to `largest` units of reward. */
static inline int ledger_bits(double largest) {
  return 24 - (int)ceil(fmin(fmax(log2(largest), -16), 30));
}

static inline int64_t ledger_posting(const ledger *l, double net) {
  return llround(ldexp(net, l->bits));
}

/* Another episode begins. */
static inline void ledger_open(ledger *l, double start, int bits) {
  l->closed_start = l->start;
  l->closed_net = l->net;
  l->start = l->net = start;
  l->posted = 0;
  l->bits = bits;
}

/* The reward of a step after which the net value is `net`. */
static inline float ledger_pay(ledger *l, double net) {
  l->net = net;
  const int64_t due = ledger_posting(l, net) - ledger_posting(l, l->start) - l->posted;
  const float paid = (float)due;
  l->posted += (int64_t)paid;
  return ldexpf(paid, -l->bits);
}

#endif
