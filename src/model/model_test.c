/* Whole models: gradients along random directions in double, shapes and names of parameters,
 * padding, what options refuse. */
#include "model/model.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { B = 3, T = 5, F = 4, K = 3, TOKENS = 7 };

static transformer_config transformer_of(int positions, int norm, int activation, int pooling,
                                         bool causal, int window, double dropout) {
  return (transformer_config){.d_model = 8,
                              .heads = 2,
                              .layers = 2,
                              .d_ff = 12,
                              .dropout = dropout,
                              .seq = T,
                              .positions = positions,
                              .norm = norm,
                              .activation = activation,
                              .pooling = pooling,
                              .causal = causal,
                              .window = window};
}

/* A model in double with a loss, ready to run. */
typedef struct bench {
  graph *g;
  plan *plan;
  double *params, *grads, *x, *weight;
  int32_t *tokens, *begin, *target; /* tokens: of a model that reads them, or NULL */
  const double *loss, *scores;
} bench;

static void bench_open(bench *b, const model_ops *model, const void *config, bool training) {
  garam_error err = {0};
  const int64_t batch = B;
  *b = (bench){0};
  graph_config gc = {.real = DTYPE_F64, .training = training, .seed = 11};
  assert_int_equal(graph_new(&b->g, &gc, NULL), GARAM_OK);
  const bool tokens = model->build_tokens;
  tensor *x = graph_input(b->g, "x", tokens ? DTYPE_I32 : DTYPE_REAL, tokens ? 2 : 3,
                          (const int64_t[]){B, T, F});
  tensor *begin = graph_input(b->g, "begin", DTYPE_I32, 1, &batch);
  tensor *scores =
      tokens ? model->build_tokens(config, x, begin, TOKENS) : model->build(config, x, begin, K);
  const int64_t asked[2] = {B, T};
  tensor *weight = graph_input(b->g, "weight", DTYPE_REAL, tokens ? 2 : 1, asked);
  tensor *target = graph_input(b->g, "target", DTYPE_I32, tokens ? 2 : 1, asked);
  tensor *loss = op_cross_entropy(scores, target, weight, 0.1);
  graph_output(b->g, "scores", scores);
  graph_output(b->g, "loss", loss);
  graph_grad(b->g, loss);
  if (graph_check(b->g, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_int_equal(tensor_rank(scores), tokens ? 3 : 2);
  assert_int_equal(tensor_dim(scores, 0), B);
  assert_int_equal(tensor_dim(scores, -1), tokens ? TOKENS : K);
  size_t bytes = graph_param_block(b->g) * sizeof(double);
  b->params = mem_alloc_aligned(bytes, 64);
  b->grads = mem_alloc_aligned(bytes, 64);
  memset(b->grads, 0, bytes);
  graph_param_init(b->g, b->params, 3);
  plan_config pc = {.params = b->params, .grads = b->grads};
  if (graph_compile(&b->plan, b->g, &pc, &err) != GARAM_OK) fail_msg("%s", err.message);
  if (tokens) b->tokens = plan_input(b->plan, "x", NULL);
  else b->x = plan_input(b->plan, "x", NULL);
  b->begin = plan_input(b->plan, "begin", NULL);
  b->weight = plan_input(b->plan, "weight", NULL);
  b->target = plan_input(b->plan, "target", NULL);
  b->loss = plan_output(b->plan, "loss", NULL);
  b->scores = plan_output(b->plan, "scores", NULL);
}

/* Inputs are written before each run: the plan may use their memory again. */
static double bench_run(bench *b, double padding) {
  static const int32_t begin[B] = {0, 2, T - 1}, target[B] = {0, 2, 1};
  static const double weight[B] = {1, 0.5, 2};
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  for (int i = 0; i < B * T && b->tokens; i++) {
    b->tokens[i] = (int32_t)rng_below(&r, TOKENS);
    b->target[i] = i % 3 ? (int32_t)rng_below(&r, TOKENS) : -1;
    b->weight[i] = weight[i % B];
  }
  for (int i = 0; i < B; i++) {
    if (b->begin) b->begin[i] = begin[i];
    if (b->tokens) continue;
    for (int k = 0; k < T * F; k++) {
      double value = rng_normal(&r);
      b->x[i * T * F + k] = k < begin[i] * F ? padding : value;
    }
    b->target[i] = target[i];
    b->weight[i] = weight[i];
  }
  assert_int_equal(plan_run(b->plan, 1, NULL), GARAM_OK);
  return *b->loss;
}

static void bench_close(bench *b) {
  plan_free(b->plan);
  graph_free(b->g);
  mem_free_aligned(b->params);
  mem_free_aligned(b->grads);
}

/* (L(p + e d) - L(p - e d)) / 2e against g.d, for a few random d; then for each parameter alone,
 * so that a wrong gradient of a small one does not drown. */
static void check_gradients(const char *label, const model_ops *model, const void *config) {
  bench b;
  bench_open(&b, model, config, true);
  double loss = bench_run(&b, 0);
  assert_true(isfinite(loss));
  size_t n = graph_param_block(b.g), n_params = graph_param_count(b.g);
  double *p = mem_array(n, sizeof *p), *g = mem_array(n, sizeof *g), *d = mem_array(n, sizeof *d);
  /* Biases that start at zero hide terms: begin away from the initial values. */
  rng r;
  rng_init(&r, 9, RNG_TEST, 1);
  for (size_t i = 0; i < n; i++) b.params[i] += 0.1 * rng_normal(&r);
  bench_run(&b, 0);
  memcpy(p, b.params, n * sizeof *p);
  memcpy(g, b.grads, n * sizeof *g);
  for (size_t trial = 0; trial < 3 + n_params; trial++) {
    size_t from = 0, to = n;
    const char *name = "all";
    if (trial >= 3) {
      const param_info *info = graph_param_info(b.g, trial - 3);
      from = info->offset;
      to = from + info->count;
      name = info->name;
    }
    double slope = 0, size = 0;
    rng_init(&r, 4, RNG_TEST, trial);
    memset(d, 0, n * sizeof *d);
    for (size_t i = from; i < to; i++) {
      d[i] = rng_normal(&r);
      slope += d[i] * g[i];
      size += d[i] * d[i];
    }
    const double step = 1e-6 / sqrt(size) * sqrt((double)(to - from));
    for (size_t i = 0; i < n; i++) b.params[i] = p[i] + step * d[i];
    double up = bench_run(&b, 0);
    for (size_t i = 0; i < n; i++) b.params[i] = p[i] - step * d[i];
    double down = bench_run(&b, 0);
    double found = (up - down) / (2 * step);
    if (fabs(found - slope) > 2e-7 * (1 + fabs(slope)))
      fail_msg("%s: %s: gradient gives %.12g, differences give %.12g", label, name, slope, found);
  }
  memcpy(b.params, p, n * sizeof *p);
  mem_free(p);
  mem_free(g);
  mem_free(d);
  bench_close(&b);
}

static void transformer_gradients(void **state) {
  (void)state;
  static const struct {
    const char *label;
    int positions, norm, activation, pooling;
    bool causal;
    int window;
    double dropout;
  } rows[] = {
      {"as published", NN_SINUSOIDAL, NN_NORM_POST, NN_RELU, NN_POOL_MEAN, false, 0, 0},
      {"dropout", NN_SINUSOIDAL, NN_NORM_POST, NN_RELU, NN_POOL_MEAN, false, 0, 0.3},
      {"pre-norm", NN_SINUSOIDAL, NN_NORM_PRE, NN_RELU, NN_POOL_MEAN, false, 0, 0},
      {"learned", NN_LEARNED, NN_NORM_POST, NN_RELU, NN_POOL_MEAN, false, 0, 0},
      {"no positions", NN_NO_POSITION, NN_NORM_POST, NN_RELU, NN_POOL_MEAN, false, 0, 0},
      {"gelu", NN_SINUSOIDAL, NN_NORM_POST, NN_GELU, NN_POOL_MEAN, false, 0, 0},
      {"silu", NN_SINUSOIDAL, NN_NORM_POST, NN_SILU, NN_POOL_MEAN, false, 0, 0},
      {"tanh", NN_SINUSOIDAL, NN_NORM_POST, NN_TANH, NN_POOL_MEAN, false, 0, 0},
      {"last", NN_SINUSOIDAL, NN_NORM_POST, NN_RELU, NN_POOL_LAST, false, 0, 0},
      {"causal", NN_SINUSOIDAL, NN_NORM_POST, NN_RELU, NN_POOL_MEAN, true, 0, 0},
      {"window", NN_SINUSOIDAL, NN_NORM_POST, NN_RELU, NN_POOL_MEAN, false, 2, 0},
      {"all of it", NN_LEARNED, NN_NORM_PRE, NN_GELU, NN_POOL_LAST, true, 3, 0.2},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    transformer_config c =
        transformer_of(rows[i].positions, rows[i].norm, rows[i].activation, rows[i].pooling,
                       rows[i].causal, rows[i].window, rows[i].dropout);
    check_gradients(rows[i].label, &model_transformer, &c);
  }
}

static void other_gradients(void **state) {
  (void)state;
  check_gradients("mlp", &model_mlp,
                  &(mlp_config){.hidden = 7,
                                .layers = 2,
                                .dropout = 0.2,
                                .seq = T,
                                .activation = NN_GELU,
                                .layer_norm = true});
  check_gradients("mlp, no layers", &model_mlp, &(mlp_config){.hidden = 7, .seq = T});
  check_gradients("lstm", &model_lstm,
                  &(recurrent_config){
                      .hidden = 5, .layers = 2, .dropout = 0.2, .seq = T, .pooling = NN_POOL_LAST});
  check_gradients("gru", &model_gru,
                  &(recurrent_config){
                      .hidden = 5, .layers = 2, .dropout = 0.2, .seq = T, .pooling = NN_POOL_MEAN});
  static const sequence_config sequence = {
      .d_model = 8, .heads = 2, .layers = 2, .d_ff = 12, .dropout = 0.2, .seq = T};
  check_gradients("gpt", &model_gpt, &sequence);
  check_gradients("bert", &model_bert, &sequence);
}

/* Step t of gpt answers from tokens up to t alone; bert's steps see all of them, but no padding. */
static void tokens_see_what_they_may(void **state) {
  (void)state;
  static const sequence_config c = {.d_model = 8, .heads = 2, .layers = 2, .d_ff = 12, .seq = T};
  for (int causal = 0; causal < 2; causal++) {
    bench b;
    bench_open(&b, causal ? &model_gpt : &model_bert, &c, false);
    double before[B * T * TOKENS];
    bench_run(&b, 0);
    memcpy(before, b.scores, sizeof before);
    for (int changed = 0; changed < T; changed++) {
      const int row = 1; /* two steps of padding */
      bench_run(&b, 0);
      b.tokens[row * T + changed] = (b.tokens[row * T + changed] + 1) % TOKENS;
      assert_int_equal(plan_run(b.plan, 1, NULL), GARAM_OK);
      for (int t = 0; t < T; t++) {
        size_t at = (size_t)(row * T + t) * TOKENS;
        bool same = memcmp(before + at, b.scores + at, TOKENS * sizeof *before) == 0;
        bool sees = t == changed || (changed >= 2 && (causal ? t > changed : true));
        if (same == sees)
          fail_msg("%s: step %d %s step %d", causal ? "gpt" : "bert", t,
                   same ? "does not see" : "sees", changed);
      }
    }
    bench_close(&b);
  }
}

static void dropout_only_in_training(void **state) {
  (void)state;
  transformer_config c = transformer_of(0, 0, 0, 0, false, 0, 0.5), none = c;
  none.dropout = 0;
  bench dropped, plain, trained;
  bench_open(&dropped, &model_transformer, &c, false);
  bench_open(&plain, &model_transformer, &none, false);
  bench_open(&trained, &model_transformer, &c, true);
  double expected = bench_run(&plain, 0);
  assert_true(fabs(bench_run(&dropped, 0) - expected) < 1e-12);
  assert_true(fabs(bench_run(&trained, 0) - expected) > 1e-6);
  bench_close(&dropped);
  bench_close(&plain);
  bench_close(&trained);
}

static void padding_does_not_matter(void **state) {
  (void)state;
  for (int pooling = NN_POOL_MEAN; pooling <= NN_POOL_LAST; pooling++)
    for (int causal = 0; causal < 2; causal++) {
      transformer_config c = transformer_of(0, pooling, 0, pooling, causal, 0, 0);
      bench b;
      bench_open(&b, &model_transformer, &c, false);
      double zero[B * K], far[B * K];
      bench_run(&b, 0);
      memcpy(zero, b.scores, sizeof zero);
      bench_run(&b, 1e6);
      memcpy(far, b.scores, sizeof far);
      assert_memory_equal(zero, far, sizeof zero);
      bench_close(&b);
    }
}

static void parameters_of_the_published_size(void **state) {
  (void)state;
  transformer_config c;
  opt_defaults(transformer_options, transformer_n_options, &c);
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){.real = DTYPE_F32}, NULL), GARAM_OK);
  const int64_t one = 1;
  tensor *x = graph_input(g, "x", DTYPE_REAL, 3, (const int64_t[]){1, c.seq, 20});
  model_transformer.build(&c, x, graph_input(g, "begin", DTYPE_I32, 1, &one), 3);
  assert_int_equal(graph_check(g, NULL), GARAM_OK);
  size_t block = 4 * (512 * 512 + 512) + (512 * 2048 + 2048) + (2048 * 512 + 512) + 4 * 512;
  size_t head = (512 * 256 + 256) + (256 * 3 + 3), embed = 20 * 512 + 512;
  assert_int_equal(graph_param_scalars(g), 6 * block + head + embed);
  static const struct {
    const char *name;
    int rank;
    int64_t dims[2];
    int flags;
  } some[] = {
      {"embed.weight", 2, {20, 512}, PARAM_DECAY},
      {"embed.bias", 1, {512}, PARAM_PLAIN},
      {"blocks.0.attention.q.weight", 2, {512, 512}, PARAM_DECAY},
      {"blocks.5.attention.o.bias", 1, {512}, PARAM_PLAIN},
      {"blocks.5.norm1.weight", 1, {512}, PARAM_PLAIN},
      {"blocks.3.feed_forward.in.weight", 2, {512, 2048}, PARAM_DECAY},
      {"blocks.3.feed_forward.out.weight", 2, {2048, 512}, PARAM_DECAY},
      {"blocks.3.norm2.bias", 1, {512}, PARAM_PLAIN},
      {"head.in.weight", 2, {512, 256}, PARAM_DECAY},
      {"head.out.weight", 2, {256, 3}, PARAM_DECAY},
  };
  for (size_t i = 0; i < COUNT_OF(some); i++) {
    const param_info *found = NULL;
    for (size_t k = 0; k < graph_param_count(g); k++)
      if (strcmp(graph_param_info(g, k)->name, some[i].name) == 0) found = graph_param_info(g, k);
    if (!found) fail_msg("no parameter \"%s\"", some[i].name);
    assert_int_equal(found->rank, some[i].rank);
    for (int k = 0; k < found->rank; k++) assert_int_equal(found->dims[k], some[i].dims[k]);
    assert_int_equal(found->flags, some[i].flags);
  }
  graph_free(g);
}

