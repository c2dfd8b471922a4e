/* What stands beside the rows of a table: weights, the queries of a ranking, scores to start from.
 * A column goes with every table that has it; a file belongs to one table. */
#include "learn/pipeline_inner.h"

#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- files --------------------------------------------------------------------------------- */

typedef struct numbers {
  float *values;
  size_t n, capacity;
} numbers;

static garam_status take_line(numbers *out, const char *line, const char *path, garam_error *err) {
  char *end;
  float v = strtof(line, &end);
  if (*end != 0 && *end != ' ' && *end != '\t')
    return fail(err, GARAM_PARSE, "%s:%zu: expected one number, found \"%s\"", path, out->n + 1,
                line);
  if (!isfinite(v))
    return fail(err, GARAM_INVALID, "%s:%zu: not a finite number", path, out->n + 1);
  if (out->n == out->capacity) {
    size_t more = out->capacity ? 2 * out->capacity : 1024;
    float *grown = mem_resize(out->values, more * sizeof *grown);
    if (!grown) return fail_memory(err, more * sizeof *grown);
    out->values = grown;
    out->capacity = more;
  }
  out->values[out->n++] = v;
  return GARAM_OK;
}

/* One number a line; empty lines are passed over. */
static garam_status read_numbers(numbers *out, const char *path, garam_error *err) {
  io_stream *s;
  char line[64];
  char block[4096];
  size_t used = 0, got = 1;
  garam_status status = GARAM_OK;
  *out = (numbers){0};
  TRY(io_stream_open(&s, path, err));
  while (got > 0) {
    TRY_GOTO(done, io_stream_read(s, block, sizeof block, &got, err));
    for (size_t i = 0; i < got || (got == 0 && used > 0); i++) {
      char c = got ? block[i] : '\n';
      if (c != '\n') {
        if (used + 1 >= sizeof line) {
          status = fail(err, GARAM_PARSE, "%s:%zu: expected one number", path, out->n + 1);
          goto done;
        }
        if (c != '\r') line[used++] = c;
        continue;
      }
      line[used] = 0;
      if (used > 0) TRY_GOTO(done, take_line(out, line, path, err));
      used = 0;
    }
  }
done:
  io_stream_close(s);
  return status;
}

static garam_status check_weight(float w, const char *where, size_t row, garam_error *err) {
  if (isfinite(w) && w >= 0) return GARAM_OK;
  return fail(err, GARAM_INVALID, "%s: the weight of row %zu is not a number of 0 or more", where,
              row + 1);
}

/* A number for each row of d; of weights none below 0. */
static garam_status read_rows(float **out, const dataset *d, const char *path, bool weights,
                              garam_error *err) {
  numbers v;
  garam_status status = read_numbers(&v, path, err);
  for (size_t i = 0; weights && i < v.n && status == GARAM_OK; i++)
    status = check_weight(v.values[i], path, i, err);
  if (status == GARAM_OK && v.n != d->n_rows)
    status = fail(err, GARAM_MISMATCH, "%s: %zu %s for %zu rows", path, v.n,
                  weights ? "weights" : "scores", d->n_rows);
  if (status == GARAM_OK) {
    mem_free(*out);
    *out = v.values;
  } else {
    mem_free(v.values);
  }
  return status;
}

garam_status rows_read_weights(dataset *d, const char *path, garam_error *err) {
  return read_rows(&d->weight, d, path, true, err);
}

garam_status rows_read_init(dataset *d, const char *path, garam_error *err) {
  return read_rows(&d->init, d, path, false, err);
}

