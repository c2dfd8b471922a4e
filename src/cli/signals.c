/* Ctrl-C and SIGTERM: the first is noted, so that training can save and a server drain; the
 * second ends the process at once. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t which;
static int wake[2] = {-1, -1}; /* a signal may come to any thread: the pipe wakes the main one */

static void on_signal(int number) {
  int kept = errno;
  which = number;
  if (wake[1] >= 0 && write(wake[1], "", 1) < 0) errno = 0;
  errno = kept;
}

void signals_note(void) {
  if (wake[0] < 0 && pipe2(wake, O_CLOEXEC) != 0) wake[0] = wake[1] = -1;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

bool signals_interrupted(void *context) {
  (void)context;
  return which != 0;
}

int signals_which(void) {
  return which;
}

void signals_wait(void) {
  char byte;
  while (!which && (read(wake[0], &byte, 1) > 0 || errno == EINTR)) continue;
}
