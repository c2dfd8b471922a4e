/* LSTM and GRU over sequences. Step t of a sequence lies T rows apart in (B,T,.), so a step is a
 * matrix with a long stride and nothing is transposed.
 *
 * kept, LSTM: gates (B,T,4H), cells (B,T,H). GRU: gates (B,T,3H), hn = (h U + bu)_n (B,T,H).
 * scratch, forward: GRU h U (B,3H). Backward: dgates (B,T,G), GRU dhu (B,T,3H), dh (B,H), dc (B,H).
 */
#include "kernel/rnn.h"

#include "base/mem.h"
#include "kernel/ref/shard.h"

#include <string.h>

struct rnn_plan {
  rnn_shape shape;
  int64_t gates; /* 4H or 3H */
  const kernel_table *kernels;
  gemm_plan *input;             /* X W + b, all steps */
  gemm_plan *state;             /* h U of one step; LSTM adds it to the gates, GRU keeps it apart */
  gemm_plan *first;             /* the same for h0, which is dense */
  gemm_plan *dx, *dw, *dh, *du; /* training */
  size_t gates_bytes, state_bytes, hu_bytes, product_bytes, packed_bytes;
};

/* U is read once a step: with this many it pays to lay it out for the product first. */
enum { PACK_STEPS = 4 };

static garam_status prepare(rnn_plan *p, bool training, garam_error *err) {
  const rnn_shape *s = &p->shape;
  int64_t B = s->batch, T = s->steps, H = s->hidden, G = p->gates;
  bool lstm = s->kind == RNN_LSTM;
  gemm_shape base = {.real_size = s->real_size, .precision = s->precision};
  gemm_format u_format = T >= PACK_STEPS ? GEMM_PACKED : GEMM_REAL;
  gemm_shape input = base, state = base;
  input.m = B * T, input.n = G, input.k = s->inputs, input.bias = true;
  TRY(gemm_plan_new(&p->input, &input, err));
  state.m = B, state.n = G, state.k = H, state.lda = T * H;
  state.format_b = u_format;
  if (lstm) { /* onto x W + b, in place */
    state.ldc = T * G;
    state.beta = 1;
  } else {
    state.bias = true; /* bu */
  }
  TRY(gemm_plan_new(&p->state, &state, err));
  state.lda = H;
  TRY(gemm_plan_new(&p->first, &state, err));
  if (!training) return GARAM_OK;
  gemm_shape dx = base, dw = base, dh = base, du = base;
  dx.m = B * T, dx.n = s->inputs, dx.k = G, dx.transpose_b = true;
  TRY(gemm_plan_new(&p->dx, &dx, err));
  dw.m = s->inputs, dw.n = G, dw.k = B * T, dw.transpose_a = true;
  TRY(gemm_plan_new(&p->dw, &dw, err));
  dh.m = B, dh.n = H, dh.k = G, dh.lda = T * G, dh.transpose_b = true;
  dh.format_b = u_format;
  dh.beta = lstm ? 0 : 1; /* GRU: onto the direct part dh z */
  TRY(gemm_plan_new(&p->dh, &dh, err));
  /* h of the step before is gathered first, so that du is one product over all steps */
  du.m = H, du.n = G, du.k = B * T, du.transpose_a = true;
  return gemm_plan_new(&p->du, &du, err);
}

