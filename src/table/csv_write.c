/* A table as CSV that reads back the same: 17 significant digits where they are needed, ISO
 * times, quotes around text that would be taken for something else. */
#include "table/table.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/number_text.h"
#include "table/cell_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Either a durable file or standard output. */
typedef struct sink {
  io_writer *file;
  size_t used;
  char buffer[1 << 14];
} sink;

static garam_status sink_flush(sink *s, garam_error *err) {
  size_t at = 0, n = s->used;
  s->used = 0;
  if (s->file) return io_write(s->file, s->buffer, n, err);
  while (at < n) {
    ssize_t written = write(STDOUT_FILENO, s->buffer + at, n - at);
    if (written < 0 && errno != EINTR)
      return fail(err, GARAM_IO, "standard output: cannot write: %s", strerror(errno));
    if (written > 0) at += (size_t)written;
  }
  return GARAM_OK;
}

static garam_status put(sink *s, const char *text, size_t n, garam_error *err) {
  while (n > 0) {
    if (s->used == sizeof s->buffer) TRY(sink_flush(s, err));
    size_t part = sizeof s->buffer - s->used < n ? sizeof s->buffer - s->used : n;
    memcpy(s->buffer + s->used, text, part);
    s->used += part;
    text += part;
    n -= part;
  }
  return GARAM_OK;
}

static bool needs_quotes(const char *text) {
  size_t n = strlen(text);
  return text_is_missing(text, n) || strpbrk(text, ",\"\r\n;\t|") || text[0] == ' ' ||
         text[n - 1] == ' ';
}

static garam_status put_text(sink *s, const char *text, garam_error *err) {
  if (!needs_quotes(text)) return put(s, text, strlen(text), err);
  TRY(put(s, "\"", 1, err));
  for (;;) {
    size_t n = strcspn(text, "\"");
    TRY(put(s, text, n, err));
    if (!text[n]) break;
    TRY(put(s, "\"\"", 2, err));
    text += n + 1;
  }
  return put(s, "\"", 1, err);
}

static garam_status put_cell(sink *s, const table *t, size_t i, size_t row, garam_error *err) {
  const column *c = &t->columns[i];
  char text[NUMBER_TEXT_MAX + CLOCK_TEXT_MAX];
  switch (c->type) {
  case COLUMN_F64:
    return isnan(c->f64[row]) ? GARAM_OK : put(s, text, number_print(text, c->f64[row]), err);
  case COLUMN_I64:
    if (c->i64[row] == COLUMN_I64_MISSING) return GARAM_OK;
    return put(s, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)c->i64[row]), err);
  case COLUMN_TIME: {
    if (c->i64[row] == COLUMN_I64_MISSING) return GARAM_OK;
    bool is_utc = (int)i == t->time_column ? strcmp(t->zone, "UTC") == 0 : c->is_utc;
    clock_format(text, c->i64[row]);
    return put(s, text, strlen(text) - !is_utc, err);
  }
  case COLUMN_CATEGORY:
    return c->code[row] < 0 ? GARAM_OK : put_text(s, c->names[c->code[row]], err);
  }
  return GARAM_OK;
}

static garam_status put_rows(sink *s, const table *t, garam_error *err) {
  for (size_t i = 0; i < t->n_columns; i++) {
    if (i) TRY(put(s, ",", 1, err));
    TRY(put_text(s, t->columns[i].name, err));
  }
  TRY(put(s, "\n", 1, err));
  for (size_t row = 0; row < t->n_rows; row++) {
    for (size_t i = 0; i < t->n_columns; i++) {
      if (i) TRY(put(s, ",", 1, err));
      TRY(put_cell(s, t, i, row, err));
    }
    /* A missing value alone would be a blank line, which is no row. */
    if (t->n_columns == 1 && column_is_missing(&t->columns[0], row)) TRY(put(s, "NA", 2, err));
    TRY(put(s, "\n", 1, err));
  }
  return sink_flush(s, err);
}

garam_status table_write_csv(const table *t, const char *path, garam_error *err) {
  sink s = {0};
  bool is_stdout = strcmp(path, "-") == 0;
  if (!is_stdout) TRY(io_writer_open(&s.file, path, err));
  garam_status status = put_rows(&s, t, err);
  if (is_stdout) return status;
  if (status == GARAM_OK) return io_writer_commit(s.file, err);
  io_writer_abort(s.file);
  return status;
}
