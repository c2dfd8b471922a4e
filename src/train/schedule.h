/* Schedules of the learning rate. Each is a record in one file (schedule_*.c), listed in
 * schedule.c: what it makes of the steps after a linear warmup. */
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include "train/train.h"

typedef struct schedule_span {
  uint64_t step, total; /* after warmup; step < total or beyond it */
  uint64_t epoch_steps;
  double restart_epochs, restart_factor;
} schedule_span;

typedef struct schedule_ops {
  const char *name;
  double (*value)(const schedule_span *s); /* [0, 1]: between the floor and the peak */
} schedule_ops;

extern const schedule_ops schedule_restarts, schedule_cosine, schedule_constant;
extern const char *const schedule_names[]; /* NULL at the end */

/* Steps of linear warmup in a run of n_steps: min(warmup, warmup_share * n_steps). */
uint64_t schedule_warmup(const train_config *config, uint64_t n_steps);

/* The rate of update `step`, from 0, of a run of n_steps with epoch_steps in an epoch. Warmup
 * is peak * (step + 1) / warmup; then floor + (peak - floor) * value. */
double schedule_rate(const train_config *config, uint64_t step, uint64_t n_steps,
                     uint64_t epoch_steps);

#endif
