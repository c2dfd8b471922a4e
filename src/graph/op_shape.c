/* Ops that move values and do no arithmetic. Reshape and stop_gradient are the same memory under
 * another shape. */
#include "graph/op_inner.h"

#include <inttypes.h>
#include <string.h>

/* ---- reshape ---- */

typedef struct reshape_attr {
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
} reshape_attr;

static bool reshape_shape(node *n) {
  const reshape_attr *a = n->attr;
  const tensor *x = n->inputs[0];
  int64_t dims[TENSOR_MAX_RANK] = {0}, known = 1;
  int open = -1;
  if (a->rank < 0 || a->rank > TENSOR_MAX_RANK) return node_fail(n, "rank %d", a->rank);
  char text[SHAPE_TEXT_MAX];
  shape_text(text, a->rank, a->dims);
  for (int i = 0; i < a->rank; i++) {
    dims[i] = a->dims[i];
    if (dims[i] == -1 && open < 0) open = i;
    else if (dims[i] < 1 || __builtin_mul_overflow(known, dims[i], &known))
      return node_fail(n, "%s is no shape", text);
  }
  if (open >= 0) dims[open] = x->count / known;
  if (x->count != known * (open >= 0 ? dims[open] : 1))
    return node_fail(n, "%" PRId64 " items do not fit into %s", x->count, text);
  return node_output(n, x->type, a->rank, dims);
}

static void reshape_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0], op_reshape(dy[0], n->inputs[0]->rank, n->inputs[0]->dims));
}

const op_record record_reshape = {.name = "reshape",
                                  .onnx = "Reshape",
                                  .flags = OP_ALIAS,
                                  .shape = reshape_shape,
                                  .grad = reshape_grad};

tensor *op_reshape(tensor *a, int rank, const int64_t *dims) {
  reshape_attr attr = {.rank = rank};
  if (rank >= 0 && rank <= TENSOR_MAX_RANK && rank == a->rank && !node_poisoned(a) &&
      (rank == 0 || memcmp(dims, a->dims, (size_t)rank * sizeof *dims) == 0))
    return a;
  if (rank > 0 && rank <= TENSOR_MAX_RANK) memcpy(attr.dims, dims, (size_t)rank * sizeof *dims);
  return node_emit(&record_reshape, TENSORS(a), &attr, sizeof attr);
}

/* ---- stop_gradient ---- */

static bool same_shape(node *n) {
  const tensor *x = n->inputs[0];
  return node_output(n, x->type, x->rank, x->dims);
}

const op_record record_stop_gradient = {
    .name = "stop_gradient", .onnx = "Identity", .flags = OP_ALIAS, .shape = same_shape};

tensor *op_stop_gradient(tensor *a) {
  return node_emit(&record_stop_gradient, TENSORS(a), NULL, 0);
}

/* ---- transpose ---- */

static bool transpose_shape(node *n) {
  const transpose_attr *a = n->attr;
  const tensor *x = n->inputs[0];
  int64_t dims[TENSOR_MAX_RANK] = {0};
  unsigned seen = 0;
  if (x->type == DTYPE_I32) return node_fail(n, "the operand holds int32");
  for (int i = 0; i < x->rank; i++) {
    if (a->axes[i] < 0 || a->axes[i] >= x->rank || seen >> a->axes[i] & 1)
      return node_fail(n, "axis %d at %d: not a permutation", a->axes[i], i);
    seen |= 1u << a->axes[i];
    dims[i] = x->dims[a->axes[i]];
  }
  return node_output(n, x->type, x->rank, dims);
}

static void transpose_grad(const node *n, tensor *const *dy) {
  const transpose_attr *a = n->attr;
  int inverse[TENSOR_MAX_RANK] = {0};
  for (int i = 0; i < n->inputs[0]->rank; i++) inverse[a->axes[i]] = i;
  grad_add(n->inputs[0], op_transpose(dy[0], inverse));
}

static void transpose_run(const op_run *r) {
  const transpose_attr *a = r->node->attr;
  const tensor *x = r->node->inputs[0];
  op_kernel(r)->permute(r->out[0], r->in[0], x->rank, x->dims, a->axes);
}

const op_record record_transpose = {.name = "transpose",
                                    .onnx = "Transpose",
                                    .shape = transpose_shape,
                                    .grad = transpose_grad,
                                    .run = transpose_run};

tensor *op_transpose(tensor *a, const int *axes) {
  transpose_attr attr = {.rank = a->rank};
  for (int i = 0; i < a->rank; i++) attr.axes[i] = axes[i];
  return node_emit(&record_transpose, TENSORS(a), &attr, sizeof attr);
}

/* ---- slice, and its gradient: zeros around dy ---- */

/* (outer, axis, inner): rows of axis*inner items between strided places. */
static void slice_sizes(const tensor *t, int axis, size_t *outer, int64_t *inner) {
  *outer = (size_t)shape_product(t->dims, 0, axis);
  *inner = shape_product(t->dims, axis + 1, t->rank);
}

