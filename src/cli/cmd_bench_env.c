/* garam bench env: steps a second of an environment. */
#include "cli/commands.h"
#include "cli/rl.h"

#include "base/thread.h"
#include "env/bench_env.h"

static int print_result(const cli *c, const bench_env_config *config, const bench_env_result *r) {
  if (c->common.json)
    return cli_print_json(
        c, json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:I}",
                     "env", config->env, "actions", config->actions, "n", config->n, "agents",
                     r->agents, "threads", thread_count(), "steps_per_second", r->steps_per_second,
                     "steps_per_core_second", r->steps_per_core_second, "ns_per_step",
                     r->ns_per_step, "fastest", r->fastest, "slowest", r->slowest, "steps",
                     (json_int_t)r->steps, "episodes", (json_int_t)r->episodes, "seconds",
                     r->seconds, "allocations", (json_int_t)r->allocations));
  char a[TEXT_SHORT], b[TEXT_SHORT], d[TEXT_SHORT];
  printf("steps       %s a second (%s to %s), %.1f ns each\n",
         text_count(a, (uint64_t)r->steps_per_second), text_count(b, (uint64_t)r->slowest),
         text_count(d, (uint64_t)r->fastest), r->ns_per_step);
  printf("core        %s steps a second of processor time\n",
         text_count(a, (uint64_t)r->steps_per_core_second));
  printf("worlds      %d of %s, %d agent%s, %s actions, %d threads\n", config->n, config->env,
         r->agents, r->agents == 1 ? "" : "s", config->actions, thread_count());
  printf("measured    %s steps, %s episodes, in %s\n", text_count(a, r->steps),
         text_count(b, r->episodes), text_duration(d, (int64_t)(r->seconds * 1e9)));
  return cli_flush_stdout(c);
}

int bench_environment(cli *c) {
  bench_env_config config;
  rl_env_flags world;
  const char *name = cli_peek(c, "env");
  cli_add(c, "Environment bench", bench_env_options, bench_env_n_options, &config);
  int code = rl_env_flags_add(c, &world, name ? name : "CartPole-v1");
  if (code == CLI_GO_ON) code = cli_parse(c, 1, 1);
  if (code == CLI_GO_ON) {
    garam_error err = {0};
    bench_env_result r;
    if (bench_env(&r, world.ops, world.config, &config, (uint64_t)c->common.seed, &err) == GARAM_OK)
      code = print_result(c, &config, &r);
    else code = cli_fail(c, &err);
  }
  rl_env_flags_deinit(&world);
  return code;
}
