/* The graph engine: a static program over tensors.
 *
 *   graph *g;                       graph_new(&g, &(graph_config){.dtype = DTYPE_F32, ...}, err)
 *   tensor *x = graph_input(g, "x", DTYPE_REAL, 3, (int64_t[]){B, T, F});
 *   tensor *w = graph_param(g, "embed.weight", 2, (int64_t[]){F, D}, init, PARAM_DECAY);
 *   tensor *y = op_linear(x, w, b);                              see op.h
 *   tensor *loss = op_cross_entropy(...);
 *   graph_grad(g, loss);            appends the backward nodes, symbolically
 *   graph_output(g, "loss", loss);
 *   graph_compile(&p, g, ...);      rewrite, plan by liveness, one arena
 *   plan_run(p, step);              walks the plan: no allocation, no lock
 *
 * Building is sticky: the first error is kept with its op and shapes, later calls return a
 * poison tensor, and it is checked once, by graph_check or graph_compile. A gradient rule emits
 * nodes and never touches memory. Parameters, gradients and moments are flat blocks, so that
 * optimiser, clipping, checkpoint and target networks are loops over memory. */
#ifndef GRAPH_GRAPH_H
#define GRAPH_GRAPH_H

#include "base/status.h"

#define TENSOR_MAX_RANK 5

/* DTYPE_REAL is the graph's own: float in use, double when gradients are checked. */
typedef enum dtype { DTYPE_REAL, DTYPE_F32, DTYPE_F64, DTYPE_I32 } dtype;

typedef struct graph graph;
typedef struct tensor tensor; /* a value: shape, dtype, the node that makes it */
typedef struct plan plan;     /* a compiled graph with its arena */

typedef struct graph_config {
  dtype real;    /* DTYPE_F32 or DTYPE_F64 */
  bool training; /* false: dropout is the identity */
  uint64_t seed; /* of dropout; with the node's number and the step it keys every mask */
} graph_config;

