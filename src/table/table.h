/* A table: named, typed columns with a time index. Read from CSV and kin, SQLite or memory;
 * never repaired in silence. Windows and folds are views of it. */
#ifndef TABLE_TABLE_H
#define TABLE_TABLE_H

#include "base/json.h"
#include "base/opt.h"

typedef enum column_type {
  COLUMN_F64,      /* double; missing is NaN */
  COLUMN_I64,      /* int64; missing is COLUMN_I64_MISSING */
  COLUMN_TIME,     /* int64 nanoseconds since 1970 UTC; missing is COLUMN_I64_MISSING */
  COLUMN_CATEGORY, /* int32 codes into names, in order of first appearance; missing is -1 */
} column_type;
#define COLUMN_I64_MISSING INT64_MIN

typedef struct column {
  char *name;
  column_type type;
  size_t n_missing;
  union {
    double *f64;
    int64_t *i64; /* I64 and TIME */
    int32_t *code;
  };
  char **names; /* CATEGORY; each its own block of memory */
  size_t n_names;
  bool is_utc; /* TIME: the text had a zone or was an epoch, or zone_offset was taken off */
} column;

typedef struct table {
  char *source; /* for messages: "prices.csv" */
  size_t n_rows, n_columns;
  column *columns;
  int time_column; /* -1: not a time series */
  char zone[8];    /* "UTC" when the text said so (Z or an offset), else "none": exchange time */
  uint64_t *line_of_row; /* line in the file, 1-based; NULL when rows are lines in order (then
                            line = row + first_line) */
  uint64_t first_line;
} table;

/* How to read, as option rows (table_read_options). Text fields empty: found out. */
typedef struct table_read_config {
  int delimiter;          /* auto, comma, semicolon, tab, space, pipe */
  int header;             /* auto, yes, no */
  char time_column[64];   /* "a" or "a,b" for date and time in two columns; "none" */
  int time_unit;          /* auto, s, ms, us, ns: of integers */
  int date_order;         /* auto, dmy, mdy: of dates with the year last */
  char zone_offset[8];    /* "+09:00": what to take off times without a zone; "" leaves them */
  char text_columns[256]; /* "symbol,isin": read as text even if the cells look like numbers */
} table_read_config;
extern const opt_row table_read_options[];
extern const size_t table_read_n_options;

/* DATA: a file (by content: plain, gzip, zstd), "-" for stdin, "sqlite:FILE?table=T" or
 * "sqlite:FILE?query=SELECT ...". Errors name file, line and column. `config` and `progress` may
 * be NULL. */
typedef void (*table_progress_fn)(void *context, uint64_t done, uint64_t total);
garam_status table_open(table **out, const char *data, const table_read_config *config,
                        table_progress_fn progress, void *context, garam_error *err);
void table_free(table *t);

/* Building one in memory (simulator, tests). Column storage is owned by the table, zeroed. */
garam_status table_new(table **out, const char *source, size_t n_rows, garam_error *err);
garam_status table_add_column(column **out, table *t, const char *name, column_type type,
                              garam_error *err); /* out is good until the next add */

int table_find(const table *t, const char *name); /* -1; exact, then without case */
uint64_t table_line(const table *t, size_t row);  /* for messages */
double column_f64(const column *c, size_t row);   /* any type as a number; NaN when missing */
bool column_is_missing(const column *c, size_t row);

/* A table with only the first n_rows rows (all, when there are fewer): what was known then,
 * category names too. Copies. For leak tests. */
garam_status table_head(table **out, const table *t, size_t n_rows, garam_error *err);
/* Rows of t in the order given (a repair, a sample). Copies. */
garam_status table_take(table **out, const table *t, const size_t *rows, size_t n_rows,
                        garam_error *err);

garam_status table_write_csv(const table *t, const char *path, garam_error *err); /* "-": stdout */

/* What is wrong with the time index. Rows are 0-based. */
typedef struct table_time_report {
  int64_t start, end, step;          /* step: the most frequent difference, ns */
  size_t n_unsorted, first_unsorted; /* rows whose time is before the row above */
  size_t n_duplicates, first_duplicate;
  size_t n_gaps; /* differences over 1.5 steps */
  int64_t largest_gap;
  size_t largest_gap_row; /* row after it */
} table_time_report;
garam_status table_time_check(table_time_report *out, const table *t, garam_error *err);

/* Repairs are asked for, never done in silence: sort (stable, by time), deduplicate (keep the
 * last row of equal times), drop-missing (rows with a missing value in `columns`, all when NULL).
 * *n_changed counts rows moved or dropped. `list` is comma-separated. */
garam_status table_repair(table **out, const table *t, const char *list, const int *columns,
                          size_t n_columns, size_t *n_changed, garam_error *err);

/* Everything `garam describe` says that needs no idea of markets: rows, columns[] (name, type,
 * missing, min, max, mean, deviation, distinct names), time{start,end,step,zone}, gaps,
 * duplicates, unsorted, missing{}. */
garam_status table_describe(json_t **out, const table *t, garam_error *err);

#endif
