/* garam bench: how fast this machine is, how long a training step and a prediction take. (A file
 * that ends in _bench.c would not be part of the command.) */
#include "cli/commands.h"

#include "base/clock.h"
#include "base/thread.h"
#include "infer/histogram.h"
#include "infer/latency.h"
#include "kernel/kernel.h"
#include "learn/pipeline.h"
#include "train/bench_step.h"
#include "train/bench_updates.h"
#include "train/probe.h"
#include "tree/bench_trees.h"

#include <math.h>
#include <string.h>

/* ---- machine --------------------------------------------------------------------------- */

static const struct {
  const char *name;
  kernel_peak_kind kind;
} register_peaks[] = {{"fp32", KERNEL_PEAK_FP32},
                      {"fp16", KERNEL_PEAK_FP16},
                      {"bf16", KERNEL_PEAK_BF16},
                      {"int8", KERNEL_PEAK_INT8}};

static json_t *products_json(const kernel_peak_product *rows, int n) {
  json_t *list = json_array();
  for (int i = 0; i < n; i++) {
    json_t *row =
        json_pack("{s:s, s:I, s:I, s:I}", "name", rows[i].name, "m", (json_int_t)rows[i].m, "n",
                  (json_int_t)rows[i].n, "k", (json_int_t)rows[i].k);
    json_object_set_new(row, "full", json_number_or_null(rows[i].full));
    json_object_set_new(row, "half", json_number_or_null(rows[i].half));
    json_object_set_new(row, "onednn", json_number_or_null(rows[i].onednn));
    json_array_append_new(list, row);
  }
  return list;
}

static void print_rate(double flops) {
  if (flops > 0) printf("%9.1f", flops * 1e-9);
  else printf("%9s", "-");
}

static int run_machine(cli *c) {
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  double flops = kernel_peak_flops(), bandwidth = kernel_peak_bandwidth();
  double peaks[COUNT_OF(register_peaks)];
  for (size_t i = 0; i < COUNT_OF(peaks); i++)
    peaks[i] = kernel_peak_registers(register_peaks[i].kind);
  kernel_peak_product rows[KERNEL_PEAK_PRODUCTS];
  int n = kernel_peak_products(rows, KERNEL_PEAK_PRODUCTS);
  if (c->common.json) {
    json_t *o =
        json_pack("{s:f, s:f, s:s, s:s, s:i}", "flops_per_second", flops, "bytes_per_second",
                  bandwidth, "isa", kernel_isa(), "dtype", "fp32", "threads", thread_count());
    json_t *registers = json_object();
    for (size_t i = 0; i < COUNT_OF(peaks); i++)
      if (peaks[i] > 0)
        json_object_set_new(registers, register_peaks[i].name, json_number_or_null(peaks[i]));
    json_object_set_new(o, "registers", registers);
    json_object_set_new(o, "products", products_json(rows, n));
    return cli_print_json(c, o);
  }
  printf("products    %.1f GFLOP/s, fp32, %d threads (%s)\n", flops * 1e-9, thread_count(),
         kernel_isa());
  printf("memory      %.1f GB/s\n", bandwidth * 1e-9);
  printf("registers  ");
  for (size_t i = 0; i < COUNT_OF(peaks); i++)
    if (peaks[i] > 0) printf(" %s %.0f", register_peaks[i].name, peaks[i] * 1e-9);
  printf(" Gop/s\n\n%-16s %20s %9s %9s %9s  GFLOP/s\n", "product", "m x n x k", "fp32", "half",
         "onednn");
  for (int i = 0; i < n; i++) {
    char size[64];
    snprintf(size, sizeof size, "%lld x %lld x %lld", (long long)rows[i].m, (long long)rows[i].n,
             (long long)rows[i].k);
    printf("%-16s %20s ", rows[i].name, size);
    print_rate(rows[i].full);
    putchar(' ');
    print_rate(rows[i].half);
    putchar(' ');
    print_rate(rows[i].onednn);
    putchar('\n');
  }
  return cli_flush_stdout(c);
}

/* ---- step ------------------------------------------------------------------------------ */

typedef struct step_config {
  char model[32], preset[32];
  int features, outputs, steps, warmup;
  bool profile;
} step_config;

