/* The list of schedules, and the warmup that stands before each. */
#include "train/schedule.h"

static const schedule_ops *const schedules[] = {&schedule_restarts, &schedule_cosine,
                                                &schedule_constant};
const char *const schedule_names[] = {"restarts", "cosine", "constant", NULL};

uint64_t schedule_warmup(const train_config *c, uint64_t n_steps) {
  uint64_t most = (uint64_t)(c->warmup_share * (double)n_steps);
  return (uint64_t)c->warmup < most ? (uint64_t)c->warmup : most;
}

double schedule_rate(const train_config *c, uint64_t step, uint64_t n_steps, uint64_t epoch_steps) {
  REQUIRE(c->schedule >= 0 && (size_t)c->schedule < COUNT_OF(schedules), "no schedule %d",
          c->schedule);
  uint64_t warmup = schedule_warmup(c, n_steps);
  if (step < warmup) return c->learning_rate * (double)(step + 1) / (double)warmup;
  const schedule_span span = {
      .step = step - warmup,
      .total = n_steps > warmup ? n_steps - warmup : 1,
      .epoch_steps = epoch_steps,
      .restart_epochs = c->restart_epochs,
      .restart_factor = c->restart_factor,
  };
  double low = c->learning_rate * c->floor;
  return low + (c->learning_rate - low) * schedules[c->schedule]->value(&span);
}
