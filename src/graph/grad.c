/* Reverse-mode differentiation on the graph itself (Linnainmaa 1970; Griewank & Walther 2008,
 * ch. 3): the nodes are walked backwards once, and every op's rule appends the nodes of its
 * gradient. What comes in over several paths is added in the order of that walk, so the sum
 * has the same bits each time. Gradients that nobody needs are dead code for rewrite.c. */
#include "graph/node.h"

bool grad_wanted(const tensor *t) {
  return t && t->differentiable;
}

void grad_add(tensor *t, tensor *gradient) {
  if (!grad_wanted(t) || node_poisoned(gradient)) return;
  graph *g = t->graph;
  if (!shape_equal(t, gradient)) {
    char is[SHAPE_TEXT_MAX], wants[SHAPE_TEXT_MAX];
    graph_fail(g, GARAM_INVALID, "op %s: a gradient of shape %s for a tensor of shape %s",
               t->node->op->name, tensor_text(is, gradient), tensor_text(wants, t));
    return;
  }
  t->grad = t->grad ? op_add(t->grad, gradient) : gradient;
}

static void node_grad(node *n) {
  tensor *dy[NODE_MAX_OUTPUTS] = {NULL};
  bool any = false, wanted = false;
  for (int k = 0; k < n->n_outputs; k++) {
    dy[k] = n->outputs[k]->grad;
    any = any || dy[k];
  }
  for (int i = 0; i < n->n_inputs; i++) wanted = wanted || grad_wanted(n->inputs[i]);
  if (!any || !wanted || n->op == &record_stop_gradient) return;
  if (n->op->grad) n->op->grad(n, dy);
  else node_fail(n, "has no gradient, but the loss depends on it; use op_stop_gradient");
}

void graph_grad(graph *g, tensor *loss) {
  if (!graph_ok(g)) return;
  REQUIRE(loss && loss->graph == g, "graph_grad: the loss is not a tensor of this graph");
  if (g->loss) {
    graph_fail(g, GARAM_INVALID, "graph_grad: this graph has its gradient; add losses up first");
    return;
  }
  if (loss->count != 1 || loss->type == DTYPE_I32) {
    char text[SHAPE_TEXT_MAX];
    graph_fail(g, GARAM_INVALID, "graph_grad: the loss has shape %s; it must be one number",
               tensor_text(text, loss));
    return;
  }
  g->loss = loss;
  g->backward = true;
  size_t n = g->n_nodes;
  loss->grad = graph_leaf_scale(g, loss->rank, loss->dims);
  for (size_t i = n; i-- > 0 && graph_ok(g);) node_grad(g->nodes[i]);
  g->backward = false;
}

tensor *tensor_grad(tensor *t) {
  if (node_poisoned(t)) return t;
  return t->grad;
}
