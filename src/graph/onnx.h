/* ONNX files: nodes, attributes, weights and the model around them, as protocol buffers. They are
 * written by hand: a dozen messages, all of them bytes, varints and floats (onnx.proto3's field
 * numbers stand beside each), against a library and generated code of fifty times that size.
 *
 * A message is a buffer; the first failure stays in it and goes up into what it is put in. */
#ifndef GRAPH_ONNX_H
#define GRAPH_ONNX_H

#include "graph/graph.h"

typedef struct onnx_buffer {
  uint8_t *data;
  size_t n, capacity;
  garam_status status; /* the first failure stays */
  garam_error *err;
} onnx_buffer;

enum { ONNX_FLOAT = 1, ONNX_INT64 = 7, ONNX_STRING = 8 };  /* TensorProto.DataType */
enum { ONNX_NODE = 1, ONNX_INPUT = 11, ONNX_OUTPUT = 12 }; /* fields of GraphProto */

/* ---- protocol buffers ---- */
void onnx_put_int(onnx_buffer *b, unsigned field, int64_t v);
void onnx_put_text(onnx_buffer *b, unsigned field, const char *text);
/* A message as a field of another; the part is freed. */
void onnx_put_message(onnx_buffer *b, unsigned field, onnx_buffer *part);

/* ---- NodeProto: input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7 ---- */
enum { ONNX_NODE_INPUT = 1, ONNX_NODE_OUTPUT, ONNX_NODE_NAME, ONNX_NODE_OP, ONNX_NODE_DOMAIN = 7 };
/* A node of the default domain; inputs end with NULL, "" is one that is not there. */
onnx_buffer onnx_node(const onnx_buffer *whole, const char *op, const char *const *inputs,
                      const char *output);
void onnx_put_int_attribute(onnx_buffer *node, const char *name, int64_t v);
void onnx_put_float(onnx_buffer *node, const char *name, float v);
void onnx_put_ints(onnx_buffer *node, const char *name, const int64_t *v, size_t n);
void onnx_put_floats(onnx_buffer *node, const char *name, const float *v, size_t n);
void onnx_put_string(onnx_buffer *node, const char *name, const char *text);
void onnx_put_strings(onnx_buffer *node, const char *name, const char *const *texts, size_t n);

/* ---- GraphProto ---- */
void onnx_put_weights(onnx_buffer *whole, const char *name, int rank, const int64_t *dims,
                      const float *values);
void onnx_put_numbers(onnx_buffer *whole, const char *name, const int64_t *values, size_t n);
/* field: ONNX_INPUT or ONNX_OUTPUT; a dim of -1 is "N". */
void onnx_put_value(onnx_buffer *whole, unsigned field, const char *name, int type, int rank,
                    const int64_t *dims);

/* The model around a graph, which is freed: durable. opset_ml 0: ai.onnx.ml is not used. */
garam_status onnx_write(onnx_buffer *whole, int opset, int opset_ml, const char *path,
                        garam_error *err);

/* ---- onnx_graph.c ---- */
/* Nodes of a graph with one input, built twice for other numbers of rows: where the shapes of
 * `first` and `second` differ, the number of rows stays open. `input` is what the graph reads; its
 * parameters are weights of their own names, and its outputs get their names. GARAM_UNSUPPORTED
 * names an op that has no form here. */
garam_status onnx_put_graph(onnx_buffer *out, const graph *first, const graph *second,
                            const char *input, const float *params, garam_error *err);

#endif
