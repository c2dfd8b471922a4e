/* Rows of cells into typed columns: what every source (CSV, SQLite) shares. A source shows a
 * sample of its first rows, the types are decided from the whole sample, and then every row is
 * added, from the first. Numbers widen on the way; a cell that does not fit its column is an
 * error that names line and column. */
#ifndef TABLE_ROWS_H
#define TABLE_ROWS_H

#include "table/table.h"

typedef enum cell_kind { CELL_TEXT, CELL_I64, CELL_F64, CELL_NULL } cell_kind;

typedef struct cell {
  cell_kind kind;
  bool quoted; /* text in quotes: "NA" is a name, NA is missing */
  uint32_t size;
  union {
    const char *text; /* size bytes, no NUL at the end */
    int64_t i64;
    double f64;
  };
} cell;

#define ROWS_SAMPLE 1000 /* rows from which types are found */

/* What a column's sample looked like. */
typedef struct cell_counts {
  size_t integer, real, calendar, clock, text;
  size_t compact; /* integers that are YYYYMMDD... */
  size_t with_clock, with_zone;
  size_t clock_digits;                  /* integers that are HHMMSS or HHMM */
  size_t first_over_12, second_over_12; /* of dates with the year last */
  size_t year_last, with_dots;
  double largest; /* magnitude of the numbers */
} cell_counts;

typedef enum time_form { FORM_CALENDAR, FORM_COMPACT, FORM_EPOCH } time_form;

typedef struct row_column {
  cell_counts counts;
  bool decided;    /* false while every cell was missing */
  bool is_dropped; /* a time of day that was joined to its date */
  bool is_named;   /* its name says time, or the caller did */
  bool must_be_time, must_be_text;
  bool seen_zone, seen_naive;
  time_form form;
  int order;      /* time_order */
  int64_t unit;   /* ns in one step of an epoch */
  int clock_from; /* column with the time of day, or -1 */
  int32_t *slots; /* hash table: code + 1, or 0 */
  size_t n_slots, names_capacity;
} row_column;

typedef struct row_reader {
  table *t;            /* grows while rows are added */
  row_column *columns; /* one for each of t->columns */
  size_t n_columns;
  const table_read_config *config;
  const char *line_word; /* ":" in "file:12:", or ": row " in "data.db: row 12:" */
  char decimal;
  size_t capacity;       /* of rows */
  size_t lines_capacity; /* of t->line_of_row */
  uint64_t next_line;    /* that a row in order would have */
  bool has_offset;
  int64_t offset; /* zone_offset in ns */
} row_reader;

/* n columns named "0", "1", ... until rows_name. `config` and `line_word` are borrowed. */
garam_status rows_init(row_reader *r, const char *source, const char *line_word, size_t n,
                       const table_read_config *config, garam_error *err);
void rows_deinit(row_reader *r);
garam_status rows_name(row_reader *r, size_t i, const char *text, size_t n, uint64_t line,
                       garam_error *err);

void cell_look(cell_counts *counts, const cell *c, char decimal); /* adds one cell */
void rows_sample(row_reader *r, const cell *cells);
garam_status rows_decide(row_reader *r, uint64_t first_line, garam_error *err);

/* Room for n rows in all, so that columns grow in few steps; optional. */
garam_status rows_reserve(row_reader *r, size_t n, garam_error *err);
garam_status rows_add(row_reader *r, const cell *cells, uint64_t line, garam_error *err);
/* Gives the finished table away. */
garam_status rows_finish(table **out, row_reader *r, garam_error *err);

bool text_is_utf8(const char *text, size_t n);

/* The sources. */
garam_status table_read_csv(table **out, const char *path, const table_read_config *config,
                            table_progress_fn progress, void *context, garam_error *err);
garam_status table_read_sqlite(table **out, const char *data, const table_read_config *config,
                               table_progress_fn progress, void *context, garam_error *err);

#endif
