/* garam bench train: how long boosting takes to fit made-up rows, and how well it does. */
#include "cli/commands.h"

#include "base/thread.h"
#include "tree/bench_fit.h"

#include <string.h>

int bench_train(cli *c) {
  bench_fit_config config;
  gbdt_config model;
  char name[32];
  const opt_row model_row = {"model",     OPT_STRING,         0,
                             sizeof name, .def_text = "gbdt", .help = "what is fitted: gbdt"};
  cli_add(c, "Model", &model_row, 1, name);
  cli_add(c, "Data", bench_fit_options, bench_fit_n_options, &config);
  opt_defaults(gbdt_options, GBDT_N_OPTIONS, &model);
  model.rounds = 100;
  cli_add_filled(c, &(opt_set){"Boosting", gbdt_options, GBDT_N_OPTIONS, &model});
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (strcmp(name, "gbdt") != 0)
    return cli_usage(c, "--model %s: only gbdt is measured on made-up rows; see garam bench step",
                     name);
  config.seed = c->common.seed;
  garam_error err = {0};
  bench_fit_result r;
  if (bench_fit(&r, &config, &model, &err) != GARAM_OK) return cli_fail(c, &err);
  if (c->common.json)
    return cli_print_json(c, json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:i}",
                                       "seconds", r.seconds, "cpu_seconds", r.cpu_seconds, "auc",
                                       r.auc, "log_loss", r.log_loss, "trees", (json_int_t)r.trees,
                                       "leaves", (json_int_t)r.leaves, "bytes", (json_int_t)r.bytes,
                                       "resident_before", (json_int_t)r.resident, "peak_resident",
                                       (json_int_t)r.peak, "threads", thread_count()));
  char size[TEXT_SHORT], peak[TEXT_SHORT];
  printf("fit         %.3f s: %zu trees, %zu leaves, %s; %d threads\n", r.seconds, r.trees,
         r.leaves, text_bytes(size, (double)r.bytes), thread_count());
  printf("test rows   AUC %.5f, log loss %.5f\n", r.auc, r.log_loss);
  printf("memory      %s at most, %s before the fit\n", text_bytes(peak, (double)r.peak),
         text_bytes(size, (double)r.resident));
  return cli_flush_stdout(c);
}
