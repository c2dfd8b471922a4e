/* Queries of a row set, and the gain of an order. */
#include "learn/ranking.h"

#include "base/mem.h"

#include <math.h>

garam_status ranking_queries_init(ranking_queries *out, const dataset *d, row_set rows,
                                  garam_error *err) {
  REQUIRE(d->group, "ranking: rows without queries");
  *out = (ranking_queries){0};
  size_t codes = 0;
  for (size_t i = 0; i < rows.n; i++)
    if (d->group[rows.rows[i]] >= codes) codes = d->group[rows.rows[i]] + (size_t)1;
  size_t *at = mem_array(codes + 2, sizeof *at);
  out->rows = mem_array(rows.n + 1, sizeof *out->rows);
  out->begin = mem_array(codes + 1, sizeof *out->begin);
  if (!at || !out->rows || !out->begin) {
    mem_free(at);
    ranking_queries_deinit(out);
    return fail_memory(err, (codes + rows.n) * sizeof *at);
  }
  for (size_t i = 0; i < rows.n; i++) at[d->group[rows.rows[i]] + 1]++;
  for (size_t c = 0; c < codes; c++) {
    size_t n = at[c + 1];
    if (n > out->longest) out->longest = n;
    at[c + 1] += at[c];
    if (n > 0) out->begin[out->n++] = at[c];
  }
  out->begin[out->n] = rows.n;
  for (size_t i = 0; i < rows.n; i++) out->rows[at[d->group[rows.rows[i]]]++] = rows.rows[i];
  mem_free(at);
  return GARAM_OK;
}

void ranking_queries_deinit(ranking_queries *q) {
  mem_free(q->rows);
  mem_free(q->begin);
  *q = (ranking_queries){0};
}

bool ranking_is_grade(float v) {
  return v >= 0 && v <= RANKING_MOST_GRADE && v == floorf(v);
}

double ranking_gain(float grade) {
  return ldexp(1, (int)grade) - 1;
}

double ranking_discount(size_t place) {
  return 1 / log2((double)place + 2);
}

static bool before(const float *score, uint32_t a, uint32_t b) {
  return score[a] > score[b] || (score[a] == score[b] && a < b);
}

/* Heap sort: no memory, and the order is total, so that it is the only one. */
void ranking_order(uint32_t *order, const float *score, size_t n) {
  for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
  for (size_t start = n / 2, end = n; end > 1;) {
    uint32_t moved;
    if (start > 0) {
      moved = order[--start];
    } else {
      moved = order[--end];
      order[end] = order[0];
    }
    size_t at = start;
    for (size_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
      if (child + 1 < end && before(score, order[child], order[child + 1])) child++;
      if (!before(score, moved, order[child])) break;
      order[at] = order[child];
      at = child;
    }
    order[at] = moved;
  }
}

double ranking_best_dcg(const float *grade, size_t n, size_t at, uint32_t *order) {
  double sum = 0;
  ranking_order(order, grade, n);
  for (size_t i = 0; i < n && i < at; i++)
    sum += ranking_gain(grade[order[i]]) * ranking_discount(i);
  return sum;
}

double ranking_ndcg(const float *score, const float *grade, size_t n, size_t at, uint32_t *order) {
  double best = ranking_best_dcg(grade, n, at, order), sum = 0;
  if (!(best > 0)) return 1;
  ranking_order(order, score, n);
  for (size_t i = 0; i < n && i < at;) {
    size_t end = i;
    double gain = 0, discount = 0;
    for (; end < n && score[order[end]] == score[order[i]]; end++) {
      gain += ranking_gain(grade[order[end]]);
      if (end < at) discount += ranking_discount(end);
    }
    sum += gain / (double)(end - i) * discount;
    i = end > i ? end : i + 1; /* a score that is not a number equals nothing */
  }
  return sum / best;
}
