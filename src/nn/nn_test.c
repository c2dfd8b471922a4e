/* Layers: names, positions, and what a step of a sequence may see. */
#include "nn/nn.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void names_are_joined(void **state) {
  (void)state;
  char out[NN_NAME_MAX];
  assert_string_equal(nn_name(out, "blocks.0", "q"), "blocks.0.q");
  assert_string_equal(nn_name(out, "", "q"), "q");
  assert_string_equal(nn_name(out, NULL, "q"), "q");
}

/* Vaswani et al. 2017: values worked out by hand for D = 4: angles t and t / 100. */
static void sinusoidal_table(void **state) {
  (void)state;
  double out[3 * 4];
  nn_position_sinusoidal_table(out, 3, 4);
  const double expected[12] = {0,        1,        0,      1,      sin(1),   cos(1),
                               sin(.01), cos(.01), sin(2), cos(2), sin(.02), cos(.02)};
  for (int i = 0; i < 12; i++) assert_true(fabs(out[i] - expected[i]) < 1e-15);
  double odd[2 * 3];
  nn_position_sinusoidal_table(odd, 2, 3);
  assert_true(fabs(odd[5] - sin(pow(10000.0, -2.0 / 3))) < 1e-15);
}

/* A built layer over x (B,T,D) in double, ready to run. */
enum { B = 2, T = 6, D = 8 };
typedef struct bench {
  graph *g;
  tensor *x, *begin;
  plan *plan;
  double *params, *in;
  const double *out;
} bench;

static void bench_begin(bench *b) {
  assert_int_equal(graph_new(&b->g, &(graph_config){.real = DTYPE_F64}, NULL), GARAM_OK);
  b->x = graph_input(b->g, "x", DTYPE_REAL, 3, (const int64_t[]){B, T, D});
  b->begin = graph_input(b->g, "begin", DTYPE_I32, 1, (const int64_t[]){B});
}

