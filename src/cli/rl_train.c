/* garam rl train: from the names of an environment and an agent to a policy in a file. */
#include "cli/rl.h"

#include "api/rl_evaluate.h"
#include "base/clock.h"
#include "base/io.h"
#include "report/rl.h"

#include <math.h>
#include <string.h>

typedef struct train_command {
  rl_request request;
  char report[RL_PATH_MAX];
  int64_t started;
  double share0;
  bool heading;
  double best; /* highest lower bound so far, of any seed */
} train_command;

static const opt_row train_rows[] = {
    {"report", OPT_STRING, OPT_AT(train_command, report),
     .help = "HTML file to write: curves, intervals, an episode in pictures"},
};

static void on_steps(void *context, uint64_t steps, uint64_t of) {
  train_command *t = context;
  if (!console_progress()) return;
  char label[TEXT_SHORT], tail[TEXT_SHORT], count[TEXT_SHORT];
  const double share = of ? fmin((double)steps / (double)of, 1) : 0;
  if (t->share0 < 0) t->share0 = share;
  snprintf(label, sizeof label, "%.40s %.20s", t->request.env, t->request.agent);
  snprintf(tail, sizeof tail, "%.40s steps", text_count(count, steps));
  console_bar(label, t->share0, share, t->started, tail);
}

static void on_row(void *context, int seed, const loop_curve *curve) {
  train_command *t = context;
  const loop_row *row = &curve->rows[curve->n - 1];
  char steps[TEXT_SHORT], exploring[TEXT_SHORT], mean[TEXT_SHORT], low[TEXT_SHORT];
  if (!t->heading) {
    t->heading = true;
    console_line("%5s  %12s  %12s  %12s  %12s", "seed", "steps", "exploring", "held out",
                 "at least");
  }
  console_line("%5d  %12s  %12s  %12s  %12s%s", seed, text_count(steps, (uint64_t)row->steps),
               text_number(exploring, row->train_return), text_number(mean, row->mean),
               text_number(low, row->low), row->best > 0 ? "  best" : "");
}

static int say_interrupted(const cli *c, const rl_request *r, const garam_error *err) {
  console_bar_clear();
  if (!experiment_exists(r->checkpoint)) {
    fputs("garam: interrupted: nothing was written\n", stderr);
    return CLI_FAILED;
  }
  char *line = rl_command_text(c);
  bool resume = false;
  for (int i = 0; i < c->argc; i++) resume |= strcmp(c->argv[i], "--resume") == 0;
  fprintf(stderr,
          "garam: interrupted: %s; the checkpoints are in %s\nGo on, bit for bit, with:\n  %s%s\n",
          err->message, r->checkpoint, line ? line : "garam rl train", resume ? "" : " --resume");
  mem_free(line);
  return CLI_FAILED;
}

static garam_status write_report(const cli *c, const train_command *t, json_t *result,
                                 garam_error *err) {
  const rl_request *r = &t->request;
  const rl_world_spec spec = {.policy = r->out, .env = r->env_ops, .env_config = r->env_config};
  json_t *play = NULL;
  char *line = rl_command_text(c);
  garam_status status;
  TRY_GOTO(done, rl_play(&play, &spec, experiment_seed((uint64_t)r->seed, 0, EXPERIMENT_JUDGE), 0,
                         8, err));
  TRY_GOTO(done, report_rl_write(t->report, result, play, line, err));
done:
  json_decref(play);
  mem_free(line);
  return status;
}

