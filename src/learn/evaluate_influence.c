/* What each feature is worth to the predictions of scored rows, for any learner: by how much the
 * loss grows when the feature is taken from other rows (Breiman 2001, section 10; Fisher, Rudin &
 * Dominici 2019), and the mean prediction as it changes alone (partial dependence, Friedman 2001,
 * section 8.2). Nothing is fitted again, and no row of training is looked at.
 *
 * Of a window the feature's whole past is exchanged, and rows in time change places in blocks, so
 * that what is local stays together. A permutation is numbered by feature and repeat: the same for
 * any order of work. */
#include "learn/evaluate_inner.h"

#include "base/mem.h"
#include "base/rng.h"
#include "learn/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 500, BATCH = 64, GRID = 16, DEPENDENCES = 6 };

typedef struct influence {
  evaluation *e;
  const uint32_t *rows; /* (n) the last of the scored ones */
  size_t n, first, k, context, width;
  float *x, *other; /* (BATCH, context, width) */
  int32_t *begin;   /* (BATCH) */
  float *out;       /* (n, k) */
  uint32_t *from;   /* (n) row each takes the feature from */
  double *worth;    /* (width, 3): mean, least, most growth of the loss */
  size_t *order;    /* (width) most worth first */
  float *sorted;    /* (n) */
} influence;

/* ---- the loss ------------------------------------------------------------------------------ */

static double ranking_loss(const influence *f) {
  const evaluation *e = f->e;
  ranking_queries q;
  garam_error err;
  double sum = NAN;
  uint32_t *order = mem_array(2 * f->n + 1, sizeof *order);
  size_t *at = mem_array(e->d->n_rows + 1, sizeof *at);
  float *score = mem_array(2 * f->n + 1, sizeof *score), *grade = score ? score + f->n : NULL;
  if (order && at && score &&
      ranking_queries_init(&q, e->d, (row_set){f->rows, f->n}, &err) == GARAM_OK) {
    for (size_t i = 0; i < f->n; i++) at[f->rows[i]] = i;
    sum = 0;
    for (size_t i = 0; i < q.n; i++) {
      size_t n = q.begin[i + 1] - q.begin[i];
      for (size_t j = 0; j < n; j++) {
        size_t row = at[q.rows[q.begin[i] + j]];
        score[j] = f->out[row];
        grade[j] = e->value[f->first + row];
      }
      sum += (1 - ranking_ndcg(score, grade, n, 10, order)) / (double)q.n;
    }
    ranking_queries_deinit(&q);
  }
  mem_free(order);
  mem_free(at);
  mem_free(score);
  return sum;
}

static double loss_of(const influence *f) {
  const evaluation *e = f->e;
  const float *weight = e->weight ? e->weight + f->first : NULL;
  if (e->p->shape.task == TASK_RANKING) return ranking_loss(f);
  return e->k > 0 ? metric_log_loss(f->out, e->y + f->first, weight, f->n, e->k)
                  : metric_mse(f->out, e->value + f->first, weight, f->n);
}

static const char *loss_name(const evaluation *e) {
  return e->p->shape.task == TASK_RANKING ? "1 - ndcg" : e->k > 0 ? "log_loss" : "mse";
}

/* ---- predictions with one feature changed -----------------------------------------------------
 */

/* Feature j of every window from those of f->from (exchange), or `level` throughout; j == width:
 * as it is. Only the first n rows. */
static garam_status predict(influence *f, size_t n, size_t j, bool exchange, float level,
                            garam_error *err) {
  const dataset *d = f->e->d;
  for (size_t i = 0; i < n; i += BATCH) {
    size_t m = n - i < BATCH ? n - i : BATCH, cells = m * f->context;
    if (exchange) dataset_gather(f->other, NULL, d, f->from + i, m, f->context);
    dataset_gather(f->x, f->begin, d, f->rows + i, m, f->context);
    for (size_t c = 0; j < f->width && c < cells; c++)
      f->x[c * f->width + j] = exchange ? f->other[c * f->width + j] : level;
    TRY(pipeline_predict_from(f->e->p, f->x, f->begin, m, d, f->rows + i, f->out + i * f->k, err));
  }
  return GARAM_OK;
}

/* Blocks of rows in a new order. */
static void permute(influence *f, uint64_t number) {
  size_t block = f->e->block, at = 0, n_blocks;
  rng r;
  if (block > f->n / 4) block = f->n / 4 + 1;
  n_blocks = (f->n + block - 1) / block;
  uint32_t *blocks = (uint32_t *)(void *)f->sorted; /* scratch of the same size */
  for (size_t b = 0; b < n_blocks; b++) blocks[b] = (uint32_t)b;
  rng_init(&r, (uint64_t)f->e->config->seed, RNG_AUDIT, number);
  rng_shuffle(&r, blocks, n_blocks);
  for (size_t b = 0; b < n_blocks; b++)
    for (size_t i = blocks[b] * block; i < f->n && i < (blocks[b] + (size_t)1) * block; i++)
      f->from[at++] = f->rows[i];
}

