/* Counters and histograms, as text for Prometheus. */
#include "serve/metrics.h"

#include "base/clock.h"
#include "base/mem.h"

static const int codes[] = {
#define X(code) code,
    METRICS_CODE_LIST(X)
#undef X
};

static const char *const reasons[] = {
#define X(reason) #reason,
    METRICS_REASON_LIST(X)
#undef X
};

/* Edges with two digits at most, so that a histogram of two digits counts them exactly. */
typedef struct bound {
  uint64_t value;
  const char *le;
} bound;

static const bound seconds[] = {
    {5000, "0.000005"},  {10000, "0.00001"},  {25000, "0.000025"}, {50000, "0.00005"},
    {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},  {1000000, "0.001"},
    {2500000, "0.0025"}, {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"},
    {50000000, "0.05"},  {100000000, "0.1"},  {250000000, "0.25"}, {500000000, "0.5"},
    {1000000000, "1"},   {2500000000, "2.5"}, {5000000000, "5"},   {10000000000, "10"},
};
static const bound rows[] = {
    {1, "1"},     {2, "2"},     {5, "5"},     {10, "10"},     {20, "20"},     {50, "50"},
    {100, "100"}, {200, "200"}, {500, "500"}, {1000, "1000"}, {2000, "2000"}, {5000, "5000"},
};
enum { MAX_BOUNDS = 32 };

static garam_status model_init(metrics_model *m, const char *name, garam_error *err) {
  m->name = name;
  for (size_t i = 0; i < METRICS_N_CODES; i++) TRY(histogram_init(&m->duration[i], 2, err));
  TRY(histogram_init(&m->wait, 2, err));
  TRY(histogram_init(&m->run, 2, err));
  return histogram_init(&m->rows, 2, err);
}

garam_status metrics_init(metrics *m, const char *const *names, size_t n_models, garam_error *err) {
  *m = (metrics){.n_models = n_models, .started_ns = clock_wall_ns()};
  m->models = mem_array(n_models + 1, sizeof *m->models);
  if (!m->models) return fail_memory(err, (n_models + 1) * sizeof *m->models);
  for (size_t i = 0; i <= n_models; i++) {
    garam_status status = model_init(&m->models[i], i < n_models ? names[i] : "", err);
    if (status != GARAM_OK) {
      metrics_deinit(m);
      return status;
    }
  }
  return GARAM_OK;
}

void metrics_deinit(metrics *m) {
  for (size_t i = 0; m->models && i <= m->n_models; i++) {
    metrics_model *model = &m->models[i];
    for (size_t c = 0; c < METRICS_N_CODES; c++) histogram_deinit(&model->duration[c]);
    histogram_deinit(&model->wait);
    histogram_deinit(&model->run);
    histogram_deinit(&model->rows);
  }
  mem_free(m->models);
  m->models = NULL;
}

void metrics_request(metrics *m, size_t model, int code, int64_t duration_ns) {
  size_t c = 0;
  while (c < METRICS_N_CODES && codes[c] != code) c++;
  REQUIRE(c < METRICS_N_CODES, "an answer with code %d, which METRICS_CODE_LIST does not have",
          code);
  histogram_record(&m->models[model].duration[c], duration_ns > 0 ? (uint64_t)duration_ns : 0);
}

void metrics_inference(metrics *m, size_t model, size_t n_rows, const session_timing *timing) {
  histogram_record(&m->models[model].wait, (uint64_t)timing->wait_ns);
  histogram_record(&m->models[model].run, (uint64_t)timing->run_ns);
  histogram_record(&m->models[model].rows, n_rows);
}

void metrics_reject(metrics *m, const char *reason) {
  for (size_t i = 0; i < METRICS_N_REASONS; i++)
    if (strcmp(reasons[i], reason) == 0) {
      atomic_fetch_add_explicit(&m->rejected[i], 1, memory_order_relaxed);
      return;
    }
  REQUIRE(false, "\"%s\" is not in METRICS_REASON_LIST", reason);
}

/* ---- text ------------------------------------------------------------------------------ */

/* Label values escape backslash, quote and newline. */
static void label(text *t, const char *key, const char *value) {
  text_format(t, "%s=\"", key);
  for (; *value; value++) {
    if (*value == '\\' || *value == '"') text_add(t, "\\", 1);
    if (*value == '\n') text_string(t, "\\n");
    else text_add(t, value, 1);
  }
  text_string(t, "\"");
}

static void head(text *t, const char *name, const char *type, const char *help) {
  text_format(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void histogram_write(text *t, const char *name, const char *labels, const bound *bounds,
                            size_t n_bounds, double unit, const histogram *h) {
  uint64_t edges[MAX_BOUNDS] = {0}, cumulative[MAX_BOUNDS];
  for (size_t i = 0; i < n_bounds; i++) edges[i] = bounds[i].value;
  uint64_t total = histogram_cumulative(cumulative, edges, n_bounds, h);
  for (size_t i = 0; i < n_bounds; i++)
    text_format(t, "%s_bucket{%s,le=\"%s\"} %llu\n", name, labels, bounds[i].le,
                (unsigned long long)cumulative[i]);
  text_format(t, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} ", name, labels,
              (unsigned long long)total, name, labels);
  text_f64(t, (double)atomic_load(&h->sum) * unit);
  text_format(t, "\n%s_count{%s} %llu\n", name, labels, (unsigned long long)total);
}

/* `model="..."`, with room for a code behind it. */
static const char *model_label(text *t, const char *name, int code) {
  t->size = 0; /* a failure stays, for the caller to see at the end */
  label(t, "model", name);
  if (code > 0) text_format(t, ",code=\"%d\"", code);
  text_add(t, "", 1); /* NUL */
  return t->failed ? "" : t->data;
}

static void gauge(text *t, const char *name, const char *type, const char *help, double value) {
  head(t, name, type, help);
  text_format(t, "%s ", name);
  text_f64(t, value);
  text_string(t, "\n");
}

void metrics_write(text *t, const metrics *m, session *const *sessions) {
  text labels = {0};
  head(t, "garam_build_info", "gauge", "Always 1; the version is a label.");
  text_string(t, "garam_build_info{version=\"" GARAM_VERSION "\"} 1\n");
  head(t, "garam_model_info", "gauge", "Always 1; what is served, as labels.");
  for (size_t i = 0; i < m->n_models; i++) {
    const session_info *info = session_get_info(sessions[i]);
    text_string(t, "garam_model_info{");
    label(t, "model", m->models[i].name);
    text_string(t, ",");
    label(t, "learner", info->learner);
    text_string(t, ",");
    label(t, "sha256", info->sha256);
    text_string(t, "} 1\n");
  }

  const char *name = "garam_http_request_duration_seconds";
  head(t, name, "histogram",
       "From a request's head to its answer; model is empty where none is "
       "addressed.");
  for (size_t i = 0; i <= m->n_models; i++)
    for (size_t c = 0; c < METRICS_N_CODES; c++)
      if (histogram_total(&m->models[i].duration[c]) > 0)
        histogram_write(t, name, model_label(&labels, m->models[i].name, codes[c]), seconds,
                        COUNT_OF(seconds), 1e-9, &m->models[i].duration[c]);

  static const struct {
    const char *name, *help;
    size_t offset;
    const bound *bounds;
    size_t n_bounds;
    double unit;
  } of_model[] = {
      {"garam_inference_wait_seconds", "Waiting for a free worker.", offsetof(metrics_model, wait),
       seconds, COUNT_OF(seconds), 1e-9},
      {"garam_inference_duration_seconds", "In the model, waiting not counted.",
       offsetof(metrics_model, run), seconds, COUNT_OF(seconds), 1e-9},
      {"garam_inference_rows", "Rows of one request.", offsetof(metrics_model, rows), rows,
       COUNT_OF(rows), 1},
  };
  for (size_t f = 0; f < COUNT_OF(of_model); f++) {
    head(t, of_model[f].name, "histogram", of_model[f].help);
    for (size_t i = 0; i < m->n_models; i++) {
      const histogram *h =
          (const histogram *)(const void *)((const char *)&m->models[i] + of_model[f].offset);
      histogram_write(t, of_model[f].name, model_label(&labels, m->models[i].name, 0),
                      of_model[f].bounds, of_model[f].n_bounds, of_model[f].unit, h);
    }
  }

  head(t, "garam_inference_waiting", "gauge", "Requests that wait for a worker now.");
  for (size_t i = 0; i < m->n_models; i++)
    text_format(t, "garam_inference_waiting{%s} %zu\n", model_label(&labels, m->models[i].name, 0),
                session_n_waiting(sessions[i]));
  head(t, "garam_workers", "gauge", "Predictions that can be made at the same time.");
  for (size_t i = 0; i < m->n_models; i++)
    text_format(t, "garam_workers{%s} %zu\n", model_label(&labels, m->models[i].name, 0),
                session_n_workers(sessions[i]));
  head(t, "garam_http_rejected_total", "counter",
       "Requests refused, and clients cut off, before a model was asked.");
  for (size_t i = 0; i < METRICS_N_REASONS; i++)
    text_format(t, "garam_http_rejected_total{reason=\"%s\"} %llu\n", reasons[i],
                (unsigned long long)atomic_load(&m->rejected[i]));

  gauge(t, "garam_http_in_flight", "gauge", "Requests under way, this one included.",
        (double)atomic_load(&m->in_flight));
  gauge(t, "garam_http_connections", "gauge", "Open connections.",
        (double)atomic_load(&m->connections));
  gauge(t, "garam_http_connections_total", "counter", "Connections accepted.",
        (double)atomic_load(&m->connections_total));
  gauge(t, "garam_http_received_bytes_total", "counter", "Bytes of request bodies.",
        (double)atomic_load(&m->received_bytes));
  gauge(t, "garam_http_sent_bytes_total", "counter", "Bytes of answers' bodies.",
        (double)atomic_load(&m->sent_bytes));
  gauge(t, "process_start_time_seconds", "gauge", "Seconds since 1970 UTC.",
        (double)m->started_ns * 1e-9);
  gauge(t, "process_resident_memory_peak_bytes", "gauge", "Largest resident memory so far.",
        (double)mem_peak_resident());
  if (labels.failed) t->failed = true;
  text_deinit(&labels);
}
