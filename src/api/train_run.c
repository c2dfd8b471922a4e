/* One training run: see train_run.h. */
#include "api/train_run.h"

#include "api/splits.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const opt_row train_request_options[] = {
    {"model", OPT_STRING, OPT_AT(train_request, model), .def_text = "transformer",
     .help = "what learns; garam models lists them"},
    {"preset", OPT_STRING, OPT_AT(train_request, preset),
     .help = "settings of a size, by name; what else is given wins"},
    {"valid", OPT_STRING, OPT_AT(train_request, valid),
     .help = "DATA to validate on, in place of a part of the training data"},
    {"out", OPT_STRING, OPT_AT(train_request, out), .def_text = "model.safetensors",
     .help = "the package to write"},
    {"checkpoint", OPT_STRING, OPT_AT(train_request, checkpoint),
     .help =
         "folder of the checkpoint, removed when training is complete; OUT.checkpoint if empty"},
    {"resume", OPT_BOOL, OPT_AT(train_request, resume),
     .help = "go on from the checkpoint of an interrupted run, bit for bit"},
    {"curve", OPT_STRING, OPT_AT(train_request, curve),
     .help = "file for the training curve, one JSON object an epoch"},
    {"events", OPT_STRING, OPT_AT(train_request, events),
     .help = "folder for TensorBoard event files"},
};
const size_t train_request_n_options = COUNT_OF(train_request_options);

static const char default_model[] = "transformer";

garam_status train_request_init(train_request *r, const char *model, const char *preset,
                                garam_error *err) {
  memset(r, 0, sizeof *r);
  r->ops = learner_find(model && *model ? model : default_model, err);
  if (!r->ops) return err ? err->status : GARAM_NOT_FOUND;
  r->learner = mem_zalloc(r->ops->config_size);
  if (!r->learner) return fail_memory(err, r->ops->config_size);
  opt_set sets[TRAIN_MAX_SETS];
  size_t n = train_request_sets(sets, r);
  for (size_t i = 0; i < n; i++) opt_defaults(sets[i].rows, sets[i].n_rows, sets[i].config);
  snprintf(r->model, sizeof r->model, "%s", r->ops->name);
  if (!preset || !*preset) return GARAM_OK;
  snprintf(r->preset, sizeof r->preset, "%s", preset);
  return learner_apply_preset(r->ops, r->learner, preset, err);
}

void train_request_deinit(train_request *r) {
  mem_free(r->learner);
  memset(r, 0, sizeof *r);
}

size_t train_request_sets(opt_set sets[TRAIN_MAX_SETS], train_request *r) {
  pipeline_config *p = &r->pipeline;
  const opt_set all[] = {
      {"Training", train_request_options, train_request_n_options, r},
      {"Model", r->ops->options, r->ops->n_options, r->learner},
      {"Task and data", pipeline_options, pipeline_n_options, p},
      {"Label", label_options, label_n_options, &p->label},
      {"Features", feature_options, feature_n_options, &p->features},
      {"Market", bars_options, bars_n_options, &p->bars},
      {"Costs", cost_options, cost_n_options, &p->costs},
      {"Reading", table_read_options, table_read_n_options, &p->read},
  };
  _Static_assert(COUNT_OF(all) <= TRAIN_MAX_SETS, "TRAIN_MAX_SETS is too small");
  memcpy(sets, all, sizeof all);
  return COUNT_OF(all);
}

/* ---- what a checkpoint belongs to ------------------------------------------------------ */

/* Of everything that decides the weights: the values of the data, from wherever they came, and
 * every option but where output goes. */
static garam_status fingerprint(char out[IO_SHA256_TEXT], train_request *r, const table *t,
                                const table *valid, garam_error *err) {
  json_t *all = json_object();
  char digest[IO_SHA256_TEXT];
  opt_set sets[TRAIN_MAX_SETS];
  size_t n = train_request_sets(sets, r);
  for (size_t i = 1; i < n; i++) /* the first is where things are, and the model's name */
    json_object_set_new(all, sets[i].title,
                        opt_to_json(sets[i].rows, sets[i].n_rows, sets[i].config));
  json_object_set_new(all, "model", json_string(r->model));
  json_object_set_new(all, "seed", json_integer(r->seed));
  pipeline_digest(digest, t);
  json_object_set_new(all, "data", json_string(digest));
  if (valid) {
    pipeline_digest(digest, valid);
    json_object_set_new(all, "valid", json_string(digest));
  }
  char *text = json_text(all);
  json_decref(all);
  if (!text) return fail_memory(err, 0);
  io_sha256(out, text, strlen(text));
  mem_free(text);
  return GARAM_OK;
}

