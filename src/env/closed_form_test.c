/* The formulas against published figures, and against a second way to compute each. */
#include "base/mem.h"
#include "env/closed_form.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const almgren_chriss liquidation = {1e6, 5, 5, .95, 2.5e-6, 2.5e-7, .0625, 1e-6};
static const cartea_jaimungal maker = {140, 1.5, 2, 1, .2, .001, 20};

static void near(double value, double expected, double within, const char *what) {
  if (!(fabs(value - expected) <= within))
    fail_msg("%s: %.10g, expected %.10g within %g", what, value, expected, within);
}

static void execution(void **state) {
  (void)state;
  double best[6], even[6];
  almgren_chriss_trajectory(best, &liquidation);
  for (int j = 0; j <= 5; j++) even[j] = 1e6 * (5 - j) / 5;
  const double utility = almgren_chriss_utility(&liquidation, best);
  near(utility, 1275356, 1, "optimal utility");
  near(almgren_chriss_utility(&liquidation, even) / utility - 1, .369, .0005, "TWAP");
  /* their E and V of the linear schedule, in closed form */
  near(almgren_chriss_utility(&liquidation, even),
       .5 * 2.5e-7 * 1e12 + .0625 * 1e6 + (2.5e-6 - .5 * 2.5e-7) * 1e12 / 5 +
           1e-6 * .95 * .95 * 1e12 * (16 + 9 + 4 + 1) / 25,
       1e-6, "TWAP by hand");
  /* no neighbour is better */
  for (int j = 1; j < 5; j++)
    for (int sign = -1; sign <= 1; sign += 2) {
      double moved[6];
      for (int k = 0; k <= 5; k++) moved[k] = best[k] + (k == j ? sign * 1000 : 0);
      assert_true(almgren_chriss_utility(&liquidation, moved) > utility);
    }
  /* a seller who fears nothing sells evenly */
  almgren_chriss calm = liquidation;
  calm.risk_aversion = 0;
  almgren_chriss_trajectory(best, &calm);
  for (int j = 0; j <= 5; j++) near(best[j], even[j], 1e-6, "calm");
}

/* The equation itself, dh/dt = phi q^2 - A / (e kappa) (exp(-kappa (h(q) - h(q - 1))) + ...), by
 * classical Runge-Kutta: no exponential of a matrix. */
static void slope(double *out, const double *h) {
  for (int q = -20; q <= 20; q++) {
    const int i = q + 20;
    out[i] = -maker.running * q * q;
    for (int side = -1; side <= 1; side += 2)
      if (i + side >= 0 && i + side <= 40)
        out[i] += maker.arrivals / maker.decay * exp(-1 - maker.decay * (h[i] - h[i + side]));
  }
}

static void market_making(void **state) {
  (void)state;
  double *h = mem_array(1001 * 41, sizeof *h);
  cartea_jaimungal_value(h, &maker, 1000);
  /* The published 66.27 is cut short: the equation gives 66.28195 in both ways. */
  near(h[20], 66.27, .015, "h(0,0)");
  double g[41], k[4][41], at[41];
  for (int q = -20; q <= 20; q++) g[q + 20] = -maker.terminal * q * q;
  for (int step = 0; step < 20000; step++) {
    const double dt = 1.0 / 20000;
    slope(k[0], g);
    for (int i = 0; i < 41; i++) at[i] = g[i] + .5 * dt * k[0][i];
    slope(k[1], at);
    for (int i = 0; i < 41; i++) at[i] = g[i] + .5 * dt * k[1][i];
    slope(k[2], at);
    for (int i = 0; i < 41; i++) at[i] = g[i] + dt * k[2][i];
    slope(k[3], at);
    for (int i = 0; i < 41; i++) g[i] += dt / 6 * (k[0][i] + 2 * k[1][i] + 2 * k[2][i] + k[3][i]);
  }
  for (int i = 0; i < 41; i++) near(h[i], g[i], 1e-7, "h(0,q)");
  for (int i = 0; i < 41; i++)
    near(h[1000 * 41 + i], -maker.terminal * (i - 20) * (i - 20), 1e-12, "h(T,q)");
  /* quotes are symmetric, lean against the inventory, and stop at its bounds */
  double ask, bid, ask_short, bid_short;
  cartea_jaimungal_depths(&ask, &bid, &maker, h, 0);
  near(ask, bid, 1e-9, "no inventory");
  cartea_jaimungal_depths(&ask, &bid, &maker, h, 5);
  cartea_jaimungal_depths(&ask_short, &bid_short, &maker, h, -5);
  assert_true(ask < bid);
  near(ask, bid_short, 1e-9, "mirrored");
  cartea_jaimungal_depths(&ask, &bid, &maker, h, 20);
  assert_true(isinf(bid) && isfinite(ask));
  cartea_jaimungal_depths(&ask, &bid, &maker, h, -20);
  assert_true(isinf(ask) && isfinite(bid));
  mem_free(h);
}

/* Avellaneda & Stoikov's own example: gamma .1, sigma 2, kappa 1.5: the spread at the end is
 * 2 / gamma log(1 + gamma / kappa) = 1.29; theirs averages 1.49 over the session. */
static void quotes(void **state) {
  (void)state;
  double ask, bid;
  avellaneda_stoikov_depths(&ask, &bid, &maker, .1, 0, 3);
  near(ask + bid, 1.29, .005, "spread at the end");
  near(ask, bid, 1e-12, "no risk is left");
  avellaneda_stoikov_depths(&ask, &bid, &maker, .1, .5, 0);
  near(ask + bid, 1.49, .005, "mean spread");
  avellaneda_stoikov_depths(&ask, &bid, &maker, .1, 1, 2);
  near((ask - bid) / 2, -2 * .1 * 4, 1e-12, "reservation price");
}

static void portfolio(void **state) {
  (void)state;
  const merton one = {1, .08, .02, .2, 0};
  near(merton_fraction(&one), 1.5, 1e-12, "w*");
  near(merton_growth(&one, 1.5), .065, 1e-12, "growth");
  near(merton_growth(&one, 0), .02, 1e-12, "bank");
  /* two assets, against Sigma^-1 (mu - r) by Cramer's rule */
  const merton two = {2, .08, .02, .2, .3};
  const double a = .04, c = .3 * .04, excess = .06;
  near(merton_fraction(&two), (a * excess - c * excess) / (a * a - c * c), 1e-12, "two assets");
  const double w = merton_fraction(&two);
  assert_true(merton_growth(&two, w) > merton_growth(&two, w * 1.01));
  assert_true(merton_growth(&two, w) > merton_growth(&two, w * .99));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(execution),
      cmocka_unit_test(market_making),
      cmocka_unit_test(quotes),
      cmocka_unit_test(portfolio),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
