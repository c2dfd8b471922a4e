/* Rows of tables, norms, softmax, and picking or averaging the steps of a sequence. */
#include "graph/op_inner.h"

#include <string.h>

static int64_t last_dim(const tensor *t) {
  return t->dims[t->rank - 1];
}

static size_t rows_of(const tensor *t) {
  return (size_t)(t->count / last_dim(t));
}

static double network_flops(const node *n) {
  return 8.0 * (double)n->outputs[0]->count;
}

/* Real, with at least one axis. */
static bool has_rows(node *n, const tensor *x) {
  if (x->type == DTYPE_I32) return node_fail(n, "the operand holds int32");
  if (x->rank < 1) return node_fail(n, "the operand has no axis");
  return true;
}

/* ---- embedding ---- */

static bool embedding_shape(node *n) {
  const tensor *table = n->inputs[0], *index = n->inputs[1];
  if (table->rank != 2 || table->type == DTYPE_I32 || index->type != DTYPE_I32)
    return node_fail(n, "expected a table (V,C) and int32 indices");
  if (index->rank >= TENSOR_MAX_RANK) return node_fail(n, "the indices have too many axes");
  int64_t dims[TENSOR_MAX_RANK];
  memcpy(dims, index->dims, sizeof dims);
  dims[index->rank] = table->dims[1];
  return node_output(n, table->type, index->rank + 1, dims);
}

typedef struct embedding_attr {
  int64_t rows;
} embedding_attr;

static void embedding_grad(const node *n, tensor *const *dy) {
  embedding_attr a = {n->inputs[0]->dims[0]};
  grad_add(n->inputs[0],
           node_emit(&record_embedding_backward, TENSORS(dy[0], n->inputs[1]), &a, sizeof a));
}

static void embedding_run(const op_run *r) {
  const tensor *table = r->node->inputs[0], *index = r->node->inputs[1];
  op_kernel(r)->gather(r->out[0], r->in[0], r->in[1], (size_t)index->count, (size_t)table->dims[0],
                       (size_t)table->dims[1]);
}

const op_record record_embedding = {.name = "embedding",
                                    .onnx = "Gather",
                                    .shape = embedding_shape,
                                    .grad = embedding_grad,
                                    .run = embedding_run};

tensor *op_embedding(tensor *table, tensor *index) {
  return node_emit(&record_embedding, TENSORS(table, index), NULL, 0);
}

static bool embedding_backward_shape(node *n) {
  const embedding_attr *a = n->attr;
  const tensor *dy = n->inputs[0];
  return node_output(n, dy->type, 2, (int64_t[]){a->rows, last_dim(dy)});
}

static void embedding_backward_run(const op_run *r) {
  const tensor *table = r->node->outputs[0], *index = r->node->inputs[1];
  op_kernel(r)->scatter(r->out[0], r->in[0], r->in[1], (size_t)index->count, (size_t)table->dims[0],
                        (size_t)table->dims[1]);
}

const op_record record_embedding_backward = {
    .name = "embedding_backward", .shape = embedding_backward_shape, .run = embedding_backward_run};

/* ---- layer_norm: x, gain or NULL, bias or NULL -> y, mean, rstd ---- */

static bool norm_vector(node *n, int i) {
  const tensor *x = n->inputs[0], *v = n->inputs[i];
  if (v && (v->rank != 1 || v->dims[0] != last_dim(x)))
    return node_fail(n, "operand %d is not of the size of the last axis", i);
  return true;
}

static bool layer_norm_shape(node *n) {
  const tensor *x = n->inputs[0];
  return has_rows(n, x) && norm_vector(n, 1) && norm_vector(n, 2) &&
         node_output(n, x->type, x->rank, x->dims) &&
         node_output(n, x->type, x->rank - 1, x->dims) &&
         node_output(n, x->type, x->rank - 1, x->dims);
}

