/* Dynamic selection: see des.h. */
#include "ensemble/des.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const des_method_names[] = {"knora-e", "knora-u", "meta-des", "rrc", "local", NULL};

const opt_row des_options[] = {
    {"selection", OPT_ENUM, OPT_AT(des_config, method), .def = DES_KNORA_U,
     .choices = des_method_names, .help = "how members are chosen for a row"},
    {"neighbours", OPT_INT, OPT_AT(des_config, neighbours), .def = 7, .min = 1,
     .max = DES_MOST_NEIGHBOURS, .search = {3, 50}, .scale = OPT_LOG, .unit = "rows",
     .help = "validation rows in the region of competence"},
    {"profiles", OPT_INT, OPT_AT(des_config, profiles), .def = 5, .min = 1,
     .max = DES_MOST_NEIGHBOURS, .unit = "rows",
     .help = "meta-des: rows to which the members answer most alike"},
    {"vote", OPT_BOOL, OPT_AT(des_config, vote),
     .help = "chosen members vote for their likeliest class; else their odds are averaged"},
};
const size_t des_n_options = COUNT_OF(des_options);

enum { LEVELS = 10 }; /* of meta-des's evidence: 0.1, 0.2, ... 1 */

static size_t n_evidence(const des *d) {
  return 2 * (size_t)d->config.neighbours + 1 + (size_t)d->config.profiles + 1;
}

static int32_t likeliest(const float *p, size_t k) {
  int32_t top = 0;
  for (size_t c = 1; c < k; c++)
    if (p[c] > p[top]) top = (int32_t)c;
  return top;
}

/* ---- meta-des -------------------------------------------------------------------------------- */

/* How many levels a number reaches; its weight as a count in the naive Bayes. */
static double level(double v) {
  double n = 0;
  for (int i = 1; i <= LEVELS; i++) n += v >= (double)i / LEVELS - 1e-9;
  return n;
}

/* How much member m gave to the truth at a validation row, and how sure it is of what it says now:
 * of values, how near it was, and how near it is to what the members say together. */
static double support(const des *d, size_t row, size_t m) {
  const float *p = d->score + (row * d->n_members + m) * d->n_outputs;
  if (!d->value) return (double)p[d->y[row]];
  return exp(-fabs((double)p[0] - (double)d->value[row]) / d->typical);
}

static double sureness(const des *d, const float *score, size_t m) {
  size_t k = d->n_outputs;
  if (!d->value) return (double)score[m * k + (size_t)likeliest(score + m * k, k)];
  double mean = 0;
  for (size_t i = 0; i < d->n_members; i++) mean += (double)score[i] / (double)d->n_members;
  return exp(-fabs((double)score[m] - mean) / d->typical);
}

/* Evidence about member m on a row with these neighbours: is it right there, how sure of the truth,
 * how often right, right where members answered alike, and how sure is it now. */
static void gather_evidence(double *out, const des *d, size_t m, const des_neighbour *near,
                            size_t n_near, const des_neighbour *alike, size_t n_alike,
                            const float *score) {
  size_t at = 0, n = (size_t)d->config.neighbours;
  double right = 0;
  for (size_t i = 0; i < n; i++, at++) {
    out[at] = i < n_near ? level(d->right[near[i].row * d->n_members + m]) : 0;
    right += i < n_near ? d->right[near[i].row * d->n_members + m] : 0;
  }
  for (size_t i = 0; i < n; i++, at++) out[at] = i < n_near ? level(support(d, near[i].row, m)) : 0;
  out[at++] = n_near ? level(right / (double)n_near) : 0;
  for (size_t i = 0; i < (size_t)d->config.profiles; i++, at++)
    out[at] = i < n_alike ? level(d->right[alike[i].row * d->n_members + m]) : 0;
  out[at] = level(sureness(d, score, m));
}

/* A multinomial naive Bayes (one added to each count) of "is right", each validation row in turn
 * asked about with itself left out. */
