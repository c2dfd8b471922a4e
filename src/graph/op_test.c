/* One harness walks ops.def: every op is in at least one case here, every case's gradient is
 * checked in double against central differences, its float run against the double one, its
 * rewritten plan against the plain one, and its bits for 1, 2 and 4 threads. Shapes are odd on
 * purpose. */
#include "base/thread.h"
#include "graph/check.h"
#include "graph/plan.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- words for the cases ---- */

#define DIMS(...)                                                                                  \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                         \
    __VA_ARGS__                                                                                    \
  }

/* A parameter with normal values, so that its gradient is checked. */
static tensor *P(graph *g, const char *name, int rank, const int64_t *dims) {
  return graph_param(g, name, rank, dims, (param_init){.kind = INIT_NORMAL, .scale = 1}, 0);
}

/* int32 values in [low, high), drawn anew for each input; the bounds are part of its name. */
static tensor *I(graph *g, const char *name, int low, int high, int rank, const int64_t *dims) {
  char text[64];
  snprintf(text, sizeof text, "%s:%d:%d", name, low, high);
  return graph_input(g, text, DTYPE_I32, rank, dims);
}

static void fill(plan *p, bool wide, void *context) {
  (void)wide;
  (void)context;
  for (size_t i = 0; i < p->graph->n_inputs; i++) {
    const char *name = p->graph->inputs[i].name;
    int low, high;
    size_t bytes;
    assert_int_equal(sscanf(name, "%*[^:]:%d:%d", &low, &high), 2);
    int32_t *values = plan_input(p, name, &bytes);
    rng r;
    rng_init(&r, 5, RNG_TEST, i);
    for (size_t k = 0; k < bytes / sizeof *values; k++)
      values[k] = low + (int32_t)rng_below(&r, (uint64_t)(high - low));
  }
}

/* Normal values that are no parameter. */
static tensor *constant(graph *g, int rank, const int64_t *dims) {
  size_t n = (size_t)shape_product(dims, 0, rank);
  double *values = calloc(n, sizeof *values);
  rng r;
  rng_init(&r, 9, RNG_TEST, 77);
  for (size_t i = 0; i < n; i++) values[i] = rng_normal(&r);
  tensor *t = graph_constant(g, rank, dims, values);
  free(values);
  return t;
}

/* One number that hangs on every item of t, each with another factor. */
static tensor *weigh(tensor *t) {
  graph *g = tensor_graph(t);
  if (!graph_ok(g)) return t;
  return op_sum_all(op_mul(t, constant(g, t->rank, t->dims)));
}

static tensor *positive(tensor *t) {
  return op_scale(op_square(t), 1, 0.5);
}

/* ---- the cases ---- */

#define CASE(name) static tensor *case_##name(graph *g)
#define X P(g, "x", DIMS(3, 5))

