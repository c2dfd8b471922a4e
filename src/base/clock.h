/* Clocks, and times of day as int64 nanoseconds since 1970-01-01T00:00:00Z. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_NS_PER_SECOND INT64_C(1000000000)

int64_t clock_monotonic_ns(void);
int64_t clock_wall_ns(void);
int64_t clock_process_ns(void); /* processor time of all threads of this process */

typedef struct clock_civil {
  int year, month, day, hour, minute, second; /* month and day from 1 */
  int nanosecond;
  int weekday; /* 0 Monday .. 6 Sunday */
} clock_civil;

/* Proleptic Gregorian, UTC; no time zone is applied. */
void clock_to_civil(clock_civil *out, int64_t ns);
int64_t clock_from_civil(const clock_civil *civil); /* weekday ignored */

/* "2026-01-02T03:04:05.678Z"; fraction only when there is one. Returns out. */
#define CLOCK_TEXT_MAX 40
char *clock_format(char out[CLOCK_TEXT_MAX], int64_t ns);

#endif
