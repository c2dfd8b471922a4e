/* garam options and garam models: the rows themselves, and the learners that have them. */
#include "cli/commands.h"

#include "learn/pipeline.h"
#include "rl/experiment.h"

#include <string.h>

/* Every set of rows that is no learner's, by the name that `garam options NAME` takes. */
typedef struct option_group {
  const char *name, *summary;
  const opt_row *rows;
  const size_t *n_rows;
} option_group;

static const option_group groups[] = {
    {"read", "how a file is read", table_read_options, &table_read_n_options},
    {"bars", "which column is the price, and what a time means", bars_options, &bars_n_options},
    {"features", "what is computed from the bars", feature_options, &feature_n_options},
    {"label", "what is predicted", label_options, &label_n_options},
    {"pipeline", "task, target, repairs, shares of the data", pipeline_options,
     &pipeline_n_options},
    {"costs", "what trading costs in the backtest", cost_options, &cost_n_options},
    {"evaluate", "scores and their intervals", evaluate_options, &evaluate_n_options},
    {"simulate", "the simulated market", simulate_options, &simulate_n_options},
    {"experiment", "steps, seeds and evaluations of garam rl train", experiment_options,
     &experiment_n_options},
};

static json_t *presets_json(const learner_preset *all) {
  json_t *presets = json_object();
  for (const learner_preset *p = all; p && p->name; p++) {
    json_t *settings = json_array();
    for (const char *const *s = p->settings; *s; s++)
      json_array_append_new(settings, json_string(*s));
    json_object_set_new(presets, p->name, settings);
  }
  return presets;
}

static json_t *tasks_json(const learner_ops *ops) {
  json_t *tasks = json_array();
  for (unsigned i = 0; task_names[i]; i++)
    if (ops->tasks & 1u << i) json_array_append_new(tasks, json_string(task_names[i]));
  return tasks;
}

static void print_presets(const learner_preset *all) {
  if (!all || !all->name) return;
  puts("\nPresets:");
  for (const learner_preset *p = all; p->name; p++) {
    printf("  %-10s", p->name);
    for (const char *const *s = p->settings; *s; s++) printf(" %s", *s);
    if (!*p->settings) printf(" (the defaults)");
    puts("");
  }
}

static int print_learner(const cli *c, const learner_ops *ops) {
  if (c->common.json)
    return cli_print_json(c, json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", ops->name, "summary",
                                       ops->summary, "tasks", tasks_json(ops), "options",
                                       opt_describe(ops->options, ops->n_options), "presets",
                                       presets_json(ops->presets)));
  printf("%s: %s\n\n", ops->name, ops->summary);
  opt_set set = {.title = "Options", .rows = ops->options, .n_rows = ops->n_options};
  opt_print_help(stdout, &set);
  print_presets(ops->presets);
  return cli_flush_stdout(c);
}

static int print_group(const cli *c, const option_group *g) {
  if (c->common.json)
    return cli_print_json(c, json_pack("{s:s, s:s, s:o}", "name", g->name, "summary", g->summary,
                                       "options", opt_describe(g->rows, *g->n_rows)));
  printf("%s: %s\n\n", g->name, g->summary);
  opt_set set = {.title = "Options", .rows = g->rows, .n_rows = *g->n_rows};
  opt_print_help(stdout, &set);
  return cli_flush_stdout(c);
}

/* Agents and environments have rows as learners have: false when none has the name. */
static bool print_rl(const cli *c, const char *name, int *code) {
  garam_error ignored;
  const agent_ops *a = agent_find(name, &ignored);
  const env_ops *e = a ? NULL : env_find(name, &ignored);
  if (!a && !e) return false;
  const char *found = a ? a->name : e->name, *summary = a ? a->summary : e->summary;
  const opt_set set = {.title = "Options",
                       .rows = a ? a->options : e->options,
                       .n_rows = a ? a->n_options : e->n_options};
  if (c->common.json) {
    *code = cli_print_json(c, json_pack("{s:s, s:s, s:o, s:o}", "name", found, "summary", summary,
                                        "options", opt_describe(set.rows, set.n_rows), "presets",
                                        presets_json(a ? a->presets : NULL)));
    return true;
  }
  printf("%s: %s\n\n", found, summary);
  if (set.n_rows) opt_print_help(stdout, &set);
  else puts("It has no options.");
  print_presets(a ? a->presets : NULL);
  *code = cli_flush_stdout(c);
  return true;
}

