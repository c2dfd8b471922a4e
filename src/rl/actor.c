/* Actors: see actor.h. Agents of a team that share a net go through it side by side, as one product
 * a layer. */
#include "rl/actor.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const actor_communication_names[] = {"none",      "mean",   "gated",
                                                 "attention", "matrix", NULL};

typedef struct config_alone { /* the rows' macro names a field */
  actor_config actor;
} config_alone;

const opt_row actor_options[] = {
    ACTOR_OPTIONS(config_alone, actor, "64,64"),
    {"dueling", OPT_BOOL, OPT_AT(config_alone, actor.dueling),
     .help = "values as a value of the state and advantages"},
};
const size_t actor_n_options = COUNT_OF(actor_options);

static const env_agent *agent_of(const actor_spec *spec, int a) {
  return &spec->shape->agents[a];
}

actor_head actor_head_of(const actor_spec *spec, int a) {
  return agent_of(spec, a)->action.kind == ENV_BOX ? spec->box_head : spec->choice_head;
}

int actor_head_width(const actor_spec *spec, int a) {
  const actor_head head = actor_head_of(spec, a);
  const int n = agent_of(spec, a)->action.n;
  return head == ACTOR_GAUSSIAN || head == ACTOR_SQUASHED ? 2 * n : n;
}

/* Agents of a's team in order, a among them. Their number. */
static int team_of(int members[ENV_MAX_AGENTS], const env_shape *shape, int a) {
  int n = 0;
  for (int b = 0; b < shape->n_agents; b++)
    if (strcmp(shape->agents[b].team, shape->agents[a].team) == 0) members[n++] = b;
  return n;
}

static bool same_space(const env_space *x, const env_space *y) {
  return x->kind == y->kind && x->n == y->n;
}

garam_status actor_check(const actor_spec *spec, garam_error *err) {
  const env_shape *s = spec->shape;
  int64_t widths[NET_MAX_LAYERS];
  int n, members[ENV_MAX_AGENTS];
  TRY(net_widths(widths, &n, &spec->config.net, err));
  for (int a = 0; a < s->n_agents; a++) {
    const env_agent *agent = &s->agents[a], *first = &s->agents[0];
    team_of(members, s, a);
    const env_agent *leader = &s->agents[members[0]];
    if (spec->config.shared && (!same_space(&agent->observation, &leader->observation) ||
                                !same_space(&agent->action, &leader->action)))
      return fail(err, GARAM_MISMATCH,
                  "--shared: %s and %s are of team %s, but differ in what they observe or do",
                  leader->name, agent->name, agent->team);
    if (spec->config.communication == ACTOR_COMMUNICATION_MATRIX &&
        (agent->action.kind != ENV_BOX || agent->action.n != first->action.n))
      return fail(err, GARAM_MISMATCH,
                  "--communication matrix averages actions: %s and %s do not act by boxes of the "
                  "same width",
                  first->name, agent->name);
    if (spec->config.communication != ACTOR_COMMUNICATION_NONE &&
        spec->config.communication != ACTOR_COMMUNICATION_MATRIX && n == 0 &&
        agent->observation.n != leader->observation.n)
      return fail(err, GARAM_MISMATCH,
                  "--communication of agents that observe %d and %d numbers needs hidden layers",
                  leader->observation.n, agent->observation.n);
  }
  return GARAM_OK;
}

/* ---- what agents are told -------------------------------------------------------------------- */

/* (B, k, M) -> (B, k, M): of what the others say, the mean (Sukhbaatar et al. 2016, eq. 2). */
static tensor *mean_of_others(tensor *message) {
  const double others = (double)tensor_dim(message, 1) - 1;
  return op_scale(op_sub(op_sum(message, 1, true), message), 1 / others, 0);
}

/* TarMAC (Das et al. 2019, eq. 3 to 5): whom an agent listens to, itself among them. */
static tensor *attended(tensor *x, tensor *message, int64_t width, const net_scope *scope) {
  tensor *key = net_linear(x, width, "key", scope, 1);
  tensor *query = net_linear(x, width, "query", scope, 1);
  tensor *score = op_scale(op_matmul(query, key, false, true), 1 / sqrt((double)width), 0);
  return op_matmul(op_softmax(score), message, false, false);
}

