/* One tree of a forest, depth first, on one thread: sums are plain float64, in the order of the
 * rows. A node looks at features in random order until it has seen enough of them and one of them
 * splits it. With bins every cut between codes is tried; without, one random number between the
 * least and the largest of the node. Missing values are tried on both sides. */
#include "tree/forest_inner.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { SORT_ROWS = 24 }; /* up to so many rows are sorted by code, more go into a histogram */

typedef struct forest_node {
  uint32_t begin, end;
  int32_t parent; /* 2 x split + side; -1: the root */
  int depth;
} forest_node;

/* The best split of a node so far. */
typedef struct cut {
  double score; /* of both sides; compared with the node's own */
  uint32_t feature;
  float threshold;
  bool missing_left, any_missing;
} cut;

garam_status forest_tree_init(forest_tree *t, const forest_task *f, garam_error *err) {
  size_t n = f->rows.n, width = f->d->n_features, s = f->n_stats;
  size_t k = f->d->n_classes > 0 ? (size_t)f->d->n_classes : 1;
  *t = (forest_tree){0};
  t->splits = mem_array(n, sizeof *t->splits);
  t->values = mem_array(n * k, sizeof *t->values);
  t->covers = mem_array(n, sizeof *t->covers);
  t->in_bag = mem_array(n, 1);
  t->row = mem_array(n, sizeof *t->row);
  t->in_node = mem_array(n, sizeof *t->in_node);
  t->spare = mem_array(n, sizeof *t->spare);
  t->spare_weight = mem_array(n, sizeof *t->spare_weight);
  t->stack = mem_array(TREES_MAX_DEPTH + 2, sizeof *t->stack);
  t->feature_order = mem_array(width, sizeof *t->feature_order);
  t->stats = mem_array(BINS_CODES * s, sizeof *t->stats);
  t->counts = mem_array(BINS_CODES, sizeof *t->counts);
  t->left = mem_array(3 * s, sizeof *t->left);
  if (t->splits && t->values && t->covers && t->in_bag && t->row && t->in_node && t->spare &&
      t->spare_weight && t->stack && t->feature_order && t->stats && t->counts && t->left) {
    t->right = t->left + s;
    t->total = t->left + 2 * s;
    return GARAM_OK;
  }
  forest_tree_deinit(t);
  return fail_memory(err, n * (sizeof *t->splits + k * sizeof *t->values));
}

void forest_tree_deinit(forest_tree *t) {
  mem_free(t->splits);
  mem_free(t->values);
  mem_free(t->covers);
  mem_free(t->in_bag);
  mem_free(t->row);
  mem_free(t->in_node);
  mem_free(t->spare);
  mem_free(t->spare_weight);
  mem_free(t->stack);
  mem_free(t->feature_order);
  mem_free(t->stats);
  mem_free(t->counts);
  mem_free(t->left);
  *t = (forest_tree){0};
}

/* ---- sums ------------------------------------------------------------------------------------ */

static inline void add_row(double *stats, const forest_task *f, uint32_t row, double weight) {
  if (f->d->n_classes > 0) {
    stats[f->d->y[row]] += weight;
  } else {
    stats[0] += weight;
    stats[1] += weight * ((double)f->d->value[row] - f->center);
  }
}

static double weight_of(const forest_task *f, const double *stats) {
  if (f->d->n_classes == 0) return stats[0];
  double sum = 0;
  for (size_t c = 0; c < f->n_stats; c++) sum += stats[c];
  return sum;
}

/* The larger the purer: minus the impurity times the weight, up to what all splits of a node have
 * in common. */
static double purity(const forest_task *f, const double *stats) {
  double weight = weight_of(f, stats), sum = 0;
  if (!(weight > 0)) return 0;
  if (f->d->n_classes == 0) return stats[1] * stats[1] / weight;
  if (f->config.criterion == FOREST_ENTROPY) {
    for (size_t c = 0; c < f->n_stats; c++)
      if (stats[c] > 0) sum += stats[c] * log(stats[c] / weight);
    return sum;
  }
  for (size_t c = 0; c < f->n_stats; c++) sum += stats[c] * stats[c];
  return sum / weight;
}