/* The rows of each query in turn, as LightGBM's .query. */
garam_status rows_read_groups(dataset *d, const char *path, garam_error *err) {
  numbers v;
  garam_status status = read_numbers(&v, path, err);
  size_t at = 0;
  uint32_t *group = mem_array(d->n_rows + 1, sizeof *group);
  if (status == GARAM_OK && !group) status = fail_memory(err, d->n_rows * sizeof *group);
  for (size_t q = 0; q < v.n && status == GARAM_OK; q++) {
    float size = v.values[q];
    if (!(size >= 1 && size <= 1e7f && size == floorf(size)))
      status =
          fail(err, GARAM_INVALID, "%s:%zu: %g is not a number of rows", path, q + 1, (double)size);
    else if ((size_t)size > d->n_rows - at)
      status = fail(err, GARAM_MISMATCH, "%s:%zu: the queries have more than the %zu rows", path,
                    q + 1, d->n_rows);
    else
      for (size_t end = at + (size_t)size; at < end; at++) group[at] = (uint32_t)q;
  }
  if (status == GARAM_OK && at != d->n_rows)
    status = fail(err, GARAM_MISMATCH, "%s: the queries have %zu rows, the data has %zu", path, at,
                  d->n_rows);
  mem_free(v.values);
  if (status != GARAM_OK) {
    mem_free(group);
    return status;
  }
  mem_free(d->group);
  d->group = group;
  return GARAM_OK;
}

/* ---- columns ------------------------------------------------------------------------------- */

static int find_column(const char *name, const table *t) {
  return name[0] ? table_find(t, name) : -1;
}

bool pipeline_stands_beside(const pipeline *p, const table *t, int at) {
  return at == find_column(p->config.weights, t) || at == find_column(p->config.group, t);
}

typedef struct key {
  int64_t value;
  uint32_t row;
} key;

static int compare_keys(const void *a, const void *b) {
  const key *x = a, *y = b;
  if (x->value != y->value) return x->value < y->value ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

/* Equal cells are equal keys, whatever their order. */
static bool key_of(int64_t *out, const column *c, size_t row) {
  double v;
  switch (c->type) {
  case COLUMN_CATEGORY: *out = c->code[row]; return *out >= 0;
  case COLUMN_I64:
  case COLUMN_TIME: *out = c->i64[row]; return *out != COLUMN_I64_MISSING;
  case COLUMN_F64:
    v = c->f64[row] == 0 ? 0 : c->f64[row]; /* one zero */
    memcpy(out, &v, sizeof v);
    return isfinite(v);
  }
  return false;
}

static garam_status groups_of(dataset *d, const table *t, const column *c, garam_error *err) {
  key *keys = mem_array(t->n_rows + 1, sizeof *keys);
  d->group = mem_array(t->n_rows + 1, sizeof *d->group);
  garam_status status =
      keys && d->group ? GARAM_OK : fail_memory(err, t->n_rows * (sizeof *keys + 4));
  for (size_t i = 0; i < t->n_rows && status == GARAM_OK; i++) {
    keys[i].row = (uint32_t)i;
    if (!key_of(&keys[i].value, c, i))
      status = fail(err, GARAM_INVALID, "%s:%llu: the query \"%s\" is missing", t->source,
                    (unsigned long long)table_line(t, i), c->name);
  }
  if (status == GARAM_OK) {
    uint32_t code = 0;
    qsort(keys, t->n_rows, sizeof *keys, compare_keys);
    for (size_t i = 0; i < t->n_rows; i++) {
      if (i > 0 && keys[i].value != keys[i - 1].value) code++;
      d->group[keys[i].row] = code;
    }
  }
  mem_free(keys);
  return status;
}

garam_status pipeline_rows(dataset *d, const pipeline *p, const table *t, bool fit,
                           garam_error *err) {
  const pipeline_config *c = &p->config;
  int at = find_column(c->weights, t);
  if (at >= 0) {
    d->weight = mem_array(t->n_rows + 1, sizeof *d->weight);
    if (!d->weight) return fail_memory(err, t->n_rows * sizeof *d->weight);
    for (size_t i = 0; i < t->n_rows; i++) {
      d->weight[i] = (float)column_f64(&t->columns[at], i);
      TRY(check_weight(d->weight[i], t->source, i, err));
    }
  } else if (fit && c->weights[0]) {
    TRY(rows_read_weights(d, c->weights, err));
  }
  at = find_column(c->group, t);
  if (at >= 0) TRY(groups_of(d, t, &t->columns[at], err));
  else if (fit && c->group[0]) TRY(rows_read_groups(d, c->group, err));
  if (fit && c->init_score[0]) TRY(rows_read_init(d, c->init_score, err));
  return GARAM_OK;
}

void pipeline_add_init(const dataset *d, const uint32_t *rows, size_t n, float *out, size_t k) {
  for (size_t i = 0; d->init && i < n; i++) out[i * k + k - 1] += d->init[rows[i]];
}
