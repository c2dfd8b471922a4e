/* Building a graph: its life, its leaves, its names and its one sticky error. */
#include "graph/node.h"

#include <stdio.h>
#include <string.h>

garam_status graph_new(graph **out, const graph_config *config, garam_error *err) {
  *out = NULL;
  dtype real = config->real == DTYPE_REAL ? DTYPE_F32 : config->real;
  if (real != DTYPE_F32 && real != DTYPE_F64)
    return fail(err, GARAM_INVALID, "graph: the real type is float or double");
  graph *g = mem_zalloc(sizeof *g);
  if (!g) return fail_memory(err, sizeof *g);
  arena_init(&g->arena, 0);
  g->config = *config;
  g->config.real = real;
  g->poison = (tensor){.graph = g, .type = real, .count = 1};
  *out = g;
  return GARAM_OK;
}

void graph_free(graph *g) {
  if (!g) return;
  mem_free(g->nodes);
  mem_free(g->inputs);
  mem_free(g->outputs);
  mem_free(g->params);
  mem_free(g->param_tensors);
  arena_deinit(&g->arena);
  mem_free(g);
}

void graph_fail(graph *g, garam_status status, const char *format, ...) {
  if (g->error.status != GARAM_OK) return;
  va_list args;
  va_start(args, format);
  vsnprintf(g->error.message, sizeof g->error.message, format, args);
  va_end(args);
  g->error.status = status;
}

bool graph_ok(const graph *g) {
  return g->error.status == GARAM_OK;
}

garam_status graph_check(const graph *g, garam_error *err) {
  if (graph_ok(g)) return GARAM_OK;
  return fail(err, g->error.status, "%s", g->error.message);
}

bool graph_training(const graph *g) {
  return g->config.training;
}

dtype graph_real(const graph *g) {
  return g->config.real;
}

/* ---- leaves ---- */

static const tensor *name_find(const graph_name *names, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(names[i].name, name) == 0) return names[i].tensor;
  return NULL;
}

static void name_add(graph *g, graph_name **names, size_t *n, size_t *cap, const char *name,
                     tensor *t) {
  char *copy = arena_strdup(&g->arena, name);
  if (!copy || mem_grow(names, cap, *n + 1, sizeof **names, NULL) != GARAM_OK) {
    graph_fail(g, GARAM_NO_MEMORY, "graph: no memory for the name \"%s\"", name);
    return;
  }
  (*names)[(*n)++] = (graph_name){copy, t};
}

typedef struct leaf_attr {
  dtype type;
  int rank;
  int64_t dims[TENSOR_MAX_RANK];
} leaf_attr;

static bool leaf_shape(node *n) {
  const leaf_attr *a = n->attr;
  return node_output(n, a->type, a->rank, a->dims);
}

const op_record record_input = {.name = "input", .flags = OP_LEAF, .shape = leaf_shape};
const op_record record_param = {.name = "param", .flags = OP_LEAF, .shape = leaf_shape};
const op_record record_param_gradient = {
    .name = "param_gradient", .flags = OP_LEAF, .shape = leaf_shape};

static tensor *leaf_add(graph *g, const op_record *op, dtype type, int rank, const int64_t *dims) {
  leaf_attr a = {.type = type, .rank = rank};
  if (rank < 0 || rank > TENSOR_MAX_RANK) {
    graph_fail(g, GARAM_INVALID, "%s: rank %d; at most %d", op->name, rank, TENSOR_MAX_RANK);
    return &g->poison;
  }
  if (rank > 0) memcpy(a.dims, dims, (size_t)rank * sizeof *dims);
  node *n = node_append(g, op, NULL, 0, &a, sizeof a);
  return n ? n->outputs[0] : &g->poison;
}

tensor *graph_input(graph *g, const char *name, dtype type, int rank, const int64_t *dims) {
  if (!graph_ok(g)) return &g->poison;
  if (type == DTYPE_REAL) type = graph_real(g);
  if (type != DTYPE_I32 && type != graph_real(g)) {
    graph_fail(g, GARAM_INVALID, "input \"%s\": type is the graph's real type or int32", name);
    return &g->poison;
  }
  if (name_find(g->inputs, g->n_inputs, name)) {
    graph_fail(g, GARAM_INVALID, "input \"%s\": there is one of that name", name);
    return &g->poison;
  }
  tensor *t = leaf_add(g, &record_input, type, rank, dims);
  if (!graph_ok(g)) return &g->poison;
  t->differentiable = type != DTYPE_I32;
  name_add(g, &g->inputs, &g->n_inputs, &g->cap_inputs, name, t);
  return t;
}

tensor *graph_leaf_param(graph *g, int rank, const int64_t *dims) {
  tensor *t = leaf_add(g, &record_param, graph_real(g), rank, dims);
  if (graph_ok(g)) t->differentiable = true;
  return t;
}

tensor *graph_leaf_gradient(graph *g, const tensor *param) {
  return leaf_add(g, &record_param_gradient, param->type, param->rank, param->dims);
}

static bool output_named(const graph *g, const char *name) {
  return name_find(g->outputs, g->n_outputs, name) != NULL;
}

