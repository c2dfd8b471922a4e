/* Building: the sticky error and its words, poison, names, parameters and their first values,
 * gradients that are not there, dropout that is or is not. */
#include "graph/check.h"
#include "graph/node.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...)                                                                                  \
  (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) {                         \
    __VA_ARGS__                                                                                    \
  }

static graph *fresh(bool training) {
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){.training = training, .seed = 3}, NULL), GARAM_OK);
  return g;
}

/* ---- what is refused, and in which words ---- */

#define BAD(name) static tensor *bad_##name(graph *g, tensor *x, tensor *i)
BAD(add) {
  (void)g;
  (void)i;
  return op_add(x, op_slice(x, 1, 0, 3));
}
BAD(matmul) {
  (void)g;
  (void)i;
  return op_matmul(x, x, false, false);
}
BAD(linear) {
  (void)i;
  return op_linear(x, graph_fill(g, DIMS(4, 2), 1), NULL);
}
BAD(bias) {
  (void)i;
  return op_linear(x, graph_fill(g, DIMS(5, 2), 1), graph_fill(g, DIMS(3), 1));
}
BAD(reshape) {
  (void)g;
  (void)i;
  return op_reshape(x, DIMS(4, -1));
}
BAD(transpose) {
  (void)g;
  (void)i;
  return op_transpose(x, (int[]){1, 1});
}
BAD(slice) {
  (void)g;
  (void)i;
  return op_slice(x, 0, 2, 9);
}
BAD(slice_axis) {
  (void)g;
  (void)i;
  return op_slice(x, 2, 0, 1);
}
BAD(concat) {
  (void)i;
  return op_concat((tensor *[]){x, graph_fill(g, DIMS(3, 4), 1)}, 2, 0);
}
BAD(sum) {
  (void)g;
  (void)i;
  return op_sum(x, 5, false);
}
BAD(integers) {
  (void)g;
  (void)x;
  return op_exp(i);
}
BAD(embedding) {
  (void)g;
  (void)i;
  return op_embedding(x, x);
}
BAD(heads) {
  (void)i;
  tensor *q = graph_fill(g, DIMS(1, 4, 6), 1);
  (void)x;
  return op_attention(q, q, q, NULL, &(attention_options){.n_heads = 4});
}
BAD(dropout) {
  (void)g;
  (void)i;
  return op_dropout(x, 1);
}
BAD(target) {
  (void)g;
  return op_cross_entropy(x, op_reshape(i, DIMS(1, 2)), NULL, 0);
}
BAD(smoothing) {
  (void)g;
  return op_cross_entropy(op_slice(x, 0, 0, 2), i, NULL, 1.5);
}
BAD(norm) {
  (void)i;
  return op_layer_norm(x, graph_fill(g, DIMS(4), 1), NULL, 1e-5);
}
BAD(lstm) {
  (void)x;
  (void)i;
  return op_lstm(graph_fill(g, DIMS(2, 3, 4), 1), graph_fill(g, DIMS(4, 8), 1),
                 graph_fill(g, DIMS(3, 12), 1), NULL, NULL, NULL);
}
BAD(conv) {
  (void)x;
  (void)i;
  return op_conv1d(graph_fill(g, DIMS(1, 3, 2), 1), graph_fill(g, DIMS(5, 2, 2), 1), NULL, 1, 1, 0,
                   0);
}
BAD(clamp) {
  (void)g;
  (void)i;
  return op_clamp(x, 1, 0);
}
BAD(huber) {
  (void)g;
  (void)i;
  return op_huber(x, x, NULL, 0);
}
BAD(input_twice) {
  (void)x;
  (void)i;
  return graph_input(g, "x", DTYPE_REAL, DIMS(2));
}
BAD(input_zero) {
  (void)x;
  (void)i;
  return graph_input(g, "z", DTYPE_REAL, DIMS(2, 0));
}
BAD(input_huge) {
  (void)x;
  (void)i;
  return graph_input(g, "z", DTYPE_REAL, DIMS(INT64_C(1) << 40, INT64_C(1) << 40));
}
BAD(param_again) {
  (void)x;
  (void)i;
  graph_param(g, "p", DIMS(2, 3), (param_init){0}, 0);
  return graph_param(g, "p", DIMS(3, 2), (param_init){0}, 0);
}
BAD(output_twice) {
  (void)i;
  graph_output(g, "y", x);
  graph_output(g, "y", x);
  return x;
}
BAD(output_none) {
  (void)i;
  graph_output(g, "y", tensor_grad(x));
  return x;
}
BAD(loss) {
  (void)i;
  graph_grad(g, x);
  return x;
}
BAD(loss_twice) {
  (void)i;
  graph_grad(g, op_sum_all(x));
  graph_grad(g, op_mean_all(x));
  return x;
}

