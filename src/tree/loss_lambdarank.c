/* Ranking: LambdaRank (Burges, From RankNet to LambdaRank to LambdaMART, 2010): the gradient of a
 * pair of rows of one query, by how much NDCG would change if they changed places. As LightGBM has
 * it: pairs with one of the first 30 places, lambdas normalised by the distance of the scores and
 * by the query. The loss that is watched is 1 - NDCG@10. */
#include "base/mem.h"
#include "base/thread.h"
#include "learn/ranking.h"
#include "tree/loss.h"

#include <math.h>
#include <string.h>

enum { TRUNCATION = 30, WATCHED = 10, QUERIES_A_CHUNK = 8 };

typedef struct scratch { /* one query, on one thread */
  float *score, *grade;
  double *gradient, *hessian;
  uint32_t *order;
} scratch;

typedef struct ranks {
  const uint32_t *rows; /* of the set: which it is */
  ranking_queries queries;
  double *best;   /* (queries) the inverse of the best DCG at the truncation; 0: all grades are 0 */
  double *weight; /* (queries) mean of their rows' */
  double *loss;   /* (queries) */
} ranks;

typedef struct lambda_state {
  ranks set[2]; /* training, validation */
  size_t longest, room;
  char *memory; /* (threads, room) */
} lambda_state;

static scratch scratch_of(const lambda_state *s) {
  char *at = s->memory + (size_t)thread_index() * s->room;
  scratch x = {.gradient = (double *)(void *)at};
  x.hessian = x.gradient + s->longest;
  x.score = (float *)(void *)(x.hessian + s->longest);
  x.grade = x.score + s->longest;
  x.order = (uint32_t *)(void *)(x.grade + s->longest);
  return x;
}

static const ranks *ranks_of(const loss *l, row_set rows) {
  const lambda_state *s = l->state;
  for (size_t i = 0; i < COUNT_OF(s->set); i++)
    if (s->set[i].rows == rows.rows) return &s->set[i];
  REQUIRE(false, "lambdarank: rows that were not prepared");
  return NULL;
}

static size_t load(scratch *x, const loss *l, const ranks *r, const float *score, size_t q) {
  size_t begin = r->queries.begin[q], n = r->queries.begin[q + 1] - begin;
  for (size_t i = 0; i < n; i++) {
    uint32_t row = r->queries.rows[begin + i];
    x->grade[i] = l->d->value[row];
    if (score) x->score[i] = score[row];
  }
  return n;
}

static garam_status ranks_init(ranks *r, const loss *l, row_set rows, garam_error *err) {
  const dataset *d = l->d;
  r->rows = rows.rows;
  TRY(ranking_queries_init(&r->queries, d, rows, err));
  size_t n = r->queries.n;
  r->best = mem_array(3 * n + 1, sizeof *r->best);
  if (!r->best) return fail_memory(err, 3 * n * sizeof *r->best);
  r->weight = r->best + n;
  r->loss = r->weight + n;
  for (size_t q = 0; q < n; q++) {
    size_t begin = r->queries.begin[q], end = r->queries.begin[q + 1];
    double sum = 0;
    for (size_t i = begin; i < end; i++)
      sum += l->weight ? (double)l->weight[r->queries.rows[i]] : 1;
    r->weight[q] = sum / (double)(end - begin);
  }
  return GARAM_OK;
}

static void deinit(loss *l) {
  lambda_state *s = l->state;
  if (!s) return;
  for (size_t i = 0; i < COUNT_OF(s->set); i++) {
    ranking_queries_deinit(&s->set[i].queries);
    mem_free(s->set[i].best);
  }
  mem_free(s->memory);
  mem_free(s);
  l->state = NULL;
}

static garam_status prepare(loss *l, row_set train, row_set valid, garam_error *err) {
  const dataset *d = l->d;
  if (!d->group)
    return fail(err, GARAM_INVALID, "--loss lambdarank needs the query of each row: --group");
  for (size_t i = 0; i < train.n + valid.n; i++) {
    float v = d->value[i < train.n ? train.rows[i] : valid.rows[i - train.n]];
    if (!ranking_is_grade(v))
      return fail(err, GARAM_INVALID, "a grade of %g; expected whole numbers from 0 to %d",
                  (double)v, RANKING_MOST_GRADE);
  }
  lambda_state *s = l->state = mem_zalloc(sizeof *s);
  if (!s) return fail_memory(err, sizeof *s);
  TRY(ranks_init(&s->set[0], l, train, err));
  TRY(ranks_init(&s->set[1], l, valid, err));
  s->longest = s->set[0].queries.longest;
  if (s->set[1].queries.longest > s->longest) s->longest = s->set[1].queries.longest;
  size_t threads = (size_t)thread_available();
  if ((size_t)thread_count() > threads) threads = (size_t)thread_count();
  s->room = s->longest * (2 * sizeof(double) + 2 * sizeof(float) + sizeof(uint32_t));
  s->room = (s->room / 64 + 1) * 64;
  s->memory = mem_array(threads, s->room);
  if (!s->memory) return fail_memory(err, threads * s->room);
  ranks *r = &s->set[0];
  for (size_t q = 0; q < r->queries.n; q++) {
    scratch x = scratch_of(s);
    size_t n = load(&x, l, r, NULL, q);
    double best = ranking_best_dcg(x.grade, n, TRUNCATION, x.order);
    r->best[q] = best > 0 ? 1 / best : 0;
  }
  return GARAM_OK;
}

