/* garam import: a model of XGBoost or LightGBM as a package. */
#include "cli/commands.h"

#include "learn/pipeline.h"
#include "tree/trees_learner.h"

#include <stdlib.h>
#include <string.h>

typedef struct import_config {
  char out[4096], target[64], classes[8192], columns[65536];
} import_config;

static const opt_row import_options[] = {
    {"out", OPT_STRING, OPT_AT(import_config, out), .def_text = "model.safetensors",
     .help = "package to write"},
    {"target", OPT_STRING, OPT_AT(import_config, target), .def_text = "target",
     .help = "column that evaluate compares with"},
    {"classes", OPT_STRING, OPT_AT(import_config, classes), .def_text = "",
     .help = "names of the classes, in the model's order; else 0,1,..."},
    {"columns", OPT_STRING, OPT_AT(import_config, columns), .def_text = "",
     .help =
         "columns of the features, in the model's order: a,b or 1-28; else by the file's names"},
};

static void names_deinit(char **names) {
  for (size_t i = 0; names && names[i]; i++) mem_free(names[i]);
  mem_free(names);
}

/* "1-28": the first and the last number. */
static bool is_range(long *first, long *last, const char *text, size_t n) {
  char *end;
  *first = strtol(text, &end, 10);
  if (end == text || *end != '-' || text[0] < '0' || text[0] > '9') return false;
  const char *second = end + 1;
  *last = strtol(second, &end, 10);
  return second[0] >= '0' && second[0] <= '9' && end == text + n && *last >= *first &&
         *last < 1000000;
}

/* n names from a list with commas; ranges of numbers where `ranges`. NULL at the end. */
static garam_status split_names(char ***out, const char *list, size_t n, bool ranges,
                                const char *flag, garam_error *err) {
  char **names = mem_array(n + 1, sizeof *names);
  size_t used = 0, wanted = 0;
  *out = NULL;
  if (!names) return fail_memory(err, n * sizeof *names);
  for (const char *at = list; *at;) {
    size_t length = strcspn(at, ",");
    long first, last;
    bool range = ranges && is_range(&first, &last, at, length);
    if (!range) first = last = 0;
    for (long i = first; i <= last; i++, wanted++) {
      if (used == n) continue; /* counted for the message */
      names[used] = range ? mem_format("%ld", i) : mem_format("%.*s", (int)length, at);
      if (!names[used++]) {
        names_deinit(names);
        return fail_memory(err, length);
      }
    }
    at += length + (at[length] == ',');
  }
  if (wanted != n) {
    names_deinit(names);
    return fail(err, GARAM_INVALID, "%s: %zu names; the model has %zu", flag, wanted, n);
  }
  *out = names;
  return GARAM_OK;
}

static garam_status number_names(char ***out, size_t n, garam_error *err) {
  char **names = mem_array(n + 1, sizeof *names);
  *out = NULL;
  for (size_t i = 0; names && i < n; i++)
    if (!(names[i] = mem_format("%zu", i))) {
      names_deinit(names);
      return fail_memory(err, 16);
    }
  *out = names;
  return names ? GARAM_OK : fail_memory(err, n * sizeof *names);
}

static garam_status adopt(pipeline **out, trees_import *m, const import_config *config,
                          const char *source, garam_error *err) {
  char **columns = NULL, **classes = NULL;
  trees_config trees_options;
  learner_shape shape;
  learner *l;
  garam_status status = GARAM_OK;
  size_t n = m->trees->n_features, k = (size_t)m->n_classes;
  if (config->columns[0])
    TRY_GOTO(done, split_names(&columns, config->columns, n, true, "--columns", err));
  if (k > 0 && config->classes[0])
    TRY_GOTO(done, split_names(&classes, config->classes, k, false, "--classes", err));
  else if (k > 0) TRY_GOTO(done, number_names(&classes, k, err));
  TRY_GOTO(done, trees_learner_new(&l, &trees_options, &shape, m, err));
  status = pipeline_adopt(out, l, &trees_options, &shape, columns ? columns : m->feature_names,
                          classes, config->target, source, err);
done:
  names_deinit(columns);
  names_deinit(classes);
  return status;
}

static int run(cli *c) {
  import_config config;
  cli_add(c, "Import", import_options, COUNT_OF(import_options), &config);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  garam_error err = {0};
  trees_import m = {0};
  pipeline *p = NULL;
  garam_status status = trees_import_file(&m, c->operands[0], &err);
  size_t n_trees = status == GARAM_OK ? m.trees->n_trees : 0;
  size_t n_leaves = status == GARAM_OK ? m.trees->n_leaves : 0;
  if (status == GARAM_OK) status = adopt(&p, &m, &config, c->operands[0], &err);
  if (status == GARAM_OK) status = pipeline_save(p, config.out, &err);
  if (status != GARAM_OK) {
    code = cli_fail(c, &err);
  } else if (c->common.json) {
    code = cli_print_json(c, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:i, s:s, s:s}", "format",
                                       m.format, "objective", m.objective, "task",
                                       task_names[pipeline_task(p)], "trees", (json_int_t)n_trees,
                                       "leaves", (json_int_t)n_leaves, "features",
                                       (json_int_t)pipeline_n_features(p), "classes", m.n_classes,
                                       "out", config.out, "sha256", pipeline_sha256(p)));
  } else {
    char trees_text[TEXT_SHORT], leaves[TEXT_SHORT];
    if (!c->common.quiet)
      printf("%s: %s, %s; %s trees, %s leaves, %zu features in %s\n", c->operands[0], m.format,
             m.objective, text_count(trees_text, n_trees), text_count(leaves, n_leaves),
             pipeline_n_features(p), config.out);
    code = cli_flush_stdout(c);
  }
  pipeline_free(p);
  trees_import_deinit(&m);
  return code;
}

const command cmd_import = {
    .name = "import",
    .summary = "a model of XGBoost (JSON, UBJSON) or LightGBM (text) as a package",
    .usage = "FILE [--columns LIST] [--classes LIST] [--target COLUMN] --out model.safetensors",
    .details =
        "The package predicts, evaluates and serves like any other. Features are found in a\n"
        "table by the names in the file; --columns says otherwise.",
    .examples = "garam import lightgbm.txt --out model.safetensors\n"
                "garam import xgboost.json --columns 1-28 --target 0 --out model.safetensors",
    .run = run,
};
