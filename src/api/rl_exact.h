/* How far from the optimum, where that is known on paper: env/exact.h for what is in files. */
#ifndef API_RL_EXACT_H
#define API_RL_EXACT_H

#include "env/exact.h"
#include "rl/experiment.h"

/* o["exact"]: {value, optimum, gap, unit} of one player. Nothing is added where no optimum is
 * known, or not under these options. */
garam_status rl_exact_add(json_t *o, const env_ops *ops, const void *config, const player *who,
                          garam_error *err);
/* o["exact"] of an experiment's kept policies, still in setup->folder: {values, optimum, unit, iqm,
 * ci_low, ci_high, gap, gap_high}: gap of the iqm, and of its lower end. */
garam_status rl_exact_add_seeds(json_t *o, const experiment_setup *setup, int n_seeds,
                                garam_error *err);

#endif
