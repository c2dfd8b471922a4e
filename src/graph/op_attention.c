/* Attention as one node (Vaswani et al. 2017, eq. 1; kept memory as in Dao et al. 2022): forward
 * keeps its output and one number a row, the log-sum-exp; the gradient recomputes the weights
 * and regenerates their dropout. */
#include "graph/op_inner.h"

#include <inttypes.h>
#include <math.h>

typedef struct attention_attr {
  attention_options options;
  uint32_t stream;
} attention_attr;

/* q, k, v side by side in one tensor (B,T,3D): then there is no k and no v. */
static bool is_joint(const node *n) {
  return !n->inputs[1];
}

/* Of either node: forward's q, k, v stand at the same places in both. */
static kernel_attention attention_kernel(const node *n, const op_run *r) {
  const attention_attr *a = n->attr;
  const tensor *q = n->inputs[0], *k = is_joint(n) ? q : n->inputs[1];
  int64_t width = is_joint(n) ? q->dims[2] / 3 : q->dims[2];
  kernel_attention s = {.batch = q->dims[0],
                        .queries = q->dims[1],
                        .keys = k->dims[1],
                        .heads = a->options.n_heads,
                        .head = width / a->options.n_heads,
                        .scale = a->options.scale,
                        .causal = a->options.causal,
                        .window = a->options.window};
  if (is_joint(n)) {
    s.q_stride = s.k_stride = s.v_stride = 3 * width;
    s.dq_stride = s.dk_stride = s.dv_stride = 3 * width;
  }
  s.dropout = (kernel_dropout){.rate = a->options.dropout, .stream = a->stream};
  if (r) {
    s.key_begin = r->in[3];
    s.dropout.seed = r->seed;
    s.dropout.step = r->step;
    s.dropout.first = r->part * (uint64_t)(s.batch * s.heads * s.keys) *
                      kernel_mask_blocks((uint64_t)s.queries) * KERNEL_MASK_BLOCK;
  }
  return s;
}

/* Where part i of (q, k, v) begins, or of their gradients: apart, or columns of the first. */
static char *attention_part(const node *n, void *const *at, int i) {
  const tensor *q = n->inputs[0];
  if (!is_joint(n)) return at[i];
  if (!at[0]) return NULL;
  return (char *)at[0] + (size_t)i * (size_t)(q->dims[2] / 3) * dtype_size(q->type);
}

static bool attention_shape(node *n) {
  const attention_attr *a = n->attr;
  const tensor *q = n->inputs[0], *k = n->inputs[1], *v = n->inputs[2], *begin = n->inputs[3];
  int heads = a->options.n_heads;
  if (q->rank != 3 || q->type == DTYPE_I32 || (k && (k->rank != 3 || k->type == DTYPE_I32)))
    return node_fail(n, "expected q (B,T,D), k (B,S,D), v (B,S,D), or all in one (B,T,3D)");
  if (!k != !v || (k && (!shape_equal(k, v) || v->type == DTYPE_I32)))
    return node_fail(n, "k and v differ");
  if (k && (q->dims[0] != k->dims[0] || q->dims[2] != k->dims[2]))
    return node_fail(n, "q and k differ in batch or width");
  if (!k && q->dims[2] % 3 != 0)
    return node_fail(n, "a width of %" PRId64 " is not three times one", q->dims[2]);
  int64_t width = k ? q->dims[2] : q->dims[2] / 3;
  if (heads < 1 || width % heads != 0)
    return node_fail(n, "a width of %" PRId64 " does not split into %d heads", width, heads);
  if (a->options.window < 0) return node_fail(n, "the window is below 0");
  if (begin && (begin->type != DTYPE_I32 || begin->rank != 1 || begin->dims[0] != q->dims[0]))
    return node_fail(n, "key_begin is not int32 (B)");
  return node_output(n, q->type, 3, (int64_t[]){q->dims[0], q->dims[1], width}) &&
         node_output(n, q->type, 3, (int64_t[]){q->dims[0], heads, q->dims[1]});
}

static void attention_grad(const node *n, tensor *const *dy) {
  if (!dy[0]) return;
  tensor *const *in = n->inputs;
  node *d = node_append(n->graph, &record_attention_backward,
                        TENSORS(in[0], in[1], in[2], in[3], n->outputs[0], n->outputs[1], dy[0]),
                        n->attr, n->attr_size);
  for (int i = 0; d && i < d->n_outputs; i++) grad_add(in[i], d->outputs[i]);
}

