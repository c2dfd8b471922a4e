/* The training loop: see loop.h. */
#include "train/loop.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/identity.h"
#include "train/schedule.h"
#include "train/update.h"

#include <math.h>
#include <string.h>

enum { TELL_BYTES = 256 << 20 }; /* runs that take more say so before they begin */

/* Sums over the epoch under way; they go into checkpoints, so that a resumed epoch reports what
 * an uninterrupted one does. */
enum { SUM_LOSS, SUM_WEIGHT, SUM_HITS, SUM_ROWS, SUM_SECONDS };

typedef struct loop {
  net_learner *l;
  const train_config *config;
  const dataset *d;
  const fit_context *fit;
  uint32_t *train_rows, *valid_rows; /* those that can be learned from */
  row_set train, valid;              /* views of them */
  bool classes;                      /* a target is a class */
  float *class_weights;
  train_config chosen; /* config, with the micro-batch of the run that is resumed */
  update update;
  batch_order order;
  uint64_t epoch_steps, n_steps;
  checkpoint state; /* its arrays are the optimiser's and the learner's */
  char *last_path, *best_path;
  events *events;
  double rate;     /* of the step under way */
  int64_t started; /* clock when this process began the epoch under way */
} loop;

static double seconds_since(int64_t then) {
  return (double)(clock_monotonic_ns() - then) * 1e-9;
}

static double row_weight(const loop *t, size_t row) {
  double w = t->d->weight ? t->d->weight[row] : 1;
  return t->classes ? w * t->class_weights[t->d->y[row]] : w;
}

/* ---- one step ------------------------------------------------------------------------------- */

/* Fills the plan's inputs; returns the sum of weights. Places beyond the rows have weight 0 and no
 * class. */
static double load_part(loop *t, row_set rows) {
  program *p = &t->update.program;
  const size_t batch = (size_t)p->batch, window = t->l->context * t->d->n_features;
  float *weight = p->weight, *value = p->value, *x = p->x;
  double sum = 0;
  batch_windows(x, p->begin, t->d, t->l->context, rows.rows, rows.n);
  memset(x + rows.n * window, 0, (batch - rows.n) * window * sizeof *x);
  for (size_t i = 0; i < batch; i++) {
    bool there = i < rows.n;
    weight[i] = there ? (float)row_weight(t, rows.rows[i]) : 0;
    if (t->classes) p->target[i] = there ? t->d->y[rows.rows[i]] : -1;
    else value[i] = there ? t->d->value[rows.rows[i]] : 0;
    if (!there) p->begin[i] = 0;
    sum += (double)weight[i];
  }
  return sum;
}

static size_t best_class(const float *scores, size_t n) {
  size_t best = 0;
  for (size_t k = 1; k < n; k++)
    if (scores[k] > scores[best]) best = k;
  return best;
}

static garam_status numeric_failure(const loop *t, const char *what, double value,
                                    garam_error *err) {
  return fail(err, GARAM_NUMERIC,
              "training left the finite numbers: the %s is %g at step %llu (epoch %llu, learning "
              "rate %.3g); try a lower --learning-rate, a longer --warmup or a smaller --clip, "
              "and look for extreme values in the data (garam describe)",
              what, value, (unsigned long long)t->state.step + 1,
              (unsigned long long)(t->state.step / t->epoch_steps) + 1, t->rate);
}

/* The part's rows, or none where a short last batch has ended before. */
static row_set part_rows(const loop *t, row_set rows, uint64_t part) {
  size_t micro = (size_t)t->update.micro, from = (size_t)part * micro;
  if (from >= rows.n) return (row_set){rows.rows, 0};
  return (row_set){rows.rows + from, rows.n - from < micro ? rows.n - from : micro};
}

