/* Losses: what boosting descends. Gradients and hessians of each row by its scores, the score that
 * is best for all rows alike, and the loss itself.
 *
 * Scores are (K, n_rows of the dataset): the K-th starts at score + k n_rows. Everything is
 * reckoned in tiles of rows that stand side by side, whatever rows they are. */
#ifndef TREE_LOSS_H
#define TREE_LOSS_H

#include "learn/dataset.h"

enum { LOSS_TILE = 256 };

/* A loss brought by the host: gradients and hessians (n) of rows with these targets and scores,
 * and, where loss is not NULL, the loss of each. */
typedef void (*loss_custom_fn)(void *context, const float *target, const float *score, size_t n,
                               float *gradient, float *hessian, float *loss);

typedef struct loss_settings {
  double alpha;     /* huber: where it becomes linear; quantile: which one */
  double max_delta; /* poisson: added to the score in the hessian */
  loss_custom_fn custom;
  void *custom_context;
} loss_settings;

typedef struct loss_ops loss_ops;

typedef struct loss {
  const loss_ops *ops;
  loss_settings settings;
  const dataset *d;
  const float *weight; /* (n_rows) or NULL: of rows, times those of classes */
  size_t n_outputs;
  float *room; /* tiles of each thread */
  size_t room_size;
  void *state; /* of a loss with prepare */
} loss;

/* A tile: rows of the dataset, their targets, weights, and scores (K, LOSS_TILE). */
typedef struct loss_tile {
  const uint32_t *rows;
  size_t n;
  float target[LOSS_TILE], weight[LOSS_TILE];
  float *score;              /* (K, LOSS_TILE) */
  float *gradient, *hessian; /* (K, LOSS_TILE) */
  float loss[LOSS_TILE];     /* of each row, without its weight */
} loss_tile;

struct loss_ops {
  const char *name, *summary;
  unsigned tasks; /* 1 << task */
  /* The best score of all rows alike, output k, from the weighted target sums. May be NULL: 0. */
  double (*base)(const loss *l, row_set rows, size_t k);
  /* gradient and hessian of every row of the tile, with its weight. */
  void (*gradients)(const loss *l, loss_tile *t);
  void (*losses)(const loss *l, loss_tile *t);
  /* Losses of whole sets of rows, not of each: in the place of the two above. `prepare` sees both
   * sets; the others are given one of them. gh as in loss_gradients. */
  garam_status (*prepare)(loss *l, row_set train, row_set valid, garam_error *err);
  void (*deinit)(loss *l);
  void (*all_gradients)(const loss *l, float *gh, const float *score, row_set rows);
  double (*all_losses)(const loss *l, const float *score, row_set rows);
  /* A quantile of the residuals that leaves are set to after a tree has grown; NULL: Newton's. */
  double (*renewal)(const loss *l);
};

extern const loss_ops *const loss_registry[]; /* NULL at the end */
extern const char *const loss_names[];        /* "auto" first, NULL at the end */
extern const loss_ops loss_squared, loss_huber, loss_quantile, loss_poisson, loss_logistic,
    loss_softmax, loss_lambdarank, loss_custom;

/* The loss by its name, or the usual one of the task for "auto". */
garam_status loss_choose(const loss_ops **out, const char *name, task kind, garam_error *err);

/* Gradients are asked of `train` only, losses of either set; both outlive the loss. */
garam_status loss_init(loss *l, const loss_ops *ops, const loss_settings *settings,
                       const dataset *d, const float *weight, row_set train, row_set valid,
                       garam_error *err);
void loss_deinit(loss *l);

/* gh (K, 2 n_rows) of the rows, output by output. */
void loss_gradients(const loss *l, float *gh, const float *score, row_set rows);
/* The weighted mean over the rows, and the share of rows whose class is hit (NaN: no classes). */
double loss_mean(const loss *l, const float *score, row_set rows, double *accuracy);

#endif
