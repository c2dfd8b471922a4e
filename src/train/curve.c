/* The training curve: see curve.h. */
#include "train/curve.h"

#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

const char *const curve_names[CURVE_COLUMNS] = {"train_loss",     "valid_loss",    "train_accuracy",
                                                "valid_accuracy", "learning_rate", "seconds"};
static const char *const tags[CURVE_COLUMNS] = {"train/loss",     "valid/loss",    "train/accuracy",
                                                "valid/accuracy", "learning_rate", "seconds"};

garam_status curve_reserve(curve *c, size_t n, garam_error *err) {
  return mem_grow(&c->rows, &c->capacity, n, sizeof *c->rows, err);
}

void curve_deinit(curve *c) {
  mem_free(c->rows);
  *c = (curve){0, 0, NULL};
}

void curve_add(curve *c, const fit_epoch *e) {
  REQUIRE(c->n < c->capacity, "curve_add: no room for epoch %zu", c->n + 1);
  const double row[CURVE_COLUMNS] = {e->train_loss,     e->valid_loss,    e->train_accuracy,
                                     e->valid_accuracy, e->learning_rate, e->seconds};
  memcpy(c->rows[c->n++], row, sizeof row);
}

garam_status curve_write(const curve *c, const char *folder, garam_error *err) {
  garam_status status = GARAM_OK;
  io_writer *w = NULL;
  char *path = mem_format("%s/curve.jsonl", folder);
  if (!path) return fail_memory(err, strlen(folder) + 16);
  TRY_GOTO(done, io_writer_open(&w, path, err));
  for (size_t i = 0; i < c->n; i++) {
    TRY_GOTO(done, io_printf(w, err, "{\"epoch\":%zu", i + 1));
    for (int k = 0; k < CURVE_COLUMNS; k++) {
      if (isfinite(c->rows[i][k]))
        TRY_GOTO(done, io_printf(w, err, ",\"%s\":%.9g", curve_names[k], c->rows[i][k]));
      else TRY_GOTO(done, io_printf(w, err, ",\"%s\":null", curve_names[k]));
    }
    TRY_GOTO(done, io_printf(w, err, "}\n"));
  }
  io_writer *whole = w;
  w = NULL;
  status = io_writer_commit(whole, err);
done:
  io_writer_abort(w);
  mem_free(path);
  return status;
}

garam_status curve_write_events(const curve *c, events *e, garam_error *err) {
  if (c->n == 0) return GARAM_OK;
  for (int k = 0; k < CURVE_COLUMNS; k++)
    TRY(events_scalar(e, tags[k], c->n, c->rows[c->n - 1][k], err));
  return GARAM_OK;
}
