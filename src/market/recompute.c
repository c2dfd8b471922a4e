/* The proof that nothing peeks: everything is computed again with the future cut off, and must
 * come out the same, to the bit. */
#include "market/market.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

/* All that is derived from a table. */
typedef struct derived {
  bars *b;
  feature_matrix *m;
  labels *l;
} derived;

static void derived_deinit(derived *d) {
  labels_free(d->l);
  feature_matrix_free(d->m);
  bars_free(d->b);
}

static garam_status derive(derived *d, const table *t, const bars_config *bc,
                           const feature_spec *fs, const label_spec *ls, size_t train_rows,
                           garam_error *err) {
  *d = (derived){0};
  TRY(bars_open(&d->b, t, bc, err));
  TRY(features_compute(&d->m, d->b, fs, err));
  return labels_compute(&d->l, d->b, ls, train_rows, err);
}

static bool same_f32(float a, float b) {
  return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

static bool same_f64(double a, double b) {
  return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

/* Feature row t of `whole` against row s of `part`. */
static garam_status compare_features(const derived *whole, size_t t, const derived *part, size_t s,
                                     const char *how, garam_error *err) {
  const feature_matrix *w = whole->m, *p = part->m;
  if (w->n_features != p->n_features)
    return fail(err, GARAM_MISMATCH, "%s: %zu features with the future, %zu %s",
                whole->b->source->source, w->n_features, p->n_features, how);
  for (size_t i = 0; i < w->n_features; i++) {
    float a = w->x[t * w->n_features + i], b = p->x[s * p->n_features + i];
    if (strcmp(w->names[i], p->names[i]) != 0)
      return fail(err, GARAM_MISMATCH, "%s: feature \"%s\" is \"%s\" %s", whole->b->source->source,
                  w->names[i], p->names[i], how);
    if (!same_f32(a, b))
      return fail(err, GARAM_MISMATCH,
                  "%s:%llu: feature \"%s\" at row %zu is %.9g, but %.9g %s: it peeks",
                  whole->b->source->source, (unsigned long long)table_line(whole->b->source, t),
                  w->names[i], t + 1, (double)a, (double)b, how);
  }
  return GARAM_OK;
}

/* Everything up to the cut against the same with the future. */
static garam_status compare_cut(const derived *whole, const derived *cut, garam_error *err) {
  size_t n = cut->b->n_rows;
  const char *source = whole->b->source->source;
  for (size_t t = 0; t < n; t++)
    TRY(compare_features(whole, t, cut, t, "with the future cut off", err));
  for (size_t t = 0; t < n; t++) {
    const labels *w = whole->l, *c = cut->l;
    /* The last row's end is not yet bounded by the row after it. */
    if (t + 1 < n && whole->m->known_at[t] != cut->m->known_at[t])
      return fail(err, GARAM_MISMATCH,
                  "%s: the time at which row %zu is known changes when the rows after %zu are cut",
                  source, t + 1, n);
    if (c->y[t] < 0) continue;
    bool last = c->end_row[t] + 1 == n;
    if (w->y[t] != c->y[t] || !same_f64(w->value[t], c->value[t]) ||
        w->end_row[t] != c->end_row[t] || (!last && w->end[t] != c->end[t]))
      return fail(
          err, GARAM_MISMATCH,
          "%s: the label of row %zu (class %d, %.17g, ends on row %u) is another (%d, %.17g, "
          "%u) when the rows after %zu are cut off, where its outcome was known",
          source, t + 1, w->y[t], w->value[t], w->end_row[t] + 1, c->y[t], c->value[t],
          c->end_row[t] + 1, n);
  }
  for (size_t t = 0; t < n; t++) /* and none is known before its end */
    if (cut->l->y[t] >= 0 && cut->l->end_row[t] >= n)
      return fail(err, GARAM_MISMATCH, "%s: the label of row %zu ends after the last row", source,
                  t + 1);
  return GARAM_OK;
}

/* The last look_back rows alone must give the same features: what a stream and a server have. */
static garam_status compare_tail(const derived *whole, const table *t, const bars_config *bc,
                                 size_t row, garam_error *err) {
  size_t look_back;
  TRY(features_look_back(&look_back, whole->m->names, whole->m->n_features, err));
  if (row + 1 < look_back) return GARAM_OK;
  garam_status status = GARAM_OK;
  derived tail = {0};
  table *part = NULL;
  size_t *rows = mem_array(look_back, sizeof *rows);
  if (!rows) return fail_memory(err, look_back * sizeof *rows);
  for (size_t i = 0; i < look_back; i++) rows[i] = row + 1 - look_back + i;
  TRY_GOTO(done, table_take(&part, t, rows, look_back, err));
  TRY_GOTO(done, bars_open(&tail.b, part, bc, err));
  TRY_GOTO(done,
           features_compute_named(&tail.m, tail.b, whole->m->names, whole->m->n_features, err));
  TRY_GOTO(done, compare_features(whole, row, &tail, look_back - 1,
                                  "from the rows of its look back alone", err));
done:
  derived_deinit(&tail);
  table_free(part);
  mem_free(rows);
  return status;
}

garam_status audit_recompute(const table *t, const bars_config *bc, const feature_spec *fs,
                             const label_spec *ls, size_t n_cuts, garam_error *err) {
  garam_status status = GARAM_OK;
  derived whole;
  /* An automatic dead band is chosen on the first half, and every cut comes after it. */
  size_t train_rows = t->n_rows / 2;
  TRY_GOTO(done, derive(&whole, t, bc, fs, ls, train_rows, err));
  rng r;
  rng_init(&r, t->n_rows, RNG_AUDIT, 0);
  for (size_t i = 0; i < n_cuts && status == GARAM_OK; i++) {
    size_t room = t->n_rows - train_rows;
    size_t n = train_rows + 1 + (size_t)rng_below(&r, room);
    if (i == 0) n = t->n_rows - (t->n_rows > train_rows + 1); /* one row less, always */
    derived cut = {0};
    table *head = NULL;
    status = table_head(&head, t, n, err);
    if (status == GARAM_OK) status = derive(&cut, head, bc, fs, ls, train_rows, err);
    if (status == GARAM_OK) status = compare_cut(&whole, &cut, err);
    if (status == GARAM_OK) status = compare_tail(&whole, t, bc, n - 1, err);
    derived_deinit(&cut);
    table_free(head);
  }
done:
  derived_deinit(&whole);
  return status;
}
