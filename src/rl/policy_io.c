/* Policies as packages: the manifest says kind "policy", the shape of the world, the actor's
 * options and the caller's record; arrays are the actor's parameters by name and the normaliser's.
 */
#include "rl/policy_inner.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 1, MOST_NUMBERS = 1 << 20 };

static const char *const head_names[] = {"tanh",        "gaussian", "squashed",
                                         "categorical", "values",   NULL};

/* ---- writing ----------------------------------------------------------------------------------
 */

static json_t *bounds_json(const float *values, int n) {
  if (!values) return json_null();
  json_t *list = json_array();
  for (int i = 0; list && i < n; i++)
    if (json_array_append_new(list, json_f32_or_null(values[i]))) {
      json_decref(list);
      return NULL;
    }
  return list;
}

static json_t *space_json(const env_space *s) {
  return json_pack("{s:s, s:i, s:o, s:o}", "kind", s->kind == ENV_BOX ? "box" : "choices", "n",
                   s->n, "low", bounds_json(s->low, s->n), "high", bounds_json(s->high, s->n));
}

static json_t *shape_json(const env_shape *s) {
  json_t *agents = json_array();
  for (int a = 0; agents && a < s->n_agents; a++) {
    const env_agent *agent = &s->agents[a];
    json_t *row =
        json_pack("{s:s, s:s, s:o, s:o}", "name", agent->name, "team", agent->team, "observation",
                  space_json(&agent->observation), "action", space_json(&agent->action));
    if (!row || json_array_append_new(agents, row)) {
      json_decref(agents);
      return NULL;
    }
  }
  return json_pack("{s:i, s:i, s:i, s:i, s:o}", "observation_width", s->observation_width,
                   "action_width", s->action_width, "state_width", s->state_width, "max_steps",
                   s->max_steps, "agents", agents);
}

static json_t *manifest_json(const policy *p, const json_t *record) {
  json_t *actor = opt_to_json(actor_options, actor_n_options, &p->spec.config);
  return json_pack("{s:s, s:i, s:o, s:o, s:s, s:s, s:f, s:O?}", "kind", "policy", "version",
                   VERSION, "shape", shape_json(&p->shape), "actor", actor, "box_head",
                   head_names[p->spec.box_head], "choice_head", head_names[p->spec.choice_head],
                   "normalizer_clip", p->normalizer ? p->normalizer->clip : 0.0, "record", record);
}

garam_status policy_save(const policy *p, const json_t *record, const char *path,
                         garam_error *err) {
  package_writer *w = NULL;
  garam_status status = GARAM_OK;
  json_t *manifest = manifest_json(p, record ? record : p->record);
  if (!manifest) TRY_GOTO(done, fail_memory(err, 256));
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, package_set_meta(w, "garam", manifest, err));
  for (size_t i = 0; i < graph_param_count(p->graph); i++) {
    const param_info *info = graph_param_info(p->graph, i);
    TRY_GOTO(done, package_add(w, info->name, PACKAGE_F32, info->rank, info->dims,
                               p->params + info->offset, err));
  }
  if (p->normalizer) {
    const int64_t width = (int64_t)p->normalizer->width, one = 1;
    TRY_GOTO(done,
             package_add(w, "normalizer.mean", PACKAGE_F64, 1, &width, p->normalizer->mean, err));
    TRY_GOTO(done, package_add(w, "normalizer.m2", PACKAGE_F64, 1, &width, p->normalizer->m2, err));
    TRY_GOTO(done,
             package_add(w, "normalizer.count", PACKAGE_F64, 1, &one, &p->normalizer->count, err));
  }
  status = package_write(w, path, err);
done:
  package_writer_free(w);
  json_decref(manifest);
  return status;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static garam_status read_bounds(const float **out, arena *a, const json_t *space, const char *key,
                                int n, float open, const char *where, garam_error *err) {
  const json_t *list = json_object_get(space, key);
  *out = NULL;
  if (json_is_null(list)) return GARAM_OK;
  if (!json_is_array(list) || json_array_size(list) != (size_t)n)
    return fail(err, GARAM_CORRUPT, "%s: \"%s\": expected %d numbers or null", where, key, n);
  float *values = arena_array(a, (size_t)n, sizeof *values);
  if (!values) return fail_memory(err, (size_t)n * sizeof *values);
  for (int i = 0; i < n; i++) {
    const json_t *value = json_array_get(list, (size_t)i);
    if (!json_is_number(value) && !json_is_null(value))
      return fail(err, GARAM_CORRUPT, "%s: \"%s\"[%d]: expected a number or null", where, key, i);
    values[i] = json_is_null(value) ? open : (float)json_number_value(value);
  }
  *out = values;
  return GARAM_OK;
}

