/* Advantages, from the last step to the first: lanes lie side by side, so that the inner loop is
 * one over vectors. */
#include "rl/gae.h"

void gae(float *advantage, float *target, const float *reward, const float *value,
         const float *next_value, const uint8_t *terminated, const uint8_t *ended, size_t n_steps,
         size_t n_lanes, double gamma, double lambda) {
  const float discount = (float)gamma, carry = (float)(gamma * lambda);
  for (size_t t = n_steps; t-- > 0;) {
    const size_t at = t * n_lanes;
    const float *later = t + 1 < n_steps ? advantage + at + n_lanes : NULL;
    for (size_t i = at; i < at + n_lanes; i++) {
      const float follows = terminated[i] ? 0.0f : next_value[i];
      const float delta = reward[i] + discount * follows - value[i];
      const float rest = later && !ended[i] ? later[i - at] : 0.0f;
      advantage[i] = delta + carry * rest;
      target[i] = advantage[i] + value[i];
    }
  }
}
