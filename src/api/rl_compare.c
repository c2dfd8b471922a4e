/* Comparisons: see rl_compare.h. */
#include "api/rl_compare.h"

#include "api/rl_cross_play.h"
#include "base/io.h"
#include "base/mem.h"
#include "rl/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLAYERS = 64, TAUS = 101, NAME = 96 };

typedef struct entry {
  char name[NAME];
  char env[64];
  const char *path; /* of a policy; NULL: of a result or a script */
  double *x;        /* (n) returns */
  size_t n;
  double low, high; /* of a random and of the best known policy; NaN: not known */
} entry;

typedef struct entries {
  size_t n;
  entry all[MOST_PLAYERS];
} entries;

/* ---- what is compared ----------------------------------------------------------------------- */

static void entries_deinit(entries *x) {
  for (size_t i = 0; i < x->n; i++) mem_free(x->all[i].x);
}

static const char *base_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool is_taken(const entries *x, const char *name, const char *env_name) {
  for (size_t i = 0; i < x->n; i++)
    if (strcmp(x->all[i].name, name) == 0 && strcmp(x->all[i].env, env_name) == 0) return true;
  return false;
}

/* Two of one name in one environment are told apart by their files. */
static void name_entry(entry *e, const entries *x, const char *agent, const char *path) {
  snprintf(e->name, sizeof e->name, "%.60s", agent);
  if (path && is_taken(x, e->name, e->env))
    snprintf(e->name, sizeof e->name, "%.40s (%.40s)", agent, base_of(path));
}

static void find_scale(entry *e) {
  garam_error ignored;
  e->low = e->high = (double)NAN;
  const env_ops *ops = env_find(e->env, &ignored);
  env *world;
  if (!ops || env_new(&world, ops, NULL, &(env_setup){.n = 1}, &ignored) != GARAM_OK) return;
  if (world->shape.reward_high > world->shape.reward_low) {
    e->low = world->shape.reward_low;
    e->high = world->shape.reward_high;
  }
  env_free(world);
}

static garam_status add_result(entries *x, const json_t *o, const char *path, bool is_policy,
                               garam_error *err) {
  const char *world, *agent;
  json_t *returns, *one;
  size_t i;
  if (x->n == MOST_PLAYERS)
    return fail(err, GARAM_LIMIT, "more than %d results to compare", MOST_PLAYERS);
  entry *e = &x->all[x->n];
  *e = (entry){.path = is_policy ? path : NULL};
  TRY(json_get_string(&world, o, "env", path, err));
  TRY(json_get_string(&agent, o, "agent", path, err));
  TRY(json_get_array(&returns, o, "returns", path, err));
  if (json_array_size(returns) == 0) return fail(err, GARAM_INVALID, "%s: no returns", path);
  snprintf(e->env, sizeof e->env, "%s", world);
  name_entry(e, x, agent, path);
  e->x = mem_array(json_array_size(returns), sizeof *e->x);
  if (!e->x) return fail_memory(err, json_array_size(returns) * sizeof *e->x);
  x->n++;
  json_array_foreach(returns, i, one) {
    if (!json_is_number(one))
      return fail(err, GARAM_INVALID, "%s: \"returns\"[%zu]: expected a number", path, i);
    e->x[e->n++] = json_number_value(one);
  }
  find_scale(e);
  return GARAM_OK;
}

static bool is_json(const char *path) {
  FILE *f = fopen(path, "re");
  int first = EOF;
  if (!f) return false;
  do first = getc(f);
  while (first == ' ' || first == '\n' || first == '\t' || first == '\r');
  fclose(f);
  return first == '{' || first == '[';
}

