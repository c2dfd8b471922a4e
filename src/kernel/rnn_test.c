/* Recurrent nets: one step by hand, the float path (products by oneDNN) against the
 * double, and memory that runs out while planning. */
#include "kernel/conv.h"
#include "kernel/rnn.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double squash(double x) {
  return 1 / (1 + exp(-x));
}

static void one_step_by_hand(void **state) {
  (void)state;
  garam_error err;
  rnn_plan *p;
  rnn_shape lstm = {RNN_LSTM, sizeof(double), 1, 1, 1, 1, GEMM_FULL};
  assert_int_equal(rnn_plan_new(&p, &lstm, false, &err), GARAM_OK);
  double *kept = mem_array(rnn_kept(p), sizeof *kept), *scratch;
  scratch = mem_alloc_aligned(rnn_scratch(p), 64);
  assert_true(kept && scratch);
  double x = 0.5, w[4] = {1, 2, 3, 4}, u[4] = {-1, 0.5, 2, 1}, b[4] = {0.1, 0.2, 0.3, 0.4},
         h0 = 0.7, c0 = -0.3, y;
  rnn_forward(p, &y, kept, &x, &(rnn_weights){w, u, b, NULL, &h0, &c0}, scratch);
  double gate[4];
  for (int i = 0; i < 4; i++) gate[i] = x * w[i] + h0 * u[i] + b[i];
  double c = squash(gate[1]) * c0 + squash(gate[0]) * tanh(gate[2]);
  assert_float_equal(y, squash(gate[3]) * tanh(c), 1e-14);
  rnn_plan_free(p);

  rnn_shape gru = {RNN_GRU, sizeof(double), 1, 1, 1, 1, GEMM_FULL};
  assert_int_equal(rnn_plan_new(&p, &gru, false, &err), GARAM_OK);
  mem_free_aligned(scratch);
  scratch = mem_alloc_aligned(rnn_scratch(p), 64);
  double bu[3] = {-0.1, 0.3, 0.6};
  rnn_forward(p, &y, kept, &x, &(rnn_weights){w, u, b, bu, &h0, NULL}, scratch);
  double r = squash(x * w[0] + b[0] + h0 * u[0] + bu[0]);
  double z = squash(x * w[1] + b[1] + h0 * u[1] + bu[1]);
  double n = tanh(x * w[2] + b[2] + r * (h0 * u[2] + bu[2]));
  assert_float_equal(y, (1 - z) * n + z * h0, 1e-14);
  rnn_plan_free(p);
  mem_free(kept);
  mem_free_aligned(scratch);

  rnn_shape none = {RNN_GRU, sizeof(double), 0, 1, 1, 1, GEMM_FULL};
  assert_int_equal(rnn_plan_new(&p, &none, false, &err), GARAM_INVALID);
}

enum { B = 5, T = 9, I = 7, H = 33, MOST = B * T * 4 * H };

typedef struct run {
  double *array[16]; /* inputs, then outputs, as doubles */
  size_t size[16];
  int n;
} run;

/* A whole forward and backward in one real type; what came out, as doubles. */
static run run_all(rnn_kind kind, size_t real_size) {
  garam_error err;
  rnn_plan *p;
  rnn_shape shape = {kind, real_size, B, T, I, H, GEMM_FULL};
  assert_int_equal(rnn_plan_new(&p, &shape, true, &err), GARAM_OK);
  size_t G = (kind == RNN_LSTM ? 4 : 3) * H;
  size_t sizes[] = {B * T * I, I * G, H * G, G, B * H, kind == RNN_LSTM ? B * H : G, B * T * H};
  rng draw;
  rng_init(&draw, 3, RNG_TEST, 0);
  void *in[7], *grad[6], *y = mem_alloc_aligned(MOST * real_size, 64);
  for (int i = 0; i < 7; i++) {
    in[i] = mem_alloc_aligned(MOST * real_size, 64);
    assert_non_null(in[i]);
    for (size_t j = 0; j < sizes[i]; j++) {
      float v = rng_unit_f32(rng_u32(&draw)) - 0.5f;
      if (real_size == sizeof(float)) ((float *)in[i])[j] = v;
      else ((double *)in[i])[j] = (double)v;
    }
    if (i < 6) grad[i] = mem_alloc_aligned(MOST * real_size, 64);
  }
  void *kept = mem_alloc_aligned(rnn_kept(p) * real_size, 64),
       *scratch = mem_alloc_aligned(rnn_scratch(p), 64);
  bool lstm = kind == RNN_LSTM;
  rnn_weights w = {in[1], in[2], in[3], lstm ? NULL : in[5], in[4], lstm ? in[5] : NULL};
  rnn_gradients g = {
      grad[0], grad[1], grad[2], grad[3], lstm ? NULL : grad[5], grad[4], lstm ? grad[5] : NULL};
  rnn_forward(p, y, kept, in[0], &w, scratch);
  rnn_backward(p, &g, in[6], in[0], y, kept, &w, scratch);
  run out = {.n = 7};
  for (int i = 0; i < 7; i++) {
    const void *from = i < 6 ? grad[i] : y;
    out.size[i] = sizes[i];
    out.array[i] = mem_array(sizes[i], sizeof(double));
    assert_non_null(out.array[i]);
    for (size_t j = 0; j < sizes[i]; j++)
      out.array[i][j] =
          real_size == sizeof(float) ? (double)((const float *)from)[j] : ((const double *)from)[j];
  }
  for (int i = 0; i < 7; i++) mem_free_aligned(in[i]);
  for (int i = 0; i < 6; i++) mem_free_aligned(grad[i]);
  mem_free_aligned(y);
  mem_free_aligned(kept);
  mem_free_aligned(scratch);
  rnn_plan_free(p);
  return out;
}

