/* Fusion: nodes that stand one behind the other become one that walks memory once. Every rule
 * changes nodes where they stand, or puts the new one where its last operand is known. */
#include "graph/op_inner.h"
#include "graph/plan.h"

static const tensor *through_reshape(const tensor *t) {
  while (t->node->op == &record_reshape) t = t->node->inputs[0];
  return t;
}

static bool is_activation(const node *n, kernel_unary_op *kernel) {
  static const struct {
    const op_record *op;
    kernel_unary_op kernel;
  } rows[] = {{&record_relu, KERNEL_RELU},
              {&record_gelu, KERNEL_GELU},
              {&record_silu, KERNEL_SILU},
              {&record_tanh, KERNEL_TANH},
              {&record_sigmoid, KERNEL_SIGMOID}};
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    if (n->op == rows[i].op) {
      *kernel = rows[i].kernel;
      return true;
    }
  return false;
}

/* Activations whose gradient kernel reads what is kept anyway: relu its result, the others their
 * operand. (The fused kernel wants the operand of tanh and sigmoid, which nobody keeps.) */
static bool is_fusable(kernel_unary_op kernel) {
  return kernel == KERNEL_RELU || kernel == KERNEL_GELU || kernel == KERNEL_SILU;
}

/* linear, then an activation that alone reads it: the product's epilogue does both. */
static void fuse_linear(node *n) {
  kernel_unary_op kernel;
  if (!is_activation(n, &kernel)) return;
  const tensor *x = n->inputs[0];
  const node *linear = x->node;
  if (linear->op == &record_linear && x->uses == 1 &&
      ((const linear_attr *)linear->attr)->activation == KERNEL_IDENTITY)
    rewrite_become(n, &record_linear, linear->inputs, 3, &(linear_attr){kernel},
                   sizeof(linear_attr));
}

/* The unary_backward node of activation a, whose dy comes through the gradient of dropout d alone
 * (d NULL: from anywhere). */
static node *backward_of(const graph *g, const node *a, const node *d) {
  for (size_t i = 0; i < g->n_nodes; i++) {
    node *n = g->nodes[i];
    if (n->op != &record_unary_backward ||
        ((const unary_attr *)n->attr)->kernel != ((const unary_attr *)a->attr)->kernel)
      continue;
    if (n->inputs[1] != a->inputs[0] && n->inputs[2] != a->outputs[0]) continue;
    if (!d) return n;
    const tensor *dy = n->inputs[0];
    if (dy->node->op == &record_dropout && dy->uses == 1 &&
        ((const dropout_attr *)dy->node->attr)->stream == ((const dropout_attr *)d->attr)->stream)
      return n;
  }
  return NULL;
}

/* unary_backward or dropout, as the kernel that gives the bias's gradient on the way; x NULL for
 * the identity, whose slope asks for nothing; of relu it is the result. */
static void become_activation_backward(node *n, tensor *dy, tensor *x, kernel_unary_op kernel,
                                       const dropout_attr *dropout) {
  activation_attr attr = {.kernel = kernel, .from_result = kernel == KERNEL_RELU};
  if (dropout) attr.dropout = *dropout;
  int64_t cols = dy->rank > 0 ? dy->dims[dy->rank - 1] : 1;
  if (!rewrite_become(n, &record_activation_backward, TENSORS(dy, x, NULL), &attr, sizeof attr) ||
      !node_output(n, dy->type, 1, &cols))
    return;
  n->outputs[1]->number = n->graph->n_tensors++;
}

/* Dropout of an activation, there and back, in one pass each. */
static void fuse_dropout(graph *g, node *d) {
  if (d->op != &record_dropout || d->backward) return;
  const node *a = d->inputs[0]->node;
  kernel_unary_op kernel;
  if (!is_activation(a, &kernel) || !is_fusable(kernel)) return;
  node *back = backward_of(g, a, d);
  bool result_kept = back && back->inputs[2] == a->outputs[0];
  if (a->outputs[0]->uses != (result_kept ? 2u : 1u)) return;
  dropout_attr dropout = *(const dropout_attr *)d->attr;
  tensor *x = a->inputs[0];
  activation_attr attr = {.kernel = kernel, .dropout = dropout};
  if (!rewrite_become(d, &record_activation, TENSORS(x, NULL), &attr, sizeof attr) || !back) return;
  become_activation_backward(back, back->inputs[0]->node->inputs[0],
                             result_kept ? d->outputs[0] : x, kernel, &dropout);
}

