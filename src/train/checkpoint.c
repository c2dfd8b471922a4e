/* Checkpoints: see checkpoint.h. Blocks and the curve are arrays; counters and identity are the
 * "checkpoint" entry of the metadata. Doubles that must come back exactly are in arrays. */
#include "train/checkpoint.h"

#include "base/io.h"
#include "base/mem.h"

#include <string.h>

enum { VERSION = 1, N_EXACT = 2 + CHECKPOINT_SUMS };

char *checkpoint_path(const char *folder, const char *which) {
  return mem_format("%s/%s.safetensors", folder, which);
}

enum { MAX_PARTS = 2 + OPTIM_ARRAYS };

static size_t parts_of(optim_array out[MAX_PARTS], const checkpoint *c) {
  const size_t bytes = c->block * sizeof(float);
  out[0] = (optim_array){"params", PACKAGE_F32, c->block, bytes, c->params};
  out[1] = (optim_array){"best", PACKAGE_F32, c->block, bytes, c->best};
  for (size_t i = 0; i < c->n_optim; i++) out[2 + i] = c->optim[i];
  return 2 + c->n_optim;
}

garam_status checkpoint_write(const checkpoint *c, const char *path, garam_error *err) {
  package_writer *w = NULL;
  json_t *meta = json_pack("{s:i, s:I, s:i, s:O}", "version", VERSION, "step", (json_int_t)c->step,
                           "best_epoch", c->best_epoch, "identity", c->identity);
  garam_status status = GARAM_OK;
  double exact[N_EXACT] = {c->best_value, c->seconds};
  memcpy(exact + 2, c->sums, sizeof c->sums);
  if (!meta) TRY_GOTO(done, fail_memory(err, 256));
  TRY_GOTO(done, package_writer_new(&w, err));
  optim_array parts[MAX_PARTS];
  const size_t n_parts = parts_of(parts, c);
  for (size_t i = 0; i < n_parts; i++)
    TRY_GOTO(done, package_add(w, parts[i].name, parts[i].type, 1,
                               (const int64_t[]){(int64_t)parts[i].count}, parts[i].data, err));
  const int64_t shape[2] = {(int64_t)c->curve.n, CURVE_COLUMNS}, n_exact = N_EXACT;
  TRY_GOTO(done, package_add(w, "curve", PACKAGE_F64, 2, shape, c->curve.rows, err));
  TRY_GOTO(done, package_add(w, "exact", PACKAGE_F64, 1, &n_exact, exact, err));
  TRY_GOTO(done, package_set_meta(w, "checkpoint", meta, err));
  status = package_write(w, path, err);
done:
  package_writer_free(w);
  json_decref(meta);
  return status;
}

static garam_status differs(const char *path, const char *what, const json_t *there,
                            const json_t *here, garam_error *err) {
  char *was = there ? json_text(there) : NULL, *is = here ? json_text(here) : NULL;
  garam_status status =
      fail(err, GARAM_MISMATCH,
           "%s: this checkpoint belongs to another run: %s was %.80s and is now %.80s; train "
           "without --resume, or with the data and options it was begun with",
           path, what, was ? was : "absent", is ? is : "absent");
  mem_free(was);
  mem_free(is);
  return status;
}

/* Both objects hold the same keys and values; nested ones are walked to name what differs. */
static garam_status same_identity(const char *path, const char *what, json_t *there, json_t *here,
                                  garam_error *err) {
  const char *key;
  json_t *value;
  if (!json_is_object(there) || !json_is_object(here))
    return json_equal(there, here) ? GARAM_OK : differs(path, what, there, here, err);
  json_object_foreach(here, key, value) {
    json_t *other = json_object_get(there, key);
    if (!other) return differs(path, key, NULL, value, err);
    TRY(same_identity(path, key, other, value, err));
  }
  json_object_foreach(there, key, value) {
    if (!json_object_get(here, key)) return differs(path, key, value, NULL, err);
  }
  return GARAM_OK;
}

garam_status checkpoint_same_identity(const char *path, json_t *there, json_t *here,
                                      garam_error *err) {
  return same_identity(path, "the run", there, here, err);
}

garam_status checkpoint_read(checkpoint *c, const char *path, garam_error *err) {
  package_reader *r = NULL;
  json_t *meta = NULL, *identity;
  garam_status status = GARAM_OK;
  int64_t version, step, best_epoch;
  TRY_GOTO(done, package_open(&r, path, err));
  TRY_GOTO(done, package_get_meta(&meta, r, "checkpoint", err));
  TRY_GOTO(done, json_get_int(&version, meta, "version", 1, INT32_MAX, path, err));
  if (version != VERSION)
    TRY_GOTO(done, fail(err, GARAM_UNSUPPORTED, "%s: checkpoint of version %lld; this is %d", path,
                        (long long)version, VERSION));
  TRY_GOTO(done, json_get_int(&step, meta, "step", 0, INT64_MAX, path, err));
  TRY_GOTO(done, json_get_object(&identity, meta, "identity", path, err));
  TRY_GOTO(done, checkpoint_same_identity(path, identity, c->identity, err));

  const package_tensor *blocks[MAX_PARTS], *rows, *exact;
  optim_array parts[MAX_PARTS];
  const size_t n_parts = parts_of(parts, c);
  for (size_t i = 0; i < n_parts; i++)
    TRY_GOTO(done, package_get(&blocks[i], r, parts[i].name, parts[i].type, 1,
                               (const int64_t[]){(int64_t)parts[i].count}, err));
  TRY_GOTO(done, package_get(&rows, r, "curve", PACKAGE_F64, 2,
                             (const int64_t[]){-1, CURVE_COLUMNS}, err));
  TRY_GOTO(done, package_get(&exact, r, "exact", PACKAGE_F64, 1, (const int64_t[]){N_EXACT}, err));
  TRY_GOTO(done, json_get_int(&best_epoch, meta, "best_epoch", 0, rows->dims[0], path, err));
  TRY_GOTO(done, curve_reserve(&c->curve, (size_t)rows->dims[0], err));

  double values[N_EXACT];
  memcpy(values, exact->data, sizeof values);
  c->step = (uint64_t)step;
  c->best_epoch = (int)best_epoch;
  c->best_value = values[0];
  c->seconds = values[1];
  memcpy(c->sums, values + 2, sizeof c->sums);
  c->curve.n = (size_t)rows->dims[0];
  if (rows->bytes) memcpy(c->curve.rows, rows->data, rows->bytes);
  for (size_t i = 0; i < n_parts; i++) memcpy(parts[i].data, blocks[i]->data, blocks[i]->bytes);
done:
  json_decref(meta);
  package_close(r);
  return status;
}

garam_status checkpoint_micro_batch(int *out, const char *path, garam_error *err) {
  package_reader *r = NULL;
  json_t *meta = NULL, *identity;
  garam_status status = GARAM_OK;
  int64_t rows;
  TRY_GOTO(done, package_open(&r, path, err));
  TRY_GOTO(done, package_get_meta(&meta, r, "checkpoint", err));
  TRY_GOTO(done, json_get_object(&identity, meta, "identity", path, err));
  TRY_GOTO(done, json_get_int(&rows, identity, "micro-batch", 1, INT32_MAX, path, err));
  *out = (int)rows;
done:
  json_decref(meta);
  package_close(r);
  return status;
}