CASE(add) {
  return weigh(op_add(P(g, "a", DIMS(3, 1, 5)), P(g, "b", DIMS(4, 1))));
}
CASE(add_same) {
  tensor *x = X;
  return weigh(op_add(x, x));
}
CASE(sub) {
  return weigh(op_sub(P(g, "a", DIMS(5)), P(g, "b", DIMS(2, 3, 5))));
}
CASE(mul) {
  return weigh(op_mul(P(g, "a", DIMS(2, 3, 1, 2)), P(g, "b", DIMS(1, 4, 2))));
}
CASE(mul_scalar) {
  return weigh(op_mul(X, P(g, "s", 0, NULL)));
}
CASE(div) {
  return weigh(op_div(X, positive(P(g, "b", DIMS(3, 1)))));
}
CASE(maximum) {
  return weigh(op_maximum(X, P(g, "b", DIMS(5))));
}
CASE(minimum) {
  return weigh(op_minimum(P(g, "b", DIMS(3, 1)), X));
}
CASE(scale) {
  return weigh(op_scale(X, -1.5, 0.25));
}
CASE(neg) {
  return weigh(op_neg(X));
}
CASE(exp) {
  return weigh(op_exp(X));
}
CASE(log) {
  return weigh(op_log(positive(X)));
}
CASE(sqrt) {
  return weigh(op_sqrt(positive(X)));
}
CASE(square) {
  return weigh(op_square(X));
}
CASE(abs) {
  return weigh(op_abs(X));
}
CASE(relu) {
  return weigh(op_relu(P(g, "x", DIMS(7, 37))));
}
CASE(gelu) {
  return weigh(op_gelu(P(g, "x", DIMS(7, 19))));
}
CASE(silu) {
  return weigh(op_silu(P(g, "x", DIMS(7, 19))));
}
CASE(tanh) {
  return weigh(op_tanh(P(g, "x", DIMS(7, 19))));
}
CASE(sigmoid) {
  return weigh(op_sigmoid(P(g, "x", DIMS(7, 19))));
}
CASE(softplus) {
  return weigh(op_softplus(P(g, "x", DIMS(7, 19))));
}
CASE(clamp) {
  return weigh(op_clamp(X, -0.5, 0.75));
}
CASE(reshape) {
  return weigh(op_exp(op_reshape(P(g, "x", DIMS(2, 3, 4)), DIMS(6, -1))));
}
CASE(stop_gradient) {
  return weigh(op_mul(X, op_stop_gradient(op_exp(constant(g, DIMS(3, 5))))));
}
CASE(transpose) {
  return weigh(op_transpose(P(g, "x", DIMS(2, 3, 5, 4)), (int[]){2, 0, 3, 1}));
}
CASE(slice) {
  return weigh(op_slice(P(g, "x", DIMS(3, 7, 2)), 1, 2, 6));
}
CASE(slice_last) {
  return weigh(op_slice(P(g, "x", DIMS(3, 7)), -1, 0, 3));
}
CASE(concat) {
  tensor *parts[] = {P(g, "a", DIMS(2, 3, 4)), P(g, "b", DIMS(2, 1, 4)), P(g, "c", DIMS(2, 5, 4))};
  return weigh(op_concat(parts, 3, -2));
}
CASE(sum) {
  return weigh(op_square(op_sum(P(g, "x", DIMS(3, 7, 2)), 1, false)));
}
CASE(sum_last) {
  return weigh(op_square(op_sum(P(g, "x", DIMS(3, 7)), -1, true)));
}
CASE(sum_rows) {
  return weigh(op_square(op_sum(P(g, "x", DIMS(9, 21)), 0, false)));
}
CASE(sum_all) {
  return op_square(op_sum_all(op_sigmoid(X)));
}
CASE(mean) {
  return weigh(op_square(op_mean(P(g, "x", DIMS(3, 7, 2)), -2, true)));
}
CASE(mean_all) {
  return op_square(op_mean_all(op_sigmoid(X)));
}
CASE(max) {
  return weigh(op_max(P(g, "x", DIMS(3, 7, 2)), 1, false));
}
CASE(max_last) {
  return weigh(op_max(P(g, "x", DIMS(3, 7)), -1, true));
}
CASE(expand) { /* through the gradient of a gradient's shape: the op on its own */
  tensor *x = P(g, "x", DIMS(3, 1, 2));
  return weigh(op_add(x, graph_fill(g, DIMS(3, 4, 2), 0.5)));
}
CASE(matmul) {
  return weigh(op_matmul(P(g, "a", DIMS(7, 5)), P(g, "b", DIMS(5, 3)), 0, 0));
}
CASE(matmul_ta) {
  return weigh(op_matmul(P(g, "a", DIMS(5, 7)), P(g, "b", DIMS(5, 3)), 1, 0));
}
CASE(matmul_tb) {
  return weigh(op_matmul(P(g, "a", DIMS(7, 5)), P(g, "b", DIMS(3, 5)), 0, 1));
}
CASE(matmul_tab) {
  return weigh(op_matmul(P(g, "a", DIMS(5, 7)), P(g, "b", DIMS(3, 5)), 1, 1));
}
CASE(matmul_batch) {
  return weigh(op_matmul(P(g, "a", DIMS(2, 3, 4, 5)), P(g, "b", DIMS(2, 3, 5, 2)), 0, 0));
}
CASE(matmul_batch_tab) {
  return weigh(op_matmul(P(g, "a", DIMS(3, 5, 4)), P(g, "b", DIMS(3, 2, 5)), 1, 1));
}
CASE(matmul_left) {
  return weigh(op_matmul(P(g, "a", DIMS(4, 5)), P(g, "b", DIMS(3, 5, 2)), 0, 0));
}
CASE(matmul_left_ta) {
  return weigh(op_matmul(P(g, "a", DIMS(5, 4)), P(g, "b", DIMS(3, 2, 5)), 1, 1));
}
CASE(matmul_right) {
  return weigh(op_matmul(P(g, "a", DIMS(2, 3, 4, 5)), P(g, "b", DIMS(5, 2)), 0, 0));
}
CASE(matmul_right_tb) {
  return weigh(op_matmul(P(g, "a", DIMS(3, 4, 5)), P(g, "b", DIMS(2, 5)), 0, 1));
}
CASE(matmul_right_ta) {
  return weigh(op_matmul(P(g, "a", DIMS(3, 5, 4)), P(g, "b", DIMS(5, 2)), 1, 0));
}
CASE(linear) {
  return weigh(op_linear(P(g, "x", DIMS(2, 3, 5)), P(g, "w", DIMS(5, 4)), P(g, "b", DIMS(4))));
}
CASE(linear_vector) {
  return weigh(op_linear(P(g, "x", DIMS(5)), P(g, "w", DIMS(5, 4)), NULL));
}
#define LINEAR op_linear(P(g, "x", DIMS(6, 5)), P(g, "w", DIMS(5, 7)), P(g, "b", DIMS(7)))
CASE(linear_relu) {
  return weigh(op_relu(LINEAR));
}
CASE(linear_gelu) {
  return weigh(op_gelu(LINEAR));
}
CASE(linear_silu) {
  return weigh(op_silu(LINEAR));
}
CASE(linear_tanh) {
  return weigh(op_tanh(LINEAR));
}
CASE(linear_sigmoid) {
  return weigh(op_sigmoid(LINEAR));
}
CASE(linear_relu_dropout) {
  return weigh(op_dropout(op_relu(LINEAR), 0.3));
}
CASE(linear_gelu_dropout) {
  return weigh(op_dropout(op_gelu(LINEAR), 0.3));
}
CASE(linear_dropout) {
  return weigh(op_dropout(LINEAR, 0.3));
}
CASE(linear_shared) { /* two products of one tensor: their gradients are added where they lie */
  tensor *x = op_tanh(P(g, "x", DIMS(6, 5)));
  tensor *y = op_linear(x, P(g, "v", DIMS(5, 3)), NULL);
  return op_add(weigh(y), weigh(op_linear(x, P(g, "w", DIMS(5, 7)), P(g, "b", DIMS(7)))));
}
CASE(residual_dropout) {
  tensor *x = X;
  return weigh(op_add(x, op_dropout(op_exp(x), 0.3)));
}
CASE(shared_weight) { /* one weight, three paths: gradients are added */
  tensor *w = P(g, "w", DIMS(5, 5)), *x = P(g, "x", DIMS(4, 5));
  return weigh(op_tanh(
      op_linear(op_tanh(op_linear(x, w, NULL)), P(g, "w", DIMS(5, 5)), op_sum(w, 0, false))));
}
CASE(embedding) {
  return weigh(op_embedding(P(g, "t", DIMS(6, 3)), I(g, "a", 0, 6, DIMS(2, 5))));
}
CASE(layer_norm) {
  return weigh(
      op_layer_norm(P(g, "x", DIMS(2, 3, 21)), P(g, "g", DIMS(21)), P(g, "b", DIMS(21)), 1e-5));
}
CASE(layer_norm_bare) {
  return weigh(op_layer_norm(X, NULL, NULL, 1e-3));
}
CASE(layer_norm_gain) {
  return weigh(op_layer_norm(X, P(g, "g", DIMS(5)), NULL, 1e-5));
}
CASE(rms_norm) {
  return weigh(op_rms_norm(P(g, "x", DIMS(4, 19)), P(g, "g", DIMS(19)), 1e-5));
}
CASE(rms_norm_bare) {
  return weigh(op_rms_norm(X, NULL, 1e-3));
}
CASE(softmax) {
  return weigh(op_softmax(P(g, "x", DIMS(2, 3, 7))));
}
CASE(log_softmax) {
  return weigh(op_log_softmax(P(g, "x", DIMS(3, 7))));
}
CASE(dropout) {
  return weigh(op_dropout(P(g, "x", DIMS(3, 5, 7)), 0.4));
}

