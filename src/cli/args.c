/* Arguments: flags and operands in any order, a config file that says the same things, and help
 * that is generated from the rows. */
#include "cli/cli.h"

#include "api/settings.h"
#include "base/thread.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const progress_names[] = {"auto", "always", "never", NULL};

static const opt_row common_options[] = {
    {"seed", OPT_I64, OPT_AT(cli_common, seed), .def = 1, .max = 9007199254740992.0,
     .help = "of everything random; the same seed gives the same result"},
    {"threads", OPT_INT, OPT_AT(cli_common, threads), .def = 0, .max = 1024,
     .help = "0: every processor; results do not depend on it"},
    {"config", OPT_STRING, OPT_AT(cli_common, config),
     .help = "JSON file with the same options as keys; flags win"},
    {"json", OPT_BOOL, OPT_AT(cli_common, json), .help = "machine-readable output on stdout"},
    {"progress", OPT_ENUM, OPT_AT(cli_common, progress), .choices = progress_names,
     .help = "progress bar on stderr; auto: when it is a terminal"},
    {"quiet", OPT_BOOL, OPT_AT(cli_common, quiet), .help = "say nothing but errors on stderr"},
};

/* ---- messages -------------------------------------------------------------------------- */

int cli_usage(const cli *c, const char *format, ...) {
  console_bar_clear();
  fputs("garam: ", stderr);
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  if (c && c->command) fprintf(stderr, "\nTry: garam %s --help\n", c->command->name);
  else fputs("\nTry: garam --help\n", stderr);
  return CLI_USAGE;
}

/* The reader of standard output (head, less) has seen enough: no error worth a line. */
static bool reader_left(void) {
  struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&out, 1, 0) > 0 && (out.revents & POLLERR);
}

int cli_fail(const cli *c, const garam_error *err) {
  (void)c;
  console_bar_clear();
  static const char to_stdout[] = "standard output: ";
  if (strncmp(err->message, to_stdout, sizeof to_stdout - 1) == 0 && reader_left())
    return CLI_FAILED;
  fprintf(stderr, "garam: %s\n", err->message[0] ? err->message : garam_status_text(err->status));
  return CLI_FAILED;
}

int cli_fail_usage(const cli *c, const garam_error *err) {
  return cli_usage(c, "%s", err->message);
}

int cli_flush_stdout(const cli *c) {
  (void)c;
  if (fflush(stdout) == 0 && !ferror(stdout)) return CLI_OK;
  if (reader_left()) return CLI_FAILED;
  fputs("garam: standard output: cannot write\n", stderr);
  return CLI_FAILED;
}

int cli_print_json(const cli *c, json_t *object) {
  char *text = object ? json_text_indented(object) : NULL;
  json_decref(object);
  if (!text) {
    fputs("garam: out of memory\n", stderr);
    return CLI_FAILED;
  }
  puts(text);
  mem_free(text);
  return cli_flush_stdout(c);
}

/* ---- what stands on the line ----------------------------------------------------------- */

static bool is_flag(const char *arg, const char *name, const char **value) {
  if (strncmp(arg, "--", 2) != 0) return false;
  arg += 2;
  for (; *name && *arg; name++, arg++)
    if (*name != *arg && !(*name == '-' && *arg == '_')) return false;
  if (*name || (*arg && *arg != '=')) return false;
  *value = *arg == '=' ? arg + 1 : NULL;
  return true;
}

static const char *peek_flag(const cli *c, const char *name) {
  const char *found = NULL;
  for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++) {
    const char *value;
    if (!is_flag(c->argv[i], name, &value)) continue;
    if (!value && i + 1 < c->argc) value = c->argv[++i];
    if (value) found = value;
  }
  return found;
}

const char *cli_peek(const cli *c, const char *name) {
  const char *value = peek_flag(c, name);
  if (value || !c->file) return value;
  return settings_peek(c->file, name);
}

int cli_init(cli *c, const command *k, int argc, char **argv) {
  *c = (cli){.command = k, .argc = argc, .argv = argv};
  const char *path = peek_flag(c, "config");
  if (!path) return CLI_GO_ON;
  garam_error err = {0};
  if (json_read_file(&c->file, path, &err) != GARAM_OK) return cli_fail(c, &err);
  if (!json_is_object(c->file)) return cli_usage(c, "%s: expected a JSON object", path);
  return CLI_GO_ON;
}

void cli_deinit(cli *c) {
  json_decref(c->file);
  c->file = NULL;
}

void cli_add_filled(cli *c, const opt_set *set) {
  REQUIRE(c->n_sets < CLI_MAX_SETS, "cli_add: more than %d sets of options", CLI_MAX_SETS);
  size_t n_rows = set->n_rows;
  for (size_t i = 0; i < c->n_sets; i++) n_rows += c->sets[i].n_rows;
  REQUIRE(n_rows <= CLI_MAX_ROWS, "cli_add: more than %d options", CLI_MAX_ROWS);
  c->sets[c->n_sets++] = *set;
}

