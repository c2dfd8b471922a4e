/* Backward kernels against central differences, in double by the reference. The function checked
 * is sum(out * c) for a drawn c; every input is moved item by item. */
#include "kernel/conv.h"
#include "kernel/rnn.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_INPUTS = 8 };
static const kernel_table *k;
static rng draw;

typedef struct problem problem;
struct problem {
  const char *name;
  int n_inputs;
  size_t sizes[MAX_INPUTS];
  double *x[MAX_INPUTS], *dx[MAX_INPUTS]; /* inputs, and the gradients that backward found */
  size_t n_out;
  double *out, *c;              /* c: gradient of the checked sum with respect to out */
  void (*forward)(problem *p);  /* x -> out */
  void (*backward)(problem *p); /* c -> dx */
  void *plan;
  int form;
  double *kept, *scratch;
};

static double *drawn(size_t n, double low, double high) {
  double *a = mem_alloc_aligned((n + 8) * sizeof *a, 64);
  assert_non_null(a);
  for (size_t i = 0; i < n; i++) a[i] = low + (high - low) * rng_uniform(&draw);
  return a;
}

static double value(problem *p) {
  double sum = 0;
  p->forward(p);
  for (size_t i = 0; i < p->n_out; i++) sum += p->out[i] * p->c[i];
  return sum;
}

/* Inputs given by sizes; those already placed in p->x stay. */
static void check(problem *p) {
  for (int i = 0; i < p->n_inputs; i++) {
    if (!p->x[i]) p->x[i] = drawn(p->sizes[i], -1, 1);
    p->dx[i] = drawn(p->sizes[i], 5, 6);
  }
  p->out = drawn(p->n_out, 0, 0);
  p->c = drawn(p->n_out, -1, 1);
  if (!p->kept) p->kept = drawn(4096, 0, 0);
  if (!p->scratch) p->scratch = drawn(1 << 16, 0, 0);
  p->forward(p);
  p->backward(p);
  for (int i = 0; i < p->n_inputs; i++)
    for (size_t j = 0; j < p->sizes[i]; j++) {
      const double h = 1e-5, at = p->x[i][j];
      p->x[i][j] = at + h;
      double above = value(p);
      p->x[i][j] = at - h;
      double below = value(p);
      p->x[i][j] = at;
      double want = (above - below) / (2 * h), got = p->dx[i][j];
      if (!(fabs(want - got) <= 1e-7 * (1 + fabs(want))))
        fail_msg("%s, form %d: gradient %zu of input %d is %.9g, differences say %.9g", p->name,
                 p->form, j, i, got, want);
    }
  for (int i = 0; i < p->n_inputs; i++) {
    mem_free_aligned(p->x[i]);
    mem_free_aligned(p->dx[i]);
  }
  mem_free_aligned(p->out);
  mem_free_aligned(p->c);
  mem_free_aligned(p->kept);
  mem_free_aligned(p->scratch);
}

/* ---- one operand ---- */

static void unary_forward(problem *p) {
  k->unary((kernel_unary_op)p->form, p->out, p->x[0], p->n_out, -0.4, 0.7);
}
static void unary_backward(problem *p) {
  k->unary_backward((kernel_unary_op)p->form, p->dx[0], p->c, p->x[0], p->out, p->n_out, -0.4, 0.7);
}
static void unary_ops(void **state) {
  (void)state;
  for (int op = 0; op < KERNEL_N_UNARY; op++) {
    bool positive = op == KERNEL_LOG || op == KERNEL_SQRT;
    check(&(problem){.name = "unary",
                     .n_inputs = 1,
                     .sizes = {33},
                     .n_out = 33,
                     .form = op,
                     .x = {drawn(33, positive ? 0.2 : -2, 2)},
                     .forward = unary_forward,
                     .backward = unary_backward});
  }
}

enum { ROWS = 5, COLS = 7 };
static const kernel_dropout key = {.rate = 0.3, .seed = 3, .stream = 9, .step = 2};

static void activation_forward(problem *p) {
  k->activation(KERNEL_GELU, p->out, p->x[0], p->x[1], ROWS, COLS, p->form ? &key : NULL);
}
static void activation_backward(problem *p) {
  k->activation_backward(KERNEL_GELU, p->dx[0], p->dx[1], p->c, p->x[0], p->x[1], ROWS, COLS,
                         p->form ? &key : NULL, p->scratch);
}
static void activations(void **state) {
  (void)state;
  for (int form = 0; form < 2; form++)
    check(&(problem){.name = "activation",
                     .n_inputs = 2,
                     .sizes = {ROWS * COLS, COLS},
                     .n_out = ROWS * COLS,
                     .form = form,
                     .forward = activation_forward,
                     .backward = activation_backward});
}

