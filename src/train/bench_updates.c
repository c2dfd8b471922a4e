/* The learning step of an actor and a critic: see bench_updates.h. Both nets lie in one flat block,
 * the actor first, so that the actor's gradient sees the critic where it is trained, and the
 * slow copies of both follow in one pass. */
#include "train/bench_updates.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "kernel/kernel.h"
#include "nn/nn.h"
#include "train/optim.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const opt_row bench_updates_options[] = {
    {"batch", OPT_INT, OPT_AT(bench_updates_config, batch), .def = 64, .min = 1, .max = 65536,
     .unit = "rows", .help = "transitions of an update"},
    {"observation", OPT_INT, OPT_AT(bench_updates_config, observation), .def = 24, .min = 1,
     .max = 4096, .help = "numbers that the actor sees"},
    {"action", OPT_INT, OPT_AT(bench_updates_config, action), .def = 4, .min = 1, .max = 4096,
     .help = "numbers that it chooses"},
    {"first", OPT_INT, OPT_AT(bench_updates_config, first), .def = 128, .min = 1, .max = 8192,
     .help = "width of the first hidden layer of either net"},
    {"second", OPT_INT, OPT_AT(bench_updates_config, second), .def = 64, .min = 1, .max = 8192,
     .help = "width of the second"},
    {"seconds", OPT_F64, OPT_AT(bench_updates_config, seconds), .def = 2, .min = 0.01, .max = 3600,
     .unit = "seconds", .help = "to measure for"},
    {"profile", OPT_BOOL, OPT_AT(bench_updates_config, profile),
     .help = "seconds by op of each of the three programs, on stderr"},
};
const size_t bench_updates_n_options = COUNT_OF(bench_updates_options);

enum { WARMUP = 100, WORTH_ITEMS = 1 << 18 };
static const double discounting = 0.99, tau = 0.005;

/* ---- the nets ---- */

static tensor *layer(tensor *x, int64_t n_out, bool frozen, const char *name) {
  if (!frozen) return nn_linear(x, n_out, NN_INIT_KAIMING, name);
  graph *g = tensor_graph(x);
  char full[NN_NAME_MAX];
  tensor *w =
      graph_param(g, nn_name(full, name, "weight"), 2, (const int64_t[]){tensor_dim(x, -1), n_out},
                  (param_init){INIT_KAIMING, 1, 0, 0}, PARAM_DECAY);
  tensor *b = graph_param(g, nn_name(full, name, "bias"), 1, &n_out,
                          (param_init){INIT_ZERO, 0, 0, 0}, PARAM_PLAIN);
  return op_linear(x, op_stop_gradient(w), op_stop_gradient(b));
}

static tensor *net(const bench_updates_config *c, tensor *x, int64_t n_out, bool frozen,
                   const char *scope) {
  char name[NN_NAME_MAX];
  x = op_relu(layer(x, c->first, frozen, nn_name(name, scope, "first")));
  x = op_relu(layer(x, c->second, frozen, nn_name(name, scope, "second")));
  return layer(x, n_out, frozen, nn_name(name, scope, "out"));
}

static tensor *actor(const bench_updates_config *c, tensor *s) {
  return op_tanh(net(c, s, c->action, false, "actor"));
}

static tensor *critic(const bench_updates_config *c, tensor *s, tensor *a, bool frozen) {
  const int64_t batch = c->batch;
  tensor *q = net(c, op_concat((tensor *const[]){s, a}, 2, 1), 1, frozen, "critic");
  return op_reshape(q, 1, &batch);
}

static tensor *input(graph *g, const bench_updates_config *c, const char *name, int64_t width) {
  const int64_t dims[2] = {c->batch, width};
  return graph_input(g, name, DTYPE_F32, width ? 2 : 1, dims);
}

/* ---- three programs over two blocks ---- */

typedef struct learner_ddpg {
  const bench_updates_config *config;
  plan *slow, *critic, *actor;
  optim_adamw *critic_optim, *actor_optim;
  float *params, *slow_params, *grads, *actor_grads;
  size_t block, critic_at; /* where the critic begins in a block */
  uint64_t version, slow_version;
  train_config train;
} learner_ddpg;

