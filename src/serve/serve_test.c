/* The server over real sockets on the loopback: endpoints, errors, limits, many clients, drain. */
#include "base/clock.h"
#include "base/json.h"
#include "infer/session_fake.h"
#include "serve/serve.h"
#include "serve/serve_client.h"

#include <pthread.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <cmocka.h> /* last: its fail() is a macro */

enum { T = 2, F = 3, K = 3 };

typedef struct fixture {
  fake_model model, flat; /* windows of 2 x 3, classes; rows of 4, a regression */
  session *sessions[2];
  serve_config config;
  serve_server *server;
  int port;
} fixture;

static serve_config test_config(void) {
  serve_config config;
  opt_defaults(serve_options, serve_n_options, &config);
  config.port = 0;
  config.max_body = 200000;
  config.max_batch = 100;
  return config;
}

static void start(fixture *f, const serve_config *config, size_t n_workers, int max_queue) {
  garam_error err = {0};
  memset(f, 0, sizeof *f);
  fake_init(&f->model, T, F, false);
  fake_init(&f->flat, 1, 4, true);
  f->config = *config;
  if (fake_session(&f->sessions[0], &f->model, n_workers, max_queue, &err) != GARAM_OK ||
      fake_session(&f->sessions[1], &f->flat, 1, max_queue, &err) != GARAM_OK)
    fail_msg("%s", err.message);
  const serve_model models[] = {{"m", f->sessions[0]}, {"value-1", f->sessions[1]}};
  if (serve_start(&f->server, models, 2, &f->config, &err) != GARAM_OK) fail_msg("%s", err.message);
  f->port = serve_port(f->server);
}

static void stop(fixture *f) {
  garam_error err = {0};
  if (serve_stop(f->server, &err) != GARAM_OK) fail_msg("%s", err.message);
  for (int i = 0; i < 2; i++) session_free(f->sessions[i]);
}

static client dial(const fixture *f) {
  client c;
  assert_true(client_open(&c, f->port));
  return c;
}

static json_t *parse(const reply *r) {
  json_t *json;
  garam_error err;
  assert_non_null(r->body);
  if (json_parse(&json, r->body, r->body_size, "answer", &err) != GARAM_OK)
    fail_msg("%s in: %s", err.message, r->body);
  return json;
}

/* An infer body for n windows of the first model; x[i] as written. Free it. */
static char *infer_body(const float *x, size_t n, const char *more) {
  char *body = malloc(256 + n * T * F * 20), *at = body;
  at += sprintf(at,
                "{%s\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":"
                "[%zu,%d,%d],\"data\":[",
                more, n, T, F);
  for (size_t i = 0; i < n * T * F; i++) at += sprintf(at, "%s%.9g", i ? "," : "", (double)x[i]);
  strcpy(at, "]}]}");
  return body;
}

static void make_inputs(float *x, size_t n, int seed) {
  for (size_t i = 0; i < n; i++)
    x[i] = (float)((int)(i * 7919 + (size_t)seed * 104729) % 200 - 100) / 64;
}

static void check_probabilities(const reply *r, const float *x, size_t n) {
  assert_int_equal(r->code, 200);
  json_t *json = parse(r);
  json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
  assert_string_equal(json_string_value(json_object_get(output, "name")), "probabilities");
  json_t *data = json_object_get(output, "data");
  assert_int_equal(json_array_size(data), n * K);
  fake_model m;
  fake_init(&m, T, F, false);
  for (size_t i = 0; i < n; i++) {
    float expected[K];
    fake_answer(&m.info, x + i * T * F, expected);
    for (size_t c = 0; c < K; c++) /* nine digits give the very same float */
      assert_true((float)json_number_value(json_array_get(data, i * K + c)) == expected[c]);
  }
  json_decref(json);
}

/* ---- endpoints --------------------------------------------------------------------------- */

