/* Dynamic selection measured: see des_study.h. */
#include "ensemble/des_study.h"

#include "base/mem.h"
#include "base/rng.h"
#include "ensemble/des.h"
#include "learn/calibrate.h"
#include "learn/linear.h"
#include "learn/scaler.h"

#include <stdlib.h>
#include <string.h>

const opt_row des_study_options[] = {
    {"members", OPT_INT, OPT_AT(des_study_config, members), .def = 100, .min = 1, .max = 10000,
     .help = "logistic models, each of a bootstrap sample of the first table"},
    {"neighbours", OPT_INT, OPT_AT(des_study_config, neighbours), .def = 7, .min = 1,
     .max = DES_MOST_NEIGHBOURS, .unit = "rows", .help = "rows in the region of competence"},
};
const size_t des_study_n_options = COUNT_OF(des_study_options);

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static float *scaled(const scaler *s, const dataset *d) {
  float *x = mem_array(d->n_rows * d->n_features + 1, sizeof *x);
  if (x) scaler_apply(s, x, d->x, d->n_rows);
  return x;
}

/* score (rows, members, k): what member m says of every row. */
static garam_status say(float *score, learner *l, const float *x, size_t n, size_t width, size_t m,
                        size_t members, size_t k, garam_error *err) {
  for (size_t i = 0; i < n; i++) {
    float *to = score + (i * members + m) * k;
    TRY(linear_ops.predict(l, x + i * width, NULL, 1, to, err));
    calibrate_softmax(to, 1, (int)k, 1);
  }
  return GARAM_OK;
}

static bool is_right(const float *p, size_t k, int32_t y) {
  size_t top = 0;
  for (size_t c = 1; c < k; c++)
    if (p[c] > p[top]) top = c;
  return (int32_t)top == y;
}

static garam_status score_methods(des_study_result *out, const float *x, const float *x_test,
                                  const float *said, const float *said_test, const dataset *valid,
                                  const dataset *test, size_t members, int neighbours,
                                  garam_error *err) {
  size_t k = (size_t)valid->n_classes, width = valid->n_features;
  double *w = mem_array(members, sizeof *w);
  float *odds = mem_array(k, sizeof *odds);
  garam_status status = w && odds ? GARAM_OK : fail_memory(err, members * sizeof *w);
  for (int method = 0; method < DES_STUDY_METHODS && status == GARAM_OK; method++) {
    des d;
    des_config c = {.method = method, .neighbours = neighbours, .profiles = 5};
    status = des_fit(&d, &c, x, said, valid->y, NULL, valid->n_rows, width, members, k, err);
    if (status != GARAM_OK) break;
    for (size_t i = 0; i < test->n_rows; i++) {
      des_weights(&d, w, x_test + i * width, said_test + i * members * k);
      for (int vote = 0; vote < 2; vote++) {
        d.config.vote = vote;
        des_answer(&d, odds, w, said_test + i * members * k);
        (vote ? out->method : out->soft)[method] +=
            is_right(odds, k, test->y[i]) / (double)test->n_rows;
      }
    }
    des_deinit(&d);
  }
  mem_free(w);
  mem_free(odds);
  return status;
}

/* The best by the second table, the most votes, and whether anybody is right. */
static garam_status score_static(des_study_result *out, const float *said, const float *said_test,
                                 const dataset *valid, const dataset *test, size_t members,
                                 garam_error *err) {
  size_t k = (size_t)valid->n_classes, best = 0, most = 0;
  float *votes = mem_array(k, sizeof *votes);
  if (!votes) return fail_memory(err, k * sizeof *votes);
  for (size_t m = 0; m < members; m++) {
    size_t right = 0;
    for (size_t i = 0; i < valid->n_rows; i++)
      right += is_right(said + (i * members + m) * k, k, valid->y[i]);
    if (right > most) most = right, best = m;
  }
  for (size_t i = 0; i < test->n_rows; i++) {
    bool anybody = false;
    double share = 1 / (double)test->n_rows;
    memset(votes, 0, k * sizeof *votes);
    for (size_t m = 0; m < members; m++) {
      const float *p = said_test + (i * members + m) * k;
      anybody = anybody || is_right(p, k, test->y[i]);
      for (size_t c = 0; c < k; c++) votes[c] += is_right(p, k, (int32_t)c);
      if (m == best) out->single_best += share * is_right(p, k, test->y[i]);
    }
    out->majority += share * is_right(votes, k, test->y[i]);
    out->oracle += share * anybody;
  }
  mem_free(votes);
  return GARAM_OK;
}

garam_status des_study(des_study_result *out, const dataset *train, const dataset *valid,
                       const dataset *test, const des_study_config *config, uint64_t seed,
                       garam_error *err) {
  size_t n = train->n_rows, width = train->n_features, k = (size_t)train->n_classes;
  size_t members = (size_t)config->members;
  *out = (des_study_result){0};
  if (k < 2 || !train->y || valid->n_rows == 0 || test->n_rows == 0)
    return fail(err, GARAM_INVALID, "dynamic selection is measured on classes, and on rows");
  scaler s = {0};
  dataset view = *train;
  linear_config c;
  learner_shape shape = {train->task, width, train->n_classes};
  uint32_t *all = mem_array(n, sizeof *all), *rows = mem_array(n, sizeof *rows);
  float *said = mem_array(valid->n_rows * members * k, sizeof *said);
  float *said_test = mem_array(test->n_rows * members * k, sizeof *said_test);
  float *x = NULL, *x_valid = NULL, *x_test = NULL;
  garam_status status;
  if (!all || !rows || !said || !said_test) {
    status = fail_memory(err, valid->n_rows * members * k * sizeof *said);
    goto done;
  }
  for (size_t i = 0; i < n; i++) all[i] = (uint32_t)i;
  TRY_GOTO(done, scaler_fit(&s, SCALER_STANDARD, 0, train, (row_set){all, n}, err));
  x = scaled(&s, train), x_valid = scaled(&s, valid), x_test = scaled(&s, test);
  if (!x || !x_valid || !x_test) {
    status = fail_memory(err, n * width * sizeof *x);
    goto done;
  }
  view.x = x;
  opt_defaults(linear_ops.options, linear_ops.n_options, &c);
  c.l2 = 2 / (double)n; /* as 1/2 |w|^2 beside a sum of losses has it, the two classes' as one */
  for (size_t m = 0; m < members; m++) {
    learner *l;
    fit_summary summary;
    rng r;
    rng_init(&r, seed, RNG_BOOTSTRAP, m);
    for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)rng_below(&r, n);
    qsort(rows, n, sizeof *rows, compare_u32);
    TRY_GOTO(done, linear_ops.create(&l, &c, &shape, err));
    status = linear_ops.fit(l, &view, (row_set){rows, n}, (row_set){0}, NULL, &summary, err);
    if (status == GARAM_OK) fit_summary_deinit(&summary);
    if (status == GARAM_OK)
      status = say(said, l, x_valid, valid->n_rows, width, m, members, k, err);
    if (status == GARAM_OK)
      status = say(said_test, l, x_test, test->n_rows, width, m, members, k, err);
    linear_ops.destroy(l);
    if (status != GARAM_OK) goto done;
  }
  TRY_GOTO(done, score_static(out, said, said_test, valid, test, members, err));
  status = score_methods(out, x_valid, x_test, said, said_test, valid, test, members,
                         config->neighbours, err);
done:
  scaler_deinit(&s);
  mem_free(all);
  mem_free(rows);
  mem_free(said);
  mem_free(said_test);
  mem_free(x);
  mem_free(x_valid);
  mem_free(x_test);
  return status;
}
