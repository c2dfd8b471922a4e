/* What a deterministic policy is worth in a market whose optimum is known: exactly, by its
 * expectation, not by playing. Execution: its schedule's utility. Market making: dynamic
 * programming backwards over every step and inventory. Portfolio of one asset without costs: the
 * log return of each period by quadrature. */
#ifndef ENV_EXACT_H
#define ENV_EXACT_H

#include "env/baseline.h"
#include "rl/evaluate.h"

typedef struct exact_report {
  double value, optimum; /* more is better: -(E + lambda V) in money; money; log wealth a year */
  double gap;            /* (optimum - value) / |optimum| */
  const char *unit;
} exact_report;

bool exact_knows(const env_ops *ops);
/* config NULL: the defaults. GARAM_UNSUPPORTED: no such environment, or options under which the
 * value has no closed computation (a price that is observed, costs, several assets). */
garam_status exact_value(exact_report *out, const env_ops *ops, const void *config,
                         const player *who, garam_error *err);
/* A baseline as a player, for this and for evaluation_run. */
player player_baseline(const baseline *b);

#endif
