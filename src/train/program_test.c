/* Programs: the layout of parameters is the same for training and prediction; gradients of the
 * published width have the same bits for any number of threads; a row of weight 0 is not there. */
#include "train/program.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static program_config config_of(const transformer_config *model, int64_t batch, bool training) {
  return (program_config){.model = &model_transformer,
                          .model_config = model,
                          .batch = batch,
                          .context = model->seq,
                          .n_features = 20,
                          .n_outputs = 3,
                          .task = TASK_CLASSIFICATION,
                          .training = training,
                          .seed = 5};
}

typedef struct bench {
  program p;
  float *params, *grads;
} bench;

static void bench_open_in(bench *b, const program_config *c, plan_precision precision) {
  garam_error err;
  void *params, *grads = NULL;
  if (program_build(&b->p, c, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_int_equal(program_block(&params, &b->p, &err), GARAM_OK);
  if (c->training) assert_int_equal(program_block(&grads, &b->p, &err), GARAM_OK);
  graph_param_init(b->p.graph, params, 1);
  const plan_config plain = {.params = params, .grads = grads, .precision = precision};
  if (program_compile(&b->p, &plain, &err) != GARAM_OK) fail_msg("%s", err.message);
  b->params = params;
  b->grads = grads;
}

static void bench_open(bench *b, const program_config *c) {
  bench_open_in(b, c, PLAN_FULL);
}

static void bench_close(bench *b) {
  program_deinit(&b->p);
  mem_free_aligned(b->params);
  mem_free_aligned(b->grads);
}

static void bench_run(bench *b, const program_config *c, int64_t left_out) {
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  float *x = b->p.x, *weight = b->p.weight;
  const int64_t window = c->context * c->n_features;
  for (int64_t i = 0; i < c->batch; i++) {
    for (int64_t k = 0; k < window; k++) x[i * window + k] = (float)rng_normal(&r);
    b->p.begin[i] = (int32_t)(i % 3);
    if (!c->training) continue;
    weight[i] = i < left_out ? 1 : 0;
    b->p.target[i] = i < left_out ? (int32_t)(i % 3) : -1;
    if (i >= left_out) memset(x + i * window, 0, (size_t)window * sizeof *x);
  }
  assert_int_equal(plan_run(b->p.plan, 3, NULL), GARAM_OK);
}

static transformer_config published(int layers) {
  transformer_config c;
  opt_defaults(transformer_options, transformer_n_options, &c);
  c.layers = layers;
  return c;
}

/* Every shape of the published training step: B 32, T 64, d 512, heads 8, d_ff 2048. */
static void gradients_do_not_depend_on_threads(void **state) {
  (void)state;
  transformer_config model = published(1);
  program_config c = config_of(&model, 32, true);
  for (int precision = PLAN_FULL; precision <= PLAN_BF16; precision++) {
    bench b;
    bench_open_in(&b, &c, (plan_precision)precision);
    size_t bytes = graph_param_block(b.p.graph) * sizeof(float);
    float *first = mem_alloc(bytes);
    static const int threads[] = {1, 2, 4};
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
      thread_set_count(threads[i]);
      bench_run(&b, &c, 32);
      if (i == 0) memcpy(first, b.grads, bytes);
      assert_memory_equal(first, b.grads, bytes);
    }
    thread_set_count(0);
    double sum = 0;
    for (size_t i = 0; i < bytes / sizeof(float); i++) sum += fabs((double)first[i]);
    assert_true(sum > 0 && isfinite(sum));
    mem_free(first);
    bench_close(&b);
  }
}

static void layouts_are_the_same(void **state) {
  (void)state;
  transformer_config model = published(1);
  model.d_model = 24;
  model.d_ff = 40;
  program_config training = config_of(&model, 4, true), plain = config_of(&model, 9, false);
  bench a, b;
  bench_open(&a, &training);
  bench_open(&b, &plain);
  assert_int_equal(graph_param_block(a.p.graph), graph_param_block(b.p.graph));
  assert_int_equal(graph_param_count(a.p.graph), graph_param_count(b.p.graph));
  for (size_t i = 0; i < graph_param_count(a.p.graph); i++) {
    const param_info *x = graph_param_info(a.p.graph, i), *y = graph_param_info(b.p.graph, i);
    assert_string_equal(x->name, y->name);
    assert_int_equal(x->offset, y->offset);
    assert_int_equal(x->count, y->count);
  }
  bench_close(&a);
  bench_close(&b);
}

/* A batch of 6 of which 4 count is the batch of those 4. */
static void rows_left_out_do_not_count(void **state) {
  (void)state;
  transformer_config model = published(1);
  model.d_model = 24;
  model.d_ff = 40;
  model.dropout = 0;
  program_config four = config_of(&model, 4, true), six = config_of(&model, 6, true);
  bench a, b;
  bench_open(&a, &four);
  bench_open(&b, &six);
  bench_run(&a, &four, 4);
  bench_run(&b, &six, 4);
  assert_true(fabsf(*(const float *)a.p.loss - *(const float *)b.p.loss) < 1e-6f);
  double apart = 0, size = 0;
  for (size_t i = 0; i < graph_param_block(a.p.graph); i++) {
    apart += pow((double)a.grads[i] - (double)b.grads[i], 2);
    size += pow((double)a.grads[i], 2);
  }
  assert_true(size > 0 && sqrt(apart / size) < 1e-5);
  bench_close(&a);
  bench_close(&b);
}

/* ---- the gradient beside double's ---- */

/* Random inputs of the float program, and the same ones in double. */
static void same_inputs(program *p, program *truth, const program_config *c) {
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  const int64_t steps = c->batch * c->context, asked = p->reads_tokens ? steps : c->batch;
  for (int64_t i = 0; i < c->batch; i++) p->begin[i] = truth->begin[i] = (int32_t)(i % 3);
  for (int64_t i = 0; i < steps && p->reads_tokens; i++)
    p->tokens[i] = truth->tokens[i] = (int32_t)rng_below(&r, (uint64_t)c->n_outputs);
  for (int64_t i = 0; i < steps * c->n_features && !p->reads_tokens; i++) {
    bool there = i / c->n_features % c->context >= p->begin[i / c->n_features / c->context];
    float value = there ? (float)rng_normal(&r) : 0;
    ((float *)p->x)[i] = value;
    ((double *)truth->x)[i] = (double)value;
  }
  for (int64_t i = 0; i < asked; i++) {
    p->target[i] = truth->target[i] = (int32_t)rng_below(&r, (uint64_t)c->n_outputs);
    ((float *)p->weight)[i] = 1;
    ((double *)truth->weight)[i] = 1;
  }
}

/* The largest difference of a parameter's gradient, by norms. A gradient that is nothing (that of
 * the keys' bias) must be nothing beside the others. */
static double largest_error(const bench *b, const double *exact, const char **where) {
  double all = 0, worst = 0;
  for (size_t i = 0; i < graph_param_block(b->p.graph); i++) all += exact[i] * exact[i];
  for (size_t i = 0; i < graph_param_count(b->p.graph); i++) {
    const param_info *info = graph_param_info(b->p.graph, i);
    double off = 0, size = 0;
    for (size_t k = info->offset; k < info->offset + info->count; k++) {
      off += pow((double)b->grads[k] - exact[k], 2);
      size += exact[k] * exact[k];
    }
    double error = sqrt(off / fmax(size, 1e-6 * all));
    if (error > worst) *where = info->name;
    worst = fmax(worst, error);
  }
  return worst;
}

/* Operands with 8 bits are off by 2^-9 at most; smooth models keep a small multiple of that. Where
 * a ReLU is near its corner, rounding opens or shuts it, a share of about 2^-9 of them: the norm of
 * what that changes is its root. Float has no such room in either. */
static void gradients_are_within_the_format(void **state) {
  (void)state;
  transformer_config trading = published(1);
  trading.seq = 24;
  static const sequence_config sequence = {
      .d_model = 256, .heads = 4, .layers = 2, .d_ff = 512, .dropout = 0.1, .seq = 24};
  const struct {
    const model_ops *model;
    const void *config;
    double allowed[2];
  } cases[] = {{&model_gpt, &sequence, {1e-5, 8.0 / 512}},
               {&model_bert, &sequence, {1e-5, 8.0 / 512}},
               {&model_transformer, &trading, {1e-3, 3 * sqrt(1.0 / 512)}}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    program_config c = config_of(&trading, 6, true), exact;
    c.model = cases[i].model;
    c.model_config = cases[i].config;
    if (c.model->build_tokens) c.n_outputs = 40;
    exact = c;
    exact.real = DTYPE_F64;
    program truth;
    void *params, *grads;
    garam_error err;
    assert_int_equal(program_build(&truth, &exact, &err), GARAM_OK);
    assert_int_equal(program_block(&params, &truth, &err), GARAM_OK);
    assert_int_equal(program_block(&grads, &truth, &err), GARAM_OK);
    const plan_config blocks = {.params = params, .grads = grads};
    assert_int_equal(program_compile(&truth, &blocks, &err), GARAM_OK);
    for (int precision = PLAN_FULL; precision <= PLAN_BF16; precision++) {
      bench b;
      bench_open_in(&b, &c, (plan_precision)precision);
      for (size_t k = 0; k < graph_param_block(b.p.graph); k++)
        ((double *)params)[k] = (double)b.params[k];
      same_inputs(&b.p, &truth, &c);
      assert_int_equal(plan_run(b.p.plan, 3, NULL), GARAM_OK);
      assert_int_equal(plan_run(truth.plan, 3, NULL), GARAM_OK);
      const char *where = "";
      double worst = largest_error(&b, grads, &where);
      print_message("%s, %s: gradients within %.2g of double's (%s)\n", c.model->name,
                    precision ? "bf16" : "fp32", worst, where);
      assert_true(worst < cases[i].allowed[precision]);
      bench_close(&b);
    }
    program_deinit(&truth);
    mem_free_aligned(params);
    mem_free_aligned(grads);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_do_not_depend_on_threads),
      cmocka_unit_test(layouts_are_the_same),
      cmocka_unit_test(rows_left_out_do_not_count),
      cmocka_unit_test(gradients_are_within_the_format),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
