/* simple_speaker_listener: one agent sees which of three coloured landmarks is meant and can only
 * speak, the other hears it and moves (Lowe et al. 2017), equal to mpe2's
 * simple_speaker_listener_v4. Both are paid minus the squared distance of the listener to it. What
 * is said in a step is heard in the observation after it. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "env/particle.h"

#include <string.h>

enum { SPEAKER, LISTENER, AGENTS, LANDMARKS = 3, WORDS = 3, OBSERVES = 2 + 2 * LANDMARKS + WORDS };

typedef struct speaker_config {
  int max_steps, version;
  bool continuous;
} speaker_config;

static const opt_row options[] = {
    {"continuous", OPT_BOOL, OPT_AT(speaker_config, continuous),
     .help = "actions are numbers and not choices"},
    {"max-steps", OPT_INT, OPT_AT(speaker_config, max_steps), .def = 25, .min = 1, .max = 1000000,
     .help = "steps of an episode"},
    {"version", OPT_ENUM, OPT_AT(speaker_config, version), .choices = particle_version_names,
     .help = "whose physics"},
};

typedef struct speaker_world {
  double place[AGENTS + LANDMARKS][2], velocity[AGENTS][2], said[WORDS];
  int64_t goal; /* landmark */
} speaker_world;

static const char *const colours[LANDMARKS] = {"#a62626", "#26a626", "#2626a6"};
static const float shades[LANDMARKS][3] = {
    {0.65f, 0.15f, 0.15f}, {0.15f, 0.65f, 0.15f}, {0.15f, 0.15f, 0.65f}};

static garam_status speaker_open(env *e, const void *config, garam_error *err) {
  const speaker_config *c = config;
  particle_game *g = e->model = mem_zalloc(sizeof *g);
  if (!g) return fail_memory(err, sizeof *g);
  g->version = (particle_version)c->version;
  g->continuous = c->continuous;
  g->n_agents = AGENTS;
  g->n_bodies = AGENTS + LANDMARKS;
  for (int b = 0; b < g->n_bodies; b++) g->body[b].size = b < AGENTS ? 0.075 : 0.04;
  g->body[LISTENER].push = 5;
  particle_agent(g, SPEAKER, "speaker", 0, 3, WORDS, WORDS);
  particle_agent(g, LISTENER, "listener", 0, OBSERVES, PARTICLE_CHOICES, PARTICLE_CHOICES);
  TRY(particle_open(g, err));
  const bool usual = c->max_steps == 25 && g->version == PARTICLE_MPE2 && !c->continuous;
  e->shape = (env_shape){.n_agents = AGENTS,
                         .agents = g->agents,
                         .observation_width = OBSERVES,
                         .action_width = c->continuous ? PARTICLE_CHOICES : 1,
                         .max_steps = c->max_steps,
                         .world_bytes = sizeof(speaker_world),
                         .reward_low = usual ? -39.8 : 0,
                         .reward_high = usual ? -9.0 : 0};
  return GARAM_OK;
}

static void speaker_close(env *e) {
  particle_close(e->model);
  mem_free(e->model);
}

static void show(env *e, size_t i) {
  const speaker_world *w = env_world(e, i);
  float *row = e->batch.observation + i * AGENTS * OBSERVES;
  memcpy(row, shades[w->goal], sizeof shades[0]);
  float *out = particle_pair_of(row + OBSERVES, w->velocity[LISTENER]);
  for (int l = 0; l < LANDMARKS; l++)
    out = particle_see(out, (const double *)w, LISTENER, AGENTS + l);
  for (int k = 0; k < WORDS; k++) out[k] = (float)w->said[k];
}

static void speaker_reset(env *e, size_t i, rng *r) {
  speaker_world *w = env_world(e, i);
  w->goal = (int64_t)rng_below(r, LANDMARKS);
  particle_place(e->model, (double *)w, 0, AGENTS + LANDMARKS, 1, r);
  memset(w->said, 0, sizeof w->said);
  show(e, i);
}

static void speaker_step(env *e, size_t begin, size_t end) {
  const particle_game *g = e->model;
  const size_t acted = (size_t)e->shape.action_width;
  for (size_t i = begin; i < end; i++) {
    speaker_world *w = env_world(e, i);
    const float *says = e->batch.action + i * AGENTS * acted;
    double force[2 * AGENTS] = {0};
    particle_force(g, LISTENER, says + acted, force + 2 * LISTENER);
    particle_step(g, (double *)w, force);
    for (int k = 0; k < WORDS; k++)
      w->said[k] = g->continuous ? (double)fminf(fmaxf(says[k], 0), 1) : k == (int)says[0];
    const double *at = w->place[LISTENER], *goal = w->place[AGENTS + w->goal];
    const double x = at[0] - goal[0], y = at[1] - goal[1];
    float *reward = e->batch.reward + i * AGENTS;
    reward[SPEAKER] = reward[LISTENER] = (float)-(x * x + y * y);
    show(e, i);
  }
}

static void speaker_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                         void *context) {
  const speaker_world *w = env_world(e, i);
  particle_paint paint[AGENTS + LANDMARKS] = {{"#999"}, {colours[w->goal]}};
  for (int l = 0; l < LANDMARKS; l++) paint[AGENTS + l].fill = colours[l];
  particle_draw(e->model, (const double *)w, paint, text, context);
}

/* The speaker names the landmark, the listener stays until it has heard it. */
static void oracle(const env *e, size_t i) {
  const particle_game *g = e->model;
  const speaker_world *w = env_world(e, i);
  const size_t acted = (size_t)e->shape.action_width;
  float *action = e->batch.action + i * AGENTS * acted;
  memset(action, 0, AGENTS * acted * sizeof *action);
  if (g->continuous) action[w->goal] = 1;
  else action[0] = (float)w->goal;
  int heard = -1;
  for (int k = 0; k < WORDS; k++)
    if (w->said[k] > 0.5) heard = k;
  if (heard < 0) return;
  const double *at = w->place[LISTENER], *to = w->place[AGENTS + heard], *v = w->velocity[LISTENER];
  particle_choose(g, action + acted,
                  particle_towards(to[0] - at[0] - 0.4 * v[0], to[1] - at[1] - 0.4 * v[1], 0.1));
}

EACH_WORLD(oracle)

const baseline baselines_simple_speaker_listener[] = {
    {"simple_speaker_listener", "oracle",
     "the speaker names the landmark and the listener goes there", oracle_act, NULL},
    {.name = NULL},
};

const env_ops env_simple_speaker_listener = {
    .name = "simple_speaker_listener",
    .summary = "one agent says where the other is to go",
    .options = options,
    .n_options = COUNT_OF(options),
    .config_size = sizeof(speaker_config),
    .open = speaker_open,
    .close = speaker_close,
    .reset = speaker_reset,
    .step = speaker_step,
    .draw = speaker_draw,
};
