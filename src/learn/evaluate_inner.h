/* The inside of an evaluation, for the files evaluate*.c only. */
#ifndef LEARN_EVALUATE_INNER_H
#define LEARN_EVALUATE_INNER_H

#include "learn/pipeline_inner.h"

typedef struct evaluation {
  pipeline *p;
  const evaluate_config *config;
  const table *t; /* repaired as the training table was */
  dataset *d;
  bars *b;   /* market, else NULL */
  labels *l; /* market, else NULL */
  int k;     /* classes; 0: values */

  uint32_t *rows; /* scored */
  size_t n;
  uint32_t *fresh; /* labelled rows that fitting has not seen: outcomes to go on learning from */
  size_t n_fresh;
  float *out;       /* (n, K) probabilities, or (n) values */
  int32_t *y, *top; /* (n) truth and call; classes only */
  float *value;     /* (n) truth; values only */
  float *bounds;    /* (n, 2) of a learner with intervals of its own, else NULL */
  float *weight;    /* (n) or NULL */
  size_t block;     /* of the bootstrap */

  json_t *result, *detail;
  bool no_memory; /* a value could not be put into them */
} evaluation;

/* Takes the value in any case; NULL is remembered as lack of memory. */
void evaluation_put(evaluation *e, json_t *object, const char *key, json_t *value);
json_t *evaluation_pair(double low, double high); /* [low, high]; null where not finite */

garam_status evaluate_baselines(evaluation *e, garam_error *err); /* evaluate_baseline.c */
garam_status evaluate_backtest(evaluation *e, garam_error *err);  /* evaluate_backtest.c */
garam_status evaluate_scores(evaluation *e, garam_error *err);    /* evaluate_score.c */
garam_status evaluate_conformal(evaluation *e, garam_error *err); /* evaluate_conformal.c */
garam_status evaluate_ranking(evaluation *e, garam_error *err);   /* evaluate_ranking.c */
garam_status evaluate_influence(evaluation *e, garam_error *err); /* evaluate_influence.c */
/* evaluate_stream.c: fills e->out in a walk through time, and puts the parts beside the whole. */
garam_status evaluate_stream(evaluation *e, garam_error *err);
/* What out (n, K), or (n) values, would have earned. */
garam_status evaluate_money(backtest_report *out, const evaluation *e, const float *predictions,
                            garam_error *err);

#endif