void cli_add(cli *c, const char *title, const opt_row *rows, size_t n_rows, void *config) {
  opt_defaults(rows, n_rows, config);
  cli_add_filled(c, &(opt_set){title, rows, n_rows, config});
}

/* ---- help ------------------------------------------------------------------------------ */

static bool row_is_hidden(const cli *c, size_t set, const opt_row *row) {
  for (size_t i = 0; i < set; i++)
    if (opt_find(c->sets[i].rows, c->sets[i].n_rows, row->name)) return true;
  return false;
}

static void print_indented(const char *text, const char *first, const char *others) {
  const char *lead = first;
  while (*text) {
    size_t n = strcspn(text, "\n");
    printf("%s%.*s\n", n ? lead : "", (int)n, text);
    lead = others;
    text += n + (text[n] == '\n');
  }
}

static void print_help(cli *c) {
  const command *k = c->command;
  printf("garam %s: %s\n\n", k->name, k->summary);
  char first[64], others[64];
  snprintf(first, sizeof first, "Usage: garam %s ", k->name);
  snprintf(others, sizeof others, "       garam %s ", k->name);
  print_indented(k->usage, first, others);
  if (k->details) {
    puts("");
    print_indented(k->details, "", "");
  }
  for (size_t s = 0; s < c->n_sets; s++) {
    /* A row that an earlier set has as well is that one's: it is shown once. */
    opt_set set = c->sets[s];
    opt_row *rows = mem_array(set.n_rows, sizeof *rows);
    if (!rows) return;
    size_t n = 0;
    for (size_t i = 0; i < set.n_rows; i++)
      if (!row_is_hidden(c, s, &set.rows[i])) rows[n++] = set.rows[i];
    set.rows = rows;
    set.n_rows = n;
    if (n > 0) {
      puts("");
      opt_print_help(stdout, &set);
    }
    mem_free(rows);
  }
  if (c->more_help) {
    puts("");
    c->more_help(c);
  }
  if (k->examples) {
    puts("\nExamples:");
    print_indented(k->examples, "  ", "  ");
  }
}

/* ---- parsing --------------------------------------------------------------------------- */

int cli_parse(cli *c, int min_operands, int max_operands) {
  cli_add(c, "Common", common_options, COUNT_OF(common_options), &c->common);
  for (int i = 0; i < c->argc && strcmp(c->argv[i], "--") != 0; i++)
    if (strcmp(c->argv[i], "--help") == 0 || strcmp(c->argv[i], "-h") == 0) {
      print_help(c);
      return cli_flush_stdout(c);
    }
  garam_error err = {0};
  if (c->file) {
    snprintf(c->common.config, sizeof c->common.config, "%s", peek_flag(c, "config"));
    if (settings_from_json(c->sets, c->n_sets, c->file, c->common.config, &err) != GARAM_OK)
      return cli_fail_usage(c, &err);
  }
  bool flags_ended = false;
  for (int at = 0; at < c->argc;) {
    const char *arg = c->argv[at];
    if (!flags_ended && strcmp(arg, "--") == 0) {
      flags_ended = true;
      at++;
    } else if (!flags_ended && strncmp(arg, "--", 2) == 0) {
      if (opt_parse_flag(c->sets, c->n_sets, c->argc, c->argv, &at, c->given, &err) != GARAM_OK)
        return cli_fail_usage(c, &err);
    } else if (!flags_ended && arg[0] == '-' && arg[1]) {
      return cli_usage(c, "unknown option %s: options start with two dashes", arg);
    } else {
      if (c->n_operands == max_operands)
        return cli_usage(c, "unexpected \"%s\": usage is garam %s %s", arg, c->command->name,
                         c->command->usage);
      c->operands[c->n_operands++] = arg;
      at++;
    }
  }
  if (c->n_operands < min_operands)
    return cli_usage(c, "too few operands: usage is garam %s %s", c->command->name,
                     c->command->usage);
  thread_set_count(c->common.threads);
  console_init(&c->common);
  return CLI_GO_ON;
}

void cli_take_rest(cli *c, void *config, const void *other) {
  size_t first = 0;
  for (size_t s = 0; s < c->n_sets; first += c->sets[s++].n_rows) {
    if (c->sets[s].config != config) continue;
    for (size_t i = 0; i < c->sets[s].n_rows; i++) {
      const opt_row *row = &c->sets[s].rows[i];
      if (c->given[first + i] || settings_has(c->file, row)) continue;
      memcpy((char *)config + row->offset, (const char *)other + row->offset, row->size);
    }
  }
}
