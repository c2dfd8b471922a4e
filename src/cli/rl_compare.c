/* garam rl compare: results and policies beside each other. */
#include "cli/rl.h"

#include "api/rl_compare.h"
#include "report/rl.h"

#include <math.h>
#include <string.h>

typedef struct compare_command {
  char report[RL_PATH_MAX], scripts[512];
  rl_evaluate_config config;
} compare_command;

static const opt_row compare_rows[] = {
    {"report", OPT_STRING, OPT_AT(compare_command, report),
     .help = "HTML file to write: tables, performance profiles, cross-play"},
    {"scripts", OPT_STRING, OPT_AT(compare_command, scripts),
     .help = "scripts to set beside them in every environment: random,twap"},
};

static void print_players(const json_t *compare) {
  text_table *t = text_table_new("llrrr");
  size_t i;
  json_t *one;
  static const char *const heads[] = {"player", "environment", "return (95 %)", "runs",
                                      "normalized"};
  for (size_t k = 0; k < COUNT_OF(heads); k++) text_table_add(t, "%s", heads[k]);
  text_table_rule(t);
  json_array_foreach(json_object_get(compare, "players"), i, one) {
    char text[TEXT_SHORT];
    const double share = json_f64(one, "normalized");
    text_table_add(t, "%s", json_string_value(json_object_get(one, "name")));
    text_table_add(t, "%s", json_string_value(json_object_get(one, "env")));
    text_table_add(t, "%s", rl_interval_text(text, one));
    text_table_add(t, "%d", (int)json_integer_value(json_object_get(one, "seeds")));
    if (isnan(share)) text_table_add(t, "%s", "");
    else text_table_add(t, "%.3f", share);
  }
  text_table_print(t, stdout, 0);
}

static void print_improvement(const json_t *compare) {
  const json_t *list = json_object_get(compare, "improvement");
  size_t i;
  json_t *one;
  if (json_array_size(list) == 0) return;
  text_table *t = text_table_new("lllrl");
  static const char *const heads[] = {"a run of", "beats one of", "in", "probability", "95 %"};
  for (size_t k = 0; k < COUNT_OF(heads); k++) text_table_add(t, "%s", heads[k]);
  text_table_rule(t);
  json_array_foreach((json_t *)(uintptr_t)list, i, one) {
    text_table_add(t, "%s", json_string_value(json_object_get(one, "x")));
    text_table_add(t, "%s", json_string_value(json_object_get(one, "y")));
    text_table_add(t, "%s", json_string_value(json_object_get(one, "env")));
    text_table_add(t, "%.3f", json_f64(one, "probability"));
    text_table_add(t, "%.3f to %.3f", json_f64(one, "low"), json_f64(one, "high"));
  }
  puts("");
  text_table_print(t, stdout, 0);
}

static void print_cross(const json_t *cross) {
  enum { MOST = 13 }; /* columns of a table of text, but the name and the rating */
  const json_t *names = json_object_get(cross, "players"), *rows = json_object_get(cross, "score");
  const size_t n = json_array_size(names);
  char align[MOST + 3] = "l";
  if (n == 0 || n > MOST) return;
  for (size_t i = 0; i <= n; i++) strcat(align, "r");
  text_table *t = text_table_new(align);
  text_table_add(t, "%s as %s", json_string_value(json_object_get(cross, "env")),
                 json_string_value(json_object_get(cross, "team")));
  for (size_t i = 0; i < n; i++)
    text_table_add(t, "%s", json_string_value(json_array_get(names, i)));
  text_table_add(t, "Elo");
  text_table_rule(t);
  for (size_t i = 0; i < n; i++) {
    char text[TEXT_SHORT];
    text_table_add(t, "%s", json_string_value(json_array_get(names, i)));
    for (size_t k = 0; k < n; k++)
      text_table_add(
          t, "%s",
          text_number(text, json_number_value(json_array_get(json_array_get(rows, i), k))));
    text_table_add(t, "%.0f", json_number_value(json_array_get(json_object_get(cross, "elo"), i)));
  }
  puts("");
  text_table_print(t, stdout, 0);
}

static int compare(cli *c, const compare_command *x) {
  garam_error err = {0};
  json_t *result = NULL;
  garam_status status = rl_compare(&result, c->operands + 1, (size_t)c->n_operands - 1, x->scripts,
                                   &x->config, (uint64_t)c->common.seed, &err);
  if (status == GARAM_OK && x->report[0]) {
    char *line = rl_command_text(c);
    status = report_compare_write(x->report, result, line, &err);
    mem_free(line);
  }
  if (status != GARAM_OK) {
    json_decref(result);
    return cli_fail(c, &err);
  }
  if (c->common.json) return cli_print_json(c, result);
  if (!c->common.quiet) {
    print_players(result);
    print_improvement(result);
    print_cross(json_object_get(result, "cross_play"));
  }
  json_decref(result);
  return cli_flush_stdout(c);
}

int rl_compare_verb(cli *c) {
  compare_command x = {0};
  cli_add(c, "Comparison", compare_rows, COUNT_OF(compare_rows), &x);
  cli_add(c, "Episodes of policies", rl_evaluate_options, rl_evaluate_n_options, &x.config);
  int code = cli_parse(c, 2, CLI_MAX_OPERANDS);
  return code == CLI_GO_ON ? compare(c, &x) : code;
}
