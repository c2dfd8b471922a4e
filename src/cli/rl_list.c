/* garam rl list: what there is to act in, to learn with and to be compared with. */
#include "cli/rl.h"

#include "env/baseline.h"

#include <string.h>

static const char *space_text(char out[TEXT_SHORT], const env_space *s) {
  if (s->kind == ENV_DISCRETE) snprintf(out, TEXT_SHORT, "%d choices", s->n);
  else snprintf(out, TEXT_SHORT, "box of %d", s->n);
  return out;
}

/* Environments that need a file are listed without their shape. */
static env *open_default(const env_ops *ops) {
  env *e;
  garam_error ignored;
  return env_new(&e, ops, NULL, &(env_setup){.n = 1}, &ignored) == GARAM_OK ? e : NULL;
}

static json_t *env_json(const env_ops *ops) {
  json_t *o = json_pack("{s:s, s:s, s:o}", "name", ops->name, "summary", ops->summary, "options",
                        opt_describe(ops->options, ops->n_options));
  json_t *scripts = json_array();
  for (size_t i = 0; baseline_at(ops->name, i); i++)
    json_array_append_new(scripts, json_string(baseline_at(ops->name, i)->name));
  json_object_set_new(o, "scripts", scripts);
  env *e = open_default(ops);
  if (!e) return o;
  json_t *agents = json_array();
  for (int a = 0; a < e->shape.n_agents; a++) {
    const env_agent *x = &e->shape.agents[a];
    json_array_append_new(agents, json_pack("{s:s, s:s?, s:i, s:s, s:i}", "name", x->name, "team",
                                            x->team, "observation", x->observation.n, "action_kind",
                                            x->action.kind == ENV_BOX ? "box" : "choices", "action",
                                            x->action.n));
  }
  json_object_set_new(o, "agents", agents);
  json_object_set_new(o, "max_steps", json_integer(e->shape.max_steps));
  json_object_set_new(o, "reward_low", json_number_or_null(e->shape.reward_low));
  json_object_set_new(o, "reward_high", json_number_or_null(e->shape.reward_high));
  env_free(e);
  return o;
}

static json_t *agent_json(const agent_ops *ops) {
  json_t *presets = json_array(), *spaces = json_array();
  for (const learner_preset *p = ops->presets; p && p->name; p++)
    json_array_append_new(presets, json_string(p->name));
  if (ops->spaces >> ENV_BOX & 1) json_array_append_new(spaces, json_string("box"));
  if (ops->spaces >> ENV_DISCRETE & 1) json_array_append_new(spaces, json_string("choices"));
  return json_pack("{s:s, s:s, s:o, s:o}", "name", ops->name, "summary", ops->summary, "spaces",
                   spaces, "presets", presets);
}

static void print_envs(void) {
  text_table *t = text_table_new("lrlrll");
  static const char *const heads[] = {"environment", "agents", "action",
                                      "observes",    "what",   "scripts"};
  for (size_t i = 0; i < COUNT_OF(heads); i++) text_table_add(t, "%s", heads[i]);
  text_table_rule(t);
  for (const env_ops *const *k = env_registry; *k; k++) {
    char space[TEXT_SHORT], scripts[512] = "";
    env *e = open_default(*k);
    for (size_t i = 0; baseline_at((*k)->name, i); i++) {
      const size_t used = strlen(scripts);
      snprintf(scripts + used, sizeof scripts - used, "%s%s", used ? ", " : "",
               baseline_at((*k)->name, i)->name);
    }
    text_table_add(t, "%s", (*k)->name);
    if (e) text_table_add(t, "%d", e->shape.n_agents);
    else text_table_add(t, "%s", "");
    text_table_add(t, "%s", e ? space_text(space, &e->shape.agents[0].action) : "");
    if (e) text_table_add(t, "%d", e->shape.observation_width);
    else text_table_add(t, "%s", "");
    text_table_add(t, "%s", (*k)->summary);
    text_table_add(t, "%s", scripts);
    env_free(e);
  }
  text_table_print(t, stdout, 0);
}

static void print_agents(void) {
  text_table *t = text_table_new("llll");
  text_table_add(t, "agent");
  text_table_add(t, "acts by");
  text_table_add(t, "what");
  text_table_add(t, "presets");
  text_table_rule(t);
  for (const agent_ops *const *k = agent_registry; *k; k++) {
    char presets[512] = "";
    const bool box = (*k)->spaces >> ENV_BOX & 1, choices = (*k)->spaces >> ENV_DISCRETE & 1;
    for (const learner_preset *p = (*k)->presets; p && p->name; p++) {
      const size_t used = strlen(presets);
      snprintf(presets + used, sizeof presets - used, "%s%s", used ? ", " : "", p->name);
    }
    text_table_add(t, "%s", (*k)->name);
    text_table_add(t, "%s", box && choices ? "both" : box ? "box" : "choices");
    text_table_add(t, "%s", (*k)->summary);
    text_table_add(t, "%s", presets);
  }
  text_table_print(t, stdout, 0);
}

int rl_list_verb(cli *c) {
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (c->common.json) {
    json_t *envs = json_array(), *agents = json_array();
    for (const env_ops *const *k = env_registry; *k; k++) json_array_append_new(envs, env_json(*k));
    for (const agent_ops *const *k = agent_registry; *k; k++)
      json_array_append_new(agents, agent_json(*k));
    return cli_print_json(c, json_pack("{s:o, s:o}", "environments", envs, "agents", agents));
  }
  print_envs();
  puts("");
  print_agents();
  puts("\ngaram options NAME shows the rows of an environment or an agent.");
  return cli_flush_stdout(c);
}