static size_t attention_scratch(const node *n, const void *state) {
  (void)state;
  kernel_attention s = attention_kernel(n, NULL);
  return op_kernel_of(n)->attention_scratch(&s);
}

static void attention_run(const op_run *r) {
  kernel_attention s = attention_kernel(r->node, r);
  const node *n = r->node;
  op_kernel(r)->attention(r->out[0], r->out[1], r->in[0], attention_part(n, r->in, 1),
                          attention_part(n, r->in, 2), &s, r->scratch);
}

/* Pairs of a query and a key that the masks leave (padding is not known here). */
static double attention_pairs(const node *n) {
  const attention_attr *a = n->attr;
  int64_t queries = n->inputs[0]->dims[1], keys = is_joint(n) ? queries : n->inputs[1]->dims[1];
  int64_t window = a->options.window;
  double pairs = 0;
  for (int64_t i = 0; i < queries; i++) {
    int64_t end = a->options.causal ? i + 1 : window > 0 ? i + window : keys;
    int64_t begin = window > 0 ? i - window + 1 : 0;
    if (end > keys) end = keys;
    if (begin < 0) begin = 0;
    if (end > begin) pairs += (double)(end - begin);
  }
  return pairs * (double)n->inputs[0]->dims[0];
}

static double attention_flops(const node *n) {
  const attention_attr *a = n->attr;
  double width = (double)n->inputs[0]->dims[2] / (is_joint(n) ? 3 : 1);
  return attention_pairs(n) * (4.0 * width + 6.0 * a->options.n_heads);
}

const op_record record_attention = {.name = "attention",
                                    .flags = OP_RANDOM,
                                    .optional = 14,
                                    .shape = attention_shape,
                                    .grad = attention_grad,
                                    .scratch = attention_scratch,
                                    .run = attention_run,
                                    .flops = attention_flops};

tensor *op_attention(tensor *q, tensor *k, tensor *v, tensor *key_begin,
                     const attention_options *options) {
  graph *g = q->graph;
  attention_attr a = {.options = *options};
  if (!dropout_rate_fits(g, "attention", options->dropout)) return &g->poison;
  if (!g->config.training) a.options.dropout = 0;
  if (a.options.dropout > 0) a.stream = graph_next_stream(g);
  if (a.options.scale == 0 && a.options.n_heads > 0 && q->rank == 3)
    a.options.scale = 1 / sqrt((double)q->dims[2] / (k ? 1 : 3) / a.options.n_heads);
  return node_emit(&record_attention, TENSORS(q, k, v, key_begin), &a, sizeof a);
}

tensor *op_attention_joint(tensor *qkv, tensor *key_begin, const attention_options *options) {
  return op_attention(qkv, NULL, NULL, key_begin, options);
}

/* q, k, v, key_begin or NULL, out, lse, dout -> dq, dk, dv; joint: one gradient of all three */
static bool attention_backward_shape(node *n) {
  const tensor *q = n->inputs[0], *k = n->inputs[1];
  if (is_joint(n)) return node_output(n, q->type, 3, q->dims);
  return node_output(n, q->type, 3, q->dims) && node_output(n, q->type, 3, k->dims) &&
         node_output(n, q->type, 3, k->dims);
}

static size_t attention_backward_scratch(const node *n, const void *state) {
  (void)state;
  kernel_attention s = attention_kernel(n, NULL);
  return op_kernel_of(n)->attention_backward_scratch(&s);
}

static void attention_backward_run(const op_run *r) {
  kernel_attention s = attention_kernel(r->node, r);
  const node *n = r->node;
  op_kernel(r)->attention_backward(
      r->out[0], attention_part(n, r->out, 1), attention_part(n, r->out, 2), r->in[6], r->in[0],
      attention_part(n, r->in, 1), attention_part(n, r->in, 2), r->in[4], r->in[5], &s, r->scratch);
}

static double attention_backward_flops(const node *n) {
  return 2.5 * attention_flops(n); /* five products where forward has two */
}

const op_record record_attention_backward = {.name = "attention_backward",
                                             .flags = OP_RANDOM,
                                             .optional = 14,
                                             .shape = attention_backward_shape,
                                             .scratch = attention_backward_scratch,
                                             .run = attention_backward_run,
                                             .flops = attention_backward_flops};
