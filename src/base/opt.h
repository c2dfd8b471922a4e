/* The option row: one row says everything about a setting, once. From it come the default, the
 * range check, the command-line flag, the help text, the JSON key, what the package records and
 * the axis for hyperparameter search.
 *
 *   typedef struct train_config { double learning_rate; int epochs; bool resume; } train_config;
 *   static const opt_row train_options[] = {
 *     {"learning-rate", OPT_F64, OPT_AT(train_config, learning_rate), .def = 1e-4, .min = 1e-8,
 *      .max = 1, .scale = OPT_LOG, .search = {1e-5, 1e-2}, .help = "AdamW step size"},
 *   };
 *
 * A flag is --learning-rate 0.001 or --learning-rate=0.001; a bool is --resume or --no-resume.
 * The JSON key is the name with '-' as '_'. Enums are stored as their index and written as
 * their name. */
#ifndef BASE_OPT_H
#define BASE_OPT_H

#include "base/json.h"

#include <stdio.h>

typedef enum opt_type {
  OPT_BOOL,   /* bool */
  OPT_INT,    /* int */
  OPT_I64,    /* int64_t; range beyond 2^53 is cut by the double row fields */
  OPT_F64,    /* double */
  OPT_BYTES,  /* int64_t; text takes K, M, G (powers of 1024) */
  OPT_ENUM,   /* int: index into choices */
  OPT_STRING, /* char[N]: N from OPT_AT */
} opt_type;

typedef enum opt_scale { OPT_LINEAR, OPT_LOG } opt_scale;

typedef struct opt_row {
  const char *name; /* with '-' */
  opt_type type;
  size_t offset, size;  /* OPT_AT */
  double def;           /* numbers, bools, enum index */
  const char *def_text; /* strings */
  double min, max;      /* numbers: inclusive; both 0 means any */
  opt_scale scale;      /* of the search axis */
  struct {
    double low, high;
  } search;                   /* the axis; both 0 means: not searched */
  const char *const *choices; /* enums: names, NULL at the end */
  const char *unit;           /* "bars", "bytes"; may be NULL */
  const char *help;           /* one line, no full stop */
} opt_row;

#define OPT_AT(type, field) offsetof(type, field), sizeof(((type *)0)->field)

/* Rows with the struct that they fill. A command has several sets, one for each room it uses. */
typedef struct opt_set {
  const char *title; /* heading in --help: "Training" */
  const opt_row *rows;
  size_t n_rows;
  void *config;
} opt_set;

void opt_defaults(const opt_row *rows, size_t n_rows, void *config);
const opt_row *opt_find(const opt_row *rows, size_t n_rows, const char *name); /* '-' or '_' */

/* From text; checks type, range and choices. The message names the option as `--name`. */
garam_status opt_set_text(const opt_row *row, void *config, const char *text, garam_error *err);
/* From a JSON value: same checks; `where` names the source. A list of strings is one with commas.
 */
garam_status opt_set_json(const opt_row *row, void *config, const json_t *value, const char *where,
                          garam_error *err);

/* Every row as a JSON object, and back. Unknown keys are an error with the nearest name. */
json_t *opt_to_json(const opt_row *rows, size_t n_rows, const void *config);
garam_status opt_from_json(const opt_row *rows, size_t n_rows, void *config, json_t *object,
                           const char *where, garam_error *err);

/* Parses argv[*at ...] against the sets. Stops at the first operand (not starting with "--", or
 * "-" alone) and leaves *at there; unknown flags are GARAM_NOT_FOUND with the nearest name.
 * `given` (may be NULL, else one bool per row of all sets in order) is set for what was given. */
garam_status opt_parse_flag(const opt_set *sets, size_t n_sets, int argc, char **argv, int *at,
                            bool *given, garam_error *err);

/* Help lines, and the full description of each row as JSON (for `garam options NAME --json`). */
void opt_print_help(FILE *out, const opt_set *set);
json_t *opt_describe(const opt_row *rows, size_t n_rows);

/* The current value as text, as it would be typed. Returns out. */
#define OPT_TEXT_MAX 512
char *opt_value_text(char out[OPT_TEXT_MAX], const opt_row *row, const void *config);

#endif
