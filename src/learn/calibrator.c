/* Calibration maps: see calibrator.h. */
#include "learn/calibrator.h"

#include "base/mem.h"
#include "learn/calibrate.h"
#include "learn/metric.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const calibration_names[] = {"temperature", "none", "platt", "beta",
                                         "isotonic",    "auto", NULL};

enum { NEWTON_STEPS = 100 };
#define LEAST 1e-7 /* odds that a logarithm is taken of */

void calibrator_init(calibrator *c, int k) {
  *c = (calibrator){.kind = CALIBRATION_NONE, .k = k, .n_maps = k == 2 ? 1 : k, .temperature = 1};
}

void calibrator_deinit(calibrator *c) {
  mem_free(c->coefficients);
  mem_free(c->begin);
  mem_free(c->x);
  mem_free(c->y);
  *c = (calibrator){0};
}

static double sigmoid(double v) {
  return v >= 0 ? 1 / (1 + exp(-v)) : exp(v) / (1 + exp(v));
}

static double held(double p) {
  return p < LEAST ? LEAST : p > 1 - LEAST ? 1 - LEAST : p;
}

/* ---- maps of two or three numbers --------------------------------------------------------------
 */

/* One row of a map's own logistic regression: features u (dims), a 1 at the end among them. */
typedef struct map_row {
  double u[3], target, weight;
} map_row;

static double loss_of(const map_row *rows, size_t n, const double *w, int dims) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double v = 0;
    for (int j = 0; j < dims; j++) v += w[j] * rows[i].u[j];
    /* ln(1 + exp(v)) - target v, without overflow */
    sum += rows[i].weight * ((v > 0 ? v + log1p(exp(-v)) : log1p(exp(v))) - rows[i].target * v);
  }
  return sum;
}

/* Solves h d = g by Gauss with the diagonal raised a little; dims is 1 to 3. */
static void solve(double *d, double h[3][3], const double *g, int dims) {
  double a[3][4];
  for (int i = 0; i < dims; i++) {
    for (int j = 0; j < dims; j++) a[i][j] = h[i][j];
    a[i][i] += 1e-10 * (1 + h[i][i]);
    a[i][dims] = g[i];
  }
  for (int i = 0; i < dims; i++)
    for (int r = i + 1; r < dims; r++) {
      double f = a[r][i] / a[i][i];
      for (int j = i; j <= dims; j++) a[r][j] -= f * a[i][j];
    }
  for (int i = dims; i-- > 0;) {
    d[i] = a[i][dims];
    for (int j = i + 1; j < dims; j++) d[i] -= a[i][j] * d[j];
    d[i] /= a[i][i];
  }
}

/* Newton's method with steps halved until the loss falls; the problem is convex. */
static void fit_logistic(double *w, const map_row *rows, size_t n, int dims) {
  double loss = loss_of(rows, n, w, dims);
  for (int step = 0; step < NEWTON_STEPS; step++) {
    double g[3] = {0}, h[3][3] = {{0}}, d[3], next[3], most = 0;
    for (size_t i = 0; i < n; i++) {
      double v = 0;
      for (int j = 0; j < dims; j++) v += w[j] * rows[i].u[j];
      double p = sigmoid(v);
      for (int j = 0; j < dims; j++) {
        g[j] += rows[i].weight * (p - rows[i].target) * rows[i].u[j];
        for (int l = 0; l < dims; l++)
          h[j][l] += rows[i].weight * p * (1 - p) * rows[i].u[j] * rows[i].u[l];
      }
    }
    solve(d, h, g, dims);
    double share = 1, now = loss;
    for (; share > 1e-8; share /= 2) {
      for (int j = 0; j < dims; j++) next[j] = w[j] - share * d[j];
      now = loss_of(rows, n, next, dims);
      if (now <= loss) break;
    }
    if (!(now <= loss)) return;
    for (int j = 0; j < dims; j++) {
      if (fabs(next[j] - w[j]) > most) most = fabs(next[j] - w[j]);
      w[j] = next[j];
    }
    loss = now;
    if (most < 1e-10) return;
  }
}

