/* ONNX: a model of one TreeEnsembleClassifier or TreeEnsembleRegressor (ai.onnx.ml, version 3), and
 * what the link asks for behind it. */
#include "tree/export.h"

#include "base/mem.h"
#include "graph/onnx.h"

#include <math.h>
#include <string.h>

/* ---- the trees --------------------------------------------------------------------------------
 */

/* Columns of the attributes: a row a node, and a row a leaf value. */
typedef struct columns {
  size_t n_nodes, n_values;
  int64_t *tree, *node, *feature, *yes, *no, *nan_yes;
  float *threshold;
  uint8_t *leaf;
  int64_t *value_tree, *value_node, *value_output;
  float *value;
} columns;

static void columns_deinit(columns *c) {
  mem_free(c->tree);
  mem_free(c->node);
  mem_free(c->feature);
  mem_free(c->yes);
  mem_free(c->no);
  mem_free(c->nan_yes);
  mem_free(c->threshold);
  mem_free(c->leaf);
  mem_free(c->value_tree);
  mem_free(c->value_node);
  mem_free(c->value_output);
  mem_free(c->value);
}

static garam_status columns_init(columns *c, const trees *t, garam_error *err) {
  size_t n = t->n_splits + t->n_leaves, m = t->n_leaves * t->width;
  *c = (columns){.n_nodes = n, .n_values = m};
  int64_t **ints[] = {&c->tree, &c->node, &c->feature, &c->yes, &c->no, &c->nan_yes};
  int64_t **values[] = {&c->value_tree, &c->value_node, &c->value_output};
  bool fine = true;
  for (size_t i = 0; i < COUNT_OF(ints); i++)
    fine = (*ints[i] = mem_array(n + 1, sizeof **ints[i])) != NULL && fine;
  for (size_t i = 0; i < COUNT_OF(values); i++)
    fine = (*values[i] = mem_array(m + 1, sizeof **values[i])) != NULL && fine;
  c->threshold = mem_array(n + 1, sizeof *c->threshold);
  c->leaf = mem_array(n + 1, 1);
  c->value = mem_array(m + 1, sizeof *c->value);
  if (fine && c->threshold && c->leaf && c->value) return GARAM_OK;
  columns_deinit(c);
  return fail_memory(err, n * sizeof *c->tree);
}

/* Splits of a tree are nodes 0 to n - 1, leaves follow. */
static int64_t node_of(int32_t child, size_t n_splits) {
  return child >= 0 ? child : (int64_t)n_splits + ~child;
}

static garam_status fill(columns *c, const trees *t, double scale, garam_error *err) {
  size_t at = 0, value = 0;
  for (size_t i = 0; i < t->n_trees; i++) {
    size_t begin = t->split_begin[i], n = t->split_begin[i + 1] - begin;
    for (size_t j = 0; j < n; j++, at++) {
      size_t s = begin + j;
      unsigned missing = t->flags[s] & TREES_MISSING_MASK;
      if (t->flags[s] & TREES_CATEGORICAL || missing == TREES_MISSING_ZERO)
        return fail(err, GARAM_UNSUPPORTED, "onnx: tree %zu: split %zu: %s", i, j,
                    missing == TREES_MISSING_ZERO ? "zero counts as missing" : "by category");
      c->tree[at] = (int64_t)i;
      c->node[at] = (int64_t)j;
      c->feature[at] = t->feature[s];
      c->threshold[at] = t->threshold[s];
      c->yes[at] = node_of(t->left[s], n);
      c->no[at] = node_of(t->right[s], n);
      c->nan_yes[at] = missing == TREES_MISSING_NONE ? 0 <= t->threshold[s]
                                                     : (t->flags[s] & TREES_DEFAULT_LEFT) != 0;
    }
    for (size_t j = 0; j <= n; j++, at++) {
      c->tree[at] = (int64_t)i;
      c->node[at] = (int64_t)(n + j);
      c->leaf[at] = 1;
      for (size_t k = 0; k < t->width; k++, value++) {
        c->value_tree[value] = (int64_t)i;
        c->value_node[value] = (int64_t)(n + j);
        c->value_output[value] = t->output[i] < 0 ? (int64_t)k : t->output[i];
        c->value[value] = (float)export_leaf(t, i, t->leaf_begin[i] + j, k, scale);
      }
    }
  }
  return GARAM_OK;
}

static void put_modes(onnx_buffer *node, const columns *c) {
  const char **modes = mem_array(c->n_nodes + 1, sizeof *modes);
  if (!modes) {
    node->status = fail_memory(node->err, c->n_nodes * sizeof *modes);
    return;
  }
  for (size_t i = 0; i < c->n_nodes; i++) modes[i] = c->leaf[i] ? "LEAF" : "BRANCH_LEQ";
  onnx_put_strings(node, "nodes_modes", modes, c->n_nodes);
  mem_free(modes);
}

