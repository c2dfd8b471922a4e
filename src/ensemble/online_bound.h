/* What the regret of an online rule can be at most, and a study that holds the rules to it. */
#ifndef ENSEMBLE_ONLINE_BOUND_H
#define ENSEMBLE_ONLINE_BOUND_H

#include "ensemble/online.h"

/* The published bound on regret[k] after the ticks so far, for losses that differ by at most
 * config.range and no sleepers. With the gradient trick regret[k] is linearised, and the largest
 * of them is over the regret against the best convex combination. NaN where there is none: a range
 * that is learned (but adahedge, which needs none), uniform. */
double online_bound(const online *o, size_t k);
/* Fixed share against the best sequence of experts that changes `switches` times. */
double online_bound_switching(const online *o, size_t switches);

/* One rule on one stream of losses. */
typedef struct online_result {
  const char *stream, *rule;
  double loss, best_expert, best_combination, best_sequence, uniform; /* mean losses */
  double regret, bound; /* of the best expert (fixed-share: sequence), summed */
  double combination_regret, combination_bound; /* NaN without the gradient trick */
  double ns_per_tick;
} online_result;

typedef struct online_study_config {
  int experts, ticks, switches;
  bool time_ticks;
} online_study_config;
extern const opt_row online_study_options[];
extern const size_t online_study_n_options;

enum { ONLINE_STUDY_MOST = 32 };
/* Squared losses of experts and outcomes in [0, 1]: stationary (one expert is best), switching (the
 * best one changes), combination (only a mixture is good), adversarial (the outcome is chosen
 * against each mixture). Fills `out`; *n of them. */
garam_status online_study(online_result out[ONLINE_STUDY_MOST], size_t *n,
                          const online_study_config *config, uint64_t seed, garam_error *err);

#endif
