/* Every kernel at every level of this machine against the reference in double, on odd shapes; and
 * the same bits from 1, 2 and 4 threads. A case draws its inputs (rounded to float, so that both
 * real types see the same numbers), runs, and records what came out. */
#include "kernel/kernel.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ARRAYS = 32 };

typedef struct sheet {
  const kernel_table *k;
  rng draw;
  void *arrays[MAX_ARRAYS];
  int n_arrays;
  double *values; /* everything recorded, in order */
  size_t n_values, capacity;
} sheet;

static void *array_new(sheet *s, size_t n) {
  void *a = mem_alloc_aligned((n + 16) * s->k->real_size, 64);
  assert_non_null(a);
  assert_true(s->n_arrays < MAX_ARRAYS);
  s->arrays[s->n_arrays++] = a;
  memset(a, 0x7f, n * s->k->real_size); /* so that what is not written shows */
  return a;
}

static void array_set(const sheet *s, void *a, size_t i, double value) {
  if (s->k->real_size == sizeof(float)) ((float *)a)[i] = (float)value;
  else ((double *)a)[i] = (double)(float)value;
}

static void *array_draw(sheet *s, size_t n, double low, double high) {
  void *a = array_new(s, n);
  for (size_t i = 0; i < n; i++) array_set(s, a, i, low + (high - low) * rng_uniform(&s->draw));
  return a;
}

static void record(sheet *s, const void *a, size_t n) {
  assert_int_equal(mem_grow(&s->values, &s->capacity, s->n_values + n, sizeof(double), NULL),
                   GARAM_OK);
  for (size_t i = 0; i < n; i++)
    s->values[s->n_values++] =
        s->k->real_size == sizeof(float) ? (double)((const float *)a)[i] : ((const double *)a)[i];
}

static void record_value(sheet *s, double value) {
  assert_int_equal(mem_grow(&s->values, &s->capacity, s->n_values + 1, sizeof(double), NULL),
                   GARAM_OK);
  s->values[s->n_values++] = value;
}

static void *scratch_new(sheet *s, size_t bytes) {
  return bytes ? array_new(s, bytes / s->k->real_size + 1) : NULL;
}

/* ---- cases: a is the larger, outer size, b the inner ---- */

typedef void (*case_fn)(sheet *s, size_t a, size_t b);

static void case_memory(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  void *x = array_draw(s, a * b * 3, -1, 1), *y = array_new(s, a * b * 3);
  k->fill(y, 1.5, a * b);
  record(s, y, a * b);
  k->copy(y, x, a * b);
  record(s, y, a * b);
  k->copy_rows(y, (int64_t)b, x, 3 * (int64_t)b, a, b);
  record(s, y, a * b);
  static const int orders[][4] = {{0, 1, 2, 3}, {0, 2, 1, 3}, {3, 2, 1, 0},
                                  {1, 0, 2, 3}, {0, 1, 3, 2}, {2, 0, 3, 1}};
  int64_t dims[4] = {(int64_t)a, 3, 1, (int64_t)b};
  for (size_t i = 0; i < COUNT_OF(orders); i++) {
    k->permute(y, x, 4, dims, orders[i]);
    record(s, y, a * b * 3);
  }
  dims[1] = 1, dims[2] = 3;
  for (size_t i = 0; i < COUNT_OF(orders); i++) {
    k->permute(y, x, 4, dims, orders[i]);
    record(s, y, a * b * 3);
  }
}

