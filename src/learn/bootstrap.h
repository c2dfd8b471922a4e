/* Resampling of rows whose labels overlap in time: blocks that keep neighbours together, draws that
 * avoid what is already there, and how unique each label is (Lopez de Prado 2018, chapter 4). For
 * bagging of any kind: a draw is a count for each row, which multiplies its weight. */
#ifndef LEARN_BOOTSTRAP_H
#define LEARN_BOOTSTRAP_H

#include "learn/dataset.h"

typedef enum bootstrap_kind {
  BOOTSTRAP_AUTO,       /* blocks where labels overlap, else rows */
  BOOTSTRAP_ROWS,       /* each row on its own */
  BOOTSTRAP_BLOCK,      /* circular blocks of rows in their order (Politis & Romano 1992) */
  BOOTSTRAP_SEQUENTIAL, /* each row by how unique its label is among those drawn before it */
} bootstrap_kind;
extern const char *const bootstrap_names[]; /* NULL at the end */

typedef struct bootstrap_config {
  int kind;
  double share;     /* of the number of rows, in one draw; over 0 */
  bool replacement; /* false: no row twice (pasting); a sequential draw always may */
  size_t block;     /* rows of a block; 0: four times the longest label, at least n^(1/3) */
} bootstrap_config;

/* A label lives from its row's time to its end. Average uniqueness: the mean, over the steps of its
 * life, of one over the number of `rows`' labels alive in that step (4.1, 4.2). A step lasts from
 * one time of the dataset to the next. out (rows.n); all 1 without times. Rows ascend in time:
 * GARAM_INVALID if not. */
garam_status bootstrap_uniqueness(double *out, const dataset *d, row_set rows, garam_error *err);

typedef struct bootstrap bootstrap;
garam_status bootstrap_new(bootstrap **out, const bootstrap_config *config, const dataset *d,
                           row_set rows, garam_error *err);
void bootstrap_free(bootstrap *b);                     /* NULL is fine */
bootstrap_kind bootstrap_resolved(const bootstrap *b); /* never AUTO */
size_t bootstrap_block(const bootstrap *b);            /* rows of a block, as resolved */

/* counts (rows.n): how often each row is in draw `number`, a function of seed and number alone.
 * Several threads may draw from one bootstrap. */
garam_status bootstrap_draw(uint32_t *counts, const bootstrap *b, uint64_t seed, uint64_t number,
                            garam_error *err);

/* Rows out of a draw that it can be judged on: not drawn, and no label of a drawn row meets theirs.
 * out (rows.n) 0 or 1; returns how many. */
size_t bootstrap_unseen(uint8_t *out, const bootstrap *b, const uint32_t *counts);

#endif
