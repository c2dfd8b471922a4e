/* Growing a tree. See grow.h. A split costs one histogram: of the smaller child; the larger one's
 * is its parent's less that. */
#include "tree/grow.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "tree/bins_inner.h"
#include "tree/partition.h"

#include <math.h>
#include <string.h>

typedef struct leaf {
  uint32_t in, n_in, out, n_out; /* its rows in the two lists */
  packed total;
  int histogram; /* in the pool; -1: none, to be built when it is needed */
  int depth;
  int parent; /* the split above; -1: root */
  bool is_left;
  split best;
  double lower, upper, value;
  uint8_t tries; /* how often its best split left too few rows */
} leaf;

struct grower {
  const bins *b;
  grow_config config;
  size_t max_rows, words, n_pool;
  uint32_t *in, *out, *scratch_rows;
  int32_t *q;
  uint16_t *dither;
  packed *pool, *scratch;
  int *free_list;
  size_t n_free;
  leaf *leaves;
  uint32_t *usable; /* features that can be split at all */
  size_t n_usable;
  uint8_t *in_tree, *block_use; /* of features, of blocks: this tree's */
  uint8_t *used;                /* (leaves, n_features) on the path, with interaction constraints */
  uint32_t *order;              /* scratch for drawing features */
  split *found;                 /* (n_features) best of each, before they are compared */
  quantum unit;
  uint64_t number;
  grown result;
};

grow_config grow_config_default(void) {
  return (grow_config){
      .leaves = 31,
      .rules = {.min_hessian = 1e-3,
                .min_rows = 20,
                .category_smooth = 10,
                .category_l2 = 10,
                .max_categories = 32,
                .one_hot_categories = 4},
      .tree_features = 1,
      .node_features = 1,
  };
}

void grower_free(grower *g) {
  if (!g) return;
  mem_free(g->in);
  mem_free(g->out);
  mem_free(g->scratch_rows);
  mem_free_aligned(g->q);
  mem_free_aligned(g->dither);
  mem_free_aligned(g->pool);
  mem_free_aligned(g->scratch);
  mem_free(g->free_list);
  mem_free(g->leaves);
  mem_free(g->usable);
  mem_free(g->in_tree);
  mem_free(g->block_use);
  mem_free(g->used);
  mem_free(g->order);
  mem_free(g->found);
  mem_free(g->result.splits);
  mem_free(g->result.leaves);
  mem_free(g);
}

static void draw_dither(grower *g) {
  for (size_t i = 0; i < g->b->n_rows; i += 8) {
    uint32_t word[4];
    rng_philox(word, g->config.seed, RNG_BOOTSTRAP, UINT64_C(2) << 32, (uint32_t)(i / 8));
    for (size_t k = 0; k < 8 && i + k < g->b->n_rows; k++)
      g->dither[i + k] = (uint16_t)(word[k / 2] >> (16 * (k & 1)));
  }
}

static garam_status make_room(grower *g, garam_error *err) {
  const bins *b = g->b;
  size_t n_leaves = (size_t)g->config.leaves, threads = (size_t)thread_available(), bytes;
  if ((size_t)thread_count() > threads) threads = (size_t)thread_count();
  g->words = histogram_words(b);
  size_t most = g->config.histogram_bytes ? g->config.histogram_bytes : (size_t)1 << 30;
  g->n_pool = most / (g->words * sizeof(packed));
  if (g->n_pool < 4) g->n_pool = 4;
  if (g->n_pool > n_leaves + 1) g->n_pool = n_leaves + 1;
  if (!size_mul(&bytes, g->n_pool * sizeof(packed), g->words)) return fail_memory(err, SIZE_MAX);
  g->in = mem_alloc((g->max_rows + PARTITION_SPARE) * sizeof *g->in);
  g->out = mem_alloc((g->max_rows + PARTITION_SPARE) * sizeof *g->out);
  g->scratch_rows = mem_alloc((g->max_rows + PARTITION_SPARE) * sizeof *g->scratch_rows);
  g->q = bins_large((b->n_rows + 1) * sizeof *g->q);
  g->dither = bins_large((b->n_rows + 1) * sizeof *g->dither);
  g->pool = bins_large(bytes);
  g->scratch = bins_large(threads * g->words * sizeof *g->scratch);
  g->free_list = mem_array(g->n_pool, sizeof *g->free_list);
  g->leaves = mem_array(n_leaves, sizeof *g->leaves);
  g->usable = mem_array(b->n_features, sizeof *g->usable);
  g->in_tree = mem_array(b->n_features, 1);
  g->block_use = mem_array(bins_blocks(b), 1);
  g->order = mem_array(b->n_features, sizeof *g->order);
  g->found = mem_array(b->n_features, sizeof *g->found);
  g->result.splits = mem_array(n_leaves, sizeof *g->result.splits);
  g->result.leaves = mem_array(n_leaves, sizeof *g->result.leaves);
  if (g->config.allowed) g->used = mem_array(n_leaves, b->n_features);
  if (!g->in || !g->out || !g->scratch_rows || !g->q || !g->dither || !g->pool || !g->scratch ||
      !g->free_list || !g->leaves || !g->usable || !g->in_tree || !g->block_use || !g->order ||
      !g->found || !g->result.splits || !g->result.leaves || (g->config.allowed && !g->used))
    return fail_memory(err, bytes);
  return GARAM_OK;
}

