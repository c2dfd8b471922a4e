/* A served package, from the outside: the answers over HTTP are those of `garam predict`, posted
 * bars are read as in training, a warm prediction allocates nothing, SIGTERM drains. */
#include "base/json.h"
#include "base/status.h"
#include "serve/serve_client.h"

#include "tests/journeys/journey.h"

#include <math.h>

static int setup(void **state) {
  journey_setup(state);
  journey *j = *state;
  journey_ok(j, "simulate --rows 1200 --seed 5 --out market.csv --quiet");
  journey_ok(j, "train market.csv --model linear --seed 1 --out linear.safetensors --quiet");
  journey_ok(j, "train market.csv --model transformer --preset tiny --epochs 1 --seed 1 --out "
                "windows.safetensors --quiet");
  return 0;
}

/* Starts and waits for the line with the address; returns the port. */
static int start(journey *j, const char *args) {
  char path[128];
  snprintf(path, sizeof path, "%s/err", j->said);
  unlink(path); /* of the run before: another port */
  journey_start(j, args);
  for (int i = 0; i < 6000; i++) {
    char *said = journey_slurp(path),
         *at = said ? strstr(said, "serving at http://127.0.0.1:") : NULL;
    int port = at && strchr(at, '\n') ? atoi(strrchr(at, ':') + 1) : 0;
    free(said);
    if (port > 0) return port;
    if (waitpid(j->pid, NULL, WNOHANG) == j->pid) break;
    nanosleep(&(struct timespec){0, 10000000}, NULL);
  }
  fail_msg("the server did not start");
  return 0;
}

static void stop(journey *j) {
  kill(j->pid, SIGTERM);
  journey_wait(j);
  if (j->code != 0) fail_msg("exit %d: %s", j->code, j->err);
}

static json_t *answer(const reply *r) {
  if (r->code != 200) fail_msg("%d: %s", r->code, r->body ? r->body : "");
  json_t *json = json_loadb(r->body, r->body_size, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(json);
  return json;
}

static char *read_in_folder(const journey *j, const char *name) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", j->folder, name);
  char *all = journey_slurp(path);
  assert_non_null(all);
  return all;
}

static void test_bars_as_predicted(void **state) {
  static const char *const models[] = {"linear", "windows"};
  journey *j = *state;
  char *csv = read_in_folder(j, "market.csv");
  for (size_t m = 0; m < COUNT_OF(models); m++) {
    char args[128], path[128];
    snprintf(args, sizeof args, "predict %s.safetensors market.csv --last 1 --json", models[m]);
    journey_ok(j, args);
    json_t *expected = journey_json(j);
    int port = start(j, "serve linear.safetensors windows.safetensors --port 0 --workers 1");
    client c;
    assert_true(client_open(&c, port));
    snprintf(path, sizeof path, "/v2/models/%s/predict", models[m]);
    reply r = client_ask(&c, "POST", path, "Content-Type: text/csv\r\n", csv, strlen(csv));
    json_t *json = answer(&r), *row = json_array_get(json_object_get(json, "predictions"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "time")),
                        json_string_value(json_object_get(expected, "time")));
    assert_string_equal(json_string_value(json_object_get(row, "label")),
                        json_string_value(json_object_get(expected, "label")));
    static const char *const classes[] = {"down", "flat", "up"};
    for (size_t i = 0; i < COUNT_OF(classes); i++) {
      char key[16];
      snprintf(key, sizeof key, "p_%s", classes[i]);
      double ours =
          json_number_value(json_object_get(json_object_get(row, "probabilities"), classes[i]));
      assert_true(fabs(ours - json_number_value(json_object_get(expected, key))) < 1e-6);
    }
    json_decref(json);
    json_decref(expected);

    /* The last rows alone say the same, as far as the features' look back goes. */
    const char *tail = csv + strlen(csv);
    for (int lines = 0; lines < 401 && tail > csv; lines += *tail == '\n') tail--;
    size_t head = strcspn(csv, "\n") + 1, n = strlen(tail + 1);
    char *some = malloc(head + n);
    memcpy(some, csv, head);
    memcpy(some + head, tail + 1, n);
    r = client_ask(&c, "POST", path, "Content-Type: text/csv\r\n", some, head + n);
    json = answer(&r);
    assert_int_equal(json_integer_value(json_object_get(json, "rows")), 400);
    json_decref(json);
    free(some);
    client_close(&c);
    stop(j);
  }
  free(csv);
}