static void fit_evidence(des *d) {
  size_t n = n_evidence(d), stride = n + 1;
  double v[3 * DES_MOST_NEIGHBOURS + 2], count[2] = {0};
  des_neighbour near[DES_MOST_NEIGHBOURS], alike[DES_MOST_NEIGHBOURS];
  memset(d->evidence, 0, 2 * stride * sizeof *d->evidence);
  for (size_t i = 0; i < d->n; i++) {
    size_t n_near = des_near_find(near, (size_t)d->config.neighbours, &d->rows,
                                  d->rows.x + i * d->rows.stride, (uint32_t)i);
    size_t n_alike = des_near_find(alike, (size_t)d->config.profiles, &d->profiles,
                                   d->profiles.x + i * d->profiles.stride, (uint32_t)i);
    for (size_t m = 0; m < d->n_members; m++) {
      double *to = d->evidence + d->right[i * d->n_members + m] * stride;
      gather_evidence(v, d, m, near, n_near, alike, n_alike,
                      d->score + i * d->n_members * d->n_outputs);
      for (size_t j = 0; j < n; j++) to[j] += v[j];
      count[d->right[i * d->n_members + m]]++;
    }
  }
  for (int c = 0; c < 2; c++) {
    double *to = d->evidence + (size_t)c * stride, sum = 0;
    for (size_t j = 0; j < n; j++) sum += to[j] + 1;
    for (size_t j = 0; j < n; j++) to[j] = log((to[j] + 1) / sum);
    to[n] = log((count[c] + 1e-9) / (count[0] + count[1] + 2e-9));
  }
}

static bool is_competent(const des *d, const double *v) {
  size_t n = n_evidence(d), stride = n + 1;
  double odds = d->evidence[stride + n] - d->evidence[n];
  for (size_t j = 0; j < n; j++) odds += v[j] * (d->evidence[stride + j] - d->evidence[j]);
  return odds > 0;
}

/* With two classes one of the odds says it all. */
static size_t profile_width(const des *d) {
  return d->n_members * (d->n_outputs == 2 ? 1 : d->n_outputs);
}

static void profile_of(float *out, const des *d, const float *score) {
  size_t step = d->n_outputs == 2 ? 2 : 1;
  for (size_t i = 0; i < profile_width(d); i++) out[i] = score[i * step];
}

/* ---- fit ------------------------------------------------------------------------------------- */

void des_deinit(des *d) {
  des_near_deinit(&d->rows);
  des_near_deinit(&d->profiles);
  mem_free(d->score);
  mem_free(d->y);
  mem_free(d->value);
  mem_free(d->right);
  mem_free(d->competence);
  mem_free(d->evidence);
  mem_free(d->query);
  *d = (des){0};
}

static garam_status fit_profiles(des *d, garam_error *err) {
  size_t width = profile_width(d), size;
  if (!size_mul(&size, d->n, width)) return fail_memory(err, SIZE_MAX);
  float *x = mem_array(size, sizeof *x);
  if (!x) return fail_memory(err, size * sizeof *x);
  for (size_t i = 0; i < d->n; i++)
    profile_of(x + i * width, d, d->score + i * d->n_members * d->n_outputs);
  garam_status status = des_near_init(&d->profiles, x, d->n, width, err);
  mem_free(x);
  if (status != GARAM_OK) return status;
  d->evidence = mem_array(2 * (n_evidence(d) + 1), sizeof *d->evidence);
  return d->evidence ? GARAM_OK : fail_memory(err, n_evidence(d) * sizeof *d->evidence);
}

static void judge(des *d) {
  size_t k = d->n_outputs;
  for (size_t i = 0; i < d->n; i++)
    for (size_t m = 0; m < d->n_members; m++) {
      size_t at = i * d->n_members + m;
      const float *p = d->score + at * k;
      double squares = 0;
      for (size_t c = 0; c < k; c++) {
        double off = (double)p[c] - ((int32_t)c == d->y[i]);
        squares += off * off;
      }
      d->right[at] = likeliest(p, k) == d->y[i];
      d->competence[at] =
          (float)(d->config.method == DES_RRC ? des_reference(p, k, d->y[i]) : squares);
    }
}

static void judge_values(des *d) {
  size_t n = d->n_members;
  double total = 0;
  for (size_t i = 0; i < d->n; i++) {
    float *squares = d->competence + i * n;
    double sum = 0;
    for (size_t m = 0; m < n; m++) {
      double off = (double)d->score[i * n + m] - (double)d->value[i];
      squares[m] = (float)(off * off);
      sum += (double)squares[m];
    }
    total += sum;
    for (size_t m = 0; m < n; m++) {
      size_t better = 0;
      for (size_t o = 0; o < n; o++) better += squares[o] < squares[m];
      d->right[i * n + m] = 2 * better < n;
    }
    if (d->config.method != DES_RRC) continue;
    double mean = sum / (double)n; /* |Z| > |error|, Z normal with the row's mean squared error */
    for (size_t m = 0; m < n; m++)
      squares[m] = mean > 0 ? (float)erfc(sqrt((double)squares[m] / mean / 2)) : 0.5f;
  }
  d->typical = sqrt(total / ((double)d->n * (double)n));
  if (!(d->typical > 0)) d->typical = 1;
}