static void test_gets(void **state) {
  static const struct {
    const char *path;
    int code;
    const char *type, *contains;
  } table[] = {
      {"/v2", 200, "application/json", "\"extensions\":[\"binary_tensor_data\"]"},
      {"/v2/health/live", 200, "application/json", "{\"live\":true}"},
      {"/v2/health/ready", 200, "application/json", "{\"ready\":true}"},
      {"/v2/models/m", 200, "application/json",
       "\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[-1,2,3]}]"},
      {"/v2/models/m", 200, "application/json",
       "\"outputs\":[{\"name\":\"probabilities\",\"datatype\":\"FP32\",\"shape\":[-1,3]},"
       "{\"name\":\"label\",\"datatype\":\"BYTES\",\"shape\":[-1]}]"},
      {"/v2/models/m/versions/1", 200, "application/json",
       "\"class_names\":[\"down\",\"flat\",\"up\"]"},
      {"/v2/models/m", 200, "application/json", "\"sha256\":\"0123abcd\""},
      {"/v2/models/value-1", 200, "application/json", "\"shape\":[-1,4]}]"},
      {"/v2/models/value-1", 200, "application/json",
       "\"outputs\":[{\"name\":\"value\",\"datatype\":\"FP32\",\"shape\":[-1,1]}]"},
      {"/v2/models/m/ready", 200, "application/json", "{\"name\":\"m\",\"ready\":true}"},
      {"/v2/models/m/versions/1/ready", 200, "application/json", "\"ready\":true"},
      {"/", 200, "text/html; charset=utf-8", "/v2/models/m/predict"},
      {"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8", "garam_build_info"},
      {"/v2/models/m/versions/2", 404, "application/json", "has version 1 only"},
      {"/v2/models/m/versions/11", 404, "application/json", "has version 1 only"},
      {"/v2/models/n", 404, "application/json", "{\"error\":\"no model \\\"n\\\" is served"},
      {"/v2/models/mm", 404, "application/json", "no model"},
      {"/v2/models/", 404, "application/json", "no model"},
      {"/v2/models/m/other", 404, "application/json", "error"},
      {"/nothing", 404, "application/json", "{\"error\":\"nothing is at /nothing"},
      {"/v2/models/%22%3Cb%3E", 404, "application/json", "no model \\\"\\\"<b>\\\""},
      {"/v2/models/m/infer", 405, "application/json", "use POST"},
  };
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 2, 10);
  client c = dial(&f);
  for (size_t i = 0; i < COUNT_OF(table); i++) { /* all on one connection */
    reply r = client_get(&c, table[i].path);
    if (r.code != table[i].code || !strstr(r.body, table[i].contains))
      fail_msg("GET %s: %d %s", table[i].path, r.code, r.body);
    assert_string_equal(reply_header(&r, "Content-Type"), table[i].type);
    assert_false(r.close);
    if (strcmp(table[i].type, "application/json") == 0) json_decref(parse(&r));
  }
  reply r = client_ask(&c, "HEAD", "/v2/health/live", "", "", 0);
  assert_int_equal(r.code, 200);
  r = client_ask(&c, "DELETE", "/v2/models/m", "", "", 0);
  assert_int_equal(r.code, 405);
  assert_string_equal(reply_header(&r, "Allow"), "GET, HEAD");
  r = client_ask(&c, "POST", "/v2/models/m", "", "{}", 2);
  assert_int_equal(r.code, 405);
  client_close(&c);
  stop(&f);
}

static void test_infer_json(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  client c = dial(&f);
  float x[100 * T * F];
  make_inputs(x, COUNT_OF(x), 1);
  for (size_t n = 1; n <= 100; n += 33) {
    char *body = infer_body(x, n, "\"id\":\"a \\u00e9\\\"1\",");
    reply r = client_post_json(&c, "/v2/models/m/infer", body);
    check_probabilities(&r, x, n);
    json_t *json = parse(&r);
    assert_string_equal(json_string_value(json_object_get(json, "id")), "a \xc3\xa9\"1");
    assert_string_equal(json_string_value(json_object_get(json, "model_name")), "m");
    json_t *label = json_array_get(json_object_get(json, "outputs"), 1);
    assert_string_equal(json_string_value(json_object_get(label, "name")), "label");
    assert_int_equal(json_array_size(json_object_get(label, "data")), n);
    json_decref(json);
    free(body);
  }
  reply r = client_post_json(&c, "/v2/models/value-1/versions/1/infer",
                             "{\"inputs\":[{\"name\":\"features\",\"shape\":[2,4],\"datatype\":"
                             "\"INT64\",\"data\":[[1,2,3,4],[5,6,7,8]]}]}");
  assert_int_equal(r.code, 200);
  assert_non_null(strstr(r.body, "{\"name\":\"value\",\"datatype\":\"FP32\",\"shape\":[2,1],"
                                 "\"data\":[2.25,5.75]}]}"));
  client_close(&c);
  stop(&f);
}

