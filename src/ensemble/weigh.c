/* Weights of members: see weigh.h. The loss of a pool reads one number of a member for a row: the
 * probability that it gave to the class that came, or its value. That matrix is all there is. */
#include "ensemble/weigh.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "ensemble/score.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const weigh_names[] = {"uniform", "loss", "greedy", "convex", NULL};

enum { MOST_STEPS = 2000 };

typedef struct problem {
  bool classes;
  size_t n_members, n_rows;
  double *q;     /* (n_members, n_rows) probability of what came, or the error of the value */
  double *share; /* (n_rows) sums to 1 */
  double *pool;  /* (n_rows) of the members taken so far, not divided */
  double *loss;  /* (n_members) scratch */
  size_t taken;
  const uint8_t *in_bag; /* (n_members) */
} problem;

static void problem_deinit(problem *p) {
  mem_free(p->q);
  mem_free(p->share);
  mem_free(p->pool);
  mem_free(p->loss);
}

static garam_status problem_init(problem *p, const float *const *predictions, size_t n_members,
                                 const dataset *d, row_set rows, size_t k, garam_error *err) {
  *p = (problem){.classes = k > 1, .n_members = n_members, .n_rows = rows.n};
  size_t size;
  if (!size_mul(&size, n_members, rows.n)) return fail_memory(err, SIZE_MAX);
  p->q = mem_array(size, sizeof *p->q);
  p->share = mem_array(rows.n + 1, sizeof *p->share);
  p->pool = mem_array(rows.n + 1, sizeof *p->pool);
  p->loss = mem_array(n_members, sizeof *p->loss);
  if (!p->q || !p->share || !p->pool || !p->loss) {
    problem_deinit(p);
    return fail_memory(err, size * sizeof *p->q);
  }
  double total = 0;
  for (size_t i = 0; i < rows.n; i++)
    total += p->share[i] = d->weight ? (double)d->weight[rows.rows[i]] : 1;
  for (size_t i = 0; i < rows.n; i++) p->share[i] /= total > 0 ? total : 1;
  for (size_t m = 0; m < n_members; m++)
    for (size_t i = 0; i < rows.n; i++) {
      const float *one = predictions[m] + i * k;
      size_t row = rows.rows[i];
      p->q[m * rows.n + i] =
          p->classes ? exp((double)one[d->y[row]]) : (double)one[0] - (double)d->value[row];
    }
  return GARAM_OK;
}

static double row_loss(const problem *p, double q) {
  return p->classes ? -log(q > SCORE_LEAST ? q : SCORE_LEAST) : q * q;
}

/* Losses of the pool with each member added to it. */
static void try_members(void *context, size_t begin, size_t end) {
  problem *p = context;
  double parts = (double)p->taken + 1;
  for (size_t m = begin; m < end; m++) {
    const double *q = p->q + m * p->n_rows;
    double sum = 0;
    if (p->in_bag && !p->in_bag[m]) continue;
    for (size_t i = 0; i < p->n_rows; i++)
      sum += p->share[i] * row_loss(p, (p->pool[i] + q[i]) / parts);
    p->loss[m] = sum;
  }
}

/* Members one by one, always the one that leaves the least loss, and of all the pools on the way
 * the best one: the loss may rise before it falls. counts: (2, n_members), now and of the best. */
static void greedy_bag(double *out, problem *p, int rounds, size_t *counts) {
  size_t n = p->n_members, *best_counts = counts + n, best_taken = 0;
  double best_loss = INFINITY;
  memset(counts, 0, 2 * n * sizeof *counts);
  memset(p->pool, 0, p->n_rows * sizeof *p->pool);
  for (p->taken = 0; p->taken < (size_t)rounds;) {
    size_t best = n;
    thread_for(n, 1, try_members, p);
    for (size_t m = 0; m < n; m++)
      if ((!p->in_bag || p->in_bag[m]) && (best == n || p->loss[m] < p->loss[best])) best = m;
    for (size_t i = 0; i < p->n_rows; i++) p->pool[i] += p->q[best * p->n_rows + i];
    counts[best]++;
    p->taken++;
    if (!(p->loss[best] < best_loss)) continue;
    best_loss = p->loss[best];
    best_taken = p->taken;
    memcpy(best_counts, counts, n * sizeof *counts);
  }
  for (size_t m = 0; m < n && best_taken; m++)
    out[m] += (double)best_counts[m] / (double)best_taken;
}