garam_status rnn_plan_new(rnn_plan **out, const rnn_shape *s, bool training, garam_error *err) {
  *out = NULL;
  if (s->batch < 1 || s->steps < 1 || s->inputs < 1 || s->hidden < 1)
    return fail(err, GARAM_INVALID, "recurrent net: every size must be at least 1");
  rnn_plan *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->shape = *s;
  p->gates = (s->kind == RNN_LSTM ? 4 : 3) * s->hidden;
  p->kernels = s->real_size == sizeof(float) ? kernel_table_f32() : kernel_table_f64();
  garam_status status = prepare(p, training, err);
  if (status != GARAM_OK) {
    rnn_plan_free(p);
    return status;
  }
  gemm_plan *all[] = {p->input, p->state, p->first, p->dx, p->dw, p->dh, p->du};
  for (size_t i = 0; i < COUNT_OF(all); i++)
    if (all[i] && gemm_scratch(all[i]) > p->product_bytes) p->product_bytes = gemm_scratch(all[i]);
  p->packed_bytes = gemm_pack_bytes(p->state);
  if (p->dh && gemm_pack_bytes(p->dh) > p->packed_bytes) p->packed_bytes = gemm_pack_bytes(p->dh);
  p->packed_bytes = round_up(p->packed_bytes, 64);
  p->gates_bytes = round_up((size_t)(s->batch * s->steps * p->gates) * s->real_size, 64);
  p->state_bytes = round_up((size_t)(s->batch * s->hidden) * s->real_size, 64);
  p->hu_bytes = round_up((size_t)(s->batch * s->steps * s->hidden) * s->real_size, 64);
  if (p->hu_bytes < round_up((size_t)(s->batch * p->gates) * s->real_size, 64))
    p->hu_bytes = round_up((size_t)(s->batch * p->gates) * s->real_size, 64);
  *out = p;
  return GARAM_OK;
}

void rnn_plan_free(rnn_plan *p) {
  if (!p) return;
  gemm_plan *all[] = {p->input, p->state, p->first, p->dx, p->dw, p->dh, p->du};
  for (size_t i = 0; i < COUNT_OF(all); i++) gemm_plan_free(all[i]);
  mem_free(p);
}

/* dgates, dhu, h before (or h U of a step), dh, dc, a row of zeros, U packed, the products' own */
size_t rnn_scratch(const rnn_plan *p) {
  size_t row = round_up((size_t)p->gates * p->shape.real_size, 64);
  return 2 * p->gates_bytes + p->hu_bytes + 2 * p->state_bytes + row + p->packed_bytes +
         p->product_bytes;
}

size_t rnn_kept(const rnn_plan *p) {
  const rnn_shape *s = &p->shape;
  return (size_t)(s->batch * s->steps * (p->gates + s->hidden));
}

double rnn_flops(const rnn_plan *p) {
  return gemm_flops(p->input) + (double)p->shape.steps * gemm_flops(p->state);
}

typedef struct rnn_places { /* of scratch */
  char *dgates, *dhu, *before, *dh, *dc, *zeros, *packed, *rest;
} rnn_places;

static rnn_places places(const rnn_plan *p, void *scratch) {
  rnn_places w;
  w.dgates = scratch;
  w.dhu = w.dgates + p->gates_bytes;
  w.before = w.dhu + p->gates_bytes;
  w.dh = w.before + p->hu_bytes;
  w.dc = w.dh + p->state_bytes;
  w.zeros = w.dc + p->state_bytes;
  w.packed = w.zeros + round_up((size_t)p->gates * p->shape.real_size, 64);
  w.rest = w.packed + p->packed_bytes;
  return w;
}

/* U as the product over steps reads it. */
static const void *state_weights(const gemm_plan *product, const void *u, void *packed) {
  if (gemm_pack_bytes(product) == 0) return u;
  gemm_pack(product, packed, u, GEMM_REAL);
  return packed;
}

