/* Sets of trees in a package: one tensor an array, and three small ones for what is not an array.
 */
#include "tree/trees_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSOR_NAME = 160 };
static const int64_t one[1] = {1};

garam_status trees_save(const trees *t, package_writer *w, const char *prefix, garam_error *err) {
  char name[TENSOR_NAME];
  for (size_t i = 0; i < TREES_N_FIELDS; i++) {
    const trees_field *f = &trees_fields[i];
    int64_t dims[1] = {(int64_t)trees_array_count(t, f)};
    if (dims[0] == 0 && f->unit != TREES_PER_SPLIT) continue;
    snprintf(name, sizeof name, "%s%s", prefix, f->name);
    TRY(package_add(w, name, f->type, 1, dims, trees_array_of(t, f), err));
  }
  snprintf(name, sizeof name, "%sdivisor", prefix);
  TRY(package_add(w, name, PACKAGE_F64, 1, one, &t->divisor, err));
  snprintf(name, sizeof name, "%ssum_f32", prefix);
  return package_add(w, name, PACKAGE_BOOL, 1, one, &t->sum_f32, err);
}

/* The number of elements of a tensor that must be there, from the file itself. */
static garam_status count_of(size_t *out, const package_reader *r, const char *prefix,
                             const char *field, package_dtype type, size_t least,
                             garam_error *err) {
  char name[TENSOR_NAME];
  const package_tensor *tensor;
  snprintf(name, sizeof name, "%s%s", prefix, field);
  TRY(package_get(&tensor, r, name, type, 1, (int64_t[]){-1}, err));
  if (tensor->count < least || tensor->count > TREES_MAX_COUNT)
    return fail(err, GARAM_CORRUPT, "%s: %s has %zu elements", package_name(r), name,
                tensor->count);
  *out = tensor->count;
  return GARAM_OK;
}

static bool has(const package_reader *r, const char *prefix, const char *field) {
  char name[TENSOR_NAME];
  snprintf(name, sizeof name, "%s%s", prefix, field);
  return package_has(r, name);
}

/* Begins at 0, never falls (by `step` at least), ends at n. */
static garam_status check_begins(const uint32_t *begin, size_t count, size_t n, size_t step,
                                 const package_reader *r, const char *prefix, const char *field,
                                 garam_error *err) {
  bool fine = begin[0] == 0 && begin[count - 1] == n;
  for (size_t i = 1; i < count && fine; i++)
    fine = begin[i] >= begin[i - 1] && begin[i] - begin[i - 1] >= step;
  if (fine) return GARAM_OK;
  return fail(err, GARAM_CORRUPT, "%s: %s%s does not rise from 0 to %zu", package_name(r), prefix,
              field, n);
}

static garam_status load_counts(trees *t, const package_reader *r, const char *prefix,
                                garam_error *err) {
  size_t values;
  TRY(count_of(&t->n_trees, r, prefix, "split_begin", PACKAGE_U32, 1, err));
  t->n_trees--;
  TRY(count_of(&t->n_splits, r, prefix, "feature", PACKAGE_U32, 0, err));
  t->n_leaves = t->n_splits + t->n_trees;
  values = 0;
  if (t->n_trees > 0) TRY(count_of(&values, r, prefix, "value", PACKAGE_F64, 1, err));
  t->width = t->n_leaves && values == t->n_leaves ? 1 : t->n_trees ? t->n_outputs : 1;
  TRY(count_of(&t->n_sets, r, prefix, "set_begin", PACKAGE_U32, 1, err));
  t->n_sets--;
  if (has(r, prefix, "set_word"))
    TRY(count_of(&t->n_set_words, r, prefix, "set_word", PACKAGE_U32, 1, err));
  if (has(r, prefix, "linear_feature"))
    TRY(count_of(&t->n_linear, r, prefix, "linear_feature", PACKAGE_U32, 1, err));
  if (t->n_linear > 0 && t->width > 1)
    return fail(err, GARAM_CORRUPT, "%s: %svalue: linear leaves with %zu values", package_name(r),
                prefix, t->width);
  return GARAM_OK;
}

