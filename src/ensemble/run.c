/* The run of an ensemble's fit: see run.h. A finished unit is FOLDER/unit-N.safetensors, with the
 * member's arrays; FOLDER/last.safetensors says how many there are and whose. */
#include "ensemble/run.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "ensemble/part.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { VERSION = 1 };

uint64_t run_seed(const run *r, int unit) {
  uint32_t words[4];
  rng_philox(words, r->fit->seed, RNG_ENSEMBLE, (uint64_t)unit, 0);
  return (uint64_t)words[1] << 32 | words[0];
}

/* ---- progress ---------------------------------------------------------------------------- */

static void on_step(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss) {
  const run *r = context;
  (void)epoch;
  if (r->fit->on_step) r->fit->on_step(r->fit->context, r->n_done + 1, step, n_steps, loss);
}

static bool interrupted(void *context) {
  const run *r = context;
  return r->fit->interrupted && r->fit->interrupted(r->fit->context);
}

void run_unit_done(run *r, double train_loss, double valid_loss, double valid_accuracy, bool best) {
  REQUIRE(r->n_done < r->n_units, "run_unit_done: more than %d units", r->n_units);
  r->train_loss[r->n_done] = train_loss;
  r->valid_loss[r->n_done] = valid_loss;
  fit_epoch e = {.epoch = ++r->n_done,
                 .n_epochs = r->n_units,
                 .train_loss = train_loss,
                 .valid_loss = valid_loss,
                 .train_accuracy = NAN,
                 .valid_accuracy = valid_accuracy,
                 .learning_rate = NAN,
                 .seconds = (double)(clock_monotonic_ns() - r->started) / 1e9,
                 .best = best};
  if (r->fit->on_epoch) r->fit->on_epoch(r->fit->context, &e);
}

/* ---- whose checkpoint it is ---------------------------------------------------------------- */

static void add_digest(json_t *o, const char *key, const void *data, size_t size) {
  char text[IO_SHA256_TEXT];
  if (!data) return;
  io_sha256(text, data, size);
  json_object_set_new(o, key, json_string(text));
}

static json_t *identity_of(const learner_ops *ops, const void *config, const dataset *d,
                           row_set train, row_set valid, const fit_context *fit) {
  char seed[24];
  snprintf(seed, sizeof seed, "%" PRIu64, fit->seed);
  json_t *o = json_pack("{s:s, s:o, s:s, s:s}", "model", ops->name, "options",
                        opt_to_json(ops->options, ops->n_options, config), "seed", seed,
                        "fingerprint", fit->fingerprint ? fit->fingerprint : "");
  if (!o) return NULL;
  add_digest(o, "inputs", d->x, d->n_rows * d->n_features * sizeof *d->x);
  add_digest(o, "classes", d->y, d->n_rows * sizeof *d->y);
  if (d->task == TASK_REGRESSION) add_digest(o, "values", d->value, d->n_rows * sizeof *d->value);
  add_digest(o, "weights", d->weight, d->n_rows * sizeof *d->weight);
  add_digest(o, "training rows", train.rows, train.n * sizeof *train.rows);
  add_digest(o, "validation rows", valid.rows, valid.n * sizeof *valid.rows);
  return o;
}

static garam_status check_identity(const run *r, const char *path, const json_t *there,
                                   garam_error *err) {
  const char *key;
  json_t *value;
  json_object_foreach(r->identity, key, value) {
    if (json_equal(json_object_get(there, key), value)) continue;
    return fail(err, GARAM_MISMATCH,
                "%s: this checkpoint belongs to another run: its %s differ; train without "
                "--resume, or with the data and options it was begun with",
                path, key);
  }
  return GARAM_OK;
}

/* ---- files ------------------------------------------------------------------------------- */

static char *unit_path(const run *r, int unit) {
  return mem_format("%s/unit-%d.safetensors", r->fit->checkpoint, unit + 1);
}

static garam_status read_last(run *r, garam_error *err) {
  package_reader *reader = NULL;
  json_t *meta = NULL;
  int64_t version, units;
  garam_status status = GARAM_OK;
  char *path = mem_format("%s/last.safetensors", r->fit->checkpoint);
  if (!path) return fail_memory(err, 64);
  if (!io_exists(path)) goto done;
  TRY_GOTO(done, package_open(&reader, path, err));
  TRY_GOTO(done, package_get_meta(&meta, reader, "ensemble", err));
  TRY_GOTO(done, json_get_int(&version, meta, "version", 1, INT32_MAX, path, err));
  if (version != VERSION)
    TRY_GOTO(done, fail(err, GARAM_UNSUPPORTED, "%s: checkpoint of version %d; this is %d", path,
                        (int)version, VERSION));
  TRY_GOTO(done, json_get_int(&units, meta, "units", 0, r->n_units, path, err));
  TRY_GOTO(done, check_identity(r, path, json_object_get(meta, "identity"), err));
  r->n_kept = (int)units;
  log_info("resumed from %s: %d of %d fits are done", path, r->n_kept, r->n_units);
done:
  json_decref(meta);
  package_close(reader);
  mem_free(path);
  return status;
}

static garam_status write_last(const run *r, int units, garam_error *err) {
  package_writer *w = NULL;
  int64_t one = 1, count = units;
  garam_status status;
  char *path = mem_format("%s/last.safetensors", r->fit->checkpoint);
  json_t *meta =
      json_pack("{s:i, s:i, s:O}", "version", VERSION, "units", units, "identity", r->identity);
  if (!path || !meta) TRY_GOTO(done, fail_memory(err, 256));
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, package_add(w, "units", PACKAGE_I64, 1, &one, &count, err));
  TRY_GOTO(done, package_set_meta(w, "ensemble", meta, err));
  status = package_write(w, path, err);
