/* Boosting: a round finds the gradients of the loss, grows a tree an output on them, and adds its
 * values to the scores (Friedman 2001). With DART (Vinayak & Gilad-Bachrach 2015) some trees are
 * left out of the scores while the next is fitted, and all are scaled after. */
#include "tree/gbdt_inner.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tree/bins_inner.h"

#include <math.h>
#include <string.h>

/* ---- preparation --------------------------------------------------------------------------- */

/* Weights of the data, times those of classes. */
static garam_status weigh(boosting *b, garam_error *err) {
  const dataset *d = b->d;
  bool balanced = b->config->class_weights == 1 && d->n_classes > 0;
  if (!d->weight && !balanced) return GARAM_OK;
  b->weight = mem_array(d->n_rows, sizeof *b->weight);
  double *of_class = mem_array((size_t)d->n_classes + 1, sizeof *of_class), total = 0;
  if (!b->weight || !of_class) {
    mem_free(of_class);
    return fail_memory(err, d->n_rows * sizeof *b->weight);
  }
  for (size_t i = 0; i < d->n_rows; i++) b->weight[i] = d->weight ? d->weight[i] : 1;
  for (size_t i = 0; i < b->train.n; i++) {
    uint32_t row = b->train.rows[i];
    total += (double)b->weight[row];
    if (balanced) of_class[d->y[row]] += (double)b->weight[row];
  }
  for (size_t i = 0; balanced && i < d->n_rows; i++)
    if (d->y[i] >= 0 && of_class[d->y[i]] > 0)
      b->weight[i] *= (float)(total / (d->n_classes * of_class[d->y[i]]));
  mem_free(of_class);
  if (!(total > 0)) return fail(err, GARAM_INVALID, "the weights of the training rows sum to zero");
  return GARAM_OK;
}

static grow_config grow_config_of(const boosting *b) {
  const gbdt_config *c = b->config;
  grow_config g = grow_config_default();
  g.leaves = c->leaves;
  g.max_depth = c->max_depth;
  g.order = c->growth == 1 ? GROW_DEPTH : GROW_LEAF;
  g.rules = (split_rules){.l1 = c->l1,
                          .l2 = c->l2,
                          .min_gain = c->min_gain,
                          .min_hessian = c->min_hessian,
                          .min_rows = c->min_rows,
                          .max_output = c->max_output,
                          .path_smooth = c->path_smooth,
                          .category_smooth = c->category_smooth,
                          .category_l2 = c->category_l2,
                          .max_categories = c->max_categories,
                          .one_hot_categories = c->one_hot_categories,
                          .monotone = b->columns.monotone};
  g.tree_features = c->feature_fraction;
  g.node_features = c->node_fraction;
  g.random_cuts = c->extra_trees;
  g.allowed = b->columns.allowed;
  g.n_groups = b->columns.n_groups;
  g.histogram_bytes = (size_t)c->histogram_memory;
  g.seed = b->seed;
  return g;
}

static garam_status prepare(boosting *b, garam_error *err) {
  const gbdt_config *c = b->config;
  const dataset *d = b->d;
  const loss_ops *ops;
  TRY(loss_choose(&ops, loss_names[c->loss], d->task, err));
  TRY(gbdt_columns_init(&b->columns, c, d, err));
  TRY(weigh(b, err));
  loss_settings settings = {.alpha = c->alpha, .max_delta = c->poisson_max_delta};
  settings.custom = gbdt_custom_loss(&settings.custom_context);
  if (d->init && strcmp(ops->name, "poisson") == 0)
    return fail(err, GARAM_UNSUPPORTED, "--init-score: --loss poisson takes none");
  TRY(loss_init(&b->loss, ops, &settings, d, b->weight, b->train, b->valid, err));
  bins_config bc = bins_config_default();
  bc.max_bins = c->bins;
  bc.min_rows = c->bin_rows;
  bc.sample = (size_t)c->bin_sample;
  bc.seed = b->seed;
  bc.categorical = b->columns.categorical;
  TRY(bins_take(&b->bins, d, b->train, &bc, err));
  TRY(gbdt_sample_init(&b->sample, c, b->seed, b->train, b->valid, err));
  const grow_config g = grow_config_of(b);
  TRY(grower_new(&b->grower, b->bins, &g, b->train.n + b->valid.n, err));
  size_t n = d->n_rows, rounds = (size_t)c->rounds;
  b->score = bins_large(b->k * n * sizeof *b->score);
  b->gh = bins_large(2 * b->k * n * sizeof *b->gh);
  b->base = mem_array(b->k, sizeof *b->base);
  b->trees_after = mem_array(rounds, sizeof *b->trees_after);
  b->train_losses = mem_array(rounds, sizeof *b->train_losses);
  b->valid_losses = mem_array(rounds, sizeof *b->valid_losses);
  if (!b->score || !b->gh || !b->base || !b->trees_after || !b->train_losses || !b->valid_losses)
    return fail_memory(err, 3 * b->k * n * sizeof *b->score);
  for (size_t k = 0; k < b->k; k++) {
    if (ops->base && !d->init) b->base[k] = ops->base(&b->loss, b->train, k);
    for (size_t i = 0; i < n; i++) b->score[k * n + i] = d->init ? d->init[i] : (float)b->base[k];
  }
  TRY(gbdt_renew_init(b, err));
  TRY(gbdt_dart_init(b, err));
  if (c->linear_leaves) TRY(gbdt_linear_new(&b->linear, b, err));
  return trees_builder_new(&b->built, d->n_features, b->k, 1, err);
}

