/* garam explain: what the features of a package are worth, and what moved each prediction. */
#include "cli/commands.h"

#include "base/io.h"
#include "learn/pipeline.h"
#include "tree/importance.h"
#include "tree/shap.h"
#include "tree/trees_learner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct explain_config {
  char out[4096];
  int64_t rows;
  int permutations;
  table_read_config read;
} explain_config;

static const opt_row explain_options[] = {
    {"out", OPT_STRING, OPT_AT(explain_config, out), .def_text = "",
     .help = "CSV of every row's SHAP values; needs DATA"},
    {"rows", OPT_I64, OPT_AT(explain_config, rows), .def = 1000, .min = 1, .max = 1e9,
     .unit = "rows", .help = "the last so many rows of DATA are explained"},
    {"permutations", OPT_INT, OPT_AT(explain_config, permutations), .def = 5, .min = 0, .max = 1000,
     .help = "of each feature, over rows of DATA that the model was not trained on; 0: none"},
};

typedef struct explanation {
  bool trees;
  size_t n_features, n_outputs, n_rows;
  double *splits, *gain, *cover, *mean; /* (n_features); mean of |SHAP| over rows and outputs */
  uint32_t *rows;
  json_t *influence; /* of evaluate.h; NULL: none */
  double *values;    /* (n_rows, n_outputs, n_features + 1) */
} explanation;

static void explanation_deinit(explanation *x) {
  mem_free(x->splits);
  mem_free(x->rows);
  mem_free(x->values);
  json_decref(x->influence);
}

static garam_status explain_rows(explanation *x, const trees *t, const pipeline *p,
                                 const table *data, size_t most, garam_error *err) {
  dataset *d = NULL;
  float *rows = NULL;
  size_t width = x->n_features, stride = x->n_outputs * (width + 1), skip = 0;
  garam_status status;
  TRY(pipeline_dataset(&d, p, data, false, err));
  for (size_t i = 0; i < d->n_rows; i++) x->n_rows += d->usable[i] != 0;
  if (x->n_rows > most) skip = x->n_rows - most, x->n_rows = most;
  x->rows = mem_array(x->n_rows + 1, sizeof *x->rows);
  x->values = mem_array(x->n_rows * stride + 1, sizeof *x->values);
  rows = mem_array(x->n_rows * width + 1, sizeof *rows);
  if (!x->rows || !x->values || !rows) {
    status = fail_memory(err, x->n_rows * stride * sizeof *x->values);
    goto done;
  }
  for (uint32_t i = 0, at = 0; i < d->n_rows; i++) {
    if (!d->usable[i]) continue;
    if (skip > 0) {
      skip--;
      continue;
    }
    memcpy(rows + at * width, d->x + i * width, width * sizeof *rows);
    x->rows[at++] = i;
  }
  TRY_GOTO(done, trees_shap(t, rows, x->n_rows, x->values, err));
  for (size_t i = 0; i < x->n_rows * x->n_outputs; i++)
    for (size_t j = 0; j < width; j++)
      x->mean[j] += fabs(x->values[i * (width + 1) + j]) / (double)(x->n_rows * x->n_outputs);
done:
  mem_free(rows);
  dataset_free(d);
  return status;
}

static garam_status write_rows(const explanation *x, const pipeline *p, const char *path,
                               garam_error *err) {
  io_writer *w;
  garam_status status;
  TRY(io_writer_open(&w, path, err));
  status = io_printf(w, err, "row,output,expected");
  for (size_t j = 0; j < x->n_features && status == GARAM_OK; j++) {
    const char *name = pipeline_feature_name(p, j);
    bool quoted = strpbrk(name, ",\r\n") != NULL && !strchr(name, '"');
    status = io_printf(w, err, quoted ? ",\"%s\"" : ",%s", name);
  }
  const double *v = x->values;
  for (size_t i = 0; i < x->n_rows && status == GARAM_OK; i++)
    for (size_t k = 0; k < x->n_outputs && status == GARAM_OK; k++, v += x->n_features + 1) {
      status = io_printf(w, err, "\n%u,%zu,%.9g", x->rows[i], k, v[x->n_features]);
      for (size_t j = 0; j < x->n_features && status == GARAM_OK; j++)
        status = io_printf(w, err, ",%.9g", v[j]);
    }
  if (status == GARAM_OK) status = io_printf(w, err, "\n");
  if (status == GARAM_OK) return io_writer_commit(w, err);
  io_writer_abort(w);
  return status;
}

