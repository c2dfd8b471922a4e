/* Convolution along time, through kernel/conv.h. */
#include "graph/op_inner.h"
#include "kernel/conv.h"

typedef struct conv_attr {
  int64_t stride, dilation, pad_left, pad_right;
} conv_attr;

/* x, w, b stand at the same places in both nodes. */
static conv1d_shape conv_shape_of(const node *n) {
  const conv_attr *a = n->attr;
  const tensor *x = n->inputs[0], *w = n->inputs[1];
  return (conv1d_shape){.real_size = dtype_size(x->type),
                        .batch = x->dims[0],
                        .steps = x->dims[1],
                        .inputs = x->dims[2],
                        .taps = w->dims[0],
                        .outputs = w->dims[2],
                        .stride = a->stride,
                        .dilation = a->dilation,
                        .pad_left = a->pad_left,
                        .pad_right = a->pad_right,
                        .bias = n->inputs[2] != NULL};
}

static bool conv_shape(node *n) {
  const conv_attr *a = n->attr;
  const tensor *x = n->inputs[0], *w = n->inputs[1], *b = n->inputs[2];
  if (x->rank != 3 || w->rank != 3 || x->type == DTYPE_I32 || w->type == DTYPE_I32 ||
      x->dims[2] != w->dims[1])
    return node_fail(n, "expected x (B,T,I) and w (K,I,O)");
  if (b && (b->rank != 1 || b->dims[0] != w->dims[2]))
    return node_fail(n, "the bias is not of size (O)");
  if (a->stride < 1 || a->dilation < 1 || a->pad_left < 0 || a->pad_right < 0)
    return node_fail(n, "stride and dilation are at least 1, paddings at least 0");
  conv1d_shape s = conv_shape_of(n);
  int64_t steps = conv1d_steps(&s);
  if (steps < 1) return node_fail(n, "the taps reach further than the padded steps");
  return node_output(n, x->type, 3, (int64_t[]){x->dims[0], steps, w->dims[2]});
}

static void conv_grad(const node *n, tensor *const *dy) {
  tensor *const *in = n->inputs;
  node *d = node_append(n->graph, &record_conv1d_backward, TENSORS(in[0], in[1], in[2], dy[0]),
                        n->attr, n->attr_size);
  for (int i = 0; d && i < d->n_outputs; i++) grad_add(in[i], d->outputs[i]);
}

static garam_status conv_prepare(void **state, const node *n, garam_error *err) {
  conv1d_shape s = conv_shape_of(n);
  conv1d_plan *p = NULL;
  garam_status status = conv1d_plan_new(&p, &s, n->op == &record_conv1d_backward, err);
  *state = p;
  return status;
}

static void conv_release(void *state) {
  conv1d_plan_free(state);
}

static size_t conv_scratch(const node *n, const void *state) {
  (void)n;
  return conv1d_scratch(state);
}

static void conv_run(const op_run *r) {
  conv1d_forward(r->state, r->out[0], r->in[0], r->in[1], r->in[2], r->scratch);
}

static double conv_flops(const node *n) {
  conv1d_shape s = conv_shape_of(n);
  return 2.0 * (double)(s.batch * conv1d_steps(&s)) * (double)(s.taps * s.inputs) *
         (double)s.outputs;
}

const op_record record_conv1d = {.name = "conv1d",
                                 .onnx = "Conv",
                                 .optional = 4,
                                 .shape = conv_shape,
                                 .grad = conv_grad,
                                 .prepare = conv_prepare,
                                 .release = conv_release,
                                 .scratch = conv_scratch,
                                 .run = conv_run,
                                 .flops = conv_flops};

tensor *op_conv1d(tensor *x, tensor *w, tensor *b, int64_t stride, int64_t dilation,
                  int64_t pad_left, int64_t pad_right) {
  return node_emit(&record_conv1d, TENSORS(x, w, b),
                   &(conv_attr){stride, dilation, pad_left, pad_right}, sizeof(conv_attr));
}

/* x, w, b or NULL, dy -> dx, dw, and db when there is a bias */
static bool conv_backward_shape(node *n) {
  for (int i = 0; i < 3; i++) {
    const tensor *t = n->inputs[i];
    if (t && !node_output(n, t->type, t->rank, t->dims)) return false;
  }
  return true;
}

static void conv_backward_run(const op_run *r) {
  conv1d_backward(r->state, r->out[0], r->out[1], r->in[2] ? r->out[2] : NULL, r->in[3], r->in[0],
                  r->in[1], r->scratch);
}

static double conv_backward_flops(const node *n) {
  return 2 * conv_flops(n);
}

const op_record record_conv1d_backward = {.name = "conv1d_backward",
                                          .optional = 4,
                                          .spare = 7,
                                          .shape = conv_backward_shape,
                                          .prepare = conv_prepare,
                                          .release = conv_release,
                                          .scratch = conv_scratch,
                                          .run = conv_backward_run,
                                          .flops = conv_backward_flops};
