/* garam evaluate: scores on rows the model was not trained on, beside what the simplest rules
 * would have scored. */
#include "cli/commands.h"

#include "api/evaluate_run.h"
#include "base/clock.h"
#include "report/report.h"

#include <math.h>
#include <string.h>

typedef struct evaluate_command {
  char report[4096];
  evaluate_config scores;
  table_read_config read;
} evaluate_command;

static const opt_row evaluate_rows[] = {
    {"report", OPT_STRING, OPT_AT(evaluate_command, report),
     .help = "HTML file to write: scores, curves, reliability, confusion, equity, provenance"},
};

/* ---- for people ------------------------------------------------------------------------ */

/* Four decimals, or three digits where those would show nothing: squared returns are small. */
static char *plain(char out[TEXT_SHORT], double value) {
  snprintf(out, TEXT_SHORT, value == 0 || fabs(value) >= 1e-3 ? "%.4f" : "%.3g", value);
  return out;
}

static void put_f64(text_table *t, const json_t *object, const char *key, bool percent) {
  double value = json_f64(object, key);
  char text[TEXT_SHORT];
  if (isnan(value)) text_table_add(t, "%s", "");
  else if (percent) text_table_add(t, "%.2f %%", 100 * value);
  else text_table_add(t, "%s", plain(text, value));
}

static void put_interval(text_table *t, const json_t *scores, const char *key, bool percent) {
  const json_t *pair = json_object_get(json_object_get(scores, "interval"), key);
  double low = json_number_value(json_array_get(pair, 0));
  double high = json_number_value(json_array_get(pair, 1));
  char a[TEXT_SHORT], b[TEXT_SHORT];
  if (json_array_size(pair) != 2) text_table_add(t, "%s", "");
  else if (percent) text_table_add(t, "%.2f to %.2f", 100 * low, 100 * high);
  else text_table_add(t, "%s to %s", plain(a, low), plain(b, high));
}

/* The scores of the task, the interval beside each that has one, then the baselines. */
static void print_scores(const json_t *scores) {
  static const struct {
    const char *key, *title;
    bool percent;
  } all[] = {{"accuracy", "accuracy", true},
             {"macro_f1", "macro-F1", false},
             {"auc", "AUC", false},
             {"log_loss", "log loss", false},
             {"mse", "mse", false},
             {"mae", "mae", false},
             {"r2", "r2", false},
             {"ndcg", "ndcg", false}};
  const json_t *intervals = json_object_get(scores, "interval");
  size_t used[COUNT_OF(all)], n = 0;
  bool sure[COUNT_OF(all)];
  char align[2 * COUNT_OF(all) + 2] = "l";
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    if (!json_is_number(json_object_get(scores, all[i].key))) continue;
    sure[n] = json_array_size(json_object_get(intervals, all[i].key)) == 2;
    strcat(align, sure[n] ? "rr" : "r");
    used[n++] = i;
  }
  text_table *t = text_table_new(align);
  text_table_add(t, "%s", "");
  for (size_t i = 0; i < n; i++) {
    text_table_add(t, "%s", all[used[i]].title);
    if (sure[i]) text_table_add(t, "%s", "95 % interval");
  }
  text_table_rule(t);
  text_table_add(t, "%s", "model");
  for (size_t i = 0; i < n; i++) {
    put_f64(t, scores, all[used[i]].key, all[used[i]].percent);
    if (sure[i]) put_interval(t, scores, all[used[i]].key, all[used[i]].percent);
  }
  const char *name;
  json_t *baseline;
  json_object_foreach(json_object_get(scores, "baselines"), name, baseline) {
    if (!json_is_object(baseline)) continue; /* there is no last outcome without time */
    text_table_add(t, "%s", name);
    for (size_t i = 0; i < n; i++) {
      put_f64(t, baseline, all[used[i]].key, all[used[i]].percent);
      if (sure[i]) text_table_add(t, "%s", "");
    }
  }
  text_table_print(t, stdout, 0);
}

static void print_backtest(const json_t *b) {
  if (!json_is_object(b)) return;
  printf("backtest        net %+.2f %%, buy and hold %+.2f %%; Sharpe %.2f (true one above zero "
         "with probability %.2f)\n",
         100 * json_f64(b, "net_return"), 100 * json_f64(b, "buy_and_hold"), json_f64(b, "sharpe"),
         json_f64(b, "deflated_sharpe"));
  printf("                largest drawdown %.2f %%, turnover %.1f a year\n",
         100 * json_f64(b, "max_drawdown"), json_f64(b, "turnover"));
}

/* The threshold is for 95 % of validation rows: how right it was here is said beside it. */
static void print_coverage(const json_t *scores, const char *lead, const char *coverage,
                           const char *accuracy) {
  printf("%s %.2f %% of rows", lead, 100 * json_f64(scores, coverage));
  if (json_is_number(json_object_get(scores, accuracy)))
    printf(", %.2f %% of them right", 100 * json_f64(scores, accuracy));
}

