/* Players and worlds: see rl_world.h. */
#include "api/rl_world.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const json_t *part_of(const policy *p, const char *part, const char *key) {
  return json_object_get(json_object_get(policy_record(p), part), key);
}

static garam_status script_plays(void *self, env *e, float *action, garam_error *err) {
  const rl_world *w = self;
  (void)action; /* a script writes the batch's own, which it is */
  (void)err;
  w->script->act(e, 0, e->batch.n);
  return GARAM_OK;
}

garam_status rl_world_recorded(const policy *p, const env_ops *ops, void *config, bool *there,
                               garam_error *err) {
  const char *name = json_string_value(part_of(p, "env", "name"));
  json_t *options = (json_t *)(uintptr_t)part_of(p, "env", "options");
  *there = name && strcmp(name, ops->name) == 0;
  if (!*there || !options || !ops->n_options) return GARAM_OK;
  return opt_from_json(ops->options, ops->n_options, config, options, "the policy's record", err);
}

static garam_status open_policy(rl_world *w, const rl_world_spec *spec, const env_ops **ops,
                                garam_error *err) {
  TRY(policy_load(&w->policy, spec->policy, err));
  w->player = player_policy(w->policy);
  const char *agent = json_string_value(part_of(w->policy, "agent", "name"));
  snprintf(w->agent, sizeof w->agent, "%s", agent ? agent : "policy");
  w->steps = json_integer_value(part_of(w->policy, "training", "steps"));
  if (*ops) return GARAM_OK;
  const char *name = json_string_value(part_of(w->policy, "env", "name"));
  if (!name)
    return fail(err, GARAM_INVALID, "%s: does not record its environment; --env names one",
                spec->policy);
  *ops = env_find(name, err);
  return *ops ? GARAM_OK : fail_within(err, GARAM_NOT_FOUND, "%s", spec->policy);
}

static garam_status open_script(rl_world *w, const rl_world_spec *spec, const env_ops *ops,
                                garam_error *err) {
  REQUIRE(ops && spec->script, "rl_world_open: neither a policy nor a script");
  w->script = baseline_find(ops->name, spec->script, err);
  if (!w->script) return err ? err->status : GARAM_NOT_FOUND;
  w->player = (player){script_plays, w};
  snprintf(w->agent, sizeof w->agent, "%s", w->script->name);
  return GARAM_OK;
}

garam_status rl_world_open(rl_world *out, const rl_world_spec *spec, size_t n, uint64_t seed,
                           garam_error *err) {
  const env_ops *ops = spec->env;
  const env_setup setup = {.n = n, .seed = seed};
  garam_status status;
  void *config = NULL;
  bool recorded = false;
  *out = (rl_world){0};
  if (spec->policy) TRY_GOTO(done, open_policy(out, spec, &ops, err));
  else TRY_GOTO(done, open_script(out, spec, ops, err));
  if (!spec->env_config && ops->config_size) {
    config = mem_zalloc(ops->config_size);
    if (!config) TRY_GOTO(done, fail_memory(err, ops->config_size));
    opt_defaults(ops->options, ops->n_options, config);
    if (out->policy) TRY_GOTO(done, rl_world_recorded(out->policy, ops, config, &recorded, err));
  }
  TRY_GOTO(done,
           env_new(&out->env, ops, spec->env_config ? spec->env_config : config, &setup, err));
  if (out->policy) {
    status = env_shape_match(policy_spec(out->policy)->shape, &out->env->shape, err);
    if (status != GARAM_OK) {
      fail_within(err, status, "%s does not fit environment %s", spec->policy, ops->name);
      goto done;
    }
  } else {
    TRY_GOTO(done, baseline_check(out->script, out->env, err));
  }
done:
  mem_free(config);
  if (status != GARAM_OK) rl_world_close(out);
  return status;
}

void rl_world_close(rl_world *w) {
  env_free(w->env);
  policy_free(w->policy);
  *w = (rl_world){0};
}
