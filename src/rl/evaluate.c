/* Episodes on held-out seeds: see evaluate.h. */
#include "rl/evaluate.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* ---- players -------------------------------------------------------------------------------- */

static garam_status policy_plays(void *self, env *e, float *action, garam_error *err) {
  return policy_act(self, e->batch.observation, e->batch.alive, e->batch.n, action, err);
}

player player_policy(policy *p) {
  return (player){policy_plays, p};
}

/* ---- scores --------------------------------------------------------------------------------- */

const char *evaluation_team(const env_shape *shape) {
  return shape->agents[0].team ? shape->agents[0].team : shape->agents[0].name;
}

double evaluation_score(const env_shape *shape, const double *returns, const char *team) {
  double sum = 0;
  int n = 0;
  for (int a = 0; a < shape->n_agents; a++) {
    const char *its = shape->agents[a].team ? shape->agents[a].team : shape->agents[a].name;
    if (strcmp(its, team) != 0) continue;
    sum += returns[a];
    n++;
  }
  return n ? sum / n : (double)NAN;
}

garam_status evaluation_init(evaluation *out, const env *e, size_t n_episodes, garam_error *err) {
  const size_t agents = (size_t)e->shape.n_agents;
  *out = (evaluation){.n_episodes = n_episodes, .n_agents = e->shape.n_agents};
  out->returns = mem_array(n_episodes * agents + 1, sizeof *out->returns);
  out->steps = mem_array(n_episodes + 1, sizeof *out->steps);
  out->score = mem_array(n_episodes + 1, sizeof *out->score);
  if (out->returns && out->steps && out->score) return GARAM_OK;
  evaluation_deinit(out);
  return fail_memory(err, n_episodes * (agents + 1) * sizeof(double));
}

void evaluation_deinit(evaluation *v) {
  mem_free(v->returns);
  mem_free(v->steps);
  mem_free(v->score);
  *v = (evaluation){0};
}

/* Episode k is world k % n's episode k / n. A world without one left plays on, unread. */
garam_status evaluation_run(evaluation *out, env *e, const player *who, garam_error *err) {
  const env_shape *s = &e->shape;
  env_batch *b = &e->batch;
  const size_t n = b->n, agents = (size_t)s->n_agents;
  const char *team = evaluation_team(s);
  const int64_t began = clock_monotonic_ns();
  REQUIRE(out->n_agents == s->n_agents, "evaluation_run: another environment's evaluation");
  env_reset(e);
  out->world_steps = 0;
  for (size_t done = 0; done < out->n_episodes;) {
    TRY(who->act(who->self, e, b->action, err));
    TRY(env_step(e, err));
    out->world_steps += n;
    for (size_t i = 0; i < n; i++) {
      if (!b->ended[i]) continue;
      const size_t k = (size_t)(b->episode[i] - 1) * n + i;
      if (k >= out->n_episodes) continue;
      memcpy(out->returns + k * agents, b->last_return + i * agents, agents * sizeof *out->returns);
      out->steps[k] = b->last_steps[i];
      out->score[k] = evaluation_score(s, out->returns + k * agents, team);
      done++;
    }
  }
  out->seconds = (double)(clock_monotonic_ns() - began) * 1e-9;
  return GARAM_OK;
}
