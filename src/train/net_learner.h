/* The neural learner: any model of src/model behind learn/learner.h. A kind of learner is a
 * record here plus its learner_ops, in one short file: learner_*.c. */
#ifndef TRAIN_NET_LEARNER_H
#define TRAIN_NET_LEARNER_H

#include "learn/learner.h"
#include "train/predictor.h"
#include "train/train.h"

typedef struct net_record {
  const learner_ops *ops;
  const model_ops *model;
  size_t model_offset, train_offset; /* of the two configs in the learner's config struct */
} net_record;

typedef struct net_learner {
  learner base;
  const net_record *record;
  void *config; /* of record->ops->config_size bytes */
  learner_shape shape;
  size_t context, n_outputs;
  float *params;    /* flat block of the model */
  size_t block;     /* items */
  uint64_t version; /* counts changes of params */
  predictor predictor;
} net_learner;

garam_status net_create(learner **out, const net_record *record, const void *config,
                        const learner_shape *shape, garam_error *err);
garam_status net_load(learner **out, const net_record *record, const void *config,
                      const learner_shape *shape, package_reader *r, const char *prefix,
                      garam_error *err);
void net_destroy(learner *l);
size_t net_context(const learner *l);
garam_status net_fit(learner *l, const dataset *d, row_set train, row_set valid,
                     const fit_context *fit, fit_summary *summary, garam_error *err);
garam_status net_predict(learner *l, const float *x, const int32_t *begin, size_t n, float *out,
                         garam_error *err);
garam_status net_save(const learner *l, package_writer *w, const char *prefix, garam_error *err);
size_t net_parameters(const learner *l);

/* The graph of the model: names, shapes and places of its parameters. */
const graph *net_graph(const net_learner *l);
const train_config *net_train_config(const net_learner *l);
const void *net_model_config(const net_learner *l);

/* The functions of a learner_ops but for create and load, which name the record. */
#define NET_LEARNER_FUNCTIONS                                                                      \
  .destroy = net_destroy, .context = net_context, .fit = net_fit, .predict = net_predict,          \
  .save = net_save, .parameters = net_parameters, .wants_scaled = true,                            \
  .tasks = 1u << TASK_CLASSIFICATION | 1u << TASK_BINARY | 1u << TASK_REGRESSION

/* ---- learner_*.c ---------------------------------------------------------------------------- */
extern const learner_ops learner_transformer, learner_mlp, learner_lstm, learner_gru;
extern const net_record net_record_transformer, net_record_mlp, net_record_lstm, net_record_gru;

#endif
