/* The numbers of one small training run, for comparison: see probe.h. */
#include "train/probe.h"

#include "base/mem.h"
#include "base/rng.h"
#include "learn/package.h"
#include "train/optim.h"
#include "train/program.h"

#include <stdio.h>
#include <string.h>

typedef struct probe {
  const probe_config *config;
  program program;
  optim_adamw *optim;
  size_t bytes; /* of a block */
  float *params, *grads, *weights_before, *grads_before;
  float *x, *scores; /* copies: the plan may reuse its memory */
  int32_t *begin, *target;
  double loss, losses[PROBE_STEPS];
} probe;

static garam_status prepare(probe *p, garam_error *err) {
  const probe_config *c = p->config;
  const program_config config = {
      .model = &model_transformer,
      .model_config = &c->model,
      .batch = c->batch,
      .context = c->model.seq,
      .n_features = c->n_features,
      .n_outputs = c->n_classes,
      .task = TASK_CLASSIFICATION,
      .training = true,
      .label_smoothing = c->train.label_smoothing,
      .seed = (uint64_t)c->seed,
  };
  TRY(model_transformer.check(&c->model, err));
  TRY(program_build(&p->program, &config, err));
  void *blocks[4] = {0};
  garam_status status = GARAM_OK;
  for (int i = 0; i < 4 && status == GARAM_OK; i++)
    status = program_block(&blocks[i], &p->program, err);
  p->params = blocks[0];
  p->grads = blocks[1];
  p->weights_before = blocks[2];
  p->grads_before = blocks[3];
  TRY(status);
  p->bytes = graph_param_block(p->program.graph) * sizeof *p->params;
  graph_param_init(p->program.graph, p->params, (uint64_t)c->seed);
  const plan_config plan_in = {
      .params = p->params,
      .grads = p->grads,
      .precision = c->train.precision == PRECISION_BF16 ? PLAN_BF16 : PLAN_FULL,
  };
  TRY(program_compile(&p->program, &plan_in, err));
  TRY(optim_adamw_new(&p->optim, p->program.graph, &c->train, err));

  const size_t n_x = (size_t)c->batch * (size_t)c->model.seq * (size_t)c->n_features;
  p->x = mem_array(n_x, sizeof *p->x);
  p->scores = mem_array((size_t)c->batch * (size_t)c->n_classes, sizeof *p->scores);
  p->begin = mem_array((size_t)c->batch, sizeof *p->begin);
  p->target = mem_array((size_t)c->batch, sizeof *p->target);
  if (!p->x || !p->scores || !p->begin || !p->target) return fail_memory(err, n_x * 4);
  return GARAM_OK;
}

static void draw_batch(probe *p) {
  const probe_config *c = p->config;
  const size_t window = (size_t)c->model.seq * (size_t)c->n_features;
  rng r;
  rng_init(&r, (uint64_t)c->seed, RNG_TEST, 0);
  for (int i = 0; i < c->batch; i++) {
    p->target[i] = (int32_t)rng_below(&r, (uint64_t)c->n_classes);
    p->begin[i] = i == 0 ? 0 : (int32_t)rng_below(&r, (uint64_t)c->model.seq);
    size_t padding = (size_t)p->begin[i] * (size_t)c->n_features;
    for (size_t k = 0; k < window; k++)
      p->x[(size_t)i * window + k] = k < padding ? 0 : (float)rng_normal(&r);
  }
}

static garam_status run(probe *p, uint64_t step, garam_error *err) {
  const probe_config *c = p->config;
  const size_t n = (size_t)c->batch, window = (size_t)c->model.seq * (size_t)c->n_features;
  float *weight = p->program.weight;
  memcpy(p->program.x, p->x, n * window * sizeof *p->x);
  memcpy(p->program.begin, p->begin, n * sizeof *p->begin);
  memcpy(p->program.target, p->target, n * sizeof *p->target);
  for (size_t i = 0; i < n; i++) weight[i] = 1;
  return plan_run(p->program.plan, step, err);
}

