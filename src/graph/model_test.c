/* Whole small models: gradients along random directions, the same bits for 1, 2 and 4 threads and
 * with or without reuse of memory, rewritten against plain, no allocation in a run, and every
 * allocation of building and compiling failed in turn. */
#include "base/thread.h"
#include "graph/check.h"
#include "graph/plan.h"
#include "tests/failing_allocator.h"

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

typedef struct model {
  const char *name;
  tensor *(*build)(graph *g, const struct model *m);
  int64_t batch, steps, width;
  bool causal, padded, pre_norm, pooled;
  int64_t window;
  double dropout;
} model;

/* ---- parts ---- */

static tensor *part(graph *g, const char *where, const char *what, int rank, const int64_t *dims) {
  char name[64];
  snprintf(name, sizeof name, "%s.%s", where, what);
  param_init init = {.kind = rank > 1 ? INIT_XAVIER : INIT_NORMAL, .scale = rank > 1 ? 0 : 0.3};
  return graph_param(g, name, rank, dims, init, 0);
}

static tensor *dense(tensor *x, const char *name, int64_t out) {
  graph *g = tensor_graph(x);
  return op_linear(x, part(g, name, "w", DIMS(tensor_dim(x, -1), out)),
                   part(g, name, "b", DIMS(out)));
}

static tensor *norm(tensor *x, const char *name) {
  graph *g = tensor_graph(x);
  int64_t width = tensor_dim(x, -1);
  return op_layer_norm(x, part(g, name, "gain", DIMS(width)), part(g, name, "bias", DIMS(width)),
                       1e-5);
}

static tensor *input(graph *g, const model *m) {
  return graph_input(g, "x", DTYPE_REAL, DIMS(m->batch, m->steps, 5));
}

static tensor *judge(tensor *logits, const model *m) {
  graph *g = tensor_graph(logits);
  return op_cross_entropy(logits, graph_input(g, "target", DTYPE_I32, DIMS(m->batch)), NULL, 0.1);
}

/* ---- models ---- */

static tensor *build_mlp(graph *g, const model *m) {
  tensor *x = op_reshape(input(g, m), DIMS(m->batch, -1));
  tensor *h = op_dropout(op_relu(dense(x, "one", m->width)), m->dropout);
  h = norm(op_gelu(dense(h, "two", m->width)), "norm");
  return judge(dense(op_dropout(h, m->dropout), "three", 3), m);
}

static tensor *attend(tensor *x, const model *m, tensor *begin, const char *name) {
  char q[32], k[32], v[32], o[32];
  snprintf(q, sizeof q, "%s.q", name);
  snprintf(k, sizeof k, "%s.k", name);
  snprintf(v, sizeof v, "%s.v", name);
  snprintf(o, sizeof o, "%s.o", name);
  attention_options options = {
      .n_heads = 2, .causal = m->causal, .window = m->window, .dropout = m->dropout};
  tensor *y = op_attention(dense(x, q, m->width), dense(x, k, m->width), dense(x, v, m->width),
                           begin, &options);
  return op_dropout(dense(y, o, m->width), m->dropout);
}

static tensor *feed(tensor *x, const model *m, const char *name) {
  char one[32], two[32];
  snprintf(one, sizeof one, "%s.one", name);
  snprintf(two, sizeof two, "%s.two", name);
  tensor *h = dense(x, one, 2 * m->width);
  h = m->pre_norm ? op_gelu(h) : op_relu(h);
  return op_dropout(dense(op_dropout(h, m->dropout), two, m->width), m->dropout);
}

static tensor *block(tensor *x, const model *m, tensor *begin, const char *name) {
  char first[32], second[32];
  snprintf(first, sizeof first, "%s.first", name);
  snprintf(second, sizeof second, "%s.second", name);
  if (m->pre_norm) {
    x = op_add(x, attend(norm(x, first), m, begin, name));
    return op_add(x, feed(norm(x, second), m, name));
  }
  x = norm(op_add(x, attend(x, m, begin, name)), first);
  return norm(op_add(x, feed(x, m, name)), second);
}

static tensor *build_transformer(graph *g, const model *m) {
  tensor *begin = m->padded ? graph_input(g, "begin", DTYPE_I32, DIMS(m->batch)) : NULL;
  tensor *x = dense(input(g, m), "embed", m->width);
  x = op_add(x, part(g, "position", "table", DIMS(m->steps, m->width)));
  x = block(op_dropout(x, m->dropout), m, begin, "a");
  x = block(x, m, begin, "b");
  tensor *y = m->pooled ? op_masked_mean(x, begin) : op_take_step(x, NULL);
  return judge(dense(op_tanh(dense(y, "head", m->width / 2)), "out", 3), m);
}

