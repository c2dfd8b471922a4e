/* A policy: what an agent has learnt, without what taught it: observations of all agents to
 * actions, deterministic. It is what is evaluated, played, packaged, served and streamed.
 *
 * As a package it is one .safetensors file with the kind "policy" in its manifest: the parameters
 * of its actor, the statistics that observations are normalised by, the environment and every
 * option. */
#ifndef RL_POLICY_H
#define RL_POLICY_H

#include "learn/package.h"
#include "rl/actor.h"
#include "rl/normalizer.h"

typedef struct policy policy;

/* params: the flat block that actor_build's graph of `spec` lays out, borrowed (the agent's own, so
 * that the policy is always what has been learnt so far), or NULL: one of its own, zeros. `version`
 * counts its changes (plan_config.params_version); NULL when params are the policy's own.
 * z may be NULL. The shape and its strings are copied. */
garam_status policy_new(policy **out, const actor_spec *spec, float *params,
                        const uint64_t *version, const normalizer *z, garam_error *err);
void policy_free(policy *p);

const actor_spec *policy_spec(const policy *p);
size_t policy_parameters(const policy *p); /* scalars */

/* observation (n, A, O), alive (n, A) or NULL (all) -> action (n, A, U): a box's numbers within
 * its bounds, the index of a choice; zeros for agents that are not alive. A program is made for
 * each n the first time it is seen; from then on nothing is allocated. */
garam_status policy_act(policy *p, const float *observation, const uint8_t *alive, size_t n,
                        float *action, garam_error *err);

/* Of the last policy_act: what agent a's head gave (n, actor_head_width), for who explores. */
const float *policy_heads(const policy *p, int a);
/* The graph of n worlds, for who exports it: input "observation" (n, A, O), normalised; outputs
 * "head.A" and, of boxes, "action.A". Caller frees. */
garam_status policy_graph(graph **out, const policy *p, size_t n, garam_error *err);
const float *policy_params(const policy *p);
/* Where parameter `name` begins in them; a name that there is not is misuse. */
size_t policy_place(const policy *p, const char *name);
const normalizer *policy_normalizer(const policy *p); /* NULL: none */

/* `record`: env {name, options}, agent {name, options}, training; kept in the manifest. */
garam_status policy_save(const policy *p, const json_t *record, const char *path, garam_error *err);
garam_status policy_load(policy **out, const char *path, garam_error *err);
const json_t *policy_record(const policy *p); /* borrowed; NULL when it was never loaded */
bool policy_is(const package_reader *r);      /* is this package a policy? */

#endif
