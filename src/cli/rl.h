/* The verbs of garam rl, one file each. */
#ifndef CLI_RL_H
#define CLI_RL_H

#include "api/rl_run.h"
#include "cli/cli.h"

int rl_train_verb(cli *c);    /* rl_train.c */
int rl_evaluate_verb(cli *c); /* rl_evaluate.c */
int rl_play_verb(cli *c);     /* rl_play.c */
int rl_compare_verb(cli *c);  /* rl_compare.c */
int rl_list_verb(cli *c);     /* rl_list.c */

/* Of an environment that --env names: its rows as flags, beside those that the command has. */
typedef struct rl_env_flags {
  const env_ops *ops; /* NULL: --env was not given */
  void *config;
  rl_rows rows;
} rl_env_flags;
/* CLI_GO_ON or an exit code, the message printed. */
int rl_env_flags_add(cli *c, rl_env_flags *f, const char *name);
void rl_env_flags_deinit(rl_env_flags *f);
/* Options that nobody gave are those of the policy's record, where it names this environment. */
garam_status rl_env_flags_take(cli *c, rl_env_flags *f, const char *policy_path, garam_error *err);

/* "-151.2 (-160.1 to -144.9)" of an object with iqm, ci_low and ci_high. */
char *rl_interval_text(char out[TEXT_SHORT], const json_t *o);
/* The command line as it would be typed, for reports; mem_free. NULL: memory is out. */
char *rl_command_text(const cli *c);

#endif