/* The sum over rows of what n gives: the gradient of a bias. */
static node *row_sum_of(const graph *g, const node *n) {
  for (size_t i = 0; i < g->n_nodes; i++) {
    node *s = g->nodes[i];
    if (s->op != &record_sum || s->inputs[0]->rank != 2) continue;
    const reduce_attr *a = s->attr;
    const tensor *from = through_reshape(s->inputs[0]), *dx = n->outputs[0];
    if (a->from == 0 && a->to == 1 && from == dx && dx->rank > 0 &&
        s->inputs[0]->dims[1] == dx->dims[dx->rank - 1])
      return s;
  }
  return NULL;
}

/* The node `sum` gave what is now made elsewhere, as a vector. */
static void become_total(graph *g, node *sum, tensor *made) {
  if (shape_equal(sum->outputs[0], made)) rewrite_replace(g, sum->outputs[0], made);
  else rewrite_become(sum, &record_reshape, TENSORS(made), NULL, 0);
}

/* What goes back through an activation or a dropout is often the gradient of a product with a bias:
 * its sum over rows is made in the same pass. */
static void fuse_bias_gradient(graph *g, node *n) {
  bool unary = n->op == &record_unary_backward;
  bool dropout = n->op == &record_dropout && n->backward;
  if (!unary && !dropout && n->op != &record_activation_backward) return;
  if (unary && !is_fusable(((const unary_attr *)n->attr)->kernel)) return;
  node *sum = row_sum_of(g, n);
  if (!sum) return;
  if (unary)
    become_activation_backward(n, n->inputs[0], n->inputs[1] ? n->inputs[1] : n->inputs[2],
                               ((const unary_attr *)n->attr)->kernel, NULL);
  if (dropout) become_activation_backward(n, n->inputs[0], NULL, KERNEL_IDENTITY, n->attr);
  if (!graph_ok(g)) return;
  become_total(g, sum, n->outputs[1]);
}

/* residual + dropout(x) */
static void fuse_dropout_add(node *n) {
  if (n->op != &record_add || !shape_equal(n->inputs[0], n->inputs[1])) return;
  for (int i = 1; i >= 0; i--) {
    const tensor *t = n->inputs[i];
    if (t->node->op != &record_dropout || t->uses != 1) continue;
    rewrite_become(n, &record_dropout_add, TENSORS(t->node->inputs[0], n->inputs[1 - i]),
                   t->node->attr, t->node->attr_size);
    return;
  }
}

/* ---- norms with the residual before them ---- */

static size_t position(const graph *g, const node *n) {
  size_t at = 0;
  while (g->nodes[at] != n) at++;
  return at;
}

/* Does everyone but `except` read t behind position `at`? */
static bool read_behind(const graph *g, const tensor *t, size_t at, const node *except) {
  for (size_t i = 0; i < at; i++)
    for (int k = 0; k < g->nodes[i]->n_inputs; k++)
      if (g->nodes[i]->inputs[k] == t && g->nodes[i] != except) return false;
  return true;
}

static node *reader_of(const graph *g, const tensor *t, const op_record *op) {
  for (size_t i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i]->n_inputs; k++)
      if (g->nodes[i]->inputs[k] == t && g->nodes[i]->op == op) return g->nodes[i];
  return NULL;
}

static bool is_plain_add(const node *n) {
  return n->op == &record_add && n->inputs[0] != n->inputs[1] &&
         shape_equal(n->inputs[0], n->inputs[1]);
}

