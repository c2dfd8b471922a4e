/* The reference against the formulas of kernel.h, written out as plainly as they stand there. The
 * levels are compared with the reference (kernel_test), and so with these. */
#include "kernel/kernel.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const kernel_table *k;
static rng draw;

enum { A = 3, B = 4, C = 5, N = A * B * C };

static void drawn(double *x, size_t n, double low, double high) {
  for (size_t i = 0; i < n; i++) x[i] = low + (high - low) * rng_uniform(&draw);
}

static void near(double got, double want) {
  if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want)))) fail_msg("%.17g, expected %.17g", got, want);
}

static void places(void **state) {
  (void)state;
  double x[N], y[N], row[C], want;
  drawn(x, N, -1, 1);
  drawn(row, C, 1, 2);
  const int64_t dims[3] = {A, B, C};
  const int axes[3] = {2, 0, 1};
  k->permute(y, x, 3, dims, axes); /* y (C,A,B) */
  for (int c = 0; c < C; c++)
    for (int a = 0; a < A; a++)
      for (int b = 0; b < B; b++) near(y[(c * A + a) * B + b], x[(a * B + b) * C + c]);
  k->copy_rows(y, C, x + 1, B * C, A, 2); /* slice [.., 0, 1:3] */
  for (int a = 0; a < A; a++)
    assert_true(y[a * C] == x[a * B * C + 1] && y[a * C + 1] == x[a * B * C + 2]);
  const kernel_broadcast shape = {3, {A, B, C}, {B * C, C, 1}, {0, 0, 1}};
  for (int op = 0; op < KERNEL_N_BINARY; op++) {
    k->binary((kernel_binary_op)op, y, x, row, &shape);
    for (int i = 0; i < N; i++) {
      double p = x[i], q = row[i % C];
      switch ((kernel_binary_op)op) {
      case KERNEL_ADD: want = p + q; break;
      case KERNEL_SUB: want = p - q; break;
      case KERNEL_MUL: want = p * q; break;
      case KERNEL_DIV: want = p / q; break;
      case KERNEL_MAXIMUM: want = fmax(p, q); break;
      case KERNEL_MINIMUM: want = fmin(p, q); break;
      case KERNEL_GREATER: want = p > q; break;
      default: want = p >= q; break;
      }
      near(y[i], want);
    }
  }
  double no[2] = {NAN, 1}, yes[2] = {1, NAN}, out[2];
  const kernel_broadcast two = {1, {2}, {1}, {1}};
  k->binary(KERNEL_MAXIMUM, out, no, yes, &two);
  assert_true(isnan(out[0]) && isnan(out[1]));
  k->reduce(KERNEL_MEAN, y, x, A, B, C);
  for (int a = 0; a < A; a++)
    for (int c = 0; c < C; c++) {
      double sum = 0;
      for (int b = 0; b < B; b++) sum += x[(a * B + b) * C + c];
      near(y[a * C + c], sum / B);
    }
  want = 0;
  for (int i = 0; i < N; i++) want += x[i] * x[i];
  near(k->sum_squares(x, N), want);
  k->column_sum(y, x, A * B, C);
  for (int c = 0; c < C; c++) {
    want = 0;
    for (int r = 0; r < A * B; r++) want += x[r * C + c];
    near(y[c], want);
  }
}

static void rows(void **state) {
  (void)state;
  double table[A * C], y[4 * C], dtable[A * C];
  drawn(table, A * C, -1, 1);
  const int32_t index[4] = {2, -1, 0, 2};
  k->gather(y, table, index, 4, A, C);
  for (int c = 0; c < C; c++) {
    assert_true(y[c] == table[2 * C + c] && y[C + c] == 0 && y[2 * C + c] == table[c]);
    assert_true(y[3 * C + c] == y[c]);
  }
  k->scatter(dtable, y, index, 4, A, C);
  for (int c = 0; c < C; c++) {
    near(dtable[2 * C + c], 2 * table[2 * C + c]);
    assert_true(dtable[C + c] == 0 && dtable[c] == table[c]);
  }
  double x[A * B * C], mean[A * C], step[A * C];
  drawn(x, A * B * C, -1, 1);
  const int32_t begin[A] = {0, 2, B}, at[A] = {3, 0, B};
  k->masked_mean(mean, x, begin, A, B, C);
  k->take_step(step, x, at, A, B, C);
  for (int a = 0; a < A; a++)
    for (int c = 0; c < C; c++) {
      double sum = 0;
      for (int t = begin[a]; t < B; t++) sum += x[(a * B + t) * C + c];
      near(mean[a * C + c], begin[a] < B ? sum / (B - begin[a]) : 0);
      near(step[a * C + c], at[a] < B ? x[(a * B + at[a]) * C + c] : 0);
    }
}

static void norms(void **state) {
  (void)state;
  double x[A * C], gain[C], bias[C], y[A * C], mean[A], rstd[A];
  drawn(x, A * C, -1, 3);
  drawn(gain, C, 0.5, 2);
  drawn(bias, C, -1, 1);
  k->layer_norm(y, x, gain, bias, mean, rstd, A, C, 0.01);
  for (int a = 0; a < A; a++) {
    double m = 0, v = 0;
    for (int c = 0; c < C; c++) m += x[a * C + c] / C;
    for (int c = 0; c < C; c++) v += (x[a * C + c] - m) * (x[a * C + c] - m) / C;
    for (int c = 0; c < C; c++)
      near(y[a * C + c], (x[a * C + c] - m) / sqrt(v + 0.01) * gain[c] + bias[c]);
  }
  k->rms_norm(y, x, gain, rstd, A, C, 0.01);
  for (int a = 0; a < A; a++) {
    double v = 0;
    for (int c = 0; c < C; c++) v += x[a * C + c] * x[a * C + c] / C;
    for (int c = 0; c < C; c++) near(y[a * C + c], x[a * C + c] / sqrt(v + 0.01) * gain[c]);
  }
  k->softmax(y, x, A, C);
  k->log_softmax(x, x, A, C);
  for (int a = 0; a < A; a++) {
    double sum = 0;
    for (int c = 0; c < C; c++) sum += y[a * C + c], near(log(y[a * C + c]), x[a * C + c]);
    near(sum, 1);
  }
}

