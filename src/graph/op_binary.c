/* Arithmetic of two operands with numpy's broadcasting. Gradients are summed over the axes along
 * which an operand was broadcast. */
#include "graph/op_inner.h"

#include <string.h>

typedef struct binary_attr {
  kernel_binary_op kernel;
} binary_attr;

static bool binary_shape(node *n) {
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
  const tensor *a = n->inputs[0], *b = n->inputs[1];
  if (a->type == DTYPE_I32 || b->type == DTYPE_I32) return node_fail(n, "an operand holds int32");
  if (!shape_broadcast(&rank, dims, a, b)) return node_fail(n, "the shapes do not broadcast");
  return node_output(n, a->type, rank, dims);
}

/* Strides of an operand over the output's axes, 0 where it is broadcast. */
static void broadcast_strides(int64_t *strides, const tensor *t, int rank, const int64_t *dims) {
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    int at = i - (rank - t->rank);
    bool there = at >= 0 && t->dims[at] == dims[i];
    strides[i] = there && dims[i] != 1 ? stride : 0;
    if (at >= 0) stride *= t->dims[at];
  }
}

/* Axes that lie densely behind each other in both operands become one, and axes of 1 vanish. */
static void broadcast_collapse(kernel_broadcast *s) {
  int rank = 0;
  for (int i = 0; i < s->rank; i++) {
    if (s->dims[i] == 1) continue;
    if (rank > 0 && s->a[rank - 1] == s->a[i] * s->dims[i] &&
        s->b[rank - 1] == s->b[i] * s->dims[i]) {
      s->dims[rank - 1] *= s->dims[i];
      s->a[rank - 1] = s->a[i];
      s->b[rank - 1] = s->b[i];
      continue;
    }
    s->dims[rank] = s->dims[i];
    s->a[rank] = s->a[i];
    s->b[rank++] = s->b[i];
  }
  if (rank == 0) {
    s->dims[0] = 1;
    s->a[0] = s->b[0] = 0;
    rank = 1;
  }
  s->rank = rank;
}

static void binary_run(const op_run *r) {
  const binary_attr *attr = r->node->attr;
  const tensor *y = r->node->outputs[0];
  kernel_broadcast s = {.rank = y->rank};
  memcpy(s.dims, y->dims, sizeof s.dims);
  broadcast_strides(s.a, r->node->inputs[0], y->rank, y->dims);
  broadcast_strides(s.b, r->node->inputs[1], y->rank, y->dims);
  broadcast_collapse(&s);
  op_kernel(r)->binary(attr->kernel, r->out[0], r->in[0], r->in[1], &s);
}

static double binary_flops(const node *n) {
  return (double)n->outputs[0]->count;
}

/* ---- gradients ---- */

static void give(tensor *operand, tensor *gradient) {
  grad_add(operand, op_sum_to(gradient, operand));
}

static void add_grad(const node *n, tensor *const *dy) {
  for (int i = 0; i < 2; i++)
    if (grad_wanted(n->inputs[i])) give(n->inputs[i], dy[0]);
}

static void sub_grad(const node *n, tensor *const *dy) {
  if (grad_wanted(n->inputs[0])) give(n->inputs[0], dy[0]);
  if (grad_wanted(n->inputs[1])) give(n->inputs[1], op_neg(dy[0]));
}

static void mul_grad(const node *n, tensor *const *dy) {
  for (int i = 0; i < 2; i++)
    if (grad_wanted(n->inputs[i])) give(n->inputs[i], op_mul(dy[0], n->inputs[1 - i]));
}

/* y = a / b: da = dy / b, db = -da y. */
static void div_grad(const node *n, tensor *const *dy) {
  tensor *da = op_div(dy[0], n->inputs[1]);
  if (grad_wanted(n->inputs[0])) give(n->inputs[0], da);
  if (grad_wanted(n->inputs[1])) give(n->inputs[1], op_neg(op_mul(da, n->outputs[0])));
}

static tensor *binary_emit(const op_record *op, kernel_binary_op kernel, tensor *a, tensor *b) {
  return node_emit(op, TENSORS(a, b), &(binary_attr){kernel}, sizeof(binary_attr));
}

/* Where both are equal the gradient goes to a. */
static void extremum_grad(const node *n, tensor *const *dy) {
  tensor *a = n->inputs[0], *b = n->inputs[1];
  bool minimum = ((const binary_attr *)n->attr)->kernel == KERNEL_MINIMUM;
  tensor *high = minimum ? b : a, *low = minimum ? a : b;
  if (grad_wanted(a))
    give(a, op_mul(dy[0], binary_emit(&record_greater_equal, KERNEL_GREATER_EQUAL, high, low)));
  if (grad_wanted(b))
    give(b, op_mul(dy[0], binary_emit(&record_greater, KERNEL_GREATER, low, high)));
}

static void compare_grad(const node *n, tensor *const *dy) {
  (void)n;
  (void)dy; /* a step: its gradient is zero wherever there is one */
}

#define BINARY(NAME, ONNX, GRAD)                                                                   \
  const op_record record_##NAME = {.name = #NAME,                                                  \
                                   .onnx = ONNX,                                                   \
                                   .in_place = 3,                                                  \
                                   .shape = binary_shape,                                          \
                                   .grad = GRAD,                                                   \
                                   .run = binary_run,                                              \
                                   .flops = binary_flops}
BINARY(add, "Add", add_grad);
BINARY(sub, "Sub", sub_grad);
BINARY(mul, "Mul", mul_grad);
BINARY(div, "Div", div_grad);
BINARY(maximum, "Max", extremum_grad);
BINARY(minimum, "Min", extremum_grad);
BINARY(greater, NULL, compare_grad);
BINARY(greater_equal, NULL, compare_grad);

tensor *op_add(tensor *a, tensor *b) {
  return binary_emit(&record_add, KERNEL_ADD, a, b);
}
tensor *op_sub(tensor *a, tensor *b) {
  return binary_emit(&record_sub, KERNEL_SUB, a, b);
}
tensor *op_mul(tensor *a, tensor *b) {
  return binary_emit(&record_mul, KERNEL_MUL, a, b);
}
tensor *op_div(tensor *a, tensor *b) {
  return binary_emit(&record_div, KERNEL_DIV, a, b);
}
tensor *op_maximum(tensor *a, tensor *b) {
  return binary_emit(&record_maximum, KERNEL_MAXIMUM, a, b);
}
tensor *op_minimum(tensor *a, tensor *b) {
  return binary_emit(&record_minimum, KERNEL_MINIMUM, a, b);
}
