/* CartPole-v1: a pole on a cart that is pushed left or right (Barto, Sutton & Anderson 1983), with
 * Gymnasium's numbers: Euler steps of 0.02 s, over at 12 degrees or 2.4 metres, 500 steps. */
#include "env/drawing.h"
#include "env/env_list.h"

#include <float.h>
#include <math.h>

typedef struct cartpole {
  double x, speed, angle, turn;
} cartpole;

static const double gravity = 9.8, mass_cart = 1.0, mass_pole = 0.1, half_length = 0.5,
                    force_size = 10.0, tau = 0.02, x_limit = 2.4,
                    angle_limit = 12 * 2 * 3.141592653589793 / 360;

static const float low[4] = {-4.8f, -FLT_MAX, -0.41887903f, -FLT_MAX},
                   high[4] = {4.8f, FLT_MAX, 0.41887903f, FLT_MAX};
static const env_agent agents[] = {
    {.name = "cart",
     .team = "cart",
     .observation = {.kind = ENV_BOX, .n = 4, .low = low, .high = high},
     .action = {.kind = ENV_DISCRETE, .n = 2}},
};

static garam_status cartpole_open(env *e, const void *config, garam_error *err) {
  (void)config;
  (void)err;
  e->shape = (env_shape){.n_agents = 1,
                         .agents = agents,
                         .observation_width = 4,
                         .action_width = 1,
                         .max_steps = 500,
                         .world_bytes = sizeof(cartpole),
                         .reward_low = 22,
                         .reward_high = 500};
  return GARAM_OK;
}

static void cartpole_close(env *e) {
  (void)e;
}

static void show(float *observation, const cartpole *w) {
  observation[0] = (float)w->x;
  observation[1] = (float)w->speed;
  observation[2] = (float)w->angle;
  observation[3] = (float)w->turn;
}

static void cartpole_reset(env *e, size_t i, rng *r) {
  cartpole *w = env_world(e, i);
  w->x = rng_uniform(r) * 0.1 - 0.05;
  w->speed = rng_uniform(r) * 0.1 - 0.05;
  w->angle = rng_uniform(r) * 0.1 - 0.05;
  w->turn = rng_uniform(r) * 0.1 - 0.05;
  show(e->batch.observation + i * 4, w);
}

static void cartpole_step(env *e, size_t begin, size_t end) {
  cartpole *worlds = env_world(e, 0);
  for (size_t i = begin; i < end; i++) {
    cartpole *w = worlds + i;
    const double force = e->batch.action[i] > 0.5f ? force_size : -force_size;
    const double c = cos(w->angle), s = sin(w->angle);
    const double total = mass_pole + mass_cart, moment = mass_pole * half_length;
    const double temp = (force + moment * (w->turn * w->turn) * s) / total;
    const double turning =
        (gravity * s - c * temp) / (half_length * (4.0 / 3.0 - mass_pole * (c * c) / total));
    const double moving = temp - moment * turning * c / total;
    w->x += tau * w->speed;
    w->speed += tau * moving;
    w->angle += tau * w->turn;
    w->turn += tau * turning;
    show(e->batch.observation + i * 4, w);
    e->batch.reward[i] = 1;
    e->batch.terminated[i] = fabs(w->x) > x_limit || fabs(w->angle) > angle_limit;
  }
}

static void cartpole_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                          void *context) {
  const cartpole *w = env_world(e, i);
  const drawing d = {text, context};
  const double x = 200 + 75 * w->x, y = 210, length = 120;
  draw_page(&d);
  draw_line(&d, 20, 220, 380, 220, "#999", 1);
  draw_box(&d, x - 25, y - 10, 50, 20, "#5b6bd8");
  draw_line(&d, x, y - 10, x + length * sin(w->angle), y - 10 - length * cos(w->angle), "#b5803a",
            8);
}

const env_ops env_cartpole = {.name = "CartPole-v1",
                              .summary = "balance a pole on a cart; two choices",
                              .open = cartpole_open,
                              .close = cartpole_close,
                              .reset = cartpole_reset,
                              .step = cartpole_step,
                              .draw = cartpole_draw};