static void case_binary(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  int64_t A = (int64_t)a, B = (int64_t)b;
  void *x = array_draw(s, a * b, -2, 2), *y = array_draw(s, a * b, 0.5, 2),
       *out = array_new(s, a * b);
  const kernel_broadcast shapes[] = {
      {2, {A, B}, {B, 1}, {B, 1}},          /* same */
      {2, {A, B}, {B, 1}, {0, 1}},          /* row */
      {2, {A, B}, {B, 1}, {1, 0}},          /* column */
      {2, {A, B}, {0, 1}, {B, 1}},          /* row on the left */
      {2, {A, B}, {B, 1}, {0, 0}},          /* scalar */
      {2, {A, B}, {1, 0}, {0, 1}},          /* outer */
      {3, {A, 1, B}, {B, 0, 1}, {0, 0, 1}}, /* an axis of one */
      {0, {0}, {0}, {0}},                   /* rank 0 */
  };
  for (int op = 0; op < KERNEL_N_BINARY; op++)
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
      k->binary((kernel_binary_op)op, out, x, y, &shapes[i]);
      record(s, out, shapes[i].rank ? a * b : 1);
    }
  k->binary(KERNEL_MUL, x, x, y, &shapes[1]); /* in place */
  record(s, x, a * b);
  k->add_scaled(x, y, -0.75, a * b);
  record(s, x, a * b);
}

static void case_unary(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  size_t n = a * b;
  void *positive = array_draw(s, n, 0.1, 6), *any = array_draw(s, n, -6, 6),
       *dy = array_draw(s, n, -1, 1), *y = array_new(s, n), *dx = array_new(s, n);
  for (int op = 0; op < KERNEL_N_UNARY; op++) {
    kernel_unary_op o = (kernel_unary_op)op;
    const void *x = o == KERNEL_LOG || o == KERNEL_SQRT ? positive : any;
    k->unary(o, y, x, n, -1.5, 2.5);
    record(s, y, n);
    int needs = kernel_unary_needs(o);
    k->unary_backward(o, dx, dy, needs & KERNEL_NEEDS_X ? x : NULL,
                      needs & KERNEL_NEEDS_Y ? y : NULL, n, -1.5, 2.5);
    record(s, dx, n);
  }
}

static void case_reduce(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  void *x = array_draw(s, a * b * 3, -1, 1), *y = array_new(s, a * b * 3),
       *dy = array_draw(s, a * b * 3, -1, 1), *dx = array_new(s, a * b * 3);
  const size_t views[][3] = {{a, b, 3}, {3, a, b}, {a, b, 1}, {1, a * b, 1}, {1, a, b}};
  for (size_t i = 0; i < COUNT_OF(views); i++) {
    size_t o = views[i][0], n = views[i][1], in = views[i][2];
    for (int op = KERNEL_SUM; op <= KERNEL_MAX; op++) {
      k->reduce((kernel_reduce_op)op, y, x, o, n, in);
      record(s, y, o * in);
    }
    k->expand(dx, dy, 0.5, o, n, in);
    record(s, dx, o * n * in);
    k->max_backward(dx, dy, x, o, n, in);
    record(s, dx, o * n * in);
  }
  k->column_sum(y, x, a, b);
  record(s, y, b);
  record_value(s, k->sum_squares(x, a * b)); /* in double whatever the type */
}

static void case_rows(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  enum { ROWS = 7 };
  int32_t *index = mem_array(a, sizeof *index);
  assert_non_null(index);
  for (size_t i = 0; i < a; i++) index[i] = (int32_t)rng_below(&s->draw, ROWS + 2) - 1;
  void *table = array_draw(s, ROWS * b, -1, 1), *y = array_new(s, a * b),
       *dy = array_draw(s, a * b, -1, 1);
  k->gather(y, table, index, a, ROWS, b);
  record(s, y, a * b);
  k->scatter(table, dy, index, a, ROWS, b);
  record(s, table, ROWS * b);
  mem_free(index);
}

