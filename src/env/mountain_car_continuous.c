/* MountainCarContinuous-v0: a car in a valley, too weak to climb out without swinging, pays for its
 * force and gets 100 at the flag (Moore 1990), with Gymnasium's numbers: 999 steps.
 *
 * Which numbers are float and which double is part of the dynamics. Gymnasium begins an episode in
 * double and keeps the state as floats from the first step on, and NumPy 2 lets a Python number
 * take the type of its partner: the first step moves in double, later ones in float, and the push
 * is a float unless the action was cut to [-1, 1] (then it is a Python number, a double). The cost
 * is of the action before it is cut. */
#include "env/drawing.h"
#include "env/env_list.h"

#include <math.h>

typedef struct mountain_car {
  double position, speed; /* double only until the first step; then what a float holds */
} mountain_car;

static const float min_position = -1.2f, max_position = 0.6f, max_speed = 0.07f, goal = 0.45f;
static const double power = 0.0015, slope = 0.0025;

static const float low[2] = {-1.2f, -0.07f}, high[2] = {0.6f, 0.07f}, force_low[1] = {-1},
                   force_high[1] = {1};
static const env_agent agents[] = {
    {.name = "car",
     .team = "car",
     .observation = {.kind = ENV_BOX, .n = 2, .low = low, .high = high},
     .action = {.kind = ENV_BOX, .n = 1, .low = force_low, .high = force_high}},
};

static garam_status mountain_car_open(env *e, const void *config, garam_error *err) {
  (void)config;
  (void)err;
  e->shape = (env_shape){.n_agents = 1,
                         .agents = agents,
                         .observation_width = 2,
                         .action_width = 1,
                         .max_steps = 999,
                         .world_bytes = sizeof(mountain_car),
                         .reward_low = -33,
                         .reward_high = 95};
  return GARAM_OK;
}

static void mountain_car_close(env *e) {
  (void)e;
}

static void show(float *observation, const mountain_car *w) {
  observation[0] = (float)w->position;
  observation[1] = (float)w->speed;
}

static void mountain_car_reset(env *e, size_t i, rng *r) {
  mountain_car *w = env_world(e, i);
  w->position = -0.6 + rng_uniform(r) * 0.2;
  w->speed = 0;
  show(e->batch.observation + i * 2, w);
}

/* What is left of x in an episode's later steps. */
static double kept(double x, bool first) {
  return first ? x : (double)(float)x;
}

static void mountain_car_step(env *e, size_t begin, size_t end) {
  mountain_car *worlds = env_world(e, 0);
  for (size_t i = begin; i < end; i++) {
    mountain_car *w = worlds + i;
    const bool first = e->batch.steps[i] == 0;
    const float action = e->batch.action[i];
    const double pull = slope * cos(kept(3 * w->position, first));
    double push;
    if (action > 1 || action < -1) push = (action > 0 ? power : -power) - pull;
    else push = (double)(action * (float)power - (float)pull);
    double speed = kept(w->speed + kept(push, first), first);
    speed = fmin(fmax(speed, (double)-max_speed), (double)max_speed);
    double position = kept(w->position + speed, first);
    position = fmin(fmax(position, (double)min_position), (double)max_position);
    if (position <= (double)min_position && speed < 0) speed = 0;
    const bool there = position >= (double)goal && speed >= 0;
    w->position = (double)(float)position;
    w->speed = (double)(float)speed;
    e->batch.terminated[i] = there;
    e->batch.reward[i] = (float)((there ? 100.0 : 0.0) - (double)action * (double)action * 0.1);
    show(e->batch.observation + i * 2, w);
  }
}

static double height_at(double x) { /* on the page */
  return 250 - 170 * (0.45 * sin(3 * x) + 0.55);
}

static double across(double x) {
  return 20 + 200 * (x + 1.2);
}

static void mountain_car_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                              void *context) {
  const mountain_car *w = env_world(e, i);
  const drawing d = {text, context};
  draw_page(&d);
  text(context, "<polyline fill=\"none\" stroke=\"#999\" points=\"");
  for (double x = -1.2; x < 0.61; x += 0.05)
    draw_element(&d, "%.1f,%.1f ", across(x), height_at(x));
  text(context, "\"/>");
  draw_line(&d, across(0.45), height_at(0.45), across(0.45), height_at(0.45) - 40, "#333", 1);
  draw_box(&d, across(0.45), height_at(0.45) - 40, 18, 10, "#d8604f");
  draw_circle(&d, across(w->position), height_at(w->position) - 8, 8, "#5b6bd8");
}

const env_ops env_mountain_car_continuous = {.name = "MountainCarContinuous-v0",
                                             .summary =
                                                 "swing a weak car out of a valley; one force",
                                             .open = mountain_car_open,
                                             .close = mountain_car_close,
                                             .reset = mountain_car_reset,
                                             .step = mountain_car_step,
                                             .draw = mountain_car_draw};
