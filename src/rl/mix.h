/* Performance-weighted communication: row a of the (A, A) matrix says how much agent a listens to
 * each other, by how well they have done lately. The first sketch's shares R / sum R flip signs
 * where returns are negative, and one good agent then counts against itself; the corrected forms
 * rank, or standardise, and take a softmax. */
#ifndef RL_MIX_H
#define RL_MIX_H

#include "base/opt.h"

typedef enum mix_weights {
  MIX_RANK,  /* softmax of ranks in [0, 1] */
  MIX_SCORE, /* softmax of z-scores */
  MIX_SHARE, /* the first sketch's: others R / sum R, itself a half */
} mix_weights;
extern const char *const mix_weights_names[];

typedef struct mix_config {
  int weights; /* mix_weights */
  double temperature;
} mix_config;

typedef struct mixer {
  mix_config config;
  size_t n;
  double *performance; /* (n): mean return, moved by a hundredth at each end of an episode */
  double *scratch;
  uint64_t episodes;
} mixer;

garam_status mixer_init(mixer *m, const mix_config *config, size_t n, garam_error *err);
void mixer_deinit(mixer *m);
void mixer_observe(mixer *m, const double *returns); /* (n) of an episode that ended */
void mixer_matrix(const mixer *m, float *out);       /* (n, n), by rows */
/* One row from performances, itself left out of the sketch's. For tests too. */
void mix_row(double *out, const mix_config *config, const double *performance, size_t n,
             size_t self);

#endif
