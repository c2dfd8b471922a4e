/* Positions by name. Each kind is one position_*.c. */
#include "nn/nn.h"

const char *const nn_position_names[] = {"sinusoidal", "learned", "none", NULL};

tensor *nn_position_add(tensor *x, int position, const char *name) {
  switch ((nn_position)position) {
  case NN_SINUSOIDAL: return nn_position_sinusoidal(x);
  case NN_LEARNED: return nn_position_learned(x, name);
  case NN_NO_POSITION: return x;
  }
  misuse(__FILE__, __LINE__, "no position %d", position);
}
