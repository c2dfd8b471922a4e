/* XGBoost's model (doc/model.schema and src/tree/tree_model.cc of its versions 1.0 to 3.x), from
 * JSON or UBJSON. Sums are in float32, from the base score on; a number goes left when it is < the
 * threshold, a category when it is not in the split's set. Nodes and leaves share one numbering;
 * what pruning has left behind is not reached from the root and is dropped. */
#include "tree/import.h"

#include "base/mem.h"
#include "base/number_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct source {
  const char *name;
  size_t tree;
  garam_error *err;
} source;

/* ---- fields ---------------------------------------------------------------------------------- */

/* XGBoost writes its parameters as text; numbers are taken too. */
static garam_status get_int(int64_t *out, const json_t *object, const char *key, int64_t low,
                            int64_t high, const source *file) {
  const json_t *value = json_object_get(object, key);
  const char *text = json_string_value(value);
  double real;
  bool fine = json_is_integer(value);
  *out = json_integer_value(value);
  if (text) fine = number_parse(out, &real, text, strlen(text), '.') == NUMBER_INTEGER;
  if (fine && *out >= low && *out <= high) return GARAM_OK;
  return fail(file->err, GARAM_CORRUPT, "%s: \"%s\" is %s; expected a number from %lld to %lld",
              file->name, key,
              !value ? "not there"
              : fine ? "out of range"
                     : "no whole number",
              (long long)low, (long long)high);
}

/* An array of n elements; n SIZE_MAX: of any length. NULL where it may be absent and is. */
static garam_status get_array(json_t **out, const json_t *tree, const char *key, size_t n,
                              bool needed, const source *file) {
  *out = json_object_get(tree, key);
  if (!*out && !needed) return GARAM_OK;
  if (!json_is_array(*out))
    return fail(file->err, GARAM_CORRUPT, "%s: tree %zu: \"%s\" is not an array", file->name,
                file->tree, key);
  if (n != SIZE_MAX && json_array_size(*out) != n)
    return fail(file->err, GARAM_CORRUPT, "%s: tree %zu: \"%s\": %zu elements, expected %zu",
                file->name, file->tree, key, json_array_size(*out), n);
  return GARAM_OK;
}

static garam_status whole_at(int64_t *out, json_t *array, size_t i, int64_t low, int64_t high,
                             const char *key, const source *file) {
  const json_t *value = json_array_get(array, i);
  *out = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
  if ((json_is_integer(value) || json_is_boolean(value)) && *out >= low && *out <= high)
    return GARAM_OK;
  return fail(file->err, GARAM_CORRUPT,
              "%s: tree %zu: \"%s\": element %zu is no whole number from %lld to %lld", file->name,
              file->tree, key, i, (long long)low, (long long)high);
}

static garam_status real_at(float *out, json_t *array, size_t i, const char *key,
                            const source *file) {
  const json_t *value = json_array_get(array, i);
  *out = (float)json_number_value(value);
  if (json_is_number(value) && isfinite(*out)) return GARAM_OK;
  return fail(file->err, GARAM_CORRUPT, "%s: tree %zu: \"%s\": element %zu is no finite float",
              file->name, file->tree, key, i);
}

/* ---- a tree ---------------------------------------------------------------------------------- */

typedef struct tree_json {
  size_t n_nodes, n_features;
  json_t *left, *right, *feature, *condition, *default_left, *type, *gain, *cover;
  json_t *categories, *category_nodes, *category_segments, *category_sizes;
  uint8_t *seen;     /* (nodes) */
  int32_t *queue;    /* (nodes) splits by their number here: the node that each is */
  int64_t *category; /* (nodes) which entry of category_nodes, or -1 */
  uint32_t *words;   /* of one split's categories */
  size_t words_capacity;
  size_t *words_left; /* of the whole model */
} tree_json;

enum { MOST_WORDS = 1 << 24 }; /* of all sets: a few bytes of a file may ask for 2 MB of bits */

static void tree_json_deinit(tree_json *t) {
  mem_free(t->seen);
  mem_free(t->queue);
  mem_free(t->category);
  mem_free(t->words);
}

