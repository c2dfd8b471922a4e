/* Splits that keep the future out of training. A row's label spans [known_at, label_end]: what a
 * row is tested on must not have been decided while a training row's label was still open. */
#include "learn/dataset.h"

#include "base/mem.h"
#include "base/rng.h"
#include "learn/ranking.h"

#include <stdlib.h>
#include <string.h>

void fold_deinit(fold *f) {
  row_set *sets[] = {&f->train, &f->valid, &f->test};
  for (size_t i = 0; i < COUNT_OF(sets); i++) {
    mem_free((void *)(uintptr_t)sets[i]->rows);
    *sets[i] = (row_set){0};
  }
}

static garam_status set_copy(row_set *out, const uint32_t *rows, size_t n, garam_error *err) {
  uint32_t *copy = mem_array(n + 1, sizeof *copy);
  if (!copy) return fail_memory(err, n * sizeof *copy);
  if (n) memcpy(copy, rows, n * sizeof *copy);
  *out = (row_set){copy, n};
  return GARAM_OK;
}

/* Rows that are usable and labelled, ascending; times must not fall. */
static garam_status eligible(uint32_t **out, size_t *n, const dataset *d, garam_error *err) {
  uint32_t *rows = mem_array(d->n_rows + 1, sizeof *rows);
  *out = NULL;
  *n = 0;
  if (!rows) return fail_memory(err, d->n_rows * sizeof *rows);
  for (size_t i = 0; i < d->n_rows; i++) {
    if (d->known_at && i > 0 && d->known_at[i] < d->known_at[i - 1]) {
      mem_free(rows);
      return fail(err, GARAM_INVALID,
                  "row %zu is earlier than the row above: rows must be in "
                  "order of time (--repair sort orders them)",
                  i);
    }
    if (d->usable[i] && dataset_labelled(d, i)) rows[(*n)++] = (uint32_t)i;
  }
  *out = rows;
  return GARAM_OK;
}

static int64_t label_end_of(const dataset *d, uint32_t row) {
  return d->label_end ? d->label_end[row] : d->known_at[row];
}

/* Takes rows[begin, end) into a part, without those whose label ends at or after `limit`. */
static garam_status take_purged(row_set *out, uint32_t *scratch, const dataset *d,
                                const uint32_t *rows, size_t begin, size_t end, bool limited,
                                int64_t limit, garam_error *err) {
  size_t n = 0;
  for (size_t i = begin; i < end; i++)
    if (!limited || label_end_of(d, rows[i]) < limit) scratch[n++] = rows[i];
  return set_copy(out, scratch, n, err);
}

/* The cut before rows[at], moved to where a query begins. */
static size_t cut_before(const dataset *d, const uint32_t *rows, size_t at, size_t n) {
  while (d->group && at > 0 && at < n && d->group[rows[at]] == d->group[rows[at - 1]]) at--;
  return at;
}
static size_t cut_after(const dataset *d, const uint32_t *rows, size_t at, size_t n) {
  while (d->group && at > 0 && at < n && d->group[rows[at]] == d->group[rows[at - 1]]) at++;
  return at;
}

/* Leaves out of an earlier part the rows of queries that a later one has rows of. */
static garam_status keep_whole(row_set *earlier, const dataset *d, row_set later,
                               garam_error *err) {
  if (!d->group || later.n == 0 || earlier->n == 0) return GARAM_OK;
  uint32_t most = 0, *rows = (uint32_t *)(uintptr_t)earlier->rows;
  size_t kept = 0;
  for (size_t i = 0; i < d->n_rows; i++) most = d->group[i] > most ? d->group[i] : most;
  uint8_t *taken = mem_array((size_t)most + 1, 1);
  if (!taken) return fail_memory(err, (size_t)most + 1);
  for (size_t i = 0; i < later.n; i++) taken[d->group[later.rows[i]]] = 1;
  for (size_t i = 0; i < earlier->n; i++)
    if (!taken[d->group[rows[i]]]) rows[kept++] = rows[i];
  earlier->n = kept;
  mem_free(taken);
  return GARAM_OK;
}