static void fit_platt(double *out, map_row *rows, size_t n) {
  double positive = 0, negative = 0;
  for (size_t i = 0; i < n; i++) *(rows[i].target > 0 ? &positive : &negative) += rows[i].weight;
  for (size_t i = 0; i < n; i++)
    rows[i].target = rows[i].target > 0 ? (positive + 1) / (positive + 2) : 1 / (negative + 2);
  double w[3] = {1, 0, 0};
  fit_logistic(w, rows, n, 2);
  out[0] = w[0], out[1] = w[1], out[2] = 0;
}

/* u: ln p, -ln(1 - p), 1. A slope that comes out below 0 is left out, and the rest fitted again. */
static void fit_beta(double *out, map_row *rows, size_t n) {
  double w[3] = {1, 1, 0};
  fit_logistic(w, rows, n, 3);
  if (w[0] < 0 || w[1] < 0) {
    int kept = w[0] < 0 ? 1 : 0;
    double v[3] = {1, 0, 0};
    for (size_t i = 0; i < n; i++) rows[i].u[0] = rows[i].u[kept], rows[i].u[1] = 1;
    fit_logistic(v, rows, n, 2);
    if (v[0] < 0) {
      v[0] = v[1] = 0;
      for (size_t i = 0; i < n; i++) rows[i].u[0] = 1;
      double c = 0;
      fit_logistic(&c, rows, n, 1);
      v[1] = c;
    }
    w[kept] = v[0], w[1 - kept] = 0, w[2] = v[1];
  }
  memcpy(out, w, sizeof w);
}

/* ---- isotonic -----------------------------------------------------------------------------------
 */

static int compare_rows(const void *a, const void *b) {
  const map_row *x = a, *y = b;
  return (x->u[0] > y->u[0]) - (x->u[0] < y->u[0]);
}

typedef struct block {
  double first, last, sum, weight;
} block;

/* Appends the map's knots: both ends of each level. */
static void fit_isotonic(calibrator *c, map_row *rows, size_t n, block *blocks) {
  size_t n_blocks = 0;
  qsort(rows, n, sizeof *rows, compare_rows);
  for (size_t i = 0; i < n;) {
    block b = {rows[i].u[0], rows[i].u[0], 0, 0};
    for (; i < n && rows[i].u[0] == b.first; i++) {
      b.sum += rows[i].weight * rows[i].target;
      b.weight += rows[i].weight;
    }
    if (!(b.weight > 0)) continue;
    while (n_blocks > 0 &&
           blocks[n_blocks - 1].sum * b.weight >= b.sum * blocks[n_blocks - 1].weight) {
      const block *before = &blocks[--n_blocks];
      b = (block){before->first, b.last, before->sum + b.sum, before->weight + b.weight};
    }
    blocks[n_blocks++] = b;
  }
  float least = 1 / (float)(n + 2);
  for (size_t i = 0; i < n_blocks; i++) {
    float level = (float)(blocks[i].sum / blocks[i].weight);
    level = level < least ? least : level > 1 - least ? 1 - least : level;
    for (int end = 0; end < 1 + (blocks[i].last > blocks[i].first); end++) {
      c->x[c->n_knots] = (float)(end ? blocks[i].last : blocks[i].first);
      c->y[c->n_knots++] = level;
    }
  }
}

static double isotonic_at(const calibrator *c, int map, float p) {
  size_t low = c->begin[map], high = c->begin[map + 1];
  if (!(p > c->x[low])) return (double)c->y[low];
  if (p >= c->x[high - 1]) return (double)c->y[high - 1];
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    if (c->x[middle] <= p) low = middle;
    else high = middle;
  }
  if (low + 1 == c->begin[map + 1]) return (double)c->y[low];
  double share = (double)(p - c->x[low]) / (double)(c->x[low + 1] - c->x[low]);
  return (double)c->y[low] + share * (double)(c->y[low + 1] - c->y[low]);
}

