/* Regimes: see hmm.h. */
#include "ensemble/hmm.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_VARIANCE 1e-4 /* of the whole's: a state does not shrink onto one row */
#define LEAST_ODDS 1e-8

/* ln of the density of x in each state, less the constant that all share. */
static void densities(const hmm *h, double *out, const float *x) {
  for (int s = 0; s < h->n_states; s++) {
    double sum = 0;
    for (int d = 0; d < h->n_dims; d++) {
      double off = (double)x[d] - h->mean[s][d];
      sum -= off * off / h->variance[s][d] + log(h->variance[s][d]);
    }
    out[s] = sum / 2;
  }
}

void hmm_begin(const hmm *h, double *odds) {
  for (int s = 0; s < h->n_states; s++) odds[s] = h->start[s];
}

/* odds become those after x; the densities are scaled by their largest. Returns ln p. */
static double weigh(const hmm *h, double *odds, const double *density) {
  double most = density[0], sum = 0;
  for (int s = 1; s < h->n_states; s++) most = density[s] > most ? density[s] : most;
  for (int s = 0; s < h->n_states; s++) sum += odds[s] *= exp(density[s] - most);
  for (int s = 0; s < h->n_states; s++) odds[s] = sum > 0 ? odds[s] / sum : 1.0 / h->n_states;
  return most + log(sum > 0 ? sum : 1e-300) - 0.918938533204672742 * h->n_dims;
}

static void move(const hmm *h, double *odds) {
  double next[HMM_MOST_STATES] = {0};
  for (int i = 0; i < h->n_states; i++)
    for (int j = 0; j < h->n_states; j++) next[j] += odds[i] * h->stay[i][j];
  memcpy(odds, next, (size_t)h->n_states * sizeof *odds);
}

double hmm_step(const hmm *h, double *odds, const float *x, bool first) {
  double density[HMM_MOST_STATES];
  if (!first) move(h, odds);
  densities(h, density, x);
  return weigh(h, odds, density);
}

/* ---- fit ------------------------------------------------------------------------------------- */

typedef struct em {
  const float *x;
  const uint8_t *begins;
  size_t n;
  double *forward, *backward, *density; /* (n, states) */
  double floor[HMM_MOST_DIMS];
} em;

/* Means and variances of the parts that an order of the rows is cut into. */
static void start_from(hmm *h, const em *e, const uint32_t *order) {
  int k = h->n_states;
  for (int s = 0; s < k; s++) {
    size_t from = e->n * (size_t)s / (size_t)k, to = e->n * ((size_t)s + 1) / (size_t)k;
    h->start[s] = 1.0 / k;
    for (int j = 0; j < k; j++) h->stay[s][j] = s == j ? 0.9 : 0.1 / (k - 1);
    if (k == 1) h->stay[0][0] = 1;
    for (int d = 0; d < h->n_dims; d++) {
      double sum = 0, squares = 0, n = (double)(to - from);
      for (size_t i = from; i < to; i++) sum += (double)e->x[order[i] * (size_t)h->n_dims + d];
      for (size_t i = from; i < to; i++) {
        double off = (double)e->x[order[i] * (size_t)h->n_dims + d] - sum / n;
        squares += off * off;
      }
      h->mean[s][d] = sum / n;
      h->variance[s][d] = squares / n > e->floor[d] ? squares / n : e->floor[d];
    }
  }
}

static double expect(const hmm *h, em *e) {
  size_t k = (size_t)h->n_states;
  double total = 0, odds[HMM_MOST_STATES];
  for (size_t t = 0; t < e->n; t++) {
    bool first = t == 0 || (e->begins && e->begins[t]);
    if (first) hmm_begin(h, odds);
    else move(h, odds);
    densities(h, e->density + t * k, e->x + t * (size_t)h->n_dims);
    total += weigh(h, odds, e->density + t * k);
    memcpy(e->forward + t * k, odds, k * sizeof *odds);
  }
  for (size_t t = e->n; t-- > 0;) {
    double *b = e->backward + t * k;
    bool last = t + 1 == e->n || (e->begins && e->begins[t + 1]);
    double sum = 0;
    if (last) {
      for (size_t s = 0; s < k; s++) b[s] = 1.0;
      continue;
    }
    const double *density = e->density + (t + 1) * k, *after = b + k;
    double most = density[0];
    for (size_t s = 1; s < k; s++) most = density[s] > most ? density[s] : most;
    for (size_t i = 0; i < k; i++) {
      b[i] = 0;
      for (size_t j = 0; j < k; j++) b[i] += h->stay[i][j] * exp(density[j] - most) * after[j];
      sum += b[i];
    }
    for (size_t i = 0; i < k; i++) b[i] = sum > 0 ? b[i] / sum : 1;
  }
  return total / (double)e->n;
}

