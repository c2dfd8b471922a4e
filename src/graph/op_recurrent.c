/* LSTM and GRU over whole sequences, through kernel/rnn.h. Forward keeps what its gradient reads
 * in a second output, whose size the kernel names. */
#include "graph/op_inner.h"
#include "kernel/rnn.h"

/* Both have the operands x, w, u, b, bu, h0, c0; those that a kind lacks are NULL. */
enum { RNN_X, RNN_W, RNN_U, RNN_B, RNN_BU, RNN_H0, RNN_C0, RNN_N_INPUTS };
#define RNN_OPTIONAL (1u << RNN_B | 1u << RNN_BU | 1u << RNN_H0 | 1u << RNN_C0)

typedef struct rnn_attr {
  rnn_kind kind;
} rnn_attr;

static rnn_shape rnn_shape_of(const node *n) {
  const tensor *x = n->inputs[RNN_X];
  return (rnn_shape){.kind = ((const rnn_attr *)n->attr)->kind,
                     .real_size = dtype_size(x->type),
                     .batch = x->dims[0],
                     .steps = x->dims[1],
                     .inputs = x->dims[2],
                     .hidden = n->inputs[RNN_U]->dims[0],
                     .precision = n->graph->precision == PLAN_BF16 ? GEMM_HALF : GEMM_FULL};
}

static rnn_weights rnn_weights_of(void *const *in) {
  return (rnn_weights){.w = in[RNN_W],
                       .u = in[RNN_U],
                       .b = in[RNN_B],
                       .bu = in[RNN_BU],
                       .h0 = in[RNN_H0],
                       .c0 = in[RNN_C0]};
}

static bool is_matrix(const tensor *t, int64_t rows, int64_t cols) {
  return t->type != DTYPE_I32 && t->rank == 2 && t->dims[0] == rows && t->dims[1] == cols;
}

static bool is_vector(const tensor *t, int64_t size) {
  return !t || (t->type != DTYPE_I32 && t->rank == 1 && t->dims[0] == size);
}

/* How much forward keeps: asked of a plan that is thrown away. */
static bool rnn_kept_output(node *n) {
  rnn_shape s = rnn_shape_of(n);
  rnn_plan *p = NULL;
  garam_error err;
  if (rnn_plan_new(&p, &s, false, &err) != GARAM_OK) {
    graph_fail(n->graph, err.status, "op %s: %s", n->op->name, err.message);
    return false;
  }
  int64_t kept = (int64_t)rnn_kept(p);
  rnn_plan_free(p);
  return node_output(n, n->inputs[RNN_X]->type, 1, &kept);
}

static bool rnn_shape_rule(node *n) {
  tensor *const *in = n->inputs;
  const tensor *x = in[RNN_X], *u = in[RNN_U];
  int64_t gates = ((const rnn_attr *)n->attr)->kind == RNN_LSTM ? 4 : 3;
  if (x->rank != 3 || x->type == DTYPE_I32) return node_fail(n, "expected x (B,T,I)");
  if (u->rank != 2 || !is_matrix(u, u->dims[0], gates * u->dims[0]))
    return node_fail(n, "expected u (H,%dH)", (int)gates);
  int64_t hidden = u->dims[0], batch = x->dims[0];
  if (!is_matrix(in[RNN_W], x->dims[2], gates * hidden))
    return node_fail(n, "expected w (I,%dH)", (int)gates);
  if (!is_vector(in[RNN_B], gates * hidden) || !is_vector(in[RNN_BU], gates * hidden))
    return node_fail(n, "expected biases of size %dH", (int)gates);
  for (int i = RNN_H0; i <= RNN_C0; i++)
    if (in[i] && !is_matrix(in[i], batch, hidden))
      return node_fail(n, "expected first states (B,H)");
  return node_output(n, x->type, 3, (int64_t[]){batch, x->dims[1], hidden}) && rnn_kept_output(n);
}

static garam_status rnn_prepare(void **state, const node *n, garam_error *err) {
  rnn_shape s = rnn_shape_of(n);
  rnn_plan *p = NULL;
  bool backward = n->op == &record_lstm_backward || n->op == &record_gru_backward;
  garam_status status = rnn_plan_new(&p, &s, backward, err);
  *state = p;
  return status;
}

static void rnn_release(void *state) {
  rnn_plan_free(state);
}

static size_t rnn_scratch_size(const node *n, const void *state) {
  (void)n;
  return rnn_scratch(state);
}