static garam_status add_json(entries *x, const char *path, garam_error *err) {
  json_t *o;
  size_t i;
  json_t *one;
  TRY(json_read_file(&o, path, err));
  json_t *list = json_object_get(o, "results");
  garam_status status = GARAM_OK;
  if (!json_is_object(o)) {
    status = fail(err, GARAM_INVALID, "%s: expected an object", path);
  } else if (list) {
    json_array_foreach(list, i, one) {
      if (status == GARAM_OK) status = add_result(x, one, path, false, err);
    }
  } else {
    status = add_result(x, o, path, false, err);
  }
  json_decref(o);
  return status;
}

static garam_status add_played(entries *x, const rl_world_spec *spec,
                               const rl_evaluate_config *config, uint64_t seed, garam_error *err) {
  json_t *o;
  TRY(rl_evaluate(&o, spec, config, seed, err));
  garam_status status =
      add_result(x, o, spec->policy ? spec->policy : spec->script, spec->policy != NULL, err);
  json_decref(o);
  return status;
}

static garam_status add_scripts(entries *x, const char *scripts, const rl_evaluate_config *config,
                                uint64_t seed, garam_error *err) {
  char words[512], *rest = words;
  const size_t n = x->n;
  snprintf(words, sizeof words, "%s", scripts);
  for (char *name; (name = strsep(&rest, ","));)
    for (size_t i = 0; i < n; i++) {
      if (!*name || is_taken(x, name, x->all[i].env)) continue;
      const env_ops *ops = env_find(x->all[i].env, err);
      if (!ops) return err ? err->status : GARAM_NOT_FOUND;
      const rl_world_spec spec = {.script = name, .env = ops};
      TRY(add_played(x, &spec, config, seed, err));
    }
  return GARAM_OK;
}

/* ---- tables --------------------------------------------------------------------------------- */

static garam_status players_json(json_t *list, const entries *x, uint64_t seed, garam_error *err) {
  for (size_t i = 0; i < x->n; i++) {
    const entry *e = &x->all[i];
    const stats_scores s = {e->x, e->n, 1};
    stats_interval iqm, mean;
    TRY(stats_bootstrap(&iqm, STATS_IQM, s, seed, err));
    TRY(stats_bootstrap(&mean, STATS_MEAN, s, seed, err));
    json_t *o =
        json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "name", e->name, "env", e->env,
                  "seeds", (int)e->n, "returns", json_array_f64(e->x, e->n), "iqm",
                  json_number_or_null(iqm.value), "ci_low", json_number_or_null(iqm.low), "ci_high",
                  json_number_or_null(iqm.high), "mean", json_number_or_null(mean.value));
    if (!o || json_array_append_new(list, o) != 0) return fail_memory(err, 512);
    json_object_set_new(o, "normalized",
                        json_number_or_null((iqm.value - e->low) / (e->high - e->low)));
  }
  return GARAM_OK;
}

static garam_status improvement_json(json_t *list, const entries *x, uint64_t seed,
                                     garam_error *err) {
  for (size_t i = 0; i < x->n; i++)
    for (size_t j = 0; j < x->n; j++) {
      const entry *a = &x->all[i], *b = &x->all[j];
      stats_interval p;
      if (i == j || strcmp(a->env, b->env) != 0) continue;
      TRY(stats_improvement_bootstrap(&p, (stats_scores){a->x, a->n, 1},
                                      (stats_scores){b->x, b->n, 1}, seed, err));
      json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:f, s:f}", "x", a->name, "y",
                                            b->name, "env", a->env, "probability", p.value, "low",
                                            p.low, "high", p.high));
    }
  return GARAM_OK;
}

/* ---- over several environments -----------------------------------------------------------------
 */

/* Names, and the environments that all of them have: what profiles and aggregates are over. */
typedef struct grid {
  size_t n_names, n_envs, n_runs;
  const char *names[MOST_PLAYERS], *envs[MOST_PLAYERS];
  bool scaled; /* every environment's scale is known */
  double *x;   /* (n_names, n_runs, n_envs) */
} grid;

static const entry *entry_of(const entries *x, const char *name, const char *world) {
  for (size_t i = 0; i < x->n; i++)
    if (strcmp(x->all[i].name, name) == 0 && strcmp(x->all[i].env, world) == 0) return &x->all[i];
  return NULL;
}

