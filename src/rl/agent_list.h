/* The agents of this room. Add a line to add one: X(name) is agent_NAME in the file that makes it.
 */
#ifndef RL_AGENT_LIST_H
#define RL_AGENT_LIST_H

#include "rl/agent.h"

#define AGENT_LIST(X) X(ddpg) X(td3) X(sac) X(dqn) X(maddpg) X(matd3) X(ppo) X(mappo)

#define X(name) extern const agent_ops agent_##name;
AGENT_LIST(X)
#undef X

#endif
