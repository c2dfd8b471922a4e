/* What every op shares: appending nodes, naming outputs, shapes, and the list of records. */
#include "graph/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const op_record *const op_records[] = {
#define OP(name) &record_##name,
#include "graph/ops.def"
#undef OP
};
const size_t n_op_records = COUNT_OF(op_records);

/* ---- shapes ---- */

char *shape_text(char out[SHAPE_TEXT_MAX], int rank, const int64_t *dims) {
  size_t at = 0;
  out[at++] = '(';
  for (int i = 0; i < rank; i++)
    at += (size_t)snprintf(out + at, SHAPE_TEXT_MAX - at, i ? ",%" PRId64 : "%" PRId64, dims[i]);
  snprintf(out + at, SHAPE_TEXT_MAX - at, ")");
  return out;
}

char *tensor_text(char out[SHAPE_TEXT_MAX], const tensor *t) {
  if (!t) {
    snprintf(out, SHAPE_TEXT_MAX, "none");
    return out;
  }
  return shape_text(out, t->rank, t->dims);
}

bool shape_equal(const tensor *a, const tensor *b) {
  return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

size_t dtype_size(dtype type) {
  return type == DTYPE_F64 ? 8 : 4;
}

size_t tensor_bytes(const tensor *t) {
  return (size_t)t->count * dtype_size(t->type);
}

int64_t shape_product(const int64_t *dims, int from, int to) {
  int64_t product = 1;
  for (int i = from; i < to; i++) product *= dims[i];
  return product;
}

bool shape_broadcast(int *rank, int64_t dims[TENSOR_MAX_RANK], const tensor *a, const tensor *b) {
  *rank = a->rank > b->rank ? a->rank : b->rank;
  for (int i = 0; i < *rank; i++) {
    int at_a = i - (*rank - a->rank), at_b = i - (*rank - b->rank);
    int64_t in_a = at_a < 0 ? 1 : a->dims[at_a], in_b = at_b < 0 ? 1 : b->dims[at_b];
    if (in_a != in_b && in_a != 1 && in_b != 1) return false;
    dims[i] = in_a == 1 ? in_b : in_a;
  }
  return true;
}

/* ---- nodes ---- */

bool node_poisoned(const tensor *t) {
  return t->node == NULL;
}

bool node_fail(node *n, const char *format, ...) {
  char shapes[6 * SHAPE_TEXT_MAX], text[512], one[SHAPE_TEXT_MAX];
  size_t at = 0;
  shapes[0] = '\0';
  for (int i = 0; i < n->n_inputs && i < 6; i++)
    at += (size_t)snprintf(shapes + at, sizeof shapes - at, " %s", tensor_text(one, n->inputs[i]));
  if (n->n_inputs > 6) snprintf(shapes + at, sizeof shapes - at, " ...");
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  graph_fail(n->graph, GARAM_INVALID, "op %s%s: %s", n->op->name, shapes, text);
  return false;
}

bool node_output(node *n, dtype type, int rank, const int64_t *dims) {
  graph *g = n->graph;
  REQUIRE(n->n_outputs < NODE_MAX_OUTPUTS, "op %s: too many outputs", n->op->name);
  if (rank < 0 || rank > TENSOR_MAX_RANK)
    return node_fail(n, "the result has rank %d; at most %d", rank, TENSOR_MAX_RANK);
  tensor *t = arena_alloc(&g->arena, sizeof *t);
  if (!t) {
    graph_fail(g, GARAM_NO_MEMORY, "op %s: no memory for the graph", n->op->name);
    return false;
  }
  *t = (tensor){.graph = g, .node = n, .output = n->n_outputs, .type = type, .rank = rank};
  t->count = 1;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < 1) {
      char text[SHAPE_TEXT_MAX];
      return node_fail(n, "the shape %s has a dimension below 1", shape_text(text, rank, dims));
    }
    if (__builtin_mul_overflow(t->count, dims[i], &t->count) || t->count > INT64_MAX / 64) {
      char text[SHAPE_TEXT_MAX];
      return node_fail(n, "the shape %s is too large", shape_text(text, rank, dims));
    }
    t->dims[i] = dims[i];
  }
  n->outputs[n->n_outputs++] = t;
  return true;
}

/* Copies what the caller holds, checks inputs, asks the op for its outputs. */
static bool node_fill(node *n, tensor *const *inputs, const void *attr, size_t attr_size) {
  graph *g = n->graph;
  n->inputs = arena_array(&g->arena, (size_t)n->n_inputs + 1, sizeof *n->inputs);
  void *copy = attr ? arena_alloc(&g->arena, attr_size) : NULL;
  if (!n->inputs || (attr && !copy)) {
    graph_fail(g, GARAM_NO_MEMORY, "op %s: no memory for the graph", n->op->name);
    return false;
  }
  if (attr) memcpy(copy, attr, attr_size);
  n->attr = copy;
  n->attr_size = attr_size;
  bool differentiable = false;
  for (int i = 0; i < n->n_inputs; i++) {
    tensor *t = inputs[i];
    bool optional = i < 32 && n->op->optional >> i & 1;
    REQUIRE(t || optional, "op %s: operand %d is NULL", n->op->name, i);
    if (!t) continue;
    REQUIRE(t->graph == g, "op %s: operand %d is of another graph", n->op->name, i);
    if (node_poisoned(t)) return false;
    n->inputs[i] = t;
    differentiable = differentiable || t->differentiable;
  }
  if (!n->op->shape(n) || !graph_ok(g)) return false;
  for (int k = 0; k < n->n_outputs; k++) {
    tensor *t = n->outputs[k];
    t->differentiable = differentiable && t->type != DTYPE_I32 && n->op != &record_stop_gradient;
    t->number = g->n_tensors++;
  }
  return true;
}

node *node_append(graph *g, const op_record *op, tensor *const *inputs, int n_inputs,
                  const void *attr, size_t attr_size) {
  if (!graph_ok(g)) return NULL;
  node *n = arena_alloc(&g->arena, sizeof *n);
  if (!n || mem_grow(&g->nodes, &g->cap_nodes, g->n_nodes + 1, sizeof *g->nodes, NULL)) {
    graph_fail(g, GARAM_NO_MEMORY, "op %s: no memory for the graph", op->name);
    return NULL;
  }
  *n = (node){.op = op, .graph = g, .n_inputs = n_inputs, .backward = g->backward};
  n->number = (uint32_t)g->n_nodes;
  if (!node_fill(n, inputs, attr, attr_size)) return NULL;
  g->nodes[g->n_nodes++] = n;
  return n;
}

tensor *node_emit(const op_record *op, tensor *const *inputs, int n_inputs, const void *attr,
                  size_t attr_size) {
  graph *g = NULL;
  for (int i = 0; i < n_inputs && !g; i++)
    if (inputs[i]) g = inputs[i]->graph;
  REQUIRE(g, "op %s: no operand", op->name);
  node *n = node_append(g, op, inputs, n_inputs, attr, attr_size);
  return n ? n->outputs[0] : &g->poison;
}

uint32_t graph_next_stream(const graph *g) {
  return RNG_NODE + (uint32_t)g->n_nodes;
}
