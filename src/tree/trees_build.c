/* Building sets of trees, by those who grow them and those who read them from files. */
#include "tree/trees_inner.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

struct trees_builder {
  trees *t; /* counts include the tree being built */
  size_t capacity[TREES_N_FIELDS];
  uint8_t *scratch, *given; /* of the tree being built: which splits, then leaves are set */
  size_t scratch_capacity, given_capacity, n_given;
  size_t linear_leaves; /* of the tree being built whose linear_begin is known */
  bool open;
};

/* Room in every array for what the counts say, new elements zeroed. */
static garam_status grow(trees_builder *b, garam_error *err) {
  for (size_t i = 0; i < TREES_N_FIELDS; i++) {
    const trees_field *f = &trees_fields[i];
    size_t size = package_dtype_size(f->type), needed = trees_array_count(b->t, f);
    size_t before = b->capacity[i];
    if (needed > TREES_MAX_COUNT)
      return fail(err, GARAM_LIMIT, "trees: %zu elements of %s, at most %u", needed, f->name,
                  TREES_MAX_COUNT);
    if (needed <= before) continue;
    TRY(mem_grow(trees_array(b->t, f), &b->capacity[i], needed, size, err));
    memset((char *)*trees_array(b->t, f) + before * size, 0, (b->capacity[i] - before) * size);
  }
  return GARAM_OK;
}

garam_status trees_builder_new(trees_builder **out, size_t n_features, size_t n_outputs,
                               size_t width, garam_error *err) {
  *out = NULL;
  REQUIRE(n_outputs > 0 && (width == 1 || width == n_outputs), "trees: width %zu of %zu outputs",
          width, n_outputs);
  trees_builder *b = mem_zalloc(sizeof *b);
  if (!b) return fail_memory(err, sizeof *b);
  b->t = mem_zalloc(sizeof *b->t);
  garam_status status = b->t ? GARAM_OK : fail_memory(err, sizeof *b->t);
  if (status == GARAM_OK) {
    b->t->n_features = n_features;
    b->t->n_outputs = n_outputs;
    b->t->width = width;
    b->t->divisor = 1;
    status = grow(b, err);
  }
  if (status != GARAM_OK) {
    trees_builder_free(b);
    return status;
  }
  *out = b;
  return GARAM_OK;
}

void trees_builder_free(trees_builder *b) {
  if (!b) return;
  trees_free(b->t);
  mem_free(b->scratch);
  mem_free(b->given);
  mem_free(b);
}

garam_status trees_begin(trees_builder *b, size_t output, size_t n_splits, garam_error *err) {
  trees *t = b->t;
  REQUIRE(!b->open, "trees_begin: the last tree has not ended");
  REQUIRE(t->width > 1 || output < t->n_outputs, "trees_begin: output %zu of %zu", output,
          t->n_outputs);
  if (n_splits >= TREES_MAX_COUNT - t->n_leaves)
    return fail(err, GARAM_LIMIT, "trees: %zu splits in one tree", n_splits);
  TRY(mem_grow(&b->scratch, &b->scratch_capacity, trees_check_scratch(n_splits), 1, err));
  TRY(mem_grow(&b->given, &b->given_capacity, 2 * n_splits + 1, 1, err));
  memset(b->given, 0, 2 * n_splits + 1);
  t->n_trees++;
  t->n_splits += n_splits;
  t->n_leaves += n_splits + 1;
  TRY(grow(b, err));
  t->split_begin[t->n_trees] = (uint32_t)t->n_splits;
  t->leaf_begin[t->n_trees] = (uint32_t)t->n_leaves;
  t->output[t->n_trees - 1] = t->width > 1 ? -1 : (int32_t)output;
  b->n_given = 0;
  b->linear_leaves = 0;
  b->open = true;
  return GARAM_OK;
}

static size_t tree_splits(const trees *t) {
  return t->n_splits - t->split_begin[t->n_trees - 1];
}

static garam_status set_once(trees_builder *b, size_t i, const char *what, size_t shown,
                             garam_error *err) {
  if (b->given[i])
    return fail(err, GARAM_CORRUPT, "tree %zu: %s %zu is given twice", b->t->n_trees - 1, what,
                shown);
  b->given[i] = 1;
  b->n_given++;
  return GARAM_OK;
}

