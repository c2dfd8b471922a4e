/* simple_spread: N agents are to cover N landmarks without bumping into each other (Lowe et al.
 * 2017), equal to mpe2's simple_spread_v3. Reward of an agent: local_ratio times its own part (-1 a
 * collision) and the rest times everyone's (minus the distance of each landmark to its nearest
 * agent). The version `openai` is the first code: every agent collides with itself, and all are
 * paid the sum of all. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "env/particle.h"

#include <string.h>

enum { MAX_AGENTS = 16 };

typedef struct spread_config {
  int n, version, max_steps;
  double local_ratio;
  bool continuous;
} spread_config;

static const opt_row options[] = {
    {"agents", OPT_INT, OPT_AT(spread_config, n), .def = 3, .min = 1, .max = MAX_AGENTS,
     .help = "agents, and landmarks"},
    {"local-ratio", OPT_F64, OPT_AT(spread_config, local_ratio), .def = 0.5, .min = 0, .max = 1,
     .help = "share of an agent's own collisions in its reward"},
    {"continuous", OPT_BOOL, OPT_AT(spread_config, continuous),
     .help = "actions are five numbers and not five choices"},
    {"max-steps", OPT_INT, OPT_AT(spread_config, max_steps), .def = 25, .min = 1, .max = 1000000,
     .help = "steps of an episode"},
    {"version", OPT_ENUM, OPT_AT(spread_config, version), .choices = particle_version_names,
     .help = "whose physics and rewards"},
};

typedef struct spread {
  particle_game game;
  int n;
  double local_ratio;
} spread;

static garam_status spread_open(env *e, const void *config, garam_error *err) {
  const spread_config *c = config;
  spread *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  particle_game *g = &m->game;
  const int observes = 4 + 2 * c->n + 4 * (c->n - 1);
  m->n = c->n;
  m->local_ratio = c->local_ratio;
  g->version = (particle_version)c->version;
  g->continuous = c->continuous;
  g->n_agents = c->n;
  g->n_bodies = 2 * c->n;
  for (int a = 0; a < c->n; a++) {
    g->body[a] = (particle_body){.size = 0.15, .push = 5, .collides = true};
    g->body[c->n + a] = (particle_body){.size = 0.05};
    particle_agent(g, a, "agent", a, observes, PARTICLE_CHOICES, PARTICLE_CHOICES);
  }
  TRY(particle_open(g, err));
  const bool usual = c->n == 3 && c->local_ratio == 0.5 && c->max_steps == 25 &&
                     g->version == PARTICLE_MPE2 && !c->continuous;
  /* What published scores are normalised by. The oracle here gets -6.7. */
  e->shape = (env_shape){.n_agents = c->n,
                         .agents = g->agents,
                         .observation_width = observes,
                         .action_width = c->continuous ? PARTICLE_CHOICES : 1,
                         .max_steps = c->max_steps,
                         .world_bytes = particle_bytes(g),
                         .reward_low = usual ? -26.5 : 0,
                         .reward_high = usual ? -7.6 : 0};
  return GARAM_OK;
}

static void spread_close(env *e) {
  particle_close(e->model);
  mem_free(e->model);
}

/* Own velocity and place, landmarks and others from here, and what others say: nothing. */
static void show(const spread *m, const double *w, float *out) {
  const double *velocity = w + 4 * m->n;
  for (int a = 0; a < m->n; a++) {
    out = particle_pair_of(out, velocity + 2 * a);
    out = particle_pair_of(out, w + 2 * a);
    for (int l = 0; l < m->n; l++) out = particle_see(out, w, a, m->n + l);
    for (int b = 0; b < m->n; b++)
      if (b != a) out = particle_see(out, w, a, b);
    out += 2 * (m->n - 1);
  }
}

static void spread_reset(env *e, size_t i, rng *r) {
  const spread *m = e->model;
  double *w = env_world(e, i);
  particle_place(&m->game, w, 0, m->game.n_bodies, 1, r);
  show(m, w, e->batch.observation + i * (size_t)(m->n * e->shape.observation_width));
}

