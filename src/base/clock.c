/* Days are counted as in H. Hinnant, "chrono-compatible low-level date algorithms". */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_read(clockid_t id) {
  struct timespec ts;
  clock_gettime(id, &ts);
  return (int64_t)ts.tv_sec * CLOCK_NS_PER_SECOND + ts.tv_nsec;
}

int64_t clock_monotonic_ns(void) {
  return clock_read(CLOCK_MONOTONIC);
}

int64_t clock_wall_ns(void) {
  return clock_read(CLOCK_REALTIME);
}

int64_t clock_process_ns(void) {
  return clock_read(CLOCK_PROCESS_CPUTIME_ID);
}

static int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0);
}

void clock_to_civil(clock_civil *out, int64_t ns) {
  int64_t seconds = floor_div(ns, CLOCK_NS_PER_SECOND);
  int64_t days = floor_div(seconds, 86400);
  int of_day = (int)(seconds - days * 86400);
  int64_t z = days + 719468;
  int64_t era = floor_div(z, 146097);
  unsigned doe = (unsigned)(z - era * 146097);
  unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  unsigned mp = (5 * doy + 2) / 153;
  out->day = (int)(doy - (153 * mp + 2) / 5 + 1);
  out->month = (int)(mp < 10 ? mp + 3 : mp - 9);
  out->year = (int)((int64_t)yoe + era * 400 + (out->month <= 2));
  out->hour = of_day / 3600;
  out->minute = of_day / 60 % 60;
  out->second = of_day % 60;
  int64_t below = ns % CLOCK_NS_PER_SECOND;
  out->nanosecond = (int)(below < 0 ? below + CLOCK_NS_PER_SECOND : below);
  int64_t weekday = (days + 3) % 7; /* 1970-01-01 was a Thursday */
  out->weekday = (int)(weekday < 0 ? weekday + 7 : weekday);
}

int64_t clock_from_civil(const clock_civil *c) {
  int64_t y = (int64_t)c->year - (c->month <= 2);
  int64_t era = floor_div(y, 400);
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (c->month + (c->month > 2 ? -3 : 9)) + 2) / 5 + c->day - 1;
  int64_t days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
  int64_t seconds = days * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
  if (seconds >= 0) return seconds * CLOCK_NS_PER_SECOND + c->nanosecond;
  /* So that the earliest nanosecond of all does not pass through an earlier whole second. */
  return (seconds + 1) * CLOCK_NS_PER_SECOND + (c->nanosecond - CLOCK_NS_PER_SECOND);
}

char *clock_format(char out[CLOCK_TEXT_MAX], int64_t ns) {
  clock_civil c;
  clock_to_civil(&c, ns);
  int n = snprintf(out, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", c.year, c.month, c.day,
                   c.hour, c.minute, c.second);
  if (c.nanosecond) {
    n += snprintf(out + n, (size_t)(CLOCK_TEXT_MAX - n), ".%09d", c.nanosecond);
    while (out[n - 1] == '0') n--;
  }
  out[n++] = 'Z';
  out[n] = 0;
  return out;
}
