/* Nets and actors: widths, batch norm's two kinds of statistics, gradients of every form, who hears
 * whom, bounds of actions. */
#include "rl/actor.h"

#include "base/mem.h"
#include "base/rng.h"
#include "graph/check.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- nets ---- */

static void widths_are_read(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int n; /* -1: refused */
    int64_t last;
  } cases[] = {
      {"", 0, 0},     {"64", 1, 64},      {"256,128,7", 3, 7}, {"0", -1, 0},
      {"64,", -1, 0}, {"64;32", -1, 0},   {"a", -1, 0},        {"1,2,3,4,5,6,7,8,9", -1, 0},
      {"-3", -1, 0},  {"1000000", -1, 0}, {",64", -1, 0}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    net_config c = {0};
    int64_t widths[NET_MAX_LAYERS];
    int n;
    garam_error err = {0};
    snprintf(c.hidden, sizeof c.hidden, "%s", cases[i].text);
    const garam_status status = net_widths(widths, &n, &c, &err);
    if (cases[i].n < 0) {
      assert_int_equal(status, GARAM_INVALID);
      assert_non_null(strstr(err.message, "--hidden"));
      continue;
    }
    assert_int_equal(status, GARAM_OK);
    assert_int_equal(n, cases[i].n);
    if (n) assert_int_equal(widths[n - 1], cases[i].last);
  }
}

enum { ROWS = 6, WIDE = 3 };

