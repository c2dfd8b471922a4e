/* CSV and its kin (RFC 4180, and what is met in the wild): text is cut into records and cells
 * in one buffer, cell by cell in place, and goes from there straight into columns. Delimiter
 * and header are found from the first records before any row is stored. */
#include "table/rows.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/number_text.h"
#include "table/cell_text.h"
#include "table/time_text.h"

#include <stdlib.h>
#include <string.h>

enum {
  BUFFER_FIRST = 256 << 10,
  BUFFER_SAMPLE = 4 << 20,  /* the most that is looked at before types are decided */
  BUFFER_LARGEST = 16 << 20 /* the longest record */
};

typedef struct csv {
  io_stream *stream;
  const char *name;
  char *buffer; /* one byte longer than capacity: a newline stands guard at the end */
  size_t capacity, begin, end;
  uint64_t read;   /* bytes of text so far, the byte order mark included */
  bool at_end;     /* of the stream */
  bool looking;    /* at the sample: never refill, never change the text */
  uint64_t line;   /* of the next record */
  uint64_t record; /* line at which the current record begins */
  char delimiter;
  bool stops[256]; /* bytes that may end a cell without quotes */
  cell *cells;
  size_t n_cells, cells_capacity;
} csv;

/* ---- text -------------------------------------------------------------------------------- */

/* Moves what is left to the front and reads until the buffer is full. */
static garam_status csv_fill(csv *c, garam_error *err) {
  if (c->begin > 0) {
    memmove(c->buffer, c->buffer + c->begin, c->end - c->begin);
    c->end -= c->begin;
    c->begin = 0;
  }
  while (c->end < c->capacity && !c->at_end) {
    size_t got;
    TRY(io_stream_read(c->stream, c->buffer + c->end, c->capacity - c->end, &got, err));
    const char *nul = memchr(c->buffer + c->end, 0, got);
    if (nul) {
      uint64_t at = c->read + (uint64_t)(nul - (c->buffer + c->end));
      bool is_sqlite = at == 15 && memcmp(c->buffer, "SQLite format 3", 15) == 0;
      return fail(err, GARAM_PARSE, "%s: %s", c->name,
                  is_sqlite ? "an SQLite database; name a table of it: sqlite:FILE?table=NAME"
                            : "binary data (a NUL byte), expected text");
    }
    c->end += got;
    c->read += got;
    c->at_end = got == 0;
  }
  c->buffer[c->end] = '\n';
  return GARAM_OK;
}

static garam_status csv_grow(csv *c, size_t capacity, garam_error *err) {
  char *grown = mem_resize(c->buffer, capacity + 1);
  if (!grown) return fail_memory(err, capacity + 1);
  c->buffer = grown;
  c->capacity = capacity;
  return csv_fill(c, err);
}

static void csv_set_delimiter(csv *c, char delimiter) {
  memset(c->stops, 0, sizeof c->stops);
  c->stops['\n'] = c->stops['\r'] = c->stops[(unsigned char)delimiter] = true;
  c->delimiter = delimiter;
}

static void csv_rewind(csv *c) {
  c->begin = 0;
  c->line = 1;
  if (c->end >= 3 && memcmp(c->buffer, "\xef\xbb\xbf", 3) == 0) c->begin = 3;
}

/* ---- records ------------------------------------------------------------------------------ */

/* Blanks around a cell are not part of it, unless they are what separates cells. */
static bool is_padding(const csv *c, char text) {
  return (text == ' ' || text == '\t') && text != c->delimiter;
}

typedef enum scan_result { SCAN_RECORD, SCAN_END, SCAN_SHORT, SCAN_FAILED } scan_result;

/* The byte after a record: past \n, \r\n or \r. SCAN_SHORT when the \n of \r\n may be still to
 * come. */