static void layer_norm_grad(const node *n, tensor *const *dy) {
  tensor *x = n->inputs[0], *gain = n->inputs[1], *bias = n->inputs[2];
  node *d = dy[0] ? node_append(n->graph, &record_layer_norm_backward,
                                TENSORS(dy[0], x, gain, n->outputs[1], n->outputs[2]), NULL, 0)
                  : NULL;
  if (!d) return;
  grad_add(x, d->outputs[0]);
  if (gain) grad_add(gain, d->outputs[1]);
  if (bias) grad_add(bias, d->outputs[2]);
}

static void layer_norm_run(const op_run *r) {
  const tensor *x = r->node->inputs[0];
  const norm_attr *a = r->node->attr;
  op_kernel(r)->layer_norm(r->out[0], r->in[0], r->in[1], r->in[2], r->out[1], r->out[2],
                           rows_of(x), (size_t)last_dim(x), a->epsilon);
}

const op_record record_layer_norm = {.name = "layer_norm",
                                     .onnx = "LayerNormalization",
                                     .flags = OP_CHEAP,
                                     .optional = 6,
                                     .spare = 6,
                                     .shape = layer_norm_shape,
                                     .grad = layer_norm_grad,
                                     .run = layer_norm_run,
                                     .flops = network_flops};

tensor *op_layer_norm(tensor *x, tensor *gain, tensor *bias, double epsilon) {
  return node_emit(&record_layer_norm, TENSORS(x, gain, bias), &(norm_attr){epsilon},
                   sizeof(norm_attr));
}

/* dy, x, gain or NULL, mean, rstd -> dx, dgain, dbias */
static bool layer_norm_backward_shape(node *n) {
  const tensor *x = n->inputs[1];
  int64_t cols = last_dim(x);
  return node_output(n, x->type, x->rank, x->dims) && node_output(n, x->type, 1, &cols) &&
         node_output(n, x->type, 1, &cols);
}

static size_t layer_norm_scratch(const node *n, const void *state) {
  (void)state;
  const tensor *x = n->inputs[1];
  return op_kernel_of(n)->layer_norm_scratch(rows_of(x), (size_t)last_dim(x));
}

static void layer_norm_backward_run(const op_run *r) {
  const tensor *x = r->node->inputs[1];
  op_kernel(r)->layer_norm_backward(r->out[0], r->out[1], r->out[2], r->in[0], r->in[1], r->in[2],
                                    r->in[3], r->in[4], rows_of(x), (size_t)last_dim(x),
                                    r->scratch);
}

const op_record record_layer_norm_backward = {.name = "layer_norm_backward",
                                              .optional = 4,
                                              .in_place = 1,
                                              .spare = 6,
                                              .shape = layer_norm_backward_shape,
                                              .scratch = layer_norm_scratch,
                                              .run = layer_norm_backward_run,
                                              .flops = network_flops};

/* ---- rms_norm: x, gain or NULL -> y, rstd (Zhang & Sennrich 2019) ---- */

static bool rms_norm_shape(node *n) {
  const tensor *x = n->inputs[0];
  return has_rows(n, x) && norm_vector(n, 1) && node_output(n, x->type, x->rank, x->dims) &&
         node_output(n, x->type, x->rank - 1, x->dims);
}

static void rms_norm_grad(const node *n, tensor *const *dy) {
  tensor *x = n->inputs[0], *gain = n->inputs[1];
  node *d = dy[0] ? node_append(n->graph, &record_rms_norm_backward,
                                TENSORS(dy[0], x, gain, n->outputs[1]), NULL, 0)
                  : NULL;
  if (!d) return;
  grad_add(x, d->outputs[0]);
  if (gain) grad_add(gain, d->outputs[1]);
}

static void rms_norm_run(const op_run *r) {
  const tensor *x = r->node->inputs[0];
  const norm_attr *a = r->node->attr;
  op_kernel(r)->rms_norm(r->out[0], r->in[0], r->in[1], r->out[1], rows_of(x), (size_t)last_dim(x),
                         a->epsilon);
}

