/* CartPole-v1: a pole on a cart that is pushed left or right (Barto, Sutton & Anderson 1983), with
 * Gymnasium's numbers: Euler steps of 0.02 s, over at 12 degrees or 2.4 metres, 500 steps. */
#include "base/wide.h"
#include "env/drawing.h"
#include "env/env_list.h"
#include "env/trig.h"

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

/* As many worlds at a time as registers like; a short last lot is filled up with zeros. */
enum { LOT = 32 };

WIDE static void step_lot(cartpole *restrict w, const float *restrict action,
                          float *restrict observation, uint8_t *restrict terminated, size_t n) {
  double x[LOT] = {0}, speed[LOT] = {0}, angle[LOT] = {0}, turn[LOT] = {0}, force[LOT] = {0};
  uint8_t over[LOT];
  for (size_t k = 0; k < n; k++) {
    x[k] = w[k].x;
    speed[k] = w[k].speed;
    angle[k] = w[k].angle;
    turn[k] = w[k].turn;
    force[k] = action[k] > 0.5f ? force_size : -force_size;
  }
  const double total = mass_pole + mass_cart, moment = mass_pole * half_length;
  for (int k = 0; k < LOT; k++) {
    const trig t = trig_of(angle[k]);
    const double s = t.sine, c = t.cosine;
    const double temp = (force[k] + moment * (turn[k] * turn[k]) * s) / total;
    const double turning =
        (gravity * s - c * temp) / (half_length * (4.0 / 3.0 - mass_pole * (c * c) / total));
    const double moving = temp - moment * turning * c / total;
    x[k] += tau * speed[k];
    speed[k] += tau * moving;
    angle[k] += tau * turn[k];
    turn[k] += tau * turning;
    over[k] = (uint8_t)((x[k] < -x_limit) | (x[k] > x_limit) | (angle[k] < -angle_limit) |
                        (angle[k] > angle_limit));
  }
  for (size_t k = 0; k < n; k++) {
    w[k] = (cartpole){x[k], speed[k], angle[k], turn[k]};
    show(observation + 4 * k, w + k);
    terminated[k] = over[k];
  }
}

static void cartpole_step(env *e, size_t begin, size_t end) {
  cartpole *worlds = env_world(e, 0);
  const env_batch *b = &e->batch;
  for (size_t i = begin; i < end; i += LOT)
    step_lot(worlds + i, b->action + i, b->observation + 4 * i, b->terminated + i,
             end - i < LOT ? end - i : LOT);
  for (size_t i = begin; i < end; i++) b->reward[i] = 1;
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
