/* Critics: see critic.h. */
#include "rl/critic.h"

#include <stdio.h>
#include <string.h>

const char *const critic_kind_names[] = {"independent", "centralised", NULL};

enum { MOST_MASK = 1 << 14 };

int critic_encoded_width(const env_shape *shape, int a) {
  return shape->agents[a].action.n;
}

int critic_action_width(const env_shape *shape) {
  int most = 0;
  for (int a = 0; a < shape->n_agents; a++)
    if (critic_encoded_width(shape, a) > most) most = critic_encoded_width(shape, a);
  return most;
}

/* Agents whose values one net gives: agent a alone, or its team. */
static int group_of(int members[ENV_MAX_AGENTS], const critic_spec *spec, int a) {
  int n = 0;
  const env_agent *agents = spec->shape->agents;
  for (int b = 0; b < spec->shape->n_agents; b++)
    if (b == a || (spec->shared && strcmp(agents[b].team, agents[a].team) == 0)) members[n++] = b;
  return n;
}

static tensor *pick(tensor *x, const int *agents, int n) { /* (B, A, C) -> (B, n, C) */
  if (n == (int)tensor_dim(x, 1)) return x;
  tensor *parts[ENV_MAX_AGENTS];
  if (agents[n - 1] - agents[0] == n - 1) return op_slice(x, 1, agents[0], agents[0] + n);
  for (int i = 0; i < n; i++) parts[i] = op_slice(x, 1, agents[i], agents[i] + 1);
  return op_concat(parts, n, 1);
}

static tensor *flat(tensor *x) { /* (B, A, C) -> (B, A * C) */
  return op_reshape(x, 2, (const int64_t[]){tensor_dim(x, 0), tensor_dim(x, 1) * tensor_dim(x, 2)});
}

static tensor *one_hots(graph *g, int64_t batch, int64_t k) { /* (B, k, k) */
  double ones[ENV_MAX_AGENTS * ENV_MAX_AGENTS] = {0};
  for (int64_t i = 0; i < k; i++) ones[i * k + i] = 1;
  return op_add(graph_fill(g, 3, (const int64_t[]){batch, k, k}, 0),
                graph_constant(g, 2, (const int64_t[]){k, k}, ones));
}

/* (B, k): what each of the group sees and does by itself. */
static tensor *independent(const critic_spec *spec, const critic_input *in, tensor *action,
                           const int *members, int n, const net_scope *scope) {
  const env_agent *first = &spec->shape->agents[members[0]];
  const int64_t batch = tensor_dim(action, 0), o = first->observation.n;
  tensor *x = pick(in->observation, members, n), *u = pick(action, members, n);
  if (tensor_dim(x, 2) != o) x = op_slice(x, 2, 0, o);
  if (tensor_dim(u, 2) != first->action.n) u = op_slice(u, 2, 0, first->action.n);
  tensor *parts[3] = {x, u, NULL};
  if (n > 1) parts[2] = one_hots(tensor_graph(x), batch, n);
  tensor *joint = op_concat(parts, n > 1 ? 3 : 2, 2);
  if (n == 1) joint = flat(joint);
  return op_reshape(net_build(joint, &spec->net, 1, scope), 2, (const int64_t[]){batch, n});
}

/* (B, k): all see all, and do what they did. */
static tensor *centralised(const critic_spec *spec, const critic_input *in, int n,
                           const net_scope *scope) {
  tensor *seen = in->state ? in->state : flat(in->observation);
  tensor *joint = op_concat((tensor *const[]){seen, flat(in->action)}, 2, 1);
  return net_build(joint, &spec->net, n, scope);
}

/* (B, k): row i of the k copies of a world has member i's own action in place of what it did. */
static tensor *centralised_own(const critic_spec *spec, const critic_input *in, tensor *own,
                               const int *members, int n, const net_scope *scope) {
  graph *g = tensor_graph(own);
  const int64_t batch = tensor_dim(own, 0), agents = tensor_dim(own, 1), v = tensor_dim(own, 2);
  double theirs[MOST_MASK], mine[MOST_MASK];
  if (n * agents * v > MOST_MASK) {
    graph_fail(g, GARAM_LIMIT, "critic: %d agents of %d with actions of %d are too many", n,
               (int)agents, (int)v);
    return own;
  }
  for (int64_t i = 0; i < n * agents * v; i++) {
    mine[i] = i / v % agents == members[i / v / agents];
    theirs[i] = 1 - mine[i];
  }
  const int64_t mask[3] = {n, agents, v}, four[4] = {batch, 1, agents, v},
                rows[2] = {batch * n, -1};
  tensor *action =
      op_add(op_mul(op_reshape(in->action, 4, four), graph_constant(g, 3, mask, theirs)),
             op_mul(op_reshape(own, 4, four), graph_constant(g, 3, mask, mine)));
  tensor *seen = in->state ? in->state : flat(in->observation);
  const int64_t width = tensor_dim(seen, 1);
  if (n > 1)
    seen = op_add(op_reshape(seen, 3, (const int64_t[]){batch, 1, width}),
                  graph_fill(g, 3, (const int64_t[]){batch, n, width}, 0));
  tensor *joint =
      op_concat((tensor *const[]){op_reshape(seen, 2, rows), op_reshape(action, 2, rows)}, 2, 1);
  tensor *value =
      net_build(joint, &spec->net, n, scope); /* (B * k, k): its own is on the diagonal */
  if (n == 1) return value;
  value = op_reshape(value, 3, (const int64_t[]){batch, n, n});
  return op_sum(op_mul(value, one_hots(g, batch, n)), 2, false);
}

/* own NULL: what was done. */
static tensor *build(const critic_spec *spec, int which, const critic_input *in, tensor *own,
                     const net_scope *scope) {
  const env_shape *s = spec->shape;
  tensor *value[ENV_MAX_AGENTS];
  int members[ENV_MAX_AGENTS];
  for (int a = 0; a < s->n_agents; a++) {
    const int n = group_of(members, spec, a);
    if (members[0] != a) continue;
    char kind[32], critic[NN_NAME_MAX], name[NN_NAME_MAX];
    net_scope inner = *scope;
    snprintf(kind, sizeof kind, "critic.%d", which);
    inner.name = nn_name(name, nn_name(critic, scope->name, kind),
                         spec->shared ? s->agents[a].team : s->agents[a].name);
    tensor *of;
    if (spec->kind == CRITIC_INDEPENDENT)
      of = independent(spec, in, own ? own : in->action, members, n, &inner);
    else if (own) of = centralised_own(spec, in, own, members, n, &inner);
    else of = centralised(spec, in, n, &inner);
    if (n == s->n_agents) return of;
    for (int i = 0; i < n; i++) value[members[i]] = n == 1 ? of : op_slice(of, 1, i, i + 1);
  }
  return op_concat(value, s->n_agents, 1);
}

tensor *critic_build(const critic_spec *spec, int which, const critic_input *in,
                     const net_scope *scope) {
  return build(spec, which, in, NULL, scope);
}

tensor *critic_build_own(const critic_spec *spec, int which, const critic_input *in, tensor *own,
                         const net_scope *scope) {
  return build(spec, which, in, own, scope);
}
