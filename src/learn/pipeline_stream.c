/* Learners that go on learning, inside a pipeline: views of a dataset's rows for a walk in time,
 * and outcomes one at a time. */
#include "learn/pipeline_inner.h"

#include "base/mem.h"

enum { VIEW_ROWS = 256 };

bool pipeline_streams(const pipeline *p) {
  REQUIRE(!p->ops->stream || !p->ops->wants_scaled, "%s: learns on from raw rows", p->ops->name);
  return p->ops->stream != NULL;
}

void stream_views_deinit(stream_views *v) {
  mem_free((void *)(uintptr_t)v->rows.rows);
  mem_free(v->at);
  mem_free(v->views);
  *v = (stream_views){0};
}

static garam_status fill(stream_views *v, pipeline *p, const dataset *d, garam_error *err) {
  const learner_stream *s = p->ops->stream;
  size_t window = p->context * d->n_features, width = s->width(p->learner);
  size_t most = ((size_t)1 << 20) / window, size;
  most = most < 1 ? 1 : most > VIEW_ROWS ? VIEW_ROWS : most;
  if (!size_mul(&size, v->rows.n, width)) return fail_memory(err, SIZE_MAX);
  v->views = mem_array(size + 1, sizeof *v->views);
  float *x = mem_array(most * window, sizeof *x);
  int32_t *begin = mem_array(most, sizeof *begin);
  garam_status status = v->views && x && begin ? GARAM_OK : fail_memory(err, size * sizeof *x);
  for (size_t i = 0; i < v->rows.n && status == GARAM_OK; i += most) {
    size_t n = v->rows.n - i < most ? v->rows.n - i : most;
    dataset_gather(x, begin, d, v->rows.rows + i, n, p->context);
    status = s->view(p->learner, x, begin, n, v->views + i * width, err);
  }
  mem_free(x);
  mem_free(begin);
  return status;
}

garam_status stream_views_init(stream_views *out, pipeline *p, const dataset *d, row_set a,
                               row_set b, garam_error *err) {
  *out = (stream_views){0};
  out->at = mem_array(d->n_rows + 1, sizeof *out->at);
  if (!out->at) return fail_memory(err, d->n_rows * sizeof *out->at);
  garam_status status = stream_rows(&out->rows, out->at, d, a, b, err);
  if (status == GARAM_OK) status = fill(out, p, d, err);
  if (status != GARAM_OK) stream_views_deinit(out);
  return status;
}

garam_status pipeline_observe(pipeline *p, const float *x, const int32_t *begin, int32_t y,
                              float value, garam_error *err) {
  const learner_stream *s = p->ops->stream;
  if (!s)
    return fail(err, GARAM_UNSUPPORTED, "%s: does not go on learning from outcomes", p->ops->name);
  if (p->shape.n_classes > 0 && (y < 0 || y >= p->shape.n_classes))
    return fail(err, GARAM_INVALID, "class %d of %d", (int)y, p->shape.n_classes);
  TRY(mem_grow(&p->view, &p->view_capacity, s->width(p->learner), sizeof *p->view, err));
  TRY(s->view(p->learner, x, begin, 1, p->view, err));
  s->observe(p->learner, p->view, y, value);
  s->keep(p->learner);
  return GARAM_OK;
}
