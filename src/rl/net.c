/* Perceptrons with the norms that reinforcement learning uses: see actor.h. */
#include "base/mem.h"
#include "kernel/kernel.h"
#include "rl/actor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const net_norm_names[] = {"none", "layer", "batch", NULL};

enum { PARAM_STATISTIC = 1 << 8 }; /* flag: the graph names what its batch had of it */

garam_status net_widths(int64_t out[NET_MAX_LAYERS], int *n, const net_config *c,
                        garam_error *err) {
  *n = 0;
  const char *at = c->hidden;
  while (*at) {
    char *end;
    const long long width = strtoll(at, &end, 10);
    if (end == at || width < 1 || width > 65536 || (*end && *end != ','))
      return fail(err, GARAM_INVALID,
                  "--hidden: expected widths from 1 to 65536 with commas, found \"%s\"", c->hidden);
    if (*n == NET_MAX_LAYERS)
      return fail(err, GARAM_INVALID, "--hidden: at most %d layers, found \"%s\"", NET_MAX_LAYERS,
                  c->hidden);
    out[(*n)++] = width;
    if (*end == ',' && !end[1])
      return fail(err, GARAM_INVALID, "--hidden: a width is missing at the end of \"%s\"",
                  c->hidden);
    at = *end ? end + 1 : end;
  }
  return GARAM_OK;
}

/* ---- layers -------------------------------------------------------------------------------- */

static tensor *param(graph *g, const char *name, const char *leaf, int rank, const int64_t *dims,
                     param_init init, int flags, bool frozen) {
  char full[NN_NAME_MAX];
  tensor *p = graph_param(g, nn_name(full, name, leaf), rank, dims, init, flags);
  return frozen ? op_stop_gradient(p) : p;
}

tensor *net_linear(tensor *x, int64_t n_out, const char *name, const net_scope *scope,
                   double gain) {
  graph *g = tensor_graph(x);
  char full[NN_NAME_MAX];
  const char *layer = nn_name(full, scope->name, name);
  const int64_t n_in = tensor_dim(x, -1);
  const double bound = n_in > 0 ? gain / sqrt((double)n_in) : 1;
  const param_init w_init = scope->orthogonal ? (param_init){INIT_ORTHOGONAL, gain, 0, 0}
                                              : (param_init){INIT_UNIFORM, bound, 0, 0},
                   b_init = scope->orthogonal ? (param_init){INIT_ZERO, 0, 0, 0} : w_init;
  tensor *w = param(g, layer, "weight", 2, (const int64_t[]){n_in, n_out}, w_init, PARAM_DECAY,
                    scope->frozen);
  tensor *b = param(g, layer, "bias", 1, &n_out, b_init, PARAM_PLAIN, scope->frozen);
  return op_linear(x, w, b);
}

static const double epsilon = 1e-5;

/* Of x (N, H); y (N, H). Ioffe & Szegedy 2015, algorithms 1 and 2. */
static tensor *batch_norm(tensor *x, const char *layer, const net_scope *scope) {
  graph *g = tensor_graph(x);
  const int64_t n = tensor_dim(x, -1);
  const bool by_batch = graph_training(g) && !scope->frozen && !scope->running;
  const int flags = by_batch ? PARAM_PLAIN | PARAM_STATISTIC : PARAM_PLAIN;
  const param_init zero = {INIT_ZERO, 0, 0, 0}, one = {INIT_ONE, 0, 0, 0};
  tensor *gain = param(g, layer, "norm.weight", 1, &n, one, PARAM_PLAIN, scope->frozen);
  tensor *bias = param(g, layer, "norm.bias", 1, &n, zero, PARAM_PLAIN, scope->frozen);
  tensor *mean = param(g, layer, "norm.mean", 1, &n, zero, flags, true);
  tensor *variance = param(g, layer, "norm.variance", 1, &n, one, flags, true);
  if (by_batch) {
    char name[NN_NAME_MAX], now[NN_NAME_MAX];
    mean = op_mean(x, 0, false);
    variance = op_mean(op_square(op_sub(x, mean)), 0, false);
    graph_output(g, nn_name(now, nn_name(name, layer, "norm.mean"), "now"), mean);
    graph_output(g, nn_name(now, nn_name(name, layer, "norm.variance"), "now"), variance);
  }
  tensor *scale = op_div(gain, op_sqrt(op_scale(variance, 1, epsilon)));
  return op_add(op_mul(op_sub(x, mean), scale), bias);
}

static tensor *normed(tensor *x, int norm, const char *layer, const net_scope *scope) {
  graph *g = tensor_graph(x);
  const int64_t n = tensor_dim(x, -1);
  if (norm == NET_NORM_NONE) return x;
  if (norm == NET_NORM_LAYER)
    return op_layer_norm(x,
                         param(g, layer, "norm.weight", 1, &n, (param_init){INIT_ONE, 0, 0, 0},
                               PARAM_PLAIN, scope->frozen),
                         param(g, layer, "norm.bias", 1, &n, (param_init){INIT_ZERO, 0, 0, 0},
                               PARAM_PLAIN, scope->frozen),
                         epsilon);
  const int rank = tensor_rank(x);
  if (rank == 2) return batch_norm(x, layer, scope);
  int64_t dims[TENSOR_MAX_RANK];
  for (int i = 0; i < rank; i++) dims[i] = tensor_dim(x, i);
  return op_reshape(batch_norm(op_reshape(x, 2, (const int64_t[]){-1, n}), layer, scope), rank,
                    dims);
}

tensor *net_build(tensor *x, const net_config *c, int64_t n_out, const net_scope *scope) {
  int64_t widths[NET_MAX_LAYERS];
  int n;
  garam_error err;
  const garam_status status = net_widths(widths, &n, c, &err);
  if (status != GARAM_OK) graph_fail(tensor_graph(x), status, "%s", err.message);
  for (int i = 0; i < n; i++) {
    const char name[2] = {(char)('0' + i), 0};
    char layer[NN_NAME_MAX];
    x = net_linear(x, widths[i], name, scope, scope->orthogonal ? sqrt(2) : 1);
    x = normed(x, c->norm, nn_name(layer, scope->name, name), scope);
    x = nn_activate(x, c->activation);
    if (c->dropout > 0) x = op_dropout(x, c->dropout);
  }
  if (n_out == 0) return x;
  return net_linear(x, n_out, "out", scope, scope->out_scale > 0 ? scope->out_scale : 1);
}

/* ---- running statistics ---------------------------------------------------------------------- */

garam_status net_statistics_init(net_statistics *s, const graph *g, const plan *p,
                                 garam_error *err) {
  *s = (net_statistics){0};
  const size_t n = graph_param_count(g);
  s->rows = mem_array(n + 1, sizeof *s->rows);
  if (!s->rows) return fail_memory(err, n * sizeof *s->rows);
  for (size_t i = 0; i < n; i++) {
    const param_info *info = graph_param_info(g, i);
    char now[NN_NAME_MAX];
    if (!(info->flags & PARAM_STATISTIC)) continue;
    s->rows[s->n++] = (struct net_statistic){plan_output(p, nn_name(now, info->name, "now"), NULL),
                                             info->offset, info->count};
  }
  return GARAM_OK;
}

void net_statistics_deinit(net_statistics *s) {
  mem_free(s->rows);
  *s = (net_statistics){0};
}

void net_statistics_update(const net_statistics *s, float *params, double rate) {
  for (size_t i = 0; i < s->n; i++)
    kernel_table_f32()->blend(params + s->rows[i].offset, s->rows[i].now, rate, s->rows[i].count);
}
