/* A multi-layer perceptron over the window, flattened. Padded steps are zeros, which is the mean
 * of standardised features. */
#include "model/model.h"

#include <stdio.h>

static int64_t context(const void *config) {
  return ((const mlp_config *)config)->seq;
}

static tensor *build(const void *config, tensor *x, tensor *begin, int64_t n_outputs) {
  const mlp_config *c = config;
  (void)begin;
  tensor *h = op_reshape(x, 2, (const int64_t[]){tensor_dim(x, 0), -1});
  for (int i = 0; i < c->layers; i++) {
    char name[NN_NAME_MAX], norm[NN_NAME_MAX];
    snprintf(name, sizeof name, "layers.%d", i);
    h = nn_linear(h, c->hidden, NN_INIT_KAIMING, name);
    if (c->layer_norm) h = nn_norm(h, nn_name(norm, name, "norm"));
    h = op_dropout(nn_activate(h, c->activation), c->dropout);
  }
  return nn_linear(h, n_outputs, NN_INIT_SMALL, "out");
}

const model_ops model_mlp = {.name = "mlp", .context = context, .build = build};
