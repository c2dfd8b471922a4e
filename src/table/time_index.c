/* What is wrong with the times of a table, and the repairs that a user may ask for. */
#include "table/table.h"

#include "base/mem.h"

#include <string.h>

/* Stable merge sort of rows by their time; missing times come first. `spare` holds n rows. */
static void sort_rows(size_t *rows, size_t *spare, const int64_t *times, size_t n) {
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t begin = 0; begin < n; begin += 2 * width) {
      size_t middle = begin + width < n ? begin + width : n;
      size_t end = begin + 2 * width < n ? begin + 2 * width : n;
      size_t a = begin, b = middle;
      for (size_t to = begin; to < end; to++) {
        bool left = a < middle && (b == end || times[rows[a]] <= times[rows[b]]);
        spare[to] = left ? rows[a++] : rows[b++];
      }
    }
    memcpy(rows, spare, n * sizeof *rows);
  }
}

/* Rows in the order of their times, without missing ones; NULL when memory is out. */
static size_t *rows_by_time(const table *t, size_t *n_out) {
  const column *c = &t->columns[t->time_column];
  size_t *rows = mem_array(t->n_rows, sizeof *rows), *spare = NULL, n = 0;
  if (!rows) return NULL;
  bool sorted = true;
  for (size_t i = 0; i < t->n_rows; i++) {
    if (c->i64[i] == COLUMN_I64_MISSING) continue;
    if (n > 0 && c->i64[i] < c->i64[rows[n - 1]]) sorted = false;
    rows[n++] = i;
  }
  *n_out = n;
  if (sorted) return rows;
  spare = mem_array(n, sizeof *spare);
  if (!spare) {
    mem_free(rows);
    return NULL;
  }
  sort_rows(rows, spare, c->i64, n);
  mem_free(spare);
  return rows;
}

/* ---- the most frequent step -------------------------------------------------------------- */

typedef struct step_count {
  int64_t step; /* 0: free */
  size_t count;
} step_count;

typedef struct step_table { /* open addressing, a power of two, at most half full */
  step_count *slots;
  size_t n_slots, used;
} step_table;

static step_count *step_slot(const step_table *s, int64_t step) {
  size_t mask = s->n_slots - 1;
  size_t at = (size_t)((uint64_t)step * UINT64_C(0x9E3779B97F4A7C15) >> 20) & mask;
  while (s->slots[at].step != 0 && s->slots[at].step != step) at = (at + 1) & mask;
  return &s->slots[at];
}

static garam_status step_add(step_table *s, int64_t step, garam_error *err) {
  if (s->used * 2 >= s->n_slots) {
    step_table grown = {.n_slots = s->n_slots ? s->n_slots * 2 : 64, .used = s->used};
    grown.slots = mem_array(grown.n_slots, sizeof *grown.slots);
    if (!grown.slots) return fail_memory(err, grown.n_slots * sizeof *grown.slots);
    for (size_t i = 0; i < s->n_slots; i++)
      if (s->slots[i].step) *step_slot(&grown, s->slots[i].step) = s->slots[i];
    mem_free(s->slots);
    *s = grown;
  }
  step_count *slot = step_slot(s, step);
  s->used += slot->step == 0;
  slot->step = step;
  slot->count++;
  return GARAM_OK;
}

/* The most frequent; of equally frequent ones the shortest. */
static int64_t step_mode(const step_table *s) {
  step_count best = {0};
  for (size_t i = 0; i < s->n_slots; i++) {
    const step_count *c = &s->slots[i];
    if (c->count > best.count || (c->count == best.count && c->step < best.step)) best = *c;
  }
  return best.step;
}

garam_status table_time_check(table_time_report *out, const table *t, garam_error *err) {
  *out = (table_time_report){0};
  if (t->time_column < 0) return fail(err, GARAM_INVALID, "%s: no time column", t->source);
  const int64_t *times = t->columns[t->time_column].i64;
  int64_t above = COLUMN_I64_MISSING;
  for (size_t i = 0; i < t->n_rows; i++) {
    if (times[i] == COLUMN_I64_MISSING) continue;
    if (times[i] < above && out->n_unsorted++ == 0) out->first_unsorted = i;
    above = times[i];
  }
  step_table steps = {0};
  garam_status status = GARAM_OK;
  size_t n;
  size_t *rows = rows_by_time(t, &n);
  if (!rows) return fail_memory(err, t->n_rows * sizeof *rows);
  if (n == 0) {
    status = fail(err, GARAM_PARSE, "%s: column \"%s\": every time is missing", t->source,
                  t->columns[t->time_column].name);
    goto done;
  }
  out->start = times[rows[0]];
  out->end = times[rows[n - 1]];
  for (size_t i = 1; i < n; i++) {
    int64_t step;
    if (__builtin_sub_overflow(times[rows[i]], times[rows[i - 1]], &step)) step = INT64_MAX;
    if (step > 0) {
      TRY_GOTO(done, step_add(&steps, step, err));
    } else if (out->n_duplicates++ == 0 || rows[i] < out->first_duplicate) {
      out->first_duplicate = rows[i];
    }
  }
  out->step = step_mode(&steps);
  for (size_t i = 1; i < n; i++) {
    int64_t step;
    if (__builtin_sub_overflow(times[rows[i]], times[rows[i - 1]], &step)) step = INT64_MAX;
    if (step - out->step <= out->step / 2) continue;
    out->n_gaps++;
    if (step > out->largest_gap) {
      out->largest_gap = step;
      out->largest_gap_row = rows[i];
    }
  }
done:
  mem_free(steps.slots);
  mem_free(rows);
  return status;
}