/* ---- fit ----------------------------------------------------------------------------------------
 */

static void log_odds(map_row *row, int kind, double p) {
  double q = held(p);
  if (kind == CALIBRATION_PLATT) row->u[0] = log(q) - log1p(-q), row->u[1] = 1;
  if (kind == CALIBRATION_BETA) row->u[0] = log(q), row->u[1] = -log1p(-q), row->u[2] = 1;
  if (kind == CALIBRATION_ISOTONIC) row->u[0] = (double)(float)p;
}

static garam_status fit_maps(calibrator *c, const float *z, const int32_t *y, const float *weight,
                             const uint8_t *part, size_t n, garam_error *err) {
  int k = c->k;
  bool steps = c->kind == CALIBRATION_ISOTONIC;
  float *p = mem_array(n * (size_t)k + 1, sizeof *p);
  map_row *rows = mem_array(n + 1, sizeof *rows);
  block *blocks = mem_array(steps ? n + 1 : 1, sizeof *blocks);
  size_t most = steps ? 2 * (size_t)c->n_maps * (n + 1) : 1;
  c->coefficients = mem_array((size_t)c->n_maps * 3, sizeof *c->coefficients);
  c->begin = mem_array((size_t)c->n_maps + 1, sizeof *c->begin);
  c->x = mem_array(most, sizeof *c->x);
  c->y = mem_array(most, sizeof *c->y);
  garam_status status = GARAM_OK;
  if (!p || !rows || !blocks || !c->coefficients || !c->begin || !c->x || !c->y) {
    status = fail_memory(err, most * sizeof *p);
    goto done;
  }
  memcpy(p, z, n * (size_t)k * sizeof *p);
  if (!calibrate_softmax(p, n, k, 1)) {
    status = fail(err, GARAM_NUMERIC, "a score to calibrate by is not a finite number");
    goto done;
  }
  for (int m = 0; m < c->n_maps; m++) {
    int class = k == 2 ? 1 : m;
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
      if (part && part[i] != 1) continue;
      map_row *row = &rows[used++];
      *row = (map_row){.target = y[i] == class, .weight = weight ? (double)weight[i] : 1};
      log_odds(row, c->kind, (double)p[i * (size_t)k + (size_t) class]);
    }
    if (c->kind == CALIBRATION_PLATT) fit_platt(c->coefficients + 3 * m, rows, used);
    if (c->kind == CALIBRATION_BETA) fit_beta(c->coefficients + 3 * m, rows, used);
    if (steps) fit_isotonic(c, rows, used, blocks);
    if (steps && c->n_knots == c->begin[m]) { /* no row with weight: what it says of nothing */
      c->x[c->n_knots] = 0.5F;
      c->y[c->n_knots++] = 0.5F;
    }
    c->begin[m + 1] = (uint32_t)c->n_knots;
  }
done:
  mem_free(p);
  mem_free(rows);
  mem_free(blocks);
  return status;
}

garam_status calibrator_fit(calibrator *out, int kind, const float *z, const int32_t *y,
                            const float *weight, const uint8_t *part, size_t n, int k,
                            garam_error *err) {
  REQUIRE(kind >= 0 && kind < CALIBRATION_AUTO, "calibrator_fit: kind %d", kind);
  calibrator_init(out, k);
  size_t used = 0;
  for (size_t i = 0; i < n; i++) used += !part || part[i] == 1;
  if (kind == CALIBRATION_NONE || used == 0) return GARAM_OK;
  out->kind = kind;
  if (kind != CALIBRATION_TEMPERATURE) {
    garam_status status = fit_maps(out, z, y, weight, part, n, err);
    if (status != GARAM_OK) calibrator_deinit(out);
    return status;
  }
  float *share = mem_array(n, sizeof *share); /* rows that are not asked have no weight */
  if (!share) return fail_memory(err, n * sizeof *share);
  for (size_t i = 0; i < n; i++) share[i] = part && part[i] != 1 ? 0 : weight ? weight[i] : 1;
  out->temperature = calibrate_temperature(z, y, share, n, k);
  mem_free(share);
  return GARAM_OK;
}