static int print_result(const cli *c, const rl_request *r, json_t *result) {
  char a[TEXT_SHORT], b[TEXT_SHORT];
  const json_t *best = json_object_get(result, "best");
  printf("%s in %s%s%s%s: %s steps, %d seed%s, %s steps a second\n", r->agent, r->env,
         r->preset[0] ? " (preset " : "", r->preset, r->preset[0] ? ")" : "",
         text_count(a, (uint64_t)json_integer_value(json_object_get(result, "steps"))),
         r->experiment.seeds, r->experiment.seeds == 1 ? "" : "s",
         text_count(b, (uint64_t)json_f64(result, "steps_per_second")));
  printf("return      %s: interquartile mean over seeds, 95 %%, of %d episodes each\n",
         rl_interval_text(a, result), r->experiment.episodes);
  printf("last        %s: had the last policy been kept\n",
         rl_interval_text(a, json_object_get(result, "last")));
  const json_t *exact = json_object_get(result, "exact");
  if (exact)
    printf("exactly     %s: %.2f %% from the optimum, %s; %.2f %% at the lower end\n",
           rl_interval_text(a, exact), 100 * json_f64(exact, "gap"),
           text_number(b, json_f64(exact, "optimum")), 100 * json_f64(exact, "gap_high"));
  printf("%s: seed %d after %s steps, sha256 %s\n", r->out,
         (int)json_integer_value(json_object_get(best, "seed")),
         text_count(a, (uint64_t)json_integer_value(json_object_get(best, "steps"))),
         json_string_value(json_object_get(result, "sha256")));
  json_decref(result);
  printf("\nNext: garam rl play %s --out play.html\n", r->out);
  return cli_flush_stdout(c);
}

static int train(cli *c, train_command *t) {
  rl_request *r = &t->request;
  opt_set sets[RL_MAX_SETS];
  const size_t n = rl_request_sets(sets, r);
  for (size_t i = 0; i < n; i++) {
    cli_add_filled(c, &sets[i]);
    if (i == 0) cli_add(c, "Report", train_rows, COUNT_OF(train_rows), t);
  }
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  r->seed = c->common.seed;
  t->started = clock_monotonic_ns();
  t->share0 = -1;
  signals_note();
  const rl_hooks hooks = {
      .on_row = on_row, .on_steps = on_steps, .interrupted = signals_interrupted, .context = t};
  garam_error err = {0};
  json_t *result = NULL;
  garam_status status = rl_run(&result, r, &hooks, &err);
  console_bar_clear();
  if (status == GARAM_INTERRUPTED) return say_interrupted(c, r, &err);
  if (status == GARAM_OK && t->report[0]) status = write_report(c, t, result, &err);
  if (status != GARAM_OK) {
    json_decref(result);
    return cli_fail(c, &err);
  }
  if (c->common.json) return cli_print_json(c, result);
  if (c->common.quiet) return json_decref(result), CLI_OK;
  return print_result(c, r, result);
}

/* Without names --help still says what there is. */
static bool asks_for_help(const cli *c) {
  for (int i = 0; i < c->argc; i++)
    if (strcmp(c->argv[i], "--help") == 0 || strcmp(c->argv[i], "-h") == 0) return true;
  return false;
}

int rl_train_verb(cli *c) {
  garam_error err = {0};
  train_command *t = mem_zalloc(sizeof *t);
  int code;
  if (!t) return fail_memory(&err, sizeof *t), cli_fail(c, &err);
  const char *env_name = cli_peek(c, "env"), *agent_name = cli_peek(c, "agent");
  if ((!env_name || !agent_name) && asks_for_help(c)) {
    opt_defaults(rl_request_options, rl_request_n_options, &t->request);
    cli_add(c, "Training", rl_request_options, rl_request_n_options, &t->request);
    cli_add(c, "Experiment", experiment_options, experiment_n_options, &t->request.experiment);
    cli_add(c, "Report", train_rows, COUNT_OF(train_rows), t);
    code = cli_parse(c, 1, 1);
  } else if (rl_request_init(&t->request, env_name, agent_name, cli_peek(c, "preset"), &err) ==
             GARAM_OK) {
    code = train(c, t);
  } else {
    code = err.status == GARAM_NO_MEMORY ? cli_fail(c, &err) : cli_fail_usage(c, &err);
  }
  rl_request_deinit(&t->request);
  mem_free(t);
  return code;
}