static void case_norm(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  void *x = array_draw(s, a * b, -1, 3), *gain = array_draw(s, b, 0.5, 1.5),
       *bias = array_draw(s, b, -1, 1), *dy = array_draw(s, a * b, -1, 1), *y = array_new(s, a * b),
       *dx = array_new(s, a * b), *mean = array_new(s, a), *rstd = array_new(s, a),
       *dgain = array_new(s, b), *dbias = array_new(s, b);
  void *scratch = scratch_new(s, k->layer_norm_scratch(a, b));
  for (int plain = 0; plain < 2; plain++) {
    k->layer_norm(y, x, plain ? NULL : gain, plain ? NULL : bias, mean, rstd, a, b, 0.1);
    record(s, y, a * b);
    record(s, mean, a);
    record(s, rstd, a);
    k->layer_norm_backward(dx, plain ? NULL : dgain, plain ? NULL : dbias, dy, x,
                           plain ? NULL : gain, mean, rstd, a, b, scratch);
    record(s, dx, a * b);
    record(s, dgain, b);
    record(s, dbias, b);
    k->rms_norm(y, x, plain ? NULL : gain, rstd, a, b, 0.1);
    record(s, y, a * b);
    k->rms_norm_backward(dx, plain ? NULL : dgain, dy, x, plain ? NULL : gain, rstd, a, b, scratch);
    record(s, dx, a * b);
    record(s, dgain, b);
  }
  k->layer_norm(x, x, gain, bias, mean, rstd, a, b, 0.1); /* mean and rstd of the old x */
  record(s, x, a * b);
  k->layer_norm_backward(dy, dgain, dbias, dy, y, gain, mean, rstd, a, b, scratch); /* in place */
  record(s, dy, a * b);
  record(s, dgain, b);
}

static void case_softmax(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  void *x = array_draw(s, a * b, -8, 8), *y = array_new(s, a * b),
       *dy = array_draw(s, a * b, -1, 1), *dx = array_new(s, a * b);
  k->softmax(y, x, a, b);
  record(s, y, a * b);
  k->softmax_backward(dx, dy, y, a, b);
  record(s, dx, a * b);
  k->log_softmax(y, x, a, b);
  record(s, y, a * b);
  k->log_softmax_backward(dx, dy, y, a, b);
  record(s, dx, a * b);
  k->softmax(x, x, a, b); /* in place */
  record(s, x, a * b);
  k->softmax_backward(dy, dy, x, a, b);
  record(s, dy, a * b);
}

static const kernel_dropout drops = {.rate = 0.3, .seed = 11, .stream = 77, .step = 5};

static void case_dropout(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  size_t n = a * b;
  void *x = array_draw(s, n, -3, 3), *residual = array_draw(s, n, -1, 1), *y = array_new(s, n),
       *bias = array_draw(s, b, -1, 1), *dy = array_draw(s, n, -1, 1), *dx = array_new(s, n),
       *dbias = array_new(s, b);
  void *scratch = scratch_new(s, k->activation_scratch(a, b));
  k->dropout(y, x, n, &drops);
  record(s, y, n);
  k->dropout_add(y, x, residual, n, &drops);
  record(s, y, n);
  k->dropout_add(residual, x, residual, n, &drops);
  record(s, residual, n);
  static const kernel_unary_op ops[] = {KERNEL_IDENTITY, KERNEL_RELU, KERNEL_GELU, KERNEL_SILU,
                                        KERNEL_TANH};
  for (size_t i = 0; i < COUNT_OF(ops); i++)
    for (int form = 0; form < 4; form++) {
      const void *row = form & 1 ? bias : NULL;
      const kernel_dropout *key = form & 2 ? &drops : NULL;
      k->activation(ops[i], y, x, row, a, b, key);
      record(s, y, n);
      k->activation_backward(ops[i], dx, dbias, dy, x, row, a, b, key, scratch);
      record(s, dx, n);
      record(s, dbias, b);
    }
}

/* The gradient of relu and dropout from their result is the one from the operand, to the bit. */
static void case_relu(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  size_t n = a * b;
  void *x = array_draw(s, n, -1, 1), *dy = array_draw(s, n, -1, 1), *y = array_new(s, n),
       *dx = array_new(s, n), *want = array_new(s, n), *dbias = array_new(s, b);
  void *scratch = scratch_new(s, k->activation_scratch(a, b));
  for (int form = 0; form < 2; form++) {
    const kernel_dropout *key = form ? &drops : NULL;
    k->activation(KERNEL_RELU, y, x, NULL, a, b, key);
    k->activation_backward(KERNEL_RELU, want, NULL, dy, x, NULL, a, b, key, scratch);
    k->relu_backward(dx, dbias, dy, y, a, b, key, scratch);
    assert_memory_equal(dx, want, n * k->real_size);
    record(s, dx, n);
    record(s, dbias, b);
  }
  k->relu_backward(dy, NULL, dy, y, a, b, &drops, scratch); /* in place */
  record(s, dy, n);
}

