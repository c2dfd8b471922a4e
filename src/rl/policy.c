/* Policies that act: see policy.h. What is stored of them is in policy_io.c. */
#include "rl/policy_inner.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- the shape, copied ------------------------------------------------------------------------
 */

static garam_status copy_text(const char **out, arena *a, const char *text, garam_error *err) {
  *out = arena_strdup(a, text ? text : "");
  return *out ? GARAM_OK : fail_memory(err, 64);
}

static garam_status copy_space(env_space *out, arena *a, const env_space *space, garam_error *err) {
  *out = *space;
  const float **const ends[2] = {&out->low, &out->high};
  for (int k = 0; k < 2; k++) {
    const float *from = *ends[k];
    if (!from) continue;
    float *to = arena_array(a, (size_t)space->n, sizeof *to);
    if (!to) return fail_memory(err, (size_t)space->n * sizeof *to);
    memcpy(to, from, (size_t)space->n * sizeof *to);
    *ends[k] = to;
  }
  return GARAM_OK;
}

static garam_status copy_shape(policy *p, const env_shape *shape, garam_error *err) {
  p->shape = (env_shape){.n_agents = shape->n_agents,
                         .observation_width = shape->observation_width,
                         .action_width = shape->action_width,
                         .state_width = shape->state_width,
                         .max_steps = shape->max_steps};
  env_agent *agents = arena_array(&p->arena, (size_t)shape->n_agents, sizeof *agents);
  if (!agents) return fail_memory(err, (size_t)shape->n_agents * sizeof *agents);
  p->shape.agents = agents;
  for (int a = 0; a < shape->n_agents; a++) {
    const env_agent *from = &shape->agents[a];
    TRY(copy_text(&agents[a].name, &p->arena, from->name, err));
    TRY(copy_text(&agents[a].team, &p->arena, from->team, err));
    TRY(copy_space(&agents[a].observation, &p->arena, &from->observation, err));
    TRY(copy_space(&agents[a].action, &p->arena, &from->action, err));
  }
  return GARAM_OK;
}

/* ---- programs ---------------------------------------------------------------------------------
 */

static void name_of(char out[24], const char *what, int a) {
  snprintf(out, 24, "%s.%d", what, a);
}

static void build(graph *g, const actor_spec *spec, size_t n) {
  const env_shape *s = spec->shape;
  tensor *heads[ENV_MAX_AGENTS], *boxes[ENV_MAX_AGENTS];
  tensor *x = graph_input(g, "observation", DTYPE_REAL, 3,
                          (const int64_t[]){(int64_t)n, s->n_agents, s->observation_width});
  char name[24];
  actor_build(heads, spec, x, &(net_scope){.name = ""});
  const bool mixes = spec->config.communication == ACTOR_COMMUNICATION_MATRIX;
  for (int a = 0; a < s->n_agents; a++) {
    name_of(name, "head", a);
    graph_output(g, name, heads[a]);
    if (s->agents[a].action.kind != ENV_BOX) continue;
    boxes[a] = actor_box_action(spec, heads[a], a);
    name_of(name, "action", a);
    if (!mixes) graph_output(g, name, boxes[a]);
  }
  if (!mixes) return; /* below, all are boxes of one width: actor_check */
  const int64_t rows[3] = {(int64_t)n, 1, s->agents[0].action.n}, flat[2] = {rows[0], rows[2]};
  for (int a = 0; a < s->n_agents; a++) boxes[a] = op_reshape(boxes[a], 3, rows);
  tensor *mixed = actor_mix(spec, op_concat(boxes, s->n_agents, 1), "");
  for (int a = 0; a < s->n_agents; a++) {
    name_of(name, "action", a);
    graph_output(g, name, op_reshape(op_slice(mixed, 1, a, a + 1), 2, flat));
  }
}

garam_status policy_graph(graph **out, const policy *p, size_t n, garam_error *err) {
  TRY(graph_new(out, &(graph_config){.real = DTYPE_F32}, err));
  build(*out, &p->spec, n);
  const garam_status status = graph_check(*out, err);
  if (status == GARAM_OK) return GARAM_OK;
  graph_free(*out);
  *out = NULL;
  return status;
}

static garam_status program_new(policy_program *out, policy *p, size_t n, garam_error *err) {
  const env_shape *s = &p->shape;
  graph *g;
  *out = (policy_program){.n = n};
  TRY(policy_graph(&g, p, n, err));
  const garam_status status = graph_compile(
      &out->plan, g, &(plan_config){.params = p->params, .params_version = p->version}, err);
  graph_free(g);
  TRY(status);
  out->observation = plan_input(out->plan, "observation", NULL);
  for (int a = 0; a < s->n_agents; a++) {
    char name[24];
    name_of(name, "head", a);
    out->head[a] = plan_output(out->plan, name, NULL);
    name_of(name, "action", a);
    if (s->agents[a].action.kind == ENV_BOX) out->box[a] = plan_output(out->plan, name, NULL);
  }
  return GARAM_OK;
}