static scan_result skip_newline(const csv *c, char **at) {
  if (**at == '\r' && *at < c->buffer + c->end) {
    if (*at + 1 == c->buffer + c->end && !c->at_end) return SCAN_SHORT;
    (*at)++;
    if (*at < c->buffer + c->end && **at == '\n') (*at)++;
  } else if (*at < c->buffer + c->end) {
    (*at)++;
  }
  return SCAN_RECORD;
}

/* A cell in quotes, from the quote on: *at goes past the closing one. */
static scan_result scan_quoted(csv *c, cell *out, char **at, uint64_t *lines, garam_error *err) {
  char *text = *at + 1, *end = c->buffer + c->end;
  for (char *p = text;; p++) {
    char *quote = memchr(p, '"', (size_t)(end - p));
    if (!quote || (quote + 1 == end && !c->at_end)) {
      if (!c->at_end) return SCAN_SHORT;
      fail(err, GARAM_PARSE, "%s:%llu: a quote is opened in field %zu and never closed", c->name,
           (unsigned long long)c->record, c->n_cells + 1);
      return SCAN_FAILED;
    }
    p = quote + 1;
    if (p < end && *p == '"') continue;
    *out = (cell){.quoted = true, .size = (uint32_t)(quote - text), .text = text};
    for (const char *n = text; (n = memchr(n, '\n', (size_t)(quote - n))) != NULL; n++) ++*lines;
    *at = p;
    return SCAN_RECORD;
  }
}

/* The record at c->begin, into c->cells; nothing is consumed unless SCAN_RECORD comes back. */
static scan_result csv_scan(csv *c, garam_error *err, garam_status *memory) {
  char *end = c->buffer + c->end, *at = c->buffer + c->begin;
  uint64_t lines = 1;
  bool blanks = c->delimiter == ' ';
  for (;;) { /* blank lines are no records */
    char *p = at;
    while (p < end && (*p == ' ' || is_padding(c, *p))) p++;
    if (p == end && !c->at_end) return SCAN_SHORT;
    if (p == end) return SCAN_END;
    if (*p != '\n' && *p != '\r') {
      if (blanks) at = p;
      break;
    }
    if (skip_newline(c, &p) == SCAN_SHORT) return SCAN_SHORT;
    c->line++;
    at = p;
    c->begin = (size_t)(at - c->buffer);
  }
  c->record = c->line;
  c->n_cells = 0;
  for (;;) {
    if (c->n_cells == c->cells_capacity) {
      *memory = mem_grow(&c->cells, &c->cells_capacity, c->n_cells + 1, sizeof *c->cells, err);
      if (*memory != GARAM_OK) return SCAN_FAILED;
    }
    cell *out = &c->cells[c->n_cells];
    while (is_padding(c, *at)) at++;
    if (*at == '"' && at < end) {
      scan_result result = scan_quoted(c, out, &at, &lines, err);
      if (result != SCAN_RECORD) return result;
      while (is_padding(c, *at)) at++;
      if (at == end && !c->at_end) return SCAN_SHORT;
      if (!c->stops[(unsigned char)*at]) {
        fail(err, GARAM_PARSE, "%s:%llu: field %zu goes on after its closing quote", c->name,
             (unsigned long long)(c->record + lines - 1), c->n_cells + 1);
        return SCAN_FAILED;
      }
    } else {
      char *text = at;
      while (!c->stops[(unsigned char)*at]) at++;
      if (at == end && !c->at_end) return SCAN_SHORT;
      char *last = at;
      while (last > text && is_padding(c, last[-1])) last--;
      *out = (cell){.size = (uint32_t)(last - text), .text = text};
    }
    c->n_cells++;
    if (at == end || *at != c->delimiter) break;
    at++;
    if (blanks) {
      while (at < end && *at == ' ') at++;
      if (at == end && !c->at_end) return SCAN_SHORT;
      if (at == end || *at == '\n' || *at == '\r') break; /* blanks at the end of a line */
    }
  }
  if (skip_newline(c, &at) == SCAN_SHORT) return SCAN_SHORT;
  c->begin = (size_t)(at - c->buffer);
  c->line += lines;
  return SCAN_RECORD;
}