/* Softmax over the keys that the masks leave, for every kind of mask and with dropout. */
static void attention(void **state) {
  (void)state;
  enum { NB = 2, T = 7, S = 6, H = 2, D = 3, W = H * D };
  static const int32_t begin[NB] = {1, 4};
  double q[NB * T * W], key[NB * S * W], v[NB * S * W], out[NB * T * W], lse[NB * H * T];
  drawn(q, NB * T * W, -1, 1);
  drawn(key, NB * S * W, -1, 1);
  drawn(v, NB * S * W, -1, 1);
  for (int form = 0; form < 32; form++) {
    kernel_attention at = {.batch = NB,
                           .queries = T,
                           .keys = S,
                           .heads = H,
                           .head = D,
                           .scale = 0.6,
                           .causal = form & 1,
                           .window = form & 2 ? 2 : 0,
                           .key_begin = form & 4 ? begin : NULL,
                           .offset = form & 8 ? 2 : 0};
    if (form & 16) at.dropout = (kernel_dropout){0.4, 1, 2, 3, 0};
    double scratch[1024];
    assert_true(k->attention_scratch(&at) <= sizeof scratch);
    k->attention(out, lse, q, key, v, &at, scratch);
    for (int b = 0; b < NB; b++)
      for (int h = 0; h < H; h++)
        for (int i = 0; i < T; i++) {
          double want[D] = {0}, sum = 0;
          for (int j = 0; j < S; j++) {
            int64_t p = i + at.offset;
            if (at.key_begin && j < begin[b]) continue;
            if (at.causal && j > p) continue;
            if (at.window && (at.causal ? j <= p - at.window : llabs(p - j) >= at.window)) continue;
            double s = 0;
            for (int d = 0; d < D; d++)
              s += q[(b * T + i) * W + h * D + d] * key[(b * S + j) * W + h * D + d];
            double e = exp(0.6 * s);
            sum += e;
            uint32_t word[4], at_draw = (uint32_t)(((b * H + h) * S + j) * 8 + i);
            rng_philox(word, 1, 2, 3, at_draw / 8);
            uint32_t sixteen = word[at_draw % 8 / 2] >> (at_draw % 2 * 16) & 65535;
            if (form & 16) e = sixteen < 26214 ? 0 : e * 65536 / (65536 - 26214); /* 0.4 */
            for (int d = 0; d < D; d++) want[d] += e * v[(b * S + j) * W + h * D + d];
          }
          for (int d = 0; d < D; d++)
            near(out[(b * T + i) * W + h * D + d], sum > 0 ? want[d] / sum : 0);
          double l = lse[(b * H + h) * T + i];
          if (sum > 0) near(l, log(sum));
          else assert_true(isinf(l) && l < 0);
        }
  }
}

/* AdamW and SGD over several steps, item by item, with decay on some. */
static void optimisers(void **state) {
  (void)state;
  double p[N], m[N] = {0}, v[N] = {0}, g[N], want[N], wm[N] = {0}, wv[N] = {0};
  drawn(p, N, -1, 1);
  memcpy(want, p, sizeof p);
  const kernel_range decayed[] = {{3, 10}, {11, 12}, {30, N}};
  for (uint64_t t = 1; t <= 5; t++) {
    drawn(g, N, -2, 2);
    k->adamw(p, m, v, g, N, &(kernel_adamw){1e-2, 0.8, 0.95, 1e-6, 0.3, 0.7, t, decayed, 3});
    for (size_t i = 0; i < N; i++) {
      bool on = (i >= 3 && i < 10) || i == 11 || i >= 30;
      double x = 0.7 * g[i];
      wm[i] = 0.8 * wm[i] + 0.2 * x;
      wv[i] = 0.95 * wv[i] + 0.05 * x * x;
      double mh = wm[i] / (1 - pow(0.8, (double)t)), vh = wv[i] / (1 - pow(0.95, (double)t));
      want[i] -= 1e-2 * (mh / (sqrt(vh) + 1e-6) + (on ? 0.3 * want[i] : 0));
      near(p[i], want[i]);
    }
  }
  memset(m, 0, sizeof m);
  memset(wm, 0, sizeof wm);
  for (int t = 0; t < 3; t++) {
    k->sgd(p, m, g, N, &(kernel_sgd){0.1, 0.9, 0.3, 0.5, decayed, 3});
    for (size_t i = 0; i < N; i++) {
      bool on = (i >= 3 && i < 10) || i == 11 || i >= 30;
      wm[i] = 0.9 * wm[i] + 0.5 * g[i] + (on ? 0.3 * want[i] : 0);
      want[i] -= 0.1 * wm[i];
      near(p[i], want[i]);
    }
  }
  k->blend(p, g, 0.005, N);
  for (size_t i = 0; i < N; i++) near(p[i], 0.995 * want[i] + 0.005 * g[i]);
}

int main(void) {
  k = kernel_table_level(0, sizeof(double));
  rng_init(&draw, 8, RNG_TEST, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(places),    cmocka_unit_test(rows),       cmocka_unit_test(norms),
      cmocka_unit_test(attention), cmocka_unit_test(optimisers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
