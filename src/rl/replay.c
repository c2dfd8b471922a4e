/* Replay: see replay.h. Row t * n + w is step t (of those kept) of world w: worlds lie side by
 * side, so that one memcpy a world adds a step, and what followed a row is n rows on. */
#include "rl/replay.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TERMINATED = 1, TRUNCATED = 2, ALIVE = 4 };
enum { NO_SLOT = -1 };

struct replay {
  replay_config config;
  size_t rows; /* of the ring, a multiple of n */
  size_t seen; /* A * O + S: what is known before an action */
  size_t width;
  uint64_t steps; /* added so far; the ring's next step is steps % (rows / n) */
  float *row;     /* (rows, width): observation, state, action, reward */
  uint8_t *flags; /* (rows, A) */
  uint8_t *ended; /* (rows) */
  int32_t *slot;  /* (rows) of what was seen last where ended; NO_SLOT */
  float *latest;  /* (n, seen): what followed the newest step */
  float *last;    /* (slots, seen) */
  int32_t *free_slots;
  size_t n_slots, cap_last, cap_free, n_free;
  double *tree; /* (2 * leaves): node 1 the sum of all, leaves at `leaves` + row; NULL: uniform */
  size_t leaves;
  double highest;       /* priority that new rows get */
  uint64_t counters[2]; /* what save writes: steps, slots */
};

garam_status replay_new(replay **out, const replay_config *c, garam_error *err) {
  *out = NULL;
  REQUIRE(c->n > 0 && c->agents > 0, "replay: %zu worlds of %zu agents", c->n, c->agents);
  replay *r = mem_zalloc(sizeof *r);
  if (!r) return fail_memory(err, sizeof *r);
  r->config = *c;
  r->rows = (c->capacity / c->n > 1 ? c->capacity / c->n : 2) * c->n;
  r->seen = c->agents * c->observation + c->state;
  r->width = r->seen + c->agents * (c->action + 1);
  r->highest = 1;
  if (r->rows > INT32_MAX) {
    replay_free(r);
    return fail(err, GARAM_LIMIT, "--replay %zu: at most %d rows", c->capacity, INT32_MAX);
  }
  r->row = mem_array(r->rows * r->width, sizeof *r->row);
  r->flags = mem_array(r->rows, c->agents);
  r->ended = mem_array(r->rows, 1);
  r->slot = mem_array(r->rows, sizeof *r->slot);
  r->latest = mem_array(c->n * r->seen + 1, sizeof *r->latest);
  if (c->prioritized) {
    r->leaves = 1;
    while (r->leaves < r->rows) r->leaves *= 2;
    r->tree = mem_array(2 * r->leaves, sizeof *r->tree);
  }
  if (!r->row || !r->flags || !r->ended || !r->slot || !r->latest || (c->prioritized && !r->tree)) {
    replay_free(r);
    return fail_memory(err, r->rows * r->width * sizeof *r->row);
  }
  for (size_t i = 0; i < r->rows; i++) r->slot[i] = NO_SLOT;
  *out = r;
  return GARAM_OK;
}

void replay_free(replay *r) {
  if (!r) return;
  mem_free(r->row);
  mem_free(r->flags);
  mem_free(r->ended);
  mem_free(r->slot);
  mem_free(r->latest);
  mem_free(r->last);
  mem_free(r->free_slots);
  mem_free(r->tree);
  mem_free(r);
}

size_t replay_count(const replay *r) {
  const uint64_t added = r->steps * r->config.n;
  return added < r->rows ? (size_t)added : r->rows;
}

/* ---- priorities ------------------------------------------------------------------------------ */

static void tree_set(replay *r, size_t row, double value) {
  size_t i = r->leaves + row;
  r->tree[i] = value;
  for (i /= 2; i > 0; i /= 2) r->tree[i] = r->tree[2 * i] + r->tree[2 * i + 1];
}

static size_t tree_find(const replay *r, double mass) {
  size_t i = 1;
  while (i < r->leaves) {
    i *= 2;
    if (mass >= r->tree[i] && r->tree[i + 1] > 0) mass -= r->tree[i++];
  }
  return i - r->leaves;
}

