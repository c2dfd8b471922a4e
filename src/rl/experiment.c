/* n seeds side by side: see experiment.h. */
#include "rl/experiment.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/thread.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const keep_names[] = {"best", "last", NULL};

const opt_row experiment_options[] = {
    {"steps", OPT_I64, OPT_AT(experiment_config, steps), .def = 100000, .min = 1, .max = 1e12,
     .help = "world steps of each seed, over all its worlds"},
    {"seeds", OPT_INT, OPT_AT(experiment_config, seeds), .def = 1, .min = 1,
     .max = EXPERIMENT_MAX_SEEDS, .help = "runs from different seeds, side by side"},
    {"worlds", OPT_INT, OPT_AT(experiment_config, worlds), .def = 0, .min = 0, .max = 1 << 20,
     .help = "worlds that a run acts in at a time; 0: as the agent likes"},
    {"eval-every", OPT_I64, OPT_AT(experiment_config, eval_every), .def = 0, .min = 0, .max = 1e12,
     .unit = "steps", .help = "between evaluations on held-out seeds; 0: a tenth of all steps"},
    {"eval-episodes", OPT_INT, OPT_AT(experiment_config, eval_episodes), .def = 20, .min = 1,
     .max = 100000, .help = "of each evaluation on the way: they decide which policy is kept"},
    {"episodes", OPT_INT, OPT_AT(experiment_config, episodes), .def = 100, .min = 1, .max = 1000000,
     .help = "of the evaluation at the end, on other held-out seeds: they are what is reported"},
    {"keep", OPT_ENUM, OPT_AT(experiment_config, keep), .def = EXPERIMENT_KEEP_BEST,
     .choices = keep_names,
     .help = "the policy with the highest lower bound on held-out episodes, or the last one"},
};
const size_t experiment_n_options = COUNT_OF(experiment_options);

uint64_t experiment_seed(uint64_t seed, uint64_t k, uint32_t purpose) {
  uint32_t words[4];
  rng_philox(words, seed, RNG_RUN, k, purpose);
  return (uint64_t)words[0] << 32 | words[1];
}

/* ---- files ---------------------------------------------------------------------------------- */

static void name_of(char out[32], int seed) {
  snprintf(out, 32, "seed-%03d", seed);
}

char *experiment_policy_path(const char *folder, int seed) {
  char name[32];
  name_of(name, seed);
  return loop_policy_path(folder, name);
}

void experiment_clear(const char *folder, int n_seeds) {
  for (int k = 0; k < n_seeds; k++) {
    char name[32];
    name_of(name, k);
    char *paths[] = {loop_checkpoint_path(folder, name), loop_policy_path(folder, name)};
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
      if (paths[i]) unlink(paths[i]);
      mem_free(paths[i]);
    }
  }
  rmdir(folder);
}

bool experiment_exists(const char *folder) {
  for (int k = 0; k < EXPERIMENT_MAX_SEEDS; k++) {
    char name[32];
    name_of(name, k);
    char *path = loop_checkpoint_path(folder, name);
    const bool there = path && io_exists(path);
    mem_free(path);
    if (there) return true;
  }
  return false;
}

/* ---- records -------------------------------------------------------------------------------- */

static size_t worlds_of(const experiment_setup *s) {
  if (s->config->worlds > 0) return (size_t)s->config->worlds;
  return s->agent->worlds ? s->agent->worlds(s->agent_config) : 1;
}

static uint64_t eval_every_of(const experiment_setup *s) {
  if (s->config->eval_every > 0) return (uint64_t)s->config->eval_every;
  return ((uint64_t)s->config->steps + 9) / 10;
}

static json_t *options_of(const opt_row *rows, size_t n, const void *config) {
  return n && config ? opt_to_json(rows, n, config) : json_object();
}

json_t *experiment_record(const experiment_setup *s) {
  return json_pack(
      "{s:{s:s, s:o}, s:{s:s, s:o}, s:{s:I, s:I, s:I, s:i, s:i, s:s, s:I}}", "env", "name",
      s->env->name, "options", options_of(s->env->options, s->env->n_options, s->env_config),
      "agent", "name", s->agent->name, "options",
      options_of(s->agent->options, s->agent->n_options, s->agent_config), "training", "steps",
      (json_int_t)s->config->steps, "worlds", (json_int_t)worlds_of(s), "eval_every",
      (json_int_t)eval_every_of(s), "eval_episodes", s->config->eval_episodes, "episodes",
      s->config->episodes, "keep", keep_names[s->config->keep], "seed", (json_int_t)s->seed);
}

