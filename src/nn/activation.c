/* Activations by name. */
#include "nn/nn.h"

const char *const nn_activation_names[] = {"relu", "gelu", "silu", "tanh", NULL};

tensor *nn_activate(tensor *x, int activation) {
  static tensor *(*const ops[])(tensor *) = {op_relu, op_gelu, op_silu, op_tanh};
  REQUIRE(activation >= 0 && (size_t)activation < COUNT_OF(ops), "no activation %d", activation);
  return ops[activation](x);
}