/* What a stranger may post as bars: an answer in words, and the server goes on. */
static void test_bad_bars(void **state) {
  static const struct {
    const char *csv;
    size_t size;
    const char *contains;
  } table[] = {
#define CSV(s) s, sizeof(s) - 1
      {CSV(""), ""},
      {CSV("time,open,high,low,close,volume\n"), ""},
      {CSV("time,open,high,low,close,volume\n2020-01-01T00:00:00Z,1,1,1,1,1\n"), "look back"},
      {CSV("a,b\n1,2\n3\n"), "rows:3:"},
      {CSV("\x1f\x8b\x08\x00\x00"), "compressed"},
      {CSV("\x28\xb5\x2f\xfd\x00"), "compressed"},
      {CSV("\x00\x01\x02\xff"), ""},
      {CSV("SQLite format 3\x00"), ""},
  };
  journey *j = *state;
  int port = start(j, "serve linear.safetensors --port 0 --workers 1");
  client c;
  assert_true(client_open(&c, port));
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    reply r = client_ask(&c, "POST", "/v2/models/linear/predict", "Content-Type: text/csv\r\n",
                         table[i].csv, table[i].size);
    if ((r.code != 400 && r.code != 415) || !strstr(r.body, table[i].contains))
      fail_msg("%zu: %d %s", i, r.code, r.body ? r.body : "");
    assert_null(strstr(r.body, "/proc/")); /* nothing of the inside shows */
  }
  assert_int_equal(client_get(&c, "/v2/health/ready").code, 200);
  client_close(&c);
  stop(j);
}

/* Metadata says what inference takes; a batch answers as its rows do. */
static void test_infer(void **state) {
  journey *j = *state;
  int port = start(j, "serve windows.safetensors --port 0 --name w --workers 2");
  client c;
  assert_true(client_open(&c, port));
  reply r = client_get(&c, "/v2/models/w");
  json_t *json = answer(&r);
  json_t *shape = json_object_get(json_array_get(json_object_get(json, "inputs"), 0), "shape");
  assert_int_equal(json_array_size(shape), 3);
  size_t t = (size_t)json_integer_value(json_array_get(shape, 1));
  size_t f = (size_t)json_integer_value(json_array_get(shape, 2)), width = t * f;
  assert_int_equal(
      json_array_size(json_object_get(json_object_get(json, "parameters"), "feature_names")), f);
  json_decref(json);

  enum { ROWS = 37 };
  float *x = malloc(ROWS * width * sizeof *x), batch[ROWS][3];
  for (size_t i = 0; i < ROWS * width; i++) x[i] = (float)((i * 2654435761u) % 1000) / 500 - 1;
  static const char raw[] = "Inference-Header-Content-Length: 0\r\n";
  r = client_ask(&c, "POST", "/v2/models/w/infer", raw, x, ROWS * width * sizeof *x);
  assert_int_equal(r.code, 200);
  size_t head = strtoul(reply_header(&r, "Inference-Header-Content-Length"), NULL, 10);
  memcpy(batch, r.body + head, sizeof batch);
  for (size_t i = 0; i < ROWS; i++) {
    float one[3];
    r = client_ask(&c, "POST", "/v2/models/w/infer", raw, x + i * width, width * sizeof *x);
    assert_int_equal(r.code, 200);
    head = strtoul(reply_header(&r, "Inference-Header-Content-Length"), NULL, 10);
    memcpy(one, r.body + head, sizeof one);
    for (int k = 0; k < 3; k++) assert_true(fabsf(one[k] - batch[i][k]) < 1e-5f);
  }
  free(x);
  client_close(&c);
  stop(j);
}

static void test_no_allocation(void **state) {
  static const char *const args[] = {
      "bench infer linear.safetensors --seconds 0.1 --json",
      "bench infer windows.safetensors --seconds 0.2 --json",
      "bench infer windows.safetensors --batch 7 --seconds 0.2 --json",
  };
  journey *j = *state;
  for (size_t i = 0; i < COUNT_OF(args); i++) {
    journey_ok(j, args[i]);
    json_t *json = journey_json(j);
    assert_true(json_number_value(json_object_get(json, "p50_ns")) > 0);
    assert_int_equal(json_integer_value(json_object_get(json, "allocations")), 0);
    json_decref(json);
  }
}

