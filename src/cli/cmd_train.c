/* garam train: from a file of data to a package. */
#include "cli/commands.h"

#include "api/train_run.h"
#include "base/clock.h"
#include "base/io.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

typedef struct watch {
  console_reading reading;
  int64_t started; /* of fitting */
  int n_epochs;    /* 0: not known before the first epoch has said it */
  double share0;   /* of the run that was done when fitting started (a resumed one) */
  bool heading_printed;
  fit_epoch held; /* not printed yet, because the last line is so fresh */
  bool is_held;
  int64_t printed;
} watch;

/* Fast learners have many epochs a second: a line for each would say less, not more. */
static const int64_t line_interval = CLOCK_NS_PER_SECOND / 4;

static void on_read(void *context, uint64_t done, uint64_t total) {
  console_read_progress(&((watch *)context)->reading, done, total);
}

static void on_rows(void *context, const table *t) {
  watch *w = context;
  char rows[TEXT_SHORT];
  console_bar_clear();
  console_line("%s: %s rows, %zu columns", t->source, text_count(rows, t->n_rows), t->n_columns);
  w->started = clock_monotonic_ns();
  signals_note(); /* until now Ctrl-C had nothing to save */
}

static void on_step(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss) {
  watch *w = context;
  if (!console_progress() || n_steps == 0) return;
  char label[TEXT_SHORT], tail[TEXT_SHORT];
  double in_epoch = (double)step / (double)n_steps, share = in_epoch;
  if (w->n_epochs > 0) {
    snprintf(label, sizeof label, "epoch %d/%d", epoch, w->n_epochs);
    share = (epoch - 1 + in_epoch) / w->n_epochs;
  } else {
    snprintf(label, sizeof label, "epoch %d", epoch);
  }
  snprintf(tail, sizeof tail, "loss %.4f", loss);
  if (w->share0 < 0) w->share0 = share;
  console_bar(label, w->share0, share, w->started, tail);
}

static void show_share(char out[TEXT_SHORT], double value) {
  if (isnan(value)) snprintf(out, TEXT_SHORT, "-");
  else snprintf(out, TEXT_SHORT, "%.2f %%", 100 * value);
}

static void show_loss(char out[TEXT_SHORT], double value) {
  if (isnan(value)) snprintf(out, TEXT_SHORT, "-");
  else snprintf(out, TEXT_SHORT, "%.6f", value);
}

static void print_epoch(watch *w, const fit_epoch *e) {
  if (!w->heading_printed) {
    w->heading_printed = true;
    console_line("%9s  %10s  %10s  %9s  %9s  %8s", "epoch", "train loss", "valid loss", "valid acc",
                 "rate", "time");
  }
  char name[TEXT_SHORT], share[TEXT_SHORT], rate[TEXT_SHORT] = "-", seconds[TEXT_SHORT];
  char train_loss[TEXT_SHORT], valid_loss[TEXT_SHORT];
  show_loss(train_loss, e->train_loss);
  show_loss(valid_loss, e->valid_loss);
  snprintf(name, sizeof name, "%d/%d", e->epoch, e->n_epochs);
  show_share(share, e->valid_accuracy);
  if (!isnan(e->learning_rate)) snprintf(rate, sizeof rate, "%.2e", e->learning_rate);
  text_duration(seconds, (int64_t)(e->seconds * (double)CLOCK_NS_PER_SECOND));
  console_line("%9s  %10s  %10s  %9s  %9s  %8s%s", name, train_loss, valid_loss, share, rate,
               seconds, e->best ? "  best" : "");
  w->is_held = false;
  w->printed = clock_monotonic_ns();
}

static void on_epoch(void *context, const fit_epoch *e) {
  watch *w = context;
  w->n_epochs = e->n_epochs;
  w->held = *e;
  w->is_held = true;
  if (!w->heading_printed || clock_monotonic_ns() - w->printed >= line_interval) print_epoch(w, e);
}

/* An argument as it would be typed in a shell. */
static void print_argument(const char *arg) {
  if (*arg && !strpbrk(arg, " \t\n\"'$`\\*?[]{}()<>|&;#~!")) {
    fprintf(stderr, " %s", arg);
    return;
  }
  fputs(" '", stderr);
  for (; *arg; arg++) {
    if (*arg == '\'') fputs("'\\''", stderr);
    else fputc(*arg, stderr);
  }
  fputc('\'', stderr);
}

static int say_interrupted(const cli *c, const train_request *r) {
  console_bar_clear();
  if (!io_exists(r->checkpoint)) { /* an empty one has been removed */
    fputs("garam: interrupted: nothing was written\n", stderr);
    return CLI_FAILED;
  }
  fprintf(stderr,
          "garam: interrupted: the checkpoint is in %s\nGo on, bit for bit, with:\n  "
          "garam train",
          r->checkpoint);
  bool resume = false;
  for (int i = 0; i < c->argc; i++) {
    print_argument(c->argv[i]);
    resume |= strcmp(c->argv[i], "--resume") == 0;
  }
  fputs(resume ? "\n" : " --resume\n", stderr);
  return CLI_FAILED;
}

