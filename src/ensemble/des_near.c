/* Exact nearest neighbours, by wide registers: for the few thousand rows of a validation part, a
 * scan is microseconds and has nothing to tune. */
#include "ensemble/des.h"

#include "base/mem.h"
#include "base/wide.h"

#include <string.h>

enum { LANES = DES_LANES };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

garam_status des_near_init(des_near *out, const float *x, size_t n, size_t width,
                           garam_error *err) {
  size_t size = 0;
  *out = (des_near){.n = n, .width = width, .stride = (width + LANES - 1) / LANES * LANES};
  if (size_mul(&size, n, out->stride)) out->x = mem_array(size, sizeof *out->x);
  if (!out->x) return fail_memory(err, size * sizeof *out->x);
  for (size_t i = 0; i < n; i++) memcpy(out->x + i * out->stride, x + i * width, width * sizeof *x);
  return GARAM_OK;
}

void des_near_deinit(des_near *s) {
  mem_free(s->x);
  *s = (des_near){0};
}

static inline __attribute__((always_inline)) float distance(const float *a, const float *b,
                                                            size_t stride) {
  lanes sum = {0}, u, v;
  float s[LANES];
  for (size_t i = 0; i < stride; i += LANES) {
    memcpy(&u, a + i, sizeof u);
    memcpy(&v, b + i, sizeof v);
    u -= v;
    sum += u * u;
  }
  memcpy(s, &sum, sizeof s);
  for (size_t half = LANES / 2; half > 0; half /= 2)
    for (size_t j = 0; j < half; j++) s[j] += s[j + half];
  return s[0];
}

float des_near_distance(const float *a, const float *b, size_t stride) {
  return distance(a, b, stride);
}

WIDE static size_t find(des_neighbour *out, size_t k, const des_near *s, const float *query,
                        uint32_t but) {
  size_t found = 0;
  for (size_t i = 0; i < s->n; i++) {
    float d = distance(s->x + i * s->stride, query, s->stride);
    if (i == but || (found == k && !(d < out[k - 1].distance))) continue;
    size_t at = found < k ? found++ : k - 1;
    for (; at > 0 && out[at - 1].distance > d; at--) out[at] = out[at - 1];
    out[at] = (des_neighbour){d, (uint32_t)i};
  }
  return found;
}

size_t des_near_find(des_neighbour *out, size_t k, const des_near *s, const float *query,
                     uint32_t but) {
  return find(out, k, s, query, but);
}
