/* A residual with its dropout and its norm, there and back in one pass each; made by rewriting. */
#include "graph/op_inner.h"

static size_t norm_cols(const tensor *t) {
  return (size_t)t->dims[t->rank - 1];
}

static const kernel_dropout *residual_key(const op_run *r, kernel_dropout *key) {
  const residual_norm_attr *a = r->node->attr;
  *key = dropout_key(r, &a->dropout);
  return a->dropout.rate > 0 ? key : NULL;
}

static double residual_norm_flops(const node *n) {
  const residual_norm_attr *a = n->attr;
  return (a->dropout.rate > 0 ? 16.0 : 9.0) * (double)n->outputs[0]->count;
}

/* ---- x, residual, gain or NULL, bias or NULL -> sum = residual + dropout(x), its norm, mean, rstd
 */

static bool residual_norm_shape(node *n) {
  const tensor *x = n->inputs[0];
  if (!shape_equal(x, n->inputs[1])) return node_fail(n, "the shapes differ");
  return node_output(n, x->type, x->rank, x->dims) && node_output(n, x->type, x->rank, x->dims) &&
         node_output(n, x->type, x->rank - 1, x->dims) &&
         node_output(n, x->type, x->rank - 1, x->dims);
}

static void residual_norm_run(const op_run *r) {
  const residual_norm_attr *a = r->node->attr;
  const tensor *x = r->node->inputs[0];
  kernel_dropout key;
  size_t cols = norm_cols(x);
  op_kernel(r)->residual_norm(r->out[0], r->out[1], r->in[0], r->in[1], r->in[2], r->in[3],
                              r->out[2], r->out[3], (size_t)x->count / cols, cols, a->epsilon,
                              residual_key(r, &key));
}

const op_record record_residual_norm = {.name = "residual_norm",
                                        .flags = OP_RANDOM,
                                        .optional = 12,
                                        .in_place = 3,
                                        .spare = 12,
                                        .shape = residual_norm_shape,
                                        .run = residual_norm_run,
                                        .flops = residual_norm_flops};

/* ---- dy, add or NULL, sum, gain or NULL, mean, rstd -> dsum, dx, dgain, dbias, dxbias; without
 * dropout dx is dsum, and nobody reads output 1 ---- */

static bool residual_norm_backward_shape(node *n) {
  const tensor *x = n->inputs[2];
  int64_t cols = (int64_t)norm_cols(x);
  return node_output(n, x->type, x->rank, x->dims) && node_output(n, x->type, x->rank, x->dims) &&
         node_output(n, x->type, 1, &cols) && node_output(n, x->type, 1, &cols) &&
         node_output(n, x->type, 1, &cols);
}

static size_t residual_norm_scratch(const node *n, const void *state) {
  (void)state;
  size_t cols = norm_cols(n->inputs[2]);
  return op_kernel_of(n)->residual_norm_scratch((size_t)n->inputs[2]->count / cols, cols);
}

static void residual_norm_backward_run(const op_run *r) {
  const tensor *x = r->node->inputs[2];
  kernel_dropout key;
  size_t cols = norm_cols(x);
  op_kernel(r)->residual_norm_backward(
      r->out[0], r->out[1], r->out[2], r->out[3], r->out[4], r->in[0], r->in[1], r->in[2], r->in[3],
      r->in[4], r->in[5], (size_t)x->count / cols, cols, residual_key(r, &key), r->scratch);
}

const op_record record_residual_norm_backward = {.name = "residual_norm_backward",
                                                 .flags = OP_RANDOM,
                                                 .optional = 10,
                                                 .in_place = 3,
                                                 .spare = 30,
                                                 .shape = residual_norm_backward_shape,
                                                 .scratch = residual_norm_scratch,
                                                 .run = residual_norm_backward_run,
                                                 .flops = residual_norm_flops};
