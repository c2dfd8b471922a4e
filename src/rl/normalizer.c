/* Running mean and variance: see normalizer.h. */
#include "rl/normalizer.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

garam_status normalizer_init(normalizer *z, size_t width, double clip, garam_error *err) {
  *z = (normalizer){.width = width, .clip = clip};
  z->mean = mem_array(3 * width + 1, sizeof *z->mean);
  if (!z->mean) return fail_memory(err, 3 * width * sizeof *z->mean);
  z->m2 = z->mean + width;
  z->inverse = z->m2 + width;
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
  normalizer_refresh(z);
}

void normalizer_refresh(normalizer *z) {
  for (size_t k = 0; k < z->width; k++) z->inverse[k] = 1 / normalizer_deviation(z, k);
}

double normalizer_deviation(const normalizer *z, size_t k) {
  return z->count < 2 ? 1 : sqrt(z->m2[k] / z->count + 1e-8);
}

void normalizer_apply(const normalizer *z, float *y, const float *x, size_t n) {
  if (z->count < 2) {
    if (y != x) memcpy(y, x, n * z->width * sizeof *y);
    return;
  }
  const double most = z->clip > 0 ? z->clip : INFINITY;
  for (size_t i = 0; i < n; i++, x += z->width, y += z->width)
    for (size_t k = 0; k < z->width; k++) {
      const double value = ((double)x[k] - z->mean[k]) * z->inverse[k];
      y[k] = (float)(value > most ? most : value < -most ? -most : value);
    }
}