static void pay(const spread *m, const double *w, float *reward) {
  const double reach = 2 * m->game.body[0].size;
  double shared = 0, own[MAX_AGENTS] = {0};
  for (int l = 0; l < m->n; l++) {
    const double *at = w + 2 * (m->n + l);
    double nearest = INFINITY; /* of squares: the root keeps their order */
    for (int a = 0; a < m->n; a++) {
      const double x = w[2 * a] - at[0], y = w[2 * a + 1] - at[1], square = x * x + y * y;
      nearest = square < nearest ? square : nearest;
    }
    shared -= sqrt(nearest);
  }
  for (int a = 0; a < m->n; a++)
    for (int b = a + 1; b < m->n; b++)
      if (particle_distance(w, a, b) < reach) own[a]--, own[b]--;
  if (m->game.version == PARTICLE_MPE2) {
    for (int a = 0; a < m->n; a++)
      reward[a] = (float)(shared * (1 - m->local_ratio) + own[a] * m->local_ratio);
    return;
  }
  double sum = 0;
  for (int a = 0; a < m->n; a++) sum += shared + own[a] - 1;
  for (int a = 0; a < m->n; a++) reward[a] = (float)sum;
}

static void spread_step(env *e, size_t begin, size_t end) {
  const spread *m = e->model;
  const size_t n = (size_t)m->n, observed = n * (size_t)e->shape.observation_width,
               acted = (size_t)e->shape.action_width;
  for (size_t i = begin; i < end; i++) {
    double *w = env_world(e, i), force[2 * MAX_AGENTS];
    const float *action = e->batch.action + i * n * acted;
    for (int a = 0; a < m->n; a++)
      particle_force(&m->game, a, action + (size_t)a * acted, force + 2 * a);
    particle_step(&m->game, w, force);
    pay(m, w, e->batch.reward + i * n);
    show(m, w, e->batch.observation + i * observed);
  }
}

static void spread_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                        void *context) {
  const spread *m = e->model;
  particle_paint paint[PARTICLE_MAX_BODIES];
  for (int b = 0; b < m->game.n_bodies; b++) paint[b].fill = b < m->n ? "#5b6bd8" : "#333";
  particle_draw(&m->game, env_world(e, i), paint, text, context);
}

/* ---- baselines ----------------------------------------------------------------------------- */

/* From where an agent would come to rest without a push (it moves by v tau, then by .75 of that
 * ...: v tau / .25) to a landmark. */
static void gap(const spread *m, const double *w, int a, int landmark, double out[2]) {
  const double *v = w + 4 * m->n + 2 * a, *to = w + 2 * landmark;
  out[0] = to[0] - w[2 * a] - v[0] * 0.4;
  out[1] = to[1] - w[2 * a + 1] - v[1] * 0.4;
}

static int head_for(const spread *m, const double *w, int a, int landmark) {
  double off[2];
  gap(m, w, a, landmark, off);
  return particle_towards(off[0], off[1], 0.1);
}

typedef struct assignment {
  int now[MAX_AGENTS], best[MAX_AGENTS];
  double least;
} assignment;

/* Landmarks to agents by the least sum of squared gaps: all ways are tried up to four agents, from
 * there on each agent in turn takes the nearest that is left. */
static void assign(const spread *m, const double *w, int a, unsigned taken, double so_far,
                   assignment *x) {
  if (so_far >= x->least) return;
  if (a == m->n) {
    x->least = so_far;
    memcpy(x->best, x->now, sizeof x->best);
    return;
  }
  int nearest = -1;
  double least = INFINITY;
  for (int l = 0; l < m->n; l++) {
    if (taken >> l & 1) continue;
    double off[2];
    gap(m, w, a, m->n + l, off);
    const double square = off[0] * off[0] + off[1] * off[1];
    if (m->n <= 4) {
      x->now[a] = l;
      assign(m, w, a + 1, taken | 1u << l, so_far + square, x);
    } else if (square < least) {
      least = square;
      nearest = l;
    }
  }
  if (m->n <= 4) return;
  x->now[a] = nearest;
  assign(m, w, a + 1, taken | 1u << nearest, so_far + least, x);
}