static tensor *attend(graph *g, int64_t batch, int64_t queries, int64_t keys, int64_t width,
                      bool padded, attention_options options) {
  tensor *begin = padded ? I(g, "a", 0, (int)keys, 1, &batch) : NULL;
  return weigh(op_attention(P(g, "q", DIMS(batch, queries, width)),
                            P(g, "k", DIMS(batch, keys, width)),
                            P(g, "v", DIMS(batch, keys, width)), begin, &options));
}
CASE(attention) {
  return attend(g, 2, 5, 5, 6, 0, (attention_options){.n_heads = 3});
}
CASE(attention_cross) {
  return attend(g, 2, 3, 7, 4, 1, (attention_options){.n_heads = 2});
}
CASE(attention_causal) {
  return attend(g, 2, 7, 7, 4, 1, (attention_options){.n_heads = 2, .causal = true});
}
CASE(attention_window) {
  return attend(g, 1, 9, 9, 4, 1, (attention_options){.n_heads = 1, .causal = true, .window = 3});
}
CASE(attention_band) {
  return attend(g, 2, 7, 7, 4, 0, (attention_options){.n_heads = 2, .window = 2, .scale = 0.7});
}
CASE(attention_dropout) {
  return attend(g, 2, 6, 6, 4, 1,
                (attention_options){.n_heads = 2, .causal = true, .dropout = 0.3});
}
/* Blocks as nn builds them: the norm behind the residual, or before the sub-layer. */
static tensor *residual_block(graph *g, int64_t cols, double rate, bool pre) {
  tensor *x = P(g, "x", DIMS(2, 3, cols)), *w = P(g, "w", DIMS(cols, cols));
  tensor *b = P(g, "b", DIMS(cols)), *gain[2], *bias[2];
  for (int i = 0; i < 2; i++) {
    char name[2][4] = {{'g', (char)('0' + i)}, {'n', (char)('0' + i)}};
    gain[i] = P(g, name[0], DIMS(cols));
    bias[i] = P(g, name[1], DIMS(cols));
  }
  for (int i = 0; i < 2; i++) {
    tensor *in = pre ? op_layer_norm(x, gain[i], bias[i], 1e-2) : x;
    x = op_add(x, op_dropout(op_linear(in, w, b), rate));
    if (!pre) x = op_layer_norm(x, gain[i], i ? bias[i] : NULL, 1e-2);
  }
  return weigh(x);
}
CASE(residual_norm) {
  return residual_block(g, 8, 0.3, false);
}
CASE(residual_norm_odd) {
  return residual_block(g, 5, 0.3, false);
}
CASE(residual_norm_plain) {
  return residual_block(g, 6, 0, false);
}
CASE(residual_norm_before) {
  return residual_block(g, 8, 0.3, true);
}
CASE(residual_norm_before_plain) {
  return residual_block(g, 7, 0, true);
}
CASE(attention_joint) { /* a layer as nn builds it: three weights side by side, one product */
  tensor *x = P(g, "x", DIMS(2, 5, 4)), *w[3], *b[3];
  for (int i = 0; i < 3; i++) {
    char name[2][4] = {{'w', (char)('0' + i)}, {'b', (char)('0' + i)}};
    w[i] = P(g, name[0], DIMS(4, 4));
    b[i] = P(g, name[1], DIMS(4));
  }
  tensor *qkv = op_linear(x, op_concat(w, 3, 1), op_concat(b, 3, 0));
  attention_options o = {.n_heads = 2, .causal = true, .dropout = 0.3};
  return weigh(op_attention_joint(qkv, I(g, "begin", 0, 3, DIMS(2)), &o));
}
CASE(attention_self) { /* q, k and v are one tensor: three gradients meet */
  tensor *x = P(g, "x", DIMS(2, 5, 4));
  return weigh(op_attention(x, x, x, NULL, &(attention_options){.n_heads = 2}));
}