static garam_status measure(influence *f, double *base, garam_error *err) {
  int repeats = f->e->config->importance;
  TRY(predict(f, f->n, f->width, false, 0, err));
  *base = loss_of(f);
  for (size_t j = 0; j < f->width; j++) {
    double *w = f->worth + 3 * j;
    for (int r = 0; r < repeats; r++) {
      permute(f, (uint64_t)j * (uint64_t)repeats + (uint64_t)r);
      TRY(predict(f, f->n, j, true, 0, err));
      double growth = loss_of(f) - *base;
      w[0] += growth / repeats;
      w[1] = r == 0 || growth < w[1] ? growth : w[1];
      w[2] = r == 0 || growth > w[2] ? growth : w[2];
    }
    size_t at = j;
    for (; at > 0 && f->worth[3 * f->order[at - 1]] < w[0]; at--) f->order[at] = f->order[at - 1];
    f->order[at] = j;
  }
  return GARAM_OK;
}

static int compare_f32(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The mean prediction (of the last class, or the value) at quantiles of the feature. */
static garam_status depend(influence *f, size_t j, json_t *list, garam_error *err) {
  const dataset *d = f->e->d;
  size_t n = 0, rows = f->n < 200 ? f->n : 200;
  for (size_t i = 0; i < f->n; i++) {
    float v = d->x[f->rows[i] * f->width + j];
    if (isfinite(v)) f->sorted[n++] = v;
  }
  if (n == 0) return GARAM_OK;
  qsort(f->sorted, n, sizeof *f->sorted, compare_f32);
  double x[GRID], y[GRID];
  size_t points = 0;
  for (size_t g = 0; g < GRID; g++) {
    float level = f->sorted[(n - 1) * g / (GRID - 1)];
    if (points > 0 && x[points - 1] == (double)level) continue;
    double sum = 0;
    TRY(predict(f, rows, j, false, level, err));
    for (size_t i = 0; i < rows; i++) sum += (double)f->out[i * f->k + f->k - 1];
    x[points] = (double)level;
    y[points++] = sum / (double)rows;
  }
  json_t *one = json_pack("{s:s, s:s, s:o, s:o}", "feature", d->feature_names[j], "output",
                          pipeline_output_name(f->e->p, (int)f->k - 1), "at",
                          json_array_f64(x, points), "mean", json_array_f64(y, points));
  return json_array_append_new(list, one) == 0 ? GARAM_OK : fail_memory(err, 256);
}

static garam_status put(influence *f, double base, garam_error *err) {
  evaluation *e = f->e;
  json_t *list = json_array(), *curves = json_array();
  garam_status status = list && curves ? GARAM_OK : fail_memory(err, 64);
  for (size_t i = 0; i < f->width && status == GARAM_OK; i++) {
    size_t j = f->order[i];
    const double *w = f->worth + 3 * j;
    json_t *one = json_pack("{s:s, s:o, s:o}", "feature", e->d->feature_names[j], "permutation",
                            json_number_or_null(w[0]), "range", evaluation_pair(w[1], w[2]));
    if (json_array_append_new(list, one) != 0) status = fail_memory(err, 128);
    if (status == GARAM_OK && i < DEPENDENCES) status = depend(f, j, curves, err);
  }
  evaluation_put(e, e->detail, "influence",
                 json_pack("{s:s, s:o, s:I, s:i, s:I, s:O, s:O}", "loss", loss_name(e), "base",
                           json_number_or_null(base), "rows", (json_int_t)f->n, "repeats",
                           e->config->importance, "block", (json_int_t)e->block, "features", list,
                           "dependence", curves));
  json_decref(list);
  json_decref(curves);
  return status;
}

garam_status evaluate_influence(evaluation *e, garam_error *err) {
  if (e->config->importance <= 0 || e->n < 2) return GARAM_OK;
  influence f = {.e = e, .n = e->n < MOST_ROWS ? e->n : MOST_ROWS};
  double base;
  garam_status status;
  f.first = e->n - f.n;
  f.rows = e->rows + f.first;
  f.k = (size_t)pipeline_n_outputs(e->p);
  f.context = e->p->context;
  f.width = e->d->n_features;
  size_t cells = BATCH * f.context * f.width;
  f.x = mem_array(2 * cells + 1, sizeof *f.x);
  f.begin = mem_array(BATCH, sizeof *f.begin);
  f.out = mem_array(f.n * f.k, sizeof *f.out);
  f.from = mem_array(f.n, sizeof *f.from);
  f.worth = mem_array(3 * f.width, sizeof *f.worth);
  f.order = mem_array(f.width, sizeof *f.order);
  f.sorted = mem_array(f.n, sizeof *f.sorted);
  if (!f.x || !f.begin || !f.out || !f.from || !f.worth || !f.order || !f.sorted) {
    status = fail_memory(err, cells * sizeof *f.x);
    goto done;
  }
  f.other = f.x + cells;
  TRY_GOTO(done, measure(&f, &base, err));
  status = put(&f, base, err);
done:
  mem_free(f.x);
  mem_free(f.begin);
  mem_free(f.out);
  mem_free(f.from);
  mem_free(f.worth);
  mem_free(f.order);
  mem_free(f.sorted);
  return status;
}
