/* Statuses, messages, and the nearest name for a typing error. */
#include "base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *garam_version(void) {
  return GARAM_VERSION;
}

const char *garam_status_text(garam_status status) {
  switch (status) {
#define X(name, text)                                                                              \
  case GARAM_##name: return text;
    GARAM_STATUS_LIST(X)
#undef X
  }
  return "unknown status";
}

const char *garam_status_name(garam_status status) {
  switch (status) {
#define X(name, text)                                                                              \
  case GARAM_##name: return #name;
    GARAM_STATUS_LIST(X)
#undef X
  }
  return "UNKNOWN";
}

garam_status fail(garam_error *err, garam_status status, const char *format, ...) {
  if (err) {
    va_list args;
    va_start(args, format);
    err->status = status;
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
  }
  return status;
}

garam_status fail_within(garam_error *err, garam_status status, const char *format, ...) {
  if (err) {
    char inner[sizeof err->message];
    memcpy(inner, err->message, sizeof inner);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 3 <= sizeof err->message) {
      size_t left = sizeof err->message - (size_t)n - 3, length = strnlen(inner, left);
      memcpy(err->message + n, ": ", 2);
      memcpy(err->message + n + 2, inner, length);
      err->message[(size_t)n + 2 + length] = 0;
    }
    err->status = status;
  }
  return status;
}

garam_status fail_memory(garam_error *err, size_t bytes) {
  return fail(err, GARAM_NO_MEMORY, "out of memory: %zu bytes were asked for", bytes);
}

_Noreturn void misuse(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "garam: misuse at %s:%d: ", file, line);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  abort();
}

/* Levenshtein distance, cut off at names of 63 characters. */
static size_t edit_distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  if (n > 63 || m > 63) return 64;
  size_t row[64];
  for (size_t j = 0; j <= m; j++) row[j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      size_t cost = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      if (row[j] + 1 < cost) cost = row[j] + 1;
      if (row[j - 1] + 1 < cost) cost = row[j - 1] + 1;
      row[j] = cost;
    }
  }
  return row[m];
}

const char *name_nearest(const char *name, const char *const *names, size_t n_names) {
  const char *best = NULL;
  size_t best_distance = strlen(name) / 2 + 1;
  if (best_distance > 4) best_distance = 4;
  for (size_t i = 0; i < n_names; i++) {
    size_t distance = edit_distance(name, names[i]);
    if (distance < best_distance) {
      best_distance = distance;
      best = names[i];
    }
  }
  return best;
}
