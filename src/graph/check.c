/* Gradient checks (central differences; Gill, Murray, Wright 1981, ch. 8.6). */
#include "graph/check.h"
#include "graph/node.h"

#include <math.h>
#include <string.h>

garam_status check_model_init(check_model *m, const check_case *c, dtype real,
                              const plan_config *config, garam_error *err) {
  *m = (check_model){0};
  garam_status status = GARAM_OK;
  plan_config made = config ? *config : (plan_config){0};
  TRY_GOTO(done,
           graph_new(&m->graph,
                     &(graph_config){.real = real, .training = c->training, .seed = c->seed}, err));
  tensor *loss = c->build(m->graph, c->context);
  graph_grad(m->graph, loss);
  graph_output(m->graph, "loss", loss);
  TRY_GOTO(done, graph_check(m->graph, err));
  m->bytes = graph_param_block(m->graph) * dtype_size(real);
  m->params = mem_alloc_aligned(m->bytes + 64, 64);
  m->grads = mem_alloc_aligned(m->bytes + 64, 64);
  if (!m->params || !m->grads) TRY_GOTO(done, fail_memory(err, m->bytes));
  graph_param_init(m->graph, m->params, c->seed);
  made.params = m->params;
  made.grads = m->grads;
  TRY_GOTO(done, graph_compile(&m->plan, m->graph, &made, err));
  if (c->fill) c->fill(m->plan, real == DTYPE_F64, c->context);
done:
  if (status != GARAM_OK) check_model_deinit(m);
  return status;
}

void check_model_deinit(check_model *m) {
  plan_free(m->plan);
  graph_free(m->graph);
  mem_free_aligned(m->params);
  mem_free_aligned(m->grads);
  *m = (check_model){0};
}

double check_model_loss(check_model *m, uint64_t step) {
  plan_run(m->plan, step, NULL);
  const void *loss = plan_output(m->plan, "loss", NULL);
  return graph_real(m->graph) == DTYPE_F64 ? *(const double *)loss : (double)*(const float *)loss;
}

static double loss_moved(check_model *m, const double *at, const double *direction, double step,
                         size_t n) {
  double *p = m->params;
  for (size_t i = 0; i < n; i++) p[i] = at[i] + step * direction[i];
  return check_model_loss(m, 0);
}

/* Only real parameters move: padding stays zero. */
static void direction_draw(double *direction, const graph *g, size_t which, bool single,
                           uint64_t seed) {
  memset(direction, 0, g->block * sizeof *direction);
  rng r;
  rng_init(&r, seed, RNG_TEST, which);
  size_t seen = 0;
  for (size_t i = 0; i < g->n_params; i++) {
    const param_info *p = &g->params[i];
    for (size_t k = 0; k < p->count; k++, seen++)
      direction[p->offset + k] = single ? (double)(seen == which) : rng_normal(&r);
  }
}

static void compare_steps(check_result *out, const check_case *c, check_model *wide,
                          const double *at, const double *gradient, double *direction) {
  const graph *g = wide->graph;
  bool single = c->directions == 0;
  size_t n = single ? g->scalars : (size_t)c->directions;
  double step = c->step > 0 ? c->step : 1e-5, squares = 0;
  for (size_t i = 0; i < g->block; i++) squares += gradient[i] * gradient[i];
  double rms = g->scalars ? sqrt(squares / (double)g->scalars) : 0;
  double floor = (single ? 1e-3 * rms : 1e-2 * sqrt(squares)) + 1e-8;
  for (size_t which = 0; which < n; which++) {
    direction_draw(direction, g, which, single, c->seed);
    double up = loss_moved(wide, at, direction, step, g->block);
    double down = loss_moved(wide, at, direction, -step, g->block);
    double numeric = (up - down) / (2 * step), analytic = 0;
    for (size_t i = 0; i < g->block; i++) analytic += gradient[i] * direction[i];
    double error = fabs(analytic - numeric) / (fabs(analytic) + fabs(numeric) + floor);
    if (!(error <= out->gradient_error)) out->gradient_error = error; /* NaN too */
  }
}

static void compare_float(check_result *out, const check_model *narrow, double loss,
                          const double *gradient) {
  const float *g32 = narrow->grads;
  double difference = 0, squares = 0;
  for (size_t i = 0; i < graph_param_block(narrow->graph); i++) {
    double d = (double)g32[i] - gradient[i];
    difference += d * d;
    squares += gradient[i] * gradient[i];
  }
  out->float_error = sqrt(difference) / (sqrt(squares) + 1e-12);
  double of_loss = fabs(loss - out->loss) / (fabs(out->loss) + 1);
  if (!(of_loss <= out->float_error)) out->float_error = of_loss;
}

garam_status check_gradient(check_result *out, const check_case *c, garam_error *err) {
  check_model wide = {0}, narrow = {0};
  double *work = NULL;
  garam_status status = GARAM_OK;
  *out = (check_result){0};
  TRY_GOTO(done, check_model_init(&wide, c, DTYPE_F64, NULL, err));
  TRY_GOTO(done, check_model_init(&narrow, c, DTYPE_F32, NULL, err));
  size_t n = graph_param_block(wide.graph);
  work = mem_array(3 * n + 1, sizeof *work);
  if (!work) TRY_GOTO(done, fail_memory(err, n * sizeof *work));
  double *at = work, *gradient = work + n, *direction = work + 2 * n;
  out->n_parameters = graph_param_scalars(wide.graph);
  out->loss = check_model_loss(&wide, 0);
  memcpy(at, wide.params, n * sizeof *at);
  memcpy(gradient, wide.grads, n * sizeof *gradient);
  compare_steps(out, c, &wide, at, gradient, direction);
  double loss = check_model_loss(&narrow, 0);
  compare_float(out, &narrow, loss, gradient);
done:
  mem_free(work);
  check_model_deinit(&wide);
  check_model_deinit(&narrow);
  return status;
}
