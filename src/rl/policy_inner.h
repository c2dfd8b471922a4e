/* What a policy is inside: for policy.c and policy_io.c. */
#ifndef RL_POLICY_INNER_H
#define RL_POLICY_INNER_H

#include "base/arena.h"
#include "rl/policy.h"

typedef struct policy_program { /* for n worlds */
  size_t n;
  plan *plan;
  float *observation;
  const float *head[ENV_MAX_AGENTS], *box[ENV_MAX_AGENTS]; /* box: NULL for choices */
} policy_program;

struct policy {
  arena arena; /* of the shape */
  env_shape shape;
  actor_spec spec;
  graph *graph; /* of one world: names and places of parameters */
  float *params, *owned;
  const uint64_t *version;
  uint64_t own_version;
  const normalizer *normalizer; /* NULL: none; else the caller's, or own_normalizer */
  normalizer own_normalizer;
  policy_program **programs, *last;
  size_t n_programs, cap_programs;
  json_t *record;
};

#endif
