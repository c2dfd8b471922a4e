/* Losses: weighted means over rows, one number. Weights take no gradient; nor do targets, unless
 * the loss is symmetric in both. */
#include "graph/op_inner.h"

static bool loss_weight(node *n, const tensor *weight, int64_t rows) {
  if (weight && (weight->type == DTYPE_I32 || weight->count != rows))
    return node_fail(n, "expected one weight a row");
  return true;
}

static double loss_flops(const node *n) {
  return 8.0 * (double)n->inputs[0]->count;
}

/* ---- cross_entropy: logits (...,K), target (...), weight or NULL -> loss, stat (N+1) ---- */

typedef struct cross_entropy_attr {
  double smoothing;
} cross_entropy_attr;

static bool cross_entropy_shape(node *n) {
  const tensor *logits = n->inputs[0], *target = n->inputs[1];
  const cross_entropy_attr *a = n->attr;
  if (logits->type == DTYPE_I32 || logits->rank < 1 || target->type != DTYPE_I32)
    return node_fail(n, "expected logits (N,K) and int32 targets (N)");
  int64_t rows = logits->count / logits->dims[logits->rank - 1];
  if (target->count != rows) return node_fail(n, "expected one target a row");
  if (!(a->smoothing >= 0 && a->smoothing < 1))
    return node_fail(n, "label smoothing %g is not in [0,1)", a->smoothing);
  return loss_weight(n, n->inputs[2], rows) && node_output(n, logits->type, 0, NULL) &&
         node_output(n, logits->type, 1, (int64_t[]){rows + 1});
}

static void cross_entropy_grad(const node *n, tensor *const *dy) {
  if (!dy[0]) return;
  grad_add(n->inputs[0],
           node_emit(&record_cross_entropy_backward,
                     TENSORS(dy[0], n->outputs[1], n->inputs[0], n->inputs[1], n->inputs[2]),
                     n->attr, n->attr_size));
}

static void cross_entropy_run(const op_run *r) {
  const tensor *logits = r->node->inputs[0];
  const cross_entropy_attr *a = r->node->attr;
  size_t cols = (size_t)logits->dims[logits->rank - 1];
  op_kernel(r)->cross_entropy(r->out[0], r->out[1], r->in[0], r->in[1], r->in[2],
                              (size_t)logits->count / cols, cols, a->smoothing);
}

const op_record record_cross_entropy = {.name = "cross_entropy",
                                        .onnx = "SoftmaxCrossEntropyLoss",
                                        .optional = 4,
                                        .shape = cross_entropy_shape,
                                        .grad = cross_entropy_grad,
                                        .run = cross_entropy_run,
                                        .flops = loss_flops};

tensor *op_cross_entropy(tensor *logits, tensor *target, tensor *weight, double label_smoothing) {
  return node_emit(&record_cross_entropy, TENSORS(logits, target, weight),
                   &(cross_entropy_attr){label_smoothing}, sizeof(cross_entropy_attr));
}

/* dloss, stat, logits, target, weight or NULL -> dlogits */
static bool cross_entropy_backward_shape(node *n) {
  const tensor *logits = n->inputs[2];
  return node_output(n, logits->type, logits->rank, logits->dims);
}

static void cross_entropy_backward_run(const op_run *r) {
  const tensor *logits = r->node->inputs[2];
  const cross_entropy_attr *a = r->node->attr;
  size_t cols = (size_t)logits->dims[logits->rank - 1];
  op_kernel(r)->cross_entropy_backward(r->out[0], r->in[0], r->in[1], r->in[2], r->in[3], r->in[4],
                                       (size_t)logits->count / cols, cols, a->smoothing);
}

const op_record record_cross_entropy_backward = {.name = "cross_entropy_backward",
                                                 .optional = 16,
                                                 .in_place = 4,
                                                 .shape = cross_entropy_backward_shape,
                                                 .run = cross_entropy_backward_run,
                                                 .flops = loss_flops};