/* ---- the runs ------------------------------------------------------------------------------- */

typedef struct experiment {
  const experiment_setup *setup;
  experiment_result *out;
  json_t *record;
  pthread_mutex_t lock; /* over the caller's callbacks */
  atomic_uint_fast64_t done;
  atomic_bool stop; /* a seed has failed: the others need not go on */
  garam_status *status;
  garam_error *errors; /* (n_seeds) */
} experiment;

typedef struct one_seed {
  experiment *x;
  int k;
  uint64_t told;
} one_seed;

static void on_row(void *context, const loop_curve *curve) {
  one_seed *s = context;
  const experiment_setup *setup = s->x->setup;
  if (!setup->on_row) return;
  pthread_mutex_lock(&s->x->lock);
  setup->on_row(setup->context, s->k, curve);
  pthread_mutex_unlock(&s->x->lock);
}

static void on_steps(void *context, uint64_t steps) {
  one_seed *s = context;
  experiment *x = s->x;
  atomic_fetch_add(&x->done, steps - s->told);
  s->told = steps;
  if (!x->setup->on_steps || pthread_mutex_trylock(&x->lock) != 0) return;
  x->setup->on_steps(x->setup->context, atomic_load(&x->done));
  pthread_mutex_unlock(&x->lock);
}

static bool interrupted(void *context) {
  const one_seed *s = context;
  const experiment_setup *setup = s->x->setup;
  return atomic_load(&s->x->stop) || (setup->interrupted && setup->interrupted(setup->context));
}

static json_t *record_of_seed(const experiment *x, int k) {
  json_t *record = json_deep_copy(x->record);
  json_object_set_new(json_object_get(record, "training"), "run", json_integer(k));
  return record;
}

static void run_seed(void *context, size_t i) {
  experiment *x = context;
  const experiment_setup *s = x->setup;
  const experiment_config *c = s->config;
  const int k = (int)i;
  one_seed seed = {.x = x, .k = k};
  char name[32];
  name_of(name, k);
  garam_error *err = &x->errors[k];
  json_t *record = record_of_seed(x, k);
  if (!record) {
    x->status[k] = fail_memory(err, 1024);
    return;
  }
  const loop_setup setup = {.env = s->env,
                            .env_config = s->env_config,
                            .agent = s->agent,
                            .agent_config = s->agent_config,
                            .n = x->out->worlds,
                            .steps = (uint64_t)c->steps,
                            .eval_every = eval_every_of(s),
                            .eval_episodes = (size_t)c->eval_episodes,
                            .episodes = (size_t)c->episodes,
                            .seed = experiment_seed(s->seed, i, EXPERIMENT_TRAIN),
                            .select_seed = experiment_seed(s->seed, 0, EXPERIMENT_SELECT),
                            .judge_seed = experiment_seed(s->seed, i, EXPERIMENT_JUDGE),
                            .keep_best = c->keep == EXPERIMENT_KEEP_BEST,
                            .folder = s->folder,
                            .name = name,
                            .resume = s->resume,
                            .identity = record,
                            .record = record,
                            .on_row = on_row,
                            .on_steps = on_steps,
                            .interrupted = interrupted,
                            .context = &seed};
  x->status[k] = loop_run(&x->out->seeds[k], &setup, err);
  if (x->status[k] == GARAM_OK) on_steps(&seed, x->out->seeds[k].steps);
  else if (x->status[k] != GARAM_INTERRUPTED) {
    fail_within(err, x->status[k], "seed %d", k);
    atomic_store(&x->stop, true);
  }
  json_decref(record);
}

/* A failure says more than that the others were stopped for it. */
static garam_status first_error(const experiment *x, garam_error *err) {
  garam_status found = GARAM_OK;
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < x->out->n_seeds; k++) {
      if (x->status[k] == GARAM_OK || (pass == 0 && x->status[k] == GARAM_INTERRUPTED)) continue;
      if (err) *err = x->errors[k];
      return x->status[k];
    }
  return found;
}

static double mean_of(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum / (double)n;
}

