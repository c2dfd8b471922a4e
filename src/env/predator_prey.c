/* predator_prey: predators with limited sight look for a prey on a grid, and each pays for every
 * step until it stands where the prey is. Who has found it stays there; so one who says where it
 * is saves the others their search. The task of Singh, Jain & Sukhbaatar (2019), "Learning when to
 * communicate at scale in multiagent cooperative and competitive tasks" (IC3Net), with its numbers:
 * 5 x 5, three predators that see only their own cell, 20 steps; 10 x 10, five, sight 1, 40 steps;
 * 20 x 20, ten, sight 1, 80 steps.
 *
 * An agent observes its row and column (a one at each), the share of the time that has passed,
 * whether it stands on the prey, and of each cell in its sight whether it is outside, how many
 * other predators are there, and whether the prey is. IC3Net gives each cell's number instead of
 * one's own row and column, and no clock; there predators have a memory, here they need none.
 *
 * The state that a centralised critic sees has everyone's place, and the prey's. */
#include "base/mem.h"
#include "env/baseline.h"
#include "env/drawing.h"
#include "env/env_list.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_PREDATORS = 32, MAX_SIZE = 64, STAY = 0, CHOICES = 5 };
static const int move_row[CHOICES] = {0, -1, 0, 1, 0}, move_column[CHOICES] = {0, 0, 1, 0, -1};

/* mixed: each pays until it is there, and the episode ends when all are. team: all pay what they
 * pay on average. cooperative: who is there gets .05 for each that is; competitive: .05 shared. */
enum { REWARD_MIXED, REWARD_TEAM, REWARD_COOPERATIVE, REWARD_COMPETITIVE };
static const char *const reward_names[] = {"mixed", "team", "cooperative", "competitive", NULL};
enum { PREY_STILL, PREY_RANDOM };
static const char *const prey_names[] = {"still", "random", NULL};

static const double price = 0.05;

typedef struct hunt_config {
  int n, size, sight, max_steps, reward, prey;
} hunt_config;

static const opt_row options[] = {
    {"predators", OPT_INT, OPT_AT(hunt_config, n), .def = 3, .min = 1, .max = MAX_PREDATORS,
     .help = "agents"},
    {"size", OPT_INT, OPT_AT(hunt_config, size), .def = 5, .min = 2, .max = MAX_SIZE,
     .unit = "cells", .help = "rows and columns of the grid"},
    {"sight", OPT_INT, OPT_AT(hunt_config, sight), .def = 0, .min = 0, .max = 8, .unit = "cells",
     .help = "how far an agent sees along rows and columns; 0: its own cell"},
    {"max-steps", OPT_INT, OPT_AT(hunt_config, max_steps), .def = 20, .min = 1, .max = 1000000,
     .help = "steps of an episode"},
    {"reward", OPT_ENUM, OPT_AT(hunt_config, reward), .choices = reward_names,
     .help = "who is paid for what"},
    {"prey", OPT_ENUM, OPT_AT(hunt_config, prey), .choices = prey_names,
     .help = "stands still, or steps at random until someone has found it"},
};

typedef struct cell {
  int16_t row, column;
} cell;

typedef struct hunt_world {
  rng r;
  cell prey, predator[MAX_PREDATORS], start[MAX_PREDATORS];
  uint8_t there[MAX_PREDATORS];
} hunt_world;

typedef struct hunt {
  hunt_config config;
  env_agent agents[MAX_PREDATORS];
  char names[MAX_PREDATORS][24];
} hunt;

static garam_status hunt_open(env *e, const void *config, garam_error *err) {
  const hunt_config *c = config;
  if (c->n + 1 > c->size * c->size)
    return fail(err, GARAM_INVALID,
                "environment predator_prey: %d predators and a prey on %d cells", c->n,
                c->size * c->size);
  hunt *m = e->model = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  const int window = 2 * c->sight + 1, observes = 2 * c->size + 2 + 3 * window * window;
  m->config = *c;
  for (int a = 0; a < c->n; a++) {
    snprintf(m->names[a], sizeof m->names[a], "predator_%d", a);
    m->agents[a] = (env_agent){.name = m->names[a],
                               .team = "predator",
                               .observation = {.kind = ENV_BOX, .n = observes},
                               .action = {.kind = ENV_DISCRETE, .n = CHOICES}};
  }
  const bool usual = c->n == 3 && c->size == 5 && c->sight == 0 && c->max_steps == 20 &&
                     c->reward <= REWARD_TEAM && c->prey == PREY_STILL;
  static const char *const info[] = {"share_there"};
  e->shape = (env_shape){.n_agents = c->n,
                         .agents = m->agents,
                         .observation_width = observes,
                         .action_width = 1,
                         .state_width = 3 * c->n + 3,
                         .max_steps = c->max_steps,
                         .world_bytes = sizeof(hunt_world),
                         .n_info = 1,
                         .info_names = info,
                         .reward_low = usual ? -0.82 : 0,
                         .reward_high = usual ? -0.116 : 0};
  return GARAM_OK;
}