CASE(masked_mean) {
  return weigh(op_masked_mean(P(g, "x", DIMS(4, 5, 3)), I(g, "a", 0, 6, DIMS(4))));
}
CASE(masked_mean_all) {
  return weigh(op_masked_mean(P(g, "x", DIMS(4, 5, 3)), NULL));
}
CASE(take_step) {
  return weigh(op_take_step(P(g, "x", DIMS(4, 5, 3)), I(g, "a", 0, 5, DIMS(4))));
}
CASE(take_step_last) {
  return weigh(op_take_step(P(g, "x", DIMS(4, 5, 3)), NULL));
}

CASE(lstm) {
  return weigh(op_lstm(P(g, "x", DIMS(2, 5, 3)), P(g, "w", DIMS(3, 16)), P(g, "u", DIMS(4, 16)),
                       P(g, "b", DIMS(16)), P(g, "h", DIMS(2, 4)), P(g, "c", DIMS(2, 4))));
}
CASE(lstm_bare) {
  return weigh(op_lstm(P(g, "x", DIMS(3, 4, 2)), P(g, "w", DIMS(2, 12)), P(g, "u", DIMS(3, 12)),
                       NULL, NULL, NULL));
}
CASE(gru) {
  return weigh(op_gru(P(g, "x", DIMS(2, 5, 3)), P(g, "w", DIMS(3, 12)), P(g, "u", DIMS(4, 12)),
                      P(g, "b", DIMS(12)), P(g, "bu", DIMS(12)), P(g, "h", DIMS(2, 4))));
}
CASE(gru_bare) {
  return weigh(op_gru(P(g, "x", DIMS(3, 4, 2)), P(g, "w", DIMS(2, 9)), P(g, "u", DIMS(3, 9)), NULL,
                      NULL, NULL));
}
CASE(conv1d) {
  return weigh(op_conv1d(P(g, "x", DIMS(2, 7, 3)), P(g, "w", DIMS(3, 3, 4)), P(g, "b", DIMS(4)), 1,
                         1, 1, 1));
}
CASE(conv1d_causal) {
  return weigh(op_conv1d(P(g, "x", DIMS(2, 9, 2)), P(g, "w", DIMS(3, 2, 3)), NULL, 1, 2, 4, 0));
}
CASE(conv1d_stride) {
  return weigh(op_conv1d(P(g, "x", DIMS(2, 11, 2)), P(g, "w", DIMS(2, 2, 3)), P(g, "b", DIMS(3)), 3,
                         2, 0, 1));
}

