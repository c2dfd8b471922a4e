/* Times as people write them, to nanoseconds since 1970. Nothing is guessed here: whoever calls
 * has decided, from a whole column, which form and which order of day and month it has. */
#ifndef TABLE_TIME_TEXT_H
#define TABLE_TIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum time_order { TIME_ORDER_AUTO, TIME_ORDER_DMY, TIME_ORDER_MDY } time_order;

typedef struct time_parts {
  int64_t ns;     /* UTC when has_zone (the offset is taken off), else as written */
  bool has_clock; /* a time of day was written */
  bool has_zone;  /* Z, UTC, GMT or an offset was written */
  bool year_last; /* 03.01.2026, 01/03/2026: `first` and `second` as written */
  char separator; /* of the date; 0 for YYYYMMDD */
  int first, second;
} time_parts;

/* A date in calendar form, alone or with a time of day behind 'T' or blanks:
 *   2026-01-03  2026/1/3  2026.01.03  03.01.2026  01/03/2026  20260103 093000
 *   2026-01-03T09:30  2026-01-03 09:30:00.123456789+09:00  20260103T093000Z  ... 09:30 PM
 * A date with its year last is read in the given order; with AUTO in the only possible one, else
 * day first. Bare digits (20260103) are not calendar form. Years 1678 to 2261. */
bool time_parse_calendar(time_parts *out, const char *text, size_t n, time_order order);

/* Digits only: YYYYMMDD, YYYYMMDDHHMM, YYYYMMDDHHMMSS, and with milliseconds (17). */
bool time_parse_compact(time_parts *out, const char *text, size_t n);

/* A time of day, in ns: 9:30, 09:30:00.5, 12:05 PM; with `digits` also 93000, 093000 and 930. */
bool time_parse_clock(int64_t *ns, const char *text, size_t n, bool digits);

/* +09:00, -0530, +9, Z: in ns. */
bool time_parse_offset(int64_t *ns, const char *text, size_t n);

/* The integer and fraction of an epoch number, in units of `unit` ns. False out of range. */
bool time_parse_epoch(int64_t *ns, const char *text, size_t n, int64_t unit, char decimal);

#endif