static garam_status greedy(double *out, problem *p, const weigh_config *c, garam_error *err) {
  size_t *counts = mem_array(2 * p->n_members, sizeof *counts);
  uint8_t *in_bag = mem_array(p->n_members, 1);
  if (!counts || !in_bag) {
    mem_free(counts);
    mem_free(in_bag);
    return fail_memory(err, p->n_members * sizeof *counts);
  }
  for (int bag = 0; bag < c->bags; bag++) {
    rng r;
    rng_init(&r, c->seed, RNG_BOOTSTRAP, (uint64_t)bag);
    size_t there = 0;
    for (size_t m = 0; m < p->n_members; m++)
      there += in_bag[m] = c->bags == 1 || rng_uniform(&r) < 0.5;
    if (there == 0) in_bag[rng_below(&r, p->n_members)] = 1;
    p->in_bag = in_bag;
    greedy_bag(out, p, c->rounds, counts);
  }
  p->in_bag = NULL;
  mem_free(counts);
  mem_free(in_bag);
  return GARAM_OK;
}

/* How the loss of the pool w + move x (low - high) falls at `move`: the mean of
 * (q_low - q_high) / pool. It falls with the move: the loss is convex. */
static double fall_at(const problem *p, size_t low, size_t high, double move) {
  const double *a = p->q + low * p->n_rows, *b = p->q + high * p->n_rows;
  double sum = 0;
  for (size_t i = 0; i < p->n_rows; i++) {
    double q = p->pool[i] + move * (a[i] - b[i]);
    sum += p->share[i] * (a[i] - b[i]) / (q > SCORE_LEAST ? q : SCORE_LEAST);
  }
  return sum;
}

/* Least log loss of a mixture. Steps of expectation-maximisation come near; then weight goes from
 * the member that helps least to the one that helps most, as far as it pays. */
static void convex_classes(double *w, problem *p) {
  enum { NEAR = 30, HALVINGS = 50 };
  size_t n = p->n_members;
  for (size_t m = 0; m < n; m++) w[m] = 1 / (double)n;
  for (int step = 0; step < MOST_STEPS; step++) {
    size_t low = n, high = n;
    memset(p->pool, 0, p->n_rows * sizeof *p->pool);
    for (size_t m = 0; m < n; m++)
      for (size_t i = 0; i < p->n_rows; i++) p->pool[i] += w[m] * p->q[m * p->n_rows + i];
    for (size_t m = 0; m < n; m++) { /* what a member adds; 1 for all in use at the end */
      double gain = 0;
      for (size_t i = 0; i < p->n_rows; i++)
        gain += p->share[i] * p->q[m * p->n_rows + i] / fmax(p->pool[i], SCORE_LEAST);
      p->loss[m] = gain;
      if (low == n || gain > p->loss[low]) low = m;
      if (w[m] > 0 && (high == n || gain < p->loss[high])) high = m;
    }
    if (low == high || !(p->loss[low] - p->loss[high] > 1e-10)) break;
    if (step < NEAR) {
      double total = 0;
      for (size_t m = 0; m < n; m++) total += w[m] *= p->loss[m];
      for (size_t m = 0; m < n; m++) w[m] /= total;
      continue;
    }
    double from = 0, to = w[high];
    if (fall_at(p, low, high, to) < 0)
      for (int i = 0; i < HALVINGS; i++) {
        double middle = (from + to) / 2;
        if (fall_at(p, low, high, middle) > 0) from = middle;
        else to = middle;
      }
    w[low] += to;
    w[high] = to == w[high] ? 0 : w[high] - to;
  }
}

