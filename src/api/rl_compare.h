/* Results beside each other: of experiments (JSON), of policies (files) and of scripts. */
#ifndef API_RL_COMPARE_H
#define API_RL_COMPARE_H

#include "api/rl_evaluate.h"

/* `paths`: files of `garam rl train --json` or `evaluate --json`, or policies, which are evaluated
 * first. `scripts` (may be NULL): names, apart by commas, that are evaluated in every environment
 * among them. *result has the keys of docs/cli.md. */
garam_status rl_compare(json_t **result, const char *const *paths, size_t n_paths,
                        const char *scripts, const rl_evaluate_config *config, uint64_t seed,
                        garam_error *err);

#endif
