/* From a sequence to one vector. */
#include "nn/nn.h"

const char *const nn_pooling_names[] = {"mean", "last", NULL};

tensor *nn_pool(tensor *x, tensor *begin, int pooling) {
  return pooling == NN_POOL_LAST ? op_take_step(x, NULL) : op_masked_mean(x, begin);
}