static tensor *build_recurrent(graph *g, const model *m, bool lstm) {
  tensor *x = input(g, m);
  int64_t gates = lstm ? 4 : 3;
  for (int layer = 0; layer < 2; layer++) {
    const char *name = layer ? "r1" : "r0";
    tensor *w = part(g, name, "w", DIMS(tensor_dim(x, -1), gates * m->width));
    tensor *u = part(g, name, "u", DIMS(m->width, gates * m->width));
    tensor *b = part(g, name, "b", DIMS(gates * m->width));
    x = lstm ? op_lstm(x, w, u, b, NULL, NULL)
             : op_gru(x, w, u, b, part(g, name, "bu", DIMS(gates * m->width)), NULL);
    x = op_dropout(x, m->dropout);
  }
  return judge(dense(op_take_step(x, NULL), "out", 3), m);
}

static tensor *build_lstm(graph *g, const model *m) {
  return build_recurrent(g, m, true);
}
static tensor *build_gru(graph *g, const model *m) {
  return build_recurrent(g, m, false);
}

static tensor *build_conv(graph *g, const model *m) {
  tensor *x = input(g, m);
  for (int layer = 0; layer < 2; layer++) {
    const char *name = layer ? "c1" : "c0";
    int64_t dilation = 1 + layer;
    x = op_conv1d(x, part(g, name, "w", DIMS(3, tensor_dim(x, -1), m->width)),
                  part(g, name, "b", DIMS(m->width)), 1, dilation, 2 * dilation, 0);
    x = op_dropout(op_silu(x), m->dropout);
  }
  return judge(dense(op_mean(x, 1, false), "out", 3), m);
}

static const model models[] = {
    {"mlp", build_mlp, 7, 3, 11, .dropout = 0.2},
    {"mlp, wide", build_mlp, 64, 8, 64, .dropout = 0.1},
    {"transformer, post-norm", build_transformer, 3, 7, 8, .pooled = true},
    {"transformer, causal", build_transformer, 3, 9, 8, .causal = true, .pre_norm = true},
    {"transformer, window", build_transformer, 2, 9, 8, .causal = true, .window = 3, .padded = true,
     .pooled = true, .dropout = 0.1},
    {"transformer, band", build_transformer, 2, 9, 8, .window = 4, .pre_norm = true,
     .dropout = 0.1},
    {"transformer, larger", build_transformer, 4, 33, 48, .padded = true, .pooled = true,
     .dropout = 0.1},
    {"lstm", build_lstm, 3, 7, 6, .dropout = 0.1},
    {"gru", build_gru, 3, 7, 6, .dropout = 0},
    {"lstm, larger", build_lstm, 16, 12, 32, .dropout = 0},
    {"conv", build_conv, 3, 11, 6, .dropout = 0.1},
    {"conv, larger", build_conv, 16, 40, 32, .dropout = 0.2},
};

static tensor *build(graph *g, void *context) {
  const model *m = context;
  return m->build(g, m);
}

static void fill_real(void *to, size_t bytes, bool wide) {
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  for (size_t i = 0; i < bytes / (wide ? 8 : 4); i++) {
    double value = rng_normal(&r);
    if (wide) ((double *)to)[i] = value;
    else ((float *)to)[i] = (float)value;
  }
}

static void fill(plan *p, bool wide, void *context) {
  const model *m = context;
  size_t bytes;
  void *x = plan_input(p, "x", &bytes);
  fill_real(x, bytes, wide);
  int32_t *target = plan_input(p, "target", &bytes);
  for (int64_t i = 0; i < m->batch; i++) target[i] = (int32_t)(i % 4) - 1;
  if (!m->padded) return;
  int32_t *begin = plan_input(p, "begin", &bytes);
  for (int64_t i = 0; i < m->batch; i++) begin[i] = (int32_t)(i * 2 % m->steps);
}

static check_case case_of(const model *m) {
  return (check_case){.build = build,
                      .fill = fill,
                      .context = (void *)(uintptr_t)m,
                      .training = true,
                      .seed = 11,
                      .directions = m->width > 20 ? 1 : 4,
                      .step = 1e-7};
}

static void model_init(check_model *out, const model *m, dtype real, const plan_config *config) {
  check_case c = case_of(m);
  garam_error err;
  if (check_model_init(out, &c, real, config, &err) != GARAM_OK)
    fail_msg("%s: %s", m->name, err.message);
}

/* ---- the walks ---- */

static void test_gradients(void **state) {
  (void)state;
  int bad = 0;
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    check_case c = case_of(&models[i]);
    check_result r;
    garam_error err;
    if (check_gradient(&r, &c, &err) != GARAM_OK) fail_msg("%s: %s", models[i].name, err.message);
    bool ok = r.gradient_error < 1e-6 && r.float_error < 1e-5 && r.loss > 0.1;
    if (!ok)
      print_error("%s: gradient %.3g, float %.3g, loss %g\n", models[i].name, r.gradient_error,
                  r.float_error, r.loss);
    bad += !ok;
  }
  assert_int_equal(bad, 0);
}

