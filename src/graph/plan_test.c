/* The planner: blocks with lifetimes never meet in memory, tensors that live at the same time never
 * overlap, random graphs give the same bits with and without reuse, gradients land in the
 * caller's block. */
#include "graph/check.h"
#include "graph/plan.h"

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

/* ---- memory.c on its own ---- */

static void test_blocks_never_meet(void **state) {
  (void)state;
  enum { N = 120 };
  for (uint64_t round = 0; round < 60; round++) {
    memory_block b[N];
    rng r;
    rng_init(&r, 1, RNG_TEST, round);
    size_t sum = 0;
    for (int i = 0; i < N; i++) {
      uint32_t begin = (uint32_t)rng_below(&r, 100);
      b[i] = (memory_block){.bytes = 1 + rng_below(&r, 5000),
                            .begin = begin,
                            .end = begin + (uint32_t)rng_below(&r, round < 30 ? 10 : 60)};
      sum += (b[i].bytes + 63) / 64 * 64;
    }
    size_t total;
    assert_int_equal(memory_layout(b, N, true, &total, NULL), GARAM_OK);
    size_t live_most = 0;
    for (uint32_t step = 0; step < 160; step++) {
      size_t live = 0;
      for (int i = 0; i < N; i++)
        if (b[i].begin <= step && step <= b[i].end) live += (b[i].bytes + 63) / 64 * 64;
      if (live > live_most) live_most = live;
    }
    assert_true(total >= live_most && total <= live_most + live_most / 3 && total < sum);
    for (int i = 0; i < N; i++) {
      assert_int_equal(b[i].offset % MEMORY_ALIGN, 0);
      assert_true(b[i].offset + b[i].bytes <= total);
      for (int k = 0; k < i; k++) {
        bool in_time = b[i].begin <= b[k].end && b[k].begin <= b[i].end;
        bool in_place =
            b[i].offset < b[k].offset + b[k].bytes && b[k].offset < b[i].offset + b[i].bytes;
        assert_false(in_time && in_place);
      }
    }
  }
}

/* ---- random graphs ---- */

enum { POOL = 12, N_OPS = 40 };

static tensor *random_step(tensor *const *pool, rng *r) {
  tensor *a = pool[rng_below(r, POOL)], *b = pool[rng_below(r, POOL)];
  switch (rng_below(r, 16)) { /* all shapes are (4,6) on entry and on return */
  case 0: return op_add(a, b);
  case 1: return op_mul(a, op_tanh(b));
  case 2: return op_sub(a, op_mean(b, 0, true));
  case 3: return op_maximum(a, b);
  case 4: return op_relu(a);
  case 5: return op_gelu(a);
  case 6: return op_softmax(a);
  case 7: return op_layer_norm(a, NULL, op_sum(b, 0, false), 1e-5);
  case 8: return op_transpose(op_reshape(a, DIMS(6, 4)), (int[]){1, 0});
  case 9: return op_matmul(op_matmul(a, b, false, true), op_tanh(a), false, false);
  case 10: return op_concat((tensor *[]){op_slice(a, 1, 2, 6), op_slice(b, 1, 0, 2)}, 2, 1);
  case 11: return op_reshape(op_scale(op_reshape(a, DIMS(2, 12)), 0.5, 0.1), DIMS(4, 6));
  case 12: return op_dropout(a, 0.2);
  case 13: return op_add(a, op_dropout(op_relu(b), 0.3));
  case 14: return op_mul(a, op_stop_gradient(op_sigmoid(a)));
  default: return op_scale(op_max(op_reshape(op_add(a, b), DIMS(4, 6, 1)), 2, false), 0.5, 0);
  }
}

static tensor *build_random(graph *g, void *context) {
  rng r;
  rng_init(&r, 4, RNG_TEST, *(const uint64_t *)context);
  tensor *pool[POOL];
  for (int i = 0; i < POOL; i++) {
    char name[16];
    snprintf(name, sizeof name, "p%d", i);
    pool[i] = graph_param(g, name, DIMS(4, 6), (param_init){.kind = INIT_NORMAL, .scale = 1}, 0);
  }
  for (int i = 0; i < N_OPS; i++) {
    size_t at = (size_t)rng_below(&r, POOL);
    pool[at] = op_tanh(random_step(pool, &r));
    char name[16];
    snprintf(name, sizeof name, "o%d", i);
    if (i % 9 == 0) graph_output(g, name, pool[at]);
  }
  tensor *loss = op_sum_all(pool[0]);
  for (int i = 1; i < POOL / 2; i++) loss = op_add(loss, op_mean_all(op_square(pool[i])));
  return loss;
}

