/* What hangs on parameters and constants alone comes first: it runs when the parameters have
 * changed, not in every run. Weights laid side by side for one product are such nodes. */
#include "graph/op_inner.h"
#include "graph/plan.h"

static bool is_kept_leaf(const node *n) {
  return n->op == &record_param || n->op == &record_constant || n->op == &record_fill;
}

/* The caller's gradients are his to write between runs, so what lies there is made in each. */
static bool lands_in_gradients(const graph *g, const node *n) {
  for (size_t i = 0; i < g->n_params; i++) {
    const tensor *t = g->param_tensors[i]->grad;
    for (; t; t = t->node->op->flags & OP_ALIAS ? t->node->inputs[0] : NULL)
      if (t->node == n) return true;
  }
  return false;
}

static bool is_fixed(const graph *g, const node *n) {
  if (n->op->flags & OP_LEAF) return is_kept_leaf(n);
  if (n->op->flags & OP_RANDOM || lands_in_gradients(g, n)) return false;
  for (int i = 0; i < n->n_inputs; i++)
    if (n->inputs[i] && !n->inputs[i]->node->fixed) return false;
  return n->n_inputs > 0;
}

garam_status rewrite_fixed_first(graph *g, garam_error *err) {
  node **order = mem_array(g->n_nodes + 1, sizeof(node *));
  if (!order) return fail_memory(err, g->n_nodes * sizeof(node *));
  size_t n = 0;
  for (size_t i = 0; i < g->n_nodes; i++) { /* inputs stand before their readers */
    g->nodes[i]->fixed = is_fixed(g, g->nodes[i]);
    if (g->nodes[i]->fixed) order[n++] = g->nodes[i];
  }
  for (size_t i = 0; i < g->n_nodes; i++)
    if (!g->nodes[i]->fixed) order[n++] = g->nodes[i];
  for (size_t i = 0; i < g->n_nodes; i++) g->nodes[i] = order[i];
  mem_free(order);
  return GARAM_OK;
}
