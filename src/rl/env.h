/* Env: a batch of worlds that agents act in. One header for every kind: one agent or many,
 * classic control, particle worlds, markets, and a host's own.
 *
 *   env *e;
 *   env_new(&e, env_find("CartPole-v1", err), NULL, &(env_setup){.n = 64, .seed = 1}, err);
 *   env_reset(e);
 *   for (;;) {
 *     ... read e->batch.observation, write e->batch.action ...
 *     env_step(e, err);
 *     ... read reward, terminated, truncated, final_observation ...
 *   }
 *
 * All that changes lies in one block of memory, the caller's if it brings one: worlds first, then
 * the arrays of the batch. A checkpoint is a copy of it (env_state). Nothing is allocated in a
 * step, and a batch is stepped on as many threads as are worth it, with the same bits.
 *
 * Episodes. An agent's episode ends when the world says so (terminated: no value follows) or when
 * it is cut (truncated: what follows is bootstrapped); max_steps of the shape truncates everyone.
 * Autoreset is in the same step: when no agent of a world is left alive, or it is truncated, the
 * world begins its next episode at once; `observation` then shows the new beginning, and
 * `final_observation` what the agents saw last. Gymnasium calls this AutoresetMode.SAME_STEP.
 *
 * Randomness is by counter: world w's episode k draws from (seed, RNG_ENV, w << 32 | k), whatever
 * the other worlds do. */
#ifndef RL_ENV_H
#define RL_ENV_H

#include "base/opt.h"
#include "base/rng.h"

typedef enum env_space_kind { ENV_BOX, ENV_DISCRETE } env_space_kind;
typedef struct env_space {
  env_space_kind kind;
  int n;                   /* numbers of a box; choices 0 .. n - 1 */
  const float *low, *high; /* (n) bounds of a box, may be infinite; NULL: without bounds */
} env_space;

typedef struct env_agent {
  const char *name,
      *team; /* "adversary_0", "adversary": agents of a team are alike, and share a side */
  env_space observation, action;
} env_agent;

enum { ENV_MAX_AGENTS = 64 };

/* Set once, by open. Strings and arrays belong to the env's model. */
typedef struct env_shape {
  int n_agents;            /* A */
  const env_agent *agents; /* (A) */
  int observation_width;   /* O: of the widest agent; rows of others end in zeros */
  int action_width;        /* U: of the widest box; a choice takes one */
  int state_width;    /* S: what a centralised critic may see; 0: all observations side by side */
  int max_steps;      /* 0: no limit */
  size_t world_bytes; /* of one world: plain data without pointers */
  int n_info;         /* numbers about each world: wealth, inventory, penalties ... */
  const char *const *info_names;
  double reward_low,
      reward_high; /* returns of a random and of the best known policy; both 0: unknown */
} env_shape;

typedef struct env_batch {
  size_t n;
  float *observation;       /* (n, A, O) */
  float *action;            /* (n, A, U), the caller's: a box's numbers, or the index of a choice */
  float *reward;            /* (n, A) of the last step */
  uint8_t *terminated;      /* (n, A) 1: ended by the world in the last step */
  uint8_t *truncated;       /* (n, A) 1: cut in the last step */
  uint8_t *alive;           /* (n, A) 1: acts in the next step */
  uint8_t *ended;           /* (n) 1: the world began another episode in the last step */
  float *final_observation; /* (n, A, O) where ended: the last one of the episode that is over */
  float *state;             /* (n, S); NULL when S is 0 */
  float *final_state;       /* (n, S) where ended */
  float *info;            /* (n, n_info) after the last step, of the episode that it belonged to */
  uint64_t *episode;      /* (n) from 0 */
  int32_t *steps;         /* (n) taken in this episode */
  double *episode_return; /* (n, A) so far */
  double *last_return;    /* (n, A) of the last episode that ended */
  int32_t *last_steps;    /* (n) of it */
} env_batch;

typedef struct env env;

/* The record of one kind of environment. */
typedef struct env_ops {
  const char *name, *summary;
  const opt_row *options;
  size_t n_options, config_size;
  /* Checks the config, reads what it names, fills e->shape and e->model (read only afterwards). */
  garam_status (*open)(env *e, const void *config, garam_error *err);
  void (*close)(env *e); /* frees e->model; also after an open that failed half way */
  /* The first state of an episode of world i: its world, observation rows and state. All agents are
   * alive unless it clears some. A world that draws while it runs keeps a copy of *r. */
  void (*reset)(env *e, size_t i, rng *r);
  /* One step of worlds [begin, end): reads actions of those alive; writes observation, state,
   * reward, info and terminated (and truncated, where a world cuts by itself). All were cleared
   * before. It does not reset and counts no steps. Several threads call it, each with worlds of its
   * own. */
  void (*step)(env *e, size_t begin, size_t end);
  /* What people look at: one frame of world i as SVG elements within 0 0 400 300, through `text`
   * (printf style is the caller's). NULL: only curves are drawn. */
  void (*draw)(const env *e, size_t i, void (*text)(void *context, const char *svg), void *context);
} env_ops;

struct env {
  const env_ops *ops;
  void *model; /* what open made: shared by all worlds, read only */
  env_shape shape;
  env_batch batch;
  uint64_t seed;
  void *config; /* a copy: what the package records */
  char *memory; /* one block: worlds, then the arrays of the batch */
  size_t memory_bytes;
  bool owns_memory;
};

typedef struct env_setup {
  size_t n; /* worlds; at least 1 */
  uint64_t seed;
  void *memory; /* 64-byte aligned, env_memory_bytes of it; NULL: the env's own */
  size_t memory_bytes;
} env_setup;

/* config NULL: the defaults of the rows. GARAM_INVALID, or what open says. */
garam_status env_new(env **out, const env_ops *ops, const void *config, const env_setup *setup,
                     garam_error *err);
void env_free(env *e); /* NULL is fine */
size_t env_memory_bytes(const env_shape *shape, size_t n);

static inline void *env_world(const env *e, size_t i) {
  return e->memory + i * e->shape.world_bytes;
}

/* Every world begins its first episode (again). */
void env_reset(env *e);
/* World i begins episode `episode`, as env_reset and autoreset do. */
void env_reset_world(env *e, size_t i, uint64_t episode);
/* One step of all worlds. GARAM_INVALID: an action that is not finite or no choice of its space;
 * GARAM_NUMERIC: an observation, state or reward that is not finite. The message names the
 * environment, world, agent and step. */
garam_status env_step(env *e, garam_error *err);

/* All that changes, for checkpoints: copy it out, and back into an env of the same ops, config and
 * n. */
size_t env_state_bytes(const env *e);
void env_state_get(const env *e, void *out);
void env_state_set(env *e, const void *state);

/* Every kind there is: one visible list (env/registry.c). Nearest name on failure. */
extern const env_ops *const env_registry[]; /* NULL at the end */
const env_ops *env_find(const char *name, garam_error *err);

/* Do two shapes fit (a policy trained in one acts in the other)? The message says what differs. */
garam_status env_shape_match(const env_shape *have, const env_shape *want, garam_error *err);

#endif