garam_status calibrator_choose(int *kind, const float *z, const int32_t *y, const float *weight,
                               const uint8_t *part, size_t n, int k, garam_error *err) {
  /* From fewest numbers to most. */
  static const int kinds[] = {CALIBRATION_NONE, CALIBRATION_TEMPERATURE, CALIBRATION_PLATT,
                              CALIBRATION_BETA, CALIBRATION_ISOTONIC};
  float *p = mem_array(n * (size_t)k + 1, sizeof *p), *w = mem_array(n + 1, sizeof *w);
  int32_t *truth = mem_array(n + 1, sizeof *truth);
  garam_status status = p && w && truth ? GARAM_OK : fail_memory(err, n * (size_t)k * sizeof *p);
  double least = INFINITY;
  *kind = CALIBRATION_TEMPERATURE;
  for (size_t j = 0; j < COUNT_OF(kinds) && status == GARAM_OK; j++) {
    calibrator c;
    size_t used = 0;
    status = calibrator_fit(&c, kinds[j], z, y, weight, part, n, k, err);
    if (status != GARAM_OK) break;
    for (size_t i = 0; i < n; i++) {
      if (part[i] != 2) continue;
      memcpy(p + used * (size_t)k, z + i * (size_t)k, (size_t)k * sizeof *p);
      w[used] = weight ? weight[i] : 1;
      truth[used++] = y[i];
    }
    bool finite = calibrator_apply(&c, p, used);
    double loss = finite ? metric_log_loss(p, truth, w, used, k) : INFINITY;
    if (loss < least - 5e-4) least = loss, *kind = kinds[j];
    calibrator_deinit(&c);
  }
  mem_free(p);
  mem_free(w);
  mem_free(truth);
  return status;
}

/* ---- apply --------------------------------------------------------------------------------------
 */

static double map_at(const calibrator *c, int m, double p) {
  const double *w = c->coefficients + 3 * m;
  map_row row = {0};
  if (c->kind == CALIBRATION_ISOTONIC) return isotonic_at(c, m, (float)p);
  log_odds(&row, c->kind, p);
  return sigmoid(w[0] * row.u[0] + w[1] * row.u[1] + w[2] * row.u[2]);
}

bool calibrator_apply(const calibrator *c, float *z, size_t n) {
  int k = c->k;
  bool finite = calibrate_softmax(z, n, k, c->temperature);
  if (c->kind == CALIBRATION_TEMPERATURE || c->kind == CALIBRATION_NONE || !finite) return finite;
  for (size_t i = 0; i < n; i++) {
    float *p = z + i * (size_t)k;
    double sum = 0;
    if (k == 2) {
      double q = map_at(c, 0, (double)p[1]);
      p[0] = (float)(1 - q);
      p[1] = (float)q;
      continue;
    }
    for (int m = 0; m < k; m++) {
      p[m] = (float)map_at(c, m, (double)p[m]);
      sum += (double)p[m];
    }
    for (int m = 0; m < k; m++) p[m] = sum > 0 ? (float)((double)p[m] / sum) : 1 / (float)k;
  }
  return true;
}

/* ---- packages
 * ------------------------------------------------------------------------------------ */