/* One exchange between the agents of a team: x (B, k, D) -> (B, k, D). */
static tensor *exchange(tensor *x, const actor_config *c, const net_scope *scope) {
  const int64_t width = tensor_dim(x, -1), said = c->message > 0 ? c->message : width;
  tensor *message = net_linear(x, said, "said", scope, 1), *heard;
  switch ((actor_communication)c->communication) {
  case ACTOR_COMMUNICATION_GATED: /* IC3Net (Singh et al. 2019), with a gate that is not cut */
    heard = mean_of_others(op_mul(message, op_sigmoid(net_linear(x, 1, "gate", scope, 1))));
    break;
  case ACTOR_COMMUNICATION_ATTENTION: heard = attended(x, message, said, scope); break;
  default: heard = mean_of_others(message); break;
  }
  tensor *both = op_concat((tensor *const[]){x, heard}, 2, 2);
  return nn_activate(net_linear(both, width, "heard", scope, 1), c->net.activation);
}

/* ---- building -------------------------------------------------------------------------------- */

/* Agents a of (B, A, C), side by side: (B, k, width). */
static tensor *rows_of(tensor *x, const int *agents, int n, int64_t width) {
  if (tensor_dim(x, 2) != width) x = op_slice(x, 2, 0, width);
  if (n == (int)tensor_dim(x, 1)) return x;
  if (agents[n - 1] - agents[0] == n - 1) return op_slice(x, 1, agents[0], agents[0] + n);
  tensor *parts[ENV_MAX_AGENTS];
  for (int i = 0; i < n; i++) parts[i] = op_slice(x, 1, agents[i], agents[i] + 1);
  return op_concat(parts, n, 1);
}

static tensor *row_of(tensor *x, int i) { /* (B, k, C) -> (B, C) */
  const int64_t dims[2] = {tensor_dim(x, 0), tensor_dim(x, 2)};
  if (tensor_dim(x, 1) > 1) x = op_slice(x, 1, i, i + 1);
  return op_reshape(x, 2, dims);
}

static tensor *beside(tensor *const *rows, int n) { /* (B, C) each -> (B, n, C) */
  tensor *parts[ENV_MAX_AGENTS];
  for (int i = 0; i < n; i++)
    parts[i] = op_reshape(rows[i], 3,
                          (const int64_t[]){tensor_dim(rows[i], 0), 1, tensor_dim(rows[i], 1)});
  return n == 1 ? parts[0] : op_concat(parts, n, 1);
}

/* (B, k, C) -> (B, k, C + k): each row is told which one it is. */
static tensor *numbered(tensor *x) {
  enum { MOST = ENV_MAX_AGENTS };
  const int64_t batch = tensor_dim(x, 0), k = tensor_dim(x, 1);
  double ones[MOST * MOST] = {0};
  if (k < 2 || k > MOST) return x;
  for (int64_t i = 0; i < k; i++) ones[i * k + i] = 1;
  graph *g = tensor_graph(x);
  tensor *who = op_add(graph_fill(g, 3, (const int64_t[]){batch, k, k}, 0),
                       graph_constant(g, 2, (const int64_t[]){k, k}, ones));
  return op_concat((tensor *const[]){x, who}, 2, 2);
}

static tensor *dueled(tensor *y) { /* (..., 1 + n) -> (..., n): Wang et al. 2016, eq. 9 */
  const int last = tensor_rank(y) - 1;
  tensor *value = op_slice(y, last, 0, 1), *advantage = op_slice(y, last, 1, tensor_dim(y, last));
  return op_add(value, op_sub(advantage, op_mean(advantage, last, true)));
}