static garam_status block_new(float **out, size_t n, garam_error *err) {
  *out = mem_alloc_aligned(n * sizeof **out, 64);
  if (!*out) return fail_memory(err, n * sizeof **out);
  memset(*out, 0, n * sizeof **out);
  return GARAM_OK;
}

/* Of the next state: y = r + gamma q'(s', pi'(s')); a state that ended has a gamma of zero. */
static void build_slow(graph *g, const bench_updates_config *c) {
  tensor *s = input(g, c, "next", c->observation);
  tensor *q = critic(c, s, actor(c, s), false);
  graph_output(g, "y", op_add(input(g, c, "reward", 0), op_mul(q, input(g, c, "discount", 0))));
}

static void build_critic(graph *g, const bench_updates_config *c) {
  tensor *q =
      critic(c, input(g, c, "state", c->observation), input(g, c, "action", c->action), false);
  tensor *loss = op_mse(q, input(g, c, "y", 0), NULL);
  graph_output(g, "loss", loss);
  graph_grad(g, loss);
}

/* The actor climbs the critic, which stays as it is. */
static void build_actor(graph *g, const bench_updates_config *c) {
  tensor *s = input(g, c, "state", c->observation);
  tensor *loss = op_neg(op_mean_all(critic(c, s, actor(c, s), true)));
  graph_output(g, "loss", loss);
  graph_grad(g, loss);
}

static void build_actor_alone(graph *g, const bench_updates_config *c) {
  graph_output(g, "action", actor(c, input(g, c, "state", c->observation)));
}

static garam_status built(graph **out, void (*build)(graph *, const bench_updates_config *),
                          const bench_updates_config *c, garam_error *err) {
  TRY(graph_new(out, &(graph_config){.real = DTYPE_F32, .training = true}, err));
  build(*out, c);
  return graph_check(*out, err);
}

static void draw(learner_ddpg *l) {
  const bench_updates_config *c = l->config;
  const size_t n = (size_t)c->batch, n_s = n * (size_t)c->observation, n_a = n * (size_t)c->action;
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  float *state = plan_input(l->critic, "state", NULL), *next = plan_input(l->slow, "next", NULL);
  float *action = plan_input(l->critic, "action", NULL);
  float *reward = plan_input(l->slow, "reward", NULL);
  float *discount = plan_input(l->slow, "discount", NULL);
  for (size_t i = 0; i < n_s; i++) state[i] = (float)rng_normal(&r);
  for (size_t i = 0; i < n_s; i++) next[i] = (float)rng_normal(&r);
  for (size_t i = 0; i < n_a; i++) action[i] = (float)tanh(rng_normal(&r));
  for (size_t i = 0; i < n; i++) {
    reward[i] = (float)rng_normal(&r);
    discount[i] = rng_below(&r, 20) ? (float)discounting : 0;
  }
  memcpy(plan_input(l->actor, "state", NULL), state, n_s * sizeof *state);
}

static garam_status prepare(learner_ddpg *l, bench_updates_result *out, garam_error *err) {
  const bench_updates_config *c = l->config;
  graph *slow = NULL, *q = NULL, *pi = NULL, *alone = NULL;
  garam_status status = GARAM_OK;
  opt_defaults(train_options, train_n_options, &l->train);
  l->train.clip = 0;
  l->train.weight_decay = 0;
  TRY_GOTO(done, built(&slow, build_slow, c, err));
  TRY_GOTO(done, built(&q, build_critic, c, err));
  TRY_GOTO(done, built(&pi, build_actor, c, err));
  TRY_GOTO(done, built(&alone, build_actor_alone, c, err));
  l->block = graph_param_block(slow);
  l->critic_at = graph_param_block(alone);
  REQUIRE(l->block == graph_param_block(pi) && l->block == l->critic_at + graph_param_block(q),
          "the nets do not lie where they are looked for");
  TRY_GOTO(done, block_new(&l->params, l->block, err));
  TRY_GOTO(done, block_new(&l->slow_params, l->block, err));
  TRY_GOTO(done, block_new(&l->grads, l->block, err));
  TRY_GOTO(done, block_new(&l->actor_grads, l->block, err));
  graph_param_init(slow, l->params, 1);
  memcpy(l->slow_params, l->params, l->block * sizeof *l->params);
  TRY_GOTO(done,
           graph_compile(
               &l->slow, slow,
               &(plan_config){.params = l->slow_params, .params_version = &l->slow_version}, err));
  TRY_GOTO(done, graph_compile(&l->critic, q,
                               &(plan_config){.params = l->params + l->critic_at,
                                              .grads = l->grads + l->critic_at,
                                              .params_version = &l->version},
                               err));
  TRY_GOTO(done, graph_compile(&l->actor, pi,
                               &(plan_config){.params = l->params,
                                              .grads = l->actor_grads,
                                              .params_version = &l->version},
                               err));
  TRY_GOTO(done, optim_adamw_new(&l->critic_optim, q, &l->train, err));
  TRY_GOTO(done, optim_adamw_new(&l->actor_optim, alone, &l->train, err));
  out->parameters = graph_param_scalars(slow);
  out->flops = plan_flops(l->slow) + plan_flops(l->critic) + plan_flops(l->actor);
  draw(l);
done:
  graph_free(slow);
  graph_free(q);
  graph_free(pi);
  graph_free(alone);
  return status;
}

