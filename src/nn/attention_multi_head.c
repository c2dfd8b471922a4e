/* Multi-head self-attention: three projections, attention as one node, one projection back. */
#include "nn/nn.h"

tensor *nn_attention_multi_head(tensor *x, tensor *key_begin, const attention_options *options,
                                const char *name) {
  char full[NN_NAME_MAX];
  const int64_t d = tensor_dim(x, -1);
  tensor *q = nn_linear(x, d, NN_INIT_XAVIER, nn_name(full, name, "q"));
  tensor *k = nn_linear(x, d, NN_INIT_XAVIER, nn_name(full, name, "k"));
  tensor *v = nn_linear(x, d, NN_INIT_XAVIER, nn_name(full, name, "v"));
  tensor *mixed = op_attention(q, k, v, key_begin, options);
  return nn_linear(mixed, d, NN_INIT_XAVIER, nn_name(full, name, "o"));
}