static void float_agrees_with_double(void **state) {
  (void)state;
  for (int kind = RNN_LSTM; kind <= RNN_GRU; kind++) {
    run f = run_all((rnn_kind)kind, sizeof(float)), d = run_all((rnn_kind)kind, sizeof(double));
    for (int i = 0; i < d.n; i++) {
      for (size_t j = 0; j < d.size[i]; j++)
        if (!(fabs(f.array[i][j] - d.array[i][j]) <= 2e-5 * (1 + fabs(d.array[i][j]))))
          fail_msg("kind %d, array %d, item %zu: %.9g in float, %.9g in double", kind, i, j,
                   f.array[i][j], d.array[i][j]);
      mem_free(f.array[i]);
      mem_free(d.array[i]);
    }
  }
}

/* Without biases and first states: the same as with zeros. */
static void missing_is_zero(void **state) {
  (void)state;
  garam_error err;
  for (int kind = RNN_LSTM; kind <= RNN_GRU; kind++) {
    rnn_plan *p;
    rnn_shape shape = {(rnn_kind)kind, sizeof(double), 2, 3, 2, 2, GEMM_FULL};
    assert_int_equal(rnn_plan_new(&p, &shape, false, &err), GARAM_OK);
    double x[12], w[16], u[16], zeros[16] = {0}, y[12], z[12], kept[64];
    for (int i = 0; i < 12; i++) x[i] = 0.1 * i - 0.5;
    for (int i = 0; i < 16; i++) w[i] = 0.2 * i - 1, u[i] = 1 - 0.15 * i;
    assert_true(rnn_kept(p) <= COUNT_OF(kept));
    void *scratch = mem_alloc_aligned(rnn_scratch(p), 64);
    assert_non_null(scratch);
    rnn_forward(p, y, kept, x, &(rnn_weights){w, u, NULL, NULL, NULL, NULL}, scratch);
    bool lstm = kind == RNN_LSTM;
    rnn_forward(p, z, kept, x,
                &(rnn_weights){w, u, zeros, lstm ? NULL : zeros, zeros, lstm ? zeros : NULL},
                scratch);
    for (int i = 0; i < 12; i++) assert_float_equal(y[i], z[i], 1e-15);
    mem_free_aligned(scratch);
    rnn_plan_free(p);
  }
}

/* ---- every allocation fails in turn, until planning succeeds ---- */

static garam_status plan_all(garam_error *err) {
  rnn_plan *rnn = NULL;
  conv1d_plan *conv = NULL;
  rnn_shape lstm = {RNN_LSTM, sizeof(float), 2, 3, 2, 2, GEMM_FULL};
  conv1d_shape taps = {sizeof(double), 2, 7, 3, 3, 2, 1, 1, 2, 0, true};
  garam_status status = rnn_plan_new(&rnn, &lstm, true, err);
  if (status == GARAM_OK) status = conv1d_plan_new(&conv, &taps, true, err);
  rnn_plan_free(rnn);
  conv1d_plan_free(conv);
  return status;
}

static void memory_runs_out(void **state) {
  (void)state;
  garam_error err;
  bool planned = false;
  for (size_t n = 0; n < 200 && !planned; n++) {
    failing_allocator f = {.fail_after = n};
    failing_allocator_use(&f);
    garam_status status = plan_all(&err);
    garam_set_allocator(NULL);
    assert_int_equal(f.n_blocks, 0);
    assert_true(status == GARAM_OK || status == GARAM_NO_MEMORY);
    planned = status == GARAM_OK;
    assert_true(planned || n < 199);
    if (n == 0) assert_false(planned);
  }
  assert_true(planned);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_step_by_hand),
      cmocka_unit_test(float_agrees_with_double),
      cmocka_unit_test(missing_is_zero),
      cmocka_unit_test(memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
