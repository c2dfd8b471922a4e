/* Checkpoints: everything that a run needs to go on as if nothing had happened. Arrays by name,
 * "agent." in front; counters are exact, in arrays too. */
#include "rl/onpolicy.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

typedef struct part {
  char name[48];
  package_dtype type;
  size_t count;
  void *data;
} part;

enum { MAX_PARTS = 32, N_COUNTS = 7 };

typedef struct parts {
  size_t n;
  part at[MAX_PARTS];
  uint64_t counts[N_COUNTS]; /* what lies scattered in the learner */
} parts;

static void add(parts *p, const char *name, package_dtype type, size_t count, void *data) {
  part *to = &p->at[p->n];
  if (count == 0) return;
  REQUIRE(p->n < MAX_PARTS, "onpolicy_io: more than %d parts", MAX_PARTS);
  snprintf(to->name, sizeof to->name, "agent.%s", name);
  to->type = type;
  to->count = count;
  to->data = data;
  p->n++;
}

static void add_normalizer(parts *p, const char *name, normalizer *z) {
  char part_name[40];
  if (z->width == 0) return;
  snprintf(part_name, sizeof part_name, "%s.mean", name);
  add(p, part_name, PACKAGE_F64, z->width, z->mean);
  snprintf(part_name, sizeof part_name, "%s.m2", name);
  add(p, part_name, PACKAGE_F64, z->width, z->m2);
  snprintf(part_name, sizeof part_name, "%s.count", name);
  add(p, part_name, PACKAGE_F64, 1, &z->count);
}

static void counts_get(parts *p, const onpolicy *o) {
  const uint64_t now[N_COUNTS] = {o->acts,
                                  o->updates,
                                  o->minibatches,
                                  o->rollout.t,
                                  o->acted,
                                  (uint64_t)o->opponents.n,
                                  o->opponents.offered};
  memcpy(p->counts, now, sizeof now);
}

static garam_status counts_set(const parts *p, onpolicy *o, const char *name, garam_error *err) {
  const uint64_t *now = p->counts;
  if (now[3] >= o->rollout.shape.steps || now[4] > 1 || now[5] > (uint64_t)o->opponents.capacity)
    return fail(err, GARAM_INVALID, "%s: agent.counts are out of range", name);
  o->acts = now[0];
  o->updates = now[1];
  o->minibatches = now[2];
  o->rollout.t = now[3];
  o->acted = now[4];
  o->opponents.n = (int)now[5];
  o->opponents.offered = now[6];
  return GARAM_OK;
}

static void parts_of(parts *p, onpolicy *o) {
  optim_array optim[OPTIM_ARRAYS];
  p->n = 0;
  add(p, "params", PACKAGE_F32, o->block, o->params);
  const size_t n_optim = optim_adamw_state(optim, o->optim);
  for (size_t i = 0; i < n_optim; i++) {
    char name[40];
    snprintf(name, sizeof name, "optimizer.%s", optim[i].name);
    add(p, name, optim[i].type, optim[i].count, optim[i].data);
  }
  add(p, "rollout", PACKAGE_U8, o->rollout.bytes, o->rollout.memory);
  add_normalizer(p, "observed", &o->observed);
  add_normalizer(p, "observed_state", &o->observed_state);
  add_normalizer(p, "rewarded", &o->rewarded);
  add(p, "discounted", PACKAGE_F64, o->n * (size_t)o->shape->n_agents, o->discounted);
  add(p, "scale", PACKAGE_F64, (size_t)o->shape->n_agents * (sizeof o->scale[0] / sizeof(double)),
      o->scale);
  add(p, "sums", PACKAGE_F64, sizeof o->sums / sizeof(double), &o->sums);
  add(p, "rate", PACKAGE_F64, 1, &o->rate);
  opponent_pool *pool = &o->opponents;
  if (pool->capacity) {
    add(p, "opponents.params", PACKAGE_F32, (size_t)pool->capacity * pool->block, pool->params);
    add(p, "opponents.who", PACKAGE_I32, pool->worlds, pool->who);
    add(p, "opponents.team", PACKAGE_I32, pool->worlds, pool->team);
    add(p, "opponents.episode", PACKAGE_U64, pool->worlds, pool->episode);
  }
  add(p, "counts", PACKAGE_U64, N_COUNTS, p->counts);
}