/* Purity of a side and of the rest of the node. */
static double split_score(const forest_tree *t, const forest_task *f, const double *side) {
  for (size_t c = 0; c < f->n_stats; c++) t->right[c] = t->total[c] - side[c];
  return purity(f, side) + purity(f, t->right);
}

/* ---- cuts between bins -------------------------------------------------------------------------
 */

/* Offers the cut after `code`, with t->left the sums up to it, without missing values. */
static void offer(cut *best, const forest_tree *t, const forest_task *f, uint32_t feature, int code,
                  size_t n_left, size_t n_missing, size_t n, const double *missing) {
  double side[1024]; /* classes are at most 1000 */
  size_t least = (size_t)f->config.min_leaf;
  for (int missing_left = 0; missing_left <= (n_missing > 0); missing_left++) {
    size_t left = n_left + (missing_left ? n_missing : 0);
    if (left < least || n - left < least || left == 0 || left == n) continue;
    const double *stats = t->left;
    if (missing_left) {
      for (size_t c = 0; c < f->n_stats; c++) side[c] = t->left[c] + missing[c];
      stats = side;
    }
    double score = split_score(t, f, stats);
    if (score > best->score)
      *best = (cut){score, feature, bins_threshold(&f->bins->features[feature], code), missing_left,
                    n_missing > 0};
  }
}

static void try_sorted(cut *best, forest_tree *t, const forest_task *f, const forest_node *node,
                       uint32_t feature) {
  const uint8_t *code = f->bins->columns + feature * f->bins->stride;
  size_t n = node->end - node->begin, n_missing = 0;
  uint32_t order[SORT_ROWS]; /* code and place, ascending; missing ones last */
  for (uint32_t i = 0; i < n; i++) {
    uint32_t key = (uint32_t)code[t->row[node->begin + i]] << 8 | i, at = i;
    for (; at > 0 && order[at - 1] > key; at--) order[at] = order[at - 1];
    order[at] = key;
    n_missing += key >> 8 == BINS_MISSING;
  }
  if (order[0] >> 8 == order[n - 1] >> 8) return;
  double *missing = t->stats;
  memset(missing, 0, f->n_stats * sizeof *missing);
  for (size_t i = n - n_missing; i < n; i++) {
    uint32_t at = node->begin + (order[i] & 255);
    add_row(missing, f, t->row[at], (double)t->in_node[at]);
  }
  memset(t->left, 0, f->n_stats * sizeof *t->left);
  for (size_t i = 0; i < n - n_missing; i++) {
    uint32_t at = node->begin + (order[i] & 255);
    add_row(t->left, f, t->row[at], (double)t->in_node[at]);
    if (i + 1 == n || order[i + 1] >> 8 != order[i] >> 8)
      offer(best, t, f, feature, (int)(order[i] >> 8), i + 1, n_missing, n, missing);
  }
}

static void try_histogram(cut *best, forest_tree *t, const forest_task *f, const forest_node *node,
                          uint32_t feature) {
  const uint8_t *column = f->bins->columns + feature * f->bins->stride;
  size_t n = node->end - node->begin, s = f->n_stats, n_left = 0;
  size_t n_bins = (size_t)f->bins->features[feature].n_bins;
  memset(t->stats, 0, n_bins * s * sizeof *t->stats);
  memset(t->stats + BINS_MISSING * s, 0, s * sizeof *t->stats);
  memset(t->counts, 0, BINS_CODES * sizeof *t->counts);
  for (uint32_t i = node->begin; i < node->end; i++) {
    size_t code = column[t->row[i]];
    add_row(t->stats + code * s, f, t->row[i], (double)t->in_node[i]);
    t->counts[code]++;
  }
  size_t n_missing = t->counts[BINS_MISSING];
  memset(t->left, 0, s * sizeof *t->left);
  for (size_t code = 0; code < n_bins && n_left < n - n_missing; code++) {
    if (t->counts[code] == 0) continue;
    if (t->counts[code] == n) return; /* all the same */
    for (size_t c = 0; c < s; c++) t->left[c] += t->stats[code * s + c];
    n_left += t->counts[code];
    offer(best, t, f, feature, (int)code, n_left, n_missing, n, t->stats + BINS_MISSING * s);
  }
}