/* First and last step at which the memory of each root is needed, found without plan.c's help. */
static void check_no_overlap(const plan *p) {
  const graph *g = p->graph;
  typedef struct life {
    const tensor *t;
    size_t begin, end;
    const char *from, *to;
  } life;
  life *lives = calloc(g->n_tensors, sizeof *lives);
  size_t n = 0;
  for (size_t i = 0; i < p->n_steps; i++)
    for (int k = 0; k < p->steps[i].run.node->n_outputs; k++) {
      const tensor *t = p->steps[i].run.node->outputs[k];
      const char *at = plan_address(p, t);
      if (at) lives[n++] = (life){t, i, i, at, at + tensor_bytes(t)};
    }
  for (size_t l = 0; l < n; l++) {
    for (size_t i = lives[l].begin; i < p->n_steps; i++)
      for (int k = 0; k < p->steps[i].run.node->n_inputs; k++) {
        const tensor *t = p->steps[i].run.node->inputs[k];
        while (t && t->node->op->flags & OP_ALIAS) t = t->node->inputs[0];
        if (t == lives[l].t) lives[l].end = i;
      }
    for (size_t o = 0; o < g->n_outputs; o++) {
      const tensor *t = g->outputs[o].tensor;
      while (t->node->op->flags & OP_ALIAS) t = t->node->inputs[0];
      if (t == lives[l].t) lives[l].end = p->n_steps;
    }
  }
  for (size_t a = 0; a < n; a++)
    for (size_t b = 0; b < a; b++) { /* b is made before a, or with it */
      if (lives[a].from >= lives[b].to || lives[b].from >= lives[a].to) continue;
      bool handed_over = lives[b].end == lives[a].begin && lives[b].begin < lives[a].begin &&
                         lives[a].from == lives[b].from && lives[a].t->node->op->in_place;
      if (lives[b].end >= lives[a].begin && !handed_over)
        fail_msg("%s of step %zu lies over %s of steps %zu to %zu", lives[a].t->node->op->name,
                 lives[a].begin, lives[b].t->node->op->name, lives[b].begin, lives[b].end);
    }
  for (size_t i = 0; i < p->n_steps; i++) /* scratch meets nothing that lives */
    for (size_t a = 0; p->steps[i].run.scratch && a < n; a++) {
      const char *s = p->steps[i].run.scratch;
      size_t bytes = p->blocks[p->steps[i].scratch_block].bytes;
      bool in_time = lives[a].begin <= i && i <= lives[a].end;
      assert_false(in_time && lives[a].from < s + bytes && s < lives[a].to);
    }
  free(lives);
}

static void test_random_graphs(void **state) {
  (void)state;
  size_t reused = 0, apart = 0;
  for (uint64_t round = 0; round < 60; round++) {
    check_case c = {.build = build_random, .context = &round, .training = true, .seed = round};
    check_model m[3];
    static const plan_config configs[] = {
        {0}, {.no_reuse = true}, {.no_reuse = true, .keep_order = true}};
    for (int k = 0; k < 3; k++) {
      garam_error err;
      if (check_model_init(&m[k], &c, DTYPE_F64, &configs[k], &err) != GARAM_OK)
        fail_msg("round %d: %s", (int)round, err.message);
      check_model_loss(&m[k], 3);
    }
    check_no_overlap(m[0].plan);
    assert_memory_equal(m[0].grads, m[1].grads, m[0].bytes);
    for (int i = 0; i < N_OPS; i += 9) {
      char name[16];
      size_t bytes;
      snprintf(name, sizeof name, "o%d", i);
      const void *one = plan_output(m[0].plan, name, &bytes);
      assert_memory_equal(one, plan_output(m[1].plan, name, NULL), bytes);
    }
    const double *x = m[0].grads, *y = m[2].grads;
    for (size_t i = 0; i < m[0].bytes / sizeof *x; i++)
      assert_true(fabs(x[i] - y[i]) <= 1e-9 * (1 + fabs(y[i])));
    reused += plan_arena_bytes(m[0].plan);
    apart += plan_arena_bytes(m[1].plan);
    for (int k = 0; k < 3; k++) check_model_deinit(&m[k]);
  }
  assert_true(reused < apart / 2);
}