/* "" within quotes is one quote. In place, so only once for each record. */
static void undouble_quotes(csv *c, cell *quoted) {
  const char *from = memchr(quoted->text, '"', quoted->size), *end = quoted->text + quoted->size;
  if (!from) return;
  char *to = c->buffer + (from - c->buffer);
  while (from < end) {
    *to++ = *from;
    from += *from == '"' ? 2 : 1;
  }
  quoted->size = (uint32_t)(to - quoted->text);
}

/* The next record; *got is false at the end (while looking: of what is in the buffer). */
static garam_status csv_next(csv *c, bool *got, garam_error *err) {
  *got = false;
  for (;;) {
    garam_status memory = GARAM_OK;
    switch (csv_scan(c, err, &memory)) {
    case SCAN_FAILED: return memory != GARAM_OK ? memory : GARAM_PARSE;
    case SCAN_END: return GARAM_OK;
    case SCAN_SHORT:
      if (c->looking) return GARAM_OK;
      if (c->begin > 0) {
        TRY(csv_fill(c, err));
      } else if (c->capacity < BUFFER_LARGEST) {
        TRY(csv_grow(c, c->capacity * 2, err));
      } else {
        return fail(err, GARAM_LIMIT,
                    "%s:%llu: a record of more than %d MiB; is a quote not closed?", c->name,
                    (unsigned long long)c->line, BUFFER_LARGEST >> 20);
      }
      continue;
    case SCAN_RECORD: break;
    }
    *got = true;
    if (c->looking) return GARAM_OK;
    for (size_t i = 0; i < c->n_cells; i++)
      if (c->cells[i].quoted) undouble_quotes(c, &c->cells[i]);
    return GARAM_OK;
  }
}

/* Bytes of the file that lie behind the rows read so far, and all of them (0: unknown). For a
 * compressed file what is still in the buffer is taken off in proportion. */
static double share_done(const csv *c) {
  double total = (double)io_stream_total(c->stream);
  double consumed = (double)io_stream_consumed(c->stream);
  if (total <= 0 || c->read == 0) return 0;
  return consumed / total * (double)(c->read - (c->end - c->begin)) / (double)c->read;
}

/* ---- finding out -------------------------------------------------------------------------- */

/* At least ROWS_SAMPLE lines in the buffer, or BUFFER_SAMPLE bytes, or all. */
static garam_status load_sample(csv *c, garam_error *err) {
  TRY(csv_grow(c, BUFFER_FIRST, err));
  for (;;) {
    size_t n_lines = 0;
    const char *end = c->buffer + c->end;
    for (const char *p = c->buffer; n_lines <= ROWS_SAMPLE; p++, n_lines++) {
      p = memchr(p, '\n', (size_t)(end - p));
      if (!p) break;
    }
    size_t most = n_lines == 0 ? BUFFER_LARGEST : BUFFER_SAMPLE;
    if (c->at_end || n_lines > ROWS_SAMPLE || c->capacity >= most) return GARAM_OK;
    TRY(csv_grow(c, c->capacity * 2, err));
  }
}

/* How many of the first records have as many fields as the first one, with this delimiter. */
static garam_status try_delimiter(csv *c, char delimiter, size_t *n_fields, double *share,
                                  garam_error *err) {
  csv_set_delimiter(c, delimiter);
  csv_rewind(c);
  size_t n = 0, n_same = 0;
  *n_fields = 0;
  for (; n < 200; n++) {
    bool got;
    garam_error ignored;
    garam_status status = csv_next(c, &got, &ignored);
    if (status == GARAM_NO_MEMORY) return fail(err, status, "%s", ignored.message);
    if (status != GARAM_OK || !got) break;
    if (n == 0) *n_fields = c->n_cells;
    n_same += c->n_cells == *n_fields;
  }
  *share = n ? (double)n_same / (double)n : 0;
  return GARAM_OK;
}