static garam_status load_arrays(trees *t, const package_reader *r, const char *prefix,
                                garam_error *err) {
  char name[TENSOR_NAME];
  const package_tensor *tensor;
  for (size_t i = 0; i < TREES_N_FIELDS; i++) {
    const trees_field *f = &trees_fields[i];
    int64_t dims[1] = {(int64_t)trees_array_count(t, f)};
    if (dims[0] == 0 && f->unit != TREES_PER_SPLIT) continue;
    snprintf(name, sizeof name, "%s%s", prefix, f->name);
    TRY(package_get(&tensor, r, name, f->type, 1, dims, err));
    void *copy = mem_alloc(tensor->bytes ? tensor->bytes : 1);
    if (!copy) return fail_memory(err, tensor->bytes);
    memcpy(copy, tensor->data, tensor->bytes);
    *trees_array(t, f) = copy;
  }
  snprintf(name, sizeof name, "%sdivisor", prefix);
  TRY(package_get_finite(&tensor, r, name, PACKAGE_F64, 1, one, err));
  t->divisor = *(const double *)tensor->data;
  if (t->divisor <= 0)
    return fail(err, GARAM_CORRUPT, "%s: %s is %g", package_name(r), name, t->divisor);
  snprintf(name, sizeof name, "%ssum_f32", prefix);
  TRY(package_get(&tensor, r, name, PACKAGE_BOOL, 1, one, err));
  t->sum_f32 = *(const uint8_t *)tensor->data != 0;
  return GARAM_OK;
}

static garam_status check_all(const trees *t, const package_reader *r, const char *prefix,
                              garam_error *err) {
  size_t n = t->n_trees, most = 0;
  TRY(check_begins(t->split_begin, n + 1, t->n_splits, 0, r, prefix, "split_begin", err));
  TRY(check_begins(t->leaf_begin, n + 1, t->n_leaves, 1, r, prefix, "leaf_begin", err));
  TRY(check_begins(t->set_begin, t->n_sets + 1, t->n_set_words, 0, r, prefix, "set_begin", err));
  if (t->n_linear > 0)
    TRY(check_begins(t->linear_begin, t->n_leaves + 1, t->n_linear, 0, r, prefix, "linear_begin",
                     err));
  for (size_t k = 0; k < t->n_outputs; k++)
    if (!isfinite(t->base[k]))
      return fail(err, GARAM_CORRUPT, "%s: %sbase %zu is not a finite number", package_name(r),
                  prefix, k);
  for (size_t i = 0; i < n; i++) {
    size_t splits = t->split_begin[i + 1] - t->split_begin[i];
    if (t->leaf_begin[i + 1] - t->leaf_begin[i] != splits + 1)
      return fail(err, GARAM_CORRUPT, "%s: %sleaf_begin: tree %zu has %zu splits and %u leaves",
                  package_name(r), prefix, i, splits, t->leaf_begin[i + 1] - t->leaf_begin[i]);
    if (splits > most) most = splits;
  }
  void *scratch = mem_alloc(trees_check_scratch(most));
  if (!scratch) return fail_memory(err, trees_check_scratch(most));
  garam_status status = GARAM_OK;
  for (size_t i = 0; i < n && status == GARAM_OK; i++) status = trees_check(t, i, scratch, err);
  mem_free(scratch);
  if (status != GARAM_OK) return fail_within(err, status, "%s", package_name(r));
  return GARAM_OK;
}

garam_status trees_load(trees **out, size_t n_features, size_t n_outputs, package_reader *r,
                        const char *prefix, garam_error *err) {
  *out = NULL;
  trees *t = mem_zalloc(sizeof *t);
  if (!t) return fail_memory(err, sizeof *t);
  t->n_features = n_features;
  t->n_outputs = n_outputs;
  garam_status status = load_counts(t, r, prefix, err);
  if (status == GARAM_OK) status = load_arrays(t, r, prefix, err);
  if (status == GARAM_OK) status = check_all(t, r, prefix, err);
  if (status != GARAM_OK) {
    trees_free(t);
    return status;
  }
  *out = t;
  return GARAM_OK;
}
