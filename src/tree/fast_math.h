/* exp and log1p in float32 without branches or tables, so that loops over them become vector code
 * with the same bits for any width. Within 2 units in the last place on the ranges stated
 * (fast_math_test). */
#ifndef TREE_FAST_MATH_H
#define TREE_FAST_MATH_H

#include <stdint.h>
#include <string.h>

/* exp(x); x is cut to [-87, 88]. 2^n exp(r), |r| <= ln(2)/2, exp(r) by its series to r^7. */
static inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  float n = x * 1.44269504f + 12582912.0f; /* rounds: 1.5 x 2^23 */
  n -= 12582912.0f;
  float r = x - n * 0.693359375f;
  r += n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  int32_t bits = ((int32_t)n + 127) << 23;
  float scale;
  memcpy(&scale, &bits, 4);
  return p * scale;
}

/* log(1 + t) for t in [0, 1]: 2 artanh(t / (2 + t)). */
static inline float fast_log1p(float t) {
  float z = t / (2.0f + t), s = z * z;
  float p = 2.0f / 15;
  p = p * s + 2.0f / 13;
  p = p * s + 2.0f / 11;
  p = p * s + 2.0f / 9;
  p = p * s + 2.0f / 7;
  p = p * s + 2.0f / 5;
  p = p * s + 2.0f / 3;
  return p * s * z + 2.0f * z;
}

#endif