const op_record record_rms_norm = {.name = "rms_norm",
                                   .onnx = "RMSNormalization",
                                   .flags = OP_CHEAP,
                                   .optional = 2,
                                   .spare = 2,
                                   .shape = rms_norm_shape,
                                   .grad = rms_norm_grad,
                                   .run = rms_norm_run,
                                   .flops = network_flops};

tensor *op_rms_norm(tensor *x, tensor *gain, double epsilon) {
  return node_emit(&record_rms_norm, TENSORS(x, gain), &(norm_attr){epsilon}, sizeof(norm_attr));
}

/* dy, x, gain or NULL, rstd -> dx, dgain */
static bool rms_norm_backward_shape(node *n) {
  const tensor *x = n->inputs[1];
  int64_t cols = last_dim(x);
  return node_output(n, x->type, x->rank, x->dims) && node_output(n, x->type, 1, &cols);
}

static void rms_norm_backward_run(const op_run *r) {
  const tensor *x = r->node->inputs[1];
  op_kernel(r)->rms_norm_backward(r->out[0], r->out[1], r->in[0], r->in[1], r->in[2], r->in[3],
                                  rows_of(x), (size_t)last_dim(x), r->scratch);
}

const op_record record_rms_norm_backward = {.name = "rms_norm_backward",
                                            .optional = 4,
                                            .in_place = 1,
                                            .spare = 2,
                                            .shape = rms_norm_backward_shape,
                                            .scratch = layer_norm_scratch,
                                            .run = rms_norm_backward_run,
                                            .flops = network_flops};

/* ---- softmax and log_softmax ---- */

static bool rows_shape(node *n) {
  const tensor *x = n->inputs[0];
  return has_rows(n, x) && node_output(n, x->type, x->rank, x->dims);
}

static void softmax_run(const op_run *r) {
  const tensor *x = r->node->inputs[0];
  op_kernel(r)->softmax(r->out[0], r->in[0], rows_of(x), (size_t)last_dim(x));
}

static void softmax_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0],
           node_emit(&record_softmax_backward, TENSORS(dy[0], n->outputs[0]), NULL, 0));
}

static void softmax_backward_run(const op_run *r) {
  const tensor *x = r->node->inputs[0];
  op_kernel(r)->softmax_backward(r->out[0], r->in[0], r->in[1], rows_of(x), (size_t)last_dim(x));
}

static void log_softmax_run(const op_run *r) {
  const tensor *x = r->node->inputs[0];
  op_kernel(r)->log_softmax(r->out[0], r->in[0], rows_of(x), (size_t)last_dim(x));
}

static void log_softmax_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0],
           node_emit(&record_log_softmax_backward, TENSORS(dy[0], n->outputs[0]), NULL, 0));
}

static void log_softmax_backward_run(const op_run *r) {
  const tensor *x = r->node->inputs[0];
  op_kernel(r)->log_softmax_backward(r->out[0], r->in[0], r->in[1], rows_of(x),
                                     (size_t)last_dim(x));
}

const op_record record_softmax = {.name = "softmax",
                                  .onnx = "Softmax",
                                  .in_place = 1,
                                  .shape = rows_shape,
                                  .grad = softmax_grad,
                                  .run = softmax_run,
                                  .flops = network_flops};
const op_record record_softmax_backward = {.name = "softmax_backward",
                                           .in_place = 1,
                                           .shape = rows_shape,
                                           .run = softmax_backward_run,
                                           .flops = network_flops};
const op_record record_log_softmax = {.name = "log_softmax",
                                      .onnx = "LogSoftmax",
                                      .in_place = 1,
                                      .shape = rows_shape,
                                      .grad = log_softmax_grad,
                                      .run = log_softmax_run,
                                      .flops = network_flops};
