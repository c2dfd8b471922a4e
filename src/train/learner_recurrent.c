/* The learners `lstm` and `gru`. */
#include "train/net_learner.h"
#include "train/schedule.h"

typedef struct config {
  recurrent_config model;
  train_config train;
} config;

static const opt_row options[] = {
#define AT(field) OPT_AT(config, model.field)
#include "model/recurrent.def"
#undef AT
#define AT(field) OPT_AT(config, train.field)
#include "train/options.def"
#undef AT
};

static const learner_preset presets[] = {
    {"tiny", (const char *const[]){"hidden=16", "seq=32", "batch=64", "learning-rate=3e-3",
                                   "schedule=cosine", "epochs=15", "steps-per-epoch=200",
                                   "patience=5", NULL}},
    {"small",
     (const char *const[]){"hidden=64", "batch=64", "learning-rate=2e-3", "schedule=cosine",
                           "epochs=15", "steps-per-epoch=200", "patience=5", NULL}},
    {"base", (const char *const[]){"hidden=128", "layers=2", "batch=64", "learning-rate=1e-3",
                                   "schedule=cosine", NULL}},
    {NULL, NULL},
};

const net_record net_record_lstm = {&learner_lstm, &model_lstm, offsetof(config, model),
                                    offsetof(config, train)};
const net_record net_record_gru = {&learner_gru, &model_gru, offsetof(config, model),
                                   offsetof(config, train)};

static garam_status create_lstm(learner **out, const void *c, const learner_shape *shape,
                                garam_error *err) {
  return net_create(out, &net_record_lstm, c, shape, err);
}

static garam_status load_lstm(learner **out, const void *c, const learner_shape *shape,
                              package_reader *r, const char *prefix, garam_error *err) {
  return net_load(out, &net_record_lstm, c, shape, r, prefix, err);
}

static garam_status create_gru(learner **out, const void *c, const learner_shape *shape,
                               garam_error *err) {
  return net_create(out, &net_record_gru, c, shape, err);
}

static garam_status load_gru(learner **out, const void *c, const learner_shape *shape,
                             package_reader *r, const char *prefix, garam_error *err) {
  return net_load(out, &net_record_gru, c, shape, r, prefix, err);
}

const learner_ops learner_lstm = {
    .name = "lstm",
    .summary = "Long short-term memory over a window of rows",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .presets = presets,
    .create = create_lstm,
    .load = load_lstm,
    NET_LEARNER_FUNCTIONS,
};

const learner_ops learner_gru = {
    .name = "gru",
    .summary = "Gated recurrent units over a window of rows",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(config),
    .presets = presets,
    .create = create_gru,
    .load = load_gru,
    NET_LEARNER_FUNCTIONS,
};
