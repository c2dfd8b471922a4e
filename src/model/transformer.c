/* The trading transformer: features embedded to d_model, positions, dropout, blocks, pooling
 * over the window, and the head d_model, d_model/2, outputs. */
#include "model/model.h"

#include <stdio.h>

#define AT(field) OPT_AT(transformer_config, field)
const opt_row transformer_options[] = {
#include "model/transformer.def"
};
#undef AT
const size_t transformer_n_options = COUNT_OF(transformer_options);

static int64_t context(const void *config) {
  return ((const transformer_config *)config)->seq;
}

static garam_status check(const void *config, garam_error *err) {
  const transformer_config *c = config;
  if (c->d_model % c->heads != 0)
    return fail(err, GARAM_INVALID,
                "--heads %d does not divide --d-model %d; choose one that does, such as %d",
                c->heads, c->d_model,
                c->d_model % 4 == 0   ? 4
                : c->d_model % 2 == 0 ? 2
                                      : 1);
  return GARAM_OK;
}

static tensor *build(const void *config, tensor *x, tensor *begin, int64_t n_outputs) {
  const transformer_config *c = config;
  tensor *h = nn_linear(x, c->d_model, NN_INIT_KAIMING, "embed");
  h = op_dropout(nn_position_add(h, c->positions, "position"), c->dropout);
  const block_options block = {
      .attention = {.n_heads = c->heads,
                    .causal = c->causal,
                    .window = c->window,
                    .dropout = c->dropout},
      .d_ff = c->d_ff,
      .activation = c->activation,
      .norm = c->norm,
      .dropout = c->dropout,
  };
  for (int i = 0; i < c->layers; i++) {
    char name[NN_NAME_MAX];
    snprintf(name, sizeof name, "blocks.%d", i);
    h = nn_block_transformer(h, begin, &block, name);
  }
  if (c->norm == NN_NORM_PRE) h = nn_norm(h, "norm");
  return nn_head(nn_pool(h, begin, c->pooling), n_outputs, c->dropout, "head");
}

const model_ops model_transformer = {
    .name = "transformer", .context = context, .check = check, .build = build};