/* x (..., D) -> (..., width): the last layer of agent a, or of its team. */
static tensor *head_build(tensor *x, const actor_spec *spec, int a, const net_scope *scope) {
  const actor_head kind = actor_head_of(spec, a);
  const int64_t n = agent_of(spec, a)->action.n;
  const double gain = spec->out_scale > 0 ? spec->out_scale : 1;
  const bool dueling = kind == ACTOR_VALUES && spec->config.dueling;
  const int64_t linear = kind == ACTOR_GAUSSIAN ? n : actor_head_width(spec, a) + dueling;
  tensor *y = net_linear(x, linear, "out", scope, gain);
  if (dueling) return dueled(y);
  if (kind != ACTOR_GAUSSIAN) return y;
  char name[NN_NAME_MAX];
  const int rank = tensor_rank(y);
  int64_t dims[TENSOR_MAX_RANK];
  for (int i = 0; i < rank; i++) dims[i] = tensor_dim(y, i);
  tensor *deviation = graph_param(tensor_graph(x), nn_name(name, scope->name, "log_deviation"), 1,
                                  &n, (param_init){INIT_ZERO, 0, 0, 0}, PARAM_PLAIN);
  if (scope->frozen) deviation = op_stop_gradient(deviation);
  tensor *everywhere = op_add(graph_fill(tensor_graph(x), rank, dims, 0), deviation);
  return op_concat((tensor *const[]){y, everywhere}, 2, rank - 1);
}

typedef struct naming {
  char text[NN_NAME_MAX];
  net_scope scope;
} naming;

/* The scope of "PREFIX.actor.WHO" or "PREFIX.actor.WHO.WHAT". */
static const net_scope *scope_of(naming *out, const actor_spec *spec, const net_scope *scope,
                                 const char *who, const char *what) {
  char actor[NN_NAME_MAX], named[NN_NAME_MAX];
  nn_name(named, nn_name(actor, scope->name, "actor"), who);
  if (what) nn_name(out->text, named, what);
  else memcpy(out->text, named, sizeof named);
  out->scope = *scope;
  out->scope.name = out->text;
  out->scope.orthogonal = spec->orthogonal;
  return &out->scope;
}

static void team_build(tensor **heads, const actor_spec *spec, tensor *observation,
                       const net_scope *scope, const int *members, int n) {
  const actor_config *c = &spec->config;
  const env_agent *agents = spec->shape->agents;
  const char *team = agents[members[0]].team;
  const bool talks = n > 1 && c->communication != ACTOR_COMMUNICATION_NONE &&
                     c->communication != ACTOR_COMMUNICATION_MATRIX;
  naming own;
  tensor *rows[ENV_MAX_AGENTS], *together = NULL;
  if (c->shared) {
    tensor *x = rows_of(observation, members, n, agents[members[0]].observation.n);
    together = net_build(numbered(x), &c->net, 0, scope_of(&own, spec, scope, team, NULL));
  } else {
    for (int i = 0; i < n; i++) {
      const env_agent *agent = &agents[members[i]];
      tensor *x = row_of(rows_of(observation, members + i, 1, agent->observation.n), 0);
      rows[i] = net_build(x, &c->net, 0, scope_of(&own, spec, scope, agent->name, NULL));
    }
  }
  if (talks) {
    if (!together) together = beside(rows, n);
    for (int round = 0; round < c->rounds; round++) {
      char what[32];
      snprintf(what, sizeof what, "message.%d", round);
      together = exchange(together, c, scope_of(&own, spec, scope, team, what));
    }
    for (int i = 0; !c->shared && i < n; i++) rows[i] = row_of(together, i);
  }
  if (c->shared)
    together = head_build(together, spec, members[0], scope_of(&own, spec, scope, team, NULL));
  for (int i = 0; i < n; i++)
    heads[members[i]] =
        c->shared ? row_of(together, i)
                  : head_build(rows[i], spec, members[i],
                               scope_of(&own, spec, scope, agents[members[i]].name, NULL));
}

static tensor *mix_param(graph *g, const char *scope, int64_t n) {
  char actor[NN_NAME_MAX], name[NN_NAME_MAX];
  nn_name(name, nn_name(actor, scope, "actor"), "mix");
  return op_stop_gradient(graph_param(g, name, 2, (const int64_t[]){n, n},
                                      (param_init){INIT_ONE, 0, 0, 0}, PARAM_PLAIN));
}

