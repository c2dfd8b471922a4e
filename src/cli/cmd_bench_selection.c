/* garam bench selection: dynamic selection on three tables, beside what is static. */
#include "cli/commands.h"

#include "ensemble/des.h"
#include "ensemble/des_study.h"
#include "learn/linear.h"
#include "learn/pipeline.h"

typedef struct selection_bench {
  des_study_config study;
  char target[64];
} selection_bench;

static const opt_row target_option[] = {
    {"target", OPT_STRING, OPT_AT(selection_bench, target), .def_text = "target",
     .help = "column of the class"},
};

/* A pipeline is fitted for its way from a table to rows; its learner is not used. */
static garam_status study(des_study_result *out, cli *c, const selection_bench *b,
                          garam_error *err) {
  table *t[3] = {0};
  dataset *d[3] = {0};
  pipeline *p = NULL;
  garam_status status;
  pipeline_config config = pipeline_config_default();
  linear_config throwaway;
  opt_defaults(linear_ops.options, linear_ops.n_options, &throwaway);
  throwaway.max_iterations = 50;
  config.seed = c->common.seed;
  snprintf(config.target, sizeof config.target, "%s", b->target);
  for (int i = 0; i < 3; i++)
    TRY_GOTO(done, table_open(&t[i], c->operands[1 + i], &config.read, NULL, NULL, err));
  TRY_GOTO(done, pipeline_fit(&p, t[0], t[1], &config, &linear_ops, &throwaway, NULL, NULL, err));
  for (int i = 0; i < 3; i++) TRY_GOTO(done, pipeline_dataset(&d[i], p, t[i], true, err));
  status = des_study(out, d[0], d[1], d[2], &b->study, (uint64_t)c->common.seed, err);
done:
  for (int i = 0; i < 3; i++) {
    dataset_free(d[i]);
    table_free(t[i]);
  }
  pipeline_free(p);
  return status;
}

int bench_selection(cli *c) {
  selection_bench config = {0};
  cli_add(c, "Selection", des_study_options, des_study_n_options, &config.study);
  cli_add(c, "Data", target_option, COUNT_OF(target_option), &config);
  int code = cli_parse(c, 4, 4);
  if (code != CLI_GO_ON) return code;
  garam_error err = {0};
  des_study_result r;
  if (study(&r, c, &config, &err) != GARAM_OK) return cli_fail(c, &err);
  if (c->common.json) {
    json_t *o = json_pack("{s:f, s:f, s:f}", "single_best", r.single_best, "majority", r.majority,
                          "oracle", r.oracle);
    for (int i = 0; o && i < DES_STUDY_METHODS; i++)
      json_object_set_new(o, des_method_names[i],
                          json_pack("{s:f, s:f}", "vote", r.method[i], "mean", r.soft[i]));
    return cli_print_json(c, o);
  }
  printf("%-12s %8s %8s\n", "accuracy", "vote", "mean");
  for (int i = 0; i < DES_STUDY_METHODS; i++)
    printf("%-12s %8.4f %8.4f\n", des_method_names[i], r.method[i], r.soft[i]);
  printf("%-12s %8.4f\n%-12s %8.4f\n%-12s %8.4f\n", "single best", r.single_best, "majority",
         r.majority, "oracle", r.oracle);
  return cli_flush_stdout(c);
}
