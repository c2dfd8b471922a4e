/* An experiment: the same training from n seeds, and what came out of it. Seeds run side by side,
 * one a thread, each serial inside, so that the number of threads changes nothing but the time.
 * Every seed keeps its own checkpoint; an experiment that was cut off anywhere goes on with those
 * that were not finished, each from where it was. */
#ifndef RL_EXPERIMENT_H
#define RL_EXPERIMENT_H

#include "rl/loop.h"
#include "rl/stats.h"

enum { EXPERIMENT_MAX_SEEDS = 1000 };

typedef enum experiment_keep { EXPERIMENT_KEEP_BEST, EXPERIMENT_KEEP_LAST } experiment_keep;

typedef struct experiment_config {
  int64_t steps;
  int seeds;
  int worlds;         /* 0: as many as the agent likes */
  int64_t eval_every; /* world steps; 0: a tenth of all */
  int eval_episodes, episodes;
  int keep; /* experiment_keep */
} experiment_config;
extern const opt_row experiment_options[];
extern const size_t experiment_n_options;

typedef struct experiment_setup {
  const env_ops *env;
  const void *env_config; /* NULL: its defaults */
  const agent_ops *agent;
  const void *agent_config;
  const experiment_config *config;
  uint64_t seed;
  const char *folder; /* of checkpoints; NULL: none */
  bool resume;
  /* All may be NULL; one call at a time, from any thread. */
  void (*on_row)(void *context, int seed, const loop_curve *curve);
  void (*on_steps)(void *context, uint64_t steps); /* of all seeds together */
  bool (*interrupted)(void *context);              /* from any thread at any time */
  void *context;
} experiment_setup;

typedef struct experiment_result {
  int n_seeds;
  size_t worlds;
  uint64_t steps; /* of each seed */
  char team[64];  /* whose mean return is the score */
  loop_result *seeds;
  double *returns;      /* (n_seeds) mean score of the kept policy's last episodes */
  double *last_returns; /* (n_seeds) of what was learnt last */
  stats_interval iqm, mean, last_iqm;
  int best;                /* seed whose policy is best by the lower end of its interval, from
                              episodes that are not those of `returns` */
  double seconds;          /* of this process */
  double steps_per_second; /* of all threads together; evaluations are not counted */
} experiment_result;

/* GARAM_INTERRUPTED: what was done is in the folder. The first seed's error is what comes back. */
garam_status experiment_run(experiment_result *out, const experiment_setup *setup,
                            garam_error *err);
void experiment_result_deinit(experiment_result *r);

/* Seed k's file in the folder; mem_free. */
char *experiment_policy_path(const char *folder, int seed);
/* Removes the files that an experiment has written there, and the folder when it is empty. */
void experiment_clear(const char *folder, int n_seeds);
bool experiment_exists(const char *folder); /* has any seed a checkpoint there? */

/* What the package records of how it was trained (new reference; NULL: memory is out), and what
 * came out, with the keys that docs/cli.md lists. */
json_t *experiment_record(const experiment_setup *setup);
json_t *experiment_json(const experiment_result *r, const experiment_setup *setup);

/* A seed of the `purpose`-th kind for run k, all apart from each other. */
uint64_t experiment_seed(uint64_t seed, uint64_t k, uint32_t purpose);
enum { EXPERIMENT_TRAIN, EXPERIMENT_SELECT, EXPERIMENT_JUDGE };

#endif
