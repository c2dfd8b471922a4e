/* The programs of an off-policy learner, as graphs: see off_policy.h.
 *
 * Names of inputs: observation, next (B, A, O); state, next_state (B, S); action (B, A, V); reward,
 * discount, weight, y (B, A); noise (B, A, V): of targets (smoothing, or the normal of a squashed
 * actor, or Gumbel's of relaxed choices), and own_noise, of what the actor would do now. */
#include "rl/off_policy.h"

#include "base/mem.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- inputs -----------------------------------------------------------------------------------
 */

static tensor *in3(graph *g, const off_policy *l, const char *name, size_t width) {
  return graph_input(g, name, DTYPE_F32, 3,
                     (const int64_t[]){l->config.batch, (int64_t)l->agents, (int64_t)width});
}

static tensor *in2(graph *g, const off_policy *l, const char *name, size_t width) {
  return graph_input(g, name, DTYPE_F32, 2, (const int64_t[]){l->config.batch, (int64_t)width});
}

static tensor *in_state(graph *g, const off_policy *l, const char *name) {
  const bool used = l->s > 0 && l->config.critics == CRITIC_CENTRALISED && !l->kind->values;
  return used ? in2(g, l, name, l->s) : NULL;
}

/* ---- actors -----------------------------------------------------------------------------------
 */

typedef struct acted {
  tensor *action;    /* (B, A, V) encoded */
  tensor *log_prob;  /* (B, A), or NULL */
  tensor *magnitude; /* mean square of the heads */
} acted;

static tensor *padded(tensor *x, size_t width) { /* (B, w) -> (B, 1, V) */
  const int64_t batch = tensor_dim(x, 0), have = tensor_dim(x, 1), v = (int64_t)width;
  if (have < v) {
    tensor *zeros = graph_fill(tensor_graph(x), 2, (const int64_t[]){batch, v - have}, 0);
    x = op_concat((tensor *const[]){x, zeros}, 2, 1);
  }
  return op_reshape(x, 3, (const int64_t[]){batch, 1, v});
}

static tensor *noise_of(tensor *z, int a, int n) { /* (B, A, V) -> (B, n) */
  const int64_t dims[2] = {tensor_dim(z, 0), n};
  if (tensor_dim(z, 1) > 1) z = op_slice(z, 1, a, a + 1);
  if (tensor_dim(z, 2) > n) z = op_slice(z, 2, 0, n);
  return op_reshape(z, 2, dims);
}

/* 1 at the largest of each row, exactly (near ties of floats are far apart times 1e9). */
static tensor *hardened(tensor *x) {
  return op_clamp(op_scale(op_sub(x, op_max(x, 1, true)), 1e9, 1), 0, 1);
}

/* Jang, Gu & Poole 2017: a sample of the choices, relaxed; straight: as a one-hot that passes the
 * relaxed one's gradient. */
static tensor *relaxed(const off_policy *l, tensor *logits, tensor *gumbel) {
  tensor *soft = op_softmax(
      op_scale(gumbel ? op_add(logits, gumbel) : logits, 1 / l->config.relaxation_temperature, 0));
  if (l->config.relaxation == RELAX_SOFT) return soft;
  return op_add(soft, op_stop_gradient(op_sub(hardened(soft), soft)));
}

/* u = tanh(mean + deviation * z), and log pi(u) (Haarnoja et al. 2018, appendix C; log(1 -
 * tanh^2 x) as 2 (log 2 - x - softplus(-2 x)), which does not cancel). */
static tensor *squashed(tensor *head, tensor *z, int n, tensor **log_prob) {
  static const double log_2 = 0.6931471805599453, half_log_2pi = 0.9189385332046727;
  tensor *mean = op_slice(head, 1, 0, n);
  tensor *log_deviation = actor_log_deviation(op_slice(head, 1, n, 2 * n));
  tensor *x = op_add(mean, op_mul(op_exp(log_deviation), z));
  tensor *normal = op_add(op_scale(op_square(z), 0.5, half_log_2pi), log_deviation);
  tensor *bend = op_scale(op_add(x, op_softplus(op_scale(x, -2, 0))), -2, 2 * log_2);
  *log_prob = op_neg(op_sum(op_add(normal, bend), 1, true));
  return op_tanh(x);
}

