/* The environments of this room, one file each; the map of the room. Add a line to add one. */
#ifndef ENV_ENV_LIST_H
#define ENV_ENV_LIST_H

#include "rl/env.h"

/* clang-format off */
#define ENV_LIST(X)                                                                                \
  X(cartpole)                                                                                      \
  X(pendulum)                                                                                      \
  X(mountain_car_continuous)                                                                       \
  X(acrobot)                                                                                       \
  X(simple_spread)                                                                                 \
  X(simple_tag)                                                                                    \
  X(simple_adversary)                                                                              \
  X(simple_speaker_listener)                                                                       \
  X(predator_prey)                                                                                 \
  X(execution)                                                                                     \
  X(market_making)                                                                                 \
  X(portfolio)                                                                                     \
  X(order_book)                                                                                    \
  X(bars)                                                                                          \
  X(book_replay)
/* clang-format on */

#define X(name) extern const env_ops env_##name;
ENV_LIST(X)
#undef X

#endif