void rnn_forward(rnn_plan *p, void *y, void *kept, const void *x, const rnn_weights *weights,
                 void *scratch) {
  const rnn_shape *s = &p->shape;
  const kernel_table *k = p->kernels;
  int64_t T = s->steps, H = s->hidden, G = p->gates, size = (int64_t)s->real_size;
  size_t B = (size_t)s->batch;
  rnn_places w = places(p, scratch);
  char *gates = kept, *side = gates + s->batch * T * G * size; /* cells or hn */
  k->fill(w.zeros, 0, (size_t)G);
  gemm_run(p->input, gates, x, weights->w, weights->b ? weights->b : w.zeros, w.rest);
  const void *bu = weights->bu ? weights->bu : w.zeros;
  const void *u = T > 1 || weights->h0 ? state_weights(p->state, weights->u, w.packed) : NULL;
  for (int64_t t = 0; t < T; t++) {
    char *gate = gates + t * G * size, *ht = (char *)y + t * H * size, *st = side + t * H * size;
    const char *hb = t ? ht - H * size : weights->h0;
    int64_t hb_stride = t ? T * H : H;
    gemm_plan *state = t ? p->state : p->first;
    if (s->kind == RNN_LSTM) {
      if (hb) gemm_run(state, gate, hb, u, NULL, w.rest);
      const char *cb = t ? st - H * size : weights->c0;
      k->lstm_step(ht, T * H, st, T * H, gate, T * G, cb, t ? T * H : H, B, (size_t)H);
    } else {
      if (hb) gemm_run(state, w.before, hb, u, bu, w.rest);
      else
        for (int64_t b = 0; b < s->batch; b++) k->copy(w.before + b * G * size, bu, (size_t)G);
      k->gru_step(ht, T * H, gate, T * G, st, T * H, w.before, hb, hb_stride, B, (size_t)H);
    }
  }
}

void rnn_backward(rnn_plan *p, const rnn_gradients *g, const void *dy, const void *x, const void *y,
                  const void *kept, const rnn_weights *weights, void *scratch) {
  const rnn_shape *s = &p->shape;
  const kernel_table *k = p->kernels;
  int64_t T = s->steps, H = s->hidden, G = p->gates, size = (int64_t)s->real_size;
  size_t B = (size_t)s->batch, BH = B * (size_t)H, rows = B * (size_t)T;
  bool lstm = s->kind == RNN_LSTM;
  rnn_places w = places(p, scratch);
  const char *gates = kept, *side = gates + s->batch * T * G * size;
  char *dstate = lstm ? w.dgates : w.dhu; /* what reaches h U */
  const void *u = T > 1 || g->dh0 ? state_weights(p->dh, weights->u, w.packed) : NULL;
  const kernel_broadcast onto = {
      .rank = 2, .dims = {s->batch, H}, .a = {H, 1}, .b = {T * H, 1}}; /* rows of one step */
  k->fill(w.dh, 0, BH);
  k->fill(w.dc, 0, BH);
  for (int64_t t = T - 1; t >= 0; t--) {
    k->binary(KERNEL_ADD, w.dh, w.dh, (const char *)dy + t * H * size, &onto);
    const char *gate = gates + t * G * size, *st = side + t * H * size;
    const char *hb = t ? (const char *)y + (t - 1) * H * size : weights->h0;
    char *dg = w.dgates + t * G * size, *du = dstate + t * G * size;
    if (lstm) {
      const char *cb = t ? st - H * size : weights->c0;
      k->lstm_step_backward(dg, T * G, w.dc, w.dh, gate, st, T * H, cb, t ? T * H : H, B,
                            (size_t)H);
    } else {
      k->gru_step_backward(dg, du, T * G, w.dh, gate, st, T * H, hb, t ? T * H : H, B, (size_t)H);
    }
    if (t > 0 || g->dh0) gemm_run(p->dh, w.dh, du, u, NULL, w.rest);
  }
  if (g->dh0) k->copy(g->dh0, w.dh, BH);
  if (g->dc0) k->copy(g->dc0, w.dc, BH);
  if (g->dx) gemm_run(p->dx, g->dx, w.dgates, weights->w, NULL, w.rest);
  if (g->dw) gemm_run(p->dw, g->dw, x, w.dgates, NULL, w.rest);
  if (g->db) k->column_sum(g->db, w.dgates, rows, (size_t)G);
  if (g->dbu) k->column_sum(g->dbu, w.dhu, rows, (size_t)G);
  if (g->du) { /* h of the step before, gathered */
    for (int64_t b = 0; b < s->batch; b++) {
      char *to = w.before + b * T * H * size;
      if (weights->h0) k->copy(to, (const char *)weights->h0 + b * H * size, (size_t)H);
      else k->fill(to, 0, (size_t)H);
      k->copy(to + H * size, (const char *)y + b * T * H * size, (size_t)((T - 1) * H));
    }
    gemm_run(p->du, g->du, w.before, dstate, NULL, w.rest);
  }
}
