/* Critics: what agents' actions are worth, as graphs. An action is encoded as a critic reads it:
 * boxes in units of half their width, choices as one-hots, rows of all agents as wide as the
 * widest: (B, A, V).
 *
 * Independent critics see what their own agent sees and does. Centralised ones see all (Lowe et al.
 * 2017, "MADDPG": only training needs them, actors stay apart). Agents of a team that share a net
 * have one critic that gives a value each. */
#ifndef RL_CRITIC_H
#define RL_CRITIC_H

#include "rl/actor.h"

typedef enum critic_kind { CRITIC_INDEPENDENT, CRITIC_CENTRALISED } critic_kind;
extern const char *const critic_kind_names[];

typedef struct critic_spec {
  const env_shape *shape;
  net_config net;
  int kind;
  bool shared;
} critic_spec;

int critic_action_width(const env_shape *shape);         /* V */
int critic_encoded_width(const env_shape *shape, int a); /* of agent a: numbers, or choices */

/* What critics read. state (B, S) or NULL: observations side by side. */
typedef struct critic_input {
  tensor *observation, *state, *action; /* (B, A, O), (B, S), (B, A, V) */
} critic_input;

/* (B, A): each agent's value of what all do. Parameters are "critic.WHICH.AGENT...", or TEAM. */
tensor *critic_build(const critic_spec *spec, int which, const critic_input *in,
                     const net_scope *scope);
/* (B, A): agent a's value where it alone does `own` (B, A, V) instead. */
tensor *critic_build_own(const critic_spec *spec, int which, const critic_input *in, tensor *own,
                         const net_scope *scope);

#endif