garam_status des_fit(des *out, const des_config *config, const float *x, const float *score,
                     const int32_t *y, const float *value, size_t n, size_t n_features,
                     size_t n_members, size_t n_outputs, garam_error *err) {
  *out = (des){.config = *config, .n = n, .n_members = n_members, .n_outputs = n_outputs};
  des *d = out;
  size_t cells = 0, pairs = 0;
  garam_status status;
  if (n == 0) return fail(err, GARAM_INVALID, "no validation rows to select members by");
  if (size_mul(&pairs, n, n_members) && size_mul(&cells, pairs, n_outputs)) {
    d->score = mem_array(cells, sizeof *d->score);
    d->right = mem_array(pairs, 1);
    d->competence = mem_array(pairs, sizeof *d->competence);
    d->y = mem_array(n, sizeof *d->y);
    d->value = n_outputs == 1 ? mem_array(n, sizeof *d->value) : NULL;
  }
  if (!d->score || !d->right || !d->competence || !d->y || (n_outputs == 1 && !d->value)) {
    status = fail_memory(err, cells * sizeof *d->score);
    goto done;
  }
  memcpy(d->score, score, cells * sizeof *score);
  if (y && n_outputs > 1) memcpy(d->y, y, n * sizeof *y);
  if (d->value) memcpy(d->value, value, n * sizeof *value);
  TRY_GOTO(done, des_near_init(&d->rows, x, n, n_features, err));
  if (d->value) judge_values(d);
  else judge(d);
  if (config->method == DES_META) TRY_GOTO(done, fit_profiles(d, err));
  d->query = mem_array(d->rows.stride + d->profiles.stride, sizeof *d->query);
  status = d->query ? GARAM_OK : fail_memory(err, d->rows.stride * sizeof *d->query);
  if (status == GARAM_OK && config->method == DES_META) fit_evidence(d);
done:
  if (status != GARAM_OK) des_deinit(d);
  return status;
}

/* ---- one row --------------------------------------------------------------------------------- */

static void weigh_knora_e(const des *d, double *w, const des_neighbour *near, size_t n) {
  size_t most = 0;
  for (size_t m = 0; m < d->n_members; m++) {
    size_t run = 0; /* right on this many, the nearest first */
    while (run < n && d->right[near[run].row * d->n_members + m]) run++;
    w[m] = (double)run;
    most = run > most ? run : most;
  }
  for (size_t m = 0; m < d->n_members; m++) w[m] = w[m] >= (double)most;
}

static void weigh_knora_u(const des *d, double *w, const des_neighbour *near, size_t n) {
  for (size_t m = 0; m < d->n_members; m++) {
    w[m] = 0;
    for (size_t i = 0; i < n; i++) w[m] += d->right[near[i].row * d->n_members + m];
  }
}

static void weigh_meta(des *d, double *w, const des_neighbour *near, size_t n_near,
                       const float *score) {
  double v[3 * DES_MOST_NEIGHBOURS + 2];
  des_neighbour alike[DES_MOST_NEIGHBOURS];
  float *query = d->query + d->rows.stride;
  profile_of(query, d, score);
  size_t n_alike =
      des_near_find(alike, (size_t)d->config.profiles, &d->profiles, query, UINT32_MAX);
  for (size_t m = 0; m < d->n_members; m++) {
    gather_evidence(v, d, m, near, n_near, alike, n_alike, score);
    w[m] = is_competent(d, v);
  }
}

static void weigh_rrc(const des *d, double *w) {
  double total = 0;
  for (size_t m = 0; m < d->n_members; m++) w[m] = 0;
  for (size_t i = 0; i < d->n; i++) {
    double near =
        exp(-(double)des_near_distance(d->rows.x + i * d->rows.stride, d->query, d->rows.stride));
    if (near < 1e-20) near = 1e-20; /* far from everything, all rows count the same */
    total += near;
    for (size_t m = 0; m < d->n_members; m++)
      w[m] += near * (double)d->competence[i * d->n_members + m];
  }
  double chance = d->value ? 0.5 : 1 / (double)d->n_outputs;
  for (size_t m = 0; m < d->n_members; m++) w[m] = w[m] / total > chance;
}

static void weigh_local(const des *d, double *w, const des_neighbour *near, size_t n) {
  double least = INFINITY, most = 0;
  for (size_t m = 0; m < d->n_members; m++) {
    w[m] = 0;
    for (size_t i = 0; i < n; i++) w[m] += (double)d->competence[near[i].row * d->n_members + m];
    least = w[m] < least ? w[m] : least;
    most = w[m] > most ? w[m] : most;
  }
  for (size_t m = 0; m < d->n_members; m++)
    w[m] = w[m] <= (least + most) / 2 ? 1 / (w[m] + 1e-12 * (1 + most)) : 0;
}

