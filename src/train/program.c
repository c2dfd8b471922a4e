/* A model's graph with its inputs, outputs and loss: see program.h. */
#include "train/program.h"

#include "base/mem.h"

#include <string.h>

/* A weight and a target a row, or of tokens one a step. */
static tensor *loss_build(const program_config *c, tensor *scores) {
  graph *g = tensor_graph(scores);
  const int64_t dims[2] = {c->batch, c->context};
  const int rank = c->model->build_tokens ? 2 : 1;
  tensor *weight = graph_input(g, "weight", DTYPE_REAL, rank, dims);
  if (c->task != TASK_REGRESSION) {
    tensor *target = graph_input(g, "target", DTYPE_I32, rank, dims);
    return op_cross_entropy(scores, target, weight, c->label_smoothing);
  }
  tensor *target = graph_input(g, "target", DTYPE_REAL, 1, &c->batch);
  tensor *flat = op_reshape(scores, 1, &c->batch);
  return c->huber > 0 ? op_huber(flat, target, weight, c->huber) : op_mse(flat, target, weight);
}

garam_status program_build(program *out, const program_config *c, garam_error *err) {
  *out = (program){.batch = c->batch,
                   .training = c->training,
                   .reads_tokens = c->model->build_tokens != NULL,
                   .item = c->real == DTYPE_F64 ? sizeof(double) : sizeof(float)};
  const graph_config config = {.real = c->real, .training = c->training, .seed = c->seed};
  TRY(graph_new(&out->graph, &config, err));
  graph *g = out->graph;
  const bool tokens = c->model->build_tokens;
  tensor *x = graph_input(g, "x", tokens ? DTYPE_I32 : DTYPE_REAL, tokens ? 2 : 3,
                          (const int64_t[]){c->batch, c->context, c->n_features});
  tensor *begin = graph_input(g, "begin", DTYPE_I32, 1, &c->batch);
  tensor *scores = tokens ? c->model->build_tokens(c->model_config, x, begin, c->n_outputs)
                          : c->model->build(c->model_config, x, begin, c->n_outputs);
  graph_output(g, "scores", scores);
  if (c->training) {
    tensor *loss = loss_build(c, scores);
    graph_output(g, "loss", loss);
    graph_grad(g, loss);
  }
  garam_status status = graph_check(g, err);
  if (status != GARAM_OK) program_deinit(out);
  return status;
}

garam_status program_compile(program *p, const plan_config *config, garam_error *err) {
  TRY(graph_compile(&p->plan, p->graph, config, err));
  void *x = plan_input(p->plan, "x", NULL);
  if (p->reads_tokens) p->tokens = x;
  else p->x = x;
  p->begin = plan_input(p->plan, "begin", NULL);
  p->scores = plan_output(p->plan, "scores", NULL);
  if (p->training) {
    p->target = plan_input(p->plan, "target", NULL);
    p->value = p->target;
    p->weight = plan_input(p->plan, "weight", NULL);
    p->loss = plan_output(p->plan, "loss", NULL);
  }
  return GARAM_OK;
}

void program_deinit(program *p) {
  plan_free(p->plan);
  graph_free(p->graph);
  *p = (program){0};
}

garam_status program_block(void **out, const program *p, garam_error *err) {
  size_t bytes = graph_param_block(p->graph) * p->item;
  *out = mem_alloc_aligned(bytes, 64);
  if (!*out) return fail_memory(err, bytes);
  memset(*out, 0, bytes);
  return GARAM_OK;
}