garam_status graph_new(graph **out, const graph_config *config, garam_error *err);
void graph_free(graph *g);
garam_status graph_check(const graph *g, garam_error *err); /* the first error of building */
bool graph_training(const graph *g);
/* For functions that build: the first error is kept, later ones are dropped. */
void graph_fail(graph *g, garam_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- leaves ---- */
tensor *graph_input(graph *g, const char *name, dtype type, int rank, const int64_t *dims);
tensor *graph_constant(graph *g, int rank, const int64_t *dims, const double *values);
tensor *graph_fill(graph *g, int rank, const int64_t *dims, double value);

typedef enum param_init_kind {
  INIT_ZERO,
  INIT_ONE,
  INIT_NORMAL,     /* scale = standard deviation */
  INIT_UNIFORM,    /* [-scale, scale) */
  INIT_XAVIER,     /* Glorot & Bengio 2010, uniform: sqrt(6/(fan_in+fan_out)) * scale; 0 means 1 */
  INIT_KAIMING,    /* He et al. 2015, uniform: sqrt(3/fan_in) * scale; scale 0 means 1 */
  INIT_ORTHOGONAL, /* Saxe, McClelland & Ganguli 2014: columns (rows, where there are fewer) of
                      length scale, at right angles; scale 0 means 1 */
} param_init_kind;
typedef struct param_init {
  param_init_kind kind;
  double scale;
  int64_t fan_in, fan_out; /* 0: from the shape, (in, out) of a matrix */
} param_init;
enum { PARAM_PLAIN = 0, PARAM_DECAY = 1 }; /* decay: AdamW's weight decay applies */

/* Parameters have unique names; asking for a name again with the same shape gives the same
 * tensor (weight tying). Their order in the flat block is the order of their first naming. */
tensor *graph_param(graph *g, const char *name, int rank, const int64_t *dims, param_init init,
                    int flags);

/* ---- program ---- */
/* loss: one number, once a graph. Afterwards tensor_grad is there, of inputs too. */
void graph_grad(graph *g, tensor *loss);
tensor *tensor_grad(tensor *t); /* NULL when t does not reach the loss */
void graph_output(graph *g, const char *name, tensor *t);

int tensor_rank(const tensor *t);
int64_t tensor_dim(const tensor *t, int axis); /* negative axes count from the end */
int64_t tensor_count(const tensor *t);
graph *tensor_graph(const tensor *t);

/* ---- parameters: where each lies in the flat block ---- */
typedef struct param_info {
  const char *name;
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
  size_t offset, count; /* in items; offsets are multiples of 16 items */
  int flags;
  param_init init;
} param_info;
size_t graph_param_count(const graph *g); /* number of parameters (tensors) */
const param_info *graph_param_info(const graph *g, size_t i);
size_t graph_param_block(const graph *g);   /* items of the block, padding included */
size_t graph_param_scalars(const graph *g); /* without padding */
/* Fills a block by the inits; the same for any number of threads. */
void graph_param_init(const graph *g, void *block, uint64_t seed);

/* ---- plan ---- */
/* What products of weights and activations are computed in. Parameters, losses, norms, softmax and
 * every sum stay in float; a graph of doubles is always full. */
typedef enum plan_precision {
  PLAN_FULL,
  PLAN_BF16, /* operands rounded to half precision, sums in float; full where the processor has none
              */
} plan_precision;

typedef struct plan_config {
  void *params;    /* the caller's flat block, of the graph's real type; 64-byte aligned */
  void *grads;     /* the same shape; NULL when there is no graph_grad */
  bool keep_order; /* skip rewrites (for checks of them) */
  bool no_reuse;   /* every tensor has memory of its own (for checks of the planner) */
  plan_precision precision;
  /* Runs add to grads instead of overwriting (micro-batches): the caller clears them before the
   * first one, and says by plan_loss_scale how much each one counts. */
  bool accumulate;
  /* Makes cheap values again for the gradient instead of keeping them, where that lowers the
   * peak. The same bits. */
  bool recompute;
  /* A count of the changes of params, which whoever writes them keeps beside them, for every plan
   * over the block: what plans make of them (packed weights) is made anew in the first run after
   * each change. NULL: params may change before every run. It outlives the plan. */
  const uint64_t *params_version;
  /* Plans everything and allocates nothing but the plan itself: plan_bytes says what it would
   * take, and it cannot run. params and grads may be NULL. */
  bool dry;
} plan_config;
/* The plan holds its own copy: the graph may be freed or compiled again. The blocks must outlive
 * the plan; grads is written by every run, zeros where a parameter does not reach the loss. */
garam_status graph_compile(plan **out, graph *g, const plan_config *config, garam_error *err);
void plan_free(plan *p);

/* The caller writes inputs before and reads outputs after each run, in place. An input keeps what
 * was written until it is written again; an output is valid until the next run. A name that
 * the graph does not have is misuse. */
void *plan_input(plan *p, const char *name, size_t *bytes);
const void *plan_output(const plan *p, const char *name, size_t *bytes);

/* One walk. `step` keys dropout. GARAM_NUMERIC is never raised here: the caller looks at loss. */
garam_status plan_run(plan *p, uint64_t step, garam_error *err);
/* Part `part`, from 0, of a larger batch that runs of this plan make up one after another. Dropout
 * masks are those that one run over the whole batch would draw for these rows (to the bit where
 * what is masked has a multiple of KERNEL_MASK_BLOCK items; else others that no part shares). */
garam_status plan_run_part(plan *p, uint64_t step, uint64_t part, garam_error *err);

/* The gradient of scale * loss, from the next run on (1 before); the loss itself stays as it is. Of
 * plans that accumulate. A batch of micro-batches that weigh w_i together has scales w_i / sum w.
 */
void plan_loss_scale(plan *p, double scale);

size_t plan_bytes(const plan *p); /* all that it allocates (of a dry one: would): what follows */
size_t plan_arena_bytes(const plan *p);  /* activations, gradients of activations, scratch */
size_t plan_packed_bytes(const plan *p); /* weights in the order in which products read them */
double plan_flops(const plan *p);        /* of one run */
/* One line a node: op, shapes, offset, bytes, lifetime. For people, through the callback. */
void plan_describe(const plan *p, void (*line)(void *context, const char *text), void *context);
/* Seconds spent in each op since the plan was made (only after plan_profile(p, true)). */
void plan_profile(plan *p, bool on);
void plan_profile_report(const plan *p, void (*line)(void *context, const char *text),
                         void *context);

#endif