/* Who comes from libraries that train on every row has to be told of those kept back. */
static void print_split(const train_request *r, const json_t *split) {
  char a[TEXT_SHORT], b[TEXT_SHORT], t[TEXT_SHORT];
  json_int_t test = json_integer_value(json_object_get(split, "test"));
  printf("rows: %s trained on, %s to validate, %s kept for the test",
         text_count(a, (uint64_t)json_integer_value(json_object_get(split, "train"))),
         text_count(b, (uint64_t)json_integer_value(json_object_get(split, "valid"))),
         text_count(t, (uint64_t)test));
  puts(r->pipeline.target[0] && test > 0 ? "; --train-share 1 --valid-share 0 trains on all" : "");
}

static int print_result(const cli *c, const train_request *r, json_t *result) {
  char a[TEXT_SHORT], b[TEXT_SHORT];
  struct stat info;
  json_int_t parameters = json_integer_value(json_object_get(result, "parameters"));
  printf("%s%s%s%s, %s parameters: %d epochs in %s; the package holds epoch %d\n", r->model,
         r->preset[0] ? " (" : "", r->preset, r->preset[0] ? ")" : "",
         text_count(a, (uint64_t)parameters),
         (int)json_integer_value(json_object_get(result, "epochs")),
         text_duration(b, (int64_t)(json_f64(result, "seconds") * (double)CLOCK_NS_PER_SECOND)),
         (int)json_integer_value(json_object_get(result, "best_epoch")));
  print_split(r, json_object_get(result, "split"));
  printf("%s: %s, sha256 %s\n", r->out,
         text_bytes(a, stat(r->out, &info) == 0 ? (double)info.st_size : 0),
         json_string_value(json_object_get(result, "sha256")));
  json_decref(result);
  if (strcmp(r->data, "-") != 0)
    printf("\nNext: garam evaluate %s %s --report report.html\n", r->out, r->data);
  return cli_flush_stdout(c);
}

static int train(cli *c, train_request *r) {
  opt_set sets[TRAIN_MAX_SETS];
  size_t n = train_request_sets(sets, r);
  for (size_t i = 0; i < n; i++) cli_add_filled(c, &sets[i]);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (strlen(c->operands[0]) >= sizeof r->data)
    return cli_usage(c, "DATA is longer than %zu characters", sizeof r->data - 1);
  snprintf(r->data, sizeof r->data, "%s", c->operands[0]);
  r->seed = c->common.seed;

  watch w = {.reading = {"reading", clock_monotonic_ns()}, .share0 = -1};
  const opt_row *epochs = opt_find(r->ops->options, r->ops->n_options, "epochs");
  if (epochs && epochs->type == OPT_INT)
    memcpy(&w.n_epochs, (const char *)r->learner + epochs->offset, sizeof w.n_epochs);
  const train_hooks hooks = {.on_read = on_read,
                             .on_rows = on_rows,
                             .on_epoch = on_epoch,
                             .on_step = on_step,
                             .interrupted = signals_interrupted,
                             .context = &w};
  garam_error err = {0};
  json_t *result;
  garam_status status = train_run(&result, r, &hooks, &err);
  if (w.is_held) print_epoch(&w, &w.held);
  console_bar_clear();
  if (status == GARAM_INTERRUPTED) return say_interrupted(c, r);
  if (status != GARAM_OK) return cli_fail(c, &err);
  if (c->common.json) return cli_print_json(c, result);
  if (c->common.quiet) return json_decref(result), CLI_OK;
  return print_result(c, r, result);
}

static int run(cli *c) {
  garam_error err = {0};
  train_request *r = mem_zalloc(sizeof *r);
  int code;
  if (!r) return fail_memory(&err, sizeof *r), cli_fail(c, &err);
  if (train_request_init(r, cli_peek(c, "model"), cli_peek(c, "preset"), &err) == GARAM_OK)
    code = train(c, r);
  else code = err.status == GARAM_NO_MEMORY ? cli_fail(c, &err) : cli_fail_usage(c, &err);
  train_request_deinit(r);
  mem_free(r);
  return code;
}

const command cmd_train = {
    .name = "train",
    .summary = "fit a model, calibrate it, seal it in one file",
    .usage = "DATA [--model NAME] [--preset NAME] [--out FILE] [--options]",
    .details =
        "The data is split by time: train, validation (stops training, calibrates), test (left "
        "for\n"
        "garam evaluate). --help shows the options of the model that --model names.\n"
        "Ctrl-C saves a checkpoint and exits with 1; the same command with --resume goes on.",
    .examples =
        "garam train prices.csv --model transformer --preset small --out model.safetensors\n"
        "garam train prices.csv --model linear --label barrier --horizon 10\n"
        "garam train rows.csv --target default --task binary --model linear\n"
        "garam train prices.csv --model transformer --help",
    .run = run,
};