static garam_status read_arrays(tree_json *t, const json_t *tree, const source *file) {
  int64_t n_nodes, vector = 1;
  json_t *param;
  TRY(json_get_object(&param, tree, "tree_param", file->name, file->err));
  TRY(get_int(&n_nodes, param, "num_nodes", 1, TREES_MAX_COUNT, file));
  if (json_object_get(param, "size_leaf_vector"))
    TRY(get_int(&vector, param, "size_leaf_vector", 0, INT32_MAX, file));
  if (vector > 1)
    return fail(file->err, GARAM_UNSUPPORTED,
                "%s: tree %zu: leaves of %lld values (multi_strategy multi_output_tree)",
                file->name, file->tree, (long long)vector);
  size_t n = t->n_nodes = (size_t)n_nodes;
  TRY(get_array(&t->left, tree, "left_children", n, true, file));
  TRY(get_array(&t->right, tree, "right_children", n, true, file));
  TRY(get_array(&t->feature, tree, "split_indices", n, true, file));
  TRY(get_array(&t->condition, tree, "split_conditions", n, true, file));
  TRY(get_array(&t->default_left, tree, "default_left", n, true, file));
  TRY(get_array(&t->type, tree, "split_type", n, false, file));
  TRY(get_array(&t->gain, tree, "loss_changes", n, false, file));
  TRY(get_array(&t->cover, tree, "sum_hessian", n, false, file));
  TRY(get_array(&t->category_nodes, tree, "categories_nodes", SIZE_MAX, false, file));
  size_t n_sets = json_array_size(t->category_nodes);
  TRY(get_array(&t->categories, tree, "categories", SIZE_MAX, n_sets > 0, file));
  TRY(get_array(&t->category_segments, tree, "categories_segments", n_sets, n_sets > 0, file));
  TRY(get_array(&t->category_sizes, tree, "categories_sizes", n_sets, n_sets > 0, file));
  t->seen = mem_array(n, 1);
  t->queue = mem_array(n, sizeof *t->queue);
  t->category = mem_array(n, sizeof *t->category);
  if (!t->seen || !t->queue || !t->category) return fail_memory(file->err, n * sizeof *t->queue);
  for (size_t i = 0; i < n; i++) t->category[i] = -1;
  for (size_t i = 0; i < n_sets; i++) {
    int64_t node;
    TRY(whole_at(&node, t->category_nodes, i, 0, (int64_t)n - 1, "categories_nodes", file));
    if (t->category[node] >= 0)
      return fail(file->err, GARAM_CORRUPT, "%s: tree %zu: \"categories_nodes\": %lld twice",
                  file->name, file->tree, (long long)node);
    t->category[node] = (int64_t)i;
  }
  return GARAM_OK;
}

/* The splits reached from the root, breadth first, in t->queue; every node is reached once. */
static garam_status reach(size_t *n_splits, tree_json *t, const source *file) {
  size_t head = 0, tail = 0;
  int64_t root;
  *n_splits = 0;
  TRY(whole_at(&root, t->left, 0, -1, (int64_t)t->n_nodes - 1, "left_children", file));
  t->seen[0] = 1;
  if (root < 0) return GARAM_OK;
  t->queue[tail++] = 0;
  for (; head < tail; head++)
    for (int side = 0; side < 2; side++) {
      int64_t child, next;
      const char *key = side ? "right_children" : "left_children";
      TRY(whole_at(&child, side ? t->right : t->left, (size_t)t->queue[head], 0,
                   (int64_t)t->n_nodes - 1, key, file));
      if (t->seen[child])
        return fail(file->err, GARAM_CORRUPT, "%s: tree %zu: \"%s\": node %lld is reached twice",
                    file->name, file->tree, key, (long long)child);
      t->seen[child] = 1;
      TRY(whole_at(&next, t->left, (size_t)child, -1, (int64_t)t->n_nodes - 1, "left_children",
                   file));
      if (next >= 0) t->queue[tail++] = (int32_t)child;
    }
  *n_splits = tail;
  return GARAM_OK;
}

static garam_status read_categories(trees_split *split, tree_json *t, size_t node,
                                    const source *file) {
  int64_t begin, n, category, most = 0;
  size_t total = json_array_size(t->categories);
  if (t->category[node] < 0)
    return fail(file->err, GARAM_CORRUPT, "%s: tree %zu: node %zu: a split by category without any",
                file->name, file->tree, node);
  size_t at = (size_t)t->category[node];
  TRY(whole_at(&begin, t->category_segments, at, 0, (int64_t)total, "categories_segments", file));
  TRY(whole_at(&n, t->category_sizes, at, 0, (int64_t)total - begin, "categories_sizes", file));
  for (int64_t i = begin; i < begin + n; i++) {
    TRY(whole_at(&category, t->categories, (size_t)i, 0, (1 << 24) - 1, "categories", file));
    if (category > most) most = category;
  }
  split->n_words = (size_t)most / 32 + 1;
  if (split->n_words > *t->words_left)
    return fail(file->err, GARAM_LIMIT,
                "%s: tree %zu: \"categories\" take more than %d words of bits", file->name,
                file->tree, MOST_WORDS);
  *t->words_left -= split->n_words;
  TRY(mem_grow(&t->words, &t->words_capacity, split->n_words, sizeof *t->words, file->err));
  memset(t->words, 0, split->n_words * sizeof *t->words);
  for (int64_t i = begin; i < begin + n; i++) {
    category = json_integer_value(json_array_get(t->categories, (size_t)i));
    t->words[category / 32] |= 1u << category % 32;
  }
  split->categories = t->words;
  return GARAM_OK;
}

