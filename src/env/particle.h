/* Particle worlds: discs that push off the ground and off each other on a plane, the physics of
 * Mordatch & Abbeel (2018) and Lowe et al. (2017). Three versions of the code exist that differ;
 * what is here is equal to mpe2, with the first one (OpenAI's) as an option:
 *
 *   mpe2     a body moves by the speed it had, then its speed changes
 *   openai   its speed changes, then it moves by the new one
 *
 * A world is plain doubles: positions (n_bodies, 2), agents first, then landmarks; velocities
 * (n_agents, 2); what a game adds comes after particle_bytes. */
#ifndef ENV_PARTICLE_H
#define ENV_PARTICLE_H

#include "rl/env.h"

#include <math.h>

enum { PARTICLE_MAX_BODIES = 2 * ENV_MAX_AGENTS, PARTICLE_CHOICES = 5 };

typedef enum particle_version { PARTICLE_MPE2, PARTICLE_OPENAI } particle_version;
extern const char *const particle_version_names[];

typedef struct particle_body {
  double size;
  double push;      /* of an action, in units of force; 0: this agent stands still */
  double max_speed; /* 0: no limit */
  bool collides;
} particle_body;

typedef struct particle_pair {
  int a, b;
  double reach; /* sum of sizes */
} particle_pair;

/* What an environment's model begins with. Filled by open; particle_open derives the rest. */
typedef struct particle_game {
  particle_version version;
  bool continuous;        /* actions are five numbers in [0, 1] and not one of five choices */
  int n_agents, n_bodies; /* bodies [0, n_agents) act or are moved by the game */
  particle_body body[PARTICLE_MAX_BODIES];
  int n_pairs;
  particle_pair *pairs; /* that may touch, in the order of their forces */
  env_agent agents[ENV_MAX_AGENTS];
  char names[ENV_MAX_AGENTS][24];
} particle_game;

/* "TEAM_NUMBER", with its spaces. A box of `width` numbers in [0, 1], or `choices`. */
void particle_agent(particle_game *g, int a, const char *team, int number, int observes,
                    int choices, int width);
garam_status particle_open(particle_game *g, garam_error *err);
void particle_close(particle_game *g);

static inline size_t particle_bytes(const particle_game *g) {
  return (size_t)(g->n_bodies + g->n_agents) * 2 * sizeof(double);
}

static inline double *particle_velocity(const particle_game *g, double *world) {
  return world + 2 * g->n_bodies;
}

static inline double particle_distance(const double *world, int a, int b) {
  const double x = world[2 * a] - world[2 * b], y = world[2 * a + 1] - world[2 * b + 1];
  return sqrt(x * x + y * y);
}

/* `to` as seen from `from`, two numbers; returns what follows. */
static inline float *particle_see(float *out, const double *world, int from, int to) {
  out[0] = (float)(world[2 * to] - world[2 * from]);
  out[1] = (float)(world[2 * to + 1] - world[2 * from + 1]);
  return out + 2;
}

static inline float *particle_pair_of(float *out, const double *two) {
  out[0] = (float)two[0];
  out[1] = (float)two[1];
  return out + 2;
}

/* Bodies [begin, end) anywhere within +-range; agents at rest. */
void particle_place(const particle_game *g, double *world, int begin, int end, double range,
                    rng *r);

/* What agent a's action pushes with. */
void particle_force(const particle_game *g, int a, const float *action, double force[2]);

/* One step of 0.1 s: force (n_agents, 2), changed. */
void particle_step(const particle_game *g, double *world, double *force);

/* The choice that pushes most towards (x, y); the first (stay) within `near`. For baselines. */
#define EACH_WORLD(name)                                                                           \
  static void name##_act(const env *e, size_t begin, size_t end) {                                 \
    for (size_t i = begin; i < end; i++) name(e, i);                                               \
  }
int particle_towards(double x, double y, double near);
void particle_choose(const particle_game *g, float *action, int choice);

typedef struct particle_paint {
  const char *fill;
} particle_paint;
/* Discs within 0 0 400 300: paint (n_bodies). */
void particle_draw(const particle_game *g, const double *world, const particle_paint *paint,
                   void (*text)(void *context, const char *svg), void *context);

#endif
