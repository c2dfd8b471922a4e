/* The identity of a training run: see identity.h. */
#include "train/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A quick hash, eight bytes at a time: it tells apart data that differ, no more. */
static uint64_t hash_bytes(uint64_t h, const void *data, size_t size) {
  const char *at = data;
  for (; size >= 8; size -= 8, at += 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    h = (h ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    h ^= h >> 29;
  }
  uint64_t last = size;
  memcpy(&last, at, size);
  h = (h ^ last ^ (uint64_t)size << 56) * UINT64_C(0x9E3779B97F4A7C15);
  return h ^ h >> 29;
}

static uint64_t hash_data(const dataset *d, row_set train, row_set valid) {
  uint64_t h = 1;
  h = hash_bytes(h, d->x, d->n_rows * d->n_features * sizeof *d->x);
  if (d->y) h = hash_bytes(h, d->y, d->n_rows * sizeof *d->y);
  if (d->task == TASK_REGRESSION) h = hash_bytes(h, d->value, d->n_rows * sizeof *d->value);
  if (d->weight) h = hash_bytes(h, d->weight, d->n_rows * sizeof *d->weight);
  if (d->series_begin) h = hash_bytes(h, d->series_begin, d->n_rows * sizeof *d->series_begin);
  h = hash_bytes(h, train.rows, train.n * sizeof *train.rows);
  return hash_bytes(h, valid.rows, valid.n * sizeof *valid.rows);
}

garam_status identity_of(json_t **out, const net_learner *l, const update *u, const dataset *d,
                         row_set train, row_set valid, const fit_context *fit, garam_error *err) {
  const learner_ops *ops = l->base.ops;
  char hash[20], seed[24];
  snprintf(hash, sizeof hash, "%016" PRIx64, hash_data(d, train, valid));
  snprintf(seed, sizeof seed, "%" PRIu64, fit->seed);
  json_t *options = opt_to_json(ops->options, ops->n_options, l->config);
  *out = options ? json_pack("{s:s, s:o, s:s, s:I, s:s, s:I, s:I, s:s, s:s}", "model", ops->name,
                             "options", options, "precision", train_precision_names[u->precision],
                             "micro-batch", (json_int_t)u->micro, "seed", seed, "training rows",
                             (json_int_t)train.n, "validation rows", (json_int_t)valid.n, "data",
                             hash, "fingerprint", fit->fingerprint ? fit->fingerprint : "")
                 : NULL;
  return *out ? GARAM_OK : fail_memory(err, 1024);
}
