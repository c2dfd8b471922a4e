/* Leaves with values of their own, and the copy that gives a value a second place. */
#include "graph/op_inner.h"

#include <string.h>

/* ---- constants: values follow the head; fill has one ---- */

static bool constant_shape(node *n) {
  const constant_attr *a = n->attr;
  return node_output(n, graph_real(n->graph), a->rank, a->dims);
}

/* A leaf's run function fills its memory once, when the plan is made. */
static void values_fill(void *out, dtype type, const double *values, int64_t n, int64_t stride) {
  for (int64_t i = 0; i < n; i++) {
    if (type == DTYPE_F64) ((double *)out)[i] = values[i * stride];
    else ((float *)out)[i] = (float)values[i * stride];
  }
}

static void constant_run(const op_run *r) {
  const constant_attr *a = r->node->attr;
  const tensor *t = r->node->outputs[0];
  values_fill(r->out[0], t->type, a->values, t->count, r->node->op == &record_constant);
}

const op_record record_constant = {.name = "constant",
                                   .onnx = "Constant",
                                   .flags = OP_LEAF,
                                   .shape = constant_shape,
                                   .run = constant_run};
const op_record record_fill = {.name = "fill",
                               .onnx = "ConstantOfShape",
                               .flags = OP_LEAF,
                               .shape = constant_shape,
                               .run = constant_run};

/* The gradient of the loss by itself: a fill, but not a constant where a plan accumulates. */
const op_record record_loss_scale = {
    .name = "loss_scale", .flags = OP_LEAF, .shape = constant_shape, .run = constant_run};

static tensor *values_add(graph *g, const op_record *op, int rank, const int64_t *dims,
                          const double *values, bool one) {
  if (!graph_ok(g)) return &g->poison;
  int64_t count = 1;
  bool bad = rank < 0 || rank > TENSOR_MAX_RANK;
  for (int i = 0; !bad && i < rank; i++)
    bad = dims[i] < 1 || __builtin_mul_overflow(count, dims[i], &count) || count > INT32_MAX;
  if (bad) {
    graph_fail(g, GARAM_INVALID, "op %s: not a shape that can be filled", op->name);
    return &g->poison;
  }
  size_t n = one ? 1 : (size_t)count, size = sizeof(constant_attr) + n * sizeof(double);
  constant_attr *a = mem_zalloc(size);
  if (!a) {
    graph_fail(g, GARAM_NO_MEMORY, "op %s: no memory for %zu values", op->name, n);
    return &g->poison;
  }
  a->rank = rank;
  if (rank > 0) memcpy(a->dims, dims, (size_t)rank * sizeof *dims);
  memcpy(a->values, values, n * sizeof *values);
  node *made = node_append(g, op, NULL, 0, a, size);
  mem_free(a);
  return made ? made->outputs[0] : &g->poison;
}

tensor *graph_constant(graph *g, int rank, const int64_t *dims, const double *values) {
  return values_add(g, &record_constant, rank, dims, values, false);
}

tensor *graph_fill(graph *g, int rank, const int64_t *dims, double value) {
  return values_add(g, &record_fill, rank, dims, &value, true);
}

tensor *graph_leaf_scale(graph *g, int rank, const int64_t *dims) {
  double one = 1;
  return values_add(g, &record_loss_scale, rank, dims, &one, true);
}

bool constant_become(graph *g, node *n, const double *values) {
  const tensor *t = n->outputs[0];
  size_t n_values = (size_t)t->count, size = sizeof(constant_attr) + n_values * sizeof(double);
  constant_attr *a = arena_alloc(&g->arena, size);
  if (!a) return false;
  a->rank = t->rank;
  memcpy(a->dims, t->dims, sizeof a->dims);
  memcpy(a->values, values, n_values * sizeof *values);
  n->op = &record_constant;
  n->attr = a;
  n->attr_size = size;
  n->n_inputs = 0;
  return true;
}

/* ---- copy ---- */

static bool copy_shape(node *n) {
  const tensor *t = n->inputs[0];
  return node_output(n, t->type, t->rank, t->dims);
}

static void copy_grad(const node *n, tensor *const *dy) {
  grad_add(n->inputs[0], dy[0]);
}

static void copy_run(const op_run *r) {
  if (r->out[0] != r->in[0]) memcpy(r->out[0], r->in[0], tensor_bytes(r->node->outputs[0]));
}

const op_record record_copy = {
    .name = "copy", .onnx = "Identity", .shape = copy_shape, .grad = copy_grad, .run = copy_run};
