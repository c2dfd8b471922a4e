/* What happened next, and when it was known. */
#include "market/market.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_choices[] = {"horizon", "barrier", "smooth", NULL};

const opt_row label_options[] = {
    {"label", OPT_ENUM, OPT_AT(label_spec, kind), .choices = kind_choices,
     .help = "what is predicted: the return over a horizon, the barrier touched first, or the mean "
             "of the next rows"},
    {"horizon", OPT_INT, OPT_AT(label_spec, horizon), .def = 1, .min = 1, .max = 1000000,
     .unit = "rows", .help = "how far ahead the label looks"},
    {"dead-band", OPT_F64, OPT_AT(label_spec, dead_band), .def = -1, .min = -1, .max = 10,
     .help = "log return below which a move is flat; below 0: chosen on training rows for classes "
             "near thirds; 0: two classes"},
    {"barrier", OPT_F64, OPT_AT(label_spec, barrier), .def = 0.7, .min = 0.01, .max = 100,
     .help = "barrier width, in units of realised volatility over the horizon"},
    {"volatility-window", OPT_INT, OPT_AT(label_spec, volatility_window), .def = 60, .min = 2,
     .max = 1000000, .unit = "rows",
     .help = "past rows that the barrier's volatility is taken from"},
    {"smooth-past", OPT_BOOL, OPT_AT(label_spec, smooth_past),
     .help = "smooth labels against the mean of past rows, as in the book literature; leaks"},
    {"regression", OPT_BOOL, OPT_AT(label_spec, regression),
     .help = "predict the log return itself"},
};
const size_t label_n_options = COUNT_OF(label_options);

static const char smooth_warning[] =
    "labels against the mean of past rows leak: part of the move has happened when it is to be "
    "predicted, and a random walk looks 57 % predictable; without --smooth-past the current price "
    "is the reference";

static garam_status check_spec(const bars *b, const label_spec *s, garam_error *err) {
  if (s->horizon < 1) return fail(err, GARAM_INVALID, "--horizon %d is below 1", s->horizon);
  size_t needed = (size_t)s->horizon + 1;
  if (s->kind == LABEL_BARRIER) needed += (size_t)s->volatility_window;
  if (s->kind == LABEL_SMOOTH && s->smooth_past) needed += (size_t)s->horizon - 1;
  if (b->n_rows < needed)
    return fail(err, GARAM_INVALID,
                "%s: %zu rows, but --horizon %d%s needs at least %zu for one label",
                b->source->source, b->n_rows, s->horizon,
                s->kind == LABEL_BARRIER ? " with its volatility window" : "", needed);
  return GARAM_OK;
}

static void set_outcome(labels *l, const bars *b, size_t t, size_t end_row, double value) {
  l->value[t] = value;
  l->end_row[t] = (uint32_t)end_row;
  l->end[t] = b->known_at[end_row];
  l->y[t] = LABEL_FLAT;
}

static void fill_horizon(labels *l, const bars *b, size_t h) {
  for (size_t t = 0; t + h < b->n_rows; t++)
    set_outcome(l, b, t, t + h, log(b->close[t + h] / b->close[t]));
}

/* Mean of the next h rows against the current one, or against the mean of the last h (Zhang,
 * Zohren and Roberts, "DeepLOB", IEEE Transactions on Signal Processing 67 (2019), equation 4;
 * their equation 3 has the current mid). Each mean is summed anew: no drift, same bits when cut. */
static void fill_smooth(labels *l, const bars *b, size_t h, bool past) {
  for (size_t t = past ? h - 1 : 0; t + h < b->n_rows; t++) {
    double ahead = 0, behind = 0;
    for (size_t k = 1; k <= h; k++) ahead += b->close[t + k];
    for (size_t k = 0; past && k < h; k++) behind += b->close[t - k];
    double reference = past ? behind / (double)h : b->close[t];
    set_outcome(l, b, t, t + h, log(ahead / (double)h / reference));
  }
}

/* Triple barrier (Lopez de Prado, "Advances in financial machine learning" (2018), ch. 3) on the
 * path of closes: the first row beyond +-width ends it, else the horizon does. A row whose
 * horizon is not over has no label even when it touched early: else the last rows would be all
 * up and down. */
static void fill_barrier(labels *l, const bars *b, size_t h, double barrier, size_t window) {
  for (size_t t = window; t + h < b->n_rows; t++) {
    double squares = 0;
    for (size_t i = t + 1 - window; i <= t; i++) {
      double move = log(b->close[i] / b->close[i - 1]);
      squares += move * move;
    }
    double width = barrier * sqrt(squares / (double)window * (double)h);
    size_t k = 1;
    double move = log(b->close[t + 1] / b->close[t]);
    while (k < h && !(fabs(move) > width)) {
      k++;
      move = log(b->close[t + k] / b->close[t]);
    }
    set_outcome(l, b, t, t + k, move);
    if (move > width) l->y[t] = LABEL_UP;
    else if (move < -width) l->y[t] = LABEL_DOWN;
  }
}

