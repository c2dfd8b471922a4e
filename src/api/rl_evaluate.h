/* What a policy or a script scores on held-out seeds, and one episode of it step by step. */
#ifndef API_RL_EVALUATE_H
#define API_RL_EVALUATE_H

#include "api/rl_world.h"

typedef struct rl_evaluate_config {
  int episodes, seeds;
} rl_evaluate_config;
extern const opt_row rl_evaluate_options[];
extern const size_t rl_evaluate_n_options;

/* `seeds` sets of `episodes`, each with other beginnings; the k-th of two players that are asked
 * with one seed has the same. *result has the keys of docs/cli.md. */
garam_status rl_evaluate(json_t **result, const rl_world_spec *spec,
                         const rl_evaluate_config *config, uint64_t seed, garam_error *err);

/* One episode, number `episode` of `seed`: observation, action, reward and info of each step, and
 * at most `n_frames` pictures, evenly apart, where the environment draws. */
garam_status rl_play(json_t **result, const rl_world_spec *spec, uint64_t seed, uint64_t episode,
                     int n_frames, garam_error *err);

#endif
