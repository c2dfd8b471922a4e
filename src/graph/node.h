/* The map of this room, for those who work in it: nodes, tensors, op records.
 *
 *   graph.c    building: leaves, names, the sticky error
 *   param.c    parameters: places in the flat block, initial values
 *   op.c       what every op shares: emitting nodes, shapes, the list of records
 *   op_*.c     one file a family of ops; ops.def lists every record
 *   grad.c     the backward nodes, symbolically
 *   rewrite*.c dead code, constants, fusion, order; on the plan's own copy of the graph
 *   memory.c   blocks with lifetimes into one arena
 *   plan.c     a graph becomes a list of steps with addresses; running it
 *   describe.c what a plan is and where its time goes, for people */
#ifndef GRAPH_NODE_H
#define GRAPH_NODE_H

#include "base/arena.h"
#include "base/rng.h"
#include "graph/op.h"

#define NODE_MAX_OUTPUTS 6

typedef struct node node;
typedef struct op_record op_record;
typedef struct op_run op_run;

struct tensor {
  graph *graph;
  node *node; /* the maker; NULL in the poison tensor */
  int output; /* which of the maker's outputs this is */
  dtype type; /* DTYPE_F32, DTYPE_F64 or DTYPE_I32: DTYPE_REAL is resolved when built */
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
  int64_t count;
  bool differentiable; /* a parameter or a real input stands behind it */
  tensor *grad;
  uint32_t number;
  uint32_t uses; /* counted by rewrite.c and plan.c */
};

struct node {
  const op_record *op;
  graph *graph;
  uint32_t number;
  int n_inputs, n_outputs;
  tensor **inputs; /* NULL for an optional input that is not there */
  tensor *outputs[NODE_MAX_OUTPUTS];
  const void *attr; /* the op's own struct, immutable once built; NULL when it has none */
  size_t attr_size;
  bool backward; /* appended by graph_grad */
  bool fixed;    /* hangs on parameters and constants alone: set by rewrite_order.c */
};

/* What a run function gets: addresses, never shapes of its own making. */
struct op_run {
  const node *node;
  void **in, **out; /* in[i] NULL: optional input not there; out[i] NULL: nobody reads it */
  void *scratch;    /* of the size that op.scratch said, 64-byte aligned */
  void *state;      /* what op.prepare made */
  void *packed;     /* of the size that op.packed said: what op.pack made of the parameters */
  uint64_t seed, step, part;
};

enum {
  OP_LEAF = 1,   /* no run function: its memory is filled before the plan runs */
  OP_ALIAS = 2,  /* output 0 is input 0's memory under another shape: nothing runs */
  OP_RANDOM = 4, /* depends on the step: never folded */
  OP_CHEAP = 8,  /* one walk over memory: output 0 may be made again for the gradient */
};

/* The record of an op. Functions that may be NULL: grad (then a gradient that reaches the op is
 * an error of building), scratch, prepare, release, flops, bytes. */
struct op_record {
  const char *name;
  const char *onnx;  /* the operator that exports it alone; NULL when there is none */
  unsigned flags;    /* OP_... */
  unsigned optional; /* bit i: input i may be NULL */
  unsigned in_place; /* bit i: output 0 may overwrite input i of the same size */
  unsigned spare;    /* bit k: out[k] is NULL when nobody reads output k */
  /* Checks inputs and attributes; names the outputs by node_output. False after node_fail. */
  bool (*shape)(node *n);
  /* Emits nodes for the gradients of the inputs, given dy[k] of output k (NULL: zero), and hands
   * them to grad_add. Never touches memory. */
  void (*grad)(const node *n, tensor *const *dy);
  garam_status (*prepare)(void **state, const node *n, garam_error *err); /* once, for a plan */
  size_t (*scratch)(const node *n, const void *state); /* bytes that a run needs */
  void (*release)(void *state);
  /* Parameters that are read in another order than they lie in: pack makes it, whenever they have
   * changed. packed: bytes, 0 when it does not pay. */
  size_t (*packed)(const node *n,
                   const void *state); /* of inputs[1], which run does not read then */
  void (*pack)(const op_run *r);
  void (*run)(const op_run *r);
  double (*flops)(const node *n);
  double (*bytes)(const node *n); /* NULL: every input read and every output written once */
};

