/* What is done with a tree once it is grown: routed through, and handed to a builder. */
#include "tree/grow.h"

#include "base/mem.h"

#include <string.h>

size_t grown_leaf_of(const grown *t, const bins *b, size_t row) {
  if (t->n_splits == 0) return 0;
  int32_t at = 0;
  while (at >= 0) {
    const grown_split *s = &t->splits[at];
    uint8_t code = b->columns[s->feature * b->stride + row];
    at = s->left_codes[code >> 5] >> (code & 31) & 1 ? s->left : s->right;
  }
  return (size_t)~at;
}

/* Bit by category of what goes left. */
static garam_status category_bits(uint32_t **out, size_t *n_words, const grown_split *s,
                                  const bin_feature *f, garam_error *err) {
  int32_t most = 0;
  for (int k = 0; k < f->n_bins; k++)
    if (s->left_codes[k >> 5] >> (k & 31) & 1 && f->category[k] > most) most = f->category[k];
  *n_words = (size_t)most / 32 + 1;
  *out = mem_array(*n_words, sizeof **out);
  if (!*out) return fail_memory(err, *n_words * sizeof **out);
  for (int k = 0; k < f->n_bins; k++)
    if (s->left_codes[k >> 5] >> (k & 31) & 1)
      (*out)[f->category[k] / 32] |= 1u << (f->category[k] % 32);
  return GARAM_OK;
}

garam_status grown_begin(const grown *t, const bins *b, trees_builder *to, size_t output,
                         double shrinkage, garam_error *err) {
  TRY(trees_begin(to, output, t->n_splits, err));
  for (size_t i = 0; i < t->n_splits; i++) {
    const grown_split *s = &t->splits[i];
    const bin_feature *f = &b->features[s->feature];
    uint32_t *words = NULL;
    trees_split one = {.feature = s->feature,
                       .left = s->left,
                       .right = s->right,
                       .missing = TREES_MISSING_NAN,
                       .default_left = s->missing_left,
                       .gain = (float)s->gain,
                       .cover = s->n_rows};
    if (s->categorical) TRY(category_bits(&words, &one.n_words, s, f, err));
    else one.threshold = bins_threshold(f, s->code);
    one.categories = words;
    garam_status status = trees_set_split(to, i, &one, err);
    mem_free(words);
    TRY(status);
  }
  for (size_t i = 0; i <= t->n_splits; i++) {
    double value = t->leaves[i].value * shrinkage;
    TRY(trees_set_leaf(to, i, &value, (double)t->leaves[i].in.n, err));
  }
  return GARAM_OK;
}

garam_status grown_build(const grown *t, const bins *b, trees_builder *to, size_t output,
                         double shrinkage, garam_error *err) {
  TRY(grown_begin(t, b, to, output, shrinkage, err));
  return trees_end(to, err);
}
