/* A graph becomes a plan: the list of nodes that run, and an address for every tensor. Lifetimes
 * are counted in steps; memory.c lays the blocks into one arena; an elementwise op writes over
 * an operand that it is the last to read; a reshape has no memory of its own; gradients of
 * parameters are computed in the caller's block. Running is one walk over addresses. */
#include "graph/plan.h"

#include "base/clock.h"
#include "base/thread.h"
#include "graph/op_inner.h"

#include <string.h>

#define NO_BLOCK SIZE_MAX

/* ---- lifetimes ---- */

/* The tensor whose memory t is: itself, or what a chain of aliases starts from. */
static const tensor *root_of(const tensor *t) {
  while (t->node->op->flags & OP_ALIAS) t = t->node->inputs[0];
  return t;
}

static bool runs(const node *n) {
  return !(n->op->flags & (OP_LEAF | OP_ALIAS));
}

/* end[root's number]: the last step that reads its memory. Leaves and outputs are needed after the
 * last step, so nothing is ever written over them; nor over what fixed steps make, unless only
 * fixed steps and packing read it: that is all done before the first other step. */
static void lifetimes_find(uint32_t *end, const plan *p) {
  const graph *g = p->graph;
  uint32_t step = 0, never = (uint32_t)p->n_steps, fixed = (uint32_t)p->n_fixed;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const node *n = g->nodes[i];
    for (int k = 0; k < n->n_outputs; k++) end[n->outputs[k]->number] = step;
    for (int k = 0; runs(n) && k < n->n_inputs; k++) {
      if (!n->inputs[k]) continue;
      const tensor *root = root_of(n->inputs[k]);
      uint32_t *last = &end[root->number];
      if (!root->node->fixed) *last = step;
      else if (n->fixed || (k == 1 && p->steps[step].packed_offset != SIZE_MAX))
        *last = *last == never ? never : fixed;
      else *last = never;
    }
    step += runs(n);
  }
  for (size_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i]->op->flags & OP_LEAF) end[g->nodes[i]->outputs[0]->number] = never;
  for (size_t i = 0; i < g->n_outputs; i++) end[root_of(g->outputs[i].tensor)->number] = never;
}

/* ---- places ---- */

static garam_status block_new(plan *p, size_t *block, size_t bytes, uint32_t begin, uint32_t end,
                              garam_error *err) {
  TRY(mem_grow(&p->blocks, &p->cap_blocks, p->n_blocks + 1, sizeof *p->blocks, err));
  *block = p->n_blocks;
  p->blocks[p->n_blocks++] = (memory_block){.bytes = bytes, .begin = begin, .end = end};
  return GARAM_OK;
}

/* A gradient that is a leaf, or that two parameters share, needs a copy with its own place. */
static garam_status place_gradients(plan *p, garam_error *err) {
  graph *g = p->graph;
  size_t item = dtype_size(graph_real(g));
  bool *taken = mem_array((size_t)g->n_tensors + g->n_params + 1, sizeof *taken);
  if (!taken) return fail_memory(err, g->n_tensors);
  for (size_t i = 0; !p->config.accumulate && i < g->n_params; i++) {
    tensor *param = g->param_tensors[i];
    if (!param->grad) continue;
    const tensor *root = root_of(param->grad);
    if (root->node->op->flags & OP_LEAF || taken[root->number]) {
      param->grad = node_emit(&record_copy, TENSORS(param->grad), NULL, 0);
      root = param->grad;
      if (!graph_ok(g)) break;
    }
    taken[root->number] = true;
  }
  mem_free(taken);
  TRY(graph_check(g, err));
  p->places = arena_array(&g->arena, (size_t)g->n_tensors + 1, sizeof *p->places);
  if (!p->places) return fail_memory(err, g->n_tensors * sizeof *p->places);
  for (size_t i = 0; i < g->n_params; i++) {
    const tensor *param = g->param_tensors[i];
    size_t offset = g->params[i].offset * item;
    p->places[param->number] = (place){.kind = PLACE_PARAM, .offset = offset};
    if (!param->grad) continue;
    const tensor *root = root_of(param->grad);
    p->places[root->number] = (place){.kind = PLACE_GRAD, .offset = offset};
    for (int k = 0; p->config.accumulate && k < root->node->n_inputs; k++)
      if (root->node->inputs[k]->node->op == &record_param_gradient)
        p->places[root->node->inputs[k]->number] = p->places[root->number];
  }
  return GARAM_OK;
}

