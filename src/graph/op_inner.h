/* What op files, rewriting and the tests share: attributes that more than one file reads, and
 * ops that only gradient rules emit. */
#ifndef GRAPH_OP_INNER_H
#define GRAPH_OP_INNER_H

#include "graph/node.h"
#include "kernel/gemm.h"
#include "kernel/kernel.h"

static inline const kernel_table *op_kernel_of(const node *n) {
  if (n->graph->config.real == DTYPE_F64) return kernel_table_f64();
  return n->graph->precision == PLAN_BF16 ? kernel_table_half() : kernel_table_f32();
}
static inline const kernel_table *op_kernel(const op_run *r) {
  return op_kernel_of(r->node);
}

/* ---- op_leaf.c ---- */
typedef struct constant_attr {
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
  double values[];
} constant_attr;
/* Turns a node with one output into a constant of that shape; false when memory is out. */
bool constant_become(graph *g, node *n, const double *values);

/* ---- op_shape.c ---- */
typedef struct transpose_attr {
  int rank;
  int axes[TENSOR_MAX_RANK];
} transpose_attr;
typedef struct slice_attr {
  int axis;
  int64_t begin, end;
  int64_t whole; /* of the axis that was cut, for the gradient */
} slice_attr;
typedef struct concat_attr {
  int axis;
} concat_attr;

/* ---- op_unary.c ---- */
typedef struct unary_attr {
  kernel_unary_op kernel;
  double p0, p1;
} unary_attr;

/* ---- op_reduce.c ---- */
typedef struct reduce_attr {
  int from, to; /* axes [from, to) */
  bool keep;    /* as axes of 1 */
} reduce_attr;
/* Sums over axes [from, to), which are dropped or kept as 1. */
tensor *op_sum_axes(tensor *a, int from, int to, bool keep);
/* x (outer, inner), in any shape of that count, to (outer, n, inner) in the shape given, times
 * factor. */
tensor *op_expand(tensor *x, int64_t outer, int64_t n, int64_t inner, int rank, const int64_t *dims,
                  double factor);
/* A gradient of a broadcast result, summed to the shape of the operand `like`. */
tensor *op_sum_to(tensor *a, const tensor *like);

/* ---- op_product.c ---- */
typedef struct matmul_attr {
  bool transpose_a, transpose_b;
} matmul_attr;
typedef struct linear_attr {
  kernel_unary_op activation; /* KERNEL_IDENTITY until rewriting fuses one */
} linear_attr;

/* ---- op_network.c ---- */
typedef struct norm_attr {
  double epsilon;
} norm_attr;

/* ---- op_dropout.c ---- */
/* `stream` is of the dropout node that was built; gradients and fused nodes carry it along. */
typedef struct dropout_attr {
  double rate;
  uint32_t stream;
} dropout_attr;
kernel_dropout dropout_key(const op_run *r, const dropout_attr *a);
bool dropout_rate_fits(graph *g, const char *op, double rate); /* else a sticky error */
typedef struct activation_attr {
  kernel_unary_op kernel;
  dropout_attr dropout; /* rate 0: none */
  bool from_result;     /* of relu's gradient: x is what activation and dropout gave */
} activation_attr;

/* ---- op_residual.c ---- */
typedef struct residual_norm_attr {
  double epsilon;
  dropout_attr dropout; /* rate 0: none */
} residual_norm_attr;

#endif
