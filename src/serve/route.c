/* Paths to answers. */
#include "serve/exchange.h"

#include "base/mem.h"
#include "serve/guard.h"

#include <stdarg.h>
#include <stdio.h>

static const char type_json[] = "application/json";

void exchange_deinit(exchange *e) {
  text_deinit(&e->answer);
  oip_request_deinit(&e->infer);
  mem_free(e->out);
  e->out = NULL;
  e->out_capacity = 0;
}

void exchange_trim(exchange *e, size_t keep_bytes) {
  if (e->answer.capacity > keep_bytes) text_deinit(&e->answer);
  if (e->infer.capacity * sizeof(float) > keep_bytes) oip_request_deinit(&e->infer);
  if (e->out_capacity * sizeof(float) > keep_bytes) {
    mem_free(e->out);
    e->out = NULL;
    e->out_capacity = 0;
  }
}

void exchange_fail(exchange *e, int code, const char *format, ...) {
  char message[1100];
  va_list args;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  e->code = code;
  e->type = type_json;
  e->answer_header = -1;
  text_clear(&e->answer);
  oip_error(&e->answer, message);
}

void exchange_fail_status(exchange *e, const garam_error *err) {
  static const struct {
    garam_status status;
    int code;
  } codes[] = {
      {GARAM_INVALID, 400},   {GARAM_PARSE, 400},     {GARAM_MISMATCH, 400},
      {GARAM_NOT_FOUND, 400}, {GARAM_LIMIT, 413},     {GARAM_UNSUPPORTED, 415},
      {GARAM_BUSY, 503},      {GARAM_NO_MEMORY, 503}, {GARAM_INTERRUPTED, 503},
  };
  int code = 500;
  for (size_t i = 0; i < COUNT_OF(codes); i++)
    if (codes[i].status == err->status) code = codes[i].code;
  exchange_fail(e, code, "%s", err->message);
}

/* ---- leaves ----------------------------------------------------------------------------- */

static void infer(exchange *e, serve_state *s) {
  static const char *const types[] = {"application/json", "application/octet-stream",
                                      "application/vnd.garam.binary"};
  session *asked = s->sessions[e->model];
  const session_info *info = session_get_info(asked);
  garam_error err;
  if (e->content_type && !guard_content_type(e->content_type, types, COUNT_OF(types))) {
    exchange_fail(e, 415,
                  "Content-Type is \"%.100s\"; expected application/json, or "
                  "application/octet-stream with binary data (curl: -H "
                  "'Content-Type: application/json')",
                  e->content_type);
    return;
  }
  garam_status status = oip_parse(&e->infer, info, e->body, e->body_size, e->inference_header,
                                  (size_t)s->config->max_batch, &err);
  size_t n = e->infer.n, k = (size_t)info->n_outputs;
  session_timing timing;
  if (status == GARAM_OK) status = mem_grow(&e->out, &e->out_capacity, n * k, sizeof *e->out, &err);
  if (status == GARAM_OK)
    status = session_run(asked, e->infer.x, n, e->out, (int64_t)(s->config->timeout * 1e9), &timing,
                         &err);
  if (status != GARAM_OK) {
    exchange_fail_status(e, &err);
    return;
  }
  metrics_inference(&s->metrics, e->model, n, &timing);
  oip_respond(&e->answer, &e->answer_header, &e->infer, info, s->names[e->model], e->out);
  if (e->answer_header >= 0) e->type = "application/octet-stream";
}

static void model_metadata(exchange *e, serve_state *s) {
  oip_model_metadata(&e->answer, session_get_info(s->sessions[e->model]), s->names[e->model]);
}

static void readiness(exchange *e, serve_state *s, const char *name) {
  bool ready = !atomic_load(&s->draining);
  e->code = ready ? 200 : 503;
  text_string(&e->answer, "{");
  if (name) {
    text_string(&e->answer, "\"name\":");
    text_json_string(&e->answer, name);
    text_string(&e->answer, ",");
  }
  text_format(&e->answer, "\"ready\":%s}", ready ? "true" : "false");
}

