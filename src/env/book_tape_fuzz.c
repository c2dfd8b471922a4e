/* Any bytes as a file of snapshots: a message, or a tape whose rows are those of a book. */
#include "env/book_tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void remove_file(void) {
  unlink(path);
}

static void check_tape(const book_tape *t) {
  REQUIRE(t->n_rows > 0 && t->n_levels > 0 && t->n_sessions > 0, "an empty tape");
  REQUIRE(t->sessions[0].begin == 0 && t->sessions[t->n_sessions - 1].end == t->n_rows,
          "sessions do not cover the rows");
  for (size_t i = 0; i < t->n_rows; i++) {
    const size_t at = i * (size_t)t->n_levels;
    REQUIRE(t->price[1][at] < t->price[0][at], "a crossed book");
    for (int side = 0; side < 2; side++) {
      REQUIRE(!t->hit[side] || t->hit[side][i] >= 0, "a negative volume");
      for (int k = 0; k < t->n_levels; k++)
        REQUIRE(t->lots[side][at + (size_t)k] >= 0, "negative lots");
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!path[0]) {
    snprintf(path, sizeof path, "/tmp/garam-fuzz-tape-%ld.csv", (long)getpid());
    atexit(remove_file);
  }
  FILE *f = fopen(path, "wb");
  if (!f) return 0;
  /* Roles that are found, most of the time. */
  if (size > 0 && data[0] & 1)
    fputs("time,bid1,bidSize1,bid2,bidSize2,ask1,askSize1,ask2,askSize2,volume_chg,avgprice\n", f);
  if (size > 1) fwrite(data + 1, 1, size - 1, f);
  fclose(f);
  book_tape *t;
  garam_error err;
  const book_tape_config c = {.gap = 5, .trades = true, .tick = size > 0 && data[0] & 2 ? 0.5 : 0};
  if (book_tape_open(&t, path, &c, &err) == GARAM_OK) {
    check_tape(t);
    book_tape_free(t);
  } else {
    REQUIRE(err.message[0], "a failure without a message");
  }
  return 0;
}