static void rnn_run(const op_run *r) {
  rnn_weights w = rnn_weights_of(r->in);
  rnn_forward(r->state, r->out[0], r->out[1], r->in[RNN_X], &w, r->scratch);
}

static double rnn_flops_of(const node *n) {
  rnn_shape s = rnn_shape_of(n);
  double gates = s.kind == RNN_LSTM ? 4 : 3;
  double rows = (double)s.batch * (double)s.steps, hidden = (double)s.hidden;
  return rows * gates * hidden * (2.0 * ((double)s.inputs + hidden) + 10);
}

/* Backward's operands: forward's, then y, kept, dy. */
enum { RNN_Y = RNN_N_INPUTS, RNN_KEPT, RNN_DY, RNN_N_BACKWARD };

static void rnn_grad(const node *n, tensor *const *dy) {
  if (!dy[0]) return;
  const op_record *back = n->op == &record_lstm ? &record_lstm_backward : &record_gru_backward;
  tensor *in[RNN_N_BACKWARD];
  for (int i = 0; i < RNN_N_INPUTS; i++) in[i] = n->inputs[i];
  in[RNN_Y] = n->outputs[0];
  in[RNN_KEPT] = n->outputs[1];
  in[RNN_DY] = dy[0];
  node *d = node_append(n->graph, back, in, RNN_N_BACKWARD, n->attr, n->attr_size);
  if (!d) return;
  for (int i = 0, k = 0; i < RNN_N_INPUTS; i++)
    if (n->inputs[i]) grad_add(n->inputs[i], d->outputs[k++]);
}

/* One gradient for each operand that is there, in their order. */
static bool rnn_backward_shape(node *n) {
  for (int i = 0; i < RNN_N_INPUTS; i++) {
    const tensor *t = n->inputs[i];
    if (t && !node_output(n, t->type, t->rank, t->dims)) return false;
  }
  return true;
}

static void rnn_backward_run(const op_run *r) {
  void *d[RNN_N_INPUTS];
  for (int i = 0, k = 0; i < RNN_N_INPUTS; i++) d[i] = r->in[i] ? r->out[k++] : NULL;
  rnn_weights w = rnn_weights_of(r->in);
  rnn_gradients g = {.dx = d[RNN_X],
                     .dw = d[RNN_W],
                     .du = d[RNN_U],
                     .db = d[RNN_B],
                     .dbu = d[RNN_BU],
                     .dh0 = d[RNN_H0],
                     .dc0 = d[RNN_C0]};
  rnn_backward(r->state, &g, r->in[RNN_DY], r->in[RNN_X], r->in[RNN_Y], r->in[RNN_KEPT], &w,
               r->scratch);
}

static double rnn_backward_flops(const node *n) {
  return 2 * rnn_flops_of(n);
}

#define RNN(NAME, ONNX)                                                                            \
  const op_record record_##NAME = {.name = #NAME,                                                  \
                                   .onnx = ONNX,                                                   \
                                   .optional = RNN_OPTIONAL,                                       \
                                   .shape = rnn_shape_rule,                                        \
                                   .grad = rnn_grad,                                               \
                                   .prepare = rnn_prepare,                                         \
                                   .release = rnn_release,                                         \
                                   .scratch = rnn_scratch_size,                                    \
                                   .run = rnn_run,                                                 \
                                   .flops = rnn_flops_of};                                         \
  const op_record record_##NAME##_backward = {.name = #NAME "_backward",                           \
                                              .optional = RNN_OPTIONAL,                            \
                                              .spare = ~0u,                                        \
                                              .shape = rnn_backward_shape,                         \
                                              .prepare = rnn_prepare,                              \
                                              .release = rnn_release,                              \
                                              .scratch = rnn_scratch_size,                         \
                                              .run = rnn_backward_run,                             \
                                              .flops = rnn_backward_flops}
RNN(lstm, "LSTM");
RNN(gru, "GRU");

tensor *op_lstm(tensor *x, tensor *w, tensor *u, tensor *b, tensor *h0, tensor *c0) {
  return node_emit(&record_lstm, TENSORS(x, w, u, b, NULL, h0, c0), &(rnn_attr){RNN_LSTM},
                   sizeof(rnn_attr));
}

tensor *op_gru(tensor *x, tensor *w, tensor *u, tensor *b, tensor *bu, tensor *h0) {
  return node_emit(&record_gru, TENSORS(x, w, u, b, bu, h0, NULL), &(rnn_attr){RNN_GRU},
                   sizeof(rnn_attr));
}