/* ---- reductions and norms ---- */

static void max_forward(problem *p) {
  k->reduce(KERNEL_MAX, p->out, p->x[0], 3, ROWS, COLS);
}
static void max_backward(problem *p) {
  k->max_backward(p->dx[0], p->c, p->x[0], 3, ROWS, COLS);
}
static void mean_forward(problem *p) {
  k->reduce(KERNEL_MEAN, p->out, p->x[0], 3, ROWS, COLS);
}
static void mean_backward(problem *p) {
  k->expand(p->dx[0], p->c, 1.0 / ROWS, 3, ROWS, COLS);
}
static void reductions(void **state) {
  (void)state;
  check(&(problem){.name = "max",
                   .n_inputs = 1,
                   .sizes = {3 * ROWS * COLS},
                   .n_out = 3 * COLS,
                   .forward = max_forward,
                   .backward = max_backward});
  check(&(problem){.name = "mean",
                   .n_inputs = 1,
                   .sizes = {3 * ROWS * COLS},
                   .n_out = 3 * COLS,
                   .forward = mean_forward,
                   .backward = mean_backward});
}

static void layer_norm_forward(problem *p) {
  k->layer_norm(p->out, p->x[0], p->x[1], p->x[2], p->kept, p->kept + ROWS, ROWS, COLS, 1e-3);
}
static void layer_norm_backward(problem *p) {
  k->layer_norm_backward(p->dx[0], p->dx[1], p->dx[2], p->c, p->x[0], p->x[1], p->kept,
                         p->kept + ROWS, ROWS, COLS, p->scratch);
}
static void rms_norm_forward(problem *p) {
  k->rms_norm(p->out, p->x[0], p->x[1], p->kept, ROWS, COLS, 1e-3);
}
static void rms_norm_backward(problem *p) {
  k->rms_norm_backward(p->dx[0], p->dx[1], p->c, p->x[0], p->x[1], p->kept, ROWS, COLS, p->scratch);
}
static void softmax_forward(problem *p) {
  (p->form ? k->log_softmax : k->softmax)(p->out, p->x[0], ROWS, COLS);
}
static void softmax_backward(problem *p) {
  (p->form ? k->log_softmax_backward : k->softmax_backward)(p->dx[0], p->c, p->out, ROWS, COLS);
}
static void norms(void **state) {
  (void)state;
  check(&(problem){.name = "layer_norm",
                   .n_inputs = 3,
                   .sizes = {ROWS * COLS, COLS, COLS},
                   .n_out = ROWS * COLS,
                   .forward = layer_norm_forward,
                   .backward = layer_norm_backward});
  check(&(problem){.name = "rms_norm",
                   .n_inputs = 2,
                   .sizes = {ROWS * COLS, COLS},
                   .n_out = ROWS * COLS,
                   .forward = rms_norm_forward,
                   .backward = rms_norm_backward});
  for (int form = 0; form < 2; form++)
    check(&(problem){.name = "softmax",
                     .n_inputs = 1,
                     .sizes = {ROWS * COLS},
                     .n_out = ROWS * COLS,
                     .form = form,
                     .forward = softmax_forward,
                     .backward = softmax_backward});
}

/* ---- attention: masks in every combination ---- */

enum { AB = 2, AT = 5, AS = 6, AH = 2, AD = 3 };
static const int32_t key_begin[AB] = {1, 4};

static kernel_attention attention_of(int form) {
  return (kernel_attention){.batch = AB,
                            .queries = AT,
                            .keys = AS,
                            .heads = AH,
                            .head = AD,
                            .scale = 0.8,
                            .causal = form & 1,
                            .window = form & 2 ? 3 : 0,
                            .key_begin = form & 4 ? key_begin : NULL,
                            .offset = form & 8 ? 1 : 0,
                            .dropout = form & 16 ? key : (kernel_dropout){.rate = 0}};
}
static void attention_forward(problem *p) {
  kernel_attention a = attention_of(p->form);
  k->attention(p->out, p->kept, p->x[0], p->x[1], p->x[2], &a, p->scratch);
}
static void attention_backward(problem *p) {
  kernel_attention a = attention_of(p->form);
  k->attention_backward(p->dx[0], p->dx[1], p->dx[2], p->c, p->x[0], p->x[1], p->x[2], p->out,
                        p->kept, &a, p->scratch);
}
static void attention(void **state) {
  (void)state;
  for (int form = 0; form < 32; form++)
    check(&(problem){.name = "attention",
                     .n_inputs = 3,
                     .sizes = {AB * AT * AH * AD, AB * AS * AH * AD, AB * AS * AH * AD},
                     .n_out = AB * AT * AH * AD,
                     .form = form,
                     .forward = attention_forward,
                     .backward = attention_backward});
}