static const opt_row step_options[] = {
    {"model", OPT_STRING, OPT_AT(step_config, model), .def_text = "transformer",
     .help = "transformer, mlp, lstm, gru, gpt or bert"},
    {"preset", OPT_STRING, OPT_AT(step_config, preset),
     .help = "tiny, small or base, before flags"},
    {"features", OPT_INT, OPT_AT(step_config, features), .def = 32, .min = 1, .max = 65536,
     .help = "numbers in a row"},
    {"classes", OPT_INT, OPT_AT(step_config, outputs), .def = 0, .max = 65536,
     .help = "outputs; of gpt and bert different tokens; 0: 3, and 1024 tokens"},
    {"steps", OPT_INT, OPT_AT(step_config, steps), .def = 5, .min = 1, .max = 100000,
     .help = "steps measured; the median counts"},
    {"warmup", OPT_INT, OPT_AT(step_config, warmup), .def = 2, .max = 100000,
     .help = "steps before those"},
    {"profile", OPT_BOOL, OPT_AT(step_config, profile), .help = "seconds by op, on stderr"},
};

static void print_line(void *context, const char *text) {
  (void)context;
  console_line("%s", text);
}

static json_t *planned_json(const update_memory *m) {
  return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "process", (json_int_t)m->base, "parameters",
                   (json_int_t)m->params, "gradients", (json_int_t)m->grads, "moments",
                   (json_int_t)m->moments, "packed", (json_int_t)m->packed, "activations",
                   (json_int_t)m->activations);
}

static int print_step(const cli *c, const bench_step_config *config, const bench_step_result *r) {
  size_t peak = mem_peak_resident(); /* before the machine's own peak is looked for */
  double machine = kernel_peak_flops();
  const char *precision = train_precision_names[r->precision];
  if (c->common.json) {
    json_t *o = json_object();
    json_object_set_new(o, "model", json_string(config->model.name));
    json_object_set_new(o, "step_seconds", json_number_or_null(r->step_seconds));
    json_object_set_new(o, "step_seconds_all",
                        json_array_f64(r->step_seconds_all, (size_t)r->n_steps));
    json_object_set_new(o, "peak_bytes", json_integer((json_int_t)peak));
    json_object_set_new(o, "planned_bytes", json_integer((json_int_t)r->planned.total));
    json_object_set_new(o, "planned", planned_json(&r->planned));
    json_object_set_new(o, "parameters", json_integer((json_int_t)r->parameters));
    json_object_set_new(o, "micro_batch", json_integer(r->micro));
    json_object_set_new(o, "flops", json_number_or_null(r->flops));
    json_object_set_new(o, "flops_per_second", json_number_or_null(r->flops_per_second));
    json_object_set_new(o, "machine_peak", json_number_or_null(machine));
    json_object_set_new(o, "share_of_peak", json_number_or_null(r->flops_per_second / machine));
    json_object_set_new(o, "loss", json_number_or_null(r->loss));
    json_object_set_new(o, "dtype", json_string(precision));
    json_object_set_new(o, "threads", json_integer(thread_count()));
    return cli_print_json(c, o);
  }
  char a[TEXT_SHORT], b[TEXT_SHORT], n[TEXT_SHORT];
  printf("step        %s, the median of %d; %s parameters, %d rows at a time, %s, %d threads\n",
         text_duration(a, (int64_t)(r->step_seconds * 1e9)), r->n_steps,
         text_count(n, r->parameters), r->micro, precision, thread_count());
  printf("work        %.1f GFLOP/s, %.0f %% of the %.1f that fp32 products reach here\n",
         r->flops_per_second * 1e-9, 100 * r->flops_per_second / machine, machine * 1e-9);
  printf("memory      %s at its peak, %s planned\n", text_bytes(a, (double)peak),
         text_bytes(b, (double)r->planned.total));
  return cli_flush_stdout(c);
}

static int run_step(cli *c) {
  step_config config;
  garam_error err = {0};
  bench_step_config bench = {.line = print_line};
  const char *name = cli_peek(c, "model"), *preset = cli_peek(c, "preset");
  if (bench_model_find(&bench.model, name ? name : "transformer", &err) != GARAM_OK)
    return cli_fail_usage(c, &err);
  void *model = NULL;
  if (bench_model_config(&model, &bench.model, preset, &err) != GARAM_OK)
    return cli_fail_usage(c, &err);
  cli_add(c, "Step", step_options, COUNT_OF(step_options), &config);
  cli_add_filled(
      c, &(opt_set){"Model and training", bench.model.options, bench.model.n_options, model});
  int code = cli_parse(c, 1, 1);
  bench.config = model;
  bench.n_features = config.features;
  bench.n_outputs = config.outputs ? config.outputs : bench.model.model->build_tokens ? 1024 : 3;
  bench.steps = config.steps;
  bench.warmup = config.warmup;
  bench.profile = config.profile;
  bench_step_result r;
  if (code == CLI_GO_ON) {
    if (bench_step(&r, &bench, &err) == GARAM_OK) {
      code = print_step(c, &bench, &r);
      bench_step_deinit(&r);
    } else {
      code = cli_fail(c, &err);
    }
  }
  mem_free(model);
  return code;
}

