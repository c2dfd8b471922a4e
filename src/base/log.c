/* One callback, set by the host. */
#include "base/log.h"

#include <stdio.h>

static garam_log_fn log_fn;
static void *log_context;

void garam_set_log(garam_log_fn fn, void *context) {
  log_fn = fn;
  log_context = context;
}

void log_write(garam_log_level level, const char *format, ...) {
  if (!log_fn) return;
  char line[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(line, sizeof line, format, args);
  va_end(args);
  log_fn(log_context, level, line);
}
