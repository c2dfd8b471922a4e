/* Acrobot-v1: two links hang from a bar, the joint between them is turned to swing the tip above
 * the bar (Sutton 1996; the equations of Sutton & Barto's book), with Gymnasium's numbers: one
 * Runge-Kutta step of 0.2 s, 500 steps, -1 for each but the last. Gymnasium begins with floats and
 * goes on in double; so the first state is rounded. */
#include "base/wide.h"
#include "env/drawing.h"
#include "env/env_list.h"
#include "env/trig.h"

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

/* As many worlds at a time as registers like; a short last lot is filled up with zeros. */
enum { LOT = 16 };
typedef double lot[LOT];

/* Links of mass and length 1, centres half way, moments of inertia 1. cos(x - pi/2) is sin x. */
static inline void slope(lot out[4], lot y[4], const lot torque) {
  for (int k = 0; k < LOT; k++) {
    const trig second = trig_of(y[1][k]);
    const double c2 = second.cosine, s2 = second.sine, turn1 = y[2][k], turn2 = y[3][k];
    const double d1 = 0.25 + (1.25 + c2) + 2, d2 = 0.25 + 0.5 * c2 + 1;
    const double phi2 = 0.5 * gravity * trig_of(y[0][k] + y[1][k]).sine;
    const double phi1 = -0.5 * (turn2 * turn2) * s2 - turn2 * turn1 * s2 +
                        1.5 * gravity * trig_of(y[0][k]).sine + phi2;
    const double faster =
        (torque[k] + d2 / d1 * phi1 - 0.5 * (turn1 * turn1) * s2 - phi2) / (1.25 - d2 * d2 / d1);
    out[0][k] = turn1;
    out[1][k] = turn2;
    out[2][k] = -(d2 * faster + phi1) / d1;
    out[3][k] = faster;
  }
}

static inline void add(lot out[4], lot y[4], double by, lot slopes[4]) {
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < LOT; k++) out[i][k] = y[i][k] + by * slopes[i][k];
}

static double wrap(double x) {
  while (x > pi) x -= 2 * pi;
  while (x < -pi) x += 2 * pi;
  return x;
}

WIDE static void step_lot(acrobot *restrict w, const float *restrict action, size_t n) {
  lot y[4] = {{0}}, torque = {0}, at[4], k1[4], k2[4], k3[4], k4[4];
  for (size_t k = 0; k < n; k++) {
    for (int j = 0; j < 2; j++) {
      y[j][k] = w[k].angle[j];
      y[2 + j][k] = w[k].turn[j];
    }
    torque[k] = (double)action[k] - 1;
  }
  slope(k1, y, torque);
  add(at, y, tau / 2, k1);
  slope(k2, at, torque);
  add(at, y, tau / 2, k2);
  slope(k3, at, torque);
  add(at, y, tau, k3);
  slope(k4, at, torque);
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < LOT; k++)
      y[i][k] += tau / 6 * (k1[i][k] + 2 * k2[i][k] + 2 * k3[i][k] + k4[i][k]);
  for (size_t k = 0; k < n; k++)
    w[k] = (acrobot){{wrap(y[0][k]), wrap(y[1][k])},
                     {fmin(fmax(y[2][k], -4 * pi), 4 * pi), fmin(fmax(y[3][k], -9 * pi), 9 * pi)}};
}

WIDE static void show_lot(float *restrict observation, float *restrict reward,
                          uint8_t *restrict terminated, const acrobot *restrict w, size_t n) {
  lot first = {0}, second = {0};
  trig seen[2][LOT];
  uint8_t up[LOT];
  for (size_t k = 0; k < n; k++) {
    first[k] = w[k].angle[0];
    second[k] = w[k].angle[1];
  }
  for (int k = 0; k < LOT; k++) {
    seen[0][k] = trig_of(first[k]);
    seen[1][k] = trig_of(second[k]);
    up[k] = -seen[0][k].cosine - trig_of(second[k] + first[k]).cosine > 1;
  }
  for (size_t k = 0; k < n; k++, observation += 6) {
    for (int j = 0; j < 2; j++) {
      observation[2 * j] = (float)seen[j][k].cosine;
      observation[2 * j + 1] = (float)seen[j][k].sine;
      observation[4 + j] = (float)w[k].turn[j];
    }
    terminated[k] = up[k];
    reward[k] = up[k] ? 0 : -1;
  }
}

static void acrobot_step(env *e, size_t begin, size_t end) {
  acrobot *worlds = env_world(e, 0);
  const env_batch *b = &e->batch;
  for (size_t i = begin; i < end; i += LOT) {
    const size_t n = end - i < LOT ? end - i : LOT;
    step_lot(worlds + i, b->action + i, n);
    show_lot(b->observation + 6 * i, b->reward + i, b->terminated + i, worlds + i, n);
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