garam_status grower_new(grower **out, const bins *b, const grow_config *config, size_t max_rows,
                        garam_error *err) {
  *out = NULL;
  REQUIRE(config->leaves >= 2, "grower_new: %d leaves", config->leaves);
  grower *g = mem_zalloc(sizeof *g);
  if (!g) return fail_memory(err, sizeof *g);
  g->b = b;
  g->config = *config;
  g->max_rows = max_rows;
  garam_status status = make_room(g, err);
  if (status != GARAM_OK) {
    grower_free(g);
    return status;
  }
  for (size_t j = 0; j < b->n_features; j++)
    if (b->features[j].n_bins + b->features[j].has_missing > 1)
      g->usable[g->n_usable++] = (uint32_t)j;
  draw_dither(g);
  *out = g;
  return GARAM_OK;
}

/* ---- which features ------------------------------------------------------------------------ */

static size_t share_of(size_t n, double share) {
  size_t k = (size_t)ceil((double)n * share - 1e-9);
  return n == 0 ? 0 : k < 1 ? 1 : k > n ? n : k;
}

/* The first k of `order` become a random choice among its n. */
static void draw(uint32_t *order, size_t n, size_t k, rng *r) {
  for (size_t i = 0; i < k && i + 1 < n; i++) {
    size_t j = i + (size_t)rng_below(r, n - i);
    uint32_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
}

static void choose_tree_features(grower *g) {
  size_t k = share_of(g->n_usable, g->config.tree_features);
  memcpy(g->order, g->usable, g->n_usable * sizeof *g->order);
  if (k < g->n_usable) {
    rng r;
    rng_init(&r, g->config.seed, RNG_BOOTSTRAP, UINT64_C(3) << 56 | g->number);
    draw(g->order, g->n_usable, k, &r);
  }
  memset(g->in_tree, 0, g->b->n_features);
  memset(g->block_use, 0, bins_blocks(g->b));
  for (size_t i = 0; i < k; i++) {
    g->in_tree[g->order[i]] = 1;
    g->block_use[g->order[i] / BINS_BLOCK] = 1;
  }
}

/* Every group that holds all features of the path lets its own be used. */
static bool interaction_allows(const grower *g, const uint8_t *path, size_t feature) {
  size_t n = g->b->n_features;
  if (path[feature]) return true;
  for (size_t k = 0; k < g->config.n_groups; k++) {
    const uint8_t *group = g->config.allowed + k * n;
    bool all = group[feature];
    for (size_t j = 0; j < n && all; j++) all = !path[j] || group[j];
    if (all) return true;
  }
  return false;
}

/* The features that the leaf may be split by, ascending, into g->order; how many. `node` tells
 * leaves of a tree apart. */
static size_t choose_leaf_features(grower *g, size_t at, uint64_t node) {
  size_t n = 0;
  for (size_t i = 0; i < g->n_usable; i++) {
    uint32_t j = g->usable[i];
    if (!g->in_tree[j]) continue;
    if (g->used && !interaction_allows(g, g->used + at * g->b->n_features, j)) continue;
    g->order[n++] = j;
  }
  size_t k = share_of(n, g->config.node_features);
  if (k < n) {
    rng r;
    rng_init(&r, g->config.seed, RNG_BOOTSTRAP,
             UINT64_C(5) << 56 | (g->number & 0xffffffff) << 20 | (node & 0xfffff));
    draw(g->order, n, k, &r);
  }
  return k;
}

/* ---- the best split of a leaf -------------------------------------------------------------- */

typedef struct searching {
  grower *g;
  const packed *h;
  split_leaf leaf;
  uint64_t node;
} searching;

static void search_features(void *context, size_t begin, size_t end) {
  const searching *s = context;
  grower *g = s->g;
  split best = {0};
  for (size_t i = begin; i < end; i++) {
    uint32_t j = g->order[i];
    int64_t random = -1;
    if (g->config.random_cuts) {
      uint32_t word[4];
      rng_philox(word, g->config.seed, RNG_BOOTSTRAP,
                 UINT64_C(7) << 56 | (g->number & 0xffffffff) << 20 | (s->node & 0xfffff), j);
      random = (int64_t)((uint64_t)word[0] << 20 | word[1] >> 12);
    }
    split_search(&best, s->h + (size_t)j * BINS_CODES, &g->b->features[j], j, &s->leaf,
                 &g->config.rules, random);
  }
  g->found[begin] = best;
}

/* Larger gain, then the lower feature: the same for any order of the search. */
static bool split_before(const split *a, const split *b) {
  return a->gain > b->gain || (a->gain == b->gain && a->gain > 0 && a->feature < b->feature);
}

static void search_leaf(grower *g, size_t at, uint64_t node) {
  leaf *l = &g->leaves[at];
  const split_rules *r = &g->config.rules;
  l->best = (split){0};
  if (l->histogram < 0) return;
  size_t n = choose_leaf_features(g, at, node);
  searching s = {.g = g, .h = g->pool + (size_t)l->histogram * g->words, .node = node};
  s.leaf = (split_leaf){.total = l->total,
                        .n_rows = l->n_in,
                        .unit = g->unit,
                        .lower = l->lower,
                        .upper = l->upper,
                        .value = l->value};
  split_rules stricter;
  (void)r;
  (void)stricter;
  size_t grain = thread_count() == 1 || n < 16 ? n : (n + 3) / 4;
  if (grain == 0) return;
  thread_for(n, grain, search_features, &s);
  for (size_t begin = 0; begin < n; begin += grain)
    if (split_before(&g->found[begin], &l->best)) l->best = g->found[begin];
}

static bool can_split(const grower *g, const leaf *l) {
  const split_rules *r = &g->config.rules;
  if (g->config.max_depth > 0 && l->depth >= g->config.max_depth) return false;
  if ((double)l->n_in < 2 * r->min_rows || l->n_in < 2) return false;
  return packed_hessian(l->total) * g->unit.hessian >= 2 * r->min_hessian;
}

static double value_of(const grower *g, const leaf *l) {
  return split_value(packed_gradient(l->total) * g->unit.gradient,
                     packed_hessian(l->total) * g->unit.hessian, l->n_in, l->value, l->lower,
                     l->upper, &g->config.rules);
}

/* ---- histograms ---------------------------------------------------------------------------- */

static void give_histogram(grower *g, leaf *l) {
  if (l->histogram >= 0) g->free_list[g->n_free++] = l->histogram;
  l->histogram = -1;
}

/* When the pool is empty, the leaf that is least likely to be split soon gives its own. */
static int take_histogram(grower *g, size_t n_leaves, const leaf *not_a, const leaf *not_b) {
  if (g->n_free == 0) {
    leaf *least = NULL;
    for (size_t i = 0; i < n_leaves; i++) {
      leaf *l = &g->leaves[i];
      if (l->histogram < 0 || l == not_a || l == not_b) continue;
      if (!least || l->best.gain < least->best.gain) least = l;
    }
    REQUIRE(least, "grow: no histogram is free");
    give_histogram(g, least);
  }
  return g->free_list[--g->n_free];
}

static packed *histogram_at(const grower *g, int i) {
  return g->pool + (size_t)i * g->words;
}

static void build(grower *g, leaf *l) {
  histogram_build(histogram_at(g, l->histogram), g->b, (row_set){g->in + l->in, l->n_in}, g->q,
                  g->scratch, g->block_use);
}

/* a has the parent's histogram (or none); both get their own where they can be split. */
static void share_histogram(grower *g, leaf *a, leaf *b, size_t n_leaves) {
  bool split_a = can_split(g, a), split_b = can_split(g, b);
  leaf *small = a->n_in <= b->n_in ? a : b, *large = small == a ? b : a;
  int parents = a->histogram;
  a->histogram = b->histogram = -1;
  if (!split_a && !split_b) {
    if (parents >= 0) g->free_list[g->n_free++] = parents;
    return;
  }
  bool split_large = large == a ? split_a : split_b, split_small = small == a ? split_a : split_b;
  if (parents >= 0 && !split_large) { /* no need of it: its room serves */
    g->free_list[g->n_free++] = parents;
    parents = -1;
  }
  if (split_small || parents >= 0) {
    large->histogram = parents;
    small->histogram = take_histogram(g, n_leaves, a, b);
    build(g, small);
  }
  if (parents >= 0) {
    histogram_subtract(histogram_at(g, parents), histogram_at(g, small->histogram), g->words);
    if (!split_small) give_histogram(g, small);
  } else if (split_large) {
    large->histogram = take_histogram(g, n_leaves, a, b);
    build(g, large);
  }
}

/* ---- growing ------------------------------------------------------------------------------- */

/* The leaf to split next; SIZE_MAX when none gains. */
static size_t next_leaf(const grower *g, size_t n_leaves) {
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < n_leaves; i++) {
    const leaf *l = &g->leaves[i], *m = best == SIZE_MAX ? NULL : &g->leaves[best];
    if (!(l->best.gain > 0)) continue;
    if (!m) best = i;
    else if (g->config.order == GROW_DEPTH && l->depth != m->depth) {
      if (l->depth < m->depth) best = i;
    } else if (l->best.gain > m->best.gain) {
      best = i;
    }
  }
  return best;
}

