/* The graphs of on-policy learners: see onpolicy.h. Actors are built before critics in every graph,
 * so that a policy's parameters are the beginning of the learner's block. */
#include "rl/onpolicy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void onpolicy_nets_init(onpolicy_nets *out, const env_shape *s, const onpolicy_config *config) {
  *out = (onpolicy_nets){.config = config,
                         .spec = {.shape = s,
                                  .config = config->actor,
                                  .box_head = ACTOR_GAUSSIAN,
                                  .choice_head = ACTOR_CATEGORICAL,
                                  .orthogonal = true,
                                  .out_scale = 0.01}};
  for (int a = 0; a < s->n_agents; a++) {
    const env_space *space = &s->agents[a].action;
    onpolicy_run *run = out->n_runs ? &out->runs[out->n_runs - 1] : NULL;
    if (run && run->kind == space->kind && run->n_actions == space->n) run->n++;
    else
      out->runs[out->n_runs++] =
          (onpolicy_run){a, 1, space->kind, space->n, actor_head_width(&out->spec, a)};
    out->team[a] = out->n_teams;
    for (int b = 0; b < a; b++)
      if (strcmp(s->agents[b].team, s->agents[a].team) == 0) {
        out->team[a] = out->team[b];
        break;
      }
    out->n_teams += out->team[a] == out->n_teams;
  }
}

const char *onpolicy_critic_of(const onpolicy_nets *nets, int a) {
  const env_agent *body = &nets->spec.shape->agents[a];
  return nets->config->actor.shared ? body->team : body->name;
}

/* ---- values -------------------------------------------------------------------------------- */

static tensor *beside(tensor *const *parts, int n, int axis) {
  return n == 1 ? parts[0] : op_concat(parts, n, axis);
}

/* (B, C): what agent a's critic reads. */
static tensor *critic_sees(const onpolicy_nets *nets, tensor *observation, tensor *state, int a) {
  const env_shape *s = nets->spec.shape;
  const int64_t agents = s->n_agents, width = s->observation_width;
  const int64_t own_width = s->agents[a].observation.n, batch = tensor_dim(observation, 0);
  tensor *flat = op_reshape(observation, 2, (const int64_t[]){batch, agents * width});
  if (nets->config->critic == ONPOLICY_CRITIC_CENTRAL && !state) {
    if (a == 0) return flat;
    return op_concat((tensor *const[]){op_slice(flat, 1, a * width, agents * width),
                                       op_slice(flat, 1, 0, a * width)},
                     2, 1);
  }
  tensor *own =
      agents * width == own_width ? flat : op_slice(flat, 1, a * width, a * width + own_width);
  if (nets->config->critic == ONPOLICY_CRITIC_OWN || !state) return own;
  return op_concat((tensor *const[]){state, own}, 2, 1);
}

/* (B, k, C) -> (B, k, C + k): which agent of the team a row is of. */
static tensor *numbered(tensor *x) {
  const int64_t batch = tensor_dim(x, 0), k = tensor_dim(x, 1);
  double ones[ENV_MAX_AGENTS * ENV_MAX_AGENTS] = {0};
  for (int64_t i = 0; i < k; i++) ones[i * k + i] = 1;
  graph *g = tensor_graph(x);
  tensor *who = op_add(graph_fill(g, 3, (const int64_t[]){batch, k, k}, 0),
                       graph_constant(g, 2, (const int64_t[]){k, k}, ones));
  return op_concat((tensor *const[]){x, who}, 2, 2);
}

