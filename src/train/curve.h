/* The training curve: one row an epoch, kept in memory, in checkpoints, as JSON lines and as
 * TensorBoard events. */
#ifndef TRAIN_CURVE_H
#define TRAIN_CURVE_H

#include "learn/learner.h"
#include "train/events.h"

enum { CURVE_COLUMNS = 6 };
/* train_loss, valid_loss, train_accuracy, valid_accuracy, learning_rate, seconds */
extern const char *const curve_names[CURVE_COLUMNS];

typedef struct curve {
  size_t n, capacity;
  double (*rows)[CURVE_COLUMNS];
} curve;

garam_status curve_reserve(curve *c, size_t n, garam_error *err);
void curve_deinit(curve *c);
void curve_add(curve *c, const fit_epoch *epoch); /* reserved before */
/* FOLDER/curve.jsonl: every epoch so far, replaced as a whole, so that a resumed run's file is
 * that of an uninterrupted one but for the seconds. NaN is null. */
garam_status curve_write(const curve *c, const char *folder, garam_error *err);
/* The last epoch as scalars "train/loss", "valid/loss", ... at its number. */
garam_status curve_write_events(const curve *c, events *e, garam_error *err);

#endif