/* ---- random cuts --------------------------------------------------------------------------------
 */

static void try_random(cut *best, forest_tree *t, const forest_task *f, const forest_node *node,
                       uint32_t feature, rng *r) {
  size_t width = f->d->n_features, n = node->end - node->begin, n_missing = 0, n_left = 0;
  const float *x = f->d->x + feature;
  float low = INFINITY, high = -INFINITY;
  for (uint32_t i = node->begin; i < node->end; i++) {
    float v = x[t->row[i] * width];
    if (v < low) low = v;
    if (v > high) high = v;
    n_missing += isnan(v);
  }
  double u = rng_uniform(r);
  bool missing_left = rng_u32(r) & 1u;
  if (!(low < high) && !(n_missing > 0 && n_missing < n)) return;
  float at = low < high ? (float)((double)low + ((double)high - (double)low) * u) : high;
  if (at >= high && low < high) at = low;
  if (!(low < high)) missing_left = false; /* numbers alike against what is missing */
  memset(t->left, 0, f->n_stats * sizeof *t->left);
  for (uint32_t i = node->begin; i < node->end; i++) {
    float v = x[t->row[i] * width];
    if (!(isnan(v) ? missing_left : v <= at)) continue;
    add_row(t->left, f, t->row[i], (double)t->in_node[i]);
    n_left++;
  }
  size_t least = (size_t)f->config.min_leaf;
  if (n_left < least || n - n_left < least || n_left == 0 || n_left == n) return;
  double score = split_score(t, f, t->left);
  if (score > best->score) *best = (cut){score, feature, at, missing_left, n_missing > 0};
}

/* ---- a node -------------------------------------------------------------------------------------
 */

static size_t features_to_see(const forest_task *f) {
  double n = (double)f->d->n_features, share = f->config.max_features;
  double m = share > 0             ? ceil(share * n - 1e-9)
             : f->d->n_classes > 0 ? floor(sqrt(n))
                                   : ceil(n / 3);
  return m < 1 ? 1 : m > n ? f->d->n_features : (size_t)m;
}

static bool find_cut(cut *best, forest_tree *t, const forest_task *f, const forest_node *node,
                     rng *r) {
  size_t n = node->end - node->begin, width = f->d->n_features, enough = features_to_see(f);
  double own = purity(f, t->total);
  bool found = false;
  *best = (cut){.score = own + 1e-12 * fabs(own)};
  for (size_t i = 0; i < width && !(found && i >= enough); i++) {
    size_t pick = i + rng_below(r, width - i);
    uint32_t feature = t->feature_order[pick];
    t->feature_order[pick] = t->feature_order[i];
    t->feature_order[i] = feature;
    double before = best->score;
    if (!f->bins) try_random(best, t, f, node, feature, r);
    else if (f->bins->features[feature].n_bins < 1) continue;
    else if (n <= SORT_ROWS) try_sorted(best, t, f, node, feature);
    else try_histogram(best, t, f, node, feature);
    found = found || best->score > before;
  }
  return found;
}

static bool is_pure(const forest_tree *t, const forest_task *f, const forest_node *node) {
  if (f->d->n_classes > 0) {
    size_t n = 0;
    for (size_t c = 0; c < f->n_stats; c++) n += t->total[c] > 0;
    return n < 2;
  }
  float first = f->d->value[t->row[node->begin]];
  for (uint32_t i = node->begin + 1; i < node->end; i++)
    if (f->d->value[t->row[i]] != first) return false;
  return true;
}

static void add_leaf(forest_tree *t, const forest_task *f) {
  double weight = weight_of(f, t->total);
  double *value = t->values + t->n_leaves * (f->d->n_classes > 0 ? f->n_stats : 1);
  if (f->d->n_classes > 0)
    for (size_t c = 0; c < f->n_stats; c++) value[c] = t->total[c] / weight;
  else value[0] = f->center + t->total[1] / weight;
  t->covers[t->n_leaves++] = weight;
}

