/* AdamW against a plain computation in double, and against numbers worked out by hand. */
#include "train/optim.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static graph *two_params(int64_t n_weight, int64_t n_bias) {
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){.real = DTYPE_F32}, NULL), GARAM_OK);
  graph_param(g, "weight", 1, &n_weight, (param_init){.kind = INIT_ONE}, PARAM_DECAY);
  graph_param(g, "bias", 1, &n_bias, (param_init){.kind = INIT_ONE}, PARAM_PLAIN);
  assert_int_equal(graph_check(g, NULL), GARAM_OK);
  return g;
}

static train_config config_of(double clip) {
  train_config c;
  opt_defaults(train_options, train_n_options, &c);
  c.clip = clip;
  return c;
}

/* p = 1, g = 0.5, lr = 0.1, decay 0.01. Step 1: m = 0.05, v = 0.00025, corrected 0.5 and 0.25, so
 * the move is lr * 0.5 / 0.5 = 0.1, after p has become 0.999: 0.899; without decay 0.9. */
static void first_step_by_hand(void **state) {
  (void)state;
  graph *g = two_params(1, 1);
  train_config c = config_of(0);
  optim_adamw *o;
  assert_int_equal(optim_adamw_new(&o, g, &c, NULL), GARAM_OK);
  size_t bias = graph_param_info(g, 1)->offset;
  float *p = mem_array(graph_param_block(g), sizeof *p), *d = mem_array(graph_param_block(g), 4);
  p[0] = p[bias] = 1;
  d[0] = 0.5f;
  d[bias] = -0.5f;
  optim_array moments[OPTIM_ARRAYS];
  assert_int_equal(optim_adamw_state(moments, o), 2);
  double norm = optim_adamw_step(o, p, d, 0.1, 0);
  assert_true(fabs(norm - sqrt(0.5)) < 1e-12);
  assert_true(fabs((double)p[0] - 0.899) < 1e-6);
  assert_true(fabs((double)p[bias] - 1.1) < 1e-6);
  assert_true(fabs((double)((float *)moments[0].data)[0] - 0.05) < 1e-8);
  assert_true(fabs((double)((float *)moments[1].data)[0] - 0.00025) < 1e-9);
  d[0] = NAN;
  assert_false(isfinite(optim_adamw_step(o, p, d, 0.1, 1)));
  assert_true(fabs((double)p[0] - 0.899) < 1e-6); /* nothing changed */
  mem_free(p);
  mem_free(d);
  optim_adamw_free(o);
  graph_free(g);
}

enum { N_WEIGHT = 40000, N_BIAS = 77, N_STEPS = 5 };

static void run_steps(float *p, int threads, double clip) {
  graph *g = two_params(N_WEIGHT, N_BIAS);
  train_config c = config_of(clip);
  optim_adamw *o;
  thread_set_count(threads);
  assert_int_equal(optim_adamw_new(&o, g, &c, NULL), GARAM_OK);
  float *d = mem_array(graph_param_block(g), sizeof *d);
  size_t bias = graph_param_info(g, 1)->offset;
  for (uint64_t s = 0; s < N_STEPS; s++) {
    rng r;
    rng_init(&r, 3, RNG_TEST, s);
    for (size_t i = 0; i < N_WEIGHT; i++) d[i] = (float)rng_normal(&r);
    for (size_t i = 0; i < N_BIAS; i++) d[bias + i] = (float)rng_normal(&r);
    optim_adamw_step(o, p, d, 1e-2, s);
  }
  thread_set_count(0);
  mem_free(d);
  optim_adamw_free(o);
  graph_free(g);
}