static garam_status program_for(policy_program **out, policy *p, size_t n, garam_error *err) {
  for (size_t i = 0; i < p->n_programs; i++)
    if (p->programs[i]->n == n) {
      *out = p->programs[i];
      return GARAM_OK;
    }
  TRY(mem_grow(&p->programs, &p->cap_programs, p->n_programs + 1, sizeof *p->programs, err));
  policy_program *made = mem_alloc(sizeof *made);
  if (!made) return fail_memory(err, sizeof *made);
  const garam_status status = program_new(made, p, n, err);
  if (status != GARAM_OK) {
    mem_free(made);
    return status;
  }
  p->programs[p->n_programs++] = *out = made;
  return GARAM_OK;
}

/* ---- making -----------------------------------------------------------------------------------
 */

garam_status policy_new(policy **out, const actor_spec *spec, float *params,
                        const uint64_t *version, const normalizer *z, garam_error *err) {
  *out = NULL;
  garam_status status = GARAM_OK;
  policy *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  arena_init(&p->arena, 0);
  p->spec = *spec;
  p->spec.shape = &p->shape;
  p->normalizer = z;
  TRY_GOTO(done, copy_shape(p, spec->shape, err));
  TRY_GOTO(done, actor_check(&p->spec, err));
  TRY_GOTO(done, policy_graph(&p->graph, p, 1, err));
  p->params = params;
  p->version = version;
  if (!params) {
    const size_t bytes = graph_param_block(p->graph) * sizeof *params;
    p->owned = p->params = mem_alloc_aligned(bytes + 64, 64);
    if (!p->params) {
      status = fail_memory(err, bytes);
      goto done;
    }
    memset(p->params, 0, bytes);
    p->version = &p->own_version;
  }
  *out = p;
  return GARAM_OK;
done:
  policy_free(p);
  return status;
}

void policy_free(policy *p) {
  if (!p) return;
  for (size_t i = 0; i < p->n_programs; i++) {
    plan_free(p->programs[i]->plan);
    mem_free(p->programs[i]);
  }
  mem_free(p->programs);
  graph_free(p->graph);
  mem_free_aligned(p->owned);
  normalizer_deinit(&p->own_normalizer);
  json_decref(p->record);
  arena_deinit(&p->arena);
  mem_free(p);
}

const actor_spec *policy_spec(const policy *p) {
  return &p->spec;
}

size_t policy_parameters(const policy *p) {
  return graph_param_scalars(p->graph);
}

const float *policy_params(const policy *p) {
  return p->params;
}

size_t policy_place(const policy *p, const char *name) {
  for (size_t i = 0; i < graph_param_count(p->graph); i++)
    if (strcmp(graph_param_info(p->graph, i)->name, name) == 0)
      return graph_param_info(p->graph, i)->offset;
  REQUIRE(false, "policy_place: no parameter \"%s\"", name);
  return 0;
}

const normalizer *policy_normalizer(const policy *p) {
  return p->normalizer;
}

const json_t *policy_record(const policy *p) {
  return p->record;
}

/* ---- acting -----------------------------------------------------------------------------------
 */

static float best_choice(const float *value, int n) {
  int best = 0;
  for (int i = 1; i < n; i++)
    if (value[i] > value[best]) best = i;
  return (float)best;
}

garam_status policy_act(policy *p, const float *observation, const uint8_t *alive, size_t n,
                        float *action, garam_error *err) {
  const env_shape *s = &p->shape;
  const size_t agents = (size_t)s->n_agents, u = (size_t)s->action_width;
  const size_t numbers = n * agents * (size_t)s->observation_width;
  policy_program *program = NULL;
  if (n == 0) return GARAM_OK;
  TRY(program_for(&program, p, n, err));
  if (p->normalizer)
    normalizer_apply(p->normalizer, program->observation, observation,
                     numbers / p->normalizer->width);
  else memcpy(program->observation, observation, numbers * sizeof *observation);
  TRY(plan_run(program->plan, 0, err));
  p->last = program;
  memset(action, 0, n * agents * u * sizeof *action);
  for (size_t a = 0; a < agents; a++) {
    const int width = s->agents[a].action.n, head = actor_head_width(&p->spec, (int)a);
    for (size_t i = 0; i < n; i++) {
      float *to = action + (i * agents + a) * u;
      if (alive && !alive[i * agents + a]) continue;
      if (program->box[a])
        memcpy(to, program->box[a] + i * (size_t)width, (size_t)width * sizeof *to);
      else *to = best_choice(program->head[a] + i * (size_t)head, width);
    }
  }
  return GARAM_OK;
}

const float *policy_heads(const policy *p, int a) {
  REQUIRE(p->last, "policy_heads: nothing was acted yet");
  return p->last->head[a];
}
