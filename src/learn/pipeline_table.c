/* Plain tables to datasets: a target column, and every other column as features. Text becomes
 * categories, whose names are taken from the training rows only. */
#include "learn/pipeline_inner.h"

#include "base/mem.h"
#include "base/number_text.h"
#include "learn/ranking.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ONE_HOT_NAMES = 16, CODE_NAMES = 1024, MOST_CLASSES = 1000 };
const char *const input_kind_names[] = {"number", "code", "one-hot", NULL};

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_name(char *const *names, size_t n, const char *name) {
  char *const *found = n ? bsearch(&name, names, n, sizeof *names, compare_names) : NULL;
  return found ? (int)(found - names) : -1;
}

/* The cell as text; NULL when missing. */
static const char *cell_text(char buffer[40], const column *c, size_t row) {
  if (c->type == COLUMN_CATEGORY) return c->code[row] < 0 ? NULL : c->names[c->code[row]];
  double value = column_f64(c, row);
  if (!isfinite(value)) return NULL;
  number_print_short(buffer, value); /* integers without a point */
  return buffer;
}

/* ---- targets ------------------------------------------------------------------------------ */

static garam_status find_target(int *out, const pipeline *p, const table *t, garam_error *err) {
  *out = table_find(t, p->config.target);
  if (*out >= 0) return GARAM_OK;
  enum { MOST = 256 };
  const char *names[MOST];
  size_t n = 0;
  for (; n < t->n_columns && n < MOST; n++) names[n] = t->columns[n].name;
  const char *near = name_nearest(p->config.target, names, n);
  return fail(err, GARAM_NOT_FOUND, "%s: no column \"%s\" for --target%s%s%s", t->source,
              p->config.target, near ? "; did you mean \"" : "", near ? near : "",
              near ? "\"?" : "");
}

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Distinct numbers of a column, ascending; at most MOST_CLASSES. */
static garam_status distinct_numbers(double **out, size_t *n, const table *t, const column *c,
                                     garam_error *err) {
  double *values = mem_array(t->n_rows + 1, sizeof *values);
  *out = NULL;
  *n = 0;
  if (!values) return fail_memory(err, t->n_rows * sizeof *values);
  size_t m = 0;
  for (size_t i = 0; i < t->n_rows; i++) {
    double v = column_f64(c, i);
    if (isfinite(v)) values[m++] = v;
  }
  qsort(values, m, sizeof *values, compare_f64);
  for (size_t i = 0; i < m; i++)
    if (i == 0 || values[i] != values[i - 1]) values[(*n)++] = values[i];
  *out = values;
  return GARAM_OK;
}

/* Classes are all names of the target, text sorted, numbers ascending. */
static garam_status find_classes(pipeline *p, const table *t, const column *c, garam_error *err) {
  char **names = NULL;
  double *numbers = NULL;
  size_t n = 0;
  garam_status status = GARAM_OK;
  if (c->type == COLUMN_CATEGORY) {
    TRY(names_copy(&names, c->names, c->n_names, err));
    n = c->n_names;
    qsort(names, n, sizeof *names, compare_names);
  } else {
    TRY(distinct_numbers(&numbers, &n, t, c, err));
    if (n > MOST_CLASSES) {
      status = fail(err, GARAM_INVALID,
                    "%s: target \"%s\" has %zu different numbers; for values "
                    "that are not classes give --task regression",
                    t->source, c->name, n);
      goto done;
    }
    names = mem_array(n + 1, sizeof *names);
    for (size_t i = 0; names && i < n; i++) {
      char text[40];
      number_print_short(text, numbers[i]);
      names[i] = mem_strdup(text);
      if (!names[i]) break;
    }
    if (!names || (n > 0 && !names[n - 1])) {
      status = fail_memory(err, n * sizeof *names);
      goto done;
    }
  }
  if (n < 2) {
    status = fail(err, GARAM_INVALID,
                  "%s: target \"%s\" has %s%s%s: there is nothing to tell "
                  "apart",
                  t->source, c->name, n ? "one class only (\"" : "no class", n ? names[0] : "",
                  n ? "\")" : "");
    goto done;
  }
  if (p->shape.task == TASK_BINARY && n != 2) {
    status = fail(err, GARAM_INVALID,
                  "%s: --task binary needs a target of two classes; \"%s\" has "
                  "%zu",
                  t->source, c->name, n);
    goto done;
  }
  if (n > MOST_CLASSES) {
    status = fail(err, GARAM_LIMIT, "%s: target \"%s\" has %zu classes; at most %d are learned",
                  t->source, c->name, n, MOST_CLASSES);
    goto done;
  }
  p->class_names = names;
  p->shape.n_classes = (int)n;
  names = NULL;
done:
  mem_free(numbers);
  names_free(names, n);
  return status;
}

