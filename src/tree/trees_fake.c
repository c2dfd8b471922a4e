/* A leaf-wise grower of nothing: the leaf that holds the most of a normal distribution is split at
 * a random feature, at a threshold near the middle of what the leaf still holds of it. */
#include "tree/trees_fake.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

enum { FAKE_WORDS = 2 };

typedef struct grower {
  const trees_fake *spec;
  rng r;
  double *mass;       /* (leaves) */
  float *low, *high;  /* (leaves, features) the box of each */
  int32_t *parent;    /* (leaves) split and side, or -1 */
  trees_split *split; /* (leaves - 1) */
  uint32_t *words;    /* (leaves - 1, FAKE_WORDS) */
} grower;

static void hang(grower *g, int32_t parent, int32_t child) {
  if (parent < 0) return;
  trees_split *s = &g->split[parent / 2];
  *(parent % 2 ? &s->right : &s->left) = child;
}

static double normal_cdf(float x) {
  return 0.5 * erfc(-(double)x / sqrt(2));
}

static void grow_split(grower *g, size_t i) {
  const trees_fake *spec = g->spec;
  size_t best = 0, width = spec->n_features;
  for (size_t leaf = 1; leaf <= i; leaf++)
    if (g->mass[leaf] > g->mass[best]) best = leaf;
  trees_split *s = &g->split[i];
  uint32_t feature = (uint32_t)rng_below(&g->r, width);
  float *low = g->low + best * width + feature, *high = g->high + best * width + feature;
  float middle = 0.5f * ((*low < -3 ? -1.5f : *low) + (*high > 3 ? 1.5f : *high));
  float at = middle + (float)(0.3 * rng_normal(&g->r));
  if (!(at > *low && at < *high)) at = middle;
  double whole = normal_cdf(*high) - normal_cdf(*low), share = 0.5;
  *s = (trees_split){.feature = feature,
                     .threshold = at,
                     .gain = (float)(g->mass[best] * rng_uniform(&g->r)),
                     .cover = floor(g->mass[best] * 1e6)};
  if (spec->missing) {
    s->missing = (trees_missing)rng_below(&g->r, 3);
    s->default_left = rng_below(&g->r, 2);
  }
  if (spec->categories && feature % 2) {
    uint32_t *words = g->words + i * FAKE_WORDS;
    for (size_t j = 0; j < FAKE_WORDS; j++) words[j] = rng_u32(&g->r);
    s->categories = words;
    s->n_words = FAKE_WORDS;
    s->missing = TREES_MISSING_NAN;
  } else if (whole > 0) {
    share = (normal_cdf(at) - normal_cdf(*low)) / whole;
  }
  hang(g, g->parent[best], (int32_t)i);
  size_t next = i + 1;
  memcpy(g->low + next * width, g->low + best * width, width * sizeof(float));
  memcpy(g->high + next * width, g->high + best * width, width * sizeof(float));
  if (!s->categories) *high = g->low[next * width + feature] = at;
  g->mass[next] = g->mass[best] * (1 - share);
  g->mass[best] *= share;
  g->parent[best] = (int32_t)(2 * i);
  g->parent[next] = (int32_t)(2 * i + 1);
}

static garam_status grow_tree(grower *g, trees_builder *b, size_t tree, garam_error *err) {
  const trees_fake *spec = g->spec;
  size_t n = spec->n_leaves, width = spec->n_features;
  for (size_t j = 0; j < width; j++) g->low[j] = -INFINITY, g->high[j] = INFINITY;
  g->mass[0] = 1;
  g->parent[0] = -1;
  for (size_t i = 0; i + 1 < n; i++) grow_split(g, i);
  for (size_t i = 0; i < n; i++) hang(g, g->parent[i], ~(int32_t)i);
  TRY(trees_begin(b, tree % spec->n_outputs, n - 1, err));
  for (size_t i = 0; i + 1 < n; i++) TRY(trees_set_split(b, i, &g->split[i], err));
  for (size_t i = 0; i < n; i++) {
    double value[64];
    for (size_t k = 0; k < spec->width; k++) value[k] = 0.1 * rng_normal(&g->r);
    TRY(trees_set_leaf(b, i, value, floor(g->mass[i] * 1e6), err));
    if (!spec->linear) continue;
    uint32_t features[3];
    double coefficients[3];
    size_t terms = rng_below(&g->r, 4);
    for (size_t k = 0; k < terms; k++) {
      features[k] = (uint32_t)rng_below(&g->r, width);
      coefficients[k] = 0.1 * rng_normal(&g->r);
    }
    TRY(trees_set_linear(b, i, value[0], terms, features, coefficients, err));
  }
  return trees_end(b, err);
}

garam_status trees_fake_new(trees **out, const trees_fake *spec, garam_error *err) {
  REQUIRE(spec->n_leaves > 0 && spec->n_features > 0 && spec->width <= 64, "trees_fake_new: %zu",
          spec->width);
  size_t n = spec->n_leaves;
  grower g = {.spec = spec};
  trees_builder *b = NULL;
  *out = NULL;
  garam_status status = trees_builder_new(&b, spec->n_features, spec->n_outputs, spec->width, err);
  g.mass = mem_array(n, sizeof *g.mass);
  g.low = mem_array(n * spec->n_features, sizeof *g.low);
  g.high = mem_array(n * spec->n_features, sizeof *g.high);
  g.parent = mem_array(n, sizeof *g.parent);
  g.split = mem_array(n, sizeof *g.split);
  g.words = mem_array(n * FAKE_WORDS, sizeof *g.words);
  if (status == GARAM_OK && (!g.mass || !g.low || !g.high || !g.parent || !g.split || !g.words))
    status = fail_memory(err, n * spec->n_features * sizeof *g.low);
  rng_init(&g.r, spec->seed, RNG_TEST, 0);
  for (size_t i = 0; i < spec->n_trees && status == GARAM_OK; i++)
    status = grow_tree(&g, b, i, err);
  if (status == GARAM_OK) {
    status = trees_finish(out, b, NULL, 1, false, err);
    b = NULL;
  }
  trees_builder_free(b);
  mem_free(g.mass);
  mem_free(g.low);
  mem_free(g.high);
  mem_free(g.parent);
  mem_free(g.split);
  mem_free(g.words);
  return status;
}

void trees_fake_rows(float *x, size_t n, const trees_fake *spec, uint64_t seed) {
  rng r;
  rng_init(&r, seed, RNG_TEST, 1);
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < spec->n_features; j++) {
      float v = (float)rng_normal(&r);
      if (spec->categories && j % 2) v = (float)rng_below(&r, 70) - 3;
      if (spec->missing && rng_below(&r, 8) == 0) v = rng_below(&r, 2) ? NAN : 0;
      x[i * spec->n_features + j] = v;
    }
}