/* The delimiter with which most records have as many fields as the first. Commas come last but
 * for blanks, because they stand in numbers (1,5;2,5), and blanks must fit without exception,
 * because they stand in times. */
static garam_status find_delimiter(csv *c, garam_error *err) {
  static const char candidates[] = {'\t', ';', '|', ',', ' '};
  char best = ',';
  double best_share = 0;
  for (size_t i = 0; i < COUNT_OF(candidates); i++) {
    size_t n_fields;
    double share = 0;
    TRY(try_delimiter(c, candidates[i], &n_fields, &share, err));
    if (n_fields < 2) continue;
    if (candidates[i] == ' ' && (share < 1 || best_share > 0)) continue;
    if (share > best_share) {
      best_share = share;
      best = candidates[i];
    }
  }
  csv_set_delimiter(c, best);
  return GARAM_OK;
}

/* With ';' a comma may be the decimal mark: then some cell is a number only so. */
static garam_status find_decimal(csv *c, char *decimal, garam_error *err) {
  *decimal = '.';
  if (c->delimiter != ';') return GARAM_OK;
  csv_rewind(c);
  for (size_t n = 0; n < ROWS_SAMPLE; n++) {
    bool got;
    TRY(csv_next(c, &got, err));
    if (!got) break;
    for (size_t i = 0; i < c->n_cells; i++) {
      int64_t integer;
      double real;
      const cell *at = &c->cells[i];
      if (memchr(at->text, ',', at->size) &&
          number_parse(&integer, &real, at->text, at->size, ',') != NUMBER_NONE) {
        *decimal = ',';
        return GARAM_OK;
      }
    }
  }
  return GARAM_OK;
}

/* Whether the first record, whose cells look like `first`, is a header above the others. A time
 * or a number with a point is data. Text above numbers or times is a header, and so is a record
 * of nothing but text. Whole numbers may be names ("date,0,1,2") when some text says so. */
static bool is_header(const cell_counts *first, const row_reader *r) {
  size_t n_numbers = 0, n_text_above_data = 0;
  for (size_t i = 0; i < r->n_columns; i++) {
    const cell_counts *below = &r->columns[i].counts;
    if (first[i].calendar || first[i].clock || first[i].real) return false;
    n_numbers += first[i].integer;
    size_t data = below->integer + below->real + below->calendar + below->clock;
    n_text_above_data += first[i].text && data * 2 > data + below->text;
  }
  return n_numbers == 0 || n_text_above_data > 0;
}

/* Samples the records below the first into r and decides whether the first is a header. */
static garam_status find_header(csv *c, row_reader *r, int asked, bool *has_header,
                                garam_error *err) {
  enum { AUTO, YES };
  garam_status status = GARAM_OK;
  bool got;
  csv_rewind(c);
  TRY(csv_next(c, &got, err));
  cell_counts *first = mem_array(c->n_cells, sizeof *first);
  if (!first) return fail_memory(err, c->n_cells * sizeof *first);
  for (size_t i = 0; i < c->n_cells; i++) cell_look(&first[i], &c->cells[i], r->decimal);
  for (size_t n = 0; n < ROWS_SAMPLE; n++) {
    garam_error later; /* a damaged record is reported when it is read */
    status = csv_next(c, &got, &later);
    if (status == GARAM_NO_MEMORY) {
      fail(err, status, "%s", later.message);
      goto done;
    }
    if (status != GARAM_OK || !got) break;
    if (c->n_cells == r->n_columns) rows_sample(r, c->cells);
  }
  status = GARAM_OK;
  *has_header = asked == AUTO ? is_header(first, r) : asked == YES;
  if (!*has_header) {
    csv_rewind(c);
    TRY_GOTO(done, csv_next(c, &got, err));
    rows_sample(r, c->cells);
  }
done:
  mem_free(first);
  return status;
}