static const float *norm_run(check_model *m, const net_config *c, bool training, bool running,
                             float *params, const float *x) {
  garam_error err = {0};
  assert_int_equal(graph_new(&m->graph, &(graph_config){DTYPE_F32, training, 1}, NULL), GARAM_OK);
  tensor *in = graph_input(m->graph, "x", DTYPE_REAL, 2, (const int64_t[]){ROWS, WIDE});
  graph_output(m->graph, "y", net_build(in, c, 0, &(net_scope){.name = "net", .running = running}));
  if (graph_compile(&m->plan, m->graph, &(plan_config){.params = params}, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  memcpy(plan_input(m->plan, "x", NULL), x, ROWS * WIDE * sizeof *x);
  assert_int_equal(plan_run(m->plan, 0, NULL), GARAM_OK);
  return plan_output(m->plan, "y", NULL);
}

/* In training each column has mean 0 and deviation 1 whatever the batch; otherwise a row's result
 * hangs on the running statistics alone, and update moves those towards the batch's. */
static void batch_norm_has_two_kinds_of_statistics(void **state) {
  (void)state;
  _Alignas(64) float params[256] = {0};
  net_config c = {.hidden = "5", .activation = NN_TANH, .norm = NET_NORM_BATCH};
  float x[ROWS * WIDE];
  rng r;
  rng_init(&r, 3, RNG_TEST, 0);
  for (int i = 0; i < ROWS * WIDE; i++) x[i] = (float)rng_normal(&r);
  check_model train = {0}, serve = {0}, frozen = {0};
  graph *g;
  assert_int_equal(graph_new(&g, &(graph_config){DTYPE_F32, true, 1}, NULL), GARAM_OK);
  net_build(graph_input(g, "x", DTYPE_REAL, 2, (const int64_t[]){ROWS, WIDE}), &c, 0,
            &(net_scope){.name = "net"});
  assert_true(graph_param_block(g) <= COUNT_OF(params));
  graph_param_init(g, params, 1);
  const float *y = norm_run(&train, &c, true, false, params, x);
  for (int k = 0; k < 5; k++) {
    double mean = 0, squares = 0;
    for (int i = 0; i < ROWS; i++) mean += atanh((double)y[i * 5 + k]) / ROWS;
    for (int i = 0; i < ROWS; i++) squares += pow(atanh((double)y[i * 5 + k]) - mean, 2) / ROWS;
    assert_true(fabs(mean) < 1e-5 && fabs(squares - 1) < 1e-3);
  }
  net_statistics s;
  assert_int_equal(net_statistics_init(&s, train.graph, train.plan, NULL), GARAM_OK);
  assert_int_equal(s.n, 2);
  for (size_t i = 0; i < s.n; i++) {
    float *running = params + s.rows[i].offset, was = running[1];
    net_statistics_update(&s, params, 0); /* stays */
    assert_true(running[1] == was);
  }
  net_statistics_update(&s, params, 1); /* all of it: both kinds now agree */
  const float *z = norm_run(&serve, &c, false, false, params, x);
  for (int i = 0; i < ROWS * 5; i++) assert_true(fabsf(z[i] - y[i]) < 1e-5f);
  const float first = z[0];
  const float *again = norm_run(&frozen, &c, true, true, params, x);
  assert_true(fabsf(again[0] - first) < 1e-6f);
  float other[ROWS * WIDE];
  memcpy(other, x, sizeof other);
  other[ROWS * WIDE - 1] += 4; /* another row: seen by the batch's statistics alone */
  memcpy(plan_input(serve.plan, "x", NULL), other, sizeof other);
  memcpy(plan_input(train.plan, "x", NULL), other, sizeof other);
  assert_int_equal(plan_run(serve.plan, 0, NULL), GARAM_OK);
  assert_int_equal(plan_run(train.plan, 0, NULL), GARAM_OK);
  assert_true(z[0] == first);
  assert_true(fabsf(y[0] - first) > 1e-4f);
  net_statistics_deinit(&s);
  check_model_deinit(&train);
  check_model_deinit(&serve);
  check_model_deinit(&frozen);
  graph_free(g);
}

/* ---- actors ---- */

enum { B = 2, A = 5, O = 4, U = 2 };
static const float low[U] = {-2, 1}, high[U] = {2, 4};
#define BOX                                                                                        \
  { ENV_BOX, U, low, high }
#define SEES(n)                                                                                    \
  { ENV_BOX, n, NULL, NULL }
/* A team of three alike, one alone, one that chooses. */
static const env_agent agents[A] = {{"a", "red", SEES(4), BOX},
                                    {"b", "red", SEES(4), BOX},
                                    {"lone", "blue", SEES(2), BOX},
                                    {"c", "red", SEES(4), BOX},
                                    {"chooser", "green", SEES(3), {ENV_DISCRETE, 3, NULL, NULL}}};
static const env_shape shape = {
    .n_agents = A, .agents = agents, .observation_width = O, .action_width = U, .world_bytes = 1};

static actor_spec spec_of(int communication, bool shared, actor_head box, actor_head choice) {
  actor_spec s = {.shape = &shape, .box_head = box, .choice_head = choice};
  s.config = (actor_config){.communication = communication,
                            .rounds = 2,
                            .message = 3,
                            .shared = shared,
                            .dueling = choice == ACTOR_VALUES};
  s.config.net = (net_config){.hidden = "6,5", .activation = NN_TANH};
  s.orthogonal = box == ACTOR_GAUSSIAN;
  return s;
}

static tensor *actor_loss(graph *g, void *context) {
  const actor_spec *spec = context;
  tensor *heads[ENV_MAX_AGENTS], *loss = NULL;
  tensor *x = graph_input(g, "observation", DTYPE_REAL, 3, (const int64_t[]){B, A, O});
  actor_build(heads, spec, x, &(net_scope){.name = "online"});
  for (int a = 0; a < A; a++) {
    assert_int_equal(tensor_dim(heads[a], 1), actor_head_width(spec, a));
    tensor *part = op_mean_all(op_square(op_scale(heads[a], 1, 0.1 * a)));
    if (agents[a].action.kind == ENV_BOX)
      part = op_add(part, op_mean_all(op_square(actor_box_action(spec, heads[a], a))));
    loss = loss ? op_add(loss, part) : part;
  }
  return loss;
}

static void fill_observation(plan *p, bool wide, void *context) {
  (void)context;
  void *x = plan_input(p, "observation", NULL);
  rng r;
  rng_init(&r, 4, RNG_TEST, 1);
  for (int i = 0; i < B * A * O; i++) {
    const double value = 0.5 * rng_normal(&r);
    if (wide) ((double *)x)[i] = value;
    else ((float *)x)[i] = (float)value;
  }
}

static void gradients_of_every_form(void **state) {
  (void)state;
  static const struct {
    actor_head box, choice;
    int norm;
  } heads[] = {{ACTOR_TANH, ACTOR_CATEGORICAL, NET_NORM_NONE},
               {ACTOR_GAUSSIAN, ACTOR_CATEGORICAL, NET_NORM_LAYER},
               {ACTOR_SQUASHED, ACTOR_VALUES, NET_NORM_BATCH}};
  for (size_t h = 0; h < COUNT_OF(heads); h++)
    for (int c = ACTOR_COMMUNICATION_NONE; c < ACTOR_COMMUNICATION_MATRIX; c++)
      for (int shared = 0; shared < 2; shared++) {
        actor_spec spec = spec_of(c, shared, heads[h].box, heads[h].choice);
        garam_error err = {0};
        check_result result;
        spec.config.net.norm = heads[h].norm;
        assert_int_equal(actor_check(&spec, &err), GARAM_OK);
        /* batch norm over two rows bends sharply: small steps */
        const check_case one = {actor_loss,
                                fill_observation,
                                &spec,
                                true,
                                5,
                                8,
                                heads[h].norm == NET_NORM_BATCH ? 1e-7 : 0};
        if (check_gradient(&result, &one, &err) != GARAM_OK) fail_msg("%s", err.message);
        if (result.gradient_error > 1e-4)
          fail_msg("head %zu, %s, shared %d: %g", h, actor_communication_names[c], shared,
                   result.gradient_error);
      }
}

typedef struct bench {
  graph *g;
  plan *plan;
  float *params, *x;
  const float *head[A];
} bench;

static void bench_open(bench *b, const actor_spec *spec) {
  tensor *heads[ENV_MAX_AGENTS];
  garam_error err = {0};
  assert_int_equal(graph_new(&b->g, &(graph_config){.real = DTYPE_F32}, NULL), GARAM_OK);
  tensor *x = graph_input(b->g, "observation", DTYPE_REAL, 3, (const int64_t[]){B, A, O});
  actor_build(heads, spec, x, &(net_scope){.name = ""});
  for (int a = 0; a < A; a++) {
    char name[16];
    snprintf(name, sizeof name, "%d", a);
    graph_output(b->g, name, heads[a]);
  }
  b->params = mem_alloc_aligned(graph_param_block(b->g) * sizeof *b->params, 64);
  graph_param_init(b->g, b->params, 2);
  if (graph_compile(&b->plan, b->g, &(plan_config){.params = b->params}, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  b->x = plan_input(b->plan, "observation", NULL);
  for (int a = 0; a < A; a++) {
    char name[16];
    snprintf(name, sizeof name, "%d", a);
    b->head[a] = plan_output(b->plan, name, NULL);
  }
}

static void bench_close(bench *b) {
  plan_free(b->plan);
  graph_free(b->g);
  mem_free_aligned(b->params);
}

/* What agent `who` sees in row 0 changes: which agents' heads change, in which rows? */
static void hearing_is_within_the_team(void **state) {
  (void)state;
  for (int c = ACTOR_COMMUNICATION_NONE; c <= ACTOR_COMMUNICATION_MATRIX; c++)
    for (int shared = 0; shared < 2; shared++)
      for (int who = 0; who < A; who++) {
        const actor_spec spec = spec_of(c, shared, ACTOR_TANH, ACTOR_CATEGORICAL);
        const bool talks = c != ACTOR_COMMUNICATION_NONE && c != ACTOR_COMMUNICATION_MATRIX;
        float before[A][B * 3];
        bench b;
        bench_open(&b, &spec);
        fill_observation(b.plan, false, NULL);
        assert_int_equal(plan_run(b.plan, 0, NULL), GARAM_OK);
        for (int a = 0; a < A; a++)
          memcpy(before[a], b.head[a], (size_t)(B * agents[a].action.n) * sizeof(float));
        b.x[who * O] += 1;
        b.x[who * O + 3] += agents[who].observation.n < O ? 1e3f : 0; /* not what it sees */
        assert_int_equal(plan_run(b.plan, 0, NULL), GARAM_OK);
        for (int a = 0; a < A; a++) {
          const size_t n = (size_t)agents[a].action.n;
          const bool same_team = strcmp(agents[a].team, agents[who].team) == 0;
          const bool heard = memcmp(before[a], b.head[a], n * sizeof(float)) != 0;
          assert_int_equal(heard, a == who || (talks && same_team));
          assert_memory_equal(before[a] + n, b.head[a] + n, n * sizeof(float)); /* other world */
        }
        bench_close(&b);
      }
}

/* A shared net has the parameters of one agent, but knows who it is: two agents that see the same
 * differ; without the one-hot's rows they would not. */
static void shared_nets_know_who_they_are(void **state) {
  (void)state;
  const actor_spec apart = spec_of(ACTOR_COMMUNICATION_NONE, false, ACTOR_TANH, ACTOR_CATEGORICAL),
                   shared = spec_of(ACTOR_COMMUNICATION_NONE, true, ACTOR_TANH, ACTOR_CATEGORICAL);
  bench a, b;
  bench_open(&a, &apart);
  bench_open(&b, &shared);
  const size_t net = 4 * 6 + 6 + 6 * 5 + 5 + 5 * 2 + 2;
  assert_int_equal(graph_param_scalars(a.g) - graph_param_scalars(b.g), 2 * net - 3 * 6);
  for (int i = 0; i < B * A * O; i++) b.x[i] = 0.3f;
  assert_int_equal(plan_run(b.plan, 0, NULL), GARAM_OK);
  assert_true(memcmp(b.head[0], b.head[1], U * sizeof(float)) != 0);
  const param_info *first = graph_param_info(b.g, 0);
  assert_string_equal(first->name, "actor.red.0.weight");
  memset(b.params + first->offset + 4 * 6, 0, 3 * 6 * sizeof(float));
  assert_int_equal(plan_run(b.plan, 0, NULL), GARAM_OK);
  for (int i = 0; i < U; i++) assert_true(fabsf(b.head[0][i] - b.head[1][i]) < 1e-6f);
  bench_close(&a);
  bench_close(&b);
}

static void actions_keep_their_bounds(void **state) {
  (void)state;
  static const actor_head kinds[] = {ACTOR_TANH, ACTOR_GAUSSIAN, ACTOR_SQUASHED};
  for (size_t k = 0; k < COUNT_OF(kinds); k++) {
    const actor_spec spec = spec_of(0, false, kinds[k], ACTOR_CATEGORICAL);
    const int64_t dims[2] = {3, actor_head_width(&spec, 0)};
    graph *g;
    plan *p;
    assert_int_equal(graph_new(&g, &(graph_config){.real = DTYPE_F32}, NULL), GARAM_OK);
    graph_output(g, "y", actor_box_action(&spec, graph_input(g, "x", DTYPE_REAL, 2, dims), 0));
    assert_int_equal(graph_compile(&p, g, &(plan_config){0}, NULL), GARAM_OK);
    float *x = plan_input(p, "x", NULL);
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < (int)dims[1]; j++) x[i * dims[1] + j] = (float)(i - 1) * 50;
    assert_int_equal(plan_run(p, 0, NULL), GARAM_OK);
    const float *y = plan_output(p, "y", NULL);
    static const float expected[3][U] = {{-2, 1}, {0, 2.5f}, {2, 4}};
    for (int i = 0; i < 3 * U; i++) assert_true(fabsf(y[i] - expected[i / U][i % U]) < 1e-6f);
    plan_free(p);
    graph_free(g);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  garam_error err = {0};
  actor_spec spec = spec_of(ACTOR_COMMUNICATION_MATRIX, false, ACTOR_TANH, ACTOR_CATEGORICAL);
  assert_int_equal(actor_check(&spec, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "chooser"));
  env_agent unlike[2] = {{"a", "red", SEES(4), BOX}, {"b", "red", SEES(3), BOX}};
  const env_shape two = {
      .n_agents = 2, .agents = unlike, .observation_width = 4, .action_width = 2, .world_bytes = 1};
  spec = spec_of(ACTOR_COMMUNICATION_MEAN, true, ACTOR_TANH, ACTOR_CATEGORICAL);
  spec.shape = &two;
  assert_int_equal(actor_check(&spec, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "--shared"));
  spec.config.shared = false;
  assert_int_equal(actor_check(&spec, &err), GARAM_OK);
  spec.config.net.hidden[0] = 0;
  assert_int_equal(actor_check(&spec, &err), GARAM_MISMATCH);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(widths_are_read),
      cmocka_unit_test(batch_norm_has_two_kinds_of_statistics),
      cmocka_unit_test(gradients_of_every_form),
      cmocka_unit_test(hearing_is_within_the_team),
      cmocka_unit_test(shared_nets_know_who_they_are),
      cmocka_unit_test(actions_keep_their_bounds),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
