/* L-BFGS: see lbfgs.h. */
#include "learn/lbfgs.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { MEMORY = 20, LINE_STEPS = 60 };

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static double norm_inf(const double *a, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++)
    if (!(fabs(a[i]) <= most)) most = fabs(a[i]);
  return most;
}

typedef struct state {
  size_t n;
  int memory, kept, next; /* pairs in a ring */
  double *w, *g, *new_w, *new_g, *d;
  double *s, *y, *rho, *alpha; /* (memory, n), (memory) */
} state;

/* d = -H g by the two-loop recursion. */
static void direction(state *st) {
  size_t n = st->n;
  memcpy(st->d, st->g, n * sizeof *st->d);
  for (int i = 0; i < st->kept; i++) {
    int k = (st->next - 1 - i + 2 * st->memory) % st->memory;
    const double *s = st->s + (size_t)k * n, *y = st->y + (size_t)k * n;
    st->alpha[k] = st->rho[k] * dot(s, st->d, n);
    for (size_t j = 0; j < n; j++) st->d[j] -= st->alpha[k] * y[j];
  }
  if (st->kept > 0) {
    int k = (st->next - 1 + st->memory) % st->memory;
    const double *y = st->y + (size_t)k * n;
    double scale = 1 / (st->rho[k] * dot(y, y, n));
    for (size_t j = 0; j < n; j++) st->d[j] *= scale;
  }
  for (int i = st->kept - 1; i >= 0; i--) {
    int k = (st->next - 1 - i + 2 * st->memory) % st->memory;
    const double *s = st->s + (size_t)k * n, *y = st->y + (size_t)k * n;
    double beta = st->rho[k] * dot(y, st->d, n);
    for (size_t j = 0; j < n; j++) st->d[j] += (st->alpha[k] - beta) * s[j];
  }
  for (size_t j = 0; j < n; j++) st->d[j] = -st->d[j];
}

/* Keeps the pair of the step just made, where the curvature is positive. */
static void remember(state *st) {
  size_t n = st->n;
  double *s = st->s + (size_t)st->next * n, *y = st->y + (size_t)st->next * n;
  for (size_t j = 0; j < n; j++) {
    s[j] = st->new_w[j] - st->w[j];
    y[j] = st->new_g[j] - st->g[j];
  }
  double sy = dot(s, y, n);
  if (!(sy > 1e-300)) return;
  st->rho[st->next] = 1 / sy;
  st->next = (st->next + 1) % st->memory;
  if (st->kept < st->memory) st->kept++;
}

/* A step along d that meets both Wolfe conditions; false where rounding leaves none. The slack is
 * what the sum's rounding can hide near the minimum. */
static bool line_search(state *st, double *value, double step, lbfgs_fn fn, void *context) {
  double low = 0, high = INFINITY, start = *value, slope = dot(st->g, st->d, st->n);
  double slack = 1e-14 * (fabs(start) > 1e-3 ? fabs(start) : 1e-3);
  if (!(slope < 0)) return false;
  for (int i = 0; i < LINE_STEPS; i++) {
    for (size_t j = 0; j < st->n; j++) st->new_w[j] = st->w[j] + step * st->d[j];
    double at = fn(context, st->new_w, st->new_g);
    if (!(at <= start + 1e-4 * step * slope + slack)) high = step;
    else if (dot(st->new_g, st->d, st->n) < 0.9 * slope) low = step;
    else {
      *value = at;
      return true;
    }
    step = isinf(high) ? 2 * low : (low + high) / 2;
  }
  return false;
}

garam_status lbfgs_minimise(lbfgs_result *out, double *w, size_t n, const lbfgs_config *config,
                            lbfgs_fn fn, lbfgs_step_fn step, void *context, garam_error *err) {
  int m = config->memory > 0 ? config->memory : MEMORY;
  size_t size;
  *out = (lbfgs_result){0};
  if (!size_mul(&size, n, 4 + 2 * (size_t)m)) return fail_memory(err, SIZE_MAX);
  double *memory = mem_array(size + 2 * (size_t)m, sizeof *memory);
  if (!memory) return fail_memory(err, size * sizeof *memory);
  state st = {.n = n,
              .memory = m,
              .w = w,
              .g = memory,
              .new_w = memory + n,
              .new_g = memory + 2 * n,
              .d = memory + 3 * n,
              .s = memory + 4 * n};
  st.y = st.s + (size_t)m * n;
  st.rho = st.y + (size_t)m * n;
  st.alpha = st.rho + m;
  garam_status status = GARAM_OK;
  double value = fn(context, w, st.g);
  for (;;) {
    out->value = value;
    out->gradient_norm = norm_inf(st.g, n);
    out->converged = out->gradient_norm <= config->tolerance;
    if (!isfinite(value) || !isfinite(out->gradient_norm)) {
      status = fail(err, GARAM_NUMERIC, "the loss left the finite numbers after %d iterations",
                    out->iterations);
      break;
    }
    if (out->converged || out->iterations >= config->max_iterations) break;
    direction(&st);
    double first = 1 / (out->gradient_norm * sqrt((double)n) + 1e-30);
    bool moved = line_search(&st, &value, st.kept ? 1 : first < 1 ? first : 1, fn, context);
    if (!moved && st.kept > 0) { /* a stale memory: once more along the gradient */
      st.kept = st.next = 0;
      direction(&st);
      moved = line_search(&st, &value, first < 1 ? first : 1, fn, context);
    }
    if (!moved) break; /* rounding allows no better */
    remember(&st);
    memcpy(w, st.new_w, n * sizeof *w);
    memcpy(st.g, st.new_g, n * sizeof *st.g);
    out->iterations++;
    if (step && step(context, out->iterations, value, norm_inf(st.g, n))) {
      status = fail(err, GARAM_INTERRUPTED, "interrupted after %d iterations", out->iterations);
      break;
    }
  }
  mem_free(memory);
  return status;
}