static void maximise(hmm *h, const em *e) {
  size_t k = (size_t)h->n_states, dims = (size_t)h->n_dims;
  hmm next = {.n_states = h->n_states, .n_dims = h->n_dims};
  double weight[HMM_MOST_STATES] = {0}, starts = 0;
  for (size_t t = 0; t < e->n; t++) {
    const double *f = e->forward + t * k, *b = e->backward + t * k;
    double share[HMM_MOST_STATES], sum = 0;
    for (size_t s = 0; s < k; s++) sum += share[s] = f[s] * b[s];
    bool first = t == 0 || (e->begins && e->begins[t]);
    for (size_t s = 0; s < k; s++) {
      share[s] = sum > 0 ? share[s] / sum : 1.0 / (double)k;
      weight[s] += share[s];
      if (first) next.start[s] += share[s];
      for (size_t d = 0; d < dims; d++) {
        double v = (double)e->x[t * dims + d];
        next.mean[s][d] += share[s] * v;
        next.variance[s][d] += share[s] * v * v;
      }
    }
    starts += first;
    if (first) continue;
    const double *before = f - k, *density = e->density + t * k;
    double pair[HMM_MOST_STATES][HMM_MOST_STATES], most = density[0], total = 0;
    for (size_t s = 1; s < k; s++) most = density[s] > most ? density[s] : most;
    for (size_t i = 0; i < k; i++)
      for (size_t j = 0; j < k; j++)
        total += pair[i][j] = before[i] * h->stay[i][j] * exp(density[j] - most) * b[j];
    for (size_t i = 0; i < k && total > 0; i++)
      for (size_t j = 0; j < k; j++) next.stay[i][j] += pair[i][j] / total;
  }
  for (size_t i = 0; i < k; i++) {
    double sum = 0;
    next.start[i] = (next.start[i] + LEAST_ODDS) / (starts + LEAST_ODDS * (double)k);
    for (size_t j = 0; j < k; j++) sum += next.stay[i][j] += LEAST_ODDS;
    for (size_t j = 0; j < k; j++) next.stay[i][j] /= sum;
    for (size_t d = 0; d < dims; d++) {
      if (!(weight[i] > 1e-3)) { /* nobody there: it stays where it was */
        next.mean[i][d] = h->mean[i][d];
        next.variance[i][d] = h->variance[i][d];
        continue;
      }
      double mean = next.mean[i][d] / weight[i];
      double variance = next.variance[i][d] / weight[i] - mean * mean;
      next.mean[i][d] = mean;
      next.variance[i][d] = variance > e->floor[d] ? variance : e->floor[d];
    }
  }
  *h = next;
}

static double spread_of(const hmm *h, int s) {
  double sum = 0;
  for (int d = 0; d < h->n_dims; d++) sum += h->variance[s][d];
  return sum;
}

static void calm_first(hmm *h) {
  hmm from = *h;
  int order[HMM_MOST_STATES];
  for (int i = 0; i < h->n_states; i++) order[i] = i;
  for (int i = 1; i < h->n_states; i++)
    for (int j = i; j > 0 && spread_of(&from, order[j]) < spread_of(&from, order[j - 1]); j--) {
      int held = order[j];
      order[j] = order[j - 1];
      order[j - 1] = held;
    }
  for (int i = 0; i < h->n_states; i++) {
    int s = order[i];
    h->start[i] = from.start[s];
    for (int j = 0; j < h->n_states; j++) h->stay[i][j] = from.stay[s][order[j]];
    memcpy(h->mean[i], from.mean[s], sizeof h->mean[i]);
    memcpy(h->variance[i], from.variance[s], sizeof h->variance[i]);
  }
}

typedef struct ranked {
  double key;
  uint32_t at;
} ranked;

static int compare_ranked(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->key != y->key) return x->key < y->key ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