/* ---- what the caller sees ---- */

static float block_p[64] __attribute__((aligned(64)));
static float block_g[64] __attribute__((aligned(64)));

static void test_gradients_land_in_the_block(void **state) {
  (void)state;
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){0}, NULL), GARAM_OK);
  param_init one = {.kind = INIT_ONE};
  tensor *a = graph_param(g, "a", DIMS(3), one, 0);
  tensor *b = graph_param(g, "b", DIMS(3), one, 0);
  graph_param(g, "idle", DIMS(2), one, 0);
  tensor *x = graph_input(g, "x", DTYPE_REAL, DIMS(3));
  tensor *loss = op_sum_all(op_mul(op_add(a, b), x)); /* da and db are one tensor: x */
  graph_grad(g, loss);
  graph_output(g, "da", tensor_grad(a));
  assert_null(tensor_grad(graph_param(g, "idle", DIMS(2), one, 0)));
  graph_param_init(g, block_p, 1);
  plan *p;
  garam_error err;
  assert_int_equal(graph_compile(&p, g, &(plan_config){.params = block_p, .grads = block_g}, &err),
                   GARAM_OK);
  graph_free(g); /* a plan stands on its own */
  memcpy(plan_input(p, "x", NULL), (float[]){1, 2, 3}, 12);
  for (int run = 0; run < 2; run++) {
    memset(block_g, 0x7f, 3 * 16 * sizeof *block_g); /* what the caller leaves is overwritten */
    plan_run(p, 0, NULL);
    for (int i = 0; i < 3; i++) {
      assert_true(block_g[i] == (float)(i + 1));
      assert_true(block_g[16 + i] == (float)(i + 1));
    }
    assert_true(block_g[32] == 0 && block_g[33] == 0);
  }
  assert_memory_equal(plan_output(p, "da", NULL), block_g, 12);
  plan_free(p);
}

static void test_inputs_stay(void **state) {
  (void)state;
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){0}, NULL), GARAM_OK);
  tensor *x = graph_input(g, "x", DTYPE_REAL, DIMS(5));
  graph_input(g, "unread", DTYPE_I32, DIMS(2));
  graph_output(g, "y", op_relu(op_neg(x)));
  graph_output(g, "same", x);
  plan *p;
  assert_int_equal(graph_compile(&p, g, &(plan_config){0}, NULL), GARAM_OK);
  float *in = plan_input(p, "x", NULL);
  assert_non_null(plan_input(p, "unread", NULL));
  for (int i = 0; i < 5; i++) in[i] = (float)(i - 2);
  for (int run = 0; run < 2; run++) plan_run(p, 0, NULL); /* the second without writing inputs */
  const float *y = plan_output(p, "y", NULL);
  assert_ptr_equal(plan_output(p, "same", NULL), in);
  for (int i = 0; i < 5; i++) assert_true(y[i] == (float)(i < 2 ? 2 - i : 0));
  plan_free(p);
  graph_free(g);
}

static void test_constants_are_folded(void **state) {
  (void)state;
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){.training = true}, NULL), GARAM_OK);
  tensor *c = graph_constant(g, DIMS(2, 2), (double[]){1, 2, 3, 4});
  tensor *t = op_transpose(op_add(op_square(c), graph_fill(g, DIMS(2), 0.5)), (int[]){1, 0});
  graph_output(g, "t", op_reshape(t, DIMS(4)));
  graph_output(g, "random", op_dropout(graph_fill(g, DIMS(64), 1), 0.5)); /* stays */
  plan *p;
  assert_int_equal(graph_compile(&p, g, &(plan_config){0}, NULL), GARAM_OK);
  assert_int_equal(p->n_steps, 1);
  plan_run(p, 0, NULL);
  const float *y = plan_output(p, "t", NULL);
  assert_true(y[0] == 1.5F && y[1] == 9.5F && y[2] == 4.5F && y[3] == 16.5F);
  plan_free(p);
  graph_free(g);
}