static void many_steps_beside_double(void **state) {
  (void)state;
  static const double clips[] = {0, 1, 1e6};
  for (size_t k = 0; k < COUNT_OF(clips); k++) {
    graph *g = two_params(N_WEIGHT, N_BIAS);
    size_t bias = graph_param_info(g, 1)->offset, block = graph_param_block(g);
    graph_free(g);
    float *p = mem_array(block, sizeof *p), *q = mem_array(block, sizeof *q);
    for (size_t i = 0; i < block; i++) p[i] = q[i] = 1;
    run_steps(p, 1, clips[k]);
    run_steps(q, 3, clips[k]);
    assert_memory_equal(p, q, block * sizeof *p);

    double *x = mem_array(block, 8), *m = mem_array(block, 8), *v = mem_array(block, 8);
    double *d = mem_array(block, 8);
    for (size_t i = 0; i < block; i++) x[i] = 1;
    for (int s = 0; s < N_STEPS; s++) {
      rng r;
      double norm = 0;
      rng_init(&r, 3, RNG_TEST, (uint64_t)s);
      for (size_t i = 0; i < N_WEIGHT; i++) d[i] = (double)(float)rng_normal(&r);
      for (size_t i = 0; i < N_BIAS; i++) d[bias + i] = (double)(float)rng_normal(&r);
      for (size_t i = 0; i < block; i++) norm += d[i] * d[i];
      norm = sqrt(norm);
      double scale = clips[k] > 0 && norm > clips[k] ? clips[k] / norm : 1;
      for (size_t i = 0; i < block; i++) {
        double y = d[i] * scale, decay = i < N_WEIGHT ? 0.01 : 0;
        m[i] = 0.9 * m[i] + 0.1 * y;
        v[i] = 0.999 * v[i] + 0.001 * y * y;
        x[i] -= 1e-2 * decay * x[i];
        x[i] -=
            1e-2 * (m[i] / (1 - pow(0.9, s + 1))) / (sqrt(v[i] / (1 - pow(0.999, s + 1))) + 1e-8);
      }
    }
    for (size_t i = 0; i < block; i++)
      if (i < N_WEIGHT || (i >= bias && i < bias + N_BIAS))
        assert_true(fabs((double)p[i] - x[i]) < 1e-5);
    mem_free(p);
    mem_free(q);
    mem_free(x);
    mem_free(m);
    mem_free(v);
    mem_free(d);
  }
}

/* A quadratic bowl with axes of many lengths: bytes for moments come down it as floats do. */
static void bytes_descend_as_floats_do(void **state) {
  (void)state;
  enum { N = 5000 };
  double loss[2] = {0};
  for (int kind = STATE_FP32; kind <= STATE_8BIT; kind++) {
    graph *g = two_params(N, N_BIAS);
    train_config c = config_of(1);
    c.optimizer_state = kind;
    optim_adamw *o;
    assert_int_equal(optim_adamw_new(&o, g, &c, NULL), GARAM_OK);
    size_t block = graph_param_block(g);
    float *p = mem_array(block, sizeof *p), *d = mem_array(block, sizeof *d);
    for (size_t i = 0; i < block; i++) p[i] = (float)(i % 17) / 8 - 1;
    for (uint64_t s = 0; s < 400; s++) {
      for (size_t i = 0; i < N; i++) d[i] = p[i] * (float)pow(10, -(double)(i % 5));
      optim_adamw_step(o, p, d, 5e-3, s);
    }
    for (size_t i = 0; i < N; i++) loss[kind] += (double)(p[i] * p[i]) * pow(10, -(double)(i % 5));
    optim_array arrays[OPTIM_ARRAYS];
    size_t bytes = 0, n = optim_adamw_state(arrays, o);
    for (size_t i = 0; i < n; i++) bytes += arrays[i].bytes;
    assert_true(bytes <= optim_adamw_bytes(block, &c));
    assert_true(optim_adamw_bytes(block, &c) < bytes + 4 * 64);
    if (kind == STATE_8BIT) assert_true(bytes < block * 2 * 102 / 100 + 64);
    mem_free(p);
    mem_free(d);
    optim_adamw_free(o);
    graph_free(g);
  }
  if (!(loss[1] < 0.01 * N && fabs(loss[1] - loss[0]) < 0.1 * loss[0] + 1e-3))
    fail_msg("floats end at %g, bytes at %g", loss[0], loss[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(first_step_by_hand),
      cmocka_unit_test(many_steps_beside_double),
      cmocka_unit_test(bytes_descend_as_floats_do),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
