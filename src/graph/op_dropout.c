/* Dropout (Srivastava et al. 2014, inverted), and the two nodes that rewriting fuses with it. The
 * mask is a function of (seed, the stream of the node that was built, step, index): the
 * gradient regenerates it. */
#include "graph/op_inner.h"

kernel_dropout dropout_key(const op_run *r, const dropout_attr *a) {
  return (kernel_dropout){.rate = a->rate,
                          .seed = r->seed,
                          .stream = a->stream,
                          .step = r->step,
                          .first = r->part * (uint64_t)r->node->outputs[0]->count};
}

static bool dropout_shape(node *n) {
  const tensor *x = n->inputs[0];
  if (x->type == DTYPE_I32) return node_fail(n, "the operand holds int32");
  return node_output(n, x->type, x->rank, x->dims);
}

static double dropout_flops(const node *n) {
  return 8.0 * (double)n->outputs[0]->count; /* Philox: about 8 operations a word */
}

/* ---- dropout ---- */

static void dropout_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0], node_emit(&record_dropout, TENSORS(dy[0]), n->attr, n->attr_size));
}

static void dropout_run(const op_run *r) {
  kernel_dropout key = dropout_key(r, r->node->attr);
  op_kernel(r)->dropout(r->out[0], r->in[0], (size_t)r->node->outputs[0]->count, &key);
}

const op_record record_dropout = {.name = "dropout",
                                  .onnx = "Dropout",
                                  .flags = OP_RANDOM | OP_CHEAP,
                                  .in_place = 1,
                                  .shape = dropout_shape,
                                  .grad = dropout_grad,
                                  .run = dropout_run,
                                  .flops = dropout_flops};

bool dropout_rate_fits(graph *g, const char *op, double rate) {
  if (rate >= 0 && rate < 1) return true;
  graph_fail(g, GARAM_INVALID, "op %s: dropout rate %g is not in [0,1)", op, rate);
  return false;
}

tensor *op_dropout(tensor *x, double rate) {
  graph *g = x->graph;
  if (!dropout_rate_fits(g, "dropout", rate)) return &g->poison;
  if (rate == 0 || !g->config.training) return x;
  dropout_attr a = {rate, graph_next_stream(g)};
  return node_emit(&record_dropout, TENSORS(x), &a, sizeof a);
}

/* ---- dropout_add: x, residual -> dropout(x) + residual; made by rewriting ---- */

static bool dropout_add_shape(node *n) {
  const tensor *x = n->inputs[0];
  if (!shape_equal(x, n->inputs[1])) return node_fail(n, "the shapes differ");
  return node_output(n, x->type, x->rank, x->dims);
}

static void dropout_add_run(const op_run *r) {
  kernel_dropout key = dropout_key(r, r->node->attr);
  op_kernel(r)->dropout_add(r->out[0], r->in[0], r->in[1], (size_t)r->node->outputs[0]->count,
                            &key);
}

const op_record record_dropout_add = {.name = "dropout_add",
                                      .flags = OP_RANDOM,
                                      .in_place = 3,
                                      .shape = dropout_add_shape,
                                      .run = dropout_add_run,
                                      .flops = dropout_flops};

/* ---- activation: x, bias or NULL -> dropout(op(x + bias)); made by rewriting ---- */

static const kernel_dropout *activation_key(const op_run *r, kernel_dropout *key) {
  const activation_attr *a = r->node->attr;
  *key = dropout_key(r, &a->dropout);
  return a->dropout.rate > 0 ? key : NULL;
}

static size_t activation_cols(const tensor *x) {
  return x->rank > 0 ? (size_t)x->dims[x->rank - 1] : 1;
}

static void activation_run(const op_run *r) {
  const activation_attr *a = r->node->attr;
  const tensor *x = r->node->inputs[0];
  kernel_dropout key;
  size_t cols = activation_cols(x);
  op_kernel(r)->activation(a->kernel, r->out[0], r->in[0], r->in[1], (size_t)x->count / cols, cols,
                           activation_key(r, &key));
}

const op_record record_activation = {.name = "activation",
                                     .flags = OP_RANDOM | OP_CHEAP,
                                     .optional = 2,
                                     .in_place = 1,
                                     .shape = dropout_shape,
                                     .run = activation_run,
                                     .flops = dropout_flops};

/* dy, x (NULL: of the identity), bias or NULL -> dx, dbias */
static bool activation_backward_shape(node *n) {
  const tensor *dy = n->inputs[0];
  int64_t cols = (int64_t)activation_cols(dy);
  return node_output(n, dy->type, dy->rank, dy->dims) && node_output(n, dy->type, 1, &cols);
}

static size_t activation_backward_scratch(const node *n, const void *state) {
  (void)state;
  const tensor *dy = n->inputs[0];
  size_t cols = activation_cols(dy);
  return op_kernel_of(n)->activation_scratch((size_t)dy->count / cols, cols);
}

static void activation_backward_run(const op_run *r) {
  const activation_attr *a = r->node->attr;
  const tensor *dy = r->node->inputs[0];
  kernel_dropout key;
  size_t cols = activation_cols(dy), rows = (size_t)dy->count / cols;
  if (a->from_result) {
    op_kernel(r)->relu_backward(r->out[0], r->out[1], r->in[0], r->in[1], rows, cols,
                                activation_key(r, &key), r->scratch);
    return;
  }
  op_kernel(r)->activation_backward(a->kernel, r->out[0], r->out[1], r->in[0],
                                    r->in[1] ? r->in[1] : r->in[0], r->in[2], rows, cols,
                                    activation_key(r, &key), r->scratch);
}

const op_record record_activation_backward = {.name = "activation_backward",
                                              .flags = OP_RANDOM,
                                              .optional = 6,
                                              .spare = 2,
                                              .in_place = 1,
                                              .shape = activation_backward_shape,
                                              .scratch = activation_backward_scratch,
                                              .run = activation_backward_run,
                                              .flops = dropout_flops};
