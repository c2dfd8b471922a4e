/* LightGBM's text model (src/io/gbdt_model_text.cpp, src/io/tree.cpp of its versions 2 to 4): a
 * head of "key=value" lines, a section of them for each tree, "end of trees". Sums are in float64,
 * in the order of the trees; a number goes left when it is <= the threshold. */
#include "tree/import.h"

#include "base/mem.h"
#include "base/number_text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_KEYS = 64 };

typedef struct span {
  const char *text;
  size_t n;
} span;

typedef struct section {
  struct {
    span key, value;
    size_t line;
  } entries[MOST_KEYS];
  size_t n;
  int64_t tree; /* -1: the head */
} section;

typedef struct source {
  const char *text;
  size_t size, at, line;
  const char *name;
  garam_error *err;
} source;

static bool span_is(span s, const char *text) {
  return s.n == strlen(text) && memcmp(s.text, text, s.n) == 0;
}

static bool next_line(span *out, source *s) {
  if (s->at >= s->size) return false;
  const char *begin = s->text + s->at, *end = memchr(begin, '\n', s->size - s->at);
  size_t n = end ? (size_t)(end - begin) : s->size - s->at;
  s->at += n + 1;
  s->line++;
  if (n > 0 && begin[n - 1] == '\r') n--;
  *out = (span){begin, n};
  return true;
}

/* Lines up to the next "Tree=" or "end of trees", which stays unread. */
static garam_status read_section(section *out, source *s) {
  span line;
  for (;;) {
    source before = *s;
    if (!next_line(&line, s))
      return fail(s->err, GARAM_CORRUPT, "%s:%zu: the file ends before \"end of trees\"", s->name,
                  s->line);
    if (span_is(line, "end of trees") || (line.n >= 5 && memcmp(line.text, "Tree=", 5) == 0)) {
      *s = before;
      return GARAM_OK;
    }
    if (line.n == 0) continue;
    const char *equals = memchr(line.text, '=', line.n);
    size_t key = equals ? (size_t)(equals - line.text) : line.n;
    span name = {line.text, key}, value = {line.text + key, 0};
    if (equals) value = (span){equals + 1, line.n - key - 1};
    if (out->n == MOST_KEYS)
      return fail(s->err, GARAM_CORRUPT, "%s:%zu: more than %d fields in a section", s->name,
                  s->line, MOST_KEYS);
    for (size_t i = 0; i < out->n; i++)
      if (out->entries[i].key.n == name.n &&
          memcmp(out->entries[i].key.text, name.text, name.n) == 0)
        return fail(s->err, GARAM_CORRUPT, "%s:%zu: \"%.*s\" stands there twice", s->name, s->line,
                    (int)(name.n < 64 ? name.n : 64), name.text);
    out->entries[out->n].key = name;
    out->entries[out->n].value = value;
    out->entries[out->n++].line = s->line;
  }
}

static const span *find(const section *s, const char *key, size_t *line) {
  for (size_t i = 0; i < s->n; i++)
    if (span_is(s->entries[i].key, key)) {
      *line = s->entries[i].line;
      return &s->entries[i].value;
    }
  return NULL;
}

static bool has(const section *s, const char *key) {
  size_t line;
  return find(s, key, &line) != NULL;
}

/* The next word of a list; n 0 at the end. */
static span next_word(span *list) {
  while (list->n > 0 && (*list->text == ' ' || *list->text == '\t')) list->text++, list->n--;
  span word = {list->text, 0};
  while (word.n < list->n && word.text[word.n] != ' ' && word.text[word.n] != '\t') word.n++;
  list->text += word.n;
  list->n -= word.n;
  return word;
}

static size_t count_words(span list) {
  size_t n = 0;
  while (next_word(&list).n > 0) n++;
  return n;
}

/* A list of exactly n finite numbers (thresholds may be infinite); more than the file holds are
 * refused before memory is asked for. mem_free(*out). */