void des_weights(des *d, double *w, const float *x, const float *score) {
  des_neighbour near[DES_MOST_NEIGHBOURS];
  size_t n_near = 0;
  double sum = 0;
  memcpy(d->query, x, d->rows.width * sizeof *x);
  if (d->config.method != DES_RRC)
    n_near = des_near_find(near, (size_t)d->config.neighbours, &d->rows, d->query, UINT32_MAX);
  switch ((des_method)d->config.method) {
  case DES_KNORA_E: weigh_knora_e(d, w, near, n_near); break;
  case DES_KNORA_U: weigh_knora_u(d, w, near, n_near); break;
  case DES_META: weigh_meta(d, w, near, n_near, score); break;
  case DES_RRC: weigh_rrc(d, w); break;
  case DES_LOCAL: weigh_local(d, w, near, n_near); break;
  }
  for (size_t m = 0; m < d->n_members; m++) sum += w[m];
  for (size_t m = 0; m < d->n_members; m++) /* nobody chosen: everybody */
    w[m] = sum > 0 ? w[m] / sum : 1 / (double)d->n_members;
}

void des_answer(const des *d, float *out, const double *w, const float *score) {
  size_t k = d->n_outputs;
  for (size_t c = 0; c < k; c++) {
    double sum = 0;
    for (size_t m = 0; m < d->n_members; m++) {
      const float *p = score + m * k;
      sum += w[m] * (d->config.vote && k > 1 ? likeliest(p, k) == (int32_t)c : (double)p[c]);
    }
    out[c] = (float)sum;
  }
}

/* ---- packages -------------------------------------------------------------------------------- */

garam_status des_save(const des *d, package_writer *w, const char *prefix, garam_error *err) {
  char name[160];
  int64_t x[2] = {(int64_t)d->n, (int64_t)d->rows.stride}, y = (int64_t)d->n;
  int64_t score[3] = {(int64_t)d->n, (int64_t)d->n_members, (int64_t)d->n_outputs};
  snprintf(name, sizeof name, "%sx", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 2, x, d->rows.x, err));
  snprintf(name, sizeof name, "%sscore", prefix);
  TRY(package_add(w, name, PACKAGE_F32, 3, score, d->score, err));
  snprintf(name, sizeof name, "%s%s", prefix, d->value ? "value" : "y");
  return d->value ? package_add(w, name, PACKAGE_F32, 1, &y, d->value, err)
                  : package_add(w, name, PACKAGE_I32, 1, &y, d->y, err);
}

garam_status des_load(des *out, const des_config *config, size_t n_features, size_t n_members,
                      size_t n_outputs, const package_reader *r, const char *prefix,
                      garam_error *err) {
  char name[160];
  const package_tensor *x, *score, *y;
  size_t stride = (n_features + DES_LANES - 1) / DES_LANES * DES_LANES;
  *out = (des){0};
  int64_t dims[3] = {-1, (int64_t)stride, 0};
  snprintf(name, sizeof name, "%sx", prefix);
  TRY(package_get_finite(&x, r, name, PACKAGE_F32, 2, dims, err));
  size_t n = (size_t)x->dims[0];
  int64_t shape[3] = {(int64_t)n, (int64_t)n_members, (int64_t)n_outputs};
  snprintf(name, sizeof name, "%sscore", prefix);
  TRY(package_get_finite(&score, r, name, PACKAGE_F32, 3, shape, err));
  snprintf(name, sizeof name, "%s%s", prefix, n_outputs > 1 ? "y" : "value");
  if (n_outputs > 1) TRY(package_get(&y, r, name, PACKAGE_I32, 1, shape, err));
  else TRY(package_get_finite(&y, r, name, PACKAGE_F32, 1, shape, err));
  const int32_t *class = n_outputs > 1 ? y->data : NULL;
  for (size_t i = 0; class && i < n; i++)
    if (class[i] < 0 || (size_t) class[i] >= n_outputs)
      return fail(err, GARAM_CORRUPT, "%s: \"%s\": row %zu has class %d", package_name(r), name, i,
                  (int)class[i]);
  const float *wide = x->data;
  float *narrow = mem_array(n * n_features + 1, sizeof *narrow);
  garam_status status = narrow ? GARAM_OK : fail_memory(err, n * n_features * sizeof *narrow);
  for (size_t i = 0; i < n && status == GARAM_OK; i++)
    memcpy(narrow + i * n_features, wide + i * stride, n_features * sizeof *narrow);
  if (status == GARAM_OK)
    status = des_fit(out, config, narrow, score->data, class, class ? NULL : y->data, n, n_features,
                     n_members, n_outputs, err);
  mem_free(narrow);
  return status;
}