static garam_status update_once(learner_ddpg *l, uint64_t step, garam_error *err) {
  const double rate = 1e-3;
  TRY(plan_run(l->slow, step, err));
  memcpy(plan_input(l->critic, "y", NULL), plan_output(l->slow, "y", NULL),
         (size_t)l->config->batch * sizeof(float));
  TRY(plan_run(l->critic, step, err));
  optim_adamw_step(l->critic_optim, l->params + l->critic_at, l->grads + l->critic_at, rate, step);
  l->version++;
  TRY(plan_run(l->actor, step, err));
  optim_adamw_step(l->actor_optim, l->params, l->actor_grads, rate, step);
  l->version++;
  const int before = l->block < WORTH_ITEMS ? thread_narrow(1) : 0; /* as the optimiser does */
  kernel_table_f32()->blend(l->slow_params, l->params, tau, l->block);
  if (before) thread_set_count(before);
  l->slow_version++;
  return GARAM_OK;
}

garam_status bench_updates(bench_updates_result *out, const bench_updates_config *c,
                           garam_error *err) {
  *out = (bench_updates_result){0};
  learner_ddpg l = {.config = c};
  garam_status status = GARAM_OK;
  TRY_GOTO(done, prepare(&l, out, err));
  uint64_t step = 0;
  for (; step < WARMUP; step++) TRY_GOTO(done, update_once(&l, step, err));
  plan *const plans[] = {l.slow, l.critic, l.actor};
  for (size_t i = 0; c->profile && i < COUNT_OF(plans); i++) plan_profile(plans[i], true);
  const int64_t began = clock_monotonic_ns();
  const int64_t limit = (int64_t)(c->seconds * (double)CLOCK_NS_PER_SECOND);
  int64_t took = 0;
  for (; took < limit; took = clock_monotonic_ns() - began)
    for (int i = 0; i < 16; i++) TRY_GOTO(done, update_once(&l, step++, err));
  out->updates = step - WARMUP;
  for (size_t i = 0; c->profile && c->line && i < COUNT_OF(plans); i++)
    plan_profile_report(plans[i], c->line, c->context);
  out->seconds = (double)took / (double)CLOCK_NS_PER_SECOND;
  out->updates_per_second = (double)out->updates / out->seconds;
  out->critic_loss = (double)*(const float *)plan_output(l.critic, "loss", NULL);
  out->actor_loss = (double)*(const float *)plan_output(l.actor, "loss", NULL);
  if (!isfinite(out->critic_loss) || !isfinite(out->actor_loss))
    status =
        fail(err, GARAM_NUMERIC, "the losses are %g and %g", out->critic_loss, out->actor_loss);
done:
  plan_free(l.slow);
  plan_free(l.critic);
  plan_free(l.actor);
  optim_adamw_free(l.critic_optim);
  optim_adamw_free(l.actor_optim);
  mem_free_aligned(l.params);
  mem_free_aligned(l.slow_params);
  mem_free_aligned(l.grads);
  mem_free_aligned(l.actor_grads);
  return status;
}
