/* Multi-head self-attention: three projections as one product, attention as one node, one
 * projection back. The weights are three parameters, laid side by side when they have changed. */
#include "nn/nn.h"

tensor *nn_attention_multi_head(tensor *x, tensor *key_begin, const attention_options *options,
                                const char *name) {
  static const char *const parts[] = {"q", "k", "v"};
  char full[NN_NAME_MAX];
  const int64_t d = tensor_dim(x, -1);
  tensor *w[3], *b[3];
  for (int i = 0; i < 3; i++)
    nn_linear_params(&w[i], &b[i], x, d, NN_INIT_XAVIER, nn_name(full, name, parts[i]));
  tensor *qkv = op_linear(x, op_concat(w, 3, 1), op_concat(b, 3, 0));
  tensor *mixed = op_attention_joint(qkv, key_begin, options);
  return nn_linear(mixed, d, NN_INIT_XAVIER, nn_name(full, name, "o"));
}
