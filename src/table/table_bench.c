/* How fast CSV becomes columns: table_bench [rows]. Prints MB of text a second of
 * processor time, best of five. */
#include "table/table.h"

#include "base/clock.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double best_seconds(const char *path, size_t *n_rows) {
  double best = 0;
  for (int i = 0; i < 5; i++) {
    table *t;
    garam_error err;
    double began = processor_seconds();
    if (table_open(&t, path, NULL, NULL, NULL, &err) != GARAM_OK) {
      fprintf(stderr, "%s\n", err.message);
      exit(1);
    }
    double seconds = processor_seconds() - began;
    *n_rows = t->n_rows;
    table_free(t);
    if (best == 0 || seconds < best) best = seconds;
  }
  return best;
}

int main(int argc, char **argv) {
  static const struct {
    const char *name, *format;
  } kinds[] = {{"prices, 4 decimals", "%.4f"}, {"17 digits", "%.17g"}, {"6 digits", "%.6g"}};
  size_t n_rows = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 200000;
  char path[] = "/tmp/garam-bench-XXXXXX";
  int fd = mkstemp(path);
  if (fd < 0) return 1;
  close(fd);
  for (size_t k = 0; k < COUNT_OF(kinds); k++) {
    FILE *f = fopen(path, "w");
    if (!f) return 1;
    rng r;
    rng_init(&r, 1, RNG_TEST, k);
    fputs("timestamp,open,high,low,close,volume\n", f);
    for (size_t i = 0; i < n_rows; i++) {
      char text[CLOCK_TEXT_MAX];
      fputs(clock_format(text, (int64_t)(1700000000 + i * 60) * CLOCK_NS_PER_SECOND), f);
      for (int c = 0; c < 5; c++) {
        char number[40];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(number, sizeof number, kinds[k].format, 100 + 10 * rng_normal(&r));
#pragma GCC diagnostic pop
        fprintf(f, ",%s", number);
      }
      fputc('\n', f);
    }
    double size = (double)ftell(f);
    fclose(f);
    size_t n;
    double seconds = best_seconds(path, &n);
    printf("%-20s %8zu rows  %6.1f MB  %7.1f MB/s\n", kinds[k].name, n, size / 1e6,
           size / 1e6 / seconds);
  }
  unlink(path);
  return 0;
}