/* What the features are worth on rows with a target that were not trained on; any learner. */
static garam_status weigh(explanation *x, const cli *c, const explain_config *config, pipeline *p,
                          const table *t, garam_error *err) {
  const json_t *options = json_object_get(pipeline_manifest(p), "options");
  const char *target =
      json_string_value(json_object_get(json_object_get(options, "pipeline"), "target"));
  evaluate_config scores;
  json_t *result;
  if (config->permutations == 0 || (target && target[0] && table_find(t, target) < 0))
    return GARAM_OK;
  opt_defaults(evaluate_options, evaluate_n_options, &scores);
  scores.bootstrap = 0;
  scores.importance = config->permutations;
  scores.seed = c->common.seed;
  TRY(pipeline_evaluate(&result, p, t, &scores, err));
  x->influence = json_incref(json_object_get(json_object_get(result, "detail"), "influence"));
  json_decref(result);
  return GARAM_OK;
}

static garam_status explain(explanation *x, const cli *c, const explain_config *config, pipeline *p,
                            garam_error *err) {
  trees_view view;
  const learner *l = pipeline_fitted(p);
  x->trees = trees_of_learner(&view, l);
  if (!x->trees && c->n_operands < 2)
    return fail(err, GARAM_INVALID, "the model \"%s\" has no trees: DATA says what it looks at",
                l->ops->name);
  if (!x->trees && config->out[0])
    return fail(err, GARAM_UNSUPPORTED, "--out: the model \"%s\" has no trees, and no SHAP values",
                l->ops->name);
  x->n_features = pipeline_n_features(p);
  x->n_outputs = x->trees ? view.trees->n_outputs : 0;
  x->splits = mem_array(4 * x->n_features, sizeof *x->splits);
  if (!x->splits) return fail_memory(err, 4 * x->n_features * sizeof *x->splits);
  x->gain = x->splits + x->n_features;
  x->cover = x->gain + x->n_features;
  x->mean = x->cover + x->n_features;
  if (x->trees) trees_importance(view.trees, x->splits, x->gain, x->cover);
  if (c->n_operands < 2) return GARAM_OK;
  table *t;
  TRY(table_open(&t, c->operands[1], &config->read, NULL, NULL, err));
  garam_status status =
      x->trees ? explain_rows(x, view.trees, p, t, (size_t)config->rows, err) : GARAM_OK;
  if (status == GARAM_OK) status = weigh(x, c, config, p, t, err);
  table_free(t);
  if (status == GARAM_OK && config->out[0]) status = write_rows(x, p, config->out, err);
  return status;
}

/* Features, most important first: by SHAP values where there are rows, else by gain. */
static double permutation(const explanation *x, const pipeline *p, size_t j) {
  const json_t *list = json_object_get(x->influence, "features"), *one;
  for (size_t i = 0; i < json_array_size(list); i++) {
    one = json_array_get(list, i);
    if (strcmp(json_string_value(json_object_get(one, "feature")), pipeline_feature_name(p, j)) ==
        0)
      return json_f64(one, "permutation");
  }
  return NAN;
}

