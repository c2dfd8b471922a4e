/* One block of a transformer encoder. */
#include "nn/nn.h"

const char *const nn_norm_names[] = {"post", "pre", NULL};

tensor *nn_block_transformer(tensor *x, tensor *key_begin, const block_options *o,
                             const char *name) {
  char attention[NN_NAME_MAX], norm1[NN_NAME_MAX], feed_forward[NN_NAME_MAX], norm2[NN_NAME_MAX];
  nn_name(attention, name, "attention");
  nn_name(norm1, name, "norm1");
  nn_name(feed_forward, name, "feed_forward");
  nn_name(norm2, name, "norm2");
  bool pre = o->norm == NN_NORM_PRE;

  tensor *in = pre ? nn_norm(x, norm1) : x;
  tensor *mixed = nn_attention_multi_head(in, key_begin, &o->attention, attention);
  x = op_add(x, op_dropout(mixed, o->dropout));
  if (!pre) x = nn_norm(x, norm1);

  in = pre ? nn_norm(x, norm2) : x;
  tensor *fed = nn_feed_forward(in, o->d_ff, o->activation, o->dropout, feed_forward);
  x = op_add(x, op_dropout(fed, o->dropout));
  return pre ? x : nn_norm(x, norm2);
}
