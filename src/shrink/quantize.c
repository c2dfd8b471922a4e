/* Round to nearest on a grid of levels * scale. The largest weight of a column sets the widest
 * scale; narrower ones clip it and are finer for all others. Each scale that is tried is also moved
 * to where its own codes fit best (least squares: sum w q / sum q^2), and the best of all is kept.
 */
#include "shrink/quantize.h"

#include "base/mem.h"
#include "base/thread.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { N_CLIPS = 12, COLUMNS = 8 };
static const float clip_step = 0.03f; /* scales down to 0.67 of the widest */

/* int8 leaves -128 out: as good with 255 levels, and a product of two codes never wraps. With four
 * bits the sixteenth level is worth having: a scale may be negative, so that it is on the side of
 * the largest weight. */
typedef struct levels {
  float low, high;
} levels;
static const levels levels_of[] = {[CODING_INT8] = {-127, 127}, [CODING_INT4] = {-8, 7}};

/* To the nearest whole number, ties to even; |x| < 2^22. What the compiler can do in lanes. */
static inline float nearest(float x) {
  const float magic = 12582912.0f; /* 1.5 * 2^23 */
  return (x + magic) - magic;
}

static inline float code_of(float w, float inverse, levels l) {
  float q = w * inverse;
  q = q < l.low ? l.low : q;
  q = q > l.high ? l.high : q;
  return nearest(q);
}

/* ---- one scale --------------------------------------------------------------------------- */

typedef struct best_scale {
  float scale;
  double error;
} best_scale;

/* The error of one scale; where its codes would rather have it goes to *better. */
static void try_scale(best_scale *best, float *better, const float *w, size_t n, float scale,
                      levels l) {
  const float inverse = 1 / scale;
  double wq = 0, qq = 0, error = 0;
  *better = 0;
  if (!isnormal(scale) || !isfinite(inverse)) return;
  for (size_t i = 0; i < n; i++) {
    const float q = code_of(w[i], inverse, l);
    const double d = (double)w[i] - (double)(q * scale);
    error += d * d;
    wq += (double)w[i] * (double)q;
    qq += (double)q * (double)q;
  }
  if (error < best->error) *best = (best_scale){scale, error};
  if (qq > 0) *better = (float)(wq / qq);
}

/* 0 where all is 0, or so small that a scale would not be a number of full precision. */
static float choose_scale(const float *w, size_t n, levels l) {
  float largest = 0, better, unused;
  best_scale best = {0, 0};
  for (size_t i = 0; i < n; i++) {
    if (fabsf(w[i]) > fabsf(largest)) largest = w[i];
    best.error += (double)w[i] * (double)w[i];
  }
  for (int side = 0; side < (l.low == -l.high ? 1 : 2); side++) {
    const float widest = side == 0 ? fabsf(largest) / l.high : largest / l.low;
    for (int i = 0; i < N_CLIPS; i++) {
      try_scale(&best, &better, w, n, widest * (1 - clip_step * (float)i), l);
      try_scale(&best, &unused, w, n, better, l);
    }
  }
  return best.scale;
}

/* ---- a matrix ---------------------------------------------------------------------------- */

typedef struct work {
  const coded_matrix *m;
  const float *columns; /* (outputs, inputs) */
  void *codes;
  float *scale;
} work;

static void quantize_column(const work *x, size_t j) {
  const coded_matrix *m = x->m;
  const levels l = levels_of[m->to];
  for (size_t g = 0; g * m->group < m->inputs; g++) {
    const size_t from = g * m->group;
    const size_t n = m->inputs - from < m->group ? m->inputs - from : m->group;
    const float *w = x->columns + j * m->inputs + from;
    const float scale = choose_scale(w, n, l), inverse = scale != 0 ? 1 / scale : 0;
    x->scale[g * m->outputs + j] = scale;
    for (size_t i = 0; i < n; i++) {
      const int q = (int)code_of(w[i], inverse, l);
      const size_t row = from + i;
      if (m->to == CODING_INT8) ((int8_t *)x->codes)[row * m->outputs + j] = (int8_t)q;
      else
        ((uint8_t *)x->codes)[row / 2 * m->outputs + j] ^= (uint8_t)((unsigned)(q + 8) ^ 8)
                                                           << (row % 2 ? 4 : 0);
    }
  }
}

static void quantize_columns(void *context, size_t begin, size_t end) {
  for (size_t j = begin; j < end; j++) quantize_column(context, j);
}

/* To the nearest, ties to even; what would round to infinity is the largest number instead. */
static uint16_t bf16_of(float w) {
  uint32_t bits;
  memcpy(&bits, &w, sizeof bits);
  bits += 0x7fff + (bits >> 16 & 1);
  if ((bits & 0x7f800000) == 0x7f800000) bits -= 0x10000;
  return (uint16_t)(bits >> 16);
}

garam_status quantize(void *codes, float *scale, const coded_matrix *m, const float *w,
                      garam_error *err) {
  const size_t n = m->inputs * m->outputs;
  if (m->to == CODING_BF16) {
    for (size_t i = 0; i < n; i++) ((uint16_t *)codes)[i] = bf16_of(w[i]);
    return GARAM_OK;
  }
  for (size_t i = 0; i < n; i++)
    if (!(fabsf(w[i]) <= CODED_MAX_SCALE))
      return fail(err, GARAM_NUMERIC, "weight %zu is %g: out of reach of a scale", i, (double)w[i]);
  float *columns = mem_array(n, sizeof *columns);
  if (!columns) return fail_memory(err, n * sizeof *columns);
  for (size_t i = 0; i < m->inputs; i++)
    for (size_t j = 0; j < m->outputs; j++) columns[j * m->inputs + i] = w[i * m->outputs + j];
  if (m->to == CODING_INT4) memset(codes, 0x88, coded_bytes(m)); /* zeros, an odd end's too */
  work x = {m, columns, codes, scale};
  thread_for(m->outputs, COLUMNS, quantize_columns, &x);
  mem_free(columns);
  return GARAM_OK;
}

garam_status quantize_error(double *out, const coded_matrix *m, const void *codes,
                            const float *scale, const float *w, garam_error *err) {
  const size_t n = m->inputs * m->outputs;
  float *back = mem_array(n, sizeof *back);
  double all = 0, lost = 0;
  if (!back) return fail_memory(err, n * sizeof *back);
  coded_decode(back, m, codes, scale);
  for (size_t i = 0; i < n; i++) {
    const double d = (double)back[i] - (double)w[i];
    lost += d * d;
    all += (double)w[i] * (double)w[i];
  }
  mem_free(back);
  *out = all > 0 ? sqrt(lost / all) : 0;
  return GARAM_OK;
}