static void test_infer_binary(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  client c = dial(&f);
  float x[3 * T * F];
  make_inputs(x, COUNT_OF(x), 2);
  char body[1024], headers[128];
  int n = sprintf(body,
                  "{\"id\":\"7\",\"inputs\":[{\"name\":\"features\",\"shape\":[3,2,3],\"datatype\":"
                  "\"FP32\",\"parameters\":{\"binary_data_size\":%zu}}],\"outputs\":[{\"name\":"
                  "\"label\",\"parameters\":{\"binary_data\":true}},{\"name\":\"probabilities\","
                  "\"parameters\":{\"binary_data\":true}}]}",
                  sizeof x);
  memcpy(body + n, x, sizeof x);
  sprintf(headers, "Inference-Header-Content-Length: %d\r\n", n);
  reply r = client_ask(&c, "POST", "/v2/models/m/infer", headers, body, (size_t)n + sizeof x);
  assert_int_equal(r.code, 200);
  assert_string_equal(reply_header(&r, "Content-Type"), "application/octet-stream");
  size_t head = strtoul(reply_header(&r, "Inference-Header-Content-Length"), NULL, 10);
  assert_true(head > 0 && head < r.body_size);
  json_t *json;
  assert_int_equal(json_parse(&json, r.body, head, "answer", NULL), GARAM_OK);
  json_t *outputs = json_object_get(json, "outputs");
  const char *at = r.body + head;
  size_t label_bytes = 0;
  float expected[3][K];
  for (int i = 0; i < 3; i++) { /* labels first, as asked */
    uint32_t size;
    fake_answer(&f.model.info, x + i * T * F, expected[i]);
    int top = 0;
    for (int k = 1; k < K; k++)
      if (expected[i][k] > expected[i][top]) top = k;
    memcpy(&size, at, 4);
    assert_int_equal(size, strlen(fake_classes[top]));
    assert_memory_equal(at + 4, fake_classes[top], size);
    at += 4 + size;
    label_bytes += 4 + size;
  }
  assert_memory_equal(at, expected, sizeof expected);
  assert_int_equal(at + sizeof expected - r.body, r.body_size);
  const size_t sizes[] = {label_bytes, sizeof expected};
  for (size_t i = 0; i < 2; i++) {
    json_t *parameters = json_object_get(json_array_get(outputs, i), "parameters");
    assert_int_equal(json_integer_value(json_object_get(parameters, "binary_data_size")), sizes[i]);
  }
  json_decref(json);

  /* Nothing but numbers. */
  r = client_ask(&c, "POST", "/v2/models/m/infer",
                 "Content-Type: application/octet-stream\r\nInference-Header-Content-Length: 0\r\n",
                 x, sizeof x);
  assert_int_equal(r.code, 200);
  head = strtoul(reply_header(&r, "Inference-Header-Content-Length"), NULL, 10);
  assert_memory_equal(r.body + head, expected, sizeof expected);
  client_close(&c);
  stop(&f);
}

static void test_errors(void **state) {
  static const struct {
    const char *path, *headers, *body;
    int code;
    const char *contains;
  } table[] = {
      {"/v2/models/m/infer", "Content-Type: application/json\r\n", "", 400, "found the end"},
      {"/v2/models/m/infer", "Content-Type: application/json\r\n", "{\"inputs\":[", 400, "byte 11"},
      {"/v2/models/m/infer", "Content-Type: application/json\r\n",
       "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":[0,0,"
       "0,0,NaN,0]}]}",
       400, "element [0,1,1] (feature \\\"return_5\\\") is NaN"},
      {"/v2/models/m/infer", "Content-Type: text/plain\r\n", "{}", 415, "application/json"},
      {"/v2/models/m/infer", "Content-Encoding: gzip\r\n", "{}", 415, "Content-Encoding"},
      {"/v2/models/nix/infer", "Content-Type: application/json\r\n", "{}", 404, "no model"},
      {"/v2/models/m/infer", "Inference-Header-Content-Length: 9\r\n", "{}", 400,
       "is 9, but the body has 2 bytes"},
      {"/v2/models/m/infer", "Inference-Header-Content-Length: -1\r\n", "{}", 400, "plain number"},
      {"/v2/models/m/infer",
       "Inference-Header-Content-Length: 1\r\nInference-Header-Content-Length: 2\r\n", "{}", 400,
       "plain number"},
      {"/v2/models/m/infer", "Content-Type: application/json\r\n",
       "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[101,2,3],\"data\":[]}]"
       "}",
       413, "at most 100"},
      {"/v2/models/m/predict", "Content-Type: application/json\r\n", "1\n", 415, "text/csv"},
      {"/v2/models/m/predict", "", "1\n", 415, "text/csv"},
      {"/v2/models/m/predict?rows=none", "Content-Type: text/csv\r\n", "1\n", 400, "last or all"},
      {"/v2/models/m/predict", "Content-Type: text/csv\r\n", "", 400, "no rows"},
      {"/v2/models/m/predict", "Content-Type: text/csv\r\n", "1\nx\n", 400,
       "the last of 2 rows cannot be predicted"},
  };
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    client c = dial(&f);
    reply r = client_ask(&c, "POST", table[i].path, table[i].headers, table[i].body,
                         strlen(table[i].body));
    if (r.code != table[i].code || !strstr(r.body, table[i].contains))
      fail_msg("%zu: POST %s: %d %s", i, table[i].path, r.code, r.body);
    json_t *json = parse(&r);
    assert_non_null(json_string_value(json_object_get(json, "error")));
    json_decref(json);
    client_close(&c);
  }
  f.model.broken = true; /* the model's fault is 500, and the server goes on */
  client c = dial(&f);
  float x[T * F] = {0};
  char *body = infer_body(x, 1, "");
  reply r = client_post_json(&c, "/v2/models/m/infer", body);
  assert_int_equal(r.code, 500);
  f.model.broken = false;
  r = client_post_json(&c, "/v2/models/m/infer", body);
  assert_int_equal(r.code, 200);
  free(body);
  client_close(&c);
  stop(&f);
}