/* ---- reading ------------------------------------------------------------------------------ */

static garam_status read_header(csv *c, row_reader *r, garam_error *err) {
  bool got;
  TRY(csv_next(c, &got, err));
  for (size_t i = 0; i < c->n_cells; i++)
    TRY(rows_name(r, i, c->cells[i].text, c->cells[i].size, c->record, err));
  return GARAM_OK;
}

/* As many rows as the file seems to hold, so that columns grow in one or two steps. */
static garam_status reserve(const csv *c, row_reader *r, garam_error *err) {
  size_t n = r->t->n_rows;
  if (n < r->capacity) return GARAM_OK;
  double share = share_done(c), wanted = (double)n * 1.5;
  if (share > 0 && n >= 256) wanted = (double)n / share * 1.01;
  if (wanted > (double)n * 256) wanted = (double)n * 256;
  if (wanted < (double)n * 1.125) wanted = (double)n * 1.125;
  return rows_reserve(r, (size_t)wanted + 256, err);
}

static garam_status read_rows(csv *c, row_reader *r, table_progress_fn progress, void *context,
                              garam_error *err) {
  uint64_t told = 0;
  for (;;) {
    bool got;
    TRY(csv_next(c, &got, err));
    if (!got) break;
    if (c->n_cells != r->n_columns)
      return fail(err, GARAM_PARSE, "%s:%llu: %zu field%s, expected %zu", c->name,
                  (unsigned long long)c->record, c->n_cells, c->n_cells == 1 ? "" : "s",
                  r->n_columns);
    TRY(reserve(c, r, err));
    TRY(rows_add(r, c->cells, c->record, err));
    if (progress && c->read != told) {
      told = c->read;
      progress(context, io_stream_consumed(c->stream), io_stream_total(c->stream));
    }
  }
  return GARAM_OK;
}

garam_status table_read_csv(table **out, const char *path, const table_read_config *config,
                            table_progress_fn progress, void *context, garam_error *err) {
  static const char delimiters[] = {0, ',', ';', '\t', ' ', '|'};
  csv c = {.looking = true};
  row_reader r = {0};
  bool got, has_header = false;
  garam_status status = GARAM_OK;
  *out = NULL;
  TRY(io_stream_open(&c.stream, path, err));
  c.name = io_stream_name(c.stream);
  TRY_GOTO(done, load_sample(&c, err));
  if (config->delimiter > 0) csv_set_delimiter(&c, delimiters[config->delimiter]);
  else TRY_GOTO(done, find_delimiter(&c, err));
  csv_rewind(&c);
  TRY_GOTO(done, csv_next(&c, &got, err));
  if (!got) {
    status = c.at_end ? fail(err, GARAM_PARSE, "%s: the file is empty", c.name)
                      : fail(err, GARAM_LIMIT, "%s:1: a record of more than %zu MiB", c.name,
                             c.capacity >> 20);
    goto done;
  }
  TRY_GOTO(done, rows_init(&r, c.name, ":", c.n_cells, config, err));
  TRY_GOTO(done, find_decimal(&c, &r.decimal, err));
  TRY_GOTO(done, find_header(&c, &r, config->header, &has_header, err));
  c.looking = false;
  csv_rewind(&c);
  if (has_header) TRY_GOTO(done, read_header(&c, &r, err));
  TRY_GOTO(done, rows_decide(&r, c.line, err));
  TRY_GOTO(done, read_rows(&c, &r, progress, context, err));
  if (r.t->n_rows == 0) {
    status = fail(err, GARAM_PARSE, "%s: a header and no rows", c.name);
    goto done;
  }
  status = rows_finish(out, &r, err);
done:
  rows_deinit(&r);
  mem_free(c.cells);
  mem_free(c.buffer);
  io_stream_close(c.stream);
  return status;
}
