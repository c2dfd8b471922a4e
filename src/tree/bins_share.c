/* Bins that several fits share: the same rows of the same numbers, cut the same way, are cut once
 * as long as somebody still holds them. A learner holds those that it was fitted with, so that the
 * next member of an ensemble, or the next trial, finds them; all together up to a limit. What is
 * the same is told by a fingerprint of 128 bits over the numbers themselves: a dataset may have
 * been freed, and another one stand where it stood. */
#include "tree/bins_inner.h"

#include <pthread.h>
#include <string.h>

enum { LANES = 4 };
static const size_t most_held = (size_t)256 << 20;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bins *all;         /* every shared one there is */
static size_t held_bytes; /* of those that learners hold, counted once a holder */

static uint64_t mix(uint64_t h, uint64_t v) {
  h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
  return h ^ h >> 29;
}

static void add_bytes(uint64_t key[2], const void *data, size_t n) {
  uint64_t lane[LANES] = {key[0], key[1], ~key[0], n}, v[LANES];
  const char *at = data;
  size_t i = 0;
  for (; i + sizeof v <= n; i += sizeof v) {
    memcpy(v, at + i, sizeof v);
    for (int k = 0; k < LANES; k++) lane[k] = mix(lane[k], v[k]);
  }
  memset(v, 0, sizeof v);
  if (n > i) memcpy(v, at + i, n - i);
  for (int k = 0; k < LANES; k++) lane[k] = mix(lane[k], v[k]);
  key[0] = mix(mix(lane[0], lane[2]), lane[1]);
  key[1] = mix(mix(lane[1], lane[3]), lane[0]);
}

static void fingerprint(uint64_t key[2], const dataset *d, row_set rows, const bins_config *c) {
  /* The seed is of the sample, where there is one. */
  const uint64_t head[] = {d->n_rows,
                           d->n_features,
                           rows.n,
                           (uint64_t)c->max_bins,
                           (uint64_t)c->min_rows,
                           c->sample,
                           rows.n > c->sample ? c->seed : 0,
                           c->categorical != NULL};
  key[0] = 1;
  key[1] = 2;
  add_bytes(key, head, sizeof head);
  if (c->categorical) add_bytes(key, c->categorical, d->n_features);
  add_bytes(key, rows.rows, rows.n * sizeof *rows.rows);
  add_bytes(key, d->x, d->n_rows * d->n_features * sizeof *d->x);
}

static bins *find(const uint64_t key[2]) {
  for (bins *b = all; b; b = b->next)
    if (b->key[0] == key[0] && b->key[1] == key[1]) return b;
  return NULL;
}

garam_status bins_take(bins **out, const dataset *d, row_set rows, const bins_config *config,
                       garam_error *err) {
  uint64_t key[2];
  fingerprint(key, d, rows, config);
  pthread_mutex_lock(&lock);
  *out = find(key);
  if (*out) (*out)->users++;
  pthread_mutex_unlock(&lock);
  if (*out) return GARAM_OK;
  TRY(bins_new(out, d, rows, config, err));
  bins *b = *out;
  memcpy(b->key, key, sizeof key);
  b->users = 1;
  pthread_mutex_lock(&lock); /* another thread's may have come meanwhile: both are good */
  b->next = all;
  all = b;
  pthread_mutex_unlock(&lock);
  return GARAM_OK;
}

static size_t bytes_of(const bins *b) {
  return 2 * b->stride * b->n_features;
}

bins *bins_hold(bins *b) {
  pthread_mutex_lock(&lock);
  bool room = held_bytes + bytes_of(b) <= most_held;
  if (room) {
    held_bytes += bytes_of(b);
    b->users++;
  }
  pthread_mutex_unlock(&lock);
  return room ? b : NULL;
}

void bins_drop(bins *b) {
  if (!b) return;
  pthread_mutex_lock(&lock);
  held_bytes -= bytes_of(b);
  pthread_mutex_unlock(&lock);
  bins_release(b);
}

void bins_release(bins *b) {
  if (!b) return;
  pthread_mutex_lock(&lock);
  bool last = --b->users == 0;
  for (bins **at = &all; last && *at; at = &(*at)->next)
    if (*at == b) {
      *at = b->next;
      break;
    }
  pthread_mutex_unlock(&lock);
  if (last) bins_free(b);
}