/* What actors do at `observation`. drawn may be NULL for tanh actors and choices. */
static acted act(const off_policy *l, tensor *observation, tensor *drawn, bool smooth,
                 const net_scope *scope) {
  tensor *heads[ENV_MAX_AGENTS], *actions[ENV_MAX_AGENTS], *log_probs[ENV_MAX_AGENTS];
  acted out = {0};
  actor_build(heads, &l->actor, observation, scope);
  for (size_t a = 0; a < l->agents; a++) {
    const int n = l->shape->agents[a].action.n;
    tensor *z = drawn ? noise_of(drawn, (int)a, n) : NULL, *u;
    tensor *squares = op_mean_all(op_square(heads[a]));
    if (l->shape->agents[a].action.kind != ENV_BOX) u = relaxed(l, heads[a], z);
    else if (l->kind->entropy) u = squashed(heads[a], z, n, &log_probs[a]);
    else {
      u = op_tanh(heads[a]);
      if (smooth && z) u = op_clamp(op_add(u, z), -1, 1);
    }
    actions[a] = padded(u, l->v);
    out.magnitude = out.magnitude ? op_add(out.magnitude, squares) : squares;
  }
  const int n = (int)l->agents;
  out.action = n == 1 ? actions[0] : op_concat(actions, n, 1);
  if (l->kind->entropy) out.log_prob = n == 1 ? log_probs[0] : op_concat(log_probs, n, 1);
  return out;
}

static tensor *log_temperature(const off_policy *l, graph *g) {
  const int64_t n = (int64_t)l->agents;
  return graph_param(g, "temperature.log", 1, &n, (param_init){INIT_ZERO, 0, 0, 0}, PARAM_PLAIN);
}

/* Parameters of actors in their order, for graphs that need them in place. */
static void actors_alone(graph *g, const off_policy *l) {
  tensor *heads[ENV_MAX_AGENTS];
  actor_build(heads, &l->actor, in3(g, l, "observation", l->o), &(net_scope){.name = ""});
  if (l->kind->entropy) log_temperature(l, g);
}

/* ---- critics ----------------------------------------------------------------------------------
 */

static tensor *least(const off_policy *l, const critic_input *in, tensor *own,
                     const net_scope *scope, int n_critics) {
  tensor *q = NULL;
  for (int i = 0; i < n_critics; i++) {
    tensor *one = own ? critic_build_own(&l->critic, i, in, own, scope)
                      : critic_build(&l->critic, i, in, scope);
    q = q ? op_minimum(q, one) : one;
  }
  return q;
}

/* r + discount (q - temperature log pi). */
static tensor *target_of(const off_policy *l, graph *g, tensor *q, const acted *next) {
  if (l->kind->entropy) {
    tensor *temperature = op_exp(op_stop_gradient(log_temperature(l, g)));
    q = op_sub(q, op_mul(next->log_prob, temperature));
  }
  const size_t n = l->agents;
  return op_add(in2(g, l, "reward", n), op_mul(q, in2(g, l, "discount", n)));
}

/* Sum over critics and agents of the mean weighted square of (q - y); "error" is the first one's.
 */
static void critics_loss(const off_policy *l, graph *g, tensor *const *q, tensor *y) {
  tensor *loss = NULL, *weight = in2(g, l, "weight", l->agents);
  for (int i = 0; i < l->config.n_critics; i++) {
    tensor *error = op_sub(q[i], y);
    tensor *one = op_scale(op_mean_all(op_mul(weight, op_square(error))), (double)l->agents, 0);
    if (i == 0) graph_output(g, "error", error);
    loss = loss ? op_add(loss, one) : one;
  }
  graph_output(g, "loss", loss);
  graph_grad(g, loss);
}

static bool needs_noise(const off_policy *l) {
  bool choices = false;
  for (size_t a = 0; a < l->agents; a++) choices |= l->shape->agents[a].action.kind == ENV_DISCRETE;
  return l->kind->entropy || choices;
}

