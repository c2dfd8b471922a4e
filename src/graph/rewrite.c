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

/* The node becomes another op with the same first output. */
static bool become(node *n, const op_record *op, tensor *const *inputs, int n_inputs,
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
static void replace(graph *g, const tensor *from, tensor *to) {
  for (size_t i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i]->n_inputs; k++)
      if (g->nodes[i]->inputs[k] == from) g->nodes[i]->inputs[k] = to;
  for (size_t i = 0; i < g->n_outputs; i++)
    if (g->outputs[i].tensor == from) g->outputs[i].tensor = to;
  for (size_t i = 0; i < g->n_params; i++)
    if (g->param_tensors[i]->grad == from) g->param_tensors[i]->grad = to;
}

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
    become(n, &record_linear, linear->inputs, 3, &(linear_attr){kernel}, sizeof(linear_attr));
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
 * the identity, whose slope asks for nothing. */
static void become_activation_backward(node *n, tensor *dy, tensor *x, kernel_unary_op kernel,
                                       const dropout_attr *dropout) {
  activation_attr attr = {.kernel = kernel};
  if (dropout) attr.dropout = *dropout;
  int64_t cols = dy->rank > 0 ? dy->dims[dy->rank - 1] : 1;
  if (!become(n, &record_activation_backward, TENSORS(dy, x, NULL), &attr, sizeof attr) ||
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
  if (!become(d, &record_activation, TENSORS(x, NULL), &attr, sizeof attr) || !back) return;
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
  tensor *dbias = n->outputs[1];
  tensor *total = sum->outputs[0];
  if (shape_equal(total, dbias)) replace(g, total, dbias);
  else become(sum, &record_reshape, TENSORS(dbias), NULL, 0);
}

/* residual + dropout(x) */
static void fuse_dropout_add(node *n) {
  if (n->op != &record_add || !shape_equal(n->inputs[0], n->inputs[1])) return;
  for (int i = 1; i >= 0; i--) {
    const tensor *t = n->inputs[i];
    if (t->node->op != &record_dropout || t->uses != 1) continue;
    become(n, &record_dropout_add, TENSORS(t->node->inputs[0], n->inputs[1 - i]), t->node->attr,
           t->node->attr_size);
    return;
  }
}

/* t + a b, where nobody else reads the product: it is added where t lies. */
static void fuse_matmul_add(node *n) {
  if (n->op != &record_add || !shape_equal(n->inputs[0], n->inputs[1])) return;
  for (int i = 1; i >= 0; i--) {
    const tensor *t = n->inputs[i];
    bool alone = t->uses == 1;
    for (; t->node->op == &record_reshape; t = t->node->inputs[0])
      alone = alone && t->node->inputs[0]->uses == 1;
    if (!alone || t->node->op != &record_matmul) continue;
    tensor *const *in = t->node->inputs;
    become(n, &record_matmul_add, TENSORS(in[0], in[1], n->inputs[1 - i]), t->node->attr,
           t->node->attr_size);
    return;
  }
}

/* ---- gradients that are added up over runs ---- */

/* The node that was appended last moves behind `after`. */
static void insert_after(graph *g, const node *after) {
  node *last = g->nodes[g->n_nodes - 1];
  size_t at = g->n_nodes - 1;
  for (; at > 0 && g->nodes[at - 1] != after; at--) g->nodes[at] = g->nodes[at - 1];
  REQUIRE(at > 0, "rewrite: the node to stand behind is not there");
  g->nodes[at] = last;
}

/* grad becomes was + grad right where it is made, so that it lives no longer than it must. */
void rewrite_accumulate(graph *g) {
  for (size_t i = 0; i < g->n_params && graph_ok(g); i++) {
    tensor *param = g->param_tensors[i];
    if (!param->grad) continue;
    const node *maker = param->grad->node;
    tensor *was = graph_leaf_gradient(g, param);
    if (!graph_ok(g)) return;
    insert_after(g, maker);
    tensor *sum = op_add(param->grad, was);
    if (!graph_ok(g)) return;
    insert_after(g, was->node);
    param->grad = sum;
  }
  if (!graph_ok(g)) return;
  graph_count_uses(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_matmul_add(g->nodes[i]);
  rewrite_dead(g);
}

void rewrite_fuse(graph *g) {
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_dropout(g, g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_linear(g->nodes[i]);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_bias_gradient(g, g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_dropout_add(g->nodes[i]);
  rewrite_dead(g);
  for (size_t i = 0; i < g->n_nodes && graph_ok(g); i++) fuse_matmul_add(g->nodes[i]);
}