/* The number of a child here: splits in the order of the queue, leaves as they come. */
typedef struct numbering {
  int32_t splits, leaves;
} numbering;

static garam_status add_leaf(trees_builder *b, const tree_json *t, size_t node, int32_t leaf,
                             float scale, const source *file) {
  float value, cover = 0;
  TRY(real_at(&value, t->condition, node, "split_conditions", file));
  if (t->cover) TRY(real_at(&cover, t->cover, node, "sum_hessian", file));
  return trees_set_leaf(b, (size_t)leaf, (double[]){(double)(value * scale)},
                        cover > 0 ? (double)cover : 0, file->err);
}

static garam_status add_child(int32_t *out, trees_builder *b, const tree_json *t, size_t child,
                              numbering *next, float scale, const source *file) {
  if (json_integer_value(json_array_get(t->left, child)) >= 0) {
    *out = next->splits++;
    return GARAM_OK;
  }
  *out = ~next->leaves;
  return add_leaf(b, t, child, next->leaves++, scale, file);
}

static garam_status add_split(trees_builder *b, tree_json *t, size_t i, numbering *next,
                              float scale, const source *file) {
  size_t node = (size_t)t->queue[i];
  int64_t feature, left_default, categorical = 0;
  float threshold, gain = 0, cover = 0;
  TRY(whole_at(&feature, t->feature, node, 0, (int64_t)t->n_features - 1, "split_indices", file));
  TRY(whole_at(&left_default, t->default_left, node, 0, 1, "default_left", file));
  if (t->type) TRY(whole_at(&categorical, t->type, node, 0, 1, "split_type", file));
  TRY(real_at(&threshold, t->condition, node, "split_conditions", file));
  if (t->gain) TRY(real_at(&gain, t->gain, node, "loss_changes", file));
  if (t->cover) TRY(real_at(&cover, t->cover, node, "sum_hessian", file));
  trees_split split = {.feature = (uint32_t)feature,
                       .threshold = trees_threshold_lt((double)threshold),
                       .missing = TREES_MISSING_NAN,
                       .default_left = left_default,
                       .gain = gain,
                       .cover = cover > 0 ? (double)cover : 0};
  size_t left = (size_t)json_integer_value(json_array_get(t->left, node));
  size_t right = (size_t)json_integer_value(json_array_get(t->right, node));
  TRY(add_child(&split.left, b, t, left, next, scale, file));
  TRY(add_child(&split.right, b, t, right, next, scale, file));
  if (categorical) { /* the set goes right there, left here */
    TRY(read_categories(&split, t, node, file));
    int32_t swapped = split.left;
    split.left = split.right;
    split.right = swapped;
    split.default_left = !left_default;
  }
  return trees_set_split(b, i, &split, file->err);
}

static garam_status add_tree(trees_builder *b, const json_t *tree, size_t output, float scale,
                             size_t n_features, size_t *words_left, const source *file) {
  tree_json t = {.n_features = n_features, .words_left = words_left};
  size_t n_splits;
  numbering next = {1, 0};
  garam_status status;
  if (!json_is_object(tree))
    return fail(file->err, GARAM_CORRUPT, "%s: tree %zu is not an object", file->name, file->tree);
  TRY_GOTO(done, read_arrays(&t, tree, file));
  TRY_GOTO(done, reach(&n_splits, &t, file));
  TRY_GOTO(done, trees_begin(b, output, n_splits, file->err));
  if (n_splits == 0) TRY_GOTO(done, add_leaf(b, &t, 0, 0, scale, file));
  for (size_t i = 0; i < n_splits; i++) TRY_GOTO(done, add_split(b, &t, i, &next, scale, file));
  status = trees_end(b, file->err);
  if (status != GARAM_OK) status = fail_within(file->err, status, "%s", file->name);
done:
  tree_json_deinit(&t);
  return status;
}

/* ---- the model ------------------------------------------------------------------------------- */

