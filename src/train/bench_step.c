/* The measured training step: see bench_step.h. */
#include "train/bench_step.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/optim.h"
#include "train/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static garam_status median(double *out, const double *values, int n, garam_error *err) {
  double *sorted = mem_array((size_t)n, sizeof *sorted);
  if (!sorted) return fail_memory(err, (size_t)n * sizeof *sorted);
  memcpy(sorted, values, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, by_size);
  *out = n % 2 ? sorted[n / 2] : 0.5 * (sorted[n / 2 - 1] + sorted[n / 2]);
  mem_free(sorted);
  return GARAM_OK;
}

static void draw_batch(program *p, const bench_step_config *c) {
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  float *x = p->x, *weight = p->weight;
  size_t n = (size_t)c->batch * (size_t)c->model.seq * (size_t)c->n_features;
  for (size_t i = 0; i < n; i++) x[i] = (float)rng_normal(&r);
  for (int i = 0; i < c->batch; i++) {
    p->begin[i] = 0;
    p->target[i] = (int32_t)rng_below(&r, (uint64_t)c->n_classes);
    weight[i] = 1;
  }
}

garam_status bench_step(bench_step_result *out, const bench_step_config *c, garam_error *err) {
  *out = (bench_step_result){0};
  if (c->batch < 1 || c->n_features < 1 || c->n_classes < 2 || c->steps < 1 || c->warmup < 0)
    return fail(err, GARAM_INVALID,
                "a step needs a batch, features, two classes, and a repetition");
  TRY(model_transformer.check(&c->model, err));
  const program_config config = {
      .model = &model_transformer,
      .model_config = &c->model,
      .batch = c->batch,
      .context = c->model.seq,
      .n_features = c->n_features,
      .n_outputs = c->n_classes,
      .task = TASK_CLASSIFICATION,
      .training = true,
      .seed = 1,
  };
  train_config train;
  opt_defaults(train_options, train_n_options, &train);
  const size_t resident = mem_peak_resident();
  program p = {0};
  optim_adamw *optim = NULL;
  void *params = NULL, *grads = NULL;
  garam_status status = GARAM_OK;
  out->step_seconds_all = mem_array((size_t)c->steps, sizeof(double));
  if (!out->step_seconds_all) TRY_GOTO(done, fail_memory(err, (size_t)c->steps * sizeof(double)));
  TRY_GOTO(done, program_build(&p, &config, err));
  TRY_GOTO(done, program_block(&params, &p, err));
  TRY_GOTO(done, program_block(&grads, &p, err));
  graph_param_init(p.graph, params, 1);
  TRY_GOTO(done, program_compile(&p, params, grads, err));
  TRY_GOTO(done, optim_adamw_new(&optim, p.graph, &train, err));
  for (int i = 0; i < c->warmup + c->steps; i++) {
    if (i == c->warmup && c->profile) plan_profile(p.plan, true);
    draw_batch(&p, c); /* inputs are the caller's to write before each run */
    int64_t then = clock_monotonic_ns();
    TRY_GOTO(done, plan_run(p.plan, (uint64_t)i, err));
    optim_adamw_step(optim, params, grads, train.learning_rate, (uint64_t)i);
    if (i >= c->warmup)
      out->step_seconds_all[out->n_steps++] = (double)(clock_monotonic_ns() - then) * 1e-9;
  }
  if (c->profile && c->line) plan_profile_report(p.plan, c->line, c->context);
  out->loss = *(const float *)p.loss;
  if (!isfinite(out->loss)) TRY_GOTO(done, fail(err, GARAM_NUMERIC, "the loss is %g", out->loss));
  TRY_GOTO(done, median(&out->step_seconds, out->step_seconds_all, out->n_steps, err));
  out->parameters = graph_param_scalars(p.graph);
  out->planned_bytes = 4 * graph_param_block(p.graph) * sizeof(float) + plan_arena_bytes(p.plan);
  size_t peak = mem_peak_resident();
  out->resident_bytes = peak > resident ? peak - resident : 0;
  out->flops = plan_flops(p.plan);
  out->flops_per_second = out->flops / out->step_seconds;
done:
  program_deinit(&p);
  optim_adamw_free(optim);
  mem_free_aligned(params);
  mem_free_aligned(grads);
  if (status != GARAM_OK) bench_step_deinit(out);
  return status;
}

void bench_step_deinit(bench_step_result *r) {
  mem_free(r->step_seconds_all);
  *r = (bench_step_result){0};
}
