/* Replay: what happened in the last steps of n worlds, joint transitions of all A agents, so that
 * one set of indices serves all learners of a world. A row is a step of a world; what followed it
 * is the observation of the next row, and is kept apart only where an episode ended. Nothing is
 * allocated once as many ends are there as there will be at a time.
 *
 * Rows are drawn uniformly, or in proportion to priority^alpha (Schaul et al. 2016, section 3.3)
 * through a tree of sums. */
#ifndef RL_REPLAY_H
#define RL_REPLAY_H

#include "learn/package.h"
#include "rl/agent.h"

typedef struct replay_config {
  size_t capacity; /* steps of the world's clock times n; at least n, cut to a multiple of it */
  size_t n, agents;
  size_t observation, action, state; /* O, U, S (0: no state) */
  bool prioritized;
  double alpha;
} replay_config;

typedef struct replay replay;

garam_status replay_new(replay **out, const replay_config *config, garam_error *err);
void replay_free(replay *r);
size_t replay_count(const replay *r); /* rows that can be drawn */

/* One step of all n worlds. */
garam_status replay_add(replay *r, const agent_step *s, garam_error *err);

/* Rows to learn from, by the counter `draw`. weight[i]: (1 / (N p))^beta over the largest of the
 * batch (Schaul et al., section 3.4); 1 when drawn uniformly. */
void replay_draw(const replay *r, size_t *index, float *weight, size_t n, double beta,
                 uint64_t seed, uint64_t draw);
/* |error| of rows that were learnt from; nothing when drawn uniformly. */
void replay_set_errors(replay *r, const size_t *index, const double *error, size_t n);

/* One row with what came of it within n_steps of its world. */
typedef struct replay_row {
  const float *observation, *next_observation; /* (A, O) */
  const float *state, *next_state;             /* (S), or NULL */
  const float *action;                         /* (A, U) */
  float *reward;                               /* (A) sum of gamma^k r_k until the agent's end */
  float *discount; /* (A) of what follows: gamma^m, 0 where the agent was terminated */
  uint8_t *alive;  /* (A) who acted */
} replay_row;
/* reward, discount and alive are the caller's memory, filled; the rest is the replay's. */
void replay_get(const replay *r, replay_row *row, size_t index, size_t n_steps, double gamma);

/* Arrays "PREFIX...", borrowed until they are written; only what is there. */
garam_status replay_save(replay *r, package_writer *w, const char *prefix, garam_error *err);
garam_status replay_load(replay *r, package_reader *p, const char *prefix, garam_error *err);

#endif