static garam_status get_list(double **out, const section *s, const char *key, size_t n,
                             const source *file) {
  size_t line;
  const span *value = find(s, key, &line);
  *out = NULL;
  if (!value)
    return fail(file->err, GARAM_CORRUPT, "%s: tree %lld: no \"%s\"", file->name,
                (long long)s->tree, key);
  size_t there = count_words(*value);
  if (there != n)
    return fail(file->err, GARAM_CORRUPT, "%s:%zu: \"%s\": %zu numbers, expected %zu", file->name,
                line, key, there, n);
  double *list = mem_array(n + 1, sizeof *list);
  if (!list) return fail_memory(file->err, n * sizeof *list);
  span rest = *value;
  bool endless = strcmp(key, "threshold") == 0; /* of its last bin it writes inf */
  for (size_t i = 0; i < n; i++) {
    span word = next_word(&rest);
    int64_t whole;
    if (number_parse(&whole, &list[i], word.text, word.n, '.') == NUMBER_NONE || isnan(list[i]) ||
        (isinf(list[i]) && !endless)) {
      garam_status status =
          fail(file->err, GARAM_CORRUPT, "%s:%zu: \"%s\": \"%.*s\" is not a finite number",
               file->name, line, key, (int)(word.n < 40 ? word.n : 40), word.text);
      mem_free(list);
      return status;
    }
  }
  *out = list;
  return GARAM_OK;
}

/* A whole number in [low, high]. */
static garam_status get_int(int64_t *out, const section *s, const char *key, int64_t low,
                            int64_t high, const source *file) {
  size_t line = 0;
  double real;
  const span *value = find(s, key, &line);
  if (!value && s->tree < 0)
    return fail(file->err, GARAM_CORRUPT, "%s: no \"%s\" before the first tree", file->name, key);
  if (!value)
    return fail(file->err, GARAM_CORRUPT, "%s: tree %lld: no \"%s\"", file->name,
                (long long)s->tree, key);
  if (number_parse(out, &real, value->text, value->n, '.') != NUMBER_INTEGER || *out < low ||
      *out > high)
    return fail(file->err, GARAM_CORRUPT,
                "%s:%zu: \"%s\": \"%.*s\" is not a number from %lld to %lld", file->name, line, key,
                (int)(value->n < 40 ? value->n : 40), value->text, (long long)low, (long long)high);
  return GARAM_OK;
}

/* ---- a tree ------------------------------------------------------------------------------------
 */

typedef struct lists {
  double *feature, *gain, *threshold, *decision, *left, *right, *count;
  double *value, *leaf_count, *boundary, *word;
  double *constant, *n_terms, *term, *coefficient;
} lists;

static void lists_deinit(lists *l) {
  double **all = (double **)(void *)l;
  for (size_t i = 0; i < sizeof *l / sizeof *all; i++) mem_free(all[i]);
}

/* A list of whole numbers of [low, high]; what it holds is then safe to convert. */
static garam_status get_whole(double **out, const section *s, const char *key, size_t n, double low,
                              double high, const source *file) {
  TRY(get_list(out, s, key, n, file));
  for (size_t i = 0; i < n; i++)
    if ((*out)[i] != floor((*out)[i]) || (*out)[i] < low || (*out)[i] > high)
      return fail(file->err, GARAM_CORRUPT,
                  "%s: tree %lld: \"%s\": number %zu is %g, expected %g to %g", file->name,
                  (long long)s->tree, key, i, (*out)[i], low, high);
  return GARAM_OK;
}

static garam_status add_split(trees_builder *b, const lists *l, size_t i, size_t n_cat,
                              uint32_t *words, const section *s, const source *file) {
  static const trees_missing missing[] = {TREES_MISSING_NONE, TREES_MISSING_ZERO,
                                          TREES_MISSING_NAN};
  unsigned decision = (unsigned)l->decision[i], kind = decision >> 2;
  if (kind > 2)
    return fail(file->err, GARAM_CORRUPT, "%s: tree %lld: \"decision_type\": number %zu is %u",
                file->name, (long long)s->tree, i, decision);
  trees_split split = {.feature = (uint32_t)l->feature[i],
                       .left = (int32_t)l->left[i],
                       .right = (int32_t)l->right[i],
                       .missing = missing[kind],
                       .default_left = decision & 2u,
                       .gain = l->gain ? (float)l->gain[i] : 0,
                       .cover = l->count ? l->count[i] : 0};
  if (!isfinite(split.gain)) split.gain = 0;
  if (decision & 1u) {
    double cat = l->threshold[i];
    if (!(cat >= 0 && cat < (double)n_cat && cat == floor(cat)))
      return fail(file->err, GARAM_CORRUPT,
                  "%s: tree %lld: \"threshold\": number %zu is category set %g of %zu", file->name,
                  (long long)s->tree, i, cat, n_cat);
    size_t from = (size_t)l->boundary[(size_t)cat], to = (size_t)l->boundary[(size_t)cat + 1];
    for (size_t j = from; j < to; j++) words[j] = (uint32_t)l->word[j];
    split.categories = words + from;
    split.n_words = to - from;
    split.missing = TREES_MISSING_NAN; /* NaN is no category: right */
    split.default_left = false;
  } else {
    split.threshold = trees_threshold_le(l->threshold[i]);
  }
  return trees_set_split(b, i, &split, file->err);
}

