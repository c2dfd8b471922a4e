/* Everyone against everyone: see rl_cross_play.h. */
#include "api/rl_cross_play.h"

#include "base/mem.h"
#include "rl/elo.h"

#include <string.h>

enum { MOST_WORLDS = 64 };

/* Two players of one world: the first team's bodies are moved by one, all others by the other. */
typedef struct duel {
  rl_world *first, *other;
  uint8_t *is_first; /* (A) */
  float *action;     /* (n, A, U) of the other */
} duel;

static garam_status duel_plays(void *self, env *e, float *action, garam_error *err) {
  duel *d = self;
  const size_t agents = (size_t)e->shape.n_agents, width = (size_t)e->shape.action_width;
  TRY(d->first->player.act(d->first->player.self, e, action, err));
  memcpy(d->action, action, e->batch.n * agents * width * sizeof *action);
  TRY(d->other->player.act(d->other->player.self, e, action, err));
  for (size_t i = 0; i < e->batch.n * agents; i++)
    if (d->is_first[i % agents])
      memcpy(action + i * width, d->action + i * width, width * sizeof *action);
  return GARAM_OK;
}

static const char *team_of(const env_shape *s, int a) {
  return s->agents[a].team ? s->agents[a].team : s->agents[a].name;
}

/* Mean returns of the first team's bodies and of all others, each episode. */
static void sides(double *first, double *other, const env_shape *s, const evaluation *v,
                  const uint8_t *is_first) {
  const size_t agents = (size_t)s->n_agents;
  for (size_t k = 0; k < v->n_episodes; k++) {
    double sum[2] = {0, 0};
    size_t n[2] = {0, 0};
    for (size_t a = 0; a < agents; a++) {
      sum[is_first[a]] += v->returns[k * agents + a];
      n[is_first[a]]++;
    }
    first[k] = sum[1] / (double)n[1];
    other[k] = sum[0] / (double)n[0];
  }
}

static json_t *matrix_json(const double *x, const double *over, size_t n) {
  json_t *rows = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *row = json_array();
    for (size_t k = 0; k < n; k++) {
      const double by = over ? over[i * n + k] : 1;
      json_array_append_new(row, by > 0 ? json_number_or_null(x[i * n + k] / by) : json_null());
    }
    json_array_append_new(rows, row);
  }
  return rows;
}

static double mean_of(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum / (double)n;
}

typedef struct table {
  size_t n, episodes;
  double *first, *other; /* (n, n, episodes): of the side of the row, of the column's */
  double *score, *won, *games, *elo;
} table;

static void count_games(table *t) {
  const size_t n = t->n, e = t->episodes;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      t->score[i * n + j] = mean_of(t->first + (i * n + j) * e, e);
      if (i == j) continue;
      t->games[i * n + j] = (double)e;
      for (size_t k = 0; k < e; k++) {
        const double mine = t->first[(i * n + j) * e + k] + t->other[(j * n + i) * e + k];
        const double theirs = t->first[(j * n + i) * e + k] + t->other[(i * n + j) * e + k];
        t->won[i * n + j] += mine > theirs ? 1 : mine < theirs ? 0 : 0.5;
      }
    }
}

static garam_status play_all(table *t, rl_world *worlds, duel *d, uint64_t seed, garam_error *err) {
  evaluation v;
  env *e = worlds[0].env;
  const player who = {duel_plays, d};
  TRY(evaluation_init(&v, e, t->episodes, err));
  garam_status status = GARAM_OK;
  e->seed = seed; /* the same beginnings for every pair */
  for (size_t i = 0; i < t->n && status == GARAM_OK; i++)
    for (size_t j = 0; j < t->n && status == GARAM_OK; j++) {
      d->first = &worlds[i];
      d->other = &worlds[j];
      status = evaluation_run(&v, e, &who, err);
      const size_t at = (i * t->n + j) * t->episodes;
      sides(t->first + at, t->other + at, &e->shape, &v, d->is_first);
    }
  evaluation_deinit(&v);
  return status;
}

garam_status rl_cross_play(json_t **result, const rl_world_spec *specs, const char *const *names,
                           size_t n, size_t episodes, uint64_t seed, garam_error *err) {
  const size_t worlds_n = episodes < MOST_WORLDS ? episodes : MOST_WORLDS;
  garam_status status = GARAM_OK;
  duel d = {0};
  table t = {.n = n, .episodes = episodes};
  *result = NULL;
  rl_world *worlds = mem_array(n, sizeof *worlds);
  double *memory = mem_array(2 * n * n * episodes + 3 * n * n + n, sizeof *memory);
  if (!worlds || !memory) TRY_GOTO(done, fail_memory(err, n * n * episodes * sizeof *memory));
  t.first = memory;
  t.other = t.first + n * n * episodes;
  t.score = t.other + n * n * episodes;
  t.won = t.score + n * n;
  t.games = t.won + n * n;
  t.elo = t.games + n * n;
  for (size_t i = 0; i < n; i++) {
    TRY_GOTO(done, rl_world_open(&worlds[i], &specs[i], worlds_n, seed, err));
    if (worlds[i].script) worlds[i].player.self = &worlds[i];
    TRY_GOTO(done, env_shape_match(&worlds[i].env->shape, &worlds[0].env->shape, err));
  }
  const env_shape *s = &worlds[0].env->shape;
  bool other = false;
  d.is_first = mem_array((size_t)s->n_agents, 1);
  d.action = mem_array(worlds_n * (size_t)s->n_agents * (size_t)s->action_width, sizeof *d.action);
  if (!d.is_first || !d.action) TRY_GOTO(done, fail_memory(err, worlds_n));
  for (int a = 0; a < s->n_agents; a++) {
    d.is_first[a] = strcmp(team_of(s, a), team_of(s, 0)) == 0;
    other |= !d.is_first[a];
  }
  if (!other) goto done;
  TRY_GOTO(done, play_all(&t, worlds, &d, seed, err));
  count_games(&t);
  TRY_GOTO(done, elo_fit(t.elo, t.won, t.games, n, 1500, 1, err));
  json_t *players = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(players, json_string(names[i]));
  *result = json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "env", worlds[0].env->ops->name,
                      "team", team_of(s, 0), "episodes", (int)episodes, "players", players, "score",
                      matrix_json(t.score, NULL, n), "won", matrix_json(t.won, t.games, n), "elo",
                      json_array_f64(t.elo, n));
  if (!*result) status = fail_memory(err, 1024);
done:
  for (size_t i = 0; worlds && i < n; i++) rl_world_close(&worlds[i]);
  mem_free(worlds);
  mem_free(memory);
  mem_free(d.is_first);
  mem_free(d.action);
  return status;
}