static bool has_text(const char *const *list, size_t n, const char *text) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(list[i], text) == 0) return true;
  return false;
}

static garam_status grid_init(grid *g, const entries *x, garam_error *err) {
  *g = (grid){.scaled = true, .n_runs = SIZE_MAX};
  for (size_t i = 0; i < x->n; i++)
    if (!has_text(g->names, g->n_names, x->all[i].name)) g->names[g->n_names++] = x->all[i].name;
  for (size_t i = 0; i < x->n; i++) {
    bool all = !has_text(g->envs, g->n_envs, x->all[i].env);
    for (size_t k = 0; all && k < g->n_names; k++)
      all = entry_of(x, g->names[k], x->all[i].env) != NULL;
    if (all) g->envs[g->n_envs++] = x->all[i].env;
  }
  for (size_t k = 0; k < g->n_names; k++)
    for (size_t t = 0; t < g->n_envs; t++) {
      const entry *e = entry_of(x, g->names[k], g->envs[t]);
      if (e->n < g->n_runs) g->n_runs = e->n; /* tasks of a run have one number of runs */
      g->scaled &= isfinite(e->low);
    }
  if (g->n_envs == 0) return GARAM_OK;
  g->x = mem_array(g->n_names * g->n_runs * g->n_envs, sizeof *g->x);
  if (!g->x) return fail_memory(err, g->n_names * g->n_runs * sizeof *g->x);
  for (size_t k = 0; k < g->n_names; k++)
    for (size_t t = 0; t < g->n_envs; t++) {
      const entry *e = entry_of(x, g->names[k], g->envs[t]);
      for (size_t i = 0; i < g->n_runs; i++)
        g->x[(k * g->n_runs + i) * g->n_envs + t] =
            g->scaled ? (e->x[i] - e->low) / (e->high - e->low) : e->x[i];
    }
  return GARAM_OK;
}

static stats_scores scores_of(const grid *g, size_t k) {
  return (stats_scores){g->x + k * g->n_runs * g->n_envs, g->n_runs, g->n_envs};
}

static garam_status profiles_json(json_t **out, const grid *g, uint64_t seed, garam_error *err) {
  double low = INFINITY, high = -INFINITY, tau[TAUS];
  stats_interval share[TAUS];
  *out = NULL;
  if (g->n_envs == 0 || (!g->scaled && g->n_envs > 1)) return GARAM_OK; /* no common unit */
  for (size_t i = 0; i < g->n_names * g->n_runs * g->n_envs; i++) {
    low = fmin(low, g->x[i]);
    high = fmax(high, g->x[i]);
  }
  const double margin = high > low ? (high - low) * 0.05 : 1;
  for (int i = 0; i < TAUS; i++) tau[i] = low - margin + (high - low + 2 * margin) * i / (TAUS - 1);
  json_t *players = json_array();
  for (size_t k = 0; k < g->n_names; k++) {
    garam_status status = stats_profile(share, scores_of(g, k), tau, TAUS, seed, err);
    if (status != GARAM_OK) {
      json_decref(players);
      return status;
    }
    json_t *columns[3] = {json_array(), json_array(), json_array()};
    for (int i = 0; i < TAUS; i++) {
      json_array_append_new(columns[0], json_number_or_null(share[i].value));
      json_array_append_new(columns[1], json_number_or_null(share[i].low));
      json_array_append_new(columns[2], json_number_or_null(share[i].high));
    }
    json_array_append_new(players, json_pack("{s:s, s:o, s:o, s:o}", "name", g->names[k], "share",
                                             columns[0], "low", columns[1], "high", columns[2]));
  }
  *out = json_pack("{s:s, s:o, s:o}", "unit",
                   g->scaled ? "return, 0 random and 1 the best known" : "return", "tau",
                   json_array_f64(tau, TAUS), "players", players);
  return *out ? GARAM_OK : fail_memory(err, 4096);
}