static void test_bits(void **state) {
  (void)state;
  static const struct {
    const char *what;
    int threads;
    plan_config config;
  } ways[] = {{"one thread", 1, {0}},
              {"two threads", 2, {0}},
              {"four threads", 4, {0}},
              {"no reuse of memory", 2, {.no_reuse = true}}};
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    check_model first;
    double first_loss = 0;
    for (size_t w = 0; w < COUNT_OF(ways); w++) {
      check_model m;
      thread_set_count(ways[w].threads);
      model_init(&m, &models[i], DTYPE_F32, &ways[w].config);
      double loss = check_model_loss(&m, 5);
      loss = check_model_loss(&m, 5); /* the second run starts from what the first left */
      if (w == 0) {
        first = m;
        first_loss = loss;
        continue;
      }
      if (memcmp(m.grads, first.grads, m.bytes) != 0 || loss != first_loss)
        fail_msg("%s: %s gave other bits", models[i].name, ways[w].what);
      check_model_deinit(&m);
    }
    check_model_deinit(&first);
  }
  thread_set_count(0);
}

static void test_rewritten_as_plain(void **state) {
  (void)state;
  size_t steps = 0, plain_steps = 0;
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    check_model a, b;
    model_init(&a, &models[i], DTYPE_F64, NULL);
    model_init(&b, &models[i], DTYPE_F64, &(plan_config){.keep_order = true});
    double of_a = check_model_loss(&a, 5), of_b = check_model_loss(&b, 5);
    assert_true(fabs(of_a - of_b) < 1e-12);
    const double *x = a.grads, *y = b.grads;
    for (size_t k = 0; k < a.bytes / sizeof *x; k++)
      if (!(fabs(x[k] - y[k]) < 1e-11)) fail_msg("%s: gradient %zu differs", models[i].name, k);
    steps += a.plan->n_steps;
    plain_steps += b.plan->n_steps;
    assert_true(a.plan->arena_bytes <= b.plan->arena_bytes);
    check_model_deinit(&a);
    check_model_deinit(&b);
  }
  assert_true(10 * steps < 9 * plain_steps);
}

static void test_runs_without_allocating(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    check_model m;
    model_init(&m, &models[i], DTYPE_F32, NULL);
    uint64_t before = mem_count();
    for (uint64_t step = 0; step < 3; step++) plan_run(m.plan, step, NULL);
    assert_int_equal(mem_count(), before);
    check_model_deinit(&m);
  }
}

/* ---- every allocation fails in turn ---- */

static void test_every_allocation_fails(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    if (i > 0 && models[i].build == models[i - 1].build) continue; /* the same allocations */
    check_case c = case_of(&models[i]);
    size_t n = 0;
    for (bool done = false; !done; n++) {
      failing_allocator f = {.fail_after = n};
      failing_allocator_use(&f);
      check_model m;
      garam_error err = {0};
      garam_status status = check_model_init(&m, &c, DTYPE_F64, NULL, &err);
      if (status == GARAM_OK) check_model_deinit(&m);
      garam_set_allocator(NULL);
      if (status != GARAM_OK && status != GARAM_NO_MEMORY)
        fail_msg("%s: allocation %zu failed as %s", models[i].name, n, garam_status_name(status));
      if (f.n_blocks != 0) fail_msg("%s: allocation %zu: %ld left", models[i].name, n, f.n_blocks);
      done = status == GARAM_OK;
    }
    assert_true(n > 20);
  }
}

/* ---- inference ---- */

/* Forward alone, on the same parameters: the loss of a training plan without dropout, in fewer
 * steps and less memory. */
static void test_inference(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(models); i++) {
    model m = models[i];
    if (m.width > 20) continue; /* the same nodes, only larger */
    m.dropout = 0;
    check_model trained;
    model_init(&trained, &m, DTYPE_F64, NULL);
    double loss = check_model_loss(&trained, 0);
    graph *g;
    plan *p;
    assert_int_equal(graph_new(&g, &(graph_config){.real = DTYPE_F64}, NULL), GARAM_OK);
    m.dropout = models[i].dropout; /* the identity when not training */
    graph_output(g, "loss", m.build(g, &m));
    assert_int_equal(graph_compile(&p, g, &(plan_config){.params = trained.params}, NULL),
                     GARAM_OK);
    fill(p, true, &m);
    plan_run(p, 1, NULL);
    double inferred = *(const double *)plan_output(p, "loss", NULL);
    if (!(fabs(inferred - loss) < 1e-12)) fail_msg("%s: %g, not %g", m.name, inferred, loss);
    assert_true(2 * p->n_steps < trained.plan->n_steps + 2);
    assert_true(p->arena_bytes < trained.plan->arena_bytes);
    plan_free(p);
    graph_free(g);
    check_model_deinit(&trained);
  }
}

/* ---- dropout ---- */

static void test_dropout_hangs_on_the_step(void **state) {
  (void)state;
  check_model m;
  model_init(&m, &models[0], DTYPE_F32, NULL);
  double one = check_model_loss(&m, 1), two = check_model_loss(&m, 2);
  assert_true(one != two);
  assert_true(check_model_loss(&m, 1) == one);
  check_model_deinit(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),
      cmocka_unit_test(test_bits),
      cmocka_unit_test(test_rewritten_as_plain),
      cmocka_unit_test(test_runs_without_allocating),
      cmocka_unit_test(test_every_allocation_fails),
      cmocka_unit_test(test_inference),
      cmocka_unit_test(test_dropout_hangs_on_the_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
