/* Predictions for the rows of a table: what `garam predict` and garam_model_predict_data() do. */
#ifndef API_PREDICT_RUN_H
#define API_PREDICT_RUN_H

#include "garam/model.h"
#include "learn/pipeline.h"

/* Reads DATA as the package's training data was read and predicts every row with enough history.
 * GARAM_INVALID when there is none. Free with garam_predictions_free. */
garam_status predict_run(garam_predictions **out, pipeline *p, const char *data,
                         const table_read_config *read, table_progress_fn progress, void *context,
                         garam_error *err);

#endif