/* ---- updates --------------------------------------------------------------------------- */

static int run_updates(cli *c) {
  bench_updates_config config = {.line = print_line};
  cli_add(c, "Updates", bench_updates_options, bench_updates_n_options, &config);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  garam_error err = {0};
  bench_updates_result r;
  if (bench_updates(&r, &config, &err) != GARAM_OK) return cli_fail(c, &err);
  size_t peak = mem_peak_resident();
  if (c->common.json)
    return cli_print_json(c, json_pack("{s:f, s:I, s:f, s:I, s:f, s:I, s:f, s:f, s:s, s:i}",
                                       "updates_per_second", r.updates_per_second, "updates",
                                       (json_int_t)r.updates, "seconds", r.seconds, "parameters",
                                       (json_int_t)r.parameters, "flops_per_second",
                                       r.flops * r.updates_per_second, "peak_bytes",
                                       (json_int_t)peak, "critic_loss", r.critic_loss, "actor_loss",
                                       r.actor_loss, "dtype", "fp32", "threads", thread_count()));
  char a[TEXT_SHORT], n[TEXT_SHORT];
  printf("updates     %.0f a second of actor and critic together, %s each\n", r.updates_per_second,
         text_duration(a, (int64_t)(1e9 / r.updates_per_second)));
  printf("nets        %d-%d, %s parameters, batch %d, %d threads, %.1f GFLOP/s\n", config.first,
         config.second, text_count(n, r.parameters), config.batch, thread_count(),
         r.flops * r.updates_per_second * 1e-9);
  return cli_flush_stdout(c);
}

/* ---- infer and predict ----------------------------------------------------------------- */

static int print_latency(const cli *c, json_t *o) {
  if (c->common.json) return cli_print_json(c, o);
  char p50[TEXT_SHORT], p99[TEXT_SHORT], p999[TEXT_SHORT], most[TEXT_SHORT];
  printf("latency     p50 %s, p99 %s, p99.9 %s, largest %s\n",
         text_duration(p50, (int64_t)json_f64(o, "p50_ns")),
         text_duration(p99, (int64_t)json_f64(o, "p99_ns")),
         text_duration(p999, (int64_t)json_f64(o, "p999_ns")),
         text_duration(most, (int64_t)json_f64(o, "max_ns")));
  printf("throughput  %.0f rows a second\n", json_f64(o, "rows_per_second"));
  json_decref(o);
  return cli_flush_stdout(c);
}

static int run_infer(cli *c) {
  latency_config config = {0};
  session_config sessions = {0};
  cli_add(c, "Latency", latency_options, latency_n_options, &config);
  cli_add(c, "Session", session_options, session_n_options, &sessions);
  int code = cli_parse(c, 2, 2);
  if (code != CLI_GO_ON) return code;
  config.seed = c->common.seed;
  sessions.workers = 1; /* one caller has no use for more */
  garam_error err = {0};
  session *s;
  latency_report report;
  if (session_load(&s, c->operands[1], &sessions, &err) != GARAM_OK) return cli_fail(c, &err);
  garam_status status = latency_measure(&report, s, &config, &err);
  session_free(s);
  if (status != GARAM_OK) return cli_fail(c, &err);
  return print_latency(c, latency_to_json(&report));
}

/* Real rows, one at a time, as they would come. */
static garam_status time_rows(json_t **out, pipeline *p, const dataset *d, double seconds,
                              garam_error *err) {
  histogram h;
  float scores[64];
  uint32_t row = 0;
  uint64_t calls = 0;
  *out = NULL;
  if (pipeline_n_outputs(p) > (int)COUNT_OF(scores))
    return fail(err, GARAM_LIMIT, "more than %zu outputs", COUNT_OF(scores));
  size_t n_usable = 0;
  for (size_t i = 0; i < d->n_rows; i++) n_usable += d->usable[i] != 0;
  if (n_usable == 0) return fail(err, GARAM_INVALID, "no row has enough history to predict from");
  TRY(histogram_init(&h, 3, err));
  garam_status status = GARAM_OK;
  int64_t began = 0, limit = (int64_t)(seconds * (double)CLOCK_NS_PER_SECOND);
  for (int64_t now = 0; status == GARAM_OK && (calls < 8 || now - began < limit); row++) {
    if (row == d->n_rows) row = 0;
    if (!d->usable[row]) continue;
    int64_t then = clock_monotonic_ns();
    if (calls == 4) began = then; /* the first four warm up */
    status = pipeline_predict(p, d, (row_set){&row, 1}, scores, err);
    now = clock_monotonic_ns();
    if (calls++ >= 4) histogram_record(&h, (uint64_t)(now - then));
  }
  double took = (double)(clock_monotonic_ns() - began) / (double)CLOCK_NS_PER_SECOND;
  if (status == GARAM_OK)
    *out = json_pack("{s:I, s:I, s:I, s:I, s:f, s:I}", "p50_ns",
                     (json_int_t)histogram_quantile(&h, 0.5), "p99_ns",
                     (json_int_t)histogram_quantile(&h, 0.99), "p999_ns",
                     (json_int_t)histogram_quantile(&h, 0.999), "max_ns",
                     (json_int_t)atomic_load(&h.max), "rows_per_second",
                     (double)histogram_total(&h) / took, "calls", (json_int_t)histogram_total(&h));
  histogram_deinit(&h);
  return status;
}

