/* Everyone against everyone: see rl_cross_play.h. */
#include "api/rl_cross_play.h"

#include "base/mem.h"
#include "rl/crossplay.h"

#include <string.h>

enum { MOST_WORLDS = 64 };

static const char *team_of(const env_shape *s, int a) {
  return s->agents[a].team ? s->agents[a].team : s->agents[a].name;
}

static bool has_sides(const env_shape *s) {
  for (int a = 1; a < s->n_agents; a++)
    if (strcmp(team_of(s, a), team_of(s, 0)) != 0) return true;
  return false;
}

/* Where `over` is given, shares of it; nobody plays games against himself. */
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

static json_t *table_json(const crossplay *x, const env *e, const char *const *names) {
  json_t *players = json_array();
  for (size_t i = 0; i < x->n_players; i++) json_array_append_new(players, json_string(names[i]));
  return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "env", e->ops->name, "team", x->home_team,
                   "episodes", (int)x->n_episodes, "players", players, "score",
                   matrix_json(x->home, NULL, x->n_players), "won",
                   matrix_json(x->score, x->games, x->n_players), "elo",
                   json_array_f64(x->rating, x->n_players));
}

garam_status rl_cross_play(json_t **result, const char *const *policies, const char *const *names,
                           size_t n, size_t episodes, uint64_t seed, garam_error *err) {
  const size_t n_worlds = episodes < MOST_WORLDS ? episodes : MOST_WORLDS;
  garam_status status = GARAM_OK;
  crossplay x = {0};
  *result = NULL;
  rl_world *worlds = mem_array(n, sizeof *worlds);
  policy **players = mem_array(n, sizeof *players);
  if (!worlds || !players) TRY_GOTO(done, fail_memory(err, n * sizeof *worlds));
  for (size_t i = 0; i < n; i++) {
    const rl_world_spec spec = {.policy = policies[i]};
    TRY_GOTO(done, rl_world_open(&worlds[i], &spec, i == 0 ? n_worlds : 1, seed, err));
    players[i] = worlds[i].policy;
  }
  if (!has_sides(&worlds[0].env->shape)) goto done;
  TRY_GOTO(done, crossplay_run(&x, worlds[0].env, players, n, episodes, err));
  *result = table_json(&x, worlds[0].env, names);
  if (!*result) status = fail_memory(err, 1024);
done:
  crossplay_deinit(&x);
  for (size_t i = 0; worlds && i < n; i++) rl_world_close(&worlds[i]);
  mem_free(players);
  mem_free(worlds);
  return status;
}
