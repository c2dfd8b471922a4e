/* Scores of a package on data: what `garam evaluate` and garam_evaluate() do. */
#ifndef API_EVALUATE_RUN_H
#define API_EVALUATE_RUN_H

#include "learn/pipeline.h"

/* Reads DATA and scores the rows that the package was not trained on. *result (new reference) has
 * the keys of docs/cli.md, with "model", "data" and "detail" beside them. */
garam_status evaluate_run(json_t **result, pipeline *p, const char *model_path, const char *data,
                          const table_read_config *read, const evaluate_config *config,
                          table_progress_fn progress, void *context, garam_error *err);

#endif
