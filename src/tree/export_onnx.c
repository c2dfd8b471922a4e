/* ONNX: a model of one TreeEnsembleClassifier or TreeEnsembleRegressor (ai.onnx.ml, version 3), and
 * what the link asks for behind it. Protocol buffers are written by hand: a dozen messages, all of
 * them bytes, varints and floats (onnx.proto3's field numbers stand beside each), against a library
 * and generated code of fifty times that size. */
#include "tree/export.h"

#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* ---- protocol buffers ------------------------------------------------------------------------ */

typedef struct buffer {
  uint8_t *data;
  size_t n, capacity;
  garam_status status; /* the first failure stays */
  garam_error *err;
} buffer;

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void put_bytes(buffer *b, const void *data, size_t n) {
  if (b->status != GARAM_OK) return;
  b->status = mem_grow(&b->data, &b->capacity, b->n + n + 1, 1, b->err);
  if (b->status != GARAM_OK) return;
  if (n) memcpy(b->data + b->n, data, n);
  b->n += n;
}

static void put_varint(buffer *b, uint64_t v) {
  uint8_t bytes[10];
  size_t n = 0;
  for (; v > 127; v >>= 7) bytes[n++] = (uint8_t)(v | 128);
  bytes[n++] = (uint8_t)v;
  put_bytes(b, bytes, n);
}

static void put_int(buffer *b, unsigned field, int64_t v) {
  put_varint(b, field << 3 | WIRE_VARINT);
  put_varint(b, (uint64_t)v);
}

static void put_text(buffer *b, unsigned field, const char *text) {
  put_varint(b, field << 3 | WIRE_BYTES);
  put_varint(b, strlen(text));
  put_bytes(b, text, strlen(text));
}

/* A message as a field of another; the part is freed. */
static void put_message(buffer *b, unsigned field, buffer *part) {
  if (part->status != GARAM_OK) b->status = part->status;
  put_varint(b, field << 3 | WIRE_BYTES);
  put_varint(b, part->n);
  put_bytes(b, part->data, part->n);
  mem_free(part->data);
}

/* ---- attributes: AttributeProto name = 1, i = 3, s = 4, floats = 7, ints = 8, strings = 9,
 * type = 20 (INT 2, STRING 3, FLOATS 6, INTS 7, STRINGS 8); NodeProto.attribute = 5 -------------
 */

enum { TYPE_STRING = 3, TYPE_FLOATS = 6, TYPE_INTS = 7, TYPE_STRINGS = 8, TYPE_INT = 2 };

static buffer attribute(const buffer *node, const char *name, int type) {
  buffer a = {.err = node->err};
  put_text(&a, 1, name);
  put_int(&a, 20, type);
  return a;
}

static void put_attribute_ints(buffer *node, const char *name, const int64_t *v, size_t n) {
  buffer a = attribute(node, name, TYPE_INTS), packed = {.err = node->err};
  for (size_t i = 0; i < n; i++) put_varint(&packed, (uint64_t)v[i]);
  put_message(&a, 8, &packed);
  put_message(node, 5, &a);
}

static void put_attribute_floats(buffer *node, const char *name, const float *v, size_t n) {
  buffer a = attribute(node, name, TYPE_FLOATS), packed = {.err = node->err};
  for (size_t i = 0; i < n; i++) { /* little-endian, wherever this runs */
    uint32_t w;
    memcpy(&w, &v[i], sizeof w);
    const uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16),
                              (uint8_t)(w >> 24)};
    put_bytes(&packed, bytes, sizeof bytes);
  }
  put_message(&a, 7, &packed);
  put_message(node, 5, &a);
}

static void put_attribute_text(buffer *node, const char *name, const char *text) {
  buffer a = attribute(node, name, TYPE_STRING);
  put_text(&a, 4, text);
  put_message(node, 5, &a);
}

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

static void put_modes(buffer *node, const columns *c) {
  buffer a = attribute(node, "nodes_modes", TYPE_STRINGS);
  for (size_t i = 0; i < c->n_nodes; i++) put_text(&a, 9, c->leaf[i] ? "LEAF" : "BRANCH_LEQ");
  put_message(node, 5, &a);
}

/* NodeProto: input = 1, output = 2, name = 3, op_type = 4, domain = 7. */
static void put_tree_node(buffer *graph, const trees_export *e, const columns *c) {
  buffer node = {.err = graph->err};
  bool classes = e->n_classes > 0;
  size_t n = c->n_nodes, m = c->n_values;
  put_text(&node, 1, "features");
  if (classes) put_text(&node, 2, "label");
  put_text(&node, 2, classes ? "probabilities" : e->view.link == LINK_IDENTITY ? "value" : "sum");
  put_text(&node, 3, "trees");
  put_text(&node, 4, classes ? "TreeEnsembleClassifier" : "TreeEnsembleRegressor");
  put_text(&node, 7, "ai.onnx.ml");
  put_attribute_ints(&node, "nodes_treeids", c->tree, n);
  put_attribute_ints(&node, "nodes_nodeids", c->node, n);
  put_attribute_ints(&node, "nodes_featureids", c->feature, n);
  put_attribute_ints(&node, "nodes_truenodeids", c->yes, n);
  put_attribute_ints(&node, "nodes_falsenodeids", c->no, n);
  put_attribute_ints(&node, "nodes_missing_value_tracks_true", c->nan_yes, n);
  put_attribute_floats(&node, "nodes_values", c->threshold, n);
  put_modes(&node, c);
  put_attribute_ints(&node, classes ? "class_treeids" : "target_treeids", c->value_tree, m);
  put_attribute_ints(&node, classes ? "class_nodeids" : "target_nodeids", c->value_node, m);
  put_attribute_ints(&node, classes ? "class_ids" : "target_ids", c->value_output, m);
  put_attribute_floats(&node, classes ? "class_weights" : "target_weights", c->value, m);
  if (classes) {
    buffer names = attribute(&node, "classlabels_strings", TYPE_STRINGS);
    for (int k = 0; k < e->n_classes; k++) put_text(&names, 9, e->class_names[k]);
    put_message(&node, 5, &names);
    trees_link link = e->view.link;
    put_attribute_text(&node, "post_transform",
                       link == LINK_SOFTMAX       ? "SOFTMAX"
                       : link == LINK_PROBABILITY ? "NONE"
                                                  : "LOGISTIC");
  } else {
    buffer targets = attribute(&node, "n_targets", TYPE_INT);
    put_int(&targets, 3, 1);
    put_message(&node, 5, &targets);
    put_attribute_text(&node, "aggregate_function", "SUM");
    put_attribute_text(&node, "post_transform", "NONE");
  }
  put_message(graph, 1, &node);
}