static void boosting_deinit(boosting *b) {
  gbdt_columns_deinit(&b->columns);
  bins_release(b->bins);
  grower_free(b->grower);
  loss_deinit(&b->loss);
  gbdt_sample_deinit(&b->sample);
  gbdt_linear_free(b->linear);
  mem_free(b->residuals);
  mem_free(b->dropped);
  mem_free(b->weight);
  mem_free_aligned(b->score);
  mem_free_aligned(b->gh);
  mem_free(b->base);
  trees_builder_free(b->built);
  mem_free(b->trees_after);
  mem_free(b->train_losses);
  mem_free(b->valid_losses);
}

/* ---- a round ------------------------------------------------------------------------------- */

typedef struct adding {
  const grown *t;
  float *score;
  double shrinkage;
} adding;

static void add_leaves(void *context, size_t begin, size_t end) {
  const adding *a = context;
  for (size_t i = begin; i < end; i++) {
    const grown_leaf *l = &a->t->leaves[i];
    float v = (float)(l->value * a->shrinkage);
    for (size_t j = 0; j < l->in.n; j++) a->score[l->in.rows[j]] += v;
    for (size_t j = 0; j < l->out.n; j++) a->score[l->out.rows[j]] += v;
  }
}

/* One tree for output k of this round. */
static garam_status grow_output(boosting *b, size_t k, double shrinkage, garam_error *err) {
  size_t n = b->d->n_rows;
  grown *t = grower_grow(b->grower, b->gh + 2 * k * n, (row_set){b->sample.in, b->sample.n_in},
                         (row_set){b->sample.out, b->sample.n_out}, (uint64_t)b->round * b->k + k);
  if (t->n_splits == 0) return GARAM_OK; /* nothing was found: nothing is added */
  if (b->loss.ops->renewal) gbdt_renew(b, t, k);
  if (b->linear) return gbdt_linear_add(b, t, k, shrinkage, err);
  adding a = {t, b->score + k * n, shrinkage};
  size_t leaves = t->n_splits + 1;
  thread_for(leaves, b->train.n < 20000 ? leaves : (leaves + 15) / 16, add_leaves, &a);
  return grown_build(t, b->bins, b->built, k, shrinkage, err);
}

static garam_status boost_round(boosting *b, garam_error *err) {
  size_t n = b->d->n_rows;
  gbdt_dart_drop(b);
  loss_gradients(&b->loss, b->gh, b->score, b->train);
  gbdt_sample_draw(&b->sample, (uint64_t)b->round, b->gh, n, b->k);
  double shrinkage = gbdt_dart_shrinkage(b);
  for (size_t k = 0; k < b->k; k++) TRY(grow_output(b, k, shrinkage, err));
  gbdt_dart_restore(b);
  b->trees_after[b->round] = trees_builder_view(b->built)->n_trees;
  return GARAM_OK;
}

