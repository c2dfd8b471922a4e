/* Everything that an off-policy learner needs to go on as if it had never stopped. */
#include "rl/off_policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ARRAYS = 32 };

/* One list for both ways. */
static size_t arrays_of(optim_array out[MOST_ARRAYS], const off_policy *l) {
  size_t n = 0;
  const size_t counts = N_COUNTS, floats = l->block, per = l->n * l->agents;
#define ARRAY(text, kind, items, at)                                                               \
  out[n++] =                                                                                       \
      (optim_array){text, kind, items, (items)*package_dtype_size(kind), (void *)(uintptr_t)(at)}
  ARRAY("counts", PACKAGE_U64, counts, l->counts);
  ARRAY("params", PACKAGE_F32, floats, l->params);
  if (l->config.targets) ARRAY("slow", PACKAGE_F32, floats, l->slow);
  ARRAY("noise", PACKAGE_F64, l->noise.n * l->noise.width, l->noise.x);
  ARRAY("observed.count", PACKAGE_F64, (size_t)1, &l->observed.count);
  ARRAY("observed.mean", PACKAGE_F64, l->observed.width, l->observed.mean);
  ARRAY("observed.m2", PACKAGE_F64, l->observed.width, l->observed.m2);
  ARRAY("returns.count", PACKAGE_F64, (size_t)1, &l->returns.count);
  ARRAY("returns.mean", PACKAGE_F64, l->returns.width, l->returns.mean);
  ARRAY("returns.m2", PACKAGE_F64, l->returns.width, l->returns.m2);
  ARRAY("running", PACKAGE_F64, per, l->running);
  ARRAY("sums", PACKAGE_F64, per, l->sums);
  ARRAY("metrics", PACKAGE_F64, (size_t)N_METRICS, l->metrics);
  ARRAY("mixer.performance", PACKAGE_F64, l->agents, l->mixer.performance);
  ARRAY("mixer.episodes", PACKAGE_U64, (size_t)1, &l->mixer.episodes);
#undef ARRAY
  return n;
}

typedef garam_status (*visit_fn)(const optim_array *array, const char *name, void *context,
                                 garam_error *err);

static garam_status each(const off_policy *l, visit_fn visit, void *context, garam_error *err) {
  optim_array arrays[MOST_ARRAYS];
  const optim_adamw *const optims[2] = {l->critic_optim, l->actor_optim};
  size_t n = arrays_of(arrays, l);
  for (size_t i = 0; i < n; i++) TRY(visit(&arrays[i], arrays[i].name, context, err));
  for (size_t k = 0; k < 2; k++) {
    if (!optims[k]) continue;
    n = optim_adamw_state(arrays, optims[k]);
    for (size_t i = 0; i < n; i++) {
      char name[64];
      snprintf(name, sizeof name, "%s.%s", k ? "actor_optim" : "critic_optim", arrays[i].name);
      TRY(visit(&arrays[i], name, context, err));
    }
  }
  return GARAM_OK;
}

static garam_status visit_add(const optim_array *a, const char *name, void *w, garam_error *err) {
  char full[96];
  const int64_t count = (int64_t)a->count;
  snprintf(full, sizeof full, "agent.%s", name);
  return package_add(w, full, a->type, 1, &count, a->data, err);
}

garam_status off_policy_save(const agent *a, package_writer *w, garam_error *err) {
  const off_policy *l = (const off_policy *)a;
  TRY(each(l, visit_add, w, err));
  return replay_save(l->replay, w, "agent.replay.", err);
}

static garam_status find(const package_tensor **out, const optim_array *a, const char *name,
                         package_reader *r, garam_error *err) {
  char full[96];
  const int64_t count = (int64_t)a->count;
  snprintf(full, sizeof full, "agent.%s", name);
  if (a->type == PACKAGE_F32 || a->type == PACKAGE_F64)
    return package_get_finite(out, r, full, a->type, 1, &count, err);
  return package_get(out, r, full, a->type, 1, &count, err);
}

static garam_status visit_check(const optim_array *a, const char *name, void *r, garam_error *err) {
  const package_tensor *t;
  return find(&t, a, name, r, err);
}

static garam_status visit_read(const optim_array *a, const char *name, void *r, garam_error *err) {
  const package_tensor *t;
  TRY(find(&t, a, name, r, err));
  if (t->bytes) memcpy(a->data, t->data, t->bytes);
  return GARAM_OK;
}

garam_status off_policy_load(agent *a, package_reader *r, garam_error *err) {
  off_policy *l = (off_policy *)a;
  TRY(each(l, visit_check, r, err)); /* all of it is there before any of it is changed */
  TRY(replay_load(l->replay, r, "agent.replay.", err));
  TRY(each(l, visit_read, r, err));
  normalizer_refresh(&l->observed);
  normalizer_refresh(&l->returns);
  l->version++;
  l->slow_version++;
  return GARAM_OK;
}