garam_status trees_set_split(trees_builder *b, size_t i, const trees_split *split,
                             garam_error *err) {
  trees *t = b->t;
  size_t n = tree_splits(t), s = t->n_splits - n + i;
  REQUIRE(b->open && i < n, "trees_set_split: split %zu of %zu", i, n);
  TRY(set_once(b, i, "split", i, err));
  t->feature[s] = split->feature;
  t->threshold[s] = split->categories ? 0 : split->threshold;
  t->left[s] = split->left;
  t->right[s] = split->right;
  t->flags[s] =
      (uint8_t)((unsigned)split->missing | (split->default_left ? TREES_DEFAULT_LEFT : 0) |
                (split->categories ? TREES_CATEGORICAL : 0));
  t->gain[s] = split->gain;
  t->cover[s] = split->cover;
  t->set[s] = -1;
  if (!split->categories) return GARAM_OK;
  size_t at = t->n_set_words;
  if (split->n_words > TREES_MAX_COUNT - at)
    return fail(err, GARAM_LIMIT, "trees: %zu words of categories", split->n_words);
  t->set[s] = (int32_t)t->n_sets++;
  t->n_set_words += split->n_words;
  TRY(grow(b, err));
  if (split->n_words)
    memcpy(t->set_word + at, split->categories, split->n_words * sizeof(uint32_t));
  t->set_begin[t->n_sets] = (uint32_t)t->n_set_words;
  return GARAM_OK;
}

garam_status trees_set_leaf(trees_builder *b, size_t i, const double *values, double cover,
                            garam_error *err) {
  trees *t = b->t;
  size_t n = tree_splits(t), leaf = t->n_leaves - n - 1 + i;
  REQUIRE(b->open && i <= n, "trees_set_leaf: leaf %zu of %zu", i, n + 1);
  TRY(set_once(b, n + i, "leaf", i, err));
  memcpy(t->value + leaf * t->width, values, t->width * sizeof *values);
  t->leaf_cover[leaf] = cover;
  return GARAM_OK;
}

garam_status trees_set_linear(trees_builder *b, size_t i, double constant, size_t n_terms,
                              const uint32_t *features, const double *coefficients,
                              garam_error *err) {
  trees *t = b->t;
  size_t n = tree_splits(t), first = t->n_leaves - n - 1;
  REQUIRE(b->open && i <= n && i >= b->linear_leaves && t->width == 1,
          "trees_set_linear: leaf %zu of %zu", i, n + 1);
  if (n_terms == 0) return GARAM_OK;
  if (n_terms > TREES_MAX_COUNT - t->n_linear)
    return fail(err, GARAM_LIMIT, "trees: %zu terms in one leaf", n_terms);
  uint32_t at = (uint32_t)t->n_linear;
  t->n_linear += n_terms;
  TRY(grow(b, err));
  if (at == 0) { /* every leaf until now is plain */
    memset(t->linear_begin, 0, (first + i + 1) * sizeof *t->linear_begin);
    memset(t->linear_constant, 0, t->n_leaves * sizeof *t->linear_constant);
  }
  for (size_t j = b->linear_leaves; j < i; j++) t->linear_begin[first + j + 1] = at;
  t->linear_begin[first + i + 1] = (uint32_t)t->n_linear;
  t->linear_constant[first + i] = constant;
  memcpy(t->linear_feature + at, features, n_terms * sizeof *features);
  memcpy(t->linear_coefficient + at, coefficients, n_terms * sizeof *coefficients);
  b->linear_leaves = i + 1;
  return GARAM_OK;
}

garam_status trees_end(trees_builder *b, garam_error *err) {
  trees *t = b->t;
  REQUIRE(b->open, "trees_end: no tree has begun");
  size_t n = tree_splits(t), first = t->n_leaves - n - 1;
  if (b->n_given != 2 * n + 1)
    return fail(err, GARAM_CORRUPT, "tree %zu: %zu of its %zu nodes are given", t->n_trees - 1,
                b->n_given, 2 * n + 1);
  for (size_t i = b->linear_leaves; t->n_linear > 0 && i <= n; i++) {
    t->linear_begin[first + i + 1] = (uint32_t)t->n_linear;
    t->linear_constant[first + i] = 0;
  }
  b->open = false;
  return trees_check(t, t->n_trees - 1, b->scratch, err);
}

