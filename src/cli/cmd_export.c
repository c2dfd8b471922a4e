/* garam export: the trees of a package for LightGBM, or as ONNX; a policy as ONNX. */
#include "cli/commands.h"

#include "learn/pipeline.h"
#include "rl/export_onnx.h"
#include "tree/export.h"

#include <string.h>

typedef struct export_config {
  char out[4096];
  int format;
} export_config;

enum { FORMAT_ONNX, FORMAT_LIGHTGBM };
static const char *const formats[] = {"onnx", "lightgbm", NULL};

static const opt_row export_options[] = {
    {"format", OPT_ENUM, OPT_AT(export_config, format), .choices = formats, .help = "of the file"},
    {"out", OPT_STRING, OPT_AT(export_config, out), .def_text = "", .help = "file to write"},
};

static garam_status export(const pipeline *p, const export_config *config, bool *exact,
                           garam_error *err) {
  trees_export e = {0};
  const learner *l = pipeline_fitted(p);
  if (!trees_of_learner(&e.view, l))
    return fail(err, GARAM_UNSUPPORTED, "the model \"%s\" has no trees to export", l->ops->name);
  size_t n = pipeline_n_features(p);
  e.n_classes = pipeline_task(p) == TASK_REGRESSION ? 0 : pipeline_n_outputs(p);
  const char **names = mem_array(n + (size_t)e.n_classes + 1, sizeof *names);
  if (!names) return fail_memory(err, n * sizeof *names);
  for (size_t i = 0; i < n; i++) names[i] = pipeline_feature_name(p, i);
  for (int k = 0; k < e.n_classes; k++) names[n + (size_t)k] = pipeline_output_name(p, k);
  e.feature_names = names;
  e.class_names = names + n;
  double temperature = e.n_classes > 0 ? pipeline_temperature(p) : 1;
  *exact = e.view.link != LINK_PROBABILITY && e.view.link != LINK_ONE_VS_ALL && temperature > 0;
  if (temperature > 0) e.view.link_scale /= temperature;
  garam_status status = config->format == FORMAT_ONNX ? trees_export_onnx(&e, config->out, err)
                                                      : trees_export_lightgbm(&e, config->out, err);
  mem_free(names);
  return status;
}

static garam_status export_policy(const char *path, const export_config *config, garam_error *err) {
  policy *p;
  if (config->format != FORMAT_ONNX)
    return fail(err, GARAM_UNSUPPORTED, "%s: a policy is exported as onnx alone", path);
  TRY(policy_load(&p, path, err));
  garam_status status = policy_export_onnx(p, config->out, err);
  policy_free(p);
  return status;
}

static garam_status export_package(const char *path, const export_config *config, bool *exact,
                                   garam_error *err) {
  package_reader *r;
  pipeline *p;
  TRY(package_open(&r, path, err));
  const bool acts = policy_is(r);
  package_close(r);
  if (acts) return export_policy(path, config, err);
  TRY(pipeline_load(&p, path, err));
  garam_status status = export(p, config, exact, err);
  pipeline_free(p);
  return status;
}

static int run(cli *c) {
  export_config config;
  cli_add(c, "Export", export_options, COUNT_OF(export_options), &config);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (!config.out[0]) return cli_usage(c, "--out says where to");
  garam_error err = {0};
  bool exact = true;
  garam_status status = export_package(c->operands[0], &config, &exact, &err);
  if (status != GARAM_OK) {
    code = cli_fail(c, &err);
  } else if (c->common.json) {
    code = cli_print_json(c, json_pack("{s:s, s:s, s:b}", "format", formats[config.format], "out",
                                       config.out, "exact", exact));
  } else {
    if (!exact)
      console_line("the odds are those of the trees; calibration and normalising stay behind");
    if (!c->common.quiet) printf("%s\n", config.out);
    code = cli_flush_stdout(c);
  }
  return code;
}

const command cmd_export = {
    .name = "export",
    .summary = "trees as ONNX or for LightGBM, policies as ONNX",
    .usage = "MODEL --format onnx|lightgbm --out FILE",
    .details = "Learners with trees: gbdt, forest, extra-trees, and what garam import has read.\n"
               "Policies: \"observation\" (N, agents, numbers) to \"action\" (N, numbers of all "
               "agents).",
    .examples = "garam export model.safetensors --format onnx --out model.onnx",
    .run = run,
};