static void put_plain_node(buffer *graph, const char *op, const char *a, const char *b,
                           const char *out) {
  buffer node = {.err = graph->err};
  put_text(&node, 1, a);
  if (b) put_text(&node, 1, b);
  put_text(&node, 2, out);
  put_text(&node, 4, op);
  put_message(graph, 1, &node);
}

static void put_link(buffer *graph, const trees_export *e) {
  switch (e->view.link) {
  case LINK_EXP: put_plain_node(graph, "Exp", "sum", NULL, "value"); break;
  case LINK_SIGMOID: put_plain_node(graph, "Sigmoid", "sum", NULL, "value"); break;
  case LINK_SOFTPLUS: put_plain_node(graph, "Softplus", "sum", NULL, "value"); break;
  case LINK_SQUARE:
    put_plain_node(graph, "Abs", "sum", NULL, "size");
    put_plain_node(graph, "Mul", "sum", "size", "value");
    break;
  default: break;
  }
}

/* ValueInfoProto: name = 1, type = 2; TypeProto.tensor_type = 1; Tensor: elem_type = 1 (FLOAT 1,
 * STRING 8), shape = 2; TensorShapeProto.dim = 1: dim_value = 1, dim_param = 2. */
static void put_value(buffer *graph, unsigned field, const char *name, int type, size_t width) {
  buffer value = {.err = graph->err}, kind = value, tensor = value, shape = value, rows = value,
         columns_dim = value;
  put_text(&rows, 2, "N");
  put_message(&shape, 1, &rows);
  if (width > 0) {
    put_int(&columns_dim, 1, (int64_t)width);
    put_message(&shape, 1, &columns_dim);
  }
  put_int(&tensor, 1, type);
  put_message(&tensor, 2, &shape);
  put_message(&kind, 1, &tensor);
  put_text(&value, 1, name);
  put_message(&value, 2, &kind);
  put_message(graph, field, &value);
}

/* ModelProto: ir_version = 1, producer_name = 2, producer_version = 3, graph = 7,
 * opset_import = 8 (domain = 1, version = 2). GraphProto: node = 1, name = 2, input = 11,
 * output = 12. */
static void put_model(buffer *b, const trees_export *e, const columns *c) {
  enum { IR_VERSION = 8, OPSET = 15, OPSET_ML = 3, FLOAT = 1, STRING = 8 };
  buffer graph = {.err = b->err}, plain = {.err = b->err}, ml = {.err = b->err};
  put_tree_node(&graph, e, c);
  put_link(&graph, e);
  put_text(&graph, 2, "garam");
  put_value(&graph, 11, "features", FLOAT, e->view.trees->n_features);
  if (e->n_classes > 0) {
    put_value(&graph, 12, "label", STRING, 0);
    put_value(&graph, 12, "probabilities", FLOAT, (size_t)e->n_classes);
  } else {
    put_value(&graph, 12, "value", FLOAT, 1);
  }
  put_text(&plain, 1, "");
  put_int(&plain, 2, OPSET);
  put_text(&ml, 1, "ai.onnx.ml");
  put_int(&ml, 2, OPSET_ML);
  put_int(b, 1, IR_VERSION);
  put_text(b, 2, "garam");
  put_text(b, 3, GARAM_VERSION);
  put_message(b, 7, &graph);
  put_message(b, 8, &plain);
  put_message(b, 8, &ml);
}

garam_status trees_export_onnx(const trees_export *e, const char *path, garam_error *err) {
  const trees *t = e->view.trees;
  columns c;
  buffer b = {.err = err};
  if (t->n_linear > 0) return fail(err, GARAM_UNSUPPORTED, "onnx: trees with linear leaves");
  TRY(export_check(e, "onnx", err));
  TRY(columns_init(&c, t, err));
  double scale = 1 / t->divisor;
  if (e->n_classes > 0 && e->view.link != LINK_PROBABILITY) scale *= e->view.link_scale;
  garam_status status = fill(&c, t, scale, err);
  if (status == GARAM_OK) {
    put_model(&b, e, &c);
    status = b.status;
  }
  if (status == GARAM_OK) status = io_write_file(path, b.data, b.n, err);
  mem_free(b.data);
  columns_deinit(&c);
  return status;
}