done:
  package_writer_free(w);
  json_decref(meta);
  mem_free(path);
  return status;
}

static garam_status write_unit(const run *r, const member *m, garam_error *err) {
  package_writer *w = NULL;
  garam_status status;
  char *path = unit_path(r, r->n_done);
  if (!path) return fail_memory(err, 64);
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, member_save(m, w, "", err));
  TRY_GOTO(done, package_write(w, path, err));
  status = write_last(r, r->n_done + 1, err);
done:
  package_writer_free(w);
  mem_free(path);
  return status;
}

/* A failed load leaves m without a learner. */
static garam_status read_unit(const run *r, member *m, const member_spec *spec,
                              const member_scaling *scaling, garam_error *err) {
  package_reader *reader = NULL;
  member loaded;
  learner_shape outer = m->outer;
  garam_status status;
  char *path = unit_path(r, r->n_done);
  if (!path) return fail_memory(err, 64);
  TRY_GOTO(done, package_open(&reader, path, err));
  TRY_GOTO(done, member_load(&loaded, spec, &outer, m->features ? m->shape.n_features : 0, scaling,
                             reader, "", err));
  member_deinit(m);
  *m = loaded;
done:
  package_close(reader);
  mem_free(path);
  return status;
}

/* ---- the run ----------------------------------------------------------------------------- */

garam_status run_begin(run *r, const learner_ops *ops, const void *config, const dataset *d,
                       row_set train, row_set valid, const fit_context *fit, size_t n_units,
                       garam_error *err) {
  static const fit_context none;
  garam_status status = GARAM_OK;
  *r = (run){.name = ops->name,
             .fit = fit ? fit : &none,
             .n_units = (int)n_units,
             .started = clock_monotonic_ns()};
  r->inner = (fit_context){.on_step = on_step, .interrupted = interrupted, .context = r};
  r->train_loss = mem_array(n_units + 1, sizeof *r->train_loss);
  r->valid_loss = mem_array(n_units + 1, sizeof *r->valid_loss);
  if (!r->train_loss || !r->valid_loss) TRY_GOTO(done, fail_memory(err, n_units * sizeof(double)));
  if (!r->fit->checkpoint) return GARAM_OK;
  r->identity = identity_of(ops, config, d, train, valid, r->fit);
  if (!r->identity) TRY_GOTO(done, fail_memory(err, 1024));
  TRY_GOTO(done, io_make_folder(r->fit->checkpoint, err));
  if (r->fit->resume) TRY_GOTO(done, read_last(r, err));
done:
  if (status != GARAM_OK) run_deinit(r);
  return status;
}

void run_deinit(run *r) {
  mem_free(r->train_loss);
  mem_free(r->valid_loss);
  json_decref(r->identity);
  *r = (run){0};
}

garam_status run_member(run *r, member *m, const member_spec *spec, const dataset *d, row_set train,
                        row_set valid, const member_scaling *scaling, garam_error *err) {
  if (r->n_done < r->n_kept) return read_unit(r, m, spec, scaling, err);
  if (interrupted(r))
    return fail(err, GARAM_INTERRUPTED, "%s: stopped after %d of %d fits", r->name, r->n_done,
                r->n_units);
  r->inner.seed = run_seed(r, r->n_done);
  garam_status status = member_fit(m, d, train, valid, scaling, &r->inner, NULL, err);
  if (status == GARAM_INTERRUPTED)
    return fail(err, status, "%s: stopped after %d of %d fits", r->name, r->n_done, r->n_units);
  if (status != GARAM_OK)
    return fail_within(err, status, "%s: fit %d of %d, %s", r->name, r->n_done + 1, r->n_units,
                       m->ops->name);
  return r->fit->checkpoint ? write_unit(r, m, err) : GARAM_OK;
}

/* A row of one of these names that is not 0. */
static bool stops_early(const member_spec *spec) {
  static const char *const names[] = {"patience", "early-stopping", "stop-share"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    const opt_row *row = opt_find(spec->ops->options, spec->ops->n_options, names[i]);
    char text[OPT_TEXT_MAX];
    if (row && strcmp(opt_value_text(text, row, spec->config), "0") != 0) return true;
  }
  return false;
}

garam_status run_member_cut(run *r, member *m, const member_spec *spec, const dataset *d,
                            row_set train, row_set valid, const member_scaling *scaling,
                            double share, size_t embargo, garam_error *err) {
  fold cut = {0};
  row_set used = train, stopping = valid;
  if (valid.n == 0 && share > 0 && stops_early(spec)) {
    TRY(part_stopping(&cut, d, train, share, embargo, run_seed(r, r->n_done), err));
    used = cut.train;
    stopping = cut.valid;
  }
  garam_status status = run_member(r, m, spec, d, used, stopping, scaling, err);
  fold_deinit(&cut);
  return status;
}

void run_end(run *r, fit_summary *summary, int best, double best_loss, size_t parameters) {
  if (!summary) return;
  *summary = (fit_summary){.epochs = r->n_done,
                           .best_epoch = best,
                           .seconds = (double)(clock_monotonic_ns() - r->started) / 1e9,
                           .best_valid_loss = best_loss,
                           .parameters = parameters,
                           .train_loss = r->train_loss,
                           .valid_loss = r->valid_loss};
  r->train_loss = r->valid_loss = NULL;
}
