/* A linear layer with its parameters. */
#include "nn/nn.h"

void nn_linear_params(tensor **w, tensor **b, tensor *x, int64_t n_out, nn_init init,
                      const char *name) {
  static const param_init inits[] = {
      [NN_INIT_XAVIER] = {INIT_XAVIER, 0, 0, 0},
      [NN_INIT_KAIMING] = {INIT_KAIMING, 1, 0, 0},
      [NN_INIT_SMALL] = {INIT_NORMAL, 0.02, 0, 0},
  };
  graph *g = tensor_graph(x);
  char full[NN_NAME_MAX];
  *w = graph_param(g, nn_name(full, name, "weight"), 2, (const int64_t[]){tensor_dim(x, -1), n_out},
                   inits[init], PARAM_DECAY);
  *b = graph_param(g, nn_name(full, name, "bias"), 1, &n_out, (param_init){INIT_ZERO, 0, 0, 0},
                   PARAM_PLAIN);
}

tensor *nn_linear(tensor *x, int64_t n_out, nn_init init, const char *name) {
  tensor *w, *b;
  nn_linear_params(&w, &b, x, n_out, init, name);
  return op_linear(x, w, b);
}