static void pool_forward(problem *p) {
  (p->form ? k->masked_mean : k->take_step)(p->out, p->x[0], key_begin, AB, AT, AD);
}
static void pool_backward(problem *p) {
  (p->form ? k->masked_mean_backward : k->take_step_backward)(p->dx[0], p->c, key_begin, AB, AT,
                                                              AD);
}
static void pools(void **state) {
  (void)state;
  for (int form = 0; form < 2; form++)
    check(&(problem){.name = "pool",
                     .n_inputs = 1,
                     .sizes = {AB * AT * AD},
                     .n_out = AB * AD,
                     .form = form,
                     .forward = pool_forward,
                     .backward = pool_backward});
}

/* ---- losses ---- */

static const int32_t classes[ROWS] = {0, 6, -1, 3, 3};
static const double row_weight[ROWS] = {0.5, 2, 1, 1.5, 0.25}, aims[ROWS * COLS] = {0.3, 0.9};

static void cross_entropy_forward(problem *p) {
  k->cross_entropy(p->out, p->kept, p->x[0], classes, p->form & 1 ? row_weight : NULL, ROWS, COLS,
                   p->form & 2 ? 0.1 : 0);
}
static void cross_entropy_backward(problem *p) {
  k->cross_entropy_backward(p->dx[0], p->c, p->kept, p->x[0], classes,
                            p->form & 1 ? row_weight : NULL, ROWS, COLS, p->form & 2 ? 0.1 : 0);
}
static void loss_forward(problem *p) {
  k->loss((kernel_loss_op)(p->form / 2), p->out, p->x[0], aims, p->form & 1 ? row_weight : NULL,
          ROWS, COLS, 0.5);
}
static void loss_backward(problem *p) {
  k->loss_backward((kernel_loss_op)(p->form / 2), p->dx[0], p->c, p->x[0], aims,
                   p->form & 1 ? row_weight : NULL, ROWS, COLS, 0.5);
}
static void losses(void **state) {
  (void)state;
  for (int form = 0; form < 4; form++)
    check(&(problem){.name = "cross_entropy",
                     .n_inputs = 1,
                     .sizes = {ROWS * COLS},
                     .n_out = 1,
                     .form = form,
                     .forward = cross_entropy_forward,
                     .backward = cross_entropy_backward});
  for (int form = 0; form < 6; form++)
    check(&(problem){.name = "loss",
                     .n_inputs = 1,
                     .sizes = {ROWS * COLS},
                     .n_out = 1,
                     .form = form,
                     .forward = loss_forward,
                     .backward = loss_backward});
  /* nobody left: zero, not NaN */
  double loss = 1, stat[3], x[2 * 2] = {1, 2, 3, 4}, dx[4] = {1, 1, 1, 1}, one = 1;
  int32_t out[2] = {-1, 7};
  k->cross_entropy(&loss, stat, x, out, NULL, 2, 2, 0);
  k->cross_entropy_backward(dx, &one, stat, x, out, NULL, 2, 2, 0);
  assert_true(loss == 0 && dx[0] == 0 && dx[3] == 0);
  /* by hand: log(1 + e) for logits (1, 2) with target 0 */
  int32_t first[2] = {0, -1};
  k->cross_entropy(&loss, stat, x, first, NULL, 2, 2, 0);
  assert_float_equal(loss, log(1 + exp(1)), 1e-14);
}

/* ---- recurrent nets and convolution ---- */

enum { RB = 3, RT = 4, RI = 2, RH = 3 };

