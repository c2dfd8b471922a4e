/* From a file of data to a package, and from a package to its scores. Settings are one JSON object
 * with the keys that `garam train --config` takes (docs/cli.md; `garam options --json` lists
 * them), so that what is tried on the command line is pasted into a program.
 *
 *   char *result;
 *   garam_train("{\"data\": \"prices.csv\", \"model\": \"linear\", \"out\": \"m.safetensors\"}",
 *               NULL, NULL, &result, &err);
 *   garam_free(result); */
#ifndef GARAM_TRAIN_H
#define GARAM_TRAIN_H

#include "garam/garam.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How far training is. Losses are NaN where they are not known yet. */
typedef struct garam_progress {
  int epoch, n_epochs;           /* epoch from 1 */
  uint64_t step, n_steps;        /* in this epoch; both 0 at its end */
  double loss;                   /* of the last step */
  double train_loss, valid_loss; /* at the end of an epoch */
} garam_progress;

/* Called after each step and each epoch. A value other than 0 stops: the checkpoint is saved and
 * garam_train returns GARAM_INTERRUPTED; "resume": true goes on from there, bit for bit. */
typedef int (*garam_progress_fn)(void *context, const garam_progress *progress);

/* `config`: "data" (required), "model", "preset", "out", "seed", "resume", and every option of
 * the model and of the pipeline. *result_json (may be NULL) has the keys of
 * `garam train --json`; free it with garam_free. An unknown key is GARAM_NOT_FOUND. */
GARAM_API garam_status garam_train(const char *config, garam_progress_fn progress, void *context,
                                   char **result_json, garam_error *err);

/* Scores of a package on data; only rows that it was not trained on. `config` may be NULL, or hold
 * the keys of `garam evaluate --config`. *result_json as `garam evaluate --json`. */
GARAM_API garam_status garam_evaluate(const char *model_path, const char *data, const char *config,
                                      char **result_json, garam_error *err);

/* Frees what these functions gave. NULL is fine. */
GARAM_API void garam_free(void *ptr);

/* 0: as many threads as there are processors. Results do not depend on it. */
GARAM_API void garam_set_threads(int n);

#ifdef __cplusplus
}
#endif
#endif