static void heads_must_divide(void **state) {
  (void)state;
  transformer_config c;
  garam_error err;
  opt_defaults(transformer_options, transformer_n_options, &c);
  assert_int_equal(model_transformer.check(&c, &err), GARAM_OK);
  c.heads = 7;
  assert_int_equal(model_transformer.check(&c, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "--heads 7"));
}

/* Training programs in float, as large as makes activations count. */
typedef struct trained {
  plan *plan;
  float *params, *grads;
  size_t bytes;
} trained;

static void trained_open(trained *t, const transformer_config *c, plan_config config) {
  enum { ROWS = 4, FEATURES = 5 };
  const int64_t rows = ROWS;
  graph *g;
  garam_error err = {0};
  *t = (trained){0};
  graph_config gc = {.real = DTYPE_F32, .training = true, .seed = 11};
  assert_int_equal(graph_new(&g, &gc, NULL), GARAM_OK);
  tensor *x = graph_input(g, "x", DTYPE_REAL, 3, (const int64_t[]){ROWS, c->seq, FEATURES});
  tensor *begin = graph_input(g, "begin", DTYPE_I32, 1, &rows);
  tensor *target = graph_input(g, "target", DTYPE_I32, 1, &rows);
  graph_grad(g, op_cross_entropy(model_transformer.build(c, x, begin, 3), target, NULL, 0));
  t->bytes = graph_param_block(g) * sizeof(float);
  config.params = t->params = mem_alloc_aligned(t->bytes, 64);
  config.grads = t->grads = mem_alloc_aligned(t->bytes, 64);
  graph_param_init(g, t->params, 5);
  if (graph_compile(&t->plan, g, &config, &err) != GARAM_OK) fail_msg("%s", err.message);
  graph_free(g);
  rng r;
  rng_init(&r, 3, RNG_TEST, 0);
  float *in = plan_input(t->plan, "x", NULL);
  for (int64_t i = 0; i < ROWS * c->seq * FEATURES; i++) in[i] = (float)rng_normal(&r);
  for (int i = 0; i < ROWS; i++) ((int32_t *)plan_input(t->plan, "target", NULL))[i] = i % 3;
  plan_run(t->plan, 1, NULL);
}