/* An op that may write over input i still reads its other inputs: none may be the same memory,
 * unless the op may write over that one too. */
static bool alone(const node *n, int i) {
  const tensor *root = root_of(n->inputs[i]);
  for (int k = 0; k < n->n_inputs; k++)
    if (k != i && n->inputs[k] && root_of(n->inputs[k]) == root &&
        !(k < 32 && n->op->in_place >> k & 1))
      return false;
  return true;
}

/* The input whose memory output 0 may take over, or -1. */
static int in_place_input(const plan *p, const uint32_t *last, const node *n, uint32_t step) {
  if (p->config.no_reuse || n->fixed || p->places[n->outputs[0]->number].kind != PLACE_NONE)
    return -1;
  for (int i = 0; i < n->n_inputs && i < 32; i++) {
    if (!(n->op->in_place >> i & 1) || !n->inputs[i]) continue;
    const tensor *root = root_of(n->inputs[i]);
    if (p->places[root->number].kind == PLACE_ARENA && last[root->number] == step &&
        tensor_bytes(root) == tensor_bytes(n->outputs[0]) && alone(n, i))
      return i;
  }
  return -1;
}

static garam_status place_outputs(plan *p, const uint32_t *last, const node *n, uint32_t step,
                                  garam_error *err) {
  int over = runs(n) ? in_place_input(p, last, n, step) : -1;
  for (int k = 0; k < n->n_outputs; k++) {
    const tensor *t = n->outputs[k];
    place *at = &p->places[t->number];
    if (at->kind != PLACE_NONE) continue; /* in the caller's blocks */
    if (n->op == &record_param || n->op == &record_param_gradient) continue;
    if (t->uses == 0 && k < 32 && n->op->spare >> k & 1) continue;
    uint32_t end = last[t->number];
    at->kind = PLACE_ARENA;
    if (k == 0 && over >= 0) {
      at->block = p->places[root_of(n->inputs[over])->number].block;
      p->blocks[at->block].end = end;
    } else {
      bool early = n->op->flags & OP_LEAF || n->fixed;
      TRY(block_new(p, &at->block, tensor_bytes(t), early ? 0 : step, end, err));
    }
  }
  return GARAM_OK;
}

static garam_status place_all(plan *p, const uint32_t *last, garam_error *err) {
  const graph *g = p->graph;
  uint32_t step = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const node *n = g->nodes[i];
    if (n->op->flags & OP_ALIAS) {
      p->places[n->outputs[0]->number] = p->places[root_of(n->outputs[0])->number];
      continue;
    }
    TRY(place_outputs(p, last, n, step, err));
    if (!runs(n)) continue;
    plan_step *s = &p->steps[step];
    size_t bytes = n->op->scratch ? n->op->scratch(n, s->run.state) : 0;
    s->scratch_block = NO_BLOCK;
    uint32_t begin = n->fixed ? 0 : step, end = n->fixed ? (uint32_t)p->n_fixed : step;
    if (bytes > 0) TRY(block_new(p, &s->scratch_block, bytes, begin, end, err));
    step++;
  }
  return memory_layout(p->blocks, p->n_blocks, !p->config.no_reuse, &p->arena_bytes, err);
}

/* An alias's place is its root's: roots come first, and the caller's blocks are known before. */
void *plan_address(const plan *p, const tensor *t) {
  const place *at = &p->places[root_of(t)->number];
  switch (at->kind) {
  case PLACE_NONE: return NULL;
  case PLACE_ARENA: return p->arena + p->blocks[at->block].offset;
  case PLACE_PARAM: return (char *)p->config.params + at->offset;
  case PLACE_GRAD: return (char *)p->config.grads + at->offset;
  }
  return NULL;
}

