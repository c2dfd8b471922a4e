/* A graph as ONNX nodes: see onnx.h. An op that ONNX has under the name in its record is that; the
 * others are what they mean in a few nodes. */
#include "graph/onnx.h"

#include "base/mem.h"
#include "graph/op_inner.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME = 160 };

typedef struct export {
  onnx_buffer *out;
  const graph *a, *b; /* built for two numbers of rows */
  int64_t rows;       /* of a */
  const char *input;
  unsigned n_made; /* names of weights that nodes need beside their inputs */
  bool has_rows;   /* "rows" has been put: how many there are, as a tensor */
  garam_error *err;
}
export;

/* ---- names and shapes ------------------------------------------------------------------------ */

static void name_of(char out[NAME], const export *x, const tensor *t) {
  const graph *g = x->a;
  if (g->inputs[0].tensor == t) {
    snprintf(out, NAME, "%s", x->input);
    return;
  }
  for (size_t i = 0; i < g->n_params; i++)
    if (g->param_tensors[i] == t) {
      snprintf(out, NAME, "%s", g->params[i].name);
      return;
    }
  snprintf(out, NAME, "t%u", t->number);
}

static void fresh_name(char out[NAME], export *x) {
  snprintf(out, NAME, "c%u", x->n_made++);
}

/* Does dim i of t grow with the rows? Then how many times. */
static bool grows(const export *x, const node *n, int output, int i, int64_t *times) {
  const tensor *here = n->outputs[output];
  const tensor *there = x->b->nodes[n->number]->outputs[output];
  *times = here->dims[i] / x->rows;
  return here->dims[i] != there->dims[i];
}

static garam_status unsupported(const export *x, const node *n, const char *why) {
  return fail(x->err, GARAM_UNSUPPORTED, "onnx: op %s%s%s", n->op->name, *why ? ": " : "", why);
}

/* ---- nodes ----------------------------------------------------------------------------------- */