trees *trees_builder_view(trees_builder *b) {
  REQUIRE(!b->open, "trees_builder_view: the last tree has not ended");
  return b->t;
}

void trees_builder_truncate(trees_builder *b, size_t n_trees) {
  trees *t = b->t;
  REQUIRE(!b->open && n_trees <= t->n_trees, "trees_builder_truncate: %zu of %zu trees", n_trees,
          t->n_trees);
  t->n_trees = n_trees;
  t->n_splits = t->split_begin[n_trees];
  t->n_leaves = t->leaf_begin[n_trees];
  if (t->n_linear > 0) t->n_linear = t->linear_begin[t->n_leaves];
  t->n_sets = 0; /* sets stand in the order of trees */
  for (size_t s = 0; s < t->n_splits; s++)
    if (t->set[s] >= (int32_t)t->n_sets) t->n_sets = (size_t)t->set[s] + 1;
  t->n_set_words = t->set_begin[t->n_sets];
}

garam_status trees_builder_copy(trees_builder *b, const trees *from, size_t tree,
                                garam_error *err) {
  trees *t = b->t;
  REQUIRE(t->n_features == from->n_features && t->n_outputs == from->n_outputs &&
              t->width == from->width && tree < from->n_trees,
          "trees_builder_copy: tree %zu of %zu, sets that differ", tree, from->n_trees);
  size_t begin = from->split_begin[tree], n = from->split_begin[tree + 1] - begin;
  size_t first = from->leaf_begin[tree];
  TRY(trees_begin(b, from->output[tree] < 0 ? 0 : (size_t)from->output[tree], n, err));
  for (size_t i = 0; i < n; i++) {
    size_t s = begin + i;
    trees_split split = {.feature = from->feature[s],
                         .threshold = from->threshold[s],
                         .left = from->left[s],
                         .right = from->right[s],
                         .missing = (trees_missing)(from->flags[s] & TREES_MISSING_MASK),
                         .default_left = from->flags[s] & TREES_DEFAULT_LEFT,
                         .gain = from->gain[s],
                         .cover = from->cover[s]};
    if (from->set[s] >= 0) {
      uint32_t at = from->set_begin[from->set[s]];
      split.categories = from->set_word + at;
      split.n_words = from->set_begin[from->set[s] + 1] - at;
    }
    TRY(trees_set_split(b, i, &split, err));
  }
  for (size_t i = 0; i <= n; i++) {
    size_t leaf = first + i;
    TRY(trees_set_leaf(b, i, from->value + leaf * from->width, from->leaf_cover[leaf], err));
    if (from->n_linear == 0) continue;
    uint32_t at = from->linear_begin[leaf];
    TRY(trees_set_linear(b, i, from->linear_constant[leaf], from->linear_begin[leaf + 1] - at,
                         from->linear_feature + at, from->linear_coefficient + at, err));
  }
  return trees_end(b, err);
}

garam_status trees_finish(trees **out, trees_builder *b, const double *base, double divisor,
                          bool sum_f32, garam_error *err) {
  trees *t = b->t;
  garam_status status = GARAM_OK;
  *out = NULL;
  REQUIRE(!b->open, "trees_finish: the last tree has not ended");
  for (size_t k = 0; k < t->n_outputs; k++) {
    t->base[k] = base ? base[k] : 0;
    if (!isfinite(t->base[k]))
      status = fail(err, GARAM_CORRUPT, "trees: the base of output %zu is not a finite number", k);
  }
  if (!isfinite(divisor) || divisor <= 0)
    status = fail(err, GARAM_CORRUPT, "trees: a sum divided by %g", divisor);
  t->divisor = divisor;
  t->sum_f32 = sum_f32;
  if (status == GARAM_OK) {
    *out = t;
    b->t = NULL;
  }
  trees_builder_free(b);
  return status;
}