static void case_residual_norm(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  size_t n = a * b;
  void *x = array_draw(s, n, -1, 3), *residual = array_draw(s, n, -1, 1),
       *gain = array_draw(s, b, 0.5, 1.5), *bias = array_draw(s, b, -1, 1),
       *dy = array_draw(s, n, -1, 1), *add = array_draw(s, n, -1, 1), *sum = array_new(s, n),
       *y = array_new(s, n), *dx = array_new(s, n), *dsum = array_new(s, n),
       *mean = array_new(s, a), *rstd = array_new(s, a), *dgain = array_new(s, b),
       *dbias = array_new(s, b), *dxbias = array_new(s, b);
  void *scratch = scratch_new(s, k->residual_norm_scratch(a, b));
  for (int form = 0; form < 8; form++) {
    const kernel_dropout *key = form & 1 ? &drops : NULL;
    bool plain = form & 2, alone = form & 4;
    k->residual_norm(sum, y, x, residual, plain ? NULL : gain, plain ? NULL : bias,
                     plain ? NULL : mean, plain ? NULL : rstd, a, b, 0.1, key);
    record(s, sum, n);
    record(s, y, n);
    record(s, mean, a);
    record(s, rstd, a);
    k->residual_norm_backward(dsum, dx, plain ? NULL : dgain, plain ? NULL : dbias,
                              plain ? NULL : dxbias, dy, alone ? NULL : add, sum,
                              plain ? NULL : gain, mean, rstd, a, b, key, scratch);
    record(s, dsum, n);
    if (key) record(s, dx, n);
    record(s, dgain, b);
    record(s, dbias, b);
    record(s, dxbias, b);
  }
  k->residual_norm_backward(add, dx, dgain, dbias, dxbias, dy, add, sum, gain, mean, rstd, a, b,
                            &drops, scratch); /* in place */
  record(s, add, n);
  k->residual_norm_backward(dy, dx, dgain, dbias, dxbias, dy, add, sum, gain, mean, rstd, a, b,
                            &drops, scratch);
  record(s, dy, n);
  k->residual_norm(x, y, x, residual, gain, bias, mean, rstd, a, b, 0.1, &drops);
  record(s, x, n);
  k->residual_norm(residual, y, x, residual, gain, bias, mean, rstd, a, b, 0.1, NULL);
  record(s, residual, n);
  record(s, y, n);
}

/* a queries and keys, b columns of a head */
static void case_attention(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  enum { B = 2, H = 3 };
  size_t T = a, S = a > 2 ? a - 1 : a, wide = H * b, row = wide + 5;
  int32_t begin[B] = {0, (int32_t)(S / 2)};
  void *q = array_draw(s, B * T * row, -1, 1), *key = array_draw(s, B * S * row, -1, 1),
       *v = array_draw(s, B * S * wide, -1, 1), *dout = array_draw(s, B * T * wide, -1, 1),
       *out = array_new(s, B * T * wide), *lse = array_new(s, B * H * T),
       *dq = array_new(s, B * T * row), *dk = array_new(s, B * S * wide),
       *dv = array_new(s, B * S * wide);
  for (int form = 0; form < 6; form++) {
    kernel_attention at = {.batch = B,
                           .queries = (int64_t)T,
                           .keys = (int64_t)S,
                           .heads = H,
                           .head = (int64_t)b,
                           .q_stride = (int64_t)row,
                           .k_stride = (int64_t)row,
                           .dq_stride = (int64_t)row,
                           .scale = 0.7,
                           .causal = form == 1 || form == 3 || form == 5,
                           .window = form == 2 || form == 3 ? 5 : 0,
                           .offset = form == 5 ? 3 : 0,
                           .key_begin = form == 4 || form == 5 ? begin : NULL};
    if (form == 0 || form == 4) at.dropout = drops;
    k->fill(dq, 0, B * T * row); /* columns between rows stay as they are */
    void *scratch = scratch_new(s, k->attention_scratch(&at));
    k->attention(out, lse, q, key, v, &at, scratch);
    record(s, out, B * T * wide);
    record(s, lse, B * H * T);
    void *more = scratch_new(s, k->attention_backward_scratch(&at));
    k->attention_backward(dq, dk, dv, dout, q, key, v, out, lse, &at, more);
    record(s, dq, B * T * row);
    record(s, dk, B * S * wide);
    record(s, dv, B * S * wide);
  }
}

