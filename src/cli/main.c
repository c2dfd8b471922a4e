/* The way in: the first operand is a verb. */
#include "cli/cli.h"
#include "cli/commands.h"

#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const command *const cli_commands[] = {
#define X(name) &cmd_##name,
    CLI_COMMAND_LIST(X)
#undef X
        NULL,
};

static void print_overview(FILE *out) {
  fputs("garam: a native machine-learning system for market streams\n\n"
        "Usage: garam COMMAND [operands] [--options]\n\n",
        out);
  for (const command *const *k = cli_commands; *k; k++)
    fprintf(out, "  %-11s %s\n", (*k)->name, (*k)->summary);
  fputs("\ngaram COMMAND --help says what each takes; docs/cli.md says it all.\n", out);
}

static const command *find_command(const char *name) {
  for (const command *const *k = cli_commands; *k; k++)
    if (strcmp((*k)->name, name) == 0) return *k;
  return NULL;
}

static int unknown_command(const char *name) {
  const char *names[CLI_MAX_OPERANDS];
  size_t n = 0;
  for (; cli_commands[n] && n < COUNT_OF(names); n++) names[n] = cli_commands[n]->name;
  const char *near = name_nearest(name, names, n);
  return cli_usage(NULL, "unknown command \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

/* Threads that wait for each other spin for some milliseconds, by the OpenMP library's default. On
 * a machine that does anything else beside, a thread then spins for one that is not running: small
 * models trained 20 times slower with two threads on two busy processors. A short spin and then
 * sleep loses little there, and it outlasts the steps that small models do on one thread, so that
 * on an idle machine nobody is woken in the middle of a training step. The library reads this when
 * it is loaded, so the command starts itself once more; what the user has set stands. */
static void wait_shortly(char **argv) {
  if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
  if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0) execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
  wait_shortly(argv);
  setlocale(LC_CTYPE, "");  /* only how text is shown: numbers stay as in C */
  signal(SIGPIPE, SIG_IGN); /* a reader that left ends the writing, not a training half done */
  const char *verb = argc > 1 ? argv[1] : NULL;
  if (!verb) {
    print_overview(stderr);
    return CLI_USAGE;
  }
  char *help[] = {argv[0], argc > 2 ? argv[2] : NULL, (char[]){"--help"}, NULL};
  if (strcmp(verb, "help") == 0 || strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
    if (argc < 3) {
      print_overview(stdout);
      return cli_flush_stdout(NULL);
    }
    verb = argv[2];
    argv = help;
    argc = 3;
  } else if (strcmp(verb, "--version") == 0) {
    verb = "version";
  }
  const command *found = find_command(verb);
  if (!found) return unknown_command(verb);
  cli c;
  int code = cli_init(&c, found, argc - 2, argv + 2);
  if (code == CLI_GO_ON) code = found->run(&c);
  cli_deinit(&c);
  return code;
}
