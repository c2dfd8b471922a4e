/* A player and the world that it plays in: a policy in a file with the environment that it records,
 * or a script with the one that is named. */
#ifndef API_RL_WORLD_H
#define API_RL_WORLD_H

#include "env/baseline.h"
#include "rl/evaluate.h"

typedef struct rl_world_spec {
  const char *policy; /* a file, or NULL */
  const char *script; /* name of a baseline where there is no policy */
  const env_ops *env; /* NULL: the policy's own */
  const void
      *env_config; /* of `env`; NULL: the policy's record where it is the same, or defaults */
} rl_world_spec;

typedef struct rl_world {
  env *env;
  policy *policy; /* NULL: a script */
  const baseline *script;
  player player;  /* points into this struct, which must not move */
  char agent[64]; /* who plays: "td3", "twap" */
  int64_t steps;  /* that the policy was trained for; 0: not known */
} rl_world;

/* n worlds of `seed`. GARAM_NOT_FOUND: no such environment or script, with what there is;
 * GARAM_MISMATCH: the policy was trained in a world of another shape. */
garam_status rl_world_open(rl_world *out, const rl_world_spec *spec, size_t n, uint64_t seed,
                           garam_error *err);
void rl_world_close(rl_world *w);

/* The options of the environment that a policy's record holds into a config of the same kind. */
garam_status rl_world_recorded(const policy *p, const env_ops *ops, void *config, bool *there,
                               garam_error *err);

#endif
