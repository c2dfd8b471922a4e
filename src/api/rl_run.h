/* One experiment from names to a policy in a file: what `garam rl train` and garam_rl_train() both
 * do. The request is filled by option rows, so both take the same settings. */
#ifndef API_RL_RUN_H
#define API_RL_RUN_H

#include "rl/experiment.h"

enum { RL_PATH_MAX = 4096, RL_MAX_SETS = 4 };

/* Rows of an environment or an agent as this request names them: one whose name something before
 * has is called by its owner, "env-steps" or "agent-seed". */
typedef struct rl_rows {
  opt_row *rows;
  size_t n;
} rl_rows;

typedef struct rl_request {
  char env[64], agent[64], preset[32];
  char out[RL_PATH_MAX];
  char checkpoint[RL_PATH_MAX]; /* folder; "": OUT.checkpoint */
  char curve[RL_PATH_MAX];      /* rows of every seed, as JSON lines */
  bool resume;
  int64_t seed;
  experiment_config experiment;
  const env_ops *env_ops; /* from rl_request_init */
  void *env_config;       /* config of it, owned */
  const agent_ops *agent_ops;
  void *agent_config;
  rl_rows env_rows, agent_rows;
} rl_request;

extern const opt_row rl_request_options[]; /* env to resume; not seed */
extern const size_t rl_request_n_options;

/* Defaults everywhere, then the preset; of an agent that has a preset with the environment's name
 * that one, when none is named. GARAM_NOT_FOUND, with the nearest name, where there is no such
 * environment, agent or preset. */
garam_status rl_request_init(rl_request *r, const char *env_name, const char *agent_name,
                             const char *preset, garam_error *err);
/* With an environment and an agent of one's own. */
garam_status rl_request_init_ops(rl_request *r, const env_ops *world, const agent_ops *learns,
                                 const char *preset, garam_error *err);
void rl_request_deinit(rl_request *r);
size_t rl_request_sets(opt_set sets[RL_MAX_SETS], rl_request *r);

/* Copies of rows, renamed where `before` (sets with n_before) or the command's own have the name.
 */
garam_status rl_rows_init(rl_rows *out, const char *owner, const opt_row *rows, size_t n,
                          const opt_set *before, size_t n_before, garam_error *err);
void rl_rows_deinit(rl_rows *r);

/* All callbacks may be NULL; one call at a time. */
typedef struct rl_hooks {
  void (*on_row)(void *context, int seed, const loop_curve *curve);
  void (*on_steps)(void *context, uint64_t steps, uint64_t of); /* of all seeds */
  bool (*interrupted)(void *context);
  void *context;
} rl_hooks;

/* Trains every seed, keeps the best policy in r->out. *result (new reference) has the keys of
 * docs/cli.md. GARAM_INTERRUPTED: the checkpoints are in r->checkpoint, and the same request with
 * `resume` goes on from them. */
garam_status rl_run(json_t **result, rl_request *r, const rl_hooks *hooks, garam_error *err);

#endif