static size_t *ordered(const explanation *x, const pipeline *p) {
  if (!x->trees)
    for (size_t j = 0; j < x->n_features; j++) x->gain[j] = permutation(x, p, j);
  const double *by = x->n_rows > 0 ? x->mean : x->gain;
  size_t *order = mem_array(x->n_features + 1, sizeof *order);
  for (size_t i = 0; order && i < x->n_features; i++) {
    size_t at = i;
    for (; at > 0 && by[order[at - 1]] < by[i]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
  return order;
}

static int say(const cli *c, const explain_config *config, const explanation *x,
               const pipeline *p) {
  size_t *order = ordered(x, p);
  if (!order) return CLI_FAILED;
  bool rows = x->n_rows > 0;
  int code;
  if (c->common.json) {
    json_t *list = json_array(), *o = json_object();
    for (size_t i = 0; i < x->n_features; i++) {
      size_t j = order[i];
      json_array_append_new(
          list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "feature", pipeline_feature_name(p, j),
                          "splits", json_number_or_null(x->trees ? x->splits[j] : NAN), "gain",
                          json_number_or_null(x->trees ? x->gain[j] : NAN), "cover",
                          json_number_or_null(x->trees ? x->cover[j] : NAN), "mean_abs_shap",
                          json_number_or_null(rows ? x->mean[j] : NAN), "permutation",
                          json_number_or_null(permutation(x, p, j))));
    }
    json_object_set_new(o, "rows", json_integer((json_int_t)x->n_rows));
    json_object_set_new(o, "importance", list);
    json_object_set_new(o, "influence", x->influence ? json_incref(x->influence) : json_null());
    if (config->out[0]) json_object_set_new(o, "out", json_string(config->out));
    code = cli_print_json(c, o);
  } else {
    text_table *t = text_table_new("lrrrr");
    text_table_add(t, "feature");
    text_table_add(t, "splits");
    text_table_add(t, "gain");
    text_table_add(t, "mean |SHAP|");
    text_table_add(t, "permutation");
    text_table_rule(t);
    for (size_t i = 0; i < x->n_features; i++) {
      size_t j = order[i];
      text_table_add(t, "%s", pipeline_feature_name(p, j));
      double loss = permutation(x, p, j);
      if (x->trees) text_table_add(t, "%.0f", x->splits[j]);
      else text_table_add(t, "-");
      if (x->trees) text_table_add(t, "%.6g", x->gain[j]);
      else text_table_add(t, "-");
      if (rows) text_table_add(t, "%.6g", x->mean[j]);
      else text_table_add(t, "-");
      if (isnan(loss)) text_table_add(t, "-");
      else text_table_add(t, "%.6g", loss);
    }
    text_table_print(t, stdout, 0);
    code = cli_flush_stdout(c);
  }
  mem_free(order);
  return code;
}

static int run(cli *c) {
  explain_config config;
  cli_add(c, "Explain", explain_options, COUNT_OF(explain_options), &config);
  cli_add(c, "Reading (where not given, as the training data was read)", table_read_options,
          table_read_n_options, &config.read);
  int code = cli_parse(c, 1, 2);
  if (code != CLI_GO_ON) return code;
  if (config.out[0] && c->n_operands < 2) return cli_usage(c, "--out needs DATA");
  garam_error err = {0};
  pipeline *p = NULL;
  explanation x = {0};
  garam_status status = pipeline_load(&p, c->operands[0], &err);
  if (status == GARAM_OK) {
    cli_take_rest(c, &config.read, pipeline_read_config(p));
    status = explain(&x, c, &config, p, &err);
  }
  code = status == GARAM_OK ? say(c, &config, &x, p) : cli_fail(c, &err);
  explanation_deinit(&x);
  pipeline_free(p);
  return code;
}

const command cmd_explain = {
    .name = "explain",
    .summary = "what the features of a model are worth, and what moved each prediction",
    .usage = "MODEL [DATA] [--rows N] [--permutations N] [--out shap.csv] [--json]",
    .details =
        "Any model, with DATA: by how much the loss grows when a feature is taken from other rows\n"
        "(of those it was not trained on), and the mean prediction as it changes.\n"
        "Trees: splits, gains and covers; with DATA, SHAP values (exact, path dependent):\n"
        "their sum and the expected output are the sum of the trees.",
    .examples = "garam explain model.safetensors prices.csv --out shap.csv",
    .run = run,
};
