/* LSTM and GRU over the window. The state starts at zero and walks over padded steps as well:
 * they hold zeros, whatever the caller wrote there. */
#include "model/model.h"

#include <math.h>
#include <stdio.h>

static int64_t context(const void *config) {
  return ((const recurrent_config *)config)->seq;
}

static tensor *cell_param(graph *g, const char *scope, const char *leaf, int rank,
                          const int64_t *dims, int64_t n_hidden) {
  char name[NN_NAME_MAX];
  /* PyTorch's bounds: uniform, 1/sqrt(hidden), for weights and biases alike. */
  param_init init = {INIT_UNIFORM, 1 / sqrt((double)n_hidden), 0, 0};
  return graph_param(g, nn_name(name, scope, leaf), rank, dims, init,
                     rank == 2 ? PARAM_DECAY : PARAM_PLAIN);
}

static tensor *build(const recurrent_config *c, tensor *x, tensor *begin, int64_t n_outputs,
                     int64_t n_gates) {
  graph *g = tensor_graph(x);
  tensor *h = x;
  const int64_t wide = n_gates * c->hidden;
  for (int i = 0; i < c->layers; i++) {
    char name[NN_NAME_MAX];
    snprintf(name, sizeof name, "layers.%d", i);
    if (i > 0) h = op_dropout(h, c->dropout);
    tensor *w =
        cell_param(g, name, "weight_in", 2, (const int64_t[]){tensor_dim(h, -1), wide}, c->hidden);
    tensor *u =
        cell_param(g, name, "weight_hidden", 2, (const int64_t[]){c->hidden, wide}, c->hidden);
    tensor *b = cell_param(g, name, "bias_in", 1, &wide, c->hidden);
    if (n_gates == 4) {
      h = op_lstm(h, w, u, b, NULL, NULL);
    } else {
      tensor *bu = cell_param(g, name, "bias_hidden", 1, &wide, c->hidden);
      h = op_gru(h, w, u, b, bu, NULL);
    }
  }
  h = op_dropout(nn_pool(h, begin, c->pooling), c->dropout);
  return nn_linear(h, n_outputs, NN_INIT_SMALL, "out");
}

static tensor *build_lstm(const void *config, tensor *x, tensor *begin, int64_t n_outputs) {
  return build(config, x, begin, n_outputs, 4);
}

static tensor *build_gru(const void *config, tensor *x, tensor *begin, int64_t n_outputs) {
  return build(config, x, begin, n_outputs, 3);
}

const model_ops model_lstm = {.name = "lstm", .context = context, .build = build_lstm};
const model_ops model_gru = {.name = "gru", .context = context, .build = build_gru};
