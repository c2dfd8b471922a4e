/* Rewriting, on the plan's own copy of the graph. Every rule changes nodes where they stand, so the
 * list stays in an order in which it can run; what a rule leaves behind is dead code. Values
 * stay the same up to rounding, dropout's masks to the bit: they hang on the stream of the
 * node that was built. */
#include "graph/op_inner.h"
#include "graph/plan.h"

#include <string.h>

#define FOLD_MAX 4096 /* items: larger constants would cost more memory than they save time */

/* ---- uses and dead code ---- */

void graph_count_uses(graph *g) {
  for (size_t i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i]->n_outputs; k++) g->nodes[i]->outputs[k]->uses = 0;
  for (size_t i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i]->n_inputs; k++)
      if (g->nodes[i]->inputs[k]) g->nodes[i]->inputs[k]->uses++;
  for (size_t i = 0; i < g->n_outputs; i++) g->outputs[i].tensor->uses++;
  for (size_t i = 0; i < g->n_params; i++)
    if (g->param_tensors[i]->grad) g->param_tensors[i]->grad->uses++;
}

/* Inputs and parameters stay: they have names. */
static bool is_named_leaf(const node *n) {
  return n->op == &record_input || n->op == &record_param;
}

void rewrite_dead(graph *g) {
  graph_count_uses(g);
  size_t n_dead = 0;
  for (size_t i = g->n_nodes; i-- > 0;) {
    node *n = g->nodes[i];
    uint32_t uses = 0;
    for (int k = 0; k < n->n_outputs; k++) uses += n->outputs[k]->uses;
    if (uses > 0 || is_named_leaf(n)) continue;
    for (int k = 0; k < n->n_inputs; k++)
      if (n->inputs[k]) n->inputs[k]->uses--;
    g->nodes[i] = NULL;
    n_dead++;
  }
  size_t at = 0;
  for (size_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i]) g->nodes[at++] = g->nodes[i];
  REQUIRE(at + n_dead == g->n_nodes, "rewrite_dead: lost a node");
  g->n_nodes = at;
}

/* ---- constants ---- */

static bool is_constant(const node *n) {
  return n->op == &record_constant || n->op == &record_fill;
}

static bool foldable(const node *n) {
  if (n->n_inputs == 0 || n->n_outputs != 1 || n->outputs[0]->count > FOLD_MAX ||
      n->op->flags & (OP_LEAF | OP_RANDOM) || n->op->prepare)
    return false;
  for (int i = 0; i < n->n_inputs; i++)
    if (n->inputs[i] && (!is_constant(n->inputs[i]->node) || n->inputs[i]->count > FOLD_MAX))
      return false;
  return true;
}

static double item_of(const void *values, dtype type, int64_t i) {
  return type == DTYPE_F64 ? ((const double *)values)[i] : (double)((const float *)values)[i];
}

/* Runs the node once, in memory of its own, and makes it a constant. */
static garam_status fold(graph *g, node *n) {
  tensor *y = n->outputs[0];
  arena work;
  arena_init(&work, 0);
  garam_status status = GARAM_NO_MEMORY;
  void **in = arena_array(&work, (size_t)n->n_inputs, sizeof *in);
  void *out = arena_alloc(&work, tensor_bytes(y) + MEMORY_ALIGN);
  double *values = arena_array(&work, (size_t)y->count, sizeof *values);
  size_t scratch_bytes = n->op->scratch ? n->op->scratch(n, NULL) : 0;
  char *scratch = arena_alloc(&work, scratch_bytes + MEMORY_ALIGN);
  if (!in || !out || !values || !scratch) goto done;
  scratch += -(uintptr_t)scratch & (MEMORY_ALIGN - 1);
  for (int i = 0; i < n->n_inputs; i++) {
    if (!n->inputs[i]) continue;
    in[i] = arena_alloc(&work, tensor_bytes(n->inputs[i]));
    if (!in[i]) goto done;
    node *leaf = n->inputs[i]->node;
    leaf->op->run(&(op_run){.node = leaf, .out = &in[i]});
  }
  if (n->op->flags & OP_ALIAS) memcpy(out, in[0], tensor_bytes(y));
  else n->op->run(&(op_run){.node = n, .in = in, .out = &out, .scratch = scratch});
  for (int64_t i = 0; i < y->count; i++) values[i] = item_of(out, y->type, i);
  status = constant_become(g, n, values) ? GARAM_OK : GARAM_NO_MEMORY;
done:
  arena_deinit(&work);
  return status;
}

garam_status rewrite_fold(graph *g, garam_error *err) {
  for (size_t i = 0; i < g->n_nodes; i++)
    if (foldable(g->nodes[i]) && fold(g, g->nodes[i]) != GARAM_OK)
      return fail_memory(err, FOLD_MAX * sizeof(double));
  return GARAM_OK;
}

/* ---- fusion ---- */

static void *attr_copy(graph *g, const void *attr, size_t size) {
  void *copy = arena_alloc(&g->arena, size);
  if (copy) memcpy(copy, attr, size);
  else graph_fail(g, GARAM_NO_MEMORY, "rewrite: no memory for the graph");
  return copy;
}

/* The node becomes another op with the same first output. */
static bool become(node *n, const op_record *op, tensor *const *inputs, int n_inputs, const void *attr,
                   size_t attr_size) {
  graph *g = n->graph;
  tensor **in = arena_array(&g->arena, (size_t)n_inputs + 1, sizeof *in);
  void *copy = attr_copy(g, attr, attr_size);
  if (!in || !copy) {
    graph_fail(g, GARAM_NO_MEMORY, "rewrite: no memory for the graph");
    return false;
  }
  for (int i = 0; i < n_inputs; i++) in[i] = inputs[i];
  n->op = op;
  n->inputs = in;
  n->n_inputs = n_inputs;
  n->attr = copy;
  n->attr_size = attr_size;
  return true;
}

/* linear, then an activation that alone reads it: the product's epilogue does both. */
static void fuse_linear(node *n) {
  static const struct {
    const op_record *op;
    kernel_unary_op kernel;
  } fusable[] = {{&record_relu, KERNEL_RELU},
                 {&record_gelu, KERNEL_GELU},
                 {&record_silu, KERNEL_SILU},
                 {&record_tanh, KERNEL_TANH},
                 {&record_sigmoid, KERNEL_SIGMOID}};
  for (size_t i = 0; i < COUNT_OF(fusable); i++) {
    if (n->op != fusable[i].op) continue;
    const tensor *x = n->inputs[0];
    const node *linear = x->node;
    if (linear->op != &record_linear || x->uses != 1 ||
        ((const linear_attr *)linear->attr)->activation != KERNEL_IDENTITY)
      return;
    become(n, &record_linear, linear->inputs, 3, &(linear_attr){fusable[i].kernel},
           sizeof(linear_attr));
    return;
  }
}

void rewrite_fuse(graph *g) {
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_linear(g->nodes[i]);
}
