/* The learner `mlp`. */
#include "train/net_learner.h"
#include "train/schedule.h"

typedef struct config {
  mlp_config model;
  train_config train;
} config;

static const opt_row options[] = {
#define AT(field) OPT_AT(config, model.field)
#include "model/mlp.def"
#undef AT
#define AT(field) OPT_AT(config, train.field)
#include "train/options.def"
#undef AT
};

static const learner_preset presets[] = {
    {"tiny", (const char *const[]){"hidden=32", "batch=64", "learning-rate=2e-3", "schedule=cosine",
                                   "epochs=20", "patience=5", NULL}},
    {"small", (const char *const[]){"hidden=64", "batch=64", "learning-rate=1e-3",
                                    "schedule=cosine", "epochs=40", "patience=8", NULL}},
    {"base", (const char *const[]){"hidden=256", "layers=3", "batch=128", "learning-rate=1e-3",
                                   "schedule=cosine", NULL}},
    {NULL, NULL},
};

const net_record net_record_mlp = {&learner_mlp, &model_mlp, offsetof(config, model),
                                   offsetof(config, train)};

static garam_status create(learner **out, const void *c, const learner_shape *shape,
                           garam_error *err) {
  return net_create(out, &net_record_mlp, c, shape, err);
}

static garam_status load(learner **out, const void *c, const learner_shape *shape,
                         package_reader *r, const char *prefix, garam_error *err) {
  return net_load(out, &net_record_mlp, c, shape, r, prefix, err);
}

const learner_ops learner_mlp = {
    .name = "mlp",
    .summary = "Multi-layer perceptron over a row, or a flattened window",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .presets = presets,
    .create = create,
    .load = load,
    NET_LEARNER_FUNCTIONS,
};