static void case_steps(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  enum { B = 4 };
  const int32_t begin[B] = {0, (int32_t)(a / 2), (int32_t)a, -3},
                index[B] = {0, (int32_t)a - 1, (int32_t)a, -1};
  void *x = array_draw(s, B * a * b, -1, 1), *y = array_new(s, B * b),
       *dx = array_new(s, B * a * b), *dy = array_draw(s, B * b, -1, 1);
  for (int given = 0; given < 2; given++) {
    k->masked_mean(y, x, given ? begin : NULL, B, a, b);
    record(s, y, B * b);
    k->masked_mean_backward(dx, dy, given ? begin : NULL, B, a, b);
    record(s, dx, B * a * b);
    k->take_step(y, x, given ? index : NULL, B, a, b);
    record(s, y, B * b);
    k->take_step_backward(dx, dy, given ? index : NULL, B, a, b);
    record(s, dx, B * a * b);
  }
}

static void case_loss(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  int32_t *target = mem_array(a, sizeof *target);
  assert_non_null(target);
  for (size_t i = 0; i < a; i++) target[i] = (int32_t)rng_below(&s->draw, b + 1) - 1;
  void *x = array_draw(s, a * b, -3, 3), *t = array_draw(s, a * b, 0, 1),
       *w = array_draw(s, a, 0.5, 2), *loss = array_new(s, 1), *stat = array_new(s, a + 1),
       *dx = array_new(s, a * b), *dloss = array_new(s, 1);
  array_set(s, dloss, 0, 1.25 * (double)a); /* so that small gradients are seen */
  for (int form = 0; form < 4; form++) {
    const void *weight = form & 1 ? w : NULL;
    double smoothing = form & 2 ? 0.1 : 0;
    k->cross_entropy(loss, stat, x, target, weight, a, b, smoothing);
    record(s, loss, 1);
    record(s, stat, a + 1);
    k->cross_entropy_backward(dx, dloss, stat, x, target, weight, a, b, smoothing);
    record(s, dx, a * b);
    for (int op = KERNEL_MSE; op <= KERNEL_BCE; op++) {
      k->loss((kernel_loss_op)op, loss, x, t, weight, a, b, 0.8);
      record(s, loss, 1);
      k->loss_backward((kernel_loss_op)op, dx, dloss, x, t, weight, a, b, 0.8);
      record(s, dx, a * b);
    }
  }
  mem_free(target);
}

static void case_gates(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  size_t n = a * b;
  int64_t H = (int64_t)b;
  void *gates = array_draw(s, 4 * n, -3, 3), *c0 = array_draw(s, n, -1, 1), *c = array_new(s, n),
       *h = array_new(s, n), *dh = array_draw(s, n, -1, 1), *dc = array_draw(s, n, -1, 1),
       *dg = array_new(s, 4 * n), *hu = array_draw(s, 3 * n, -2, 2), *hn = array_new(s, n),
       *du = array_new(s, 3 * n);
  k->lstm_step(h, H, c, H, gates, 4 * H, c0, H, a, b);
  record(s, h, n);
  record(s, c, n);
  k->lstm_step_backward(dg, 4 * H, dc, dh, gates, c, H, c0, H, a, b);
  record(s, dg, 4 * n);
  record(s, dc, n);
  k->gru_step(h, H, gates, 3 * H, hn, H, hu, c0, H, a, b);
  record(s, h, n);
  k->gru_step_backward(dg, du, 3 * H, dh, gates, hn, H, c0, H, a, b);
  record(s, dg, 3 * n);
  record(s, du, 3 * n);
  record(s, dh, n);
}

