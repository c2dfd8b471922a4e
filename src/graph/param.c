/* Parameters: names, places in the flat block, and initial values. */
#include "graph/node.h"

#include <math.h>
#include <string.h>

#define PARAM_ALIGN 16 /* items: a cache line of floats, so that vector loops start aligned */

tensor *graph_param(graph *g, const char *name, int rank, const int64_t *dims, param_init init,
                    int flags) {
  if (!graph_ok(g)) return &g->poison;
  for (size_t i = 0; i < g->n_params; i++) {
    if (strcmp(g->params[i].name, name) != 0) continue;
    tensor *t = g->param_tensors[i];
    if (t->rank == rank && memcmp(t->dims, dims, (size_t)rank * sizeof *dims) == 0) return t;
    char is[SHAPE_TEXT_MAX], asked[SHAPE_TEXT_MAX];
    if (rank < 0 || rank > TENSOR_MAX_RANK) rank = 0;
    graph_fail(g, GARAM_INVALID, "parameter \"%s\": is %s, asked for again as %s", name,
               tensor_text(is, t), shape_text(asked, rank, dims));
    return &g->poison;
  }
  tensor *t = graph_leaf_param(g, rank, dims);
  if (!graph_ok(g)) return &g->poison;
  char *copy = arena_strdup(&g->arena, name);
  if (!copy || mem_grow(&g->params, &g->cap_params, g->n_params + 1, sizeof *g->params, NULL) ||
      mem_grow(&g->param_tensors, &g->cap_param_tensors, g->n_params + 1, sizeof *g->param_tensors,
               NULL)) {
    graph_fail(g, GARAM_NO_MEMORY, "parameter \"%s\": no memory for the graph", name);
    return &g->poison;
  }
  param_info *p = &g->params[g->n_params];
  *p = (param_info){.name = copy, .rank = rank, .offset = g->block, .flags = flags, .init = init};
  p->count = (size_t)t->count;
  if (rank > 0) memcpy(p->dims, dims, (size_t)rank * sizeof *dims);
  g->param_tensors[g->n_params++] = t;
  g->block += (p->count + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
  g->scalars += p->count;
  return t;
}

size_t graph_param_count(const graph *g) {
  return g->n_params;
}

const param_info *graph_param_info(const graph *g, size_t i) {
  REQUIRE(i < g->n_params, "graph_param_info: parameter %zu of %zu", i, g->n_params);
  return &g->params[i];
}

size_t graph_param_block(const graph *g) {
  return g->block;
}

size_t graph_param_scalars(const graph *g) {
  return g->scalars;
}

/* ---- initial values ---- */

/* FNV-1a: values hang on the parameter's name, not on how many were named before it. */
static uint64_t name_hash(const char *name) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
  return hash;
}

/* (..., in, out): what stands before the last two axes is the receptive field. */
static void param_fans(const param_info *p, double *fan_in, double *fan_out) {
  int rank = p->rank;
  int64_t field = shape_product(p->dims, 0, rank > 2 ? rank - 2 : 0);
  int64_t in = rank >= 2 ? p->dims[rank - 2] : rank == 1 ? p->dims[0] : 1;
  int64_t out = rank >= 1 ? p->dims[rank - 1] : 1;
  *fan_in = p->init.fan_in > 0 ? (double)p->init.fan_in : (double)(in * field);
  *fan_out = p->init.fan_out > 0 ? (double)p->init.fan_out : (double)(out * field);
}

static double param_draw(const param_info *p, double limit, rng *r) {
  switch (p->init.kind) {
  case INIT_ZERO: return 0;
  case INIT_ONE: return 1;
  case INIT_NORMAL: return p->init.scale * rng_normal(r);
  case INIT_ORTHOGONAL: return rng_normal(r);
  case INIT_UNIFORM:
  case INIT_XAVIER:
  case INIT_KAIMING: return limit * (2 * rng_uniform(r) - 1);
  }
  return 0;
}

static double item(const void *block, bool wide, size_t i) {
  return wide ? ((const double *)block)[i] : (double)((const float *)block)[i];
}

static void set_item(void *block, bool wide, size_t i, double value) {
  if (wide) ((double *)block)[i] = value;
  else ((float *)block)[i] = (float)value;
}

/* Gram and Schmidt over normal values, twice over each vector ("twice is enough", Giraud et al.
 * 2005), in place: no memory is asked for. The factor that is taken out has a positive diagonal,
 * so what is left is uniform over all such matrices (Mezzadri 2007). */
static void param_orthogonalize(const param_info *p, void *block, bool wide) {
  const size_t out = p->rank ? (size_t)p->dims[p->rank - 1] : 1, in = p->count / out;
  const size_t n = in < out ? in : out, length = in < out ? out : in;
  const size_t next = in < out ? out : 1, along = in < out ? 1 : out; /* of vectors, of items */
  const double scale = p->init.scale > 0 ? p->init.scale : 1;
  for (size_t v = 0; v < n; v++) {
    const size_t at = p->offset + v * next;
    for (size_t u = 0; u < 2 * v; u++) {
      const size_t other = p->offset + u % v * next;
      double dot = 0;
      for (size_t k = 0; k < length; k++)
        dot += item(block, wide, at + k * along) * item(block, wide, other + k * along);
      for (size_t k = 0; k < length; k++)
        set_item(block, wide, at + k * along,
                 item(block, wide, at + k * along) - dot * item(block, wide, other + k * along));
    }
    double squares = 0;
    for (size_t k = 0; k < length; k++) {
      const double x = item(block, wide, at + k * along);
      squares += x * x;
    }
    for (size_t k = 0; k < length; k++)
      set_item(block, wide, at + k * along, item(block, wide, at + k * along) / sqrt(squares));
  }
  for (size_t i = p->offset; i < p->offset + p->count; i++)
    set_item(block, wide, i, scale * item(block, wide, i));
}

void graph_param_init(const graph *g, void *block, uint64_t seed) {
  bool wide = g->config.real == DTYPE_F64;
  memset(block, 0, g->block * dtype_size(g->config.real));
  for (size_t i = 0; i < g->n_params; i++) {
    const param_info *p = &g->params[i];
    double fan_in, fan_out, limit = p->init.scale;
    param_fans(p, &fan_in, &fan_out);
    if (p->init.kind == INIT_XAVIER)
      limit = sqrt(6 / (fan_in + fan_out)) * (p->init.scale > 0 ? p->init.scale : 1);
    if (p->init.kind == INIT_KAIMING)
      limit = sqrt(3 / fan_in) * (p->init.scale > 0 ? p->init.scale : 1);
    rng r;
    rng_init(&r, seed, RNG_INIT, name_hash(p->name));
    for (size_t k = 0; k < p->count; k++)
      set_item(block, wide, p->offset + k, param_draw(p, limit, &r));
    if (p->init.kind == INIT_ORTHOGONAL) param_orthogonalize(p, block, wide);
  }
}
