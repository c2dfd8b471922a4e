/* libFuzzer target: any bytes as a model file of XGBoost or LightGBM. Seeds: import_examples.h. */
#include "tree/import.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  trees_import m;
  garam_error err;
  if (trees_import_memory(&m, (const char *)data, size, "fuzz", &err) != GARAM_OK) return 0;
  static float x[65536];
  static double out[1000];
  volatile double sum = 0;
  if (m.trees->n_outputs > 1000 || m.trees->n_features > 65536) __builtin_trap();
  trees_predict_row(m.trees, x, out);
  for (size_t k = 0; k < m.trees->n_outputs; k++) sum += out[k];
  (void)sum;
  trees_import_deinit(&m);
  return 0;
}
