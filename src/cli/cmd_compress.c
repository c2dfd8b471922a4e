/* garam compress: the weights of a package in fewer bits. */
#include "cli/commands.h"

#include "api/compress_run.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct compress_command {
  char out[4096], data[4096], max_loss[32];
  int episodes;
  compress_config how;
} compress_command;

static const opt_row compress_rows[] = {
    {"out", OPT_STRING, OPT_AT(compress_command, out), .def_text = "", .help = "file to write"},
    {"data", OPT_STRING, OPT_AT(compress_command, data), .def_text = "",
     .help = "table to compare the losses of both models on"},
    {"episodes", OPT_INT, OPT_AT(compress_command, episodes), .def = 0, .min = 0, .max = 1000000,
     .help = "held-out ones to compare the returns of both policies in; 0: none"},
    {"max-loss", OPT_STRING, OPT_AT(compress_command, max_loss), .def_text = "",
     .help = "write nothing if the loss or the return is worse by more than this, as 0.5%"},
};

/* "0.5%" to 0.005: without the sign nobody could tell which of the two was meant. */
static bool read_percent(double *out, const char *text) {
  char *end;
  const double percent = strtod(text, &end);
  *out = percent / 100;
  return end != text && strcmp(end, "%") == 0 && percent >= 0 && isfinite(percent);
}

static void print_text(const json_t *report) {
  char before[TEXT_SHORT], after[TEXT_SHORT];
  text_table *t = text_table_new("llrrr");
  const json_t *row, *dim;
  size_t i, d;
  text_table_add(t, "%s", "weights");
  text_table_add(t, "%s", "shape");
  text_table_add(t, "%s", "before");
  text_table_add(t, "%s", "after");
  text_table_add(t, "%s", "error");
  text_table_rule(t);
  json_array_foreach(json_object_get(report, "tensors"), i, row) {
    char shape[TEXT_SHORT] = "";
    size_t used = 0;
    json_array_foreach(json_object_get(row, "shape"), d, dim) if (used < sizeof shape) used +=
        (size_t)snprintf(shape + used, sizeof shape - used, "%s%lld", d ? " x " : "",
                         (long long)json_integer_value(dim));
    text_table_add(t, "%s", json_string_value(json_object_get(row, "name")));
    text_table_add(t, "%s", shape);
    text_table_add(t, "%s", text_bytes(before, json_f64(row, "bytes_before")));
    text_table_add(t, "%s", text_bytes(after, json_f64(row, "bytes_after")));
    text_table_add(t, "%.3f %%", 100 * json_f64(row, "relative_error"));
  }
  text_table_print(t, stdout, 0);
  printf("\n%s: %s, was %s\n", json_string_value(json_object_get(report, "out")),
         text_bytes(after, json_f64(report, "bytes_after")),
         text_bytes(before, json_f64(report, "bytes_before")));
  const json_t *loss = json_object_get(report, "loss");
  if (loss)
    printf("%s: %.6g, was %.6g (%.3g %% %s)\n", json_string_value(json_object_get(loss, "name")),
           json_f64(loss, "after"), json_f64(loss, "before"), fabs(100 * json_f64(loss, "change")),
           json_f64(loss, "change") > 0 ? "worse" : "better");
}

static int run(cli *c) {
  compress_command config;
  cli_add(c, "Output", compress_rows, COUNT_OF(compress_rows), &config);
  cli_add(c, "Compress", compress_options, compress_n_options, &config.how);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (!config.out[0]) return cli_usage(c, "--out says where to");
  console_reading reading = {"reading", clock_monotonic_ns()};
  compress_run run = {.how = config.how,
                      .out = config.out,
                      .data = config.data[0] ? config.data : NULL,
                      .episodes = config.episodes,
                      .seed = (uint64_t)c->common.seed,
                      .max_loss = INFINITY,
                      .progress = console_read_progress,
                      .context = &reading,
                      .interrupted = signals_interrupted};
  if (config.max_loss[0] && !read_percent(&run.max_loss, config.max_loss))
    return cli_usage(c, "--max-loss: expected a percentage as 0.5%%, found \"%s\"",
                     config.max_loss);
  if (run.data && run.episodes > 0)
    return cli_usage(c, "--data is for models and --episodes for policies: one of them");
  if (config.max_loss[0] && !run.data && run.episodes == 0)
    return cli_usage(c, "--max-loss: --data says on which table, --episodes in how many");
  garam_error err = {0};
  json_t *report;
  if (run.data || run.episodes > 0) signals_note(); /* the trial is taken away first */
  garam_status status = compress_run_file(&report, c->operands[0], &run, &err);
  console_bar_clear();
  if (status != GARAM_OK) return cli_fail(c, &err);
  if (c->common.json) return cli_print_json(c, report);
  if (!c->common.quiet) print_text(report);
  json_decref(report);
  return cli_flush_stdout(c);
}

const command cmd_compress = {
    .name = "compress",
    .summary = "a model or a policy in fewer bytes",
    .usage = "MODEL --to int8|int4|bf16 --out FILE [--data FILE|--episodes N] [--max-loss 0.5%]",
    .details =
        "Matrices of weights of neural nets are stored in fewer bits; everything else stays as it\n"
        "is. The result is used as any model or policy. It is smaller, not faster: weights become\n"
        "floats again when it is loaded. With --data both models are scored as by garam\n"
        "evaluate, with --episodes both policies as by garam rl evaluate.",
    .examples =
        "garam compress model.safetensors --to int8 --out small.safetensors\n"
        "garam compress model.safetensors --to int4 --data prices.csv --max-loss 0.5% --out "
        "small.safetensors",
    .run = run,
};
