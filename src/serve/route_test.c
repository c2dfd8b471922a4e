/* Routes without a socket: every allocation failed in turn, the metrics text held against the
 * exposition format, the framing guard's table. */
#include "infer/session_fake.h"
#include "serve/exchange.h"
#include "serve/guard.h"
#include "tests/failing_allocator.h"

#include <regex.h>

#include <setjmp.h>
#include <cmocka.h> /* last: its fail() is a macro */

typedef struct world {
  fake_model model;
  session *session;
  const char *name;
  serve_config config;
  serve_state state;
} world;

static void world_init(world *w) {
  memset(w, 0, sizeof *w);
  fake_init(&w->model, 2, 3, false);
  assert_int_equal(fake_session(&w->session, &w->model, 1, 1, NULL), GARAM_OK);
  opt_defaults(serve_options, serve_n_options, &w->config);
  w->name = "m";
  w->state = (serve_state){.config = &w->config,
                           .where = "http://127.0.0.1:8080",
                           .names = &w->name,
                           .sessions = &w->session,
                           .n_models = 1};
  assert_int_equal(metrics_init(&w->state.metrics, &w->name, 1, NULL), GARAM_OK);
}

static void world_deinit(world *w) {
  metrics_deinit(&w->state.metrics);
  session_free(w->session);
}

static const struct {
  const char *method, *path, *type, *rows, *body;
} requests[] = {
    {"POST", "/v2/models/m/infer", "application/json", NULL,
     "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,2,3],\"data\":"
     "[1,2,3,4,5,6]}]}"},
    {"POST", "/v2/models/m/predict", "text/csv", "all", "1\n2\nx\n4\n"},
    {"GET", "/v2/models/m", NULL, NULL, ""},
    {"GET", "/metrics", NULL, NULL, ""},
    {"GET", "/", NULL, NULL, ""},
};

static exchange make_exchange(size_t i) {
  return (exchange){.method = requests[i].method,
                    .path = requests[i].path,
                    .content_type = requests[i].type,
                    .rows = requests[i].rows,
                    .body = requests[i].body,
                    .body_size = strlen(requests[i].body),
                    .inference_header = -1};
}

/* Out of memory is 503, nothing leaks, and the next request is answered. */
static void test_allocations_fail(void **state) {
  (void)state;
  world w;
  size_t n_requests_failed = 0;
  world_init(&w);
  for (size_t i = 0; i < COUNT_OF(requests); i++)
    for (int for_good = 0; for_good < 2; for_good++) {
      bool done = false;
      size_t n_failed = 0;
      for (size_t k = 0; !done && k < 100; k++) {
        failing_allocator f = {.fail_after = k, .once = !for_good};
        exchange e = make_exchange(i);
        failing_allocator_use(&f);
        exchange_route(&e, &w.state);
        garam_set_allocator(NULL);
        assert_int_equal(e.code, f.failed ? 503 : 200);
        exchange_route(&e, &w.state);
        assert_int_equal(e.code, 200);
        exchange_trim(&e, 0);
        exchange_deinit(&e);
        done = !f.failed;
        n_failed += f.failed;
      }
      assert_true(done);
      n_requests_failed += n_failed > 0;
    }
  assert_true(n_requests_failed > 0);
  world_deinit(&w);
}

/* ---- metrics --------------------------------------------------------------------------------- */

typedef struct parsed {
  char family[128], type[16];
  size_t samples;
} parsed;

static bool matches(const char *pattern, const char *line) {
  regex_t re;
  assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
  bool ok = regexec(&re, line, 0, NULL, 0) == 0;
  regfree(&re);
  return ok;
}

/* Lines as Prometheus wants them; samples belong to the family above; buckets ascend up to +Inf,
 * which is the count. */
static size_t check_exposition(char *text_of) {
  static const char number[] = "(-?[0-9]+(\\.[0-9]+)?(e[+-]?[0-9]+)?|\\+Inf)";
  char sample[512], family[128] = "", type[16] = "";
  snprintf(sample, sizeof sample,
           "^[a-zA-Z_:][a-zA-Z0-9_:]*(\\{[a-z0-9_]+=\"([^\"\\\\]|\\\\.)*\"(,[a-z0-9_]+=\"([^\"\\\\]"
           "|\\\\.)*\")*"
           "\\})? %s$",
           number);
  size_t n = 0;
  double last = -1;
  assert_int_equal(text_of[strlen(text_of) - 1], '\n');
  for (char *line = strtok(text_of, "\n"); line; line = strtok(NULL, "\n")) {
    if (line[0] == '#') {
      if (strncmp(line, "# TYPE ", 7) == 0) {
        char next[128];
        assert_int_equal(sscanf(line, "# TYPE %127s %15s", next, type), 2);
        assert_string_equal(next, family); /* HELP came first */
        assert_true(matches("^(counter|gauge|histogram)$", type));
        if (strcmp(type, "counter") == 0) assert_true(matches("_total$", family));
      } else {
        assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
      }
      last = -1;
      continue;
    }
    n++;
    if (!matches(sample, line)) fail_msg("no sample line: %s", line);
    size_t size = strcspn(line, "{ ");
    double value = strtod(strrchr(line, ' ') + 1, NULL);
    if (strcmp(type, "histogram") == 0) {
      assert_int_equal(strncmp(line, family, strlen(family)), 0);
      const char *suffix = line + strlen(family);
      if (strncmp(suffix, "_bucket{", 8) == 0) {
        assert_true(value >= last); /* cumulative */
        last = value;
      } else if (strncmp(suffix, "_count", 6) == 0) {
        assert_true(value == last); /* +Inf came last */
        last = -1;
      } else {
        assert_int_equal(strncmp(suffix, "_sum", 4), 0);
      }
    } else {
      assert_int_equal(size, strlen(family));
      assert_int_equal(strncmp(line, family, size), 0);
    }
  }
  return n;
}

