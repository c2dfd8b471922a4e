/* Has the mean of a stream of numbers changed? One update a tick, no allocation.
 *
 *   adwin         Bifet & Gavalda, "Learning from time-changing data with adaptive windowing", SDM
 *                 2007: a window that drops its old part when two parts of it differ by more than
 *                 chance at `confidence` allows; an exponential histogram holds it.
 *   page-hinkley  Page 1954, Hinkley 1971: the sum of rises over the mean so far, from its least.
 */
#ifndef ENSEMBLE_DRIFT_H
#define ENSEMBLE_DRIFT_H

#include "base/opt.h"
#include "learn/package.h"

typedef enum drift_kind { DRIFT_NONE, DRIFT_ADWIN, DRIFT_PAGE_HINKLEY } drift_kind;
extern const char *const drift_kind_names[]; /* NULL at the end */

typedef struct drift_config {
  int kind;          /* drift_kind */
  double confidence; /* adwin: chance of a false alarm at each cut */
  double slack;      /* page-hinkley: rise over the mean that is no drift, in deviations so far */
  double threshold;  /* page-hinkley: sum of rises that is one, in deviations so far */
  int least;         /* ticks before the first alarm */
} drift_config;
extern const opt_row drift_options[];
extern const size_t drift_n_options;

enum { DRIFT_BUCKETS = 5, DRIFT_LEVELS = 40 };

typedef struct drift {
  drift_config config;
  double n, sum, squares; /* of the window: numbers, their sum, sum of squares about the mean */
  double rise, least;     /* page-hinkley */
  double ticks, alarms;
  struct drift_level {
    double n; /* buckets of 2^level numbers, oldest first */
    double sum[DRIFT_BUCKETS + 1], squares[DRIFT_BUCKETS + 1]; /* squares about the bucket's mean */
  } level[DRIFT_LEVELS]; /* all state is doubles: a package holds it from n on, as it stands */
} drift;

void drift_init(drift *d, const drift_config *config);
/* True at the tick at which the mean is found to have changed (adwin: either way; page-hinkley:
 * risen). The window then holds what is recent. A value that is not finite is passed over. */
bool drift_update(drift *d, double value);
double drift_mean(const drift *d);   /* of the window */
double drift_length(const drift *d); /* numbers in the window */

garam_status drift_save(const drift *d, package_writer *w, const char *prefix, garam_error *err);
garam_status drift_load(drift *out, const drift_config *config, const package_reader *r,
                        const char *prefix, garam_error *err);

#endif
