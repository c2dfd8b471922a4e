/* Scores of a ranking: NDCG, the mean over queries, beside that of a random order. */
#include "learn/evaluate_inner.h"

#include "base/mem.h"
#include "learn/ranking.h"

#include <math.h>
#include <stdio.h>

static const size_t places[] = {1, 3, 5, 10};
enum { PLACES = 4 };

typedef struct room {
  ranking_queries queries;
  float *score, *grade; /* (longest) */
  uint32_t *order;      /* (longest) */
  double *weight, *of;  /* (queries); NDCG of each at the headline's place */
  uint32_t *at;         /* (n_rows) place of a row among the scored ones */
} room;

static garam_status room_init(room *r, const evaluation *e, garam_error *err) {
  TRY(ranking_queries_init(&r->queries, e->d, (row_set){e->rows, e->n}, err));
  size_t longest = r->queries.longest, n = r->queries.n;
  r->score = mem_array(2 * longest + 1, sizeof *r->score);
  r->order = mem_array(longest + 1, sizeof *r->order);
  r->weight = mem_array(2 * n + 1, sizeof *r->weight);
  r->at = mem_array(e->d->n_rows + 1, sizeof *r->at);
  if (!r->score || !r->order || !r->weight || !r->at)
    return fail_memory(err, (longest + n + e->n) * sizeof *r->weight);
  r->grade = r->score + longest;
  r->of = r->weight + n;
  for (size_t i = 0; i < e->n; i++) r->at[e->rows[i]] = (uint32_t)i;
  for (size_t q = 0; q < n; q++) {
    size_t begin = r->queries.begin[q], end = r->queries.begin[q + 1];
    for (size_t i = begin; i < end; i++)
      r->weight[q] +=
          (e->weight ? (double)e->weight[r->at[r->queries.rows[i]]] : 1) / (double)(end - begin);
  }
  return GARAM_OK;
}

static void room_deinit(room *r) {
  ranking_queries_deinit(&r->queries);
  mem_free(r->score);
  mem_free(r->order);
  mem_free(r->weight);
  mem_free(r->at);
}

/* The mean NDCG; scores NULL: that of a random order, by expectation. */
static double ndcg(room *r, const evaluation *e, const float *scores, size_t at) {
  double sum = 0, all = 0;
  for (size_t q = 0; q < r->queries.n; q++) {
    size_t begin = r->queries.begin[q], n = r->queries.begin[q + 1] - begin;
    for (size_t i = 0; i < n; i++) {
      uint32_t place = r->at[r->queries.rows[begin + i]];
      r->grade[i] = e->value[place];
      r->score[i] = scores ? scores[place] : 0;
    }
    r->of[q] = ranking_ndcg(r->score, r->grade, n, at, r->order);
    sum += r->weight[q] * r->of[q];
    all += r->weight[q];
  }
  return sum / all;
}

garam_status evaluate_ranking(evaluation *e, garam_error *err) {
  room r = {0};
  garam_status status;
  json_t *random = json_object(), *baselines = json_object(), *interval = json_object();
  if (!random || !baselines || !interval) {
    status = fail_memory(err, 64);
    goto done;
  }
  TRY_GOTO(done, room_init(&r, e, err));
  for (size_t i = 0; i < PLACES; i++) {
    char key[16];
    snprintf(key, sizeof key, "ndcg_at_%zu", places[i]);
    evaluation_put(e, random, key, json_number_or_null(ndcg(&r, e, NULL, places[i])));
    evaluation_put(e, e->result, key, json_number_or_null(ndcg(&r, e, e->out, places[i])));
  }
  const char *headline = "ndcg_at_10"; /* the last of them: r.of holds its queries */
  evaluation_put(e, random, "ndcg", json_incref(json_object_get(random, headline)));
  evaluation_put(e, e->result, "ndcg", json_incref(json_object_get(e->result, headline)));
  evaluation_put(e, e->result, "queries", json_integer((json_int_t)r.queries.n));
  evaluation_put(e, baselines, "random", json_incref(random));
  evaluation_put(e, e->result, "baselines", json_incref(baselines));
  if (e->config->bootstrap > 0 && !e->weight) {
    double low, high;
    size_t block = e->d->known_at ? (size_t)ceil(cbrt((double)r.queries.n)) : 1;
    metric_block_bootstrap(&low, &high, r.of, r.queries.n, block, e->config->bootstrap,
                           (uint64_t)e->config->seed);
    evaluation_put(e, interval, "ndcg", evaluation_pair(low, high));
    evaluation_put(e, e->result, "interval", json_incref(interval));
  }
done:
  room_deinit(&r);
  json_decref(random);
  json_decref(baselines);
  json_decref(interval);
  return status;
}
