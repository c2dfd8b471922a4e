/* What a fit needs to go on as if it had never stopped: its trees, the scores of every row, the
 * curve, and whose it is. Everything else is a function of the seed and the round. */
#include "tree/gbdt_inner.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static garam_status file_name(char **out, const boosting *b, garam_error *err) {
  *out = mem_format("%s/last.safetensors", b->fit->checkpoint);
  return *out ? GARAM_OK : fail_memory(err, strlen(b->fit->checkpoint));
}

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
  h = (h ^ last) * UINT64_C(0x9E3779B97F4A7C15);
  return h ^ h >> 29;
}

static garam_status identity(json_t **out, const boosting *b, garam_error *err) {
  const dataset *d = b->d;
  uint64_t h = hash_bytes(1, d->x, d->n_rows * d->n_features * sizeof *d->x);
  if (d->n_classes > 0) h = hash_bytes(h, d->y, d->n_rows * sizeof *d->y);
  else h = hash_bytes(h, d->value, d->n_rows * sizeof *d->value);
  if (d->weight) h = hash_bytes(h, d->weight, d->n_rows * sizeof *d->weight);
  h = hash_bytes(h, b->train.rows, b->train.n * sizeof *b->train.rows);
  if (b->valid.n) h = hash_bytes(h, b->valid.rows, b->valid.n * sizeof *b->valid.rows);
  char hash[20], seed[24];
  snprintf(hash, sizeof hash, "%016" PRIx64, h);
  snprintf(seed, sizeof seed, "%" PRIu64, b->seed);
  json_t *options = opt_to_json(gbdt_options, GBDT_N_OPTIONS, b->config);
  *out = options ? json_pack("{s:s, s:o, s:s, s:s, s:s}", "model", "gbdt", "options", options,
                             "seed", seed, "data", hash, "fingerprint",
                             b->fit->fingerprint ? b->fit->fingerprint : "")
                 : NULL;
  return *out ? GARAM_OK : fail_memory(err, 1024);
}

garam_status gbdt_checkpoint_write(const boosting *b, garam_error *err) {
  package_writer *w = NULL;
  json_t *who = NULL, *meta = NULL;
  char *path = NULL;
  garam_status status;
  int64_t rounds = b->round, dims[2] = {(int64_t)b->k, (int64_t)b->d->n_rows}, *after = NULL;
  double seconds = b->seconds_before + (double)(clock_monotonic_ns() - b->begun) / 1e9;
  after = mem_array((size_t)rounds, sizeof *after);
  if (!after) return fail_memory(err, (size_t)rounds * sizeof *after);
  for (int64_t i = 0; i < rounds; i++) after[i] = (int64_t)b->trees_after[i];
  TRY_GOTO(done, file_name(&path, b, err));
  TRY_GOTO(done, identity(&who, b, err));
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, trees_save(trees_builder_view(b->built), w, "trees.", err));
  TRY_GOTO(done, package_add(w, "score", PACKAGE_F32, 2, dims, b->score, err));
  TRY_GOTO(done, package_add(w, "train_loss", PACKAGE_F64, 1, &rounds, b->train_losses, err));
  TRY_GOTO(done, package_add(w, "valid_loss", PACKAGE_F64, 1, &rounds, b->valid_losses, err));
  TRY_GOTO(done, package_add(w, "trees_after", PACKAGE_I64, 1, &rounds, after, err));
  meta = json_pack("{s:O, s:i, s:i, s:f}", "identity", who, "round", b->round, "best_round",
                   b->best_round, "seconds", seconds);
  TRY_GOTO(done, meta ? GARAM_OK : fail_memory(err, 256));
  TRY_GOTO(done, package_set_meta(w, "checkpoint", meta, err));
  status = package_write(w, path, err);
done:
  json_decref(who);
  json_decref(meta);
  package_writer_free(w);
  mem_free(path);
  mem_free(after);
  return status;
}

static garam_status check_identity(const json_t *meta, const boosting *b, const char *where,
                                   garam_error *err) {
  json_t *mine, *theirs;
  TRY(json_get_object(&theirs, meta, "identity", where, err));
  TRY(identity(&mine, b, err));
  garam_status status = GARAM_OK;
  const char *key;
  json_t *value;
  json_object_foreach(mine, key, value) {
    if (json_equal(value, json_object_get(theirs, key))) continue;
    status = fail(err, GARAM_MISMATCH, "%s: the checkpoint is of another run: \"%s\" differs",
                  where, key);
    break;
  }
  json_decref(mine);
  return status;
}

static garam_status read_arrays(boosting *b, package_reader *r, garam_error *err) {
  const package_tensor *score, *train, *valid, *after;
  int64_t dims[2] = {(int64_t)b->k, (int64_t)b->d->n_rows}, rounds = b->round;
  TRY(package_get_finite(&score, r, "score", PACKAGE_F32, 2, dims, err));
  TRY(package_get(&train, r, "train_loss", PACKAGE_F64, 1, &rounds, err));
  TRY(package_get(&valid, r, "valid_loss", PACKAGE_F64, 1, &rounds, err));
  TRY(package_get(&after, r, "trees_after", PACKAGE_I64, 1, &rounds, err));
  trees *t;
  TRY(trees_load(&t, b->d->n_features, b->k, r, "trees.", err));
  garam_status status = GARAM_OK;
  int64_t before = 0;
  for (int64_t i = 0; i < rounds && status == GARAM_OK; i++) {
    int64_t n;
    memcpy(&n, (const char *)after->data + (size_t)i * sizeof n, sizeof n);
    if (n < before || (size_t)n > t->n_trees || (i == rounds - 1 && (size_t)n != t->n_trees))
      status = fail(err, GARAM_CORRUPT, "%s: trees_after is not in order", package_name(r));
    b->trees_after[i] = (size_t)n;
    before = n;
  }
  for (size_t i = 0; i < t->n_trees && status == GARAM_OK; i++)
    status = trees_builder_copy(b->built, t, i, err);
  trees_free(t);
  TRY(status);
  memcpy(b->score, score->data, score->bytes);
  memcpy(b->train_losses, train->data, train->bytes);
  memcpy(b->valid_losses, valid->data, valid->bytes);
  return GARAM_OK;
}

garam_status gbdt_checkpoint_read(boosting *b, garam_error *err) {
  package_reader *r = NULL;
  json_t *meta = NULL;
  char *path = NULL;
  garam_status status;
  int64_t round, best;
  TRY(file_name(&path, b, err));
  TRY_GOTO(done, package_open(&r, path, err));
  TRY_GOTO(done, package_get_meta(&meta, r, "checkpoint", err));
  TRY_GOTO(done, check_identity(meta, b, path, err));
  TRY_GOTO(done, json_get_int(&round, meta, "round", 1, b->config->rounds, path, err));
  TRY_GOTO(done, json_get_int(&best, meta, "best_round", 1, round, path, err));
  TRY_GOTO(done, json_get_f64(&b->seconds_before, meta, "seconds", path, err));
  b->round = (int)round;
  TRY_GOTO(done, read_arrays(b, r, err));
  b->best_round = (int)best;
  b->best_loss = b->valid_losses[best - 1];
done:
  json_decref(meta);
  package_close(r);
  mem_free(path);
  return status;
}
