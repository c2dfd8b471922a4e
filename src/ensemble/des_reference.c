/* The randomised reference classifier of Woloszynski & Kurzynski, "A probabilistic model of
 * classifier competence for dynamic ensemble selection", Pattern Recognition 44 (2011): supports
 * drawn from beta distributions with the classifier's own supports as means; its chance of being
 * right, by quadrature, is the classifier's competence at a row. */
#include "ensemble/des.h"

#include <math.h>

enum { POINTS = 20 };

/* The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22). */
static double fraction(double a, double b, double x) {
  const double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (fabs(d) < tiny ? tiny : d);
  double h = d;
  for (int m = 1; m <= 300; m++) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 + even * d;
    c = 1 + even / c;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = fabs(c) < tiny ? tiny : c;
    h *= d * c;
    d = 1 + odd * d;
    c = 1 + odd / c;
    d = 1 / (fabs(d) < tiny ? tiny : d);
    c = fabs(c) < tiny ? tiny : c;
    double step = d * c;
    h *= step;
    if (fabs(step - 1) < 1e-14) break;
  }
  return h;
}

/* I_x(a, b), regularised. */
static double incomplete_beta(double a, double b, double x) {
  int sign;
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  double front = exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) + a * log(x) +
                     b * log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * fraction(a, b, x) / a
                                   : 1 - front * fraction(b, a, 1 - x) / b;
}

double des_reference(const float *p, size_t k, int32_t y) {
  double own[POINTS], others[POINTS], total = 0, chance = 0;
  for (size_t c = 0; c < k; c++) total += (double)p[c];
  for (int i = 0; i < POINTS; i++) others[i] = 1;
  /* The mean of neighbouring points is taken class by class, before the product. */
  for (size_t c = 0; c < k; c++) {
    double a = (double)k * (double)p[c] / (total > 0 ? total : 1), b = (double)k - a;
    double before = 0;
    if (!(a > 0)) a = 1e-4;
    if (!(b > 0)) b = 1e-4;
    for (int i = 0; i < POINTS; i++) {
      double f = incomplete_beta(a, b, (double)i / (POINTS - 1));
      if ((int32_t)c == y) own[i] = f;
      else if (i > 0) others[i] *= (f + before) / 2;
      before = f;
    }
  }
  for (int i = 1; i < POINTS; i++) chance += (own[i] - own[i - 1]) * others[i];
  return chance;
}