/* How the base score, which stands in the units of the prediction, becomes a margin. */
typedef enum margin { MARGIN_SAME, MARGIN_LOGIT, MARGIN_LOG } margin;

static const struct {
  const char *name;
  trees_link link;
  margin base;
} objectives[] = {
    {"binary:logistic", LINK_LOGISTIC, MARGIN_LOGIT},
    {"binary:logitraw", LINK_LOGISTIC, MARGIN_LOGIT},
    {"multi:softmax", LINK_SOFTMAX, MARGIN_SAME},
    {"multi:softprob", LINK_SOFTMAX, MARGIN_SAME},
    {"reg:squarederror", LINK_IDENTITY, MARGIN_SAME},
    {"reg:linear", LINK_IDENTITY, MARGIN_SAME},
    {"reg:squaredlogerror", LINK_IDENTITY, MARGIN_SAME},
    {"reg:absoluteerror", LINK_IDENTITY, MARGIN_SAME},
    {"reg:pseudohubererror", LINK_IDENTITY, MARGIN_SAME},
    {"reg:quantileerror", LINK_IDENTITY, MARGIN_SAME},
    {"reg:logistic", LINK_SIGMOID, MARGIN_LOGIT},
    {"reg:gamma", LINK_EXP, MARGIN_LOG},
    {"reg:tweedie", LINK_EXP, MARGIN_LOG},
    {"count:poisson", LINK_EXP, MARGIN_LOG},
    {"survival:cox", LINK_EXP, MARGIN_LOG},
    {"survival:aft", LINK_EXP, MARGIN_LOG},
    {"rank:ndcg", LINK_IDENTITY, MARGIN_SAME},
    {"rank:map", LINK_IDENTITY, MARGIN_SAME},
    {"rank:pairwise", LINK_IDENTITY, MARGIN_SAME},
};

static garam_status read_objective(trees_import *m, margin *base, const json_t *learner,
                                   size_t outputs, const source *file) {
  json_t *objective;
  const char *name;
  TRY(json_get_object(&objective, learner, "objective", file->name, file->err));
  TRY(json_get_string(&name, objective, "name", file->name, file->err));
  snprintf(m->objective, sizeof m->objective, "%.60s", name);
  for (size_t i = 0; i < COUNT_OF(objectives); i++)
    if (strcmp(objectives[i].name, name) == 0) {
      m->link = objectives[i].link;
      *base = objectives[i].base;
      if (m->link == LINK_LOGISTIC) m->n_classes = 2;
      if (m->link == LINK_SOFTMAX) m->n_classes = (int)outputs;
      if (trees_link_fits(m->link, m->n_classes, outputs)) return GARAM_OK;
      return fail(file->err, GARAM_UNSUPPORTED, "%s: objective \"%s\" of %zu outputs", file->name,
                  name, outputs);
    }
  return fail(file->err, GARAM_UNSUPPORTED, "%s: the objective \"%.60s\" is not read", file->name,
              name);
}

static garam_status to_margin(double *out, double score, margin base, const source *file) {
  float s = (float)score;
  bool fine = isfinite(s);
  if (base == MARGIN_LOGIT) {
    fine = s > 0 && s < 1;
    s = -logf(1.0f / s - 1.0f);
  } else if (base == MARGIN_LOG) {
    fine = s > 0;
    s = logf(s);
  }
  if (!fine || !isfinite(s))
    return fail(file->err, GARAM_CORRUPT, "%s: \"base_score\" %g is out of range", file->name,
                score);
  *out = (double)s;
  return GARAM_OK;
}

/* "5E-1", or "[4.7E-1]", or one for each output. */
static garam_status read_base(double *out, const json_t *param, size_t outputs, margin base,
                              const source *file) {
  const char *text;
  double value = 0;
  int64_t whole;
  TRY(json_get_string(&text, param, "base_score", file->name, file->err));
  size_t n = 0;
  for (const char *at = text + (*text == '['); *at && *at != ']';) {
    size_t length = strcspn(at, ",]");
    if (n == outputs || number_parse(&whole, &value, at, length, '.') == NUMBER_NONE) {
      n = SIZE_MAX;
      break;
    }
    TRY(to_margin(&out[n++], value, base, file));
    at += length + (at[length] == ',');
  }
  if (n == 1)
    for (; n < outputs; n++) out[n] = out[0];
  if (n == outputs) return GARAM_OK;
  return fail(file->err, GARAM_CORRUPT, "%s: \"base_score\" is \"%.40s\"; expected %zu numbers",
              file->name, text, outputs);
}

