/* Does a column of a plain table give the target away? There is no market here, so no news to
 * compare with: what is looked for is a column that is the target again.
 *
 *   - Equal to the target on (nearly) every row, or, in a time series, to the target of a row to
 *     come, counted where the target changes: a copy.
 *   - Values that stand in the target's order (Spearman's rank correlation, ties shared): the
 *     target in another unit, its logarithm, its rank.
 *   - Two classes that one threshold tells apart (area under the ROC curve).
 *   - Names, or few numbers, each of which goes with one class.
 *
 * The bound is high, for an honest column may be very good: the smell of a mushroom alone tells
 * 98.5 % of the poisonous ones. */
#include "market/market.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TARGET_MIN_ROWS = 20, TARGET_STEPS = 10, FEW_ROWS_A_VALUE = 10 };
static const double near_perfect = 0.99, copy_share = 0.999;

typedef struct ranked {
  double value, rank; /* rank: 0-based, shared by equal values */
  size_t row;
} ranked;

/* Scratch of one comparison, and the target. */
typedef struct screen {
  const table *t;
  const column *target;
  size_t n;      /* rows where both are known */
  ranked *x, *y; /* (n_rows) */
  size_t *count; /* (n_rows): rows of one value of x and one class */
} screen;

static int by_value(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->value != y->value) return (x->value > y->value) - (x->value < y->value);
  return (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  return (x->row > y->row) - (x->row < y->row);
}

/* Ranks of x, left in order of value; returns how many different values there are. */
static size_t rank_values(ranked *x, size_t n) {
  qsort(x, n, sizeof *x, by_value);
  size_t distinct = 0;
  for (size_t i = 0, end; i < n; i = end) {
    for (end = i; end < n && x[end].value == x[i].value; end++) continue;
    for (size_t k = i; k < end; k++) x[k].rank = 0.5 * (double)(i + end - 1);
    distinct++;
  }
  return distinct;
}

/* Squared Spearman correlation of x and y, both in order of rows. */
static double rank_r2(const screen *s) {
  double mean = 0.5 * (double)(s->n - 1), xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < s->n; i++) {
    double a = s->x[i].rank - mean, b = s->y[i].rank - mean;
    xy += a * b;
    xx += a * a;
    yy += b * b;
  }
  return xx > 0 && yy > 0 ? xy * xy / xx / yy : 0;
}

/* 2 |AUC - 0.5| of x for a y of two values. */
static double separation(const screen *s) {
  double low = s->y[0].rank, sum = 0, n_high = 0;
  for (size_t i = 0; i < s->n; i++) low = fmin(low, s->y[i].rank);
  for (size_t i = 0; i < s->n; i++)
    if (s->y[i].rank > low) {
      sum += s->x[i].rank;
      n_high++;
    }
  double pairs = n_high * ((double)s->n - n_high);
  return pairs > 0 ? fabs(2 * (sum - 0.5 * n_high * (n_high - 1)) / pairs - 1) : 0;
}

static int by_both(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->value != y->value) return (x->value > y->value) - (x->value < y->value);
  return (x->rank > y->rank) - (x->rank < y->rank);
}

/* How far beyond the most common class one comes by saying, for each value of x, its most common
 * one: 1 when x tells all. Leaves x in another order. */
static double told_by_value(screen *s) {
  size_t most = 0, right = 0;
  for (size_t i = 0; i < s->n; i++) s->count[i] = 0;
  for (size_t i = 0; i < s->n; i++) { /* the rank of y names its class */
    size_t at = (size_t)s->y[i].rank;
    if (++s->count[at] > most) most = s->count[at];
    s->x[i].rank = s->y[i].rank;
  }
  qsort(s->x, s->n, sizeof *s->x, by_both);
  for (size_t i = 0, end; i < s->n; i = end) {
    size_t best = 0, run = 0;
    for (end = i; end < s->n && s->x[end].value == s->x[i].value; end++) {
      run = end > i && s->x[end].rank == s->x[end - 1].rank ? run + 1 : 1;
      if (run > best) best = run;
    }
    right += best;
  }
  return most < s->n ? (double)(right - most) / (double)(s->n - most) : 0;
}

