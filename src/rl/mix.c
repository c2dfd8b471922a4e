/* Performance-weighted communication: see mix.h. */
#include "rl/mix.h"

#include "base/mem.h"

#include <math.h>

const char *const mix_weights_names[] = {"rank", "score", "share", NULL};

garam_status mixer_init(mixer *m, const mix_config *config, size_t n, garam_error *err) {
  *m = (mixer){.config = *config, .n = n};
  m->performance = mem_array(2 * n + 1, sizeof *m->performance);
  if (!m->performance) return fail_memory(err, 2 * n * sizeof *m->performance);
  m->scratch = m->performance + n;
  return GARAM_OK;
}

void mixer_deinit(mixer *m) {
  mem_free(m->performance);
  *m = (mixer){0};
}

/* The first episodes count evenly, later ones a hundredth each. */
void mixer_observe(mixer *m, const double *returns) {
  m->episodes++;
  const double rate = m->episodes < 100 ? 1 / (double)m->episodes : 0.01;
  for (size_t i = 0; i < m->n; i++) m->performance[i] += rate * (returns[i] - m->performance[i]);
}

static void shares(double *out, const double *performance, size_t n, size_t self) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += performance[i];
  for (size_t i = 0; i < n; i++)
    out[i] = i == self ? 0.5 : sum != 0 ? performance[i] / sum : 1 / (double)n;
}

static double rank_of(const double *performance, size_t n, size_t i) { /* 0 to 1, ties halved */
  double below = 0;
  for (size_t k = 0; k < n; k++)
    if (k != i)
      below += performance[k] < performance[i] ? 1 : performance[k] == performance[i] ? 0.5 : 0;
  return n > 1 ? below / (double)(n - 1) : 0;
}

void mix_row(double *out, const mix_config *c, const double *performance, size_t n, size_t self) {
  if (c->weights == MIX_SHARE) {
    shares(out, performance, n, self);
    return;
  }
  double mean = 0, squares = 0, most = -INFINITY, sum = 0;
  for (size_t i = 0; i < n; i++) mean += performance[i] / (double)n;
  for (size_t i = 0; i < n; i++) squares += pow(performance[i] - mean, 2) / (double)n;
  const double deviation = squares > 0 ? sqrt(squares) : 1;
  for (size_t i = 0; i < n; i++) {
    const double score =
        c->weights == MIX_RANK ? rank_of(performance, n, i) : (performance[i] - mean) / deviation;
    out[i] = score / c->temperature;
    if (out[i] > most) most = out[i];
  }
  for (size_t i = 0; i < n; i++) sum += out[i] = exp(out[i] - most);
  for (size_t i = 0; i < n; i++) out[i] /= sum;
}

void mixer_matrix(const mixer *m, float *out) {
  for (size_t a = 0; a < m->n; a++) {
    mix_row(m->scratch, &m->config, m->performance, m->n, a);
    for (size_t b = 0; b < m->n; b++) out[a * m->n + b] = (float)m->scratch[b];
  }
}
