/* Hidden Markov model with Gaussian states (diagonal): the regimes of a market. Fitted by
 * expectation maximisation (Baum & Welch; Rabiner, Proc. IEEE 1989) on the past it is given, then
 * filtered forward: the odds of the regime at t come from rows up to t. No smoothing: what is ahead
 * has no say. */
#ifndef ENSEMBLE_HMM_H
#define ENSEMBLE_HMM_H

#include "learn/package.h"

enum { HMM_MOST_STATES = 8, HMM_MOST_DIMS = 16 };

typedef struct hmm {
  int n_states, n_dims;
  double start[HMM_MOST_STATES];
  double stay[HMM_MOST_STATES][HMM_MOST_STATES]; /* from, to */
  double mean[HMM_MOST_STATES][HMM_MOST_DIMS];
  double variance[HMM_MOST_STATES][HMM_MOST_DIMS];
  double log_likelihood; /* of the rows fitted on */
} hmm;

typedef struct hmm_fit_config {
  int n_states, max_iterations;
  double tolerance; /* of the mean log-likelihood */
} hmm_fit_config;

/* x (n, n_dims) in order of time, finite; begins (n) or NULL: 1 where a new sequence begins. Starts
 * from two orderings of the rows (by distance from the centre, by the first number), and keeps the
 * likelier end. States come out in order of their summed variance: calm first. trace (may be NULL):
 * the mean log-likelihood of each iteration of the kept start, max_iterations of them, NaN after.*/
garam_status hmm_fit(hmm *out, const float *x, const uint8_t *begins, size_t n, int n_dims,
                     const hmm_fit_config *config, double *trace, garam_error *err);

/* odds (n_states): before the first row, and after one more; returns ln p(x | rows before). */
void hmm_begin(const hmm *h, double *odds);
double hmm_step(const hmm *h, double *odds, const float *x, bool first);

garam_status hmm_save(const hmm *h, package_writer *w, const char *prefix, garam_error *err);
garam_status hmm_load(hmm *out, int n_states, int n_dims, const package_reader *r,
                      const char *prefix, garam_error *err);

#endif
