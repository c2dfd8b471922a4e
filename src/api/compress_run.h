/* A package into a smaller one, and what that costs: what `garam compress` does. */
#ifndef API_COMPRESS_RUN_H
#define API_COMPRESS_RUN_H

#include "learn/pipeline.h"
#include "shrink/compress.h"

typedef struct compress_run {
  compress_config how;
  const char *out;
  const char *data; /* to compare models on, or NULL */
  int episodes;     /* to compare policies in, or 0 */
  uint64_t seed;    /* of the episodes */
  double max_loss;  /* a share of what it was that may be lost; INFINITY: any */
  table_progress_fn progress;
  void *context;               /* of progress */
  bool (*interrupted)(void *); /* asked between scores, with NULL; may be NULL */
} compress_run;

/* *result: what compressed_write reports, and when both were compared "loss": {name, before, after,
 * change}: log_loss, mse, ndcg or return, and by what share of what it was it is worse (negative:
 * better). GARAM_LIMIT, and nothing is written, when that is above max_loss. */
garam_status compress_run_file(json_t **result, const char *path, const compress_run *run,
                               garam_error *err);

#endif
