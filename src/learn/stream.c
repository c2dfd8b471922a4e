/* Walks through time: see stream.h. */
#include "learn/stream.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

typedef struct event {
  int64_t time;
  uint32_t row, place; /* place: in the set that it came from */
} event;

static int compare_events(const void *a, const void *b) {
  const event *x = a, *y = b;
  if (x->time != y->time) return x->time < y->time ? -1 : 1;
  return x->row < y->row ? -1 : x->row > y->row;
}

static garam_status sort_events(event **out, row_set rows, const int64_t *time, garam_error *err) {
  event *e = mem_array(rows.n + 1, sizeof *e);
  *out = e;
  if (!e) return fail_memory(err, rows.n * sizeof *e);
  for (size_t i = 0; i < rows.n; i++)
    e[i] = (event){time ? time[rows.rows[i]] : 0, rows.rows[i], (uint32_t)i};
  qsort(e, rows.n, sizeof *e, compare_events);
  return GARAM_OK;
}

garam_status stream_walk(learner *l, const dataset *d, row_set asked, row_set outcomes,
                         const float *views, const uint32_t *at, size_t n_outputs, bool rest,
                         float *out, float *bounds, garam_error *err) {
  const learner_stream *s = l->ops->stream;
  size_t width = s->width(l), next = 0;
  event *questions = NULL, *known = NULL;
  garam_status status;
  TRY_GOTO(done, sort_events(&questions, asked, d->known_at, err));
  TRY_GOTO(done, sort_events(&known, outcomes, d->label_end ? d->label_end : d->known_at, err));
  for (size_t i = 0; i <= asked.n; i++) {
    for (; next < outcomes.n; next++) {
      const event *e = &known[next];
      if (i == asked.n ? !rest : !d->known_at || e->time > questions[i].time) break;
      s->observe(l, views + at[e->row] * width, d->y ? d->y[e->row] : 0, d->value[e->row]);
    }
    if (i == asked.n) break;
    const float *view = views + at[questions[i].row] * width;
    s->answer(l, view, out + questions[i].place * n_outputs);
    if (bounds) s->bounds(l, view, bounds + 2 * questions[i].place);
  }
done:
  mem_free(questions);
  mem_free(known);
  return status;
}

garam_status stream_rows(row_set *out, uint32_t *at, const dataset *d, row_set a, row_set b,
                         garam_error *err) {
  uint32_t *rows = mem_array(a.n + b.n + 1, sizeof *rows);
  size_t n = 0;
  *out = (row_set){0};
  if (!rows) return fail_memory(err, (a.n + b.n) * sizeof *rows);
  memset(at, 0, d->n_rows * sizeof *at);
  for (size_t i = 0; i < a.n; i++) at[a.rows[i]] = 1;
  for (size_t i = 0; i < b.n; i++) at[b.rows[i]] = 1;
  for (size_t i = 0; i < d->n_rows; i++) {
    if (!at[i]) continue;
    at[i] = (uint32_t)n;
    rows[n++] = (uint32_t)i;
  }
  *out = (row_set){rows, n};
  return GARAM_OK;
}