static bool has_checkpoint(const char *folder) {
  char *inside = mem_format("%s/", folder);
  char *last = inside ? checkpoint_path(inside, "last") : NULL;
  bool there = last && io_exists(last);
  mem_free(last);
  mem_free(inside);
  return there;
}

/* A finished run needs its checkpoint no more. Only plain files of that one folder are touched. */
static void remove_checkpoint(const char *folder) {
  DIR *d = opendir(folder);
  if (!d) return;
  for (struct dirent *e; (e = readdir(d));) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    char *path = mem_format("%s/%s", folder, e->d_name);
    if (path) unlink(path);
    mem_free(path);
  }
  closedir(d);
  rmdir(folder);
}

/* ---- the run --------------------------------------------------------------------------- */

typedef struct run {
  const train_hooks *hooks;
  FILE *curve;
  const char *curve_path;
  bool curve_failed;
} run;

static void write_curve(run *x, const fit_epoch *e) {
  json_t *o = json_object();
  json_object_set_new(o, "epoch", json_integer(e->epoch));
  json_object_set_new(o, "train_loss", json_number_or_null(e->train_loss));
  json_object_set_new(o, "valid_loss", json_number_or_null(e->valid_loss));
  json_object_set_new(o, "train_accuracy", json_number_or_null(e->train_accuracy));
  json_object_set_new(o, "valid_accuracy", json_number_or_null(e->valid_accuracy));
  json_object_set_new(o, "learning_rate", json_number_or_null(e->learning_rate));
  json_object_set_new(o, "seconds", json_number_or_null(e->seconds));
  json_object_set_new(o, "best", json_boolean(e->best));
  char *text = json_text(o);
  json_decref(o);
  if (!text || fprintf(x->curve, "%s\n", text) < 0 || fflush(x->curve) != 0) x->curve_failed = true;
  mem_free(text);
}

static void on_epoch(void *context, const fit_epoch *e) {
  run *x = context;
  if (x->curve) write_curve(x, e);
  if (x->hooks->on_epoch) x->hooks->on_epoch(x->hooks->context, e);
}

static void on_step(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss) {
  run *x = context;
  if (x->hooks->on_step) x->hooks->on_step(x->hooks->context, epoch, step, n_steps, loss);
}

static bool interrupted(void *context) {
  run *x = context;
  return x->hooks->interrupted && x->hooks->interrupted(x->hooks->context);
}

/* Rows of each part, as the manifest has them. */
static json_t *split_json(const pipeline *p) {
  static const char *const parts[] = {"train", "valid", "test"};
  const json_t *split = json_object_get(pipeline_manifest(p), "split");
  json_t *o = json_object();
  for (size_t i = 0; i < COUNT_OF(parts); i++) {
    const json_t *rows = json_object_get(json_object_get(split, parts[i]), "rows");
    json_object_set_new(o, parts[i], json_integer(json_integer_value(rows)));
  }
  return o;
}

static json_t *result_json(const train_request *r, const table *t, const pipeline *p,
                           const fit_summary *s) {
  json_t *o = json_object();
  size_t n = s->epochs > 0 ? (size_t)s->epochs : 0;
  json_object_set_new(o, "model", json_string(r->model));
  json_object_set_new(o, "preset", r->preset[0] ? json_string(r->preset) : json_null());
  json_object_set_new(o, "task", json_string(task_names[pipeline_task(p)]));
  json_object_set_new(o, "data", json_string(r->data));
  json_object_set_new(o, "rows", json_integer((json_int_t)t->n_rows));
  json_object_set_new(o, "split", split_json(p));
  json_object_set_new(o, "features", json_integer((json_int_t)pipeline_n_features(p)));
  json_object_set_new(o, "context", json_integer((json_int_t)pipeline_context(p)));
  json_object_set_new(o, "epochs", json_integer(s->epochs));
  json_object_set_new(o, "best_epoch", json_integer(s->best_epoch));
  json_object_set_new(o, "seconds", json_number_or_null(s->seconds));
  json_object_set_new(o, "train_loss",
                      s->train_loss ? json_array_f64(s->train_loss, n) : json_array());
  json_object_set_new(o, "valid_loss",
                      s->valid_loss ? json_array_f64(s->valid_loss, n) : json_array());
  json_object_set_new(o, "best_valid_loss", json_number_or_null(s->best_valid_loss));
  json_object_set_new(o, "parameters", json_integer((json_int_t)s->parameters));
  json_object_set_new(o, "out", json_string(r->out));
  json_object_set_new(o, "sha256", json_string(pipeline_sha256(p)));
  return o;
}

