/* simple_adversary: N good agents know which of N landmarks is the goal and are paid for the
 * nearest of them being there, less for an adversary that is near it and does not know (Lowe et al.
 * 2017), equal to mpe2's simple_adversary_v3. They learn to spread, so that it cannot tell. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "env/particle.h"

enum { MAX_GOOD = 16 };

typedef struct adversary_config {
  int n, max_steps, version;
  bool continuous;
} adversary_config;

static const opt_row options[] = {
    {"agents", OPT_INT, OPT_AT(adversary_config, n), .def = 2, .min = 1, .max = MAX_GOOD,
     .help = "good agents, and landmarks"},
    {"continuous", OPT_BOOL, OPT_AT(adversary_config, continuous),
     .help = "actions are five numbers and not five choices"},
    {"max-steps", OPT_INT, OPT_AT(adversary_config, max_steps), .def = 25, .min = 1, .max = 1000000,
     .help = "steps of an episode"},
    {"version", OPT_ENUM, OPT_AT(adversary_config, version), .choices = particle_version_names,
     .help = "whose physics"},
};

typedef struct adversary {
  particle_game game;
  int n; /* good agents and landmarks; agent 0 is the adversary */
} adversary;

static garam_status adversary_open(env *e, const void *config, garam_error *err) {
  const adversary_config *c = config;
  adversary *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  particle_game *g = &m->game;
  m->n = c->n;
  g->version = (particle_version)c->version;
  g->continuous = c->continuous;
  g->n_agents = c->n + 1;
  g->n_bodies = 2 * c->n + 1;
  for (int b = 0; b < g->n_bodies; b++)
    g->body[b] =
        b < g->n_agents ? (particle_body){.size = 0.15, .push = 5} : (particle_body){.size = 0.08};
  for (int a = 0; a < g->n_agents; a++)
    particle_agent(g, a, a ? "agent" : "adversary", a ? a - 1 : 0, 4 * c->n + (a ? 2 : 0),
                   PARTICLE_CHOICES, PARTICLE_CHOICES);
  TRY(particle_open(g, err));
  e->shape = (env_shape){.n_agents = g->n_agents,
                         .agents = g->agents,
                         .observation_width = 4 * c->n + 2,
                         .action_width = c->continuous ? PARTICLE_CHOICES : 1,
                         .max_steps = c->max_steps,
                         .world_bytes = particle_bytes(g) + sizeof(int64_t)};
  return GARAM_OK;
}

static void adversary_close(env *e) {
  particle_close(e->model);
  mem_free(e->model);
}

static int64_t *goal_of(const adversary *m, double *w) { /* the goal's body */
  return (int64_t *)((char *)w + particle_bytes(&m->game));
}

/* The goal (who knows it), landmarks, others; all from here. */
static void show(const env *e, const adversary *m, double *w, float *row) {
  const int agents = m->n + 1, goal = (int)*goal_of(m, w);
  for (int a = 0; a < agents; a++, row += e->shape.observation_width) {
    float *out = a ? particle_see(row, w, a, goal) : row;
    for (int l = 0; l < m->n; l++) out = particle_see(out, w, a, agents + l);
    for (int b = 0; b < agents; b++)
      if (b != a) out = particle_see(out, w, a, b);
  }
}

static void adversary_reset(env *e, size_t i, rng *r) {
  const adversary *m = e->model;
  double *w = env_world(e, i);
  *goal_of(m, w) = m->n + 1 + (int64_t)rng_below(r, (uint64_t)m->n);
  particle_place(&m->game, w, 0, m->game.n_bodies, 1, r);
  show(e, m, w, e->batch.observation + i * (size_t)(m->n + 1) * (size_t)e->shape.observation_width);
}

static void adversary_step(env *e, size_t begin, size_t end) {
  const adversary *m = e->model;
  const size_t n = (size_t)m->n + 1, acted = (size_t)e->shape.action_width,
               observed = n * (size_t)e->shape.observation_width;
  for (size_t i = begin; i < end; i++) {
    double *w = env_world(e, i), force[2 * (MAX_GOOD + 1)];
    const float *action = e->batch.action + i * n * acted;
    for (int a = 0; a <= m->n; a++)
      particle_force(&m->game, a, action + (size_t)a * acted, force + 2 * a);
    particle_step(&m->game, w, force);
    const int goal = (int)*goal_of(m, w);
    const double its = particle_distance(w, 0, goal);
    double nearest = INFINITY;
    for (int a = 1; a <= m->n; a++) nearest = fmin(nearest, particle_distance(w, a, goal));
    float *reward = e->batch.reward + i * n;
    reward[0] = (float)-its;
    for (int a = 1; a <= m->n; a++) reward[a] = (float)(-nearest + its);
    show(e, m, w, e->batch.observation + i * observed);
  }
}

static void adversary_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                           void *context) {
  const adversary *m = e->model;
  double *w = env_world(e, i);
  particle_paint paint[PARTICLE_MAX_BODIES];
  for (int b = 0; b < m->game.n_bodies; b++)
    paint[b].fill = b == 0                     ? "#d8604f"
                    : b <= m->n                ? "#5b6bd8"
                    : b == (int)*goal_of(m, w) ? "#4fae5b"
                                               : "#333";
  particle_draw(&m->game, w, paint, text, context);
}

/* Good agents go to a landmark each, the nearest of them to the goal; the adversary to the landmark
 * that has most company. */
static void greedy(const env *e, size_t i) {
  const adversary *m = e->model;
  double *w = env_world(e, i);
  const double *v = particle_velocity(&m->game, w);
  const int agents = m->n + 1, goal = (int)*goal_of(m, w);
  int target[MAX_GOOD + 1];
  int first = 1;
  for (int a = 2; a <= m->n; a++)
    if (particle_distance(w, a, goal) < particle_distance(w, first, goal)) first = a;
  for (int a = 1, l = agents; a <= m->n; a++) {
    if (a == first) {
      target[a] = goal;
      continue;
    }
    if (l == goal) l++;
    target[a] = l++;
  }
  double least = INFINITY;
  for (int l = agents; l < m->game.n_bodies; l++) {
    double nearest = INFINITY;
    for (int a = 1; a <= m->n; a++) nearest = fmin(nearest, particle_distance(w, a, l));
    if (nearest < least) {
      least = nearest;
      target[0] = l;
    }
  }
  float *action = e->batch.action + i * (size_t)agents * (size_t)e->shape.action_width;
  for (int a = 0; a < agents; a++, action += e->shape.action_width) {
    const double x = w[2 * target[a]] - w[2 * a] - 0.4 * v[2 * a],
                 y = w[2 * target[a] + 1] - w[2 * a + 1] - 0.4 * v[2 * a + 1];
    particle_choose(&m->game, action, particle_towards(x, y, 0.1));
  }
}

EACH_WORLD(greedy)

const baseline baselines_simple_adversary[] = {
    {"simple_adversary", "greedy",
     "good agents cover a landmark each, the adversary follows the crowd", greedy_act, NULL},
    {.name = NULL},
};

const env_ops env_simple_adversary = {
    .name = "simple_adversary",
    .summary = "agents hide from an adversary which landmark they want",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(adversary_config),
    .open = adversary_open,
    .close = adversary_close,
    .reset = adversary_reset,
    .step = adversary_step,
    .draw = adversary_draw,
};
