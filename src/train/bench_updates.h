/* How many updates of an actor and a critic a second: `garam bench updates`. */
#ifndef TRAIN_BENCH_UPDATES_H
#define TRAIN_BENCH_UPDATES_H

#include "base/opt.h"

typedef struct bench_updates_config {
  int batch, observation, action;
  int first, second; /* widths of the two hidden layers, of both nets */
  double seconds;
  bool profile;
  void (*line)(void *context, const char *text); /* of the profile; may be NULL */
  void *context;
} bench_updates_config;
extern const opt_row bench_updates_options[];
extern const size_t bench_updates_n_options;

typedef struct bench_updates_result {
  uint64_t updates; /* measured; the first hundred were not */
  double seconds, updates_per_second;
  size_t parameters; /* of both nets */
  double flops;      /* of one update */
  double critic_loss, actor_loss;
} bench_updates_result;

/* The learning step of DDPG (Lillicrap et al. 2016, algorithm 1), on one batch of random
 * transitions: targets from the slow nets, the critic's squared error and its AdamW, the actor's
 * gradient through the critic and its AdamW, and both slow nets moved by 0.005. */
garam_status bench_updates(bench_updates_result *out, const bench_updates_config *config,
                           garam_error *err);

#endif
