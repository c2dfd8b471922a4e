/* Markets whose best policy is known on paper: what learnt agents are measured against.
 *
 * Almgren & Chriss, "Optimal execution of portfolio transactions", Journal of Risk 3 (2000).
 * Cartea, Jaimungal & Penalva, "Algorithmic and high-frequency trading" (2015), chapter 10, and
 * Cartea & Jaimungal, "Risk metrics and fine tuning of high-frequency trading strategies" (2015).
 * Avellaneda & Stoikov, "High-frequency trading in a limit order book", Quantitative Finance 8
 * (2008). Merton, "Lifetime portfolio selection under uncertainty" (1969), for log utility. */
#ifndef ENV_CLOSED_FORM_H
#define ENV_CLOSED_FORM_H

#include <stddef.h>

/* ---- execution ------------------------------------------------------------------------------- */

/* X shares are to be sold in N periods of T / N. n sold in a period of tau are sold at
 * S - epsilon - eta n / tau, and move the price by -gamma n (linear impact). */
typedef struct almgren_chriss {
  double shares, horizon;
  int periods;
  double volatility;    /* sigma, of the price, a root of the time unit */
  double temporary;     /* eta */
  double permanent;     /* gamma */
  double half_spread;   /* epsilon */
  double risk_aversion; /* lambda: utility is E + lambda V */
} almgren_chriss;

/* held (N + 1): shares left after each period, from X to 0 (their equation 18). */
void almgren_chriss_trajectory(double *held, const almgren_chriss *p);
/* E + lambda V of any path of holdings (their equations 4, 5 and 12), in money; less is better. */
double almgren_chriss_utility(const almgren_chriss *p, const double *held);

/* ---- market making --------------------------------------------------------------------------- */

/* Orders that reach `depth` from the mid arrive at a rate of A exp(-kappa depth) on either side.
 * The maker's criterion is E[X_T + q_T (S_T - alpha q_T) - phi int q^2 dt], |q| <= Q. */
typedef struct cartea_jaimungal {
  double arrivals;   /* A */
  double decay;      /* kappa */
  double volatility; /* sigma of the mid */
  double horizon;    /* T */
  double running;    /* phi */
  double terminal;   /* alpha */
  int inventory;     /* Q */
} cartea_jaimungal;

/* h (n + 1, 2 Q + 1): the value beyond cash and marked inventory at times i T / n and inventories
 * -Q .. Q: h = log(omega) / kappa, omega(t) = exp(M (T - t)) z (their proposition 10.3). */
void cartea_jaimungal_value(double *h, const cartea_jaimungal *p, int n);
/* Best depths, from a row of h (2 Q + 1); INFINITY on the side that is closed. They may lie below
 * zero. */
void cartea_jaimungal_depths(double *ask, double *bid, const cartea_jaimungal *p, const double *h,
                             int inventory);

/* Quotes around the reservation price of a maker with risk aversion `aversion`, `left` before the
 * end (their equations 3.17 and 3.18, with the market's parameters as above). */
void avellaneda_stoikov_depths(double *ask, double *bid, const cartea_jaimungal *p, double aversion,
                               double left, int inventory);

/* ---- portfolio ------------------------------------------------------------------------------- */

/* n risky assets, alike: drift mu, volatility sigma, correlation rho; a bank account at r. */
typedef struct merton {
  int assets;
  double drift, rate, volatility, correlation;
} merton;

double merton_fraction(const merton *p); /* of wealth in each asset, for log utility */
/* Growth of log wealth a year when `fraction` is held in each, rebalanced all the time. */
double merton_growth(const merton *p, double fraction);

#endif
