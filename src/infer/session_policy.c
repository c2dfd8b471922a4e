/* The session of a policy: observations of all bodies side by side in, what each of them does out:
 * a box's numbers, or the number of a choice. Everybody is taken to be alive. */
#include "infer/session.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rl/policy.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct worker {
  policy *policy;
  float *observation, *action; /* (SESSION_CHUNK, A, O), (SESSION_CHUNK, A, U) */
} worker;

/* Names for session_info. */
typedef struct shared {
  char **features, **outputs;
  size_t n_features, n_outputs;
  char learner[64], sha256[IO_SHA256_TEXT];
} shared;

static size_t width_of(const env_space *s) {
  return s->kind == ENV_BOX ? (size_t)s->n : 1;
}

static garam_status worker_run(void *self, const float *x, size_t n, float *out, garam_error *err) {
  worker *w = self;
  const env_shape *s = policy_spec(w->policy)->shape;
  const size_t agents = (size_t)s->n_agents, wide = (size_t)s->observation_width;
  float *to = w->observation;
  memset(to, 0, n * agents * wide * sizeof *to);
  for (size_t i = 0; i < n; i++)
    for (size_t a = 0; a < agents; a++, to += wide) {
      const size_t width = width_of(&s->agents[a].observation);
      memcpy(to, x, width * sizeof *to);
      x += width;
    }
  TRY(policy_act(w->policy, w->observation, NULL, n, w->action, err));
  const float *from = w->action;
  for (size_t i = 0; i < n; i++)
    for (size_t a = 0; a < agents; a++, from += s->action_width) {
      const size_t width = width_of(&s->agents[a].action);
      memcpy(out, from, width * sizeof *out);
      out += width;
    }
  return GARAM_OK;
}

static void worker_close(void *self) {
  worker *w = self;
  if (!w) return;
  policy_free(w->policy);
  mem_free(w->observation);
  mem_free(w);
}

static garam_status worker_open(void **out, const char *path, garam_error *err) {
  worker *w = mem_zalloc(sizeof *w);
  *out = w;
  if (!w) return fail_memory(err, sizeof *w);
  TRY(policy_load(&w->policy, path, err));
  const env_shape *s = policy_spec(w->policy)->shape;
  const size_t rows = (size_t)SESSION_CHUNK * (size_t)s->n_agents;
  const size_t observed = rows * (size_t)s->observation_width;
  w->observation = mem_array(observed + rows * (size_t)s->action_width, sizeof *w->observation);
  if (!w->observation) return fail_memory(err, observed * sizeof *w->observation);
  w->action = w->observation + observed;
  return GARAM_OK;
}

static void shared_close(void *self) {
  shared *x = self;
  if (!x) return;
  for (size_t i = 0; x->features && i < x->n_features; i++) mem_free(x->features[i]);
  for (size_t i = 0; x->outputs && i < x->n_outputs; i++) mem_free(x->outputs[i]);
  mem_free(x->features);
  mem_free(x->outputs);
  mem_free(x);
}

static const session_ops policy_session = {
    .run = worker_run, .close = worker_close, .close_shared = shared_close};

/* "cart.0" of what cart sees or does; "cart" alone where that is one choice. */
static char *name_of(const env_agent *agent, const env_space *space, size_t i) {
  return space->kind == ENV_BOX ? mem_format("%s.%zu", agent->name, i) : mem_strdup(agent->name);
}

static garam_status name_all(shared *x, const env_shape *s, garam_error *err) {
  for (int a = 0; a < s->n_agents; a++) {
    x->n_features += width_of(&s->agents[a].observation);
    x->n_outputs += width_of(&s->agents[a].action);
  }
  x->features = mem_array(x->n_features, sizeof *x->features);
  x->outputs = mem_array(x->n_outputs, sizeof *x->outputs);
  if (!x->features || !x->outputs) return fail_memory(err, x->n_features * sizeof *x->features);
  size_t f = 0, o = 0;
  for (int a = 0; a < s->n_agents; a++) {
    const env_agent *agent = &s->agents[a];
    for (size_t i = 0; i < width_of(&agent->observation); i++)
      if (!(x->features[f++] = name_of(agent, &agent->observation, i))) return fail_memory(err, 64);
    for (size_t i = 0; i < width_of(&agent->action); i++)
      if (!(x->outputs[o++] = name_of(agent, &agent->action, i))) return fail_memory(err, 64);
  }
  return GARAM_OK;
}

static garam_status info_of(session_info *info, shared *x, const worker *w, const char *path,
                            garam_error *err) {
  struct stat st;
  const json_t *agent = json_object_get(policy_record(w->policy), "agent");
  const char *name = json_string_value(json_object_get(agent, "name"));
  TRY(name_all(x, policy_spec(w->policy)->shape, err));
  TRY(io_sha256_file(x->sha256, path, err));
  snprintf(x->learner, sizeof x->learner, "%s", name ? name : "policy");
  *info = (session_info){.task = TASK_REGRESSION,
                         .acts = true,
                         .context = 1,
                         .n_features = x->n_features,
                         .n_outputs = (int)x->n_outputs,
                         .feature_names = (const char *const *)x->features,
                         .output_names = (const char *const *)x->outputs,
                         .learner = x->learner,
                         .sha256 = x->sha256,
                         .bytes = stat(path, &st) == 0 ? (size_t)st.st_size : 0};
  return GARAM_OK;
}

garam_status session_load_policy(session **out, const char *path, const session_config *config,
                                 garam_error *err) {
  garam_status status = GARAM_OK;
  size_t n = (size_t)(config->workers > 0 ? config->workers : thread_available()), loaded = 0;
  session_info info;
  *out = NULL;
  void **workers = mem_array(n, sizeof *workers);
  shared *names = mem_zalloc(sizeof *names);
  if (!workers || !names) TRY_GOTO(done, fail_memory(err, n * sizeof *workers));
  for (; loaded < n && status == GARAM_OK; loaded++)
    status = worker_open(&workers[loaded], path, err);
  if (status == GARAM_OK) status = info_of(&info, names, workers[0], path, err);
  if (status != GARAM_OK) goto done;
  status = session_new(out, &policy_session, &info, workers, n, names, config, err);
  names = NULL; /* taken, as the workers were */
  loaded = 0;
done:
  for (size_t i = 0; workers && i < loaded; i++) worker_close(workers[i]);
  shared_close(names);
  mem_free(workers);
  return status;
}