static void test_predict(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  client c = dial(&f);
  static const char csv[] = "1\nx\n0\n5\n";
  static const struct {
    const char *query;
    size_t n;
  } table[] = {{"", 1}, {"?rows=last", 1}, {"?rows=all", 3}};
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    char path[64];
    sprintf(path, "/v2/models/m/predict%s", table[i].query);
    reply r =
        client_ask(&c, "POST", path, "Content-Type: text/csv; charset=utf-8\r\n", csv, strlen(csv));
    assert_int_equal(r.code, 200);
    json_t *json = parse(&r), *list = json_object_get(json, "predictions");
    assert_int_equal(json_integer_value(json_object_get(json, "rows")), 4);
    assert_true(json_number_value(json_object_get(json, "threshold")) == 0.75);
    assert_int_equal(json_array_size(list), table[i].n);
    json_t *last = json_array_get(list, table[i].n - 1);
    assert_int_equal(json_integer_value(json_object_get(last, "row")), 3);
    assert_string_equal(json_string_value(json_object_get(last, "time")), "1970-01-01T03:00:00Z");
    assert_string_equal(json_string_value(json_object_get(last, "known_at")),
                        "1970-01-01T04:00:00Z");
    float x[T * F], expected[K];
    for (int j = 0; j < T * F; j++) x[j] = 5;
    fake_answer(&f.model.info, x, expected);
    json_t *p = json_object_get(last, "probabilities");
    for (int k = 0; k < K; k++)
      assert_true((float)json_number_value(json_object_get(p, fake_classes[k])) == expected[k]);
    float top = expected[0] > expected[1] ? expected[0] : expected[1];
    top = top > expected[2] ? top : expected[2];
    assert_int_equal(json_is_true(json_object_get(last, "abstain")), top < 0.75f);
    if (table[i].n == 3) /* equal odds: not sure enough */
      assert_true(json_is_true(json_object_get(json_array_get(list, 1), "abstain")));
    json_decref(json);
  }
  client_close(&c);
  stop(&f);
}

/* ---- framing ------------------------------------------------------------------------------ */

/* What attackers send. Each is refused, the connection is closed, and the request hidden behind
 * it is never run: the model is not asked. */
