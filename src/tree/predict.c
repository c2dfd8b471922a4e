/* Prediction over the flat layout, and the plain way for sets that it can't hold: splits by
 * category, trees of more than 2^19 nodes, more than 4096 features. */
#include "tree/predict_inner.h"

#include "base/mem.h"
#include "base/thread.h"
#include "kernel/kernel.h"

#include <math.h>
#include <string.h>

enum {
  ROW_FLOATS = 8192,  /* of the copy of a block with slots for zeros: on the stack */
  SUM_DOUBLES = 4096, /* of sums that become float: on the stack */
  TREE_BLOCK = 256,   /* trees of one row whose leaves are kept before they are added */
  THREAD_ROWS = 2048,
};

struct trees_predictor {
  const trees *t;
  flat_trees flat;
  bool is_flat;
  const char *isa;
  walk_rows_fn walk_rows;
  walk_trees_fn walk_trees;
};

/* ---- the layout ----------------------------------------------------------------------------- */

static void flat_deinit(flat_trees *f) {
  mem_free(f->begin);
  mem_free(f->depth);
  mem_free_aligned(f->node);
  mem_free(f->leaf);
  mem_free(f->value);
  *f = (flat_trees){0};
}

/* Where NaN goes, once NaN as zero is taken into account. */
static bool nan_goes_right(const trees *t, size_t s) {
  if ((t->flags[s] & TREES_MISSING_MASK) == TREES_MISSING_NONE) return !(0 <= t->threshold[s]);
  return !(t->flags[s] & TREES_DEFAULT_LEFT);
}

typedef struct place {
  int32_t child; /* as in trees */
  uint32_t at;   /* within the tree */
} place;

/* Breadth first, so that the first levels of a tree lie side by side. `queue` has room for a node
 * each. */
static void lay_tree(flat_trees *f, size_t tree, place *queue) {
  const trees *t = f->t;
  uint32_t begin = f->begin[tree], used = 1;
  size_t split_begin = t->split_begin[tree], n = t->split_begin[tree + 1] - split_begin;
  size_t head = 0, tail = 0;
  queue[tail++] = (place){n ? 0 : ~0, 0};
  while (head < tail) {
    place p = queue[head++];
    flat_node *node = &f->node[begin + p.at];
    if (p.child < 0) {
      size_t leaf = t->leaf_begin[tree] + (size_t)~p.child;
      *node = (flat_node){INFINITY, p.at};
      f->leaf[begin + p.at] = (int32_t)leaf;
      if (f->value) f->value[begin + p.at] = t->value[leaf];
      continue;
    }
    size_t s = split_begin + (size_t)p.child;
    uint32_t slot = t->feature[s];
    if ((t->flags[s] & TREES_MISSING_MASK) == TREES_MISSING_ZERO) slot += (uint32_t)t->n_features;
    *node =
        (flat_node){t->threshold[s], used | slot << LINK_CHILD_BITS |
                                         (uint32_t)nan_goes_right(t, s) << LINK_NAN_RIGHT_SHIFT};
    queue[tail++] = (place){t->left[s], used};
    queue[tail++] = (place){t->right[s], used + 1};
    used += 2;
  }
}

/* Can the flat layout hold it? Fills in the slots and the largest tree. */
static bool fits(flat_trees *f, size_t *largest) {
  const trees *t = f->t;
  *largest = 1;
  for (size_t s = 0; s < t->n_splits; s++) {
    if (t->flags[s] & TREES_CATEGORICAL) return false;
    if ((t->flags[s] & TREES_MISSING_MASK) == TREES_MISSING_ZERO) f->zero_slots = true;
  }
  for (size_t i = 0; i < t->n_trees; i++) {
    size_t n = 2 * (size_t)(t->split_begin[i + 1] - t->split_begin[i]) + 1;
    if (n > *largest) *largest = n;
  }
  f->n_slots = t->n_features * (f->zero_slots ? 2 : 1);
  if (f->zero_slots && f->n_slots > ROW_FLOATS / 16) return false;
  return *largest <= LINK_CHILD + 1 && f->n_slots <= LINK_FEATURE + 1 && t->n_splits > 0 &&
         2 * t->n_splits + 2 * t->n_trees < INT32_MAX / 2;
}