void replay_set_errors(replay *r, const size_t *index, const double *error, size_t n) {
  enum { LEAST = 1000000 };
  if (!r->tree) return;
  for (size_t i = 0; i < n; i++) {
    const double priority = pow(fabs(error[i]) + 1.0 / LEAST, r->config.alpha);
    if (!isfinite(priority)) continue;
    tree_set(r, index[i], priority);
    if (priority > r->highest) r->highest = priority;
  }
}

/* ---- adding ---------------------------------------------------------------------------------- */

static garam_status slot_take(replay *r, int32_t *out, garam_error *err) {
  if (r->n_free > 0) {
    *out = r->free_slots[--r->n_free];
    return GARAM_OK;
  }
  if (r->n_slots == r->cap_last) { /* doubled, so that a run soon has as many as it needs */
    const size_t more = r->cap_last ? 2 * r->cap_last : 64;
    TRY(mem_grow(&r->last, &r->cap_last, more, r->seen * sizeof *r->last, err));
    TRY(mem_grow(&r->free_slots, &r->cap_free, r->cap_last, sizeof *r->free_slots, err));
  }
  *out = (int32_t)r->n_slots++;
  return GARAM_OK;
}

static void see(const replay *r, float *out, const float *observation, const float *state,
                size_t w) {
  const size_t o = r->config.agents * r->config.observation, s = r->config.state;
  memcpy(out, observation + w * o, o * sizeof *out);
  if (s) memcpy(out + o, state + w * s, s * sizeof *out);
}

garam_status replay_add(replay *r, const agent_step *s, garam_error *err) {
  const size_t n = r->config.n, agents = r->config.agents, acted = agents * r->config.action;
  REQUIRE(s->n == n, "replay_add: %zu worlds, expected %zu", s->n, n);
  const size_t first = (size_t)(r->steps % (r->rows / n)) * n;
  for (size_t w = 0; w < n; w++) {
    const size_t i = first + w;
    float *row = r->row + i * r->width;
    if (r->slot[i] != NO_SLOT) r->free_slots[r->n_free++] = r->slot[i];
    r->slot[i] = NO_SLOT;
    see(r, row, s->observation, s->state, w);
    memcpy(row + r->seen, s->action + w * acted, acted * sizeof *row);
    memcpy(row + r->seen + acted, s->reward + w * agents, agents * sizeof *row);
    for (size_t a = 0; a < agents; a++) {
      const size_t at = w * agents + a;
      r->flags[i * agents + a] =
          (uint8_t)((s->terminated[at] ? TERMINATED : 0) | (s->truncated[at] ? TRUNCATED : 0) |
                    (s->alive[at] ? ALIVE : 0));
    }
    r->ended[i] = s->ended[w];
    if (s->ended[w]) {
      TRY(slot_take(r, &r->slot[i], err));
      see(r, r->last + (size_t)r->slot[i] * r->seen, s->next_observation, s->next_state, w);
    }
    see(r, r->latest + w * r->seen, s->next_observation, s->next_state, w);
    if (r->tree) tree_set(r, i, r->highest);
  }
  r->steps++;
  return GARAM_OK;
}

/* ---- drawing --------------------------------------------------------------------------------- */

void replay_draw(const replay *r, size_t *index, float *weight, size_t n, double beta,
                 uint64_t seed, uint64_t draw) {
  const size_t count = replay_count(r);
  rng x;
  rng_init(&x, seed, RNG_REPLAY, draw);
  REQUIRE(count > 0, "replay_draw: nothing is there");
  if (!r->tree) {
    for (size_t i = 0; i < n; i++) index[i] = (size_t)rng_below(&x, count);
    for (size_t i = 0; i < n; i++) weight[i] = 1;
    return;
  }
  const double total = r->tree[1], part = total / (double)n;
  double most = 0;
  for (size_t i = 0; i < n; i++) { /* one from each of n equal parts of the sum */
    index[i] = tree_find(r, ((double)i + rng_uniform(&x)) * part);
    const double share = r->tree[r->leaves + index[i]] / total;
    const double w = pow((double)count * share, -beta);
    weight[i] = (float)w;
    if (w > most) most = w;
  }
  for (size_t i = 0; i < n; i++) weight[i] = (float)((double)weight[i] / most);
}

