/* AdamW with clipping by the global norm: see optim.h. */
#include "base/mem.h"
#include "kernel/kernel.h"
#include "train/optim.h"

#include <math.h>
#include <string.h>

struct optim_adamw {
  train_config config;
  size_t block;
  kernel_range *decayed;
  size_t n_decayed;
  float *m, *v;
};

garam_status optim_adamw_new(optim_adamw **out, const graph *g, const train_config *config,
                             garam_error *err) {
  *out = NULL;
  size_t n = graph_param_count(g), block = graph_param_block(g);
  optim_adamw *o = mem_zalloc(sizeof *o);
  if (!o) return fail_memory(err, sizeof *o);
  o->config = *config;
  o->block = block;
  o->decayed = mem_array(n + 1, sizeof *o->decayed);
  o->m = mem_alloc_aligned(block * sizeof *o->m, 64);
  o->v = mem_alloc_aligned(block * sizeof *o->v, 64);
  if (!o->decayed || !o->m || !o->v) {
    optim_adamw_free(o);
    return fail_memory(err, 2 * block * sizeof *o->m);
  }
  memset(o->m, 0, block * sizeof *o->m);
  memset(o->v, 0, block * sizeof *o->v);
  for (size_t i = 0; i < n; i++) {
    const param_info *info = graph_param_info(g, i);
    if (info->flags & PARAM_DECAY)
      o->decayed[o->n_decayed++] = (kernel_range){info->offset, info->offset + info->count};
  }
  *out = o;
  return GARAM_OK;
}

size_t optim_adamw_bytes(size_t block, const train_config *config) {
  (void)config;
  return 2 * block * sizeof(float);
}

void optim_adamw_free(optim_adamw *o) {
  if (!o) return;
  mem_free(o->decayed);
  mem_free_aligned(o->m);
  mem_free_aligned(o->v);
  mem_free(o);
}

float *optim_adamw_m(optim_adamw *o) {
  return o->m;
}

float *optim_adamw_v(optim_adamw *o) {
  return o->v;
}

double optim_adamw_step(optim_adamw *o, float *params, const float *grads, double learning_rate,
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
  k->adamw(params, o->m, o->v, grads, o->block, &settings);
  return norm;
}