static void model_ready(exchange *e, serve_state *s) {
  readiness(e, s, s->names[e->model]);
}

static void server_ready(exchange *e, serve_state *s) {
  readiness(e, s, NULL);
}

static void server_live(exchange *e, serve_state *s) {
  (void)s;
  text_string(&e->answer, "{\"live\":true}");
}

static void server_metadata(exchange *e, serve_state *s) {
  (void)s;
  oip_server_metadata(&e->answer);
}

static void metrics_page(exchange *e, serve_state *s) {
  e->type = "text/plain; version=0.0.4; charset=utf-8";
  metrics_write(&e->answer, &s->metrics, s->sessions);
}

static void front_page(exchange *e, serve_state *s) {
  e->type = "text/html; charset=utf-8";
  page_write(&e->answer, s);
}

/* ---- paths ------------------------------------------------------------------------------- */

typedef struct route {
  const char *path;   /* after /v2/models/NAME or its /versions/1, where of_model */
  const char *method; /* GET stands for HEAD too */
  void (*answer)(exchange *e, serve_state *s);
} route;

static const route of_server[] = {
    {"/", "GET", front_page},
    {"/metrics", "GET", metrics_page},
    {"/v2", "GET", server_metadata},
    {"/v2/health/live", "GET", server_live},
    {"/v2/health/ready", "GET", server_ready},
};

static const route of_model[] = {
    {"", "GET", model_metadata},
    {"/ready", "GET", model_ready},
    {"/infer", "POST", infer},
    {"/predict", "POST", predict_rows},
};

static void take_route(exchange *e, serve_state *s, const route *routes, size_t n,
                       const char *path) {
  for (size_t i = 0; i < n; i++) {
    if (strcmp(path, routes[i].path) != 0) continue;
    bool get = strcmp(routes[i].method, "GET") == 0;
    if (strcmp(e->method, routes[i].method) == 0 || (get && strcmp(e->method, "HEAD") == 0)) {
      routes[i].answer(e, s);
      return;
    }
    e->allow = get ? "GET, HEAD" : "POST";
    exchange_fail(e, 405, "%.20s is not for %.200s; use %s", e->method, e->path, e->allow);
    return;
  }
  exchange_fail(e, 404, "nothing is at %.200s; GET / lists what is", e->path);
}

/* /v2/models/NAME[/versions/1]REST; a trailing slash is no part of a name. */
static void route_model(exchange *e, serve_state *s, const char *name) {
  size_t size = strcspn(name, "/");
  const char *rest = name + size;
  for (size_t i = 0; i < s->n_models; i++)
    if (strlen(s->names[i]) == size && memcmp(s->names[i], name, size) == 0) e->model = i;
  if (e->model == s->n_models) {
    exchange_fail(e, 404, "no model \"%.*s\" is served here", size < 128 ? (int)size : 128, name);
    return;
  }
  static const char versions[] = "/versions/";
  if (strncmp(rest, versions, sizeof versions - 1) == 0) {
    const char *version = rest + sizeof versions - 1;
    size_t n = strcspn(version, "/");
    if (n != 1 || version[0] != '1') {
      exchange_fail(e, 404, "model \"%s\" has version 1 only", s->names[e->model]);
      return;
    }
    rest = version + 1;
  }
  take_route(e, s, of_model, COUNT_OF(of_model), rest);
}

void exchange_route(exchange *e, serve_state *s) {
  static const char models[] = "/v2/models/";
  e->code = 200;
  e->type = type_json;
  e->allow = NULL;
  e->answer_header = -1;
  e->model = s->n_models;
  text_clear(&e->answer);
  if (strncmp(e->path, models, sizeof models - 1) == 0)
    route_model(e, s, e->path + sizeof models - 1);
  else take_route(e, s, of_server, COUNT_OF(of_server), e->path);
  if (e->answer.failed) {
    text_deinit(&e->answer);
    exchange_fail(e, 503, "out of memory");
  }
}