static bool same_cell(const column *a, size_t i, const column *b, size_t k) {
  if (a->type == COLUMN_CATEGORY && b->type == COLUMN_CATEGORY)
    return a->code[i] >= 0 && b->code[k] >= 0 &&
           strcmp(a->names[a->code[i]], b->names[b->code[k]]) == 0;
  if (a->type == COLUMN_CATEGORY || b->type == COLUMN_CATEGORY) return false;
  return column_f64(a, i) == column_f64(b, k);
}

/* Share of rows on which the column is the target `steps` rows ahead. Ahead, only rows on which
 * the target is not what it was the row before count: else whatever stands still is a copy. */
static double copied(const screen *s, const column *c, size_t steps) {
  size_t same = 0, n = 0;
  for (size_t i = 0; i + steps < s->t->n_rows; i++) {
    size_t k = i + steps;
    if (column_is_missing(c, i) || column_is_missing(s->target, k)) continue;
    if (steps > 0 && same_cell(s->target, k, s->target, k - 1)) continue;
    n++;
    same += same_cell(c, i, s->target, k);
  }
  return n >= TARGET_MIN_ROWS ? (double)same / (double)n : 0;
}

/* Rows where both are known; false when too few or one of them does not vary. */
static bool load(screen *s, const column *c, size_t *n_x, size_t *n_y) {
  s->n = 0;
  for (size_t i = 0; i < s->t->n_rows; i++) {
    double x = column_f64(c, i), y = column_f64(s->target, i);
    if (isnan(x) || isnan(y)) continue;
    s->x[s->n] = (ranked){.value = x, .row = i};
    s->y[s->n++] = (ranked){.value = y, .row = i};
  }
  if (s->n < TARGET_MIN_ROWS) return false;
  *n_x = rank_values(s->x, s->n);
  *n_y = rank_values(s->y, s->n);
  qsort(s->x, s->n, sizeof *s->x, by_row);
  qsort(s->y, s->n, sizeof *s->y, by_row);
  return *n_x > 1 && *n_y > 1;
}

static bool examine(leak *out, screen *s, const column *c) {
  *out = (leak){.p = NAN};
  snprintf(out->column, sizeof out->column, "%s", c->name);
  size_t steps = s->t->time_column >= 0 ? TARGET_STEPS : 0, n_x, n_y;
  if (!load(s, c, &n_x, &n_y)) return false;
  for (size_t k = 0; k <= steps; k++) {
    double share = copied(s, c, k);
    if (share < copy_share) continue;
    out->shift = (int)k;
    out->score = share;
    snprintf(out->kind, sizeof out->kind, "copies-target");
    return true;
  }
  bool names = c->type == COLUMN_CATEGORY, classes = s->target->type == COLUMN_CATEGORY;
  if (!names && !classes) out->score = rank_r2(s);
  if (!names && n_y == 2) out->score = fmax(out->score, separation(s));
  if (n_y <= s->n / FEW_ROWS_A_VALUE && n_x <= s->n / FEW_ROWS_A_VALUE)
    out->score = fmax(out->score, told_by_value(s));
  snprintf(out->kind, sizeof out->kind, "near-perfect");
  return out->score >= near_perfect;
}

garam_status audit_target(leak *out, size_t n, size_t *n_found, const table *t, int target,
                          garam_error *err) {
  *n_found = 0;
  REQUIRE(target >= 0 && (size_t)target < t->n_columns, "audit_target: column %d", target);
  screen s = {.t = t, .target = &t->columns[target]};
  garam_status status = GARAM_OK;
  s.x = mem_array(t->n_rows + 1, sizeof *s.x);
  s.y = mem_array(t->n_rows + 1, sizeof *s.y);
  s.count = mem_array(t->n_rows + 1, sizeof *s.count);
  if (!s.x || !s.y || !s.count) status = fail_memory(err, t->n_rows * sizeof *s.x);
  for (size_t i = 0; status == GARAM_OK && i < t->n_columns; i++) {
    leak found;
    if ((int)i == target || (int)i == t->time_column || !examine(&found, &s, &t->columns[i]))
      continue;
    if (*n_found < n) out[*n_found] = found;
    ++*n_found;
  }
  mem_free(s.x);
  mem_free(s.y);
  mem_free(s.count);
  return status;
}
