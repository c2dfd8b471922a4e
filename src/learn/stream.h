/* A walk through time with a learner that goes on learning: each row is answered with what was
 * known at its known_at, and an outcome counts from its label_end on, not before. */
#ifndef LEARN_STREAM_H
#define LEARN_STREAM_H

#include "learn/learner.h"

/* Answers `asked` rows (any order; answered in that of known_at) into out (asked.n, n_outputs), as
 * predict would give them, and shows the learner each of the `outcomes` rows, labelled, as soon as
 * its label_end is at or before the row that is answered next. `rest`: the outcomes that are left
 * follow at the end. views (., width) of all rows in question; at[row] is a row's place in it.
 * bounds (asked.n, 2) may be NULL: the ends of intervals, of a learner that has them.
 * Without times, outcomes follow in order of rows after the last answer, if `rest`. */
garam_status stream_walk(learner *l, const dataset *d, row_set asked, row_set outcomes,
                         const float *views, const uint32_t *at, size_t n_outputs, bool rest,
                         float *out, float *bounds, garam_error *err);

/* The rows of both sets, ascending, each once: *out is owned by the caller; at (n_rows) is filled
 * with each one's place. */
garam_status stream_rows(row_set *out, uint32_t *at, const dataset *d, row_set a, row_set b,
                         garam_error *err);

#endif