/* ---- mse, huber, bce_logits: prediction, target, weight or NULL -> loss ---- */

typedef struct loss_attr {
  kernel_loss_op kernel;
  double delta;
} loss_attr;

/* (N) is N rows of one number; (N,...) is N rows of the rest. */
static int64_t loss_rows(const tensor *prediction) {
  return prediction->rank > 0 ? prediction->dims[0] : 1;
}

static bool loss_shape(node *n) {
  const tensor *p = n->inputs[0], *t = n->inputs[1];
  const loss_attr *a = n->attr;
  if (p->type == DTYPE_I32 || t->type == DTYPE_I32) return node_fail(n, "an operand holds int32");
  if (!shape_equal(p, t)) return node_fail(n, "prediction and target differ in shape");
  if (a->kernel == KERNEL_HUBER && !(a->delta > 0))
    return node_fail(n, "delta %g is not above 0", a->delta);
  return loss_weight(n, n->inputs[2], loss_rows(p)) && node_output(n, p->type, 0, NULL);
}

static void loss_grad(const node *n, tensor *const *dy) {
  const loss_attr *a = n->attr;
  tensor *p = n->inputs[0], *t = n->inputs[1];
  tensor *dp = node_emit(&record_loss_backward, TENSORS(dy[0], p, t, n->inputs[2]), a, sizeof *a);
  if (grad_wanted(p)) grad_add(p, dp);
  if (grad_wanted(t) && a->kernel != KERNEL_BCE) grad_add(t, op_neg(dp));
}

static void loss_run(const op_run *r) {
  const tensor *p = r->node->inputs[0];
  const loss_attr *a = r->node->attr;
  size_t rows = (size_t)loss_rows(p);
  op_kernel(r)->loss(a->kernel, r->out[0], r->in[0], r->in[1], r->in[2], rows,
                     (size_t)p->count / rows, a->delta);
}

#define LOSS(NAME)                                                                                 \
  const op_record record_##NAME = {.name = #NAME,                                                  \
                                   .optional = 4,                                                  \
                                   .shape = loss_shape,                                            \
                                   .grad = loss_grad,                                              \
                                   .run = loss_run,                                                \
                                   .flops = loss_flops}
LOSS(mse);
LOSS(huber);
LOSS(bce_logits);

static tensor *loss_emit(const op_record *op, tensor *p, tensor *t, tensor *weight,
                         kernel_loss_op kernel, double delta) {
  return node_emit(op, TENSORS(p, t, weight), &(loss_attr){kernel, delta}, sizeof(loss_attr));
}

tensor *op_mse(tensor *prediction, tensor *target, tensor *weight) {
  return loss_emit(&record_mse, prediction, target, weight, KERNEL_MSE, 0);
}
tensor *op_huber(tensor *prediction, tensor *target, tensor *weight, double delta) {
  return loss_emit(&record_huber, prediction, target, weight, KERNEL_HUBER, delta);
}
tensor *op_bce_logits(tensor *logits, tensor *target, tensor *weight) {
  return loss_emit(&record_bce_logits, logits, target, weight, KERNEL_BCE, 0);
}

/* dloss, prediction, target, weight or NULL -> dprediction */
static bool loss_backward_shape(node *n) {
  const tensor *p = n->inputs[1];
  return node_output(n, p->type, p->rank, p->dims);
}

static void loss_backward_run(const op_run *r) {
  const tensor *p = r->node->inputs[1];
  const loss_attr *a = r->node->attr;
  size_t rows = (size_t)loss_rows(p);
  op_kernel(r)->loss_backward(a->kernel, r->out[0], r->in[0], r->in[1], r->in[2], r->in[3], rows,
                              (size_t)p->count / rows, a->delta);
}

const op_record record_loss_backward = {.name = "loss_backward",
                                        .optional = 8,
                                        .in_place = 2,
                                        .shape = loss_backward_shape,
                                        .run = loss_backward_run,
                                        .flops = loss_flops};
