/* Pendulum-v1: swing a pendulum up and hold it there, with Gymnasium's numbers: a torque of at most
 * 2, steps of 0.05 s, 200 of them, never over before. The state is double; the action is a float,
 * and with NumPy 2 what is computed from it alone is float too (0.001 u^2 and 3 u), so it is here.
 */
#include "base/wide.h"
#include "env/drawing.h"
#include "env/env_list.h"
#include "env/trig.h"

#include <math.h>

typedef struct pendulum {
  double angle, turn; /* 0: upright; radians, radians a second */
} pendulum;

static const double pi = 3.141592653589793, gravity = 10, tau = 0.05, max_turn = 8;
static const float max_torque = 2;

static const float low[3] = {-1, -1, -8}, high[3] = {1, 1, 8}, torque_low[1] = {-2},
                   torque_high[1] = {2};
static const env_agent agents[] = {
    {.name = "pendulum",
     .team = "pendulum",
     .observation = {.kind = ENV_BOX, .n = 3, .low = low, .high = high},
     .action = {.kind = ENV_BOX, .n = 1, .low = torque_low, .high = torque_high}},
};

static garam_status pendulum_open(env *e, const void *config, garam_error *err) {
  (void)config;
  (void)err;
  e->shape = (env_shape){.n_agents = 1,
                         .agents = agents,
                         .observation_width = 3,
                         .action_width = 1,
                         .max_steps = 200,
                         .world_bytes = sizeof(pendulum),
                         .reward_low = -1200,
                         .reward_high = -137.6};
  return GARAM_OK;
}

static void pendulum_close(env *e) {
  (void)e;
}

static void show(float *observation, const pendulum *w) {
  observation[0] = (float)cos(w->angle);
  observation[1] = (float)sin(w->angle);
  observation[2] = (float)w->turn;
}

static void pendulum_reset(env *e, size_t i, rng *r) {
  pendulum *w = env_world(e, i);
  w->angle = (2 * rng_uniform(r) - 1) * pi;
  w->turn = 2 * rng_uniform(r) - 1;
  show(e->batch.observation + i * 3, w);
}

/* As many worlds at a time as registers like; a short last lot is filled up with zeros. */
enum { LOT = 32 };

WIDE static void step_lot(pendulum *restrict w, const float *restrict action,
                          float *restrict observation, float *restrict reward, size_t n) {
  double angle[LOT] = {0}, turn[LOT] = {0}, sine[LOT], cosine[LOT], cost[LOT];
  float torque[LOT] = {0};
  for (size_t k = 0; k < n; k++) {
    angle[k] = w[k].angle;
    turn[k] = w[k].turn;
    torque[k] = action[k];
  }
  for (int k = 0; k < LOT; k++) { /* one loop for each cut: the compiler widens those */
    const float u = torque[k] < -max_torque ? -max_torque : torque[k];
    torque[k] = u > max_torque ? max_torque : u;
  }
  for (int k = 0; k < LOT; k++) {
    const double turns = (angle[k] + pi) / (2 * pi), off = angle[k] - 2 * pi * trig_floor(turns);
    cost[k] = off * off + 0.1 * (turn[k] * turn[k]) + (double)(0.001f * (torque[k] * torque[k]));
  }
  for (int k = 0; k < LOT; k++)
    turn[k] += (3 * gravity / 2 * trig_of(angle[k]).sine + (double)(3 * torque[k])) * tau;
  for (int k = 0; k < LOT; k++) {
    const double next = turn[k] < -max_turn ? -max_turn : turn[k];
    turn[k] = next > max_turn ? max_turn : next;
  }
  for (int k = 0; k < LOT; k++) {
    angle[k] += turn[k] * tau;
    const trig t = trig_of(angle[k]);
    sine[k] = t.sine;
    cosine[k] = t.cosine;
  }
  for (size_t k = 0; k < n; k++) {
    w[k] = (pendulum){angle[k], turn[k]};
    reward[k] = (float)-cost[k];
    observation[3 * k] = (float)cosine[k];
    observation[3 * k + 1] = (float)sine[k];
    observation[3 * k + 2] = (float)turn[k];
  }
}

static void pendulum_step(env *e, size_t begin, size_t end) {
  pendulum *worlds = env_world(e, 0);
  const env_batch *b = &e->batch;
  for (size_t i = begin; i < end; i += LOT)
    step_lot(worlds + i, b->action + i, b->observation + 3 * i, b->reward + i,
             end - i < LOT ? end - i : LOT);
}

static void pendulum_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                          void *context) {
  const pendulum *w = env_world(e, i);
  const drawing d = {text, context};
  const double length = 110;
  draw_page(&d);
  draw_line(&d, 200, 150, 200 - length * sin(w->angle), 150 - length * cos(w->angle), "#d8604f",
            14);
  draw_circle(&d, 200, 150, 5, "#333");
}

const env_ops env_pendulum = {.name = "Pendulum-v1",
                              .summary = "swing a pendulum up and hold it; one torque",
                              .open = pendulum_open,
                              .close = pendulum_close,
                              .reset = pendulum_reset,
                              .step = pendulum_step,
                              .draw = pendulum_draw};
