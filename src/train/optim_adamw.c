/* AdamW with clipping by the global norm: see optim.h. */
#include "base/mem.h"
#include "base/thread.h"
#include "kernel/kernel.h"
#include "train/optim.h"

#include <math.h>
#include <string.h>

struct optim_adamw {
  train_config config;
  size_t block;
  kernel_range *decayed;
  size_t n_decayed;
  float *m, *v;           /* of STATE_FP32 */
  kernel_numbers8 m8, v8; /* of STATE_8BIT */
  void *memory;           /* of all of them */
};

/* Codes first, then scales, each from a multiple of 64 bytes. */
static size_t aligned(size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

size_t optim_adamw_bytes(size_t block, const train_config *config) {
  if (config->optimizer_state == STATE_FP32) return 2 * aligned(block * sizeof(float));
  return 2 * (aligned(block) + aligned(kernel_scales8(block) * sizeof(float)));
}

static void lay_out(optim_adamw *o) {
  char *at = o->memory;
  const size_t codes = aligned(o->block),
               scales = aligned(kernel_scales8(o->block) * sizeof(float));
  if (o->config.optimizer_state == STATE_FP32) {
    o->m = o->memory;
    o->v = (float *)(void *)(at + aligned(o->block * sizeof(float)));
    return;
  }
  o->m8 = (kernel_numbers8){(uint8_t *)at, (float *)(void *)(at + 2 * codes)};
  o->v8 = (kernel_numbers8){(uint8_t *)at + codes, (float *)(void *)(at + 2 * codes + scales)};
}

garam_status optim_adamw_new(optim_adamw **out, const graph *g, const train_config *config,
                             garam_error *err) {
  *out = NULL;
  size_t n = graph_param_count(g), block = graph_param_block(g);
  size_t bytes = optim_adamw_bytes(block, config);
  optim_adamw *o = mem_zalloc(sizeof *o);
  if (!o) return fail_memory(err, sizeof *o);
  o->config = *config;
  o->block = block;
  o->decayed = mem_array(n + 1, sizeof *o->decayed);
  o->memory = mem_alloc_aligned(bytes, 64);
  if (!o->decayed || !o->memory) {
    optim_adamw_free(o);
    return fail_memory(err, bytes);
  }
  memset(o->memory, 0, bytes);
  lay_out(o);
  for (size_t i = 0; i < n; i++) {
    const param_info *info = graph_param_info(g, i);
    if (info->flags & PARAM_DECAY)
      o->decayed[o->n_decayed++] = (kernel_range){info->offset, info->offset + info->count};
  }
  *out = o;
  return GARAM_OK;
}

void optim_adamw_free(optim_adamw *o) {
  if (!o) return;
  mem_free(o->decayed);
  mem_free_aligned(o->memory);
  mem_free(o);
}

static optim_array floats(const char *name, float *data, size_t count) {
  return (optim_array){name, PACKAGE_F32, count, count * sizeof *data, data};
}

static optim_array bytes(const char *name, uint8_t *data, size_t count) {
  return (optim_array){name, PACKAGE_U8, count, count, data};
}

size_t optim_adamw_state(optim_array out[OPTIM_ARRAYS], const optim_adamw *o) {
  if (o->config.optimizer_state == STATE_FP32) {
    out[0] = floats("m", o->m, o->block);
    out[1] = floats("v", o->v, o->block);
    return 2;
  }
  out[0] = bytes("m.codes", o->m8.codes, o->block);
  out[1] = floats("m.scales", o->m8.scales, kernel_scales8(o->block));
  out[2] = bytes("v.codes", o->v8.codes, o->block);
  out[3] = floats("v.scales", o->v8.scales, kernel_scales8(o->block));
  return 4;
}

static double step_all(optim_adamw *o, float *params, const float *grads, double learning_rate,
                       uint64_t step) {
  const kernel_table *k = kernel_table_f32();
  const train_config *c = &o->config;
  double norm = sqrt(k->sum_squares(grads, o->block));
  if (!isfinite(norm)) return norm;
  const kernel_adamw settings = {
      .lr = learning_rate,
      .beta1 = c->beta1,
      .beta2 = c->beta2,
      .epsilon = c->epsilon,
      .decay = c->weight_decay,
      .clip = c->clip > 0 && norm > c->clip ? c->clip / norm : 1,
      .t = step + 1,
      .decayed = o->decayed,
      .n_decayed = o->n_decayed,
  };
  if (o->m) k->adamw(params, o->m, o->v, grads, o->block, &settings);
  else k->adamw8(params, &o->m8, &o->v8, grads, o->block, &settings);
  return norm;
}

double optim_adamw_step(optim_adamw *o, float *params, const float *grads, double learning_rate,
                        uint64_t step) {
  enum { WORTH_ITEMS = 1 << 18 }; /* below, a second thread takes longer to wake than to help */
  if (o->block >= WORTH_ITEMS) return step_all(o, params, grads, learning_rate, step);
  const int before = thread_narrow(1);
  double norm = step_all(o, params, grads, learning_rate, step);
  thread_set_count(before);
  return norm;
}
