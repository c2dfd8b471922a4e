/* simple_tag: slow adversaries hunt faster prey among obstacles (Lowe et al. 2017), equal to mpe2's
 * simple_tag_v3. All adversaries are paid 10 for each touch of any of them; a prey loses 10 a touch
 * and more the further it leaves the arena.
 *
 * The prey may be an agent like the others (`prey agent`, mpe2's world), or the world moves it: at
 * random, the setting that published figures of the hunters' side are for, or away from the nearest
 * adversary. Then only the adversaries are agents. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "env/particle.h"

enum { MAX_HUNTERS = 16, MAX_PREY = 16, MAX_OBSTACLES = 16 };
enum { PREY_RANDOM, PREY_FLEE, PREY_AGENT };
static const char *const prey_names[] = {"random", "flee", "agent", NULL};

typedef struct tag_config {
  int n_adversaries, n_prey, n_obstacles, prey, max_steps, version;
  bool continuous;
} tag_config;

static const opt_row options[] = {
    {"adversaries", OPT_INT, OPT_AT(tag_config, n_adversaries), .def = 3, .min = 1,
     .max = MAX_HUNTERS, .help = "hunters"},
    {"good", OPT_INT, OPT_AT(tag_config, n_prey), .def = 1, .min = 1, .max = MAX_PREY,
     .help = "prey"},
    {"obstacles", OPT_INT, OPT_AT(tag_config, n_obstacles), .def = 2, .min = 0,
     .max = MAX_OBSTACLES, .help = "discs in the way"},
    {"prey", OPT_ENUM, OPT_AT(tag_config, prey), .choices = prey_names,
     .help = "who moves the prey: the world (random, flee) or an agent"},
    {"continuous", OPT_BOOL, OPT_AT(tag_config, continuous),
     .help = "actions are five numbers and not five choices"},
    {"max-steps", OPT_INT, OPT_AT(tag_config, max_steps), .def = 25, .min = 1, .max = 1000000,
     .help = "steps of an episode"},
    {"version", OPT_ENUM, OPT_AT(tag_config, version), .choices = particle_version_names,
     .help = "whose physics"},
};

typedef struct tag {
  particle_game game;
  int n_adversaries, n_prey, n_obstacles, prey, n_acting;
} tag;

static garam_status tag_open(env *e, const void *config, garam_error *err) {
  const tag_config *c = config;
  tag *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  particle_game *g = &m->game;
  const int n = c->n_adversaries + c->n_prey;
  const int seen = 4 + 2 * c->n_obstacles + 2 * (n - 1);
  *m = (tag){.n_adversaries = c->n_adversaries,
             .n_prey = c->n_prey,
             .n_obstacles = c->n_obstacles,
             .prey = c->prey,
             .n_acting = c->prey == PREY_AGENT ? n : c->n_adversaries};
  g->version = (particle_version)c->version;
  g->continuous = c->continuous;
  g->n_agents = n;
  g->n_bodies = n + c->n_obstacles;
  for (int a = 0; a < n; a++) {
    const bool hunts = a < c->n_adversaries;
    g->body[a] = hunts
                     ? (particle_body){.size = 0.075, .push = 3, .max_speed = 1, .collides = true}
                     : (particle_body){.size = 0.05, .push = 4, .max_speed = 1.3, .collides = true};
    particle_agent(g, a, hunts ? "adversary" : "agent", hunts ? a : a - c->n_adversaries,
                   seen + 2 * (hunts ? c->n_prey : c->n_prey - 1), PARTICLE_CHOICES,
                   PARTICLE_CHOICES);
  }
  for (int b = n; b < g->n_bodies; b++) g->body[b] = (particle_body){.size = 0.2, .collides = true};
  TRY(particle_open(g, err));
  const bool usual = c->n_adversaries == 3 && c->n_prey == 1 && c->n_obstacles == 2 &&
                     c->prey == PREY_RANDOM && c->max_steps == 25 && !c->continuous &&
                     g->version == PARTICLE_MPE2;
  e->shape = (env_shape){.n_agents = m->n_acting,
                         .agents = g->agents,
                         .observation_width = seen + 2 * c->n_prey,
                         .action_width = c->continuous ? PARTICLE_CHOICES : 1,
                         .max_steps = c->max_steps,
                         .world_bytes = particle_bytes(g) + sizeof(rng),
                         .reward_low = usual ? 4.3 : 0,
                         .reward_high = usual ? 44.9 : 0};
  return GARAM_OK;
}

static void tag_close(env *e) {
  particle_close(e->model);
  mem_free(e->model);
}

static rng *own_rng(const tag *m, double *w) {
  return (rng *)((char *)w + particle_bytes(&m->game));
}

/* Own velocity and place; obstacles and others from here; how fast other prey are. */
static void show(const env *e, const tag *m, const double *w, float *row) {
  const int n = m->game.n_agents;
  const double *velocity = w + 2 * m->game.n_bodies;
  for (int a = 0; a < m->n_acting; a++, row += e->shape.observation_width) {
    float *out = particle_pair_of(row, velocity + 2 * a);
    out = particle_pair_of(out, w + 2 * a);
    for (int o = n; o < m->game.n_bodies; o++) out = particle_see(out, w, a, o);
    for (int b = 0; b < n; b++)
      if (b != a) out = particle_see(out, w, a, b);
    for (int b = m->n_adversaries; b < n; b++)
      if (b != a) out = particle_pair_of(out, velocity + 2 * b);
  }
}