garam_status calibrator_save(const calibrator *c, package_writer *w, const char *prefix,
                             garam_error *err) {
  char name[96];
  int64_t coefficients[2] = {c->n_maps, 3}, begin = c->n_maps + 1, n = (int64_t)c->n_knots;
  if (c->kind == CALIBRATION_PLATT || c->kind == CALIBRATION_BETA) {
    snprintf(name, sizeof name, "%scoefficients", prefix);
    return package_add(w, name, PACKAGE_F64, 2, coefficients, c->coefficients, err);
  }
  if (c->kind != CALIBRATION_ISOTONIC) return GARAM_OK;
  snprintf(name, sizeof name, "%sbegin", prefix);
  TRY(package_add(w, name, PACKAGE_U32, 1, &begin, c->begin, err));
  snprintf(name, sizeof name, "%sx", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 1, &n, c->x, err));
  snprintf(name, sizeof name, "%sy", prefix);
  return package_add(w, name, PACKAGE_F32, 1, &n, c->y, err);
}

static bool sound_knots(const calibrator *c) {
  if (c->begin[0] != 0 || c->begin[c->n_maps] != c->n_knots) return false;
  for (int m = 0; m < c->n_maps; m++) {
    if (c->begin[m + 1] <= c->begin[m] || c->begin[m + 1] > c->n_knots) return false;
    for (size_t i = c->begin[m]; i < c->begin[m + 1]; i++) {
      if (!(c->y[i] >= 0 && c->y[i] <= 1)) return false;
      if (i > c->begin[m] && (c->x[i] <= c->x[i - 1] || c->y[i] < c->y[i - 1])) return false;
    }
  }
  return true;
}

static garam_status load_knots(calibrator *c, const package_reader *r, const char *prefix,
                               garam_error *err) {
  char name[96];
  const package_tensor *begin, *x, *y;
  int64_t maps = c->n_maps + 1, any = -1;
  snprintf(name, sizeof name, "%sbegin", prefix);
  TRY(package_get(&begin, r, name, PACKAGE_U32, 1, &maps, err));
  snprintf(name, sizeof name, "%sx", prefix);
  TRY(package_get_finite(&x, r, name, PACKAGE_F32, 1, &any, err));
  snprintf(name, sizeof name, "%sy", prefix);
  TRY(package_get_finite(&y, r, name, PACKAGE_F32, 1, x->dims, err));
  c->n_knots = x->count;
  c->begin = mem_array((size_t)c->n_maps + 1, sizeof *c->begin);
  c->x = mem_array(c->n_knots + 1, sizeof *c->x);
  c->y = mem_array(c->n_knots + 1, sizeof *c->y);
  if (!c->begin || !c->x || !c->y) return fail_memory(err, x->bytes);
  memcpy(c->begin, begin->data, begin->bytes);
  memcpy(c->x, x->data, x->bytes);
  memcpy(c->y, y->data, y->bytes);
  if (sound_knots(c)) return GARAM_OK;
  return fail(err, GARAM_CORRUPT, "%s: \"%s\": not a rising function", package_name(r), name);
}

garam_status calibrator_load(calibrator *out, int kind, double temperature, int k,
                             const package_reader *r, const char *prefix, garam_error *err) {
  char name[96];
  const package_tensor *t;
  garam_status status = GARAM_OK;
  calibrator_init(out, k);
  out->kind = kind;
  out->temperature = temperature;
  if (kind == CALIBRATION_ISOTONIC) status = load_knots(out, r, prefix, err);
  if (kind == CALIBRATION_PLATT || kind == CALIBRATION_BETA) {
    int64_t dims[2] = {out->n_maps, 3};
    snprintf(name, sizeof name, "%scoefficients", prefix);
    status = package_get_finite(&t, r, name, PACKAGE_F64, 2, dims, err);
    if (status == GARAM_OK) {
      out->coefficients = mem_array((size_t)out->n_maps * 3, sizeof *out->coefficients);
      if (out->coefficients) memcpy(out->coefficients, t->data, t->bytes);
      else status = fail_memory(err, t->bytes);
    }
  }
  if (status != GARAM_OK) calibrator_deinit(out);
  return status;
}
