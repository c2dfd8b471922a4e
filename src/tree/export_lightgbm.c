/* LightGBM's text model, version v4: the fields that its loader asks for, and those for its SHAP
 * values and importances. */
#include "tree/export.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/number_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

double export_leaf(const trees *t, size_t tree, size_t leaf, size_t j, double scale) {
  size_t k = t->output[tree] < 0 ? j : (size_t)t->output[tree];
  double v = t->value[leaf * t->width + j];
  bool first = true;
  for (size_t i = 0; i < tree && first; i++) first = t->output[i] >= 0 && (size_t)t->output[i] != k;
  return scale * (first ? t->base[k] + v : v);
}

garam_status export_check(const trees_export *e, const char *format, garam_error *err) {
  const trees *t = e->view.trees;
  for (size_t k = 0; k < t->n_outputs; k++) {
    bool found = false;
    for (size_t i = 0; i < t->n_trees && !found; i++)
      found = t->output[i] < 0 || (size_t)t->output[i] == k;
    if (!found) return fail(err, GARAM_UNSUPPORTED, "%s: output %zu has no tree", format, k);
  }
  return GARAM_OK;
}

/* One line "key=a b c" of a tree; the i-th word is printed by `word`. */
typedef struct writer {
  io_writer *out;
  const trees *t;
  size_t tree, begin, n, first; /* splits from begin, leaves from first */
  size_t column;                /* of vector leaves */
  double scale;
  size_t n_cats;
} writer;

static garam_status put_f64(io_writer *out, double v, const char *lead, garam_error *err) {
  char text[NUMBER_TEXT_MAX];
  number_print_short(text, v);
  return io_printf(out, err, "%s%s", lead, text);
}

typedef double (*word_fn)(const writer *w, size_t i);

static double word_feature(const writer *w, size_t i) {
  return w->t->feature[w->begin + i];
}
static double word_gain(const writer *w, size_t i) {
  return (double)w->t->gain[w->begin + i];
}
static double word_threshold(const writer *w, size_t i) {
  const trees *t = w->t;
  size_t s = w->begin + i, before = 0;
  if (t->set[s] < 0) {
    double v = (double)t->threshold[s];
    return v == INFINITY ? 1e300 : v == -INFINITY ? -1e300 : v;
  }
  for (size_t j = w->begin; j < s; j++) before += t->set[j] >= 0;
  return (double)before;
}
static double word_decision(const writer *w, size_t i) {
  unsigned flags = w->t->flags[w->begin + i], missing = flags & TREES_MISSING_MASK;
  unsigned kind = missing == TREES_MISSING_ZERO ? 1 : missing == TREES_MISSING_NAN ? 2 : 0;
  return kind << 2 | (flags & TREES_DEFAULT_LEFT ? 2u : 0u) | (flags & TREES_CATEGORICAL ? 1u : 0u);
}
static double word_left(const writer *w, size_t i) {
  return w->t->left[w->begin + i];
}
static double word_right(const writer *w, size_t i) {
  return w->t->right[w->begin + i];
}
static double word_count(const writer *w, size_t i) {
  return round(w->t->cover[w->begin + i]);
}
static double word_zero(const writer *w, size_t i) {
  (void)w, (void)i;
  return 0;
}
static double word_cover(const writer *w, size_t i) {
  return w->t->cover[w->begin + i];
}
static double word_value(const writer *w, size_t i) {
  return export_leaf(w->t, w->tree, w->first + i, w->column, w->scale);
}
static double word_leaf_count(const writer *w, size_t i) {
  return round(w->t->leaf_cover[w->first + i]);
}
static double word_leaf_cover(const writer *w, size_t i) {
  return w->t->leaf_cover[w->first + i];
}

static garam_status put_line(const writer *w, const char *key, word_fn word, size_t n,
                             garam_error *err) {
  TRY(io_printf(w->out, err, "%s=", key));
  for (size_t i = 0; i < n; i++) TRY(put_f64(w->out, word(w, i), i ? " " : "", err));
  return io_printf(w->out, err, "\n");
}

static garam_status put_categories(const writer *w, garam_error *err) {
  const trees *t = w->t;
  size_t end = 0;
  TRY(io_printf(w->out, err, "cat_boundaries=0"));
  for (size_t s = w->begin; s < w->begin + w->n; s++)
    if (t->set[s] >= 0) {
      end += t->set_begin[t->set[s] + 1] - t->set_begin[t->set[s]];
      TRY(io_printf(w->out, err, " %zu", end));
    }
  TRY(io_printf(w->out, err, "\ncat_threshold="));
  const char *lead = "";
  for (size_t s = w->begin; s < w->begin + w->n; s++)
    for (uint32_t i = t->set[s] < 0 ? 0 : t->set_begin[t->set[s]];
         t->set[s] >= 0 && i < t->set_begin[t->set[s] + 1]; i++) {
      TRY(io_printf(w->out, err, "%s%u", lead, t->set_word[i]));
      lead = " ";
    }
  return io_printf(w->out, err, "\n");
}

