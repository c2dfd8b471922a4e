/* garam: a native machine-learning system for market streams.
 *
 * This header holds what every other public header stands on: version, status, error,
 * allocator and log. The library never exits, never prints and never reads the environment
 * unless a call says so. Misuse by the programmer (a NULL where a pointer is required) aborts
 * with a sentence; everything the world can do wrong comes back as a status and a message. */
#ifndef GARAM_GARAM_H
#define GARAM_GARAM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#error "garam runs on POSIX systems"
#endif
#define GARAM_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

#define GARAM_VERSION_MAJOR 0
#define GARAM_VERSION_MINOR 1
#define GARAM_VERSION_PATCH 0
#define GARAM_VERSION "0.1.0"

/* Every status the library can return, with the sentence garam_status_text() gives for it. */
#define GARAM_STATUS_LIST(X)                                                                       \
  X(OK, "success")                                                                                 \
  X(INVALID, "a value is outside what is allowed")                                                 \
  X(IO, "reading or writing failed")                                                               \
  X(PARSE, "the input is not in the expected format")                                              \
  X(NOT_FOUND, "no such file, name or field")                                                      \
  X(NO_MEMORY, "out of memory")                                                                    \
  X(UNSUPPORTED, "not supported by this build or machine")                                         \
  X(CORRUPT, "the file is damaged")                                                                \
  X(MISMATCH, "the parts do not fit together")                                                     \
  X(LIMIT, "a limit was exceeded")                                                                 \
  X(BUSY, "the resource is in use")                                                                \
  X(INTERRUPTED, "interrupted before it was finished")                                             \
  X(NUMERIC, "a computation left the finite numbers")

typedef enum garam_status {
#define X(name, text) GARAM_##name,
  GARAM_STATUS_LIST(X)
#undef X
} garam_status;

/* The caller's error: what was wrong, where, and what was expected. Pass NULL to ignore. */
typedef struct garam_error {
  garam_status status;
  char message[1024];
} garam_error;

GARAM_API const char *garam_version(void);
GARAM_API const char *garam_status_text(garam_status status); /* static sentence */
GARAM_API const char *garam_status_name(garam_status status); /* "INVALID"; static */

/* One allocator for everything garam allocates. `resize` is realloc with a context: size 0
 * frees and returns NULL; ptr NULL allocates; it must return memory aligned for any type.
 * Set it before any other call; NULL restores the C library's. Not thread-safe. */
typedef struct garam_allocator {
  void *(*resize)(void *context, void *ptr, size_t size);
  void *context;
} garam_allocator;

GARAM_API void garam_set_allocator(const garam_allocator *allocator);

typedef enum garam_log_level {
  GARAM_LOG_DEBUG,
  GARAM_LOG_INFO,
  GARAM_LOG_WARNING,
  GARAM_LOG_ERROR,
} garam_log_level;

/* Receives every log line, without a newline at its end. The default receiver drops them. */
typedef void (*garam_log_fn)(void *context, garam_log_level level, const char *line);

GARAM_API void garam_set_log(garam_log_fn fn, void *context);

#ifdef __cplusplus
}
#endif
#endif
