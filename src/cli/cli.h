/* The command: one verb, operands and long flags. Data goes to stdout, everything else to stderr;
 * exit 0 fine, 1 failed, 2 wrong usage. Everything said in --help comes from the option rows.
 * The map of this room:
 *   main.c      the table of commands, and the way in
 *   args.c      flags and operands in any order, --config, --help
 *   console.c   log lines, the progress bar, tables of text, numbers for people
 *   signals.c   what Ctrl-C and SIGTERM do
 *   cmd_*.c     one command a file, its record at the end */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/json.h"
#include "base/mem.h"
#include "base/opt.h"

#include <stdio.h>

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };
enum { CLI_GO_ON = -1 }; /* from cli_parse: nothing is wrong, no help was asked for */

enum { CLI_MAX_SETS = 12, CLI_MAX_OPERANDS = 64, CLI_MAX_ROWS = 512 };
enum { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

typedef struct cli cli;

/* The record of a command. */
typedef struct command {
  const char *name, *summary;
  const char *usage;    /* what stands after "garam NAME", one form a line */
  const char *details;  /* paragraphs under the usage; may be NULL */
  const char *examples; /* one a line; may be NULL */
  int (*run)(cli *c);
} command;

extern const command *const cli_commands[]; /* NULL at the end */

/* Options that every command has. */
typedef struct cli_common {
  int64_t seed;
  int threads;
  bool quiet;
  int progress;
  bool json;
  char config[1024];
} cli_common;

struct cli {
  const command *command;
  int argc; /* without "garam NAME" */
  char **argv;
  cli_common common;
  opt_set sets[CLI_MAX_SETS]; /* the command's own first, the common ones last */
  size_t n_sets;
  bool given[CLI_MAX_ROWS]; /* by a flag, one a row of all sets in order */
  const char *operands[CLI_MAX_OPERANDS];
  int n_operands;
  json_t *file;             /* the object in --config, or NULL */
  void (*more_help)(cli *); /* printed after the option rows; may be NULL */
};

/* ---- args.c ---------------------------------------------------------------------------- */

/* Reads --config if it is given. CLI_GO_ON or an exit code, the message printed. */
int cli_init(cli *c, const command *k, int argc, char **argv);
void cli_deinit(cli *c);

/* Adds rows and sets their defaults; the second adds a set whose config is filled already. Rows
 * added first win where two have one name. */
void cli_add(cli *c, const char *title, const opt_row *rows, size_t n_rows, void *config);
void cli_add_filled(cli *c, const opt_set *set);

/* The value that --name (or its key in --config) has, before the rows are known; NULL: not given.
 * A command asks for --model this way, and then adds that learner's rows. */
const char *cli_peek(const cli *c, const char *name);

/* Config file, then flags, into the sets; operands between min and max. */
int cli_parse(cli *c, int min_operands, int max_operands);

/* After parsing: rows of `config`'s set that nobody gave take their value from `other`, a config of
 * the same rows (a package's). */
void cli_take_rest(cli *c, void *config, const void *other);

/* Prints "garam: message" (and where help is, for wrong usage); returns the exit code. */
int cli_usage(const cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_fail(const cli *c, const garam_error *err);
int cli_fail_usage(const cli *c, const garam_error *err);

/* Prints an object on stdout and drops the reference. Fails when stdout does. */
int cli_print_json(const cli *c, json_t *object);
int cli_flush_stdout(const cli *c);

/* ---- console.c ------------------------------------------------------------------------- */

void console_init(const cli_common *common); /* installs the log receiver */
bool console_unicode(void);                  /* may stderr and stdout show it? */
bool console_progress(void);                 /* is a bar shown? */

/* One line on stderr, above the bar if there is one; nothing when quiet. */
void console_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A bar on the last line of the terminal: label, share done in [0,1], time left, tail.
 * Redrawn at most ten times a second. `started`: clock_monotonic_ns() when share was `share0`. */
void console_bar(const char *label, double share0, double share, int64_t started, const char *tail);
void console_bar_clear(void);
/* Progress of reading, as a table_progress_fn; context is a console_reading. */
typedef struct console_reading {
  const char *label;
  int64_t started;
} console_reading;
void console_read_progress(void *context, uint64_t done, uint64_t total);

/* A table of text: cells are added row by row, columns sized to fit. Numbers are right-aligned
 * when the column's letter in `align` is 'r'. */
typedef struct text_table text_table;
text_table *text_table_new(const char *align);
void text_table_add(text_table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_table_rule(text_table *t);                         /* the rows so far are a heading */
void text_table_print(text_table *t, FILE *out, int indent); /* and frees it */

/* Into out, which is returned: "74,431"; "3 d 4 h"; "2.4 MiB"; "2021-01-04 09:00". */
#define TEXT_SHORT 64
char *text_count(char out[TEXT_SHORT], uint64_t n);
char *text_duration(char out[TEXT_SHORT], int64_t ns);
char *text_bytes(char out[TEXT_SHORT], double bytes);
char *text_time(char out[TEXT_SHORT], int64_t ns);
char *text_number(char out[TEXT_SHORT], double value);  /* six significant digits */
double json_f64(const json_t *object, const char *key); /* NaN when it is absent or null */

/* ---- signals.c ------------------------------------------------------------------------- */

/* From now on Ctrl-C and SIGTERM are noted, not obeyed; a second one ends the process. */
void signals_note(void);
bool signals_interrupted(void *context); /* context is not used: it is a fit_context callback */
int signals_which(void);                 /* SIGINT, SIGTERM, or 0 */
void signals_wait(void);                 /* sleeps until one came; after signals_note */

#endif
