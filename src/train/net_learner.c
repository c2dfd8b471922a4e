/* The neural learner: its life, its predictions, its place in a package. Training is loop.c. */
#include "train/net_learner.h"

#include "base/mem.h"
#include "train/loop.h"

#include <string.h>

const graph *net_graph(const net_learner *l) {
  return l->predictor.programs[0].graph;
}

const train_config *net_train_config(const net_learner *l) {
  return (const train_config *)((const char *)l->config + l->record->train_offset);
}

const void *net_model_config(const net_learner *l) {
  return (const char *)l->config + l->record->model_offset;
}

/* The plan for one window comes first: it shows that the model can be built, and lays out the
 * parameters. */
static garam_status prepare(net_learner *l, garam_error *err) {
  const model_ops *model = l->record->model;
  if (model->check) TRY(model->check(net_model_config(l), err));
  l->context = (size_t)model->context(net_model_config(l));
  const program_config config = {
      .model = model,
      .model_config = net_model_config(l),
      .batch = 1,
      .context = (int64_t)l->context,
      .n_features = (int64_t)l->shape.n_features,
      .n_outputs = (int64_t)l->n_outputs,
      .task = l->shape.task,
  };
  program layout;
  TRY(program_build(&layout, &config, err));
  void *block = NULL;
  garam_status status = program_block(&block, &layout, err);
  l->block = graph_param_block(layout.graph);
  program_deinit(&layout);
  TRY(status);
  l->params = block;
  predictor_init(&l->predictor, &config, l->params, &l->version);
  program *one;
  return predictor_program(&one, &l->predictor, 1, err);
}

garam_status net_create(learner **out, const net_record *record, const void *config,
                        const learner_shape *shape, garam_error *err) {
  *out = NULL;
  const learner_ops *ops = record->ops;
  if (!(ops->tasks & 1u << shape->task))
    return fail(err, GARAM_UNSUPPORTED, "%s: does not do the task %s", ops->name,
                task_names[shape->task]);
  if (shape->n_features < 1)
    return fail(err, GARAM_INVALID, "%s: there are no features to learn from", ops->name);
  if (shape->task != TASK_REGRESSION && shape->n_classes < 2)
    return fail(err, GARAM_INVALID, "%s: %d classes; at least 2 are needed", ops->name,
                shape->n_classes);
  net_learner *l = mem_zalloc(sizeof *l);
  if (!l) return fail_memory(err, sizeof *l);
  l->base.ops = ops;
  l->record = record;
  l->shape = *shape;
  l->n_outputs = shape->task == TASK_REGRESSION ? 1 : (size_t)shape->n_classes;
  l->config = mem_alloc(ops->config_size);
  garam_status status = GARAM_OK;
  if (!l->config) TRY_GOTO(done, fail_memory(err, ops->config_size));
  memcpy(l->config, config, ops->config_size);
  TRY_GOTO(done, prepare(l, err));
  *out = &l->base;
  l = NULL;
done:
  if (l) net_destroy(&l->base);
  return status;
}

void net_destroy(learner *base) {
  if (!base) return;
  net_learner *l = (net_learner *)base;
  predictor_deinit(&l->predictor);
  mem_free_aligned(l->params);
  mem_free(l->config);
  mem_free(l);
}

size_t net_context(const learner *base) {
  return ((const net_learner *)base)->context;
}

size_t net_parameters(const learner *base) {
  return graph_param_scalars(net_graph((const net_learner *)base));
}

garam_status net_fit(learner *base, const dataset *d, row_set train, row_set valid,
                     const fit_context *fit, fit_summary *summary, garam_error *err) {
  return loop_fit((net_learner *)base, d, train, valid, fit, summary, err);
}

garam_status net_predict(learner *base, const float *x, const int32_t *begin, size_t n, float *out,
                         garam_error *err) {
  net_learner *l = (net_learner *)base;
  const size_t width = l->shape.n_features, window = l->context * width;
  for (size_t at = 0; at < n;) {
    program *p;
    TRY(predictor_program(&p, &l->predictor, n - at, err));
    size_t batch = (size_t)p->batch;
    float *to = p->x;
    memcpy(to, x + at * window, batch * window * sizeof *to);
    for (size_t i = 0; i < batch; i++) {
      int32_t padding = begin ? begin[at + i] : 0;
      REQUIRE(padding >= 0 && (size_t)padding < l->context,
              "predict: %d steps of padding in a "
              "window of %zu",
              padding, l->context);
      /* What the caller left in padded rows must not matter. */
      memset(to + i * window, 0, (size_t)padding * width * sizeof *to);
      p->begin[i] = padding;
    }
    TRY(plan_run(p->plan, 0, err));
    memcpy(out + at * l->n_outputs, p->scores, batch * l->n_outputs * sizeof *out);
    at += batch;
  }
  return GARAM_OK;
}

/* ---- packages ---- */

static garam_status full_name(char out[2 * NN_NAME_MAX], const char *prefix, const char *name,
                              garam_error *err) {
  if (strlen(prefix) >= NN_NAME_MAX)
    return fail(err, GARAM_INVALID, "package: a prefix of %zu characters", strlen(prefix));
  memcpy(out, prefix, strlen(prefix));
  memcpy(out + strlen(prefix), name, strlen(name) + 1);
  return GARAM_OK;
}

garam_status net_save(const learner *base, package_writer *w, const char *prefix,
                      garam_error *err) {
  const net_learner *l = (const net_learner *)base;
  const graph *g = net_graph(l);
  char name[2 * NN_NAME_MAX];
  for (size_t i = 0; i < graph_param_count(g); i++) {
    const param_info *info = graph_param_info(g, i);
    TRY(full_name(name, prefix, info->name, err));
    TRY(package_add(w, name, PACKAGE_F32, info->rank, info->dims, l->params + info->offset, err));
  }
  return GARAM_OK;
}

static garam_status load_arrays(net_learner *l, package_reader *r, const char *prefix,
                                garam_error *err) {
  const graph *g = net_graph(l);
  const package_tensor *t;
  char name[2 * NN_NAME_MAX];
  for (size_t i = 0; i < graph_param_count(g); i++) {
    const param_info *info = graph_param_info(g, i);
    TRY(full_name(name, prefix, info->name, err));
    TRY(package_get_finite(&t, r, name, PACKAGE_F32, info->rank, info->dims, err));
    memcpy(l->params + info->offset, t->data, t->bytes);
  }
  return GARAM_OK;
}

garam_status net_load(learner **out, const net_record *record, const void *config,
                      const learner_shape *shape, package_reader *r, const char *prefix,
                      garam_error *err) {
  TRY(net_create(out, record, config, shape, err));
  garam_status status = load_arrays((net_learner *)*out, r, prefix, err);
  ((net_learner *)*out)->version++;
  if (status != GARAM_OK) {
    net_destroy(*out);
    *out = NULL;
  }
  return status;
}