static garam_status run_parts(loop *t, row_set rows, double total, garam_error *err) {
  for (uint64_t part = 0; part < t->update.n_parts; part++) {
    row_set some = part_rows(t, rows, part);
    if (some.n == 0) break;
    double weight = load_part(t, some);
    TRY(update_part(&t->update, t->state.step, part, total > 0 ? weight / total : 0, err));
    const float *scores = t->update.program.scores;
    for (size_t i = 0; t->classes && i < some.n; i++)
      t->state.sums[SUM_HITS] += best_class(scores + i * t->l->n_outputs, t->l->n_outputs) ==
                                 (size_t)t->d->y[some.rows[i]];
  }
  return GARAM_OK;
}

static garam_status run_step(loop *t, garam_error *err) {
  const uint64_t step = t->state.step;
  row_set rows = batch_order_at(&t->order, step);
  double weight = 0;
  for (size_t i = 0; i < rows.n; i++) weight += (double)(float)row_weight(t, rows.rows[i]);
  TRY(run_parts(t, rows, weight, err));
  double loss = t->update.loss;
  t->rate = schedule_rate(t->config, step, t->n_steps, t->epoch_steps);
  if (weight > 0) {
    if (!isfinite(loss)) return numeric_failure(t, "loss", loss, err);
    double norm = update_finish(&t->update, step, t->rate);
    if (!isfinite(norm)) return numeric_failure(t, "norm of the gradient", norm, err);
    t->state.sums[SUM_LOSS] += loss * weight;
    t->state.sums[SUM_WEIGHT] += weight;
  }
  t->state.sums[SUM_ROWS] += (double)rows.n;
  t->state.step++;
  if (t->fit->on_step)
    t->fit->on_step(t->fit->context, (int)(step / t->epoch_steps) + 1, t->state.step, t->n_steps,
                    loss);
  return GARAM_OK;
}

/* ---- validation --------------------------------------------------------------------------------
 */

/* The loss of one row as in training, but without smoothing. */
static double row_loss(const loop *t, const float *scores, size_t row) {
  const size_t k = t->l->n_outputs;
  if (t->classes) {
    double top = scores[best_class(scores, k)], sum = 0;
    for (size_t j = 0; j < k; j++) sum += exp((double)scores[j] - top);
    return top + log(sum) - (double)scores[t->d->y[row]];
  }
  double delta = t->config->huber;
  double e = fabs((double)scores[0] - (double)t->d->value[row]);
  if (delta > 0) return e <= delta ? 0.5 * e * e : delta * (e - 0.5 * delta);
  return e * e;
}

static garam_status validate(loop *t, double *loss, double *accuracy, garam_error *err) {
  double sum = 0, weights = 0, hits = 0;
  *loss = *accuracy = NAN;
  for (size_t at = 0; at < t->valid.n;) {
    program *p;
    TRY(predictor_program(&p, &t->l->predictor, t->valid.n - at, err));
    const size_t batch = (size_t)p->batch;
    const uint32_t *rows = t->valid.rows + at;
    batch_windows(p->x, p->begin, t->d, t->l->context, rows, batch);
    TRY(plan_run(p->plan, 0, err));
    for (size_t i = 0; i < batch; i++) {
      const float *scores = (const float *)p->scores + i * t->l->n_outputs;
      double w = row_weight(t, rows[i]);
      sum += w * row_loss(t, scores, rows[i]);
      weights += w;
      if (t->classes) hits += best_class(scores, t->l->n_outputs) == (size_t)t->d->y[rows[i]];
    }
    at += batch;
  }
  if (weights > 0) *loss = sum / weights;
  if (t->classes && t->valid.n > 0) *accuracy = hits / (double)t->valid.n;
  return GARAM_OK;
}

/* ---- epochs
 * -------------------------------------------------------------------------------------- */

static garam_status write_last(loop *t, garam_error *err) {
  if (!t->last_path) return GARAM_OK;
  t->state.sums[SUM_SECONDS] += seconds_since(t->started);
  t->started = clock_monotonic_ns();
  return checkpoint_write(&t->state, t->last_path, err);
}