/* (B, A) */
static tensor *values(const onpolicy_nets *nets, tensor *observation, tensor *state) {
  const env_shape *s = nets->spec.shape;
  const int64_t batch = tensor_dim(observation, 0);
  net_config net = nets->config->actor.net;
  if (nets->config->critic_hidden[0])
    memcpy(net.hidden, nets->config->critic_hidden, sizeof net.hidden);
  tensor *columns[ENV_MAX_AGENTS] = {0};
  for (int a = 0; a < s->n_agents; a++) {
    if (columns[a]) continue; /* with a team mate */
    char name[NN_NAME_MAX];
    const net_scope scope = {.name = nn_name(name, "critic", onpolicy_critic_of(nets, a)),
                             .orthogonal = true};
    int members[ENV_MAX_AGENTS] = {a}, k = 1;
    for (int b = a + 1; nets->config->actor.shared && b < s->n_agents; b++)
      if (nets->team[b] == nets->team[a]) members[k++] = b;
    if (k == 1) {
      columns[a] = net_build(critic_sees(nets, observation, state, a), &net, 1, &scope);
      continue;
    }
    tensor *rows[ENV_MAX_AGENTS];
    for (int i = 0; i < k; i++) {
      tensor *sees = critic_sees(nets, observation, state, members[i]);
      rows[i] = op_reshape(sees, 3, (const int64_t[]){batch, 1, tensor_dim(sees, -1)});
    }
    tensor *all = net_build(numbered(op_concat(rows, k, 1)), &net, 1, &scope);
    all = op_reshape(all, 2, (const int64_t[]){batch, k});
    if (k == s->n_agents) return all;
    for (int i = 0; i < k; i++) columns[members[i]] = op_slice(all, 1, i, i + 1);
  }
  return beside(columns, s->n_agents, 1);
}

/* ---- programs ------------------------------------------------------------------------------ */

static void inputs(tensor **observation, tensor **state, graph *g, const onpolicy_nets *nets,
                   int64_t batch) {
  const env_shape *s = nets->spec.shape;
  *observation = graph_input(g, "observation", DTYPE_REAL, 3,
                             (const int64_t[]){batch, s->n_agents, s->observation_width});
  *state = NULL;
  if (s->state_width && nets->config->critic == ONPOLICY_CRITIC_CENTRAL)
    *state = graph_input(g, "state", DTYPE_REAL, 2, (const int64_t[]){batch, s->state_width});
}

static void heads_of(tensor **heads, const onpolicy_nets *nets, tensor *observation) {
  tensor *each[ENV_MAX_AGENTS], *parts[ENV_MAX_AGENTS];
  const net_scope scope = {
      .name = "", .orthogonal = nets->spec.orthogonal, .out_scale = nets->spec.out_scale};
  actor_build(each, &nets->spec, observation, &scope);
  for (int r = 0; r < nets->n_runs; r++) {
    const onpolicy_run *run = &nets->runs[r];
    for (int i = 0; i < run->n; i++)
      parts[i] = op_reshape(each[run->first + i], 3,
                            (const int64_t[]){tensor_dim(observation, 0), 1, run->width});
    heads[r] = beside(parts, run->n, 1);
  }
}

void onpolicy_build_act(graph *g, const onpolicy_nets *nets, int64_t batch) {
  tensor *observation, *state, *heads[ENV_MAX_AGENTS];
  inputs(&observation, &state, g, nets, batch);
  heads_of(heads, nets, observation);
  for (int r = 0; r < nets->n_runs; r++) {
    char name[32];
    snprintf(name, sizeof name, "head.%d", r);
    graph_output(g, name, heads[r]);
  }
  graph_output(g, "value", values(nets, observation, state));
}

void onpolicy_build_value(graph *g, const onpolicy_nets *nets, int64_t batch) {
  tensor *observation, *state;
  inputs(&observation, &state, g, nets, batch);
  graph_output(g, "value", values(nets, observation, state));
}

/* ---- the loss ------------------------------------------------------------------------------ */

static tensor *input2(graph *g, const char *name, int64_t batch, int64_t n) {
  return graph_input(g, name, DTYPE_REAL, 2, (const int64_t[]){batch, n});
}

