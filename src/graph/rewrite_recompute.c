/* Cheap values that forward and gradient both read are made twice instead of being kept in between
 * (Chen et al. 2016, "Training deep nets with sublinear memory cost", for the ops that cost one
 * walk over memory). Only from operands that are kept anyway, so that no other life grows longer;
 * the second time the same kernel gives the same bits. */
#include "graph/op_inner.h"
#include "graph/plan.h"

/* The op that makes output k of n again, and its operands; false: it is not made twice. */
typedef struct again {
  const op_record *op;
  tensor *inputs[3];
  int n_inputs;
  const void *attr;
  size_t attr_size;
} again;

static bool again_of(again *a, const node *n, int k) {
  *a = (again){.op = n->op, .n_inputs = n->n_inputs, .attr = n->attr, .attr_size = n->attr_size};
  if (n->op == &record_residual_norm && k == 1) { /* the norm of the sum */
    *a = (again){.op = &record_layer_norm,
                 .inputs = {n->outputs[0], n->inputs[2], n->inputs[3]},
                 .n_inputs = 3,
                 .attr = n->attr, /* begins with epsilon */
                 .attr_size = sizeof(norm_attr)};
    return true;
  }
  if (k != 0 || !(n->op->flags & OP_CHEAP)) return false;
  REQUIRE(n->n_inputs <= 3, "rewrite_recompute: op %s has too many operands", n->op->name);
  for (int i = 0; i < n->n_inputs; i++) a->inputs[i] = n->inputs[i];
  return true;
}

static const tensor *memory_of(const tensor *t) {
  while (t->node->op->flags & OP_ALIAS) t = t->node->inputs[0];
  return t;
}

static bool reads(const node *n, const tensor *t) {
  for (int i = 0; i < n->n_inputs; i++)
    if (n->inputs[i] && memory_of(n->inputs[i]) == t) return true;
  return false;
}

/* Is t there at node `at` without anyone's help? */
static bool is_kept(const graph *g, const tensor *t, size_t at) {
  t = memory_of(t);
  if (t->node->op->flags & OP_LEAF) return true;
  for (size_t i = at; i < g->n_nodes; i++)
    if (reads(g->nodes[i], t)) return true;
  return false;
}

static bool is_output(const graph *g, const tensor *t) {
  for (size_t i = 0; i < g->n_outputs; i++)
    if (memory_of(g->outputs[i].tensor) == t) return true;
  return false;
}

static bool reads_plainly(const node *n, const tensor *t) {
  for (int i = 0; i < n->n_inputs; i++)
    if (n->inputs[i] == t) return true;
  return false;
}

/* Under another shape since forward: the gradient reads that, and it would have to be made twice
 * too. */
static bool is_reshaped(const graph *g, const tensor *t) {
  for (size_t i = 0; i < g->n_nodes; i++)
    if (!g->nodes[i]->backward && g->nodes[i]->op->flags & OP_ALIAS &&
        reads_plainly(g->nodes[i], t))
      return true;
  return false;
}

static void make_twice(graph *g, const node *n, int k) {
  again a;
  tensor *t = n->outputs[k];
  if (!again_of(&a, n, k) || is_output(g, t) || is_reshaped(g, t)) return;
  size_t first = 0; /* reader in the gradient */
  while (first < g->n_nodes && !(g->nodes[first]->backward && reads_plainly(g->nodes[first], t)))
    first++;
  if (first == g->n_nodes || first == 0) return;
  for (int i = 0; i < a.n_inputs; i++)
    if (a.inputs[i] && !is_kept(g, a.inputs[i], first)) return;
  const node *before = g->nodes[first - 1];
  node *made = node_append(g, a.op, a.inputs, a.n_inputs, a.attr, a.attr_size);
  if (!made) return;
  made->backward = true;
  rewrite_insert_after(g, before);
  for (size_t i = first + 1; i < g->n_nodes; i++)
    for (int j = 0; j < g->nodes[i]->n_inputs; j++)
      if (g->nodes[i]->inputs[j] == t) g->nodes[i]->inputs[j] = made->outputs[0];
}

void rewrite_recompute(graph *g) {
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) {
    const node *n = g->nodes[i];
    for (int k = 0; !n->backward && k < n->n_outputs; k++) make_twice(g, n, k);
  }
  rewrite_dead(g);
}