static garam_status summarise(experiment *x, garam_error *err) {
  experiment_result *r = x->out;
  double speed = 0;
  r->best = 0;
  for (int k = 0; k < r->n_seeds; k++) {
    const loop_result *one = &r->seeds[k];
    const evaluation *last = one->last.n_episodes ? &one->last : &one->judged;
    r->returns[k] = mean_of(one->judged.score, one->judged.n_episodes);
    r->last_returns[k] = mean_of(last->score, last->n_episodes);
    const loop_row *kept = &one->curve.rows[one->kept];
    const loop_result *b = &r->seeds[r->best];
    if (kept->low > b->curve.rows[b->kept].low) r->best = k;
    speed += (double)one->steps / one->curve.rows[one->curve.n - 1].train_seconds;
  }
  const int threads = thread_count() < r->n_seeds ? thread_count() : r->n_seeds;
  r->steps_per_second = speed / r->n_seeds * threads;
  const size_t n = (size_t)r->n_seeds;
  const stats_scores scores = {r->returns, n, 1}, last = {r->last_returns, n, 1};
  TRY(stats_bootstrap(&r->iqm, STATS_IQM, scores, x->setup->seed, err));
  TRY(stats_bootstrap(&r->mean, STATS_MEAN, scores, x->setup->seed, err));
  return stats_bootstrap(&r->last_iqm, STATS_IQM, last, x->setup->seed, err);
}

/* The world once before the seeds, so that what is wrong with it is said once. */
static garam_status look_at_world(experiment *x, garam_error *err) {
  const experiment_setup *s = x->setup;
  env *e;
  TRY(env_new(&e, s->env, s->env_config, &(env_setup){.n = 1, .seed = s->seed}, err));
  garam_status status = agent_fits(s->agent, &e->shape, err);
  snprintf(x->out->team, sizeof x->out->team, "%s", evaluation_team(&e->shape));
  env_free(e);
  return status;
}

garam_status experiment_run(experiment_result *out, const experiment_setup *setup,
                            garam_error *err) {
  experiment x = {.setup = setup, .out = out};
  const size_t n = (size_t)setup->config->seeds;
  const int64_t began = clock_monotonic_ns();
  garam_status status;
  *out = (experiment_result){.n_seeds = setup->config->seeds};
  pthread_mutex_init(&x.lock, NULL);
  atomic_init(&x.done, 0);
  atomic_init(&x.stop, false);
  x.record = experiment_record(setup);
  x.status = mem_array(n, sizeof *x.status);
  x.errors = mem_array(n, sizeof *x.errors);
  out->seeds = mem_array(n, sizeof *out->seeds);
  out->returns = mem_array(n, sizeof *out->returns);
  out->last_returns = mem_array(n, sizeof *out->last_returns);
  if (!x.record || !x.status || !x.errors || !out->seeds || !out->returns || !out->last_returns)
    TRY_GOTO(done, fail_memory(err, n * sizeof *x.errors));
  TRY_GOTO(done, look_at_world(&x, err));
  out->worlds = worlds_of(setup);
  out->steps = ((uint64_t)setup->config->steps + out->worlds - 1) / out->worlds * out->worlds;
  thread_each(n, run_seed, &x);
  TRY_GOTO(done, first_error(&x, err));
  status = summarise(&x, err);
  out->seconds = (double)(clock_monotonic_ns() - began) * 1e-9;
done:
  pthread_mutex_destroy(&x.lock);
  json_decref(x.record);
  mem_free(x.status);
  mem_free(x.errors);
  if (status != GARAM_OK) experiment_result_deinit(out);
  return status;
}

void experiment_result_deinit(experiment_result *r) {
  for (int k = 0; r->seeds && k < r->n_seeds; k++) loop_result_deinit(&r->seeds[k]);
  mem_free(r->seeds);
  mem_free(r->returns);
  mem_free(r->last_returns);
  *r = (experiment_result){0};
}

/* ---- what came out -----------------------------------------------------------------------------
 */

static json_t *interval_json(const stats_interval *i) {
  return json_pack("[o, o]", json_number_or_null(i->low), json_number_or_null(i->high));
}

/* Interquartile mean over seeds at each evaluation, with its interval: what a learning curve is
 * drawn from. */