static void bench_compile(bench *b, tensor *y, const int32_t *begin) {
  garam_error err = {0};
  graph_output(b->g, "y", y);
  if (graph_check(b->g, &err) != GARAM_OK) fail_msg("%s", err.message);
  size_t bytes = graph_param_block(b->g) * sizeof(double) + 64;
  b->params = mem_alloc_aligned(bytes, 64);
  graph_param_init(b->g, b->params, 5);
  if (graph_compile(&b->plan, b->g, &(plan_config){.params = b->params}, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  b->in = plan_input(b->plan, "x", NULL);
  int32_t *at = plan_input(b->plan, "begin", NULL);
  if (at) memcpy(at, begin, B * sizeof *at);
  b->out = plan_output(b->plan, "y", NULL);
}

static void bench_run(bench *b, const double *x) {
  memcpy(b->in, x, B * T * D * sizeof *x);
  assert_int_equal(plan_run(b->plan, 0, NULL), GARAM_OK);
}

static void bench_end(bench *b) {
  plan_free(b->plan);
  graph_free(b->g);
  mem_free_aligned(b->params);
}

static void draw(double *x) {
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (int i = 0; i < B * T * D; i++) x[i] = rng_normal(&r);
}

/* For every step j that is changed and every step i: does i's output move? It must exactly when
 * the mask lets i see j. */
static void what_a_step_sees(void **state) {
  (void)state;
  static const struct {
    bool causal;
    int64_t window;
  } masks[] = {{false, 0}, {true, 0}, {true, 2}, {false, 2}};
  static const int32_t begin[B] = {0, 2};
  for (size_t m = 0; m < COUNT_OF(masks); m++) {
    bench b;
    bench_begin(&b);
    block_options o = {
        .attention = {.n_heads = 2, .causal = masks[m].causal, .window = masks[m].window},
        .d_ff = 12};
    bench_compile(&b, nn_block_transformer(b.x, b.begin, &o, "block"), begin);
    double x[B * T * D], before[B * T * D];
    draw(x);
    bench_run(&b, x);
    memcpy(before, b.out, sizeof before);
    for (int s = 0; s < B; s++)
      for (int j = 0; j < T; j++) {
        double changed[B * T * D];
        memcpy(changed, x, sizeof x);
        for (int c = 0; c < D; c++) changed[(s * T + j) * D + c] += c + 1;
        bench_run(&b, changed);
        for (int r = 0; r < B; r++)
          for (int i = 0; i < T; i++) {
            bool moved = memcmp(b.out + (r * T + i) * D, before + (r * T + i) * D, D * 8) != 0;
            bool sees = i == j; /* the residual */
            bool near = masks[m].window == 0 || (i > j ? i - j : j - i) < masks[m].window;
            if (j >= begin[s] && near && !(masks[m].causal && j > i)) sees = true;
            assert_int_equal(moved, sees && r == s);
          }
      }
    bench_end(&b);
  }
}

static void pooling_leaves_padding_out(void **state) {
  (void)state;
  static const int32_t begin[B] = {0, 4};
  double x[B * T * D];
  draw(x);
  for (int kind = NN_POOL_MEAN; kind <= NN_POOL_LAST; kind++) {
    bench b;
    bench_begin(&b);
    bench_compile(&b, nn_pool(b.x, b.begin, kind), begin);
    bench_run(&b, x);
    for (int s = 0; s < B; s++)
      for (int c = 0; c < D; c++) {
        double sum = 0;
        int from = kind == NN_POOL_LAST ? T - 1 : begin[s];
        for (int t = from; t < T; t++) sum += x[(s * T + t) * D + c];
        assert_true(fabs(b.out[s * D + c] - sum / (T - from)) < 1e-14);
      }
    bench_end(&b);
  }
}

static void positions_are_added(void **state) {
  (void)state;
  static const int32_t begin[B] = {0, 0};
  for (int kind = 0; nn_position_names[kind]; kind++) {
    bench b;
    double x[B * T * D], code[T * D] = {0};
    draw(x);
    bench_begin(&b);
    bench_compile(&b, op_scale(nn_position_add(b.x, kind, "position"), 1, 0), begin);
    if (kind == NN_SINUSOIDAL) nn_position_sinusoidal_table(code, T, D);
    if (kind == NN_LEARNED) {
      assert_int_equal(graph_param_count(b.g), 1);
      assert_string_equal(graph_param_info(b.g, 0)->name, "position.weight");
      memcpy(code, b.params, sizeof code);
    }
    bench_run(&b, x);
    for (int i = 0; i < B * T * D; i++)
      assert_true(fabs(b.out[i] - x[i] - code[i % (T * D)]) < 1e-12);
    bench_end(&b);
  }
}

/* The block by its definition, from its own parameters, in plain loops. */
static const double *param_of(const bench *b, const char *name) {
  for (size_t i = 0; i < graph_param_count(b->g); i++)
    if (strcmp(graph_param_info(b->g, i)->name, name) == 0)
      return b->params + graph_param_info(b->g, i)->offset;
  fail_msg("no parameter \"%s\"", name);
  return NULL;
}

static void linear_by_hand(double *y, const double *x, const bench *b, const char *name, int n_in,
                           int n_out) {
  char full[NN_NAME_MAX];
  const double *w = param_of(b, nn_name(full, name, "weight"));
  const double *bias = param_of(b, nn_name(full, name, "bias"));
  for (int t = 0; t < T; t++)
    for (int o = 0; o < n_out; o++) {
      double sum = bias[o];
      for (int i = 0; i < n_in; i++) sum += x[t * n_in + i] * w[i * n_out + o];
      y[t * n_out + o] = sum;
    }
}

static void norm_by_hand(double *x) {
  for (int t = 0; t < T; t++) {
    double mean = 0, var = 0;
    for (int c = 0; c < D; c++) mean += x[t * D + c] / D;
    for (int c = 0; c < D; c++) var += (x[t * D + c] - mean) * (x[t * D + c] - mean) / D;
    for (int c = 0; c < D; c++) x[t * D + c] = (x[t * D + c] - mean) / sqrt(var + 1e-5);
  }
}

static void block_by_hand(void **state) {
  (void)state;
  enum { HEADS = 2, FF = 12, DK = D / HEADS };
  static const int32_t begin[B] = {0, 0};
  for (int norm = NN_NORM_POST; norm <= NN_NORM_PRE; norm++) {
    bench b;
    bench_begin(&b);
    block_options o = {.attention = {.n_heads = HEADS}, .d_ff = FF, .norm = norm};
    bench_compile(&b, nn_block_transformer(b.x, b.begin, &o, "blocks.0"), begin);
    double x[B * T * D];
    draw(x);
    bench_run(&b, x);
    for (int s = 0; s < B; s++) {
      double h[T * D], in[T * D], q[T * D], k[T * D], v[T * D], mixed[T * D] = {0}, f[T * FF];
      memcpy(h, x + s * T * D, sizeof h);
      memcpy(in, h, sizeof h);
      if (norm == NN_NORM_PRE) norm_by_hand(in);
      linear_by_hand(q, in, &b, "blocks.0.attention.q", D, D);
      linear_by_hand(k, in, &b, "blocks.0.attention.k", D, D);
      linear_by_hand(v, in, &b, "blocks.0.attention.v", D, D);
      for (int head = 0; head < HEADS; head++)
        for (int i = 0; i < T; i++) {
          double w[T], sum = 0;
          for (int j = 0; j < T; j++) {
            double dot = 0;
            for (int c = head * DK; c < (head + 1) * DK; c++) dot += q[i * D + c] * k[j * D + c];
            sum += w[j] = exp(dot / sqrt(DK));
          }
          for (int j = 0; j < T; j++)
            for (int c = head * DK; c < (head + 1) * DK; c++)
              mixed[i * D + c] += w[j] / sum * v[j * D + c];
        }
      linear_by_hand(in, mixed, &b, "blocks.0.attention.o", D, D);
      for (int i = 0; i < T * D; i++) h[i] += in[i];
      if (norm == NN_NORM_POST) norm_by_hand(h);
      memcpy(in, h, sizeof h);
      if (norm == NN_NORM_PRE) norm_by_hand(in);
      linear_by_hand(f, in, &b, "blocks.0.feed_forward.in", D, FF);
      for (int i = 0; i < T * FF; i++) f[i] = f[i] > 0 ? f[i] : 0;
      linear_by_hand(in, f, &b, "blocks.0.feed_forward.out", FF, D);
      for (int i = 0; i < T * D; i++) h[i] += in[i];
      if (norm == NN_NORM_POST) norm_by_hand(h);
      for (int i = 0; i < T * D; i++) assert_true(fabs(h[i] - b.out[s * T * D + i]) < 1e-10);
    }
    bench_end(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_joined),    cmocka_unit_test(sinusoidal_table),
      cmocka_unit_test(what_a_step_sees),    cmocka_unit_test(pooling_leaves_padding_out),
      cmocka_unit_test(positions_are_added), cmocka_unit_test(block_by_hand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
