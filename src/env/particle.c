/* The physics that the particle worlds share. */
#include "env/particle.h"

#include "base/mem.h"
#include "env/drawing.h"

#include <stdio.h>

const char *const particle_version_names[] = {"mpe2", "openai", NULL};

static const double tau = 0.1, damping = 0.25, contact_force = 100, contact_margin = 1e-3;

static const float zeros[8] = {0}, ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};

void particle_agent(particle_game *g, int a, const char *team, int number, int observes,
                    int choices, int width) {
  snprintf(g->names[a], sizeof g->names[a], "%s_%d", team, number);
  g->agents[a] = (env_agent){.name = g->names[a],
                             .team = team,
                             .observation = {.kind = ENV_BOX, .n = observes},
                             .action = {.kind = ENV_DISCRETE, .n = choices}};
  if (g->continuous)
    g->agents[a].action = (env_space){.kind = ENV_BOX, .n = width, .low = zeros, .high = ones};
}

garam_status particle_open(particle_game *g, garam_error *err) {
  const size_t most = (size_t)g->n_agents * (size_t)g->n_bodies;
  g->n_pairs = 0;
  g->pairs = mem_alloc(most * sizeof *g->pairs);
  if (!g->pairs) return fail_memory(err, most * sizeof *g->pairs);
  for (int a = 0; a < g->n_agents; a++)
    for (int b = a + 1; b < g->n_bodies; b++)
      if (g->body[a].collides && g->body[b].collides)
        g->pairs[g->n_pairs++] = (particle_pair){a, b, g->body[a].size + g->body[b].size};
  return GARAM_OK;
}

void particle_close(particle_game *g) {
  if (g) mem_free(g->pairs);
}

void particle_place(const particle_game *g, double *world, int begin, int end, double range,
                    rng *r) {
  double *velocity = particle_velocity(g, world);
  for (int b = begin; b < end; b++) {
    world[2 * b] = (2 * rng_uniform(r) - 1) * range;
    world[2 * b + 1] = (2 * rng_uniform(r) - 1) * range;
    if (b < g->n_agents) velocity[2 * b] = velocity[2 * b + 1] = 0;
  }
}

static float unit(float x) {
  return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* Nothing, left, right, down, up; as numbers their differences, taken as floats. */
void particle_force(const particle_game *g, int a, const float *action, double force[2]) {
  static const double choices[PARTICLE_CHOICES][2] = {{0, 0}, {-1, 0}, {1, 0}, {0, -1}, {0, 1}};
  const double push = g->body[a].push;
  if (g->continuous) {
    force[0] = (double)(unit(action[2]) - unit(action[1])) * push;
    force[1] = (double)(unit(action[4]) - unit(action[3])) * push;
  } else {
    const double *choice = choices[(int)action[0]];
    force[0] = choice[0] * push;
    force[1] = choice[1] * push;
  }
}

/* A soft wall: 100 times k log(1 + exp(depth / k)). Out of touch by 40 k it is 1e-18 of a push. */
static void collide(const particle_game *g, const double *world, double *force) {
  for (int i = 0; i < g->n_pairs; i++) {
    const particle_pair p = g->pairs[i];
    const double x = world[2 * p.a] - world[2 * p.b], y = world[2 * p.a + 1] - world[2 * p.b + 1];
    const double square = x * x + y * y, edge = p.reach + 40 * contact_margin;
    if (square >= edge * edge || square == 0) continue; /* 0: no direction to push in */
    const double distance = sqrt(square), depth = -(distance - p.reach) / contact_margin;
    const double soft = (depth > 0 ? depth : 0) + log1p(exp(-fabs(depth)));
    const double size = soft * contact_margin;
    const double fx = contact_force * x / distance * size, fy = contact_force * y / distance * size;
    if (g->body[p.a].push > 0) {
      force[2 * p.a] += fx;
      force[2 * p.a + 1] += fy;
    }
    if (p.b < g->n_agents && g->body[p.b].push > 0) {
      force[2 * p.b] -= fx;
      force[2 * p.b + 1] -= fy;
    }
  }
}

void particle_step(const particle_game *g, double *world, double *force) {
  double *velocity = particle_velocity(g, world);
  collide(g, world, force);
  for (int a = 0; a < g->n_agents; a++) {
    const particle_body *body = &g->body[a];
    if (body->push <= 0) continue;
    double *at = world + 2 * a, *v = velocity + 2 * a;
    if (g->version == PARTICLE_MPE2) {
      at[0] += v[0] * tau;
      at[1] += v[1] * tau;
    }
    v[0] = v[0] * (1 - damping) + force[2 * a] * tau;
    v[1] = v[1] * (1 - damping) + force[2 * a + 1] * tau;
    if (body->max_speed > 0) {
      const double speed = sqrt(v[0] * v[0] + v[1] * v[1]);
      if (speed > body->max_speed) {
        v[0] = v[0] / speed * body->max_speed;
        v[1] = v[1] / speed * body->max_speed;
      }
    }
    if (g->version == PARTICLE_OPENAI) {
      at[0] += v[0] * tau;
      at[1] += v[1] * tau;
    }
  }
}

int particle_towards(double x, double y, double near) {
  if (fabs(x) < near && fabs(y) < near) return 0;
  if (fabs(x) > fabs(y)) return x < 0 ? 1 : 2;
  return y < 0 ? 3 : 4;
}

void particle_choose(const particle_game *g, float *action, int choice) {
  if (!g->continuous) {
    action[0] = (float)choice;
    return;
  }
  for (int k = 0; k < PARTICLE_CHOICES; k++) action[k] = k == choice && k > 0 ? 1.0f : 0.0f;
}

void particle_draw(const particle_game *g, const double *world, const particle_paint *paint,
                   void (*text)(void *context, const char *svg), void *context) {
  const drawing d = {text, context};
  const double scale = 100; /* pages show 2 to the sides, 1.5 up and down */
  draw_page(&d);
  text(context, "<rect x=\"100\" y=\"50\" width=\"200\" height=\"200\" fill=\"none\" "
                "stroke=\"#ddd\"/>");
  for (int b = g->n_bodies - 1; b >= 0; b--)
    draw_element(&d,
                 "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"%s\" "
                 "stroke=\"#444\"/>",
                 fmin(fmax(200 + scale * world[2 * b], 0), 400),
                 fmin(fmax(150 - scale * world[2 * b + 1], 0), 300), scale * g->body[b].size,
                 paint[b].fill, b < g->n_agents ? "0.8" : "1");
}