static tensor *weights(graph *g, int64_t n) {
  return op_square(constant(g, 1, &n));
}
CASE(cross_entropy) {
  return op_cross_entropy(P(g, "x", DIMS(7, 5)), I(g, "a", -1, 5, DIMS(7)), NULL, 0);
}
CASE(cross_entropy_weight) {
  return op_cross_entropy(P(g, "x", DIMS(7, 5)), I(g, "a", -1, 5, DIMS(7)), weights(g, 7), 0.1);
}
CASE(cross_entropy_steps) {
  return op_cross_entropy(P(g, "x", DIMS(2, 3, 5)), I(g, "a", 0, 5, DIMS(2, 3)), NULL, 0.2);
}
CASE(cross_entropy_scaled) {
  return op_scale(op_cross_entropy(op_tanh(X), I(g, "a", 0, 5, DIMS(3)), NULL, 0), 3, 1);
}
CASE(mse) {
  return op_mse(X, P(g, "t", DIMS(3, 5)), weights(g, 3));
}
CASE(mse_vector) {
  return op_mse(P(g, "x", DIMS(7)), P(g, "t", DIMS(7)), NULL);
}
CASE(huber) {
  return op_huber(P(g, "x", DIMS(5, 7)), P(g, "t", DIMS(5, 7)), weights(g, 5), 0.8);
}
CASE(bce_logits) {
  return op_bce_logits(P(g, "x", DIMS(9)), op_sigmoid(constant(g, DIMS(9))), weights(g, 9));
}