static void trained_close(trained *t) {
  plan_free(t->plan);
  mem_free_aligned(t->params);
  mem_free_aligned(t->grads);
}

/* Cheap values made again: less memory, the same bits. */
static void recomputing_takes_less_memory(void **state) {
  (void)state;
  static const struct {
    int norm, activation;
    double dropout, most; /* of the arena without */
  } rows[] = {{NN_NORM_POST, NN_RELU, 0.1, 0.9}, {NN_NORM_POST, NN_GELU, 0.1, 0.75},
              {NN_NORM_POST, NN_GELU, 0, 0.75},  {NN_NORM_PRE, NN_RELU, 0.1, 0.9},
              {NN_NORM_PRE, NN_RELU, 0, 0.9},    {NN_NORM_PRE, NN_GELU, 0.1, 0.75}};
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    transformer_config c =
        transformer_of(0, rows[i].norm, rows[i].activation, 0, false, 0, rows[i].dropout);
    c.d_model = 32;
    c.d_ff = 128;
    c.layers = 6;
    c.seq = 48;
    trained kept, again;
    trained_open(&kept, &c, (plan_config){0});
    trained_open(&again, &c, (plan_config){.recompute = true});
    assert_memory_equal(kept.grads, again.grads, kept.bytes);
    double share = (double)plan_arena_bytes(again.plan) / (double)plan_arena_bytes(kept.plan);
    if (!(share < rows[i].most)) fail_msg("case %zu: %g of the memory", i, share);
    trained_close(&kept);
    trained_close(&again);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(transformer_gradients),   cmocka_unit_test(recomputing_takes_less_memory),
      cmocka_unit_test(other_gradients),         cmocka_unit_test(dropout_only_in_training),
      cmocka_unit_test(padding_does_not_matter), cmocka_unit_test(parameters_of_the_published_size),
      cmocka_unit_test(heads_must_divide),       cmocka_unit_test(tokens_see_what_they_may),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
