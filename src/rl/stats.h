/* What scores of a few runs allow one to say (Agarwal, Schwarzer, Castro, Courville & Bellemare,
 * "Deep reinforcement learning at the edge of the statistical precipice", NeurIPS 2021; their
 * package is rliable): interquartile means, stratified bootstrap intervals, probability of
 * improvement, performance profiles. Definitions are theirs, to the treatment of ties and of
 * quarters that are no whole number of runs. */
#ifndef RL_STATS_H
#define RL_STATS_H

#include "base/status.h"

/* One row a run, one column a task: runs are what is drawn again, within each task. */
typedef struct stats_scores {
  const double *x; /* (n_runs, n_tasks) */
  size_t n_runs, n_tasks;
} stats_scores;

typedef struct stats_interval {
  double value, low, high; /* 95 % */
} stats_interval;

typedef enum stats_kind {
  STATS_IQM,            /* mean of the middle half of all runs and tasks */
  STATS_MEAN,           /* of all */
  STATS_MEDIAN,         /* over tasks, of the means over runs */
  STATS_OPTIMALITY_GAP, /* by how much scores fall short of 1, on average */
} stats_kind;
extern const char *const stats_kind_names[]; /* "iqm", ...; NULL at the end */

enum { STATS_DRAWS = 10000 };

/* NaN of no scores. `scratch` holds n_runs * n_tasks numbers. */
double stats_aggregate(stats_kind kind, stats_scores s, double *scratch);
/* With the 2.5th and 97.5th percentile of STATS_DRAWS stratified bootstrap draws, a function of
 * the seed. One run has no interval: low and high are its value. */
garam_status stats_bootstrap(stats_interval *out, stats_kind kind, stats_scores s, uint64_t seed,
                             garam_error *err);

/* P(X > Y): how often a run of x beats a run of y, ties by halves, averaged over tasks (Mann &
 * Whitney's U over its largest value). Both have the same tasks. */
double stats_improvement(stats_scores x, stats_scores y);
garam_status stats_improvement_bootstrap(stats_interval *out, stats_scores x, stats_scores y,
                                         uint64_t seed, garam_error *err);

/* The share of runs and tasks whose score is over tau, for each of them: value and interval. */
garam_status stats_profile(stats_interval *out, stats_scores s, const double *tau, size_t n_tau,
                           uint64_t seed, garam_error *err);

/* Mean of x (n) and the interval of its bootstrap: what a policy's episodes say. */
garam_status stats_mean(stats_interval *out, const double *x, size_t n, uint64_t seed,
                        garam_error *err);

/* As numpy's: between the two nearest by where q falls. `sorted` ascends. */
double stats_quantile(const double *sorted, size_t n, double q);

#endif
