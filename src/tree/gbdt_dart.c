/* DART (Vinayak & Gilad-Bachrach 2015): a round is fitted to what is left when k earlier rounds are
 * dropped; then its trees weigh 1 / (k + 1), and the dropped ones k / (k + 1) of what they did. */
#include "tree/gbdt_inner.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

garam_status gbdt_dart_init(boosting *b, garam_error *err) {
  if (b->config->boosting != BOOSTING_DART) return GARAM_OK;
  b->dropped = mem_array((size_t)b->config->rounds, sizeof *b->dropped);
  return b->dropped ? GARAM_OK : fail_memory(err, (size_t)b->config->rounds * sizeof(int));
}

typedef struct moving {
  boosting *b;
  row_set rows;
  const trees *t;
  size_t tree;
  double by;
} moving;

/* What a tree says of one row. */
static double tree_value(const trees *t, size_t tree, const float *x) {
  size_t at = t->leaf_begin[tree] + trees_leaf_of(t, tree, x);
  if (!t->linear_begin || t->linear_begin[at] == t->linear_begin[at + 1]) return t->value[at];
  double sum = t->linear_constant[at];
  for (uint32_t i = t->linear_begin[at]; i < t->linear_begin[at + 1]; i++) {
    float v = x[t->linear_feature[i]];
    if (v != v) return t->value[at];
    sum += t->linear_coefficient[i] * (double)v;
  }
  return sum;
}

static void move_rows(void *context, size_t begin, size_t end) {
  const moving *m = context;
  const dataset *d = m->b->d;
  float *score = m->b->score + (size_t)m->t->output[m->tree] * d->n_rows;
  for (size_t i = begin; i < end; i++) {
    size_t row = m->rows.rows[i];
    double v = tree_value(m->t, m->tree, d->x + row * d->n_features);
    score[row] = (float)((double)score[row] + m->by * v);
  }
}

/* Adds `by` times what the trees of a round say to the scores. */
static void move_round(boosting *b, int round, double by) {
  const trees *t = trees_builder_view(b->built);
  for (size_t i = round > 0 ? b->trees_after[round - 1] : 0; i < b->trees_after[round]; i++) {
    moving m = {b, b->train, t, i, by};
    thread_for(b->train.n, 1024, move_rows, &m);
    m.rows = b->valid;
    if (b->valid.n) thread_for(b->valid.n, 1024, move_rows, &m);
  }
}

void gbdt_dart_drop(boosting *b) {
  const gbdt_config *c = b->config;
  b->n_dropped = 0;
  if (c->boosting != BOOSTING_DART) return;
  rng r;
  rng_init(&r, b->seed, RNG_BOOTSTRAP, UINT64_C(13) << 56 | (uint64_t)b->round);
  if (rng_uniform(&r) < c->skip_drop) return;
  for (int i = 0; i < b->round && b->n_dropped < c->max_drop; i++)
    if (rng_uniform(&r) < c->drop_rate) b->dropped[b->n_dropped++] = i;
  for (int i = 0; i < b->n_dropped; i++) move_round(b, b->dropped[i], -1);
}

double gbdt_dart_shrinkage(const boosting *b) {
  return b->config->learning_rate / (1 + b->n_dropped);
}

void gbdt_dart_restore(boosting *b) {
  double share = (double)b->n_dropped / (b->n_dropped + 1);
  trees *t = trees_builder_view(b->built);
  for (int i = 0; i < b->n_dropped; i++) {
    int round = b->dropped[i];
    size_t from = round > 0 ? b->trees_after[round - 1] : 0, to = b->trees_after[round];
    for (size_t j = t->leaf_begin[from]; j < t->leaf_begin[to]; j++) {
      t->value[j] *= share;
      if (!t->linear_begin) continue;
      t->linear_constant[j] *= share;
      for (uint32_t k = t->linear_begin[j]; k < t->linear_begin[j + 1]; k++)
        t->linear_coefficient[k] *= share;
    }
    move_round(b, round, 1);
  }
}