typedef struct op_case {
  const char *name;
  tensor *(*build)(graph *g);
} op_case;

static const op_case cases[] = {
#define C(name)                                                                                    \
  { #name, case_##name }
    C(add),
    C(add_same),
    C(sub),
    C(mul),
    C(mul_scalar),
    C(div),
    C(maximum),
    C(minimum),
    C(scale),
    C(neg),
    C(exp),
    C(log),
    C(sqrt),
    C(square),
    C(abs),
    C(relu),
    C(gelu),
    C(silu),
    C(tanh),
    C(sigmoid),
    C(softplus),
    C(clamp),
    C(reshape),
    C(stop_gradient),
    C(transpose),
    C(slice),
    C(slice_last),
    C(concat),
    C(sum),
    C(sum_last),
    C(sum_rows),
    C(sum_all),
    C(mean),
    C(mean_all),
    C(max),
    C(max_last),
    C(expand),
    C(matmul),
    C(matmul_ta),
    C(matmul_tb),
    C(matmul_tab),
    C(matmul_batch),
    C(matmul_batch_tab),
    C(matmul_left),
    C(matmul_left_ta),
    C(matmul_right),
    C(matmul_right_tb),
    C(matmul_right_ta),
    C(linear),
    C(linear_vector),
    C(linear_relu),
    C(linear_gelu),
    C(linear_silu),
    C(linear_tanh),
    C(linear_sigmoid),
    C(linear_relu_dropout),
    C(linear_gelu_dropout),
    C(linear_dropout),
    C(linear_shared),
    C(residual_dropout),
    C(shared_weight),
    C(embedding),
    C(layer_norm),
    C(layer_norm_bare),
    C(layer_norm_gain),
    C(rms_norm),
    C(rms_norm_bare),
    C(softmax),
    C(log_softmax),
    C(dropout),
    C(attention),
    C(attention_cross),
    C(attention_causal),
    C(attention_window),
    C(attention_band),
    C(attention_dropout),
    C(attention_self),
    C(attention_joint),
    C(residual_norm),
    C(residual_norm_odd),
    C(residual_norm_plain),
    C(residual_norm_before),
    C(residual_norm_before_plain),
    C(masked_mean),
    C(masked_mean_all),
    C(take_step),
    C(take_step_last),
    C(lstm),
    C(lstm_bare),
    C(gru),
    C(gru_bare),
    C(conv1d),
    C(conv1d_causal),
    C(conv1d_stride),
    C(cross_entropy),
    C(cross_entropy_weight),
    C(cross_entropy_steps),
    C(cross_entropy_scaled),
    C(mse),
    C(mse_vector),
    C(huber),
    C(bce_logits),
#undef C
};

static tensor *build(graph *g, void *context) {
  return ((const op_case *)context)->build(g);
}

static check_case case_of(const op_case *c) {
  return (check_case){
      .build = build, .fill = fill, .context = (void *)(uintptr_t)c, .training = true, .seed = 3};
}

/* ---- the walks ---- */

static void test_gradients(void **state) {
  (void)state;
  int bad = 0;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    check_case c = case_of(&cases[i]);
    check_result r;
    garam_error err;
    if (check_gradient(&r, &c, &err) != GARAM_OK) {
      print_error("%s: %s\n", cases[i].name, err.message);
      bad++;
      continue;
    }
    bool ok = r.gradient_error < 2e-6 && r.float_error < 2e-5 && r.n_parameters > 0;
    if (!ok)
      print_error("%s: gradient %.3g, float %.3g (loss %g)\n", cases[i].name, r.gradient_error,
                  r.float_error, r.loss);
    bad += !ok;
  }
  assert_int_equal(bad, 0);
}