static void build_slow(graph *g, const off_policy *l) {
  const net_scope scope = {.name = ""};
  tensor *x = in3(g, l, "next", l->o), *drawn = NULL;
  if (l->kind->entropy || l->config.target_noise > 0 ||
      (needs_noise(l) && l->config.relaxation == RELAX_SOFT))
    drawn = in3(g, l, "noise", l->v);
  acted next = act(l, x, drawn, true, &scope);
  const critic_input in = {x, in_state(g, l, "next_state"), next.action};
  if (l->kind->entropy) log_temperature(l, g);
  graph_output(g, "y", target_of(l, g, least(l, &in, NULL, &scope, l->config.n_critics), &next));
}

static void build_critic(graph *g, const off_policy *l) {
  const net_scope scope = {.name = ""};
  const critic_input in = {in3(g, l, "observation", l->o), in_state(g, l, "state"),
                           in3(g, l, "action", l->v)};
  tensor *q[2];
  for (int i = 0; i < l->config.n_critics; i++) q[i] = critic_build(&l->critic, i, &in, &scope);
  critics_loss(l, g, q, in2(g, l, "y", l->agents));
}

/* CrossQ (Bhatt et al. 2024): what is now and what is next go through the critic side by side, so
 * that batch norm sees both; no targets. */
static void build_joint(graph *g, const off_policy *l) {
  const net_scope scope = {.name = ""}, still = {.name = "", .frozen = true, .running = true};
  const int64_t b = l->config.batch;
  tensor *x = in3(g, l, "observation", l->o), *next = in3(g, l, "next", l->o);
  tensor *drawn = l->kind->entropy || l->config.target_noise > 0 ? in3(g, l, "noise", l->v) : NULL;
  acted then = act(l, next, drawn, true, &still);
  if (l->kind->entropy) log_temperature(l, g);
  tensor *state = in_state(g, l, "state"), *next_state = in_state(g, l, "next_state");
  tensor *states[2] = {state, next_state};
  const critic_input both = {
      op_concat((tensor *const[]){x, next}, 2, 0), state ? op_concat(states, 2, 0) : NULL,
      op_concat((tensor *const[]){in3(g, l, "action", l->v), op_stop_gradient(then.action)}, 2, 0)};
  tensor *q[2], *low = NULL;
  for (int i = 0; i < l->config.n_critics; i++) {
    tensor *all = critic_build(&l->critic, i, &both, &scope);
    tensor *after = op_slice(all, 0, b, 2 * b);
    q[i] = op_slice(all, 0, 0, b);
    low = low ? op_minimum(low, after) : after;
  }
  critics_loss(l, g, q, op_stop_gradient(target_of(l, g, low, &then)));
}

/* Ascends what its own critic says of what it would do, others doing what they did. */
static void build_actor(graph *g, const off_policy *l) {
  const net_scope scope = {.name = ""}, still = {.name = "", .frozen = true, .running = true};
  tensor *x = in3(g, l, "observation", l->o);
  acted now = act(l, x, needs_noise(l) ? in3(g, l, "own_noise", l->v) : NULL, false, &scope);
  tensor *temperature = l->kind->entropy ? log_temperature(l, g) : NULL;
  tensor *action = l->config.critics == CRITIC_CENTRALISED ? in3(g, l, "action", l->v) : now.action;
  const critic_input in = {x, in_state(g, l, "state"), action};
  const int n_critics = l->kind->entropy ? l->config.n_critics : 1;
  tensor *q = least(l, &in, now.action, &still, n_critics);
  tensor *weight = in2(g, l, "weight", l->agents), *cost = op_neg(q);
  const double agents = (double)l->agents;
  if (temperature) cost = op_add(cost, op_mul(now.log_prob, op_exp(op_stop_gradient(temperature))));
  tensor *loss = op_scale(op_mean_all(op_mul(weight, cost)), agents, 0);
  graph_output(g, "value", op_mean_all(q));
  if (temperature && l->config.entropy_learnt) { /* Haarnoja et al. 2018, eq. 18 */
    double wanted[ENV_MAX_AGENTS];
    const int64_t n = (int64_t)l->agents;
    for (size_t a = 0; a < l->agents; a++)
      wanted[a] = l->config.entropy_target * l->shape->agents[a].action.n;
    tensor *lack = op_add(op_stop_gradient(now.log_prob), graph_constant(g, 1, &n, wanted));
    tensor *drive = op_mean_all(op_mul(weight, op_mul(op_exp(temperature), lack)));
    loss = op_sub(loss, op_scale(drive, agents, 0));
  }
  if (l->config.head_penalty > 0)
    loss = op_add(loss, op_scale(now.magnitude, l->config.head_penalty, 0));
  graph_output(g, "loss", loss);
  graph_grad(g, loss);
}