void replay_get(const replay *r, replay_row *out, size_t index, size_t n_steps, double gamma) {
  const size_t n = r->config.n, agents = r->config.agents, acted = agents * r->config.action;
  const size_t newest = (size_t)((r->steps - 1) % (r->rows / n)) * n + index % n;
  const float *first = r->row + index * r->width, *next;
  const size_t o = agents * r->config.observation;
  const uint8_t *flags = r->flags + index * agents;
  for (size_t a = 0; a < agents; a++) {
    out->alive[a] = (flags[a] & ALIVE) != 0;
    out->reward[a] = 0;
    out->discount[a] = out->alive[a] ? 1 : 0;
  }
  size_t at = index;
  double factor = 1;
  for (size_t k = 0;; k++) {
    const float *reward = r->row + at * r->width + r->seen + acted;
    flags = r->flags + at * agents;
    for (size_t a = 0; a < agents; a++) {
      if (out->discount[a] == 0) continue; /* over, or was never there */
      out->reward[a] += (float)(factor * (double)reward[a]);
      if (flags[a] & TERMINATED) out->discount[a] = 0;
    }
    factor *= gamma;
    if (k + 1 == n_steps || r->ended[at] || at == newest) break;
    at = at + n < r->rows ? at + n : at + n - r->rows;
  }
  for (size_t a = 0; a < agents; a++)
    if (out->discount[a] != 0) out->discount[a] = (float)factor;
  if (r->ended[at]) next = r->last + (size_t)r->slot[at] * r->seen;
  else if (at == newest) next = r->latest + at % n * r->seen;
  else next = r->row + (at + n < r->rows ? at + n : at + n - r->rows) * r->width;
  out->observation = first;
  out->next_observation = next;
  out->state = r->config.state ? first + o : NULL;
  out->next_state = r->config.state ? next + o : NULL;
  out->action = first + r->seen;
}

/* ---- files ----------------------------------------------------------------------------------- */

static garam_status add(package_writer *w, const char *prefix, const char *name, package_dtype type,
                        size_t count, const void *data, garam_error *err) {
  char full[96];
  const int64_t dims = (int64_t)count;
  snprintf(full, sizeof full, "%s%s", prefix, name);
  return package_add(w, full, type, 1, &dims, data, err);
}

garam_status replay_save(replay *r, package_writer *w, const char *prefix, garam_error *err) {
  const size_t count = replay_count(r), agents = r->config.agents;
  r->counters[0] = r->steps;
  r->counters[1] = r->n_slots;
  TRY(add(w, prefix, "counters", PACKAGE_U64, 2, r->counters, err));
  TRY(add(w, prefix, "rows", PACKAGE_F32, count * r->width, r->row, err));
  TRY(add(w, prefix, "flags", PACKAGE_U8, count * agents, r->flags, err));
  TRY(add(w, prefix, "ended", PACKAGE_U8, count, r->ended, err));
  TRY(add(w, prefix, "slots", PACKAGE_I32, count, r->slot, err));
  TRY(add(w, prefix, "latest", PACKAGE_F32, r->config.n * r->seen, r->latest, err));
  TRY(add(w, prefix, "last", PACKAGE_F32, r->n_slots * r->seen, r->last, err));
  if (!r->tree) return GARAM_OK;
  TRY(add(w, prefix, "highest", PACKAGE_F64, 1, &r->highest, err));
  return add(w, prefix, "priorities", PACKAGE_F64, count, r->tree + r->leaves, err);
}

static garam_status get(const void **out, package_reader *p, const char *prefix, const char *name,
                        package_dtype type, size_t count, garam_error *err) {
  char full[96];
  const package_tensor *t;
  const int64_t dims = (int64_t)count;
  snprintf(full, sizeof full, "%s%s", prefix, name);
  TRY(package_get(&t, p, full, type, 1, &dims, err));
  *out = t->data;
  return GARAM_OK;
}

static void copy(void *to, const void *from, size_t bytes) {
  if (bytes) memcpy(to, from, bytes);
}