static const struct {
  const char *name;
  tensor *(*build)(graph *g, tensor *x, tensor *i);
  const char *says; /* words that the message must have */
} refused[] = {
    {"add", bad_add, "op add (3,5) (3,3): the shapes do not broadcast"},
    {"matmul", bad_matmul, "op matmul (3,5) (3,5): the inner sizes 5 and 3 differ"},
    {"linear", bad_linear, "op linear (3,5) (4,2) none: expected (...,I) (I,O)"},
    {"bias", bad_bias, "(3,5) (5,2) (3): the bias"},
    {"reshape", bad_reshape, "15 items do not fit into (4,-1)"},
    {"transpose", bad_transpose, "not a permutation"},
    {"slice", bad_slice, "[2,9) is no part of axis 0"},
    {"slice axis", bad_slice_axis, "there is no axis 2"},
    {"concat", bad_concat, "op concat (3,5) (3,4): part 1 differs"},
    {"sum", bad_sum, "no such axis"},
    {"integers", bad_integers, "op exp (2): the operand holds int32"},
    {"embedding", bad_embedding, "int32 indices"},
    {"heads", bad_heads, "a width of 6 does not split into 4 heads"},
    {"dropout", bad_dropout, "dropout rate 1 is not in [0,1)"},
    {"target", bad_target, "op cross_entropy (3,5) (1,2) none: expected one target a row"},
    {"smoothing", bad_smoothing, "label smoothing 1.5"},
    {"norm", bad_norm, "operand 1 is not of the size of the last axis"},
    {"lstm", bad_lstm, "op lstm"},
    {"conv", bad_conv, "the taps reach further"},
    {"clamp", bad_clamp, "low 1 is above high 0"},
    {"huber", bad_huber, "delta 0"},
    {"input twice", bad_input_twice, "input \"x\": there is one"},
    {"input zero", bad_input_zero, "the shape (2,0) has a dimension below 1"},
    {"input huge", bad_input_huge, "too large"},
    {"parameter again", bad_param_again, "parameter \"p\": is (2,3), asked for again as (3,2)"},
    {"output twice", bad_output_twice, "output \"y\": there is one"},
    {"output none", bad_output_none, "output \"y\": there is no such tensor"},
    {"loss", bad_loss, "the loss has shape (3,5)"},
    {"loss twice", bad_loss_twice, "has its gradient"},
};

static void test_refusals(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(refused); i++) {
    graph *g = fresh(true);
    tensor *x = graph_input(g, "x", DTYPE_REAL, DIMS(3, 5));
    tensor *index = graph_input(g, "i", DTYPE_I32, DIMS(2));
    tensor *t = refused[i].build(g, x, index);
    garam_error err = {0};
    if (graph_check(g, &err) == GARAM_OK) fail_msg("%s: was not refused", refused[i].name);
    if (!strstr(err.message, refused[i].says))
      fail_msg("%s: said \"%s\"", refused[i].name, err.message);
    /* later calls go on quietly, and the first error is kept */
    tensor *y = op_matmul(op_relu(t), op_slice(x, 7, 1, 0), true, false);
    op_cross_entropy(op_concat((tensor *[]){y, t}, 2, 3), y, y, 0);
    op_attention(y, y, y, y, &(attention_options){.n_heads = 2});
    op_reshape(y, DIMS(2, 2));
    op_transpose(y, (int[]){0, 1});
    graph_grad(g, y);
    graph_output(g, "late", y);
    assert_int_equal(tensor_dim(y, 3), 1);
    assert_int_equal(tensor_count(y), 1);
    garam_error again = {0};
    plan *p;
    assert_int_equal(graph_compile(&p, g, &(plan_config){0}, &again), err.status);
    assert_null(p);
    assert_string_equal(again.message, err.message);
    graph_free(g);
  }
}

