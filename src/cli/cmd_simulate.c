/* garam simulate: a market whose odds are known exactly. */
#include "cli/commands.h"

#include "base/io.h"
#include "market/market.h"

#include <string.h>

typedef struct simulate_output {
  char out[1024];
} simulate_output;

static const opt_row output_options[] = {
    {"out", OPT_STRING, OPT_AT(simulate_output, out), .def_text = "-",
     .help = "CSV file to write; - is standard output"},
};

static json_t *summary_json(const simulate_config *config, const char *out, double bayes,
                            double dead_band) {
  json_t *o = json_object();
  json_object_set_new(o, "rows", json_integer(config->rows));
  json_object_set_new(o, "classes", json_pack("[s, s, s]", "down", "flat", "up"));
  json_object_set_new(o, "bayes_accuracy", json_number_or_null(bayes));
  json_object_set_new(o, "dead_band", json_number_or_null(dead_band));
  json_object_set_new(o, "out", json_string(out));
  json_object_set_new(o, "options", opt_to_json(simulate_options, simulate_n_options, config));
  return o;
}

static int run(cli *c) {
  simulate_config config = {0};
  simulate_output output;
  cli_add(c, "Market", simulate_options, simulate_n_options, &config);
  cli_add(c, "Output", output_options, COUNT_OF(output_options), &output);
  int code = cli_parse(c, 0, 0);
  if (code != CLI_GO_ON) return code;
  bool to_stdout = strcmp(output.out, "-") == 0;
  if (to_stdout && c->common.json)
    return cli_usage(c, "--json needs --out FILE: standard output is taken by the rows");
  if (!opt_find(simulate_options, simulate_n_options, "seed")) config.seed = c->common.seed;

  garam_error err = {0};
  table *t = NULL;
  double bayes, dead_band;
  garam_status status = simulate(&t, &config, &bayes, &dead_band, &err);
  if (status == GARAM_OK) status = table_write_csv(t, output.out, &err);
  table_free(t);
  if (status != GARAM_OK) return cli_fail(c, &err);
  if (c->common.json) return cli_print_json(c, summary_json(&config, output.out, bayes, dead_band));
  if (c->common.quiet) return CLI_OK;
  FILE *to = to_stdout ? stderr : stdout;
  char rows[TEXT_SHORT];
  fprintf(to, "%s rows%s%s\n", text_count(rows, (uint64_t)config.rows), to_stdout ? "" : " in ",
          to_stdout ? "" : output.out);
  fprintf(to, "three classes of the next row: down, flat, up; flat within %.6g of log return\n",
          dead_band);
  fprintf(to, "Bayes-optimal accuracy %.4f: no model can do better\n", bayes);
  return to_stdout ? CLI_OK : cli_flush_stdout(c);
}

const command cmd_simulate = {
    .name = "simulate",
    .summary = "a market whose next-move probabilities are known exactly",
    .usage = "[--rows N] [--seed S] [--regimes N] [--posterior] [--out FILE]",
    .details =
        "Writes bars time,open,high,low,close,volume as CSV, and with --posterior the exact\n"
        "probability of down, flat and up on the next row. Prints the accuracy of the optimal "
        "rule.",
    .examples = "garam simulate --rows 20000 --seed 7 --out market.csv\n"
                "garam simulate --rows 20000 --momentum 0 --out random-walk.csv",
    .run = run,
};
