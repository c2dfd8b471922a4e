/* Learned positions: one vector a step of the window. */
#include "nn/nn.h"

tensor *nn_position_learned(tensor *x, const char *name) {
  char full[NN_NAME_MAX];
  const int64_t dims[2] = {tensor_dim(x, 1), tensor_dim(x, 2)};
  tensor *table = graph_param(tensor_graph(x), nn_name(full, name, "weight"), 2, dims,
                              (param_init){INIT_NORMAL, 0.02, 0, 0}, PARAM_PLAIN);
  return op_add(x, table);
}
