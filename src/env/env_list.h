/* The environments of this room, one file each; the map of the room. Add a line to add one. */
#ifndef ENV_ENV_LIST_H
#define ENV_ENV_LIST_H

#include "rl/env.h"

#define ENV_LIST(X) X(cartpole) X(pendulum) X(mountain_car_continuous)

#define X(name) extern const env_ops env_##name;
ENV_LIST(X)
#undef X

#endif
