/* Tournaments: see crossplay.h. */
#include "rl/crossplay.h"

#include "base/mem.h"
#include "rl/elo.h"

#include <string.h>

typedef struct match {
  env *e;
  policy *home, *away;
  bool at_home[ENV_MAX_AGENTS];
  float *action; /* (n, A, U) of who is away */
  bool *over;    /* (n) */
} match;

static garam_status act(const match *m, garam_error *err) {
  env_batch *b = &m->e->batch;
  const size_t agents = (size_t)m->e->shape.n_agents, u = (size_t)m->e->shape.action_width;
  TRY(policy_act(m->home, b->observation, b->alive, b->n, b->action, err));
  if (m->away == m->home) return GARAM_OK;
  TRY(policy_act(m->away, b->observation, b->alive, b->n, m->action, err));
  for (size_t i = 0; i < b->n * agents; i++)
    if (!m->at_home[i % agents])
      memcpy(b->action + i * u, m->action + i * u, u * sizeof *b->action);
  return GARAM_OK;
}

/* Mean returns of both sides in the episode of world w that is over. */
static void count(const match *m, size_t w, double *returns) {
  const size_t agents = (size_t)m->e->shape.n_agents;
  size_t n[2] = {0};
  returns[0] = returns[1] = 0;
  for (size_t a = 0; a < agents; a++) {
    const int side = !m->at_home[a];
    returns[side] += m->e->batch.last_return[w * agents + a];
    n[side]++;
  }
  for (int side = 0; side < 2; side++) returns[side] /= (double)n[side];
}

/* returns (E, 2). As many worlds at a time as there are; each plays one episode of each round. */
static garam_status play(const match *m, size_t n_episodes, double *returns, garam_error *err) {
  const env_batch *b = &m->e->batch;
  for (size_t at = 0, round = 0; at < n_episodes; at += b->n, round++) {
    const size_t n = n_episodes - at < b->n ? n_episodes - at : b->n;
    for (size_t w = 0; w < b->n; w++) env_reset_world(m->e, w, round);
    memset(m->over, 0, b->n * sizeof *m->over);
    for (size_t left = n; left > 0;) {
      TRY(act(m, err));
      TRY(env_step(m->e, err));
      for (size_t w = 0; w < n; w++) {
        if (!b->ended[w] || m->over[w]) continue;
        m->over[w] = true;
        count(m, w, returns + 2 * (at + w));
        left--;
      }
    }
  }
  return GARAM_OK;
}

static double won(const double *x, size_t i, size_t j, size_t n, size_t n_episodes) {
  const double *there = x + (i * n + j) * n_episodes * 2, *back = x + (j * n + i) * n_episodes * 2;
  double score = 0;
  for (size_t k = 0; k < n_episodes; k++) {
    const double own = there[2 * k] + back[2 * k + 1], other = there[2 * k + 1] + back[2 * k];
    score += own > other ? 1 : own < other ? 0 : 0.5;
  }
  return score;
}

static garam_status rate(crossplay *x, garam_error *err) {
  const size_t n = x->n_players;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      const double *r = x->returns + (i * n + j) * x->n_episodes * 2;
      for (size_t k = 0; k < x->n_episodes; k++) {
        x->home[i * n + j] += r[2 * k] / (double)x->n_episodes;
        x->away[i * n + j] += r[2 * k + 1] / (double)x->n_episodes;
      }
      if (i == j) continue;
      x->games[i * n + j] = (double)x->n_episodes;
      x->score[i * n + j] = won(x->returns, i, j, n, x->n_episodes);
    }
  return elo_fit(x->rating, x->score, x->games, n, 1500, 1, err);
}

static garam_status check(match *m, policy *const *players, size_t n_players, garam_error *err) {
  const env_shape *s = &m->e->shape;
  bool others = false;
  for (int a = 0; a < s->n_agents; a++) {
    m->at_home[a] = strcmp(s->agents[a].team, s->agents[0].team) == 0;
    others |= !m->at_home[a];
  }
  if (!others)
    return fail(err, GARAM_INVALID,
                "cross-play in %s: all agents are of team %s, expected two teams or more",
                m->e->ops->name, s->agents[0].team);
  for (size_t i = 0; i < n_players; i++) {
    const garam_status status = env_shape_match(policy_spec(players[i])->shape, s, err);
    if (status != GARAM_OK) return fail_within(err, status, "player %zu", i);
  }
  return GARAM_OK;
}

garam_status crossplay_run(crossplay *out, env *e, policy *const *players, size_t n,
                           size_t n_episodes, garam_error *err) {
  *out = (crossplay){.n_players = n, .n_episodes = n_episodes};
  match m = {.e = e};
  garam_status status = GARAM_OK;
  REQUIRE(n > 0 && n_episodes > 0, "crossplay_run: nobody plays");
  TRY(check(&m, players, n, err));
  out->home_team = e->shape.agents[0].team;
  const size_t pairs = n * n, numbers = 4 * pairs + n + 2 * pairs * n_episodes;
  out->memory = mem_array(numbers, sizeof *out->memory);
  m.action =
      mem_array(e->batch.n * (size_t)(e->shape.n_agents * e->shape.action_width), sizeof *m.action);
  m.over = mem_array(e->batch.n, sizeof *m.over);
  if (!out->memory || !m.action || !m.over) {
    status = fail_memory(err, numbers * sizeof *out->memory);
    goto done;
  }
  out->home = out->memory;
  out->away = out->home + pairs;
  out->score = out->away + pairs;
  out->games = out->score + pairs;
  out->rating = out->games + pairs;
  out->returns = out->rating + n;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      m.home = players[i];
      m.away = players[j];
      TRY_GOTO(done, play(&m, n_episodes, out->returns + (i * n + j) * n_episodes * 2, err));
    }
  status = rate(out, err);
done:
  mem_free(m.action);
  mem_free(m.over);
  if (status != GARAM_OK) crossplay_deinit(out);
  return status;
}

void crossplay_deinit(crossplay *x) {
  mem_free(x->memory);
  *x = (crossplay){0};
}
