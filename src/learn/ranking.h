/* Ranking: rows that compete with each other form a query (dataset.group), and what counts is the
 * order of their scores. Normalised discounted cumulative gain (Jarvelin & Kekalainen 2002): the
 * gain of a grade l is 2^l - 1, the discount of place i, from 0, 1 / log2(i + 2). */
#ifndef LEARN_RANKING_H
#define LEARN_RANKING_H

#include "learn/dataset.h"

enum { RANKING_MOST_GRADE = 30 };

/* The rows of a set, query by query in order of their codes, ascending within each. */
typedef struct ranking_queries {
  size_t n;       /* queries with a row in the set */
  uint32_t *rows; /* (rows of the set) */
  size_t *begin;  /* (n + 1) */
  size_t longest;
} ranking_queries;
garam_status ranking_queries_init(ranking_queries *out, const dataset *d, row_set rows,
                                  garam_error *err);
void ranking_queries_deinit(ranking_queries *q);

bool ranking_is_grade(float value); /* a whole number from 0 to RANKING_MOST_GRADE */
double ranking_gain(float grade);
double ranking_discount(size_t place);
/* The best DCG of n grades at `at`; order (n) is scratch. */
double ranking_best_dcg(const float *grade, size_t n, size_t at, uint32_t *order);
/* NDCG at `at` of one query; equal scores share their places, so that the order of the rows says
 * nothing. 1 when no grade is above 0. order (n) is scratch. */
double ranking_ndcg(const float *score, const float *grade, size_t n, size_t at, uint32_t *order);
/* 0..n-1 by falling score; equal ones as they stand. */
void ranking_order(uint32_t *order, const float *score, size_t n);

#endif
