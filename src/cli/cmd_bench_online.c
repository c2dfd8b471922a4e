/* garam bench online: regret of the online aggregation rules beside its bounds, and what a tick
 * costs. */
#include "cli/commands.h"

#include "ensemble/online_bound.h"

static json_t *result_to_json(const online_result *r) {
  const struct {
    const char *key;
    double value;
  } numbers[] = {
      {"loss", r->loss},
      {"best_expert", r->best_expert},
      {"best_combination", r->best_combination},
      {"best_sequence", r->best_sequence},
      {"uniform", r->uniform},
      {"regret", r->regret},
      {"bound", r->bound},
      {"combination_regret", r->combination_regret},
      {"combination_bound", r->combination_bound},
      {"ns_per_tick", r->ns_per_tick},
  };
  json_t *o = json_pack("{s:s, s:s}", "stream", r->stream, "rule", r->rule);
  for (size_t i = 0; o && i < COUNT_OF(numbers); i++)
    json_object_set_new(o, numbers[i].key, json_number_or_null(numbers[i].value));
  return o;
}

int bench_online(cli *c) {
  online_study_config config = {.time_ticks = true};
  cli_add(c, "Online", online_study_options, online_study_n_options, &config);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  online_result results[ONLINE_STUDY_MOST];
  size_t n;
  garam_error err = {0};
  if (online_study(results, &n, &config, (uint64_t)c->common.seed, &err) != GARAM_OK)
    return cli_fail(c, &err);
  if (c->common.json) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(array, result_to_json(&results[i]));
    return cli_print_json(c,
                          json_pack("{s:i, s:i, s:i, s:o}", "experts", config.experts, "ticks",
                                    config.ticks, "switches", config.switches, "results", array));
  }
  printf("mean losses; regret and bound are sums over %d ticks, fixed-share's against the best\n"
         "sequence of %d changes, combination's against the best convex combination\n\n",
         config.ticks, config.switches);
  printf("%-12s %-12s %9s %9s %9s %8s %8s %8s %8s %7s\n", "stream", "rule", "loss", "expert",
         "uniform", "regret", "bound", "of comb.", "bound", "ns");
  for (size_t i = 0; i < n; i++) {
    const online_result *r = &results[i];
    printf("%-12s %-12s %9.5f %9.5f %9.5f %8.1f %8.1f", r->stream, r->rule, r->loss, r->best_expert,
           r->uniform, r->regret, r->bound);
    if (r->combination_bound > 0)
      printf(" %8.1f %8.1f", r->combination_regret, r->combination_bound);
    else printf(" %8s %8s", "-", "-");
    printf(" %7.0f\n", r->ns_per_tick);
  }
  return cli_flush_stdout(c);
}