static void test_smuggling(void **state) {
#define HIDDEN "GET /v2/models/m HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\n"
  static const struct {
    const char *name, *bytes;
    int code; /* 0: closed without an answer is fine too */
  } table[] = {
      {"CL.TE", POST "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN,
       411},
      {"TE.CL", POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" HIDDEN,
       411},
      {"TE", POST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 411},
      {"TE identity", POST "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n" HIDDEN, 411},
      {"TE twice",
       POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" HIDDEN, 411},
      {"TE case", POST "tRANSFER-eNCODING: CHUNKED\r\n\r\n0\r\n\r\n" HIDDEN, 411},
      {"TE folded", POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" HIDDEN, 411},
      {"TE space before colon", POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" HIDDEN, 400},
      {"TE tab before colon",
       POST "Transfer-Encoding\t: chunked\r\nContent-Length: 0\r\n\r\n" HIDDEN, 400},
      {"TE on GET",
       "GET /v2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" HIDDEN, 411},
      {"CL.CL", POST "Content-Length: 0\r\nContent-Length: 40\r\n\r\n" HIDDEN, 400},
      {"CL.CL same", POST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" HIDDEN, 400},
      {"CL.CL on GET",
       "GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n" HIDDEN, 400},
      {"CL list", POST "Content-Length: 0, 0\r\n\r\n" HIDDEN, 400},
      {"CL plus", POST "Content-Length: +0\r\n\r\n" HIDDEN, 400},
      {"CL minus", POST "Content-Length: -1\r\n\r\n" HIDDEN, 400},
      {"CL hexadecimal", POST "Content-Length: 0x0\r\n\r\n" HIDDEN, 400},
      {"CL empty", POST "Content-Length:\r\n\r\n" HIDDEN, 400},
      {"CL huge", POST "Content-Length: 99999999999999999999\r\n\r\n" HIDDEN, 0},
      {"no CL", POST "\r\n" HIDDEN, 411},
      {"no Host", "GET /v2 HTTP/1.1\r\n\r\n" HIDDEN, 400},
      {"two Hosts", "GET /v2 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" HIDDEN, 400},
      {"HTTP/2.0", "GET /v2 HTTP/2.0\r\nHost: a\r\n\r\n" HIDDEN, 505},
      {"HTTP/0.9", "GET /v2\r\n\r\n" HIDDEN, 0},
      {"folded",
       "GET /v2 HTTP/1.1\r\nHost: a\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n" HIDDEN, 400},
      {"no colon", "GET /v2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding chunked\r\n\r\n" HIDDEN, 400},
      {"control character", "GET /v2 HTTP/1.1\r\nHost: a\r\nX: a\x01z\r\n\r\n" HIDDEN, 400},
      {"garbage", "\x16\x03\x01\x02\r\n\r\n\r\n" HIDDEN, 0},
  };
  (void)state;
  fixture f;
  serve_config config = test_config();
  config.timeout = 2;
  start(&f, &config, 1, 10);
  int failed = 0;
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    client c = dial(&f);
    assert_true(client_send(&c, table[i].bytes, strlen(table[i].bytes)));
    reply r = client_reply(&c);
    bool as_expected = table[i].code ? r.code == table[i].code : r.code == 0 || r.code >= 400;
    reply hidden = as_expected ? client_reply(&c) : (reply){0};
    if (!as_expected || hidden.code != 0) {
      print_error("%s: %d, then %d: %s\n", table[i].name, r.code, hidden.code,
                  r.body ? r.body : "");
      failed++;
    }
    client_close(&c);
  }
  assert_int_equal(failed, 0);
  stop(&f);
}

/* Odd, but one request and no more. */
static void test_odd_but_fine(void **state) {
  static const char *const table[] = {
      "GET /v2 HTTP/1.1\nHost: a\n\n", /* bare line feeds */
      "GET /v2 HTTP/1.0\r\n\r\n",
      "\r\nGET /v2 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /v2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
      "GET /v2?a=b&c HTTP/1.1\r\nHost: a\r\n\r\n",
  };
  (void)state;
  fixture f;
  serve_config config = test_config();
  config.timeout = 0.5;
  start(&f, &config, 1, 10);
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    client c = dial(&f);
    assert_true(client_send(&c, table[i], strlen(table[i])));
    reply r = client_reply(&c);
    if (r.code != 200) fail_msg("%zu: %d", i, r.code);
    assert_int_equal(client_reply(&c).code, 0); /* no second answer */
    client_close(&c);
  }
  stop(&f);
}

static void test_pipelined(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  client c = dial(&f);
  char bytes[4096], *at = bytes;
  float x[2][T * F];
  for (int i = 0; i < 2; i++) {
    make_inputs(x[i], T * F, 5 + i);
    char *body = infer_body(x[i], 1, "");
    at +=
        sprintf(at, "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
                strlen(body), body);
    free(body);
  }
  at += sprintf(at, "GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n");
  for (const char *p = bytes; p < at; p += 100) /* in pieces */
    assert_true(client_send(&c, p, (size_t)(at - p < 100 ? at - p : 100)));
  for (int i = 0; i < 2; i++) {
    reply r = client_reply(&c);
    check_probabilities(&r, x[i], 1);
  }
  assert_int_equal(client_reply(&c).code, 200);
  client_close(&c);
  stop(&f);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void test_body_limit(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  size_t size = (size_t)config.max_body + 1;
  char *body = malloc(size);
  memset(body, ' ', size);
  for (int expect = 0; expect < 2; expect++) {
    client c = dial(&f);
    char head[256];
    int n = sprintf(head,
                    "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n",
                    expect ? "Expect: 100-continue\r\n" : "", size);
    assert_true(client_send(&c, head, (size_t)n));
    if (!expect) assert_true(client_send(&c, body, size)); /* sends all before it listens */
    reply r = client_reply(&c);
    assert_int_equal(r.code, 413);
    assert_true(r.close);
    assert_true(client_closed(&c, CLIENT_WAIT_MS));
    client_close(&c);
  }
  client c = dial(&f); /* far too large: answered at once */
  static const char huge[] = "POST /v2/models/m/infer HTTP/1.1\r\nHost: a\r\nContent-Length: "
                             "900000000000000\r\n\r\n";
  assert_true(client_send(&c, huge, strlen(huge)));
  assert_int_equal(client_reply(&c).code, 413);
  client_close(&c);

  c = dial(&f); /* just as large as allowed is read */
  reply r = client_ask(&c, "POST", "/v2/models/m/infer", "", body, size - 1);
  assert_int_equal(r.code, 400);
  assert_false(r.close);
  client_close(&c);
  free(body);
  stop(&f);
}

static void test_header_limit(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  size_t size = 200000;
  char *bytes = malloc(size);
  int n = sprintf(bytes, "GET /v2 HTTP/1.1\r\nHost: a\r\nX: ");
  memset(bytes + n, 'a', size - (size_t)n);
  client c = dial(&f);
  client_send(&c, bytes, size);
  int code = client_reply(&c).code;
  assert_true(code == 0 || code == 431 || code == 413);
  client_close(&c);

  n = sprintf(bytes, "GET /v2 HTTP/1.1\r\nHost: a\r\n");
  for (int i = 0; i < 200; i++) n += sprintf(bytes + n, "X-%d: a\r\n", i);
  n += sprintf(bytes + n, "\r\n");
  c = dial(&f);
  client_send(&c, bytes, (size_t)n);
  assert_int_equal(client_reply(&c).code, 400);
  client_close(&c);
  free(bytes);
  stop(&f);
}

/* Whoever trickles is cut off when the time is over, byte or no byte; a slow answer is not. */
static void test_slow_clients(void **state) {
  static const struct {
    const char *first, *trickle;
  } table[] = {
      {"", ""},
      {"GET /v2 HT", "X"},
      {"GET /v2 HTTP/1.1\r\nHost: a\r\nX: ", "a"},
      {POST "Content-Length: 1000\r\n\r\n", " "},
      {"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n", ""}, /* idle after an answer */
      {"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\nGET", "X"},
  };
  (void)state;
  fixture f;
  serve_config config = test_config();
  config.timeout = 0.4;
  start(&f, &config, 1, 10);
  client clients[COUNT_OF(table)];
  int64_t began = clock_monotonic_ns();
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    clients[i] = dial(&f);
    assert_true(client_send(&clients[i], table[i].first, strlen(table[i].first)));
  }
  size_t left = COUNT_OF(table);
  bool closed[COUNT_OF(table)] = {false};
  while (left > 0 && clock_monotonic_ns() - began < 15 * CLOCK_NS_PER_SECOND)
    for (size_t i = 0; i < COUNT_OF(table); i++) {
      if (closed[i]) continue;
      clients[i].size = 0;
      bool sent = client_send(&clients[i], table[i].trickle, strlen(table[i].trickle));
      if (!sent || client_fill(&clients[i], 10) == 0) {
        assert_true(clock_monotonic_ns() - began >= 390000000);
        closed[i] = true;
        left--;
      }
    }
  assert_int_equal(left, 0);
  for (size_t i = 0; i < COUNT_OF(table); i++) client_close(&clients[i]);

  f.model.sleep_ms = 900; /* the server's own time is not the client's */
  client c = dial(&f);
  float x[T * F] = {0};
  char *body = infer_body(x, 1, "");
  reply r = client_post_json(&c, "/v2/models/m/infer", body);
  assert_int_equal(r.code, 200);
  f.model.sleep_ms = 0;
  free(body);
  client_close(&c);
  stop(&f);
}

static void test_connection_limit(void **state) {
  (void)state;
  for (int per_address = 0; per_address < 2; per_address++) {
    fixture f;
    serve_config config = test_config();
    if (per_address) config.connections_per_address = 3;
    else config.connection_limit = 3;
    start(&f, &config, 1, 10);
    client c[4];
    for (int i = 0; i < 3; i++) {
      c[i] = dial(&f);
      assert_int_equal(client_get(&c[i], "/v2").code, 200);
    }
    assert_true(client_open(&c[3], f.port));
    static const char get[] = "GET /v2 HTTP/1.1\r\nHost: a\r\n\r\n";
    client_send(&c[3], get, strlen(get));
    assert_true(client_fill(&c[3], 300) <= 0); /* refused, or not taken yet */
    client_close(&c[3]);
    client_close(&c[0]);
    int code = 0; /* a place becomes free */
    for (int i = 0; i < 200 && code != 200; i++) {
      nanosleep(&(struct timespec){0, 10000000}, NULL);
      c[0] = dial(&f);
      code = client_get(&c[0], "/v2").code;
      if (code != 200) client_close(&c[0]);
    }
    assert_int_equal(code, 200);
    for (int i = 0; i < 3; i++) client_close(&c[i]);
    stop(&f);
  }
}

/* ---- many at once -------------------------------------------------------------------------- */

typedef struct load {
  const fixture *f;
  int seed, requests, ok, busy;
} load;

static void *load_run(void *context) {
  load *l = context;
  client c;
  if (!client_open(&c, l->f->port)) return NULL;
  for (int i = 0; i < l->requests; i++) {
    float x[5 * T * F];
    size_t n = 1 + (size_t)(i + l->seed) % 5;
    make_inputs(x, n * T * F, l->seed * 1000 + i);
    char *body = infer_body(x, n, "");
    reply r = client_post_json(&c, "/v2/models/m/infer", body);
    free(body);
    if (r.code == 503) l->busy++;
    if (r.code != 200) continue;
    json_t *json = json_loadb(r.body, r.body_size, 0, NULL);
    json_t *data = json_object_get(json_array_get(json_object_get(json, "outputs"), 0), "data");
    bool right = json_array_size(data) == n * K;
    for (size_t w = 0; w < n; w++) {
      float expected[K];
      fake_answer(&l->f->model.info, x + w * T * F, expected);
      for (size_t k = 0; k < K; k++)
        right &= (float)json_number_value(json_array_get(data, w * K + k)) == expected[k];
    }
    json_decref(json);
    l->ok += right;
  }
  client_close(&c);
  return NULL;
}

static void run_load(const fixture *f, load *loads, size_t n, int requests) {
  pthread_t threads[16];
  for (size_t i = 0; i < n; i++) {
    loads[i] = (load){.f = f, .seed = (int)i, .requests = requests};
    assert_int_equal(pthread_create(&threads[i], NULL, load_run, &loads[i]), 0);
  }
  for (size_t i = 0; i < n; i++) pthread_join(threads[i], NULL);
}

/* The value of a sample line in a metrics text; -1 when it is not there. */
static double sample(const char *metrics, const char *series) {
  size_t n = strlen(series);
  for (const char *line = metrics; line && *line;
       line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    if (strncmp(line, series, n) == 0 && line[n] == ' ') return strtod(line + n + 1, NULL);
  return -1;
}

static void test_concurrent(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 2, 100);
  load loads[8];
  run_load(&f, loads, 8, 100);
  for (int i = 0; i < 8; i++) assert_int_equal(loads[i].ok, 100);
  client c = dial(&f);
  reply r = client_get(&c, "/metrics");
  assert_int_equal(r.code, 200);
  assert_true(
      sample(r.body, "garam_http_request_duration_seconds_count{model=\"m\",code=\"200\"}") == 800);
  assert_true(sample(r.body, "garam_inference_duration_seconds_count{model=\"m\"}") == 800);
  assert_true(sample(r.body, "garam_inference_rows_sum{model=\"m\"}") == 8 * 100 * 3);
  for (int i = 0; i < 1000 && sample(r.body, "garam_http_in_flight") != 1; i++)
    r = client_get(&c, "/metrics"); /* an answer is out a moment before its request is over */
  assert_true(sample(r.body, "garam_http_in_flight") == 1);
  assert_true(sample(r.body, "garam_http_connections_total") == 9);
  client_close(&c);
  stop(&f);
}

static void test_queue_full(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 1);
  f.model.sleep_ms = 100;
  load loads[6];
  run_load(&f, loads, 6, 1);
  int ok = 0, busy = 0;
  for (int i = 0; i < 6; i++) {
    ok += loads[i].ok;
    busy += loads[i].busy;
  }
  assert_int_equal(ok + busy, 6);
  assert_true(ok >= 2 && busy >= 1);
  f.model.sleep_ms = 0;
  stop(&f);
}

/* ---- the end -------------------------------------------------------------------------------- */

static void test_drain(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 2, 10);
  client idle = dial(&f);
  assert_int_equal(client_get(&idle, "/v2/health/ready").code, 200);
  serve_drain(f.server);
  reply r = client_get(&idle, "/v2/health/ready");
  assert_int_equal(r.code, 503);
  assert_string_equal(r.body, "{\"ready\":false}");
  assert_true(r.close);
  client_close(&idle);
  idle = dial(&f);
  assert_int_equal(client_get(&idle, "/v2/models/m/ready").code, 503);
  client_close(&idle);
  idle = dial(&f);
  assert_int_equal(client_get(&idle, "/v2/health/live").code, 200);
  client_close(&idle);

  f.model.sleep_ms = 300; /* requests under way when it stops */
  load loads[2];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    loads[i] = (load){.f = &f, .seed = i, .requests = 1};
    assert_int_equal(pthread_create(&threads[i], NULL, load_run, &loads[i]), 0);
  }
  while (f.model.inside < 2) nanosleep(&(struct timespec){0, 1000000}, NULL);
  client late;
  stop(&f);
  for (int i = 0; i < 2; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(loads[i].ok, 1);
  }
  assert_false(client_open(&late, f.port)); /* nobody listens */
  client_close(&late);
}