static garam_status read_space(env_space *out, arena *a, const json_t *object, const char *key,
                               const char *where, garam_error *err) {
  json_t *space;
  const char *kind;
  int64_t n;
  TRY(json_get_object(&space, object, key, where, err));
  TRY(json_get_string(&kind, space, "kind", where, err));
  TRY(json_get_int(&n, space, "n", 1, MOST_NUMBERS, where, err));
  if (strcmp(kind, "box") != 0 && strcmp(kind, "choices") != 0)
    return fail(err, GARAM_CORRUPT, "%s: %s space \"%s\": expected box or choices", where, key,
                kind);
  *out = (env_space){.kind = strcmp(kind, "box") == 0 ? ENV_BOX : ENV_DISCRETE, .n = (int)n};
  TRY(read_bounds(&out->low, a, space, "low", out->n, -INFINITY, where, err));
  TRY(read_bounds(&out->high, a, space, "high", out->n, INFINITY, where, err));
  for (int i = 0; out->low && out->high && i < out->n; i++)
    if (!(out->low[i] < out->high[i]))
      return fail(err, GARAM_CORRUPT, "%s: %s bounds of number %d are empty", where, key, i);
  return GARAM_OK;
}

static garam_status read_agent(env_agent *out, arena *a, const json_t *row, const env_shape *shape,
                               const char *where, garam_error *err) {
  TRY(json_get_string(&out->name, row, "name", where, err));
  TRY(json_get_string(&out->team, row, "team", where, err));
  TRY(read_space(&out->observation, a, row, "observation", where, err));
  TRY(read_space(&out->action, a, row, "action", where, err));
  const int width = out->action.kind == ENV_BOX ? out->action.n : 1;
  if (out->observation.kind != ENV_BOX || out->observation.n > shape->observation_width ||
      width > shape->action_width || strlen(out->name) > 64 || strlen(out->team) > 64)
    return fail(err, GARAM_CORRUPT, "%s: agent \"%.64s\" is wider than its world", where,
                out->name);
  return GARAM_OK;
}

static garam_status read_shape(env_shape *out, arena *a, const json_t *manifest, const char *where,
                               garam_error *err) {
  json_t *shape, *rows;
  int64_t observation, action, state, steps;
  TRY(json_get_object(&shape, manifest, "shape", where, err));
  TRY(json_get_int(&observation, shape, "observation_width", 1, MOST_NUMBERS, where, err));
  TRY(json_get_int(&action, shape, "action_width", 1, MOST_NUMBERS, where, err));
  TRY(json_get_int(&state, shape, "state_width", 0, MOST_NUMBERS, where, err));
  TRY(json_get_int(&steps, shape, "max_steps", 0, INT32_MAX, where, err));
  TRY(json_get_array(&rows, shape, "agents", where, err));
  const size_t n = json_array_size(rows);
  if (n < 1 || n > ENV_MAX_AGENTS)
    return fail(err, GARAM_CORRUPT, "%s: %zu agents, expected 1 to %d", where, n, ENV_MAX_AGENTS);
  *out = (env_shape){.n_agents = (int)n,
                     .observation_width = (int)observation,
                     .action_width = (int)action,
                     .state_width = (int)state,
                     .max_steps = (int)steps};
  env_agent *agents = arena_array(a, n, sizeof *agents);
  if (!agents) return fail_memory(err, n * sizeof *agents);
  out->agents = agents;
  for (size_t i = 0; i < n; i++)
    TRY(read_agent(&agents[i], a, json_array_get(rows, i), out, where, err));
  return GARAM_OK;
}

static garam_status read_head(actor_head *out, const json_t *manifest, const char *key,
                              actor_head first, actor_head last, const char *where,
                              garam_error *err) {
  const char *name;
  TRY(json_get_string(&name, manifest, key, where, err));
  for (int i = (int)first; i <= (int)last; i++)
    if (strcmp(name, head_names[i]) == 0) {
      *out = (actor_head)i;
      return GARAM_OK;
    }
  return fail(err, GARAM_CORRUPT, "%s: \"%s\" is \"%.40s\"", where, key, name);
}

