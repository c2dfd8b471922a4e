/* The learner `transformer`. */
#include "train/net_learner.h"
#include "train/schedule.h"

typedef struct config {
  transformer_config model;
  train_config train;
} config;

static const opt_row options[] = {
#define AT(field) OPT_AT(config, model.field)
#include "model/transformer.def"
#undef AT
#define AT(field) OPT_AT(config, train.field)
#include "train/options.def"
#undef AT
};

/* tiny trains in seconds on two cores, small in a few minutes; base is the published size. */
static const learner_preset presets[] = {
    {"tiny", (const char *const[]){"d-model=32", "heads=2", "layers=2", "d-ff=64", "seq=32",
                                   "norm=pre", "pooling=last", "dropout=0.05", "batch=64",
                                   "learning-rate=2e-3", "schedule=cosine", "epochs=15",
                                   "steps-per-epoch=200", "patience=5", NULL}},
    {"small",
     (const char *const[]){"d-model=64", "heads=4", "layers=2", "d-ff=256", "seq=64", "norm=pre",
                           "pooling=last", "batch=64", "learning-rate=1e-3", "schedule=cosine",
                           "epochs=15", "steps-per-epoch=200", "patience=5", NULL}},
    {"base", (const char *const[]){NULL}},
    {NULL, NULL},
};

const net_record net_record_transformer = {&learner_transformer, &model_transformer,
                                           offsetof(config, model), offsetof(config, train)};

static garam_status create(learner **out, const void *c, const learner_shape *shape,
                           garam_error *err) {
  return net_create(out, &net_record_transformer, c, shape, err);
}

static garam_status load(learner **out, const void *c, const learner_shape *shape,
                         package_reader *r, const char *prefix, garam_error *err) {
  return net_load(out, &net_record_transformer, c, shape, r, prefix, err);
}

const learner_ops learner_transformer = {
    .name = "transformer",
    .summary = "Multi-head attention over a window of rows",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .presets = presets,
    .create = create,
    .load = load,
    NET_LEARNER_FUNCTIONS,
};