static garam_status read_trees(trees_builder *b, const json_t *model, json_t *weights,
                               size_t outputs, size_t n_features, source *file) {
  json_t *trees_list, *info;
  size_t words_left = MOST_WORDS;
  TRY(json_get_array(&trees_list, model, "trees", file->name, file->err));
  TRY(json_get_array(&info, model, "tree_info", file->name, file->err));
  size_t n = json_array_size(trees_list);
  if (json_array_size(info) != n || (weights && json_array_size(weights) != n))
    return fail(file->err, GARAM_CORRUPT, "%s: %zu trees, \"%s\" of another size", file->name, n,
                json_array_size(info) != n ? "tree_info" : "weight_drop");
  for (size_t i = 0; i < n; i++) {
    int64_t output;
    float scale = 1;
    file->tree = i;
    TRY(whole_at(&output, info, i, 0, (int64_t)outputs - 1, "tree_info", file));
    if (weights) TRY(real_at(&scale, weights, i, "weight_drop", file));
    TRY(add_tree(b, json_array_get(trees_list, i), (size_t)output, scale, n_features, &words_left,
                 file));
  }
  return GARAM_OK;
}

static garam_status read_names(trees_import *m, const json_t *learner, size_t n,
                               const source *file) {
  const json_t *list = json_object_get(learner, "feature_names");
  size_t given = json_array_size(list);
  if (given == 0) return import_names(m, NULL, n, "f", file->err);
  if (given != n)
    return fail(file->err, GARAM_CORRUPT, "%s: \"feature_names\": %zu names, expected %zu",
                file->name, given, n);
  const char **names = mem_array(n + 1, sizeof *names);
  if (!names) return fail_memory(file->err, n * sizeof *names);
  garam_status status = GARAM_OK;
  for (size_t i = 0; i < n && status == GARAM_OK; i++) {
    names[i] = json_string_value(json_array_get(list, i));
    if (!names[i])
      status = fail(file->err, GARAM_CORRUPT, "%s: \"feature_names\": element %zu is not text",
                    file->name, i);
  }
  if (status == GARAM_OK) status = import_names(m, names, n, "f", file->err);
  mem_free(names);
  return status;
}

garam_status import_xgboost(trees_import *out, json_t *root, const char *name, garam_error *err) {
  source file = {.name = name, .err = err};
  json_t *learner, *param, *booster, *inner, *model, *weights = NULL;
  const char *kind;
  int64_t n_features, n_classes = 0, n_targets = 1;
  trees_builder *b = NULL;
  margin base = MARGIN_SAME;
  TRY(json_get_object(&learner, root, "learner", name, err));
  TRY(json_get_object(&param, learner, "learner_model_param", name, err));
  TRY(get_int(&n_features, param, "num_feature", 1, 65536, &file));
  TRY(get_int(&n_classes, param, "num_class", 0, 1000, &file));
  if (json_object_get(param, "num_target"))
    TRY(get_int(&n_targets, param, "num_target", 1, INT32_MAX, &file));
  if (n_targets > 1)
    return fail(err, GARAM_UNSUPPORTED, "%s: a model of %lld targets", name, (long long)n_targets);
  size_t outputs = n_classes > 1 ? (size_t)n_classes : 1;
  TRY(read_objective(out, &base, learner, outputs, &file));
  TRY(json_get_object(&booster, learner, "gradient_booster", name, err));
  TRY(json_get_string(&kind, booster, "name", name, err));
  inner = booster;
  if (strcmp(kind, "dart") == 0) {
    TRY(json_get_object(&inner, booster, "gbtree", name, err));
    TRY(json_get_array(&weights, booster, "weight_drop", name, err));
  } else if (strcmp(kind, "gbtree") != 0) {
    return fail(err, GARAM_UNSUPPORTED, "%s: booster \"%.40s\"; gbtree and dart are read", name,
                kind);
  }
  TRY(json_get_object(&model, inner, "model", name, err));
  double *margins = mem_array(outputs, sizeof *margins);
  garam_status status = margins ? read_base(margins, param, outputs, base, &file)
                                : fail_memory(err, outputs * sizeof *margins);
  if (status == GARAM_OK) status = trees_builder_new(&b, (size_t)n_features, outputs, 1, err);
  if (status == GARAM_OK)
    status = read_trees(b, model, weights, outputs, (size_t)n_features, &file);
  if (status == GARAM_OK) {
    status = trees_finish(&out->trees, b, margins, 1, true, err);
    b = NULL;
  }
  trees_builder_free(b);
  mem_free(margins);
  return status == GARAM_OK ? read_names(out, learner, (size_t)n_features, &file) : status;
}
