/* One training run from a file of data to a package: what `garam train` and garam_train() both
 * do. The request is filled by option rows, so both take the same settings. */
#ifndef API_TRAIN_RUN_H
#define API_TRAIN_RUN_H

#include "learn/pipeline.h"

enum { TRAIN_PATH_MAX = 4096, TRAIN_MAX_SETS = 8 };

typedef struct train_request {
  char data[TRAIN_PATH_MAX];
  char model[64], preset[32];
  char valid[TRAIN_PATH_MAX]; /* DATA of its own, or "" */
  char out[TRAIN_PATH_MAX];
  char checkpoint[TRAIN_PATH_MAX]; /* folder; "": OUT.checkpoint */
  char curve[TRAIN_PATH_MAX], events[TRAIN_PATH_MAX];
  bool resume;
  int64_t seed;
  pipeline_config pipeline;
  const learner_ops *ops; /* from train_request_init */
  void *learner;          /* config of ops, owned */
} train_request;

extern const opt_row train_request_options[]; /* model to resume; not data and seed */
extern const size_t train_request_n_options;

/* Defaults everywhere, then the preset. `model` NULL or "" is the transformer. GARAM_NOT_FOUND,
 * with the nearest name, where there is no such model or preset. */
garam_status train_request_init(train_request *r, const char *model, const char *preset,
                                garam_error *err);
void train_request_deinit(train_request *r);

/* Every set of rows of the request, with its config; returns how many (at most TRAIN_MAX_SETS).
 * Setting their defaults again would undo the preset. */
size_t train_request_sets(opt_set sets[TRAIN_MAX_SETS], train_request *r);

/* All callbacks may be NULL; the context is theirs. */
typedef struct train_hooks {
  table_progress_fn on_read;
  void (*on_rows)(void *context, const table *t); /* after reading, before fitting */
  void (*on_epoch)(void *context, const fit_epoch *epoch);
  void (*on_step)(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss);
  bool (*interrupted)(void *context);
  void *context;
} train_hooks;

/* Reads, fits, saves. *result (new reference) has the keys of docs/cli.md. GARAM_INTERRUPTED:
 * the checkpoint is in r->checkpoint, and the same request with `resume` goes on from it. */
garam_status train_run(json_t **result, train_request *r, const train_hooks *hooks,
                       garam_error *err);

#endif