/* Every row that ended has a slot of its own below n_slots, and no other row has one. */
static bool slots_fit(const replay *r, const uint8_t *ended, const int32_t *slot, size_t count,
                      uint8_t *taken) {
  for (size_t i = 0; i < count; i++) {
    if (!ended[i] != (slot[i] == NO_SLOT) || slot[i] < NO_SLOT) return false;
    if (slot[i] == NO_SLOT) continue;
    if ((size_t)slot[i] >= r->n_slots || taken[slot[i]]) return false;
    taken[slot[i]] = 1;
  }
  return true;
}

static bool finite_f32(const float *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

garam_status replay_load(replay *r, package_reader *p, const char *prefix, garam_error *err) {
  const void *counters, *rows, *flags, *ended, *slots, *latest, *last, *highest, *priorities;
  const size_t agents = r->config.agents;
  uint64_t values[2];
  uint8_t *taken = NULL;
  garam_status status = GARAM_OK;
  TRY(get(&counters, p, prefix, "counters", PACKAGE_U64, 2, err));
  memcpy(values, counters, sizeof values);
  if (values[0] > UINT64_MAX / r->config.n || values[1] > r->rows)
    return fail(err, GARAM_CORRUPT, "%s: a replay of %llu steps and %llu ends", package_name(p),
                (unsigned long long)values[0], (unsigned long long)values[1]);
  r->steps = values[0];
  const size_t count = replay_count(r), n_slots = (size_t)values[1];
  TRY(get(&rows, p, prefix, "rows", PACKAGE_F32, count * r->width, err));
  TRY(get(&flags, p, prefix, "flags", PACKAGE_U8, count * agents, err));
  TRY(get(&ended, p, prefix, "ended", PACKAGE_U8, count, err));
  TRY(get(&slots, p, prefix, "slots", PACKAGE_I32, count, err));
  TRY(get(&latest, p, prefix, "latest", PACKAGE_F32, r->config.n * r->seen, err));
  TRY(get(&last, p, prefix, "last", PACKAGE_F32, n_slots * r->seen, err));
  r->n_slots = n_slots;
  taken = mem_array(n_slots + 1, 1);
  if (!taken) return fail_memory(err, n_slots);
  if (!slots_fit(r, ended, slots, count, taken) || !finite_f32(rows, count * r->width) ||
      !finite_f32(latest, r->config.n * r->seen) || !finite_f32(last, n_slots * r->seen)) {
    status =
        fail(err, GARAM_CORRUPT, "%s: a replay whose rows do not fit together", package_name(p));
    goto done;
  }
  TRY_GOTO(done, mem_grow(&r->last, &r->cap_last, n_slots, r->seen * sizeof *r->last, err));
  TRY_GOTO(done, mem_grow(&r->free_slots, &r->cap_free, r->cap_last, sizeof *r->free_slots, err));
  copy(r->row, rows, count * r->width * sizeof *r->row);
  copy(r->flags, flags, count * agents);
  copy(r->ended, ended, count);
  copy(r->slot, slots, count * sizeof *r->slot);
  copy(r->latest, latest, r->config.n * r->seen * sizeof *r->latest);
  copy(r->last, last, n_slots * r->seen * sizeof *r->last);
  r->n_free = 0;
  for (size_t i = n_slots; i-- > 0;)
    if (!taken[i]) r->free_slots[r->n_free++] = (int32_t)i;
  if (!r->tree) goto done;
  TRY_GOTO(done, get(&highest, p, prefix, "highest", PACKAGE_F64, 1, err));
  TRY_GOTO(done, get(&priorities, p, prefix, "priorities", PACKAGE_F64, count, err));
  r->highest = *(const double *)highest;
  for (size_t i = 0; i < count; i++) {
    const double priority = ((const double *)priorities)[i];
    if (!isfinite(priority) || priority < 0 || !isfinite(r->highest)) {
      status = fail(err, GARAM_CORRUPT, "%s: priority %g", package_name(p), priority);
      goto done;
    }
    r->tree[r->leaves + i] = priority;
  }
  for (size_t i = r->leaves - 1; i > 0; i--) r->tree[i] = r->tree[2 * i] + r->tree[2 * i + 1];
done:
  mem_free(taken);
  return status;
}
