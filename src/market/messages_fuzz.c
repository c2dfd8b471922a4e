/* Any bytes as messages of an exchange: a message of ours that says why not, or rows of an
 * uncrossed book whose prices are in order. */
#include "market/messages.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void remove_file(void) {
  unlink(path);
}

static void check_rows(const table *t, int levels) {
  REQUIRE(t->n_rows > 0 && t->n_columns == 5 + 4 * (size_t)levels, "an empty table");
  const column *bid = t->columns + 2, *ask = bid + 2 * levels;
  for (size_t i = 0; i < t->n_rows; i++) {
    REQUIRE(i == 0 || t->columns[0].i64[i - 1] < t->columns[0].i64[i], "time stands still");
    REQUIRE(bid[0].f64[i] < ask[0].f64[i], "a crossed book");
    for (int k = 1; k < levels; k++)
      REQUIRE(bid[k].f64[i] < bid[k - 1].f64[i] && ask[k].f64[i] > ask[k - 1].f64[i],
              "out of order");
    for (int k = levels; k < 2 * levels; k++)
      REQUIRE(bid[k].f64[i] > 0 && ask[k].f64[i] > 0, "an empty level");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!path[0]) {
    snprintf(path, sizeof path, "/tmp/garam-fuzz-messages-%ld", (long)getpid());
    atexit(remove_file);
  }
  FILE *f = fopen(path, "wb");
  if (!f || size < 1) return f ? fclose(f) : 0;
  fwrite(data + 1, 1, size - 1, f);
  fclose(f);
  const messages_config c = {.levels = 1 + data[0] % 3, .every = 1, .warm_up = 2, .silence = 20};
  table *t;
  messages_report report;
  garam_error err = {0};
  if (messages_read(&t, &report, path, &c, &err) == GARAM_OK) {
    check_rows(t, c.levels);
    table_free(t);
  } else {
    REQUIRE(err.message[0], "a failure without a message");
  }
  return 0;
}
