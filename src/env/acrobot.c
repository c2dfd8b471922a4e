/* Acrobot-v1: two links hang from a bar, the joint between them is turned to swing the tip above
 * the bar (Sutton 1996; the equations of Sutton & Barto's book), with Gymnasium's numbers: one
 * Runge-Kutta step of 0.2 s, 500 steps, -1 for each but the last. Gymnasium begins with floats and
 * goes on in double; so the first state is rounded. */
#include "env/drawing.h"
#include "env/env_list.h"

#include <math.h>

typedef struct acrobot {
  double angle[2], turn[2]; /* of the first link from hanging down; of the second from the first */
} acrobot;

static const double pi = 3.141592653589793, gravity = 9.8, tau = 0.2;

static const float low[6] = {-1, -1, -1, -1, -12.566371f, -28.274334f},
                   high[6] = {1, 1, 1, 1, 12.566371f, 28.274334f};
static const env_agent agents[] = {
    {.name = "acrobot",
     .team = "acrobot",
     .observation = {.kind = ENV_BOX, .n = 6, .low = low, .high = high},
     .action = {.kind = ENV_DISCRETE, .n = 3}},
};

static garam_status acrobot_open(env *e, const void *config, garam_error *err) {
  (void)config;
  (void)err;
  e->shape = (env_shape){.n_agents = 1,
                         .agents = agents,
                         .observation_width = 6,
                         .action_width = 1,
                         .max_steps = 500,
                         .world_bytes = sizeof(acrobot),
                         .reward_low = -499,
                         .reward_high = -70};
  return GARAM_OK;
}

static void acrobot_close(env *e) {
  (void)e;
}

static void show(float *observation, const acrobot *w) {
  observation[0] = (float)cos(w->angle[0]);
  observation[1] = (float)sin(w->angle[0]);
  observation[2] = (float)cos(w->angle[1]);
  observation[3] = (float)sin(w->angle[1]);
  observation[4] = (float)w->turn[0];
  observation[5] = (float)w->turn[1];
}

static void acrobot_reset(env *e, size_t i, rng *r) {
  acrobot *w = env_world(e, i);
  for (int k = 0; k < 2; k++) w->angle[k] = (double)(float)(rng_uniform(r) * 0.2 - 0.1);
  for (int k = 0; k < 2; k++) w->turn[k] = (double)(float)(rng_uniform(r) * 0.2 - 0.1);
  show(e->batch.observation + i * 6, w);
}

/* Links of mass and length 1, centres half way, moments of inertia 1. y: two angles, two turns. */
static void slope(double out[4], const double y[4], double torque) {
  const double c2 = cos(y[1]), s2 = sin(y[1]);
  const double d1 = 0.25 + (1.25 + c2) + 2, d2 = 0.25 + 0.5 * c2 + 1;
  const double phi2 = 0.5 * gravity * cos(y[0] + y[1] - pi / 2);
  const double phi1 =
      -0.5 * (y[3] * y[3]) * s2 - y[3] * y[2] * s2 + 1.5 * gravity * cos(y[0] - pi / 2) + phi2;
  out[0] = y[2];
  out[1] = y[3];
  out[3] = (torque + d2 / d1 * phi1 - 0.5 * (y[2] * y[2]) * s2 - phi2) / (1.25 - d2 * d2 / d1);
  out[2] = -(d2 * out[3] + phi1) / d1;
}

static void add(double out[4], const double y[4], double by, const double k[4]) {
  for (int i = 0; i < 4; i++) out[i] = y[i] + by * k[i];
}

static double wrap(double x) {
  while (x > pi) x -= 2 * pi;
  while (x < -pi) x += 2 * pi;
  return x;
}

static void acrobot_step(env *e, size_t begin, size_t end) {
  acrobot *worlds = env_world(e, 0);
  for (size_t i = begin; i < end; i++) {
    acrobot *w = worlds + i;
    const double torque = (double)e->batch.action[i] - 1;
    const double y[4] = {w->angle[0], w->angle[1], w->turn[0], w->turn[1]};
    double k1[4], k2[4], k3[4], k4[4], at[4], next[4];
    slope(k1, y, torque);
    add(at, y, tau / 2, k1);
    slope(k2, at, torque);
    add(at, y, tau / 2, k2);
    slope(k3, at, torque);
    add(at, y, tau, k3);
    slope(k4, at, torque);
    for (int k = 0; k < 4; k++) next[k] = y[k] + tau / 6 * (k1[k] + 2 * k2[k] + 2 * k3[k] + k4[k]);
    for (int k = 0; k < 2; k++) w->angle[k] = wrap(next[k]);
    w->turn[0] = fmin(fmax(next[2], -4 * pi), 4 * pi);
    w->turn[1] = fmin(fmax(next[3], -9 * pi), 9 * pi);
    const bool up = -cos(w->angle[0]) - cos(w->angle[1] + w->angle[0]) > 1;
    e->batch.terminated[i] = up;
    e->batch.reward[i] = up ? 0 : -1;
    show(e->batch.observation + i * 6, w);
  }
}

static void acrobot_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                         void *context) {
  const acrobot *w = env_world(e, i);
  const drawing d = {text, context};
  const double length = 65, first = w->angle[0], second = first + w->angle[1];
  const double x1 = 200 + length * sin(first), y1 = 150 + length * cos(first);
  const double x2 = x1 + length * sin(second), y2 = y1 + length * cos(second);
  draw_page(&d);
  draw_line(&d, 50, 150 - length, 350, 150 - length, "#d8604f", 1);
  draw_line(&d, 200, 150, x1, y1, "#5b6bd8", 10);
  draw_line(&d, x1, y1, x2, y2, "#4fae5b", 10);
  draw_circle(&d, 200, 150, 5, "#333");
  draw_circle(&d, x1, y1, 5, "#333");
}

const env_ops env_acrobot = {.name = "Acrobot-v1",
                             .summary = "swing two links up by the joint between; three choices",
                             .open = acrobot_open,
                             .close = acrobot_close,
                             .reset = acrobot_reset,
                             .step = acrobot_step,
                             .draw = acrobot_draw};