/* Of a run's heads (B, n, width) and its actions: log-probabilities and entropies, (B, n) each. */
static void log_prob_of(tensor **log_prob, tensor **entropy, const onpolicy_run *run, tensor *head,
                        tensor *action) {
  if (run->kind == ENV_DISCRETE) {
    tensor *all = op_log_softmax(head);
    *log_prob = op_sum(op_mul(all, action), -1, false);
    *entropy = op_neg(op_sum(op_mul(op_exp(all), all), -1, false));
    return;
  }
  const double log_2pi = 1.8378770664093453;
  const int64_t k = run->n_actions;
  tensor *mean = op_slice(head, 2, 0, k), *deviation = op_slice(head, 2, k, 2 * k);
  tensor *off = op_mul(op_sub(action, mean), op_exp(op_neg(deviation)));
  tensor *terms = op_add(op_scale(op_square(off), 0.5, 0.5 * log_2pi), deviation);
  *log_prob = op_neg(op_sum(terms, -1, false));
  *entropy = op_sum(op_scale(deviation, 1, 0.5 * (1 + log_2pi)), -1, false);
}

static tensor *weighed(tensor *x, tensor *weight) {
  return op_sum_all(op_mul(x, weight));
}

tensor *onpolicy_loss(graph *g, const onpolicy_nets *nets, tensor *const *heads, tensor *value) {
  const onpolicy_config *c = nets->config;
  const int64_t batch = tensor_dim(value, 0), agents = tensor_dim(value, 1);
  tensor *log_probs[ENV_MAX_AGENTS], *entropies[ENV_MAX_AGENTS];
  for (int r = 0; r < nets->n_runs; r++) {
    const onpolicy_run *run = &nets->runs[r];
    char name[32];
    snprintf(name, sizeof name, "action.%d", r);
    tensor *action =
        graph_input(g, name, DTYPE_REAL, 3, (const int64_t[]){batch, run->n, run->n_actions});
    log_prob_of(&log_probs[r], &entropies[r], run, heads[r], action);
  }
  tensor *before = input2(g, "log_prob", batch, agents);
  tensor *advantage = input2(g, "advantage", batch, agents);
  tensor *target = input2(g, "target", batch, agents);
  tensor *weight = input2(g, "weight", batch, agents);
  tensor *clip = graph_input(g, "clip", DTYPE_REAL, 0, NULL);

  /* Schulman et al. 2017, eq. 7. A row that weighs nothing has a difference of 0 written. */
  tensor *change = op_sub(beside(log_probs, nets->n_runs, 1), before);
  tensor *ratio = op_exp(change);
  tensor *cut = op_minimum(op_maximum(ratio, op_scale(clip, -1, 1)), op_scale(clip, 1, 1));
  tensor *policy_loss =
      op_neg(weighed(op_minimum(op_mul(ratio, advantage), op_mul(cut, advantage)), weight));
  tensor *off = op_square(op_sub(value, target));
  if (c->value_clip > 0) {
    tensor *value_before = input2(g, "value_before", batch, agents);
    tensor *near =
        op_add(value_before, op_clamp(op_sub(value, value_before), -c->value_clip, c->value_clip));
    off = op_maximum(off, op_square(op_sub(near, target)));
  }
  tensor *value_loss = op_scale(weighed(off, weight), 0.5, 0);
  tensor *entropy = weighed(beside(entropies, nets->n_runs, 1), weight);
  tensor *loss = op_add(policy_loss, op_scale(value_loss, c->value_weight, 0));
  if (c->entropy > 0) loss = op_sub(loss, op_scale(entropy, c->entropy, 0));

  graph_output(g, "loss.policy", policy_loss);
  graph_output(g, "loss.value", value_loss);
  graph_output(g, "entropy", entropy);
  /* r - 1 - log r: never negative, and of less variance than -log r (Schulman 2020). */
  graph_output(g, "kl", weighed(op_sub(op_scale(ratio, 1, -1), change), weight));
  return loss;
}

tensor *onpolicy_build_loss(graph *g, const onpolicy_nets *nets, int64_t batch) {
  tensor *observation, *state, *heads[ENV_MAX_AGENTS];
  inputs(&observation, &state, g, nets, batch);
  heads_of(heads, nets, observation);
  tensor *loss = onpolicy_loss(g, nets, heads, values(nets, observation, state));
  graph_output(g, "loss", loss);
  return loss;
}