/* Every node that draws masks: dropout, a sum with one, an activation with one, attention. */
static plan *masked_plan(int64_t batch) {
  enum { T = 6, C = 4 };
  graph *g;
  plan *p;
  assert_int_equal(graph_new(&g, &(graph_config){.training = true, .seed = 3}, NULL), GARAM_OK);
  tensor *x = graph_input(g, "x", DTYPE_REAL, DIMS(batch, T, C));
  tensor *h = op_add(x, op_dropout(op_scale(x, 2, 0), 0.4));
  h = op_dropout(op_relu(op_add(h, graph_fill(g, DIMS(C), 0.5))), 0.3);
  h = op_attention(h, h, h, NULL, &(attention_options){.n_heads = 2, .dropout = 0.4});
  graph_output(g, "y", op_dropout(h, 0.5));
  assert_int_equal(graph_compile(&p, g, &(plan_config){0}, NULL), GARAM_OK);
  graph_free(g);
  return p;
}

static void test_parts_draw_the_masks_of_the_whole(void **state) {
  (void)state;
  enum { BATCH = 6, WINDOW = 24 };
  plan *whole = masked_plan(BATCH);
  float *in = plan_input(whole, "x", NULL);
  for (int i = 0; i < BATCH * WINDOW; i++) in[i] = (float)(i % 7) - 2.5F;
  plan_run(whole, 8, NULL);
  for (int64_t rows = 1; rows <= 3; rows++) {
    plan *part = masked_plan(rows);
    for (int64_t at = 0; at < BATCH; at += rows) {
      memcpy(plan_input(part, "x", NULL), in + at * WINDOW, (size_t)rows * WINDOW * sizeof *in);
      plan_run_part(part, 8, (uint64_t)(at / rows), NULL);
      const float *got = plan_output(part, "y", NULL);
      const float *want = (const float *)plan_output(whole, "y", NULL) + at * WINDOW;
      for (int64_t i = 0; i < rows * WINDOW; i++) {
        assert_true((got[i] == 0) == (want[i] == 0));
        assert_true(fabsf(got[i] - want[i]) <= 1e-5F * fabsf(want[i]));
      }
    }
    plan_free(part);
  }
  plan_free(whole);
}

/* A dry plan says what a real one takes, without the caller's blocks. */
static void test_dry_plans_say_what_is_taken(void **state) {
  (void)state;
  for (uint64_t round = 0; round < 5; round++)
    for (int accumulate = 0; accumulate < 2; accumulate++) {
      check_case c = {.build = build_random, .context = &round, .training = true};
      plan_config config = {.accumulate = accumulate, .precision = PLAN_BF16};
      check_model m;
      assert_int_equal(check_model_init(&m, &c, DTYPE_F32, &config, NULL), GARAM_OK);
      plan *p;
      config.dry = true;
      assert_int_equal(graph_compile(&p, m.graph, &config, NULL), GARAM_OK);
      assert_true(plan_bytes(p) > 0);
      assert_int_equal(plan_bytes(p), plan_bytes(m.plan));
      assert_int_equal(plan_arena_bytes(p) + plan_packed_bytes(p), plan_bytes(p));
      plan_free(p);
      check_model_deinit(&m);
    }
}

/* y = x (w0 + w1) W2, in half precision: the sum hangs on parameters alone, both products read
 * packed weights. They are made anew when the version moved, and in every run when nobody counts.
 */