static void plan(const spread *m, const double *w, int *choice) {
  assignment x = {.least = INFINITY};
  assign(m, w, 0, 0, 0, &x);
  for (int a = 0; a < m->n; a++) choice[a] = head_for(m, w, a, m->n + x.best[a]);
}

/* What all are paid in `steps` steps that begin with `choice` and go on by plan. */
static double foresee(const spread *m, const double *from, const int *choice, int steps) {
  double w[6 * MAX_AGENTS], force[2 * MAX_AGENTS], sum = 0;
  int next[MAX_AGENTS];
  memcpy(w, from, particle_bytes(&m->game));
  memcpy(next, choice, sizeof next);
  for (int t = 0; t < steps; t++) {
    float action[PARTICLE_CHOICES], reward[MAX_AGENTS];
    if (t) plan(m, w, next);
    for (int a = 0; a < m->n; a++) {
      particle_choose(&m->game, action, next[a]);
      particle_force(&m->game, a, action, force + 2 * a);
    }
    particle_step(&m->game, w, force);
    pay(m, w, reward);
    for (int a = 0; a < m->n; a++) sum += (double)reward[a];
  }
  return sum;
}

static void put(const env *e, size_t i, const int *choice) {
  const spread *m = e->model;
  const size_t acted = (size_t)e->shape.action_width;
  float *action = e->batch.action + i * (size_t)m->n * acted;
  for (int a = 0; a < m->n; a++) particle_choose(&m->game, action + (size_t)a * acted, choice[a]);
}

static void planner(const env *e, size_t i) {
  int choice[MAX_AGENTS] = {0};
  plan(e->model, env_world(e, i), choice);
  put(e, i, choice);
}

/* The planner improved by looking ahead: agent by agent, the choice that pays best when everyone
 * goes on by plan. Four steps do better than two, three, six or all: the plan is not that good. */
enum { AHEAD = 4 };
static void oracle(const env *e, size_t i) {
  const spread *m = e->model;
  const double *w = env_world(e, i);
  const int left = e->shape.max_steps - e->batch.steps[i], steps = left < AHEAD ? left : AHEAD;
  int choice[MAX_AGENTS] = {0};
  plan(m, w, choice);
  double best = foresee(m, w, choice, steps);
  for (int a = 0; a < m->n; a++) {
    int kept = choice[a];
    for (int k = 0; k < PARTICLE_CHOICES; k++) {
      choice[a] = k;
      const double sum = foresee(m, w, choice, steps);
      if (sum <= best) continue;
      best = sum;
      kept = k;
    }
    choice[a] = kept;
  }
  put(e, i, choice);
}

static void greedy(const env *e, size_t i) {
  const spread *m = e->model;
  const double *w = env_world(e, i);
  int choice[MAX_AGENTS] = {0};
  for (int a = 0; a < m->n; a++) {
    int nearest = m->n;
    for (int l = m->n + 1; l < 2 * m->n; l++)
      if (particle_distance(w, a, l) < particle_distance(w, a, nearest)) nearest = l;
    choice[a] = head_for(m, w, a, nearest);
  }
  put(e, i, choice);
}

EACH_WORLD(greedy)
EACH_WORLD(planner)
EACH_WORLD(oracle)

const baseline baselines_simple_spread[] = {
    {"simple_spread", "greedy", "everyone goes to the landmark that is nearest to itself",
     greedy_act, NULL},
    {"simple_spread", "planner", "the cheapest assignment of landmarks, anew each step",
     planner_act, NULL},
    {"simple_spread", "oracle", "the planner, looking four steps ahead with the world's own rules",
     oracle_act, NULL},
    {.name = NULL},
};

const env_ops env_simple_spread = {
    .name = "simple_spread",
    .summary = "agents cover landmarks together and keep apart",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(spread_config),
    .open = spread_open,
    .close = spread_close,
    .reset = spread_reset,
    .step = spread_step,
    .draw = spread_draw,
};
