/* The measured training step: see bench_step.h. */
#include "train/bench_step.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
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

typedef struct bench {
  const bench_step_config *config;
  const train_config *train;
  int64_t context, rows;
  update update;
  float *x; /* one random batch; of tokens NULL */
  int32_t *tokens, *target;
} bench;

/* gpt: what comes next; bert: a seventh of the tokens is hidden (0) and asked for. */
static void draw_tokens(bench *b, rng *r) {
  const bench_step_config *c = b->config;
  const bool next = c->model.model == &model_gpt;
  const int64_t n = b->rows * b->context;
  for (int64_t i = 0; i < n; i++) b->tokens[i] = (int32_t)rng_below(r, (uint64_t)c->n_outputs);
  for (int64_t i = 0; i < n; i++) {
    if (next) {
      b->target[i] = (i + 1) % b->context ? b->tokens[i + 1] : -1;
      continue;
    }
    bool asked = rng_below(r, 7) == 0;
    b->target[i] = asked ? b->tokens[i] : -1;
    if (asked) b->tokens[i] = 0;
  }
}

static garam_status draw(bench *b, garam_error *err) {
  const bench_step_config *c = b->config;
  const bool tokens = c->model.model->build_tokens;
  const size_t rows = (size_t)b->rows, steps = rows * (size_t)b->context;
  const size_t n = steps * (tokens ? 1 : (size_t)c->n_features);
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  b->target = mem_array(tokens ? steps : rows, sizeof *b->target);
  if (tokens) b->tokens = mem_array(n, sizeof *b->tokens);
  else b->x = mem_array(n, sizeof *b->x);
  if (!b->target || !(b->x || b->tokens)) return fail_memory(err, n * sizeof *b->x);
  if (tokens) return draw_tokens(b, &r), GARAM_OK;
  for (size_t i = 0; i < n; i++) b->x[i] = (float)rng_normal(&r);
  for (size_t i = 0; i < rows; i++) b->target[i] = (int32_t)rng_below(&r, (uint64_t)c->n_outputs);
  return GARAM_OK;
}

/* The rows of a part, and what share of the batch they weigh. */
static double load(bench *b, uint64_t part) {
  program *p = &b->update.program;
  const bool tokens = b->tokens;
  const int64_t micro = b->update.micro, from = (int64_t)part * micro;
  const int64_t some = b->rows - from < micro ? b->rows - from : micro;
  const int64_t window = b->context * (tokens ? 1 : b->config->n_features);
  const int64_t per_row = tokens ? b->context : 1;
  float *weight = p->weight;
  double asked = 0, all = 0;
  if (tokens) memcpy(p->tokens, b->tokens + from * window, (size_t)(some * window) * 4);
  else memcpy(p->x, b->x + from * window, (size_t)(some * window) * 4);
  for (int64_t i = 0; i < micro * per_row; i++) {
    p->target[i] = i < some * per_row ? b->target[from * per_row + i] : -1;
    weight[i] = p->target[i] >= 0;
    asked += (double)weight[i];
  }
  for (int64_t i = 0; i < micro; i++) p->begin[i] = 0;
  for (int64_t i = 0; i < b->rows * per_row; i++) all += b->target[i] >= 0;
  return all > 0 ? asked / all : 0;
}

static garam_status step(bench *b, uint64_t number, garam_error *err) {
  for (uint64_t part = 0; part < b->update.n_parts; part++) {
    double share = load(b, part);
    TRY(update_part(&b->update, number, part, share, err));
  }
  double norm = update_finish(&b->update, number, b->train->learning_rate);
  return isfinite(norm) ? GARAM_OK : fail(err, GARAM_NUMERIC, "the norm is %g", norm);
}

static garam_status prepare(bench *b, garam_error *err) {
  const bench_step_config *c = b->config;
  const model_ops *model = c->model.model;
  const void *model_config = (const char *)c->config + c->model.model_offset;
  b->train = (const train_config *)((const char *)c->config + c->model.train_offset);
  if (c->n_features < 1 || c->n_outputs < 2 || c->steps < 1 || c->warmup < 0)
    return fail(err, GARAM_INVALID, "a step needs features, two outputs, and a repetition");
  if (model->check) TRY(model->check(model_config, err));
  b->context = model->context(model_config);
  b->rows = b->train->batch;
  TRY(draw(b, err));
  const update_config config = {
      .program = {.model = model,
                  .model_config = model_config,
                  .batch = b->rows,
                  .context = b->context,
                  .n_features = c->n_features,
                  .n_outputs = c->n_outputs,
                  .task = TASK_CLASSIFICATION,
                  .training = true,
                  .label_smoothing = b->train->label_smoothing,
                  .seed = 1},
      .train = b->train,
  };
  TRY(update_plan(&b->update, &config, err));
  if (c->line) {
    char text[UPDATE_TEXT_MAX];
    c->line(c->context, update_memory_text(text, &b->update));
  }
  TRY(update_prepare(&b->update, err));
  graph_param_init(b->update.program.graph, b->update.params, 1);
  b->update.own_version++;
  return GARAM_OK;
}

static garam_status run(bench_step_result *out, bench *b, garam_error *err) {
  const bench_step_config *c = b->config;
  for (int i = 0; i < c->warmup + c->steps; i++) {
    if (i == c->warmup && c->profile) plan_profile(b->update.program.plan, true);
    int64_t then = clock_monotonic_ns();
    TRY(step(b, (uint64_t)i, err));
    if (i >= c->warmup)
      out->step_seconds_all[out->n_steps++] = (double)(clock_monotonic_ns() - then) * 1e-9;
  }
  if (c->profile && c->line) plan_profile_report(b->update.program.plan, c->line, c->context);
  return GARAM_OK;
}

garam_status bench_step(bench_step_result *out, const bench_step_config *c, garam_error *err) {
  *out = (bench_step_result){0};
  bench b = {.config = c};
  garam_status status = GARAM_OK;
  const size_t resident = mem_peak_resident();
  out->step_seconds_all = mem_array((size_t)(c->steps > 0 ? c->steps : 1), sizeof(double));
  if (!out->step_seconds_all) TRY_GOTO(done, fail_memory(err, (size_t)c->steps * sizeof(double)));
  TRY_GOTO(done, prepare(&b, err));
  TRY_GOTO(done, run(out, &b, err));
  out->loss = b.update.loss;
  if (!isfinite(out->loss)) TRY_GOTO(done, fail(err, GARAM_NUMERIC, "the loss is %g", out->loss));
  TRY_GOTO(done, median(&out->step_seconds, out->step_seconds_all, out->n_steps, err));
  out->parameters = graph_param_scalars(b.update.program.graph);
  out->planned = b.update.memory;
  out->precision = b.update.precision;
  out->micro = (int)b.update.micro;
  size_t peak = mem_peak_resident();
  out->resident_bytes = peak > resident ? peak - resident : 0;
  /* A part that is padded to the size of the others works for nothing: only rows count. */
  out->flops = plan_flops(b.update.program.plan) * (double)b.rows / (double)b.update.micro;
  out->flops_per_second = out->flops / out->step_seconds;
done:
  update_deinit(&b.update);
  mem_free(b.x);
  mem_free(b.tokens);
  mem_free(b.target);
  if (status != GARAM_OK) bench_step_deinit(out);
  return status;
}

void bench_step_deinit(bench_step_result *r) {
  mem_free(r->step_seconds_all);
  *r = (bench_step_result){0};
}