void actor_build(tensor **heads, const actor_spec *spec, tensor *observation,
                 const net_scope *scope) {
  const env_shape *s = spec->shape;
  int members[ENV_MAX_AGENTS];
  for (int a = 0; a < s->n_agents; a++) {
    const int n = team_of(members, s, a);
    if (members[0] == a) team_build(heads, spec, observation, scope, members, n);
  }
  if (spec->config.communication == ACTOR_COMMUNICATION_MATRIX)
    mix_param(tensor_graph(observation), scope->name, s->n_agents);
}

/* ---- from heads to actions ------------------------------------------------------------------- */

void actor_box_range(double *middle, double *half, const actor_spec *spec, int a, int i) {
  const env_space *space = &agent_of(spec, a)->action;
  *middle = 0;
  *half = 1;
  if (!space->low || !space->high) return;
  const double low = (double)space->low[i], high = (double)space->high[i];
  if (low <= -(double)FLT_MAX || high >= (double)FLT_MAX) return;
  *middle = (low + high) / 2;
  *half = (high - low) / 2;
}

static bool is_bounded(const env_space *space, int i) {
  return space->low && space->high && space->low[i] > -FLT_MAX && space->high[i] < FLT_MAX;
}

static tensor *constants(graph *g, const actor_spec *spec, int a, int which) {
  enum { MOST = 256 };
  double values[MOST];
  const int64_t n = agent_of(spec, a)->action.n;
  if (n > MOST) {
    graph_fail(g, GARAM_LIMIT, "actor: a box of %d numbers, at most %d", (int)n, MOST);
    return graph_fill(g, 1, &n, 0);
  }
  for (int i = 0; i < (int)n; i++) {
    double middle, half;
    actor_box_range(&middle, &half, spec, a, i);
    const double far = is_bounded(&agent_of(spec, a)->action, i) ? 1 : (double)FLT_MAX;
    const double all[] = {middle, half, -far, far};
    values[i] = all[which];
  }
  return graph_constant(g, 1, &n, values);
}

tensor *actor_box_scale(const actor_spec *spec, tensor *y, int a) {
  bool plain = true;
  for (int i = 0; i < agent_of(spec, a)->action.n; i++) {
    double middle, half;
    actor_box_range(&middle, &half, spec, a, i);
    plain &= middle == 0 && half == 1;
  }
  if (plain) return y;
  graph *g = tensor_graph(y);
  return op_add(op_mul(y, constants(g, spec, a, 1)), constants(g, spec, a, 0));
}

tensor *actor_box_action(const actor_spec *spec, tensor *head, int a) {
  const actor_head kind = actor_head_of(spec, a);
  const int64_t n = agent_of(spec, a)->action.n;
  graph *g = tensor_graph(head);
  tensor *y = kind == ACTOR_TANH ? head : op_slice(head, 1, 0, n);
  if (kind == ACTOR_GAUSSIAN)
    y = op_minimum(op_maximum(y, constants(g, spec, a, 2)), constants(g, spec, a, 3));
  else y = op_tanh(y);
  return actor_box_scale(spec, y, a);
}

static const double least_log_deviation = -5, most_log_deviation = 2;

tensor *actor_log_deviation(tensor *raw) {
  const double half = (most_log_deviation - least_log_deviation) / 2;
  return op_scale(op_tanh(raw), half, least_log_deviation + half);
}

double actor_log_deviation_of(double raw) {
  const double half = (most_log_deviation - least_log_deviation) / 2;
  return least_log_deviation + half * (1 + tanh(raw));
}

tensor *actor_mix(const actor_spec *spec, tensor *action, const char *scope) {
  if (spec->config.communication != ACTOR_COMMUNICATION_MATRIX) return action;
  tensor *mix = mix_param(tensor_graph(action), scope, spec->shape->n_agents);
  return op_matmul(op_div(mix, op_sum(mix, 1, true)), action, false, false);
}
