/* garam rl play: one episode of a policy or a script, step by step. */
#include "cli/rl.h"

#include "api/rl_evaluate.h"
#include "report/rl.h"

#include <string.h>

typedef struct play_command {
  char env[64], agent[64], out[RL_PATH_MAX];
  int64_t episode;
  int frames;
} play_command;

static const opt_row play_rows[] = {
    {"env", OPT_STRING, OPT_AT(play_command, env),
     .help = "another environment than the policy records, of the same shape; a script's"},
    {"agent", OPT_STRING, OPT_AT(play_command, agent), .help = "a script instead of a policy"},
    {"episode", OPT_I64, OPT_AT(play_command, episode), .def = 0, .max = 1e9,
     .help = "number of the episode, of this seed"},
    {"out", OPT_STRING, OPT_AT(play_command, out),
     .help = "HTML file to write: pictures, return, actions, what the environment tells"},
    {"frames", OPT_INT, OPT_AT(play_command, frames), .def = 12, .min = 0, .max = 1000,
     .help = "pictures in it"},
};

static void put_numbers(char *out, size_t room, const json_t *list) {
  size_t used = 0;
  out[0] = 0;
  for (size_t i = 0; i < json_array_size(list) && used + 16 < room; i++) {
    const json_t *value = json_array_get(list, i);
    if (json_is_array(value)) {
      char inner[96];
      put_numbers(inner, sizeof inner, value);
      used += (size_t)snprintf(out + used, room - used, "%s%.80s", i ? " | " : "", inner);
    } else {
      used += (size_t)snprintf(out + used, room - used, "%s%.4g", i ? " " : "",
                               json_number_value(value));
    }
    if (used >= room) used = room - 1;
  }
}

static int print_steps(const cli *c, const json_t *play) {
  text_table *t = text_table_new("rlll");
  size_t i;
  json_t *step;
  char text[256];
  text_table_add(t, "step");
  text_table_add(t, "observation");
  text_table_add(t, "action");
  text_table_add(t, "reward");
  text_table_rule(t);
  json_array_foreach(json_object_get(play, "trajectory"), i, step) {
    static const char *const keys[] = {"observation", "action", "reward"};
    text_table_add(t, "%zu", i);
    for (size_t k = 0; k < COUNT_OF(keys); k++) {
      put_numbers(text, k == 0 ? 72 : 48, json_object_get(step, keys[k]));
      text_table_add(t, "%s", text);
    }
  }
  text_table_print(t, stdout, 0);
  put_numbers(text, sizeof text, json_object_get(play, "return"));
  printf("\n%s in %s: %zu steps, return %s\n", json_string_value(json_object_get(play, "agent")),
         json_string_value(json_object_get(play, "env")), i, text);
  return cli_flush_stdout(c);
}

/* It streams: a line a step, then one that says how it ended. */
static int print_lines(const cli *c, json_t *play) {
  size_t i;
  json_t *step;
  json_array_foreach(json_object_get(play, "trajectory"), i, step) {
    char *text = json_text(step);
    if (!text) break;
    puts(text);
    mem_free(text);
  }
  json_object_del(play, "trajectory");
  json_object_del(play, "frames");
  char *text = json_text(play);
  if (text) puts(text);
  mem_free(text);
  return cli_flush_stdout(c);
}

static int play_it(cli *c, play_command *x, rl_env_flags *flags) {
  const bool file = c->n_operands == 2;
  garam_error err = {0};
  json_t *play = NULL;
  if (!file && (!flags->ops || !x->agent[0]))
    return cli_usage(c, "what to play: a policy's file, or --env NAME --agent SCRIPT");
  if (file && x->agent[0])
    return cli_usage(c, "--agent names a script, and %s is a policy: one of them", c->operands[1]);
  if (file && rl_env_flags_take(c, flags, c->operands[1], &err) != GARAM_OK)
    return cli_fail(c, &err);
  const rl_world_spec spec = {.policy = file ? c->operands[1] : NULL,
                              .script = file ? NULL : x->agent,
                              .env = flags->ops,
                              .env_config = flags->config};
  garam_status status = rl_play(&play, &spec, (uint64_t)c->common.seed, (uint64_t)x->episode,
                                x->out[0] ? x->frames : 0, &err);
  if (status == GARAM_OK && x->out[0]) {
    char *line = rl_command_text(c);
    status = report_rl_write(x->out, NULL, play, line, &err);
    mem_free(line);
  }
  int code = CLI_OK;
  if (status != GARAM_OK)
    code = status == GARAM_NOT_FOUND && !file ? cli_fail_usage(c, &err) : cli_fail(c, &err);
  else if (c->common.json) code = print_lines(c, play);
  else if (x->out[0])
    code = c->common.quiet ? CLI_OK : (printf("%s\n", x->out), cli_flush_stdout(c));
  else code = print_steps(c, play);
  json_decref(play);
  return code;
}

int rl_play_verb(cli *c) {
  play_command x = {0};
  rl_env_flags flags = {0};
  cli_add(c, "Play", play_rows, COUNT_OF(play_rows), &x);
  int code = rl_env_flags_add(c, &flags, cli_peek(c, "env"));
  if (code == CLI_GO_ON) code = cli_parse(c, 1, 2);
  if (code == CLI_GO_ON) code = play_it(c, &x, &flags);
  rl_env_flags_deinit(&flags);
  return code;
}
