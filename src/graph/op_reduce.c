/* Reductions over contiguous axes, and the expansion that is the gradient of a sum. */
#include "graph/op_inner.h"

#include <string.h>

typedef struct reduce_sizes {
  int64_t outer, n, inner;
} reduce_sizes;

static reduce_sizes sizes_of(const tensor *x, const reduce_attr *a) {
  return (reduce_sizes){shape_product(x->dims, 0, a->from), shape_product(x->dims, a->from, a->to),
                        shape_product(x->dims, a->to, x->rank)};
}

static bool reduce_shape(node *n) {
  const reduce_attr *a = n->attr;
  const tensor *x = n->inputs[0];
  int64_t dims[TENSOR_MAX_RANK] = {0};
  int rank = 0;
  if (x->type == DTYPE_I32) return node_fail(n, "the operand holds int32");
  if (a->from < 0 || a->from > a->to || a->to > x->rank)
    return node_fail(n, "there is no such axis");
  for (int i = 0; i < x->rank; i++) {
    bool gone = i >= a->from && i < a->to;
    if (!gone || a->keep) dims[rank++] = gone ? 1 : x->dims[i];
  }
  return node_output(n, x->type, rank, dims);
}

static void reduce_run(const op_run *r, kernel_reduce_op kernel) {
  const tensor *x = r->node->inputs[0];
  reduce_sizes s = sizes_of(x, r->node->attr);
  const kernel_table *k = op_kernel(r);
  if (kernel == KERNEL_SUM && s.outer == 1 && s.inner > 1)
    k->column_sum(r->out[0], r->in[0], (size_t)s.n, (size_t)s.inner);
  else k->reduce(kernel, r->out[0], r->in[0], (size_t)s.outer, (size_t)s.n, (size_t)s.inner);
}

static double reduce_flops(const node *n) {
  return (double)n->inputs[0]->count;
}

/* ---- sum and mean ---- */

static void sum_grad(const node *n, tensor *const *dy) {
  tensor *x = n->inputs[0];
  reduce_sizes s = sizes_of(x, n->attr);
  double factor = n->op == &record_mean ? 1 / (double)s.n : 1;
  grad_add(x, op_expand(dy[0], s.outer, s.n, s.inner, x->rank, x->dims, factor));
}

static void sum_run(const op_run *r) {
  reduce_run(r, KERNEL_SUM);
}

static void mean_run(const op_run *r) {
  reduce_run(r, KERNEL_MEAN);
}

const op_record record_sum = {.name = "sum",
                              .onnx = "ReduceSum",
                              .shape = reduce_shape,
                              .grad = sum_grad,
                              .run = sum_run,
                              .flops = reduce_flops};
const op_record record_mean = {.name = "mean",
                               .onnx = "ReduceMean",
                               .shape = reduce_shape,
                               .grad = sum_grad,
                               .run = mean_run,
                               .flops = reduce_flops};

static tensor *reduce_emit(const op_record *op, tensor *a, int from, int to, bool keep) {
  return node_emit(op, TENSORS(a), &(reduce_attr){from, to, keep}, sizeof(reduce_attr));
}

static tensor *reduce_axis(const op_record *op, tensor *a, int axis, bool keep) {
  int at = axis < 0 ? axis + a->rank : axis;
  return reduce_emit(op, a, at, at + 1, keep);
}

tensor *op_sum(tensor *a, int axis, bool keep) {
  return reduce_axis(&record_sum, a, axis, keep);
}
tensor *op_mean(tensor *a, int axis, bool keep) {
  return reduce_axis(&record_mean, a, axis, keep);
}
tensor *op_sum_all(tensor *a) {
  return reduce_emit(&record_sum, a, 0, a->rank, false);
}
tensor *op_mean_all(tensor *a) {
  return reduce_emit(&record_mean, a, 0, a->rank, false);
}
tensor *op_sum_axes(tensor *a, int from, int to, bool keep) {
  return reduce_emit(&record_sum, a, from, to, keep);
}

/* Runs of axes along which `like` was broadcast are summed one after the other, from the end. */
tensor *op_sum_to(tensor *a, const tensor *like) {
  if (node_poisoned(a) || shape_equal(a, like)) return a;
  int lead = a->rank - like->rank;
  tensor *t = a;
  for (int i = a->rank - 1; i >= 0;) {
    int to = i + 1;
    while (i >= 0 && a->dims[i] != 1 && (i < lead || like->dims[i - lead] == 1)) i--;
    if (i + 1 < to) t = op_sum_axes(t, i + 1, to, true);
    else i--;
  }
  return op_reshape(t, like->rank, like->dims);
}

/* ---- max ---- */

static void max_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0],
           node_emit(&record_max_backward, TENSORS(dy[0], n->inputs[0]), n->attr, n->attr_size));
}

static void max_run(const op_run *r) {
  reduce_run(r, KERNEL_MAX);
}

const op_record record_max = {.name = "max",
                              .onnx = "ReduceMax",
                              .shape = reduce_shape,
                              .grad = max_grad,
                              .run = max_run,
                              .flops = reduce_flops};

tensor *op_max(tensor *a, int axis, bool keep) {
  return reduce_axis(&record_max, a, axis, keep);
}

static bool max_backward_shape(node *n) {
  const tensor *x = n->inputs[1];
  return node_output(n, x->type, x->rank, x->dims);
}

static void max_backward_run(const op_run *r) {
  reduce_sizes s = sizes_of(r->node->inputs[1], r->node->attr);
  op_kernel(r)->max_backward(r->out[0], r->in[0], r->in[1], (size_t)s.outer, (size_t)s.n,
                             (size_t)s.inner);
}

const op_record record_max_backward = {
    .name = "max_backward", .shape = max_backward_shape, .run = max_backward_run};

/* ---- expand ---- */

typedef struct expand_attr {
  int64_t outer, n, inner;
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
  double factor;
} expand_attr;

static bool expand_shape(node *n) {
  const expand_attr *a = n->attr;
  const tensor *x = n->inputs[0];
  if (x->count != a->outer * a->inner ||
      shape_product(a->dims, 0, a->rank) != a->outer * a->n * a->inner)
    return node_fail(n, "the sizes do not fit");
  return node_output(n, x->type, a->rank, a->dims);
}

static void expand_grad(const node *n, tensor *const *dy) {
  const expand_attr *a = n->attr;
  tensor *x = n->inputs[0];
  tensor *sum = op_sum(op_reshape(dy[0], 3, (int64_t[]){a->outer, a->n, a->inner}), 1, false);
  if (a->factor != 1) sum = op_scale(sum, a->factor, 0);
  grad_add(x, op_reshape(sum, x->rank, x->dims));
}

static void expand_run(const op_run *r) {
  const expand_attr *a = r->node->attr;
  op_kernel(r)->expand(r->out[0], r->in[0], a->factor, (size_t)a->outer, (size_t)a->n,
                       (size_t)a->inner);
}

const op_record record_expand = {.name = "expand",
                                 .onnx = "Expand",
                                 .shape = expand_shape,
                                 .grad = expand_grad,
                                 .run = expand_run};

tensor *op_expand(tensor *x, int64_t outer, int64_t n, int64_t inner, int rank, const int64_t *dims,
                  double factor) {
  expand_attr a = {.outer = outer, .n = n, .inner = inner, .rank = rank, .factor = factor};
  memcpy(a.dims, dims, (size_t)rank * sizeof *dims);
  return node_emit(&record_expand, TENSORS(x), &a, sizeof a);
}