static void test_blocks_are_asked_for(void **state) {
  (void)state;
  graph *g = fresh(false);
  tensor *w = graph_param(g, "w", DIMS(3), (param_init){.kind = INIT_ONE}, 0);
  graph_grad(g, op_sum_all(op_square(w)));
  float block[16] __attribute__((aligned(64)));
  garam_error err;
  plan *p;
  assert_int_equal(graph_compile(&p, g, &(plan_config){0}, &err), GARAM_INVALID);
  assert_int_equal(graph_compile(&p, g, &(plan_config){.params = block}, &err), GARAM_INVALID);
  assert_int_equal(graph_compile(&p, g, &(plan_config){.params = block + 1, .grads = block}, &err),
                   GARAM_INVALID);
  assert_non_null(strstr(err.message, "aligned"));
  graph_free(g);
}

/* ---- parameters ---- */

static void test_parameters(void **state) {
  (void)state;
  graph *g = fresh(false);
  param_init normal = {.kind = INIT_NORMAL, .scale = 0.5};
  tensor *a = graph_param(g, "a", DIMS(100, 100), normal, PARAM_DECAY);
  tensor *b = graph_param(g, "b", DIMS(3), (param_init){.kind = INIT_ONE}, PARAM_PLAIN);
  graph_param(g, "c", DIMS(200, 40), (param_init){.kind = INIT_XAVIER}, 0);
  graph_param(g, "d", DIMS(5, 6, 40), (param_init){.kind = INIT_KAIMING}, 0);
  assert_ptr_equal(graph_param(g, "a", DIMS(100, 100), normal, 0), a);
  assert_ptr_not_equal(a, b);
  assert_int_equal(graph_param_count(g), 4);
  assert_int_equal(graph_param_scalars(g), 10000 + 3 + 8000 + 1200);
  for (size_t i = 0; i < 4; i++) assert_int_equal(graph_param_info(g, i)->offset % 16, 0);
  assert_int_equal(graph_param_info(g, 2)->offset, 10016);
  assert_int_equal(graph_param_info(g, 0)->flags, PARAM_DECAY);
  size_t n = graph_param_block(g);
  float *one = calloc(n, sizeof *one), *two = calloc(n, sizeof *two);
  graph_param_init(g, one, 7);
  graph_param_init(g, two, 7);
  assert_memory_equal(one, two, n * sizeof *one);
  graph_param_init(g, two, 8);
  assert_memory_not_equal(one, two, n * sizeof *one);
  double sum = 0, squares = 0, largest = 0, largest_d = 0;
  for (int i = 0; i < 10000; i++) {
    sum += (double)one[i];
    squares += (double)one[i] * (double)one[i];
  }
  assert_true(fabs(sum / 1e4) < 0.02 && fabs(sqrt(squares / 1e4) - 0.5) < 0.02);
  assert_true(one[10000] == 1 && one[10002] == 1 && one[10003] == 0);
  for (size_t i = 10016; i < 18016; i++) largest = fmax(largest, fabs((double)one[i]));
  assert_true(largest <= sqrt(6.0 / 240) && largest > 0.95 * sqrt(6.0 / 240));
  for (size_t i = 18016; i < 19216; i++) largest_d = fmax(largest_d, fabs((double)one[i]));
  assert_true(largest_d <= sqrt(3.0 / 30) && largest_d > 0.95 * sqrt(3.0 / 30));
  free(one);
  free(two);
  graph_free(g);
}

/* ---- gradients that are not there ---- */

