/* Any bytes as a request: two bytes say which route and how long the JSON in front of binary data
 * is, then come header lines up to an empty one, then the body. No sockets. */
#include "infer/session_fake.h"
#include "serve/exchange.h"
#include "serve/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_HEADERS = 16, MAX_BATCH = 64 };

static fake_model model;
static session *sessions[1];
static const char *const names[] = {"m"};
static serve_config config;
static serve_state state;

static void start(void) {
  fake_init(&model, 2, 3, false);
  REQUIRE(fake_session(&sessions[0], &model, 1, 1, NULL) == GARAM_OK, "no session");
  config = (serve_config){.max_body = 1 << 16, .max_batch = MAX_BATCH, .timeout = 1};
  state = (serve_state){.config = &config,
                        .where = "http://127.0.0.1:1",
                        .names = names,
                        .sessions = sessions,
                        .n_models = 1};
  REQUIRE(metrics_init(&state.metrics, names, 1, NULL) == GARAM_OK, "no metrics");
}

/* "Name:value\n" lines; what is left is the body. */
static size_t take_headers(http_header *headers, size_t *n, const char *at, size_t size) {
  size_t used = 0;
  *n = 0;
  while (used < size && *n < MAX_HEADERS) {
    const char *line = at + used, *end = memchr(line, '\n', size - used);
    if (!end) break;
    used += (size_t)(end - line) + 1;
    if (end == line) return used;
    const char *colon = memchr(line, ':', (size_t)(end - line));
    if (!colon) colon = end - 1;
    headers[(*n)++] =
        (http_header){line, colon + 1, (size_t)(colon - line), (size_t)(end - colon) - 1};
  }
  return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const paths[] = {"/v2/models/m/infer", "/v2/models/m/versions/1/infer",
                                      "/v2/models/m/predict", NULL};
  if (!sessions[0]) start();
  if (size < 2) return 0;
  http_header headers[MAX_HEADERS];
  size_t n, which = data[0] % 4;
  const char *at = (const char *)data + 2;
  size_t used = take_headers(headers, &n, at, size - 2);
  guard_verdict v = guard_check("POST", "HTTP/1.1", headers, n, config.max_body);
  REQUIRE(v.code == 0 || (v.code >= 400 && v.message && v.reason), "a verdict without a reason");

  size_t body_size = size - 2 - used;
  char *body = malloc(body_size ? body_size : 1), path[64]; /* exact: reads behind it are seen */
  memcpy(body, at + used, body_size);
  snprintf(path, sizeof path, "/%.*s", (int)(body_size < 60 ? body_size : 60), body);
  exchange e = {.method = data[0] & 4 ? "GET" : "POST",
                .path = paths[which] ? paths[which] : path,
                .content_type = which == 2 ? "text/csv" : "application/json",
                .rows = data[0] & 8 ? "all" : NULL,
                .body = body,
                .body_size = body_size,
                .inference_header = data[0] & 16 ? data[1] : -1};
  exchange_route(&e, &state);
  REQUIRE(e.code == 200 || (e.code >= 400 && e.code <= 503), "answered with %d", e.code);
  REQUIRE(e.answer.size > 0 && !e.answer.failed, "an empty answer");
  if (e.code == 200 && which < 2 && e.method[0] == 'P')
    REQUIRE(e.infer.n >= 1 && e.infer.n <= MAX_BATCH, "a batch of %zu", e.infer.n);
  exchange_deinit(&e);
  free(body);
  return 0;
}
