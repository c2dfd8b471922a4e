/* GET /: what is served here, and how to ask. One page, nothing loaded from elsewhere. */
#include "serve/exchange.h"

#include <stdio.h>

static void example(text *t, const serve_state *s, const char *name, const char *path,
                    const char *arguments) {
  bool local = strncmp(s->where, "unix:", 5) == 0;
  text_string(t, "<pre>curl -s ");
  if (local) {
    text_string(t, "--unix-socket ");
    text_html(t, s->where + 5);
    text_string(t, " ");
  }
  text_html(t, local ? "http://localhost" : s->where);
  text_string(t, "/v2/models/");
  text_html(t, name);
  text_html(t, path);
  text_html(t, arguments);
  text_string(t, "</pre>\n");
}

static void model_write(text *t, const serve_state *s, size_t i) {
  const session_info *info = session_get_info(s->sessions[i]);
  text_string(t, "<h2>");
  text_html(t, s->names[i]);
  text_string(t, "</h2>\n<p>");
  text_html(t, info->learner);
  text_format(t, ", %s, ", info->acts ? "policy" : task_names[info->task]);
  if (info->context > 1)
    text_format(t, "windows of %zu rows of %zu features", info->context, info->n_features);
  else text_format(t, "rows of %zu features", info->n_features);
  text_string(t, "; answers ");
  for (int k = 0; k < info->n_outputs; k++) {
    if (k > 0) text_string(t, ", ");
    text_html(t, info->output_names[k]);
  }
  text_string(t, ".<br><small>sha256 ");
  text_html(t, info->sha256);
  text_string(t, "</small></p>\n");
  example(t, s, s->names[i], "", "");
  if (!info->acts)
    example(t, s, s->names[i], "/predict", " -H 'Content-Type: text/csv' --data-binary @bars.csv");
  char arguments[256];
  if (info->context > 1)
    snprintf(arguments, sizeof arguments,
             " -H 'Content-Type: application/json' \\\n  -d '{\"inputs\":[{\"name\":\"features\","
             "\"datatype\":\"FP32\",\"shape\":[1,%zu,%zu],\"data\":[...]}]}'",
             info->context, info->n_features);
  else
    snprintf(arguments, sizeof arguments,
             " -H 'Content-Type: application/json' \\\n  -d '{\"inputs\":[{\"name\":\"features\","
             "\"datatype\":\"FP32\",\"shape\":[1,%zu],\"data\":[...]}]}'",
             info->n_features);
  example(t, s, s->names[i], "/infer", arguments);
}

void page_write(text *t, const serve_state *s) {
  text_string(t, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                 "<title>garam</title>\n<style>body{font:16px/1.5 system-ui,sans-serif;max-width:"
                 "60em;margin:2em auto;padding:0 1em}pre{background:#f2f4f6;color:#111;padding:"
                 ".6em;overflow-x:auto}</style></head><body>\n<h1>garam " GARAM_VERSION "</h1>\n"
                 "<p>Open Inference Protocol v2: <a href=\"/v2\">/v2</a>, "
                 "<a href=\"/v2/health/ready\">/v2/health/ready</a>; "
                 "<a href=\"/metrics\">/metrics</a> for Prometheus.</p>\n");
  for (size_t i = 0; i < s->n_models; i++) model_write(t, s, i);
  text_string(t, "</body></html>\n");
}