static void fuse_residual_norm(graph *g, node *n) {
  if (n->op != &record_layer_norm) return;
  const tensor *sum = n->inputs[0];
  const node *add = sum->node;
  bool dropped = add->op == &record_dropout_add;
  if ((!dropped && !is_plain_add(add)) || !read_behind(g, sum, position(g, n), n)) return;
  residual_norm_attr attr = {.epsilon = ((const norm_attr *)n->attr)->epsilon};
  if (dropped) attr.dropout = *(const dropout_attr *)add->attr;
  node *f = node_append(g, &record_residual_norm,
                        TENSORS(add->inputs[0], add->inputs[1], n->inputs[1], n->inputs[2]), &attr,
                        sizeof attr);
  if (!f) return;
  f->backward = n->backward;
  rewrite_insert_after(g, n);
  rewrite_replace(g, sum, f->outputs[0]);
  for (int k = 0; k < 3; k++) rewrite_replace(g, n->outputs[k], f->outputs[k + 1]);
}

/* What the norm's gradient is added to, what drops it on its way to x, and the sum of that over
 * rows: the gradient of a product's bias. */
static void fuse_residual_norm_backward(graph *g, node *n) {
  if (n->op != &record_layer_norm_backward) return;
  node *last = n;
  tensor *sum = n->outputs[0], *add = NULL;
  node *reader = sum->uses == 1 ? reader_of(g, sum, &record_add) : NULL;
  if (reader && is_plain_add(reader)) {
    add = reader->inputs[reader->inputs[0] == sum];
    sum = reader->outputs[0];
    last = reader;
  }
  residual_norm_attr attr = {0};
  node *drop = reader_of(g, sum, &record_activation_backward), *total = NULL;
  if (drop && !drop->inputs[1] && !drop->inputs[2]) {
    attr.dropout = ((const activation_attr *)drop->attr)->dropout;
  } else {
    drop = reader_of(g, sum, &record_dropout);
    if (drop) attr.dropout = *(const dropout_attr *)drop->attr;
    else total = row_sum_of(g, last);
  }
  size_t at = position(g, last);
  if ((!add && !drop && !total) || !read_behind(g, n->outputs[1], at, NULL) ||
      !read_behind(g, n->outputs[2], at, NULL))
    return;
  tensor *const *in = n->inputs; /* dy, x, gain, mean, rstd */
  node *f = node_append(g, &record_residual_norm_backward,
                        TENSORS(in[0], add, in[1], in[2], in[3], in[4]), &attr, sizeof attr);
  if (!f) return;
  f->backward = true;
  rewrite_insert_after(g, last);
  rewrite_replace(g, sum, f->outputs[0]);
  rewrite_replace(g, n->outputs[1], f->outputs[2]);
  rewrite_replace(g, n->outputs[2], f->outputs[3]);
  if (drop) rewrite_replace(g, drop->outputs[0], f->outputs[1]);
  if (drop && drop->n_outputs > 1) rewrite_replace(g, drop->outputs[1], f->outputs[4]);
  if (total) become_total(g, total, f->outputs[4]);
}

/* t + a b, where nobody else reads the product: it is added where t lies. */
void rewrite_matmul_add(node *n) {
  if (n->op != &record_add || !shape_equal(n->inputs[0], n->inputs[1])) return;
  for (int i = 1; i >= 0; i--) {
    const tensor *t = n->inputs[i];
    bool alone = t->uses == 1;
    for (; t->node->op == &record_reshape; t = t->node->inputs[0])
      alone = alone && t->node->inputs[0]->uses == 1;
    if (!alone || t->node->op != &record_matmul) continue;
    tensor *const *in = t->node->inputs;
    rewrite_become(n, &record_matmul_add, TENSORS(in[0], in[1], n->inputs[1 - i]), t->node->attr,
                   t->node->attr_size);
    return;
  }
}

void rewrite_fuse(graph *g) {
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_dropout(g, g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_linear(g->nodes[i]);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_bias_gradient(g, g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_dropout_add(g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_residual_norm(g, g->nodes[i]);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++)
    fuse_residual_norm_backward(g, g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) rewrite_matmul_add(g->nodes[i]);
}