static void test_drain_deadline(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  config.drain = 0.1;
  start(&f, &config, 1, 10);
  client c = dial(&f); /* a request that never becomes whole */
  static const char part[] = POST "Content-Length: 100\r\n\r\n{";
  assert_true(client_send(&c, part, strlen(part)));
  nanosleep(&(struct timespec){0, 100000000}, NULL);
  int64_t began = clock_monotonic_ns();
  garam_error err;
  assert_int_equal(serve_stop(f.server, &err), GARAM_INTERRUPTED);
  assert_string_equal(err.message, "1 requests did not finish within --drain");
  assert_true(clock_monotonic_ns() - began < 5 * CLOCK_NS_PER_SECOND);
  client_close(&c);
  for (int i = 0; i < 2; i++) session_free(f.sessions[i]);
}

static void test_in_use(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  serve_server *other;
  garam_error err;
  const serve_model models[] = {{"m", f.sessions[0]}};
  config.port = f.port;
  char expected[64];
  sprintf(expected, "port %d on 127.0.0.1 is in use", f.port);
  assert_int_equal(serve_start(&other, models, 1, &config, &err), GARAM_BUSY);
  assert_null(other);
  assert_non_null(strstr(err.message, expected));
  strcpy(config.address, "not-an-address");
  assert_int_equal(serve_start(&other, models, 1, &config, &err), GARAM_INVALID);
  const serve_model twice[] = {{"m", f.sessions[0]}, {"m", f.sessions[1]}};
  config = test_config();
  assert_int_equal(serve_start(&other, twice, 2, &config, &err), GARAM_INVALID);
  const serve_model bad[] = {{"a/b", f.sessions[0]}};
  assert_int_equal(serve_start(&other, bad, 1, &config, &err), GARAM_INVALID);
  stop(&f);
  config.port = f.port; /* free again at once */
  start(&f, &config, 1, 10);
  stop(&f);
}