typedef struct predict_bench {
  double seconds;
  table_read_config read;
} predict_bench;

static const opt_row predict_bench_options[] = {
    {"seconds", OPT_F64, OPT_AT(predict_bench, seconds), .def = 3, .min = 0.01, .max = 86400,
     .unit = "seconds", .help = "to measure for"},
};

/* Made-up trees, without a package. */
static int run_predict_trees(cli *c) {
  bench_trees_config config;
  char model[32];
  const opt_row model_row = {"model",      OPT_STRING,         0,
                             sizeof model, .def_text = "gbdt", .help = "what is made up: gbdt"};
  cli_add(c, "Model", &model_row, 1, model);
  cli_add(c, "Trees", bench_trees_options, bench_trees_n_options, &config);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (strcmp(model, "gbdt") != 0)
    return cli_usage(c,
                     "--model %s: only gbdt is made up; others are measured on a package: garam "
                     "bench predict MODEL DATA",
                     model);
  config.seed = c->common.seed;
  garam_error err = {0};
  bench_trees_result r;
  if (bench_trees(&r, &config, &err) != GARAM_OK) return cli_fail(c, &err);
  json_t *o = json_pack(
      "{s:I, s:I, s:I, s:I, s:f, s:I, s:f, s:f, s:I, s:I, s:s, s:i}", "p50_ns",
      (json_int_t)r.p50_ns, "p99_ns", (json_int_t)r.p99_ns, "p999_ns", (json_int_t)r.p999_ns,
      "max_ns", (json_int_t)r.max_ns, "rows_per_second", r.one_row_per_second, "calls",
      (json_int_t)r.calls, "batch_seconds", r.batch_seconds, "batch_rows_per_second",
      (double)config.rows / r.batch_seconds, "bytes", (json_int_t)r.bytes, "allocations",
      (json_int_t)r.allocations, "isa", r.isa, "threads", thread_count());
  if (c->common.json) return cli_print_json(c, o);
  char took[TEXT_SHORT], rows[TEXT_SHORT];
  printf("batch       %s rows in %s, %.0f rows a second, %d threads (%s)\n",
         text_count(rows, (uint64_t)config.rows),
         text_duration(took, (int64_t)(r.batch_seconds * 1e9)),
         (double)config.rows / r.batch_seconds, thread_count(), r.isa);
  return print_latency(c, o);
}

static int run_predict(cli *c) {
  if (cli_peek(c, "model")) return run_predict_trees(c);
  predict_bench config;
  cli_add(c, "Predict", predict_bench_options, COUNT_OF(predict_bench_options), &config);
  cli_add(c, "Reading (where not given, as the training data was read)", table_read_options,
          table_read_n_options, &config.read);
  int code = cli_parse(c, 3, 3);
  if (code != CLI_GO_ON) return code;
  garam_error err = {0};
  pipeline *p = NULL;
  table *t = NULL;
  dataset *d = NULL;
  json_t *o = NULL;
  garam_status status;
  TRY_GOTO(done, pipeline_load(&p, c->operands[1], &err));
  cli_take_rest(c, &config.read, pipeline_read_config(p));
  TRY_GOTO(done, table_open(&t, c->operands[2], &config.read, NULL, NULL, &err));
  TRY_GOTO(done, pipeline_dataset(&d, p, t, false, &err));
  TRY_GOTO(done, time_rows(&o, p, d, config.seconds, &err));
  json_object_set_new(o, "bytes", json_integer((json_int_t)mem_peak_resident()));
done:
  code = status == GARAM_OK ? print_latency(c, o) : cli_fail(c, &err);
  dataset_free(d);
  table_free(t);
  pipeline_free(p);
  return code;
}