static garam_status get_categories(lists *l, uint32_t **words, size_t n_cat, const section *s,
                                   const source *file) {
  size_t line = 0;
  TRY(get_whole(&l->boundary, s, "cat_boundaries", n_cat + 1, 0, TREES_MAX_COUNT, file));
  const span *list = find(s, "cat_threshold", &line);
  size_t n = list ? count_words(*list) : 0;
  if (l->boundary[0] != 0 || l->boundary[n_cat] != (double)n)
    return fail(file->err, GARAM_CORRUPT,
                "%s: tree %lld: \"cat_boundaries\" from %g to %g, \"cat_threshold\" has %zu words",
                file->name, (long long)s->tree, l->boundary[0], l->boundary[n_cat], n);
  for (size_t i = 0; i < n_cat; i++)
    if (l->boundary[i + 1] < l->boundary[i])
      return fail(file->err, GARAM_CORRUPT, "%s: tree %lld: \"cat_boundaries\" fall at %zu",
                  file->name, (long long)s->tree, i);
  TRY(get_whole(&l->word, s, "cat_threshold", n, 0, UINT32_MAX, file));
  *words = mem_array(n + 1, sizeof **words);
  return *words ? GARAM_OK : fail_memory(file->err, n * sizeof **words);
}

static garam_status add_leaves(trees_builder *b, lists *l, size_t n, size_t n_features,
                               const section *s, const source *file) {
  uint32_t *features = NULL;
  garam_status status = GARAM_OK;
  int64_t linear = 0;
  size_t total = 0;
  if (has(s, "is_linear")) TRY(get_int(&linear, s, "is_linear", 0, 1, file));
  if (linear) {
    TRY(get_list(&l->constant, s, "leaf_const", n, file));
    TRY(get_whole(&l->n_terms, s, "num_features", n, 0, (double)n_features, file));
    for (size_t i = 0; i < n; i++) {
      total += (size_t)l->n_terms[i];
      if (total > TREES_MAX_COUNT)
        return fail(file->err, GARAM_LIMIT, "%s: tree %lld: \"num_features\" adds up to too many",
                    file->name, (long long)s->tree);
    }
    TRY(get_whole(&l->term, s, "leaf_features", total, 0, (double)n_features - 1, file));
    TRY(get_list(&l->coefficient, s, "leaf_coeff", total, file));
    features = mem_array(total + 1, sizeof *features);
    if (!features) return fail_memory(file->err, total * sizeof *features);
    for (size_t i = 0; i < total; i++) features[i] = (uint32_t)l->term[i];
  }
  for (size_t i = 0, at = 0; i < n && status == GARAM_OK; i++) {
    size_t terms = linear ? (size_t)l->n_terms[i] : 0;
    double value = linear && terms == 0 ? l->constant[i] : l->value[i];
    status = trees_set_leaf(b, i, &value, l->leaf_count ? l->leaf_count[i] : 0, file->err);
    if (status == GARAM_OK && terms > 0)
      status = trees_set_linear(b, i, l->constant[i], terms, features + at, l->coefficient + at,
                                file->err);
    at += terms;
  }
  mem_free(features);
  return status;
}