static void put_op(export *x, const char *op, const char *const *inputs, const char *output) {
  onnx_buffer made = onnx_node(x->out, op, inputs, output);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void put_scalar(char name[NAME], export *x, double value) {
  const float number = (float)value;
  fresh_name(name, x);
  onnx_put_weights(x->out, name, 0, NULL, &number);
}

static void put_vector(char name[NAME], export *x, const int64_t *values, size_t n) {
  fresh_name(name, x);
  onnx_put_numbers(x->out, name, values, n);
}

/* The shape of n's output as a tensor of numbers; the rows stay open. */
static void put_shape(char name[NAME], export *x, const node *n) {
  const tensor *t = n->outputs[0];
  char parts[TENSOR_MAX_RANK][NAME];
  const char *inputs[TENSOR_MAX_RANK + 1] = {0};
  if (!x->has_rows) {
    onnx_buffer shape = onnx_node(x->out, "Shape", INPUTS(x->input), "rows");
    onnx_put_int_attribute(&shape, "start", 0);
    onnx_put_int_attribute(&shape, "end", 1);
    onnx_put_message(x->out, ONNX_NODE, &shape);
    x->has_rows = true;
  }
  for (int i = 0; i < t->rank; i++) {
    int64_t times;
    if (!grows(x, n, 0, i, &times)) {
      put_vector(parts[i], x, &t->dims[i], 1);
    } else if (times == 1) {
      snprintf(parts[i], NAME, "rows");
    } else {
      char factor[NAME];
      put_vector(factor, x, &times, 1);
      fresh_name(parts[i], x);
      put_op(x, "Mul", INPUTS("rows", factor), parts[i]);
    }
    inputs[i] = parts[i];
  }
  fresh_name(name, x);
  onnx_buffer made = onnx_node(x->out, "Concat", inputs, name);
  onnx_put_int_attribute(&made, "axis", 0);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

static garam_status put_constant(export *x, const node *n, const char *out) {
  const constant_attr *a = n->attr;
  const tensor *t = n->outputs[0];
  int64_t times;
  for (int i = 0; i < t->rank; i++)
    if (grows(x, n, 0, i, &times)) return unsupported(x, n, "its values depend on the rows");
  float *values = mem_array((size_t)t->count, sizeof *values);
  if (!values) return fail_memory(x->err, (size_t)t->count * sizeof *values);
  for (int64_t i = 0; i < t->count; i++) values[i] = (float)a->values[i];
  onnx_put_weights(x->out, out, t->rank, t->dims, values);
  mem_free(values);
  return GARAM_OK;
}

static garam_status put_fill(export *x, const node *n, const char *out) {
  const float value = (float)((const constant_attr *)n->attr)->values[0];
  char shape[NAME], scalar[NAME];
  put_shape(shape, x, n);
  put_scalar(scalar, x, (double)value);
  put_op(x, "Expand", INPUTS(scalar, shape), out);
  return GARAM_OK;
}

static garam_status put_reshape(export *x, const node *n, const char *in, const char *out) {
  const tensor *t = n->outputs[0];
  int64_t dims[TENSOR_MAX_RANK], times;
  char shape[NAME];
  int open = 0;
  for (int i = 0; i < t->rank; i++) {
    dims[i] = t->dims[i];
    if (!grows(x, n, 0, i, &times)) continue;
    dims[i] = -1;
    open++;
  }
  if (open > 1) return unsupported(x, n, "the rows are in two axes");
  put_vector(shape, x, dims, (size_t)t->rank);
  put_op(x, "Reshape", INPUTS(in, shape), out);
  return GARAM_OK;
}

static garam_status put_slice(export *x, const node *n, const char *in, const char *out) {
  const slice_attr *a = n->attr;
  const int64_t axis = a->axis;
  int64_t times;
  char begin[NAME], end[NAME], axes[NAME];
  if (grows(x, n, 0, a->axis, &times)) return unsupported(x, n, "it cuts the rows");
  put_vector(begin, x, &a->begin, 1);
  put_vector(end, x, &a->end, 1);
  put_vector(axes, x, &axis, 1);
  put_op(x, "Slice", INPUTS(in, begin, end, axes), out);
  return GARAM_OK;
}

static void put_transposed(char out[NAME], export *x, const char *in, int rank) {
  int64_t axes[TENSOR_MAX_RANK];
  for (int i = 0; i < rank; i++) axes[i] = i;
  axes[rank - 1] = rank - 2;
  axes[rank - 2] = rank - 1;
  fresh_name(out, x);
  onnx_buffer made = onnx_node(x->out, "Transpose", INPUTS(in), out);
  onnx_put_ints(&made, "perm", axes, (size_t)rank);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

static void put_matmul(export *x, const node *n, const char *a, const char *b, const char *out) {
  const matmul_attr *m = n->attr;
  char ta[NAME], tb[NAME];
  if (m->transpose_a) put_transposed(ta, x, a, n->inputs[0]->rank), a = ta;
  if (m->transpose_b) put_transposed(tb, x, b, n->inputs[1]->rank), b = tb;
  put_op(x, "MatMul", INPUTS(a, b), out);
}

static garam_status put_linear(export *x, const node *n, const char *const *in, const char *out) {
  char product[NAME];
  if (((const linear_attr *)n->attr)->activation != KERNEL_IDENTITY)
    return unsupported(x, n, "it has been rewritten");
  if (!n->inputs[2]) {
    put_op(x, "MatMul", INPUTS(in[0], in[1]), out);
    return GARAM_OK;
  }
  fresh_name(product, x);
  put_op(x, "MatMul", INPUTS(in[0], in[1]), product);
  put_op(x, "Add", INPUTS(product, in[2]), out);
  return GARAM_OK;
}

static void put_reduce(export *x, const node *n, const char *op, const char *in, const char *out) {
  const reduce_attr *a = n->attr;
  const bool mean = strcmp(op, "ReduceMean") == 0; /* axes are an input of sums alone until 18 */
  int64_t axes[TENSOR_MAX_RANK];
  char list[NAME];
  const size_t n_axes = (size_t)(a->to - a->from);
  for (int i = a->from; i < a->to; i++) axes[i - a->from] = i;
  if (!mean) put_vector(list, x, axes, n_axes);
  onnx_buffer made = onnx_node(x->out, op, mean ? INPUTS(in) : INPUTS(in, list), out);
  if (mean) onnx_put_ints(&made, "axes", axes, n_axes);
  onnx_put_int_attribute(&made, "keepdims", a->keep);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

static void put_scale(export *x, const node *n, const char *in, const char *out) {
  const unary_attr *a = n->attr;
  char factor[NAME], offset[NAME], product[NAME];
  put_scalar(factor, x, a->p0);
  put_scalar(offset, x, a->p1);
  fresh_name(product, x);
  put_op(x, "Mul", INPUTS(in, factor), product);
  put_op(x, "Add", INPUTS(product, offset), out);
}

static void put_clamp(export *x, const node *n, const char *in, const char *out) {
  const unary_attr *a = n->attr;
  char low[NAME], high[NAME];
  put_scalar(low, x, a->p0);
  put_scalar(high, x, a->p1);
  put_op(x, "Clip", INPUTS(in, low, high), out);
}

static void put_gelu(export *x, const char *in, const char *out) { /* x (1 + erf(x / sqrt 2)) / 2 */
  char root[NAME], one[NAME], half[NAME], a[NAME], b[NAME], c[NAME], d[NAME];
  put_scalar(root, x, sqrt(2));
  put_scalar(one, x, 1);
  put_scalar(half, x, 0.5);
  fresh_name(a, x);
  fresh_name(b, x);
  fresh_name(c, x);
  fresh_name(d, x);
  put_op(x, "Div", INPUTS(in, root), a);
  put_op(x, "Erf", INPUTS(a), b);
  put_op(x, "Add", INPUTS(b, one), c);
  put_op(x, "Mul", INPUTS(in, c), d);
  put_op(x, "Mul", INPUTS(d, half), out);
}

static void put_layer_norm(export *x, const node *n, const char *const *in, const char *out) {
  onnx_buffer made = onnx_node(x->out, "LayerNormalization", in, out);
  onnx_put_int_attribute(&made, "axis", -1);
  onnx_put_float(&made, "epsilon", (float)((const norm_attr *)n->attr)->epsilon);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

static void put_with_axis(export *x, const char *op, const char *const *in, int64_t axis,
                          const char *out) {
  onnx_buffer made = onnx_node(x->out, op, in, out);
  onnx_put_int_attribute(&made, "axis", axis);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

static void put_transpose(export *x, const node *n, const char *in, const char *out) {
  const transpose_attr *a = n->attr;
  int64_t axes[TENSOR_MAX_RANK];
  for (int i = 0; i < a->rank; i++) axes[i] = a->axes[i];
  onnx_buffer made = onnx_node(x->out, "Transpose", INPUTS(in), out);
  onnx_put_ints(&made, "perm", axes, (size_t)a->rank);
  onnx_put_message(x->out, ONNX_NODE, &made);
}

/* Ops that are one ONNX operator without attributes. */
static bool is_plain(const op_record *op) {
  static const op_record *const plain[] = {
      &record_add,  &record_sub,     &record_mul,      &record_div,           &record_neg,
      &record_exp,  &record_log,     &record_sqrt,     &record_abs,           &record_relu,
      &record_tanh, &record_sigmoid, &record_softplus, &record_stop_gradient, &record_copy};
  for (size_t i = 0; i < COUNT_OF(plain); i++)
    if (op == plain[i]) return true;
  return false;
}

static garam_status put_node(export *x, const node *n, const char *const *in, const char *out) {
  const op_record *op = n->op;
  if (op == &record_input || op == &record_param) return GARAM_OK;
  if (op == &record_constant) return put_constant(x, n, out);
  if (op == &record_fill) return put_fill(x, n, out);
  if (op == &record_reshape) return put_reshape(x, n, in[0], out);
  if (op == &record_slice) return put_slice(x, n, in[0], out);
  if (op == &record_linear) return put_linear(x, n, in, out);
  if (is_plain(op)) put_op(x, op->onnx, in, out);
  else if (op == &record_maximum) put_op(x, "Max", in, out);
  else if (op == &record_minimum) put_op(x, "Min", in, out);
  else if (op == &record_matmul) put_matmul(x, n, in[0], in[1], out);
  else if (op == &record_scale) put_scale(x, n, in[0], out);
  else if (op == &record_clamp) put_clamp(x, n, in[0], out);
  else if (op == &record_square) put_op(x, "Mul", INPUTS(in[0], in[0]), out);
  else if (op == &record_gelu) put_gelu(x, in[0], out);
  else if (op == &record_sum) put_reduce(x, n, "ReduceSum", in[0], out);
  else if (op == &record_mean) put_reduce(x, n, "ReduceMean", in[0], out);
  else if (op == &record_softmax) put_with_axis(x, "Softmax", in, -1, out);
  else if (op == &record_log_softmax) put_with_axis(x, "LogSoftmax", in, -1, out);
  else if (op == &record_layer_norm) put_layer_norm(x, n, in, out);
  else if (op == &record_transpose) put_transpose(x, n, in[0], out);
  else if (op == &record_dropout) put_op(x, "Identity", in, out); /* no mask outside training */
  else if (op == &record_concat)
    put_with_axis(x, "Concat", in, ((const concat_attr *)n->attr)->axis, out);
  else if (op == &record_silu) {
    char gate[NAME];
    fresh_name(gate, x);
    put_op(x, "Sigmoid", in, gate);
    put_op(x, "Mul", INPUTS(in[0], gate), out);
  } else return unsupported(x, n, "it has no form in ONNX here");
  return GARAM_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

garam_status onnx_put_graph(onnx_buffer *out, const graph *first, const graph *second,
                            const char *input, const float *params, garam_error *err) {
  export x = {.out = out, .a = first, .b = second, .input = input, .err = err};
  REQUIRE(first->n_inputs == 1 && first->n_nodes == second->n_nodes,
          "onnx_put_graph: two graphs of one model, with one input");
  x.rows = first->inputs[0].tensor->dims[0];
  for (size_t i = 0; i < first->n_params; i++)
    onnx_put_weights(out, first->params[i].name, first->params[i].rank, first->params[i].dims,
                     params + first->params[i].offset);
  for (size_t i = 0; i < first->n_nodes; i++) {
    const node *n = first->nodes[i];
    char *names = mem_array((size_t)n->n_inputs + 1, NAME);
    const char **in = mem_array((size_t)n->n_inputs + 1, sizeof *in);
    char made[NAME];
    garam_status status = names && in ? GARAM_OK : fail_memory(err, NAME);
    for (int k = 0; status == GARAM_OK && k < n->n_inputs; k++) {
      if (n->inputs[k]) name_of(names + (size_t)k * NAME, &x, n->inputs[k]);
      in[k] = names + (size_t)k * NAME;
    }
    if (status == GARAM_OK) {
      name_of(made, &x, n->outputs[0]);
      status = put_node(&x, n, in, made);
    }
    mem_free(names);
    mem_free(in);
    if (status != GARAM_OK) return status;
  }
  for (size_t i = 0; i < first->n_outputs; i++) {
    char made[NAME];
    name_of(made, &x, first->outputs[i].tensor);
    put_op(&x, "Identity", INPUTS(made), first->outputs[i].name);
  }
  return out->status;
}
