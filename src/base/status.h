/* Errors: fill the caller's garam_error and return its status in one expression.
 *
 *   return fail(err, GARAM_PARSE, "%s:%zu: expected a number, found \"%s\"", file, line, text);
 *   TRY(step(err));              returns the status if it is not GARAM_OK
 *   TRY_GOTO(done, step(err));   sets `status` and jumps
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "garam/garam.h"

#include <stdbool.h>

/* Fills err (may be NULL) and returns status. */
garam_status fail(garam_error *err, garam_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "context: " before the message already in err; returns err's status. */
garam_status fail_within(garam_error *err, garam_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

garam_status fail_memory(garam_error *err, size_t bytes);

/* Misuse by the programmer: prints the sentence and aborts. The only place that does. */
_Noreturn void misuse(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define REQUIRE(condition, ...)                                                                    \
  do {                                                                                             \
    if (!(condition)) misuse(__FILE__, __LINE__, __VA_ARGS__);                                     \
  } while (0)

#define TRY(expression)                                                                            \
  do {                                                                                             \
    garam_status try_status_ = (expression);                                                       \
    if (try_status_ != GARAM_OK) return try_status_;                                               \
  } while (0)

#define TRY_GOTO(label, expression)                                                                \
  do {                                                                                             \
    status = (expression);                                                                         \
    if (status != GARAM_OK) goto label;                                                            \
  } while (0)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The name in `names` nearest to `name` by edit distance, or NULL when none is near. */
const char *name_nearest(const char *name, const char *const *names, size_t n_names);

#endif