static void test_what_hangs_on_parameters_is_never_stale(void **state) {
  (void)state;
  enum { N = 40 };
  for (int precision = PLAN_FULL; precision <= PLAN_BF16; precision++)
    for (int counted = 0; counted < 2; counted++) {
      graph *g;
      plan *p;
      assert_int_equal(graph_new(&g, &(graph_config){.training = true}, NULL), GARAM_OK);
      param_init init = {.kind = INIT_ONE};
      tensor *x = graph_input(g, "x", DTYPE_REAL, DIMS(N, N));
      tensor *w = op_add(graph_param(g, "w0", DIMS(N, N), init, 0),
                         graph_param(g, "w1", DIMS(N, N), init, 0));
      tensor *h = op_linear(x, w, NULL);
      tensor *y = op_linear(h, graph_param(g, "w2", DIMS(N, N), init, 0), NULL);
      graph_output(g, "y", y);
      graph_grad(g, op_sum_all(op_square(y)));
      graph_output(g, "dx", tensor_grad(x));
      size_t bytes = graph_param_block(g) * sizeof(float);
      float *params = mem_alloc_aligned(bytes, 64), *grads = mem_alloc_aligned(bytes, 64);
      graph_param_init(g, params, 1);
      uint64_t version = 7;
      plan_config config = {.params = params,
                            .grads = grads,
                            .precision = (plan_precision)precision,
                            .params_version = counted ? &version : NULL};
      assert_int_equal(graph_compile(&p, g, &config, NULL), GARAM_OK);
      assert_true(p->n_fixed == 1);
      assert_true((plan_packed_bytes(p) > 0) == (precision == PLAN_BF16));
      float *in = plan_input(p, "x", NULL);
      for (int i = 0; i < N * N; i++) in[i] = 1;
      const float *out = plan_output(p, "y", NULL), *dx = plan_output(p, "dx", NULL);
      for (int round = 0; round < 3; round++) {
        float scale = (float)(1 << round);
        for (size_t i = 0; i < bytes / sizeof *params; i++) params[i] = scale;
        version++;
        for (int run = 0; run < 3; run++) { /* the second and third without a change */
          plan_run(p, 0, NULL);
          for (int i = 0; i < N * N; i++) {
            float want = 2 * scale * scale * N * N;
            assert_true(fabsf(out[i] - want) <= 0.01F * want);
            assert_true(fabsf(dx[i] - 2 * want * want) <= 0.02F * want * want);
          }
        }
      }
      plan_free(p);
      graph_free(g);
      mem_free_aligned(params);
      mem_free_aligned(grads);
    }
}

typedef struct lines {
  int n;
  char all[16384];
} lines;

static void collect(void *context, const char *text) {
  lines *l = context;
  l->n++;
  strncat(l->all, text, sizeof l->all - strlen(l->all) - 2);
  strcat(l->all, "\n");
}

static void test_describe_and_profile(void **state) {
  (void)state;
  uint64_t round = 1;
  check_case c = {.build = build_random, .context = &round, .training = true};
  check_model m;
  assert_int_equal(check_model_init(&m, &c, DTYPE_F32, NULL, NULL), GARAM_OK);
  lines l = {0};
  plan_describe(m.plan, collect, &l);
  assert_int_equal(l.n, (int)m.plan->n_steps + 1);
  assert_non_null(strstr(l.all, "grads+"));
  assert_non_null(strstr(l.all, "arena+"));
  assert_true(plan_flops(m.plan) > 1000);
  plan_profile(m.plan, true);
  for (uint64_t i = 0; i < 5; i++) plan_run(m.plan, i, NULL);
  plan_profile(m.plan, false);
  double seconds = 0;
  for (size_t i = 0; i < m.plan->n_steps; i++) seconds += m.plan->steps[i].seconds;
  assert_true(seconds > 0);
  memset(&l, 0, sizeof l);
  plan_profile_report(m.plan, collect, &l);
  assert_non_null(strstr(l.all, "GFLOP/s"));
  check_model_deinit(&m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_blocks_never_meet),
      cmocka_unit_test(test_random_graphs),
      cmocka_unit_test(test_gradients_land_in_the_block),
      cmocka_unit_test(test_inputs_stay),
      cmocka_unit_test(test_constants_are_folded),
      cmocka_unit_test(test_parts_draw_the_masks_of_the_whole),
      cmocka_unit_test(test_dry_plans_say_what_is_taken),
      cmocka_unit_test(test_what_hangs_on_parameters_is_never_stale),
      cmocka_unit_test(test_describe_and_profile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