/* ---- making ---- */

static garam_status steps_prepare(plan *p, garam_error *err) {
  graph *g = p->graph;
  p->n_steps = 0;
  size_t n = 0;
  for (size_t i = 0; i < g->n_nodes; i++) n += runs(g->nodes[i]);
  p->steps = mem_array(n + 1, sizeof *p->steps);
  if (!p->steps) return fail_memory(err, n * sizeof *p->steps);
  for (size_t i = 0; i < g->n_nodes; i++) {
    const node *made = g->nodes[i];
    if (!runs(made)) continue;
    op_run *r = &p->steps[p->n_steps++].run;
    r->node = made;
    r->seed = g->config.seed;
    r->in = arena_array(&g->arena, (size_t)made->n_inputs + 1, sizeof *r->in);
    r->out = arena_array(&g->arena, (size_t)made->n_outputs, sizeof *r->out);
    if (!r->in || !r->out) return fail_memory(err, sizeof *r->in);
    garam_status status = made->op->prepare ? made->op->prepare(&r->state, made, err) : GARAM_OK;
    if (status != GARAM_OK) return fail_within(err, status, "op %s", made->op->name);
    plan_step *s = &p->steps[p->n_steps - 1];
    size_t packed = made->op->packed ? made->op->packed(made, r->state) : 0;
    s->packed_offset = packed > 0 ? p->packed_bytes : SIZE_MAX;
    p->packed_bytes += (packed + MEMORY_ALIGN - 1) / MEMORY_ALIGN * MEMORY_ALIGN;
    p->n_fixed += made->fixed;
  }
  return GARAM_OK;
}

static void addresses_fill(plan *p) {
  for (size_t i = 0; i < p->n_steps; i++) {
    plan_step *s = &p->steps[i];
    const node *n = s->run.node;
    for (int k = 0; k < n->n_inputs; k++)
      s->run.in[k] = n->inputs[k] ? plan_address(p, n->inputs[k]) : NULL;
    for (int k = 0; k < n->n_outputs; k++) s->run.out[k] = plan_address(p, n->outputs[k]);
    if (s->scratch_block != NO_BLOCK)
      s->run.scratch = p->arena + p->blocks[s->scratch_block].offset;
    if (s->packed_offset != SIZE_MAX) s->run.packed = p->packed + s->packed_offset;
  }
  for (size_t i = 0; i < p->graph->n_nodes; i++) { /* constants, once and for all */
    const node *n = p->graph->nodes[i];
    if (!(n->op->flags & OP_LEAF) || !n->op->run) continue;
    void *out = plan_address(p, n->outputs[0]);
    if (out) n->op->run(&(op_run){.node = n, .out = &out});
  }
}

/* Nobody scales the loss: what hangs on it alone can be folded. */
static void scale_become_constant(graph *g) {
  for (size_t i = 0; i < g->n_nodes; i++)
    if (g->nodes[i]->op == &record_loss_scale) g->nodes[i]->op = &record_fill;
}

/* Touched here, so that the first run is like the others. */
static garam_status memory_take(plan *p, garam_error *err) {
  const graph *g = p->graph;
  p->arena = mem_alloc_aligned(p->arena_bytes + MEMORY_ALIGN, MEMORY_ALIGN);
  if (!p->arena) return fail_memory(err, p->arena_bytes);
  memset(p->arena, 0, p->arena_bytes);
  if (p->packed_bytes > 0) {
    p->packed = mem_alloc_aligned(p->packed_bytes, MEMORY_ALIGN);
    if (!p->packed) return fail_memory(err, p->packed_bytes);
    memset(p->packed, 0, p->packed_bytes);
  }
  if (p->config.grads) memset(p->config.grads, 0, g->block * dtype_size(graph_real(g)));
  return GARAM_OK;
}