garam_status hmm_fit(hmm *out, const float *x, const uint8_t *begins, size_t n, int n_dims,
                     const hmm_fit_config *config, double *trace, garam_error *err) {
  int k = config->n_states;
  REQUIRE(k >= 1 && k <= HMM_MOST_STATES && n_dims >= 1 && n_dims <= HMM_MOST_DIMS,
          "hmm_fit: %d states of %d numbers", k, n_dims);
  if (n < 4 * (size_t)k)
    return fail(err, GARAM_INVALID, "%zu rows are too few for %d regimes", n, k);
  em e = {.x = x, .begins = begins, .n = n};
  garam_status status = GARAM_OK;
  size_t cells = n * (size_t)k;
  e.forward = mem_array(cells, sizeof *e.forward);
  e.backward = mem_array(cells, sizeof *e.backward);
  e.density = mem_array(cells, sizeof *e.density);
  ranked *keys = mem_array(n, sizeof *keys);
  uint32_t *order = mem_array(n, sizeof *order);
  double *curve = mem_array((size_t)config->max_iterations + 1, sizeof *curve);
  if (!e.forward || !e.backward || !e.density || !keys || !order || !curve) {
    status = fail_memory(err, cells * sizeof *e.forward);
    goto done;
  }
  double mean[HMM_MOST_DIMS] = {0};
  for (int d = 0; d < n_dims; d++) {
    double sum = 0, squares = 0;
    for (size_t t = 0; t < n; t++) sum += (double)x[t * (size_t)n_dims + (size_t)d];
    mean[d] = sum / (double)n;
    for (size_t t = 0; t < n; t++) {
      double off = (double)x[t * (size_t)n_dims + (size_t)d] - mean[d];
      squares += off * off;
    }
    e.floor[d] = squares > 0 ? LEAST_VARIANCE * squares / (double)n : 1e-12;
  }
  for (int attempt = 0; attempt < 2; attempt++) {
    hmm h = {.n_states = k, .n_dims = n_dims};
    for (size_t t = 0; t < n; t++) {
      double key = attempt ? (double)x[t * (size_t)n_dims] : 0;
      for (int d = 0; d < n_dims && !attempt; d++) {
        double off = (double)x[t * (size_t)n_dims + (size_t)d] - mean[d];
        key += off * off / e.floor[d];
      }
      keys[t] = (ranked){key, (uint32_t)t};
    }
    qsort(keys, n, sizeof *keys, compare_ranked);
    for (size_t t = 0; t < n; t++) order[t] = keys[t].at;
    start_from(&h, &e, order);
    double before = -INFINITY, now = -INFINITY;
    hmm last = h;
    int i = 0;
    for (; i < config->max_iterations; i++) {
      now = expect(&h, &e);
      curve[i] = now;
      last = h;
      if (now - before < config->tolerance) {
        i++;
        break;
      }
      before = now;
      maximise(&h, &e);
    }
    last.log_likelihood = now * (double)n;
    if (attempt == 0 || last.log_likelihood > out->log_likelihood) {
      *out = last;
      for (int j = 0; trace && j < config->max_iterations; j++) trace[j] = j < i ? curve[j] : NAN;
    }
  }
  calm_first(out);
  if (!isfinite(out->log_likelihood))
    status = fail(err, GARAM_NUMERIC, "the regimes' likelihood is not a finite number");
done:
  mem_free(e.forward);
  mem_free(e.backward);
  mem_free(e.density);
  mem_free(keys);
  mem_free(order);
  mem_free(curve);
  return status;
}

/* ---- packages -------------------------------------------------------------------------------- */

/* One array: its fields from start on are all doubles, at their full size. */
enum { NUMBERS = (sizeof(hmm) - offsetof(hmm, start)) / sizeof(double) };

garam_status hmm_save(const hmm *h, package_writer *w, const char *prefix, garam_error *err) {
  char name[160];
  int64_t size = NUMBERS;
  snprintf(name, sizeof name, "%shmm", prefix);
  return package_add(w, name, PACKAGE_F64, 1, &size, h->start, err);
}

static bool sums_to_one(const double *p, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    if (!(p[i] >= 0)) return false;
    sum += p[i];
  }
  return fabs(sum - 1) < 1e-6;
}

garam_status hmm_load(hmm *out, int n_states, int n_dims, const package_reader *r,
                      const char *prefix, garam_error *err) {
  char name[160];
  const package_tensor *t;
  int64_t size = NUMBERS;
  snprintf(name, sizeof name, "%shmm", prefix);
  TRY(package_get_finite(&t, r, name, PACKAGE_F64, 1, &size, err));
  *out = (hmm){.n_states = n_states, .n_dims = n_dims};
  memcpy(out->start, t->data, t->bytes);
  bool sound = n_states >= 1 && n_states <= HMM_MOST_STATES && n_dims >= 1 &&
               n_dims <= HMM_MOST_DIMS && sums_to_one(out->start, n_states);
  for (int s = 0; sound && s < n_states; s++) {
    sound = sums_to_one(out->stay[s], n_states);
    for (int d = 0; d < n_dims; d++) sound = sound && out->variance[s][d] > 1e-30;
  }
  if (sound) return GARAM_OK;
  return fail(err, GARAM_CORRUPT, "%s: \"%s\" is no model of %d regimes", package_name(r), name,
              n_states);
}