/* ---- repairs ------------------------------------------------------------------------------ */

/* Each repair works on `rows`, the rows kept so far in their order. `order`, `spare` and `drop`
 * are as long as the table. */
typedef struct repair {
  const table *t;
  const int *columns;
  size_t n_columns;
  size_t *rows, *order, *spare;
  bool *drop; /* by row of the table */
  size_t n, n_changed;
} repair;

static const int64_t *repair_times(const repair *r) {
  return r->t->columns[r->t->time_column].i64;
}

static void repair_drop(repair *r) {
  size_t kept = 0;
  for (size_t i = 0; i < r->n; i++)
    if (!r->drop[r->rows[i]]) r->rows[kept++] = r->rows[i];
  r->n_changed += r->n - kept;
  r->n = kept;
}

static void repair_sort(repair *r) {
  memcpy(r->order, r->rows, r->n * sizeof *r->rows);
  sort_rows(r->rows, r->spare, repair_times(r), r->n);
  for (size_t i = 0; i < r->n; i++) r->n_changed += r->rows[i] != r->order[i];
}

static void repair_deduplicate(repair *r) {
  const int64_t *times = repair_times(r);
  memcpy(r->order, r->rows, r->n * sizeof *r->rows);
  sort_rows(r->order, r->spare, times, r->n);
  for (size_t i = 0; i < r->n; i++) {
    int64_t at = times[r->order[i]];
    r->drop[r->order[i]] = at != COLUMN_I64_MISSING && i + 1 < r->n && times[r->order[i + 1]] == at;
  }
  repair_drop(r);
}

static void repair_drop_missing(repair *r) {
  size_t n = r->columns ? r->n_columns : r->t->n_columns;
  for (size_t i = 0; i < r->n; i++) {
    bool missing = false;
    for (size_t k = 0; k < n && !missing; k++) {
      size_t at = r->columns ? (size_t)r->columns[k] : k;
      missing = column_is_missing(&r->t->columns[at], r->rows[i]);
    }
    r->drop[r->rows[i]] = missing;
  }
  repair_drop(r);
}

static const struct {
  const char *name;
  bool needs_time;
  void (*run)(repair *r);
} repairs[] = {
    {"sort", true, repair_sort},
    {"deduplicate", true, repair_deduplicate},
    {"drop-missing", false, repair_drop_missing},
};

static garam_status repair_named(repair *r, const char *name, garam_error *err) {
  const char *names[COUNT_OF(repairs)];
  for (size_t i = 0; i < COUNT_OF(repairs); i++) {
    names[i] = repairs[i].name;
    if (strcmp(name, repairs[i].name) != 0) continue;
    if (repairs[i].needs_time && r->t->time_column < 0)
      return fail(err, GARAM_INVALID, "%s: repair %s: no time column", r->t->source, name);
    repairs[i].run(r);
    return GARAM_OK;
  }
  const char *near = name_nearest(name, names, COUNT_OF(names));
  return fail(err, GARAM_INVALID,
              "repair \"%s\" is not one of sort, deduplicate, drop-missing%s%s%s", name,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

garam_status table_repair(table **out, const table *t, const char *list, const int *columns,
                          size_t n_columns, size_t *n_changed, garam_error *err) {
  repair r = {.t = t, .columns = columns, .n_columns = n_columns, .n = t->n_rows};
  garam_status status = GARAM_OK;
  *out = NULL;
  *n_changed = 0;
  char *names = mem_strdup(list);
  r.rows = mem_array(t->n_rows, sizeof *r.rows);
  r.order = mem_array(t->n_rows, sizeof *r.order);
  r.spare = mem_array(t->n_rows, sizeof *r.spare);
  r.drop = mem_array(t->n_rows, sizeof *r.drop);
  if (!names || !r.rows || !r.order || !r.spare || !r.drop) {
    status = fail_memory(err, t->n_rows * sizeof *r.rows);
    goto done;
  }
  for (size_t i = 0; i < r.n; i++) r.rows[i] = i;
  char *rest = names;
  for (char *name; (name = strsep(&rest, ",")) != NULL;)
    if (*name) TRY_GOTO(done, repair_named(&r, name, err));
  TRY_GOTO(done, table_take(out, t, r.rows, r.n, err));
  *n_changed = r.n_changed;
done:
  mem_free(r.drop);
  mem_free(r.spare);
  mem_free(r.order);
  mem_free(r.rows);
  mem_free(names);
  return status;
}