/* Values to the left of an ordered split stay below those to the right: both sides keep to their
 * side of the middle (LightGBM's "basic"). */
static void bound_children(const grower *g, leaf *a, leaf *b, const split *s) {
  const int8_t *monotone = g->config.rules.monotone;
  int direction = monotone ? monotone[s->feature] : 0;
  if (direction == 0) return;
  double middle = (s->left_value + s->right_value) / 2;
  leaf *low = direction > 0 ? a : b, *high = direction > 0 ? b : a;
  low->upper = fmin(low->upper, middle);
  high->lower = fmax(high->lower, middle);
}

/* Splits leaf `at`; the right child becomes leaf `n`. False: the rows did not come out as the
 * histogram had them (too few on a side), and the leaf is as it was. */
static bool split_leaf_at(grower *g, size_t at, size_t n) {
  leaf *a = &g->leaves[at], *b = &g->leaves[n];
  const split s = a->best;
  size_t left =
      partition_rows(g->in + a->in, a->n_in, g->b, s.feature, s.left_codes, g->scratch_rows);
  double least = fmax(1, g->config.rules.min_rows);
  if ((double)left < least || (double)(a->n_in - left) < least) return false;
  size_t left_out =
      partition_rows(g->out + a->out, a->n_out, g->b, s.feature, s.left_codes, g->scratch_rows);
  int node = (int)(n - 1);
  g->result.splits[node] = (grown_split){.feature = s.feature,
                                         .code = s.code,
                                         .categorical = s.categorical,
                                         .missing_left = s.missing_left,
                                         .any_missing = g->b->features[s.feature].has_missing,
                                         .gain = s.gain + g->config.rules.min_gain,
                                         .hessian = packed_hessian(a->total) * g->unit.hessian,
                                         .n_rows = a->n_in,
                                         .left = ~(int32_t)at,
                                         .right = ~(int32_t)n};
  memcpy(g->result.splits[node].left_codes, s.left_codes, sizeof s.left_codes);
  if (a->parent >= 0) {
    grown_split *up = &g->result.splits[a->parent];
    *(a->is_left ? &up->left : &up->right) = node;
  }
  double value = value_of(g, a);
  *b = *a;
  b->in = a->in + (uint32_t)left;
  b->n_in = a->n_in - (uint32_t)left;
  b->out = a->out + (uint32_t)left_out;
  b->n_out = a->n_out - (uint32_t)left_out;
  b->total = a->total - s.left;
  a->n_in = (uint32_t)left;
  a->n_out = (uint32_t)left_out;
  a->total = s.left;
  a->depth = ++b->depth;
  a->parent = b->parent = node;
  a->is_left = true;
  b->is_left = false;
  a->value = b->value = value;
  a->tries = b->tries = 0;
  b->histogram = -1;
  bound_children(g, a, b, &s);
  if (g->used) {
    size_t width = g->b->n_features;
    g->used[at * width + s.feature] = 1;
    memcpy(g->used + n * width, g->used + at * width, width);
  }
  return true;
}