/* Class names are sorted as text for text; for numbers by value: walk. */
static int class_of(const pipeline *p, const char *text) {
  for (int k = 0; k < p->shape.n_classes; k++)
    if (strcmp(p->class_names[k], text) == 0) return k;
  return -1;
}

static garam_status fill_classes(dataset *d, const pipeline *p, const table *t, const column *c,
                                 garam_error *err) {
  for (size_t i = 0; i < t->n_rows; i++) {
    char buffer[40];
    const char *text = cell_text(buffer, c, i);
    d->y[i] = text ? class_of(p, text) : -1;
    if (text && d->y[i] < 0)
      return fail(err, GARAM_MISMATCH,
                  "%s:%llu: target \"%s\" is \"%s\", a class that the model "
                  "does not know",
                  t->source, (unsigned long long)table_line(t, i), c->name, text);
  }
  return GARAM_OK;
}

static garam_status fill_values(dataset *d, const table *t, const column *c, garam_error *err) {
  if (c->type == COLUMN_CATEGORY)
    return fail(err, GARAM_INVALID, "%s: target \"%s\" is text; --task %s needs numbers", t->source,
                c->name, task_names[d->task]);
  for (size_t i = 0; i < t->n_rows; i++) {
    float v = d->value[i] = (float)column_f64(c, i);
    if (d->task == TASK_RANKING && isfinite(v) && !ranking_is_grade(v))
      return fail(err, GARAM_INVALID,
                  "%s:%llu: \"%s\" is %g; --task ranking needs grades, whole numbers from 0 to %d",
                  t->source, (unsigned long long)table_line(t, i), c->name, (double)v,
                  RANKING_MOST_GRADE);
  }
  return GARAM_OK;
}

static garam_status fill_times(dataset *d, const table *t, garam_error *err) {
  if (t->time_column < 0) return GARAM_OK;
  const column *c = &t->columns[t->time_column];
  size_t bytes = t->n_rows * sizeof *d->known_at;
  d->known_at = mem_array(t->n_rows, sizeof *d->known_at);
  d->label_end = mem_array(t->n_rows, sizeof *d->label_end);
  if (!d->known_at || !d->label_end) return fail_memory(err, bytes);
  for (size_t i = 0; i < t->n_rows; i++) {
    if (c->i64[i] == COLUMN_I64_MISSING)
      return fail(err, GARAM_INVALID,
                  "%s:%llu: the time \"%s\" is missing (--time-column none "
                  "takes the rows without a time)",
                  t->source, (unsigned long long)table_line(t, i), c->name);
    if (i > 0 && c->i64[i] < c->i64[i - 1])
      return fail(err, GARAM_INVALID,
                  "%s:%llu: the time \"%s\" is before that of the row above; "
                  "--repair sort orders the rows, --time-column none takes them without a time",
                  t->source, (unsigned long long)table_line(t, i), c->name);
  }
  memcpy(d->known_at, c->i64, bytes);
  memcpy(d->label_end, c->i64, bytes);
  return GARAM_OK;
}

/* ---- features ------------------------------------------------------------------------------ */

static garam_status input_add(pipeline *p, const column *c, input_kind kind, char **names,
                              size_t n_names, garam_error *err) {
  input *grown = mem_resize(p->inputs, (p->n_inputs + 1) * sizeof *grown);
  if (!grown) {
    names_free(names, n_names);
    return fail_memory(err, (p->n_inputs + 1) * sizeof *grown);
  }
  p->inputs = grown;
  input *in = &p->inputs[p->n_inputs++];
  *in = (input){.kind = kind, .names = names, .n_names = n_names, .column = mem_strdup(c->name)};
  return in->column ? GARAM_OK : fail_memory(err, strlen(c->name) + 1);
}