static void case_optimizer(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  size_t n = a * b;
  void *p = array_draw(s, n, -1, 1), *m = array_draw(s, n, -0.1, 0.1),
       *v = array_draw(s, n, 0.01, 0.1), *g = array_draw(s, n, -1, 1);
  const kernel_range decayed[] = {{0, n / 3}, {n / 2, n - n / 7}};
  const kernel_adamw adam = {1e-2, 0.9, 0.999, 1e-8, 0.1, 0.5, 3, decayed, 2};
  const kernel_sgd sgd = {1e-2, 0.9, 0.1, 0.5, decayed, 2};
  k->adamw(p, m, v, g, n, &adam);
  record(s, p, n);
  record(s, m, n);
  record(s, v, n);
  k->sgd(p, m, g, n, &sgd);
  record(s, p, n);
  record(s, m, n);
  k->blend(p, g, 0.01, n);
  record(s, p, n);
  uint8_t *codes = array_new(s, n);
  float *scales = array_new(s, n);
  memset(codes, 0, n);
  memset(scales, 0, kernel_scales8(n) * sizeof *scales);
  const kernel_numbers8 none = {codes, scales}; /* fresh moments */
  k->decode8(m, &none, n, KERNEL_SIGNED8);
  record(s, m, n);
  k->encode8(&none, g, n, KERNEL_SIGNED8);
  k->decode8(m, &none, n, KERNEL_SIGNED8);
  for (size_t i = 0; i < n; i++) { /* a step is at most 0.8 % of the largest, see optimizer_test */
    double x = s->k->real_size == 4 ? (double)((float *)m)[i] : ((double *)m)[i];
    double y = s->k->real_size == 4 ? (double)((float *)g)[i] : ((double *)g)[i];
    assert_true(fabs(x - y) < 0.008);
  }
}

static void case_product(sheet *s, size_t a, size_t b) {
  const kernel_table *k = s->k;
  int64_t M = (int64_t)a, N = (int64_t)b, K = (int64_t)(a + b) / 2;
  void *x = array_draw(s, a * (size_t)K * 2, -1, 1), *y = array_draw(s, b * (size_t)K * 2, -1, 1),
       *c = array_draw(s, a * b * 2, -1, 1);
  void *scratch = scratch_new(s, k->product_scratch(M, N, 2));
  kernel_product p = {M, N, K, 2, K, 1, M * K, N, 1, N * K, N, M * N, 0.5, 0};
  k->product(c, x, y, &p, scratch);
  record(s, c, a * b * 2);
  kernel_product q = {M, N, K, 2, 1, M, M * K, 1, K, N * K, N, M * N, 1, -0.5};
  k->product(c, x, y, &q, scratch);
  record(s, c, a * b * 2);
}

/* Tolerances are |error| <= tolerance * (1 + |truth|). In float, sums of up to 65 * 65 numbers
 * near one; in double, the same sums in another order. */
static const struct {
  const char *name;
  case_fn run;
  double tolerance_f32, tolerance_f64;
} cases[] = {
    {"memory", case_memory, 0, 0},
    {"binary", case_binary, 5e-7, 1e-15},
    {"unary", case_unary, 2e-6, 1e-14},
    {"reduce", case_reduce, 2e-6, 1e-13},
    {"rows", case_rows, 2e-6, 1e-14},
    {"norm", case_norm, 2e-5, 1e-12},
    {"softmax", case_softmax, 3e-6, 1e-13},
    {"dropout", case_dropout, 1e-5, 1e-13},
    {"relu", case_relu, 1e-5, 1e-13},
    {"residual_norm", case_residual_norm, 5e-5, 1e-12},
    {"attention", case_attention, 1e-5, 1e-12},
    {"steps", case_steps, 1e-6, 1e-14},
    {"loss", case_loss, 5e-6, 1e-13},
    {"gates", case_gates, 2e-6, 1e-14},
    {"optimizer", case_optimizer, 2e-6, 1e-14},
    {"product", case_product, 2e-5, 1e-13},
};