/* The writer borrows arrays until it writes, so the counters are kept with the learner. */
garam_status onpolicy_save(const agent *a, package_writer *w, garam_error *err) {
  onpolicy *o = ((const onpolicy *)a)->self;
  parts p;
  counts_get(&p, o);
  memcpy(o->saved_counts, p.counts, sizeof p.counts);
  parts_of(&p, o);
  p.at[p.n - 1].data = o->saved_counts;
  for (size_t i = 0; i < p.n; i++)
    TRY(package_add(w, p.at[i].name, p.at[i].type, 1, (const int64_t[]){(int64_t)p.at[i].count},
                    p.at[i].data, err));
  return GARAM_OK;
}

static garam_status check_pool(const onpolicy *o, const char *name, garam_error *err) {
  const int32_t *who = o->opponents.who, *team = o->opponents.team;
  for (size_t w = 0; w < o->opponents.worlds; w++)
    if (who[w] < -1 || who[w] >= o->opponents.capacity || team[w] < 0 || team[w] >= o->nets.n_teams)
      return fail(err, GARAM_INVALID, "%s: agent.opponents: world %zu meets nobody that is there",
                  name, w);
  return GARAM_OK;
}

/* Rows of choices index the one-hot inputs: what a file says is looked at before it is used. */
static garam_status check_actions(const onpolicy *o, const char *name, garam_error *err) {
  const rollout *r = &o->rollout;
  const rollout_shape *s = &r->shape;
  for (size_t i = 0; i < s->steps * s->worlds * s->agents; i++) {
    const env_space *space = &o->shape->agents[i % s->agents].action;
    const float x = r->action[i * s->action];
    if (space->kind == ENV_DISCRETE && !(x >= 0 && x < (float)space->n))
      return fail(err, GARAM_INVALID, "%s: agent.rollout: a choice of %g, expected 0 to %d", name,
                  (double)x, space->n - 1);
  }
  return GARAM_OK;
}

/* After a file that was refused half way: nothing of it is left that could index out of bounds. */
static void forget(onpolicy *o) {
  memset(o->rollout.memory, 0, o->rollout.bytes);
  for (size_t w = 0; o->opponents.capacity && w < o->opponents.worlds; w++) {
    o->opponents.who[w] = -1;
    o->opponents.team[w] = 0;
  }
}

/* Names, types and shapes of all arrays are looked at before the first is taken, and what is used
 * as an index before it is. */
garam_status onpolicy_load(agent *a, package_reader *r, garam_error *err) {
  onpolicy *o = (onpolicy *)a;
  parts p;
  parts_of(&p, o);
  const package_tensor *from[MAX_PARTS];
  for (size_t i = 0; i < p.n; i++) {
    const int64_t count = (int64_t)p.at[i].count;
    const bool real = p.at[i].type == PACKAGE_F32 || p.at[i].type == PACKAGE_F64;
    TRY((real ? package_get_finite : package_get)(&from[i], r, p.at[i].name, p.at[i].type, 1,
                                                  &count, err));
  }
  for (size_t i = 0; i < p.n; i++) memcpy(p.at[i].data, from[i]->data, from[i]->bytes);
  o->version++;
  for (int i = 0; i < o->opponents.capacity; i++) o->opponents.version[i]++;
  garam_status status = GARAM_OK;
  if (o->opponents.capacity) status = check_pool(o, package_name(r), err);
  if (status == GARAM_OK) status = check_actions(o, package_name(r), err);
  if (status == GARAM_OK) status = counts_set(&p, o, package_name(r), err);
  if (status != GARAM_OK) forget(o);
  return status;
}
