/* Which rows a tree is grown on: bagging (Friedman 2002), or the rows with large gradients and a
 * share of the others, weighed up (GOSS, Ke et al. 2017). */
#include "tree/gbdt_inner.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

bool gbdt_sample_all(const gbdt_config *c) {
  return c->sampling == SAMPLING_BAGGING && (c->bagging_fraction >= 1 || c->bagging_freq == 0);
}

garam_status gbdt_sample_init(gbdt_sample *s, const gbdt_config *c, uint64_t seed, row_set train,
                              row_set valid, garam_error *err) {
  *s = (gbdt_sample){.config = c, .seed = seed, .train = train, .valid = valid};
  s->in = mem_array(train.n + 1, sizeof *s->in);
  s->out = mem_array(train.n + valid.n + 1, sizeof *s->out);
  if (c->sampling == SAMPLING_GOSS) s->size = mem_array(2 * train.n + 1, sizeof *s->size);
  if (!s->in || !s->out || (c->sampling == SAMPLING_GOSS && !s->size)) {
    gbdt_sample_deinit(s);
    return fail_memory(err, (train.n + valid.n) * sizeof *s->out);
  }
  s->n_in = train.n;
  s->n_out = valid.n;
  memcpy(s->in, train.rows, train.n * sizeof *s->in);
  if (valid.n) memcpy(s->out, valid.rows, valid.n * sizeof *s->out);
  return GARAM_OK;
}

void gbdt_sample_deinit(gbdt_sample *s) {
  mem_free(s->in);
  mem_free(s->out);
  mem_free(s->size);
  *s = (gbdt_sample){0};
}

/* Exactly the share of the rows, each set as likely as any other (Knuth, algorithm S). */
static void bag(gbdt_sample *s, uint64_t round) {
  rng r;
  rng_init(&r, s->seed, RNG_BOOTSTRAP, UINT64_C(11) << 56 | round);
  size_t n = s->train.n, want = (size_t)((double)n * s->config->bagging_fraction);
  if (want < 1) want = 1;
  s->n_in = s->n_out = 0;
  for (size_t i = 0; i < n; i++) {
    /* 32 bits decide: chances are right to 2^-32. */
    bool take = (uint64_t)rng_u32(&r) * (n - i) < (uint64_t)(want - s->n_in) << 32;
    s->in[s->n_in] = s->out[s->n_out] = s->train.rows[i];
    s->n_in += take;
    s->n_out += !take;
    if (s->n_in == want) {
      for (i++; i < n; i++) s->out[s->n_out++] = s->train.rows[i];
      break;
    }
  }
}

/* The k-th largest of v (k from 0), by halving (Hoare); v is permuted. */
static float select_largest(float *v, size_t n, size_t k) {
  ptrdiff_t low = 0, high = (ptrdiff_t)n - 1, at = (ptrdiff_t)k;
  while (low < high) {
    float pivot = v[low + (high - low) / 2];
    ptrdiff_t i = low, j = high;
    while (i <= j) {
      while (v[i] > pivot) i++;
      while (v[j] < pivot) j--;
      if (i > j) break;
      float swap = v[i];
      v[i++] = v[j];
      v[j--] = swap;
    }
    if (at <= j) high = j;
    else if (at >= i) low = i;
    else break;
  }
  return v[k];
}

static void goss(gbdt_sample *s, uint64_t round, float *gh, size_t n_rows, size_t n_outputs) {
  const gbdt_config *c = s->config;
  size_t n = s->train.n, top = (size_t)((double)n * c->goss_top);
  size_t other = (size_t)((double)n * c->goss_other);
  float *size = s->size, *copy = s->size + n;
  if (top < 1) top = 1;
  if (top + other >= n) return;
  for (size_t i = 0; i < n; i++) {
    size_t row = s->train.rows[i];
    float sum = 0;
    for (size_t k = 0; k < n_outputs; k++) {
      const float *at = gh + 2 * (k * n_rows + row);
      sum += fabsf(at[0] * at[1]);
    }
    copy[i] = size[i] = sum;
  }
  float least = select_largest(copy, n, top - 1);
  size_t above = 0;
  for (size_t i = 0; i < n; i++) above += size[i] > least;
  size_t equal = top - above, rest = n - top, taken = 0, seen = 0; /* of those equal to least */
  float factor = other ? (float)(n - top) / (float)other : 1;
  rng r;
  rng_init(&r, s->seed, RNG_BOOTSTRAP, UINT64_C(11) << 56 | round);
  s->n_in = s->n_out = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t row = s->train.rows[i];
    bool large = size[i] > least;
    if (size[i] == least && equal > 0) large = true, equal--;
    bool take = large;
    if (!large) {
      take = taken < other && (uint64_t)rng_u32(&r) * (rest - seen) < (uint64_t)(other - taken)
                                                                          << 32;
      seen++;
      taken += take;
      for (size_t k = 0; take && k < n_outputs; k++) {
        float *at = gh + 2 * (k * n_rows + row);
        at[0] *= factor;
        at[1] *= factor;
      }
    }
    s->in[s->n_in] = s->out[s->n_out] = row;
    s->n_in += take;
    s->n_out += !take;
  }
}

void gbdt_sample_draw(gbdt_sample *s, uint64_t round, float *gh, size_t n_rows, size_t n_outputs) {
  const gbdt_config *c = s->config;
  if (gbdt_sample_all(c)) return;
  if (c->sampling == SAMPLING_GOSS) {
    /* As LightGBM: the first rounds see all rows. */
    if ((double)round < 1 / c->learning_rate) return;
    goss(s, round, gh, n_rows, n_outputs);
  } else {
    uint64_t drawn = round / (uint64_t)c->bagging_freq * (uint64_t)c->bagging_freq;
    bag(s, drawn);
  }
  if (s->valid.n) memcpy(s->out + s->n_out, s->valid.rows, s->valid.n * sizeof *s->out);
  s->n_out += s->valid.n;
}
