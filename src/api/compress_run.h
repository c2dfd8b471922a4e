/* A package into a smaller one, and what that costs on data: what `garam compress` does. */
#ifndef API_COMPRESS_RUN_H
#define API_COMPRESS_RUN_H

#include "learn/pipeline.h"
#include "shrink/compress.h"

typedef struct compress_run {
  compress_config how;
  const char *out;
  const char *data; /* to compare both models on; NULL: they are not compared */
  double max_loss;  /* a share of the original's loss on it that may be lost; INFINITY: any */
  table_progress_fn progress;
  void *context;
} compress_run;

/* *result: what compressed_write reports, and with data "loss": {name, before, after, change}, the
 * change as a share of the loss before. Nothing is written when it is above max_loss. */
garam_status compress_run_file(json_t **result, const char *path, const compress_run *run,
                               garam_error *err);

#endif
