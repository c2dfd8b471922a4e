/* Training: schedules, the optimiser, batches, checkpoints, events, the loop, and the learner
 * that puts any model behind learn/learner.h. This header holds what the room shares: the
 * options of a training run. */
#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "base/opt.h"

typedef enum class_weights { CLASS_WEIGHTS_NONE, CLASS_WEIGHTS_BALANCED } class_weights;
typedef enum train_select { SELECT_LOSS, SELECT_ACCURACY } train_select;
typedef enum train_precision { PRECISION_AUTO, PRECISION_FP32, PRECISION_BF16 } train_precision;

typedef enum train_optimizer_state { STATE_FP32, STATE_8BIT } train_optimizer_state;

/* Filled by the rows of options.def. */
typedef struct train_config {
  int epochs, batch;
  int steps_per_epoch; /* 0: as many as one pass over the training rows takes */
  double learning_rate;
  int schedule; /* schedule_names */
  int warmup;   /* steps, but at most warmup_share of the run */
  double warmup_share, restart_epochs, restart_factor, floor;
  double weight_decay, beta1, beta2, epsilon, clip;
  int class_weights, select;
  double label_smoothing, huber;
  int patience;        /* epochs; 0: none */
  int precision;       /* train_precision, of training alone: validation and prediction are fp32 */
  int optimizer_state; /* train_optimizer_state */
  int64_t memory;      /* bytes that the process may take; 0: no limit */
  int micro_batch;     /* rows of one run of the plan; 0: chosen, see step.h */
} train_config;

extern const char *const class_weights_names[], *const train_select_names[],
                                                    *const train_precision_names[],
                                                        *const train_optimizer_state_names[];
extern const opt_row train_options[]; /* on train_config alone */
extern const size_t train_n_options;

#endif