static void put_tree_node(onnx_buffer *whole, const trees_export *e, const columns *c) {
  onnx_buffer node = {.err = whole->err};
  bool classes = e->n_classes > 0;
  size_t n = c->n_nodes, m = c->n_values;
  onnx_put_text(&node, ONNX_NODE_INPUT, "features");
  if (classes) onnx_put_text(&node, ONNX_NODE_OUTPUT, "label");
  onnx_put_text(&node, ONNX_NODE_OUTPUT,
                classes                         ? "probabilities"
                : e->view.link == LINK_IDENTITY ? "value"
                                                : "sum");
  onnx_put_text(&node, ONNX_NODE_NAME, "trees");
  onnx_put_text(&node, ONNX_NODE_OP, classes ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor");
  onnx_put_text(&node, ONNX_NODE_DOMAIN, "ai.onnx.ml");
  onnx_put_ints(&node, "nodes_treeids", c->tree, n);
  onnx_put_ints(&node, "nodes_nodeids", c->node, n);
  onnx_put_ints(&node, "nodes_featureids", c->feature, n);
  onnx_put_ints(&node, "nodes_truenodeids", c->yes, n);
  onnx_put_ints(&node, "nodes_falsenodeids", c->no, n);
  onnx_put_ints(&node, "nodes_missing_value_tracks_true", c->nan_yes, n);
  onnx_put_floats(&node, "nodes_values", c->threshold, n);
  put_modes(&node, c);
  onnx_put_ints(&node, classes ? "class_treeids" : "target_treeids", c->value_tree, m);
  onnx_put_ints(&node, classes ? "class_nodeids" : "target_nodeids", c->value_node, m);
  onnx_put_ints(&node, classes ? "class_ids" : "target_ids", c->value_output, m);
  onnx_put_floats(&node, classes ? "class_weights" : "target_weights", c->value, m);
  if (classes) {
    onnx_put_strings(&node, "classlabels_strings", e->class_names, (size_t)e->n_classes);
    trees_link link = e->view.link;
    onnx_put_string(&node, "post_transform",
                    link == LINK_SOFTMAX       ? "SOFTMAX"
                    : link == LINK_PROBABILITY ? "NONE"
                                               : "LOGISTIC");
  } else {
    onnx_put_int_attribute(&node, "n_targets", 1);
    onnx_put_string(&node, "aggregate_function", "SUM");
    onnx_put_string(&node, "post_transform", "NONE");
  }
  onnx_put_message(whole, ONNX_NODE, &node);
}

static void put_plain_node(onnx_buffer *whole, const char *op, const char *a, const char *b,
                           const char *out) {
  onnx_buffer node = onnx_node(whole, op, (const char *const[]){a, b, NULL}, out);
  onnx_put_message(whole, ONNX_NODE, &node);
}

static void put_link(onnx_buffer *whole, const trees_export *e) {
  switch (e->view.link) {
  case LINK_EXP: put_plain_node(whole, "Exp", "sum", NULL, "value"); break;
  case LINK_SIGMOID: put_plain_node(whole, "Sigmoid", "sum", NULL, "value"); break;
  case LINK_SOFTPLUS: put_plain_node(whole, "Softplus", "sum", NULL, "value"); break;
  case LINK_SQUARE:
    put_plain_node(whole, "Abs", "sum", NULL, "size");
    put_plain_node(whole, "Mul", "sum", "size", "value");
    break;
  default: break;
  }
}

static void put_graph(onnx_buffer *whole, const trees_export *e, const columns *c) {
  const int64_t features[2] = {-1, (int64_t)e->view.trees->n_features}, one[2] = {-1, 1},
                odds[2] = {-1, e->n_classes};
  put_tree_node(whole, e, c);
  put_link(whole, e);
  onnx_put_value(whole, ONNX_INPUT, "features", ONNX_FLOAT, 2, features);
  if (e->n_classes > 0) {
    onnx_put_value(whole, ONNX_OUTPUT, "label", ONNX_STRING, 1, one);
    onnx_put_value(whole, ONNX_OUTPUT, "probabilities", ONNX_FLOAT, 2, odds);
  } else {
    onnx_put_value(whole, ONNX_OUTPUT, "value", ONNX_FLOAT, 2, one);
  }
}

garam_status trees_export_onnx(const trees_export *e, const char *path, garam_error *err) {
  const trees *t = e->view.trees;
  enum { OPSET = 15, OPSET_ML = 3 };
  columns c;
  onnx_buffer whole = {.err = err};
  if (t->n_linear > 0) return fail(err, GARAM_UNSUPPORTED, "onnx: trees with linear leaves");
  TRY(export_check(e, "onnx", err));
  TRY(columns_init(&c, t, err));
  double scale = 1 / t->divisor;
  if (e->n_classes > 0 && e->view.link != LINK_PROBABILITY) scale *= e->view.link_scale;
  garam_status status = fill(&c, t, scale, err);
  if (status == GARAM_OK) {
    put_graph(&whole, e, &c);
    status = onnx_write(&whole, OPSET, OPSET_ML, path, err);
  }
  columns_deinit(&c);
  return status;
}
