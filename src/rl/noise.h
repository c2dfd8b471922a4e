/* Noise that is added to actions in order to find better ones. Of numbers in units of the box:
 * half its width is 1. */
#ifndef RL_NOISE_H
#define RL_NOISE_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef enum noise_kind {
  NOISE_GAUSSIAN,
  NOISE_ORNSTEIN_UHLENBECK, /* x += -theta x + scale N(0, 1): drifts back to 0, and so pushes the
                               same way for about 1 / theta steps (Uhlenbeck & Ornstein 1930;
                               Lillicrap et al. 2016, section 7) */
} noise_kind;
extern const char *const noise_names[];

typedef struct noise {
  noise_kind kind;
  double scale, theta;
  size_t n, width; /* worlds, numbers of each */
  double *x;       /* (n, width): where Ornstein-Uhlenbeck stands */
} noise;

garam_status noise_init(noise *z, noise_kind kind, double scale, double theta, size_t n,
                        size_t width, garam_error *err);
void noise_deinit(noise *z);
/* The next numbers (n, width), by the counter `step`. */
void noise_draw(noise *z, float *out, uint64_t seed, uint64_t step);
void noise_reset(noise *z, size_t world); /* an episode ended */
/* Standard deviation of what is drawn, once it has gone on for long. */
double noise_deviation(const noise *z);

#endif
