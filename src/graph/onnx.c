/* ONNX as protocol buffers: see onnx.h. */
#include "graph/onnx.h"

#include "base/io.h"
#include "base/mem.h"

#include <string.h>

/* ---- protocol buffers ------------------------------------------------------------------------ */

enum { WIRE_VARINT = 0, WIRE_BYTES = 2, WIRE_32 = 5 };

static void put_bytes(onnx_buffer *b, const void *data, size_t n) {
  if (b->status != GARAM_OK) return;
  b->status = mem_grow(&b->data, &b->capacity, b->n + n + 1, 1, b->err);
  if (b->status != GARAM_OK) return;
  if (n) memcpy(b->data + b->n, data, n);
  b->n += n;
}

static void put_varint(onnx_buffer *b, uint64_t v) {
  uint8_t bytes[10];
  size_t n = 0;
  for (; v > 127; v >>= 7) bytes[n++] = (uint8_t)(v | 128);
  bytes[n++] = (uint8_t)v;
  put_bytes(b, bytes, n);
}

/* Little-endian, wherever this runs. */
static void put_word(onnx_buffer *b, uint64_t v, size_t n) {
  uint8_t bytes[8];
  for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(v >> 8 * i);
  put_bytes(b, bytes, n);
}

static void put_f32(onnx_buffer *b, float v) {
  uint32_t w;
  memcpy(&w, &v, sizeof w);
  put_word(b, w, sizeof w);
}

void onnx_put_int(onnx_buffer *b, unsigned field, int64_t v) {
  put_varint(b, field << 3 | WIRE_VARINT);
  put_varint(b, (uint64_t)v);
}

void onnx_put_text(onnx_buffer *b, unsigned field, const char *text) {
  put_varint(b, field << 3 | WIRE_BYTES);
  put_varint(b, strlen(text));
  put_bytes(b, text, strlen(text));
}

void onnx_put_message(onnx_buffer *b, unsigned field, onnx_buffer *part) {
  if (b->status == GARAM_OK && part->status != GARAM_OK) b->status = part->status;
  put_varint(b, field << 3 | WIRE_BYTES);
  put_varint(b, part->n);
  put_bytes(b, part->data, part->n);
  mem_free(part->data);
  *part = (onnx_buffer){0};
}

/* ---- attributes: AttributeProto name = 1, f = 2, i = 3, s = 4, floats = 7, ints = 8, strings = 9,
 * type = 20 ------------------------------------------------------------------------------------ */

enum {
  TYPE_FLOAT = 1,
  TYPE_INT = 2,
  TYPE_STRING = 3,
  TYPE_FLOATS = 6,
  TYPE_INTS = 7,
  TYPE_STRINGS = 8,
  NODE_ATTRIBUTE = 5,
};

static onnx_buffer attribute(const onnx_buffer *node, const char *name, int type) {
  onnx_buffer a = {.err = node->err};
  onnx_put_text(&a, 1, name);
  onnx_put_int(&a, 20, type);
  return a;
}

void onnx_put_int_attribute(onnx_buffer *node, const char *name, int64_t v) {
  onnx_buffer a = attribute(node, name, TYPE_INT);
  onnx_put_int(&a, 3, v);
  onnx_put_message(node, NODE_ATTRIBUTE, &a);
}

void onnx_put_float(onnx_buffer *node, const char *name, float v) {
  onnx_buffer a = attribute(node, name, TYPE_FLOAT);
  put_varint(&a, 2 << 3 | WIRE_32);
  put_f32(&a, v);
  onnx_put_message(node, NODE_ATTRIBUTE, &a);
}

void onnx_put_ints(onnx_buffer *node, const char *name, const int64_t *v, size_t n) {
  onnx_buffer a = attribute(node, name, TYPE_INTS), packed = {.err = node->err};
  for (size_t i = 0; i < n; i++) put_varint(&packed, (uint64_t)v[i]);
  onnx_put_message(&a, 8, &packed);
  onnx_put_message(node, NODE_ATTRIBUTE, &a);
}

void onnx_put_floats(onnx_buffer *node, const char *name, const float *v, size_t n) {
  onnx_buffer a = attribute(node, name, TYPE_FLOATS), packed = {.err = node->err};
  for (size_t i = 0; i < n; i++) put_f32(&packed, v[i]);
  onnx_put_message(&a, 7, &packed);
  onnx_put_message(node, NODE_ATTRIBUTE, &a);
}

void onnx_put_string(onnx_buffer *node, const char *name, const char *text) {
  onnx_buffer a = attribute(node, name, TYPE_STRING);
  onnx_put_text(&a, 4, text);
  onnx_put_message(node, NODE_ATTRIBUTE, &a);
}

