/* libFuzzer target: any bytes as a package. Seeds: any saved package. */
#include "learn/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  package_reader *r;
  garam_error err;
  if (package_open_memory(&r, data, size, "fuzz", &err) != GARAM_OK) return 0;
  volatile uint8_t sum = 0;
  for (size_t i = 0; i < package_count(r); i++) {
    const package_tensor *t = package_at(r, i), *found;
    for (size_t j = 0; j < t->bytes; j++) sum = (uint8_t)(sum + ((const uint8_t *)t->data)[j]);
    if (package_get(&found, r, t->name, t->type, t->rank, t->dims, &err) != GARAM_OK || found != t)
      __builtin_trap();
    /* Coded weights decode; a package of little data may tell of many floats, but not of more than
     * eight times its bytes. */
    for (int rank = 2; rank <= 4; rank++)
      if (package_get(&found, r, t->name, PACKAGE_F32, rank, (int64_t[]){-1, -1, -1, -1}, &err) ==
          GARAM_OK)
        for (size_t j = 0; j < found->bytes; j++)
          sum = (uint8_t)(sum + ((const uint8_t *)found->data)[j]);
  }
  json_t *meta;
  if (package_get_meta(&meta, r, "garam", &err) == GARAM_OK) json_decref(meta);
  package_close(r);
  return 0;
}
