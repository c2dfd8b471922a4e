/* Any bytes as a CSV file: a table or a message, and a table that is written reads back the same.
 * The first byte chooses options. */
#include "table/table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64], copy[80];

static void remove_files(void) {
  unlink(path);
  unlink(copy);
}

static void make_files(void) {
  if (path[0]) return;
  snprintf(path, sizeof path, "/tmp/garam-fuzz-%ld.csv", (long)getpid());
  snprintf(copy, sizeof copy, "%s.copy", path);
  atexit(remove_files);
}

static void check_table(const table *t) {
  REQUIRE(t->n_rows > 0 && t->n_columns > 0, "an empty table");
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    size_t missing = 0;
    for (size_t row = 0; row < t->n_rows; row++) {
      missing += column_is_missing(c, row);
      if (c->type == COLUMN_CATEGORY)
        REQUIRE(c->code[row] < (int32_t)c->n_names, "code %d of %zu", c->code[row], c->n_names);
    }
    REQUIRE(missing == c->n_missing, "%zu missing, counted %zu", missing, c->n_missing);
  }
  for (size_t row = 1; row < t->n_rows; row++)
    REQUIRE(table_line(t, row) > table_line(t, row - 1), "lines do not rise at row %zu", row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  make_files();
  FILE *f = fopen(path, "wb");
  if (!f) abort();
  fwrite(data + 1, 1, size - 1, f);
  fclose(f);
  table_read_config config = {.delimiter = data[0] % 6,
                              .header = data[0] / 6 % 3,
                              .date_order = data[0] / 18 % 3,
                              .time_unit = data[0] / 54 % 5};
  table *t, *back, *fixed;
  garam_error err = {0};
  size_t changed;
  if (table_open(&t, path, &config, NULL, NULL, &err) != GARAM_OK) {
    REQUIRE(err.message[0], "no message");
    return 0;
  }
  check_table(t);
  json_t *o;
  if (table_describe(&o, t, &err) == GARAM_OK) json_decref(o);
  if (table_repair(&fixed, t, "drop-missing", NULL, 0, &changed, &err) == GARAM_OK)
    table_free(fixed);
  /* The copy may be typed otherwise ("5" in a category), but has the same shape. */
  REQUIRE(table_write_csv(t, copy, &err) == GARAM_OK, "%s", err.message);
  table_read_config plain = {.delimiter = 1, .header = 1, .date_order = 1};
  for (size_t i = 0; i < t->n_columns; i++)
    if (t->columns[i].type == COLUMN_CATEGORY || strcasecmp(t->columns[i].name, "none") == 0)
      goto done; /* a column of that name is one that --time can ask for */
  strcpy(plain.time_column, "none");
  REQUIRE(table_open(&back, copy, &plain, NULL, NULL, &err) == GARAM_OK, "%s", err.message);
  REQUIRE(back->n_rows == t->n_rows && back->n_columns == t->n_columns, "%zu x %zu, then %zu x %zu",
          t->n_rows, t->n_columns, back->n_rows, back->n_columns);
  for (size_t i = 0; i < t->n_columns; i++)
    for (size_t row = 0; row < t->n_rows; row++) {
      double a = column_f64(&t->columns[i], row), b = column_f64(&back->columns[i], row);
      REQUIRE(a == b || (isnan(a) && isnan(b)), "row %zu, column %zu: %.17g, then %.17g", row, i, a,
              b);
    }
  table_free(back);
done:
  table_free(t);
  return 0;
}
