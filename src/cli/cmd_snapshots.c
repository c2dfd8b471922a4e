/* garam snapshots: raw messages of an exchange as snapshots of its book. */
#include "cli/commands.h"

#include "market/messages.h"

#include <string.h>

typedef struct snapshots_output {
  char out[4096];
} snapshots_output;

static const opt_row output_options[] = {
    {"out", OPT_STRING, OPT_AT(snapshots_output, out), .def_text = "-",
     .help = "CSV file to write; - is standard output"},
};

static json_t *report_json(const messages_report *r, const table *t, const char *out,
                           const messages_config *config) {
  json_t *o = json_object();
  json_object_set_new(o, "symbol", json_string(r->symbol));
  json_object_set_new(o, "rows", json_integer((json_int_t)t->n_rows));
  const struct {
    const char *name;
    int64_t n;
  } counts[] = {{"lines", r->lines},         {"changes", r->changes}, {"tickers", r->tickers},
                {"trades", r->trades},       {"books", r->snapshots}, {"others", r->others},
                {"old_changes", r->old},     {"gaps", r->gaps},       {"rows_crossed", r->crossed},
                {"rows_shallow", r->shallow}};
  for (size_t i = 0; i < COUNT_OF(counts); i++)
    json_object_set_new(o, counts[i].name, json_integer(counts[i].n));
  json_object_set_new(o, "out", json_string(out));
  json_object_set_new(o, "options", opt_to_json(messages_options, messages_n_options, config));
  return o;
}

static int run(cli *c) {
  messages_config config = {0};
  snapshots_output output;
  cli_add(c, "Rows", messages_options, messages_n_options, &config);
  cli_add(c, "Output", output_options, COUNT_OF(output_options), &output);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  bool to_stdout = strcmp(output.out, "-") == 0;
  if (to_stdout && c->common.json)
    return cli_usage(c, "--json needs --out FILE: standard output is taken by the rows");
  garam_error err = {0};
  table *t = NULL;
  messages_report r;
  garam_status status = messages_read(&t, &r, c->operands[0], &config, &err);
  if (status == GARAM_OK) status = table_write_csv(t, output.out, &err);
  if (status != GARAM_OK) {
    table_free(t);
    return cli_fail(c, &err);
  }
  if (c->common.json) {
    code = cli_print_json(c, report_json(&r, t, output.out, &config));
  } else {
    char rows[TEXT_SHORT], lines[TEXT_SHORT];
    console_line("%s: %s rows from %s messages", r.symbol[0] ? r.symbol : "?",
                 text_count(rows, t->n_rows), text_count(lines, (uint64_t)r.lines));
    if (r.gaps > 0)
      console_line("%lld times changes were missing: the book began anew", (long long)r.gaps);
    if (r.crossed + r.shallow > 0)
      console_line("rows left out: %lld crossed, %lld with fewer levels", (long long)r.crossed,
                   (long long)r.shallow);
    code = to_stdout ? CLI_OK : cli_flush_stdout(c);
  }
  table_free(t);
  return code;
}

const command cmd_snapshots = {
    .name = "snapshots",
    .summary = "raw messages of an exchange as snapshots of its book",
    .usage = "MESSAGES [--levels N] [--every SECONDS] [--out FILE]",
    .details =
        "MESSAGES: a line a message, the time of its arrival in nanoseconds, a space, and JSON as\n"
        "Binance sends it (depth changes, book tickers, trades, an answered depth request); "
        "plain,\n"
        "gzip or zstd; - is standard input. Rows hold what had arrived by their time, and nothing "
        "else.",
    .examples = "garam snapshots btcusdt.jsonl.gz --out book.csv\n"
                "garam rl evaluate --env book_replay --data book.csv --agent touch",
    .run = run,
};