/* SIGTERM with requests under way on several connections: all are answered, then it exits with 0.
 */
static void test_drain(void **state) {
  enum { CLIENTS = 4 };
  journey *j = *state;
  char *csv = read_in_folder(j, "market.csv"), head[256];
  int port = start(j, "serve windows.safetensors --port 0 --workers 1");
  client c[CLIENTS];
  int n = snprintf(head, sizeof head,
                   "POST /v2/models/windows/predict?rows=all HTTP/1.1\r\nHost: a"
                   "\r\nContent-Type: text/csv\r\nContent-Length: %zu\r\n\r\n",
                   strlen(csv));
  for (int i = 0; i < CLIENTS; i++) {
    assert_true(client_open(&c[i], port));
    assert_int_equal(client_get(&c[i], "/v2/health/live").code, 200);
    assert_true(client_send(&c[i], head, (size_t)n));
    assert_true(client_send(&c[i], csv, strlen(csv)));
  }
  client watch;
  assert_true(client_open(&watch, port));
  for (int i = 0; i < 1000; i++) { /* until the server has begun all of them */
    reply r = client_get(&watch, "/metrics");
    char *at = strstr(r.body, "\ngaram_http_in_flight "), *done = strstr(r.body, "code=\"200\"");
    assert_non_null(at);
    assert_non_null(done);
    if (strtod(at + strlen("\ngaram_http_in_flight "), NULL) >= CLIENTS + 1) break;
    char series[] = "garam_inference_rows_count{model=\"windows\"} ";
    if (strtod(strstr(r.body, series) + sizeof series - 1, NULL) >= 1) break;
  }
  kill(j->pid, SIGTERM);
  for (int i = 0; i < CLIENTS; i++) {
    reply r = client_reply(&c[i]);
    json_t *json = answer(&r);
    assert_true(json_array_size(json_object_get(json, "predictions")) > 1000);
    json_decref(json);
    client_close(&c[i]);
  }
  client_close(&watch);
  journey_wait(j);
  assert_int_equal(j->code, 0);
  free(csv);
}

/* A policy does over HTTP what it does when it plays. */
static void test_policy(void **state) {
  journey *j = *state;
  journey_ok(j, "rl train --env Pendulum-v1 --agent ppo --steps 2000 --episodes 2 --eval-episodes "
                "2 --quiet --out policy.safetensors");
  journey_ok(j, "rl play policy.safetensors --json");
  *strchr(j->out, '\n') = 0;
  json_t *step = journey_json(j);
  json_t *observation = json_array_get(json_object_get(step, "observation"), 0);
  const double action =
      json_number_value(json_array_get(json_array_get(json_object_get(step, "action"), 0), 0));
  char body[512];
  snprintf(body, sizeof body,
           "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[1,3],"
           "\"data\":[%.9g,%.9g,%.9g]}]}",
           json_number_value(json_array_get(observation, 0)),
           json_number_value(json_array_get(observation, 1)),
           json_number_value(json_array_get(observation, 2)));
  int port = start(j, "serve policy.safetensors --port 0 --workers 1");
  client c;
  assert_true(client_open(&c, port));
  reply r = client_ask(&c, "GET", "/v2/models/policy", "", "", 0);
  json_t *json = answer(&r), *parameters = json_object_get(json, "parameters");
  assert_string_equal(json_string_value(json_object_get(parameters, "task")), "policy");
  assert_string_equal(json_string_value(json_object_get(parameters, "learner")), "ppo");
  json_decref(json);
  r = client_ask(&c, "POST", "/v2/models/policy/infer", "Content-Type: application/json\r\n", body,
                 strlen(body));
  json = answer(&r);
  json_t *output = json_array_get(json_object_get(json, "outputs"), 0);
  assert_string_equal(json_string_value(json_object_get(output, "name")), "action");
  const double served = json_number_value(json_array_get(json_object_get(output, "data"), 0));
  assert_true(fabs(served - action) < 1e-6);
  json_decref(json);
  json_decref(step);
  client_close(&c);
  stop(j);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bars_as_predicted), cmocka_unit_test(test_policy),
      cmocka_unit_test(test_bad_bars),          cmocka_unit_test(test_infer),
      cmocka_unit_test(test_no_allocation),     cmocka_unit_test(test_drain),
  };
  return cmocka_run_group_tests(tests, setup, journey_teardown);
}
