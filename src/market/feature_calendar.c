/* The calendar: time of day and of week as points of a circle, and the pause before the row.
 * Times are as stamped: exchange time where the file has it. */
#include "market/feature.h"

#include "base/clock.h"

#include <math.h>

static double day_turn(const bars *b, size_t t) {
  const int64_t day = 24 * 3600 * CLOCK_NS_PER_SECOND;
  int64_t into = b->time[t] % day;
  if (into < 0) into += day;
  return 2 * M_PI * (double)into / (double)day;
}

static double week_turn(const bars *b, size_t t) {
  clock_civil civil;
  clock_to_civil(&civil, b->time[t]);
  return 2 * M_PI * civil.weekday / 7;
}

static double day_sin(const bars *b, size_t t, const feature *f) {
  (void)f;
  return sin(day_turn(b, t));
}

static double day_cos(const bars *b, size_t t, const feature *f) {
  (void)f;
  return cos(day_turn(b, t));
}

static double week_sin(const bars *b, size_t t, const feature *f) {
  (void)f;
  return sin(week_turn(b, t));
}

static double week_cos(const bars *b, size_t t, const feature *f) {
  (void)f;
  return cos(week_turn(b, t));
}

/* log of the time since the row before, beside the shortest of the window: 0 in a session, high
 * at an opening. The window's own, not the file's, so that a stream sees the same. */
static double pause(const bars *b, size_t t, const feature *f) {
  int64_t shortest = INT64_MAX;
  for (size_t i = t + 1 - (size_t)f->lag; i <= t; i++) {
    int64_t step = b->time[i] - b->time[i - 1];
    if (step < shortest) shortest = step;
  }
  int64_t step = b->time[t] - b->time[t - 1];
  if (shortest <= 0) return NAN;
  return log((double)step / (double)shortest);
}

static const feature list[] = {
    {"day_sin", NEEDS_TIME, 0, 1, day_sin, 0, 0},   {"day_cos", NEEDS_TIME, 0, 1, day_cos, 0, 0},
    {"week_sin", NEEDS_TIME, 0, 1, week_sin, 0, 0}, {"week_cos", NEEDS_TIME, 0, 1, week_cos, 0, 0},
    {"pause_20", NEEDS_TIME, 0, 21, pause, 20, 0},
};
const feature_family feature_calendar = {
    "calendar", "time of day and week, pause since the row before", list, COUNT_OF(list)};