static json_t *curve_json(const experiment_result *r, uint64_t seed) {
  json_t *o = json_object(), *steps = json_array(), *iqm = json_array(), *low = json_array(),
         *high = json_array(), *seeds = json_array();
  const size_t n = (size_t)r->n_seeds;
  double *at = mem_array(n + 1, sizeof *at);
  const loop_curve *first = &r->seeds[0].curve;
  for (size_t i = 0; at && i < first->n; i++) {
    stats_interval score = {(double)NAN, (double)NAN, (double)NAN};
    for (size_t k = 0; k < n; k++) at[k] = r->seeds[k].curve.rows[i].mean;
    stats_bootstrap(&score, STATS_IQM, (stats_scores){at, n, 1}, seed, NULL);
    json_array_append_new(steps, json_integer((json_int_t)first->rows[i].steps));
    json_array_append_new(iqm, json_number_or_null(score.value));
    json_array_append_new(low, json_number_or_null(score.low));
    json_array_append_new(high, json_number_or_null(score.high));
  }
  for (size_t k = 0; k < n; k++) {
    json_t *means = json_array();
    const loop_curve *c = &r->seeds[k].curve;
    for (size_t i = 0; i < c->n; i++)
      json_array_append_new(means, json_number_or_null(c->rows[i].mean));
    json_array_append_new(seeds, means);
  }
  mem_free(at);
  json_object_set_new(o, "steps", steps);
  json_object_set_new(o, "iqm", iqm);
  json_object_set_new(o, "low", low);
  json_object_set_new(o, "high", high);
  json_object_set_new(o, "seeds", seeds);
  return o;
}

/* The last row's metrics of the best seed: losses, entropies, updates. */
static json_t *metrics_json(const loop_curve *c) {
  json_t *o = json_object();
  for (size_t i = 0; c->n && i < c->n_metrics; i++)
    json_object_set_new(o, c->metric_names[i], json_number_or_null(c->rows[c->n - 1].metric[i]));
  return o;
}

json_t *experiment_json(const experiment_result *r, const experiment_setup *setup) {
  json_t *o = json_object(), *record = experiment_record(setup), *last = json_object();
  const size_t n = (size_t)r->n_seeds;
  const loop_curve *best = &r->seeds[r->best].curve;
  const loop_row *kept = &best->rows[r->seeds[r->best].kept];
  json_object_set_new(o, "env", json_string(setup->env->name));
  json_object_set_new(o, "agent", json_string(setup->agent->name));
  json_object_set_new(o, "steps", json_integer((json_int_t)r->steps));
  json_object_set_new(o, "seeds", json_integer(r->n_seeds));
  json_object_set_new(o, "worlds", json_integer((json_int_t)r->worlds));
  json_object_set_new(o, "episodes", json_integer(setup->config->episodes));
  json_object_set_new(o, "team", json_string(r->team));
  json_object_set_new(o, "returns", json_array_f64(r->returns, n));
  json_object_set_new(o, "iqm", json_number_or_null(r->iqm.value));
  json_object_set_new(o, "ci_low", json_number_or_null(r->iqm.low));
  json_object_set_new(o, "ci_high", json_number_or_null(r->iqm.high));
  json_object_set_new(o, "mean", json_number_or_null(r->mean.value));
  json_object_set_new(o, "mean_interval", interval_json(&r->mean));
  json_object_set_new(last, "returns", json_array_f64(r->last_returns, n));
  json_object_set_new(last, "iqm", json_number_or_null(r->last_iqm.value));
  json_object_set_new(last, "ci_low", json_number_or_null(r->last_iqm.low));
  json_object_set_new(last, "ci_high", json_number_or_null(r->last_iqm.high));
  json_object_set_new(o, "last", last);
  json_object_set_new(o, "keep", json_string(keep_names[setup->config->keep]));
  json_object_set_new(o, "best",
                      json_pack("{s:i, s:I, s:o, s:o}", "seed", r->best, "steps",
                                (json_int_t)kept->steps, "mean", json_number_or_null(kept->mean),
                                "low", json_number_or_null(kept->low)));
  json_object_set_new(o, "curve", curve_json(r, setup->seed));
  json_object_set_new(o, "metrics", metrics_json(best));
  json_object_set_new(o, "record", record);
  json_object_set_new(o, "seconds", json_number_or_null(r->seconds));
  json_object_set_new(o, "steps_per_second", json_number_or_null(r->steps_per_second));
  return o;
}
