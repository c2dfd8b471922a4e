/* Cosine annealing with warm restarts (Loshchilov & Hutter 2017, eq. 5):
 * eta = eta_min + (eta_max - eta_min) / 2 * (1 + cos(pi * T_cur / T_i)), T_cur counted in steps;
 * after T_i it starts anew with T_i times the factor. */
#include "train/schedule.h"

#include <math.h>

static double value(const schedule_span *s) {
  double length = s->restart_epochs * (double)s->epoch_steps;
  double cycle = length >= 1 ? round(length) : 1, at = (double)s->step;
  while (at >= cycle) {
    at -= cycle;
    cycle = round(cycle * s->restart_factor);
  }
  return 0.5 * (1 + cos(3.14159265358979323846 * at / cycle));
}

const schedule_ops schedule_restarts = {"restarts", value};