static garam_status flat_init(flat_trees *f, bool *is_flat, const trees *t, garam_error *err) {
  size_t largest;
  *f = (flat_trees){.t = t};
  *is_flat = fits(f, &largest);
  if (!*is_flat) return GARAM_OK;
  f->n_padded = (t->n_trees + PREDICT_GROUP - 1) / PREDICT_GROUP * PREDICT_GROUP;
  size_t n_nodes = t->n_splits + t->n_leaves + (f->n_padded - t->n_trees);
  place *queue = mem_array(largest, sizeof *queue);
  f->begin = mem_array(f->n_padded + 1, sizeof *f->begin);
  f->depth = mem_array(f->n_padded, sizeof *f->depth);
  f->node = mem_alloc_aligned((n_nodes + 8) * sizeof *f->node, 64);
  f->leaf = mem_array(n_nodes, sizeof *f->leaf);
  bool plain_leaves = t->width == 1 && t->n_linear == 0;
  if (plain_leaves) f->value = mem_array(n_nodes, sizeof *f->value);
  if (!queue || !f->begin || !f->depth || !f->node || !f->leaf || (plain_leaves && !f->value)) {
    mem_free(queue);
    flat_deinit(f);
    return fail_memory(err, n_nodes * 2 * sizeof *f->node);
  }
  for (size_t i = 0; i < f->n_padded; i++) {
    size_t n = i < t->n_trees ? 2 * (size_t)(t->split_begin[i + 1] - t->split_begin[i]) + 1 : 1;
    f->begin[i + 1] = f->begin[i] + (uint32_t)n;
    if (i < t->n_trees) {
      f->depth[i] = (uint16_t)trees_depth(t, i);
      lay_tree(f, i, queue);
    } else {
      f->node[f->begin[i]] = (flat_node){INFINITY, 0};
      f->leaf[f->begin[i]] = -1;
    }
  }
  memset(f->node + n_nodes, 0, 8 * sizeof *f->node);
  mem_free(queue);
  return GARAM_OK;
}

garam_status trees_predictor_new(trees_predictor **out, const trees *t, garam_error *err) {
  *out = NULL;
  if (t->n_outputs > TREES_MAX_OUTPUTS)
    return fail(err, GARAM_LIMIT, "trees: %zu outputs, at most %d", t->n_outputs,
                TREES_MAX_OUTPUTS);
  trees_predictor *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->t = t;
  garam_status status = flat_init(&p->flat, &p->is_flat, t, err);
  if (status != GARAM_OK) {
    trees_predictor_free(p);
    return status;
  }
  p->isa = "plain";
  if (!trees_predictor_use(p, kernel_isa())) trees_predictor_use(p, "scalar");
  *out = p;
  return GARAM_OK;
}

bool trees_predictor_use(trees_predictor *p, const char *isa) {
  if (!p->is_flat) return false;
  if (strcmp(isa, "avx512") == 0 && walk_x86(&p->walk_rows, &p->walk_trees, isa)) {
    p->isa = "avx512";
  } else if (strcmp(isa, "avx2") == 0 && walk_x86(&p->walk_rows, &p->walk_trees, isa)) {
    p->isa = "avx2";
  } else if (strcmp(isa, "scalar") == 0) {
    p->isa = "scalar";
    p->walk_rows = walk_rows_scalar;
    p->walk_trees = walk_trees_scalar;
  } else {
    return false;
  }
  return true;
}

void trees_predictor_free(trees_predictor *p) {
  if (!p) return;
  flat_deinit(&p->flat);
  mem_free(p);
}

