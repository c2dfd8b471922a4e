/* The map of 8-bit numbers, see kernel_numbers8. A code c in [1, 255] with k = floor(log2 c) is
 *   U(c) = 10^(k-8) (1 + 9 (c - 2^k + 1/2) / 2^k),
 * the middle of step c - 2^k of the 2^k steps of the decade [10^(k-8), 10^(k-7)); U(0) = 0. It
 * needs no table of 256: k is the exponent of c as a float. Signed numbers are a sign bit and a
 * code below 128. A block's scale is its largest over U of the largest code. */
#ifndef KERNEL_REF_BLOCK8_H
#define KERNEL_REF_BLOCK8_H

/* 10^(k-8): where decade k begins; the length of its steps, and the inverse of that. */
#define BLOCK8_DECADES                                                                             \
  { 1e-8f, 1e-7f, 1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f }
#define BLOCK8_STEPS                                                                               \
  { 9e-8f, 9e-7f / 2, 9e-6f / 4, 9e-5f / 8, 9e-4f / 16, 9e-3f / 32, 9e-2f / 64, 9e-1f / 128 }
#define BLOCK8_RATES                                                                               \
  { 1e8f / 9, 2e7f / 9, 4e6f / 9, 8e5f / 9, 16e4f / 9, 32e3f / 9, 64e2f / 9, 128e1f / 9 }
#define BLOCK8_FIRST 5.5e-8f         /* U(1) */
#define BLOCK8_SIGNED 0.0992968750f  /* U(127) */
#define BLOCK8_UNSIGNED 0.996484375f /* U(255) */
#define BLOCK8_NOTHING 1e-30f        /* a block whose largest is below is zero */

#endif