static garam_status put_linear(const writer *w, garam_error *err) {
  const trees *t = w->t;
  TRY(io_printf(w->out, err, "leaf_const="));
  for (size_t i = 0; i <= w->n; i++) {
    size_t leaf = w->first + i;
    bool plain = t->linear_begin[leaf] == t->linear_begin[leaf + 1];
    double base = word_value(w, i) - w->scale * t->value[leaf];
    double v = plain ? word_value(w, i) : w->scale * t->linear_constant[leaf] + base;
    TRY(put_f64(w->out, v, i ? " " : "", err));
  }
  TRY(io_printf(w->out, err, "\nnum_features="));
  for (size_t leaf = w->first; leaf <= w->first + w->n; leaf++)
    TRY(io_printf(w->out, err, "%s%u", leaf > w->first ? " " : "",
                  t->linear_begin[leaf + 1] - t->linear_begin[leaf]));
  uint32_t from = t->linear_begin[w->first], to = t->linear_begin[w->first + w->n + 1];
  TRY(io_printf(w->out, err, "\nleaf_features="));
  for (uint32_t i = from; i < to; i++)
    TRY(io_printf(w->out, err, "%s%u", i > from ? " " : "", t->linear_feature[i]));
  TRY(io_printf(w->out, err, "\nleaf_coeff="));
  for (uint32_t i = from; i < to; i++)
    TRY(put_f64(w->out, w->scale * t->linear_coefficient[i], i > from ? " " : "", err));
  return io_printf(w->out, err, "\n");
}

static garam_status put_tree(writer *w, size_t number, garam_error *err) {
  const trees *t = w->t;
  w->begin = t->split_begin[w->tree];
  w->n = t->split_begin[w->tree + 1] - w->begin;
  w->first = t->leaf_begin[w->tree];
  w->n_cats = 0;
  for (size_t s = w->begin; s < w->begin + w->n; s++) {
    w->n_cats += t->set[s] >= 0;
    if (t->set[s] >= 0 && t->flags[s] & TREES_DEFAULT_LEFT)
      return fail(err, GARAM_UNSUPPORTED,
                  "lightgbm: tree %zu: a split by category that sends missing values left",
                  w->tree);
  }
  TRY(io_printf(w->out, err, "Tree=%zu\nnum_leaves=%zu\nnum_cat=%zu\n", number, w->n + 1,
                w->n_cats));
  const struct {
    const char *key;
    word_fn word;
    size_t n;
  } lines[] = {
      {"split_feature", word_feature, w->n},     {"split_gain", word_gain, w->n},
      {"threshold", word_threshold, w->n},       {"decision_type", word_decision, w->n},
      {"left_child", word_left, w->n},           {"right_child", word_right, w->n},
      {"leaf_value", word_value, w->n + 1},      {"leaf_weight", word_leaf_cover, w->n + 1},
      {"leaf_count", word_leaf_count, w->n + 1}, {"internal_value", word_zero, w->n},
      {"internal_weight", word_cover, w->n},     {"internal_count", word_count, w->n},
  };
  for (size_t i = 0; i < COUNT_OF(lines); i++)
    if (w->n > 0 || lines[i].word == word_value)
      TRY(put_line(w, lines[i].key, lines[i].word, lines[i].n, err));
  if (w->n_cats > 0) TRY(put_categories(w, err));
  TRY(io_printf(w->out, err, "is_linear=%d\n", t->n_linear > 0));
  if (t->n_linear > 0) TRY(put_linear(w, err));
  return io_printf(w->out, err, "shrinkage=1\n\n\n");
}

/* A name as one word. */
static garam_status put_name(io_writer *out, const char *name, const char *lead, garam_error *err) {
  TRY(io_printf(out, err, "%s", lead));
  for (; *name; name++) {
    bool plain = isgraph((unsigned char)*name) && !strchr("\",:[]{}", *name);
    TRY(io_printf(out, err, "%c", plain || (unsigned char)*name >= 128 ? *name : '_'));
  }
  return GARAM_OK;
}