static garam_status add_tree(trees_builder *b, const section *s, size_t output, size_t n_features,
                             const source *file) {
  int64_t n_leaves, n_cat = 0;
  lists l = {0};
  uint32_t *words = NULL;
  garam_status status;
  TRY(get_int(&n_leaves, s, "num_leaves", 1, (int64_t)TREES_MAX_COUNT, file));
  if (has(s, "num_cat")) TRY(get_int(&n_cat, s, "num_cat", 0, (int64_t)TREES_MAX_COUNT, file));
  size_t leaves = (size_t)n_leaves, n = leaves - 1;
  double last = (double)n_features - 1;
  TRY_GOTO(done, get_list(&l.value, s, "leaf_value", leaves, file));
  if (has(s, "leaf_count") && leaves > 1)
    TRY_GOTO(done, get_whole(&l.leaf_count, s, "leaf_count", leaves, 0, 1e15, file));
  if (n > 0) {
    TRY_GOTO(done, get_whole(&l.feature, s, "split_feature", n, 0, last, file));
    TRY_GOTO(done, get_list(&l.threshold, s, "threshold", n, file));
    TRY_GOTO(done, get_whole(&l.decision, s, "decision_type", n, 0, 15, file));
    TRY_GOTO(done, get_whole(&l.left, s, "left_child", n, -(double)leaves, (double)n - 1, file));
    TRY_GOTO(done, get_whole(&l.right, s, "right_child", n, -(double)leaves, (double)n - 1, file));
    if (has(s, "split_gain")) TRY_GOTO(done, get_list(&l.gain, s, "split_gain", n, file));
    if (has(s, "internal_count"))
      TRY_GOTO(done, get_whole(&l.count, s, "internal_count", n, 0, 1e15, file));
    if (n_cat > 0) TRY_GOTO(done, get_categories(&l, &words, (size_t)n_cat, s, file));
  }
  TRY_GOTO(done, trees_begin(b, output, n, file->err));
  for (size_t i = 0; i < n; i++) TRY_GOTO(done, add_split(b, &l, i, (size_t)n_cat, words, s, file));
  TRY_GOTO(done, add_leaves(b, &l, leaves, n_features, s, file));
  status = trees_end(b, file->err);
  if (status != GARAM_OK) status = fail_within(file->err, status, "%s", file->name);
done:
  mem_free(words);
  lists_deinit(&l);
  return status;
}

/* ---- the head
 * ------------------------------------------------------------------------------------ */

/* "binary sigmoid:1": the name, and a parameter's value, or `otherwise`. */
static double parameter(span objective, const char *name, double otherwise) {
  size_t n = strlen(name);
  next_word(&objective);
  for (span word; (word = next_word(&objective)).n > 0;) {
    int64_t whole;
    double value;
    if (word.n > n + 1 && memcmp(word.text, name, n) == 0 && word.text[n] == ':' &&
        number_parse(&whole, &value, word.text + n + 1, word.n - n - 1, '.') != NUMBER_NONE)
      return value;
  }
  return otherwise;
}

static garam_status read_objective(trees_import *m, const section *head, size_t outputs,
                                   const source *file) {
  static const struct {
    const char *name;
    trees_link link;
  } objectives[] = {
      {"binary", LINK_LOGISTIC},
      {"multiclass", LINK_SOFTMAX},
      {"multiclassova", LINK_ONE_VS_ALL},
      {"poisson", LINK_EXP},
      {"gamma", LINK_EXP},
      {"tweedie", LINK_EXP},
      {"cross_entropy", LINK_SIGMOID},
      {"cross_entropy_lambda", LINK_SOFTPLUS},
  };
  size_t line = 0;
  const span *value = find(head, "objective", &line);
  span name = {"custom", 6};
  if (value) {
    span rest = *value;
    name = next_word(&rest);
    while (rest.n > 0) {
      span word = next_word(&rest);
      if (span_is(name, "regression") && span_is(word, "sqrt")) m->link = LINK_SQUARE;
    }
  }
  snprintf(m->objective, sizeof m->objective, "%.*s", (int)(name.n < 60 ? name.n : 60), name.text);
  for (size_t i = 0; i < COUNT_OF(objectives); i++)
    if (strcmp(objectives[i].name, m->objective) == 0) m->link = objectives[i].link;
  if (m->link == LINK_LOGISTIC) m->n_classes = 2;
  if (m->link == LINK_SOFTMAX || m->link == LINK_ONE_VS_ALL) m->n_classes = (int)outputs;
  if (value && (m->link == LINK_LOGISTIC || m->link == LINK_ONE_VS_ALL))
    m->link_scale = parameter(*value, "sigmoid", 1);
  if (!(m->link_scale > 0 && m->link_scale < 1e6))
    return fail(file->err, GARAM_CORRUPT, "%s:%zu: \"objective\": sigmoid:%g", file->name, line,
                m->link_scale);
  if (!trees_link_fits(m->link, m->n_classes, outputs))
    return fail(file->err, GARAM_UNSUPPORTED, "%s: objective \"%s\" of %zu outputs", file->name,
                m->objective, outputs);
  return GARAM_OK;
}