static garam_status add_category(pipeline *p, const column *c, row_set train, garam_error *err) {
  uint8_t *seen = mem_array(c->n_names + 1, 1);
  char **names = mem_array(c->n_names + 1, sizeof *names);
  size_t n = 0;
  garam_status status = GARAM_OK;
  if (!seen || !names) {
    status = fail_memory(err, c->n_names * sizeof *names);
    goto done;
  }
  for (size_t i = 0; i < train.n; i++)
    if (c->code[train.rows[i]] >= 0) seen[c->code[train.rows[i]]] = 1;
  for (size_t k = 0; k < c->n_names; k++) {
    if (!seen[k]) continue;
    names[n] = mem_strdup(c->names[k]);
    if (!names[n]) {
      status = fail_memory(err, strlen(c->names[k]) + 1);
      goto done;
    }
    n++;
  }
  if (n > CODE_NAMES || (n > ONE_HOT_NAMES && n > train.n / 2)) {
    status = pipeline_warn(p, err,
                           "column \"%s\" is left out: %zu different texts in %zu training "
                           "rows say too little",
                           c->name, n, train.n);
    goto done;
  }
  qsort(names, n, sizeof *names, compare_names);
  input_kind kind = n > 2 && n <= ONE_HOT_NAMES ? INPUT_ONE_HOT : INPUT_CODE;
  status = input_add(p, c, kind, names, n, err);
  names = NULL;
done:
  mem_free(seen);
  names_free(names, n);
  return status;
}

static garam_status find_inputs(pipeline *p, const table *t, row_set train, garam_error *err) {
  int target = table_find(t, p->config.target);
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    if ((int)i == target || (int)i == t->time_column || pipeline_stands_beside(p, t, (int)i))
      continue;
    switch (c->type) {
    case COLUMN_F64:
    case COLUMN_I64: TRY(input_add(p, c, INPUT_NUMBER, NULL, 0, err)); break;
    case COLUMN_CATEGORY: TRY(add_category(p, c, train, err)); break;
    case COLUMN_TIME:
      TRY(pipeline_warn(p, err, "column \"%s\" is left out: a second time", c->name));
      break;
    }
  }
  return GARAM_OK;
}

static size_t input_features(const input *in) {
  return in->kind == INPUT_ONE_HOT ? in->n_names : 1;
}

static char *feature_name(const input *in, size_t k) {
  return in->kind == INPUT_ONE_HOT ? mem_format("%s=%s", in->column, in->names[k])
                                   : mem_strdup(in->column);
}

/* Every feature that the inputs can give. */
static garam_status name_features(pipeline *p, garam_error *err) {
  size_t n = 0;
  for (size_t i = 0; i < p->n_inputs; i++) n += input_features(&p->inputs[i]);
  p->feature_names = mem_array(n + 1, sizeof *p->feature_names);
  if (!p->feature_names) return fail_memory(err, n * sizeof *p->feature_names);
  for (size_t i = 0; i < p->n_inputs; i++)
    for (size_t k = 0; k < input_features(&p->inputs[i]); k++) {
      char *name = feature_name(&p->inputs[i], k);
      if (!name) return fail_memory(err, 64);
      p->feature_names[p->shape.n_features++] = name;
    }
  return GARAM_OK;
}

garam_status table_check_features(const pipeline *p, const char *where, garam_error *err) {
  size_t j = 0;
  for (size_t i = 0; i < p->n_inputs; i++)
    for (size_t k = 0; k < input_features(&p->inputs[i]) && j < p->shape.n_features; k++) {
      char *name = feature_name(&p->inputs[i], k);
      if (!name) return fail_memory(err, 64);
      j += strcmp(name, p->feature_names[j]) == 0;
      mem_free(name);
    }
  if (j == p->shape.n_features) return GARAM_OK;
  return fail(err, GARAM_CORRUPT, "%s: no input gives the feature \"%s\"", where,
              p->feature_names[j]);
}

static float input_value(const input *in, const column *c, size_t row, size_t k) {
  if (in->kind == INPUT_NUMBER) {
    float v = (float)column_f64(c, row);
    return isfinite(v) ? v : NAN;
  }
  char buffer[40];
  const char *text = cell_text(buffer, c, row);
  int code = text ? find_name(in->names, in->n_names, text) : -1;
  if (in->kind == INPUT_ONE_HOT) return text ? code == (int)k : NAN;
  return code < 0 ? NAN : (float)code;
}