static void test_unix_socket(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  char folder[] = "/tmp/garam-serve-XXXXXX";
  assert_non_null(mkdtemp(folder));
  sprintf(config.socket, "%s/s", folder);
  start(&f, &config, 1, 10);
  assert_int_equal(f.port, 0);
  client c;
  assert_true(client_open_unix(&c, config.socket));
  reply r = client_get(&c, "/");
  assert_int_equal(r.code, 200);
  assert_non_null(strstr(r.body, "curl -s --unix-socket /tmp/garam-serve-"));
  serve_server *other;
  garam_error err;
  const serve_model models[] = {{"m", f.sessions[0]}};
  assert_int_equal(serve_start(&other, models, 1, &config, &err), GARAM_BUSY);
  client_close(&c);
  stop(&f);
  struct stat st;
  assert_int_equal(stat(config.socket, &st), -1); /* tidied up */

  /* Left by a process that died: taken over. A file is not. */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, config.socket);
  int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
  close(dead);
  start(&f, &config, 1, 10);
  stop(&f);
  FILE *file = fopen(config.socket, "w");
  fclose(file);
  fake_init(&f.model, T, F, false);
  session *s;
  assert_int_equal(fake_session(&s, &f.model, 1, 0, NULL), GARAM_OK);
  const serve_model again[] = {{"m", s}};
  assert_int_equal(serve_start(&other, again, 1, &config, &err), GARAM_BUSY);
  session_free(s);
  assert_int_equal(stat(config.socket, &st), 0);
  unlink(config.socket);
  rmdir(folder);
}