static bool slice_shape(node *n) {
  const slice_attr *a = n->attr;
  const tensor *x = n->inputs[0];
  if (x->type == DTYPE_I32) return node_fail(n, "the operand holds int32");
  if (a->axis < 0 || a->axis >= x->rank) return node_fail(n, "there is no axis %d", a->axis);
  if (a->begin < 0 || a->begin >= a->end || a->end > x->dims[a->axis])
    return node_fail(n, "[%" PRId64 ",%" PRId64 ") is no part of axis %d", a->begin, a->end,
                     a->axis);
  int64_t dims[TENSOR_MAX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  dims[a->axis] = a->end - a->begin;
  return node_output(n, x->type, x->rank, dims);
}

static void slice_grad(const node *n, tensor *const *dy) {
  const slice_attr *a = n->attr;
  grad_add(n->inputs[0], node_emit(&record_slice_backward, TENSORS(dy[0]), a, sizeof *a));
}

static void slice_run(const op_run *r) {
  const slice_attr *a = r->node->attr;
  const tensor *x = r->node->inputs[0];
  size_t outer;
  int64_t inner;
  slice_sizes(x, a->axis, &outer, &inner);
  const char *from = (const char *)r->in[0] + (size_t)(a->begin * inner) * dtype_size(x->type);
  int64_t cols = (a->end - a->begin) * inner;
  op_kernel(r)->copy_rows(r->out[0], cols, from, x->dims[a->axis] * inner, outer, (size_t)cols);
}

const op_record record_slice = {
    .name = "slice", .onnx = "Slice", .shape = slice_shape, .grad = slice_grad, .run = slice_run};

tensor *op_slice(tensor *a, int axis, int64_t begin, int64_t end) {
  slice_attr attr = {.axis = axis < 0 ? axis + a->rank : axis, .begin = begin, .end = end};
  bool there = attr.axis >= 0 && attr.axis < a->rank;
  attr.whole = there ? a->dims[attr.axis] : 0;
  if (there && begin == 0 && end == attr.whole) return a;
  return node_emit(&record_slice, TENSORS(a), &attr, sizeof attr);
}

static bool slice_backward_shape(node *n) {
  const slice_attr *a = n->attr;
  const tensor *dy = n->inputs[0];
  int64_t dims[TENSOR_MAX_RANK];
  memcpy(dims, dy->dims, sizeof dims);
  dims[a->axis] = a->whole;
  return node_output(n, dy->type, dy->rank, dims);
}

static void slice_backward_grad(const node *n, tensor *const *dy) {
  const slice_attr *a = n->attr;
  grad_add(n->inputs[0], op_slice(dy[0], a->axis, a->begin, a->end));
}

static void slice_backward_run(const op_run *r) {
  const slice_attr *a = r->node->attr;
  const tensor *dx = r->node->outputs[0];
  size_t outer;
  int64_t inner;
  slice_sizes(dx, a->axis, &outer, &inner);
  int64_t cols = (a->end - a->begin) * inner;
  const kernel_table *k = op_kernel(r);
  k->fill(r->out[0], 0, (size_t)dx->count);
  char *to = (char *)r->out[0] + (size_t)(a->begin * inner) * dtype_size(dx->type);
  k->copy_rows(to, a->whole * inner, r->in[0], cols, outer, (size_t)cols);
}

const op_record record_slice_backward = {.name = "slice_backward",
                                         .onnx = "Pad",
                                         .shape = slice_backward_shape,
                                         .grad = slice_backward_grad,
                                         .run = slice_backward_run};

/* ---- concat ---- */

static bool concat_shape(node *n) {
  int axis = ((const concat_attr *)n->attr)->axis;
  const tensor *first = n->inputs[0];
  if (axis < 0 || axis >= first->rank) return node_fail(n, "there is no axis %d", axis);
  int64_t dims[TENSOR_MAX_RANK];
  memcpy(dims, first->dims, sizeof dims);
  dims[axis] = 0;
  for (int i = 0; i < n->n_inputs; i++) {
    const tensor *t = n->inputs[i];
    if (t->type != first->type || t->type == DTYPE_I32)
      return node_fail(n, "part %d holds another type", i);
    bool fits = t->rank == first->rank;
    for (int d = 0; fits && d < t->rank; d++) fits = d == axis || t->dims[d] == first->dims[d];
    if (!fits) return node_fail(n, "part %d differs from the first outside axis %d", i, axis);
    dims[axis] += t->dims[axis];
  }
  return node_output(n, first->type, first->rank, dims);
}

static void concat_grad(const node *n, tensor *const *dy) {
  int axis = ((const concat_attr *)n->attr)->axis;
  int64_t at = 0;
  for (int i = 0; i < n->n_inputs; i++) {
    int64_t size = n->inputs[i]->dims[axis];
    if (grad_wanted(n->inputs[i])) grad_add(n->inputs[i], op_slice(dy[0], axis, at, at + size));
    at += size;
  }
}

static void concat_run(const op_run *r) {
  int axis = ((const concat_attr *)r->node->attr)->axis;
  const tensor *y = r->node->outputs[0];
  size_t outer;
  int64_t inner, at = 0;
  slice_sizes(y, axis, &outer, &inner);
  for (int i = 0; i < r->node->n_inputs; i++) {
    int64_t cols = r->node->inputs[i]->dims[axis] * inner;
    char *to = (char *)r->out[0] + (size_t)at * dtype_size(y->type);
    op_kernel(r)->copy_rows(to, y->dims[axis] * inner, r->in[i], cols, outer, (size_t)cols);
    at += cols;
  }
}

const op_record record_concat = {.name = "concat",
                                 .onnx = "Concat",
                                 .shape = concat_shape,
                                 .grad = concat_grad,
                                 .run = concat_run};

tensor *op_concat(tensor *const *parts, int n_parts, int axis) {
  REQUIRE(n_parts > 0 && parts[0], "op_concat: no parts");
  concat_attr attr = {axis < 0 ? axis + parts[0]->rank : axis};
  return node_emit(&record_concat, parts, n_parts, &attr, sizeof attr);
}