/* Aggregates of normalised returns over environments, where there are several. */
static garam_status aggregate_json(json_t *list, const grid *g, uint64_t seed, garam_error *err) {
  if (!g->scaled || g->n_envs < 2) return GARAM_OK;
  for (size_t k = 0; k < g->n_names; k++) {
    json_t *o = json_pack("{s:s, s:i, s:i}", "name", g->names[k], "environments", (int)g->n_envs,
                          "runs", (int)g->n_runs);
    for (int kind = 0; stats_kind_names[kind]; kind++) {
      stats_interval i;
      garam_status status = stats_bootstrap(&i, (stats_kind)kind, scores_of(g, k), seed, err);
      if (status != GARAM_OK) {
        json_decref(o);
        return status;
      }
      json_object_set_new(o, stats_kind_names[kind],
                          json_pack("[f, f, f]", i.value, i.low, i.high));
    }
    json_array_append_new(list, o);
  }
  return GARAM_OK;
}

/* ---- against each other --------------------------------------------------------------------- */

static garam_status cross_json(json_t **out, const entries *x, size_t episodes, uint64_t seed,
                               garam_error *err) {
  const char *names[MOST_PLAYERS], *paths[MOST_PLAYERS];
  const char *world = NULL;
  size_t n = 0;
  *out = NULL;
  for (size_t i = 0; i < x->n; i++) {
    if (!x->all[i].path) continue;
    if (!world) world = x->all[i].env;
    if (strcmp(x->all[i].env, world) != 0) return GARAM_OK; /* several worlds */
    paths[n] = x->all[i].path;
    names[n++] = x->all[i].name;
  }
  return n < 2 ? GARAM_OK : rl_cross_play(out, paths, names, n, episodes, seed, err);
}

garam_status rl_compare(json_t **result, const char *const *paths, size_t n_paths,
                        const char *scripts, const rl_evaluate_config *config, uint64_t seed,
                        garam_error *err) {
  garam_status status = GARAM_OK;
  entries *x = mem_zalloc(sizeof *x);
  grid g = {0};
  json_t *o = json_object(), *players = json_array(), *improvement = json_array(),
         *aggregate = json_array(), *profiles = NULL, *cross = NULL;
  *result = NULL;
  if (!x || !o || !players || !improvement || !aggregate)
    TRY_GOTO(done, fail_memory(err, sizeof *x));
  for (size_t i = 0; i < n_paths; i++) {
    const rl_world_spec spec = {.policy = paths[i]};
    TRY_GOTO(done, is_json(paths[i]) ? add_json(x, paths[i], err)
                                     : add_played(x, &spec, config, seed, err));
  }
  if (scripts && *scripts) TRY_GOTO(done, add_scripts(x, scripts, config, seed, err));
  TRY_GOTO(done, grid_init(&g, x, err));
  TRY_GOTO(done, players_json(players, x, seed, err));
  TRY_GOTO(done, improvement_json(improvement, x, seed, err));
  TRY_GOTO(done, aggregate_json(aggregate, &g, seed, err));
  TRY_GOTO(done, profiles_json(&profiles, &g, seed, err));
  TRY_GOTO(done, cross_json(&cross, x, (size_t)config->episodes, seed, err));
  json_object_set(o, "players", players);
  json_object_set(o, "improvement", improvement);
  json_object_set(o, "aggregate", aggregate);
  json_object_set_new(o, "profiles", profiles ? json_incref(profiles) : json_null());
  json_object_set_new(o, "cross_play", cross ? json_incref(cross) : json_null());
  *result = json_incref(o);
done:
  json_decref(o);
  json_decref(players);
  json_decref(improvement);
  json_decref(aggregate);
  json_decref(profiles);
  json_decref(cross);
  mem_free(g.x);
  if (x) entries_deinit(x);
  mem_free(x);
  return status;
}