static void print_rest(const json_t *scores) {
  if (json_is_number(json_object_get(scores, "calibration_error")))
    printf("calibration     error %.4f, Brier %.4f\n", json_f64(scores, "calibration_error"),
           json_f64(scores, "brier"));
  if (json_is_number(json_object_get(scores, "coverage_at_95"))) {
    print_coverage(scores, "coverage, 95 % ", "coverage_at_95", "accuracy_at_95");
    if (json_is_number(json_object_get(scores, "directional_coverage_at_95")))
      print_coverage(scores, "; directional calls:", "directional_coverage_at_95",
                     "directional_accuracy_at_95");
    puts("");
  }
  const json_t *conformal = json_object_get(scores, "conformal");
  if (json_is_number(json_object_get(conformal, "half_width")))
    printf("conformal       %s %.4g holds %.2f %% of rows; %.0f %% were meant\n",
           json_is_true(json_object_get(conformal, "own")) ? "an interval of half the width"
                                                           : "the value plus or minus",
           json_f64(conformal, "half_width"), 100 * json_f64(conformal, "coverage"),
           100 * json_f64(conformal, "target"));
  if (json_is_number(json_object_get(scores, "share_of_bayes")))
    printf("best possible   %.2f %%; the model reaches %.2f %% of it\n",
           100 * json_f64(scores, "bayes_accuracy"), 100 * json_f64(scores, "share_of_bayes"));
  print_backtest(json_object_get(scores, "backtest"));
}

static int print_text(const cli *c, const evaluate_command *config, const json_t *scores) {
  char rows[TEXT_SHORT], sentence[VERDICT_TEXT];
  printf("%s on %s: %s rows%s\n\n", c->operands[0], c->operands[1],
         text_count(rows, (uint64_t)json_f64(scores, "rows")),
         config->scores.all_rows ? ", those it was trained on among them"
                                 : " that it was not trained on");
  print_scores(scores);
  puts("");
  print_rest(scores);
  puts("");
  if (report_verdict(sentence, scores) != VERDICT_UNKNOWN) puts(sentence);
  if (report_direction(sentence, scores)) puts(sentence);
  if (report_money(sentence, scores)) puts(sentence);
  static const char *const warnings[] = {"split_warning", "warning"};
  for (size_t i = 0; i < COUNT_OF(warnings); i++) {
    const char *warning = json_string_value(json_object_get(scores, warnings[i]));
    if (warning) printf("Warning: %s\n", warning);
  }
  if (config->report[0]) printf("\nreport: %s\n", config->report);
  return cli_flush_stdout(c);
}

/* ---- the command ----------------------------------------------------------------------- */

/* The line as it was typed, for the report. NULL when memory is out. */
static char *command_line(const cli *c) {
  char *line = mem_format("garam %s", c->command->name);
  for (int i = 0; line && i < c->argc; i++) {
    char *longer = mem_format(strchr(c->argv[i], ' ') ? "%s '%s'" : "%s %s", line, c->argv[i]);
    mem_free(line);
    line = longer;
  }
  return line;
}

static garam_status evaluate(cli *c, evaluate_command *config, json_t **scores, garam_error *err) {
  pipeline *p = NULL;
  char *line = NULL;
  garam_status status;
  console_reading reading = {"reading", clock_monotonic_ns()};
  TRY_GOTO(done, pipeline_load(&p, c->operands[0], err));
  cli_take_rest(c, &config->read, pipeline_read_config(p));
  if (config->scores.importance < 0 && config->report[0] && pipeline_context(p) == 1)
    config->scores.importance = 3;
  TRY_GOTO(done, evaluate_run(scores, p, c->operands[0], c->operands[1], &config->read,
                              &config->scores, console_read_progress, &reading, err));
  if (!config->report[0]) goto done;
  line = command_line(c);
  TRY_GOTO(done, report_write(config->report, *scores, pipeline_manifest(p), line, err));
done:
  console_bar_clear();
  mem_free(line);
  pipeline_free(p);
  return status;
}

static int run(cli *c) {
  evaluate_command config;
  cli_add(c, "Evaluate", evaluate_rows, COUNT_OF(evaluate_rows), &config);
  cli_add(c, "Scores", evaluate_options, evaluate_n_options, &config.scores);
  cli_add(c, "Reading (where not given, as the training data was read)", table_read_options,
          table_read_n_options, &config.read);
  int code = cli_parse(c, 2, 2);
  if (code != CLI_GO_ON) return code;
  config.scores.seed = c->common.seed;
  garam_error err = {0};
  json_t *scores = NULL;
  if (evaluate(c, &config, &scores, &err) != GARAM_OK) {
    json_decref(scores);
    return cli_fail(c, &err);
  }
  if (c->common.json) return cli_print_json(c, scores);
  code = c->common.quiet ? CLI_OK : print_text(c, &config, scores);
  json_decref(scores);
  return code;
}

const command cmd_evaluate = {
    .name = "evaluate",
    .summary = "scores beside baselines, a backtest, a report",
    .usage = "MODEL DATA [--report FILE] [--json]",
    .details =
        "On the data that the model was trained on, only the test part is scored: rows after\n"
        "the validation part. Other data is scored whole. --json prints every score, and under\n"
        "\"detail\" what the report's charts are drawn from.",
    .examples = "garam evaluate model.safetensors prices.csv --report report.html",
    .run = run,
};