const char *trees_predictor_isa(const trees_predictor *p) {
  return p->isa;
}

/* ---- walks for any processor ------------------------------------------------------------------
 */

static inline uint32_t step(const flat_node *nodes, uint32_t at, const float *x) {
  flat_node n = nodes[at];
  float v = x[n.link >> LINK_CHILD_BITS & LINK_FEATURE];
  uint32_t is_nan = v != v;
  return (n.link & LINK_CHILD) + ((uint32_t)(v > n.threshold) | (is_nan & n.link >> 31));
}

void walk_rows_scalar(uint32_t *at, const flat_trees *f, size_t tree, const float *x, size_t n) {
  const flat_node *nodes = f->node + f->begin[tree];
  size_t width = f->n_slots;
  for (size_t i = 0; i < n; i += 8) {
    uint32_t a[8] = {0};
    for (size_t d = 0; d < f->depth[tree]; d++)
      for (size_t j = 0; j < 8; j++) a[j] = step(nodes, a[j], x + (i + j < n ? i + j : 0) * width);
    for (size_t j = 0; j < 8 && i + j < n; j++) at[i + j] = f->begin[tree] + a[j];
  }
}

void walk_trees_scalar(uint32_t *at, const flat_trees *f, size_t first, size_t n, const float *x) {
  for (size_t i = first; i < first + n; i += 8) {
    uint32_t a[8] = {0};
    size_t depth = 0;
    for (size_t j = 0; j < 8; j++) depth = f->depth[i + j] > depth ? f->depth[i + j] : depth;
    for (size_t d = 0; d < depth; d++)
      for (size_t j = 0; j < 8; j++) a[j] = step(f->node + f->begin[i + j], a[j], x);
    for (size_t j = 0; j < 8; j++) at[i - first + j] = f->begin[i + j] + a[j];
  }
}

/* ---- sums -------------------------------------------------------------------------------------
 */

static void add_leaf(double *sum, const trees *t, size_t tree, size_t leaf, const float *x) {
  if (t->width > 1) {
    const double *v = t->value + leaf * t->width;
    for (size_t k = 0; k < t->width; k++)
      sum[k] = t->sum_f32 ? (double)((float)sum[k] + (float)v[k]) : sum[k] + v[k];
    return;
  }
  double v = trees_leaf_value(t, leaf, x);
  double *at = sum + t->output[tree];
  *at = t->sum_f32 ? (double)((float)*at + (float)v) : *at + v;
}

static void begin_sums(double *out, const trees *t, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < t->n_outputs; k++)
      out[i * t->n_outputs + k] = t->sum_f32 ? (double)(float)t->base[k] : t->base[k];
}

static void end_sums(double *out, const trees *t, size_t n) {
  if (t->divisor == 1) return;
  for (size_t i = 0; i < n * t->n_outputs; i++)
    out[i] = t->sum_f32 ? (double)((float)out[i] / (float)t->divisor) : out[i] / t->divisor;
}

/* slots: the row, and then again with NaN for zeros. */
static void fill_slots(float *slots, const float *x, size_t width) {
  memcpy(slots, x, width * sizeof *x);
  for (size_t j = 0; j < width; j++) slots[width + j] = fabsf(x[j]) <= TREES_ZERO ? NAN : x[j];
}

static void predict_row(const trees_predictor *p, const float *x, double *out) {
  const flat_trees *f = &p->flat;
  const trees *t = p->t;
  float slots[ROW_FLOATS / 16];
  uint32_t at[TREE_BLOCK];
  const float *walked = x;
  if (f->zero_slots) {
    fill_slots(slots, x, t->n_features);
    walked = slots;
  }
  begin_sums(out, t, 1);
  for (size_t first = 0; first < t->n_trees; first += TREE_BLOCK) {
    size_t n = f->n_padded - first < TREE_BLOCK ? f->n_padded - first : TREE_BLOCK;
    p->walk_trees(at, f, first, n, walked);
    if (n > t->n_trees - first) n = t->n_trees - first;
    if (f->value && t->n_outputs == 1 && !t->sum_f32) {
      double sum = out[0];
      for (size_t i = 0; i < n; i++) sum += f->value[at[i]];
      out[0] = sum;
    } else {
      for (size_t i = 0; i < n; i++) add_leaf(out, t, first + i, (size_t)f->leaf[at[i]], x);
    }
  }
  end_sums(out, t, 1);
}

