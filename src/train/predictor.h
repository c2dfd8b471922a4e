/* Scores from a model for any number of windows: plans for a few batch sizes, made when first
 * needed and kept. */
#ifndef TRAIN_PREDICTOR_H
#define TRAIN_PREDICTOR_H

#include "train/program.h"

enum { PREDICTOR_SIZES = 13 };

typedef struct predictor {
  program_config config;   /* training is false; batch is set for each */
  float *params;           /* borrowed */
  const uint64_t *version; /* counts their changes: plan_config.params_version */
  program programs[PREDICTOR_SIZES];
} predictor;

void predictor_init(predictor *p, const program_config *config, float *params,
                    const uint64_t *version);
void predictor_deinit(predictor *p);

/* The program with which to go on when n > 0 windows are left: the largest batch that is at most
 * n: 1 to 8 exactly, then powers of two, while a batch of more than one holds at most 2048 steps.
 * The same n takes the same programs every time, and allocates nothing once they are there. */
garam_status predictor_program(program **out, predictor *p, size_t n, garam_error *err);
/* Makes every program that n windows will take. */
garam_status predictor_warm(predictor *p, size_t n, garam_error *err);

#endif