static garam_status put_head(io_writer *out, const trees_export *e, bool averaged,
                             garam_error *err) {
  const trees *t = e->view.trees;
  char scale[NUMBER_TEXT_MAX];
  TRY(io_printf(out, err,
                "tree\nversion=v4\nnum_class=%zu\nnum_tree_per_iteration=%zu\nlabel_index=0\n"
                "max_feature_idx=%zu\n",
                t->n_outputs, t->n_outputs, t->n_features - 1));
  number_print_short(scale, e->view.link_scale);
  switch (e->view.link) {
  case LINK_IDENTITY: TRY(io_printf(out, err, "objective=regression\n")); break;
  case LINK_EXP: TRY(io_printf(out, err, "objective=poisson\n")); break;
  case LINK_SQUARE: TRY(io_printf(out, err, "objective=regression sqrt\n")); break;
  case LINK_SIGMOID: TRY(io_printf(out, err, "objective=cross_entropy\n")); break;
  case LINK_SOFTPLUS: TRY(io_printf(out, err, "objective=cross_entropy_lambda\n")); break;
  case LINK_LOGISTIC: TRY(io_printf(out, err, "objective=binary sigmoid:%s\n", scale)); break;
  case LINK_SOFTMAX:
    TRY(io_printf(out, err, "objective=multiclass num_class:%zu\n", t->n_outputs));
    break;
  case LINK_ONE_VS_ALL:
    TRY(io_printf(out, err, "objective=multiclassova num_class:%zu sigmoid:%s\n", t->n_outputs,
                  scale));
    break;
  case LINK_PROBABILITY: break; /* raw scores are the shares */
  }
  if (averaged) TRY(io_printf(out, err, "average_output\n"));
  TRY(io_printf(out, err, "feature_names="));
  for (size_t j = 0; j < t->n_features; j++)
    TRY(put_name(out, e->feature_names[j], j ? " " : "", err));
  TRY(io_printf(out, err, "\nfeature_infos="));
  for (size_t j = 0; j < t->n_features; j++)
    TRY(io_printf(out, err, "%s[-1e+300:1e+300]", j ? " " : ""));
  return io_printf(out, err, "\n\n");
}

/* The next tree of output k, from tree from[k] on; n_trees when there is none. */
static size_t next_tree(const trees *t, size_t *from, size_t k) {
  size_t i = from[k];
  while (i < t->n_trees && t->output[i] >= 0 && (size_t)t->output[i] != k) i++;
  from[k] = i < t->n_trees ? i + 1 : i;
  return i;
}

/* LightGBM takes trees in turns: output 0, 1, ..., 0, 1, ... An output that has no more of them
 * gets trees of one leaf that add nothing. */
static garam_status put_trees(io_writer *out, const trees_export *e, bool averaged,
                              garam_error *err) {
  const trees *t = e->view.trees;
  writer w = {.out = out, .t = t, .scale = averaged ? 1 : 1 / t->divisor};
  if (e->view.link == LINK_SOFTMAX) w.scale *= e->view.link_scale;
  size_t number = 0, *from = mem_array(t->n_outputs, sizeof *from);
  if (!from) return fail_memory(err, t->n_outputs * sizeof *from);
  garam_status status = GARAM_OK;
  for (bool more = true; more && status == GARAM_OK;) {
    more = false;
    for (size_t k = 0; k < t->n_outputs && !more; k++) {
      size_t before = from[k];
      more = next_tree(t, from, k) < t->n_trees;
      from[k] = before;
    }
    for (size_t k = 0; k < t->n_outputs && more && status == GARAM_OK; k++) {
      w.tree = next_tree(t, from, k);
      w.column = t->width > 1 ? k : 0;
      if (w.tree < t->n_trees) status = put_tree(&w, number++, err);
      else
        status = io_printf(out, err,
                           "Tree=%zu\nnum_leaves=1\nnum_cat=0\nleaf_value=0\nis_linear=0\n"
                           "shrinkage=1\n\n\n",
                           number++);
    }
  }
  mem_free(from);
  if (status != GARAM_OK) return status;
  return io_printf(out, err,
                   "end of trees\n\nfeature_importances:\n\nparameters:\nend of parameters\n\n"
                   "pandas_categorical:null\n");
}

garam_status trees_export_lightgbm(const trees_export *e, const char *path, garam_error *err) {
  const trees *t = e->view.trees;
  io_writer *out;
  TRY(export_check(e, "lightgbm", err));
  size_t rounds = t->n_trees * t->width / t->n_outputs;
  bool averaged = t->divisor == (double)rounds && rounds > 1;
  for (size_t k = 0; k < t->n_outputs; k++) averaged = averaged && t->base[k] == 0;
  averaged = averaged && (t->width > 1 || t->n_outputs == 1);
  TRY(io_writer_open(&out, path, err));
  garam_status status = put_head(out, e, averaged, err);
  if (status == GARAM_OK) status = put_trees(out, e, averaged, err);
  if (status == GARAM_OK) return io_writer_commit(out, err);
  io_writer_abort(out);
  return status;
}
