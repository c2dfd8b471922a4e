/* What a plan is inside: for plan.c, describe.c and their tests. */
#ifndef GRAPH_PLAN_H
#define GRAPH_PLAN_H

#include "graph/memory.h"
#include "graph/node.h"

typedef enum place_kind {
  PLACE_NONE,  /* nobody reads it */
  PLACE_ARENA, /* block `block` of the arena */
  PLACE_PARAM, /* `offset` bytes into the caller's parameters */
  PLACE_GRAD,  /* `offset` bytes into the caller's gradients */
} place_kind;

typedef struct place {
  place_kind kind;
  size_t block, offset;
} place;

typedef struct plan_step {
  op_run run;
  double seconds, pack_seconds; /* while profiling */
  size_t scratch_block;         /* SIZE_MAX: none */
  size_t packed_offset;         /* into the packed weights; SIZE_MAX: none */
} plan_step;

struct plan {
  graph *graph; /* its own copy, rewritten */
  plan_config config;
  plan_step *steps;
  size_t n_steps, n_fixed; /* the first ones run when the parameters have changed */
  place *places;           /* by tensor number */
  memory_block *blocks;
  size_t n_blocks, cap_blocks;
  char *arena, *packed; /* NULL in a dry plan */
  size_t arena_bytes, packed_bytes;
  bool fixed_once;    /* after the first run */
  uint64_t fixed_for; /* the version of the parameters that fixed steps and `packed` are of */
  bool one_thread;    /* is_small in plan.c */
  bool profiling;
  uint64_t n_runs; /* while profiling */
};

void *plan_address(const plan *p, const tensor *t); /* NULL: nobody reads it */

/* ---- rewrite.c, rewrite_*.c: on the plan's own graph ---- */
garam_status rewrite_fold(graph *g, garam_error *err); /* small constants are computed once */
void rewrite_dead(graph *g);       /* drops nodes that reach no output and no parameter gradient */
void rewrite_accumulate(graph *g); /* gradients of parameters are added to what was there */
void rewrite_fuse(graph *g);
void rewrite_recompute(graph *g); /* cheap values are made again for the gradient */
void rewrite_matmul_add(node *n); /* of an addition: a product that nobody else reads is added */
/* What hangs on parameters alone comes first, and is marked. */
garam_status rewrite_fixed_first(graph *g, garam_error *err);

/* For the rules. The node becomes another op with the same first output. */
bool rewrite_become(node *n, const op_record *op, tensor *const *inputs, int n_inputs,
                    const void *attr, size_t attr_size);
void rewrite_replace(graph *g, const tensor *from, tensor *to); /* for everyone who reads it */
void rewrite_insert_after(graph *g, const node *after);         /* the node that came last */

#endif