/* The three parts of rows[0, n) in time: cuts at a and b. */
static garam_status split_by_time(fold *out, uint32_t *scratch, const dataset *d,
                                  const uint32_t *rows, size_t a, size_t b, size_t n,
                                  size_t embargo, garam_error *err) {
  a = cut_before(d, rows, a, n);
  b = cut_before(d, rows, b, n);
  size_t valid_begin = b > a ? (a + embargo < b ? a + embargo : b) : a;
  size_t test_begin = b < n ? (b + embargo < n ? b + embargo : n) : n;
  valid_begin = valid_begin > a ? cut_after(d, rows, valid_begin, b) : valid_begin;
  test_begin = test_begin > b ? cut_after(d, rows, test_begin, n) : test_begin;
  size_t next = valid_begin < b ? valid_begin : test_begin; /* the first row after training */
  int64_t after_train = next < n ? d->known_at[rows[next]] : 0;
  int64_t after_valid = test_begin < n ? d->known_at[rows[test_begin]] : 0;
  TRY(take_purged(&out->train, scratch, d, rows, 0, a, next < n, after_train, err));
  TRY(take_purged(&out->valid, scratch, d, rows, valid_begin, b, test_begin < n, after_valid, err));
  TRY(take_purged(&out->test, scratch, d, rows, test_begin, n, false, 0, err));
  TRY(keep_whole(&out->train, d, out->valid, err));
  TRY(keep_whole(&out->train, d, out->test, err));
  return keep_whole(&out->valid, d, out->test, err);
}

