/* Draws of on-policy learners, by counter, and what they were worth in probability. */
#include "rl/onpolicy.h"

#include <math.h>

enum { WORDS = 4 };
#define UNIFORM_BLOCKS (UINT32_C(1) << 31) /* uniform numbers are counted from here on */

void onpolicy_noise(float *uniform, float *normal, size_t n, uint64_t seed, uint64_t step) {
  uint32_t word[WORDS];
  for (size_t i = 0; uniform && i < n; i += WORDS) {
    rng_philox(word, seed, RNG_EXPLORE, step, UNIFORM_BLOCKS + (uint32_t)(i / WORDS));
    for (size_t k = 0; k < WORDS && i + k < n; k++) uniform[i + k] = rng_unit_f32(word[k]);
  }
  for (size_t i = 0; normal && i < n; i += WORDS) {
    rng_philox(word, seed, RNG_EXPLORE, step, (uint32_t)(i / WORDS));
    float z[WORDS];
    for (size_t k = 0; k < WORDS; k += 2) { /* Box & Muller 1958 */
      const float radius = sqrtf(-2 * logf(1 - rng_unit_f32(word[k])));
      const float angle = 6.2831853f * rng_unit_f32(word[k + 1]);
      z[k] = radius * cosf(angle);
      z[k + 1] = radius * sinf(angle);
    }
    for (size_t k = 0; k < WORDS && i + k < n; k++) normal[i + k] = z[k];
  }
}

/* Sum of exp(logits - largest). */
static float exp_sum(float *largest, const float *logits, int k) {
  *largest = logits[0];
  for (int i = 1; i < k; i++) *largest = logits[i] > *largest ? logits[i] : *largest;
  float sum = 0;
  for (int i = 0; i < k; i++) sum += expf(logits[i] - *largest);
  return sum;
}

int onpolicy_choose(float *log_prob, const float *logits, int k, float uniform) {
  float largest, sum = exp_sum(&largest, logits, k), upto = 0;
  const float point = uniform * sum;
  int choice = 0;
  for (; choice < k - 1; choice++) {
    upto += expf(logits[choice] - largest);
    if (point < upto) break;
  }
  *log_prob = logits[choice] - largest - logf(sum);
  return choice;
}

float onpolicy_choice_log_prob(const float *logits, int k, int choice) {
  float largest;
  const float sum = exp_sum(&largest, logits, k);
  return logits[choice] - largest - logf(sum);
}

float onpolicy_box_log_prob(const float *head, const float *x, int n) {
  const float log_2pi = 1.8378770664f;
  float sum = 0;
  for (int i = 0; i < n; i++) {
    const float off = (x[i] - head[i]) * expf(-head[n + i]);
    sum += 0.5f * off * off + head[n + i] + 0.5f * log_2pi;
  }
  return -sum;
}