/* The best parameters by name, for whoever wants to open them. */
static garam_status write_best(loop *t, garam_error *err) {
  if (!t->best_path) return GARAM_OK;
  package_writer *w = NULL;
  json_t *meta = json_pack("{s:i, s:o, s:O}", "epoch", t->state.best_epoch, "value",
                           json_number_or_null(t->state.best_value), "identity", t->state.identity);
  garam_status status = GARAM_OK;
  if (!meta) TRY_GOTO(done, fail_memory(err, 256));
  TRY_GOTO(done, package_writer_new(&w, err));
  TRY_GOTO(done, net_save(&t->l->base, w, "", err));
  TRY_GOTO(done, package_set_meta(w, "best", meta, err));
  status = package_write(w, t->best_path, err);
done:
  package_writer_free(w);
  json_decref(meta);
  return status;
}

static bool is_better(const loop *t, const fit_epoch *e) {
  if (t->valid.n == 0) return true;
  bool by_accuracy = t->config->select == SELECT_ACCURACY && t->classes;
  double value = by_accuracy ? e->valid_accuracy : e->valid_loss;
  if (!isfinite(value)) return false;
  if (t->state.best_epoch == 0) return true;
  return by_accuracy ? value > t->state.best_value : value < t->state.best_value;
}

static garam_status end_epoch(loop *t, garam_error *err) {
  checkpoint *s = &t->state;
  fit_epoch e = {.epoch = (int)s->curve.n + 1,
                 .n_epochs = t->config->epochs,
                 .train_loss = s->sums[SUM_LOSS] / s->sums[SUM_WEIGHT],
                 .train_accuracy = t->classes ? s->sums[SUM_HITS] / s->sums[SUM_ROWS] : NAN,
                 .learning_rate =
                     schedule_rate(t->config, s->step - 1, t->n_steps, t->epoch_steps)};
  TRY(validate(t, &e.valid_loss, &e.valid_accuracy, err));
  e.best = is_better(t, &e);
  e.seconds = s->sums[SUM_SECONDS] + seconds_since(t->started);
  if (e.best) {
    s->best_epoch = e.epoch;
    s->best_value =
        t->config->select == SELECT_ACCURACY && t->classes ? e.valid_accuracy : e.valid_loss;
    memcpy(s->best, t->l->params, t->l->block * sizeof *s->best);
  }
  s->seconds += e.seconds;
  memset(s->sums, 0, sizeof s->sums);
  t->started = clock_monotonic_ns();
  curve_add(&s->curve, &e);
  if (e.best) TRY(write_best(t, err));
  TRY(write_last(t, err));
  if (t->events) {
    TRY(curve_write_events(&s->curve, t->events, err));
    TRY(curve_write(&s->curve, t->fit->events, err));
  }
  if (t->fit->on_epoch) t->fit->on_epoch(t->fit->context, &e);
  return GARAM_OK;
}

static bool patience_is_over(const loop *t) {
  int epoch = (int)t->state.curve.n;
  return t->config->patience > 0 && t->valid.n > 0 &&
         epoch - t->state.best_epoch >= t->config->patience;
}

static garam_status run(loop *t, garam_error *err) {
  t->started = clock_monotonic_ns();
  while (t->state.curve.n < (size_t)t->config->epochs && !patience_is_over(t)) {
    uint64_t end = (t->state.curve.n + 1) * t->epoch_steps;
    while (t->state.step < end) {
      TRY(run_step(t, err));
      if (t->fit->interrupted && t->fit->interrupted(t->fit->context)) {
        TRY(write_last(t, err));
        return fail(err, GARAM_INTERRUPTED, "stopped after step %llu of epoch %zu%s%s",
                    (unsigned long long)(t->state.step - (end - t->epoch_steps)),
                    t->state.curve.n + 1,
                    t->last_path ? "; go on with --resume from " : "; no checkpoint was asked for",
                    t->last_path ? t->last_path : "");
      }
    }
    TRY(end_epoch(t, err));
  }
  return GARAM_OK;
}

/* ---- beginning and end
 * ----------------------------------------------------------------------------- */