static int compare_u32(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* Rows grouped by class and shuffled within each; regression is one group. */
static garam_status group_shuffled(uint32_t *groups, size_t *group_begin, const dataset *d,
                                   const uint32_t *rows, size_t n, uint64_t seed) {
  int n_groups = d->n_classes > 0 ? d->n_classes : 1;
  size_t at = 0;
  for (int g = 0; g < n_groups; g++) {
    group_begin[g] = at;
    for (size_t i = 0; i < n; i++)
      if (d->n_classes <= 0 || d->y[rows[i]] == g) groups[at++] = rows[i];
    rng r;
    rng_init(&r, seed, RNG_SPLIT, (uint64_t)g);
    rng_shuffle(&r, groups + group_begin[g], at - group_begin[g]);
  }
  group_begin[n_groups] = at;
  return GARAM_OK;
}

/* Rows without time, shuffled within their class. Of a ranking it is the queries that are. */
typedef struct shuffled {
  uint32_t *groups; /* (n) */
  size_t *begin;    /* (n_groups + 1) */
  uint32_t *part;   /* (n) scratch */
  ranking_queries queries;
  int n_groups;
} shuffled;

static void shuffled_deinit(shuffled *s) {
  ranking_queries_deinit(&s->queries);
  mem_free(s->groups);
  mem_free(s->begin);
  mem_free(s->part);
}

static garam_status shuffled_init(shuffled *s, const dataset *d, const uint32_t *rows, size_t n,
                                  uint64_t seed, garam_error *err) {
  s->n_groups = d->n_classes > 0 ? d->n_classes : 1;
  s->groups = mem_array(n + 1, sizeof *s->groups);
  s->part = mem_array(n + 1, sizeof *s->part);
  s->begin = mem_array((size_t)s->n_groups + 1, sizeof *s->begin);
  if (!s->groups || !s->part || !s->begin) return fail_memory(err, n * sizeof *s->groups);
  if (d->group) {
    rng r;
    TRY(ranking_queries_init(&s->queries, d, (row_set){rows, n}, err));
    for (size_t i = 0; i < s->queries.n; i++) s->groups[i] = (uint32_t)i;
    rng_init(&r, seed, RNG_SPLIT, 0);
    rng_shuffle(&r, s->groups, s->queries.n);
    s->n_groups = 1;
    s->begin[1] = s->queries.n;
    return GARAM_OK;
  }
  return group_shuffled(s->groups, s->begin, d, rows, n, seed);
}

static size_t put_unit(uint32_t *part, size_t n, const shuffled *s, uint32_t unit) {
  if (!s->queries.n) {
    part[n++] = unit;
    return n;
  }
  for (size_t i = s->queries.begin[unit]; i < s->queries.begin[unit + 1]; i++)
    part[n++] = s->queries.rows[i];
  return n;
}

/* The share [from, to) of every group, ascending. `outside` takes the rest in its place. */
static garam_status take_share(row_set *out, const shuffled *s, double from, double to,
                               bool outside, garam_error *err) {
  size_t n = 0;
  for (int g = 0; g < s->n_groups; g++) {
    size_t begin = s->begin[g], size = s->begin[g + 1] - begin;
    size_t low = (size_t)(from * (double)size + 0.5), high = (size_t)(to * (double)size + 0.5);
    for (size_t i = 0; i < size; i++)
      if ((i >= low && i < high) != outside) n = put_unit(s->part, n, s, s->groups[begin + i]);
  }
  qsort(s->part, n, sizeof *s->part, compare_u32);
  return set_copy(out, s->part, n, err);
}

garam_status fold_holdout(fold *out, const dataset *d, double train, double valid, size_t embargo,
                          uint64_t seed, garam_error *err) {
  REQUIRE(train >= 0 && valid >= 0 && train + valid <= 1 + 1e-12, "fold_holdout: shares");
  *out = (fold){0};
  uint32_t *rows = NULL, *scratch = NULL;
  shuffled s = {0};
  size_t n;
  garam_status status;
  TRY_GOTO(done, eligible(&rows, &n, d, err));
  double valid_end = train + valid > 1 - 1e-9 ? 1 : train + valid;
  if (d->known_at) {
    scratch = mem_array(n + 1, sizeof *scratch);
    if (!scratch) {
      status = fail_memory(err, n * sizeof *scratch);
      goto done;
    }
    size_t a = (size_t)(train * (double)n + 0.5), b = (size_t)(valid_end * (double)n + 0.5);
    TRY_GOTO(done, split_by_time(out, scratch, d, rows, a, b, n, embargo, err));
  } else {
    TRY_GOTO(done, shuffled_init(&s, d, rows, n, seed, err));
    TRY_GOTO(done, take_share(&out->train, &s, 0, train, false, err));
    TRY_GOTO(done, take_share(&out->valid, &s, train, valid_end, false, err));
    TRY_GOTO(done, take_share(&out->test, &s, valid_end, 1, false, err));
  }
done:
  shuffled_deinit(&s);
  mem_free(rows);
  mem_free(scratch);
  if (status != GARAM_OK) fold_deinit(out);
  return status;
}

garam_status fold_walk_forward(fold *out, size_t n_folds, const dataset *d, double valid,
                               size_t embargo, garam_error *err) {
  REQUIRE(n_folds > 0 && valid >= 0 && valid < 1, "fold_walk_forward: %zu folds", n_folds);
  memset(out, 0, n_folds * sizeof *out);
  if (!d->known_at)
    return fail(err, GARAM_INVALID, "walk-forward needs rows with a time; use K-fold without");
  uint32_t *rows = NULL, *scratch = NULL;
  size_t n;
  garam_status status;
  TRY_GOTO(done, eligible(&rows, &n, d, err));
  if (n < n_folds + 1) {
    status = fail(err, GARAM_INVALID, "%zu labelled rows are too few for %zu folds", n, n_folds);
    goto done;
  }
  scratch = mem_array(n + 1, sizeof *scratch);
  if (!scratch) {
    status = fail_memory(err, n * sizeof *scratch);
    goto done;
  }
  for (size_t k = 0; k < n_folds; k++) {
    size_t b = n * (k + 1) / (n_folds + 1), end = n * (k + 2) / (n_folds + 1);
    size_t a = b - (size_t)(valid * (double)b);
    TRY_GOTO(done, split_by_time(&out[k], scratch, d, rows, a, b, end, embargo, err));
  }
done:
  mem_free(rows);
  mem_free(scratch);
  for (size_t k = 0; status != GARAM_OK && k < n_folds; k++) fold_deinit(&out[k]);
  return status;
}

/* Training rows of a block rows[begin, end): the others but for those whose label's interval
 * meets [first known_at, last label_end] of the block, and `embargo` rows after it. */
static garam_status take_around(row_set *out, uint32_t *scratch, const dataset *d,
                                const uint32_t *rows, size_t n, size_t begin, size_t end,
                                size_t embargo, garam_error *err) {
  int64_t from = d->known_at[rows[begin]], to = from;
  for (size_t i = begin; i < end; i++)
    if (label_end_of(d, rows[i]) > to) to = label_end_of(d, rows[i]);
  size_t resume = end, kept = 0; /* resume: the first row that starts after the block's labels */
  while (resume < n && d->known_at[rows[resume]] <= to) resume++;
  resume = n - resume > embargo ? resume + embargo : n;
  for (size_t i = 0; i < n; i++)
    if (i < begin ? label_end_of(d, rows[i]) < from : i >= resume) scratch[kept++] = rows[i];
  return set_copy(out, scratch, kept, err);
}

garam_status fold_purged_kfold(fold *out, size_t n_folds, const dataset *d, size_t embargo,
                               uint64_t seed, garam_error *err) {
  REQUIRE(n_folds > 1, "fold_purged_kfold: %zu folds", n_folds);
  memset(out, 0, n_folds * sizeof *out);
  uint32_t *rows = NULL, *scratch = NULL;
  shuffled s = {0};
  size_t n;
  garam_status status;
  TRY_GOTO(done, eligible(&rows, &n, d, err));
  if (n < n_folds) {
    status = fail(err, GARAM_INVALID, "%zu labelled rows are too few for %zu folds", n, n_folds);
    goto done;
  }
  scratch = mem_array(n + 1, sizeof *scratch);
  if (!scratch) {
    status = fail_memory(err, n * sizeof *scratch);
    goto done;
  }
  if (!d->known_at) TRY_GOTO(done, shuffled_init(&s, d, rows, n, seed, err));
  for (size_t k = 0; k < n_folds; k++) {
    if (!d->known_at) {
      double from = (double)k / (double)n_folds, to = (double)(k + 1) / (double)n_folds;
      TRY_GOTO(done, take_share(&out[k].test, &s, from, to, false, err));
      TRY_GOTO(done, take_share(&out[k].train, &s, from, to, true, err));
    } else {
      size_t begin = cut_before(d, rows, n * k / n_folds, n);
      size_t end = cut_before(d, rows, n * (k + 1) / n_folds, n);
      if (begin == end) {
        status = fail(err, GARAM_INVALID, "the queries are too few for %zu folds", n_folds);
        goto done;
      }
      TRY_GOTO(done, set_copy(&out[k].test, rows + begin, end - begin, err));
      TRY_GOTO(done, take_around(&out[k].train, scratch, d, rows, n, begin, end, embargo, err));
      TRY_GOTO(done, keep_whole(&out[k].train, d, out[k].test, err));
    }
    TRY_GOTO(done, set_copy(&out[k].valid, NULL, 0, err));
  }
done:
  shuffled_deinit(&s);
  mem_free(rows);
  mem_free(scratch);
  for (size_t k = 0; status != GARAM_OK && k < n_folds; k++) fold_deinit(&out[k]);
  return status;
}