/* ---- parity ---------------------------------------------------------------------------- */

typedef struct parity_config {
  probe_config probe;
  int batch, features, classes;
  char out[4096];
} parity_config;

static const opt_row parity_options[] = {
    {"out", OPT_STRING, OPT_AT(parity_config, out), .def_text = "parity.safetensors",
     .help = "safetensors file: weights, batch, scores, gradients, ten steps"},
    {"batch", OPT_INT, OPT_AT(parity_config, batch), .def = 8, .min = 1, .max = 4096,
     .unit = "rows", .help = "rows of the batch"},
    {"features", OPT_INT, OPT_AT(parity_config, features), .def = 7, .min = 1, .max = 4096,
     .help = "numbers in a row"},
    {"classes", OPT_INT, OPT_AT(parity_config, classes), .def = 3, .min = 2, .max = 4096,
     .help = "outputs"},
};

static int run_parity(cli *c) {
  parity_config config = {0};
  cli_add(c, "Parity", parity_options, COUNT_OF(parity_options), &config);
  cli_add(c, "Transformer", transformer_options, transformer_n_options, &config.probe.model);
  cli_add(c, "Training", train_options, train_n_options, &config.probe.train);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  config.probe.batch = config.batch;
  config.probe.n_features = config.features;
  config.probe.n_classes = config.classes;
  config.probe.seed = c->common.seed;
  garam_error err = {0};
  if (probe_write(&config.probe, config.out, &err) != GARAM_OK) return cli_fail(c, &err);
  if (c->common.json) return cli_print_json(c, json_pack("{s:s}", "out", config.out));
  if (!c->common.quiet) printf("%s\n", config.out);
  return cli_flush_stdout(c);
}

/* ---- which ----------------------------------------------------------------------------- */

static const struct {
  const char *name, *usage, *summary;
  int (*run)(cli *c);
} benches[] = {
    {"machine", "machine", "what products and memory reach here", run_machine},
    {"step", "step [--model NAME] [--preset NAME] [--batch N]", "a training step of a model",
     run_step},
    {"updates", "updates [--first N] [--second N] [--batch N]",
     "learning steps of actor and critic", run_updates},
    {"train", "train --model gbdt [--rows N] [--leaves N]", "boosting on made-up rows",
     bench_train},
    {"env", "env --env NAME [--n N] [--actions NAME]", "steps a second of an environment",
     bench_environment},
    {"infer", "infer MODEL [--batch N] [--rate N]", "latency of windows in memory", run_infer},
    {"predict", "predict MODEL DATA | predict --model gbdt",
     "latency of real rows, one at a time; of made-up trees", run_predict},
    {"online", "online [--experts N] [--ticks N]", "regret of online aggregation, and its bounds",
     bench_online},
    {"selection", "selection TRAIN VALID TEST", "dynamic selection over bagged logistic models",
     bench_selection},
    {"parity", "parity --out FILE", "weights, gradients and steps for another implementation",
     run_parity},
};

static void print_benches(cli *c) {
  (void)c;
  puts("Benches:");
  for (size_t i = 0; i < COUNT_OF(benches); i++)
    printf("  garam bench %-44s %s\n", benches[i].usage, benches[i].summary);
}

static int run(cli *c) {
  const char *kind = c->argc > 0 ? c->argv[0] : "--help";
  const char *names[COUNT_OF(benches)];
  for (size_t i = 0; i < COUNT_OF(benches); i++) {
    names[i] = benches[i].name;
    if (strcmp(kind, names[i]) == 0) return benches[i].run(c);
  }
  if (kind[0] == '-') {
    c->more_help = print_benches;
    int code = cli_parse(c, 0, 0);
    if (code != CLI_GO_ON) return code;
    return cli_usage(c, "what to measure comes first: machine, step, updates, train, env, infer, "
                        "predict, online, selection or parity");
  }
  const char *near = name_nearest(kind, names, COUNT_OF(names));
  return cli_usage(c, "no bench is named \"%s\"%s%s%s", kind, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

const command cmd_bench = {
    .name = "bench",
    .summary = "how fast: machine, training step, predictions",
    .usage = "machine|step|updates|train|env|infer|predict|online|selection|parity [operands] "
             "[--options] [--json]",
    .details = "garam bench NAME --help shows the options of one. Run it on an idle machine.",
    .examples =
        "garam bench step --d-model 512 --heads 8 --layers 6 --d-ff 2048 --batch 32 --seq 64\n"
        "garam bench infer model.safetensors --json",
    .run = run,
};