static garam_status read_names(trees_import *m, const section *head, size_t n, const source *file) {
  size_t line;
  const span *value = find(head, "feature_names", &line);
  if (!value) return import_names(m, NULL, n, "Column_", file->err);
  if (count_words(*value) != n)
    return fail(file->err, GARAM_CORRUPT, "%s:%zu: \"feature_names\": %zu names, expected %zu",
                file->name, line, count_words(*value), n);
  char **names = mem_array(n + 1, sizeof *names);
  garam_status status = names ? GARAM_OK : fail_memory(file->err, n * sizeof *names);
  span rest = *value;
  for (size_t i = 0; i < n && status == GARAM_OK; i++) {
    span word = next_word(&rest);
    names[i] = mem_format("%.*s", (int)(word.n < 4096 ? word.n : 4096), word.text);
    if (!names[i]) status = fail_memory(file->err, word.n);
  }
  if (status == GARAM_OK)
    status = import_names(m, (const char *const *)names, n, "Column_", file->err);
  for (size_t i = 0; names && i < n; i++) mem_free(names[i]);
  mem_free(names);
  return status;
}

/* Every "Tree=" section, up to "end of trees". */
static garam_status read_trees(trees_builder *b, source *file, size_t outputs, size_t n_features) {
  span line;
  for (size_t i = 0;; i++) {
    section s = {.tree = (int64_t)i};
    if (!next_line(&line, file) || span_is(line, "end of trees")) return GARAM_OK;
    char expected[40];
    snprintf(expected, sizeof expected, "Tree=%zu", i);
    if (!span_is(line, expected))
      return fail(file->err, GARAM_CORRUPT, "%s:%zu: \"%.*s\", expected \"%s\"", file->name,
                  file->line, (int)(line.n < 40 ? line.n : 40), line.text, expected);
    TRY(read_section(&s, file));
    TRY(add_tree(b, &s, i % outputs, n_features, file));
  }
}

garam_status import_lightgbm(trees_import *out, const char *text, size_t size, const char *name,
                             garam_error *err) {
  source file = {.text = text, .size = size, .name = name, .err = err};
  section head = {.tree = -1};
  trees_builder *b = NULL;
  int64_t last_feature, outputs;
  garam_status status;
  size_t line;
  TRY(read_section(&head, &file));
  const span *version = find(&head, "version", &line);
  if (version && !span_is(*version, "v2") && !span_is(*version, "v3") && !span_is(*version, "v4"))
    return fail(err, GARAM_UNSUPPORTED, "%s:%zu: version %.*s; v2, v3 and v4 are read", name, line,
                (int)(version->n < 20 ? version->n : 20), version->text);
  TRY(get_int(&last_feature, &head, "max_feature_idx", 0, 65535, &file));
  TRY(get_int(&outputs, &head, "num_tree_per_iteration", 1, 1000, &file));
  TRY(read_objective(out, &head, (size_t)outputs, &file));
  size_t n_features = (size_t)last_feature + 1;
  TRY(trees_builder_new(&b, n_features, (size_t)outputs, 1, err));
  TRY_GOTO(failed, read_trees(b, &file, (size_t)outputs, n_features));
  size_t rounds = trees_builder_view(b)->n_trees / (size_t)outputs;
  double divisor = has(&head, "average_output") && rounds > 0 ? (double)rounds : 1;
  TRY(trees_finish(&out->trees, b, NULL, divisor, false, err));
  return read_names(out, &head, n_features, &file);
failed:
  trees_builder_free(b);
  return status;
}