static void run_with(check_model *m, const op_case *c, dtype real, const plan_config *config) {
  check_case made = case_of(c);
  garam_error err;
  if (check_model_init(m, &made, real, config, &err) != GARAM_OK)
    fail_msg("%s: %s", c->name, err.message);
  check_model_loss(m, 4);
}

static double difference(const check_model *a, const check_model *b) {
  const double *x = a->grads, *y = b->grads;
  double largest = 0;
  for (size_t i = 0; i < a->bytes / sizeof *x; i++) {
    double d = fabs(x[i] - y[i]) / (fabs(x[i]) + 1e-3);
    if (!(d <= largest)) largest = d;
  }
  return largest;
}

static void test_rewritten_as_plain(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    check_model plain, rewritten, apart, again;
    run_with(&plain, &cases[i], DTYPE_F64, &(plan_config){.keep_order = true, .no_reuse = true});
    run_with(&rewritten, &cases[i], DTYPE_F64, NULL);
    run_with(&apart, &cases[i], DTYPE_F64, &(plan_config){.no_reuse = true});
    double d = difference(&plain, &rewritten);
    if (!(d < 1e-10)) fail_msg("%s: rewriting changed a gradient by %g", cases[i].name, d);
    if (memcmp(rewritten.grads, apart.grads, apart.bytes) != 0)
      fail_msg("%s: reuse of memory changed a gradient", cases[i].name);
    run_with(&again, &cases[i], DTYPE_F64, &(plan_config){.recompute = true});
    if (memcmp(rewritten.grads, again.grads, again.bytes) != 0)
      fail_msg("%s: values made again changed a gradient", cases[i].name);
    check_model_deinit(&again);
    check_model_deinit(&plain);
    check_model_deinit(&rewritten);
    check_model_deinit(&apart);
  }
}

static void threads_agree(plan_precision precision) {
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    check_model m[3];
    for (int k = 0; k < 3; k++) {
      thread_set_count(1 << k);
      run_with(&m[k], &cases[i], DTYPE_F32, &(plan_config){.precision = precision});
    }
    for (int k = 1; k < 3; k++)
      if (memcmp(m[0].grads, m[k].grads, m[0].bytes) != 0)
        fail_msg("%s: %d threads gave other bits", cases[i].name, 1 << k);
    for (int k = 0; k < 3; k++) check_model_deinit(&m[k]);
  }
}

static void test_threads(void **state) {
  (void)state;
  threads_agree(PLAN_FULL);
  threads_agree(PLAN_BF16);
  thread_set_count(0);
}

