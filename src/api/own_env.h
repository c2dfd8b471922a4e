/* A host's garam_env as an environment of rl/env.h. */
#ifndef API_OWN_ENV_H
#define API_OWN_ENV_H

#include "garam/env.h"
#include "rl/env.h"

/* The record of it: its config is a garam_env, which whoever makes a world gives. `host` outlives
 * it. */
env_ops own_env_ops(const garam_env *host);

#endif
