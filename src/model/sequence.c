/* Models of tokens, such as binned returns, with a score for every token at every step.
 *
 * gpt (Radford et al. 2019): causal, pre-norm, GELU; step t scores what token t + 1 is.
 * bert (Devlin et al. 2019): a step sees all others, post-norm, GELU; masked tokens are scored
 * where they stand, through one more layer. Both have learned positions and score by the
 * transpose of the embedding (Press & Wolf 2017). */
#include "model/model.h"

#include <stdio.h>

static int64_t context(const void *config) {
  return ((const sequence_config *)config)->seq;
}

static garam_status check(const void *config, garam_error *err) {
  const sequence_config *c = config;
  if (c->d_model % c->heads != 0)
    return fail(err, GARAM_INVALID, "--heads %d does not divide --d-model %d", c->heads,
                c->d_model);
  return GARAM_OK;
}

static tensor *embedding_table(const sequence_config *c, graph *g, int64_t n_tokens) {
  return graph_param(g, "embed.weight", 2, (const int64_t[]){n_tokens, c->d_model},
                     (param_init){INIT_NORMAL, 0.02, 0, 0}, PARAM_DECAY);
}

static tensor *blocks(const sequence_config *c, tensor *h, tensor *begin, bool causal) {
  const block_options block = {
      .attention = {.n_heads = c->heads, .causal = causal, .dropout = c->dropout},
      .d_ff = c->d_ff,
      .activation = NN_GELU,
      .norm = causal ? NN_NORM_PRE : NN_NORM_POST,
      .dropout = c->dropout,
  };
  for (int i = 0; i < c->layers; i++) {
    char name[NN_NAME_MAX];
    snprintf(name, sizeof name, "blocks.%d", i);
    h = nn_block_transformer(h, begin, &block, name);
  }
  return h;
}

static tensor *build_gpt(const void *config, tensor *tokens, tensor *begin, int64_t n_tokens) {
  const sequence_config *c = config;
  tensor *table = embedding_table(c, tensor_graph(tokens), n_tokens);
  tensor *h = nn_position_learned(op_embedding(table, tokens), "position");
  h = blocks(c, op_dropout(h, c->dropout), begin, true);
  return op_matmul(nn_norm(h, "norm"), table, false, true);
}

static tensor *build_bert(const void *config, tensor *tokens, tensor *begin, int64_t n_tokens) {
  const sequence_config *c = config;
  graph *g = tensor_graph(tokens);
  tensor *table = embedding_table(c, g, n_tokens);
  tensor *h = nn_position_learned(op_embedding(table, tokens), "position");
  h = blocks(c, op_dropout(nn_norm(h, "norm"), c->dropout), begin, false);
  h = nn_norm(op_gelu(nn_linear(h, c->d_model, NN_INIT_XAVIER, "head")), "head.norm");
  tensor *bias = graph_param(g, "head.scores.bias", 1, &n_tokens, (param_init){INIT_ZERO, 0, 0, 0},
                             PARAM_PLAIN);
  return op_add(op_matmul(h, table, false, true), bias);
}

const model_ops model_gpt = {
    .name = "gpt", .context = context, .check = check, .build_tokens = build_gpt};
const model_ops model_bert = {
    .name = "bert", .context = context, .check = check, .build_tokens = build_bert};