/* Steps of a few microseconds are not worth a second thread: waking it and waiting for it costs as
 * much where the machine is idle, and a hundred times as much where it is not. */
static bool is_small(const graph *g) {
  enum { WORTH_FLOPS = 16000000 }; /* of a step, on average */
  double flops = 0, n = 0;
  for (size_t i = 0; i < g->n_nodes; i++) {
    const node *made = g->nodes[i];
    if (!runs(made)) continue;
    n++;
    if (made->op->flops) flops += made->op->flops(made);
  }
  return flops < n * WORTH_FLOPS;
}

static garam_status plan_make(plan *p, garam_error *err) {
  graph *g = p->graph;
  uint32_t *last = NULL;
  garam_status status = GARAM_OK;
  int before;
  if (!p->config.accumulate) scale_become_constant(g);
  if (!p->config.keep_order) {
    TRY_GOTO(done, rewrite_fold(g, err));
    rewrite_dead(g);
    rewrite_fuse(g);
    rewrite_dead(g);
  }
  if (p->config.recompute) rewrite_recompute(g);
  if (p->config.accumulate) rewrite_accumulate(g);
  TRY_GOTO(done, graph_check(g, err));
  TRY_GOTO(done, place_gradients(p, err));
  TRY_GOTO(done, rewrite_fixed_first(g, err));
  graph_count_uses(g);
  p->one_thread = is_small(g);
  before = p->one_thread ? thread_narrow(1) : 0;
  status = steps_prepare(p, err);
  if (before) thread_set_count(before);
  TRY_GOTO(done, status);
  last = mem_array((size_t)g->n_tensors + 1, sizeof *last);
  if (!last) TRY_GOTO(done, fail_memory(err, g->n_tensors * sizeof *last));
  lifetimes_find(last, p);
  TRY_GOTO(done, place_all(p, last, err));
  if (p->config.dry) goto done;
  TRY_GOTO(done, memory_take(p, err));
  addresses_fill(p);
done:
  mem_free(last);
  return status;
}

static bool is_aligned(const void *ptr) {
  return ((uintptr_t)ptr & (MEMORY_ALIGN - 1)) == 0;
}

garam_status graph_compile(plan **out, graph *g, const plan_config *config, garam_error *err) {
  *out = NULL;
  TRY(graph_check(g, err));
  if (g->n_params > 0 && !config->dry && (!config->params || !is_aligned(config->params)))
    return fail(err, GARAM_INVALID, "plan: parameters need a block aligned to %d bytes",
                MEMORY_ALIGN);
  if (g->n_params > 0 && g->loss && !config->dry && (!config->grads || !is_aligned(config->grads)))
    return fail(err, GARAM_INVALID, "plan: gradients need a block aligned to %d bytes",
                MEMORY_ALIGN);
  plan *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->config = *config;
  if (!g->loss) p->config.grads = NULL;
  garam_status status = graph_clone(&p->graph, g, err);
  if (status == GARAM_OK && graph_real(g) == DTYPE_F32) p->graph->precision = config->precision;
  if (status == GARAM_OK) status = plan_make(p, err);
  if (status == GARAM_OK) *out = p;
  else plan_free(p);
  return status;
}

void plan_free(plan *p) {
  if (!p) return;
  for (size_t i = 0; i < p->n_steps; i++) {
    const op_record *op = p->steps[i].run.node->op;
    if (op->release && p->steps[i].run.state) op->release(p->steps[i].run.state);
  }
  mem_free(p->steps);
  mem_free(p->blocks);
  mem_free_aligned(p->arena);
  mem_free_aligned(p->packed);
  graph_free(p->graph);
  mem_free(p);
}

/* ---- using ---- */

static const tensor *name_find(const graph_name *names, size_t n, const char *name) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(names[i].name, name) == 0) return names[i].tensor;
  return NULL;
}