void onnx_put_strings(onnx_buffer *node, const char *name, const char *const *texts, size_t n) {
  onnx_buffer a = attribute(node, name, TYPE_STRINGS);
  for (size_t i = 0; i < n; i++) onnx_put_text(&a, 9, texts[i]);
  onnx_put_message(node, NODE_ATTRIBUTE, &a);
}

onnx_buffer onnx_node(const onnx_buffer *whole, const char *op, const char *const *inputs,
                      const char *output) {
  onnx_buffer node = {.err = whole->err};
  for (; *inputs; inputs++) onnx_put_text(&node, ONNX_NODE_INPUT, *inputs);
  onnx_put_text(&node, ONNX_NODE_OUTPUT, output);
  onnx_put_text(&node, ONNX_NODE_OP, op);
  return node;
}

/* ---- GraphProto: node = 1, name = 2, initializer = 5, input = 11, output = 12; TensorProto: dims
 * = 1, data_type = 2, name = 8, raw_data = 9 -----------------------------------------------------
 */

static onnx_buffer tensor_proto(const onnx_buffer *whole, const char *name, int type, int rank,
                                const int64_t *dims) {
  onnx_buffer t = {.err = whole->err};
  for (int i = 0; i < rank; i++) onnx_put_int(&t, 1, dims[i]);
  onnx_put_int(&t, 2, type);
  onnx_put_text(&t, 8, name);
  return t;
}

void onnx_put_weights(onnx_buffer *whole, const char *name, int rank, const int64_t *dims,
                      const float *values) {
  onnx_buffer t = tensor_proto(whole, name, ONNX_FLOAT, rank, dims), raw = {.err = whole->err};
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= dims[i];
  for (int64_t i = 0; i < n; i++) put_f32(&raw, values[i]);
  onnx_put_message(&t, 9, &raw);
  onnx_put_message(whole, 5, &t);
}

void onnx_put_numbers(onnx_buffer *whole, const char *name, const int64_t *values, size_t n) {
  const int64_t dims = (int64_t)n;
  onnx_buffer t = tensor_proto(whole, name, ONNX_INT64, 1, &dims), raw = {.err = whole->err};
  for (size_t i = 0; i < n; i++) put_word(&raw, (uint64_t)values[i], 8);
  onnx_put_message(&t, 9, &raw);
  onnx_put_message(whole, 5, &t);
}

/* ValueInfoProto: name = 1, type = 2; TypeProto.tensor_type = 1; Tensor: elem_type = 1, shape = 2;
 * TensorShapeProto.dim = 1: dim_value = 1, dim_param = 2. */
void onnx_put_value(onnx_buffer *whole, unsigned field, const char *name, int type, int rank,
                    const int64_t *dims) {
  onnx_buffer value = {.err = whole->err}, kind = value, inner = value, shape = value;
  for (int i = 0; i < rank; i++) {
    onnx_buffer dim = {.err = whole->err};
    if (dims[i] < 0) onnx_put_text(&dim, 2, "N");
    else onnx_put_int(&dim, 1, dims[i]);
    onnx_put_message(&shape, 1, &dim);
  }
  onnx_put_int(&inner, 1, type);
  onnx_put_message(&inner, 2, &shape);
  onnx_put_message(&kind, 1, &inner);
  onnx_put_text(&value, 1, name);
  onnx_put_message(&value, 2, &kind);
  onnx_put_message(whole, field, &value);
}

/* ---- ModelProto: ir_version = 1, producer_name = 2, producer_version = 3, graph = 7,
 * opset_import = 8 (domain = 1, version = 2) ----------------------------------------------------
 */

static void put_opset(onnx_buffer *model, const char *domain, int version) {
  onnx_buffer set = {.err = model->err};
  onnx_put_text(&set, 1, domain);
  onnx_put_int(&set, 2, version);
  onnx_put_message(model, 8, &set);
}

garam_status onnx_write(onnx_buffer *whole, int opset, int opset_ml, const char *path,
                        garam_error *err) {
  enum { IR_VERSION = 8 };
  onnx_buffer model = {.err = err};
  onnx_put_text(whole, 2, "garam");
  onnx_put_int(&model, 1, IR_VERSION);
  onnx_put_text(&model, 2, "garam");
  onnx_put_text(&model, 3, GARAM_VERSION);
  onnx_put_message(&model, 7, whole);
  put_opset(&model, "", opset);
  if (opset_ml) put_opset(&model, "ai.onnx.ml", opset_ml);
  garam_status status = model.status;
  if (status == GARAM_OK) status = io_write_file(path, model.data, model.n, err);
  mem_free(model.data);
  return status;
}