/* Left rows first, both sides in their order; returns where the right ones begin. */
static uint32_t partition(forest_tree *t, const forest_task *f, const forest_node *node,
                          const cut *c) {
  const float *x = f->d->x + c->feature;
  size_t width = f->d->n_features;
  uint32_t left = node->begin, n_right = 0;
  for (uint32_t i = node->begin; i < node->end; i++) {
    float v = x[t->row[i] * width];
    bool goes_left = isnan(v) ? c->missing_left : v <= c->threshold;
    if (goes_left) {
      t->row[left] = t->row[i];
      t->in_node[left++] = t->in_node[i];
    } else {
      t->spare[n_right] = t->row[i];
      t->spare_weight[n_right++] = t->in_node[i];
    }
  }
  memcpy(t->row + left, t->spare, n_right * sizeof *t->row);
  memcpy(t->in_node + left, t->spare_weight, n_right * sizeof *t->in_node);
  return left;
}

static void draw_bag(forest_tree *t, const forest_task *f, size_t number) {
  size_t n = f->rows.n, m = 0;
  if (f->config.bootstrap) {
    rng r;
    rng_init(&r, f->seed, RNG_FOREST, 2 * number);
    size_t draws = (size_t)ceil(f->config.bag * (double)n);
    memset(t->in_bag, 0, n);
    for (size_t i = 0; i < draws; i++) {
      uint8_t *times = &t->in_bag[rng_below(&r, n)];
      *times = (uint8_t)(*times + (*times < 255));
    }
  } else {
    memset(t->in_bag, 1, n);
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t row = f->rows.rows[i];
    float weight = (float)t->in_bag[i] * (f->weight ? f->weight[row] : 1);
    if (!(weight > 0)) continue;
    t->row[m] = row;
    t->in_node[m++] = weight;
  }
  if (m == 0) { /* every row that was drawn weighs nothing */
    t->row[m] = f->rows.rows[0];
    t->in_node[m++] = 1;
  }
  t->stack[0] = (forest_node){0, (uint32_t)m, -1, 0};
}

static void hang(forest_tree *t, int32_t parent, int32_t child) {
  if (parent < 0) return;
  trees_split *s = &t->splits[parent / 2];
  *(parent % 2 ? &s->right : &s->left) = child;
}

void forest_tree_grow(forest_tree *t, const forest_task *f, size_t number) {
  rng r;
  size_t pending = 1;
  int deepest = f->config.max_depth > 0 ? f->config.max_depth : TREES_MAX_DEPTH;
  double least_gain = 0;
  rng_init(&r, f->seed, RNG_FOREST, 2 * number + 1);
  for (uint32_t j = 0; j < f->d->n_features; j++) t->feature_order[j] = j;
  t->n_splits = t->n_leaves = 0;
  draw_bag(t, f, number);
  while (pending > 0) {
    forest_node node = t->stack[--pending];
    uint32_t n = node.end - node.begin;
    memset(t->total, 0, f->n_stats * sizeof *t->total);
    for (uint32_t i = node.begin; i < node.end; i++)
      add_row(t->total, f, t->row[i], (double)t->in_node[i]);
    cut best;
    bool splits = n >= 2 && n >= (uint32_t)f->config.min_split && node.depth < deepest &&
                  !is_pure(t, f, &node) && find_cut(&best, t, f, &node, &r);
    double own = purity(f, t->total);
    if (node.parent < 0) least_gain = f->config.min_gain * (weight_of(f, t->total) - own);
    if (splits && f->config.min_gain > 0 && f->d->n_classes > 0 && best.score - own < least_gain)
      splits = false;
    if (!splits) {
      hang(t, node.parent, ~(int32_t)t->n_leaves);
      add_leaf(t, f);
      continue;
    }
    int32_t split = (int32_t)t->n_splits++;
    hang(t, node.parent, split);
    uint32_t middle = partition(t, f, &node, &best);
    if (!best.any_missing) best.missing_left = 2 * (middle - node.begin) >= n; /* the larger side */
    t->splits[split] = (trees_split){.feature = best.feature,
                                     .threshold = best.threshold,
                                     .missing = TREES_MISSING_NAN,
                                     .default_left = best.missing_left,
                                     .gain = (float)(best.score - own),
                                     .cover = weight_of(f, t->total)};
    t->stack[pending++] = (forest_node){middle, node.end, 2 * split + 1, node.depth + 1};
    t->stack[pending++] = (forest_node){node.begin, middle, 2 * split, node.depth + 1};
  }
}