/* ---- values: DQN ------------------------------------------------------------------------------
 */

static tensor *values_of(const off_policy *l, tensor *observation, const net_scope *scope) {
  tensor *heads[ENV_MAX_AGENTS], *rows[ENV_MAX_AGENTS];
  actor_build(heads, &l->actor, observation, scope);
  for (size_t a = 0; a < l->agents; a++) rows[a] = padded(heads[a], l->v);
  return l->agents == 1 ? rows[0] : op_concat(rows, (int)l->agents, 1);
}

static tensor *best_choices(const off_policy *l, tensor *observation) { /* (B, A, V) one-hots */
  tensor *heads[ENV_MAX_AGENTS], *rows[ENV_MAX_AGENTS];
  actor_build(heads, &l->actor, observation, &(net_scope){.name = ""});
  for (size_t a = 0; a < l->agents; a++) rows[a] = padded(hardened(heads[a]), l->v);
  return l->agents == 1 ? rows[0] : op_concat(rows, (int)l->agents, 1);
}

/* Double (van Hasselt et al. 2016): chosen by the nets that learn, valued by the slow ones. */
static void build_choose(graph *g, const off_policy *l) {
  graph_output(g, "choice", best_choices(l, in3(g, l, "next", l->o)));
}

static void build_slow_values(graph *g, const off_policy *l) {
  tensor *x = in3(g, l, "next", l->o);
  tensor *choice = l->config.double_q ? in3(g, l, "choice", l->v) : best_choices(l, x);
  tensor *q = op_sum(op_mul(values_of(l, x, &(net_scope){.name = ""}), choice), 2, false);
  graph_output(g, "y", target_of(l, g, q, NULL));
}

static void build_values(graph *g, const off_policy *l) {
  tensor *x = in3(g, l, "observation", l->o);
  tensor *q = op_sum(op_mul(values_of(l, x, &(net_scope){.name = ""}), in3(g, l, "action", l->v)),
                     2, false);
  critics_loss(l, g, &q, in2(g, l, "y", l->agents));
}

/* ---- compiling --------------------------------------------------------------------------------
 */

static garam_status built(graph **out, void (*build)(graph *, const off_policy *),
                          const off_policy *l, bool training, garam_error *err) {
  TRY(graph_new(out, &(graph_config){.real = DTYPE_F32, .training = training, .seed = l->seed},
                err));
  build(*out, l);
  return graph_check(*out, err);
}

static garam_status block_new(float **out, size_t n, garam_error *err) {
  *out = mem_alloc_aligned(n * sizeof **out + 64, 64);
  if (!*out) return fail_memory(err, n * sizeof **out);
  memset(*out, 0, n * sizeof **out);
  return GARAM_OK;
}

static garam_status blocks_new(off_policy *l, const graph *all, garam_error *err) {
  l->block = graph_param_block(all);
  TRY(block_new(&l->params, l->block, err));
  TRY(block_new(&l->slow, l->block, err));
  TRY(block_new(&l->grads, 2 * l->block, err)); /* critics', then actors' */
  graph_param_init(all, l->params, l->seed);
  l->temperature_at = SIZE_MAX;
  for (size_t i = 0; i < graph_param_count(all); i++)
    if (strcmp(graph_param_info(all, i)->name, "temperature.log") == 0)
      l->temperature_at = graph_param_info(all, i)->offset;
  for (size_t a = 0; l->temperature_at != SIZE_MAX && a < l->agents; a++)
    l->params[l->temperature_at + a] = (float)log(l->config.entropy_start);
  memcpy(l->slow, l->params, l->block * sizeof *l->params);
  return GARAM_OK;
}