/* Fills the features in use: p->feature_names is a subset of what the inputs give, in order. */
static garam_status fill_features(dataset *d, const pipeline *p, const table *t, garam_error *err) {
  size_t width = d->n_features, j = 0;
  for (size_t i = 0; i < p->n_inputs && j < width; i++) {
    const input *in = &p->inputs[i];
    int at = table_find(t, in->column);
    for (size_t k = 0; k < input_features(in) && j < width; k++) {
      char *name = feature_name(in, k);
      if (!name) return fail_memory(err, 64);
      bool used = strcmp(name, p->feature_names[j]) == 0;
      mem_free(name);
      if (!used) continue;
      if (at < 0)
        return fail(err, GARAM_MISMATCH,
                    "%s: the feature \"%s\" of the model is missing: there is "
                    "no column \"%s\"",
                    t->source, p->feature_names[j], in->column);
      const column *c = &t->columns[at];
      if (in->kind == INPUT_NUMBER && c->type == COLUMN_CATEGORY)
        return fail(err, GARAM_MISMATCH,
                    "%s: the feature \"%s\" of the model is a number, the "
                    "column is text",
                    t->source, p->feature_names[j]);
      for (size_t row = 0; row < t->n_rows; row++)
        d->x[row * width + j] = input_value(in, c, row, k);
      if (in->kind == INPUT_CODE && in->n_names > 2) {
        if (!d->categorical) d->categorical = mem_array(width, 1);
        if (!d->categorical) return fail_memory(err, width);
        d->categorical[j] = 1;
      }
      j++;
    }
  }
  REQUIRE(j == width, "pipeline: %zu of %zu features found", j, width);
  return GARAM_OK;
}

/* ---- datasets ------------------------------------------------------------------------------ */

static garam_status fill_targets(dataset *d, const pipeline *p, const table *t, bool fit,
                                 garam_error *err) {
  int target;
  TRY(find_target(&target, p, t, err));
  const column *c = &t->columns[target];
  if (d->n_classes > 0) TRY(fill_classes(d, p, t, c, err));
  else TRY(fill_values(d, t, c, err));
  return pipeline_rows(d, p, t, fit, err);
}

garam_status table_dataset(dataset **out, const pipeline *p, const table *t, bool labelled,
                           garam_error *err) {
  dataset *d = NULL;
  garam_status status;
  *out = NULL;
  TRY_GOTO(done,
           dataset_new(&d, p->shape.task, t->n_rows, p->shape.n_features, p->shape.n_classes, err));
  TRY_GOTO(done, names_copy(&d->feature_names, p->feature_names, d->n_features, err));
  if (d->n_classes > 0)
    TRY_GOTO(done, names_copy(&d->class_names, p->class_names, (size_t)d->n_classes, err));
  TRY_GOTO(done, fill_times(d, t, err));
  if (labelled) TRY_GOTO(done, fill_targets(d, p, t, false, err));
  TRY_GOTO(done, fill_features(d, p, t, err));
  *out = d;
  d = NULL;
done:
  dataset_free(d);
  return status;
}

garam_status table_prepare(dataset **out, fold *split, pipeline *p, const table *t, bool all_train,
                           garam_error *err) {
  dataset *d = NULL;
  garam_status status;
  int target;
  *out = NULL;
  TRY(find_target(&target, p, t, err));
  if (target == t->time_column)
    return fail(err, GARAM_INVALID, "%s: --target \"%s\" is the time", t->source, p->config.target);
  if (task_has_classes(p->shape.task)) TRY(find_classes(p, t, &t->columns[target], err));
  /* Targets and times are enough to split; then features, from training rows only. */
  TRY_GOTO(done, dataset_new(&d, p->shape.task, t->n_rows, 0, p->shape.n_classes, err));
  TRY_GOTO(done, fill_times(d, t, err));
  TRY_GOTO(done, fill_targets(d, p, t, true, err));
  TRY_GOTO(done, fold_holdout(split, d, all_train ? 1 : p->config.train_share,
                              all_train ? 0 : p->config.valid_share, pipeline_embargo(p),
                              (uint64_t)p->config.seed, err));
  TRY_GOTO(done, find_inputs(p, t, split->train, err));
  TRY_GOTO(done, name_features(p, err));
  size_t n = p->shape.n_features, cells;
  if (n == 0) {
    status =
        fail(err, GARAM_INVALID, "%s: no column is left for features beside the target", t->source);
    goto done;
  }
  mem_free(d->x);
  d->x = size_mul(&cells, n, t->n_rows) ? mem_array(cells, sizeof *d->x) : NULL;
  if (!d->x) {
    status = fail_memory(err, n * t->n_rows * sizeof *d->x);
    goto done;
  }
  d->n_features = n;
  TRY_GOTO(done, names_copy(&d->feature_names, p->feature_names, n, err));
  if (d->n_classes > 0)
    TRY_GOTO(done, names_copy(&d->class_names, p->class_names, (size_t)d->n_classes, err));
  TRY_GOTO(done, fill_features(d, p, t, err));
  *out = d;
  d = NULL;
done:
  dataset_free(d);
  return status;
}
