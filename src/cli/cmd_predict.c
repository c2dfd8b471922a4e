/* garam predict: probabilities for the rows of a file, as CSV or JSON lines. */
#include "cli/commands.h"

#include "api/predict_run.h"
#include "base/clock.h"
#include "base/io.h"

#include <string.h>

typedef struct predict_config {
  char out[4096];
  int64_t last;
  table_read_config read;
} predict_config;

static const opt_row predict_options[] = {
    {"out", OPT_STRING, OPT_AT(predict_config, out), .def_text = "-",
     .help = "file to write; - is standard output"},
    {"last", OPT_I64, OPT_AT(predict_config, last), .def = 0, .min = 0, .max = 1e15, .unit = "rows",
     .help = "only the last so many predictions; 0: all"},
};

enum { PART = 512 }; /* of a long name, at once */

/* To a file through io_writer, so that it is there whole or not at all; else to stdout. */
typedef struct sink {
  io_writer *writer;
  garam_error *err;
  garam_status status;
} sink;

static void put(sink *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put(sink *s, const char *format, ...) {
  if (s->status != GARAM_OK) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (s->writer) s->status = io_write(s->writer, text, strlen(text), s->err);
  else if (fputs(text, stdout) < 0)
    s->status = fail(s->err, GARAM_IO, "standard output: cannot write");
}

/* A name as a cell: in quotes where commas or quotes are in it. */
static void put_name(sink *s, const char *lead, const char *name) {
  bool quoted = strpbrk(name, ",\"\r\n") != NULL;
  put(s, quoted ? "\"%s" : "%s", lead);
  for (const char *at = name; *at && s->status == GARAM_OK;) {
    int n = (int)strcspn(at, "\"");
    if (n > PART) n = PART; /* put's room */
    put(s, "%.*s", n, at);
    at += n;
    if (*at == '"') put(s, "%s", "\"\""), at++;
  }
  if (quoted) put(s, "%s", "\"");
}

static void put_head(sink *s, const pipeline *p, const garam_predictions *x) {
  put(s, "%s", x->time ? "time" : "row");
  for (size_t k = 0; k < x->n_outputs; k++) {
    put(s, ",");
    put_name(s, x->label ? "p_" : "", pipeline_output_name(p, (int)k));
  }
  put(s, x->label ? ",label,abstain\n" : x->bounds ? ",low,high\n" : "\n");
}

static void put_csv(sink *s, const pipeline *p, const garam_predictions *x, size_t i) {
  char text[CLOCK_TEXT_MAX];
  if (x->time) put(s, "%s", clock_format(text, x->time[i]));
  else put(s, "%u", x->row[i]);
  for (size_t k = 0; k < x->n_outputs; k++)
    put(s, x->label ? ",%.6f" : ",%.9g", (double)x->output[i * x->n_outputs + k]);
  if (x->label) {
    put(s, ",");
    put_name(s, "", pipeline_output_name(p, x->label[i]));
    put(s, ",%d", x->abstain[i]);
  }
  for (size_t k = 0; x->bounds && k < 2; k++) put(s, ",%.9g", (double)x->bounds[2 * i + k]);
  put(s, "\n");
}

static void put_json(sink *s, const pipeline *p, const garam_predictions *x, size_t i) {
  json_t *o = json_object();
  char text[CLOCK_TEXT_MAX];
  if (x->time) json_object_set_new(o, "time", json_string(clock_format(text, x->time[i])));
  json_object_set_new(o, "row", json_integer(x->row[i]));
  for (size_t k = 0; k < x->n_outputs; k++) {
    char key[128];
    snprintf(key, sizeof key, "%s%s", x->label ? "p_" : "", pipeline_output_name(p, (int)k));
    json_object_set_new(o, key, json_f32_or_null(x->output[i * x->n_outputs + k]));
  }
  if (x->label) {
    json_object_set_new(o, "label", json_string(pipeline_output_name(p, x->label[i])));
    json_object_set_new(o, "abstain", json_boolean(x->abstain[i]));
  }
  for (size_t k = 0; x->bounds && k < 2; k++)
    json_object_set_new(o, k ? "high" : "low", json_f32_or_null(x->bounds[2 * i + k]));
  char *line = json_text(o);
  json_decref(o);
  if (line) put(s, "%s\n", line);
  else if (s->status == GARAM_OK) s->status = fail_memory(s->err, 0);
  mem_free(line);
}

static garam_status write_all(const cli *c, const predict_config *config, const pipeline *p,
                              const garam_predictions *x, garam_error *err) {
  sink s = {.err = err};
  bool to_file = strcmp(config->out, "-") != 0;
  if (to_file) TRY(io_writer_open(&s.writer, config->out, err));
  bool json = c->common.json && !to_file;
  size_t begin = 0;
  if (config->last > 0 && (uint64_t)config->last < x->n_rows)
    begin = x->n_rows - (size_t)config->last;
  if (!json) put_head(&s, p, x);
  for (size_t i = begin; i < x->n_rows && s.status == GARAM_OK; i++) {
    if (json) put_json(&s, p, x, i);
    else put_csv(&s, p, x, i);
  }
  if (!to_file) return s.status;
  if (s.status == GARAM_OK) return io_writer_commit(s.writer, err);
  io_writer_abort(s.writer);
  return s.status;
}

static int say(const cli *c, const predict_config *config, const garam_predictions *x) {
  if (strcmp(config->out, "-") == 0) return cli_flush_stdout(c);
  size_t n = x->n_rows, abstained = 0;
  if (config->last > 0 && (uint64_t)config->last < n) n = (size_t)config->last;
  for (size_t i = x->n_rows - n; x->abstain && i < x->n_rows; i++) abstained += x->abstain[i];
  if (c->common.json)
    return cli_print_json(c, json_pack("{s:I, s:I, s:s}", "rows", (json_int_t)n, "abstained",
                                       (json_int_t)abstained, "out", config->out));
  if (c->common.quiet) return CLI_OK;
  char a[TEXT_SHORT], b[TEXT_SHORT];
  printf("%s predictions in %s", text_count(a, n), config->out);
  if (x->abstain) printf("; abstains on %s", text_count(b, abstained));
  puts("");
  return cli_flush_stdout(c);
}

static garam_status predict(const cli *c, predict_config *config, garam_predictions **x,
                            pipeline *p, garam_error *err) {
  console_reading reading = {"reading", clock_monotonic_ns()};
  garam_status status =
      predict_run(x, p, c->operands[1], &config->read, console_read_progress, &reading, err);
  console_bar_clear();
  TRY(status);
  return write_all(c, config, p, *x, err);
}

static int run(cli *c) {
  predict_config config;
  cli_add(c, "Predict", predict_options, COUNT_OF(predict_options), &config);
  cli_add(c, "Reading (where not given, as the training data was read)", table_read_options,
          table_read_n_options, &config.read);
  int code = cli_parse(c, 2, 2);
  if (code != CLI_GO_ON) return code;
  garam_error err = {0};
  pipeline *p = NULL;
  garam_predictions *x = NULL;
  garam_status status = pipeline_load(&p, c->operands[0], &err);
  if (status == GARAM_OK) {
    cli_take_rest(c, &config.read, pipeline_read_config(p));
    status = predict(c, &config, &x, p, &err);
  }
  code = status == GARAM_OK ? say(c, &config, x) : cli_fail(c, &err);
  garam_predictions_free(x);
  pipeline_free(p);
  return code;
}

const command cmd_predict = {
    .name = "predict",
    .summary = "probabilities for the rows of a file",
    .usage = "MODEL DATA [--out FILE] [--last N] [--json]",
    .details =
        "CSV: time,p_down,p_flat,p_up,label,abstain; abstain is 1 where the model is not sure\n"
        "enough for 95 % accuracy. --json prints one object a row. Regression: "
        "time,value,low,high, the\n"
        "ends of an interval that should hold the outcome 95 % of the time.",
    .examples = "garam predict model.safetensors new.csv --last 1",
    .run = run,
};