/* Exact sums, lanes and order fixed. */
static void sum_leaf(grown_leaf *out, const float *gh, const uint32_t *rows, size_t n) {
  double g[4] = {0}, h[4] = {0};
  size_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (size_t k = 0; k < 4; k++) {
      const float *at = gh + 2 * (size_t)rows[i + k];
      g[k] += (double)at[0];
      h[k] += (double)at[1];
    }
  for (; i < n; i++) {
    g[0] += (double)gh[2 * (size_t)rows[i]];
    h[0] += (double)gh[2 * (size_t)rows[i] + 1];
  }
  out->gradient = (g[0] + g[1]) + (g[2] + g[3]);
  out->hessian = (h[0] + h[1]) + (h[2] + h[3]);
}

typedef struct refitting {
  grower *g;
  const float *gh;
} refitting;

static void refit_leaves(void *context, size_t begin, size_t end) {
  const refitting *x = context;
  grower *g = x->g;
  for (size_t i = begin; i < end; i++) {
    const leaf *l = &g->leaves[i];
    grown_leaf *out = &g->result.leaves[i];
    *out = (grown_leaf){.lower = l->lower,
                        .upper = l->upper,
                        .depth = l->depth,
                        .in = {g->in + l->in, l->n_in},
                        .out = {g->out + l->out, l->n_out}};
    sum_leaf(out, x->gh, out->in.rows, out->in.n);
    out->value = split_value(out->gradient, out->hessian, (double)l->n_in, l->value, l->lower,
                             l->upper, &g->config.rules);
  }
}

