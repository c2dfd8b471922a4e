/* Exact values of policies in files: see rl_exact.h. */
#include "api/rl_exact.h"

#include "base/mem.h"

#include <math.h>

garam_status rl_exact_add(json_t *o, const env_ops *ops, const void *config, const player *who,
                          garam_error *err) {
  if (!exact_knows(ops)) return GARAM_OK;
  exact_report x;
  garam_error said = {0};
  const garam_status status = exact_value(&x, ops, config, who, &said);
  if (status == GARAM_UNSUPPORTED) return GARAM_OK;
  if (status != GARAM_OK) return fail(err, status, "%s", said.message);
  json_object_set_new(o, "exact",
                      json_pack("{s:f, s:f, s:f, s:s}", "value", x.value, "optimum", x.optimum,
                                "gap", x.gap, "unit", x.unit));
  return GARAM_OK;
}

static garam_status value_of_seed(exact_report *x, const experiment_setup *setup, int seed,
                                  garam_error *err) {
  policy *p = NULL;
  garam_status status;
  char *path = experiment_policy_path(setup->folder, seed);
  if (!path) return fail_memory(err, 64);
  TRY_GOTO(done, policy_load(&p, path, err));
  const player who = player_policy(p);
  TRY_GOTO(done, exact_value(x, setup->env, setup->env_config, &who, err));
done:
  policy_free(p);
  mem_free(path);
  return status;
}

garam_status rl_exact_add_seeds(json_t *o, const experiment_setup *setup, int n_seeds,
                                garam_error *err) {
  if (!exact_knows(setup->env) || !setup->folder) return GARAM_OK;
  garam_status status = GARAM_OK;
  garam_error said = {0};
  exact_report x = {0};
  stats_interval iqm;
  double *values = mem_array((size_t)n_seeds, sizeof *values);
  if (!values) return fail_memory(err, (size_t)n_seeds * sizeof *values);
  for (int k = 0; k < n_seeds; k++) {
    status = value_of_seed(&x, setup, k, &said);
    if (status == GARAM_OK) {
      values[k] = x.value;
      continue;
    }
    if (status == GARAM_UNSUPPORTED) status = GARAM_OK;
    else status = fail(err, status, "%s", said.message);
    goto done;
  }
  TRY_GOTO(done, stats_bootstrap(&iqm, STATS_IQM, (stats_scores){values, (size_t)n_seeds, 1},
                                 setup->seed, err));
  const double size = fabs(x.optimum);
  json_object_set_new(o, "exact",
                      json_pack("{s:o, s:f, s:s, s:f, s:f, s:f, s:f, s:f}", "values",
                                json_array_f64(values, (size_t)n_seeds), "optimum", x.optimum,
                                "unit", x.unit, "iqm", iqm.value, "ci_low", iqm.low, "ci_high",
                                iqm.high, "gap", (x.optimum - iqm.value) / size, "gap_high",
                                (x.optimum - iqm.low) / size));
done:
  mem_free(values);
  return status;
}