static void hunt_close(env *e) {
  mem_free(e->model);
}

static bool same(cell a, cell b) {
  return a.row == b.row && a.column == b.column;
}

/* `passed`: steps that will have been taken when this is seen. */
static void show(const env *e, size_t i, int passed) {
  const hunt *m = e->model;
  const hunt_config *c = &m->config;
  const hunt_world *w = env_world(e, i);
  const size_t n = (size_t)c->n, width = (size_t)e->shape.observation_width;
  const float clock = (float)passed / (float)c->max_steps;
  float *row = e->batch.observation + i * n * width, *state = e->batch.state + i * (3 * n + 3);
  for (int a = 0; a < c->n; a++, row += width) {
    const cell at = w->predator[a];
    for (int k = 0; k < 2 * c->size; k++) row[k] = 0;
    row[at.row] = 1;
    row[c->size + at.column] = 1;
    row[2 * c->size] = clock;
    row[2 * c->size + 1] = w->there[a];
    float *out = row + 2 * c->size + 2;
    for (int y = at.row - c->sight; y <= at.row + c->sight; y++)
      for (int x = at.column - c->sight; x <= at.column + c->sight; x++, out += 3) {
        int others = 0;
        for (int b = 0; b < c->n; b++)
          others += b != a && w->predator[b].row == y && w->predator[b].column == x;
        out[0] = y < 0 || x < 0 || y >= c->size || x >= c->size;
        out[1] = (float)others;
        out[2] = w->prey.row == y && w->prey.column == x;
      }
    state[3 * a] = (float)at.row / (float)(c->size - 1);
    state[3 * a + 1] = (float)at.column / (float)(c->size - 1);
    state[3 * a + 2] = w->there[a];
  }
  state[3 * n] = (float)w->prey.row / (float)(c->size - 1);
  state[3 * n + 1] = (float)w->prey.column / (float)(c->size - 1);
  state[3 * n + 2] = clock;
}

/* All on cells of their own. */
static void hunt_reset(env *e, size_t i, rng *r) {
  const hunt *m = e->model;
  const int size = m->config.size, n = m->config.n;
  hunt_world *w = env_world(e, i);
  cell taken[MAX_PREDATORS + 1] = {{0, 0}};
  for (int k = 0; k <= n; k++) {
    bool again = true;
    while (again) {
      const int at = (int)rng_below(r, (uint64_t)(size * size));
      taken[k] = (cell){(int16_t)(at / size), (int16_t)(at % size)};
      again = false;
      for (int j = 0; j < k; j++) again |= same(taken[j], taken[k]);
    }
  }
  w->prey = taken[n];
  for (int a = 0; a < n; a++) {
    w->predator[a] = w->start[a] = taken[a];
    w->there[a] = 0;
  }
  w->r = *r;
  show(e, i, 0);
}

static cell moved(cell from, int choice, int size) {
  const int row = from.row + move_row[choice], column = from.column + move_column[choice];
  if (row < 0 || column < 0 || row >= size || column >= size) return from;
  return (cell){(int16_t)row, (int16_t)column};
}

static void pay(const hunt *m, const hunt_world *w, float *reward, int there) {
  const int n = m->config.n;
  const double alone = m->config.reward == REWARD_COOPERATIVE   ? price * there
                       : m->config.reward == REWARD_COMPETITIVE ? price / (there ? there : 1)
                                                                : 0;
  for (int a = 0; a < n; a++)
    reward[a] = (float)(m->config.reward == REWARD_TEAM ? -price * (n - there) / n
                        : w->there[a]                   ? alone
                                                        : -price);
}

static void hunt_step(env *e, size_t begin, size_t end) {
  const hunt *m = e->model;
  const int n = m->config.n, size = m->config.size;
  for (size_t i = begin; i < end; i++) {
    hunt_world *w = env_world(e, i);
    const float *action = e->batch.action + i * (size_t)n;
    int there = 0;
    for (int a = 0; a < n; a++) there += w->there[a];
    if (m->config.prey == PREY_RANDOM && there == 0)
      w->prey = moved(w->prey, (int)rng_below(&w->r, CHOICES), size);
    there = 0;
    for (int a = 0; a < n; a++) {
      if (!w->there[a]) w->predator[a] = moved(w->predator[a], (int)action[a], size);
      w->there[a] = same(w->predator[a], w->prey);
      there += w->there[a];
    }
    pay(m, w, e->batch.reward + i * (size_t)n, there);
    const bool over =
        there == n && (m->config.reward == REWARD_MIXED || m->config.reward == REWARD_TEAM);
    for (int a = 0; a < n; a++) e->batch.terminated[i * (size_t)n + (size_t)a] = over;
    e->batch.info[i] = (float)there / (float)n;
    show(e, i, e->batch.steps[i] + 1);
  }
}