static int compare_f64(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The band that leaves a third of the training rows' moves flat. Where more than a third do not
 * move at all, flat means just that; the band is then far below any tick but above 0, because a
 * band of 0 asks for two classes. */
static const double least_band = 1e-9;

static garam_status choose_band(double *out, const labels *l, const bars *b, size_t train_rows,
                                garam_error *err) {
  if (train_rows > b->n_rows) train_rows = b->n_rows;
  double *moves = mem_array(train_rows ? train_rows : 1, sizeof *moves);
  if (!moves) return fail_memory(err, train_rows * sizeof *moves);
  size_t n = 0;
  for (size_t t = 0; t < train_rows; t++)
    if (l->y[t] >= 0 && l->end_row[t] < train_rows) moves[n++] = fabs(l->value[t]);
  if (n == 0) {
    mem_free(moves);
    return fail(err, GARAM_INVALID,
                "%s: no outcome is known within the %zu training rows to choose the dead band "
                "from; give --dead-band, or a shorter --horizon",
                b->source->source, train_rows);
  }
  qsort(moves, n, sizeof *moves, compare_f64);
  size_t third = n / 3;
  double band = third > 0 ? 0.5 * (moves[third - 1] + moves[third]) : 0.5 * moves[0];
  *out = band > least_band ? band : least_band;
  mem_free(moves);
  return GARAM_OK;
}

static void classify(labels *l, bool two_classes) {
  for (size_t t = 0; t < l->n_rows; t++) {
    if (l->y[t] < 0) continue;
    if (two_classes) l->y[t] = l->value[t] > 0;
    else
      l->y[t] = l->value[t] > l->dead_band    ? LABEL_UP
                : l->value[t] < -l->dead_band ? LABEL_DOWN
                                              : LABEL_FLAT;
  }
}

garam_status labels_compute(labels **out, const bars *b, const label_spec *spec, size_t train_rows,
                            garam_error *err) {
  *out = NULL;
  TRY(check_spec(b, spec, err));
  if (b->n_rows > UINT32_MAX)
    return fail(err, GARAM_LIMIT, "%s: more than 2^32 rows", b->source->source);
  garam_status status = GARAM_OK;
  labels *l = mem_zalloc(sizeof *l);
  if (!l) return fail_memory(err, sizeof *l);
  l->n_rows = b->n_rows;
  l->y = mem_array(b->n_rows, sizeof *l->y);
  l->value = mem_array(b->n_rows, sizeof *l->value);
  l->end = mem_array(b->n_rows, sizeof *l->end);
  l->end_row = mem_array(b->n_rows, sizeof *l->end_row);
  if (!l->y || !l->value || !l->end || !l->end_row) {
    status = fail_memory(err, b->n_rows * sizeof *l->value);
    goto done;
  }
  for (size_t t = 0; t < b->n_rows; t++) {
    l->y[t] = -1;
    l->value[t] = NAN;
    l->end[t] = INT64_MAX;
    l->end_row[t] = UINT32_MAX;
  }
  size_t h = (size_t)spec->horizon;
  switch ((label_kind)spec->kind) {
  case LABEL_HORIZON: fill_horizon(l, b, h); break;
  case LABEL_SMOOTH:
    fill_smooth(l, b, h, spec->smooth_past);
    if (spec->smooth_past) snprintf(l->warning, sizeof l->warning, "%s", smooth_warning);
    break;
  case LABEL_BARRIER: fill_barrier(l, b, h, spec->barrier, (size_t)spec->volatility_window); break;
  }
  if (spec->regression) {
    for (size_t t = 0; t < b->n_rows; t++) l->y[t] = l->y[t] < 0 ? -1 : 0;
    goto done;
  }
  l->n_classes = 3;
  if (spec->kind == LABEL_BARRIER) goto done;
  l->n_classes = spec->dead_band == 0 ? 2 : 3;
  l->dead_band = spec->dead_band;
  if (spec->dead_band < 0) TRY_GOTO(done, choose_band(&l->dead_band, l, b, train_rows, err));
  classify(l, l->n_classes == 2);
done:
  if (status != GARAM_OK) {
    labels_free(l);
    return status;
  }
  *out = l;
  return GARAM_OK;
}

void labels_free(labels *l) {
  if (!l) return;
  mem_free(l->y);
  mem_free(l->value);
  mem_free(l->end);
  mem_free(l->end_row);
  mem_free(l);
}
