/* Policies as ONNX: see export_onnx.h. */
#include "rl/export_onnx.h"

#include "base/mem.h"
#include "graph/onnx.h"

#include <math.h>
#include <stdio.h>

enum { OPSET = 17 };

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void put_op(onnx_buffer *whole, const char *op, const char *const *inputs,
                   const char *output) {
  onnx_buffer made = onnx_node(whole, op, inputs, output);
  onnx_put_message(whole, ONNX_NODE, &made);
}

/* As normalizer_apply; in float where that is in double. */
static garam_status put_normalizer(onnx_buffer *whole, const policy *p, garam_error *err) {
  const env_shape *s = policy_spec(p)->shape;
  const normalizer *z = policy_normalizer(p);
  const int64_t dims[2] = {s->n_agents, s->observation_width};
  const size_t n = (size_t)(dims[0] * dims[1]);
  float *values = mem_array(2 * n, sizeof *values);
  if (!values) return fail_memory(err, 2 * n * sizeof *values);
  for (size_t i = 0; i < n; i++) {
    values[i] = (float)z->mean[i % z->width];
    values[n + i] = (float)normalizer_deviation(z, i % z->width);
  }
  const float most = z->clip > 0 ? (float)z->clip : INFINITY, least = -most;
  onnx_put_weights(whole, "normalizer.mean", 2, dims, values);
  onnx_put_weights(whole, "normalizer.deviation", 2, dims, values + n);
  onnx_put_weights(whole, "normalizer.least", 0, NULL, &least);
  onnx_put_weights(whole, "normalizer.most", 0, NULL, &most);
  put_op(whole, "Sub", INPUTS("observation", "normalizer.mean"), "centred");
  put_op(whole, "Div", INPUTS("centred", "normalizer.deviation"), "scaled");
  put_op(whole, "Clip", INPUTS("scaled", "normalizer.least", "normalizer.most"), "normalized");
  mem_free(values);
  return GARAM_OK;
}

/* What all agents do, side by side; of choices the first of the largest, as policy_act has it. */
static void put_actions(onnx_buffer *whole, const policy *p) {
  const env_shape *s = policy_spec(p)->shape;
  char names[ENV_MAX_AGENTS][32];
  const char *parts[ENV_MAX_AGENTS + 1] = {0};
  int64_t width = 0;
  for (int a = 0; a < s->n_agents; a++) {
    const env_space *space = &s->agents[a].action;
    width += space->kind == ENV_BOX ? space->n : 1;
    if (space->kind == ENV_BOX) {
      snprintf(names[a], sizeof *names, "action.%d", a);
    } else {
      char head[32], best[32];
      snprintf(head, sizeof head, "head.%d", a);
      snprintf(best, sizeof best, "best.%d", a);
      snprintf(names[a], sizeof *names, "choice.%d", a);
      onnx_buffer most = onnx_node(whole, "ArgMax", INPUTS(head), best);
      onnx_put_int_attribute(&most, "axis", 1);
      onnx_put_int_attribute(&most, "keepdims", 1);
      onnx_put_message(whole, ONNX_NODE, &most);
      onnx_buffer cast = onnx_node(whole, "Cast", INPUTS(best), names[a]);
      onnx_put_int_attribute(&cast, "to", ONNX_FLOAT);
      onnx_put_message(whole, ONNX_NODE, &cast);
    }
    parts[a] = names[a];
  }
  onnx_buffer joined = onnx_node(whole, "Concat", parts, "action");
  onnx_put_int_attribute(&joined, "axis", 1);
  onnx_put_message(whole, ONNX_NODE, &joined);
  onnx_put_value(whole, ONNX_OUTPUT, "action", ONNX_FLOAT, 2, (const int64_t[]){-1, width});
}

garam_status policy_export_onnx(const policy *p, const char *path, garam_error *err) {
  const env_shape *s = policy_spec(p)->shape;
  const normalizer *z = policy_normalizer(p);
  const bool scales = z && z->count >= 2;
  onnx_buffer whole = {.err = err};
  graph *few = NULL, *more = NULL;
  garam_status status;
  TRY_GOTO(done, policy_graph(&few, p, 3, err));
  TRY_GOTO(done, policy_graph(&more, p, 5, err));
  onnx_put_value(&whole, ONNX_INPUT, "observation", ONNX_FLOAT, 3,
                 (const int64_t[]){-1, s->n_agents, s->observation_width});
  if (scales) TRY_GOTO(done, put_normalizer(&whole, p, err));
  TRY_GOTO(done, onnx_put_graph(&whole, few, more, scales ? "normalized" : "observation",
                                policy_params(p), err));
  put_actions(&whole, p);
  status = onnx_write(&whole, OPSET, 0, path, err);
done:
  mem_free(whole.data);
  graph_free(few);
  graph_free(more);
  return status;
}