static void hunt_draw(const env *e, size_t i, void (*text)(void *context, const char *svg),
                      void *context) {
  const hunt *m = e->model;
  const hunt_world *w = env_world(e, i);
  const drawing d = {text, context};
  const double side = 280.0 / m->config.size, left = 60, top = 10;
  draw_page(&d);
  for (int a = 0; a < m->config.n; a++) { /* what they see */
    const int sight = m->config.sight;
    const int x0 = w->predator[a].column - sight, y0 = w->predator[a].row - sight;
    draw_element(&d,
                 "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#5b6bd8\" "
                 "fill-opacity=\"0.15\"/>",
                 left + side * x0, top + side * y0, side * (2 * sight + 1), side * (2 * sight + 1));
  }
  for (int k = 0; k <= m->config.size; k++) {
    draw_line(&d, left, top + side * k, left + 280, top + side * k, "#ddd", 1);
    draw_line(&d, left + side * k, top, left + side * k, top + 280, "#ddd", 1);
  }
  draw_box(&d, left + side * (w->prey.column + 0.2), top + side * (w->prey.row + 0.2), 0.6 * side,
           0.6 * side, "#4fae5b");
  for (int a = 0; a < m->config.n; a++)
    draw_circle(&d, left + side * (w->predator[a].column + 0.5),
                top + side * (w->predator[a].row + 0.5), 0.25 * side,
                w->there[a] ? "#333" : "#d8604f");
}

/* ---- baselines ----------------------------------------------------------------------------- */

static bool sees(const hunt *m, const hunt_world *w, int a) {
  return abs(w->predator[a].row - w->prey.row) <= m->config.sight &&
         abs(w->predator[a].column - w->prey.column) <= m->config.sight;
}

static int towards(cell from, cell to) {
  if (from.row != to.row) return from.row > to.row ? 1 : 3;
  if (from.column != to.column) return from.column < to.column ? 2 : 4;
  return STAY;
}

/* Rows there and back, from where it began to the nearer end, and then to the other. */
static int sweep_next(const hunt *m, const hunt_world *w, int a, int steps) {
  const int size = m->config.size, last = size * size - 1;
  const cell s = w->start[a];
  const int from = s.row * size + (s.row % 2 ? size - 1 - s.column : s.column);
  int at = from <= last / 2 ? 2 * last - from : from; /* on a line that is folded at 0 and last */
  at = (at + steps + 1) % (2 * last);
  if (at > last) at = 2 * last - at;
  const int row = at / size, column = row % 2 ? size - 1 - at % size : at % size;
  return towards(w->predator[a], (cell){(int16_t)row, (int16_t)column});
}

static void hunt_by(const env *e, size_t begin, size_t end, bool tell, bool known) {
  const hunt *m = e->model;
  const int n = m->config.n;
  for (size_t i = begin; i < end; i++) {
    const hunt_world *w = env_world(e, i);
    bool told = known;
    for (int a = 0; a < n && tell; a++) told |= sees(m, w, a);
    for (int a = 0; a < n; a++)
      e->batch.action[i * (size_t)n + (size_t)a] =
          (float)(told || sees(m, w, a) ? towards(w->predator[a], w->prey)
                                        : sweep_next(m, w, a, e->batch.steps[i]));
  }
}

static void sweep_act(const env *e, size_t begin, size_t end) {
  hunt_by(e, begin, end, false, false);
}

static void tell_act(const env *e, size_t begin, size_t end) {
  hunt_by(e, begin, end, true, false);
}

static void oracle_act(const env *e, size_t begin, size_t end) {
  hunt_by(e, begin, end, true, true);
}

const baseline baselines_predator_prey[] = {
    {"predator_prey", "sweep", "each searches row by row, alone", sweep_act, NULL},
    {"predator_prey", "tell", "each searches row by row, and who sees the prey tells all", tell_act,
     NULL},
    {"predator_prey", "oracle", "all know where the prey is", oracle_act, NULL},
    {.name = NULL},
};

const env_ops env_predator_prey = {.name = "predator_prey",
                                   .summary = "predators with limited sight find a prey on a grid",
                                   .options = options,
                                   .n_options = COUNT_OF(options),
                                   .config_size = sizeof(hunt_config),
                                   .open = hunt_open,
                                   .close = hunt_close,
                                   .reset = hunt_reset,
                                   .step = hunt_step,
                                   .draw = hunt_draw};