static void test_names(void **state) {
  (void)state;
  static const char *const table[][2] = {
      {"m.safetensors", "m"},
      {"/a/b.c/eur usd.v2.safetensors", "eur-usd.v2"},
      {"plain", "plain"},
      {".safetensors", ".safetensors"},
  };
  char name[SERVE_NAME_MAX];
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    serve_model_name(name, table[i][0]);
    assert_string_equal(name, table[i][1]);
  }
  serve_config config = test_config();
  strcpy(config.name, "a,b_2");
  garam_error err;
  assert_int_equal(serve_name_of(name, &config, 1, 2, "x", &err), GARAM_OK);
  assert_string_equal(name, "b_2");
  assert_int_equal(serve_name_of(name, &config, 0, 1, "x", &err), GARAM_INVALID);
  assert_string_equal(err.message, "--name gives 2 names for 1 models");
  strcpy(config.name, "a/b");
  assert_int_equal(serve_name_of(name, &config, 0, 1, "x", &err), GARAM_INVALID);
  strcpy(config.name, "..");
  assert_int_equal(serve_name_of(name, &config, 0, 1, "x", &err), GARAM_INVALID);
}

/* A warm connection allocates nothing of ours, JSON or binary. */
static void test_no_allocation(void **state) {
  (void)state;
  fixture f;
  serve_config config = test_config();
  start(&f, &config, 1, 10);
  client c = dial(&f);
  float x[4 * T * F];
  make_inputs(x, COUNT_OF(x), 3);
  uint64_t before = 0;
  for (int i = 0; i < 20; i++) {
    char *body = infer_body(x, 4, "");
    reply r = client_post_json(&c, "/v2/models/m/infer", body);
    assert_int_equal(r.code, 200);
    free(body);
    r = client_ask(&c, "POST", "/v2/models/m/infer", "Inference-Header-Content-Length: 0\r\n", x,
                   sizeof x);
    assert_int_equal(r.code, 200);
    if (i == 0) before = mem_count();
  }
  assert_int_equal(mem_count(), before);
  client_close(&c);
  stop(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gets),         cmocka_unit_test(test_infer_json),
      cmocka_unit_test(test_infer_binary), cmocka_unit_test(test_errors),
      cmocka_unit_test(test_predict),      cmocka_unit_test(test_smuggling),
      cmocka_unit_test(test_odd_but_fine), cmocka_unit_test(test_pipelined),
      cmocka_unit_test(test_body_limit),   cmocka_unit_test(test_header_limit),
      cmocka_unit_test(test_slow_clients), cmocka_unit_test(test_connection_limit),
      cmocka_unit_test(test_concurrent),   cmocka_unit_test(test_queue_full),
      cmocka_unit_test(test_drain),        cmocka_unit_test(test_drain_deadline),
      cmocka_unit_test(test_in_use),       cmocka_unit_test(test_unix_socket),
      cmocka_unit_test(test_names),        cmocka_unit_test(test_no_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