static garam_status warn_of_splits(const train_request *r, const table *t, garam_error *err) {
  if (r->pipeline.target[0]) return GARAM_OK;
  json_t *splits;
  char text[SPLITS_TEXT];
  TRY(splits_find(&splits, t, &r->pipeline.bars, NULL, NULL, err));
  if (splits_text(text, splits))
    log_warning("%s: %s; labels and features across it are wrong: adjust the prices first",
                t->source, text);
  json_decref(splits);
  return GARAM_OK;
}

garam_status train_run(json_t **result, train_request *r, const train_hooks *hooks,
                       garam_error *err) {
  static const train_hooks none;
  run x = {.hooks = hooks ? hooks : &none, .curve_path = r->curve};
  garam_status status;
  table *t = NULL, *valid = NULL;
  pipeline *p = NULL;
  fit_summary summary = {0};
  char print[IO_SHA256_TEXT];
  *result = NULL;
  r->pipeline.seed = r->seed;
  if (!r->checkpoint[0] && snprintf(r->checkpoint, sizeof r->checkpoint, "%s.checkpoint", r->out) >=
                               (int)sizeof r->checkpoint)
    return fail(err, GARAM_INVALID, "--out: the path is too long");
  TRY(io_check_writable(r->out, err));
  bool there = has_checkpoint(r->checkpoint);
  if (r->resume && !there)
    log_info("%s holds no checkpoint yet: training starts from the beginning", r->checkpoint);
  if (there && !r->resume)
    log_warning("%s holds the checkpoint of a run that was not finished; it starts anew now "
                "(--resume would go on from it)",
                r->checkpoint);

  TRY_GOTO(done,
           table_open(&t, r->data, &r->pipeline.read, x.hooks->on_read, x.hooks->context, err));
  if (r->valid[0])
    TRY_GOTO(done, table_open(&valid, r->valid, &r->pipeline.read, x.hooks->on_read,
                              x.hooks->context, err));
  if (x.hooks->on_rows) x.hooks->on_rows(x.hooks->context, t);
  TRY_GOTO(done, warn_of_splits(r, t, err));
  TRY_GOTO(done, fingerprint(print, r, t, valid, err));
  if (r->curve[0]) {
    x.curve = fopen(r->curve, r->resume ? "ae" : "we");
    if (!x.curve) {
      status = fail(err, GARAM_IO, "%s: cannot write: %s", r->curve, strerror(errno));
      goto done;
    }
  }
  const fit_context fit = {
      .seed = (uint64_t)r->seed,
      .on_epoch = on_epoch,
      .on_step = on_step,
      .interrupted = interrupted,
      .context = &x,
      .checkpoint = r->checkpoint,
      .resume = r->resume && there,
      .events = r->events[0] ? r->events : NULL,
      .fingerprint = print,
  };
  TRY_GOTO(done, io_make_folder(r->checkpoint, err));
  TRY_GOTO(done, pipeline_fit(&p, t, valid, &r->pipeline, r->ops, r->learner, &fit, &summary, err));
  TRY_GOTO(done, pipeline_save(p, r->out, err));
  remove_checkpoint(r->checkpoint);
  if (x.curve_failed) log_warning("%s: the curve is incomplete: cannot write", r->curve);
  *result = result_json(r, t, p, &summary);
  if (!*result) status = fail_memory(err, 0);
done:
  rmdir(r->checkpoint); /* only if it is empty: a learner need not have checkpoints */
  if (x.curve) fclose(x.curve);
  fit_summary_deinit(&summary);
  pipeline_free(p);
  table_free(valid);
  table_free(t);
  return status;
}