/* Tall, wide and square, float and double: products of columns (of rows, where there are fewer). */
static void test_orthogonal(void **state) {
  (void)state;
  static const struct {
    int64_t in, out;
    double scale;
    dtype real;
  } cases[] = {{64, 64, 1.5, DTYPE_F32}, {7, 64, 0, DTYPE_F32}, {64, 5, 0.01, DTYPE_F32},
               {9, 4, 2, DTYPE_F64},     {1, 3, 1, DTYPE_F64},  {3, 1, 1, DTYPE_F32}};
  for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
    const int64_t in = cases[c].in, out = cases[c].out;
    const bool wide = cases[c].real == DTYPE_F64, rows = in < out;
    graph *g;
    assert_int_equal(graph_new(&g, &(graph_config){.real = cases[c].real}, NULL), GARAM_OK);
    graph_param(g, "before", DIMS(3), (param_init){.kind = INIT_ONE}, 0);
    graph_param(g, "w", DIMS(in, out),
                (param_init){.kind = INIT_ORTHOGONAL, .scale = cases[c].scale}, 0);
    void *block = calloc(graph_param_block(g), sizeof(double));
    graph_param_init(g, block, 11);
    const size_t at = graph_param_info(g, 1)->offset;
    const double scale = cases[c].scale > 0 ? cases[c].scale : 1;
    const int64_t n = rows ? in : out, length = rows ? out : in;
    for (int64_t a = 0; a < n; a++)
      for (int64_t b = 0; b <= a; b++) {
        double dot = 0;
        for (int64_t k = 0; k < length; k++) {
          const size_t i = at + (size_t)(rows ? a * out + k : k * out + a);
          const size_t j = at + (size_t)(rows ? b * out + k : k * out + b);
          dot += wide ? ((double *)block)[i] * ((double *)block)[j]
                      : (double)((float *)block)[i] * (double)((float *)block)[j];
        }
        const double off = fabs(dot / (scale * scale) - (a == b));
        assert_true(off < (wide ? 1e-14 : 1e-6));
      }
    free(block);
    graph_free(g);
  }
}

static void test_stopped_gradient(void **state) {
  (void)state;
  graph *g = fresh(true);
  tensor *w = graph_param(g, "w", DIMS(3), (param_init){.kind = INIT_ONE}, 0);
  tensor *v = graph_param(g, "v", DIMS(3), (param_init){.kind = INIT_ONE}, 0);
  graph_grad(g, op_sum_all(op_mul(op_stop_gradient(op_square(w)), v)));
  assert_int_equal(graph_check(g, NULL), GARAM_OK);
  assert_null(tensor_grad(w));
  assert_non_null(tensor_grad(v));
  graph_free(g);
}

/* Second derivatives are not offered: said when built, not wrong when run. */
static void test_no_gradient_of_a_gradient(void **state) {
  (void)state;
  graph *g = fresh(true);
  tensor *w = graph_param(g, "w", DIMS(3), (param_init){.kind = INIT_ONE}, 0);
  tensor *back = node_emit(&record_softmax_backward, TENSORS(w, w), NULL, 0);
  graph_grad(g, op_sum_all(back));
  garam_error err;
  assert_int_equal(graph_check(g, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "op softmax_backward (3) (3): has no gradient"));
  graph_free(g);
}

/* ---- dropout ---- */

static void test_dropout(void **state) {
  (void)state;
  enum { N = 20000 };
  graph *g = fresh(false);
  tensor *x = graph_input(g, "x", DTYPE_REAL, DIMS(N));
  assert_ptr_equal(op_dropout(x, 0.5), x); /* not training: nothing at all */
  graph_free(g);

  g = fresh(true);
  x = graph_fill(g, DIMS(N), 1);
  assert_ptr_equal(op_dropout(x, 0), x);
  graph_output(g, "one", op_dropout(x, 0.3));
  graph_output(g, "two", op_dropout(x, 0.3));
  plan *p;
  assert_int_equal(graph_compile(&p, g, &(plan_config){0}, NULL), GARAM_OK);
  plan_run(p, 1, NULL);
  const float *one = plan_output(p, "one", NULL), *two = plan_output(p, "two", NULL);
  int kept_one = 0, kept_both = 0;
  float *first = malloc(N * sizeof *first);
  memcpy(first, one, N * sizeof *first);
  for (int i = 0; i < N; i++) {
    assert_true(one[i] == 0 || fabs((double)one[i] - 1 / 0.7) < 2e-5);
    kept_one += one[i] != 0;
    kept_both += one[i] != 0 && two[i] != 0;
  }
  assert_true(fabs(kept_one / (double)N - 0.7) < 0.015);   /* 4.6 standard deviations */
  assert_true(fabs(kept_both / (double)N - 0.49) < 0.017); /* two nodes, two masks */
  plan_run(p, 2, NULL);
  assert_memory_not_equal(first, one, N * sizeof *first);
  plan_run(p, 1, NULL);
  assert_memory_equal(first, one, N * sizeof *first);
  free(first);
  plan_free(p);
  graph_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_refusals),         cmocka_unit_test(test_blocks_are_asked_for),
      cmocka_unit_test(test_parameters),       cmocka_unit_test(test_orthogonal),
      cmocka_unit_test(test_stopped_gradient), cmocka_unit_test(test_no_gradient_of_a_gradient),
      cmocka_unit_test(test_dropout),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