/* Runs that accumulate add scale times the gradient to what was there, and leave the loss alone. */
static void test_accumulates(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    for (int plain = 0; plain < 2; plain++) {
      check_model once, sum;
      run_with(&once, &cases[i], DTYPE_F64, &(plan_config){.keep_order = plain});
      run_with(&sum, &cases[i], DTYPE_F64, &(plan_config){.keep_order = plain, .accumulate = true});
      double *total = sum.grads, *one = once.grads;
      for (size_t k = 0; k < sum.bytes / sizeof *total; k++) {
        total[k] = (double)(k % 5);
        one[k] = (double)(k % 5) + (0.25 - 1.5) * one[k];
      }
      plan_loss_scale(sum.plan, 0.25);
      double loss = check_model_loss(&sum, 4);
      plan_loss_scale(sum.plan, -1.5);
      check_model_loss(&sum, 4);
      double d = difference(&once, &sum);
      if (!(d < 1e-9)) fail_msg("%s: accumulating is off by %g", cases[i].name, d);
      if (loss != *(const double *)plan_output(once.plan, "loss", NULL))
        fail_msg("%s: the scale changed the loss", cases[i].name);
      check_model_deinit(&once);
      check_model_deinit(&sum);
    }
}

/* Half products: the gradient stays near the double one, as a vector, within what operands of 8
 * bits allow. Cases are small, so that nothing averages out. */
static void test_half_precision(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    check_model wide, half;
    run_with(&wide, &cases[i], DTYPE_F64, NULL);
    run_with(&half, &cases[i], DTYPE_F32, &(plan_config){.precision = PLAN_BF16});
    const double *x = wide.grads;
    const float *y = half.grads;
    double off = 0, all = 0;
    for (size_t k = 0; k < wide.bytes / sizeof *x; k++) {
      off += (x[k] - (double)y[k]) * (x[k] - (double)y[k]);
      all += x[k] * x[k];
    }
    if (!(off <= 2e-2 * 2e-2 * all))
      fail_msg("%s: half precision is off by %g of the gradient", cases[i].name, sqrt(off / all));
    check_model_deinit(&wide);
    check_model_deinit(&half);
  }
}

static void see(bool *seen, const graph *g) {
  for (size_t i = 0; i < g->n_nodes; i++)
    for (size_t r = 0; r < n_op_records; r++) seen[r] = seen[r] || g->nodes[i]->op == op_records[r];
}

/* Every record of ops.def runs, or is a leaf or alias, in some case: as built or as rewritten. */
static void test_every_op_has_a_case(void **state) {
  (void)state;
  static const plan_config configs[] = {{0}, {.keep_order = true}, {.accumulate = true}};
  bool *seen = calloc(n_op_records, sizeof *seen);
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    for (size_t k = 0; k < COUNT_OF(configs); k++) {
      check_model m;
      run_with(&m, &cases[i], DTYPE_F64, &configs[k]);
      see(seen, m.graph);
      see(seen, m.plan->graph);
      check_model_deinit(&m);
    }
  int missing = 0;
  for (size_t r = 0; r < n_op_records; r++)
    if (!seen[r]) {
      print_error("op %s is in ops.def and in no case\n", op_records[r]->name);
      missing++;
    }
  free(seen);
  assert_int_equal(missing, 0);
}

static void test_records_are_whole(void **state) {
  (void)state;
  for (size_t r = 0; r < n_op_records; r++) {
    const op_record *op = op_records[r];
    assert_non_null(op->name);
    assert_non_null(op->shape);
    if (!(op->flags & (OP_LEAF | OP_ALIAS))) assert_non_null(op->run);
    assert_int_equal(op->prepare == NULL, op->release == NULL);
    for (size_t k = 0; k < r; k++) assert_string_not_equal(op->name, op_records[k]->name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_records_are_whole),   cmocka_unit_test(test_gradients),
      cmocka_unit_test(test_rewritten_as_plain),  cmocka_unit_test(test_threads),
      cmocka_unit_test(test_half_precision),      cmocka_unit_test(test_accumulates),
      cmocka_unit_test(test_every_op_has_a_case),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