static garam_status measure(probe *p, garam_error *err) {
  const probe_config *c = p->config;
  memcpy(p->weights_before, p->params, p->bytes);
  for (uint64_t step = 0; step < PROBE_STEPS; step++) {
    TRY(run(p, step, err));
    p->losses[step] = *(const float *)p->program.loss;
    if (step == 0) {
      p->loss = p->losses[0];
      memcpy(p->scores, p->program.scores,
             (size_t)c->batch * (size_t)c->n_classes * sizeof *p->scores);
      memcpy(p->grads_before, p->grads, p->bytes);
    }
    optim_adamw_step(p->optim, p->params, p->grads, c->train.learning_rate, step);
  }
  return GARAM_OK;
}

static garam_status add_block(package_writer *w, const probe *p, const char *kind,
                              const float *block, garam_error *err) {
  const graph *g = p->program.graph;
  for (size_t i = 0; i < graph_param_count(g); i++) {
    const param_info *info = graph_param_info(g, i);
    char name[2 * NN_NAME_MAX];
    snprintf(name, sizeof name, "%s.%s", kind, info->name);
    TRY(package_add(w, name, PACKAGE_F32, info->rank, info->dims, block + info->offset, err));
  }
  return GARAM_OK;
}

static garam_status write_all(const probe *p, const char *path, garam_error *err) {
  const probe_config *c = p->config;
  const int64_t b = c->batch, t = c->model.seq, f = c->n_features, k = c->n_classes;
  package_writer *w = NULL;
  json_t *model = opt_to_json(transformer_options, transformer_n_options, &c->model);
  json_t *train = opt_to_json(train_options, train_n_options, &c->train);
  json_t *meta = json_pack("{s:o, s:o, s:I, s:i, s:i, s:i}", "model", model, "train", train, "seed",
                           (json_int_t)c->seed, "batch", c->batch, "n_features", c->n_features,
                           "n_classes", c->n_classes);
  garam_status status = GARAM_OK;
  if (!meta) TRY_GOTO(done, fail_memory(err, 1024));
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, package_add(w, "x", PACKAGE_F32, 3, (const int64_t[]){b, t, f}, p->x, err));
  TRY_GOTO(done, package_add(w, "begin", PACKAGE_I32, 1, &b, p->begin, err));
  TRY_GOTO(done, package_add(w, "target", PACKAGE_I32, 1, &b, p->target, err));
  TRY_GOTO(done, package_add(w, "scores", PACKAGE_F32, 2, (const int64_t[]){b, k}, p->scores, err));
  TRY_GOTO(done, package_add(w, "loss", PACKAGE_F64, 1, (const int64_t[]){1}, &p->loss, err));
  TRY_GOTO(done, package_add(w, "losses", PACKAGE_F64, 1, (const int64_t[]){PROBE_STEPS}, p->losses,
                             err));
  TRY_GOTO(done, add_block(w, p, "weight", p->weights_before, err));
  TRY_GOTO(done, add_block(w, p, "grad", p->grads_before, err));
  TRY_GOTO(done, add_block(w, p, "after", p->params, err));
  TRY_GOTO(done, package_set_meta(w, "probe", meta, err));
  status = package_write(w, path, err);
done:
  package_writer_free(w);
  json_decref(meta);
  return status;
}

garam_status probe_write(const probe_config *config, const char *path, garam_error *err) {
  probe_config plain = *config;
  plain.model.dropout = 0;
  if (plain.batch < 1 || plain.n_features < 1 || plain.n_classes < 2)
    return fail(err, GARAM_INVALID, "a probe needs a batch, features and two classes");
  probe p = {.config = &plain};
  garam_status status = GARAM_OK;
  TRY_GOTO(done, prepare(&p, err));
  draw_batch(&p);
  TRY_GOTO(done, measure(&p, err));
  TRY_GOTO(done, write_all(&p, path, err));
done:
  program_deinit(&p.program);
  optim_adamw_free(p.optim);
  mem_free_aligned(p.params);
  mem_free_aligned(p.grads);
  mem_free_aligned(p.weights_before);
  mem_free_aligned(p.grads_before);
  mem_free(p.x);
  mem_free(p.scores);
  mem_free(p.begin);
  mem_free(p.target);
  return status;
}
