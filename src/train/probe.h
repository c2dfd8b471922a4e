/* What another implementation needs to check ours: `garam bench parity --out FILE`. */
#ifndef TRAIN_PROBE_H
#define TRAIN_PROBE_H

#include "model/model.h"
#include "train/train.h"

enum { PROBE_STEPS = 10 };

typedef struct probe_config {
  transformer_config model; /* dropout is taken as 0 */
  int batch, n_features, n_classes;
  int64_t seed;
  train_config train; /* learning rate (constant), betas, epsilon, weight decay, clip, smoothing;
                         precision: auto is fp32 here */
} probe_config;

/* A transformer with weights by the seed, and a random batch whose windows have 0 to T-1 steps of
 * padding in front (row 0 has none). Writes a safetensors file with
 *   weight.NAME        each parameter, (in, out) for matrices
 *   x (B,T,F) F32, begin (B) I32, target (B) I32
 *   scores (B,K) F32, loss (1) F64
 *   grad.NAME          each parameter's gradient of the loss
 *   losses (10) F64    before each of ten AdamW steps on that batch
 *   after.NAME         each parameter after the ten steps
 * and metadata "probe": the options of the model and of AdamW, as JSON. */
garam_status probe_write(const probe_config *config, const char *path, garam_error *err);

#endif
