/* Which format a model file is in, and what all of them share. */
#include "tree/import.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define IMPORT_LIMIT ((size_t)1 << 30) /* bytes of a file */

void trees_import_deinit(trees_import *m) {
  for (size_t i = 0; m->feature_names && m->feature_names[i]; i++) mem_free(m->feature_names[i]);
  mem_free(m->feature_names);
  trees_free(m->trees);
  *m = (trees_import){0};
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Every name is there, and no two are the same. */
static garam_status usable(bool *out, const char *const *given, size_t n, garam_error *err) {
  *out = false;
  const char **sorted = mem_array(n + 1, sizeof *sorted);
  if (!sorted) return fail_memory(err, n * sizeof *sorted);
  memcpy(sorted, given, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, compare_names);
  *out = true;
  for (size_t i = 0; i < n && *out; i++)
    *out = sorted[i][0] && (i == 0 || strcmp(sorted[i - 1], sorted[i]) != 0);
  mem_free(sorted);
  return GARAM_OK;
}

garam_status import_names(trees_import *m, const char *const *given, size_t n, const char *prefix,
                          garam_error *err) {
  bool take = given != NULL;
  if (take) TRY(usable(&take, given, n, err));
  m->feature_names = mem_array(n + 1, sizeof *m->feature_names);
  if (!m->feature_names) return fail_memory(err, n * sizeof *m->feature_names);
  for (size_t i = 0; i < n; i++) {
    m->feature_names[i] = take ? mem_strdup(given[i]) : mem_format("%s%zu", prefix, i);
    if (!m->feature_names[i]) return fail_memory(err, 64);
  }
  return GARAM_OK;
}

garam_status trees_import_memory(trees_import *out, const char *data, size_t size, const char *name,
                                 garam_error *err) {
  *out = (trees_import){.link_scale = 1};
  garam_status status;
  size_t at = 0;
  while (at < size && strchr(" \t\r\n", data[at]) && data[at]) at++;
  if (size - at >= 4 && memcmp(data + at, "tree", 4) == 0) {
    out->format = "lightgbm";
    status = import_lightgbm(out, data, size, name, err);
  } else if (at < size && data[at] == '{') {
    json_t *model = NULL;
    /* In UBJSON the length of the first key follows at once; in JSON a quote or white space. */
    bool binary = at + 1 < size && data[at + 1] && strchr("iUIlL", data[at + 1]);
    out->format = binary ? "xgboost-ubjson" : "xgboost-json";
    status = binary ? import_ubjson(&model, data + at, size - at, name, err)
                    : json_parse(&model, data, size, name, err);
    if (status == GARAM_OK) status = import_xgboost(out, model, name, err);
    json_decref(model);
  } else {
    status = fail(err, GARAM_PARSE,
                  "%s: neither a LightGBM text model (\"tree\" in its first line) nor an XGBoost "
                  "JSON or UBJSON model",
                  name);
  }
  if (status != GARAM_OK) trees_import_deinit(out);
  return status;
}

garam_status trees_import_file(trees_import *out, const char *path, garam_error *err) {
  char *data;
  size_t size;
  *out = (trees_import){0};
  TRY(io_read_file(&data, &size, path, IMPORT_LIMIT, err));
  garam_status status = trees_import_memory(out, data, size, path, err);
  mem_free(data);
  return status;
}