static sheet sheet_run(const kernel_table *k, case_fn run, size_t a, size_t b) {
  sheet s = {.k = k};
  rng_init(&s.draw, 42, RNG_TEST, a * 1000 + b);
  run(&s, a, b);
  for (int i = 0; i < s.n_arrays; i++) mem_free_aligned(s.arrays[i]);
  return s;
}

static void levels_agree(void **state) {
  (void)state;
  static const size_t shapes[][2] = {{1, 1},   {1, 17},  {3, 7},   {7, 3},   {17, 1},
                                     {17, 33}, {33, 65}, {65, 16}, {64, 64}, {130, 5}};
  for (size_t c = 0; c < COUNT_OF(cases); c++)
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
      size_t a = shapes[i][0], b = shapes[i][1];
      sheet truth = sheet_run(kernel_table_level(0, sizeof(double)), cases[c].run, a, b);
      assert_true(truth.n_values > 0);
      const kernel_table *k;
      for (int t = 0; (k = kernel_table_level(t / 2, t % 2 ? 8 : 4)); t++) {
        sheet s = sheet_run(k, cases[c].run, a, b);
        double tolerance = k->real_size == 4 ? cases[c].tolerance_f32 : cases[c].tolerance_f64;
        assert_int_equal(s.n_values, truth.n_values);
        for (size_t j = 0; j < s.n_values; j++) {
          double want = truth.values[j], got = s.values[j];
          bool same = want == got || fabs(want - got) <= tolerance * (1 + fabs(want));
          if (!same)
            fail_msg("%s (%zu, %zu) on %s f%zu: value %zu is %.9g, expected %.9g", cases[c].name, a,
                     b, k->isa, k->real_size * 8, j, got, want);
        }
        mem_free(s.values);
      }
      mem_free(truth.values);
    }
}

static void threads_agree(void **state) {
  (void)state;
  static const size_t shapes[][2] = {{300, 140}, {1200, 33}, {67, 130}};
  for (size_t c = 0; c < COUNT_OF(cases); c++)
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
      bool product = cases[c].run == case_product, heads = cases[c].run == case_attention;
      size_t a = shapes[i][0], b = shapes[i][1];
      if (heads && i < 2) continue; /* the third has keys enough for threads */
      if (heads) b = 9;
      if (product) b = b > 130 ? 130 : b;
      for (size_t size = 4; size <= 8; size += 4) {
        const kernel_table *k = size == 4 ? kernel_table_f32() : kernel_table_f64();
        thread_set_count(1);
        sheet one = sheet_run(k, cases[c].run, a, b);
        for (int n = 2; n <= 4; n += 2) {
          thread_set_count(n);
          sheet many = sheet_run(k, cases[c].run, a, b);
          assert_int_equal(one.n_values, many.n_values);
          if (memcmp(one.values, many.values, one.n_values * sizeof(double)) != 0)
            fail_msg("%s (%zu, %zu) f%zu: %d threads give other bits than one", cases[c].name, a, b,
                     size * 8, n);
          mem_free(many.values);
        }
        mem_free(one.values);
      }
    }
  thread_set_count(0);
}

/* Attention in half precision: each number within the bounds of bf16 operands, and all of them
 * nearer; odd counts of keys, queries and columns, and every mask. */
