/* A learner that goes on learning, evaluated: a walk through time in which each outcome counts once
 * it is known, and its parts beside the whole. */
#include "learn/evaluate_inner.h"

#include "base/mem.h"

#include <math.h>

static json_t *part_to_json(const evaluation *e, const char *name, const float *out,
                            const backtest_report *money) {
  json_t *o = json_pack("{s:s}", "name", name);
  if (!o) return NULL;
  if (e->k > 0) {
    json_object_set_new(o, "accuracy", json_number_or_null(metric_accuracy(out, e->y, e->n, e->k)));
    json_object_set_new(o, "log_loss",
                        json_number_or_null(metric_log_loss(out, e->y, e->weight, e->n, e->k)));
    json_object_set_new(o, "brier", json_number_or_null(metric_brier(out, e->y, e->n, e->k)));
  } else {
    json_object_set_new(o, "mse", json_number_or_null(metric_mse(out, e->value, e->weight, e->n)));
    json_object_set_new(o, "mae", json_number_or_null(metric_mae(out, e->value, e->weight, e->n)));
  }
  if (!money) return o;
  json_object_set_new(o, "net_return", json_number_or_null(money->net_return));
  json_object_set_new(o, "gross_return", json_number_or_null(money->gross_return));
  json_object_set_new(o, "sharpe", json_number_or_null(money->sharpe));
  json_object_set_new(o, "turnover", json_number_or_null(money->turnover));
  return o;
}

/* Each part as if it had been alone, at temperature 1: what it is made of is calibrated by itself.
 */
static garam_status put_parts(evaluation *e, const stream_views *v, garam_error *err) {
  const learner_stream *s = e->p->ops->stream;
  learner *l = e->p->learner;
  size_t k = (size_t)pipeline_n_outputs(e->p), width = s->width(l);
  pipeline alone = {.ops = e->p->ops,
                    .shape = e->p->shape,
                    .value_center = e->p->value_center,
                    .value_scale = e->p->value_scale};
  calibrator_init(&alone.calibrator, e->k);
  float *out = mem_array(e->n * k, sizeof *out);
  json_t *array = json_array();
  garam_status status = out && array ? GARAM_OK : fail_memory(err, e->n * k * sizeof *out);
  for (size_t i = 0; i < s->n_parts(l) && status == GARAM_OK; i++) {
    backtest_report money = {0};
    for (size_t j = 0; j < e->n; j++)
      s->part(l, v->views + v->at[e->rows[j]] * width, i, out + j * k);
    status = pipeline_finish(&alone, out, e->n, err);
    if (status == GARAM_OK && e->p->market) status = evaluate_money(&money, e, out, err);
    if (status == GARAM_OK &&
        json_array_append_new(
            array, part_to_json(e, s->part_name(l, i), out, e->p->market ? &money : NULL)) != 0)
      e->no_memory = true;
    backtest_deinit(&money);
  }
  evaluation_put(e, e->detail, "parts", array);
  mem_free(out);
  return status;
}

garam_status evaluate_stream(evaluation *e, garam_error *err) {
  const learner_stream *s = e->p->ops->stream;
  row_set asked = {e->rows, e->n}, outcomes = {e->fresh, e->d->known_at ? e->n_fresh : 0};
  stream_views v;
  if (s->bounds && e->k == 0) {
    e->bounds = mem_array(2 * e->n + 1, sizeof *e->bounds);
    if (!e->bounds) return fail_memory(err, 2 * e->n * sizeof *e->bounds);
  }
  TRY(stream_views_init(&v, e->p, e->d, asked, outcomes, err));
  garam_status status =
      stream_walk(e->p->learner, e->d, asked, outcomes, v.views, v.at,
                  (size_t)pipeline_n_outputs(e->p), false, e->out, e->bounds, err);
  if (status == GARAM_OK) status = pipeline_finish(e->p, e->out, e->n, err);
  size_t k = (size_t)pipeline_n_outputs(e->p), features = e->d->n_features;
  for (size_t i = 0; e->p->novelty.n > 0 && i < e->n; i++)
    if (pipeline_is_new(e->p, e->d->x + e->rows[i] * features)) {
      pipeline_prior(e->p, e->out + i * k);
      if (e->bounds) e->bounds[2 * i] = -INFINITY, e->bounds[2 * i + 1] = INFINITY;
    }
  evaluation_put(e, e->detail, "stream", s->describe(e->p->learner));
  s->rewind(e->p->learner);
  if (status == GARAM_OK && s->n_parts(e->p->learner) > 0) status = put_parts(e, &v, err);
  stream_views_deinit(&v);
  return status;
}