/* ---- records: ops.def is the one list ---- */
#define OP(name) extern const op_record record_##name;
#include "graph/ops.def"
#undef OP
extern const op_record *const op_records[];
extern const size_t n_op_records;

/* ---- a graph ---- */
typedef struct graph_name {
  const char *name;
  tensor *tensor;
} graph_name;

struct graph {
  arena arena;
  graph_config config;
  garam_error error; /* the first one; status GARAM_OK while there is none */
  tensor poison;
  node **nodes;
  size_t n_nodes, cap_nodes;
  uint32_t n_tensors;
  graph_name *inputs, *outputs;
  size_t n_inputs, cap_inputs, n_outputs, cap_outputs;
  param_info *params;
  tensor **param_tensors;
  size_t n_params, cap_params, cap_param_tensors, block, scalars;
  tensor *loss;             /* set by graph_grad */
  bool backward;            /* nodes that are appended now are backward nodes */
  plan_precision precision; /* of a plan's own copy */
};

/* Keeps the first error only. */
void graph_fail(graph *g, garam_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool graph_ok(const graph *g);
dtype graph_real(const graph *g);
tensor *graph_leaf_param(graph *g, int rank, const int64_t *dims); /* memory in the flat block */
tensor *graph_leaf_gradient(graph *g, const tensor *param);        /* in the gradients' block */
tensor *graph_leaf_scale(graph *g, int rank, const int64_t *dims); /* 1, or what the plan says */
garam_status graph_clone(graph **out, const graph *g, garam_error *err);
void graph_count_uses(graph *g); /* by nodes, outputs and parameter gradients */

/* ---- nodes ---- */
/* Appends a node with a copy of its attributes; NULL (and a sticky error) when it is refused or
 * any input is poison. */
node *node_append(graph *g, const op_record *op, tensor *const *inputs, int n_inputs,
                  const void *attr, size_t attr_size);
/* The same through the first input's graph, for ops with one output that counts: the tensor, or
 * poison. */
tensor *node_emit(const op_record *op, tensor *const *inputs, int n_inputs, const void *attr,
                  size_t attr_size);
#define TENSORS(...)                                                                               \
  ((tensor *const[]){__VA_ARGS__}), (int)(sizeof((tensor *const[]){__VA_ARGS__}) / sizeof(tensor *))

/* Names the next output; false (and a sticky error) when a dimension is below 1 or too much. */
bool node_output(node *n, dtype type, int rank, const int64_t *dims);
/* "op NAME (2,3) (3): message" */
bool node_fail(node *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool node_poisoned(const tensor *t);

/* The random stream of the node that is appended next: its number keys its masks for good. */
uint32_t graph_next_stream(const graph *g);

/* ---- gradient rules ---- */
bool grad_wanted(const tensor *t);
void grad_add(tensor *t, tensor *gradient); /* accumulates; nothing when t wants none */

/* ---- shapes ---- */
#define SHAPE_TEXT_MAX 128
char *shape_text(char out[SHAPE_TEXT_MAX], int rank, const int64_t *dims);
char *tensor_text(char out[SHAPE_TEXT_MAX], const tensor *t);
bool shape_equal(const tensor *a, const tensor *b);
size_t dtype_size(dtype type);
size_t tensor_bytes(const tensor *t);
/* Product of dims[from, to). */
int64_t shape_product(const int64_t *dims, int from, int to);
/* Result of numpy broadcasting; false when the shapes do not fit. */
bool shape_broadcast(int *rank, int64_t dims[TENSOR_MAX_RANK], const tensor *a, const tensor *b);

#endif