void graph_output(graph *g, const char *name, tensor *t) {
  if (!graph_ok(g)) return;
  if (!t) {
    graph_fail(g, GARAM_INVALID,
               "output \"%s\": there is no such tensor (a gradient that does "
               "not reach the loss?)",
               name);
    return;
  }
  REQUIRE(t->graph == g, "graph_output \"%s\": tensor of another graph", name);
  if (output_named(g, name)) {
    graph_fail(g, GARAM_INVALID, "output \"%s\": there is one of that name", name);
    return;
  }
  name_add(g, &g->outputs, &g->n_outputs, &g->cap_outputs, name, t);
}

/* ---- asking ---- */

int tensor_rank(const tensor *t) {
  return t->rank;
}

int64_t tensor_dim(const tensor *t, int axis) {
  if (node_poisoned(t)) return 1;
  int at = axis < 0 ? axis + t->rank : axis;
  REQUIRE(at >= 0 && at < t->rank, "tensor_dim: axis %d of a tensor of rank %d", axis, t->rank);
  return t->dims[at];
}

int64_t tensor_count(const tensor *t) {
  return t->count;
}

graph *tensor_graph(const tensor *t) {
  return t->graph;
}

/* ---- copying: a plan rewrites its own copy, so that the graph can be compiled again ---- */

static tensor *mapped(tensor *const *map, const tensor *t) {
  return t ? map[t->number] : NULL;
}

static garam_status clone_names(graph *c, graph_name **to, size_t *n_to, size_t *cap,
                                const graph_name *from, size_t n, tensor *const *map) {
  for (size_t i = 0; i < n; i++)
    name_add(c, to, n_to, cap, from[i].name, mapped(map, from[i].tensor));
  return c->error.status;
}

static garam_status clone_node(graph *c, const node *from, tensor **map) {
  node *n = arena_alloc(&c->arena, sizeof *n);
  if (!n || mem_grow(&c->nodes, &c->cap_nodes, c->n_nodes + 1, sizeof *c->nodes, NULL))
    return GARAM_NO_MEMORY;
  *n = *from;
  n->graph = c;
  n->inputs = arena_array(&c->arena, (size_t)n->n_inputs + 1, sizeof *n->inputs);
  if (!n->inputs) return GARAM_NO_MEMORY;
  for (int i = 0; i < n->n_inputs; i++) n->inputs[i] = mapped(map, from->inputs[i]);
  if (from->attr) {
    void *attr = arena_alloc(&c->arena, n->attr_size);
    if (!attr) return GARAM_NO_MEMORY;
    memcpy(attr, from->attr, n->attr_size);
    n->attr = attr;
  }
  for (int i = 0; i < n->n_outputs; i++) {
    tensor *t = arena_alloc(&c->arena, sizeof *t);
    if (!t) return GARAM_NO_MEMORY;
    *t = *from->outputs[i];
    t->graph = c;
    t->node = n;
    n->outputs[i] = t;
    map[t->number] = t;
  }
  c->nodes[c->n_nodes++] = n;
  return GARAM_OK;
}

garam_status graph_clone(graph **out, const graph *g, garam_error *err) {
  graph *c = NULL;
  garam_status status = graph_new(&c, &g->config, err);
  if (status != GARAM_OK) return status;
  tensor **map = mem_array(g->n_tensors + 1, sizeof *map);
  if (!map) TRY_GOTO(done, GARAM_NO_MEMORY);
  for (size_t i = 0; i < g->n_nodes; i++) TRY_GOTO(done, clone_node(c, g->nodes[i], map));
  for (size_t i = 0; i < c->n_nodes; i++)
    for (int k = 0; k < c->nodes[i]->n_outputs; k++) {
      tensor *t = c->nodes[i]->outputs[k];
      t->grad = mapped(map, t->grad);
    }
  c->n_tensors = g->n_tensors;
  TRY_GOTO(done,
           clone_names(c, &c->inputs, &c->n_inputs, &c->cap_inputs, g->inputs, g->n_inputs, map));
  TRY_GOTO(done, clone_names(c, &c->outputs, &c->n_outputs, &c->cap_outputs, g->outputs,
                             g->n_outputs, map));
  TRY_GOTO(done, mem_grow(&c->params, &c->cap_params, g->n_params, sizeof *c->params, NULL));
  TRY_GOTO(done, mem_grow(&c->param_tensors, &c->cap_param_tensors, g->n_params,
                          sizeof *c->param_tensors, NULL));
  for (size_t i = 0; i < g->n_params; i++) {
    c->params[i] = g->params[i];
    c->params[i].name = arena_strdup(&c->arena, g->params[i].name);
    if (!c->params[i].name) TRY_GOTO(done, GARAM_NO_MEMORY);
    c->param_tensors[i] = mapped(map, g->param_tensors[i]);
  }
  c->n_params = g->n_params;
  c->block = g->block;
  c->scalars = g->scalars;
  c->loss = mapped(map, g->loss);
done:
  mem_free(map);
  if (status != GARAM_OK) {
    graph_free(c);
    return fail_memory(err, sizeof *c);
  }
  *out = c;
  return GARAM_OK;
}