const op_record record_log_softmax_backward = {.name = "log_softmax_backward",
                                               .in_place = 1,
                                               .shape = rows_shape,
                                               .run = log_softmax_backward_run,
                                               .flops = network_flops};

tensor *op_softmax(tensor *x) {
  return node_emit(&record_softmax, TENSORS(x), NULL, 0);
}
tensor *op_log_softmax(tensor *x) {
  return node_emit(&record_log_softmax, TENSORS(x), NULL, 0);
}

/* ---- steps of (B,T,C) to (B,C): masked_mean and take_step ---- */

typedef struct steps_attr {
  int64_t steps;
} steps_attr;

static bool steps_shape(node *n) {
  const tensor *x = n->inputs[0], *which = n->inputs[1];
  if (x->rank != 3 || x->type == DTYPE_I32) return node_fail(n, "expected (B,T,C)");
  if (which && (which->type != DTYPE_I32 || which->rank != 1 || which->dims[0] != x->dims[0]))
    return node_fail(n, "the second operand is not int32 (B)");
  return node_output(n, x->type, 2, (int64_t[]){x->dims[0], x->dims[2]});
}

static bool steps_backward_shape(node *n) {
  const tensor *dy = n->inputs[0];
  const steps_attr *a = n->attr;
  return node_output(n, dy->type, 3, (int64_t[]){dy->dims[0], a->steps, dy->dims[1]});
}

static void steps_grad(const node *n, tensor *const *dy) {
  const op_record *back =
      n->op == &record_masked_mean ? &record_masked_mean_backward : &record_take_step_backward;
  grad_add(n->inputs[0], node_emit(back, TENSORS(dy[0], n->inputs[1]),
                                   &(steps_attr){n->inputs[0]->dims[1]}, sizeof(steps_attr)));
}

static void masked_mean_run(const op_run *r) {
  const int64_t *d = r->node->inputs[0]->dims;
  op_kernel(r)->masked_mean(r->out[0], r->in[0], r->in[1], (size_t)d[0], (size_t)d[1],
                            (size_t)d[2]);
}

static void masked_mean_backward_run(const op_run *r) {
  const int64_t *d = r->node->outputs[0]->dims;
  op_kernel(r)->masked_mean_backward(r->out[0], r->in[0], r->in[1], (size_t)d[0], (size_t)d[1],
                                     (size_t)d[2]);
}

static void take_step_run(const op_run *r) {
  const int64_t *d = r->node->inputs[0]->dims;
  op_kernel(r)->take_step(r->out[0], r->in[0], r->in[1], (size_t)d[0], (size_t)d[1], (size_t)d[2]);
}

static void take_step_backward_run(const op_run *r) {
  const int64_t *d = r->node->outputs[0]->dims;
  op_kernel(r)->take_step_backward(r->out[0], r->in[0], r->in[1], (size_t)d[0], (size_t)d[1],
                                   (size_t)d[2]);
}

const op_record record_masked_mean = {.name = "masked_mean",
                                      .optional = 2,
                                      .shape = steps_shape,
                                      .grad = steps_grad,
                                      .run = masked_mean_run};
const op_record record_masked_mean_backward = {.name = "masked_mean_backward",
                                               .optional = 2,
                                               .shape = steps_backward_shape,
                                               .run = masked_mean_backward_run};
const op_record record_take_step = {.name = "take_step",
                                    .optional = 2,
                                    .shape = steps_shape,
                                    .grad = steps_grad,
                                    .run = take_step_run};
const op_record record_take_step_backward = {.name = "take_step_backward",
                                             .optional = 2,
                                             .shape = steps_backward_shape,
                                             .run = take_step_backward_run};

tensor *op_masked_mean(tensor *x, tensor *begin) {
  return node_emit(&record_masked_mean, TENSORS(x, begin), NULL, 0);
}
tensor *op_take_step(tensor *x, tensor *index) {
  return node_emit(&record_take_step, TENSORS(x, index), NULL, 0);
}
