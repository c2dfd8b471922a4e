/* Sinusoidal positions: PE(t, 2i) = sin(t / 10000^(2i/D)), PE(t, 2i+1) = cos of the same
 * (Vaswani et al. 2017, section 3.5). An odd D ends on a sine. */
#include "base/mem.h"
#include "nn/nn.h"

#include <math.h>

void nn_position_sinusoidal_table(double *out, int64_t n_steps, int64_t n_columns) {
  for (int64_t t = 0; t < n_steps; t++)
    for (int64_t c = 0; c < n_columns; c++) {
      double angle = (double)t / pow(10000.0, (double)(c - c % 2) / (double)n_columns);
      out[t * n_columns + c] = c % 2 ? cos(angle) : sin(angle);
    }
}

tensor *nn_position_sinusoidal(tensor *x) {
  const int64_t dims[2] = {tensor_dim(x, 1), tensor_dim(x, 2)};
  double *table = mem_array((size_t)(dims[0] * dims[1]), sizeof *table);
  if (!table) {
    graph_fail(tensor_graph(x), GARAM_NO_MEMORY, "no memory for the positions of %lld steps",
               (long long)dims[0]);
    return x;
  }
  nn_position_sinusoidal_table(table, dims[0], dims[1]);
  tensor *code = graph_constant(tensor_graph(x), 2, dims, table);
  mem_free(table);
  return op_add(x, code);
}