static void start(grower *g, const float *gh, row_set in, row_set out) {
  memcpy(g->in, in.rows, in.n * sizeof *g->in);
  if (out.n) memcpy(g->out, out.rows, out.n * sizeof *g->out);
  g->unit = histogram_quantise(g->q, gh, g->dither, (uint32_t)g->number, in);
  g->n_free = 0;
  for (size_t i = g->n_pool; i-- > 0;) g->free_list[g->n_free++] = (int)i;
  choose_tree_features(g);
  leaf *root = &g->leaves[0];
  *root = (leaf){.n_in = (uint32_t)in.n,
                 .n_out = (uint32_t)out.n,
                 .histogram = -1,
                 .parent = -1,
                 .lower = -INFINITY,
                 .upper = INFINITY};
  root->total = histogram_row_sum(in, g->q);
  if (g->used) memset(g->used, 0, g->b->n_features);
  root->value = value_of(g, root);
  if (g->n_usable == 0 || !can_split(g, root)) return;
  root->histogram = take_histogram(g, 0, NULL, NULL);
  build(g, root);
  search_leaf(g, 0, 0);
}

grown *grower_grow(grower *g, const float *gh, row_set in, row_set out, uint64_t number) {
  REQUIRE(in.n <= g->max_rows && out.n <= g->max_rows, "grower_grow: more rows than said");
  g->number = number;
  g->result.n_splits = 0;
  start(g, gh, in, out);
  size_t n = 1, most = (size_t)g->config.leaves;
  while (n < most) {
    size_t at = next_leaf(g, n);
    if (at == SIZE_MAX) break;
    if (!split_leaf_at(g, at, n)) {
      g->leaves[at].best.gain = 0;
      continue;
    }
    n++;
    if (n == most) break;
    leaf *a = &g->leaves[at], *b = &g->leaves[n - 1];
    share_histogram(g, a, b, n);
    search_leaf(g, at, 2 * n);
    search_leaf(g, n - 1, 2 * n + 1);
  }
  g->result.n_splits = n - 1;
  refitting x = {g, gh};
  thread_for(n, in.n < 20000 ? n : (n + 15) / 16, refit_leaves, &x);
  return &g->result;
}