static void test_metrics_format(void **state) {
  (void)state;
  world w;
  world_init(&w);
  w.name = "q\"uo\\te"; /* cannot be a served name; the label must hold it all the same */
  w.state.metrics.models[0].name = w.name;
  text t = {0};
  for (int64_t ns = 1; ns < INT64_C(20000000000); ns *= 3) {
    metrics_request(&w.state.metrics, 0, 200, ns);
    metrics_request(&w.state.metrics, 1, 404, ns);
    metrics_inference(&w.state.metrics, 0, (size_t)(ns % 5000) + 1,
                      &(session_timing){.wait_ns = 0, .run_ns = ns});
  }
  metrics_reject(&w.state.metrics, "framing");
  metrics_write(&t, &w.state.metrics, w.state.sessions);
  text_add(&t, "", 1);
  assert_false(t.failed);
  assert_non_null(strstr(t.data, "{model=\"q\\\"uo\\\\te\",code=\"200\",le=\"0.000005\"} 8\n"));
  assert_non_null(strstr(t.data, "{model=\"\",code=\"404\",le=\"+Inf\"} 22\n"));
  assert_non_null(strstr(t.data, "\ngaram_http_rejected_total{reason=\"framing\"} 1\n"));
  assert_non_null(strstr(t.data, "garam_build_info{version=\"" GARAM_VERSION "\"} 1\n"));
  assert_true(check_exposition(t.data) > 100);
  text_deinit(&t);
  w.name = "m";
  world_deinit(&w);
}

/* ---- the guard ---------------------------------------------------------------------------------
 */

static void test_guard(void **state) {
  static const struct {
    const char *method, *version, *headers; /* "Name=value|..." */
    int code;
    int64_t body;
  } table[] = {
      {"GET", "HTTP/1.1", "Host=a", 0, -1},
      {"GET", "HTTP/1.0", "", 0, -1},
      {"POST", "HTTP/1.1", "Host=a|content-LENGTH=12", 0, 12},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1000", 0, 1000},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1001", 413, 1001},
      {"POST", "HTTP/1.1", "Host=a", 411, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1|Transfer-Encoding=chunked", 411, 1},
      {"POST", "HTTP/1.1", "Host=a|Transfer-Encoding=", 411, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1|Content-Length=1", 400, 1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1 1", 400, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1,1", 400, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=0x1", 400, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=", 400, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=9999999999999999999999", 400, -1},
      {"GET", "HTTP/1.1", "Host=a|Content-Length =1", 400, -1},
      {"GET", "HTTP/1.1", "Host=a|X-\x01=1", 400, -1},
      {"GET", "HTTP/1.1", "Host=a|X=a\rb", 400, -1},
      {"GET", "HTTP/1.1", "Host=a|X=a\x80\tb", 0, -1},
      {"GET", "HTTP/1.1", "", 400, -1},
      {"GET", "HTTP/1.1", "Host=a|Host=a", 400, -1},
      {"GET", "HTTP/1.2", "Host=a", 505, -1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1|Content-Encoding=gzip", 415, 1},
      {"POST", "HTTP/1.1", "Host=a|Content-Length=1|Content-Encoding=Identity", 0, 1},
  };
  (void)state;
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    http_header headers[8];
    size_t n = 0;
    for (const char *at = table[i].headers; *at; at += *at == '|') {
      size_t size = strcspn(at, "="), value = strcspn(at + size + 1, "|");
      headers[n++] = (http_header){at, at + size + 1, size, value};
      at += size + 1 + value;
    }
    guard_verdict v = guard_check(table[i].method, table[i].version, headers, n, 1000);
    if (v.code != table[i].code || v.body_size != table[i].body)
      fail_msg("%zu: %d %lld %s", i, v.code, (long long)v.body_size, v.message ? v.message : "");
    assert_int_equal(v.message != NULL, v.code != 0);
  }
  static const char *const types[] = {"text/csv"};
  assert_true(guard_content_type("Text/CSV; charset=utf-8", types, 1));
  assert_false(guard_content_type("text/csvx", types, 1));
  assert_false(guard_content_type("text/cs", types, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_allocations_fail),
      cmocka_unit_test(test_metrics_format),
      cmocka_unit_test(test_guard),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