static garam_status optimizer(optim_adamw **out, const graph *g, double clip, garam_error *err) {
  train_config c;
  opt_defaults(train_options, train_n_options, &c);
  c.clip = clip;
  c.weight_decay = 0;
  return optim_adamw_new(out, g, &c, err);
}

static garam_status compile_values(off_policy *l, garam_error *err) {
  graph *slow = NULL, *values = NULL, *choose = NULL;
  garam_status status;
  const plan_config slow_config = {.params_version = &l->slow_version};
  TRY_GOTO(done, built(&slow, build_slow_values, l, false, err));
  TRY_GOTO(done, built(&values, build_values, l, true, err));
  TRY_GOTO(done, blocks_new(l, values, err));
  plan_config c = slow_config;
  c.params = l->slow;
  TRY_GOTO(done, graph_compile(&l->slow_plan, slow, &c, err));
  c = (plan_config){.params = l->params, .grads = l->grads, .params_version = &l->version};
  TRY_GOTO(done, graph_compile(&l->critic_plan, values, &c, err));
  if (l->config.double_q) {
    TRY_GOTO(done, built(&choose, build_choose, l, false, err));
    c.grads = NULL;
    TRY_GOTO(done, graph_compile(&l->choose_plan, choose, &c, err));
  }
  TRY_GOTO(done, net_statistics_init(&l->critic_statistics, values, l->critic_plan, err));
  status = optimizer(&l->critic_optim, values, l->config.clip, err);
done:
  graph_free(slow);
  graph_free(values);
  graph_free(choose);
  return status;
}

static garam_status compile_pair(off_policy *l, garam_error *err) {
  graph *slow = NULL, *critic = NULL, *joint = NULL, *actor = NULL, *alone = NULL;
  garam_status status;
  plan_config c;
  TRY_GOTO(done, built(&critic, build_critic, l, true, err));
  TRY_GOTO(done, built(&actor, build_actor, l, true, err));
  TRY_GOTO(done, built(&alone, actors_alone, l, true, err));
  if (l->config.targets) TRY_GOTO(done, built(&slow, build_slow, l, false, err));
  else TRY_GOTO(done, built(&joint, build_joint, l, true, err));
  const graph *all = l->config.targets ? slow : joint;
  l->critic_at = graph_param_block(alone);
  TRY_GOTO(done, blocks_new(l, all, err));
  REQUIRE(l->block == l->critic_at + graph_param_block(critic) &&
              l->block >= graph_param_block(actor),
          "off_policy: nets do not lie where they are looked for");
  if (slow) {
    c = (plan_config){.params = l->slow, .params_version = &l->slow_version};
    TRY_GOTO(done, graph_compile(&l->slow_plan, slow, &c, err));
    c = (plan_config){.params = l->params + l->critic_at,
                      .grads = l->grads + l->critic_at,
                      .params_version = &l->version};
    TRY_GOTO(done, graph_compile(&l->critic_plan, critic, &c, err));
    TRY_GOTO(done, net_statistics_init(&l->critic_statistics, critic, l->critic_plan, err));
    for (size_t i = 0; i < l->critic_statistics.n; i++)
      l->critic_statistics.rows[i].offset += l->critic_at;
  } else {
    c = (plan_config){.params = l->params, .grads = l->grads, .params_version = &l->version};
    TRY_GOTO(done, graph_compile(&l->critic_plan, joint, &c, err));
    TRY_GOTO(done, net_statistics_init(&l->critic_statistics, joint, l->critic_plan, err));
  }
  c = (plan_config){
      .params = l->params, .grads = l->grads + l->block, .params_version = &l->version};
  TRY_GOTO(done, graph_compile(&l->actor_plan, actor, &c, err));
  TRY_GOTO(done, net_statistics_init(&l->actor_statistics, actor, l->actor_plan, err));
  TRY_GOTO(done, optimizer(&l->critic_optim, critic, l->config.clip, err));
  status = optimizer(&l->actor_optim, alone, l->config.clip, err);
done:
  graph_free(slow);
  graph_free(critic);
  graph_free(joint);
  graph_free(actor);
  graph_free(alone);
  return status;
}

garam_status off_policy_compile(off_policy *l, garam_error *err) {
  return l->kind->values ? compile_values(l, err) : compile_pair(l, err);
}