static int print_all(const cli *c) {
  if (c->common.json) {
    json_t *all = json_object();
    for (size_t i = 0; i < COUNT_OF(groups); i++)
      json_object_set_new(all, groups[i].name, opt_describe(groups[i].rows, *groups[i].n_rows));
    for (const learner_ops *const *ops = learner_registry; *ops; ops++)
      json_object_set_new(all, (*ops)->name, opt_describe((*ops)->options, (*ops)->n_options));
    for (const agent_ops *const *ops = agent_registry; *ops; ops++)
      json_object_set_new(all, (*ops)->name, opt_describe((*ops)->options, (*ops)->n_options));
    for (const env_ops *const *ops = env_registry; *ops; ops++)
      json_object_set_new(all, (*ops)->name, opt_describe((*ops)->options, (*ops)->n_options));
    return cli_print_json(c, all);
  }
  puts("Options of models:");
  for (const learner_ops *const *ops = learner_registry; *ops; ops++)
    printf("  %-12s %s\n", (*ops)->name, (*ops)->summary);
  puts("\nOptions of agents (garam rl):");
  for (const agent_ops *const *ops = agent_registry; *ops; ops++)
    printf("  %-12s %s\n", (*ops)->name, (*ops)->summary);
  puts("\nOptions of environments:");
  for (const env_ops *const *ops = env_registry; *ops; ops++)
    printf("  %-24s %s\n", (*ops)->name, (*ops)->summary);
  puts("\nOptions that every model shares:");
  for (size_t i = 0; i < COUNT_OF(groups); i++)
    printf("  %-12s %s\n", groups[i].name, groups[i].summary);
  puts("\ngaram options NAME shows the rows of one.");
  return cli_flush_stdout(c);
}

static int run_options(cli *c) {
  int code = cli_parse(c, 0, 1);
  if (code != CLI_GO_ON) return code;
  if (c->n_operands == 0) return print_all(c);
  for (size_t i = 0; i < COUNT_OF(groups); i++)
    if (strcmp(groups[i].name, c->operands[0]) == 0) return print_group(c, &groups[i]);
  if (print_rl(c, c->operands[0], &code)) return code;
  garam_error err = {0};
  const learner_ops *ops = learner_find(c->operands[0], &err);
  if (!ops) return cli_fail_usage(c, &err);
  return print_learner(c, ops);
}

static int run_models(cli *c) {
  int code = cli_parse(c, 0, 0);
  if (code != CLI_GO_ON) return code;
  if (c->common.json) {
    json_t *list = json_array();
    for (const learner_ops *const *ops = learner_registry; *ops; ops++)
      json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o}", "name", (*ops)->name, "summary",
                                            (*ops)->summary, "tasks", tasks_json(*ops), "presets",
                                            presets_json((*ops)->presets)));
    return cli_print_json(c, json_pack("{s:o}", "models", list));
  }
  text_table *t = text_table_new("llll");
  text_table_add(t, "model");
  text_table_add(t, "what it is");
  text_table_add(t, "tasks");
  text_table_add(t, "presets");
  text_table_rule(t);
  for (const learner_ops *const *ops = learner_registry; *ops; ops++) {
    char tasks[128] = "", presets[128] = "";
    for (unsigned i = 0; task_names[i]; i++)
      if ((*ops)->tasks & 1u << i)
        snprintf(tasks + strlen(tasks), sizeof tasks - strlen(tasks), "%s%s", *tasks ? ", " : "",
                 task_names[i]);
    for (const learner_preset *p = (*ops)->presets; p && p->name; p++)
      snprintf(presets + strlen(presets), sizeof presets - strlen(presets), "%s%s",
               *presets ? ", " : "", p->name);
    text_table_add(t, "%s", (*ops)->name);
    text_table_add(t, "%s", (*ops)->summary);
    text_table_add(t, "%s", tasks);
    text_table_add(t, "%s", *presets ? presets : "-");
  }
  text_table_print(t, stdout, 0);
  return cli_flush_stdout(c);
}

const command cmd_options = {
    .name = "options",
    .summary = "every option of a model, an agent, an environment",
    .usage = "[NAME] [--json]",
    .details = "NAME is a model (garam models lists them), an agent or an environment (garam rl "
               "list), or a\n"
               "group of shared options.",
    .examples = "garam options transformer\ngaram options label --json",
    .run = run_options,
};

const command cmd_models = {
    .name = "models",
    .summary = "the models there are, their tasks and presets",
    .usage = "[--json]",
    .run = run_models,
};