static void tag_reset(env *e, size_t i, rng *r) {
  const tag *m = e->model;
  double *w = env_world(e, i);
  particle_place(&m->game, w, 0, m->game.n_agents, 1, r);
  particle_place(&m->game, w, m->game.n_agents, m->game.n_bodies, 0.9, r);
  *own_rng(m, w) = *r;
  show(e, m, w,
       e->batch.observation + i * (size_t)m->n_acting * (size_t)e->shape.observation_width);
}

/* What leaving the arena costs along one axis. */
static double outside(double x) {
  x = fabs(x);
  if (x < 0.9) return 0;
  return x < 1 ? (x - 0.9) * 10 : fmin(exp(2 * x - 2), 10);
}

static void pay(const tag *m, const double *w, float *reward) {
  int touches = 0;
  for (int p = m->n_adversaries; p < m->game.n_agents; p++) {
    int mine = 0;
    for (int h = 0; h < m->n_adversaries; h++)
      mine += particle_distance(w, p, h) < m->game.body[p].size + m->game.body[h].size;
    if (m->prey == PREY_AGENT)
      reward[p] = (float)(-10.0 * mine - outside(w[2 * p]) - outside(w[2 * p + 1]));
    touches += mine;
  }
  for (int h = 0; h < m->n_adversaries; h++) reward[h] = 10.0f * (float)touches;
}

static int nearest_of(const double *w, int from, int begin, int end) {
  int nearest = begin;
  for (int b = begin + 1; b < end; b++)
    if (particle_distance(w, from, b) < particle_distance(w, from, nearest)) nearest = b;
  return nearest;
}

/* Away from the nearest adversary, but back where the arena ends. */
static int flee(const tag *m, const double *w, int p) {
  const int hunter = nearest_of(w, p, 0, m->n_adversaries);
  double x = w[2 * p] - w[2 * hunter], y = w[2 * p + 1] - w[2 * hunter + 1];
  if (fabs(w[2 * p]) > 0.8 && x * w[2 * p] > 0) x = 0;
  if (fabs(w[2 * p + 1]) > 0.8 && y * w[2 * p + 1] > 0) y = 0;
  if (x == 0 && y == 0) return particle_towards(-w[2 * p], -w[2 * p + 1], 0);
  return particle_towards(x, y, 0);
}

static void tag_step(env *e, size_t begin, size_t end) {
  const tag *m = e->model;
  const size_t n = (size_t)m->n_acting, acted = (size_t)e->shape.action_width,
               observed = n * (size_t)e->shape.observation_width;
  for (size_t i = begin; i < end; i++) {
    double *w = env_world(e, i), force[2 * (MAX_HUNTERS + MAX_PREY)];
    const float *action = e->batch.action + i * n * acted;
    for (int a = 0; a < m->n_acting; a++)
      particle_force(&m->game, a, action + (size_t)a * acted, force + 2 * a);
    for (int p = m->n_acting; p < m->game.n_agents; p++) {
      float own[PARTICLE_CHOICES];
      const int choice =
          m->prey == PREY_RANDOM ? (int)rng_below(own_rng(m, w), PARTICLE_CHOICES) : flee(m, w, p);
      particle_choose(&m->game, own, choice);
      particle_force(&m->game, p, own, force + 2 * p);
    }
    particle_step(&m->game, w, force);
    pay(m, w, e->batch.reward + i * n);
    show(e, m, w, e->batch.observation + i * observed);
  }
}

static void tag_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                     void *context) {
  const tag *m = e->model;
  particle_paint paint[PARTICLE_MAX_BODIES];
  for (int b = 0; b < m->game.n_bodies; b++)
    paint[b].fill = b < m->n_adversaries ? "#d8604f" : b < m->game.n_agents ? "#4fae5b" : "#999";
  particle_draw(&m->game, env_world(e, i), paint, text, context);
}

/* Adversaries go for the prey that is nearest to each, prey flee. */
static void greedy(const env *e, size_t i) {
  const tag *m = e->model;
  const double *w = env_world(e, i);
  float *action = e->batch.action + i * (size_t)m->n_acting * (size_t)e->shape.action_width;
  for (int a = 0; a < m->n_acting; a++, action += e->shape.action_width) {
    const int to = nearest_of(w, a, m->n_adversaries, m->game.n_agents);
    particle_choose(&m->game, action,
                    a < m->n_adversaries
                        ? particle_towards(w[2 * to] - w[2 * a], w[2 * to + 1] - w[2 * a + 1], 0)
                        : flee(m, w, a));
  }
}

EACH_WORLD(greedy)

const baseline baselines_simple_tag[] = {
    {"simple_tag", "greedy",
     "adversaries go straight for the nearest prey; prey that are agents flee", greedy_act, NULL},
    {.name = NULL},
};

const env_ops env_simple_tag = {
    .name = "simple_tag",
    .summary = "slow adversaries hunt faster prey among obstacles",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(tag_config),
    .open = tag_open,
    .close = tag_close,
    .reset = tag_reset,
    .step = tag_step,
    .draw = tag_draw,
};