/* Least w'Gw on the simplex, G the mean products of errors: weight goes from the member with the
 * steepest slope to the one with the least, as far as it pays (Platt's SMO for this problem). */
static garam_status convex_values(double *w, problem *p, garam_error *err) {
  size_t n = p->n_members;
  double *g = mem_array(n * n, sizeof *g);
  if (!g) return fail_memory(err, n * n * sizeof *g);
  for (size_t a = 0; a < n; a++)
    for (size_t b = a; b < n; b++) {
      double sum = 0;
      for (size_t i = 0; i < p->n_rows; i++)
        sum += p->share[i] * p->q[a * p->n_rows + i] * p->q[b * p->n_rows + i];
      g[a * n + b] = g[b * n + a] = sum;
    }
  for (size_t m = 0; m < n; m++) w[m] = 1 / (double)n;
  for (size_t step = 0; step < (size_t)MOST_STEPS * n; step++) {
    size_t low = n, high = n;
    for (size_t m = 0; m < n; m++) {
      double slope = 0;
      for (size_t b = 0; b < n; b++) slope += g[m * n + b] * w[b];
      p->loss[m] = slope;
      if (low == n || slope < p->loss[low]) low = m;
      if (w[m] > 0 && (high == n || slope > p->loss[high])) high = m;
    }
    double gap = p->loss[high] - p->loss[low];
    double bend = g[low * n + low] + g[high * n + high] - 2 * g[low * n + high];
    if (low == high || !(gap > 1e-12 * fabs(p->loss[high]))) break;
    double move = bend > 0 ? gap / bend : w[high];
    if (move >= w[high]) move = w[high];
    w[low] += move;
    w[high] = move == w[high] ? 0 : w[high] - move;
  }
  mem_free(g);
  return GARAM_OK;
}

static void by_loss(double *out, const problem *p) {
  for (size_t m = 0; m < p->n_members; m++) {
    double sum = 0;
    for (size_t i = 0; i < p->n_rows; i++)
      sum += p->share[i] * row_loss(p, p->q[m * p->n_rows + i]);
    out[m] = 1 / fmax(sum, 1e-12);
  }
}

garam_status weigh(double *out, weigh_kind kind, const weigh_config *config,
                   const float *const *predictions, size_t n_members, const dataset *d,
                   row_set rows, size_t k, garam_error *err) {
  for (size_t m = 0; m < n_members; m++) out[m] = kind == WEIGH_UNIFORM || rows.n == 0;
  if (kind != WEIGH_UNIFORM && rows.n > 0) {
    problem p;
    garam_status status = GARAM_OK;
    TRY(problem_init(&p, predictions, n_members, d, rows, k, err));
    if (kind == WEIGH_LOSS) by_loss(out, &p);
    else if (kind == WEIGH_GREEDY) status = greedy(out, &p, config, err);
    else if (p.classes) convex_classes(out, &p);
    else status = convex_values(out, &p, err);
    problem_deinit(&p);
    TRY(status);
  }
  double total = 0;
  for (size_t m = 0; m < n_members; m++) total += out[m];
  if (!(total > 0) || !isfinite(total))
    return fail(err, GARAM_NUMERIC, "the predictions of the members are not finite numbers");
  for (size_t m = 0; m < n_members; m++) out[m] /= total;
  return GARAM_OK;
}

garam_status weigh_load(double *out, size_t n, const package_reader *r, const char *prefix,
                        garam_error *err) {
  char name[128];
  const package_tensor *t;
  int64_t dims = (int64_t)n;
  snprintf(name, sizeof name, "%sweights", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F64, 1, &dims, err));
  memcpy(out, t->data, t->bytes);
  for (size_t i = 0; i < n; i++)
    if (out[i] < 0 || out[i] > 1)
      return fail(err, GARAM_CORRUPT, "%s: %s: weight %zu is %g, outside 0 to 1", package_name(r),
                  name, i, out[i]);
  return GARAM_OK;
}