static void half_agrees(void **state) {
  (void)state;
  static const size_t shapes[][2] = {{1, 1},   {3, 7},   {7, 3},   {17, 33}, {33, 65},
                                     {65, 16}, {64, 64}, {130, 5}, {131, 40}};
  for (size_t i = 0; i < COUNT_OF(shapes); i++) {
    size_t a = shapes[i][0], b = shapes[i][1];
    sheet truth = sheet_run(kernel_table_level(0, sizeof(double)), case_attention, a, b);
    thread_set_count(1);
    sheet half = sheet_run(kernel_table_half(), case_attention, a, b);
    thread_set_count(3);
    sheet threads = sheet_run(kernel_table_half(), case_attention, a, b);
    assert_int_equal(half.n_values, truth.n_values);
    assert_memory_equal(half.values, threads.values, half.n_values * sizeof(double));
    double off = 0, all = 0;
    for (size_t j = 0; j < half.n_values; j++) {
      double want = truth.values[j], got = half.values[j];
      if (want == got) continue; /* infinities too */
      off += (got - want) * (got - want);
      all += want * want;
      if (!(fabs(got - want) <= 0.04 * (1 + fabs(want))))
        fail_msg("(%zu, %zu): value %zu is %.9g, expected %.9g", a, b, j, got, want);
    }
    if (!(off <= all * 5e-3 * 5e-3)) fail_msg("(%zu, %zu): off by %g", a, b, sqrt(off / all));
    mem_free(half.values);
    mem_free(threads.values);
    mem_free(truth.values);
  }
  thread_set_count(0);
}

/* The edges of what floats can hold, at every level. */
static void edges_hold(void **state) {
  (void)state;
  const float big = INFINITY, no = NAN;
  const float x[] = {0,    -0.0f, big,   -big,   no,     88.7f, 89, -87,
                     -104, -200,  1e30f, -1e30f, 1e-30f, -20,   20};
  static const kernel_unary_op ops[] = {KERNEL_EXP,  KERNEL_RELU,    KERNEL_GELU,    KERNEL_SILU,
                                        KERNEL_TANH, KERNEL_SIGMOID, KERNEL_SOFTPLUS};
  enum { N = COUNT_OF(x) };
  float want[N], got[N];
  const kernel_table *ref = kernel_table_level(0, sizeof(float)), *k;
  for (int level = 1; (k = kernel_table_level(level, sizeof(float))); level++)
    for (size_t o = 0; o < COUNT_OF(ops); o++) {
      ref->unary(ops[o], want, x, N, 0, 0);
      k->unary(ops[o], got, x, N, 0, 0);
      for (size_t i = 0; i < N; i++) {
        bool gated = (ops[o] == KERNEL_GELU || ops[o] == KERNEL_SILU) && isinf(x[i]) && x[i] < 0;
        bool tiny = fabsf(want[i]) < 1e-35f && fabsf(got[i]) < 1e-35f;
        bool close = want[i] == got[i] || (isnan(want[i]) && isnan(got[i])) || tiny ||
                     fabsf(want[i] - got[i]) <= 1e-6f * fabsf(want[i]);
        if (!close && !gated) /* -inf times 0: NaN or 0, by the order of the steps */
          fail_msg("%s: op %d of %g is %g, expected %g", k->isa, (int)ops[o], (double)x[i],
                   (double)got[i], (double)want[i]);
      }
    }
}

static void level_is_chosen(void **state) {
  (void)state;
  assert_string_equal(kernel_table_level(0, sizeof(float))->isa, "ref");
  assert_string_equal(kernel_isa(), kernel_table_f64()->isa);
  assert_null(kernel_table_level(9, sizeof(float)));
  assert_null(kernel_table_level(-1, sizeof(float)));
  for (int i = 0; kernel_table_level(i, 4); i++) { /* every place of every table is filled */
    const kernel_table *tables[] = {kernel_table_level(i, 4), kernel_table_level(i, 8)};
    for (int t = 0; t < 2; t++) {
      void *place;
      for (size_t at = 0; at < sizeof(kernel_table); at += sizeof place) {
        memcpy(&place, (const char *)tables[t] + at, sizeof place);
        assert_non_null(place);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(level_is_chosen), cmocka_unit_test(levels_agree),
      cmocka_unit_test(threads_agree),   cmocka_unit_test(half_agrees),
      cmocka_unit_test(edges_hold),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
