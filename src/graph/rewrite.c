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

/* ---- what the rules do to nodes ---- */

/* The node becomes another op with the same first output. */
bool rewrite_become(node *n, const op_record *op, tensor *const *inputs, int n_inputs,
                    const void *attr, size_t attr_size) {
  graph *g = n->graph;
  tensor **in = arena_array(&g->arena, (size_t)n_inputs + 1, sizeof *in);
  void *copy = attr ? arena_alloc(&g->arena, attr_size) : NULL;
  if (!in || (attr && !copy)) {
    graph_fail(g, GARAM_NO_MEMORY, "rewrite: no memory for the graph");
    return false;
  }
  for (int i = 0; i < n_inputs; i++) in[i] = inputs[i];
  if (attr) memcpy(copy, attr, attr_size);
  n->op = op;
  n->inputs = in;
  n->n_inputs = n_inputs;
  n->attr = copy;
  n->attr_size = attr_size;
  return true;
}

/* Everyone who reads `from` reads `to`. */
void rewrite_replace(graph *g, const tensor *from, tensor *to) {
  for (size_t i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i]->n_inputs; k++)
      if (g->nodes[i]->inputs[k] == from) g->nodes[i]->inputs[k] = to;
  for (size_t i = 0; i < g->n_outputs; i++)
    if (g->outputs[i].tensor == from) g->outputs[i].tensor = to;
  for (size_t i = 0; i < g->n_params; i++)
    if (g->param_tensors[i]->grad == from) g->param_tensors[i]->grad = to;
}

/* The node that was appended last moves behind `after`. */
void rewrite_insert_after(graph *g, const node *after) {
  node *last = g->nodes[g->n_nodes - 1];
  size_t at = g->n_nodes - 1;
  for (; at > 0 && g->nodes[at - 1] != after; at--) g->nodes[at] = g->nodes[at - 1];
  REQUIRE(at > 0, "rewrite: the node to stand behind is not there");
  g->nodes[at] = last;
}

/* ---- gradients that are added up over runs ---- */

/* grad becomes was + grad right where it is made, so that it lives no longer than it must. */
void rewrite_accumulate(graph *g) {
  for (size_t i = 0; i < g->n_params && graph_ok(g); i++) {
    tensor *param = g->param_tensors[i];
    if (!param->grad) continue;
    const node *maker = param->grad->node;
    tensor *was = graph_leaf_gradient(g, param);
    if (!graph_ok(g)) return;
    rewrite_insert_after(g, maker);
    tensor *sum = op_add(param->grad, was);
    if (!graph_ok(g)) return;
    rewrite_insert_after(g, was->node);
    param->grad = sum;
  }
  if (!graph_ok(g)) return;
  graph_count_uses(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) rewrite_matmul_add(g->nodes[i]);
  rewrite_dead(g);
}