static garam_status check_data(const net_learner *l, const dataset *d, garam_error *err) {
  REQUIRE(d->task == l->shape.task && d->n_features == l->shape.n_features,
          "fit: the dataset is not of the learner's shape");
  for (size_t i = 0; i < d->n_rows * d->n_features; i++)
    if (!isfinite(d->x[i]))
      return fail(err, GARAM_INVALID,
                  "row %zu, feature \"%s\": not a finite number; scale the features and fill "
                  "missing ones first",
                  i / d->n_features, d->feature_names ? d->feature_names[i % d->n_features] : "?");
  return GARAM_OK;
}

static garam_status prepare_update(loop *t, garam_error *err) {
  program_config config = t->l->predictor.config;
  config.training = true;
  config.batch = t->config->batch;
  config.label_smoothing = t->config->label_smoothing;
  config.huber = t->config->huber;
  config.seed = t->fit->seed;
  /* What validation takes is there before the rest is planned. */
  if (t->valid.n > 0) TRY(predictor_warm(&t->l->predictor, t->valid.n, err));
  t->chosen = *t->config;
  if (t->fit->resume && t->chosen.micro_batch == 0)
    TRY(checkpoint_micro_batch(&t->chosen.micro_batch, t->last_path, err));
  const update_config wanted = {.program = config,
                                .train = &t->chosen,
                                .params = t->l->params,
                                .version = &t->l->version,
                                .other_bytes = t->l->block * sizeof *t->state.best};
  TRY(update_plan(&t->update, &wanted, err));
  REQUIRE(t->update.block == t->l->block,
          "the training graph of \"%s\" has other parameters than its graph for prediction",
          t->l->base.ops->name);
  char text[UPDATE_TEXT_MAX];
  if (t->config->memory > 0 || t->update.memory.total > TELL_BYTES)
    log_info("training takes %s", update_memory_text(text, &t->update));
  return update_prepare(&t->update, err);
}

static garam_status prepare(loop *t, row_set train, row_set valid, garam_error *err) {
  net_learner *l = t->l;
  TRY(check_data(l, t->d, err));
  TRY(batch_learnable(&t->train_rows, &t->train.n, t->d, train, err));
  TRY(batch_learnable(&t->valid_rows, &t->valid.n, t->d, valid, err));
  t->train.rows = t->train_rows;
  t->valid.rows = t->valid_rows;
  if (t->train.n == 0)
    return fail(err, GARAM_INVALID, "there are no training rows with a known target");
  for (size_t i = 0; t->classes && i < t->train.n; i++)
    REQUIRE(t->d->y[t->train_rows[i]] < l->shape.n_classes, "fit: class %d of %d",
            t->d->y[t->train_rows[i]], l->shape.n_classes);
  size_t n_classes = t->classes ? (size_t)l->shape.n_classes : 1;
  t->class_weights = mem_array(n_classes, sizeof *t->class_weights);
  if (!t->class_weights) return fail_memory(err, n_classes * sizeof *t->class_weights);
  if (t->classes) batch_class_weights(t->class_weights, t->d, t->train, t->config->class_weights);

  TRY(prepare_update(t, err));
  graph_param_init(t->update.program.graph, l->params, t->fit->seed);
  l->version++;
  TRY(batch_order_init(&t->order, t->train, (size_t)t->config->batch, t->fit->seed, err));
  t->epoch_steps =
      t->config->steps_per_epoch > 0 ? (uint64_t)t->config->steps_per_epoch : t->order.pass_steps;
  if (t->epoch_steps > t->order.pass_steps) t->epoch_steps = t->order.pass_steps;
  t->n_steps = t->epoch_steps * (uint64_t)t->config->epochs;

  checkpoint *s = &t->state;
  void *best;
  TRY(program_block(&best, &t->update.program, err));
  s->best = best;
  s->block = l->block;
  s->params = l->params;
  s->n_optim = optim_adamw_state(s->optim, t->update.optim);
  TRY(curve_reserve(&s->curve, (size_t)t->config->epochs, err));
  return identity_of(&s->identity, l, &t->update, t->d, t->train, t->valid, t->fit, err);
}

