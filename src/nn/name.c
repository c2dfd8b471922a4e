/* Names of parameters: scopes joined by dots. */
#include "nn/nn.h"

#include <stdio.h>

char *nn_name(char out[NN_NAME_MAX], const char *scope, const char *leaf) {
  snprintf(out, NN_NAME_MAX, "%s%s%s", scope ? scope : "", scope && *scope ? "." : "", leaf);
  return out;
}
