/* The manifest: the record of a pipeline as JSON, and its strict reading. What a table must be
 * treated with to give what the learner was trained on, how its answers are made odds, and from
 * which rows all of it came. Two fits of the same data give the same bytes: no clock in it. */
#include "learn/pipeline_inner.h"

#include "base/clock.h"
#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_FEATURES = 65536, MOST_NAMES = 4096, MOST_EPOCHS = 10000000 };

/* The sets of rows, and the part of the config that they fill. */
static const struct {
  const char *key;
  const opt_row *rows;
  const size_t *n_rows;
  size_t offset;
} sets[] = {
    {"read", table_read_options, &table_read_n_options, offsetof(pipeline_config, read)},
    {"bars", bars_options, &bars_n_options, offsetof(pipeline_config, bars)},
    {"features", feature_options, &feature_n_options, offsetof(pipeline_config, features)},
    {"label", label_options, &label_n_options, offsetof(pipeline_config, label)},
    {"costs", cost_options, &cost_n_options, offsetof(pipeline_config, costs)},
    {"pipeline", pipeline_options, &pipeline_n_options, 0},
};

/* ---- building ----------------------------------------------------------------------------- */

static json_t *names_to_json(char *const *names, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < n; i++)
    if (json_array_append_new(array, json_string(names[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static json_t *counts_to_json(const size_t *counts, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; array && counts && i < n; i++)
    if (json_array_append_new(array, json_integer((json_int_t)counts[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

json_t *manifest_options(const pipeline_config *c) {
  json_t *object = json_object();
  for (size_t i = 0; object && i < COUNT_OF(sets); i++)
    if (json_object_set_new(
            object, sets[i].key,
            opt_to_json(sets[i].rows, *sets[i].n_rows, (const char *)c + sets[i].offset)) != 0) {
      json_decref(object);
      return NULL;
    }
  return object;
}

static json_t *inputs_to_json(const pipeline *p) {
  json_t *array = json_array();
  for (size_t i = 0; array && i < p->n_inputs; i++) {
    const input *in = &p->inputs[i];
    json_t *one =
        json_pack("{s:s, s:s, s:o}", "column", in->column, "kind", input_kind_names[in->kind],
                  "names", names_to_json(in->names, in->n_names));
    if (json_array_append_new(array, one) != 0) {
      json_decref(array);
      return NULL;
    }
  }
  return array;
}

/* Nanoseconds for the machine, text for the reader. */
static json_t *part_to_json(const part *s, bool timed) {
  json_t *one =
      json_pack("{s:I, s:I, s:I, s:I}", "rows", (json_int_t)s->rows, "begin", (json_int_t)s->begin,
                "end", (json_int_t)s->end, "label_end", (json_int_t)s->label_end);
  if (!one || !timed || s->rows == 0) return one;
  char from[CLOCK_TEXT_MAX], to[CLOCK_TEXT_MAX];
  clock_format(from, s->begin);
  clock_format(to, s->end);
  if (json_object_set_new(one, "from", json_string(from)) != 0 ||
      json_object_set_new(one, "to", json_string(to)) != 0) {
    json_decref(one);
    return NULL;
  }
  return one;
}

static json_t *fit_to_json(const fit_summary *f) {
  size_t n = (size_t)f->epochs;
  return json_pack("{s:i, s:i, s:o, s:I, s:o, s:o}", "epochs", f->epochs, "best_epoch",
                   f->best_epoch, "best_valid_loss", json_number_or_null(f->best_valid_loss),
                   "parameters", (json_int_t)f->parameters, "train_loss",
                   json_array_f64(f->train_loss, f->train_loss ? n : 0), "valid_loss",
                   json_array_f64(f->valid_loss, f->valid_loss ? n : 0));
}

static bool put(json_t *object, const char *key, json_t *value) {
  return json_object_set_new(object, key, value) == 0;
}

garam_status manifest_build(pipeline *p, garam_error *err) {
  size_t k = p->shape.n_classes > 0 ? (size_t)p->shape.n_classes : 0;
  json_t *m = json_pack("{s:i, s:s, s:s, s:s, s:I}", "format", PIPELINE_FORMAT, "garam",
                        GARAM_VERSION, "task", task_names[p->shape.task], "kind",
                        p->market ? "market" : "table", "seed", (json_int_t)p->config.seed);
  bool ok =
      m && put(m, "options", manifest_options(&p->config)) &&
      put(m, "learner",
          json_pack("{s:s, s:o, s:I}", "name", p->ops->name, "options",
                    opt_to_json(p->ops->options, p->ops->n_options, p->learner_config), "context",
                    (json_int_t)p->context)) &&
      put(m, "features", names_to_json(p->feature_names, p->shape.n_features)) &&
      put(m, "dropped_features", json_incref(p->dropped)) &&
      put(m, "classes", names_to_json(p->class_names, k)) &&
      put(m, "dead_band", json_number_or_null(p->dead_band)) &&
      put(m, "roles", json_string(p->roles)) && put(m, "inputs", inputs_to_json(p)) &&
      put(m, "scaler",
          json_pack("{s:b, s:f, s:f, s:f}", "used", p->scaled, "clip", (double)p->scaler.clip,
                    "value_center", p->value_center, "value_scale", p->value_scale)) &&
      put(m, "calibration",
          json_pack("{s:I, s:s, s:b, s:f, s:f, s:f, s:f, s:o}", "rows",
                    (json_int_t)p->calibration_rows, "method",
                    calibration_names[p->calibrator.kind], "gated", p->novelty.n > 0, "temperature",
                    p->calibrator.temperature, "target", PIPELINE_TARGET, "threshold", p->threshold,
                    "directional_threshold", p->directional_threshold, "conformal",
                    json_number_or_null(p->conformal))) &&
      put(m, "split",
          json_pack("{s:b, s:o, s:o, s:o, s:I}", "timed", p->timed, "train",
                    part_to_json(&p->train, p->timed), "valid", part_to_json(&p->valid, p->timed),
                    "test", part_to_json(&p->test, p->timed), "left_out", (json_int_t)p->purged)) &&
      put(m, "data",
          json_pack("{s:s, s:I, s:I, s:s, s:s, s:o, s:f}", "source", p->source, "rows",
                    (json_int_t)p->data_rows, "repaired_rows", (json_int_t)p->repaired_rows,
                    "sha256", p->digest, "valid_sha256", p->valid_digest, "class_counts",
                    counts_to_json(p->class_counts, k), "train_mean", p->train_mean)) &&
      put(m, "fit", fit_to_json(&p->fit)) && put(m, "warnings", json_incref(p->warnings));
  if (!ok) {
    json_decref(m);
    return fail_memory(err, 4096);
  }
  json_decref(p->manifest);
  p->manifest = m;
  return GARAM_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

static garam_status parse_names(char ***out, size_t *n, const json_t *object, const char *key,
                                size_t least, size_t most, const char *where, garam_error *err) {
  json_t *array;
  *out = NULL;
  *n = 0;
  TRY(json_get_array(&array, object, key, where, err));
  size_t size = json_array_size(array);
  if (size < least || size > most)
    return fail(err, GARAM_CORRUPT, "%s: \"%s\" has %zu names; expected %zu to %zu", where, key,
                size, least, most);
  char **names = mem_array(size + 1, sizeof *names);
  if (!names) return fail_memory(err, size * sizeof *names);
  for (size_t i = 0; i < size; i++) {
    const json_t *text = json_array_get(array, i);
    if (!json_is_string(text) || strlen(json_string_value(text)) != json_string_length(text)) {
      names_free(names, i);
      return fail(err, GARAM_CORRUPT, "%s: \"%s\": name %zu is not text", where, key, i);
    }
    names[i] = mem_strdup(json_string_value(text));
    if (!names[i]) {
      names_free(names, i);
      return fail_memory(err, 64);
    }
  }
  *out = names;
  *n = size;
  return GARAM_OK;
}

static garam_status parse_choice(int *out, const json_t *object, const char *key,
                                 const char *const *choices, const char *where, garam_error *err) {
  const char *text;
  TRY(json_get_string(&text, object, key, where, err));
  for (*out = 0; choices[*out]; (*out)++)
    if (strcmp(choices[*out], text) == 0) return GARAM_OK;
  return fail(err, GARAM_CORRUPT, "%s: \"%s\": \"%.64s\" is not known", where, key, text);
}

/* A number in [low, high]. */
static garam_status parse_f64(double *out, const json_t *object, const char *key, double low,
                              double high, const char *where, garam_error *err) {
  TRY(json_get_f64(out, object, key, where, err));
  if (!(*out >= low && *out <= high))
    return fail(err, GARAM_CORRUPT, "%s: \"%s\" is %g; expected %g to %g", where, key, *out, low,
                high);
  return GARAM_OK;
}

static garam_status parse_size(size_t *out, const json_t *object, const char *key,
                               const char *where, garam_error *err) {
  int64_t value;
  TRY(json_get_int(&value, object, key, 0, INT64_C(1) << 48, where, err));
  *out = (size_t)value;
  return GARAM_OK;
}

static garam_status parse_text(char *out, size_t size, const json_t *object, const char *key,
                               const char *where, garam_error *err) {
  const char *text;
  TRY(json_get_string(&text, object, key, where, err));
  if (strlen(text) >= size)
    return fail(err, GARAM_CORRUPT, "%s: \"%s\" is longer than %zu characters", where, key,
                size - 1);
  memcpy(out, text, strlen(text) + 1);
  return GARAM_OK;
}

static garam_status parse_options(pipeline *p, const json_t *m, const char *where,
                                  garam_error *err) {
  json_t *options, *set;
  p->config = pipeline_config_default();
  TRY(json_get_object(&options, m, "options", where, err));
  for (size_t i = 0; i < COUNT_OF(sets); i++) {
    TRY(json_get_object(&set, options, sets[i].key, where, err));
    TRY(opt_from_json(sets[i].rows, *sets[i].n_rows, (char *)&p->config + sets[i].offset, set,
                      where, err));
  }
  return json_get_int(&p->config.seed, m, "seed", INT64_MIN, INT64_MAX, where, err);
}

static garam_status parse_learner(pipeline *p, const json_t *m, const char *where,
                                  garam_error *err) {
  json_t *object, *options;
  const char *name;
  TRY(json_get_object(&object, m, "learner", where, err));
  TRY(json_get_string(&name, object, "name", where, err));
  p->ops = learner_find(name, err);
  if (!p->ops) return fail_within(err, GARAM_UNSUPPORTED, "%s", where);
  if (!(p->ops->tasks >> p->shape.task & 1u))
    return fail(err, GARAM_CORRUPT, "%s: \"%s\" does no %s", where, name,
                task_names[p->shape.task]);
  p->learner_config = mem_zalloc(p->ops->config_size ? p->ops->config_size : 1);
  if (!p->learner_config) return fail_memory(err, p->ops->config_size);
  opt_defaults(p->ops->options, p->ops->n_options, p->learner_config);
  TRY(json_get_object(&options, object, "options", where, err));
  TRY(opt_from_json(p->ops->options, p->ops->n_options, p->learner_config, options, where, err));
  return parse_size(&p->context, object, "context", where, err);
}

static garam_status parse_inputs(pipeline *p, const json_t *m, const char *where,
                                 garam_error *err) {
  json_t *array;
  TRY(json_get_array(&array, m, "inputs", where, err));
  size_t n = json_array_size(array);
  if (n > MOST_FEATURES || (n == 0) != p->market)
    return fail(err, GARAM_CORRUPT, "%s: %zu \"inputs\"", where, n);
  p->inputs = mem_array(n + 1, sizeof *p->inputs);
  if (!p->inputs) return fail_memory(err, n * sizeof *p->inputs);
  for (size_t i = 0; i < n; i++) {
    const json_t *one = json_array_get(array, i);
    input *in = &p->inputs[p->n_inputs++];
    const char *name;
    int kind;
    TRY(json_get_string(&name, one, "column", where, err));
    in->column = mem_strdup(name);
    if (!in->column) return fail_memory(err, strlen(name) + 1);
    TRY(parse_choice(&kind, one, "kind", input_kind_names, where, err));
    in->kind = (input_kind)kind;
    TRY(parse_names(&in->names, &in->n_names, one, "names", 0, MOST_NAMES, where, err));
    for (size_t j = 1; j < in->n_names; j++)
      if (strcmp(in->names[j - 1], in->names[j]) >= 0)
        return fail(err, GARAM_CORRUPT, "%s: input \"%s\": its names are not in order", where,
                    name);
  }
  return GARAM_OK;
}

static garam_status parse_names_of(pipeline *p, const json_t *m, const char *where,
                                   garam_error *err) {
  size_t n, k;
  TRY(parse_names(&p->feature_names, &n, m, "features", 1, MOST_FEATURES, where, err));
  p->shape.n_features = n;
  bool regression = !task_has_classes(p->shape.task);
  TRY(parse_names(&p->class_names, &k, m, "classes", regression ? 0 : 2, regression ? 0 : 1000,
                  where, err));
  p->shape.n_classes = (int)k;
  if (p->shape.task == TASK_BINARY && k != 2)
    return fail(err, GARAM_CORRUPT, "%s: a binary task of %zu classes", where, k);
  if (p->market && !regression && k != 2 && k != 3)
    return fail(err, GARAM_CORRUPT, "%s: %zu market classes", where, k);
  TRY(parse_inputs(p, m, where, err));
  if (!p->market) return table_check_features(p, where, err);
  size_t look_back;
  garam_status status = features_look_back(&look_back, p->feature_names, n, err);
  return status == GARAM_OK ? status : fail_within(err, status, "%s", where);
}

static garam_status parse_calibration(pipeline *p, const json_t *m, const char *where,
                                      garam_error *err) {
  json_t *c, *s, *conformal;
  TRY(json_get_object(&s, m, "scaler", where, err));
  TRY(json_get_bool(&p->scaled, s, "used", where, err));
  if (p->scaled != p->ops->wants_scaled)
    return fail(err, GARAM_MISMATCH,
                "%s: \"%s\" of this version %s scaled inputs, the file's does "
                "not agree",
                where, p->ops->name, p->ops->wants_scaled ? "wants" : "wants no");
  double clip;
  TRY(parse_f64(&clip, s, "clip", 0, 1e6, where, err));
  p->scaler.clip = (float)clip;
  TRY(parse_f64(&p->value_center, s, "value_center", -FLT_MAX, FLT_MAX, where, err));
  TRY(parse_f64(&p->value_scale, s, "value_scale", DBL_MIN, FLT_MAX, where, err));
  TRY(json_get_object(&c, m, "calibration", where, err));
  TRY(parse_size(&p->calibration_rows, c, "rows", where, err));
  double temperature;
  int method = CALIBRATION_TEMPERATURE; /* files from before there were others */
  bool gated = false;
  TRY(parse_f64(&temperature, c, "temperature", 1e-3, 1e3, where, err));
  if (json_object_get(c, "method"))
    TRY(parse_choice(&method, c, "method", calibration_names, where, err));
  if (json_object_get(c, "gated")) TRY(json_get_bool(&gated, c, "gated", where, err));
  if (method == CALIBRATION_AUTO)
    return fail(err, GARAM_CORRUPT, "%s: \"method\": which one is not said", where);
  calibrator_init(&p->calibrator, p->shape.n_classes);
  p->calibrator.kind = method; /* its maps, and the gate's rows, come from the arrays */
  p->calibrator.temperature = temperature;
  p->gated = gated;
  TRY(parse_f64(&p->threshold, c, "threshold", 0, 2, where, err));
  TRY(parse_f64(&p->directional_threshold, c, "directional_threshold", 0, 2, where, err));
  conformal = json_object_get(c, "conformal");
  p->conformal = INFINITY;
  if (json_is_null(conformal) && !task_has_classes(p->shape.task)) return GARAM_OK;
  return parse_f64(&p->conformal, c, "conformal", 0, task_has_classes(p->shape.task) ? 1 : DBL_MAX,
                   where, err);
}

static garam_status parse_part(part *out, const json_t *split, const char *key, const char *where,
                               garam_error *err) {
  json_t *one;
  TRY(json_get_object(&one, split, key, where, err));
  TRY(parse_size(&out->rows, one, "rows", where, err));
  TRY(json_get_int(&out->begin, one, "begin", INT64_MIN, INT64_MAX, where, err));
  TRY(json_get_int(&out->end, one, "end", out->begin, INT64_MAX, where, err));
  return json_get_int(&out->label_end, one, "label_end", INT64_MIN, INT64_MAX, where, err);
}

static garam_status parse_record(pipeline *p, const json_t *m, const char *where,
                                 garam_error *err) {
  json_t *split, *data, *counts;
  const char *source;
  TRY(json_get_object(&split, m, "split", where, err));
  TRY(json_get_bool(&p->timed, split, "timed", where, err));
  TRY(parse_part(&p->train, split, "train", where, err));
  TRY(parse_part(&p->valid, split, "valid", where, err));
  TRY(parse_part(&p->test, split, "test", where, err));
  TRY(parse_size(&p->purged, split, "left_out", where, err));
  TRY(json_get_object(&data, m, "data", where, err));
  TRY(json_get_string(&source, data, "source", where, err));
  p->source = mem_strdup(source);
  if (!p->source) return fail_memory(err, strlen(source) + 1);
  TRY(parse_size(&p->data_rows, data, "rows", where, err));
  TRY(parse_size(&p->repaired_rows, data, "repaired_rows", where, err));
  TRY(parse_text(p->digest, sizeof p->digest, data, "sha256", where, err));
  TRY(parse_text(p->valid_digest, sizeof p->valid_digest, data, "valid_sha256", where, err));
  TRY(parse_f64(&p->train_mean, data, "train_mean", -DBL_MAX, DBL_MAX, where, err));
  TRY(parse_f64(&p->dead_band, m, "dead_band", 0, 10, where, err));
  TRY(parse_text(p->roles, sizeof p->roles, m, "roles", where, err));
  TRY(json_get_array(&counts, data, "class_counts", where, err));
  size_t k = (size_t)p->shape.n_classes;
  if (json_array_size(counts) != k)
    return fail(err, GARAM_CORRUPT, "%s: %zu \"class_counts\" for %zu classes", where,
                json_array_size(counts), k);
  p->class_counts = mem_array(k + 1, sizeof *p->class_counts);
  if (!p->class_counts) return fail_memory(err, k * sizeof *p->class_counts);
  for (size_t i = 0; i < k; i++) {
    const json_t *count = json_array_get(counts, i);
    if (!json_is_integer(count) || json_integer_value(count) < 0)
      return fail(err, GARAM_CORRUPT, "%s: \"class_counts\": %zu is not a count", where, i);
    p->class_counts[i] = (size_t)json_integer_value(count);
  }
  return GARAM_OK;
}

static garam_status parse_losses(double **out, const json_t *object, const char *key, size_t n,
                                 const char *where, garam_error *err) {
  json_t *array;
  *out = NULL;
  TRY(json_get_array(&array, object, key, where, err));
  if (json_array_size(array) == 0) return GARAM_OK;
  if (json_array_size(array) != n)
    return fail(err, GARAM_CORRUPT, "%s: \"%s\" has %zu values for %zu epochs", where, key,
                json_array_size(array), n);
  *out = mem_array(n, sizeof **out);
  if (!*out) return fail_memory(err, n * sizeof **out);
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(array, i);
    if (!json_is_number(value) && !json_is_null(value))
      return fail(err, GARAM_CORRUPT, "%s: \"%s\": value %zu is not a number", where, key, i);
    (*out)[i] = json_is_null(value) ? NAN : json_number_value(value);
  }
  return GARAM_OK;
}

static garam_status parse_fit(pipeline *p, const json_t *m, const char *where, garam_error *err) {
  json_t *fit, *list;
  int64_t epochs, best;
  TRY(json_get_object(&fit, m, "fit", where, err));
  TRY(json_get_int(&epochs, fit, "epochs", 0, MOST_EPOCHS, where, err));
  TRY(json_get_int(&best, fit, "best_epoch", 0, MOST_EPOCHS, where, err));
  p->fit.epochs = (int)epochs;
  p->fit.best_epoch = (int)best;
  TRY(parse_size(&p->fit.parameters, fit, "parameters", where, err));
  TRY(parse_losses(&p->fit.train_loss, fit, "train_loss", (size_t)epochs, where, err));
  TRY(parse_losses(&p->fit.valid_loss, fit, "valid_loss", (size_t)epochs, where, err));
  const json_t *loss = json_object_get(fit, "best_valid_loss");
  p->fit.best_valid_loss = json_is_number(loss) ? json_number_value(loss) : NAN;
  TRY(json_get_array(&list, m, "warnings", where, err));
  p->warnings = json_incref(list);
  TRY(json_get_array(&list, m, "dropped_features", where, err));
  p->dropped = json_incref(list);
  return GARAM_OK;
}

garam_status manifest_parse(pipeline *p, json_t *m, const char *where, garam_error *err) {
  static const char *const kinds[] = {"market", "table", NULL};
  int64_t format;
  int kind, task_index;
  if (!json_is_object(m)) return fail(err, GARAM_CORRUPT, "%s: not an object", where);
  const char *what = json_string_value(json_object_get(m, "kind"));
  if (what && strcmp(what, "policy") == 0)
    return fail(err, GARAM_MISMATCH,
                "%s: it holds a policy, which acts in an environment: garam rl evaluate, garam rl "
                "play and garam serve take it",
                where);
  TRY(json_get_int(&format, m, "format", 0, INT32_MAX, where, err));
  if (format != PIPELINE_FORMAT)
    return fail(err, GARAM_UNSUPPORTED, "%s: format %d; this version reads %d", where, (int)format,
                PIPELINE_FORMAT);
  TRY(parse_choice(&kind, m, "kind", kinds, where, err));
  TRY(parse_choice(&task_index, m, "task", task_names, where, err));
  p->market = kind == 0;
  p->shape.task = (task)task_index;
  TRY(parse_options(p, m, where, err));
  if (p->config.task != task_index || p->market != !p->config.target[0] ||
      (p->market && p->config.label.regression != (p->shape.task == TASK_REGRESSION)))
    return fail(err, GARAM_CORRUPT, "%s: its task does not agree with its options", where);
  TRY(parse_learner(p, m, where, err));
  TRY(parse_names_of(p, m, where, err));
  TRY(parse_calibration(p, m, where, err));
  TRY(parse_record(p, m, where, err));
  TRY(parse_fit(p, m, where, err));
  p->manifest = json_incref(m);
  return GARAM_OK;
}
