/* Pendulum-v1: swing a pendulum up and hold it there, with Gymnasium's numbers: a torque of at most
 * 2, steps of 0.05 s, 200 of them, never over before. The state is double; the action is a float,
 * and with NumPy 2 what is computed from it alone is float too (0.001 u^2 and 3 u), so it is here.
 */
#include "env/drawing.h"
#include "env/env_list.h"

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

static void pendulum_step(env *e, size_t begin, size_t end) {
  pendulum *worlds = env_world(e, 0);
  for (size_t i = begin; i < end; i++) {
    pendulum *w = worlds + i;
    const float torque = fminf(fmaxf(e->batch.action[i], -max_torque), max_torque);
    const double off = w->angle - 2 * pi * floor((w->angle + pi) / (2 * pi));
    const double cost =
        off * off + 0.1 * (w->turn * w->turn) + (double)(0.001f * (torque * torque));
    double turn = w->turn + (3 * gravity / 2 * sin(w->angle) + (double)(3 * torque)) * tau;
    turn = fmin(fmax(turn, -max_turn), max_turn);
    w->angle += turn * tau;
    w->turn = turn;
    e->batch.reward[i] = (float)-cost;
    show(e->batch.observation + i * 3, w);
  }
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
