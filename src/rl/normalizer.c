/* Running mean and variance: see normalizer.h. */
#include "rl/normalizer.h"

#include "base/mem.h"

#include <math.h>

garam_status normalizer_init(normalizer *z, size_t width, double clip, garam_error *err) {
  *z = (normalizer){.width = width, .clip = clip};
  z->mean = mem_array(2 * width + 1, sizeof *z->mean);
  if (!z->mean) return fail_memory(err, 2 * width * sizeof *z->mean);
  z->m2 = z->mean + width;
  return GARAM_OK;
}

void normalizer_deinit(normalizer *z) {
  mem_free(z->mean);
  *z = (normalizer){0};
}

/* The batch's own mean and squares first, then merged: two passes over what is in the cache, and no
 * cancellation however far from zero the rows are. */
void normalizer_update(normalizer *z, const float *x, size_t n) {
  if (n == 0) return;
  const double count = (double)n, total = z->count + count;
  for (size_t k = 0; k < z->width; k++) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i * z->width + k];
    const double mean = sum / count;
    for (size_t i = 0; i < n; i++) {
      const double d = (double)x[i * z->width + k] - mean;
      squares += d * d;
    }
    const double delta = mean - z->mean[k];
    z->mean[k] += delta * count / total;
    z->m2[k] += squares + delta * delta * z->count * count / total;
  }
  z->count = total;
}

double normalizer_deviation(const normalizer *z, size_t k) {
  return z->count < 2 ? 1 : sqrt(z->m2[k] / z->count + 1e-8);
}

void normalizer_apply(const normalizer *z, float *y, const float *x, size_t n) {
  for (size_t k = 0; k < z->width; k++) {
    const bool known = z->count >= 2;
    const double mean = known ? z->mean[k] : 0, inverse = 1 / normalizer_deviation(z, k);
    for (size_t i = 0; i < n; i++) {
      double value = ((double)x[i * z->width + k] - mean) * inverse;
      if (known && z->clip > 0) value = fmin(fmax(value, -z->clip), z->clip);
      y[i * z->width + k] = (float)value;
    }
  }
}