static void predict_block(const trees_predictor *p, const float *x, size_t n, double *out) {
  const flat_trees *f = &p->flat;
  const trees *t = p->t;
  size_t k = t->n_outputs;
  float slots[ROW_FLOATS];
  uint32_t at[PREDICT_BLOCK];
  const float *walked = x;
  if (f->zero_slots) {
    for (size_t i = 0; i < n; i++)
      fill_slots(slots + i * f->n_slots, x + i * t->n_features, t->n_features);
    walked = slots;
  }
  begin_sums(out, t, n);
  for (size_t tree = 0; tree < t->n_trees; tree++) {
    p->walk_rows(at, f, tree, walked, n);
    if (f->value && !t->sum_f32) {
      double *sum = out + t->output[tree];
      for (size_t i = 0; i < n; i++) sum[i * k] += f->value[at[i]];
    } else {
      for (size_t i = 0; i < n; i++)
        add_leaf(out + i * k, t, tree, (size_t)f->leaf[at[i]], x + i * t->n_features);
    }
  }
  end_sums(out, t, n);
}

/* On one thread. */
static void predict_rows(const trees_predictor *p, const float *x, size_t n, double *out) {
  const trees *t = p->t;
  size_t width = t->n_features, k = t->n_outputs;
  if (!p->is_flat) {
    for (size_t i = 0; i < n; i++) trees_predict_row(t, x + i * width, out + i * k);
    return;
  }
  size_t block = PREDICT_BLOCK;
  if (p->flat.zero_slots && block > ROW_FLOATS / p->flat.n_slots)
    block = ROW_FLOATS / p->flat.n_slots;
  for (size_t i = 0; i < n; i += block) {
    size_t m = n - i < block ? n - i : block;
    if (m < 4)
      for (size_t j = i; j < i + m; j++) predict_row(p, x + j * width, out + j * k);
    else predict_block(p, x + i * width, m, out + i * k);
  }
}

typedef struct batch {
  const trees_predictor *p;
  const float *x;
  double *out;
  float *out_f32;
} batch;

static void run_batch(void *context, size_t begin, size_t end) {
  const batch *b = context;
  size_t width = b->p->t->n_features, k = b->p->t->n_outputs;
  if (b->out) {
    predict_rows(b->p, b->x + begin * width, end - begin, b->out + begin * k);
    return;
  }
  double sums[SUM_DOUBLES];
  size_t most = SUM_DOUBLES / k;
  if (most > PREDICT_BLOCK) most = most / PREDICT_BLOCK * PREDICT_BLOCK;
  for (size_t i = begin; i < end; i += most) {
    size_t n = end - i < most ? end - i : most;
    predict_rows(b->p, b->x + i * width, n, sums);
    for (size_t j = 0; j < n * k; j++) b->out_f32[i * k + j] = (float)sums[j];
  }
}

static void predict(const batch *b, size_t n) {
  batch copy = *b;
  if (n < 2 * THREAD_ROWS) run_batch(&copy, 0, n);
  else thread_for(n, THREAD_ROWS, run_batch, &copy);
}

void trees_predict(const trees_predictor *p, const float *x, size_t n, double *out) {
  predict(&(batch){.p = p, .x = x, .out = out}, n);
}

void trees_predict_f32(const trees_predictor *p, const float *x, size_t n, float *out) {
  predict(&(batch){.p = p, .x = x, .out_f32 = out}, n);
}
