/* Arithmetic of one operand: one record an op, one kernel behind them all. */
#include "graph/node.h"
#include "graph/op_inner.h"

/* Of every record here; p0 and p1 are the op's numbers (clamp: low, high; scale: factor, offset).
 * unary_backward carries the op that it belongs to. */
static bool unary_shape(node *n) {
  const tensor *x = n->inputs[0];
  if (x->type == DTYPE_I32) return node_fail(n, "the operand holds int32");
  return node_output(n, x->type, x->rank, x->dims);
}

static void unary_run(const op_run *r) {
  const unary_attr *a = r->node->attr;
  op_kernel(r)->unary(a->kernel, r->out[0], r->in[0], (size_t)r->node->outputs[0]->count, a->p0,
                      a->p1);
}

/* FLOPs a value, for what costs more than one. */
static double unary_cost(kernel_unary_op kernel) {
  switch (kernel) {
  case KERNEL_EXP:
  case KERNEL_LOG:
  case KERNEL_SQRT: return 4;
  case KERNEL_GELU:
  case KERNEL_SILU:
  case KERNEL_TANH:
  case KERNEL_SIGMOID:
  case KERNEL_SOFTPLUS: return 8;
  default: return 1;
  }
}

static double unary_flops(const node *n) {
  const unary_attr *a = n->attr;
  return unary_cost(a->kernel) * (double)n->outputs[0]->count;
}

/* The kernel says whether it wants the operand or the result: the other one may be overwritten. */
static void unary_grad(const node *n, tensor *const *dy) {
  const unary_attr *a = n->attr;
  int needs = kernel_unary_needs(a->kernel);
  grad_add(n->inputs[0], node_emit(&record_unary_backward,
                                   TENSORS(dy[0], needs & KERNEL_NEEDS_X ? n->inputs[0] : NULL,
                                           needs & KERNEL_NEEDS_Y ? n->outputs[0] : NULL),
                                   a, sizeof *a));
}

static void scale_grad(const node *n, tensor *const *dy) {
  const unary_attr *a = n->attr;
  grad_add(n->inputs[0], op_scale(dy[0], a->p0, 0));
}

static void neg_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0], op_neg(dy[0]));
}

#define UNARY(NAME, ONNX, GRAD)                                                                    \
  const op_record record_##NAME = {.name = #NAME,                                                  \
                                   .onnx = ONNX,                                                   \
                                   .flags = OP_CHEAP,                                              \
                                   .in_place = 1,                                                  \
                                   .shape = unary_shape,                                           \
                                   .grad = GRAD,                                                   \
                                   .run = unary_run,                                               \
                                   .flops = unary_flops}
UNARY(scale, NULL, scale_grad);
UNARY(neg, "Neg", neg_grad);
UNARY(exp, "Exp", unary_grad);
UNARY(log, "Log", unary_grad);
UNARY(sqrt, "Sqrt", unary_grad);
UNARY(square, NULL, unary_grad);
UNARY(abs, "Abs", unary_grad);
UNARY(relu, "Relu", unary_grad);
UNARY(gelu, "Gelu", unary_grad);
UNARY(silu, NULL, unary_grad);
UNARY(tanh, "Tanh", unary_grad);
UNARY(sigmoid, "Sigmoid", unary_grad);
UNARY(softplus, "Softplus", unary_grad);
UNARY(clamp, "Clip", unary_grad);

static tensor *unary_emit(const op_record *op, tensor *x, kernel_unary_op kernel, double p0,
                          double p1) {
  return node_emit(op, TENSORS(x), &(unary_attr){kernel, p0, p1}, sizeof(unary_attr));
}

tensor *op_scale(tensor *a, double factor, double offset) {
  return unary_emit(&record_scale, a, KERNEL_SCALE, factor, offset);
}
tensor *op_neg(tensor *a) {
  return unary_emit(&record_neg, a, KERNEL_NEG, 0, 0);
}
tensor *op_exp(tensor *a) {
  return unary_emit(&record_exp, a, KERNEL_EXP, 0, 0);
}
tensor *op_log(tensor *a) {
  return unary_emit(&record_log, a, KERNEL_LOG, 0, 0);
}
tensor *op_sqrt(tensor *a) {
  return unary_emit(&record_sqrt, a, KERNEL_SQRT, 0, 0);
}
tensor *op_square(tensor *a) {
  return unary_emit(&record_square, a, KERNEL_SQUARE, 0, 0);
}
tensor *op_abs(tensor *a) {
  return unary_emit(&record_abs, a, KERNEL_ABS, 0, 0);
}
tensor *op_relu(tensor *a) {
  return unary_emit(&record_relu, a, KERNEL_RELU, 0, 0);
}
tensor *op_gelu(tensor *a) {
  return unary_emit(&record_gelu, a, KERNEL_GELU, 0, 0);
}
tensor *op_silu(tensor *a) {
  return unary_emit(&record_silu, a, KERNEL_SILU, 0, 0);
}
tensor *op_tanh(tensor *a) {
  return unary_emit(&record_tanh, a, KERNEL_TANH, 0, 0);
}
tensor *op_sigmoid(tensor *a) {
  return unary_emit(&record_sigmoid, a, KERNEL_SIGMOID, 0, 0);
}
tensor *op_softplus(tensor *a) {
  return unary_emit(&record_softplus, a, KERNEL_SOFTPLUS, 0, 0);
}

tensor *op_clamp(tensor *a, double low, double high) {
  if (!(low <= high)) {
    graph_fail(a->graph, GARAM_INVALID, "op clamp: low %g is above high %g", low, high);
    return &a->graph->poison;
  }
  return unary_emit(&record_clamp, a, KERNEL_CLAMP, low, high);
}

/* ---- unary_backward: dy, x or NULL, y or NULL -> dx ---- */

static bool unary_backward_shape(node *n) {
  const tensor *dy = n->inputs[0];
  for (int i = 1; i < 3; i++)
    if (n->inputs[i] && !shape_equal(n->inputs[i], dy)) return node_fail(n, "shapes differ");
  return node_output(n, dy->type, dy->rank, dy->dims);
}

static void unary_backward_run(const op_run *r) {
  const unary_attr *a = r->node->attr;
  op_kernel(r)->unary_backward(a->kernel, r->out[0], r->in[0], r->in[1], r->in[2],
                               (size_t)r->node->outputs[0]->count, a->p0, a->p1);
}

const op_record record_unary_backward = {.name = "unary_backward",
                                         .optional = 6,
                                         .in_place = 1,
                                         .shape = unary_backward_shape,
                                         .run = unary_backward_run,
                                         .flops = unary_flops};