static garam_status read_normalizer(policy *p, const package_reader *r, double clip,
                                    garam_error *err) {
  const package_tensor *mean, *m2, *count;
  const int64_t any = -1, one = 1;
  TRY(package_get_finite(&mean, r, "normalizer.mean", PACKAGE_F64, 1, &any, err));
  TRY(package_get_finite(&m2, r, "normalizer.m2", PACKAGE_F64, 1, &mean->dims[0], err));
  TRY(package_get_finite(&count, r, "normalizer.count", PACKAGE_F64, 1, &one, err));
  const size_t o = (size_t)p->shape.observation_width, all = o * (size_t)p->shape.n_agents;
  bool fine = mean->count == o || mean->count == all;
  for (size_t i = 0; i < m2->count; i++) fine &= ((const double *)m2->data)[i] >= 0;
  if (!fine || *(const double *)count->data < 0)
    return fail(err, GARAM_CORRUPT, "%s: a normaliser of %zu numbers that does not fit",
                package_name(r), mean->count);
  TRY(normalizer_init(&p->own_normalizer, mean->count, clip, err));
  memcpy(p->own_normalizer.mean, mean->data, mean->bytes);
  memcpy(p->own_normalizer.m2, m2->data, m2->bytes);
  p->own_normalizer.count = *(const double *)count->data;
  normalizer_refresh(&p->own_normalizer);
  p->normalizer = &p->own_normalizer;
  return GARAM_OK;
}

static garam_status read_arrays(policy *p, const package_reader *r, double clip, garam_error *err) {
  for (size_t i = 0; i < graph_param_count(p->graph); i++) {
    const param_info *info = graph_param_info(p->graph, i);
    const package_tensor *t;
    TRY(package_get_finite(&t, r, info->name, PACKAGE_F32, info->rank, info->dims, err));
    memcpy(p->params + info->offset, t->data, t->bytes);
  }
  if (package_has(r, "normalizer.mean")) TRY(read_normalizer(p, r, clip, err));
  return GARAM_OK;
}

bool policy_is(const package_reader *r) {
  json_t *manifest = NULL;
  if (package_get_meta(&manifest, r, "garam", NULL) != GARAM_OK) return false;
  const json_t *kind = json_object_get(manifest, "kind");
  const bool is = json_is_string(kind) && strcmp(json_string_value(kind), "policy") == 0;
  json_decref(manifest);
  return is;
}

static garam_status read_manifest(policy **out, json_t *manifest, const char *where, double *clip,
                                  garam_error *err) {
  garam_status status = GARAM_OK;
  arena scratch;
  env_shape shape;
  actor_spec spec = {.shape = &shape};
  json_t *actor;
  int64_t version;
  arena_init(&scratch, 0);
  TRY_GOTO(done, json_get_int(&version, manifest, "version", 1, INT32_MAX, where, err));
  if (version != VERSION)
    TRY_GOTO(done, fail(err, GARAM_UNSUPPORTED, "%s: policy of version %lld; this is %d", where,
                        (long long)version, VERSION));
  TRY_GOTO(done, read_shape(&shape, &scratch, manifest, where, err));
  TRY_GOTO(done, json_get_object(&actor, manifest, "actor", where, err));
  opt_defaults(actor_options, actor_n_options, &spec.config);
  TRY_GOTO(done, opt_from_json(actor_options, actor_n_options, &spec.config, actor, where, err));
  TRY_GOTO(done,
           read_head(&spec.box_head, manifest, "box_head", ACTOR_TANH, ACTOR_SQUASHED, where, err));
  TRY_GOTO(done, read_head(&spec.choice_head, manifest, "choice_head", ACTOR_CATEGORICAL,
                           ACTOR_VALUES, where, err));
  TRY_GOTO(done, json_get_f64(clip, manifest, "normalizer_clip", where, err));
  status = policy_new(out, &spec, NULL, NULL, NULL, err);
  if (status != GARAM_OK) fail_within(err, status, "%s", where);
done:
  arena_deinit(&scratch);
  return status;
}

garam_status policy_load(policy **out, const char *path, garam_error *err) {
  package_reader *r = NULL;
  json_t *manifest = NULL;
  policy *p = NULL;
  double clip = 0;
  char where[600];
  garam_status status = GARAM_OK;
  *out = NULL;
  TRY_GOTO(done, package_open(&r, path, err));
  if (!policy_is(r))
    TRY_GOTO(done,
             fail(err, GARAM_MISMATCH, "%s: a safetensors file, but not a policy of garam", path));
  TRY_GOTO(done, package_get_meta(&manifest, r, "garam", err));
  snprintf(where, sizeof where, "%.500s: manifest", path);
  status = read_manifest(&p, manifest, where, &clip, err);
  if (status == GARAM_PARSE || status == GARAM_INVALID || status == GARAM_NOT_FOUND) {
    status = GARAM_CORRUPT; /* it is the file that is wrong, not the user's typing */
    if (err) err->status = status;
  }
  if (status != GARAM_OK) goto done;
  TRY_GOTO(done, read_arrays(p, r, clip, err));
  p->record = json_incref(json_object_get(manifest, "record"));
  *out = p;
  p = NULL;
done:
  policy_free(p);
  json_decref(manifest);
  package_close(r);
  return status;
}