static rnn_weights rnn_inputs(const problem *p, bool lstm) {
  return lstm ? (rnn_weights){p->x[1], p->x[2], p->x[3], NULL, p->x[4], p->x[5]}
              : (rnn_weights){p->x[1], p->x[2], p->x[3], p->x[5], p->x[4], NULL};
}
static void rnn_run(problem *p) {
  rnn_weights w = rnn_inputs(p, p->form == RNN_LSTM);
  rnn_forward(p->plan, p->out, p->kept, p->x[0], &w, p->scratch);
}
static void rnn_run_backward(problem *p) {
  rnn_weights w = rnn_inputs(p, p->form == RNN_LSTM);
  rnn_gradients g = {
      .dx = p->dx[0], .dw = p->dx[1], .du = p->dx[2], .db = p->dx[3], .dh0 = p->dx[4]};
  if (p->form == RNN_LSTM) g.dc0 = p->dx[5];
  else g.dbu = p->dx[5];
  rnn_backward(p->plan, &g, p->c, p->x[0], p->out, p->kept, &w, p->scratch);
}
static void recurrent(void **state) {
  (void)state;
  for (int form = RNN_LSTM; form <= RNN_GRU; form++) {
    rnn_plan *plan;
    garam_error err;
    rnn_shape shape = {(rnn_kind)form, sizeof(double), RB, RT, RI, RH, GEMM_FULL};
    if (rnn_plan_new(&plan, &shape, true, &err) != GARAM_OK) fail_msg("%s", err.message);
    assert_true(rnn_kept(plan) <= 4096);
    size_t G = (form == RNN_LSTM ? 4 : 3) * RH;
    check(&(problem){
        .name = "recurrent",
        .n_inputs = 6,
        .n_out = RB * RT * RH,
        .form = form,
        .sizes = {RB * RT * RI, RI * G, RH * G, G, RB * RH, form == RNN_LSTM ? RB * RH : G},
        .plan = plan,
        .scratch = drawn(rnn_scratch(plan) / sizeof(double), 0, 0),
        .forward = rnn_run,
        .backward = rnn_run_backward});
    rnn_plan_free(plan);
  }
}

static void conv_run(problem *p) {
  conv1d_forward(p->plan, p->out, p->x[0], p->x[1], p->x[2], p->scratch);
}
static void conv_run_backward(problem *p) {
  conv1d_backward(p->plan, p->dx[0], p->dx[1], p->dx[2], p->c, p->x[0], p->x[1], p->scratch);
}
static void convolution(void **state) {
  (void)state;
  static const conv1d_shape shapes[] = {
      {sizeof(double), 2, 7, 3, 3, 2, 1, 1, 2, 0, true}, /* causal */
      {sizeof(double), 2, 7, 3, 3, 2, 2, 2, 2, 2, true}, /* stride and dilation */
      {sizeof(double), 1, 5, 1, 1, 4, 1, 1, 0, 0, true}, /* one tap */
      {sizeof(double), 3, 6, 2, 6, 1, 3, 1, 0, 3, true},
  };
  for (size_t i = 0; i < COUNT_OF(shapes); i++) {
    const conv1d_shape *s = &shapes[i];
    conv1d_plan *plan;
    garam_error err;
    assert_int_equal(conv1d_plan_new(&plan, s, true, &err), GARAM_OK);
    check(&(problem){.name = "conv1d",
                     .n_inputs = 3,
                     .form = (int)i,
                     .plan = plan,
                     .sizes = {(size_t)(s->batch * s->steps * s->inputs),
                               (size_t)(s->taps * s->inputs * s->outputs), (size_t)s->outputs},
                     .n_out = (size_t)(s->batch * conv1d_steps(s) * s->outputs),
                     .scratch = drawn(conv1d_scratch(plan) / sizeof(double), 0, 0),
                     .forward = conv_run,
                     .backward = conv_run_backward});
    conv1d_plan_free(plan);
  }
}

/* By hand: the mean of two taps over (1, 2, 3) with a zero in front. */
static void convolution_by_hand(void **state) {
  (void)state;
  conv1d_shape s = {sizeof(double), 1, 3, 1, 2, 1, 1, 1, 1, 0, false};
  conv1d_plan *plan;
  garam_error err;
  assert_int_equal(conv1d_plan_new(&plan, &s, false, &err), GARAM_OK);
  double x[3] = {1, 2, 3}, w[2] = {0.5, 0.5}, y[3],
         *scratch = drawn(conv1d_scratch(plan) / sizeof(double), 0, 0);
  conv1d_forward(plan, y, x, w, NULL, scratch);
  assert_true(y[0] == 0.5 && y[1] == 1.5 && y[2] == 2.5);
  mem_free_aligned(scratch);
  conv1d_plan_free(plan);
  s.taps = 9;
  assert_int_equal(conv1d_plan_new(&plan, &s, false, &err), GARAM_INVALID);
  assert_null(plan);
}

int main(void) {
  k = kernel_table_level(0, sizeof(double));
  rng_init(&draw, 7, RNG_TEST, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary_ops),   cmocka_unit_test(activations),
      cmocka_unit_test(reductions),  cmocka_unit_test(norms),
      cmocka_unit_test(attention),   cmocka_unit_test(pools),
      cmocka_unit_test(losses),      cmocka_unit_test(recurrent),
      cmocka_unit_test(convolution), cmocka_unit_test(convolution_by_hand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
