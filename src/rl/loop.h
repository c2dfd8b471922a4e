/* One seed: an agent acts in a batch of worlds and learns, is judged on held-out seeds now and
 * then, and at the end. The same for every agent. Everything that decides what comes next is in
 * the checkpoint, so a run that was cut off anywhere goes on as if it had not been.
 *
 * Which policy is kept is decided by held-out episodes that the agent never learns from, by the
 * lower end of the interval of their mean, not by the returns of exploring; and what is reported
 * of it are other episodes still, so that being chosen does not flatter it. */
#ifndef RL_LOOP_H
#define RL_LOOP_H

#include "rl/agent.h"
#include "rl/evaluate.h"

enum { LOOP_MAX_METRICS = 24, LOOP_NAME_MAX = 32 };

/* One line of the learning curve; doubles alone, so that a curve is an array in the checkpoint. */
typedef struct loop_row {
  double steps;                           /* world steps so far */
  double train_return, train_episodes;    /* of episodes that ended since the row before; NaN */
  double mean, low, high;                 /* score of held-out episodes, 95 % */
  double train_seconds, evaluate_seconds; /* so far */
  double best;                            /* 1: the best so far */
  double metric[LOOP_MAX_METRICS];        /* what the agent says of itself; NaN: not in this row */
} loop_row;

typedef struct loop_curve {
  size_t n, capacity;
  loop_row *rows;
  size_t n_metrics;
  char metric_names[LOOP_MAX_METRICS][LOOP_NAME_MAX];
} loop_curve;

typedef struct loop_setup {
  const env_ops *env;
  const void *env_config; /* NULL: its defaults */
  const agent_ops *agent;
  const void *agent_config;
  size_t n;                         /* worlds */
  uint64_t steps;                   /* world steps, all worlds together; a multiple of n is taken */
  uint64_t eval_every;              /* 0: only at the end */
  size_t eval_episodes;             /* on the way, that decide what is kept */
  size_t episodes;                  /* of the last evaluation */
  uint64_t seed;                    /* of worlds and agent */
  uint64_t select_seed, judge_seed; /* of held-out episodes: on the way, and at the end */
  bool keep_best;                   /* else what was learnt last is kept */
  const char *folder;               /* holds NAME.safetensors (how far) and NAME.policy.safetensors
                                       (what is kept); NULL: nothing is written, the last is kept */
  const char *name;
  bool resume;      /* go on from the files, where they are */
  json_t *identity; /* what the run is of: files of another one are refused; borrowed */
  json_t *record;   /* for policy_save; borrowed */
  /* All may be NULL. A row is told when it cannot be lost any more. */
  void (*on_row)(void *context, const loop_curve *curve);
  void (*on_steps)(void *context, uint64_t steps); /* now and then */
  bool (*interrupted)(void *context); /* true: saves, and GARAM_INTERRUPTED comes back */
  void *context;
} loop_setup;

typedef struct loop_result {
  loop_curve curve;
  size_t kept;       /* row of the policy that is kept */
  evaluation judged; /* of it */
  evaluation last;   /* of what was learnt last; n_episodes 0: it is the one that is kept */
  uint64_t steps;
  bool resumed; /* some of it was there before */
  uint64_t resumed_steps;
} loop_result;

/* A checkpoint that is not there is no error: the run begins anew. */
garam_status loop_run(loop_result *out, const loop_setup *setup, garam_error *err);
void loop_result_deinit(loop_result *r);

/* FOLDER/NAME.safetensors and FOLDER/NAME.policy.safetensors; mem_free. */
char *loop_checkpoint_path(const char *folder, const char *name);
char *loop_policy_path(const char *folder, const char *name);

#endif