static garam_status prepare_paths(loop *t, garam_error *err) {
  const char *folder = t->fit->checkpoint;
  if (!folder)
    return t->fit->resume
               ? fail(err, GARAM_INVALID, "there is no checkpoint to resume from: none was named")
               : GARAM_OK;
  t->last_path = checkpoint_path(folder, "last");
  t->best_path = checkpoint_path(folder, "best");
  if (!t->last_path || !t->best_path) return fail_memory(err, strlen(folder) + 32);
  return io_make_folder(folder, err);
}

static garam_status prepare_files(loop *t, garam_error *err) {
  if (t->fit->resume) {
    TRY(checkpoint_read(&t->state, t->last_path, err));
    t->l->version++;
    TRY(curve_reserve(&t->state.curve, (size_t)t->config->epochs, err));
    if (t->state.step > t->n_steps || t->state.curve.n > (size_t)t->config->epochs ||
        t->state.curve.n * t->epoch_steps > t->state.step)
      return fail(err, GARAM_CORRUPT, "%s: step %llu does not fit %zu epochs", t->last_path,
                  (unsigned long long)t->state.step, t->state.curve.n);
    log_info("resumed from %s at step %llu", t->last_path, (unsigned long long)t->state.step);
  }
  return t->fit->events ? events_open(&t->events, t->fit->events, err) : GARAM_OK;
}

static garam_status summarise(const loop *t, fit_summary *out, garam_error *err) {
  const curve *c = &t->state.curve;
  if (!out) return GARAM_OK;
  *out = (fit_summary){.epochs = (int)c->n,
                       .best_epoch = t->state.best_epoch,
                       .seconds = t->state.seconds,
                       .best_valid_loss = NAN,
                       .parameters = net_parameters(&t->l->base),
                       .train_loss = mem_array(c->n + 1, sizeof(double)),
                       .valid_loss = mem_array(c->n + 1, sizeof(double))};
  if (!out->train_loss || !out->valid_loss) {
    fit_summary_deinit(out);
    return fail_memory(err, (c->n + 1) * sizeof(double));
  }
  for (size_t i = 0; i < c->n; i++) {
    out->train_loss[i] = c->rows[i][0];
    out->valid_loss[i] = c->rows[i][1];
  }
  if (t->state.best_epoch > 0) out->best_valid_loss = out->valid_loss[t->state.best_epoch - 1];
  return GARAM_OK;
}

static void release(loop *t) {
  update_deinit(&t->update);
  batch_order_deinit(&t->order);
  mem_free(t->train_rows);
  mem_free(t->valid_rows);
  mem_free(t->class_weights);
  curve_deinit(&t->state.curve);
  mem_free_aligned(t->state.best);
  json_decref(t->state.identity);
  mem_free(t->last_path);
  mem_free(t->best_path);
}

garam_status loop_fit(net_learner *l, const dataset *d, row_set train, row_set valid,
                      const fit_context *fit, fit_summary *summary, garam_error *err) {
  static const fit_context no_wishes;
  loop t = {.l = l,
            .config = net_train_config(l),
            .d = d,
            .fit = fit ? fit : &no_wishes,
            .classes = l->shape.task != TASK_REGRESSION};
  garam_status status = GARAM_OK;
  if (summary) *summary = (fit_summary){0};
  TRY_GOTO(done, prepare_paths(&t, err));
  TRY_GOTO(done, prepare(&t, train, valid, err));
  TRY_GOTO(done, prepare_files(&t, err));
  TRY_GOTO(done, run(&t, err));
  if (t.state.best_epoch > 0) {
    memcpy(l->params, t.state.best, l->block * sizeof *l->params);
    l->version++;
  } else
    log_warning("%s: no epoch had a finite validation loss; the last one is kept",
                l->base.ops->name);
  TRY_GOTO(done, summarise(&t, summary, err));
done:
  if (t.events) {
    garam_status closed = events_close(t.events, status == GARAM_OK ? err : NULL);
    if (status == GARAM_OK) status = closed;
  }
  release(&t);
  return status;
}