/* After a round: losses, the caller, and whether to go on. */
static bool say_round(boosting *b) {
  const gbdt_config *c = b->config;
  fit_epoch e = {.epoch = b->round,
                 .n_epochs = c->rounds,
                 .valid_loss = NAN,
                 .valid_accuracy = NAN,
                 .learning_rate = c->learning_rate};
  int at = b->round - 1;
  e.train_loss = loss_mean(&b->loss, b->score, b->train, &e.train_accuracy);
  if (b->valid.n > 0) e.valid_loss = loss_mean(&b->loss, b->score, b->valid, &e.valid_accuracy);
  b->train_losses[at] = e.train_loss;
  b->valid_losses[at] = e.valid_loss;
  bool stops = c->early_stopping > 0 && b->valid.n > 0 && c->boosting == BOOSTING_PLAIN;
  if (!stops || b->best_round == 0 || e.valid_loss < b->best_loss) {
    b->best_round = b->round;
    b->best_loss = e.valid_loss;
    e.best = stops;
  }
  e.seconds = b->seconds_before + (double)(clock_monotonic_ns() - b->begun) / 1e9;
  if (b->fit && b->fit->on_epoch) b->fit->on_epoch(b->fit->context, &e);
  return !stops || b->round - b->best_round < c->early_stopping;
}

static const int64_t checkpoint_interval = 60 * CLOCK_NS_PER_SECOND;

static garam_status run(boosting *b, garam_error *err) {
  const gbdt_config *c = b->config;
  bool go_on = true;
  while (go_on && b->round < c->rounds) {
    TRY(boost_round(b, err));
    size_t had = b->round > 0 ? b->trees_after[b->round - 1] : 0;
    bool idle = b->trees_after[b->round] == had;
    b->round++;
    go_on = say_round(b);
    /* Nothing to split, and the next round would see the same. */
    if (idle && gbdt_sample_all(c) && c->feature_fraction >= 1 && c->node_fraction >= 1 &&
        !c->extra_trees)
      go_on = false;
    if (!go_on || !b->fit) continue;
    if (b->fit->interrupted && b->fit->interrupted(b->fit->context)) {
      if (b->fit->checkpoint) TRY(gbdt_checkpoint_write(b, err));
      return fail(err, GARAM_INTERRUPTED, "gbdt: interrupted after %d rounds", b->round);
    }
    if (b->fit->checkpoint && clock_monotonic_ns() - b->saved > checkpoint_interval) {
      TRY(gbdt_checkpoint_write(b, err));
      b->saved = clock_monotonic_ns();
    }
  }
  return GARAM_OK;
}

garam_status gbdt_fit(learner *l, const dataset *d, row_set train, row_set valid,
                      const fit_context *fit, fit_summary *summary, garam_error *err) {
  gbdt *m = (gbdt *)l;
  boosting b = {.m = m,
                .config = &m->config,
                .d = d,
                .train = train,
                .valid = valid,
                .fit = fit,
                .seed = fit ? fit->seed : 0,
                .k = m->n_outputs,
                .begun = clock_monotonic_ns()};
  garam_status status;
  *summary = (fit_summary){0};
  if (train.n == 0) return fail(err, GARAM_INVALID, "gbdt: no rows to train on");
  TRY_GOTO(done, prepare(&b, err));
  if (fit && fit->resume && fit->checkpoint) TRY_GOTO(done, gbdt_checkpoint_read(&b, err));
  b.saved = clock_monotonic_ns();
  TRY_GOTO(done, run(&b, err));
  trees_builder_truncate(b.built, b.best_round > 0 ? b.trees_after[b.best_round - 1] : 0);
  trees_predictor_free(m->predictor);
  trees_free(m->model);
  m->predictor = NULL;
  m->model = NULL;
  trees_builder *built = b.built;
  b.built = NULL;
  TRY_GOTO(done, trees_finish(&m->model, built, b.base, 1, false, err));
  TRY_GOTO(done, trees_predictor_new(&m->predictor, m->model, err));
  bins_drop(m->held);
  m->held = bins_hold(b.bins);
  summary->epochs = b.round;
  summary->best_epoch = b.best_round;
  summary->best_valid_loss = b.valid.n ? b.valid_losses[b.best_round - 1] : NAN;
  summary->parameters = l->ops->parameters(l);
  summary->train_loss = b.train_losses;
  summary->valid_loss = b.valid_losses;
  b.train_losses = b.valid_losses = NULL;
  summary->seconds = b.seconds_before + (double)(clock_monotonic_ns() - b.begun) / 1e9;
done:
  boosting_deinit(&b);
  return status;
}
