/* How long one inference takes over HTTP on the loopback, one connection kept open, one request
 * after the other:
 *
 *   serve_bench PORT MODEL T F [json|binary] [requests]
 *
 * against a running `garam serve`. Prints microseconds. */
#include "base/clock.h"
#include "infer/histogram.h"
#include "serve/serve_client.h"

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: serve_bench PORT MODEL T F [json|binary] [requests]\n");
    return 2;
  }
  size_t t = strtoul(argv[3], NULL, 10), f = strtoul(argv[4], NULL, 10);
  bool binary = argc > 5 && strcmp(argv[5], "binary") == 0;
  int n = argc > 6 ? atoi(argv[6]) : 20000;
  float *x = calloc(t * f, sizeof *x);
  char *body = malloc(t * f * 16 + 256), path[256];
  for (size_t i = 0; i < t * f; i++) x[i] = (float)(i % 13) / 13 - 0.5f;
  size_t size;
  if (binary) {
    size = t * f * sizeof *x;
    memcpy(body, x, size);
  } else {
    size = (size_t)sprintf(body,
                           "{\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":"
                           "[1,%zu,%zu],\"data\":[",
                           t, f);
    for (size_t i = 0; i < t * f; i++)
      size += (size_t)sprintf(body + size, "%s%.6g", i ? "," : "", (double)x[i]);
    size += (size_t)sprintf(body + size, "]}]}");
  }
  snprintf(path, sizeof path, "/v2/models/%s/infer", argv[2]);
  const char *headers =
      binary ? "Inference-Header-Content-Length: 0\r\n" : "Content-Type: application/json\r\n";
  histogram h;
  client c;
  if (histogram_init(&h, 3, NULL) != GARAM_OK || !client_open(&c, atoi(argv[1]))) return 1;
  for (int i = -500; i < n; i++) {
    int64_t began = clock_monotonic_ns();
    reply r = client_ask(&c, "POST", path, headers, body, size);
    if (r.code != 200) {
      fprintf(stderr, "%d: %s\n", r.code, r.body ? r.body : "");
      return 1;
    }
    if (i >= 0) histogram_record(&h, (uint64_t)(clock_monotonic_ns() - began));
  }
  printf("%s, %d requests of %zu bytes: p50 %.1f us, p99 %.1f us, p99.9 %.1f us, largest %.1f us\n",
         binary ? "binary" : "JSON", n, size, (double)histogram_quantile(&h, 0.5) * 1e-3,
         (double)histogram_quantile(&h, 0.99) * 1e-3, (double)histogram_quantile(&h, 0.999) * 1e-3,
         (double)histogram_quantile(&h, 1) * 1e-3);
  client_close(&c);
  histogram_deinit(&h);
  free(body);
  free(x);
  return 0;
}
