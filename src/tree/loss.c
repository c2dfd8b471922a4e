/* Losses by name, and the walk over tiles of rows. Sums are cut into shards whose number depends on
 * the rows alone. */
#include "tree/loss.h"

#include "base/mem.h"
#include "base/thread.h"

#include <math.h>
#include <string.h>

const loss_ops *const loss_registry[] = {&loss_squared,    &loss_huber,    &loss_quantile,
                                         &loss_poisson,    &loss_logistic, &loss_softmax,
                                         &loss_lambdarank, &loss_custom,   NULL};
const char *const loss_names[] = {"auto",     "squared", "huber",  "quantile",   "poisson",
                                  "logistic", "softmax", "custom", "lambdarank", NULL};

garam_status loss_choose(const loss_ops **out, const char *name, task kind, garam_error *err) {
  static const char *const usual[] = {"softmax", "logistic", "squared", "lambdarank"};
  *out = NULL;
  if (strcmp(name, "auto") == 0) name = usual[kind];
  for (size_t i = 0; loss_registry[i] && !*out; i++)
    if (strcmp(loss_registry[i]->name, name) == 0) *out = loss_registry[i];
  if (!*out) return fail(err, GARAM_NOT_FOUND, "no loss is named \"%s\"", name);
  if (!((*out)->tasks >> kind & 1u))
    return fail(err, GARAM_INVALID, "--loss %s is not one for --task %s", name, task_names[kind]);
  return GARAM_OK;
}

garam_status loss_init(loss *l, const loss_ops *ops, const loss_settings *settings,
                       const dataset *d, const float *weight, row_set train, row_set valid,
                       garam_error *err) {
  *l = (loss){.ops = ops, .settings = *settings, .d = d, .weight = weight};
  l->n_outputs = d->task == TASK_CLASSIFICATION ? (size_t)d->n_classes : 1;
  if (ops == &loss_custom && !settings->custom)
    return fail(err, GARAM_INVALID, "--loss custom needs a function: see garam/gbdt.h");
  size_t threads = (size_t)thread_available();
  if ((size_t)thread_count() > threads) threads = (size_t)thread_count();
  l->room_size = 3 * l->n_outputs * LOSS_TILE;
  l->room = mem_array(threads * l->room_size, sizeof *l->room);
  if (!l->room) return fail_memory(err, threads * l->room_size * sizeof *l->room);
  return ops->prepare ? ops->prepare(l, train, valid, err) : GARAM_OK;
}

void loss_deinit(loss *l) {
  if (l->ops && l->ops->deinit) l->ops->deinit(l);
  mem_free(l->room);
  *l = (loss){0};
}

/* ---- tiles --------------------------------------------------------------------------------- */

static void fill_tile(const loss *l, loss_tile *t, const float *score, const uint32_t *rows,
                      size_t n) {
  const dataset *d = l->d;
  t->rows = rows;
  t->n = n;
  for (size_t i = 0; i < n; i++) {
    t->target[i] = d->y ? (float)d->y[rows[i]] : d->value[rows[i]];
    t->weight[i] = l->weight ? l->weight[rows[i]] : 1;
  }
  for (size_t k = 0; k < l->n_outputs; k++) {
    const float *from = score + k * d->n_rows;
    float *to = t->score + k * LOSS_TILE;
    for (size_t i = 0; i < n; i++) to[i] = from[rows[i]];
    for (size_t i = n; i < LOSS_TILE; i++) to[i] = 0;
  }
  for (size_t i = n; i < LOSS_TILE; i++) t->target[i] = t->weight[i] = 0;
}

enum { SHARD_TILES = 16, MOST_SHARDS = 64 };

typedef struct walk {
  const loss *l;
  float *gh;
  const float *score;
  row_set rows;
  size_t shard;
  double loss[MOST_SHARDS], weight[MOST_SHARDS], hits[MOST_SHARDS], count[MOST_SHARDS];
} walk;

static void tile_gradients(walk *w, loss_tile *t) {
  const loss *l = w->l;
  l->ops->gradients(l, t);
  for (size_t k = 0; k < l->n_outputs; k++) {
    float *gh = w->gh + 2 * k * l->d->n_rows;
    for (size_t i = 0; i < t->n; i++) {
      gh[2 * (size_t)t->rows[i]] = t->gradient[k * LOSS_TILE + i];
      gh[2 * (size_t)t->rows[i] + 1] = t->hessian[k * LOSS_TILE + i];
    }
  }
}

static bool hit(const loss *l, const loss_tile *t, size_t i) {
  if (l->n_outputs == 1) return (t->score[i] > 0) == (t->target[i] > 0.5f);
  size_t top = 0;
  for (size_t k = 1; k < l->n_outputs; k++)
    if (t->score[k * LOSS_TILE + i] > t->score[top * LOSS_TILE + i]) top = k;
  return (float)top == t->target[i];
}

static void tile_losses(walk *w, loss_tile *t, size_t shard) {
  const loss *l = w->l;
  l->ops->losses(l, t);
  for (size_t i = 0; i < t->n; i++) {
    w->loss[shard] += (double)t->weight[i] * (double)t->loss[i];
    w->weight[shard] += (double)t->weight[i];
  }
  if (l->d->n_classes == 0) return;
  for (size_t i = 0; i < t->n; i++) w->hits[shard] += hit(l, t, i);
  w->count[shard] += (double)t->n;
}

static void walk_shards(void *context, size_t begin, size_t end) {
  walk *w = context;
  size_t k = w->l->n_outputs;
  float *room = w->l->room + (size_t)thread_index() * w->l->room_size;
  loss_tile t = {
      .score = room, .gradient = room + k * LOSS_TILE, .hessian = room + 2 * k * LOSS_TILE};
  for (size_t s = begin; s < end; s++) {
    size_t from = s * w->shard, to = from + w->shard < w->rows.n ? from + w->shard : w->rows.n;
    w->loss[s] = w->weight[s] = w->hits[s] = w->count[s] = 0;
    for (size_t i = from; i < to; i += LOSS_TILE) {
      fill_tile(w->l, &t, w->score, w->rows.rows + i, to - i < LOSS_TILE ? to - i : LOSS_TILE);
      if (w->gh) tile_gradients(w, &t);
      else tile_losses(w, &t, s);
    }
  }
}

static size_t walk_rows(walk *w) {
  const size_t least = (size_t)SHARD_TILES * LOSS_TILE;
  w->shard = (w->rows.n / MOST_SHARDS / LOSS_TILE + 1) * LOSS_TILE;
  if (w->shard < least) w->shard = least;
  size_t n = (w->rows.n + w->shard - 1) / w->shard;
  thread_for(n, 1, walk_shards, w);
  return n;
}

void loss_gradients(const loss *l, float *gh, const float *score, row_set rows) {
  if (l->ops->all_gradients) {
    l->ops->all_gradients(l, gh, score, rows);
    return;
  }
  walk w = {.l = l, .gh = gh, .score = score, .rows = rows};
  walk_rows(&w);
}

double loss_mean(const loss *l, const float *score, row_set rows, double *accuracy) {
  *accuracy = NAN;
  if (l->ops->all_losses) return l->ops->all_losses(l, score, rows);
  walk w = {.l = l, .score = score, .rows = rows};
  size_t n = walk_rows(&w);
  double sum = 0, weight = 0, hits = 0, count = 0;
  for (size_t s = 0; s < n; s++) {
    sum += w.loss[s];
    weight += w.weight[s];
    hits += w.hits[s];
    count += w.count[s];
  }
  if (count > 0) *accuracy = hits / count;
  return sum / weight;
}
