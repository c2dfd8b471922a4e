/* Sines and cosines of many numbers at once, without a branch, so that the compiler turns loops of
 * them into wide registers. Elementwise and nothing contracted: the same bits on every processor.
 *
 * x is brought into +-pi/4 by the nearest multiple of pi/2, which is taken off in three parts (the
 * first two have 33 bits, so that up to 2^20 of them are exact; Cody & Waite 1980), and Taylor's
 * series are summed up to x^17 and x^16, whose next terms are below 1e-17. Up to |x| = 1e6 the
 * result is within 1.5 units in the last place of a double of the true one, or 1e-16 near zeros. */
#ifndef ENV_TRIG_H
#define ENV_TRIG_H

#include <stdint.h>
#include <string.h>

typedef struct trig {
  double sine, cosine;
} trig;

static inline double trig_rounded(double x) { /* |x| < 2^51 */
  return (x + 0x1.8p52) - 0x1.8p52;
}

static inline double trig_floor(double x) {
  const double r = trig_rounded(x);
  return r > x ? r - 1 : r;
}

static inline trig trig_of(double x) {
  const double shifted = x * 0.63661977236758134308 + 0x1.8p52, n = shifted - 0x1.8p52;
  const double r = ((x - n * 0x1.921fb544p0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
  const double z = r * r;
  double s = 1.0 / 355687428096000; /* 1/17! */
  s = s * z - 1.0 / 1307674368000;
  s = s * z + 1.0 / 6227020800;
  s = s * z - 1.0 / 39916800;
  s = s * z + 1.0 / 362880;
  s = s * z - 1.0 / 5040;
  s = s * z + 1.0 / 120;
  s = s * z - 1.0 / 6;
  s = r + r * (z * s);
  double c = 1.0 / 20922789888000; /* 1/16! */
  c = c * z - 1.0 / 87178291200;
  c = c * z + 1.0 / 479001600;
  c = c * z - 1.0 / 3628800;
  c = c * z + 1.0 / 40320;
  c = c * z - 1.0 / 720;
  c = c * z + 1.0 / 24;
  /* 1 - z/2 + z z c, with what the first subtraction loses */
  const double half = 0.5 * z, one = 1 - half;
  c = one + (((1 - one) - half) + z * (z * c));
  uint64_t quarter; /* n's last bits are the last of `shifted` */
  memcpy(&quarter, &shifted, sizeof quarter);
  const uint64_t odd = -(quarter & 1), sign_s = (quarter & 2) << 62,
                 sign_c = ((quarter + 1) & 2) << 62;
  uint64_t s_bits, c_bits;
  memcpy(&s_bits, &s, sizeof s_bits);
  memcpy(&c_bits, &c, sizeof c_bits);
  const uint64_t sine = ((s_bits & ~odd) | (c_bits & odd)) ^ sign_s,
                 cosine = ((c_bits & ~odd) | (s_bits & odd)) ^ sign_c;
  trig out;
  memcpy(&out.sine, &sine, sizeof sine);
  memcpy(&out.cosine, &cosine, sizeof cosine);
  return out;
}

#endif
