/* The formulas of closed_form.h. Sources and notation stand there. */
#include "env/closed_form.h"

#include "base/status.h"

#include <math.h>

/* ---- Almgren & Chriss ------------------------------------------------------------------------ */

void almgren_chriss_trajectory(double *held, const almgren_chriss *p) {
  const double tau = p->horizon / p->periods;
  const double eta = p->temporary - 0.5 * p->permanent * tau; /* their eta tilde */
  REQUIRE(eta > 0, "almgren_chriss: temporary impact %g, expected above half of permanent %g",
          p->temporary, p->permanent * tau);
  /* 2 / tau^2 (cosh(kappa tau) - 1) = lambda sigma^2 / eta tilde */
  const double square = p->risk_aversion * p->volatility * p->volatility / eta;
  const double kappa = acosh(1 + 0.5 * square * tau * tau) / tau;
  for (int j = 0; j <= p->periods; j++) {
    const double left = p->horizon - j * tau;
    held[j] = kappa > 0 ? p->shares * sinh(kappa * left) / sinh(kappa * p->horizon)
                        : p->shares * left / p->horizon;
  }
  held[p->periods] = 0;
}

double almgren_chriss_utility(const almgren_chriss *p, const double *held) {
  const double tau = p->horizon / p->periods;
  double cost = 0, variance = 0;
  for (int k = 1; k <= p->periods; k++) {
    const double sold = held[k - 1] - held[k];
    cost += p->permanent * sold * held[k] + p->half_spread * fabs(sold) +
            p->temporary / tau * sold * sold;
    variance += p->volatility * p->volatility * tau * held[k] * held[k];
  }
  return cost + p->risk_aversion * variance;
}

/* ---- Cartea & Jaimungal ---------------------------------------------------------------------- */

/* omega <- exp(M dt) omega by Taylor's series, in parts short enough that it converges at once. M
 * has -phi kappa q^2 on its diagonal and A / e beside it. */
static void propagate(double *omega, double *term, double *next, const cartea_jaimungal *p,
                      double dt) {
  const int width = 2 * p->inventory + 1;
  const double beside = p->arrivals * exp(-1), bend = -p->running * p->decay;
  const double norm = 2 * beside + fabs(bend) * p->inventory * p->inventory;
  const int parts = (int)ceil(norm * dt) + 1;
  const double part = dt / parts;
  for (int s = 0; s < parts; s++) {
    for (int i = 0; i < width; i++) term[i] = omega[i];
    for (int order = 1; order <= 30; order++) {
      double largest = 0;
      for (int i = 0; i < width; i++) {
        const double q = i - p->inventory;
        double sum = bend * q * q * term[i];
        if (i > 0) sum += beside * term[i - 1];
        if (i + 1 < width) sum += beside * term[i + 1];
        next[i] = sum * part / order;
      }
      for (int i = 0; i < width; i++) {
        term[i] = next[i];
        omega[i] += term[i];
        largest = fmax(largest, fabs(term[i] / omega[i]));
      }
      if (largest < 1e-18) break;
    }
  }
}

enum { MAX_WIDTH = 2 * 256 + 1 };

void cartea_jaimungal_value(double *h, const cartea_jaimungal *p, int n) {
  const int width = 2 * p->inventory + 1;
  REQUIRE(p->inventory >= 1 && width <= MAX_WIDTH,
          "cartea_jaimungal: inventory %d, expected 1 to 256", p->inventory);
  double omega[MAX_WIDTH], term[MAX_WIDTH], next[MAX_WIDTH], size = 0;
  for (int i = 0; i < width; i++) {
    const double q = i - p->inventory;
    omega[i] = exp(-p->terminal * p->decay * q * q);
  }
  for (int step = n; step >= 0; step--) {
    if (step < n) propagate(omega, term, next, p, p->horizon / n);
    double largest = 0; /* taken out, as omega grows without bound with T */
    for (int i = 0; i < width; i++) largest = fmax(largest, omega[i]);
    size += log(largest);
    for (int i = 0; i < width; i++) {
      omega[i] /= largest;
      h[(size_t)step * (size_t)width + (size_t)i] = (log(omega[i]) + size) / p->decay;
    }
  }
}

void cartea_jaimungal_depths(double *ask, double *bid, const cartea_jaimungal *p, const double *h,
                             int inventory) {
  const int i = inventory + p->inventory;
  *ask = i > 0 ? 1 / p->decay + h[i] - h[i - 1] : INFINITY;
  *bid = i < 2 * p->inventory ? 1 / p->decay + h[i] - h[i + 1] : INFINITY;
}

void avellaneda_stoikov_depths(double *ask, double *bid, const cartea_jaimungal *p, double aversion,
                               double left, int inventory) {
  const double risk = aversion * p->volatility * p->volatility * left;
  const double half = 0.5 * risk + log(1 + aversion / p->decay) / aversion;
  *ask = half - inventory * risk;
  *bid = half + inventory * risk;
}

/* ---- Merton ---------------------------------------------------------------------------------- */

/* Of n assets alike, Sigma^-1 (mu - r) is the same number for each: the row sum of Sigma is
 * sigma^2 (1 + (n - 1) rho). */
static double row_sum(const merton *p) {
  return p->volatility * p->volatility * (1 + (p->assets - 1) * p->correlation);
}

double merton_fraction(const merton *p) {
  return (p->drift - p->rate) / row_sum(p);
}

double merton_growth(const merton *p, double fraction) {
  return p->rate +
         p->assets * (fraction * (p->drift - p->rate) - 0.5 * fraction * fraction * row_sum(p));
}
