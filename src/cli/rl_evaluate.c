/* garam rl evaluate: what policies and scripts score on held-out seeds. */
#include "cli/rl.h"

#include "api/rl_evaluate.h"

#include <math.h>
#include <string.h>

typedef struct evaluate_command {
  char env[64], agent[64];
  rl_evaluate_config config;
} evaluate_command;

static const opt_row evaluate_rows[] = {
    {"env", OPT_STRING, OPT_AT(evaluate_command, env),
     .help = "another environment than the policy records, of the same shape; a script's"},
    {"agent", OPT_STRING, OPT_AT(evaluate_command, agent),
     .help = "a script instead of a policy: random, and what garam rl list has"},
};

static int print_text(const cli *c, const json_t *list) {
  text_table *t = text_table_new("lllrr");
  size_t i;
  json_t *one;
  text_table_add(t, "agent");
  text_table_add(t, "environment");
  text_table_add(t, "return (95 %% over %d seeds of %d episodes)",
                 (int)json_integer_value(json_object_get(json_array_get(list, 0), "seeds")),
                 (int)json_integer_value(json_object_get(json_array_get(list, 0), "episodes")));
  text_table_add(t, "steps an episode");
  text_table_add(t, "normalized");
  text_table_rule(t);
  json_array_foreach((json_t *)(uintptr_t)list, i, one) {
    char text[TEXT_SHORT];
    const char *policy_path = json_string_value(json_object_get(one, "policy"));
    const double share = json_f64(one, "normalized");
    text_table_add(t, "%s%s%s%s", json_string_value(json_object_get(one, "agent")),
                   policy_path ? " (" : "", policy_path ? policy_path : "", policy_path ? ")" : "");
    text_table_add(t, "%s", json_string_value(json_object_get(one, "env")));
    text_table_add(t, "%s", rl_interval_text(text, one));
    text_table_add(t, "%.1f", json_f64(one, "episode_steps"));
    if (isnan(share)) text_table_add(t, "%s", "");
    else text_table_add(t, "%.3f", share);
  }
  text_table_print(t, stdout, 0);
  return cli_flush_stdout(c);
}

static garam_status evaluate_all(cli *c, const evaluate_command *e, rl_env_flags *flags,
                                 json_t *list, garam_error *err) {
  const uint64_t seed = (uint64_t)c->common.seed;
  json_t *one;
  if (c->n_operands == 1) {
    const rl_world_spec spec = {.script = e->agent, .env = flags->ops, .env_config = flags->config};
    TRY(rl_evaluate(&one, &spec, &e->config, seed, err));
    json_array_append_new(list, one);
  }
  for (int i = 1; i < c->n_operands; i++) {
    TRY(rl_env_flags_take(c, flags, c->operands[i], err));
    const rl_world_spec spec = {
        .policy = c->operands[i], .env = flags->ops, .env_config = flags->config};
    TRY(rl_evaluate(&one, &spec, &e->config, seed, err));
    json_array_append_new(list, one);
  }
  return GARAM_OK;
}

int rl_evaluate_verb(cli *c) {
  evaluate_command e = {0};
  rl_env_flags flags = {0};
  garam_error err = {0};
  json_t *list = json_array();
  cli_add(c, "Evaluation", evaluate_rows, COUNT_OF(evaluate_rows), &e);
  cli_add(c, "Episodes", rl_evaluate_options, rl_evaluate_n_options, &e.config);
  int code = rl_env_flags_add(c, &flags, cli_peek(c, "env"));
  if (code == CLI_GO_ON) code = cli_parse(c, 1, CLI_MAX_OPERANDS);
  if (code != CLI_GO_ON) goto done;
  if (c->n_operands == 1 && (!flags.ops || !e.agent[0])) {
    code = cli_usage(c, "what to evaluate: a policy's file, or --env NAME --agent SCRIPT");
    goto done;
  }
  if (c->n_operands > 1 && e.agent[0]) {
    code = cli_usage(c, "--agent names a script, and %s is a policy: one of them", c->operands[1]);
    goto done;
  }
  if (evaluate_all(c, &e, &flags, list, &err) != GARAM_OK) {
    code =
        err.status == GARAM_NOT_FOUND && e.agent[0] ? cli_fail_usage(c, &err) : cli_fail(c, &err);
  } else if (c->common.json) {
    json_t *out = json_array_size(list) == 1 ? json_incref(json_array_get(list, 0))
                                             : json_pack("{s:O}", "results", list);
    code = cli_print_json(c, out);
  } else {
    code = c->common.quiet ? CLI_OK : print_text(c, list);
  }
done:
  json_decref(list);
  rl_env_flags_deinit(&flags);
  return code;
}
