/* The options of a training run on their own, and the names of their choices. */
#include "train/schedule.h"
#include "train/train.h"

const char *const class_weights_names[] = {"none", "balanced", NULL};
const char *const train_select_names[] = {"loss", "accuracy", NULL};
const char *const train_optimizer_state_names[] = {"fp32", "8bit", NULL};
const char *const train_precision_names[] = {"auto", "fp32", "bf16", NULL};

#define AT(field) OPT_AT(train_config, field)
const opt_row train_options[] = {
#include "train/options.def"
};
#undef AT
const size_t train_n_options = COUNT_OF(train_options);
