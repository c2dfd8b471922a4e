/* garam rl: agents that learn to act. A verb comes first; each has a file of its own. */
#include "cli/commands.h"
#include "cli/rl.h"

#include "api/rl_world.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *name, *usage, *summary;
  int (*run)(cli *c);
} verbs[] = {
    {"train", "train --env NAME --agent NAME [--steps N] [--seeds N]",
     "learn from several seeds, keep the best policy", rl_train_verb},
    {"evaluate", "evaluate POLICY... | --env NAME --agent SCRIPT",
     "returns on held-out seeds, with intervals", rl_evaluate_verb},
    {"play", "play POLICY [--out play.html]", "one episode, step by step, with pictures",
     rl_play_verb},
    {"compare", "compare RESULT.json|POLICY...",
     "tables, probability of improvement, profiles, cross-play", rl_compare_verb},
    {"list", "list", "the environments, agents and scripts there are", rl_list_verb},
};

static void print_verbs(cli *c) {
  (void)c;
  puts("Verbs:");
  for (size_t i = 0; i < COUNT_OF(verbs); i++)
    printf("  garam rl %-58s %s\n", verbs[i].usage, verbs[i].summary);
}

static int run(cli *c) {
  const char *kind = c->argc > 0 ? c->argv[0] : "--help";
  const char *names[COUNT_OF(verbs)];
  for (size_t i = 0; i < COUNT_OF(verbs); i++) {
    names[i] = verbs[i].name;
    if (strcmp(kind, names[i]) == 0) return verbs[i].run(c);
  }
  if (kind[0] == '-') {
    c->more_help = print_verbs;
    int code = cli_parse(c, 0, 0);
    if (code != CLI_GO_ON) return code;
    return cli_usage(c, "what to do comes first: train, evaluate, play, compare or list");
  }
  const char *near = name_nearest(kind, names, COUNT_OF(names));
  return cli_usage(c, "no verb of rl is named \"%s\"%s%s%s", kind, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

/* ---- what the verbs share ----------------------------------------------------------------------
 */

int rl_env_flags_add(cli *c, rl_env_flags *f, const char *name) {
  garam_error err = {0};
  *f = (rl_env_flags){0};
  if (!name) return CLI_GO_ON;
  f->ops = env_find(name, &err);
  if (!f->ops) return cli_fail_usage(c, &err);
  f->config = mem_zalloc(f->ops->config_size + 1);
  if (!f->config) return fail_memory(&err, f->ops->config_size), cli_fail(c, &err);
  if (rl_rows_init(&f->rows, "env", f->ops->options, f->ops->n_options, c->sets, c->n_sets, &err) !=
      GARAM_OK)
    return cli_fail(c, &err);
  cli_add(c, "Environment", f->rows.rows, f->rows.n, f->config);
  return CLI_GO_ON;
}

void rl_env_flags_deinit(rl_env_flags *f) {
  rl_rows_deinit(&f->rows);
  mem_free(f->config);
  *f = (rl_env_flags){0};
}

garam_status rl_env_flags_take(cli *c, rl_env_flags *f, const char *policy_path, garam_error *err) {
  policy *p = NULL;
  bool there;
  garam_status status;
  if (!f->ops || !f->ops->n_options) return GARAM_OK;
  void *recorded = mem_zalloc(f->ops->config_size);
  if (!recorded) return fail_memory(err, f->ops->config_size);
  opt_defaults(f->ops->options, f->ops->n_options, recorded);
  TRY_GOTO(done, policy_load(&p, policy_path, err));
  TRY_GOTO(done, rl_world_recorded(p, f->ops, recorded, &there, err));
  if (there) cli_take_rest(c, f->config, recorded);
done:
  policy_free(p);
  mem_free(recorded);
  return status;
}

char *rl_interval_text(char out[TEXT_SHORT], const json_t *o) {
  char a[TEXT_SHORT], b[TEXT_SHORT], v[TEXT_SHORT];
  snprintf(out, TEXT_SHORT, "%.16s (%.16s to %.16s)", text_number(v, json_f64(o, "iqm")),
           text_number(a, json_f64(o, "ci_low")), text_number(b, json_f64(o, "ci_high")));
  return out;
}

char *rl_command_text(const cli *c) {
  char *text = mem_format("garam %s", c->command->name);
  for (int i = 0; text && i < c->argc; i++) {
    const bool plain = *c->argv[i] && !strpbrk(c->argv[i], " \t\n\"'$`\\*?[]{}()<>|&;#~!");
    char *longer = mem_format(plain ? "%s %s" : "%s '%s'", text, c->argv[i]);
    mem_free(text);
    text = longer;
  }
  return text;
}

const command cmd_rl = {
    .name = "rl",
    .summary = "agents that learn to act: train, evaluate, play, compare, list",
    .usage = "train|evaluate|play|compare|list [operands] [--options] [--json]",
    .details = "garam rl VERB --help shows the options of one, with those of the environment and\n"
               "the agent that are named. An option of the environment that something else has as\n"
               "well is --env-NAME, one of the agent --agent-NAME.",
    .examples = "garam rl list\n"
                "garam rl train --env Pendulum-v1 --agent td3 --steps 20000 --seeds 10 --json\n"
                "garam rl evaluate --env execution --agent twap\n"
                "garam rl play policy.safetensors --out play.html",
    .run = run,
};
