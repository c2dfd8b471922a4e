/* A batch in micro-batches: see update.h. */
#include "train/update.h"

#include "base/mem.h"
#include "kernel/gemm.h"

#include <stdio.h>
#include <string.h>

enum {
  MAX_STEPS = 4096, /* of windows in a micro-batch that nobody asked to be larger: products are at
                       their full speed there, and what is between them stays near */
  FEW_STEPS = 1024, /* below this, making values again costs less than smaller products */
  MARGIN = 1 << 20, /* bytes of stacks and code that a run touches first */
  WASTE = 20, /* one in so many windows may be padding, to make the last part like the others */
};

/* Half precision where this processor computes products in it faster than in full, and only there:
 * asking for it elsewhere is full precision, and is recorded as that. */
static int precision_of(const update_config *c) {
  if (c->program.real == DTYPE_F64 || c->train->precision == PRECISION_FP32) return PRECISION_FP32;
  return gemm_backend_at(0, GEMM_HALF) ? PRECISION_BF16 : PRECISION_FP32;
}

/* ---- planning ---- */

static plan_config plan_config_of(const update *u) {
  return (plan_config){
      .precision = u->precision == PRECISION_BF16 ? PLAN_BF16 : PLAN_FULL,
      .accumulate = u->n_parts > 1,
      .recompute = u->recompute,
      .params_version = u->version,
  };
}

static void use_micro(update *u, int64_t micro, bool recompute) {
  u->micro = micro;
  u->n_parts = (uint64_t)((u->batch + micro - 1) / micro);
  u->recompute = recompute;
}

/* The graph for u->micro windows, and what its plan would take. */
static garam_status measure(update *u, garam_error *err) {
  program_config config = u->config.program;
  config.batch = u->micro;
  program_deinit(&u->program);
  TRY(program_build(&u->program, &config, err));
  plan_config dry = plan_config_of(u);
  dry.dry = true;
  plan *p;
  TRY(graph_compile(&p, u->program.graph, &dry, err));
  update_memory *m = &u->memory;
  u->block = graph_param_block(u->program.graph);
  m->grads = u->block * u->program.item;
  m->params = u->config.params ? 0 : m->grads;
  m->moments = optim_adamw_bytes(u->block, u->config.train);
  m->packed = plan_packed_bytes(p);
  m->activations = plan_bytes(p) - m->packed;
  plan_free(p);
  size_t resident =
      mem_resident(); /* now with the code of the products, which a dry plan prepared */
  if (resident > m->base) m->base = resident;
  m->total = m->base + m->params + m->grads + m->moments + m->packed + m->activations + m->other;
  return GARAM_OK;
}

static bool fits(const update *u) {
  const int64_t limit = u->config.train->memory;
  return limit == 0 || u->memory.total + MARGIN <= (size_t)limit;
}

/* From large to small, first without making values again, down to a size where that is cheaper. */
static garam_status choose(update *u, garam_error *err) {
  const int64_t steps = u->config.program.context;
  int64_t most = MAX_STEPS / steps > 1 ? MAX_STEPS / steps : 1;
  for (int recompute = 0; recompute < 2; recompute++) {
    int64_t parts = (u->batch + most - 1) / most, before = 0;
    for (; parts <= u->batch; parts += parts / 8 + 1) {
      int64_t micro = (u->batch + parts - 1) / parts;
      if (!recompute && before && micro * steps < FEW_STEPS) break;
      if (micro == before || (micro > 1 && (micro * parts - u->batch) * WASTE > u->batch)) continue;
      before = micro;
      use_micro(u, micro, recompute);
      TRY(measure(u, err));
      if (fits(u)) return GARAM_OK;
    }
  }
  use_micro(u, 1, true);
  return measure(u, err);
}

static garam_status fail_limit(const update *u, garam_error *err) {
  char text[UPDATE_TEXT_MAX];
  return fail(err, GARAM_LIMIT,
              "--memory %.0fM is not enough for training: %lld rows at a time would take %s; allow "
              "more, take a smaller --micro-batch or a smaller model",
              (double)u->config.train->memory / (1024 * 1024), (long long)u->micro,
              update_memory_text(text, u));
}

garam_status update_plan(update *u, const update_config *config, garam_error *err) {
  *u = (update){.config = *config, .batch = config->program.batch};
  u->precision = precision_of(config);
  u->memory.base = mem_resident();
  u->memory.other = config->other_bytes;
  garam_status status;
  if (config->train->micro_batch > 0) {
    int64_t asked = config->train->micro_batch;
    use_micro(u, asked < u->batch ? asked : u->batch, config->train->memory > 0);
    status = measure(u, err);
  } else {
    status = choose(u, err);
  }
  if (status == GARAM_OK && !fits(u)) status = fail_limit(u, err);
  if (status != GARAM_OK) update_deinit(u);
  return status;
}

garam_status update_prepare(update *u, garam_error *err) {
  void *grads, *params = u->config.params;
  u->version = u->config.version ? u->config.version : &u->own_version;
  if (!params) TRY(program_block(&params, &u->program, err));
  u->params = params;
  TRY(program_block(&grads, &u->program, err));
  u->grads = grads;
  TRY(optim_adamw_new(&u->optim, u->program.graph, u->config.train, err));
  plan_config config = plan_config_of(u);
  config.params = params;
  config.grads = grads;
  return program_compile(&u->program, &config, err);
}

void update_deinit(update *u) {
  program_deinit(&u->program);
  if (u->params != u->config.params) mem_free_aligned(u->params);
  mem_free_aligned(u->grads);
  optim_adamw_free(u->optim);
  *u = (update){0};
}

/* ---- running ---- */

garam_status update_part(update *u, uint64_t step, uint64_t part, double share, garam_error *err) {
  if (part == 0) u->loss = 0;
  if (u->n_parts > 1) {
    if (part == 0) memset(u->grads, 0, u->block * sizeof *u->grads);
    plan_loss_scale(u->program.plan, share);
  } else {
    share = 1;
  }
  TRY(plan_run_part(u->program.plan, step, part, err));
  u->loss += share * (double)*(const float *)u->program.loss;
  return GARAM_OK;
}

double update_finish(update *u, uint64_t step, double learning_rate) {
  double norm = optim_adamw_step(u->optim, u->params, u->grads, learning_rate, step);
  ++*u->version;
  return norm;
}

char *update_memory_text(char out[UPDATE_TEXT_MAX], const update *u) {
  const update_memory *m = &u->memory;
  const double mib = 1024 * 1024;
  snprintf(out, UPDATE_TEXT_MAX,
           "%.0f MiB: process %.0f, parameters %.0f, gradients %.0f, moments %.0f, packed weights "
           "%.0f, activations %.0f, the rest %.0f",
           (double)m->total / mib, (double)m->base / mib, (double)m->params / mib,
           (double)m->grads / mib, (double)m->moments / mib, (double)m->packed / mib,
           (double)m->activations / mib, (double)m->other / mib);
  return out;
}
