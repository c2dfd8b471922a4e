/* Noise of actions: see noise.h. */
#include "rl/noise.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

const char *const noise_names[] = {"gaussian", "ornstein-uhlenbeck", NULL};

garam_status noise_init(noise *z, noise_kind kind, double scale, double theta, size_t n,
                        size_t width, garam_error *err) {
  *z = (noise){.kind = kind, .scale = scale, .theta = theta, .n = n, .width = width};
  z->x = mem_array(n * width + 1, sizeof *z->x);
  return z->x ? GARAM_OK : fail_memory(err, n * width * sizeof *z->x);
}

void noise_deinit(noise *z) {
  mem_free(z->x);
  *z = (noise){0};
}

void noise_draw(noise *z, float *out, uint64_t seed, uint64_t step) {
  rng r;
  rng_init(&r, seed, RNG_EXPLORE, step);
  for (size_t i = 0; i < z->n * z->width; i++) {
    const double fresh = z->scale * rng_normal(&r);
    if (z->kind == NOISE_GAUSSIAN) out[i] = (float)fresh;
    else {
      z->x[i] += fresh - z->theta * z->x[i];
      out[i] = (float)z->x[i];
    }
  }
}

void noise_reset(noise *z, size_t world) {
  memset(z->x + world * z->width, 0, z->width * sizeof *z->x);
}

/* x' = (1 - theta) x + scale N: its variance v = (1 - theta)^2 v + scale^2. */
double noise_deviation(const noise *z) {
  if (z->kind == NOISE_GAUSSIAN) return z->scale;
  return z->scale / sqrt(1 - (1 - z->theta) * (1 - z->theta));
}
