/* Generalised advantage estimation (Schulman, Moritz, Levine, Jordan & Abbeel 2016, eq. 16). */
#ifndef RL_GAE_H
#define RL_GAE_H

#include <stddef.h>
#include <stdint.h>

/* All (T, L): T steps of L lanes (a world's agent each), one behind another in memory.
 *   delta_t     = reward_t + gamma next_value_t (1 - terminated_t) - value_t
 *   advantage_t = delta_t + gamma lambda (1 - ended_t) advantage_{t+1}
 *   target_t    = advantage_t + value_t
 * next_value is that of what followed the step: where an episode was cut, of its last observation
 * and not of the next episode's first; so a cut is bootstrapped through, and an end is not.
 * ended: the lane's episode was over after the step, in either way. */
void gae(float *advantage, float *target, const float *reward, const float *value,
         const float *next_value, const uint8_t *terminated, const uint8_t *ended, size_t n_steps,
         size_t n_lanes, double gamma, double lambda);

#endif