void *plan_input(plan *p, const char *name, size_t *bytes) {
  const tensor *t = name_find(p->graph->inputs, p->graph->n_inputs, name);
  REQUIRE(t, "plan_input: no input \"%s\"", name);
  REQUIRE(!p->config.dry, "plan_input: a dry plan has no memory");
  if (bytes) *bytes = tensor_bytes(t);
  return plan_address(p, t);
}

const void *plan_output(const plan *p, const char *name, size_t *bytes) {
  const tensor *t = name_find(p->graph->outputs, p->graph->n_outputs, name);
  REQUIRE(t, "plan_output: no output \"%s\"", name);
  REQUIRE(!p->config.dry, "plan_output: a dry plan has no memory");
  if (bytes) *bytes = tensor_bytes(t);
  return plan_address(p, t);
}

/* Parameters that do not reach the loss: their part of the block is the caller's to write, so it
 * is cleared in every run. */
static void clear_unreached(const plan *p) {
  const graph *g = p->graph;
  size_t item = dtype_size(graph_real(g));
  for (size_t i = 0; i < g->n_params; i++)
    if (!g->param_tensors[i]->grad)
      memset((char *)p->config.grads + g->params[i].offset * item, 0, g->params[i].count * item);
}

static void step_run(plan *p, plan_step *s) {
  if (!p->profiling) {
    s->run.node->op->run(&s->run);
    return;
  }
  int64_t start = clock_monotonic_ns();
  s->run.node->op->run(&s->run);
  s->seconds += (double)(clock_monotonic_ns() - start) * 1e-9;
}

static void step_pack(plan *p, plan_step *s) {
  if (s->packed_offset == SIZE_MAX) return;
  int64_t start = p->profiling ? clock_monotonic_ns() : 0;
  s->run.node->op->pack(&s->run);
  if (p->profiling) s->pack_seconds += (double)(clock_monotonic_ns() - start) * 1e-9;
}

/* What is made of parameters alone. Without a version nobody says that they are what they were. */
static void run_fixed(plan *p) {
  const uint64_t *version = p->config.params_version;
  if (version && p->fixed_once && p->fixed_for == *version) return;
  for (size_t i = 0; i < p->n_fixed; i++) step_run(p, &p->steps[i]);
  for (size_t i = 0; p->packed_bytes > 0 && i < p->n_steps; i++) step_pack(p, &p->steps[i]);
  p->fixed_once = true;
  if (version) p->fixed_for = *version;
}

garam_status plan_run(plan *p, uint64_t step, garam_error *err) {
  return plan_run_part(p, step, 0, err);
}

garam_status plan_run_part(plan *p, uint64_t step, uint64_t part, garam_error *err) {
  (void)err; /* nothing in a run can fail; a room above may add what can */
  REQUIRE(!p->config.dry, "plan_run: a dry plan has no memory");
  if (p->config.grads && !p->config.accumulate) clear_unreached(p);
  if (p->profiling) p->n_runs++;
  const int before = p->one_thread ? thread_narrow(1) : 0;
  run_fixed(p);
  for (size_t i = p->n_fixed; i < p->n_steps; i++) {
    plan_step *s = &p->steps[i];
    s->run.step = step;
    s->run.part = part;
    step_run(p, s);
  }
  if (before) thread_set_count(before);
  return GARAM_OK;
}

void plan_loss_scale(plan *p, double scale) {
  REQUIRE(p->config.accumulate, "plan_loss_scale: of a plan that does not accumulate");
  const graph *g = p->graph;
  for (size_t i = 0; i < g->n_nodes; i++) {
    if (g->nodes[i]->op != &record_loss_scale) continue;
    void *at = plan_address(p, g->nodes[i]->outputs[0]);
    if (at) op_kernel_of(g->nodes[i])->fill(at, scale, 1);
  }
}

size_t plan_bytes(const plan *p) {
  return p->arena_bytes + p->packed_bytes;
}

size_t plan_arena_bytes(const plan *p) {
  return p->arena_bytes;
}

size_t plan_packed_bytes(const plan *p) {
  return p->packed_bytes;
}
