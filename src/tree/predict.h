/* Fast prediction over a set of trees: a second, flat layout made once, then no allocation and no
 * lock; one predictor serves any number of threads at once.
 *
 * A node is eight bytes: the threshold, and a word with the feature, the way of missing values and
 * the left child; the right child stands next to it. Leaves lead to themselves, so that several
 * walks go on side by side until the last has arrived: for one row several trees, for many rows
 * several rows through one tree (AVX-512: 16 lanes, AVX2: 8, else 8 scalars). Sums are added in
 * the order of the trees in every case: the same bits as trees_predict_row. */
#ifndef TREE_PREDICT_H
#define TREE_PREDICT_H

#include "tree/trees.h"

#define TREES_MAX_OUTPUTS 4096

typedef struct trees_predictor trees_predictor;

/* Borrows t, which must stay as it is. More than TREES_MAX_OUTPUTS outputs: GARAM_LIMIT. */
garam_status trees_predictor_new(trees_predictor **out, const trees *t, garam_error *err);
void trees_predictor_free(trees_predictor *p); /* NULL is fine */

/* x (n, n_features), out (n, n_outputs). Many rows are cut into fixed blocks for threads. */
void trees_predict(const trees_predictor *p, const float *x, size_t n, double *out);
void trees_predict_f32(const trees_predictor *p, const float *x, size_t n, float *out);

const char *trees_predictor_isa(const trees_predictor *p); /* plain, scalar, avx2, avx512 */

#endif