/* Lambdas of one query, without weights. */
static void query_lambdas(scratch *x, size_t n, double inverse_best) {
  memset(x->gradient, 0, n * sizeof *x->gradient);
  memset(x->hessian, 0, n * sizeof *x->hessian);
  if (inverse_best == 0 || n < 2) return;
  ranking_order(x->order, x->score, n);
  bool spread = x->score[x->order[0]] != x->score[x->order[n - 1]];
  double sum = 0;
  for (size_t i = 0; i < n && i < TRUNCATION; i++)
    for (size_t j = i + 1; j < n; j++) {
      uint32_t a = x->order[i], b = x->order[j]; /* a stands in front of b */
      if (x->grade[a] == x->grade[b]) continue;
      uint32_t high = x->grade[a] > x->grade[b] ? a : b, low = high == a ? b : a;
      double distance = (double)x->score[high] - (double)x->score[low];
      double change = (ranking_gain(x->grade[high]) - ranking_gain(x->grade[low])) *
                      (ranking_discount(i) - ranking_discount(j)) * inverse_best;
      if (spread) change /= 0.01 + fabs(distance);
      double p = 1 / (1 + exp(distance)), lambda = p * change, curve = p * (1 - p) * change;
      x->gradient[high] -= lambda;
      x->gradient[low] += lambda;
      x->hessian[high] += curve;
      x->hessian[low] += curve;
      sum += 2 * lambda;
    }
  if (!(sum > 0)) return;
  double norm = log2(1 + sum) / sum;
  for (size_t i = 0; i < n; i++) {
    x->gradient[i] *= norm;
    x->hessian[i] *= norm;
  }
}

typedef struct walk {
  const loss *l;
  const ranks *r;
  const float *score;
  float *gh; /* NULL: losses */
} walk;

static void walk_queries(void *context, size_t begin, size_t end) {
  const walk *w = context;
  const loss *l = w->l;
  scratch x = scratch_of(l->state);
  for (size_t q = begin; q < end; q++) {
    size_t n = load(&x, l, w->r, w->score, q);
    if (!w->gh) {
      w->r->loss[q] = 1 - ranking_ndcg(x.score, x.grade, n, WATCHED, x.order);
      continue;
    }
    query_lambdas(&x, n, w->r->best[q]);
    for (size_t i = 0; i < n; i++) {
      uint32_t row = w->r->queries.rows[w->r->queries.begin[q] + i];
      double weight = l->weight ? (double)l->weight[row] : 1;
      w->gh[2 * (size_t)row] = (float)(x.gradient[i] * weight);
      w->gh[2 * (size_t)row + 1] = (float)(x.hessian[i] * weight);
    }
  }
}

static void all_gradients(const loss *l, float *gh, const float *score, row_set rows) {
  walk w = {l, ranks_of(l, rows), score, gh};
  thread_for(w.r->queries.n, QUERIES_A_CHUNK, walk_queries, &w);
}

static double all_losses(const loss *l, const float *score, row_set rows) {
  walk w = {l, ranks_of(l, rows), score, NULL};
  double sum = 0, all = 0;
  thread_for(w.r->queries.n, QUERIES_A_CHUNK, walk_queries, &w);
  for (size_t q = 0; q < w.r->queries.n; q++) {
    sum += w.r->weight[q] * w.r->loss[q];
    all += w.r->weight[q];
  }
  return sum / all;
}

const loss_ops loss_lambdarank = {
    .name = "lambdarank",
    .summary = "order within queries: NDCG by LambdaRank",
    .tasks = 1u << TASK_RANKING,
    .prepare = prepare,
    .deinit = deinit,
    .all_gradients = all_gradients,
    .all_losses = all_losses,
};
